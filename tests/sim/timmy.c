/*
 * timmy.c - the sovereign: he signs policies, halts, grants and decisions, and publishes them over whichever broker he
 * is connected to. He decides on the requests that he sees, well or badly: some he leaves alone until the end, some he
 * answers first with a wrong hash, too late or for another task, and somebody else signs in his place. What he signed
 * comes again now and then when it is long out of date. At the end he answers all that is still asked.
 *
 * Some decisions he makes once and for all: whoever owns the house when they can be used has to know them.
 */
#include "timmy.h"

#include "check.h"

#include "buf.h"
#include "json.h"
#include "ulid.h"

#define BEAT_US (500 * MS)
#define SILENCE_US (10 * SECOND)
#define STAY_US (40 * SECOND)           /* on a broker, at least */
#define OBJECTS_MAX 200                 /* of a kind */
#define RULES_MAX 3
#define GRANTS_IN_FORCE 6
enum { SUBSCRIBED = 1, LOOKED };         /* packet ids */
#define ASKED_MAX 1000
#define RULING_BUCKETS 256
#define AGAIN_US (15 * SECOND)          /* a decision that is not obeyed is made again */
#define TIDY_US (30 * SECOND)           /* and taken away when it was */
#define LONG_S 3000
#define ANY (-1)

static const unsigned char seed[SIGN_KEY_SIZE] = "timmy, as simulated";
static const unsigned char stranger[SIGN_KEY_SIZE] = "somebody who would be timmy";
static const char *const tools[] = { "noop", "wait", "file_write", "http_post" };

#define NTOOLS ((int)(sizeof tools / sizeof *tools))

struct rule {
	int house, tool;
	bool production;
	enum policy_verdict then;
};

/* Number i + 1 of its kind. */
struct object {
	char *envelope, topic[TOPIC_MAX];
	union {
		struct {
			int judge;              /* house */
			bool production;
			struct rule rules[RULES_MAX];
			int nrules;
		} policy;
		struct {
			bool cluster;
			unsigned houses, tools;
		} halt;
		struct {
			char id[16];
			int house, tool;
			int64_t count, expires_ms;
			bool revoked;
		} grant;
	} u;
};

struct objects {
	struct object v[OBJECTS_MAX];
	int n;
	int64_t next_us;
};

/* A decision of his that means what it says. */
struct ruling {
	char task[ULID_TEXT], touches[CANONICAL_HASH];
	bool approve;
	int64_t expires_ms;
	struct ruling *next;
};

/* A request. */
struct asked {
	char task[ULID_TEXT], house[NAME_MAX_LEN + 1], hash[CANONICAL_HASH], touches[CANONICAL_HASH];
	bool open;
	bool ignored;                   /* until all is mended */
	bool once;                      /* decided for good, by that hash */
	bool told;                      /* something is retained */
	char decided[CANONICAL_HASH];
	uint64_t envelope;              /* hash of what was sent last */
	unsigned have;                  /* hosts that have written that down */
	int64_t next_us;
};

struct timmy {
	struct node node;
	struct sim *sim;
	struct sign_key *key, *stranger;
	bool ready, mended;
	int broker, mid;
	int64_t heard_us, retry_us, leave_us, resume_us;
	int look_host;                  /* whom he asks next what waits, after which of its tasks */
	int64_t look_seq;
	struct objects kinds[SOVEREIGN_DECISION];
	struct asked asked[ASKED_MAX];
	int nasked;
	struct ruling *rulings[RULING_BUCKETS];
};

static int64_t
draw(struct timmy *t, int64_t min, int64_t max)
{
	return rng_between(&t->sim->rng[RNG_TIMMY], min, max);
}

static bool
chance(struct timmy *t, int permille)
{
	return rng_chance(&t->sim->rng[RNG_TIMMY], permille);
}

static int64_t
wall_ms(const struct timmy *t)
{
	return WALL_BASE_MS + t->sim->now_us / MS;
}

static const char *
house_name(const struct timmy *t, int i)
{
	return t->sim->config.houses[i].name;
}

static int
draw_house(struct timmy *t)
{
	return (int)draw(t, 0, (int64_t)t->sim->config.nhouses - 1);
}

static int
house_number(const struct timmy *t, const char *name)
{
	for (size_t i = 0; i < t->sim->config.nhouses; i++)
		if (strcmp(house_name(t, (int)i), name) == 0)
			return (int)i;
	return ANY;
}

