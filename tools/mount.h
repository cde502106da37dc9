/*
 * mount.h - the file systems that are mounted, and how full they are.
 *
 * Left out are those that hold nothing of anybody's (proc, cgroup, ...), and those over a network,
 * unless asked for: a server that does not answer hangs whoever asks, beyond any signal.
 */
#ifndef UW_MOUNT_H
#define UW_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOUNT_MAX 256

struct mount {
	char *path, *device, *type;
	uint64_t id;                    /* the same for two mounts of one file system */
	bool read_only;
	int64_t size, used, available;  /* bytes; available: to those who are not root */
	int64_t inodes, inodes_used;    /* 0: the file system has no such limit */
};

struct mounts {
	struct mount v[MOUNT_MAX];
	size_t n;
	bool cut;                       /* there are more */
};

/* Each file system once, at the first place it is mounted. network: those too. */
void mounts_read(struct mounts *m, bool network);
void mounts_release(struct mounts *m);

/* As df(1) counts: of what is used and available together, rounded up to a tenth. */
double mount_used_percent(const struct mount *m);
double mount_inodes_percent(const struct mount *m);

/* One line of /proc/self/mountinfo; false if it is none. Takes the line apart in place. */
bool mount_parse(char *line, struct mount *m);

#endif
