/*
 * hermes_listen.h - the socket at hermes.listen. Hermes has one thread for all its webhooks, so each is answered at once, by
 * a thread of libmicrohttpd's: believed or not. What is believed waits in a bounded queue for the loop.
 */
#ifndef UW_HERMES_LISTEN_H
#define UW_HERMES_LISTEN_H

#include <stdint.h>

#include "config.h"
#include "hermes_event.h"

#define HERMES_QUEUE_MAX 4096           /* events; beyond it 503 is the answer, and Hermes tries once more */
#define HERMES_CONNECTIONS_MAX 64

struct err;
struct hermes_listen;

/* *out is NULL if the configuration says off. */
int hermes_listen_open(struct hermes_listen **out, const struct config *c, struct err *e);
void hermes_listen_close(struct hermes_listen *l);      /* NULL is fine */

/* To be read from when there is something; -1 for NULL. */
int hermes_listen_fd(const struct hermes_listen *l);

/* The next one, which the caller releases. False: there is none. */
bool hermes_listen_next(struct hermes_listen *l, struct hermes_event *v);

/* Since the start: refused, for they were not signed so, or too old; not taken, for the queue was full. */
void hermes_listen_counts(struct hermes_listen *l, int64_t *refused, int64_t *full);

#endif