static int
tool_number(const char *name)
{
	for (int i = 0; i < NTOOLS; i++)
		if (strcmp(tools[i], name) == 0)
			return i;
	return ANY;
}

void
timmy_pin(struct sim *s, struct buf *config)
{
	struct sign_key *k = sign_key_from_seed(seed);
	char text[SIGN_TEXT];

	(void)s;
	sign_public_format(sign_key_public(k), text);
	buf_addf(config, "sovereign_keys: [\"%s\"]\n", text);
	sign_key_free(k);
}

/* ---- publishing ---- */

static void
publish(struct timmy *t, const char *topic, const char *text, bool retain, int64_t expires_us)
{
	struct msg *m = msg_new(topic, text, strlen(text), 1);

	m->retain = retain;
	m->expires_us = expires_us;
	t->mid = t->mid % UINT16_MAX + 1;
	net_send(&t->node, PACKET_PUBLISH, t->mid, 0, m);
	msg_unref(m);
}

static char *
seal(struct timmy *t, enum sovereign_kind kind, struct buf *members, const struct sign_key *key)
{
	cJSON *o = cJSON_ParseWithLength(members->data, members->len);
	struct buf b = { 0 };
	struct err e;

	if (sovereign_seal(&b, kind, t->sim->config.cluster, o, key, &e)) {
		fprintf(stderr, "sim: %s: %s\n", e.msg, members->data);
		exit(2);
	}
	cJSON_Delete(o);
	buf_free(members);
	return buf_take(&b);
}

static struct object *
add_object(struct timmy *t, enum sovereign_kind kind)
{
	struct objects *k = &t->kinds[kind];

	return k->n < OBJECTS_MAX ? &k->v[k->n++] : NULL;
}

static void
send_object(struct timmy *t, enum sovereign_kind kind, struct object *o, struct buf *members, const char *id)
{
	topic_format(o->topic, t->sim->config.cluster, kind == SOVEREIGN_POLICY ? TOPIC_POLICY : kind == SOVEREIGN_HALT ?
	    TOPIC_HALT : TOPIC_GRANT, t->sim->config.sovereign, id);
	sim_log(t->sim, "timmy signs %s %d: %s", sovereign_kind_name(kind), t->kinds[kind].n, members->data);
	o->envelope = seal(t, kind, members, t->key);
	publish(t, o->topic, o->envelope, true, 0);
}

static void
put_head(struct timmy *t, struct buf *b, enum sovereign_kind kind)
{
	buf_addf(b, "{\"n\":%d,\"time\":%lld", t->kinds[kind].n, (long long)wall_ms(t));
}

/* ---- policies ---- */

static struct rule
draw_rule(struct timmy *t, bool production)
{
	static const enum policy_verdict then[] = { POLICY_APPROVE, POLICY_APPROVE, POLICY_DENY, POLICY_ALLOW };

	return (struct rule){ .house = draw_house(t), .tool = chance(t, 600) ? 3 : (int)draw(t, 0, NTOOLS - 1),
		.production = production && chance(t, 500), .then = then[draw(t, 0, 3)] };
}

static void
put_rule(const struct timmy *t, struct buf *b, const struct rule *r)
{
	buf_addf(b, "{\"house\":\"%s\",", house_name(t, r->house));
	if (r->tool == 3)
		buf_adds(b, "\"effect\":\"exclusive\",");
	else
		buf_addf(b, "\"tool\":\"%s\",", tools[r->tool]);
	buf_addf(b, "\"production\":%s,\"then\":\"%s\"}", r->production ? "true" : "false",
	    r->then == POLICY_DENY ? "deny" : r->then == POLICY_APPROVE ? "approve" : "allow");
}

