#include "hermes_state.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/inotify.h>
#endif

#include "clock.h"
#include "digest.h"
#include "err.h"
#include "json.h"
#include "log.h"

#define STEP 500                /* messages at once */
#define HOT_MS 30               /* after a notice the commit is waited for so long ... */
#define HOT_STEP_MS 2           /* ... and looked for so often */
#define SLOW_MS 250             /* without one */
#define BLIND_MS 10             /* without inotify */
#define BUSY_MS 50
#define FAILURES_MAX 20
#define SESSIONS_MS 1000
#define SESSIONS_MAX 200
#define RESULT_MAX 65536        /* bytes of a result that are looked at; a longer one is taken for a success */

static const short known_schemas[] = { 8, 16, 17, 30 };

bool
hermes_state_is_known(int64_t schema)
{
	for (size_t i = 0; i < sizeof known_schemas / sizeof *known_schemas; i++)
		if (known_schemas[i] == schema)
			return true;
	return false;
}

void
hermes_state_init(struct hermes_state *s, const char *home, struct hermes_book *book, bool all)
{
	*s = (struct hermes_state){ .book = book, .all = all, .notice = -1, .schema = -1 };
	snprintf(s->dir, sizeof s->dir, "%s", home);
	snprintf(s->path, sizeof s->path, "%.500s/state.db", home);
}

/* ---- notices ---- */

#ifdef __linux__
static void
watch(struct hermes_state *s)
{
	if (s->notice >= 0)
		return;
	s->notice = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->notice < 0 || inotify_add_watch(s->notice, s->dir, IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_ONLYDIR) >= 0)
		return;
	close(s->notice);
	s->notice = -1;
}

/* True if the directory itself is gone: it has to be watched anew. */
static void
take_notices(struct hermes_state *s)
{
	char events[8192] __attribute__((aligned(8)));
	bool gone = false;
	ssize_t n;

	while ((n = read(s->notice, events, sizeof events)) > 0)
		for (char *p = events; p < events + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len)
			gone |= (((struct inotify_event *)p)->mask & IN_IGNORED) != 0;
	if (gone) {
		close(s->notice);
		s->notice = -1;
	}
}
#else
static void
watch(struct hermes_state *s)
{
	(void)s;
}

static void
take_notices(struct hermes_state *s)
{
	(void)s;
}
#endif

int64_t
hermes_state_wait_ms(const struct hermes_state *s, int64_t now_ms)
{
	if (hermes_book_is_full(s->book))
		return SLOW_MS;
	if (s->more)
		return 0;
	if (s->db && now_ms < s->hot_until_ms)
		return HOT_STEP_MS;
	if (s->db && s->notice < 0)
		return BLIND_MS;
	return s->next_ms > now_ms ? s->next_ms - now_ms : 0;
}

/* ---- opening ---- */

static void
close_database(struct hermes_state *s)
{
	sqlite3_finalize(s->version);
	sqlite3_finalize(s->messages);
	sqlite3_finalize(s->last);
	sqlite3_finalize(s->at);
	sqlite3_finalize(s->sessions);
	sqlite3_close(s->db);
	s->version = s->messages = s->last = s->at = s->sessions = NULL;
	s->db = NULL;
}

void
hermes_state_release(struct hermes_state *s)
{
	close_database(s);
	if (s->notice >= 0)
		close(s->notice);
	s->notice = -1;
}

/* Said when it changes. */
static void
cannot(struct hermes_state *s, const char *why)
{
	if (strcmp(s->why, why) == 0)
		return;
	snprintf(s->why, sizeof s->why, "%s", why);
	log_warnx("%s: %s; it is tried again", s->path, s->why);
}

