/*
 * hermes_book.h - what was heard of Hermes and is not yet with the broker, each thing once; and how far its database was read.
 *
 * One SQLite database, <state>/hermes-<agent>.db. What is taken, what is known by then, and the cursor change in one
 * transaction: whoever dies in between has neither read nor told. An event gets the next number (seq) of a stream; numbers
 * have no gap. A stream lasts as long as the machine runs, for commits are not synced: after a loss of power the last of
 * them may be gone, the database is read again from there, and the events have a new stream.
 *
 * The same call of a tool, told twice: both tellers name the call, or one of them (a run of ours) does not; then it is that
 * of the same tool in the same session whose other telling is missing, within a minute.
 */
#ifndef UW_HERMES_BOOK_H
#define UW_HERMES_BOOK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "db.h"
#include "hermes_event.h"
#include "ulid.h"

#define HERMES_SEEN_MAX 100000          /* events that are remembered to tell a repeat */
#define HERMES_SEEN_MS (24 * 3600 * INT64_C(1000))

struct err;

struct hermes_book {
	struct db db;
	const char *agent;
	enum hermes_share share;
	int64_t max_bytes;              /* of what waits */
	char stream[ULID_TEXT];
	int64_t seq;                    /* the last one */
	int64_t gone;                   /* all up to there have arrived */
	int64_t bytes;                  /* that wait */
	int64_t taken, repeated, dropped;       /* since it was opened */
	int64_t seen, tidied_ms;
	bool open;                      /* a transaction is */
	int commits;                    /* since the log was last written back */
	char path[512];
	int lock;                       /* who has it is the only one */
	pthread_t sweeper;              /* writes the log back, by a connection of its own */
	bool sweeping;
	atomic_bool swept;              /* it has done so */
};

/* Where the reading of one database has come to. */
struct hermes_place {
	int64_t device, inode;
	int64_t cursor;                 /* the last message that was read */
	int64_t at_us;                  /* ... and its time, by which another database of the same inode is told */
	int64_t generation;             /* 1: the first database there, 2: the one that took its place ... */
};

/* Of the database. */
int hermes_book_store_version(void);

int hermes_book_open(struct hermes_book *b, const char *path, const char *agent, enum hermes_share share, int64_t max_bytes,
    struct err *e);
void hermes_book_close(struct hermes_book *b);

bool hermes_book_is_full(const struct hermes_book *b);

/* These begin a transaction if none is open. 1: it is new and has been written down; 0: it was known, or there is no room. */
int hermes_book_take(struct hermes_book *b, struct hermes_event *v, struct err *e);
int hermes_book_put_place(struct hermes_book *b, const char *path, const struct hermes_place *p, struct err *e);
/* 1: digest is another than the last time; 0: the same. */
int hermes_book_session(struct hermes_book *b, const char *id, const char *digest, int64_t now_ms, struct err *e);
/* What was sent up to there has arrived. */
int hermes_book_drop(struct hermes_book *b, int64_t upto, struct err *e);
int hermes_book_commit(struct hermes_book *b, int64_t now_ms, struct err *e);
/* Now and then: has the log written back by a thread of its own. Its fsyncs take tens of milliseconds, for which nothing that is
 * told should wait. */
void hermes_book_sweep(struct hermes_book *b);
void hermes_book_rollback(struct hermes_book *b);

/* 1: there is one; 0: it is not known. */
int hermes_book_place(struct hermes_book *b, const char *path, struct hermes_place *p, struct err *e);

/* Appends what follows `after`, lines each ended by a newline, as many as fit into max bytes. How many; *last: the number of
 * the last one. */
int hermes_book_read(struct hermes_book *b, int64_t after, size_t max, struct buf *out, int64_t *last, struct err *e);

#endif
