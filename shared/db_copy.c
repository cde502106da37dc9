#include "db_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "err.h"

#define FILE_PAGES 1024                 /* a step of db_copy_file() */
#define FILE_WAIT_MS 20                 /* while somebody else writes */

struct db_copy {
	sqlite3 *to;
	sqlite3_backup *b;
	char *path;
	int page_bytes;
	bool whole;
};

static int
make_file(const char *path, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

/* Nobody has use for half a copy: no journal, and whoever needs it on the disk sees to that. */
static int
open_copy(struct db_copy *c, struct err *e)
{
	static const char pragmas[] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE";

	if (sqlite3_open_v2(c->path, &c->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ||
	    sqlite3_exec(c->to, pragmas, NULL, NULL, NULL))
		return err_set(e, ERR_STORE, "%s: %s", c->path, c->to ? sqlite3_errmsg(c->to) : "out of memory");
	return 0;
}

static int
page_size(sqlite3 *h)
{
	sqlite3_stmt *s = NULL;
	int n = 4096;

	if (sqlite3_prepare_v2(h, "PRAGMA page_size", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return n;
}

int
db_copy_begin(struct db_copy **out, sqlite3 *from, const char *path, struct err *e)
{
	struct db_copy *c;

	if (make_file(path, e))
		return -1;
	c = xcalloc(1, sizeof *c);
	c->path = xstrdup(path);
	c->page_bytes = page_size(from);
	if (open_copy(c, e))
		goto fail;
	if (!(c->b = sqlite3_backup_init(c->to, "main", from, "main"))) {
		err_set(e, ERR_STORE, "%s: %s", path, sqlite3_errmsg(c->to));
		goto fail;
	}
	*out = c;
	return 0;
fail:
	db_copy_end(c);
	return -1;
}

static int
finish(struct db_copy *c, struct err *e)
{
	int rc = sqlite3_backup_finish(c->b), closed = sqlite3_close(c->to);

	c->b = NULL;
	c->to = NULL;
	c->whole = rc == SQLITE_OK && closed == SQLITE_OK;
	return c->whole ? 0 : err_set(e, ERR_STORE, "%s: %s", c->path, sqlite3_errstr(rc ? rc : closed));
}

int
db_copy_step(struct db_copy *c, int pages, struct err *e)
{
	int rc = sqlite3_backup_step(c->b, pages);

	if (rc == SQLITE_DONE)
		return finish(c, e);
	if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return 1;
	return err_set(e, rc == SQLITE_FULL ? ERR_TOO_BIG : ERR_STORE, "%s: %s", c->path, sqlite3_errstr(rc));
}

int64_t
db_copy_left(const struct db_copy *c)
{
	return c->b ? (int64_t)sqlite3_backup_remaining(c->b) * c->page_bytes : 0;
}

void
db_copy_end(struct db_copy *c)
{
	if (!c)
		return;
	sqlite3_backup_finish(c->b);
	sqlite3_close(c->to);
	if (!c->whole)
		unlink(c->path);
	free(c->path);
	free(c);
}

/* Of db_copy_file(). */
struct patience {
	int64_t wait_ms, began_ms, moved_ms;
};

static int
step_file(struct db_copy *c, struct patience *p, struct err *e)
{
	int64_t left = db_copy_left(c), now;
	int rc = db_copy_step(c, FILE_PAGES, e);
	bool moved = db_copy_left(c) != left;

	now = clock_mono_ms();
	if (moved)
		p->moved_ms = now;
	if (rc == 1 && (now - p->moved_ms > p->wait_ms || now - p->began_ms > 100 * p->wait_ms))
		return err_set(e, ERR_BUSY, "somebody else has it, or writes all the time");
	if (rc == 1 && !moved)
		sqlite3_sleep(FILE_WAIT_MS);
	return rc;
}

int
db_copy_file(const char *from, const char *to, int64_t wait_ms, struct err *e)
{
	struct patience p = { .wait_ms = wait_ms, .began_ms = clock_mono_ms(), .moved_ms = clock_mono_ms() };
	struct db_copy *c = NULL;
	sqlite3 *h = NULL;
	int rc = -1;

	if (access(from, R_OK)) {
		err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", from, strerror(errno));
	} else if (sqlite3_open_v2(from, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)) {
		err_set(e, ERR_STORE, "%s: %s", from, h ? sqlite3_errmsg(h) : "out of memory");
	} else if (db_copy_begin(&c, h, to, e) == 0) {
		while ((rc = step_file(c, &p, e)) > 0)
			;
		if (rc)
			err_wrap(e, "%s", from);
	}
	db_copy_end(c);
	sqlite3_close(h);
	return rc;
}
