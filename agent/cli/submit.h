/*
 * submit.h - one task is given to a house, and what becomes of it is printed: what `submit` and `task retry` share.
 */
#ifndef UW_SUBMIT_H
#define UW_SUBMIT_H

#include "remote.h"

struct submit {
	const struct cmd_args *a;
	bool wait;                      /* for its outcome */
	int64_t within_ms;              /* 0: 5 seconds for accepted, an hour for the outcome */
	bool sovereign;                 /* as far as is known here */
	struct ulid id;                 /* the task's */
	struct remote r;

	/* Its own. */
	char id_text[ULID_TEXT];
	bool accepted, done;
	bool put_off;                   /* its house was busy */
	int64_t end_ms;                 /* mono: it is given up at the latest */
	bool listens;                   /* to what its tool says of itself */
	int rc;
};

/* Into a task, what its options say of how it is to run: --priority, --timeout, --retries. */
void submit_put_limits(struct buf *b, const struct cmd_args *a);

/* The trace that it belongs to: the one given, that of whoever runs us, or a new one. */
void submit_put_trace(struct buf *b, const char *given);

/* Both return 0 or an exit code, with the error printed. s->r is open after the first; the caller closes it. */
int submit_open(struct submit *s);
int submit_give(struct submit *s, const char *house, const char *task, size_t len);

#endif
