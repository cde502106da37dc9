#include "sovereign.h"

#include "json.h"
#include "production.h"

#define TYPE_FORMAT "application/vnd.uni-wizard.%s+json"
#define APPROVAL_MAX_S (30 * 86400)
#define COUNT_MAX 1000000

static const char *const kind_names[SOVEREIGN_NKINDS] = {
#define X(sym, name) [sym] = name,
	SOVEREIGN_KINDS(X)
#undef X
};

const char *
sovereign_kind_name(enum sovereign_kind kind)
{
	return kind_names[kind];
}

static void
type_of(enum sovereign_kind kind, char out[DSSE_TYPE_MAX + 1])
{
	snprintf(out, DSSE_TYPE_MAX + 1, TYPE_FORMAT, kind_names[kind]);
}

/* Reading by tables, and nothing in silence: what is unknown, null or empty is refused. */

static int
check_members(const cJSON *obj, const struct json_field *fields, struct err *e)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, obj) {
		const struct json_field *f = fields;

		if (strncmp(m->string, "x-", 2) == 0)
			continue;
		while (f->name && strcmp(f->name, m->string) != 0)
			f++;
		if (!f->name)
			return err_field(e, ERR_INVALID, m->string, NULL, "no such member (or one that begins with x-)");
		if (cJSON_IsNull(m))
			return err_field(e, ERR_INVALID, m->string, "null", "a value, or no such member");
		if (f->kind == JSON_TEXT && cJSON_IsString(m) && !*m->valuestring)
			return err_field(e, ERR_INVALID, m->string, "\"\"", "a text that is not empty, or no such member");
	}
	return 0;
}

static int
read_exactly(const cJSON *obj, const struct json_field *fields, void *out, struct err *e)
{
	char got[64];

	if (!cJSON_IsObject(obj))
		return err_set(e, ERR_INVALID, "expected an object, got %s", json_brief(obj, got, sizeof got));
	return check_members(obj, fields, e) || json_read(obj, fields, out, e) ? -1 : 0;
}

/* The place of a word in a list of them; -1 with e. */
static int
word_read(const char *field, const char *text, const char *const *words, int n, struct err *e)
{
	struct buf list = { .max = 140 };

	for (int i = 0; i < n; i++) {
		if (strcmp(words[i], text) == 0) {
			buf_free(&list);
			return i;
		}
		buf_addf(&list, "%s%s", i ? ", " : "", words[i]);
	}
	err_field(e, ERR_INVALID, field, text, "one of %s", buf_str(&list));
	buf_free(&list);
	return -1;
}

static bool
is_hex(const char *s, size_t len)
{
	return strlen(s) == len && strspn(s, "0123456789abcdef") == len;
}

static int
check_count(const cJSON *list, const char *field, int max, struct err *e)
{
	char got[16];

	if (cJSON_GetArraySize(list) <= max)
		return 0;
	snprintf(got, sizeof got, "%d", cJSON_GetArraySize(list));
	return err_field(e, ERR_TOO_BIG, field, got, "at most %d of them", max);
}

/* Patterns as they occur in names of houses, tools and senders; anything else could only be a mistake. */
static int
check_pattern(const char *field, const char *text, struct err *e)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789_-*";

	if (text[strspn(text, set)] == '\0')
		return 0;
	return err_field(e, ERR_INVALID, field, text, "a name (small letters, digits, - and _) in which * is any run");
}

/* What every payload has, under the names on the wire. */
struct head {
	char kind[16], cluster[NAME_MAX_LEN + 1];
	int64_t n, time;
};
#define AS(type, member, name_, kind_, required_)                                    \
	{ .name = name_, .kind = kind_, .required = required_,                       \
	  .offset = offsetof(type, member), .size = sizeof(((type *)0)->member) }
#define AS_INT(type, member, name_, lo, hi, required_)                               \
	{ .name = name_, .kind = JSON_INT, .required = required_,                    \
	  .offset = offsetof(type, member), .min = lo, .max = hi }
#define HEAD(type)                                                                   \
	AS(type, head.kind, "kind", JSON_TEXT, true),                                \
	AS(type, head.cluster, "cluster", JSON_TEXT, true),                          \
	AS_INT(type, head.time, "time", 0, JSON_INT_MAX, true)
