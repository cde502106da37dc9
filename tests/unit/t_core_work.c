/* Attempts on one agent for a house that another owns. */
#include "coretest.h"

#include "state.h"

#define HOMES "agents: [ezra-1, timmy-1]"
#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define WORK_FOR_TIMMY "agent/timmy-1/work/ezra-1"

static struct net net;
static char kept[8][4096], kept_topic[8][TOPIC_MAX];
static int nkept;

static int
setup_with(const char *ezra)
{
	net_setup(&net, 3, ezra, NULL);
	net_begin(&net);
	net_run(&net, 1500);
	nkept = 0;
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_with(HOMES);
}

/* The owner does not do its work itself. */
static int
setup_away(void **state)
{
	(void)state;
	return setup_with("agents: [timmy-1]");
}

static int
teardown(void **state)
{
	(void)state;
	net_teardown(&net);
	return 0;
}

static struct coretest *
node(int i)
{
	return &net.node[i].t;
}

static void
task(int n, const char *tool)
{
	net_task(&net, "me", "{'tool':'%s','id':'%s','retry':{'max':1}}", tool, ct_id(n));
}

static void
end_all(void)
{
	for (int i = 0; i < net.n; i++)
		if (!net.node[i].dead)
			ct_end_all(node(i));
}

static const char *
state_of(int n)
{
	return ct_state(node(net_owner(&net)), ct_id(n));
}

/* Messages with this in them are kept, and get there when the test says so. */
static const char *wanted;

static bool
keeps(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)to;
	if (!strstr(payload, wanted) || nkept == 8)
		return false;
	snprintf(kept[nkept], sizeof kept[0], "%s", payload);
	snprintf(kept_topic[nkept++], sizeof kept_topic[0], "%s", topic);
	return true;
}

static void
keep(const char *part)
{
	wanted = part;
	net.loses = keeps;
}

static void
let_through(int i)
{
	net.loses = NULL;
	net_publish(&net, kept_topic[i], kept[i], NULL);
}

/* ---- who does it ---- */

static void
work_goes_to_the_least_loaded(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		task(i, "idempotent_tool");
	net_run(&net, 1000);
	assert_int_equal(node(0)->nrun, 3);
	assert_int_equal(node(1)->nrun, 3);
	assert_int_equal(node(2)->nrun, 0);
	task(10, "idempotent_tool");
	task(11, "idempotent_tool");
	task(12, "idempotent_tool");
	net_run(&net, 1000);
	assert_int_equal(node(0)->nrun + node(1)->nrun, 8);
	assert_int_equal(net_house(&net, 0)->queued, 1);
	for (int i = 0; i < 3; i++) {
		end_all();
		net_run(&net, 1000);
	}
	assert_int_equal(ct_sql(node(0), "SELECT count(*) FROM tasks WHERE state = 9"), 9);
	assert_int_equal(net_started(&net), 9);
	assert_int_equal(net_house(&net, 0)->running, 0);
}

static void
an_attempt_elsewhere_is_in_the_trace_of_its_task(void **state)
{
	(void)state;
	net_task(&net, "me", "{'tool':'exclusive_tool','id':'%s','traceparent':'%s'}", ct_id(1), TRACE);
	task(2, "exclusive_tool");
	net_run(&net, 1000);
	assert_string_equal(ct_running(node(1), ct_id(1))->traceparent, TRACE);
	assert_string_equal(ct_running(node(1), ct_id(2))->traceparent, "");
	end_all();
	net_run(&net, 1000);
	assert_string_equal(json_text(ct_last(node(0), "event", ct_id(1), "outcome"), "traceparent"), TRACE);
	assert_string_equal(json_text(ct_last(node(0), "event", ct_id(2), "outcome"), "traceparent"), "");
}

