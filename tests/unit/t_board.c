#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"
#include "clock.h"

#define NOW INT64_C(1764000000000)

static struct board b;

static int
clear(void **state)
{
	(void)state;
	board_release(&b);
	return 0;
}

/* From agent or person who, with times in seconds from now. */
static void
hear(const char *who, const char *name, const char *state, int since_s, int until_s)
{
	char topic[TOPIC_MAX], text[300], since[32], until[32], at[32];

	clock_format(NOW + 1000 * since_s, since, sizeof since);
	clock_format(NOW + 1000 * until_s, until, sizeof until);
	clock_format(NOW, at, sizeof at);
	topic_format(topic, "home", TOPIC_ALERT, who, name);
	snprintf(text, sizeof text, "{\"state\":\"%s\",\"since\":\"%s\",\"time\":\"%s\",\"until\":\"%s\",\"value\":7,\"severity\":\"x\\r\\nBcc: y\"}\n", state,
	    since, at, until);
	assert_true(board_take(&b, "home", topic, text, strlen(text), NOW));
}

static void
mute(const char *who, const char *name, const char *how, int at_s, int until_s)
{
	char topic[TOPIC_MAX], text[300], at[32], until[32];

	clock_format(NOW + 1000 * at_s, at, sizeof at);
	clock_format(NOW + 1000 * until_s, until, sizeof until);
	topic_format(topic, "home", TOPIC_MUTE, who, name);
	snprintf(text, sizeof text, "{\"mute\":\"%s\",\"time\":\"%s\",\"until\":\"%s\"}\n", how, at, until);
	assert_true(board_take(&b, "home", topic, text, how[0] ? strlen(text) : 0, NOW));
}

static bool
is_muted(size_t i, int64_t at)
{
	return board_mute(&b, &b.alerts[i], NOW + 1000 * at) != NULL;
}

static void
what_is_not_said_again_in_time_is_over(void **state)
{
	(void)state;
	hear("ezra-1", "disk-low.ezra-1", "raised", 0, 180);
	assert_int_equal(b.nalerts, 1);
	assert_true(board_is_raised(&b.alerts[0], NOW + 179999));
	assert_false(board_is_raised(&b.alerts[0], NOW + 180000));
	hear("ezra-1", "disk-low.ezra-1", "raised", 0, 240);
	assert_true(board_is_raised(&b.alerts[0], NOW + 180000));
	hear("ezra-1", "disk-low.ezra-1", "cleared", 0, 400);
	assert_false(board_is_raised(&b.alerts[0], NOW));
	assert_int_equal(b.nalerts, 1);
}

/* Its agent's clock is ten minutes behind ours; what is of yesterday was kept by a broker that lets nothing expire. */
static void
clocks_may_differ(void **state)
{
	static const char line[] = "{\"state\":\"raised\",\"time\":\"%s\",\"since\":\"%s\",\"until\":\"%s\"}";
	char topic[] = "uw/home/agent/ezra-1/alert/disk-low.ezra-1", text[300], at[32], until[32];

	(void)state;
	for (int behind_s = 600; behind_s < 100000; behind_s += 85800) {
		clock_format(NOW - 1000 * behind_s, at, sizeof at);
		clock_format(NOW - 1000 * behind_s + 180000, until, sizeof until);
		snprintf(text, sizeof text, line, at, at, until);
		assert_true(board_take(&b, "home", topic, text, strlen(text), NOW));
		assert_int_equal(board_is_raised(&b.alerts[0], NOW + 179999), behind_s == 600);
		assert_false(board_is_raised(&b.alerts[0], NOW + 180000));
	}
}

static void
an_empty_message_takes_it_back(void **state)
{
	(void)state;
	hear("ezra-1", "disk-low.ezra-1", "raised", 0, 180);
	assert_true(board_take(&b, "home", "uw/home/agent/ezra-1/alert/disk-low.ezra-1", "", 0, NOW));
	assert_false(board_is_raised(&b.alerts[0], NOW));
}

/* A new connection: what the broker still keeps is heard again. */
static void
what_is_in_doubt_is_over_unless_it_is_heard_again(void **state)
{
	(void)state;
	hear("ezra-1", "disk-low.ezra-1", "raised", 0, 180);
	hear("ezra-1", "queue-age.ezra", "raised", 0, 180);
	mute("operator", "queue-age", "silence", 0, 3600);
	mute("timmy", "disk-low", "silence", 0, 3600);
	board_doubt(&b, NOW + 5000);
	assert_true(board_is_raised(&b.alerts[0], NOW + 4999));
	assert_false(board_is_raised(&b.alerts[0], NOW + 5000));
	assert_false(is_muted(0, 1));
	hear("ezra-1", "queue-age.ezra", "raised", 0, 180);
	mute("operator", "queue-age", "silence", 0, 3600);
	assert_true(board_is_raised(&b.alerts[1], NOW + 5000));
	assert_true(is_muted(1, 1));
	assert_int_equal(b.nmutes, 1);
}

