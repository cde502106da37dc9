/*
 * coretest.h - drives one core as the agent's shell does, on a clock of its own and with a store in a
 * temporary directory. What leaves the core is kept, line by line; what starts is kept until the test
 * ends it.
 */
#ifndef UW_CORETEST_H
#define UW_CORETEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core.h"
#include "json.h"
#include "ulid.h"

#define T0 1764000000000                /* the wall clock when a test begins */

/* A line that was published, or given to a local connection. */
struct line {
	char *topic;                    /* NULL: local */
	char *response, *correlation;
	uint64_t conn;
	int message;                    /* which publish it was part of */
	cJSON *v;
};

struct started {
	uint64_t handle;
	char tool[48], house[40], id[ULID_TEXT];
	char *params;
	int64_t timeout_ms;
	bool quick, committed;          /* committed: it came after the commit */
};

struct coretest {
	char dir[64];
	struct config config;
	struct registry *tools;
	struct core *core;
	struct core_now now;
	const char *agent;
	bool open;                      /* a turn is */
	unsigned idle, quick;           /* slots of the pool that is played here */
	int mid;                        /* of the last message delivered */
	int out_mid;
	bool hold_acks;                 /* do not acknowledge publishes */
	int *unacked;
	size_t nunacked;
	struct line *lines;
	size_t nlines, cap_lines;
	int messages;
	struct started *run;            /* out, in the order they started */
	size_t nrun, cap_run;
	size_t nstarted;                /* ever */
	uint64_t stopped[64];
	size_t nstopped;
	int64_t next;                   /* what core_end() said */
	struct err e;
};

/* more: lines of YAML beside the usual ones, may be NULL. */
void ct_setup(struct coretest *t, const char *more);
void ct_setup_agent(struct coretest *t, const char *agent, const char *more);
void ct_teardown(struct coretest *t);
void ct_open(struct coretest *t);
/* As if killed: what was not committed is gone, and the store is opened again. */
void ct_kill(struct coretest *t);
const char *ct_store(const struct coretest *t);
/* From the next opening on that house of the configuration is this agent's alone. */
void ct_give_house(struct coretest *t, int house, const char *agent);

void ct_begin(struct coretest *t);
/* Starts, commits, releases effects, acknowledges publishes, ends. -1 if the commit failed: the turn stays open. */
int ct_turn(struct coretest *t);
void ct_pass(struct coretest *t, int64_t ms);   /* time goes by; no turn */
void ct_up(struct coretest *t, bool session);
void ct_down(struct coretest *t);

/* Delivers a message of sender's to a house, in an open turn. text may have ' for ". */
void ct_task(struct coretest *t, const char *house, const char *sender, const char *text);
void ct_taskf(struct coretest *t, const char *house, const char *sender, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void ct_message(struct coretest *t, struct mqtt_msg m);
/* Whatever topic; reply is the response topic. */
void ct_send(struct coretest *t, const char *topic, const char *text, const char *reply, const char *correlation);
void ct_local(struct coretest *t, uint64_t conn, const char *text);

/* Ends of attempts, in an open turn. */
struct started *ct_running(struct coretest *t, const char *id);
void ct_end(struct coretest *t, const char *id, enum pool_how how, const char *result);
void ct_end_all(struct coretest *t);            /* all that runs has succeeded */

/* Lines with this id and type that were published on the stream of a house; id or type NULL: any. */
size_t ct_count(const struct coretest *t, const char *topic_part, const char *id, const char *type);
/* The last such line; fails the test if there is none. */
const cJSON *ct_last(const struct coretest *t, const char *topic_part, const char *id, const char *type);
void ct_forget(struct coretest *t);             /* lines so far */
const char *ct_str(const cJSON *v, const char *path);   /* "error.field"; "" if absent */
int64_t ct_num(const cJSON *v, const char *path);
/* State of a task as a query tells it; "" if unknown. */
const char *ct_state(struct coretest *t, const char *id);
/* A number of the health message's first owned house, or of the message itself. */
int64_t ct_health(struct coretest *t, const char *house, const char *name);

/* One number from a query on the store, beside the core's connection. */
int64_t ct_sql(struct coretest *t, const char *sql);
/* id number n: the time T0 and n. */
const char *ct_id(int n);
const char *ct_id_at(int64_t ms, int n);

#endif
