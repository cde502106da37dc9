/*
 * signed.c - what the sovereign has signed, as far as it has come here: the policy, the halts, the grants.
 *
 * Each is kept with the store and published again under our own name, so that it reaches everybody through anybody.
 * They are numbered: only a higher number replaces what is held, and heartbeats say which numbers an agent holds. One
 * that hears of a higher number starts nothing until it has that object; nor does one that has no policy yet. Grants
 * are numbered together, and the latest lists those in force: only when all of these are here do we hold its number.
 *
 * Without a pinned key (`sovereign_keys`) there is none of this.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define RELAY_AGAIN_MS 5000             /* somebody holds less for so long */

static const struct {
	enum topic_kind topic;
	const char *health;             /* its number there */
} kinds[SIGNED_NUMBERED] = {
	[SOVEREIGN_POLICY] = { TOPIC_POLICY, "policy" },
	[SOVEREIGN_HALT] = { TOPIC_HALT, "halt" },
	[SOVEREIGN_GRANT] = { TOPIC_GRANT, "grants" },
};

bool
signed_is_on(const struct core *c)
{
	return c->o.config->sovereign_keys.n > 0;
}

/* ---- what is held ---- */

static void
release(struct signed_object *o)
{
	if (o->envelope)
		sovereign_release(&o->s);
	free(o->envelope);
	memset(o, 0, sizeof *o);
}

static const struct signed_object *
newest_grant(const struct core *c)
{
	const struct signed_object *newest = NULL;

	for (size_t i = 0; i < c->ngrants; i++)
		if (!newest || c->grants[i].s.n > newest->s.n)
			newest = &c->grants[i];
	return newest;
}

static bool
has_grant(const struct core *c, const struct grant_live *live)
{
	for (size_t i = 0; i < c->ngrants; i++)
		if (c->grants[i].s.n == live->n && strcmp(c->grants[i].s.u.grant.id, live->id) == 0)
			return true;
	return false;
}

/* How far we are with the grants: the latest one's number, if all that it lists are here. */
static int64_t
grants_number(const struct core *c)
{
	const struct signed_object *newest = newest_grant(c);

	for (size_t i = 0; newest && i < newest->s.u.grant.nlive; i++)
		if (!has_grant(c, &newest->s.u.grant.live[i]))
			return 0;
	return newest ? newest->s.n : 0;
}

static int64_t
number(const struct core *c, enum sovereign_kind kind)
{
	if (kind == SOVEREIGN_GRANT)
		return grants_number(c);
	return c->held[kind].envelope ? c->held[kind].s.n : 0;
}

static void
count_up(struct core *c)
{
	bool behind = signed_is_on(c) && !c->held[SOVEREIGN_POLICY].envelope;

	for (int k = 0; k < SIGNED_NUMBERED; k++) {
		c->signed_n[k] = number(c, (enum sovereign_kind)k);
		behind |= c->signed_n[k] < c->signed_seen[k];
	}
	c->signed_behind = behind;
}

/* The slot for a grant: its own, a free one, or one that is not in force any more. NULL: there are too many. */
static struct signed_object *
grant_slot(struct core *c, const struct grant *g)
{
	const struct signed_object *newest = newest_grant(c);

	for (size_t i = 0; i < c->ngrants; i++)
		if (strcmp(c->grants[i].s.u.grant.id, g->id) == 0)
			return &c->grants[i];
	if (c->ngrants < SIGNED_GRANTS_MAX)
		return &c->grants[c->ngrants++];
	for (size_t i = 0; i < c->ngrants; i++) {
		struct signed_object *o = &c->grants[i];

		if (o == newest || grant_is_live(&newest->s.u.grant, o->s.u.grant.id, o->s.n))
			continue;
		store_signed(c, SOVEREIGN_GRANT, o->s.u.grant.id, 0, NULL);
		release(o);
		return o;
	}
	return NULL;
}

