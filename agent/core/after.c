/*
 * after.c - tasks that wait for others of their house.
 *
 * A task may name only those that its house knows when it comes, so none can wait for itself, by whatever way. It is
 * `scheduled` while one of them has not ended; the table `waits` finds it when one ends, and keeps those from being
 * forgotten. When all have ended it is queued, and never looks at them again. Which task ended is looked at in the next
 * turn, when all that waits for it has its row, and a bounded number of times in each. A new owner looks at all that wait.
 */
#include <string.h>

#include "json.h"
#include "state.h"

#define WAKE_MAX 64                     /* tasks whose end is looked at in a turn; each wakes a batch of others */

enum verdict { READY, WAITS, BROKEN };

/* Where it waits only for those that the router handed to one house: its. */
const char *
after_house(struct core *c, const struct house *h, const struct task_msg *m, struct err *e)
{
	const char *house = NULL;
	const cJSON *v;
	struct ulid id;

	cJSON_ArrayForEach(v, m->after) {
		const struct task *d = ulid_parse(v->valuestring, &id) ? task_by_id(c, h, &id) : NULL;

		if (!d || !d->forward) {
			err_field(e, ERR_UNKNOWN_TASK, "after", v->valuestring,
			    "tasks that came through the router too; for those of a house name the house");
			return NULL;
		}
		if (house && strcmp(house, d->forward) != 0) {
			err_field(e, ERR_INVALID, "after", v->valuestring,
			    "tasks of one house: this one went to house %s, others to %s", d->forward, house);
			return NULL;
		}
		house = d->forward;
	}
	return house;
}

int
after_admit(struct core *c, const struct house *h, const struct task_msg *m, const cJSON *tree, struct err *e)
{
	const char *named = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "house"));
	bool router = strcmp(h->name, "_") == 0;
	const cJSON *v;
	struct ulid id;

	if (!m->after || h->local || (router && named && strcmp(named, "_") != 0))
		return 0;
	if (router)
		return after_house(c, h, m, e) ? 0 : -1;
	cJSON_ArrayForEach(v, m->after)
		if (!ulid_parse(v->valuestring, &id) || !task_by_id(c, h, &id))
			return err_field(e, ERR_UNKNOWN_TASK, "after", v->valuestring,
			    "a task of house %s that was accepted before and is not yet forgotten", h->name);
	return 0;
}

/* e: why it is broken. */
static enum verdict
judge_one(struct core *c, const struct task *t, const struct task_msg *m, const cJSON *v, struct err *e)
{
	const struct task *d;
	struct ulid id;

	if (!ulid_parse(v->valuestring, &id) || !(d = task_by_id(c, t->house, &id))) {
		err_set(e, ERR_UNKNOWN_TASK, "task %s, which it was to wait for, is no longer known", v->valuestring);
		return BROKEN;
	}
	if (!task_state_is_terminal(d->state))
		return WAITS;
	if (d->state == TASK_SUCCEEDED || m->after_any)
		return READY;
	err_set(e, ERR_WRONG_STATE, "task %s, which it was to wait for, is %s", v->valuestring, task_state_name(d->state));
	return BROKEN;
}

/* One that failed decides it at once, whatever the others do. */
static enum verdict
judge(struct core *c, const struct task *t, struct err *e)
{
	cJSON *tree = json_parse(t->body, t->body_len, NULL);
	enum verdict is = READY;
	struct task_msg m;
	const cJSON *v;

	if (tree && task_msg_read(tree, &m, NULL) == 0)
		cJSON_ArrayForEach(v, m.after) {
			enum verdict one = judge_one(c, t, &m, v, e);

			if (one == READY && IS_MUTANT(MUTANT_AFTER_FIRST)) {
				is = READY;
				break;
			}
			is = one > is ? one : is;
		}
	cJSON_Delete(tree);
	return is;
}

void
after_place(struct core *c, struct task *t, int64_t not_before_ms)
{
	struct err e;
	enum verdict is = t->nafter ? judge(c, t, &e) : READY;

	t->due_ms = not_before_ms > c->now.wall_ms ? not_before_ms : 0;
	task_enter(c, t, is == READY && !t->due_ms ? TASK_QUEUED : TASK_SCHEDULED);
	if (t->state == TASK_QUEUED)
		lane_put(c, t);
	else if (is == BROKEN)
		after_look(t->house);
}

