/* What starts when, and what follows when it ends, by every way of ending and for every effect of a tool. */
#include "coretest.h"
#include "state.h"

#define EVENTS "house/ezra/event"
#define REPLIES "client/me/reply"

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
cancel(const char *what)
{
	char text[100];

	snprintf(text, sizeof text, "{'op':'cancel','id':'%s'}", what);
	ct_local(&t, 1, text);
	turn();
}

static void
is_idle(void)
{
	turn();
	assert_int_equal(ct_health(&t, "ezra", "running"), 0);
	assert_int_equal(ct_health(&t, "ezra", "open"), ct_sql(&t, "SELECT count(*) FROM tasks WHERE state < 9"));
	assert_int_equal(ct_health(&t, "ezra", "queued"), ct_sql(&t, "SELECT count(*) FROM tasks WHERE state = 3"));
	assert_int_equal(core_running(t.core), t.nrun);
	assert_int_equal(core_quick_out(t.core), 0);
}

static void
a_read_may_start_before_the_commit_and_nothing_else(void **state)
{
	(void)state;
	ct_task(&t, "ezra", "me", "{'tool':'noop'}\n{'tool':'idempotent_tool'}\n{'tool':'exclusive_tool','key':'a'}");
	turn();
	assert_int_equal(t.nrun, 3);
	assert_string_equal(t.run[0].tool, "noop");
	assert_false(t.run[0].committed);
	assert_string_equal(t.run[1].tool, "idempotent_tool");
	assert_true(t.run[1].committed);
	assert_string_equal(t.run[2].tool, "exclusive_tool");
	assert_true(t.run[2].committed);
	assert_int_equal(ct_sql(&t, "SELECT state FROM tasks WHERE tool = 'exclusive_tool'"), 4);
}

/* An exclusive task that becomes next only after the commit must not start on the strength of it. */
static void
exclusive_work_never_starts_before_its_own_starting_is_on_disk(void **state)
{
	(void)state;
	t.idle = 8;
	ct_task(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'a'}\n{'tool':'noop'}\n{'tool':'exclusive_tool','key':'b'}\n"
	    "{'tool':'read_tool'}\n{'tool':'noop'}\n{'tool':'exclusive_tool','key':'c'}");
	for (int i = 0; i < 8; i++) {
		turn();
		for (size_t k = 0; k < t.nrun; k++) {
			char sql[128];

			snprintf(sql, sizeof sql, "SELECT state IN (4, 5) FROM tasks WHERE seq = %lld",
			    (long long)HANDLE_SEQ(t.run[k].handle));
			if (strcmp(t.run[k].tool, "exclusive_tool") == 0)
				assert_int_equal(ct_sql(&t, sql), 1);
		}
	}
	assert_int_equal(t.nrun, 6);
}

static void
a_chosen_attempt_waits_when_its_worker_was_lost_meanwhile(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'exclusive_tool','id':'%s'}", id);
	core_slots(t.core, 1, 0);
	t.idle = 0;
	turn();
	assert_int_equal(t.nstarted, 0);
	t.idle = 1;
	turn();
	assert_int_equal(t.nstarted, 1);
}

/* A slot came free after the commit: the next turn must not wait for something else to happen. */
static void
what_was_chosen_after_the_commit_wakes_the_next_turn(void **state)
{
	(void)state;
	t.idle = 0;
	submit("exclusive_tool", "");
	turn();
	ct_begin(&t);
	assert_int_equal(core_commit(t.core, &t.e), 0);
	core_release(t.core, t.now);
	core_slots(t.core, 1, 0);
	assert_int_equal(core_end(t.core), t.now.mono_ms);
	t.open = false;
	assert_int_equal(ct_sql(&t, "SELECT state FROM tasks"), 3);
	t.idle = 1;
	turn();
	assert_int_equal(t.nstarted, 1);
}

