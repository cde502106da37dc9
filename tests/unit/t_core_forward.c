/* Tasks handed on to another house: by the router, and for the users of an agent's own host. */
#include "coretest.h"

#define TO_TIMMY "house/timmy/task/ezra-1"

static struct coretest t;
static const char *id;

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	ct_up(&t, false);
	id = ct_id(1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ct_teardown(&t);
	return 0;
}

static void
turn(void)
{
	assert_int_equal(ct_turn(&t), 0);
}

static void
house_says(const char *type, const char *more)
{
	char text[512];

	snprintf(text, sizeof text, "{'type':'%s','id':'%s'%s}", type, id, more);
	ct_send(&t, "uw/home/client/ezra-1/reply/forward", text, NULL, NULL);
	turn();
}

static void
route(const char *reply, const char *correlation)
{
	char text[256];

	snprintf(text, sizeof text, "{'tool':'noop','id':'%s','house':'timmy','params':{'payload':1}}", id);
	ct_send(&t, "uw/home/house/_/task/me", text, reply, correlation);
	turn();
}

static void
the_router_hands_on_with_sender_and_reply_address(void **state)
{
	const cJSON *f;

	(void)state;
	route("uw/home/client/me/reply/q", "\x01\xffz");
	f = ct_last(&t, TO_TIMMY, id, NULL);
	assert_string_equal(ct_str(f, "from"), "me");
	assert_string_equal(ct_str(f, "tool"), "noop");
	assert_string_equal(ct_str(f, "reply.topic"), "uw/home/client/me/reply/q");
	assert_string_equal(ct_str(f, "reply.correlation"), "01ff7a");
	assert_int_equal(ct_num(f, "params.payload"), 1);
	assert_string_equal(ct_str(f, "house"), "");
	assert_string_equal(ct_str(ct_last(&t, "client/me/reply/q", id, "accepted"), "house"), "timmy");
	assert_string_equal(ct_str(ct_last(&t, "house/_/event", id, "forwarded"), "to"), "timmy");
	assert_int_equal(t.nstarted, 0);
}

static void
it_is_sent_again_until_the_house_says_accepted(void **state)
{
	(void)state;
	route(NULL, NULL);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), i);
		ct_pass(&t, 4999);
		turn();
		assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), i);
		ct_pass(&t, 1);
		turn();
	}
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 4);
	/* A restart and a time without a link in between. */
	ct_kill(&t);
	ct_pass(&t, 60000);
	turn();
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 4);
	ct_up(&t, false);
	turn();
	turn();
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 5);
	house_says("accepted", "");
	ct_pass(&t, 60000);
	turn();
	turn();
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 5);
	assert_string_equal(ct_state(&t, id), "forwarded");
}

static void
what_another_house_has_is_not_open_here(void **state)
{
	(void)state;
	for (int i = 1; i <= 10; i++) {
		id = ct_id(i);
		route(NULL, NULL);
		assert_int_equal(ct_health(&t, "_", "open"), 1);
		house_says("accepted", "");
		house_says("accepted", "");
		assert_int_equal(ct_health(&t, "_", "open"), 0);
	}
	ct_kill(&t);
	assert_int_equal(ct_health(&t, "_", "open"), 0);
}

static void
a_refusal_is_the_outcome(void **state)
{
	(void)state;
	route("uw/home/client/me/reply/q", "c");
	house_says("rejected", ",'error':{'code':'invalid','message':'no such thing'}");
	assert_string_equal(ct_str(ct_last(&t, "client/me/reply/q", id, "outcome"), "state"), "failed");
	assert_non_null(strstr(ct_str(ct_last(&t, "client/me/reply/q", id, "outcome"), "error.message"), "no such thing"));
	assert_int_equal(ct_health(&t, "_", "open"), 0);
	/* Without any words as well. */
	id = ct_id(2);
	route(NULL, NULL);
	house_says("rejected", "");
	assert_string_equal(ct_state(&t, id), "failed");
}

