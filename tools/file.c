#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <openssl/evp.h>

#include "clock.h"
#include "err.h"
#include "json.h"
#include "notes.h"
#include "param.h"
#include "spot.h"
#include "tool.h"

#define BLOCK 131072
#define MAX_NAMES 100000        /* of one directory */

int
file_open(const struct tool_run *r, const char *param, struct stat *st, struct err *e)
{
	const char *path = param_str(r, param);
	char field[64];
	int fd = path_open(&r->env->roots, param, path, O_RDONLY, 0, e);

	if (fd < 0)
		return -1;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close(fd);
	snprintf(field, sizeof field, "params.%s", param);
	return err_field(e, ERR_INVALID, field, file_type(st->st_mode), "the path of a regular file");
}

static void
hex_of(const unsigned char *md, unsigned len, char *hex)
{
	for (unsigned i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
}

static int
hash_blocks(EVP_MD_CTX *ctx, int fd, int64_t deadline_ms, int64_t *total, struct err *e)
{
	char *block = xmalloc(BLOCK);
	ssize_t n;

	while ((n = read(fd, block, BLOCK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (deadline_ms && clock_mono_ms() >= deadline_ms))
			break;
		EVP_DigestUpdate(ctx, block, (size_t)n);
		*total += n;
	}
	free(block);
	if (n < 0)
		return err_set(e, ERR_IO, "cannot read: %s", strerror(errno));
	return n ? err_set(e, ERR_TIMEOUT, "out of time after %lld bytes", (long long)*total) : 0;
}

int
file_hash(int fd, const char *algorithm, int64_t deadline_ms, char hex[FILE_HASH_HEX], int64_t *total,
    struct err *e)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	const EVP_MD *type = EVP_get_digestbyname(algorithm);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int64_t count = 0;
	unsigned len;
	int rc = -1;

	if (!type || !ctx || EVP_DigestInit_ex(ctx, type, NULL) != 1)
		err_set(e, ERR_INTERNAL, "OpenSSL does not offer %s here", algorithm);
	else
		rc = hash_blocks(ctx, fd, deadline_ms, &count, e);
	if (rc == 0) {
		EVP_DigestFinal_ex(ctx, md, &len);
		hex_of(md, len, hex);
	}
	EVP_MD_CTX_free(ctx);
	if (total)
		*total = count;
	return rc;
}

void
file_hash_bytes(const void *p, size_t len, char hex[FILE_HASH_HEX])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n;

	if (EVP_Digest(p, len, md, &n, EVP_sha256(), NULL) != 1)
		abort();
	hex_of(md, n, hex);
}

char *
file_real_name(int dir, const char *name)
{
	char *at = spot_of_fd(dir);
	struct buf b = { 0 };

	if (!at)
		return NULL;
	buf_addf(&b, "%s/%s", strcmp(at, "/") == 0 ? "" : at, name);
	free(at);
	return buf_take(&b);
}

void
file_note_read(struct tool_run *r, int fd, const char *sha256)
{
	char *name = r->notes && sha256[0] ? spot_of_fd(fd) : NULL;

	if (name)
		note_read(r, PLAN_PATH, name, sha256);
	free(name);
}

const char *
file_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "file";
	case S_IFDIR: return "dir";
	case S_IFLNK: return "link";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	default: return "device";
	}
}

int64_t
file_mtime_ms(const struct stat *st)
{
#ifdef __APPLE__
	return (int64_t)st->st_mtimespec.tv_sec * 1000 + st->st_mtimespec.tv_nsec / 1000000;
#else
	return (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
#endif
}

void
file_put_mode(struct buf *b, mode_t mode)
{
	char text[16];

	snprintf(text, sizeof text, "%04o", (unsigned)mode & 07777u);
	json_kv_str(b, "mode", text);
}

/* What json_put_strn() makes of one ASCII byte. */
static size_t
escaped_len(unsigned char c)
{
	if (c == '"' || c == '\\' || c == '\n' || c == '\t')
		return 2;
	return c < 0x20 ? 6 : 1;
}

size_t
file_text_fits(const char *p, size_t len, size_t room, bool *text)
{
	size_t at = 0, used = 0;

	*text = true;
	while (at < len) {
		int n = json_utf8_len(p + at, len - at);
		size_t cost = n == 1 ? escaped_len((unsigned char)p[at]) : (size_t)n;

		if (!n && len - at < 4 && (unsigned char)p[at] >= 0xc2)
			return at;
		if (!n || !p[at]) {
			*text = false;
			return at;
		}
		if (used + cost > room)
			return at;
		used += cost;
		at += (size_t)n;
	}
	return at;
}

/* The names in a directory, sorted. Takes dir's descriptor for as long as it reads. */
struct names {
	char **v;
	size_t n;
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
names_read(struct names *names, int dir)
{
	DIR *d = fdopendir(fcntl(dir, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;
	size_t cap = 0;

	*names = (struct names){ 0 };
	while (d && names->n < MAX_NAMES && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (names->n == cap)
			names->v = xrealloc(names->v, (cap = cap ? 2 * cap : 64) * sizeof *names->v);
		names->v[names->n++] = xstrdup(entry->d_name);
	}
	if (d)
		closedir(d);
	if (names->n)
		qsort(names->v, names->n, sizeof *names->v, by_name);
}

static void
names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
}

static int walk_dir(struct file_walk *w, int dir, struct buf *path, int depth);

static int
walk_into(struct file_walk *w, int dir, const char *name, struct buf *path, int depth)
{
	int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc;

	if (sub < 0) {
		w->unreadable++;
		return 0;
	}
	rc = walk_dir(w, sub, path, depth + 1);
	close(sub);
	return rc;
}

static int
walk_stop(struct file_walk *w, const char *why)
{
	w->stopped_by = why;
	return -1;
}

static int
walk_entry(struct file_walk *w, int dir, const char *name, struct buf *path, int depth)
{
	struct file_entry f = { .name = name, .dir = dir };
	size_t before = path->len;
	int rc = 0;

	if (!w->hidden && name[0] == '.')
		return 0;
	if (w->seen++ >= w->max_seen)
		return walk_stop(w, "entries");
	if (w->deadline_ms && w->seen % 64 == 0 && clock_mono_ms() >= w->deadline_ms)
		return walk_stop(w, "time");
	if (fstatat(dir, name, &f.st, AT_SYMLINK_NOFOLLOW))
		return 0;       /* gone since it was listed */
	if (w->one_device && f.st.st_dev != w->device)
		return 0;
	buf_addf(path, "%s%s", before ? "/" : "", name);
	f.path = path->data;
	if (!w->match || fnmatch(w->match, name, 0) == 0)
		rc = w->visit(w->arg, &f);
	if (rc == 0 && S_ISDIR(f.st.st_mode) && depth < w->max_depth)
		rc = walk_into(w, dir, name, path, depth);
	buf_cut(path, before);
	return rc;
}

static int
walk_dir(struct file_walk *w, int dir, struct buf *path, int depth)
{
	struct names names;
	int rc = 0;

	names_read(&names, dir);
	for (size_t i = 0; rc == 0 && i < names.n; i++)
		rc = walk_entry(w, dir, names.v[i], path, depth);
	if (names.n == MAX_NAMES && !w->stopped_by)
		w->stopped_by = "entries";
	names_free(&names);
	return rc;
}

void
file_walk(struct file_walk *w, int dir)
{
	struct buf path = { .max = 65536 };
	struct stat st;

	if (fstat(dir, &st) == 0)
		w->device = st.st_dev;
	walk_dir(w, dir, &path, 1);
	buf_free(&path);
	close(dir);
}
