/* Followers have what the owner has: events, rows, and what waits until they do. */
#include "coretest.h"

#include <sqlite3.h>

#include "state.h"

#define ROWS "SELECT id, state, attempt, version, body, reply, outcome FROM tasks WHERE house = 'ezra' ORDER BY seq"

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

static void
end_all(void)
{
	for (int i = 0; i < net.n; i++)
		if (!net.node[i].dead)
			ct_end_all(node(i));
}

static void
task(int n, const char *tool)
{
	net_task(&net, "me", "{'tool':'%s','id':'%s'}", tool, ct_id(n));
}

static void
no_slots(void)
{
	for (int i = 0; i < net.n; i++)
		node(i)->idle = node(i)->quick = 0;
}

static sqlite3_stmt *
rows_of(int i)
{
	sqlite3_stmt *s;

	assert_int_equal(sqlite3_prepare_v2(node(i)->core->db.h, ROWS, -1, &s, NULL), SQLITE_OK);
	return s;
}

static bool
same_column(sqlite3_stmt *a, sqlite3_stmt *b, int i)
{
	int n = sqlite3_column_bytes(a, i);

	return n == sqlite3_column_bytes(b, i) && (n == 0 || memcmp(sqlite3_column_blob(a, i), sqlite3_column_blob(b, i), (size_t)n) == 0);
}

/* In the same order. */
static void
assert_same_rows(int i, int k)
{
	sqlite3_stmt *a = rows_of(i), *b = rows_of(k);
	int n = 0, rc;

	for (; (rc = sqlite3_step(a)) == SQLITE_ROW; n++) {
		assert_int_equal(sqlite3_step(b), SQLITE_ROW);
		for (int column = 0; column < sqlite3_column_count(a); column++)
			if (!same_column(a, b, column))
				fail_msg("row %d, column %s: %s and %s", n, sqlite3_column_name(a, column),
				    sqlite3_column_text(a, column), sqlite3_column_text(b, column));
	}
	assert_int_equal(rc, SQLITE_DONE);
	assert_int_equal(sqlite3_step(b), SQLITE_DONE);
	sqlite3_finalize(a);
	sqlite3_finalize(b);
}

/* ---- following ---- */

static void
a_follower_applies_each_event_and_says_what_it_has(void **state)
{
	(void)state;
	task(1, "noop");
	task(2, "exclusive_tool");
	net_task(&net, "me", "{'tool':'noop','id':'%s','not_before':%lld}", ct_id(3), T0 + 3600000LL);
	net_run(&net, 2000);
	for (int i = 1; i < 3; i++) {
		assert_string_equal(ct_state(node(i), ct_id(1)), "running");
		assert_string_equal(ct_state(node(i), ct_id(3)), "scheduled");
	}
	end_all();
	net_run(&net, 1000);
	assert_string_equal(ct_state(node(2), ct_id(2)), "succeeded");
	for (int i = 1; i < 3; i++) {
		assert_int_equal(net_house(&net, i)->head, net_house(&net, 0)->head);
		assert_int_equal(ct_num(ct_last(node(i), "/have/ezra", NULL, NULL), "have"), net_house(&net, 0)->head);
		assert_same_rows(0, i);
	}
	/* Only the owner acts. */
	assert_int_equal(net_started(&net), 2);
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "outcome"), 1);
}

/* He may have written them while he thought that he was the owner. */
static void
events_of_a_former_term_are_not_followed(void **state)
{
	char former[TERM_TEXT], text[400];

	(void)state;
	term_format(&net_house(&net, 0)->term, former);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	assert_true(net_wait_in_step(&net, 2, 3000) >= 0);
	snprintf(text, sizeof text, "{'type':'accepted','seq':%lld,'term':'%s','id':'%s','sender':'me','task':{'tool':'noop'}}",
	    (long long)net_house(&net, 2)->head + 1, former, ct_id(1));
	net_publish(&net, "uw/home/house/ezra/event/ezra-1", text, NULL);
	net_run(&net, 500);
	assert_string_equal(ct_state(node(2), ct_id(1)), "");
	task(2, "noop");
	net_run(&net, 1000);
	assert_same_rows(1, 2);
}

