/*
 * spot.h - where on the disk a path really is, whatever way leads there.
 *
 * Names are compared after links are followed and ".." is taken out. That is not all: a directory mounted a
 * second time (a bind mount), and on some systems another spelling of a name, is the same place under another
 * name. So a spot also knows the file system it lies on with the path within it, where the system tells
 * (Linux), and the identity of each directory above it.
 *
 * What it cannot know: a copy of a directory as an overlay or a network file system shows it elsewhere, and a
 * directory that somebody renames between the look and the use.
 */
#ifndef UW_SPOT_H
#define UW_SPOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "buf.h"

#define SPOT_DEPTH 64

struct spot {
	char *name;             /* absolute and resolved; what does not exist stays as it is */
	char *origin;           /* "8:1/srv/www": device and path within its file system; NULL: unknown */
	struct {
		dev_t dev;
		ino_t ino;
	} up[SPOT_DEPTH];       /* what exists of it: itself, the directory that holds it, ... but not / */
	size_t n;
	bool exists;            /* up[0] is the thing itself */
};

/* The name alone. NULL if it cannot be told: too long, a loop of links, not allowed to look. */
char *spot_resolve(const char *path);

/* The same; links gets where each link was that has been followed, each ended by NUL. */
char *spot_resolve_links(const char *path, struct buf *links);

/* What a descriptor is open on, NULL where the system does not tell. */
char *spot_of_fd(int fd);

/* The mounts of this moment, for many spots. */
void spot_mounts(struct buf *mounts);

/* name is resolved. s is to be released either way. -1 if it cannot be told where it is. */
int spot_find(struct spot *s, const char *name, const struct buf *mounts);
void spot_release(struct spot *s);

/* They are the same, or one lies in the other. */
bool spot_overlap(const struct spot *a, const struct spot *b);

/* b is a or lies beneath it, as far as their texts say. */
bool spot_holds(const char *a, size_t alen, const char *b, size_t blen);

#endif