static void
new_policy(struct timmy *t)
{
	struct object *o = add_object(t, SOVEREIGN_POLICY);
	struct buf b = { 0 };

	if (!o)
		return;
	o->u.policy.judge = chance(t, 150) ? draw_house(t) : ANY;
	o->u.policy.production = chance(t, 150);
	o->u.policy.nrules = (int)draw(t, 0, 2);
	put_head(t, &b, SOVEREIGN_POLICY);
	buf_adds(&b, ",\"houses\":{");
	if (o->u.policy.judge != ANY)
		buf_addf(&b, "\"%s\":{\"profile\":\"judge\"}", house_name(t, o->u.policy.judge));
	buf_addf(&b, "},\"production\":[%s],\"rules\":[", o->u.policy.production ? "\"path:" PRODUCTION_PLACE "\"" : "");
	for (int i = 0; i < o->u.policy.nrules; i++) {
		o->u.policy.rules[i] = draw_rule(t, o->u.policy.production);
		if (i)
			buf_addc(&b, ',');
		put_rule(t, &b, &o->u.policy.rules[i]);
	}
	buf_addf(&b, "],\"approval_s\":%lld,\"self_approval\":false}", (long long)t->sim->plan.approval_s);
	send_object(t, SOVEREIGN_POLICY, o, &b, "current");
}

static const struct rule *
find_rule(const struct timmy *t, const struct object *o, const struct deed *d, bool production)
{
	for (int i = 0; i < o->u.policy.nrules; i++) {
		const struct rule *r = &o->u.policy.rules[i];

		if (r->production == production && strcmp(house_name(t, r->house), d->house) == 0 &&
		    strcmp(tools[r->tool], d->tool->name) == 0)
			return r;
	}
	return NULL;
}

enum policy_verdict
timmy_verdict(const struct timmy *t, int64_t policy, const struct deed *d)
{
	const struct object *o = &t->kinds[SOVEREIGN_POLICY].v[policy - 1];
	bool changes = d->tool->effect != TOOL_READ, production = o->u.policy.production && d->touches && changes;
	const struct rule *r = find_rule(t, o, d, production);

	if (r && r->then == POLICY_DENY)
		return POLICY_DENY;
	if (d->sovereign)
		return POLICY_APPROVE;
	if (r)
		return r->then;
	if (production || (changes && o->u.policy.judge != ANY && strcmp(house_name(t, o->u.policy.judge), d->house) == 0))
		return POLICY_APPROVE;
	return POLICY_ALLOW;
}

/* ---- halts ---- */

static void
send_halt(struct timmy *t, struct object *o)
{
	struct buf b = { 0 };
	const char *comma = "";

	put_head(t, &b, SOVEREIGN_HALT);
	buf_adds(&b, ",\"halts\":[");
	if (o->u.halt.cluster) {
		buf_adds(&b, "{\"scope\":\"cluster\"}");
		comma = ",";
	}
	for (int i = 0; i < (int)t->sim->config.nhouses; i++)
		if (o->u.halt.houses >> i & 1) {
			buf_addf(&b, "%s{\"scope\":\"house\",\"name\":\"%s\"}", comma, house_name(t, i));
			comma = ",";
		}
	for (int i = 0; i < NTOOLS; i++)
		if (o->u.halt.tools >> i & 1) {
			buf_addf(&b, "%s{\"scope\":\"tool\",\"name\":\"%s\"}", comma, tools[i]);
			comma = ",";
		}
	buf_adds(&b, "],\"why\":\"to see whether it holds\"}");
	send_object(t, SOVEREIGN_HALT, o, &b, "current");
}

/* One more, or, when it is time, all of it is lifted. */
static void
new_halt(struct timmy *t)
{
	struct objects *k = &t->kinds[SOVEREIGN_HALT];
	struct object *o = add_object(t, SOVEREIGN_HALT);

	if (!o)
		return;
	if (k->n > 1)
		o->u.halt = o[-1].u.halt;
	switch (draw(t, 0, 3)) {
	case 0:
		o->u.halt.cluster = true;
		break;
	case 1:
		o->u.halt.houses |= 1u << draw_house(t);
		break;
	default:
		o->u.halt.tools |= 1u << draw(t, 0, NTOOLS - 1);
		break;
	}
	if (!t->resume_us)
		t->resume_us = t->sim->now_us + draw(t, 3, 25) * SECOND;
	send_halt(t, o);
}

static void
resume(struct timmy *t)
{
	struct object *o = add_object(t, SOVEREIGN_HALT);

	t->resume_us = 0;
	if (o)
		send_halt(t, o);
}

bool
timmy_has_halted(const struct timmy *t, int64_t halt, const char *house, const char *tool)
{
	const struct object *o = halt ? &t->kinds[SOVEREIGN_HALT].v[halt - 1] : NULL;
	int h = house_number(t, house), k = tool_number(tool);

	return o && (o->u.halt.cluster || (h != ANY && o->u.halt.houses >> h & 1) || (k != ANY && o->u.halt.tools >> k & 1));
}

