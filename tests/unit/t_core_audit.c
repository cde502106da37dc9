/* The audit chain as the core writes it. */
#include "coretest.h"

#include "audit_check.h"
#include "dsse.h"
#include "state.h"

static struct coretest t;
static struct net net;
static struct sign_key *key;

/* What the last reading of a chain has shown. */
static struct audit_check check;
static char said[512];
static cJSON *records;                  /* an array of statements' predicates, with "outcome" */
static int nown;

static int
sign(void *arg, const char *type, const void *payload, size_t len, struct buf *envelope, struct err *e)
{
	(void)e;
	dsse_make(envelope, type, payload, len, arg);
	return 0;
}

static int
key_of(void *arg, const char *binding, char agent[64], struct sign_public *out, struct err *e)
{
	(void)arg;
	(void)e;
	snprintf(agent, 64, "%s", binding);
	*out = *sign_key_public(key);
	return 0;
}

static void
on_problem(void *arg, const char *name, const char *text)
{
	(void)arg;
	(void)name;
	if (!said[0])
		snprintf(said, sizeof said, "%s", text);
}

static void
on_record(void *arg, const struct audit_record *r, const struct audit_seal *s, const char *own)
{
	struct buf b = { 0 };
	cJSON *o, *p;

	(void)arg;
	(void)s;
	nown += own != NULL;
	audit_put_record(&b, r);
	o = json_parse_object(b.data, b.len, NULL);
	assert_non_null(o);
	p = cJSON_DetachItemFromObjectCaseSensitive(o, "predicate");
	cJSON_AddStringToObject(p, "outcome", json_text(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(
	    cJSON_GetObjectItemCaseSensitive(o, "subject"), 0), "digest"), "sha256"));
	cJSON_AddItemToArray(records, p);
	cJSON_Delete(o);
	buf_free(&b);
}

static struct buf *
next_line(void *arg)
{
	struct buf *b = arg;

	json_put_open(b, '{');
	json_kv_str(b, "type", "audit_page");
	return b;
}

/* Reads it as an export does, and checks it. */
static int64_t
read_chain(struct core *c)
{
	struct buf b = { 0 };
	int64_t page = 1;

	audit_check_release(&check);
	cJSON_Delete(records);
	records = cJSON_CreateArray();
	said[0] = '\0';
	nown = 0;
	check = (struct audit_check){ .name = c->o.agent, .problem = on_problem, .record = on_record,
		.key = c->o.sign ? key_of : NULL };
	json_put_open(&b, '{');
	json_kv_str(&b, "type", "audit");
	audit_put_chain(c, &b);
	out_end_line(&b);
	while (page)
		page = audit_answer(c, page, 0, next_line, &b);
	for (char *p = b.data, *nl; (nl = strchr(p, '\n')); p = nl + 1)
		audit_check_line(&check, p, (size_t)(nl - p));
	audit_check_end(&check);
	buf_free(&b);
	return check.problems;
}

static void
assert_good(struct core *c, int64_t n)
{
	if (read_chain(c))
		fail_msg("%s", said);
	assert_int_equal(check.records, n);
}

/* The i-th record. */
static const cJSON *
record(int i)
{
	return cJSON_GetArrayItem(records, i);
}

static int
setup_with(const char *more)
{
	ct_setup(&t, more);
	ct_begin(&t);
	ct_up(&t, false);
	assert_int_equal(ct_turn(&t), 0);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_with(NULL);
}

static int
setup_signed(void **state)
{
	(void)state;
	key = sign_key_new();
	setup_with(NULL);
	t.sign = sign;
	t.sign_arg = key;
	t.sign_binding = "ezra-1";
	ct_kill(&t);
	ct_begin(&t);
	ct_up(&t, false);
	assert_int_equal(ct_turn(&t), 0);
	return 0;
}

static int
setup_short(void **state)
{
	(void)state;
	return setup_with("retention: { audit: 50 }\n");
}

static int
teardown(void **state)
{
	(void)state;
	audit_check_release(&check);
	cJSON_Delete(records);
	records = NULL;
	sign_key_free(key);
	key = NULL;
	ct_teardown(&t);
	return 0;
}

