/*
 * cmd_intelligence_import.c - what tools came to under Hermes, read from its state.db and given to an agent to learn from.
 *
 * Hermes keeps conversations: an assistant's message names the tools to be called, a tool's message has the result. There is
 * no column for duration or failure: the first is the difference of the messages' times, the second is in the result. The
 * database may be in use: it is opened read-only, read in small steps, and never written or locked for long. How far it was
 * read is kept by the agent with what it learned, so nothing is learned twice.
 */
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "cmd.h"
#include "hermes_event.h"
#include "json.h"
#include "remote.h"
#include "shape.h"

#define CALLS_MAX 256           /* that have no result yet; the oldest go */
#define BACK 400                /* messages before the first new one, in which calls of its results may stand */
#define STEP 500                /* messages read at once */
#define BATCH 200               /* attempts sent at once */
#define RESULT_MAX 65536        /* bytes of a result that are looked at; a longer one is taken for a success */
#define BUSY_MS 5000

static const struct cmd_opt opts[] = {
	{ .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A", .complete = "agents",
	  .help = "which agent learns (default: the first that runs here, of the house if it is given)" },
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses",
	  .help = "the house that it counts for (default: the agent's own)" },
	{ .name = "source", .kind = OPT_TEXT, .arg = "NAME",
	  .help = "the name under which is kept how far it was read (default: the whole PATH)" },
	{ .name = NULL },
};

struct call {
	char session[80], id[80], tool[48];
	uint64_t shape;
	int64_t at_ms;
};

struct import {
	const struct cmd_args *a;
	struct config config;
	const char *agent, *house;
	char source[512];
	sqlite3 *db;
	int64_t after, upto;            /* the agent has all up to there; read up to there */
	struct call calls[CALLS_MAX];
	int64_t ncalls;
	struct buf attempts;
	int64_t batch, total, failed;
};

static const char *
text(sqlite3_stmt *s, int i)
{
	const char *t = (const char *)sqlite3_column_text(s, i);

	return t ? t : "";
}

/* ---- messages ---- */

static void
take_calls(struct import *m, const char *session, const char *json, int64_t at_ms)
{
	cJSON *list = cJSON_Parse(json);
	const cJSON *v;

	cJSON_ArrayForEach(v, list) {
		const cJSON *f = cJSON_GetObjectItemCaseSensitive(v, "function");
		struct call *c = &m->calls[m->ncalls++ % CALLS_MAX];
		cJSON *params = cJSON_Parse(json_text(f, "arguments"));

		*c = (struct call){ .at_ms = at_ms, .shape = shape_of(cJSON_IsObject(params) ? params : NULL) };
		snprintf(c->session, sizeof c->session, "%s", session);
		snprintf(c->id, sizeof c->id, "%s", json_text(v, "id"));
		snprintf(c->tool, sizeof c->tool, "hermes/%.39s", json_text(f, "name"));
		cJSON_Delete(params);
	}
	cJSON_Delete(list);
}

static struct call *
find_call(struct import *m, const char *session, const char *id)
{
	for (int i = 0; i < CALLS_MAX; i++)
		if (*m->calls[i].id && strcmp(m->calls[i].id, id) == 0 && strcmp(m->calls[i].session, session) == 0)
			return &m->calls[i];
	return NULL;
}

static void
put_attempt(struct import *m, const struct call *c, const char *why, int64_t at_ms)
{
	struct buf *b = &m->attempts;
	char shape[20];

	if (b->len)
		buf_addc(b, ',');
	snprintf(shape, sizeof shape, "%llx", (unsigned long long)c->shape);
	buf_addc(b, '{');
	json_kv_str(b, "tool", c->tool);
	json_kv_int(b, "at", at_ms);
	json_kv_str(b, "shape", shape);
	if (at_ms >= c->at_ms)
		json_kv_int(b, "us", (at_ms - c->at_ms) * 1000);
	if (why)
		json_kv_str(b, "why", why);
	buf_addc(b, '}');
	m->batch++;
	m->total++;
	m->failed += why != NULL;
}

