/*
 * bridge.h - the watch over a Gitea: a process of its own, kept by the agent that owns its house (agent/keeper.h).
 *
 * It learns of issues and pull requests by webhook and by polling, follows the first rule that fits, gives the rule's task to
 * its house, and tells in one comment what becomes of it. It may be killed at any moment: what it does next follows from
 * what is in Gitea (our comment with its marker), at the houses (tasks by id and key), and only to save work in its own file.
 *
 * bridge.c   the process and its loop
 * desk.c     one thing at a time that needs Gitea
 * study.c    what was there before, to learn from
 * answer.c   what houses say
 * figures.c  what it measures, for `uni-wizard allegro`
 * lesson.c   what it learns from people, and suggests
 * event.c rule.c comment.c said.c hook.c uplink.c matters.c   without all that
 */
#ifndef UW_BRIDGE_H
#define UW_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "config.h"
#include "gitea.h"
#include "hook.h"
#include "lesson.h"
#include "matters.h"
#include "rule.h"
#include "uplink.h"

struct buf;
struct err;

#define BRIDGE_SILENCE_MS 3000          /* of the agent: then nothing is begun, */
#define BRIDGE_STOP_MS 4000             /* and what was begun ends */

struct bridge {
	const struct config *c;
	const char *agent;
	struct matters m;
	struct lessons lessons;
	struct gitea *gitea;
	struct client *client;
	struct hook *hook;              /* NULL: no webhooks are taken */
	struct rules *rules;
	struct uplink up;
	char login[GITEA_LOGIN_MAX];    /* ours; "": not known yet */
	cJSON *labels;                  /* by repository: ids by name */
	int64_t poll_ms[CONFIG_MAX_REPOSITORIES];       /* mono: when to ask each repository again */
	int64_t asked_row;              /* whose task was asked for last */
	int64_t started_ms;             /* mono */
	int64_t heard_ms;               /* mono: of the agent, that the house is ours */
	int64_t told_ms;                /* mono: when Gitea's being away was last told */
	int64_t yield_ms;               /* mono: not to be given away before that */
	int64_t yields;                 /* in a row, in former lives too */
	int64_t second_ms, figures_ms, prune_ms;        /* mono: when that is due */
	int64_t lesson_ms;              /* mono: when the next lesson may be looked up */
	bool listens, told_listen;
	bool failed;                    /* the file does not take anything: the process ends */
};

/* Until the agent ends it, or is gone (end of file on standard input). Returns an exit code. */
int bridge_run(const struct config *c, const char *agent);

/* desk.c: does one thing, if there is any. */
bool desk_step(struct bridge *b);
/* Facts of an issue or pull request, from wherever; they are freed. True: that was news. */
bool desk_take(struct bridge *b, cJSON *facts, enum matter_source source);

/* It is so now: somebody may have made something of it that can be learned. */
void desk_learn(struct bridge *b, const cJSON *facts);
/* Our comment on it, and what its record says, into x; comment 0: there is none. */
int desk_find(struct bridge *b, const char *repo, int64_t number, struct matter *x, bool *has_record, struct err *e);
/* What it changes, which the caller frees, also on failure. */
int desk_files(struct bridge *b, const struct matter *x, cJSON **paths, struct err *e);
/* How the latest call of Gitea's went. True if all of Gitea is concerned. */
bool desk_note(struct bridge *b, int rc, const struct err *e);
void desk_complain(struct bridge *b, const struct err *e);
void desk_failed(struct bridge *b, const struct err *e);        /* the file does not take anything */

/* study.c: learns something of what was before, if there is more. */
bool study_step(struct bridge *b);

/* answer.c */
void answer_take(void *arg, const struct client_reply *r);
void answer_ask(struct bridge *b);      /* once a second: how the tasks are that have not ended */
/* Gives those of its tasks that have not ended, as far as we know. rule: NULL gives none. */
int answer_submit(struct bridge *b, const struct matter *x, const struct config_triage *rule, struct err *e);

/* figures.c: one object, which is kept in a file for others to read. */
void figures_write(struct bridge *b);
/* What the bridge of that agent told last; NULL: nothing. The caller frees it. */
cJSON *figures_read(const struct config *c, const char *agent);
bool figures_are_fresh(const cJSON *o);         /* the bridge runs; o may be NULL */

#endif
