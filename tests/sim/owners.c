/*
 * owners.c - who owns a house, seen from outside: by heartbeats, claims and pulses.
 *
 *   An agent says that it owns a house only within 4 s of making the latest pulse that came back to it, and, with
 *   several brokers, while it hears a majority. Two do not say so for long. A term is claimed by one life of one
 *   agent. While one that may own a house is alive, connected and hears a majority, the house is not without an
 *   owner for more than 30 s.
 *
 * Times of an agent are its own: a machine that is frozen does not know how late it is.
 */
#include "check.h"

#include "buf.h"
#include "json.h"

#define PULSES_KEPT 16
#define LEASE_MS 4000
#define HEARD_MS 5000                   /* four seconds, and a beat */
#define SAID_US (2500 * MS)             /* for so long a heartbeat stands */
#define BOTH_US (7 * SECOND)
#define OWNERLESS_US (30 * SECOND)
#define SLOW_US (300 * MS)
#define ROUNDS_MAX 50                   /* to and from the broker, until it gets what comes now */
#define OWNED_MAX (CONFIG_MAX_HOUSES + 1)

struct pulse {
	uint64_t text;
	int64_t made_ms;
};

/* Of an agent. */
struct holder {
	struct pulse pulses[PULSES_KEPT];
	unsigned npulses;
	int64_t pulse_ms;               /* when the latest that came back was made; 0: none on this connection */
	int64_t heard_ms[HOSTS_MAX];    /* the others' heartbeats */
	bool owns[OWNED_MAX];           /* by its last heartbeat */
	char term[OWNED_MAX][80];
	int64_t head[OWNED_MAX];
	bool lacks[OWNED_MAX];          /* what the house needs */
	int64_t said_us;                /* when that came to a broker */
	int broker;                     /* on which it could own; -1: it could not */
	int64_t able_us;                /* since then */
};

/* A house; the last is the router's. */
struct owned {
	const char *name;
	int64_t none_us;                /* nobody says that he owns it, since then; 0: somebody does */
	int64_t both_us;                /* two say so, since then */
	struct lacking lacking;         /* its owner */
};

struct claim {
	char house[NAME_MAX_LEN + 1], term[80], boot[ULID_TEXT];
	struct claim *next;
};

struct owners {
	struct check *check;
	struct sim *sim;
	struct holder holders[HOSTS_MAX];
	struct owned houses[OWNED_MAX];
	int nhouses;
	int64_t majority_us[BROKERS_MAX];       /* since when enough are on it; 0: they are not */
	struct claim *claims;
};

static int
voters(const struct owners *o)
{
	return o->sim->nhosts;
}

/* ---- what an agent says and hears ---- */

static struct holder *
holder_of(struct check *k, const struct host *h)
{
	return &k->owners->holders[check_host(k, host_name(h))];
}

static int
count_heard(const struct owners *o, const struct holder *x, int64_t now_ms)
{
	int n = 1;

	for (int i = 0; i < o->sim->nhosts; i++)
		n += &o->holders[i] != x && x->heard_ms[i] && now_ms - x->heard_ms[i] <= HEARD_MS;
	return n;
}

/* The owner says it in so many words; an agent whose houses never change hands says nothing of roles. */
static bool
says_owner(const cJSON *h)
{
	const cJSON *role = cJSON_GetObjectItemCaseSensitive(h, "role");

	return !role || strcmp(check_text(h, "role"), "owner") == 0;
}

/* Nobody else could own it: it needs no lease. */
static bool
is_alone(const struct owners *o, const char *house)
{
	return check_candidates(o->check, house)->n == 1;
}

static void
check_lease(const struct owners *o, const struct host *h, const struct holder *x, const char *house, int64_t made_ms)
{
	if (!x->pulse_ms || made_ms - x->pulse_ms > LEASE_MS)
		sim_fail(o->sim, host_name(h), "%s says that it owns house %s, but its last pulse was %lld ms ago",
		    host_name(h), house, (long long)(x->pulse_ms ? made_ms - x->pulse_ms : -1));
	else if (o->sim->nbrokers > 1 && 2 * count_heard(o, x, made_ms) <= voters(o))
		sim_fail(o->sim, host_name(h), "%s says that it owns house %s, but hears %d of %d", host_name(h), house,
		    count_heard(o, x, made_ms), voters(o));
}

/* Whoever gave a house away, or was given it, just now may lack the time. */
static void
look_at_lacking(struct owners *o, const struct holder *x, int house, const cJSON *part)
{
	int64_t could_us[HOSTS_MAX];
	bool lacks[HOSTS_MAX];

	for (int i = 0; i < o->sim->nhosts; i++) {
		const struct holder *y = &o->holders[i];

		lacks[i] = y->lacks[house];
		could_us[i] = x->broker < 0 || y->broker != x->broker ? INT64_MAX : x->able_us > y->able_us ? x->able_us : y->able_us;
	}
	lacks_heard(o->sim, &o->houses[house].lacking, o->houses[house].name, part, could_us, lacks);
}

