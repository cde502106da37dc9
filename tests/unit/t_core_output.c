/* What tools write: told while it lasts, kept, and answered by whoever has it. */
#include "coretest.h"

#include "state.h"

#define LOG "house/ezra/log"
#define ASK "uw/home/house/ezra/query/me"
#define REPLY "uw/home/client/me/reply/1"

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
begin(const char *task)
{
	id = task;
	ct_taskf(&t, "ezra", "me", "{'tool':'read_tool','id':'%s'}", id);
	turn();
}

static void
writes(const char *text)
{
	ct_begin(&t);
	core_attempt_log(t.core, ct_running(&t, id)->handle, text, strlen(text));
	turn();
}

static void
says(int percent, const char *note)
{
	ct_begin(&t);
	core_attempt_progress(t.core, ct_running(&t, id)->handle, percent, note, strlen(note));
	turn();
}

static void
pass(int64_t ms)
{
	ct_pass(&t, ms);
	turn();
}

static void
end(void)
{
	ct_begin(&t);
	ct_end(&t, id, POOL_SUCCEEDED, "1");
	turn();
}

static void
ask(const char *task, int attempt, int64_t from)
{
	char text[160];

	ct_forget(&t);
	ct_begin(&t);
	snprintf(text, sizeof text, "{'output':{'id':'%s','attempt':%d,'from':%lld}}", task, attempt, (long long)from);
	ct_send(&t, ASK, text, REPLY, "c");
	turn();
}

static bool
names(const cJSON *o, const char *list, const char *agent)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, cJSON_GetObjectItem(o, list))
		if (strcmp(v->valuestring, agent) == 0)
			return true;
	return false;
}

static const cJSON *
answer(const char *type)
{
	return ct_last(&t, "client/me/reply", id, type);
}

static void
it_is_told_a_few_times_a_second(void **state)
{
	(void)state;
	begin(id);
	writes("one\n");
	writes("two\n");
	assert_int_equal(ct_count(&t, LOG, id, NULL), 0);
	assert_true(t.next <= t.now.mono_ms + 250);
	pass(250);
	assert_int_equal(ct_count(&t, LOG, id, "output"), 1);
	assert_string_equal(ct_str(ct_last(&t, LOG, id, "output"), "text"), "one\ntwo\n");
	assert_int_equal(ct_num(ct_last(&t, LOG, id, "output"), "offset"), 0);
	assert_int_equal(ct_num(ct_last(&t, LOG, id, "output"), "attempt"), 1);
	writes("three \"\xc3\xa4\"\n");
	pass(250);
	assert_string_equal(ct_str(ct_last(&t, LOG, id, "output"), "text"), "three \"\xc3\xa4\"\n");
	assert_int_equal(ct_num(ct_last(&t, LOG, id, "output"), "offset"), 8);
	/* Nothing new, nothing to tell, and nothing to wake up for. */
	ct_forget(&t);
	pass(250);
	pass(250);
	assert_int_equal(ct_count(&t, LOG, NULL, NULL), 0);
	assert_true(t.next > t.now.mono_ms + 250);
	/* Whoever has heard some of it hears the rest when it ends. */
	writes("the end");
	end();
	assert_string_equal(ct_str(ct_last(&t, LOG, id, "output"), "text"), "the end");
}

static void
nothing_of_it_makes_a_commit(void **state)
{
	(void)state;
	begin(id);
	turn();
	pass(2000);
	ct_begin(&t);
	core_attempt_log(t.core, ct_running(&t, id)->handle, "x", 1);
	core_attempt_progress(t.core, ct_running(&t, id)->handle, 5, "y", 1);
	assert_false(core_is_dirty(t.core));
	turn();
	ct_pass(&t, 300);
	ct_begin(&t);
	core_tick(t.core);
	assert_false(core_is_dirty(t.core));
	turn();
	assert_int_equal(ct_count(&t, LOG, id, NULL), 2);
}

