/*
 * db_copy.h - a whole copy of a database that is in use, a few pages at a time, by SQLite's own means.
 *
 * What the connection itself writes meanwhile goes into the copy too, so that is as the database is when the last step
 * is done. What others write begins it anew.
 */
#ifndef UW_DB_COPY_H
#define UW_DB_COPY_H

#include <stdint.h>

struct db_copy;
struct err;
struct sqlite3;

/* path must not be there yet; nobody but its owner can read it. from stays the caller's. */
int db_copy_begin(struct db_copy **out, struct sqlite3 *from, const char *path, struct err *e);

/* 1: there is more, also when somebody else was writing; 0: it is whole, and all of it was handed to the system; -1: it
 * failed. */
int db_copy_step(struct db_copy *c, int pages, struct err *e);

/* Bytes that are still to come. */
int64_t db_copy_left(const struct db_copy *c);

/* Unless it is whole the file is removed. NULL is fine. */
void db_copy_end(struct db_copy *c);

/* All of it: of a database that other processes may have open. ERR_BUSY: it got nowhere for that time, or somebody wrote
 * again and again for a hundred times as long. */
int db_copy_file(const char *from, const char *to, int64_t wait_ms, struct err *e);

#endif