static void
note_heartbeat(struct owners *o, struct holder *x, const struct host *h, const cJSON *tree, int64_t made_ms)
{
	const cJSON *v;

	memset(x->owns, 0, sizeof x->owns);
	for (int i = 0; i < o->nhouses; i++)
		cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(tree, "houses")) {
			if (strcmp(check_text(v, "house"), o->houses[i].name) != 0)
				continue;
			x->lacks[i] = cJSON_HasObjectItem(v, "lacks");
			if (!says_owner(v))
				continue;
			x->owns[i] = true;
			if (o->sim->plan.lacks)
				look_at_lacking(o, x, i, v);
			snprintf(x->term[i], sizeof x->term[i], "%s", check_text(v, "term"));
			json_int(cJSON_GetObjectItemCaseSensitive(v, "head"), &x->head[i]);
			if (!is_alone(o, o->houses[i].name))
				check_lease(o, h, x, o->houses[i].name, made_ms);
		}
}

/* It may be gone again before its next heartbeat. */
static void
note_owner(struct owners *o, const char *house)
{
	for (int i = 0; i < o->nhouses; i++)
		if (strcmp(o->houses[i].name, house) == 0)
			o->houses[i].none_us = 0;
}

void
check_said(struct check *k, struct host *h, const struct msg *m, int64_t made_ms)
{
	struct holder *x = holder_of(k, h);
	struct topic t;

	if (topic_parse(m->topic, k->sim->config.cluster, &t, NULL))
		return;
	if (t.kind == TOPIC_ECHO) {
		x->pulses[x->npulses++ % PULSES_KEPT] = (struct pulse){ check_hash(m->payload, m->len), made_ms };
	} else if (t.kind == TOPIC_HEALTH) {
		cJSON *tree = json_parse(m->payload, m->len, NULL);

		note_heartbeat(k->owners, x, h, tree, made_ms);
		cJSON_Delete(tree);
	} else if (t.kind == TOPIC_EVENT && strstr(m->payload, "\"type\":\"owner\"")) {
		note_owner(k->owners, t.name);
	}
}

void
check_heard(struct check *k, struct host *h, const struct packet *p, int64_t now_ms)
{
	struct holder *x = holder_of(k, h);
	struct topic t;
	int i;

	if (topic_parse(p->msg->topic, k->sim->config.cluster, &t, NULL))
		return;
	orders_heard(k->orders, check_host(k, host_name(h)), &t, p);
	if (t.kind == TOPIC_HEALTH && !p->retained && (i = check_host(k, t.name)) >= 0)
		x->heard_ms[i] = now_ms;
	for (i = 0; t.kind == TOPIC_ECHO && i < PULSES_KEPT; i++)
		if (x->pulses[i].text == check_hash(p->msg->payload, p->msg->len) && x->pulses[i].made_ms > x->pulse_ms)
			x->pulse_ms = x->pulses[i].made_ms;
}

void
check_link_lost(struct check *k, struct host *h)
{
	struct holder *x = holder_of(k, h);

	x->pulse_ms = 0;
	x->npulses = 0;
	memset(x->pulses, 0, sizeof x->pulses);
}

/* ---- claims ---- */

void
owners_claim(struct owners *o, const struct topic *t, const struct msg *m)
{
	cJSON *tree = m->len ? json_parse(m->payload, m->len, NULL) : NULL;
	const char *term = check_text(tree, "term");
	struct claim *c = o->claims;

	while (c && (strcmp(c->term, term) != 0 || strcmp(c->house, t->name) != 0))
		c = c->next;
	if (c && strcmp(c->boot, check_text(tree, "boot")) != 0)
		sim_fail(o->sim, t->id, "term %s of house %s is claimed by two lives of %s", term, t->name, t->id);
	if (tree && !c) {
		c = xcalloc(1, sizeof *c);
		snprintf(c->house, sizeof c->house, "%s", t->name);
		snprintf(c->term, sizeof c->term, "%s", term);
		snprintf(c->boot, sizeof c->boot, "%s", check_text(tree, "boot"));
		c->next = o->claims;
		o->claims = c;
	}
	if (tree)
		streams_claim(o->check->streams, t->name, tree);
	cJSON_Delete(tree);
}

/* ---- once a second: houses without an owner, and with two ---- */

void
owners_arrived(struct owners *o, int host)
{
	o->holders[host].said_us = o->sim->now_us;
}

static bool
owns_now(const struct owners *o, int host, int house)
{
	const struct holder *x = &o->holders[host];

	return x->owns[house] && x->said_us && o->sim->now_us - x->said_us < SAID_US;
}

/* The broker it could act on; -1: none. Whoever is sent few messages at a time has its own claim behind a backlog. */
static int
able_on(const struct owners *o, struct host *h)
{
	const struct node *n = host_node(h);
	int broker = n->lag_us > SLOW_US ? -1 : host_is_able(h);

	return broker >= 0 && broker_rounds(o->sim->brokers[broker], n->name) > ROUNDS_MAX ? -1 : broker;
}

