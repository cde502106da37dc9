/* Killed at any point, and a store that cannot write: nothing accepted is lost, nothing leaves that is not on
 * disk, and what may not run twice does not. */
#include "coretest.h"

#include <time.h>

#define EVENTS "house/ezra/event"
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
turn(void)
{
	assert_int_equal(ct_turn(&t), 0);
}

static void
restart(void)
{
	ct_kill(&t);
	t.idle = 4;
	t.quick = 64;
	ct_up(&t, true);
}

static void
what_ran_is_queued_again_or_becomes_uncertain(void **state)
{
	(void)state;
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}\n{'tool':'idempotent_tool','id':'%s'}\n"
	    "{'tool':'exclusive_tool','id':'%s'}", ct_id(1), ct_id(2), ct_id(3));
	turn();
	turn();
	assert_int_equal(t.nrun, 3);
	restart();
	turn();
	assert_int_equal(t.nrun, 2);
	assert_non_null(ct_running(&t, ct_id(1)));
	assert_non_null(ct_running(&t, ct_id(2)));
	assert_string_equal(ct_state(&t, ct_id(3)), "uncertain");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, ct_id(3), "outcome"), "error.code"), "lost");
	restart();
	turn();
	assert_string_equal(ct_state(&t, ct_id(3)), "uncertain");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 3);
}

/* One task of each kind is driven through its life, and the agent dies after each single step of it. */
static int
life(int die_at, const char *tool, bool commits)
{
	int step = 0, outcomes;
	const char *id = ct_id(1);

#define STEP() do { if (step++ == die_at) goto dead; } while (0)
	ct_taskf(&t, "ezra", "me", "{'tool':'%s','id':'%s','retry':{'max':2,'base_s':1,'cap_s':1}}", tool, id);
	STEP();
	turn();
	STEP();
	turn();
	ct_begin(&t);
	STEP();
	if (ct_running(&t, id))
		ct_end(&t, id, commits ? POOL_SUCCEEDED : POOL_CRASHED, NULL);
	STEP();
	turn();
	STEP();
	turn();
	STEP();
dead:
	restart();
	/* Its sender, who has heard nothing, sends it again. */
	if (!ct_count(&t, REPLIES, id, "accepted"))
		ct_taskf(&t, "ezra", "me", "{'tool':'%s','id':'%s','retry':{'max':2,'base_s':1,'cap_s':1}}", tool, id);
	for (int i = 0; i < 6; i++) {
		turn();
		ct_end_all(&t);
		turn();
		ct_pass(&t, 1000);
	}
	outcomes = 0;
	for (size_t i = 0; i < t.nlines; i++)
		outcomes += t.lines[i].topic && strstr(t.lines[i].topic, EVENTS) &&
		    strcmp(ct_str(t.lines[i].v, "type"), "outcome") == 0;
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 1);
	assert_true(outcomes >= 1);
	return step;
}

static void
no_point_of_death_loses_or_doubles(void **state)
{
	static const char *const tools[] = { "noop", "read_tool", "idempotent_tool", "exclusive_tool" };

	(void)state;
	for (int k = 0; k < 4; k++)
		for (int crash = 0; crash < 2; crash++)
			for (int die_at = 0; die_at < 7; die_at++) {
				size_t started;

				ct_teardown(&t);
				ct_setup(&t, NULL);
				ct_up(&t, false);
				life(die_at, tools[k], !crash);
				started = t.nstarted;
				if (k == 3)
					assert_true(started <= 1);
				assert_string_equal(ct_state(&t, ct_id(1)), k == 3 && ct_sql(&t, "SELECT state = 7 FROM tasks") == 1 ?
				    "uncertain" : "succeeded");
			}
}

static void
more_than_a_batch_of_running_tasks_is_recovered(void **state)
{
	(void)state;
	t.quick = 1000;
	for (int i = 0; i < 700; i++)
		ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	turn();
	turn();
	assert_int_equal(t.nrun, 700);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks WHERE state = 5"), 700);
	ct_kill(&t);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks WHERE state = 5"), 0);
	assert_int_equal(ct_health(&t, "ezra", "open"), 700);
}