static void
what_is_over_at_once_tells_nothing_and_is_kept(void **state)
{
	(void)state;
	begin(id);
	writes("short\n");
	end();
	pass(300);
	pass(300);
	assert_int_equal(ct_count(&t, LOG, NULL, NULL), 0);
	ask(id, 0, 0);
	assert_string_equal(ct_str(answer("output"), "text"), "short\n");
	assert_true(json_is_true(answer("output_end"), "over"));
	assert_string_equal(ct_str(answer("logs"), "state"), "succeeded");
	assert_true(names(answer("logs"), "asked", "ezra-1"));
	/* In the next life too. */
	ct_kill(&t);
	ct_up(&t, true);
	turn();
	ask(id, 0, 0);
	assert_string_equal(ct_str(answer("output"), "text"), "short\n");
	assert_string_equal(ct_str(answer("output_all"), "agent"), "ezra-1");
}

static void
of_what_wrote_nothing_there_is_nothing(void **state)
{
	(void)state;
	begin(id);
	says(50, "half");
	end();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM output"), 0);
	ask(id, 0, 0);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output"), 0);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output_all"), 1);
}

static void
progress_is_told_as_it_is_last(void **state)
{
	(void)state;
	begin(id);
	ct_begin(&t);
	core_attempt_progress(t.core, ct_running(&t, id)->handle, 10, "begins", 6);
	core_attempt_progress(t.core, ct_running(&t, id)->handle, 20, "goes on", 7);
	turn();
	assert_int_equal(ct_count(&t, LOG, id, "progress"), 1);
	assert_int_equal(ct_num(ct_last(&t, LOG, id, "progress"), "percent"), 20);
	assert_string_equal(ct_str(ct_last(&t, LOG, id, "progress"), "note"), "goes on");
	says(-1, "looks around");
	pass(250);
	assert_null(cJSON_GetObjectItem(ct_last(&t, LOG, id, "progress"), "percent"));
	ask(id, 0, 0);
	assert_string_equal(ct_str(answer("output_end"), "note"), "looks around");
	assert_false(json_is_true(answer("output_end"), "over"));
}

static void
after_a_pause_it_is_told_at_once(void **state)
{
	(void)state;
	begin(id);
	writes("one\n");
	pass(250);
	pass(1000);
	writes("two\n");
	assert_int_equal(ct_count(&t, LOG, id, "output"), 2);
	/* What follows at once waits for its time; the time passes from the last that was told. */
	pass(10);
	writes("three\n");
	pass(230);
	assert_int_equal(ct_count(&t, LOG, id, "output"), 2);
	assert_int_equal(t.next, t.now.mono_ms + 10);
	pass(10);
	assert_string_equal(ct_str(ct_last(&t, LOG, id, "output"), "text"), "three\n");
}

/* So that many who speak are not as many messages. */
static void
what_several_say_within_some_ms_is_told_in_one_message(void **state)
{
	int before;

	(void)state;
	t.idle = 100;
	for (int n = 1; n <= 4; n++)
		begin(ct_id(n));
	before = (int)t.messages;
	for (int n = 1; n <= 4; n++) {
		id = ct_id(n);
		says(n, "");
	}
	assert_int_equal(ct_count(&t, LOG, NULL, "progress"), 1);
	pass(10);
	assert_int_equal(ct_count(&t, LOG, NULL, "progress"), 4);
	assert_int_equal(t.messages, before + 2);
}

static void
a_range_is_answered_from_where_it_is_asked(void **state)
{
	(void)state;
	begin(id);
	writes("0123456789");
	ask(id, 1, 4);
	assert_string_equal(ct_str(answer("output"), "text"), "456789");
	assert_int_equal(ct_num(answer("output"), "offset"), 4);
	ask(id, 1, 10);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output"), 0);
	assert_int_equal(ct_num(answer("output_end"), "end"), 10);
	ask(id, 1, 1000);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output"), 0);
	/* Of another attempt. */
	ask(id, 2, 0);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output"), 0);
	ask(ct_id(9), 0, 0);
	assert_string_equal(ct_str(ct_last(&t, "client/me/reply", ct_id(9), "error"), "error.code"), "unknown_task");
	ct_begin(&t);
	ct_send(&t, ASK, "{'output':{'id':7}}", REPLY, "c");
	turn();
	assert_string_equal(ct_str(ct_last(&t, "client/me/reply", NULL, "error"), "error.field"), "output.id");
}

