/* Breakers: when they open, who may try, what waits meanwhile, and that the next owner knows. */
#include "coretest.h"

#include "state.h"

#define CONFIG "breakers: { failures: 3, open_s: 10s, open_cap_s: 60s }\n"
#define EVENTS "house/ezra/event"

static struct coretest t;
static struct net net;

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, CONFIG);
	ct_up(&t, false);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ct_teardown(&t);
	return 0;
}

static void
turns(int n)
{
	for (int i = 0; i < n; i++) {
		ct_begin(&t);
		assert_int_equal(ct_turn(&t), 0);
	}
}

static void
pass(int64_t ms)
{
	ct_pass(&t, ms);
	turns(3);
}

static void
get(int n, const char *url)
{
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'http_get','id':'%s','params':{'url':'%s'}}", ct_id(n), url);
	turns(1);
}

static void
down(int n)
{
	ct_end_down(&t, ct_id(n));
	turns(2);
}

static void
well(int n)
{
	ct_end(&t, ct_id(n), POOL_SUCCEEDED, NULL);
	turns(2);
}

static bool
runs(int n)
{
	return ct_running(&t, ct_id(n));
}

static void
assert_state(int n, const char *state)
{
	assert_string_equal(ct_state(&t, ct_id(n)), state);
	turns(1);
}

#define A "http://a.example/x"

/* Tasks 1 to 3 fail there. */
static void
open_it(void)
{
	for (int n = 1; n <= 3; n++) {
		get(n, A);
		down(n);
	}
}

static void
breaker_opens_after_failures_in_a_row(void **state)
{
	const cJSON *e;

	(void)state;
	get(1, A);
	down(1);
	get(2, A);
	down(2);
	get(3, "https://me@A.example:443/y?z");
	well(3);
	assert_int_equal(ct_count(&t, EVENTS, NULL, "breaker"), 0);
	for (int n = 4; n <= 6; n++) {
		get(n, "http://A.EXAMPLE/other");
		assert_true(runs(n));
		down(n);
	}
	e = ct_last(&t, EVENTS, NULL, "breaker");
	assert_string_equal(ct_str(e, "state"), "open");
	assert_string_equal(ct_str(e, "agent"), "ezra-1");
	assert_string_equal(ct_str(e, "tool"), "http_get");
	assert_string_equal(ct_str(e, "target"), "a.example");
	assert_string_equal(ct_str(e, "error"), "connection refused");
	assert_int_equal(ct_num(e, "failures"), 3);
	assert_int_equal(ct_health(&t, "ezra", "breakers_open"), 1);
}

static void
what_is_the_tasks_fault_does_not_count(void **state)
{
	(void)state;
	for (int n = 1; n <= 8; n++) {
		get(n, A);
		if (n % 2)
			ct_end(&t, ct_id(n), POOL_CRASHED, NULL);
		else
			ct_end(&t, ct_id(n), POOL_FAILED, NULL);
		turns(2);
		if (runs(n))
			well(n);
	}
	assert_int_equal(ct_count(&t, EVENTS, NULL, "breaker"), 0);
}

static void
a_timeout_counts_and_failures_long_ago_do_not(void **state)
{
	(void)state;
	for (int n = 1; n <= 2; n++) {
		get(n, A);
		ct_end(&t, ct_id(n), POOL_TIMEOUT, NULL);
		turns(2);
	}
	pass(61000);
	get(3, A);
	down(3);
	assert_int_equal(ct_count(&t, EVENTS, NULL, "breaker"), 0);
	get(4, A);
	down(4);
	get(5, A);
	ct_end(&t, ct_id(5), POOL_TIMEOUT, NULL);
	turns(2);
	assert_int_equal(ct_count(&t, EVENTS, NULL, "breaker"), 1);
}

static void
nothing_begins_while_it_is_open_and_waits_without_a_try(void **state)
{
	(void)state;
	open_it();
	get(4, A);
	assert_false(runs(4));
	assert_state(4, "scheduled");
	get(5, "http://b.example/");
	assert_true(runs(5));
	assert_string_equal(ct_str(ct_last(&t, EVENTS, ct_id(4), "scheduled"), "held"),
	    "the breaker of http_get at a.example is open until 2025-11-24T16:00:10.000Z: connection refused");
	pass(9000);
	assert_false(runs(4));
	pass(1000);
	assert_true(runs(4));
	assert_int_equal(ct_num(ct_last(&t, EVENTS, ct_id(4), "started"), "attempt"), 1);
}

