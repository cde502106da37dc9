/*
 * dsse.h - signed bytes with their type: the Dead Simple Signing Envelope (github.com/secure-systems-lab/dsse).
 *
 * {"payload":"<base64>","payloadType":"<type>","signatures":[{"keyid":"<16 hex>","sig":"<base64>"}]}, itself
 * canonical JSON, with exactly these members and 1 to DSSE_MAX_SIGNATURES signatures. What is signed is the
 * pre-authentication encoding of type and payload, so a signature for one type is none for another.
 */
#ifndef UW_DSSE_H
#define UW_DSSE_H

#include <stddef.h>

#include "buf.h"
#include "sign.h"

struct err;

#define DSSE_MAX (64u << 10)    /* bytes of an envelope */
#define DSSE_MAX_SIGNATURES 8
#define DSSE_TYPE_MAX 127

struct dsse {
	char type[DSSE_TYPE_MAX + 1];
	struct buf payload;
	struct dsse_signature {
		char keyid[SIGN_ID];
		unsigned char bytes[SIGN_SIZE];
	} signatures[DSSE_MAX_SIGNATURES];
	size_t nsignatures;
};

/* Appends one line without its end. */
void dsse_make(struct buf *out, const char *type, const void *payload, size_t len, const struct sign_key *key);

/* Takes an envelope apart and believes nothing of it yet. On failure there is nothing to release. */
int dsse_open(struct dsse *d, const char *text, size_t len, struct err *e);
void dsse_release(struct dsse *d);

/* The first of the keys by which one of the signatures is; NULL if there is none. */
const struct sign_public *dsse_verify(const struct dsse *d, const struct sign_public *keys, size_t nkeys);

/* "DSSEv1 29 http://example.com/HelloWorld 11 hello world" */
void dsse_encode(struct buf *out, const char *type, const void *payload, size_t len);

#endif