static void
an_agent_elsewhere_runs_it_and_reports_how_it_ended(void **state)
{
	const cJSON *v;

	(void)state;
	for (int i = 0; i < 3; i++)
		net_task(&net, "me", "{'tool':'exclusive_tool','id':'%s','params':{'n':%d},'timeout_s':5}", ct_id(i), i);
	net_run(&net, 1000);
	assert_int_equal(node(1)->nrun, 3);
	assert_int_equal(ct_running(node(1), ct_id(2))->timeout_ms, 5000);
	assert_string_equal(ct_running(node(1), ct_id(2))->params, "{\"n\":2}");
	assert_string_equal(ct_running(node(1), ct_id(2))->house, "ezra");
	assert_string_equal(ct_str(ct_last(node(0), "house/ezra/event", ct_id(0), "starting"), "agent"), "timmy-1");
	ct_end(node(1), ct_id(0), POOL_SUCCEEDED, "{\"a\":5}");
	ct_end(node(1), ct_id(1), POOL_FAILED, "no effect");
	ct_end(node(1), ct_id(2), POOL_FAILED, NULL);
	net_run(&net, 1000);
	v = ct_last(node(0), "client/me", ct_id(0), "outcome");
	assert_string_equal(ct_str(v, "state"), "succeeded");
	assert_int_equal(ct_num(v, "result.a"), 5);
	assert_string_equal(ct_str(v, "agent"), "timmy-1");
	assert_string_equal(ct_str(ct_last(node(0), "event", ct_id(0), "outcome"), "agent"), "timmy-1");
	v = ct_last(node(0), "client/me", ct_id(1), "outcome");
	assert_string_equal(ct_str(v, "state"), "failed");
	assert_string_equal(ct_str(v, "error.message"), "it ended badly");
	assert_string_equal(state_of(2), "uncertain");
	assert_int_equal(node(1)->core->nreports, 0);
}

static void
when_no_agent_of_the_house_is_there_its_owner_stands_in(void **state)
{
	(void)state;
	task(1, "idempotent_tool");
	net_run(&net, 1000);
	assert_int_equal(node(1)->nrun, 1);
	end_all();
	net_run(&net, 500);
	net_kill(&net, 1);
	task(2, "idempotent_tool");
	net_run(&net, 1000);
	assert_int_equal(node(0)->nrun, 1);
	assert_string_equal(state_of(1), "succeeded");
	end_all();
	net_start(&net, 1);
	net_run(&net, 3000);
	task(3, "idempotent_tool");
	net_run(&net, 1000);
	assert_non_null(ct_running(node(1), ct_id(3)));
}

static void
an_agent_that_is_about_to_stop_is_given_nothing(void **state)
{
	(void)state;
	ct_begin(node(1));
	core_drain(node(1)->core);
	net_run(&net, 1500);
	task(1, "idempotent_tool");
	net_run(&net, 1000);
	assert_non_null(ct_running(node(0), ct_id(1)));
}

/* ---- once ---- */

static void
a_start_that_comes_twice_is_obeyed_once(void **state)
{
	(void)state;
	keep("\"op\":\"start\"");
	task(1, "exclusive_tool");
	net_run(&net, 500);
	assert_int_equal(nkept, 1);
	assert_non_null(strstr(kept_topic[0], WORK_FOR_TIMMY));
	let_through(0);
	let_through(0);
	net_run(&net, 500);
	assert_int_equal(node(1)->nstarted, 1);
	end_all();
	net_run(&net, 500);
	let_through(0);
	net_run(&net, 500);
	assert_int_equal(node(1)->nstarted, 1);
	assert_string_equal(state_of(1), "succeeded");
	/* Nor is it by the next life. */
	net_kill(&net, 1);
	net_start(&net, 1);
	let_through(0);
	net_run(&net, 500);
	assert_int_equal(node(1)->nstarted, 1);
}

static void
a_start_that_comes_late_is_not_obeyed(void **state)
{
	(void)state;
	keep("\"op\":\"start\"");
	task(1, "exclusive_tool");
	net_run(&net, 5500);
	assert_int_equal(nkept, 1);
	net.loses = NULL;
	let_through(0);
	net_run(&net, 200);
	/* It never began, so it is given out anew. */
	assert_int_equal(ct_count(node(1), "house/ezra/event/timmy-1", ct_id(1), "report"), 1);
	assert_string_equal(ct_str(ct_last(node(1), "house/ezra/event/timmy-1", ct_id(1), "report"), "how"), "not_run");
	net_run(&net, 1000);
	assert_int_equal(net_started(&net), 1);
	end_all();
	net_run(&net, 500);
	assert_string_equal(state_of(1), "succeeded");
}

