#include "coretest.h"

#include <string.h>

#include "state.h"

static struct coretest t;
static struct net net;

static struct coretest *
node(int i)
{
	return &net.node[i].t;
}

/* Seconds go by, with a turn each. */
static void
seconds(int n)
{
	for (int i = 0; i < n; i++) {
		ct_pass(&t, 1000);
		ct_begin(&t);
		ct_turn(&t);
	}
}

static void
disk(bool low)
{
	ct_begin(&t);
	core_disk_low(t.core, low);
	core_measured(t.core, &(struct core_measures){ .disk_free_bytes = low ? INT64_C(100) << 20 : INT64_C(5000) << 20 });
	ct_turn(&t);
}

static const char *
last_state(const char *name)
{
	return ct_count(&t, name, NULL, NULL) ? ct_str(ct_last(&t, name, NULL, NULL), "state") : "";
}

static int
begin(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
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
a_full_disk_is_raised_after_10_s_and_cleared_after_60(void **state)
{
	(void)state;
	disk(true);
	seconds(9);
	assert_string_equal(last_state("alert/disk-low"), "");
	seconds(2);
	assert_string_equal(last_state("alert/disk-low"), "raised");
	assert_int_equal(ct_num(ct_last(&t, "alert/disk-low", NULL, NULL), "value"), 100);
	disk(false);
	seconds(58);
	assert_string_equal(last_state("alert/disk-low"), "raised");
	seconds(4);
	assert_string_equal(last_state("alert/disk-low"), "cleared");
	assert_true(ct_count(&t, "alert/disk-low", NULL, NULL) <= 3);
}

static void
what_is_raised_is_said_again_each_minute_and_on_each_connection(void **state)
{
	size_t n;

	(void)state;
	disk(true);
	seconds(12);
	assert_int_equal(ct_count(&t, "alert/disk-low", NULL, NULL), 1);
	seconds(180);
	assert_int_equal(ct_count(&t, "alert/disk-low", NULL, NULL), 4);
	n = ct_count(&t, "alert/disk-low", NULL, NULL);
	ct_down(&t);
	seconds(5);
	assert_int_equal(ct_count(&t, "alert/disk-low", NULL, NULL), n);
	ct_up(&t, true);
	seconds(2);
	assert_int_equal(ct_count(&t, "alert/disk-low", NULL, NULL), n + 1);
}

static void
what_ended_while_the_link_was_down_is_cleared_when_it_is_back(void **state)
{
	(void)state;
	disk(true);
	seconds(12);
	ct_down(&t);
	disk(false);
	seconds(70);
	assert_string_equal(last_state("alert/disk-low"), "raised");
	ct_up(&t, true);
	seconds(2);
	assert_string_equal(last_state("alert/disk-low"), "cleared");
}

static void
old_tasks_in_the_queue_are_told_and_their_end(void **state)
{
	(void)state;
	t.idle = t.quick = 0;
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	ct_turn(&t);
	seconds(600);
	assert_string_equal(last_state("alert/queue-age.ezra"), "");
	seconds(35);
	assert_string_equal(last_state("alert/queue-age.ezra"), "raised");
	t.idle = t.quick = 4;
	ct_begin(&t);
	ct_turn(&t);
	ct_begin(&t);
	ct_end_all(&t);
	ct_turn(&t);
	seconds(63);
	assert_string_equal(last_state("alert/queue-age.ezra"), "cleared");
}

static void
many_failures_are_told_and_few_are_not(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		ct_begin(&t);
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','retry':{'max':1}}", ct_id(i + 1));
		ct_turn(&t);
		ct_begin(&t);
		ct_end(&t, ct_id(i + 1), i < 12 ? POOL_SUCCEEDED : POOL_FAILED, "{}");
		ct_turn(&t);
		if (i == 13) {
			seconds(40);
			assert_string_equal(last_state("alert/failure-rate.ezra"), "");
		}
	}
	seconds(35);
	assert_string_equal(last_state("alert/failure-rate.ezra"), "raised");
}

static void
a_certificate_is_told_two_weeks_before_its_end(void **state)
{
	(void)state;
	ct_begin(&t);
	core_measured(t.core, &(struct core_measures){ .disk_free_bytes = -1, .cert_until_ms = t.now.wall_ms + INT64_C(15) * 86400000 });
	ct_turn(&t);
	seconds(3);
	assert_string_equal(last_state("alert/certificate-expiring"), "");
	ct_begin(&t);
	core_measured(t.core, &(struct core_measures){ .disk_free_bytes = -1, .cert_until_ms = t.now.wall_ms + INT64_C(13) * 86400000 });
	ct_turn(&t);
	seconds(3);
	assert_string_equal(last_state("alert/certificate-expiring"), "raised");
}

static void
synced(bool shares, int64_t faults, int64_t behind_s, int s)
{
	ct_begin(&t);
	core_measured(t.core, &(struct core_measures){ .disk_free_bytes = -1, .shares = shares, .sync_faults = faults,
	    .sync_behind_s = behind_s });
	ct_turn(&t);
	seconds(s);
}

static void
a_host_that_files_are_shared_with_is_away(void **state)
{
	(void)state;
	synced(true, 1, 0, 50);
	assert_string_equal(last_state("alert/sync-fault"), "");
	seconds(15);
	assert_string_equal(last_state("alert/sync-fault"), "raised");
	synced(true, 0, 0, 35);
	assert_string_equal(last_state("alert/sync-fault"), "cleared");
	assert_string_equal(last_state("alert/sync-behind"), "");
}

