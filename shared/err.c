#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[ERR_NCODES] = {
#define X(sym, name, text) [sym] = name,
	ERR_CODES(X)
#undef X
};

const char *
err_code_name(enum err_code code)
{
	return code < ERR_NCODES ? code_names[code] : "internal";
}

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	*e = (struct err){ .code = code };
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	va_end(ap);
	return -1;
}

static void
field_sentence(struct err *e)
{
	if (e->got[0])
		snprintf(e->msg, sizeof e->msg, "%s: expected %s, got %s", e->field, e->expected, e->got);
	else
		snprintf(e->msg, sizeof e->msg, "%s: expected %s", e->field, e->expected);
}

/* What came from outside goes into messages, logs and terminals: no control characters,
 * and no half of a UTF-8 sequence at the cut. */
static void
copy_readable(char *dst, size_t size, const char *src)
{
	size_t n = 0;

	for (; src[n] && n + 4 < size; n++)
		dst[n] = (unsigned char)src[n] < 0x20 || src[n] == 0x7f ? ' ' : src[n];
	if (src[n]) {
		while (n && ((unsigned char)dst[n - 1] & 0x80))
			n--;
		memcpy(dst + n, "...", 4);
	} else {
		dst[n] = '\0';
	}
}

int
err_field(struct err *e, enum err_code code, const char *field, const char *got,
    const char *expected_fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	*e = (struct err){ .code = code };
	copy_readable(e->field, sizeof e->field, field);
	if (got)
		copy_readable(e->got, sizeof e->got, got);
	va_start(ap, expected_fmt);
	vsnprintf(e->expected, sizeof e->expected, expected_fmt, ap);
	va_end(ap);
	field_sentence(e);
	return -1;
}

int
err_busy(struct err *e, int retry_after_s, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (!e)
		return -1;
	*e = (struct err){ .code = ERR_BUSY, .retry_after_s = retry_after_s };
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof e->msg - 40, fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof e->msg - n, "; retry after %d s", retry_after_s);
	return -1;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	char whole[sizeof e->msg + 256];
	va_list ap;
	int n;

	if (!e)
		return -1;
	va_start(ap, fmt);
	n = vsnprintf(whole, 256, fmt, ap);
	va_end(ap);
	if (n > 255)
		n = 255;
	snprintf(whole + n, sizeof whole - (size_t)n, ": %s", e->msg);
	memcpy(e->msg, whole, sizeof e->msg - 1);
	return -1;
}

int
err_in(struct err *e, const char *parent)
{
	char old[sizeof e->field];

	if (!e || !e->field[0])
		return -1;
	memcpy(old, e->field, sizeof old);
	snprintf(e->field, sizeof e->field, "%.40s.%.38s", parent, old);
	field_sentence(e);
	return -1;
}

enum err_code
err_code_parse(const char *name)
{
	for (int i = 0; i < ERR_NCODES; i++)
		if (strcmp(err_code_name((enum err_code)i), name) == 0)
			return (enum err_code)i;
	return ERR_INTERNAL;
}
