/* What comes in from outside: accepted, refused with a precise error, or known already. */
#include "coretest.h"

#define EZRA_TASK "uw/home/house/ezra/task/me"
#define EZRA_EVENTS "house/ezra/event"
#define REPLIES "client/me/reply"

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
a_task_is_answered_and_told_with_its_body(void **state)
{
	const cJSON *r, *e;

	(void)state;
	ct_task(&t, "ezra", "me", "{'tool':'noop','params':{'payload':[1]}}");
	assert_int_equal(ct_turn(&t), 0);
	r = ct_last(&t, REPLIES, NULL, "accepted");
	assert_int_equal(strlen(ct_str(r, "id")), 26);
	assert_string_equal(ct_str(r, "house"), "ezra");
	assert_int_equal(ct_num(r, "copies"), 1);
	assert_int_equal(ct_num(r, "line"), -1);
	e = ct_last(&t, EZRA_EVENTS, ct_str(r, "id"), "accepted");
	assert_string_equal(ct_str(e, "sender"), "me");
	assert_string_equal(ct_str(e, "task.tool"), "noop");
	assert_int_equal(t.nrun, 1);
	assert_string_equal(t.run[0].params, "{\"payload\":[1]}");
}

struct bad {
	const char *task, *code, *field;
};

static void
what_is_wrong_is_said_by_field(void **state)
{
	static const struct bad bads[] = {
		{ "", "parse", "payload" },
		{ "nonsense", "parse", "payload" },
		{ "[]", "parse", "payload" },
		{ "{'tool':'noop'", "parse", "payload" },
		{ "{'tool':'noop','tool':'noop'}", "parse", "tool" },
		{ "{'tool':'noop','priority':1e400}", "parse", "priority" },
		{ "{'tool':'no\\u0000op'}", "parse", "tool" },
		{ "{'tool':'noop'} {}", "parse", "payload" },
		{ "{}", "missing", "tool" },
		{ "{'tool':null}", "missing", "tool" },
		{ "{'tool':5}", "invalid", "tool" },
		{ "{'tool':'nop'}", "unknown_tool", "tool" },
		{ "{'tool':'noop','params':[]}", "invalid", "params" },
		{ "{'tool':'noop','params':{'x':1}}", "invalid", "params.x" },
		{ "{'tool':'read_tool','params':{'n':'three'}}", "invalid", "params.n" },
		{ "{'tool':'noop','priority':10}", "invalid", "priority" },
		{ "{'tool':'noop','priority':1.5}", "invalid", "priority" },
		{ "{'tool':'noop','timeout_s':0}", "invalid", "timeout_s" },
		{ "{'tool':'noop','timeout_s':90000}", "invalid", "timeout_s" },
		{ "{'tool':'noop','mode':'fast'}", "invalid", "mode" },
		{ "{'tool':'noop','id':'x'}", "invalid", "id" },
		{ "{'tool':'noop','key':''}", "invalid", "key" },
		{ "{'tool':'noop','retry':3}", "invalid", "retry" },
		{ "{'tool':'noop','retry':{'max':0}}", "invalid", "retry.max" },
		{ "{'tool':'noop','retry':{'maxx':1}}", "invalid", "retry.maxx" },
		{ "{'tool':'noop','not_before':'tomorrow'}", "invalid", "not_before" },
		{ "{'tool':'noop','deadline':'2001-01-01T00:00:00Z'}", "invalid", "deadline" },
		{ "{'tool':'noop','after':['x']}", "invalid", "after" },
		{ "{'tool':'noop','from':'timmy'}", "denied", "from" },
		{ "{'tool':'exclusive_tool'}", "id_required", "id" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
		const cJSON *r, *e;

		ct_forget(&t);
		ct_task(&t, "ezra", "me", bads[i].task);
		assert_int_equal(ct_turn(&t), 0);
		r = ct_last(&t, REPLIES, NULL, "rejected");
		e = ct_last(&t, EZRA_EVENTS, NULL, "rejected");
		if (strcmp(ct_str(r, "error.code"), bads[i].code) != 0 || strcmp(ct_str(r, "error.field"), bads[i].field) != 0)
			fail_msg("%s: got %s, field %s: %s", bads[i].task, ct_str(r, "error.code"), ct_str(r, "error.field"),
			    ct_str(r, "error.message"));
		assert_string_equal(ct_str(e, "error.code"), bads[i].code);
		assert_string_equal(ct_str(e, "sender"), "me");
		assert_int_equal(t.nstarted, 0);
	}
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM rejected"), sizeof bads / sizeof *bads);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 0);
	ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(t.nstarted, 1);
}

static void
lines_are_judged_alone_and_numbered(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}\n\n{'tool':'nop'}\r\n \t\n{'tool':'noop','id':'%s'}\n", ct_id(1),
	    ct_id(2));
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(ct_num(ct_last(&t, REPLIES, ct_id(1), "accepted"), "line"), 1);
	assert_int_equal(ct_num(ct_last(&t, REPLIES, NULL, "rejected"), "line"), 3);
	assert_int_equal(ct_num(ct_last(&t, EZRA_EVENTS, NULL, "rejected"), "line"), 3);
	assert_int_equal(ct_num(ct_last(&t, REPLIES, ct_id(2), "accepted"), "line"), 5);
	assert_int_equal(ct_count(&t, REPLIES, NULL, NULL), 3);
}

