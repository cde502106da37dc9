/*
 * daemon.h - a process that outlives the command that started it, under a directory of its own kind:
 * run/<name>.pid (the number alone), run/<name>.start (by which a reused number is told from the
 * process that was started) and log/<name>.log (what it prints).
 */
#ifndef UW_DAEMON_H
#define UW_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct err;

/* Returns once argv[0] runs, or could not be: -1. The process has no terminal, no descriptors of ours, and
 * env, or with NULL the environment of the caller. */
int daemon_start(const char *dir, const char *name, char *const argv[], char *const env[], struct err *e);

/* Its process id while it lives, 0 otherwise. */
pid_t daemon_pid(const char *dir, const char *name);

/* It lives and was stopped by a signal; false where the system does not tell. */
bool daemon_is_frozen(const char *dir, const char *name);

/* It was started and not stopped, alive or not. */
bool daemon_known(const char *dir, const char *name);

/* When it was started, 0 if it was not. */
int64_t daemon_since_ms(const char *dir, const char *name);

/* False if it does not live. */
bool daemon_signal(const char *dir, const char *name, int signo);

/* Waits until it has ended; false after limit_ms. */
bool daemon_wait_end(const char *dir, const char *name, int64_t limit_ms);

/* It has ended: nothing of it is known any more. */
void daemon_forget(const char *dir, const char *name);

/* Appends the last lines of its log, at most `lines` and 4 KiB. */
void daemon_log_tail(const char *dir, const char *name, int lines, struct buf *out);

/* Kills processes whose command line has these bytes (arguments, each ended by NUL) in it, those of which
 * the record is lost, and waits for their end. Returns how many; where command lines cannot be read, none. */
int daemon_kill_like(const char *args, size_t len);

#endif
