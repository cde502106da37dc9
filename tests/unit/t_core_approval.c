/* Who may start what: policy, approvals, grants and halts, on one agent. */
#include <stdlib.h>

#include "coretest.h"
#include "signedtest.h"
#include "task.h"

static struct coretest t;
static const char *id;

#define EVENTS "house/ezra/event"
#define REPLIES "client/me/reply"
#define REQUESTS "approval/ezra/request"
#define PLAN "{\"touches\":[{\"access\":\"write\",\"kind\":\"path\",\"name\":\"/srv/f\",\"sha256\":\"00\"}]," \
	"\"target\":\"/srv/f\",\"dry_run\":\"+hello\"}"

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, pinned());
	id = ct_id(1);
	ct_up(&t, false);
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
submit_as(const char *who, const char *tool, const char *more)
{
	ct_taskf(&t, "ezra", who, "{'tool':'%s','id':'%s'%s}", tool, id, more);
	turn();
	turn();
}

static void
submit(const char *tool, const char *more)
{
	submit_as("me", tool, more);
}

/* rest: members beside those that every policy has here. */
static void
policy(int n, const char *production, const char *rules)
{
	put_signed(&t, SOVEREIGN_POLICY, "current", "{'n':%d,'time':1,'houses':{'timmy':{'profile':'judge'}},'production':[%s],"
	    "'rules':[%s],'approval_s':60,'self_approval':false}", n, production, rules);
	turn();
}

static void
halt(int n, const char *halts)
{
	put_signed(&t, SOVEREIGN_HALT, "current", "{'n':%d,'time':1,'halts':[%s],'why':'a test'}", n, halts);
	turn();
}

static const cJSON *
request(void)
{
	for (size_t i = t.nlines; i-- > 0;)
		if (t.lines[i].topic && strstr(t.lines[i].topic, REQUESTS) && strstr(t.lines[i].topic, id))
			return t.lines[i].v;
	fail_msg("there is no request for %s", id);
	return NULL;
}

static void
decide_as(const unsigned char *seed, const char *what, const char *hash, int64_t expires)
{
	char topic[TOPIC_MAX], members[512];
	char *envelope;

	snprintf(members, sizeof members, "{'task':'%s','hash':'%s','decision':'%s','time':1,'expires':%lld,'note':'said so'}", id,
	    hash, what, (long long)expires);
	envelope = sealed_by(seed, SOVEREIGN_DECISION, members);
	signed_topic(topic, SOVEREIGN_DECISION, id);
	ct_message(&t, (struct mqtt_msg){ .topic = topic, .payload = envelope, .len = strlen(envelope), .qos = 1 });
	turn();
	turn();
	free(envelope);
}

static void
decide(const char *what)
{
	char hash[CANONICAL_HASH];

	snprintf(hash, sizeof hash, "%s", ct_str(request(), "hash"));
	decide_as(timmy_seed, what, hash, t.now.wall_ms + 60000);
}

/* Submitted, planned and asked for. */
static void
ask(const char *tool, const char *more)
{
	submit(tool, more);
	assert_true(ct_running(&t, id) && ct_running(&t, id)->plan);
	ct_end(&t, id, POOL_SUCCEEDED, PLAN);
	turn();
	assert_string_equal(ct_state(&t, id), "waiting_approval");
	assert_null(ct_running(&t, id));
}

static void
restart(void)
{
	ct_kill(&t);
	ct_up(&t, true);
	turn();
	turn();
}

static void
pass(int64_t ms)
{
	turn();
	ct_pass(&t, ms);
	turn();
	turn();
}

static const char *
first_of(const cJSON *o, const char *list, const char *member)
{
	return ct_str(cJSON_GetArrayItem(cJSON_GetObjectItem(o, list), 0), member);
}

/* ---- policy ---- */

static int
setup_unpinned(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	id = ct_id(1);
	ct_up(&t, false);
	return 0;
}

static void
without_a_key_mode_sovereign_is_refused(void **state)
{
	(void)state;
	submit("noop", ",'mode':'sovereign'");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "rejected"), "error.code"), "denied");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "rejected"), "error.field"), "mode");
	id = ct_id(2);
	submit("noop", "");
	assert_non_null(ct_running(&t, id));
	assert_null(ct_running(&t, id)->terms);
}

static void
nothing_starts_before_there_is_a_policy(void **state)
{
	(void)state;
	submit("noop", "");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "accepted"), "state"), "queued");
	assert_int_equal(t.nstarted, 0);
	policy(1, "", "");
	assert_int_equal(t.nstarted, 1);
	restart();
	assert_int_equal(t.nstarted, 2);
}

