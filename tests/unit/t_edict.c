/* What the sovereign's commands make of what they hear, and how they print what others wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edict.h"
#include "json.h"

static struct config config;
static struct sign_key *key;
static struct known k;

static int
set_up(void **state)
{
	char text[256], public[SIGN_TEXT];
	struct err e;

	(void)state;
	key = sign_key_new();
	sign_public_format(sign_key_public(key), public);
	snprintf(text, sizeof text, "sovereign_keys: [\"%s\"]\nhouses: {ezra: , timmy: }\nwitnesses: [third]\n", public);
	if (config_parse(&config, "houses.yaml", text, strlen(text), NULL, NULL, &e))
		fail_msg("%s", e.msg);
	known_init(&k, &config);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	known_release(&k);
	config_release(&config);
	sign_key_free(key);
	return 0;
}

static void
hear(const char *topic, const char *text)
{
	known_take(&k, topic, text, strlen(text));
}

/* ' is written for ". */
static char *
sealed(enum sovereign_kind kind, const char *members, const struct sign_key *by)
{
	struct buf b = { 0 };
	char *copy = xstrdup(members);
	cJSON *v;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = cJSON_Parse(copy);
	if (sovereign_seal(&b, kind, "home", v, by, NULL))
		fail_msg("%s", copy);
	cJSON_Delete(v);
	free(copy);
	return buf_take(&b);
}

static void
hear_sealed(const char *topic, enum sovereign_kind kind, const char *members, const struct sign_key *by)
{
	char *line = sealed(kind, members, by);

	hear(topic, line);
	free(line);
}

static void
the_highest_number_that_our_key_signed_is_kept(void **state)
{
	struct sign_key *stranger = sign_key_new();

	(void)state;
	hear_sealed("uw/home/sovereign/timmy/policy/current", SOVEREIGN_POLICY, "{'n':3,'time':1}", key);
	hear_sealed("uw/home/agent/ezra-1/sovereign/policy", SOVEREIGN_POLICY, "{'n':5,'time':1}", key);
	hear_sealed("uw/home/sovereign/timmy/policy/current", SOVEREIGN_POLICY, "{'n':4,'time':1}", key);
	assert_int_equal(k.policy.s.n, 5);
	assert_int_equal(k.refused, 0);
	hear_sealed("uw/home/sovereign/timmy/policy/current", SOVEREIGN_POLICY, "{'n':9,'time':1}", stranger);
	hear_sealed("uw/home/sovereign/timmy/policy/current", SOVEREIGN_HALT, "{'n':9,'time':1,'halts':[],'why':'x'}", key);
	hear("uw/home/agent/ezra-1/sovereign/halt", "{}");
	assert_int_equal(k.policy.s.n, 5);
	assert_null(k.halt.line);
	assert_int_equal(k.refused, 3);
	hear("uw/home/agent/ezra-1/sovereign/halt", "");
	hear("uw/away/sovereign/timmy/policy/current", "x");
	assert_int_equal(k.refused, 3);
	sign_key_free(stranger);
}

static void
grants_are_kept_by_id_and_the_newest_lists_the_living(void **state)
{
	(void)state;
#define GRANT(n, id, rest) "{'n':" n ",'time':1,'id':'" id "','house':'ezra','tool':'*','count':1,'not_before':5,'expires':90," rest "}"
	hear_sealed("uw/home/sovereign/timmy/grant/a", SOVEREIGN_GRANT, GRANT("1", "a", "'live':[{'id':'a','n':1}]"), key);
	hear_sealed("uw/home/agent/ezra-1/sovereign/grant-b", SOVEREIGN_GRANT,
	    GRANT("2", "b", "'live':[{'id':'a','n':1},{'id':'b','n':2}]"), key);
	assert_int_equal(k.ngrants, 2);
	assert_true(known_grant_in_force(&k, &known_grant(&k, "a")->s.u.grant, 1, 50));
	assert_false(known_grant_in_force(&k, &known_grant(&k, "a")->s.u.grant, 1, 90));
	hear_sealed("uw/home/sovereign/timmy/grant/a", SOVEREIGN_GRANT, GRANT("3", "a", "'revoked':true,'live':[{'id':'b','n':2}]"), key);
	assert_int_equal(k.ngrants, 2);
	assert_int_equal(known_newest_grant(&k)->s.n, 3);
	assert_false(known_grant_in_force(&k, &known_grant(&k, "a")->s.u.grant, 3, 50));
	assert_true(known_grant_in_force(&k, &known_grant(&k, "b")->s.u.grant, 2, 50));
	assert_null(known_grant(&k, "c"));
	assert_int_equal(known_highest(&k, SOVEREIGN_GRANT), 3);
}

