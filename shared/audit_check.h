/*
 * audit_check.h - whether an audit chain is what its agent wrote: all of it, in its order, unchanged.
 *
 * The lines of audit_store.h are handed in one after the other. Each page must be the next one, begin with the
 * record after the last, name the hash of the chain before it, be signed by a key that is the agent's, and hold
 * exactly the records whose digest it names, packed in the one way. What is wrong is told once, where it is; what
 * follows is looked at all the same.
 *
 * What a chain cannot show by itself is that its end was cut off. The end that somebody else knows can be asked for
 * (audit_check_knows()), and the head that stands in the first line is compared.
 */
#ifndef UW_AUDIT_CHECK_H
#define UW_AUDIT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit.h"
#include "sign.h"

#define AUDIT_CHECK_KEYS 64

struct audit_check {
	/* Set by the caller. */
	const char *name;               /* for messages: a file, an agent */
	void *arg;
	void (*problem)(void *arg, const char *name, const char *text);
	/* Each record, with its page; own: its own envelope, or NULL. May be NULL. */
	void (*record)(void *arg, const struct audit_record *r, const struct audit_seal *s, const char *own);
	/* Each page, when its records were told. envelope: as it stands in the line. May be NULL. */
	void (*page)(void *arg, const struct audit_seal *s, const char *envelope);
	/* Whose key it is, from what binds it; -1 with e if nothing vouches for it. NULL: all must be unsigned. */
	int (*key)(void *arg, const char *binding, char agent[64], struct sign_public *out, struct err *e);
	bool part;                      /* it may begin anywhere, and does not say where it ends */
	bool live;                      /* it may go on behind the head that its first line says */

	/* To be read. */
	char agent[64], cluster[64], store[16];
	int64_t head_pages, head_n;     /* as the first line says */
	char head_hash[DIGEST_HEX];
	int64_t made_ms;                /* the first line's time */
	int64_t since_page;             /* the first line says that it begins there on purpose; 0: at the beginning */
	struct audit_checkpoint checkpoint;     /* page 0: none */
	int64_t pages, records, problems;
	int64_t page_at, n;             /* of the last page and the last record */
	int64_t first_n;                /* the first record */
	int64_t first_ms, last_ms;      /* times of the first and the last page */

	/* Its own. */
	struct sign_public keys[AUDIT_CHECK_KEYS];
	size_t nkeys;
	bool begun;
	unsigned char hash[DIGEST_SIZE];
	struct audit_check_end {
		int64_t n;
		unsigned char hash[DIGEST_SIZE];
	} *ends;                        /* of all pages */
	size_t nends, ends_cap;
	struct digest *digest;
	struct audit_pack pack;
};

void audit_check_line(struct audit_check *k, const char *line, size_t len);
void audit_check_end(struct audit_check *k);
void audit_check_release(struct audit_check *k);

/* Whether the chain had this head once. */
enum audit_known { AUDIT_KNOWN, AUDIT_FORGOTTEN, AUDIT_BEYOND, AUDIT_OTHER };
enum audit_known audit_check_knows(const struct audit_check *k, int64_t n, const char *hash);

#endif
