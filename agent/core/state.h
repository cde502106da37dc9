/*
 * state.h - the core's own data structures; nobody outside agent/core/ includes it.
 */
#ifndef UW_CORE_STATE_H
#define UW_CORE_STATE_H

#include "core.h"
#include "db.h"
#include "mutant.h"
#include "task.h"
#include "topic.h"

/* One task that is in memory: queued within the window, running, or touched in this turn. */
struct task {
	int64_t seq;                    /* order of acceptance; row id; handle of its attempt */
	struct ulid id;
	struct house *house;            /* NULL: finished, and the house is no longer known here */
	char tool_name[48];
	const struct tool *tool;        /* NULL: no longer known */
	enum task_state state;
	unsigned char priority;
	unsigned char mode;
	bool stored;                    /* has a row */
	bool dirty;                     /* row is behind; on the turn's list */
	bool in_window;
	bool touched;                   /* on the list of what the turn may let go of */
	bool chosen;                    /* to be started, not handed out yet */
	bool late;                      /* likewise, and in starts_late */
	bool quick;
	bool announced;                 /* the attempt's start was told */
	bool cancelled;                 /* a stop was asked for by cancel */
	bool stopping;
	char sender[NAME_MAX_LEN + 1];
	short attempt, crashes;
	short retry_max;
	int retry_base_s, retry_cap_s;
	int timeout_s;
	int64_t accepted_ms, due_ms, deadline_ms, started_ms, finished_ms, run_us;
	uint64_t conn;                  /* local connection that waits; 0: none */
	char *body;                     /* the task as sent, one line */
	size_t body_len;
	char *params;                   /* with defaults, while it waits to start in this turn */
	char *reply_topic;              /* NULL: nobody asked for replies */
	char *correlation;
	size_t correlation_len;
	char *key;
	const struct house *key_house;  /* where it was submitted, which may be the router's */
	char *outcome;                  /* JSON: result or error; NULL: none yet */
	char *forward;                  /* house it was handed to */
	struct task *prev, *next;       /* in a list */
	struct task *next_dirty;
	struct task *next_id, *next_seq, *next_key;     /* in the maps */
};

struct task_list {
	struct task *head, *tail;
};

/* A house that this agent owns. */
struct house {
	char name[NAME_MAX_LEN + 1];
	bool owned;
	struct task_list queue[TASK_PRIORITIES];        /* the window: first in order of all queued */
	int64_t window;                 /* tasks in it */
	int64_t window_bytes;           /* of their bodies */
	bool spilled;                   /* more are on disk behind the window */
	int last_priority;              /* of the window's last task when spilled */
	int64_t last_seq;
	int64_t queued, open;           /* all queued; all that are not terminal */
	int64_t running;
	int64_t done[TASK_NSTATES];     /* since this agent began */
};

#define HOUSES_MAX (2 * CONFIG_MAX_HOUSES + 1)  /* "_", the configured ones, and some of former configurations */
#ifndef WINDOW_MAX
#define WINDOW_MAX 2048
#endif
#define WINDOW_BYTES (4 << 20)
#define TASK_BUCKETS 4096
#define KEY_BUCKETS 256
#ifndef OUTBOX_IN_FLIGHT
#define OUTBOX_IN_FLIGHT 256
#endif
#ifndef OUTBOX_IN_MEMORY
#define OUTBOX_IN_MEMORY (4u << 20)
#endif
#define PULSES 16

/* One publish: gathered while the turn runs, then a row, then in flight until the broker has it. */
struct out {
	int64_t seq;
	char *topic;
	struct buf body;
	char *correlation;
	size_t correlation_len;
	char *response_topic;
	int mid;                        /* 0: not sent on this connection */
	bool kept;                      /* in the outbox until the broker has it */
	uint32_t expiry_s;
	int qos;
	bool retain;
	struct out *next;
};

struct reject {
	char house[NAME_MAX_LEN + 1], sender[NAME_MAX_LEN + 1], id[ULID_TEXT];
	struct buf payload, error;
	struct reject *next;
};

#define TASK_LIST_MAX 200
#define LIST_SCAN_MAX 50000

struct local_out {
	uint64_t conn;
	struct buf body;
	struct local_out *next;
};

struct core {
	struct core_opts o;
	struct core_now now;
	uint64_t random[2];
	struct db db;
	char store_id[12];
	char client_id[NAME_MAX_LEN + 48];
	char boot[ULID_TEXT];

	struct house houses[HOUSES_MAX];
	int nhouses;
	bool router;                    /* owns "_" */

	int64_t last_seq;
	struct task *by_id[TASK_BUCKETS], *by_seq[TASK_BUCKETS];
	int64_t live;
	struct task *by_key[KEY_BUCKETS];
	bool keyed;
	struct task *dirty, *dirty_tail;        /* in the order they became so */
	struct task_list starts;        /* chosen, may be handed out */
	struct task_list starts_late;   /* chosen, may be handed out when they are committed */
	unsigned chosen;                /* in these two lists */
	uint64_t *stops;                /* handles */
	size_t nstops, stops_cap;
	char start_id[ULID_TEXT];
	struct task **touched;          /* the turn's; let go of at its end if nothing holds them */
	size_t ntouched, touched_cap;
	struct reject *rejects;
	int64_t nrejects;

