/* Agents of several versions in one cluster: who understands whom, and what becomes of houses where they do not. */
#include "coretest.h"

#include "state.h"

#define NOW CORE_PROTOCOL

static struct net net;

static int
setup(void **state)
{
	(void)state;
	net_setup(&net, 3, NULL, NULL);
	net_begin(&net);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	net_teardown(&net);
	return 0;
}

/* Stops it, and starts it as another version. */
static void
becomes(int i, int protocol)
{
	net_kill(&net, i);
	net_run(&net, 1000);
	net.node[i].t.protocol = protocol;
	net_start(&net, i);
}

static int64_t
not_understood_by(int i)
{
	struct buf b = { 0 };
	int64_t n;
	cJSON *o;

	core_health(net.node[i].t.core, "online", NULL, &b);
	o = cJSON_Parse(buf_str(&b));
	assert_int_equal(json_number(o, "protocol", 0), net.node[i].t.protocol ? net.node[i].t.protocol : NOW);
	n = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(o, "not_understood"));
	cJSON_Delete(o);
	buf_free(&b);
	return n;
}

static void
heartbeats_and_claims_say_it(void **state)
{
	cJSON *claim = net_retained(&net, "house/ezra/claim/ezra-1");

	(void)state;
	assert_int_equal(ct_num(ct_last(&net.node[0].t, "ezra-1/health", NULL, NULL), "protocol"), NOW);
	assert_int_equal(json_number(claim, "protocol", 0), NOW);
	assert_int_equal(not_understood_by(0), 0);
	cJSON_Delete(claim);
}

/* Agents of before the number was said are of protocol 1. */
static void
who_does_not_say_it_speaks_the_first(void **state)
{
	struct peer *p = peer_find(net.node[0].t.core, "timmy-1");
	cJSON *old = cJSON_Parse("{\"agent\":\"timmy-1\"}");

	(void)state;
	peer_speaks(net.node[0].t.core, p, old);
	assert_int_equal(p->protocol, 1);
	cJSON_Delete(old);
}

static void
the_next_version_follows_owns_and_gives_back(void **state)
{
	(void)state;
	becomes(1, NOW + 1);
	assert_true(net_wait_in_step(&net, 1, 10000) >= 0);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	/* What was accepted by one is known to the other. */
	net_task(&net, "me", "{'tool':'noop','id':'%s','not_before':%lld}", ct_id(1), (long long)T0 + 100000000);
	net_run(&net, 1000);
	assert_string_equal(ct_state(&net.node[2].t, ct_id(1)), "scheduled");
	net_start(&net, 0);
	assert_true(net_wait_owner(&net, 0, 30000) >= 0);
	assert_string_equal(ct_state(&net.node[0].t, ct_id(1)), "scheduled");
	assert_int_equal(not_understood_by(0) + not_understood_by(1) + not_understood_by(2), 0);
}

/* Two versions apart: whoever owned goes on, neither waits for the other, both say so. */
static void
one_too_new_does_not_follow_and_is_not_waited_for(void **state)
{
	(void)state;
	becomes(1, NOW + 2);
	net_run(&net, 15000);
	assert_int_equal(net_owner(&net), 0);
	assert_int_equal(not_understood_by(0), 1);
	assert_int_equal(not_understood_by(1), 2);
	assert_false(net_house(&net, 1)->live);
	assert_int_equal(copies_count(net_house(&net, 0)), 2);
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	net_run(&net, 500);
	assert_int_equal(net_count(&net, "client/me/reply", ct_id(1), "accepted"), 1);
}

/* The owner dies: the one in step, which is of its version, goes on, not the one that is too new. */
static void
the_one_in_step_takes_over_beside_one_too_new(void **state)
{
	(void)state;
	becomes(1, NOW + 2);
	net_run(&net, 5000);
	net_kill(&net, 0);
	assert_in_range(net_wait_owner(&net, 2, 5000), 0, 2000);
}

/* One that was away for two versions comes back with what it had: it owns nothing while those live who went on. */
static void
one_too_old_does_not_claim_beside_newer_ones(void **state)
{
	(void)state;
	net_kill(&net, 1);
	for (int i = 0; i < 3; i += 2)
		becomes(i, NOW + 2);
	assert_true(net_wait_owner(&net, 0, 20000) >= 0);
	net_start(&net, 1);
	net_run(&net, 3000);
	assert_int_equal(not_understood_by(1), 2);
	/* Neither knows all there is, and by the order it would be the old one's turn. */
	net_kill(&net, 2);
	net_lose_disk(&net, 2);
	net_kill(&net, 0);
	net_start(&net, 2);
	assert_in_range(net_wait_owner(&net, 2, 20000), 9000, 20000);
	/* Brought to their version it follows. */
	becomes(1, NOW + 2);
	assert_true(net_wait_in_step(&net, 1, 15000) >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(heartbeats_and_claims_say_it, setup, teardown),
		cmocka_unit_test_setup_teardown(who_does_not_say_it_speaks_the_first, setup, teardown),
		cmocka_unit_test_setup_teardown(the_next_version_follows_owns_and_gives_back, setup, teardown),
		cmocka_unit_test_setup_teardown(one_too_new_does_not_follow_and_is_not_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(the_one_in_step_takes_over_beside_one_too_new, setup, teardown),
		cmocka_unit_test_setup_teardown(one_too_old_does_not_claim_beside_newer_ones, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
