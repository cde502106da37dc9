/*
 * stream.c - following the stream of a house that another agent owns, and getting in step with it.
 *
 * A follower applies the owner's events in the order of their numbers. When one is missing, or the owner has
 * changed, it asks for what it lacks: its row of a task knows the number of the task's last event, so "all that
 * changed since" is a query, however much was missed. Numbers go on from owner to owner, and both sides know which
 * term began after which number; so they find the last event that they have in common. What a follower has beyond it,
 * from a term that came to nothing, it first offers to the owner, who takes what he does not know.
 */
#include <string.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "state.h"

#define ANSWER_MS 3000          /* for each step of getting in step */
#define LAG_MS 3000             /* the owner is ahead, and nothing comes: something was lost */
#define BATCH 256               /* rows in a message */
#define USES_MAX 5000                   /* of grants, told to a new follower */
#define TERMS_MAX 64

/* ---- whose events are whose ---- */

void
stream_add_term(struct house *h, const struct term *t, int64_t base)
{
	if (h->nterms == TERMS_MAX)
		memmove(h->terms, h->terms + 1, (size_t)--h->nterms * sizeof *h->terms);
	if (!h->terms)
		h->terms = xcalloc(TERMS_MAX, sizeof *h->terms);
	h->terms[h->nterms++] = (struct term_base){ .term = *t, .base = base };
	h->terms_changed = true;
}

bool
stream_knows_term(const struct house *h, const struct term *t)
{
	for (int i = h->nterms - 1; i >= 0; i--)
		if (term_equal(&h->terms[i].term, t))
			return true;
	return !t->n;
}

/* Only what is known of the events up to n. */
static void
cut_terms(struct house *h, int64_t n)
{
	while (h->nterms && h->terms[h->nterms - 1].base >= n)
		h->nterms--;
	h->log = h->nterms ? h->terms[h->nterms - 1].term : (struct term){ 0 };
	h->terms_changed = true;
}