/* Calls of one message run one after the other: the next begins now. */
static void
take_result(struct import *m, sqlite3_stmt *s, int64_t at_ms)
{
	const char *session = text(s, 1);
	struct call *c = find_call(m, session, text(s, 3)), old;

	if (!c)
		return;
	old = *c;
	c->id[0] = '\0';
	for (int i = 0; i < CALLS_MAX; i++)
		if (*m->calls[i].id && m->calls[i].at_ms == old.at_ms && strcmp(m->calls[i].session, session) == 0)
			m->calls[i].at_ms = at_ms;
	if (sqlite3_column_int64(s, 0) > m->after)
		put_attempt(m, &old, sqlite3_column_int64(s, 6) > RESULT_MAX ? NULL : hermes_failure(text(s, 7)), at_ms);
}

/* ---- the agent ---- */

static int
ask(struct import *m, const struct buf *request)
{
	struct err e = { 0 };
	cJSON *o = ask_agent(&m->config, m->agent, m->house, request, &m->agent, &e);

	if (!o)
		return cmd_fail(e.code == ERR_NETWORK || e.code == ERR_TIMEOUT ? EXIT_NO_ANSWER : EXIT_NOT_SUCCEEDED, "%s", e.msg);
	m->after = json_number(o, "upto", 0);
	cJSON_Delete(o);
	return EXIT_OK;
}

static void
begin_request(const struct import *m, struct buf *b)
{
	json_put_open(b, '{');
	json_kv_str(b, "op", "intelligence");
	json_kv_str(b, "do", "import");
	json_kv_str(b, "source", m->source);
}

static int
ask_how_far(struct import *m)
{
	struct buf b = { 0 };
	int rc;

	begin_request(m, &b);
	json_put_close(&b, '}');
	rc = ask(m, &b);
	buf_free(&b);
	return rc;
}

static int
give(struct import *m)
{
	struct buf b = { 0 };
	int rc;

	begin_request(m, &b);
	json_kv_str(&b, "house", m->house);
	json_kv_int(&b, "after", m->after);
	json_kv_int(&b, "upto", m->upto);
	json_put_key(&b, "attempts");
	json_put_open(&b, '[');
	if (m->attempts.len)
		json_put_raw(&b, m->attempts.data, m->attempts.len);
	json_put_close(&b, ']');
	json_put_close(&b, '}');
	rc = ask(m, &b);
	buf_free(&b);
	buf_clear(&m->attempts);
	m->batch = 0;
	return rc;
}

/* ---- the database ---- */

static int
database_fails(const struct import *m, const char *path)
{
	return cmd_fail(EXIT_NOT_SUCCEEDED, "%s: %s", path, m->db ? sqlite3_errmsg(m->db) : "it cannot be opened");
}

