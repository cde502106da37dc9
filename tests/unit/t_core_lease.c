/* Who owns a house: claims, taking over, stepping down, handing over. */
#include "coretest.h"

#include "state.h"

#define CLAIMS "house/ezra/claim"
#define FORGED_CLAIM "{'house':'ezra','term':'%s','boot':'x','base':{'term':'0','seq':0},'unclean':false}"

static struct net net;

static int
setup(void **state)
{
	(void)state;
	net_setup(&net, 3, NULL, NULL);
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

static void
forge_claim(const char *agent, const char *term)
{
	char topic[TOPIC_MAX], text[200];

	topic_format(topic, "home", TOPIC_CLAIM, "ezra", agent);
	snprintf(text, sizeof text, FORGED_CLAIM, term);
	net_publish(&net, topic, text, NULL);
}

/* ---- claims ---- */

static void
the_first_candidate_claims_at_the_first_start(void **state)
{
	(void)state;
	assert_in_range(net_wait_owner(&net, 0, 2000), 200, 1000);
	net_run(&net, 10000);
	assert_int_equal(net_owner(&net), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(net_house(&net, i)->term.n, 1);
}

static void
a_claim_waits_until_it_came_back_and_settled(void **state)
{
	int64_t ms = 0;

	(void)state;
	while (!ct_count(node(0), CLAIMS, NULL, NULL))
		net_run(&net, NET_STEP_MS);
	for (; net_owner(&net) < 0; ms += NET_STEP_MS)
		net_run(&net, NET_STEP_MS);
	assert_in_range(ms, 200, 350);
}

static void
while_a_claim_settles_a_higher_one_wins(void **state)
{
	(void)state;
	while (!ct_count(node(0), CLAIMS, NULL, NULL))
		net_run(&net, NET_STEP_MS);
	forge_claim("timmy-1", "1.timmy-1.abc");
	net_run(&net, 100);
	assert_int_equal(net_house(&net, 0)->lease, LEASE_NONE);
	assert_string_equal(net_house(&net, 0)->term.agent, "timmy-1");
	/* It was not his: so nobody has it, and nobody knows what came of it. */
	assert_in_range(net_wait_owner(&net, 1, 15000), 10000, 12000);
	assert_true(net_house(&net, 0)->term.n > 1);
}

static void
while_a_claim_settles_a_lower_one_is_nothing(void **state)
{
	(void)state;
	while (!ct_count(node(0), CLAIMS, NULL, NULL))
		net_run(&net, NET_STEP_MS);
	forge_claim("bezalel-1", "1.bezalel-1.abc");
	assert_true(net_wait_owner(&net, 0, 400) >= 0);
	assert_int_equal(net_house(&net, 0)->term.n, 1);
}

static void
a_higher_claim_takes_the_house_from_its_owner(void **state)
{
	(void)state;
	net_begin(&net);
	forge_claim("timmy-1", "2.timmy-1.abc");
	net_run(&net, 100);
	assert_int_equal(net_owner(&net), -1);
}

static void
claims_of_others_and_of_nonsense_are_nothing(void **state)
{
	static const char *const claims[][2] = {
		{ "allegro-1", "2.allegro-1.abc" },     /* no candidate */
		{ "bezalel-1", "2.bezalel-1.abc" },     /* not of this house */
		{ "timmy-1", "1002.timmy-1.abc" },      /* too far */
		{ "timmy-1", "2.ezra-1.abc" },          /* another's */
		{ "timmy-1", "0.timmy-1.abc" },
		{ "timmy-1", "-5.timmy-1.abc" },
		{ "timmy-1", "2.timmy-1" },
		{ "timmy-1", "" },
	};

	(void)state;
	net_teardown(&net);
	net_setup(&net, 2, NULL, NULL);
	net_begin(&net);
	for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
		forge_claim(claims[i][0], claims[i][1]);
	net_publish(&net, "uw/home/house/ezra/claim/timmy-1", "no JSON", NULL);
	net_publish(&net, "uw/home/house/ezra/claim/timmy-1", "", NULL);
	net_run(&net, 1000);
	assert_int_equal(net_owner(&net), 0);
	assert_int_equal(net_house(&net, 0)->term.n, 1);
	assert_int_equal(net_house(&net, 1)->term.n, 1);
}

static void
who_comes_later_follows_and_does_not_claim(void **state)
{
	(void)state;
	net_begin(&net);
	net_kill(&net, 2);
	net_run(&net, 20000);
	net_start(&net, 2);
	assert_true(net_wait_in_step(&net, 2, 6000) >= 0);
	assert_int_equal(net_owner(&net), 0);
	assert_int_equal(net_house(&net, 0)->term.n, 1);
}

/* It may be of yesterday. */
static void
what_is_retained_is_no_sign_of_life(void **state)
{
	(void)state;
	net_begin(&net);
	net_run(&net, 10000);
	net_kill(&net, 1);
	net.node[0].frozen = true;
	net_start(&net, 1);
	net_run(&net, 500);
	assert_false(peer_is_alive(node(1)->core, peer_find(node(1)->core, "ezra-1"), 5000));
	net.node[0].frozen = false;
	net_run(&net, 1000);
	assert_true(peer_is_alive(node(1)->core, peer_find(node(1)->core, "ezra-1"), 5000));
}

/* ---- taking over ---- */

static void
the_second_takes_over_at_once_when_the_owner_is_offline(void **state)
{
	(void)state;
	net_begin(&net);
	net_kill(&net, 0);
	assert_in_range(net_wait_owner(&net, 1, 3000), 150, 800);
	assert_int_equal(net_house(&net, 1)->term.n, 2);
	assert_false(net_house(&net, 1)->unclean);
	assert_true(net_wait_in_step(&net, 2, 3000) >= 0);
}

static void
the_third_takes_over_when_two_are_offline(void **state)
{
	(void)state;
	net_begin(&net);
	net_kill(&net, 1);
	net_kill(&net, 0);
	assert_in_range(net_wait_owner(&net, 2, 3000), 300, 1000);
	assert_false(net_house(&net, 2)->unclean);
}

static void
the_second_takes_over_when_the_owner_is_silent_for_5_s(void **state)
{
	(void)state;
	net_begin(&net);
	net.node[0].frozen = true;
	assert_in_range(net_wait_owner(&net, 1, 10000), 4000, 6500);
	assert_false(net_house(&net, 1)->unclean);
	/* Waking up it does nothing more for the house, and hands its own user's task to who owns it now. */
	net.node[0].frozen = false;
	ct_local(node(0), 5, "{'op':'submit','task':{'tool':'noop','house':'ezra'}}");
	net_run(&net, 500);
	assert_int_equal(net_owner(&net), 1);
	assert_int_equal(ct_count(node(0), "house/ezra/event/ezra-1", NULL, "accepted"), 0);
	assert_int_equal(ct_count(node(1), "house/ezra/event/timmy-1", NULL, "accepted"), 1);
	assert_true(net_wait_in_step(&net, 0, 6000) >= 0);
}

/* It is not the moment at which it looks at the clock again. */
static void
whoever_oversleeps_its_lease_left_when_that_ended(void **state)
{
	(void)state;
	net_begin(&net);
	net.node[0].frozen = true;
	net_run(&net, 20000);
	net.node[0].frozen = false;
	net_run(&net, 100);
	assert_false(net_house(&net, 0)->owned);
	assert_true(net_house(&net, 0)->left_ms < node(0)->core->now.mono_ms - 10000);
}

static void
an_owner_whose_pulse_does_not_come_back_for_4_s_steps_down(void **state)
{
	(void)state;
	net_begin(&net);
	net.node[0].cut = true;
	net_run(&net, 2900);
	assert_int_equal(net_owner(&net), 0);
	net_run(&net, 1200);
	assert_int_equal(net_owner(&net), -1);
	assert_in_range(net_wait_owner(&net, 1, 10000), 500, 3000);
}

static void
nothing_is_started_on_the_last_second_of_a_lease(void **state)
{
	(void)state;
	net_begin(&net);
	while (node(0)->now.mono_ms - node(0)->core->pulse_ms > 2 * NET_STEP_MS)
		net_run(&net, NET_STEP_MS);
	net.node[0].cut = true;
	net_run(&net, 1500);
	ct_local(node(0), 5, "{'op':'submit','task':{'tool':'noop','house':'ezra'}}");
	net_run(&net, 100);
	assert_int_equal(node(0)->nstarted, 1);
	net_run(&net, 1600);
	assert_true(net_house(&net, 0)->owned);
	ct_local(node(0), 6, "{'op':'submit','task':{'tool':'noop','house':'ezra'}}");
	net_run(&net, 100);
	assert_true(net_house(&net, 0)->owned);
	assert_int_equal(net_house(&net, 0)->queued, 1);
	net_run(&net, 1000);
	assert_int_equal(node(0)->nstarted, 1);
}

static void
without_its_broker_the_owner_steps_down_at_once(void **state)
{
	(void)state;
	net_begin(&net);
	net_down(&net, 0);
	assert_int_equal(net_owner(&net), -1);
	assert_true(net_wait_owner(&net, 1, 1000) >= 0);
}

static void
all_come_back_to_the_broker_and_the_owner_is_who_it_was(void **state)
{
	(void)state;
	net_begin(&net);
	for (int i = 0; i < 3; i++)
		net_down(&net, i);
	net_run(&net, 1000);
	for (int i = 0; i < 3; i++)
		net_up(&net, i);
	assert_in_range(net_wait_owner(&net, 0, 5000), 0, 2500);
	assert_false(net_house(&net, 0)->unclean);
}

/* ---- taking over without being in step ---- */

static bool
loses_stream(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)payload;
	return to != 0 && (strstr(topic, "house/ezra/event/ezra-1") || strstr(topic, "/work/ezra-1"));
}

/* The followers know of what is queued now, and of nothing that comes after. */
static void
fall_out_of_step(void)
{
	static const char *const tools[] = { "exclusive_tool", "idempotent_tool", "read_tool" };

	for (int i = 0; i < 3; i++)
		node(i)->idle = node(i)->quick = 0;
	for (int i = 0; i < 3; i++)
		net_task(&net, "me", "{'tool':'%s','id':'%s'}", tools[i], ct_id(i));
	net_run(&net, 1000);
	net.loses = loses_stream;
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(10));
	net_run(&net, 7000);
	assert_int_equal(copies_count(net_house(&net, 0)), 1);
}

