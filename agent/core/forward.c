/*
 * forward.c - handing a task to the house that should have it: the router's work, and that of an agent
 * whose own user submits for another house.
 *
 * The hand-over is a state of the task: committed here, sent, and sent again until the house's owner says
 * accepted. The owner knows the task by its id, so a second copy is no second task. What has a key waits until the
 * copies are complete: the next router, if it did not know the task, would make another one of the same key, and that
 * may get to another house. So does what may be sent by what was learned: the next one has learned something else.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"
#include "triage.h"

#define FORWARD_RESEND_MS 5000
#define PUT_OFF_MAX_MS 3600000
#define AHEAD_MS 500                    /* for tasks that this one waits for to get there */
#define LOCAL_FIRST_MS 4000             /* without a broker */

static void
reply_address(const struct core *c, char out[TOPIC_MAX])
{
	topic_format(out, c->o.config->cluster, TOPIC_REPLY, c->o.agent, REPLY_TO_ROUTER);
}

static void
put_hex(struct buf *b, const char *p, size_t len)
{
	json_put_key(b, "correlation");
	buf_addc(b, '"');
	for (size_t i = 0; i < len; i++)
		buf_addf(b, "%02x", (unsigned char)p[i]);
	buf_addc(b, '"');
}

/* The body as it came, with id, with from when we speak for somebody, and with his reply address, or ours. */
static void
put_forward(struct buf *b, const struct core *c, const struct task *t)
{
	char id[ULID_TEXT], back[TOPIC_MAX];
	cJSON *tree = cJSON_ParseWithLength(t->body, t->body_len);
	bool ours = strcmp(t->sender, c->o.agent) == 0;

	for (const char *const *p = (const char *const[]){ "id", "from", "reply", "house", NULL }; *p; p++)
		cJSON_DeleteItemFromObjectCaseSensitive(tree, *p);
	ulid_format(&t->id, id);
	cJSON_AddStringToObject(tree, "id", id);
	if (!ours)
		cJSON_AddStringToObject(tree, "from", t->sender);
	json_put_tree(b, tree);
	cJSON_Delete(tree);
	if (!ours && !t->reply_topic)
		return;
	if (ours)
		reply_address(c, back);
	buf_cut(b, b->len - 1);
	json_put_key(b, "reply");
	json_put_open(b, '{');
	json_kv_str(b, "topic", ours ? back : t->reply_topic);
	if (!ours && t->correlation_len)
		put_hex(b, t->correlation, t->correlation_len);
	json_put_close(b, '}');
	json_put_close(b, '}');
}

/* Open there from now on. A later refusal can only mean a repeat that the house no longer remembers. */
static void
settled(struct core *c, struct task *t)
{
	struct buf *b;

	if (!t->finished_ms)
		t->house->open--;
	t->due_ms = 0;
	t->finished_ms = c->now.wall_ms;
	task_dirty(c, t);
	if (!lease_is_shared(t->house))
		return;
	b = out_task_event(c, t, "handed_over");
	out_end_line(b);
}

static bool
has_code(const cJSON *e, enum err_code code)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "code"));

	return text && strcmp(text, err_code_name(code)) == 0;
}

static void
put_off(struct core *c, struct task *t, int64_t ms)
{
	if (t->state != TASK_FORWARDED || t->finished_ms)
		return;
	t->due_ms = c->now.wall_ms + (ms < FORWARD_RESEND_MS ? FORWARD_RESEND_MS : ms > PUT_OFF_MAX_MS ? PUT_OFF_MAX_MS : ms);
	c->due_changed = true;
	task_dirty(c, t);
}

/* Who asks for what its house has forgotten asks because he has not heard how it ended; from the house he will not. */
static void
tell_forgotten(struct core *c, const struct task *t, const cJSON *e)
{
	char id[ULID_TEXT];
	struct buf *b;

	if (!t->reply_topic)
		return;
	b = out_reply(c, t->house, t->reply_topic, t->correlation, t->correlation_len);
	ulid_format(&t->id, id);
	json_put_open(b, '{');
	json_kv_str(b, "type", "rejected");
	json_kv_str(b, "id", id);
	json_put_key(b, "error");
	json_put_tree(b, e);
	out_end_line(b);
}

/* busy is no verdict: the task is sent again when the house says, and a copy that is on its way may find room. That the
 * house forgot it, or refuses what it had accepted, means that it may have ended there in any way; who has the house to
 * tell him is not told more by us. */
