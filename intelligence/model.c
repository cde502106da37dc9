#include "model.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "buf.h"

enum { TOOL = 1, HOUSE = 2, HOST = 4, SHAPE = 8, HOUR = 16 };

/* In this order. The quick ones, at the end, know only the last attempts: they see an outage while it lasts. */
static const struct level {
	const char *name;
	unsigned what;
	double memory;          /* attempts */
	double half_life_s;
} levels[MODEL_LEVELS] = {
	{ "all tasks",           0,                    1000, 30 * 86400.0 },
	{ "tool",                TOOL,                 500,  30 * 86400.0 },
	{ "tool, house",         TOOL | HOUSE,         400,  30 * 86400.0 },
	{ "tool, house, host",   TOOL | HOUSE | HOST,  300,  30 * 86400.0 },
	{ "tool, house, shape",  TOOL | HOUSE | SHAPE, 300,  30 * 86400.0 },
	{ "house, hour",         HOUSE | HOUR,         300,  30 * 86400.0 },
	{ "tool, house, hour",   TOOL | HOUSE | HOUR,  200,  30 * 86400.0 },
	{ "house, just now",     HOUSE,                20,   600.0 },
	{ "host, just now",      HOST,                 20,   600.0 },
	{ "tool, just now",      TOOL,                 20,   600.0 },
};

#define STRENGTHS 4
static const double strengths[STRENGTHS] = { 2, 10, 50, INFINITY };

#define SHARE     1e-5          /* of a weight, to all others, at each attempt */
#define SHIFT     1.5           /* of the logit, that drift is looked for by */
#define ALARM     6.5
#define KEPT      4.0           /* attempts, after an alarm */
#define REVISE    0.1           /* how fast e follows what the levels above learn: no level explains again what they explain by now */
#define EDGE      1e-3          /* no probability is nearer to 0 or 1 */
#define PRIOR     8.0           /* attempts that a parent's durations stand for */
#define QUANTILE  1.645         /* of the normal distribution, to begin with */
#define STEP      0.06          /* of its correction */

struct cell {
	uint64_t key;           /* 0: free */
	float n, s, e;          /* attempts, successes, and the share that the levels above expect */
	float up, down;         /* CUSUM */
	float dn, mean, var;    /* of the logarithm of milliseconds */
	int64_t at_ms;
};

struct mind {
	uint64_t tool;
	float n, quantile;
	float why[FAILURE_COUNT];
};

struct model {
	double weight[MODEL_LEVELS][STRENGTHS];
	struct mind all, tools[MODEL_TOOLS];
	struct cell cells[MODEL_CELLS];
};

/* The way of one attempt down the levels. */
struct walk {
	uint64_t key[MODEL_LEVELS];
	struct cell *cell[MODEL_LEVELS];        /* NULL: none yet */
	double keep[MODEL_LEVELS];              /* of what it had, by time */
	double before[MODEL_LEVELS];
	double each[MODEL_LEVELS][STRENGTHS];
	double p, n;
	double mean, var, dn, timed;
};

static const char *const failures[FAILURE_COUNT] = {
	[FAILURE_ERROR] = "error", [FAILURE_TIMEOUT] = "timeout", [FAILURE_CRASH] = "crash", [FAILURE_NETWORK] = "network",
	[FAILURE_BUSY] = "busy", [FAILURE_DENIED] = "denied", [FAILURE_INPUT] = "input", [FAILURE_OTHER] = "other",
};

const char *
failure_name(enum failure f)
{
	return failures[f];
}

bool
failure_parse(const char *name, enum failure *f)
{
	for (int i = 0; i < FAILURE_COUNT; i++)
		if (strcmp(failures[i], name) == 0) {
			*f = (enum failure)i;
			return true;
		}
	return false;
}

const char *
model_level(int level)
{
	return levels[level].name;
}

static double
logit(double p)
{
	return log(p / (1 - p));
}

static double
within(double p)
{
	return p < EDGE ? EDGE : p > 1 - EDGE ? 1 - EDGE : p;
}

static double
sigmoid(double x)
{
	return within(1 / (1 + exp(-x)));
}

/* The finalizer of splitmix64 (Steele, Lea, Flood, 2014). */
static uint64_t
stir(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
	h = (h ^ h >> 27) * 0x94d049bb133111ebu;
	return h ^ h >> 31;
}

static uint64_t
key_of(int level, const struct about *a)
{
	const uint64_t part[] = { a->tool, a->house, a->host, a->shape, (uint64_t)a->hour + 1 };
	uint64_t h = (uint64_t)level + 1;

	for (unsigned i = 0; i < sizeof part / sizeof *part; i++)
		if (levels[level].what & 1u << i)
			h = stir(h, part[i]);
	h = stir(h, 0);
	return h ? h : 1;
}

static double
kept(const struct cell *c, int level, int64_t now_ms)
{
	double s = (double)(now_ms - c->at_ms) / 1000;

	return s <= 0 ? 1 : exp2(-s / levels[level].half_life_s);
}

static struct cell *
bucket(const struct model *m, uint64_t key)
{
	return (struct cell *)&m->cells[key % (MODEL_CELLS / MODEL_WAYS) * MODEL_WAYS];
}