static void
put_terms(struct buf *b, const struct house *h)
{
	json_put_key(b, "terms");
	json_put_open(b, '[');
	for (int i = 0; i < h->nterms; i++) {
		json_put_open(b, '{');
		term_put(b, "term", &h->terms[i].term);
		json_kv_int(b, "base", h->terms[i].base);
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
}

void
core_put_terms(struct core *c, const char *house, struct buf *b)
{
	const struct house *h = house_find(c, house);
	char text[TERM_TEXT];

	json_put_open(b, '[');
	for (int i = 0; h && i < h->nterms; i++) {
		term_format(&h->terms[i].term, text);
		json_put_str(b, text);
	}
	json_put_close(b, ']');
}

static int
read_terms(const cJSON *list, struct term_base out[TERMS_MAX])
{
	const cJSON *v;
	int n = 0;

	cJSON_ArrayForEach(v, list) {
		if (n < TERMS_MAX && term_parse(json_text(v, "term"), &out[n].term) &&
		    json_int(cJSON_GetObjectItemCaseSensitive(v, "base"), &out[n].base))
			n++;
	}
	return n;
}

static int64_t
end_of(const struct term_base *terms, int n, int i, int64_t head)
{
	return i + 1 < n ? terms[i + 1].base : head;
}

/* The last event that is the same in both streams. */
static int64_t
common_event(const struct house *h, const struct term_base *theirs, int n, int64_t their_head)
{
	for (int i = n - 1; i >= 0; i--)
		for (int j = h->nterms - 1; j >= 0; j--)
			if (term_equal(&theirs[i].term, &h->terms[j].term) && theirs[i].base == h->terms[j].base) {
				int64_t a = end_of(theirs, n, i, their_head), b = end_of(h->terms, h->nterms, j, h->stored_head);

				return a < b ? a : b;
			}
	return 0;
}

/* ---- a task as a row for others ---- */

void
stream_put_hex(struct buf *b, const char *key, const char *p, size_t len)
{
	json_put_key(b, key);
	buf_addc(b, '"');
	for (size_t i = 0; i < len; i++)
		buf_addf(b, "%02x", (unsigned char)p[i]);
	buf_addc(b, '"');
}

void
stream_put_task(struct buf *b, const struct task *t)
{
	json_kv_raw(b, "task", t->body, t->body_len);
	if (!t->reply_topic)
		return;
	json_put_key(b, "reply");
	json_put_open(b, '{');
	json_kv_str(b, "topic", t->reply_topic);
	if (t->correlation_len)
		stream_put_hex(b, "correlation", t->correlation, t->correlation_len);
	json_put_close(b, '}');
}

static void
put_row(struct buf *b, const struct task *t)
{
	json_kv_str(b, "state", task_state_name(t->state));
	json_kv_int(b, "attempt", t->attempt);
	json_kv_int(b, "crashes", t->crashes);
	if (task_has_begun(t->state))
		term_put(b, "given", &t->term);
	if (t->failures)
		json_kv_int(b, "failures", t->failures);
	if (t->cancelled)
		json_kv_bool(b, "cancelled", true);
	history_put(b, t);
	if (t->held)
		json_kv_int(b, "held_by", t->held);
	if (t->due_ms)
		json_kv_int(b, "due", t->due_ms);
	if (t->finished_ms)
		json_kv_int(b, "finished", t->finished_ms);
	if (t->forward)
		json_kv_str(b, "to", t->forward);
	if (t->outcome)
		json_put_raw(b, t->outcome + 1, strlen(t->outcome) - 2);
	if (t->approval)
		json_kv_raw(b, "approval", t->approval, strlen(t->approval));
	json_kv_str(b, "sender", t->sender);
	json_kv_int(b, "accepted", t->accepted_ms);
	stream_put_task(b, t);
}

/* ---- the other way ---- */

static void
read_reply(struct task *t, const cJSON *reply)
{
	const char *topic = json_text(reply, "topic");
	struct buf b = { 0 };

	if (*topic && reply_to_correlation(json_text(reply, "correlation"), &b, NULL) == 0)
		task_reply_to(t, topic, b.data, b.len);
	buf_free(&b);
}

/* NULL if it makes no sense. */
static struct task *
make_task(struct core *c, struct house *h, const struct ulid *id, const cJSON *o)
{
	const cJSON *body = cJSON_GetObjectItemCaseSensitive(o, "task");
	const char *sender = json_text(o, "sender");
	struct task_msg m;
	struct task *t;

	if (!cJSON_IsObject(body) || !*sender || task_msg_read(body, &m, NULL))
		return NULL;
	t = task_new(c, h);
	t->seq = ++c->last_seq;
	t->id = *id;
	memcpy(t->tool_name, m.tool, sizeof t->tool_name);
	snprintf(t->sender, sizeof t->sender, "%s", sender);
	t->priority = (unsigned char)m.priority;
	t->deadline_ms = m.deadline_ms;
	t->accepted_ms = c->now.wall_ms;
	t->key = m.key && !h->key_taken ? xstrdup(m.key) : NULL;
	t->body = cJSON_PrintUnformatted(body);
	t->body_len = strlen(t->body);
	task_read_body(c, t);
	task_track(c, t);
	if (t->key)
		task_note_key(c, t);
	return t;
}

/* What an event says of its task's state; NULL: its member "state" does. */
static const struct {
	const char *type;
	enum task_state state;
} states[] = {
	{ "accepted", TASK_QUEUED },
	{ "waiting_approval", TASK_WAITING },
	{ "scheduled", TASK_SCHEDULED },
	{ "starting", TASK_STARTING },
	{ "started", TASK_RUNNING },
	{ "retrying", TASK_RETRYING },
	{ "requeued", TASK_QUEUED },
	{ "forwarded", TASK_FORWARDED },
	{ "handed_over", TASK_FORWARDED },
};

static enum task_state
state_of(const cJSON *o, const char *type, enum task_state otherwise)
{
	const char *state = json_text(o, "state");

	for (size_t i = 0; type && i < sizeof states / sizeof *states; i++)
		if (strcmp(states[i].type, type) == 0)
			return states[i].state;
	if (*state)
		task_state_parse(state, &otherwise);
	return otherwise;
}

static void
read_times(struct core *c, struct task *t, const cJSON *o, const char *type)
{
	const char *not_before = json_text(o, "not_before");
	int64_t ms = 0;

	t->due_ms = json_number(o, "due", 0);
	if (*not_before && clock_parse(not_before, &ms, NULL) == 0)
		t->due_ms = ms;
	if (cJSON_HasObjectItem(o, "accepted"))
		t->accepted_ms = json_number(o, "accepted", 0);
	t->finished_ms = json_number(o, "finished", 0);
	if (!t->finished_ms && (task_ends_in(t, t->state) || (type && strcmp(type, "handed_over") == 0)))
		t->finished_ms = c->now.wall_ms;
	if (t->state == TASK_FORWARDED && !t->finished_ms && !t->due_ms)
		t->due_ms = c->now.wall_ms;
}

/* Somebody on our own socket waits for a task that another agent owns by now. */
static void
tell_local(struct core *c, struct task *t)
{
	if (!t->conn || (!task_state_is_terminal(t->state) && t->state != TASK_UNCERTAIN))
		return;
	attempt_reply_outcome(out_local(c, NULL, t->conn), t);
	t->conn = 0;
}

/* What a whole row does not say is not so. */
static void
clear_members(struct task *t)
{
	free(t->outcome);
	free(t->forward);
	free(t->approval);
	free(t->history);
	t->outcome = t->forward = t->approval = t->history = NULL;
	t->failures = 0;
	t->cancelled = false;
	t->term = (struct term){ 0 };
	t->stage = APPROVAL_NONE;
	t->held = 0;
	task_reply_to(t, NULL, NULL, 0);
}

/* An attempt that is told of for the first time was given by whoever tells it, unless he says that he found it. */
static void
read_given(struct task *t, const cJSON *o, const char *type)
{
	bool begins = type && (strcmp(type, "starting") == 0 || strcmp(type, "started") == 0);

	if (IS_MUTANT(MUTANT_GIVEN_UNKNOWN))
		return;
	if (cJSON_HasObjectItem(o, "given") || begins)
		t->term = (struct term){ 0 };
	if (!term_parse(json_text(o, "given"), &t->term) && begins)
		term_parse(json_text(o, "term"), &t->term);
}

static void
read_members(struct core *c, struct task *t, const cJSON *o, const char *type)
{
	const cJSON *v;
	const char *to = json_text(o, "to");

	if (!type || strcmp(type, "adopted") == 0 || strcmp(type, "kept") == 0)
		clear_members(t);
	task_follow(c, t, state_of(o, type, t->state));
	if ((v = cJSON_GetObjectItemCaseSensitive(o, "attempt")))
		t->attempt = (short)v->valuedouble;
	if ((v = cJSON_GetObjectItemCaseSensitive(o, "crashes")))
		t->crashes = (short)v->valuedouble;
	if ((v = cJSON_GetObjectItemCaseSensitive(o, "failures")))
		t->failures = (short)v->valuedouble;
	if ((v = cJSON_GetObjectItemCaseSensitive(o, "cancelled")))
		t->cancelled = cJSON_IsTrue(v) && !IS_MUTANT(MUTANT_CANCEL_FORGOTTEN);
	read_given(t, o, type);
	history_follow(t, o);
	if (type && strcmp(type, "outcome") == 0)
		t->cancelled = t->stopping = false;
	if (t->state == TASK_SCHEDULED && cJSON_HasObjectItem(o, "held_by"))
		t->held = json_number(o, "held_by", 0);
	if (*to && !t->forward)
		t->forward = xstrdup(to);
	if ((v = cJSON_GetObjectItemCaseSensitive(o, "reply")))
		read_reply(t, v);
	if (cJSON_HasObjectItem(o, "result") || cJSON_HasObjectItem(o, "error"))
		attempt_take_outcome(t, o);
	if ((v = cJSON_GetObjectItemCaseSensitive(o, "approval")))
		approval_follow(c, t, v);
	read_times(c, t, o, type);
	tell_local(c, t);
}

/* type NULL: a row. */
static struct task *
apply_task(struct core *c, struct house *h, const cJSON *o, const char *type, int64_t version)
{
	const char *text = json_text(o, "id");
	struct ulid id;
	struct task *t;

	if (!ulid_parse(text, &id))
		return NULL;
	t = task_by_id(c, h, &id);
	if (!t)
		t = make_task(c, h, &id, o);
	if (!t)
		return NULL;
	read_members(c, t, o, type);
	t->version = version;
	if (type)
		learn_heard(c, t, o, type);
	return t;
}

/* ---- following ---- */

static void
match_seen(struct core *c, struct house *h, const cJSON *o)
{
	const char *hash = json_text(o, "hash"), *from = json_text(o, "from");

	if (*hash && *from)
		seen_match(c, h, from, strtoull(hash, NULL, 16));
}

static void
lose_step(struct core *c, struct house *h, const char *why)
{
	if (h->live)
		log_info("house %s: not in step: %s", h->name, why);
	(void)c;
	h->live = false;
	h->in_step_ms = 0;
	h->sync = SYNC_IDLE;
}

static void
apply(struct core *c, struct house *h, const cJSON *o, int64_t seq)
{
	const char *type = json_text(o, "type");

	h->head = seq;
	/* An answer may wait for it, though no row changed. */
	c->urgent = true;
	if (strcmp(type, "owner") == 0) {
		h->log = h->term;
		stream_add_term(h, &h->term, seq - 1);
		if (json_is_true(o, "unclean"))
			h->doubt_ms = c->now.wall_ms;
	} else if (strcmp(type, "breaker") == 0) {
		breaker_follow(c, h, o);
	} else if (strcmp(type, "schedule") == 0) {
		routine_follow(c, h, o);
	} else if (cJSON_HasObjectItem(o, "id") && strcmp(type, "rejected") != 0) {
		apply_task(c, h, o, type, seq);
	}
}

static void
follow(struct core *c, struct house *h, const cJSON *o)
{
	int64_t seq = json_number(o, "seq", 0);
	struct term t;

	if (!term_parse(json_text(o, "term"), &t))
		return;
	match_seen(c, h, o);
	if (!IS_MUTANT(MUTANT_NO_FENCE))
		lease_heard(c, h, &t);
	/* What was asked of it before it owned the house was not answered. */
	if (!h->live && h->sync == SYNC_ASKED && term_equal(&t, &h->term) &&
	    strcmp(json_text(o, "type"), "owner") == 0)
		h->sync = SYNC_IDLE;
	if (!h->live || (!term_equal(&t, &h->term) && !IS_MUTANT(MUTANT_NO_FENCE)) || seq <= h->head)
		return;
	if (seq > h->head + 1)
		lose_step(c, h, "an event is missing");
	else
		apply(c, h, o, seq);
}

static void
one_line(struct core *c, struct house *h, const char *agent, const char *p, size_t len)
{
	cJSON *o = json_parse_object(p, len, NULL);

	if (o && !cJSON_HasObjectItem(o, "seq"))
		work_told(c, h, agent, o);
	else if (o && !h->owned && h->place >= 0 && house_may_own(c, h, agent))
		follow(c, h, o);
	cJSON_Delete(o);
}

void
stream_event(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	struct house *h = house_find(c, t->name);
	const struct peer *from = peer_find(c, t->id);
	const char *p = m->payload, *end = p + m->len;

	if (!h || strcmp(t->id, c->o.agent) == 0 || (from && !peer_is_understood(c, from)))
		return;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);

		if (len)
			one_line(c, h, t->id, p, len);
		p += len + 1;
	}
}

