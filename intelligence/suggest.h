/*
 * suggest.h - what people made of things like this one: which labels, category, house and assignee it probably gets.
 *
 * What was learned is kept as it is, item by item, so that what people change their minds about is learned anew, and what is
 * forgotten leaves nothing behind. Each value (a label, a user ...) is asked about by itself. Of M items it has S, which is its
 * rate m = (S + 1/2) / (M + 1) (Krichevsky and Trofimov, IEEE Trans. Inf. Theory 27, 1981); of the N that have a word, n have it:
 *
 *      f(k) = logit((n + k m) / (N + k)) - logit(m),  p(k, c) = sigmoid(logit(m) + c * sum of f(k) over the words that tell most)
 *
 * With k = 0 and c = 1 this is naive Bayes. The shrinkage towards m is Robinson's (Linux Journal 107, 2003): a word that was
 * never seen says nothing. Words are not independent, so their sum says too much: how far to believe it, c, is not set, nor is k.
 * A few of both compete, c = 0 among them, weighted by how well they foretold each item before it was learned (Dawid, JRSS A
 * 147, 1984), as in model.h. What they say together is corrected by how often that came when the like of it was said, bin by bin
 * (Zadrozny and Elkan, ICML 2001), shrunk likewise; until that is known, half of what is above even odds is believed. So where words
 * tell nothing, what is said is about the rate, and who was never right before does not say 99 %.
 *
 * Words are kept as hashes of 32 bits. No clock, no I/O, no randomness; what was learned in an order is the same whenever it is
 * learned again in this order.
 */
#ifndef UW_SUGGEST_H
#define UW_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUGGEST_ITEMS   1000    /* the latest */
#define SUGGEST_VALUES  256     /* of all kinds; what comes beyond is not learned */
#define SUGGEST_WORDS   96      /* of one item: the first of them */
#define SUGGEST_WORD    40      /* bytes of one; what is longer is none */
#define SUGGEST_NAME    100     /* bytes of a value; what is longer is not learned */
#define SUGGEST_TRUE    24      /* values of one item */
#define SUGGEST_WHY     5       /* words that are told */
#define SUGGEST_LEAST   3       /* items that have a value before it is said, */
#define SUGGEST_KNOWN   10      /* of so many at least */

/*        symbol             name         only what is known counts: that none is there says nothing */
#define SUGGEST_KINDS(X)                       \
	X(SUGGEST_LABEL,     "label",     false) \
	X(SUGGEST_CATEGORY,  "category",  false) \
	X(SUGGEST_HOUSE,     "house",     true)  \
	X(SUGGEST_ASSIGNEE,  "assignee",  false)

enum suggest_kind {
#define X(sym, name, known) sym,
	SUGGEST_KINDS(X)
#undef X
	SUGGEST_NKINDS
};

const char *suggest_kind_name(enum suggest_kind k);

/* By what an item is known. Sorted; zero at first. */
struct suggest_words {
	uint32_t v[SUGGEST_WORDS];
	size_t n;
};

void suggest_text(struct suggest_words *w, const char *text);           /* all words of it, in either case */
void suggest_fact(struct suggest_words *w, const char *name, const char *value);        /* such as "author" */

/* The word of a text that has this hash. False: none has. */
bool suggest_word(const char *text, uint32_t hash, char out[SUGGEST_WORD + 1]);
uint32_t suggest_fact_hash(const char *name, const char *value);

struct suggest_value {
	enum suggest_kind kind;
	char name[SUGGEST_NAME + 1];
};

/* What an item ended up with. Zero at first. */
struct suggest_truth {
	struct suggest_value v[SUGGEST_TRUE];
	size_t n;
};

/* False: it is too long, or there are too many. */
bool suggest_is(struct suggest_truth *t, enum suggest_kind kind, const char *name);
bool suggest_has(const struct suggest_truth *t, enum suggest_kind kind, const char *name);
/* Whether it says anything of that kind, be it that there is none. */
bool suggest_knows(const struct suggest_truth *t, enum suggest_kind kind);

struct suggest_said {
	enum suggest_kind kind;
	const char *name;               /* lives until something is learned */
	double p;
	unsigned of, with;              /* items that tell of the kind, and those of them that have it */
	unsigned like;                  /* items that have one of the words that speak for it; none speaks for it: `of` */
	size_t nwhy;
	struct suggest_why {
		uint32_t word;
		double by;              /* what it adds to the logit */
		unsigned of, with;      /* items that have the word, and those of them that have the value */
	} why[SUGGEST_WHY];             /* what tells most, for or against it */
};

struct suggest;

struct suggest *suggest_new(void);      /* never NULL */
void suggest_free(struct suggest *s);   /* NULL is fine */

/* id: the caller's; an item that is known under it is replaced. */
void suggest_learn(struct suggest *s, int64_t id, const struct suggest_words *w, const struct suggest_truth *t);

/* Those with at least that probability, by kind and falling probability. except: an item that does not count, as if it had not
 * been learned; 0: none. Returns how many; max of them at most, the likeliest of each kind first. */
size_t suggest_say(const struct suggest *s, const struct suggest_words *w, int64_t except, double least, struct suggest_said *out,
    size_t max);

unsigned suggest_items(const struct suggest *s);

#endif
