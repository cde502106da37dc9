#include "artifact.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"

#define PIECE 65536
#define DRAFT_KEEP_MS INT64_C(86400000)

#ifdef __APPLE__
#define MTIME(st) (st).st_mtimespec
#else
#define MTIME(st) (st).st_mtim
#endif

static char *__attribute__((format(printf, 1, 2)))
path_of(const char *fmt, ...)
{
	char path[2 * 4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	return xstrdup(path);
}

static int64_t
mtime_ms(const struct stat *st)
{
	return (int64_t)MTIME(*st).tv_sec * 1000 + MTIME(*st).tv_nsec / 1000000;
}

char *
artifact_path(const char *dir, const char *device, const char *kind, const char *name)
{
	if (strcmp(kind, "artifacts") == 0)
		return path_of("%s/%s/artifacts/%.2s/%s", dir, device, name, name);
	return path_of("%s/%s/%s/%s", dir, device, kind, name);
}

bool
artifact_hash_ok(const char *text, struct err *e)
{
	unsigned char bytes[DIGEST_SIZE];

	if (digest_parse(text, bytes) == 0)
		return true;
	err_field(e, ERR_INVALID, "hash", text, "64 hexadecimal digits (0-9, a-f)");
	return false;
}

int
artifact_self(const struct config *c, config_name self, struct err *e)
{
	char text[sizeof(config_name) + 1] = "", *path;
	ssize_t n = -1;
	int fd;

	if (!c->share_dir)
		return err_set(e, ERR_CONFIG, "syncthing.dir: houses.yaml names no directory that is shared");
	path = path_of("%s/self", c->share_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		n = read(fd, text, sizeof text - 1);
		close(fd);
	}
	free(path);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (!name_ok(text))
		return err_set(e, ERR_CONFIG, "%s/self does not say which device this host is: run `uni-wizard sync setup` here",
		    c->share_dir);
	if (!config_device_find(c, text))
		return err_set(e, ERR_CONFIG, "%s/self: houses.yaml has no device %s: run `uni-wizard sync setup` here", c->share_dir, text);
	memcpy(self, text, sizeof(config_name));
	return 0;
}

/* ---- writing ---- */

static int
make_dirs(char *path, struct err *e)
{
	for (char *p = path + 1;; p++) {
		char kept = *p;

		if (kept != '/' && kept)
			continue;
		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return err_set(e, ERR_IO, "cannot make %s: %s", path, strerror(errno));
		*p = kept;
		if (!kept)
			return 0;
	}
}

static int
sync_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) ? err_set(e, ERR_IO, "cannot sync %s: %s", path, strerror(errno)) : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

static int
check_room(const struct config *c, struct err *e)
{
	struct statvfs v;

	if (statvfs(c->share_dir, &v) || (int64_t)v.f_bavail * (int64_t)v.f_frsize > c->min_free_bytes)
		return 0;
	return err_set(e, ERR_BUSY, "%s: no more than limits.min_free_bytes is free there; make room, or `uni-wizard artifact prune`",
	    c->share_dir);
}

int
artifact_begin(struct artifact_draft *d, const struct config *c, struct err *e)
{
	char *dir = path_of("%s/new", c->share_dir);
	int rc = make_dirs(dir, e) || check_room(c, e) ? -1 : 0;

	*d = (struct artifact_draft){ .c = c, .fd = -1 };
	if (rc == 0) {
		d->path = path_of("%s/XXXXXX", dir);
		d->fd = mkostemp(d->path, O_CLOEXEC);
		if (d->fd < 0)
			rc = err_set(e, ERR_IO, "cannot write in %s: %s", dir, strerror(errno));
	}
	if (rc == 0) {
		d->digest = digest_new();
	} else {
		free(d->path);
		d->path = NULL;
	}
	free(dir);
	return rc;
}

static int
write_all(int fd, const void *p, size_t len)
{
	for (const char *from = p; len;) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno != EINTR)
			return -1;
		from += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int
artifact_add(struct artifact_draft *d, const void *p, size_t len, struct err *e)
{
	if ((int64_t)len > d->c->max_artifact_bytes - d->bytes)
		return err_set(e, ERR_TOO_BIG, "more than limits.artifact_bytes (%lld)", (long long)d->c->max_artifact_bytes);
	digest_add(d->digest, p, len);
	d->bytes += (int64_t)len;
	if (write_all(d->fd, p, len))
		return err_set(e, ERR_IO, "cannot write %s: %s", d->path, strerror(errno));
	return 0;
}

int
artifact_add_from(struct artifact_draft *d, int fd, struct err *e)
{
	char piece[PIECE];

	for (;;) {
		ssize_t n = read(fd, piece, sizeof piece);

		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_set(e, ERR_IO, "cannot read: %s", strerror(errno));
		if (n > 0 && artifact_add(d, piece, (size_t)n, e))
			return -1;
	}
}

