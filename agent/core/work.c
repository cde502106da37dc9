/*
 * work.c - attempts that run on one agent for a house that another owns: both sides of it.
 *
 * The owner addresses an attempt to an agent's present life (its boot) and numbers what it sends, so nothing that
 * comes twice or late starts twice. The agent keeps its report on disk until the owner, whoever that is by then,
 * has acknowledged it. A new owner asks everybody what runs; what nobody names within a while is lost.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "shape.h"
#include "state.h"

#define ALIVE_MS 3000           /* heard within this time: may be given work */
#define SILENT_MS 5000          /* unheard for so long: what it had is lost */
#define CHECK_MS 10000          /* what was given away and runs for so long is asked after */
#define CHECK_AGAIN_MS 30000
#define ANSWER_MS 6000
#define LATE_MS 4000
#define REPORT_AGAIN_MS 5000
#define WAITING_MAX 4           /* times the number of workers, that may wait here */
#define QUICK_EACH 8            /* quick attempts for each worker */
#define PLAN_MS 30000           /* to say what a task would touch */

static const char *const hows[] = {
	[POOL_SUCCEEDED] = "succeeded", [POOL_FAILED] = "failed", [POOL_TIMEOUT] = "timeout",
	[POOL_CRASHED] = "crashed", [POOL_STOPPED] = "stopped", [POOL_NOT_RUN] = "not_run",
};

#define NHOWS (sizeof hows / sizeof *hows)

const char *
work_how(enum pool_how how)
{
	return hows[how];
}

struct buf *
work_line(struct core *c, const char *agent, const struct house *h, const char *op)
{
	char topic[TOPIC_MAX];
	struct buf *b;

	topic_format(topic, c->o.config->cluster, TOPIC_WORK, agent, c->o.agent);
	b = out_line(c, topic, NULL, NULL, 0);
	json_put_open(b, '{');
	json_kv_str(b, "op", op);
	json_kv_str(b, "house", h->name);
	term_put(b, "term", &h->term);
	return b;
}

static void
put_attempt(struct buf *b, const struct ulid *id, int attempt)
{
	char text[ULID_TEXT];

	ulid_format(id, text);
	json_kv_str(b, "id", text);
	json_kv_int(b, "attempt", attempt);
}

static void plan(struct core *c, struct house *h, const struct ulid *id, const cJSON *task);

/* ---- the owner: who shall run it ---- */

struct offer {
	struct peer *at;        /* NULL: we */
	int room;
};

static int
room_of(const struct core *c, const struct peer *p, const struct task *t)
{
	int slots = (int)p->slots * (t->quick ? QUICK_EACH : 1);

	if (!peer_is_alive(c, p, ALIVE_MS) || p->stopping || p->broker != c->broker)
		return -1;
	return p->signed_less ? 0 : slots - (int)p->given;
}

/* Of those with room, by what was learned: each is drawn for by his chance, so that who seems worse is tried now and
 * then, too. Who has less room than another must be better for it. */
static struct peer *
best_offer(struct core *c, const struct task *t, const struct offer *offers, int n, int room)
{
	struct peer *best = NULL;
	double most = -1;

	for (int i = 0; i < n; i++) {
		const struct peer *p = offers[i].at;
		double bid = learn_bid(c, t, p ? p->name : c->o.agent, offers[i].room == room);

		if (bid > most) {
			most = bid;
			best = offers[i].at;
		}
	}
	return best;
}

/* The least loaded of the house's own agents; we stand in when none of them is there. */
bool
work_choose(struct core *c, const struct house *h, struct task *t, bool here, struct peer **at)
{
	bool barred = breaker_bars(c, h, t, c->o.agent);
	int best = here && !barred ? (int)c->idle * (t->quick ? QUICK_EACH : 1) : 0, n = 0;
	bool at_home = !h->home || config_names_has(h->home, c->o.agent), any = at_home, chosen;
	struct offer offers[CONFIG_MAX_AGENTS + 1];
	struct peer *usual;

	*at = NULL;
	t->instead = NULL;
	if (h->local || !h->home || (at_home && h->home->n == 1) || !c->up)
		return here && !barred;
	if (!at_home)
		best = 0;
	if (best > 0)
		offers[n++] = (struct offer){ .room = best };
	for (size_t i = 0; i < h->home->n; i++) {
		struct peer *p = peer_find(c, h->home->v[i]);
		int room = p ? room_of(c, p, t) : -1;

		any |= room >= 0;
		if (room > 0 && breaker_bars(c, h, t, p->name))
			continue;
		if (room > 0)
			offers[n++] = (struct offer){ p, room };
		if (room > best) {
			best = room;
			*at = p;
		}
	}
	chosen = *at || (here && !barred && (at_home || !any));
	if (!chosen || n < 2 || !learn_adapts(c, t))
		return chosen;
	usual = *at;
	*at = best_offer(c, t, offers, n, best);
	if (*at != usual)
		t->instead = usual ? usual->name : c->o.agent;
	return true;
}