/* The house forgot it and takes a repeat for stale: that does not undo what was. */
static void
a_refusal_after_acceptance_changes_nothing(void **state)
{
	(void)state;
	route(NULL, NULL);
	house_says("accepted", "");
	house_says("rejected", ",'error':{'code':'stale','message':'old'}");
	assert_string_equal(ct_state(&t, id), "forwarded");
	assert_int_equal(ct_health(&t, "_", "open"), 0);
}

/* The house tells the sender himself: the router must not make a second outcome of it. */
static void
outcomes_of_others_are_not_the_routers(void **state)
{
	(void)state;
	route("uw/home/client/me/reply/q", NULL);
	house_says("accepted", "");
	house_says("outcome", ",'state':'succeeded','result':1");
	assert_int_equal(ct_count(&t, "house/_/event", id, "outcome"), 0);
	assert_int_equal(ct_count(&t, "client/me", id, "outcome"), 0);
}

/* He may have been away when the outcome was sent. */
static void
a_sender_who_asks_again_is_answered_by_the_house(void **state)
{
	(void)state;
	route("uw/home/client/me/reply/q", "a");
	house_says("accepted", "");
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 1);
	route("uw/home/client/me/reply/new", "b");
	assert_int_equal(ct_count(&t, "client/me/reply/new", id, "accepted"), 1);
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 2);
	assert_string_equal(ct_str(ct_last(&t, TO_TIMMY, id, NULL), "reply.topic"), "uw/home/client/me/reply/new");
	assert_string_equal(ct_str(ct_last(&t, TO_TIMMY, id, NULL), "reply.correlation"), "62");
	house_says("accepted", ",'duplicate':true");
	ct_pass(&t, 60000);
	turn();
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 2);
}

static void
a_task_for_a_house_of_its_own_goes_nowhere(void **state)
{
	(void)state;
	ct_taskf(&t, "_", "me", "{'tool':'noop','id':'%s','house':'ezra','key':'k'}", id);
	turn();
	assert_int_equal(t.nrun, 1);
	assert_string_equal(t.run[0].house, "ezra");
	assert_int_equal(ct_count(&t, "house/ezra/event", id, "accepted"), 1);
	assert_int_equal(ct_count(&t, "/task/", NULL, NULL), 0);
	assert_int_equal(ct_health(&t, "_", "open"), 0);
	assert_int_equal(ct_health(&t, "ezra", "open"), 1);
	/* The key was given to the router. */
	ct_task(&t, "_", "me", "{'tool':'noop','house':'ezra','key':'k'}");
	turn();
	assert_int_equal(t.nstarted, 1);
}

static void
the_router_decides_where_nobody_said(void **state)
{
	(void)state;
	for (int i = 0; i < 40; i++)
		ct_taskf(&t, "_", "me", "{'tool':'noop','id':'%s'}", ct_id(i));
	turn();
	assert_true(ct_count(&t, "house/timmy/task", NULL, NULL) > 5);
	assert_true(ct_count(&t, "house/bezalel/task", NULL, NULL) > 5);
	assert_true(t.nstarted > 5);
	assert_int_equal(ct_count(&t, "/task/", NULL, NULL) + t.nstarted, 40);
}

static void
a_house_that_does_not_exist_is_refused(void **state)
{
	(void)state;
	ct_taskf(&t, "_", "me", "{'tool':'noop','id':'%s','house':'none'}", id);
	turn();
	assert_string_equal(ct_str(ct_last(&t, "client/me", id, "rejected"), "error.code"), "unknown_house");
	ct_taskf(&t, "_", "me", "{'tool':'noop','id':'%s','house':5}", id);
	turn();
	assert_string_equal(ct_str(ct_last(&t, "client/me", id, "rejected"), "error.field"), "house");
	assert_int_equal(ct_count(&t, "/task/", NULL, NULL), 0);
	ct_local(&t, 3, "{'op':'submit','task':{'tool':'noop','house':'_'}}");
	turn();
	ct_last(&t, "local", NULL, "accepted");
	ct_end_all(&t);
	t.nstarted = 0;
	/* Whoever sends it to a house does not need to say so, nor can he say otherwise. */
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','house':'none'}", id);
	turn();
	assert_int_equal(t.nstarted, 1);
}

/* ---- from the house's side ---- */

