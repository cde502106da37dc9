#include "model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "score.h"
#include "workload.h"

#define NOON 1700000000000

static const struct about some = { .tool = 1, .house = 2, .host = 3, .shape = 4, .hour = 12 };

static double
chance(const struct model *m, const struct about *a, int64_t now_ms)
{
	struct forecast f;

	model_predict(m, a, now_ms, &f);
	return f.p;
}

static int64_t
teach(struct model *m, const struct about *a, int n, int of_ten, int64_t now_ms)
{
	for (int i = 0; i < n; i++) {
		struct outcome o = { .ok = i * 7 % 10 < of_ten, .why = FAILURE_NETWORK, .ms = 80 + i % 41 };

		model_learn(m, a, &o, now_ms += 60000);
	}
	return now_ms;
}

static void
nothing_known_is_a_guess_that_says_so(void **state)
{
	struct model *m = model_new();
	struct forecast f;

	(void)state;
	model_predict(m, &some, NOON, &f);
	assert_true(f.p > 0.5 && f.p < 1);
	assert_true(f.high - f.low > 0.5);
	assert_true(f.p95_ms == 0 && f.why_p == 0);
	assert_int_equal(model_used(m), 0);
	model_free(m);
}

static void
one_failure_is_no_certainty(void **state)
{
	struct model *m = model_new();
	struct outcome o = { .ok = false, .why = FAILURE_CRASH, .ms = -1 };

	(void)state;
	model_learn(m, &some, &o, NOON);
	assert_true(chance(m, &some, NOON) > 0.05);
	model_free(m);
}

static void
rates_are_learned_with_their_interval(void **state)
{
	struct model *m = model_new();
	struct forecast f;
	int64_t now_ms = teach(m, &some, 400, 7, NOON);

	(void)state;
	model_predict(m, &some, now_ms, &f);
	assert_true(fabs(f.p - 0.7) < 0.06);
	assert_true(f.low < 0.7 && f.high > 0.7 && f.high - f.low < 0.25);
	assert_int_equal(f.why, FAILURE_NETWORK);
	assert_true(f.why_p > 0.99);
	assert_true(f.median_ms > 80 && f.median_ms < 120);
	assert_true(f.p95_ms > 105 && f.p95_ms < 140);
	model_free(m);
}

/* What is known of a tool is the guess for a house where it never ran; another house's bad luck is not. */
static void
a_new_house_begins_with_what_its_tool_does(void **state)
{
	struct model *m = model_new();
	struct about good = some, bad = some, fresh = some;
	int64_t now_ms = NOON;

	(void)state;
	bad.house = 5;
	bad.host = 6;
	fresh.house = 7;
	fresh.host = 8;
	for (int i = 0; i < 40; i++) {
		now_ms = teach(m, &good, 10, 9, now_ms);
		now_ms = teach(m, &bad, 10, 2, now_ms);
	}
	assert_true(chance(m, &good, now_ms) > 0.8);
	assert_true(chance(m, &bad, now_ms) < 0.35);
	assert_true(chance(m, &fresh, now_ms) > chance(m, &bad, now_ms) + 0.1);
	assert_true(chance(m, &fresh, now_ms) < chance(m, &good, now_ms) - 0.1);
	model_free(m);
}

static void
an_outage_is_over_when_it_is_long_ago(void **state)
{
	struct model *m = model_new();
	int64_t now_ms = teach(m, &some, 300, 10, NOON);
	double during, later;

	(void)state;
	now_ms = teach(m, &some, 6, 0, now_ms);
	during = chance(m, &some, now_ms);
	later = chance(m, &some, now_ms + 86400000);
	assert_true(during < 0.75);
	assert_true(later > during);
	model_free(m);
}

/* A clock that is set back neither breaks nor ages anything. */
static void
time_may_go_back(void **state)
{
	struct model *m = model_new();
	int64_t now_ms = teach(m, &some, 100, 7, NOON);
	double p = chance(m, &some, now_ms);

	(void)state;
	assert_true(fabs(chance(m, &some, 0) - p) < 1e-9);
	teach(m, &some, 100, 7, 0);
	assert_true(isfinite(chance(m, &some, now_ms)));
	model_free(m);
}