/* The broker has kept it for us, and told its sender meanwhile that we are gone. */
static void
a_start_that_was_sent_before_the_connection_broke_is_not_obeyed(void **state)
{
	(void)state;
	keep("\"op\":\"start\"");
	task(1, "exclusive_tool");
	net_run(&net, 200);
	assert_int_equal(nkept, 1);
	net_down(&net, 1);
	net_run(&net, 100);
	assert_string_equal(state_of(1), "uncertain");
	net_up(&net, 1);
	net_run(&net, 100);
	let_through(0);
	net_run(&net, 1000);
	assert_int_equal(node(1)->nstarted, 0);
}

static void
orders_of_a_former_owner_are_nothing(void **state)
{
	char id[ULID_TEXT];

	(void)state;
	keep("\"op\":\"start\"");
	task(1, "idempotent_tool");
	net_run(&net, 100);
	assert_int_equal(nkept, 1);
	net.loses = NULL;
	net_kill(&net, 2);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_start(&net, 0);
	snprintf(id, sizeof id, "%s", ct_id(1));
	let_through(0);
	net_run(&net, 100);
	assert_true(net_started(&net) <= 1);
	net_run(&net, 8000);
	end_all();
	net_run(&net, 1000);
	assert_int_equal(net_started(&net), 1);
	assert_string_equal(ct_state(node(net_owner(&net)), id), "succeeded");
}

/* ---- reports ---- */

static bool
loses_reports(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)to;
	(void)topic;
	return strstr(payload, "\"type\":\"report\"");
}

static void
a_report_is_kept_until_the_owner_has_it(void **state)
{
	(void)state;
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	net.loses = loses_reports;
	ct_end(node(1), ct_id(1), POOL_SUCCEEDED, "{\"a\":1}");
	net_run(&net, 11000);
	assert_in_range(ct_count(node(1), "house/ezra/event/timmy-1", ct_id(1), "report"), 3, 4);
	assert_int_equal(node(1)->core->nreports, 1);
	assert_string_equal(state_of(1), "running");
	net.loses = NULL;
	net_run(&net, 6000);
	assert_string_equal(state_of(1), "succeeded");
	assert_int_equal(node(1)->core->nreports, 0);
	net_run(&net, 2000);
	assert_int_equal(ct_sql(node(1), "SELECT count(*) FROM reports"), 0);
}

static void
a_report_outlives_its_agent(void **state)
{
	(void)state;
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	net.loses = loses_reports;
	ct_end(node(1), ct_id(1), POOL_SUCCEEDED, "{\"a\":1}");
	net_run(&net, 500);
	net_kill(&net, 1);
	net_run(&net, 500);
	/* Nobody else knew. */
	assert_string_equal(state_of(1), "uncertain");
	net_start(&net, 1);
	assert_int_equal(node(1)->core->nreports, 1);
	net.loses = NULL;
	net_run(&net, 7000);
	assert_string_equal(state_of(1), "succeeded");
	assert_int_equal(ct_num(ct_last(node(0), "client/me", ct_id(1), "outcome"), "result.a"), 1);
	assert_int_equal(node(1)->core->nreports, 0);
	assert_int_equal(net_started(&net), 1);
}

static void
a_report_goes_to_whoever_owns_the_house_by_then(void **state)
{
	(void)state;
	net_teardown(&net);
	setup_with("agents: [bezalel-1]");
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	net.loses = loses_reports;
	ct_end(node(2), ct_id(1), POOL_SUCCEEDED, "{\"a\":1}");
	net_run(&net, 500);
	net.loses = NULL;
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 1000);
	assert_string_equal(state_of(1), "succeeded");
	assert_int_equal(ct_count(node(1), "client/me", ct_id(1), "outcome"), 1);
	assert_int_equal(node(2)->core->nreports, 0);
}

/* ---- an agent is lost ---- */