static void
one_task_tries_and_the_others_follow_if_it_is_answered(void **state)
{
	(void)state;
	open_it();
	for (int n = 4; n <= 8; n++)
		get(n, A);
	pass(10000);
	assert_true(runs(4));
	assert_int_equal(t.nrun, 1);
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "breaker"), "state"), "half_open");
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "breaker"), "probe"), ct_id(4));
	get(9, A);
	assert_false(runs(9));
	pass(8000);
	assert_int_equal(t.nrun, 1);
	well(4);
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "breaker"), "state"), "closed");
	turns(2);
	assert_int_equal(t.nrun, 4);
	for (int n = 5; n <= 8; n++)
		well(n);
	well(9);
	assert_int_equal(ct_health(&t, "ezra", "breakers_open"), -1);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM breakers"), 0);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks WHERE held IS NOT NULL"), 0);
}

static void
it_opens_for_longer_each_time_the_probe_fails(void **state)
{
	static const int64_t ms[] = { 10000, 20000, 40000, 60000, 60000 };

	(void)state;
	open_it();
	for (int i = 0; i < 5; i++) {
		int n = 10 + i;

		get(n, A);
		pass(ms[i] - 1);
		assert_false(runs(n));
		pass(1);
		assert_true(runs(n));
		down(n);
		assert_state(n, "failed");
	}
	get(20, A);
	pass(60000);
	well(20);
	get(21, A);
	assert_true(runs(21));
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM breakers"), 0);
}

static void
a_probe_that_comes_to_nothing_is_followed_by_another(void **state)
{
	(void)state;
	open_it();
	get(4, A);
	get(5, A);
	pass(10000);
	assert_true(runs(4));
	ct_end(&t, ct_id(4), POOL_CRASHED, NULL);
	turns(2);
	assert_false(runs(5));
	pass(1000);
	assert_int_equal(t.nrun, 1);
	assert_int_equal(ct_num(ct_last(&t, EVENTS, NULL, "breaker"), "opened"), 1);
}

static void
what_waits_may_be_cancelled_and_expires(void **state)
{
	char text[80];

	(void)state;
	open_it();
	get(4, A);
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'http_get','id':'%s','deadline':%lld,'params':{'url':'" A "'}}", ct_id(5),
	    (long long)t.now.wall_ms + 5000);
	turns(1);
	snprintf(text, sizeof text, "{'op':'cancel','id':'%s'}", ct_id(4));
	ct_begin(&t);
	ct_local(&t, 1, text);
	turns(1);
	assert_state(4, "cancelled");
	assert_state(5, "scheduled");
	pass(5001);
	assert_state(5, "expired");
	pass(10000);
	assert_int_equal(t.nrun, 0);
}

static void
retries_wait_for_it_too(void **state)
{
	(void)state;
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'http_get','id':'%s','params':{'url':'" A "'},'retry':{'max':3,'base_s':1,'cap_s':1}}",
	    ct_id(9));
	turns(1);
	down(9);
	assert_state(9, "retrying");
	get(1, A);
	down(1);
	get(2, A);
	down(2);
	pass(2000);
	assert_state(9, "scheduled");
	pass(8000);
	assert_true(runs(9));
	assert_int_equal(ct_num(ct_last(&t, EVENTS, ct_id(9), "started"), "attempt"), 2);
	well(9);
	assert_state(9, "succeeded");
}

static void
it_is_known_in_the_next_life(void **state)
{
	(void)state;
	open_it();
	get(4, A);
	get(5, A);
	ct_kill(&t);
	ct_up(&t, true);
	turns(3);
	assert_int_equal(t.nrun, 0);
	assert_state(4, "scheduled");
	pass(10000);
	assert_true(runs(4));
	assert_int_equal(t.nrun, 1);
	/* The probe dies with its agent: another one may try. */
	ct_kill(&t);
	ct_up(&t, true);
	pass(1000);
	pass(6000);
	assert_int_equal(t.nrun, 1);
	ct_end_all(&t);
	turns(3);
	assert_int_equal(t.nrun, 1);
}