#define NUMBERED(type) HEAD(type), AS_INT(type, head.n, "n", 1, JSON_INT_MAX, true)

/* Policy */

static const char *const profile_names[] = {
#define X(sym, name, role) [sym] = name,
	POLICY_PROFILES(X)
#undef X
};
static const char *const verdict_names[] = {
#define X(sym, name) [sym] = name,
	POLICY_VERDICTS(X)
#undef X
};
static const char *const effect_names[] = { "read", "idempotent", "exclusive" };

struct policy_raw {
	struct head head;
	const cJSON *houses, *production, *rules;
	int64_t approval_s;
	bool self_approval;
};
static const struct json_field policy_fields[] = {
	NUMBERED(struct policy_raw),
	JSON_FIELD(struct policy_raw, houses, JSON_OBJECT, false),
	JSON_FIELD(struct policy_raw, production, JSON_ARRAY, false),
	JSON_FIELD(struct policy_raw, rules, JSON_ARRAY, false),
	JSON_FIELD_INT(struct policy_raw, approval_s, 1, APPROVAL_MAX_S, false),
	JSON_FIELD(struct policy_raw, self_approval, JSON_BOOL, false),
	JSON_END
};

struct house_raw {
	char profile[16];
};
static const struct json_field house_fields[] = {
	JSON_FIELD(struct house_raw, profile, JSON_TEXT, true),
	JSON_END
};

static int
house_read(struct policy_house *h, const cJSON *v, struct err *e)
{
	struct house_raw raw;
	int profile;

	if (!name_ok(v->string) && strcmp(v->string, "_") != 0)
		return err_field(e, ERR_INVALID, v->string, NULL, "the name of a house");
	snprintf(h->name, sizeof h->name, "%s", v->string);
	if (read_exactly(v, house_fields, &raw, e))
		return err_in(e, v->string);
	profile = word_read("profile", raw.profile, profile_names, POLICY_NPROFILES, e);
	if (profile < 0)
		return err_in(e, v->string);
	h->profile = (enum policy_profile)profile;
	return 0;
}

static int
houses_read(struct policy *p, const cJSON *houses, struct err *e)
{
	const cJSON *v;

	if (check_count(houses, "houses", POLICY_MAX_HOUSES, e))
		return -1;
	p->houses = xcalloc((size_t)cJSON_GetArraySize(houses) + 1, sizeof *p->houses);
	cJSON_ArrayForEach(v, houses)
		if (house_read(&p->houses[p->nhouses++], v, e))
			return err_in(e, "houses");
	return 0;
}

static int
production_read(struct policy *p, const cJSON *places, struct err *e)
{
	const cJSON *v;

	if (check_count(places, "production", POLICY_MAX_PLACES, e))
		return -1;
	p->production = xcalloc((size_t)cJSON_GetArraySize(places) + 1, sizeof *p->production);
	cJSON_ArrayForEach(v, places) {
		if (!cJSON_IsString(v))
			return err_field(e, ERR_INVALID, "production", NULL, "a list of texts");
		if (production_check(v->valuestring, e))
			return -1;
		p->production[p->nproduction++] = v->valuestring;
	}
	return 0;
}

struct rule_raw {
	struct policy_rule rule;
	char then[16];
};
static const struct json_field rule_fields[] = {
	AS(struct rule_raw, rule.house, "house", JSON_TEXT, false),
	AS(struct rule_raw, rule.tool, "tool", JSON_TEXT, false),
	AS(struct rule_raw, rule.sender, "sender", JSON_TEXT, false),
	AS(struct rule_raw, rule.effect, "effect", JSON_TEXT, false),
	AS(struct rule_raw, rule.production, "production", JSON_BOOL, false),
	AS(struct rule_raw, rule.why, "why", JSON_TEXT, false),
	JSON_FIELD(struct rule_raw, then, JSON_TEXT, true),
	JSON_END
};

static int
rule_read(struct policy_rule *r, const cJSON *v, struct err *e)
{
	struct rule_raw raw = { .then = "" };
	int verdict;

	if (read_exactly(v, rule_fields, &raw, e) || check_pattern("house", raw.rule.house, e) ||
	    check_pattern("tool", raw.rule.tool, e) || check_pattern("sender", raw.rule.sender, e))
		return -1;
	if (*raw.rule.effect && word_read("effect", raw.rule.effect, effect_names, 3, e) < 0)
		return -1;
	verdict = word_read("then", raw.then, verdict_names, POLICY_NVERDICTS, e);
	if (verdict < 0)
		return -1;
	*r = raw.rule;
	r->verdict = (enum policy_verdict)verdict;
	return 0;
}

