#include "core.h"

#include <assert.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "state.h"

#define TIDY_EVERY_MS 5000
#define TIDY_AFTER 1024                 /* new tasks */
#define LAZY_COMMIT_MS 1000
#define STALE_MS 1000                   /* from the beginning of a turn to its effects */

/* xoroshiro128+ (Blackman, Vigna 2018), seeded by splitmix64: replayable from one number. */
static uint64_t
splitmix(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t
rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

uint64_t
core_random(struct core *c)
{
	uint64_t a = c->random[0], b = c->random[1];

	c->random[0] = rotate(a, 24) ^ (a ^ b) ^ (a ^ b) << 16;
	c->random[1] = rotate(a ^ b, 37);
	return a + b;
}

void
core_new_id(struct core *c, struct ulid *id)
{
	uint64_t r[2] = { core_random(c), core_random(c) };

	ulid_make(id, c->now.wall_ms, (const uint8_t *)r);
}

static int
place_in(const struct config_names *names, const char *agent)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], agent) == 0)
			return (int)i;
	return -1;
}

static void
add_candidates(struct core *c, struct house *h, const struct config_names *names)
{
	h->place = place_in(names, c->o.agent);
	for (size_t i = 0; h->place >= 0 && i < names->n; i++)
		if ((int)i != h->place)
			h->copies[h->ncopies++] = (struct copy){ .peer = peer_find(c, names->v[i]), .place = (int)i };
}

/* Those of which we are a candidate, and our own, whose work we do. "~" comes first and is always there: it holds
 * what we hand on for our own users. */
static void
take_houses(struct core *c)
{
	const struct config *f = c->o.config;
	struct house *h = house_add(c, "~");

	h->local = true;
	h = house_add(c, "_");
	add_candidates(c, h, &f->router);
	h->wait_copies = true;
	for (size_t i = 0; i < f->nhouses; i++) {
		const struct config_house *x = &f->houses[i];

		if (!config_names_has(&x->agents, c->o.agent) && !config_names_has(&x->candidates, c->o.agent))
			continue;
		h = house_add(c, x->name);
		h->home = &x->agents;
		h->wait_copies = strcmp(x->copies, "1") != 0;
		add_candidates(c, h, &x->candidates);
	}
}

struct house *
core_outer_house(struct core *c)
{
	return &c->houses[0];
}

/* Houses that nobody else could own: ours, or left over from a former configuration. */
static int
open_houses(struct core *c, struct err *e)
{
	core_begin(c, c->now);
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		/* What it knows to be queued may have run since, and nobody else can say. */
		h->unclean = c->restored;
		if (h->local || (h->place < 0 && !h->home && strcmp(h->name, "_") != 0))
			house_take_over(c, h);
		else if (h->place >= 0 && !lease_is_shared(h))
			lease_open(c, h);
	}
	if (core_commit(c, e))
		return -1;
	core_release(c, c->now);
	core_end(c);
	return 0;
}

int
core_open(struct core **out, const struct core_opts *o, struct core_now now, struct err *e)
{
	struct core *c = xcalloc(1, sizeof *c);
	uint64_t seed = o->seed;
	struct ulid boot;

	c->o = *o;
	c->o.protocol = o->protocol ? o->protocol : CORE_PROTOCOL;
	c->now = now;
	c->random[0] = splitmix(&seed);
	c->random[1] = splitmix(&seed);
	c->inbound = xcalloc(UINT16_MAX + 1, sizeof *c->inbound);
	c->started_mono_ms = c->down_mono_ms = now.mono_ms;
	c->due_changed = true;
	c->next_broker = -1;
	stress_init(c);
	core_new_id(c, &boot);
	ulid_format(&boot, c->boot);
	peer_init(c);
	take_houses(c);
	topic_format(c->health_topic, o->config->cluster, TOPIC_HEALTH, o->agent, "state");
	topic_format(c->echo_topic, o->config->cluster, TOPIC_ECHO, o->agent, "self");
	if (store_open(c, e) || audit_open(c, e) || learn_open(c, e) || open_houses(c, e)) {
		core_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

static void
drop_rejects(struct core *c)
{
	while (c->rejects) {
		struct reject *r = c->rejects;

		c->rejects = r->next;
		buf_free(&r->payload);
		buf_free(&r->error);
		free(r);
	}
}

static void
drop_local(struct core *c)
{
	while (c->local) {
		struct local_out *l = c->local;

		c->local = l->next;
		buf_free(&l->body);
		free(l);
	}
}

static void
release_houses(struct core *c)
{
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		work_forget_given_away(h);
		free(h->terms);
		free(h->their_terms);
		free(h->breakers);
		routine_release(h);
		free(h->move_reply);
		buf_free(&h->move_correlation);
		cJSON_Delete(h->step_list);
	}
}

/* In the middle of a turn too. */
void
core_close(struct core *c)
{
	if (!c)
		return;
	for (int i = 0; i < c->nhouses; i++)
		lane_forget(c, &c->houses[i]);
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = c->by_seq[i], *next; t; t = next) {
			next = t->next_seq;
			task_free(t);
		}
	flow_release(c);
	out_release(c);
	drop_rejects(c);
	drop_local(c);
	seen_release(c);
	work_release(c);
	output_release(c);
	signed_release(c);
	approval_forget_requests(c);
	store_release(c);
	audit_release(c);
	learn_release(c);
	after_release(c);
	release_houses(c);
	db_close(&c->db);
	free(c->alerts);
	free(c->peers);
	free(c->touched);
	free(c->acked);
	free(c->stops);
	free(c->inbound);
	free(c->inbound_new);
	free(c);
}

