#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "buf.h"
#include "clock.h"
#include "frame.h"
#include "group.h"
#include "json.h"
#include "launch.h"
#include "log.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0          /* SO_NOSIGPIPE is set instead */
#endif

#define READ_CHUNK (256u << 10)
#define READ_BUDGET (1u << 20)          /* of one worker, in one pool_read() */
#define OUT_FULL (1u << 20)             /* a worker with so much unsent takes no more */
#define OUT_MAX (64u << 20)
#define START_LIMIT_MS 10000            /* from exec to hello */
#define BEGIN_LIMIT_MS 10000            /* a worker that begins nothing for so long hangs */
#define LINGER_MS 20                    /* a stopped attempt that may not have begun yet */
#define GONE_LIMIT_MS 5000              /* a killed group that will not go (stuck in the kernel) */
#define GONE_LOOK_MS 50                 /* then zombies nobody collects are looked for */
#define POLL_MS 5
#define EXIT_LOOK_MS 200                /* where a pidfd tells of an end, in case it did not */
#define BACKOFF_MS 50
#define BACKOFF_MAX_MS 5000
#define TROUBLE 3                       /* starts that failed in a row */
#define TICK_MAX_MS 5000                /* timers do not count sleep, deadlines do */
#define SWEEP_LIMIT_MS 3000
#define MAX_WORKERS 512
#define FRAME_BODY_MIN (FRAME_LOG_MAX > FRAME_ERR_MAX ? FRAME_LOG_MAX : FRAME_ERR_MAX)

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

	struct buf in;                  /* a frame of which a part has come */
	struct buf out;
	size_t out_at;
};

struct pool {
	struct pool_opts o;
	char *exe, *config_path, *agent, *ledger;
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
		uint64_t started, succeeded, failed, timeouts, crashed, stopped, not_run, restarts, bad_starts;
	} count;
	char trouble[240];              /* the last start that failed */
};

static void look_in(struct pool *p, int64_t ms);
static void watch_for(struct worker *w, int events);

static unsigned
held(const struct worker *w)
{
	return (unsigned)(w->tail - w->head);
}

static struct attempt *
attempt_at(struct worker *w, uint64_t seq)
{
	return &w->ring[seq % POOL_QUICK_DEPTH];
}

/* The attempt that the worker is at, or was at last and has not answered; 0: none that is out. */
static uint64_t
begun(const struct worker *w)
{
	uint64_t seq = atomic_load(&w->l.page->begun);

	if (atomic_load(&w->l.page->not_begun) != ~seq || seq >= w->tail)
		return held(w) ? w->head : 0;
	return seq >= w->head ? seq : 0;
}

static void
count_end(struct pool *p, enum pool_how how)
{
	uint64_t *const counters[] = {
		[POOL_SUCCEEDED] = &p->count.succeeded, [POOL_FAILED] = &p->count.failed,
		[POOL_TIMEOUT] = &p->count.timeouts, [POOL_CRASHED] = &p->count.crashed,
		[POOL_STOPPED] = &p->count.stopped, [POOL_NOT_RUN] = &p->count.not_run,
	};

	++*counters[how];
}

/* Ends the oldest attempt of w. p->end.err and result are set by the caller where they matter. */
static void
end_oldest(struct pool *p, struct worker *w, enum pool_how how, int64_t ran_us)
{
	struct pool_end *end = &p->end;

	end->handle = attempt_at(w, w->head)->handle;
	end->how = how;
	end->ran_us = ran_us;
	end->pid = (int)w->l.pid;
	w->head++;
	if (w->head == w->tail)
		w->slow = false;
	p->ended++;
	count_end(p, how);
	p->o.on_end(p->o.arg, end);
	end->result = NULL;
	end->result_len = 0;
	end->no_effect = false;
	if (end->err.code != ERR_NONE)
		end->err = (struct err){ .code = ERR_NONE };
}

static void
describe_status(const struct worker *w, char *out, size_t size)
{
	if (w->said[0])
		snprintf(out, size, "%s", w->said);
	else if (w->why[0])
		snprintf(out, size, "%s", w->why);
	else if (w->status >= 0 && WIFSIGNALED(w->status))
		snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(w->status), strsignal(WTERMSIG(w->status)));
	else if (w->status >= 0)
		snprintf(out, size, "ended by itself with exit code %d", WEXITSTATUS(w->status));
	else
		snprintf(out, size, "died");
}

static enum pool_how
how_it_ended(struct worker *w, uint64_t seq, uint64_t current)
{
	if (seq == w->blame)
		return w->how;
	if (attempt_at(w, seq)->stop_ms || (w->pool->closing && seq == current))
		return POOL_STOPPED;
	if (seq == current && !w->blame)
		return POOL_CRASHED;
	return POOL_NOT_RUN;
}