bool
after_holds(struct core *c, struct task *t)
{
	enum verdict is;
	struct err e;

	if (!t->nafter)
		return false;
	is = judge(c, t, &e);
	if (is == BROKEN)
		attempt_finish(c, t, TASK_CANCELLED, &e);
	if (is == READY && t->due_ms <= c->now.wall_ms)
		return false;
	if (is == WAITS && t->due_ms && t->due_ms <= c->now.wall_ms) {
		t->due_ms = 0;
		task_dirty(c, t);
	}
	return true;
}

bool
after_is_ahead(struct core *c, const struct task *t)
{
	cJSON *tree = t->nafter ? json_parse(t->body, t->body_len, NULL) : NULL;
	bool ahead = false;
	struct task_msg m;
	const cJSON *v;
	struct ulid id;

	if (tree && task_msg_read(tree, &m, NULL) == 0)
		cJSON_ArrayForEach(v, m.after) {
			const struct task *d = ulid_parse(v->valuestring, &id) ? task_by_id(c, t->house, &id) : NULL;

			ahead |= d && d->state == TASK_FORWARDED && !d->finished_ms;
		}
	cJSON_Delete(tree);
	return ahead;
}

void
after_ended(struct core *c, const struct task *t)
{
	if (!c->has_waits || !task_state_is_terminal(t->state))
		return;
	if (c->nended == c->ended_cap) {
		c->ended_cap = c->ended_cap ? 2 * c->ended_cap : 64;
		c->ended = xrealloc(c->ended, c->ended_cap * sizeof *c->ended);
	}
	c->ended[c->nended++] = (struct ended){ t->house, t->id };
}

void
after_look(struct house *h)
{
	h->look_next = true;
}

static void
look(struct core *c, struct task *t)
{
	if (t->nafter && t->state == TASK_SCHEDULED)
		attempt_due(c, t);
}

static void
look_at_house(struct core *c, struct house *h)
{
	h->looked = h->owned && c->has_waits ? store_waiting(c, h, NULL, h->looked, look) : 0;
	h->look = h->looked > 0;
}

void
after_tick(struct core *c)
{
	size_t done = 0;

	while (done < c->nwake && done < WAKE_MAX) {
		const struct ended *x = &c->ended[done];
		const struct house *h = x->house;

		c->woken = h && h->owned ? store_waiting(c, h, &x->id, c->woken, look) : 0;
		if (c->woken)
			break;
		done++;
	}
	if (done) {
		c->nended -= done;
		c->nwake -= done;
		memmove(c->ended, c->ended + done, c->nended * sizeof *c->ended);
	}
	for (int i = 0; i < c->nhouses; i++)
		if (c->houses[i].look)
			look_at_house(c, &c->houses[i]);
}

void
after_turn(struct core *c)
{
	c->nwake = c->nended;
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (!h->look_next)
			continue;
		h->look_next = false;
		h->look = true;
		h->looked = 0;
	}
}

bool
after_is_due(const struct core *c)
{
	bool due = c->nwake > 0;

	for (int i = 0; i < c->nhouses && !due; i++)
		due = c->houses[i].look;
	return due;
}

/* What it still waits for. */
void
after_put_waits(struct core *c, struct buf *b, const struct task *t)
{
	cJSON *tree = t->nafter && !t->held && (t->state == TASK_SCHEDULED || t->state == TASK_WAITING) ?
	    json_parse(t->body, t->body_len, NULL) : NULL;
	struct task_msg m;
	const cJSON *v;
	struct ulid id;

	if (tree && task_msg_read(tree, &m, NULL) == 0) {
		json_put_key(b, "waits_for");
		json_put_open(b, '[');
		cJSON_ArrayForEach(v, m.after) {
			const struct task *d = ulid_parse(v->valuestring, &id) ? task_by_id(c, t->house, &id) : NULL;

			if (!d || !task_state_is_terminal(d->state))
				json_put_str(b, v->valuestring);
		}
		json_put_close(b, ']');
	}
	cJSON_Delete(tree);
}

void
after_release(struct core *c)
{
	free(c->ended);
}
