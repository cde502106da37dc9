/*
 * procs.h - what processes and all their descendants have used.
 *
 * CPU time includes children that ended and were waited for, so a worker that was replaced is not lost.
 */
#ifndef BENCH_PROCS_H
#define BENCH_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCS_MAX 64

struct procs {
	int pid[PROCS_MAX];
	size_t n;
};

/* "12,345": -1 if that is not a list of numbers. */
int procs_parse(struct procs *p, const char *list);

/* Microseconds of user and system time since each began, with what lives beneath it or without. A process
 * that is gone counts as nothing. */
int64_t procs_cpu_us(const struct procs *p, bool descendants);

/* Resident memory of the processes themselves, without descendants. */
int64_t procs_rss_bytes(const struct procs *p);

#endif