static void
explain(struct worker *w, enum pool_how how, const struct attempt *a, struct err *e)
{
	char what[240];

	switch (how) {
	case POOL_TIMEOUT:
		err_set(e, ERR_TIMEOUT, "the tool was stopped after %lld ms", (long long)a->timeout_ms);
		break;
	case POOL_CRASHED:
		describe_status(w, what, sizeof what);
		err_set(e, ERR_CRASH, "the worker was lost: %s", what);
		break;
	case POOL_NOT_RUN:
		err_set(e, ERR_LOST, "its worker died before it began");
		break;
	case POOL_STOPPED:
	case POOL_SUCCEEDED:
	case POOL_FAILED:
		break;
	}
}

/* The worker is gone: everything it held has ended. */
static void
end_all(struct pool *p, struct worker *w)
{
	uint64_t current = begun(w);
	int64_t now_us = clock_mono_us(), began_us = current ? atomic_load(&w->l.page->begun_us) : 0;

	while (held(w)) {
		uint64_t seq = w->head;
		enum pool_how how = how_it_ended(w, seq, current);
		bool ran = seq == current && began_us > 0 && began_us < now_us;

		explain(w, how, attempt_at(w, seq), &p->end.err);
		end_oldest(p, w, how, ran ? now_us - began_us : 0);
	}
}

static void
enter(struct worker *w, enum stage stage)
{
	w->stage = stage;
	w->since_ms = clock_mono_ms();
}

static void
kill_group(struct worker *w)
{
	kill(-w->l.pid, SIGKILL);
	enter(w, KILLED);
	look_in(w->pool, POLL_MS);
}

/* SIGTERM now and SIGKILL after the grace. The attempt seq is to end as `how`. */
static void
stop_group(struct worker *w, enum pool_how how, uint64_t seq)
{
	struct pool *p = w->pool;

	if (w->stage != READY && w->stage != STARTING)
		return;
	w->blame = seq;
	w->how = how;
	kill(-w->l.pid, SIGTERM);
	enter(w, ENDING);
	w->kill_ms = w->since_ms + p->o.grace_ms;
	look_in(p, p->o.grace_ms);
}

/* No grace for a worker that is broken. */
static void
condemn(struct worker *w, const char *why)
{
	w->deaf = true;
	if (w->stage == KILLED || w->stage == REAPED)
		return;
	snprintf(w->why, sizeof w->why, "%s", why);
	w->blame = held(w) ? w->head : 0;
	w->how = POOL_CRASHED;
	kill_group(w);
}

static void
bad_reply(struct worker *w, const char *what)
{
	char why[160];

	snprintf(why, sizeof why, "bad reply: %s", what);
	log_warnx("worker %d: %s", (int)w->l.pid, why);
	condemn(w, why);
}

static void
take_hello(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	(void)body;
	if (w->stage == ENDING || w->stage == KILLED)
		return;
	if (w->stage != STARTING || len || f->seq != FRAME_VERSION) {
		bad_reply(w, f->seq == FRAME_VERSION ? "hello twice" : "not the same version");
		return;
	}
	enter(w, READY);
	(void)p;
}

static void
take_broken(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	(void)p;
	(void)f;
	snprintf(w->said, sizeof w->said, "%.*s", (int)(len < sizeof w->said ? len : sizeof w->said), body);
}

static bool
answers_oldest(struct worker *w, const struct frame *f)
{
	if (held(w) && f->seq == w->head)
		return true;
	bad_reply(w, "for an attempt that is not out");
	return false;
}

static int64_t
time_in_tool(const struct frame *f)
{
	return f->time >= 0 && f->time <= INT64_MAX / 2 ? f->time : 0;
}

static void
take_result(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	struct err e;

	if (!answers_oldest(w, f))
		return;
	if (len < 2 || body[len - 1] || len - 1 > p->o.max_output) {
		bad_reply(w, "result has a wrong length");
		return;
	}
	if (memchr(body, '\n', len) || memchr(body, '\r', len) || json_check_inner(body, len - 1, &e)) {
		bad_reply(w, "result is not one line of JSON");
		return;
	}
	p->end.result = body;
	p->end.result_len = len - 1;
	end_oldest(p, w, POOL_SUCCEEDED, time_in_tool(f));
}

