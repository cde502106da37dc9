/*
 * guard.h - the terms under which a task may have its effect, looked at in the worker right before run().
 *
 * Terms are one JSON object, all members optional; {} asks for notes alone. Whatever is not well-formed,
 * unknown or of a wrong type means that nothing runs (ERR_DENIED): what cannot be read cannot be kept.
 *
 *   production  ["path:/srv/www","repo:/srv/site","service:nginx","url:https://x/"]: without `approved`, a
 *               task that touches one of them, or does not say what it touches, ends with ERR_APPROVAL
 *   approved    true: Timmy has released it
 *   tool        digest of the tool, as whoever set the terms knows it (registry_digest()): another one is
 *               ERR_DENIED
 *   touches     digest of the plan he released (plan_digest()): if it is another now, ERR_DENIED
 *   reads       [{"kind","name","sha256"}]: what exists and would be overwritten, files and refs, must be
 *               among them as it is now, else ERR_DENIED
 *   proof       true: after success prove() has to hold, else ERR_UNPROVEN, which is no "no effect"; a tool
 *               that has none does not even begin
 *
 * What was kept from running has r->refused, and had no effect. Tools that only read are under none of this. Between this look and the effect some time passes: what a tool
 * holds open by then (a directory, a lock) it compares once more with touch_agreed().
 */
#ifndef UW_GUARD_H
#define UW_GUARD_H

#include <stddef.h>

#include "plan.h"

struct tool_run;

/* The plan in place of the effect, as the result. */
int guard_plan(struct tool_run *r, struct buf *result, struct err *e);

/* Looks at the terms, calls run() and then, if they ask for it, for the proof. r->notes is set. */
int guard_run(struct tool_run *r, const char *terms, size_t len,
    int (*run)(struct tool_run *r, struct buf *result, struct err *e), struct buf *result, struct err *e);

/* For tools, at the last moment: fails with ERR_DENIED unless this was in the plan just so. Always holds if
 * nothing was agreed. */
int touch_agreed(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest,
    struct err *e);

#endif