/* Who is full may have it when there is room; who is gone does not count. */
bool
work_is_barred(struct core *c, struct task *t)
{
	const struct house *h = t->house;
	bool at_home = !h->home || config_names_has(h->home, c->o.agent), any = at_home;

	for (size_t i = 0; c->up && h->home && i < h->home->n; i++) {
		struct peer *p = peer_find(c, h->home->v[i]);

		if (!p || room_of(c, p, t) < 0)
			continue;
		any = true;
		if (!breaker_bars(c, h, t, p->name))
			return false;
	}
	return (any && !at_home) || breaker_bars(c, h, t, c->o.agent);
}

void
work_send(struct core *c, struct task *t)
{
	struct buf *b = work_line(c, t->at->name, t->house, "start");

	put_attempt(b, &t->id, t->attempt);
	json_kv_int(b, "n", ++t->at->last_work);
	json_kv_str(b, "boot", t->at->boot);
	json_kv_str(b, "from_boot", c->boot);
	json_kv_int(b, "heard", t->at->beat);
	json_kv_int(b, "timeout_s", t->learned_timeout_s ? t->learned_timeout_s : t->timeout_s);
	json_kv_str(b, "sender", t->sender);
	if (t->approval)
		json_kv_raw(b, "approval", t->approval, strlen(t->approval));
	if (approval_wants_reads(c, t)) {
		cJSON *reads = approval_reads(c, t);

		json_put_key(b, "reads");
		json_put_tree(b, reads);
		cJSON_Delete(reads);
	}
	json_kv_raw(b, "task", t->body, t->body_len);
	out_end_line(b);
	attempt_await(c, t, CHECK_MS);
}

void
work_plan(struct core *c, struct task *t, struct peer *at)
{
	struct buf *b;

	if (!at) {
		cJSON *task = cJSON_ParseWithLength(t->body, t->body_len);

		plan(c, t->house, &t->id, task);
		cJSON_Delete(task);
		return;
	}
	b = work_line(c, at->name, t->house, "plan");
	put_attempt(b, &t->id, 0);
	json_kv_raw(b, "task", t->body, t->body_len);
	out_end_line(b);
}

void
work_stop(struct core *c, struct task *t)
{
	struct buf *b = work_line(c, t->at->name, t->house, "stop");

	put_attempt(b, &t->id, t->attempt);
	out_end_line(b);
}

/* Who was there before we had to connect anew, and is not heard here yet, is on his way too. */
static bool
may_answer(const struct core *c, const struct peer *p)
{
	return peer_is_alive(c, p, SILENT_MS) || (!p->offline && p->heard_ms && p->heard_ms < c->up_mono_ms);
}

/* To everybody who may run something of it. */
void
work_ask(struct core *c, struct house *h)
{
	h->nasked = 0;
	for (int i = 0; i < c->npeers; i++) {
		struct peer *p = &c->peers[i];

		if (!house_copy(h, p) && !(h->home && config_names_has(h->home, p->name)))
			continue;
		out_end_line(work_line(c, p->name, h, "what"));
		if (may_answer(c, p) && h->nasked < COPIES_MAX)
			h->asked[h->nasked++] = p;
	}
	if (!h->nasked)
		h->nasked = -1;
}

/* ---- the owner: what comes of it ---- */

void
work_given_away(const struct task *t)
{
	struct given_away *g = xcalloc(1, sizeof *g);

	g->id = t->id;
	g->term = t->term;
	snprintf(g->boot, sizeof g->boot, "%s", t->at->boot);
	g->next = t->house->given_away;
	t->house->given_away = g;
}

void
work_forget_given_away(struct house *h)
{
	for (struct given_away *g; (g = h->given_away);) {
		h->given_away = g->next;
		free(g);
	}
}

/* An order of an older term is refused by whoever answers under this one: what it does not run now never begins, or
 * has ended while it owned the house itself. */
static void
mark_given_away(struct house *h, const cJSON *o)
{
	struct term term, log;

	if (h->unclean || !term_parse(json_text(o, "term"), &term) || !term_equal(&term, &h->term) ||
	    !term_parse(json_text(o, "log"), &log) || !stream_knows_term(h, &log))
		return;
	for (struct given_away *g = h->given_away; g; g = g->next)
		g->back |= strcmp(g->boot, json_text(o, "boot")) == 0;
}

/* It got there, and began. */
static void
forget_one_given_away(struct house *h, const struct ulid *id)
{
	for (struct given_away **g = &h->given_away; *g;) {
		struct given_away *one = *g;

		if (!ulid_equal(&one->id, id)) {
			g = &one->next;
			continue;
		}
		*g = one->next;
		free(one);
	}
}

