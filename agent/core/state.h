/*
 * state.h - the core's own data structures; nobody outside agent/core/ includes it.
 */
#ifndef UW_CORE_STATE_H
#define UW_CORE_STATE_H

#include "audit.h"
#include "core.h"
#include "db.h"
#include "mutant.h"
#include "policy.h"
#include "sovereign.h"
#include "task.h"
#include "topic.h"

/* How far a task is that needs the sovereign's approval: nobody has said yet what it would touch; it is asked for;
 * it is given. */
enum approval_stage { APPROVAL_NONE, APPROVAL_PLAN, APPROVAL_ASKED, APPROVAL_GIVEN };

#define STORE_ID_MAX 12

/* Whose turn it is to own a house: compared whole. The store makes those of an agent whose disk was lost others
 * than those of its former life. Number 0: nobody's. */
struct term {
	int64_t n;
	char agent[NAME_MAX_LEN + 1];
	char store[STORE_ID_MAX];
};

/* One task that is in memory: queued within the window, running, or touched in this turn. */
struct task {
	int64_t seq;                    /* order of acceptance; row id */
	struct ulid id;
	struct house *house;            /* NULL: finished, and the house is no longer known here */
	char tool_name[48];
	const struct tool *tool;        /* NULL: no longer known */
	enum task_state state;
	unsigned char priority;
	unsigned char mode;
	bool stored;                    /* has a row */
	bool dirty;                     /* row is behind; on the turn's list */
	struct lane *lane;              /* the first of which it is among in memory; NULL: it is not */
	bool touched;                   /* on the list of what the turn may let go of */
	bool chosen;                    /* to be started, not handed out yet */
	bool late;                      /* likewise, and in starts_late */
	bool quick;
	bool probe;                     /* a breaker lets it try: see breaker.c */
	bool target_known;              /* it was looked for */
	bool announced;                 /* the attempt's start was told */
	bool here;                      /* in our pool, or chosen for it */
	bool works;                     /* here, begun for a former owner of the house: see struct work */
	struct peer *at;                /* the agent that runs it; NULL: this one, or nobody knows */
	bool asked;                     /* whether it lives */
	int64_t lost_ms;                /* given up at this time if nobody reports it by then (mono); 0: never */
	int64_t version;                /* number of its last event in the house's stream; 0: nobody follows it */
	bool cancelled;                 /* a stop was asked for by cancel; its house knows that until it ends */
	bool stopping;
	bool counted;                   /* it runs, and a limit concerns it: see flow.c */
	bool token;                     /* one of each rate is kept for it until it is handed out */
	uint64_t *keys;                 /* by limit, of what it is counted by; NULL: not looked at yet */
	unsigned char nafter;           /* tasks that it waits for before its first start */
	char sender[NAME_MAX_LEN + 1];
	short attempt, crashes;
	struct term term;               /* the attempt was given under it; number 0: by whom is not known */
	short failures;                 /* attempts that failed or ran out of time: these are what retry_max is about */
	short retry_max;
	int retry_base_s, retry_cap_s;
	int timeout_s;
	char *target;                   /* NULL: it has none, as far as is known */
	int64_t target_key;
	int64_t held;                   /* scheduled, until a breaker of this key lets it go; 0: for another reason */
	int64_t accepted_ms, due_ms, deadline_ms, started_ms, finished_ms, run_us;
	uint64_t conn;                  /* local connection that waits; 0: none */
	char *body;                     /* the task as sent, one line */
	size_t body_len;
	char *params;                   /* with defaults, while it waits to start in this turn */
	char *terms;                    /* likewise: under which it may run, see guard.h; NULL: none */
	char *approval;                 /* JSON, see approval.c; NULL: it needs none, as far as is known */
	enum approval_stage stage;      /* as that says */
	int64_t until_ms;               /* wall: what was given holds; 0: nothing was */
	int64_t judged;                 /* by the policy of this number; 0: not yet */
	char *reply_topic;              /* NULL: nobody asked for replies */
	char *correlation;
	size_t correlation_len;
	char *key;
	char traceparent[TRACE_MAX];    /* of its sender, see trace.h; "": none */
	char *outcome;                  /* JSON: result or error; NULL: none yet */
	char *history;                  /* JSON: attempts that came to nothing, see history.c; NULL: none */
	char *forward;                  /* house it was handed to */
	struct audit_sum params_sum;    /* of the attempt's parameters */
	const char *executor;           /* the agent that ran it last; NULL: none, or it is not known */
	uint64_t shape;                 /* of its parameters as sent, see shape.h */
	struct {                        /* what was said of the attempt before it began; p 0: nothing was */
		double p, p_all, p_tool, p95_ms;
	} said;
	int learned_timeout_s;          /* the attempt's limit by what was learned; 0: its usual one */
	const char *instead;            /* the agent, or of the router's the house, that would have had it, had nothing been learned;
	                                 * NULL: the same */
	bool given_up;                  /* it failed, and what was learned says that another try would, too */
	char *notes;                    /* what that worker noted; NULL: nothing */
	struct task *prev, *next;       /* in a list */
	struct task *next_dirty;
	struct task *next_id, *next_seq, *next_key;     /* in the maps */
};

struct task_list {
	struct task *head, *tail;
};

/* What a house's sender has queued for one tool, of one priority; see lane.c. */
struct lane {
	struct house *house;
	struct queuer *of;
	int priority;
	char tool[48];
	struct task_list tasks;         /* the first in order */
	int64_t n, bytes;               /* of these; of their bodies */
	bool spilled;                   /* more are on disk behind them */
	int64_t last_seq;               /* those after it, when spilled */
	struct lane *next, *next_bucket;        /* of the same sender; in the map */
};

/* Attempts that run, of a limit's, and its bucket of tokens. */
struct gauge {
	const struct config_flow *flow;
	struct house *house;
	uint64_t key;                   /* of its value, if it has a key */
	int64_t running;
	int64_t kept;                   /* tokens, for those that are chosen and not handed out yet */
	int64_t full_us;                /* mono: then all tokens that may be saved up are there again */
	struct gauge *next;
};

/* A sender who has some of one priority queued. */
struct queuer {
	char sender[NAME_MAX_LEN + 1];
	struct lane *lanes;
	int64_t since;                  /* rank.starts when he came, or one of his started last */
	struct queuer *prev, *next;
};

/* All of one priority, in the order in which their turn comes. */
struct rank {
	struct queuer *head, *tail;
	int nlanes;
	int64_t n, bytes;               /* in memory */
	int64_t starts;
	int64_t served;                 /* house.served when one of them started last */
};

/* A candidate's copy of a house's stream, as it tells us. */
struct copy {
	struct peer *peer;
	struct term term;               /* it follows; what it has is of this or an earlier one */
	int64_t have;
	struct term log;                /* of its last event */
	int place;                      /* among the candidates */
	bool live;                      /* it has all up to there, and takes what comes */
	bool in_step;                   /* we own the house, and wait for it before we answer */
	bool was_in_step;               /* when we ceased to own it */
	int64_t in_step_ms;             /* since then (mono) */
	int64_t wont_ms;                /* mono: it could not take the house; 0: never */
	bool lacks;                     /* something that the house needs */
};

struct term_base {
	struct term term;
	int64_t base;                   /* the last event before it */
};

enum lease { LEASE_NONE, LEASE_CLAIMED, LEASE_HELD };

/* An attempt that another agent was given under a term of ours. */
struct given_away {
	struct given_away *next;
	struct ulid id;
	struct term term;
	char boot[ULID_TEXT];           /* the life of that agent */
	bool back;                      /* in this life, and under our next term, it says that it does not run it */
};

#define COPIES_MAX CONFIG_MAX_AGENTS