static void
what_a_lost_agent_ran_is_run_again_or_uncertain(void **state)
{
	(void)state;
	task(1, "read_tool");
	task(2, "exclusive_tool");
	net_run(&net, 1000);
	assert_int_equal(node(1)->nrun, 2);
	net_kill(&net, 1);
	net_run(&net, 1000);
	assert_string_equal(state_of(2), "uncertain");
	assert_non_null(ct_running(node(0), ct_id(1)));
	assert_null(ct_running(node(0), ct_id(2)));
	assert_string_equal(ct_str(ct_last(node(0), "client/me", ct_id(2), "outcome"), "error.code"), "lost");
}

static void
what_a_silent_agent_ran_is_given_up_after_5_s(void **state)
{
	(void)state;
	task(1, "read_tool");
	task(2, "exclusive_tool");
	net_run(&net, 1000);
	net.node[1].frozen = true;
	net_run(&net, 3500);
	assert_string_equal(state_of(1), "running");
	net_run(&net, 2500);
	assert_string_equal(state_of(2), "uncertain");
	assert_non_null(ct_running(node(0), ct_id(1)));
	/* What it did after all settles what was uncertain, and nothing else. */
	net.node[1].frozen = false;
	ct_end(node(1), ct_id(1), POOL_FAILED, NULL);
	ct_end(node(1), ct_id(2), POOL_SUCCEEDED, NULL);
	net_run(&net, 1000);
	assert_string_equal(state_of(2), "succeeded");
	assert_string_equal(state_of(1), "running");
	ct_end(node(0), ct_id(1), POOL_SUCCEEDED, NULL);
	net_run(&net, 500);
	assert_string_equal(state_of(1), "succeeded");
}

static void
what_was_not_begun_is_not_begun_when_the_connection_breaks(void **state)
{
	(void)state;
	node(1)->idle = 0;
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	assert_string_equal(state_of(1), "running");
	assert_int_equal(node(1)->nrun, 0);
	net.node[1].cut = true;
	net_run(&net, 6000);
	node(1)->idle = 4;
	net_run(&net, 1000);
	assert_int_equal(node(1)->nrun, 0);
	net_up(&net, 1);
	net_run(&net, 3000);
	/* The owner had given it up; that it never began is news. */
	assert_int_equal(node(1)->nstarted, 0);
}

/* The owner had given it up, and may have gone on in whatever way. */
static void
what_was_not_begun_here_may_have_been_elsewhere_if_much_was_missed(void **state)
{
	(void)state;
	node(1)->idle = 0;
	task(1, "exclusive_tool");
	task(2, "read_tool");
	net_run(&net, 1000);
	net.node[1].cut = true;
	net_run(&net, 7000);
	assert_string_equal(state_of(1), "uncertain");
	net_run(&net, 100);
	net_kill(&net, 2);
	net_kill(&net, 0);
	net_run(&net, 100);
	net_up(&net, 1);
	assert_true(net_wait_owner(&net, 1, 15000) >= 0);
	assert_true(net_house(&net, 1)->unclean);
	node(1)->idle = 4;
	net_run(&net, 8000);
	assert_string_equal(ct_state(node(1), ct_id(1)), "uncertain");
	assert_null(ct_running(node(1), ct_id(1)));
	assert_non_null(ct_running(node(1), ct_id(2)));
	net_run(&net, 100);
}

/* ---- cancel ---- */

static void
a_cancel_reaches_who_runs_it(void **state)
{
	(void)state;
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	assert_non_null(ct_running(node(1), ct_id(1)));
	net_query(&net, "cancel", "{'id':'%s'}", ct_id(1));
	net_run(&net, 500);
	assert_int_equal(node(1)->nstopped, 1);
	assert_int_equal(node(1)->stopped[0], ct_running(node(1), ct_id(1))->handle);
	assert_string_equal(ct_str(ct_last(node(0), "client/me/reply/q", ct_id(1), "cancel"), "state"), "stopping");
	ct_end(node(1), ct_id(1), POOL_STOPPED, NULL);
	net_run(&net, 500);
	assert_string_equal(state_of(1), "cancelled");
}

static void
a_cancel_reaches_what_waits_elsewhere(void **state)
{
	(void)state;
	node(1)->idle = 0;
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	net_query(&net, "cancel", "{'id':'%s'}", ct_id(1));
	net_run(&net, 500);
	assert_string_equal(state_of(1), "cancelled");
	node(1)->idle = 4;
	net_run(&net, 500);
	assert_int_equal(net_started(&net), 0);
}

