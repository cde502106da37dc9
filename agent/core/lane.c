/*
 * lane.c - a house's queue: in what order its tasks start, and which of them are in memory.
 *
 * All queued tasks have a row. They stand in lanes, one for each sender, tool and priority, in the order of acceptance; the
 * first of each lane are also in memory, the window, which is bounded in tasks and in bytes for the house as a whole.
 * While a lane is `spilled` what is in memory ends at last_seq, and all behind it is on disk only. Every lane with a row is in
 * memory, at least one task of it; so who is next is never looked for on disk, however many wait. Lanes are refilled between
 * turns, when every queued task has its row.
 *
 * Of one priority each sender has a start in turn, the oldest of his that may begin: see flow.c for what may not. The highest
 * priority goes first; but one of AGED_EACH starts is of a lower priority whose next task has waited for AGED_MS, of several the
 * one that has been served longest ago. It is owed until there is one that may begin.
 */
#include <string.h>

#include "state.h"

static struct lane **
bucket(struct core *c, const struct house *h, int priority, const char *sender, const char *tool)
{
	uint64_t x = (uint64_t)(h - c->houses) * TASK_PRIORITIES + (uint64_t)priority;

	for (const char *p = sender; *p; p++)
		x = x * 33 ^ (unsigned char)*p;
	for (const char *p = tool; *p; p++)
		x = x * 33 ^ (unsigned char)*p;
	return &c->lanes[x % LANE_BUCKETS];
}

static struct lane *
find(struct core *c, const struct house *h, int priority, const char *sender, const char *tool)
{
	struct lane *l = *bucket(c, h, priority, sender, tool);

	while (l && (l->house != h || l->priority != priority || strcmp(l->tool, tool) != 0 || strcmp(l->of->sender, sender) != 0))
		l = l->next_bucket;
	return l;
}

/* ---- who has lanes ---- */

static void
append(struct rank *rank, struct queuer *q)
{
	q->next = NULL;
	q->prev = rank->tail;
	if (rank->tail)
		rank->tail->next = q;
	else
		rank->head = q;
	rank->tail = q;
}

static void
detach(struct rank *rank, struct queuer *q)
{
	if (q->prev)
		q->prev->next = q->next;
	else
		rank->head = q->next;
	if (q->next)
		q->next->prev = q->prev;
	else
		rank->tail = q->prev;
}

static struct queuer *
queuer_of(struct rank *rank, const char *sender)
{
	struct queuer *q = rank->head;

	while (q && strcmp(q->sender, sender) != 0)
		q = q->next;
	if (q)
		return q;
	q = xcalloc(1, sizeof *q);
	snprintf(q->sender, sizeof q->sender, "%s", sender);
	q->since = rank->starts;
	append(rank, q);
	return q;
}

static struct lane *
add(struct core *c, struct house *h, int priority, const char *sender, const char *tool)
{
	struct lane *l = xcalloc(1, sizeof *l), **b = bucket(c, h, priority, sender, tool);

	l->house = h;
	l->priority = priority;
	snprintf(l->tool, sizeof l->tool, "%s", tool);
	l->of = queuer_of(&h->ranks[priority], sender);
	l->next = l->of->lanes;
	l->of->lanes = l;
	l->next_bucket = *b;
	*b = l;
	h->nlanes++;
	h->ranks[priority].nlanes++;
	return l;
}

static struct lane *
find_or_add(struct core *c, struct house *h, int priority, const char *sender, const char *tool)
{
	struct lane *l = find(c, h, priority, sender, tool);

	return l ? l : add(c, h, priority, sender, tool);
}

static void
drop(struct core *c, struct lane *l)
{
	struct lane **p = bucket(c, l->house, l->priority, l->of->sender, l->tool);
	struct queuer *q = l->of;

	while (*p != l)
		p = &(*p)->next_bucket;
	*p = l->next_bucket;
	for (p = &q->lanes; *p != l; p = &(*p)->next)
		;
	*p = l->next;
	if (!q->lanes) {
		detach(&l->house->ranks[l->priority], q);
		free(q);
	}
	l->house->nlanes--;
	l->house->ranks[l->priority].nlanes--;
	free(l);
}

/* ---- what is in memory ---- */

static void
weigh_in(struct lane *l, const struct task *t, int64_t n)
{
	struct rank *rank = &l->house->ranks[l->priority];
	int64_t bytes = n * (int64_t)t->body_len;

	l->n += n;
	l->bytes += bytes;
	rank->n += n;
	rank->bytes += bytes;
	l->house->window += n;
	l->house->window_bytes += bytes;
}

