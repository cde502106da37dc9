#include "harness.h"

#include "buf.h"
#include "clock.h"
#include "json.h"
#include "log.h"

#define CALLS_MAX 10000
#define WORKERS_MAX 64

static const char *const state_names[] = {
	[UW_SUCCEEDED] = "succeeded",
	[UW_FAILED] = "failed",
	[UW_DEAD] = "dead",
	[UW_CANCELLED] = "cancelled",
	[UW_EXPIRED] = "expired",
	[UW_DENIED] = "denied",
	[UW_UNCERTAIN] = "uncertain",
	[UW_REJECTED] = "rejected",
	[UW_NO_ANSWER] = "no_answer",
};

struct uw_result {
	enum uw_state state;
	char id[ULID_TEXT];
	int64_t call, run_us;
	char *json;
	struct uw_error error;
};

const char *
harness_state_name(enum uw_state s)
{
	return state_names[s];
}

int
harness_state_parse(const char *name, enum uw_state *out)
{
	for (size_t i = 0; i < sizeof state_names / sizeof *state_names; i++)
		if (strcmp(state_names[i], name) == 0) {
			*out = (enum uw_state)i;
			return 0;
		}
	return -1;
}

const char *
uw_strerror(const char *code)
{
	static const struct { const char *name, *text; } texts[] = {
#define X(sym, name, text) { name, text },
		ERR_CODES(X)
#undef X
	};

	for (size_t i = 0; code && i < sizeof texts / sizeof *texts; i++)
		if (strcmp(texts[i].name, code) == 0)
			return texts[i].text;
	return "unknown error";
}

const char *
uw_version(void)
{
	return UW_VERSION;
}

/* From one to the other; returns -1, so that a failure is one line. */
static int
give(struct uw_error *to, const struct err *e)
{
	if (!to)
		return -1;
	snprintf(to->code, sizeof to->code, "%s", err_code_name(e->code));
	snprintf(to->field, sizeof to->field, "%s", e->field);
	snprintf(to->expected, sizeof to->expected, "%s", e->expected);
	snprintf(to->got, sizeof to->got, "%s", e->got);
	snprintf(to->message, sizeof to->message, "%s", e->msg);
	return -1;
}

static void
call_unlink(struct uw_harness *h, struct call *c)
{
	*(c->prev ? &c->prev->next : &h->first) = c->next;
	*(c->next ? &c->next->prev : &h->last) = c->prev;
	h->pending--;
}

static void
call_link(struct uw_harness *h, struct call *c)
{
	c->prev = h->last;
	*(h->last ? &h->last->next : &h->first) = c;
	h->last = c;
	h->pending++;
}

static void
call_free(struct call *c)
{
	free(c->params);
	free(c->line);
	free(c);
}

void
call_end(struct uw_harness *h, struct call *c, const struct call_result *r)
{
	struct uw_result result = { .state = r->state, .call = c->number, .run_us = r->run_us };
	bool inside = h->inside;

	memcpy(result.id, c->id, sizeof result.id);
	if (r->state == UW_SUCCEEDED)
		result.json = r->json ? xstrndup(r->json, r->json_len) : xstrdup("null");
	else
		give(&result.error, r->err);
	call_unlink(h, c);
	h->ended++;
	h->inside = true;
	c->done(c->arg, &result);
	h->inside = inside;
	free(result.json);
	call_free(c);
}

void
call_fail(struct uw_harness *h, struct call *c, enum uw_state state, const struct err *e)
{
	call_end(h, c, &(struct call_result){ .state = state, .err = e });
}

void
uw_options_init(struct uw_options *options)
{
	*options = (struct uw_options){ .size = sizeof *options, .workers = 1, .wait_ms = -1 };
}

/* A program that was built with an older library knows fewer members. */
static int
take_options(struct uw_options *o, const struct uw_options *given, struct err *e)
{
	uw_options_init(o);
	if (!given)
		return 0;
	if (given->size < offsetof(struct uw_options, where) || given->size > sizeof *o)
		return err_field(e, ERR_INVALID, "options.size", NULL,
		    "a struct set up with uw_options_init()");
	memcpy(o, given, given->size);
	return 0;
}

static int
number_ok(const char *name, int n, int lo, int hi, struct err *e)
{
	char got[16];

	if (n >= lo && n <= hi)
		return 0;
	snprintf(got, sizeof got, "%d", n);
	return err_field(e, ERR_INVALID, name, got, "%d to %d", lo, hi);
}

