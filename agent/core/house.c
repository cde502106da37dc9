/*
 * house.c - the houses that this agent owns, and what starts next.
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
 * ended has to be with the copies first; and what is counted. */
static bool
waits_for_commit(const struct task *t)
{
	if (IS_MUTANT(MUTANT_EARLY_START))
		return false;
	return starts_once(t) || t->nafter || t->counted || t->probe || (t->tool->effect == TOOL_IDEMPOTENT && !t->stored);
}

static void
choose(struct core *c, struct task *t, struct peer *at)
{
	t->cancelled = t->stopping = false;
	lane_serve(t);
	lane_leave(c, t);
	t->at = at;
	if (at)
		at->given++;
	else
		take_slot(c, t);
	t->here = !at;
	audit_chosen(c, t);
	learn_expect(c, t);
	t->attempt++;
	breaker_begins(c, t);
	t->term = t->house->log;
	t->started_ms = c->now.wall_ms;
	t->lost_ms = 0;
	t->announced = false;
	t->chosen = true;
	flow_begins(c, t);
	t->late = at || waits_for_commit(t);
	task_enter(c, t, starts_once(t) ? TASK_STARTING : TASK_RUNNING);
	list_push(t->late ? &c->starts_late : &c->starts, t);
	c->chosen++;
}

static void
schedule_house(struct core *c, struct house *h)
{
	struct peer *at;
	struct task *t;
	struct err e;

	if (!h->owned || h->heir || !lease_may_start(c, h) || !signed_may_start(c) || signed_halt(c, h->name, NULL))
		return;
	while ((t = lane_first(c, h))) {
		if (breaker_holds(c, t))
			continue;
		if (!work_choose(c, h, t, has_slot(c, t), &at))
			break;
		if (t->deadline_ms && t->deadline_ms <= c->now.wall_ms) {
			lane_leave(c, t);
			err_set(&e, ERR_TIMEOUT, "the deadline passed while it was queued");
			attempt_finish(c, t, TASK_EXPIRED, &e);
		} else if (load_params(c, t, &e)) {
			lane_leave(c, t);
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

	c->flow_ms = 0;
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
	for (int i = 0; i < c->nhouses; i++)
		if (c->houses[i].owned)
			lane_refill(c, &c->houses[i]);
}

/* ---- becoming and ceasing to be the owner ---- */

/* Between turns, when all that we know of it is on disk. */
void
house_take_over(struct core *c, struct house *h)
{
	static const enum task_state open[] = { TASK_QUEUED, TASK_SCHEDULED, TASK_RETRYING, TASK_WAITING };

	h->owned = true;
	h->running = 0;
	flow_take_up(c, h);
	c->due_changed = true;
	store_count(c, h);
	store_lanes(c, h);
	if (!IS_MUTANT(MUTANT_AFTER_FORGOTTEN))
		after_look(h);
	schedule_take_up(c, h);
	for (size_t i = 0; h->unclean && i < sizeof open / sizeof *open; i++)
		store_in_state(c, h, open[i], attempt_doubt);
	store_in_state(c, h, TASK_STARTING, attempt_resume);
	store_in_state(c, h, TASK_RUNNING, attempt_resume);
	approval_resume(c, h);
	breaker_take_up(c, h);
	routine_take_up(h);
}

void
house_let_go(struct core *c, struct house *h)
{
	/* What never began is reported to whoever owns it next. */
	h->owned = false;
	work_forget_given_away(h);
	lane_forget(c, h);
	breaker_let_house_go(h);
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = c->by_seq[i]; t; t = t->next_seq)
			if (t->house == h) {
				attempt_let_go(c, t);
				task_touch(c, t);
			}
	h->queued = h->open = h->running = 0;
	out_drop_held(c, h);
}
