/* Cancel, query, list and the other questions, from the broker and from local connections. */
#include "coretest.h"

#define EVENTS "house/ezra/event"

static struct coretest t;
static const char *id;

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	id = ct_id(1);
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

static void
submit(const char *tool, const char *more)
{
	ct_taskf(&t, "ezra", "me", "{'tool':'%s','id':'%s'%s}", tool, id, more);
	turn();
}

static void
ask(const char *kind, const char *who, const char *text)
{
	char topic[TOPIC_MAX], reply[TOPIC_MAX];

	snprintf(topic, sizeof topic, "uw/home/house/ezra/%s/%s", kind, who);
	snprintf(reply, sizeof reply, "uw/home/client/%s/reply/q", who);
	ct_forget(&t);
	ct_send(&t, topic, text, reply, NULL);
	turn();
}

static void
cancel_as(const char *who)
{
	char text[100];

	snprintf(text, sizeof text, "{'id':'%s'}", id);
	ask("cancel", who, text);
}

static void
only_sender_operator_and_sovereign_may_cancel(void **state)
{
	static const char *const may[] = { "me", "operator", "timmy" };
	static const char *const may_not[] = { "you", "watcher", "bezalel-1" };

	(void)state;
	t.idle = t.quick = 0;
	for (int i = 0; i < 3; i++) {
		char reply[64];

		id = ct_id(i + 1);
		submit("noop", "");
		cancel_as(may_not[i]);
		assert_string_equal(ct_str(ct_last(&t, "reply/q", id, "error"), "error.code"), "denied");
		assert_string_equal(ct_state(&t, id), "queued");
		cancel_as(may[i]);
		assert_string_equal(ct_str(ct_last(&t, "reply/q", id, "cancel"), "state"), "cancelled");
		assert_non_null(strstr(ct_str(ct_last(&t, EVENTS, id, "outcome"), "error.message"), may[i]));
		snprintf(reply, sizeof reply, "client/%s/reply/q", may[i]);
		ct_last(&t, reply, id, "cancel");
		cancel_as(may[i]);
		assert_string_equal(ct_str(ct_last(&t, "reply/q", id, "error"), "error.code"), "state");
	}
	assert_int_equal(ct_health(&t, "ezra", "open"), 0);
	assert_int_equal(ct_health(&t, "ezra", "queued"), 0);
}

static void
running_work_is_stopped_first(void **state)
{
	(void)state;
	submit("read_tool", "");
	cancel_as("me");
	assert_string_equal(ct_str(ct_last(&t, "reply/q", id, "cancel"), "state"), "stopping");
	cancel_as("me");
	assert_int_equal(t.nstopped, 1);
	assert_int_equal(t.stopped[0], ct_running(&t, id)->handle);
	ct_end(&t, id, POOL_STOPPED, NULL);
	turn();
	assert_string_equal(ct_state(&t, id), "cancelled");
	assert_int_equal(ct_health(&t, "ezra", "running"), 0);
}

