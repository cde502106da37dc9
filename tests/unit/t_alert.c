#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "alert.h"
#include "topic.h"

static const struct alert_rule rule = { .name = "x", .side = ALERT_ABOVE, .limit = 10, .raise_s = 5, .clear_s = 20 };

static void
it_is_raised_when_it_was_beyond_for_long_enough(void **state)
{
	struct alert_state s = { 0 };

	(void)state;
	assert_int_equal(alert_judge(&s, &rule, 11, 1000), 0);
	assert_int_equal(alert_judge(&s, &rule, 11, 5999), 0);
	assert_int_equal(alert_judge(&s, &rule, 11, 6000), 1);
	assert_true(s.raised);
	assert_int_equal(alert_judge(&s, &rule, 11, 9000), 0);
}

static void
a_moment_within_begins_the_wait_anew(void **state)
{
	struct alert_state s = { 0 };

	(void)state;
	assert_int_equal(alert_judge(&s, &rule, 11, 1000), 0);
	assert_int_equal(alert_judge(&s, &rule, 10, 5000), 0);
	assert_int_equal(alert_judge(&s, &rule, 11, 6000), 0);
	assert_int_equal(alert_judge(&s, &rule, 11, 10999), 0);
	assert_int_equal(alert_judge(&s, &rule, 11, 11000), 1);
}

static void
it_is_cleared_when_it_was_within_for_long_enough_and_does_not_flap(void **state)
{
	struct alert_state s = { .raised = true };

	(void)state;
	for (int64_t ms = 1000; ms < 100000; ms += 10000) {
		assert_int_equal(alert_judge(&s, &rule, 0, ms), 0);
		assert_int_equal(alert_judge(&s, &rule, 11, ms + 5000), 0);
	}
	assert_int_equal(alert_judge(&s, &rule, 0, 200000), 0);
	assert_int_equal(alert_judge(&s, &rule, 0, 219999), 0);
	assert_int_equal(alert_judge(&s, &rule, 0, 220000), -1);
	assert_false(s.raised);
}

static void
without_waits_it_is_raised_and_cleared_at_once(void **state)
{
	const struct alert_rule at_once = { .side = ALERT_BELOW, .limit = 14 };
	struct alert_state s = { 0 };

	(void)state;
	assert_int_equal(alert_judge(&s, &at_once, 14, 1), 0);
	assert_int_equal(alert_judge(&s, &at_once, 13, 2), 1);
	assert_int_equal(alert_judge(&s, &at_once, 14, 3), -1);
}

static void
names_are_found_with_and_without_a_subject(void **state)
{
	(void)state;
	for (int k = 0; k < ALERT_COUNT; k++) {
		char id[64];

		assert_int_equal(alert_kind_find(alert_rules[k].name), k);
		snprintf(id, sizeof id, "%s.ezra-1", alert_rules[k].name);
		assert_int_equal(alert_kind_of(id), k);
		assert_int_equal(alert_kind_find(id), ALERT_COUNT);
		/* A topic's last level holds both. */
		assert_true(strlen(alert_rules[k].name) + 1 + NAME_MAX_LEN < 64);
		assert_true(alert_rules[k].mend[0] && alert_rules[k].what[0]);
	}
	assert_int_equal(alert_kind_of("queue"), ALERT_COUNT);
	assert_int_equal(alert_kind_of(""), ALERT_COUNT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_raised_when_it_was_beyond_for_long_enough),
		cmocka_unit_test(a_moment_within_begins_the_wait_anew),
		cmocka_unit_test(it_is_cleared_when_it_was_within_for_long_enough_and_does_not_flap),
		cmocka_unit_test(without_waits_it_is_raised_and_cleared_at_once),
		cmocka_unit_test(names_are_found_with_and_without_a_subject),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