static int
rules_read(struct policy *p, const cJSON *rules, struct err *e)
{
	const cJSON *v;
	char at[32];

	if (check_count(rules, "rules", POLICY_MAX_RULES, e))
		return -1;
	p->rules = xcalloc((size_t)cJSON_GetArraySize(rules) + 1, sizeof *p->rules);
	cJSON_ArrayForEach(v, rules) {
		snprintf(at, sizeof at, "rules.%zu", p->nrules);
		if (rule_read(&p->rules[p->nrules++], v, e)) {
			err_in(e, at);
			return -1;
		}
	}
	return 0;
}

static int
policy_read(struct sovereign *s, const cJSON *obj, struct head *head, struct err *e)
{
	struct policy_raw raw = { .approval_s = 86400 };
	struct policy *p = &s->u.policy;

	if (read_exactly(obj, policy_fields, &raw, e))
		return -1;
	*head = raw.head;
	p->approval_s = raw.approval_s;
	p->self_approval = raw.self_approval;
	return houses_read(p, raw.houses, e) || production_read(p, raw.production, e) || rules_read(p, raw.rules, e) ? -1 : 0;
}

static void
policy_release(struct sovereign *s)
{
	free(s->u.policy.houses);
	free(s->u.policy.production);
	free(s->u.policy.rules);
}

/* Halt */

static const char *const scope_names[] = {
#define X(sym, name) [sym] = name,
	HALT_SCOPES(X)
#undef X
};

struct halt_raw {
	struct head head;
	const cJSON *halts;
	char why[SOVEREIGN_WHY];
};
static const struct json_field halt_fields[] = {
	NUMBERED(struct halt_raw),
	JSON_FIELD(struct halt_raw, halts, JSON_ARRAY, true),
	JSON_FIELD(struct halt_raw, why, JSON_TEXT, true),
	JSON_END
};

struct halt_entry_raw {
	char scope[16], name[SOVEREIGN_PATTERN];
};
static const struct json_field halt_entry_fields[] = {
	JSON_FIELD(struct halt_entry_raw, scope, JSON_TEXT, true),
	JSON_FIELD(struct halt_entry_raw, name, JSON_TEXT, false),
	JSON_END
};

static int
halt_entry_read(struct halt_entry *h, const cJSON *v, struct err *e)
{
	struct halt_entry_raw raw = { .name = "" };
	int scope;

	if (read_exactly(v, halt_entry_fields, &raw, e))
		return -1;
	scope = word_read("scope", raw.scope, scope_names, HALT_NSCOPES, e);
	if (scope < 0)
		return -1;
	if ((scope == HALT_CLUSTER) != !raw.name[0])
		return err_field(e, ERR_INVALID, "name", raw.name[0] ? raw.name : "nothing",
		    scope == HALT_CLUSTER ? "none, for all of the cluster" : "the name of what is halted");
	h->scope = (enum halt_scope)scope;
	memcpy(h->name, raw.name, sizeof h->name);
	return 0;
}

static int
halt_read(struct sovereign *s, const cJSON *obj, struct head *head, struct err *e)
{
	struct halt_raw raw = { .why = "" };
	struct halt *h = &s->u.halt;
	const cJSON *v;

	if (read_exactly(obj, halt_fields, &raw, e) || check_count(raw.halts, "halts", HALT_MAX, e))
		return -1;
	*head = raw.head;
	memcpy(h->why, raw.why, sizeof h->why);
	h->halts = xcalloc((size_t)cJSON_GetArraySize(raw.halts) + 1, sizeof *h->halts);
	cJSON_ArrayForEach(v, raw.halts)
		if (halt_entry_read(&h->halts[h->nhalts++], v, e))
			return err_in(e, "halts");
	return 0;
}

static void
halt_release(struct sovereign *s)
{
	free(s->u.halt.halts);
}

/* Grant */