/* The configuration gave the house to another agent: what was accepted is still carried to its end. */
static void
tasks_of_a_house_that_moved_away_are_finished(void **state)
{
	(void)state;
	t.quick = 300;
	for (int i = 0; i < 300; i++)
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id(i));
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','not_before':%lld}", ct_id(1000), T0 + 5000LL);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','deadline':%lld,'not_before':%lld}", ct_id(1001), T0 + 5000LL,
	    T0 + 60000LL);
	turn();
	turn();
	ct_give_house(&t, 1, "ezra-2");
	ct_kill(&t);
	t.quick = 300;
	ct_up(&t, true);
	ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	turn();
	turn();
	assert_int_equal(t.nrun, 300);
	/* What gathered before goes out at its pace; then nothing is due. */
	ct_pass(&t, 1000);
	turn();
	assert_true(t.next > t.now.mono_ms + 100);
	ct_end_all(&t);
	turn();
	ct_pass(&t, 6000);
	turn();
	turn();
	ct_end_all(&t);
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks WHERE state = 9"), 301);
	assert_string_equal(ct_state(&t, ct_id(1001)), "expired");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 302);
}

static void
a_tool_that_is_gone_makes_its_task_dead(void **state)
{
	(void)state;
	t.idle = t.quick = 0;
	ct_taskf(&t, "ezra", "me", "{'tool':'read_tool','id':'%s'}", ct_id(1));
	turn();
	registry_free(t.tools);
	t.config.tool_dirs.n = 0;
	t.tools = registry_new(&t.config, NULL, NULL);
	t.config.tool_dirs.n = 1;
	restart();
	turn();
	turn();
	assert_string_equal(ct_state(&t, ct_id(1)), "dead");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, ct_id(1), "outcome"), "error.code"), "unknown_tool");
}

/* ---- a store that cannot write ---- */

static void
limit_pages(bool full)
{
	char sql[80];

	snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld",
	    full ? (long long)ct_sql(&t, "PRAGMA page_count") : 1073741823LL);
	ct_sql(&t, sql);
}

static void
submit_many(int n)
{
	for (int i = 1; i <= n; i++)
		ct_taskf(&t, "ezra", "me", "{'tool':'%s','id':'%s','params':{'s':'%0512d'}}", i % 2 ? "read_tool" : "exclusive_tool",
		    ct_id(i), i);
}

static void
a_full_disk_lets_nothing_out_and_then_everything(void **state)
{
	(void)state;
	limit_pages(true);
	submit_many(100);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ct_turn(&t), -1);
		assert_int_equal(t.e.code, ERR_STORE);
		assert_int_equal(t.nlines, 0);
		for (size_t k = 0; k < t.nrun; k++)
			assert_string_equal(t.run[k].tool, "read_tool");
	}
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 0);
	limit_pages(false);
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 100);
	assert_int_equal(ct_count(&t, REPLIES, NULL, "accepted"), 100);
	assert_int_equal(ct_count(&t, EVENTS, NULL, "accepted"), 100);
	for (int i = 0; i < 200 && ct_health(&t, "ezra", "open"); i++) {
		ct_end_all(&t);
		turn();
	}
	assert_int_equal(ct_count(&t, EVENTS, NULL, "outcome"), 100);
	assert_int_equal(t.nstarted, 100);
	assert_int_equal(ct_num(ct_last(&t, EVENTS, NULL, NULL), "seq"), ct_count(&t, EVENTS, NULL, NULL));
}

static void
killed_while_the_disk_is_full_the_sender_has_heard_nothing(void **state)
{
	(void)state;
	limit_pages(true);
	submit_many(50);
	assert_int_equal(ct_turn(&t), -1);
	restart();
	assert_int_equal(t.nlines, 0);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 0);
	submit_many(50);
	turn();
	assert_int_equal(ct_count(&t, REPLIES, NULL, "accepted"), 50);
}

static void
outcomes_wait_for_the_disk(void **state)
{
	(void)state;
	submit_many(4);
	turn();
	turn();
	ct_forget(&t);
	limit_pages(true);
	for (int i = 1; i <= 4; i++) {
		struct buf b = { 0 };

		buf_addf(&b, "{\"x\":\"%020000d\"}", i);
		ct_end(&t, ct_id(i), POOL_SUCCEEDED, b.data);
		buf_free(&b);
	}
	assert_int_equal(ct_turn(&t), -1);
	assert_int_equal(t.nlines, 0);
	limit_pages(false);
	turn();
	assert_int_equal(ct_count(&t, REPLIES, NULL, "outcome"), 4);
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks WHERE state = 9"), 4);
}