/* Copies one text that is ended by NUL, without control characters; NULL if it does not fit. */
static const char *
take_text(const char *p, const char *end, char *out, size_t size)
{
	const char *nul = memchr(p, '\0', (size_t)(end - p));
	size_t n;

	if (!nul || (size_t)(nul - p) >= size)
		return NULL;
	n = (size_t)(nul - p);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		out[i] = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? ' ' : p[i];
	}
	out[n] = '\0';
	return nul + 1;
}

static int
take_err(const char *body, size_t len, struct err *e)
{
	const char *p = body + sizeof(uint32_t), *end = body + len;
	uint32_t code;

	if (len < sizeof code)
		return -1;
	memcpy(&code, body, sizeof code);
	if (code == ERR_NONE || code >= ERR_NCODES)
		return -1;
	e->code = (enum err_code)code;
	if (!(p = take_text(p, end, e->field, sizeof e->field)) ||
	    !(p = take_text(p, end, e->expected, sizeof e->expected)) ||
	    !(p = take_text(p, end, e->got, sizeof e->got)) ||
	    !(p = take_text(p, end, e->msg, sizeof e->msg)))
		return -1;
	return p == end ? 0 : -1;
}

static void
take_failure(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	if (!answers_oldest(w, f))
		return;
	if (take_err(body, len, &p->end.err)) {
		p->end.err = (struct err){ .code = ERR_NONE };
		bad_reply(w, "failure without an error");
		return;
	}
	p->end.no_effect = f->flags & FRAME_NO_EFFECT;
	end_oldest(p, w, POOL_FAILED, time_in_tool(f));
}

static void
take_skipped(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	(void)body;
	if (!answers_oldest(w, f))
		return;
	if (len || !attempt_at(w, f->seq)->stop_ms)
		bad_reply(w, "skipped an attempt that was not called off");
	else
		end_oldest(p, w, POOL_STOPPED, 0);
}

static void
take_log(struct pool *p, struct worker *w, const struct frame *f, const char *body, size_t len)
{
	if (len > FRAME_LOG_MAX)
		bad_reply(w, "log too long");
	else if (answers_oldest(w, f) && p->o.on_log && len)
		p->o.on_log(p->o.arg, attempt_at(w, f->seq)->handle, body, len);
}

static void (*const take[FRAME_NKINDS])(struct pool *, struct worker *, const struct frame *, const char *,
    size_t) = {
	[FRAME_HELLO] = take_hello,
	[FRAME_BROKEN] = take_broken,
	[FRAME_RESULT] = take_result,
	[FRAME_FAILURE] = take_failure,
	[FRAME_SKIPPED] = take_skipped,
	[FRAME_LOG] = take_log,
};

/* Returns how many bytes were whole frames. */
static size_t
take_frames(struct pool *p, struct worker *w, const char *data, size_t len)
{
	struct frame f;
	size_t at = 0;

	while (!w->deaf && len - at >= sizeof f) {
		memcpy(&f, data + at, sizeof f);
		if (f.len < sizeof f || f.len > p->max_frame || f.kind >= FRAME_NKINDS || !take[f.kind]) {
			bad_reply(w, "not a frame");
			break;
		}
		if (len - at < f.len)
			break;
		take[f.kind](p, w, &f, data + at + sizeof f, f.len - sizeof f);
		at += f.len;
	}
	return w->deaf ? len : at;
}

/* Returns what recv() did, with 0 for "later". End of file or an error is noted in w. */
static size_t
receive(struct worker *w, char *into, size_t size)
{
	ssize_t n;

	do
		n = recv(w->l.fd, into, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return (size_t)n;
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		w->hung_up = true;
	return 0;
}

/* Straight from the shared chunk while frames come whole, as they nearly always do. */
static size_t
read_chunk(struct pool *p, struct worker *w)
{
	size_t n = receive(w, p->chunk, READ_CHUNK), used;

	if (!n)
		return 0;
	used = take_frames(p, w, p->chunk, n);
	if (used < n)
		buf_add(&w->in, p->chunk + used, n - used);
	return n;
}

/* The rest of a frame of which the beginning is in w->in. */
static size_t
read_rest(struct pool *p, struct worker *w)
{
	char *into = buf_reserve(&w->in, READ_CHUNK);
	size_t n = receive(w, into, READ_CHUNK), used;

	if (!n)
		return 0;
	w->in.len += n;
	used = take_frames(p, w, w->in.data, w->in.len);
	memmove(w->in.data, w->in.data + used, w->in.len - used);
	buf_cut(&w->in, w->in.len - used);
	return n;
}

/* Bounded: what a noisy worker has left stays in the socket, and fills it. */
static void
read_worker(struct pool *p, struct worker *w)
{
	uint64_t head = w->head;

	for (size_t got = 0, n; got < READ_BUDGET && !w->hung_up && !w->deaf; got += n) {
		n = w->in.len ? read_rest(p, w) : read_chunk(p, w);
		if (n < READ_CHUNK)
			break;
	}
	w->readable = false;
	if (w->head != head) {
		w->progress_ms = clock_mono_ms();
		w->served = true;
	}
}

static void
flush_worker(struct worker *w)
{
	while (w->out_at < w->out.len) {
		ssize_t n = send(w->l.fd, w->out.data + w->out_at, w->out.len - w->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		w->out_at += (size_t)n;
	}
	if (w->out_at == w->out.len) {
		buf_clear(&w->out);
		w->out_at = 0;
		watch_for(w, UV_READABLE);
	} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
		watch_for(w, UV_READABLE | UV_WRITABLE);
	} else {
		buf_clear(&w->out);     /* it is dead; its end will be seen */
		w->out_at = 0;
	}
}

void
pool_flush(struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->workers[i].stage == READY && p->workers[i].out.len)
			flush_worker(&p->workers[i]);
}

