#include "suggest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "shape.h"

#define EDGE    1e-3            /* no rate of a word is nearer to 0 or 1 */
#define TELLING 16              /* words that count for one value */
#define SHARE   1e-4            /* of a weight, to all others, at each value of an item */

#define PRIOR   8.0             /* items for which what is said stands, against what came of it */
#define BINS    13              /* of what is said, by its logit from -6 to 6 */

#define STRENGTHS 3
static const double strengths[STRENGTHS] = { 1, 4, 16 };
#define BELIEFS 4
static const double beliefs[BELIEFS] = { 0.15, 0.35, 0.65, 1 };
#define EXPERTS (STRENGTHS * BELIEFS + 1)       /* the last says nothing but the rate */

struct item {
	int64_t id;
	struct suggest_words w;
	uint16_t values[SUGGEST_TRUE];
	uint8_t nvalues;
	bool knows[SUGGEST_NKINDS];
};

struct suggest {
	struct item *items;             /* in the order in which they were first learned, from `first` on */
	size_t n, first;
	struct suggest_value values[SUGGEST_VALUES];
	size_t nvalues;
	double weight[SUGGEST_NKINDS][EXPERTS];
	struct bin {
		double n, said, came;
	} bins[SUGGEST_NKINDS][BINS];
};

/* What was counted for one question. */
struct tally {
	unsigned known[SUGGEST_NKINDS];                         /* items that tell of the kind */
	unsigned with[SUGGEST_VALUES];                          /* items that have the value */
	unsigned word_known[SUGGEST_NKINDS][SUGGEST_WORDS];     /* likewise, of those that have the word */
	unsigned word_with[SUGGEST_VALUES][SUGGEST_WORDS];
};

struct telling {
	size_t word;
	double by[STRENGTHS];
};

static const struct {
	const char *name;
	bool only_known;
} kinds[SUGGEST_NKINDS] = {
#define X(sym, name, known) [sym] = { name, known },
	SUGGEST_KINDS(X)
#undef X
};

const char *
suggest_kind_name(enum suggest_kind k)
{
	return kinds[k].name;
}

/* ---- words ---- */

static void
add_hash(struct suggest_words *w, uint32_t hash)
{
	size_t i = 0;

	while (i < w->n && w->v[i] < hash)
		i++;
	if (w->n == SUGGEST_WORDS || (i < w->n && w->v[i] == hash))
		return;
	memmove(&w->v[i + 1], &w->v[i], (w->n - i) * sizeof w->v[0]);
	w->v[i] = hash;
	w->n++;
}

static bool
is_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static bool
is_part(unsigned char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

/* The next one at *p or after it, in lower case. Numbers are none, nor is what is too long. */
static bool
next_word(const char **p, char out[SUGGEST_WORD + 1])
{
	for (;;) {
		bool has_letter = false;
		size_t n = 0;

		while (**p && !is_part((unsigned char)**p))
			++*p;
		if (!**p)
			return false;
		for (; is_part((unsigned char)**p); ++*p, n++) {
			char c = **p;

			has_letter |= is_letter((unsigned char)c);
			if (n < SUGGEST_WORD)
				out[n] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
		}
		if (has_letter && n > 1 && n <= SUGGEST_WORD) {
			out[n] = '\0';
			return true;
		}
	}
}

void
suggest_text(struct suggest_words *w, const char *text)
{
	char word[SUGGEST_WORD + 1];

	while (w->n < SUGGEST_WORDS && next_word(&text, word))
		add_hash(w, (uint32_t)shape_name(word));
}

bool
suggest_word(const char *text, uint32_t hash, char out[SUGGEST_WORD + 1])
{
	while (next_word(&text, out))
		if ((uint32_t)shape_name(out) == hash)
			return true;
	return false;
}

/* No word has a colon. */
uint32_t
suggest_fact_hash(const char *name, const char *value)
{
	struct buf b = { 0 };
	uint32_t hash;

	buf_addf(&b, "%s:%s", name, value);
	hash = (uint32_t)shape_name(buf_str(&b));
	buf_free(&b);
	return hash;
}

void
suggest_fact(struct suggest_words *w, const char *name, const char *value)
{
	if (*value)
		add_hash(w, suggest_fact_hash(name, value));
}

/* ---- truth ---- */

bool
suggest_is(struct suggest_truth *t, enum suggest_kind kind, const char *name)
{
	size_t len = strlen(name);

	if (t->n == SUGGEST_TRUE || len == 0 || len > SUGGEST_NAME)
		return false;
	t->v[t->n].kind = kind;
	memcpy(t->v[t->n++].name, name, len + 1);
	return true;
}

bool
suggest_has(const struct suggest_truth *t, enum suggest_kind kind, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].kind == kind && (!name || strcmp(t->v[i].name, name) == 0))
			return true;
	return false;
}