static void
one_object_over_lines_is_one_task(void **state)
{
	const char *text = "{\n  'tool': 'read_tool',\r\n  'params': {},\n  'id': '%s'\n}\n\n";

	(void)state;
	ct_taskf(&t, "ezra", "me", text, ct_id(1));
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(ct_count(&t, REPLIES, NULL, NULL), 1);
	assert_int_equal(ct_num(ct_last(&t, REPLIES, ct_id(1), "accepted"), "line"), -1);
	assert_string_equal(t.run[0].params, "{\"n\":3}");
	/* Sent again, and once more on one line: still the same task. */
	ct_taskf(&t, "ezra", "me", text, ct_id(1));
	ct_taskf(&t, "ezra", "me", "{'params':{},'tool':'read_tool','id':'%s'}", ct_id(1));
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(ct_count(&t, REPLIES, ct_id(1), "accepted"), 3);
	assert_int_equal(t.nstarted, 1);
}

static void
send_bytes(const char *p, size_t len)
{
	ct_message(&t, (struct mqtt_msg){ .topic = EZRA_TASK, .payload = p, .len = len, .mid = ++t.mid, .qos = 1,
	    .response_topic = "uw/home/client/me/reply/r" });
	assert_int_equal(ct_turn(&t), 0);
}

static void
send_lines(int n, bool last_newline)
{
	struct buf b = { 0 };

	for (int i = 0; i < n; i++)
		buf_addf(&b, "%s{\"tool\":\"noop\"}", i ? "\n" : "");
	if (last_newline)
		buf_addc(&b, '\n');
	send_bytes(b.data, b.len);
	buf_free(&b);
}

static void
too_many_lines_are_refused_whole(void **state)
{
	(void)state;
	send_lines(4097, false);
	assert_int_equal(ct_count(&t, REPLIES, NULL, NULL), 1);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "too_big");
	send_lines(4097, true);
	assert_int_equal(ct_count(&t, REPLIES, NULL, "rejected"), 2);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 0);
	ct_forget(&t);
	send_lines(4096, true);
	assert_int_equal(ct_count(&t, REPLIES, NULL, "accepted"), 4096);
	assert_int_equal(ct_num(ct_last(&t, REPLIES, NULL, "accepted"), "line"), 4096);
}

static void
a_payload_over_a_mebibyte_is_refused_whole(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_adds(&b, "{\"tool\":\"noop\"}\n{\"tool\":\"noop\",\"labels\":{\"x\":\"");
	while (b.len < (1u << 20))
		buf_adds(&b, "xxxxxxxxxxxxxxxx");
	buf_adds(&b, "\"}}\n");
	send_bytes(b.data, b.len);
	assert_int_equal(ct_count(&t, REPLIES, NULL, NULL), 1);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "too_big");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 0);
	/* One task over its own limit costs only itself. */
	buf_cut(&b, (300u << 10));
	buf_adds(&b, "\"}}\n");
	ct_forget(&t);
	send_bytes(b.data, b.len);
	assert_int_equal(ct_count(&t, REPLIES, NULL, "accepted"), 1);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "too_big");
	assert_int_equal(ct_num(ct_last(&t, REPLIES, NULL, "rejected"), "line"), 2);
	buf_free(&b);
}

static void
a_nul_is_no_space(void **state)
{
	(void)state;
	send_bytes("{\"tool\":\"noop\"}\0", 16);
	send_bytes("\0\0", 2);
	send_bytes("{\"tool\":\"noop\"}\n\0\n", 18);
	assert_int_equal(ct_count(&t, REPLIES, NULL, "rejected"), 3);
	assert_int_equal(ct_count(&t, REPLIES, NULL, "accepted"), 1);
}

