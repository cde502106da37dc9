/*
 * tasks.c - the tasks in memory, and the one gate through which states change.
 */
#include <assert.h>
#include <string.h>

#include "canonical.h"
#include "log.h"
#include "shape.h"
#include "state.h"

struct task *
task_new(struct core *c, struct house *h)
{
	struct task *t = xcalloc(1, sizeof *t);

	(void)c;
	t->house = h;
	return t;
}

void
task_free(struct task *t)
{
	free(t->body);
	free(t->params);
	free(t->terms);
	free(t->approval);
	free(t->reply_topic);
	free(t->correlation);
	free(t->key);
	free(t->outcome);
	free(t->history);
	free(t->forward);
	free(t->notes);
	free(t->keys);
	free(t->target);
	free(t);
}

/* In canonical form, so that whoever has the parameters can tell their digest; what has none stays as it is. */
char *
task_params_text(const cJSON *params)
{
	struct buf b = { 0 };

	if (canonical_put(&b, params, NULL) == 0)
		return buf_take(&b);
	buf_free(&b);
	return cJSON_PrintUnformatted(params);
}

void
task_read_body(struct core *c, struct task *t)
{
	struct task_msg m;
	cJSON *tree = json_parse(t->body, t->body_len, NULL);

	if (tree && task_msg_read(tree, &m, NULL) == 0) {
		t->mode = (unsigned char)m.mode;
		t->timeout_s = (int)m.timeout_s;
		t->retry_max = (short)m.retry_max;
		t->retry_base_s = (int)m.retry_base_s;
		t->retry_cap_s = (int)m.retry_cap_s;
		t->nafter = (unsigned char)m.nafter;
		t->shape = shape_of(m.params);
		if (trace_is_valid(m.traceparent))
			memcpy(t->traceparent, m.traceparent, sizeof t->traceparent);
	}
	cJSON_Delete(tree);
	t->tool = registry_find(c->o.tools, t->tool_name);
	t->quick = t->tool && (t->tool->flags & TOOL_QUICK) && t->stage == APPROVAL_NONE;
}

/* The random half of a ULID is as good as a hash. */
static struct task **
id_bucket(struct core *c, const struct ulid *id)
{
	unsigned h = (unsigned)id->b[14] << 8 | id->b[15];

	return &c->by_id[h % TASK_BUCKETS];
}

static struct task **
seq_bucket(struct core *c, int64_t seq)
{
	return &c->by_seq[(uint64_t)seq % TASK_BUCKETS];
}

void
task_touch(struct core *c, struct task *t)
{
	if (t->touched)
		return;
	t->touched = true;
	if (c->ntouched == c->touched_cap) {
		c->touched_cap = c->touched_cap ? 2 * c->touched_cap : 256;
		c->touched = xrealloc(c->touched, c->touched_cap * sizeof(struct task *));
	}
	c->touched[c->ntouched++] = t;
}

void
task_track(struct core *c, struct task *t)
{
	struct task **id = id_bucket(c, &t->id), **seq = seq_bucket(c, t->seq);

	t->next_id = *id;
	*id = t;
	t->next_seq = *seq;
	*seq = t;
	c->live++;
	task_touch(c, t);
}

void
task_untrack(struct core *c, struct task *t)
{
	struct task **p = id_bucket(c, &t->id);

	while (*p != t)
		p = &(*p)->next_id;
	*p = t->next_id;
	for (p = seq_bucket(c, t->seq); *p != t; p = &(*p)->next_seq)
		;
	*p = t->next_seq;
	c->live--;
}

struct task *
task_by_seq(struct core *c, int64_t seq)
{
	struct task *t = *seq_bucket(c, seq);

	while (t && t->seq != seq)
		t = t->next_seq;
	return t;
}

struct task *
task_by_id(struct core *c, const struct house *h, const struct ulid *id)
{
	struct task *t = *id_bucket(c, id);

	while (t && (t->house != h || !ulid_equal(&t->id, id)))
		t = t->next_id;
	return t ? t : store_find(c, h, id);
}

static struct task **
key_bucket(struct core *c, const char *key)
{
	unsigned h = 5381;

	while (*key)
		h = h * 33 ^ (unsigned char)*key++;
	return &c->by_key[h % KEY_BUCKETS];
}

/* The turn's own keys have no row yet. */
void
task_note_key(struct core *c, struct task *t)
{
	struct task **p = key_bucket(c, t->key);

	t->next_key = *p;
	*p = t;
	c->keyed = true;
}

