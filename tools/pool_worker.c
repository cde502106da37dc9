/*
 * pool_worker.c - the life of worker processes, from start to the proof that nothing is left.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "clock.h"
#include "group.h"
#include "log.h"
#include "pool_state.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0          /* SO_NOSIGPIPE is set instead */
#endif

#define START_LIMIT_MS 10000            /* from exec to hello */
#define BEGIN_LIMIT_MS 10000            /* a worker that begins nothing for so long hangs */
#define GONE_LIMIT_MS 5000              /* a killed group that will not go (stuck in the kernel) */
#define GONE_LOOK_MS 50                 /* then zombies nobody collects are looked for */
#define POLL_MS 5
#define EXIT_LOOK_MS 200                /* where a pidfd tells of an end, in case it did not */
#define BACKOFF_MS 50
#define BACKOFF_MAX_MS 5000
#define TICK_MAX_MS 5000                /* timers do not count sleep, deadlines do */

static void watch_for(struct worker *w, int events);

void
worker_enter(struct worker *w, enum stage stage)
{
	w->stage = stage;
	w->since_ms = clock_mono_ms();
}

static void
kill_group(struct worker *w)
{
	kill(-w->l.pid, SIGKILL);
	worker_enter(w, KILLED);
	pool_look_in(w->pool, POLL_MS);
}

/* SIGTERM now and SIGKILL after the grace. The attempt seq is to end as `how`. */
void
worker_stop(struct worker *w, enum pool_how how, uint64_t seq)
{
	struct pool *p = w->pool;

	if (w->stage != READY && w->stage != STARTING)
		return;
	w->blame = seq;
	w->how = how;
	kill(-w->l.pid, SIGTERM);
	worker_enter(w, ENDING);
	w->kill_ms = w->since_ms + p->o.grace_ms;
	pool_look_in(p, p->o.grace_ms);
}

/* No grace for a worker that is broken. */
void
worker_condemn(struct worker *w, const char *why)
{
	w->deaf = true;
	if (w->stage == KILLED || w->stage == REAPED)
		return;
	log_warnx("worker %d: %s", (int)w->l.pid, why);
	snprintf(w->why, sizeof w->why, "%s", why);
	w->blame = held(w) ? w->head : 0;
	w->how = POOL_CRASHED;
	kill_group(w);
}

