/*
 * place.h - places marked as production, and whether a plan touches one.
 *
 * A place is "kind:name" with a kind of plan.h, but no ref. It covers what lies beneath it, and what it
 * lies in itself: checking out /srv changes /srv/www. Files, repositories and their refs are places on
 * the disk and cover each other, by whatever way they are reached (spot.h). A URL covers what lies beneath
 * its path on that host and port, whatever the scheme; a service the unit, whatever it is called.
 */
#ifndef UW_PLACE_H
#define UW_PLACE_H

#include <stddef.h>

#include "plan.h"

/* The first thing written that lies in a place, and which place; *touch is NULL if there is none. -1 with
 * ERR_DENIED for what is no place, or if it cannot be told where something is. p is sorted. */
int place_find(const char *const *places, size_t n, const struct plan *p, const struct touch **touch,
    const char **place, struct err *e);

/* One spelling for all that mean the same address: "https://host/path", without user, query and the usual
 * port; "host:path" of ssh as "ssh://host/path". NULL if it is none. The caller frees. */
char *place_url(const char *url);
#define PLACE_ANY_URL "*"       /* who redirects leads anywhere */

/* "nginx" is "nginx.service". */
void place_unit(const char *unit, char *out, size_t size);

#endif
