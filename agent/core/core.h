/*
 * core.h - everything an agent decides, and nothing else.
 *
 * The core reads no clock, no socket and no random device: time, messages and a seed are arguments.
 * What it wants done comes back as effects. A turn is
 *
 *      core_begin()  inputs...  core_commit()  effects...  core_end()
 *
 * and nothing leaves the agent that its disk does not know: publishes, replies and the start of
 * anything that may not run twice wait for core_commit(). Two things may happen before it: the start
 * of work that only reads (core_next_start()), and receiving more.
 *
 * All that is durable is written by core_commit() from memory, so a failed commit (full disk) leaves
 * the turn open: call it again later, release nothing until then.
 */
#ifndef UW_CORE_H
#define UW_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "config.h"
#include "err.h"
#include "histogram.h"
#include "mqtt.h"
#include "pool.h"
#include "tool.h"

struct core;

struct core_now {
	int64_t wall_ms;        /* since 1970; may jump */
	int64_t mono_ms;        /* never goes back, counts sleep */
};

struct core_opts {
	const struct config *config;
	const struct registry *tools;
	const char *agent;
	const char *store_path;
	const char *vfs;        /* NULL: the system's */
	uint64_t seed;          /* of the core's random numbers */
	const char *secret;     /* random text nobody can guess, for a store that has none yet */
	const char *version;
	int protocol;           /* 0: CORE_PROTOCOL; tests speak others */
	const char *host;
	/* Signs what the audit chain ends its pages with: appends an envelope. NULL: they stay unsigned. The binding is
	 * what others know the key by; it is kept with the chain. */
	int (*sign)(void *arg, const char *type, const void *payload, size_t len, struct buf *envelope, struct err *e);
	void *sign_arg;
	const char *sign_binding;
};

/* Opens the store, migrates it, and takes up what a former life left: work that may be repeated is
 * queued again, the rest becomes uncertain. */
int core_open(struct core **out, const struct core_opts *o, struct core_now now, struct err *e);
void core_close(struct core *c);

/* ---- inputs; between core_begin() and core_commit() ---- */

void core_begin(struct core *c, struct core_now now);

/* A message that the broker delivered. */
void core_message(struct core *c, const struct mqtt_msg *m);

/* The link to a broker, by its number in the configuration. session: it kept ours, so redeliveries may come
 * first. Down: it was lost, or could not be made; then core_broker() says where to try next. */
void core_link_up(struct core *c, int broker, bool session);
void core_link_down(struct core *c);

/* Once a second, and when all is subscribed: heartbeat and pulse become publishes. pool: JSON, or NULL. */
void core_beat(struct core *c, const char *pool);

/* What came of trying the broker that core_probe() named. */
void core_probed(struct core *c, int broker, bool answered);

/* The broker has taken (or refused) the publish that core_publish_sent() named. */
void core_sent(struct core *c, int mid, int reason);

/* How many attempts the pool can take now. */
void core_slots(struct core *c, unsigned idle, unsigned quick);

/* An attempt ended, wrote something (valid UTF-8 without NUL), or says how far it is (-1: it does not know). */
void core_attempt_end(struct core *c, const struct pool_end *end);
void core_attempt_log(struct core *c, uint64_t handle, const char *text, size_t len);
void core_attempt_progress(struct core *c, uint64_t handle, int percent, const char *note, size_t len);

/* One request line from a local connection; replies come as effects for conn. who: the user name. */
void core_local(struct core *c, uint64_t conn, const char *line, size_t len, const char *who);
void core_local_gone(struct core *c, uint64_t conn);

/* No new tasks while the disk is short. */
void core_disk_low(struct core *c, bool low);

/* What only the shell can see, for alerts and stress. */
struct core_measures {
	int64_t disk_free_bytes;        /* where the store is; -1: not known */
	int64_t memory_free_bytes;      /* of the host, that programs may have; -1: not known */
	int64_t commit_us;              /* what a commit took, of those since the last time; 0: there was none */
	int64_t cert_until_ms;          /* our certificate ends (wall); 0: not known */
	bool shares;                    /* files, with other hosts; what follows was found out */
	int64_t sync_faults;            /* of these, how many are away or have a fault */
	int64_t sync_behind_s;          /* for so long something has been still to come */
};

/* Once a second. */
void core_measured(struct core *c, const struct core_measures *m);

/* What a house needs and this host does not have, in words; NULL: it has all. Who lacks something owns the house only
 * while no other candidate could. */
void core_house_lacks(struct core *c, const char *house, const char *what);

/* The agent is about to stop: no new attempts, and its houses go to others. */
void core_drain(struct core *c);

/* What is due by time: schedules, retries, deadlines, retention, resends. Call once a turn. */
void core_tick(struct core *c);