static struct signed_object *
slot(struct core *c, const struct sovereign *s)
{
	return s->kind == SOVEREIGN_GRANT ? grant_slot(c, &s->u.grant) : &c->held[s->kind];
}

static const char *
id_of(const struct sovereign *s)
{
	return s->kind == SOVEREIGN_GRANT ? s->u.grant.id : "current";
}

static void
relay(struct core *c, const struct signed_object *o)
{
	char topic[TOPIC_MAX], id[64];
	const char *kind = sovereign_kind_name(o->s.kind);

	if (!c->up)
		return;

	if (o->s.kind == SOVEREIGN_GRANT)
		snprintf(id, sizeof id, "%s-%s", kind, o->s.u.grant.id);
	else
		snprintf(id, sizeof id, "%s", kind);
	topic_format(topic, c->o.config->cluster, TOPIC_RELAY, c->o.agent, id);
	buf_addf(out_now(c, topic, 1, true, 0), "%s\n", o->envelope);
}

/* Takes the object over if it is newer than what is held. */
static bool
adopt(struct core *c, struct sovereign *s, const char *envelope, size_t len)
{
	struct signed_object *o = slot(c, s);

	if (!o || (!sovereign_supersedes(s, o->envelope ? &o->s : NULL) && !IS_MUTANT(MUTANT_OLD_NUMBER))) {
		sovereign_release(s);
		return false;
	}
	release(o);
	o->s = *s;
	o->envelope = xstrndup(envelope, len);
	if (s->n > c->signed_seen[s->kind])
		c->signed_seen[s->kind] = s->n;
	count_up(c);
	return true;
}

static int
open_envelope(const struct core *c, enum sovereign_kind kind, const char *text, size_t len, struct sovereign *s,
    struct err *e)
{
	const struct config *f = c->o.config;

	return sovereign_open(s, kind, f->cluster, f->sovereign_keys.v, f->sovereign_keys.n, text, len, e);
}

int
signed_open_decision(const struct core *c, const char *envelope, size_t len, struct sovereign *s, struct err *e)
{
	return open_envelope(c, SOVEREIGN_DECISION, envelope, len, s, e);
}

void
signed_load(struct core *c, enum sovereign_kind kind, const char *envelope, size_t len)
{
	struct sovereign s;
	struct err e;

	if (IS_MUTANT(MUTANT_FORGET_HALT) && kind == SOVEREIGN_HALT)
		return;
	if (open_envelope(c, kind, envelope, len, &s, &e))
		log_warnx("store: a %s is not taken any more: %s", sovereign_kind_name(kind), e.msg);
	else
		adopt(c, &s, envelope, len);
}

/* ---- what arrives ---- */

/* What is chosen, and what waits here for another owner, was judged by what held before. */
static void
has_changed(struct core *c, const struct sovereign *s)
{
	log_info("%s %lld of %s is in force", sovereign_kind_name(s->kind), (long long)s->n, c->o.config->sovereign);
	house_give_back(c, NULL);
	work_drop_waiting(c);
	if (s->kind == SOVEREIGN_GRANT)
		approval_granted(c);
	c->urgent = c->due_changed = true;
}

static bool
is_text(const struct signed_object *o, const char *text, size_t len)
{
	return o->envelope && strlen(o->envelope) == len && memcmp(o->envelope, text, len) == 0;
}

/* Most are: everybody passes them on. */
static bool
is_held(const struct core *c, const char *text, size_t len)
{
	for (int k = 0; k < SIGNED_NUMBERED; k++)
		if (is_text(&c->held[k], text, len))
			return true;
	for (size_t i = 0; i < c->ngrants; i++)
		if (is_text(&c->grants[i], text, len))
			return true;
	return false;
}

static bool
is_old(const struct core *c, enum sovereign_kind kind, int64_t n)
{
	return kind != SOVEREIGN_GRANT && n <= number(c, kind) && !IS_MUTANT(MUTANT_OLD_NUMBER);
}

