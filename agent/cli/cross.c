#include "cross.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 65536
#define CLOCKS_MS 60000         /* that clocks may differ by */
#define HEARD_MS 5000           /* likewise, of agents whose heartbeats reach each other */

/* What a chain says of a task. */
struct said {
	struct ulid task;
	const struct audit_check *in;
	int64_t n, attempt, term, at_ms;
	bool outcome;                   /* or an attempt */
	char house[33], state[12], executor[33];
	unsigned char sum[DIGEST_SIZE];
	struct said *next;
};

struct heard {
	const struct audit_check *in;
	int64_t page, at_ms;
	struct audit_seen seen;
};

struct cross {
	struct said *said[BUCKETS];
	struct heard *heard;
	size_t nheard;
	int64_t problems, tasks, heads;
	void (*problem)(void *arg, const char *name, const char *text);
	void *arg;
};

struct cross *
cross_new(void (*problem)(void *arg, const char *name, const char *text), void *arg)
{
	struct cross *x = xcalloc(1, sizeof *x);

	x->problem = problem;
	x->arg = arg;
	return x;
}

void
cross_free(struct cross *x)
{
	for (size_t i = 0; x && i < BUCKETS; i++)
		for (struct said *s = x->said[i], *next; s; s = next) {
			next = s->next;
			free(s);
		}
	if (x)
		free(x->heard);
	free(x);
}

static void __attribute__((format(printf, 3, 4)))
complain(struct cross *x, const char *name, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	x->problems++;
	x->problem(x->arg, name, text);
}

static void
copy(char *out, size_t size, const struct audit_text *t)
{
	snprintf(out, size, "%.*s", (int)(t->len < size ? t->len : size - 1), t->s ? t->s : "");
}

static bool
is_outcome(const struct audit_record *r)
{
	return r->role.len == 7 && memcmp(r->role.s, "outcome", 7) == 0;
}

static bool
is_attempt(const struct audit_record *r)
{
	return r->role.len == 7 && memcmp(r->role.s, "attempt", 7) == 0;
}

void
cross_record(struct cross *x, const struct audit_check *k, const struct audit_record *r)
{
	struct said *s, **bucket = &x->said[(r->task.b[14] << 8 | r->task.b[15]) % BUCKETS];
	char term[96];

	if (!is_outcome(r) && !is_attempt(r))
		return;
	s = xcalloc(1, sizeof *s);
	s->task = r->task;
	s->in = k;
	s->n = r->n;
	s->attempt = r->attempt;
	s->at_ms = r->ended;
	s->outcome = is_outcome(r);
	copy(term, sizeof term, &r->term);
	s->term = strtoll(term, NULL, 10);
	copy(s->house, sizeof s->house, &r->house);
	copy(s->state, sizeof s->state, &r->state);
	copy(s->executor, sizeof s->executor, &r->executor);
	memcpy(s->sum, r->outcome.b, DIGEST_SIZE);
	s->next = *bucket;
	*bucket = s;
}

void
cross_page(struct cross *x, const struct audit_check *k, const struct audit_seal *s)
{
	for (int i = 0; i < s->nseen; i++) {
		x->heard = xrealloc(x->heard, (x->nheard + 1) * sizeof *x->heard);
		x->heard[x->nheard++] = (struct heard){ .in = k, .page = s->page, .at_ms = s->time, .seen = s->seen[i] };
	}
}

static const struct audit_check *
chain_of(struct audit_check *const *k, size_t n, const char *agent, const char *store)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i]->agent, agent) == 0 && (!store || strcmp(k[i]->store, store) == 0))
			return k[i];
	return NULL;
}

