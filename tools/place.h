/*
 * place.h - places marked as production, and whether something lies in one.
 *
 * A place is "kind:name" with a kind of plan.h, but no ref. It covers what lies beneath it and what
 * it lies in itself: checking out /srv changes /srv/www. Files, repositories and refs are all places on
 * the disk and cover each other.
 */
#ifndef UW_PLACE_H
#define UW_PLACE_H

#include <stdbool.h>

#include "plan.h"

struct place {
	enum plan_kind kind;
	char *name;             /* resolved, as far as it exists */
};

/* -1 with ERR_DENIED for what is no place. */
int place_parse(struct place *p, const char *text, struct err *e);
void place_release(struct place *p);
bool place_covers(const struct place *p, const struct touch *t);

/* An absolute path with links followed and ".." taken out; what does not exist stays as it is. NULL if that
 * cannot be done (too long, a loop of links, not readable). The caller frees. */
char *place_resolve(const char *path);

#endif
