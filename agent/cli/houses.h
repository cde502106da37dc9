/*
 * houses.h - who owns which house and who could take over, as the agents' heartbeats show it.
 *
 * Of an agent the newest heartbeat is kept. The broker gives what it kept first, which may be of a life that has ended: an
 * agent is live once more than that was heard.
 */
#ifndef UW_HOUSES_H
#define UW_HOUSES_H

#include <cjson/cJSON.h>

#include "config.h"

struct beat {
	cJSON *o;                       /* the newest heartbeat; NULL: none */
	bool live;                      /* more than the one that the broker kept */
	int64_t heard_ms;               /* when, if it ever was live */
};

struct houses {
	const struct config *config;
	config_name *agents;            /* of houses */
	struct beat *beats;             /* of each of them */
	size_t n;
};

/* One house as the heartbeats show it. */
struct house_view {
	const char *house, *role, *copies;
	const struct config_names *candidates;
	const char *owner;              /* NULL: none */
	const struct beat *beat;        /* the owner's; else NULL */
	const cJSON *part;              /* what it says of this house */
};

void houses_init(struct houses *h, const struct config *c);
void houses_release(struct houses *h);

/* One message of a subscription; now_ms is only kept. True if it was a heartbeat. */
bool houses_take(struct houses *h, const char *topic, const char *payload, size_t len, int64_t now_ms);
/* Who was not heard since then is live no more. */
void houses_fade(struct houses *h, int64_t since_ms);

const struct beat *houses_beat(const struct houses *h, const char *agent);
bool beat_is_away(const struct beat *b);
bool houses_heard_all(const struct houses *h);
bool houses_heard_any(const struct houses *h);

/* house NULL: the router. */
struct house_view houses_view(const struct houses *h, const struct config_house *house);
bool house_is_held(const struct house_view *v);
/* "online", "silent", "no owner" ... */
const char *house_owner_state(const struct house_view *v);
/* Of the heartbeat: the first thing that the house is under, or its owner as a whole; NULL: nothing. */
const cJSON *house_stress(const struct house_view *v);
/* "owner", "in step", "behind", "away" ... */
const char *house_candidate_lacks(const struct houses *h, const struct house_view *v, const char *agent);       /* "": nothing */
const char *house_candidate_state(const struct houses *h, const struct house_view *v, const char *agent);
/* How many of the owner's events a follower has not; -1: not known. And of all followers the worst. */
int64_t house_candidate_lag(const struct houses *h, const struct house_view *v, const char *agent);
int64_t house_worst_lag(const struct houses *h, const struct house_view *v);
/* "5m": how long the owner has owned it; "-" when not said. */
void house_age(const struct house_view *v, char *out, size_t size);

#endif