/* Nor has anybody else been given it since: no term is between ours. */
static bool
never_began(const struct task *t)
{
	for (const struct given_away *g = t->house->given_away; g; g = g->next)
		if (g->back && g->term.n + 1 == t->house->term.n && term_equal(&g->term, &t->term) && ulid_equal(&g->id, &t->id))
			return true;
	return false;
}

static void
each_away(struct core *c, bool (*pick)(struct core *c, struct task *t, const void *arg), const void *arg)
{
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = c->by_seq[i], *next; t; t = next) {
			next = t->next_seq;
			if (t->house && t->house->owned && (t->state == TASK_RUNNING || t->state == TASK_STARTING) &&
			    !t->chosen && pick(c, t, arg)) {
				if (never_began(t))
					attempt_ended(c, t, &(struct pool_end){ .how = POOL_NOT_RUN });
				else
					attempt_lost(c, t);
			}
		}
}

static bool
is_at(struct core *c, struct task *t, const void *peer)
{
	(void)c;
	return t->at == peer;
}

/* What an agent was given, and does not report, may never have got there: it is asked first. */
static bool
is_overdue(struct core *c, struct task *t, const void *arg)
{
	(void)arg;
	if (!t->lost_ms)
		return false;
	c->awaits = true;
	if (t->lost_ms > c->now.mono_ms)
		return false;
	if (!t->at || t->asked)
		return true;
	work_ask(c, t->house);
	attempt_await(c, t, ANSWER_MS);
	t->asked = true;
	return false;
}

static bool
is_nobodys(struct core *c, struct task *t, const void *house)
{
	(void)c;
	return t->house == house && attempt_is_awaited(t);
}

/* When all have answered, what nobody named runs nowhere. */
static void
has_answered(struct core *c, struct house *h, const struct peer *p)
{
	for (int i = 0; i < h->nasked; i++)
		if (h->asked[i] == p) {
			h->asked[i] = h->asked[--h->nasked];
			if (!h->nasked)
				each_away(c, is_nobodys, h);
			return;
		}
}

void
work_peer_lost(struct core *c, struct peer *p)
{
	for (int i = 0; i < c->nhouses; i++)
		if (c->houses[i].owned)
			has_answered(c, &c->houses[i], p);
	if (p->given)
		each_away(c, is_at, p);
	p->given = 0;
}

static int
read_how(const char *text, enum pool_how *how)
{
	for (size_t i = 0; i < NHOWS; i++)
		if (strcmp(hows[i], text) == 0) {
			*how = (enum pool_how)i;
			return 0;
		}
	return -1;
}

static void
read_error(const cJSON *o, struct err *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "error");

	memset(e, 0, sizeof *e);
	if (!v)
		return;
	err_set(e, err_code_parse(json_text(v, "code")), "%s", json_text(v, "message"));
	snprintf(e->field, sizeof e->field, "%s", json_text(v, "field"));
	snprintf(e->expected, sizeof e->expected, "%s", json_text(v, "expected"));
	snprintf(e->got, sizeof e->got, "%s", json_text(v, "got"));
}

static bool
is_awaited(const struct task *t, int attempt)
{
	return t->house->owned && (t->state == TASK_RUNNING || t->state == TASK_STARTING) && t->attempt == attempt &&
	    !t->here && !t->chosen;
}

static void
end_attempt(struct core *c, struct task *t, const cJSON *o, struct pool_end *end)
{
	char *result = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, "result"));
	char *notes = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, "notes"));

	end->result = result;
	end->result_len = result ? strlen(result) : 0;
	end->notes = notes;
	end->notes_len = notes ? strlen(notes) : 0;
	if (t->state == TASK_STARTING)
		task_enter(c, t, TASK_RUNNING);
	attempt_ended(c, t, end);
	cJSON_free(result);
	cJSON_free(notes);
}

/* Given up, and here it is after all. Nothing but what was uncertain may be settled by it. */
static void
settle_late(struct core *c, struct task *t, const cJSON *o, const struct pool_end *end)
{
	if (t->state != TASK_UNCERTAIN || attempt_was_forgotten(t) ||
	    (end->how != POOL_SUCCEEDED && !(end->how == POOL_FAILED && end->no_effect)))
		return;
	attempt_take_outcome(t, o);
	attempt_settle(c, t, end->how == POOL_SUCCEEDED ? TASK_SUCCEEDED : TASK_FAILED);
}

/* Owners number attempts as they know them: that one of this number came to nothing under another term says
 * nothing about the one that was given since. Where one agent alone may own the house, it knows them all. */
static bool
is_anothers(const struct task *t, const cJSON *o, const struct pool_end *end)
{
	bool came_to_nothing = end->how == POOL_NOT_RUN || end->how == POOL_STOPPED || end->no_effect || end->refused;
	struct term term;

	return came_to_nothing && lease_is_shared(t->house) &&
	    !(term_parse(json_text(o, "term"), &term) && term_equal(&term, &t->term));
}

