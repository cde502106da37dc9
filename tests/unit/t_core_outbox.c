/* What leaves: in order, a bounded number at a time, again after a broken link, and never without bound. */
#include "coretest.h"

#include "state.h"

#define EVENTS "house/ezra/event"
#define REPLIES "client/me/reply"

static struct coretest t;

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	t.idle = t.quick = 0;
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

/* One turn that publishes one message of events of about so many bytes, without a reply. */
static void
event_of(size_t bytes)
{
	struct buf b = { 0 };

	buf_adds(&b, "{\"tool\":\"noop\",\"params\":{\"payload\":\"");
	for (size_t i = 0; i < bytes; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "\"}}");
	ct_message(&t, (struct mqtt_msg){ .topic = "uw/home/house/ezra/task/me", .payload = b.data, .len = b.len });
	buf_free(&b);
	turn();
}

/* Every event once and in order, whatever else. */
static void
check_stream(size_t n)
{
	int64_t seq = 0;

	for (size_t i = 0; i < t.nlines; i++)
		if (t.lines[i].topic && strstr(t.lines[i].topic, EVENTS))
			assert_int_equal(ct_num(t.lines[i].v, "seq"), ++seq);
	assert_int_equal(seq, n);
}

static void
pass(int64_t ms)
{
	ct_pass(&t, ms);
	turn();
}

/* In the time that it takes. */
static void
all_goes(void)
{
	for (int i = 0; i < 10000 && (t.core->box || t.core->box_spilled); i++) {
		turn();
		if (t.core->pace_ms)
			ct_pass(&t, t.core->pace_ms - t.now.mono_ms);
	}
}

static void
lines_of_a_turn_for_one_topic_are_one_message(void **state)
{
	(void)state;
	ct_up(&t, false);
	for (int i = 0; i < 50; i++)
		ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	turn();
	assert_int_equal(t.messages, 2);
	assert_int_equal(t.nlines, 100);
	assert_int_equal(t.lines[0].message, t.lines[1].message);
	check_stream(50);
}

static void
nothing_leaves_without_a_link_and_all_in_order_with_one(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++)
		event_of(10);
	assert_int_equal(t.nlines, 0);
	ct_up(&t, false);
	all_goes();
	check_stream(300);
}

static void
a_bounded_number_is_in_flight(void **state)
{
	(void)state;
	for (int i = 0; i < 600; i++)
		event_of(10);
	t.hold_acks = true;
	ct_up(&t, false);
	for (int i = 0; i < 20; i++)
		pass(100);
	assert_int_equal(t.messages, OUTBOX_IN_FLIGHT);
	t.hold_acks = false;
	all_goes();
	check_stream(600);
}

/* So that others, who are live, are not behind all of it. */
static void
what_had_gathered_goes_at_a_measured_pace(void **state)
{
	size_t at_once, soon;
	int64_t up_ms;

	(void)state;
	for (int i = 0; i < 1000; i++)
		event_of(1000);
	ct_up(&t, false);
	turn();
	at_once = t.nlines;
	assert_in_range(at_once, 30, 60);
	up_ms = t.now.mono_ms;
	for (int i = 0; i < 10; i++)
		pass(10);
	soon = t.nlines - at_once;
	assert_in_range(soon, 200, 300);
	assert_in_range(t.next, t.now.mono_ms + 1, t.now.mono_ms + 3);
	/* What comes now has its place behind it, and what is worth nothing later has not. */
	event_of(10);
	assert_int_equal(ct_num(t.lines[t.nlines - 1].v, "seq"), t.nlines);
	all_goes();
	assert_in_range(t.now.mono_ms - up_ms, 200, 600);
	check_stream(1001);
	/* Nothing waits any more. */
	for (int i = 0; i < 300; i++)
		event_of(1000);
	check_stream(1301);
}

static void
what_was_not_acknowledged_goes_again_in_order(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		event_of(10);
	t.hold_acks = true;
	ct_up(&t, false);
	pass(100);
	check_stream(100);
	ct_begin(&t);
	for (int i = 0; i < 40; i++)
		core_sent(t.core, t.unacked[i], 0);
	turn();
	ct_down(&t);
	ct_forget(&t);
	ct_up(&t, false);
	pass(100);
	assert_int_equal(t.nlines, 60);
	for (size_t i = 0; i < t.nlines; i++)
		assert_int_equal(ct_num(t.lines[i].v, "seq"), 41 + i);
	/* Out of order acknowledgements are no matter. */
	ct_begin(&t);
	for (int i = 59; i >= 0; i -= 2)
		core_sent(t.core, t.unacked[i], 0);
	turn();
	ct_down(&t);
	ct_forget(&t);
	t.hold_acks = false;
	ct_up(&t, false);
	assert_int_equal(t.nlines, 30);
	for (size_t i = 0; i < t.nlines; i++)
		assert_int_equal(ct_num(t.lines[i].v, "seq"), 41 + 2 * i);
	turn();
	ct_pass(&t, 1500);
	turn();
	ct_pass(&t, 1500);
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM outbox"), 0);
	assert_int_equal(t.core->box_total_bytes, 0);
	assert_int_equal(t.core->box_bytes, 0);
	assert_int_equal(t.core->in_flight, 0);
}

static void
a_killed_agent_sends_again_what_its_disk_has(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		event_of(10);
	t.hold_acks = true;
	ct_up(&t, false);
	ct_kill(&t);
	ct_forget(&t);
	t.idle = t.quick = 0;
	ct_up(&t, false);
	check_stream(50);
	event_of(10);
	check_stream(51);
}