static void
what_is_not_his_is_not_obeyed(void **state)
{
	char topic[TOPIC_MAX], *envelope = sealed_by(other_seed, SOVEREIGN_POLICY, "{'n':1," POLICY_REST);
	static const char *const odd[] = { "", "x", "{}", "[]", "{\"payload\":\"\"}" };

	(void)state;
	submit("noop", "");
	signed_topic(topic, SOVEREIGN_POLICY, "current");
	ct_message(&t, (struct mqtt_msg){ .topic = topic, .payload = envelope, .len = strlen(envelope), .qos = 1 });
	turn();
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		ct_message(&t, (struct mqtt_msg){ .topic = topic, .payload = odd[i], .len = strlen(odd[i]), .qos = 1 });
		turn();
	}
	free(envelope);
	/* His own object, where another publishes. */
	envelope = sealed(SOVEREIGN_POLICY, "{'n':1," POLICY_REST);
	ct_message(&t, (struct mqtt_msg){ .topic = "uw/home/sovereign/ezra/policy/current", .payload = envelope,
	    .len = strlen(envelope), .qos = 1 });
	turn();
	assert_int_equal(t.nstarted, 0);
	/* Anybody may pass it on. */
	ct_message(&t, (struct mqtt_msg){ .topic = "uw/home/agent/bezalel-1/sovereign/policy", .payload = envelope,
	    .len = strlen(envelope), .qos = 1 });
	turn();
	turn();
	assert_int_equal(t.nstarted, 1);
	free(envelope);
}

static void
a_lower_number_changes_nothing(void **state)
{
	(void)state;
	policy(5, "", "{'tool':'noop','then':'deny'}");
	policy(4, "", "");
	policy(5, "", "");
	submit("noop", "");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "rejected"), "error.code"), "denied");
	policy(6, "", "");
	id = ct_id(2);
	submit("noop", "");
	assert_int_equal(t.nstarted, 1);
}

static void
what_a_rule_denies_is_refused_with_its_reason(void **state)
{
	(void)state;
	policy(1, "", "{'house':'ezra','tool':'excl*','sender':'me','then':'deny','why':'not by night'}");
	submit("exclusive_tool", "");
	assert_non_null(strstr(ct_str(ct_last(&t, REPLIES, id, "rejected"), "error.message"), "not by night"));
	id = ct_id(2);
	submit_as("you", "exclusive_tool", "");
	assert_int_equal(t.nstarted, 1);
}

static void
a_queued_task_is_judged_again_by_a_new_policy(void **state)
{
	(void)state;
	policy(1, "", "");
	t.idle = t.quick = 0;
	submit("idempotent_tool", "");
	id = ct_id(2);
	submit("noop", "");
	policy(2, "", "{'tool':'idempotent_tool','then':'deny'},{'tool':'noop','then':'approve'}");
	t.idle = 4;
	t.quick = 64;
	turn();
	turn();
	assert_string_equal(ct_state(&t, ct_id(1)), "denied");
	assert_string_equal(ct_state(&t, ct_id(2)), "waiting_approval");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, ct_id(1), "outcome"), "error.code"), "denied");
}

/* The terms of a running task of an own tool, after its digest. */
static const char *
terms_of(const char *task, const char *tool)
{
	static char text[512];
	const char *terms = ct_running(&t, task)->terms;
	int n = snprintf(text, sizeof text, "{\"tool\":\"%s\"", registry_digest(t.tools, registry_find(t.tools, tool)));

	assert_memory_equal(terms, text, (size_t)n);
	snprintf(text, sizeof text, "{%s", terms + n + (terms[n] == ','));
	return text;
}

static void
what_changes_something_is_told_what_is_production(void **state)
{
	(void)state;
	policy(1, "'path:/srv/www'", "{'tool':'exclusive_tool','production':true,'then':'allow'}");
	submit("read_tool", "");
	assert_string_equal(ct_running(&t, id)->terms, "{}");
	id = ct_id(2);
	submit("idempotent_tool", "");
	assert_string_equal(terms_of(id, "idempotent_tool"), "{\"production\":[\"path:/srv/www\"]}");
	/* The worker finds that it touches it: the sovereign is asked. */
	ct_refuse(&t, id, ERR_APPROVAL, "it touches path:/srv/www");
	turn();
	turn();
	assert_true(ct_running(&t, id)->plan);
	ct_end(&t, id, POOL_SUCCEEDED, PLAN);
	turn();
	assert_non_null(strstr(ct_str(request(), "why"), "/srv/www"));
	decide("approve");
	assert_non_null(strstr(ct_running(&t, id)->terms, "\"approved\":true"));
	ct_end(&t, id, POOL_SUCCEEDED, NULL);
	turn();
	assert_string_equal(ct_state(&t, id), "succeeded");
	id = ct_id(3);
	submit("exclusive_tool", "");
	assert_string_equal(terms_of(id, "exclusive_tool"), "{}");
}

static void
what_answers_from_memory_has_no_terms(void **state)
{
	(void)state;
	policy(1, "'path:/srv/www'", "{'tool':'file_*','then':'approve'}");
	submit("noop", "");
	assert_true(ct_running(&t, id)->quick);
	assert_null(ct_running(&t, id)->terms);
}

/* ---- approval ---- */