static void
take_report(struct core *c, struct house *h, const cJSON *o)
{
	struct pool_end end = { .ran_us = json_number(o, "run_us", 0),
		.no_effect = json_is_true(o, "no_effect"), .refused = json_is_true(o, "refused"),
		.hopeless = json_is_true(o, "hopeless"), .retry_after_s = json_number(o, "retry_after_s", 0),
		.down = json_is_true(o, "down") };
	int attempt = (int)json_number(o, "attempt", 0);
	struct ulid id;
	struct task *t;

	if (!ulid_parse(json_text(o, "id"), &id) || read_how(json_text(o, "how"), &end.how))
		return;
	read_error(o, &end.err);
	t = task_by_id(c, h, &id);
	if (t && is_awaited(t, attempt)) {
		if (is_anothers(t, o, &end))
			return;
		t->cancelled |= json_is_true(o, "cancelled");
		end_attempt(c, t, o, &end);
	} else if (t && t->attempt == attempt) {
		settle_late(c, t, o, &end);
	}
}

/* Its start may not have been told when the former owner died. NULL: we do not wait for it. */
static struct task *
find_running(struct core *c, struct house *h, const struct ulid *id, int attempt, const struct term *term)
{
	struct task *t = task_by_id(c, h, id);

	if (t && (t->state == TASK_QUEUED || t->state == TASK_RETRYING || t->held) && attempt == t->attempt + 1) {
		lane_leave(c, t);
		if (t->state != TASK_QUEUED)
			task_enter(c, t, TASK_QUEUED);
		task_enter(c, t, TASK_RUNNING);
		t->attempt = (short)attempt;
		t->term = *term;
		t->due_ms = 0;
		flow_begins(c, t);
		task_touch(c, t);
	}
	return t && is_awaited(t, attempt) ? t : NULL;
}

/* The former owner may not have got to it, or his word not to whoever runs it. */
static void
stop_again(struct core *c, struct task *t)
{
	if (!t->cancelled)
		return;
	t->stopping = true;
	if (t->at)
		work_stop(c, t);
	else
		work_stop_here(c, t);
}

static void
is_running(struct core *c, struct house *h, struct peer *p, const cJSON *o)
{
	struct term term = { 0 };
	struct ulid id;
	struct task *t;

	term_parse(json_text(o, "term"), &term);
	if (!ulid_parse(json_text(o, "id"), &id) ||
	    !(t = find_running(c, h, &id, (int)json_number(o, "attempt", 0), &term)))
		return;
	/* His is of a former term, and has the same number by chance: the one that we run is the task's. */
	if (t->works)
		return;
	forget_one_given_away(h, &id);
	attempt_await(c, t, CHECK_AGAIN_MS);
	/* Whoever runs one of a former term under this number takes ours for it. */
	if (!term_equal(&t->term, &term)) {
		t->term = term;
		task_dirty(c, t);
	}
	if (t->at != p) {
		if (t->at && t->at->given)
			t->at->given--;
		t->at = p;
		p->given++;
	}
	stop_again(c, t);
}

static void
acknowledge(struct core *c, struct house *h, const char *agent, const cJSON *o)
{
	struct buf *b = work_line(c, agent, h, "ack");

	json_kv_str(b, "id", json_text(o, "id"));
	json_kv_int(b, "attempt", json_number(o, "attempt", 0));
	out_end_line(b);
	c->urgent = true;
}

void
work_told(struct core *c, struct house *h, const char *agent, cJSON *o)
{
	struct peer *p = peer_find(c, agent);

	if (!h->owned || !p || !house_may_work(c, h, agent))
		return;
	if (strcmp(json_text(o, "type"), "report") == 0) {
		take_report(c, h, o);
		acknowledge(c, h, agent, o);
	} else if (strcmp(json_text(o, "type"), "running") == 0) {
		is_running(c, h, p, o);
	} else if (strcmp(json_text(o, "type"), "running_all") == 0) {
		mark_given_away(h, o);
		has_answered(c, h, p);
	} else if (strcmp(json_text(o, "type"), "planned") == 0) {
		approval_planned(c, h, agent, o);
	}
}

/* ---- the one that runs it ---- */

struct work *
work_find(struct core *c, uint64_t handle)
{
	for (struct work *w = c->works; w; w = w->next)
		if (w->handle == handle)
			return w;
	return NULL;
}

static struct work *
find_attempt(struct core *c, const struct house *h, const struct ulid *id, int attempt)
{
	for (struct work *w = c->works; w; w = w->next)
		if (w->house == h && w->attempt == attempt && ulid_equal(&w->id, id))
			return w;
	return NULL;
}

static struct work *
add_work(struct core *c, struct house *h, uint64_t handle, const struct ulid *id, int attempt, const struct term *term,
    const char *tool)
{
	struct work *w = xcalloc(1, sizeof *w), **end = &c->works;

	w->handle = handle;
	w->house = h;
	w->id = *id;
	ulid_format(id, w->id_text);
	w->attempt = attempt;
	w->term = *term;
	snprintf(w->tool, sizeof w->tool, "%s", tool);
	while (*end)
		end = &(*end)->next;
	*end = w;
	return w;
}