static void
turn(void)
{
	if (!t.open)
		ct_begin(&t);
	if (ct_turn(&t))
		fail_msg("%s", t.e.msg);
}

/* From n on, each ended before the next begins. */
static void
run_tasks(int from, int n, const char *tool)
{
	for (int i = from; i < from + n; i++) {
		ct_begin(&t);
		ct_taskf(&t, "ezra", "me", "{'tool':'%s','id':'%s'}", tool, ct_id(i));
		turn();
		ct_begin(&t);
		ct_end_all(&t);
		turn();
	}
}

static void
a_task_that_ends_is_recorded_with_its_outcome(void **state)
{
	const cJSON *r;

	(void)state;
	run_tasks(1, 1, "read_tool");
	assert_good(t.core, 1);
	r = record(0);
	assert_string_equal(ct_str(r, "task"), ct_id(1));
	assert_string_equal(ct_str(r, "role"), "outcome");
	assert_string_equal(ct_str(r, "sender"), "me");
	assert_string_equal(ct_str(r, "house"), "ezra");
	assert_string_equal(ct_str(r, "agent"), "ezra-1");
	assert_string_equal(ct_str(r, "executor"), "ezra-1");
	assert_string_equal(ct_str(r, "host"), "here");
	assert_string_equal(ct_str(r, "version"), "4");
	assert_string_equal(ct_str(r, "tool"), "read_tool");
	assert_string_equal(ct_str(r, "tool_digest"), registry_digest(t.tools, registry_find(t.tools, "read_tool")));
	assert_string_equal(ct_str(r, "state"), "succeeded");
	assert_string_equal(ct_str(r, "mode"), "");
	assert_int_equal(strlen(ct_str(r, "params")), 64);
	assert_int_equal(ct_num(r, "attempt"), 1);
	assert_true(ct_num(r, "accepted") >= T0);
	assert_true(ct_num(r, "ended") >= ct_num(r, "started"));
}

static void
digests_are_of_canonical_parameters_and_of_the_outcome(void **state)
{
	char hex[CANONICAL_HASH];

	(void)state;
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'noop','params':{'payload':'x'},'id':'%s'}", ct_id(1));
	turn();
	ct_begin(&t);
	ct_end(&t, ct_id(1), POOL_SUCCEEDED, "{\"a\":1}");
	turn();
	assert_good(t.core, 1);
	hash_hex("{\"result\":{\"a\":1}}", 18, hex);
	assert_string_equal(ct_str(record(0), "outcome"), hex);
	hash_hex("{\"payload\":\"x\"}", 15, hex);
	assert_string_equal(ct_str(record(0), "params"), hex);
}

static void
a_turn_is_one_page(void **state)
{
	(void)state;
	ct_begin(&t);
	for (int i = 1; i <= 20; i++)
		ct_taskf(&t, "ezra", "me", "{'tool':'read_tool','id':'%s'}", ct_id(i));
	turn();
	for (int i = 0; i < 20 && ct_health(&t, "ezra", "open"); i++) {
		ct_begin(&t);
		ct_end_all(&t);
		turn();
	}
	assert_good(t.core, 20);
	assert_true(check.pages < 10);
	assert_int_equal(ct_health(&t, NULL, "audit.n"), 20);
}

static void
what_ended_otherwise_says_how(void **state)
{
	(void)state;
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'exclusive_tool','id':'%s'}", ct_id(1));
	ct_taskf(&t, "ezra", "me", "{'tool':'read_tool','id':'%s'}", ct_id(2));
	turn();
	ct_begin(&t);
	ct_end(&t, ct_id(1), POOL_CRASHED, NULL);
	ct_end(&t, ct_id(2), POOL_CRASHED, NULL);
	turn();
	assert_good(t.core, 2);
	assert_string_equal(ct_str(record(0), "state"), "uncertain");
	assert_string_equal(ct_str(record(0), "role"), "outcome");
	/* It will be tried again; that it ran is recorded all the same. */
	assert_string_equal(ct_str(record(1), "state"), "crashed");
	assert_string_equal(ct_str(record(1), "role"), "attempt");
}

