#include "score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void
near(double a, double b)
{
	assert_true(fabs(a - b) < 1e-9);
}

static void
by_hand(void **state)
{
	struct score s = { 0 };

	(void)state;
	score_add(&s, 0.8, true);
	score_add(&s, 0.8, false);
	near(score_brier(&s), (0.04 + 0.64) / 2);
	near(score_loss(&s), -(log(0.8) + log(0.2)) / 2);
	near(score_ece(&s), 0.3);       /* 80 % was said, 50 % came */
}

static void
certainty_is_allowed_and_costs(void **state)
{
	struct score s = { 0 };

	(void)state;
	score_add(&s, 1, true);
	score_add(&s, 0, false);
	near(score_brier(&s), 0);
	score_add(&s, 1, false);
	assert_true(isfinite(score_loss(&s)));
	assert_true(score_loss(&s) > 5);
}

/* Nobody gains by saying other than what is true. */
static void
both_are_proper(void **state)
{
	struct score s[101] = { 0 };

	(void)state;
	for (int p = 1; p < 100; p++)
		for (int i = 0; i < 100; i++)
			score_add(&s[p], p / 100.0, i < 70);
	for (int p = 1; p < 100; p++) {
		assert_true(p == 70 || score_brier(&s[p]) > score_brier(&s[70]));
		assert_true(p == 70 || score_loss(&s[p]) > score_loss(&s[70]));
	}
	near(score_ece(&s[70]), 0);
}

static void
nothing_is_no_division_by_zero(void **state)
{
	struct score s = { 0 };

	(void)state;
	near(score_brier(&s), 0);
	near(score_loss(&s), 0);
	near(score_ece(&s), 0);
	near(score_coverage(&s), 0);
	near(score_skill(&s, &s), 0);
}

static void
parts_are_the_whole(void **state)
{
	struct score a = { 0 }, b = { 0 }, all = { 0 };

	(void)state;
	for (int i = 0; i < 50; i++) {
		score_add(i % 2 ? &a : &b, i / 50.0, i % 3 == 0);
		score_time(i % 2 ? &a : &b, 10, i);
		score_add(&all, i / 50.0, i % 3 == 0);
		score_time(&all, 10, i);
	}
	score_join(&a, &b);
	near(score_brier(&a), score_brier(&all));
	near(score_loss(&a), score_loss(&all));
	near(score_ece(&a), score_ece(&all));
	near(score_coverage(&a), 11 / 50.0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_hand),
		cmocka_unit_test(certainty_is_allowed_and_costs),
		cmocka_unit_test(both_are_proper),
		cmocka_unit_test(nothing_is_no_division_by_zero),
		cmocka_unit_test(parts_are_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
