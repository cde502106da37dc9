#include "hermes_book.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>

#include "clock.h"
#include "err.h"

#define PAIR_MS 60000
#define TIDY_MS 60000
#define LOCK_MS 2000
#define SWEEP_COMMITS 500
#define SWEEP_BUSY_MS 1000
#define LOG_PAGES 16384         /* 64 MiB: then the next writer has to wait, and begins the log anew */

static const char *const migrations[] = {
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE place (path TEXT PRIMARY KEY, device INTEGER, inode INTEGER, cursor INTEGER, at_us INTEGER, generation INTEGER);"
	"CREATE TABLE spool (seq INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL);"
	/* pair: session, tool and kind of what another teller may name otherwise; taken away once both have told. */
	"CREATE TABLE seen (key TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, heard_ms INTEGER NOT NULL, named INTEGER NOT NULL, pair TEXT)"
	" WITHOUT ROWID;"
	"CREATE INDEX seen_pair ON seen (pair, named, heard_ms) WHERE pair IS NOT NULL;"
	"CREATE INDEX seen_age ON seen (heard_ms);"
	"CREATE TABLE session (id TEXT PRIMARY KEY, digest TEXT NOT NULL, heard_ms INTEGER NOT NULL);",
};

enum {
	Q_META, Q_META_SET, Q_SEQ, Q_GONE, Q_BYTES, Q_BYTES_UPTO, Q_PLACE, Q_PLACE_SET, Q_SPOOL, Q_NEXT, Q_DROP, Q_SEEN, Q_SEEN_PUT, Q_PAIR, Q_PAIRED,
	Q_SEEN_COUNT, Q_SEEN_OLD, Q_SEEN_MANY, Q_SESSION, Q_SESSION_PUT, Q_SESSION_OLD, Q_COUNT
};

static const char *const sql[Q_COUNT] = {
	[Q_META] = "SELECT value FROM meta WHERE name = ?1",
	[Q_META_SET] = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)",
	[Q_SEQ] = "SELECT seq FROM sqlite_sequence WHERE name = 'spool'",
	[Q_GONE] = "SELECT coalesce(min(seq) - 1, (SELECT seq FROM sqlite_sequence WHERE name = 'spool')) FROM spool",
	[Q_BYTES] = "SELECT total(length(line)) FROM spool",
	[Q_BYTES_UPTO] = "SELECT total(length(line)) FROM spool WHERE seq <= ?1",
	[Q_PLACE] = "SELECT device, inode, cursor, at_us, generation FROM place WHERE path = ?1",
	[Q_PLACE_SET] = "INSERT OR REPLACE INTO place VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[Q_SPOOL] = "INSERT INTO spool (line) VALUES (?1)",
	[Q_NEXT] = "SELECT seq, line FROM spool WHERE seq > ?1 ORDER BY seq LIMIT 256",
	[Q_DROP] = "DELETE FROM spool WHERE seq <= ?1",
	[Q_SEEN] = "SELECT at_ms FROM seen WHERE key = ?1",
	[Q_SEEN_PUT] = "INSERT OR IGNORE INTO seen VALUES (?1, ?2, ?3, ?4, ?5)",
	[Q_PAIR] = "SELECT key FROM seen WHERE pair = ?1 AND named = ?2 AND heard_ms >= ?3 ORDER BY heard_ms LIMIT 1",
	[Q_PAIRED] = "UPDATE seen SET pair = NULL WHERE key = ?1",
	[Q_SEEN_COUNT] = "SELECT count(*) FROM seen",
	[Q_SEEN_OLD] = "DELETE FROM seen WHERE heard_ms < ?1",
	[Q_SEEN_MANY] = "DELETE FROM seen WHERE key IN (SELECT key FROM seen ORDER BY heard_ms LIMIT ?1)",
	[Q_SESSION] = "SELECT digest FROM session WHERE id = ?1",
	[Q_SESSION_PUT] = "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3)",
	[Q_SESSION_OLD] = "DELETE FROM session WHERE heard_ms < ?1",
};

