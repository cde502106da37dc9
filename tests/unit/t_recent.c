#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "recent.h"

#define ID "01M8PD1JXZP12F14D5402VKAAY"

static struct recent r;

static int
begin(void **state)
{
	(void)state;
	recent_init(&r);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	recent_release(&r);
	return 0;
}

static void
take(const char *house, const char *text, bool row)
{
	cJSON *o = json_parse_object(text, strlen(text), NULL);

	assert_non_null(o);
	if (row)
		recent_take_row(&r, o, 1);
	else
		recent_take_event(&r, house, o, 1);
	cJSON_Delete(o);
}

static void
event(const char *house, const char *type, const char *more)
{
	char text[512];

	snprintf(text, sizeof text, "{\"type\":\"%s\",\"id\":\"" ID "\",\"time\":\"2026-11-30T14:00:00.000Z\"%s}", type, more);
	take(house, text, false);
}

static const struct recent_task *
it(void)
{
	return recent_find(&r, ID);
}

static void
test_a_task_from_its_start_to_its_end(void **state)
{
	(void)state;
	event("ezra", "accepted", ",\"sender\":\"operator\",\"task\":{\"tool\":\"file_read\"}");
	assert_int_equal(it()->state, TASK_QUEUED);
	assert_string_equal(it()->tool, "file_read");
	assert_string_equal(it()->sender, "operator");
	event("ezra", "started", ",\"tool\":\"file_read\",\"attempt\":1,\"agent\":\"ezra-1\"");
	assert_int_equal(recent_group_of(it()), RECENT_RUNNING);
	assert_string_equal(it()->agent, "ezra-1");
	event("ezra", "cancelling", "");
	assert_true(it()->stopping);
	event("ezra", "outcome", ",\"state\":\"failed\",\"error\":{\"code\":\"io\",\"message\":\"no disk\"}");
	assert_int_equal(recent_group_of(it()), RECENT_BAD);
	assert_string_equal(it()->why, "io: no disk");
	assert_false(it()->stopping);
	assert_int_equal(r.ended, 1);
	assert_int_equal(r.n, 1);
}

static void
test_an_end_is_final(void **state)
{
	(void)state;
	event("ezra", "outcome", ",\"state\":\"succeeded\",\"tool\":\"noop\"");
	take(NULL, "{\"id\":\"" ID "\",\"house\":\"ezra\",\"state\":\"running\",\"tool\":\"noop\",\"accepted\":\"2026-11-30T13:00:00.000Z\"}", true);
	assert_int_equal(it()->state, TASK_SUCCEEDED);
}

static void
test_the_house_is_believed_before_the_router(void **state)
{
	(void)state;
	event("_", "accepted", ",\"task\":{\"tool\":\"noop\"}");
	assert_string_equal(it()->house, "_");
	event("ezra", "accepted", ",\"task\":{\"tool\":\"noop\"}");
	event("ezra", "started", "");
	event("_", "forwarded", ",\"to\":\"ezra\"");
	event("_", "accepted", ",\"task\":{\"tool\":\"noop\"}");
	assert_string_equal(it()->house, "ezra");
	assert_int_equal(it()->state, TASK_RUNNING);
	event("ezra", "handed_over", ",\"to\":\"timmy\"");
	assert_null(it());
}

static void
test_nonsense_is_left_alone(void **state)
{
	(void)state;
	take("ezra", "{\"type\":\"outcome\",\"id\":\"short\",\"state\":\"failed\"}", false);
	take("ezra", "{\"type\":\"outcome\",\"id\":12,\"state\":\"failed\"}", false);
	event("ezra", "outcome", ",\"state\":\"nonsense\"");
	event("ezra", "breaker", "");
	take(NULL, "{\"house\":\"ezra\",\"state\":\"running\"}", true);
	assert_int_equal(r.n, 0);
}

static void
test_what_ended_makes_room(void **state)
{
	char text[256];

	(void)state;
	for (int i = 0; i < RECENT_MAX; i++) {
		snprintf(text, sizeof text, "{\"id\":\"01M8PD1JXZP12F14D5402%05d\",\"house\":\"ezra\",\"state\":\"%s\",\"tool\":\"noop\","
		    "\"accepted\":\"2026-11-30T13:00:00.000Z\"}", i, i == 7 || i == 9 ? "succeeded" : "queued");
		take(NULL, text, true);
	}
	assert_int_equal(r.n, RECENT_MAX);
	event("ezra", "accepted", "");
	assert_int_equal(r.n, RECENT_MAX);
	assert_non_null(it());
	assert_null(recent_find(&r, "01M8PD1JXZP12F14D540200007"));
	assert_non_null(recent_find(&r, "01M8PD1JXZP12F14D540200009"));
}

static void
test_lists(void **state)
{
	const struct recent_task *out[2];

	(void)state;
	for (int i = 0; i < 5; i++) {
		char text[256];

		snprintf(text, sizeof text, "{\"id\":\"01M8PD1JXZP12F14D540200%03d\",\"house\":\"%s\",\"state\":\"failed\",\"tool\":\"noop\","
		    "\"accepted\":\"2026-11-30T13:00:00.000Z\",\"finished\":\"2026-11-30T13:00:0%d.000Z\"}", i, i == 4 ? "timmy" : "ezra", i);
		take(NULL, text, true);
	}
	assert_int_equal(recent_list(&r, RECENT_BAD, "ezra", out, 2), 4);
	assert_string_equal(out[0]->id, "01M8PD1JXZP12F14D540200003");
	assert_string_equal(out[1]->id, "01M8PD1JXZP12F14D540200002");
	assert_int_equal(recent_list(&r, RECENT_BAD, NULL, out, 0), 5);
	assert_int_equal(recent_list(&r, RECENT_DONE, NULL, out, 2), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_task_from_its_start_to_its_end, begin, end),
		cmocka_unit_test_setup_teardown(test_an_end_is_final, begin, end),
		cmocka_unit_test_setup_teardown(test_the_house_is_believed_before_the_router, begin, end),
		cmocka_unit_test_setup_teardown(test_nonsense_is_left_alone, begin, end),
		cmocka_unit_test_setup_teardown(test_what_ended_makes_room, begin, end),
		cmocka_unit_test_setup_teardown(test_lists, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