/* ---- grants ---- */

/* The latest of that id. */
static bool
is_latest(const struct objects *k, int i)
{
	for (int j = i + 1; j < k->n; j++)
		if (strcmp(k->v[j].u.grant.id, k->v[i].u.grant.id) == 0)
			return false;
	return true;
}

static bool
is_in_force(const struct timmy *t, int i)
{
	const struct objects *k = &t->kinds[SOVEREIGN_GRANT];

	return is_latest(k, i) && !k->v[i].u.grant.revoked && k->v[i].u.grant.expires_ms > wall_ms(t);
}

static void
send_grant(struct timmy *t, struct object *o)
{
	struct objects *k = &t->kinds[SOVEREIGN_GRANT];
	const char *comma = "";
	struct buf b = { 0 };

	put_head(t, &b, SOVEREIGN_GRANT);
	buf_addf(&b, ",\"id\":\"%s\",\"house\":\"%s\",\"tool\":\"%s\",\"count\":%lld,\"not_before\":1,\"expires\":%lld,"
	    "\"revoked\":%s,\"live\":[", o->u.grant.id, house_name(t, o->u.grant.house),
	    o->u.grant.tool == ANY ? "*" : tools[o->u.grant.tool], (long long)o->u.grant.count, (long long)o->u.grant.expires_ms,
	    o->u.grant.revoked ? "true" : "false");
	for (int i = 0; i < k->n; i++)
		if (is_in_force(t, i)) {
			buf_addf(&b, "%s{\"id\":\"%s\",\"n\":%d}", comma, k->v[i].u.grant.id, i + 1);
			comma = ",";
		}
	buf_adds(&b, "]}");
	for (int i = 0; i < k->n - 1; i++)
		if (is_in_force(t, i))
			publish(t, k->v[i].topic, k->v[i].envelope, true, 0);
	send_object(t, SOVEREIGN_GRANT, o, &b, o->u.grant.id);
}

static int
any_in_force(struct timmy *t, int *n)
{
	int found = ANY;

	*n = 0;
	for (int i = 0; i < t->kinds[SOVEREIGN_GRANT].n; i++)
		if (is_in_force(t, i) && draw(t, 0, (*n)++) == 0)
			found = i;
	return found;
}

/* For something that needs approval, if there is such a thing. */
static void
draw_grant(struct timmy *t, struct object *o)
{
	const struct objects *k = &t->kinds[SOVEREIGN_POLICY];
	const struct object *p = &k->v[k->n - 1];
	const struct rule *r = p->u.policy.nrules ? &p->u.policy.rules[draw(t, 0, p->u.policy.nrules - 1)] : NULL;

	o->u.grant.house = p->u.policy.judge != ANY ? p->u.policy.judge : r ? r->house : draw_house(t);
	o->u.grant.tool = chance(t, 500) ? ANY : r ? r->tool : (int)draw(t, 0, NTOOLS - 1);
}

/* A new one; or one is revoked, or allows another number. */
static void
new_grant(struct timmy *t)
{
	int n, old = any_in_force(t, &n);
	struct object *o;

	if (!(o = add_object(t, SOVEREIGN_GRANT)))
		return;
	if (old != ANY && (n >= GRANTS_IN_FORCE || chance(t, 400))) {
		o->u.grant = t->kinds[SOVEREIGN_GRANT].v[old].u.grant;
		o->u.grant.revoked = n >= GRANTS_IN_FORCE || chance(t, 500);
	} else {
		snprintf(o->u.grant.id, sizeof o->u.grant.id, "g%d", t->kinds[SOVEREIGN_GRANT].n);
		draw_grant(t, o);
		o->u.grant.expires_ms = wall_ms(t) + draw(t, 20, 400) * 1000;
	}
	o->u.grant.count = draw(t, 1, 3);
	send_grant(t, o);
}

bool
timmy_has_granted(const struct timmy *t, int64_t number, const struct deed *d, int64_t now_ms)
{
	const struct objects *k = &t->kinds[SOVEREIGN_GRANT];

	for (int i = 0; i < k->n && i < number; i++)
		if (!d->sovereign && !k->v[i].u.grant.revoked && k->v[i].u.grant.expires_ms > now_ms &&
		    strcmp(house_name(t, k->v[i].u.grant.house), d->house) == 0 &&
		    (k->v[i].u.grant.tool == ANY || strcmp(tools[k->v[i].u.grant.tool], d->tool->name) == 0))
			return true;
	return false;
}