static void
take_in(struct lane *l, struct task *t)
{
	list_insert(&l->tasks, t);
	t->lane = l;
	weigh_in(l, t, 1);
}

static void
take_out(struct task *t)
{
	struct lane *l = t->lane;

	list_remove(&l->tasks, t);
	t->lane = NULL;
	weigh_in(l, t, -1);
}

static void
spill(struct lane *l, int64_t last_seq)
{
	l->house->spilled += !l->spilled;
	l->spilled = true;
	l->last_seq = last_seq;
}

static void
each_in_rank(struct rank *rank, void (*f)(struct lane *l, void *arg), void *arg)
{
	for (struct queuer *q = rank->head, *next; q; q = next) {
		next = q->next;
		for (struct lane *l = q->lanes, *then; l; l = then) {
			then = l->next;
			f(l, arg);
		}
	}
}

static void
each_lane(struct house *h, void (*f)(struct lane *l, void *arg), void *arg)
{
	for (int p = 0; p < TASK_PRIORITIES; p++)
		each_in_rank(&h->ranks[p], f, arg);
}

struct heaviest {
	struct lane *lane;
	int64_t weight;
	bool by_bytes;
};

static void
weigh(struct lane *l, void *arg)
{
	struct heaviest *x = arg;
	int64_t weight = x->by_bytes ? l->bytes : l->n;

	if (l->n > 1 && weight > x->weight) {
		x->lane = l;
		x->weight = weight;
	}
}

/* The last of the lane that has the most goes back to the disk; but one of each lane stays, however large. */
static void
bound(struct core *c, struct house *h)
{
	while (h->window > WINDOW_MAX || h->window_bytes > WINDOW_BYTES) {
		struct heaviest x = { .by_bytes = h->window <= WINDOW_MAX };
		struct task *t;

		each_lane(h, weigh, &x);
		if (!x.lane)
			return;
		t = x.lane->tasks.tail;
		take_out(t);
		task_touch(c, t);
		spill(x.lane, x.lane->tasks.tail->seq);
	}
}

void
lane_put(struct core *c, struct task *t)
{
	struct lane *l = find_or_add(c, t->house, t->priority, t->sender, t->tool_name);

	if (l->spilled && t->seq > l->last_seq)
		return;
	take_in(l, t);
	bound(c, t->house);
}

/* After a row was read. */
void
lane_take_in(struct lane *l, struct task *t)
{
	take_in(l, t);
}

void
lane_leave(struct core *c, struct task *t)
{
	struct lane *l = t->lane;

	if (!l)
		return;
	take_out(t);
	if (!l->n && !l->spilled)
		drop(c, l);
}

/* ---- who is next ---- */

/* What our own users hand on is halted by the house that it is for. */
static bool
is_halted(struct core *c, struct task *t)
{
	char house[NAME_MAX_LEN + 1];

	if (!t->house->local || !signed_is_on(c))
		return false;
	forward_house(c, t, house);
	return signed_halt(c, house, t->tool_name) != NULL;
}

/* What waits for another of its key is passed by. *dry: it cannot be said before more is read. */
static struct task *
first_in(struct core *c, const struct lane *l, bool *dry)
{
	int left = LANE_LOOK;

	if (!l->house->local && signed_halt(c, l->house->name, l->tool))
		return NULL;
	*dry |= !l->n;
	for (struct task *t = l->tasks.head; t && left--; t = t->next) {
		enum flow f = is_halted(c, t) ? FLOW_KEY_FULL : flow_admits(c, t);

		if (f == FLOW_FREE)
			return t;
		if (f == FLOW_FULL)
			break;
	}
	return NULL;
}

/* The oldest of his that may begin. */
static struct task *
first_of(struct core *c, const struct queuer *q, bool *dry)
{
	struct task *first = NULL;

	for (const struct lane *l = q->lanes; l; l = l->next) {
		struct task *t = first_in(c, l, dry);

		if (t && (!first || t->seq < first->seq))
			first = t;
	}
	return *dry ? NULL : first;
}

/* Who has none that may begin keeps his place. */
static struct task *
first_in_rank(struct core *c, const struct rank *rank, bool *dry)
{
	struct task *t = NULL;

	for (const struct queuer *q = rank->head; q && !t && !*dry; q = q->next)
		t = first_of(c, q, dry);
	return t;
}