/* Readable for all whom the directory lets in; no more to be written to. */
static int
put_in_place(struct artifact_draft *d, const char *path, struct err *e)
{
	char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	int rc = make_dirs(dir, e);

	if (rc == 0 && (fchmod(d->fd, 0444) || fsync(d->fd) || rename(d->path, path)))
		rc = err_set(e, ERR_IO, "cannot write %s: %s", path, strerror(errno));
	if (rc == 0) {
		free(d->path);
		d->path = NULL;
		rc = sync_dir(dir, e);
	}
	free(dir);
	return rc;
}

const char *
artifact_seal(struct artifact_draft *d)
{
	unsigned char bytes[DIGEST_SIZE];

	if (!d->hash[0]) {
		digest_end(d->digest, bytes);
		digest_format(bytes, d->hash);
	}
	return d->hash;
}

int
artifact_keep(struct artifact_draft *d, const char *self, struct artifact *out, bool *was_here, struct err *e)
{
	struct stat st;
	char *path;
	int rc;

	*out = (struct artifact){ .bytes = d->bytes };
	memcpy(out->hash, artifact_seal(d), sizeof out->hash);
	memccpy(out->writer, self, '\0', sizeof out->writer - 1);
	path = artifact_path(d->c->share_dir, self, "artifacts", out->hash);
	*was_here = access(path, F_OK) == 0;
	/* Again, for what lies there may be damaged; and it is as young as its last put. */
	rc = put_in_place(d, path, e);
	if (rc == 0 && fstat(d->fd, &st) == 0)
		out->wall_ms = mtime_ms(&st);
	free(path);
	return rc;
}

/* Regular, and never what a link leads to: others wrote it. */
static int
open_file(const char *path, struct stat *st, struct err *e)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close(fd);
	return err_set(e, ERR_IO, "%s is no regular file", path);
}

/* Where what is read goes; neither: it is only looked at. */
struct to {
	int fd;                         /* -1: none */
	struct buf *buf;
};

static int
hand_on(const struct to *to, const char *piece, size_t n, struct err *e)
{
	if (to->fd >= 0 && write_all(to->fd, piece, n))
		return err_set(e, ERR_IO, "cannot write: %s", strerror(errno));
	if (!to->buf)
		return 0;
	buf_add(to->buf, piece, n);
	return buf_ok(to->buf) ? 0 : err_set(e, ERR_TOO_BIG, "more than %zu bytes", to->buf->max);
}

static int
copy(int fd, const struct to *to, int64_t max, char hash[DIGEST_HEX], struct err *e)
{
	struct digest *d = digest_new();
	unsigned char bytes[DIGEST_SIZE];
	char piece[PIECE];
	int64_t sum = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = read(fd, piece, sizeof piece)) != 0) {
		if (n < 0)
			rc = errno == EINTR ? 0 : err_set(e, ERR_IO, "cannot read: %s", strerror(errno));
		else if ((sum += n) > max)
			rc = err_set(e, ERR_TOO_BIG, "more than limits.artifact_bytes (%lld)", (long long)max);
		else if ((rc = hand_on(to, piece, (size_t)n, e)) == 0)
			digest_add(d, piece, (size_t)n);
	}
	digest_end(d, bytes);
	digest_format(bytes, hash);
	digest_free(d);
	return rc;
}

static bool
has_hash(const struct config *c, const char *path, const char *hash)
{
	char there[DIGEST_HEX];
	struct stat st;
	int fd = open_file(path, &st, NULL);
	bool same = fd >= 0 && copy(fd, &(struct to){ .fd = -1 }, c->max_artifact_bytes, there, NULL) == 0 && strcmp(there, hash) == 0;

	if (fd >= 0)
		close(fd);
	return same;
}

int
artifact_publish(struct artifact_draft *d, const char *self, const char *kind, const char *name, bool *changed, struct err *e)
{
	char *path = artifact_path(d->c->share_dir, self, kind, name);
	int rc = 0;

	*changed = !has_hash(d->c, path, artifact_seal(d));
	if (*changed)
		rc = put_in_place(d, path, e);
	free(path);
	return rc;
}

void
artifact_drop(struct artifact_draft *d)
{
	if (d->path)
		unlink(d->path);
	if (d->fd >= 0)
		close(d->fd);
	digest_free(d->digest);
	free(d->path);
	*d = (struct artifact_draft){ .fd = -1 };
}

/* ---- reading ---- */