static void
each_attempt_has_its_own(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'read_tool','id':'%s','retry':{'max':2}}", id);
	turn();
	writes("first\n");
	ct_begin(&t);
	ct_end(&t, id, POOL_TIMEOUT, NULL);
	turn();
	pass(3000);
	assert_int_equal(t.nrun, 1);
	writes("second\n");
	ask(id, 0, 0);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output"), 2);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output_end"), 2);
	assert_string_equal(ct_str(answer("output"), "text"), "second\n");
	assert_int_equal(ct_num(answer("output"), "attempt"), 2);
	ask(id, 1, 3);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output"), 2);
	ask(id, 2, 0);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output"), 1);
}

/* Each line says its number, so that any part shows where it is from. */
static void
flood(int from, int to)
{
	struct buf b = { 0 };

	ct_begin(&t);
	for (int i = from; i < to; i++)
		buf_addf(&b, "%07d \xc3\xa4\xc3\xa4\xc3\xa4\n", i);
	for (size_t at = 0; at < b.len; at += 15 * 512)
		core_attempt_log(t.core, ct_running(&t, id)->handle, b.data + at, b.len - at < 15 * 512 ? b.len - at : 15 * 512);
	buf_free(&b);
	turn();
}

static void
is_as_written(const cJSON *line)
{
	int64_t at = ct_num(line, "offset");
	const char *text = ct_str(line, "text");
	char want[32];

	for (size_t i = 0; text[i]; i++) {
		snprintf(want, sizeof want, "%07d \xc3\xa4\xc3\xa4\xc3\xa4\n", (int)((at + (int64_t)i) / 15));
		assert_int_equal(text[i], want[(at + (int64_t)i) % 15]);
	}
}

static void
of_much_the_last_is_kept(void **state)
{
	int64_t next;

	(void)state;
	begin(id);
	flood(0, 100000);
	pass(250);
	assert_true(strlen(ct_str(ct_last(&t, LOG, id, "output"), "text")) <= 32 << 10);
	is_as_written(ct_last(&t, LOG, id, "output"));
	assert_int_equal(ct_num(ct_last(&t, LOG, id, "output"), "offset") +
	    (int64_t)strlen(ct_str(ct_last(&t, LOG, id, "output"), "text")), 1500000);
	for (int life = 0; life < 2; life++) {
		ask(id, 1, 0);
		next = ct_num(answer("output_end"), "first");
		assert_true(next >= 1500000 - (int)(OUTPUT_KEEP + OUTPUT_KEEP / 4) && next <= 1500000 - (int)OUTPUT_KEEP + 16);
		for (size_t i = 0; i < t.nlines; i++) {
			if (strcmp(ct_str(t.lines[i].v, "type"), "output") != 0)
				continue;
			assert_int_equal(ct_num(t.lines[i].v, "offset"), next);
			is_as_written(t.lines[i].v);
			next += (int64_t)strlen(ct_str(t.lines[i].v, "text"));
		}
		assert_int_equal(next, 1500000);
		if (life == 0)
			end();
	}
}

static void
all_that_runs_shares_a_bound(void **state)
{
	size_t bytes = 0;

	(void)state;
	t.idle = 100;
	for (int n = 1; n <= 90; n++) {
		begin(ct_id(n));
		flood(0, 30000);
	}
	for (int n = 1; n <= 90; n++) {
		ask(ct_id(n), 1, 0);
		id = ct_id(n);
		bytes += (size_t)(ct_num(answer("output_end"), "end") - ct_num(answer("output_end"), "first"));
	}
	assert_true(bytes < 90 * 320 * 1024);
}

static void
rows_have_a_bound(void **state)
{
	(void)state;
	t.config.keep_output_bytes = 600000;
	for (int n = 1; n <= 8; n++) {
		begin(ct_id(n));
		flood(0, 20000);
		end();
	}
	for (int i = 0; i < 4; i++)
		pass(6000);
	assert_true(ct_sql(&t, "SELECT sum(bytes) FROM output") <= 600000);
	assert_true(ct_sql(&t, "SELECT count(*) FROM output") >= 1);
	ask(ct_id(8), 0, 0);
	assert_true(ct_count(&t, "client/me/reply", id, "output") > 0);
	ask(ct_id(1), 0, 0);
	assert_int_equal(ct_count(&t, "client/me/reply", ct_id(1), "output"), 0);
	/* None at all. */
	t.config.keep_output_bytes = 0;
	begin(ct_id(9));
	writes("x");
	end();
	ask(id, 0, 0);
	assert_int_equal(ct_count(&t, "client/me/reply", id, "output"), 0);
}

