/*
 * group.h - process groups: is one gone, is a process still the one it was, and the ledger
 * by which a restarted agent finds what its predecessor left alive.
 *
 * Process ids are reused. A group is killed only on proof that it is ours: its leader has the start
 * time that was written down, or a member carries our mark in its environment.
 */
#ifndef UW_GROUP_H
#define UW_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define GROUP_MARK "UW_AGENT"   /* in the environment of a worker and of everything it starts */

struct group {
	pid_t pid;              /* the leader's, and so the group's */
	int64_t start;          /* group_start() when it was made */
};

/* When a process began, in the system's own unit; -1 if there is no such process or it is dead. */
int64_t group_start(pid_t pid);

/* True once no member lives. thorough also looks whether all that is left has ended and merely was
 * not collected by its parent; that reads all of /proc. */
bool group_is_gone(pid_t pid, bool thorough);

/* Kills every process with GROUP_MARK=<mark> in its environment; with prefix, also marks that go on after
 * it. Returns how many. Finds none where environments cannot be read. */
int group_kill_marked(const char *mark, bool prefix);

/* Replaces the file as a whole. */
int ledger_write(const char *path, const char *mark, const struct group *v, size_t n, struct err *e);

/* Kills what the ledger names and waits, at most limit_ms, until it is gone. Removes the file. Returns how
 * many groups were alive. */
int ledger_sweep(const char *path, int64_t limit_ms);

/* A process that it names, or that carries its mark, and lives; 0: none. Touches nothing. */
pid_t ledger_living(const char *path);

#endif