static void
files_that_do_not_come_are_told(void **state)
{
	(void)state;
	synced(true, 0, 900, 3);
	assert_string_equal(last_state("alert/sync-behind"), "");
	synced(true, 0, 901, 3);
	assert_string_equal(last_state("alert/sync-behind"), "raised");
	/* Who does not share any more has nothing to say of it. */
	synced(false, 1, 901, 3);
	assert_string_equal(last_state("alert/sync-behind"), "cleared");
	seconds(70);
	assert_string_equal(last_state("alert/sync-fault"), "");
}

static void
what_the_broker_does_not_take_is_told_as_lag(void **state)
{
	(void)state;
	t.hold_acks = true;
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	ct_turn(&t);
	seconds(45);
	assert_string_equal(last_state("alert/telemetry-lag"), "raised");
}

static void
houses_yaml_changes_a_threshold_and_switches_off(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "alerts: {disk-low: {limit: 10}, certificate-expiring: {use: off}}\n");
	ct_up(&t, false);
	disk(true);
	ct_begin(&t);
	core_measured(t.core, &(struct core_measures){ .disk_free_bytes = INT64_C(100) << 20, .cert_until_ms = t.now.wall_ms + 1000 });
	ct_turn(&t);
	seconds(30);
	assert_int_equal(ct_count(&t, "/alert/", NULL, NULL), 0);
}

/* ---- of others ---- */

static int
net_open(void **state)
{
	(void)state;
	net_setup(&net, 3, NULL, NULL);
	net_begin(&net);
	return 0;
}

static int
net_close(void **state)
{
	(void)state;
	net_teardown(&net);
	return 0;
}

static void
an_agent_that_is_gone_is_told_by_one_and_its_return_too(void **state)
{
	(void)state;
	net_kill(&net, 1);
	net_run(&net, 30000);
	assert_int_equal(net_count(&net, "/alert/agent-gone.timmy-1", NULL, NULL), 1);
	assert_int_equal(ct_count(node(2), "bezalel-1/alert/agent-gone.timmy-1", NULL, NULL), 1);
	net_start(&net, 1);
	net_run(&net, 30000);
	assert_string_equal(ct_str(ct_last(node(2), "/alert/agent-gone.timmy-1", NULL, NULL), "state"), "cleared");
	assert_int_equal(net_count(&net, "/alert/agent-gone.timmy-1", NULL, NULL), 2);
}

static void
nothing_is_told_where_all_is_well_and_a_house_changes_hands(void **state)
{
	(void)state;
	net_run(&net, 20000);
	assert_int_equal(net_count(&net, "/alert/", NULL, NULL), 0);
	net_kill(&net, 0);
	net_run(&net, 60000);
	assert_int_equal(net_count(&net, "/alert/house-vacant.ezra", NULL, NULL), 0);
}

static void
a_house_that_nobody_can_own_is_told_by_the_router(void **state)
{
	(void)state;
	/* Who may own house-1 is timmy-1 alone; ezra goes to the last that lives. */
	net_kill(&net, 0);
	net_kill(&net, 1);
	net_run(&net, 40000);
	assert_int_equal(net_count(&net, "/alert/agent-gone.ezra-1", NULL, NULL), 1);
	assert_int_equal(net_count(&net, "/alert/agent-gone.timmy-1", NULL, NULL), 1);
	assert_int_equal(net_count(&net, "/alert/house-vacant.ezra", NULL, NULL), 0);
	assert_string_equal(ct_str(ct_last(node(2), "/alert/house-vacant.house-1", NULL, NULL), "state"), "raised");
	net_start(&net, 1);
	net_run(&net, 20000);
	assert_string_equal(ct_str(ct_last(node(2), "/alert/house-vacant.house-1", NULL, NULL), "state"), "cleared");
	assert_int_equal(net_count(&net, "/alert/house-vacant", NULL, NULL), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_disk_is_raised_after_10_s_and_cleared_after_60, begin, end),
		cmocka_unit_test_setup_teardown(what_is_raised_is_said_again_each_minute_and_on_each_connection, begin, end),
		cmocka_unit_test_setup_teardown(what_ended_while_the_link_was_down_is_cleared_when_it_is_back, begin, end),
		cmocka_unit_test_setup_teardown(old_tasks_in_the_queue_are_told_and_their_end, begin, end),
		cmocka_unit_test_setup_teardown(many_failures_are_told_and_few_are_not, begin, end),
		cmocka_unit_test_setup_teardown(a_certificate_is_told_two_weeks_before_its_end, begin, end),
		cmocka_unit_test_setup_teardown(a_host_that_files_are_shared_with_is_away, begin, end),
		cmocka_unit_test_setup_teardown(files_that_do_not_come_are_told, begin, end),
		cmocka_unit_test_setup_teardown(what_the_broker_does_not_take_is_told_as_lag, begin, end),
		cmocka_unit_test_setup_teardown(houses_yaml_changes_a_threshold_and_switches_off, begin, end),
		cmocka_unit_test_setup_teardown(an_agent_that_is_gone_is_told_by_one_and_its_return_too, net_open, net_close),
		cmocka_unit_test_setup_teardown(nothing_is_told_where_all_is_well_and_a_house_changes_hands, net_open, net_close),
		cmocka_unit_test_setup_teardown(a_house_that_nobody_can_own_is_told_by_the_router, net_open, net_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
