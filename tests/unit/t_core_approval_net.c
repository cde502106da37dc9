/* Who may start what, when several agents share a house and it changes hands. */
#include <string.h>

#include "coretest.h"
#include "signedtest.h"

#include "state.h"

static struct net net;
static const char *id;

#define PLAN "{\"touches\":[{\"access\":\"write\",\"kind\":\"path\",\"name\":\"/srv/f\",\"sha256\":\"00\"}],\"target\":\"/srv/f\"}"
#define WORKERS "agents: [ezra-1, timmy-1]"

static struct coretest *
node(int i)
{
	return &net.node[i].t;
}

static void
publish(enum sovereign_kind kind, const char *topic_id, const char *members)
{
	char topic[TOPIC_MAX], *envelope = sealed(kind, members);

	signed_topic(topic, kind, topic_id);
	net_publish(&net, topic, envelope, NULL);
	free(envelope);
}

/* Once the house has an owner, so that its requests and events are followed from the first. */
static int
begin(const char *ezra)
{
	net_setup_more(&net, 3, ezra, NULL, pinned());
	id = ct_id(1);
	net_begin(&net);
	publish(SOVEREIGN_POLICY, "current", "{'n':1,'time':1,'approval_s':600}");
	net_run(&net, 1500);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return begin(NULL);
}

static int
setup_workers(void **state)
{
	(void)state;
	return begin(WORKERS);
}

static int
teardown(void **state)
{
	(void)state;
	net_teardown(&net);
	return 0;
}

static int
runner(void)
{
	for (int i = 0; i < net.n; i++)
		if (!net.node[i].dead && ct_running(node(i), id))
			return i;
	return -1;
}

static void
end_with(const char *result)
{
	int at = runner();

	assert_true(at >= 0);
	ct_end(node(at), id, POOL_SUCCEEDED, result);
	assert_int_equal(ct_turn(node(at)), 0);
	net_run(&net, 1500);    /* until the others hear that it is told */
}

static void
ask(void)
{
	net_task(&net, "me", "{'tool':'exclusive_tool','id':'%s','mode':'sovereign'}", id);
	net_run(&net, 1500);
	assert_true(runner() >= 0 && ct_running(node(runner()), id)->plan);
	end_with(PLAN);
}

/* As it is retained; NULL: it was cleared, or never there. */
static cJSON *
request(void)
{
	return net_retained(&net, "approval/ezra/request");
}

static void
decide(const char *what)
{
	cJSON *r = request();
	char members[400];

	assert_non_null(r);
	snprintf(members, sizeof members, "{'task':'%s','hash':'%s','decision':'%s','time':1,'expires':%lld}", id,
	    ct_str(r, "hash"), what, T0 + 3600000LL);
	cJSON_Delete(r);
	publish(SOVEREIGN_DECISION, id, members);
	net_run(&net, 500);
}

static void
it_is_the_same_everywhere(void **state)
{
	cJSON *r;

	(void)state;
	ask();
	r = request();
	assert_string_equal(ct_str(r, "by"), "ezra-1");
	cJSON_Delete(r);
	for (int i = 0; i < 3; i++)
		assert_string_equal(ct_state(node(i), id), "waiting_approval");
	decide("approve");
	assert_null(request());
	end_with("{}");
	for (int i = 0; i < 3; i++)
		assert_string_equal(ct_state(node(i), id), "succeeded");
	assert_int_equal(net_started(&net), 2);
}

static void
it_waits_on_under_the_next_owner(void **state)
{
	cJSON *r;

	(void)state;
	ask();
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 5000) >= 0);
	net_run(&net, 1000);
	r = request();
	assert_string_equal(ct_str(r, "by"), "timmy-1");
	assert_string_equal(ct_str(r, "task"), id);
	cJSON_Delete(r);
	decide("approve");
	assert_int_equal(runner(), 1);
	end_with("{}");
	assert_string_equal(ct_state(node(2), id), "succeeded");
	assert_int_equal(net_started(&net), 2);
	net_start(&net, 0);
	net_run(&net, 20000);
	assert_string_equal(ct_state(node(0), id), "succeeded");
	assert_int_equal(net_started(&net), 2);
}