/* Its owner died with what he had said of it; he who runs it hears of the stop from the next one. */
static void
a_cancel_is_the_next_owners_too(void **state)
{
	(void)state;
	net_teardown(&net);
	setup_with("agents: [bezalel-1]");
	task(1, "read_tool");
	net_run(&net, 1000);
	assert_non_null(ct_running(node(2), ct_id(1)));
	keep("\"op\":\"stop\"");
	net_query(&net, "cancel", "{'id':'%s'}", ct_id(1));
	net_run(&net, 500);
	assert_string_equal(ct_str(ct_last(node(0), "client/me/reply/q", ct_id(1), "cancel"), "state"), "stopping");
	net.loses = NULL;
	assert_int_equal(node(2)->nstopped, 0);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 1000);
	assert_int_equal(node(2)->nstopped, 1);
	ct_end(node(2), ct_id(1), POOL_FAILED, NULL);
	net_run(&net, 1000);
	assert_string_equal(state_of(1), "cancelled");
	assert_int_equal(net_started(&net), 1);
}

static void
move_to(int i, const char *agent)
{
	char text[100];

	snprintf(text, sizeof text, "{'op':'move','house':'ezra','to':'%s'}", agent);
	ct_local(node(net_owner(&net)), 7, text);
	assert_true(net_wait_owner(&net, i, 3000) >= 0);
	net_run(&net, 1000);
}

/* Given under one term, cancelled under the next, and reported under the third: it is still the same attempt. */
static void
a_stop_is_believed_after_two_changes_of_owner(void **state)
{
	(void)state;
	net_teardown(&net);
	setup_with("agents: [bezalel-1]");
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	assert_non_null(ct_running(node(2), ct_id(1)));
	move_to(1, "timmy-1");
	net_query(&net, "cancel", "{'id':'%s'}", ct_id(1));
	net_run(&net, 500);
	assert_int_equal(node(2)->nstopped, 1);
	move_to(0, "ezra-1");
	ct_end(node(2), ct_id(1), POOL_STOPPED, NULL);
	net_run(&net, 500);
	assert_string_equal(state_of(1), "cancelled");
	assert_int_equal(net_started(&net), 1);
}

/* The first owner died before he could say that he had given it away, so the next one tells of it; the third knows all the
 * same who gave it. */
static void
what_a_former_owner_did_not_tell_is_told_as_his(void **state)
{
	struct pool_end end = { .how = POOL_FAILED, .no_effect = true };

	(void)state;
	net_teardown(&net);
	setup_with("agents: [bezalel-1]");
	for (int i = 1; i <= 5; i++)
		task(i, "read_tool");
	net_run(&net, 1000);
	assert_int_equal(node(2)->nrun, 4);
	keep("\"type\":\"started\"");
	ct_end(node(2), ct_id(1), POOL_SUCCEEDED, NULL);
	for (int i = 0; i < 10 && !ct_running(node(2), ct_id(5)); i++)
		net_run(&net, NET_STEP_MS);
	assert_non_null(ct_running(node(2), ct_id(5)));
	net_kill(&net, 0);
	net.loses = NULL;
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 1000);
	assert_string_equal(state_of(5), "running");
	net_start(&net, 0);
	net_up(&net, 0);
	assert_true(net_wait_in_step(&net, 0, 10000) >= 0);
	move_to(0, "ezra-1");
	err_set(&end.err, ERR_TOOL, "it did nothing");
	ct_end_with(node(2), ct_id(5), &end);
	net_run(&net, 500);
	assert_string_equal(state_of(5), "failed");
	assert_int_equal(net_started(&net), 5);
}

