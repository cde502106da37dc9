/*
 * stress.h - what an agent, or a house that it owns, may be under, in one table: names, units, thresholds. houses.yaml
 * (`stress`) and the agents read it; agent/core/stress.c has how each is measured, and what follows from it.
 *
 * It begins when its value was beyond the limit for raise_s, and is over when it was within `clear` for clear_s. Between the two
 * nothing changes.
 */
#ifndef UW_STRESS_H
#define UW_STRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "alert.h"

/*        symbol                  name              unit        side         limit raise clear  what it is */
#define STRESSES(X)                                                                                                                \
	X(STRESS_QUEUE_AGE,       "queue-age",      "s",        ALERT_ABOVE,   300,   30,   60, "what is not of low priority waits for long")  \
	X(STRESS_COMMIT_LATENCY,  "commit-latency", "ms",       ALERT_ABOVE,   250,   10,   30, "the disk takes long to keep anything")       \
	X(STRESS_MEMORY,          "memory",         "MiB",      ALERT_BELOW,    64,    5,   30, "little memory is left on the host")          \
	X(STRESS_DISK,            "disk",           "MiB",      ALERT_BELOW,   128,    5,   60, "little is left where the database is")       \
	X(STRESS_BREAKERS,        "breakers",       "breakers", ALERT_ABOVE,     3,   10,   60, "much of what its tasks need is down")

enum stress_kind {
#define X(sym, ...) sym,
	STRESSES(X)
#undef X
	STRESS_COUNT
};

struct stress_rule {
	const char *name, *unit;
	enum alert_side side;
	int64_t limit, clear;           /* clear: on the good side of the limit, or there */
	int64_t raise_s, clear_s;
	const char *what;
};

enum stress_kind stress_kind_find(const char *name);    /* STRESS_COUNT: no such stress */
/* As the table has it. */
void stress_rule(enum stress_kind kind, struct stress_rule *r);
/* When only the limit is given: half of it, or, where more is better, half as much again. */
int64_t stress_clear_of(enum alert_side side, int64_t limit);
/* 1: it begins, -1: it is over, 0: as it was. A value below 0 is not known, and speaks for nothing. now_ms > 0. */
int stress_judge(struct alert_state *s, const struct stress_rule *r, int64_t value, int64_t now_ms);

#endif
