/* Tasks that a house's owner has not answered: followers keep a copy. */
#include "coretest.h"

#include "state.h"

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

static struct coretest *
node(int i)
{
	return &net.node[i].t;
}

static int64_t
seen(int i)
{
	return node(i)->core->nseen;
}

static void
end_all(void)
{
	for (int i = 0; i < net.n; i++)
		if (!net.node[i].dead)
			ct_end_all(node(i));
}

static void
what_was_answered_is_forgotten(void **state)
{
	(void)state;
	net_task(&net, "me", "{'tool':'noop'}");
	net_task(&net, "me", "{'tool':'none'}");
	net_task(&net, "me", "no task");
	net_task(&net, "me", "{'tool':'noop','id':'%s'}\n{'tool':'noop','id':'%s'}\n\n{}", ct_id(1), ct_id(2));
	net_task(&net, "me", "{'tool':'noop',\r\n'id':'%s'}", ct_id(3));
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	net_run(&net, 500);
	assert_int_equal(ct_count(node(0), "client/me", NULL, "accepted"), 5);
	assert_int_equal(ct_count(node(0), "client/me", NULL, "rejected"), 3);
	assert_int_equal(seen(1), 0);
	assert_int_equal(seen(2), 0);
}

static bool
loses_answers(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)payload;
	return to == 1 && strstr(topic, "house/ezra/event/ezra-1");
}

/* One answer takes one copy, and only of the same sender. */
static void
equal_tasks_are_counted(void **state)
{
	char event[200];

	(void)state;
	net.loses = loses_answers;
	for (int i = 0; i < 3; i++)
		net_task(&net, "me", "{'tool':'noop'}");
	net_task(&net, "you", "{'tool':'noop'}");
	net_run(&net, 100);
	assert_int_equal(seen(1), 4);
	assert_int_equal(seen(2), 0);
	net.loses = NULL;
	snprintf(event, sizeof event, "{'type':'accepted','seq':900,'term':'1.ezra-1.abc','hash':'%016llx','from':'me'}",
	    (unsigned long long)seen_hash("{\"tool\":\"noop\"}", 15));
	for (int i = 3; i > 0; i--) {
		net_publish(&net, "uw/home/house/ezra/event/ezra-1", event, NULL);
		net_run(&net, NET_STEP_MS);
		assert_int_equal(seen(1), i);
	}
	net_publish(&net, "uw/home/house/ezra/event/ezra-1", event, NULL);
	net_run(&net, NET_STEP_MS);
	assert_int_equal(seen(1), 1);
}

static void
the_successor_takes_what_nobody_had_accepted(void **state)
{
	(void)state;
	net.node[0].frozen = true;
	net_run(&net, 2000);
	net_task(&net, "me", "{'tool':'noop'}");
	net_task(&net, "me", "{'tool':'exclusive_tool','id':'%s'}", ct_id(1));
	net_run(&net, 100);
	assert_int_equal(seen(1), 2);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 1000);
	assert_int_equal(ct_count(node(1), "client/me/reply/r", NULL, "accepted"), 2);
	assert_int_equal(seen(1), 0);
	assert_int_equal(seen(2), 0);
	/* Its session has them too, but others have answered by now. */
	net_start(&net, 0);
	net_run(&net, 30000);
	end_all();
	net_run(&net, 1000);
	assert_int_equal(net_started(&net), 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seen(i), 0);
	assert_int_equal(net_count(&net, "client/me/reply/r", ct_id(1), "outcome"), 1);
}

static void
what_is_not_answered_for_a_second_is_on_disk(void **state)
{
	(void)state;
	net.node[0].frozen = true;
	net_task(&net, "me", "{'tool':'exclusive_tool','id':'%s'}", ct_id(1));
	net_run(&net, 700);
	assert_int_equal(ct_sql(node(1), "SELECT count(*) FROM seen"), 0);
	net_run(&net, 2300);
	assert_int_equal(ct_sql(node(1), "SELECT count(*) FROM seen"), 1);
	ct_kill(node(1));
	net_kill(&net, 2);
	net_kill(&net, 0);
	net_up(&net, 1);
	assert_int_equal(seen(1), 1);
	assert_true(net_wait_owner(&net, 1, 20000) >= 0);
	net_run(&net, 1000);
	assert_int_equal(ct_count(node(1), "client/me/reply/r", ct_id(1), "accepted"), 1);
	assert_int_equal(ct_sql(node(1), "SELECT count(*) FROM seen"), 0);
}