void
stream_tell_have(struct core *c)
{
	char topic[TOPIC_MAX];
	struct buf *b;

	for (int i = 0; i < c->nhouses; i++) {
		const struct house *h = &c->houses[i];

		if (!h->live || (h->head == h->stored_head && term_equal(&h->log, &h->stored_log)))
			continue;
		topic_format(topic, c->o.config->cluster, TOPIC_HAVE, c->o.agent, h->name);
		b = out_now(c, topic, 0, false, 0);
		json_put_open(b, '{');
		term_put(b, "term", &h->term);
		json_kv_int(b, "have", h->head);
		json_kv_int(b, "beat", (int64_t)c->health_seq);
		out_end_line(b);
	}
}

/* ---- getting in step ---- */

static void
ask(struct core *c, struct house *h)
{
	struct buf *b = work_line(c, h->term.agent, h, "sync");

	json_kv_int(b, "head", h->stored_head);
	put_terms(b, h);
	out_end_line(b);
	h->sync = SYNC_ASKED;
	h->asked_ms = c->now.mono_ms;
}

static void
is_live(struct core *c, struct house *h, int64_t head)
{
	h->live = true;
	h->sync = SYNC_IDLE;
	h->lag_ms = 0;
	h->head = head;
	h->log = h->term;
	memcpy(h->terms = h->terms ? h->terms : xcalloc(TERMS_MAX, sizeof *h->terms), h->their_terms,
	    (size_t)h->ntheir * sizeof *h->terms);
	h->nterms = h->ntheir;
	h->terms_changed = true;
	/* What we forgot ourselves is missing here still, unless all rows have come anew. */
	if (h->all_came || h->pruned < h->their_pruned)
		h->pruned = h->their_pruned;
	h->pruned_changed = true;
	c->urgent = true;
	h->in_step_ms = 0;
	seen_make_stale(c, h);
	log_info("house %s: in step with %s at %lld", h->name, h->term.agent, (long long)head);
}

