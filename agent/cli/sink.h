/*
 * sink.h - one place where alerts go: webhook, ntfy, mail, a program.
 *
 * Each has a process of its own, a pipe to it, and a queue before that: what does not fit is dropped and counted. So a
 * sink that hangs holds up no other. It tries again with growing waits, then gives that alert up.
 */
#ifndef UW_SINK_H
#define UW_SINK_H

#include <stddef.h>
#include <sys/types.h>

#include "buf.h"
#include "config.h"

struct sink {
	const struct config *config;
	const struct config_sink *c;
	int fd;                         /* where alerts are written, a line each; -1: closed */
	pid_t pid;
	struct buf queue;               /* what the pipe does not take yet */
	long long dropped;
};

/* others: the n that are open already. -1 with e: it lacks something on this host. */
int sink_open(struct sink *s, const struct config *config, const struct config_sink *c, const struct sink *others, size_t n,
    struct err *e);
/* line: a JSON object and a newline. len 0: only what is queued. */
void sink_put(struct sink *s, const char *line, size_t len);
/* What is queued still goes out within ms; then it is stopped. */
void sink_close(struct sink *s, int ms);

#endif
