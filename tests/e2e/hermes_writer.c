/*
 * hermes_writer: writes a state.db as Hermes does, for tests of who reads it meanwhile. It is not Hermes: the tables have the columns
 * of the version that is asked for, the transactions are its own (BEGIN IMMEDIATE, a PASSIVE checkpoint each 50), and the rows say
 * nothing but when they were written.
 *
 * hermes_writer DB VERSION CALLS WAIT_MS [SESSION [truncate]]: makes DB if there is none, then writes a session with CALLS calls of
 * a tool, each as three rows in two transactions, WAIT_MS apart; with "truncate" its checkpoints cut the log. Prints the id of the
 * last row.
 */
#include <poll.h>
#include <sqlite3.h>
#include <time.h>

#include "buf.h"

#define V17_SESSION "session_key TEXT, chat_id TEXT, chat_type TEXT, thread_id TEXT, cwd TEXT, git_branch TEXT, git_repo_root TEXT, " \
	"handoff_state TEXT, handoff_platform TEXT, handoff_error TEXT, rewind_count INTEGER NOT NULL DEFAULT 0, " \
	"archived INTEGER NOT NULL DEFAULT 0, "
#define V17_MESSAGE ", codex_message_items TEXT, platform_message_id TEXT, observed INTEGER DEFAULT 0, " \
	"active INTEGER NOT NULL DEFAULT 1, compacted INTEGER NOT NULL DEFAULT 0"
#define V30_SESSION V17_SESSION "created_source TEXT, display_name TEXT, origin_json TEXT, system_prompt_hash TEXT, title_source TEXT, " \
	"last_activity_at REAL, profile_name TEXT, pinned INTEGER DEFAULT 0, hidden INTEGER DEFAULT 0, tool_names TEXT, "
#define V30_MESSAGE V17_MESSAGE ", effect_disposition TEXT, _compressed_summary TEXT, api_content TEXT, display_kind TEXT, " \
	"display_metadata TEXT, display_identity BLOB, display_order INTEGER"

static const struct {
	int version;
	const char *session, *message;
} schemas[] = {
	{ 8, "", "" },
	{ 16, V17_SESSION, ", codex_message_items TEXT, platform_message_id TEXT, observed INTEGER DEFAULT 0, active INTEGER NOT NULL DEFAULT 1" },
	{ 17, V17_SESSION, V17_MESSAGE },
	{ 30, V30_SESSION, V30_MESSAGE },
	{ 99, "", ", something_new TEXT" },
};

static sqlite3 *db;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
exec(const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK)
		return;
	fprintf(stderr, "hermes_writer: %s: %s\n", sql, why);
	exit(1);
}

/* In a transaction: two of us may begin with one database. */
static bool
has_tables(void)
{
	sqlite3_stmt *s = NULL;
	bool has = sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_master WHERE name = 'messages'", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW;

	sqlite3_finalize(s);
	return has;
}

static void
make_tables(int version)
{
	for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
		struct buf b = { 0 };

		if (schemas[i].version != version)
			continue;
		buf_addf(&b, "CREATE TABLE schema_version (version INTEGER NOT NULL); INSERT INTO schema_version VALUES (%d);"
		    "CREATE TABLE sessions (id TEXT PRIMARY KEY, source TEXT NOT NULL, user_id TEXT, model TEXT, model_config TEXT, system_prompt TEXT,"
		    "parent_session_id TEXT, started_at REAL NOT NULL, ended_at REAL, end_reason TEXT, message_count INTEGER DEFAULT 0,"
		    "tool_call_count INTEGER DEFAULT 0, input_tokens INTEGER DEFAULT 0, output_tokens INTEGER DEFAULT 0,"
		    "cache_read_tokens INTEGER DEFAULT 0, cache_write_tokens INTEGER DEFAULT 0, reasoning_tokens INTEGER DEFAULT 0, %s"
		    "estimated_cost_usd REAL, actual_cost_usd REAL, title TEXT, api_call_count INTEGER DEFAULT 0);"
		    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT,"
		    "tool_call_id TEXT, tool_calls TEXT, tool_name TEXT, timestamp REAL NOT NULL, token_count INTEGER, finish_reason TEXT,"
		    "reasoning TEXT, reasoning_content TEXT, reasoning_details TEXT, codex_reasoning_items TEXT%s);"
		    "CREATE TABLE state_meta (key TEXT PRIMARY KEY, value TEXT)", version, schemas[i].session, schemas[i].message);
		exec(buf_str(&b));
		buf_free(&b);
		return;
	}
	fprintf(stderr, "hermes_writer: no version %d\n", version);
	exit(2);
}

