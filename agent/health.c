#include "health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent.h"
#include "artifact.h"
#include "clock.h"
#include "json.h"
#include "notify.h"

#define LOOK_MS 2500                    /* what has not answered by then has failed */
#define LOOK_EVERY_MS 1000              /* who asks earlier gets the same answer */
#define LOOKS 6                         /* in the watchdog's time: one that fails is no reason yet */
#define ASK_MS 3500                     /* then the loop itself stands */
#define PULSE_MS 3000                   /* an owner whose pulse is older starts nothing */
#define SKEW_MS 60000                   /* how far clocks may differ */
#define CANARY UINT64_MAX               /* its handle: the core counts from 1 */
#define SYNC (UINT64_MAX - 1)
#define SYNC_MS 2000                    /* for Syncthing to answer, of LOOK_MS */
#define SYNC_EVERY_MS 20000             /* it is looked at for the alerts, though nobody asks */
#define SANE_WALL_MS 1735689600000      /* 2025: before that nobody has set the clock */

static const char *const names[HEALTH_NCHECKS] = {
#define X(sym, name) [sym] = name,
	HEALTH_CHECKS(X)
#undef X
};

/* ---- the answer ---- */

static bool
all_known(const struct health *h)
{
	for (int i = 0; i < HEALTH_NCHECKS; i++)
		if (!h->checks[i].known)
			return false;
	return true;
}

static void
put_head(struct buf *b, const struct agent *a, bool ok)
{
	json_put_open(b, '{');
	json_kv_str(b, "status", ok ? "ok" : "failing");
	json_kv_str(b, "agent", a->o.id);
	json_kv_str(b, "version", UW_VERSION);
	json_kv_time(b, "time", clock_wall_ms());
	json_put_key(b, "checks");
	json_put_open(b, '{');
}

static void
put_check(struct buf *b, const char *name, bool ok, int64_t ms, const char *detail)
{
	json_put_key(b, name);
	json_put_open(b, '{');
	json_kv_bool(b, "ok", ok);
	json_kv_int(b, "ms", ms);
	json_kv_str(b, "detail", detail);
	json_put_close(b, '}');
}

static void
put_sync(struct buf *b, const struct health *h)
{
	int64_t age_s = (clock_mono_ms() - h->sync_found_ms) / 1000;
	char detail[240];

	snprintf(detail, sizeof detail, age_s ? "%s (%" PRId64 " s ago)" : "%s", h->checks[HEALTH_SYNC].detail, age_s);
	put_check(b, names[HEALTH_SYNC], h->checks[HEALTH_SYNC].ok, h->checks[HEALTH_SYNC].ms, detail);
}

static void
put_answer(struct agent *a, struct buf *b)
{
	const struct health *h = &a->health;
	bool ok = true;

	for (int i = 0; i < HEALTH_NCHECKS; i++)
		ok = ok && (h->checks[i].ok || i == HEALTH_SYNC);
	put_head(b, a, ok);
	for (int i = 0; i < HEALTH_SYNC; i++)
		put_check(b, names[i], h->checks[i].ok, h->checks[i].ms, h->checks[i].detail);
	if (h->shares)
		put_sync(b, h);
	json_put_close(b, '}');
	core_put_stress(a->core, b);
	json_put_close(b, '}');
	buf_addc(b, '\n');
}

static void
answer_all(struct agent *a)
{
	struct health *h = &a->health;
	struct buf b = { 0 };

	if (h->ncalls || h->nconns)
		put_answer(a, &b);
	while (h->ncalls)
		http_call_answer(a, h->calls[--h->ncalls], b.data, b.len);
	while (h->nconns)
		socket_answer(a, h->conns[--h->nconns], b.data, b.len);
	buf_free(&b);
}

static void
finish(struct agent *a)
{
	struct health *h = &a->health;

	if (!h->looking || !all_known(h))
		return;
	h->looking = false;
	h->ended_ms = clock_mono_ms();
	uv_timer_stop(&h->limit);
	if (!h->hangs)
		notify("WATCHDOG=1");
	answer_all(a);
}

/* ---- the checks ---- */

