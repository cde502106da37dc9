/* What the agent learns from attempts: each once, kept with its outcome, and known again after a restart. */
#include "coretest.h"

#include "past.h"
#include "state.h"

#define EVENTS "house/ezra/event"

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
	return attempt_by_handle(t.core, ct_running(&t, ct_id(n))->handle)->said.p;
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

#define IMPORT(after, upto, what) "{'op':'intelligence','do':'import','source':'x','house':'ezra','after':" after ",'upto':" \
	upto ",'attempts':[{'tool':'hermes/web','at':1763999000000,'us':1000," what "'shape':'1f'}]}"

static void
history_from_elsewhere_is_taken_once(void **state)
{
	struct past x = { 0 };

	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	assert_int_equal(number(ask(IMPORT("0", "7", ""), "intelligence"), "upto"), 7);
	ask(IMPORT("0", "7", ""), "error");
	ask(IMPORT("6", "8", ""), "error");
	ask(IMPORT("7", "9", "'why':'bad luck',"), "error");
	assert_int_equal(number(ask(IMPORT("7", "9", "'why':'timeout',"), "intelligence"), "upto"), 9);
	assert_int_equal(kept(&t, &x), 2);
	assert_true(!x.ok && x.why == FAILURE_TIMEOUT && x.us == 1000 && x.shape == 0x1f && x.at_ms == 1763999000000 && !x.foretold);
	ct_kill(&t);
	ct_up(&t, false);
	assert_int_equal(number(ask("{'op':'intelligence','do':'import','source':'x'}", "intelligence"), "upto"), 9);
	assert_int_equal(number(ask("{'op':'intelligence','do':'show'}", "intelligence"), "attempts"), 2);
	ct_teardown(&t);
}

static void
hash(int n, const char *more)
{
	ct_begin(&t);
	ct_taskf(&t, "ezra", "operator", "{'tool':'file_hash','id':'%s','params':{'path':'/srv/x'}%s}", ct_id(n), more);
	turn();
}

/* It ends then. */
static int64_t
limit_of(int n)
{
	int64_t ms = ct_running(&t, ct_id(n))->timeout_ms;

	end(n, POOL_SUCCEEDED);
	return ms;
}

#define INTELLIGENT ",'mode':'intelligent'"

static void
the_limit_is_learned_where_nobody_gave_one(void **state)
{
	const cJSON *o;

	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	hash(1, INTELLIGENT);
	assert_int_equal(limit_of(1), 300000);
	for (int i = 2; i <= 40; i++) {
		hash(i, "");
		assert_int_equal(limit_of(i), 300000);
	}
	hash(50, INTELLIGENT);
	assert_int_equal(limit_of(50), 10000);
	o = ask("{'op':'intelligence','do':'show'}", "intelligence");
	assert_int_equal(number(o, "adapted_count"), 1);
	assert_int_equal(number(cJSON_GetArrayItem(cJSON_GetObjectItem(o, "adapted"), 0), "timeout_s"), 10);
	hash(51, "");
	assert_int_equal(limit_of(51), 300000);
	hash(52, INTELLIGENT ",'timeout_s':77");
	assert_int_equal(limit_of(52), 77000);
	ask("{'op':'intelligence','do':'freeze'}", "intelligence");
	hash(53, INTELLIGENT);
	assert_int_equal(limit_of(53), 300000);
	ct_kill(&t);
	ct_up(&t, false);
	hash(54, INTELLIGENT);
	assert_int_equal(limit_of(54), 300000);
	ask("{'op':'intelligence','do':'thaw'}", "intelligence");
	hash(55, INTELLIGENT);
	assert_int_equal(limit_of(55), 10000);
	ct_teardown(&t);
}

static void
a_limit_is_raised_twofold_and_no_more(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	for (int i = 1; i <= 40; i++) {
		hash(i, "");
		ct_begin(&t);
		ct_end_with(&t, ct_id(i), &(struct pool_end){ .how = POOL_TIMEOUT, .ran_us = 300000000, .err = { .code = ERR_TIMEOUT } });
		turn();
	}
	hash(50, INTELLIGENT);
	assert_int_equal(limit_of(50), 600000);
	ct_teardown(&t);
}