/* A stop that came too late, or met the attempt on its way to another end. */
static void
a_cancel_holds_however_the_attempt_ends(void **state)
{
	static const struct {
		const char *tool;
		enum pool_how how;
		const char *result, *state;
	} ends[] = {
		{ "read_tool", POOL_SUCCEEDED, NULL, "succeeded" },
		{ "read_tool", POOL_FAILED, NULL, "cancelled" },
		{ "read_tool", POOL_CRASHED, NULL, "cancelled" },
		{ "read_tool", POOL_NOT_RUN, NULL, "cancelled" },
		{ "read_tool", POOL_TIMEOUT, NULL, "cancelled" },
		{ "exclusive_tool", POOL_STOPPED, NULL, "cancelled" },
		{ "exclusive_tool", POOL_NOT_RUN, NULL, "cancelled" },
		{ "exclusive_tool", POOL_FAILED, "no effect", "cancelled" },
		{ "exclusive_tool", POOL_FAILED, NULL, "uncertain" },
		{ "exclusive_tool", POOL_CRASHED, NULL, "uncertain" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		id = ct_id((int)i + 1);
		submit(ends[i].tool, ",'retry':{'max':9,'base_s':1}");
		cancel_as("me");
		ct_end(&t, id, ends[i].how, ends[i].result);
		turn();
		turn();
		if (strcmp(ct_state(&t, id), ends[i].state) != 0)
			fail_msg("%s, %d: %s", ends[i].tool, ends[i].how, ct_state(&t, id));
	}
	assert_int_equal(t.nrun, 0);
}

/* Chosen in this turn, and cancelled before the worker was told. */
static void
what_was_chosen_but_not_started_never_starts(void **state)
{
	static const char *const tools[] = { "noop", "idempotent_tool", "exclusive_tool" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		char text[100];

		id = ct_id(i + 1);
		ct_taskf(&t, "ezra", "me", "{'tool':'%s','id':'%s'}", tools[i], id);
		core_slots(t.core, 4, 64);
		snprintf(text, sizeof text, "{'id':'%s'}", id);
		ct_send(&t, "uw/home/house/ezra/cancel/me", text, NULL, NULL);
		turn();
		assert_string_equal(ct_state(&t, id), "cancelled");
		assert_int_equal(ct_health(&t, "ezra", "running"), 0);
		assert_int_equal(core_running(t.core), 0);
		assert_int_equal(core_quick_out(t.core), 0);
	}
	assert_int_equal(t.nstarted, 0);
	assert_int_equal(t.nstopped, 0);
}

static void
a_task_for_later_can_be_cancelled(void **state)
{
	(void)state;
	submit("noop", ",'not_before':'2099-01-01T00:00:00Z'");
	cancel_as("me");
	assert_string_equal(ct_state(&t, id), "cancelled");
	assert_int_equal(ct_health(&t, "ezra", "open"), 0);
}

static void
an_open_task_of_a_forgotten_house_does_not_crash_the_agent(void **state)
{
	char text[100];

	(void)state;
	t.idle = t.quick = 0;
	submit("noop", "");
	ct_end_all(&t);
	turn();
	ct_sql(&t, "UPDATE tasks SET house = 'gone'");
	ct_kill(&t);
	ct_up(&t, false);
	snprintf(text, sizeof text, "{'op':'cancel','id':'%s'}", id);
	ct_local(&t, 5, text);
	turn();
	assert_string_equal(ct_state(&t, id), "cancelled");
	/* And one that ended in a house that is gone since. */
	ct_sql(&t, "UPDATE tasks SET house = 'gone too'");
	ct_kill(&t);
	ct_up(&t, false);
	ct_local(&t, 5, text);
	turn();
	assert_string_equal(ct_str(ct_last(&t, "local", id, "error"), "error.code"), "unknown_task");
	ct_local(&t, 6, "{'op':'query','list':{}}");
	turn();
	assert_string_equal(ct_str(ct_last(&t, "local", id, "task"), "house"), "");
}

static void
a_query_tells_all(void **state)
{
	const cJSON *v;
	char text[100];

	(void)state;
	submit("noop", ",'priority':7");
	ct_end(&t, id, POOL_SUCCEEDED, "{\"a\":2}");
	turn();
	snprintf(text, sizeof text, "{'id':'%s'}", id);
	ask("query", "you", text);
	v = ct_last(&t, "client/you/reply/q", id, "task");
	assert_string_equal(ct_str(v, "state"), "succeeded");
	assert_string_equal(ct_str(v, "sender"), "me");
	assert_string_equal(ct_str(v, "accepted"), "2025-11-24T16:00:00.000Z");
	assert_string_equal(ct_str(v, "finished"), "2025-11-24T16:00:00.000Z");
	assert_int_equal(ct_num(v, "priority"), 7);
	assert_int_equal(ct_num(v, "attempt"), 1);
	assert_int_equal(ct_num(v, "result.a"), 2);
	assert_string_equal(ct_str(v, "task.tool"), "noop");
}

static void
bad_requests_get_precise_errors(void **state)
{
	static const struct {
		const char *text, *code, *field;
	} bads[] = {
		{ "x", "parse", "payload" },
		{ "{}", "invalid", "id" },
		{ "{'id':5}", "invalid", "id" },
		{ "{'id':'x'}", "invalid", "id" },
		{ "{'id':'01KAV9FT000000000000000099'}", "unknown_task", "id" },
		{ "{'list':{'state':'odd'}}", "invalid", "list.state" },
		{ "{'list':7}", "invalid", "list" },
		{ "{'list':{'limit':0}}", "invalid", "list.limit" },
		{ "{'list':{'limit':201}}", "invalid", "list.limit" },
		{ "{'list':{'house':5}}", "invalid", "list.house" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
		ask("query", "me", bads[i].text);
		assert_string_equal(ct_str(ct_last(&t, "reply/q", NULL, "error"), "error.code"), bads[i].code);
		assert_string_equal(ct_str(ct_last(&t, "reply/q", NULL, "error"), "error.field"), bads[i].field);
	}
	/* Without a reply address there is nobody to tell. */
	ct_forget(&t);
	ct_send(&t, "uw/home/house/ezra/query/me", "x", NULL, NULL);
	ct_send(&t, "uw/home/house/ezra/query/me", "{'id':'x'}", "uw/home/client/you/reply/q", NULL);
	ct_send(&t, "uw/home/house/ezra/cancel/me", "{'list':{}}", NULL, NULL);
	turn();
	assert_int_equal(t.nlines, 0);
}

static void
several_requests_may_share_a_message_but_not_endlessly(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_adds(&b, "{'id':'x'}\n");
	ask("query", "me", b.data);
	buf_free(&b);
	assert_int_equal(t.nlines, 257);
	assert_string_equal(ct_str(t.lines[256].v, "error.code"), "too_big");
}

/* What the router handed on has a row of its own, and one of its house. */
static void
fill(int n)
{
	for (int i = 1; i <= n; i++)
		ct_taskf(&t, i % 5 ? "ezra" : "_", i % 2 ? "me" : "you", "{'tool':'%s','id':'%s'%s}", i % 3 ? "noop" : "read_tool",
		    ct_id(i), i % 5 ? "" : ",'house':'ezra'");
	turn();
}

static void
a_list_is_filtered(void **state)
{
	static const struct {
		const char *filter;
		int n;
	} lists[] = {
		{ "{}", 30 }, { "{'sender':'me'}", 15 }, { "{'tool':'read_tool'}", 10 }, { "{'tool':'read_tool','sender':'you'}", 5 },
		{ "{'state':'queued'}", 30 }, { "{'state':'failed'}", 0 }, { "{'house':'timmy'}", 0 }, { "{'house':'ezra'}", 30 },
		{ "{'limit':7}", 7 }, { "{'before':11}", 9 },
	};

	(void)state;
	t.idle = t.quick = 0;
	fill(30);
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		char text[100];

		snprintf(text, sizeof text, "{'list':%s}", lists[i].filter);
		ask("query", "me", text);
		assert_int_equal(ct_count(&t, "reply/q", NULL, "task"), lists[i].n);
		assert_int_equal(ct_num(ct_last(&t, "reply/q", NULL, "end"), "count"), lists[i].n);
	}
}

static void
a_list_has_the_children_of_a_task(void **state)
{
	char text[160];

	(void)state;
	t.idle = t.quick = 0;
	fill(3);
	for (int i = 4; i <= 9; i++)
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','%s':'%s'}", ct_id(i), i % 3 ? "parent" : "not_parent", ct_id(1));
	turn();
	snprintf(text, sizeof text, "{'list':{'parent':'%s'}}", ct_id(1));
	ask("query", "me", text);
	assert_int_equal(ct_count(&t, "reply/q", NULL, "task"), 4);
	snprintf(text, sizeof text, "{'list':{'parent':'%s'}}", ct_id(2));
	ask("query", "me", text);
	assert_int_equal(ct_count(&t, "reply/q", NULL, "task"), 0);
}

static void
a_list_says_why_in_short(void **state)
{
	struct pool_end end = { .how = POOL_FAILED, .no_effect = true };
	char message[400];
	const cJSON *v;

	(void)state;
	memset(message, 'x', sizeof message - 1);
	message[sizeof message - 1] = '\0';
	err_set(&end.err, ERR_TOOL, "%s", message);
	submit("noop", ",'retry':{'max':2,'base_s':1,'cap_s':1}");
	for (int i = 0; i < 2; i++) {
		ct_end_with(&t, id, &end);
		turn();
		ct_pass(&t, 1000);
		turn();
		turn();
	}
	ask("query", "you", "{'list':{'state':'dead'}}");
	v = ct_last(&t, "reply/q", id, "task");
	assert_string_equal(ct_str(v, "error.code"), "tool");
	assert_int_equal(strlen(ct_str(v, "error.message")), 200);
	assert_int_equal(ct_num(v, "failures"), 2);
	assert_null(cJSON_GetObjectItemCaseSensitive(v, "crashes"));
	assert_null(cJSON_GetObjectItemCaseSensitive(v, "history"));
	id = ct_id(2);
	submit("noop", "");
	ct_end(&t, id, POOL_SUCCEEDED, "{\"error\":{\"code\":\"none of ours\"}}");
	turn();
	ask("query", "you", "{'list':{'state':'succeeded'}}");
	assert_null(cJSON_GetObjectItemCaseSensitive(ct_last(&t, "reply/q", id, "task"), "error"));
}

static void
a_list_is_paged_newest_first(void **state)
{
	char text[100] = "{'list':{'limit':7}}";
	int expected = 30;

	(void)state;
	t.idle = t.quick = 0;
	fill(30);
	for (;;) {
		int64_t next;

		ask("query", "me", text);
		for (size_t i = 0; i + 1 < t.nlines; i++)
			assert_string_equal(ct_str(t.lines[i].v, "id"), ct_id(expected--));
		next = ct_num(ct_last(&t, "reply/q", NULL, "end"), "next");
		if (next < 0)
			break;
		snprintf(text, sizeof text, "{'list':{'limit':7,'before':%lld}}", (long long)next);
	}
	assert_int_equal(expected, 0);
}

/* ---- local connections ---- */

static void
the_local_socket_answers_each_op(void **state)
{
	(void)state;
	ct_local(&t, 1, "{'op':'ping'}");
	ct_local(&t, 2, "{'op':'health'}");
	ct_local(&t, 3, "{'op':'dance'}");
	ct_local(&t, 4, "nonsense");
	ct_local(&t, 5, "{'op':'submit'}");
	ct_local(&t, 6, "{'op':'submit','task':{'tool':'noop','house':'none'}}");
	ct_local(&t, 7, "{'op':'submit','task':{'tool':'nop','house':'ezra'}}");
	ct_local(&t, 8, "{'op':'query','list':{}}");
	ct_local(&t, 9, "{}");
	turn();
	for (size_t i = 0; i < t.nlines; i++) {
		static const char *const codes[] = { "", "", "", "invalid", "parse", "missing", "unknown_house", "", "", "invalid" };

		if (!t.lines[i].topic && t.lines[i].conn < 10 && codes[t.lines[i].conn][0])
			assert_string_equal(ct_str(t.lines[i].v, "error.code"), codes[t.lines[i].conn]);
	}
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(ct_last(&t, "local", NULL, "pong"), "connected")));
	assert_string_equal(ct_str(ct_last(&t, "local", NULL, "rejected"), "error.field"), "tool");
	assert_int_equal(ct_num(ct_last(&t, "local", NULL, "end"), "count"), 0);
}

