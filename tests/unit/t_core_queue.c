/* Queues longer than their window in memory: the order is kept exactly, and nothing is lost or doubled across
 * the window's edge, whatever comes, goes and comes back. */
#include "coretest.h"

#include <sqlite3.h>

#include "state.h"

#define EVENTS "house/ezra/event"

static struct coretest t;
static unsigned seed;

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	t.idle = t.quick = 0;
	seed = 12345;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ct_teardown(&t);
	return 0;
}

static unsigned
roll(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

static void
turn(void)
{
	assert_int_equal(ct_turn(&t), 0);
	ct_forget(&t);
}

/* ---- a model: what each task is, by its number ---- */

enum { NONE, QUEUED, OUT, GONE };

static struct {
	int priority, is;
} model[20001];
static int last;

static void
submit_some(int n)
{
	struct buf b = { 0 };

	if (!n)
		return;
	for (int i = 0; i < n; i++) {
		last++;
		model[last].priority = (int)roll(10);
		model[last].is = QUEUED;
		buf_addf(&b, "{\"tool\":\"noop\",\"id\":\"%s\",\"priority\":%d}\n", ct_id(last), model[last].priority);
	}
	ct_message(&t, (struct mqtt_msg){ .topic = "uw/home/house/ezra/task/me", .payload = b.data, .len = b.len, .qos = 0 });
	buf_free(&b);
}

static int
best(void)
{
	int found = 0;

	for (int i = 1; i <= last; i++)
		if (model[i].is == QUEUED && (!found || model[i].priority > model[found].priority))
			found = i;
	return found;
}

/* All that started since then is what should have, in this order. */
static void
check_starts(size_t before)
{
	for (size_t i = before; i < t.nrun; i++) {
		int n = (int)HANDLE_SEQ(t.run[i].handle);

		if (n != best())
			fail_msg("started %d of priority %d, not %d of priority %d", n, model[n].priority, best(), model[best()].priority);
		model[n].is = OUT;
	}
}

static int64_t
count_model(int is)
{
	int64_t n = 0;

	for (int i = 1; i <= last; i++)
		n += model[i].is == is;
	return n;
}

static void
check_counts(void)
{
	assert_int_equal(ct_health(&t, "ezra", "queued"), count_model(QUEUED));
	assert_int_equal(ct_health(&t, "ezra", "running"), count_model(OUT));
	assert_int_equal(ct_health(&t, "ezra", "open"), count_model(QUEUED) + count_model(OUT));
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks WHERE state = 3"), count_model(QUEUED));
	assert_true(t.core->live <= WINDOW_MAX + count_model(OUT));
}

static void
reset_model(void)
{
	memset(model, 0, sizeof model);
	last = 0;
}

static void
ten_thousand_run_in_order_of_priority_and_age(void **state)
{
	(void)state;
	reset_model();
	for (int i = 0; i < 10; i++) {
		submit_some(1000);
		turn();
	}
	check_counts();
	while (count_model(QUEUED)) {
		size_t before = t.nstarted;

		t.quick = 97;
		turn();
		check_starts(0);
		assert_true(t.nstarted > before);
		for (size_t i = 0; i < t.nrun; i++)
			model[HANDLE_SEQ(t.run[i].handle)].is = GONE;
		ct_end_all(&t);
		t.quick = 0;
		turn();
	}
	assert_int_equal(t.nstarted, 10000);
	check_counts();
	assert_int_equal(ct_health(&t, "ezra", "succeeded"), 10000);
}

static void
cancel(int n)
{
	char text[100];

	snprintf(text, sizeof text, "{'op':'cancel','id':'%s'}", ct_id(n));
	ct_local(&t, 1, text);
	model[n].is = GONE;
}

/* Ends or hands back some of what is out. */
static void
end_some(void)
{
	for (size_t i = 0; i < t.nrun;) {
		int n = (int)HANDLE_SEQ(t.run[i].handle);
		unsigned r = roll(10);

		if (r < 3) {
			ct_end(&t, t.run[i].id, POOL_NOT_RUN, NULL);
			model[n].is = QUEUED;
		} else if (r < 7) {
			ct_end(&t, t.run[i].id, POOL_SUCCEEDED, NULL);
			model[n].is = GONE;
		} else {
			i++;
		}
	}
}

static void
cancel_some(void)
{
	for (int i = 0; i < 20; i++) {
		int n = 1 + (int)roll((unsigned)last);

		if (model[n].is == QUEUED)
			cancel(n);
	}
}

static void
coming_going_and_coming_back_keep_the_order(void **state)
{
	(void)state;
	reset_model();
	submit_some(4000);
	turn();
	for (int round = 0; round < 400; round++) {
		size_t before;

		t.quick = 0;
		end_some();
		cancel_some();
		if (last < 9000)
			submit_some((int)roll(60));
		before = t.nrun;
		t.quick = roll(40);
		turn();
		check_starts(before);
		if (round % 50 == 0)
			check_counts();
	}
	check_counts();
	assert_true(count_model(GONE) > 3000);
}

static void
a_restart_finds_all_of_them(void **state)
{
	(void)state;
	reset_model();
	submit_some(4000);
	submit_some(4000);
	turn();
	t.quick = 50;
	turn();
	check_starts(0);
	for (int i = 1; i <= last; i++)
		if (model[i].is == OUT)
			model[i].is = QUEUED;
	ct_kill(&t);
	t.quick = 0;
	ct_up(&t, true);
	check_counts();
	for (int i = 0; t.nrun < 300 && i < 10; i++) {
		size_t before = t.nrun;

		t.quick = 300 - (unsigned)t.nrun;
		turn();
		check_starts(before);
	}
	assert_int_equal(t.nrun, 300);
}

/* Each more urgent than the last pushes the others out of the window. */
static void
what_falls_out_of_the_window_leaves_memory(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int p = 0; p < 10; p++) {
		buf_clear(&b);
		for (int i = 0; i < WINDOW_MAX; i++)
			buf_addf(&b, "{\"tool\":\"noop\",\"priority\":%d}\n", p);
		ct_message(&t, (struct mqtt_msg){ .topic = "uw/home/house/ezra/task/me", .payload = b.data, .len = b.len, .qos = 0 });
		turn();
		assert_true(t.core->live <= WINDOW_MAX);
	}
	buf_free(&b);
}