static void
what_was_decided_after_the_commit_is_in_the_next_one(void **state)
{
	(void)state;
	t.idle = t.quick = 0;
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','deadline':%lld}", id, T0 + 1000LL);
	turn();
	/* Between the commit and the end of the turn a slot comes free, and the deadline has passed. */
	t.now.wall_ms += 2000;
	ct_begin(&t);
	assert_int_equal(core_commit(t.core, &t.e), 0);
	core_release(t.core, t.now);
	core_slots(t.core, 1, 64);
	assert_true(core_end(t.core) <= t.now.mono_ms);
	t.open = false;
	turn();
	assert_int_equal(ct_count(&t, EVENTS, id, "outcome"), 1);
	assert_int_equal(ct_sql(&t, "SELECT state FROM tasks"), 13);
	ct_kill(&t);
	ct_up(&t, true);
	t.quick = 64;
	turn();
	assert_int_equal(t.nstarted, 0);
}

struct ending {
	const char *tool, *more;
	enum pool_how how;
	const char *result, *state;
};

static void
an_attempt_ends_as_its_effect_allows(void **state)
{
	static const struct ending endings[] = {
		{ "noop", "", POOL_SUCCEEDED, "{\"a\":1}", "succeeded" },
		{ "noop", "", POOL_FAILED, NULL, "failed" },
		{ "noop", "", POOL_TIMEOUT, NULL, "failed" },
		{ "noop", "", POOL_CRASHED, NULL, "queued" },
		{ "noop", "", POOL_NOT_RUN, NULL, "queued" },
		{ "noop", "", POOL_STOPPED, NULL, "queued" },
		{ "noop", ",'retry':{'max':2}", POOL_FAILED, NULL, "retrying" },
		{ "noop", ",'retry':{'max':2}", POOL_TIMEOUT, NULL, "retrying" },
		{ "noop", ",'retry':{'max':1}", POOL_FAILED, NULL, "failed" },
		{ "idempotent_tool", "", POOL_CRASHED, NULL, "queued" },
		{ "idempotent_tool", ",'retry':{'max':2}", POOL_FAILED, NULL, "retrying" },
		{ "exclusive_tool", "", POOL_SUCCEEDED, NULL, "succeeded" },
		{ "exclusive_tool", "", POOL_FAILED, NULL, "uncertain" },
		{ "exclusive_tool", ",'retry':{'max':5}", POOL_FAILED, NULL, "uncertain" },
		{ "exclusive_tool", "", POOL_FAILED, "no effect", "failed" },
		{ "exclusive_tool", ",'retry':{'max':2}", POOL_FAILED, "no effect", "retrying" },
		{ "exclusive_tool", "", POOL_TIMEOUT, NULL, "uncertain" },
		{ "exclusive_tool", "", POOL_CRASHED, NULL, "uncertain" },
		{ "exclusive_tool", "", POOL_STOPPED, NULL, "uncertain" },
		{ "exclusive_tool", "", POOL_NOT_RUN, NULL, "queued" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		const struct ending *e = &endings[i];

		id = ct_id((int)i + 1);
		t.idle = 4;
		t.quick = 64;
		submit(e->tool, e->more);
		assert_non_null(ct_running(&t, id));
		ct_end(&t, id, e->how, e->result);
		t.idle = t.quick = 0;
		turn();
		if (strcmp(ct_state(&t, id), e->state) != 0)
			fail_msg("%s%s, %d: is %s, not %s", e->tool, e->more, e->how, ct_state(&t, id), e->state);
		is_idle();
		cancel(id);     /* out of the way of the next one */
		assert_int_equal(ct_health(&t, "ezra", "open"), 0);
		is_idle();
	}
}

static void
retries_back_off_within_bounds_and_end_dead(void **state)
{
	(void)state;
	submit("noop", ",'retry':{'max':6,'base_s':2,'cap_s':10}");
	for (int attempt = 1; attempt <= 6; attempt++) {
		static const int64_t limit[] = { 2000, 4000, 8000, 10000, 10000 };
		int64_t due;

		assert_non_null(ct_running(&t, id));
		ct_end(&t, id, POOL_FAILED, NULL);
		turn();
		if (attempt == 6)
			break;
		assert_int_equal(ct_num(ct_last(&t, EVENTS, id, "retrying"), "attempt"), attempt);
		due = ct_sql(&t, "SELECT due_ms FROM tasks") - t.now.wall_ms;
		assert_in_range(due, 1, limit[attempt - 1]);
		assert_true(t.next <= t.now.mono_ms + due);
		ct_pass(&t, due - 1);
		turn();
		assert_null(ct_running(&t, id));
		ct_pass(&t, 1);
		turn();
		turn();
	}
	assert_string_equal(ct_state(&t, id), "dead");
	assert_int_equal(ct_num(ct_last(&t, REPLIES, id, "outcome"), "attempt"), 6);
	assert_int_equal(ct_count(&t, EVENTS, id, "outcome"), 1);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "outcome"), "error.code"), "tool");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "outcome"), "agent"), t.core->o.agent);
	is_idle();
}

