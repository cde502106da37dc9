/* What a policy, halts and grants say about a task. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json.h"
#include "policy.h"
#include "production.h"

static struct sign_key *key;

/* ' is written for ". */
static cJSON *
json(const char *text)
{
	char *copy = xstrdup(text);
	cJSON *v;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = json_parse(copy, strlen(copy), NULL);
	if (!v)
		fail_msg("%s", text);
	free(copy);
	return v;
}

static void
sealed(struct sovereign *s, enum sovereign_kind kind, const char *text)
{
	cJSON *v = json(text);
	struct buf b = { 0 };
	struct err e = { 0 };

	if (sovereign_seal(&b, kind, "home", v, key, &e) ||
	    sovereign_open(s, kind, "home", sign_key_public(key), 1, b.data, b.len, &e))
		fail_msg("%s: %s", text, e.msg);
	cJSON_Delete(v);
	buf_free(&b);
}

static void
places_are_written_in_one_way(void **state)
{
	static const char *const good[] = { "path:/", "path:/srv/www", "path:/srv/..x", "path:/srv/.git", "repo:/srv/site",
		"service:nginx", "service:a.service", "url:https://x", "url:https://x/", "url:http://[::1]:8080/a/b"
	};
	static const char *const bad[] = { "", "/srv", "path:", "path:srv", "path:/srv/", "path:/srv//www", "path:/srv/../etc",
		"path:/srv/.", "path:/..", "PATH:/srv", "repo:site", "service:", "service:a b", "url:x", "url:ftp://x/", "url:x@y:z", "url:https://",
		"url:https://u@x/", "url:https://x/?q", "url:https://x/#f", "url:https://x/a/../b", "url:https:///a", "url:https://x//a" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct err e = { 0 };

		if (production_check(good[i], &e))
			fail_msg("%s: %s", good[i], e.msg);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (production_check(bad[i], NULL) == 0)
			fail_msg("%s was taken", bad[i]);
}

static void
a_place_covers_what_lies_beneath_it_and_what_it_lies_in(void **state)
{
	static const struct {
		const char *place, *kind, *name;
		bool covers;
	} cases[] = {
		{ "path:/srv/www", "path", "/srv/www", true }, { "path:/srv/www", "path", "/srv/www/index.html", true },
		{ "path:/srv/www", "path", "/srv/www2", false }, { "path:/srv/www", "path", "/srv/ww", false },
		{ "path:/srv/www", "path", "/srv", true }, { "path:/srv/www", "path", "/", true }, { "path:/srv/www", "path", "/srv/other", false },
		{ "path:/", "path", "/etc/passwd", true }, { "path:/srv", "repo", "/srv/site", true },
		{ "path:/srv", "ref", "/srv/site#main", true }, { "path:/srv/site#1", "ref", "/srv/site#1#main", true },
		{ "path:/srv", "ref", "/home/site#main", false }, { "path:/srv", "service", "/srv", false }, { "path:/srv", "url", "/srv", false },
		{ "repo:/srv/site", "repo", "/srv/site", true }, { "repo:/srv/site", "ref", "/srv/site#main", true },
		{ "repo:/srv/site", "path", "/srv/site/a", true }, { "repo:/srv/site", "repo", "/srv/site2", false },
		{ "service:nginx", "service", "nginx", true }, { "service:nginx", "service", "nginx.service", true },
		{ "service:nginx.service", "service", "nginx", true }, { "service:nginx", "service", "nginx2", false },
		{ "service:nginx", "service", "nginx@a", false }, { "service:nginx", "path", "nginx", false },
		{ "url:https://x/", "url", "https://x/a", true }, { "url:https://x", "url", "https://x/", true },
		{ "url:https://x", "url", "https://x", true }, { "url:https://x", "url", "https://x?q", true },
		{ "url:https://x", "url", "https://x.evil/", false }, { "url:https://x/", "url", "https://y/https://x/", false },
		{ "url:https://x/", "url", "https://y@x/", true }, { "url:https://x/", "url", "https://x@y/", false },
		{ "url:https://x/", "url", "HTTPS://X:443/a", true }, { "url:https://x/", "url", "https://x.:0443/a", true },
		{ "url:https://x/", "url", "http://x/", true }, { "url:https://x/", "url", "https://x:8443/", false },
		{ "url:https://x/a", "url", "https://x/a/b", true }, { "url:https://x/a", "url", "https://x/ab", false },
		{ "url:https://x/a", "url", "https://x/b", false }, { "url:https://x/a", "url", "https://x/b/../a", true },
		{ "url:https://x/a", "url", "https://x/%61", true }, { "url:https://x/a", "url", "https://x//a", true },
		{ "url:https://x/a", "url", "https://x/a?q=/..", true }, { "url:https://x/a", "url", "https://x/b?q=/../a", false },
		{ "url:https://[::1]:81/a", "url", "https://[::1]:81/a", true }, { "url:https://[::1]/a", "url", "https://[::1]:81/a", false },
		{ "url:https://x/a", "ref", "ssh://x/a.git#main", true }, { "url:https://x/a.git", "ref", "https://x/a#main", true },
		{ "url:https://x/a", "ref", "https://x/b#main", false }, { "url:https://x/a", "repo", "https://x/a/b.git", true },
		{ "url:https://x/a", "ref", "/srv/a#main", false }, { "path:/srv", "ref", "https://x/srv#main", false },
		{ "url:https://x/a/", "url", "https://x/a", true }, { "url:https://x/a.git/", "url", "https://x/a", true },
		{ "url:https://x/", "service", "x", false }, { "url:https://x/", "path", "/x", false }, { "url:https://x/", "url", "*", true },
		{ "url:https://x/", "url", "nonsense", true }, { "unheard:of", "path", "/x", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (production_covers(cases[i].place, cases[i].kind, cases[i].name) != cases[i].covers)
			fail_msg("%s and %s %s", cases[i].place, cases[i].kind, cases[i].name);
}

static const char the_policy[] =
    "{'n':1,'time':1,'houses':{'timmy':{'profile':'judge'},'ezra':{'profile':'archivist'},'bezalel':{'profile':'artificer'},"
    "'allegro':{'profile':'dispatcher'}},'production':['path:/srv/www','service:nginx'],'rules':["
    "{'sender':'intern','then':'deny','why':'not yet'},"
    "{'sender':'intern','production':true,'then':'deny'},"
    "{'house':'ezra','tool':'file_write','sender':'editor','production':true,'then':'allow'},"
    "{'tool':'git_*','effect':'exclusive','then':'approve'},"
    "{'house':'timmy','tool':'notes','then':'allow'}]}";

#define WWW "[{'kind':'path','name':'/srv/www/a','access':'write'}]"
#define ELSEWHERE "[{'kind':'path','name':'/tmp/a','access':'write'}]"
#define ONLY_READ "[{'kind':'path','name':'/srv/www/a','access':'read'},{'kind':'path','name':'/tmp/a','access':'write'}]"

static const struct {
	const char *house, *tool, *sender, *effect, *touches;
	bool sovereign;
	enum policy_verdict verdict;
	const char *why;
} cases[] = {
	{ "ezra", "file_write", "operator", "idempotent", ELSEWHERE, false, POLICY_ALLOW, "" },
	{ "ezra", "file_write", "operator", "idempotent", WWW, false, POLICY_APPROVE, "changes production: path:/srv/www" },
	{ "ezra", "file_write", "operator", "idempotent", ONLY_READ, false, POLICY_ALLOW, "" },
	{ "ezra", "file_write", "operator", "idempotent", NULL, false, POLICY_APPROVE, "changes production: what it cannot name" },
	{ "ezra", "file_write", "operator", "idempotent", "null", false, POLICY_APPROVE, "changes production: what it cannot name" },
	{ "ezra", "file_write", "operator", "idempotent", "[]", false, POLICY_ALLOW, "" },
	{ "ezra", "file_read", "operator", "read", NULL, false, POLICY_ALLOW, "" },
	{ "ezra", "file_read", "operator", "read", NULL, true, POLICY_APPROVE, "mode sovereign" },
	{ "ezra", "file_read", "intern", "read", NULL, true, POLICY_DENY, "not yet" },
	{ "ezra", "file_read", "intern", "read", NULL, false, POLICY_DENY, "not yet" },
	{ "ezra", "file_write", "intern", "idempotent", WWW, false, POLICY_DENY, "rule 2 of the policy" },
	{ "ezra", "file_write", "editor", "idempotent", WWW, false, POLICY_ALLOW, "rule 3 of the policy" },
	{ "ezra", "file_write", "editor", "idempotent", WWW, true, POLICY_APPROVE, "mode sovereign" },
	{ "bezalel", "file_write", "editor", "idempotent", WWW, false, POLICY_APPROVE, "changes production: path:/srv/www" },
	{ "bezalel", "git_push", "operator", "exclusive", ELSEWHERE, false, POLICY_APPROVE, "rule 4 of the policy" },
	{ "bezalel", "git_log", "operator", "read", NULL, false, POLICY_ALLOW, "" },
	{ "timmy", "file_write", "operator", "idempotent", ELSEWHERE, false, POLICY_APPROVE, "the house is a judge" },
	{ "timmy", "file_read", "operator", "read", NULL, false, POLICY_ALLOW, "" },
	{ "timmy", "notes", "operator", "exclusive", ELSEWHERE, false, POLICY_ALLOW, "rule 5 of the policy" },
	{ "timmy", "notes", "operator", "exclusive", WWW, false, POLICY_APPROVE, "changes production: path:/srv/www" },
	{ "allegro", "file_write", "operator", "idempotent", ELSEWHERE, false, POLICY_ALLOW, "" },
	{ "allegro", "http_post", "operator", "exclusive", ELSEWHERE, false, POLICY_APPROVE, "the house is a dispatcher" },
	{ "forge", "http_post", "operator", "exclusive", ELSEWHERE, false, POLICY_ALLOW, "" },
};

static void
tasks_are_judged(void **state)
{
	struct sovereign s;

	(void)state;
	sealed(&s, SOVEREIGN_POLICY, the_policy);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cJSON *touches = cases[i].touches ? json(cases[i].touches) : NULL;
		struct policy_question q = { cases[i].house, cases[i].tool, cases[i].sender, cases[i].effect, cases[i].sovereign, touches };
		struct policy_answer a;

		policy_judge(&s.u.policy, &q, &a);
		if (a.verdict != cases[i].verdict || strcmp(a.why, cases[i].why) != 0)
			fail_msg("%s %s %s %s: %d %s", q.house, q.tool, q.sender, cases[i].touches, a.verdict, a.why);
		cJSON_Delete(touches);
	}
	sovereign_release(&s);
}

static void
a_plan_is_asked_for_only_where_it_decides(void **state)
{
	static const struct policy_question yes = { "ezra", "file_write", "operator", "idempotent", false, NULL };
	struct policy_question q = yes;
	struct sovereign s, bare;

	(void)state;
	sealed(&s, SOVEREIGN_POLICY, the_policy);
	sealed(&bare, SOVEREIGN_POLICY, "{'n':1,'time':1}");
	assert_true(policy_needs_touches(&s.u.policy, &yes));
	assert_false(policy_needs_touches(&bare.u.policy, &yes));
	q.sender = "intern";
	assert_false(policy_needs_touches(&s.u.policy, &q));
	q = yes;
	q.effect = "read";
	assert_false(policy_needs_touches(&s.u.policy, &q));
	q = yes;
	q.sovereign = true;
	assert_false(policy_needs_touches(&s.u.policy, &q));
	q = yes;
	q.house = "timmy";
	assert_false(policy_needs_touches(&s.u.policy, &q));
	sovereign_release(&s);
	sovereign_release(&bare);
}

static void
houses_have_their_checks(void **state)
{
	struct sovereign s;

	(void)state;
	sealed(&s, SOVEREIGN_POLICY, the_policy);
	assert_true(policy_profile(&s.u.policy, "ezra")->reads);
	assert_false(policy_profile(&s.u.policy, "ezra")->proof);
	assert_true(policy_profile(&s.u.policy, "bezalel")->proof);
	assert_false(policy_profile(&s.u.policy, "bezalel")->reads);
	assert_string_equal(policy_profile(&s.u.policy, "timmy")->review, "idempotent");
	assert_string_equal(policy_profile(&s.u.policy, "allegro")->review, "exclusive");
	assert_string_equal(policy_profile(&s.u.policy, "forge")->name, "none");
	assert_int_equal(profile_for_role("tempo-and-dispatch"), PROFILE_DISPATCHER);
	assert_int_equal(profile_for_role("judgement"), PROFILE_JUDGE);
	assert_int_equal(profile_for_role("worker"), PROFILE_NONE);
	sovereign_release(&s);
}

static void
halts_cover_cluster_house_or_tool(void **state)
{
	struct sovereign none, some, all;
	char text[SOVEREIGN_WHY * 2];

	(void)state;
	sealed(&none, SOVEREIGN_HALT, "{'n':1,'time':1,'halts':[],'why':'over'}");
	sealed(&some, SOVEREIGN_HALT,
	    "{'n':2,'time':1,'halts':[{'scope':'house','name':'ezra'},{'scope':'tool','name':'git_push'}],'why':'fire'}");
	sealed(&all, SOVEREIGN_HALT, "{'n':3,'time':1,'halts':[{'scope':'cluster'}],'why':'flood'}");
	assert_null(halt_covers(&none.u.halt, "ezra", "git_push"));
	assert_null(halt_covers(&some.u.halt, "git_push", "ezra"));
	assert_null(halt_covers(&some.u.halt, "bezalel", "git_pus"));
	halt_describe(halt_covers(&some.u.halt, "ezra", "noop"), "fire", text);
	assert_string_equal(text, "house ezra is halted: fire");
	halt_describe(halt_covers(&some.u.halt, "bezalel", "git_push"), "fire", text);
	assert_string_equal(text, "tool git_push is halted: fire");
	halt_describe(halt_covers(&all.u.halt, "x", "y"), "flood", text);
	assert_string_equal(text, "the cluster is halted: flood");
	sovereign_release(&none);
	sovereign_release(&some);
	sovereign_release(&all);
}

static const struct {
	const char *house, *tool, *sender, *params;
	int64_t used, now;
	bool covers;
} grants[] = {
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/a','n':5,'x':1}", 0, 5, true },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/a','n':5}", 9, 8, true },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/a','n':5}", 10, 8, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/a','n':5}", 0, 4, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/a','n':5}", 0, 9, false },
	{ "ezra2", "git_push", "operator", "{'repo_path':'/srv/site/a','n':5}", 0, 5, false },
	{ "ezra", "file_write", "operator", "{'repo_path':'/srv/site/a','n':5}", 0, 5, false },
	{ "ezra", "git_push", "intern", "{'repo_path':'/srv/site/a','n':5}", 0, 5, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/a','n':6}", 0, 5, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/a','n':'5'}", 0, 5, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/a'}", 0, 5, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/other','n':5}", 0, 5, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/../../etc','n':5}", 0, 5, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/..','n':5}", 0, 5, false },
	{ "ezra", "git_push", "operator", "{'repo_path':'/srv/site/..a','n':5}", 0, 5, true },
	{ "ezra", "git_push", "operator", "{'repo_path':5,'n':5}", 0, 5, false },
	{ "ezra", "git_push", "operator", "null", 0, 5, false },
};