/* The window is bounded in bytes too, and the order is kept all the same. */
static void
large_tasks_do_not_fill_memory(void **state)
{
	struct buf b = { 0 };
	int64_t before = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		buf_clear(&b);
		buf_adds(&b, "{\"tool\":\"noop\",\"params\":{\"payload\":\"");
		for (int k = 0; k < 2000; k++)
			buf_addf(&b, "%0100d", i);
		buf_adds(&b, "\"}}");
		ct_message(&t, (struct mqtt_msg){ .topic = "uw/home/house/ezra/task/me", .payload = b.data, .len = b.len });
		turn();
		assert_true(t.core->live <= 22);
	}
	buf_free(&b);
	for (int i = 0; i < 100; i++) {
		t.quick = 2;
		turn();
		assert_int_equal(t.nrun, 2);
		for (size_t k = 0; k < t.nrun; k++)
			assert_true(HANDLE_SEQ(t.run[k].handle) > before);
		before = HANDLE_SEQ(t.run[1].handle);
		ct_end_all(&t);
		t.quick = 0;
		turn();
		assert_true(t.core->live <= 22);
	}
	assert_int_equal(ct_health(&t, "ezra", "open"), 0);
}

static void
houses_take_turns(void **state)
{
	size_t ezra = 0;

	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "# two houses of one agent\n");
	ct_give_house(&t, 2, "ezra-1");
	ct_kill(&t);
	ct_up(&t, false);
	t.quick = 0;
	for (int i = 0; i < 100; i++) {
		ct_task(&t, "ezra", "me", "{'tool':'noop'}");
		ct_task(&t, "bezalel", "me", "{'tool':'noop'}");
	}
	turn();
	for (int i = 0; i < 40; i++) {
		t.quick = 1;
		turn();
	}
	for (size_t i = 0; i < t.nrun; i++)
		ezra += strcmp(t.run[i].house, "ezra") == 0;
	assert_in_range(ezra, 10, 30);
}

