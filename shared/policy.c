#include "policy.h"

#include "glob.h"
#include "json.h"
#include "production.h"

/* Houses */

static const struct profile profiles[POLICY_NPROFILES] = {
	[PROFILE_NONE] = { "none", .what = "no checks of its own" },
	[PROFILE_JUDGE] = { "judge", .review = "idempotent", .what = "final review: what changes something needs approval" },
	[PROFILE_ARCHIVIST] = { "archivist", .reads = true, .what = "reads before it writes" },
	[PROFILE_ARTIFICER] = { "artificer", .proof = true, .what = "no success without proof" },
	[PROFILE_DISPATCHER] = { "dispatcher", .review = "exclusive",
	    .what = "may route, may not decide: what cannot be taken back needs approval" },
};

static const char *const profile_roles[POLICY_NPROFILES] = {
#define X(sym, name, role) [sym] = role,
	POLICY_PROFILES(X)
#undef X
};

const struct profile *
profile_of(enum policy_profile p)
{
	return &profiles[p];
}

enum policy_profile
profile_for_role(const char *role)
{
	for (int i = 0; i < POLICY_NPROFILES; i++)
		if (strcmp(profile_roles[i], role) == 0)
			return (enum policy_profile)i;
	return PROFILE_NONE;
}

const struct profile *
policy_profile(const struct policy *p, const char *house)
{
	for (size_t i = 0; i < p->nhouses; i++)
		if (strcmp(p->houses[i].name, house) == 0)
			return &profiles[p->houses[i].profile];
	return &profiles[PROFILE_NONE];
}

/* Production */

static bool
is_read(const char *effect)
{
	return strcmp(effect, "read") == 0;
}

