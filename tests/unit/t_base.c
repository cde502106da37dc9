/* Buffers, errors, histograms, ids, times and topics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "histogram.h"
#include "topic.h"
#include "ulid.h"

static void
a_buffer_stops_at_its_maximum_and_stays_whole(void **state)
{
	struct buf b = { .max = 10 };
	char *taken;

	(void)state;
	assert_string_equal(buf_str(&b), "");
	buf_adds(&b, "12345");
	buf_addf(&b, "%d", 678);
	assert_string_equal(b.data, "12345678");
	buf_adds(&b, "abc");
	assert_false(buf_ok(&b));
	assert_string_equal(b.data, "12345678");
	buf_addc(&b, 'x');      /* full is for good, until cleared */
	assert_int_equal(b.len, 8);
	buf_clear(&b);
	assert_true(buf_ok(&b));
	buf_add(&b, "1234567890", 10);
	assert_true(buf_ok(&b));
	buf_cut(&b, 20);
	assert_int_equal(b.len, 10);
	buf_cut(&b, 3);
	assert_string_equal(b.data, "123");
	taken = buf_take(&b);
	assert_string_equal(taken, "123");
	free(taken);
	assert_int_equal(b.max, 10);
	taken = buf_take(&b);
	assert_string_equal(taken, "");
	free(taken);
	assert_null(buf_reserve(&b, SIZE_MAX));
	buf_free(&b);
}

static void
a_field_error_is_a_sentence_without_control_characters(void **state)
{
	struct err e;
	char got[300];

	(void)state;
	assert_int_equal(err_field(&e, ERR_INVALID, "x", "a\n\x1b[31mb", "a %s", "number"), -1);
	assert_string_equal(e.msg, "x: expected a number, got a  [31mb");
	err_in(&e, "params");
	assert_string_equal(e.field, "params.x");
	assert_string_equal(e.msg, "params.x: expected a number, got a  [31mb");
	err_wrap(&e, "line %d", 3);
	assert_string_equal(e.msg, "line 3: params.x: expected a number, got a  [31mb");
	err_field(&e, ERR_INVALID, "x", NULL, "more");
	assert_string_equal(e.msg, "x: expected more");
	/* Long ones are cut, and never inside a character. */
	for (size_t i = 0; i + 2 < sizeof got; i += 2)
		memcpy(got + i, "\xc3\xa9", 3);
	err_field(&e, ERR_INVALID, got, got, "%s", got);
	assert_true(strlen(e.field) < sizeof e.field);
	assert_true(strlen(e.got) < sizeof e.got);
	assert_string_equal(e.got + strlen(e.got) - 3, "...");
	for (int i = 0; i < 20; i++)
		err_in(&e, "a-rather-long-name-of-something-outside-of-it");
	for (int i = 0; i < 20; i++)
		err_wrap(&e, "%s", got);
	assert_true(strlen(e.msg) < sizeof e.msg);
	assert_int_equal(err_set(NULL, ERR_IO, "x"), -1);
	assert_int_equal(err_wrap(NULL, "x"), -1);
	assert_int_equal(err_in(NULL, "x"), -1);
	for (int i = 0; i < ERR_NCODES; i++)
		assert_true(err_code_name((enum err_code)i)[0]);
}

static void
an_id_is_its_text(void **state)
{
	struct ulid u, v;
	char text[ULID_TEXT];
	uint8_t random[10];

	(void)state;
	for (int n = 0; n < 1000; n++) {
		for (int i = 0; i < 10; i++)
			random[i] = (uint8_t)(n * 31 + i * 77);
		ulid_make(&u, 1764000000000 + n * 12345, random);
		ulid_format(&u, text);
		assert_int_equal(strlen(text), 26);
		assert_true(ulid_parse(text, &v));
		assert_true(ulid_equal(&u, &v));
		assert_int_equal(ulid_time_ms(&v), 1764000000000 + n * 12345);
		for (char *p = text; *p; p++)
			if (*p >= 'A')
				*p = (char)(*p + 32);
		assert_true(ulid_parse(text, &v));
		assert_true(ulid_equal(&u, &v));
	}
	assert_true(ulid_parse("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", &v));
	assert_int_equal(ulid_time_ms(&v), 281474976710655);
	ulid_now(&u);
	ulid_now(&v);
	assert_false(ulid_equal(&u, &v));
	assert_true(ulid_time_ms(&u) - clock_wall_ms() < 1000);
}

static void
what_is_no_id_is_refused(void **state)
{
	static const char *const bad[] = { "", "0", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "7ZZZZZZZZZZZZZZZZZZZZZZZZ",
		"7ZZZZZZZZZZZZZZZZZZZZZZZZZZ", "7ZZZZZZZZZZZZZZZZZZZZZZZZI", "7ZZZZZZZZZZZZZZZZZZZZZZZZL", "7ZZZZZZZZZZZZZZZZZZZZZZZZO",
		"7ZZZZZZZZZZZZZZZZZZZZZZZZU", "7ZZZZZZZZZZZZZZZZZZZZZZZZ-", " 7ZZZZZZZZZZZZZZZZZZZZZZZZ", "7ZZZZZZZZZZZZZZZZZZZZZZZZ " };
	struct ulid u;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(ulid_parse(bad[i], &u));
}