static void
what_is_decided_while_nobody_owns_the_house_holds(void **state)
{
	(void)state;
	ask();
	net_kill(&net, 0);
	decide("approve");
	assert_true(net_wait_owner(&net, 1, 5000) >= 0);
	net_run(&net, 1000);
	assert_int_equal(runner(), 1);
	assert_false(ct_running(node(1), id)->plan);
	assert_null(request());
}

static void
it_survives_the_restart_of_everybody(void **state)
{
	(void)state;
	ask();
	for (int i = 0; i < 3; i++)
		net_kill(&net, i);
	for (int i = 0; i < 3; i++)
		net_start(&net, i);
	assert_true(net_wait_owner(&net, 0, 20000) >= 0);
	net_run(&net, 2000);
	decide("approve");
	assert_int_equal(runner(), 0);
	end_with("{}");
	assert_string_equal(ct_state(node(2), id), "succeeded");
	assert_int_equal(net_started(&net), 2);
}

static void
what_was_approved_and_may_have_run_is_not_run_again(void **state)
{
	(void)state;
	ask();
	decide("approve");
	assert_int_equal(runner(), 0);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 5000) >= 0);
	net_run(&net, 10000);
	assert_string_equal(ct_state(node(1), id), "uncertain");
	assert_int_equal(net_started(&net), 2);
}

static void
a_halt_reaches_who_was_away(void **state)
{
	(void)state;
	net_kill(&net, 1);
	net_kill(&net, 2);
	publish(SOVEREIGN_HALT, "current", "{'n':1,'time':1,'halts':[{'scope':'cluster'}],'why':'stop'}");
	net_run(&net, 1500);
	net_drop_retained(&net, "sovereign/timmy");
	net_start(&net, 1);
	net_start(&net, 2);
	net_run(&net, 1500);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 20000) >= 0);
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", id);
	net_run(&net, 3000);
	assert_string_equal(ct_state(node(1), id), "queued");
	assert_int_equal(net_started(&net), 0);
	publish(SOVEREIGN_HALT, "current", "{'n':2,'time':1,'halts':[],'why':'go on'}");
	net_run(&net, 1500);
	assert_int_equal(net_started(&net), 1);
}

static void
another_agent_of_the_house_judges_for_itself(void **state)
{
	(void)state;
	net.node[0].t.idle = 0;
	net_run(&net, 100);
	ask();
	decide("approve");
	assert_int_equal(runner(), 1);
	assert_non_null(strstr(ct_running(node(1), id)->terms, "\"touches\":"));
	end_with("{}");
	assert_string_equal(ct_state(node(0), id), "succeeded");
}

/* The other agent of the house has workers, as far as the owner knows, and none is free. */
static void
wait_at_the_other(const char *tool)
{
	net.node[0].t.idle = 0;
	net_run(&net, 100);
	node(1)->idle = 0;
	net_task(&net, "me", "{'tool':'%s','id':'%s'}", tool, id);
	net_run(&net, 1500);
	assert_int_equal(node(1)->nstarted, 0);
	assert_string_equal(ct_state(node(0), id), "running");
}

static void
free_the_other(void)
{
	node(1)->idle = 4;
	net_run(&net, 3000);
}

static void
what_waits_for_a_worker_is_judged_anew_by_a_new_policy(void **state)
{
	(void)state;
	wait_at_the_other("idempotent_tool");
	publish(SOVEREIGN_POLICY, "current", "{'n':2,'time':1,'approval_s':600,'rules':[{'then':'deny','why':'no more'}]}");
	free_the_other();
	assert_int_equal(net_started(&net), 0);
	assert_string_equal(ct_state(node(0), id), "denied");
}

