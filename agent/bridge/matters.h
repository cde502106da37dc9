/*
 * matters.h - what the bridge has to do, on disk: one row for each issue and pull request, beside it how far the
 * repositories were read, deliveries that came, and sums.
 *
 * It only saves work. Gitea's labels and the marker in our comment are the truth, and houses know a task by its id
 * and key: a successor with an empty file comes to the same.
 *
 * Times are wall clock, ms since 1970.
 */
#ifndef UW_MATTERS_H
#define UW_MATTERS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "db.h"
#include "event.h"
#include "gitea.h"
#include "topic.h"
#include "ulid.h"

struct err;

#define MATTERS_DONE_MAX 20000          /* that are done are remembered; beyond it the oldest go */
#define MATTERS_DELIVERIES_MAX 4096
#define MATTERS_STATE_MAX 32

/* The numbers are stored.  name in the status */
#define MATTER_STAGES(X)                                                            \
	X(MATTER_NEW,     "new")        /* not looked at */                         \
	X(MATTER_SHOWN,   "shown")      /* there is a comment; labels, task are next */ \
	X(MATTER_OUT,     "out")        /* a house has the task */                  \
	X(MATTER_DONE,    "done")                                                   \
	X(MATTER_GIVEN_UP, "given_up")

enum matter_stage {
#define X(sym, name) sym,
	MATTER_STAGES(X)
#undef X
	MATTER_NSTAGES
};

/* Who told of it first. */
enum matter_source { MATTER_WEBHOOK, MATTER_POLL, MATTER_NSOURCES };

struct matter {
	int64_t row;
	char repo[GITEA_REPO_MAX];
	int64_t number;
	enum matter_stage stage;
	enum matter_source source;
	cJSON *facts;
	int64_t created_ms, seen_ms;
	int64_t triaged_ms;             /* 0: not yet */
	bool adopted;                   /* triaged by another before us */
	int tries;                      /* that failed for its own reasons */
	int64_t next_ms;                /* not before that */
	int64_t comment;                /* 0: none */
	char rule[NAME_MAX_LEN + 1];    /* "": none */
	char house[NAME_MAX_LEN + 1];
	char first[ULID_TEXT];          /* of its tasks, as its house knows it; "": none */
	int round;                      /* how often it was opened again, by our comment, or as it will say; < 0: that was not read */
	enum { MATTER_SETTLED, MATTER_REOPENED, MATTER_COUNTED } again;  /* opened again; and the round is known */
	size_t step;                    /* which of them goes on now: those before it have succeeded */
	char task[ULID_TEXT];           /* that one's id, as it was given; "": none */
	char known[ULID_TEXT];          /* by which its house knows it, if that is another */
	char state[MATTERS_STATE_MAX];  /* of the task, as far as we know */
	char shown[MATTERS_STATE_MAX];  /* as the comment says */
	char *outcome;                  /* JSON; NULL: none */
	char *past;                     /* list of the outcomes of those before it, without their results; NULL: none */
	char *said;                     /* what was suggested, see said.h; kept by its lesson; NULL: nothing */
};

struct matters {
	struct db db;
};

/* Of the database. */
int matters_store_version(void);

int matters_open(struct matters *m, const char *path, struct err *e);
void matters_close(struct matters *m);

/* Between these, what is changed is on disk only at the end. */
int matters_begin(struct matters *m, struct err *e);
int matters_commit(struct matters *m, struct err *e);

/* It is open. 1: it is new, or is opened again after it was done and then closed; 0: that was known. young: it may be new. */
int matters_add(struct matters *m, const cJSON *facts, enum matter_source source, bool young, int64_t now_ms, struct err *e);
/* It is closed. What is told late, by Gitea's clock, counts for nothing. */
int matters_closed(struct matters *m, const cJSON *facts, enum matter_source source, bool young, int64_t now_ms, struct err *e);
/* By our comment, of one whose round is not known. */
int matters_round(struct matters *m, const char *repo, int64_t number, int round, struct err *e);
/* In a new life: of those whose round is not known somebody else may have seen to it that they were opened again. */
int matters_doubt(struct matters *m, struct err *e);
/* The pull request was merged; 1: that is news. */
int matters_merged(struct matters *m, const char *repo, int64_t number, int64_t merged_ms, struct err *e);

/* The one of that stage that has waited longest. 1: there is one; the caller calls matter_release(). */
int matters_due(struct matters *m, enum matter_stage stage, int64_t now_ms, struct matter *out, struct err *e);
/* One whose comment is behind; likewise. */
int matters_behind(struct matters *m, int64_t now_ms, struct matter *out, struct err *e);
/* By its task's id, either of them; likewise. */
int matters_by_task(struct matters *m, const char *task, struct matter *out, struct err *e);
/* Those that are out, one after the other from row 0; likewise. */
int matters_next_out(struct matters *m, int64_t after_row, struct matter *out, struct err *e);
int matters_save(struct matters *m, const struct matter *x, struct err *e);
void matter_release(struct matter *x);

/* How many are new, shown or out. */
int64_t matters_open_count(struct matters *m);
int64_t matters_count(struct matters *m, enum matter_stage stage);

/* How far a repository was read; 0: never. */
int64_t matters_cursor(struct matters *m, const char *repo);
int matters_set_cursor(struct matters *m, const char *repo, int64_t since_ms, struct err *e);

int matters_deliver(struct matters *m, const char *id, int64_t now_ms, struct err *e);
void matters_deliveries(struct matters *m, void (*each)(void *arg, const char *id), void *arg);

/* Sums by name, kept. */
int matters_count_up(struct matters *m, const char *name, int64_t by, struct err *e);
int64_t matters_sum(struct matters *m, const char *name);

/* From creation to triage, of those told first by source that were triaged here: the value below which are `share` of
 * the latest at most 10,000; *n: how many these are. */
int64_t matters_latency(struct matters *m, enum matter_source source, double share, int64_t *n);
int64_t matters_merged_since(struct matters *m, int64_t since_ms);

/* Forgets what is done and beyond the bounds. */
int matters_prune(struct matters *m, struct err *e);

const char *matter_stage_name(enum matter_stage s);

#endif
