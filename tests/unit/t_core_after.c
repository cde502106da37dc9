/* Tasks that wait for others: none begins before these have ended, all end, whoever owns the house. */
#include "coretest.h"

#include "state.h"

#define EVENTS "house/ezra/event"
#define LONG (int)(60000)

static struct coretest t;

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
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
turn(void)
{
	assert_int_equal(ct_turn(&t), 0);
}

/* Enough for what follows from an end. */
static void
turns(int n)
{
	for (int i = 0; i < n; i++) {
		ct_begin(&t);
		turn();
	}
}

static void
submit(int n, const char *more)
{
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'%s}", ct_id(n), more);
	turn();
}

static void
submit_after(int n, int a, int b, const char *more)
{
	char text[200];

	if (b)
		snprintf(text, sizeof text, ",'after':['%s','%s']%s", ct_id(a), ct_id(b), more);
	else
		snprintf(text, sizeof text, ",'after':['%s']%s", ct_id(a), more);
	submit(n, text);
}

static void
pass(int64_t ms)
{
	if (t.open)
		turn();
	ct_pass(&t, ms);
}

static void
end(int n, enum pool_how how)
{
	ct_begin(&t);
	ct_end(&t, ct_id(n), how, "1");
	turn();
	turns(2);
}

static void
a_task_begins_when_the_one_before_it_has_succeeded(void **state)
{
	(void)state;
	submit(1, "");
	submit_after(2, 1, 0, "");
	assert_string_equal(ct_state(&t, ct_id(2)), "scheduled");
	assert_null(ct_running(&t, ct_id(2)));
	assert_string_equal(ct_str(ct_last(&t, "house/ezra/event", ct_id(2), "scheduled"), "type"), "scheduled");
	end(1, POOL_SUCCEEDED);
	assert_non_null(ct_running(&t, ct_id(2)));
	assert_true(ct_running(&t, ct_id(2))->committed);
	end(2, POOL_SUCCEEDED);
	assert_string_equal(ct_state(&t, ct_id(2)), "succeeded");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM waits"), 0);
}

static void
one_that_waits_for_several_begins_after_the_last(void **state)
{
	(void)state;
	submit(1, "");
	submit(2, "");
	submit_after(3, 1, 2, "");
	end(2, POOL_SUCCEEDED);
	assert_string_equal(ct_state(&t, ct_id(3)), "scheduled");
	end(1, POOL_SUCCEEDED);
	assert_non_null(ct_running(&t, ct_id(3)));
}

static void
one_that_waits_for_what_has_ended_does_not_wait(void **state)
{
	(void)state;
	submit(1, "");
	end(1, POOL_SUCCEEDED);
	submit_after(2, 1, 0, "");
	turns(1);
	assert_non_null(ct_running(&t, ct_id(2)));
}

static void
a_failure_cancels_all_that_follow(void **state)
{
	(void)state;
	submit(1, "");
	for (int i = 2; i <= 400; i++)
		submit_after(i, i - 1, 0, "");
	ct_forget(&t);
	end(1, POOL_FAILED);
	turns(800);
	assert_string_equal(ct_state(&t, ct_id(2)), "cancelled");
	assert_string_equal(ct_state(&t, ct_id(400)), "cancelled");
	assert_non_null(strstr(ct_str(ct_last(&t, EVENTS, ct_id(2), "outcome"), "error.message"), ct_id(1)));
	assert_non_null(strstr(ct_str(ct_last(&t, EVENTS, ct_id(2), "outcome"), "error.message"), "failed"));
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM waits"), 0);
}

static void
a_failure_does_not_matter_where_the_task_says_so(void **state)
{
	(void)state;
	submit(1, "");
	submit(2, "");
	submit_after(3, 1, 2, ",'after_failed':'run'");
	end(1, POOL_FAILED);
	assert_string_equal(ct_state(&t, ct_id(3)), "scheduled");
	end(2, POOL_FAILED);
	assert_non_null(ct_running(&t, ct_id(3)));
}