void
core_begin(struct core *c, struct core_now now)
{
	assert(!c->open);
	c->now = now;
	c->open = true;
	c->committed = false;
	clock_format(now.wall_ms, c->stamp, sizeof c->stamp);
	lease_check(c, true);
}

/* ---- messages ---- */

struct incoming {
	struct core *c;
	struct house *house;
	const char *sender;
	const struct mqtt_msg *m;
};

static int
count_lines(const char *p, size_t len)
{
	const char *end = p + len;
	int n = len && end[-1] != '\n';

	for (; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n++;
	return n;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_blank(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_space(p[i]))
			return false;
	return true;
}

/* Whoever owns the house answers; the others keep a copy until he has. */
static void
take_line(const struct incoming *in, const char *line, size_t len, int n)
{
	if (in->house->owned && !in->house->heir)
		intake_line(in->c, in->house, in->sender, line, len, n, in->m, 0);
	else
		seen_add(in->c, in->house, in->sender, line, len, in->m);
}

static void
take_lines(const struct incoming *in)
{
	const char *p = in->m->payload, *end = p + in->m->len;

	for (int n = 1; p < end; n++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);

		if (!is_blank(p, len))
			take_line(in, p, len, n);
		p += len + 1;
	}
}

/* Nothing in it was accepted. */
static int
too_big(struct err *e, const char *field, size_t n, const char *unit, int64_t max)
{
	char got[64];

	snprintf(got, sizeof got, "%zu, so nothing in it was accepted", n);
	return err_field(e, ERR_TOO_BIG, field, got, "at most %lld %s", (long long)max, unit);
}

static int
check_payload(const struct incoming *in, struct err *e)
{
	const struct config *f = in->c->o.config;
	int lines = count_lines(in->m->payload, in->m->len);

	if (is_blank(in->m->payload, in->m->len))
		return err_field(e, ERR_PARSE, "payload", "nothing", "a task such as {\"tool\":\"noop\"}");
	if (in->m->len > (size_t)f->max_payload_bytes)
		return too_big(e, "payload", in->m->len, "bytes", f->max_payload_bytes);
	if (lines > f->max_payload_lines)
		return too_big(e, "payload", (size_t)lines, "lines", f->max_payload_lines);
	return 0;
}

/* One object, however spread over lines, is one task; otherwise each line stands for itself. */
static void
take_tasks(const struct incoming *in)
{
	const char *p = in->m->payload;
	size_t len = in->m->len;

	while (len && is_space(p[len - 1]))
		len--;
	if (!memchr(p, '\n', len) || json_check(p, len, NULL) == 0)
		take_line(in, p, len, 0);
	else
		take_lines(in);
}