static const cJSON *
outcome_of(int n)
{
	const cJSON *v = NULL;

	for (int i = 0; i < net.n; i++)
		if (ct_count(node(i), "client/me", ct_id(n), "outcome"))
			v = ct_last(node(i), "client/me", ct_id(n), "outcome");
	assert_non_null(v);
	return v;
}

/* All that it needs is in the events. */
static void
a_new_owner_goes_on_with_what_was_accepted(void **state)
{
	(void)state;
	no_slots();
	net_task(&net, "me", "{'tool':'read_tool','id':'%s','key':'k','params':{'n':8},'priority':7,'retry':{'max':2},"
	    "'reply':{'topic':'uw/home/client/me/reply/r','correlation':'414243'}}", ct_id(1));
	net_task(&net, "me", "{'tool':'noop','id':'%s','not_before':%lld}", ct_id(2), T0 + 30000LL);
	net_task(&net, "me", "{'tool':'noop','id':'%s','deadline':%lld}", ct_id(3), T0 + 20000LL);
	net_run(&net, 500);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	/* The same key again is the same task. */
	net_task(&net, "me", "{'tool':'read_tool','key':'k','params':{'n':8},'priority':7,'retry':{'max':2}}");
	net_run(&net, 500);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(ct_last(node(1), "client/me", ct_id(1), "accepted"), "duplicate")));
	net_run(&net, 20000);
	assert_string_equal(ct_str(outcome_of(3), "state"), "expired");
	node(1)->idle = 4;
	node(1)->quick = 64;
	net_run(&net, 200);
	assert_string_equal(ct_running(node(1), ct_id(1))->params, "{\"n\":8}");
	ct_end(node(1), ct_id(1), POOL_FAILED, NULL);
	net_run(&net, 40000);
	/* A second attempt; and what was to begin later. */
	assert_non_null(ct_running(node(1), ct_id(1)));
	assert_non_null(ct_running(node(1), ct_id(2)));
	end_all();
	net_run(&net, 500);
	assert_string_equal(ct_str(outcome_of(1), "state"), "succeeded");
	assert_int_equal(ct_num(outcome_of(1), "attempt"), 2);
	assert_string_equal(ct_str(outcome_of(2), "state"), "succeeded");
}

static int lost;

static bool
loses_one_event(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	return to == 1 && strstr(topic, "house/ezra/event/") && strstr(payload, ct_id(1)) && lost++ == 0;
}

static void
who_missed_an_event_asks_for_what_changed(void **state)
{
	(void)state;
	lost = 0;
	net.loses = loses_one_event;
	task(1, "noop");
	net_run(&net, 500);
	assert_int_equal(lost, 1);
	task(2, "noop");
	end_all();
	net_run(&net, 200);
	assert_int_equal(ct_count(node(1), "agent/ezra-1/work/timmy-1", NULL, NULL) > 0, 1);
	net_run(&net, 3000);
	assert_true(net_wait_in_step(&net, 1, 5000) >= 0);
	assert_same_rows(0, 1);
}

/* Nothing comes after what was lost; the owner's heartbeat shows it. */
static void
who_missed_the_last_event_notices_too(void **state)
{
	(void)state;
	no_slots();
	lost = 0;
	net.loses = loses_one_event;
	task(1, "noop");
	net_run(&net, 1000);
	assert_int_equal(lost, 1);
	assert_string_equal(ct_state(node(1), ct_id(1)), "");
	net_run(&net, 6000);
	assert_string_equal(ct_state(node(1), ct_id(1)), "queued");
	assert_same_rows(0, 1);
}

static void
a_new_disk_gets_all_rows_in_their_order(void **state)
{
	(void)state;
	no_slots();
	net_kill(&net, 2);
	net_lose_disk(&net, 2);
	for (int i = 0; i < 700; i++)
		net_task(&net, i % 2 ? "me" : "you", "{'tool':'noop','id':'%s','priority':%d}", ct_id(i), i % 5);
	net_run(&net, 500);
	node(0)->quick = 64;
	net_run(&net, 500);
	net_start(&net, 2);
	node(2)->idle = node(2)->quick = 0;
	assert_true(net_wait_in_step(&net, 2, 6000) >= 0);
	assert_int_equal(ct_sql(node(2), "SELECT count(*) FROM tasks WHERE house = 'ezra'"), 700);
	assert_same_rows(0, 2);
	/* And it is an owner like any other. */
	net_kill(&net, 1);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 2, 2000) >= 0);
	assert_int_equal(net_house(&net, 2)->open, 700);
}