static void
who_is_not_in_step_takes_over_after_10_s_and_says_so(void **state)
{
	(void)state;
	net_begin(&net);
	fall_out_of_step();
	net_kill(&net, 0);
	assert_in_range(net_wait_owner(&net, 1, 20000), 10000, 11500);
	assert_true(net_house(&net, 1)->unclean);
	net_run(&net, 3000);
	assert_int_equal(ct_count(node(1), "timmy-1/alert/unclean-takeover", NULL, NULL), 1);
	assert_int_equal(net_count(&net, "/alert/unclean-takeover", NULL, NULL), 1);
	assert_string_equal(ct_state(node(1), ct_id(0)), "uncertain");
	assert_string_equal(ct_state(node(1), ct_id(1)), "queued");
	assert_string_equal(ct_state(node(1), ct_id(2)), "queued");
	assert_string_equal(ct_str(ct_last(node(1), "client/me", ct_id(0), "outcome"), "state"), "uncertain");
}

static void
who_was_in_step_before_it_was_away_takes_over_after_3_s(void **state)
{
	(void)state;
	net_begin(&net);
	net_kill(&net, 2);
	net_down(&net, 1);
	net_kill(&net, 0);
	net_run(&net, 10000);
	net_up(&net, 1);
	assert_in_range(net_wait_owner(&net, 1, 20000), 3000, 6500);
	assert_true(net_house(&net, 1)->unclean);
}

