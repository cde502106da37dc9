/*
 * digest.h - SHA-256, many times over: what it needs is made once.
 *
 * struct digest *d = digest_new();
 * digest_add(d, p, n); ... digest_end(d, out);         and again
 */
#ifndef UW_DIGEST_H
#define UW_DIGEST_H

#include <stddef.h>

#define DIGEST_SIZE 32
#define DIGEST_HEX 65           /* in hexadecimal, and the NUL */

struct digest;

struct digest *digest_new(void);
void digest_free(struct digest *d);     /* NULL is fine */
void digest_add(struct digest *d, const void *p, size_t len);
void digest_end(struct digest *d, unsigned char out[DIGEST_SIZE]);      /* and begins anew */
void digest_of(struct digest *d, const void *p, size_t len, unsigned char out[DIGEST_SIZE]);

void digest_format(const unsigned char in[DIGEST_SIZE], char out[DIGEST_HEX]);
/* -1 unless text is 64 hexadecimal digits, the letters small. */
int digest_parse(const char *text, unsigned char out[DIGEST_SIZE]);

#endif
