/*
 * production.h - places that a policy marks as production, and whether what a task touches lies in one.
 *
 * path:/srv/www      the path and all beneath it
 * repo:/srv/site     a git repository: its work tree, its branches
 * service:nginx      a service by its name, with or without .service
 * url:https://host/x that address and all beneath it
 *
 * A touch is a kind (path, ref, service, url, repo) and a name that is resolved already: absolute, links
 * followed; a ref is "<repository>#<branch>". In doubt the answer is yes. This looks at names only; workers, who
 * can, also look at what lies there (tools/place.c).
 */
#ifndef UW_PRODUCTION_H
#define UW_PRODUCTION_H

#include <stdbool.h>

struct err;

#define PRODUCTION_MAX 1024          /* bytes */

/* Whether the text is a place as it must be written. */
int production_check(const char *text, struct err *e);

bool production_covers(const char *place, const char *kind, const char *name);

#endif