static void
a_task_that_kills_its_workers_is_dead_at_the_third(void **state)
{
	(void)state;
	submit("noop", ",'retry':{'max':100}");
	for (int i = 0; i < 3; i++) {
		assert_non_null(ct_running(&t, id));
		ct_end(&t, id, POOL_CRASHED, NULL);
		turn();
	}
	assert_string_equal(ct_state(&t, id), "dead");
	assert_int_equal(t.nstarted, 3);
	is_idle();
}

static void
crashes_do_not_use_up_retries(void **state)
{
	(void)state;
	submit("noop", ",'retry':{'max':2,'base_s':1}");
	ct_end(&t, id, POOL_CRASHED, NULL);
	turn();
	ct_end(&t, id, POOL_FAILED, NULL);
	turn();
	assert_string_equal(ct_state(&t, id), "retrying");
}

/* Those that never began or were lost with their agent are no failures. */
static void
only_failures_use_up_retries(void **state)
{
	(void)state;
	submit("noop", ",'retry':{'max':2,'base_s':1,'cap_s':1}");
	for (int i = 0; i < 3; i++) {
		ct_end(&t, id, POOL_NOT_RUN, NULL);
		turn();
	}
	ct_kill(&t);
	ct_up(&t, true);
	turn();
	ct_end(&t, id, POOL_FAILED, NULL);
	turn();
	assert_string_equal(ct_state(&t, id), "retrying");
	ct_kill(&t);
	ct_up(&t, true);
	ct_pass(&t, 1000);
	turn();
	turn();
	ct_end(&t, id, POOL_TIMEOUT, NULL);
	turn();
	assert_string_equal(ct_state(&t, id), "dead");
	is_idle();
}

static void
what_is_not_worth_another_try_gets_none(void **state)
{
	struct pool_end end = { .how = POOL_FAILED, .no_effect = true, .hopeless = true };

	(void)state;
	err_set(&end.err, ERR_NOT_FOUND, "there is no such thing");
	submit("noop", ",'retry':{'max':5}");
	ct_end_with(&t, id, &end);
	turn();
	assert_string_equal(ct_state(&t, id), "dead");
	assert_int_equal(t.nstarted, 1);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "outcome"), "error.code"), "not_found");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "outcome"), "error.message"),
	    "another try would not help: there is no such thing");
	id = ct_id(2);
	submit("noop", "");
	ct_end_with(&t, id, &end);
	turn();
	assert_string_equal(ct_state(&t, id), "failed");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "outcome"), "error.message"), "there is no such thing");
	is_idle();
}

static int64_t
wait_after(int64_t retry_after_s)
{
	static int n = 100;
	struct pool_end end = { .how = POOL_FAILED, .no_effect = true, .retry_after_s = retry_after_s };
	char sql[100];

	err_set(&end.err, ERR_TOOL, "status 503");
	id = ct_id(n++);
	submit("noop", ",'retry':{'max':2,'base_s':2}");
	ct_end_with(&t, id, &end);
	turn();
	assert_string_equal(ct_state(&t, id), "retrying");
	snprintf(sql, sizeof sql, "SELECT due_ms FROM tasks ORDER BY seq DESC LIMIT 1");
	return ct_sql(&t, sql) - t.now.wall_ms;
}