static void
what_is_hopeless_is_not_tried_again(void **state)
{
	const char *retry = ",'retry':{'max':5}";
	char both[80];

	(void)state;
	snprintf(both, sizeof both, "%s%s", retry, INTELLIGENT);
	ct_setup(&t, NULL);
	ct_up(&t, false);
	hash(1, both);
	end(1, POOL_FAILED);
	assert_string_equal(ct_state(&t, ct_id(1)), "retrying");
	for (int i = 2; i <= 150; i++) {
		hash(i, "");
		end(i, POOL_FAILED);
	}
	hash(200, retry);
	end(200, POOL_FAILED);
	assert_string_equal(ct_state(&t, ct_id(200)), "retrying");
	hash(201, both);
	end(201, POOL_FAILED);
	assert_string_equal(ct_state(&t, ct_id(201)), "dead");
	assert_non_null(strstr(ct_str(ct_last(&t, EVENTS, ct_id(201), "outcome"), "error.message"), "given up early"));
	ct_teardown(&t);
}

/* All that timmy-1 runs ends so. Returns how many of these it got. */
static int
run_at_two_with(int from, int n, const char *more, enum pool_how how)
{
	int at_timmy = 0;

	for (int i = from; i < from + n; i++) {
		net_task(&net, "operator", "{'tool':'file_hash','id':'%s','params':{'path':'/srv/x'}%s}", ct_id(i), more);
		net_run(&net, 200);
		for (int k = 0; k < 2; k++) {
			struct coretest *x = &net.node[k].t;

			at_timmy += k == 1 ? (int)x->nrun : 0;
			while (x->nrun) {
				ct_begin(x);
				ct_end(x, x->run[0].id, k == 1 ? how : POOL_SUCCEEDED, "{}");
				ct_turn(x);
			}
		}
		net_run(&net, 200);
	}
	return at_timmy;
}

static int
run_at_two(int from, int n, const char *more)
{
	return run_at_two_with(from, n, more, POOL_FAILED);
}

/* Who has more room has more of it. */
static void
agents_that_do_equally_well_share_by_load(void **state)
{
	(void)state;
	net_setup(&net, 3, "agents: [ezra-1, timmy-1]", NULL);
	net_begin(&net);
	run_at_two_with(1, 40, "", POOL_SUCCEEDED);
	net.node[0].t.idle = 2;
	net_run(&net, 3000);
	run_at_two_with(100, 20, "", POOL_SUCCEEDED);
	assert_true(run_at_two_with(200, 30, INTELLIGENT, POOL_SUCCEEDED) >= 24);
	net_teardown(&net);
}

static void
agents_that_do_better_get_more(void **state)
{
	int simple, intelligent, sovereign;

	(void)state;
	net_setup(&net, 3, "agents: [ezra-1, timmy-1]", NULL);
	net_begin(&net);
	/* The one with more room is timmy-1: all goes there. */
	net.node[0].t.idle = 2;
	net_run(&net, 3000);
	simple = run_at_two(1, 30, "");
	intelligent = run_at_two(100, 30, INTELLIGENT);
	sovereign = run_at_two(200, 10, "");
	assert_int_equal(simple, 30);
	assert_true(intelligent < 12);
	assert_int_equal(sovereign, 10);
	net_teardown(&net);
}

/* So many of the tool's attempts in a house, as if history had told it. */
static void
teach(const char *house, const char *tool, int n, bool ok)
{
	static int upto;
	struct buf b = { 0 };

	buf_addf(&b, "{'op':'intelligence','do':'import','source':'%s','house':'%s','after':0,'upto':%d,'attempts':[", ct_id(++upto), house, n);
	for (int i = 0; i < n; i++)
		buf_addf(&b, "%s{'tool':'%s','at':%lld,'us':1000,'shape':'1f'%s}", i ? "," : "", tool, (long long)T0 - 3600000 + i * 1000,
		    ok ? "" : ",'why':'network'");
	buf_adds(&b, "]}");
	ask(b.data, "intelligence");
	buf_free(&b);
}

