/* Limits of what runs at once, and begins in a time: kept for a house, a tool, and each value of a parameter, and by whoever
 * owns the house next. */
#include "coretest.h"

#include "state.h"

static struct coretest t;
static struct net net;

static void
begin(const char *flow)
{
	ct_setup(&t, flow);
	ct_up(&t, false);
	t.idle = t.quick = 0;
}

static int
teardown(void **state)
{
	(void)state;
	ct_teardown(&t);
	return 0;
}

static void
turns(void)
{
	for (int i = 0; i < 4; i++) {
		t.idle = 20 - (unsigned)t.nrun;
		t.quick = 0;
		assert_int_equal(ct_turn(&t), 0);
	}
}

static void
get(int n, const char *sender, const char *url, int priority)
{
	ct_taskf(&t, "ezra", sender, "{'id':'%s','tool':'http_get','params':{'url':'http://%s/'},'priority':%d}", ct_id(n), url, priority);
}

static bool
runs(int n)
{
	for (size_t i = 0; i < t.nrun; i++)
		if (strcmp(t.run[i].id, ct_id(n)) == 0)
			return true;
	return false;
}

static void
ends(int n)
{
	ct_end(&t, ct_id(n), POOL_SUCCEEDED, "1");
	turns();
}

#define ONE_PER_URL "flow:\n  one: {tool: http_get, key: url}\n"

static void
one_of_each_value_runs_at_once(void **state)
{
	(void)state;
	begin(ONE_PER_URL);
	for (int i = 0; i < 3; i++)
		get(i, "me", "a", 4);
	for (int i = 3; i < 6; i++)
		get(i, "me", "b", 4);
	ct_taskf(&t, "ezra", "me", "{'id':'%s','tool':'wait','params':{'ms':1}}", ct_id(6));
	turns();
	/* What is not concerned passes by. */
	assert_true(runs(0) && runs(3) && runs(6));
	assert_int_equal(t.nrun, 3);
	ends(3);
	assert_true(runs(0) && runs(4));
	ends(0);
	assert_true(runs(1) && runs(4));
	ends(1);
	assert_true(runs(2));
	ends(4);
	assert_true(runs(5));
}

/* However its members are written, and with its default. */
static void
equal_values_are_one(void **state)
{
	(void)state;
	begin("flow:\n  one: {tool: wait, key: ms}\n  two: {tool: http_get, key: headers}\n");
	ct_taskf(&t, "ezra", "me", "{'id':'%s','tool':'wait','params':{'ms':5}}", ct_id(0));
	ct_taskf(&t, "ezra", "me", "{'params':{ 'ms' : 5 },'id':'%s','tool':'wait'}", ct_id(1));
	turns();
	assert_int_equal(t.nrun, 1);
	ends(0);
	assert_true(runs(1));
}

static void
limits_of_house_and_tool(void **state)
{
	(void)state;
	begin("flow:\n  all: {house: ezra, running: 5}\n  gets: {tool: http_get, running: 2}\n  elsewhere: {house: timmy, running: 1}\n");
	for (int i = 0; i < 10; i++)
		get(i, "me", "a", 4);
	for (int i = 10; i < 20; i++)
		ct_taskf(&t, "ezra", "you", "{'id':'%s','tool':'wait','params':{'ms':1}}", ct_id(i));
	turns();
	assert_int_equal(t.nrun, 5);
	assert_true(runs(0) && runs(1) && !runs(2) && runs(10) && runs(11) && runs(12));
	ends(10);
	assert_true(t.nrun == 5 && runs(13));
	/* Whose turn it is keeps his place until his tool is free. */
	ends(0);
	assert_true(t.nrun == 5 && runs(2));
}

/* However it ends. */
static void
every_end_makes_room(void **state)
{
	(void)state;
	begin(ONE_PER_URL);
	for (int i = 0; i < 5; i++)
		get(i, "me", "a", 4);
	turns();
	ct_end(&t, ct_id(0), POOL_FAILED, NULL);
	turns();
	assert_true(runs(1));
	ct_end(&t, ct_id(1), POOL_CRASHED, NULL);
	turns();
	/* The first again, since it is the oldest. */
	assert_true(runs(1) && t.nrun == 1);
	ct_end(&t, ct_id(1), POOL_NOT_RUN, NULL);
	turns();
	assert_true(runs(1) && t.nrun == 1);
	ends(1);
	assert_true(runs(2));
	ends(2);
	ends(3);
	ends(4);
	for (int i = 0; i < GAUGE_BUCKETS; i++)
		assert_null(t.core->gauges[i]);
}

