/*
 * doctor_store.c - an agent's database, of which a copy is looked at, and a person's outbox.
 */
#include <sqlite3.h>

#include "clock.h"
#include "doctor.h"
#include "store_check.h"

#define STUCK_MS 120000

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

static void
check_database(struct doctor *d, const char *db)
{
	char text[1024];

	switch (store_check(d->config->state_dir, db, d->config->min_free_bytes, text, sizeof text)) {
	case STORE_WHOLE: doctor_well(d, "%s", text); break;
	case STORE_DAMAGED: doctor_wrong(d, FOUND_STORE_DAMAGED, db, "%s", text); break;
	case STORE_NEWER: doctor_wrong(d, FOUND_STORE_NEWER, db, "%s", text); break;
	case STORE_NOT_CHECKED: doctor_skip(d, "%s", text); break;
	}
}

void
doctor_store(struct doctor *d)
{
	char db[600];

	snprintf(db, sizeof db, "%.500s/%s.db", d->config->state_dir, d->subject);
	if (access(db, F_OK))
		doctor_skip(d, "there is no %s yet: the agent makes it when it starts", db);
	else
		check_database(d, db);
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
