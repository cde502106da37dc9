/*
 * learner.h - the model, the two baselines that it is judged against, and how well all three have done.
 *
 * Pure, like the model: what was learned in an order is the same whenever that is learned again in this order. So the
 * attempts that are kept (past.h) are all that is kept.
 */
#ifndef UW_LEARNER_H
#define UW_LEARNER_H

#include "model.h"
#include "past.h"
#include "score.h"

#define LEARNER_TOOLS 512       /* with a rate of their own; another one takes the place of one that it collides with */

struct tally {
	uint64_t tool;
	double n, succeeded, down;      /* down: failed as what does not get through to its target does */
};

struct learner {
	struct model *model;
	struct tally all, tools[LEARNER_TOOLS];
	struct score said, by_all, by_tool;
	int64_t n, since_ms;    /* attempts learned; when the first of them ended */
};

/* What is said before an attempt starts. */
struct said {
	struct forecast f;
	double p_all, p_tool;   /* what the baselines say */
};

struct learner *learner_new(void);      /* never NULL */
void learner_free(struct learner *l);
void learner_clear(struct learner *l);

void learner_expect(const struct learner *l, const struct about *a, int64_t now_ms, struct said *s);

/* How often a tool's attempts do not get through, on the whole: what an outage of minutes does not change. Below 0: fewer
 * than LEARNER_BASE_MIN are known. */
#define LEARNER_BASE_MIN 100
double learner_base(const struct learner *l, uint64_t tool);

/* So many failures in a row come by chance once in LEARNER_RUN attempts at most, at that base rate. */
#define LEARNER_RUN 1000
int learner_run(double base, int most);

void learner_learn(struct learner *l, const struct past *x);

#endif
