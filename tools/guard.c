#include "guard.h"

#include "json.h"
#include "notes.h"
#include "place.h"
#include "tool.h"

#define PLACES_MAX 256          /* as many as a policy may have */
#define READS_MAX 4096

struct guard {
	cJSON *terms;
	struct plan plan;       /* of the task as it is now, if the terms ask for one */
	bool planned;
};

static bool
is_hex(const char *s, size_t min, size_t max)
{
	size_t n = strspn(s, "0123456789abcdef");

	return !s[n] && n >= min && n <= max;
}

static bool
is_list(const cJSON *v, int max)
{
	return cJSON_IsArray(v) && cJSON_GetArraySize(v) <= max;
}

static bool
is_places(const cJSON *v)
{
	const cJSON *one;

	if (!is_list(v, PLACES_MAX))
		return false;
	cJSON_ArrayForEach(one, v)
		if (!cJSON_IsString(one))
			return false;
	return true;
}

static bool
is_digest(const cJSON *v)
{
	return cJSON_IsString(v) && is_hex(v->valuestring, 64, 64);
}

/* A null digest is that of something which was not there. */
static bool
is_read(const cJSON *v)
{
	const cJSON *digest = cJSON_GetObjectItemCaseSensitive(v, "sha256");
	enum plan_kind kind;

	return cJSON_IsObject(v) && plan_kind_parse(json_text(v, "kind"), &kind) == 0 &&
	    json_text(v, "name")[0] && (cJSON_IsNull(digest) ||
	    (cJSON_IsString(digest) && is_hex(digest->valuestring, 40, 64)));
}

static bool
is_reads(const cJSON *v)
{
	const cJSON *one;

	if (!is_list(v, READS_MAX))
		return false;
	cJSON_ArrayForEach(one, v)
		if (!is_read(one))
			return false;
	return true;
}

static bool
is_yes_or_no(const cJSON *v)
{
	return cJSON_IsBool(v);
}

static const struct {
	const char *name;
	bool (*fits)(const cJSON *v);
} members[] = {
	{ "production", is_places },
	{ "approved", is_yes_or_no },
	{ "tool", is_digest },
	{ "touches", is_digest },
	{ "reads", is_reads },
	{ "proof", is_yes_or_no },
};

static int
check_member(const cJSON *v, struct err *e)
{
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		if (strcmp(members[i].name, v->string) != 0)
			continue;
		return members[i].fits(v) ? 0 : err_set(e, ERR_DENIED,
		    "the task's terms have a %s that is not well-formed: nothing is run", v->string);
	}
	return err_set(e, ERR_DENIED, "the task's terms have a member that this agent does not know (%.40s): "
	    "nothing is run", v->string);
}

static int
read_terms(struct guard *g, const char *terms, size_t len, struct err *e)
{
	struct err why = { 0 };
	const cJSON *v;

	g->terms = json_parse_object(terms, len, &why);
	if (!g->terms)
		return err_set(e, ERR_DENIED, "the task's terms are not well-formed (%s): nothing is run",
		    why.msg);
	cJSON_ArrayForEach(v, g->terms)
		if (check_member(v, e))
			return -1;
	return 0;
}

static const cJSON *
term(const struct guard *g, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(g->terms, name);
}

/* Only what may not be touched without approval is looked for. */
static const cJSON *
closed_places(const struct guard *g)
{
	const cJSON *places = term(g, "production");

	return cJSON_GetArraySize(places) && !cJSON_IsTrue(term(g, "approved")) ? places : NULL;
}

static int
make_plan(struct guard *g, struct tool_run *r, struct err *e)
{
	plan_init(&g->plan, false);
	g->planned = true;
	if (r->tool->plan(r, &g->plan, e))
		return err_wrap(e, "before it could begin");
	plan_sort(&g->plan);
	return 0;
}

static int
check_unknown(const struct guard *g, const struct tool_run *r, struct err *e)
{
	if (closed_places(g))
		return err_set(e, ERR_APPROVAL, "%s does not say what it would touch, and there are places "
		    "that nothing may touch without approval", r->tool->name);
	if (term(g, "touches") || term(g, "reads"))
		return err_set(e, ERR_DENIED, "%s does not say what it would touch, so it cannot be compared "
		    "with what was agreed", r->tool->name);
	return 0;
}

static int
check_places(const struct guard *g, struct err *e)
{
	const cJSON *one, *places = closed_places(g);
	const char *names[PLACES_MAX], *place;
	const struct touch *t;
	size_t n = 0;

	cJSON_ArrayForEach(one, places)
		names[n++] = one->valuestring;
	if (place_find(names, n, &g->plan, &t, &place, e))
		return -1;
	return t ? err_set(e, ERR_APPROVAL, "it touches %s:%s, which belongs to production (%s)",
	    plan_kind_name(t->kind), t->name, place) : 0;
}

static int
check_touches(const struct guard *g, struct err *e)
{
	const cJSON *agreed = term(g, "touches");
	char digest[PLAN_DIGEST];

	if (!agreed)
		return 0;
	if (plan_digest(&g->plan, digest, e))
		return -1;
	return strcmp(digest, agreed->valuestring) == 0 ? 0 : err_set(e, ERR_DENIED,
	    "what it would touch has changed since it was approved: ask again");
}