/* Nobody knows whether its processes are gone, so nobody says so; but it does not run again. */
static void
a_cancel_of_what_died_with_its_agent_claims_nothing(void **state)
{
	const cJSON *o;

	(void)state;
	task(1, "read_tool");
	net_run(&net, 1000);
	assert_non_null(ct_running(node(1), ct_id(1)));
	net_query(&net, "cancel", "{'id':'%s'}", ct_id(1));
	net_run(&net, 300);
	net_kill(&net, 1);
	net_run(&net, 8000);
	assert_string_equal(state_of(1), "cancelled");
	o = ct_last(node(0), "client/me/reply", ct_id(1), "outcome");
	assert_string_equal(ct_str(o, "error.code"), "lost");
	assert_null(strstr(ct_str(o, "error.message"), "are gone"));
	assert_int_equal(net_started(&net), 1);
}

/* ---- a new owner ---- */

static void
a_new_owner_learns_what_runs_and_lets_it_run(void **state)
{
	(void)state;
	net_teardown(&net);
	setup_with("agents: [bezalel-1]");
	task(1, "exclusive_tool");
	task(2, "read_tool");
	net_run(&net, 1000);
	assert_int_equal(node(2)->nrun, 2);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 20000);
	assert_string_equal(state_of(1), "running");
	assert_string_equal(state_of(2), "running");
	assert_int_equal(net_house(&net, 1)->running, 2);
	end_all();
	net_run(&net, 1000);
	assert_string_equal(state_of(1), "succeeded");
	assert_string_equal(state_of(2), "succeeded");
	assert_int_equal(net_started(&net), 2);
	assert_int_equal(net_house(&net, 1)->running, 0);
}

/* It ran on the owner that died. */
static void
begin_and_die(bool frozen)
{
	net_teardown(&net);
	setup_with(NULL);
	task(1, "exclusive_tool");
	task(2, "read_tool");
	net_run(&net, 1500);
	net.node[2].frozen = frozen;
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
}

static void
what_nobody_says_he_runs_is_lost(void **state)
{
	(void)state;
	begin_and_die(false);
	net_run(&net, 500);
	assert_string_equal(state_of(1), "uncertain");
	assert_non_null(ct_running(node(1), ct_id(2)));
}

static void
who_does_not_say_what_he_runs_is_waited_for(void **state)
{
	(void)state;
	begin_and_die(true);
	net_run(&net, 3500);
	assert_string_equal(state_of(1), "running");
	net_run(&net, 3000);
	assert_string_equal(state_of(1), "uncertain");
	assert_non_null(ct_running(node(1), ct_id(2)));
	assert_int_equal(ct_count(node(1), "client/me", ct_id(1), "outcome"), 1);
}

/* It is given away, what was said of it is lost, and so is the broker; the same owner comes back. */
static void
lose_start_and_broker(bool restart)
{
	keep("\"op\":\"start\"");
	task(1, "exclusive_tool");
	net_run(&net, 100);
	assert_int_equal(nkept, 1);
	net.loses = NULL;
	for (int i = 0; i < 3; i++)
		net_down(&net, i);
	net_run(&net, 200);
	if (restart) {
		net_kill(&net, 1);
		net_start(&net, 1);
	}
	for (int i = 0; i < 3; i++)
		net_up(&net, i);
	assert_true(net_wait_owner(&net, 0, 5000) >= 0);
	net_run(&net, 1500);
}

static void
what_was_given_and_never_came_is_given_again(void **state)
{
	(void)state;
	lose_start_and_broker(false);
	assert_int_equal(node(1)->nstarted, 1);
	let_through(0);
	net_run(&net, 500);
	end_all();
	net_run(&net, 500);
	assert_string_equal(state_of(1), "succeeded");
	assert_int_equal(node(1)->nstarted, 1);
}

static void
unless_whoever_was_given_it_lives_anew(void **state)
{
	(void)state;
	lose_start_and_broker(true);
	assert_string_equal(state_of(1), "uncertain");
	let_through(0);
	net_run(&net, 500);
	assert_int_equal(node(1)->nstarted, 0);
}

static void
what_was_given_and_began_is_not_given_again_when_its_agent_dies(void **state)
{
	(void)state;
	task(1, "exclusive_tool");
	net_run(&net, 500);
	assert_non_null(ct_running(node(1), ct_id(1)));
	for (int i = 0; i < 3; i++)
		net_down(&net, i);
	net_run(&net, 200);
	for (int i = 0; i < 3; i++)
		net_up(&net, i);
	assert_true(net_wait_owner(&net, 0, 5000) >= 0);
	net_run(&net, 1500);
	assert_string_equal(state_of(1), "running");
	net_kill(&net, 1);
	net_run(&net, 3000);
	assert_string_equal(state_of(1), "uncertain");
	assert_int_equal(net_started(&net), 1);
}

