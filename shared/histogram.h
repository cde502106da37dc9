/*
 * histogram.h - how long things took, in the buckets of /metrics: few enough to be sent every time, and wide enough for a
 * commit and for a task that waits for days.
 */
#ifndef UW_HISTOGRAM_H
#define UW_HISTOGRAM_H

#include <stdint.h>

/* Upper ends in microseconds; what is longer is in one bucket more. */
#define HISTOGRAM_ENDS(X)                                                                          \
	X(100) X(250) X(500) X(1000) X(2500) X(5000) X(10000) X(25000) X(50000) X(100000) X(250000) \
	X(500000) X(1000000) X(2500000) X(10000000) X(60000000) X(600000000) X(3600000000) X(86400000000)

enum {
#define X(us) +1
	HISTOGRAM_NENDS = HISTOGRAM_ENDS(X)
#undef X
};

struct histogram {
	uint64_t count[HISTOGRAM_NENDS + 1];
	uint64_t sum_us;
};

int64_t histogram_end_us(int i);
void histogram_add(struct histogram *h, int64_t us);    /* less than 0 counts as 0: clocks are set back */

#endif
