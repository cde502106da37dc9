#include "tar.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "buf.h"
#include "err.h"

#define BLOCK 512

struct tar {
	char *path, *dir;               /* path NULL: not a file of ours */
	long long mtime_s;
	int fd;
	struct sink to;
	int64_t left;                   /* of the open file */
	size_t pad;
	bool failed;
	struct err first;               /* then */
};

/* As POSIX has it; numbers are octal text. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

static const char zeros[BLOCK];

struct tar *
tar_new(struct sink to, int64_t now_ms)
{
	struct tar *t = xcalloc(1, sizeof *t);

	*t = (struct tar){ .mtime_s = now_ms / 1000, .fd = -1, .to = to };
	return t;
}

struct tar *
tar_open(const char *path, const char *dir, int64_t now_ms, struct err *e)
{
	struct tar *t;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0) {
		err_set(e, errno == EEXIST ? ERR_CONFLICT : ERR_IO, "%s: %s", path, strerror(errno));
		return NULL;
	}
	t = tar_new((struct sink){ bytes_put_fd, NULL }, now_ms);
	t->path = xstrdup(path);
	t->dir = xstrdup(dir);
	t->fd = fd;
	t->to.arg = &t->fd;
	return t;
}

static void
put(struct tar *t, const void *p, size_t len)
{
	if (!t->failed && len)
		t->failed = t->to.put(t->to.arg, p, len, &t->first) != 0;
}

static unsigned
sum_of(const struct header *h)
{
	struct header blank = *h;
	const unsigned char *p = (const unsigned char *)&blank;
	unsigned sum = 0;

	memset(blank.sum, ' ', sizeof blank.sum);
	for (size_t i = 0; i < sizeof blank; i++)
		sum += p[i];
	return sum;
}

void
tar_begin(struct tar *t, const char *name, mode_t mode, int64_t size)
{
	struct header h = { .type = '0', .magic = "ustar", .version = { '0', '0' } };

	static_assert(sizeof h == BLOCK, "a header is one block");
	assert(!t->left);
	if (t->dir)
		snprintf(h.name, sizeof h.name, "%.38s/%.60s", t->dir, name);
	else
		snprintf(h.name, sizeof h.name, "%.99s", name);
	snprintf(h.mode, sizeof h.mode, "%07o", (unsigned)mode & 0777u);
	snprintf(h.uid, sizeof h.uid, "%07o", 0u);
	snprintf(h.gid, sizeof h.gid, "%07o", 0u);
	snprintf(h.size, sizeof h.size, "%011llo", (unsigned long long)(size & TAR_FILE_MAX));
	snprintf(h.mtime, sizeof h.mtime, "%011llo", (unsigned long long)t->mtime_s & 077777777777);
	snprintf(h.sum, sizeof h.sum, "%06o", sum_of(&h));
	t->left = size;
	t->pad = (size_t)((BLOCK - size % BLOCK) % BLOCK);
	put(t, &h, sizeof h);
}

void
tar_put(struct tar *t, const void *p, size_t len)
{
	assert((int64_t)len <= t->left);
	put(t, p, len);
	t->left -= (int64_t)len;
	if (!t->left)
		put(t, zeros, t->pad);
}

void
tar_add(struct tar *t, const char *name, const char *text, size_t len)
{
	tar_begin(t, name, 0600, (int64_t)len);
	if (len)
		tar_put(t, text, len);
}

int
tar_close(struct tar *t, struct err *e)
{
	int rc = 0;

	put(t, zeros, sizeof zeros);
	put(t, zeros, sizeof zeros);
	if (!t->failed && t->path && fsync(t->fd))
		t->failed = err_set(&t->first, ERR_IO, "%s", strerror(errno)) != 0;
	if (t->path)
		close(t->fd);
	if (t->failed) {
		rc = err_set(e, t->first.code, "%s%s%s", t->path ? t->path : "", t->path ? ": " : "", t->first.msg);
		if (t->path)
			unlink(t->path);
	}
	free(t->path);
	free(t->dir);
	free(t);
	return rc;
}

/* ---- reading ---- */

struct untar {
	struct source from;
	struct header h;
	int64_t left;                   /* of the file */
	size_t pad;
	bool ended;
};

struct untar *
untar_new(struct source from)
{
	struct untar *u = xcalloc(1, sizeof *u);

	u->from = from;
	return u;
}

void
untar_free(struct untar *u)
{
	free(u);
}

static int
damaged(struct err *e)
{
	return err_set(e, ERR_PARSE, "the archive is damaged");
}

static int
cut_off(struct err *e)
{
	return err_set(e, ERR_PARSE, "the archive was cut off: its end is missing");
}

static int
read_block(struct untar *u, void *p, struct err *e)
{
	ssize_t n = bytes_fill(&u->from, p, BLOCK, e);

	return n < 0 ? -1 : n == BLOCK ? 0 : cut_off(e);
}

/* Digits of eight, to the end of the field but for one NUL. */
static bool
octal(const char *p, size_t size, int64_t *out)
{
	*out = 0;
	for (size_t i = 0; i + 1 < size; i++) {
		if (p[i] < '0' || p[i] > '7')
			return false;
		*out = *out * 8 + p[i] - '0';
	}
	return p[size - 1] == '\0';
}

static int
check_padding(struct untar *u, struct err *e)
{
	char pad[BLOCK];
	ssize_t n = bytes_fill(&u->from, pad, u->pad, e);

	if (n < 0)
		return -1;
	if ((size_t)n != u->pad)
		return cut_off(e);
	return memcmp(pad, zeros, u->pad) == 0 ? 0 : damaged(e);
}

static int
read_end(struct untar *u, struct err *e)
{
	char block[BLOCK];
	ssize_t n;

	if (read_block(u, block, e))
		return -1;
	if (memcmp(block, zeros, BLOCK) != 0)
		return damaged(e);
	if ((n = u->from.get(u->from.arg, block, 1, e)) != 0)
		return n < 0 ? -1 : err_set(e, ERR_PARSE, "something follows the end of the archive");
	u->ended = true;
	return 0;
}

int
untar_next(struct untar *u, const char **name, int64_t *size, struct err *e)
{
	struct header *h = &u->h;
	int64_t sum;

	assert(!u->left && !u->ended);
	if (u->pad && check_padding(u, e))
		return -1;
	u->pad = 0;
	if (read_block(u, h, e))
		return -1;
	if (memcmp(h, zeros, BLOCK) == 0)
		return read_end(u, e);
	/* Six digits of the sum, then NULs: others write a blank. */
	if (h->sum[6] || h->sum[7] || !octal(h->sum, 7, &sum) || sum != sum_of(h) || memcmp(h->magic, "ustar", 6) != 0 || h->type != '0' ||
	    h->prefix[0] || !h->name[0] || h->name[TAR_NAME_MAX] || !octal(h->size, sizeof h->size, size))
		return damaged(e);
	*name = h->name;
	u->left = *size;
	u->pad = (size_t)((BLOCK - *size % BLOCK) % BLOCK);
	return 1;
}

ssize_t
untar_read(struct untar *u, void *p, size_t max, struct err *e)
{
	ssize_t n = (int64_t)max < u->left ? (ssize_t)max : (ssize_t)u->left;

	if (n == 0)
		return 0;
	n = u->from.get(u->from.arg, p, (size_t)n, e);
	if (n == 0)
		return cut_off(e);
	u->left -= n > 0 ? n : 0;
	return n;
}
