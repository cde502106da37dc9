/*
 * mcp_jobs_impl.h - what the parts of mcp_jobs.c know of each other: mcp_run.c a task that runs, mcp_look.c one that is looked for or
 * cancelled, mcp_list.c lists.
 *
 * Replies say which task they are about, not whose question they answer. So each job takes what is told of its task, whoever asked.
 */
#ifndef UW_MCP_JOBS_IMPL_H
#define UW_MCP_JOBS_IMPL_H

#include "mcp_jobs.h"
#include "rows.h"
#include "task.h"

#define JOB_LOOK_MS 250                 /* how a task is, ever more rarely up to ... */
#define JOB_LOOK_MAX_MS 2000
#define JOB_CANCEL_MAX_MS 15000

/* Of looks and lists; a task that runs has none. */
enum stage { STAGE_FIND, STAGE_FOLLOW, STAGE_CANCEL, STAGE_QUEUED, STAGE_LIST, STAGE_DETAILS };

struct job {
	struct job *next;
	struct mcp_call *call;          /* NULL: nobody waits for its end */
	enum mcp_ask ask;
	enum stage stage;
	struct ulid id;
	char id_text[ULID_TEXT];
	char house[NAME_MAX_LEN + 1];   /* that has it; "": not known */
	bool accepted;                  /* by its house */
	bool handed_on;                 /* by the router, at least */
	bool put_off;                   /* its house is busy */
	int asked, answered;
	cJSON *seen;                    /* what was told of the task last */
	cJSON *list;                    /* rows that were found */
	char why[80];                   /* the list is not complete */
	int64_t begun_ms, end_ms;
	int64_t accept_ms;              /* accepted until then; or found */
	int64_t due_ms, pause_ms;       /* the next look */
	int64_t waits_ms;               /* since when it waits for approval; 0: it does not */
	char told[24];                  /* the state that progress told last */
	int64_t told_ms;
};

struct jobs {
	struct jobs_opts o;
	struct mcp *mcp;
	struct client *client;
	struct job *first;
	struct job *lister;             /* one list at a time: rows do not say whose they are */
	struct rows rows;
	bool listens;                   /* to progress */
};

int64_t jobs_answer_ms(const struct jobs *j);
void jobs_listen(struct jobs *j);       /* to what tools say of their progress */

bool job_has_ended(const char *state);
bool job_is_waiting(const char *state);         /* for approval */

/* What a client is told of a task: o is a reply about it; or its state is told otherwise, for nobody has said anything. */
void job_put_task(struct buf *b, const struct jobs *j, const char *id, const cJSON *o, const char *otherwise);

/* Each ends the job, and frees it. state NULL: it has none. */
void job_end_with(struct jobs *j, struct job *b, const struct buf *json, bool is_error);
void job_end_task(struct jobs *j, struct job *b, const cJSON *o, const char *otherwise, bool is_error);
void job_end_error(struct jobs *j, struct job *b, const char *state, const struct err *e);
void job_end_no_answer(struct jobs *j, struct job *b);

/* One request to one house; to that which has the task, or to all; about the task. */
void job_ask_house(struct jobs *j, struct job *b, enum topic_kind kind, const char *house, const char *json);
void job_ask(struct jobs *j, struct job *b, enum topic_kind kind, const char *json);
void job_ask_for(struct jobs *j, struct job *b, enum topic_kind kind);
void job_look(struct jobs *j, struct job *b, int64_t now_ms);   /* and says when the next is due */

/* Keeps what was told of the task. */
void job_see(struct job *b, const cJSON *o);

/* Progress: the state, when it is another one or was not told for a while. */
void job_tell(struct jobs *j, struct job *b, const char *state, const char *house, int64_t now_ms);

void job_run_begin(struct jobs *j, struct job *b);
void job_run_reply(struct jobs *j, struct job *b, const struct client_reply *r, int64_t now_ms);
void job_run_tick(struct jobs *j, struct job *b, int64_t now_ms);
void job_run_stop(struct jobs *j, struct job *b);       /* it is a cancel from now on */

void job_find_begin(struct jobs *j, struct job *b);
void job_look_reply(struct jobs *j, struct job *b, const struct client_reply *r, int64_t now_ms);
void job_look_tick(struct jobs *j, struct job *b, int64_t now_ms);

void job_list_begin(struct jobs *j, struct job *b);
void job_list_reply(struct jobs *j, struct job *b, const struct client_reply *r, int64_t now_ms);
void job_list_tick(struct jobs *j, struct job *b, int64_t now_ms);

#endif
