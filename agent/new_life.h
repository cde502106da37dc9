/*
 * new_life.h - a database of former days is made one from which an agent may go on.
 *
 * It knows numbers that its lost life has used since: of terms, of events, of audit records. So it begins another life, under a
 * new store id, as one with a blank disk does, but with what it knows: terms are compared with the store id, so none is claimed
 * twice; it was not the last owner of anything, so it follows before it owns; its audit chain begins anew. What must not be done
 * again because of it goes: copies of tasks that nobody had accepted yet, packet ids, requests for approval on their way.
 */
#ifndef UW_NEW_LIFE_H
#define UW_NEW_LIFE_H

#include <sqlite3.h>

struct err;

/* In one transaction, of whatever version it is. mark: tells where it came from, for houses that the agent owns without asking
 * anybody (STORE_RESTORED in agent/core/core.h). path: for messages. */
int new_life(sqlite3 *h, const char *path, const char *mark, struct err *e);

#endif
