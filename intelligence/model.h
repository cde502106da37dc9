/*
 * model.h - what became of attempts, and what is to be expected of the next one.
 *
 * The probability of success is carried down a list of levels, from all tasks to tool, house, host, shape of parameters
 * and hour. Each level has a cell that knows how many attempts there were (N), how many succeeded (S), and which share the
 * levels above it expect (m, as they do by now, not as they did once); a Beta-Binomial estimate with that expectation as its
 * prior mean moves the probability on:
 *
 *      f(k) = logit((S + k m) / (N + k)) - logit(m),  p' = sum over k of w(k) * sigmoid(logit(p) + f(k))
 *
 * Where a level is nested in the one above it, this is the shrinkage of Gelman et al., Bayesian Data Analysis, 3rd ed.,
 * ch. 5; the ratio to what was expected makes it right for crossed factors (hours beside hosts) too, as in Clayton and
 * Kaldor, Biometrics 43 (1987). How strongly to shrink, k, is not set: few values compete, weighted by how well they have
 * predicted, and share a little so that they can come back (Herbster and Warmuth, Machine Learning 32, 1998). k without
 * end stands for "this level says nothing".
 *
 * Counts are forgotten exponentially, by number and by time. Each cell runs Page's CUSUM (Biometrika 41, 1954) on
 * log-likelihood ratios of a shift of SHIFT in the logit, up and down; a false alarm comes at most once in exp(ALARM)
 * attempts (Lorden, Annals of Mathematical Statistics 42, 1971). An alarm cuts what the cell remembers.
 *
 * Durations are log-normal by cell, forgotten and shrunk likewise. The quantile that p95 is read from is corrected by what
 * was covered (Gibbs and Candes, Adaptive Conformal Inference, NeurIPS 2021), so it covers what it says even where they are
 * not log-normal.
 *
 * No clock, no I/O, no randomness but the caller's; nothing is allocated after model_new(). One model is MODEL_CELLS cells
 * of fixed size, whatever is learned: a new one takes the place of the one in its bucket that weighs least.
 */
#ifndef UW_MODEL_H
#define UW_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_CELLS   8192      /* 48 bytes each */
#define MODEL_WAYS    8         /* of a bucket */
#define MODEL_LEVELS  10
#define MODEL_TOOL    1         /* the level of a tool alone */
#define MODEL_HOUSE   2         /* of a tool in a house */
#define MODEL_TOOLS   256       /* whose durations have a correction, and whose failures have classes, of their own */

enum failure { FAILURE_ERROR, FAILURE_TIMEOUT, FAILURE_CRASH, FAILURE_NETWORK, FAILURE_BUSY, FAILURE_DENIED,
	FAILURE_INPUT, FAILURE_OTHER, FAILURE_COUNT };

/* What an attempt is known by: hashes, see shape.h. 0: not known. */
struct about {
	uint64_t tool, house, host, shape;
	int hour;               /* of the day, 0 to 23 */
};

struct outcome {
	bool ok;
	enum failure why;       /* if not */
	double ms;              /* how long it took; < 0: not known */
};

struct forecast {
	double p;               /* of success */
	double low, high;       /* 95 % credible */
	double evidence;        /* attempts it rests on, as they count now */
	double median_ms, p95_ms;       /* 0: nothing is known */
	double timed;           /* attempts of this tool that these rest on */
	enum failure why;       /* if it fails */
	double why_p;
	double by[MODEL_LEVELS];        /* p after each level */
	double seen[MODEL_LEVELS];      /* attempts it has seen, as they count now */
};

struct model;

struct model *model_new(void);          /* never NULL */
void model_free(struct model *m);
void model_clear(struct model *m);

void model_predict(const struct model *m, const struct about *a, int64_t now_ms, struct forecast *f);
void model_learn(struct model *m, const struct about *a, const struct outcome *o, int64_t now_ms);

/* One draw of the probability of success: choose the largest (Thompson, Biometrika 25, 1933). random gives 64 bits a call. */
double model_draw(const struct forecast *f, uint64_t (*random)(void *arg), void *arg);

/* Likewise, where one of them would have it anyway: what moves it away must be better by this share, so that those who do
 * about equally well divide the work as before. It is a share, for where all fail there is nothing to keep. */
#define MODEL_MOVE 0.05
double model_bid(const struct forecast *f, bool usual, uint64_t (*random)(void *arg), void *arg);

const char *model_level(int level);
const char *failure_name(enum failure f);
bool failure_parse(const char *name, enum failure *f);
unsigned model_used(const struct model *m);     /* cells */

#endif
