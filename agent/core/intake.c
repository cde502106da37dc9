/*
 * intake.c - a line that somebody sent becomes a task, the same task again, or a refusal.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "shape.h"
#include "state.h"

/* Tasks and their results are put inside events, whose readers stop at JSON_MAX_DEPTH. */
#define HELD_MAX (64u << 20)            /* answers that wait for copies */
#define DOUBT_MS 60000                  /* how far clocks may differ, when it is asked what was before what */
#define TASK_MAX_DEPTH (JSON_MAX_DEPTH - 8)

/* One line on its way in. */
struct intake {
	struct core *c;
	struct house *house;
	const char *sender;             /* proved by the topic or the socket */
	const char *line;
	size_t len;
	int nline;                      /* 0: the payload is this one task */
	const struct mqtt_msg *m;       /* NULL: local */
	uint64_t conn;
	cJSON *tree;
	struct task_msg msg;
	const struct tool *tool;
	uint64_t shape;                 /* of the parameters, before defaults come to them */
	bool routed;                    /* the router speaks for msg.from */
	struct task *handed;            /* the router's own, and the router is we; NULL: another way */
	struct buf correlation;         /* of msg.reply */
	struct reply_to own;            /* the sender's address, if it stands in the payload */
};

static bool
wants_reply(const struct intake *in)
{
	return in->conn || (in->m && in->m->response_topic);
}

static struct buf *
reply(const struct intake *in, const char *type)
{
	struct buf *b = in->conn ? out_local(in->c, in->house, in->conn) :
	    out_reply(in->c, in->house, in->m->response_topic, in->m->correlation, in->m->correlation_len);

	json_put_open(b, '{');
	json_kv_str(b, "type", type);
	if (in->nline)
		json_kv_int(b, "line", in->nline);
	return b;
}

static void
record_reject(const struct intake *in, const char *id, const struct err *e)
{
	struct reject *r;

	/* No more of them would stay anyway. */
	if (in->c->nrejects >= in->c->o.config->keep_rejected)
		return;
	in->c->nrejects++;
	r = xcalloc(1, sizeof *r);
	snprintf(r->house, sizeof r->house, "%s", in->house->name);
	snprintf(r->sender, sizeof r->sender, "%s", in->sender);
	snprintf(r->id, sizeof r->id, "%s", id ? id : "");
	buf_add(&r->payload, in->line, in->len > 1024 ? 1024 : in->len);
	json_put_err(&r->error, e);
	r->next = in->c->rejects;
	in->c->rejects = r;
}

/* By which followers know what was answered: see seen.c. */
static void
put_hash(struct buf *b, const struct intake *in)
{
	char text[20];

	if (!in->m || !lease_is_shared(in->house))
		return;
	snprintf(text, sizeof text, "%016llx", (unsigned long long)seen_hash(in->line, in->len));
	json_kv_str(b, "hash", text);
	json_kv_str(b, "from", in->sender);
}

static void
refuse(const struct intake *in, const struct err *e)
{
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(in->tree, "id"));
	struct buf *b = out_event(in->c, in->house, "rejected");

	if (id && strlen(id) >= ULID_TEXT)
		id = NULL;
	in->c->rejected++;
	json_kv_str(b, "sender", in->sender);
	if (id)
		json_kv_str(b, "id", id);
	if (in->nline)
		json_kv_int(b, "line", in->nline);
	put_hash(b, in);
	json_put_key(b, "error");
	json_put_err(b, e);
	out_end_line(b);
	record_reject(in, id, e);
	if (!wants_reply(in))
		return;
	b = reply(in, "rejected");
	if (id)
		json_kv_str(b, "id", id);
	json_put_key(b, "error");
	json_put_err(b, e);
	out_end_line(b);
}

static void
put_accepted(const struct core *c, struct buf *b, const struct house *h, const struct task *t, bool duplicate)
{
	char id[ULID_TEXT];

	ulid_format(&t->id, id);
	json_kv_str(b, "id", id);
	json_kv_str(b, "house", task_house_name(t));
	json_kv_str(b, "state", task_state_name(t->state));
	json_kv_int(b, "copies", copies_count(t->house && t->house->local ? t->house : h));
	if (duplicate)
		json_kv_bool(b, "duplicate", true);
	signed_put_halted(c, b, t);
}

