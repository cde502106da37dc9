#include "tar.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "buf.h"
#include "err.h"

#define BLOCK 512

struct tar {
	char *path, *dir;
	long long mtime_s;
	int fd;
	int error;                      /* the first, 0: none */
};

/* As POSIX has it; numbers are octal text. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

struct tar *
tar_open(const char *path, const char *dir, int64_t now_ms, struct err *e)
{
	struct tar *t;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0) {
		err_set(e, errno == EEXIST ? ERR_CONFLICT : ERR_IO, "%s: %s", path, strerror(errno));
		return NULL;
	}
	t = xcalloc(1, sizeof *t);
	*t = (struct tar){ .path = xstrdup(path), .dir = xstrdup(dir), .mtime_s = now_ms / 1000, .fd = fd };
	return t;
}

static void
put(struct tar *t, const void *p, size_t len)
{
	const char *at = p;

	while (!t->error && len) {
		ssize_t n = write(t->fd, at, len);

		if (n < 0 && errno != EINTR)
			t->error = errno;
		at += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void
seal(struct header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	unsigned sum = 0;

	memset(h->sum, ' ', sizeof h->sum);
	for (size_t i = 0; i < sizeof *h; i++)
		sum += p[i];
	snprintf(h->sum, sizeof h->sum, "%06o", sum);
}

void
tar_add(struct tar *t, const char *name, const char *text, size_t len)
{
	static const char zeros[BLOCK];
	struct header h = { .type = '0', .magic = "ustar", .version = { '0', '0' } };

	static_assert(sizeof h == BLOCK, "a header is one block");
	snprintf(h.name, sizeof h.name, "%.38s/%.60s", t->dir, name);
	snprintf(h.mode, sizeof h.mode, "%07o", 0600u);
	snprintf(h.uid, sizeof h.uid, "%07o", 0u);
	snprintf(h.gid, sizeof h.gid, "%07o", 0u);
	snprintf(h.size, sizeof h.size, "%011llo", (unsigned long long)len & 077777777777);
	snprintf(h.mtime, sizeof h.mtime, "%011llo", (unsigned long long)t->mtime_s & 077777777777);
	seal(&h);
	put(t, &h, sizeof h);
	put(t, text, len);
	put(t, zeros, (BLOCK - len % BLOCK) % BLOCK);
}

int
tar_close(struct tar *t, struct err *e)
{
	static const char end[2 * BLOCK];
	int rc = 0;

	put(t, end, sizeof end);
	if (!t->error && fsync(t->fd))
		t->error = errno;
	close(t->fd);
	if (t->error) {
		rc = err_set(e, ERR_IO, "%s: %s", t->path, strerror(t->error));
		unlink(t->path);
	}
	free(t->path);
	free(t->dir);
	free(t);
	return rc;
}
