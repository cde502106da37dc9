#include "ulid.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "clock.h"

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void
ulid_make(struct ulid *u, int64_t wall_ms, const uint8_t random[10])
{
	for (int i = 0; i < 6; i++)
		u->b[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
	memcpy(u->b + 6, random, 10);
}

void
ulid_now(struct ulid *u)
{
	uint8_t random[10];

	if (RAND_bytes(random, sizeof random) != 1)
		abort();
	ulid_make(u, clock_wall_ms(), random);
}

/* 130 bits of text for 128 of value: the first character carries only three bits. */
void
ulid_format(const struct ulid *u, char out[ULID_TEXT])
{
	unsigned acc = 0, bits = 2;
	int n = 0;

	for (int i = 0; i < 16; i++) {
		acc = acc << 8 | u->b[i];
		bits += 8;
		while (bits >= 5) {
			bits -= 5;
			out[n++] = digits[acc >> bits & 31];
		}
	}
	out[n] = '\0';
}

static int
digit_value(char c)
{
	const char *p;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	p = c ? strchr(digits, c) : NULL;
	return p ? (int)(p - digits) : -1;
}

bool
ulid_parse(const char *text, struct ulid *u)
{
	unsigned acc = 0, bits = 0;
	int n = 0;

	for (int i = 0; i < 26; i++) {
		int v = digit_value(text[i]);

		if (v < 0 || (i == 0 && v > 7))
			return false;
		acc = acc << 5 | (unsigned)v;
		bits += i == 0 ? 3 : 5;
		if (bits >= 8) {
			bits -= 8;
			u->b[n++] = (uint8_t)(acc >> bits);
		}
	}
	return text[26] == '\0';
}

int64_t
ulid_time_ms(const struct ulid *u)
{
	int64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | u->b[i];
	return ms;
}
