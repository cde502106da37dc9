/*
 * tar.h - an archive that every tar reads: POSIX ustar, plain files of mode 600 beneath one directory.
 */
#ifndef UW_TAR_H
#define UW_TAR_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct tar;

/* A file that must not be there yet (ERR_CONFLICT). dir is what names in it begin with. */
struct tar *tar_open(const char *path, const char *dir, int64_t now_ms, struct err *e);

/* name at most 60 characters. An error is kept for tar_close(). */
void tar_add(struct tar *t, const char *name, const char *text, size_t len);

/* 0 if all of it is on the disk; else the file is removed. */
int tar_close(struct tar *t, struct err *e);

#endif
