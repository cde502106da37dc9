/* The router changes hands as well, with what it has handed on. */
#include "coretest.h"

#include "state.h"

#define ROUTER "uw/home/house/_/task/me"
#define REPLY "uw/home/client/me/reply/r"

static struct net net;

static int
setup(void **state)
{
	(void)state;
	net_setup(&net, 3, NULL, "ezra-1, timmy-1, bezalel-1");
	net_begin(&net);
	net_run(&net, 3000);
	return 0;
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

/* What starts ends in the next step. */
static void
work_for(int64_t ms)
{
	for (; ms > 0; ms -= NET_STEP_MS) {
		for (int i = 0; i < net.n; i++)
			if (!net.node[i].dead)
				ct_end_all(node(i));
		net_run(&net, NET_STEP_MS);
	}
}

static void
route(int n, const char *house)
{
	char text[200];

	snprintf(text, sizeof text, "{'tool':'noop','id':'%s','house':'%s'}", ct_id(n), house);
	net_publish(&net, ROUTER, text, REPLY);
}

static bool
is_router(int i)
{
	return house_find(node(i)->core, "_")->owned;
}

static bool
loses_handed_on(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)to;
	(void)payload;
	return strstr(topic, "/task/ezra-1");
}

static void
the_next_router_hands_on_what_did_not_get_there(void **state)
{
	(void)state;
	assert_true(is_router(0));
	net.loses = loses_handed_on;
	route(1, "house-1");
	route(2, "house-2");
	net_run(&net, 500);
	assert_int_equal(ct_count(node(0), "client/me", NULL, "accepted"), 2);
	assert_int_equal(net_started(&net), 0);
	net_kill(&net, 0);
	net.loses = NULL;
	work_for(10000);
	assert_true(is_router(1));
	for (int i = 1; i <= 2; i++)
		assert_int_equal(net_count(&net, "client/me", ct_id(i), "outcome"), 1);
	assert_int_equal(net_started(&net), 2);
	assert_int_equal(ct_health(node(1), "_", "open"), 0);
	work_for(20000);
	assert_int_equal(net_started(&net), 2);
}

static void
what_got_there_is_not_handed_on_again(void **state)
{
	(void)state;
	route(1, "house-2");
	work_for(1000);
	assert_int_equal(ct_count(node(2), "client/me", ct_id(1), "outcome"), 1);
	net_kill(&net, 0);
	work_for(15000);
	assert_true(is_router(1));
	assert_int_equal(ct_count(node(1), "house/house-2/task/timmy-1", ct_id(1), NULL), 0);
	assert_int_equal(ct_health(node(1), "_", "open"), 0);
	/* Only when the sender asks again, and then the house answers. */
	route(1, "house-2");
	work_for(1000);
	assert_int_equal(ct_count(node(1), "house/house-2/task/timmy-1", ct_id(1), NULL), 1);
	assert_int_equal(ct_count(node(2), "client/me", ct_id(1), "outcome"), 2);
	assert_int_equal(net_started(&net), 1);
}

/* Neither by a follower that takes it for unanswered, nor by one that becomes the router. */
static void
what_has_no_id_is_handed_on_once(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		net_publish(&net, ROUTER, "{'tool':'noop','house':'house-1'}", REPLY);
	net_publish(&net, ROUTER, "{'tool':'noop',\r\n'house':'house-2'}", REPLY);
	work_for(1000);
	for (int i = 1; i < 3; i++)
		assert_int_equal(node(i)->core->nseen, 0);
	work_for(10000);
	net_kill(&net, 0);
	work_for(10000);
	assert_true(is_router(1));
	assert_int_equal(net_started(&net), 4);
	assert_int_equal(net_count(&net, "client/me", NULL, "outcome"), 4);
}

#define KEYED "{'tool':'exclusive_tool','key':'k'}"

static bool
loses_routers_words(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)payload;
	return to != 0 && strstr(topic, "house/_/event/ezra-1");
}

static bool
loses_have(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)to;
	(void)payload;
	return strstr(topic, "have/_") || strstr(topic, "health/state");
}

static size_t
handed_on(int i)
{
	char topic[64];

	snprintf(topic, sizeof topic, "/task/%s", node(i)->agent);
	return ct_count(node(i), topic, NULL, NULL);
}

