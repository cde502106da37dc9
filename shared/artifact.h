/*
 * artifact.h - files that hosts share. Each has one writer, the host in whose directory it lies:
 *
 *   <dir>/self                              what this host is called among the devices
 *   <dir>/new/                              what is being written; nobody else sees it
 *   <dir>/<device>/artifacts/ab/<sha256>    named by what is in them, so they never change
 *   <dir>/<device>/<kind>/<name>            exports, replaced whole
 *
 * What is to appear is written in new/, brought to the disk, and renamed: whoever looks, Syncthing too, sees all of it or
 * nothing. What others wrote is believed only as far as its hash says.
 */
#ifndef UW_ARTIFACT_H
#define UW_ARTIFACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "digest.h"

struct buf;
struct err;

struct artifact {
	char hash[DIGEST_HEX];
	config_name writer;
	int64_t bytes, wall_ms;         /* when it was put there */
};

/* The device that this host is, as `uni-wizard sync setup` found. -1 with ERR_CONFIG if it was not run here, or nothing is
 * shared at all. */
int artifact_self(const struct config *c, config_name self, struct err *e);

/* True if text is 64 hexadecimal digits, the letters small; else e says so. */
bool artifact_hash_ok(const char *text, struct err *e);

/* A path beneath the directory of a device in dir; caller frees. kind "artifacts": name is a hash. */
char *artifact_path(const char *dir, const char *device, const char *kind, const char *name);

/* ---- writing ---- */

struct artifact_draft {
	const struct config *c;
	char *path;                     /* NULL: none, or it has become what it was to be */
	int fd;
	struct digest *digest;
	int64_t bytes;
	char hash[DIGEST_HEX];          /* "": more may come */
};

/* On failure there is nothing to drop. ERR_BUSY: the disk has no more than limits.min_free_bytes. */
int artifact_begin(struct artifact_draft *d, const struct config *c, struct err *e);
/* ERR_TOO_BIG beyond limits.artifact_bytes. */
int artifact_add(struct artifact_draft *d, const void *p, size_t len, struct err *e);
/* All that fd still has. */
int artifact_add_from(struct artifact_draft *d, int fd, struct err *e);
/* Its hash; nothing is added after that. */
const char *artifact_seal(struct artifact_draft *d);
/* It is an artifact of ours now; was_here: it was one already. */
int artifact_keep(struct artifact_draft *d, const char *self, struct artifact *out, bool *was_here, struct err *e);
/* It replaces <self>/<kind>/<name>, unless that has the same in it. */
int artifact_publish(struct artifact_draft *d, const char *self, const char *kind, const char *name, bool *changed, struct err *e);
/* Always at the end; takes back what has not become anything. */
void artifact_drop(struct artifact_draft *d);

/* ---- reading ---- */

/* Calls f for every artifact here, of one writer or (NULL) of all; f ends it by another value than 0, which is returned. */
int artifact_each(const struct config *c, const char *writer, int (*f)(void *arg, const struct artifact *a), void *arg);

/* The i-th that is here of those with that hash: each writer may have one. */
bool artifact_find(const struct config *c, const char *hash, size_t i, struct artifact *out);

/* Appends the whole of it to out, which has its max; failures are those of artifact_copy(). */
int artifact_read(const struct config *c, const struct artifact *a, struct buf *out, struct err *e);

/* Copies it to fd (-1: only looks). ERR_UNPROVEN: it is not what its name says, and what was copied is worth nothing. */
int artifact_copy(const struct config *c, const struct artifact *a, int fd, struct err *e);

/* ---- forgetting ---- */

/* Removes those of ours that are older than retention.artifacts_s at wall_ms, then the oldest beyond
 * retention.artifacts_bytes, and drafts that somebody left a day ago. f is told of each artifact; with only_tell nothing is
 * removed. Returns how many, or -1. */
int artifact_prune(const struct config *c, const char *self, int64_t wall_ms, bool only_tell,
    void (*f)(void *arg, const struct artifact *a), void *arg, struct err *e);

#endif
