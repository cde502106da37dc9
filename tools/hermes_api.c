#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <unistd.h>

#include "clock.h"
#include "hermes.h"
#include "http.h"
#include "path.h"
#include "secret.h"
#include "sse.h"
#include "tool.h"

#define CALL_MS 15000           /* of requests that are answered at once */
#define STOP_MS 4000            /* Hermes takes up to five seconds; what matters is that it was asked */
#define SILENCE_S 75            /* it says something every 30 s */
#define ANSWER_MAX (4u << 20)
#define LOOK_MS 250             /* after a cut stream the run is asked for, ever more rarely */
#define LOOK_MAX_MS 5000
#define LOOK_FAILURES 5

enum ending { GOES_ON, COMPLETED, FAILED, CANCELLED };

struct run {
	struct hermes *h;
	enum ending end;
	char why[400];
	char last_started[200];         /* what the tool that was started last was told */
	struct sse sse;
};

/* The key goes to Hermes alone. */
static int
run_request(const struct hermes *h, struct http_request *q, const char *path, struct http_answer *a, struct err *e)
{
	const struct config *c = h->r->env->config;
	const struct config_secret *found = config_secret_find(c, c->hermes_secret);
	struct config_secret key = { .name = c->hermes_secret, .value = found ? found->value : NULL, .origin = c->hermes_url };
	struct buf url = { 0 };
	int rc;

	buf_addf(&url, "%s%s", c->hermes_url, path);
	q->url = buf_str(&url);
	q->secret = found ? &key : NULL;
	rc = http_run(q, a, e);
	buf_free(&url);
	return rc;
}

static int
call(const struct hermes *h, const char *path, const struct buf *body, int64_t limit_ms, struct http_answer *a, struct err *e)
{
	struct http_request q = { .post = body ? buf_str(body) : NULL, .post_len = body ? body->len : 0,
		.content_type = "application/json", .timeout_ms = limit_ms, .connect_ms = limit_ms, .max_body = ANSWER_MAX };

	return run_request(h, &q, path, a, e);
}

/* What Hermes says about a refusal. */
static int
refused(const struct http_answer *a, const char *what, struct err *e)
{
	cJSON *o = json_parse_object(buf_str(&a->body), a->body.len, NULL);
	const char *why = json_text(cJSON_GetObjectItemCaseSensitive(o, "error"), "message");
	const char *hint = a->status == 401 ? "; is hermes.secret its API_SERVER_KEY?" :
	    a->status == 404 || a->status == 405 ? "; it may be too old for this" : "";

	err_set(e, ERR_TOOL, "Hermes: %s: status %d%s%.200s%s", what, a->status, *why ? ": " : "", why, hint);
	snprintf(e->expected, sizeof e->expected, "a status of 2xx");
	snprintf(e->got, sizeof e->got, "%d", a->status);
	cJSON_Delete(o);
	return -1;
}

/* A short request about this run, of which the answer does not matter much. */
static int
tell(const struct hermes *h, const char *verb, const char *json, int64_t limit_ms, struct err *e)
{
	struct http_answer a = { 0 };
	struct buf body = { 0 };
	char path[128];
	int rc;

	snprintf(path, sizeof path, "/v1/runs/%s/%s", h->id, verb);
	buf_adds(&body, json);
	rc = call(h, path, &body, limit_ms, &a, e);
	if (rc == 0 && a.status >= 300)
		rc = refused(&a, verb, e);
	http_answer_release(&a);
	buf_free(&body);
	return rc;
}

__attribute__((format(printf, 2, 3))) static void
say(const struct hermes *h, const char *fmt, ...)
{
	char text[HERMES_ASKED_MAX + 200];
	va_list ap;

	if (!h->r->log)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	h->r->log(h->r->arg, text, strlen(text));
}

/* No more is to come of it, and what it does after this nobody waits for. */
static void
stop(const struct hermes *h)
{
	int64_t grace_ms = h->r->env->config->stop_grace_ms / 2;
	struct err e = { 0 };

	if (tell(h, "stop", "{}", hermes_is_stopped() && grace_ms && grace_ms < STOP_MS ? grace_ms : STOP_MS, &e))
		say(h, "\n* it may go on, for it could not be stopped: %s\n", e.msg);
}

/* ---- what happens in a run ---- */