bool
suggest_knows(const struct suggest_truth *t, enum suggest_kind kind)
{
	return !kinds[kind].only_known || suggest_has(t, kind, NULL);
}

/* ---- counting ---- */

static void
count_words(struct tally *t, const struct suggest_words *w, const struct item *x)
{
	for (size_t i = 0, j = 0; i < w->n && j < x->w.n;) {
		if (w->v[i] < x->w.v[j]) {
			i++;
		} else if (w->v[i] > x->w.v[j]) {
			j++;
		} else {
			for (int k = 0; k < SUGGEST_NKINDS; k++)
				t->word_known[k][i] += x->knows[k];
			for (size_t v = 0; v < x->nvalues; v++)
				t->word_with[x->values[v]][i]++;
			i++;
			j++;
		}
	}
}

static void
count_all(const struct suggest *s, const struct suggest_words *w, int64_t except, struct tally *t)
{
	memset(t, 0, sizeof *t);
	for (size_t i = 0; i < s->n; i++) {
		const struct item *x = &s->items[i];

		if (except && x->id == except)
			continue;
		for (int k = 0; k < SUGGEST_NKINDS; k++)
			t->known[k] += x->knows[k];
		for (size_t v = 0; v < x->nvalues; v++)
			t->with[x->values[v]]++;
		count_words(t, w, x);
	}
}

static double
logit(double p)
{
	p = p < EDGE ? EDGE : p > 1 - EDGE ? 1 - EDGE : p;
	return log(p / (1 - p));
}

static double
sigmoid(double x)
{
	double p = 1 / (1 + exp(-x));

	return p < EDGE ? EDGE : p > 1 - EDGE ? 1 - EDGE : p;
}

static int
by_strength(const void *a, const void *b)
{
	double x = fabs(((const struct telling *)a)->by[1]), y = fabs(((const struct telling *)b)->by[1]);
	size_t i = ((const struct telling *)a)->word, j = ((const struct telling *)b)->word;

	return x > y ? -1 : x < y ? 1 : (i > j) - (i < j);
}

/* The words that tell most of a value, by the middle strength; returns how many. */
static size_t
telling_words(const struct suggest *s, const struct tally *t, size_t nwords, size_t value, double rate, struct telling *out)
{
	const unsigned *of = t->word_known[s->values[value].kind], *with = t->word_with[value];
	double base = logit(rate);
	size_t n = 0;

	for (size_t i = 0; i < nwords; i++)
		if (of[i])
			out[n++] = (struct telling){ .word = i,
				.by = { 0, logit((with[i] + strengths[1] * rate) / (of[i] + strengths[1])) - base, 0 } };
	qsort(out, n, sizeof *out, by_strength);
	if (n > TELLING)
		n = TELLING;
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < STRENGTHS; k++)
			out[i].by[k] = logit((with[out[i].word] + strengths[k] * rate) / (of[out[i].word] + strengths[k])) - base;
	return n;
}

/* What each of them says. */
static void
ask_experts(double rate, const struct telling *words, size_t n, double p[EXPERTS])
{
	for (int k = 0; k < STRENGTHS; k++) {
		double sum = 0;

		for (size_t i = 0; i < n; i++)
			sum += words[i].by[k];
		for (int c = 0; c < BELIEFS; c++)
			p[k * BELIEFS + c] = sigmoid(logit(rate) + beliefs[c] * sum);
	}
	p[EXPERTS - 1] = sigmoid(logit(rate));
}

