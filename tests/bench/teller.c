/*
 * teller.c - a tool that says how far it is, and when it says so, for tests/bench/lag.c: a hundred times a second, for the
 * seconds that it is asked for.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"

#define EVERY_MS 10

int
main(void)
{
	const char *s = getenv("UW_PARAM_s");
	long steps = s ? strtol(s, NULL, 10) * 1000 / EVERY_MS : 0;

	for (long i = 1; i <= steps; i++) {
		fprintf(stderr, "@progress %ld at_us %" PRId64 "\n", 100 * i / steps, clock_mono_us());
		poll(NULL, 0, EVERY_MS);
	}
	puts("{}");
	return 0;
}
