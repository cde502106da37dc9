/*
 * request.c - cancel, query and list: from the broker's topics and from local connections alike.
 *
 * A request is one object: {"id":...} on the cancel and query topics, or {"list":{...}} on query; on the
 * local socket the same with "op". Each is answered in lines; a list ends with {"type":"end"}.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define REQUEST_LINES_MAX 256           /* in a message: each may be a list of TASK_LIST_MAX tasks */

/* Who asks, and where the answer goes. */
struct asker {
	struct core *c;
	struct house *house;            /* that is asked; NULL: all */
	const char *name;
	struct house *gate;             /* the answer tells how things are there */
	bool may_all;                   /* an operator, the sovereign or the host's own user */
	const struct mqtt_msg *m;
	uint64_t conn;
};

static struct buf *
answer(const struct asker *a, const char *type)
{
	struct buf *b;

	if (!a->conn && !a->m->response_topic)
		return NULL;
	b = a->conn ? out_local(a->c, a->gate, a->conn) :
	    out_reply(a->c, a->gate, a->m->response_topic, a->m->correlation, a->m->correlation_len);
	json_put_open(b, '{');
	json_kv_str(b, "type", type);
	return b;
}

static void
answer_error(const struct asker *a, const char *id, const struct err *e)
{
	struct buf *b = answer(a, "error");

	if (!b)
		return;
	if (id)
		json_kv_str(b, "id", id);
	json_put_key(b, "error");
	json_put_err(b, e);
	out_end_line(b);
}

static void
put_times(struct buf *b, const struct task *t)
{
	json_kv_time(b, "accepted", t->accepted_ms);
	if (t->due_ms && !t->held && t->state != TASK_FORWARDED && t->state != TASK_WAITING)
		json_kv_time(b, "not_before", t->due_ms);
	if (t->deadline_ms)
		json_kv_time(b, "deadline", t->deadline_ms);
	if (t->finished_ms)
		json_kv_time(b, "finished", t->finished_ms);
}

/* A follower knows of an end that not all in step know yet: a new owner might come to another. */
static bool
is_told(const struct task *t)
{
	const struct house *h = t->house;

	return !h || h->owned || !lease_is_shared(h) || !task_state_is_terminal(t->state) || t->version <= h->heard_told;
}

/* Of one that has ended badly: why, in short. */
static void
put_why(struct buf *b, const struct task *t)
{
	cJSON *o = is_told(t) && t->outcome && t->state != TASK_SUCCEEDED ? cJSON_Parse(t->outcome) : NULL;
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "error");

	if (cJSON_IsObject(v)) {
		json_put_key(b, "error");
		json_put_open(b, '{');
		history_put_why(b, json_text(v, "code"), json_text(v, "message"));
		json_put_close(b, '}');
	}
	cJSON_Delete(o);
}

/* What became of its attempts. */
static void
put_past(struct buf *b, const struct task *t, bool full)
{
	if (t->failures)
		json_kv_int(b, "failures", t->failures);
	if (t->crashes)
		json_kv_int(b, "crashes", t->crashes);
	if (full)
		history_put(b, t);
}

static void
put_task(struct core *c, struct buf *b, const struct task *t, bool full)
{
	if (full && is_told(t)) {
		attempt_put_outcome(b, t);
	} else {
		char id[ULID_TEXT];

		ulid_format(&t->id, id);
		json_kv_str(b, "id", id);
		json_kv_str(b, "house", task_house_name(t));
		json_kv_str(b, "tool", t->tool_name);
		json_kv_str(b, "state", task_state_name(is_told(t) ? t->state : TASK_RUNNING));
		json_kv_int(b, "attempt", t->attempt);
		put_why(b, t);
	}
	json_kv_str(b, "sender", t->sender);
	json_kv_int(b, "priority", t->priority);
	json_kv_str(b, "mode", task_mode_name((enum task_mode)t->mode));
	put_times(b, t);
	signed_put_halted(c, b, t);
	breaker_put_held(b, t);
	if (full)
		after_put_waits(c, b, t);
	if (t->cancelled)
		json_kv_bool(b, "cancelling", true);
	if (is_told(t))
		put_past(b, t, full);
	if (full && t->approval)
		json_kv_raw(b, "approval", t->approval, strlen(t->approval));
	if (full)
		json_kv_raw(b, "task", t->body, t->body_len);
}

