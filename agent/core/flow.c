/*
 * flow.c - how many attempts of a kind may run at once, and begin in a time, by the configuration.
 *
 * A house's owner alone gives out its attempts, and so counts them: from the choice to the end, wherever they run, and those of
 * former owners that may still run. An attempt that is counted by a limit begins when the copies know that it does (as what may
 * not run twice): so a new owner finds them all, and goes on with the count.
 *
 * A rate is a bucket of tokens, and of that one number is kept: when it will be full again (GCRA, as in ATM Forum TM 4.0). A
 * token is kept aside with the choice and taken when the attempt is handed out; one that never is gives it back, one that is does
 * not, whatever becomes of it. Nothing of this is told to anybody. A new owner, or one that begins again, takes all buckets for
 * empty: so what the former one gave out and what comes since are never more together than one owner might have given out.
 */
#include <string.h>

#include "json.h"
#include "state.h"

static bool
concerns(const struct config_flow *f, const struct task *t)
{
	return (!f->house[0] || strcmp(f->house, t->house->name) == 0) && (!f->tool || strcmp(f->tool, t->tool_name) == 0);
}

/* Of all that is the same for one limit only what is equal matters: two values of one hash would wait for each other. */
static uint64_t
value_hash(const cJSON *params, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(params, key);
	struct buf b = { 0 };
	uint64_t x;

	if (v)
		json_put_tree(&b, v);
	x = seen_hash(b.data, b.len);
	buf_free(&b);
	return x;
}

/* One for each limit: read once, when it might begin. */
static void
read_keys(struct core *c, struct task *t)
{
	const struct config *config = c->o.config;
	cJSON *tree = json_parse(t->body, t->body_len, NULL), *params;

	t->keys = xcalloc(config->nflows, sizeof *t->keys);
	params = cJSON_GetObjectItemCaseSensitive(tree, "params");
	if (tree && !cJSON_IsObject(params))
		params = cJSON_AddObjectToObject(tree, "params");
	/* For the defaults. */
	if (params && t->tool)
		(void)registry_check(c->o.tools, t->tool, params, &(struct err){ 0 });
	for (size_t i = 0; i < config->nflows; i++)
		if (config->flows[i].key && concerns(&config->flows[i], t))
			t->keys[i] = value_hash(params, config->flows[i].key);
	cJSON_Delete(tree);
}

static struct gauge **
find(struct core *c, const struct config_flow *f, const struct house *h, uint64_t key)
{
	uint64_t x = key ^ (uint64_t)(f - c->o.config->flows) * 31 ^ (uint64_t)(h - c->houses) * 1009;
	struct gauge **g = &c->gauges[x % GAUGE_BUCKETS];

	while (*g && ((*g)->flow != f || (*g)->house != h || (*g)->key != key))
		g = &(*g)->next;
	return g;
}

static struct gauge **
gauge_of(struct core *c, struct task *t, size_t i)
{
	const struct config_flow *f = &c->o.config->flows[i];

	if (f->key && !t->keys)
		read_keys(c, t);
	return find(c, f, t->house, f->key ? t->keys[i] : 0);
}

/* ---- tokens ---- */

static int64_t
now_us(const struct core *c)
{
	return c->now.mono_ms * 1000;
}

static int64_t
full_us(const struct core *c, const struct config_flow *f, const struct house *h, const struct gauge *g)
{
	int64_t since_empty = h->empty_us + f->burst * f->each_us, full = g && g->full_us > since_empty ? g->full_us : since_empty;

	return full > now_us(c) ? full : now_us(c);
}

static void
wake(struct core *c, int64_t ms)
{
	if (!c->flow_ms || ms < c->flow_ms)
		c->flow_ms = ms;
}

/* Those that are kept are counted as taken now. If they are all there may be, it is not time that is waited for. */
static bool
has_token(struct core *c, const struct config_flow *f, const struct house *h, const struct gauge *g)
{
	int64_t missing = (g ? g->kept : 0) + 1 - f->burst, at = full_us(c, f, h, g) + missing * f->each_us;

	if (at <= now_us(c))
		return true;
	if (missing <= 0)
		wake(c, (at + 999) / 1000);
	return false;
}

static bool
is_idle(const struct core *c, const struct gauge *g)
{
	return !g->running && g->full_us <= now_us(c);
}