static void
say_not_run(const struct term *term)
{
	char text[TERM_TEXT], line[512];

	term_format(term, text);
	snprintf(line, sizeof line, "{\"type\":\"report\",\"id\":\"%s\",\"attempt\":1,\"term\":\"%s\",\"how\":\"not_run\",\"run_us\":0}",
	    ct_id(1), text);
	net_publish(&net, "uw/home/house/ezra/event/timmy-1", line, NULL);
	net_run(&net, 500);
}

static void
what_came_to_nothing_under_another_term_was_another_attempt(void **state)
{
	struct term former;

	(void)state;
	task(1, "exclusive_tool");
	net_run(&net, 500);
	assert_non_null(ct_running(node(1), ct_id(1)));
	former = net_house(&net, 0)->term;
	former.n--;
	say_not_run(&former);
	assert_string_equal(state_of(1), "running");
	assert_int_equal(node(1)->nstarted, 1);
	ct_end(node(1), ct_id(1), POOL_SUCCEEDED, NULL);
	net_run(&net, 500);
	assert_string_equal(state_of(1), "succeeded");
}

static void
what_came_to_nothing_under_this_one_is_given_again(void **state)
{
	struct term term;

	(void)state;
	keep("\"op\":\"start\"");
	task(1, "exclusive_tool");
	net_run(&net, 100);
	net.loses = NULL;
	term = net_house(&net, 0)->term;
	say_not_run(&term);
	assert_non_null(ct_running(node(1), ct_id(1)));
	assert_int_equal(node(1)->nstarted, 1);
}

static void
what_the_former_owner_runs_goes_on_after_a_move(void **state)
{
	(void)state;
	net_teardown(&net);
	setup_with(NULL);
	task(1, "exclusive_tool");
	net_run(&net, 500);
	ct_local(node(0), 7, "{'op':'move','house':'ezra','to':'timmy-1'}");
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 10000);
	assert_string_equal(state_of(1), "running");
	ct_end(node(0), ct_id(1), POOL_SUCCEEDED, "{\"a\":3}");
	net_run(&net, 500);
	assert_string_equal(state_of(1), "succeeded");
	assert_int_equal(ct_num(ct_last(node(1), "client/me", ct_id(1), "outcome"), "result.a"), 3);
	/* And what is new is given to it. */
	task(2, "exclusive_tool");
	net_run(&net, 500);
	assert_non_null(ct_running(node(0), ct_id(2)));
	assert_int_equal(net_started(&net), 2);
}

static void
who_runs_it_becomes_the_owner_and_goes_on(void **state)
{
	(void)state;
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 10000);
	assert_string_equal(state_of(1), "running");
	ct_end(node(1), ct_id(1), POOL_SUCCEEDED, NULL);
	net_run(&net, 500);
	assert_string_equal(state_of(1), "succeeded");
	assert_int_equal(net_house(&net, 1)->running, 0);
	assert_int_equal(net_house(&net, 1)->open, 0);
	assert_int_equal(net_started(&net), 1);
}

static void
what_ran_under_a_former_term_is_not_taken_for_what_runs_now(void **state)
{
	uint64_t handle;

	(void)state;
	net_teardown(&net);
	setup_with(NULL);
	net_task(&net, "me", "{'tool':'read_tool','id':'%s'}", ct_id(1));
	net_run(&net, 500);
	assert_non_null(ct_running(node(0), ct_id(1)));
	handle = ct_running(node(0), ct_id(1))->handle;
	net_down(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 15000);
	assert_int_equal(net_started(&net), 2);
	net_up(&net, 0);
	net_run(&net, 2000);
	net_kill(&net, 1);
	net_kill(&net, 2);
	assert_true(net_wait_owner(&net, 0, 20000) >= 0);
	net_run(&net, 15000);
	assert_int_equal(node(0)->nstarted, 2);
	assert_int_equal(node(0)->nrun, 2);
	assert_int_equal(node(0)->run[0].handle, handle);
	assert_int_not_equal(node(0)->run[1].handle, handle);
	ct_end(node(0), ct_id(1), POOL_SUCCEEDED, "{\"a\":2}");
	net_run(&net, 500);
	assert_string_equal(state_of(1), "succeeded");
	ct_end(node(0), ct_id(1), POOL_SUCCEEDED, "{\"a\":1}");
	net_run(&net, 500);
	assert_int_equal(ct_num(ct_last(node(0), "client/me", ct_id(1), "outcome"), "result.a"), 2);
	assert_int_equal(node(0)->core->running, 0);
}