static void
what_is_held_by_nothing_that_is_known_is_let_go_of(void **state)
{
	(void)state;
	open_it();
	get(4, A);
	get(5, A);
	ct_sql(&t, "DELETE FROM breakers");
	ct_kill(&t);
	ct_up(&t, true);
	turns(3);
	assert_true(runs(4));
	assert_true(runs(5));
}

static void
order(const char *what, const char *tool, const char *target, const char *who)
{
	char topic[TOPIC_MAX], reply[TOPIC_MAX], text[400];

	topic_format(topic, "home", TOPIC_QUERY, "ezra", who);
	topic_format(reply, "home", TOPIC_REPLY, who, "r");
	snprintf(text, sizeof text, "{'breaker':{'do':'%s','tool':'%s','target':'%s'}}", what, tool, target);
	ct_begin(&t);
	ct_send(&t, topic, text, reply, NULL);
	turns(2);
}

static const char *
refusal(const char *who)
{
	char topic[TOPIC_MAX];

	topic_format(topic, "home", TOPIC_REPLY, who, "r");
	return ct_str(ct_last(&t, topic, NULL, "error"), "error.code");
}

static void
by_hand_it_is_open_until_it_is_closed(void **state)
{
	(void)state;
	order("open", "http_get", "https://a.example/there", "timmy");
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "breaker"), "agent"), "*");
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "breaker"), "by"), "timmy");
	get(1, A);
	pass(3600000);
	assert_state(1, "scheduled");
	ct_kill(&t);
	ct_up(&t, true);
	turns(2);
	assert_state(1, "scheduled");
	order("close", "http_get", "a.example", "timmy");
	turns(2);
	assert_true(runs(1));
	order("close", "http_get", "a.example", "timmy");
	assert_string_equal(refusal("timmy"), "state");
}

static void
who_may_not_and_what_has_no_target_is_refused(void **state)
{
	(void)state;
	order("open", "http_get", "a.example", "me");
	assert_string_equal(refusal("me"), "denied");
	order("open", "noop", "a.example", "timmy");
	assert_string_equal(refusal("timmy"), "invalid");
	order("open", "nothing", "a.example", "timmy");
	assert_string_equal(refusal("timmy"), "unknown_tool");
	order("kick", "http_get", "a.example", "timmy");
	assert_string_equal(refusal("timmy"), "invalid");
	assert_int_equal(ct_count(&t, EVENTS, NULL, "breaker"), 0);
}

static void
there_are_so_many_and_no_more(void **state)
{
	char url[64];

	(void)state;
	for (int i = 0; i < BREAKERS_MAX + 20; i++) {
		snprintf(url, sizeof url, "h%d.example", i);
		order("open", "http_get", url, "timmy");
	}
	assert_string_equal(refusal("timmy"), "busy");
	assert_int_equal(ct_health(&t, "ezra", "breakers_open"), BREAKERS_MAX);
	/* Beyond them nobody counts, and all is tried. */
	for (int n = 1; n <= 4; n++) {
		get(n, A);
		down(n);
	}
	get(5, A);
	assert_true(runs(5));
	order("close", "http_get", "h0.example", "timmy");
	for (int n = 10; n <= 12; n++) {
		get(n, A);
		down(n);
	}
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "breaker"), "target"), "a.example");
}

static void
a_clock_that_was_set_back_does_not_keep_it_open(void **state)
{
	(void)state;
	open_it();
	get(4, A);
	t.now.wall_ms -= 3600000;
	pass(6000);
	assert_true(runs(4));
}

/* ---- several agents ---- */

static int
setup_net(void **state)
{
	(void)state;
	net_setup_more(&net, 3, "agents: [ezra-1, timmy-1]", NULL, CONFIG);
	net_begin(&net);
	net_run(&net, 1500);
	return 0;
}

static int
teardown_net(void **state)
{
	(void)state;
	net_teardown(&net);
	return 0;
}

static void
net_get(int n)
{
	net_task(&net, "me", "{'tool':'http_get','id':'%s','params':{'url':'" A "'}}", ct_id(n));
	net_run(&net, 300);
}

static int
node_of(int n)
{
	for (int i = 0; i < 3; i++)
		if (ct_running(&net.node[i].t, ct_id(n)))
			return i;
	return -1;
}