static void
notify(struct pool *p)
{
	if (p->o.on_ready && !p->closing)
		p->o.on_ready(p->o.arg);
	else
		pool_read(p);
}

static void
on_socket(uv_poll_t *h, int status, int events)
{
	struct watch *watch = h->data;
	struct worker *w = watch->worker;

	if (!w)
		return;
	if (events & UV_WRITABLE)
		flush_worker(w);
	w->hung_up |= status < 0;
	w->readable |= (events & UV_READABLE) != 0;
	if (w->hung_up || w->readable)
		notify(watch->pool);
}

static void
on_exit_seen(uv_poll_t *h, int status, int events)
{
	struct watch *watch = h->data;

	(void)status;
	(void)events;
	if (!watch->worker)
		return;
	watch->worker->exited = true;
	uv_poll_stop(h);
	notify(watch->pool);
}

static void
watch_for(struct worker *w, int events)
{
	if (w->events == events || !w->watch)
		return;
	w->events = events;
	if (events)
		uv_poll_start(&w->watch->socket, events, on_socket);
	else
		uv_poll_stop(&w->watch->socket);
}

static void
pool_free_if_done(struct pool *p)
{
	void (*done)(void *arg) = p->done;
	void *arg = p->o.arg;

	if (p->handles)
		return;
	free(p->chunk);
	free(p->exe);
	free(p->config_path);
	free(p->agent);
	free(p->ledger);
	free(p->workers);
	free(p);
	if (done)
		done(arg);
}

static void
on_watch_closed(uv_handle_t *h)
{
	struct watch *watch = h->data;
	struct pool *p = watch->pool;

	p->handles--;
	if (--watch->open == 0)
		free(watch);
	pool_free_if_done(p);
}

static void
on_timer_closed(uv_handle_t *h)
{
	struct pool *p = h->data;

	p->handles--;
	pool_free_if_done(p);
}

static int
watch_add(struct watch *watch, uv_poll_t *h, int fd, uv_poll_cb cb)
{
	int rc = uv_poll_init(watch->pool->o.loop, h, fd);

	if (rc)
		return rc;
	h->data = watch;
	watch->open++;
	watch->pool->handles++;
	return uv_poll_start(h, UV_READABLE, cb);
}

static void
watch_release(struct worker *w)
{
	struct watch *watch = w->watch;
	unsigned open = watch ? watch->open : 0;

	w->watch = NULL;
	if (!open) {
		free(watch);
		return;
	}
	watch->worker = NULL;
	uv_close((uv_handle_t *)&watch->socket, on_watch_closed);
	if (open > 1)
		uv_close((uv_handle_t *)&watch->exit, on_watch_closed);
}

static int
watch_worker(struct pool *p, struct worker *w, struct err *e)
{
	int rc;

	w->watch = xcalloc(1, sizeof *w->watch);
	w->watch->pool = p;
	w->watch->worker = w;
	w->events = UV_READABLE;
	rc = watch_add(w->watch, &w->watch->socket, w->l.fd, on_socket);
	if (!rc && w->l.pidfd >= 0)
		rc = watch_add(w->watch, &w->watch->exit, w->l.pidfd, on_exit_seen);
	return rc ? err_set(e, ERR_IO, "worker: %s", uv_strerror(rc)) : 0;
}

static void
worker_reset(struct worker *w)
{
	struct buf in = { .max = w->pool->max_frame + 2 * READ_CHUNK }, out = { .max = OUT_MAX };

	buf_free(&w->in);
	buf_free(&w->out);
	*w = (struct worker){ .pool = w->pool, .index = w->index, .failures = w->failures,
		.l = { .fd = -1, .pidfd = -1 }, .head = 1, .tail = 1, .status = -1, .in = in, .out = out };
}

