#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "patient.h"

#define HUNG 20000

static struct patient_verdict
judge(struct patient *p, enum vitals_state state, int64_t s)
{
	return patient_judge(p, state, HUNG, s * 1000);
}

static void
who_is_well_is_left_alone(void **state)
{
	struct patient p = { 0 };

	(void)state;
	for (int s = 1; s < 10000; s += 5) {
		struct patient_verdict v = judge(&p, VITALS_WELL, s);

		assert_false(v.end || v.enough || v.raise != VITALS_WELL || v.clear != VITALS_WELL);
	}
}

static void
what_lasts_is_told_once_and_its_end_too(void **state)
{
	struct patient p = { 0 };
	int raised = 0;

	(void)state;
	for (int s = 1; s < 200; s += 5)
		raised += judge(&p, VITALS_DOWN, s).raise == VITALS_DOWN;
	assert_int_equal(raised, 1);
	assert_int_equal(judge(&p, VITALS_WELL, 200).clear, VITALS_DOWN);
	assert_int_equal(judge(&p, VITALS_WELL, 205).clear, VITALS_WELL);
	assert_int_equal(judge(&p, VITALS_FAILING, 210).raise, VITALS_WELL);
	assert_int_equal(judge(&p, VITALS_FAILING, 269).raise, VITALS_WELL);
	assert_int_equal(judge(&p, VITALS_FAILING, 270).raise, VITALS_FAILING);
	/* From one trouble into another. */
	assert_int_equal(judge(&p, VITALS_DOWN, 275).clear, VITALS_FAILING);
	assert_int_equal(judge(&p, VITALS_DOWN, 305).raise, VITALS_DOWN);
}

static void
what_passes_is_not_told(void **state)
{
	struct patient p = { 0 };

	(void)state;
	for (int s = 1; s < 400; s += 2)
		assert_int_equal(judge(&p, s % 20 == 1 ? VITALS_WELL : VITALS_DOWN, s).raise, VITALS_WELL);
}

static void
who_hangs_is_ended_and_told(void **state)
{
	struct patient p = { 0 };
	struct patient_verdict v;

	(void)state;
	assert_false(judge(&p, VITALS_HUNG, 10).end);
	assert_false(judge(&p, VITALS_HUNG, 29).end);
	v = judge(&p, VITALS_HUNG, 30);
	assert_true(v.end);
	assert_int_equal(v.raise, VITALS_HUNG);
	assert_false(judge(&p, VITALS_HUNG, 35).end);
	assert_int_equal(judge(&p, VITALS_WELL, 40).clear, VITALS_HUNG);
}

static void
three_times_within_an_hour(void **state)
{
	struct patient p = { 0 };
	int ends = 0;

	(void)state;
	for (int s = 1; s < 3600; s += 5) {
		struct patient_verdict v = judge(&p, VITALS_HUNG, s);

		ends += v.end;
		assert_false(v.end && v.enough);
		assert_int_equal(v.enough, ends == PATIENT_ENDS && s >= 81);
	}
	assert_int_equal(ends, PATIENT_ENDS);
	/* The first is an hour ago. */
	assert_true(judge(&p, VITALS_HUNG, 21 + 3600).end);
	assert_true(judge(&p, VITALS_HUNG, 25 + 3600).enough == false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_well_is_left_alone),
		cmocka_unit_test(what_lasts_is_told_once_and_its_end_too),
		cmocka_unit_test(what_passes_is_not_told),
		cmocka_unit_test(who_hangs_is_ended_and_told),
		cmocka_unit_test(three_times_within_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