static void
task_message(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	struct mqtt_msg silent = *m;
	struct incoming in = { c, house_find(c, t->name), t->id, m };
	struct err e;

	silent.response_topic = NULL;
	if (inbound_is_repeat(c, m)) {
		c->redelivered++;
		return;
	}
	inbound_note(c, m, true);
	/* One that is left over from a former configuration is owned by somebody else. */
	if (!in.house || in.house->place < 0)
		return;
	if (!in.house->owned || in.house->heir) {
		if (!(m->response_topic && !out_reply_allowed(c, m->response_topic, t->id)) && !check_payload(&in, &e))
			take_tasks(&in);
		return;
	}
	if (m->response_topic && !out_reply_allowed(c, m->response_topic, t->id)) {
		err_field(&e, ERR_DENIED, "response topic", m->response_topic, "uw/%s/client/%s/reply/<any>",
		    c->o.config->cluster, t->id);
		intake_refuse(c, in.house, in.sender, m->payload, m->len, &silent, 0, &e);
	} else if (check_payload(&in, &e)) {
		intake_refuse(c, in.house, in.sender, m->payload, m->len, m, 0, &e);
	} else {
		take_tasks(&in);
	}
}

static const struct {
	enum topic_kind kind;
	void (*take)(struct core *c, const struct topic *t, const struct mqtt_msg *m);
} takers[] = {
	{ TOPIC_EVENT, stream_event },
	{ TOPIC_WORK, work_message },
	{ TOPIC_HEALTH, peer_health },
	{ TOPIC_HAVE, peer_have },
	{ TOPIC_CLAIM, lease_message },
	{ TOPIC_RELAY, signed_message },
	{ TOPIC_POLICY, signed_message },
	{ TOPIC_HALT, signed_message },
	{ TOPIC_GRANT, signed_message },
	{ TOPIC_DECISION, signed_message },
	{ TOPIC_REQUEST, approval_request_message },
};

void
core_message(struct core *c, const struct mqtt_msg *m)
{
	struct topic t;

	if (topic_parse(m->topic, c->o.config->cluster, &t, NULL))
		return;
	if (t.kind == TOPIC_TASK && name_ok(t.id)) {
		task_message(c, &t, m);
		return;
	}
	inbound_note(c, m, false);
	for (size_t i = 0; i < sizeof takers / sizeof *takers; i++)
		if (takers[i].kind == t.kind)
			takers[i].take(c, &t, m);
	if (t.kind == TOPIC_REPLY) {
		forward_reply(c, m);
	} else if (t.kind == TOPIC_ECHO) {
		if (pulse_take(c, m))
			c->resumed = false;
	} else if ((t.kind == TOPIC_CANCEL || t.kind == TOPIC_QUERY) && name_ok(t.id)) {
		struct mqtt_msg silent = *m;

		if (m->response_topic && !out_reply_allowed(c, m->response_topic, t.id))
			silent.response_topic = NULL;
		request_message(c, &t, &silent);
	}
}

void
core_link_up(struct core *c, int broker, bool session)
{
	/* Another broker numbers its messages in another way. */
	if (broker != c->inbound_broker && session)
		inbound_forget(c);
	c->inbound_broker = broker;
	c->up = true;
	c->ready = true;
	c->broker = broker;
	c->resumed = session;
	c->due_changed = true;
	pulse_link_up(c);
	brokers_link_up(c);
	approval_forget_requests(c);
	lease_link_up(c);
	signed_link_up(c);
	alert_link_up(c);
	if (!session)
		inbound_forget(c);
}

void
core_link_down(struct core *c)
{
	bool left = c->next_broker >= 0;

	if (c->up) {
		c->down_mono_ms = c->now.mono_ms;
		c->former_pulse_ms = c->pulse_ms;
	}
	c->up = c->subscribed = c->greeted = false;
	c->reconnect = NULL;
	brokers_link_down(c);
	lease_link_down(c, left);
	out_link_down(c);
}

/* Nobody waits for it any more, so nothing may hold it in memory. */
static void
forget_conn(struct core *c, struct task *t)
{
	t->conn = 0;
	task_touch(c, t);
}

void
core_local_gone(struct core *c, uint64_t conn)
{
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = c->by_seq[i]; t; t = t->next_seq)
			if (t->conn == conn)
				forget_conn(c, t);
}

void
core_disk_low(struct core *c, bool low)
{
	if (low != c->disk_low)
		log_warnx("disk: %s", low ? "below the reserve, new tasks are refused" : "enough again");
	c->disk_low = low;
}

