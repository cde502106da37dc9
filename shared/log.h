/*
 * log.h - one line per event on standard error, "noun id: what happened".
 *
 * Levels say who must act: fatal ends the program, warn wants a look, info is a
 * few lines on a healthy day, debug is for finding a fault.
 */
#ifndef UW_LOG_H
#define UW_LOG_H

enum log_level { LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* ident is put on each line and must outlive the program; NULL leaves it out. */
void log_init(const char *ident, enum log_level level);

void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  /* adds strerror(errno) */
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fatalx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