static void
note_row(void *arg, struct task *t)
{
	(void)t;
	*(bool *)arg = true;
}

static bool
has_rows(struct core *c, const struct house *h)
{
	int64_t after = 0;
	bool any = false;

	store_rows(c, h, false, &after, 1, note_row, &any);
	return any;
}

void
stream_new_owner(struct core *c, struct house *h, const struct term *log, int64_t head)
{
	if (h->live || h->owned || h->sync != SYNC_IDLE)
		return;
	h->offers_all = !head && !h->head && (has_rows(c, h) || h->nroutines);
	if (h->head == head && term_equal(&h->log, log) && !h->offers_all) {
		h->live = true;
		h->lag_ms = 0;
		c->urgent = true;
		return;
	}
	h->in_step_ms = 0;
}

/* Those in memory, as store.c does with the rows. */
static void
mark_tasks(struct core *c, const struct house *h)
{
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = c->by_seq[i]; t; t = t->next_seq)
			if (t->house == h)
				t->version = -1;
}

static void
tell_forgotten(struct core *c, struct task *t)
{
	struct buf *b;
	struct err e;
	char id[ULID_TEXT];

	if (!t->conn)
		return;
	b = out_local(c, NULL, t->conn);
	t->conn = 0;
	ulid_format(&t->id, id);
	err_set(&e, ERR_STALE, "house %s has ended and forgotten it", t->house->name);
	json_put_open(b, '{');
	json_kv_str(b, "type", "error");
	json_kv_str(b, "id", id);
	json_put_key(b, "error");
	json_put_err(b, &e);
	out_end_line(b);
}

