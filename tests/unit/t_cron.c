/* When something is due again: held against the C library's idea of zones, and against looking at every minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "cron.h"
#include "err.h"

static const char *const zones[] = { "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca",
	"Asia/Kolkata", "Pacific/Apia", "America/St_Johns", "Europe/Dublin", "Pacific/Chatham", "Antarctica/Troll", "Asia/Tokyo", "America/Nuuk" };

static unsigned seed = 1;

static int64_t
roll(int64_t from, int64_t to)
{
	uint64_t x = 0;

	for (int i = 0; i < 4; i++) {
		seed = seed * 1103515245u + 12345u;
		x = x << 16 | (seed >> 16 & 0xffff);
	}
	return from + (int64_t)(x % (uint64_t)(to - from));
}

static struct zone *
zone(const char *name)
{
	struct err e;
	struct zone *z = zone_open(name, &e);

	assert_non_null(z);
	setenv("TZ", name, 1);
	tzset();
	return z;
}

static void
offsets_are_those_of_the_c_library(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
		struct zone *z = zone(zones[i]);

		for (int k = 0; k < 20000; k++) {
			int64_t s = roll(-2000000000, 4900000000);
			time_t t = (time_t)s;
			struct tm tm;

			localtime_r(&t, &tm);
			if (zone_offset(z, s) != tm.tm_gmtoff)
				fail_msg("%s at %lld: %d, not %ld", zones[i], (long long)s, zone_offset(z, s), tm.tm_gmtoff);
		}
		zone_free(z);
	}
}

static void
what_is_no_zone_is_refused(void **state)
{
	static const char *const bad[] = { "", "Nowhere/Atall", "../../etc/passwd", "/etc/localtime", "Europe", "Europe/Berlin\n", "zone.tab" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_null(zone_open(bad[i], &e));
		assert_string_equal(e.field, "zone");
	}
	assert_null(zone_read("TZif2", 5, &e));
}

/* Any file, cut off or damaged anywhere, is read or refused. */
static void
damaged_files_do_no_harm(void **state)
{
	unsigned char file[8192], copy[8192];
	FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
	size_t n;
	struct err e;

	(void)state;
	assert_non_null(f);
	n = fread(file, 1, sizeof file, f);
	fclose(f);
	for (size_t i = 0; i < n; i++) {
		unsigned char *cut = malloc(i + 1);

		memcpy(cut, file, i);
		zone_free(zone_read(cut, i, &e));
		free(cut);
	}
	for (int k = 0; k < 20000; k++) {
		struct zone *z;

		memcpy(copy, file, n);
		for (int j = 0; j < 3; j++)
			copy[roll(0, (int64_t)n)] = (unsigned char)roll(0, 256);
		z = zone_read(copy, n, &e);
		if (z)
			zone_instant(z, roll(-2000000000, 4900000000));
		zone_free(z);
	}
}

static int64_t
ms(const char *text)
{
	int64_t at;

	assert_int_equal(clock_parse(text, &at, NULL), 0);
	return at;
}

static void
expect(const char *cron, const char *zone_name, const char *after, const char *next)
{
	struct zone *z = zone(zone_name);
	struct cron c;
	struct err e;
	char got[32];

	if (cron_parse(cron, &c, &e))
		fail_msg("%s: %s", cron, e.msg);
	clock_format(cron_next(&c, z, ms(after)), got, sizeof got);
	if (ms(got) != ms(next))
		fail_msg("%s in %s after %s: %s, not %s", cron, zone_name, after, got, next);
	zone_free(z);
}

