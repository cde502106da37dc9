/*
 * spool.h - what the local outbox still holds goes out without its command.
 *
 * One process per outbox, apart from the terminal, under the same identity: it ends when the outbox is
 * empty, or after a day. A lock beside the outbox keeps it the only one.
 */
#ifndef UW_SPOOL_H
#define UW_SPOOL_H

#include "config.h"

struct err;

/* Starts the sender unless it runs. -1 with e if it cannot. */
int spool_start(const struct config *c, const char *identity, struct err *e);

/* Becomes the only sender. The descriptor holds the lock; -1 with ERR_BUSY if another has it. */
int spool_lock(const struct config *c, const char *identity, struct err *e);

/* Ends the sender of an outbox, if one runs. */
void spool_stop(const struct config *c, const char *identity);

#endif
