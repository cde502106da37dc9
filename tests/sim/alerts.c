/*
 * alerts.c - whether one alone speaks for those that have nobody: two agents that hear each other, and know the same of who
 * owns the house "_", do not say the same of a third for long. Like inside.c it knows the core's data.
 */
#include <string.h>

#include "check.h"

#include "state.h"

#define LONG_US 3000000                 /* they look once a second, and a house may just change hands */
#define ALIVE_MS 2500

static bool
hears(const struct core *c, const struct core *other)
{
	const struct peer *p = peer_find((struct core *)c, other->o.agent);

	return p && c->up && c->greeted && !c->draining && peer_is_alive(c, p, ALIVE_MS);
}

static bool
says_it(const struct core *c, enum alert_kind kind, const char *subject)
{
	for (int i = 0; i < c->nalerts; i++)
		if (c->alerts[i].kind == kind && c->alerts[i].said_raised && c->alerts[i].said_ms && strcmp(c->alerts[i].subject, subject) == 0)
			return true;
	return false;
}

static bool
agree(const struct core *a, const struct core *b)
{
	const struct house *x = house_find((struct core *)a, "_"), *y = house_find((struct core *)b, "_");

	return x && y && hears(a, b) && hears(b, a) && a->broker == b->broker && term_equal(&x->term, &y->term);
}

/* The same of some agent, said by both. */
static const char *
both_say(const struct core *a, const struct core *b)
{
	for (int i = 0; i < a->nalerts; i++) {
		const struct alert *x = &a->alerts[i];

		if (x->kind == ALERT_AGENT_GONE && x->said_raised && x->said_ms && says_it(b, x->kind, x->subject))
			return x->subject;
	}
	return NULL;
}

void
alerts_turn(struct check *k, struct host *h)
{
	const struct core *c = host_core(h);
	int n = check_host(k, host_name(h));

	for (int i = 0; i < k->sim->nhosts; i++) {
		const struct core *other = i == n ? NULL : host_core(k->sim->hosts[i]);
		const char *subject = other && agree(c, other) ? both_say(c, other) : NULL;
		int64_t *since = &k->both_us[n < i ? n : i][n < i ? i : n];

		if (!subject)
			*since = 0;
		else if (!*since)
			*since = k->sim->now_us;
		else if (k->sim->now_us - *since > LONG_US)
			sim_fail(k->sim, host_name(h), "says that %s is gone, and so does %s", subject, host_name(k->sim->hosts[i]));
	}
}

/* When all is over, what was said last is how it is. */
void
alerts_check(struct check *k)
{
	for (int i = 0; i < k->sim->nhosts; i++) {
		const struct core *c = host_core(k->sim->hosts[i]);

		for (int j = 0; c && c->up && j < c->nalerts; j++) {
			const struct alert *a = &c->alerts[j];

			if (a->said_ms && a->said_raised != a->state.raised)
				sim_fail(k->sim, c->o.agent, "alert %s %s: said last what it is not", alert_rules[a->kind].name, a->subject);
		}
	}
}
