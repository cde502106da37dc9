/*
 * pool.h - worker processes: a prefork pool, one task at a time each.
 *
 * A worker is this same program run as `uni-wizard worker`, spoken to over a socketpair. It leads
 * its own process group; a stop is SIGTERM and, after the grace, SIGKILL to the whole group. When
 * the agent dies, workers and what they started die too. A tool that crashes, leaks or hangs costs
 * its worker, which is replaced, never the agent.
 *
 * Attempts of quick tools (TOOL_QUICK) may be sent to one worker several at a time: it still runs
 * one after the other, and says in shared memory which one it is at, so that a crash is charged to
 * the right one and those behind it are known not to have started.
 *
 * The pool belongs to one loop and is not thread-safe. It never blocks.
 */
#ifndef UW_POOL_H
#define UW_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "err.h"

/* How an attempt ended. */
#define POOL_ENDS(X)                                                                   \
	X(POOL_SUCCEEDED, "result")    /* result holds one JSON value */               \
	X(POOL_FAILED,    "result")    /* the tool reports a failure: err */           \
	X(POOL_TIMEOUT,   "timeout")   /* stopped at its deadline, group gone */       \
	X(POOL_CRASHED,   "crash")     /* its worker died while it ran */              \
	X(POOL_STOPPED,   "stopped")   /* pool_stop(): it never began, or its group is gone */     \
	X(POOL_NOT_RUN,   "lost")      /* its worker died before it began; a quick one may have run */

enum pool_how {
#define X(sym, name) sym,
	POOL_ENDS(X)
#undef X
};

struct pool_end {
	uint64_t handle;
	enum pool_how how;
	const char *result;     /* borrowed for the call; checked to be one JSON value, no newline */
	size_t result_len;
	struct err err;         /* POOL_FAILED, POOL_CRASHED ("killed by signal 11"), POOL_TIMEOUT */
	bool no_effect;         /* POOL_FAILED: the tool knows that nothing was changed */
	bool refused;           /* POOL_FAILED: it did not run, for its terms forbid it */
	bool hopeless;          /* POOL_FAILED: another try would end like this one (retry.h) */
	int64_t retry_after_s;  /* POOL_FAILED: not before that, says whoever was asked; 0: nobody does */
	bool down;              /* POOL_FAILED: it speaks of the tool's target (target.h), not of the task */
	const char *notes;      /* what it read, wrote and proved (notes.h), one line; NULL: no terms. Borrowed */
	size_t notes_len;
	int64_t ran_us;         /* time in the tool */
	int pid;                /* the worker's */
};

struct pool_start {
	uint64_t handle;        /* the caller's, unique among running ones */
	const char *tool;
	const char *house;
	const char *task_id;
	const char *traceparent;        /* NULL or "": none */
	const char *params;     /* a JSON object, copied */
	size_t params_len;
	int64_t timeout_ms;     /* from when the tool begins */
	bool quick;
	bool plan;              /* only say what it would touch: the result is a plan (plan.h) */
	const char *terms;      /* a JSON object, copied: what must hold right before it runs and after (guard.h);
	                         * {} asks for notes alone. NULL: none */
	size_t terms_len;
};

struct pool_opts {
	uv_loop_t *loop;
	const char *exe;        /* this program */
	const char *config_path;
	const char *agent;
	const char *ledger;     /* file that records worker groups for pool_sweep(); NULL: none */
	const char *temp_dir;   /* where temporary directories of tools are made; NULL: they get none */
	unsigned workers;
	int64_t grace_ms;
	size_t max_output;
	void *arg;
	/* Called from pool_read() alone, so they may start and stop attempts. on_log and on_progress, of text that is
	 * valid UTF-8 without NUL, may be NULL. percent -1: not known. */
	void (*on_end)(void *arg, const struct pool_end *end);
	void (*on_log)(void *arg, uint64_t handle, const char *text, size_t len);
	void (*on_progress)(void *arg, uint64_t handle, int percent, const char *note, size_t len);
	/* From the loop: something to read, or a worker changed, so call pool_read() soon. NULL: the pool
	 * does that itself, as it does once pool_close() was called. */
	void (*on_ready)(void *arg);
};

struct pool;
struct buf;

#define POOL_QUICK_DEPTH 64     /* quick attempts one worker may hold */

/* Kills worker groups that a former agent with this ledger left alive (same pid and start time).
 * Returns how many groups were killed. Call before pool_new(). */
int pool_sweep(const char *ledger);

/* Starts the workers; they get ready in the background. -1 if not even the first can be started; the loop
 * must then run once more before it is closed. */
int pool_new(struct pool **out, const struct pool_opts *opts, struct err *e);

/* Stops every worker group (grace, then SIGKILL); on_end is called for what ran, from the loop. done is
 * called when the last one is gone; the pool is freed then. */
void pool_close(struct pool *p, void (*done)(void *arg));

/* How many attempts could be started now. */
unsigned pool_free(const struct pool *p);
unsigned pool_free_quick(const struct pool *p);

/* Queues an attempt to a free worker; it is sent by pool_flush(). The caller has checked pool_free(). */
void pool_start(struct pool *p, const struct pool_start *s);

/* Ends it as POOL_STOPPED, unless its result is already on the way. Unknown handles are no matter. */
void pool_stop(struct pool *p, uint64_t handle);
void pool_flush(struct pool *p);

/* Reads whatever workers have sent, without waiting; returns how many attempts ended. */
int pool_read(struct pool *p);

/* Waits at most us microseconds for a worker to have something; true if one has. */
bool pool_wait(struct pool *p, int64_t us);

/* Why no worker is ready and starting one has failed several times; NULL if that is not so. */
const char *pool_trouble(const struct pool *p);

/* For health: {"workers":4,"busy":1,"started":123,"crashed":0,...,"sandbox":{...}}. */
void pool_put(const struct pool *p, struct buf *out);

#endif