/* ---- retention ---- */

static void
run_tasks(int from, int n)
{
	t.quick = (unsigned)n + 64;
	for (int i = from; i < from + n; i++)
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id_at(t.now.wall_ms, i));
	turn();
	while (t.nrun) {
		ct_end_all(&t);
		turn();
	}
	ct_forget(&t);
}

static void
finished_tasks_are_kept_up_to_their_number(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "retention: { finished: 1000 }\n");
	ct_up(&t, false);
	for (int i = 0; i < 20; i++) {
		run_tasks(1 + i * 1000, 1000);
		ct_pass(&t, 10);
		assert_true(ct_sql(&t, "SELECT count(*) FROM tasks") <= 3100);
	}
	for (int i = 0; i < 3; i++) {
		ct_pass(&t, 60000);
		run_tasks(30000 + i, 1);
	}
	assert_true(ct_sql(&t, "SELECT count(*) FROM tasks") <= 3100);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id_at(T0, 5));
	turn();
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "stale");
	restart();
	ct_forget(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}\n{'tool':'noop','id':'%s'}", ct_id_at(T0, 6),
	    ct_id_at(t.now.wall_ms, 1));
	turn();
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "stale");
	ct_last(&t, REPLIES, NULL, "accepted");
}

static void
finished_tasks_are_kept_for_their_time_and_open_ones_for_ever(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "retention: { finished_s: 1h }\n");
	ct_up(&t, false);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','not_before':%lld}", ct_id(9999), T0 + 86400000LL);
	run_tasks(1, 3000);
	ct_pass(&t, 3599 * 1000);
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 3001);
	for (int i = 0; i < 5; i++) {
		ct_pass(&t, 5000);
		turn();
	}
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), 1);
	assert_string_equal(ct_state(&t, ct_id(9999)), "scheduled");
}

/* One sender whose clock is ahead: forgetting his task must not make everybody else's ids stale. */
static void
an_id_of_the_future_does_not_make_others_stale(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "retention: { finished: 10 }\n");
	ct_up(&t, false);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id_at(T0 + 80000000, 1));
	turn();
	ct_end_all(&t);
	run_tasks(10, 200);
	ct_pass(&t, 10000);
	turn();
	ct_pass(&t, 10000);
	run_tasks(1000, 1);
	assert_int_equal(ct_health(&t, NULL, "rejected"), 0);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id_at(T0 + 80000000, 1));
	turn();
	ct_last(&t, REPLIES, NULL, "outcome");
}

/* A long queue whose tasks were all made at once, and another sender's that are made while it comes in. */
static void
a_flood_is_not_stale_because_of_what_comes_beside_it(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "retention: { finished: 3000 }\n");
	ct_up(&t, false);
	t.quick = 10000;
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 100; k++)
			ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id_at(T0 + i, 1000 + i * 100 + k));
		ct_taskf(&t, "ezra", "you", "{'tool':'noop','id':'%s'}", ct_id_at(t.now.wall_ms, 1 + i));
		turn();
		while (t.nrun) {
			ct_end_all(&t);
			turn();
		}
		ct_forget(&t);
		ct_pass(&t, 7000);
		turn();
	}
	assert_int_equal(ct_health(&t, NULL, "rejected"), 0);
	for (int i = 0; i < 10; i++) {
		ct_pass(&t, 60000);
		run_tasks(10000 + i, 1);
	}
	assert_true(ct_sql(&t, "SELECT count(*) FROM tasks") <= 3100);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}", ct_id_at(T0 + 1, 9));
	turn();
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "stale");
}

static void
a_key_whose_task_was_forgotten_does_not_run_again(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "retention: { finished: 10 }\n");
	ct_up(&t, false);
	ct_task(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'a'}");
	turn();
	ct_end_all(&t);
	run_tasks(10, 200);
	ct_pass(&t, 10000);
	turn();
	ct_task(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'a'}");
	turn();
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.code"), "stale");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.field"), "key");
	assert_int_equal(t.nstarted, 201);
}

/* ---- stores that cannot be used ---- */

