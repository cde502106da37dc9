#include "pattern.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#define MAX_REPEAT 4096         /* product of all {n,m} */

static bool
repeats_little(const char *text)
{
	int64_t product = 1;

	for (const char *p = strchr(text, '{'); p; p = strchr(p, '{')) {
		char *end;
		int64_t n = strtoll(++p, &end, 10), m = *end == ',' ? strtoll(end + 1, NULL, 10) : 0;

		n = n > m ? n : m;
		if (n > MAX_REPEAT || (n > 1 && (product *= n) > MAX_REPEAT))
			return false;
	}
	return true;
}

static bool
has_back_reference(const char *text)
{
	for (const char *p = strchr(text, '\\'); p && p[1]; p = strchr(p + 2, '\\'))
		if (p[1] >= '1' && p[1] <= '9')
			return true;
	return false;
}

int
pattern_compile(regex_t *out, const char *text, int flags, struct err *e)
{
	char why[128];
	int error;

	if (strlen(text) > PATTERN_MAX)
		return err_set(e, ERR_INVALID, "a pattern has at most %d bytes", PATTERN_MAX);
	if (!repeats_little(text))
		return err_set(e, ERR_INVALID, "the repetitions of a pattern multiply to at most %d", MAX_REPEAT);
	if (has_back_reference(text))
		return err_set(e, ERR_INVALID, "a pattern has no back references");
	error = regcomp(out, text, flags | REG_EXTENDED);
	if (!error)
		return 0;
	regerror(error, out, why, sizeof why);
	return err_set(e, ERR_INVALID, "not a POSIX extended regular expression: %s", why);
}