static void
one_that_failed_before_cancels_at_once(void **state)
{
	(void)state;
	submit(1, "");
	end(1, POOL_FAILED);
	submit_after(2, 1, 0, "");
	turns(2);
	assert_string_equal(ct_state(&t, ct_id(2)), "cancelled");
}

static void
many_that_wait_for_one_are_woken_in_parts(void **state)
{
	(void)state;
	t.idle = t.quick = 0;
	submit(1, "");
	for (int i = 2; i <= 1000; i++)
		submit_after(i, 1, 0, "");
	ct_begin(&t);
	ct_send(&t, "uw/home/house/ezra/cancel/me", "{'id':'00000000000000000000000000'}", NULL, NULL);
	turn();
	t.idle = t.quick = 2000;
	turns(1);
	end(1, POOL_SUCCEEDED);
	turns(6);
	assert_int_equal(t.nrun, 999);
}

static void
what_is_not_known_is_refused(void **state)
{
	const cJSON *r;
	char text[128];

	(void)state;
	snprintf(text, sizeof text, ",'after':['%s']", ct_id(7));
	submit(1, text);
	r = ct_last(&t, EVENTS, ct_id(1), "rejected");
	assert_string_equal(ct_str(r, "error.code"), "unknown_task");
	assert_string_equal(ct_str(r, "error.field"), "after");
	assert_string_equal(ct_str(r, "error.got"), ct_id(7));
	/* Nor itself, nor two of each other: the second is not known when the first comes. */
	snprintf(text, sizeof text, ",'after':['%s']", ct_id(2));
	submit(2, text);
	assert_string_equal(ct_str(ct_last(&t, EVENTS, ct_id(2), "rejected"), "error.code"), "invalid");
	snprintf(text, sizeof text, ",'after':['%s','%s']", ct_id(2), ct_id(2));
	submit(3, text);
	assert_string_equal(ct_str(ct_last(&t, EVENTS, ct_id(3), "rejected"), "error.code"), "invalid");
	submit(4, ",'after_failed':'perhaps'");
	assert_string_equal(ct_str(ct_last(&t, EVENTS, ct_id(4), "rejected"), "error.field"), "after_failed");
}

static void
it_waits_on_through_a_restart(void **state)
{
	(void)state;
	t.idle = t.quick = 0;
	submit(1, "");
	submit_after(2, 1, 0, "");
	ct_kill(&t);
	ct_up(&t, false);
	turns(2);
	assert_string_equal(ct_state(&t, ct_id(2)), "scheduled");
	t.idle = t.quick = 4;
	turns(1);
	end(1, POOL_SUCCEEDED);
	assert_non_null(ct_running(&t, ct_id(2)));
}

/* Killed after the end was committed, before anybody was woken. */
static void
an_end_right_before_a_restart_is_looked_at(void **state)
{
	(void)state;
	submit(1, "");
	submit_after(2, 1, 0, "");
	ct_begin(&t);
	ct_end(&t, ct_id(1), POOL_SUCCEEDED, "1");
	turn();
	ct_kill(&t);
	ct_up(&t, false);
	turns(3);
	assert_non_null(ct_running(&t, ct_id(2)));
}

/* Nothing waited before, so there is no row yet when the other ends. */
static void
both_in_one_turn_are_not_missed(void **state)
{
	(void)state;
	submit(1, "");
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','after':['%s']}", ct_id(2), ct_id(1));
	ct_end(&t, ct_id(1), POOL_SUCCEEDED, "1");
	turn();
	turns(2);
	assert_non_null(ct_running(&t, ct_id(2)));
}