static void
reply_accepted(const struct intake *in, const struct task *t, bool duplicate)
{
	char id[ULID_TEXT];
	struct buf *b;

	if (!wants_reply(in))
		return;
	b = reply(in, "accepted");
	put_accepted(in->c, b, in->house, t, duplicate);
	if (in->msg.has_id && !ulid_equal(&in->msg.id, &t->id)) {
		ulid_format(&in->msg.id, id);
		json_kv_str(b, "sent_id", id);
	}
	out_end_line(b);
}

/* The router said accepted when it had the task. Now its sender hears from the house, with the state there. */
static void
tell_asker(const struct intake *in, const struct task *t)
{
	struct buf *b;

	if (!in->routed || !t->reply_topic)
		return;
	b = out_reply(in->c, t->house, t->reply_topic, t->correlation, t->correlation_len);
	json_put_open(b, '{');
	json_kv_str(b, "type", "accepted");
	put_accepted(in->c, b, t->house, t, false);
	out_end_line(b);
}

/* The same task, however its members are ordered; the id does not count, for a key may stand for it, nor
 * where it was sent, nor in which trace. */
static bool
same_body(const struct intake *in, const struct task *t)
{
	cJSON *old, *new;
	bool same;

	if (t->body_len == in->len && memcmp(t->body, in->line, in->len) == 0)
		return true;
	old = cJSON_ParseWithLength(t->body, t->body_len);
	new = cJSON_Duplicate(in->tree, true);
	for (const char *const *p = (const char *const[]){ "id", "from", "reply", "house", "traceparent", NULL }; *p; p++) {
		cJSON_DeleteItemFromObjectCaseSensitive(old, *p);
		cJSON_DeleteItemFromObjectCaseSensitive(new, *p);
	}
	same = old && cJSON_Compare(old, new, true);
	cJSON_Delete(old);
	cJSON_Delete(new);
	return same;
}

/* The router is we, and whoever waits for its task now waits for ours. */
static void
take_askers(struct task *t, struct task *from)
{
	if (from->conn)
		t->conn = from->conn;
	if (from->reply_topic)
		task_reply_to(t, from->reply_topic, from->correlation, from->correlation_len);
	from->conn = 0;
}

/* Where the outcome goes: to whoever asks, or to him for whom the router asks. */
static void
set_reply(struct intake *in, struct task *t)
{
	if (in->conn) {
		t->conn = in->conn;
	} else if (in->handed && !in->routed) {
		take_askers(t, in->handed);
	} else if (in->routed) {
		task_reply_to(t, in->msg.reply_topic, in->correlation.data, in->correlation.len);
	} else if (in->m) {
		task_reply_to(t, in->m->response_topic, in->m->correlation, in->m->correlation_len);
	}
}

static void
reply_outcome_handed(struct intake *in, const struct task *t)
{
	struct task *from = in->handed;

	if (from->conn)
		attempt_reply_outcome(out_local(in->c, in->house, from->conn), t);
	if (from->reply_topic)
		attempt_reply_outcome(out_reply(in->c, in->house, from->reply_topic, from->correlation, from->correlation_len), t);
	from->conn = 0;
}

static void
reply_outcome(struct intake *in, const struct task *t)
{
	if (in->handed && !in->routed)
		reply_outcome_handed(in, t);
	else if (!in->routed)
		attempt_reply_outcome(in->conn ? out_local(in->c, in->house, in->conn) :
		    out_reply(in->c, in->house, in->m->response_topic, in->m->correlation, in->m->correlation_len), t);
	else if (in->msg.reply_topic)
		attempt_reply_outcome(out_reply(in->c, in->house, in->msg.reply_topic, in->correlation.data,
		    in->correlation.len), t);
}