static int
one_int(struct hermes_book *b, int q, int64_t *out, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, q);
	int rc = db_step(&b->db, s, e);

	*out = rc > 0 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return rc < 0 ? -1 : 0;
}

static int
get_meta(struct hermes_book *b, const char *name, char *out, size_t size, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_META);
	int rc;

	db_text(s, 1, name);
	rc = db_step(&b->db, s, e);
	snprintf(out, size, "%s", rc > 0 ? (const char *)sqlite3_column_text(s, 0) : "");
	sqlite3_reset(s);
	return rc < 0 ? -1 : 0;
}

static int
set_meta(struct hermes_book *b, const char *name, const char *value, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_META_SET);

	db_text(s, 1, name);
	db_text(s, 2, value);
	return db_run(&b->db, s, e);
}

/* Another one after each start of the machine; where the system has no name for that, after each of ours. */
static void
boot_name(char *out, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, size - 1);
	struct ulid u;

	if (fd >= 0)
		close(fd);
	if (n > 0) {
		out[n] = '\0';
		out[strcspn(out, "\n")] = '\0';
		return;
	}
	ulid_now(&u);
	ulid_format(&u, out);
}

static int
choose_stream(struct hermes_book *b, struct err *e)
{
	char now[64], before[64];
	struct ulid u;

	boot_name(now, sizeof now);
	if (get_meta(b, "boot", before, sizeof before, e) || get_meta(b, "stream", b->stream, sizeof b->stream, e))
		return -1;
	if (strcmp(now, before) == 0 && *b->stream)
		return 0;
	ulid_now(&u);
	ulid_format(&u, b->stream);
	return set_meta(b, "boot", now, e) || set_meta(b, "stream", b->stream, e) ? -1 : 0;
}