static void
as_house(const char *sender, const char *more)
{
	char text[512], topic[TOPIC_MAX], reply[TOPIC_MAX];

	snprintf(text, sizeof text, "{'tool':'noop','id':'%s'%s}", id, more);
	topic_format(topic, "home", TOPIC_TASK, "timmy", sender);
	topic_format(reply, "home", TOPIC_REPLY, sender, "forward");
	ct_send(&t, topic, text, reply, NULL);
	turn();
}

static void
set_up_timmy(void)
{
	ct_teardown(&t);
	ct_setup_agent(&t, "timmy-1", NULL);
	ct_up(&t, false);
}

static void
from_is_believed_of_the_router_alone(void **state)
{
	(void)state;
	set_up_timmy();
	as_house("bezalel-1", ",'from':'me'");
	assert_string_equal(ct_str(ct_last(&t, "client/bezalel-1", id, "rejected"), "error.field"), "from");
	as_house("ezra-1", ",'from':'me','reply':{'topic':'uw/home/client/you/reply/q'}");
	assert_string_equal(ct_str(ct_last(&t, "client/ezra-1", id, "rejected"), "error.field"), "reply.topic");
	as_house("ezra-1", ",'from':'me','reply':{'topic':'uw/home/client/me/reply/q','correlation':'0g'}");
	assert_string_equal(ct_str(ct_last(&t, "client/ezra-1", id, "rejected"), "error.field"), "reply.correlation");
	assert_int_equal(t.nstarted, 0);
	ct_local(&t, 3, "{'op':'submit','task':{'tool':'noop','house':'timmy','from':'me'}}");
	turn();
	assert_string_equal(ct_str(ct_last(&t, "local", NULL, "rejected"), "error.field"), "from");
	as_house("ezra-1", ",'from':'me','reply':{'topic':'uw/home/client/me/reply/q','correlation':'00ff'}");
	assert_string_equal(ct_str(ct_last(&t, "house/timmy/event", id, "accepted"), "sender"), "me");
	ct_last(&t, "client/ezra-1", id, "accepted");
	ct_end_all(&t);
	turn();
	assert_int_equal(ct_count(&t, "client/me/reply/q", id, "outcome"), 1);
	assert_int_equal(ct_count(&t, "client/ezra-1", id, "outcome"), 0);
}

static void
set_clock(int64_t ms)
{
	turn();
	t.now.wall_ms = ms;
}

/* Refused, a second copy would be accepted when the clock is set back. */
static void
what_was_handed_on_too_late_is_accepted_and_expires(void **state)
{
	static const struct { const char *sender, *who, *from; } given[] = {
		{ "ezra-1", "me", ",'from':'me','reply':{'topic':'uw/home/client/me/reply/q'}" },
		{ "bezalel-1", "bezalel-1", "" },
	};
	char more[200], late[100];

	(void)state;
	set_up_timmy();
	for (int i = 0; i < 2; i++) {
		id = ct_id(i + 1);
		snprintf(late, sizeof late, ",'deadline':%lld", T0 + 1000LL);
		snprintf(more, sizeof more, "%s%s", given[i].from, late);
		set_clock(T0 + 2000);
		as_house(given[i].sender, more);
		ct_last(&t, given[i].sender, id, "accepted");
		assert_string_equal(ct_str(ct_last(&t, given[i].who, id, "outcome"), "state"), "expired");
		assert_string_equal(ct_state(&t, id), "expired");
		set_clock(T0);
		as_house(given[i].sender, more);
		assert_string_equal(ct_state(&t, id), "expired");
		assert_int_equal(t.nstarted, 0);
		assert_int_equal(ct_health(&t, "timmy", "open"), 0);
		assert_int_equal(ct_count(&t, "house/timmy/event", id, "rejected"), 0);
	}
	/* From others it is refused. */
	id = ct_id(3);
	set_clock(T0 + 2000);
	as_house("me", late);
	ct_last(&t, "client/me", id, "rejected");
}

