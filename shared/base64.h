/*
 * base64.h - bytes as text (RFC 4648, the alphabet with + and /), and back in one way only.
 */
#ifndef UW_BASE64_H
#define UW_BASE64_H

#include <stddef.h>

struct buf;
struct err;

void base64_put(struct buf *b, const void *p, size_t len);

/* Strict: no blanks, padding as it must be, no bits that mean nothing. So each text of base64 has one
 * meaning, and each run of bytes one text. Nothing is added to out on failure. */
int base64_decode(struct buf *out, const char *text, size_t len, struct err *e);

/* The same for what has exactly `size` bytes: keys, signatures. */
int base64_decode_exactly(void *out, size_t size, const char *text, struct err *e);

#endif