/* A start was given to one that runs the same number of a former term, and so took it for that. */
static void
what_runs_of_a_former_term_under_this_number_is_known_as_that(void **state)
{
	char line[256];
	struct ulid u;

	(void)state;
	task(1, "idempotent_tool");
	net_run(&net, 500);
	assert_non_null(ct_running(node(1), ct_id(1)));
	snprintf(line, sizeof line, "{\"type\":\"running\",\"id\":\"%s\",\"attempt\":1,\"term\":\"1.timmy-1.0a0a0a0a\"}", ct_id(1));
	net_publish(&net, "uw/home/house/ezra/event/timmy-1", line, NULL);
	net_run(&net, 100);
	assert_true(ulid_parse(ct_id(1), &u));
	assert_string_equal(task_by_id(node(0)->core, net_house(&net, 0), &u)->term.agent, "timmy-1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(work_goes_to_the_least_loaded, setup, teardown),
		cmocka_unit_test_setup_teardown(an_attempt_elsewhere_is_in_the_trace_of_its_task, setup_away, teardown),
		cmocka_unit_test_setup_teardown(an_agent_elsewhere_runs_it_and_reports_how_it_ended, setup_away, teardown),
		cmocka_unit_test_setup_teardown(when_no_agent_of_the_house_is_there_its_owner_stands_in, setup_away, teardown),
		cmocka_unit_test_setup_teardown(an_agent_that_is_about_to_stop_is_given_nothing, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_start_that_comes_twice_is_obeyed_once, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_start_that_comes_late_is_not_obeyed, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_start_that_was_sent_before_the_connection_broke_is_not_obeyed, setup_away, teardown),
		cmocka_unit_test_setup_teardown(orders_of_a_former_owner_are_nothing, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_report_is_kept_until_the_owner_has_it, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_report_outlives_its_agent, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_report_goes_to_whoever_owns_the_house_by_then, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_a_lost_agent_ran_is_run_again_or_uncertain, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_a_silent_agent_ran_is_given_up_after_5_s, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_begun_is_not_begun_when_the_connection_breaks, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_begun_here_may_have_been_elsewhere_if_much_was_missed, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_reaches_who_runs_it, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_reaches_what_waits_elsewhere, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_is_the_next_owners_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_is_believed_after_two_changes_of_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_former_owner_did_not_tell_is_told_as_his, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cancel_of_what_died_with_its_agent_claims_nothing, setup_away, teardown),
		cmocka_unit_test_setup_teardown(a_new_owner_learns_what_runs_and_lets_it_run, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_says_he_runs_is_lost, setup_away, teardown),
		cmocka_unit_test_setup_teardown(who_does_not_say_what_he_runs_is_waited_for, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_was_given_and_never_came_is_given_again, setup_away, teardown),
		cmocka_unit_test_setup_teardown(unless_whoever_was_given_it_lives_anew, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_was_given_and_began_is_not_given_again_when_its_agent_dies, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_came_to_nothing_under_another_term_was_another_attempt, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_came_to_nothing_under_this_one_is_given_again, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_the_former_owner_runs_goes_on_after_a_move, setup_away, teardown),
		cmocka_unit_test_setup_teardown(who_runs_it_becomes_the_owner_and_goes_on, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_runs_of_a_former_term_under_this_number_is_known_as_that, setup_away, teardown),
		cmocka_unit_test_setup_teardown(what_ran_under_a_former_term_is_not_taken_for_what_runs_now, setup_away, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