static void
a_local_client_waits_for_its_outcome(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++) {
		char text[200];

		snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'noop','house':'ezra','id':'%s'%s}}", ct_id(i),
		    i == 3 ? ",'not_before':'2025-11-24T16:01:00Z'" : "");
		ct_local(&t, (uint64_t)i, text);
	}
	turn();
	ct_begin(&t);
	core_local_gone(t.core, 1);
	turn();
	ct_end_all(&t);
	turn();
	assert_int_equal(ct_count(&t, "local", ct_id(1), "outcome"), 0);
	assert_int_equal(ct_count(&t, "local", ct_id(2), "outcome"), 1);
	ct_pass(&t, 61000);
	turn();
	turn();
	ct_end_all(&t);
	turn();
	assert_int_equal(ct_count(&t, "local", ct_id(3), "outcome"), 1);
}

/* The same task is also waited for over the broker. */
static void
both_who_wait_are_told(void **state)
{
	char text[200];

	(void)state;
	snprintf(text, sizeof text, "{'tool':'noop','id':'%s'}", id);
	ct_task(&t, "ezra", "ezra-1", text);
	turn();
	snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'noop','id':'%s','house':'ezra'}}", id);
	ct_local(&t, 4, text);
	turn();
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(ct_last(&t, "local", id, "accepted"), "duplicate")));
	ct_end_all(&t);
	turn();
	assert_int_equal(ct_count(&t, "local", id, "outcome"), 1);
	assert_int_equal(ct_count(&t, "client/ezra-1", id, "outcome"), 1);
}

