#include "save.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "buf.h"
#include "err.h"

static int
failed(struct err *e, const char *what, const char *path)
{
	return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

static int
write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int
save_sync_dir(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0 || fsync(fd))
		rc = failed(e, "sync", dir);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
sync_dir_of(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
	int rc = save_sync_dir(dir, e);

	free(dir);
	return rc;
}

static int
fill(int fd, const char *text, size_t len, mode_t mode)
{
	int rc = fchmod(fd, mode) || write_all(fd, text, len) || fsync(fd);

	return close(fd) || rc;
}

int
save_file(const char *path, const char *text, size_t len, mode_t mode, struct err *e)
{
	struct buf tmp = { 0 };
	int fd, rc = -1;

	buf_addf(&tmp, "%s.tmp-XXXXXX", path);
	fd = mkstemp(tmp.data);
	if (fd < 0) {
		failed(e, "write", path);
	} else if (fill(fd, text, len, mode) || rename(tmp.data, path)) {
		failed(e, "write", path);
		unlink(tmp.data);
	} else {
		rc = sync_dir_of(path, e);
	}
	buf_free(&tmp);
	return rc;
}

int
save_if_changed(const char *path, const char *text, size_t len, mode_t mode, bool *changed,
    struct err *e)
{
	struct buf old = { .max = len + 1 };
	struct stat st;
	bool same = stat(path, &st) == 0 && (st.st_mode & 07777) == mode && save_read(path, &old, NULL) == 0 &&
	    old.len == len && memcmp(buf_str(&old), text, len) == 0;

	buf_free(&old);
	*changed = !same;
	return same ? 0 : save_file(path, text, len, mode, e);
}

int
save_dir(const char *path, mode_t mode, struct err *e)
{
	char *p = xstrdup(path);
	int rc = 0;

	for (char *s = p + 1; rc == 0 && *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(p, 0755) && errno != EEXIST)
			rc = failed(e, "create directory", p);
		*s = '/';
	}
	if (rc == 0 && mkdir(p, mode) && errno != EEXIST)
		rc = failed(e, "create directory", p);
	free(p);
	return rc;
}

static int
read_open(int fd, const char *path, struct buf *out, struct err *e)
{
	struct stat st;
	char *to;
	ssize_t n;

	if (fstat(fd, &st))
		return failed(e, "read", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "%s is not a regular file", path);
	if (!(to = buf_reserve(out, (size_t)st.st_size)))
		return err_set(e, ERR_TOO_BIG, "%s is larger than expected", path);
	while ((n = read(fd, to, (size_t)st.st_size)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return failed(e, "read", path);
	out->len += (size_t)n;
	to[n] = '\0';
	return 0;
}

int
save_read(const char *path, struct buf *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;

	if (fd < 0)
		return failed(e, "read", path);
	rc = read_open(fd, path, out, e);
	close(fd);
	return rc;
}

char *
save_absolute(const char *path)
{
	char cwd[PATH_MAX];
	struct buf b = { 0 };

	while (strncmp(path, "./", 2) == 0)
		path += 2;
	if (path[0] != '/')
		buf_addf(&b, "%s/", getcwd(cwd, sizeof cwd) ? cwd : "");
	buf_adds(&b, strcmp(path, ".") == 0 ? "" : path);
	while (b.len > 1 && b.data[b.len - 1] == '/')
		buf_cut(&b, b.len - 1);
	return buf_take(&b);
}
