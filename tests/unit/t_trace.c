/* W3C traceparent: what is one, and new ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "trace.h"

#define T "4bf92f3577b34da6a3ce929d0e0e4736"
#define S "00f067aa0ba902b7"

static void
what_the_standard_allows_is_one(void **state)
{
	static const char *const good[] = { "00-" T "-" S "-01", "00-" T "-" S "-00", "00-" T "-" S "-ff", "01-" T "-" S "-01",
		"cc-" T "-" S "-01-more", "00-00000000000000000000000000000001-0000000000000001-00" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!trace_is_valid(good[i]))
			fail_msg("%s is refused", good[i]);
}

static void
what_it_does_not_allow_is_none(void **state)
{
	static const char *const bad[] = { "", "t", "00", "00-" T "-" S, "00-" T "-" S "-", "00-" T "-" S "-1", "00-" T "-" S "-01-more",
		"00-" T "-" S "-01x", "01-" T "-" S "-01x", "ff-" T "-" S "-01", "0g-" T "-" S "-01", "00-" T "-" S "-0G",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" S "-01", "00-" T "_" S "-01", "00_" T "-" S "-01", "00-" T "-" S "_01",
		"00-00000000000000000000000000000000-" S "-01", "00-" T "-0000000000000000-01", " 00-" T "-" S "-01",
		"00-" T "-" S "-01\n", "cc-" T "-" S "-01-more-than-there-is-room-for" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (trace_is_valid(bad[i]))
			fail_msg("\"%s\" is taken", bad[i]);
}

static void
a_new_one_is_valid_and_like_no_other(void **state)
{
	char a[TRACE_MAX], b[TRACE_MAX];

	(void)state;
	trace_make(a);
	trace_make(b);
	assert_true(trace_is_valid(a));
	assert_int_equal(strlen(a), 55);
	assert_string_not_equal(a, b);
	assert_int_not_equal(memcmp(a + 36, b + 36, 16), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_standard_allows_is_one),
		cmocka_unit_test(what_it_does_not_allow_is_none),
		cmocka_unit_test(a_new_one_is_valid_and_like_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
