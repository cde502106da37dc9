/*
 * hist.h - a log-linear histogram of times, as HdrHistogram has them.
 *
 * Below 128 each value has its own bucket; above, every power of two is divided into 64, so a quantile is
 * never more than 1.6 % above the true one and never below it. Adding costs a few instructions, memory is
 * fixed, and histograms of several runs can be added up, which percentiles cannot.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 6
#define HIST_BUCKETS ((65 - HIST_SUB_BITS) << HIST_SUB_BITS)

struct hist {
	uint64_t count[HIST_BUCKETS];
	uint64_t total;
	uint64_t max;
};

void hist_add(struct hist *h, uint64_t value);

/* The smallest value that at least the fraction q of all values does not pass; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double q);

/* Adds h to the histogram in a text file ("value count" a line), which need not exist yet. -1 with errno. */
int hist_save(const struct hist *h, const char *path);
int hist_load(struct hist *h, const char *path);

#endif