int
signed_take(struct core *c, const char *text, size_t len, struct err *e)
{
	enum sovereign_kind kind;
	struct signed_object *o;
	struct sovereign s;
	int64_t n;

	if (is_held(c, text, len))
		return 0;
	if (sovereign_peek(text, len, &kind, &n) || kind >= SIGNED_NUMBERED)
		return err_set(e, ERR_PARSE, "no policy, halt or grant");
	if (is_old(c, kind, n))
		return 0;
	if (open_envelope(c, kind, text, len, &s, e))
		return -1;
	if (!adopt(c, &s, text, len))
		return 0;
	o = slot(c, &s);
	store_signed(c, kind, id_of(&o->s), o->s.n, o->envelope);
	relay(c, o);
	has_changed(c, &o->s);
	return 0;
}

static void
take(struct core *c, enum sovereign_kind kind, const char *text, size_t len)
{
	enum sovereign_kind said;
	struct err e;
	int64_t n;

	if (is_held(c, text, len))
		return;
	if (sovereign_peek(text, len, &said, &n) || said != kind)
		err_set(&e, ERR_PARSE, "it is something else");
	else if (signed_take(c, text, len, &e) == 0)
		return;
	log_warnx("a %s was refused: %s", sovereign_kind_name(kind), e.msg);
}

static bool
trim(const struct mqtt_msg *m, size_t *len)
{
	*len = m->len;
	while (*len && strchr(" \t\r\n", ((const char *)m->payload)[*len - 1]))
		(*len)--;
	return *len > 0 && *len <= DSSE_MAX;
}

static enum sovereign_kind
relayed_kind(const char *id)
{
	for (int k = 0; k < SIGNED_NUMBERED; k++) {
		const char *name = sovereign_kind_name((enum sovereign_kind)k);

		if (strncmp(id, name, strlen(name)) == 0)
			return (enum sovereign_kind)k;
	}
	return SOVEREIGN_NKINDS;
}

void
signed_message(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	size_t len;

	if (!signed_is_on(c) || !trim(m, &len))
		return;
	if (t->kind == TOPIC_DECISION && strcmp(t->name, c->o.config->sovereign) == 0)
		approval_decision(c, t->id, m->payload, len);
	else if (t->kind == TOPIC_RELAY && relayed_kind(t->id) != SOVEREIGN_NKINDS)
		take(c, relayed_kind(t->id), m->payload, len);
	for (int k = 0; k < SIGNED_NUMBERED; k++)
		if (t->kind == kinds[k].topic && strcmp(t->name, c->o.config->sovereign) == 0)
			take(c, (enum sovereign_kind)k, m->payload, len);
}

static void
relay_all(struct core *c)
{
	for (int k = 0; k < SIGNED_NUMBERED; k++)
		if (c->held[k].envelope)
			relay(c, &c->held[k]);
	for (size_t i = 0; i < c->ngrants; i++)
		relay(c, &c->grants[i]);
}

void
signed_link_up(struct core *c)
{
	relay_all(c);
}

/* ---- what the others hold ---- */

/* A broker that lost what it had retained gives it to nobody who comes later. */
static void
relay_again(struct core *c, struct peer *p)
{
	if (!p->signed_less) {
		p->less_ms = 0;
	} else if (!p->less_ms) {
		p->less_ms = c->now.mono_ms;
	} else if (c->now.mono_ms - p->less_ms >= RELAY_AGAIN_MS && c->up) {
		relay_all(c);
		p->less_ms = c->now.mono_ms;
	}
}

void
signed_heard(struct core *c, struct peer *p, const cJSON *health)
{
	const cJSON *o = cJSON_GetObjectItemCaseSensitive(health, "sovereign");
	bool more = false;

	p->signed_less = false;
	for (int k = 0; k < SIGNED_NUMBERED; k++) {
		int64_t n = json_number(o, kinds[k].health, 0);

		p->signed_less |= n < c->signed_n[k];
		if (n > c->signed_seen[k]) {
			c->signed_seen[k] = n;
			more = true;
		}
	}
	relay_again(c, p);
	if (!more || !signed_is_on(c))
		return;
	count_up(c);
	house_give_back(c, NULL);
	work_drop_waiting(c);
	log_warnx("%s holds what %s has signed and we have not seen yet: nothing starts until it comes", p->name,
	    c->o.config->sovereign);
}

