#include "score.h"

#include <math.h>

void
score_add(struct score *s, double p, bool ok)
{
	double given = ok ? p : 1 - p;
	struct score_bin *b = &s->bins[p >= 1 ? SCORE_BINS - 1 : (int)(p * SCORE_BINS)];

	s->n++;
	s->brier += (1 - given) * (1 - given);
	s->loss -= log(fmax(given, 1e-9));
	b->n++;
	b->said += p;
	b->came += ok;
}

void
score_time(struct score *s, double p95_ms, double ms)
{
	s->timed++;
	s->covered += ms <= p95_ms;
}

void
score_join(struct score *s, const struct score *other)
{
	s->n += other->n;
	s->brier += other->brier;
	s->loss += other->loss;
	s->timed += other->timed;
	s->covered += other->covered;
	for (int i = 0; i < SCORE_BINS; i++) {
		s->bins[i].n += other->bins[i].n;
		s->bins[i].said += other->bins[i].said;
		s->bins[i].came += other->bins[i].came;
	}
}

double
score_brier(const struct score *s)
{
	return s->n ? s->brier / (double)s->n : 0;
}

double
score_loss(const struct score *s)
{
	return s->n ? s->loss / (double)s->n : 0;
}

double
score_ece(const struct score *s)
{
	double sum = 0;

	for (int i = 0; i < SCORE_BINS; i++)
		sum += fabs(s->bins[i].said - s->bins[i].came);
	return s->n ? sum / (double)s->n : 0;
}

double
score_coverage(const struct score *s)
{
	return s->timed ? (double)s->covered / (double)s->timed : 0;
}

double
score_skill(const struct score *s, const struct score *base)
{
	return base->brier > 0 ? 1 - score_brier(s) / score_brier(base) : 0;
}
