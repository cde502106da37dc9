/*
 * canonical.h - JSON in the one way of RFC 8785 that a signature or a digest needs.
 *
 * Members sorted by UTF-16 code units, no blanks, the shortest escapes. Numbers are integers within 2^53
 * only: how reals are written is where implementations differ.
 */
#ifndef UW_CANONICAL_H
#define UW_CANONICAL_H

#include <cjson/cJSON.h>
#include <stddef.h>

struct buf;
struct err;

#define CANONICAL_HASH 65       /* SHA-256 in hexadecimal, and the NUL */

/* Fails with ERR_INVALID on a number that is no such integer, on text that is not UTF-8 and on a member that
 * is there twice; what was appended until then is taken back. */
int canonical_put(struct buf *b, const cJSON *v, struct err *e);

/* json_parse() of text that must be, byte for byte, what canonical_put() makes of it. The caller frees it. */
cJSON *canonical_parse(const char *text, size_t len, struct err *e);

/* SHA-256 of the canonical text. */
int canonical_hash(const cJSON *v, char hex[CANONICAL_HASH], struct err *e);

/* SHA-256 of bytes as they are. */
void hash_hex(const void *p, size_t len, char hex[CANONICAL_HASH]);

#endif
