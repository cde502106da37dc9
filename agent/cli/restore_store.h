/*
 * restore_store.h - databases of former days made fit to go on from.
 *
 * An agent's database begins another life: see new_life.h. Its former audit chain goes into a file beside it.
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
