/*
 * layout.c - who lives where: houses and their agents, candidates, the router, brokers, as a houses.yaml that the
 * configuration module reads.
 */
#include "sim.h"

#include "buf.h"

static const char *const houses[] = { "timmy", "ezra", "bezalel", "allegro", "marcus" };

#define TASKS_PER_MINUTE 40
#define HOUSES_MAX_HERE ((int)(sizeof houses / sizeof *houses))

static int64_t
draw(struct sim *s, int64_t min, int64_t max)
{
	return rng_between(&s->rng[RNG_PLAN], min, max);
}

/* Houses with one to three agents each. */
static void
place_agents(struct sim *s)
{
	int n[HOUSES_MAX_HERE] = { 0 }, left = s->plan.nagents - s->plan.nhouses;

	while (left > 0) {
		int h = (int)draw(s, 0, s->plan.nhouses - 1);

		if (n[h] < 2) {
			n[h]++;
			left--;
		}
	}
	for (int h = 0; h < s->plan.nhouses; h++)
		for (int i = 1; i <= n[h] + 1; i++) {
			struct place *p = &s->places[s->nplaces++];

			p->house = houses[h];
			snprintf(p->name, sizeof p->name, "%s-%d", houses[h], i);
		}
}

/* Not more than a house can do by one worker of its first agent. */
static void
limit_load(struct sim *s)
{
	int most = TASKS_PER_MINUTE * s->plan.nhouses / s->plan.nclients;

	if (s->plan.tasks_per_minute > most)
		s->plan.tasks_per_minute = most < 1 ? 1 : most;
}

void
layout_plan(struct sim *s)
{
	int min = (s->plan.nagents + 2) / 3;

	s->plan.nhouses = (int)draw(s, min, s->plan.nagents < 4 ? s->plan.nagents : 4);
	place_agents(s);
	limit_load(s);
	if (s->plan.witness)
		snprintf(s->places[s->nplaces++].name, sizeof s->places->name, "witness");
	for (int i = 0; i < BROKERS_MAX; i++)
		s->plan.carrier[i] = draw(s, 0, 2) ? -1 : (int)draw(s, 0, s->nplaces - 1);
}

static void
put_agents(const struct sim *s, struct buf *b, const char *house, int *used)
{
	for (int i = 0; i < s->nplaces; i++)
		if (s->places[i].house && strcmp(s->places[i].house, house) == 0) {
			buf_addf(b, "%s%s", *used ? ", " : "", s->places[i].name);
			(*used)++;
		}
}

/* Those of other houses, beginning with any. */
static void
put_others(struct sim *s, struct buf *b, const char *house, int used, int max)
{
	int first = (int)draw(s, 0, s->nplaces - 1);

	for (int k = 0; k < s->nplaces && used < max; k++) {
		const struct place *p = &s->places[(first + k) % s->nplaces];

		if (p->house && strcmp(p->house, house) != 0)
			buf_addf(b, "%s%s", used++ ? ", " : "", p->name);
	}
}

static void
put_house(struct sim *s, struct buf *b, const char *house)
{
	int used = 0;

	buf_addf(b, "  %s:\n    role: worker\n    agents: [", house);
	put_agents(s, b, house, &used);
	buf_adds(b, "]\n    candidates: [");
	used = 0;
	put_agents(s, b, house, &used);
	put_others(s, b, house, used, (int)draw(s, 1, 4));
	buf_adds(b, "]\n");
}

/* About as many as come for each house; those that are refused under stress come together later. */
static int
noops_per_minute(const struct plan *p)
{
	return (2 + p->nclients * p->tasks_per_minute * 25 / 100 / p->nhouses) * (p->stress ? 2 : 1);
}

static void
put_text(struct sim *s, struct buf *b)
{
	buf_adds(b, "houses:\n");
	for (int h = 0; h < s->plan.nhouses; h++)
		put_house(s, b, houses[h]);
	buf_adds(b, "router: [");
	put_others(s, b, "", 0, (int)draw(s, 1, 3));
	buf_adds(b, "]\nbrokers: [");
	for (int i = 0; i < s->plan.nbrokers; i++)
		buf_addf(b, "%s\"b%d:8883\"", i ? ", " : "", i);
	buf_adds(b, "]\n");
	if (s->plan.witness)
		buf_adds(b, "witnesses: [witness]\n");
	if (s->plan.sovereign)
		timmy_pin(s, b);
	/* Who may have schedules of his own. */
	buf_adds(b, "operators: [operator");
	for (int i = 0; i < s->plan.nclients; i++)
		buf_addf(b, ", sender%d", i);
	buf_adds(b, "]\n");
	buf_adds(b, "alerts: { agent-gone: { raise_s: 1s, clear_s: 1s }, house-vacant: { raise_s: 1s, clear_s: 1s } }\n");
	stress_put_config(s, b);
	buf_adds(b, "breakers: { failures: 2, open_s: 3s, open_cap_s: 20s }\n");
	/* In the first minutes, then not for a year. */
	buf_adds(b, "schedules:\n");
	for (int h = 0; h < s->plan.nhouses; h++)
		buf_addf(b, "  each-%s: {cron: \"0-9 8 15 1 *\", house: %s, missed: all, task: '{\"tool\":\"%s\",\"params\":{%s}}'}\n", houses[h],
		    houses[h], h % 2 ? "http_post" : "noop", h % 2 ? "\"url\":\"http://there/\",\"json\":0" : "\"payload\":0");
	if (s->plan.flow)
		buf_addf(b, "flow:\n  posts: {tool: http_post, key: url, running: 2}\n  writes: {tool: file_write, key: path}\n"
		    "  waits: {tool: wait, running: 2}\n  noops: {tool: noop, rate: %d/m, burst: 3}\n", noops_per_minute(&s->plan));
}

static void
warn(const char *text, void *arg)
{
	(void)text, (void)arg;
}

void
layout_config(struct sim *s)
{
	struct buf text = { 0 };
	struct err e;

	put_text(s, &text);
	if (config_parse(&s->config, "sim", text.data, text.len, warn, NULL, &e)) {
		fprintf(stderr, "sim: %s\n%s", e.msg, text.data);
		exit(2);
	}
	sim_trace(s, "%s", text.data);
	buf_free(&text);
	s->config.max_queued = s->plan.queue_max < 1000 ? 150 : 100000;
	s->config.max_outbox_bytes = s->plan.queue_max < 1000 ? 64 << 10 : 64 << 20;
	s->config.keep_finished = s->plan.short_memory ? 30 : 100000;
}