struct grant_raw {
	struct head head;
	struct grant grant;
	const cJSON *senders, *live;
};
static const struct json_field grant_fields[] = {
	NUMBERED(struct grant_raw),
	AS(struct grant_raw, grant.id, "id", JSON_TEXT, true),
	AS(struct grant_raw, grant.house, "house", JSON_TEXT, true),
	AS(struct grant_raw, grant.tool, "tool", JSON_TEXT, true),
	AS(struct grant_raw, grant.params, "params", JSON_OBJECT, false),
	AS_INT(struct grant_raw, grant.count, "count", 1, COUNT_MAX, true),
	AS_INT(struct grant_raw, grant.not_before_ms, "not_before", 0, JSON_INT_MAX, true),
	AS_INT(struct grant_raw, grant.expires_ms, "expires", 1, JSON_INT_MAX, true),
	AS(struct grant_raw, grant.revoked, "revoked", JSON_BOOL, false),
	JSON_FIELD(struct grant_raw, senders, JSON_ARRAY, false),
	JSON_FIELD(struct grant_raw, live, JSON_ARRAY, true),
	JSON_END
};

static const struct json_field live_fields[] = {
	JSON_FIELD(struct grant_live, id, JSON_TEXT, true),
	JSON_FIELD_INT(struct grant_live, n, 1, JSON_INT_MAX, true),
	JSON_END
};

/* Empty would be nobody, absent is anybody: so near to each other that empty is refused. */
static int
senders_read(struct grant *g, const cJSON *list, struct err *e)
{
	const cJSON *v;

	if (check_count(list, "senders", GRANT_MAX_SENDERS, e))
		return -1;
	if (list && !list->child)
		return err_field(e, ERR_INVALID, "senders", "none", "at least one, or no such member");
	cJSON_ArrayForEach(v, list) {
		if (!cJSON_IsString(v) || !*v->valuestring || strlen(v->valuestring) >= SOVEREIGN_PATTERN)
			return err_field(e, ERR_INVALID, "senders", NULL, "a list of names");
		if (check_pattern("senders", v->valuestring, e))
			return -1;
		snprintf(g->senders[g->nsenders++], SOVEREIGN_PATTERN, "%s", v->valuestring);
	}
	return 0;
}

static int
live_read(struct grant *g, const cJSON *list, int64_t n, struct err *e)
{
	const cJSON *v;

	if (check_count(list, "live", GRANT_MAX_LIVE, e))
		return -1;
	cJSON_ArrayForEach(v, list) {
		struct grant_live *l = &g->live[g->nlive];

		if (read_exactly(v, live_fields, l, e))
			return err_in(e, "live");
		if (!name_ok(l->id) || l->n > n)
			return err_field(e, ERR_INVALID, "live", l->id, "names of grants, with numbers up to its own");
		for (size_t i = 0; i < g->nlive; i++)
			if (strcmp(g->live[i].id, l->id) == 0 || g->live[i].n == l->n)
				return err_field(e, ERR_INVALID, "live", l->id, "each name and number once");
		g->nlive++;
	}
	return 0;
}

/* It is among the living itself, under its number, unless it is revoked. */
static int
check_itself(const struct grant *g, int64_t n, struct err *e)
{
	bool there = false;

	for (size_t i = 0; i < g->nlive; i++)
		if (strcmp(g->live[i].id, g->id) == 0 || g->live[i].n == n) {
			there = true;
			if (g->live[i].n != n || strcmp(g->live[i].id, g->id) != 0)
				return err_field(e, ERR_INVALID, "live", g->id, "its own name with its own number");
		}
	if (there == g->revoked)
		return err_field(e, ERR_INVALID, "live", g->id, g->revoked ? "none that is revoked" : "the grant itself among them");
	return 0;
}

static int
grant_check(const struct grant *g, struct err *e)
{
	if (!name_ok(g->id))
		return err_field(e, ERR_INVALID, "id", g->id, "a name ([a-z0-9-], at most %d)", NAME_MAX_LEN);
	if (!name_ok(g->house))
		return err_field(e, ERR_INVALID, "house", g->house, "the name of one house");
	if (g->not_before_ms >= g->expires_ms)
		return err_field(e, ERR_INVALID, "expires", NULL, "a time after not_before");
	return check_pattern("tool", g->tool, e);
}

