/*
 * recent.h - the tasks that were last heard of: from houses' events, and from their answers to queries.
 *
 * RECENT_MAX of them; when there are more, those that ended go first, the oldest of all.
 */
#ifndef UW_RECENT_H
#define UW_RECENT_H

#include <cjson/cJSON.h>

#include "task.h"

#define RECENT_MAX 2048
#define RECENT_WHY 160

/* What people want apart. */
enum recent_group { RECENT_RUNNING, RECENT_WAITING, RECENT_BAD, RECENT_DONE, RECENT_NGROUPS };
extern const char *const recent_groups[RECENT_NGROUPS];

struct recent_task {
	char id[ULID_TEXT], house[NAME_MAX_LEN + 1], tool[48], sender[NAME_MAX_LEN + 1], agent[NAME_MAX_LEN + 1];
	char why[RECENT_WHY];                   /* it ended badly, or waits */
	enum task_state state;
	int attempt;
	bool stopping;
	int64_t since_ms;                       /* wall: in this state, as far as it is known */
	int64_t heard_ms;                       /* mono */
};

struct recent {
	struct recent_task *v;
	size_t n;
	int64_t ended;                          /* events that told an end */
};

void recent_init(struct recent *r);
void recent_release(struct recent *r);

/* A line of a house's events; a row of an answer. */
void recent_take_event(struct recent *r, const char *house, const cJSON *o, int64_t now_ms);
void recent_take_row(struct recent *r, const cJSON *o, int64_t now_ms);
/* Its house does not know it any more. */
void recent_forget(struct recent *r, const char *id);

struct recent_task *recent_find(const struct recent *r, const char *id);
enum recent_group recent_group_of(const struct recent_task *t);
/* Pointers to those of a group and house (NULL: all houses), the newest first; returns how many there are, of which at
 * most max are put in. */
size_t recent_list(const struct recent *r, enum recent_group g, const char *house, const struct recent_task **out, size_t max);

#endif
