/*
 * task.h - the vocabulary of tasks: the states with their legal moves, and a task as somebody
 * sends it.
 */
#ifndef UW_TASK_H
#define UW_TASK_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "topic.h"
#include "trace.h"
#include "ulid.h"

struct err;

/* The numbers are stored: append only. Terminal states say so.
 *        symbol             on the wire          terminal */
#define TASK_STATES(X)                                     \
	X(TASK_ACCEPTED,     "accepted",         false)    \
	X(TASK_WAITING,      "waiting_approval", false)    \
	X(TASK_SCHEDULED,    "scheduled",        false)    \
	X(TASK_QUEUED,       "queued",           false)    \
	X(TASK_STARTING,     "starting",         false)    \
	X(TASK_RUNNING,      "running",          false)    \
	X(TASK_RETRYING,     "retrying",         false)    \
	X(TASK_UNCERTAIN,    "uncertain",        false)    \
	X(TASK_FORWARDED,    "forwarded",        false)    \
	X(TASK_SUCCEEDED,    "succeeded",        true)     \
	X(TASK_FAILED,       "failed",           true)     \
	X(TASK_DEAD,         "dead",             true)     \
	X(TASK_CANCELLED,    "cancelled",        true)     \
	X(TASK_EXPIRED,      "expired",          true)     \
	X(TASK_DENIED,       "denied",           true)

enum task_state {
#define X(sym, name, terminal) sym,
	TASK_STATES(X)
#undef X
	TASK_NSTATES
};

const char *task_state_name(enum task_state s);
int task_state_parse(const char *name, enum task_state *out);
bool task_state_is_terminal(enum task_state s);
bool task_may_enter(enum task_state from, enum task_state to);

#define TASK_MODES(X) X(MODE_SIMPLE, "simple") X(MODE_INTELLIGENT, "intelligent") X(MODE_SOVEREIGN, "sovereign")

enum task_mode {
#define X(sym, name) sym,
	TASK_MODES(X)
#undef X
	TASK_NMODES
};

const char *task_mode_name(enum task_mode m);

#define TASK_PRIORITIES 10      /* 0 to 9, 9 most urgent */
#define TASK_PRIORITY_DEFAULT 4
#define TASK_KEY_MAX 200
#define TASK_AFTER_MAX 64       /* tasks that one may wait for */

/* A task as its sender wrote it. Pointers are borrowed from the tree it was read from. */
struct task_msg {
	bool has_id;
	struct ulid id;
	char tool[48];
	cJSON *params;                  /* NULL: none given */
	enum task_mode mode;
	int64_t priority;
	int64_t not_before_ms;          /* wall clock; 0: at once */
	int64_t deadline_ms;            /* wall clock; 0: none */
	int64_t timeout_s;              /* 0: the tool's default */
	int64_t retry_max;              /* attempts altogether; 0: not given */
	int64_t retry_base_s, retry_cap_s;
	const char *key;                /* idempotency; NULL: none */
	const cJSON *labels;
	const cJSON *after;             /* list of ids, each once; NULL: it waits for none */
	int nafter;
	bool after_any;                 /* however they end */
	char traceparent[TRACE_MAX];    /* "": none; whether it is one is not checked here, see trace.h */
	/* Believed only from the acting owner of the house "_". */
	char from[NAME_MAX_LEN + 1];
	const char *reply_topic;
	const char *reply_correlation;  /* hexadecimal */
};

/* Checks every field it knows; unknown ones are left alone and kept. */
int task_msg_read(const cJSON *obj, struct task_msg *m, struct err *e);

#endif
