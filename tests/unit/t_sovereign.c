/* The sovereign's signed objects: what is taken, what is refused, and which of two counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json.h"
#include "sovereign.h"

static struct sign_key *key;

#define HASH "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define TASK "01KAW6Y0000000000000000000"

/* Members as a person writes them, with ' for ". */
static cJSON *
members(const char *text)
{
	char *copy = xstrdup(text);
	struct err e = { 0 };
	cJSON *v;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = json_parse_object(copy, strlen(copy), &e);
	if (!v)
		fail_msg("%s: %s", text, e.msg);
	free(copy);
	return v;
}

static int
seal(struct buf *out, enum sovereign_kind kind, const char *text, struct err *e)
{
	cJSON *v = members(text);
	int rc = sovereign_seal(out, kind, "home", v, key, e);

	cJSON_Delete(v);
	return rc;
}

static void
open_ok(struct sovereign *s, enum sovereign_kind kind, const char *text)
{
	struct buf b = { 0 };
	struct err e = { 0 };

	if (seal(&b, kind, text, &e) || sovereign_open(s, kind, "home", sign_key_public(key), 1, b.data, b.len, &e))
		fail_msg("%s: %s", text, e.msg);
	buf_free(&b);
}

static void
a_policy_is_read(void **state)
{
	struct sovereign s;

	(void)state;
	open_ok(&s, SOVEREIGN_POLICY,
	    "{'n':7,'time':1764000000000,'houses':{'ezra':{'profile':'archivist'},'_':{'profile':'dispatcher'}},"
	    "'production':['path:/srv/www','service:nginx','url:https://x/','repo:/srv/site'],'rules':[{'house':'*','tool':'git_push',"
	    "'effect':'exclusive','production':true,'then':'deny','why':'frozen'},{'then':'approve'}],'approval_s':60,"
	    "'self_approval':true,'x-note':'kept'}");
	assert_int_equal(s.n, 7);
	assert_int_equal(s.time_ms, 1764000000000);
	assert_string_equal(s.by, sign_key_public(key)->id);
	assert_int_equal(s.u.policy.nhouses, 2);
	assert_int_equal(s.u.policy.nproduction, 4);
	assert_string_equal(s.u.policy.production[1], "service:nginx");
	assert_int_equal(s.u.policy.nrules, 2);
	assert_true(s.u.policy.rules[0].production);
	assert_int_equal(s.u.policy.rules[0].verdict, POLICY_DENY);
	assert_string_equal(s.u.policy.rules[0].why, "frozen");
	assert_int_equal(s.u.policy.rules[1].verdict, POLICY_APPROVE);
	assert_string_equal(s.u.policy.rules[1].house, "");
	assert_int_equal(s.u.policy.approval_s, 60);
	assert_true(s.u.policy.self_approval);
	sovereign_release(&s);
	open_ok(&s, SOVEREIGN_POLICY, "{'n':1,'time':0}");
	assert_int_equal(s.u.policy.approval_s, 86400);
	assert_int_equal(s.u.policy.nrules, 0);
	sovereign_release(&s);
}

static void
a_halt_a_grant_and_a_decision_are_read(void **state)
{
	struct sovereign s;

	(void)state;
	open_ok(&s, SOVEREIGN_HALT,
	    "{'n':2,'time':1,'halts':[{'scope':'cluster'},{'scope':'house','name':'ezra'},{'scope':'tool','name':'git_push'}],'why':'x'}");
	assert_int_equal(s.u.halt.nhalts, 3);
	assert_int_equal(s.u.halt.halts[2].scope, HALT_TOOL);
	assert_string_equal(s.u.halt.halts[2].name, "git_push");
	sovereign_release(&s);
	open_ok(&s, SOVEREIGN_GRANT,
	    "{'n':4,'time':1,'id':'g','house':'ezra','tool':'git_*','params':{'repo_path':'/srv/site'},'senders':['operator'],"
	    "'count':10,'not_before':5,'expires':9,'live':[{'id':'f','n':2},{'id':'g','n':4}]}");
	assert_string_equal(s.u.grant.house, "ezra");
	assert_int_equal(s.u.grant.nlive, 2);
	assert_int_equal(s.u.grant.nsenders, 1);
	assert_string_equal(json_text(s.u.grant.params, "repo_path"), "/srv/site");
	sovereign_release(&s);
	open_ok(&s, SOVEREIGN_DECISION,
	    "{'time':1,'task':'" TASK "','hash':'" HASH "','decision':'approve','expires':2,'note':'go on'}");
	assert_true(s.u.decision.approve);
	assert_string_equal(s.u.decision.note, "go on");
	assert_int_equal(s.n, 0);
	sovereign_release(&s);
}

