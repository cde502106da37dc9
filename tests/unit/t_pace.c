/* How many tasks a sender has out: against a house that takes one each service_us, behind a path of path_us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pace.h"

#define MANY 1000000

struct path {
	int64_t path_us, service_us, now_us;
};

/* All that may be out is out, each round: the last of them waits for those before it. */
static int64_t
round_of(struct pace *p, struct path *x, int64_t unanswered)
{
	int64_t lag_us = x->path_us + pace_window(p, unanswered) * x->service_us;

	if (lag_us < x->path_us + x->service_us)
		lag_us = x->path_us + x->service_us;
	x->now_us += lag_us;
	pace_answer(p, x->now_us, lag_us);
	return lag_us;
}

/* Two answers before there were many: so it knows how fast they can be. */
static void
begin(struct pace *p, struct path *x)
{
	*p = (struct pace){ 0 };
	pace_window(p, 1);
	pace_answer(p, x->now_us, x->path_us + x->service_us);
}

static void
few_go_out_as_fast_as_they_are_answered(void **state)
{
	struct path x = { 2000, 50, 0 };
	struct pace p = { 0 };

	(void)state;
	assert_in_range(pace_window(&p, 1), 1, 256);
	for (int i = 0; i < 8; i++)
		round_of(&p, &x, PACE_FEW);
	assert_int_equal(pace_window(&p, PACE_FEW), PACE_FEW);
}

static void
many_do_not_keep_others_waiting(void **state)
{
	static const struct path paths[] = { { 2000, 50, 0 }, { 500, 20, 0 }, { 100000, 50, 0 }, { 2000, 1, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct path x = paths[i];
		struct pace p;
		int64_t fastest = x.path_us + x.service_us, could = x.path_us / x.service_us;

		begin(&p, &x);
		for (int k = 0; k < 200; k++)
			round_of(&p, &x, MANY);
		for (int k = 0; k < 200; k++)
			assert_in_range(round_of(&p, &x, MANY), 0, fastest * 9 / 4);
		/* And uses most of what the house can do, or as much as may be out. */
		assert_true(pace_window(&p, MANY) >= (could < PACE_FEW ? could * 4 / 10 : PACE_FEW));
	}
}

static void
many_end_when_all_are_through(void **state)
{
	struct path x = { 2000, 50, 0 };
	struct pace p;

	(void)state;
	begin(&p, &x);
	for (int i = 0; i < 100; i++)
		round_of(&p, &x, MANY);
	assert_true(pace_window(&p, 10) < 100);
	pace_window(&p, 0);
	for (int i = 0; i < 8; i++)
		round_of(&p, &x, 10);
	assert_int_equal(pace_window(&p, 10), PACE_FEW);
	assert_in_range(pace_window(&p, MANY), 1, 64);
}

static void
slower_answers_never_stop_it(void **state)
{
	struct pace p = { 0 };

	(void)state;
	pace_window(&p, MANY);
	pace_answer(&p, 0, 1000);
	for (int i = 0; i < 50; i++)
		pace_answer(&p, i, 10000000);
	assert_in_range(pace_window(&p, MANY), 1, 32);
	for (int i = 0; i < 1000; i++)
		pace_answer(&p, i, 1400);
	assert_int_equal(pace_window(&p, MANY), PACE_FEW);
}

/* A path that became three times as long is known for that in a quarter of an hour or so; a new connection at once. */
static void
what_was_fast_ages(void **state)
{
	struct path x = { 2000, 50, 0 };
	struct pace p;

	(void)state;
	begin(&p, &x);
	x.path_us = 6000;
	while (x.now_us < 1200ll * 1000000)
		round_of(&p, &x, MANY);
	assert_true(pace_window(&p, MANY) > 60);
	pace_forget(&p);
	assert_int_equal(p.fastest_us, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_go_out_as_fast_as_they_are_answered),
		cmocka_unit_test(many_do_not_keep_others_waiting),
		cmocka_unit_test(many_end_when_all_are_through),
		cmocka_unit_test(slower_answers_never_stop_it),
		cmocka_unit_test(what_was_fast_ages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
