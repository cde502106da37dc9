/*
 * log.h - one line per event on standard error, "noun id: what happened".
 *
 * Levels say who must act: fatal ends the program, warn wants a look, info is a
 * few lines on a healthy day, debug is for finding a fault.
 *
 * A line is text, or an object of JSON. When standard error is the journal's, each begins with its priority as
 * sd-daemon(3) has it, and a text leaves the time to the journal.
 */
#ifndef UW_LOG_H
#define UW_LOG_H

#include <stdbool.h>

#define LOG_LEVELS "warn info debug"    /* in the order of: */
enum log_level { LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* ident is put on each line and must outlive the program; NULL leaves it out. */
void log_init(const char *ident, enum log_level level);
void log_as_json(bool json);

/* These may change at any time, for all threads. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* The level of that name; -1: none has it. */
int log_level_find(const char *name);
const char *log_level_name(enum log_level level);

/* What this thread says until log_task(NULL) is about that task. */
void log_task(const char *id);

void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  /* adds strerror(errno) */
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fatalx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
