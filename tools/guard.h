/*
 * guard.h - the terms under which a task may have its effect, looked at in the worker right before run().
 *
 * Terms are one JSON object, all members optional; {} asks for notes alone. Whatever is not well-formed,
 * unknown or of a wrong type means that nothing runs (ERR_DENIED): what cannot be read cannot be kept.
 *
 *   production  ["path:/srv/www","repo:/srv/site","service:nginx","url:https://x/"]: without `approved`, a
 *               task that touches one of them, or does not say what it touches, ends with ERR_APPROVAL
 *   approved    true: Timmy has released it
 *   touches     digest of the plan he released (plan_digest()): if it is another now, ERR_DENIED
 *   reads       [{"kind","name","sha256"}]: what exists and would be overwritten, files and refs, must be
 *               among them as it is now, else ERR_DENIED
 *   proof       true: after success prove() has to hold, else ERR_UNPROVEN, which is no "no effect"; a tool
 *               that has none does not even begin
 *
 * Tools that only read are under none of this. Between this look and the effect some time passes: what a tool
 * holds open by then (a directory, a lock) it compares once more with touch_agreed().
 */
#ifndef UW_GUARD_H
#define UW_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "plan.h"

struct tool_run;
struct cJSON;

struct guard {
	struct cJSON *terms;
	struct plan plan;       /* of the task as it is now, if terms ask for one */
	bool planned;
};

/* 0: it may run, with r->agreed set if there was something to compare. g is to be released either way. */
int guard_check(struct guard *g, struct tool_run *r, const char *terms, size_t len, struct err *e);
bool guard_wants_proof(const struct guard *g, const struct tool_run *r);
void guard_release(struct guard *g);

/* For tools, at the last moment: fails with ERR_DENIED unless this was in the plan just so. Always holds if
 * nothing was agreed. */
int touch_agreed(const struct tool_run *r, enum plan_kind kind, const char *name, const char *digest,
    struct err *e);

#endif