/* Followers wait for an answer to their copy of it. */
static void
tell_repeated(const struct intake *in, struct task *t)
{
	char id[ULID_TEXT];
	struct buf *b;

	if (!in->m || !lease_is_shared(in->house))
		return;
	ulid_format(&t->id, id);
	b = out_event(in->c, in->house, "repeated");
	json_kv_str(b, "task", id);
	put_hash(b, in);
	out_end_line(b);
}

/* Somebody asks again: he wants the outcome, and where to send it may have changed. */
static void
answer_again(struct intake *in, struct task *t)
{
	in->c->duplicates++;
	tell_repeated(in, t);
	reply_accepted(in, t, true);
	if (!wants_reply(in) && !in->handed)
		return;
	if (task_state_is_terminal(t->state) || t->state == TASK_UNCERTAIN) {
		reply_outcome(in, t);
		/* Meanwhile the house may know. */
		if (t->state == TASK_UNCERTAIN && t->forward)
			forward_repeat(in->c, t);
		return;
	}
	set_reply(in, t);
	task_dirty(in->c, t);
	if (t->state == TASK_FORWARDED)
		forward_repeat(in->c, t);
}

/* Our own user's task may have run here, outside of its house, while nobody could be reached. */
static struct task *
find_own(const struct intake *in)
{
	struct task *t = in->conn ? task_by_id(in->c, core_outer_house(in->c), &in->msg.id) : NULL;

	return t && !t->forward ? t : NULL;
}

/* 1: it is one we have, and was answered; 0: new; -1: refused. */
static int
check_repeat(struct intake *in, struct err *e)
{
	struct core *c = in->c;
	struct task *t = NULL;
	const char *what = "id", *owner = in->routed ? in->msg.from : in->sender;
	char got[ULID_TEXT];

	if (in->msg.has_id && !IS_MUTANT(MUTANT_NO_DEDUPE))
		t = task_by_id(c, in->house, &in->msg.id);
	if (!t && in->msg.has_id)
		t = find_own(in);
	if (!t && in->msg.key && !IS_MUTANT(MUTANT_NO_KEYS)) {
		what = "key";
		if (task_by_key(c, in->house, owner, in->msg.key, &t) && !t)
			return err_field(e, ERR_STALE, "key", in->msg.key, "a new key: the task of this one was already forgotten");
	}
	if (t && strcmp(t->sender, owner) != 0)
		return err_field(e, ERR_CONFLICT, what, "one that another sender used", "an id of your own");
	if (t && !same_body(in, t))
		return err_field(e, ERR_CONFLICT, what, "another task under the same one",
		    "the same task again, or a new %s", what);
	if (t) {
		answer_again(in, t);
		return 1;
	}
	if (in->msg.has_id && ulid_time_ms(&in->msg.id) <= c->pruned_id_ms && !IS_MUTANT(MUTANT_NO_STALE)) {
		ulid_format(&in->msg.id, got);
		return err_field(e, ERR_STALE, "id", got, "an id younger than what was already forgotten; submit it anew");
	}
	return 0;
}

