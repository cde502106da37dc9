/*
 * uplink.h - whether Gitea can be asked: after failures it is left alone for a while, twice as long each time, with
 * jitter, and one request tries again. Also how much of the time it could be reached. Time is an argument.
 */
#ifndef UW_UPLINK_H
#define UW_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

#define UPLINK_FAILURES 2               /* in a row, until it is left alone */
#define UPLINK_PAUSE_MS 1000            /* the first time */
#define UPLINK_PAUSE_MAX_MS 15000
#define UPLINK_ASKED_MAX_MS 3600000     /* that it may ask for itself (Retry-After) */

/* All zero: nothing is known. */
struct uplink {
	int failures;
	int64_t pause_ms;               /* the latest */
	int64_t until_ms;               /* mono: not before that; 0: at once */
	int64_t asked_ms;               /* mono: not before that, because it said so */
	int64_t down_ms;                /* mono: since when it fails; 0: it does not */
	int64_t seen_ms;                /* mono: the latest answer or failure */
	int64_t up_sum_ms, sum_ms;      /* of the time between */
};

bool uplink_may(const struct uplink *u, int64_t now_ms);
/* A request came through. */
void uplink_works(struct uplink *u, int64_t now_ms);
/* It did not, for a reason that concerns them all. retry_after_s: what was asked for, 0: nothing. random: any bits. */
void uplink_fails(struct uplink *u, int64_t retry_after_s, uint32_t random, int64_t now_ms);
/* It was heard of in another way, so it may be worth asking. */
void uplink_heard(struct uplink *u);
/* How long it has failed now; 0: it has not. */
int64_t uplink_down_for(const struct uplink *u, int64_t now_ms);
/* 0 to 1; 1 while nothing is known. */
double uplink_availability(const struct uplink *u);

#endif