static struct cell *
find(const struct model *m, uint64_t key)
{
	struct cell *c = bucket(m, key);

	for (int i = 0; i < MODEL_WAYS; i++)
		if (c[i].key == key)
			return &c[i];
	return NULL;
}

/* What has the fewest attempts goes, and of these what was used longest ago. */
static struct cell *
make(struct model *m, uint64_t key, int64_t now_ms)
{
	struct cell *c = bucket(m, key), *worst = c;
	double least = INFINITY;

	for (int i = 0; i < MODEL_WAYS; i++) {
		double hours = (double)(now_ms - c[i].at_ms) / 3600e3;
		double worth = c[i].key ? (double)c[i].n / (1 + (hours > 0 ? hours : 0)) : -1;

		if (worth < least) {
			least = worth;
			worst = &c[i];
		}
	}
	*worst = (struct cell){ .key = key, .at_ms = now_ms };
	return worst;
}

static void
go_down(const struct model *m, const struct about *a, int64_t now_ms, struct walk *w, struct forecast *f)
{
	w->p = 0.8;     /* before anything was seen */
	w->n = 2;
	w->mean = w->var = w->dn = w->timed = 0;
	for (int l = 0; l < MODEL_LEVELS; l++) {
		struct cell *c = w->cell[l] = find(m, w->key[l] = key_of(l, a));
		double n = 0, base = logit(w->p), p = 0, evidence = 0;

		w->before[l] = w->p;
		w->keep[l] = c ? kept(c, l, now_ms) : 1;
		if (c)
			n = c->n * w->keep[l];
		for (int k = 0; k < STRENGTHS; k++) {
			double weight = m->weight[l][k];

			w->each[l][k] = w->p;
			if (n > 0 && isfinite(strengths[k])) {
				double expect = within(c->e), rate = (double)c->s / (double)c->n;

				rate = within((rate * n + strengths[k] * expect) / (n + strengths[k]));
				w->each[l][k] = sigmoid(base + logit(rate) - logit(expect));
				evidence += weight * (n + fmin(strengths[k], w->n));
			} else
				evidence += weight * w->n;
			p += weight * w->each[l][k];
		}
		w->p = within(p);
		w->n = evidence;
		if (c && c->dn > 0 && levels[l].memory > 100) {
			double dn = c->dn * w->keep[l], share = w->dn > 0 ? dn / (dn + PRIOR) : 1, apart = c->mean - w->mean;

			/* The law of total variance, were one of the two drawn by its share. */
			w->var = share * c->var + (1 - share) * w->var + (w->dn > 0 ? share * (1 - share) * apart * apart : 0);
			w->mean += share * apart;
			w->dn = dn;
			if (levels[l].what & TOOL)
				w->timed = fmax(w->timed, dn);
		}
		if (f) {
			f->by[l] = w->p;
			f->seen[l] = n;
		}
	}
}

static const struct mind *
mind_of(const struct model *m, uint64_t tool)
{
	const struct mind *d = &m->tools[stir(1, tool) % MODEL_TOOLS];

	return d->tool == tool && d->n > 0 ? d : &m->all;
}

/* Wilson's interval (JASA 22, 1927). */
static void
interval(struct forecast *f)
{
	double z = 1.96, n = f->evidence, mid = (f->p + z * z / (2 * n)) / (1 + z * z / n);
	double half = z / (1 + z * z / n) * sqrt(f->p * (1 - f->p) / n + z * z / (4 * n * n));

	f->low = fmax(0, mid - half);
	f->high = fmin(1, mid + half);
}

void
model_predict(const struct model *m, const struct about *a, int64_t now_ms, struct forecast *f)
{
	const struct mind *d = mind_of(m, a->tool);
	struct walk w;
	double all = 0;

	*f = (struct forecast){ .why = FAILURE_ERROR };
	go_down(m, a, now_ms, &w, f);
	f->p = w.p;
	f->evidence = w.n;
	interval(f);
	f->timed = w.timed;
	if (w.dn > 0) {
		f->median_ms = exp(w.mean);
		f->p95_ms = exp(w.mean + d->quantile * sqrt(w.var + 1e-4));
	}
	for (int i = 0; i < FAILURE_COUNT; i++) {
		all += d->why[i];
		if (d->why[i] > d->why[f->why])
			f->why = (enum failure)i;
	}
	f->why_p = all > 0 ? d->why[f->why] / all : 0;
}

static void
learn_weights(struct model *m, int l, const double each[STRENGTHS], bool ok)
{
	double *w = m->weight[l], sum = 0;

	for (int k = 0; k < STRENGTHS; k++)
		sum += w[k] *= ok ? each[k] : 1 - each[k];
	for (int k = 0; k < STRENGTHS; k++)
		w[k] = w[k] / sum * (1 - SHARE) + SHARE / STRENGTHS;
}