static const struct {
	enum sovereign_kind kind;
	const char *text, *field;
} bad[] = {
#define P SOVEREIGN_POLICY
	{ P, "{'time':1}", "n" }, { P, "{'n':0,'time':1}", "n" }, { P, "{'n':1}", "time" }, { P, "{'n':1,'time':1,'surprise':1}", "surprise" },
	{ P, "{'n':1,'time':1,'rules':null}", "rules" }, { P, "{'n':1,'time':1,'rules':{}}", "rules" },
	{ P, "{'n':1,'time':1,'rules':[{}]}", "rules.0.then" }, { P, "{'n':1,'time':1,'rules':[{'then':'maybe'}]}", "rules.0.then" },
	{ P, "{'n':1,'time':1,'rules':[{'then':'allow'},{'then':'deny','senders':'x'}]}", "rules.1.senders" },
	{ P, "{'n':1,'time':1,'rules':[{'then':'deny','sender':''}]}", "rules.0.sender" },
	{ P, "{'n':1,'time':1,'rules':[{'then':'deny','sender':null}]}", "rules.0.sender" },
	{ P, "{'n':1,'time':1,'rules':[{'then':'deny','tool':'git.*'}]}", "rules.0.tool" },
	{ P, "{'n':1,'time':1,'rules':[{'then':'deny','house':'Ezra'}]}", "rules.0.house" },
	{ P, "{'n':1,'time':1,'rules':[{'then':'deny','effect':'write'}]}", "rules.0.effect" },
	{ P, "{'n':1,'time':1,'rules':[{'then':'deny','production':'yes'}]}", "rules.0.production" },
	{ P, "{'n':1,'time':1,'houses':{'ezra':{'profile':'archive'}}}", "houses.ezra.profile" },
	{ P, "{'n':1,'time':1,'houses':{'ezra':{}}}", "houses.ezra.profile" }, { P, "{'n':1,'time':1,'houses':{'Ezra':{'profile':'none'}}}", "houses.Ezra" },
	{ P, "{'n':1,'time':1,'production':['/srv']}", "production" }, { P, "{'n':1,'time':1,'production':['path:srv']}", "production" },
	{ P, "{'n':1,'time':1,'production':[1]}", "production" }, { P, "{'n':1,'time':1,'approval_s':0}", "approval_s" },
	{ P, "{'n':1,'time':1,'self_approval':1}", "self_approval" },
#define H SOVEREIGN_HALT
	{ H, "{'n':1,'time':1,'halts':[]}", "why" }, { H, "{'n':1,'time':1,'why':'x'}", "halts" },
	{ H, "{'n':1,'time':1,'why':'x','halts':[{'scope':'agent','name':'x'}]}", "halts.scope" },
	{ H, "{'n':1,'time':1,'why':'x','halts':[{'scope':'house'}]}", "halts.name" },
	{ H, "{'n':1,'time':1,'why':'x','halts':[{'scope':'cluster','name':'x'}]}", "halts.name" },
	{ H, "{'n':1,'time':1,'why':'x','halts':[{'scope':'tool','name':'x','until':5}]}", "halts.until" },
#define G(rest) SOVEREIGN_GRANT, "{'n':4,'time':1,'id':'g','house':'ezra','tool':'*','count':1,'not_before':5,'expires':9" rest "}"
#define SELF ",'live':[{'id':'g','n':4}]"
	{ G(""), "live" }, { G(",'live':[]"), "live" }, { G(",'live':[{'id':'g','n':3}]"), "live" }, { G(",'live':[{'id':'f','n':4}]"), "live" },
	{ G(",'live':[{'id':'g','n':4},{'id':'f','n':5}]"), "live" }, { G(",'live':[{'id':'g','n':4},{'id':'f','n':2},{'id':'f','n':3}]"), "live" },
	{ G(",'live':[{'id':'g','n':4},{'id':'f','n':2},{'id':'h','n':2}]"), "live" }, { G(",'revoked':true" SELF), "live" },
	{ G(SELF ",'senders':[]"), "senders" }, { G(SELF ",'senders':['A']"), "senders" }, { G(SELF ",'params':[]"), "params" },
	{ G(SELF ",'unless':1"), "unless" },
#define G2(house, tool, count, from, to) SOVEREIGN_GRANT, "{'n':4,'time':1,'id':'g','house':'" house "','tool':'" tool "','count':" count \
	",'not_before':" from ",'expires':" to SELF "}"
	{ G2("*", "x", "1", "5", "9"), "house" }, { G2("_", "x", "1", "5", "9"), "house" }, { G2("ezra", "a.b", "1", "5", "9"), "tool" },
	{ G2("ezra", "x", "0", "5", "9"), "count" }, { G2("ezra", "x", "1", "5", "5"), "expires" }, { G2("ezra", "x", "1.5", "5", "9"), "" },
#define D(task, hash, decision, expires) SOVEREIGN_DECISION, "{'time':1,'task':'" task "','hash':'" hash "','decision':'" decision "','expires':" expires "}"
	{ D("x", HASH, "approve", "2"), "task" }, { D(TASK, "x", "approve", "2"), "hash" }, { D(TASK, HASH, "yes", "2"), "decision" },
	{ D(TASK, HASH, "approve", "1"), "expires" },
};