static void __attribute__((format(printf, 4, 5)))
settle(struct agent *a, enum health_check which, bool ok, const char *fmt, ...)
{
	struct health *h = &a->health;
	va_list ap;

	if (!h->looking || h->checks[which].known)
		return;
	va_start(ap, fmt);
	vsnprintf(h->checks[which].detail, sizeof h->checks[which].detail, fmt, ap);
	va_end(ap);
	h->checks[which].known = true;
	h->checks[which].ok = ok;
	h->checks[which].ms = clock_mono_ms() - h->begun_ms;
}

static void
check_link(struct agent *a)
{
	const struct config_broker *b = &a->o.config->brokers[a->link.broker];
	int64_t made = core_pulse_made_ms(a->core), age = clock_mono_ms() - made;

	if (!link_is_up(a) || !made)
		settle(a, HEALTH_LINK, false, "not connected to a broker%s%s", a->link.why[0] ? ": " : "", a->link.why);
	else
		settle(a, HEALTH_LINK, age < PULSE_MS, "%s:%d, the latest pulse that came back is %" PRId64 " ms old", b->host,
		    b->port, age);
}

static void
check_disk(struct agent *a)
{
	int64_t least = a->o.config->min_free_bytes, free_bytes;
	struct statvfs v;

	if (statvfs(a->o.config->state_dir, &v)) {
		settle(a, HEALTH_DISK, false, "%s cannot be asked", a->o.config->state_dir);
		return;
	}
	free_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
	settle(a, HEALTH_DISK, free_bytes >= least && free_bytes > 0, "%" PRId64 " bytes free for %s, at least %" PRId64
	    " are wanted", free_bytes, a->o.config->state_dir, least);
}

/* One other alone may be the one that is wrong. */
static void
check_clock(struct agent *a)
{
	int64_t skew = 0;
	int n = core_clock_skew(a->core, &skew);

	if (clock_wall_ms() < SANE_WALL_MS)
		settle(a, HEALTH_CLOCK, false, "it was never set");
	else if (n == 0)
		settle(a, HEALTH_CLOCK, true, "no other agent is heard");
	else
		settle(a, HEALTH_CLOCK, n < 2 || (skew < SKEW_MS && skew > -SKEW_MS), "%" PRId64 " ms behind the median of %d other%s",
		    skew, n, n == 1 ? "" : "s");
}

static void
check_workers(struct agent *a)
{
	static const struct pool_start canary = { .handle = CANARY, .tool = "noop", .house = "_", .task_id = "canary",
		.params = "{}", .params_len = 2, .timeout_ms = LOOK_MS };

	if (a->health.canary_ms)
		return;
	if (!a->pool) {
		settle(a, HEALTH_WORKERS, false, "they are stopped");
	} else if (pool_free(a->pool) > 0) {
		a->health.canary_ms = clock_mono_ms();
		pool_start(a->pool, &canary);
		pool_flush(a->pool);
	} else if (pool_trouble(a->pool)) {
		settle(a, HEALTH_WORKERS, false, "none can be started: %s", pool_trouble(a->pool));
	} else if (core_running(a->core)) {
		settle(a, HEALTH_WORKERS, true, "all are busy, %u attempts are out", core_running(a->core));
	} else {
		settle(a, HEALTH_WORKERS, false, "none is ready");
	}
}

static void
sync_found(struct agent *a, bool ok, const char *detail)
{
	struct health *h = &a->health;

	h->sync_found_ms = clock_mono_ms();
	h->checks[HEALTH_SYNC].known = true;
	h->checks[HEALTH_SYNC].ok = ok;
	h->checks[HEALTH_SYNC].ms = h->sync_ms ? h->sync_found_ms - h->sync_ms : 0;
	snprintf(h->checks[HEALTH_SYNC].detail, sizeof h->checks[HEALTH_SYNC].detail, "%.199s", detail);
}

/* libcurl is not for this process. */
static void
ask_sync(struct agent *a)
{
	static const struct pool_start start = { .handle = SYNC, .tool = "sync_status", .house = "_", .task_id = "canary",
		.params = "{}", .params_len = 2, .timeout_ms = SYNC_MS };

	a->health.sync_ms = clock_mono_ms();
	a->health.sync_next_ms = a->health.sync_ms + SYNC_EVERY_MS;
	pool_start(a->pool, &start);
	pool_flush(a->pool);
}

