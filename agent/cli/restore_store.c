#include "restore_store.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "chain.h"
#include "core.h"
#include "digest.h"
#include "err.h"
#include "new_life.h"

static int
failed(sqlite3 *h, const char *path, struct err *e)
{
	return err_set(e, ERR_STORE, "%s: %s", path, h ? sqlite3_errmsg(h) : "out of memory");
}

/* 1: there is a row, its first column in out; 0: none. */
static int
ask(sqlite3 *h, const char *sql, const char *value, char *out, size_t size)
{
	sqlite3_stmt *s = NULL;
	int found = 0;

	if (sqlite3_prepare_v2(h, sql, -1, &s, NULL) == SQLITE_OK &&
	    (!value || sqlite3_bind_text(s, 1, value, -1, SQLITE_STATIC) == SQLITE_OK) && sqlite3_step(s) == SQLITE_ROW) {
		snprintf(out, size, "%s", sqlite3_column_text(s, 0) ? (const char *)sqlite3_column_text(s, 0) : "");
		found = 1;
	}
	sqlite3_finalize(s);
	return found;
}

static bool
has_table(sqlite3 *h, const char *table)
{
	char text[8];

	return ask(h, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", table, text, sizeof text);
}

/* ---- the former audit chain ---- */

static void
on_line(void *file, const char *line, size_t len)
{
	fwrite(line, 1, len, file);
	putc('\n', file);
}

/* As `audit export` writes it. */
static int
save_chain(const char *dir, const char *agent, const char *cluster, const char *to, struct err *e)
{
	struct config *c = xcalloc(1, sizeof *c);
	FILE *f = fopen(to, "wex");
	int rc;

	c->state_dir = c->run_dir = xstrdup(dir);
	snprintf(c->cluster, sizeof c->cluster, "%s", cluster);
	rc = !f || fchmod(fileno(f), 0600) ? err_set(e, ERR_IO, "%s: %s", to, strerror(errno)) :
	    chain_read_agent(c, agent, 0, on_line, f, e);
	if (f && (ferror(f) | fflush(f) | fsync(fileno(f)) | fclose(f)) && rc == 0)
		rc = err_set(e, ERR_IO, "%s: %s", to, strerror(errno));
	free(c->state_dir);
	free(c);
	return rc;
}

static bool
has_chain(sqlite3 *h)
{
	char text[8];

	return has_table(h, "audit") && has_table(h, "audit_keys") && ask(h, "SELECT 1 FROM audit LIMIT 1", NULL, text, sizeof text);
}

int
restore_store(const char *dir, const char *agent, const char *cluster, const char *mark, char *chain, size_t size,
    struct err *e)
{
	char path[700], store[16] = "";
	sqlite3 *h = NULL;
	bool kept;
	int rc = -1;

	snprintf(path, sizeof path, "%.600s/%.64s.db", dir, agent);
	*chain = '\0';
	if (sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ||
	    !ask(h, "SELECT value FROM meta WHERE name = 'store'", NULL, store, sizeof store)) {
		failed(h, path, e);
		goto out;
	}
	kept = has_chain(h);
	if (kept)
		snprintf(chain, size, "%.600s/%.64s.audit-%.11s.jsonl", dir, agent, store);
	if (!kept || save_chain(dir, agent, cluster, chain, e) == 0)
		rc = new_life(h, path, mark, e);
out:
	sqlite3_close(h);
	return rc;
}

bool
restore_is_marked(const char *path, const char *mark)
{
	sqlite3 *h = NULL;
	char text[DIGEST_HEX] = "";

	if (access(path, F_OK) == 0 && sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
		ask(h, "SELECT value FROM meta WHERE name = ?1", STORE_RESTORED, text, sizeof text);
	sqlite3_close(h);
	return *text && strcmp(text, mark) == 0;
}

int
restore_hermes(const char *path, struct err *e)
{
	sqlite3 *h = NULL;
	int rc = sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc == SQLITE_OK && has_table(h, "meta"))
		rc = sqlite3_exec(h, "DELETE FROM meta WHERE name = 'boot'", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		failed(h, path, e);
	sqlite3_close(h);
	return rc == SQLITE_OK ? 0 : -1;
}