static void
worker_release(struct worker *w)
{
	watch_release(w);
	launched_release(&w->l);
	worker_reset(w);
}

static int
spawn(struct pool *p, struct worker *w, struct err *e)
{
	struct launch l = { p->exe, p->config_path, p->agent, w->mark, p->o.grace_ms, p->o.max_output };

	snprintf(w->mark, sizeof w->mark, "%s:%u", p->mark, ++p->spawned);
	if (launch_worker(&l, &w->l, e))
		return -1;
	w->start = group_start(w->l.pid);
	enter(w, STARTING);
	if (watch_worker(p, w, e))
		condemn(w, "cannot be watched");
	look_in(p, START_LIMIT_MS);
	return 0;
}

/* Before a worker is given anything: what it starts can be found again by the next agent. */
static void
write_ledger(struct pool *p)
{
	struct group v[MAX_WORKERS];
	struct err e = { 0 };
	size_t n = 0;

	if (!p->ledger)
		return;
	for (unsigned i = 0; i < p->n; i++)
		if (p->workers[i].stage != DOWN)
			v[n++] = (struct group){ p->workers[i].l.pid, p->workers[i].start };
	if (ledger_write(p->ledger, p->mark, v, n, &e))
		log_warnx("%s", e.msg);
}

static void
start_failed(struct pool *p, struct worker *w, const char *why)
{
	int64_t wait_ms = w->failures < 7 ? BACKOFF_MS << w->failures : BACKOFF_MAX_MS;

	if (wait_ms > BACKOFF_MAX_MS)
		wait_ms = BACKOFF_MAX_MS;
	w->failures++;
	w->respawn_ms = clock_mono_ms() + wait_ms;
	p->count.bad_starts++;
	snprintf(p->trouble, sizeof p->trouble, "%s", why);
	log_warnx("worker %u: does not start, %u times in a row: %s", w->index, w->failures, why);
	look_in(p, wait_ms);
}

static void
spawn_due(struct pool *p, int64_t now_ms)
{
	bool changed = false;

	for (unsigned i = 0; i < p->n && !p->closing; i++) {
		struct worker *w = &p->workers[i];
		struct err e = { 0 };

		if (w->stage != DOWN || now_ms < w->respawn_ms)
			continue;
		if (spawn(p, w, &e))
			start_failed(p, w, e.msg);
		else
			changed = true;
	}
	if (changed)
		write_ledger(p);
}

/* What left the group on its own is found by its mark. A worker that was not killed outright has
 * seen to that itself. */
static void
kill_strays(const struct worker *w)
{
	if (w->status < 0 || (WIFSIGNALED(w->status) && WTERMSIG(w->status) == SIGKILL))
		group_kill_marked(w->mark, false);
}

/* The leader stays uncollected, and its id ours, until the rest of its group has been killed.
 * ECHILD: the program ignores SIGCHLD, or somebody else collected it. */
static bool
collect(struct pool *p, struct worker *w)
{
	siginfo_t si = { 0 };
	int status;

	if (waitid(P_PID, (id_t)w->l.pid, &si, WEXITED | WNOHANG | WNOWAIT) ? errno != ECHILD : si.si_pid != w->l.pid)
		return false;
	read_worker(p, w);
	kill(-w->l.pid, SIGKILL);
	w->status = waitpid(w->l.pid, &status, WNOHANG) == w->l.pid ? status : -1;
	kill_strays(w);
	enter(w, REAPED);
	return true;
}

static bool
group_gone(const struct worker *w, int64_t now_ms)
{
	int64_t waited_ms = now_ms - w->since_ms;

	if (group_is_gone(w->l.pid, waited_ms >= GONE_LOOK_MS))
		return true;
	if (waited_ms < GONE_LIMIT_MS)
		return false;
	log_warnx("worker %d: something of its process group does not die", (int)w->l.pid);
	return true;
}

/* A worker that was of no use is started again later and later; one that was, at once. */
static void
bury(struct pool *p, struct worker *w)
{
	bool useful = w->served || held(w);
	char what[240];

	describe_status(w, what, sizeof what);
	end_all(p, w);
	worker_release(w);
	if (p->closing)
		return;
	p->respawn = true;
	p->count.restarts++;
	if (useful)
		w->failures = 0;
	else
		start_failed(p, w, what);
}

