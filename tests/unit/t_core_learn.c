/* What the agent learns from attempts: each once, kept with its outcome, and known again after a restart. */
#include "coretest.h"

#include "past.h"
#include "state.h"

static struct coretest t;
static struct net net;

/* The attempts that are on disk: how many are such as the last read. */
static int64_t
kept(struct coretest *of, struct past *last)
{
	sqlite3_stmt *s;
	int64_t n = 0;

	assert_int_equal(sqlite3_prepare_v2(of->core->db.h, "SELECT records FROM patterns ORDER BY page", -1, &s, NULL), SQLITE_OK);
	while (sqlite3_step(s) == SQLITE_ROW) {
		const unsigned char *p = sqlite3_column_blob(s, 0), *end = p + sqlite3_column_bytes(s, 0);
		struct past x = { 0 };

		for (; p < end; n++) {
			assert_int_equal(past_unpack(&p, end, &x), 0);
			*last = x;
		}
	}
	sqlite3_finalize(s);
	return n;
}

static void
turn(void)
{
	assert_int_equal(ct_turn(&t), 0);
}

static void
give(int n, const char *more)
{
	ct_begin(&t);
	ct_taskf(&t, "ezra", "operator", "{'tool':'noop','id':'%s','params':{'payload':'secret text'}%s}", ct_id(n), more);
	turn();
}

static void
end(int n, enum pool_how how)
{
	ct_begin(&t);
	ct_end(&t, ct_id(n), how, "{}");
	turn();
}

static void
an_attempt_is_kept_with_what_was_said_of_it(void **state)
{
	struct past x = { 0 };

	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	give(1, "");
	assert_int_equal(kept(&t, &x), 0);
	end(1, POOL_SUCCEEDED);
	assert_int_equal(kept(&t, &x), 1);
	assert_string_equal(x.tool, "noop");
	assert_string_equal(x.house, "ezra");
	assert_string_equal(x.host, "ezra-1");
	assert_true(x.ok && x.foretold && x.p > 0.5 && x.p < 1 && !x.heard && x.bytes == 2);
	give(2, "");
	end(2, POOL_FAILED);
	assert_int_equal(kept(&t, &x), 2);
	assert_true(!x.ok && x.foretold);
	assert_string_equal(x.after, "noop");
	/* The parameters are in it as their shape alone. */
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM patterns WHERE instr(records, CAST('secret' AS BLOB)) > 0"), 0);
	ct_teardown(&t);
}

static void
what_did_not_run_teaches_nothing(void **state)
{
	struct past x = { 0 };

	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	give(1, "");
	end(1, POOL_NOT_RUN);
	end(1, POOL_STOPPED);
	ct_begin(&t);
	ct_refuse(&t, ct_id(1), ERR_DENIED, "no");
	turn();
	assert_int_equal(kept(&t, &x), 0);
	ct_teardown(&t);
}

static double
said_of(int n)
{
	give(n, "");
	return task_by_seq(t.core, (int64_t)ct_running(&t, ct_id(n))->handle)->said.p;
}

static void
it_is_known_again_after_a_restart(void **state)
{
	struct past x = { 0 };
	double before;

	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	for (int i = 1; i <= 60; i++) {
		give(i, "");
		end(i, POOL_FAILED);
	}
	before = said_of(100);
	assert_true(before < 0.2);
	ct_kill(&t);
	ct_up(&t, false);
	assert_int_equal(kept(&t, &x), 60);
	assert_true(said_of(101) == before);
	ct_teardown(&t);
}

static void
the_oldest_are_forgotten(void **state)
{
	struct past x = { 0 };
	int64_t n;

	(void)state;
	ct_setup(&t, "retention:\n  patterns: 1000\n");
	ct_up(&t, false);
	for (int i = 1; i <= 1300; i++) {
		ct_begin(&t);
		for (int last = i + 99; i <= last; i++)
			ct_taskf(&t, "ezra", "operator", "{'tool':'noop','id':'%s'}", ct_id(i));
		i--;
		turn();
		while (t.nrun) {
			ct_begin(&t);
			ct_end_all(&t);
			turn();
		}
	}
	ct_pass(&t, 6000);
	ct_begin(&t);
	turn();
	n = kept(&t, &x);
	assert_true(n >= 1000 && n <= 1100);
	assert_int_equal(ct_sql(&t, "SELECT max(first + count - 1) FROM patterns"), 1300);
	ct_teardown(&t);
}