static void
a_server_may_ask_for_a_longer_wait_but_not_for_any(void **state)
{
	(void)state;
	assert_in_range(wait_after(0), 1, 2000);
	assert_int_equal(wait_after(90), 90000);
	assert_in_range(wait_after(-5), 1, 2000);
	assert_int_equal(wait_after(3600), 3600000);
	assert_int_equal(wait_after(3601), 3600000);
	assert_int_equal(wait_after(INT64_C(1) << 40), 3600000);
}

static const cJSON *
history(void)
{
	char text[100];

	snprintf(text, sizeof text, "{'op':'query','id':'%s'}", id);
	ct_local(&t, 1, text);
	turn();
	return cJSON_GetObjectItemCaseSensitive(ct_last(&t, "local", id, "task"), "history");
}

static void
a_dead_task_says_what_became_of_its_attempts(void **state)
{
	const cJSON *h;

	(void)state;
	submit("noop", ",'retry':{'max':2,'base_s':1,'cap_s':1}");
	assert_null(history());
	ct_end(&t, id, POOL_CRASHED, NULL);
	turn();
	ct_pass(&t, 1000);
	ct_end(&t, id, POOL_FAILED, NULL);
	turn();
	ct_kill(&t);
	ct_up(&t, true);
	ct_pass(&t, 1000);
	turn();
	turn();
	ct_end(&t, id, POOL_TIMEOUT, NULL);
	turn();
	assert_string_equal(ct_state(&t, id), "dead");
	h = history();
	assert_int_equal(cJSON_GetArraySize(h), 3);
	assert_int_equal(ct_num(cJSON_GetArrayItem(h, 0), "attempt"), 1);
	assert_string_equal(ct_str(cJSON_GetArrayItem(h, 0), "how"), "crashed");
	assert_string_equal(ct_str(cJSON_GetArrayItem(h, 1), "how"), "failed");
	assert_string_equal(ct_str(cJSON_GetArrayItem(h, 1), "code"), "tool");
	assert_string_equal(ct_str(cJSON_GetArrayItem(h, 1), "message"), "it ended badly");
	assert_string_equal(ct_str(cJSON_GetArrayItem(h, 1), "agent"), t.agent);
	assert_string_equal(ct_str(cJSON_GetArrayItem(h, 1), "began"), "2025-11-24T16:00:00.000Z");
	assert_string_equal(ct_str(cJSON_GetArrayItem(h, 1), "ended"), "2025-11-24T16:00:01.000Z");
	assert_string_equal(ct_str(cJSON_GetArrayItem(h, 2), "how"), "timeout");
}

static void
a_history_keeps_the_latest_ten(void **state)
{
	const cJSON *h;

	(void)state;
	submit("noop", ",'retry':{'max':25,'base_s':1,'cap_s':1}");
	for (int i = 0; i < 25; i++) {
		ct_end(&t, id, POOL_FAILED, NULL);
		turn();
		ct_pass(&t, 1000);
		turn();
		turn();
	}
	assert_string_equal(ct_state(&t, id), "dead");
	h = history();
	assert_int_equal(cJSON_GetArraySize(h), 10);
	assert_int_equal(ct_num(cJSON_GetArrayItem(h, 0), "attempt"), 16);
	assert_int_equal(ct_num(cJSON_GetArrayItem(h, 9), "attempt"), 25);
}

/* Told as "stopping", it is not run again by the next life of the agent. */
static void
a_cancel_of_running_work_outlives_its_agent(void **state)
{
	(void)state;
	submit("read_tool", ",'retry':{'max':5}");
	assert_non_null(ct_running(&t, id));
	cancel(id);
	assert_string_equal(ct_str(ct_last(&t, "local", id, "cancel"), "state"), "stopping");
	assert_int_equal(ct_sql(&t, "SELECT cancelled FROM tasks"), 1);
	ct_kill(&t);
	ct_up(&t, true);
	turn();
	for (int i = 0; i < 10; i++) {
		ct_pass(&t, 1000);
		turn();
	}
	assert_string_equal(ct_state(&t, id), "cancelled");
	assert_int_equal(t.nstarted, 1);
	is_idle();
}

