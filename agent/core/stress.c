/*
 * stress.c - what this agent or a house of its own is under, and what is let go of for it: shared/stress.h has the thresholds,
 * here is how each is measured.
 *
 * Under stress what was learned changes nothing (see learn.c), live output is told less often (output.c), and new tasks of low
 * priority are refused as busy (intake.c). What was accepted, outcomes, and whatever others follow go on as ever. What a house is
 * under counts for it alone; what the agent is under, for all that it owns.
 *
 * Nothing is on disk, and followers are not told: whoever owns a house next looks for himself.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define LOOK_EVERY_MS 1000
#define SMOOTH 4                        /* a slow second counts for a quarter, one without commits for none */

void
stress_init(struct core *c)
{
	c->measured = (struct core_measures){ .disk_free_bytes = -1, .memory_free_bytes = -1 };
}

void
core_measured(struct core *c, const struct core_measures *m)
{
	c->measured = *m;
	c->commit_us += (m->commit_us - c->commit_us) / SMOOTH;
}

/* ---- how it is measured ---- */

/* Of those that are not refused for it: that the others wait is no stress, it is what their priority is for. */
static int64_t
queue_age_s(const struct core *c, const struct house *h)
{
	return lane_oldest_s(c, h, (int)c->o.config->stress_priority);
}

static int64_t
commit_ms(const struct core *c, const struct house *h)
{
	(void)h;
	return c->commit_us / 1000;
}

static int64_t
mebibytes(int64_t bytes)
{
	return bytes < 0 ? -1 : bytes >> 20;
}

static int64_t
memory_mib(const struct core *c, const struct house *h)
{
	(void)h;
	return mebibytes(c->measured.memory_free_bytes);
}

static int64_t
disk_mib(const struct core *c, const struct house *h)
{
	(void)h;
	return mebibytes(c->measured.disk_free_bytes);
}

static int64_t
breakers(const struct core *c, const struct house *h)
{
	return breaker_count_down(c, h);
}

static const struct {
	bool of_house;
	int64_t (*value)(const struct core *c, const struct house *h);  /* -1: not known */
} measures[STRESS_COUNT] = {
	[STRESS_QUEUE_AGE] = { true, queue_age_s },
	[STRESS_COMMIT_LATENCY] = { false, commit_ms },
	[STRESS_MEMORY] = { false, memory_mib },
	[STRESS_DISK] = { false, disk_mib },
	[STRESS_BREAKERS] = { true, breakers },
};

/* ---- judging it ---- */

static void
judge(struct core *c, struct strain *s, enum stress_kind k, const struct house *h)
{
	struct stress_rule r;
	int turned;

	if (!config_stress(c->o.config, k, &r))
		return;
	s->value[k] = measures[k].value(c, h);
	if (IS_MUTANT(MUTANT_STRESS_STAYS) && s->state[k].raised)
		return;
	turned = stress_judge(&s->state[k], &r, s->value[k], c->now.mono_ms);
	if (turned > 0)
		s->since_ms[k] = c->now.wall_ms;
	if (turned)
		log_warnx("stress %s%s%s: %s, %lld %s", r.name, h ? " of house " : "", h ? h->name : "",
		    turned > 0 ? r.what : "over", (long long)s->value[k], r.unit);
}

static void
look(struct core *c, struct strain *s, const struct house *h)
{
	for (int k = 0; k < STRESS_COUNT; k++)
		if (measures[k].of_house == (h != NULL))
			judge(c, s, (enum stress_kind)k, h);
}

/* Once a second. */
void
stress_tick(struct core *c)
{
	if (c->strain_ms && c->now.mono_ms - c->strain_ms < LOOK_EVERY_MS)
		return;
	c->strain_ms = c->now.mono_ms;
	look(c, &c->strain, NULL);
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (h->owned && !h->local)
			look(c, &h->strain, h);
		else
			h->strain = (struct strain){ 0 };
	}
}

/* ---- what follows ---- */

static const char *
first_of(const struct strain *s, struct stress_rule *r)
{
	for (int k = 0; k < STRESS_COUNT; k++)
		if (s->state[k].raised) {
			stress_rule((enum stress_kind)k, r);
			return r->name;
		}
	return NULL;
}

const char *
stress_of(const struct core *c, const struct house *h)
{
	struct stress_rule r;
	const char *name = first_of(&c->strain, &r);

	return name || !h ? name : first_of(&h->strain, &r);
}

bool
stress_is_any(const struct core *c)
{
	bool any = stress_of(c, NULL) != NULL;

	for (int i = 0; i < c->nhouses && !any; i++)
		any = stress_of(c, &c->houses[i]) != NULL;
	return any;
}

int
stress_room(const struct core *c, const struct house *h, int priority, struct err *e)
{
	const char *name = stress_of(c, h);
	int64_t least = c->o.config->stress_priority;
	bool low = priority < least || IS_MUTANT(MUTANT_STRESS_ALL);

	if (!name || !low)
		return 0;
	return err_busy(e, STRESS_RETRY_S, "%s is under stress (%s), and takes nothing of a priority below %lld", c->o.agent, name,
	    (long long)least);
}

static void
put_one(struct buf *b, const struct core *c, const struct strain *s, enum stress_kind k, const struct house *h)
{
	struct stress_rule r;

	config_stress(c->o.config, k, &r);
	json_put_open(b, '{');
	json_kv_str(b, "name", r.name);
	if (h)
		json_kv_str(b, "house", h->name);
	json_kv_int(b, "value", s->value[k]);
	json_kv_int(b, "limit", r.limit);
	json_kv_int(b, "clear", r.clear);
	json_kv_str(b, "unit", r.unit);
	json_kv_time(b, "since", s->since_ms[k]);
	json_put_close(b, '}');
}

static void
put_all(struct buf *b, const struct core *c, const struct strain *s, const struct house *h)
{
	for (int k = 0; k < STRESS_COUNT; k++)
		if (s->state[k].raised)
			put_one(b, c, s, (enum stress_kind)k, h);
}

void
core_put_stress(const struct core *c, struct buf *b)
{
	bool any = stress_is_any(c);

	json_kv_bool(b, "degraded", any);
	if (!any)
		return;
	json_put_key(b, "stress");
	json_put_open(b, '[');
	put_all(b, c, &c->strain, NULL);
	for (int i = 0; i < c->nhouses; i++)
		put_all(b, c, &c->houses[i].strain, &c->houses[i]);
	json_put_close(b, ']');
}