static double
rate_of(const struct tally *t, enum suggest_kind kind, size_t value)
{
	return (t->with[value] + 0.5) / (t->known[kind] + 1.0);
}

static double
weigh(const double weight[EXPERTS], const double p[EXPERTS])
{
	double sum = 0;

	for (int i = 0; i < EXPERTS; i++)
		sum += weight[i] * p[i];
	return sum;
}

static struct bin *
bin_of(const struct suggest *s, enum suggest_kind kind, double p)
{
	int i = (int)lround(logit(p)) + BINS / 2;

	return (struct bin *)&s->bins[kind][i < 0 ? 0 : i < BINS ? i : BINS - 1];
}

/* What comes when that is said, as far as is known. Of what is above even odds half is believed beforehand. */
static double
corrected(const struct suggest *s, enum suggest_kind kind, double p)
{
	const struct bin *b = bin_of(s, kind, p);
	double mean = b->n > 0 ? b->said / b->n : p, doubted = mean > 0.5 ? sigmoid(logit(mean) / 2) : mean;

	return sigmoid(logit(p) + logit((b->came + PRIOR * doubted) / (b->n + PRIOR)) - logit(mean));
}

/* ---- learning ---- */

struct suggest *
suggest_new(void)
{
	struct suggest *s = xcalloc(1, sizeof *s);

	s->items = xcalloc(SUGGEST_ITEMS, sizeof *s->items);
	for (int k = 0; k < SUGGEST_NKINDS; k++)
		for (int i = 0; i < EXPERTS; i++)
			s->weight[k][i] = 1.0 / EXPERTS;
	return s;
}

void
suggest_free(struct suggest *s)
{
	if (s)
		free(s->items);
	free(s);
}

unsigned
suggest_items(const struct suggest *s)
{
	return (unsigned)s->n;
}

static void
move_weights(double weight[EXPERTS], const double p[EXPERTS], bool came)
{
	double sum = 0;

	for (int i = 0; i < EXPERTS; i++)
		sum += weight[i] *= came ? p[i] : 1 - p[i];
	for (int i = 0; i < EXPERTS; i++)
		weight[i] = weight[i] / sum * (1 - SHARE) + SHARE / EXPERTS;
}

static void
note_in_bin(struct bin *b, double p, bool came)
{
	b->n++;
	b->said += p;
	b->came += came;
}

/* Those that were asked before it was known are judged by it. */
static void
judge(struct suggest *s, const struct suggest_words *w, const struct suggest_truth *truth)
{
	struct tally *t = xmalloc(sizeof *t);
	struct telling words[SUGGEST_WORDS];
	double p[EXPERTS], said;

	count_all(s, w, 0, t);
	for (size_t v = 0; v < s->nvalues; v++) {
		enum suggest_kind kind = s->values[v].kind;
		bool came = suggest_has(truth, kind, s->values[v].name);
		double rate = rate_of(t, kind, v);

		if (t->with[v] < SUGGEST_LEAST || t->known[kind] < SUGGEST_KNOWN || !suggest_knows(truth, kind))
			continue;
		ask_experts(rate, words, telling_words(s, t, w->n, v, rate, words), p);
		said = weigh(s->weight[kind], p);
		note_in_bin(bin_of(s, kind, said), said, came);
		move_weights(s->weight[kind], p, came);
	}
	free(t);
}

/* -1: it is new, and there is no room. */
static int
value_of(struct suggest *s, const struct suggest_value *x)
{
	for (size_t i = 0; i < s->nvalues; i++)
		if (s->values[i].kind == x->kind && strcmp(s->values[i].name, x->name) == 0)
			return (int)i;
	if (s->nvalues == SUGGEST_VALUES)
		return -1;
	s->values[s->nvalues] = *x;
	return (int)s->nvalues++;
}