static int
grant_read(struct sovereign *s, const cJSON *obj, struct head *head, struct err *e)
{
	struct grant_raw *raw = xcalloc(1, sizeof *raw);
	struct grant *g = &s->u.grant;
	int rc = read_exactly(obj, grant_fields, raw, e);

	*head = raw->head;
	*g = raw->grant;
	if (rc == 0)
		rc = grant_check(g, e) || senders_read(g, raw->senders, e) || live_read(g, raw->live, head->n, e) ||
		    check_itself(g, head->n, e) ? -1 : 0;
	free(raw);
	return rc;
}

/* Decision */

struct decision_raw {
	struct head head;
	char task[ULID_TEXT], hash[CANONICAL_HASH], decision[16], note[SOVEREIGN_WHY];
	int64_t expires;
};
static const struct json_field decision_fields[] = {
	HEAD(struct decision_raw),
	JSON_FIELD(struct decision_raw, task, JSON_TEXT, true),
	JSON_FIELD(struct decision_raw, hash, JSON_TEXT, true),
	JSON_FIELD(struct decision_raw, decision, JSON_TEXT, true),
	JSON_FIELD_INT(struct decision_raw, expires, 1, JSON_INT_MAX, true),
	JSON_FIELD(struct decision_raw, note, JSON_TEXT, false),
	JSON_END
};

static int
decision_read(struct sovereign *s, const cJSON *obj, struct head *head, struct err *e)
{
	static const char *const words[] = { "deny", "approve" };
	struct decision_raw raw = { .note = "" };
	struct decision *d = &s->u.decision;
	int word;

	if (read_exactly(obj, decision_fields, &raw, e))
		return -1;
	*head = raw.head;
	if (!ulid_parse(raw.task, &d->task))
		return err_field(e, ERR_INVALID, "task", raw.task, "the id of a task");
	if (!is_hex(raw.hash, CANONICAL_HASH - 1))
		return err_field(e, ERR_INVALID, "hash", raw.hash, "64 hexadecimal digits");
	word = word_read("decision", raw.decision, words, 2, e);
	if (word < 0)
		return -1;
	if (raw.expires <= raw.head.time)
		return err_field(e, ERR_INVALID, "expires", NULL, "a time after the decision's own");
	d->approve = word == 1;
	d->expires_ms = raw.expires;
	memcpy(d->hash, raw.hash, sizeof d->hash);
	memcpy(d->note, raw.note, sizeof d->note);
	return 0;
}

/* All kinds */

static const struct kind {
	int (*read)(struct sovereign *s, const cJSON *obj, struct head *head, struct err *e);
	void (*release)(struct sovereign *s);
} kinds[SOVEREIGN_NKINDS] = {
	[SOVEREIGN_POLICY] = { policy_read, policy_release },
	[SOVEREIGN_HALT] = { halt_read, halt_release },
	[SOVEREIGN_GRANT] = { grant_read, NULL },
	[SOVEREIGN_DECISION] = { decision_read, NULL },
};

static int
payload_read(struct sovereign *s, const char *cluster, struct err *e)
{
	struct head head = { .kind = "" };

	if (kinds[s->kind].read(s, s->tree, &head, e))
		return -1;
	if (strcmp(head.kind, kind_names[s->kind]) != 0)
		return err_field(e, ERR_INVALID, "kind", head.kind, "%s", kind_names[s->kind]);
	if (strcmp(head.cluster, cluster) != 0)
		return err_field(e, ERR_INVALID, "cluster", head.cluster, "%s", cluster);
	s->n = head.n;
	s->time_ms = head.time;
	return 0;
}

static int
check_type(const struct dsse *d, enum sovereign_kind kind, struct err *e)
{
	char type[DSSE_TYPE_MAX + 1];

	type_of(kind, type);
	return strcmp(d->type, type) == 0 ? 0 : err_field(e, ERR_INVALID, "payloadType", d->type, "%s", type);
}

/* Form first, then the signature, then what it says. */
static int
opened(struct sovereign *s, const struct dsse *d, const char *cluster, const struct sign_public *keys, size_t nkeys,
    struct err *e)
{
	const struct sign_public *by;

	if (check_type(d, s->kind, e))
		return -1;
	s->tree = canonical_parse(buf_str(&d->payload), d->payload.len, e);
	if (!s->tree)
		return err_wrap(e, "payload");
	by = dsse_verify(d, keys, nkeys);
	if (!by)
		return err_set(e, ERR_DENIED, "not signed by a key of the sovereign (keyid %s)", d->signatures[0].keyid);
	memcpy(s->by, by->id, sizeof s->by);
	return payload_read(s, cluster, e);
}