int64_t
timmy_grant_count(const struct timmy *t, const char *id)
{
	const struct objects *k = &t->kinds[SOVEREIGN_GRANT];
	int64_t most = 0;

	for (int i = 0; i < k->n; i++)
		if (strcmp(k->v[i].u.grant.id, id) == 0 && k->v[i].u.grant.count > most)
			most = k->v[i].u.grant.count;
	return most;
}

int64_t
timmy_number(const struct timmy *t, enum sovereign_kind kind)
{
	return t->kinds[kind].n;
}

/* ---- decisions ---- */

static struct ruling **
rulings_of(const struct timmy *t, const char *task)
{
	unsigned h = 5381;

	for (const char *p = task; *p; p++)
		h = h * 33 ^ (unsigned char)*p;
	return (struct ruling **)(uintptr_t)&t->rulings[h % RULING_BUCKETS];
}

bool
timmy_has_approved(const struct timmy *t, const char *task, const char *touches, int64_t now_ms)
{
	for (const struct ruling *r = *rulings_of(t, task); r; r = r->next)
		if (r->approve && strcmp(r->task, task) == 0 && r->expires_ms > now_ms &&
		    (!*touches || strcmp(r->touches, touches) == 0))
			return true;
	return false;
}

static void
note_ruling(struct timmy *t, const struct asked *a, bool approve, int64_t expires_ms)
{
	struct ruling *r = xcalloc(1, sizeof *r), **list = rulings_of(t, a->task);

	memcpy(r->task, a->task, sizeof r->task);
	memcpy(r->touches, a->touches, sizeof r->touches);
	r->approve = approve;
	r->expires_ms = expires_ms;
	r->next = *list;
	*list = r;
}

static void
decision_topic(const struct timmy *t, const char *task, char topic[TOPIC_MAX])
{
	topic_format(topic, t->sim->config.cluster, TOPIC_DECISION, t->sim->config.sovereign, task);
}

static void
send_decision(struct timmy *t, struct asked *a, const char *hash, bool approve, int64_t expires_ms, const struct sign_key *by)
{
	char topic[TOPIC_MAX], *envelope;
	struct buf b = { 0 };

	buf_addf(&b, "{\"task\":\"%s\",\"hash\":\"%s\",\"decision\":\"%s\",\"time\":%lld,\"expires\":%lld}", a->task,
	    hash, approve ? "approve" : "deny", (long long)(wall_ms(t) < expires_ms ? wall_ms(t) : expires_ms - 1),
	    (long long)expires_ms);
	sim_log(t->sim, "timmy: %s %s%s until %lld", approve ? "approves" : "denies", a->task,
	    by != t->key ? ", says somebody" : strcmp(hash, a->hash) == 0 ? "" : " by a wrong hash", (long long)expires_ms);
	envelope = seal(t, SOVEREIGN_DECISION, &b, by);
	decision_topic(t, a->task, topic);
	a->have = 0;
	a->envelope = check_hash(envelope, strlen(envelope));
	a->told = true;
	publish(t, topic, envelope, true, t->sim->now_us + 60 * SECOND > (expires_ms - WALL_BASE_MS) * MS ?
	    t->sim->now_us + 60 * SECOND : (expires_ms - WALL_BASE_MS) * MS);
	free(envelope);
}

/* What must not be obeyed. */
static void
decide_badly(struct timmy *t, struct asked *a)
{
	char hash[CANONICAL_HASH];

	memcpy(hash, a->hash, sizeof hash);
	switch (draw(t, 0, 2)) {
	case 0:
		hash[draw(t, 0, 31)] ^= 1;
		for (char *p = hash; *p; p++)
			if (!strchr("0123456789abcdef", *p))
				*p = '0';
		send_decision(t, a, strcmp(hash, a->hash) ? hash : "00000000000000000000000000000000"
		    "00000000000000000000000000000000", chance(t, 700), wall_ms(t) + 60000, t->key);
		break;
	case 1:
		send_decision(t, a, a->hash, true, wall_ms(t) - t->sim->plan.clock_error_ms - 1000, t->key);
		break;
	default:
		send_decision(t, a, a->hash, true, wall_ms(t) + 60000, t->stranger);
		break;
	}
	a->next_us = t->sim->now_us + draw(t, 1, 6) * SECOND;
}

