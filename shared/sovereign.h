/*
 * sovereign.h - what the sovereign signs: policy, halt, grants, decisions.
 *
 * Each is canonical JSON in a DSSE envelope. sovereign_open() is the one door: it takes nothing whose form,
 * kind, cluster or signature is not exactly right, so what comes out may be believed; whether it is new enough,
 * still in time and not used yet is asked afterwards, with the time as an argument.
 *
 * Members whose names begin with "x-" are kept and mean nothing; any other unknown member is refused, for it
 * could be a restriction that this program does not know.
 */
#ifndef UW_SOVEREIGN_H
#define UW_SOVEREIGN_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "canonical.h"
#include "dsse.h"
#include "sign.h"
#include "topic.h"
#include "ulid.h"

struct buf;
struct err;

#define SOVEREIGN_MAX_KEYS 8
#define POLICY_MAX_RULES 256
#define POLICY_MAX_PLACES 256
#define POLICY_MAX_HOUSES 64
#define HALT_MAX 64
#define GRANT_MAX_LIVE 64
#define GRANT_MAX_SENDERS 32
#define SOVEREIGN_PATTERN 64    /* bytes, with the NUL */
#define SOVEREIGN_WHY 256       /* bytes, with the NUL */

#define SOVEREIGN_KINDS(X) \
	X(SOVEREIGN_POLICY, "policy") X(SOVEREIGN_HALT, "halt") X(SOVEREIGN_GRANT, "grant") X(SOVEREIGN_DECISION, "decision")

enum sovereign_kind {
#define X(sym, name) sym,
	SOVEREIGN_KINDS(X)
#undef X
	SOVEREIGN_NKINDS
};

const char *sovereign_kind_name(enum sovereign_kind kind);

/* What a house asks of its tasks; see policy.h.     role in houses.yaml */
#define POLICY_PROFILES(X)                                          \
	X(PROFILE_NONE,       "none",       "worker")               \
	X(PROFILE_JUDGE,      "judge",      "judgement")            \
	X(PROFILE_ARCHIVIST,  "archivist",  "archivist")            \
	X(PROFILE_ARTIFICER,  "artificer",  "artificer")            \
	X(PROFILE_DISPATCHER, "dispatcher", "tempo-and-dispatch")

enum policy_profile {
#define X(sym, name, role) sym,
	POLICY_PROFILES(X)
#undef X
	POLICY_NPROFILES
};

#define POLICY_VERDICTS(X) X(POLICY_ALLOW, "allow") X(POLICY_APPROVE, "approve") X(POLICY_DENY, "deny")

enum policy_verdict {
#define X(sym, name) sym,
	POLICY_VERDICTS(X)
#undef X
	POLICY_NVERDICTS
};

struct policy_house {
	char name[NAME_MAX_LEN + 1];
	enum policy_profile profile;
};

/* Patterns of glob.h; empty: any. */
struct policy_rule {
	char house[SOVEREIGN_PATTERN], tool[SOVEREIGN_PATTERN], sender[SOVEREIGN_PATTERN];
	char effect[16];                /* read, idempotent, exclusive; empty: any */
	bool production;
	enum policy_verdict verdict;    /* "then" */
	char why[SOVEREIGN_WHY];
};

struct policy {
	struct policy_house *houses;
	size_t nhouses;
	const char **production;        /* places of production.h */
	size_t nproduction;
	struct policy_rule *rules;
	size_t nrules;
	int64_t approval_s;             /* how long a request may wait */
	bool self_approval;             /* whether the sovereign may approve what he submitted */
};

#define HALT_SCOPES(X) X(HALT_CLUSTER, "cluster") X(HALT_HOUSE, "house") X(HALT_TOOL, "tool")

enum halt_scope {
#define X(sym, name) sym,
	HALT_SCOPES(X)
#undef X
	HALT_NSCOPES
};

/* All that is halted: fewer entries in a halt with a higher number resume the rest. */
struct halt {
	struct halt_entry {
		enum halt_scope scope;
		char name[SOVEREIGN_PATTERN];   /* of the house or tool, exactly */
	} *halts;
	size_t nhalts;
	char why[SOVEREIGN_WHY];
};

struct grant {
	char id[NAME_MAX_LEN + 1];
	char house[NAME_MAX_LEN + 1];           /* exactly; "_" is none */
	char tool[SOVEREIGN_PATTERN];
	const cJSON *params;                    /* NULL: any */
	char senders[GRANT_MAX_SENDERS][SOVEREIGN_PATTERN];
	size_t nsenders;                        /* 0: any */
	int64_t count;                          /* how many tasks may start by it */
	int64_t not_before_ms, expires_ms;
	bool revoked;
	struct grant_live {
		char id[NAME_MAX_LEN + 1];
		int64_t n;
	} live[GRANT_MAX_LIVE];                 /* all in force when this one was signed */
	size_t nlive;
};

struct decision {
	struct ulid task;
	char hash[CANONICAL_HASH];              /* of the request's subject */
	bool approve;
	int64_t expires_ms;
	char note[SOVEREIGN_WHY];
};

struct sovereign {
	enum sovereign_kind kind;
	int64_t n;                      /* 0 in a decision, which is bound to its task instead */
	int64_t time_ms;
	char by[SIGN_ID];               /* id of the key that signed */
	union {
		struct policy policy;
		struct halt halt;
		struct grant grant;
		struct decision decision;
	} u;
	cJSON *tree;                    /* the payload; parts of the above point into it */
};

/* Opens an envelope that must be of this kind and cluster and signed by one of the keys. On failure nothing is
 * to be released; ERR_DENIED means that the form is right and the signature is not ours. */
int sovereign_open(struct sovereign *out, enum sovereign_kind kind, const char *cluster,
    const struct sign_public *keys, size_t nkeys, const char *envelope, size_t len, struct err *e);
void sovereign_release(struct sovereign *s);

/* The number and kind of an envelope whose signature nobody has checked: enough to see that it is old, and
 * nothing else. -1 if it is none. */
int sovereign_peek(const char *envelope, size_t len, enum sovereign_kind *kind, int64_t *n);

/* Adds kind and cluster to members (an object, unchanged), signs and appends the envelope, if the result is
 * one that sovereign_open() takes. */
int sovereign_seal(struct buf *out, enum sovereign_kind kind, const char *cluster, const cJSON *members,
    const struct sign_key *key, struct err *e);

/* Whether it takes the place of the one held (NULL: none), which is of the same kind and, for grants, id: only
 * a higher number does. Decisions do not follow each other: see decision_check(). */
bool sovereign_supersedes(const struct sovereign *s, const struct sovereign *held);

/* Whether the decision may be obeyed now for this task as it is; ERR_DENIED with the reason. used: an attempt was
 * started by it before. */
int decision_check(const struct decision *d, const struct ulid *task, const char *hash, bool used, int64_t now_ms,
    struct err *e);

#endif