static void
its_own_time_counts_too(void **state)
{
	char text[64];

	(void)state;
	submit(1, "");
	snprintf(text, sizeof text, ",'not_before':%lld", (long long)(t.now.wall_ms + 10000));
	submit_after(2, 1, 0, text);
	end(1, POOL_SUCCEEDED);
	assert_string_equal(ct_state(&t, ct_id(2)), "scheduled");
	pass(10001);
	turns(2);
	assert_non_null(ct_running(&t, ct_id(2)));

	submit(3, "");
	snprintf(text, sizeof text, ",'not_before':%lld", (long long)(t.now.wall_ms + 10000));
	submit_after(4, 3, 0, text);
	pass(10001);
	turns(2);
	assert_string_equal(ct_state(&t, ct_id(4)), "scheduled");
	end(3, POOL_SUCCEEDED);
	assert_non_null(ct_running(&t, ct_id(4)));
}

static void
it_can_be_cancelled_and_expires(void **state)
{
	char text[64];

	(void)state;
	submit(1, "");
	submit_after(2, 1, 0, "");
	snprintf(text, sizeof text, ",'deadline':%lld", (long long)(t.now.wall_ms + 10000));
	submit_after(3, 1, 0, text);
	submit_after(4, 3, 0, "");
	ct_begin(&t);
	ct_send(&t, "uw/home/house/ezra/cancel/me", "{'id':'00000000000000000000000000'}", NULL, NULL);
	turn();
	pass(10001);
	turns(4);
	assert_string_equal(ct_state(&t, ct_id(3)), "expired");
	assert_string_equal(ct_state(&t, ct_id(4)), "cancelled");
	assert_string_equal(ct_state(&t, ct_id(2)), "scheduled");
}

static void
what_is_waited_for_is_not_forgotten(void **state)
{
	(void)state;
	submit(1, "");
	submit(2, "");
	submit_after(3, 1, 2, "");
	end(1, POOL_SUCCEEDED);
	pass(2 * t.config.keep_finished_s * 1000);
	turns(3);
	pass(LONG);
	turns(3);
	assert_string_equal(ct_state(&t, ct_id(1)), "succeeded");
	end(2, POOL_SUCCEEDED);
	assert_non_null(ct_running(&t, ct_id(3)));
	pass(LONG);
	turns(3);
	assert_string_equal(ct_state(&t, ct_id(1)), "");
}

/* ---- another owner ---- */

static void
a_new_owner_carries_on(void **state)
{
	struct net net;
	int64_t took;

	(void)state;
	net_setup(&net, 3, NULL, NULL);
	net_begin(&net);
	for (int i = 0; i < 3; i++)
		net.node[i].t.idle = net.node[i].t.quick = 0;
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id_at(T0 + 5000, 1));
	net_task(&net, "me", "{'tool':'noop','id':'%s','after':['%s']}", ct_id_at(T0 + 5000, 2), ct_id_at(T0 + 5000, 1));
	net_run(&net, 1000);
	assert_int_equal(net_count(&net, EVENTS, ct_id_at(T0 + 5000, 2), "scheduled") > 0, true);
	net_kill(&net, 0);
	took = net_wait_owner(&net, 1, 30000);
	assert_true(took >= 0);
	assert_int_equal(net_started(&net), 0);
	net.node[1].t.idle = net.node[1].t.quick = 4;
	net_start(&net, 0);
	net.node[0].t.idle = net.node[0].t.quick = 4;
	net_run(&net, 20000);
	assert_int_equal(net_started(&net), 1);
	net_teardown(&net);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_task_begins_when_the_one_before_it_has_succeeded, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_waits_for_several_begins_after_the_last, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_waits_for_what_has_ended_does_not_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_cancels_all_that_follow, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_does_not_matter_where_the_task_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_failed_before_cancels_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(many_that_wait_for_one_are_woken_in_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_known_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(it_waits_on_through_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_right_before_a_restart_is_looked_at, setup, teardown),
		cmocka_unit_test_setup_teardown(both_in_one_turn_are_not_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(its_own_time_counts_too, setup, teardown),
		cmocka_unit_test_setup_teardown(it_can_be_cancelled_and_expires, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_waited_for_is_not_forgotten, setup, teardown),
		cmocka_unit_test(a_new_owner_carries_on),
	};

	return cmocka_run_group_tests_name("core_after", tests, NULL, NULL);
}