static void
refused(struct core *c, struct task *t, const cJSON *e)
{
	const char *message = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "message"));
	bool ours = strcmp(t->sender, c->o.agent) == 0;
	struct err why;

	err_set(&why, ERR_DENIED, "house %s refused it: %.300s", t->forward, message ? message : "no reason given");
	if (has_code(e, ERR_BUSY)) {
		put_off(c, t, json_number(e, "retry_after_s", 0) * 1000);
		return;
	}
	if (t->finished_ms && !ours) {
		if (has_code(e, ERR_STALE))
			tell_forgotten(c, t, e);
		settled(c, t);
	} else if (t->finished_ms || has_code(e, ERR_STALE)) {
		attempt_finish(c, t, TASK_UNCERTAIN, &why);
	} else {
		attempt_finish(c, t, TASK_FAILED, &why);
	}
}

static void
refused_for(struct core *c, struct task *t, const struct err *e)
{
	struct buf b = { 0 };
	cJSON *o;

	json_put_err(&b, e);
	o = cJSON_ParseWithLength(b.data, b.len);
	refused(c, t, o);
	cJSON_Delete(o);
	buf_free(&b);
}

/* The house is ours too. */
static void
hand_over_here(struct core *c, struct house *h, struct task *t)
{
	struct buf line = { 0 };
	struct err e;
	bool refusal;

	put_forward(&line, c, t);
	refusal = intake_handed(c, h, t, line.data, line.len, &e);
	if (t->state == TASK_FORWARDED && refusal)
		refused_for(c, t, &e);
	else if (t->state == TASK_FORWARDED)
		settled(c, t);
	buf_free(&line);
}

static void
send_forward(struct core *c, struct task *t)
{
	char topic[TOPIC_MAX], back[TOPIC_MAX];
	struct house *own = house_find(c, t->forward);
	bool waits = (t->key || t->mode == MODE_INTELLIGENT) && out_is_gated(t->house);
	struct buf *b;

	if (t->state == TASK_FORWARDED && after_is_ahead(c, t)) {
		t->due_ms = c->now.wall_ms + AHEAD_MS;
		c->due_changed = true;
		task_dirty(c, t);
		return;
	}
	if (own && own->owned && !own->heir && !waits) {
		hand_over_here(c, own, t);
		return;
	}
	topic_format(topic, c->o.config->cluster, TOPIC_TASK, t->forward, c->o.agent);
	reply_address(c, back);
	b = waits ? out_gated_line(c, t->house, topic, back) : out_line(c, topic, back, NULL, 0);
	put_forward(b, c, t);
	buf_addc(b, '\n');
	/* Without a link it was not sent, and goes as soon as there is one. */
	if (t->state == TASK_FORWARDED)
		t->due_ms = IS_MUTANT(MUTANT_NO_RESEND) ? 0 : c->now.wall_ms + (c->up ? FORWARD_RESEND_MS : 0);
	c->due_changed = true;
	task_dirty(c, t);
}

void
forward_again(struct core *c, struct task *t)
{
	if (t->state == TASK_FORWARDED && t->due_ms && t->forward)
		send_forward(c, t);
}

void
forward_repeat(struct core *c, struct task *t)
{
	send_forward(c, t);
}

/* Followers keep a copy until they hear that it is answered; the body is what was sent. */
static void
put_hash(struct buf *b, const struct task *t)
{
	char text[20];

	if (!lease_is_shared(t->house))
		return;
	snprintf(text, sizeof text, "%016llx", (unsigned long long)seen_hash(t->body, t->body_len));
	json_kv_str(b, "hash", text);
	json_kv_str(b, "from", t->sender);
}

static void
tell_forwarded(struct core *c, struct task *t, const char *why)
{
	struct buf *b = out_task_event(c, t, "forwarded");

	json_kv_str(b, "sender", t->sender);
	json_kv_str(b, "to", t->forward);
	json_kv_str(b, "why", why);
	if (t->instead)
		json_kv_str(b, "instead_of", t->instead);
	put_hash(b, t);
	stream_put_task(b, t);
	out_end_line(b);
}

static uint64_t
hash_id(const struct ulid *id)
{
	uint64_t h;

	memcpy(&h, id->b + 8, sizeof h);
	return h;
}

/* Tasks that wait for each other are in one house. */
static const char *
with_others(struct core *c, const struct task *t, const cJSON *tree)
{
	struct task_msg m;

	return task_msg_read(tree, &m, NULL) ? NULL : after_house(c, t->house, &m, NULL);
}

/* A task that comes here for the first time is new to all: no router before us sent it, none after us will anew. */
static bool
would_know(struct house *router)
{
	return !lease_is_shared(router) || (out_is_gated(router) && !router->doubt_ms);
}

/* No rule speaks for it. */
static const struct config_house *
by_chance(struct core *c, struct task *t, const char **why)
{
	const struct config_house *usual = triage_evenly(c->o.config, hash_id(&t->id)), *h;

	*why = "no rule speaks for it: spread evenly";
	if (!usual)
		return NULL;
	h = would_know(t->house) ? learn_house(c, t, usual) : usual;
	t->instead = h == usual ? NULL : usual->name;
	if (t->instead)
		*why = "no rule speaks for it: by a draw of the chances";
	return h;
}