#define BREAKERS_MAX 128                /* of a house */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* One agent at one tool's target: see breaker.c. */
struct breaker {
	char agent[NAME_MAX_LEN + 1];
	char tool[48];
	char target[TARGET_MAX];
	char by[NAME_MAX_LEN + 1];      /* who opened it by hand */
	char error[121];                /* the last that the target was blamed for */
	int64_t key;                    /* of tool and target */
	enum breaker_state state;
	int64_t since_ms;               /* wall: in this state; closed: of the last failure */
	int64_t until_ms;               /* wall: open until then; 0: until it is closed by hand */
	int failures, opened;           /* in a row */
	int run;                        /* more than so many are no chance, as it was known when they began; 0: it was not */
	struct ulid probe;              /* half-open: the attempt that tries */
	int attempt;
	uint64_t used;                  /* orders them */
	int64_t look_ms;                /* mono: open and due: the next that waits is woken */
	bool waking;                    /* those that wait for it, up to here */
	int64_t woken;
};

/* What the agent, or a house, is under: see stress.c. */
struct strain {
	struct alert_state state[STRESS_COUNT];
	int64_t value[STRESS_COUNT];    /* when it was looked at last */
	int64_t since_ms[STRESS_COUNT]; /* wall */
};

#define ROUTINES_MAX 1024               /* of a house; new ones are refused before: limits.schedules */
#define ROUTINE_TASK_MAX 4096
#define ROUTINE_TEXT_MAX 128            /* when, and the zone */

enum routine_missed { ROUTINE_NONE, ROUTINE_LAST, ROUTINE_ALL };
enum routine_came { ROUTINE_MADE = 1, ROUTINE_REFUSED, ROUTINE_MISSED };        /* 0: nothing yet */

/* A schedule that somebody has added to a house: see routine.c. */
struct routine {
	char name[NAME_MAX_LEN + 1];
	char sender[NAME_MAX_LEN + 1];  /* whose it is, and whose its tasks are */
	struct ulid id;                 /* another one of this name has another */
	char *cron_text, *zone_name;
	char *task;                     /* JSON, an object */
	struct cron cron;
	struct zone *zone;              /* NULL: this host does not have it */
	enum routine_missed missed;
	bool paused;
	int64_t added_ms;
	int64_t after_ms;               /* wall: times up to this one are over */
	int64_t last_ms;                /* the last one that came ... */
	enum routine_came came;         /* ... and what of it */
	char why[161];                  /* it was refused */
	int64_t born;                   /* the event that told it first */
	int64_t next_ms, again_ms;      /* wall: the next, as the owner knows; mono: not before */
};

/* A house that this agent owns, or may own, or whose work it does. */
struct house {
	char name[NAME_MAX_LEN + 1];
	bool owned;                     /* we act for it */
	bool local;                     /* "~": what our own users hand on through us; nobody else knows it */
	const struct config_names *home;        /* agents that do its work */
	int place;                      /* ours among its candidates; -1: we are none */
	int64_t timeout_cap_s;          /* of its attempts */
	struct copy copies[COPIES_MAX]; /* of the other candidates, in order */
	char lacks[128];                /* what it needs and we do not have; "": nothing */
	int64_t lacks_ms;               /* mono: since then */
	int ncopies;
	bool wait_copies;               /* replies wait for copies */

	/* The stream: its events are numbered whoever owns the house. */
	int64_t head, stored_head;      /* the last event made or applied; as the disk has it */
	struct term log;                /* of that event */
	struct term stored_log;
	bool live;                      /* we follow the owner without a gap */

	/* The lease. */
	enum lease lease;
	struct term term;               /* the highest claimed that we know */
	struct term stored_term;
	int64_t claimed_ms, back_ms;    /* mono: our claim went out, and came back; 0: not yet */
	int64_t since_ms;               /* wall: it has had this owner */
	int64_t held_ms;                /* mono: likewise, if it is us */
	int64_t vacant_ms;              /* mono: it has had none since; 0: it has one */
	bool handed;                    /* the claim was asked for by the former owner */
	int64_t doubt_ms, stored_doubt_ms;      /* wall: of the last unclean claim; 0: all who could know more have told it */
	bool unclean;                   /* it was made by one that may have missed something */
	bool pin_heir;
	bool pinned;                    /* moved on purpose: not handed back by itself */
	int64_t left_ms;                /* mono: we ceased to own it */
	int64_t behind_ms;              /* mono: somebody who knows more was first seen; 0: nobody is */
	int64_t step_until_ms;          /* mono: our last pulse on a broker that died while we were in step; 0: none */
	bool was_in_step;               /* when the owner was last heard */
	int64_t in_step_ms;             /* mono: the owner's heartbeat named us; 0: it did not */
	struct peer *asked[COPIES_MAX]; /* what they run for it, and have not answered yet */
	int nasked;
	bool offers_all;                /* tasks of a stream that we gave up, to an owner who begins with nothing */
	struct given_away *given_away;  /* what others had been given when we lost it */
	struct peer *heir;              /* being handed over to */
	int64_t heir_ms, gave_ms;       /* mono: since; the last hand-over that we began */
	bool taking;                    /* the heir was told */
	bool abandoned;                 /* its owner says that it does not act any more */
	cJSON *step_list;               /* who is in step, as the owner said last */
	int64_t told;                   /* of our stream: answers up to here are out */
	int64_t heard_told;             /* the same, as the former owner said */
	int64_t drill_ms;               /* recovery time of the latest drill */
	int64_t drilled_ms;             /* wall; 0: never */
	uint64_t move_conn;             /* who waits for the move */
	char *move_reply;
	struct buf move_correlation;

	/* Getting in step. */
	enum { SYNC_IDLE, SYNC_ASKED, SYNC_OFFERS, SYNC_PULLS } sync;
	int64_t asked_ms;               /* mono */
	int64_t common;                 /* our stream and the owner's are the same up to here */
	int64_t offered;                /* versions up to here are with the owner */
	int64_t their_pruned;           /* the owner's */
	bool all_anew;                  /* the owner says so: it has forgotten some that we may have */
	bool mark_rows, sweep_rows;     /* with the next commit: see store.c */
	int64_t pruned;                 /* the latest version that was forgotten here */
	bool pruned_changed;
	bool key_taken;                 /* the task that is taken in has one that stands for another */
	int64_t came;                   /* rows, since we asked for them last */
	bool all_came;                  /* all rows, since we began to get in step */
	bool pull_all;                  /* all rows come, by their own numbers; else those changed since, by version */
	int64_t pulled;                 /* such numbers up to here have come */
	int64_t pull_head;
	struct term_base *their_terms;  /* the owner's */
	int ntheir;
	int64_t owner_head;             /* as its heartbeat says */
	int64_t lag_ms, lag_head;       /* mono: we are behind it since, at this event */

	struct term_base *terms;        /* who owned it from which event on, oldest first */
	int nterms;
	bool terms_changed;

	struct out *held, *held_tail;   /* replies that wait for copies */
	size_t held_bytes;
	struct local_out *held_local, *held_local_tail;

	struct rank ranks[TASK_PRIORITIES];     /* who has tasks queued */
	int nlanes, spilled;            /* lanes; those of which more is on disk */
	int64_t window;                 /* queued tasks in memory */
	int64_t window_bytes;           /* of their bodies */
	int64_t empty_us;               /* mono: the house became ours, and the buckets of all limits were empty: see flow.c */
	int64_t served;                 /* starts, since the house is ours */
	int64_t aged;                   /* served, when one was chosen for its age */
	const struct task *old;         /* lane_first() chose it so */
	bool look, look_next;           /* whether what waits for others still has to: see after.c */
	int64_t looked;                 /* at tasks up to this number */
	struct breaker *breakers;
	int nbreakers;
	struct routine *routines;       /* the oldest first */
	int nroutines;
	cJSON *routines_coming;         /* the owner's, while we get in step; NULL: none */
	bool look_held;                 /* whether what is held still has to be */
	int64_t looked_held;            /* at keys up to this one */
	int64_t queued, open;           /* all queued; all that are not terminal */
	int64_t running;
	int64_t done[TASK_NSTATES];     /* since this agent began */
	double recent, recent_failed;   /* ended in the last minutes, see alert.c */
	int64_t counted_done, counted_failed;   /* of done[], in these */
	char last_tool[48];             /* whose attempt ended last, as far as is known here */
	struct strain strain;           /* while it is ours */
};

