/*
 * stress.c - hosts run short of something, in some seeds; whether that is over when all is well again, and whom it keeps out.
 * Like inside.c it knows the core's data.
 */
#include <string.h>

#include "sim.h"

#include "state.h"

#define PLENTY ((int64_t)1 << 40)
#define SHORT ((int64_t)1 << 20)
#define LEAST_PRIORITY 4                /* limits.stress_priority, as nobody has said otherwise */

static int64_t
draw(struct sim *s, int64_t min, int64_t max)
{
	return rng_between(&s->rng[RNG_STRESS], min, max);
}

void
stress_plan(struct sim *s)
{
	s->plan.stress = rng_chance(&s->rng[RNG_STRESS], 333);
}

/* In the other seeds nothing is looked at, so they are what they were. */
void
stress_put_config(const struct sim *s, struct buf *b)
{
	if (s->plan.stress)
		buf_adds(b, "stress: { queue-age: { limit: 4, raise_s: 1s, clear_s: 3s }, breakers: { limit: 1, raise_s: 1s, clear_s: 3s }, "
		    "commit-latency: { raise_s: 1s, clear_s: 3s }, memory: { raise_s: 1s, clear_s: 3s }, disk: { raise_s: 1s, clear_s: 3s } }\n");
	else
		buf_adds(b, "stress: { queue-age: { use: off }, breakers: { use: off }, commit-latency: { use: off }, memory: { use: off }, "
		    "disk: { use: off } }\n");
}

void
stress_heal(struct host *h)
{
	*host_measures(h) = (struct core_measures){ .disk_free_bytes = PLENTY, .memory_free_bytes = PLENTY, .commit_us = 1000 };
}

static void
undo(void *arg, uint64_t x)
{
	(void)x;
	stress_heal(arg);
}

static void
fall_short(void *arg, uint64_t x)
{
	struct sim *s = arg;
	struct host *h = s->hosts[draw(s, 0, s->nhosts - 1)];
	struct core_measures *m = host_measures(h);

	(void)x;
	if (s->healed)
		return;
	switch (draw(s, 0, 2)) {
	case 0:
		m->memory_free_bytes = SHORT;
		break;
	case 1:
		m->disk_free_bytes = SHORT;
		break;
	case 2:
		m->commit_us = 2000000;
	}
	sim_log(s, "fault: %s: has little memory or disk, or is slow", host_name(h));
	sim_in(s, draw(s, 1, 30) * SECOND, undo, h, 0);
	sim_in(s, draw(s, 5, 40) * SECOND, fall_short, s, 0);
}

void
stress_begin(struct sim *s)
{
	for (int i = 0; i < s->nhosts; i++)
		stress_heal(s->hosts[i]);
	if (s->plan.stress)
		sim_in(s, draw(s, 5, 40) * SECOND, fall_short, s, 0);
}

bool
stress_is_quiet(struct host *h, struct quiet *q)
{
	const struct core *c = host_core(h);

	if (!c || !stress_is_any(c))
		return true;
	snprintf(q->subject, sizeof q->subject, "%s", host_name(h));
	snprintf(q->why, sizeof q->why, "it is still under stress");
	return false;
}

const char *
stress_refused(const char *message, int priority)
{
	if (!strstr(message, "is under stress") || priority < LEAST_PRIORITY)
		return NULL;
	return "refused for stress, though it is not of low priority";
}
