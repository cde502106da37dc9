/*
 * house.c - the queues of the houses that this agent owns, and what starts next.
 *
 * All queued tasks have a row; the first of them in order (priority, then age) are also in memory, the
 * window, which is bounded in tasks and in bytes. While `spilled`, the window ends at (last_priority,
 * last_seq) and all behind it is on disk only. The window is refilled between turns, when every queued task
 * has its row.
 */
#include <string.h>

#include "json.h"
#include "state.h"

struct house *
house_find(struct core *c, const char *name)
{
	for (int i = 0; i < c->nhouses; i++)
		if (strcmp(c->houses[i].name, name) == 0)
			return &c->houses[i];
	return NULL;
}

struct house *
house_add(struct core *c, const char *name)
{
	struct house *h = c->nhouses < HOUSES_MAX ? &c->houses[c->nhouses] : NULL;

	if (!h)
		return NULL;
	c->nhouses++;
	snprintf(h->name, sizeof h->name, "%s", name);
	h->place = -1;
	h->timeout_cap_s = config_timeout_cap_s(c->o.config, name);
	return h;
}

bool
house_may_own(const struct core *c, const struct house *h, const char *agent)
{
	const struct config_names *candidates = config_candidates(c->o.config, h->name);

	return candidates && config_names_has(candidates, agent);
}

bool
house_may_work(const struct core *c, const struct house *h, const char *agent)
{
	return house_may_own(c, h, agent) || (h->home && config_names_has(h->home, agent));
}

static bool
behind_window(const struct house *h, const struct task *t)
{
	return t->priority < h->last_priority || (t->priority == h->last_priority && t->seq > h->last_seq);
}

static struct task *
window_last(struct house *h)
{
	for (int p = 0; p < TASK_PRIORITIES; p++)
		if (h->queue[p].tail)
			return h->queue[p].tail;
	return NULL;
}

static void
leave_window(struct house *h, struct task *t)
{
	list_remove(&h->queue[t->priority], t);
	t->in_window = false;
	h->window--;
	h->window_bytes -= (int64_t)t->body_len;
}

void
house_take_in(struct house *h, struct task *t)
{
	list_insert(&h->queue[t->priority], t);
	t->in_window = true;
	h->window++;
	h->window_bytes += (int64_t)t->body_len;
}

/* One is always in it, however large. */
static bool
is_too_large(const struct house *h)
{
	return h->window > WINDOW_MAX || (h->window_bytes > WINDOW_BYTES && h->window > 1);
}

static void
evict_last(struct core *c, struct house *h)
{
	struct task *last = window_last(h);

	leave_window(h, last);
	task_touch(c, last);
	last = window_last(h);
	h->spilled = true;
	h->last_priority = last->priority;
	h->last_seq = last->seq;
}

void
house_enqueue(struct core *c, struct task *t)
{
	struct house *h = t->house;

	if (h->spilled && behind_window(h, t))
		return;
	house_take_in(h, t);
	while (is_too_large(h))
		evict_last(c, h);
}

/* After a task left the queue for another reason than being started. */
void
house_unqueue(struct core *c, struct task *t)
{
	(void)c;
	if (t->in_window)
		leave_window(t->house, t);
}

static struct task *
next_queued(struct house *h)
{
	for (int p = TASK_PRIORITIES - 1; p >= 0; p--)
		if (h->queue[p].head)
			return h->queue[p].head;
	return NULL;
}

/* Quick and other attempts share the workers, and one kind's start takes room of the other: so each round
 * of choosing is of one kind, and the pool is asked again before the next. */
static bool
has_slot(const struct core *c, const struct task *t)
{
	if (t->quick)
		return c->quick > 0 && c->round != ROUND_NORMAL;
	return c->idle > 0 && c->round != ROUND_QUICK;
}

static void
take_slot(struct core *c, const struct task *t)
{
	unsigned *slots = t->quick ? &c->quick : &c->idle;

	(*slots)--;
	c->round = t->quick ? ROUND_QUICK : ROUND_NORMAL;
	c->quick_out += t->quick;
	c->running++;
}

/* The params are taken from the tree at arrival, or read from the body when the task comes from disk. */
static int
load_params(struct core *c, struct task *t, struct err *e)
{
	cJSON *tree, *params;
	int rc = -1;

	if (!t->tool)
		return err_set(e, ERR_UNKNOWN_TOOL, "tool %s is no longer known", t->tool_name);
	if (t->params)
		return 0;
	tree = json_parse_object(t->body, t->body_len, e);
	if (!tree)
		return -1;
	params = cJSON_GetObjectItemCaseSensitive(tree, "params");
	if (!cJSON_IsObject(params))
		params = cJSON_AddObjectToObject(tree, "params");
	if (registry_check(c->o.tools, t->tool, params, e) == 0) {
		t->params = task_params_text(params);
		rc = 0;
	}
	cJSON_Delete(tree);
	return rc;
}

/* What may not run twice, and what consumes an approval. */
static bool
starts_once(const struct task *t)
{
	return t->tool->effect == TOOL_EXCLUSIVE || t->stage == APPROVAL_GIVEN;
}

/* What only reads goes out at once; what changes something waits until it is on disk that the task was
 * accepted; and what may not run twice, until it is on disk as STARTING. So does what waited for others: that they
 * ended has to be with the copies first. */
static bool
waits_for_commit(const struct task *t)
{
	if (IS_MUTANT(MUTANT_EARLY_START))
		return false;
	return starts_once(t) || t->nafter || (t->tool->effect == TOOL_IDEMPOTENT && !t->stored);
}