/* A house's own word counts more than that of whoever handed the task on. */
static struct task *
find_id(const struct asker *a, const struct ulid *id)
{
	struct task *t = NULL;

	if (a->house)
		return task_by_id(a->c, a->house, id);
	for (int i = a->c->nhouses - 1; i >= 0 && !t; i--)
		t = task_by_id(a->c, &a->c->houses[i], id);
	return t;
}

static struct task *
find_task(struct asker *a, const cJSON *req)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(req, "id");
	struct task *t = NULL;
	struct ulid id;
	struct err e;
	char got[64];

	if (!cJSON_IsString(v) || !ulid_parse(v->valuestring, &id)) {
		err_field(&e, ERR_INVALID, "id", json_brief(v, got, sizeof got), "a task's ULID");
		answer_error(a, NULL, &e);
	} else if (!(t = find_id(a, &id))) {
		err_field(&e, ERR_UNKNOWN_TASK, "id", v->valuestring,
		    "a task of this house (finished ones are kept for %lld s)", (long long)a->c->o.config->keep_finished_s);
		answer_error(a, v->valuestring, &e);
	}
	a->gate = t ? t->house : a->house;
	return t;
}

static void
show(struct asker *a, const cJSON *req)
{
	struct task *t = find_task(a, req);
	struct buf *b = t ? answer(a, "task") : NULL;

	if (!b)
		return;
	put_task(a->c, b, t, true);
	out_end_line(b);
}

static void
cancel(struct asker *a, const cJSON *req)
{
	struct task *t = find_task(a, req);
	struct buf *b;
	struct err e = { 0 };
	char id[ULID_TEXT];

	if (!t)
		return;
	ulid_format(&t->id, id);
	if (!a->may_all && strcmp(t->sender, a->name) != 0)
		err_set(&e, ERR_DENIED, "only its sender %s, an operator or %s may cancel it", t->sender,
		    a->c->o.config->sovereign);
	else if (!t->house->owned)
		err_set(&e, ERR_WRONG_STATE, "its house %s is %s's: cancel it there", t->house->name, t->house->term.agent);
	else if (t->forward && !task_state_is_terminal(t->state))
		err_set(&e, ERR_WRONG_STATE, "it was handed to house %s: cancel it there", t->forward);
	else if (task_state_is_terminal(t->state))
		err_set(&e, ERR_WRONG_STATE, "it is %s already", task_state_name(t->state));
	if (e.code) {
		answer_error(a, id, &e);
		return;
	}
	attempt_cancel(a->c, t, a->name);
	b = answer(a, "cancel");
	if (!b)
		return;
	json_kv_str(b, "id", id);
	json_kv_str(b, "state", t->state == TASK_CANCELLED ? "cancelled" : "stopping");
	out_end_line(b);
}

struct list_request {
	char house[NAME_MAX_LEN + 1], state[24], tool[48], sender[NAME_MAX_LEN + 1], parent[64];
	int64_t limit, before;
};

static const struct json_field list_fields[] = {
	JSON_FIELD(struct list_request, house, JSON_TEXT, false),
	JSON_FIELD(struct list_request, state, JSON_TEXT, false),
	JSON_FIELD(struct list_request, tool, JSON_TEXT, false),
	JSON_FIELD(struct list_request, sender, JSON_TEXT, false),
	JSON_FIELD(struct list_request, parent, JSON_TEXT, false),
	JSON_FIELD_INT(struct list_request, limit, 1, TASK_LIST_MAX, false),
	JSON_FIELD_INT(struct list_request, before, 1, INT64_MAX, false),
	JSON_END
};

struct listing {
	const struct asker *a;
	int64_t n, last;
};

