/*
 * agent.h - the thin shell around the core: loop, link, workers, local socket.
 *
 * agent.c runs the turns: it gathers inputs, lets the core commit, and then carries out its effects.
 * link.c keeps the connection to the broker, probe.c tries another one beside it, needs.c looks whether what houses
 * need is reached, socket.c serves local connections, http.c those of HTTP, health.c looks whether all this works, and
 * reload.c what SIGHUP means.
 */
#ifndef UW_AGENT_H
#define UW_AGENT_H

#include <uv.h>

#include "address.h"
#include "config.h"
#include "core.h"
#include "db_copy.h"
#include "digest.h"
#include "health.h"
#include "http.h"
#include "http_event.h"
#include "keeper.h"
#include "metrics.h"
#include "mqtt.h"
#include "pool.h"
#include "tool.h"

struct agent_opts {
	const struct config *config;
	const char *id;
	const char *exe;                /* this program, to run workers from */
};

/* Runs until SIGTERM or SIGINT. Returns 0, or -1 with e if it could not start; or 1: what it was started with has changed
 * since and SIGHUP came, so the process should become the same program once more. Signals are blocked then; agent_run()
 * lets them through again. */
int agent_run(const struct agent_opts *o, struct err *e);

struct socket_conn;

struct link {
	struct mqtt *mqtt;
	uv_poll_t *poll;                /* of this connection; NULL when there is none */
	int poll_events;
	uv_timer_t retry;               /* when to connect, or to try the next address */
	uv_timer_t limit;               /* how long connecting may take, from the name to the broker's answer */
	int broker;                     /* that is tried or connected, by its number */
	bool stay;                      /* given up for another connection to the same broker */
	bool waiting;                   /* for its addresses */
	size_t left;                    /* addresses of it to try, the present one among them */
	bool up;                        /* until it is taken down */
	bool lost;                      /* to be taken down in the next turn */
	bool beat;                      /* a heartbeat is due with this turn's effects */
	bool more;                      /* not all was read, and the socket need not show it */
	bool follows;                   /* subscribed to what tools write elsewhere */
	bool broken;                    /* to be taken down when all that came was read */
	char why[160];                  /* the latest reason to connect again */
	char told[CONFIG_MAX_BROKERS][160];     /* and the latest in the log */
	int failures;
	int subscribing;                /* acknowledgements still to come */
	uint64_t certs;                 /* the certificate files as they were read */
	int64_t cert_until_ms;          /* wall: our own ends; 0: not known */
	struct address addresses[CONFIG_MAX_BROKERS];
	uv_poll_t *lookups[CONFIG_MAX_BROKERS]; /* that are out */
	struct mqtt_known known[CONFIG_MAX_BROKERS];
	int twin_beats;                 /* heartbeats of another agent under our name */
	char will[512];
};

/* One connection beside the link's, only to see whether a broker answers. */
struct probe {
	struct mqtt *mqtt;
	uv_poll_t *poll;
	int poll_events;
	uv_timer_t limit;
	int broker;
	bool waiting;                   /* for its addresses */
	bool out;                       /* begun, and the core does not know the result */
	bool ended, answered;
	struct mqtt_known known[CONFIG_MAX_BROKERS];
};

/* A copy of the database that is being made. */
struct copy {
	struct db_copy *db;             /* NULL: none */
	uint64_t conn;                  /* who waits for it */
	uv_timer_t next;
	int pages;                      /* of the next step */
	int64_t began_ms;
	char path[512];
};

struct need;