/* After the canary, which may have the only worker. */
static void
check_sync(struct agent *a)
{
	if (a->health.sync_ms)
		return;
	if (!a->health.shares)
		sync_found(a, true, "this host takes no part");
	else if (a->pool && pool_free(a->pool) > 0)
		ask_sync(a);
	else if (!a->health.canary_ms)
		sync_found(a, true, "not looked at, for no worker is free");
}

static void
sync_end(struct agent *a, const struct pool_end *end)
{
	cJSON *o = end->how == POOL_SUCCEEDED ? json_parse_object(end->result, end->result_len, NULL) : NULL;

	sync_found(a, json_is_true(o, "ok"), o ? json_text(o, "text") : end->err.msg);
	a->health.sync_ms = 0;
	/* One that is silent is this host's own. What was still to come then still is. */
	a->health.sync_told = true;
	a->health.sync_faults = json_number(o, "faults", 1);
	if (json_number(o, "need_items", a->health.sync_behind_ms != 0) == 0)
		a->health.sync_behind_ms = 0;
	else if (!a->health.sync_behind_ms)
		a->health.sync_behind_ms = clock_mono_ms();
	cJSON_Delete(o);
}

void
health_measure(struct agent *a, struct core_measures *m)
{
	struct health *h = &a->health;
	int64_t now = clock_mono_ms();
	config_name self;

	if (now >= h->sync_next_ms && !h->sync_ms && a->phase == AGENT_RUNS && a->pool && pool_free(a->pool) > 0) {
		h->sync_next_ms = now + SYNC_EVERY_MS;
		h->shares = artifact_self(a->o.config, self, NULL) == 0;
		if (h->shares)
			ask_sync(a);
	}
	m->shares = h->shares && h->sync_told;
	m->sync_faults = h->sync_faults;
	m->sync_behind_s = h->sync_behind_ms ? (now - h->sync_behind_ms) / 1000 : 0;
}

/* What is read now is still on the disk, and the commit of this turn shows that it takes something. */
static void
check_store(struct agent *a)
{
	struct err e;

	if (a->stuck)
		return;
	agent_input(a);
	if (core_look(a->core, &e))
		settle(a, HEALTH_STORE, false, "%s", e.msg);
}

static void
limit_callback(uv_timer_t *t)
{
	struct agent *a = t->data;

	a->health.hangs = !a->health.checks[HEALTH_STORE].known || !a->health.checks[HEALTH_WORKERS].known;
	settle(a, HEALTH_STORE, false, "no commit within %d ms", LOOK_MS);
	settle(a, HEALTH_WORKERS, false, "a task that does nothing has not come back for %" PRId64 " ms",
	    clock_mono_ms() - a->health.canary_ms);
	/* Its worker is replaced. */
	if (a->health.canary_ms && a->pool)
		pool_stop(a->pool, CANARY);
	if (!a->health.checks[HEALTH_SYNC].known)
		sync_found(a, false, "Syncthing has not been heard of");
	finish(a);
}

static void
begin(struct agent *a)
{
	struct health *h = &a->health;
	config_name self;

	for (int i = 0; i < HEALTH_NCHECKS; i++)
		h->checks[i].known = i == HEALTH_SYNC && h->checks[i].known;
	h->shares = artifact_self(a->o.config, self, NULL) == 0;
	h->looking = true;
	h->hangs = false;
	h->begun_ms = clock_mono_ms();
	uv_update_time(&a->loop);
	uv_timer_start(&h->limit, limit_callback, LOOK_MS, 0);
	check_link(a);
	check_disk(a);
	check_clock(a);
	check_workers(a);
	check_sync(a);
	check_store(a);
	finish(a);
}

/* Somebody waits, whom we know. */
static void
look(struct agent *a)
{
	struct health *h = &a->health;

	if (!h->looking && h->ended_ms && clock_mono_ms() - h->ended_ms < LOOK_EVERY_MS)
		answer_all(a);
	else if (!h->looking)
		begin(a);
}