/* ---- work that may start now ---- */

/* False when there is none. Before the commit these are only reads; the rest comes after it. The caller hands
 * it to the pool at once; pointers live until core_end(). idle and quick say what the pool can take now: the
 * worker that was free when the attempt was chosen may be busy or dead, and then the attempt waits. */
bool core_next_start(struct core *c, unsigned idle, unsigned quick, struct pool_start *s);
bool core_next_stop(struct core *c, uint64_t *handle);

/* How many quick attempts are out: worth a short wait before the commit. */
unsigned core_quick_out(const struct core *c);

/* ---- commit ---- */

/* True if something durable changed that cannot wait. */
bool core_is_dirty(const struct core *c);

/* -1 with e: nothing was written, the turn stays open. */
int core_commit(struct core *c, struct err *e);

/* After the commit, which may have taken long, and before any effect: what is no longer ours to do is let go. */
void core_release(struct core *c, struct core_now now);

/* ---- effects; after core_commit() ---- */

struct core_publish {
	int64_t seq;            /* of the outbox; 0: not kept, sent once */
	const char *topic;
	const char *payload;
	size_t len;
	int qos;
	bool retain;
	uint32_t expiry_s;
	const char *response_topic;
	const void *correlation;
	size_t correlation_len;
};

/* The next publish, oldest first, within the window; call core_publish_sent() for each with the number that
 * mqtt_publish() gave it, or -1 if it can never be sent. */
bool core_next_publish(struct core *c, struct core_publish *p);
void core_publish_sent(struct core *c, const struct core_publish *p, int mid);

/* Lines for local connections. */
bool core_next_local(struct core *c, uint64_t *conn, const char **text, size_t *len);

/* Forgets what the turn held. Returns when to call again at the latest, on the mono clock. */
int64_t core_end(struct core *c);

/* ---- what the shell needs to know ---- */

/* Filters to subscribe to, one after the other; false at the end. */
bool core_subscription(const struct core *c, size_t i, char topic[TOPIC_MAX], int *qos);

/* Gives back memory that only speeds things up. */
void core_shrink(struct core *c);

/* Of the database: a newer one is refused. */
int core_store_version(void);

/* In its table meta: the database was put back from a backup. Until the first commit, houses that this agent owns
 * without asking others begin as after a takeover that was not clean. */
#define STORE_RESTORED "restored"

/* The database, to be copied between turns. */
struct sqlite3;
struct sqlite3 *core_store(const struct core *c);

/* Of what agents say to each other: one of N understands N - 1, N and N + 1. docs/protocol.md says what may change how. */
#define CORE_PROTOCOL 1

/* Attempts that are out. */
unsigned core_running(const struct core *c);

/* After core_drain(): nothing runs here, and no house that another could take is still held. */
bool core_is_drained(const struct core *c);

/* Reads the store from the disk, or a piece of it if it is large, and makes the next commit write something. -1: it is
 * damaged. An input, between core_begin() and core_commit(). */
int core_look(struct core *c, struct err *e);

/* When the latest pulse was made that came back, or the connection, on the mono clock; 0: there is none. */
int64_t core_pulse_made_ms(const struct core *c);

/* How many agents are heard; *ms is how far the clocks of half of them are ahead of ours, or more. */
int core_clock_skew(const struct core *c, int64_t *ms);

/* From their acceptance to their end, of tasks of houses that we owned then. */
const struct histogram *core_task_times(const struct core *c);

/* The broker to connect to. */
int core_broker(const struct core *c);
/* Why the connection should be given up and made anew, NULL if it should not. */
const char *core_must_reconnect(const struct core *c);
/* A better broker that should be tried beside the connection; -1: none. */
int core_probe(struct core *c);

/* Whether we own a house now, and nobody has it from us yet. */
bool core_owns(const struct core *c, const char *house);

/* Who has owned a house, as far as its events are here: appends a list of terms, oldest first. */
void core_put_terms(struct core *c, const char *house, struct buf *out);

/* The last will, and health, as JSON. */
void core_will(struct core *c, struct buf *out);
void core_health(struct core *c, const char *state, const char *pool_json, struct buf *out);
/* Members of an object: whether it is degraded, and by what. */
void core_put_stress(const struct core *c, struct buf *out);
/* Our name on the broker, the same in every life of this store. A broker gives a session to whoever knows its
 * client id, whatever his certificate: so it holds a secret. */
const char *core_client_id(const struct core *c);
const char *core_boot(const struct core *c);    /* of this life */

const char *core_health_topic(const struct core *c);
const char *core_echo_topic(const struct core *c);
const char *core_echo_text(const struct core *c);       /* another one for each connection */

#endif