static void
sweep_tasks(struct core *c, const struct house *h)
{
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = c->by_seq[i]; t; t = t->next_seq)
			if (t->house == h && t->version == -1) {
				tell_forgotten(c, t);
				task_touch(c, t);
			}
}

static void
pull(struct core *c, struct house *h)
{
	struct buf *b = work_line(c, h->term.agent, h, "pull");

	json_kv_bool(b, "all", h->pull_all);
	json_kv_int(b, "after", h->pulled);
	out_end_line(b);
	h->sync = SYNC_PULLS;
	h->asked_ms = c->now.mono_ms;
	h->came = 0;
	routine_forget_coming(h);
}

/* What we have beyond the common part is with the owner: forget that it was so. If we have forgotten a task since
 * then, the owner may have an older row of it, which would not come with what changed. */
static void
begin_pull(struct core *c, struct house *h)
{
	h->pull_all = h->all_came = h->common == 0 || h->all_anew || h->pruned > h->common;
	if (h->pull_all)
		h->common = 0;
	if (h->head > h->common) {
		h->head = h->common;
		cut_terms(h, h->common);
		c->urgent = true;
	}
	if (h->pull_all) {
		h->mark_rows = c->urgent = true;
		mark_tasks(c, h);
	}
	h->pulled = h->common;
	h->pull_head = 0;
	pull(c, h);
}

struct rows {
	struct core *c;
	struct house *h;
	const char *to, *op;
	int n;
};

static void
add_row(void *arg, struct task *t)
{
	struct rows *r = arg;
	struct buf *b = work_line(r->c, r->to, r->h, r->op);
	char id[ULID_TEXT];

	ulid_format(&t->id, id);
	json_kv_str(b, "id", id);
	json_kv_int(b, "version", t->version);
	json_kv_bool(b, "own", strcmp(r->h->log.agent, r->c->o.agent) == 0);
	put_row(b, t);
	out_end_line(b);
	r->n++;
}

static void
offer(struct core *c, struct house *h)
{
	struct rows r = { c, h, h->term.agent, "offer", 0 };
	bool more = store_rows(c, h, false, &h->offered, BATCH, add_row, &r);
	struct buf *b;

	if (!more)
		routine_offer(c, h);
	b = work_line(c, r.to, h, "offers");
	json_kv_bool(b, "more", more);
	out_end_line(b);
	h->sync = SYNC_OFFERS;
	h->asked_ms = c->now.mono_ms;
}

/* ---- the owner's side ---- */

static void
answer_sync(struct core *c, struct house *h, struct peer *from, const cJSON *o)
{
	struct term_base theirs[TERMS_MAX];
	int n = read_terms(cJSON_GetObjectItemCaseSensitive(o, "terms"), theirs);
	int64_t common = common_event(h, theirs, n, json_number(o, "head", 0));
	struct buf *b = work_line(c, from->name, h, "base");

	json_kv_int(b, "doubt", h->doubt_ms);
	json_kv_int(b, "common", common);
	json_kv_bool(b, "all", common < h->pruned && !IS_MUTANT(MUTANT_PRUNE_UNTOLD));
	json_kv_int(b, "pruned", h->pruned);
	json_kv_int(b, "forgotten", c->pruned_id_ms);
	put_terms(b, h);
	out_end_line(b);
}

struct uses {
	struct buf *b;
	int left;
};