static void
it_goes_on_after_a_kill(void **state)
{
	(void)state;
	run_tasks(1, 5, "read_tool");
	ct_kill(&t);
	ct_begin(&t);
	ct_up(&t, false);
	turn();
	run_tasks(6, 5, "read_tool");
	assert_good(t.core, 10);
	assert_int_equal(check.n, 10);
}

static void
a_commit_that_failed_is_made_good(void **state)
{
	(void)state;
	run_tasks(1, 3, "read_tool");
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'read_tool','id':'%s'}", ct_id(4));
	turn();
	ct_begin(&t);
	ct_end_all(&t);
	sqlite3_exec(t.core->db.h, "PRAGMA query_only=ON", NULL, NULL, NULL);
	assert_int_equal(ct_turn(&t), -1);
	assert_int_equal(ct_turn(&t), -1);
	sqlite3_exec(t.core->db.h, "PRAGMA query_only=OFF", NULL, NULL, NULL);
	assert_int_equal(ct_turn(&t), 0);
	run_tasks(5, 3, "read_tool");
	assert_good(t.core, 7);
}

static void
what_the_sovereign_has_a_word_in_has_its_own_envelope(void **state)
{
	(void)state;
	run_tasks(1, 2, "read_tool");
	assert_good(t.core, 2);
	assert_int_equal(nown, 0);
	ct_begin(&t);
	ct_taskf(&t, "ezra", "me", "{'tool':'read_tool','id':'%s'}", ct_id(3));
	turn();
	ct_begin(&t);
	/* As if it had been approved. */
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (struct task *k = t.core->by_seq[i]; k; k = k->next_seq)
			if (k->state == TASK_RUNNING) {
				free(k->approval);
				k->approval = xstrdup("{\"why\":\"a rule\",\"hash\":\"00\",\"by\":\"timmy\",\"until\":9,\"grant\":\"g\"}");
			}
	ct_end_all(&t);
	turn();
	assert_good(t.core, 3);
	assert_int_equal(nown, 1);
	assert_string_equal(ct_str(record(2), "approval.by"), "timmy");
	assert_string_equal(ct_str(record(2), "approval.grant"), "g");
	/* Without it the record is not complete. */
	ct_sql(&t, "DELETE FROM audit_own");
	assert_true(read_chain(t.core) > 0);
	assert_non_null(strstr(said, "no envelope of its own"));
}

static void
what_is_done_to_the_rows_is_found(void **state)
{
	static const char *const deeds[] = {
		"UPDATE audit SET records = zeroblob(length(records)) WHERE page = 5",
		"UPDATE audit SET seal = replace(seal, 'e', 'f') WHERE page = 5",
		"DELETE FROM audit WHERE page = 5",
		"DELETE FROM audit WHERE page = 1",
		"UPDATE audit SET records = (SELECT records FROM audit WHERE page = 6) WHERE page = 5",
		"UPDATE audit SET page = 1000 WHERE page = 5",
		"DELETE FROM audit_keys",
	};

	(void)state;
	run_tasks(1, 10, "read_tool");
	assert_good(t.core, 10);
	for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
		ct_sql(&t, "SAVEPOINT deed");
		ct_sql(&t, deeds[i]);
		if (!read_chain(t.core))
			fail_msg("not found: %s", deeds[i]);
		ct_sql(&t, "ROLLBACK TO deed");
		ct_sql(&t, "RELEASE deed");
	}
	assert_good(t.core, 10);
}

static void
what_is_forgotten_leaves_a_checkpoint(void **state)
{
	(void)state;
	run_tasks(1, 200, "read_tool");
	for (int i = 0; i < 3; i++) {
		ct_pass(&t, 6000);
		ct_begin(&t);
		turn();
	}
	assert_int_equal(read_chain(t.core), 0);
	assert_int_equal(check.records, 50);
	assert_int_equal(check.checkpoint.n, 150);
	assert_int_equal(check.first_n, 151);
	ct_kill(&t);
	ct_begin(&t);
	ct_up(&t, false);
	turn();
	run_tasks(201, 5, "read_tool");
	assert_int_equal(read_chain(t.core), 0);
	assert_int_equal(check.n, 205);
	/* What is cut off by others is not what was forgotten. */
	ct_sql(&t, "DELETE FROM audit WHERE page < 180");
	assert_true(read_chain(t.core) > 0);
}

