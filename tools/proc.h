/*
 * proc.h - running a program: no shell, bounded time and output, clean environment.
 *
 * The child gets only descriptors 0, 1 and 2, the environment given (and TMPDIR, and the worker's mark), is in
 * the worker's process group (so a stop reaches it) and dies with the worker on Linux.
 */
#ifndef UW_PROC_H
#define UW_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "sandbox.h"

struct err;

/* 0: as the caller has it. */
struct proc_limits {
	int64_t memory_bytes;           /* RLIMIT_AS */
	int64_t cpu_s;                  /* RLIMIT_CPU */
	int64_t file_bytes;             /* RLIMIT_FSIZE: largest file it may write */
	int64_t open_files;             /* RLIMIT_NOFILE */
};

struct proc {
	const char *const *argv;        /* argv[0]: absolute path, or a name found in PROC_PATH */
	const char *const *env;         /* NULL-ended "K=V"; NULL: PROC_PATH, HOME, LANG=C.UTF-8 only */
	int exe_fd;                     /* > 0: run this file, open for reading; where the system cannot, argv[0] */
	int cwd_fd;                     /* > 0: directory to run in; otherwise / */
	const char *in;                 /* standard input; NULL: empty */
	size_t in_len;
	int64_t deadline_ms;            /* clock_mono_ms(); then SIGTERM, grace, SIGKILL; 0: in a minute */
	int64_t grace_ms;
	size_t max_out, max_err;        /* the first bytes of standard output and the last of standard error
	                                 * are kept; the rest is read, counted and dropped */
	struct proc_limits limits;
	struct sandbox_program walls;
	void (*on_output)(void *arg, const char *text, size_t len);     /* live, and "" now and then; may be NULL */
	bool live_err_only;             /* on_output sees standard error only */
	void *arg;
};

struct proc_end {
	int status;                     /* exit code, or -1 */
	int signal;                     /* signal number, or 0 */
	bool timed_out;
	bool overfull;                  /* stopped for what it put into its temporary directory */
	struct buf out, err;
	size_t out_total, err_total;    /* bytes written, kept or not */
	int64_t ms;
};

#define PROC_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin"

/* 0 once the program has ended, however it did; -1 if it could not be started (ERR_NOT_FOUND, ERR_IO), or
 * was stopped: end is filled in (ERR_TIMEOUT, ERR_TOO_BIG). The caller frees with proc_end_release(). */
int proc_run(const struct proc *p, struct proc_end *end, struct err *e);
void proc_end_release(struct proc_end *end);

#endif