static void
rows_that_change_while_they_are_copied_are_not_missed(void **state)
{
	(void)state;
	net_kill(&net, 2);
	net_lose_disk(&net, 2);
	for (int i = 0; i < 600; i++)
		task(i, "noop");
	net_run(&net, 500);
	net_start(&net, 2);
	for (int i = 0; i < 60; i++) {
		end_all();
		net_run(&net, NET_STEP_MS);
	}
	assert_true(net_wait_in_step(&net, 2, 6000) >= 0);
	net_run(&net, 1000);
	assert_int_equal(ct_sql(node(0), "SELECT count(*) FROM tasks WHERE state = 9"), 600);
	assert_same_rows(0, 2);
}

/* ---- what only a former owner knows ---- */

static bool
loses_owners_words(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)payload;
	return to != 0 && strstr(topic, "house/ezra/event/ezra-1");
}

static bool
loses_whatever_the_owner_says(const struct net *n, int to, const char *topic, const char *payload)
{
	return loses_owners_words(n, to, topic, payload) || (to != 0 && strstr(topic, "/work/ezra-1"));
}

/* The owner takes a task of somebody at its own host, and dies before the others hear of it. */
static void
lose_the_tail(const char *tool)
{
	char text[200];

	net.loses = loses_owners_words;
	snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'%s','id':'%s','house':'ezra'}}", tool, ct_id(1));
	ct_local(node(0), 5, text);
	net_run(&net, 500);
}

static void
what_the_former_owner_alone_had_is_taken_in(void **state)
{
	(void)state;
	no_slots();
	lose_the_tail("exclusive_tool");
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net.loses = NULL;
	task(2, "noop");
	net_run(&net, 1000);
	assert_string_equal(ct_state(node(1), ct_id(1)), "");
	net_start(&net, 0);
	node(0)->idle = node(0)->quick = 0;
	assert_true(net_wait_in_step(&net, 0, 6000) >= 0);
	/* It was not begun, as he knows who had it. */
	assert_string_equal(ct_str(ct_last(node(1), "house/ezra/event", ct_id(1), "adopted"), "state"), "queued");
	assert_int_equal(ct_count(node(1), "house/ezra/event", ct_id(1), "adopted"), 1);
	net_run(&net, 500);
	for (int i = 0; i < 3; i++)
		assert_int_equal(net_house(&net, i)->head, net_house(&net, 1)->head);
	assert_int_equal(ct_sql(node(0), "SELECT count(*) FROM tasks WHERE house = 'ezra'"), 2);
	node(0)->idle = 4;
	node(0)->quick = 64;
	net_run(&net, 2000);
	end_all();
	net_run(&net, 1000);
	assert_string_equal(ct_state(node(1), ct_id(1)), "succeeded");
	assert_int_equal(net_started(&net), 2);
}

static void
an_outcome_of_a_former_term_settles_what_is_uncertain(void **state)
{
	(void)state;
	task(1, "exclusive_tool");
	net_run(&net, 1500);
	assert_string_equal(ct_state(node(1), ct_id(1)), "running");
	net.loses = loses_owners_words;
	ct_end(node(0), ct_id(1), POOL_SUCCEEDED, "{\"done\":1}");
	net_run(&net, 100);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net.loses = NULL;
	net_run(&net, 7000);
	assert_string_equal(ct_state(node(1), ct_id(1)), "uncertain");
	net_start(&net, 0);
	assert_true(net_wait_in_step(&net, 0, 6000) >= 0);
	assert_string_equal(ct_state(node(1), ct_id(1)), "succeeded");
	assert_int_equal(ct_num(ct_last(node(1), "client/me", ct_id(1), "outcome"), "result.done"), 1);
	assert_int_equal(net_started(&net), 1);
}