static bool
look(const char *path, struct artifact *out)
{
	struct stat st;

	if (lstat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	out->bytes = st.st_size;
	out->wall_ms = mtime_ms(&st);
	return true;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Those that begin with the same two digits. */
static int
each_beneath(const char *dir, const char *writer, int (*f)(void *arg, const struct artifact *a), void *arg)
{
	struct dirent **v = NULL;
	int n = scandir(dir, &v, NULL, by_name), rc = 0;

	for (int i = 0; i < n; i++) {
		char *path = path_of("%s/%s", dir, v[i]->d_name);
		struct artifact a = { .bytes = 0 };

		if (rc == 0 && artifact_hash_ok(v[i]->d_name, NULL) && look(path, &a)) {
			memcpy(a.hash, v[i]->d_name, sizeof a.hash);
			memccpy(a.writer, writer, '\0', sizeof a.writer - 1);
			rc = f(arg, &a);
		}
		free(path);
		free(v[i]);
	}
	free(v);
	return rc;
}

int
artifact_each(const struct config *c, const char *writer, int (*f)(void *arg, const struct artifact *a), void *arg)
{
	int rc = 0;

	for (size_t i = 0; i < c->ndevices && rc == 0; i++) {
		const char *name = c->devices[i].name;

		for (int k = 0; k < 256 && rc == 0 && (!writer || strcmp(writer, name) == 0); k++) {
			char *dir = path_of("%s/%s/artifacts/%02x", c->share_dir, name, (unsigned)k);

			rc = each_beneath(dir, name, f, arg);
			free(dir);
		}
	}
	return rc;
}

bool
artifact_find(const struct config *c, const char *hash, size_t i, struct artifact *out)
{
	bool found = false;

	for (const struct config_device *d = c->devices; !found && d < c->devices + c->ndevices; d++) {
		char *path = artifact_path(c->share_dir, d->name, "artifacts", hash);

		*out = (struct artifact){ .bytes = 0 };
		memccpy(out->hash, hash, '\0', sizeof out->hash - 1);
		memcpy(out->writer, d->name, sizeof out->writer);
		found = look(path, out) && i-- == 0;
		free(path);
	}
	return found;
}

static int
read_to(const struct config *c, const struct artifact *a, const struct to *to, struct err *e)
{
	char *path = artifact_path(c->share_dir, a->writer, "artifacts", a->hash), hash[DIGEST_HEX];
	struct stat st;
	int fd = open_file(path, &st, e), rc = -1;

	if (fd >= 0) {
		rc = copy(fd, to, c->max_artifact_bytes, hash, e);
		close(fd);
	}
	if (rc == 0 && strcmp(hash, a->hash) != 0)
		rc = err_set(e, ERR_UNPROVEN, "%s is not what its name says: its hash is %s", path, hash);
	else if (rc && fd >= 0)
		err_wrap(e, "%s", path);
	free(path);
	return rc;
}

int
artifact_copy(const struct config *c, const struct artifact *a, int fd, struct err *e)
{
	return read_to(c, a, &(struct to){ .fd = fd }, e);
}

int
artifact_read(const struct config *c, const struct artifact *a, struct buf *out, struct err *e)
{
	return read_to(c, a, &(struct to){ .fd = -1, .buf = out }, e);
}

/* ---- forgetting ---- */

struct heap {
	struct artifact *v;
	size_t n;
	int64_t bytes;
};

static int
gather(void *arg, const struct artifact *a)
{
	struct heap *h = arg;

	if ((h->n & (h->n - 1)) == 0)
		h->v = xrealloc(h->v, (h->n ? 2 * h->n : 1) * sizeof *h->v);
	h->v[h->n++] = *a;
	h->bytes += a->bytes;
	return 0;
}

static int
by_age(const void *a, const void *b)
{
	int64_t x = ((const struct artifact *)a)->wall_ms, y = ((const struct artifact *)b)->wall_ms;

	return (x > y) - (x < y);
}

static int
forget(const struct config *c, const struct artifact *a, struct err *e)
{
	char *path = artifact_path(c->share_dir, a->writer, "artifacts", a->hash);
	int rc = unlink(path) && errno != ENOENT ? err_set(e, ERR_IO, "cannot remove %s: %s", path, strerror(errno)) : 0;

	free(path);
	return rc;
}

static void
forget_drafts(const struct config *c, int64_t wall_ms)
{
	char *dir = path_of("%s/new", c->share_dir);
	DIR *d = opendir(dir);
	const struct dirent *v;
	struct stat st;

	while (d && (v = readdir(d)))
		if (v->d_name[0] != '.' && fstatat(dirfd(d), v->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    mtime_ms(&st) < wall_ms - DRAFT_KEEP_MS)
			unlinkat(dirfd(d), v->d_name, 0);
	if (d)
		closedir(d);
	free(dir);
}

int
artifact_prune(const struct config *c, const char *self, int64_t wall_ms, bool only_tell,
    void (*f)(void *arg, const struct artifact *a), void *arg, struct err *e)
{
	struct heap h = { 0 };
	int n = 0, rc = 0;

	artifact_each(c, self, gather, &h);
	if (h.n)
		qsort(h.v, h.n, sizeof *h.v, by_age);
	for (size_t i = 0; i < h.n && rc == 0; i++) {
		if (h.v[i].wall_ms >= wall_ms - 1000 * c->keep_artifacts_s && h.bytes <= c->keep_artifacts_bytes)
			break;
		rc = only_tell ? 0 : forget(c, &h.v[i], e);
		if (rc == 0) {
			f(arg, &h.v[i]);
			h.bytes -= h.v[i].bytes;
			n++;
		}
	}
	free(h.v);
	if (!only_tell)
		forget_drafts(c, wall_ms);
	return rc ? -1 : n;
}