/* Senders take turns with it, and a flood for one value does not hold up who wants another. */
static void
senders_take_turns_with_a_value(void **state)
{
	(void)state;
	begin(ONE_PER_URL);
	for (int i = 0; i < 300; i++)
		get(i, "flood", "a", 4);
	get(300, "me", "a", 4);
	get(301, "me", "b", 4);
	turns();
	assert_true(runs(0) && runs(301) && t.nrun == 2);
	ends(0);
	assert_true(runs(1));
	ends(1);
	assert_true(runs(300));
	ends(300);
	assert_true(runs(2));
}

/* The start that is owed to what is old is kept until the value is free. */
static void
low_priority_gets_the_value_too(void **state)
{
	(void)state;
	begin(ONE_PER_URL);
	get(0, "low", "a", 0);
	for (int i = 1; i <= 40; i++)
		get(i, "high", "a", 9);
	turns();
	ct_pass(&t, AGED_MS + 1);
	for (int i = 1; i <= 40 && !runs(0); i++) {
		ct_end_all(&t);
		turns();
		assert_int_equal(t.nrun, 1);
		assert_true(i <= AGED_EACH + 1);
	}
}

static void
what_ran_when_the_agent_died_counts_once(void **state)
{
	(void)state;
	begin(ONE_PER_URL);
	for (int i = 0; i < 3; i++)
		get(i, "me", "a", 4);
	turns();
	assert_true(runs(0));
	ct_kill(&t);
	ct_up(&t, true);
	turns();
	assert_int_equal(t.nrun, 1);
	assert_true(runs(0));
	ends(0);
	assert_true(runs(1) && t.nrun == 1);
}

/* ---- rates ---- */

static void
wait_task(int n)
{
	ct_taskf(&t, "ezra", "me", "{'id':'%s','tool':'wait','params':{'ms':1}}", ct_id(n));
}

/* Turns at these times alone that the core asked for, but for its own once in a while. */
static size_t
started_within(int64_t ms)
{
	int64_t end = t.now.mono_ms + ms, turns_made = 0;
	size_t before = t.nstarted;

	turns();
	while (t.next <= end) {
		assert_true(t.next > t.now.mono_ms);
		ct_pass(&t, t.next - t.now.mono_ms);
		turns();
		turns_made++;
	}
	ct_pass(&t, end - t.now.mono_ms);
	assert_true(turns_made <= ms / 100 + 20);
	return t.nstarted - before;
}

static void
tokens_come_one_by_one(void **state)
{
	(void)state;
	begin("flow:\n  some: {tool: wait, rate: 10/s}\n");
	for (int i = 0; i < 9; i++)
		wait_task(i);
	get(20, "me", "a", 4);
	/* The bucket is empty, and holds nobody up who is not concerned. */
	turns();
	assert_true(runs(20) && t.nrun == 1);
	assert_int_equal(t.next, t.now.mono_ms + 100);
	assert_int_equal(started_within(99), 0);
	assert_int_equal(started_within(1), 1);
	assert_int_equal(started_within(99), 0);
	assert_int_equal(started_within(1), 1);
	assert_int_equal(started_within(500), 5);
	/* Any number may run at once; there is nothing to wait for when nothing waits. */
	assert_int_equal(t.nrun, 8);
	assert_int_equal(started_within(1000), 2);
	assert_int_equal(started_within(1000), 0);
}

static void
a_burst_is_saved_up(void **state)
{
	(void)state;
	begin("flow:\n  some: {tool: wait, rate: 10/s, burst: 4}\n");
	ct_pass(&t, 60000);
	for (int i = 0; i < 12; i++)
		wait_task(i);
	assert_int_equal(started_within(0), 4);
	assert_int_equal(started_within(99), 0);
	assert_int_equal(started_within(301), 4);
	ct_end_all(&t);
	turns();
	assert_int_equal(started_within(100), 1);
}

/* Three in a second come each 333.4 ms, and a turn is never too early for one. */
static void
a_rate_is_never_exceeded(void **state)
{
	(void)state;
	begin("flow:\n  some: {tool: wait, rate: 3/s, running: 1000}\n  all: {rate: 100/m, burst: 7}\n");
	for (int i = 0; i < 300; i++)
		wait_task(i);
	assert_true(started_within(60000) <= 107);
	assert_true(started_within(60000) <= 100);
}