static void
add_use(void *arg, const struct ulid *task)
{
	struct uses *u = arg;
	char id[ULID_TEXT];

	ulid_format(task, id);
	json_put_str(u->b, id);
	u->left--;
}

/* Who has none of the rows has not counted the grants either, and tasks that used them may be forgotten. */
static void
send_uses(struct core *c, const struct house *h, const char *to)
{
	struct uses u = { .left = USES_MAX };

	for (size_t i = 0; i < c->ngrants; i++) {
		const struct grant *g = &c->grants[i].s.u.grant;

		if (strcmp(g->house, h->name) != 0)
			continue;
		u.b = work_line(c, to, h, "uses");
		json_kv_str(u.b, "grant", g->id);
		json_put_key(u.b, "tasks");
		json_put_open(u.b, '[');
		store_each_use(c, g->id, u.left, add_use, &u);
		json_put_close(u.b, ']');
		out_end_line(u.b);
	}
}

static void
answer_pull(struct core *c, struct house *h, struct peer *from, const cJSON *o)
{
	bool all = json_is_true(o, "all"), more;
	int64_t after = json_number(o, "after", 0);
	struct rows r = { c, h, from->name, "row", 0 };
	struct buf *b;

	/* Some of what changed since is forgotten meanwhile. */
	if (!all && after < h->pruned && !IS_MUTANT(MUTANT_PRUNE_UNTOLD)) {
		b = work_line(c, from->name, h, "rows");
		json_kv_bool(b, "anew", true);
		out_end_line(b);
		return;
	}
	if (all && !after)
		send_uses(c, h, from->name);
	more = store_rows(c, h, all, &after, BATCH, add_row, &r);
	if (!more && !all)
		r.n += routine_send_all(c, h, from->name);
	b = work_line(c, from->name, h, "rows");
	json_kv_bool(b, "all", all);
	json_kv_bool(b, "more", more);
	json_kv_int(b, "count", r.n);
	json_kv_int(b, "after", after);
	json_kv_int(b, "head", h->stored_head);
	json_kv_int(b, "pruned", h->pruned);
	if (!more && !all)
		breaker_put_all(b, h);
	out_end_line(b);
}

static void
tell_row(struct core *c, struct task *t, const char *type)
{
	struct buf *b = out_task_event(c, t, type);

	put_row(b, t);
	out_end_line(b);
	(void)c;
}

/* The follower that offers it was the owner itself, and so knows whether it was begun. */
static void
adopt_state(struct core *c, struct task *t, enum task_state state, bool knows)
{
	if (t->tool)
		t->quick = (t->tool->flags & TOOL_QUICK) && t->stage == APPROVAL_NONE;
	if (state == TASK_FORWARDED || task_state_is_terminal(state) || state == TASK_UNCERTAIN) {
		tell_row(c, t, "adopted");
		return;
	}
	if (task_has_begun(state)) {
		attempt_resume(c, t);
	} else if (state == TASK_QUEUED) {
		lane_put(c, t);
		if (!knows)
			attempt_doubt(c, t);
	} else if (!knows) {
		attempt_doubt(c, t);
	}
	tell_row(c, t, "adopted");
	approval_take_up(c, t);
	if (t->nafter)
		after_look(t->house);
	c->due_changed = true;
}

/* Its key stands for a task that we have under another id: that one counts. */
static bool
key_is_taken(struct core *c, struct house *h, const cJSON *o)
{
	const char *key = json_text(cJSON_GetObjectItemCaseSensitive(o, "task"), "key"), *sender = json_text(o, "sender");
	struct task *t;

	return *key && *sender && task_by_key(c, h, sender, key, &t);
}

/* Another task has its key: it is not run, nor handed on if it is not yet there. It may be, for who offers it may have
 * been alone with it, and then waited for nobody. */
static void
supersede(struct core *c, struct task *t)
{
	bool sent = t->state == TASK_FORWARDED;
	struct err e;

	err_set(&e, ERR_CONFLICT, "another task with its key was accepted meanwhile");
	if (sent)
		err_wrap(&e, "it may or may not have been handed to house %s; look, then decide", t->forward);
	attempt_finish(c, t, sent ? TASK_UNCERTAIN : TASK_CANCELLED, &e);
	tell_row(c, t, "adopted");
}

/* What its house has is the house's. */
static bool
may_supersede(const struct task *t)
{
	return !task_state_is_terminal(t->state) && (!t->forward || (t->state == TASK_FORWARDED && !t->finished_ms));
}