void
core_house_lacks(struct core *c, const char *house, const char *what)
{
	struct house *h = house_find(c, house);

	if (!h || strcmp(h->lacks, what ? what : "") == 0)
		return;
	if (!h->lacks[0])
		h->lacks_ms = c->now.mono_ms;
	snprintf(h->lacks, sizeof h->lacks, "%s", what ? what : "");
	log_warnx("house %s: %s%s", h->name, what ? "this host does not reach " : "this host reaches what it needs again", what ? what : "");
}

void
core_drain(struct core *c)
{
	c->draining = true;
}

/* ---- time ---- */

static void
cap_due(struct core *c)
{
	if (!c->due_changed || c->open)
		return;
	c->due_changed = false;
	c->next_due_ms = 0;
	for (int i = 0; i < c->nhouses; i++) {
		int64_t at = c->houses[i].owned ? store_next_due(c, &c->houses[i], c->up) : 0;

		int64_t breaker = c->houses[i].owned ? breaker_next_due(c, &c->houses[i]) : 0;
		int64_t routine = c->houses[i].owned ? routine_next_due(c, &c->houses[i]) : 0;

		if (breaker && (!at || breaker < at))
			at = breaker;
		if (routine && (!at || routine < at))
			at = routine;
		if (at && (!c->next_due_ms || at < c->next_due_ms))
			c->next_due_ms = at;
	}
}

static void
tick_house(struct core *c, struct house *h)
{
	store_due(c, h, TASK_SCHEDULED, attempt_due);
	store_due(c, h, TASK_RETRYING, attempt_due);
	store_due(c, h, TASK_WAITING, approval_due);
	store_deadlines(c, h, attempt_expire);
	if (c->up)
		store_due(c, h, TASK_FORWARDED, forward_again);
}

/* What was given is over before it could start. */
static void
give_back_expired(struct core *c, const struct task_list *l)
{
	for (struct task *t = l->head, *next; t; t = next) {
		next = t->next;
		if (t->until_ms && t->until_ms <= c->now.wall_ms)
			attempt_unchoose(c, t);
	}
}

void
core_tick(struct core *c)
{
	pulse_check(c);
	brokers_tick(c);
	lease_tick(c);
	seen_tick(c);
	work_tick(c);
	audit_tick(c);
	output_tick(c);
	after_tick(c);
	schedule_tick(c);
	routine_tick(c);
	breaker_tick(c);
	flow_tick(c);
	alert_tick(c);
	stress_tick(c);
	if (c->draining)
		house_give_back(c, NULL);
	give_back_expired(c, &c->starts);
	give_back_expired(c, &c->starts_late);
	if (c->next_due_ms && c->next_due_ms <= c->now.wall_ms) {
		c->due_changed = true;
		for (int i = 0; i < c->nhouses; i++)
			if (c->houses[i].owned)
				tick_house(c, &c->houses[i]);
	}
	if (c->lazy && !c->lazy_since_ms)
		c->lazy_since_ms = c->now.mono_ms;
}

/* ---- starting and stopping ---- */

void
core_slots(struct core *c, unsigned idle, unsigned quick)
{
	unsigned taken = c->chosen;

	if (idle > c->slots)
		c->slots = idle;
	c->idle = idle > taken ? idle - taken : 0;
	c->quick = quick > taken * POOL_QUICK_DEPTH ? quick - taken * POOL_QUICK_DEPTH : 0;
	c->round = ROUND_ANY;
	house_schedule(c);
}

/* Its STARTING is on disk. That it runs now is told with the next commit, which nothing waits for. */
static void
is_started(struct core *c, struct task *t)
{
	t->chosen = false;
	flow_is_out(c, t);
	if (t->state != TASK_STARTING)
		return;
	task_enter(c, t, TASK_RUNNING);
	t->announced = false;
}

bool
core_next_start(struct core *c, unsigned idle, unsigned quick, struct pool_start *s)
{
	struct task *t = c->starts.head;

	if (work_next_start(c, idle, quick, s))
		return true;
	if (!t || !(t->quick ? quick : idle) || !lease_may_start(c, t->house))
		return false;
	list_remove(&c->starts, t);
	c->chosen--;
	is_started(c, t);
	ulid_format(&t->id, c->start_id);
	*s = (struct pool_start){ .handle = attempt_handle(t), .tool = t->tool_name, .house = task_house_name(t),
		.task_id = c->start_id, .traceparent = t->traceparent, .params = t->params, .params_len = strlen(t->params),
		.timeout_ms = attempt_timeout_ms(t->house, t->tool, t->learned_timeout_s ? t->learned_timeout_s : t->timeout_s), .quick = t->quick, .terms = t->terms,
		.terms_len = t->terms ? strlen(t->terms) : 0 };
	return true;
}

