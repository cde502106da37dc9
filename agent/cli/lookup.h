/*
 * lookup.h - a task as its house knows it.
 */
#ifndef UW_LOOKUP_H
#define UW_LOOKUP_H

#include <cjson/cJSON.h>

#include "cmd.h"

/* house NULL: asks all. 0 and *found, which the caller deletes; or an exit code, with the error printed. */
int lookup_task(const struct cmd_args *a, const char *id, const char *house, cJSON **found);

#endif
