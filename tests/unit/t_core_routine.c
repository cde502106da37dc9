/* Schedules that were added by command: each time is one task, whoever owns the house and whatever happens meanwhile. */
#include "coretest.h"

#include "state.h"

#define EVENTS "house/ezra/event"
#define MINUTE 60000
#define EACH_MINUTE "'cron':'* * * * *','task':{'tool':'noop'}"

static struct coretest t;
static struct net net;

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, "limits: {schedules: 3}\nschedules:\n"
	    "  fixed: {cron: \"0 0 1 1 *\", house: ezra, task: '{\"tool\":\"noop\"}'}\n");
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
		ct_end_all(&t);
		assert_int_equal(ct_turn(&t), 0);
	}
}

static void
pass(int64_t ms)
{
	ct_pass(&t, ms);
	turns(4);
}

/* To the owner of the house; text is what stands beside "do" and "name". */
static void
ask(const char *who, const char *text)
{
	char topic[TOPIC_MAX], reply[TOPIC_MAX];

	topic_format(topic, "home", TOPIC_QUERY, "ezra", who);
	topic_format(reply, "home", TOPIC_REPLY, who, "r");
	ct_forget(&t);
	ct_begin(&t);
	ct_send(&t, topic, text, reply, NULL);
	turns(2);
}

static void
order(const char *who, const char *what, const char *name, const char *more)
{
	char text[6000];

	snprintf(text, sizeof text, "{'schedule':{'do':'%s','name':'%s'%s%s}}", what, name, *more ? "," : "", more);
	ask(who, text);
}

static const cJSON *
told(const char *who, const char *type)
{
	char topic[TOPIC_MAX];

	topic_format(topic, "home", TOPIC_REPLY, who, "r");
	return ct_last(&t, topic, NULL, type);
}

static void
refused(const char *who, const char *what, const char *name, const char *more, const char *code, const char *field)
{
	order(who, what, name, more);
	assert_string_equal(ct_str(told(who, "error"), "error.code"), code);
	assert_string_equal(ct_str(told(who, "error"), "error.field"), field);
}

static void
add(const char *more)
{
	order("operator", "add", "tick", more);
	assert_string_equal(ct_str(told("operator", "schedule_set"), "name"), "tick");
}

static int64_t
runs(const char *where)
{
	char sql[200];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM tasks WHERE sender = 'operator'%s%s", *where ? " AND " : "", where);
	return ct_sql(&t, sql);
}

/* Whole minutes: T0 is one. */
static void
each_time_is_a_task_of_its_sender(void **state)
{
	const cJSON *row;

	(void)state;
	add(EACH_MINUTE);
	assert_string_equal(ct_str(told("operator", "schedule_set"), "next"), "2025-11-24T16:01:00.000Z");
	assert_int_equal(runs(""), 0);
	for (int i = 1; i <= 3; i++) {
		pass(MINUTE);
		assert_int_equal(runs("state = 9"), i);
	}
	assert_int_equal(runs(""), 3);
	assert_true(t.next <= t.now.mono_ms + MINUTE);
	ask("operator", "{'schedules':{}}");
	assert_int_equal(ct_num(told("operator", "end"), "count"), 2);
	assert_string_equal(ct_str(told("operator", "schedule"), "from"), "configuration");
	ask("operator", "{'schedules':{}}");
	row = NULL;
	for (size_t i = 0; i < t.nlines; i++)
		if (strcmp(ct_str(t.lines[i].v, "from"), "command") == 0)
			row = t.lines[i].v;
	assert_non_null(row);
	assert_string_equal(ct_str(row, "sender"), "operator");
	assert_string_equal(ct_str(row, "came"), "made");
	assert_string_equal(ct_str(row, "state"), "succeeded");
	assert_string_equal(ct_str(row, "last"), "2025-11-24T16:03:00.000Z");
	assert_string_equal(ct_str(row, "next"), "2025-11-24T16:04:00.000Z");
	assert_string_equal(ct_state(&t, ct_str(row, "task_id")), "succeeded");
}

static void
the_agent_wakes_for_it(void **state)
{
	(void)state;
	add("'cron':'*/5 * * * *','task':{'tool':'noop'}");
	for (int n = 1; n <= 2; n++) {
		for (int i = 0; i < 10000 && runs("") < n; i++) {
			turns(1);
			if (runs("") < n)
				ct_pass(&t, t.next > t.now.mono_ms ? t.next - t.now.mono_ms : 0);
		}
		assert_int_equal(runs(""), n);
		assert_int_equal(t.now.wall_ms, T0 + 5 * n * MINUTE);
	}
}

