#include "zone.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"

#define ZONE_DIR "/usr/share/zoneinfo/"
#define FILE_MAX (64u << 10)            /* the largest of tzdata has 4 KiB */
#define TIMES_MAX 4096
#define DAY 86400

/* When the clocks change, in every year: month, week (5: the last), weekday, and seconds since midnight there; or a day of
 * the year. */
struct rule {
	enum { RULE_MONTH, RULE_JULIAN, RULE_DAY } kind;
	int month, week, day;
	int32_t time_s;
};

struct zone {
	int n;
	int64_t *at;                    /* changes, in order */
	int32_t *to;                    /* offset from then on */
	int32_t first;                  /* before the first change */
	bool has_rules;                 /* after the last one: standard, and if it has summer time, dst from rule 0 to rule 1 */
	bool has_dst;
	int32_t standard, dst;
	struct rule rule[2];
};

/* ---- the calendar (Howard Hinnant, chrono-compatible low-level date algorithms) ---- */

static int64_t
days_from(int64_t y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t
year_of(int64_t s)
{
	int64_t z = (s >= 0 ? s / DAY : -((DAY - 1 - s) / DAY)) + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);

	return yoe + era * 400 + ((5 * doy + 2) / 153 >= 10);
}

static bool
is_leap(int64_t y)
{
	return y % 4 == 0 && (y % 100 || y % 400 == 0);
}

/* Seconds since 1970 as if the clocks there were UTC. */
static int64_t
rule_local(const struct rule *r, int64_t year)
{
	int64_t first, day;

	if (r->kind == RULE_MONTH) {
		int next = r->month % 12 + 1;
		int64_t end = days_from(r->month == 12 ? year + 1 : year, next, 1);

		first = days_from(year, r->month, 1);
		day = first + ((r->day - (first + 4) % 7) + 7) % 7 + 7 * (r->week - 1);
		while (day >= end)
			day -= 7;
	} else {
		day = days_from(year, 1, 1) + r->day;
		if (r->kind == RULE_JULIAN)
			day += (is_leap(year) && r->day >= 60) - 1;
	}
	return day * DAY + r->time_s;
}

/* ---- the file ---- */

static int64_t
big(const unsigned char *p, int n)
{
	uint64_t v = p[0] & 0x80 ? ~(uint64_t)0 : 0;

	for (int i = 0; i < n; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

static bool
read_number(const char **p, int max, int *out)
{
	int n = 0;

	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++)
		if ((n = n * 10 + (**p - '0')) > max)
			return false;
	*out = n;
	return true;
}

/* [+-]hh[:mm[:ss]] */
static bool
read_time(const char **p, int32_t *out)
{
	int sign = **p == '-' ? -1 : 1, h, m = 0, s = 0;

	*p += **p == '-' || **p == '+';
	if (!read_number(p, 167, &h))
		return false;
	if (**p == ':' && (++*p, !read_number(p, 59, &m)))
		return false;
	if (**p == ':' && (++*p, !read_number(p, 59, &s)))
		return false;
	*out = sign * (h * 3600 + m * 60 + s);
	return true;
}

static bool
skip_name(const char **p)
{
	const char *begin = *p;

	if (**p == '<') {
		*p += strcspn(*p, ">");
		return *(*p)++ == '>';
	}
	while (isalpha((unsigned char)**p))
		(*p)++;
	return *p - begin >= 3;
}

static bool
read_rule(const char **p, struct rule *r)
{
	bool ok;

	if (*(*p)++ != ',')
		return false;
	r->kind = **p == 'M' ? RULE_MONTH : **p == 'J' ? RULE_JULIAN : RULE_DAY;
	*p += r->kind != RULE_DAY;
	if (r->kind == RULE_MONTH)
		ok = read_number(p, 12, &r->month) && r->month && *(*p)++ == '.' && read_number(p, 5, &r->week) && r->week &&
		    *(*p)++ == '.' && read_number(p, 6, &r->day);
	else
		ok = read_number(p, 365, &r->day);
	r->time_s = 7200;
	if (ok && **p == '/' && (++*p, !read_time(p, &r->time_s)))
		return false;
	return ok;
}

/* "CET-1CEST,M3.5.0,M10.5.0/3": POSIX counts west. */
static bool
read_rules(struct zone *z, const char *p)
{
	int32_t west;

	if (!*p)
		return true;
	if (!skip_name(&p) || !read_time(&p, &west))
		return false;
	z->standard = -west;
	z->has_rules = true;
	if (!*p)
		return true;
	z->has_dst = true;
	z->dst = z->standard + 3600;
	if (!skip_name(&p))
		return false;
	if (*p != ',') {
		if (!read_time(&p, &west))
			return false;
		z->dst = -west;
	}
	return read_rule(&p, &z->rule[0]) && read_rule(&p, &z->rule[1]) && !*p;
}

struct head {
	int64_t isut, isstd, leap, times, types, chars;
};

static int64_t
read_head(const unsigned char *p, struct head *h)
{
	*h = (struct head){ big(p + 20, 4), big(p + 24, 4), big(p + 28, 4), big(p + 32, 4), big(p + 36, 4), big(p + 40, 4) };
	if (h->isut < 0 || h->isstd < 0 || h->leap < 0 || h->times < 0 || h->types < 1 || h->types > 256 || h->chars < 0 ||
	    h->times > TIMES_MAX || h->leap > TIMES_MAX || h->isut > 256 || h->isstd > 256 || h->chars > 4096)
		return -1;
	return 44;
}

static int64_t
body_size(const struct head *h, int wide)
{
	return h->times * (wide + 1) + h->types * 6 + h->chars + h->leap * (wide + 4) + h->isstd + h->isut;
}

static bool
read_body(struct zone *z, const struct head *h, const unsigned char *p)
{
	const unsigned char *index = p + h->times * 8, *types = index + h->times;

	z->n = (int)h->times;
	z->at = xcalloc((size_t)h->times + 1, sizeof *z->at);
	z->to = xcalloc((size_t)h->times + 1, sizeof *z->to);
	z->first = (int32_t)big(types, 4);
	for (int i = 0; i < z->n; i++) {
		z->at[i] = big(p + i * 8, 8);
		if (index[i] >= h->types || (i && z->at[i] <= z->at[i - 1]))
			return false;
		z->to[i] = (int32_t)big(types + 6 * index[i], 4);
	}
	return true;
}

/* The part with 64-bit times, and the rules behind it. */
static bool
read_all(struct zone *z, const unsigned char *p, int64_t len)
{
	struct head h;
	char rules[128];
	int64_t at;
	const unsigned char *nl;

	if (len < 44 || memcmp(p, "TZif", 4) != 0 || p[4] < '2' || read_head(p, &h) < 0)
		return false;
	at = 44 + body_size(&h, 4);
	if (at + 44 > len || memcmp(p + at, "TZif", 4) != 0 || read_head(p + at, &h) < 0)
		return false;
	at += 44;
	if (at + body_size(&h, 8) + 2 > len || !read_body(z, &h, p + at))
		return false;
	at += body_size(&h, 8);
	nl = p[at] == '\n' ? memchr(p + at + 1, '\n', (size_t)(len - at - 1)) : NULL;
	if (!nl || nl - (p + at + 1) >= (int64_t)sizeof rules)
		return false;
	snprintf(rules, sizeof rules, "%.*s", (int)(nl - (p + at + 1)), (const char *)p + at + 1);
	return read_rules(z, rules);
}

struct zone *
zone_read(const void *data, size_t len, struct err *e)
{
	struct zone *z = xcalloc(1, sizeof *z);

	if (len <= FILE_MAX && read_all(z, data, (int64_t)len))
		return z;
	err_set(e, ERR_PARSE, "not a time zone file of version 2 or later");
	zone_free(z);
	return NULL;
}

static bool
name_is_ok(const char *s)
{
	if (!*s || strlen(s) > 64 || *s == '/' || strstr(s, ".."))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("/_+-", *s))
			return false;
	return true;
}

