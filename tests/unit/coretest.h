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
#include "trace.h"
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
	char *params, *terms;           /* terms NULL: none */
	char traceparent[TRACE_MAX];
	int64_t timeout_ms;
	bool quick, plan, committed;    /* committed: it came after the commit */
};

struct coretest {
	struct net *net;                /* NULL: it is alone */
	uint64_t seed;
	char dir[64];
	struct config config;
	struct registry *tools;
	struct core *core;
	struct core_now now;
	const char *agent;
	int protocol;                   /* what it speaks from the next opening on; 0: ours */
	int (*sign)(void *arg, const char *type, const void *payload, size_t len, struct buf *envelope, struct err *e);
	void *sign_arg;                 /* as in struct core_opts, from the next opening on */
	const char *sign_binding;
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
void ct_end_with(struct coretest *t, const char *id, const struct pool_end *end);        /* all but its handle */
void ct_end_all(struct coretest *t);            /* all that runs has succeeded */
/* Its target was to blame. */
void ct_end_down(struct coretest *t, const char *id);
/* Its terms kept it from running. */
void ct_refuse(struct coretest *t, const char *id, enum err_code code, const char *why);
void ct_end_noted(struct coretest *t, const char *id, const char *result, const char *notes);

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

/* ---- several cores, and a broker between them ---- */

#define NET_MAX 3
#define NET_STEP_MS 50

struct net_message;
struct net_messages {
	struct net_message *head, **end;
};

struct net_node {
	struct coretest t;
	bool dead, up;
	bool cut;                       /* nothing passes in either direction, and nobody is told */
	bool frozen;                    /* it does nothing, and does not notice */
	char *will;
	char filters[64][TOPIC_MAX];
	int qos[64], nfilters;
	struct net_messages inbox;      /* its session: what is QoS 1 stays while it is away */
	int64_t beat_ms;
};

struct net {
	struct net_node node[NET_MAX];
	int n;
	struct net_messages retained;
	/* A fault of the test's: true if this message does not reach that agent. NULL: none. */
	bool (*loses)(const struct net *net, int to, const char *topic, const char *payload);
};

/* House ezra has the candidates ezra-1, timmy-1, bezalel-1 in this order, which are the nodes 0 to n - 1, all
 * connected. ezra: what the file says of the house, NULL: that ezra-1 does its work. router: its candidates, NULL:
 * bezalel-1. Whoever does not work for house ezra has a house of its own, house-<node>. */
void net_setup(struct net *net, int n, const char *ezra, const char *router);
/* more: lines of YAML beside the usual ones. */
void net_setup_more(struct net *net, int n, const char *ezra, const char *router, const char *more);
void net_teardown(struct net *net);
/* Time goes by in steps. At the end of each at most one that is awake owns the house. */
void net_run(struct net *net, int64_t ms);
/* Until then; how long it took, or -1. */
int64_t net_wait_owner(struct net *net, int i, int64_t max_ms);
int64_t net_wait_in_step(struct net *net, int i, int64_t max_ms);       /* by its own and the owner's account */
/* The usual beginning: node 0 owns the house, the others are in step. */
void net_begin(struct net *net);
int net_owner(const struct net *net);                   /* -1: none */
struct house *net_house(struct net *net, int i);
void net_up(struct net *net, int i);
void net_down(struct net *net, int i);                  /* the broker notices, and publishes the will */
void net_kill(struct net *net, int i);                  /* likewise, and its memory is gone */
void net_start(struct net *net, int i);                 /* again, with the disk that it had */
void net_lose_disk(struct net *net, int i);             /* of one that is dead */
/* Some client's, or a forged one: to whoever has subscribed. ' stands for ". */
void net_publish(struct net *net, const char *topic, const char *text, const char *reply);
void net_task(struct net *net, const char *sender, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void net_query(struct net *net, const char *kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The retained message whose topic has this in it; NULL: there is none. The caller frees it. */
cJSON *net_retained(const struct net *net, const char *topic_part);
void net_drop_retained(struct net *net, const char *topic_part);        /* the broker forgets them */
size_t net_started(const struct net *net);              /* attempts, on all of them, ever */
size_t net_count(const struct net *net, const char *topic_part, const char *id, const char *type);

/* One number from a query on the store, beside the core's connection. */
int64_t ct_sql(struct coretest *t, const char *sql);
/* id number n: the time T0 and n. */
const char *ct_id(int n);
const char *ct_id_at(int64_t ms, int n);

#endif