static void
goes_away(int i, bool left)
{
	if (left)
		node(i)->core->next_broker = 0;
	net_down(&net, i);
}

/* When a broker falls silent, its owner is not the owner any more before it goes on without its followers; without
 * those who leave it by themselves it goes on at once. */
static void
who_left_the_broker_by_itself_does_not_know_what_the_owner_did_then(void **state)
{
	(void)state;
	for (int left = 0; left < 2; left++) {
		net_teardown(&net);
		setup(NULL);
		net_begin(&net);
		for (int i = 0; i < 3; i++)
			node(i)->config.nbrokers = 2;
		net_run(&net, 1000);
		goes_away(1, left);
		goes_away(2, left);
		net_kill(&net, 0);
		net_up(&net, 1);
		net_up(&net, 2);
		assert_in_range(net_wait_owner(&net, 1, 15000), left ? 3000 : 7000, left ? 6500 : 10000);
		assert_int_equal(net_house(&net, 1)->unclean, left);
	}
}

static bool
loses_what_node_2_follows(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	return to == 2 && (strstr(topic, "house/ezra/event") || (strstr(topic, "/work/") && strstr(payload, "\"ezra\"")));
}

/* That the others had all lost a broker some time ago says nothing of the one that we have lost now. */
static void
who_was_away_alone_does_not_know_what_the_owner_did_then(void **state)
{
	(void)state;
	net_begin(&net);
	for (int i = 0; i < 3; i++)
		node(i)->config.nbrokers = 2;
	net_run(&net, 1000);
	for (int i = 0; i < 3; i++)
		net_down(&net, i);
	for (int i = 0; i < 3; i++)
		net_up(&net, i);
	assert_true(net_wait_owner(&net, 0, 15000) >= 0);
	assert_true(net_wait_in_step(&net, 1, 5000) >= 0);
	net_run(&net, 6000);
	net.loses = loses_what_node_2_follows;
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	net_run(&net, 6000);
	net_down(&net, 1);
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(2));
	net_run(&net, 1000);
	net_kill(&net, 0);
	net_up(&net, 1);
	assert_true(net_wait_owner(&net, 1, 20000) >= 0);
	assert_true(net_house(&net, 1)->unclean);
}

