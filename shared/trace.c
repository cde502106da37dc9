#include "trace.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define LENGTH 55               /* of version 00 */

static bool
is_hex(const char *p, size_t n)
{
	return strspn(p, "0123456789abcdef") >= n;
}

static bool
is_zero(const char *p, size_t n)
{
	return strspn(p, "0") >= n;
}

bool
trace_is_valid(const char *text)
{
	size_t len = strlen(text);

	if (len < LENGTH || len >= TRACE_MAX || !is_hex(text, 2) || strncmp(text, "ff", 2) == 0)
		return false;
	if (text[2] != '-' || !is_hex(text + 3, 32) || is_zero(text + 3, 32))
		return false;
	if (text[35] != '-' || !is_hex(text + 36, 16) || is_zero(text + 36, 16))
		return false;
	if (text[52] != '-' || !is_hex(text + 53, 2))
		return false;
	return len == LENGTH || (strncmp(text, "00", 2) != 0 && text[LENGTH] == '-');
}

void
trace_make(char out[TRACE_MAX])
{
	unsigned char random[24];
	int n = snprintf(out, TRACE_MAX, "00-");

	if (RAND_bytes(random, sizeof random) != 1)
		fatalx("no random numbers from the system");
	random[0] |= 1;         /* neither id may be zero */
	random[16] |= 1;
	for (int i = 0; i < 24; i++)
		n += snprintf(out + n, (size_t)(TRACE_MAX - n), "%s%02x", i == 16 ? "-" : "", random[i]);
	snprintf(out + n, (size_t)(TRACE_MAX - n), "-01");
}