static void
what_is_wrong_is_named_at_once(void **state)
{
	static const char *const wrong[][3] = {
		{ "'task':{'tool':'noop'}", "missing", "cron" },
		{ "'cron':'61 * * * *','task':{'tool':'noop'}", "invalid", "cron" },
		{ "'cron':'0 0 30 2 *','task':{'tool':'noop'}", "invalid", "cron" },
		{ "'zone':'No/Where'," EACH_MINUTE, "invalid", "zone" },
		{ "'missed':'once'," EACH_MINUTE, "invalid", "missed" },
		{ "'cron':'* * * * *'", "invalid", "task" },
		{ "'cron':'* * * * *','task':{'tool':'nope'}", "unknown_tool", "tool" },
		{ "'cron':'* * * * *','task':{'tool':'wait','params':{'ms':'x'}}", "invalid", "params.ms" },
		{ "'cron':'* * * * *','task':{'tool':'noop','mode':'odd'}", "invalid", "mode" },
		{ "'cron':'* * * * *','task':{'tool':'noop','timeout_s':604800}", "invalid", "timeout_s" },
		{ "'cron':'* * * * *','task':{'tool':'noop','key':'a'}", "invalid", "task.key" },
		{ "'cron':'* * * * *','task':{'tool':'noop','mode':'sovereign'}", "denied", "mode" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		refused("operator", "add", "tick", wrong[i][0], wrong[i][1], wrong[i][2]);
	refused("operator", "add", "Bad name", EACH_MINUTE, "invalid", "name");
	refused("operator", "add", "fixed", EACH_MINUTE, "conflict", "name");
	refused("operator", "do", "tick", EACH_MINUTE, "invalid", "do");
	refused("operator", "remove", "tick", "", "not_found", "name");
	refused("operator", "pause", "fixed", "", "state", "name");
	refused("watcher", "add", "tick", EACH_MINUTE, "denied", "");
	refused("nobody", "add", "tick", EACH_MINUTE, "denied", "");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM schedules"), 0);
	assert_int_equal(ct_count(&t, EVENTS, NULL, "schedule"), 0);
}

static void
the_same_again_is_no_second_one(void **state)
{
	(void)state;
	add(EACH_MINUTE);
	add(EACH_MINUTE);
	assert_int_equal(ct_count(&t, EVENTS, NULL, "schedule"), 0);
	refused("operator", "add", "tick", "'cron':'*/2 * * * *','task':{'tool':'noop'}", "conflict", "name");
	pass(MINUTE);
	assert_int_equal(runs(""), 1);
}

static void
a_house_has_so_many(void **state)
{
	(void)state;
	order("operator", "add", "a", EACH_MINUTE);
	order("operator", "add", "b", EACH_MINUTE);
	order("operator", "add", "c", EACH_MINUTE);
	refused("operator", "add", "d", EACH_MINUTE, "busy", "");
	order("operator", "remove", "a", "");
	order("operator", "add", "d", EACH_MINUTE);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM schedules"), 3);
}

static void
only_who_added_it_and_the_sovereign_may_change_it(void **state)
{
	(void)state;
	order("ezra-1", "add", "tick", EACH_MINUTE);
	refused("operator", "remove", "tick", "", "denied", "");
	refused("operator", "pause", "tick", "", "denied", "");
	order("timmy", "remove", "tick", "");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM schedules"), 0);
	add(EACH_MINUTE);
	order("operator", "remove", "tick", "");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM schedules"), 0);
	pass(MINUTE);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks WHERE sender <> 'schedule'"), 0);
}

static void
paused_it_makes_none_and_makes_up_for_none(void **state)
{
	(void)state;
	add("'missed':'all'," EACH_MINUTE);
	pass(MINUTE);
	order("operator", "pause", "tick", "");
	ct_kill(&t);
	ct_up(&t, false);
	pass(3 * MINUTE);
	assert_int_equal(runs(""), 1);
	order("operator", "resume", "tick", "");
	turns(3);
	assert_int_equal(runs(""), 1);
	pass(MINUTE);
	assert_int_equal(runs(""), 2);
}

static void
a_restart_makes_none_twice(void **state)
{
	(void)state;
	add(EACH_MINUTE);
	for (int i = 1; i <= 4; i++) {
		pass(MINUTE);
		ct_kill(&t);
		ct_up(&t, false);
		turns(3);
	}
	assert_int_equal(runs(""), 4);
	assert_int_equal(runs("state = 9"), 4);
}

/* It dies when the task is made and nothing is committed. */
static void
a_death_in_the_middle_makes_it_once(void **state)
{
	(void)state;
	add("'cron':'* * * * *','task':{'tool':'http_post','params':{'url':'http://a.example/','json':1}}");
	turns(2);
	ct_pass(&t, MINUTE);
	ct_begin(&t);
	core_tick(t.core);
	ct_kill(&t);
	assert_int_equal(runs(""), 0);
	ct_up(&t, false);
	turns(4);
	assert_int_equal(runs(""), 1);
	assert_int_equal(t.nstarted, 1);
}

static void
missed(const char *how, int64_t ms, int n)
{
	char text[200];

	snprintf(text, sizeof text, "'missed':'%s'," EACH_MINUTE, how);
	add(text);
	turns(2);
	ct_kill(&t);
	ct_pass(&t, ms);
	ct_up(&t, false);
	turns(30);
	assert_int_equal(runs("state = 9"), n);
	assert_int_equal(runs(""), n);
	pass(MINUTE - ms % MINUTE);
	assert_int_equal(runs("state = 9"), n + 1);
}

static void
of_those_that_were_missed_the_last_runs(void **state)
{
	(void)state;
	missed("last", 10 * MINUTE + 30000, 1);
}

static void
or_none(void **state)
{
	(void)state;
	add("'missed':'none','cron':'1 16 * * *','task':{'tool':'noop'}");
	turns(2);
	ct_kill(&t);
	ct_pass(&t, 10 * MINUTE);
	ct_up(&t, false);
	turns(5);
	assert_int_equal(runs(""), 0);
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "schedule"), "came"), "missed");
	pass(24 * 60 * MINUTE - 9 * MINUTE);
	assert_int_equal(runs("state = 9"), 1);
}