static void
grants_cover_what_they_name(void **state)
{
	struct sovereign s, revoked;

	(void)state;
	sealed(&s, SOVEREIGN_GRANT,
	    "{'n':4,'time':1,'id':'g','house':'ezra','tool':'git_*','params':{'repo_path':'/srv/site/*','n':5},'senders':['operator'],"
	    "'count':10,'not_before':5,'expires':9,'live':[{'id':'f','n':2},{'id':'g','n':4}]}");
	sealed(&revoked, SOVEREIGN_GRANT,
	    "{'n':5,'time':1,'id':'g','house':'ezra','tool':'*','count':10,'not_before':5,'expires':9,'revoked':true,'live':[{'id':'f','n':2}]}");
	for (size_t i = 0; i < sizeof grants / sizeof *grants; i++) {
		cJSON *params = json(grants[i].params);
		struct grant_question q = { grants[i].house, grants[i].tool, grants[i].sender, params, grants[i].used, grants[i].now };

		if (grant_covers(&s.u.grant, &q) != grants[i].covers)
			fail_msg("%s %s %s", q.house, q.tool, grants[i].params);
		assert_false(grant_covers(&revoked.u.grant, &q));
		cJSON_Delete(params);
	}
	assert_true(grant_is_live(&s.u.grant, "f", 2));
	assert_false(grant_is_live(&s.u.grant, "f", 3));
	assert_false(grant_is_live(&revoked.u.grant, "g", 4));
	assert_true(sovereign_supersedes(&revoked, &s));
	sovereign_release(&s);
	sovereign_release(&revoked);
}

static int
set_up(void **state)
{
	(void)state;
	key = sign_key_new();
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
		T(places_are_written_in_one_way),
		T(a_place_covers_what_lies_beneath_it_and_what_it_lies_in),
		T(tasks_are_judged),
		T(a_plan_is_asked_for_only_where_it_decides),
		T(houses_have_their_checks),
		T(halts_cover_cluster_house_or_tool),
		T(grants_cover_what_they_name),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