static void
a_sovereign_task_is_planned_asked_for_and_started_once(void **state)
{
	const cJSON *r;

	(void)state;
	policy(1, "", "");
	submit("exclusive_tool", ",'mode':'sovereign','params':{'s':'x'}");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "accepted"), "state"), "waiting_approval");
	assert_true(ct_running(&t, id)->plan);
	ct_end(&t, id, POOL_SUCCEEDED, PLAN);
	turn();
	r = request();
	assert_string_equal(ct_str(r, "task"), id);
	assert_string_equal(ct_str(r, "subject.tool"), "exclusive_tool");
	assert_string_equal(ct_str(r, "subject.params.s"), "x");
	assert_int_equal(ct_num(r, "subject.params.n"), 3);
	assert_string_equal(ct_str(r, "subject.sender"), "me");
	assert_string_equal(ct_str(r, "subject.effect"), "exclusive");
	assert_string_equal(first_of(cJSON_GetObjectItem(r, "subject"), "touches", "name"), "/srv/f");
	assert_int_equal(strlen(ct_str(r, "subject.tool_digest")), 64);
	assert_string_equal(ct_str(r, "target"), "/srv/f");
	assert_string_equal(ct_str(r, "dry_run"), "+hello");
	assert_string_equal(ct_str(r, "why"), "mode sovereign");
	assert_string_equal(ct_str(r, "agent"), "ezra-1");
	assert_int_equal(t.nstarted, 1);
	ct_forget(&t);
	restart();
	assert_string_equal(ct_str(request(), "task"), id);
	decide("approve");
	assert_int_equal(t.nstarted, 2);
	assert_false(ct_running(&t, id)->plan);
	assert_true(ct_running(&t, id)->committed);
	assert_int_equal(ct_count(&t, EVENTS, id, "approved"), 1);
	assert_int_equal(ct_count(&t, EVENTS, id, "starting"), 1);
	assert_non_null(strstr(ct_running(&t, id)->terms, "\"touches\":\""));
	decide("approve");
	ct_end(&t, id, POOL_SUCCEEDED, NULL);
	turn();
	decide("approve");
	decide("deny");
	assert_string_equal(ct_state(&t, id), "succeeded");
	assert_int_equal(t.nstarted, 2);
}

static void
the_hash_is_that_of_the_subject(void **state)
{
	char hash[CANONICAL_HASH];
	struct err e;

	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	assert_int_equal(canonical_hash(cJSON_GetObjectItem(request(), "subject"), hash, &e), 0);
	assert_string_equal(hash, ct_str(request(), "hash"));
}

static void
only_the_right_decision_releases_it(void **state)
{
	char hash[CANONICAL_HASH], wrong[CANONICAL_HASH];

	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	snprintf(hash, sizeof hash, "%s", ct_str(request(), "hash"));
	snprintf(wrong, sizeof wrong, "%s", hash);
	wrong[0] = wrong[0] == 'a' ? 'b' : 'a';
	decide_as(timmy_seed, "approve", wrong, t.now.wall_ms + 60000);
	decide_as(timmy_seed, "deny", wrong, t.now.wall_ms + 60000);
	decide_as(other_seed, "approve", hash, t.now.wall_ms + 60000);
	decide_as(timmy_seed, "approve", hash, t.now.wall_ms);
	decide_as(timmy_seed, "approve", hash, t.now.wall_ms - 1000);
	assert_string_equal(ct_state(&t, id), "waiting_approval");
	assert_int_equal(t.nstarted, 1);
	decide_as(timmy_seed, "approve", hash, t.now.wall_ms + 1);
	assert_int_equal(t.nstarted, 2);
}

static void
what_is_denied_never_starts(void **state)
{
	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	decide("deny");
	assert_string_equal(ct_state(&t, id), "denied");
	assert_non_null(strstr(ct_str(ct_last(&t, REPLIES, id, "outcome"), "error.message"), "said so"));
	decide("approve");
	restart();
	assert_string_equal(ct_state(&t, id), "denied");
	assert_int_equal(t.nstarted, 1);
}

static void
time_out_means_denied(void **state)
{
	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	pass(59000);
	assert_string_equal(ct_state(&t, id), "waiting_approval");
	pass(1001);
	assert_string_equal(ct_state(&t, id), "denied");
	decide("approve");
	assert_int_equal(t.nstarted, 1);
}

static void
an_approval_that_ran_out_before_the_start_is_none(void **state)
{
	char hash[CANONICAL_HASH];

	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	snprintf(hash, sizeof hash, "%s", ct_str(request(), "hash"));
	t.idle = 0;
	decide_as(timmy_seed, "approve", hash, t.now.wall_ms + 5000);
	assert_string_equal(ct_state(&t, id), "queued");
	pass(5000);
	t.idle = 4;
	turn();
	turn();
	assert_string_equal(ct_state(&t, id), "denied");
	assert_int_equal(t.nstarted, 1);
}

static void
a_decision_that_came_too_early_is_kept(void **state)
{
	char hash[CANONICAL_HASH];

	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	snprintf(hash, sizeof hash, "%s", ct_str(request(), "hash"));
	/* The request is lost with the disk that had it, and the decision comes while it is planned again. */
	ct_sql(&t, "UPDATE tasks SET approval = '{\"why\":\"mode sovereign\"}'");
	restart();
	assert_true(ct_running(&t, id)->plan);
	decide_as(timmy_seed, "approve", hash, t.now.wall_ms + 60000);
	assert_string_equal(ct_state(&t, id), "waiting_approval");
	ct_end(&t, id, POOL_SUCCEEDED, PLAN);
	turn();
	turn();
	assert_true(ct_running(&t, id) && !ct_running(&t, id)->plan);
}

