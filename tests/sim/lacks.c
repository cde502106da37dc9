/*
 * lacks.c - hosts that lack for a while what a house needs, in some seeds, and whether such a house goes to who has it.
 *
 * Whoever owns a house and lacks something keeps it for no longer than 30 s while another candidate lacks nothing, is in
 * step with it, and nothing hinders either.
 */
#include "check.h"

#include "json.h"

#define LACKING_US (30 * SECOND)

static int64_t
draw(struct sim *s, int64_t min, int64_t max)
{
	return rng_between(&s->rng[RNG_LACKS], min, max);
}

/* What comes to an end ends for all houses of the host. */
static void
undo(void *arg, uint64_t house)
{
	(void)house;
	*host_lacks(arg) = 0;
}

static void
begin_to_lack(void *arg, uint64_t x)
{
	struct sim *s = arg;
	const struct config_house *house = &s->config.houses[draw(s, 0, (int64_t)s->config.nhouses - 1)];
	struct host *owner = check_owner(s->check, house->name), *h = s->hosts[draw(s, 0, s->nhosts - 1)];

	(void)x;
	if (s->healed)
		return;
	if (owner && draw(s, 0, 2))
		h = owner;
	sim_log(s, "fault: %s: lacks what house %s needs", host_name(h), house->name);
	*host_lacks(h) |= 1u << (house - s->config.houses);
	sim_in(s, draw(s, 5, 120) * SECOND, undo, h, 0);
	sim_in(s, draw(s, 10, 90) * SECOND, begin_to_lack, s, 0);
}

void
lacks_begin(struct sim *s)
{
	s->plan.lacks = rng_chance(&s->rng[RNG_LACKS], 250);
	if (s->plan.lacks)
		sim_in(s, draw(s, 10, 90) * SECOND, begin_to_lack, s, 0);
}

/* It is told each turn, for a new life knows nothing of it. */
void
lacks_tell(struct host *h, struct sim *s)
{
	if (!s->plan.lacks)
		return;
	for (size_t i = 0; i < s->config.nhouses; i++)
		core_house_lacks(host_core(h), s->config.houses[i].name, *host_lacks(h) >> i & 1 ? "a way out" : NULL);
}

/* part: what an owner's heartbeat says of the house. could_us: since when that host could act; INT64_MAX: it cannot. */
void
lacks_heard(struct sim *s, struct lacking *x, const char *house, const cJSON *part, const int64_t *could_us,
    const bool *others_lack)
{
	const cJSON *in_step = cJSON_GetObjectItemCaseSensitive(part, "in_step"), *v;
	bool is_in_step[HOSTS_MAX] = { false };
	int i;

	cJSON_ArrayForEach(v, in_step)
		if (cJSON_IsString(v) && (i = check_host(s->check, v->valuestring)) >= 0)
			is_in_step[i] = true;
	for (i = 0; i < s->nhosts; i++) {
		if (!cJSON_HasObjectItem(part, "lacks") || !is_in_step[i] || others_lack[i] || could_us[i] == INT64_MAX) {
			x->since_us[i] = 0;
			continue;
		}
		if (!x->since_us[i])
			x->since_us[i] = s->now_us;
		if (s->now_us - (x->since_us[i] > could_us[i] ? x->since_us[i] : could_us[i]) > LACKING_US)
			sim_fail(s, house, "house %s has stayed for %lld s with an owner that lacks what it needs, though %s has it", house,
			    (long long)((s->now_us - x->since_us[i]) / SECOND), host_name(s->hosts[i]));
	}
}
