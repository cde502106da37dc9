/*
 * hermes_state.h - following Hermes's state.db while Hermes writes it.
 *
 * One read-only connection, kept as long as the file is the same: Hermes's own guards suffer from those that come and go. It
 * is never written, no transaction of ours is open between two steps, so its checkpoints are not held up.
 *
 * A change is seen by inotify on the directory, but the write to the log comes before the commit can be read: after each
 * notice PRAGMA data_version is asked every 2 ms for a while, and every 250 ms anyway. Without inotify: every 10 ms.
 *
 * Columns differ by version and are added without one, so what is there is asked of the table; what is missing is empty. When
 * another file takes the place of this one, this one is read to its end first.
 */
#ifndef UW_HERMES_STATE_H
#define UW_HERMES_STATE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "hermes_book.h"

struct err;

struct hermes_state {
	char path[512], dir[512];
	struct hermes_book *book;
	bool all;                       /* of a database that was never read: from its first message on */
	int notice;                     /* inotify; -1: there is none */
	sqlite3 *db;                    /* NULL: not there, or not readable at the moment */
	sqlite3_stmt *version, *messages, *last, *at, *sessions;
	struct hermes_place place;
	int64_t schema;                 /* as it says itself; -1: it does not */
	int64_t wal_inode;
	int64_t data_version;
	int64_t hot_until_ms, next_ms, sessions_ms;
	bool more, sessions_due;
	int failures;                   /* to read, in a row */
	int64_t rows;                   /* of tools, read since the start: something to learn from */
	char why[200];                  /* it is not read, the last time it was told; "": it is */
};

/* The version numbers that were looked at; others are read all the same, and named once. */
bool hermes_state_is_known(int64_t schema);

void hermes_state_init(struct hermes_state *s, const char *home, struct hermes_book *book, bool all);
void hermes_state_release(struct hermes_state *s);

/* How long nothing is to be done, at most; notice may end it earlier. */
int64_t hermes_state_wait_ms(const struct hermes_state *s, int64_t now_ms);

/* Takes what is new into the book, at most some hundred messages. noticed: notice can be read from. -1 only if the book
 * fails. */
int hermes_state_read(struct hermes_state *s, bool noticed, int64_t now_ms, struct err *e);

/* The name under which what was learned from it is counted: another one for each database that was there. */
void hermes_state_source(const struct hermes_state *s, char *out, size_t size);

#endif