static void
subscriptions_are_those_of_owned_houses(void **state)
{
	static const char *const expected[] = { "uw/home/house/_/task/+", "uw/home/house/_/cancel/+", "uw/home/house/_/query/+",
		"uw/home/house/ezra/task/+", "uw/home/house/ezra/cancel/+", "uw/home/house/ezra/query/+",
		"uw/home/agent/ezra-1/work/+", "uw/home/agent/ezra-1/echo/self", "uw/home/client/ezra-1/reply/+",
		"uw/home/agent/+/health/state" };
	char topic[TOPIC_MAX];
	size_t i = 0;
	int qos;

	(void)state;
	for (; core_subscription(t.core, i, topic, &qos); i++) {
		assert_true(i < sizeof expected / sizeof *expected);
		assert_string_equal(topic, expected[i]);
		/* A former life's heartbeats must not wait for the next one. */
		assert_int_equal(qos, strstr(topic, "/health/") ? 0 : 1);
	}
	assert_int_equal(i, sizeof expected / sizeof *expected);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_sender_operator_and_sovereign_may_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(running_work_is_stopped_first, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_holds_however_the_attempt_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_chosen_but_not_started_never_starts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_for_later_can_be_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(an_open_task_of_a_forgotten_house_does_not_crash_the_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(a_query_tells_all, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_requests_get_precise_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(several_requests_may_share_a_message_but_not_endlessly, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list_is_filtered, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list_has_the_children_of_a_task, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list_says_why_in_short, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list_is_paged_newest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(the_local_socket_answers_each_op, setup, teardown),
		cmocka_unit_test_setup_teardown(a_local_client_waits_for_its_outcome, setup, teardown),
		cmocka_unit_test_setup_teardown(both_who_wait_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(subscriptions_are_those_of_owned_houses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