static void
remove_work(struct core *c, struct work *w)
{
	struct work **p = &c->works;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	if (w->started) {
		c->running--;
		c->quick_out -= w->quick;
	}
	free(w->params);
	free(w->terms);
	free(w);
}

struct report *
work_add_report(struct core *c, struct house *h, const struct ulid *id, int attempt, char *line)
{
	struct report *r = xcalloc(1, sizeof *r), **end = &c->reports;

	r->n = ++c->last_report;
	r->house = h;
	r->id = *id;
	r->attempt = attempt;
	r->line = line;
	while (*end)
		end = &(*end)->next;
	*end = r;
	c->nreports++;
	return r;
}

static void
send_report(struct core *c, struct report *r)
{
	char topic[TOPIC_MAX];
	struct buf *b;

	topic_format(topic, c->o.config->cluster, TOPIC_EVENT, r->house->name, c->o.agent);
	b = out_line(c, topic, NULL, NULL, 0);
	buf_adds(b, r->line);
	buf_addc(b, '\n');
	r->sent_ms = c->now.mono_ms;
}

/* cancelled: its house asked for its stop. Whoever owns the house by now may not know. */
static void
report(struct core *c, struct house *h, const struct ulid *id, int attempt, const struct term *term,
    const struct pool_end *end, bool cancelled)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "type", "report");
	put_attempt(&b, id, attempt);
	term_put(&b, "term", term);
	json_kv_str(&b, "how", hows[end->how]);
	json_kv_int(&b, "run_us", end->ran_us);
	if (end->no_effect)
		json_kv_bool(&b, "no_effect", true);
	if (end->refused)
		json_kv_bool(&b, "refused", true);
	if (end->down)
		json_kv_bool(&b, "down", true);
	if (cancelled)
		json_kv_bool(&b, "cancelled", true);
	if (end->hopeless)
		json_kv_bool(&b, "hopeless", true);
	if (end->retry_after_s)
		json_kv_int(&b, "retry_after_s", end->retry_after_s);
	if (end->how == POOL_SUCCEEDED) {
		json_kv_raw(&b, "result", end->result, end->result_len);
	} else if (end->err.code) {
		json_put_key(&b, "error");
		json_put_err(&b, &end->err);
	}
	if (end->notes)
		json_kv_raw(&b, "notes", end->notes, end->notes_len);
	json_put_close(&b, '}');
	c->urgent = true;
	/* The house may be ours by now. */
	if (h->owned) {
		cJSON *o = cJSON_ParseWithLength(b.data, b.len);

		take_report(c, h, o);
		cJSON_Delete(o);
		buf_free(&b);
		return;
	}
	send_report(c, work_add_report(c, h, id, attempt, buf_take(&b)));
}

static struct buf *
line_for_owner(struct core *c, const struct house *h, const char *type)
{
	char topic[TOPIC_MAX];
	struct buf *b;

	topic_format(topic, c->o.config->cluster, TOPIC_EVENT, h->name, c->o.agent);
	b = out_line(c, topic, NULL, NULL, 0);
	json_put_open(b, '{');
	json_kv_str(b, "type", type);
	return b;
}

/* What it would touch, or why that cannot be said; later: it was not looked at. */
static void
put_plan(struct buf *b, const struct core *c, const struct work *w, const struct pool_end *end)
{
	const struct tool *tool = registry_find(c->o.tools, w->tool);

	json_kv_str(b, "id", w->id_text);
	if (tool)
		json_kv_str(b, "tool_digest", registry_digest(c->o.tools, tool));
	if (end->how == POOL_SUCCEEDED) {
		json_kv_raw(b, "plan", end->result, end->result_len);
		return;
	}
	json_kv_bool(b, "later", end->how == POOL_NOT_RUN || end->how == POOL_STOPPED);
	json_put_key(b, "error");
	json_put_err(b, &end->err);
}

static void
planned(struct core *c, struct work *w, const struct pool_end *end)
{
	struct house *h = w->house;
	struct buf b = { 0 };
	cJSON *o;

	if (!h->owned) {
		struct buf *line = line_for_owner(c, h, "planned");

		put_plan(line, c, w, end);
		out_end_line(line);
		remove_work(c, w);
		return;
	}
	json_put_open(&b, '{');
	put_plan(&b, c, w, end);
	json_put_close(&b, '}');
	remove_work(c, w);
	o = cJSON_ParseWithLength(b.data, b.len);
	approval_planned(c, h, c->o.agent, o);
	cJSON_Delete(o);
	buf_free(&b);
}