static void
what_waits_for_a_worker_does_not_start_while_more_is_known_to_others(void **state)
{
	(void)state;
	wait_at_the_other("idempotent_tool");
	net_publish(&net, "uw/home/agent/bezalel-1/health/state", "{'agent':'bezalel-1','state':'online',"
	    "'boot':'01KAV9FT000000000000000009','seq':1,'sovereign':{'policy':7,'halt':0,'grants':0}}", NULL);
	free_the_other();
	assert_int_equal(net_started(&net), 0);
}

static void
what_waits_for_a_worker_ends_with_its_approval(void **state)
{
	cJSON *r;
	char members[400];

	(void)state;
	ask();
	net.node[0].t.idle = 0;
	net_run(&net, 100);
	node(1)->idle = 0;
	r = request();
	snprintf(members, sizeof members, "{'task':'%s','hash':'%s','decision':'approve','time':1,'expires':%lld}", id,
	    ct_str(r, "hash"), (long long)node(1)->now.wall_ms + 4000);
	cJSON_Delete(r);
	publish(SOVEREIGN_DECISION, id, members);
	net_run(&net, 1500);
	assert_string_equal(ct_state(node(0), id), "running");
	net_run(&net, 3000);
	free_the_other();
	assert_int_equal(net_started(&net), 1);
	assert_string_equal(ct_state(node(0), id), "denied");
}

/* A start as a stolen owner might send it. */
static void
forge_start(const char *from, const char *approval)
{
	char topic[TOPIC_MAX], text[8192];

	topic_format(topic, "home", TOPIC_WORK, "timmy-1", from);
	snprintf(text, sizeof text, "{'op':'start','house':'ezra','term':'900.%s.abc','id':'%s','attempt':1,'n':1,'boot':'%s',"
	    "'from_boot':'x','heard':%lld,'timeout_s':0,'sender':'me'%s,"
	    "'task':{'tool':'exclusive_tool','id':'%s','mode':'sovereign'}}", from, id, core_boot(node(1)->core),
	    (long long)node(1)->core->health_seq, approval, id);
	net_publish(&net, topic, text, NULL);
	net_run(&net, 500);
}

static void
who_runs_it_wants_to_see_the_decision(void **state)
{
	(void)state;
	forge_start("ezra-1", "");
	assert_int_equal(net_started(&net), 0);
	forge_start("ezra-1", ",'approval':{'why':'x','subject':{},'hash':'00','by':'timmy','until':99999999999999,'decision':'{}'}");
	assert_int_equal(net_started(&net), 0);
}

/* The decision is real, and its task has run. */
static void
what_was_approved_runs_once_whatever_its_owner_says(void **state)
{
	char more[4096];
	struct ulid task;

	(void)state;
	net.node[0].t.idle = 0;
	net_run(&net, 100);
	ask();
	decide("approve");
	assert_int_equal(runner(), 1);
	end_with("{}");
	assert_int_equal(net_started(&net), 2);
	ulid_parse(id, &task);
	snprintf(more, sizeof more, ",'approval':%s", task_by_id(node(0)->core, net_house(&net, 0), &task)->approval);
	forge_start("ezra-1", more);
	assert_int_equal(net_started(&net), 2);
	net_kill(&net, 1);
	net_start(&net, 1);
	net_run(&net, 5000);
	forge_start("ezra-1", more);
	assert_int_equal(net_started(&net), 2);
}

/* Any agent may write to any other; it is not heard as the owner of a house of which it is no candidate. */
static void
nobody_acts_for_a_house_that_is_not_his(void **state)
{
	struct term before;

	(void)state;
	before = net_house(&net, 1)->term;
	forge_start("allegro-1", "");
	net_publish(&net, "uw/home/house/ezra/event/allegro-1",
	    "{'type':'owner','seq':1,'term':'900.allegro-1.abc','time':'2026-01-01T00:00:00Z','unclean':false}", NULL);
	net_run(&net, 500);
	assert_int_equal(net_started(&net), 0);
	assert_true(term_equal(&before, &net_house(&net, 1)->term));
}