static bool
was_read(const cJSON *reads, const struct touch *t)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, reads)
		if (strcmp(json_text(one, "kind"), plan_kind_name(t->kind)) == 0 &&
		    strcmp(json_text(one, "name"), t->name) == 0 &&
		    strcmp(json_text(one, "sha256"), t->digest) == 0)
			return true;
	return false;
}

/* What does not exist yet cannot have been read. */
static int
check_reads(const struct guard *g, struct err *e)
{
	const cJSON *reads = term(g, "reads");

	for (size_t i = 0; reads && i < g->plan.n; i++) {
		const struct touch *t = &g->plan.v[i];

		if (t->access != PLAN_WRITES || (t->kind != PLAN_PATH && t->kind != PLAN_REF) || !t->digest[0])
			continue;
		if (!was_read(reads, t))
			return err_set(e, ERR_DENIED, "%s would be overwritten, but was not read before as it "
			    "is now (%.12s): read it, then write", t->name, t->digest);
	}
	return 0;
}

static int
check_proof(const struct guard *g, const struct tool_run *r, struct err *e)
{
	if (!cJSON_IsTrue(term(g, "proof")) || r->tool->prove)
		return 0;
	return err_set(e, ERR_UNPROVEN, "%s has no proof of its success, and this house asks for one: it was "
	    "not begun", r->tool->name);
}

/* Why the plan is kept: what the tool holds open later is compared with it. */
static int
check_plan(struct guard *g, struct tool_run *r, struct err *e)
{
	if (!closed_places(g) && !term(g, "touches") && !term(g, "reads"))
		return 0;
	if (!r->tool->plan)
		return check_unknown(g, r, e);
	if (make_plan(g, r, e) || check_places(g, e) || check_touches(g, e) || check_reads(g, e))
		return -1;
	r->agreed = &g->plan;
	return 0;
}

/* An own tool may have been changed since the agent read its manifest, and this worker have read it anew. */
static int
check_tool(const struct guard *g, const struct tool_run *r, struct err *e)
{
	const cJSON *agreed = term(g, "tool");
	const char *digest = agreed && r->env && r->env->registry ? registry_digest(r->env->registry, r->tool) : "";

	return !agreed || strcmp(digest, agreed->valuestring) == 0 ? 0 : err_set(e, ERR_DENIED,
	    "%s is not the tool that was agreed: its manifest or program was changed; restart the agent, and ask again",
	    r->tool->name);
}

static int
check(struct guard *g, struct tool_run *r, struct err *e)
{
	if (r->tool->effect == TOOL_READ)
		return 0;
	return check_tool(g, r, e) || check_proof(g, r, e) || check_plan(g, r, e) ? -1 : 0;
}

/* From here on the effect is there, proven or not. */
static int
prove(const struct guard *g, struct tool_run *r, const struct buf *result, struct err *e)
{
	cJSON *v;
	int rc;

	if (r->tool->effect == TOOL_READ || !cJSON_IsTrue(term(g, "proof")))
		return 0;
	v = json_parse(buf_str(result), result->len, e);
	rc = v ? r->tool->prove(r, v, e) : -1;
	cJSON_Delete(v);
	r->notes->proved = true;
	r->notes->ok = rc == 0;
	if (rc)
		e->code = ERR_UNPROVEN;
	return rc ? err_wrap(e, "done, but not proven") : 0;
}

int
guard_run(struct tool_run *r, const char *terms, size_t len,
    int (*run)(struct tool_run *r, struct buf *result, struct err *e), struct buf *result, struct err *e)
{
	struct guard g = { .terms = NULL };
	int rc;

	r->refused = read_terms(&g, terms, len, e) || check(&g, r, e);
	r->approved = !r->refused && cJSON_IsTrue(term(&g, "approved"));
	rc = r->refused || run(r, result, e) || prove(&g, r, result, e) ? -1 : 0;
	r->agreed = NULL;
	cJSON_Delete(g.terms);
	if (g.planned)
		plan_release(&g.plan);
	return rc;
}

int
guard_plan(struct tool_run *r, struct buf *result, struct err *e)
{
	const struct tool *t = r->tool;
	struct plan p;
	int rc;

	if (!t->plan && t->effect != TOOL_READ) {
		plan_put_unknown(result);
		return 0;
	}
	plan_init(&p, true);
	rc = t->plan ? t->plan(r, &p, e) : 0;
	if (rc == 0) {
		plan_sort(&p);
		plan_put(result, &p);
	}
	plan_release(&p);
	return rc;
}

int
touch_agreed(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest,
    struct err *e)
{
	const struct touch *t;

	if (!r->agreed)
		return 0;
	t = plan_find(r->agreed, kind, name);
	if (t && strcmp(t->digest, digest ? digest : "") == 0)
		return 0;
	r->refused = true;
	return t ? err_set(e, ERR_DENIED, "%s has changed a moment ago: ask again", name) :
	    err_set(e, ERR_DENIED, "it turns out to touch %s, which was not agreed", name);
}