static void
each_value_has_its_own_rate(void **state)
{
	(void)state;
	begin("flow:\n  one: {tool: http_get, key: url, rate: 1/s}\n");
	ct_pass(&t, 2000);
	for (int i = 0; i < 40; i++)
		get(i, "flood", "a", 4);
	for (int i = 40; i < 42; i++)
		get(i, "flood", "b", 4);
	assert_int_equal(started_within(0), 2);
	assert_true(runs(0) && runs(40));
	assert_int_equal(started_within(1000), 2);
	assert_true(runs(1) && runs(41));
	ct_end_all(&t);
	assert_int_equal(started_within(1000), 1);
	ct_end_all(&t);
	/* What is full again is forgotten. */
	for (int i = 3; i < 40; i++) {
		assert_int_equal(started_within(1000), 1);
		ct_end_all(&t);
	}
	turns();
	ct_pass(&t, 1000);
	for (int i = 0; i < GAUGE_BUCKETS / 4 + 1; i++)
		turns();
	assert_int_equal(t.core->ngauges, 0);
}

/* So many values at most are remembered: those for which there is no room wait until another's bucket is full. */
static void
values_are_bounded(void **state)
{
	(void)state;
	begin("flow:\n  one: {tool: http_get, key: url, rate: 1/s}\n");
	ct_pass(&t, 2000);
	t.core->ngauges = GAUGES_MAX - 1;
	get(0, "me", "a", 4);
	get(1, "me", "b", 4);
	wait_task(2);
	assert_int_equal(started_within(0), 2);
	assert_true(runs(0) && runs(2));
	ct_end_all(&t);
	assert_int_equal(started_within(999), 0);
	assert_int_equal(started_within(1), 1);
	assert_true(runs(1));
	ct_end_all(&t);
	turns();
	t.core->ngauges -= GAUGES_MAX - 1;
}

/* Chosen, and not handed out: its token is there again. Handed out it is gone, whatever becomes of it. */
static void
only_what_is_handed_out_takes_a_token(void **state)
{
	(void)state;
	begin("flow:\n  some: {tool: wait, rate: 1/m}\n");
	ct_pass(&t, 60000);
	turns();
	wait_task(0);
	core_slots(t.core, 20, 20);
	assert_int_equal(t.core->chosen, 1);
	house_give_back(t.core, NULL);
	assert_int_equal(t.core->chosen, 0);
	turns();
	assert_true(runs(0));
	ct_end(&t, ct_id(0), POOL_NOT_RUN, NULL);
	assert_int_equal(started_within(59999), 0);
	assert_int_equal(started_within(1), 1);
	assert_true(runs(0));
	/* A try more is a start more. */
	ct_end(&t, ct_id(0), POOL_CRASHED, NULL);
	assert_int_equal(started_within(59999), 0);
	assert_int_equal(started_within(1), 1);
}

static void
after_a_new_start_the_bucket_is_empty(void **state)
{
	(void)state;
	begin("flow:\n  some: {tool: wait, rate: 1/s, burst: 3}\n");
	ct_pass(&t, 60000);
	for (int i = 0; i < 10; i++)
		wait_task(i);
	assert_int_equal(started_within(0), 3);
	ct_kill(&t);
	t.idle = t.quick = 0;
	ct_up(&t, true);
	assert_int_equal(started_within(999), 0);
	assert_int_equal(started_within(1), 1);
	assert_int_equal(started_within(2000), 2);
}

/* A jump of the wall clock brings no tokens. */
static void
the_wall_clock_brings_none(void **state)
{
	(void)state;
	begin("flow:\n  some: {tool: wait, rate: 1/h, burst: 3}\n");
	for (int i = 0; i < 3; i++)
		wait_task(i);
	turns();
	t.now.wall_ms += 3 * 3600000;
	assert_int_equal(started_within(3599999), 0);
	assert_int_equal(started_within(1), 1);
}

/* ---- a new owner ---- */

static int
net_end(void **state)
{
	(void)state;
	net_teardown(&net);
	return 0;
}

static size_t
all_runs(void)
{
	size_t n = 0;

	for (int i = 0; i < net.n; i++)
		n += net.node[i].dead ? 0 : net.node[i].t.nrun;
	return n;
}