/* A copy may be on its way from when another had the house. */
static void
what_the_router_hands_to_itself_too_late_expires_too(void **state)
{
	char text[200];

	(void)state;
	snprintf(text, sizeof text, "{'tool':'noop','id':'%s','house':'ezra','deadline':%lld}", id, T0 - 1000LL);
	ct_send(&t, "uw/home/house/_/task/bezalel-1", text, "uw/home/client/bezalel-1/reply/forward", NULL);
	turn();
	assert_string_equal(ct_str(ct_last(&t, "client/bezalel-1", id, "outcome"), "state"), "expired");
	assert_int_equal(ct_count(&t, "house/ezra/event", id, "accepted"), 1);
}

static void
a_repeat_by_the_router_keeps_address_and_correlation(void **state)
{
	static const char more[] = ",'from':'me','reply':{'topic':'uw/home/client/me/reply/q','correlation':'414243'}";

	(void)state;
	set_up_timmy();
	as_house("ezra-1", more);
	as_house("ezra-1", more);
	assert_int_equal(t.nstarted, 1);
	assert_int_equal(ct_count(&t, "client/ezra-1", id, "accepted"), 2);
	ct_end_all(&t);
	turn();
	as_house("ezra-1", more);       /* he asks again after its end */
	assert_int_equal(ct_count(&t, "client/me/reply/q", id, "outcome"), 2);
	for (size_t i = 0; i < t.nlines; i++)
		if (strstr(t.lines[i].topic, "client/me/"))
			assert_string_equal(t.lines[i].correlation, "ABC");
	assert_int_equal(ct_count(&t, "client/ezra-1", id, "outcome"), 0);
	assert_int_equal(ct_count(&t, "house/timmy/event", id, "outcome"), 1);
}

static void
correlation_data_of_any_length_survives(void **state)
{
	char data[1001], hex[2001], more[2300];

	(void)state;
	set_up_timmy();
	for (int i = 0; i < 1000; i++) {
		data[i] = (char)('a' + i % 26);
		snprintf(hex + 2 * i, 3, "%02x", (unsigned)data[i]);
	}
	data[1000] = '\0';
	snprintf(more, sizeof more, "{'tool':'noop','id':'%s','from':'me','reply':{'topic':'uw/home/client/me/reply/q','correlation':'%s'}}",
	    id, hex);
	ct_send(&t, "uw/home/house/timmy/task/ezra-1", more, NULL, NULL);
	turn();
	ct_end_all(&t);
	turn();
	ct_last(&t, "client/me/reply/q", id, "outcome");
	for (size_t i = 0; i < t.nlines; i++)
		if (strstr(t.lines[i].topic, "client/me/"))
			assert_string_equal(t.lines[i].correlation, data);
}

/* ---- for users of the host ---- */

static void
a_local_user_gets_the_outcome_of_another_house(void **state)
{
	char text[200];

	(void)state;
	snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'noop','house':'timmy','id':'%s'}}", id);
	ct_local(&t, 7, text);
	turn();
	assert_string_equal(ct_str(ct_last(&t, "local", id, "accepted"), "house"), "timmy");
	assert_string_equal(ct_str(ct_last(&t, TO_TIMMY, id, NULL), "from"), "");
	house_says("accepted", "");
	ct_pass(&t, 1000);
	turn();
	house_says("outcome", ",'state':'succeeded','result':{'a':1}");
	assert_int_equal(ct_num(ct_last(&t, "local", id, "outcome"), "result.a"), 1);
	assert_int_equal(ct_health(&t, "_", "open"), 0);
	assert_string_equal(ct_state(&t, id), "succeeded");
	house_says("outcome", ",'state':'failed','error':{'code':'tool'}");
	assert_string_equal(ct_state(&t, id), "succeeded");
}

