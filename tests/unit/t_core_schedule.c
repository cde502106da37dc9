/* Schedules: each run is made once, whoever owns the house and whatever happens meanwhile. */
#include "coretest.h"

#include "state.h"

#define EVENTS "house/ezra/event"
#define MINUTE 60000
#define CONFIG(missed) "schedules:\n  tick: {cron: \"* * * * *\", house: ezra, missed: " missed ", task: '{\"tool\":\"noop\"}'}\n"

static struct coretest t;

static void
begin(const char *config)
{
	ct_setup(&t, config);
	ct_up(&t, false);
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

static int64_t
runs(const char *where)
{
	char sql[200];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM tasks WHERE sender = 'schedule'%s%s", *where ? " AND " : "", where);
	return ct_sql(&t, sql);
}

static void
pass(int64_t ms)
{
	ct_pass(&t, ms);
	turns(4);
}

static void
each_run_is_made_ahead_and_begins_in_time(void **state)
{
	(void)state;
	begin(CONFIG("once"));
	turns(3);
	assert_int_equal(runs(""), 1);
	assert_int_equal(runs("state = 2"), 1);
	assert_int_equal(ct_sql(&t, "SELECT due_ms % 60000 FROM tasks"), 0);
	for (int i = 1; i <= 5; i++) {
		pass(MINUTE);
		assert_int_equal(runs("state = 9"), i);
		assert_int_equal(runs(""), i + 1);
	}
	/* The agent wakes for it by itself. */
	assert_true(t.next <= t.now.mono_ms + MINUTE);
	ct_teardown(&t);
}

static void
a_restart_makes_none_twice(void **state)
{
	(void)state;
	begin(CONFIG("once"));
	turns(3);
	for (int i = 1; i <= 4; i++) {
		ct_kill(&t);
		ct_up(&t, false);
		turns(3);
		pass(MINUTE);
	}
	assert_int_equal(runs(""), 5);
	assert_int_equal(runs("state = 9"), 4);
	ct_teardown(&t);
}

static void
of_several_that_were_missed_one_runs(void **state)
{
	(void)state;
	begin(CONFIG("once"));
	turns(3);
	ct_kill(&t);
	ct_pass(&t, 10 * MINUTE);
	ct_up(&t, false);
	turns(5);
	assert_int_equal(runs("state = 9"), 1);
	assert_int_equal(runs("state = 2"), 1);
	ct_teardown(&t);
}

static void
or_none(void **state)
{
	(void)state;
	begin(CONFIG("none"));
	turns(3);
	ct_kill(&t);
	ct_pass(&t, 10 * MINUTE);
	ct_up(&t, false);
	turns(5);
	assert_int_equal(runs("state = 9"), 0);
	assert_int_equal(runs("state = 13"), 1);
	pass(MINUTE);
	assert_int_equal(runs("state = 9"), 1);
	ct_teardown(&t);
}

static void
or_all_but_no_more_than_a_hundred(void **state)
{
	(void)state;
	begin(CONFIG("all"));
	turns(3);
	assert_int_equal(runs(""), 1);
	ct_kill(&t);
	ct_pass(&t, 10 * MINUTE);
	ct_up(&t, false);
	turns(5);
	assert_int_equal(runs("state = 9"), 10);
	assert_int_equal(runs("state = 2"), 1);
	ct_kill(&t);
	ct_pass(&t, 50 * MINUTE);
	ct_up(&t, false);
	turns(20);
	assert_int_equal(runs("state = 9"), 60);
	ct_teardown(&t);
}

static void
what_the_house_refuses_is_tried_again(void **state)
{
	(void)state;
	begin(CONFIG("once"));
	ct_begin(&t);
	core_disk_low(t.core, true);
	assert_int_equal(ct_turn(&t), 0);
	turns(3);
	assert_true(runs("") <= 1);
	pass(MINUTE);
	pass(MINUTE);
	assert_true(runs("") <= 1);
	ct_begin(&t);
	core_disk_low(t.core, false);
	assert_int_equal(ct_turn(&t), 0);
	pass(5001);
	assert_true(runs("state = 2") == 1);
	ct_teardown(&t);
}

static void
a_new_owner_makes_the_same_runs(void **state)
{
	struct net net;
	const char *const fmt = "SELECT count(*) FROM tasks WHERE sender = 'schedule' AND state = 9";

	(void)state;
	net_setup_more(&net, 3, NULL, NULL, CONFIG("once"));
	net_begin(&net);
	net_run(&net, 90000);
	assert_true(ct_sql(&net.node[0].t, fmt) >= 0);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 30000) >= 0);
	net_run(&net, 2 * MINUTE);
	net_start(&net, 0);
	net_run(&net, 2 * MINUTE);
	/* Each minute has one row, at whoever may own the house. */
	for (int i = 0; i < 3; i++) {
		struct coretest *n = &net.node[i].t;
		int64_t all = ct_sql(n, "SELECT count(*) FROM tasks WHERE sender = 'schedule' AND house = 'ezra'");

		assert_true(all >= 5);
		assert_int_equal(ct_sql(n, "SELECT count(DISTINCT substr(hex(id), 1, 12)) FROM tasks WHERE sender = 'schedule' AND house = 'ezra'"),
		    all);
	}
	net_teardown(&net);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_run_is_made_ahead_and_begins_in_time),
		cmocka_unit_test(a_restart_makes_none_twice),
		cmocka_unit_test(of_several_that_were_missed_one_runs),
		cmocka_unit_test(or_none),
		cmocka_unit_test(or_all_but_no_more_than_a_hundred),
		cmocka_unit_test(what_the_house_refuses_is_tried_again),
		cmocka_unit_test(a_new_owner_makes_the_same_runs),
	};

	return cmocka_run_group_tests_name("core_schedule", tests, NULL, NULL);
}