static void
or_all(void **state)
{
	(void)state;
	missed("all", 10 * MINUTE + 30000, 10);
}

static void
but_no_more_than_a_hundred(void **state)
{
	(void)state;
	missed("all", 300 * MINUTE, 100);
}

static void
a_clock_that_is_set_back_makes_none_twice(void **state)
{
	(void)state;
	add(EACH_MINUTE);
	pass(MINUTE);
	pass(MINUTE);
	t.now.wall_ms -= 2 * MINUTE;
	pass(MINUTE);
	pass(MINUTE);
	assert_int_equal(runs(""), 2);
	pass(MINUTE);
	assert_int_equal(runs(""), 3);
}

static void
who_is_nobody_any_more_submits_nothing(void **state)
{
	(void)state;
	add(EACH_MINUTE);
	pass(MINUTE);
	assert_int_equal(runs(""), 1);
	t.config.operators.n = 0;
	pass(MINUTE);
	assert_int_equal(runs(""), 1);
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "schedule"), "came"), "refused");
	assert_string_equal(ct_str(ct_last(&t, EVENTS, NULL, "schedule"), "error"), "its sender operator may not submit tasks any more");
	t.config.operators.n = 1;
	pass(MINUTE);
	assert_int_equal(runs(""), 2);
}

static void
while_the_house_is_busy_it_waits(void **state)
{
	(void)state;
	add(EACH_MINUTE);
	ct_begin(&t);
	core_disk_low(t.core, true);
	assert_int_equal(ct_turn(&t), 0);
	pass(MINUTE);
	assert_int_equal(runs(""), 0);
	ct_begin(&t);
	core_disk_low(t.core, false);
	assert_int_equal(ct_turn(&t), 0);
	pass(5001);
	assert_int_equal(runs("state = 9"), 1);
}

/* ---- several agents ---- */