void
signed_put_health(const struct core *c, struct buf *b)
{
	if (!signed_is_on(c))
		return;
	json_put_key(b, "sovereign");
	json_put_open(b, '{');
	for (int k = 0; k < SIGNED_NUMBERED; k++)
		json_kv_int(b, kinds[k].health, c->signed_n[k]);
	if (c->signed_behind)
		json_kv_bool(b, "behind", true);
	json_put_close(b, '}');
}

void
signed_put(const struct core *c, void (*put)(void *arg, const struct sovereign *s, const char *envelope), void *arg)
{
	for (int k = 0; k < SIGNED_NUMBERED; k++)
		if (c->held[k].envelope)
			put(arg, &c->held[k].s, c->held[k].envelope);
	for (size_t i = 0; i < c->ngrants; i++)
		put(arg, &c->grants[i].s, c->grants[i].envelope);
}

/* ---- what it means ---- */

bool
signed_may_start(const struct core *c)
{
	return !c->signed_behind || (IS_MUTANT(MUTANT_START_BEHIND) && signed_policy(c));
}

const struct policy *
signed_policy(const struct core *c)
{
	return c->held[SOVEREIGN_POLICY].envelope ? &c->held[SOVEREIGN_POLICY].s.u.policy : NULL;
}

int64_t
signed_policy_number(const struct core *c)
{
	return c->signed_n[SOVEREIGN_POLICY];
}

const struct halt_entry *
signed_halt(const struct core *c, const char *house, const char *tool)
{
	const struct signed_object *o = &c->held[SOVEREIGN_HALT];

	return o->envelope ? halt_covers(&o->s.u.halt, house, tool ? tool : "") : NULL;
}

void
signed_put_halted(const struct core *c, struct buf *b, const struct task *t)
{
	const char *house = t->house ? task_house_name(t) : NULL;
	const struct halt_entry *entry = house ? signed_halt(c, house, t->tool_name) : NULL;
	bool begun = t->state == TASK_STARTING || t->state == TASK_RUNNING || t->state == TASK_UNCERTAIN;
	char text[SOVEREIGN_WHY * 2];

	if (!entry || begun || t->state == TASK_FORWARDED || task_state_is_terminal(t->state))
		return;
	halt_describe(entry, c->held[SOVEREIGN_HALT].s.u.halt.why, text);
	json_kv_str(b, "halted", text);
}

const struct grant *
signed_grant_find(const struct core *c, const char *id)
{
	const struct signed_object *newest = newest_grant(c);

	for (size_t i = 0; newest && i < c->ngrants; i++)
		if (strcmp(c->grants[i].s.u.grant.id, id) == 0 &&
		    grant_is_live(&newest->s.u.grant, id, c->grants[i].s.n))
			return &c->grants[i].s.u.grant;
	return NULL;
}

const struct grant *
signed_grant_for(struct core *c, const struct grant_question *q, const struct ulid *task)
{
	struct grant_question mine = *q;

	for (size_t i = 0; i < c->ngrants; i++) {
		const struct grant *g = signed_grant_find(c, c->grants[i].s.u.grant.id);

		if (!g)
			continue;
		mine.used = store_uses(c, g->id, task);
		if (grant_covers(g, &mine))
			return g;
	}
	return NULL;
}

void
signed_open(struct core *c)
{
	count_up(c);
}

void
signed_release(struct core *c)
{
	for (int k = 0; k < SIGNED_NUMBERED; k++)
		release(&c->held[k]);
	for (size_t i = 0; i < c->ngrants; i++)
		release(&c->grants[i]);
}
