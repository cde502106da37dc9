/* An agent whose database is put back as it was: nothing that may not run twice does, no number is used twice. */
#include "coretest.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"
#include "db_copy.h"
#include "restore_store.h"

#define REPLIES "client/me/reply"
#define EVENTS "house/ezra/event"

static struct coretest t;
static char copy[160], chain[800];

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	*chain = '\0';
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(chain);
	ct_teardown(&t);
	return 0;
}

static void
turn(void)
{
	assert_int_equal(ct_turn(&t), 0);
}

static void
back_up(void)
{
	struct db_copy *c;
	int rc;

	snprintf(copy, sizeof copy, "%s/copy.db", t.dir);
	assert_int_equal(db_copy_begin(&c, core_store(t.core), copy, &t.e), 0);
	while ((rc = db_copy_step(c, 1, &t.e)) > 0)
		;
	assert_int_equal(rc, 0);
	db_copy_end(c);
}

static void
put_back(void)
{
	char log[200];

	core_close(t.core);
	t.core = NULL;
	t.open = false;
	for (size_t i = 0; i < t.nrun; i++) {
		free(t.run[i].params);
		free(t.run[i].terms);
	}
	t.nrun = 0;
	snprintf(log, sizeof log, "%s-wal", ct_store(&t));
	unlink(log);
	assert_int_equal(rename(copy, ct_store(&t)), 0);
	if (restore_store(t.dir, "store", "home", "0123", chain, sizeof chain, &t.e))
		fail_msg("%s", t.e.msg);
	assert_true(restore_is_marked(ct_store(&t), "0123"));
	assert_false(restore_is_marked(ct_store(&t), "4567"));
	ct_open(&t);
	t.idle = 4;
	t.quick = 64;
	ct_up(&t, true);
}

/* As of a moment at which none of these had begun. */
static void
run_after_the_backup(void)
{
	t.idle = t.quick = 0;
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s'}\n{'tool':'exclusive_tool','id':'%s'}\n"
	    "{'tool':'idempotent_tool','id':'%s'}", ct_id(1), ct_id(2), ct_id(3));
	turn();
	back_up();
	t.idle = 4;
	t.quick = 64;
	turn();
	turn();
	assert_int_equal(t.nrun, 3);
	ct_end_all(&t);
	turn();
	assert_string_equal(ct_state(&t, ct_id(2)), "succeeded");
}

static void
what_may_have_run_since_is_uncertain_and_the_rest_runs(void **state)
{
	(void)state;
	run_after_the_backup();
	put_back();
	turn();
	assert_string_equal(ct_state(&t, ct_id(2)), "uncertain");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, ct_id(2), "outcome"), "error.code"), "lost");
	assert_null(ct_running(&t, ct_id(2)));
	assert_non_null(ct_running(&t, ct_id(1)));
	assert_non_null(ct_running(&t, ct_id(3)));
}

static void
what_is_sent_again_is_doubted_for_a_day(void **state)
{
	(void)state;
	run_after_the_backup();
	ct_taskf(&t, "ezra", "me", "{'tool':'exclusive_tool','id':'%s'}", ct_id(4));
	turn();
	turn();
	ct_end_all(&t);
	turn();
	put_back();
	ct_taskf(&t, "ezra", "me", "{'tool':'exclusive_tool','id':'%s'}", ct_id(4));
	turn();
	assert_string_equal(ct_state(&t, ct_id(4)), "uncertain");
	ct_begin(&t);
	ct_end_all(&t);
	turn();
	ct_pass(&t, 25 * 3600 * 1000);
	turn();
	ct_task(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'new'}");
	turn();
	turn();
	assert_int_equal(t.nrun, 1);
	assert_string_equal(t.run[0].tool, "exclusive_tool");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM streams WHERE doubt_ms <> 0"), 0);
}

/* Only what the backup had was doubted, and only once. */
static void
the_mark_holds_until_the_first_commit(void **state)
{
	(void)state;
	run_after_the_backup();
	put_back();
	turn();
	t.idle = t.quick = 0;
	ct_taskf(&t, "ezra", "me", "{'tool':'exclusive_tool','key':'k'}");
	turn();
	assert_false(restore_is_marked(ct_store(&t), "0123"));
	ct_kill(&t);
	t.idle = 4;
	t.quick = 64;
	ct_up(&t, true);
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks WHERE key = 'k' AND state = 4"), 0);
}

static int64_t
term_number(const char *field)
{
	return strtoll(ct_str(ct_last(&t, EVENTS, NULL, "accepted"), field), NULL, 10);
}

static void
no_term_and_no_record_is_used_twice(void **state)
{
	char store[16], before[80];
	int64_t term;
	struct stat st;

	(void)state;
	run_after_the_backup();
	for (int i = 0; i < 5; i++)
		ct_kill(&t);
	ct_up(&t, true);
	ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	turn();
	term = term_number("term");
	snprintf(before, sizeof before, "%s", ct_str(ct_last(&t, EVENTS, NULL, "accepted"), "term"));
	snprintf(store, sizeof store, "%s", strrchr(before, '.') + 1);
	put_back();
	ct_task(&t, "ezra", "me", "{'tool':'noop'}");
	turn();
	assert_true(term_number("term") > term);
	assert_null(strstr(ct_str(ct_last(&t, EVENTS, NULL, "accepted"), "term"), store));
	/* It begins anew; what was there until the backup is beside it. */
	assert_int_equal(ct_sql(&t, "SELECT min(page) FROM audit"), 1);
	assert_int_equal(ct_sql(&t, "SELECT min(first) FROM audit"), 1);
	if (*chain)
		assert_int_equal(stat(chain, &st), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_may_have_run_since_is_uncertain_and_the_rest_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_sent_again_is_doubted_for_a_day, setup, teardown),
		cmocka_unit_test_setup_teardown(the_mark_holds_until_the_first_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(no_term_and_no_record_is_used_twice, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
