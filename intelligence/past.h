/*
 * past.h - one attempt as it is remembered: what was run where, how it ended, and what had been expected of it. Beside
 * attempts, what was decided by them and is no attempt's.
 *
 * Attempts are kept packed, those of one commit together (a page), each as what differs from the one before it. Parameters
 * are in it as their shape alone (shape.h). Times are milliseconds since 1970.
 */
#ifndef UW_PAST_H
#define UW_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "model.h"

#define PAST_NAME 64

enum past_what {
	PAST_ATTEMPT,
	PAST_HOUSE,             /* a task was sent to house, and not to the one named in instead */
	PAST_BREAKER,           /* the breaker of a target waited for more failures of host than usual */
	PAST_COUNT
};

struct past {
	enum past_what what;    /* of those that are no attempts, how it ended, after, us and bytes are 0 */
	int64_t at_ms;          /* when it ended */
	char house[PAST_NAME];
	char host[PAST_NAME];   /* the agent that ran it; "": not known */
	char tool[PAST_NAME];
	char after[PAST_NAME];  /* the tool that ended before it in this house; "": none is known */
	char instead[PAST_NAME]; /* the agent that would have had it, had nothing been learned; "": the same */
	uint64_t shape;
	bool ok;
	enum failure why;       /* if not */
	bool heard;             /* from its house's owner, who ran it or had it run */
	int64_t us;             /* how long it took; -1: not known */
	int64_t bytes;          /* of its result */
	bool foretold;          /* before it started; the rest is 0 if not */
	double p;               /* of success: what was said */
	double p_all, p_tool;   /* likewise, by the rate of all attempts and of the tool's */
	double p95_ms;          /* 0: nothing was known */
	int timeout_s;          /* the limit that it was given for what was learned; 0: its usual one */
	bool gave_up;           /* it failed, and was not tried again: it seemed hopeless */
	int failures;           /* PAST_BREAKER: so many */
};

/* Packs them one after the other. Zero-initialise; a page begins when out is empty. */
struct past_pack {
	struct buf out;
	struct past last;
};

void past_pack_add(struct past_pack *p, const struct past *x);
void past_pack_clear(struct past_pack *p);      /* keeps the memory */
void past_pack_free(struct past_pack *p);

/* The other way: x must be zero before a page's first, and what the call before has left after. Moves *p on; -1 for bytes
 * that past_pack_add() does not write. */
int past_unpack(const unsigned char **p, const unsigned char *end, struct past *x);

/* What is said of it, as finely as it is kept. */
void past_foretell(struct past *x, double p, double p_all, double p_tool, double p95_ms);

int past_hour(int64_t ms);               /* of the day, UTC */

/* What the model knows it by. */
void past_about(const struct past *x, struct about *a);

#endif