static void
what_changed_since_it_was_approved_is_denied(void **state)
{
	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	decide("approve");
	ct_refuse(&t, id, ERR_DENIED, "changed since it was approved");
	turn();
	turn();
	assert_string_equal(ct_state(&t, id), "denied");
	assert_int_equal(t.nstarted, 2);
}

/* Whatever stands in the row: what runs is what was approved. */
static void
a_row_that_was_changed_does_not_start(void **state)
{
	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	t.idle = 0;
	decide("approve");
	assert_string_equal(ct_state(&t, id), "queued");
	ct_sql(&t, "UPDATE tasks SET body = replace(body, '\"mode\"', '\"params\":{\"n\":4},\"mode\"')");
	t.idle = 4;
	restart();
	assert_string_equal(ct_state(&t, id), "denied");
	assert_int_equal(t.nstarted, 1);
}

static void
a_damaged_row_starts_nothing(void **state)
{
	static const char *const odd[] = { "x", "[]", "{}", "null", "5", "{\"until\":\"x\"}", "{\"until\":99999999999999}",
		"{\"hash\":5}", "{\"hash\":\"00\",\"subject\":[]}", "{\"until\":99999999999999,\"grant\":\"g\",\"subject\":{}}",
		"{\"until\":99999999999999,\"decision\":\"{}\"}", "{\"why\":5,\"begun\":\"x\",\"attempts\":\"x\"}" };
	static const char *const states[] = { "waiting_approval", "queued" };

	(void)state;
	policy(1, "", "");
	for (size_t i = 0; i < 2 * (sizeof odd / sizeof *odd); i++) {
		enum task_state in;
		char sql[300];

		id = ct_id((int)i + 1);
		ask("exclusive_tool", ",'mode':'sovereign'");
		assert_int_equal(task_state_parse(states[i % 2], &in), 0);
		snprintf(sql, sizeof sql, "UPDATE tasks SET approval = '%s', state = %d WHERE state = 1", odd[i / 2], (int)in);
		ct_sql(&t, sql);
		restart();
		assert_true(!ct_running(&t, id) || ct_running(&t, id)->plan);
		pass(2000);
		assert_true(!ct_running(&t, id) || ct_running(&t, id)->plan);
		if (ct_running(&t, id))
			ct_end(&t, id, POOL_SUCCEEDED, PLAN);
		turn();
		assert_true(!ct_running(&t, id) || ct_running(&t, id)->plan);
		ct_sql(&t, "DELETE FROM tasks");
		restart();
	}
}

static void
a_task_that_cannot_be_planned_fails(void **state)
{
	(void)state;
	policy(1, "", "");
	submit("exclusive_tool", ",'mode':'sovereign'");
	ct_end(&t, id, POOL_FAILED, NULL);
	turn();
	assert_string_equal(ct_state(&t, id), "failed");
	assert_non_null(strstr(ct_str(ct_last(&t, REPLIES, id, "outcome"), "error.message"), "it ended badly"));
}

static void
a_task_whose_tool_is_gone_does_not_wait_for_ever(void **state)
{
	(void)state;
	policy(1, "", "");
	submit("exclusive_tool", ",'mode':'sovereign'");
	turn();
	ct_sql(&t, "UPDATE tasks SET tool = 'gone'");
	restart();
	pass(60000);
	assert_string_equal(ct_state(&t, id), "failed");
}

static void
what_nobody_can_plan_ends_in_time_too(void **state)
{
	(void)state;
	policy(1, "", "");
	halt(1, "{'scope':'tool','name':'exclusive_tool'}");
	submit("exclusive_tool", ",'mode':'sovereign'");
	for (int i = 0; i < 59; i++)
		pass(1000);
	assert_string_equal(ct_state(&t, id), "waiting_approval");
	for (int i = 0; i < 9; i++)
		pass(1000);
	assert_string_equal(ct_state(&t, id), "denied");
	assert_int_equal(t.nstarted, 0);
}

/* Who makes the plan may lie: then what is approved would be bound to nothing. */
static void
what_a_tool_could_say_it_touches_has_to_be_said(void **state)
{
	(void)state;
	policy(1, "", "");
	submit("file_write", ",'mode':'sovereign','params':{'path':'/srv/f','content':'x'}");
	ct_end(&t, id, POOL_SUCCEEDED, "{\"touches\":null}");
	turn();
	decide("approve");
	assert_string_equal(ct_state(&t, id), "denied");
	assert_int_equal(t.nstarted, 1);
}

/* Nobody can be reached, and what reads only need not wait for its house. */
static void
submit_alone(const char *house)
{
	char text[200];

	ct_down(&t);
	turn();
	pass(5000);
	snprintf(text, sizeof text, "{'op':'submit','task':{'tool':'read_tool','id':'%s','house':'%s'}}", id, house);
	ct_local(&t, 1, text);
	turn();
	turn();
}

static void
what_runs_outside_of_its_house_obeys_what_holds_for_it(void **state)
{
	(void)state;
	policy(1, "", "");
	submit_alone("timmy");
	assert_int_equal(t.nstarted, 1);
	ct_up(&t, true);
	turn();
	halt(1, "{'scope':'house','name':'timmy'}");
	id = ct_id(2);
	submit_alone("timmy");
	assert_int_equal(t.nstarted, 1);
}

