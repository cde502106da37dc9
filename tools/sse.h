/*
 * sse.h - reading a stream of server-sent events (text/event-stream) as it comes, in whatever pieces.
 *
 * Lines end with LF, CR or both; comments are skipped; several data lines of one event are joined by a newline. An event
 * without data is none. What is larger than SSE_EVENT_MAX is left out and counted.
 *
 * struct sse s = { .on_event = f, .arg = a };  sse_add(&s, p, n); ...  sse_release(&s);
 */
#ifndef UW_SSE_H
#define UW_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define SSE_EVENT_MAX (1u << 20)        /* data of one event, and one line */

struct sse {
	/* event: its name, "" if it has none. Both are valid for the call. */
	void (*on_event)(void *arg, const char *event, const char *data, size_t len);
	void *arg;

	struct buf line, data;
	char event[64];
	bool has_data, too_long, after_cr;
	int64_t left_out;
};

void sse_add(struct sse *s, const char *p, size_t len);
void sse_release(struct sse *s);        /* an event that was not ended is none */

#endif