/* All that run there fail, and from now on all that are given to it. */
static void
fail_at(int node)
{
	struct coretest *x = &net.node[node].t;

	while (x->core && x->nrun)
		ct_end_down(x, x->run[0].id);
	net_run(&net, 300);
}

static void
end_at(int node)
{
	if (net.node[node].t.core) {
		ct_begin(&net.node[node].t);
		ct_end_all(&net.node[node].t);
	}
	net_run(&net, 300);
}

/* Until nobody gives it anything. */
static int
open_at(int node, int n)
{
	for (int i = 0; i < 40 && breaker_count_open(net_house(&net, 0)) <= node; i++) {
		net_get(++n);
		for (int k = 0; k <= node; k++)
			fail_at(k);
		end_at(node ? 2 : 1);
	}
	return n;
}

static void
others_that_reach_it_get_the_work(void **state)
{
	int n = open_at(0, 0);

	(void)state;
	assert_int_equal(breaker_count_open(net_house(&net, 0)), 1);
	for (int i = 0; i < 6; i++) {
		net_get(++n);
		assert_int_equal(node_of(n), 1);
		end_at(1);
	}
}

static void
the_next_owner_knows_what_is_open(void **state)
{
	int n = open_at(1, 0), probes = 0;

	(void)state;
	assert_int_equal(breaker_count_open(net_house(&net, 0)), 2);
	assert_int_equal(breaker_count_open(net_house(&net, 1)), 2);
	assert_int_equal(breaker_count_open(net_house(&net, 2)), 2);
	net_get(++n);
	net_get(++n);
	net_get(++n);
	assert_int_equal(node_of(n), -1);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 4000) >= 0);
	net_run(&net, 1000);
	assert_int_equal(node_of(n), -1);
	/* ezra-1 is gone: one probe at timmy-1, no more. */
	for (int i = 0; i < 400 && !probes; i++) {
		net_run(&net, 50);
		probes = (int)net.node[1].t.nrun;
	}
	net_run(&net, 2000);
	assert_int_equal(net.node[1].t.nrun, 1);
	end_at(1);
	net_run(&net, 500);
	end_at(1);
	net_run(&net, 500);
	assert_string_equal(ct_state(&net.node[1].t, ct_id(n)), "succeeded");
	assert_string_equal(ct_state(&net.node[1].t, ct_id(n - 1)), "succeeded");
	assert_string_equal(ct_state(&net.node[1].t, ct_id(n - 2)), "succeeded");
}

static void
who_gets_in_step_learns_them(void **state)
{
	(void)state;
	net_kill(&net, 2);
	net_lose_disk(&net, 2);
	net_run(&net, 1000);
	open_at(1, 0);
	assert_int_equal(breaker_count_open(net_house(&net, 0)), 2);
	net_start(&net, 2);
	assert_true(net_wait_in_step(&net, 2, 20000) >= 0);
	assert_int_equal(breaker_count_open(net_house(&net, 2)), breaker_count_open(net_house(&net, 0)));
	assert_int_equal(ct_sql(&net.node[2].t, "SELECT count(*) FROM breakers WHERE house = 'ezra'"),
	    breaker_count_open(net_house(&net, 0)));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NET(f) cmocka_unit_test_setup_teardown(f, setup_net, teardown_net)

/* Of 200 attempts so many did not get through. */
static void
teach(int bad)
{
	static int source;
	struct buf b = { 0 };

	buf_addf(&b, "{'op':'intelligence','do':'import','source':'s%d','house':'timmy','after':0,'upto':1,'attempts':[", ++source);
	for (int i = 0; i < 200; i++)
		buf_addf(&b, "%s{'tool':'http_get','at':%lld,'us':1000,'shape':'1f'%s}", i ? "," : "", (long long)T0 - 3600000 + i * 1000,
		    i * bad / 200 != (i + 1) * bad / 200 ? ",'why':'network'" : "");
	buf_adds(&b, "]}");
	ct_begin(&t);
	ct_local(&t, 7, b.data);
	turns(1);
	buf_free(&b);
}

static void
get_so(int n, const char *mode)
{
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'http_get','id':'%s','mode':'%s','params':{'url':'" A "'}}", ct_id(n), mode);
	turns(1);
}