static int
check_options(const char *house, enum uw_mode mode, const struct uw_options *o, struct err *e)
{
	if (!house)
		return err_field(e, ERR_MISSING, "house", "nothing", "the name of a house");
	if (number_ok("mode", (int)mode, UW_SIMPLE, UW_SOVEREIGN, e) ||
	    number_ok("options.where", (int)o->where, UW_ANYWHERE, UW_AGENT, e) ||
	    number_ok("options.workers", o->workers, 1, WORKERS_MAX, e) ||
	    number_ok("options.timeout_s", o->timeout_s, 0, 604800, e) ||
	    number_ok("options.wait_ms", o->wait_ms, -1, INT32_MAX, e))
		return -1;
	if (mode == UW_SOVEREIGN && o->where == UW_HERE)
		return err_set(e, ERR_DENIED,
		    "mode sovereign: the task needs the sovereign's signed approval; give it to an agent");
	return 0;
}

static void
warn(const char *msg, void *arg)
{
	(void)arg;
	log_warnx("%s", msg);
}

static int
take_house(struct uw_harness *h, const char *house, struct err *e)
{
	if (strcmp(house, "_") != 0 && !config_house_find(&h->config, house))
		return err_field(e, ERR_UNKNOWN_HOUSE, "house", house, "a house of %s", h->config.path);
	snprintf(h->house, sizeof h->house, "%s", house);
	return 0;
}

/* As the documentation of enum uw_where says. */
static int
choose_place(struct uw_harness *h, enum uw_where where, struct err *e)
{
	if (where == UW_HERE || (where == UW_ANYWHERE && h->mode == UW_SIMPLE))
		return here_open(h, e);
	if (agent_side_open(h, e) == 0)
		return 0;
	if (where == UW_ANYWHERE && h->mode == UW_INTELLIGENT)
		return here_open(h, e);
	return -1;
}

static const char *
program_of(const struct uw_options *o)
{
	const char *env = getenv("UNI_WIZARD_EXE");

	return o->program ? o->program : env && env[0] ? env : UW_BINDIR "/uni-wizard";
}

int
uw_harness_open_with(const char *house, enum uw_mode mode, const struct uw_options *options,
    struct uw_harness **out, struct uw_error *err)
{
	struct uw_harness *h = NULL;
	struct uw_options o;
	struct err e = { 0 };

	*out = NULL;
	if (take_options(&o, options, &e) || check_options(house, mode, &o, &e))
		return give(err, &e);
	h = xcalloc(1, sizeof *h);
	h->mode = mode;
	h->workers = o.workers;
	h->timeout_s = o.timeout_s;
	h->wait_ms = o.wait_ms;
	h->program = xstrdup(program_of(&o));
	h->agent = o.agent ? xstrdup(o.agent) : NULL;
	if (config_load(&h->config, config_path(o.config), warn, NULL, &e) || take_house(h, house, &e) ||
	    choose_place(h, o.where, &e)) {
		uw_harness_close(h);
		return give(err, &e);
	}
	*out = h;
	return 0;
}

int
uw_harness_open(const char *house, enum uw_mode mode, struct uw_harness **out, struct uw_error *err)
{
	return uw_harness_open_with(house, mode, NULL, out, err);
}

void
uw_harness_close(struct uw_harness *h)
{
	struct call *c;

	if (!h)
		return;
	while ((c = h->first)) {
		call_unlink(h, c);
		call_free(c);
	}
	if (h->backend)
		h->backend->close(h);
	config_release(&h->config);
	free(h->program);
	free(h->agent);
	free(h);
}

const char *
uw_harness_where(const struct uw_harness *h)
{
	return h->backend->name;
}

static cJSON *
read_params(const char *params, struct err *e)
{
	cJSON *v = json_parse_object(params ? params : "{}", params ? strlen(params) : 2, e);

	if (!v)
		err_wrap(e, "params");
	return v;
}

static int
may_call(const struct uw_harness *h, const char *tool, uw_done done, struct err *e)
{
	if (!tool)
		return err_field(e, ERR_MISSING, "tool", "nothing", "a tool's name");
	if (!done)
		return err_field(e, ERR_MISSING, "done", "nothing", "a function");
	if (h->pending >= CALLS_MAX)
		return err_set(e, ERR_BUSY, "%d calls are under way, as many as may be", h->pending);
	return 0;
}

static struct call *
call_new(struct uw_harness *h, uw_done done, void *arg)
{
	struct call *c = xcalloc(1, sizeof *c);
	struct ulid id;

	ulid_now(&id);
	ulid_format(&id, c->id);
	c->number = ++h->numbers;
	c->done = done;
	c->arg = arg;
	c->give_up_ms = h->wait_ms < 0 ? INT64_MAX : clock_mono_ms() + h->wait_ms;
	call_link(h, c);
	return c;
}

int64_t
uw_execute_async(struct uw_harness *h, const char *tool, const char *params, uw_done done, void *arg,
    struct uw_error *err)
{
	struct err e = { 0 };
	struct call *c;
	cJSON *v;

	if (may_call(h, tool, done, &e) || !(v = read_params(params, &e)))
		return give(err, &e);
	c = call_new(h, done, arg);
	if (h->backend->start(h, c, tool, v, &e) == 0)
		return c->number;
	call_unlink(h, c);
	call_free(c);
	return give(err, &e);
}

