/*
 * bytes.h - where bytes go to, and where they come from, one behind the other.
 */
#ifndef UW_BYTES_H
#define UW_BYTES_H

#include <stddef.h>
#include <sys/types.h>

struct err;

struct sink {
	int (*put)(void *arg, const void *p, size_t len, struct err *e);        /* all of it, or -1 */
	void *arg;
};

struct source {
	ssize_t (*get)(void *arg, void *p, size_t max, struct err *e);          /* 0: there is no more; -1 */
	void *arg;
};

/* Of a file that is open; arg is its number as a pointer to int. */
int bytes_put_fd(void *fd, const void *p, size_t len, struct err *e);
ssize_t bytes_get_fd(void *fd, void *p, size_t max, struct err *e);

/* Reads on until len bytes have come or there are no more: how many; -1. */
ssize_t bytes_fill(const struct source *s, void *p, size_t len, struct err *e);

#endif
