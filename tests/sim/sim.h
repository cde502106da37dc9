/*
 * sim.h - a whole cluster in one process, on virtual time, from one seed.
 *
 * The cores are the real ones; everything around them is a model: the shell with its turn (host.c), disks
 * (disk.c), the network (net.c), the broker (broker.c), workers (workers.c), people and programs that send
 * tasks (clients.c). faults.c breaks things at random and then heals them; check.c watches all of it and says
 * which promise was not kept. Nothing here reads a clock or a random device, so a seed replays exactly.
 */
#ifndef UW_SIM_H
#define UW_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "core.h"
#include "task.h"
#include "tool.h"

#define MS ((int64_t)1000)
#define SECOND (1000 * MS)
#define WALL_BASE_MS ((int64_t)1800000000000)
#define HOSTS_MAX 6                    /* five agents and a witness */
#define CLIENTS_MAX 12
#define BROKERS_MAX 2
#define ALL_BROKERS (-1)

/* ---- random numbers: a stream for each subject, so that one more draw in one leaves the others as they were */

enum rng_of { RNG_PLAN, RNG_NET, RNG_DISK, RNG_HOST, RNG_WORK, RNG_CLIENT, RNG_FAULT, RNG_BROKER, RNG_TIMMY, RNG_STRESS, RNG_REGULAR, RNG_LACKS, RNG_COUNT };

struct rng {
	uint64_t s[2];
};

void rng_seed(struct rng *r, uint64_t seed, uint64_t of);
uint64_t rng_next(struct rng *r);
int64_t rng_between(struct rng *r, int64_t min, int64_t max);   /* both included */
bool rng_chance(struct rng *r, int permille);

/* ---- the world ---- */

struct broker;
struct host;
struct client;
struct check;
struct timmy;
struct buf;
struct disk;
struct disks;

/* What a seed is like: each has some faults and some limits, not all of them. */
struct plan {
	int nagents, nhouses, nclients, nbrokers;
	bool witness;
	int carrier[BROKERS_MAX];       /* host on whose machine the broker is; -1: a machine of its own */
	int64_t heal_us, limit_us;      /* faults end; it must be quiet */
	int tasks_per_minute;           /* of each client */
	unsigned faults;                /* bits of enum fault */
	int64_t fault_every_us;
	int64_t delay_max_us;           /* one way, on a good day */
	int receive_max, read_max;      /* messages in flight to an agent; read in a turn */
	int64_t queue_max;              /* messages a session may hold */
	int64_t queue_bytes;
	bool ages;                      /* a broker may come back with what it last saved */
	int64_t autosave_us;            /* the broker writes its state */
	int64_t session_expiry_us;
	int64_t commit_max_us;
	int workers;
	int fail, crash, hang, slow;    /* per mille of attempts */
	int crashy;                     /* per mille of tasks that always kill their worker */
	int floods;                     /* per mille of the bursts of tasks */
	bool flow;                      /* what runs at once is limited */
	bool lacks;                     /* hosts lack what houses need */
	bool stress;                    /* agents look at what is short, and let go of some for it */
	bool same_bodies;               /* plain publishers repeat themselves */
	bool short_memory;              /* finished tasks are soon forgotten */
	int64_t clock_error_ms;         /* at most, of any host */
	bool sovereign;                 /* there is a pinned key, so policy, halts and approvals are obeyed */
	int64_t approval_s;             /* how long a request may wait */
	int64_t touched_us;             /* what tasks touch is changed by others so often */
};

/* A machine with an agent. */
struct place {
	char name[NAME_MAX_LEN + 1];
	const char *house;              /* its home; NULL: a witness */
};

struct event {
	int64_t at_us;
	uint64_t n;                     /* order among equals */
	void (*f)(void *arg, uint64_t x);
	void *arg;
	uint64_t x;
};

struct sim {
	uint64_t seed;
	int64_t now_us;
	struct event *heap;
	size_t nheap, heap_cap;
	uint64_t nevents;
	struct rng rng[RNG_COUNT];
	struct plan plan;
	struct config config;
	struct registry *tools;
	struct disks *disks;
	struct place places[HOSTS_MAX];
	int nplaces;
	struct acl *acl;
	struct broker *brokers[BROKERS_MAX];
	int nbrokers;
	struct host *hosts[HOSTS_MAX];
	int nhosts;
	struct client *clients[CLIENTS_MAX];
	int nclients;
	struct timmy *timmy;            /* NULL: no key is pinned */
	struct check *check;
	bool healed;
	const char *speaker;            /* whose turn it is, for the log */
	bool trace;
	const char *only;               /* trace lines with this, and faults */
	uint64_t history;               /* hash of all that happened */
	bool failed;
	char why[400];                  /* the first violation */
	char subject[64];               /* what it is about: a task's id, a host */
};

