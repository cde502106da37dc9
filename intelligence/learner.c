#include "learner.h"

#include <stdlib.h>

#define RATE_MEMORY 100000.0    /* attempts: the baselines forget nearly nothing */

static struct tally *
slot(const struct learner *l, uint64_t tool)
{
	return (struct tally *)&l->tools[tool % LEARNER_TOOLS];
}

/* The rule of succession. */
static double
chance(const struct tally *r)
{
	return (r->succeeded + 1) / (r->n + 2);
}

void
learner_expect(const struct learner *l, const struct about *a, int64_t now_ms, struct said *s)
{
	const struct tally *tool = slot(l, a->tool);

	model_predict(l->model, a, now_ms, &s->f);
	s->p_all = chance(&l->all);
	s->p_tool = tool->tool == a->tool && tool->n > 0 ? chance(tool) : s->p_all;
}

double
learner_base(const struct learner *l, uint64_t tool)
{
	const struct tally *r = slot(l, tool);

	return r->tool == tool && r->n >= LEARNER_BASE_MIN ? (r->down + 1) / (r->n + 2) : -1;
}

int
learner_run(double base, int most)
{
	double chance = 1;
	int n = 0;

	while (n < most && chance * LEARNER_RUN > 1) {
		chance *= base;
		n++;
	}
	return n;
}

static bool
is_down(const struct past *x)
{
	return !x->ok && (x->why == FAILURE_NETWORK || x->why == FAILURE_TIMEOUT || x->why == FAILURE_BUSY);
}

static void
count(struct tally *r, const struct past *x)
{
	double keep = r->n >= RATE_MEMORY ? 1 - 1 / RATE_MEMORY : 1;

	r->n = r->n * keep + 1;
	r->succeeded = r->succeeded * keep + x->ok;
	r->down = r->down * keep + is_down(x);
}

static void
judge(struct learner *l, const struct past *x)
{
	score_add(&l->said, x->p, x->ok);
	score_add(&l->by_all, x->p_all, x->ok);
	score_add(&l->by_tool, x->p_tool, x->ok);
	if (x->p95_ms > 0 && x->us >= 0)
		score_time(&l->said, x->p95_ms, (double)x->us / 1000);
}

void
learner_learn(struct learner *l, const struct past *x)
{
	struct outcome o = { .ok = x->ok, .why = x->why, .ms = x->us < 0 ? -1 : (double)x->us / 1000 };
	struct tally *tool;
	struct about a;

	if (x->what != PAST_ATTEMPT)
		return;
	past_about(x, &a);
	if (x->foretold)
		judge(l, x);
	model_learn(l->model, &a, &o, x->at_ms);
	count(&l->all, x);
	tool = slot(l, a.tool);
	if (tool->tool != a.tool)
		*tool = (struct tally){ .tool = a.tool };
	count(tool, x);
	if (!l->n++ || x->at_ms < l->since_ms)
		l->since_ms = x->at_ms;
}

void
learner_clear(struct learner *l)
{
	struct model *m = l->model;

	model_clear(m);
	*l = (struct learner){ .model = m };
}

struct learner *
learner_new(void)
{
	struct learner *l = xmalloc(sizeof *l);

	*l = (struct learner){ .model = model_new() };
	return l;
}

void
learner_free(struct learner *l)
{
	if (!l)
		return;
	model_free(l->model);
	free(l);
}
