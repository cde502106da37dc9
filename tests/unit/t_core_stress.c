/* What an agent lets go of while something is short, what it never lets go of, and that it ends. */
#include "coretest.h"

#include <string.h>

#include "state.h"

#define EVENTS "house/ezra/event"
#define LOG "house/ezra/log"
#define REPLIES "client/me/reply"
#define CONFIG "stress:\n  memory: { raise_s: 3s, clear_s: 10s }\n  queue-age: { limit: 20, raise_s: 2s, clear_s: 5s }\n" \
	"  breakers: { limit: 0, raise_s: 0s, clear_s: 5s }\nbreakers: { failures: 3, open_s: 10s, open_cap_s: 60s }\n"
#define MIB(n) ((int64_t)(n) << 20)

static struct coretest t;
static struct core_measures m;

static int
begin(void **state)
{
	(void)state;
	ct_setup(&t, CONFIG);
	ct_up(&t, false);
	m = (struct core_measures){ .disk_free_bytes = MIB(5000), .memory_free_bytes = MIB(5000) };
	return 0;
}

static int
end(void **state)
{
	(void)state;
	ct_teardown(&t);
	return 0;
}

static void
turn(void)
{
	assert_int_equal(ct_turn(&t), 0);
}

/* Seconds go by, with a measurement and a turn each. */
static void
seconds(int n)
{
	while (n--) {
		ct_pass(&t, 1000);
		ct_begin(&t);
		core_measured(t.core, &m);
		turn();
	}
}

static void
give(const char *more)
{
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'read_tool'%s}", more);
	turn();
}

static size_t
refused(void)
{
	return ct_count(&t, REPLIES, NULL, "rejected");
}

/* As its health says: of what. */
static cJSON *
health(void)
{
	struct buf b = { 0 };
	cJSON *o;

	core_health(t.core, "online", NULL, &b);
	o = json_parse_object(b.data, b.len, &t.e);
	buf_free(&b);
	assert_non_null(o);
	return o;
}

static bool
is_under(const char *name, const char *house)
{
	cJSON *o = health();
	const cJSON *v;
	bool found = false;

	cJSON_ArrayForEach(v, cJSON_GetObjectItem(o, "stress"))
		found |= strcmp(json_text(v, "name"), name) == 0 && strcmp(json_text(v, "house"), house) == 0;
	assert_true(!found || json_is_true(o, "degraded"));
	assert_true(json_is_true(o, "degraded") == (cJSON_GetObjectItem(o, "stress") != NULL));
	cJSON_Delete(o);
	return found;
}

static void
little_memory_is_stress_and_ends_with_hysteresis(void **state)
{
	(void)state;
	m.memory_free_bytes = MIB(63);
	seconds(3);
	assert_false(is_under("memory", ""));
	seconds(1);
	assert_true(is_under("memory", ""));
	/* More than the limit, but not yet enough. */
	m.memory_free_bytes = MIB(90);
	seconds(60);
	assert_true(is_under("memory", ""));
	m.memory_free_bytes = MIB(96);
	seconds(10);
	assert_true(is_under("memory", ""));
	m.memory_free_bytes = MIB(95);
	seconds(1);
	m.memory_free_bytes = MIB(96);
	seconds(10);
	assert_true(is_under("memory", ""));
	seconds(1);
	assert_false(is_under("memory", ""));
	m.memory_free_bytes = MIB(90);
	seconds(60);
	assert_false(is_under("memory", ""));
}

static void
health_says_since_when_and_by_how_much(void **state)
{
	const cJSON *v;
	cJSON *o;

	(void)state;
	m.memory_free_bytes = MIB(5);
	seconds(30);
	o = health();
	v = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "stress"), 0);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "stress")), 1);
	assert_int_equal(ct_num(v, "value"), 5);
	assert_int_equal(ct_num(v, "limit"), 64);
	assert_int_equal(ct_num(v, "clear"), 96);
	assert_string_equal(ct_str(v, "unit"), "MiB");
	assert_string_equal(ct_str(v, "since"), "2025-11-24T16:00:04.000Z");
	cJSON_Delete(o);
}