/* Only this connection syncs, and only this one writes back. */
static void *
sweep(void *arg)
{
	struct hermes_book *b = arg;
	sqlite3 *h = NULL;
	int pages = 0;

	if (sqlite3_open_v2(b->path, &h, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_exec(h, "PRAGMA synchronous=FULL", NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_wal_checkpoint_v2(h, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, NULL) == SQLITE_OK && pages > LOG_PAGES) {
		sqlite3_busy_timeout(h, SWEEP_BUSY_MS);
		sqlite3_wal_checkpoint_v2(h, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
	}
	sqlite3_close(h);
	atomic_store(&b->swept, true);
	return NULL;
}

static void
end_sweep(struct hermes_book *b)
{
	if (b->sweeping)
		pthread_join(b->sweeper, NULL);
	b->sweeping = false;
}

void
hermes_book_sweep(struct hermes_book *b)
{
	sigset_t all, before;

	if (b->sweeping && atomic_load(&b->swept))
		end_sweep(b);
	if (b->sweeping || b->commits < SWEEP_COMMITS)
		return;
	b->commits = 0;
	atomic_store(&b->swept, false);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	b->sweeping = pthread_create(&b->sweeper, NULL, sweep, b) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int
take_lock(struct hermes_book *b, struct err *e)
{
	char path[sizeof b->path + 8];

	snprintf(path, sizeof path, "%s.lock", b->path);
	b->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->lock < 0)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	/* Whoever had it may just be ending. */
	for (int left_ms = LOCK_MS; flock(b->lock, LOCK_EX | LOCK_NB); left_ms -= 20) {
		if (left_ms <= 0)
			return err_set(e, ERR_BUSY, "%s is in use by another process", b->path);
		poll(NULL, 0, 20);
	}
	return 0;
}

int
hermes_book_store_version(void)
{
	return (int)(sizeof migrations / sizeof *migrations);
}

int
hermes_book_open(struct hermes_book *b, const char *path, const char *agent, enum hermes_share share, int64_t max_bytes,
    struct err *e)
{
	*b = (struct hermes_book){ .agent = agent, .share = share, .max_bytes = max_bytes, .lock = -1 };
	snprintf(b->path, sizeof b->path, "%s", path);
	if (take_lock(b, e) || db_open(&b->db, path, DB_SHARED, NULL, migrations, hermes_book_store_version(), sql, Q_COUNT, e))
		goto fail;
	/* Not even the beginning of a new log is waited for. The log proves itself by checksums, and is synced before it is written
	 * back, see sweep(): after a loss of power its end may be missing, nothing more. */
	sqlite3_db_config(b->db.h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (choose_stream(b, e) || db_exec(&b->db, "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0", e) ||
	    one_int(b, Q_SEQ, &b->seq, e) || one_int(b, Q_GONE, &b->gone, e) || one_int(b, Q_BYTES, &b->bytes, e) ||
	    one_int(b, Q_SEEN_COUNT, &b->seen, e))
		goto fail;
	return 0;
fail:
	hermes_book_close(b);
	return -1;
}

void
hermes_book_close(struct hermes_book *b)
{
	end_sweep(b);
	if (b->db.h) {
		hermes_book_rollback(b);
		sweep(b);
		db_close(&b->db);
	}
	if (b->lock >= 0)
		close(b->lock);
	b->lock = -1;
}

bool
hermes_book_is_full(const struct hermes_book *b)
{
	return b->bytes >= b->max_bytes;
}

static int
begin(struct hermes_book *b, struct err *e)
{
	if (b->open)
		return 0;
	if (db_exec(&b->db, "BEGIN IMMEDIATE", e))
		return -1;
	b->open = true;
	return 0;
}

void
hermes_book_rollback(struct hermes_book *b)
{
	struct err none;

	if (!b->open)
		return;
	sqlite3_exec(b->db.h, "ROLLBACK", NULL, NULL, NULL);
	b->open = false;
	one_int(b, Q_SEQ, &b->seq, &none);
	one_int(b, Q_BYTES, &b->bytes, &none);
	one_int(b, Q_SEEN_COUNT, &b->seen, &none);
}

static int
tidy(struct hermes_book *b, int64_t now_ms, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_SEEN_OLD);

	db_int(s, 1, now_ms - HERMES_SEEN_MS);
	if (db_run(&b->db, s, e) || one_int(b, Q_SEEN_COUNT, &b->seen, e))
		return -1;
	if (b->seen > HERMES_SEEN_MAX) {
		s = db_use(&b->db, Q_SEEN_MANY);
		db_int(s, 1, b->seen - HERMES_SEEN_MAX);
		if (db_run(&b->db, s, e) || one_int(b, Q_SEEN_COUNT, &b->seen, e))
			return -1;
	}
	s = db_use(&b->db, Q_SESSION_OLD);
	db_int(s, 1, now_ms - 30 * HERMES_SEEN_MS);
	b->tidied_ms = now_ms;
	return db_run(&b->db, s, e);
}

int
hermes_book_commit(struct hermes_book *b, int64_t now_ms, struct err *e)
{
	if (!b->open)
		return 0;
	if (((b->seen > HERMES_SEEN_MAX + HERMES_SEEN_MAX / 10 || now_ms - b->tidied_ms > TIDY_MS) && tidy(b, now_ms, e)) ||
	    db_exec(&b->db, "COMMIT", e)) {
		hermes_book_rollback(b);
		return -1;
	}
	b->open = false;
	b->commits++;
	return 0;
}

/* ---- what is known ---- */

/* 1: known; 0: not. *at_ms: when that happened. */
static int
seen(struct hermes_book *b, const char *key, int64_t *at_ms, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_SEEN);
	int rc;

	db_text(s, 1, key);
	rc = db_step(&b->db, s, e);
	if (rc > 0 && at_ms)
		*at_ms = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return rc;
}

static int
see(struct hermes_book *b, const struct hermes_event *v, const char *key, const char *pair, bool named, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_SEEN_PUT);

	db_text(s, 1, key);
	db_int(s, 2, v->at_ms);
	db_int(s, 3, v->heard_ms);
	db_int(s, 4, named);
	db_text(s, 5, pair);
	b->seen++;
	return db_run(&b->db, s, e);
}

/* 1: the other telling was there, and is used up. */
static int
find_pair(struct hermes_book *b, const struct hermes_event *v, const char *pair, bool named, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_PAIR);
	char key[3 * HERMES_ID_MAX];
	int rc;

	db_text(s, 1, pair);
	db_int(s, 2, named);
	db_int(s, 3, v->heard_ms - PAIR_MS);
	rc = db_step(&b->db, s, e);
	snprintf(key, sizeof key, "%s", rc > 0 ? (const char *)sqlite3_column_text(s, 0) : "");
	sqlite3_reset(s);
	if (rc <= 0)
		return rc;
	s = db_use(&b->db, Q_PAIRED);
	db_text(s, 1, key);
	return db_run(&b->db, s, e) ? -1 : 1;
}