void
work_end(struct core *c, struct work *w, const struct pool_end *end)
{
	struct house *h = w->house;
	struct ulid id = w->id;
	struct term term = w->term;
	int attempt = w->attempt;
	bool cancelled = w->stopping;

	if (w->plan) {
		planned(c, w, end);
		return;
	}
	audit_attempt(c, w, end);
	learn_work(c, w, end);
	/* Whatever an owner says: what was approved once runs once. A failure may be followed by another try. */
	if (w->until_ms && (end->how == POOL_SUCCEEDED || end->how == POOL_CRASHED))
		store_use(c, USED_HERE, &w->id);
	remove_work(c, w);
	report(c, h, &id, attempt, &term, end, cancelled);
}

void
work_not_run(struct core *c, struct task *t)
{
	report(c, t->house, &t->id, t->attempt, &t->term, &(struct pool_end){ .how = POOL_NOT_RUN }, false);
}

void
work_keep(struct core *c, struct task *t)
{
	struct work *w = add_work(c, t->house, attempt_handle(t), &t->id, t->attempt, &t->term, t->tool_name);

	w->started = true;
	w->shape = t->shape;
	w->until_ms = t->until_ms;
	w->quick = t->quick;
	w->stopping = t->stopping;
	c->running++;
	c->quick_out += t->quick;
}

/* Reports again, too: the one before may have died with them. */
void
work_announce(struct core *c, struct house *h)
{
	struct buf *b;

	for (struct report *r = c->reports; r; r = r->next)
		if (r->house == h)
			send_report(c, r);
	for (const struct work *w = c->works; w; w = w->next)
		if (w->house == h && !w->plan) {
			b = line_for_owner(c, h, "running");
			put_attempt(b, &w->id, w->attempt);
			term_put(b, "term", &w->term);
			out_end_line(b);
		}
	b = line_for_owner(c, h, "running_all");
	term_put(b, "term", &h->term);
	term_put(b, "log", &h->log);
	json_kv_str(b, "boot", c->boot);
	out_end_line(b);
}

/* What the owner says of it, judged by what we hold ourselves. */
static int
set_terms(struct core *c, const cJSON *o, const cJSON *params, const struct tool *tool, struct work *w, struct err *e)
{
	const cJSON *approval = cJSON_GetObjectItemCaseSensitive(o, "approval");
	struct start s = { .id = &w->id, .house = w->house->name, .tool = tool, .params = params,
		.sender = json_text(o, "sender"), .until_ms = &w->until_ms };
	struct task_msg m;

	if (!signed_is_on(c))
		return 0;
	if (task_msg_read(cJSON_GetObjectItemCaseSensitive(o, "task"), &m, e))
		return -1;
	s.mode = m.mode;
	w->terms = approval_terms(c, &s, approval, cJSON_GetObjectItemCaseSensitive(o, "reads"), e);
	w->quick &= !approval;
	if (w->terms && w->quick) {
		free(w->terms);
		w->terms = NULL;
	} else if (!w->terms) {
		return -1;
	}
	return 0;
}

/* o: as the owner sent it, NULL: only what it would touch is asked. -1 with e: it cannot be run here. */
static int
read_task(struct core *c, const cJSON *task, const cJSON *o, struct work *w, struct err *e)
{
	const struct tool *tool = registry_find(c->o.tools, json_text(task, "tool"));
	cJSON *params = cJSON_GetObjectItemCaseSensitive(task, "params");
	int rc;

	if (!tool)
		return err_field(e, ERR_UNKNOWN_TOOL, "tool", json_text(task, "tool"), "a tool that agent %s has", c->o.agent);
	w->shape = shape_of(params);
	if (trace_is_valid(json_text(task, "traceparent")) && !IS_MUTANT(MUTANT_TRACE_LOST))
		snprintf(w->traceparent, sizeof w->traceparent, "%s", json_text(task, "traceparent"));
	params = params ? cJSON_Duplicate(params, true) : cJSON_CreateObject();
	w->quick = (tool->flags & TOOL_QUICK) && !w->plan;
	rc = registry_check(c->o.tools, tool, params, e);
	if (!rc && o)
		rc = set_terms(c, o, params, tool, w, e);
	if (!rc)
		w->params = task_params_text(params);
	cJSON_Delete(params);
	if (!w->plan)
		w->timeout_ms = attempt_timeout_ms(w->house, tool, w->timeout_ms / 1000);
	return rc;
}

static unsigned
waiting(const struct core *c)
{
	unsigned n = 0;

	for (const struct work *w = c->works; w; w = w->next)
		n += !w->started;
	return n;
}

/* The owner has heard that heartbeat of ours and none after it, so by now he may have given us up: because time has passed, or
 * since then our connection was lost, and the broker told him so. */
static bool
is_late(const struct core *c, int64_t heard)
{
	return heard <= c->former_beat || heard <= (int64_t)c->health_seq - PULSES || heard > (int64_t)c->health_seq ||
	    c->now.mono_ms - c->beat_made_ms[heard % PULSES] > LATE_MS;
}