/* Another agent. */
struct peer {
	char name[NAME_MAX_LEN + 1];
	char boot[ULID_TEXT];
	bool offline;                   /* it said goodbye, or the broker said it for it */
	bool stopping;
	int protocol;                   /* what it speaks; 0: not heard yet */
	int64_t heard_ms;               /* mono; 0: never */
	int64_t beat_ms;                /* mono: its latest heartbeat, which alone makes it count as a voter here */
	int64_t skew_ms;                /* its clock against ours, by that heartbeat, which was some milliseconds on its way */
	int broker;
	int64_t beat, have_beat;        /* number of the latest heartbeat, and of the one before the latest "have" */
	int64_t lost_ms;                /* mono: its last pulse on its former connection; 0: it does not say */
	int64_t better_s;               /* a better broker has answered it for so long; -1: none */
	unsigned slots;                 /* workers */
	unsigned given;                 /* attempts of ours that are there */
	int64_t last_work;              /* number of the last one */
	bool signed_less;               /* it holds less of what the sovereign signed than we, and would refuse work */
	int64_t less_ms;                /* mono: for so long; 0: it does not */
	char work_boot[ULID_TEXT];      /* of those that it gave us: its life, and the last number */
	int64_t work_n;
	struct audit_seen chain;        /* its audit chain, as it said last; what ours has noted of that */
	int64_t chain_noted;
	char chain_noted_store[sizeof ((struct audit_seen *)0)->store];
};

/* An attempt that runs here for a house that another agent owns. */
struct work {
	uint64_t handle;
	struct house *house;
	struct ulid id;
	char id_text[ULID_TEXT];
	int attempt;
	struct term term;               /* it was given under this one */
	char tool[48];
	uint64_t shape;                 /* of the parameters as sent */
	char *params;
	char *terms;
	char traceparent[TRACE_MAX];    /* "": none */
	int64_t timeout_ms;
	int64_t until_ms;               /* wall: its approval holds; 0: it needs none */
	bool plan;                      /* it only says what it would touch; attempt is 0 */
	bool quick, started, stopping;
	struct work *next;
};

/* A report that its house's owner has not acknowledged. */
struct report {
	int64_t n;
	struct house *house;
	struct ulid id;
	int attempt;
	char *line;
	bool stored;
	int64_t sent_ms;
	struct report *next;
};

/* A task for a house that its owner has neither accepted nor refused yet, as far as we know. */
struct seen {
	int64_t n;
	struct house *house;
	char sender[NAME_MAX_LEN + 1];
	uint64_t hash;
	char *line;
	size_t len;
	char *reply, *correlation;
	size_t correlation_len;
	int64_t at_ms, sent_ms;         /* mono */
	int tries;
	bool stored;
	bool unowned;                   /* it came while nobody owned the house */
	struct seen *next;
};

#define HOUSES_MAX (2 * CONFIG_MAX_HOUSES + 2)  /* "~", "_", the configured ones, and some of former configurations */
#ifndef WINDOW_MAX
#define WINDOW_MAX 2048
#endif
#define WINDOW_BYTES (4 << 20)
#ifndef AGED_MS
#define AGED_MS 60000
#endif
#define AGED_EACH 8                     /* starts, of which one is for low priorities that have waited so long */
#define TASK_BUCKETS 4096
#define KEY_BUCKETS 256
#define LANE_BUCKETS 1024
#define LANE_LOOK 128                   /* tasks of a lane that are looked at for one that may begin */
#define GAUGE_BUCKETS 1024
#ifndef GAUGES_MAX
#define GAUGES_MAX 65536                /* buckets that are not full */
#endif
#ifndef OUTBOX_IN_FLIGHT
#define OUTBOX_IN_FLIGHT 256
#endif
#ifndef OUTBOX_IN_MEMORY
#define OUTBOX_IN_MEMORY (4u << 20)
#endif
#define PULSES 16
#define TELL_AGAIN_MAX 10000
#define WORK_HANDLES ((uint64_t)1 << 62)        /* of attempts for other owners; below: attempt_handle() */

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
	struct house *gate;             /* waits until the copies of this house are complete */
	int64_t gate_seq;               /* up to this event */
	uint32_t expiry_s;
	int qos;
	bool retain;
	struct out *next;
};

#ifndef OUTPUT_KEEP
#define OUTPUT_KEEP (256u << 10)        /* bytes of output of each attempt ... */
#endif
#define OUTPUT_ALL (16u << 20)          /* ... and of all that run here */
#define OUTPUT_NOTE 200
#define OUTPUT_ALIVE_MS 5000            /* an agent heard within this time is asked for what it kept */

struct ended {
	struct house *house;
	struct ulid id;
};

struct reject {
	char house[NAME_MAX_LEN + 1], sender[NAME_MAX_LEN + 1], id[ULID_TEXT];
	struct buf payload, error;
	struct reject *next;
};

/* One of the sovereign's objects, as it came and as it was read. */
struct signed_object {
	struct sovereign s;
	char *envelope;                 /* NULL: none */
};

#define SIGNED_NUMBERED SOVEREIGN_DECISION      /* the kinds before it follow each other by number */
#define SIGNED_GRANTS_MAX (2 * GRANT_MAX_LIVE)

#define REQUESTS_MAX 4096

/* One for an approval, on the broker. */
struct request {
	struct house *house;
	struct ulid id;
	int64_t at_ms;                  /* mono: known here since */
	struct request *next;
};

/* A row of the table `signed` to be written with the turn. */
struct signed_row {
	enum sovereign_kind kind;
	char id[NAME_MAX_LEN + 1];
	int64_t n;
	char *envelope;                 /* NULL: the row goes */
	struct signed_row *next;
};

struct breaker_row {
	const struct house *house;
	char agent[NAME_MAX_LEN + 1], tool[48], target[TARGET_MAX];
	char *row;                      /* NULL: it goes */
	struct breaker_row *next;
};

struct routine_row {
	const struct house *house;
	char name[NAME_MAX_LEN + 1];
	char *row;                      /* NULL: it goes */
	struct routine_row *next;
};

struct use_row {
	char grant[NAME_MAX_LEN + 1];
	struct ulid task;
	struct use_row *next;
};

#define ALERTS_MAX 512                  /* of one agent, beyond their threshold or raised */

/* Of one alert and what it is about, while it is raised or may be soon; see alert.c. */
struct alert {
	enum alert_kind kind;
	char subject[NAME_MAX_LEN + 1]; /* "": the agent itself */
	struct alert_state state;
	int64_t value;
	int64_t raised_ms;              /* wall */
	int64_t said_ms;                /* mono; 0: not on this connection */
	bool said_raised;               /* and so it was then */
	bool looked_at;                 /* in this round */
};

#define TASK_LIST_MAX 200
#define LIST_SCAN_MAX 50000

struct local_out {
	uint64_t conn;
	struct house *gate;
	int64_t gate_seq;
	struct buf body;
	struct local_out *next;
};

struct core {
	struct core_opts o;
	struct core_now now;
	uint64_t random[2];
	struct db db;
	struct audit *audit;
	struct learn *learn;
	char store_id[STORE_ID_MAX];
	bool restored;                  /* the database is a copy of former days, and nothing was committed to it since */
	char client_id[NAME_MAX_LEN + 48];
	char boot[ULID_TEXT];