static bool
is_aged(const struct core *c, const struct task *t)
{
	return t && c->now.wall_ms - t->accepted_ms >= AGED_MS;
}

/* Below the priority of t. */
static struct task *
first_aged(struct core *c, struct house *h, const struct task *t)
{
	struct task *found = NULL;

	for (int p = 0; p < t->priority; p++) {
		bool dry = false;
		struct task *x = first_in_rank(c, &h->ranks[p], &dry);

		if (is_aged(c, x) && (!found || h->ranks[p].served < h->ranks[found->priority].served))
			found = x;
	}
	return found;
}

struct task *
lane_first(struct core *c, struct house *h)
{
	struct task *t = NULL, *aged;
	bool dry = false;

	for (int p = TASK_PRIORITIES - 1; p >= 0 && !t && !dry; p--)
		t = first_in_rank(c, &h->ranks[p], &dry);
	h->old = NULL;
	if (!t || h->served - h->aged < AGED_EACH - 1 || IS_MUTANT(MUTANT_NO_AGE))
		return t;
	aged = first_aged(c, h, t);
	h->old = aged;
	return aged ? aged : t;
}

/* It starts: his next turn comes after those of the others. */
void
lane_serve(struct task *t)
{
	struct house *h = t->house;
	struct rank *rank = &h->ranks[t->priority];
	struct queuer *q = t->lane->of;

	q->since = ++rank->starts;
	rank->served = ++h->served;
	if (t == h->old)
		h->aged = h->served;
	h->old = NULL;
	if (IS_MUTANT(MUTANT_NO_TURNS))
		return;
	detach(rank, q);
	append(rank, q);
}

/* ---- the disk's part ---- */

void
lane_found(struct core *c, struct house *h, int priority, const char *sender, const char *tool)
{
	spill(find_or_add(c, h, priority, sender, tool), 0);
}

struct portion {
	struct core *c;
	int64_t n, bytes;               /* of each lane */
};

static void
refill(struct lane *l, void *arg)
{
	const struct portion *x = arg;
	bool dry = !l->n;

	if (!l->spilled || (!dry && (l->n >= x->n / 2 || l->bytes >= x->bytes / 2)))
		return;
	l->house->spilled--;
	l->spilled = false;
	if (store_refill(x->c, l, x->n ? x->n : 1, x->bytes))
		spill(l, l->last_seq);
	/* A worker may be free for it. */
	x->c->refilled |= dry && l->n;
	if (!l->n && !l->spilled)
		drop(x->c, l);
}

/* The highest priority gets half of the window, the next one half of the rest. */
void
lane_refill(struct core *c, struct house *h)
{
	int64_t left = WINDOW_MAX, left_bytes = WINDOW_BYTES;

	for (int p = TASK_PRIORITIES - 1; p >= 0 && h->spilled; p--) {
		struct rank *rank = &h->ranks[p];
		int n = rank->nlanes ? rank->nlanes : 1;
		struct portion x = { c, left / 2 / n, left_bytes / 2 / n };

		each_in_rank(rank, refill, &x);
		left -= left < rank->n ? left : rank->n;
		left_bytes -= left_bytes < rank->bytes ? left_bytes : rank->bytes;
	}
	bound(c, h);
}

static void
forget(struct lane *l, void *arg)
{
	struct core *c = arg;

	while (l->tasks.head) {
		struct task *t = l->tasks.head;

		take_out(t);
		task_touch(c, t);
	}
	l->house->spilled -= l->spilled;
	drop(c, l);
}

/* The house is not ours any more. */
void
lane_forget(struct core *c, struct house *h)
{
	each_lane(h, forget, c);
	memset(h->ranks, 0, sizeof h->ranks);
	h->served = h->aged = 0;
	h->old = NULL;
}

/* The first of each lane is in memory, and it is its oldest. */
int64_t
lane_oldest_s(const struct core *c, const struct house *h, int least_priority)
{
	int64_t oldest = c->now.wall_ms;

	for (int p = least_priority; p < TASK_PRIORITIES; p++)
		for (const struct queuer *q = h->ranks[p].head; q; q = q->next)
			for (const struct lane *l = q->lanes; l; l = l->next)
				if (l->tasks.head && l->tasks.head->accepted_ms && l->tasks.head->accepted_ms < oldest)
					oldest = l->tasks.head->accepted_ms;
	return (c->now.wall_ms - oldest) / 1000;
}