static void
a_cancel_says_what_is_known_of_the_processes(void **state)
{
	(void)state;
	submit("read_tool", "");
	cancel(id);
	ct_end(&t, id, POOL_STOPPED, NULL);
	turn();
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "outcome"), "error.message"),
	    "cancelled while it ran; its processes are gone");
	id = ct_id(2);
	submit("read_tool", "");
	cancel(id);
	ct_end(&t, id, POOL_CRASHED, NULL);
	turn();
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "outcome"), "error.message"),
	    "cancelled while it ran; it ended before it was stopped: it ended badly");
	is_idle();
}

static int64_t
timeout_of(int n, const char *more)
{
	id = ct_id(n);
	submit("noop", more);
	return ct_running(&t, id)->timeout_ms;
}

static void
a_house_bounds_the_time_of_its_attempts(void **state)
{
	(void)state;
	assert_int_equal(timeout_of(1, ",'timeout_s':9"), 9000);
	for (size_t i = 0; i < t.config.nhouses; i++)
		if (strcmp(t.config.houses[i].name, "ezra") == 0)
			t.config.houses[i].timeout_cap_s = 5;
	ct_kill(&t);
	ct_up(&t, true);
	turn();
	assert_int_equal(timeout_of(2, ""), 5000);
	assert_int_equal(timeout_of(3, ",'timeout_s':4"), 4000);
	id = ct_id(4);
	submit("noop", ",'timeout_s':6");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "rejected"), "error.field"), "timeout_s");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "rejected"), "error.got"), "6");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "rejected"), "error.expected"), "at most 5 seconds in house ezra");
}

static void
a_task_waits_until_its_time(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','not_before':%lld}", id, T0 + 60000LL);
	turn();
	assert_int_equal(t.nstarted, 0);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "accepted"), "state"), "scheduled");
	ct_pass(&t, 59999);
	turn();
	assert_int_equal(t.nstarted, 0);
	assert_int_equal(t.next, t.now.mono_ms + 1);
	ct_kill(&t);
	ct_up(&t, true);
	ct_pass(&t, 1);
	turn();
	turn();
	assert_int_equal(t.nstarted, 1);
	ct_end_all(&t);
	is_idle();
}

static void
a_deadline_ends_what_has_not_begun(void **state)
{
	(void)state;
	t.quick = 0;
	submit("noop", ",'deadline':'2025-11-24T16:00:10Z'");
	id = ct_id(2);
	submit("noop", ",'deadline':'2025-11-24T16:00:10Z','not_before':'2025-11-24T16:00:20Z'");
	assert_int_equal(t.nstarted, 0);
	ct_pass(&t, 10000);
	turn();
	turn();
	for (int i = 1; i <= 2; i++) {
		assert_string_equal(ct_state(&t, ct_id(i)), "expired");
		assert_int_equal(ct_count(&t, EVENTS, ct_id(i), "outcome"), 1);
	}
	t.quick = 64;
	is_idle();
	assert_int_equal(t.nstarted, 0);
}

static void
a_deadline_that_passes_while_it_runs_does_not_wake_the_agent_for_nothing(void **state)
{
	static const char *const tools[] = { "noop", "exclusive_tool" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		id = ct_id(i + 1);
		submit(tools[i], ",'deadline':'2025-11-24T17:00:00Z'");
		assert_non_null(ct_running(&t, id));
	}
	ct_pass(&t, 2 * 3600 * 1000);
	turn();
	turn();
	assert_true(t.next > t.now.mono_ms + 500);
	ct_end_all(&t);
	is_idle();
	assert_string_equal(ct_state(&t, id), "succeeded");
}

static void
the_timeout_is_the_tools_or_the_tasks(void **state)
{
	(void)state;
	submit("read_tool", "");
	assert_int_equal(ct_running(&t, id)->timeout_ms, 7000);
	id = ct_id(2);
	submit("read_tool", ",'timeout_s':86400");
	assert_int_equal(ct_running(&t, id)->timeout_ms, 86400000);
}