	struct house houses[HOUSES_MAX];
	int nhouses;
	struct peer *peers;             /* all other agents */
	int npeers;
	struct work *works;
	uint64_t last_work;
	struct report *reports;
	int64_t last_report;
	int64_t *reports_done;          /* rows to delete */
	size_t nreports_done;
	struct seen *seen, *seen_tail;
	int64_t nseen, seen_bytes, last_seen, seen_dropped;
	int64_t *seen_done;             /* rows to delete */
	size_t nseen_done;
	int64_t nreports;
	unsigned slots;                 /* workers, as the pool says */
	int better, next_broker;        /* one that is tried beside ours; where to go next, -1: the one after */
	int64_t better_ms, probed_ms, agreed_ms;        /* mono: it has answered since; last tried; most of us know it */
	int64_t awaited_ms;             /* mono: looked at last */
	bool awaits;                    /* some attempts are given up if nobody reports them */
	int64_t former_pulse_ms;        /* mono: our last pulse on the connection before; 0: none */
	int64_t majority_ms;            /* mono: the latest time that a majority of them was heard on our broker */
	bool greeted;                   /* it came back, and with it all that was on its way before */
	int64_t lease_next_ms;          /* mono: when leases want to be looked at again */

	int64_t last_seq;
	struct task *by_id[TASK_BUCKETS], *by_seq[TASK_BUCKETS];
	int64_t live;
	struct task *by_key[KEY_BUCKETS];
	struct lane *lanes[LANE_BUCKETS];
	struct gauge *gauges[GAUGE_BUCKETS];
	int64_t ngauges;
	int64_t gauges_ms;              /* mono: there were too many, and one less then; 0: there is room */
	unsigned gauge_swept;           /* the bucket that is looked through next */
	int64_t flow_ms;                /* mono: a token comes that may be waited for; 0: none is */
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
	struct ended *ended;            /* tasks that others may wait for */
	size_t nended, ended_cap, nwake;        /* nwake: of turns that are committed */
	int64_t woken;                  /* who waits for the first of them, up to this number */
	bool has_waits;                 /* there may be rows of the table `waits` */
	int64_t schedule_ms[CONFIG_MAX_SCHEDULES];      /* wall: of the run that was made last; 0: look */
	int64_t schedule_again_ms[CONFIG_MAX_SCHEDULES]; /* mono: not before */
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
	bool refilled;                  /* a lane of which nothing was in memory */

	/* What the sovereign has signed: see signed.c. */
	struct signed_object held[SIGNED_NUMBERED];     /* policy and halt */
	struct signed_object grants[SIGNED_GRANTS_MAX];
	size_t ngrants;
	int64_t signed_n[SIGNED_NUMBERED];      /* what we hold */
	int64_t signed_seen[SIGNED_NUMBERED];   /* the highest that anybody was heard to hold */
	bool signed_behind;             /* so nothing starts */
	struct request *requests;       /* that this broker has retained */
	int nrequests;
	struct signed_row *signed_rows; /* the turn's */
	struct use_row *use_rows;

	struct breaker_row *breaker_rows, *breaker_rows_tail;   /* the turn's */
	uint64_t breaker_uses;
	struct routine_row *routine_rows, *routine_rows_tail;   /* the turn's */

	/* what tools write: see output.c */
	struct output *outputs;         /* of attempts that run here */
	struct output *outputs_over;    /* to be written with the turn */
	int noutputs;                   /* in the first list */
	int64_t output_ms;              /* mono: when it is told; 0: there is nothing to tell */
	int64_t output_told_ms;         /* mono: when some was */
	int64_t output_bytes;           /* rows */

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
	int64_t box_live;               /* what is older had gathered without a connection; 0: not known yet */
	int64_t pace_left, pace_at_ms;  /* of those, so many bytes might go then (mono) */
	int64_t pace_ms;                /* mono: when the next of them may go; 0: none waits for that */
	int64_t *acked;                 /* rows to delete */
	size_t nacked, acked_cap;
	struct local_out *local;
	bool local_given;
	bool ready;                     /* was connected once */
	char health_topic[TOPIC_MAX], echo_topic[TOPIC_MAX];
	char echo_text[48];             /* the greeting, and what pulses begin with */
	unsigned greetings;
	bool greet;                     /* with the next beat */
	bool broke;                     /* nothing was heard for a while: what comes until the greeting is old */
	bool up;
	bool subscribed;                /* the first beat of this connection came */
	int broker;                     /* connected to, or to be tried */
	int64_t up_mono_ms, down_mono_ms;       /* since then */
	int64_t pulses;                 /* made, ever */
	int64_t pulse_made_ms[PULSES];  /* the latest, by number; mono clock */
	int64_t pulse_ms;               /* when the latest that came back was made */
	const char *reconnect;          /* why; NULL: stay */
	uint64_t beats;
	int64_t beat_made_ms[PULSES];   /* mono: of the latest heartbeats, by number */
	int64_t former_beat;            /* number of the last that was made on a former connection */
	bool unsaid;                    /* what is retained as our health is not what we said last */

	/* alerts */
	struct alert *alerts;
	int nalerts;
	int64_t alerts_ms;              /* mono: looked at last */
	bool alerts_full;
	int64_t mark_seq, mark_ms;      /* the outbox was up to there then (mono); 0: all of that is with the broker */

	/* stress */
	struct core_measures measured;  /* as the shell said last */
	int64_t commit_us;              /* smoothed */
	struct strain strain;           /* of the agent as a whole */
	int64_t strain_ms;              /* mono: looked at last */

	/* redelivery */
	uint64_t *inbound;              /* hash by packet id; 0: none */
	int inbound_last;               /* latest received */
	int inbound_stored;             /* as the database has it */
	int inbound_broker;             /* whose numbers these are */
	int inbound_broker_stored;
	bool resumed;                   /* redeliveries may still come */
	int *inbound_new;               /* packet ids to write */
	size_t ninbound, inbound_cap;
	bool inbound_cleared;

	/* time */
	int64_t next_due_ms;            /* wall; 0: none */
	int64_t tidy_mono_ms, tidy_seq, prune_seq, pruned_id_ms;
	int64_t stored_pruned_id_ms;
	int64_t coming_ms[2];           /* time of the oldest id that came: in this slot of the clock, and in the one before */
	int64_t coming_slot;
	struct histogram task_times;
	int64_t look_ms;                /* to be written, so that it is seen that the store takes something; 0: not */
	int64_t looked_seq;             /* the tasks up to this one were read */
	bool due_changed;
	char stamp[32];                 /* the turn's time as text */
	int64_t lazy_since_ms;
	uint64_t health_seq;
	int64_t started_mono_ms;
	int64_t accepted, rejected, duplicates, redelivered, refused_publishes, dropped_events;
	int64_t dropped_ms;             /* wall: when the last of these were; 0: none were */
};

/* store.c: rows */
int store_open(struct core *c, struct err *e);
int store_commit(struct core *c, struct err *e);
void store_release(struct core *c);     /* what the turn would still write of what the sovereign signed */
void store_tidy(struct core *c);
/* Another agent's word for what was forgotten. */
void store_note_forgotten(struct core *c, int64_t id_ms);
struct task *store_find(struct core *c, const struct house *h, const struct ulid *id);
void store_count(struct core *c, struct house *h);
bool store_find_key(struct core *c, const char *house, const char *sender, const char *key, struct ulid *id);
/* The lanes that a house has on disk. */
void store_lanes(struct core *c, struct house *h);
/* The next of a lane, at most so many; true if more may be behind them. */
bool store_refill(struct core *c, struct lane *l, int64_t max, int64_t max_bytes);
void store_load_outbox(struct core *c, size_t max_bytes);
/* What the sovereign signed: written with the turn; envelope NULL: the row goes. */
void store_signed(struct core *c, enum sovereign_kind kind, const char *id, int64_t n, const char *envelope);
char *store_find_signed(struct core *c, enum sovereign_kind kind, const char *id);      /* the caller frees it */
/* Each task counts once for a grant. USED_HERE: what ran here by any approval. */
#define USED_HERE "."
void store_use(struct core *c, const char *grant, const struct ulid *task);
bool store_has_use(struct core *c, const char *grant, const struct ulid *task);
int64_t store_uses(struct core *c, const char *grant, const struct ulid *except);
void store_each_use(struct core *c, const char *grant, int max, void (*f)(void *arg, const struct ulid *task), void *arg);
int64_t store_next_due(struct core *c, const struct house *h, bool forwards);

