/* Redeliveries of tasks without ids, as a broker makes them. */
#include "coretest.h"

#define TASK "uw/home/house/ezra/task/me"

static struct coretest t;

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	t.idle = t.quick = 0;
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
deliver(int mid, const char *text)
{
	ct_message(&t, (struct mqtt_msg){ .topic = TASK, .payload = text, .len = strlen(text), .mid = mid, .qos = 1 });
}

#define NOOP "{\"tool\":\"noop\"}"

static int64_t
tasks(void)
{
	return ct_sql(&t, "SELECT count(*) FROM tasks");
}

static void
a_flood_of_identical_bodies_is_so_many_tasks(void **state)
{
	(void)state;
	for (int i = 1; i <= 500; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 500);
}

static void
what_was_committed_is_not_taken_twice_after_a_kill(void **state)
{
	(void)state;
	for (int i = 1; i <= 300; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	for (int i = 301; i <= 400; i++)        /* received, not committed */
		deliver(i, NOOP);
	ct_kill(&t);
	ct_up(&t, true);
	for (int i = 101; i <= 450; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 450);
	assert_int_equal(ct_health(&t, NULL, "duplicates"), 200);
}

static void
a_lost_session_begins_anew(void **state)
{
	(void)state;
	for (int i = 1; i <= 10; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	ct_down(&t);
	ct_up(&t, false);
	for (int i = 1; i <= 10; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 20);
	/* The forgetting is on disk too, and what came since is known. */
	ct_kill(&t);
	ct_up(&t, true);
	for (int i = 6; i <= 12; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 22);
}

static void
another_brokers_numbers_mean_nothing(void **state)
{
	(void)state;
	for (int i = 1; i <= 10; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	for (int life = 1; life <= 2; life++) {
		ct_down(&t);
		if (life == 2)
			ct_kill(&t);
		ct_begin(&t);
		core_link_up(t.core, life % 2, true);
		assert_int_equal(ct_turn(&t), 0);
		for (int i = 1; i <= 10; i++)
			deliver(i, NOOP);
		assert_int_equal(ct_turn(&t), 0);
		assert_int_equal(tasks(), 10 + 10 * life);
	}
}

static void
numbers_wrap_around(void **state)
{
	int mid = 65500;

	(void)state;
	for (int i = 0; i < 100; i++) {
		deliver(mid, NOOP);
		mid = mid == 65535 ? 1 : mid + 1;
	}
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 100);
	ct_kill(&t);
	ct_up(&t, true);
	for (int i = 0, m = 65520; i < 90; i++) {
		deliver(m, NOOP);
		m = m == 65535 ? 1 : m + 1;
	}
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 110);
	assert_int_equal(ct_sql(&t, "SELECT max(mid) FROM inbound WHERE mid > 65535 OR mid < -1"), 0);
}

static void
other_messages_take_numbers_too(void **state)
{
	char echo[TOPIC_MAX];

	(void)state;
	snprintf(echo, sizeof echo, "%s", core_echo_topic(t.core));
	deliver(1, NOOP);
	ct_message(&t, (struct mqtt_msg){ .topic = echo, .payload = "old", .len = 3, .mid = 2, .qos = 1 });
	deliver(3, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	ct_kill(&t);
	ct_up(&t, true);
	deliver(1, NOOP);
	ct_message(&t, (struct mqtt_msg){ .topic = echo, .payload = "old", .len = 3, .mid = 2, .qos = 1 });
	deliver(3, NOOP);
	deliver(4, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 3);
}

/* The broker was killed and came back with the session as it was some time ago: it numbers new messages with
 * numbers that it has used already. */
static void
a_broker_that_went_back_in_its_numbers_loses_no_task(void **state)
{
	const char *pulse;

	(void)state;
	for (int i = 1; i <= 100; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	ct_down(&t);
	ct_up(&t, true);
	pulse = core_echo_text(t.core);
	ct_message(&t, (struct mqtt_msg){ .topic = core_echo_topic(t.core), .payload = pulse, .len = strlen(pulse),
	    .mid = 41, .qos = 1 });
	for (int i = 42; i <= 60; i++)
		deliver(i, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 119);
	/* Without the pulse, other content under an old number shows it. */
	ct_down(&t);
	ct_up(&t, true);
	deliver(50, "{\"tool\":\"noop\",\"priority\":1}");
	deliver(51, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 121);
}

static void
messages_of_qos_0_and_changed_ones_are_taken(void **state)
{
	(void)state;
	deliver(0, NOOP);
	deliver(0, NOOP);
	deliver(7, NOOP);
	assert_int_equal(ct_turn(&t), 0);
	ct_down(&t);
	ct_up(&t, true);
	deliver(0, NOOP);
	deliver(7, NOOP);       /* the repeat */
	deliver(8, NOOP);
	deliver(7, NOOP);       /* after something new, no repeat any more */
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(tasks(), 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_flood_of_identical_bodies_is_so_many_tasks, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_committed_is_not_taken_twice_after_a_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_session_begins_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(another_brokers_numbers_mean_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_wrap_around, setup, teardown),
		cmocka_unit_test_setup_teardown(other_messages_take_numbers_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broker_that_went_back_in_its_numbers_loses_no_task, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_of_qos_0_and_changed_ones_are_taken, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