static void
uses_of_a_grant_are_counted_over_a_change_of_owner(void **state)
{
	(void)state;
	publish(SOVEREIGN_POLICY, "current", "{'n':2,'time':1,'approval_s':600,'rules':[{'effect':'exclusive','then':'approve'}]}");
	publish(SOVEREIGN_GRANT, "g", "{'n':1,'time':1,'id':'g','house':'ezra','tool':'*','count':2,'not_before':1,"
	    "'expires':9999999999999,'live':[{'id':'g','n':1}]}");
	net_run(&net, 1500);
	for (int i = 1; i < 4; i++) {
		id = ct_id(i);
		net_task(&net, "me", "{'tool':'exclusive_tool','id':'%s'}", id);
		net_run(&net, 1500);
		assert_true(ct_running(node(runner()), id)->plan);
		end_with(PLAN);
		if (i == 3)
			break;
		assert_false(ct_running(node(runner()), id)->plan);
		end_with("{}");
		if (i == 1) {
			net_kill(&net, 0);
			assert_true(net_wait_owner(&net, 1, 5000) >= 0);
			net_run(&net, 1000);
		}
	}
	assert_string_equal(ct_state(node(1), id), "waiting_approval");
}

static void
who_starts_with_an_empty_disk_learns_what_was_used(void **state)
{
	(void)state;
	publish(SOVEREIGN_POLICY, "current", "{'n':2,'time':1,'approval_s':600,'rules':[{'effect':'exclusive','then':'approve'}]}");
	publish(SOVEREIGN_GRANT, "g", "{'n':1,'time':1,'id':'g','house':'ezra','tool':'*','count':2,'not_before':1,"
	    "'expires':9999999999999,'live':[{'id':'g','n':1}]}");
	net_run(&net, 1500);
	for (int i = 1; i < 3; i++) {
		id = ct_id(i);
		net_task(&net, "me", "{'tool':'exclusive_tool','id':'%s'}", id);
		net_run(&net, 1500);
		end_with(PLAN);
		end_with("{}");
	}
	net_kill(&net, 2);
	net_lose_disk(&net, 2);
	/* Its tasks are forgotten meanwhile. */
	ct_sql(node(0), "DELETE FROM tasks");
	net_start(&net, 2);
	net_run(&net, 20000);
	assert_int_equal(ct_sql(node(2), "SELECT count(*) FROM tasks"), 0);
	assert_int_equal(ct_sql(node(2), "SELECT count(*) FROM uses WHERE grant_id = 'g'"), 2);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_is_the_same_everywhere),
		T(it_waits_on_under_the_next_owner),
		T(what_is_decided_while_nobody_owns_the_house_holds),
		T(it_survives_the_restart_of_everybody),
		T(what_was_approved_and_may_have_run_is_not_run_again),
		T(a_halt_reaches_who_was_away),
		cmocka_unit_test_setup_teardown(another_agent_of_the_house_judges_for_itself, setup_workers, teardown),
		cmocka_unit_test_setup_teardown(what_waits_for_a_worker_is_judged_anew_by_a_new_policy, setup_workers, teardown),
		cmocka_unit_test_setup_teardown(what_waits_for_a_worker_does_not_start_while_more_is_known_to_others, setup_workers,
		    teardown),
		cmocka_unit_test_setup_teardown(what_waits_for_a_worker_ends_with_its_approval, setup_workers, teardown),
		cmocka_unit_test_setup_teardown(who_runs_it_wants_to_see_the_decision, setup_workers, teardown),
		cmocka_unit_test_setup_teardown(what_was_approved_runs_once_whatever_its_owner_says, setup_workers, teardown),
		T(who_starts_with_an_empty_disk_learns_what_was_used),
		cmocka_unit_test_setup_teardown(nobody_acts_for_a_house_that_is_not_his, setup_workers, teardown),
		T(uses_of_a_grant_are_counted_over_a_change_of_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