static void
look_at_hosts(struct owners *o)
{
	for (int i = 0; i < o->sim->nhosts; i++) {
		struct holder *x = &o->holders[i];
		int broker = able_on(o, o->sim->hosts[i]);

		if (broker != x->broker || broker < 0)
			x->able_us = o->sim->now_us;
		x->broker = broker;
	}
}

static void
look_at_brokers(struct owners *o)
{
	for (int b = 0; b < o->sim->nbrokers; b++) {
		int n = 0;

		for (int i = 0; i < o->sim->nhosts; i++)
			n += o->holders[i].broker == b;
		if (o->sim->nbrokers > 1 && 2 * n <= voters(o))
			o->majority_us[b] = 0;
		else if (!o->majority_us[b])
			o->majority_us[b] = o->sim->now_us;
	}
}

/* Since when one of them could have owned it; the longest. INT64_MAX: none could. */
static int64_t
able_since(const struct owners *o, const char *house)
{
	const struct config_names *names = check_candidates(o->check, house);
	int64_t best = INT64_MAX;

	for (size_t i = 0; i < names->n; i++) {
		const struct holder *x = &o->holders[check_host(o->check, names->v[i])];
		int64_t since = x->able_us;

		if (x->broker < 0 || !o->majority_us[x->broker])
			continue;
		if (o->majority_us[x->broker] > since)
			since = o->majority_us[x->broker];
		best = since < best ? since : best;
	}
	return best;
}

static void
check_none(struct owners *o, struct owned *h)
{
	int64_t since = able_since(o, h->name);

	if (!h->none_us)
		h->none_us = o->sim->now_us;
	if (since < h->none_us)
		since = h->none_us;
	if (since < o->sim->now_us && o->sim->now_us - since > OWNERLESS_US)
		sim_fail(o->sim, h->name, "house %s has had no owner for %lld s, though one could own it", h->name,
		    (long long)((o->sim->now_us - since) / SECOND));
}

static void
check_both(struct owners *o, struct owned *h)
{
	if (!h->both_us)
		h->both_us = o->sim->now_us;
	if (o->sim->now_us - h->both_us > BOTH_US)
		sim_fail(o->sim, h->name, "for %lld s two have said that they own house %s",
		    (long long)((o->sim->now_us - h->both_us) / SECOND), h->name);
}

static void
look_at_house(struct owners *o, int i)
{
	struct owned *h = &o->houses[i];
	int n = 0;

	for (int k = 0; k < o->sim->nhosts; k++)
		n += owns_now(o, k, i);
	if (n == 0)
		check_none(o, h);
	else
		h->none_us = 0;
	if (n > 1)
		check_both(o, h);
	else
		h->both_us = 0;
}

static void
beat(void *arg, uint64_t x)
{
	struct owners *o = arg;

	look_at_hosts(o);
	look_at_brokers(o);
	for (int i = 0; i < o->nhouses; i++)
		look_at_house(o, i);
	sim_in(o->sim, SECOND, beat, o, x);
}

static int
house_index(const struct owners *o, const char *house)
{
	int i = 0;

	while (i < o->nhouses && strcmp(o->houses[i].name, house) != 0)
		i++;
	return i;
}

struct host *
check_owner(struct check *k, const char *house)
{
	struct owners *o = k->owners;
	int i = house_index(o, house);

	for (int h = 0; i < o->nhouses && h < o->sim->nhosts; h++)
		if (owns_now(o, h, i))
			return o->sim->hosts[h];
	return NULL;
}

bool
owners_are_quiet(struct owners *o, struct quiet *q)
{
	for (int i = 0; i < o->nhouses; i++)
		if (!check_owner(o->check, o->houses[i].name)) {
			snprintf(q->why, sizeof q->why, "house %s has no owner", o->houses[i].name);
			snprintf(q->subject, sizeof q->subject, "%s", o->houses[i].name);
			return false;
		}
	return true;
}

/* At the end: all that the owner has was published. */
void
owners_check(struct owners *o)
{
	for (int i = 0; i < o->nhouses; i++)
		for (int h = 0; h < o->sim->nhosts; h++)
			if (owns_now(o, h, i) && !is_alone(o, o->houses[i].name))
				streams_check(o->check->streams, o->houses[i].name, o->holders[h].term[i],
				    o->holders[h].head[i]);
}

struct owners *
owners_new(struct check *k)
{
	struct owners *o = xcalloc(1, sizeof *o);
	const struct config *f = &k->sim->config;

	o->check = k;
	o->sim = k->sim;
	for (size_t i = 0; i < f->nhouses; i++)
		o->houses[o->nhouses++].name = f->houses[i].name;
	o->houses[o->nhouses++].name = "_";
	sim_in(k->sim, SECOND, beat, o, 0);
	return o;
}

void
owners_free(struct owners *o)
{
	for (struct claim *c = o->claims, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(o);
}
