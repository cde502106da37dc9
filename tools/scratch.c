#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "buf.h"
#include "err.h"

#define PREFIX "uni-wizard-scratch-"    /* nobody else's: what begins so and is not locked is removed */
#define DEPTH 64                /* of directories that are looked into: each holds a descriptor */
#define MAX_FILES 200000

/* A tool may leave a directory that not even its owner can look into. */
static DIR *
open_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d;

	if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !d)
		close(fd);
	return d;
}

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Links are removed, never followed. What lies too deep is moved up to the top: true if anything was. */
static bool
remove_tree(int top, int at, const char *name, int depth)
{
	static unsigned moved;
	bool more = false;
	struct dirent *entry;
	char up[32];
	DIR *d;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT || unlinkat(at, name, AT_REMOVEDIR) == 0)
		return false;
	snprintf(up, sizeof up, ".deep-%u", moved++);
	if (depth >= DEPTH)
		return renameat(at, name, top, up) == 0;
	d = open_directory(at, name);
	if (!d)
		return false;
	fchmod(dirfd(d), 0700);
	while ((entry = readdir(d)))
		if (!is_dots(entry->d_name))
			more |= remove_tree(top, dirfd(d), entry->d_name, depth + 1);
	closedir(d);
	unlinkat(at, name, AT_REMOVEDIR);
	return more;
}

static int
empty_directory(int at, const char *name)
{
	DIR *d = open_directory(at, name);
	struct dirent *entry;
	bool more = d != NULL;

	while (more) {
		more = false;
		rewinddir(d);
		while ((entry = readdir(d)))
			if (!is_dots(entry->d_name))
				more |= remove_tree(dirfd(d), dirfd(d), entry->d_name, 0);
	}
	return d ? closedir(d) : -1;
}

static void
remove_directory(int at, const char *name)
{
	empty_directory(at, name);
	unlinkat(at, name, AT_REMOVEDIR);
}

static void
remove_path(const char *path)
{
	char dir[SCRATCH_PATH];
	const char *slash = strrchr(path, '/');
	int fd;

	snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
	fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	remove_directory(fd, slash + 1);
	close(fd);
}

/* The pool's side. */

static int
lock_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st, now;

	if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st) || st.st_uid != geteuid() ||
	    fstatat(at, name, &now, AT_SYMLINK_NOFOLLOW) || now.st_ino != st.st_ino)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* One that nobody has locked is of a process that is gone. */
static void
sweep(int at)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), lock;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0 ||
		    (lock = lock_directory(at, entry->d_name)) < 0)
			continue;
		remove_directory(at, entry->d_name);
		close(lock);
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

/* Between making and locking it another's sweep may take it for one that was left. */
static int
make_locked(struct scratch *s, const char *dir, const char *agent)
{
	for (int i = 0; i < 100; i++) {
		if (snprintf(s->path, sizeof s->path, "%s/" PREFIX "%.32s-XXXXXX", dir, agent) >=
		    (int)sizeof s->path - 32) {
			errno = ENAMETOOLONG;
			return -1;
		}
		if (!mkdtemp(s->path))
			return -1;
		s->lock = lock_directory(AT_FDCWD, s->path);
		if (s->lock >= 0)
			/* Workers may be of another user. */
			return geteuid() == 0 ? chmod(s->path, 0711) : 0;
	}
	return -1;
}

int
scratch_open(struct scratch *s, const char *dir, const char *agent, struct err *e)
{
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*s = (struct scratch){ .lock = -1 };
	if (at >= 0) {
		sweep(at);
		close(at);
	}
	if (at >= 0 && make_locked(s, dir, agent) == 0)
		return 0;
	s->path[0] = '\0';
	return err_set(e, ERR_IO, "workers.temp_dir: cannot make a directory in %s: %s", dir, strerror(errno));
}

void
scratch_close(struct scratch *s)
{
	if (!s->path[0])
		return;
	remove_path(s->path);
	close(s->lock);
	s->path[0] = '\0';
}

/* The worker's side: one process, one attempt at a time. Making and removing a directory for each would wait for the
 * journal of the file system again and again; so there is one, which is emptied. */
static struct {
	char path[SCRATCH_PATH];        /* "": none */
	int64_t max;
	bool used;
} own;

int
scratch_begin(const char *path, int64_t max, struct err *e)
{
	remove_path(path);
	if (mkdir(path, 0700))
		return err_set(e, ERR_IO, "cannot make the temporary directory %s: %s", path, strerror(errno));
	snprintf(own.path, sizeof own.path, "%s", path);
	own.max = max;
	return 0;
}

const char *
scratch_dir(void)
{
	own.used = true;
	return own.path[0] ? own.path : NULL;
}

/* A tool may have changed its mode, and where there is no Landlock removed it. */
void
scratch_end(void)
{
	struct stat st;

	if (!own.used || !own.path[0])
		return;
	own.used = false;
	if (empty_directory(AT_FDCWD, own.path) || lstat(own.path, &st) || (st.st_mode & 07777) != 0700) {
		remove_path(own.path);
		mkdir(own.path, 0700);
		chmod(own.path, 0700);
	}
}

struct used {
	int64_t bytes;
	int files;
};

static bool
is_over(const struct used *u)
{
	return u->bytes > own.max || u->files > MAX_FILES;
}

static void
add_up(int at, const char *name, int depth, struct used *u)
{
	DIR *d = depth < DEPTH ? open_directory(at, name) : NULL;
	struct dirent *entry;
	struct stat st;

	while (d && !is_over(u) && (entry = readdir(d))) {
		if (is_dots(entry->d_name) || fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		u->files++;
		u->bytes += (int64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode))
			add_up(dirfd(d), entry->d_name, depth + 1, u);
	}
	if (d)
		closedir(d);
}

bool
scratch_is_over(void)
{
	struct used u = { 0 };

	if (!own.path[0] || own.max <= 0)
		return false;
	add_up(AT_FDCWD, own.path, 0, &u);
	return is_over(&u);
}

int64_t
scratch_max(void)
{
	return own.max;
}