struct zone *
zone_open(const char *name, struct err *e)
{
	char path[128];
	struct buf b = { 0 };
	struct zone *z = NULL;
	ssize_t n = -1;
	int fd = -1;

	if (strcmp(name, "UTC") == 0)
		return xcalloc(1, sizeof *z);
	if (name_is_ok(name)) {
		snprintf(path, sizeof path, ZONE_DIR "%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0) {
		n = read(fd, buf_reserve(&b, FILE_MAX), FILE_MAX);
		close(fd);
	}
	z = n >= 0 ? zone_read(b.data, (size_t)n, e) : NULL;
	if (!z)
		err_field(e, ERR_INVALID, "zone", name, "a time zone of " ZONE_DIR ", such as Europe/Berlin");
	buf_free(&b);
	return z;
}

void
zone_free(struct zone *z)
{
	if (!z)
		return;
	free(z->at);
	free(z->to);
	free(z);
}

/* ---- times ---- */

static int32_t
by_rules(const struct zone *z, int64_t s)
{
	int64_t year = year_of(s + z->standard), begin, end;

	if (!z->has_dst)
		return z->standard;
	begin = rule_local(&z->rule[0], year) - z->standard;
	end = rule_local(&z->rule[1], year) - z->dst;
	if (begin < end)
		return s >= begin && s < end ? z->dst : z->standard;
	return s >= end && s < begin ? z->standard : z->dst;
}

int32_t
zone_offset(const struct zone *z, int64_t s)
{
	int low = 0, high = z->n;

	if (z->has_rules && (!z->n || s >= z->at[z->n - 1]))
		return by_rules(z, s);
	while (low < high) {
		int mid = (low + high) / 2;

		if (z->at[mid] <= s)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? z->to[low - 1] : z->first;
}

/* Clocks are at most a day from UTC, and change at most once in two days; between two changes it is a subtraction. */
int64_t
zone_instant(const struct zone *z, int64_t local_s)
{
	int64_t low = local_s - DAY - 1, high = local_s + DAY, before = zone_offset(z, low), t = local_s - before;

	if (zone_offset(z, high) == before)
		return t;
	/* The change: the first second with another offset. */
	while (high - low > 1) {
		int64_t mid = low + (high - low) / 2;

		if (zone_offset(z, mid) == before)
			low = mid;
		else
			high = mid;
	}
	if (t < high)
		return t;
	t = local_s - zone_offset(z, high);
	return t < high ? high : t;
}