static void
list_row(void *arg, struct task *t)
{
	struct listing *l = arg;
	struct buf *b = answer(l->a, "task");

	l->n++;
	l->last = t->seq;
	if (!b)
		return;
	put_task(l->a->c, b, t, false);
	out_end_line(b);
}

static void
list(struct asker *a, const cJSON *req, const char *house)
{
	struct list_request r = { .limit = 50 };
	struct listing l = { .a = a };
	struct store_filter f = { .state = -1 };
	enum task_state state;
	int64_t scanned_to;
	struct buf *b;
	struct err e = { 0 };

	snprintf(r.house, sizeof r.house, "%s", house ? house : "");
	if (json_read(req, list_fields, &r, &e) == 0 && r.state[0] && task_state_parse(r.state, &state))
		err_field(&e, ERR_INVALID, "state", r.state, "a task state such as queued, running or failed");
	if (e.code) {
		err_in(&e, "list");
		answer_error(a, NULL, &e);
		return;
	}
	if (r.state[0])
		f.state = (int)state;
	f.house = r.house[0] ? r.house : NULL;
	f.tool = r.tool[0] ? r.tool : NULL;
	f.sender = r.sender[0] ? r.sender : NULL;
	f.parent = r.parent[0] ? r.parent : NULL;
	f.before = r.before;
	f.limit = r.limit;
	scanned_to = store_list(a->c, &f, list_row, &l);
	b = answer(a, "end");
	if (!b)
		return;
	json_kv_int(b, "count", l.n);
	json_kv_str(b, "agent", a->c->o.agent);
	if (l.n == r.limit)
		json_kv_int(b, "next", l.last);
	else if (scanned_to > 1)
		json_kv_int(b, "next", scanned_to);
	out_end_line(b);
}

static void
move(struct asker *a, const cJSON *req, struct house *h)
{
	const char *to = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(req, "to"));
	struct err e = { 0 };
	bool pin;

	if (!a->may_all)
		err_set(&e, ERR_DENIED, "only an operator or %s may move a house", a->c->o.config->sovereign);
	else if (!to)
		err_field(&e, ERR_MISSING, "to", "nothing", "the agent that shall own the house");
	else if (h->move_conn || h->move_reply)
		err_busy(&e, 5, "house %s is being moved already", h->name);
	pin = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(req, "pin"));
	if (e.code || lease_move(a->c, h, to, pin, &e)) {
		answer_error(a, NULL, &e);
		return;
	}
	h->move_conn = a->conn;
	if (!a->m || !a->m->response_topic)
		return;
	h->move_reply = xstrdup(a->m->response_topic);
	buf_add(&h->move_correlation, a->m->correlation, a->m->correlation_len);
}

/* How long a drill had to wait for the house. */
static void
drilled(struct asker *a, const cJSON *req, struct house *h)
{
	struct err e;
	int64_t ms = 0;
	struct buf *b;

	if (!a->may_all || !json_int(cJSON_GetObjectItemCaseSensitive(req, "recovery_ms"), &ms) || ms < 0) {
		if (a->may_all)
			err_field(&e, ERR_INVALID, "recovery_ms", NULL, "milliseconds");
		else
			err_set(&e, ERR_DENIED, "only an operator or %s may note a drill", a->c->o.config->sovereign);
		answer_error(a, NULL, &e);
		return;
	}
	h->drill_ms = ms;
	h->drilled_ms = a->c->now.wall_ms;
	b = answer(a, "drilled");
	if (b)
		out_end_line(b);
}

struct output_request {
	char id[64];
	int64_t attempt, from;
};

static const struct json_field output_fields[] = {
	JSON_FIELD(struct output_request, id, JSON_TEXT, true),
	JSON_FIELD_INT(struct output_request, attempt, 0, INT16_MAX, false),
	JSON_FIELD_INT(struct output_request, from, 0, JSON_INT_MAX, false),
	JSON_END
};

