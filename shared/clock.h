/*
 * clock.h - the only place that asks the operating system for the time.
 *
 * The core never calls these: time reaches it as an argument, so that it can run
 * on virtual time.
 */
#ifndef UW_CLOCK_H
#define UW_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Milliseconds since 1970 UTC. May jump when somebody sets the clock. */
int64_t clock_wall_ms(void);

/* Never goes back and counts sleep (CLOCK_BOOTTIME, mach_continuous_time), so a lease that
 * ran out while the machine slept has run out. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* RFC 3339 in UTC with milliseconds, "2026-11-24T15:04:05.123Z"; size >= 25. */
void clock_format(int64_t wall_ms, char *out, size_t size);

/* The inverse, any offset ("Z", "+02:00"), fraction optional. */
int clock_parse(const char *text, int64_t *wall_ms, struct err *e);

#endif
