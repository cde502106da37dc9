/*
 * tool.h - what a worker can run: a row in a table and a function.
 *
 * A built-in tool is one file that ends in a `const struct tool tool_<name>`, plus its line
 * in tools/registry.c. An own tool is an executable with a JSON manifest in a tools.d
 * directory; manifest.c turns it into the same struct.
 *
 * run() is called in a worker process, one at a time, with parameters that passed the schema
 * and have its defaults filled in. It appends one JSON value to `result` and returns 0, or
 * returns -1 with e. Output past the limit is cut by the tool, which says so in its result
 * ("truncated": true and how much there was).
 */
#ifndef UW_TOOL_H
#define UW_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "config.h"
#include "err.h"
#include "json.h"
#include "path.h"
#include "retry.h"
#include "target.h"

/* What a second run could do. Decides what is repeated after a crash. */
#define TOOL_EFFECTS(X)                                                             \
	X(TOOL_READ,       "read")       /* changes nothing */                      \
	X(TOOL_IDEMPOTENT, "idempotent") /* twice is the same as once */            \
	X(TOOL_EXCLUSIVE,  "exclusive")  /* never started twice without being asked */

enum tool_effect {
#define X(sym, name) sym,
	TOOL_EFFECTS(X)
#undef X
	TOOL_NEFFECTS
};

/* TOOL_QUICK: answers from memory within microseconds, starts no process and waits for nothing;
 * several may be sent to a worker at once. Only for effect read. */
#define TOOL_QUICK 1u
/* TOOL_TOLD: it has no effect but that its agent tells of the task. Where there is no agent it is refused. */
#define TOOL_TOLD 2u

struct notes;
struct plan;
struct registry;

/* What a tool may use beside its parameters; made once per worker. */
struct tool_env {
	const struct config *config;
	struct path_roots roots;
	const struct registry *registry;        /* NULL: the worker brings its own tools */
};

struct tool_run {
	const struct tool_env *env;
	const struct tool *tool;
	const cJSON *params;            /* validated object */
	const char *house;              /* the house the task belongs to */
	const char *task_id;
	const char *traceparent;        /* NULL or "": none, see trace.h */
	int64_t deadline_ms;            /* clock_mono_ms() at which the worker is stopped */
	size_t max_output;              /* bytes the result may have */
	bool effect_begun;              /* see tool_effect_begins() */
	bool refused;                   /* its terms kept it from its effect */
	int failed_with;                /* see tool_failed_with() */
	int64_t retry_after_s;
	bool approved;                  /* the sovereign has released this task */
	const struct plan *agreed;      /* what it may touch and how that must be now; NULL: not asked. plan.h */
	struct notes *notes;            /* what it read and wrote goes there; NULL: nobody asks. notes.h */
	/* Live output and how far it is; may be NULL. A tool that waits gives "" now and then, so that what had to wait
	 * can go. */
	void (*log)(void *arg, const char *text, size_t len);
	void (*progress)(void *arg, int percent, const char *note);
	void *arg;
};

struct manifest;

struct tool {
	const char *name;               /* [a-z][a-z0-9_]{0,47} */
	const char *summary;            /* one line */
	const char *schema;             /* JSON Schema of the parameters, see schema.h */
	enum tool_effect effect;
	unsigned flags;
	int timeout_s;                  /* default; a task may ask for another up to max_timeout_s */
	int (*run)(struct tool_run *r, struct buf *result, struct err *e);
	/* What run() would touch if it were called now. NULL: it cannot say, or it only reads. */
	int (*plan)(struct tool_run *r, struct plan *p, struct err *e);
	/* Called after run(), with what that had for a result: looks whether it is so. -1 with e if not. NULL: it
	 * has no proof. */
	int (*prove)(struct tool_run *r, const cJSON *result, struct err *e);
	const struct retry_rule *retry; /* which failures are worth another try, see retry.h; NULL: the usual ones */
	const struct target_rule *target;       /* what it needs beside its agent, see target.h; NULL: nothing */
	const struct manifest *manifest;        /* own tools only */
};

/* An exclusive tool calls this right before the first thing that cannot be taken back. A failure
 * before it is reported as "no effect", so the task is `failed`; after it, as unknown: `uncertain`. */
void tool_effect_begins(struct tool_run *r);
/* ... and this when it learned that the attempt changed nothing after all (a refused push). */
void tool_effect_none(struct tool_run *r);

/* Before it reports a failure: the exit code or status by which retry.h judges, and when to come again if somebody said
 * so (0: nobody did). */
void tool_failed_with(struct tool_run *r, int number, int64_t retry_after_s);

/* How far it is, for whoever watches: cheap, and may be called as often as one likes. percent -1: not known; note
 * NULL: nothing to say. */
void tool_progress(const struct tool_run *r, int percent, const char *note);

/* The registry: built-in tools, then own ones from the configured directories. A bad manifest is
 * reported through warn and left out; the other tools work. */
struct registry *registry_new(const struct config *c, void (*warn)(const char *msg, void *arg), void *arg);
void registry_free(struct registry *r);
const struct tool *registry_find(const struct registry *r, const char *name);
size_t registry_count(const struct registry *r);
const struct tool *registry_at(const struct registry *r, size_t i);    /* sorted by name */

/* What the tool is, as SHA-256 in hexadecimal: of a built-in tool its name, effect and schema and the program's
 * version, the same on every host; of an own one its manifest and its program, as they were when they were loaded. */
const char *registry_digest(const struct registry *r, const struct tool *t);

/* Checks parameters against the tool's schema and fills in defaults. ERR_MISSING or ERR_INVALID with
 * the field as "params.x". params NULL counts as {}. The compiled schema is kept by the registry. */
int registry_check(const struct registry *r, const struct tool *t, cJSON *params, struct err *e);

const char *tool_effect_name(enum tool_effect effect);

/* One tool as a JSON object: name, summary, effect, timeout_s, target, plans, proves, parameters (the schema), source. */
void tool_put(struct buf *b, const struct tool *t);

#endif