static void
beat(const char *agent, const char *rest)
{
	char topic[100], text[400];

	snprintf(topic, sizeof topic, "uw/home/agent/%s/health/state", agent);
	snprintf(text, sizeof text, "{\"agent\":\"%s\",\"state\":\"online\",%s}", agent, rest);
	hear(topic, text);
}

static void
an_agent_is_heard_when_it_says_more_than_the_broker_kept(void **state)
{
	(void)state;
	assert_int_equal(k.nagents, 2);
	assert_false(known_heard_all(&k));
	beat("ezra-1", "\"seq\":4");
	beat("ezra-1", "\"seq\":4");
	assert_false(k.agents[0].heard);
	beat("ezra-1", "\"seq\":5,\"sovereign\":{\"policy\":2,\"halt\":0,\"grants\":0}");
	assert_true(k.agents[0].heard);
	assert_int_equal(k.agents[0].holds[SOVEREIGN_POLICY], 2);
	assert_false(known_heard_all(&k));
	beat("third", "\"seq\":1");
	hear("uw/home/agent/timmy-1/health/state", "{\"agent\":\"timmy-1\",\"state\":\"offline\"}");
	assert_true(known_heard_all(&k));
	assert_true(k.agents[1].away);
}

/* Agents may hold what the broker lost; but none may use up the numbers. */
static void
what_agents_claim_counts_unless_it_is_absurd(void **state)
{
	(void)state;
	hear_sealed("uw/home/sovereign/timmy/policy/current", SOVEREIGN_POLICY, "{'n':3,'time':1}", key);
	assert_int_equal(known_highest(&k, SOVEREIGN_POLICY), 3);
	beat("ezra-1", "\"seq\":1,\"sovereign\":{\"policy\":7}");
	assert_int_equal(known_highest(&k, SOVEREIGN_POLICY), 7);
	beat("timmy-1", "\"seq\":1,\"sovereign\":{\"policy\":9007199254740991}");
	assert_int_equal(known_highest(&k, SOVEREIGN_POLICY), 7);
}

static void
requests_come_and_go(void **state)
{
#define A "01KAW6Y0000000000000000000"
#define B "01KAW6Y0000000000000000001"
	(void)state;
	hear("uw/home/approval/ezra/request/" A, "{\"task\":\"a\"}");
	hear("uw/home/approval/timmy/request/" B, "{\"task\":\"b\"}\n");
	hear("uw/home/approval/ezra/request/" A, "{\"task\":\"again\"}");
	hear("uw/home/approval/ezra/request/a-name-that-is-longer-than-any-id-of-a-task", "{}");
	assert_int_equal(k.nrequests, 2);
	assert_string_equal(json_text(known_request(&k, A)->o, "task"), "again");
	hear("uw/home/approval/ezra/request/" A, "\n");
	assert_int_equal(k.nrequests, 1);
	assert_null(known_request(&k, A));
	assert_string_equal(known_request(&k, B)->house, "timmy");
	hear("uw/home/approval/timmy/request/" B, "not JSON");
	assert_int_equal(k.nrequests, 0);
	hear("uw/home/approval/timmy/request/" B, "{}");
	assert_int_equal(k.nrequests, 1);
}

static void
what_an_agent_says_over_its_socket_counts_too(void **state)
{
	char *line = sealed(SOVEREIGN_HALT, "{'n':4,'time':1,'halts':[],'why':'x'}", key);

	(void)state;
	known_take_held(&k, "ezra-1", line, strlen(line));
	assert_int_equal(k.halt.s.n, 4);
	assert_int_equal(k.agents[0].holds[SOVEREIGN_HALT], 4);
	assert_true(k.agents[0].heard);
	known_take_held(&k, "nobody", line, strlen(line));
	free(line);
}