/* Or the next router, which does not know it, might give the key to another house. */
static void
what_has_a_key_is_handed_on_when_all_in_step_know_it(void **state)
{
	(void)state;
	net.loses = loses_have;
	net_publish(&net, ROUTER, "{'tool':'exclusive_tool','key':'k','house':'house-1'}", REPLY);
	route(1, "house-1");
	net_run(&net, 1000);
	assert_int_equal(handed_on(0), 1);
	assert_int_equal(ct_count(node(0), "/task/ezra-1", ct_id(1), NULL), 1);
	net.loses = NULL;
	work_for(2000);
	assert_int_equal(handed_on(0), 2);
	assert_int_equal(net_started(&net), 2);
	work_for(10000);
	assert_int_equal(handed_on(0), 2);
	assert_int_equal(net_started(&net), 2);
}

/* Likewise what may be sent by what was learned: the next router has learned something else. */
static void
so_is_what_may_be_sent_by_what_was_learned(void **state)
{
	char text[200];

	(void)state;
	net.loses = loses_have;
	snprintf(text, sizeof text, "{'tool':'noop','id':'%s','mode':'intelligent'}", ct_id(1));
	net_publish(&net, ROUTER, text, REPLY);
	net_run(&net, 1000);
	assert_int_equal(ct_count(node(0), "house/_/event", ct_id(1), "forwarded"), 1);
	assert_int_equal(handed_on(0), 0);
	net.loses = NULL;
	work_for(12000);
	assert_int_equal(handed_on(0), 1);
	assert_int_equal(net_started(&net), 1);
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "outcome"), 1);
}

/* The router alone knows the task of a key. The next one makes another of it. */
static void
a_key_is_one_task_when_the_router_changes_hands(void **state)
{
	const cJSON *v;

	(void)state;
	net.loses = loses_routers_words;
	net_publish(&net, ROUTER, KEYED, REPLY);
	net_run(&net, 500);
	net_kill(&net, 0);
	net.loses = NULL;
	work_for(3000);
	assert_true(is_router(1));
	net_publish(&net, ROUTER, KEYED, REPLY);
	work_for(3000);
	assert_int_equal(net_started(&net), 1);
	net_start(&net, 0);
	work_for(8000);
	v = ct_last(node(1), "house/_/event", NULL, "adopted");
	assert_string_equal(ct_str(v, "state"), "uncertain");
	assert_string_equal(ct_str(v, "error.code"), "conflict");
	work_for(20000);
	assert_int_equal(net_started(&net), 1);
	/* Also for the first router, who has the house again. */
	assert_true(is_router(0));
	net_publish(&net, ROUTER, KEYED, REPLY);
	work_for(3000);
	assert_int_equal(net_started(&net), 1);
}

static void
submit_at(int i, int n)
{
	char text[200];

	snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'noop','id':'%s'}}", ct_id(n));
	ct_local(node(i), 7, text);
}

static void
whoever_sits_at_another_agent_hears_how_it_ended(void **state)
{
	(void)state;
	for (int n = 0; n < 12; n++)
		submit_at(2, n);
	work_for(2000);
	for (int n = 0; n < 12; n++)
		assert_int_equal(ct_count(node(2), "local", ct_id(n), "outcome"), 1);
	assert_int_equal(net_started(&net), 12);
	assert_int_equal(ct_health(node(2), NULL, "handed_on"), 0);
}

/* At whatever moment. node(1) becomes the router itself, node(2) does not. */
static void
he_hears_it_as_well_when_the_router_dies(void **state)
{
	(void)state;
	for (int k = 0; k < 16; k++) {
		int at = 1 + k % 2;

		net_teardown(&net);
		setup(NULL);
		for (int n = 0; n < 12; n++)
			submit_at(at, n);
		work_for((k / 2) * NET_STEP_MS);
		net_kill(&net, 0);
		work_for(20000);
		assert_true(is_router(1));
		for (int n = 0; n < 12; n++)
			if (ct_count(node(at), "local", ct_id(n), "outcome") != 1)
				fail_msg("killed after %d ms, task %d of %s: %zu outcomes", k / 2 * NET_STEP_MS, n, node(at)->agent,
				    ct_count(node(at), "local", ct_id(n), "outcome"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_next_router_hands_on_what_did_not_get_there, setup, teardown),
		cmocka_unit_test_setup_teardown(what_got_there_is_not_handed_on_again, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_no_id_is_handed_on_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_a_key_is_handed_on_when_all_in_step_know_it, setup, teardown),
		cmocka_unit_test_setup_teardown(so_is_what_may_be_sent_by_what_was_learned, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_is_one_task_when_the_router_changes_hands, setup, teardown),
		cmocka_unit_test_setup_teardown(whoever_sits_at_another_agent_hears_how_it_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(he_hears_it_as_well_when_the_router_dies, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