typedef void task_fn(struct core *c, struct task *t);
/* All of them, oldest first. */
void store_in_state(struct core *c, const struct house *h, enum task_state state, task_fn *f);
/* Each calls f for some of them, not necessarily all: ask again. */
void store_due(struct core *c, const struct house *h, enum task_state state, task_fn *f);
void store_deadlines(struct core *c, const struct house *h, task_fn *f);

/* A house's rows as the disk has them, at most max, fewer if they are large: by their own numbers, or those whose
 * version is after *after. Moves *after on; true if there may be more. The task is gone after f. */
typedef void row_fn(void *arg, struct task *t);
bool store_rows(struct core *c, const struct house *h, bool all, int64_t *after, int max, row_fn *f, void *arg);

/* Those after that number that wait for that task of the house, id NULL: for any; 0 when there are no more. */
int64_t store_waiting(struct core *c, const struct house *h, const struct ulid *id, int64_t after, task_fn *f);

/* A breaker of a house, written with the turn; row NULL: it goes. */
void store_breaker(struct core *c, const struct house *h, const struct breaker *x, const char *row);
/* Likewise a schedule of a house. */
void store_routine(struct core *c, const struct house *h, const char *name, const char *row);
/* Those after that number that are held by breakers of that key, at most max (0: some); 0 when there are no more. */
int64_t store_held(struct core *c, const struct house *h, int64_t key, int64_t after, int max, task_fn *f);
int64_t store_next_held(struct core *c, const struct house *h, int64_t after);  /* the next key; 0: there is none */

struct store_filter {
	const char *house;
	int state;                      /* -1: any */
	const char *tool, *sender, *parent;
	int64_t before;                 /* seq; 0: newest */
	int64_t limit;
	int64_t scan;                   /* 0: LIST_SCAN_MAX */
};
/* Newest first, at most TASK_LIST_MAX. Looks at so many tasks as scan says and returns the number of the last of them. */
int64_t store_list(struct core *c, const struct store_filter *f, void (*row)(void *arg, struct task *t), void *arg);

/* With a turn's commit, and what there is of a task, oldest first. */
int store_put_output(struct core *c, const char *house, const struct ulid *id, int attempt, int64_t first,
    const char *text, size_t len, struct err *e);
void store_each_output(struct core *c, const char *house, const struct ulid *id,
    void (*f)(void *arg, int attempt, int64_t first, const char *text, size_t len), void *arg);

/* tasks.c: the tasks in memory */
struct task *task_new(struct core *c, struct house *h);
void task_free(struct task *t);
void task_track(struct core *c, struct task *t);
void task_untrack(struct core *c, struct task *t);
struct task *task_by_id(struct core *c, const struct house *h, const struct ulid *id);
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
/* What the owner of its house says; counted when the house becomes ours. */
void task_follow(struct core *c, struct task *t, enum task_state to);
char *task_params_text(const cJSON *params);
/* What the body says and the row does not repeat. */
void task_read_body(struct core *c, struct task *t);
/* As others know it: where it was handed to, "_" for what our own users hand on. NULL: it is no longer known. */
const char *task_house_name(const struct task *t);
bool task_is_open(const struct task *t);
bool task_has_begun(enum task_state s);
bool task_ends_in(const struct task *t, enum task_state to);     /* here */
void list_push(struct task_list *l, struct task *t);
struct task *list_pop(struct task_list *l);
void list_remove(struct task_list *l, struct task *t);
void list_insert(struct task_list *l, struct task *t);      /* by seq */

/* house.c: queues and choosing what runs */
struct house *house_find(struct core *c, const char *name);
struct house *house_add(struct core *c, const char *name);      /* NULL when there are too many */
/* By the configuration, whatever a message says: who may own the house, and who may run its work. */
bool house_may_own(const struct core *c, const struct house *h, const char *agent);
bool house_may_work(const struct core *c, const struct house *h, const char *agent);
/* The house is ours from now on, with what the disk has of it; or not any more. */
void house_take_over(struct core *c, struct house *h);
void house_let_go(struct core *c, struct house *h);
void house_schedule(struct core *c);
void house_refill(struct core *c);
void house_give_back(struct core *c, const struct house *h);    /* what was chosen and not handed out; NULL: of all */

/* lane.c: the order in which queued tasks start, and which of them are in memory */
void lane_put(struct core *c, struct task *t);
void lane_take_in(struct lane *l, struct task *t);      /* read from its row */
void lane_leave(struct core *c, struct task *t);        /* if it is in one */
int64_t lane_oldest_s(const struct core *c, const struct house *h, int least_priority);  /* how long it waits */
struct task *lane_first(struct core *c, struct house *h);       /* whose turn it is; NULL: of none that may begin */
void lane_serve(struct task *t);                        /* it starts */
void lane_found(struct core *c, struct house *h, int priority, const char *sender, const char *tool);
void lane_refill(struct core *c, struct house *h);
void lane_forget(struct core *c, struct house *h);

/* flow.c: how many may run at once, and in a time */
enum flow { FLOW_FREE, FLOW_KEY_FULL, FLOW_FULL };      /* it may begin; not this one; none of its tool */
enum flow flow_admits(struct core *c, struct task *t);
void flow_begins(struct core *c, struct task *t);       /* it counts as running */
void flow_ends(struct core *c, struct task *t);
void flow_is_out(struct core *c, struct task *t);       /* it was chosen, and is handed out */
void flow_take_up(struct core *c, struct house *h);
void flow_tick(struct core *c);
void flow_release(struct core *c);

/* attempt.c: what follows from an end */
/* A task's number, the attempt above it; those of WORK_HANDLES are not ours. */
#define HANDLE_SEQ_BITS 48
#define HANDLE_ATTEMPT_MAX 0x3fff
#define HANDLE_SEQ(handle) ((int64_t)((handle) & (((uint64_t)1 << HANDLE_SEQ_BITS) - 1)))
uint64_t attempt_handle(const struct task *t);          /* of its attempt that runs here */
struct task *attempt_by_handle(struct core *c, uint64_t handle);        /* NULL: none of our own houses' */
void attempt_ended(struct core *c, struct task *t, const struct pool_end *p);
void attempt_lost(struct core *c, struct task *t);
bool attempt_is_awaited(const struct task *t);
void attempt_await(struct core *c, struct task *t, int64_t ms);
void attempt_resume(struct core *c, struct task *t);
/* Every attempt has one: as the task asks (0: it does not), or the tool's, and the house's cap. */
int64_t attempt_timeout_ms(const struct house *h, const struct tool *tool, int64_t asked_s);
void attempt_doubt(struct core *c, struct task *t);
void attempt_forgotten(struct core *c, struct task *t);
bool attempt_was_forgotten(const struct task *t);
void attempt_let_go(struct core *c, struct task *t);
void attempt_unchoose(struct core *c, struct task *t);
void attempt_finish(struct core *c, struct task *t, enum task_state to, const struct err *e);
void attempt_due(struct core *c, struct task *t);
void attempt_expire(struct core *c, struct task *t);
/* Members of an outcome, after others of the same object. */
void attempt_put_outcome(struct buf *b, const struct task *t);
void attempt_reply_outcome(struct buf *b, const struct task *t);        /* a whole line */
void attempt_cancel(struct core *c, struct task *t, const char *by);
/* Its result or error, and its notes, as another agent's message has them. */
void attempt_take_outcome(struct task *t, const cJSON *o);
void attempt_announce(struct core *c, struct task *t);
void attempt_announce_all(struct core *c, const struct house *h);
/* An outcome from elsewhere, which is in t already: of a former term, or reported late. */
void attempt_settle(struct core *c, struct task *t, enum task_state to);
/* Its reply once more, as it stands now. */
void attempt_tell_again(struct core *c, struct task *t);