/* Whatever is thrown at it, what it says is a probability. */
static void
many_more_than_it_can_hold(void **state)
{
	struct model *m = model_new();
	struct rng r = { .s = 1 };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct about a = { .tool = rng_next(&r), .house = rng_next(&r) % 3, .host = rng_next(&r), .shape = rng_next(&r), .hour = i % 24 };
		struct outcome o = { .ok = i % 3 != 0, .why = (enum failure)(i % FAILURE_COUNT), .ms = i % 5 ? (double)(rng_next(&r) >> 20) : -1 };
		struct forecast f;

		model_learn(m, i % 2 ? &a : &some, &o, NOON + i);
		model_predict(m, &a, NOON + i, &f);
		assert_true(f.p > 0 && f.p < 1 && f.low >= 0 && f.low <= f.p && f.p <= f.high && f.high <= 1);
		assert_true(f.evidence > 0 && isfinite(f.median_ms) && isfinite(f.p95_ms));
	}
	assert_true(model_used(m) <= MODEL_CELLS);
	/* What is seen all the time is not what goes. */
	assert_true(fabs(chance(m, &some, NOON + 100000) - 2.0 / 3) < 0.15);
	model_free(m);
}

static void
the_same_twice(void **state)
{
	struct model *a = model_new(), *b = model_new();
	struct forecast f;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct model *m = i ? b : a;

		teach(m, &some, 200, 6, NOON);
		model_clear(m);
		assert_int_equal(model_used(m), 0);
		teach(m, &some, 500, 8, NOON);
	}
	model_predict(a, &some, NOON, &f);
	assert_true(f.p == chance(b, &some, NOON));
	model_free(a);
	model_free(b);
}

static void
draws_have_the_mean_and_spread_of_a_beta(void **state)
{
	struct forecast f = { .p = 0.2, .evidence = 10 };
	struct rng r = { .s = 7 };
	double sum = 0, squares = 0;
	int n = 20000;

	(void)state;
	for (int i = 0; i < n; i++) {
		double x = model_draw(&f, rng_next, &r);

		assert_true(x >= 0 && x <= 1);
		sum += x;
		squares += x * x;
	}
	sum /= n;
	assert_true(fabs(sum - 0.2) < 0.005);
	assert_true(fabs(squares / n - sum * sum - 0.2 * 0.8 / 11) < 0.001);
}

/* make bench-intelligence in small: better than the rate of the tool, in every scenario, on a stream it was not tuned on. */
static void
better_than_the_rate_of_the_tool(void **state)
{
	static struct workload w;
	struct model *m = model_new();

	(void)state;
	for (int i = 0; i < nscenarios; i++) {
		struct { double n, s; } tool[WORK_TOOLS] = { { 0, 0 } };
		struct score mine = { 0 }, base = { 0 };
		struct job j;

		model_clear(m);
		workload_init(&w, &scenarios[i], 200001, 6000);
		while (workload_next(&w, &j)) {
			struct outcome o = { .ok = j.u < workload_chance(&w, &j), .why = FAILURE_ERROR, .ms = j.ms };
			struct about a;
			struct forecast f;

			job_about(&j, &a);
			model_predict(m, &a, j.now_ms, &f);
			score_add(&mine, f.p, o.ok);
			score_time(&mine, f.p95_ms, o.ms);
			score_add(&base, (tool[j.tool].s + 1) / (tool[j.tool].n + 2), o.ok);
			model_learn(m, &a, &o, j.now_ms);
			tool[j.tool].n++;
			tool[j.tool].s += o.ok;
		}
		if (score_skill(&mine, &base) <= (scenarios[i].differ ? 0.1 : 0))
			fail_msg("%s: skill %.3f", scenarios[i].name, score_skill(&mine, &base));
		assert_true(score_ece(&mine) < 0.05);
		assert_true(score_coverage(&mine) > 0.92 && score_coverage(&mine) < 0.98);
	}
	model_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_known_is_a_guess_that_says_so),
		cmocka_unit_test(one_failure_is_no_certainty),
		cmocka_unit_test(rates_are_learned_with_their_interval),
		cmocka_unit_test(a_new_house_begins_with_what_its_tool_does),
		cmocka_unit_test(an_outage_is_over_when_it_is_long_ago),
		cmocka_unit_test(time_may_go_back),
		cmocka_unit_test(many_more_than_it_can_hold),
		cmocka_unit_test(the_same_twice),
		cmocka_unit_test(draws_have_the_mean_and_spread_of_a_beta),
		cmocka_unit_test(better_than_the_rate_of_the_tool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
