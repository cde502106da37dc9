#include "new_life.h"

#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>

#include "core.h"
#include "err.h"

/* Each only if its table is there: older databases lack some, and the agent brings them up to date afterwards. */
static const struct {
	const char *table, *sql;
} steps[] = {
	{ "audit", "DELETE FROM audit" },
	{ "audit_own", "DELETE FROM audit_own" },
	{ "meta", "DELETE FROM meta WHERE name = 'audit_checkpoint'" },
	{ "inbound", "DELETE FROM inbound" },
	{ "seen", "DELETE FROM seen" },
	{ "outbox", "DELETE FROM outbox WHERE topic LIKE '%/approval/%/request/%'" },
	/* The agent's own stream is numbered under its store. */
	{ "streams", "DELETE FROM streams WHERE house = '~'" },
};

static int
failed(sqlite3 *h, const char *path, struct err *e)
{
	return err_set(e, ERR_STORE, "%s: %s", path, sqlite3_errmsg(h));
}

static bool
has_table(sqlite3 *h, const char *table)
{
	sqlite3_stmt *s = NULL;
	bool found = sqlite3_prepare_v2(h, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_bind_text(s, 1, table, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;

	sqlite3_finalize(s);
	return found;
}

static int
put_meta(sqlite3 *h, const char *name, const char *value)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(h, "INSERT OR REPLACE INTO meta VALUES (?1, ?2)", -1, &s, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
		sqlite3_bind_text(s, 2, value, -1, SQLITE_STATIC);
		rc = sqlite3_step(s) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR;
	}
	sqlite3_finalize(s);
	return rc;
}

int
new_life(sqlite3 *h, const char *path, const char *mark, struct err *e)
{
	unsigned char random[4];
	char id[9];

	if (RAND_bytes(random, sizeof random) != 1)
		return err_set(e, ERR_INTERNAL, "no random numbers");
	snprintf(id, sizeof id, "%02x%02x%02x%02x", random[0], random[1], random[2], random[3]);
	if (sqlite3_exec(h, "BEGIN IMMEDIATE", NULL, NULL, NULL))
		return failed(h, path, e);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (has_table(h, steps[i].table) && sqlite3_exec(h, steps[i].sql, NULL, NULL, NULL))
			return failed(h, path, e);
	if (put_meta(h, "store", id) || put_meta(h, STORE_RESTORED, mark) || sqlite3_exec(h, "COMMIT", NULL, NULL, NULL))
		return failed(h, path, e);
	return 0;
}