/* How the task is, and then what everybody has of its output. */
static void
output(struct asker *a, const cJSON *o)
{
	struct output_request r = { 0 };
	struct task *t;
	struct buf *b;
	struct err e;

	if (json_read(o, output_fields, &r, &e)) {
		err_in(&e, "output");
		answer_error(a, NULL, &e);
		return;
	}
	t = find_task(a, o);
	b = t ? answer(a, "logs") : NULL;
	if (!b)
		return;
	json_kv_str(b, "id", r.id);
	json_kv_str(b, "house", task_house_name(t));
	json_kv_str(b, "state", task_state_name(is_told(t) ? t->state : TASK_RUNNING));
	json_kv_int(b, "attempt", t->attempt);
	output_ask(a->c, t, (int)r.attempt, r.from, a->m, b);
	out_end_line(b);
	output_answer(a->c, t, (int)r.attempt, r.from, a->m);
}

static void
breakers(struct asker *a, struct house *h)
{
	struct buf *b;

	for (int i = 0; i < h->nbreakers; i++) {
		if (!(b = answer(a, "breaker")))
			return;
		breaker_put(b, h, i);
		out_end_line(b);
	}
	b = answer(a, "end");
	if (!b)
		return;
	json_kv_int(b, "count", h->nbreakers);
	json_kv_str(b, "agent", a->c->o.agent);
	out_end_line(b);
}

/* {"tool":...,"target":...,"do":"open"} */
static void
set_breaker(struct asker *a, const cJSON *req, struct house *h)
{
	const char *what = json_text(req, "do"), *tool = json_text(req, "tool"), *target = json_text(req, "target");
	bool opens = strcmp(what, "open") == 0;
	struct err e = { 0 };
	struct buf *b;

	if (!a->may_all)
		err_set(&e, ERR_DENIED, "only an operator or %s may open and close breakers", a->c->o.config->sovereign);
	else if (!opens && strcmp(what, "close") != 0)
		err_field(&e, ERR_INVALID, "do", what, "open or close");
	if (e.code || breaker_order(a->c, h, tool, target, opens, a->name, &e)) {
		answer_error(a, NULL, &e);
		return;
	}
	b = answer(a, "breaker_set");
	if (!b)
		return;
	json_kv_str(b, "house", h->name);
	json_kv_str(b, "tool", tool);
	json_kv_str(b, "target", target);
	json_kv_str(b, "state", opens ? "open" : "closed");
	out_end_line(b);
}

/* Those of the configuration, too. */
static void
schedules(struct asker *a, struct house *h)
{
	const struct config *f = a->c->o.config;
	int64_t n = 0;
	struct buf *b;

	for (int i = 0; i < h->nroutines + (int)f->nschedules; i++) {
		const struct config_schedule *s = i < h->nroutines ? NULL : &f->schedules[i - h->nroutines];

		if (s && strcmp(s->house, h->name) != 0)
			continue;
		if (!(b = answer(a, "schedule")))
			return;
		if (s)
			routine_put_configured(a->c, b, h, s);
		else
			routine_put(a->c, b, h, i);
		out_end_line(b);
		n++;
	}
	b = answer(a, "end");
	if (!b)
		return;
	json_kv_int(b, "count", n);
	json_kv_str(b, "house", h->name);
	json_kv_str(b, "agent", a->c->o.agent);
	out_end_line(b);
}

/* {"do":"add","name":...,"cron":...,"task":{...}}, or remove, pause, resume */
static void
set_schedule(struct asker *a, const cJSON *req, struct house *h)
{
	const char *what = json_text(req, "do"), *name = json_text(req, "name");
	struct err e = { 0 };
	struct buf *b;

	if (strcmp(h->name, "_") == 0)
		err_field(&e, ERR_UNKNOWN_HOUSE, "house", h->name, "a house: the router's tasks are others'");
	if (e.code || routine_order(a->c, h, a->name, req, &e)) {
		answer_error(a, NULL, &e);
		return;
	}
	b = answer(a, "schedule_set");
	if (!b)
		return;
	json_kv_str(b, "name", name);
	json_kv_str(b, "do", what);
	json_kv_str(b, "house", h->name);
	for (int i = 0; i < h->nroutines; i++)
		if (strcmp(h->routines[i].name, name) == 0)
			routine_put_next(a->c, b, &h->routines[i]);
	out_end_line(b);
}

