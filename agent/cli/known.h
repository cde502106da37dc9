/*
 * known.h - what is heard of the sovereign's objects: his own topics, the agents' relays, requests that wait for
 * him, and what each agent says in its heartbeat that it holds.
 *
 * Only objects signed by one of the configured keys count. Of each kind, and of grants each id, the one with the
 * highest number is kept.
 */
#ifndef UW_KNOWN_H
#define UW_KNOWN_H

#include "config.h"
#include "err.h"
#include "sovereign.h"

#define KNOWN_MAX_GRANTS 1024
#define KNOWN_MAX_REQUESTS 4096

struct known_object {
	struct sovereign s;
	char *line;                     /* the envelope; NULL: none is known */
};

struct known_agent {
	const char *name;
	bool heard;                     /* its heartbeat, not only what the broker kept of it */
	bool away;                      /* it said so, or nothing is known of it */
	int64_t seq;                    /* of the last heartbeat; -1: none */
	int64_t holds[SOVEREIGN_NKINDS];        /* -1: it does not say */
};

/* One that waits for a decision. */
struct known_request {
	char house[NAME_MAX_LEN + 1], task[ULID_TEXT];
	cJSON *o;
};

struct known {
	const struct config *config;
	config_name *names;
	struct known_agent *agents;     /* of houses: those that start something */
	size_t nagents;
	struct known_object policy, halt;
	struct known_object *grants;
	size_t ngrants;
	struct known_request *requests;
	size_t nrequests;
	size_t refused;                 /* objects that no key of ours signed, or that are not right */
	struct err why;                 /* of the last of them */
};

void known_init(struct known *k, const struct config *c);
void known_release(struct known *k);

/* One message of a subscription. */
void known_take(struct known *k, const char *topic, const char *payload, size_t len);

/* What an agent says over its own socket that it holds: an envelope. len 0: only that it is there. */
void known_take_held(struct known *k, const char *agent, const char *envelope, size_t len);

/* Every agent was heard, or is away by its own word. */
bool known_heard_all(const struct known *k);

/* The highest number of a kind that is known of, grants together. What agents claim to hold counts too, unless it
 * is far beyond what was signed: no agent may use up the numbers. */
int64_t known_highest(const struct known *k, enum sovereign_kind kind);

const struct known_object *known_grant(const struct known *k, const char *id);
/* The grant with the highest number, whose list of living ones counts; NULL if there is none. */
const struct known_object *known_newest_grant(const struct known *k);
bool known_grant_in_force(const struct known *k, const struct grant *g, int64_t n, int64_t now_ms);

const struct known_request *known_request(const struct known *k, const char *task);

#endif