/* Those who are only supposed to follow a new term have not told yet what they had alone. */
static void
doubt_ends_when_all_follow_and_not_before(void **state)
{
	struct house *h;

	(void)state;
	net_begin(&net);
	assert_true(net_wait_in_step(&net, 1, 5000) >= 0);
	assert_true(net_wait_in_step(&net, 2, 5000) >= 0);
	h = net_house(&net, 0);
	h->doubt_ms = 1;
	h->held_ms = node(0)->core->now.mono_ms;
	for (int i = 0; i < h->ncopies; i++)
		h->copies[i].term = (struct term){ 0 };
	copies_check(node(0)->core, h);
	assert_int_equal(copies_count(h), 3);
	assert_int_equal(h->doubt_ms, 1);
	for (int i = 0; i < h->ncopies; i++)
		h->copies[i].term = h->term;
	copies_check(node(0)->core, h);
	assert_int_equal(h->doubt_ms, 0);
}

static void
what_an_owner_told_is_not_believed_by_who_does_not_follow_him(void **state)
{
	(void)state;
	net_begin(&net);
	net_run(&net, 3000);
	net.loses = loses_what_node_2_follows;
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 5000) >= 0);
	for (int i = 0; i < 5; i++)
		net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(i));
	net_run(&net, 10000);
	assert_true(net_house(&net, 1)->told > net_house(&net, 2)->head);
	assert_string_equal(net_house(&net, 2)->term.agent, net_house(&net, 1)->term.agent);
	assert_true(net_house(&net, 2)->heard_told <= net_house(&net, 2)->head);
}

