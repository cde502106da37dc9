/*
 * turns.c - the checker's look at queues: every sender has his turn, no priority waits for ever, and no more run at once, or are
 * given out in a time, than may.
 * Like inside.c it knows the cores' data structures.
 */
#include "check.h"

#include "state.h"

#define FLOWS_MAX 4
#define OTHERS_BEFORE_MAX 24            /* senders of one priority, at most */

/* A sender's tasks of one priority; sender "": those of all. */
struct head {
	int host, priority;
	char house[NAME_MAX_LEN + 1], sender[NAME_MAX_LEN + 1];
	int64_t same;                   /* as long as this is the same nothing of it has begun */
	int64_t since;                  /* starts that there had been when it became so */
	int64_t looked;
	struct head *next;
};

/* An attempt that was given out. */
struct given {
	struct ulid id;
	int attempt;
	struct term term;
	struct given *next;
};

#define GIVEN_BUCKETS 1024

/* The tokens of one house and limit, whoever owns it. */
struct bucket {
	char house[NAME_MAX_LEN + 1];
	int64_t full_us;                /* true time */
	struct bucket *next;
};

struct turns {
	struct check *k;
	struct given *given[GIVEN_BUCKETS];
	struct bucket *buckets[FLOWS_MAX];
	int64_t looked_us[HOSTS_MAX];
	struct head *heads;
	int64_t looks[HOSTS_MAX];
	int64_t own[HOSTS_MAX][HOUSES_MAX][FLOWS_MAX];  /* attempts that the owner gave out and that still run, by limit */
};

struct turns *
turns_new(struct check *k)
{
	struct turns *x = xcalloc(1, sizeof *x);

	x->k = k;
	return x;
}

void
turns_free(struct turns *x)
{
	for (struct head *h = x->heads, *next; h; h = next) {
		next = h->next;
		free(h);
	}
	for (int i = 0; i < GIVEN_BUCKETS; i++)
		for (struct given *g = x->given[i], *next; g; g = next) {
			next = g->next;
			free(g);
		}
	for (int i = 0; i < FLOWS_MAX; i++)
		for (struct bucket *b = x->buckets[i], *next; b; b = next) {
			next = b->next;
			free(b);
		}
	free(x);
}

static struct head *
head_of(struct turns *x, int host, const struct house *h, int priority, const char *sender)
{
	struct head *p = x->heads;

	while (p && (p->host != host || p->priority != priority || strcmp(p->house, h->name) != 0 ||
	    strcmp(p->sender, sender) != 0))
		p = p->next;
	if (p)
		return p;
	p = xcalloc(1, sizeof *p);
	p->host = host;
	p->priority = priority;
	snprintf(p->house, sizeof p->house, "%s", h->name);
	snprintf(p->sender, sizeof p->sender, "%s", sender);
	p->next = x->heads;
	x->heads = p;
	return p;
}

/* How many others have started meanwhile, of all that are counted in starts. */
static int64_t
passed_by(struct turns *x, struct head *p, int64_t same, int64_t starts)
{
	if (p->looked < x->looks[p->host] - 1 || p->same != same || starts < p->since) {
		p->same = same;
		p->since = starts;
	}
	p->looked = x->looks[p->host];
	return starts - p->since;
}

/* It leaves the queue as soon as it is reached. */
static bool
may_be_barred(const struct house *h, const char *tool)
{
	for (int i = 0; i < h->nbreakers; i++)
		if (strcmp(h->breakers[i].tool, tool) == 0 && h->breakers[i].state != BREAKER_CLOSED)
			return true;
	return false;
}

/* Reading what a limit counts by changes nothing else. */
static bool
may_begin(const struct core *c, const struct lane *l)
{
	return l->n && !signed_halt(c, l->house->name, l->tool) && !may_be_barred(l->house, l->tool) &&
	    flow_admits((struct core *)c, l->tasks.head) == FLOW_FREE;
}

static const struct task *
first_of(const struct core *c, const struct queuer *q)
{
	const struct task *t = NULL;

	for (const struct lane *l = q->lanes; l; l = l->next)
		if (may_begin(c, l) && (!t || l->tasks.head->seq < t->seq))
			t = l->tasks.head;
	return t;
}

/* Each AGED_EACH starts one of those that are old, in turn: whatever is in the queue now, there may have been old ones of every
 * priority meanwhile. */
#define STARTS_BEFORE_OLD ((TASK_PRIORITIES + 1) * AGED_EACH)