static struct item *
find(struct suggest *s, int64_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].id == id)
			return &s->items[i];
	return NULL;
}

/* The place of the oldest, if there is no other. */
static struct item *
place_for(struct suggest *s)
{
	struct item *x;

	if (s->n < SUGGEST_ITEMS)
		return &s->items[s->n++];
	x = &s->items[s->first];
	s->first = (s->first + 1) % SUGGEST_ITEMS;
	return x;
}

void
suggest_learn(struct suggest *s, int64_t id, const struct suggest_words *w, const struct suggest_truth *t)
{
	struct item *x = find(s, id);

	if (!x) {
		judge(s, w, t);
		x = place_for(s);
	}
	*x = (struct item){ .id = id, .w = *w };
	for (int k = 0; k < SUGGEST_NKINDS; k++)
		x->knows[k] = suggest_knows(t, (enum suggest_kind)k);
	for (size_t i = 0; i < t->n; i++) {
		int v = value_of(s, &t->v[i]);
		bool there = v < 0;

		for (size_t j = 0; j < x->nvalues; j++)
			there |= x->values[j] == v;
		if (!there)
			x->values[x->nvalues++] = (uint16_t)v;
	}
}

/* ---- saying ---- */

/* Items of the kind that have a word which speaks for it. */
static unsigned
count_like(const struct suggest *s, const struct suggest_words *w, int64_t except, enum suggest_kind kind,
    const struct telling *words, size_t n)
{
	unsigned like = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct item *x = &s->items[i];
		bool has = false;

		for (size_t j = 0; j < n && !has; j++)
			for (size_t k = 0; words[j].by[1] > 0 && k < x->w.n && !has; k++)
				has = x->w.v[k] == w->v[words[j].word];
		like += has && x->knows[kind] && (!except || x->id != except);
	}
	return like;
}

static void
explain(const struct suggest *s, const struct suggest_words *w, int64_t except, const struct tally *t, size_t value,
    const struct telling *words, size_t n, struct suggest_said *out)
{
	out->like = count_like(s, w, except, out->kind, words, n);
	if (out->like == 0)
		out->like = out->of;
	for (size_t i = 0; i < n && i < SUGGEST_WHY; i++)
		out->why[out->nwhy++] = (struct suggest_why){ .word = w->v[words[i].word], .by = words[i].by[1],
			.of = t->word_known[out->kind][words[i].word], .with = t->word_with[value][words[i].word] };
}

static int
likeliest_first(const void *a, const void *b)
{
	const struct suggest_said *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->p > y->p ? -1 : x->p < y->p ? 1 : strcmp(x->name, y->name);
}

size_t
suggest_say(const struct suggest *s, const struct suggest_words *w, int64_t except, double least, struct suggest_said *out, size_t max)
{
	struct suggest_said *all = xcalloc(SUGGEST_VALUES, sizeof *all);
	struct tally *t = xmalloc(sizeof *t);
	struct telling words[SUGGEST_WORDS];
	double p[EXPERTS];
	size_t n = 0;

	count_all(s, w, except, t);
	for (size_t v = 0; v < s->nvalues; v++) {
		struct suggest_said *x = &all[n];
		enum suggest_kind kind = s->values[v].kind;
		double rate = rate_of(t, kind, v);
		size_t telling;

		if (t->with[v] < SUGGEST_LEAST || t->known[kind] < SUGGEST_KNOWN)
			continue;
		telling = telling_words(s, t, w->n, v, rate, words);
		ask_experts(rate, words, telling, p);
		*x = (struct suggest_said){ .kind = kind, .name = s->values[v].name, .p = corrected(s, kind, weigh(s->weight[kind], p)),
			.of = t->known[kind], .with = t->with[v] };
		if (x->p < least)
			continue;
		explain(s, w, except, t, v, words, telling, x);
		n++;
	}
	qsort(all, n, sizeof *all, likeliest_first);
	if (n > max)
		n = max;
	memcpy(out, all, n * sizeof *out);
	free(all);
	free(t);
	return n;
}