/* By the names of its parts, with a character between that is in none of them. */
static void
name_of(char *out, size_t size, const char *kind, const char *session, const char *last)
{
	snprintf(out, size, "%.39s\x1f%.159s\x1f%.159s", kind, session, last);
}

static int
is_repeat_call(struct hermes_book *b, const struct hermes_event *v, struct err *e)
{
	char key[3 * HERMES_ID_MAX], pair[3 * HERMES_ID_MAX];
	bool named = *v->call;
	int rc;

	name_of(pair, sizeof pair, v->kind, v->session, v->tool);
	name_of(key, sizeof key, v->kind, v->session, named ? v->call : v->once);
	rc = named ? seen(b, key, NULL, e) : 0;
	if (rc)
		return rc;
	rc = find_pair(b, v, pair, !named, e);
	return rc < 0 || see(b, v, key, rc ? NULL : pair, named, e) ? -1 : rc;
}

static int
is_repeat(struct hermes_book *b, const struct hermes_event *v, struct err *e)
{
	char key[3 * HERMES_ID_MAX];
	int rc = 0;

	if (*v->once) {
		name_of(key, sizeof key, "once", "", v->once);
		rc = seen(b, key, NULL, e);
		if (rc || see(b, v, key, NULL, true, e))
			return rc ? rc : -1;
	}
	if (hermes_event_is_call(v) && *v->session)
		return is_repeat_call(b, v, e);
	if (strcmp(v->kind, "session.started") == 0 || strcmp(v->kind, "session.ended") == 0) {
		name_of(key, sizeof key, v->kind, v->session, "");
		rc = seen(b, key, NULL, e);
		if (!rc && see(b, v, key, NULL, true, e))
			rc = -1;
	}
	return rc;
}

/* The database says when, not how long. */
static int
fill_in(struct hermes_book *b, struct hermes_event *v, struct err *e)
{
	char key[3 * HERMES_ID_MAX];
	int64_t began_ms;
	int rc;

	if (v->ms >= 0 || !*v->call || strcmp(v->kind, "tool.completed") != 0)
		return 0;
	name_of(key, sizeof key, "tool.started", v->session, v->call);
	rc = seen(b, key, &began_ms, e);
	if (rc > 0 && v->at_ms >= began_ms)
		v->ms = v->at_ms - began_ms;
	return rc < 0 ? -1 : 0;
}

