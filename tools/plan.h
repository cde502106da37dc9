/*
 * plan.h - what a tool would touch, said before it does.
 *
 * A plan is a list of touches, a target (one line for a person) and a dry run (a diff, a state). What a
 * decision of Timmy binds to is the digest of the list, so it must come out the same whenever it is made of
 * the same state of things: names are absolute and resolved, the list is sorted, and each touch carries the
 * digest of what is there now.
 *
 *   path      a file: its sha256, "" when there is none yet
 *   ref       a branch, `<repository>#<branch>`, or HEAD of it: its commit, "" when there is none
 *   repo      a working tree as a whole: the tree that would be committed, or ""
 *   service   a unit by its full name
 *   url       an address as `scheme://host/path`
 *
 * A touch that is only read (PLAN_READS) is what the effect is made of: it counts in the digest, but does
 * not make a task touch production.
 */
#ifndef UW_PLAN_H
#define UW_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "err.h"

#define PLAN_KINDS(X)           \
	X(PLAN_PATH,    "path") \
	X(PLAN_REF,     "ref")  \
	X(PLAN_REPO,    "repo") \
	X(PLAN_SERVICE, "service") \
	X(PLAN_URL,     "url")

enum plan_kind {
#define X(sym, name) sym,
	PLAN_KINDS(X)
#undef X
	PLAN_NKINDS
};

#define PLAN_MAX 256                    /* touches of one plan */
#define PLAN_DRY_RUN_MAX (16u << 10)
#define PLAN_TARGET_MAX 512
#define PLAN_NAME_MAX 4608              /* a path, '#' and a branch */
#define PLAN_DIGEST 65                  /* SHA-256 or a commit in hexadecimal, and the NUL */

enum plan_access { PLAN_WRITES, PLAN_READS };

struct touch {
	enum plan_kind kind;
	enum plan_access access;
	char *name;
	size_t base;                    /* of name: up to the '#' of a ref, else all of it */
	char digest[PLAN_DIGEST];       /* empty: nothing is there, or nothing that has one */
};

struct plan {
	struct touch *v;                /* sorted by plan_sort() */
	size_t n;
	char target[PLAN_TARGET_MAX];
	bool wants_dry_run;             /* else the tool may leave it out: it can be costly */
	struct buf dry_run;             /* set up by plan_init(); what does not fit is cut and counted */
	size_t left_out;                /* bytes of the dry run */
};

void plan_init(struct plan *p, bool wants_dry_run);
void plan_release(struct plan *p);

/* digest may be NULL. ERR_TOO_BIG past PLAN_MAX, ERR_INVALID for a name that is not UTF-8
 * or has control characters. */
int plan_touch(struct plan *p, enum plan_kind kind, enum plan_access access, const char *name,
    const char *digest, struct err *e);

/* A branch (or HEAD) of a repository, which is a place on the disk or a URL. */
int plan_touch_ref(struct plan *p, enum plan_access access, const char *repo, const char *branch,
    const char *digest, struct err *e);

/* What it is done to, in a line: once. */
void plan_target(struct plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Text for the dry run; bytes that are not UTF-8 become U+FFFD when it is written out. */
void plan_show(struct plan *p, const char *text, size_t len);
void plan_showf(struct plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts touches in order and takes out what is there twice. */
void plan_sort(struct plan *p);

/* The touch of this kind and name, or NULL. */
const struct touch *plan_find(const struct plan *p, enum plan_kind kind, const char *name);

/* {"touches":[...],"target":"...","dry_run":"..."}; p is sorted. */
void plan_put(struct buf *b, const struct plan *p);
/* The same of a tool that cannot say: {"touches":null}. */
void plan_put_unknown(struct buf *b);

/* SHA-256 over the canonical JSON of the list of touches, as terms have it. */
int plan_digest(const struct plan *p, char hex[PLAN_DIGEST], struct err *e);

const char *plan_kind_name(enum plan_kind kind);
int plan_kind_parse(const char *name, enum plan_kind *out);     /* -1 if there is none */

#endif