void
core_queue_stop(struct core *c, uint64_t handle)
{
	if (c->nstops == c->stops_cap) {
		c->stops_cap = c->stops_cap ? 2 * c->stops_cap : 16;
		c->stops = xrealloc(c->stops, c->stops_cap * sizeof *c->stops);
	}
	c->stops[c->nstops++] = handle;
}

bool
core_next_stop(struct core *c, uint64_t *handle)
{
	if (!c->nstops)
		return false;
	*handle = c->stops[--c->nstops];
	return true;
}

unsigned
core_quick_out(const struct core *c)
{
	return c->quick_out;
}

/* ---- commit ---- */

static bool
lazy_is_due(const struct core *c)
{
	return c->lazy && (c->draining || (c->lazy_since_ms && c->now.mono_ms - c->lazy_since_ms >= LAZY_COMMIT_MS));
}

bool
core_is_dirty(const struct core *c)
{
	return c->urgent || lazy_is_due(c);
}

static void
announce(struct core *c)
{
	for (struct task *t = c->dirty; t; t = t->next_dirty)
		if ((t->state == TASK_RUNNING || t->state == TASK_STARTING) && !t->announced && t->house->owned)
			attempt_announce(c, t);
}

/* What may not run twice, is counted, waited for others, or is a breaker's probe, waits until all in step know that it begins. */
static bool
may_go(const struct core *c, const struct task *t)
{
	if (t->dirty || !lease_may_start(c, t->house) || (t->until_ms && t->until_ms <= c->now.wall_ms))
		return false;
	return (t->state != TASK_STARTING && !t->nafter && !t->counted && !t->probe) || copies_have(t->house, t->version) ||
	    IS_MUTANT(MUTANT_EARLY_GO);
}

/* Those that waited for their rows may go: the rows are there. Whatever is chosen after this waits for the
 * next commit. */
static void
release_late(struct core *c)
{
	for (struct task *t = c->starts_late.head, *next; t; t = next) {
		next = t->next;
		if (!may_go(c, t))
			continue;
		list_remove(&c->starts_late, t);
		t->late = false;
		/* Who comes into step from now on must know of it, as of what was told. */
		if (t->state == TASK_STARTING && t->house->told < t->version && !IS_MUTANT(MUTANT_EARLY_GO))
			t->house->told = t->version;
		if (t->at) {
			c->chosen--;
			is_started(c, t);
			work_send(c, t);
		} else {
			list_push(&c->starts, t);
		}
	}
}

int
core_commit(struct core *c, struct err *e)
{
	if (core_is_dirty(c)) {
		announce(c);
		stream_tell_have(c);
		audit_close(c);
		out_bound(c);
		out_number(c);
		if (store_commit(c, e) && !IS_MUTANT(MUTANT_FAILED_COMMIT))
			return -1;
		c->urgent = c->lazy = false;
		c->lazy_since_ms = 0;
	}
	c->committed = true;
	return 0;
}

void
core_release(struct core *c, struct core_now now)
{
	/* The disk held us up: what we say of ourselves is not true any more. */
	if (now.mono_ms - c->now.mono_ms > STALE_MS) {
		c->unsaid = true;
		out_forget(c, c->health_topic);
		lease_take_back(c);
	}
	c->now = now;
	lease_check(c, false);
	release_late(c);
	out_promote(c);
}

static bool
is_held(const struct task *t)
{
	bool begun = t->state == TASK_RUNNING || t->state == TASK_STARTING;

	return t->lane || t->dirty || (begun && t->house && t->house->owned) ||
	    (t->conn && !task_state_is_terminal(t->state));
}

/* What became dirty after the commit stays, for the next one. */
static void
let_go(struct core *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->ntouched; i++) {
		struct task *t = c->touched[i];

		t->touched = t->dirty;
		if (t->touched)
			c->touched[kept++] = t;
		if (!is_held(t)) {
			task_untrack(c, t);
			task_free(t);
		} else if (!t->chosen) {
			free(t->params);
			free(t->terms);
			t->params = t->terms = NULL;
		}
	}
	c->ntouched = kept;
	task_forget_keys(c);
	drop_rejects(c);
	c->nrejects = 0;
}