/* Page's CUSUM, both ways, against what was predicted in the end: what another level explains is no drift here. */
static bool
drifted(struct cell *c, double p, bool ok)
{
	double x = logit(p), up = sigmoid(x + SHIFT), down = sigmoid(x - SHIFT);

	c->up = (float)fmax(0, c->up + (ok ? log(up / p) : log((1 - up) / (1 - p))));
	c->down = (float)fmax(0, c->down + (ok ? log(down / p) : log((1 - down) / (1 - p))));
	return c->up > ALARM || c->down > ALARM;
}

static void
learn_duration(struct cell *c, double memory, double x)
{
	double rate, apart = x - c->mean;

	c->dn = (float)fmin(c->dn + 1, memory);
	rate = 1 / (double)c->dn;
	/* The first deviations are a guess; Welford (Technometrics 4, 1962) with a rate that does not fall for ever. */
	c->var = c->dn <= 1 ? 0.25f : (float)((1 - rate) * (c->var + rate * apart * apart));
	c->mean = (float)(c->mean + rate * apart);
}

static void
learn_mind(struct mind *d, const struct outcome *o, const struct walk *w)
{
	d->n = fminf(d->n + 1, 1000);
	if (!o->ok) {
		for (int i = 0; i < FAILURE_COUNT; i++)
			d->why[i] *= 0.98f;
		d->why[o->why]++;
	}
	if (o->ms >= 0 && w->dn > 0) {
		double z = (log(fmax(o->ms, 0.01)) - w->mean) / sqrt(w->var + 1e-4);

		d->quantile += (float)(STEP * (z > d->quantile ? 0.95 : -0.05));
		d->quantile = fminf(fmaxf(d->quantile, 0), 8);
	}
}

void
model_learn(struct model *m, const struct about *a, const struct outcome *o, int64_t now_ms)
{
	struct mind *d = &m->tools[stir(1, a->tool) % MODEL_TOOLS];
	struct walk w;

	go_down(m, a, now_ms, &w, NULL);
	for (int l = 0; l < MODEL_LEVELS; l++) {
		struct cell *c = w.cell[l];
		double keep;

		if (c)
			learn_weights(m, l, w.each[l], o->ok);
		/* A cell that was made for a level above may have taken its place. */
		if (!c || c->key != w.key[l])
			c = make(m, w.key[l], now_ms);
		keep = w.keep[l] * fmin(1, levels[l].memory / (c->n * w.keep[l] + 1));
		if (levels[l].memory > 100 && drifted(c, w.p, o->ok)) {
			keep = fmin(keep, KEPT / fmax(c->n, KEPT));
			c->up = c->down = 0;
		}
		c->e += (float)((w.before[l] - c->e) * fmax(REVISE, 1 / (c->n * keep + 1)));
		c->n = (float)(c->n * keep + 1);
		c->s = (float)(c->s * keep + o->ok);
		c->at_ms = now_ms > c->at_ms ? now_ms : c->at_ms;
		if (o->ms >= 0)
			learn_duration(c, levels[l].memory, log(fmax(o->ms, 0.01)));
	}
	if (d->tool != a->tool || d->n <= 0)
		*d = (struct mind){ .tool = a->tool, .quantile = m->all.quantile };
	learn_mind(d, o, &w);
	learn_mind(&m->all, o, &w);
}

static double
uniform(uint64_t (*random)(void *), void *arg)
{
	return ((double)(random(arg) >> 11) + 0.5) / 9007199254740992.0;
}

/* Marsaglia and Tsang, ACM TOMS 26 (2000); below 1 by their note on a + 1. Normals by Box and Muller. */
static double
draw_gamma(double a, uint64_t (*random)(void *), void *arg)
{
	double boost = a < 1 ? pow(uniform(random, arg), 1 / a) : 1;
	double d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / sqrt(9 * d);

	for (;;) {
		double r = sqrt(-2 * log(uniform(random, arg))), x = r * cos(6.283185307179586 * uniform(random, arg));
		double v = 1 + c * x;

		v = v * v * v;
		if (v > 0 && log(uniform(random, arg)) < x * x / 2 + d - d * v + d * log(v))
			return d * v * boost;
	}
}

double
model_draw(const struct forecast *f, uint64_t (*random)(void *arg), void *arg)
{
	double a = draw_gamma(f->p * f->evidence, random, arg), b = draw_gamma((1 - f->p) * f->evidence, random, arg);

	return a + b > 0 ? a / (a + b) : f->p;
}

double
model_bid(const struct forecast *f, bool usual, uint64_t (*random)(void *arg), void *arg)
{
	return model_draw(f, random, arg) * (usual ? 1 : 1 - MODEL_MOVE);
}

void
model_clear(struct model *m)
{
	memset(m, 0, sizeof *m);
	m->all.quantile = QUANTILE;
	for (int l = 0; l < MODEL_LEVELS; l++)
		for (int k = 0; k < STRENGTHS; k++)
			m->weight[l][k] = 1.0 / STRENGTHS;
}

struct model *
model_new(void)
{
	struct model *m = xmalloc(sizeof *m);

	model_clear(m);
	return m;
}

void
model_free(struct model *m)
{
	free(m);
}

unsigned
model_used(const struct model *m)
{
	unsigned n = 0;

	for (int i = 0; i < MODEL_CELLS; i++)
		n += m->cells[i].key != 0;
	return n;
}
