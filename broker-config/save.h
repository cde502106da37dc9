/*
 * save.h - a whole file, written so that readers see the old one or the new one.
 */
#ifndef UW_SAVE_H
#define UW_SAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;
struct err;

/* Temporary file beside it, fsync, rename, fsync of the directory. */
int save_file(const char *path, const char *text, size_t len, mode_t mode, struct err *e);

/* save_file() unless the file has that content and mode already; *changed says which. */
int save_if_changed(const char *path, const char *text, size_t len, mode_t mode, bool *changed,
    struct err *e);

/* What was made or renamed in a directory is on the disk when that is. */
int save_sync_dir(const char *dir, struct err *e);

/* A directory and those above it; existing ones are left as they are. */
int save_dir(const char *path, mode_t mode, struct err *e);

/* Appends a regular file to out: ERR_NOT_FOUND, ERR_TOO_BIG (past out's max) or ERR_IO. */
int save_read(const char *path, struct buf *out, struct err *e);

/* The path from the root, without a slash at its end; it need not exist. Caller frees. */
char *save_absolute(const char *path);

#endif
