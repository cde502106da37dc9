/* Attempts are packed and come back as they were; damaged bytes are noticed or harmless, never more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "learner.h"
#include "past.h"

#define T0 1764000000000

static uint64_t seed;

static unsigned
any(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static struct past
some(void)
{
	static const char *const names[] = { "", "ezra", "timmy-1", "bezalel-with-a-long-name-2", "http_get", "x" };
	struct past x = { .at_ms = T0 + (int)any(1000000) - 500000,
		.shape = any(3) ? 77 : any(1u << 30), .ok = any(2), .us = (int)any(9999999) - 1, .bytes = any(4) ? 0 : any(1u << 20), .heard = any(2) };

	snprintf(x.house, sizeof x.house, "%s", names[any(6)]);
	snprintf(x.host, sizeof x.host, "%s", names[any(6)]);
	snprintf(x.tool, sizeof x.tool, "%s", names[any(6)]);
	snprintf(x.after, sizeof x.after, "%s", names[any(6)]);
	x.why = x.ok ? FAILURE_OTHER : (enum failure)any(FAILURE_COUNT);
	if (any(2))
		past_foretell(&x, any(1000) / 1000.0, any(1000) / 1000.0, 1, any(100000) / 7.0);
	if (!any(4))
		x.timeout_s = (int)any(86400);
	if (!any(8))
		snprintf(x.instead, sizeof x.instead, "%s", names[any(6)]);
	x.gave_up = !any(8);
	if (!any(5)) {
		x.what = (enum past_what)(1 + any(PAST_COUNT - 1));
		x.ok = false;
		x.why = FAILURE_OTHER;
		x.us = x.bytes = 0;
		x.failures = x.what == PAST_BREAKER ? (int)any(10000) : 0;
	}
	return x;
}

static void
same(const struct past *a, const struct past *b)
{
	assert_int_equal(a->at_ms, b->at_ms);
	assert_string_equal(a->house, b->house);
	assert_string_equal(a->host, b->host);
	assert_string_equal(a->tool, b->tool);
	assert_string_equal(a->after, b->after);
	assert_string_equal(a->instead, b->instead);
	assert_true(a->shape == b->shape && a->ok == b->ok && a->why == b->why && a->heard == b->heard);
	assert_true(a->us == b->us && a->bytes == b->bytes && a->foretold == b->foretold);
	assert_true(a->p == b->p && a->p_all == b->p_all && a->p_tool == b->p_tool && a->p95_ms == b->p95_ms);
	assert_true(a->timeout_s == b->timeout_s && a->gave_up == b->gave_up);
	assert_true(a->what == b->what && a->failures == b->failures);
}

static void
what_is_packed_comes_back(void **state)
{
	struct past_pack k = { .out = { 0 } };
	struct past in[200];

	(void)state;
	for (seed = 1; seed < 50; seed++) {
		uint64_t keep = seed;
		const unsigned char *p, *end;
		struct past x = { 0 };

		for (int i = 0; i < 200; i++) {
			in[i] = some();
			past_pack_add(&k, &in[i]);
		}
		p = (const unsigned char *)k.out.data;
		end = p + k.out.len;
		for (int i = 0; i < 200; i++) {
			assert_int_equal(past_unpack(&p, end, &x), 0);
			same(&in[i], &x);
		}
		assert_ptr_equal(p, end);
		past_pack_clear(&k);
		seed = keep;
	}
	past_pack_free(&k);
}

static void
what_is_alike_is_small(void **state)
{
	struct past_pack k = { .out = { 0 } };
	struct past x = { .at_ms = T0, .house = "ezra", .host = "ezra-1", .tool = "noop", .after = "noop", .ok = true, .us = 40 };
	size_t first;

	(void)state;
	past_foretell(&x, 0.93, 0.91, 0.92, 12.5);
	past_pack_add(&k, &x);
	first = k.out.len;
	past_pack_add(&k, &x);
	assert_true(k.out.len - first <= 20);
	past_pack_free(&k);
}

static void
damaged_bytes_do_no_harm(void **state)
{
	struct learner *l = learner_new();
	struct past_pack k = { .out = { 0 } };

	(void)state;
	for (seed = 1; seed < 2000; seed++) {
		uint64_t keep = seed;
		const unsigned char *p, *end;
		struct past x = { 0 };
		size_t len;

		for (int i = 0; i < 5; i++) {
			struct past y = some();

			past_pack_add(&k, &y);
		}
		len = any((unsigned)k.out.len + 1);
		for (int i = 0; i < 3; i++)
			k.out.data[any((unsigned)k.out.len)] = (char)any(256);
		p = (const unsigned char *)k.out.data;
		end = p + len;
		while (p < end && past_unpack(&p, end, &x) == 0) {
			assert_true(x.us >= -1 && x.bytes >= 0 && x.p >= 0 && x.p <= 1 && x.timeout_s >= 0);
			learner_learn(l, &x);
		}
		past_pack_clear(&k);
		seed = keep;
	}
	past_pack_free(&k);
	learner_free(l);
}

static void
the_same_order_teaches_the_same(void **state)
{
	struct learner *a = learner_new(), *b = learner_new();
	struct past_pack k = { .out = { 0 } };
	const unsigned char *p, *end;
	struct past x = { 0 };
	struct about about;
	struct said s, t;

	(void)state;
	for (seed = 5; k.out.len < 20000;) {
		struct past y = some();

		past_pack_add(&k, &y);
		learner_learn(a, &y);
	}
	p = (const unsigned char *)k.out.data;
	for (end = p + k.out.len; p < end; learner_learn(b, &x))
		assert_int_equal(past_unpack(&p, end, &x), 0);
	past_about(&x, &about);
	learner_expect(a, &about, T0 + 10, &s);
	learner_expect(b, &about, T0 + 10, &t);
	assert_true(s.f.p == t.f.p && s.f.p95_ms == t.f.p95_ms && s.p_tool == t.p_tool && s.p_all == t.p_all);
	assert_true(score_brier(&a->said) == score_brier(&b->said) && a->said.n == b->said.n && a->said.n > 0);
	learner_clear(a);
	assert_int_equal(a->n, 0);
	learner_expect(a, &about, T0 + 10, &s);
	assert_true(s.f.p95_ms == 0 && s.p_all == 0.5);
	past_pack_free(&k);
	learner_free(a);
	learner_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_comes_back),
		cmocka_unit_test(what_is_alike_is_small),
		cmocka_unit_test(damaged_bytes_do_no_harm),
		cmocka_unit_test(the_same_order_teaches_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
