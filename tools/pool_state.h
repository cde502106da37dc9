/*
 * pool_state.h - inside of the pool: its workers and what they hold.
 *
 * pool.c gives out work, pool_worker.c starts and ends processes, pool_answer.c reads what they say
 * and decides how attempts ended.
 */
#ifndef UW_POOL_STATE_H
#define UW_POOL_STATE_H

#include "buf.h"
#include "frame.h"
#include "launch.h"
#include "pool.h"
#include "scratch.h"

#define POOL_READ_CHUNK (256u << 10)
#define POOL_MAX_WORKERS 512
#define POOL_LINGER_MS 20               /* a stopped attempt that may not have begun yet */
#define POOL_OUT_MAX (64u << 20)        /* bytes that wait to be sent to one worker */

/*
 * A worker slot goes DOWN -> STARTING -> READY -> ENDING (SIGTERM sent) -> KILLED (SIGKILL sent)
 * -> REAPED (leader collected, members may be left) -> DOWN; stages may be left out. Its process
 * id is safe to signal until it is collected.
 */
enum stage { DOWN, STARTING, READY, ENDING, KILLED, REAPED };

struct attempt {
	uint64_t handle;
	int64_t timeout_ms;
	int64_t stop_ms;        /* when pool_stop() was called; 0: it was not */
};

/* Handles that libuv closes in its own time; outlives the process they watch. */
struct watch {
	uv_poll_t socket, exit;
	unsigned open;
	struct worker *worker;  /* NULL once the worker has let go */
	struct pool *pool;
};

struct worker {
	struct pool *pool;
	unsigned index;
	enum stage stage;
	struct launched l;
	int64_t start;                  /* of the process, for the ledger */
	char mark[96];
	struct watch *watch;
	int events;                     /* that the socket is watched for */
	int64_t since_ms;               /* of this stage */
	int64_t kill_ms;                /* ENDING: when to send SIGKILL */
	int64_t respawn_ms;             /* DOWN */
	unsigned failures;              /* starts in a row that came to nothing */
	bool served;                    /* has ended an attempt since it was started */

	/* Attempts given to it and not ended: seq in [head, tail). */
	struct attempt ring[POOL_QUICK_DEPTH];
	uint64_t head, tail;
	bool slow;                      /* holds one that is not quick */
	bool ran_slow;                  /* has had one: there may be processes */
	int64_t progress_ms;            /* last time it answered or was given the first one */
	uint64_t seen;                  /* the attempt seen begun, and since when */
	int64_t seen_ms;

	/* Why it is being stopped; the attempt `blame` ends so. */
	uint64_t blame;
	enum pool_how how;
	char why[160];
	char said[200];                 /* what it said it cannot do */
	bool deaf;                      /* sent nonsense: nothing more is believed */
	bool hung_up;                   /* end of file on the socket */
	bool readable, exited;          /* the loop has seen it */
	int status;                     /* as from waitpid(); -1: unknown */

	struct buf notes;               /* of the oldest attempt, if they have come */
	struct buf in;                  /* a frame of which a part has come */
	struct buf out;
	size_t out_at;
};

struct pool {
	struct pool_opts o;
	char *exe, *config_path, *agent, *ledger;
	struct scratch scratch;
	uint32_t walls;                 /* of the worker that got ready last ... */
	bool walled;                    /* ... if one did */
	char mark[64];
	struct worker *workers;
	unsigned n;
	uv_timer_t timer;
	uint64_t due;                   /* uv_now() at which the timer fires; UINT64_MAX: not set */
	unsigned handles;               /* libuv handles still open */
	bool reading, closing;
	bool respawn;                   /* a slot is free again */
	uint64_t ended;
	void (*done)(void *arg);
	char *chunk;
	size_t max_frame;
	unsigned spawned;
	struct pool_end end;            /* reused: err is blank between attempts */
	struct {
		uint64_t started, succeeded, failed, timeouts, crashed, stopped, not_run;
		uint64_t restarts, bad_starts;
	} count;
	char trouble[240];              /* the last start that failed */
};

static inline unsigned
held(const struct worker *w)
{
	return (unsigned)(w->tail - w->head);
}

static inline struct attempt *
attempt_at(struct worker *w, uint64_t seq)
{
	return &w->ring[seq % POOL_QUICK_DEPTH];
}

/* pool_answer.c */

/* The attempt that the worker is at, or was at last and has not answered; 0: none that is out. */
uint64_t worker_begun(const struct worker *w);
void worker_read(struct pool *p, struct worker *w);

/* Takes in what a worker has sent; returns how many bytes were whole frames. */
size_t worker_take(struct pool *p, struct worker *w, const char *data, size_t len);

/* The worker is gone: everything it held has ended. */
void worker_end_all(struct pool *p, struct worker *w);
void worker_describe(const struct worker *w, char *out, size_t size);

/* pool_worker.c */

/* SIGTERM now and SIGKILL after the grace. The attempt seq is to end as `how`. */
void worker_stop(struct worker *w, enum pool_how how, uint64_t seq);

/* No grace for a worker that is broken. */
void worker_condemn(struct worker *w, const char *why);
void worker_enter(struct worker *w, enum stage stage);
void worker_reset(struct worker *w);
int worker_spawn(struct pool *p, struct worker *w, struct err *e);
void worker_flush(struct worker *w);
bool worker_may_have_ended(const struct worker *w);

/* Takes a worker that is ending as far as it goes now. */
void worker_advance(struct pool *p, struct worker *w);
void pool_spawn_due(struct pool *p, int64_t now_ms);
void pool_write_ledger(struct pool *p);

/* Makes sure that the timer fires in ms or sooner. */
void pool_look_in(struct pool *p, int64_t ms);

/* pool.c */
void pool_release_if_done(struct pool *p);

#endif