static void
times_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} times[] = {
		{ "1970-01-01T00:00:00Z", 0 }, { "2025-11-24T16:00:00Z", 1764000000000 }, { "2025-11-24t16:00:00z", 1764000000000 },
		{ "2025-11-24 16:00:00.5Z", 1764000000500 }, { "2025-11-24T17:30:00+01:30", 1764000000000 },
		{ "2025-11-23T23:00:00.123456-17:00", 1764000000123 }, { "2024-02-29T00:00:00Z", 1709164800000 },
		{ "2000-02-29T12:00:00Z", 951825600000 }, { "9999-12-31T23:59:59.999Z", 253402300799999 },
		{ "2016-12-31T23:59:60Z", 1483228800000 },
	};
	char text[32];
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		struct err e;

		if (clock_parse(times[i].text, &ms, &e))
			fail_msg("%s", e.msg);
		assert_int_equal(ms, times[i].ms);
		clock_format(ms, text, sizeof text);
		assert_int_equal(clock_parse(text, &ms, NULL), 0);
		assert_int_equal(ms, times[i].ms);
	}
	clock_format(1764000000007, text, sizeof text);
	assert_string_equal(text, "2025-11-24T16:00:00.007Z");
	clock_format(9007199254740991, text, sizeof text);      /* what a task may ask for */
	assert_true(strlen(text) < sizeof text && text[0]);
}

static void
what_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = { "", "now", "2025-11-24", "2025-11-24T16:00:00", "2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z",
		"2025-11-31T00:00:00Z", "2025-11-24T24:00:00Z", "2025-11-24T16:60:00Z", "2025-11-24T16:00:61Z", "2025-11-24T16:00:00+24:00",
		"2025-11-24T16:00:00+1:00", "2025-11-24T16:00:00Zx", "2025-11-24T16:00:00 Z", "1969-12-31T23:59:59Z", "2025-00-01T00:00:00Z",
		"2025-1-01T00:00:00Z", "2025-11-24T16:00:00.Z", "+025-11-24T16:00:00Z", "2025-11-24T 6:00:00Z", "2025--1-24T16:00:00Z",
		"2025-11-24T16:00:00.000000000000000000000000000Z" };
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (clock_parse(bad[i], &ms, NULL) == 0)
			fail_msg("%s was taken", bad[i]);
}

static void
clocks_do_not_go_back(void **state)
{
	int64_t last = clock_mono_us();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_mono_us();

		assert_true(now >= last);
		last = now;
	}
}

static void
topics_are_what_they_were_made_of(void **state)
{
	char text[TOPIC_MAX];
	struct topic t;

	(void)state;
	for (int k = 0; k < TOPIC_COUNT; k++) {
		topic_format(text, "home", (enum topic_kind)k, "ezra", "01KAV9FT000000000000000001");
		assert_int_equal(topic_parse(text, "home", &t, NULL), 0);
		assert_int_equal(t.kind, k);
		assert_string_equal(t.name, "ezra");
		assert_string_equal(t.id, "01KAV9FT000000000000000001");
		assert_int_equal(topic_parse(text, "hom", &t, NULL), -1);
	}
}

static void
what_is_no_topic_of_ours_is_refused(void **state)
{
	static const char *const bad[] = { "", "/", "uw", "uw/home", "uw/home/house/ezra/task", "uw/home/house/ezra/task/",
		"uw/home/house/ezra/task/me/", "uw/home/house//task/me", "uw/home/house/ezra/claims/me", "uw/home/agent/ezra/task/me",
		"/uw/home/house/ezra/task/me", "UW/home/house/ezra/task/me", "$SYS/broker/uptime",
		"uw/home/house/a-name-that-is-longer-than-thirty-two/task/me",
		"uw/home/house/ezra/task/0123456789012345678901234567890123456789012345678901234567890123" };
	struct topic t;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (topic_parse(bad[i], "home", &t, &e) == 0)
			fail_msg("%s was taken", bad[i]);
}

static void
names_are_plain(void **state)
{
	static const char *const good[] = { "a", "ezra", "ezra-1", "1", "a--b", "abcdefghijklmnopqrstuvwxyz012345" };
	static const char *const bad[] = { "", "-", "-a", "A", "a_b", "_", "a/b", "a+", "#", "a b", "\xc3\xa9", "a.b",
		"abcdefghijklmnopqrstuvwxyz0123456" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(name_ok(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(name_ok(bad[i]));
}

static void
a_time_is_in_the_first_bucket_that_holds_it(void **state)
{
	struct histogram h = { 0 };

	(void)state;
	for (int i = 1; i < HISTOGRAM_NENDS; i++)
		assert_true(histogram_end_us(i) > histogram_end_us(i - 1));
	histogram_add(&h, -5);
	histogram_add(&h, histogram_end_us(0));
	histogram_add(&h, histogram_end_us(0) + 1);
	histogram_add(&h, INT64_MAX / 2);
	assert_int_equal(h.count[0], 2);
	assert_int_equal(h.count[1], 1);
	assert_int_equal(h.count[HISTOGRAM_NENDS], 1);
	assert_int_equal(h.sum_us, 2 * (uint64_t)histogram_end_us(0) + 1 + INT64_MAX / 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_stops_at_its_maximum_and_stays_whole),
		cmocka_unit_test(a_field_error_is_a_sentence_without_control_characters),
		cmocka_unit_test(a_time_is_in_the_first_bucket_that_holds_it),
		cmocka_unit_test(an_id_is_its_text),
		cmocka_unit_test(what_is_no_id_is_refused),
		cmocka_unit_test(times_are_read_and_written),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(clocks_do_not_go_back),
		cmocka_unit_test(topics_are_what_they_were_made_of),
		cmocka_unit_test(what_is_no_topic_of_ours_is_refused),
		cmocka_unit_test(names_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
