/*
 * ulid.h - 128-bit ids that sort by the time they were made (github.com/ulid/spec):
 * 48 bits of milliseconds since 1970, then 80 random bits; as text, 26 characters of
 * Crockford's base 32 in upper case. Stored as the 16 bytes, which sort the same way.
 */
#ifndef UW_ULID_H
#define UW_ULID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ULID_TEXT 27            /* 26 characters and the NUL */

struct ulid {
	uint8_t b[16];
};

/* random: ten bytes from a good source, or from the core's seeded one. */
void ulid_make(struct ulid *u, int64_t wall_ms, const uint8_t random[10]);

/* One from the clock and the system's random source. */
void ulid_now(struct ulid *u);

void ulid_format(const struct ulid *u, char out[ULID_TEXT]);
bool ulid_parse(const char *text, struct ulid *u);      /* either case; exactly 26 characters */
int64_t ulid_time_ms(const struct ulid *u);

static inline bool
ulid_equal(const struct ulid *a, const struct ulid *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

#endif
