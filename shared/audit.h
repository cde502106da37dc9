/*
 * audit.h - the record of what an agent did, chained so that nothing in it can be changed, left out, put in
 * twice or put elsewhere unseen.
 *
 * A record is about one task that ended, or about one attempt that ran here for another agent's house: who asked
 * for what, and where, when, by what and with what right it was done. For people and other programs it is an
 * in-toto Statement (v1) in canonical JSON (RFC 8785), with the outcome as its subject.
 *
 * A chain is of one agent and one store of it; its records are numbered from 1. The records of one commit are a
 * page. They are kept packed, each as what differs from the one before it; there is one way only to pack them. The
 * page's seal, an in-toto Statement again, has the packed records' SHA-256 as its subject. Its predicate says which
 * page of which chain this is, which records are in it, the hash of the chain before it, the time, and what was last
 * heard of other agents' chains. It moves the chain's hash, 32 zero bytes at first, on:
 *
 *     hash = SHA-256(hash || SHA-256(seal))
 *
 * The agent signs the seal: one signature for all that one fsync made durable, and since it names the hash before
 * it, for all that ever was. A page without records only notes what was heard.
 *
 * Why not a signature for each record: it takes more time than a simple task. Why packed: a statement has 800 bytes,
 * of which 90 say something new, and writing and hashing the others costs as much as all else here.
 */
#ifndef UW_AUDIT_H
#define UW_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "digest.h"
#include "err.h"
#include "ulid.h"

#define AUDIT_STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define AUDIT_PREDICATE_TYPE "https://uni-wizard.dev/provenance/v1"
#define AUDIT_SEAL_TYPE "https://uni-wizard.dev/audit-page/v1"
#define AUDIT_STATEMENT_PAYLOAD "application/vnd.in-toto+json"
#define AUDIT_CHECKPOINT_PAYLOAD "application/vnd.uni-wizard.checkpoint+json"
#define AUDIT_SEEN_MAX 64               /* other agents' chains in one seal */

struct audit_text {
	const char *s;                  /* NULL: absent; not ended by NUL */
	size_t len;
};

struct audit_sum {
	bool set;
	unsigned char b[DIGEST_SIZE];
};

/* What a record says, in the order of the names, which is that of canonical JSON. Absent: texts that are NULL,
 * digests that are not set, numbers that are 0. Times are milliseconds since 1970. JSON is canonical text. */
#define AUDIT_FIELDS(X)                                                                              \
	X(INT,    accepted)             /* time */                                                   \
	X(TEXT,   agent)                /* that made the record */                                   \
	X(JSON,   approval)             /* the decision or grant that was used */                    \
	X(INT,    attempt)              /* how many there were; of an attempt, which */              \
	X(TEXT,   cluster)                                                                           \
	X(INT,    ended)                /* time */                                                   \
	X(TEXT,   error)                /* its code */                                               \
	X(TEXT,   executor)             /* the agent that ran it */                                  \
	X(TEXT,   host)                                                                              \
	X(TEXT,   house)                                                                             \
	X(TEXT,   mode)                 /* unless it is simple */                                    \
	X(NUMBER, n)                    /* in its chain */                                           \
	X(TEXT,   owner)                /* of an attempt: the agent that gave it */                  \
	X(SUM,    params)               /* as they were given to the tool */                         \
	X(JSON,   predicted)                                                                         \
	X(JSON,   proof)                                                                             \
	X(JSON,   reads)                                                                             \
	X(TEXT,   role)                 /* "outcome" or "attempt" */                                 \
	X(INT,    run_us)                                                                            \
	X(TEXT,   sender)               /* proved */                                                 \
	X(INT,    started)              /* time of the last attempt */                               \
	X(TEXT,   state)                /* of the task, or how the attempt ended */                  \
	X(TEXT,   store)                                                                             \
	X(ID,     task)                                                                              \
	X(TEXT,   term)                 /* of the house: under which it was decided */               \
	X(TEXT,   tool)                                                                              \
	X(TEXT,   tool_digest)                                                                       \
	X(TEXT,   version)                                                                           \
	X(JSON,   writes)

#define AUDIT_C_INT int64_t
#define AUDIT_C_NUMBER int64_t
#define AUDIT_C_TEXT struct audit_text
#define AUDIT_C_JSON struct audit_text
#define AUDIT_C_SUM struct audit_sum
#define AUDIT_C_ID struct ulid

struct audit_record {
#define X(kind, name) AUDIT_C_##kind name;
	AUDIT_FIELDS(X)
#undef X
	struct audit_sum outcome;       /* SHA-256 of the outcome: the statement's subject */
};

static inline struct audit_text
audit_text(const char *s)
{
	return (struct audit_text){ s, s ? __builtin_strlen(s) : 0 };
}

/* The statement. */
void audit_put_record(struct buf *b, const struct audit_record *r);

/* Packs a page's records one after the other. Zero-initialise; audit_pack_begin() before each page. */
struct audit_pack {
	struct buf out;
	struct audit_record last;       /* its texts are in texts */
	struct buf *texts;
};
void audit_pack_begin(struct audit_pack *p);
void audit_pack_add(struct audit_pack *p, const struct audit_record *r);
void audit_pack_free(struct audit_pack *p);

/* The other way: r must be zero before a page's first record, and what the call before has left after. Texts are
 * borrowed from *p. Moves *p on; -1 for bytes that audit_pack_add() does not write. */
int audit_unpack(const unsigned char **p, const unsigned char *end, struct audit_record *r);

/* hash = SHA-256(hash || SHA-256(text)) */
void audit_chain(struct digest *d, unsigned char hash[DIGEST_SIZE], const void *text, size_t len);

struct audit_seen {
	char agent[64], store[16], hash[DIGEST_HEX];
	int64_t n;
};

struct audit_seal {
	char agent[64], cluster[64], store[16];
	int64_t page, first, count, time;
	char before[DIGEST_HEX], records[DIGEST_HEX];
	struct audit_seen seen[AUDIT_SEEN_MAX];
	int nseen;
};

void audit_put_seal(struct buf *b, const struct audit_seal *s);
int audit_read_seal(const char *text, size_t len, struct audit_seal *s, struct err *e);

/* All before it was forgotten on purpose. */
struct audit_checkpoint {
	char agent[64], cluster[64], store[16], hash[DIGEST_HEX];
	int64_t page, n, time;          /* the last page and record that are no more; hash: behind that page */
};

void audit_put_checkpoint(struct buf *b, const struct audit_checkpoint *k);
int audit_read_checkpoint(const char *text, size_t len, struct audit_checkpoint *k, struct err *e);

#endif