static void
fields_mean_what_crontab_says(void **state)
{
	(void)state;
	expect("* * * * *", "UTC", "2026-11-30T06:29:00Z", "2026-11-30T06:30:00Z");
	expect("* * * * *", "UTC", "2026-11-30T06:29:00.001Z", "2026-11-30T06:30:00Z");
	expect("*/15 * * * *", "UTC", "2026-11-30T06:29:59Z", "2026-11-30T06:30:00Z");
	expect("5,10-20/5 4 * * *", "UTC", "2026-11-30T04:10:00Z", "2026-11-30T04:15:00Z");
	expect("0 0 29 2 *", "UTC", "2026-11-30T00:00:00Z", "2028-02-29T00:00:00Z");
	expect("0 9 * * mon-fri", "UTC", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z");
	expect("0 9 * * 7", "UTC", "2026-11-27T09:00:00Z", "2026-11-29T09:00:00Z");
	expect("0 9 * JAN,jul Sun", "UTC", "2026-11-27T09:00:00Z", "2027-01-03T09:00:00Z");
	/* Both days restricted: either. */
	expect("0 0 13 * fri", "UTC", "2026-11-30T00:00:00Z", "2026-12-04T00:00:00Z");
	expect("0 0 13 * fri", "UTC", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z");
	expect("0 0 */2 * fri", "UTC", "2026-11-30T00:00:00Z", "2026-12-11T00:00:00Z");
	expect("@daily", "UTC", "2026-11-30T06:29:00Z", "2026-12-01T00:00:00Z");
	expect("@weekly", "UTC", "2026-11-30T06:29:00Z", "2026-12-06T00:00:00Z");
	expect("@yearly", "UTC", "2026-11-30T06:29:00Z", "2027-01-01T00:00:00Z");
	expect("0 8 * * *", "Europe/Berlin", "2026-11-30T06:29:00Z", "2026-11-30T07:00:00Z");
	expect("0 8 * * *", "Asia/Kolkata", "2026-11-30T00:00:00Z", "2026-11-30T02:30:00Z");
}

static void
clocks_that_are_changed_neither_double_nor_drop_a_run(void **state)
{
	(void)state;
	/* Forward at 2:00 on 2026-03-29: 2:30 does not exist. */
	expect("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
	expect("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z");
	expect("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
	/* Back at 3:00 on 2026-10-25: 2:30 comes twice. */
	expect("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z");
	expect("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
	/* Half an hour, and a day that was left out. */
	expect("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z");
	expect("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z");
	/* Beyond the table, by the rules. */
	expect("30 2 * * *", "Europe/Berlin", "2060-03-27T12:00:00Z", "2060-03-28T01:00:00Z");
}

/* Every minute that the clocks show for the first time, or that they skip to. */
static bool
is_due(const struct cron *c, const struct zone *z, int64_t s)
{
	int64_t local = s + zone_offset(z, s), jump = zone_offset(z, s) - zone_offset(z, s - 60);

	for (int64_t l = jump > 0 ? local - jump : local; l <= local; l += 60) {
		time_t t = (time_t)l;
		struct tm tm;
		bool day, weekday;

		gmtime_r(&t, &tm);
		day = c->days >> tm.tm_mday & 1;
		weekday = c->weekdays >> tm.tm_wday & 1;
		if (c->minutes >> tm.tm_min & 1 && c->hours >> tm.tm_hour & 1 && c->months >> (tm.tm_mon + 1) & 1 &&
		    (c->any_day || c->any_weekday ? day && weekday : day || weekday) && zone_instant(z, l) == s)
			return true;
	}
	return false;
}

static void
next_and_previous_are_what_a_look_at_each_minute_finds(void **state)
{
	static const char *const crons[] = { "*/7 * * * *", "30 2 * * *", "59 23 * * *", "0 1-3 * * *", "15 2 1,29 3,10 sun", "0 */5 * * 1-5" };

	(void)state;
	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
		struct zone *z = zone(zones[i]);

		for (size_t k = 0; k < sizeof crons / sizeof *crons; k++) {
			int64_t from = roll(1700000000, 2200000000) / 60 * 60, last = 0;
			struct cron c;
			struct err e;

			assert_int_equal(cron_parse(crons[k], &c, &e), 0);
			/* Near a change, if there is one within the year. */
			for (int d = 0; d < 366 && zone_offset(z, from) == zone_offset(z, from + 86400); d++)
				from += 86400;
			from -= 86400;
			for (int64_t s = from; s < from + 4 * 86400; s += 60) {
				if (!is_due(&c, z, s))
					continue;
				if (last && cron_next(&c, z, last * 1000) != s * 1000)
					fail_msg("%s in %s: %lld after %lld, not %lld", crons[k], zones[i],
					    (long long)(cron_next(&c, z, last * 1000) / 1000), (long long)last, (long long)s);
				if (last && cron_prev(&c, z, s * 1000) != last * 1000)
					fail_msg("%s in %s: %lld before %lld, not %lld", crons[k], zones[i],
					    (long long)(cron_prev(&c, z, s * 1000) / 1000), (long long)s, (long long)last);
				last = s;
			}
		}
		zone_free(z);
	}
}

static void
what_is_wrong_is_named(void **state)
{
	static const char *const bad[] = { "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *",
		"* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "*/60 * * * *", "1, * * * *", "1//2 * * * *", "5/2 * * * *", "a * * * *",
		"* * * foo *", "* * * * mond", "@never", "-1 * * * *", "1-2-3 * * * *", "99999999999 * * * *" };
	struct zone *utc;
	struct cron c;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (!cron_parse(bad[i], &c, &e))
			fail_msg("%s was taken", bad[i]);
		assert_string_equal(e.field, "cron");
		assert_true(e.expected[0]);
	}
	/* It never comes. */
	assert_int_equal(cron_parse("0 0 30 2 *", &c, &e), 0);
	utc = zone("UTC");
	assert_int_equal(cron_next(&c, utc, 1700000000000), 0);
	assert_int_equal(cron_prev(&c, utc, 1700000000000), 0);
	zone_free(utc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offsets_are_those_of_the_c_library),
		cmocka_unit_test(what_is_no_zone_is_refused),
		cmocka_unit_test(damaged_files_do_no_harm),
		cmocka_unit_test(fields_mean_what_crontab_says),
		cmocka_unit_test(clocks_that_are_changed_neither_double_nor_drop_a_run),
		cmocka_unit_test(next_and_previous_are_what_a_look_at_each_minute_finds),
		cmocka_unit_test(what_is_wrong_is_named),
	};

	return cmocka_run_group_tests_name("cron", tests, NULL, NULL);
}