/* Takes a worker that is ending as far as it goes now. */
static void
advance(struct pool *p, struct worker *w)
{
	if (w->stage != REAPED && !collect(p, w)) {
		if (w->stage != KILLED && w->hung_up)
			kill_group(w);
		look_in(p, w->l.pidfd >= 0 ? EXIT_LOOK_MS : POLL_MS);
	} else if (group_gone(w, clock_mono_ms())) {
		bury(p, w);
	} else {
		look_in(p, POLL_MS);
	}
}

static bool
may_have_ended(const struct worker *w)
{
	return w->stage >= ENDING || (w->stage != DOWN && (w->hung_up || w->exited));
}

static bool
may_have_said(const struct worker *w)
{
	if (w->deaf || w->hung_up || w->stage == DOWN || w->stage == REAPED)
		return false;
	return w->readable || w->stage == STARTING || held(w);
}

static void
finish_close(struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->workers[i].stage != DOWN)
			return;
	if (p->ledger)
		unlink(p->ledger);
	if (!uv_is_closing((uv_handle_t *)&p->timer))
		uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

int
pool_read(struct pool *p)
{
	uint64_t before = p->ended;

	if (p->reading)
		return 0;
	p->reading = true;
	for (unsigned i = 0; i < p->n; i++) {
		struct worker *w = &p->workers[i];

		if (may_have_said(w))
			read_worker(p, w);
		if (may_have_ended(w))
			advance(p, w);
	}
	p->reading = false;
	if (p->closing) {
		finish_close(p);
	} else if (p->respawn) {
		p->respawn = false;
		spawn_due(p, clock_mono_ms());
	}
	return (int)(p->ended - before);
}

/* The next thing to happen to a worker if nothing comes from it: at_ms, and what then. */
struct due {
	int64_t at_ms;
	uint64_t seq;
	enum pool_how how;
};

static void
sooner(struct due *d, int64_t at_ms, uint64_t seq, enum pool_how how)
{
	if (at_ms < d->at_ms)
		*d = (struct due){ at_ms, seq, how };
}

/* When the attempt began, by the worker's word if that is possible, else when it was first seen. */
static int64_t
began_ms(struct worker *w, uint64_t seq, int64_t now_ms)
{
	int64_t said_ms = atomic_load(&w->l.page->begun_us) / 1000;

	if (w->seen != seq) {
		w->seen = seq;
		w->seen_ms = said_ms >= w->progress_ms && said_ms < now_ms ? said_ms : now_ms;
	}
	return w->seen_ms;
}

static struct due
next_due(struct worker *w, int64_t now_ms)
{
	struct due d = { INT64_MAX, 0, POOL_NOT_RUN };
	uint64_t seq = begun(w);

	if (!held(w))
		return d;
	if (seq)
		sooner(&d, began_ms(w, seq, now_ms) + attempt_at(w, seq)->timeout_ms, seq, POOL_TIMEOUT);
	else
		sooner(&d, w->progress_ms + BEGIN_LIMIT_MS, w->head, POOL_NOT_RUN);
	for (uint64_t i = w->head; i < w->tail; i++)
		if (attempt_at(w, i)->stop_ms)
			sooner(&d, attempt_at(w, i)->stop_ms + LINGER_MS, i, POOL_STOPPED);
	return d;
}

/* Does what is due for one worker; returns when to look again. */
static int64_t
tick_ready(struct worker *w, int64_t now_ms)
{
	struct due d = next_due(w, now_ms);

	if (d.at_ms <= now_ms)
		stop_group(w, d.how, d.seq);
	return d.at_ms <= now_ms ? w->kill_ms : d.at_ms;
}

static int64_t
tick_worker(struct worker *w, int64_t now_ms)
{
	switch (w->stage) {
	case DOWN:
		return w->pool->closing ? INT64_MAX : w->respawn_ms;
	case STARTING:
		if (now_ms - w->since_ms >= START_LIMIT_MS)
			condemn(w, "was not ready in time");
		return w->since_ms + START_LIMIT_MS;
	case READY:
		return tick_ready(w, now_ms);
	case ENDING:
		if (now_ms >= w->kill_ms)
			kill_group(w);
		return w->kill_ms;
	case KILLED:
	case REAPED:
		return now_ms + POLL_MS;
	}
	return INT64_MAX;
}

static void
on_timer(uv_timer_t *t)
{
	struct pool *p = t->data;
	int64_t now_ms = clock_mono_ms(), next_ms = INT64_MAX;
	bool ending = false;

	p->due = UINT64_MAX;
	for (unsigned i = 0; i < p->n; i++) {
		int64_t at_ms = tick_worker(&p->workers[i], now_ms);

		next_ms = at_ms < next_ms ? at_ms : next_ms;
		ending |= may_have_ended(&p->workers[i]);
	}
	if (next_ms != INT64_MAX)
		look_in(p, next_ms - now_ms);
	spawn_due(p, now_ms);
	if (ending)
		notify(p);
}

