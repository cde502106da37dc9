#include "store_check.h"

#include <sqlite3.h>

#include "clock.h"
#include "core.h"
#include "err.h"
#include "store_copy.h"

#define CHECK_MS 15000
#define CHECK_STEPS 10000

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

static enum store_finding
look(const char *db, const char *copy, char *text, size_t size)
{
	enum store_finding found;
	sqlite3 *h = NULL;
	char what[300] = "";
	int64_t version, outbox;
	int rc = sqlite3_open_v2(copy, &h, SQLITE_OPEN_READWRITE, NULL), known = core_store_version();

	if (rc == SQLITE_OK)
		rc = quick_check(h, what, sizeof what);
	version = ask_number(h, "PRAGMA user_version");
	outbox = ask_number(h, "SELECT count(*) FROM outbox");
	if (rc == SQLITE_INTERRUPT) {
		found = STORE_NOT_CHECKED;
		snprintf(text, size, "%s is large: not looked through within %d s", db, CHECK_MS / 1000);
	} else if (rc != SQLITE_ROW || strcmp(what, "ok") != 0) {
		found = STORE_DAMAGED;
		snprintf(text, size, "%s: %s", db, what[0] ? what : sqlite3_errmsg(h));
	} else if (version > known) {
		found = STORE_NEWER;
		snprintf(text, size, "%s has version %lld, this program knows up to %d", db, (long long)version, known);
	} else {
		found = STORE_WHOLE;
		snprintf(text, size, "%s is whole, version %lld of %d, %lld in its outbox", db, (long long)version, known,
		    (long long)outbox);
	}
	sqlite3_close(h);
	return found;
}

enum store_finding
store_check(const char *dir, const char *db, int64_t keep_free, char *text, size_t size)
{
	enum store_finding found;
	struct store_copy c;
	struct err e = { 0 };

	if (store_copy_make(dir, db, keep_free, &c, &e)) {
		snprintf(text, size, "%s; with the agent stopped: sqlite3 %s 'PRAGMA quick_check'", e.msg, db);
		return STORE_NOT_CHECKED;
	}
	found = look(db, c.path, text, size);
	store_copy_remove(&c);
	return found;
}
