/*
 * flow.c - how many attempts of a kind may run at once, by the configuration.
 *
 * A house's owner alone gives out its attempts, and so counts them: from the choice to the end, wherever they run, and those of
 * former owners that may still run. An attempt that is counted by a limit begins when the copies know that it does (as what may
 * not run twice): so a new owner finds them all, and goes on with the count.
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

enum flow
flow_admits(struct core *c, struct task *t)
{
	const struct config *config = c->o.config;
	enum flow answer = FLOW_FREE;

	for (size_t i = 0; i < config->nflows && answer != FLOW_FULL; i++) {
		const struct config_flow *f = &config->flows[i];
		const struct gauge *g = concerns(f, t) ? *gauge_of(c, t, i) : NULL;

		if (g && g->running >= f->running)
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
		}
		(*g)->running++;
	}
}

void
flow_ends(struct core *c, struct task *t)
{
	t->house->running--;
	for (size_t i = 0; t->counted && i < c->o.config->nflows; i++) {
		struct gauge **p, *g;

		if (!concerns(&c->o.config->flows[i], t))
			continue;
		p = gauge_of(c, t, i);
		g = *p;
		if (--g->running)
			continue;
		*p = g->next;
		free(g);
	}
	t->counted = false;
}

void
flow_release(struct core *c)
{
	for (int i = 0; i < GAUGE_BUCKETS; i++)
		for (struct gauge *g = c->gauges[i], *next; g; g = next) {
			next = g->next;
			free(g);
		}
}
