/*
 * process.h - what runs on this machine. Never anybody's environment.
 */
#ifndef UW_PROCESS_H
#define UW_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct err;

struct process {
	pid_t pid, ppid;
	uid_t uid;                      /* effective */
	char name[64];                  /* as the kernel has it, cut by it */
	char state;                     /* as ps(1) shows it: R S D Z T ... */
	bool kernel;                    /* a thread of the kernel */
	int64_t threads;
	int64_t rss;                    /* bytes */
	int64_t cpu_ms;                 /* used since it began */
	int64_t began_ms;               /* wall clock */
};

struct processes {
	struct process *v;
	size_t n;
};

/* Those that end while we look are left out. */
int processes_read(struct processes *ps, struct err *e);
void processes_release(struct processes *ps);

/* Its arguments, separated by blanks, at most max bytes of them; false if they may not be read. */
bool process_args(pid_t pid, size_t max, struct buf *out);

/* Bytes with NULs between arguments to text: blanks and unprintable bytes in an argument are kept apart
 * from the separators by quotes. */
void process_args_format(const char *p, size_t len, struct buf *out);

/* The text of /proc/<pid>/stat, except uid. */
bool process_stat_parse(const char *text, int64_t boot_ms, int64_t ticks, int64_t page, struct process *p);

#endif