static void
drop(struct core *c, struct gauge **p)
{
	struct gauge *g = *p;

	*p = g->next;
	free(g);
	c->ngauges--;
	c->gauges_ms = 0;
}

/* Returns when the next one that is left can go, 0: that is not known. */
static int64_t
sweep(struct core *c, int bucket)
{
	int64_t next = 0;

	for (struct gauge **p = &c->gauges[bucket]; *p;) {
		struct gauge *g = *p;

		if (is_idle(c, g)) {
			drop(c, p);
			continue;
		}
		if (!g->running && (!next || g->full_us < next))
			next = g->full_us;
		p = &g->next;
	}
	return next;
}

/* For one more value. */
static bool
has_room(struct core *c)
{
	int64_t next = 0;

	if (c->ngauges < GAUGES_MAX)
		return true;
	if (c->gauges_ms <= c->now.mono_ms) {
		for (int i = 0; i < GAUGE_BUCKETS; i++) {
			int64_t us = sweep(c, i);

			if (us && (!next || us < next))
				next = us;
		}
		if (c->ngauges < GAUGES_MAX)
			return true;
		c->gauges_ms = next ? (next + 999) / 1000 : c->now.mono_ms + 1000;
	}
	wake(c, c->gauges_ms);
	return false;
}

/* ---- attempts ---- */

enum flow
flow_admits(struct core *c, struct task *t)
{
	const struct config *config = c->o.config;
	enum flow answer = FLOW_FREE;

	for (size_t i = 0; i < config->nflows && answer != FLOW_FULL; i++) {
		const struct config_flow *f = &config->flows[i];
		const struct gauge *g;

		if (!concerns(f, t))
			continue;
		g = *gauge_of(c, t, i);
		if ((f->running && g && g->running >= f->running) ||
		    (f->each_us && (!has_token(c, f, t->house, g) || (f->key && !g && !has_room(c)))))
			answer = f->key ? FLOW_KEY_FULL : FLOW_FULL;
	}
	return answer;
}

void
flow_begins(struct core *c, struct task *t)
{
	const struct config *config = c->o.config;

	t->house->running++;
	t->counted = false;
	t->token = t->chosen;
	if (IS_MUTANT(MUTANT_FLOW_FORGOTTEN) && !t->chosen)
		return;
	for (size_t i = 0; i < config->nflows; i++) {
		struct gauge **g;

		if (!concerns(&config->flows[i], t))
			continue;
		t->counted = true;
		g = gauge_of(c, t, i);
		if (!*g) {
			*g = xcalloc(1, sizeof **g);
			**g = (struct gauge){ .flow = &config->flows[i], .house = t->house, .key = t->keys ? t->keys[i] : 0 };
			c->ngauges++;
		}
		(*g)->running++;
		(*g)->kept += t->token;
	}
}

void
flow_is_out(struct core *c, struct task *t)
{
	const struct config *config = c->o.config;

	for (size_t i = 0; t->token && t->counted && i < config->nflows; i++) {
		const struct config_flow *f = &config->flows[i];
		struct gauge *g;

		if (!concerns(f, t))
			continue;
		g = *gauge_of(c, t, i);
		g->kept--;
		if (!f->each_us)
			continue;
		g->full_us = full_us(c, f, t->house, g) + f->each_us;
		/* Others may wait for the next. */
		(void)has_token(c, f, t->house, g);
	}
	t->token = false;
}

void
flow_ends(struct core *c, struct task *t)
{
	t->house->running--;
	for (size_t i = 0; t->counted && i < c->o.config->nflows; i++) {
		struct gauge **p;

		if (!concerns(&c->o.config->flows[i], t))
			continue;
		p = gauge_of(c, t, i);
		(*p)->running--;
		(*p)->kept -= t->token;
		if (is_idle(c, *p))
			drop(c, p);
	}
	t->counted = t->token = false;
}

void
flow_take_up(struct core *c, struct house *h)
{
	h->empty_us = IS_MUTANT(MUTANT_FLOW_FULL) ? INT64_MIN / 2 : now_us(c);
}

/* What is full again need not be remembered. */
void
flow_tick(struct core *c)
{
	c->gauge_swept = (c->gauge_swept + 1) % GAUGE_BUCKETS;
	(void)sweep(c, (int)c->gauge_swept);
}

void
flow_release(struct core *c)
{
	for (int i = 0; i < GAUGE_BUCKETS; i++)
		while (c->gauges[i])
			drop(c, &c->gauges[i]);
}