static void
choose(struct core *c, struct task *t, struct peer *at)
{
	t->cancelled = t->stopping = false;
	house_unqueue(c, t);
	t->at = at;
	if (at)
		at->given++;
	else
		take_slot(c, t);
	t->here = !at;
	audit_chosen(c, t);
	learn_expect(c, t);
	t->attempt++;
	t->term = t->house->log;
	t->started_ms = c->now.wall_ms;
	t->lost_ms = 0;
	t->announced = false;
	t->chosen = true;
	t->late = at || waits_for_commit(t);
	t->house->running++;
	task_enter(c, t, starts_once(t) ? TASK_STARTING : TASK_RUNNING);
	list_push(t->late ? &c->starts_late : &c->starts, t);
	c->chosen++;
}

/* It stays queued, on disk, and does not hold up what is behind it. */
static void
set_aside(struct core *c, struct task *t)
{
	leave_window(t->house, t);
	task_touch(c, t);
}

/* The window is filled anew, from the first. */
static void
empty_window(struct core *c, struct house *h)
{
	for (int p = 0; p < TASK_PRIORITIES; p++)
		while (h->queue[p].head)
			set_aside(c, h->queue[p].head);
	h->spilled = true;
	h->last_priority = TASK_PRIORITIES;
	h->last_seq = 0;
}

void
house_look_again(struct core *c)
{
	for (int i = 0; i < c->nhouses; i++)
		if (c->houses[i].owned)
			empty_window(c, &c->houses[i]);
}

static bool
is_halted(struct core *c, struct task *t)
{
	char house[NAME_MAX_LEN + 1];

	if (!signed_is_on(c))
		return false;
	if (!t->house->local)
		return signed_halt(c, t->house->name, t->tool_name);
	forward_house(c, t, house);
	return signed_halt(c, house, t->tool_name);
}

static void
schedule_house(struct core *c, struct house *h)
{
	struct peer *at;
	struct task *t;
	struct err e;

	if (!h->owned || h->heir || !lease_may_start(c, h) || !signed_may_start(c) || signed_halt(c, h->name, NULL))
		return;
	while ((t = next_queued(h)) && work_choose(c, h, t, has_slot(c, t), &at)) {
		if (is_halted(c, t)) {
			set_aside(c, t);
		} else if (t->deadline_ms && t->deadline_ms <= c->now.wall_ms) {
			house_unqueue(c, t);
			err_set(&e, ERR_TIMEOUT, "the deadline passed while it was queued");
			attempt_finish(c, t, TASK_EXPIRED, &e);
		} else if (load_params(c, t, &e)) {
			house_unqueue(c, t);
			task_enter(c, t, TASK_RUNNING);
			attempt_finish(c, t, TASK_DEAD, &e);
		} else if (approval_may_start(c, t)) {
			choose(c, t, at);
		}
	}
}

/* Who got a slot is asked last the next time, so that none starves another. */
void
house_schedule(struct core *c)
{
	int first = c->first_house;

	if (c->draining)
		return;
	for (int i = 0; i < c->nhouses; i++) {
		int k = (first + i) % c->nhouses;
		unsigned before = c->chosen;

		schedule_house(c, &c->houses[k]);
		if (c->chosen != before)
			c->first_house = (k + 1) % c->nhouses;
	}
}

static void
give_back_list(struct core *c, const struct task_list *l, const struct house *h)
{
	for (struct task *t = l->head, *next; t; t = next) {
		next = t->next;
		if (!h || t->house == h)
			attempt_unchoose(c, t);
	}
}

void
house_give_back(struct core *c, const struct house *h)
{
	give_back_list(c, &c->starts_late, h);
	give_back_list(c, &c->starts, h);
}

void
house_refill(struct core *c)
{
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (h->owned && h->spilled && h->window < WINDOW_MAX / 4 && (h->window_bytes < WINDOW_BYTES / 4 || !h->window))
			store_refill(c, h, WINDOW_MAX / 2);
	}
}

/* ---- becoming and ceasing to be the owner ---- */

/* Between turns, when all that we know of it is on disk. */
void
house_take_over(struct core *c, struct house *h)
{
	static const enum task_state open[] = { TASK_QUEUED, TASK_SCHEDULED, TASK_RETRYING, TASK_WAITING };

	h->owned = true;
	h->running = 0;
	c->due_changed = true;
	store_count(c, h);
	if (!IS_MUTANT(MUTANT_AFTER_FORGOTTEN))
		after_look(h);
	schedule_take_up(c, h);
	for (size_t i = 0; h->unclean && i < sizeof open / sizeof *open; i++)
		store_in_state(c, h, open[i], attempt_doubt);
	store_in_state(c, h, TASK_STARTING, attempt_resume);
	store_in_state(c, h, TASK_RUNNING, attempt_resume);
	approval_resume(c, h);
}

static void
let_task_go(struct core *c, struct house *h, struct task *t)
{
	if (t->in_window)
		leave_window(h, t);
	attempt_let_go(c, t);
	task_touch(c, t);
}

void
house_let_go(struct core *c, struct house *h)
{
	/* What never began is reported to whoever owns it next. */
	h->owned = false;
	work_forget_given_away(h);
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = c->by_seq[i]; t; t = t->next_seq)
			if (t->house == h)
				let_task_go(c, h, t);
	h->spilled = false;
	h->queued = h->open = h->running = 0;
	out_drop_held(c, h);
}