int
hermes_book_take(struct hermes_book *b, struct hermes_event *v, struct err *e)
{
	struct buf line = { 0 };
	sqlite3_stmt *s;
	int rc;

	/* The database is read on when there is room. */
	if (hermes_book_is_full(b) && v->via != VIA_DATABASE) {
		b->dropped++;
		return 0;
	}
	if (begin(b, e))
		return -1;
	rc = is_repeat(b, v, e);
	if (rc) {
		b->repeated += rc > 0;
		return rc < 0 ? -1 : 0;
	}
	if (fill_in(b, v, e))
		return -1;
	hermes_event_put(&line, v, b->share, b->agent, b->stream, b->seq + 1);
	s = db_use(&b->db, Q_SPOOL);
	db_textn(s, 1, line.data, line.len);
	rc = db_run(&b->db, s, e);
	if (rc == 0) {
		b->seq++;
		b->taken++;
		b->bytes += (int64_t)line.len;
	}
	buf_free(&line);
	return rc ? -1 : 1;
}

/* ---- the rest ---- */

int
hermes_book_put_place(struct hermes_book *b, const char *path, const struct hermes_place *p, struct err *e)
{
	sqlite3_stmt *s;

	if (begin(b, e))
		return -1;
	s = db_use(&b->db, Q_PLACE_SET);
	db_text(s, 1, path);
	db_int(s, 2, p->device);
	db_int(s, 3, p->inode);
	db_int(s, 4, p->cursor);
	db_int(s, 5, p->at_us);
	db_int(s, 6, p->generation);
	return db_run(&b->db, s, e);
}

int
hermes_book_place(struct hermes_book *b, const char *path, struct hermes_place *p, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_PLACE);
	int rc;

	db_text(s, 1, path);
	rc = db_step(&b->db, s, e);
	if (rc > 0)
		*p = (struct hermes_place){ .device = sqlite3_column_int64(s, 0), .inode = sqlite3_column_int64(s, 1),
			.cursor = sqlite3_column_int64(s, 2), .at_us = sqlite3_column_int64(s, 3),
			.generation = sqlite3_column_int64(s, 4) };
	sqlite3_reset(s);
	return rc;
}

int
hermes_book_session(struct hermes_book *b, const char *id, const char *digest, int64_t now_ms, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_SESSION);
	bool same;
	int rc;

	db_text(s, 1, id);
	rc = db_step(&b->db, s, e);
	same = rc > 0 && strcmp((const char *)sqlite3_column_text(s, 0), digest) == 0;
	sqlite3_reset(s);
	if (rc < 0 || same)
		return rc < 0 ? -1 : 0;
	if (begin(b, e))
		return -1;
	s = db_use(&b->db, Q_SESSION_PUT);
	db_text(s, 1, id);
	db_text(s, 2, digest);
	db_int(s, 3, now_ms);
	return db_run(&b->db, s, e) ? -1 : 1;
}

int
hermes_book_drop(struct hermes_book *b, int64_t upto, struct err *e)
{
	sqlite3_stmt *s;
	int64_t bytes;
	int rc;

	if (begin(b, e))
		return -1;
	s = db_use(&b->db, Q_BYTES_UPTO);
	db_int(s, 1, upto);
	rc = db_step(&b->db, s, e);
	bytes = rc > 0 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	if (rc < 0)
		return -1;
	s = db_use(&b->db, Q_DROP);
	db_int(s, 1, upto);
	if (db_run(&b->db, s, e))
		return -1;
	b->bytes -= bytes;
	b->gone = upto;
	return 0;
}

int
hermes_book_read(struct hermes_book *b, int64_t after, size_t max, struct buf *out, int64_t *last, struct err *e)
{
	sqlite3_stmt *s = db_use(&b->db, Q_NEXT);
	int rc, n = 0;

	db_int(s, 1, after);
	while ((rc = db_step(&b->db, s, e)) > 0) {
		size_t len = (size_t)sqlite3_column_bytes(s, 1);

		if (n && out->len + len + 1 > max)
			break;
		buf_add(out, sqlite3_column_text(s, 1), len);
		buf_addc(out, '\n');
		*last = sqlite3_column_int64(s, 0);
		n++;
	}
	sqlite3_reset(s);
	return rc < 0 ? -1 : n;
}
