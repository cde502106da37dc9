#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "new_life.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))

static int
failed(const char *what, sqlite3 *h, struct err *e)
{
	return err_set(e, ERR_STORE, "%s: %s", what, sqlite3_errmsg(h));
}

static int
version_of(sqlite3 *h)
{
	sqlite3_stmt *s = NULL;
	int n = 0;

	if (sqlite3_prepare_v2(h, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return n;
}

static int
give_other_life(const char *copy, struct err *e)
{
	sqlite3 *h = NULL;
	int rc = sqlite3_open_v2(copy, &h, SQLITE_OPEN_READWRITE, NULL) ? failed(copy, h, e) : new_life(h, copy, "before", e);

	sqlite3_close(h);
	return rc;
}

static int
copy_to(sqlite3 *h, const char *to, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(h, "VACUUM INTO ?1", -1, &s, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_bind_text(s, 1, to, -1, SQLITE_STATIC);
		rc = sqlite3_step(s);
	}
	if (rc != SQLITE_DONE)
		failed(to, h, e);
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int
sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return rc;
}

static int
settle(const char *copy, const char *before, struct err *e)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(before, '/');

	snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - before) : 1, slash ? before : ".");
	if (chmod(copy, 0600) || sync_path(copy) || rename(copy, before) || sync_path(dir))
		return err_set(e, ERR_IO, "%s: %s", before, strerror(errno));
	return 0;
}

static int
keep(sqlite3 *h, const char *db, int version, int known, struct err *e)
{
	char before[PATH_MAX], copy[PATH_MAX];

	snprintf(before, sizeof before, "%.4000s.before", db);
	snprintf(copy, sizeof copy, "%.4000s.before-new", db);
	unlink(copy);
	if (copy_to(h, copy, e) || give_other_life(copy, e) || settle(copy, before, e)) {
		unlink(copy);
		return err_wrap(e, "%s has version %d and would become %d, but first a copy is kept, and that failed (is there room for "
		    "it?); nothing was changed", db, version, known);
	}
	log_info("%s has version %d and becomes %d; as it was it is kept for %d days: %s", db, version, known, KEEP_DAYS, before);
	return 0;
}

static void
forget_old(const char *db, int64_t now_ms)
{
	char before[PATH_MAX];
	struct stat st;

	snprintf(before, sizeof before, "%.4000s.before", db);
	if (stat(before, &st) == 0 && now_ms - (int64_t)st.st_mtime * 1000 > KEEP_DAYS * DAY_MS && unlink(before) == 0)
		log_info("%s is older than %d days: removed", before, KEEP_DAYS);
}

int
keep_before(const char *db, int known, int64_t now_ms, struct err *e)
{
	sqlite3 *h = NULL;
	int version = 0, rc = 0;

	if (access(db, F_OK))
		return 0;
	if (sqlite3_open_v2(db, &h, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
		/* Of one that is newer not a byte is to be changed. */
		sqlite3_db_config(h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		sqlite3_exec(h, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
		version = version_of(h);
	}
	if (version > 0 && version < known)
		rc = keep(h, db, version, known, e);
	else
		forget_old(db, now_ms);
	sqlite3_close(h);
	return rc;
}