static void
low_priority_is_refused_and_nothing_else(void **state)
{
	const cJSON *v;
	size_t before;

	(void)state;
	give(",'priority':0");
	assert_int_equal(t.nstarted, 1);
	m.memory_free_bytes = MIB(5);
	seconds(5);
	/* What was accepted goes on, and is told. */
	ct_begin(&t);
	ct_end_all(&t);
	turn();
	assert_int_equal(ct_count(&t, EVENTS, NULL, "outcome"), 1);
	assert_int_equal(ct_count(&t, REPLIES, NULL, "outcome"), 1);
	before = t.nstarted;
	for (int p = 0; p < 10; p++) {
		ct_begin(&t);
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','priority':%d}", p);
		turn();
	}
	give("");
	assert_int_equal(refused(), 4);
	assert_int_equal(t.nstarted - before, 7);
	v = ct_last(&t, REPLIES, NULL, "rejected");
	assert_string_equal(ct_str(v, "error.code"), "busy");
	assert_int_equal(ct_num(v, "error.retry_after_s"), 30);
	assert_string_equal(ct_str(v, "error.message"),
	    "ezra-1 is under stress (memory), and takes nothing of a priority below 4; retry after 30 s");
	m.memory_free_bytes = MIB(5000);
	seconds(12);
	give(",'priority':0");
	assert_int_equal(refused(), 4);
}

static void
houses_yaml_says_which_priority_and_may_switch_it_off(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "limits: { stress_priority: 0 }\nstress: { memory: { raise_s: 0s }, disk: { use: off } }\n");
	ct_up(&t, false);
	m.memory_free_bytes = m.disk_free_bytes = MIB(5);
	seconds(30);
	assert_true(is_under("memory", ""));
	assert_false(is_under("disk", ""));
	give(",'priority':0");
	assert_int_equal(refused(), 0);
}

static void
what_cannot_be_measured_is_no_stress(void **state)
{
	(void)state;
	m.memory_free_bytes = m.disk_free_bytes = MIB(5);
	seconds(10);
	assert_true(is_under("memory", "") && is_under("disk", ""));
	m.memory_free_bytes = m.disk_free_bytes = -1;
	seconds(70);
	assert_false(is_under("memory", "") || is_under("disk", ""));
	seconds(70);
	assert_false(is_under("memory", "") || is_under("disk", ""));
}

/* One slow second is none, and nothing to commit is the end of it. */
static void
slow_commits_are_stress_when_they_go_on(void **state)
{
	(void)state;
	m.commit_us = 2000000;
	seconds(1);
	m.commit_us = 1000;
	seconds(60);
	assert_false(is_under("commit-latency", ""));
	m.commit_us = 400000;
	seconds(15);
	assert_true(is_under("commit-latency", ""));
	m.commit_us = 0;
	seconds(30);
	assert_true(is_under("commit-latency", ""));
	seconds(10);
	assert_false(is_under("commit-latency", ""));
}

/* Four slots: the fifth waits. */
static void
a_long_wait_is_stress_of_its_house(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		give("");
	assert_int_equal(t.nstarted, 4);
	seconds(24);
	assert_true(is_under("queue-age", "ezra"));
	give(",'priority':3");
	assert_int_equal(refused(), 1);
	ct_begin(&t);
	ct_end_all(&t);
	turn();
	assert_int_equal(t.nstarted, 5);
	seconds(7);
	assert_false(is_under("queue-age", "ezra"));
	give(",'priority':3");
	assert_int_equal(refused(), 1);
}

static void
that_low_priority_waits_is_none(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		give(",'priority':3");
	assert_int_equal(t.nstarted, 4);
	seconds(120);
	assert_false(is_under("queue-age", "ezra"));
}