static void
decide_well(struct timmy *t, struct asked *a)
{
	bool approve = chance(t, 750);
	int64_t s = chance(t, 100) ? draw(t, 1, 5) : chance(t, 500) ? 60 : LONG_S;

	if (t->mended)
		s = LONG_S;
	a->once = s == LONG_S;
	memcpy(a->decided, a->hash, sizeof a->decided);
	note_ruling(t, a, approve, wall_ms(t) + s * 1000);
	send_decision(t, a, a->hash, approve, wall_ms(t) + s * 1000, t->key);
	a->next_us = t->sim->now_us + AGAIN_US;
}

/* Whoever owns the house has it in writing. */
static bool
is_with_owner(const struct timmy *t, const struct asked *a)
{
	const struct host *owner = check_owner(t->sim->check, a->house);

	for (int i = 0; owner && i < t->sim->nhosts; i++)
		if (t->sim->hosts[i] == owner)
			return a->have >> i & 1;
	return false;
}

static void
decide(struct timmy *t, struct asked *a)
{
	bool same = strcmp(a->decided, a->hash) == 0;

	if (a->ignored && !t->mended)
		return;
	if (same && a->once && (!t->mended || is_with_owner(t, a)))
		return;
	if (!same && !t->mended && chance(t, 200))
		decide_badly(t, a);
	else
		decide_well(t, a);
}

static void
tidy(struct timmy *t, struct asked *a)
{
	char topic[TOPIC_MAX];

	decision_topic(t, a->task, topic);
	publish(t, topic, "", true, 0);
	a->told = false;
}

static void
decide_all(struct timmy *t)
{
	for (int i = 0; i < t->nasked; i++) {
		struct asked *a = &t->asked[i];

		if (a->next_us > t->sim->now_us)
			continue;
		if (a->open)
			decide(t, a);
		else if (a->told)
			tidy(t, a);
	}
}

void
timmy_delivered(struct timmy *t, uint64_t envelope, const char *task, int host)
{
	for (int i = 0; i < t->nasked; i++) {
		struct asked *a = &t->asked[i];

		if (strcmp(a->task, task) == 0)
			a->have = a->envelope == envelope ? a->have | 1u << host : a->have & ~(1u << host);
	}
}

void
timmy_disk_lost(struct timmy *t, int host)
{
	for (int i = 0; i < t->nasked; i++)
		t->asked[i].have &= ~(1u << host);
}

/* ---- requests ---- */

static struct asked *
asked_of(struct timmy *t, const char *task, bool make)
{
	struct asked *a;

	for (int i = 0; i < t->nasked; i++)
		if (strcmp(t->asked[i].task, task) == 0)
			return &t->asked[i];
	if (!make || t->nasked == ASKED_MAX)
		return NULL;
	a = &t->asked[t->nasked++];
	*a = (struct asked){ 0 };
	snprintf(a->task, sizeof a->task, "%s", task);
	a->ignored = chance(t, 100);
	return a;
}

static void
cleared(struct timmy *t, const char *task)
{
	struct asked *a = asked_of(t, task, false);

	if (!a || !a->open)
		return;
	a->open = false;
	a->next_us = t->sim->now_us + TIDY_US;
}

/* He looks for himself what he would sign. */
static void
take_request(struct timmy *t, const struct topic *of, const cJSON *o)
{
	const cJSON *subject = cJSON_GetObjectItemCaseSensitive(o, "subject");
	char hash[CANONICAL_HASH], touches[CANONICAL_HASH] = "";
	struct asked *a = asked_of(t, of->id, true);
	struct err e;

	if (!a)
		return;
	if (canonical_hash(subject, hash, &e) || strcmp(hash, json_text(o, "hash")) != 0 ||
	    strcmp(json_text(subject, "task"), of->id) != 0 || strcmp(json_text(subject, "house"), of->name) != 0) {
		sim_fail(t->sim, of->id, "a request whose hash is not that of its subject");
		return;
	}
	canonical_hash(cJSON_GetObjectItemCaseSensitive(subject, "touches"), touches, &e);
	if (!a->open || strcmp(a->hash, hash) != 0)
		a->next_us = t->sim->now_us + (chance(t, 800) ? draw(t, 100 * MS, 4 * SECOND) : draw(t, 4, 40) * SECOND);
	a->open = true;
	snprintf(a->house, sizeof a->house, "%s", of->name);
	memcpy(a->hash, hash, sizeof a->hash);
	memcpy(a->touches, touches, sizeof a->touches);
}

