/*
 * breakers.c - whether owners keep to their breakers: nothing begins at one that is open, nor beside the probe of one that
 * is half-open; and in the end all who may own a house know the same of it. Like inside.c it knows the core's data.
 */
#include "check.h"

#include "state.h"

/* As it was when the host's last turn ended. */
struct breakers {
	char house[NAME_MAX_LEN + 1];
	struct term term;
	struct breaker x;
	struct breakers *next;
};

static void
forget(struct breakers **list)
{
	for (struct breakers *b; (b = *list);) {
		*list = b->next;
		free(b);
	}
}

static const struct breaker *
now_is(const struct house *h, const struct breaker *was)
{
	for (int i = 0; i < h->nbreakers; i++) {
		const struct breaker *x = &h->breakers[i];

		if (strcmp(x->agent, was->agent) == 0 && strcmp(x->tool, was->tool) == 0 && strcmp(x->target, was->target) == 0)
			return x;
	}
	return NULL;
}

/* By this owner in his present term, and not seen in the turn before. */
static bool
has_begun(struct check *k, int host, const struct task *t)
{
	char id[ULID_TEXT];
	struct record *r;
	bool new;

	if (!t->house || !t->house->owned || !t->target || (t->state != TASK_RUNNING && t->state != TASK_STARTING) ||
	    !term_equal(&t->term, &t->house->log) || !(t->at || t->here))
		return false;
	ulid_format(&t->id, id);
	r = check_record(k, id);
	new = r->given_by != host + 1 || r->given != t->attempt;
	r->given_by = host + 1;
	r->given = t->attempt;
	return new;
}

static bool
tries(const struct breaker *x, const struct task *t)
{
	return x->state == BREAKER_HALF_OPEN && x->attempt == t->attempt && ulid_equal(&x->probe, &t->id);
}

static void
check_begun_at(struct check *k, const struct core *c, const struct task *t, const struct breakers *was)
{
	const struct breaker *x = now_is(t->house, &was->x);
	const char *at = t->at ? t->at->name : c->o.agent;
	char id[ULID_TEXT];

	if (!x || strcmp(was->house, t->house->name) != 0 || !term_equal(&was->term, &t->house->term) ||
	    strcmp(x->agent, at) != 0 || strcmp(x->tool, t->tool_name) != 0 || strcmp(x->target, t->target) != 0)
		return;
	ulid_format(&t->id, id);
	if (was->x.state == BREAKER_OPEN && x->state == BREAKER_OPEN && x->since_ms == was->x.since_ms)
		sim_fail(k->sim, id, "begins at %s, whose breaker for %s is open", at, x->target);
	else if (x->state == BREAKER_HALF_OPEN && !tries(x, t))
		sim_fail(k->sim, id, "begins at %s beside the task that tries %s", at, x->target);
}

/* It is given more failures than are configured only by tasks that ask for it, and within its bounds. */
static void
check_count(struct check *k, const struct core *c, const struct house *h, const struct breaker *x)
{
	if (x->state == BREAKER_CLOSED && c->o.config->breaker_failures && x->failures >= 10 * c->o.config->breaker_failures)
		sim_fail(k->sim, h->name, "the breaker of %s at %s is closed after %d failures", x->tool, x->target, x->failures);
}

void
breakers_turn(struct check *k, struct host *h)
{
	const struct core *c = host_core(h);
	int host = check_host(k, host_name(h));

	for (int i = 0; i < TASK_BUCKETS; i++)
		for (const struct task *t = c->by_seq[i]; t; t = t->next_seq)
			if (has_begun(k, host, t))
				for (const struct breakers *b = k->breakers[host]; b; b = b->next)
					check_begun_at(k, c, t, b);
	forget(&k->breakers[host]);
	for (int i = 0; i < c->nhouses; i++)
		for (int j = 0; c->houses[i].owned && j < c->houses[i].nbreakers; j++) {
			struct breakers *b = xcalloc(1, sizeof *b);

			snprintf(b->house, sizeof b->house, "%s", c->houses[i].name);
			b->term = c->houses[i].term;
			b->x = c->houses[i].breakers[j];
			k->opened += b->x.state == BREAKER_OPEN;
			check_count(k, c, &c->houses[i], &b->x);
			b->next = k->breakers[host];
			k->breakers[host] = b;
		}
}

void
breakers_died(struct check *k, int host)
{
	forget(&k->breakers[host]);
}

static int
count_open(const struct house *h)
{
	int n = 0;

	for (int i = 0; i < h->nbreakers; i++)
		n += h->breakers[i].state != BREAKER_CLOSED;
	return n;
}

static void
compare(struct check *k, const struct house *owners, const struct house *h, const char *agent)
{
	if (count_open(owners) != count_open(h))
		sim_fail(k->sim, agent, "%s knows of %d breakers of house %s, its owner of %d", agent, count_open(h), h->name,
		    count_open(owners));
	for (int i = 0; i < owners->nbreakers; i++) {
		const struct breaker *x = &owners->breakers[i], *y = now_is(h, x);

		if (x->state != BREAKER_CLOSED && (!y || y->state != x->state || y->since_ms != x->since_ms || y->until_ms != x->until_ms))
			sim_fail(k->sim, agent, "%s knows the breaker of %s for %s otherwise than its owner", agent, x->agent, x->target);
	}
}

void
breakers_check(struct check *k)
{
	for (int i = 0; i < k->sim->nhosts; i++) {
		struct core *c = host_core(k->sim->hosts[i]);

		for (int j = 0; c && j < c->nhouses; j++)
			for (int n = 0; c->houses[j].owned && !c->houses[j].local && n < k->sim->nhosts; n++) {
				struct core *other = host_core(k->sim->hosts[n]);
				const struct house *h = other ? house_find(other, c->houses[j].name) : NULL;

				if (n != i && h && h->place >= 0)
					compare(k, &c->houses[j], h, host_name(k->sim->hosts[n]));
			}
	}
}