bool
core_next_local(struct core *c, uint64_t *conn, const char **text, size_t *len)
{
	struct local_out *l = c->local;

	if (c->local_given) {
		c->local = l->next;
		buf_free(&l->body);
		free(l);
		c->local_given = false;
		l = c->local;
	}
	if (!l)
		return false;
	*conn = l->conn;
	*text = l->body.data;
	*len = l->body.len;
	c->local_given = true;
	return true;
}

int64_t
core_end(struct core *c)
{
	int64_t next = c->now.mono_ms + TIDY_EVERY_MS, due;

	c->open = false;
	after_turn(c);
	let_go(c);
	c->refilled = false;
	house_refill(c);
	let_go(c);
	if (c->now.mono_ms >= c->tidy_mono_ms || c->last_seq - c->tidy_seq >= TIDY_AFTER) {
		store_tidy(c);
		c->tidy_seq = c->last_seq;
		c->tidy_mono_ms = c->now.mono_ms + TIDY_EVERY_MS;
	}
	cap_due(c);
	if (c->next_due_ms) {
		due = c->now.mono_ms + c->next_due_ms - c->now.wall_ms;
		if (due < next)
			next = due;
	}
	if (c->lazy && c->now.mono_ms + LAZY_COMMIT_MS < next)
		next = c->now.mono_ms + LAZY_COMMIT_MS;
	if (c->output_ms && c->output_ms < next)
		next = c->output_ms;
	if (c->pace_ms && c->pace_ms < next)
		next = c->pace_ms;
	if (c->lease_next_ms && c->lease_next_ms < next)
		next = c->lease_next_ms;
	if (c->flow_ms && c->flow_ms < next)
		next = c->flow_ms;
	return c->urgent || c->refilled || after_is_due(c) || breaker_is_due(c) ? c->now.mono_ms : next;
}

/* ---- what the shell needs ---- */

/* What a candidate of a house hears, what an agent that does its work, and what everybody. "+" stands where the
 * name is not the house's or ours. */
enum { OF_CANDIDATE = 1, OF_SHARED = 2, OF_WORKER = 4, OF_SIGNED = 8 };

static const struct {
	enum topic_kind kind;
	unsigned who;
	bool by_house;                  /* the house is the last level */
	int qos;
} house_topics[] = {
	{ TOPIC_TASK, OF_CANDIDATE, false, 1 },
	{ TOPIC_CANCEL, OF_CANDIDATE, false, 1 },
	{ TOPIC_QUERY, OF_CANDIDATE, false, 1 },
	{ TOPIC_EVENT, OF_SHARED | OF_WORKER, false, 1 },
	{ TOPIC_CLAIM, OF_SHARED, false, 1 },
	{ TOPIC_HAVE, OF_SHARED, true, 0 },
	{ TOPIC_REQUEST, OF_SIGNED, false, 1 },
};

static unsigned
part_in(const struct core *c, const struct house *h)
{
	bool others = h->home && (h->home->n > 1 || strcmp(h->home->v[0], c->o.agent) != 0);

	if (h->place < 0)
		return 0;
	return OF_CANDIDATE | (lease_is_shared(h) ? OF_SHARED : 0) | (others ? OF_WORKER : 0) |
	    (signed_is_on(c) ? OF_SIGNED : 0);
}

#define UNSIGNED 4      /* those before what the sovereign signs */

static bool
general_subscription(const struct core *c, size_t i, char topic[TOPIC_MAX], int *qos)
{
	/* Heartbeats of a former life must not wait for us. A second agent under our name shows by them too. */
	const struct {
		enum topic_kind kind;
		const char *name, *id;
		int qos;
	} all[] = {
		{ TOPIC_WORK, c->o.agent, "+", 1 },
		{ TOPIC_ECHO, c->o.agent, "self", 1 },
		{ TOPIC_REPLY, c->o.agent, "+", 1 },
		{ TOPIC_HEALTH, "+", "state", 0 },
		{ TOPIC_DECISION, c->o.config->sovereign, "+", 1 },
		{ TOPIC_HALT, c->o.config->sovereign, "+", 1 },
		{ TOPIC_POLICY, c->o.config->sovereign, "+", 1 },
		{ TOPIC_GRANT, c->o.config->sovereign, "+", 1 },
		{ TOPIC_RELAY, "+", "+", 1 },
	};

	if (i >= (signed_is_on(c) ? sizeof all / sizeof *all : UNSIGNED))
		return false;
	topic_format(topic, c->o.config->cluster, all[i].kind, all[i].name, all[i].id);
	*qos = all[i].qos;
	return true;
}

