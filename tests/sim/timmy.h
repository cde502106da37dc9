/*
 * timmy.h - what the sovereign has signed, as the checker asks for it: by his own book, not by what agents hold.
 */
#ifndef UW_SIM_TIMMY_H
#define UW_SIM_TIMMY_H

#include "policy.h"
#include "sim.h"

/* What a task is, as far as policy cares. */
struct deed {
	const char *house;
	const struct tool *tool;
	bool sovereign;                 /* its mode */
	bool touches;                   /* PRODUCTION_PLACE */
};

#define PRODUCTION_PLACE "/srv/f"       /* that file_write tasks overwrite */

int64_t timmy_number(const struct timmy *t, enum sovereign_kind kind);  /* the highest */
enum policy_verdict timmy_verdict(const struct timmy *t, int64_t policy, const struct deed *d);
bool timmy_has_halted(const struct timmy *t, int64_t halt, const char *house, const char *tool);

/* He approved the task while it touched that, and the approval holds at this time. */
bool timmy_has_approved(const struct timmy *t, const char *task, const char *touches, int64_t wall_ms);
/* A grant that covers it, not counting; its number is at most that. */
bool timmy_has_granted(const struct timmy *t, int64_t number, const struct deed *d, int64_t wall_ms);
int64_t timmy_grant_count(const struct timmy *t, const char *id);       /* the most he ever allowed by it */

/* A host has got a decision on a task, by the hash of its envelope, and written it down. */
void timmy_delivered(struct timmy *t, uint64_t envelope, const char *task, int host);
void timmy_disk_lost(struct timmy *t, int host);

#endif
