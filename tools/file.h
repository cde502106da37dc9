/*
 * file.h - what the file tools share: reading, hashing, walking a directory.
 */
#ifndef UW_FILE_H
#define UW_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "buf.h"

struct err;
struct tool_run;

#define FILE_HASH_HEX 129               /* room for any algorithm's digest in hexadecimal, and the NUL */
#define FILE_HASH_MAX (1024ll << 20)    /* larger files are not hashed by the way */

/* Opens the path in `param` for reading; it must be a regular file. Returns the descriptor or -1. */
int file_open(const struct tool_run *r, const char *param, struct stat *st, struct err *e);

/* The digest of what is left to read; algorithm as OpenSSL calls it. ERR_TIMEOUT at deadline_ms
 * (0: none). total may be NULL. */
int file_hash(int fd, const char *algorithm, int64_t deadline_ms, char hex[FILE_HASH_HEX], int64_t *total,
    struct err *e);
void file_hash_bytes(const void *p, size_t len, char hex[FILE_HASH_HEX]);       /* sha256 */

/* The absolute path of `name` in a directory that is open, links followed. NULL where the system does not tell. */
char *file_real_name(int dir, const char *name);

/* Notes that the file which is open was read as a whole; sha256 may be empty, then nothing is noted. */
void file_note_read(struct tool_run *r, int fd, const char *sha256);

/* "file", "dir", "link", "fifo", "socket", "device" */
const char *file_type(mode_t mode);
int64_t file_mtime_ms(const struct stat *st);
void file_put_mode(struct buf *b, mode_t mode);         /* "mode":"0644" */

/* How many of the first bytes fit into `room` bytes of a JSON string; whole characters only. *text is
 * false if they are not UTF-8 (a character cut off at the very end is no fault) or hold a NUL. */
size_t file_text_fits(const char *p, size_t len, size_t room, bool *text);

/* One thing found by file_walk(). */
struct file_entry {
	const char *path;               /* relative to where the walk began */
	const char *name;
	int dir;                        /* descriptor of the directory it is in */
	struct stat st;                 /* of itself, not of what it links to */
};

/* Directories are entered by descriptor and never through a link. In order of names. */
struct file_walk {
	int max_depth;                  /* 1: only the directory itself */
	int64_t max_seen;               /* entries looked at */
	int64_t deadline_ms;
	const char *match;              /* glob for what is visited, not for directories entered; or NULL */
	bool hidden;                    /* names that begin with '.' too */
	bool one_device;                /* not what is mounted beneath it */
	int (*visit)(void *arg, const struct file_entry *f);    /* not 0: stop */
	void *arg;
	int64_t seen;
	dev_t device;                   /* where the walk began */
	const char *stopped_by;         /* "entries", "time", NULL; or what visit() sets */
	int unreadable;                 /* directories that could not be entered */
};

/* Takes dir (closes it). */
void file_walk(struct file_walk *w, int dir);

#endif