static void
what_waits_outside_of_its_house_is_judged_again(void **state)
{
	(void)state;
	policy(1, "", "");
	t.idle = 0;
	submit_alone("timmy");
	ct_up(&t, true);
	turn();
	halt(1, "{'scope':'house','name':'timmy'}");
	t.idle = 4;
	turn();
	turn();
	assert_int_equal(t.nstarted, 0);
	policy(2, "", "{'house':'timmy','then':'deny'}");
	halt(2, "");
	turn();
	turn();
	assert_int_equal(t.nstarted, 0);
	assert_string_equal(ct_state(&t, id), "denied");
}

static void
who_submits_may_not_be_who_approves(void **state)
{
	(void)state;
	policy(1, "", "");
	submit_as("timmy", "noop", ",'mode':'sovereign'");
	assert_string_equal(ct_str(ct_last(&t, "client/timmy", id, "rejected"), "error.code"), "denied");
	put_signed(&t, SOVEREIGN_POLICY, "current", "{'n':2,'time':1,'approval_s':60,'self_approval':true}");
	id = ct_id(2);
	submit_as("timmy", "noop", ",'mode':'sovereign'");
	assert_string_equal(ct_state(&t, id), "waiting_approval");
}

static void
it_waits_for_its_time_after_it_was_approved(void **state)
{
	char more[100];

	(void)state;
	policy(1, "", "");
	snprintf(more, sizeof more, ",'mode':'sovereign','not_before':%lld", T0 + 30000LL);
	ask("exclusive_tool", more);
	decide("approve");
	assert_string_equal(ct_state(&t, id), "scheduled");
	pass(30000);
	assert_int_equal(t.nstarted, 2);
}

static void
what_waits_can_be_cancelled_and_its_request_goes(void **state)
{
	char text[100];
	size_t n;

	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	n = t.messages;
	snprintf(text, sizeof text, "{'op':'cancel','id':'%s'}", id);
	ct_local(&t, 1, text);
	turn();
	assert_string_equal(ct_state(&t, id), "cancelled");
	assert_true((size_t)t.messages > n);
	decide("approve");
	assert_int_equal(t.nstarted, 1);
}

static void
an_approved_attempt_that_is_lost_is_uncertain(void **state)
{
	(void)state;
	policy(1, "", "");
	ask("idempotent_tool", ",'mode':'sovereign'");
	decide("approve");
	assert_int_equal(t.nstarted, 2);
	restart();
	assert_string_equal(ct_state(&t, id), "uncertain");
	assert_int_equal(t.nstarted, 2);
}

static void
what_answers_from_memory_is_approved_after_a_restart_too(void **state)
{
	(void)state;
	policy(1, "", "");
	ask("noop", ",'mode':'sovereign'");
	t.idle = t.quick = 0;
	decide("approve");
	restart();
	t.idle = 4;
	t.quick = 64;
	turn();
	turn();
	assert_non_null(ct_running(&t, id));
	assert_false(ct_running(&t, id)->quick);
	assert_non_null(strstr(ct_running(&t, id)->terms, "\"approved\":true"));
}

/* Whoever goes on without what we knew may hand the task back to us as it was before. */
static void
a_decision_is_kept_after_it_was_used(void **state)
{
	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	decide("approve");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM signed WHERE kind = 'decision'"), 1);
}

/* The sovereign saw a request that should have been gone. */
static void
a_decision_on_what_waits_no_longer_takes_its_request_away(void **state)
{
	int n;

	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	decide("deny");
	n = t.messages;
	decide("deny");
	assert_int_equal(t.messages, n + 1);
	assert_string_equal(ct_state(&t, id), "denied");
}

/* ---- grants ---- */

static void
grant(int n, const char *more)
{
	put_signed(&t, SOVEREIGN_GRANT, "g1", "{'n':%d,'time':1,'id':'g1','house':'ezra','tool':'excl*','count':2,"
	    "'not_before':1,'expires':%lld,'live':[{'id':'g1','n':%d}]%s}", n, T0 + 100000LL, n, more);
}

static bool
starts(int n, const char *params)
{
	char more[128];

	id = ct_id(n);
	snprintf(more, sizeof more, ",'params':{%s}", params);
	submit("exclusive_tool", more);
	assert_true(ct_running(&t, id)->plan);
	ct_end(&t, id, POOL_SUCCEEDED, PLAN);
	turn();
	turn();
	return ct_running(&t, id) && !ct_running(&t, id)->plan;
}

static void
a_grant_releases_so_many_of_its_kind(void **state)
{
	(void)state;
	policy(1, "", "{'effect':'exclusive','then':'approve'}");
	grant(1, ",'params':{'s':'/srv/*'}");
	assert_false(starts(1, "'s':'/etc/x'"));
	assert_true(starts(2, "'s':'/srv/x'"));
	restart();
	assert_true(starts(3, "'s':'/srv/y'"));
	assert_false(starts(4, "'s':'/srv/z'"));
	assert_string_equal(ct_state(&t, ct_id(4)), "waiting_approval");
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM uses"), 2);
}