/* after.c: tasks that wait for others of their house */
int after_admit(struct core *c, const struct house *h, const struct task_msg *m, const cJSON *tree, struct err *e);
/* The house of those that it waits for; NULL: it waits for none, or they are not known. */
const char *after_house(struct core *c, const struct house *h, const struct task_msg *m, struct err *e);
/* Scheduled, or queued if there is nothing to wait for. */
void after_place(struct core *c, struct task *t, int64_t not_before_ms);
/* One that is scheduled stays so, or was cancelled. */
bool after_holds(struct core *c, struct task *t);
/* Those that it waits for are not yet where it is to be handed to. */
bool after_is_ahead(struct core *c, const struct task *t);
void after_ended(struct core *c, const struct task *t);
void after_look(struct house *h);       /* at all that wait */
void after_tick(struct core *c);
void after_turn(struct core *c);        /* it is committed */
bool after_is_due(const struct core *c);
void after_put_waits(struct core *c, struct buf *b, const struct task *t);
void after_release(struct core *c);

/* breaker.c: targets at which work fails */
/* That agent may not begin it now. */
bool breaker_bars(struct core *c, const struct house *h, struct task *t, const char *agent);
/* Nobody may: it was put aside, and waits. */
bool breaker_holds(struct core *c, struct task *t);
void breaker_let_go(struct core *c, struct task *t);
void breaker_begins(struct core *c, struct task *t);
void breaker_ended(struct core *c, struct task *t, const struct pool_end *p);   /* while it is known who ran it */
void breaker_is_over(struct core *c, struct task *t);
/* By hand. */
int breaker_order(struct core *c, struct house *h, const char *tool, const char *target, bool opens, const char *who,
    struct err *e);
void breaker_tick(struct core *c);
bool breaker_is_due(const struct core *c);
int64_t breaker_next_due(const struct core *c, const struct house *h);
void breaker_take_up(struct core *c, struct house *h);
void breaker_let_house_go(struct house *h);
void breaker_follow(struct core *c, struct house *h, const cJSON *o);
void breaker_load(struct core *c, struct house *h, const char *row);
void breaker_put_all(struct buf *b, const struct house *h);
void breaker_take_all(struct core *c, struct house *h, const cJSON *list);
int breaker_count_open(const struct house *h);
int breaker_count_down(const struct core *c, const struct house *h);
void breaker_put_health(struct buf *b, const struct house *h);
void breaker_put(struct buf *b, const struct house *h, int i);
void breaker_put_held(struct buf *b, const struct task *t);     /* why it does not start for now */

/* schedule.c: tasks that come again */
#define SCHEDULE_SENDER "schedule"
void schedule_id(const struct config_schedule *s, int64_t at_ms, struct ulid *id);
void schedule_take_up(struct core *c, const struct house *h);
void schedule_tick(struct core *c);

/* routine.c: schedules that were added by command */
int routine_order(struct core *c, struct house *h, const char *who, const cJSON *o, struct err *e);
void routine_tick(struct core *c);
int64_t routine_next_due(const struct core *c, const struct house *h);
void routine_take_up(struct house *h);
void routine_release(struct house *h);
void routine_follow(struct core *c, struct house *h, const cJSON *o);
void routine_load(struct house *h, const char *row);
/* Getting in step: the owner's, one by one, and then in place of ours; what we had alone. */
int routine_send_all(struct core *c, const struct house *h, const char *to);
void routine_comes(struct house *h, const cJSON *o);
void routine_forget_coming(struct house *h);
void routine_take_all(struct core *c, struct house *h);
void routine_offer(struct core *c, const struct house *h);
void routine_adopt(struct core *c, struct house *h, const cJSON *o);
void routine_put(struct core *c, struct buf *b, const struct house *h, int i);
void routine_put_next(const struct core *c, struct buf *b, const struct routine *r);
void routine_put_configured(struct core *c, struct buf *b, const struct house *h, const struct config_schedule *s);
void routine_task_id(const struct routine *r, int64_t at_ms, struct ulid *id);

/* history.c: what became of a task's attempts */
/* p NULL: whoever ran it is gone. Before its slot is given back. */
void history_add(struct core *c, struct task *t, const struct pool_end *p, const struct err *e);
void history_put_why(struct buf *b, const char *code, const char *message);     /* two members, the message cut */
void history_put(struct buf *b, const struct task *t);  /* a member of others' object */
void history_follow(struct task *t, const cJSON *o);    /* as the owner has it, if he says so */

/* signed.c: policy, halts and grants */
bool signed_is_on(const struct core *c);                /* a key is pinned */
bool signed_may_start(const struct core *c);            /* we hold all that anybody is known to hold */
const struct policy *signed_policy(const struct core *c);       /* NULL: none yet */
int64_t signed_policy_number(const struct core *c);
/* By which nothing starts there; NULL: none. tool NULL: of the house as a whole. */
const struct halt_entry *signed_halt(const struct core *c, const char *house, const char *tool);
/* Why a task that is open does not start for now, if that is a halt. */
void signed_put_halted(const struct core *c, struct buf *b, const struct task *t);
const struct grant *signed_grant_find(const struct core *c, const char *id);
const struct grant *signed_grant_for(struct core *c, const struct grant_question *q, const struct ulid *task);
int signed_open_decision(const struct core *c, const char *envelope, size_t len, struct sovereign *s, struct err *e);
void signed_load(struct core *c, enum sovereign_kind kind, const char *envelope, size_t len);   /* from the store */
void signed_open(struct core *c);
/* An envelope, however it came. 0 too if it is old; -1 with e: it is nothing the sovereign signed. */
int signed_take(struct core *c, const char *text, size_t len, struct err *e);
void signed_message(struct core *c, const struct topic *t, const struct mqtt_msg *m);
void signed_link_up(struct core *c);
void signed_heard(struct core *c, struct peer *p, const cJSON *health);
void signed_put_health(const struct core *c, struct buf *b);
void signed_put(const struct core *c, void (*put)(void *arg, const struct sovereign *s, const char *envelope),
    void *arg);
void signed_release(struct core *c);

/* approval.c: who may start what */
/* What is about to start, as whoever runs it knows it. */
struct start {
	const struct ulid *id;
	const char *house;
	const struct tool *tool;
	const cJSON *params;            /* with defaults */
	const char *sender;
	enum task_mode mode;
	int64_t *until_ms;              /* set to when what was given for it ends; left alone if nothing was */
};
void approval_set(struct task *t, char *json);          /* takes json */
void approval_follow(struct core *c, struct task *t, const cJSON *o);
/* At intake: -1 with e if policy says so at once. */
int approval_admit(const struct core *c, const struct house *h, const struct tool *tool, const char *sender,
    enum task_mode mode, struct err *e);
bool approval_place(struct core *c, struct task *t);
bool approval_is_free(const struct core *c, const struct task *t, const char *house);
bool approval_may_move(const struct core *c, const struct task *t, const char *house);
void approval_begin(struct core *c, struct task *t, const char *why);
void approval_planned(struct core *c, struct house *h, const char *agent, cJSON *o);
void approval_decision(struct core *c, const char *task, const char *envelope, size_t len);
void approval_request_message(struct core *c, const struct topic *t, const struct mqtt_msg *m);
void approval_forget_requests(struct core *c);  /* those of another broker, and at the end */
void approval_due(struct core *c, struct task *t);
void approval_leave(struct core *c, struct task *t);    /* it waits no longer */
void approval_take_up(struct core *c, struct task *t);  /* it waits, and its house has become ours */
void approval_resume(struct core *c, struct house *h);
void approval_granted(struct core *c);
/* Judged by what we hold: the terms for the worker, which the caller frees; NULL with e: it may not start.
 * ERR_APPROVAL: not without an approval. */
