/*
 * local.h - talking to an agent on this machine over its socket: one JSON object a line, both ways.
 *
 * {"op":"submit","task":{"house":"ezra","tool":...}} is answered by {"type":"accepted",...} or
 * {"type":"rejected",...} and later by {"type":"outcome",...}; docs/protocol.md has them all. Lines of
 * several tasks come as they come; "id" tells whose they are.
 *
 * Every call ends in the time it is given. After a failure the connection is of no more use.
 */
#ifndef UW_LOCAL_H
#define UW_LOCAL_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct local;

#define LOCAL_LINE_MAX (4u << 20)       /* longer lines from the agent are an error */

/* ERR_NETWORK when nobody answers there. */
int local_open(struct local **out, const char *path, int64_t timeout_ms, struct err *e);
void local_close(struct local *l);      /* NULL is fine */

int local_fd(const struct local *l);    /* for poll(); but look with local_read() first */

/* Sends one line; the newline is added. */
int local_send(struct local *l, const char *line, size_t len, int64_t timeout_ms, struct err *e);

/* The next line without its newline, ended by NUL, valid until the next call. 1: there is one; 0: not in that
 * time; -1: the connection is gone. timeout_ms -1 waits for ever. */
int local_read(struct local *l, int64_t timeout_ms, char **line, size_t *len, struct err *e);

#endif