static int
setup_net(void **state)
{
	(void)state;
	net_setup(&net, 3, "agents: [ezra-1, timmy-1]", NULL);
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
net_order(const char *what, const char *name, const char *more)
{
	char topic[TOPIC_MAX], reply[TOPIC_MAX], text[300];

	topic_format(topic, "home", TOPIC_QUERY, "ezra", "operator");
	topic_format(reply, "home", TOPIC_REPLY, "operator", "r");
	snprintf(text, sizeof text, "{'schedule':{'do':'%s','name':'%s'%s%s}}", what, name, *more ? "," : "", more);
	net_publish(&net, topic, text, reply);
	net_run(&net, 500);
}

static void
finish(void)
{
	for (int i = 0; i < net.n; i++)
		if (!net.node[i].dead) {
			ct_begin(&net.node[i].t);
			ct_end_all(&net.node[i].t);
			assert_int_equal(ct_turn(&net.node[i].t), 0);
		}
}

static void
net_pass(int64_t ms)
{
	for (int64_t at = 0; at < ms; at += 500) {
		net_run(&net, 500);
		finish();
	}
}

static int64_t
of(int node, const char *sql)
{
	return ct_sql(&net.node[node].t, sql);
}

#define ROWS "SELECT count(*) FROM schedules WHERE house = 'ezra'"
#define RUNS "SELECT count(*) FROM tasks WHERE house = 'ezra' AND sender = 'operator'"
#define TIMES "SELECT count(DISTINCT substr(hex(id), 1, 12)) FROM tasks WHERE house = 'ezra' AND sender = 'operator'"

static void
followers_know_them(void **state)
{
	(void)state;
	net_order("add", "tick", EACH_MINUTE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(net_house(&net, i)->nroutines, 1);
	assert_int_equal(net_count(&net, "operator/reply", NULL, "schedule_set") > 0, true);
	net_pass(MINUTE + 2000);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(of(i, ROWS), 1);
		assert_int_equal(of(i, RUNS), 1);
		assert_int_equal(net_house(&net, i)->routines[0].after_ms, net_house(&net, 0)->routines[0].after_ms);
	}
	net_order("pause", "tick", "");
	for (int i = 0; i < 3; i++)
		assert_true(net_house(&net, i)->routines[0].paused);
	net_order("remove", "tick", "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(of(i, ROWS), 0);
}

static void
a_new_owner_goes_on(void **state)
{
	(void)state;
	net_order("add", "tick", "'missed':'all'," EACH_MINUTE);
	net_pass(MINUTE + 2000);
	/* It has made the second one, and dies before it is done. */
	net_pass(MINUTE - 2500);
	net_run(&net, 700);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 30000) >= 0);
	net_pass(2 * MINUTE);
	net_start(&net, 0);
	net_pass(2 * MINUTE);
	for (int i = 0; i < 3; i++) {
		assert_true(of(i, RUNS) >= 5);
		assert_int_equal(of(i, TIMES), of(i, RUNS));
		assert_int_equal(of(i, RUNS " AND state <> 9 AND state <> 3"), 0);
	}
	net_order("remove", "tick", "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(of(i, ROWS), 0);
}

static void
who_gets_in_step_learns_them(void **state)
{
	(void)state;
	net_order("add", "gone", EACH_MINUTE);
	net_kill(&net, 2);
	net_run(&net, 1000);
	net_order("remove", "gone", "");
	net_order("add", "tick", EACH_MINUTE);
	net_order("add", "tock", EACH_MINUTE);
	net_lose_disk(&net, 2);
	net_start(&net, 2);
	assert_true(net_wait_in_step(&net, 2, 20000) >= 0);
	assert_int_equal(net_house(&net, 2)->nroutines, 2);
	assert_int_equal(of(2, ROWS), 2);
	/* Nor does one keep what was removed while it was away. */
	net_kill(&net, 1);
	net_run(&net, 1000);
	net_order("remove", "tock", "");
	net_start(&net, 1);
	assert_true(net_wait_in_step(&net, 1, 20000) >= 0);
	assert_int_equal(net_house(&net, 1)->nroutines, 1);
	assert_int_equal(of(1, ROWS), 1);
}

static void
what_an_owner_had_alone_comes_back_with_it(void **state)
{
	(void)state;
	net_order("add", "old", EACH_MINUTE);
	net_order("add", "removed", EACH_MINUTE);
	net_kill(&net, 1);
	net_kill(&net, 2);
	/* No majority: what it takes now nobody else hears. */
	net_order("add", "alone", EACH_MINUTE);
	assert_int_equal(of(0, ROWS), 3);
	net_kill(&net, 0);
	net_start(&net, 1);
	net_start(&net, 2);
	assert_true(net_wait_owner(&net, 1, 60000) >= 0);
	assert_int_equal(net_house(&net, 1)->nroutines, 2);
	net_order("remove", "removed", "");
	net_start(&net, 0);
	net_run(&net, 30000);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(net_house(&net, i)->nroutines, 2);
		assert_int_equal(of(i, ROWS " AND name IN ('old', 'alone')"), 2);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NET(f) cmocka_unit_test_setup_teardown(f, setup_net, teardown_net)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_time_is_a_task_of_its_sender),
		TEST(the_agent_wakes_for_it),
		TEST(what_is_wrong_is_named_at_once),
		TEST(the_same_again_is_no_second_one),
		TEST(a_house_has_so_many),
		TEST(only_who_added_it_and_the_sovereign_may_change_it),
		TEST(paused_it_makes_none_and_makes_up_for_none),
		TEST(a_restart_makes_none_twice),
		TEST(a_death_in_the_middle_makes_it_once),
		TEST(of_those_that_were_missed_the_last_runs),
		TEST(or_none),
		TEST(or_all),
		TEST(but_no_more_than_a_hundred),
		TEST(a_clock_that_is_set_back_makes_none_twice),
		TEST(who_is_nobody_any_more_submits_nothing),
		TEST(while_the_house_is_busy_it_waits),
		NET(followers_know_them),
		NET(a_new_owner_goes_on),
		NET(who_gets_in_step_learns_them),
		NET(what_an_owner_had_alone_comes_back_with_it),
	};

	return cmocka_run_group_tests_name("core_routine", tests, NULL, NULL);
}