static bool
may_begin(const struct core *c, const struct house *h, const cJSON *task)
{
	return signed_may_start(c) && !signed_halt(c, h->name, json_text(task, "tool")) &&
	    waiting(c) < WAITING_MAX * (c->slots + 1) * QUICK_EACH;
}

static void
start(struct core *c, struct house *h, struct peer *from, const cJSON *o, const struct ulid *id)
{
	const cJSON *task = cJSON_GetObjectItemCaseSensitive(o, "task");
	int attempt = (int)json_number(o, "attempt", 0);
	struct pool_end end = { .how = POOL_NOT_RUN };
	struct work *w;

	if (strcmp(json_text(o, "boot"), c->boot) != 0 || find_attempt(c, h, id, attempt))
		return;
	if (strcmp(from->work_boot, json_text(o, "from_boot")) == 0 && json_number(o, "n", 0) <= from->work_n)
		return;
	snprintf(from->work_boot, sizeof from->work_boot, "%.26s", json_text(o, "from_boot"));
	from->work_n = json_number(o, "n", 0);
	if (c->draining || is_late(c, json_number(o, "heard", 0)) || !may_begin(c, h, task)) {
		report(c, h, id, attempt, &h->term, &end, false);
		return;
	}
	w = add_work(c, h, WORK_HANDLES + ++c->last_work, id, attempt, &h->term, json_text(task, "tool"));
	w->timeout_ms = json_number(o, "timeout_s", 0) * 1000;
	if (read_task(c, task, o, w, &end.err) == 0)
		return;
	end.how = POOL_FAILED;
	end.no_effect = end.refused = true;
	work_end(c, w, &end);
}

static void
plan(struct core *c, struct house *h, const struct ulid *id, const cJSON *task)
{
	struct pool_end end = { .how = POOL_FAILED };
	struct work *w;

	if (find_attempt(c, h, id, 0))
		return;
	w = add_work(c, h, WORK_HANDLES + ++c->last_work, id, 0, &h->term, json_text(task, "tool"));
	w->plan = true;
	w->timeout_ms = PLAN_MS;
	if (c->draining || !may_begin(c, h, task))
		work_end(c, w, &(struct pool_end){ .how = POOL_NOT_RUN });
	else if (read_task(c, task, NULL, w, &end.err))
		work_end(c, w, &end);
}

static void
stop(struct core *c, struct house *h, const struct ulid *id, int attempt)
{
	struct work *w = find_attempt(c, h, id, attempt);

	if (!w || w->stopping)
		return;
	w->stopping = true;
	if (w->started)
		core_queue_stop(c, w->handle);
	else
		work_end(c, w, &(struct pool_end){ .how = POOL_STOPPED });
}

static void
forget_report(struct core *c, const struct house *h, const struct ulid *id, int attempt)
{
	for (struct report **p = &c->reports, *r; (r = *p); p = &r->next) {
		if (r->house != h || r->attempt != attempt || !ulid_equal(&r->id, id))
			continue;
		*p = r->next;
		c->nreports--;
		c->reports_done = xrealloc(c->reports_done, (c->nreports_done + 1) * sizeof *c->reports_done);
		if (r->stored)
			c->reports_done[c->nreports_done++] = r->n;
		c->lazy = true;
		free(r->line);
		free(r);
		return;
	}
}

void
work_drop_waiting(struct core *c)
{
	for (struct work *w = c->works, *next; w; w = next) {
		next = w->next;
		if (!w->started)
			work_end(c, w, &(struct pool_end){ .how = POOL_NOT_RUN });
	}
}

/* What was given for it is over before it could start. */
static bool
is_expired(const struct core *c, const struct work *w)
{
	return w->until_ms && w->until_ms <= c->now.wall_ms;
}

static void
drop_expired(struct core *c)
{
	for (struct work *w = c->works, *next; w; w = next) {
		next = w->next;
		if (!w->started && is_expired(c, w))
			work_end(c, w, &(struct pool_end){ .how = POOL_NOT_RUN });
	}
}

bool
work_next_start(struct core *c, unsigned idle, unsigned quick, struct pool_start *s)
{
	struct work *w = c->works;

	while (w && (w->started || is_expired(c, w) || !(w->quick ? quick : idle)))
		w = w->next;
	if (!w)
		return false;
	w->started = true;
	c->running++;
	c->quick_out += w->quick;
	*s = (struct pool_start){ .handle = w->handle, .tool = w->tool, .house = w->house->name, .task_id = w->id_text, .traceparent = w->traceparent,
		.params = w->params, .params_len = strlen(w->params), .timeout_ms = w->timeout_ms, .quick = w->quick,
		.plan = w->plan, .terms = w->terms, .terms_len = w->terms ? strlen(w->terms) : 0 };
	return true;
}

/* ---- messages ---- */