static void
count_in(struct house *h, const struct task *t)
{
	h->open += task_is_open(t);
	h->queued += t->state == TASK_QUEUED;
}

/* The house forgets it soon, whatever it says. */
static bool
is_past(const struct core *c, const struct task *t)
{
	return task_state_is_terminal(t->state) && t->finished_ms < c->now.wall_ms - c->o.config->keep_finished_s * 1000;
}

static void
adopt(struct core *c, struct house *h, const cJSON *o, bool knows)
{
	struct task *t;
	bool taken, old;

	if (IS_MUTANT(MUTANT_ADOPT_FORGETS))
		return;
	taken = h->key_taken = key_is_taken(c, h, o);
	t = apply_task(c, h, o, NULL, 0);
	h->key_taken = false;
	if (!t)
		return;
	old = ulid_time_ms(&t->id) <= c->pruned_id_ms;
	taken &= may_supersede(t);
	/* An outcome that returns is none where the house may have told another and forgotten it. What was handed on may
	 * have run: its house knows. */
	if (((old && !is_past(c, t)) || taken) && !t->forward)
		t->state = TASK_QUEUED;
	count_in(h, t);
	log_info("house %s: a task of a former term is taken in, %s", h->name, task_state_name(t->state));
	if (old && !(taken && t->forward)) {
		attempt_forgotten(c, t);
		tell_row(c, t, "adopted");
	} else if (taken) {
		supersede(c, t);
	} else {
		adopt_state(c, t, t->state, knows);
		if (task_state_is_terminal(t->state) && t->reply_topic)
			attempt_tell_again(c, t);
	}
}

/* An outcome of a former term stands if we have none and nothing runs. */
static void
compare(struct core *c, struct task *t, const cJSON *o)
{
	enum task_state theirs = state_of(o, NULL, t->state);

	/* Of an attempt that nobody else can have run, or of one that we know nothing of. */
	if (task_state_is_terminal(theirs) && !t->forward && !task_state_is_terminal(t->state) &&
	    !attempt_was_forgotten(t) &&
	    (!task_has_begun(t->state) || (attempt_is_awaited(t) && t->attempt == json_number(o, "attempt", 0)))) {
		attempt_take_outcome(t, o);
		attempt_settle(c, t, theirs);
	} else if (task_has_begun(theirs) && !task_state_is_terminal(t->state) && !task_has_begun(t->state) &&
	    t->attempt < json_number(o, "attempt", 0)) {
		attempt_doubt(c, t);
	}
	tell_row(c, t, "kept");
}

static void
take_offer(struct core *c, struct house *h, const cJSON *o)
{
	const char *text = json_text(o, "id");
	struct ulid id;
	struct task *t;

	if (!ulid_parse(text, &id))
		return;
	t = task_by_id(c, h, &id);
	if (t)
		compare(c, t, o);
	else
		adopt(c, h, o, json_is_true(o, "own"));
}

static void
take_offered_schedule(struct core *c, struct house *h, struct peer *from, const cJSON *o)
{
	(void)from;
	routine_adopt(c, h, o);
}

static void
answer_offers(struct core *c, struct house *h, struct peer *from, const cJSON *o)
{
	struct buf *b = work_line(c, from->name, h, "taken");

	json_kv_bool(b, "more", json_is_true(o, "more"));
	out_end_line(b);
	c->urgent = true;
}

/* ---- the follower's side ---- */

static void
take_base(struct core *c, struct house *h, const cJSON *o)
{
	if (h->sync != SYNC_ASKED)
		return;
	h->common = json_number(o, "common", 0);
	if (!h->their_terms)
		h->their_terms = xcalloc(TERMS_MAX, sizeof *h->their_terms);
	h->ntheir = read_terms(cJSON_GetObjectItemCaseSensitive(o, "terms"), h->their_terms);
	h->offered = h->common;
	h->all_anew = json_is_true(o, "all");
	h->doubt_ms = json_number(o, "doubt", 0);
	h->their_pruned = json_number(o, "pruned", 0);
	store_note_forgotten(c, json_number(o, "forgotten", 0));
	if (h->head > h->common || h->offers_all)
		offer(c, h);
	else
		begin_pull(c, h);
	h->offers_all = false;
}

static void
take_taken(struct core *c, struct house *h, const cJSON *o)
{
	if (h->sync != SYNC_OFFERS)
		return;
	if (json_is_true(o, "more"))
		offer(c, h);
	else
		begin_pull(c, h);
}