void
worker_flush(struct worker *w)
{
	while (w->out_at < w->out.len) {
		ssize_t n = send(w->l.fd, w->out.data + w->out_at, w->out.len - w->out_at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

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
		worker_flush(w);
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
on_watch_closed(uv_handle_t *h)
{
	struct watch *watch = h->data;
	struct pool *p = watch->pool;

	p->handles--;
	if (--watch->open == 0)
		free(watch);
	pool_release_if_done(p);
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

void
worker_reset(struct worker *w)
{
	struct buf in = { .max = w->pool->max_frame + 2 * POOL_READ_CHUNK }, out = { .max = POOL_OUT_MAX };

	buf_free(&w->notes);
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

int
worker_spawn(struct pool *p, struct worker *w, struct err *e)
{
	char temp[SCRATCH_PATH + 16] = "";
	struct launch l = { p->exe, p->config_path, p->agent, w->mark, temp, p->o.grace_ms, p->o.max_output };

	if (p->scratch.path[0])
		snprintf(temp, sizeof temp, "%s/%u", p->scratch.path, w->index);
	snprintf(w->mark, sizeof w->mark, "%s:%u", p->mark, ++p->spawned);
	if (launch_worker(&l, &w->l, e))
		return -1;
	w->start = group_start(w->l.pid);
	worker_enter(w, STARTING);
	if (watch_worker(p, w, e))
		worker_condemn(w, "cannot be watched");
	pool_look_in(p, START_LIMIT_MS);
	return 0;
}

/* Before a worker is given anything: what it starts can be found again by the next agent. */
void
pool_write_ledger(struct pool *p)
{
	struct group v[POOL_MAX_WORKERS];
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
	pool_look_in(p, wait_ms);
}

void
pool_spawn_due(struct pool *p, int64_t now_ms)
{
	bool changed = false;

	for (unsigned i = 0; i < p->n && !p->closing; i++) {
		struct worker *w = &p->workers[i];
		struct err e = { 0 };

		if (w->stage != DOWN || now_ms < w->respawn_ms)
			continue;
		if (worker_spawn(p, w, &e))
			start_failed(p, w, e.msg);
		else
			changed = true;
	}
	if (changed)
		pool_write_ledger(p);
}

/* What left the group on its own is found by its mark. A worker that ended in good order has seen to
 * that itself, but one that was killed, or called _exit() in the middle of a tool, has not. */
static void
kill_strays(const struct worker *w)
{
	if (w->ran_slow)
		group_kill_marked(w->mark, false);
}

/* ECHILD: the program ignores SIGCHLD, or somebody else collected it. */
static bool
has_exited(pid_t pid)
{
	siginfo_t si = { 0 };

	if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT))
		return errno == ECHILD;
	return si.si_pid == pid;
}

/* The leader stays uncollected, and its id ours, until the rest of its group has been killed. */
static bool
collect(struct pool *p, struct worker *w)
{
	int status;

	if (!has_exited(w->l.pid))
		return false;
	worker_read(p, w);
	kill(-w->l.pid, SIGKILL);
	w->status = waitpid(w->l.pid, &status, WNOHANG) == w->l.pid ? status : -1;
	kill_strays(w);
	worker_enter(w, REAPED);
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

	worker_describe(w, what, sizeof what);
	worker_end_all(p, w);
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
void
worker_advance(struct pool *p, struct worker *w)
{
	if (w->stage != REAPED && !collect(p, w)) {
		if (w->stage != KILLED && w->hung_up)
			kill_group(w);
		pool_look_in(p, w->l.pidfd >= 0 ? EXIT_LOOK_MS : POLL_MS);
	} else if (group_gone(w, clock_mono_ms())) {
		bury(p, w);
	} else {
		pool_look_in(p, POLL_MS);
	}
}

bool
worker_may_have_ended(const struct worker *w)
{
	return w->stage >= ENDING || (w->stage != DOWN && (w->hung_up || w->exited));
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
	uint64_t seq = worker_begun(w);

	if (!held(w))
		return d;
	if (seq)
		sooner(&d, began_ms(w, seq, now_ms) + attempt_at(w, seq)->timeout_ms, seq, POOL_TIMEOUT);
	else
		sooner(&d, w->progress_ms + BEGIN_LIMIT_MS, w->head, POOL_NOT_RUN);
	for (uint64_t i = w->head; i < w->tail; i++)
		if (attempt_at(w, i)->stop_ms)
			sooner(&d, attempt_at(w, i)->stop_ms + POOL_LINGER_MS, i, POOL_STOPPED);
	return d;
}

/* Does what is due for one worker; returns when to look again. */
static int64_t
tick_ready(struct worker *w, int64_t now_ms)
{
	struct due d = next_due(w, now_ms);

	if (d.at_ms <= now_ms)
		worker_stop(w, d.how, d.seq);
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
			worker_condemn(w, "was not ready in time");
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
		ending |= worker_may_have_ended(&p->workers[i]);
	}
	if (next_ms != INT64_MAX)
		pool_look_in(p, next_ms - now_ms);
	pool_spawn_due(p, now_ms);
	if (ending)
		notify(p);
}

/* Makes sure that the timer fires in ms or sooner. */
void
pool_look_in(struct pool *p, int64_t ms)
{
	uint64_t due;

	ms = ms < 0 ? 0 : ms > TICK_MAX_MS ? TICK_MAX_MS : ms;
	due = uv_now(p->o.loop) + (uint64_t)ms;
	if (due >= p->due || uv_is_closing((uv_handle_t *)&p->timer))
		return;
	p->due = due;
	uv_timer_start(&p->timer, on_timer, (uint64_t)ms, 0);
}