static void
what_a_former_owner_began_alone_is_not_begun_again(void **state)
{
	(void)state;
	node(0)->idle = 0;
	task(1, "exclusive_tool");
	net_run(&net, 1000);
	assert_string_equal(ct_state(node(1), ct_id(1)), "queued");
	/* Its followers are out of step, so it waits for nobody. */
	net.loses = loses_whatever_the_owner_says;
	task(2, "noop");
	net_run(&net, 7000);
	node(0)->idle = 4;
	net_run(&net, 1000);
	assert_non_null(ct_running(node(0), ct_id(1)));
	net_kill(&net, 0);
	net.loses = NULL;
	assert_true(net_wait_owner(&net, 1, 15000) >= 0);
	net_start(&net, 0);
	net_run(&net, 15000);
	assert_int_equal(net_count(&net, "house/ezra/event", ct_id(1), "starting"), 1);
	assert_null(ct_running(node(0), ct_id(1)));
	assert_null(ct_running(node(1), ct_id(1)));
	assert_string_equal(ct_state(node(net_owner(&net)), ct_id(1)), "uncertain");
}

static bool
loses_what_the_second_hears(const struct net *n, int to, const char *topic, const char *payload)
{
	return to == 1 && loses_whatever_the_owner_says(n, to, topic, payload);
}

/* bezalel-1 has forgotten the task when timmy-1 takes over, who has an older row of it. */
static void
what_a_follower_forgot_comes_back_from_an_owner_that_has_it(void **state)
{
	(void)state;
	task(1, "noop");
	net_run(&net, 1500);
	net.loses = loses_what_the_second_hears;
	end_all();
	task(2, "noop");
	net_run(&net, 1000);
	end_all();
	net_run(&net, 7000);
	assert_string_equal(ct_state(node(1), ct_id(1)), "running");
	node(2)->config.keep_finished = 1;
	net_run(&net, 120000);
	assert_string_equal(ct_state(node(2), ct_id(1)), "");
	net_run(&net, 100);
	net_kill(&net, 2);
	net_kill(&net, 0);
	net.loses = NULL;
	assert_true(net_wait_owner(&net, 1, 15000) >= 0);
	assert_true(net_house(&net, 1)->unclean);
	node(2)->config.keep_finished = node(1)->config.keep_finished;
	net_start(&net, 2);
	assert_true(net_wait_in_step(&net, 2, 6000) >= 0);
	assert_string_equal(ct_state(node(2), ct_id(1)), "running");
	net_start(&net, 0);
	assert_true(net_wait_in_step(&net, 0, 6000) >= 0);
	net_run(&net, 500);
	for (int i = 0; i < 3; i++)
		assert_string_equal(ct_state(node(i), ct_id(1)), "succeeded");
}

/* It may have tasks of a stream that it gave up, to ask for all anew. */
static void
who_is_at_the_beginning_asks_whatever_the_owner_begins_with(void **state)
{
	struct house *h = net_house(&net, 2);

	(void)state;
	task(1, "noop");
	net_run(&net, 1000);
	assert_true(h->live);
	h->live = false;
	h->head = 0;
	h->nterms = 0;
	h->log = (struct term){ 0 };
	stream_new_owner(node(2)->core, h, &(struct term){ 0 }, 0);
	assert_false(h->live);
	assert_true(net_wait_in_step(&net, 2, 6000) >= 0);
	assert_int_equal(h->head, net_house(&net, 0)->head);
}

static bool
is_forgotten(int i, int n)
{
	return !ct_state(node(i), ct_id(n))[0];
}

/* Node 0 alone knows how task 1 ended there, node 1 tells another outcome and forgets it. */
static void
forget_another_outcome(void)
{
	for (int i = 0; i < 3; i++)
		node(i)->config.keep_finished = 5;
	task(1, "noop");
	net_run(&net, 1500);
	net.loses = loses_owners_words;
	ct_end(node(0), ct_id(1), POOL_SUCCEEDED, "{\"done\":1}");
	net_run(&net, 100);
	net_kill(&net, 0);
	net.loses = NULL;
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 7000);
	ct_end(node(1), ct_id(1), POOL_SUCCEEDED, "{\"done\":2}");
	net_run(&net, 500);
	assert_int_equal(ct_num(ct_last(node(1), "client/me", ct_id(1), "outcome"), "result.done"), 2);
	for (int i = 0; i < 20; i++) {
		task(100 + i, "noop");
		net_run(&net, 200);
		end_all();
	}
	for (int i = 0; i < 60 && !(is_forgotten(1, 1) && is_forgotten(2, 1)); i++)
		net_run(&net, 1000);
	assert_true(is_forgotten(1, 1) && is_forgotten(2, 1));
}

