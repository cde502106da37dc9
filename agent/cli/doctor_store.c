/*
 * doctor_store.c - an agent's database, and a person's outbox.
 *
 * The agent has its database to itself while it runs. So it is copied, and the copy is looked at: nothing is read
 * under a lock, nothing of the original is touched. A copy is good if nobody wrote into the database itself, or began
 * its log anew, meanwhile; what was appended to the log is either whole or passed over by SQLite.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "buf.h"
#include "clock.h"
#include "core.h"
#include "doctor.h"

#define COPY_MAX (INT64_C(512) << 20)
#define TRIES 5
#define LOG_HEAD 32                     /* bytes; they change when the log begins anew */
#define CHECK_MS 15000
#define CHECK_STEPS 10000
#define STUCK_MS 120000

#ifdef __APPLE__
#define MTIME(st) (st).st_mtimespec
#else
#define MTIME(st) (st).st_mtim
#endif

struct copy {
	char dir[600], path[700];
	char log[700];
};

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
copy_once(const char *db, const char *log, const struct copy *c, struct err *e)
{
	struct state before = state_of(db, log), after;

	unlink(c->log);
	if (copy_file(db, c->path) || (access(log, F_OK) == 0 && copy_file(log, c->log)))
		return err_set(e, ERR_IO, "cannot copy %s: %s", db, strerror(errno));
	after = state_of(db, log);
	return is_same(&before, &after) ? 0 : err_set(e, ERR_BUSY, "%s is written to all the time", db);
}

static void
copy_remove(struct copy *c)
{
	unlink(c->path);
	unlink(c->log);
	rmdir(c->dir);
}

static int
copy_make(const struct doctor *d, const char *db, struct copy *c, struct err *e)
{
	char log[700];
	int rc = -1;

	snprintf(log, sizeof log, "%.600s-wal", db);
	snprintf(c->dir, sizeof c->dir, "%.500s/doctor.XXXXXX", d->config->state_dir);
	if (!mkdtemp(c->dir))
		return err_set(e, ERR_IO, "%s: %s", c->dir, strerror(errno));
	snprintf(c->path, sizeof c->path, "%s/copy.db", c->dir);
	snprintf(c->log, sizeof c->log, "%s/copy.db-wal", c->dir);
	for (int i = 0; i < TRIES && (rc = copy_once(db, log, c, e)) && e->code == ERR_BUSY; i++)
		poll(NULL, 0, 50 << i);
	if (rc)
		copy_remove(c);
	return rc;
}

/* ---- looking ---- */

static int
time_is_over(void *until_ms)
{
	return clock_mono_ms() > *(int64_t *)until_ms;
}

static int64_t
ask_number(sqlite3 *h, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int64_t n = -1;

	if (sqlite3_prepare_v2(h, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

/* The first complaint, "ok" if there is none. */
static int
quick_check(sqlite3 *h, char *out, size_t size)
{
	int64_t until = clock_mono_ms() + CHECK_MS;
	sqlite3_stmt *s = NULL;
	int rc;

	sqlite3_progress_handler(h, CHECK_STEPS, time_is_over, &until);
	rc = sqlite3_prepare_v2(h, "PRAGMA quick_check(1)", -1, &s, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
		snprintf(out, size, "%s", (const char *)sqlite3_column_text(s, 0));
	else
		snprintf(out, size, "%s", sqlite3_errmsg(h));
	sqlite3_finalize(s);
	sqlite3_progress_handler(h, 0, NULL, NULL);
	return rc;
}

static void
look(struct doctor *d, const char *db, const char *copy, int known)
{
	sqlite3 *h = NULL;
	char what[300] = "";
	int64_t version, outbox;
	int rc = sqlite3_open_v2(copy, &h, SQLITE_OPEN_READWRITE, NULL);

	if (rc == SQLITE_OK)
		rc = quick_check(h, what, sizeof what);
	version = ask_number(h, "PRAGMA user_version");
	outbox = ask_number(h, "SELECT count(*) FROM outbox");
	if (rc == SQLITE_INTERRUPT)
		doctor_note(d, "%s is large: not looked through within %d s", db, CHECK_MS / 1000);
	else if (rc != SQLITE_ROW || strcmp(what, "ok") != 0)
		doctor_wrong(d, FOUND_STORE_DAMAGED, db, "%s: %s", db, what[0] ? what : sqlite3_errmsg(h));
	else if (version > known)
		doctor_wrong(d, FOUND_STORE_NEWER, db, "%s has version %lld, this program knows up to %d", db,
		    (long long)version, known);
	else
		doctor_well(d, "%s is whole, version %lld of %d, %lld in its outbox", db, (long long)version, known,
		    (long long)outbox);
	sqlite3_close(h);
}

static bool
is_small_enough(struct doctor *d, const char *db)
{
	struct statvfs v;
	struct stat st;
	int64_t room;

	if (stat(db, &st) || statvfs(d->config->state_dir, &v))
		return false;
	room = (int64_t)v.f_bavail * (int64_t)v.f_frsize - d->config->min_free_bytes;
	if (st.st_size <= COPY_MAX && 2 * (int64_t)st.st_size < room)
		return true;
	doctor_skip(d, "%s has %lld MB: it is not copied. Stop the agent and: sqlite3 %s 'PRAGMA quick_check'", db,
	    (long long)(st.st_size >> 20), db);
	return false;
}

static void
check_database(struct doctor *d, const char *db, int known)
{
	struct err e = { 0 };
	struct copy c;

	if (!is_small_enough(d, db))
		return;
	if (copy_make(d, db, &c, &e)) {
		doctor_skip(d, "%s", e.msg);
		return;
	}
	look(d, db, c.path, known);
	copy_remove(&c);
}

void
doctor_store(struct doctor *d)
{
	char db[600];

	snprintf(db, sizeof db, "%.500s/%s.db", d->config->state_dir, d->subject);
	if (access(db, F_OK))
		doctor_skip(d, "there is no %s yet: the agent makes it when it starts", db);
	else
		check_database(d, db, core_store_version());
}

void
doctor_outbox(struct doctor *d)
{
	char db[600];
	sqlite3 *h = NULL;
	int64_t n, since;

	snprintf(db, sizeof db, "%.500s/outbox-%s.db", d->config->state_dir, d->subject);
	if (access(db, F_OK)) {
		doctor_skip(d, "%s has submitted nothing on this host", d->subject);
		return;
	}
	if (sqlite3_open_v2(db, &h, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
		sqlite3_busy_timeout(h, 2000);
	n = ask_number(h, "SELECT count(*) FROM outbox");
	since = ask_number(h, "SELECT coalesce(min(at_ms), 0) FROM outbox");
	if (n < 0)
		doctor_wrong(d, FOUND_STORE_DAMAGED, db, "%s: %s", db, sqlite3_errmsg(h));
	else if (n > 0 && clock_wall_ms() - since > STUCK_MS)
		doctor_wrong(d, FOUND_OUTBOX, db, "%lld tasks wait, the oldest for %lld minutes", (long long)n,
		    (long long)((clock_wall_ms() - since) / 60000));
	else
		doctor_well(d, n ? "%lld tasks are on their way" : "it is empty", (long long)n);
	sqlite3_close(h);
}