static void
a_task_too_deep_for_the_readers_of_events_is_refused(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int n = 20; n <= 31; n++) {
		buf_clear(&b);
		buf_adds(&b, "{\"tool\":\"noop\",\"params\":{\"payload\":");
		for (int i = 0; i < n - 2; i++)
			buf_addc(&b, '[');
		for (int i = 0; i < n - 2; i++)
			buf_addc(&b, ']');
		buf_adds(&b, "}}");
		ct_forget(&t);
		send_bytes(b.data, b.len);
		if (n <= 24)
			ct_last(&t, REPLIES, NULL, "accepted");
		else
			assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "too_big");
	}
	buf_free(&b);
}

/* ---- ids ---- */

static void
the_same_id_and_body_is_the_same_task(void **state)
{
	const char *id = ct_id(1);

	(void)state;
	for (int i = 0; i < 2; i++)
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','params':{'payload':1}}", id);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(t.nstarted, 1);
	assert_int_equal(ct_count(&t, REPLIES, id, "accepted"), 2);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(ct_last(&t, REPLIES, id, "accepted"), "duplicate")));
	assert_int_equal(ct_count(&t, EZRA_EVENTS, id, "accepted"), 1);
	ct_end(&t, id, POOL_SUCCEEDED, "{\"payload\":1}");
	assert_int_equal(ct_turn(&t), 0);
	/* In another order, after its end and a restart: the outcome again. */
	ct_kill(&t);
	ct_up(&t, true);
	ct_forget(&t);
	ct_taskf(&t, "ezra", "me", "{'params':{'payload':1},'id':'%s', 'tool':'noop'}", id);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(ct_num(ct_last(&t, REPLIES, id, "outcome"), "result.payload"), 1);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "outcome"), "state"), "succeeded");
	assert_int_equal(ct_count(&t, EZRA_EVENTS, id, "outcome"), 0);
	assert_int_equal(ct_health(&t, NULL, "duplicates"), 1);
}

static void
the_same_id_with_another_body_or_sender_is_a_conflict(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','priority':5}", ct_id(1));
	assert_int_equal(ct_turn(&t), 0);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, ct_id(1), "rejected"), "error.code"), "conflict");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, ct_id(1), "rejected"), "error.field"), "id");
	ct_taskf(&t, "ezra", "you", "{'tool':'noop','id':'%s'}", ct_id(1));
	assert_int_equal(ct_turn(&t), 0);
	assert_string_equal(ct_str(ct_last(&t, "client/you", ct_id(1), "rejected"), "error.code"), "conflict");
	assert_int_equal(t.nstarted, 1);
}

static void
an_id_of_the_future_is_refused_and_one_of_the_past_is_not(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id_at(T0 + 86400001, 1));
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id_at(1, 2));
	assert_int_equal(ct_turn(&t), 0);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.field"), "id");
	assert_int_equal(t.nstarted, 1);
}

/* ---- keys ---- */

static void
a_key_stands_for_its_task(void **state)
{
	const char *first;

	(void)state;
	ct_task(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'a'}");
	ct_task(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'a'}");
	ct_task(&t, "ezra", "you", "{'tool':'exclusive_tool','key':'a'}");
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(t.nstarted, 2);        /* one of each sender */
	first = ct_str(ct_last(&t, EZRA_EVENTS, t.run[0].id, "accepted"), "id");
	ct_end(&t, first, POOL_SUCCEEDED, NULL);
	assert_int_equal(ct_turn(&t), 0);
	ct_pass(&t, 3600 * 1000);
	ct_task(&t, "ezra", "me", "{'key':'a','tool':'exclusive_tool'}");
	ct_taskf(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'a','id':'%s'}", ct_id(5));
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(ct_count(&t, REPLIES, first, "outcome"), 3);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, first, "accepted"), "sent_id"), ct_id(5));
	assert_int_equal(t.nstarted, 2);
	ct_task(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'a','params':{'n':4}}");
	assert_int_equal(ct_turn(&t), 0);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.field"), "key");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "conflict");
}

static void
a_key_is_free_again_after_a_day(void **state)
{
	(void)state;
	ct_task(&t, "ezra", "me", "{'tool':'noop','key':'a'}");
	assert_int_equal(ct_turn(&t), 0);
	ct_end_all(&t);
	assert_int_equal(ct_turn(&t), 0);
	ct_pass(&t, 86400 * 1000);
	ct_task(&t, "ezra", "me", "{'tool':'noop','key':'a','priority':9}");
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(t.nstarted, 2);
	/* The new task holds the key now, for another day. */
	ct_task(&t, "ezra", "me", "{'tool':'noop','key':'a','priority':9}");
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(t.nstarted, 2);
}