/* Makes sure that the timer fires in ms or sooner. */
static void
look_in(struct pool *p, int64_t ms)
{
	uint64_t due;

	ms = ms < 0 ? 0 : ms > TICK_MAX_MS ? TICK_MAX_MS : ms;
	due = uv_now(p->o.loop) + (uint64_t)ms;
	if (due >= p->due || uv_is_closing((uv_handle_t *)&p->timer))
		return;
	p->due = due;
	uv_timer_start(&p->timer, on_timer, (uint64_t)ms, 0);
}

int
pool_sweep(const char *ledger)
{
	return ledger_sweep(ledger, SWEEP_LIMIT_MS);
}

/* Unguessable only so that two agents never have the same. */
static void
make_mark(struct pool *p)
{
	uint64_t nonce = 0;

	if (uv_random(NULL, NULL, &nonce, sizeof nonce, 0, NULL))
		nonce = (uint64_t)clock_mono_us() ^ (uint64_t)getpid() << 40;
	snprintf(p->mark, sizeof p->mark, "%.32s:%016llx", p->agent, (unsigned long long)nonce);
}

static struct pool *
pool_alloc(const struct pool_opts *o)
{
	struct pool *p = xcalloc(1, sizeof *p);

	p->o = *o;
	p->exe = xstrdup(o->exe);
	p->config_path = xstrdup(o->config_path);
	p->agent = xstrdup(o->agent);
	p->ledger = o->ledger ? xstrdup(o->ledger) : NULL;
	p->n = o->workers < 1 ? 1 : o->workers > MAX_WORKERS ? MAX_WORKERS : o->workers;
	p->workers = xcalloc(p->n, sizeof *p->workers);
	p->chunk = xmalloc(READ_CHUNK);
	p->max_frame = sizeof(struct frame) + (o->max_output > FRAME_BODY_MIN ? o->max_output : FRAME_BODY_MIN) + 1;
	p->due = UINT64_MAX;
	make_mark(p);
	for (unsigned i = 0; i < p->n; i++) {
		p->workers[i].pool = p;
		p->workers[i].index = i;
		worker_reset(&p->workers[i]);
	}
	return p;
}

int
pool_new(struct pool **out, const struct pool_opts *opts, struct err *e)
{
	struct pool *p;

	*out = NULL;
	if (access(opts->exe, X_OK))
		return err_set(e, ERR_IO, "worker: cannot run %s: %s", opts->exe, strerror(errno));
	p = pool_alloc(opts);
	uv_timer_init(p->o.loop, &p->timer);
	p->timer.data = p;
	p->handles = 1;
	if (spawn(p, &p->workers[0], e)) {
		pool_close(p, NULL);
		return -1;
	}
	spawn_due(p, clock_mono_ms());
	write_ledger(p);
	*out = p;
	return 0;
}

void
pool_close(struct pool *p, void (*done)(void *arg))
{
	p->closing = true;
	p->done = done;
	for (unsigned i = 0; i < p->n; i++)
		stop_group(&p->workers[i], POOL_STOPPED, 0);
	if (!p->reading)
		finish_close(p);
}

static bool
takes_slow(const struct worker *w)
{
	return w->stage == READY && !held(w);
}

static unsigned
quick_room(const struct worker *w)
{
	if (w->stage != READY || w->slow || w->out.len > OUT_FULL)
		return 0;
	return POOL_QUICK_DEPTH - held(w);
}

unsigned
pool_free(const struct pool *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++)
		n += takes_slow(&p->workers[i]);
	return n;
}

unsigned
pool_free_quick(const struct pool *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++)
		n += quick_room(&p->workers[i]);
	return n;
}

static struct worker *
choose(struct pool *p, bool quick)
{
	struct worker *best = NULL;
	unsigned room = 0;

	for (unsigned i = 0; i < p->n; i++) {
		struct worker *w = &p->workers[i];
		unsigned has = quick ? quick_room(w) : takes_slow(w);

		if (has > room) {
			room = has;
			best = w;
		}
	}
	return best;
}

static char *
put_text(char *to, const char *s, size_t len)
{
	if (len)
		memcpy(to, s, len);
	to[len] = '\0';
	return to + len + 1;
}