static int
open_database(struct import *m, const char *path)
{
	char *uri, *whole;
	struct stat st;
	int rc;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return cmd_fail(EXIT_USAGE, "PATH: expected Hermes's state.db, got \"%s\", which is no file", path);
	whole = realpath(path, NULL);
	rc = !whole || strlen(whole) >= sizeof m->source || strpbrk(whole, "?#%");
	snprintf(m->source, sizeof m->source, "%s", whole ? whole : "");
	free(whole);
	if (rc)
		return cmd_fail(EXIT_USAGE, "PATH: expected one of less than %zu bytes without ?, # and %%, got \"%s\"", sizeof m->source, path);
	uri = sqlite3_mprintf("file:%s?mode=ro", m->source);
	rc = sqlite3_open_v2(uri, &m->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	sqlite3_free(uri);
	if (rc != SQLITE_OK)
		return database_fails(m, path);
	sqlite3_busy_timeout(m->db, BUSY_MS);
	if (sqlite3_exec(m->db, "PRAGMA query_only=1; SELECT id, session_id, role, tool_call_id, tool_calls, timestamp, content"
	    " FROM messages LIMIT 0", NULL, NULL, NULL) != SQLITE_OK)
		return database_fails(m, path);
	return EXIT_OK;
}

static void
take_message(struct import *m, sqlite3_stmt *s)
{
	int64_t at_ms = (int64_t)(sqlite3_column_double(s, 5) * 1000);

	if (strcmp(text(s, 2), "assistant") == 0 && *text(s, 4))
		take_calls(m, text(s, 1), text(s, 4), at_ms);
	else if (strcmp(text(s, 2), "tool") == 0)
		take_result(m, s, at_ms);
	m->upto = sqlite3_column_int64(s, 0);
}

/* Between steps no transaction is open, so its owner can go on. Returns how many there were, -1 after an error. */
static int
read_step(struct import *m)
{
	static const char sql[] = "SELECT id, session_id, role, tool_call_id, tool_calls, timestamp, length(CAST(content AS BLOB)),"
	    " substr(content, 1, ?3) FROM messages WHERE id > ?1 AND role IN ('assistant', 'tool') ORDER BY id LIMIT ?2";
	sqlite3_stmt *s = NULL;
	int n = 0, rc = sqlite3_prepare_v2(m->db, sql, -1, &s, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_bind_int64(s, 1, m->upto);
		sqlite3_bind_int(s, 2, STEP);
		sqlite3_bind_int(s, 3, RESULT_MAX);
		while (m->batch < BATCH && (rc = sqlite3_step(s)) == SQLITE_ROW) {
			take_message(m, s);
			n++;
		}
	}
	sqlite3_finalize(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? n : -1;
}

static int64_t
last_message(struct import *m)
{
	sqlite3_stmt *s = NULL;
	int64_t n = 0;

	if (sqlite3_prepare_v2(m->db, "SELECT max(id) FROM messages", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

static int
import_all(struct import *m, const char *path)
{
	int rc, n;

	if ((rc = open_database(m, path)))
		return rc;
	if (cmd_text(m->a, "source", NULL))
		snprintf(m->source, sizeof m->source, "%s", cmd_text(m->a, "source", NULL));
	if ((rc = ask_how_far(m)))
		return rc;
	if (!m->house)
		m->house = config_home(&m->config, m->agent) ? config_home(&m->config, m->agent)->name : m->config.houses[0].name;
	if (last_message(m) < m->after)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s is another database than the one that was imported from there: it ends at message %lld, "
		    "and all up to %lld is known", path, (long long)last_message(m), (long long)m->after);
	m->upto = m->after > BACK ? m->after - BACK : 0;
	while ((n = read_step(m)) > 0)
		if (m->upto > m->after && (rc = give(m)))
			return rc;
	return n < 0 ? database_fails(m, path) : EXIT_OK;
}

static int
import_run(const struct cmd_args *a)
{
	struct import *m = xcalloc(1, sizeof *m);
	int rc = EXIT_OK;

	m->a = a;
	m->agent = cmd_text(a, "agent", NULL);
	m->house = cmd_text(a, "house", NULL);
	if (strcmp(a->argv[0], "hermes") != 0) {
		rc = cmd_fail(EXIT_USAGE, "FROM: expected hermes, got \"%s\"", a->argv[0]);
	} else if (!(rc = cmd_config(a, &m->config))) {
		rc = import_all(m, a->argv[1]);
		if (!rc && a->json)
			printf("{\"agent\":\"%s\",\"attempts\":%lld,\"failed\":%lld,\"upto\":%lld}\n", m->agent, (long long)m->total,
			    (long long)m->failed, (long long)m->upto);
		else if (!rc)
			printf("%s has learned from %lld calls of tools, of which %lld failed\n", m->agent, (long long)m->total,
			    (long long)m->failed);
		config_release(&m->config);
	}
	sqlite3_close(m->db);
	buf_free(&m->attempts);
	free(m);
	return rc;
}

const struct cmd cmd_intelligence_import = {
	.name = "intelligence import",
	.args = "FROM PATH",
	.help = "Let an agent learn from the history of another program",
	.more = "FROM is hermes, PATH its state.db, which may be in use: it is only read. Its tools are known as hermes/<name>, by their results\n"
	        "and the times between messages; of parameters their shape alone is taken. Again later, only what is new is taken.",
	.opts = opts,
	.min_args = 2,
	.max_args = 2,
	.flags = CMD_JSON,
	.complete = "files",
	.run = import_run,
};
