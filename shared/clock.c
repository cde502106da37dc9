#include "clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "err.h"

#ifdef __APPLE__
#include <mach/mach_time.h>
#endif

int64_t
clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_mono_us(void)
{
#ifdef __APPLE__
	static mach_timebase_info_data_t base;

	if (!base.denom)
		mach_timebase_info(&base);
	return (int64_t)(mach_continuous_time() * base.numer / base.denom / 1000);
#else
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
#endif
}

int64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

void
clock_format(int64_t wall_ms, char *out, size_t size)
{
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%03dZ", (int)(wall_ms % 1000));
}

static int
days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar. */
static int64_t
days_from_date(int y, int m, int d)
{
	int64_t n = 0;

	for (int year = 1970; year < y; year++)
		n += 337 + days_in_month(year, 2);
	for (int month = 1; month < m; month++)
		n += days_in_month(y, month);
	return n + d - 1;
}

static int
bad_time(const char *text, struct err *e)
{
	return err_field(e, ERR_INVALID, "time", text, "RFC 3339, such as 2026-11-24T15:04:05Z");
}

/* It begins like the pattern, in which 0 is any digit and T may be t or a space: sscanf takes too much. */
static bool
has_shape(const char *text, const char *pattern)
{
	for (; *pattern; pattern++, text++) {
		bool fits = *pattern == '0' ? *text >= '0' && *text <= '9' :
		    *pattern == 'T' ? *text == 'T' || *text == 't' || *text == ' ' : *text == *pattern;

		if (!fits)
			return false;
	}
	return true;
}

int
clock_parse(const char *text, int64_t *wall_ms, struct err *e)
{
	int y, mo, d, h, mi, s, oh = 0, om = 0, ms = 0, sign = 1;
	const char *p;

	if (strlen(text) > 40 || !has_shape(text, "0000-00-00T00:00:00") ||
	    sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d", &y, &mo, &d, &h, &mi, &s) != 6)
		return bad_time(text, e);
	if (y < 1970 || y > 9999 || mo < 1 || mo > 12 || d < 1 || d > days_in_month(y, mo) ||
	    h > 23 || mi > 59 || s > 60)
		return bad_time(text, e);
	p = text + 19;
	if (*p == '.' && has_shape(p, ".0")) {
		int scale = 100;

		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ms += (*p - '0') * scale;
	}
	if (*p == '+' || *p == '-') {
		sign = *p == '-' ? -1 : 1;
		if (!has_shape(p + 1, "00:00") || sscanf(p + 1, "%2d:%2d", &oh, &om) != 2 || oh > 23 || om > 59)
			return bad_time(text, e);
		p += 6;
	} else if (*p == 'Z' || *p == 'z') {
		p++;
	} else {
		return bad_time(text, e);
	}
	if (*p)
		return bad_time(text, e);
	*wall_ms = ((days_from_date(y, mo, d) * 24 + h) * 60 + mi - sign * (oh * 60 + om)) * 60000LL +
	    s * 1000LL + ms;
	return 0;
}