static void
on_delta(struct run *x, const cJSON *o)
{
	const char *text = json_text(o, "delta");

	if (*text && x->h->r->log)
		x->h->r->log(x->h->r->arg, text, strlen(text));
}

static void
on_tool_started(struct run *x, const cJSON *o)
{
	char note[160];

	x->h->tools++;
	snprintf(x->last_started, sizeof x->last_started, "%s", json_text(o, "preview"));
	snprintf(note, sizeof note, "%.40s: %.100s", json_text(o, "tool"), json_text(o, "preview"));
	tool_progress(x->h->r, -1, note);
	say(x->h, "\n* %s: %s\n", json_text(o, "tool"), json_text(o, "preview"));
}

static void
on_tool_completed(struct run *x, const cJSON *o)
{
	x->h->tools_done++;
	if (!json_is_true(o, "error"))
		return;
	x->h->tools_failed++;
	say(x->h, "* %s failed\n", json_text(o, "tool"));
}

static void
on_approval(struct run *x, const cJSON *o)
{
	const char *command = json_text(o, "command");
	bool may = hermes_may(x->h, command);
	struct err e = { 0 };

	say(x->h, "\n* asks for approval, which %s: %s\n", may ? "it has" : "nobody gives here", command);
	tool_progress(x->h->r, -1, may ? "runs what was approved" : "asked for approval");
	if (tell(x->h, "approval", may ? "{\"choice\":\"once\"}" : "{\"choice\":\"deny\"}", CALL_MS, &e) && may) {
		x->end = FAILED;
		snprintf(x->why, sizeof x->why, "its approval could not be given: %.300s", e.msg);
		stop(x->h);
	}
	if (!may)
		snprintf(x->h->asked, sizeof x->h->asked, "%s", *command ? command : "(it does not say what)");
}

/* Whatever else it says, a run that says so of itself has not done what it was to do. */
static bool
is_partial(const cJSON *o)
{
	const cJSON *completed = cJSON_GetObjectItemCaseSensitive(o, "completed");

	return json_is_true(o, "partial") || json_is_true(o, "failed") || json_is_true(o, "interrupted") || cJSON_IsFalse(completed);
}

static void
on_completed(struct run *x, const cJSON *o)
{
	const char *text = json_text(o, "output"), *why = json_text(o, "error");
	const cJSON *usage = cJSON_GetObjectItemCaseSensitive(o, "usage");

	buf_clear(&x->h->output);
	buf_adds(&x->h->output, text);
	if (cJSON_IsObject(usage) && !x->h->usage)
		x->h->usage = cJSON_Duplicate(usage, true);
	x->end = !is_partial(o) && *text ? COMPLETED : FAILED;
	if (x->end == FAILED)
		snprintf(x->why, sizeof x->why, "%.300s", *why ? why : *text ? "it ended before it was done" : "it ended without a text");
}

static void
on_failed(struct run *x, const cJSON *o)
{
	x->end = FAILED;
	snprintf(x->why, sizeof x->why, "%.300s", *json_text(o, "error") ? json_text(o, "error") : "it does not say why");
}

static void
on_cancelled(struct run *x, const cJSON *o)
{
	(void)o;
	x->end = CANCELLED;
	snprintf(x->why, sizeof x->why, "somebody stopped it");
}

static const struct {
	const char *event;              /* in the stream */
	const char *status;             /* of the run after it; NULL: none of its own */
	void (*take)(struct run *x, const cJSON *o);
	bool told;                      /* to who follows runs; texts are not */
} events[] = {
	{ "message.delta", NULL, on_delta, false },
	{ "tool.started", NULL, on_tool_started, true },
	{ "tool.completed", NULL, on_tool_completed, true },
	{ "approval.request", NULL, on_approval, true },
	{ "approval.responded", NULL, NULL, true },
	{ "subagent.start", NULL, NULL, true },
	{ "subagent.complete", NULL, NULL, true },
	{ "run.completed", "completed", on_completed, true },
	{ "run.failed", "failed", on_failed, true },
	{ "run.cancelled", "cancelled", on_cancelled, true },
	{ "run.interrupted", "interrupted", on_failed, true },
};

