/* The gate between states, and a task as somebody sends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json.h"
#include "task.h"

static void
state_names_and_numbers_agree(void **state)
{
	enum task_state s;

	(void)state;
	for (int i = 0; i < TASK_NSTATES; i++) {
		assert_int_equal(task_state_parse(task_state_name((enum task_state)i), &s), 0);
		assert_int_equal(s, i);
	}
	assert_int_equal(task_state_parse("done", &s), -1);
	assert_int_equal(task_state_parse("", &s), -1);
	assert_string_equal(task_state_name(TASK_NSTATES), "?");
	/* They are on disks: a number is never another state's. */
	assert_int_equal(TASK_QUEUED, 3);
	assert_int_equal(TASK_FORWARDED, 8);
	assert_int_equal(TASK_DENIED, 14);
}

static void
nothing_leaves_a_terminal_state(void **state)
{
	(void)state;
	for (int from = 0; from < TASK_NSTATES; from++)
		for (int to = 0; to < TASK_NSTATES; to++)
			if (task_state_is_terminal((enum task_state)from))
				assert_false(task_may_enter((enum task_state)from, (enum task_state)to));
}

static void
every_open_state_leads_to_an_end_and_none_to_itself(void **state)
{
	(void)state;
	for (int from = 0; from < TASK_NSTATES; from++) {
		bool ends = false;

		assert_false(task_may_enter((enum task_state)from, (enum task_state)from));
		assert_false(task_may_enter((enum task_state)from, TASK_ACCEPTED));
		for (int to = 0; to < TASK_NSTATES; to++)
			ends |= task_state_is_terminal((enum task_state)to) && task_may_enter((enum task_state)from, (enum task_state)to);
		assert_true(ends != task_state_is_terminal((enum task_state)from));
	}
}

static void
what_was_started_is_not_queued_again_by_others(void **state)
{
	(void)state;
	assert_false(task_may_enter(TASK_QUEUED, TASK_SUCCEEDED));
	assert_false(task_may_enter(TASK_STARTING, TASK_RETRYING));
	assert_false(task_may_enter(TASK_STARTING, TASK_SCHEDULED));
	assert_false(task_may_enter(TASK_UNCERTAIN, TASK_RUNNING));
	assert_false(task_may_enter(TASK_UNCERTAIN, TASK_RETRYING));
	assert_false(task_may_enter(TASK_UNCERTAIN, TASK_EXPIRED));
	assert_false(task_may_enter(TASK_WAITING, TASK_RUNNING));
	assert_false(task_may_enter(TASK_WAITING, TASK_STARTING));
	assert_false(task_may_enter(TASK_FORWARDED, TASK_RUNNING));
	assert_false(task_may_enter(TASK_FORWARDED, TASK_STARTING));
	assert_true(task_may_enter(TASK_STARTING, TASK_UNCERTAIN));
	assert_true(task_may_enter(TASK_RUNNING, TASK_RETRYING));
	assert_true(task_may_enter(TASK_WAITING, TASK_DENIED));
}

/* ---- messages ---- */

static cJSON *tree;

static int
read_task(const char *text, struct task_msg *m, struct err *e)
{
	char copy[2048];

	snprintf(copy, sizeof copy, "%s", text);
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	cJSON_Delete(tree);
	tree = json_parse_object(copy, strlen(copy), e);
	if (!tree)
		fail_msg("%s: %s", copy, e->msg);
	return task_msg_read(tree, m, e);
}

static void
the_least_task_has_defaults(void **state)
{
	struct task_msg m;
	struct err e;

	(void)state;
	assert_int_equal(read_task("{'tool':'noop'}", &m, &e), 0);
	assert_string_equal(m.tool, "noop");
	assert_false(m.has_id);
	assert_null(m.params);
	assert_int_equal(m.mode, MODE_SIMPLE);
	assert_int_equal(m.priority, TASK_PRIORITY_DEFAULT);
	assert_int_equal(m.timeout_s, 0);
	assert_int_equal(m.retry_max, 0);
	assert_null(m.key);
	assert_string_equal(m.from, "");
	/* null counts as absent, everywhere. */
	assert_int_equal(read_task("{'tool':'noop','id':null,'params':null,'mode':null,'priority':null,'not_before':null,"
	    "'deadline':null,'timeout_s':null,'retry':null,'key':null,'after':null,'labels':null,'from':null,'reply':null}",
	    &m, &e), 0);
	assert_int_equal(m.priority, TASK_PRIORITY_DEFAULT);
}