static void
look_at_rank(struct turns *x, int host, const struct core *c, const struct house *h, int priority)
{
	const struct rank *rank = &h->ranks[priority];
	const struct task *youngest = NULL;
	bool barred = false;
	int64_t n;

	for (const struct queuer *q = rank->head; q; q = q->next) {
		const struct task *t = first_of(c, q);

		for (const struct lane *l = q->lanes; l; l = l->next)
			barred |= may_be_barred(h, l->tool);
		if (!t)
			continue;
		n = passed_by(x, head_of(x, host, h, priority, q->sender), q->since, rank->starts);
		if (n > OTHERS_BEFORE_MAX)
			sim_fail(x->k->sim, c->o.agent, "house %s: %lld of priority %d have started while %s had no turn", h->name,
			    (long long)n, priority, q->sender);
		if (!youngest || t->accepted_ms > youngest->accepted_ms)
			youngest = t;
	}
	/* It may be the next of its rank, and is not old. */
	if (barred)
		return;
	if (!youngest || c->now.wall_ms - youngest->accepted_ms < AGED_MS)
		return;
	n = passed_by(x, head_of(x, host, h, priority, ""), rank->starts, h->served);
	if (n > STARTS_BEFORE_OLD)
		sim_fail(x->k->sim, c->o.agent, "house %s: %lld have started while those of priority %d are old", h->name, (long long)n,
		    priority);
}

/* ---- how many run at once ---- */

static bool
is_counted(const struct task *t, const struct house *h, const struct config_flow *f)
{
	return t->house == h && (t->state == TASK_STARTING || t->state == TASK_RUNNING) && strcmp(t->tool_name, f->tool) == 0;
}

/* All limits of the simulation are of one tool, whose tasks have one value of the key. An owner finds later what a former one
 * gave out and did not tell; but it gives out nothing itself while there are as many as may be. */
static void
look_at_flow(struct turns *x, const struct core *c, const struct house *h, const struct config_flow *f, int64_t *own)
{
	int64_t n = 0, before = *own;

	*own = 0;
	for (int i = 0; h->running && i < TASK_BUCKETS; i++)
		for (const struct task *t = c->by_seq[i]; t; t = t->next_seq) {
			bool counts = is_counted(t, h, f);

			n += counts;
			*own += counts && term_equal(&t->term, &h->term);
		}
	if (f->running && n > f->running && *own > before)
		sim_fail(x->k->sim, c->o.agent, "house %s: %lld run of limit %s", h->name, (long long)n, f->name);
}

/* ---- how many are given out in a time ---- */

static bool
is_new(struct turns *x, const struct task *t)
{
	struct given **p = &x->given[(seen_hash((const char *)&t->id, sizeof t->id) + (uint64_t)t->attempt) % GIVEN_BUCKETS], *g;

	for (g = *p; g; g = g->next)
		if (memcmp(&g->id, &t->id, sizeof g->id) == 0 && g->attempt == t->attempt && term_equal(&g->term, &t->term))
			return false;
	g = xcalloc(1, sizeof *g);
	*g = (struct given){ .id = t->id, .attempt = t->attempt, .term = t->term, .next = *p };
	*p = g;
	return true;
}

static struct bucket *
bucket_of(struct turns *x, const struct house *h, size_t k)
{
	struct bucket *b = x->buckets[k];

	while (b && strcmp(b->house, h->name) != 0)
		b = b->next;
	if (b)
		return b;
	b = xcalloc(1, sizeof *b);
	snprintf(b->house, sizeof b->house, "%s", h->name);
	b->next = x->buckets[k];
	x->buckets[k] = b;
	return b;
}

/* It was between the agent's last turn and now: so it has its token as early, and the next one needs his as late, as may be.
 * Clocks go wrong by some hundred millionths. */
static void
take_token(struct turns *x, int host, const struct core *c, const struct house *h, size_t k)
{
	const struct config_flow *f = &c->o.config->flows[k];
	struct bucket *b = bucket_of(x, h, k);
	int64_t each_us = f->each_us - f->each_us / 1000, now_us = x->k->sim->now_us;

	if (now_us < b->full_us - (f->burst - 1) * each_us)
		sim_fail(x->k->sim, c->o.agent, "house %s: limit %s: one was given out %lld ms too early", h->name, f->name,
		    (long long)(b->full_us - (f->burst - 1) * each_us - now_us) / 1000);
	b->full_us = (b->full_us > x->looked_us[host] ? b->full_us : x->looked_us[host]) + each_us;
}

static void
look_at_rate(struct turns *x, int host, const struct core *c, const struct house *h, size_t k)
{
	const struct config_flow *f = &c->o.config->flows[k];

	for (int i = 0; f->each_us && h->running && i < TASK_BUCKETS; i++)
		for (const struct task *t = c->by_seq[i]; t; t = t->next_seq)
			if (is_counted(t, h, f) && !t->chosen && term_equal(&t->term, &h->term) && is_new(x, t))
				take_token(x, host, c, h, k);
}

void
turns_look(struct turns *x, int host, const struct core *c)
{
	x->looks[host]++;
	for (int i = 0; i < c->nhouses; i++)
		for (int p = 0; c->houses[i].owned && !c->houses[i].local && p < TASK_PRIORITIES; p++)
			look_at_rank(x, host, c, &c->houses[i], p);
	for (int i = 0; i < c->nhouses; i++)
		for (size_t k = 0; c->houses[i].owned && k < c->o.config->nflows; k++) {
			look_at_flow(x, c, &c->houses[i], &c->o.config->flows[k], &x->own[host][i][k]);
			if (!c->houses[i].local)
				look_at_rate(x, host, c, &c->houses[i], k);
		}
	x->looked_us[host] = x->k->sim->now_us;
}