/* timmy-1 is not the router: what names no house goes to "_" and may come back. */
static void
the_router_may_send_it_back(void **state)
{
	char text[200];

	(void)state;
	set_up_timmy();
	snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'noop','id':'%s'}}", id);
	ct_local(&t, 7, text);
	turn();
	assert_int_equal(t.nstarted, 0);
	assert_int_equal(ct_count(&t, "house/_/task/timmy-1", id, NULL), 1);
	as_house("ezra-1", ",'from':'timmy-1','reply':{'topic':'uw/home/client/timmy-1/reply/forward'}");
	assert_int_equal(t.nstarted, 1);
	ct_last(&t, "client/ezra-1", id, "accepted");
	assert_int_equal(ct_health(&t, "timmy", "open"), 1);
	ct_end_all(&t);
	turn();
	assert_string_equal(ct_str(ct_last(&t, "client/timmy-1/reply/forward", id, "outcome"), "state"), "succeeded");
	snprintf(text, sizeof text, "{'type':'outcome','id':'%s','state':'succeeded','result':1}", id);
	ct_send(&t, "uw/home/client/timmy-1/reply/forward", text, NULL, NULL);
	turn();
	assert_string_equal(ct_str(ct_last(&t, "local", id, "outcome"), "state"), "succeeded");
	assert_int_equal(ct_health(&t, "timmy", "open"), 0);
	assert_int_equal(ct_health(&t, NULL, "handed_on"), 0);
	assert_int_equal(ct_count(&t, "house/_/task/timmy-1", id, NULL), 1);
}

/* The router is this agent, and the house that it finds is its own. */
static void
who_asks_again_through_the_router_is_answered_by_its_own_house(void **state)
{
	(void)state;
	for (int i = 1; i <= 2; i++) {
		ct_taskf(&t, "_", "me", "{'tool':'noop','id':'%s','house':'ezra'}", id);
		turn();
		ct_end_all(&t);
		turn();
		assert_int_equal(ct_count(&t, "client/me", id, "outcome"), i);
	}
	assert_int_equal(t.nstarted, 1);
}

/* By its own name, as it does for its users when another agent is the router. */
static void
what_the_router_sent_itself_is_answered_like_that_of_others(void **state)
{
	(void)state;
	for (int i = 1; i <= 2; i++) {
		ct_taskf(&t, "_", "ezra-1", "{'tool':'noop','id':'%s','house':'ezra'}", id);
		turn();
		ct_end_all(&t);
		turn();
		assert_int_equal(ct_count(&t, "client/ezra-1/reply/r", id, "outcome"), i);
	}
	assert_int_equal(t.nstarted, 1);
}

/* He waits on the socket; the house has the task from him already, over the broker, or had it. */
static void
who_waits_at_the_host_is_told_of_a_task_that_the_house_had(void **state)
{
	char text[200];
	size_t n = 0;

	(void)state;
	for (int i = 1; i <= 20; i++) {
		id = ct_id(i);
		ct_taskf(&t, "ezra", "ezra-1", "{'tool':'noop','id':'%s'}", id);
		turn();
		if (i % 2)
			ct_end_all(&t);
		turn();
		snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'noop','id':'%s'}}", id);
		ct_local(&t, 4, text);
		turn();
		ct_end_all(&t);
		turn();
		assert_int_equal(ct_count(&t, "client/ezra-1/reply/r", id, "outcome"), 1);
		if (ct_count(&t, "/task/", id, NULL))
			continue;
		assert_int_equal(ct_count(&t, "local", id, "outcome"), 1);
		n++;
	}
	assert_true(n > 3);
	assert_int_equal(t.nstarted, 20);
}

static void
busy_is_no_verdict(void **state)
{
	(void)state;
	route("uw/home/client/me/reply/q", NULL);
	house_says("rejected", ",'error':{'code':'busy','message':'no room'}");
	assert_string_equal(ct_state(&t, id), "forwarded");
	turn();
	ct_pass(&t, 6000);
	ct_begin(&t);
	turn();
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 2);
	assert_int_equal(ct_count(&t, "client/me", id, "outcome"), 0);
}

/* And says when it is sent again. */
static void
a_busy_house_says_when(void **state)
{
	(void)state;
	route("uw/home/client/me/reply/q", NULL);
	house_says("rejected", ",'error':{'code':'busy','message':'no room','retry_after_s':20}");
	turn();
	for (int i = 0; i < 19; i++) {
		ct_pass(&t, 1000);
		ct_begin(&t);
		turn();
	}
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 1);
	ct_pass(&t, 1000);
	ct_begin(&t);
	turn();
	assert_int_equal(ct_count(&t, TO_TIMMY, id, NULL), 2);
}