static void
what_is_wrong_is_refused_by_name_and_never_signed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct buf b = { 0 };
		struct err e = { 0 };

		if (seal(&b, bad[i].kind, bad[i].text, &e) == 0)
			fail_msg("%s was signed", bad[i].text);
		if (strcmp(e.field, bad[i].field) != 0)
			fail_msg("%s: %s (%s)", bad[i].text, e.field, e.msg);
		assert_int_equal(b.len, 0);
	}
}

/* Lists that are one too long. */
static void
bounds_hold(void **state)
{
	static const struct {
		enum sovereign_kind kind;
		int max;
		const char *before, *item, *after;
	} lists[] = {
		{ SOVEREIGN_POLICY, POLICY_MAX_RULES, "{'n':1,'time':1,'rules':[", "{'then':'deny'}", "]}" },
		{ SOVEREIGN_POLICY, POLICY_MAX_PLACES, "{'n':1,'time':1,'production':[", "'path:/a'", "]}" },
		{ SOVEREIGN_HALT, HALT_MAX, "{'n':1,'time':1,'why':'x','halts':[", "{'scope':'cluster'}", "]}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		for (int over = 0; over < 2; over++) {
			struct buf text = { 0 }, out = { 0 };
			struct err e = { 0 };

			buf_adds(&text, lists[i].before);
			for (int n = 0; n < lists[i].max + over; n++)
				buf_addf(&text, "%s%s", n ? "," : "", lists[i].item);
			buf_adds(&text, lists[i].after);
			assert_int_equal(seal(&out, lists[i].kind, text.data, &e), over ? -1 : 0);
			assert_int_equal(e.code, over ? ERR_TOO_BIG : ERR_NONE);
			buf_free(&text);
			buf_free(&out);
		}
}

static void
only_a_higher_number_counts(void **state)
{
	struct sovereign p7, p8, h9, d, g4, f5;

	(void)state;
	open_ok(&p7, SOVEREIGN_POLICY, "{'n':7,'time':9}");
	open_ok(&p8, SOVEREIGN_POLICY, "{'n':8,'time':1}");
	open_ok(&h9, SOVEREIGN_HALT, "{'n':9,'time':1,'halts':[],'why':'x'}");
	open_ok(&d, SOVEREIGN_DECISION, "{'time':1,'task':'" TASK "','hash':'" HASH "','decision':'deny','expires':2}");
	open_ok(&g4, SOVEREIGN_GRANT, "{'n':4,'time':1,'id':'g','house':'ezra','tool':'*','count':1,'not_before':5,'expires':9,'live':[{'id':'g','n':4}]}");
	open_ok(&f5, SOVEREIGN_GRANT, "{'n':5,'time':1,'id':'f','house':'ezra','tool':'*','count':1,'not_before':5,'expires':9,'live':[{'id':'f','n':5}]}");
	assert_true(sovereign_supersedes(&p8, &p7));
	assert_true(sovereign_supersedes(&p7, NULL));
	assert_false(sovereign_supersedes(&p7, &p7));
	assert_false(sovereign_supersedes(&p7, &p8));
	assert_false(sovereign_supersedes(&h9, &p8));
	assert_false(sovereign_supersedes(&d, &d));
	assert_false(sovereign_supersedes(&f5, &g4));
	sovereign_release(&p7);
	sovereign_release(&p8);
	sovereign_release(&h9);
	sovereign_release(&d);
	sovereign_release(&g4);
	sovereign_release(&f5);
}

static void
a_number_can_be_peeked_at(void **state)
{
	struct buf b = { 0 };
	enum sovereign_kind kind;
	int64_t n;

	(void)state;
	assert_int_equal(seal(&b, SOVEREIGN_HALT, "{'n':9,'time':1,'halts':[],'why':'x'}", NULL), 0);
	assert_int_equal(sovereign_peek(b.data, b.len, &kind, &n), 0);
	assert_int_equal(kind, SOVEREIGN_HALT);
	assert_int_equal(n, 9);
	assert_int_equal(sovereign_peek(b.data, b.len - 1, &kind, &n), -1);
	buf_free(&b);
}

static int
set_up(void **state)
{
	(void)state;
	key = sign_key_from_seed((const unsigned char *)"a seed for tests of 32 bytes....");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	sign_key_free(key);
	return 0;
}

#define T cmocka_unit_test

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_policy_is_read),
		T(a_halt_a_grant_and_a_decision_are_read),
		T(what_is_wrong_is_refused_by_name_and_never_signed),
		T(bounds_hold),
		T(only_a_higher_number_counts),
		T(a_number_can_be_peeked_at),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
