/*
 * http_event.h - GET /v1/events: what passes through an agent, live, as server-sent events.
 *
 * The loop gives each line to every stream, and a connection's thread takes from its own. A stream that is not read is ended at
 * its bound; nobody waits for it.
 */
#ifndef UW_HTTP_EVENT_H
#define UW_HTTP_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

struct agent;
struct buf;
struct stream;

struct events {
	uv_mutex_t lock;
	uv_cond_t change;
	struct stream *streams;
	int n;
	bool closing;
};

/* ---- for the loop ---- */

void events_init(struct agent *a);
/* What this agent publishes, or hears. Lines that are no events are left alone. */
void events_take(struct agent *a, bool ours, const char *topic, const char *payload, size_t len);
/* One event of the agent's own making, which is about no house; line is its JSON. */
void events_tell(struct agent *a, const char *type, const char *agent, const struct buf *line);
bool events_are_watched(struct agent *a);
void events_close(struct agent *a);     /* threads that wait are let go */
void events_release(struct agent *a);   /* once they are gone */

/* ---- in a connection's thread ---- */

/* Bytes of the next events, which it waits for; -1: the stream is at its end. */
ssize_t stream_read(struct stream *s, char *to, size_t size);
void stream_free(struct stream *s);

#endif
