#include "db.h"

#include <string.h>

#include "buf.h"
#include "err.h"

static int
failed(struct db *d, struct err *e, const char *what)
{
	return err_set(e, ERR_STORE, "%s: %s", what, d->h ? sqlite3_errmsg(d->h) : "out of memory");
}

static int
run_kept(struct db *d, sqlite3_stmt **s, const char *sql)
{
	int rc = SQLITE_OK;

	if (!*s)
		rc = sqlite3_prepare_v3(d->h, sql, -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
	if (rc == SQLITE_OK)
		sqlite3_step(*s);
	return rc == SQLITE_OK ? sqlite3_reset(*s) : rc;
}

int
db_exec(struct db *d, const char *sql, struct err *e)
{
	if (strcmp(sql, "BEGIN IMMEDIATE") == 0)
		return run_kept(d, &d->begin, sql) ? failed(d, e, "database") : 0;
	if (strcmp(sql, "COMMIT") == 0)
		return run_kept(d, &d->commit, sql) ? failed(d, e, "database") : 0;
	return sqlite3_exec(d->h, sql, NULL, NULL, NULL) ? failed(d, e, "database") : 0;
}

void
db_shrink(struct db *d)
{
	sqlite3_wal_checkpoint_v2(d->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

static int
read_version(struct db *d, int *version, struct err *e)
{
	sqlite3_stmt *s;
	int rc = -1;

	if (sqlite3_prepare_v2(d->h, "PRAGMA user_version", -1, &s, NULL))
		return failed(d, e, "database");
	if (sqlite3_step(s) == SQLITE_ROW) {
		*version = sqlite3_column_int(s, 0);
		rc = 0;
	} else {
		failed(d, e, "database");
	}
	sqlite3_finalize(s);
	return rc;
}

/* Before anything is written: a newer program's database stays as it is, byte for byte. */
static int
refuse_newer(struct db *d, int known, struct err *e)
{
	int version;

	if (read_version(d, &version, e))
		return -1;
	if (version <= known)
		return 0;
	/* Or closing it would write its log back. */
	sqlite3_db_config(d->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return err_set(e, ERR_STORE, "it has version %d, this program (" UW_VERSION ") knows up to %d: use the newer program that "
	    "wrote it; nothing in it was changed", version, known);
}

/* All steps in one transaction, which also reads the version: another process may be migrating too. Whatever stops it,
 * the program before this one can go on with what it left. */
static int
migrate_all(struct db *d, const char *const *migrations, int n, struct err *e)
{
	char set[48];
	int version;

	if (db_exec(d, "BEGIN IMMEDIATE", e) || refuse_newer(d, n, e) || read_version(d, &version, e))
		return -1;
	for (int v = version; v < n; v++)
		if (db_exec(d, migrations[v], e))
			return err_wrap(e, "bringing it from version %d to %d: step %d", version, n, v + 1);
	snprintf(set, sizeof set, "PRAGMA user_version = %d", n);
	if ((version < n && db_exec(d, set, e)) || db_exec(d, "COMMIT", e))
		return err_wrap(e, "bringing it from version %d to %d", version, n);
	return 0;
}

static int
migrate(struct db *d, const char *path, const char *const *migrations, int n, struct err *e)
{
	if (migrate_all(d, migrations, n, e) == 0)
		return 0;
	sqlite3_exec(d->h, "ROLLBACK", NULL, NULL, NULL);
	return err_wrap(e, "%s", path);
}

int
db_more(struct db *d, const char *const *sql, int nsql, int *first, struct err *e)
{
	*first = d->nstmt;
	d->stmt = xrealloc(d->stmt, (size_t)(d->nstmt + nsql) * sizeof *d->stmt);
	memset(d->stmt + d->nstmt, 0, (size_t)nsql * sizeof *d->stmt);
	d->nstmt += nsql;
	for (int i = 0; i < nsql; i++)
		if (sql[i] && sqlite3_prepare_v3(d->h, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &d->stmt[*first + i], NULL))
			return failed(d, e, sql[i]);
	return 0;
}

/* Going over to WAL does not wait for other processes by itself. The log may grow to 4 MiB before it is written
 * back: that takes some 3 ms, in which tasks wait; with 32 MiB it took 20. */
static int
set_pragmas(struct db *d, enum db_sharing sharing, struct err *e)
{
	static const char pragmas[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	    "PRAGMA cache_size=-4096; PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=67108864;"
	    "PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF; PRAGMA trusted_schema=OFF";
	int tries = sharing == DB_SHARED ? 200 : 1;

	while (db_exec(d, pragmas, e)) {
		if (sqlite3_errcode(d->h) != SQLITE_BUSY || --tries == 0)
			return -1;
		sqlite3_sleep(10);
	}
	return 0;
}

int
db_open(struct db *d, const char *path, enum db_sharing sharing, const char *vfs,
    const char *const *migrations, int nmigrations, const char *const *sql, int nsql, struct err *e)
{
	static const char own[] = "PRAGMA locking_mode=EXCLUSIVE";

	*d = (struct db){ 0 };
	if (sqlite3_open_v2(path, &d->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, vfs)) {
		failed(d, e, path);
		goto fail;
	}
	sqlite3_busy_timeout(d->h, sharing == DB_SHARED ? 10000 : 0);
	/* Or it looks at what is bound, to choose another plan, and prepares some statements anew each time. */
	sqlite3_db_config(d->h, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
	if ((sharing == DB_OWN && db_exec(d, own, e)) || refuse_newer(d, nmigrations, e) ||
	    set_pragmas(d, sharing, e)) {
		if (sharing == DB_OWN && sqlite3_errcode(d->h) == SQLITE_BUSY)
			err_set(e, ERR_BUSY, "%s is in use by another process", path);
		else
			err_wrap(e, "%s", path);
		goto fail;
	}
	if (migrate(d, path, migrations, nmigrations, e) || db_more(d, sql, nsql, &(int){ 0 }, e))
		goto fail;
	return 0;
fail:
	db_close(d);
	return -1;
}

void
db_close(struct db *d)
{
	for (int i = 0; i < d->nstmt; i++)
		sqlite3_finalize(d->stmt[i]);
	free(d->stmt);
	sqlite3_finalize(d->begin);
	sqlite3_finalize(d->commit);
	sqlite3_close(d->h);
	*d = (struct db){ 0 };
}

sqlite3_stmt *
db_use(struct db *d, int q)
{
	sqlite3_reset(d->stmt[q]);
	sqlite3_clear_bindings(d->stmt[q]);
	return d->stmt[q];
}

int
db_run(struct db *d, sqlite3_stmt *s, struct err *e)
{
	int rc = sqlite3_step(s);

	sqlite3_reset(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : failed(d, e, "database");
}

int
db_step(struct db *d, sqlite3_stmt *s, struct err *e)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : failed(d, e, "database");
}

void
db_text(sqlite3_stmt *s, int i, const char *text)
{
	if (text)
		sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
}

void
db_textn(sqlite3_stmt *s, int i, const char *text, size_t len)
{
	if (text)
		sqlite3_bind_text(s, i, text, (int)len, SQLITE_STATIC);
}

void
db_blob(sqlite3_stmt *s, int i, const void *p, size_t len)
{
	if (p)
		sqlite3_bind_blob(s, i, p, (int)len, SQLITE_STATIC);
}

void
db_int(sqlite3_stmt *s, int i, int64_t n)
{
	sqlite3_bind_int64(s, i, n);
}
