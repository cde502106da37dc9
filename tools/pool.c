#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>

#include "clock.h"
#include "group.h"
#include "json.h"
#include "log.h"
#include "pool_state.h"
#include "sandbox.h"

#define OUT_FULL (1u << 20)             /* a worker with so much unsent takes no more */
#define SWEEP_LIMIT_MS 3000
#define TROUBLE 3                       /* starts that failed in a row */
#define FRAME_BODY_MIN FRAME_NOTES_MAX  /* the largest body that is no result */

void
pool_flush(struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->workers[i].stage == READY && p->workers[i].out.len)
			worker_flush(&p->workers[i]);
}

void
pool_release_if_done(struct pool *p)
{
	void (*done)(void *arg) = p->done;
	void *arg = p->o.arg;

	if (p->handles)
		return;
	scratch_close(&p->scratch);
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
on_timer_closed(uv_handle_t *h)
{
	struct pool *p = h->data;

	p->handles--;
	pool_release_if_done(p);
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
			worker_read(p, w);
		if (worker_may_have_ended(w))
			worker_advance(p, w);
	}
	p->reading = false;
	if (p->closing) {
		finish_close(p);
	} else if (p->respawn) {
		p->respawn = false;
		pool_spawn_due(p, clock_mono_ms());
	}
	return (int)(p->ended - before);
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
	p->n = o->workers < 1 ? 1 : o->workers > POOL_MAX_WORKERS ? POOL_MAX_WORKERS : o->workers;
	p->workers = xcalloc(p->n, sizeof *p->workers);
	p->chunk = xmalloc(POOL_READ_CHUNK);
	p->max_frame = sizeof(struct frame) + 1 +
	    (o->max_output > FRAME_BODY_MIN ? o->max_output : FRAME_BODY_MIN);
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
	if (opts->temp_dir && scratch_open(&p->scratch, opts->temp_dir, opts->agent, e)) {
		pool_release_if_done(p);
		return -1;
	}
	uv_timer_init(p->o.loop, &p->timer);
	p->timer.data = p;
	p->handles = 1;
	if (worker_spawn(p, &p->workers[0], e)) {
		pool_close(p, NULL);
		return -1;
	}
	pool_spawn_due(p, clock_mono_ms());
	pool_write_ledger(p);
	*out = p;
	return 0;
}

void
pool_close(struct pool *p, void (*done)(void *arg))
{
	p->closing = true;
	p->done = done;
	for (unsigned i = 0; i < p->n; i++)
		worker_stop(&p->workers[i], POOL_STOPPED, 0);
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
	const char *house = s->house ? s->house : "", *task = s->task_id ? s->task_id : "", *trace = s->traceparent ? s->traceparent : "";
	struct frame_request r = { (uint32_t)strlen(s->tool), (uint32_t)strlen(house), (uint32_t)strlen(task),
		(uint32_t)strlen(trace), (uint32_t)s->params_len, s->terms ? (uint32_t)s->terms_len : 0 };
	struct frame f = { .kind = FRAME_REQUEST, .seq = seq, .time = s->timeout_ms,
		.flags = (uint16_t)((s->quick ? FRAME_QUICK : 0) | (s->plan ? FRAME_PLAN : 0) |
		    (s->terms ? FRAME_TERMS : 0)) };
	char *to;

	f.len = (uint32_t)(sizeof f + sizeof r + r.tool_len + r.house_len + r.task_len + r.trace_len + r.params_len +
	    r.terms_len + 6);
	to = buf_reserve(&w->out, f.len);
	assert(to);
	memcpy(to, &f, sizeof f);
	memcpy(to + sizeof f, &r, sizeof r);
	to = put_text(to + sizeof f + sizeof r, s->tool, r.tool_len);
	to = put_text(to, house, r.house_len);
	to = put_text(to, task, r.task_len);
	to = put_text(to, trace, r.trace_len);
	to = put_text(to, s->params, r.params_len);
	put_text(to, s->terms, r.terms_len);
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
	w->ran_slow |= w->slow;
	*attempt_at(w, w->tail) = (struct attempt){ .handle = s->handle, .timeout_ms = s->timeout_ms };
	put_request(w, s, w->tail++);
	p->count.started++;
	pool_look_in(p, s->timeout_ms);
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
	if (w->slow && worker_begun(w) == seq)
		worker_stop(w, POOL_STOPPED, seq);
	else
		pool_look_in(w->pool, POOL_LINGER_MS);
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
	struct pollfd fds[2 * POOL_MAX_WORKERS];
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
		{ "started", p->count.started },
		{ "succeeded", p->count.succeeded },
		{ "failed", p->count.failed },
		{ "timed_out", p->count.timeouts },
		{ "crashed", p->count.crashed },
		{ "stopped", p->count.stopped },
		{ "not_run", p->count.not_run },
		{ "restarts", p->count.restarts },
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
	if (p->walled) {
		json_put_key(out, "sandbox");
		sandbox_put(out, p->walls);
	}
	json_put_close(out, '}');
}