/* Far more than is held in memory. */
static void
what_memory_does_not_hold_waits_on_disk(void **state)
{
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 400; i++) {
		event_of(40000);
		bytes += 40000;
		assert_true(t.core->box_bytes <= OUTBOX_IN_MEMORY + 300000);
	}
	assert_true(bytes > 3 * OUTBOX_IN_MEMORY);
	assert_true(t.core->box_total_bytes > (int64_t)bytes);
	ct_up(&t, false);
	for (int i = 0; i < 20; i++) {
		event_of(10);
		assert_true(t.core->box_bytes <= 2 * OUTBOX_IN_MEMORY);
	}
	all_goes();
	check_stream(420);
	ct_pass(&t, 1000);
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM outbox"), 0);
	assert_int_equal(t.core->box_total_bytes, 0);
}

static void
at_the_bound_the_oldest_go_and_are_counted(void **state)
{
	int64_t seq = 0, dropped;

	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "limits: { outbox_bytes: 1MiB }\n");
	t.idle = t.quick = 0;
	assert_int_equal(t.core->dropped_ms, 0);
	for (int i = 0; i < 60; i++)
		event_of(50000);
	assert_int_equal(t.core->dropped_ms, t.now.wall_ms);
	assert_true(t.core->box_total_bytes <= (1 << 20) + 100000);
	dropped = ct_health(&t, NULL, "outbox.dropped_events");
	assert_true(dropped > 30);
	ct_up(&t, false);
	all_goes();
	assert_int_equal(ct_num(t.lines[0].v, "seq"), dropped + 1);
	for (size_t i = 0; i < t.nlines; i++) {
		assert_true(ct_num(t.lines[i].v, "seq") > seq);
		seq = ct_num(t.lines[i].v, "seq");
	}
	assert_int_equal(seq, 60);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 60);
}

static void
a_refused_publish_is_counted_and_not_tried_for_ever(void **state)
{
	(void)state;
	t.hold_acks = true;
	ct_up(&t, false);
	event_of(10);
	ct_begin(&t);
	core_sent(t.core, t.unacked[0], 0x87);
	turn();
	assert_int_equal(ct_health(&t, NULL, "outbox.refused"), 1);
	ct_down(&t);
	ct_forget(&t);
	ct_up(&t, false);
	assert_int_equal(t.nlines, 0);
	/* Nobody subscribed is no fault of the message. */
	event_of(10);
	ct_begin(&t);
	core_sent(t.core, t.unacked[0], 0x10);
	turn();
	assert_int_equal(ct_health(&t, NULL, "outbox.refused"), 1);
}

static void
what_can_never_be_sent_does_not_stop_what_is_behind_it(void **state)
{
	struct core_publish p;

	(void)state;
	for (int i = 0; i < 3; i++)
		event_of(10);
	ct_begin(&t);
	core_link_up(t.core, 0, false);
	assert_int_equal(core_commit(t.core, &t.e), 0);
	core_release(t.core, t.now);
	assert_true(core_next_publish(t.core, &p));
	core_publish_sent(t.core, &p, 1);
	assert_true(core_next_publish(t.core, &p));
	core_publish_sent(t.core, &p, -1);
	assert_true(core_next_publish(t.core, &p));
	assert_non_null(strstr(p.payload, "\"seq\":3"));
	core_publish_sent(t.core, &p, 2);
	assert_false(core_next_publish(t.core, &p));
	core_end(t.core);
	t.open = false;
	assert_int_equal(ct_health(&t, NULL, "outbox.refused"), 1);
	assert_int_equal(ct_health(&t, NULL, "outbox.in_flight"), 2);
	ct_pass(&t, 1000);
	turn();
	ct_pass(&t, 1000);
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM outbox"), 2);
}

static void
large_answers_to_local_clients_are_whole(void **state)
{
	size_t n;

	(void)state;
	for (int i = 0; i < 90; i++)
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id(i));
	t.quick = 200;
	turn();
	for (int i = 0; i < 90; i++) {
		struct buf b = { 0 };

		buf_addf(&b, "\"%0200000d\"", i);
		ct_end(&t, ct_id(i), POOL_SUCCEEDED, b.data);
		buf_free(&b);
	}
	turn();
	for (int i = 0; i < 90; i++) {
		char text[100];

		snprintf(text, sizeof text, "{'op':'query','id':'%s'}", ct_id(i));
		ct_local(&t, 5, text);
		ct_local(&t, 6, "{'op':'ping'}");
	}
	turn();
	n = 0;
	for (size_t i = 0; i < t.nlines; i++)
		if (t.lines[i].conn == 5)
			assert_string_equal(ct_str(t.lines[i].v, "id"), ct_id((int)n++));
	assert_int_equal(n, 90);
	assert_int_equal(ct_count(&t, "local", NULL, "pong"), 90);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_of_a_turn_for_one_topic_are_one_message, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_leaves_without_a_link_and_all_in_order_with_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bounded_number_is_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(what_had_gathered_goes_at_a_measured_pace, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_acknowledged_goes_again_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_killed_agent_sends_again_what_its_disk_has, setup, teardown),
		cmocka_unit_test_setup_teardown(what_memory_does_not_hold_waits_on_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(at_the_bound_the_oldest_go_and_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_publish_is_counted_and_not_tried_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(what_can_never_be_sent_does_not_stop_what_is_behind_it, setup, teardown),
		cmocka_unit_test_setup_teardown(large_answers_to_local_clients_are_whole, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