static bool
has_column(sqlite3 *db, const char *table, const char *column)
{
	return sqlite3_table_column_metadata(db, NULL, table, column, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

/* "SELECT a, NULL, c FROM table": what the table does not have is NULL. */
static bool
prepare(sqlite3 *db, sqlite3_stmt **out, const char *table, const char *const *columns, const char *rest)
{
	struct buf b = { 0 };
	int rc;

	buf_adds(&b, "SELECT ");
	for (size_t i = 0; columns[i]; i++)
		buf_addf(&b, "%s%s", i ? ", " : "", has_column(db, table, columns[i]) ? columns[i] : "NULL");
	buf_addf(&b, " FROM %s %s", table, rest);
	rc = sqlite3_prepare_v3(db, buf_str(&b), -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
	buf_free(&b);
	return rc == SQLITE_OK;
}

enum { M_ID, M_SESSION, M_ROLE, M_TIME, M_CALL, M_CALLS, M_TOOL, M_FINISH, M_CONTENT, M_BYTES };

static const char *const message_columns[] = {
	[M_ID] = "id", [M_SESSION] = "session_id", [M_ROLE] = "role", [M_TIME] = "timestamp", [M_CALL] = "tool_call_id",
	[M_CALLS] = "tool_calls", [M_TOOL] = "tool_name", [M_FINISH] = "finish_reason", NULL,
};

enum { S_ID, S_STARTED, S_ENDED, S_REASON, S_SOURCE, S_MODEL, S_COUNTS };

static const char *const session_columns[] = {
	[S_ID] = "id", [S_STARTED] = "started_at", [S_ENDED] = "ended_at", [S_REASON] = "end_reason", [S_SOURCE] = "source",
	[S_MODEL] = "model", [S_COUNTS] = "message_count", "tool_call_count", "api_call_count", "input_tokens", "output_tokens",
	"cache_read_tokens", "reasoning_tokens", "estimated_cost_usd", "actual_cost_usd", NULL,
};

/* Of the content only what is needed, and that is not carried further: length, and the beginning. */
static bool
prepare_messages(struct hermes_state *s)
{
	struct buf b = { 0 };
	int rc;

	buf_adds(&b, "SELECT ");
	for (size_t i = 0; message_columns[i]; i++)
		buf_addf(&b, "%s, ", has_column(s->db, "messages", message_columns[i]) ? message_columns[i] : "NULL");
	buf_addf(&b, "substr(content, 1, %d), length(CAST(content AS BLOB)) FROM messages WHERE id > ?1 ORDER BY id LIMIT ?2", RESULT_MAX);
	rc = sqlite3_prepare_v3(s->db, buf_str(&b), -1, SQLITE_PREPARE_PERSISTENT, &s->messages, NULL);
	buf_free(&b);
	return rc == SQLITE_OK;
}

static int64_t
ask_int(sqlite3_stmt *q, int64_t otherwise)
{
	int64_t n = sqlite3_step(q) == SQLITE_ROW && sqlite3_column_type(q, 0) != SQLITE_NULL ? sqlite3_column_int64(q, 0) : otherwise;

	sqlite3_reset(q);
	return n;
}

static void
ask_schema(struct hermes_state *s)
{
	sqlite3_stmt *q = NULL;

	s->schema = -1;
	if (sqlite3_prepare_v2(s->db, "SELECT version FROM schema_version", -1, &q, NULL) == SQLITE_OK)
		s->schema = ask_int(q, -1);
	sqlite3_finalize(q);
}

static bool
prepare_all(struct hermes_state *s)
{
	static const char *const needed[] = { "id", "session_id", "role", "timestamp", "content" };

	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (!has_column(s->db, "messages", needed[i]))
			return false;
	ask_schema(s);
	/* Hermes may not have made its sessions yet; then they are left out. */
	prepare(s->db, &s->sessions, "sessions", session_columns,
	    "WHERE ended_at IS NULL OR ended_at > ?1 ORDER BY started_at DESC LIMIT ?2");
	return sqlite3_prepare_v3(s->db, "PRAGMA data_version", -1, SQLITE_PREPARE_PERSISTENT, &s->version, NULL) == SQLITE_OK &&
	    prepare_messages(s) &&
	    sqlite3_prepare_v3(s->db, "SELECT max(id) FROM messages", -1, SQLITE_PREPARE_PERSISTENT, &s->last, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v3(s->db, "SELECT CAST(timestamp * 1000000 AS INTEGER) FROM messages WHERE id = ?1", -1,
	    SQLITE_PREPARE_PERSISTENT, &s->at, NULL) == SQLITE_OK;
}

static int64_t
time_of(struct hermes_state *s, int64_t id, int64_t otherwise)
{
	sqlite3_bind_int64(s->at, 1, id);
	return ask_int(s->at, otherwise);
}

/* Inodes are used again: a message that is there, but at another time, is another database's. */
static bool
is_same(struct hermes_state *s, const struct hermes_place *was, const struct stat *st)
{
	return was->device == (int64_t)st->st_dev && was->inode == (int64_t)st->st_ino && ask_int(s->last, 0) >= was->cursor &&
	    time_of(s, was->cursor, was->at_us) == was->at_us;
}

/* One that was never seen begins with what comes next, unless all of it is wanted. */
static int
find_place(struct hermes_state *s, const struct stat *st, struct err *e)
{
	struct hermes_place was = { 0 };
	int rc = hermes_book_place(s->book, s->path, &was, e);

	if (rc < 0)
		return -1;
	if (rc > 0 && is_same(s, &was, st)) {
		s->place = was;
		return 0;
	}
	s->place = (struct hermes_place){ .device = (int64_t)st->st_dev, .inode = (int64_t)st->st_ino, .generation = was.generation + 1 };
	if (rc == 0 && !s->all) {
		s->place.cursor = ask_int(s->last, 0);
		s->place.at_us = time_of(s, s->place.cursor, 0);
	}
	return hermes_book_put_place(s->book, s->path, &s->place, e);
}

static int64_t
wal_inode(const struct hermes_state *s)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof path, "%s-wal", s->path);
	return stat(path, &st) ? 0 : (int64_t)st.st_ino;
}

/* 1: open; 0: it cannot be, now; -1: the book fails. */
static int
open_database(struct hermes_state *s, struct err *e)
{
	struct stat st;
	char *uri;
	int rc;

	if (strpbrk(s->path, "?#%")) {
		cannot(s, "hermes.home has one of ?, # and % in it");
		return 0;
	}
	if (stat(s->path, &st)) {
		/* What comes into being while we look is new from its beginning. */
		s->all |= errno == ENOENT;
		cannot(s, strerror(errno));
		return 0;
	}
	uri = sqlite3_mprintf("file:%s?mode=ro", s->path);
	rc = sqlite3_open_v2(uri, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	sqlite3_free(uri);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (rc != SQLITE_OK || sqlite3_exec(s->db, "PRAGMA query_only=1", NULL, NULL, NULL) != SQLITE_OK || !prepare_all(s)) {
		s->all |= rc == SQLITE_OK && !has_column(s->db, "messages", "id");
		cannot(s, sqlite3_errcode(s->db) == SQLITE_OK ? "it has no messages as Hermes has them" : sqlite3_errmsg(s->db));
		close_database(s);
		return 0;
	}
	if (find_place(s, &st, e)) {
		close_database(s);
		return -1;
	}
	s->wal_inode = wal_inode(s);
	s->data_version = -1;
	s->sessions_due = true;
	s->why[0] = '\0';
	s->all = true;
	log_info("%s: schema %lld%s, read from message %lld on", s->path, (long long)s->schema,
	    hermes_state_is_known(s->schema) ? "" : " (not one that was looked at)", (long long)s->place.cursor + 1);
	return 1;
}

/* ---- reading ---- */

static const char *
text(sqlite3_stmt *q, int i)
{
	const char *t = (const char *)sqlite3_column_text(q, i);

	return t ? t : "";
}

static void
begin_event(struct hermes_event *v, sqlite3_stmt *q, const char *kind, int64_t now_ms)
{
	hermes_event_init(v, kind, VIA_DATABASE, now_ms);
	v->at_ms = (int64_t)(sqlite3_column_double(q, M_TIME) * 1000);
	snprintf(v->session, sizeof v->session, "%s", text(q, M_SESSION));
}

static int
take_calls(struct hermes_state *s, sqlite3_stmt *q, int64_t now_ms, struct err *e)
{
	cJSON *list = cJSON_Parse(text(q, M_CALLS));
	const cJSON *one;
	int rc = 0;

	cJSON_ArrayForEach(one, list) {
		const cJSON *f = cJSON_GetObjectItemCaseSensitive(one, "function");
		struct hermes_event v;

		if (!*json_text(one, "id"))
			continue;
		begin_event(&v, q, "tool.started", now_ms);
		snprintf(v.call, sizeof v.call, "%s", json_text(one, "id"));
		snprintf(v.tool, sizeof v.tool, "%s", json_text(f, "name"));
		hermes_event_fill(&v.preview, json_text(f, "arguments"), strlen(json_text(f, "arguments")));
		rc = rc < 0 ? rc : hermes_book_take(s->book, &v, e);
		hermes_event_release(&v);
	}
	cJSON_Delete(list);
	return rc < 0 ? -1 : 0;
}

static int
take_message(struct hermes_state *s, sqlite3_stmt *q, int64_t now_ms, struct err *e)
{
	bool tool = strcmp(text(q, M_ROLE), "tool") == 0;
	int64_t bytes = sqlite3_column_int64(q, M_BYTES);
	struct hermes_event v;
	int rc;

	begin_event(&v, q, tool ? "tool.completed" : "message", now_ms);
	v.bytes = bytes;
	if (tool) {
		s->rows++;
		if (*text(q, M_CALL))
			snprintf(v.call, sizeof v.call, "%s", text(q, M_CALL));
		else
			snprintf(v.call, sizeof v.call, "#%lld", (long long)sqlite3_column_int64(q, M_ID));
		snprintf(v.tool, sizeof v.tool, "%s", text(q, M_TOOL));
		v.ok = bytes > RESULT_MAX || !hermes_failure(text(q, M_CONTENT));
	} else {
		snprintf(v.status, sizeof v.status, "%s", *text(q, M_FINISH) ? text(q, M_FINISH) : text(q, M_ROLE));
	}
	if (s->book->share == SHARE_TEXTS)
		hermes_event_fill(&v.text, text(q, M_CONTENT), strlen(text(q, M_CONTENT)));
	rc = hermes_book_take(s->book, &v, e);
	hermes_event_release(&v);
	return rc < 0 ? -1 : 0;
}

static int
take_row(struct hermes_state *s, sqlite3_stmt *q, int64_t now_ms, struct err *e)
{
	if (*text(q, M_CALLS) && strcmp(text(q, M_ROLE), "assistant") == 0 && take_calls(s, q, now_ms, e))
		return -1;
	if (take_message(s, q, now_ms, e))
		return -1;
	s->place.cursor = sqlite3_column_int64(q, M_ID);
	s->place.at_us = (int64_t)(sqlite3_column_double(q, M_TIME) * 1000000);
	return 0;
}

/* Mostly it is of the moment: it is checkpointed, locked, changed. If it stays, it is opened anew. */
static void
read_failed(struct hermes_state *s)
{
	s->data_version = -1;
	s->next_ms = clock_mono_ms() + BUSY_MS;
	if (++s->failures % FAILURES_MAX == 0)
		cannot(s, sqlite3_errmsg(s->db));
}

/* now_ms: by the wall, as events have it. */
static int
read_messages(struct hermes_state *s, int64_t now_ms, struct err *e)
{
	int rc = SQLITE_DONE, n = 0, failed = 0;

	sqlite3_bind_int64(s->messages, 1, s->place.cursor);
	sqlite3_bind_int(s->messages, 2, STEP);
	while (!hermes_book_is_full(s->book) && (rc = sqlite3_step(s->messages)) == SQLITE_ROW) {
		failed = take_row(s, s->messages, now_ms, e);
		if (failed)
			break;
		n++;
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		read_failed(s);
	else
		s->failures = 0;
	sqlite3_reset(s->messages);
	s->more = n == STEP || hermes_book_is_full(s->book);
	if (failed)
		return -1;
	return n ? hermes_book_put_place(s->book, s->path, &s->place, e) : 0;
}

static void
put_counts(sqlite3_stmt *q, struct buf *b)
{
	struct buf o = { 0 };

	json_put_open(&o, '{');
	for (int i = S_COUNTS; session_columns[i]; i++)
		if (sqlite3_column_type(q, i) == SQLITE_INTEGER)
			json_kv_int(&o, session_columns[i], sqlite3_column_int64(q, i));
		else if (sqlite3_column_type(q, i) == SQLITE_FLOAT)
			json_kv_num(&o, session_columns[i], sqlite3_column_double(q, i));
	if (o.len > 1)
		buf_addf(b, ",%s", buf_str(&o) + 1);
	buf_free(&o);
}

/* Rows change in place: what a session has come to is told when it differs from the last time. */
static int
take_session(struct hermes_state *s, sqlite3_stmt *q, int64_t now_ms, struct err *e)
{
	bool ended = sqlite3_column_type(q, S_ENDED) != SQLITE_NULL;
	struct hermes_event v;
	struct buf digest = { 0 };
	int rc;

	hermes_event_init(&v, ended ? "session.ended" : "session.updated", VIA_DATABASE, now_ms);
	snprintf(v.session, sizeof v.session, "%s", text(q, S_ID));
	snprintf(v.model, sizeof v.model, "%s", text(q, S_MODEL));
	snprintf(v.status, sizeof v.status, "%s", ended ? text(q, S_REASON) : text(q, S_SOURCE));
	put_counts(q, &v.counts);
	if (ended)
		v.at_ms = (int64_t)(sqlite3_column_double(q, S_ENDED) * 1000);
	buf_addf(&digest, "%s%s", v.kind, buf_str(&v.counts));
	rc = hermes_book_session(s->book, v.session, buf_str(&digest), now_ms, e);
	if (rc > 0)
		rc = hermes_book_take(s->book, &v, e);
	buf_free(&digest);
	hermes_event_release(&v);
	return rc < 0 ? -1 : 0;
}

static int
read_sessions(struct hermes_state *s, int64_t now_ms, struct err *e)
{
	int failed = 0;

	if (!s->sessions || !s->sessions_due || now_ms < s->sessions_ms || hermes_book_is_full(s->book))
		return 0;
	sqlite3_bind_double(s->sessions, 1, (double)(clock_wall_ms() - 3600 * 1000) / 1000);
	sqlite3_bind_int(s->sessions, 2, SESSIONS_MAX);
	while (!failed && sqlite3_step(s->sessions) == SQLITE_ROW)
		failed = take_session(s, s->sessions, clock_wall_ms(), e);
	sqlite3_reset(s->sessions);
	s->sessions_ms = now_ms + SESSIONS_MS;
	s->sessions_due = false;
	return failed;
}

/* Only a commit of somebody else changes it. */
static bool
has_changed(struct hermes_state *s)
{
	int64_t v = ask_int(s->version, -2);
	bool changed = v != s->data_version;

	s->data_version = v;
	return changed;
}

/* Another file is there, or another log. */
static bool
is_replaced(const struct hermes_state *s)
{
	struct stat st;

	return stat(s->path, &st) || (int64_t)st.st_ino != s->place.inode || (int64_t)st.st_dev != s->place.device ||
	    (s->wal_inode && wal_inode(s) && wal_inode(s) != s->wal_inode);
}

static int
read_rest(struct hermes_state *s, int64_t now_ms, struct err *e)
{
	do
		if (read_messages(s, now_ms, e))
			return -1;
	while (s->more && !hermes_book_is_full(s->book));
	return 0;
}

int
hermes_state_read(struct hermes_state *s, bool noticed, int64_t now_ms, struct err *e)
{
	int64_t wall_ms = clock_wall_ms();
	bool slow = now_ms >= s->next_ms;

	watch(s);
	if (noticed) {
		take_notices(s);
		s->hot_until_ms = now_ms + HOT_MS;
	}
	if (slow)
		s->next_ms = now_ms + SLOW_MS;
	if (!s->db && (slow || noticed) && open_database(s, e) < 0)
		return -1;
	if (!s->db)
		return 0;
	if (!s->wal_inode)
		s->wal_inode = wal_inode(s);
	if (has_changed(s) || s->more) {
		s->sessions_due = true;
		if (read_messages(s, wall_ms, e))
			return -1;
	}
	if (read_sessions(s, now_ms, e))
		return -1;
	if ((slow || noticed) && (is_replaced(s) || s->failures >= FAILURES_MAX)) {
		if (read_rest(s, wall_ms, e))
			return -1;
		if (hermes_book_is_full(s->book))
			return 0;
		close_database(s);
		s->more = false;
		s->next_ms = now_ms + (s->failures ? SLOW_MS : HOT_STEP_MS);
		s->failures = 0;
	}
	return 0;
}

void
hermes_state_source(const struct hermes_state *s, char *out, size_t size)
{
	if (s->place.generation > 1)
		snprintf(out, size, "%.470s#%lld", s->path, (long long)s->place.generation);
	else
		snprintf(out, size, "%.480s", s->path);
}