static void
look_for_call(struct agent *a, struct http_call *call)
{
	struct health *h = &a->health;

	if (h->ncalls == HEALTH_CALLS)
		return;
	h->calls[h->ncalls++] = call;
	look(a);
}

void
health_ask(struct agent *a, uint64_t conn)
{
	struct health *h = &a->health;

	if (h->nconns == HEALTH_CALLS)
		return;
	h->conns[h->nconns++] = conn;
	look(a);
}

void
health_init(struct agent *a)
{
	uv_timer_init(&a->loop, &a->health.limit);
	a->health.limit.data = a;
	a->health.watchdog_ms = notify_watchdog_ms();
}

/* An agent that stops has its workers no more; how long that may take is limited otherwise. */
void
health_second(struct agent *a)
{
	struct health *h = &a->health;

	if (!h->watchdog_ms)
		return;
	if (a->phase != AGENT_RUNS)
		notify("WATCHDOG=1");
	else if (!h->looking && clock_mono_ms() - h->begun_ms >= h->watchdog_ms / LOOKS)
		begin(a);
}

void
health_commit(struct agent *a, const char *failed)
{
	settle(a, HEALTH_STORE, !failed, "%s", failed ? failed : "a commit came through");
	finish(a);
}

bool
health_attempt_end(struct agent *a, const struct pool_end *end)
{
	bool ok = end->how == POOL_SUCCEEDED;

	if (end->handle != CANARY && end->handle != SYNC)
		return false;
	if (end->handle == SYNC) {
		sync_end(a, end);
	} else {
		a->health.canary_ms = 0;
		settle(a, HEALTH_WORKERS, ok, "%s", ok ? "a task that does nothing came back" : end->err.msg);
		if (a->health.looking && a->health.sync_found_ms < a->health.begun_ms)
			check_sync(a);
	}
	finish(a);
	return true;
}

/* ---- in a connection's thread ---- */

/* The loop itself, which alone cannot tell that it stands. */
static void
loop_stands(const struct http_request *r, struct http_reply *w, const struct err *e)
{
	w->status = 503;
	put_head(&w->body, r->a, false);
	put_check(&w->body, "loop", false, ASK_MS, e->msg);
	json_put_close(&w->body, '}');
	json_put_close(&w->body, '}');
	buf_addc(&w->body, '\n');
}

void
health_get(const struct http_request *r, struct http_reply *w)
{
	struct err e = { 0 };

	if (http_call(r, look_for_call, ASK_MS, &w->body, &e)) {
		buf_clear(&w->body);
		loop_stands(r, w, &e);
	} else if (strstr(buf_str(&w->body), "\"status\":\"failing\"")) {
		w->status = 503;
	}
}

static void
readiness(struct agent *a, struct http_call *call)
{
	const struct {
		bool holds;
		const char *why;
	} needs[] = {
		{ a->phase == AGENT_RUNS, "it is stopping" },
		{ !a->stuck, "its store does not take anything" },
		{ a->ready, "it has not been connected to a broker yet" },
		{ link_is_up(a), "it is not connected to a broker" },
	};
	struct buf b = { 0 };
	const char *why = NULL;

	for (size_t i = 0; i < sizeof needs / sizeof *needs && !why; i++)
		why = needs[i].holds ? NULL : needs[i].why;
	json_put_open(&b, '{');
	json_kv_bool(&b, "ready", !why);
	json_kv_str(&b, "agent", a->o.id);
	if (why)
		json_kv_str(&b, "why", why);
	json_put_close(&b, '}');
	buf_addc(&b, '\n');
	http_call_answer(a, call, b.data, b.len);
	buf_free(&b);
}

void
ready_get(const struct http_request *r, struct http_reply *w)
{
	struct err e = { 0 };

	if (http_call(r, readiness, ASK_MS, &w->body, &e))
		http_fail(w, &e);
	else if (!strstr(buf_str(&w->body), "\"ready\":true"))
		w->status = 503;
	if (w->status == 504)
		w->status = 503;
}