/* What it does not know it leaves alone: newer ones have more. */
static void
on_event(void *arg, const char *name, const char *data, size_t len)
{
	struct run *x = arg;
	cJSON *o = json_parse_object(data, len, NULL);
	const char *event = *json_text(o, "event") ? json_text(o, "event") : name;

	x->h->blind |= !o;
	for (size_t i = 0; o && x->end == GOES_ON && !*x->h->asked && i < sizeof events / sizeof *events; i++) {
		if (strcmp(events[i].event, event) != 0)
			continue;
		if (events[i].told)
			hermes_tell(x->h, o);
		if (events[i].take)
			events[i].take(x, o);
	}
	cJSON_Delete(o);
}

static void
on_body(void *arg, const char *p, size_t len)
{
	struct run *x = arg;

	sse_add(&x->sse, p, len);
}

static bool
has_enough(const struct hermes *h)
{
	return h->max_turns && h->tools > h->max_turns;
}

static bool
is_over(void *arg)
{
	const struct run *x = arg;

	return hermes_is_stopped() || x->end != GOES_ON || *x->h->asked || has_enough(x->h) || clock_mono_ms() >= x->h->until_ms;
}

/* Until its end, or that of the stream, which cannot be had again. */
static void
follow(struct run *x)
{
	struct http_request q = { .timeout_ms = x->h->until_ms - clock_mono_ms(), .connect_ms = CALL_MS, .on_body = on_body,
		.is_over = is_over, .silence_s = SILENCE_S, .arg = x };
	struct http_answer a = { 0 };
	struct err e = { 0 };
	char path[128];

	snprintf(path, sizeof path, "/v1/runs/%s/events", x->h->id);
	run_request(x->h, &q, path, &a, &e);
	http_answer_release(&a);
	x->h->blind |= !is_over(x) || x->sse.left_out;
}

/* The run as it is now, which the caller deletes; NULL if Hermes does not answer, or (gone) does not know it. */
static cJSON *
ask_run(const struct hermes *h, const char *id, bool *gone, struct err *e)
{
	struct http_answer a = { 0 };
	cJSON *o = NULL;
	char path[96];

	snprintf(path, sizeof path, "/v1/runs/%.72s", id);
	if (call(h, path, NULL, CALL_MS, &a, e) == 0) {
		*gone = a.status == 404;
		if (a.status < 300)
			o = json_parse_object(buf_str(&a.body), a.body.len, e);
		else
			refused(&a, "status", e);
	}
	http_answer_release(&a);
	return o;
}

static int
look(struct run *x, bool *gone, struct err *e)
{
	cJSON *o = ask_run(x->h, x->h->id, gone, e);
	const char *status = json_text(o, "status");

	for (size_t i = 0; o && i < sizeof events / sizeof *events; i++)
		if (events[i].status && strcmp(events[i].status, status) == 0)
			events[i].take(x, o);
	if (o && strcmp(status, "waiting_for_approval") == 0)
		on_approval(x, o);
	cJSON_Delete(o);
	return o ? 0 : -1;
}

static int
look_until_over(struct run *x, struct err *e)
{
	int64_t wait_ms = LOOK_MS;
	int failures = 0;
	bool gone = false;

	while (!is_over(x)) {
		failures = look(x, &gone, e) ? failures + 1 : 0;
		if (gone || failures == LOOK_FAILURES)
			return err_wrap(e, "run %s was lost from sight", x->h->id);
		if (is_over(x))
			break;
		poll(NULL, 0, (int)wait_ms);
		tool_progress(x->h->r, -1, "its events were cut off; asks how it is");
		wait_ms = wait_ms * 2 < LOOK_MAX_MS ? wait_ms * 2 : LOOK_MAX_MS;
	}
	return 0;
}

/* Nothing can have happened if no tool ran, and all was seen; one that was only asked about did not. */
static bool
did_nothing(const struct run *x)
{
	const struct hermes *h = x->h;

	return !h->blind && (h->tools == 0 || (h->tools == 1 && !h->tools_done && *h->asked && strcmp(x->last_started, h->asked) == 0));
}

static int
judge(struct run *x, struct err *e)
{
	struct hermes *h = x->h;
	bool known = x->end == FAILED || *h->asked;

	if (x->end == COMPLETED && !*h->asked)
		return 0;
	if (x->end == GOES_ON || *h->asked)
		stop(h);
	if (known && did_nothing(x))
		tool_effect_none(h->r);
	if (*h->asked)
		return -1;
	if (x->end != GOES_ON)
		return err_set(e, ERR_TOOL, "Hermes: run %s %s: %s", h->id, x->end == FAILED ? "failed" : "was cancelled", x->why);
	if (has_enough(h))
		return err_set(e, ERR_TOOL, "Hermes: run %s was stopped: more than %lld calls of tools", h->id, (long long)h->max_turns);
	return err_set(e, ERR_TIMEOUT, "Hermes: run %s was stopped: its time is over", h->id);
}