char *approval_terms(struct core *c, const struct start *s, const cJSON *approval, const cJSON *reads, struct err *e);
bool approval_wants_reads(const struct core *c, const struct task *t);
cJSON *approval_reads(struct core *c, const struct task *t);    /* what its chain has read; the caller frees it */
/* The owner, before each start. False: it does not start, and was taken from the queue. */
bool approval_may_start(struct core *c, struct task *t);
bool approval_refused(struct core *c, struct task *t, const struct err *e);

/* intake.c: what others ask for */
/* One JSON object; where no member is at fault the payload is. */
cJSON *intake_parse(const char *text, size_t len, struct err *e);
void intake_line(struct core *c, struct house *h, const char *sender, const char *line, size_t len, int nline,
    const struct mqtt_msg *m, uint64_t conn);
/* 0: the house takes more; else e is ERR_BUSY. */
int intake_room(const struct core *c, const struct house *h, struct err *e);
/* A task that the house makes itself in that sender's name; -1: it was refused, as from him. */
int intake_own(struct core *c, struct house *h, const char *sender, const char *line, size_t len, struct err *e);
/* Whether one such would be taken, but for time and room. */
int intake_check(struct core *c, struct house *h, const char *sender, const cJSON *task, struct err *e);
/* What the router, which is we, hands to a house that is ours: t. */
int intake_handed(struct core *c, struct house *h, struct task *t, const char *line, size_t len, struct err *e);
/* A payload that is refused whole. */
void intake_refuse(struct core *c, struct house *h, const char *sender, const char *payload, size_t len,
    const struct mqtt_msg *m, uint64_t conn, const struct err *e);

/* request.c: cancel, query and list, from the broker or a local connection */
void request_message(struct core *c, const struct topic *t, const struct mqtt_msg *m);

/* forward.c: handing a task to another house. True if the task left this agent's houses. */
bool forward_if_elsewhere(struct core *c, struct task *t, const cJSON *tree);
void forward_house(struct core *c, struct task *t, char house[NAME_MAX_LEN + 1]);   /* that it is meant for */
/* Once more, so that the house tells the sender again how it stands. */
void forward_repeat(struct core *c, struct task *t);
void forward_reply(struct core *c, const struct mqtt_msg *m);
void forward_again(struct core *c, struct task *t);

/* out.c: what leaves */
void out_append(struct core *c, struct out *o);
struct buf *out_line(struct core *c, const char *topic, const char *response_topic, const void *correlation,
    size_t correlation_len);
/* Likewise, but it waits for the house's copies like an answer; whether there is anything to wait for. */
struct buf *out_gated_line(struct core *c, struct house *h, const char *topic, const char *response_topic);
bool out_is_gated(struct house *h);
struct buf *out_event(struct core *c, struct house *h, const char *type);
/* One about a task: with its id, and the task's version from now on. */
struct buf *out_task_event(struct core *c, struct task *t, const char *type);
void out_version(struct core *c, struct task *t);
/* A reply that says how things are in a house waits for its copies; NULL: it need not. */
struct buf *out_reply(struct core *c, struct house *h, const char *topic, const void *correlation,
    size_t correlation_len);
struct buf *out_once(struct core *c, const char *topic);
/* A message of its own that is not kept. */
struct buf *out_now(struct core *c, const char *topic, int qos, bool retain, uint32_t expiry_s);
void out_end_line(struct buf *b);
struct buf *out_local(struct core *c, struct house *h, uint64_t conn);
/* Those that waited for the house's copies up to this event may go. */
void out_open_gate(struct core *c, struct house *h, int64_t seq);
/* What this turn wants to say there, and was not worth keeping. */
void out_forget(struct core *c, const char *topic);
void out_drop_held(struct core *c, struct house *h);
/* Held answers say how many copies there are: not more than this. */
void out_correct_copies(struct core *c, struct house *h, int n);
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

/* peer.c: the other agents */
int peer_init(struct core *c);
struct peer *peer_find(struct core *c, const char *name);
void peer_health(struct core *c, const struct topic *t, const struct mqtt_msg *m);
void peer_have(struct core *c, const struct topic *t, const struct mqtt_msg *m);
/* Neither silent for so long nor known to have left; what is heard by nobody is not alive. */
bool peer_is_alive(const struct core *c, const struct peer *p, int64_t ms);
/* By a heartbeat or claim of its: what it speaks. Of whoever is not understood only claims count, and that it lives. */
void peer_speaks(const struct core *c, struct peer *p, const cJSON *o);
bool peer_is_understood(const struct core *c, const struct peer *p);
void peer_put_health(struct core *c, struct buf *b);
struct copy *house_copy(struct house *h, const struct peer *p);

/* lease.c: who owns a house */
bool term_is_less(const struct term *a, const struct term *b);
bool term_equal(const struct term *a, const struct term *b);
void term_put(struct buf *b, const char *key, const struct term *t);
#define TERM_TEXT (NAME_MAX_LEN + STORE_ID_MAX + 24)
void term_format(const struct term *t, char out[TERM_TEXT]);
bool term_parse(const char *text, struct term *t);
void lease_message(struct core *c, const struct topic *t, const struct mqtt_msg *m);
/* Somebody's word for a higher term. */
void lease_heard(struct core *c, struct house *h, const struct term *t);
void lease_tick(struct core *c);
void lease_link_up(struct core *c);
void lease_link_down(struct core *c, bool left);
bool lease_may_start(const struct core *c, const struct house *h);
bool lease_is_shared(const struct house *h);    /* there is somebody who could take it */
struct peer *lease_owner(struct core *c, const struct house *h);        /* NULL: we, or nobody */
void lease_take(struct core *c, struct house *h, const struct peer *from, const cJSON *o);
void lease_wont(struct core *c, struct house *h, struct peer *from, const cJSON *o);
/* pin: it is not handed back by itself. */
int lease_move(struct core *c, struct house *h, const char *to, bool pin, struct err *e);
/* At the beginning of a turn, and when its commit is done. begin: houses may become ours. */
void lease_check(struct core *c, bool begin);
void lease_take_back(struct core *c);   /* claims of this turn */
void lease_open(struct core *c, struct house *h);       /* nobody else could own it */
bool lease_is_drained(const struct core *c);

/* copies.c: what the followers of our houses have */
bool copies_have(const struct house *h, int64_t seq);
int copies_count(const struct house *h);        /* ours and those in step */
void copies_begin(struct core *c, struct house *h, const cJSON *in_step);
void copies_check(struct core *c, struct house *h);
bool copies_wait(const struct house *h);

/* stream.c: following another owner's stream, and getting in step */
/* What a follower needs to go on with the task: its body, who is answered where. */
void stream_put_task(struct buf *b, const struct task *t);
void stream_put_hex(struct buf *b, const char *key, const char *p, size_t len);
void stream_add_term(struct house *h, const struct term *t, int64_t base);
bool stream_knows_term(const struct house *h, const struct term *t);
void stream_event(struct core *c, const struct topic *t, const struct mqtt_msg *m);
void stream_new_owner(struct core *c, struct house *h, const struct term *log, int64_t head);
void stream_tick(struct core *c, struct house *h);
bool stream_work(struct core *c, struct house *h, struct peer *from, const char *op, const cJSON *o);
void stream_tell_have(struct core *c);

/* seen.c: tasks that a house's owner has not answered yet */
struct seen *seen_add(struct core *c, struct house *h, const char *sender, const char *line, size_t len,
    const struct mqtt_msg *m);
uint64_t seen_hash(const char *line, size_t len);
void seen_match(struct core *c, struct house *h, const char *sender, uint64_t hash);
void seen_take(struct core *c, struct house *h);        /* the house is ours: they are tasks like any other */
void seen_tick(struct core *c);
bool seen_is_old(const struct core *c, const struct seen *x);
void seen_make_stale(struct core *c, const struct house *h);
void seen_release(struct core *c);

