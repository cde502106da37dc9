#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"

#define MESSAGE_MAX 1024

static const char *log_ident;
static bool log_json, log_journal;
static atomic_int log_max = LOG_LEVEL_INFO;
static _Thread_local char log_about[32];

static const char *const names[] = { "warn", "info", "debug" };

/* How it stands in a line, and for syslog(3) and the journal. */
struct kind {
	const char *name;
	int priority;
};
static const struct kind FATAL = { "fatal", 2 }, WARNING = { "warning", 4 }, INFO = { "info", 6 }, DEBUG = { "debug", 7 };

/* $JOURNAL_STREAM is "<device>:<inode>" of what systemd made standard error of its services. */
static bool
is_journal(void)
{
	const char *at = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (!at || fstat(STDERR_FILENO, &st))
		return false;
	snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return strcmp(at, ours) == 0;
}

void
log_init(const char *ident, enum log_level level)
{
	log_ident = ident;
	log_max = level;
	log_journal = is_journal();
}

void
log_as_json(bool json)
{
	log_json = json;
}

void
log_set_level(enum log_level level)
{
	log_max = level;
}

enum log_level
log_get_level(void)
{
	return (enum log_level)log_max;
}

int
log_level_find(const char *name)
{
	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

const char *
log_level_name(enum log_level level)
{
	return names[level];
}

void
log_task(const char *id)
{
	snprintf(log_about, sizeof log_about, "%s", id ? id : "");
}

/* ---- one line, without memory that might not be there ---- */

struct line {
	char text[6 * MESSAGE_MAX + 512];       /* a byte may become \u001f */
	size_t len;
};

static void
add(struct line *l, const char *text, size_t len)
{
	if (len > sizeof l->text - l->len)
		len = sizeof l->text - l->len;
	memcpy(l->text + l->len, text, len);
	l->len += len;
}

static void
adds(struct line *l, const char *text)
{
	add(l, text, strlen(text));
}

/* A message must not make two lines of one. */
static void
add_plain(struct line *l, const char *text)
{
	for (const char *p = text; *p; p++)
		add(l, (unsigned char)*p < ' ' || *p == 0x7f ? " " : p, 1);
}

static void
add_quoted(struct line *l, const char *name, const char *text)
{
	char u[8];
	int n;

	adds(l, l->text[l->len - 1] == '{' ? "\"" : ",\"");
	adds(l, name);
	adds(l, "\":\"");
	for (size_t left = strlen(text); left; text += n, left -= (size_t)n) {
		n = json_utf8_len(text, left);
		if (n <= 0 || (unsigned char)*text < ' ') {
			snprintf(u, sizeof u, "\\u%04x", n <= 0 ? 0xfffd : *text);
			adds(l, u);
			n = 1;
			continue;
		}
		if (*text == '"' || *text == '\\')
			adds(l, "\\");
		add(l, text, (size_t)n);
	}
	adds(l, "\"");
}

static void
put_json(struct line *l, const char *when, const char *level, const char *message)
{
	adds(l, "{");
	add_quoted(l, "time", when);
	add_quoted(l, "level", level);
	if (log_ident)
		add_quoted(l, "ident", log_ident);
	if (log_about[0])
		add_quoted(l, "task", log_about);
	add_quoted(l, "message", message);
	adds(l, "}");
}

static void
put_text(struct line *l, const char *when, const char *level, const char *message)
{
	if (!log_journal) {
		adds(l, when);
		adds(l, " ");
	}
	if (log_ident) {
		adds(l, log_ident);
		adds(l, " ");
	}
	adds(l, level);
	adds(l, ": ");
	if (log_about[0]) {
		adds(l, "task ");
		adds(l, log_about);
		adds(l, ": ");
	}
	add_plain(l, message);
}

/* In one write, so that lines of several processes do not mix. */
static void
emit(struct kind kind, int err, const char *fmt, va_list ap)
{
	char when[32], message[MESSAGE_MAX], priority[8];
	struct line l = { .len = 0 };
	int saved = errno, n;

	n = vsnprintf(message, sizeof message, fmt, ap);
	if (err && n >= 0 && (size_t)n < sizeof message)
		snprintf(message + n, sizeof message - (size_t)n, ": %s", strerror(err));
	clock_format(clock_wall_ms(), when, sizeof when);
	if (log_journal) {
		snprintf(priority, sizeof priority, "<%d>", kind.priority);
		adds(&l, priority);
	}
	(log_json ? put_json : put_text)(&l, when, kind.name, message);
	if (l.len == sizeof l.text)
		l.len--;
	l.text[l.len++] = '\n';
	fwrite(l.text, 1, l.len, stderr);
	errno = saved;
}

#define EMIT(kind, err)                  \
	do {                             \
		va_list ap;              \
		va_start(ap, fmt);       \
		emit(kind, err, fmt, ap); \
		va_end(ap);              \
	} while (0)

void
log_warn(const char *fmt, ...)
{
	EMIT(WARNING, errno);
}

void
log_warnx(const char *fmt, ...)
{
	EMIT(WARNING, 0);
}

void
log_info(const char *fmt, ...)
{
	if (log_max >= LOG_LEVEL_INFO)
		EMIT(INFO, 0);
}

void
log_debug(const char *fmt, ...)
{
	if (log_max >= LOG_LEVEL_DEBUG)
		EMIT(DEBUG, 0);
}

void
fatal(const char *fmt, ...)
{
	EMIT(FATAL, errno);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	EMIT(FATAL, 0);
	exit(1);
}