/* ---- several agents ---- */

static int
net_setup_away(void **state)
{
	(void)state;
	net_setup(&net, 3, "agents: [timmy-1]", NULL);
	net_begin(&net);
	net_run(&net, 1500);
	return 0;
}

static int
net_done(void **state)
{
	(void)state;
	audit_check_release(&check);
	cJSON_Delete(records);
	records = NULL;
	net_teardown(&net);
	return 0;
}

static void
owner_and_executor_record_the_same_outcome(void **state)
{
	struct coretest *timmy = &net.node[1].t;
	char sum[DIGEST_HEX], params[DIGEST_HEX];

	(void)state;
	net_task(&net, "me", "{'tool':'read_tool','id':'%s'}", ct_id(1));
	net_run(&net, 500);
	assert_int_equal(timmy->nrun, 1);
	ct_begin(timmy);
	ct_end(timmy, ct_id(1), POOL_SUCCEEDED, "{\"n\": 1.50}");
	net_run(&net, 1000);
	assert_good(timmy->core, 1);
	assert_string_equal(ct_str(record(0), "role"), "attempt");
	assert_string_equal(ct_str(record(0), "owner"), "ezra-1");
	assert_string_equal(ct_str(record(0), "state"), "succeeded");
	snprintf(sum, sizeof sum, "%s", ct_str(record(0), "outcome"));
	snprintf(params, sizeof params, "%s", ct_str(record(0), "params"));
	assert_good(net.node[0].t.core, 1);
	assert_string_equal(ct_str(record(0), "role"), "outcome");
	assert_string_equal(ct_str(record(0), "executor"), "timmy-1");
	assert_string_equal(ct_str(record(0), "outcome"), sum);
	assert_string_equal(ct_str(record(0), "params"), params);
}

static int nseen;

static void
on_page(void *arg, const struct audit_seal *s, const char *envelope)
{
	(void)arg;
	(void)envelope;
	for (int i = 0; i < s->nseen; i++)
		nseen += s->seen[i].n > 0;
}

/* One that has nothing to do notes it too, and two do not go on noting each other's notes. */
static void
others_note_the_head_that_they_hear(void **state)
{
	struct core *c = net.node[2].t.core;
	struct buf b = { 0 };

	(void)state;
	net_task(&net, "me", "{'tool':'read_tool','id':'%s'}", ct_id(1));
	net_run(&net, 500);
	ct_begin(&net.node[1].t);
	ct_end_all(&net.node[1].t);
	net_run(&net, 400000);
	assert_good(c, 0);
	assert_in_range(check.pages, 1, 2);
	nseen = 0;
	audit_check_release(&check);
	check = (struct audit_check){ .name = "x", .page = on_page, .part = true };
	audit_answer(c, 1, 0, next_line, &b);
	for (char *p = b.data, *nl; (nl = strchr(p, '\n')); p = nl + 1)
		audit_check_line(&check, p, (size_t)(nl - p));
	assert_int_equal(nseen, 2);
	buf_free(&b);
}

#define T(f, s) cmocka_unit_test_setup_teardown(f, s, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_task_that_ends_is_recorded_with_its_outcome, setup),
		T(digests_are_of_canonical_parameters_and_of_the_outcome, setup),
		T(a_turn_is_one_page, setup),
		T(what_ended_otherwise_says_how, setup),
		T(it_goes_on_after_a_kill, setup_signed),
		T(a_commit_that_failed_is_made_good, setup_signed),
		T(what_the_sovereign_has_a_word_in_has_its_own_envelope, setup_signed),
		T(what_is_done_to_the_rows_is_found, setup_signed),
		T(what_is_forgotten_leaves_a_checkpoint, setup_short),
		cmocka_unit_test_setup_teardown(owner_and_executor_record_the_same_outcome, net_setup_away, net_done),
		cmocka_unit_test_setup_teardown(others_note_the_head_that_they_hear, net_setup_away, net_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
