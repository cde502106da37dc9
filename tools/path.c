#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include "buf.h"
#include "err.h"

/* Opens a directory only to look things up beneath it. */
#if defined(O_PATH)
#define O_LOOKUP (O_PATH | O_DIRECTORY | O_CLOEXEC)
#elif defined(O_SEARCH)
#define O_LOOKUP (O_SEARCH | O_DIRECTORY | O_CLOEXEC)
#else
#define O_LOOKUP (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif
#ifndef O_PATH
#define O_PATH 0
#endif

#define RENAME_RETRIES 16       /* openat2 says EAGAIN when something is renamed meanwhile */

static char *
without_slash(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return xstrndup(path, n);
}

static void
warn_about(const char *path, void (*warn)(const char *msg, void *arg), void *arg)
{
	char msg[PATH_MAX + 64];

	snprintf(msg, sizeof msg, "root %s is left out: %s", path, strerror(errno));
	if (warn)
		warn(msg, arg);
}

static void
root_add(struct path_roots *r, const char *given, bool writable, void (*warn)(const char *msg, void *arg),
    void *arg)
{
	char *path = realpath(given, NULL);
	int fd = path ? open(path, O_LOOKUP) : -1;

	if (fd < 0 || r->n == sizeof r->v / sizeof *r->v) {
		warn_about(given, warn, arg);
		free(path);
		if (fd >= 0)
			close(fd);
		return;
	}
	r->v[r->n++] = (struct path_root){
		.path = path, .given = without_slash(given), .fd = fd, .writable = writable };
}

void
path_roots_open(struct path_roots *r, const struct config *c, void (*warn)(const char *msg, void *arg),
    void *arg)
{
	r->n = 0;
	for (size_t i = 0; i < c->roots.n; i++)
		root_add(r, c->roots.v[i], true, warn, arg);
	for (size_t i = 0; i < c->read_roots.n; i++)
		root_add(r, c->read_roots.v[i], false, warn, arg);
}

void
path_roots_close(struct path_roots *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].path);
		free(r->v[i].given);
		close(r->v[i].fd);
	}
	r->n = 0;
}

/* What follows root in path: "" for the root itself, NULL if path does not begin with it. */
static const char *
beneath(const char *root, const char *path)
{
	size_t n = strlen(root);

	if (strcmp(root, "/") == 0)
		return path;
	if (strncmp(root, path, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return path + n;
}

/* The root that says most about path, and what follows it. */
static const struct path_root *
root_find(const struct path_roots *r, const char *path, bool write, const char **rest)
{
	const struct path_root *best = NULL;

	if (path[0] != '/') {
		*rest = path;
		return r->n && (r->v[0].writable || !write) ? &r->v[0] : NULL;
	}
	for (size_t i = 0; i < r->n; i++) {
		const char *a = beneath(r->v[i].path, path), *b = beneath(r->v[i].given, path);
		const char *after = a && (!b || a > b) ? a : b;

		if (!after || (write && !r->v[i].writable) || (best && after <= *rest))
			continue;
		best = &r->v[i];
		*rest = after;
	}
	if (best)
		*rest += strspn(*rest, "/");
	return best;
}

static const char *
field_of(const char *param, char out[64])
{
	snprintf(out, 64, "params.%s", param);
	return out;
}

/* The roots as part of a sentence. */
static const char *
roots_list(const struct path_roots *r, bool write, struct buf *b)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].writable || !write)
			buf_addf(b, "%s%s", b->len ? ", " : "", r->v[i].path);
	return b->len ? b->data : "none is configured: see tools.roots";
}

static int
refuse(const struct path_roots *r, const char *param, const char *path, bool write, struct err *e)
{
	struct buf list = { .max = 4096 };
	char field[64];

	err_field(e, ERR_PATH, field_of(param, field), path, "a path beneath a %s root (%s)",
	    write ? "writable" : "configured", roots_list(r, write, &list));
	buf_free(&list);
	return -1;
}

static int
refuse_link(const char *param, const char *path, const struct path_root *root, struct err *e)
{
	char field[64];

	return err_field(e, ERR_PATH, field_of(param, field), path,
	    "a path that stays beneath %s without \"..\" or a symbolic link leading out of it", root->path);
}

