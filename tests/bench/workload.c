#include "workload.h"

#include <math.h>

const struct scenario scenarios[] = {
	{ "tools",    .tools = 8,  .tool = 1, .shape = 0.8, .gap_s = 60 },
	{ "houses",   .tools = 6,  .tool = 0.6, .shape = 0.3, .house = 1.6, .host = 0.5, .gap_s = 60, .differ = true },
	{ "hours",    .tools = 4,  .tool = 0.5, .house = 0.5, .hour = 3.5, .gap_s = 60, .differ = true },
	{ "drift",    .tools = 6,  .tool = 0.6, .house = 0.6, .drift = 0.7, .gap_s = 60 },
	{ "step",     .tools = 4,  .tool = 0.6, .house = 0.4, .step = -3, .gap_s = 60 },
	{ "bursts",   .tools = 6,  .tool = 0.8, .house = 0.4, .burst = 0.002, .gap_s = 10 },
	{ "outages",  .tools = 6,  .tool = 0.8, .house = 0.4, .outage = 0.002, .gap_s = 10 },
	{ "rare",     .tools = 200, .zipf = 1.1, .tool = 0.8, .house = 0.8, .gap_s = 60 },
	{ "alike",    .tools = 1,  .shape = 0.8, .gap_s = 60 },
};
const int nscenarios = sizeof scenarios / sizeof *scenarios;

/* splitmix64 (Steele, Lea, Flood, 2014). */
uint64_t
rng_next(void *rng)
{
	uint64_t z = ((struct rng *)rng)->s += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

double
rng_uniform(struct rng *r)
{
	return ((double)(rng_next(r) >> 11) + 0.5) / 9007199254740992.0;
}

double
rng_normal(struct rng *r)
{
	double radius = sqrt(-2 * log(rng_uniform(r)));

	return radius * cos(6.283185307179586 * rng_uniform(r));
}

static int
pick(struct rng *r, int n)
{
	return (int)(rng_uniform(r) * n);
}

void
workload_init(struct workload *w, const struct scenario *s, uint64_t seed, int64_t length)
{
	double sum = 0;

	memset(w, 0, sizeof *w);
	w->s = s;
	w->rng.s = seed * 1000003;
	w->length = length;
	w->now_ms = 1700000000000;
	for (int t = 0; t < s->tools; t++) {
		w->often[t] = sum += pow(t + 1, -s->zipf);
		w->tool[t] = 1.8 + s->tool * rng_normal(&w->rng);
		w->mean[t] = 5 + 1.5 * rng_normal(&w->rng);
		w->spread[t] = 0.2 + 0.6 * rng_uniform(&w->rng);
		for (int i = 0; i < WORK_SHAPES; i++)
			w->shape[t][i] = s->shape * rng_normal(&w->rng);
		for (int h = 0; h < WORK_HOUSES; h++)
			w->house[t][h] = s->house * rng_normal(&w->rng);
	}
	for (int h = 0; h < WORK_HOUSES; h++) {
		int bad = pick(&w->rng, 24);

		for (int i = 0; i < WORK_HOSTS; i++)
			w->host[h][i] = s->host * rng_normal(&w->rng);
		/* Six hours of the night, for instance. */
		for (int i = 0; i < 6; i++)
			w->hour[h][(bad + i) % 24] = -s->hour;
	}
}

bool
workload_next(struct workload *w, struct job *j)
{
	const struct scenario *s = w->s;
	double gap_s = -log(rng_uniform(&w->rng)) * s->gap_s, x;

	if (w->n++ >= w->length)
		return false;
	j->now_ms = w->now_ms += (int64_t)(gap_s * 1000);
	x = rng_uniform(&w->rng) * w->often[s->tools - 1];
	for (j->tool = 0; j->tool < s->tools - 1 && w->often[j->tool] < x;)
		j->tool++;
	j->house = pick(&w->rng, WORK_HOUSES);
	j->host = pick(&w->rng, WORK_HOSTS);
	j->shape = pick(&w->rng, WORK_SHAPES);
	j->hour = (int)(w->now_ms / 3600000 % 24);
	j->u = rng_uniform(&w->rng);
	j->ms = exp(w->mean[j->tool] + 0.3 * j->house + w->spread[j->tool] * rng_normal(&w->rng));
	for (int h = 0; h < WORK_HOUSES && s->drift > 0; h++)
		w->moved[h] += s->drift * sqrt(gap_s / 86400) * rng_normal(&w->rng) - 0.1 * w->moved[h] * gap_s / 86400;
	if (rng_uniform(&w->rng) < s->outage)
		w->down_until_ms[j->house] = w->now_ms + (int64_t)(300e3 + 600e3 * rng_uniform(&w->rng));
	if (rng_uniform(&w->rng) < s->burst)
		w->burst_until_ms = w->now_ms + (int64_t)(120e3 + 480e3 * rng_uniform(&w->rng));
	return true;
}

double
workload_chance(const struct workload *w, const struct job *j)
{
	double x = w->tool[j->tool] + w->shape[j->tool][j->shape] + w->house[j->tool][j->house] + w->host[j->house][j->host] +
	    w->hour[j->house][j->hour] + w->moved[j->house];

	if (w->n > w->length / 2 && j->tool == 0 && j->house % 2 == 0)
		x += w->s->step;
	if (j->now_ms < w->down_until_ms[j->house])
		x -= 5;
	if (j->now_ms < w->burst_until_ms)
		x -= 3;
	return 1 / (1 + exp(-x));
}

void
job_about(const struct job *j, struct about *a)
{
	*a = (struct about){ .tool = 1000 + (uint64_t)j->tool, .house = 2000 + (uint64_t)j->house,
		.host = 3000 + (uint64_t)(j->house * WORK_HOSTS + j->host), .shape = 4000 + (uint64_t)j->shape, .hour = j->hour };
}
