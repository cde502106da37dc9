/*
 * policy.h - what a policy, the halts and the grants say about one task. No clock, no state: all is asked for.
 *
 * Order of a judgement: the first rule that matches, if it denies; mode sovereign, which always asks; that rule; else
 * production asks and so does what the house's profile reviews; else it is allowed.
 */
#ifndef UW_POLICY_H
#define UW_POLICY_H

#include "sovereign.h"

/* What a house's tasks have to pass, before their tool starts and after it ends. */
struct profile {
	const char *name;
	/* before */
	const char *review;             /* from this effect on a task needs approval if no rule matches; NULL: none */
	bool reads;                     /* what is overwritten must have been read in the same chain, and unchanged */
	/* after */
	bool proof;                     /* no proof, no success */
	const char *what;               /* in a few words */
};

const struct profile *profile_of(enum policy_profile p);
enum policy_profile profile_for_role(const char *role);         /* of houses.yaml */

/* The profile of a house; PROFILE_NONE if the policy does not name it. */
const struct profile *policy_profile(const struct policy *p, const char *house);

struct policy_question {
	const char *house, *tool, *sender;
	const char *effect;             /* "read", "idempotent", "exclusive" */
	bool sovereign;                 /* mode */
	const cJSON *touches;           /* list of {"kind","name","access"}; NULL or null: it cannot say */
};

struct policy_answer {
	enum policy_verdict verdict;
	bool production;                /* it touches a place of production */
	char why[SOVEREIGN_WHY];        /* which rule, place or profile; empty when allowed by none */
};

void policy_judge(const struct policy *p, const struct policy_question *q, struct policy_answer *a);

/* Whether the answer depends on what the task touches, so that it must be planned first. q->touches is not looked at. */
bool policy_needs_touches(const struct policy *p, const struct policy_question *q);

/* The first place of a list that a task changes, by the list of what it touches; NULL if none. Things only read
 * (access "read") do not count. */
const char *policy_place_touched(const char *const *places, size_t n, const cJSON *touches);

/* The entry by which nothing may start; NULL if there is none. */
const struct halt_entry *halt_covers(const struct halt *h, const char *house, const char *tool);
void halt_describe(const struct halt_entry *entry, const char *why, char out[SOVEREIGN_WHY * 2]);

struct grant_question {
	const char *house, *tool, *sender;
	const cJSON *params;
	int64_t used;                   /* how many tasks have started by it */
	int64_t now_ms;
};

/* Whether the grant lets the task start: not revoked, in its time, not used up, and all of it matches. */
bool grant_covers(const struct grant *g, const struct grant_question *q);

/* Whether a grant is in force by what the newest grant of the cluster lists. */
bool grant_is_live(const struct grant *newest, const char *id, int64_t n);

#endif