static void
a_new_owner_goes_on_with_the_count(void **state)
{
	(void)state;
	net_setup_more(&net, 3, "agents: [timmy-1, bezalel-1]", NULL, "flow:\n  two: {tool: idempotent_tool, running: 2}\n");
	net_begin(&net);
	for (int i = 0; i < 6; i++)
		net_task(&net, "me", "{'tool':'idempotent_tool','id':'%s'}", ct_id(i));
	net_run(&net, 1500);
	assert_int_equal(all_runs(), 2);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 20000) >= 0);
	net_run(&net, 3000);
	assert_int_equal(all_runs(), 2);
	for (int k = 0; k < 6; k++) {
		for (int i = 0; i < net.n; i++)
			if (!net.node[i].dead)
				ct_end_all(&net.node[i].t);
		net_run(&net, 1000);
		assert_true(all_runs() <= 2);
	}
	assert_int_equal(net_count(&net, "event", NULL, "outcome") >= 6, 1);
}

/* It begins when the copies know. */
static void
a_counted_attempt_waits_for_the_copies(void **state)
{
	(void)state;
	net_setup_more(&net, 2, "agents: [ezra-1]", NULL, "flow:\n  two: {tool: noop, running: 2}\n");
	net_begin(&net);
	net.node[1].frozen = true;
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	net_task(&net, "me", "{'tool':'system_info','id':'%s'}", ct_id(2));
	net_run(&net, 500);
	assert_int_equal(net.node[0].t.nrun, 1);
	assert_string_equal(net.node[0].t.run[0].id, ct_id(2));
	net.node[1].frozen = false;
	net_run(&net, 1000);
	assert_int_equal(net.node[0].t.nrun, 2);
}

/* What the former owner gave out and what the new one does are no more together than the burst and what time brings. */
static void
a_new_owner_has_no_second_burst(void **state)
{
	int64_t since;
	size_t before;

	(void)state;
	net_setup_more(&net, 3, "agents: [timmy-1, bezalel-1]", NULL,
	    "flow:\n  some: {tool: idempotent_tool, rate: 2/m, burst: 3}\n");
	net_begin(&net);
	net_run(&net, 95000);
	for (int i = 0; i < 8; i++)
		net_task(&net, "me", "{'tool':'idempotent_tool','id':'%s'}", ct_id(i));
	net_run(&net, 2000);
	assert_int_equal(all_runs(), 3);
	for (int i = 0; i < net.n; i++)
		ct_end_all(&net.node[i].t);
	net_run(&net, 500);
	assert_int_equal(all_runs(), 0);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 20000) >= 0);
	since = net.node[1].t.now.mono_ms;
	before = net.node[1].t.nstarted + net.node[2].t.nstarted;
	net_run(&net, 29000);
	assert_int_equal(net.node[1].t.nstarted + net.node[2].t.nstarted, before);
	net_run(&net, 30000);
	assert_int_equal(net.node[1].t.nstarted + net.node[2].t.nstarted, before + 1);
	net_run(&net, since + 125000 - net.node[1].t.now.mono_ms);
	assert_int_equal(net.node[1].t.nstarted + net.node[2].t.nstarted, before + 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(one_of_each_value_runs_at_once, teardown),
		cmocka_unit_test_teardown(equal_values_are_one, teardown),
		cmocka_unit_test_teardown(limits_of_house_and_tool, teardown),
		cmocka_unit_test_teardown(every_end_makes_room, teardown),
		cmocka_unit_test_teardown(senders_take_turns_with_a_value, teardown),
		cmocka_unit_test_teardown(low_priority_gets_the_value_too, teardown),
		cmocka_unit_test_teardown(what_ran_when_the_agent_died_counts_once, teardown),
		cmocka_unit_test_teardown(tokens_come_one_by_one, teardown),
		cmocka_unit_test_teardown(a_burst_is_saved_up, teardown),
		cmocka_unit_test_teardown(a_rate_is_never_exceeded, teardown),
		cmocka_unit_test_teardown(each_value_has_its_own_rate, teardown),
		cmocka_unit_test_teardown(values_are_bounded, teardown),
		cmocka_unit_test_teardown(only_what_is_handed_out_takes_a_token, teardown),
		cmocka_unit_test_teardown(after_a_new_start_the_bucket_is_empty, teardown),
		cmocka_unit_test_teardown(the_wall_clock_brings_none, teardown),
		cmocka_unit_test_teardown(a_new_owner_has_no_second_burst, net_end),
		cmocka_unit_test_teardown(a_new_owner_goes_on_with_the_count, net_end),
		cmocka_unit_test_teardown(a_counted_attempt_waits_for_the_copies, net_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
