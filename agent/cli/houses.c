#include "houses.h"

#include <stdlib.h>
#include <string.h>

#include "beat.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "topic.h"

/* Who listens, and who may be heard. */
void
houses_init(struct houses *h, const struct config *c)
{
	*h = (struct houses){ .config = c, .n = config_voters(c, NULL, 0) - c->witnesses.n };
	h->agents = xcalloc(h->n, sizeof *h->agents);
	h->beats = xcalloc(h->n, sizeof *h->beats);
	config_voters(c, h->agents, h->n);
}

void
houses_release(struct houses *h)
{
	for (size_t i = 0; i < h->n; i++)
		cJSON_Delete(h->beats[i].o);
	free(h->beats);
	free(h->agents);
	*h = (struct houses){ .config = NULL };
}

/* ---- hearing ---- */

bool
beat_is_away(const struct beat *b)
{
	return !b->o || strcmp(beat_text(b->o, "state"), "offline") == 0;
}

static struct beat *
beat_find(const struct houses *h, const char *agent)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->agents[i], agent) == 0)
			return &h->beats[i];
	return NULL;
}

const struct beat *
houses_beat(const struct houses *h, const char *agent)
{
	return beat_find(h, agent);
}

bool
houses_heard_all(const struct houses *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (!h->beats[i].o || !(h->beats[i].live || beat_is_away(&h->beats[i])))
			return false;
	return true;
}

bool
houses_heard_any(const struct houses *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->beats[i].live)
			return true;
	return false;
}

bool
houses_take(struct houses *h, const char *topic, const char *payload, size_t len, int64_t now_ms)
{
	struct topic t;
	struct beat *b;
	cJSON *o;

	if (topic_parse(topic, h->config->cluster, &t, NULL) || t.kind != TOPIC_HEALTH)
		return false;
	b = beat_find(h, t.name);
	o = b ? json_parse_object(payload, len, NULL) : NULL;
	if (!o)
		return true;
	b->live = b->o && (json_number(b->o, "seq", 0) != json_number(o, "seq", 0) ||
	    strcmp(beat_text(b->o, "boot"), beat_text(o, "boot")) != 0);
	if (b->live)
		b->heard_ms = now_ms;
	cJSON_Delete(b->o);
	b->o = o;
	return true;
}

void
houses_fade(struct houses *h, int64_t since_ms)
{
	for (size_t i = 0; i < h->n; i++)
		h->beats[i].live = h->beats[i].heard_ms && h->beats[i].heard_ms >= since_ms;
}

/* ---- what it means ---- */

/* Two may say so for a moment, or one who is silent says it still: the higher term counts. */
static bool
is_better(const struct house_view *v, const char *agent, const struct beat *b, const cJSON *part)
{
	int64_t ours = beat_term(v->part), its = beat_term(part);

	if (!v->owner || ours != its)
		return !v->owner || its > ours;
	return b->live != v->beat->live ? b->live : strcmp(agent, v->owner) > 0;
}

struct house_view
houses_view(const struct houses *h, const struct config_house *house)
{
	struct house_view v = { .house = "_", .role = "router", .copies = "all", .candidates = &h->config->router };

	if (house)
		v = (struct house_view){ .house = house->name, .role = house->role, .copies = house->copies,
			.candidates = &house->candidates };
	for (size_t i = 0; i < h->n; i++) {
		const cJSON *part = beat_house(h->beats[i].o, v.house);

		if (beat_owns(part) && is_better(&v, h->agents[i], &h->beats[i], part)) {
			v.owner = h->agents[i];
			v.beat = &h->beats[i];
			v.part = part;
		}
	}
	return v;
}

const char *
house_owner_state(const struct house_view *v)
{
	return !v->owner ? "no owner" : !v->beat->live ? "silent" : beat_text(v->beat->o, "state");
}

const cJSON *
house_stress(const struct house_view *v)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(v->beat ? v->beat->o : NULL, "stress"), *x;

	cJSON_ArrayForEach(x, list) {
		const char *house = json_text(x, "house");

		if (!*house || strcmp(house, v->house) == 0)
			return x;
	}
	return NULL;
}

bool
house_is_held(const struct house_view *v)
{
	return v->owner && v->beat->live;
}

static bool
is_in_step(const struct house_view *v, const char *agent)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(v->part, "in_step"))
		if (cJSON_IsString(p) && strcmp(p->valuestring, agent) == 0)
			return true;
	return false;
}

const char *
house_candidate_state(const struct houses *h, const struct house_view *v, const char *agent)
{
	const struct beat *b = beat_find(h, agent);

	if (!b || beat_is_away(b))
		return "away";
	if (v->owner && strcmp(v->owner, agent) == 0)
		return "owner";
	if (!b->live)
		return "silent";
	if (!beat_house(b->o, v->house))
		return "not following";
	return is_in_step(v, agent) ? "in step" : v->owner ? "behind" : "waiting";
}

const char *
house_candidate_lacks(const struct houses *h, const struct house_view *v, const char *agent)
{
	const struct beat *b = beat_find(h, agent);
	const cJSON *part = b && b->live ? beat_house(b->o, v->house) : NULL;

	return json_text(part, "lacks");
}

static bool
number(const cJSON *o, const char *name, int64_t *n)
{
	return json_int(cJSON_GetObjectItemCaseSensitive(o, name), n);
}

int64_t
house_candidate_lag(const struct houses *h, const struct house_view *v, const char *agent)
{
	const struct beat *b = beat_find(h, agent);
	const cJSON *part = b ? beat_house(b->o, v->house) : NULL;
	int64_t head, have;

	if (!v->owner || strcmp(v->owner, agent) == 0 || !number(v->part, "head", &head) ||
	    !(number(part, "have", &have) || number(part, "head", &have)))
		return -1;
	return have < head ? head - have : 0;
}

int64_t
house_worst_lag(const struct houses *h, const struct house_view *v)
{
	int64_t worst = -1, lag;

	for (size_t i = 0; i < v->candidates->n; i++)
		if ((lag = house_candidate_lag(h, v, v->candidates->v[i])) > worst)
			worst = lag;
	return worst;
}

void
house_age(const struct house_view *v, char *out, size_t size)
{
	int64_t at;

	if (clock_parse(beat_text(v->part, "since"), &at, NULL) && !number(v->part, "since", &at))
		snprintf(out, size, "-");
	else
		age_text(out, size, clock_wall_ms() - at);
}