/* Those who are supposed to follow a new term, and have not said that they do, lower nothing. */
static void
what_was_told_stays_told(void **state)
{
	struct house *h;
	int64_t told;

	(void)state;
	net_begin(&net);
	assert_true(net_wait_in_step(&net, 1, 5000) >= 0);
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	net_run(&net, 1000);
	h = net_house(&net, 0);
	told = h->told = h->head - 1;
	h->held_ms = node(0)->core->now.mono_ms;
	for (int i = 0; i < h->ncopies; i++)
		h->copies[i].term = (struct term){ 0 };
	copies_check(node(0)->core, h);
	assert_true(told > 0);
	assert_int_equal(h->told, told);
}

static bool
loses_beats_of_the_owner(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)payload;
	return to == 1 && strstr(topic, "agent/ezra-1/health");
}

/* He may have gone on without waiting for us. */
static void
in_step_with_an_owner_is_not_in_step_with_his_next_term(void **state)
{
	(void)state;
	net_begin(&net);
	net_kill(&net, 2);
	assert_true(net_wait_in_step(&net, 1, 5000) >= 0);
	net.loses = loses_beats_of_the_owner;
	net_down(&net, 0);
	net_up(&net, 0);
	assert_true(net_wait_owner(&net, 0, 5000) >= 0);
	assert_true(net_house(&net, 1)->live);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 20000) >= 0);
	assert_true(net_house(&net, 1)->unclean);
}

/* ---- handing over ---- */

static void
move_to(const char *agent)
{
	char text[100];

	snprintf(text, sizeof text, "{'op':'move','house':'ezra','to':'%s'}", agent);
	ct_local(node(0), 7, text);
}

static void
a_house_is_moved_at_once_and_stays_there(void **state)
{
	(void)state;
	net_begin(&net);
	move_to("bezalel-1");
	assert_in_range(net_wait_owner(&net, 2, 3000), 0, 500);
	assert_false(net_house(&net, 2)->unclean);
	net_run(&net, 200);
	assert_string_equal(ct_str(ct_last(node(0), "local", NULL, "moved"), "owner"), "bezalel-1");
	assert_int_equal(net_house(&net, 2)->term.n, 2);
	net_run(&net, 90000);
	assert_int_equal(net_owner(&net), 2);
}

static void
a_house_is_moved_only_to_who_can_have_it(void **state)
{
	static const struct { const char *to, *code; } moves[] = {
		{ "ezra-1", "state" }, { "nobody", "invalid" }, { "timmy-1", "state" },
	};

	(void)state;
	net_begin(&net);
	net_kill(&net, 1);
	net_run(&net, 500);
	for (int i = 0; i < 3; i++) {
		move_to(moves[i].to);
		net_run(&net, 100);
		assert_string_equal(ct_str(ct_last(node(0), "local", NULL, "error"), "error.code"), moves[i].code);
	}
	net_query(&net, "query", "{'move':{'to':'bezalel-1'}}");
	net_run(&net, 1000);
	assert_string_equal(ct_str(ct_last(node(0), "client/me/reply/q", NULL, "error"), "error.code"), "denied");
	assert_int_equal(net_owner(&net), 0);
	assert_int_equal(net_house(&net, 0)->term.n, 1);
}

static bool
loses_take(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)to;
	(void)topic;
	return strstr(payload, "\"op\":\"take\"");
}

static void
an_heir_that_does_not_claim_leaves_the_house_where_it_is(void **state)
{
	(void)state;
	net_begin(&net);
	net.loses = loses_take;
	move_to("timmy-1");
	net_run(&net, 1000);
	/* Meanwhile nobody answers; then he does who answered before. */
	net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(1));
	net_run(&net, 1000);
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "accepted"), 0);
	net_run(&net, 1500);
	assert_string_equal(ct_str(ct_last(node(0), "local", NULL, "error"), "error.code"), "timeout");
	assert_int_equal(net_owner(&net), 0);
	assert_int_equal(ct_count(node(0), "client/me", ct_id(1), "accepted"), 1);
	assert_int_equal(net_started(&net), 1);
}