/* ---- fairness, and age ---- */

static void
submit_as(const char *sender, const char *tool, int priority, int n)
{
	struct buf b = { 0 };
	char topic[80];

	for (int i = 0; i < n; i++)
		buf_addf(&b, "{\"tool\":\"%s\",\"priority\":%d}\n", tool, priority);
	snprintf(topic, sizeof topic, "uw/home/house/ezra/task/%s", sender);
	ct_message(&t, (struct mqtt_msg){ .topic = topic, .payload = b.data, .len = b.len, .qos = 0 });
	buf_free(&b);
}

/* One starts, and ends. Its number. */
static int64_t
start_one(void)
{
	int64_t n;

	for (int i = 0; i < 4 && !t.nrun; i++) {
		t.quick = i % 2 == 0;
		t.idle = !t.quick;
		turn();
	}
	assert_int_equal(t.nrun, 1);
	n = HANDLE_SEQ(t.run[0].handle);
	t.quick = t.idle = 0;
	ct_end_all(&t);
	turn();
	return n;
}

static int64_t
of_sender(const char *sender, const char *state)
{
	char sql[120];

	snprintf(sql, sizeof sql, "SELECT count(*) FROM tasks WHERE sender = '%s' AND state %s", sender, state);
	return ct_sql(&t, sql);
}

#define SUCCEEDED_SO_FAR ">= 9"

static void
a_flood_of_one_sender_does_not_hold_up_another(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		submit_as("flood", "noop", 4, 1000);
		turn();
	}
	submit_as("me", "noop", 4, 10);
	submit_as("you", "noop", 4, 10);
	turn();
	for (int i = 0; i < 30; i++)
		start_one();
	assert_int_equal(of_sender("me", SUCCEEDED_SO_FAR), 10);
	assert_int_equal(of_sender("you", SUCCEEDED_SO_FAR), 10);
	assert_int_equal(of_sender("flood", SUCCEEDED_SO_FAR), 10);
}

static void
two_floods_on_disk_have_each_their_half(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		submit_as("one", "noop", 4, 2000);
		submit_as("two", "noop", 4, 2000);
		turn();
	}
	ct_kill(&t);
	t.quick = t.idle = 0;
	ct_up(&t, true);
	for (int i = 0; i < 40; i++) {
		t.quick = 100;
		turn();
		ct_end_all(&t);
		t.quick = 0;
		turn();
	}
	assert_in_range(of_sender("one", SUCCEEDED_SO_FAR), 1900, 2100);
	assert_in_range(of_sender("two", SUCCEEDED_SO_FAR), 1900, 2100);
	assert_true(t.core->live <= WINDOW_MAX + 200);
}

static void
one_senders_tasks_start_in_order_whatever_their_tools(void **state)
{
	static const char *const tools[] = { "noop", "system_info", "process_list" };
	int64_t before = 0;

	(void)state;
	for (int i = 0; i < 60; i++)
		submit_as("me", tools[i * 7 % 3], 4, 1);
	turn();
	for (int i = 0; i < 60; i++) {
		int64_t n = start_one();

		assert_true(n > before);
		before = n;
	}
}

/* Starts until that many of a sender's have ended; at most max. */
static int
starts_until(const char *sender, int64_t n, int max)
{
	int i = 0;

	for (; i < max && of_sender(sender, SUCCEEDED_SO_FAR) < n; i++)
		start_one();
	return i;
}

static void
low_priority_is_not_starved_for_ever(void **state)
{
	(void)state;
	submit_as("low", "noop", 0, 5);
	submit_as("normal", "noop", 4, 5);
	submit_as("high", "noop", 9, 2000);
	turn();
	assert_int_equal(starts_until("low", 1, 100), 100);
	assert_int_equal(of_sender("normal", SUCCEEDED_SO_FAR), 0);
	ct_pass(&t, 60000);
	/* Two priorities wait, so each has every sixteenth. */
	assert_in_range(starts_until("low", 1, 100), 1, 16);
	assert_in_range(starts_until("low", 5, 100), 4 * 16 - 8, 4 * 16 + 8);
	assert_in_range(of_sender("normal", SUCCEEDED_SO_FAR), 4, 5);
}