/* A house of this same agent is asked again as if it were another's. */
static void
our_own_busy_house_is_asked_in_a_while(void **state)
{
	(void)state;
	ct_teardown(&t);
	ct_setup(&t, "limits: { queued: 3 }\n");
	ct_up(&t, false);
	for (int i = 2; i < 5; i++)
		ct_taskf(&t, "ezra", "me", "{'id':'%s','tool':'wait','params':{'ms':1}}", ct_id(i));
	turn();
	assert_int_equal(t.nrun, 3);
	ct_taskf(&t, "_", "me", "{'id':'%s','tool':'noop','house':'ezra'}", id);
	turn();
	turn();
	assert_string_equal(ct_state(&t, id), "forwarded");
	assert_true(t.next > t.now.mono_ms);
	ct_end_all(&t);
	turn();
	ct_pass(&t, 5000);
	ct_begin(&t);
	turn();
	turn();
	assert_int_equal(t.nstarted, 4);
}

static void
a_key_that_the_house_has_under_another_id_settles_it(void **state)
{
	char text[200];

	(void)state;
	route("uw/home/client/me/reply/q", NULL);
	snprintf(text, sizeof text, "{'type':'accepted','id':'%s','sent_id':'%s','duplicate':true}", ct_id(2), ct_id(1));
	ct_send(&t, "uw/home/client/ezra-1/reply/forward", text, NULL, NULL);
	turn();
	assert_int_equal(ct_health(&t, "_", "open"), 0);
}

/* It may have ended there in any way before it was forgotten. */
static void
what_the_house_forgot_is_uncertain(void **state)
{
	(void)state;
	route("uw/home/client/me/reply/q", NULL);
	house_says("rejected", ",'error':{'code':'stale','message':'forgotten'}");
	assert_string_equal(ct_state(&t, id), "uncertain");
	ct_send(&t, "uw/home/house/_/cancel/me", "{'id':'01KAV9FT000000000000000001'}", "uw/home/client/me/reply/c", NULL);
	turn();
	assert_string_equal(ct_state(&t, id), "uncertain");
}

static void
who_asks_again_for_what_the_house_forgot_is_told_so(void **state)
{
	(void)state;
	route("uw/home/client/me/reply/q", NULL);
	house_says("accepted", "");
	house_says("rejected", ",'error':{'code':'busy'}");
	assert_int_equal(ct_count(&t, "client/me/reply/q", id, "rejected"), 0);
	house_says("rejected", ",'error':{'code':'stale','message':'forgotten'}");
	assert_int_equal(ct_count(&t, "client/me/reply/q", id, "rejected"), 1);
	assert_string_equal(ct_str(ct_last(&t, "client/me/reply/q", id, "rejected"), "error.code"), "stale");
	assert_string_equal(ct_state(&t, id), "forwarded");
}

static void
without_a_link_it_waits_on_disk_and_not_in_memory(void **state)
{
	(void)state;
	ct_down(&t);
	for (int i = 0; i < 100; i++) {
		char text[200];

		snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'noop','house':'timmy','id':'%s'}}", ct_id(i));
		ct_local(&t, 7, text);
		turn();
	}
	ct_begin(&t);
	core_local_gone(t.core, 7);
	turn();
	ct_up(&t, false);
	turn();
	turn();
	assert_int_equal(ct_count(&t, TO_TIMMY, NULL, NULL), 100);
}

static size_t
submit(const char *tool, const char *more)
{
	char text[320];
	size_t before = t.nstarted;

	snprintf(text, sizeof text, "{'op':'submit','task':{'id':'%s','house':'timmy','tool':'%s'%s}}", id, tool, more);
	ct_local(&t, 7, text);
	turn();
	return t.nstarted - before;
}