void
task_forget_keys(struct core *c)
{
	if (c->keyed)
		memset(c->by_key, 0, sizeof c->by_key);
	c->keyed = false;
}

bool
task_by_key(struct core *c, const struct house *h, const char *sender, const char *key, struct task **out)
{
	struct task *t = c->keyed ? *key_bucket(c, key) : NULL;
	struct ulid id;

	while (t && (t->house != h || strcmp(t->sender, sender) != 0 || strcmp(t->key, key) != 0))
		t = t->next_key;
	*out = t;
	if (t)
		return true;
	if (!store_find_key(c, h->name, sender, key, &id))
		return false;
	*out = task_by_id(c, h, &id);
	return true;
}

void
task_reply_to(struct task *t, const char *topic, const void *correlation, size_t len)
{
	free(t->reply_topic);
	free(t->correlation);
	t->reply_topic = topic ? xstrdup(topic) : NULL;
	t->correlation = len ? xstrndup(correlation, len) : NULL;
	t->correlation_len = len;
}

void
task_dirty(struct core *c, struct task *t)
{
	c->urgent = true;
	if (t->dirty)
		return;
	t->dirty = true;
	t->next_dirty = NULL;
	if (c->dirty)
		c->dirty_tail->next_dirty = t;
	else
		c->dirty = t;
	c->dirty_tail = t;
	task_touch(c, t);
}

const char *
task_house_name(const struct task *t)
{
	if (t->forward)
		return t->forward;
	return !t->house ? NULL : t->house->local ? "_" : t->house->name;
}

/* What another house has accepted is open there, not here, and so is the question how it ended. */
bool
task_has_begun(enum task_state s)
{
	return s == TASK_STARTING || s == TASK_RUNNING;
}

bool
task_is_open(const struct task *t)
{
	return !task_state_is_terminal(t->state) && !(t->forward && t->finished_ms);
}

bool
task_ends_in(const struct task *t, enum task_state to)
{
	return task_state_is_terminal(to) || (to == TASK_UNCERTAIN && t->forward);
}

static void
count(struct task *t, enum task_state from, enum task_state to)
{
	struct house *h = t->house;

	if (!h)
		return;
	h->queued += (to == TASK_QUEUED) - (from == TASK_QUEUED);
	if (!IS_MUTANT(MUTANT_OPEN_COUNT) || to != TASK_EXPIRED)
		h->open += !task_ends_in(t, to) - task_is_open(t);
	h->done[to]++;
}

static bool
has_time(enum task_state s)
{
	return s == TASK_SCHEDULED || s == TASK_RETRYING || s == TASK_WAITING;
}

void
task_enter(struct core *c, struct task *t, enum task_state to)
{
	enum task_state from = t->state;

	assert(task_may_enter(from, to));
	count(t, from, to);
	if (task_state_is_terminal(to))
		histogram_add(&c->task_times, (c->now.wall_ms - t->accepted_ms) * 1000);
	t->state = to;
	t->held = 0;
	if (has_time(to) || has_time(from) || t->deadline_ms)
		c->due_changed = true;
	if (from == TASK_WAITING)
		approval_leave(c, t);
	task_dirty(c, t);
}

void
task_follow(struct core *c, struct task *t, enum task_state to)
{
	t->state = to;
	if (to != TASK_SCHEDULED)
		t->held = 0;
	task_dirty(c, t);
}

void
list_push(struct task_list *l, struct task *t)
{
	t->next = NULL;
	t->prev = l->tail;
	if (l->tail)
		l->tail->next = t;
	else
		l->head = t;
	l->tail = t;
}

void
list_insert(struct task_list *l, struct task *t)
{
	struct task *after = l->tail;

	/* Nearly always the newest; what comes back to the queue is among the oldest. */
	if (after && after->seq > t->seq) {
		struct task *before = l->head;

		while (before->seq < t->seq)
			before = before->next;
		t->next = before;
		t->prev = before->prev;
		before->prev = t;
		if (t->prev)
			t->prev->next = t;
		else
			l->head = t;
		return;
	}
	list_push(l, t);
}

void
list_remove(struct task_list *l, struct task *t)
{
	if (t->prev)
		t->prev->next = t->next;
	else
		l->head = t->next;
	if (t->next)
		t->next->prev = t->prev;
	else
		l->tail = t->prev;
	t->prev = t->next = NULL;
}

struct task *
list_pop(struct task_list *l)
{
	struct task *t = l->head;

	if (t)
		list_remove(l, t);
	return t;
}