static void
begin(void)
{
	while (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_BUSY)
		poll(NULL, 0, 20);
}

static int commits;

static void
commit(bool truncate)
{
	exec("COMMIT");
	if (++commits % 50 == 0)
		sqlite3_wal_checkpoint_v2(db, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void
put(const char *session, const char *role, const char *call, const char *calls, const char *tool, const char *content, const char *finish)
{
	static sqlite3_stmt *s;
	const char *texts[] = { session, role, content, call, calls, tool, finish };

	if (!s)
		sqlite3_prepare_v2(db, "INSERT INTO messages (session_id, role, content, tool_call_id, tool_calls, tool_name, finish_reason, timestamp)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", -1, &s, NULL);
	sqlite3_reset(s);
	for (int i = 0; i < 7; i++)
		sqlite3_bind_text(s, i + 1, texts[i], -1, SQLITE_TRANSIENT);
	sqlite3_bind_double(s, 8, now());
	if (sqlite3_step(s) != SQLITE_DONE) {
		fprintf(stderr, "hermes_writer: %s\n", sqlite3_errmsg(db));
		exit(1);
	}
	sqlite3_reset(s);
}

/* As it flushes: the assistant's turn before the tool runs, the result after it. */
static void
write_call(const char *session, long n, long first, int wait_ms, bool truncate)
{
	char call[64], calls[300], count[200];

	snprintf(call, sizeof call, "call_%ld", first + n);
	snprintf(calls, sizeof calls, "[{\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":\"terminal\","
	    "\"arguments\":\"{\\\"command\\\": \\\"ls SECRET-ARGUMENT\\\"}\"}}]", call);
	begin();
	put(session, "assistant", NULL, calls, NULL, "", "tool_calls");
	commit(truncate);
	poll(NULL, 0, wait_ms);
	begin();
	put(session, "tool", call, NULL, "terminal", n % 5 == 4 ? "{\"output\": \"SECRET-TEXT\", \"exit_code\": 1, \"error\": null}" :
	    "{\"output\": \"SECRET-TEXT\", \"exit_code\": 0, \"error\": null}", NULL);
	put(session, "assistant", NULL, NULL, NULL, "SECRET-TEXT", "stop");
	snprintf(count, sizeof count, "UPDATE sessions SET message_count = message_count + 3, tool_call_count = tool_call_count + 1,"
	    " output_tokens = output_tokens + 7 WHERE id = '%s'", session);
	exec(count);
	commit(truncate);
	poll(NULL, 0, wait_ms);
}

static long
last_id(void)
{
	sqlite3_stmt *s = NULL;
	long n = 0;

	if (sqlite3_prepare_v2(db, "SELECT max(id) FROM messages", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		n = (long)sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

int
main(int argc, char **argv)
{
	const char *session = argc > 5 ? argv[5] : "20261123_104200_ab12cd";
	long calls, first;
	char text[400];

	if (argc < 5) {
		fprintf(stderr, "usage: hermes_writer DB VERSION CALLS WAIT_MS [SESSION [truncate]]\n");
		return 2;
	}
	calls = strtol(argv[3], NULL, 10);
	if (sqlite3_open(argv[1], &db) != SQLITE_OK)
		return 1;
	sqlite3_busy_timeout(db, 1000);
	exec("PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON");
	begin();
	if (!has_tables())
		make_tables((int)strtol(argv[2], NULL, 10));
	exec("COMMIT");
	first = last_id();
	begin();
	snprintf(text, sizeof text, "INSERT OR IGNORE INTO sessions (id, source, model, started_at) VALUES ('%s', 'cli', 'opus', %f)", session, now());
	exec(text);
	put(session, "user", NULL, NULL, NULL, "SECRET-TEXT", NULL);
	commit(argc > 6);
	for (long n = 0; n < calls; n++)
		write_call(session, n, first, (int)strtol(argv[4], NULL, 10), argc > 6);
	begin();
	snprintf(text, sizeof text, "UPDATE sessions SET ended_at = %f, end_reason = 'cli_close' WHERE id = '%s'", now(), session);
	exec(text);
	commit(argc > 6);
	printf("%ld\n", last_id());
	sqlite3_close(db);
	return 0;
}