static void
query(struct asker *a, const cJSON *req, const char *house)
{
	const cJSON *out = cJSON_GetObjectItemCaseSensitive(req, "output");
	const cJSON *l = cJSON_GetObjectItemCaseSensitive(req, "list"), *mv = cJSON_GetObjectItemCaseSensitive(req, "move"),
	    *dr = cJSON_GetObjectItemCaseSensitive(req, "drilled"), *br = cJSON_GetObjectItemCaseSensitive(req, "breaker"),
	    *sc = cJSON_GetObjectItemCaseSensitive(req, "schedule");
	struct err e;
	char got[64];

	if (l && !cJSON_IsObject(l)) {
		err_field(&e, ERR_INVALID, "list", json_brief(l, got, sizeof got), "an object such as {\"state\":\"failed\"}");
		answer_error(a, NULL, &e);
	} else if (l) {
		list(a, l, house);
	} else if (mv && a->house) {
		move(a, mv, a->house);
	} else if (dr && a->house) {
		drilled(a, dr, a->house);
	} else if (out && a->house) {
		output(a, out);
	} else if (br && a->house) {
		set_breaker(a, br, a->house);
	} else if (cJSON_HasObjectItem(req, "breakers") && a->house) {
		breakers(a, a->house);
	} else if (sc && a->house) {
		set_schedule(a, sc, a->house);
	} else if (cJSON_HasObjectItem(req, "schedules") && a->house) {
		schedules(a, a->house);
	} else {
		show(a, req);
	}
}

void
request_message(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	enum config_kind kind = config_identity_kind(c->o.config, t->id);
	struct asker a = { .c = c, .house = house_find(c, t->name), .name = t->id, .m = m,
		.may_all = kind == IDENTITY_OPERATOR || kind == IDENTITY_SOVEREIGN };
	const char *p = m->payload, *end = p + m->len;
	struct reply_to own = { 0 };
	int left = REQUEST_LINES_MAX;
	struct err e;

	if (!a.house || !a.house->owned || a.house->place < 0)
		return;
	a.gate = a.house;
	/* One object a line, as with tasks. */
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);
		cJSON *req;

		if (len && !left--) {
			err_set(&e, ERR_TOO_BIG, "more than %d requests in a message; the rest was left out", REQUEST_LINES_MAX);
			answer_error(&a, NULL, &e);
			break;
		}
		req = len ? intake_parse(p, len, &e) : NULL;
		a.m = m;
		buf_clear(&own.correlation);
		/* To an address that is not his nobody is answered. */
		if (req)
			reply_to_take(c, req, t->id, &a.m, &own, NULL);
		if (req && t->kind == TOPIC_CANCEL)
			cancel(&a, req);
		else if (req)
			query(&a, req, t->name);
		else if (len)
			answer_error(&a, NULL, &e);
		cJSON_Delete(req);
		p += len + 1;
	}
	buf_free(&own.correlation);
}

static void
local_submit(struct asker *a, const cJSON *req)
{
	cJSON *task = cJSON_GetObjectItemCaseSensitive(req, "task");
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(task, "house"));
	struct core *c = a->c;
	struct house *h = house_find(c, name ? name : "_");
	struct err e;
	char *line;

	if (!cJSON_IsObject(task)) {
		err_field(&e, ERR_MISSING, "task", "nothing", "an object with the task");
		answer_error(a, NULL, &e);
		return;
	}
	if (name && !h && !config_house_find(c->o.config, name)) {
		err_field(&e, ERR_UNKNOWN_HOUSE, "house", name, "a house of the configuration");
		answer_error(a, NULL, &e);
		return;
	}
	line = cJSON_PrintUnformatted(task);
	intake_line(c, h && h->owned && !h->heir ? h : core_outer_house(c), c->o.agent, line, strlen(line), 0, NULL, a->conn);
	free(line);
}