static void
prints(const char *text, const char *expected)
{
	char got[400] = "";
	FILE *f = tmpfile();
	int keep = dup(1);
	size_t n;

	fflush(stdout);
	dup2(fileno(f), 1);
	print_foreign(text, "> ");
	fflush(stdout);
	dup2(keep, 1);
	close(keep);
	rewind(f);
	n = fread(got, 1, sizeof got - 1, f);
	got[n] = '\0';
	fclose(f);
	assert_string_equal(got, expected);
}

static void
foreign_text_does_nothing_to_the_terminal(void **state)
{
	(void)state;
	prints("", "");
	prints("one\ntwo", "> one\n> two\n");
	prints("one\n\n", "> one\n> \n");
	prints("\033[2Jx\007\r", "> \\x1b[2Jx\\x07\\x0d\n");
	prints("a\tb\xc3\xa9\xe2\x82\xac", "> a\tb\xc3\xa9\xe2\x82\xac\n");
	prints("\xff\xc2\x9b" "1m\x7f", "> \\xff\\xc2\\x9b1m\\x7f\n");
	/* Marks that turn the order of what follows, that join, that hide. */
	prints("\xe2\x80\xae" "a\xe2\x81\xa6" "b\xe2\x80\x8b" "c\xef\xbb\xbf\xd8\x9c", "> \\xe2\\x80\\xaea\\xe2\\x81\\xa6b\\xe2\\x80\\x8bc\\xef\\xbb\\xbf\\xd8\\x9c\n");
}

static void
times_are_read_and_said(void **state)
{
	static const char *const bad[] = { "", "m", "10", "0m", "-1m", "10 m", "10min", "1.5h", "1000001s", "99999999999999999999d" };
	char text[40];

	(void)state;
	assert_int_equal(duration_ms("45s"), 45000);
	assert_int_equal(duration_ms("10m"), 600000);
	assert_int_equal(duration_ms("2h"), 7200000);
	assert_int_equal(duration_ms("7d"), 604800000);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(duration_ms(bad[i]), -1);
	print_when(text, sizeof text, 600000, 0);
	assert_string_equal(text, "in 10 m");
	print_when(text, sizeof text, 0, 7200000);
	assert_string_equal(text, "2 h ago");
	print_when(text, sizeof text, 0, 0);
	assert_string_equal(text, "0 s ago");
}

static void
yaml_becomes_a_tree(void **state)
{
	static const char good[] = "a: 1\nb: [true, \"1\", -3, 007, yes, 1.5]\nc: {d: {}, e: []}\n";
	static const char *const bad[] = { "", "a: ~", "a:", "a: 1\na: 2", "a: &x 1", "a: !!int 1", "a: [1", "{{}: 1}", "a: 1\n---\nb: 2" };
	struct buf b = { 0 };
	struct err e;
	cJSON *v = config_tree("f", good, sizeof good - 1, &e);

	(void)state;
	json_put_tree(&b, v);
	assert_string_equal(b.data, "{\"a\":1,\"b\":[true,\"1\",-3,\"007\",\"yes\",\"1.5\"],\"c\":{\"d\":{},\"e\":[]}}");
	buf_free(&b);
	cJSON_Delete(v);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (config_tree("f", bad[i], strlen(bad[i]), &e))
			fail_msg("%s was taken", bad[i]);
		assert_non_null(strstr(e.msg, "f:"));
	}
}

/* Whoever asks for nothing gets what the roles mean. */
static void
the_first_policy_has_the_houses_profiles(void **state)
{
	cJSON *v = edict_first_policy(&config);
	struct buf b = { 0 };

	(void)state;
	json_put_tree(&b, v);
	assert_string_equal(b.data, "{\"houses\":{\"ezra\":{\"profile\":\"none\"},\"timmy\":{\"profile\":\"judge\"}},\"production\":[],"
	    "\"rules\":[],\"approval_s\":86400,\"self_approval\":false}");
	buf_free(&b);
	cJSON_Delete(v);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_highest_number_that_our_key_signed_is_kept),
		T(grants_are_kept_by_id_and_the_newest_lists_the_living),
		T(an_agent_is_heard_when_it_says_more_than_the_broker_kept),
		T(what_agents_claim_counts_unless_it_is_absurd),
		T(requests_come_and_go),
		T(what_an_agent_says_over_its_socket_counts_too),
		T(foreign_text_does_nothing_to_the_terminal),
		T(times_are_read_and_said),
		T(yaml_becomes_a_tree),
		T(the_first_policy_has_the_houses_profiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