/* Of these tasks for the router, so many were sent to that house. */
static int
sent_to(const char *house, int from, int n, const char *what)
{
	int to = 0;

	for (int i = from; i < from + n; i++) {
		char text[300];

		ct_begin(&t);
		snprintf(text, sizeof text, "{'id':'%s',%s}", ct_id(i), what);
		ct_send(&t, "uw/home/house/_/task/me", text, NULL, NULL);
		turn();
		to += strcmp(ct_str(ct_last(&t, "house/_/event", ct_id(i), "forwarded"), "to"), house) == 0;
		while (t.nrun) {
			ct_begin(&t);
			ct_end_all(&t);
			turn();
		}
	}
	return to;
}

static void
what_no_rule_speaks_for_goes_where_it_succeeds(void **state)
{
	const char *noop = "'tool':'noop'", *clever = "'tool':'noop','mode':'intelligent'";
	const cJSON *o, *last;
	int before;

	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	teach("timmy", "noop", 100, false);
	teach("ezra", "noop", 100, true);
	teach("bezalel", "noop", 100, true);
	assert_true(sent_to("timmy", 2001, 60, noop) > 10);
	assert_true(sent_to("timmy", 3001, 60, clever) <= 3);
	o = ask("{'op':'intelligence','do':'show'}", "intelligence");
	assert_true(number(o, "adapted_count") > 10);
	before = (int)number(o, "adapted_count");
	last = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "adapted"), 0);
	assert_string_equal(json_text(last, "what"), "house");
	assert_true(number(last, "expected") > 0.8);
	/* What decides is no attempt, and teaches nothing. */
	assert_int_equal(number(o, "attempts"), ct_sql(&t, "SELECT max(first + count - 1) FROM patterns") - before);
	ct_kill(&t);
	ct_up(&t, false);
	assert_int_equal(number(ask("{'op':'intelligence','do':'show'}", "intelligence"), "adapted_count"), before);
	/* Rules come first, and what its sender says before them. */
	assert_int_equal(sent_to("timmy", 4001, 10, "'tool':'file_hash','params':{'path':'/srv/timmy/x'},'mode':'intelligent'"), 10);
	assert_int_equal(sent_to("timmy", 5001, 10, "'tool':'noop','house':'timmy','mode':'intelligent'"), 10);
	ask("{'op':'intelligence','do':'freeze'}", "intelligence");
	assert_int_equal(sent_to("timmy", 6001, 60, clever), sent_to("timmy", 7001, 60, noop));
	ct_teardown(&t);
}

static void
a_house_where_it_was_never_seen_has_its_turn_only(void **state)
{
	const char *clever = "'tool':'noop','mode':'intelligent'";
	int turns;

	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	teach("timmy", "noop", 100, false);
	teach("ezra", "noop", 100, true);
	turns = sent_to("bezalel", 1, 60, "'tool':'noop'");
	assert_true(sent_to("bezalel", 1001, 60, clever) <= turns);
	/* What may not run twice stays where its id puts it, and so does what is for the sovereign. */
	teach("timmy", "exclusive_tool", 100, false);
	teach("ezra", "exclusive_tool", 100, true);
	turns = sent_to("timmy", 2001, 30, "'tool':'exclusive_tool'");
	assert_int_equal(sent_to("timmy", 3001, 30, "'tool':'exclusive_tool','mode':'intelligent'"), turns);
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
		cmocka_unit_test(history_from_elsewhere_is_taken_once),
		cmocka_unit_test(the_limit_is_learned_where_nobody_gave_one),
		cmocka_unit_test(a_limit_is_raised_twofold_and_no_more),
		cmocka_unit_test(what_is_hopeless_is_not_tried_again),
		cmocka_unit_test(agents_that_do_better_get_more),
		cmocka_unit_test(agents_that_do_equally_well_share_by_load),
		cmocka_unit_test(what_no_rule_speaks_for_goes_where_it_succeeds),
		cmocka_unit_test(a_house_where_it_was_never_seen_has_its_turn_only),
		cmocka_unit_test(agents_learn_from_what_they_hear),
		cmocka_unit_test(what_another_runs_is_learned_once_by_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