static void
an_outcome_that_returns_is_none_where_another_was_forgotten(void **state)
{
	char report[200];

	(void)state;
	forget_another_outcome();
	net_start(&net, 0);
	assert_true(net_wait_in_step(&net, 0, 6000) >= 0);
	net_run(&net, 500);
	for (int i = 0; i < 3; i++)
		assert_string_equal(ct_state(node(i), ct_id(1)), "uncertain");
	/* And nothing settles it. */
	snprintf(report, sizeof report, "{'type':'report','id':'%s','attempt':1,'how':'succeeded','result':{'done':1}}",
	    ct_id(1));
	net_publish(&net, "uw/home/house/ezra/event/bezalel-1", report, NULL);
	net_run(&net, 500);
	assert_string_equal(ct_state(node(1), ct_id(1)), "uncertain");
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "outcome"), 1);
}

/* A row that the house will forget again, and nothing to decide. */
static void
an_outcome_that_returns_past_its_time_is_no_question(void **state)
{
	(void)state;
	forget_another_outcome();
	for (int i = 0; i < 3; i++)
		node(i)->config.keep_finished_s = 5;
	net_start(&net, 0);
	assert_true(net_wait_in_step(&net, 0, 6000) >= 0);
	net_run(&net, 500);
	assert_string_not_equal(ct_state(node(1), ct_id(1)), "uncertain");
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "outcome"), 1);
}

/* ---- answers that wait ---- */

/* Nothing that timmy-1 says of itself reaches the owner: neither what it has, nor that it lives. */
static bool
loses_a_follower(const struct net *n, int to, const char *topic, const char *payload)
{
	(void)n;
	(void)payload;
	return to == 0 && strstr(topic, "agent/timmy-1/");
}

static void
an_answer_comes_when_all_in_step_have_it(void **state)
{
	const cJSON *v;

	(void)state;
	task(1, "noop");
	net_run(&net, 200);
	v = ct_last(node(0), "client/me", ct_id(1), "accepted");
	assert_int_equal(ct_num(v, "copies"), 3);
	net.loses = loses_a_follower;
	task(2, "noop");
	net_run(&net, 3000);
	assert_int_equal(net_count(&net, "client/me", ct_id(2), NULL), 0);
	/* It is not heard any more, and so not waited for. */
	net_run(&net, 3000);
	v = ct_last(node(0), "client/me", ct_id(2), "accepted");
	assert_int_equal(ct_num(v, "copies"), 2);
	task(3, "noop");
	net_run(&net, 200);
	assert_int_equal(ct_num(ct_last(node(0), "client/me", ct_id(3), "accepted"), "copies"), 2);
}

/* Nor counted in any of them, in whichever turn it is given up. */
static void
no_answer_counts_who_is_not_waited_for(void **state)
{
	(void)state;
	net.loses = loses_a_follower;
	for (int i = 1; i <= 130; i++) {
		task(i, "noop");
		net_run(&net, NET_STEP_MS);
	}
	net_run(&net, 1000);
	for (int i = 1; i <= 130; i++)
		assert_int_equal(ct_num(ct_last(node(0), "client/me", ct_id(i), "accepted"), "copies"), 2);
}

/* It changes no row, and still somebody waits for it. */
static void
a_refusal_and_a_repeat_are_answered_as_fast(void **state)
{
	(void)state;
	task(1, "noop");
	net_run(&net, 1500);
	task(1, "noop");
	net_run(&net, 200);
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "accepted"), 2);
	net_run(&net, 1500);
	task(2, "no_such_tool");
	net_run(&net, 200);
	assert_int_equal(net_count(&net, "client/me", ct_id(2), "rejected"), 1);
}