static void
every_field_is_read(void **state)
{
	struct task_msg m;
	struct err e;
	char id[ULID_TEXT];

	(void)state;
	assert_int_equal(read_task("{'id':'01kav9ft000000000000000001','tool':'noop','params':{'a':1},'mode':'sovereign','priority':9,"
	    "'not_before':'2025-11-24T17:00:00+01:00','deadline':1764000001000,'timeout_s':30,"
	    "'retry':{'max':7},'key':'k','labels':{'x':'y'},'after':[],'parent':'p','retry_of':'r','traceparent':'t','from':'me',"
	    "'reply':{'topic':'a','correlation':'00'}}", &m, &e), 0);
	ulid_format(&m.id, id);
	assert_string_equal(id, "01KAV9FT000000000000000001");
	assert_int_equal(m.mode, MODE_SOVEREIGN);
	assert_int_equal(m.priority, 9);
	assert_int_equal(m.not_before_ms, 1764000000000);
	assert_int_equal(m.deadline_ms, 1764000001000);
	assert_int_equal(m.timeout_s, 30);
	assert_int_equal(m.retry_max, 7);
	assert_int_equal(m.retry_base_s, 2);
	assert_int_equal(m.retry_cap_s, 300);
	assert_string_equal(m.key, "k");
	assert_string_equal(m.from, "me");
	assert_string_equal(m.reply_topic, "a");
	assert_string_equal(m.reply_correlation, "00");
	assert_non_null(m.params);
	assert_non_null(m.labels);
}

static void
a_wrong_field_is_named(void **state)
{
	static const struct {
		const char *text, *field;
	} bads[] = {
		{ "{}", "tool" }, { "{'tool':''  ,'id':5}", "id" }, { "{'tool':'a','id':'01KAV9FT00000000000000000'}", "id" },
		{ "{'tool':'a','id':'01KAV9FT0000000000000000011'}", "id" }, { "{'tool':'a','id':'81KAV9FT000000000000000001'}", "id" },
		{ "{'tool':'a','id':'01KAV9FT00000000000000000U'}", "id" }, { "{'tool':[]}", "tool" },
		{ "{'tool':'123456789012345678901234567890123456789012345678'}", "tool" }, { "{'tool':'a','params':1}", "params" },
		{ "{'tool':'a','mode':1}", "mode" }, { "{'tool':'a','mode':'Simple'}", "mode" }, { "{'tool':'a','priority':-1}", "priority" },
		{ "{'tool':'a','priority':'5'}", "priority" }, { "{'tool':'a','not_before':0}", "not_before" },
		{ "{'tool':'a','not_before':-1}", "not_before" }, { "{'tool':'a','deadline':true}", "deadline" },
		{ "{'tool':'a','deadline':'2025-02-30T00:00:00Z'}", "deadline" }, { "{'tool':'a','timeout_s':604801}", "timeout_s" },
		{ "{'tool':'a','retry':{'max':101}}", "retry.max" }, { "{'tool':'a','retry':{'base_s':0}}", "retry.base_s" },
		{ "{'tool':'a','retry':{'cap_s':'x'}}", "retry.cap_s" }, { "{'tool':'a','retry':[]}", "retry" },
		{ "{'tool':'a','key':5}", "key" }, { "{'tool':'a','labels':[]}", "labels" }, { "{'tool':'a','after':{}}", "after" },
		{ "{'tool':'a','after':['b']}", "after" }, { "{'tool':'a','parent':1}", "parent" }, { "{'tool':'a','retry_of':1}", "retry_of" }, { "{'tool':'a','traceparent':1}", "traceparent" },
		{ "{'tool':'a','from':'a-name-that-is-longer-than-thirty-two'}", "from" }, { "{'tool':'a','reply':'x'}", "reply" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
		struct task_msg m;
		struct err e = { 0 };

		if (read_task(bads[i].text, &m, &e) == 0)
			fail_msg("%s was taken", bads[i].text);
		if (strcmp(e.field, bads[i].field) != 0)
			fail_msg("%s: field %s", bads[i].text, e.field);
		assert_true(e.expected[0]);
	}
}

static void
a_key_has_a_length(void **state)
{
	char text[400];
	struct task_msg m;
	struct err e;

	(void)state;
	snprintf(text, sizeof text, "{'tool':'a','key':'%0200d'}", 1);
	assert_int_equal(read_task(text, &m, &e), 0);
	snprintf(text, sizeof text, "{'tool':'a','key':'%0201d'}", 1);
	assert_int_equal(read_task(text, &m, &e), -1);
	assert_string_equal(e.field, "key");
}

static int
forget(void **state)
{
	(void)state;
	cJSON_Delete(tree);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_names_and_numbers_agree),
		cmocka_unit_test(nothing_leaves_a_terminal_state),
		cmocka_unit_test(every_open_state_leads_to_an_end_and_none_to_itself),
		cmocka_unit_test(what_was_started_is_not_queued_again_by_others),
		cmocka_unit_test(the_least_task_has_defaults),
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(a_wrong_field_is_named),
		cmocka_unit_test(a_key_has_a_length),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