/* ---- limits ---- */

static void
a_full_house_and_a_full_disk_say_so(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "limits: { queued: 3 }\n");
	ct_up(&t, false);
	for (int i = 0; i < 4; i++)
		ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(t.nstarted, 3);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "busy");
	assert_int_equal(ct_num(ct_last(&t, REPLIES, NULL, "rejected"), "error.retry_after_s"), 5);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.message"),
	    "house ezra has 3 open tasks, its limit; retry after 5 s");
	ct_end_all(&t);
	core_disk_low(t.core, true);
	ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(ct_count(&t, REPLIES, NULL, "rejected"), 2);
	assert_int_equal(ct_num(ct_last(&t, REPLIES, NULL, "rejected"), "error.retry_after_s"), 30);
	core_disk_low(t.core, false);
	ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(t.nstarted, 4);
}

static void
replies_go_to_the_sender_alone(void **state)
{
	static const char *const others[] = { "uw/home/client/you/reply/r", "uw/home/house/ezra/event/ezra-1", "x",
		"uw/home/client/me/reply/+", "uw/away/client/me/reply/r", "uw/home/client/me/reply/a/b" };

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		ct_forget(&t);
		ct_send(&t, EZRA_TASK, "{'tool':'noop'}", others[i], NULL);
		assert_int_equal(ct_turn(&t), 0);
		assert_int_equal(t.nlines, 1);
		assert_string_equal(ct_str(ct_last(&t, EZRA_EVENTS, NULL, "rejected"), "error.field"), "response topic");
	}
	assert_int_equal(t.nstarted, 0);
	ct_send(&t, EZRA_TASK, "{'tool':'noop'}", "uw/home/client/me/reply/q", "c-1");
	assert_int_equal(ct_turn(&t), 0);
	ct_end_all(&t);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(ct_count(&t, "client/me/reply/q", NULL, "outcome"), 1);
	for (size_t i = 0; i < t.nlines; i++)
		if (strstr(t.lines[i].topic, "reply"))
			assert_string_equal(t.lines[i].correlation, "c-1");
}

static void
what_is_not_ours_is_left_alone(void **state)
{
	static const char *const odd[] = { "", "uw", "uw/home/house/ezra/task", "uw/home/house/ezra/task/me/x",
		"uw/home/house/timmy/task/me", "uw/home/house/none/task/me", "uw/home/house/ezra/nothing/me",
		"uw/away/house/ezra/task/me", "uw/home/house/ezra/task/NOT A NAME",
		"uw/home/house/ezra/task/a-name-that-is-longer-than-thirty-two-bytes", "uw/home/client/ezra-1/reply/x" };

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		ct_send(&t, odd[i], "{'tool':'noop'}", NULL, NULL);
	assert_int_equal(ct_turn(&t), 0);
	assert_int_equal(t.nlines, 0);
	assert_int_equal(t.nstarted, 0);
}

static void
unknown_fields_are_kept(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','colour':'red'}", ct_id(1));
	assert_int_equal(ct_turn(&t), 0);
	assert_string_equal(ct_str(ct_last(&t, EZRA_EVENTS, ct_id(1), "accepted"), "task.colour"), "red");
	ct_local(&t, 1, "{'op':'query','id':'01KAV9FT000000000000000001'}");
	assert_int_equal(ct_turn(&t), 0);
	assert_string_equal(ct_str(ct_last(&t, "local", NULL, "task"), "task.colour"), "red");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_task_is_answered_and_told_with_its_body, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_said_by_field, setup, teardown),
		cmocka_unit_test_setup_teardown(lines_are_judged_alone_and_numbered, setup, teardown),
		cmocka_unit_test_setup_teardown(one_object_over_lines_is_one_task, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_lines_are_refused_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_payload_over_a_mebibyte_is_refused_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_nul_is_no_space, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_too_deep_for_the_readers_of_events_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_id_and_body_is_the_same_task, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_id_with_another_body_or_sender_is_a_conflict, setup, teardown),
		cmocka_unit_test_setup_teardown(an_id_of_the_future_is_refused_and_one_of_the_past_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_stands_for_its_task, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_is_free_again_after_a_day, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_house_and_a_full_disk_say_so, setup, teardown),
		cmocka_unit_test_setup_teardown(replies_go_to_the_sender_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_ours_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_fields_are_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
