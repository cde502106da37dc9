/*
 * backup_copy.c - copies of databases that are in use.
 */
#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "backup_set.h"
#include "db_copy.h"
#include "json.h"
#include "local.h"
#include "store_copy.h"

#define CONNECT_MS 2000
#define COPY_MS 3600000                 /* as long as the agent gives itself */
#define WAIT_MS 2000                    /* whoever has it to himself keeps it */

/* 0: it is made. */
static int
read_answer(const char *agent, const char *line, size_t len, struct err *e)
{
	cJSON *o = json_parse_object(line, len, e);
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(o, "error");
	int rc = strcmp(json_text(o, "type"), "copied") == 0 ? 0 : -1;

	if (o && rc)
		err_set(e, err_code_parse(json_text(error, "code")), "agent %s: %s", agent, json_text(error, "message"));
	cJSON_Delete(o);
	return rc;
}

/* ERR_NETWORK: it does not run. */
static int
ask_agent(const struct config *c, const char *agent, const char *to, struct err *e)
{
	static const char ask[] = "{\"op\":\"copy\"}";
	char path[600], *line;
	struct local *l = NULL;
	int rc = -1, n;
	size_t len;

	snprintf(path, sizeof path, "%.500s/%s.sock", c->run_dir, agent);
	if (local_open(&l, path, CONNECT_MS, e))
		return -1;
	n = local_send(l, ask, sizeof ask - 1, CONNECT_MS, e) ? -1 : local_read(l, COPY_MS, &line, &len, e);
	if (n == 1)
		rc = read_answer(agent, line, len, e);
	else if (n == 0)
		err_set(e, ERR_TIMEOUT, "agent %s does not answer", agent);
	else
		rc = err_set(e, ERR_TIMEOUT, "agent %s ended while it copied its database", agent);
	/* Not where the agent says: whoever has it must not choose which file is taken away. */
	snprintf(path, sizeof path, "%.500s/%s.copy", c->state_dir, agent);
	if (rc == 0 && rename(path, to))
		rc = err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	local_close(l);
	return rc;
}

/* Its owner has it to himself, and cannot be asked. */
static int
copy_beside(const struct config *c, const char *from, const char *to, struct err *e)
{
	const char *end = strrchr(to, '/');
	struct store_copy copy;
	char dir[600];
	int rc;

	snprintf(dir, sizeof dir, "%.*s", end ? (int)(end - to) : 1, end ? to : ".");
	if (store_copy_make(dir, from, c->min_free_bytes, &copy, e))
		return -1;
	rc = db_copy_file(copy.path, to, WAIT_MS, e);
	store_copy_remove(&copy);
	return rc;
}

int
backup_copy_base(const struct config *c, const char *from, const char *to, struct err *e)
{
	if (db_copy_file(from, to, WAIT_MS, e) == 0)
		return 0;
	return e->code == ERR_BUSY ? copy_beside(c, from, to, e) : -1;
}

int
backup_copy_store(const struct config *c, const char *agent, const char *to, struct err *e)
{
	char from[600];

	if (ask_agent(c, agent, to, e) == 0)
		return 0;
	/* One of a former version does not know how. */
	if (e->code != ERR_NETWORK && e->code != ERR_INVALID)
		return -1;
	snprintf(from, sizeof from, "%.500s/%s.db", c->state_dir, agent);
	return backup_copy_base(c, from, to, e);
}

static int
ask_text(sqlite3 *h, const char *sql, char *out, size_t size)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(h, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW ? 0 : -1;

	if (rc == 0)
		snprintf(out, size, "%s", (const char *)sqlite3_column_text(s, 0));
	sqlite3_finalize(s);
	return rc;
}

int
backup_check_store(const char *path, int64_t *version, char *store, size_t size, struct err *e)
{
	char text[300] = "";
	sqlite3 *h = NULL;
	int rc = -1;

	if (sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ||
	    ask_text(h, "PRAGMA quick_check(1)", text, sizeof text))
		err_set(e, ERR_STORE, "%s: %s", path, h ? sqlite3_errmsg(h) : "out of memory");
	else if (strcmp(text, "ok") != 0)
		err_set(e, ERR_STORE, "%s is damaged: %s", path, text);
	else if (ask_text(h, "PRAGMA journal_mode=DELETE", text, sizeof text) || ask_text(h, "PRAGMA user_version", text, sizeof text))
		err_set(e, ERR_STORE, "%s: %s", path, sqlite3_errmsg(h));
	else
		rc = 0;
	if (rc == 0) {
		*version = strtoll(text, NULL, 10);
		if (store && ask_text(h, "SELECT value FROM meta WHERE name = 'store'", store, size))
			rc = err_set(e, ERR_STORE, "%s is not an agent's database: it does not say whose", path);
	}
	sqlite3_close(h);
	return rc;
}