static void
without_a_broker_what_does_no_harm_twice_runs_here(void **state)
{
	(void)state;
	ct_down(&t);
	ct_pass(&t, 3000);
	assert_int_equal(submit("noop", ""), 0);
	ct_pass(&t, 2000);
	id = ct_id(2);
	assert_int_equal(submit("noop", ""), 1);
	ct_end(&t, id, POOL_SUCCEEDED, "{\"n\":1}");
	turn();
	assert_string_equal(ct_str(ct_last(&t, "local", id, "outcome"), "state"), "succeeded");
	id = ct_id(3);
	assert_int_equal(submit("http_post", ",'params':{'url':'http://h/','json':1}"), 0);
	id = ct_id(4);
	assert_int_equal(submit("noop", ",'key':'k'"), 0);
	for (int i = 3; i <= 4; i++)
		assert_string_equal(ct_state(&t, ct_id(i)), "forwarded");
}

static void
nonsense_from_other_agents_is_no_matter(void **state)
{
	static const char *const odd[] = { "", "x", "{", "[]", "{'type':'accepted'}", "{'type':'accepted','id':5}",
		"{'type':5,'id':'01KAV9FT000000000000000001'}", "{'type':'outcome','id':'01KAV9FT000000000000000001'}",
		"{'type':'outcome','id':'01KAV9FT000000000000000001','state':'queued'}",
		"{'type':'outcome','id':'01KAV9FT000000000000000001','state':'forwarded'}",
		"{'type':'rejected','id':'01KAV9FT000000000000000002'}", "\n\n{'type':'x','id':'01KAV9FT000000000000000001'}\n" };
	char text[200];

	(void)state;
	snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'noop','house':'timmy','id':'%s'}}", id);
	ct_local(&t, 7, text);
	turn();
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		ct_send(&t, "uw/home/client/ezra-1/reply/forward", odd[i], NULL, NULL);
		turn();
		assert_string_equal(ct_state(&t, id), "forwarded");
	}
	house_says("outcome", ",'state':'uncertain'");
	assert_string_equal(ct_state(&t, id), "uncertain");
	assert_int_equal(ct_health(&t, "_", "open"), 0);
	house_says("outcome", ",'state':'uncertain'");
	house_says("accepted", ",'state':'uncertain'");
	house_says("rejected", ",'error':{'code':'stale'}");
	assert_string_equal(ct_state(&t, id), "uncertain");
	/* Somebody has decided. */
	house_says("outcome", ",'state':'succeeded','result':1");
	assert_string_equal(ct_state(&t, id), "succeeded");
	assert_int_equal(ct_count(&t, "local", id, "outcome"), 2);
	assert_int_equal(ct_health(&t, "_", "open"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_router_hands_on_with_sender_and_reply_address, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_sent_again_until_the_house_says_accepted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_another_house_has_is_not_open_here, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_the_outcome, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_after_acceptance_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(outcomes_of_others_are_not_the_routers, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sender_who_asks_again_is_answered_by_the_house, setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_for_a_house_of_its_own_goes_nowhere, setup, teardown),
		cmocka_unit_test_setup_teardown(the_router_decides_where_nobody_said, setup, teardown),
		cmocka_unit_test_setup_teardown(a_house_that_does_not_exist_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(from_is_believed_of_the_router_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_handed_on_too_late_is_accepted_and_expires, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_router_hands_to_itself_too_late_expires_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_repeat_by_the_router_keeps_address_and_correlation, setup, teardown),
		cmocka_unit_test_setup_teardown(correlation_data_of_any_length_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(a_local_user_gets_the_outcome_of_another_house, setup, teardown),
		cmocka_unit_test_setup_teardown(the_router_may_send_it_back, setup, teardown),
		cmocka_unit_test_setup_teardown(who_asks_again_through_the_router_is_answered_by_its_own_house, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_router_sent_itself_is_answered_like_that_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_at_the_host_is_told_of_a_task_that_the_house_had, setup, teardown),
		cmocka_unit_test_setup_teardown(busy_is_no_verdict, setup, teardown),
		cmocka_unit_test_setup_teardown(a_busy_house_says_when, setup, teardown),
		cmocka_unit_test_setup_teardown(our_own_busy_house_is_asked_in_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_that_the_house_has_under_another_id_settles_it, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_house_forgot_is_uncertain, setup, teardown),
		cmocka_unit_test_setup_teardown(who_asks_again_for_what_the_house_forgot_is_told_so, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_link_it_waits_on_disk_and_not_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_broker_what_does_no_harm_twice_runs_here, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_from_other_agents_is_no_matter, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