static const char *
place_of(const char *const *places, size_t n, const cJSON *touch)
{
	if (strcmp(json_text(touch, "access"), "read") == 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (production_covers(places[i], json_text(touch, "kind"), json_text(touch, "name")))
			return places[i];
	return NULL;
}

const char *
policy_place_touched(const char *const *places, size_t n, const cJSON *touches)
{
	const cJSON *t;

	cJSON_ArrayForEach(t, touches) {
		const char *place = place_of(places, n, t);

		if (place)
			return place;
	}
	return NULL;
}

/* The place, or words for why it counts as one; NULL: not in production. */
static const char *
production_of(const struct policy *p, const struct policy_question *q)
{
	if (p->nproduction == 0 || is_read(q->effect))
		return NULL;
	if (!cJSON_IsArray(q->touches))
		return "what it cannot name";
	return policy_place_touched(p->production, p->nproduction, q->touches);
}

/* Judgement */

static bool
pattern_matches(const char *pattern, const char *text)
{
	return !*pattern || glob_match(pattern, text);
}

static bool
rule_matches(const struct policy_rule *r, const struct policy_question *q, bool production)
{
	return r->production == production && (!*r->effect || strcmp(r->effect, q->effect) == 0) &&
	    pattern_matches(r->house, q->house) && pattern_matches(r->tool, q->tool) && pattern_matches(r->sender, q->sender);
}

static const struct policy_rule *
rule_find(const struct policy *p, const struct policy_question *q, bool production)
{
	for (size_t i = 0; i < p->nrules; i++)
		if (rule_matches(&p->rules[i], q, production))
			return &p->rules[i];
	return NULL;
}

static int
rank_of(const char *effect)
{
	return is_read(effect) ? 0 : strcmp(effect, "idempotent") == 0 ? 1 : 2;
}

static bool
is_reviewed(const struct profile *profile, const struct policy_question *q)
{
	return profile->review && rank_of(q->effect) >= rank_of(profile->review);
}

static void
answer(struct policy_answer *a, enum policy_verdict verdict, const char *fmt, const char *detail)
{
	a->verdict = verdict;
	snprintf(a->why, sizeof a->why, fmt, detail);
}

static void
answer_by_rule(struct policy_answer *a, const struct policy *p, const struct policy_rule *r)
{
	char number[32];

	snprintf(number, sizeof number, "rule %zu of the policy", (size_t)(r - p->rules) + 1);
	answer(a, r->verdict, "%s", *r->why ? r->why : number);
}

static void
judge(const struct policy *p, const struct policy_question *q, const char *place, struct policy_answer *a)
{
	const struct policy_rule *r = rule_find(p, q, place != NULL);
	const struct profile *profile = policy_profile(p, q->house);

	*a = (struct policy_answer){ .production = place != NULL };
	if (r && r->verdict == POLICY_DENY)
		answer_by_rule(a, p, r);
	else if (q->sovereign)
		answer(a, POLICY_APPROVE, "%s", "mode sovereign");
	else if (r)
		answer_by_rule(a, p, r);
	else if (place)
		answer(a, POLICY_APPROVE, "changes production: %s", place);
	else if (is_reviewed(profile, q))
		answer(a, POLICY_APPROVE, "the house is a %s", profile->name);
	else
		answer(a, POLICY_ALLOW, "%s", "");
}

void
policy_judge(const struct policy *p, const struct policy_question *q, struct policy_answer *a)
{
	judge(p, q, production_of(p, q), a);
}

bool
policy_needs_touches(const struct policy *p, const struct policy_question *q)
{
	struct policy_answer in, out;

	if (p->nproduction == 0 || is_read(q->effect))
		return false;
	judge(p, q, "production", &in);
	judge(p, q, NULL, &out);
	return in.verdict != out.verdict;
}

/* Halt */

const struct halt_entry *
halt_covers(const struct halt *h, const char *house, const char *tool)
{
	for (size_t i = 0; i < h->nhalts; i++) {
		const struct halt_entry *entry = &h->halts[i];

		if (entry->scope == HALT_CLUSTER || strcmp(entry->name, entry->scope == HALT_HOUSE ? house : tool) == 0)
			return entry;
	}
	return NULL;
}

void
halt_describe(const struct halt_entry *entry, const char *why, char out[SOVEREIGN_WHY * 2])
{
	static const char *const what[HALT_NSCOPES] = {
		[HALT_CLUSTER] = "the cluster is", [HALT_HOUSE] = "house ", [HALT_TOOL] = "tool "
	};
	bool named = entry->scope != HALT_CLUSTER;

	snprintf(out, SOVEREIGN_WHY * 2, "%s%s%s halted: %s", what[entry->scope], entry->name, named ? " is" : "", why);
}

/* Grants */

/* "/srv/site/" and a star must not mean /srv/site/../../etc. */
static bool
climbs(const char *text)
{
	for (const char *at = text; (at = strstr(at, "..")); at += 2)
		if ((at == text || at[-1] == '/') && (at[2] == '\0' || at[2] == '/'))
			return true;
	return false;
}

static bool
param_matches(const cJSON *wanted, const cJSON *given)
{
	if (!given)
		return false;
	if (!cJSON_IsString(wanted) || !cJSON_IsString(given))
		return cJSON_Compare(wanted, given, true);
	if (strcmp(wanted->valuestring, given->valuestring) == 0)
		return true;
	return !climbs(given->valuestring) && glob_match(wanted->valuestring, given->valuestring);
}

static bool
params_match(const cJSON *wanted, const cJSON *given)
{
	const cJSON *w;

	cJSON_ArrayForEach(w, wanted)
		if (!param_matches(w, cJSON_GetObjectItemCaseSensitive(given, w->string)))
			return false;
	return true;
}

static bool
sender_matches(const struct grant *g, const char *sender)
{
	for (size_t i = 0; i < g->nsenders; i++)
		if (glob_match(g->senders[i], sender))
			return true;
	return g->nsenders == 0;
}

bool
grant_covers(const struct grant *g, const struct grant_question *q)
{
	return !g->revoked && q->used < g->count && q->now_ms >= g->not_before_ms && q->now_ms < g->expires_ms &&
	    strcmp(g->house, q->house) == 0 && glob_match(g->tool, q->tool) && sender_matches(g, q->sender) &&
	    params_match(g->params, q->params);
}

bool
grant_is_live(const struct grant *newest, const char *id, int64_t n)
{
	for (size_t i = 0; i < newest->nlive; i++)
		if (newest->live[i].n == n && strcmp(newest->live[i].id, id) == 0)
			return true;
	return false;
}
