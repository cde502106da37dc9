/*
 * log.c - log.h inside the simulator: what the cores say is part of the history.
 */
#include "log.h"

#include <stdarg.h>

#include "sim.h"

static void
emit(const char *level, const char *fmt, va_list ap)
{
	char line[512];

	vsnprintf(line, sizeof line, fmt, ap);
	if (sim_current)
		sim_log(sim_current, "%s: %s: %s", sim_current->speaker ? sim_current->speaker : "log", level, line);
	else
		fprintf(stderr, "%s: %s\n", level, line);
}

#define EMIT(level)                      \
	do {                             \
		va_list ap;              \
		va_start(ap, fmt);       \
		emit(level, fmt, ap);    \
		va_end(ap);              \
	} while (0)

void
log_init(const char *ident, enum log_level level)
{
	(void)ident;
	(void)level;
}

void
log_warn(const char *fmt, ...)
{
	EMIT("warning");
}

void
log_warnx(const char *fmt, ...)
{
	EMIT("warning");
}

void
log_info(const char *fmt, ...)
{
	EMIT("info");
}

void
log_debug(const char *fmt, ...)
{
	EMIT("debug");
}

void
fatal(const char *fmt, ...)
{
	EMIT("fatal");
	abort();
}

void
fatalx(const char *fmt, ...)
{
	EMIT("fatal");
	abort();
}