static void
a_grant_releases_what_waits_for_it(void **state)
{
	(void)state;
	policy(1, "", "{'effect':'exclusive','then':'approve'}");
	for (int i = 1; i < 4; i++)
		assert_false(starts(i, "'s':'x'"));
	grant(1, "");
	turn();
	assert_int_equal(ct_sql(&t, "SELECT count(*) FROM uses"), 2);
	for (int i = 1; i < 3; i++)
		assert_true(ct_running(&t, ct_id(i)) && !ct_running(&t, ct_id(i))->plan);
	assert_string_equal(ct_state(&t, ct_id(3)), "waiting_approval");
}

/* Another candidate may publish there too, and clear. */
static void
a_request_is_what_the_owner_says(void **state)
{
	static const char *const others[] = { "{'hash':'00','subject':{}}", "", "x" };
	char topic[TOPIC_MAX], hash[CANONICAL_HASH];

	(void)state;
	policy(1, "", "");
	ask("exclusive_tool", ",'mode':'sovereign'");
	snprintf(hash, sizeof hash, "%s", ct_str(request(), "hash"));
	snprintf(topic, sizeof topic, "uw/home/approval/ezra/request/%s", id);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		ct_forget(&t);
		ct_send(&t, topic, others[i], NULL, NULL);
		turn();
		assert_string_equal(ct_str(request(), "hash"), hash);
	}
}

static void
a_grant_ends_with_its_time_or_when_it_is_revoked(void **state)
{
	(void)state;
	policy(1, "", "{'effect':'exclusive','then':'approve'}");
	grant(1, "");
	put_signed(&t, SOVEREIGN_GRANT, "g1", "{'n':2,'time':1,'id':'g1','house':'ezra','tool':'excl*','count':2,'not_before':1,"
	    "'expires':%lld,'revoked':true,'live':[]}", T0 + 100000LL);
	assert_false(starts(1, "'s':'x'"));
	grant(3, "");
	assert_true(starts(2, "'s':'x'"));
	pass(100000);
	assert_false(starts(3, "'s':'x'"));
	/* The old one again. */
	grant(1, "");
	assert_false(starts(4, "'s':'x'"));
}

static void
a_grant_does_not_stand_for_mode_sovereign(void **state)
{
	(void)state;
	policy(1, "", "");
	grant(1, "");
	ask("exclusive_tool", ",'mode':'sovereign'");
}

static void
a_grant_that_others_are_said_to_hold_is_waited_for(void **state)
{
	(void)state;
	policy(1, "", "");
	put_signed(&t, SOVEREIGN_GRANT, "g2", "{'n':2,'time':1,'id':'g2','house':'ezra','tool':'x','count':1,'not_before':1,"
	    "'expires':%lld,'live':[{'id':'g1','n':1},{'id':'g2','n':2}]}", T0 + 100000LL);
	submit("noop", "");
	assert_int_equal(t.nstarted, 0);
	grant(1, "");
	turn();
	assert_int_equal(t.nstarted, 1);
}

/* ---- halts ---- */

static void
nothing_starts_while_the_cluster_is_halted(void **state)
{
	(void)state;
	policy(1, "", "");
	halt(1, "{'scope':'cluster'}");
	submit("noop", "");
	assert_int_equal(t.nstarted, 0);
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "accepted"), "halted"), "the cluster is halted: a test");
	/* It is obeyed before anything is heard. */
	ct_kill(&t);
	turn();
	ct_up(&t, true);
	turn();
	turn();
	assert_int_equal(t.nstarted, 0);
	halt(2, "");
	assert_int_equal(t.nstarted, 1);
}

static void
a_halted_house_or_tool_does_not_hold_up_others(void **state)
{
	(void)state;
	policy(1, "", "");
	halt(1, "{'scope':'tool','name':'exclusive_tool'},{'scope':'house','name':'timmy'}");
	for (int i = 1; i < 10; i++) {
		id = ct_id(i);
		submit(i % 2 ? "exclusive_tool" : "noop", ",'priority':9");
	}
	assert_int_equal(t.nstarted, 4);
	ct_end_all(&t);
	turn();
	restart();
	assert_int_equal(t.nstarted, 4);
	assert_int_equal(ct_health(&t, "ezra", "queued"), 5);
	halt(2, "{'scope':'house','name':'ezra'}");
	t.idle = 10;
	turn();
	assert_int_equal(t.nstarted, 4);
	halt(3, "");
	turn();
	assert_int_equal(t.nstarted, 9);
	assert_int_equal(ct_health(&t, "ezra", "queued"), 0);
}

static void
what_waits_for_a_worker_is_halted_too(void **state)
{
	(void)state;
	policy(1, "", "");
	submit("exclusive_tool", "");
	assert_int_equal(t.nstarted, 1);
	ct_end_all(&t);
	turn();
	/* Chosen, and the worker is gone meanwhile. */
	id = ct_id(2);
	ct_taskf(&t, "ezra", "me", "{'tool':'exclusive_tool','id':'%s'}", id);
	core_slots(t.core, 1, 0);
	t.idle = 0;
	turn();
	halt(1, "{'scope':'cluster'}");
	t.idle = 1;
	turn();
	turn();
	assert_int_equal(t.nstarted, 1);
	assert_string_equal(ct_state(&t, id), "queued");
}