/* Failures in a row until it is open, in tasks from that number on. */
static int
failures_until_open(int from, const char *mode)
{
	size_t before = ct_count(&t, EVENTS, NULL, "breaker");

	for (int n = from; n < from + 100; n++) {
		get_so(n, mode);
		assert_true(runs(n));
		down(n);
		if (ct_count(&t, EVENTS, NULL, "breaker") > before)
			return n - from + 1;
	}
	return -1;
}

static void
assert_opens_after(int bad, const char *mode, int failures)
{
	teardown(NULL);
	setup(NULL);
	teach(bad);
	assert_int_equal(failures_until_open(1, mode), failures);
}

/* By chance at most once in a thousand: 0.49 to the tenth. */
static void
a_tool_that_often_fails_is_given_more_failures(void **state)
{
	(void)state;
	assert_opens_after(98, "intelligent", 10);
	assert_opens_after(98, "simple", 3);
	/* Never fewer than are configured, nor more than ten times as many. */
	assert_opens_after(0, "intelligent", 3);
	assert_opens_after(200, "intelligent", 30);
	/* Nothing is adapted by what little is known, nor while it is frozen. */
	teardown(NULL);
	setup(NULL);
	assert_int_equal(failures_until_open(1, "intelligent"), 3);
	teardown(NULL);
	setup(NULL);
	teach(98);
	ct_begin(&t);
	ct_local(&t, 7, "{'op':'intelligence','do':'freeze'}");
	turns(1);
	assert_int_equal(failures_until_open(1, "intelligent"), 3);
}

static void
an_answer_begins_the_count_anew_and_a_simple_task_keeps_to_what_is_configured(void **state)
{
	const cJSON *o = NULL, *x;
	int waited = 0;

	(void)state;
	teach(98);
	for (int n = 1; n <= 9; n++) {
		get_so(n, "intelligent");
		down(n);
	}
	get_so(10, "intelligent");
	well(10);
	for (int n = 11; n <= 19; n++) {
		get_so(n, "intelligent");
		down(n);
	}
	assert_int_equal(ct_count(&t, EVENTS, NULL, "breaker"), 0);
	get_so(20, "simple");
	down(20);
	assert_int_equal(ct_num(ct_last(&t, EVENTS, NULL, "breaker"), "failures"), 10);
	/* Each time that it waited for more is told once. */
	ct_begin(&t);
	ct_local(&t, 7, "{'op':'intelligence','do':'show'}");
	turns(1);
	for (size_t i = 0; i < t.nlines; i++)
		if (!t.lines[i].topic && strcmp(json_text(t.lines[i].v, "type"), "intelligence") == 0)
			o = t.lines[i].v;
	cJSON_ArrayForEach(x, cJSON_GetObjectItem(o, "adapted"))
		if (strcmp(json_text(x, "what"), "breaker") == 0) {
			assert_string_equal(ct_str(x, "agent"), "ezra-1");
			assert_int_equal(ct_num(x, "failures"), 10 + waited++);
		}
	assert_int_equal(waited, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(breaker_opens_after_failures_in_a_row),
		TEST(what_is_the_tasks_fault_does_not_count),
		TEST(a_timeout_counts_and_failures_long_ago_do_not),
		TEST(nothing_begins_while_it_is_open_and_waits_without_a_try),
		TEST(one_task_tries_and_the_others_follow_if_it_is_answered),
		TEST(it_opens_for_longer_each_time_the_probe_fails),
		TEST(a_probe_that_comes_to_nothing_is_followed_by_another),
		TEST(what_waits_may_be_cancelled_and_expires),
		TEST(retries_wait_for_it_too),
		TEST(it_is_known_in_the_next_life),
		TEST(what_is_held_by_nothing_that_is_known_is_let_go_of),
		TEST(by_hand_it_is_open_until_it_is_closed),
		TEST(who_may_not_and_what_has_no_target_is_refused),
		TEST(there_are_so_many_and_no_more),
		TEST(a_clock_that_was_set_back_does_not_keep_it_open),
		NET(others_that_reach_it_get_the_work),
		NET(the_next_owner_knows_what_is_open),
		NET(who_gets_in_step_learns_them),
		TEST(a_tool_that_often_fails_is_given_more_failures),
		TEST(an_answer_begins_the_count_anew_and_a_simple_task_keeps_to_what_is_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