static void
ping(struct asker *a, const cJSON *req)
{
	struct buf *b = answer(a, "pong");

	(void)req;
	json_kv_str(b, "agent", a->c->o.agent);
	json_kv_str(b, "version", a->c->o.version);
	json_kv_bool(b, "ready", a->c->ready);
	json_kv_bool(b, "connected", a->c->up);
	core_put_stress(a->c, b);
	out_end_line(b);
}

static void
health(struct asker *a, const cJSON *req)
{
	struct buf *b = out_local(a->c, NULL, a->conn);

	(void)req;
	core_health(a->c, a->c->draining ? "stopping" : "online", NULL, b);
	buf_addc(b, '\n');
}

static void
local_query(struct asker *a, const cJSON *req)
{
	query(a, req, NULL);
}

static void
put_signed(void *arg, const struct sovereign *s, const char *envelope)
{
	const struct asker *a = arg;
	struct buf *b = answer(a, "signed");

	json_kv_str(b, "kind", sovereign_kind_name(s->kind));
	json_kv_int(b, "n", s->n);
	json_kv_raw(b, "envelope", envelope, strlen(envelope));
	out_end_line(b);
}

static void
local_signed(struct asker *a, const cJSON *req)
{
	const char *envelope = json_text(req, "envelope");
	struct err e;
	struct buf *b;

	/* Who signed it counts, not who brings it. */
	if (*envelope && !signed_is_on(a->c))
		err_set(&e, ERR_WRONG_STATE, "no key is pinned here: sovereign_keys");
	if (*envelope && (!signed_is_on(a->c) || signed_take(a->c, envelope, strlen(envelope), &e))) {
		answer_error(a, NULL, &e);
		return;
	}
	signed_put(a->c, put_signed, a);
	b = answer(a, "end");
	json_kv_str(b, "agent", a->c->o.agent);
	out_end_line(b);
}

static struct house *
named_house(struct asker *a, const cJSON *req)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(req, "house"));
	struct house *h = name ? house_find(a->c, name) : NULL;
	struct err e;

	if (h && h->owned && !h->local)
		return h;
	if (h && h->term.n)
		err_set(&e, ERR_WRONG_STATE, "house %s is %s's: ask there", h->name, h->term.agent);
	else
		err_field(&e, ERR_UNKNOWN_HOUSE, "house", name, "a house that this agent owns");
	answer_error(a, NULL, &e);
	return NULL;
}

static void
local_move(struct asker *a, const cJSON *req)
{
	struct house *h = named_house(a, req);

	if (h)
		move(a, req, h);
}

static void
local_drilled(struct asker *a, const cJSON *req)
{
	struct house *h = named_house(a, req);

	if (h)
		drilled(a, req, h);
}

static struct buf *
audit_line(void *asker)
{
	return answer(asker, "audit_page");
}

/* Without a page or a time: which chain it is. */
static void
audit(struct asker *a, const cJSON *req)
{
	int64_t page = json_number(req, "page", 0), since_ms = json_number(req, "since", 0), next = 0;
	struct buf *b;

	if (page > 0 || since_ms > 0) {
		next = audit_answer(a->c, page, since_ms, audit_line, a);
	} else {
		b = answer(a, "audit");
		audit_put_chain(a->c, b);
		out_end_line(b);
	}
	b = answer(a, "end");
	if (next)
		json_kv_int(b, "next", next);
	out_end_line(b);
}

static int
read_question(const struct core *c, const cJSON *req, struct question *q, struct err *e)
{
	*q = (struct question){ .tool = json_text(req, "tool"), .house = json_text(req, "house"),
		.agent = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(req, "agent")),
		.params = cJSON_GetObjectItemCaseSensitive(req, "params") };
	if (!*q->tool || strlen(q->tool) >= sizeof ((struct task *)0)->tool_name)
		return err_field(e, ERR_INVALID, "tool", q->tool, "the name of a tool");
	if (strcmp(q->house, "_") != 0 && !config_house_find(c->o.config, q->house))
		return err_field(e, ERR_UNKNOWN_HOUSE, "house", q->house, "a house of the configuration");
	if (q->agent && config_identity_kind(c->o.config, q->agent) != IDENTITY_AGENT)
		return err_field(e, ERR_INVALID, "agent", q->agent, "an agent of the configuration");
	if (q->params && !cJSON_IsObject(q->params))
		return err_field(e, ERR_INVALID, "params", NULL, "an object");
	return 0;
}

