/*
 * copies.c - what the followers of our houses have. An answer waits until all that are in step have what it says;
 * one that is silent is waited for no longer than SILENT_MS.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define SILENT_MS 5000

static int64_t
have_of(const struct house *h, const struct copy *k)
{
	return term_equal(&k->term, &h->term) ? k->have : 0;
}

/* The last event that all in step have. */
static int64_t
common(const struct house *h)
{
	int64_t seq = h->stored_head;

	for (int i = 0; i < h->ncopies; i++)
		if (h->copies[i].in_step && have_of(h, &h->copies[i]) < seq)
			seq = have_of(h, &h->copies[i]);
	return seq;
}

bool
copies_have(const struct house *h, int64_t seq)
{
	return common(h) >= seq;
}

int
copies_count(const struct house *h)
{
	int n = 1;

	for (int i = 0; i < h->ncopies; i++)
		n += h->copies[i].in_step;
	return n;
}

bool
copies_wait(const struct house *h)
{
	return h->wait_copies && copies_count(h) > 1 && !IS_MUTANT(MUTANT_NO_COPIES);
}

static bool
names(const cJSON *list, const char *name)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (cJSON_IsString(v) && strcmp(v->valuestring, name) == 0)
			return true;
	return false;
}

static bool
may_follow(const struct core *c, const struct copy *k)
{
	return peer_is_alive(c, k->peer, SILENT_MS) && peer_is_understood(c, k->peer);
}

/* Those whom the former owner waited for; if we do not know whom, all who live. */
void
copies_begin(struct core *c, struct house *h, const cJSON *in_step)
{
	for (int i = 0; i < h->ncopies; i++) {
		struct copy *k = &h->copies[i];

		k->in_step = may_follow(c, k) && (!in_step || names(in_step, k->peer->name));
		k->in_step_ms = c->now.mono_ms;
	}
	h->told = h->head;
}

/* Follows us without a gap; or, when the term has just begun, has not yet heard of it. */
static bool
follows(const struct core *c, const struct house *h, const struct copy *k)
{
	if (!may_follow(c, k))
		return false;
	if (term_equal(&k->term, &h->term))
		return k->live && (k->in_step || k->have >= h->told);
	return k->in_step && c->now.mono_ms - h->held_ms < SILENT_MS;
}

/* Not only by what we suppose at the beginning of a term. */
static bool
all_follow(const struct house *h)
{
	for (int i = 0; i < h->ncopies; i++)
		if (!h->copies[i].in_step || !term_equal(&h->copies[i].term, &h->term))
			return false;
	return true;
}

void
copies_check(struct core *c, struct house *h)
{
	for (int i = 0; i < h->ncopies; i++) {
		struct copy *k = &h->copies[i];
		bool in_step = follows(c, h, k);

		if (in_step == k->in_step)
			continue;
		k->in_step = in_step;
		k->in_step_ms = c->now.mono_ms;
		log_info("house %s: %s is %s step", h->name, k->peer->name, in_step ? "in" : "out of");
		if (!in_step)
			out_correct_copies(c, h, copies_count(h));
	}
	/* Whoever follows us has told what it had alone. */
	if (h->doubt_ms && all_follow(h)) {
		h->doubt_ms = 0;
		c->lazy = true;
	}
	if (h->held || h->held_local || h->told < h->stored_head)
		out_open_gate(c, h, common(h));
}