static void
spoil(const char *how)
{
	FILE *f = fopen(ct_store(&t), "r+");

	assert_non_null(f);
	if (strcmp(how, "text") == 0)
		for (int i = 0; i < 1000; i++)
			fputs("this is not a database ", f);
	else
		for (int i = 1; i < 16; i++) {          /* pages beyond the first */
			fseek(f, 4096L * i, SEEK_SET);
			for (int k = 0; k < 512; k++)
				fputs("\xff\xff\xff\xff\xff\xff\xff\xff", f);
		}
	fclose(f);
}

static void
a_store_that_cannot_be_read_is_an_error(void **state)
{
	static const char *const how[] = { "text", "pages" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct core *c = NULL;

		ct_teardown(&t);
		ct_setup(&t, NULL);
		ct_up(&t, false);
		for (int k = 0; k < 200; k++)
			ct_task(&t, "ezra", "me", "{'tool':'noop'}");
		turn();
		core_close(t.core);
		t.core = NULL;
		spoil(how[i]);
		assert_int_equal(core_open(&c, &(struct core_opts){ .config = &t.config, .tools = t.tools, .agent = "ezra-1",
		    .store_path = ct_store(&t), .seed = 1, .version = "4", .host = "here" }, t.now, &t.e), -1);
		assert_int_equal(t.e.code, ERR_STORE);
		assert_non_null(strstr(t.e.msg, "store.db"));
	}
}

/* ---- many rows ---- */

static void
fill(int n)
{
	char sql[1024];

	/* Finished ones, and among them some that will be due. */
	snprintf(sql, sizeof sql, "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < %d)"
	    " INSERT INTO tasks SELECT i, CAST(printf('%%016d', i) AS BLOB), 'ezra', 9, 4, 'noop', 'me', '{\"tool\":\"noop\"}',"
	    " 1, 0, %lld, NULL, NULL, %lld, NULL, NULL, NULL, '{\"result\":{}}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM k", n, T0 + 0LL, T0 + 0LL);
	ct_sql(&t, sql);
}

static int64_t
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static void
a_million_finished_tasks_cost_neither_start_nor_turns(void **state)
{
	int64_t begun;

	(void)state;
	fill(getenv("SLOW") && strcmp(getenv("SLOW"), "1") != 0 ? 200000 : 1000000);
	begun = cpu_us();
	restart();
	assert_true(cpu_us() - begun < 1000000);
	begun = cpu_us();
	for (int i = 0; i < 20; i++) {
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','retry':{'max':3},'deadline':%lld}\n{'tool':'noop','not_before':%lld}",
		    T0 + 1000000LL + i, T0 + 50LL * i);
		turn();
		if (t.nrun)
			ct_end(&t, t.run[0].id, POOL_FAILED, NULL);
		turn();
		ct_pass(&t, 100);
	}
	/* A scan of the table takes some 100 ms each. */
	assert_true(cpu_us() - begun < 1000000);
	begun = cpu_us();
	ct_local(&t, 1, "{'op':'query','list':{'state':'uncertain'}}");
	turn();
	assert_int_equal(ct_num(ct_last(&t, "local", NULL, "end"), "count"), 0);
	assert_true(ct_num(ct_last(&t, "local", NULL, "end"), "next") > 0);
	assert_true(cpu_us() - begun < 500000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_ran_is_queued_again_or_becomes_uncertain, setup, teardown),
		cmocka_unit_test_setup_teardown(no_point_of_death_loses_or_doubles, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_a_batch_of_running_tasks_is_recovered, setup, teardown),
		cmocka_unit_test_setup_teardown(tasks_of_a_house_that_moved_away_are_finished, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tool_that_is_gone_makes_its_task_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_lets_nothing_out_and_then_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_while_the_disk_is_full_the_sender_has_heard_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(outcomes_wait_for_the_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(finished_tasks_are_kept_up_to_their_number, setup, teardown),
		cmocka_unit_test_setup_teardown(finished_tasks_are_kept_for_their_time_and_open_ones_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(an_id_of_the_future_does_not_make_others_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_is_not_stale_because_of_what_comes_beside_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_whose_task_was_forgotten_does_not_run_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_store_that_cannot_be_read_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_million_finished_tasks_cost_neither_start_nor_turns, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