static void
tasks_sent_during_a_move_are_answered_once(void **state)
{
	(void)state;
	net_begin(&net);
	for (int i = 0; i < 40; i++) {
		if (i == 10)
			move_to("timmy-1");
		net_task(&net, "me", "{'tool':'noop','id':'%s'}", ct_id(i));
		net_run(&net, NET_STEP_MS);
		for (int k = 0; k < 3; k++)
			ct_end_all(node(k));
	}
	net_run(&net, 1000);
	assert_int_equal(net_owner(&net), 1);
	for (int k = 0; k < 3; k++)
		ct_end_all(node(k));
	net_run(&net, 1000);
	for (int i = 0; i < 40; i++) {
		assert_true(net_count(&net, "client/me", ct_id(i), "outcome") >= 1);
		assert_string_equal(ct_state(node(1), ct_id(i)), "succeeded");
	}
	assert_int_equal(net_started(&net), 40);
}

static void
who_stops_hands_over_first(void **state)
{
	(void)state;
	net_begin(&net);
	ct_begin(node(0));
	core_drain(node(0)->core);
	assert_false(core_is_drained(node(0)->core));
	assert_in_range(net_wait_owner(&net, 1, 3000), 0, 500);
	assert_false(net_house(&net, 1)->unclean);
	net_run(&net, 100);
	assert_true(core_is_drained(node(0)->core));
	net_kill(&net, 0);
	net_run(&net, 5000);
	assert_int_equal(net_owner(&net), 1);
	assert_int_equal(net_house(&net, 1)->term.n, 2);
}

static void
lacks(int i, const char *what)
{
	ct_begin(node(i));
	core_house_lacks(node(i)->core, "ezra", what);
}

static void
a_house_goes_to_who_has_what_it_needs(void **state)
{
	(void)state;
	net_begin(&net);
	assert_true(net_wait_in_step(&net, 1, 5000) >= 0);
	assert_true(net_wait_in_step(&net, 2, 5000) >= 0);
	lacks(0, "https://git.example.org");
	lacks(1, "https://git.example.org");
	assert_in_range(net_wait_owner(&net, 2, 15000), 6000, 8000);
	assert_false(net_house(&net, 2)->unclean);
	net_run(&net, 90000);
	assert_int_equal(net_owner(&net), 2);
	lacks(0, NULL);
	assert_in_range(net_wait_owner(&net, 0, 60000), 0, 30000);
	net_run(&net, 90000);
	assert_int_equal(net_owner(&net), 0);
}

static void
what_all_lack_moves_nothing(void **state)
{
	(void)state;
	net_begin(&net);
	for (int i = 0; i < 3; i++)
		lacks(i, "https://git.example.org");
	net_run(&net, 90000);
	assert_int_equal(net_owner(&net), 0);
	assert_int_equal(net_house(&net, 0)->term.n, 1);
}

static void
who_lacks_something_claims_after_the_others(void **state)
{
	(void)state;
	net_begin(&net);
	net_run(&net, 15000);
	lacks(1, "https://git.example.org");
	net_run(&net, 3000);
	net_kill(&net, 0);
	assert_in_range(net_wait_owner(&net, 2, 5000), 0, 1500);
	net_kill(&net, 2);
	/* But before nobody has it. */
	assert_in_range(net_wait_owner(&net, 1, 15000), 0, 12000);
}

static void
who_is_alone_stops_without_an_heir(void **state)
{
	(void)state;
	net_begin(&net);
	net_kill(&net, 1);
	net_kill(&net, 2);
	net_run(&net, 500);
	ct_begin(node(0));
	core_drain(node(0)->core);
	net_run(&net, 100);
	assert_true(core_is_drained(node(0)->core));
}