static void
without_a_broker_it_is_told_later(void **state)
{
	(void)state;
	begin(id);
	writes("one\n");
	ct_down(&t);
	pass(250);
	writes("two\n");
	pass(250);
	assert_int_equal(ct_count(&t, LOG, NULL, NULL), 0);
	ct_up(&t, true);
	pass(300);
	assert_string_equal(ct_str(ct_last(&t, LOG, id, "output"), "text"), "one\ntwo\n");
}

static void
a_commit_that_fails_loses_none(void **state)
{
	(void)state;
	begin(id);
	writes("kept\n");
	ct_begin(&t);
	ct_end(&t, id, POOL_SUCCEEDED, "1");
	sqlite3_exec(t.core->db.h, "PRAGMA query_only=ON", NULL, NULL, NULL);
	assert_int_equal(ct_turn(&t), -1);
	sqlite3_exec(t.core->db.h, "PRAGMA query_only=OFF", NULL, NULL, NULL);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM output"), 0);
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM output"), 1);
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM output"), 1);
}

static void
an_unknown_attempt_says_nothing(void **state)
{
	(void)state;
	ct_begin(&t);
	core_attempt_log(t.core, 77, "x", 1);
	core_attempt_progress(t.core, 77, 1, "x", 1);
	turn();
	pass(300);
	assert_int_equal(ct_count(&t, LOG, NULL, NULL), 0);
}

/* ---- several agents ---- */

static struct net net;

static int
setup_net(void **state)
{
	(void)state;
	net_setup(&net, 3, "agents: [timmy-1]", NULL);
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
ask_net(const char *task)
{
	for (int i = 0; i < net.n; i++)
		ct_forget(&net.node[i].t);
	net_query(&net, "query", "{'output':{'id':'%s'}}", task);
	net_run(&net, 300);
}

static void
who_ran_it_answers_for_its_owner(void **state)
{
	struct coretest *timmy = &net.node[1].t;
	const char *task = ct_id(1);

	(void)state;
	net_task(&net, "me", "{'tool':'read_tool','id':'%s'}", task);
	net_run(&net, 200);
	assert_int_equal(timmy->nrun, 1);
	ct_begin(timmy);
	core_attempt_log(timmy->core, timmy->run[0].handle, "there\n", 6);
	net_run(&net, 500);
	assert_int_equal(net_count(&net, "house/ezra/log/timmy-1", task, "output"), 1);
	ask_net(task);
	assert_int_equal(net_count(&net, "client/", task, "logs"), 1);
	assert_int_equal(net_count(&net, "client/", task, "output"), 1);
	assert_int_equal(net_count(&net, "client/", task, "output_all"), 3);
	assert_string_equal(ct_str(ct_last(timmy, "client/", task, "output"), "text"), "there\n");
	assert_string_equal(ct_str(ct_last(timmy, "client/", task, "output"), "agent"), "timmy-1");
	/* Of a dead one the owner says that it is not there. */
	net_kill(&net, 1);
	net_run(&net, 7000);
	ask_net(task);
	assert_int_equal(net_count(&net, "client/", task, "output"), 0);
	assert_true(names(ct_last(&net.node[0].t, "client/", task, "logs"), "silent", "timmy-1"));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_is_told_a_few_times_a_second),
		T(nothing_of_it_makes_a_commit),
		T(what_is_over_at_once_tells_nothing_and_is_kept),
		T(of_what_wrote_nothing_there_is_nothing),
		T(progress_is_told_as_it_is_last),
		T(after_a_pause_it_is_told_at_once),
		T(what_several_say_within_some_ms_is_told_in_one_message),
		T(a_range_is_answered_from_where_it_is_asked),
		T(each_attempt_has_its_own),
		T(of_much_the_last_is_kept),
		T(all_that_runs_shares_a_bound),
		T(rows_have_a_bound),
		T(without_a_broker_it_is_told_later),
		T(a_commit_that_fails_loses_none),
		T(an_unknown_attempt_says_nothing),
		cmocka_unit_test_setup_teardown(who_ran_it_answers_for_its_owner, setup_net, teardown_net),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
