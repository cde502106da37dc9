#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

static const char *log_ident;
static enum log_level log_max = LOG_LEVEL_INFO;

void
log_init(const char *ident, enum log_level level)
{
	log_ident = ident;
	log_max = level;
}

static void
emit(const char *level, int err, const char *fmt, va_list ap)
{
	char when[32], line[1024];
	int saved = errno;

	vsnprintf(line, sizeof line, fmt, ap);
	clock_format(clock_wall_ms(), when, sizeof when);
	fprintf(stderr, "%s %s%s%s: %s%s%s\n", when, log_ident ? log_ident : "",
	    log_ident ? " " : "", level, line, err ? ": " : "", err ? strerror(err) : "");
	errno = saved;
}

#define EMIT(level, err)                 \
	do {                             \
		va_list ap;              \
		va_start(ap, fmt);       \
		emit(level, err, fmt, ap); \
		va_end(ap);              \
	} while (0)

void
log_warn(const char *fmt, ...)
{
	EMIT("warning", errno);
}

void
log_warnx(const char *fmt, ...)
{
	EMIT("warning", 0);
}

void
log_info(const char *fmt, ...)
{
	if (log_max >= LOG_LEVEL_INFO)
		EMIT("info", 0);
}

void
log_debug(const char *fmt, ...)
{
	if (log_max >= LOG_LEVEL_DEBUG)
		EMIT("debug", 0);
}

void
fatal(const char *fmt, ...)
{
	EMIT("fatal", errno);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	EMIT("fatal", 0);
	exit(1);
}