static void
an_outcome_waits_as_well_and_events_do_not(void **state)
{
	(void)state;
	task(1, "noop");
	net_run(&net, 200);
	net.loses = loses_a_follower;
	end_all();
	net_run(&net, 2000);
	assert_int_equal(ct_count(node(0), "house/ezra/event", ct_id(1), "outcome"), 1);
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "outcome"), 0);
	net.loses = NULL;
	net_run(&net, 1500);
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "outcome"), 1);
}

static void
who_waits_at_the_host_waits_as_well(void **state)
{
	(void)state;
	net.loses = loses_a_follower;
	ct_local(node(0), 5, "{'op':'submit','task':{'tool':'noop','house':'ezra'}}");
	net_run(&net, 2000);
	assert_int_equal(ct_count(node(0), "local", NULL, "accepted"), 0);
	net_run(&net, 4000);
	assert_int_equal(ct_num(ct_last(node(0), "local", NULL, "accepted"), "copies"), 2);
}

static void
an_answer_that_waits_is_given_by_the_next_owner(void **state)
{
	(void)state;
	net.loses = loses_a_follower;
	task(1, "noop");
	net_run(&net, 1000);
	assert_int_equal(net_count(&net, "client/me", ct_id(1), NULL), 0);
	net_kill(&net, 0);
	assert_true(net_wait_owner(&net, 1, 2000) >= 0);
	net_run(&net, 1000);
	assert_true(ct_count(node(1), "client/me", ct_id(1), "accepted") >= 1);
	assert_int_equal(ct_count(node(0), "client/me", ct_id(1), NULL), 0);
}

static void
what_may_not_run_twice_starts_when_all_in_step_know(void **state)
{
	(void)state;
	net.loses = loses_a_follower;
	task(1, "exclusive_tool");
	task(2, "idempotent_tool");
	net_run(&net, 3000);
	assert_null(ct_running(node(0), ct_id(1)));
	assert_non_null(ct_running(node(0), ct_id(2)));
	net_run(&net, 3000);
	assert_non_null(ct_running(node(0), ct_id(1)));
	assert_int_equal(net_started(&net), 2);
}

static void
an_owner_that_need_not_wait_answers_at_once(void **state)
{
	(void)state;
	net_teardown(&net);
	net_setup(&net, 3, "copies: 1, agents: [ezra-1]", NULL);
	net_begin(&net);
	net.loses = loses_a_follower;
	task(1, "noop");
	net_run(&net, 200);
	assert_int_equal(net_count(&net, "client/me", ct_id(1), "accepted"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_follower_applies_each_event_and_says_what_it_has, setup, teardown),
		cmocka_unit_test_setup_teardown(events_of_a_former_term_are_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_owner_goes_on_with_what_was_accepted, setup, teardown),
		cmocka_unit_test_setup_teardown(who_missed_an_event_asks_for_what_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(who_missed_the_last_event_notices_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_disk_gets_all_rows_in_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_that_change_while_they_are_copied_are_not_missed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_former_owner_alone_had_is_taken_in, setup, teardown),
		cmocka_unit_test_setup_teardown(an_outcome_of_a_former_term_settles_what_is_uncertain, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_former_owner_began_alone_is_not_begun_again, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_follower_forgot_comes_back_from_an_owner_that_has_it, setup, teardown),
		cmocka_unit_test_setup_teardown(an_outcome_that_returns_is_none_where_another_was_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(an_outcome_that_returns_past_its_time_is_no_question, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_comes_when_all_in_step_have_it, setup, teardown),
		cmocka_unit_test_setup_teardown(no_answer_counts_who_is_not_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_and_a_repeat_are_answered_as_fast, setup, teardown),
		cmocka_unit_test_setup_teardown(an_outcome_waits_as_well_and_events_do_not, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_at_the_host_waits_as_well, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_at_the_beginning_asks_whatever_the_owner_begins_with, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_that_waits_is_given_by_the_next_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(what_may_not_run_twice_starts_when_all_in_step_know, setup, teardown),
		cmocka_unit_test_setup_teardown(an_owner_that_need_not_wait_answers_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
