/*
 * brokers.c - which broker to be on, when there are several. They know nothing of each other, so the agents must be
 * on one and the same: each goes to the first that answers, away from one on which it is nearly alone, and back to a
 * better one when that has answered for a while and most of the others say so too.
 */
#include "log.h"
#include "state.h"

#define HEARD_MS 4000
#define ALONE_MS 6000           /* no majority for so long: look elsewhere */
#define PROBE_MS 5000
#define BETTER_S 30
#define RETURN_MS 3000          /* after the majority says so: all have heard it */

static int64_t
count(const struct core *c, bool us, bool (*f)(const struct core *c, const struct peer *p))
{
	int64_t n = us;

	for (int i = 0; i < c->npeers; i++)
		n += f(c, &c->peers[i]);
	return n;
}

static bool
is_here(const struct core *c, const struct peer *p)
{
	return !p->offline && p->beat_ms && c->now.mono_ms - p->beat_ms <= HEARD_MS && p->beat_ms >= c->up_mono_ms &&
	    p->broker == c->broker;
}

static bool
sees_better(const struct core *c, const struct peer *p)
{
	return is_here(c, p) && p->better_s >= BETTER_S;
}

static bool
is_majority(const struct core *c, int64_t n)
{
	return 2 * n > c->npeers + 1;
}

bool
brokers_majority(const struct core *c)
{
	if (c->o.config->nbrokers < 2 || IS_MUTANT(MUTANT_MINORITY))
		return true;
	return c->up && is_majority(c, count(c, true, is_here));
}

bool
brokers_lost_by_most(const struct core *c, int64_t from_ms, int64_t to_ms)
{
	int64_t n = c->former_pulse_ms >= from_ms && c->former_pulse_ms <= to_ms;

	for (int i = 0; i < c->npeers; i++)
		n += is_here(c, &c->peers[i]) && c->peers[i].lost_ms >= from_ms && c->peers[i].lost_ms <= to_ms;
	return is_majority(c, n);
}

int64_t
brokers_better_s(const struct core *c)
{
	return c->better_ms ? (c->now.mono_ms - c->better_ms) / 1000 : -1;
}

static void
leave(struct core *c, int next, const char *why)
{
	if (c->reconnect)
		return;
	c->next_broker = next;
	c->reconnect = why;
	log_info("broker %d: %s", c->broker + 1, why);
}

/* All at the same time: whoever has seen it answer at all goes with the majority, and does not think again when the
 * first of them have left. */
static void
consider_return(struct core *c)
{
	if (!c->better_ms)
		c->agreed_ms = 0;
	else if (!c->agreed_ms && is_majority(c, count(c, brokers_better_s(c) >= BETTER_S, sees_better)))
		c->agreed_ms = c->now.mono_ms;
	if (c->agreed_ms && c->now.mono_ms - c->agreed_ms >= RETURN_MS)
		leave(c, c->better, "a better broker is back");
}

void
brokers_tick(struct core *c)
{
	int n = (int)c->o.config->nbrokers;

	if (n < 2 || !c->up)
		return;
	if (brokers_majority(c))
		c->majority_ms = c->now.mono_ms;
	else if (c->now.mono_ms - (c->majority_ms > c->up_mono_ms ? c->majority_ms : c->up_mono_ms) > ALONE_MS)
		leave(c, (c->broker + 1) % n, "most of the others are not here");
	consider_return(c);
}

void
brokers_link_up(struct core *c)
{
	c->better_ms = c->agreed_ms = 0;
	c->probed_ms = c->now.mono_ms;
}

void
brokers_link_down(struct core *c)
{
	c->broker = c->next_broker >= 0 ? c->next_broker : (c->broker + 1) % (int)c->o.config->nbrokers;
	c->next_broker = -1;
}

/* Those before ours, one after the other until one answers, then that one. */
int
core_probe(struct core *c)
{
	if (!c->up || !c->broker || c->now.mono_ms - c->probed_ms < PROBE_MS)
		return -1;
	c->probed_ms = c->now.mono_ms;
	if (!c->better_ms)
		c->better = (c->better + 1) % c->broker;
	return c->better;
}

void
core_probed(struct core *c, int broker, bool answered)
{
	if (broker != c->better || broker >= c->broker)
		return;
	if (!answered)
		c->better_ms = 0;
	else if (!c->better_ms)
		c->better_ms = c->now.mono_ms;
}
