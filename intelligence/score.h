/*
 * score.h - how good probabilities were, judged by what happened.
 *
 * Brier's score (Monthly Weather Review 78, 1950) is the mean of (p - outcome)^2, log loss that of -ln of the probability
 * given to what happened: both are proper, so nobody gains by saying other than he believes (Gneiting and Raftery, JASA 102,
 * 2007). Calibration in ten bins of equal width; ECE is the mean distance of what was said from what happened in a bin,
 * weighted by the bin (Naeini, Cooper, Hauskrecht, AAAI 2015). Skill is 1 - score / score of the baseline.
 */
#ifndef UW_SCORE_H
#define UW_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#define SCORE_BINS 10

struct score {
	uint64_t n;
	double brier, loss;     /* sums */
	struct score_bin {
		uint64_t n;
		double said, came;
	} bins[SCORE_BINS];
	uint64_t timed, covered;        /* durations with a p95, and how many it covered */
};

void score_add(struct score *s, double p, bool ok);
void score_time(struct score *s, double p95_ms, double ms);

void score_join(struct score *s, const struct score *other);

double score_brier(const struct score *s);
double score_loss(const struct score *s);
double score_ece(const struct score *s);
double score_coverage(const struct score *s);
double score_skill(const struct score *s, const struct score *base);    /* by Brier's score */

#endif
