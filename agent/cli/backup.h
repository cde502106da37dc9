/*
 * backup.h - the file of a backup: a tar archive, as it is or within the encryption of age.h.
 *
 * Its first file, manifest.json, says what it is and which files follow, in order, with size and SHA-256; its last,
 * SHA256SUMS, has all of these once more and the manifest's own, as sha256sum -c reads them. So a reader knows what is to
 * come before it comes, takes nothing else, and notices whatever was changed or cut.
 *
 *      houses.yaml, env            the configuration
 *      pki/..., pki/issued/...     certificates and keys
 *      sovereign/...               the sovereign's key, where it does not lie in pki
 *      state/...                   databases and what belongs to them
 */
#ifndef UW_BACKUP_H
#define UW_BACKUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bytes.h"
#include "config.h"
#include "digest.h"
#include "tar.h"

struct buf;
struct err;

#define BACKUP_FORMAT 1
#define BACKUP_MANIFEST "manifest.json"
#define BACKUP_SUMS "SHA256SUMS"
#define BACKUP_MANIFEST_MAX (4u << 20)
#define BACKUP_FILES_MAX 10000
#define BACKUP_AGENTS_MAX 256
#define BACKUP_PATH_MAX 512             /* of places on the host */

struct backup_file {
	char path[TAR_NAME_MAX + 1];
	int64_t bytes;
	mode_t mode;
	char sha256[DIGEST_HEX];
};

struct backup_agent {
	char agent[sizeof(config_name)];
	char store[16];                 /* which of the agent's lives: see docs/architecture.md */
	int64_t version;                /* of its database */
};

struct backup_manifest {
	int64_t format;
	char program[32], time[40], host[256], cluster[sizeof(config_name)];
	char config[BACKUP_PATH_MAX], pki[BACKUP_PATH_MAX], state[BACKUP_PATH_MAX];     /* where it was */
	char sovereign_key[BACKUP_PATH_MAX];
	bool keys;                      /* the authority's and the sovereign's are in it */
	struct backup_agent *agents;
	size_t nagents;
	struct backup_file *files;
	size_t nfiles;
};

/* ---- the manifest ---- */

void backup_manifest_put(struct buf *b, const struct backup_manifest *m);
void backup_sums_put(struct buf *b, const struct backup_manifest *m, const char *manifest, size_t len);

/* Strict, and of no format but ours: names are such as we write, each once. Release it. */
int backup_manifest_read(struct backup_manifest *m, const char *text, size_t len, struct err *e);
void backup_manifest_release(struct backup_manifest *m);

/* Whether a file of that name may be in a backup: beneath one of the places above, without any way out. */
bool backup_path_ok(const char *path);

/* ---- reading ---- */

struct backup;

/* What opens it: files of age keys or of a passphrase. Without either a passphrase is asked for. */
struct backup_keys {
	const char *identity, *passphrase_file;
};

int backup_open(struct backup **out, const char *path, const struct backup_keys *keys, struct err *e);
int backup_from(struct backup **out, struct source plain, struct err *e);      /* what is not encrypted, or not any more */
void backup_close(struct backup *b);
const struct backup_manifest *backup_about(const struct backup *b);
const char *backup_encryption(const struct backup *b);          /* none passphrase key */

/* Each returns 0; -1 ends the reading. NULL: nothing is to be done. */
struct backup_visit {
	int (*begin)(void *arg, const struct backup_file *f, struct err *e);
	int (*put)(void *arg, const void *p, size_t len, struct err *e);
	int (*end)(void *arg, const struct backup_file *f, struct err *e);      /* its size and digest are right */
	void *arg;
};

/* All of it, once, to the very end. What was visited counts only when it returns 0. */
int backup_read(struct backup *b, const struct backup_visit *v, struct err *e);

/* For commands that read one. */
#define BACKUP_OPTS                                                                                                       \
	{ .name = "identity", .letter = 'i', .kind = OPT_TEXT, .arg = "FILE", .complete = "files",                        \
	  .help = "the secret key that it is encrypted for, as `backup key` or age-keygen wrote it" },                    \
	{ .name = "passphrase-file", .letter = 0, .kind = OPT_TEXT, .arg = "FILE", .complete = "files",                   \
	  .help = "the passphrase is its first line (else it is asked for)" }

#endif
