#include "cron.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "err.h"

#define DAY 86400
#define AHEAD_DAYS (5 * 366)

struct field {
	const char *name;
	int min, max;
	const char *const *words;       /* from min on; NULL: none */
};

static const char *const months[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const weekdays[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };

static const struct field fields[] = {
	{ "minute", 0, 59, NULL },
	{ "hour", 0, 23, NULL },
	{ "day of the month", 1, 31, NULL },
	{ "month", 1, 12, months },
	{ "day of the week", 0, 7, weekdays },
};

static const struct {
	const char *name, *means;
} nicknames[] = {
	{ "@hourly", "0 * * * *" }, { "@daily", "0 0 * * *" }, { "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
	{ "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" },
};

static int
wrong(const struct field *f, const char *text, size_t len, struct err *e)
{
	char got[48];

	snprintf(got, sizeof got, "%.*s", (int)(len > 40 ? 40 : len), text);
	return err_field(e, ERR_INVALID, "cron", got, "as %s %d to %d%s, *, a list, a range a-b or a step /n", f->name, f->min, f->max,
	    f->words ? " or names of three letters" : "");
}

static bool
read_value(const struct field *f, const char **p, int *out)
{
	int n = 0;

	for (int i = 0; f->words && f->words[i]; i++)
		if (strncasecmp(*p, f->words[i], 3) == 0 && !isalnum((unsigned char)(*p)[3])) {
			*p += 3;
			*out = f->min + i;
			return true;
		}
	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++)
		if ((n = n * 10 + (**p - '0')) > 999)
			return false;
	*out = n;
	return n >= f->min && n <= f->max;
}

/* One item of a list. */
static bool
read_item(const struct field *f, const char **p, uint64_t *bits)
{
	int from = f->min, to = f->max, step = 1;
	bool one = false;

	if (f->words == weekdays)
		to = 6;
	if (**p == '*') {
		(*p)++;
	} else {
		if (!read_value(f, p, &from))
			return false;
		to = from;
		one = **p != '-';
		if (!one && (++*p, !read_value(f, p, &to)))
			return false;
	}
	if (**p == '/') {
		const struct field steps = { "step", 1, f->max, NULL };

		++*p;
		if (one || !read_value(&steps, p, &step))
			return false;
	}
	if (from > to)
		return false;
	for (int i = from; i <= to; i += step)
		*bits |= (uint64_t)1 << i;
	return true;
}

static int
read_field(const struct field *f, const char *text, size_t len, uint64_t *bits, struct err *e)
{
	const char *p = text;

	*bits = 0;
	do {
		if (!read_item(f, &p, bits))
			return wrong(f, text, len, e);
	} while (*p == ',' && *++p);
	return p == text + len ? 0 : wrong(f, text, len, e);
}

int
cron_parse(const char *text, struct cron *c, struct err *e)
{
	uint64_t bits[5];
	const char *p = text;

	for (size_t i = 0; i < sizeof nicknames / sizeof *nicknames; i++)
		if (strcmp(text, nicknames[i].name) == 0)
			p = nicknames[i].means;
	*c = (struct cron){ 0 };
	for (int i = 0; i < 5; i++) {
		size_t len;

		p += strspn(p, " \t");
		len = strcspn(p, " \t");
		if (!len)
			return err_field(e, ERR_INVALID, "cron", text, "five fields (minute hour day month weekday) or @daily and the like");
		if (read_field(&fields[i], p, len, &bits[i], e))
			return -1;
		c->any_day |= i == 2 && *p == '*';
		c->any_weekday |= i == 4 && *p == '*';
		p += len;
	}
	p += strspn(p, " \t");
	if (*p)
		return err_field(e, ERR_INVALID, "cron", text, "five fields and nothing behind them");
	c->minutes = bits[0];
	c->hours = (uint32_t)bits[1];
	c->days = (uint32_t)bits[2];
	c->months = (uint32_t)bits[3];
	c->weekdays = (uint32_t)(bits[4] | bits[4] >> 7);
	return 0;
}

/* ---- when ---- */

/* Hinnant's civil_from_days. */
static void
date_of(int64_t day, int *month, int *mday)
{
	int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*mday = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
}

static bool
day_fits(const struct cron *c, int64_t day)
{
	int month, mday, weekday = (int)(((day + 4) % 7 + 7) % 7);
	bool by_day, by_weekday;

	date_of(day, &month, &mday);
	if (!(c->months >> month & 1))
		return false;
	by_day = c->days >> mday & 1;
	by_weekday = c->weekdays >> weekday & 1;
	/* As crontab(5) has it. */
	return c->any_day || c->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

static int64_t
floor_day(int64_t s)
{
	return s >= 0 ? s / DAY : -((DAY - 1 - s) / DAY);
}

static bool
minute_fits(const struct cron *c, int i)
{
	return c->hours >> (i / 60) & 1 && c->minutes >> (i % 60) & 1;
}

/* Clocks that are put back show a day again at most; so the day before is looked at, too. */
int64_t
cron_next(const struct cron *c, const struct zone *z, int64_t after_ms)
{
	int64_t after = after_ms >= 0 ? after_ms / 1000 : -((999 - after_ms) / 1000);
	int64_t first = floor_day(after + zone_offset(z, after)) - 1, best = 0;

	for (int64_t day = first; day < first + AHEAD_DAYS && !best; day++) {
		if (!day_fits(c, day))
			continue;
		for (int i = 0; i < 1440 && !best; i++)
			if (minute_fits(c, i)) {
				int64_t at = zone_instant(z, day * DAY + i * 60);

				best = at > after ? at : 0;
			}
	}
	return best * 1000;
}

int64_t
cron_prev(const struct cron *c, const struct zone *z, int64_t before_ms)
{
	int64_t before = before_ms >= 0 ? (before_ms + 999) / 1000 : -(-before_ms / 1000);
	int64_t last = floor_day(before + zone_offset(z, before)) + 1, best = 0;

	for (int64_t day = last; day > last - AHEAD_DAYS && !best; day--) {
		if (!day_fits(c, day))
			continue;
		for (int i = 1439; i >= 0 && !best; i--)
			if (minute_fits(c, i)) {
				int64_t at = zone_instant(z, day * DAY + i * 60);

				best = at < before ? at : 0;
			}
	}
	return best * 1000;
}