static void
long_work_is_announced_and_short_work_is_not(void **state)
{
	(void)state;
	submit("noop", "");
	assert_int_equal(ct_count(&t, EVENTS, id, "started"), 1);
	id = ct_id(2);
	submit("exclusive_tool", "");
	turn();
	assert_int_equal(ct_count(&t, EVENTS, id, "starting"), 1);
	assert_int_equal(ct_count(&t, EVENTS, id, "started"), 1);
	/* Ends within the turn in which it came. */
	id = ct_id(3);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", id);
	core_slots(t.core, 0, 1);
	{
		struct pool_start s;

		assert_true(core_next_start(t.core, 0, 1, &s));
		core_attempt_end(t.core, &(struct pool_end){ .handle = s.handle, .how = POOL_SUCCEEDED, .result = "1", .result_len = 1 });
	}
	turn();
	assert_int_equal(ct_count(&t, EVENTS, id, "started"), 0);
	assert_int_equal(ct_count(&t, EVENTS, id, "outcome"), 1);
}

static void
an_end_of_something_unknown_is_no_matter(void **state)
{
	(void)state;
	submit("noop", "");
	ct_begin(&t);
	core_attempt_end(t.core, &(struct pool_end){ .handle = 77, .how = POOL_SUCCEEDED, .result = "1", .result_len = 1 });
	core_attempt_log(t.core, 77, "x", 1);
	ct_end_all(&t);
	turn();
	ct_begin(&t);
	core_attempt_end(t.core, &(struct pool_end){ .handle = (uint64_t)1 << HANDLE_SEQ_BITS | 1, .how = POOL_FAILED });
	is_idle();
	assert_string_equal(ct_state(&t, id), "succeeded");
}

/* On disk as STARTING, but no worker had it: the next life may run it. */
static void
what_was_not_handed_out_is_given_back_by_a_draining_agent(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'exclusive_tool','id':'%s'}", id);
	core_slots(t.core, 1, 0);
	t.idle = 0;
	turn();
	assert_int_equal(ct_sql(&t, "SELECT state FROM tasks"), 4);
	core_drain(t.core);
	turn();
	assert_string_equal(ct_state(&t, id), "queued");
	is_idle();
	ct_kill(&t);
	t.idle = 1;
	ct_up(&t, true);
	turn();
	assert_int_equal(t.nstarted, 1);
}

static void
a_draining_agent_starts_nothing(void **state)
{
	(void)state;
	core_drain(t.core);
	submit("noop", "");
	assert_int_equal(t.nstarted, 0);
	assert_string_equal(ct_state(&t, id), "queued");
	ct_kill(&t);
	ct_up(&t, true);
	turn();
	assert_int_equal(t.nstarted, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_read_may_start_before_the_commit_and_nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(exclusive_work_never_starts_before_its_own_starting_is_on_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(a_chosen_attempt_waits_when_its_worker_was_lost_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_chosen_after_the_commit_wakes_the_next_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_decided_after_the_commit_is_in_the_next_one, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_ends_as_its_effect_allows, setup, teardown),
		cmocka_unit_test_setup_teardown(retries_back_off_within_bounds_and_end_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_that_kills_its_workers_is_dead_at_the_third, setup, teardown),
		cmocka_unit_test_setup_teardown(crashes_do_not_use_up_retries, setup, teardown),
		cmocka_unit_test_setup_teardown(only_failures_use_up_retries, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_worth_another_try_gets_none, setup, teardown),
		cmocka_unit_test_setup_teardown(a_server_may_ask_for_a_longer_wait_but_not_for_any, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dead_task_says_what_became_of_its_attempts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_history_keeps_the_latest_ten, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_of_running_work_outlives_its_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_says_what_is_known_of_the_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_house_bounds_the_time_of_its_attempts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_waits_until_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deadline_ends_what_has_not_begun, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deadline_that_passes_while_it_runs_does_not_wake_the_agent_for_nothing, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(the_timeout_is_the_tools_or_the_tasks, setup, teardown),
		cmocka_unit_test_setup_teardown(long_work_is_announced_and_short_work_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_of_something_unknown_is_no_matter, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_handed_out_is_given_back_by_a_draining_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(a_draining_agent_starts_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