static void
beat(const char *sovereign)
{
	char text[200];

	snprintf(text, sizeof text, "{'agent':'bezalel-1','state':'online','boot':'01KAV9FT000000000000000009','seq':1,"
	    "'sovereign':%s}", sovereign);
	ct_send(&t, "uw/home/agent/bezalel-1/health/state", text, NULL, NULL);
	turn();
}

static void
who_hears_of_more_than_he_holds_starts_nothing(void **state)
{
	(void)state;
	policy(1, "", "");
	beat("{'policy':1,'halt':2,'grants':0}");
	submit("noop", "");
	assert_int_equal(t.nstarted, 0);
	beat("{'policy':1,'halt':0,'grants':0}");
	assert_int_equal(t.nstarted, 0);
	halt(2, "");
	assert_int_equal(t.nstarted, 1);
}

static void
who_holds_less_for_long_is_given_it_again(void **state)
{
	(void)state;
	policy(3, "", "");
	ct_forget(&t);
	beat("{'policy':2,'halt':0,'grants':0}");
	pass(4000);
	beat("{'policy':2,'halt':0,'grants':0}");
	assert_int_equal(ct_count(&t, "agent/ezra-1/sovereign/policy", NULL, NULL), 0);
	pass(1001);
	beat("{'policy':2,'halt':0,'grants':0}");
	turn();
	assert_int_equal(ct_count(&t, "agent/ezra-1/sovereign/policy", NULL, NULL), 1);
}

/* ---- houses ---- */

static void
houses(const char *list)
{
	put_signed(&t, SOVEREIGN_POLICY, "current", "{'n':9,'time':1,'houses':{%s},'approval_s':60}", list);
}

static void
the_archivist_says_what_its_chain_has_read(void **state)
{
	char more[128];

	(void)state;
	houses("'ezra':{'profile':'archivist'}");
	submit("read_tool", "");
	ct_end_noted(&t, id, "{}", "{\"reads\":[{\"kind\":\"path\",\"name\":\"/srv/f\",\"sha256\":\"aa\"}],\"writes\":[]}");
	turn();
	restart();
	assert_string_equal(first_of(cJSON_GetObjectItem(ct_last(&t, REPLIES, id, "outcome"), "notes"), "reads", "sha256"), "aa");
	snprintf(more, sizeof more, ",'parent':'%s'", id);
	id = ct_id(2);
	submit("idempotent_tool", more);
	assert_string_equal(terms_of(id, "idempotent_tool"),
	    "{\"reads\":[{\"kind\":\"path\",\"name\":\"/srv/f\",\"sha256\":\"aa\"}]}");
	ct_end_noted(&t, id, "{}", "{\"reads\":[],\"writes\":[{\"kind\":\"path\",\"name\":\"/srv/f\",\"sha256\":\"bb\"}]}");
	turn();
	snprintf(more, sizeof more, ",'parent':'%s'", id);
	id = ct_id(3);
	submit("idempotent_tool", more);
	assert_non_null(strstr(ct_running(&t, id)->terms, "bb"));
	assert_non_null(strstr(ct_running(&t, id)->terms, "aa"));
	id = ct_id(4);
	submit("idempotent_tool", "");
	assert_string_equal(terms_of(id, "idempotent_tool"), "{\"reads\":[]}");
	ct_refuse(&t, id, ERR_DENIED, "/srv/f was not read");
	turn();
	assert_string_equal(ct_state(&t, id), "denied");
}

static void
the_artificer_takes_nothing_without_proof(void **state)
{
	(void)state;
	houses("'ezra':{'profile':'artificer'}");
	submit("exclusive_tool", "");
	assert_string_equal(ct_str(ct_last(&t, REPLIES, id, "rejected"), "error.code"), "unproven");
	id = ct_id(2);
	submit("read_tool", "");
	assert_string_equal(ct_running(&t, id)->terms, "{}");
}

static void
the_judge_is_asked_for_all_that_changes_something(void **state)
{
	(void)state;
	houses("'ezra':{'profile':'judge'}");
	submit("read_tool", "");
	assert_false(ct_running(&t, id)->plan);
	id = ct_id(2);
	submit("idempotent_tool", "");
	assert_true(ct_running(&t, id)->plan);
}

/* ---- what others see ---- */

static void
health_and_the_local_socket_tell_what_is_held(void **state)
{
	(void)state;
	policy(3, "", "");
	halt(2, "");
	grant(7, "");
	ct_forget(&t);
	ct_begin(&t);
	core_beat(t.core, NULL);
	turn();
	assert_int_equal(ct_num(ct_last(&t, "health/state", NULL, NULL), "sovereign.policy"), 3);
	assert_int_equal(ct_num(ct_last(&t, "health/state", NULL, NULL), "sovereign.halt"), 2);
	assert_int_equal(ct_num(ct_last(&t, "health/state", NULL, NULL), "sovereign.grants"), 7);
	ct_local(&t, 1, "{'op':'signed'}");
	turn();
	assert_int_equal(ct_count(&t, "local", NULL, "signed"), 3);
	ct_last(&t, "local", NULL, "end");
}

