#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#include "age.h"
#include "backup.h"
#include "buf.h"
#include "err.h"
#include "passphrase.h"

#define PIECE 65536
#define AGE_OF_KEY "-> X25519"

struct backup {
	int fd;
	char head[sizeof AGE_MAGIC - 1 + sizeof AGE_OF_KEY - 1];        /* was read to see what it is, and is read again */
	size_t nhead, at;
	const char *encryption;
	struct age_reader *age;
	struct untar *untar;
	struct backup_manifest about;
	struct buf manifest;                    /* its text */
};

/* ---- opening ---- */

static ssize_t
from_file(void *arg, void *p, size_t max, struct err *e)
{
	struct backup *b = arg;
	size_t n = b->nhead - b->at < max ? b->nhead - b->at : max;

	if (!n)
		return bytes_get_fd(&b->fd, p, max, e);
	memcpy(p, b->head + b->at, n);
	b->at += n;
	return (ssize_t)n;
}

static int
decrypt_by_key(struct backup *b, const char *file, struct source from, struct err *e)
{
	struct age_keys keys;
	int rc = age_key_identities(file, &keys, e);

	if (rc == 0)
		rc = age_reader_new(&b->age, &(struct age_for){ .keys = &keys }, from, e);
	OPENSSL_cleanse(&keys, sizeof keys);
	b->encryption = "key";
	return rc;
}

static int
decrypt_by_passphrase(struct backup *b, const char *file, struct source from, struct err *e)
{
	struct buf pass = { 0 };
	int rc = passphrase_get(&pass, file, "Passphrase of the backup: ", false, e);

	if (rc == 0)
		rc = age_reader_new(&b->age, &(struct age_for){ .passphrase = buf_str(&pass) }, from, e);
	passphrase_wipe(&pass);
	b->encryption = "passphrase";
	return rc;
}

static int
read_manifest(struct backup *b, struct err *e)
{
	const char *name;
	int64_t size;
	ssize_t n = 0;
	int more = untar_next(b->untar, &name, &size, e);

	if (more < 0)
		return -1;
	if (!more || strcmp(name, BACKUP_MANIFEST) != 0 || size > (int64_t)BACKUP_MANIFEST_MAX)
		return err_set(e, ERR_PARSE, "it is not a backup: it does not begin with " BACKUP_MANIFEST);
	b->manifest.max = BACKUP_MANIFEST_MAX + 1;
	while ((int64_t)b->manifest.len < size &&
	    (n = untar_read(b->untar, buf_reserve(&b->manifest, PIECE), PIECE, e)) > 0)
		b->manifest.len += (size_t)n;
	if (n < 0)
		return -1;
	return backup_manifest_read(&b->about, buf_str(&b->manifest), b->manifest.len, e) ? err_wrap(e, BACKUP_MANIFEST) : 0;
}

static int
open_archive(struct backup *b, struct source plain, struct err *e)
{
	b->untar = untar_new(plain);
	return read_manifest(b, e);
}

int
backup_from(struct backup **out, struct source plain, struct err *e)
{
	struct backup *b = xcalloc(1, sizeof *b);

	b->fd = -1;
	b->encryption = "none";
	if (open_archive(b, plain, e)) {
		backup_close(b);
		return -1;
	}
	*out = b;
	return 0;
}