static void
open_breakers_are_stress_until_they_may_be_tried(void **state)
{
	(void)state;
	for (int n = 1; n <= 3; n++) {
		ct_begin(&t);
		ct_taskf(&t, "ezra", "me", "{'tool':'http_get','id':'%s','retry':{'max':1},'params':{'url':'http://a.example/'}}", ct_id(n));
		turn();
		ct_begin(&t);
		ct_end_down(&t, ct_id(n));
		turn();
	}
	seconds(2);
	assert_true(is_under("breakers", "ezra"));
	seconds(10 + 6);
	assert_false(is_under("breakers", "ezra"));
}

static int64_t
limit_of(int n, const char *more)
{
	int64_t ms;

	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'file_hash','id':'%s','params':{'path':'/srv/x'}%s}", ct_id(n), more);
	turn();
	ms = ct_running(&t, ct_id(n))->timeout_ms;
	ct_begin(&t);
	ct_end(&t, ct_id(n), POOL_SUCCEEDED, "{}");
	turn();
	return ms;
}

static void
intelligent_is_simple_meanwhile(void **state)
{
	(void)state;
	for (int n = 1; n <= 40; n++)
		limit_of(n, "");
	assert_int_equal(limit_of(50, ",'mode':'intelligent'"), 10000);
	m.memory_free_bytes = MIB(5);
	seconds(5);
	assert_int_equal(limit_of(51, ",'mode':'intelligent'"), 300000);
	m.memory_free_bytes = MIB(5000);
	seconds(12);
	assert_int_equal(limit_of(52, ",'mode':'intelligent'"), 10000);
}

static void
writes(const char *text)
{
	ct_begin(&t);
	core_attempt_log(t.core, ct_running(&t, ct_id(1))->handle, text, strlen(text));
	turn();
}

/* It comes less often, and all of it. */
static void
output_is_told_less_often_meanwhile(void **state)
{
	(void)state;
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'read_tool','id':'%s'}", ct_id(1));
	turn();
	m.memory_free_bytes = MIB(5);
	seconds(5);
	for (int i = 0; i < 40; i++) {
		writes("x");
		ct_pass(&t, 250);
		ct_begin(&t);
		turn();
	}
	assert_in_range(ct_count(&t, LOG, ct_id(1), "output"), 4, 6);
	ct_begin(&t);
	ct_end(&t, ct_id(1), POOL_SUCCEEDED, "1");
	turn();
	assert_int_equal(ct_num(ct_last(&t, LOG, ct_id(1), "output"), "offset") +
	    (int64_t)strlen(ct_str(ct_last(&t, LOG, ct_id(1), "output"), "text")), 40);
	assert_int_equal(ct_count(&t, EVENTS, ct_id(1), "outcome"), 1);
}

/* Its own configuration promises it. */
static void
a_schedule_runs_all_the_same(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "stress: { memory: { raise_s: 0s } }\nschedules: { a: { cron: '* * * * *', house: ezra, "
	    "task: '{\"tool\":\"noop\",\"priority\":0}' } }\n");
	ct_up(&t, false);
	m.memory_free_bytes = MIB(5);
	seconds(5);
	assert_true(is_under("memory", ""));
	seconds(130);
	assert_in_range(t.nstarted, 2, 3);
	assert_int_equal(ct_count(&t, EVENTS, NULL, "rejected"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(little_memory_is_stress_and_ends_with_hysteresis),
		TEST(health_says_since_when_and_by_how_much),
		TEST(low_priority_is_refused_and_nothing_else),
		TEST(houses_yaml_says_which_priority_and_may_switch_it_off),
		TEST(what_cannot_be_measured_is_no_stress),
		TEST(slow_commits_are_stress_when_they_go_on),
		TEST(a_long_wait_is_stress_of_its_house),
		TEST(that_low_priority_waits_is_none),
		TEST(open_breakers_are_stress_until_they_may_be_tried),
		TEST(intelligent_is_simple_meanwhile),
		TEST(output_is_told_less_often_meanwhile),
		TEST(a_schedule_runs_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