struct agent {
	struct agent_opts o;
	uv_loop_t loop;
	struct core *core;
	struct signer *signer;
	struct pool *pool;
	struct registry *tools;
	struct link link;
	struct probe probe;
	struct need *needs;
	uv_check_t check;
	uv_idle_t again;                /* active while a turn is wanted: keeps the loop from waiting */
	uv_timer_t due, second;
	uv_signal_t term, intr, hup;
	uv_pipe_t listener;
	struct socket_conn *conns;
	uint64_t last_conn;             /* local connections and calls of HTTP are numbered together */
	int nconns;
	bool listening;
	struct http *http;              /* NULL: it is switched off, or cannot listen */
	struct events events;           /* of http */
	struct cluster *cluster;        /* of http too */
	struct alerts *alerts;          /* and this */
	struct health health;
	struct metrics metrics;
	struct keeper keeper;           /* of the bridge */
	struct copy copy;

	bool open;                      /* the core's turn has begun */
	bool wanted;                    /* a turn should run */
	bool stuck;                     /* its commit failed: try again, take nothing in */
	int64_t retry_ms;               /* then, and not before */
	int64_t commit_us;              /* what a commit takes, smoothed */
	int64_t commits_us, ncommits;   /* since the last second */
	int messages;                   /* read in this turn */
	int beats, turns;               /* turns: since the last beat */
	bool was_busy;
	bool gave_way;
	bool ready;
	bool anew;                      /* after its end, by SIGHUP */
	unsigned char read[DIGEST_SIZE];        /* see reload.c */
	enum { AGENT_RUNS, AGENT_DRAINS, AGENT_CLOSES, AGENT_ENDS } phase;
	int64_t drain_since_ms;
};

/* agent.c */
struct core_now agent_now(void);
void agent_input(struct agent *a);      /* the core may be fed now; a turn will follow */
void agent_is_ready(struct agent *a);
void agent_give_way(struct agent *a);   /* to another of our name */
void agent_cert_path(const struct agent *a, char *out, size_t size, const char *name, const char *ext);

/* link.c */
void link_start(struct agent *a);
bool link_read(struct agent *a);        /* true if something came */
void link_effects(struct agent *a);     /* publishes, and lets everything go out */
void link_beat(struct agent *a);        /* once a second, in a turn before its commit */
void link_watch(struct agent *a);       /* after each turn: what to wait for */
void link_pause(struct agent *a);       /* nothing, until link_watch() */
bool link_is_up(const struct agent *a);
int64_t link_cert_until_ms(const struct agent *a);       /* wall: our certificate ends; 0: not known */
void link_reload(struct agent *a);      /* connects again, with the certificates as they are now */
void link_stop(struct agent *a);        /* says goodbye; nothing goes out after it */
void link_look(struct agent *a, int broker);    /* for its addresses; probe_resolved() is told too */

/* probe.c */
void probe_init(struct agent *a);
void probe_begin(struct agent *a);      /* once a second, in a turn: if the core wants one and none is out */
void probe_resolved(struct agent *a);   /* a lookup ended, perhaps the one that is waited for */
void probe_result(struct agent *a);     /* in a turn: tells the core what came of it */
void probe_stop(struct agent *a);

/* needs.c */
void needs_start(struct agent *a);
void needs_look(struct agent *a);       /* once a second, in a turn: tells the core what our houses need and we do not reach */
void needs_stop(struct agent *a);

/* reload.c */
void reload_init(struct agent *a);      /* before anything is read */
bool reload_asked(struct agent *a);     /* by SIGHUP. True: the agent is to end and begin anew; else all is done */

/* copy.c */
void copy_init(struct agent *a);
void copy_begin(struct agent *a, uint64_t conn);        /* for that local connection, which is answered when it is whole */
void copy_left(struct agent *a, uint64_t conn);         /* it is gone: nobody waits for the copy */
void copy_stop(struct agent *a, const char *why);       /* if one is made */

/* socket.c */
int socket_open(struct agent *a, struct err *e);
void socket_feed(struct agent *a);      /* lines that came go to the core */
void socket_effects(struct agent *a);
void socket_answer(struct agent *a, uint64_t conn, const char *text, size_t len);       /* if it is still there */
void socket_close(struct agent *a);

#endif
