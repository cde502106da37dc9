/* Reply addresses in the payload, as senders over MQTT 3.1.1 give them. */
#include "coretest.h"

#define REPLIES "client/me/reply/q"

static struct coretest t;
static const char *id;

static int
setup_as(const char *agent)
{
	ct_setup_agent(&t, agent, NULL);
	ct_up(&t, false);
	id = ct_id(1);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_as("ezra-1");
}

static int
setup_timmy(void **state)
{
	(void)state;
	return setup_as("timmy-1");
}

static int
teardown(void **state)
{
	(void)state;
	ct_teardown(&t);
	return 0;
}

static void
give(const char *topic, const char *fmt, const char *what)
{
	char text[512];

	snprintf(text, sizeof text, fmt, what);
	ct_send(&t, topic, text, NULL, NULL);
	assert_int_equal(ct_turn(&t), 0);
}

static void
task(const char *fmt, const char *what)
{
	give("uw/home/house/ezra/task/me", fmt, what);
}

#define REPLY ",'reply':{'topic':'uw/home/client/me/reply/q','correlation':'4142'}}"

static void
the_sender_is_answered_where_he_says(void **state)
{
	(void)state;
	task("{'tool':'noop','id':'%s'" REPLY, id);
	ct_last(&t, REPLIES, id, "accepted");
	ct_end_all(&t);
	assert_int_equal(ct_turn(&t), 0);
	ct_last(&t, REPLIES, id, "outcome");
	for (size_t i = 0; i < t.nlines; i++)
		if (strstr(t.lines[i].topic, REPLIES))
			assert_string_equal(t.lines[i].correlation, "AB");
	task("{'tool':'noop','id':'%s'" REPLY, id);
	assert_int_equal(ct_count(&t, REPLIES, id, "outcome"), 2);
}

static void
the_address_outlives_the_agent(void **state)
{
	(void)state;
	task("{'tool':'noop','id':'%s','not_before':1764000005000" REPLY, id);
	ct_kill(&t);
	ct_up(&t, false);
	ct_pass(&t, 6000);
	assert_int_equal(ct_turn(&t), 0);
	ct_end_all(&t);
	assert_int_equal(ct_turn(&t), 0);
	ct_last(&t, REPLIES, id, "outcome");
}

static void
a_refusal_comes_there_too(void **state)
{
	(void)state;
	task("{'tool':'%s'" REPLY, "nonsense");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, NULL, "rejected"), "error.field"), "tool");
	task("{'params':{}%s" REPLY, "");
	assert_int_equal(ct_count(&t, REPLIES, NULL, "rejected"), 2);
}

static void
nobody_is_answered_at_the_address_of_another(void **state)
{
	(void)state;
	task("{'tool':'noop','reply':{'topic':'uw/home/%s'}}", "client/you/reply/q");
	task("{'tool':'noop','reply':{'topic':'uw/home/%s'}}", "client/me/reply/#");
	task("{'tool':'noop','reply':{'topic':'uw/home/%s'}}", "house/ezra/task/me");
	task("{'tool':'noop','reply':{'topic':'uw/home/client/me/reply/q','correlation':'%s'}}", "4x");
	assert_int_equal(t.nstarted, 0);
	assert_int_equal(ct_count(&t, "client/", NULL, NULL), 0);
	assert_int_equal(ct_count(&t, "house/ezra/event", NULL, "rejected"), 4);
	assert_string_equal(ct_str(ct_last(&t, "house/ezra/event", NULL, "rejected"), "error.field"), "reply.correlation");
}

static void
a_response_topic_goes_before_it(void **state)
{
	char text[256];

	(void)state;
	snprintf(text, sizeof text, "{'tool':'noop','id':'%s'" REPLY, id);
	ct_send(&t, "uw/home/house/ezra/task/me", text, "uw/home/client/me/reply/five", NULL);
	assert_int_equal(ct_turn(&t), 0);
	ct_last(&t, "client/me/reply/five", id, "accepted");
	assert_int_equal(ct_count(&t, REPLIES, NULL, NULL), 0);
}

static void
cancel_and_query_are_answered_each_at_its_own_address(void **state)
{
	(void)state;
	task("{'tool':'noop','id':'%s'}", id);
	give("uw/home/house/ezra/query/me", "{'id':'%s'" REPLY "\n"
	    "{'id':'01KAV9FT000000000000000099','reply':{'topic':'uw/home/client/me/reply/r'}}\n"
	    "{'list':{}}\n{'list':{},'reply':{'topic':'uw/home/client/you/reply/r'}}", id);
	ct_last(&t, REPLIES, id, "task");
	assert_string_equal(ct_str(ct_last(&t, "client/me/reply/r", NULL, "error"), "error.code"), "unknown_task");
	assert_int_equal(ct_count(&t, "client/", NULL, NULL), 2);
	give("uw/home/house/ezra/cancel/me", "{'id':'%s'" REPLY, id);
	ct_last(&t, REPLIES, id, "cancel");
}

static void
a_router_hears_from_the_house_without_a_response_topic(void **state)
{
	(void)state;
	give("uw/home/house/timmy/task/ezra-1", "{'tool':'noop','id':'%s','from':'me'" REPLY, id);
	ct_last(&t, "client/ezra-1/reply/forward", id, "accepted");
	ct_last(&t, REPLIES, id, "accepted");
	ct_end_all(&t);
	assert_int_equal(ct_turn(&t), 0);
	ct_last(&t, REPLIES, id, "outcome");
	assert_int_equal(ct_count(&t, "client/ezra-1", id, "outcome"), 0);
}

static void
an_agent_gives_its_address_with_what_its_own_user_submits(void **state)
{
	const cJSON *f;

	(void)state;
	ct_local(&t, 3, "{'op':'submit','task':{'tool':'noop','house':'timmy'}}");
	assert_int_equal(ct_turn(&t), 0);
	f = ct_last(&t, "house/timmy/task/ezra-1", NULL, NULL);
	assert_string_equal(ct_str(f, "reply.topic"), "uw/home/client/ezra-1/reply/forward");
	assert_string_equal(ct_str(f, "from"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_sender_is_answered_where_he_says, setup, teardown),
		cmocka_unit_test_setup_teardown(the_address_outlives_the_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_comes_there_too, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_answered_at_the_address_of_another, setup, teardown),
		cmocka_unit_test_setup_teardown(a_response_topic_goes_before_it, setup, teardown),
		cmocka_unit_test_setup_teardown(cancel_and_query_are_answered_each_at_its_own_address, setup, teardown),
		cmocka_unit_test_setup_teardown(a_router_hears_from_the_house_without_a_response_topic, setup_timmy, teardown),
		cmocka_unit_test_setup_teardown(an_agent_gives_its_address_with_what_its_own_user_submits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