static void
take(struct timmy *t, const struct msg *m)
{
	struct topic of;
	cJSON *o;

	if (topic_parse(m->topic, t->sim->config.cluster, &of, NULL) || of.kind != TOPIC_REQUEST)
		return;
	o = m->len ? cJSON_ParseWithLength(m->payload, m->len) : NULL;
	if (cJSON_IsObject(o))
		take_request(t, &of, o);
	else
		cleared(t, of.id);
	cJSON_Delete(o);
}

/* ---- the connection ---- */

static void
lost(struct timmy *t)
{
	t->ready = false;
	t->broker = t->mended ? 0 : (t->broker + 1) % t->sim->nbrokers;
	t->retry_us = t->sim->now_us + draw(t, 100 * MS, 5 * SECOND);
}

/* What was asked on another broker may not be asked here, and what is, comes. */
static void
subscribe_to(struct timmy *t, const char *house, const char *task, int mid)
{
	char topic[TOPIC_MAX];
	struct msg *m;

	topic_format(topic, t->sim->config.cluster, TOPIC_REQUEST, house, task);
	m = msg_new(topic, NULL, 0, 1);
	net_send(&t->node, PACKET_SUBSCRIBE, mid, 0, m);
	msg_unref(m);
}

static void
subscribe(struct timmy *t)
{
	for (int i = 0; i < t->nasked; i++) {
		t->asked[i].open = false;
		t->asked[i].next_us = t->sim->now_us + TIDY_US;
	}
	subscribe_to(t, "+", "+", SUBSCRIBED);
}

/* In the end he goes through what the agents list as waiting, one by one: a broker that drops what does not fit in a
 * queue may not give him all the requests that it has retained at once. */
static void
look(struct timmy *t)
{
	char house[NAME_MAX_LEN + 1], id[ULID_TEXT];
	const struct core *c = host_core(t->sim->hosts[t->look_host]);
	const struct asked *a;

	if (!c || !inside_waiting(c, &t->look_seq, house, id)) {
		t->look_host = (t->look_host + 1) % t->sim->nhosts;
		t->look_seq = 0;
	} else if (!(a = asked_of(t, id, false)) || !a->open) {
		subscribe_to(t, house, id, LOOKED);
	}
}

/* Grants that are over by now too: the latest may list them, and then it is waited for them. */
static void
publish_all(struct timmy *t)
{
	for (int k = 0; k < SOVEREIGN_DECISION; k++) {
		const struct objects *all = &t->kinds[k];

		for (int i = 0; i < all->n; i++)
			if (i == all->n - 1 || (k == SOVEREIGN_GRANT && is_latest(all, i)))
				publish(t, all->v[i].topic, all->v[i].envelope, true, 0);
	}
}

static void
is_ready(struct timmy *t)
{
	t->ready = true;
	t->leave_us = t->sim->now_us + STAY_US + draw(t, 0, 60) * SECOND;
	if (t->mended || chance(t, 300))
		publish_all(t);
}

static void
on_packet(struct node *n, struct packet *p)
{
	struct timmy *t = (struct timmy *)n;

	t->heard_us = t->sim->now_us;
	if (p->type == PACKET_CONNACK)
		subscribe(t);
	else if (p->type == PACKET_SUBACK && p->mid == SUBSCRIBED)
		is_ready(t);
	else if (p->type == PACKET_CLOSED)
		lost(t);
	if (p->type == PACKET_PUBLISH && p->mid)
		net_send(n, PACKET_PUBACK, p->mid, 0, NULL);
	if (p->type == PACKET_PUBLISH)
		take(t, p->msg);
	packet_free(p);
}

static void
leave(struct timmy *t)
{
	net_close(&t->node, true);
	lost(t);
}

/* Now and then anew, for a broker may have given him less than all that it has retained. */
static void
keep_connected(struct timmy *t)
{
	int64_t now = t->sim->now_us;

	if (t->node.conn && (now - t->heard_us > SILENCE_US || (t->ready && now > t->leave_us)))
		leave(t);
	if (!t->node.conn && now >= t->retry_us) {
		t->heard_us = now;
		net_connect(&t->node, t->broker, NULL);
	}
	if (t->ready)
		net_send(&t->node, PACKET_PING, 0, 0, NULL);
}

