/*
 * restore_store.h - databases of former days made fit to go on from.
 *
 * An agent's database knows numbers that its lost life has used since: of terms, of events, of audit records. So it
 * begins another life, under a new store id, as one with a blank disk does, but with what it knows: terms are compared
 * with the store id, so none is claimed twice; it was not the last owner of anything, so it follows before it owns; its
 * audit chain begins anew, and the former one goes into a file beside it. What must not be done again because of it goes:
 * copies of tasks that nobody had accepted yet, packet ids, requests for approval on their way. And it is marked, for
 * houses that the agent owns without asking anybody (agent/core/core.h).
 */
#ifndef UW_RESTORE_STORE_H
#define UW_RESTORE_STORE_H

#include <stdbool.h>
#include <stddef.h>

struct err;

/* In dir, <agent>.db. chain: gets the path of the former chain's file, "" if it had none. mark: tells which backup it came
 * from. */
int restore_store(const char *dir, const char *agent, const char *cluster, const char *mark, char *chain, size_t size,
    struct err *e);

/* Whether that database was put back from that backup, and no agent has used it since. */
bool restore_is_marked(const char *path, const char *mark);

/* hermes-<agent>.db: its events get the numbers of a new stream. */
int restore_hermes(const char *path, struct err *e);

#endif