static void
compare_head(struct cross *x, const struct heard *h, const struct audit_check *k)
{
	x->heads++;
	switch (audit_check_knows(k, h->seen.n, h->seen.hash)) {
	case AUDIT_KNOWN:
	case AUDIT_FORGOTTEN:
		break;
	case AUDIT_BEYOND:
		/* It was heard after this was written out. */
		if (k->made_ms && h->at_ms + HEARD_MS > k->made_ms)
			break;
		complain(x, k->name, "it ends with record %lld, but %s has heard of record %lld of it (page %lld there)",
		    (long long)k->n, h->in->agent, (long long)h->seen.n, (long long)h->page);
		break;
	case AUDIT_OTHER:
		complain(x, k->name, "at record %lld it is not the chain that %s has heard of (page %lld there)",
		    (long long)h->seen.n, h->in->agent, (long long)h->page);
		break;
	}
}

static void
compare_outcomes(struct cross *x, const struct said *a, const struct said *b)
{
	char id[ULID_TEXT];

	/* The later one counts; what was uncertain may be settled. */
	if (a->term != b->term || strcmp(a->house, b->house) != 0 || strcmp(a->state, "uncertain") == 0 ||
	    strcmp(b->state, "uncertain") == 0)
		return;
	if (strcmp(a->state, b->state) == 0 && memcmp(a->sum, b->sum, DIGEST_SIZE) == 0)
		return;
	ulid_format(&a->task, id);
	complain(x, b->in->name, "task %s: record %lld says %s, but record %lld of %s says %s, both under term %lld of house %s",
	    id, (long long)b->n, b->state, (long long)a->n, a->in->agent, a->state, (long long)a->term, a->house);
}

static bool
covers(const struct audit_check *k, int64_t ms)
{
	return k->begun && (k->first_n == 1 || k->first_ms + CLOCKS_MS < ms) && k->last_ms - CLOCKS_MS > ms;
}

static void
compare_attempt(struct cross *x, const struct said *o, const struct said *list, struct audit_check *const *k, size_t n)
{
	const struct audit_check *there = chain_of(k, n, o->executor, NULL);
	char id[ULID_TEXT];

	if (!there || strcmp(o->state, "succeeded") != 0 || strcmp(o->executor, o->in->agent) == 0)
		return;
	ulid_format(&o->task, id);
	for (const struct said *s = list; s; s = s->next) {
		if (s->outcome || s->attempt != o->attempt || !ulid_equal(&s->task, &o->task) || strcmp(s->in->agent, o->executor) != 0)
			continue;
		if (strcmp(s->state, "succeeded") != 0 || memcmp(s->sum, o->sum, DIGEST_SIZE) != 0)
			complain(x, o->in->name, "task %s: record %lld says that attempt %lld succeeded at %s, which says %s%s", id,
			    (long long)o->n, (long long)o->attempt, o->executor, s->state,
			    strcmp(s->state, "succeeded") == 0 ? " with another outcome" : "");
		return;
	}
	if (covers(there, o->at_ms))
		complain(x, o->in->name, "task %s: record %lld says that attempt %lld succeeded at %s, which has no record of it", id,
		    (long long)o->n, (long long)o->attempt, o->executor);
}

int64_t
cross_end(struct cross *x, struct audit_check *const *k, size_t n)
{
	for (size_t i = 0; i < x->nheard; i++) {
		const struct audit_check *of = chain_of(k, n, x->heard[i].seen.agent, x->heard[i].seen.store);

		if (of)
			compare_head(x, &x->heard[i], of);
	}
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct said *s = x->said[i]; s; s = s->next) {
			bool elsewhere = false;

			for (const struct said *t = s->next; t; t = t->next)
				if (ulid_equal(&s->task, &t->task)) {
					elsewhere |= s->in != t->in;
					if (s->outcome && t->outcome)
						compare_outcomes(x, t, s);
				}
			x->tasks += elsewhere;
			if (s->outcome)
				compare_attempt(x, s, x->said[i], k, n);
		}
	return x->problems;
}

void
cross_counts(const struct cross *x, int64_t *tasks, int64_t *heads)
{
	*tasks = x->tasks;
	*heads = x->heads;
}