static int
check_trace(const struct task_msg *m, struct err *e)
{
	if (!*m->traceparent || trace_is_valid(m->traceparent))
		return 0;
	return err_field(e, ERR_INVALID, "traceparent", m->traceparent,
	    "one of W3C Trace Context, such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
}

static int
check_tool(struct intake *in, struct err *e)
{
	cJSON *params = in->msg.params;
	char got[24];

	in->tool = registry_find(in->c->o.tools, in->msg.tool);
	if (!in->tool)
		return err_field(e, ERR_UNKNOWN_TOOL, "tool", in->msg.tool,
		    "the name of a tool; `uni-wizard tool list` shows them");
	in->shape = shape_of(params);
	if (!params)
		params = in->msg.params = cJSON_AddObjectToObject(in->tree, "params");
	if (registry_check(in->c->o.tools, in->tool, params, e))
		return -1;
	if (in->m && in->m->retained && !in->msg.has_id && !in->msg.key)
		return err_field(e, ERR_ID_REQUIRED, "id", "nothing",
		    "an id or key, since a retained message comes again at every reconnect");
	if (in->tool->effect == TOOL_EXCLUSIVE && !in->msg.has_id && !in->msg.key)
		return err_field(e, ERR_ID_REQUIRED, "id", "nothing",
		    "an id or key, since %s must not run twice if the message comes twice", in->tool->name);
	if (in->msg.timeout_s <= in->house->timeout_cap_s)
		return 0;
	snprintf(got, sizeof got, "%lld", (long long)in->msg.timeout_s);
	return err_field(e, ERR_INVALID, "timeout_s", got, "at most %lld seconds in house %s",
	    (long long)in->house->timeout_cap_s, in->house->name);
}

/* A task for the router may name its house itself. */
static int
check_house(const struct intake *in, struct err *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(in->tree, "house");
	char got[64];

	if (!v || cJSON_IsNull(v) || (!in->house->local && strcmp(in->house->name, "_") != 0))
		return 0;
	if (cJSON_IsString(v) &&
	    (strcmp(v->valuestring, "_") == 0 || config_house_find(in->c->o.config, v->valuestring)))
		return 0;
	return err_field(e, cJSON_IsString(v) ? ERR_UNKNOWN_HOUSE : ERR_INVALID, "house", json_brief(v, got, sizeof got),
	    "a house of the configuration");
}

int
intake_room(const struct core *c, const struct house *h, struct err *e)
{
	if (c->disk_low)
		return err_busy(e, 30, "the agent's disk is nearly full");
	if (h->held_bytes > HELD_MAX)
		return err_busy(e, 5, "house %s waits for its copies with %zu bytes of answers", h->name, h->held_bytes);
	if (h->open >= c->o.config->max_queued)
		return err_busy(e, 5, "house %s has %lld open tasks, its limit", h->name, (long long)h->open);
	return 0;
}

static bool
is_late(const struct intake *in)
{
	return in->msg.deadline_ms && in->msg.deadline_ms <= in->c->now.wall_ms;
}

/* Another agent has accepted it already, and may send it again, or we have, and have sent it: it is not refused for a
 * reason that a clock set back would take away, or one copy would be refused and the next one run. */
static bool
is_handed_on(const struct intake *in)
{
	return in->handed ||
	    (in->m && (in->routed || config_identity_kind(in->c->o.config, in->sender) == IDENTITY_AGENT));
}

/* A schedule's: its id has the time that it is for. */
static bool
is_ours(const struct intake *in)
{
	return !in->m && !in->conn && !in->handed;
}

static int
check_time(const struct intake *in, struct err *e)
{
	int64_t now = in->c->now.wall_ms;

	if (in->msg.has_id && ulid_time_ms(&in->msg.id) > now + 86400000 && !is_ours(in))
		return err_field(e, ERR_INVALID, "id", NULL,
		    "a ULID whose time is not more than a day ahead; check the sender's clock");
	if (is_late(in) && !is_handed_on(in))
		return err_field(e, ERR_INVALID, "deadline", NULL, "a time in the future");
	return 0;
}

/* Only the router may speak for somebody else, and only with an address of that somebody's. */
static int
check_router(struct intake *in, struct err *e)
{
	const struct config_names *routers = &in->c->o.config->router;

	if (!in->msg.from[0])
		return 0;
	in->routed = in->handed || (in->m && config_names_has(routers, in->sender));
	if (!in->routed)
		return err_field(e, ERR_DENIED, "from", in->msg.from, "nothing: only the router speaks for others");
	if (in->msg.reply_topic && !out_reply_allowed(in->c, in->msg.reply_topic, in->msg.from))
		return err_field(e, ERR_DENIED, "reply.topic", in->msg.reply_topic, "uw/%s/client/%s/reply/<any>",
		    in->c->o.config->cluster, in->msg.from);
	return reply_to_correlation(in->msg.reply_correlation, &in->correlation, e);
}

/* Kept as it was written, on one line: line ends cannot stand inside of strings. */
static void
set_body(struct intake *in, struct task *t)
{
	t->body = xstrndup(in->line, in->len);
	t->body_len = in->len;
	for (char *p = t->body; (p = strpbrk(p, "\r\n"));)
		*p++ = ' ';
}

/* Somebody who foresees our random numbers must not be able to take an id beforehand. */
static void
new_id(struct core *c, const struct house *h, struct ulid *id)
{
	do
		core_new_id(c, id);
	while (task_by_id(c, h, id));
}

static struct task *
make_task(struct intake *in)
{
	struct core *c = in->c;
	struct task *t = task_new(c, in->house);
	const struct task_msg *m = &in->msg;

	t->seq = ++c->last_seq;
	if (m->has_id)
		t->id = m->id;
	else
		new_id(c, in->house, &t->id);
	t->tool = in->tool;
	t->quick = in->tool->flags & TOOL_QUICK;
	t->shape = in->shape;
	memcpy(t->tool_name, m->tool, sizeof t->tool_name);
	memcpy(t->traceparent, m->traceparent, sizeof t->traceparent);
	snprintf(t->sender, sizeof t->sender, "%s", in->routed ? m->from : in->sender);
	t->priority = (unsigned char)m->priority;
	t->mode = (unsigned char)m->mode;
	t->timeout_s = (int)m->timeout_s;
	t->retry_max = (short)m->retry_max;
	t->retry_base_s = (int)m->retry_base_s;
	t->retry_cap_s = (int)m->retry_cap_s;
	t->nafter = (unsigned char)m->nafter;
	/* One that it waits for may end in this turn, before the rows are there. */
	c->has_waits |= t->nafter > 0;
	t->deadline_ms = m->deadline_ms;
	t->accepted_ms = c->now.wall_ms;
	t->key = m->key ? xstrdup(m->key) : NULL;
	set_reply(in, t);
	set_body(in, t);
	t->params = task_params_text(m->params);
	task_track(c, t);
	task_dirty(c, t);
	if (t->key)
		task_note_key(c, t);
	in->house->open++;
	c->accepted++;
	return t;
}

static void
tell_accepted(struct intake *in, struct task *t)
{
	struct buf *b = out_task_event(in->c, t, "accepted");

	json_kv_str(b, "sender", t->sender);
	put_hash(b, in);
	stream_put_task(b, t);
	out_end_line(b);
}

static void
tell_scheduled(struct core *c, struct task *t)
{
	struct buf *b = out_task_event(c, t, "scheduled");

	if (t->due_ms)
		json_kv_time(b, "not_before", t->due_ms);
	out_end_line(b);
}

/* The house was taken over from an owner who may have had it already. */
static bool
may_have_run(const struct intake *in)
{
	int64_t doubt = in->house->doubt_ms;

	return doubt && (in->msg.has_id ? ulid_time_ms(&in->msg.id) < doubt + DOUBT_MS : in->msg.key != NULL);
}

static void
place(struct intake *in, struct task *t)
{
	struct core *c = in->c;

	if (!approval_place(c, t)) {
		after_place(c, t, in->msg.not_before_ms);
		if (t->state == TASK_SCHEDULED)
			tell_scheduled(c, t);
	}
	if (may_have_run(in))
		attempt_doubt(c, t);
}

static int
depth(const cJSON *v)
{
	const cJSON *m;
	int deepest = 0;

	cJSON_ArrayForEach(m, v) {
		int n = cJSON_IsObject(m) || cJSON_IsArray(m) ? depth(m) : 0;

		deepest = n > deepest ? n : deepest;
	}
	return deepest + 1;
}

cJSON *
intake_parse(const char *text, size_t len, struct err *e)
{
	cJSON *tree = json_parse_object(text, len, e);

	if (!tree && !e->field[0])
		snprintf(e->field, sizeof e->field, "payload");
	return tree;
}

static int
too_big(const struct intake *in, struct err *e)
{
	char got[24];

	snprintf(got, sizeof got, "%zu", in->len);
	return err_field(e, ERR_TOO_BIG, "task", got, "at most %lld bytes", (long long)in->c->o.config->max_task_bytes);
}

static int
admit(struct intake *in, struct err *e)
{
	struct task *t;
	int rc;

	if (in->len > (size_t)in->c->o.config->max_task_bytes)
		return too_big(in, e);
	in->tree = intake_parse(in->line, in->len, e);
	if (in->tree && depth(in->tree) > TASK_MAX_DEPTH)
		return err_set(e, ERR_TOO_BIG, "a task nested more than %d deep", TASK_MAX_DEPTH);
	if (!in->tree || reply_to_take(in->c, in->tree, in->sender, &in->m, &in->own, e) ||
	    task_msg_read(in->tree, &in->msg, e) || check_trace(&in->msg, e) || check_router(in, e))
		return -1;
	if ((rc = check_repeat(in, e)))
		return rc < 0 ? -1 : 0;
	if (check_house(in, e) || check_tool(in, e) || check_time(in, e) || intake_room(in->c, in->house, e) ||
	    (!is_ours(in) && stress_room(in->c, in->house, (int)in->msg.priority, e)) ||
	    after_admit(in->c, in->house, &in->msg, in->tree, e) ||
	    approval_admit(in->c, in->house, in->tool, in->routed ? in->msg.from : in->sender, in->msg.mode, e))
		return -1;
	t = make_task(in);
	if (forward_if_elsewhere(in->c, t, in->tree)) {
		reply_accepted(in, t, false);
		return 0;
	}
	tell_accepted(in, t);
	place(in, t);
	reply_accepted(in, t, false);
	tell_asker(in, t);
	if (is_late(in))
		attempt_expire(in->c, t);
	return 0;
}

void
intake_line(struct core *c, struct house *h, const char *sender, const char *line, size_t len, int nline,
    const struct mqtt_msg *m, uint64_t conn)
{
	struct intake in = { .c = c, .house = h, .sender = sender, .line = line, .len = len, .nline = nline,
		.m = m, .conn = conn };
	struct err e;

	if (admit(&in, &e))
		refuse(&in, &e);
	cJSON_Delete(in.tree);
	buf_free(&in.correlation);
	buf_free(&in.own.correlation);
}

int
intake_own(struct core *c, struct house *h, const char *sender, const char *line, size_t len, struct err *e)
{
	struct intake in = { .c = c, .house = h, .sender = sender, .line = line, .len = len };
	int rc = admit(&in, e);

	if (rc)
		refuse(&in, e);
	cJSON_Delete(in.tree);
	buf_free(&in.correlation);
	buf_free(&in.own.correlation);
	return rc;
}

int
intake_check(struct core *c, struct house *h, const char *sender, const cJSON *task, struct err *e)
{
	struct intake in = { .c = c, .house = h, .sender = sender, .tree = cJSON_Duplicate(task, true) };
	int rc;

	if (depth(in.tree) > TASK_MAX_DEPTH)
		rc = err_set(e, ERR_TOO_BIG, "a task nested more than %d deep", TASK_MAX_DEPTH);
	else
		rc = task_msg_read(in.tree, &in.msg, e);
	in.msg.has_id = true;
	if (!rc && (check_tool(&in, e) || approval_admit(c, h, in.tool, sender, in.msg.mode, e)))
		rc = -1;
	cJSON_Delete(in.tree);
	return rc;
}

int
intake_handed(struct core *c, struct house *h, struct task *t, const char *line, size_t len, struct err *e)
{
	struct intake in = { .c = c, .house = h, .sender = c->o.agent, .line = line, .len = len, .handed = t };
	int rc = admit(&in, e);

	cJSON_Delete(in.tree);
	buf_free(&in.correlation);
	return rc;
}

void
intake_refuse(struct core *c, struct house *h, const char *sender, const char *payload, size_t len,
    const struct mqtt_msg *m, uint64_t conn, const struct err *e)
{
	struct intake in = { .c = c, .house = h, .sender = sender, .line = payload, .len = len, .m = m, .conn = conn };

	refuse(&in, e);
}
