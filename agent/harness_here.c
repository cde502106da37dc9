/*
 * harness_here.c - calls run in worker processes of this program's own: a pool and a loop of its
 * own to drive it. The program need not know of either.
 */
#include "buf.h"
#include "harness.h"
#include "json.h"
#include "log.h"
#include "pool.h"
#include "tool.h"

#define LOOK_MS 200             /* a worker that was replaced last is not in the descriptor yet */
#define LOST_MAX 3              /* times a call is given to another worker */

struct here {
	uv_loop_t loop;
	uv_timer_t limit;
	struct pool *pool;
	struct registry *tools;
	struct call *head, **tail;      /* wait for a worker */
	bool dropped;                   /* one of them was cancelled */
	bool closed;
	struct uw_harness *h;
};

static void
enqueue(struct here *p, struct call *c)
{
	c->queued = NULL;
	c->started = false;
	*p->tail = c;
	p->tail = &c->queued;
}

static void
dequeue(struct here *p, struct call *c)
{
	struct call **at = &p->head;

	while (*at != c)
		at = &(*at)->queued;
	*at = c->queued;
	if (p->tail == &c->queued)
		p->tail = at;
}

/* A repeat of an exclusive tool might do it twice, so what is not known to be without effect is uncertain. */
static enum uw_state
failed_state(const struct call *c, const struct pool_end *end)
{
	if (c->tool->effect != TOOL_EXCLUSIVE || end->no_effect)
		return UW_FAILED;
	return UW_UNCERTAIN;
}

static void
stopped(struct uw_harness *h, struct call *c)
{
	struct err e;

	if (c->gave_up)
		err_set(&e, ERR_TIMEOUT, "stopped: no outcome within %d ms", h->wait_ms);
	else
		err_set(&e, ERR_DENIED, "cancelled; its processes are gone");
	call_fail(h, c, UW_CANCELLED, &e);
}

static void
on_end(void *arg, const struct pool_end *end)
{
	struct here *p = arg;
	struct call *c = (struct call *)(uintptr_t)end->handle;

	if (p->closed)
		return;
	switch (end->how) {
	case POOL_SUCCEEDED:
		call_end(p->h, c, &(struct call_result){ .state = UW_SUCCEEDED, .json = end->result,
		    .json_len = end->result_len, .run_us = end->ran_us });
		break;
	case POOL_FAILED:
	case POOL_TIMEOUT:
	case POOL_CRASHED:
		call_end(p->h, c, &(struct call_result){ .state = failed_state(c, end), .err = &end->err,
		    .run_us = end->ran_us });
		break;
	case POOL_STOPPED:
		stopped(p->h, c);
		break;
	case POOL_NOT_RUN:
		if (c->stopping)
			stopped(p->h, c);
		else if (++c->lost >= LOST_MAX)
			call_fail(p->h, c, UW_FAILED, &end->err);
		else
			enqueue(p, c);
		break;
	}
}

static int64_t
timeout_ms(const struct uw_harness *h, const struct tool *t)
{
	int64_t s = h->timeout_s ? h->timeout_s : t->timeout_s, cap_s = config_timeout_cap_s(&h->config, h->house);

	return 1000 * (s > cap_s ? cap_s : s);
}

static bool
has_room(const struct here *p, const struct call *c)
{
	return (c->tool->flags & TOOL_QUICK ? pool_free_quick(p->pool) : pool_free(p->pool)) > 0;
}

static void
feed(struct here *p)
{
	struct call *c;

	while ((c = p->head) && has_room(p, c)) {
		struct pool_start s = { .handle = (uintptr_t)c, .tool = c->tool->name, .house = p->h->house,
			.task_id = c->id, .params = c->params, .params_len = strlen(c->params),
			.timeout_ms = timeout_ms(p->h, c->tool), .quick = c->tool->flags & TOOL_QUICK };

		dequeue(p, c);
		c->started = true;
		pool_start(p->pool, &s);
	}
	pool_flush(p->pool);
}

/* Workers that cannot be started would let calls wait for ever. */
static void
fail_if_hopeless(struct here *p)
{
	const char *why = pool_trouble(p->pool);
	struct call *c;
	struct err e;

	if (!why)
		return;
	err_set(&e, ERR_CRASH, "no worker can be started: %s", why);
	for (int n = p->h->pending; n > 0 && (c = p->head); n--) {
		dequeue(p, c);
		call_fail(p->h, c, UW_FAILED, &e);
	}
}