static void
what_is_urgent_is_not_held_up_by_what_is_old(void **state)
{
	(void)state;
	submit_as("low", "noop", 0, 3000);
	turn();
	ct_pass(&t, 3600000);
	submit_as("high", "noop", 9, 20);
	turn();
	assert_in_range(starts_until("high", 20, 100), 20, 23);
}

static const char *
plan_of(sqlite3_stmt *s)
{
	static char plan[400];
	struct buf sql = { 0 };
	sqlite3_stmt *p = NULL;

	buf_addf(&sql, "EXPLAIN QUERY PLAN %s", sqlite3_sql(s));
	assert_int_equal(sqlite3_prepare_v2(t.core->db.h, buf_str(&sql), -1, &p, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(p), SQLITE_ROW);
	snprintf(plan, sizeof plan, "%s", (const char *)sqlite3_column_text(p, 3));
	if (sqlite3_step(p) == SQLITE_ROW)
		fail_msg("more than one step: %s", sqlite3_sql(s));
	sqlite3_finalize(p);
	buf_free(&sql);
	return plan;
}

static void
the_queue_is_an_index(void **state)
{
	static const struct {
		const char *part, *plan;
	} expected[] = {
		{ "(priority, sender, tool) >", "tasks_queued (house=? AND (priority,sender,tool)>(?,?,?))" },
		{ "priority = ?2 AND sender = ?3", "tasks_queued (house=? AND priority=? AND sender=? AND tool=? AND seq>?)" },
		{ "count(*) FROM tasks WHERE state = 3", "tasks_queued (house=?)" },
	};
	size_t found = 0;
	sqlite3_stmt *s = NULL;

	(void)state;
	submit_some(3000);
	turn();
	ct_kill(&t);
	t.quick = 0;
	ct_up(&t, true);
	while ((s = sqlite3_next_stmt(t.core->db.h, s)))
		for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
			if (strstr(sqlite3_sql(s), expected[i].part)) {
				const char *plan = plan_of(s);

				if (!strstr(plan, expected[i].plan))
					fail_msg("%s: %s", plan, sqlite3_sql(s));
				found++;
			}
	assert_true(found >= 3);
}

/* Each statement finds its rows in the order of an index, or every turn would sort all that is open. */
static void
no_turn_sorts_all_that_is_open(void **state)
{
	sqlite3_stmt *s = NULL;

	(void)state;
	submit_some(200);
	turn();
	for (int i = 0; i < 500; i++)
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','not_before':%lld}", T0 + 5000LL + i);
	turn();
	for (int i = 0; i < 20; i++) {
		t.now.mono_ms += 500;
		t.now.wall_ms += 500;
		turn();
	}
	while ((s = sqlite3_next_stmt(t.core->db.h, s)))
		if (strstr(sqlite3_sql(s), "tasks") && sqlite3_stmt_status(s, SQLITE_STMTSTATUS_SORT, 0))
			fail_msg("sorted: %s", sqlite3_sql(s));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ten_thousand_run_in_order_of_priority_and_age, setup, teardown),
		cmocka_unit_test_setup_teardown(coming_going_and_coming_back_keep_the_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restart_finds_all_of_them, setup, teardown),
		cmocka_unit_test_setup_teardown(what_falls_out_of_the_window_leaves_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(large_tasks_do_not_fill_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(houses_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_of_one_sender_does_not_hold_up_another, setup, teardown),
		cmocka_unit_test_setup_teardown(two_floods_on_disk_have_each_their_half, setup, teardown),
		cmocka_unit_test_setup_teardown(one_senders_tasks_start_in_order_whatever_their_tools, setup, teardown),
		cmocka_unit_test_setup_teardown(low_priority_is_not_starved_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_urgent_is_not_held_up_by_what_is_old, setup, teardown),
		cmocka_unit_test_setup_teardown(the_queue_is_an_index, setup, teardown),
		cmocka_unit_test_setup_teardown(no_turn_sorts_all_that_is_open, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