static void
predict(struct asker *a, const cJSON *req)
{
	struct question q;
	struct buf *b;
	struct err e;

	if (read_question(a->c, req, &q, &e)) {
		answer_error(a, NULL, &e);
		return;
	}
	b = answer(a, "prediction");
	learn_put_prediction(a->c, b, &q);
	out_end_line(b);
}

static void
freeze(struct core *c)
{
	learn_freeze(c, true);
}

static void
thaw(struct core *c)
{
	learn_freeze(c, false);
}

static const struct {
	const char *what;
	void (*act)(struct core *c);    /* NULL: nothing */
	void (*put)(const struct core *c, struct buf *b);
} acts[] = {
	{ "report", NULL, learn_put_report },
	{ "show", NULL, learn_put_state },
	{ "freeze", freeze, learn_put_state },
	{ "thaw", thaw, learn_put_state },
	{ "reset", learn_reset, learn_put_state },
};

/* Without attempts: how far it has come. */
static void
import(struct asker *a, const cJSON *req)
{
	struct import i = { .source = json_text(req, "source"), .house = json_text(req, "house"),
		.after = json_number(req, "after", 0), .upto = json_number(req, "upto", 0),
		.attempts = cJSON_GetObjectItemCaseSensitive(req, "attempts") };
	struct err e = { 0 };
	struct buf *b;

	if (i.attempts && !config_house_find(a->c->o.config, i.house))
		err_field(&e, ERR_UNKNOWN_HOUSE, "house", i.house, "a house of the configuration");
	if (e.code || (i.attempts && learn_import(a->c, &i, &e))) {
		answer_error(a, NULL, &e);
		return;
	}
	b = answer(a, "intelligence");
	json_kv_str(b, "agent", a->c->o.agent);
	json_kv_int(b, "upto", learn_imported(a->c, i.source));
	out_end_line(b);
}

static void
intelligence(struct asker *a, const cJSON *req)
{
	const char *what = json_text(req, "do");
	struct buf *b;
	struct err e;

	if (strcmp(what, "import") == 0) {
		import(a, req);
		return;
	}
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		if (strcmp(acts[i].what, what) != 0)
			continue;
		if (acts[i].act)
			acts[i].act(a->c);
		b = answer(a, "intelligence");
		acts[i].put(a->c, b);
		out_end_line(b);
		return;
	}
	err_field(&e, ERR_INVALID, "do", what, "report, show, freeze, thaw, reset or import");
	answer_error(a, NULL, &e);
}

static const struct {
	const char *op;
	void (*run)(struct asker *a, const cJSON *req);
} ops[] = {
	{ "submit", local_submit },
	{ "cancel", cancel },
	{ "query", local_query },
	{ "ping", ping },
	{ "health", health },
	{ "audit", audit },
	{ "move", local_move },
	{ "drilled", local_drilled },
	{ "signed", local_signed },
	{ "predict", predict },
	{ "intelligence", intelligence },
};

void
core_local(struct core *c, uint64_t conn, const char *line, size_t len, const char *who)
{
	struct asker a = { .c = c, .name = who, .may_all = true, .conn = conn };
	struct err e;
	cJSON *req = intake_parse(line, len, &e);
	const char *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(req, "op"));

	if (!req) {
		answer_error(&a, NULL, &e);
		return;
	}
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (op && strcmp(ops[i].op, op) == 0) {
			ops[i].run(&a, req);
			cJSON_Delete(req);
			return;
		}
	err_field(&e, ERR_INVALID, "op", op, "submit, cancel, query, ping, health, audit, move, drilled, signed, predict or intelligence");
	answer_error(&a, NULL, &e);
	cJSON_Delete(req);
}