static int
open_file(struct backup *b, const char *path, const struct backup_keys *keys, struct err *e)
{
	struct source from = { from_file, b };
	ssize_t n;

	b->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (b->fd < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s", strerror(errno));
	n = bytes_fill(&(struct source){ bytes_get_fd, &b->fd }, b->head, sizeof b->head, e);
	if (n < 0)
		return -1;
	b->nhead = (size_t)n;
	if (b->nhead == sizeof b->head && memcmp(b->head, AGE_MAGIC, sizeof AGE_MAGIC - 1) == 0) {
		if (!keys->identity && memcmp(b->head + sizeof AGE_MAGIC - 1, AGE_OF_KEY, sizeof AGE_OF_KEY - 1) == 0)
			return err_set(e, ERR_DENIED, "it is encrypted for a key: give its file with --identity");
		if (keys->identity ? decrypt_by_key(b, keys->identity, from, e) : decrypt_by_passphrase(b, keys->passphrase_file, from, e))
			return -1;
		from = (struct source){ age_read, b->age };
	}
	return open_archive(b, from, e);
}

int
backup_open(struct backup **out, const char *path, const struct backup_keys *keys, struct err *e)
{
	struct backup *b = xcalloc(1, sizeof *b);

	b->fd = -1;
	b->encryption = "none";
	if (open_file(b, path, keys, e)) {
		backup_close(b);
		return err_wrap(e, "%s", path);
	}
	*out = b;
	return 0;
}

void
backup_close(struct backup *b)
{
	if (!b)
		return;
	if (b->fd >= 0)
		close(b->fd);
	age_reader_free(b->age);
	untar_free(b->untar);
	backup_manifest_release(&b->about);
	buf_free(&b->manifest);
	free(b);
}

const struct backup_manifest *
backup_about(const struct backup *b)
{
	return &b->about;
}

const char *
backup_encryption(const struct backup *b)
{
	return b->encryption;
}

/* ---- reading ---- */

static int
next_is(struct backup *b, const char *path, int64_t bytes, struct err *e)
{
	const char *name;
	int64_t size;
	int more = untar_next(b->untar, &name, &size, e);

	if (more < 0)
		return -1;
	if (!more || strcmp(name, path) != 0 || size != bytes)
		return err_set(e, ERR_PARSE, "%s should follow, with %lld bytes, and does not", path, (long long)bytes);
	return 0;
}

static int
read_one(struct backup *b, const struct backup_file *f, const struct backup_visit *v, struct digest *d, struct err *e)
{
	unsigned char sum[DIGEST_SIZE];
	char hex[DIGEST_HEX], piece[PIECE];
	ssize_t n;

	if (next_is(b, f->path, f->bytes, e) || (v && v->begin && v->begin(v->arg, f, e)))
		return -1;
	while ((n = untar_read(b->untar, piece, sizeof piece, e)) > 0) {
		digest_add(d, piece, (size_t)n);
		if (v && v->put && v->put(v->arg, piece, (size_t)n, e))
			return -1;
	}
	if (n < 0)
		return -1;
	digest_end(d, sum);
	digest_format(sum, hex);
	if (strcmp(hex, f->sha256) != 0)
		return err_set(e, ERR_PARSE, "%s is not what was written: its SHA-256 is another", f->path);
	return v && v->end ? v->end(v->arg, f, e) : 0;
}

static int
read_sums(struct backup *b, struct err *e)
{
	struct buf want = { 0 };
	char piece[4096];
	size_t at = 0;
	ssize_t n = 0;
	int rc;

	backup_sums_put(&want, &b->about, b->manifest.data, b->manifest.len);
	rc = next_is(b, BACKUP_SUMS, (int64_t)want.len, e);
	while (rc == 0 && (n = untar_read(b->untar, piece, sizeof piece, e)) > 0) {
		if (memcmp(want.data + at, piece, (size_t)n) != 0)
			rc = err_set(e, ERR_PARSE, BACKUP_SUMS " does not fit " BACKUP_MANIFEST ": one of them was changed");
		at += (size_t)n;
	}
	buf_free(&want);
	return rc || n < 0 ? -1 : 0;
}

int
backup_read(struct backup *b, const struct backup_visit *v, struct err *e)
{
	struct digest *d = digest_new();
	const char *name;
	int64_t size;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < b->about.nfiles; i++)
		rc = read_one(b, &b->about.files[i], v, d, e);
	if (rc == 0)
		rc = read_sums(b, e);
	if (rc == 0 && (rc = untar_next(b->untar, &name, &size, e)) > 0)
		rc = err_set(e, ERR_PARSE, "%s follows its end", name);
	digest_free(d);
	return rc;
}