static void
put_request(struct worker *w, const struct pool_start *s, uint64_t seq)
{
	const char *house = s->house ? s->house : "", *task = s->task_id ? s->task_id : "";
	struct frame_request r = { (uint32_t)strlen(s->tool), (uint32_t)strlen(house), (uint32_t)strlen(task),
		(uint32_t)s->params_len };
	struct frame f = { .kind = FRAME_REQUEST, .flags = s->quick ? FRAME_QUICK : 0, .seq = seq,
		.time = s->timeout_ms };
	char *to;

	f.len = (uint32_t)(sizeof f + sizeof r + r.tool_len + r.house_len + r.task_len + r.params_len + 4);
	to = buf_reserve(&w->out, f.len);
	assert(to);
	memcpy(to, &f, sizeof f);
	memcpy(to + sizeof f, &r, sizeof r);
	to = put_text(to + sizeof f + sizeof r, s->tool, r.tool_len);
	to = put_text(to, house, r.house_len);
	to = put_text(to, task, r.task_len);
	put_text(to, s->params, r.params_len);
	w->out.len += f.len;
}

void
pool_start(struct pool *p, const struct pool_start *s)
{
	struct worker *w = choose(p, s->quick);

	assert(w);
	if (!held(w))
		w->progress_ms = clock_mono_ms();
	w->slow = !s->quick;
	*attempt_at(w, w->tail) = (struct attempt){ .handle = s->handle, .timeout_ms = s->timeout_ms };
	put_request(w, s, w->tail++);
	p->count.started++;
	look_in(p, s->timeout_ms);
}

/* Called off in shared memory first: what has not begun then never does. What has begun is stopped, a quick
 * one a moment later, for it nearly always ends by itself and others wait behind it. */
static void
stop_attempt(struct worker *w, uint64_t seq)
{
	struct attempt *a = attempt_at(w, seq);

	if (a->stop_ms)
		return;
	a->stop_ms = clock_mono_ms();
	atomic_store(&w->l.page->skip[seq % POOL_QUICK_DEPTH], seq);
	if (w->slow && begun(w) == seq)
		stop_group(w, POOL_STOPPED, seq);
	else
		look_in(w->pool, LINGER_MS);
}

void
pool_stop(struct pool *p, uint64_t handle)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct worker *w = &p->workers[i];

		for (uint64_t seq = w->head; seq < w->tail; seq++) {
			if (attempt_at(w, seq)->handle == handle) {
				stop_attempt(w, seq);
				return;
			}
		}
	}
}

static int
poll_us(struct pollfd *fds, nfds_t n, int64_t us)
{
#ifdef __linux__
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	return ppoll(fds, n, &ts, NULL);
#else
	return poll(fds, n, (int)((us + 999) / 1000));
#endif
}

bool
pool_wait(struct pool *p, int64_t us)
{
	struct pollfd fds[2 * MAX_WORKERS];
	nfds_t n = 2 * p->n;

	for (unsigned i = 0; i < p->n; i++) {
		const struct worker *w = &p->workers[i];
		bool deaf = w->stage == DOWN || w->stage == REAPED || w->hung_up || w->deaf;

		fds[2 * i] = (struct pollfd){ .fd = deaf ? -1 : w->l.fd, .events = POLLIN };
		fds[2 * i + 1] = (struct pollfd){ .fd = w->exited ? -1 : w->l.pidfd, .events = POLLIN };
	}
	if (poll_us(fds, n, us) <= 0)
		return false;
	for (unsigned i = 0; i < p->n; i++) {
		p->workers[i].readable |= fds[2 * i].revents != 0;
		p->workers[i].exited |= fds[2 * i + 1].revents != 0;
	}
	return true;
}

const char *
pool_trouble(const struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->workers[i].stage == READY || p->workers[i].failures < TROUBLE)
			return NULL;
	return p->trouble;
}

void
pool_put(const struct pool *p, struct buf *out)
{
	const struct { const char *name; uint64_t n; } counters[] = {
		{ "started", p->count.started }, { "succeeded", p->count.succeeded }, { "failed", p->count.failed },
		{ "timed_out", p->count.timeouts }, { "crashed", p->count.crashed }, { "stopped", p->count.stopped },
		{ "not_run", p->count.not_run }, { "restarts", p->count.restarts },
		{ "bad_starts", p->count.bad_starts },
	};
	unsigned busy = 0, ready = 0;

	for (unsigned i = 0; i < p->n; i++) {
		busy += held(&p->workers[i]) > 0;
		ready += p->workers[i].stage == READY;
	}
	json_put_open(out, '{');
	json_kv_int(out, "workers", p->n);
	json_kv_int(out, "ready", ready);
	json_kv_int(out, "busy", busy);
	for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
		json_kv_int(out, counters[i].name, (int64_t)counters[i].n);
	if (p->trouble[0])
		json_kv_str(out, "last_bad_start", p->trouble);
	json_put_close(out, '}');
}