int
uw_cancel(struct uw_harness *h, int64_t call)
{
	struct call *c = h->first;

	while (c && c->number != call)
		c = c->next;
	if (!c)
		return -1;
	c->stopping = true;
	h->backend->cancel(h, c);
	return 0;
}

static struct call *
oldest_waited_for(const struct uw_harness *h)
{
	struct call *c = h->first;

	while (c && c->gave_up)
		c = c->next;
	return c;
}

/* All wait equally long, so the oldest gives up first. What runs here is stopped; an agent's goes on.
 * Callbacks may end other calls, so each round begins anew. */
static void
give_up(struct uw_harness *h)
{
	int64_t now_ms = clock_mono_ms();
	struct call *c;
	struct err e;

	while ((c = oldest_waited_for(h)) && c->give_up_ms <= now_ms) {
		c->gave_up = true;
		if (h->backend == &backend_here) {
			c->stopping = true;
			h->backend->cancel(h, c);
			continue;
		}
		err_set(&e, ERR_TIMEOUT, "no outcome within %d ms; task %s %s", h->wait_ms, c->id,
		    c->accepted ? "goes on at the agent" : "may not have reached the agent");
		call_fail(h, c, UW_NO_ANSWER, &e);
	}
}

static int
sooner(int a_ms, int64_t b_ms)
{
	if (b_ms < 0)
		b_ms = 0;
	return a_ms >= 0 && a_ms <= b_ms ? a_ms : b_ms > INT32_MAX ? INT32_MAX : (int)b_ms;
}

/* Until the oldest call gives up, timeout_ms at most. */
static int
patience(const struct uw_harness *h, int timeout_ms)
{
	const struct call *c = oldest_waited_for(h);

	if (!c || c->give_up_ms == INT64_MAX)
		return timeout_ms;
	return sooner(timeout_ms, c->give_up_ms - clock_mono_ms());
}

int
uw_harness_run(struct uw_harness *h, int timeout_ms)
{
	int64_t until_ms = timeout_ms < 0 ? INT64_MAX : clock_mono_ms() + timeout_ms, left_ms;

	h->ended = 0;
	do {
		left_ms = until_ms == INT64_MAX ? -1 : until_ms - clock_mono_ms();
		if (left_ms < 0 && until_ms != INT64_MAX)
			left_ms = 0;
		give_up(h);
		if (h->pending && !h->ended)
			h->backend->work(h, patience(h, (int)left_ms));
	} while (h->pending && !h->ended && left_ms != 0);
	return h->ended;
}

int
uw_harness_fd(const struct uw_harness *h)
{
	return h->backend->fd(h);
}

int
uw_harness_timeout(const struct uw_harness *h)
{
	return patience(h, h->backend->timeout(h));
}

int
uw_harness_pending(const struct uw_harness *h)
{
	return h->pending;
}

struct kept {
	struct uw_result *result;
};

static void
keep(void *arg, const struct uw_result *result)
{
	struct kept *k = arg;

	k->result = xmalloc(sizeof *result);
	*k->result = *result;
	k->result->json = result->json ? xstrdup(result->json) : NULL;
}

int
uw_execute(struct uw_harness *h, const char *tool, const char *params, struct uw_result **result,
    struct uw_error *err)
{
	struct kept k = { NULL };
	struct err e;
	int rc;

	if (result)
		*result = NULL;
	if (h->inside) {
		err_set(&e, ERR_WRONG_STATE, "uw_execute() was called from within a callback");
		return give(err, &e);
	}
	if (uw_execute_async(h, tool, params, keep, &k, err) < 0)
		return -1;
	while (!k.result)
		uw_harness_run(h, -1);
	rc = k.result->state == UW_SUCCEEDED ? 0 : -1;
	if (rc && err)
		*err = k.result->error;
	if (result)
		*result = k.result;
	else
		uw_result_free(k.result);
	return rc;
}

enum uw_state
uw_result_state(const struct uw_result *r)
{
	return r->state;
}

const char *
uw_result_state_name(const struct uw_result *r)
{
	return state_names[r->state];
}

const char *
uw_result_json(const struct uw_result *r)
{
	return r->json;
}

const struct uw_error *
uw_result_error(const struct uw_result *r)
{
	return r->state == UW_SUCCEEDED ? NULL : &r->error;
}

const char *
uw_result_id(const struct uw_result *r)
{
	return r->id;
}

int64_t
uw_result_call(const struct uw_result *r)
{
	return r->call;
}

int64_t
uw_result_run_us(const struct uw_result *r)
{
	return r->run_us;
}

void
uw_result_free(struct uw_result *r)
{
	if (!r)
		return;
	free(r->json);
	free(r);
}
