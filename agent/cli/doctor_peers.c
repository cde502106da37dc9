/*
 * doctor_peers.c - what the agents' heartbeats tell: whether their clocks agree with this host's, whether every house
 * has an owner, and whether they hold what the sovereign signed.
 */
#include "beat.h"
#include "buf.h"
#include "clock.h"
#include "doctor.h"
#include "doctor_wire.h"
#include "json.h"

#define LISTEN_MS 2500                  /* heartbeats come each second */
#define SKEW_MS 2000

struct peers {
	struct doctor *d;
	config_name *names;
	size_t n;
	cJSON **beats;                  /* the latest, NULL: none */
	bool *live;                     /* not only what the broker kept */
	int64_t *skew_ms;               /* of the one with the least delay */
};

static void
take(struct peers *p, const struct wire_message *m)
{
	struct topic t;
	cJSON *o;
	int64_t at, skew;
	size_t i = 0;

	if (topic_parse(m->topic, p->d->config->cluster, &t, NULL))
		return;
	while (i < p->n && strcmp(p->names[i], t.name) != 0)
		i++;
	o = i < p->n ? json_parse_object(m->payload, m->len, NULL) : NULL;
	if (!o)
		return;
	cJSON_Delete(p->beats[i]);
	p->beats[i] = o;
	if (m->retained || clock_parse(beat_text(o, "time"), &at, NULL))
		return;
	skew = at - clock_wall_ms();
	if (!p->live[i] || llabs(skew) < llabs(p->skew_ms[i]))
		p->skew_ms[i] = skew;
	p->live[i] = true;
}

static bool
is_offline(const struct peers *p, size_t i)
{
	return !p->live[i] && p->beats[i] && strcmp(beat_text(p->beats[i], "state"), "offline") == 0;
}

static bool
all_heard(const struct peers *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->live[i] && !is_offline(p, i))
			return false;
	return true;
}

static int
hear(struct peers *p, struct wire *w, struct err *e)
{
	int64_t end = clock_mono_ms() + LISTEN_MS, now;
	char filter[TOPIC_MAX];
	struct wire_message m;
	int rc = 0;

	topic_format(filter, p->d->config->cluster, TOPIC_HEALTH, "+", "state");
	if (wire_subscribe(w, filter, e) < 0)
		return -1;
	while (rc >= 0 && (now = clock_mono_ms()) < end && !all_heard(p))
		if ((rc = wire_read(w, (int)(end - now), &m, e)) == 1)
			take(p, &m);
	return rc < 0 ? -1 : 0;
}

/* ---- what it means ---- */

static void
check_clocks(const struct peers *p)
{
	size_t heard = 0, off = 0, worst = 0;

	for (size_t i = 0; i < p->n; i++) {
		heard += p->live[i];
		off += p->live[i] && llabs(p->skew_ms[i]) > SKEW_MS;
		if (p->live[i] && (!p->live[worst] || llabs(p->skew_ms[i]) > llabs(p->skew_ms[worst])))
			worst = i;
	}
	if (heard == 0)
		doctor_skip(p->d, "no heartbeat was heard, so there is no clock to compare with");
	else if (off == heard && heard > 1)
		doctor_wrong(p->d, FOUND_CLOCK, "this host", "this host's clock is %.1f s %s those of all %zu agents",
		    (double)llabs(p->skew_ms[worst]) / 1000, p->skew_ms[worst] < 0 ? "ahead of" : "behind", heard);
	else if (off == 0)
		doctor_well(p->d, "%zu clocks agree within %lld ms", heard, (long long)llabs(p->skew_ms[worst]));
	for (size_t i = 0; i < p->n && (off < heard || heard == 1); i++)
		if (p->live[i] && llabs(p->skew_ms[i]) > SKEW_MS)
			doctor_wrong(p->d, FOUND_CLOCK, p->names[i], "%s's clock is %.1f s %s this host's", p->names[i],
			    (double)llabs(p->skew_ms[i]) / 1000, p->skew_ms[i] > 0 ? "ahead of" : "behind");
}

static bool
has_owner(const struct peers *p, const char *house)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->live[i] && beat_house(p->beats[i], house) && beat_owns(beat_house(p->beats[i], house)))
			return true;
	return false;
}

static void
check_owners(const struct peers *p)
{
	const struct config *c = p->d->config;
	size_t owned = 0;

	for (size_t i = 0; i <= c->nhouses; i++) {
		const char *house = i < c->nhouses ? c->houses[i].name : "_";

		owned += has_owner(p, house);
		if (!has_owner(p, house))
			doctor_wrong(p->d, FOUND_NO_OWNER, i < c->nhouses ? house : "the router's house",
			    "house %s has no owner that is heard", house);
	}
	if (owned > c->nhouses)
		doctor_well(p->d, "every house has an owner");
}

static void
check_signed(const struct peers *p)
{
	size_t behind = 0;

	if (p->d->config->sovereign_keys.n == 0)
		return;
	for (size_t i = 0; i < p->n; i++) {
		const cJSON *s = cJSON_GetObjectItemCaseSensitive(p->beats[i], "sovereign");
		int64_t policy = json_number(s, "policy", 0);

		if (!p->live[i] || !s || (policy > 0 && !json_is_true(s, "behind")))
			continue;
		behind++;
		if (policy == 0)
			doctor_wrong(p->d, FOUND_BEHIND, p->names[i], "%s holds no policy, so it starts nothing", p->names[i]);
		else
			doctor_wrong(p->d, FOUND_BEHIND, p->names[i], "%s has heard of something newer than it holds", p->names[i]);
	}
	if (behind == 0)
		doctor_well(p->d, "all hold the sovereign's policy");
}

static void
tell_away(const struct peers *p)
{
	struct buf b = { .max = 400 };

	for (size_t i = 0; i < p->n; i++)
		if (!p->live[i])
			buf_addf(&b, "%s%s", b.len ? ", " : "", p->names[i]);
	if (b.len)
		doctor_note(p->d, "not heard: %s", buf_str(&b));
	buf_free(&b);
}

static void
peers_init(struct peers *p)
{
	p->n = config_voters(p->d->config, NULL, 0);
	p->names = xcalloc(p->n, sizeof *p->names);
	p->beats = xcalloc(p->n, sizeof *p->beats);
	p->live = xcalloc(p->n, sizeof *p->live);
	p->skew_ms = xcalloc(p->n, sizeof *p->skew_ms);
	config_voters(p->d->config, p->names, p->n);
}

static void
peers_release(struct peers *p)
{
	for (size_t i = 0; i < p->n; i++)
		cJSON_Delete(p->beats[i]);
	free(p->names);
	free(p->beats);
	free(p->live);
	free(p->skew_ms);
}

void
doctor_peers(struct doctor *d)
{
	struct peers p = { .d = d };
	enum wire_step step;
	struct err e = { 0 };
	struct wire *w = doctor_connect_any(d, &step, &e);

	if (!w) {
		doctor_skip(d, "no connection in MQTT 5: %s", e.msg);
		return;
	}
	peers_init(&p);
	if (hear(&p, w, &e)) {
		doctor_skip(d, "the connection was lost: %s", e.msg);
	} else {
		check_clocks(&p);
		check_owners(&p);
		check_signed(&p);
		tell_away(&p);
	}
	peers_release(&p);
	wire_close(w);
}