/* From the owner to us. */
static void
order(struct core *c, struct house *h, struct peer *from, const char *op, const cJSON *o)
{
	int attempt = (int)json_number(o, "attempt", 0);
	struct ulid id;
	struct term t;

	if (!term_parse(json_text(o, "term"), &t) || strcmp(t.agent, from->name) != 0)
		return;
	lease_heard(c, h, &t);
	/* A house of which we are no candidate has a term that only this tells. */
	if (!lease_is_shared(h) && term_is_less(&h->term, &t))
		h->term = t;
	if (!term_equal(&t, &h->term))
		return;
	if (strcmp(op, "what") == 0)
		work_announce(c, h);
	else if (!ulid_parse(json_text(o, "id"), &id))
		;
	else if (strcmp(op, "start") == 0)
		start(c, h, from, o, &id);
	else if (strcmp(op, "plan") == 0)
		plan(c, h, &id, cJSON_GetObjectItemCaseSensitive(o, "task"));
	else if (strcmp(op, "stop") == 0)
		stop(c, h, &id, attempt);
	else if (strcmp(op, "ack") == 0)
		forget_report(c, h, &id, attempt);
}

static void
take_seen(struct core *c, struct house *h, const cJSON *o)
{
	const char *line = json_text(o, "line"), *sender = json_text(o, "sender"), *reply = json_text(o, "reply");
	struct mqtt_msg m = { .response_topic = *reply && out_reply_allowed(c, reply, sender) ? reply : NULL };
	struct buf correlation = { 0 };

	reply_to_correlation(json_text(o, "correlation"), &correlation, NULL);
	m.correlation = correlation.data;
	m.correlation_len = correlation.len;
	if (h->owned && !h->heir && *line && name_ok(sender))
		intake_line(c, h, sender, line, strlen(line), 0, &m, 0);
	buf_free(&correlation);
}

static void
one_line(struct core *c, struct peer *from, const cJSON *o)
{
	struct house *h = house_find(c, json_text(o, "house"));
	const char *op = json_text(o, "op");

	if (!h || !house_may_own(c, h, from->name))
		return;
	if (strcmp(op, "take") == 0)
		lease_take(c, h, from, o);
	else if (strcmp(op, "wont") == 0)
		lease_wont(c, h, from, o);
	else if (strcmp(op, "seen") == 0)
		take_seen(c, h, o);
	else if (strcmp(op, "output") == 0)
		output_asked(c, h, o);
	else if (!stream_work(c, h, from, op, o) && !h->owned)
		order(c, h, from, op, o);
}

void
work_message(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	struct peer *from = peer_find(c, t->id);
	const char *p = m->payload, *end = p + m->len;

	while (from && peer_is_understood(c, from) && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);
		cJSON *o = len ? json_parse_object(p, len, NULL) : NULL;

		if (o)
			one_line(c, from, o);
		cJSON_Delete(o);
		p += len + 1;
	}
}

static void
take_own_report(struct core *c, struct report *r)
{
	cJSON *o = cJSON_Parse(r->line);
	struct ulid id = r->id;

	take_report(c, r->house, o);
	cJSON_Delete(o);
	forget_report(c, r->house, &id, r->attempt);
}

/* What waits here never began. */
void
work_resume(struct core *c, struct house *h)
{
	for (struct report *r = c->reports, *next; r; r = next) {
		next = r->next;
		if (r->house == h)
			take_own_report(c, r);
	}
	for (struct work *w = c->works, *next; w; w = next) {
		struct task *t;

		next = w->next;
		if (w->house != h)
			continue;
		if (!w->started) {
			work_end(c, w, &(struct pool_end){ .how = POOL_NOT_RUN });
		} else if (w->plan) {
			;
		} else if ((t = find_running(c, h, &w->id, w->attempt, &w->term))) {
			t->works = true;
			t->lost_ms = 0;
			stop_again(c, t);
		}
	}
}

void
work_stop_here(struct core *c, struct task *t)
{
	stop(c, t->house, &t->id, t->attempt);
}

void
work_tick(struct core *c)
{
	drop_expired(c);
	for (int i = 0; i < c->npeers; i++)
		if (c->peers[i].given && !peer_is_alive(c, &c->peers[i], SILENT_MS))
			work_peer_lost(c, &c->peers[i]);
	if (c->awaits && c->now.mono_ms - c->awaited_ms >= 1000) {
		c->awaited_ms = c->now.mono_ms;
		c->awaits = false;
		each_away(c, is_overdue, NULL);
	}
	for (struct report *r = c->reports; r && c->up; r = r->next) {
		if (r->house->owned) {
			take_own_report(c, r);
			break;
		}
		if (c->now.mono_ms - r->sent_ms > REPORT_AGAIN_MS)
			send_report(c, r);
	}
}

void
work_release(struct core *c)
{
	while (c->works)
		remove_work(c, c->works);
	for (struct report *r = c->reports, *next; r; r = next) {
		next = r->next;
		free(r->line);
		free(r);
	}
	free(c->reports_done);
}