static void
what_is_no_alert_is_not_shown(void **state)
{
	(void)state;
	assert_false(board_take(&b, "home", "uw/home/agent/ezra-1/health/state", "{}", 2, NOW));
	assert_false(board_take(&b, "away", "uw/home/agent/ezra-1/alert/disk-low", "{}", 2, NOW));
	assert_true(board_take(&b, "home", "uw/home/agent/ezra-1/alert/something-else", "{}", 2, NOW));
	assert_true(board_take(&b, "home", "uw/home/agent/ezra-1/alert/disk-low.A B", "{}", 2, NOW));
	assert_int_equal(b.nalerts, 0);
	assert_true(board_take(&b, "home", "uw/home/agent/ezra-1/alert/disk-low.ezra-1", "no json", 7, NOW));
	assert_false(board_is_raised(&b.alerts[0], NOW));
}

static void
an_ack_is_for_one_raising(void **state)
{
	(void)state;
	hear("ezra-1", "queue-age.ezra", "raised", -60, 180);
	hear("ezra-1", "queue-age.timmy", "raised", -60, 180);
	mute("operator", "queue-age.ezra", "ack", 0, 86400);
	assert_true(is_muted(0, 10));
	assert_false(is_muted(1, 10));
	hear("ezra-1", "queue-age.ezra", "cleared", -60, 180);
	hear("ezra-1", "queue-age.ezra", "raised", 30, 300);
	assert_false(is_muted(0, 40));
}

static void
a_silence_is_for_a_time_and_may_be_for_a_kind(void **state)
{
	(void)state;
	hear("ezra-1", "queue-age.ezra", "raised", -60, 180);
	hear("ezra-1", "disk-low.ezra-1", "raised", -60, 180);
	mute("operator", "queue-age", "silence", 0, 3600);
	assert_true(is_muted(0, 3599));
	assert_false(is_muted(0, 3600));
	assert_false(is_muted(1, 10));
	hear("ezra-1", "queue-age.ezra", "raised", 30, 300);
	assert_true(is_muted(0, 40));
	/* Somebody else's stays. */
	mute("timmy", "queue-age", "silence", 0, 3600);
	mute("operator", "queue-age", "", 0, 0);
	assert_int_equal(b.nmutes, 1);
	assert_true(is_muted(0, 40));
	mute("timmy", "queue-age", "", 0, 0);
	assert_false(is_muted(0, 40));
}

static void
texts_that_are_passed_on_are_ours(void **state)
{
	struct buf out = { 0 };

	(void)state;
	hear("ezra-1", "disk-low.ezra-1", "raised", 0, 180);
	buf_addc(&out, '{');
	board_put(&out, &b, &b.alerts[0], NOW);
	buf_addc(&out, '}');
	assert_null(strstr(buf_str(&out), "Bcc"));
	assert_non_null(strstr(buf_str(&out), "\"severity\":\"critical\""));
	assert_non_null(strstr(buf_str(&out), "TROUBLESHOOTING.md#disk-low"));
	buf_free(&out);
}

static void
there_is_an_end_to_what_is_kept(void **state)
{
	char name[ALERT_NAME_MAX];

	(void)state;
	for (int i = 0; i < BOARD_ALERTS + 10; i++) {
		snprintf(name, sizeof name, "queue-age.h%d", i);
		hear("ezra-1", name, "raised", 0, 180);
		mute("operator", name, "silence", 0, 60);
	}
	assert_int_equal(b.nalerts, BOARD_ALERTS);
	assert_int_equal(b.nmutes, BOARD_MUTES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_not_said_again_in_time_is_over, clear),
		cmocka_unit_test_teardown(clocks_may_differ, clear),
		cmocka_unit_test_teardown(an_empty_message_takes_it_back, clear),
		cmocka_unit_test_teardown(what_is_in_doubt_is_over_unless_it_is_heard_again, clear),
		cmocka_unit_test_teardown(what_is_no_alert_is_not_shown, clear),
		cmocka_unit_test_teardown(an_ack_is_for_one_raising, clear),
		cmocka_unit_test_teardown(a_silence_is_for_a_time_and_may_be_for_a_kind, clear),
		cmocka_unit_test_teardown(texts_that_are_passed_on_are_ours, clear),
		cmocka_unit_test_teardown(there_is_an_end_to_what_is_kept, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
