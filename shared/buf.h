/*
 * buf.h - a growing byte buffer with a stated maximum.
 *
 * data is NUL-terminated after every call, so text may be used as a C string. An
 * append that would pass max sets `full` and leaves the buffer as it was: check
 * once at the end with buf_ok(). Out of memory aborts: all sizes are capped.
 *
 * struct buf b = { .max = 65536 };  ...  buf_free(&b);
 */
#ifndef UW_BUF_H
#define UW_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;             /* NULL until the first append */
	size_t len, cap;
	size_t max;             /* 0: BUF_MAX_DEFAULT */
	bool full;
};

#define BUF_MAX_DEFAULT (16u << 20)

void buf_add(struct buf *b, const void *p, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for len more bytes and returns where they go, NULL when past max. The caller
 * then adds what it wrote to b->len. */
char *buf_reserve(struct buf *b, size_t len);

void buf_cut(struct buf *b, size_t len);        /* keep the first len bytes */
void buf_clear(struct buf *b);                  /* empty, keeps the memory */
void buf_free(struct buf *b);
char *buf_take(struct buf *b);                  /* caller frees; never NULL; b is empty after */
const char *buf_str(const struct buf *b);       /* "" when empty */

static inline bool
buf_ok(const struct buf *b)
{
	return !b->full;
}

/* Memory that cannot be had ends the program: inputs are capped, so it means a bug. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);

#endif