/* ---- what does not reach the owner ---- */

static bool
loses_tasks_to_the_owner(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)payload;
	return to == 0 && strstr(topic, "/task/");
}

static size_t
sent_on(int i)
{
	size_t n = 0;

	for (size_t k = 0; k < node(i)->nlines; k++)
		n += node(i)->lines[k].topic && strcmp(ct_str(node(i)->lines[k].v, "op"), "seen") == 0;
	return n;
}

static void
what_never_reached_the_owner_is_sent_to_it_after_5_s(void **state)
{
	(void)state;
	net.loses = loses_tasks_to_the_owner;
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	net_run(&net, 4800);
	assert_int_equal(sent_on(1) + sent_on(2), 0);
	net_run(&net, 700);
	assert_int_equal(sent_on(1), 1);
	assert_int_equal(ct_count(node(0), "client/me/reply/r", ct_id(1), "accepted"), 1);
	assert_string_equal(ct_str(ct_last(node(0), "house/ezra/event", ct_id(1), "accepted"), "sender"), "me");
	net_run(&net, 20000);
	assert_int_equal(sent_on(1) + sent_on(2), 1);
	assert_int_equal(seen(1) + seen(2), 0);
	assert_int_equal(net_started(&net), 1);
}

static bool
loses_all_to_the_owner(const struct net *n, int to, const char *topic, const char *payload)
{
	return loses_tasks_to_the_owner(n, to, topic, payload) || (to == 0 && strstr(payload, "\"op\":\"seen\""));
}

static void
it_is_not_sent_for_ever(void **state)
{
	(void)state;
	net.loses = loses_all_to_the_owner;
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	net_run(&net, 60000);
	assert_int_equal(sent_on(1), 5);
	assert_int_equal(sent_on(2), 5);
	assert_int_equal(seen(1) + seen(2), 0);
	assert_int_equal(ct_health(node(1), NULL, "seen_dropped"), 1);
}

/* ---- bounds ---- */

static void
send_many(int n, int bytes)
{
	struct buf b = { 0 };

	for (int i = 0; i < n; i++)
		buf_addf(&b, "{'tool':'noop','params':{'payload':'%0*d'}}\n", bytes, i);
	net_publish(&net, "uw/home/house/ezra/task/me", b.data, NULL);
	buf_free(&b);
	net_run(&net, NET_STEP_MS);
}

static void
copies_are_bounded_in_number(void **state)
{
	(void)state;
	net.node[0].frozen = true;
	for (int i = 0; i < 25; i++)
		send_many(1000, 1);
	assert_int_equal(seen(1), 20000);
	assert_int_equal(ct_health(node(1), NULL, "seen_dropped"), 5000);
	assert_int_equal(ct_health(node(1), NULL, "seen"), 20000);
}

static void
copies_are_bounded_in_bytes(void **state)
{
	(void)state;
	net.node[0].frozen = true;
	for (int i = 0; i < 20; i++)
		send_many(4, 250000);
	assert_in_range(node(1)->core->seen_bytes, 15 << 20, 16 << 20);
	assert_in_range(ct_health(node(1), NULL, "seen_dropped"), 10, 70);
}

static void
what_nobody_may_send_is_not_kept(void **state)
{
	(void)state;
	net.node[0].frozen = true;
	net_publish(&net, "uw/home/house/ezra/task/me", "{'tool':'noop'}", "uw/home/client/you/reply/q");
	net_publish(&net, "uw/home/house/ezra/task/me", " \n ", NULL);
	net_publish(&net, "uw/home/house/ezra/task/me", "", NULL);
	net_publish(&net, "uw/home/house/ezra/task/ME!", "{'tool':'noop'}", NULL);
	net_publish(&net, "uw/home/house/timmy/task/me", "{'tool':'none'}", NULL);
	net_run(&net, 100);
	assert_int_equal(seen(1), 0);
	assert_int_equal(seen(2), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_answered_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(equal_tasks_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(the_successor_takes_what_nobody_had_accepted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_answered_for_a_second_is_on_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(what_never_reached_the_owner_is_sent_to_it_after_5_s, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_not_sent_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_are_bounded_in_number, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_are_bounded_in_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_may_send_is_not_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