/* Where the task should go: as it says itself (a local user names a house we do not own), or as the
 * router finds. NULL: it stays. */
static const char *
target(struct core *c, struct task *t, const cJSON *tree, const char **why)
{
	const char *named = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "house"));
	const struct config_house *h;
	const char *with;

	if (!t->house->local && strcmp(t->house->name, "_") != 0)
		return NULL;
	h = named ? config_house_find(c->o.config, named) : NULL;
	*why = h ? "the sender named it" : "the router decides";
	if (!h && t->house->local)
		return "_";
	if (!h && t->nafter && (with = with_others(c, t, tree))) {
		*why = "those that it waits for are there";
		return with;
	}
	if (!h)
		h = triage(c->o.config, t->tool_name, cJSON_GetObjectItemCaseSensitive(tree, "params"), why);
	if (!h)
		h = by_chance(c, t, why);
	return h ? h->name : NULL;
}

/* A house has accepted it before. */
static bool
is_known(struct core *c, const struct task *t)
{
	for (int i = 0; i < c->nhouses; i++)
		if (&c->houses[i] != t->house && task_by_id(c, &c->houses[i], &t->id))
			return true;
	return false;
}

/* Our own user's, while nobody can be reached: what does no harm twice need not wait for its house. */
static bool
may_run_here(struct core *c, const struct task *t, const char *to)
{
	return t->house->local && !c->up && t->tool->effect != TOOL_EXCLUSIVE && !t->key && !t->nafter &&
	    t->mode != MODE_SOVEREIGN &&
	    c->now.mono_ms - c->down_mono_ms > LOCAL_FIRST_MS && !is_known(c, t) &&
	    approval_is_free(c, t, to) && !signed_halt(c, to, t->tool_name);
}

/* The house that is meant, of a task that may run here instead. */
void
forward_house(struct core *c, struct task *t, char house[NAME_MAX_LEN + 1])
{
	cJSON *tree = t->house->local ? cJSON_ParseWithLength(t->body, t->body_len) : NULL;
	const char *why, *to = tree ? target(c, t, tree, &why) : NULL;

	snprintf(house, NAME_MAX_LEN + 1, "%s", to ? to : t->house->name);
	cJSON_Delete(tree);
}

bool
forward_if_elsewhere(struct core *c, struct task *t, const cJSON *tree)
{
	const char *why = "", *to = target(c, t, tree, &why);

	if (!to || may_run_here(c, t, to))
		return false;
	t->forward = xstrdup(to);
	task_enter(c, t, TASK_FORWARDED);
	tell_forwarded(c, t, why);
	send_forward(c, t);
	return true;
}

/* How it ended there, told to our own user; also later, when somebody decided what was uncertain. */
static void
ended(struct core *c, struct task *t, const cJSON *o)
{
	const char *state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "state"));
	enum task_state to;

	if (strcmp(t->sender, c->o.agent) != 0 || !state || task_state_parse(state, &to) || !task_may_enter(t->state, to))
		return;
	if (!task_state_is_terminal(to) && to != TASK_UNCERTAIN)
		return;
	attempt_take_outcome(t, o);
	attempt_finish(c, t, to, NULL);
}

static void
answered(struct core *c, struct task *t, const char *type, const cJSON *o)
{
	if (strcmp(type, "outcome") == 0)
		ended(c, t, o);
	else if (t->state == TASK_FORWARDED && strcmp(type, "accepted") == 0)
		settled(c, t);
	else if (t->state == TASK_FORWARDED && strcmp(type, "rejected") == 0)
		refused(c, t, cJSON_GetObjectItemCaseSensitive(o, "error"));
}

/* The house answers: it has the task, it refuses it, or (for our own user) it is done. We may have handed it to the
 * router, and then have become the router ourselves: what the router says is not for its own row. */
static void
take_reply(struct core *c, const cJSON *o)
{
	const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "type"));
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "sent_id"));
	const char *state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "state"));
	struct house *both[] = { core_outer_house(c), house_find(c, "_") };
	struct ulid id;
	struct task *t;

	/* Its key may be that of a task that the house has under another id. */
	if (!text)
		text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "id"));
	if (!type || !text || !ulid_parse(text, &id))
		return;
	for (int i = 0; i < 2; i++) {
		if (!both[i]->owned || (i && state && strcmp(state, "forwarded") == 0))
			continue;
		t = task_by_id(c, both[i], &id);
		if (t && t->forward)
			answered(c, t, type, o);
	}
}

void
forward_reply(struct core *c, const struct mqtt_msg *m)
{
	const char *p = m->payload, *end = p + m->len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);
		cJSON *o = len ? json_parse_object(p, len, NULL) : NULL;

		if (o)
			take_reply(c, o);
		cJSON_Delete(o);
		p += len + 1;
	}
}
