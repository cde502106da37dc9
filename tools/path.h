/*
 * path.h - opening files only beneath configured roots.
 *
 * A path is absolute and lies beneath a root, or is relative to the first root. A file is writable
 * if any writable root holds it, whatever other root does. It is resolved
 * by the kernel with openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS) from the root's own
 * descriptor, so "..", symbolic links and renames under our feet cannot lead outside. Where
 * there is no openat2, each component is opened in turn without following links.
 */
#ifndef UW_PATH_H
#define UW_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config.h"

struct err;

struct path_root {
	char *path;             /* no trailing slash, symbolic links resolved */
	char *given;            /* as configured: paths that begin so are beneath it too */
	int fd;                 /* the directory, close-on-exec */
	bool writable;
};

struct path_roots {
	struct path_root v[2 * CONFIG_MAX_PATHS];
	size_t n;
};

/* Roots that do not exist are left out; warn is told. */
void path_roots_open(struct path_roots *r, const struct config *c, void (*warn)(const char *msg, void *arg),
    void *arg);
void path_roots_close(struct path_roots *r);

/* Opens with open(2) flags (O_CLOEXEC and, so that a FIFO cannot hang us, O_NONBLOCK are added) and
 * returns the descriptor, or -1 with ERR_PATH (outside, or not writable), ERR_NOT_FOUND or ERR_IO; field is
 * "params.<param>". */
int path_open(const struct path_roots *r, const char *param, const char *path, int flags, mode_t mode,
    struct err *e);

/* The directory that will hold path, and its last component in name (NAME_MAX + 1 bytes): for
 * files that are made, renamed or removed. writable roots only. */
int path_open_parent(const struct path_roots *r, const char *param, const char *path, char *name,
    size_t size, struct err *e);

/* Whether a writable root holds path, as far as its text says: open it too. */
bool path_is_writable(const struct path_roots *r, const char *path);

#endif