/* ---- life ---- */

static const struct {
	void (*f)(struct timmy *t);
	int min_s, max_s;               /* from one to the next */
} habits[SOVEREIGN_DECISION] = {
	[SOVEREIGN_POLICY] = { new_policy, 30, 200 },
	[SOVEREIGN_HALT] = { new_halt, 30, 150 },
	[SOVEREIGN_GRANT] = { new_grant, 20, 120 },
};

/* Long out of date, from anywhere. */
static void
replay(struct timmy *t)
{
	const struct objects *k = &t->kinds[draw(t, 0, SOVEREIGN_DECISION - 1)];
	const struct object *o = k->n ? &k->v[draw(t, 0, k->n - 1)] : NULL;

	if (o)
		publish(t, o->topic, o->envelope, chance(t, 200), 0);
}

static void
work(struct timmy *t)
{
	for (int k = 0; k < SOVEREIGN_DECISION; k++)
		if (t->sim->now_us >= t->kinds[k].next_us && (t->kinds[SOVEREIGN_POLICY].n ? !t->mended : k == SOVEREIGN_POLICY)) {
			t->kinds[k].next_us = t->sim->now_us + draw(t, habits[k].min_s, habits[k].max_s) * SECOND;
			habits[k].f(t);
		}
	if (t->resume_us && (t->mended || t->sim->now_us >= t->resume_us))
		resume(t);
	if (!t->mended && chance(t, 10))
		replay(t);
	if (t->mended)
		look(t);
	decide_all(t);
}

static void
beat(void *arg, uint64_t n)
{
	struct timmy *t = arg;

	if (n % 2 == 0)
		keep_connected(t);
	if (t->ready && t->node.conn)
		work(t);
	sim_in(t->sim, BEAT_US, beat, t, n + 1);
}

struct timmy *
timmy_new(struct sim *s)
{
	struct timmy *t = xcalloc(1, sizeof *t);

	t->sim = s;
	t->key = sign_key_from_seed(seed);
	t->stranger = sign_key_from_seed(stranger);
	t->node = (struct node){ .sim = s, .receive_max = 20, .clean = true, .on_packet = on_packet };
	snprintf(t->node.name, sizeof t->node.name, "%s", s->config.sovereign);
	snprintf(t->node.client_id, sizeof t->node.client_id, "%s", s->config.sovereign);
	t->broker = (int)draw(t, 0, s->nbrokers - 1);
	for (int k = 0; k < SOVEREIGN_DECISION; k++)
		t->kinds[k].next_us = draw(t, 2, habits[k].max_s) * SECOND;
	t->kinds[SOVEREIGN_POLICY].next_us = chance(t, 200) ? draw(t, 10, 60) * SECOND : 0;
	sim_in(s, draw(t, 1 * SECOND, 2 * SECOND), beat, t, 0);
	return t;
}

/* From now on he is where everybody goes. */
void
timmy_heal(struct timmy *t)
{
	t->mended = true;
	t->broker = 0;
	if (t->node.conn)
		leave(t);
}

/* A broker that silently drops what does not fit in a queue may not give an owner the request that it has retained for a
 * task which nobody knows any more. */
static bool
may_linger(const struct timmy *t)
{
	const struct plan *p = &t->sim->plan;

	return p->short_memory || p->queue_max < 1000 || p->queue_bytes < 1 << 20;
}

bool
timmy_is_done(const struct timmy *t, struct quiet *q)
{
	for (int i = 0; i < t->nasked; i++)
		if (t->asked[i].open && !may_linger(t)) {
			snprintf(q->subject, sizeof q->subject, "%s", t->asked[i].task);
			snprintf(q->why, sizeof q->why, "the request for %s is not cleared away", t->asked[i].task);
			return false;
		}
	return true;
}

void
timmy_free(struct timmy *t)
{
	if (!t)
		return;
	for (int k = 0; k < SOVEREIGN_DECISION; k++)
		for (int i = 0; i < t->kinds[k].n; i++)
			free(t->kinds[k].v[i].envelope);
	for (int i = 0; i < RULING_BUCKETS; i++)
		for (struct ruling *r = t->rulings[i], *next; r; r = next) {
			next = r->next;
			free(r);
		}
	sign_key_free(t->key);
	sign_key_free(t->stranger);
	free(t);
}