/* First all rows in their order, then what changed meanwhile. */
static void
take_rows(struct core *c, struct house *h, const cJSON *o)
{
	if (h->sync == SYNC_PULLS && json_is_true(o, "anew")) {
		ask(c, h);
		return;
	}
	if (h->sync != SYNC_PULLS || json_is_true(o, "all") != h->pull_all)
		return;
	/* A broker may have dropped a large message and passed on the small one after it: we ask anew when it is time. */
	if (h->came < json_number(o, "count", 0))
		return;
	/* What was forgotten meanwhile did not come. */
	if (json_number(o, "pruned", 0) > h->their_pruned)
		h->their_pruned = json_number(o, "pruned", 0);
	if (!h->pull_head)
		h->pull_head = json_number(o, "head", 0);
	h->pulled = json_number(o, "after", 0);
	if (json_is_true(o, "more")) {
		pull(c, h);
	} else if (h->pull_all) {
		h->pull_all = false;
		h->sweep_rows = c->urgent = true;
		sweep_tasks(c, h);
		h->pulled = h->pull_head;
		pull(c, h);
	} else {
		breaker_take_all(c, h, cJSON_GetObjectItemCaseSensitive(o, "breakers"));
		routine_take_all(c, h);
		is_live(c, h, json_number(o, "head", 0));
	}
}

static void
take_row(struct core *c, struct house *h, const cJSON *o)
{
	h->came++;
	if (h->sync == SYNC_PULLS && !(IS_MUTANT(MUTANT_SYNC_SKIPS) && json_number(o, "version", 0) % 7 == 0))
		apply_task(c, h, o, NULL, json_number(o, "version", 0));
}

static void
take_schedule(struct core *c, struct house *h, const cJSON *o)
{
	(void)c;
	h->came++;
	if (h->sync == SYNC_PULLS)
		routine_comes(h, o);
}

static void
take_uses(struct core *c, struct house *h, const cJSON *o)
{
	const char *grant = json_text(o, "grant");
	struct ulid id;
	const cJSON *v;

	if (h->sync != SYNC_PULLS || !name_ok(grant))
		return;
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "tasks"))
		if (cJSON_IsString(v) && ulid_parse(v->valuestring, &id))
			store_use(c, grant, &id);
}

/* True if the message was one of these. */
bool
stream_work(struct core *c, struct house *h, struct peer *from, const char *op, const cJSON *o)
{
	static const struct {
		const char *op;
		void (*owner)(struct core *c, struct house *h, struct peer *from, const cJSON *o);
		void (*follower)(struct core *c, struct house *h, const cJSON *o);
	} ops[] = {
		{ "sync", answer_sync, NULL },
		{ "pull", answer_pull, NULL },
		{ "offers", answer_offers, NULL },
		{ "offer_schedule", take_offered_schedule, NULL },
		{ "base", NULL, take_base },
		{ "taken", NULL, take_taken },
		{ "row", NULL, take_row },
		{ "rows", NULL, take_rows },
		{ "uses", NULL, take_uses },
		{ "schedule", NULL, take_schedule },
	};
	struct term t;

	if (strcmp(op, "offer") == 0 && h->owned) {
		take_offer(c, h, o);
		return true;
	}
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		if (strcmp(ops[i].op, op) != 0)
			continue;
		if (!term_parse(json_text(o, "term"), &t) || !term_equal(&t, &h->term))
			return true;
		if (ops[i].owner && h->owned)
			ops[i].owner(c, h, from, o);
		else if (ops[i].follower && !h->owned && strcmp(from->name, h->term.agent) == 0)
			ops[i].follower(c, h, o);
		return true;
	}
	return false;
}

/* The owner is ahead of us and nothing comes: what was on its way is lost. */
static bool
lags(struct core *c, struct house *h)
{
	if (h->owner_head <= h->head) {
		h->lag_ms = 0;
		return false;
	}
	if (!h->lag_ms || h->lag_head != h->head) {
		h->lag_ms = c->now.mono_ms;
		h->lag_head = h->head;
	}
	return c->now.mono_ms - h->lag_ms > LAG_MS;
}

void
stream_tick(struct core *c, struct house *h)
{
	const struct peer *owner = lease_owner(c, h);

	if (!c->up || !c->greeted || !owner || !peer_is_understood(c, owner) || h->vacant_ms || h->lease == LEASE_CLAIMED)
		return;
	if (h->live) {
		if (lags(c, h))
			lose_step(c, h, "what the owner sent was lost");
		return;
	}
	/* Rows are read as the disk has them. */
	if (h->sync == SYNC_IDLE || c->now.mono_ms - h->asked_ms > ANSWER_MS)
		ask(c, h);
}