/* ---- its beginning ---- */

static void
put_input(const struct hermes *h, struct buf *b)
{
	json_put_open(b, '{');
	json_kv_str(b, "input", h->prompt);
	json_kv_str(b, "session_id", h->session);
	if (h->model)
		json_kv_str(b, "model", h->model);
	if (h->path) {
		struct buf text = { 0 };

		buf_addf(&text, "Work in the directory %s and nowhere else.", h->path);
		json_kv_str(b, "instructions", buf_str(&text));
		buf_free(&text);
	}
	json_put_close(b, '}');
}

/* Letters, digits, _ and -: it becomes part of a path. */
static bool
take_id(struct hermes *h, const struct http_answer *a)
{
	cJSON *o = json_parse_object(buf_str(&a->body), a->body.len, NULL);
	const char *id = json_text(o, "run_id");
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	bool ok = n && !id[n] && n < sizeof h->id;

	if (ok)
		snprintf(h->id, sizeof h->id, "%s", id);
	cJSON_Delete(o);
	return ok;
}

static int
begin(struct hermes *h, struct err *e)
{
	struct http_answer a = { 0 };
	struct buf body = { 0 };
	int64_t left_ms = h->until_ms - clock_mono_ms();
	int rc;

	put_input(h, &body);
	tool_effect_begins(h->r);
	rc = call(h, "/v1/runs", &body, left_ms < CALL_MS ? left_ms : CALL_MS, &a, e);
	if (rc && !*a.address)
		tool_effect_none(h->r);         /* not even connected */
	if (rc && e->code == ERR_TIMEOUT)
		e->code = ERR_NETWORK;          /* of Hermes, not of the run, which has not begun */
	if (rc == 0 && a.status >= 300) {
		if (a.status < 500)
			tool_effect_none(h->r);
		tool_failed_with(h->r, a.status, a.retry_after_s);
		rc = refused(&a, "the run was not begun", e);
	} else if (rc == 0 && !take_id(h, &a)) {
		rc = err_set(e, ERR_TOOL, "Hermes: it answered the beginning of a run with status %d and no run_id", a.status);
	}
	http_answer_release(&a);
	buf_free(&body);
	return rc;
}

static int
check_path(const struct hermes *h, struct err *e)
{
	int fd = path_open(&h->r->env->roots, "path", h->path, O_RDONLY | O_DIRECTORY, 0, e);

	if (fd < 0)
		return -1;
	close(fd);
	if (*h->path != '/' || !path_is_writable(&h->r->env->roots, h->path))
		return err_field(e, ERR_PATH, "params.path", h->path, "an absolute directory beneath a writable root");
	return 0;
}

static int
check(struct hermes *h, struct err *e)
{
	if (h->provider)
		return err_field(e, ERR_INVALID, "params.provider", h->provider, "none: over HTTP (hermes.url) Hermes chooses it by its model_routes");
	if (*h->toolsets)
		return err_field(e, ERR_INVALID, "params.toolsets", h->toolsets, "none: over HTTP (hermes.url) Hermes has those of its configuration");
	if (!*h->session)
		snprintf(h->session, sizeof h->session, "uw-%s", h->r->task_id);
	return h->path ? check_path(h, e) : 0;
}

int
hermes_api(struct hermes *h, struct err *e)
{
	struct run x = { .h = h, .sse = { .on_event = on_event } };
	int rc;

	x.sse.arg = &x;
	if (check(h, e))
		return -1;
	hermes_catch();
	rc = begin(h, e);
	if (rc == 0) {
		say(h, "* run %s in session %s\n", h->id, h->session);
		follow(&x);
		rc = look_until_over(&x, e);
	}
	if (*h->id && rc == 0)
		rc = judge(&x, e);
	sse_release(&x.sse);
	hermes_release();
	return rc;
}

int
hermes_api_status(struct tool_run *r, const char *id, char *status, size_t size, struct err *e)
{
	const struct hermes h = { .r = r };
	bool gone;
	cJSON *o = ask_run(&h, id, &gone, e);

	snprintf(status, size, "%s", json_text(o, "status"));
	cJSON_Delete(o);
	return o ? 0 : -1;
}