bool
core_subscription(const struct core *c, size_t i, char topic[TOPIC_MAX], int *qos)
{
	size_t n = 0;

	for (int h = 0; h < c->nhouses; h++)
		for (size_t k = 0; k < sizeof house_topics / sizeof *house_topics; k++) {
			const char *name = c->houses[h].name;

			if (!(part_in(c, &c->houses[h]) & house_topics[k].who) || n++ != i)
				continue;
			topic_format(topic, c->o.config->cluster, house_topics[k].kind, house_topics[k].by_house ? "+" : name,
			    house_topics[k].by_house ? name : "+");
			*qos = house_topics[k].qos;
			return true;
		}
	return general_subscription(c, i - n, topic, qos);
}

const char *
core_client_id(const struct core *c)
{
	return c->client_id;
}

const char *
core_boot(const struct core *c)
{
	return c->boot;
}

const char *
core_health_topic(const struct core *c)
{
	return c->health_topic;
}

const char *
core_echo_topic(const struct core *c)
{
	return c->echo_topic;
}

const char *
core_echo_text(const struct core *c)
{
	return c->echo_text;
}

static void
put_outbox(struct buf *b, const struct core *c)
{
	json_put_key(b, "outbox");
	json_put_open(b, '{');
	json_kv_int(b, "bytes", c->box_total_bytes);
	json_kv_int(b, "in_flight", c->in_flight);
	json_kv_int(b, "dropped_events", c->dropped_events);
	if (c->dropped_ms)
		json_kv_time(b, "gap", c->dropped_ms);
	json_kv_int(b, "refused", c->refused_publishes);
	json_put_close(b, '}');
}

void
core_shrink(struct core *c)
{
	sqlite3_db_release_memory(c->db.h);
}

struct sqlite3 *
core_store(const struct core *c)
{
	return c->db.h;
}

unsigned
core_running(const struct core *c)
{
	return c->running;
}

bool
core_is_drained(const struct core *c)
{
	return c->running == 0 && lease_is_drained(c);
}

int
core_broker(const struct core *c)
{
	return c->broker;
}

const char *
core_must_reconnect(const struct core *c)
{
	return c->reconnect;
}

void
core_will(struct core *c, struct buf *b)
{
	json_put_open(b, '{');
	json_kv_str(b, "agent", c->o.agent);
	json_kv_str(b, "state", "offline");
	json_kv_str(b, "boot", c->boot);
	json_put_close(b, '}');
}

bool
core_owns(const struct core *c, const char *house)
{
	const struct house *h = house_find((struct core *)c, house);

	return h && h->owned && !h->heir;
}

void
core_health(struct core *c, const char *state, const char *pool_json, struct buf *b)
{
	int64_t skew;

	json_put_open(b, '{');
	json_kv_str(b, "agent", c->o.agent);
	json_kv_str(b, "state", state);
	json_kv_str(b, "boot", c->boot);
	json_kv_int(b, "seq", (int64_t)++c->health_seq);
	json_kv_time(b, "time", c->now.wall_ms);
	json_kv_int(b, "up_s", (c->now.mono_ms - c->started_mono_ms) / 1000);
	json_kv_str(b, "version", c->o.version);
	json_kv_str(b, "host", c->o.host);
	json_kv_str(b, "store", c->store_id);
	if (core_clock_skew(c, &skew))
		json_kv_int(b, "clock_skew_ms", skew);
	peer_put_health(c, b);
	if (pool_json)
		json_kv_raw(b, "pool", pool_json, strlen(pool_json));
	put_outbox(b, c);
	json_kv_int(b, "accepted", c->accepted);
	json_kv_int(b, "rejected", c->rejected);
	json_kv_int(b, "duplicates", c->duplicates + c->redelivered);
	json_kv_bool(b, "disk_low", c->disk_low);
	core_put_stress(c, b);
	signed_put_health(c, b);
	audit_put_health(c, b);
	json_put_close(b, '}');
}