static int
not_opened(const char *param, const char *path, const struct path_root *root, int error, struct err *e)
{
	char field[64];

	switch (error) {
	case EXDEV:
	case ELOOP:
	case EMLINK:            /* BSD's answer to O_NOFOLLOW on a link */
		return refuse_link(param, path, root, e);
	case ENOENT:
		return err_field(e, ERR_NOT_FOUND, field_of(param, field), path, "something that exists");
	case ENOTDIR:
		return err_field(e, ERR_NOT_FOUND, field_of(param, field), path,
		    "a path through directories");
	case EAGAIN:
		return err_set(e, ERR_IO, "params.%s: %s keeps being renamed, try again", param, path);
	default:
		return err_set(e, ERR_IO, "params.%s: cannot open %s: %s", param, path, strerror(error));
	}
}

/* O_DIRECTORY reports a link as "not a directory". */
static int
open_component(int at, const char *name, int flags, mode_t mode)
{
	int fd = openat(at, name, flags | O_NOFOLLOW, mode);
	struct stat st;

	if (fd < 0 && errno == ENOTDIR)
		errno = fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISLNK(st.st_mode) ? ENOTDIR : ELOOP;
	return fd;
}

/* One component at a time, following no link: what every system can do. */
static int
walk(int root, const char *rest, int flags, mode_t mode)
{
	int at = fcntl(root, F_DUPFD_CLOEXEC, 3), next;

	while (at >= 0) {
		size_t n = strcspn(rest, "/");
		const char *after = rest + n + strspn(rest + n, "/");
		char name[NAME_MAX + 1];

		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
			break;
		}
		memcpy(name, rest, n);
		name[n] = '\0';
		if (strcmp(name, "..") == 0) {
			errno = EXDEV;
			break;
		}
		next = open_component(at, n ? name : ".", *after ? O_LOOKUP : flags, mode);
		if (next < 0)
			break;
		close(at);
		at = next;
		if (!*after)
			return at;
		rest = after;
	}
	next = errno;
	if (at >= 0)
		close(at);
	errno = next;
	return -1;
}

static int
open_beneath(int root, const char *rest, int flags, mode_t mode)
{
#ifdef __linux__
	static bool missing;    /* kernel before 5.6, or a filter that does not know the call */
	struct open_how how = {
		.flags = (unsigned)flags,
		.mode = flags & O_CREAT ? mode & 07777 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	for (int i = 0; !missing && i < RENAME_RETRIES; i++) {
		long fd = syscall(SYS_openat2, root, *rest ? rest : ".", &how, sizeof how);

		if (fd >= 0)
			return (int)fd;
		missing = errno == ENOSYS;
		if (errno != EAGAIN && errno != EINTR && !missing)
			return -1;
	}
	if (!missing)
		return -1;
#endif
	return walk(root, rest, flags, mode);
}

int
path_open(const struct path_roots *r, const char *param, const char *path, int flags, mode_t mode,
    struct err *e)
{
	bool write = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
	const char *rest;
	const struct path_root *root = root_find(r, path, write, &rest);
	int fd;

	if (!path[0] || !root)
		return refuse(r, param, path, write, e);
	flags |= O_CLOEXEC;
	if (!O_PATH || !(flags & O_PATH))
		flags |= O_NONBLOCK | O_NOCTTY;
	fd = open_beneath(root->fd, rest, flags, mode);
	return fd >= 0 ? fd : not_opened(param, path, root, errno, e);
}

int
path_open_parent(const struct path_roots *r, const char *param, const char *path, char *name,
    size_t size, struct err *e)
{
	const char *rest, *slash, *last;
	const struct path_root *root = root_find(r, path, true, &rest);
	char field[64], *dir;
	int fd;

	if (!path[0] || !root)
		return refuse(r, param, path, true, e);
	slash = strrchr(rest, '/');
	last = slash ? slash + 1 : rest;
	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0 || strlen(last) >= size)
		return err_field(e, ERR_PATH, field_of(param, field), path,
		    "a path that ends in a file's name");
	snprintf(name, size, "%s", last);
	dir = xstrndup(rest, (size_t)(last - rest));
	fd = open_beneath(root->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	free(dir);
	return fd >= 0 ? fd : not_opened(param, path, root, errno, e);
}

bool
path_is_writable(const struct path_roots *r, const char *path)
{
	const char *rest;

	return root_find(r, path, true, &rest) != NULL;
}
