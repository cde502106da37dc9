/*
 * workload.h - streams of tasks whose true chances are known: several tools, houses, hosts and hours, that drift,
 * step, come in bursts and fail together.
 *
 * A scenario is a row of the table; a seed makes a stream of it, the same each time.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

#define WORK_TOOLS  200
#define WORK_HOUSES 4
#define WORK_HOSTS  2           /* of a house */
#define WORK_SHAPES 3

/* How far each thing moves the logit of success: the standard deviation, or the move itself. */
struct scenario {
	const char *name;
	int tools;
	double zipf;            /* how unequally often they come; 0: equally */
	double tool, shape, house, host, hour;
	double drift;           /* of a house, per square root of a day */
	double step;            /* of a tool in half of the houses, at the middle of the stream */
	double burst;           /* the chance that a task begins a burst, in which all fail more often */
	double outage;          /* the chance that a task begins an outage of its house */
	double gap_s;           /* between tasks, on average */
	bool differ;            /* houses or hours do */
};

extern const struct scenario scenarios[];
extern const int nscenarios;

struct rng {
	uint64_t s;
};

uint64_t rng_next(void *rng);
double rng_uniform(struct rng *r);
double rng_normal(struct rng *r);

struct workload {
	const struct scenario *s;
	struct rng rng;
	int64_t n, length, now_ms;
	double often[WORK_TOOLS];       /* cumulative */
	double tool[WORK_TOOLS], shape[WORK_TOOLS][WORK_SHAPES], hour[WORK_HOUSES][24];
	double house[WORK_TOOLS][WORK_HOUSES], host[WORK_HOUSES][WORK_HOSTS], moved[WORK_HOUSES];
	double mean[WORK_TOOLS], spread[WORK_TOOLS];
	int64_t down_until_ms[WORK_HOUSES], burst_until_ms;
};

struct job {
	int tool, house, host, shape, hour;
	double u;               /* it succeeds if this is below its chance */
	double ms;
	int64_t now_ms;
};

void workload_init(struct workload *w, const struct scenario *s, uint64_t seed, int64_t length);
bool workload_next(struct workload *w, struct job *j);
double workload_chance(const struct workload *w, const struct job *j);
void job_about(const struct job *j, struct about *a);

#endif
