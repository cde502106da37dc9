/*
 * db.h - a SQLite database: opening, migrating, prepared statements.
 *
 * Opened with WAL and synchronous=FULL: a commit is on the disk when it returns, and one fsync serves
 * all that it holds. Statements are prepared once from a table of SQL; values
 * are only ever bound.
 */
#ifndef UW_DB_H
#define UW_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct db {
	sqlite3 *h;
	sqlite3_stmt **stmt;
	int nstmt;
	sqlite3_stmt *begin, *commit;   /* the two that every transaction needs */
};

/* Whether other processes may have the database open too; then writers wait for each other. */
enum db_sharing { DB_OWN, DB_SHARED };

/* migrations[i] brings a database of version i to version i + 1; all that are due are one transaction. A newer database is
 * refused and stays as it is. sql may hold NULLs. vfs NULL: the default one. On failure the database is closed. */
int db_open(struct db *d, const char *path, enum db_sharing sharing, const char *vfs, const char *const *migrations,
    int nmigrations, const char *const *sql, int nsql, struct err *e);
void db_close(struct db *d);

/* Prepares more of them: sql[i] has the index *first + i. */
int db_more(struct db *d, const char *const *sql, int nsql, int *first, struct err *e);

/* A statement by index, reset and without values. */
sqlite3_stmt *db_use(struct db *d, int q);

/* Runs a statement that returns no rows. -1 with ERR_STORE. */
int db_run(struct db *d, sqlite3_stmt *s, struct err *e);

/* 1: a row, 0: no more, -1: error. */
int db_step(struct db *d, sqlite3_stmt *s, struct err *e);

int db_exec(struct db *d, const char *sql, struct err *e);

/* Outside of a transaction: writes the log back and cuts it, if that can be done. Frees much of a full disk. */
void db_shrink(struct db *d);

/* Bytes of the caller's that live until the statement is reset; NULL binds NULL. */
void db_text(sqlite3_stmt *s, int i, const char *text);
void db_textn(sqlite3_stmt *s, int i, const char *text, size_t len);
void db_blob(sqlite3_stmt *s, int i, const void *p, size_t len);
void db_int(sqlite3_stmt *s, int i, int64_t n);

#endif