static void
what_is_held_is_passed_on(void **state)
{
	(void)state;
	policy(3, "", "");
	grant(7, "");
	ct_forget(&t);
	restart();
	ct_last(&t, "agent/ezra-1/sovereign/policy", NULL, NULL);
	ct_last(&t, "agent/ezra-1/sovereign/grant-g1", NULL, NULL);
}

/* ---- a policy that came after it was asked for ---- */

#define ASKS "{'tool':'exclusive_tool','then':'approve'}"
#define NOT_IN_PRODUCTION "{'tool':'exclusive_tool','production':true,'then':'deny'}," ASKS

static void
is_denied(void)
{
	turn();
	turn();
	assert_string_equal(ct_state(&t, id), "denied");
	assert_null(ct_running(&t, id));
}

static void
what_policy_denies_by_now_is_not_started_by_a_decision(void **state)
{
	(void)state;
	policy(1, "'path:/srv'", ASKS);
	ask("exclusive_tool", "");
	policy(2, "'path:/srv'", NOT_IN_PRODUCTION);
	decide("approve");
	is_denied();
}

static void
nor_by_a_grant(void **state)
{
	(void)state;
	policy(1, "'path:/srv'", ASKS);
	ask("exclusive_tool", "");
	policy(2, "'path:/srv'", NOT_IN_PRODUCTION);
	put_signed(&t, SOVEREIGN_GRANT, "g1", "{'n':1,'time':1,'id':'g1','house':'ezra','tool':'excl*','count':2,'not_before':1,"
	    "'expires':%lld,'live':[{'id':'g1','n':1}]}", T0 + 100000LL);
	is_denied();
}

static void
nor_if_it_comes_between_the_decision_and_the_start(void **state)
{
	(void)state;
	policy(1, "'path:/srv'", ASKS);
	ask("exclusive_tool", "");
	t.idle = t.quick = 0;
	decide("approve");
	assert_string_equal(ct_state(&t, id), "queued");
	policy(2, "'path:/srv'", NOT_IN_PRODUCTION);
	t.idle = 4;
	is_denied();
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_a_key_mode_sovereign_is_refused, setup_unpinned, teardown),
		T(nothing_starts_before_there_is_a_policy),
		T(what_is_not_his_is_not_obeyed),
		T(a_lower_number_changes_nothing),
		T(what_a_rule_denies_is_refused_with_its_reason),
		T(a_queued_task_is_judged_again_by_a_new_policy),
		T(what_changes_something_is_told_what_is_production),
		T(what_policy_denies_by_now_is_not_started_by_a_decision),
		T(nor_by_a_grant),
		T(nor_if_it_comes_between_the_decision_and_the_start),
		T(what_answers_from_memory_has_no_terms),
		T(a_sovereign_task_is_planned_asked_for_and_started_once),
		T(the_hash_is_that_of_the_subject),
		T(only_the_right_decision_releases_it),
		T(what_is_denied_never_starts),
		T(time_out_means_denied),
		T(an_approval_that_ran_out_before_the_start_is_none),
		T(a_decision_that_came_too_early_is_kept),
		T(what_changed_since_it_was_approved_is_denied),
		T(a_row_that_was_changed_does_not_start),
		T(a_damaged_row_starts_nothing),
		T(a_task_that_cannot_be_planned_fails),
		T(a_task_whose_tool_is_gone_does_not_wait_for_ever),
		T(what_nobody_can_plan_ends_in_time_too),
		T(what_a_tool_could_say_it_touches_has_to_be_said),
		T(what_runs_outside_of_its_house_obeys_what_holds_for_it),
		T(what_waits_outside_of_its_house_is_judged_again),
		T(who_submits_may_not_be_who_approves),
		T(it_waits_for_its_time_after_it_was_approved),
		T(what_waits_can_be_cancelled_and_its_request_goes),
		T(an_approved_attempt_that_is_lost_is_uncertain),
		T(what_answers_from_memory_is_approved_after_a_restart_too),
		T(a_decision_is_kept_after_it_was_used),
		T(a_decision_on_what_waits_no_longer_takes_its_request_away),
		T(a_grant_releases_so_many_of_its_kind),
		T(a_grant_releases_what_waits_for_it),
		T(a_request_is_what_the_owner_says),
		T(a_grant_ends_with_its_time_or_when_it_is_revoked),
		T(a_grant_does_not_stand_for_mode_sovereign),
		T(a_grant_that_others_are_said_to_hold_is_waited_for),
		T(nothing_starts_while_the_cluster_is_halted),
		T(a_halted_house_or_tool_does_not_hold_up_others),
		T(what_waits_for_a_worker_is_halted_too),
		T(who_hears_of_more_than_he_holds_starts_nothing),
		T(who_holds_less_for_long_is_given_it_again),
		T(the_archivist_says_what_its_chain_has_read),
		T(the_artificer_takes_nothing_without_proof),
		T(the_judge_is_asked_for_all_that_changes_something),
		T(health_and_the_local_socket_tell_what_is_held),
		T(what_is_held_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