static void
agents_learn_from_what_they_hear(void **state)
{
	struct past x = { 0 };

	(void)state;
	net_setup(&net, 3, NULL, NULL);
	net_begin(&net);
	for (int i = 1; i <= 5; i++) {
		net_task(&net, "operator", "{'tool':'noop','id':'%s'}", ct_id(i));
		net_run(&net, 300);
		ct_begin(&net.node[0].t);
		ct_end_all(&net.node[0].t);
		ct_turn(&net.node[0].t);
	}
	net_run(&net, 2000);
	assert_int_equal(kept(&net.node[0].t, &x), 5);
	assert_true(!x.heard && x.foretold);
	for (int i = 1; i < 3; i++) {
		memset(&x, 0, sizeof x);
		assert_int_equal(kept(&net.node[i].t, &x), 5);
		assert_true(x.heard && x.ok && !x.foretold);
		assert_string_equal(x.host, "ezra-1");
	}
	net_teardown(&net);
}

/* House ezra's work is done by another agent than its owner. */
static void
what_another_runs_is_learned_once_by_each(void **state)
{
	struct past x = { 0 };

	(void)state;
	net_setup(&net, 3, "agents: [timmy-1]", NULL);
	net_begin(&net);
	for (int i = 1; i <= 5; i++) {
		net_task(&net, "operator", "{'tool':'noop','id':'%s'}", ct_id(i));
		net_run(&net, 300);
		ct_begin(&net.node[1].t);
		ct_end_all(&net.node[1].t);
		ct_turn(&net.node[1].t);
		net_run(&net, 300);
	}
	net_run(&net, 2000);
	for (int i = 0; i < 3; i++) {
		memset(&x, 0, sizeof x);
		assert_int_equal(kept(&net.node[i].t, &x), 5);
		assert_string_equal(x.host, "timmy-1");
		assert_true(x.ok && x.foretold == (i == 0) && x.heard == (i == 2));
	}
	net_teardown(&net);
}

static const cJSON *
ask(const char *request, const char *type)
{
	const cJSON *o = NULL;

	ct_begin(&t);
	ct_local(&t, 7, request);
	turn();
	for (size_t i = 0; i < t.nlines; i++)
		if (!t.lines[i].topic && strcmp(json_text(t.lines[i].v, "type"), type) == 0)
			o = t.lines[i].v;
	assert_non_null(o);
	return o;
}

static double
number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	assert_true(cJSON_IsNumber(v));
	return v->valuedouble;
}

static void
it_says_what_it_expects_and_how_right_it_was(void **state)
{
	const cJSON *o;

	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	o = ask("{'op':'predict','tool':'noop','house':'ezra','params':{'payload':'other  text'}}", "prediction");
	assert_int_equal(number(o, "of_tool"), 0);
	for (int i = 1; i <= 50; i++) {
		give(i, "");
		end(i, i % 10 ? POOL_FAILED : POOL_SUCCEEDED);
	}
	/* Of the same shape, in other words. */
	o = ask("{'op':'predict','tool':'noop','house':'ezra','params':{'payload':'other  text'}}", "prediction");
	assert_true(number(o, "success") > 0.03 && number(o, "success") < 0.3);
	assert_true(number(o, "low") <= number(o, "success") && number(o, "high") >= number(o, "success"));
	assert_string_equal(json_text(o, "agent"), "ezra-1");
	assert_true(number(o, "fails_by_share") > 0.9);
	o = ask("{'op':'intelligence','do':'report'}", "intelligence");
	assert_int_equal(number(o, "predictions"), 50);
	assert_true(number(cJSON_GetObjectItem(o, "model"), "brier") < number(cJSON_GetObjectItem(o, "all"), "brier") * 1.2);
	for (const char *const *p = (const char *const[]){ "{'op':'predict','house':'ezra'}", "{'op':'predict','tool':'noop'}",
	    "{'op':'predict','tool':'noop','house':'ezra','params':[1]}", "{'op':'predict','tool':'noop','house':'ezra','agent':'x'}",
	    "{'op':'intelligence','do':'dance'}", NULL }; *p; p++)
		ask(*p, "error");
	ask("{'op':'intelligence','do':'reset'}", "intelligence");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM patterns"), 0);
	ct_kill(&t);
	ct_up(&t, false);
	o = ask("{'op':'intelligence','do':'show'}", "intelligence");
	assert_int_equal(number(o, "attempts"), 0);
	ct_teardown(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_attempt_is_kept_with_what_was_said_of_it),
		cmocka_unit_test(what_did_not_run_teaches_nothing),
		cmocka_unit_test(it_is_known_again_after_a_restart),
		cmocka_unit_test(the_oldest_are_forgotten),
		cmocka_unit_test(it_says_what_it_expects_and_how_right_it_was),
		cmocka_unit_test(agents_learn_from_what_they_hear),
		cmocka_unit_test(what_another_runs_is_learned_once_by_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
