/*
 * tar.h - an archive that every tar reads: POSIX ustar, plain files and nothing else.
 */
#ifndef UW_TAR_H
#define UW_TAR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bytes.h"

struct err;
struct tar;
struct untar;

#define TAR_NAME_MAX 99
#define TAR_FILE_MAX INT64_C(077777777777)      /* bytes of one file: 8 GiB */

/* A file that must not be there yet (ERR_CONFLICT). dir is what names in it begin with. */
struct tar *tar_open(const char *path, const char *dir, int64_t now_ms, struct err *e);

/* Into a sink, with names as they are. */
struct tar *tar_new(struct sink to, int64_t now_ms);

/* Mode 600; with a dir, name has at most 60 characters. An error is kept for tar_close(). */
void tar_add(struct tar *t, const char *name, const char *text, size_t len);

/* The same in pieces, which together must have that size, at most TAR_FILE_MAX. */
void tar_begin(struct tar *t, const char *name, mode_t mode, int64_t size);
void tar_put(struct tar *t, const void *p, size_t len);

/* 0 if all of it was written, of tar_open() to the disk; else the file of that is removed. */
int tar_close(struct tar *t, struct err *e);

/* ---- reading ---- */

/* As tar_close() ends it: what else other programs put into archives is refused. */
struct untar *untar_new(struct source from);
void untar_free(struct untar *u);

/* The next file, once all of the one before was read. name is valid until the next call. 1; 0: the archive has ended,
 * and nothing follows; -1: ERR_PARSE, it is damaged or cut, or what from says. */
int untar_next(struct untar *u, const char **name, int64_t *size, struct err *e);

/* Of that file: 0 at its end. */
ssize_t untar_read(struct untar *u, void *p, size_t max, struct err *e);

#endif