	int first_house;                /* asked first in this turn */
	unsigned idle, quick;           /* slots */
	enum { ROUND_ANY, ROUND_QUICK, ROUND_NORMAL } round;    /* one kind at a time, see has_slot() */
	unsigned quick_out, running;
	bool draining, disk_low;
	bool urgent;                    /* the turn must be committed */
	bool lazy;                      /* something may be committed with the next turn */
	bool open;                      /* begun, not ended */
	bool committed;

	/* outgoing */
	struct out *gather;             /* this turn's, by topic */
	struct out *gather_tail, *last_reply;
	struct out *once, *once_tail;   /* committed, to be sent once */
	struct out *box, *box_tail;     /* kept until the broker has them */
	struct out *box_next;           /* first not sent on this connection */
	size_t box_bytes;
	int in_flight;
	bool box_spilled;               /* more rows than in memory */
	int64_t box_last;               /* newest row's seq */
	int64_t box_loaded;             /* newest row that was in memory */
	int64_t box_total_bytes;        /* rows and memory */
	int64_t *acked;                 /* rows to delete */
	size_t nacked, acked_cap;
	struct local_out *local;
	bool local_given;
	bool ready;                     /* was connected once */
	char health_topic[TOPIC_MAX], echo_topic[TOPIC_MAX];
	char echo_text[48];             /* first pulse of this connection */
	unsigned connections;
	bool up;
	bool subscribed;                /* the first beat of this connection came */
	int broker;                     /* connected to, or to be tried */
	int64_t up_mono_ms;             /* since then */
	int64_t pulses;                 /* made, ever */
	int64_t pulse_made_ms[PULSES];  /* the latest, by number; mono clock */
	int64_t pulse_ms;               /* when the latest that came back was made */
	const char *reconnect;          /* why; NULL: stay */
	uint64_t beats;
	bool unsaid;                    /* what is retained as our health is not what we said last */
	int64_t stream_head[HOUSES_MAX], stream_stored[HOUSES_MAX];

	/* redelivery */
	uint64_t *inbound;              /* hash by packet id; 0: none */
	int inbound_last;               /* latest received */
	int inbound_stored;             /* as the database has it */
	bool resumed;                   /* redeliveries may still come */
	int *inbound_new;               /* packet ids to write */
	size_t ninbound, inbound_cap;
	bool inbound_cleared;

	/* time */
	int64_t next_due_ms;            /* wall; 0: none */
	int64_t tidy_mono_ms, tidy_seq, prune_seq, pruned_id_ms;
	bool due_changed;
	char stamp[32];                 /* the turn's time as text */
	int64_t lazy_since_ms;
	uint64_t health_seq;
	int64_t started_mono_ms;
	int64_t accepted, rejected, duplicates, redelivered, refused_publishes, dropped_events;
};

/* store.c: rows */
int store_open(struct core *c, struct err *e);
int store_commit(struct core *c, struct err *e);
void store_tidy(struct core *c);
struct task *store_find(struct core *c, const struct ulid *id);
bool store_find_key(struct core *c, const char *house, const char *sender, const char *key, struct ulid *id);
void store_refill(struct core *c, struct house *h, int max);
void store_load_outbox(struct core *c, size_t max_bytes);
int64_t store_next_due(struct core *c, bool forwards);

/* Each calls f for some tasks, not necessarily all: ask again. */
typedef void task_fn(struct core *c, struct task *t);
/* Those numbered after `after`, in order; returns the last one's number, 0 when there are no more. */
int64_t store_in_state(struct core *c, enum task_state state, int64_t after, task_fn *f);
void store_due(struct core *c, enum task_state state, task_fn *f);
void store_deadlines(struct core *c, task_fn *f);

struct store_filter {
	const char *house;
	int state;                      /* -1: any */
	const char *tool, *sender;
	int64_t before;                 /* seq; 0: newest */
	int64_t limit;
};
/* Newest first, at most TASK_LIST_MAX. Looks at LIST_SCAN_MAX tasks and returns the number of the last of them. */
int64_t store_list(struct core *c, const struct store_filter *f, void (*row)(void *arg, struct task *t), void *arg);

/* tasks.c: the tasks in memory */
struct task *task_new(struct core *c, struct house *h);
void task_free(struct task *t);
void task_track(struct core *c, struct task *t);
void task_untrack(struct core *c, struct task *t);
struct task *task_by_id(struct core *c, const struct ulid *id);
struct task *task_by_seq(struct core *c, int64_t seq);
/* True if the key is known; *out is NULL if its task is already forgotten. */
bool task_by_key(struct core *c, const struct house *h, const char *sender, const char *key, struct task **out);
void task_note_key(struct core *c, struct task *t);
void task_forget_keys(struct core *c);
void task_reply_to(struct task *t, const char *topic, const void *correlation, size_t len);
void task_dirty(struct core *c, struct task *t);
void task_touch(struct core *c, struct task *t);        /* look at the turn's end whether it is still needed */
/* The one gate: checks the move, counts, marks the row. */
void task_enter(struct core *c, struct task *t, enum task_state to);
bool task_is_open(const struct task *t);
bool task_ends_in(const struct task *t, enum task_state to);     /* here */
void list_push(struct task_list *l, struct task *t);
struct task *list_pop(struct task_list *l);
void list_remove(struct task_list *l, struct task *t);
void list_insert(struct task_list *l, struct task *t);      /* by seq */