/* work.c: attempts on one agent for a house that another owns */
/* Who should run it; *here: we. False: nobody can now. */
bool work_choose(struct core *c, const struct house *h, struct task *t, bool here, struct peer **p);
bool work_is_barred(struct core *c, struct task *t);     /* by breakers, at all who could run it */
/* A line from us to another agent about a house; it is not kept. */
struct buf *work_line(struct core *c, const char *agent, const struct house *h, const char *op);
void work_ask(struct core *c, struct house *h);        /* what others run for it */
void work_send(struct core *c, struct task *t);
/* Has it said what it would touch; at NULL: here. */
void work_plan(struct core *c, struct task *t, struct peer *at);
void work_stop(struct core *c, struct task *t);
void work_message(struct core *c, const struct topic *t, const struct mqtt_msg *m);
/* A line for the owner on the house's stream. */
void work_told(struct core *c, struct house *h, const char *agent, cJSON *o);
/* Our connection was broken: the owners have given up what we had not begun. */
void work_drop_waiting(struct core *c);
void work_peer_lost(struct core *c, struct peer *p);
void work_tick(struct core *c);
struct work *work_find(struct core *c, uint64_t handle);
void work_end(struct core *c, struct work *w, const struct pool_end *end);
void work_not_run(struct core *c, struct task *t);      /* it was chosen, and never began */
/* The house is ours: what runs here for its former owner runs for us. */
void work_resume(struct core *c, struct house *h);
void work_stop_here(struct core *c, struct task *t);
void work_given_away(const struct task *t);     /* another agent has it, and its house is not ours any more */
void work_forget_given_away(struct house *h);
void work_keep(struct core *c, struct task *t);         /* it ran here, for us, and now runs for the new owner */
void work_announce(struct core *c, struct house *h);    /* to the new owner */
struct report *work_add_report(struct core *c, struct house *h, const struct ulid *id, int attempt, char *line);
bool work_next_start(struct core *c, unsigned idle, unsigned quick, struct pool_start *s);
void work_release(struct core *c);

const char *work_how(enum pool_how how);

/* output.c: what tools write while they run here */
void output_tick(struct core *c);
void output_end(struct core *c, uint64_t handle);       /* that attempt is over */
int output_write(struct core *c, struct err *e);        /* with a commit, and then it is there */
void output_is_stored(struct core *c);
/* Whoever may have kept some is asked, but for us; who that is becomes members of b. */
void output_ask(struct core *c, const struct task *t, int attempt, int64_t from, const struct mqtt_msg *m, struct buf *b);
void output_answer(struct core *c, const struct task *t, int attempt, int64_t from, const struct mqtt_msg *m);
void output_asked(struct core *c, const struct house *h, const cJSON *o);
void output_release(struct core *c);

/* audit.c: the chain of what was decided and what ran here */
int audit_open(struct core *c, struct err *e);
void audit_release(struct core *c);
void audit_chosen(struct core *c, struct task *t);
void audit_ran(struct core *c, struct task *t, const struct pool_end *p);
void audit_outcome(struct core *c, struct task *t);
void audit_retried(struct core *c, struct task *t, const struct pool_end *p);
void audit_attempt(struct core *c, const struct work *w, const struct pool_end *p);
void audit_tick(struct core *c);
/* With a commit: the turn's page is closed, written, and there. */
void audit_close(struct core *c);
int audit_write(struct core *c, struct err *e);
void audit_is_stored(struct core *c);
int audit_prune(struct core *c);        /* in a transaction that is rolled back if this fails */
void audit_heard(struct core *c, struct peer *p, const cJSON *health);
void audit_put_health(const struct core *c, struct buf *b);
/* Pages from that number on, or from that time, each on a line; returns where to go on, 0 at the end. */
int64_t audit_answer(struct core *c, int64_t page, int64_t since_ms, struct buf *(*line)(void *arg), void *arg);
void audit_put_chain(struct core *c, struct buf *b);    /* members that say which chain it is */

/* learn.c: what attempts came to, and what is to be expected of the next */
int learn_open(struct core *c, struct err *e);
void learn_release(struct core *c);
/* Whether what was learned may change how it is run: in mode intelligent alone, never what needs an approval, nor under stress. */
bool learn_adapts(const struct core *c, const struct task *t);
void learn_expect(struct core *c, struct task *t);      /* it is chosen, and begins next */
/* A draw of its chance on that agent, less where it would not go anyway: who has the largest gets it. */
double learn_bid(struct core *c, const struct task *t, const char *agent, bool usual);
/* Where the router sends a task that no rule speaks for. */
const struct config_house *learn_house(struct core *c, const struct task *t, const struct config_house *usual);
/* Failures in a row at one target that are more than chance, as it stands; 0: too little is known of the tool. */
int learn_run(const struct core *c, const char *tool);
void learn_breaker_waits(struct core *c, const struct task *t, const char *agent, int run);     /* and is not opened yet */
void learn_ended(struct core *c, struct task *t, const struct pool_end *p);     /* while it is known where it ran */
void learn_work(struct core *c, const struct work *w, const struct pool_end *p);
void learn_heard(struct core *c, const struct task *t, const cJSON *event, const char *type);
struct question {
	const char *tool, *house;
	const char *agent;              /* that would run it; NULL: any */
	const cJSON *params;            /* NULL: none */
};
/* Members of an answer. */
void learn_put_prediction(const struct core *c, struct buf *b, const struct question *q);
void learn_put_report(const struct core *c, struct buf *b);
void learn_put_state(const struct core *c, struct buf *b);
/* What is said of a task in the request for its approval. */
void learn_put_predicted(struct core *c, struct buf *b, const struct task *t);
void learn_reset(struct core *c);
void learn_freeze(struct core *c, bool frozen);
/* Attempts of another program, whose history is numbered: those after that number, up to that one. */
#define IMPORT_SOURCE_MAX 512
struct import {
	const char *source, *house;
	int64_t after, upto;
	const cJSON *attempts;
};
int64_t learn_imported(struct core *c, const char *source);     /* up to there it is here */
int learn_import(struct core *c, const struct import *i, struct err *e);
/* With a commit, as with audit.c. */
int learn_write(struct core *c, struct err *e);
void learn_is_stored(struct core *c);
int learn_prune(struct core *c);

/* brokers.c: which broker to be on */
bool brokers_majority(const struct core *c);
int64_t brokers_better_s(const struct core *c);         /* -1: none has answered */
/* Most of us, all on this broker, had their last pulse on the one before between these times (mono). */
bool brokers_lost_by_most(const struct core *c, int64_t from_ms, int64_t to_ms);
void brokers_tick(struct core *c);
void brokers_link_up(struct core *c);
void brokers_link_down(struct core *c);

/* alert.c: what people should look at */
void alert_tick(struct core *c);
void alert_link_up(struct core *c);

/* stress.c: what is let go of while something is short */
#define STRESS_RETRY_S 30
void stress_init(struct core *c);
void stress_tick(struct core *c);
const char *stress_of(const struct core *c, const struct house *h);     /* the first; NULL: none. h NULL: of the agent alone */
bool stress_is_any(const struct core *c);
/* 0: the house takes a new one of that priority; else e is ERR_BUSY. */
int stress_room(const struct core *c, const struct house *h, int priority, struct err *e);

/* pulse.c: heartbeats, and our own pulse through the broker */
void pulse_link_up(struct core *c);
/* True if it was the first of this connection: it comes after all that the broker had to deliver again. */
bool pulse_take(struct core *c, const struct mqtt_msg *m);
void pulse_check(struct core *c);

/* core.c */
void core_queue_stop(struct core *c, uint64_t handle);
struct house *core_outer_house(struct core *c);
uint64_t core_random(struct core *c);
void core_new_id(struct core *c, struct ulid *id);

#endif
