/*
 * health.h - whether the agent can do its work, by trying it: a pulse through the broker, a commit, a task that does
 * nothing through a worker, the disk, the clock; and where files are shared, Syncthing, through a worker too.
 *
 * A look is made when somebody asks, at most one a second, and tells within LOOK_MS. It runs in the loop. Syncthing is looked at
 * without that too, now and then, for the alerts. The watchdog is fed by looks alone, and only by those in which a turn ended
 * and a worker answered: well or not, but in time. What is known to fail (a full disk, no broker) a restart would not mend.
 */
#ifndef UW_HEALTH_H
#define UW_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct agent;
struct core_measures;
struct http_call;
struct pool_end;

/*        symbol          in the answer */
#define HEALTH_CHECKS(X)                 \
	X(HEALTH_LINK,    "link")        \
	X(HEALTH_STORE,   "store")       \
	X(HEALTH_WORKERS, "workers")     \
	X(HEALTH_DISK,    "disk")        \
	X(HEALTH_CLOCK,   "clock")       \
	X(HEALTH_SYNC,    "sync")

/* HEALTH_SYNC, the last, is there only where files are shared: `sync setup` was run. Nothing that an agent does depends on it, so an agent whose Syncthing is
 * away is well, and says that it is; and no look waits for it, but for the first: it has what was found on behalf of the one
 * before. */
enum health_check {
#define X(sym, name) sym,
	HEALTH_CHECKS(X)
#undef X
	HEALTH_NCHECKS
};

#define HEALTH_CALLS 32                 /* as many as there are connections of HTTP; and as many local ones */

struct health {
	uv_timer_t limit;               /* of the look */
	bool looking;
	bool hangs;                     /* in this look something did not answer in time */
	int64_t watchdog_ms;            /* 0: there is none */
	int64_t begun_ms, ended_ms;     /* mono; 0: never */
	int64_t canary_ms;              /* mono: the task that is with a worker; 0: none */
	bool shares;                    /* this host is one of those that share files */
	int64_t sync_ms;                /* likewise, the one that asks Syncthing */
	int64_t sync_found_ms;          /* mono: when it said what is in checks */
	int64_t sync_next_ms;           /* mono: it is asked again by then */
	bool sync_told;                 /* it has been asked, or has failed to answer */
	int64_t sync_faults;            /* and, for the alerts: devices that are away or at fault */
	int64_t sync_behind_ms;         /* mono: since then something has been still to come; 0: nothing is */
	struct {
		bool known, ok;
		int64_t ms;
		char detail[200];
	} checks[HEALTH_NCHECKS];
	struct http_call *calls[HEALTH_CALLS];
	uint64_t conns[HEALTH_CALLS];   /* local ones that wait, see socket.c */
	int ncalls, nconns;
};

void health_init(struct agent *a);
void health_measure(struct agent *a, struct core_measures *m);  /* once a second: what is known of Syncthing */
void health_second(struct agent *a);    /* feeds the service manager's watchdog: looks for it, now and then */
void health_commit(struct agent *a, const char *failed);        /* a commit came through, or failed */
void health_ask(struct agent *a, uint64_t conn);        /* a local connection, which is answered when the look has ended */
bool health_attempt_end(struct agent *a, const struct pool_end *end);   /* true if it was one of ours */

#endif