/* house.c: queues and choosing what runs */
struct house *house_find(struct core *c, const char *name);
struct house *house_add(struct core *c, const char *name, bool owned);  /* NULL when there are too many */
void house_enqueue(struct core *c, struct task *t);
void house_unqueue(struct core *c, struct task *t);
void house_take_in(struct house *h, struct task *t);    /* into the window */
void house_schedule(struct core *c);
void house_refill(struct core *c);
void house_give_back(struct core *c);           /* what was chosen and not handed out */

/* attempt.c: what follows from an end */
void attempt_recover(struct core *c, struct task *t);
void attempt_unchoose(struct core *c, struct task *t);
void attempt_finish(struct core *c, struct task *t, enum task_state to, const struct err *e);
void attempt_due(struct core *c, struct task *t);
void attempt_expire(struct core *c, struct task *t);
/* Members of an outcome, after others of the same object. */
void attempt_put_outcome(struct buf *b, const struct task *t);
void attempt_reply_outcome(struct buf *b, const struct task *t);        /* a whole line */
void attempt_cancel(struct core *c, struct task *t, const char *by);
void attempt_take_outcome(struct task *t, const char *key, const cJSON *value);
void attempt_announce(struct core *c, struct task *t);

/* intake.c: what others ask for */
/* One JSON object; where no member is at fault the payload is. */
cJSON *intake_parse(const char *text, size_t len, struct err *e);
void intake_line(struct core *c, struct house *h, const char *sender, const char *line, size_t len, int nline,
    const struct mqtt_msg *m, uint64_t conn);
/* A payload that is refused whole. */
void intake_refuse(struct core *c, struct house *h, const char *sender, const char *payload, size_t len,
    const struct mqtt_msg *m, uint64_t conn, const struct err *e);

/* request.c: cancel, query and list, from the broker or a local connection */
void request_message(struct core *c, const struct topic *t, const struct mqtt_msg *m);

/* forward.c: handing a task to another house. True if the task left this agent's houses. */
bool forward_if_elsewhere(struct core *c, struct task *t, const cJSON *tree);
/* Once more, so that the house tells the sender again how it stands. */
void forward_repeat(struct core *c, struct task *t);
void forward_reply(struct core *c, const struct mqtt_msg *m);
void forward_again(struct core *c, struct task *t);

/* out.c: what leaves */
void out_append(struct core *c, struct out *o);
struct buf *out_line(struct core *c, const char *topic, const char *response_topic, const void *correlation,
    size_t correlation_len);
struct buf *out_event(struct core *c, struct house *h, const char *type);
struct buf *out_reply(struct core *c, const char *topic, const void *correlation, size_t correlation_len);
struct buf *out_once(struct core *c, const char *topic);
/* A message of its own that is not kept. */
struct buf *out_now(struct core *c, const char *topic, int qos, bool retain, uint32_t expiry_s);
void out_end_line(struct buf *b);
struct buf *out_local(struct core *c, uint64_t conn);
void out_number(struct core *c);
void out_promote(struct core *c);
void out_link_down(struct core *c);
void out_bound(struct core *c);
void out_release(struct core *c);
bool out_reply_allowed(const struct core *c, const char *topic, const char *sender);

/* reply_to.c: a reply address in the payload. It has effect where the message has no response topic. */
#define REPLY_TO_ROUTER "forward"       /* where a router hears of what it handed on */
struct reply_to {
	struct mqtt_msg m;
	char topic[TOPIC_MAX];
	struct buf correlation;         /* the caller's to free */
};
/* *m becomes a copy in r that has the address. -1 with e: an address that is not the sender's, or misspelt. */
int reply_to_take(const struct core *c, const cJSON *o, const char *sender, const struct mqtt_msg **m,
    struct reply_to *r, struct err *e);
int reply_to_correlation(const char *hex, struct buf *out, struct err *e);

/* inbound.c: redeliveries of messages without ids */
bool inbound_is_repeat(struct core *c, const struct mqtt_msg *m);
void inbound_note(struct core *c, const struct mqtt_msg *m, bool has_tasks);
void inbound_forget(struct core *c);

/* pulse.c: heartbeats, and our own pulse through the broker */
void pulse_link_up(struct core *c);
/* True if it was the first of this connection: it comes after all that the broker had to deliver again. */
bool pulse_take(struct core *c, const struct mqtt_msg *m);
void pulse_check(struct core *c);
/* Somebody's health. */
void pulse_heard(struct core *c, const struct topic *t, const struct mqtt_msg *m);

/* core.c */
void core_queue_stop(struct core *c, struct task *t);
struct house *core_outer_house(struct core *c);
uint64_t core_random(struct core *c);
void core_new_id(struct core *c, struct ulid *id);

#endif
