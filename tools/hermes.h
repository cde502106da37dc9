/*
 * hermes.h - one run of Hermes, an AI agent on this machine: what hermes_run.c and the two ways to reach it share.
 *
 * hermes_run.c   the tool: parameters, result
 * hermes_api.c   over its HTTP API (/v1/runs), where hermes.url says where that is
 * hermes_cli.c   by its command line (`chat -q`), otherwise
 * hermes_tell.c  what a run over HTTP did, for `uni-wizard hermes tail` on this machine
 *
 * Neither way lets Hermes approve anything by itself: never `-z`, never `--yolo`.
 */
#ifndef UW_HERMES_H
#define UW_HERMES_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

struct tool_run;

#define HERMES_ASKED_MAX 4096           /* of a command that Hermes asks about; a longer one is never allowed */

struct hermes {
	struct tool_run *r;
	const char *prompt, *model, *provider, *path;   /* NULL: not given */
	const char *toolsets;           /* "a,b"; "": not given */
	char session[136];              /* "": none yet */
	int64_t max_turns;              /* 0: not given */
	int64_t until_ms;               /* clock_mono_ms() at which it is stopped */

	char id[72];                    /* of the run; "": it has none */
	struct buf output;
	cJSON *usage;                   /* NULL: not told */
	int64_t tools, tools_done, tools_failed;        /* that it called, as far as is told */
	bool blind;                     /* events are missing: the stream was cut, or could not be read */
	char asked[HERMES_ASKED_MAX];   /* what it wanted to run and was not allowed; "": nothing */
};

/* 0: it has completed, and output has its text. Before they return -1 with e, a run that goes on is stopped. */
int hermes_api(struct hermes *h, struct err *e);
int hermes_cli(struct hermes *h, struct err *e);

/* What Hermes says of a run by now: "completed" and the like. */
int hermes_api_status(struct tool_run *r, const char *id, char *status, size_t size, struct err *e);

/* Whether the task lets it run just this, and the sovereign has approved the task. */
bool hermes_may(const struct hermes *h, const char *command);

/* The task is being stopped: SIGTERM came. Between hermes_catch() and hermes_release(), which lets it take its course. */
void hermes_catch(void);
bool hermes_is_stopped(void);
void hermes_release(void);

/* One event of the run, as it came, to whoever listens at hermes.listen; nothing if nobody does. */
void hermes_tell(const struct hermes *h, const cJSON *event);

#endif