int
sovereign_open(struct sovereign *out, enum sovereign_kind kind, const char *cluster,
    const struct sign_public *keys, size_t nkeys, const char *envelope, size_t len, struct err *e)
{
	struct dsse d;
	int rc;

	*out = (struct sovereign){ .kind = kind };
	if (dsse_open(&d, envelope, len, e))
		return err_wrap(e, "%s", kind_names[kind]);
	rc = opened(out, &d, cluster, keys, nkeys, e);
	dsse_release(&d);
	if (rc) {
		sovereign_release(out);
		return err_wrap(e, "%s", kind_names[kind]);
	}
	return 0;
}

void
sovereign_release(struct sovereign *s)
{
	if (kinds[s->kind].release)
		kinds[s->kind].release(s);
	cJSON_Delete(s->tree);
	*s = (struct sovereign){ .kind = s->kind };
}

int
sovereign_peek(const char *envelope, size_t len, enum sovereign_kind *kind, int64_t *n)
{
	struct dsse d;
	cJSON *tree;
	int rc = -1;

	if (dsse_open(&d, envelope, len, NULL))
		return -1;
	tree = json_parse_object(buf_str(&d.payload), d.payload.len, NULL);
	for (int k = 0; tree && k < SOVEREIGN_NKINDS; k++)
		if (check_type(&d, (enum sovereign_kind)k, NULL) == 0) {
			*kind = (enum sovereign_kind)k;
			*n = json_number(tree, "n", 0);
			rc = 0;
		}
	cJSON_Delete(tree);
	dsse_release(&d);
	return rc;
}

static int
seal(struct buf *out, enum sovereign_kind kind, const char *cluster, const cJSON *whole, const struct sign_key *key,
    struct err *e)
{
	char type[DSSE_TYPE_MAX + 1];
	struct buf payload = { .max = DSSE_MAX }, line = { 0 };
	struct sovereign check;
	int rc = canonical_put(&payload, whole, e);

	if (rc == 0) {
		type_of(kind, type);
		dsse_make(&line, type, payload.data, payload.len, key);
		rc = sovereign_open(&check, kind, cluster, sign_key_public(key), 1, line.data, line.len, e);
	}
	if (rc == 0) {
		sovereign_release(&check);
		buf_add(out, line.data, line.len);
	}
	buf_free(&payload);
	buf_free(&line);
	return rc;
}

int
sovereign_seal(struct buf *out, enum sovereign_kind kind, const char *cluster, const cJSON *members,
    const struct sign_key *key, struct err *e)
{
	cJSON *whole = cJSON_Duplicate(members, true);
	int rc;

	cJSON_DeleteItemFromObjectCaseSensitive(whole, "kind");
	cJSON_DeleteItemFromObjectCaseSensitive(whole, "cluster");
	cJSON_AddStringToObject(whole, "kind", kind_names[kind]);
	cJSON_AddStringToObject(whole, "cluster", cluster);
	rc = seal(out, kind, cluster, whole, key, e);
	cJSON_Delete(whole);
	return rc;
}

/* New enough, in time, not used */

bool
sovereign_supersedes(const struct sovereign *s, const struct sovereign *held)
{
	if (!held)
		return true;
	if (s->kind != held->kind || s->kind == SOVEREIGN_DECISION)
		return false;
	if (s->kind == SOVEREIGN_GRANT && strcmp(s->u.grant.id, held->u.grant.id) != 0)
		return false;
	return s->n > held->n;
}

int
decision_check(const struct decision *d, const struct ulid *task, const char *hash, bool used, int64_t now_ms,
    struct err *e)
{
	if (!ulid_equal(&d->task, task))
		return err_set(e, ERR_DENIED, "the decision is for another task");
	if (strcmp(d->hash, hash) != 0)
		return err_set(e, ERR_DENIED, "the decision is for the task as it was shown, which differs from what it is now");
	if (used)
		return err_set(e, ERR_DENIED, "the decision was used already");
	if (now_ms >= d->expires_ms)
		return err_set(e, ERR_DENIED, "the decision has expired");
	return 0;
}
