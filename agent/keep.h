/*
 * keep.h - the agent's database as it was before a newer program changed it: <database>.before, for the program of before.
 */
#ifndef UW_KEEP_H
#define UW_KEEP_H

#include <stdint.h>

struct err;

#define KEEP_DAYS 14                    /* then an agent that starts removes it */

/* Copies a database that a program of store version `known` would migrate; the copy takes the place of the one before. It has
 * another life (new_life.h): what was done since then under the present one is not in it, so for the others it is a store that
 * knows less, as after the loss of a disk, not the same one that forgot. -1: there is no copy, so nothing should be migrated.
 * Databases that are new, newer or in use are let be. */
int keep_before(const char *db, int known, int64_t now_ms, struct err *e);

#endif
