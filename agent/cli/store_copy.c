/*
 * store_copy.c - see store_copy.h. A copy is good if nobody wrote into the database itself, or began its log anew,
 * meanwhile; what was appended to the log is either whole or passed over by SQLite.
 */
#include "store_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "err.h"

#define TRIES 5
#define NAME "doctor."                  /* and six characters more */
#define LEFT_S 60                       /* a younger one may not have its lock yet */
#define LOG_HEAD 32                     /* bytes; they change when the log begins anew */

#ifdef __APPLE__
#define MTIME(st) (st).st_mtimespec
#else
#define MTIME(st) (st).st_mtim
#endif

static int
copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc = -1;
	char bytes[65536];
	ssize_t n = -1;

	if (in >= 0 && out >= 0) {
		while ((n = read(in, bytes, sizeof bytes)) > 0 && write(out, bytes, (size_t)n) == n)
			;
		rc = n == 0 ? 0 : -1;
	}
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return rc;
}

/* What tells that the database, or the beginning of its log, is another one. */
struct state {
	struct timespec mtime;
	off_t size;
	char head[LOG_HEAD];
};

static struct state
state_of(const char *db, const char *log)
{
	struct state s = { .size = 0 };
	struct stat st;
	int fd;

	if (stat(db, &st) == 0) {
		s.mtime = MTIME(st);
		s.size = st.st_size;
	}
	fd = open(log, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, s.head, LOG_HEAD) != LOG_HEAD)
		memset(s.head, 0, LOG_HEAD);
	if (fd >= 0)
		close(fd);
	return s;
}

static bool
is_same(const struct state *a, const struct state *b)
{
	return a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
	    memcmp(a->head, b->head, LOG_HEAD) == 0;
}

static int
copy_once(const char *db, const char *log, const struct store_copy *c, struct err *e)
{
	struct state before = state_of(db, log), after;

	unlink(c->log);
	if (copy_file(db, c->path) || (access(log, F_OK) == 0 && copy_file(log, c->log)))
		return err_set(e, ERR_IO, "cannot copy %s: %s", db, strerror(errno));
	after = state_of(db, log);
	return is_same(&before, &after) ? 0 : err_set(e, ERR_BUSY, "%s is written to all the time", db);
}

void
store_copy_remove(struct store_copy *c)
{
	unlink(c->path);
	unlink(c->log);
	rmdir(c->dir);
	if (c->lock >= 0)
		close(c->lock);
}

static void
remove_if_left(int in, const char *name)
{
	static const char *const files[] = { "copy.db", "copy.db-wal", "copy.db-shm", "copy.db-journal" };
	int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && time(NULL) - st.st_mtime > LEFT_S && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		for (size_t i = 0; i < sizeof files / sizeof *files; i++)
			unlinkat(fd, files[i], 0);
		unlinkat(in, name, AT_REMOVEDIR);
	}
	close(fd);
}

static void
remove_left(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (strncmp(x->d_name, NAME, strlen(NAME)) == 0 && strlen(x->d_name) == strlen(NAME) + 6)
			remove_if_left(dirfd(d), x->d_name);
	if (d)
		closedir(d);
}

/* Twice over there is room for it, and for what has to stay free. */
static int
check_room(const char *dir, const char *db, int64_t keep_free, struct err *e)
{
	struct statvfs v;
	struct stat st;

	if (stat(db, &st) || statvfs(dir, &v))
		return err_set(e, ERR_IO, "%s: %s", db, strerror(errno));
	if (st.st_size <= STORE_COPY_MAX &&
	    2 * (int64_t)st.st_size < (int64_t)v.f_bavail * (int64_t)v.f_frsize - keep_free)
		return 0;
	return err_set(e, ERR_TOO_BIG, "%s has %lld MB: it is not copied", db, (long long)(st.st_size >> 20));
}

int
store_copy_make(const char *dir, const char *db, int64_t keep_free, struct store_copy *c, struct err *e)
{
	char log[700];
	int rc = -1;

	remove_left(dir);
	if (check_room(dir, db, keep_free, e))
		return -1;
	snprintf(log, sizeof log, "%.600s-wal", db);
	snprintf(c->dir, sizeof c->dir, "%.500s/" NAME "XXXXXX", dir);
	if (!mkdtemp(c->dir))
		return err_set(e, ERR_IO, "%s: %s", c->dir, strerror(errno));
	snprintf(c->path, sizeof c->path, "%s/copy.db", c->dir);
	snprintf(c->log, sizeof c->log, "%s/copy.db-wal", c->dir);
	c->lock = open(c->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->lock < 0 || flock(c->lock, LOCK_EX | LOCK_NB)) {
		err_set(e, ERR_IO, "%s: %s", c->dir, strerror(errno));
		store_copy_remove(c);
		return -1;
	}
	for (int i = 0; i < TRIES && (rc = copy_once(db, log, c, e)) && e->code == ERR_BUSY; i++)
		poll(NULL, 0, 50 << i);
	if (rc)
		store_copy_remove(c);
	return rc;
}
