/*
 * harness.h - inside of uni_wizard.h: calls, and the two places where they can run.
 *
 * harness.c has the public functions, harness_here.c runs calls in worker processes of its own,
 * harness_agent.c gives them to an agent. A backend ends each call once, with call_end().
 */
#ifndef UW_HARNESS_H
#define UW_HARNESS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "config.h"
#include "err.h"
#include "ulid.h"
#include "uni_wizard.h"

struct tool;

struct call {
	int64_t number;
	char id[ULID_TEXT];
	uw_done done;
	void *arg;
	int64_t give_up_ms;             /* clock_mono_ms(); INT64_MAX: never */
	struct call *next, *prev;       /* in the order they were made */

	/* here */
	const struct tool *tool;
	char *params;
	struct call *queued;            /* next that waits for a worker */
	bool started;
	int lost;                       /* times its worker died before it began */
	/* at an agent */
	char *line;                     /* the request, to be sent again after a reconnect */
	bool accepted;

	bool stopping;
	bool gave_up;                   /* stopping because its time is up */
};

/* What a call came to. Text is borrowed. */
struct call_result {
	enum uw_state state;
	const char *json;
	size_t json_len;
	const struct err *err;
	int64_t run_us;
};

struct backend {
	const char *name;
	/* Takes params. On failure the call has not been started. */
	int (*start)(struct uw_harness *h, struct call *c, const char *tool, cJSON *params, struct err *e);
	void (*cancel)(struct uw_harness *h, struct call *c);
	void (*work)(struct uw_harness *h, int timeout_ms);     /* waits for something once, and does it */
	int (*fd)(const struct uw_harness *h);
	int (*timeout)(const struct uw_harness *h);             /* milliseconds or -1 */
	void (*close)(struct uw_harness *h);
};

extern const struct backend backend_here, backend_agent;

struct uw_harness {
	struct config config;
	char house[NAME_MAX_LEN + 1];   /* "_": the router's */
	enum uw_mode mode;
	int workers, timeout_s, wait_ms;
	char *program, *agent;          /* agent: NULL if any will do */
	const struct backend *backend;
	void *place;                    /* the backend's own */

	struct call *first, *last;
	int pending;
	int64_t numbers;                /* given out */
	int ended;                      /* in this uw_harness_run() */
	bool inside;                    /* a callback is running */
};

/* place is set on success. */
int here_open(struct uw_harness *h, struct err *e);
int agent_side_open(struct uw_harness *h, struct err *e);

/* Tells the caller and frees c. */
void call_end(struct uw_harness *h, struct call *c, const struct call_result *r);
void call_fail(struct uw_harness *h, struct call *c, enum uw_state state, const struct err *e);

const char *harness_state_name(enum uw_state s);
int harness_state_parse(const char *name, enum uw_state *out);

#endif
