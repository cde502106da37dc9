/*
 * cron.h - when something is due again: five fields as crontab(5) has them, in a time zone.
 *
 *      minute hour day-of-month month day-of-week
 *
 * Each is a list of values, ranges a-b, or * for all; behind a range or * a step /n. Months and days of the week may be
 * names of three letters; 7 is Sunday too. If both kinds of days are restricted, either suffices. @hourly, @daily
 * (@midnight), @weekly, @monthly and @yearly (@annually) stand for what everybody expects.
 *
 * A time that does not exist, since the clocks are put forward over it, is due when they have been. One that exists
 * twice is due the first time; what is due every hour or minute on the clock so pauses for the hour that comes again.
 */
#ifndef UW_CRON_H
#define UW_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "zone.h"

struct err;

struct cron {
	uint64_t minutes;               /* bits */
	uint32_t hours, days, months, weekdays;
	bool any_day, any_weekday;      /* "*" */
};

int cron_parse(const char *text, struct cron *c, struct err *e);

/* The first time after that, or the last before it, in ms since 1970; 0: there is none within five years. */
int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after_ms);
int64_t cron_prev(const struct cron *c, const struct zone *z, int64_t before_ms);

#endif