static int
here_start(struct uw_harness *h, struct call *c, const char *tool, cJSON *params, struct err *e)
{
	struct here *p = h->place;
	struct buf text = { 0 };
	int rc;

	c->tool = registry_find(p->tools, tool);
	rc = c->tool ? registry_check(p->tools, c->tool, params, e) :
	    err_field(e, ERR_UNKNOWN_TOOL, "tool", tool, "a tool that `uni-wizard tool list` names");
	if (rc == 0 && c->tool->flags & TOOL_TOLD)
		rc = err_set(e, ERR_DENIED, "%s: it would be told to nobody here; open the harness for an agent (UW_AGENT)", tool);
	if (rc == 0) {
		json_put_tree(&text, params);
		if ((int64_t)text.len > h->config.max_task_bytes)
			rc = err_field(e, ERR_TOO_BIG, "params", NULL, "at most %lld bytes",
			    (long long)h->config.max_task_bytes);
	}
	cJSON_Delete(params);
	if (rc == 0) {
		c->params = buf_take(&text);
		enqueue(p, c);
		feed(p);
	}
	buf_free(&text);
	return rc;
}

static void
here_cancel(struct uw_harness *h, struct call *c)
{
	struct here *p = h->place;

	if (c->started) {
		pool_stop(p->pool, (uintptr_t)c);
		return;
	}
	p->dropped = true;
}

/* Callbacks may cancel more, so each round begins anew. */
static void
end_dropped(struct here *p)
{
	struct call *c;

	do {
		for (c = p->head; c && !c->stopping; c = c->queued)
			continue;
		if (c) {
			dequeue(p, c);
			stopped(p->h, c);
		}
	} while (c);
	p->dropped = false;
}

static void
on_limit(uv_timer_t *t)
{
	(void)t;
}

static void
here_work(struct uw_harness *h, int timeout_ms)
{
	struct here *p = h->place;

	if (p->dropped) {
		end_dropped(p);
		return;
	}
	uv_update_time(&p->loop);
	if (timeout_ms > 0)
		uv_timer_start(&p->limit, on_limit, (uint64_t)timeout_ms, 0);
	uv_run(&p->loop, timeout_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
	uv_timer_stop(&p->limit);
	fail_if_hopeless(p);
	feed(p);
	uv_run(&p->loop, UV_RUN_NOWAIT);        /* what is new to the loop gets into uw_harness_fd() */
}

static int
here_fd(const struct uw_harness *h)
{
	return uv_backend_fd(&((const struct here *)h->place)->loop);
}

static int
here_timeout(const struct uw_harness *h)
{
	const struct here *p = h->place;
	int ms = p->dropped ? 0 : uv_backend_timeout(&p->loop);

	return h->pending && (ms < 0 || ms > LOOK_MS) ? LOOK_MS : ms;
}

static void
on_pool_gone(void *arg)
{
	((struct here *)arg)->pool = NULL;
}

static void
here_close(struct uw_harness *h)
{
	struct here *p = h->place;

	p->closed = true;
	if (p->pool)
		pool_close(p->pool, on_pool_gone);
	while (p->pool)
		uv_run(&p->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&p->limit, NULL);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	uv_loop_close(&p->loop);
	registry_free(p->tools);
	free(p);
}

static void
warn(const char *msg, void *arg)
{
	(void)arg;
	log_warnx("%s", msg);
}

int
here_open(struct uw_harness *h, struct err *e)
{
	struct pool_opts o = { .exe = h->program, .config_path = h->config.path, .agent = "harness",
		.temp_dir = h->config.temp_dir,
		.workers = (unsigned)h->workers, .grace_ms = h->config.stop_grace_ms,
		.max_output = (size_t)h->config.max_output_bytes, .on_end = on_end };
	struct here *p;
	int rc;

	if (strcmp(h->house, "_") == 0)
		return err_field(e, ERR_UNKNOWN_HOUSE, "house", "_",
		    "a house by name; only an agent can choose one");
	p = xcalloc(1, sizeof *p);
	p->h = h;
	p->tail = &p->head;
	uv_loop_init(&p->loop);
	uv_timer_init(&p->loop, &p->limit);
	p->tools = registry_new(&h->config, warn, NULL);
	o.loop = &p->loop;
	o.arg = p;
	rc = pool_new(&p->pool, &o, e);
	h->backend = &backend_here;
	h->place = p;
	uv_run(&p->loop, UV_RUN_NOWAIT);
	return rc;
}

const struct backend backend_here = {
	.name = "here",
	.start = here_start,
	.cancel = here_cancel,
	.work = here_work,
	.fd = here_fd,
	.timeout = here_timeout,
	.close = here_close,
};