struct sim_result {
	bool failed;
	char why[400], subject[64];
	int64_t virtual_us;
	uint64_t history;
	int64_t tasks, faults, turns;
};

extern bool sim_full;                   /* five agents and two brokers, whatever the seed says */

/* Runs one seed from beginning to end. trace, only: see struct sim. */
void sim_run(uint64_t seed, bool trace, const char *only, struct sim_result *out);

void sim_at(struct sim *s, int64_t at_us, void (*f)(void *arg, uint64_t x), void *arg, uint64_t x);
static inline void
sim_in(struct sim *s, int64_t us, void (*f)(void *arg, uint64_t x), void *arg, uint64_t x)
{
	sim_at(s, s->now_us + us, f, arg, x);
}

/* Part of the history; printed when traced. */
void sim_log(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void sim_trace(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A promise was not kept; the run ends. */
void sim_fail(struct sim *s, const char *subject, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The one that runs: for callbacks that have no argument (SQLite's clock, the log). */
extern struct sim *sim_current;

/* ---- messages and connections ---- */

struct msg {
	int refs;
	char *topic, *payload, *response_topic, *correlation;
	size_t len, correlation_len;
	int qos;
	bool retain;
	int64_t expires_us;             /* 0: never */
};

struct msg *msg_new(const char *topic, const void *payload, size_t len, int qos);
struct msg *msg_ref(struct msg *m);
void msg_unref(struct msg *m);

enum packet_type { PACKET_CONNECT, PACKET_CONNACK, PACKET_SUBSCRIBE, PACKET_SUBACK, PACKET_PUBLISH,
	PACKET_PUBACK, PACKET_PING, PACKET_DISCONNECT, PACKET_CLOSED };

struct packet {
	enum packet_type type;
	int mid;
	int reason;                     /* PUBACK; CONNACK: the session is there */
	bool retained;                  /* PUBLISH: it is from before the subscription */
	struct msg *msg;                /* PUBLISH, the will of CONNECT, the filter of SUBSCRIBE as its topic */
	struct packet *next;
};

/* Whoever talks to the broker. */
struct node {
	struct sim *sim;
	char name[NAME_MAX_LEN + 8];
	char client_id[96];
	bool agent;
	struct conn *conn;              /* NULL: none */
	bool cut[BROKERS_MAX][2];       /* by direction: nothing gets to that broker; nothing from it */
	int64_t lag_us;                 /* added to every delay */
	bool clean;                     /* session ends with the connection */
	int receive_max;
	int64_t session_expiry_us;
	void (*on_packet)(struct node *n, struct packet *p);    /* takes it */
};

struct conn {
	uint64_t id;
	struct sim *sim;
	struct broker *broker;
	struct node *owner;
	struct node *node;              /* the same; NULL: it has left */
	bool broker_open;
	int64_t last_us[2];             /* latest arrival by direction: TCP keeps the order */
	struct packet *held[2], *held_tail[2];  /* while cut */
	int64_t heard_us;               /* the broker heard something */
	struct session *session;
	struct conn *next;
};

enum { UP, DOWN };

/* What keeps it from being quiet. */
struct quiet {
	char why[200], subject[64];
};

/* net.c */
void net_connect(struct node *n, int broker, struct msg *will);
void net_close(struct node *n, bool polite);            /* the node leaves */
void net_send(struct node *n, enum packet_type type, int mid, int reason, struct msg *m);
void net_reply(struct conn *c, enum packet_type type, int mid, int reason, struct msg *m);
void net_deliver(struct conn *c, int mid, struct msg *m, bool retained);
void net_drop(struct conn *c);                          /* the broker's side ends */
/* Between the node and one broker, or all; without mending anything else. */
void net_cut(struct node *n, int broker, bool up, bool down);
void packet_free(struct packet *p);
void net_release(struct sim *s, struct conn *conns);

/* broker.c */
enum broker_loss { LOSS_NONE, LOSS_SOME, LOSS_ALL };

struct broker *broker_new(struct sim *s, int index);
int broker_index(const struct broker *b);
void broker_free(struct broker *b);
void broker_packet(struct broker *b, struct conn *c, struct packet *p);
bool broker_is_up(const struct broker *b);
/* silent: its machine is gone, so nobody is told and nobody is refused. */
void broker_kill(struct broker *b, enum broker_loss loss, bool silent);
bool broker_is_silent(const struct broker *b);
void broker_start(struct broker *b);
void broker_heal(struct broker *b);
void broker_kick(struct broker *b, const char *name);
bool topic_matches(const char *filter, const char *topic);
bool broker_is_quiet(const struct broker *b, struct quiet *q);
/* How often that agent has to acknowledge all that it may be sent at a time before it gets what is published now. */
int64_t broker_rounds(const struct broker *b, const char *name);
struct conn *broker_conns(struct broker *b);
void broker_add_conn(struct broker *b, struct conn *c);

/* acl.c: the access list that is made for a real broker */
struct acl *acl_new(const struct config *c);
void acl_free(struct acl *a);
bool acl_may_publish(struct acl *a, const char *name, const char *topic);

/* layout.c: who lives where, as houses.yaml */
void layout_plan(struct sim *s);
void layout_config(struct sim *s);

/* disk.c */
struct disks *disks_new(struct sim *s);
void disks_free(struct disks *d);
struct disk *disk_of(struct disks *d, const char *name);
/* The process that used it died: nothing is written any more until disk_settle(). */
void disk_freeze(struct disk *d);
bool disk_is_frozen(const struct disk *d);
void disk_die_after(struct disk *d, int64_t writes);    /* freezes in the middle of that write; 0: never */
/* power: what was not synced may be lost, in whole sectors. */
void disk_settle(struct disk *d, bool power);
void disk_wipe(struct disk *d);
void disk_fill(struct disk *d, bool full);
void disk_fail(struct disk *d, int permille);           /* of writes and syncs */
bool disk_is_bad(const struct disk *d);
#define DISK_VFS "sim"

/* workers.c */
struct workers;

struct workers *workers_new(struct sim *s, struct host *h, int n);
void workers_die(struct workers *w);                    /* with their agent */
void workers_free(struct workers *w);
unsigned workers_idle(const struct workers *w);
unsigned workers_quick(const struct workers *w);
void workers_start(struct workers *w, const struct pool_start *s);
void workers_stop(struct workers *w, uint64_t handle);
/* What a task's tool writes: line n. */
#define OUTPUT_LINE 16
void output_line(const char *id, int64_t n, char line[OUTPUT_LINE + 1]);
/* Gives what was written and what has ended to the core; how many of these. */
int workers_read(struct workers *w, struct core *c);
bool workers_are_read(const struct workers *w);
bool workers_are_idle(const struct workers *w);
void workers_kill_one(struct workers *w);
void workers_stop_all(struct workers *w);

/* timmy.c: the sovereign; what the checker asks about what he signed is in timmy.h */
void timmy_pin(struct sim *s, struct buf *config);
struct timmy *timmy_new(struct sim *s);
void timmy_free(struct timmy *t);
void timmy_heal(struct timmy *t);
bool timmy_is_done(const struct timmy *t, struct quiet *q);

/* host.c */
struct host *host_new(struct sim *s, const char *name);
void host_free(struct host *h);
const char *host_name(const struct host *h);
int64_t host_wall_ms(const struct host *h);             /* by its clock */
struct node *host_node(struct host *h);
struct disk *host_disk(struct host *h);
struct core *host_core(struct host *h);                 /* NULL: not running */
struct workers *host_workers(struct host *h);
bool host_is_up(const struct host *h);
int host_is_able(const struct host *h);                 /* broker on which nothing hinders it; -1: something does */
void host_start(struct host *h);
void host_input(struct host *h);
void host_local(struct host *h, uint64_t conn, const char *line);       /* NULL: the connection is gone */

enum crash { CRASH_PROCESS, CRASH_POWER, CRASH_DISK };

void host_crash(struct host *h, enum crash kind);
void host_crash_soon(struct host *h, enum crash kind, int steps, int writes);
void host_stop(struct host *h);                         /* SIGTERM */
void host_freeze(struct host *h, int64_t us);
bool host_overslept(const struct host *h, int64_t us);  /* it was frozen then, and does by now what it was about to do */
void host_jump(struct host *h, int64_t ms);
void host_set_rate(struct host *h, int ppm);
void host_disk_low(struct host *h, bool low);
unsigned *host_lacks(struct host *h);                   /* what each house needs: a bit for each, by its number */
struct core_measures *host_measures(struct host *h);    /* what it is told next */
void host_heal(struct host *h);
bool host_is_quiet(const struct host *h, struct quiet *q);
int64_t host_turns(const struct host *h);

/* clients.c */
struct client *client_new(struct sim *s, int i);
void client_free(struct client *c);
void client_local_line(struct sim *s, const char *host, uint64_t conn, const char *line, size_t len);
void client_local_lost(struct sim *s, const char *host);
struct node *client_node(struct client *c);
void client_check_regulars(const struct client *c, struct check *k);
bool client_is_done(const struct client *c, struct quiet *q);
int64_t client_sent(const struct client *c);

/* faults.c */
void faults_plan(struct sim *s);
void faults_begin(struct sim *s);
void faults_heal(struct sim *s);
int64_t faults_count(void);

/* stress.c */
void stress_plan(struct sim *s);
void stress_begin(struct sim *s);
void stress_heal(struct host *h);
void stress_put_config(const struct sim *s, struct buf *b);
bool stress_is_quiet(struct host *h, struct quiet *q);
/* A client was told busy of a task of that priority; NULL: that is as it should be. */
const char *stress_refused(const char *message, int priority);

/* lacks.c */
struct lacking {
	int64_t since_us[HOSTS_MAX];    /* an owner lacks what that host has, and could have; 0: not so */
};

void lacks_begin(struct sim *s);
void lacks_tell(struct host *h, struct sim *s);
void lacks_heard(struct sim *s, struct lacking *x, const char *house, const cJSON *part, const int64_t *could_us,
    const bool *others_lack);

/* check.c */
struct check *check_new(struct sim *s);
void check_free(struct check *k);
/* What the checker is told while it happens. */
void check_published(struct check *k, const char *from, const struct msg *m);
/* The first waits for the other. */
void check_follows(struct check *k, const char *id, const char *other);
/* One that it waits for may not be known to its house. */
bool check_may_miss_others(struct check *k, const char *id);
void check_begun(struct check *k, const char *id, const struct tool *tool, const char *host);
/* Handed to a worker; refused: it will not run, for its terms forbid it. */
#define CLIENT_INTELLIGENT 16           /* tasks in mode intelligent have a multiple of it as their number */
#define CLIENT_IS_TRACED(n) ((n) > 1 && (n) % 10 == 0)      /* these have a trace, of that number */
#define CLIENT_TRACE "00-%032llx-00000000000000f1-01"
#define CLIENT_TIMEOUT_S 6              /* that others ask for, at most */
void check_started(struct check *k, struct host *at, const struct pool_start *s, bool refused);
void check_ended(struct check *k, const char *id, const struct pool_end *end, bool may_have_effect, struct host *at);
/* So much output, when its agent heard of its end. */
void check_wrote(struct check *k, const char *id, int64_t bytes);
void check_agent_died(struct check *k, const char *host, const struct core *c);
void check_disk_lost(struct check *k, const char *host);
/* Messages without ids for this host, or for all, may have been lost or come twice. */
void check_session_lost(struct check *k, const char *host);
/* at: the agent that said so. */
void check_accepted(struct check *k, const char *id, const char *house, const char *state, int64_t copies, const char *at);
/* An agent sends, or hears; times are its own. */
void check_said(struct check *k, struct host *h, const struct msg *m, int64_t made_ms);
void check_heard(struct check *k, struct host *h, const struct packet *p, int64_t now_ms);
void check_link_lost(struct check *k, struct host *h);
void check_outcome(struct check *k, const char *id, const char *state, const cJSON *what);
/* Two things were told of one task. */
void check_conflict(struct check *k, const char *id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* How a client was told that a schedule of his is; at the end. */
enum routine_told { ROUTINE_TOLD_THERE, ROUTINE_TOLD_PAUSED, ROUTINE_TOLD_GONE };
void routines_told(struct check *k, const char *house, const char *name, enum routine_told told);
void check_one_key(struct check *k, const char *id, const char *other);
/* at: the host, over its socket; NULL: over a broker. */
void check_cancel_told(struct check *k, const char *id, bool cancelled);
/* A disk was lost that may have held it alone. */
bool check_is_exempt(struct check *k, const char *id);
/* Its house was taken over by somebody who had not heard all that was said of it. */
bool check_was_missed(struct check *k, const char *id);
void check_turn(struct check *k, struct host *h);
struct host *check_owner(struct check *k, const char *house);  /* who says so last; NULL: nobody */
bool check_is_quiet(struct check *k, struct quiet *q);
void check_show(struct check *k);
void check_end(struct check *k);

#endif