static void
the_house_goes_back_to_the_first_candidate_10_s_after_it_is_in_step(void **state)
{
	int64_t ms;

	(void)state;
	net_begin(&net);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 3000) >= 0);
	net_run(&net, 15000);
	net_start(&net, 0);
	assert_true(net_wait_in_step(&net, 0, 6000) >= 0);
	ms = net_wait_owner(&net, 0, 20000);
	assert_in_range(ms, 8500, 10600);
	assert_int_equal(net_house(&net, 0)->term.n, 3);
	/* Once more, and this one has given it away less than a minute ago. */
	assert_true(net_wait_in_step(&net, 1, 6000) >= 0);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 3000) >= 0);
	net_start(&net, 0);
	assert_true(net_wait_in_step(&net, 0, 6000) >= 0);
	assert_in_range(net_wait_owner(&net, 0, 70000), 40000, 60500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_candidate_claims_at_the_first_start, setup, teardown),
		cmocka_unit_test_setup_teardown(a_claim_waits_until_it_came_back_and_settled, setup, teardown),
		cmocka_unit_test_setup_teardown(while_a_claim_settles_a_higher_one_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(while_a_claim_settles_a_lower_one_is_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_higher_claim_takes_the_house_from_its_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(claims_of_others_and_of_nonsense_are_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(who_comes_later_follows_and_does_not_claim, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_retained_is_no_sign_of_life, setup, teardown),
		cmocka_unit_test_setup_teardown(the_second_takes_over_at_once_when_the_owner_is_offline, setup, teardown),
		cmocka_unit_test_setup_teardown(the_third_takes_over_when_two_are_offline, setup, teardown),
		cmocka_unit_test_setup_teardown(the_second_takes_over_when_the_owner_is_silent_for_5_s, setup, teardown),
		cmocka_unit_test_setup_teardown(whoever_oversleeps_its_lease_left_when_that_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(an_owner_whose_pulse_does_not_come_back_for_4_s_steps_down, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_started_on_the_last_second_of_a_lease, setup, teardown),
		cmocka_unit_test_setup_teardown(without_its_broker_the_owner_steps_down_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(all_come_back_to_the_broker_and_the_owner_is_who_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_not_in_step_takes_over_after_10_s_and_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(who_was_in_step_before_it_was_away_takes_over_after_3_s, setup, teardown),
		cmocka_unit_test_setup_teardown(who_left_the_broker_by_itself_does_not_know_what_the_owner_did_then, setup, teardown),
		cmocka_unit_test_setup_teardown(who_was_away_alone_does_not_know_what_the_owner_did_then, setup, teardown),
		cmocka_unit_test_setup_teardown(doubt_ends_when_all_follow_and_not_before, setup, teardown),
		cmocka_unit_test_setup_teardown(what_an_owner_told_is_not_believed_by_who_does_not_follow_him, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_told_stays_told, setup, teardown),
		cmocka_unit_test_setup_teardown(in_step_with_an_owner_is_not_in_step_with_his_next_term, setup, teardown),
		cmocka_unit_test_setup_teardown(a_house_is_moved_at_once_and_stays_there, setup, teardown),
		cmocka_unit_test_setup_teardown(a_house_is_moved_only_to_who_can_have_it, setup, teardown),
		cmocka_unit_test_setup_teardown(an_heir_that_does_not_claim_leaves_the_house_where_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(tasks_sent_during_a_move_are_answered_once, setup, teardown),
		cmocka_unit_test_setup_teardown(who_stops_hands_over_first, setup, teardown),
		cmocka_unit_test_setup_teardown(a_house_goes_to_who_has_what_it_needs, setup, teardown),
		cmocka_unit_test_setup_teardown(what_all_lack_moves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(who_lacks_something_claims_after_the_others, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_alone_stops_without_an_heir, setup, teardown),
		cmocka_unit_test_setup_teardown(the_house_goes_back_to_the_first_candidate_10_s_after_it_is_in_step, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
