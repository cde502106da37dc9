/*
 * doctor_store.c - an agent's database, of which a copy is looked at, and a person's outbox.
 */
#include <sqlite3.h>

#include "clock.h"
#include "core.h"
#include "doctor.h"
#include "store_copy.h"

#define CHECK_MS 15000
#define CHECK_STEPS 10000
#define STUCK_MS 120000

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

static void
check_database(struct doctor *d, const char *db, int known)
{
	struct store_copy c;
	struct err e = { 0 };

	if (store_copy_make(d->config->state_dir, db, d->config->min_free_bytes, &c, &e)) {
		doctor_skip(d, "%s; with the agent stopped: sqlite3 %s 'PRAGMA quick_check'", e.msg, db);
		return;
	}
	look(d, db, c.path, known);
	store_copy_remove(&c);
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
