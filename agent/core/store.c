/*
 * store.c - the agent's database. Rows are written only by store_commit(), from what is dirty in
 * memory, so that a commit that failed can be tried again.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define STORE_BATCH 256
#define INBOUND_BROKER (-1)     /* not a packet id: a row of its own kind */
#define PRUNE_MAX 2048          /* rows looked at in one go: more than arrive between two, see TIDY_AFTER */

/* Append only: a released step is never edited. The numbers are enum task_state. */
static const char *const migrations[] = {
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
	"CREATE TABLE tasks ("
	" seq INTEGER PRIMARY KEY, id BLOB NOT NULL, house TEXT NOT NULL, state INTEGER NOT NULL,"
	" priority INTEGER NOT NULL, tool TEXT NOT NULL, sender TEXT NOT NULL, body TEXT NOT NULL,"
	" attempt INTEGER NOT NULL, crashes INTEGER NOT NULL, accepted_ms INTEGER NOT NULL, due_ms INTEGER,"
	" deadline_ms INTEGER, finished_ms INTEGER, reply TEXT, correlation BLOB, key TEXT, outcome TEXT,"
	" forward TEXT);"
	"CREATE UNIQUE INDEX tasks_id ON tasks(id);"
	"CREATE INDEX tasks_queued ON tasks(house, priority DESC, seq) WHERE state = 3;"
	"CREATE INDEX tasks_open ON tasks(state, due_ms) WHERE state <> 3 AND state < 9;"
	"CREATE INDEX tasks_deadline ON tasks(deadline_ms) WHERE deadline_ms IS NOT NULL AND state < 9;"
	"CREATE TABLE keys (house TEXT, sender TEXT, key TEXT, id BLOB NOT NULL, at_ms INTEGER NOT NULL,"
	" PRIMARY KEY (house, sender, key)) WITHOUT ROWID;"
	"CREATE INDEX keys_at ON keys(at_ms);"
	"CREATE TABLE outbox (seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL,"
	" response TEXT, correlation BLOB);"
	"CREATE TABLE streams (house TEXT PRIMARY KEY, head INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE inbound (mid INTEGER PRIMARY KEY, hash INTEGER NOT NULL);"
	"CREATE TABLE rejected (n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, house TEXT, sender TEXT, id TEXT,"
	" payload BLOB, error TEXT);",
	/* A house's stream has owners one after the other, and a task may be known to two houses. */
	"ALTER TABLE streams ADD COLUMN log TEXT NOT NULL DEFAULT '0';"
	"ALTER TABLE streams ADD COLUMN term TEXT NOT NULL DEFAULT '0';"
	"ALTER TABLE streams ADD COLUMN doubt_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE streams ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE terms (house TEXT, n INTEGER, term TEXT NOT NULL, base INTEGER NOT NULL, PRIMARY KEY (house, n))"
	" WITHOUT ROWID;"
	"ALTER TABLE tasks ADD COLUMN version INTEGER;"
	"CREATE INDEX tasks_version ON tasks(house, version) WHERE version IS NOT NULL;"
	"DROP INDEX tasks_id;"
	"CREATE UNIQUE INDEX tasks_id ON tasks(id, house);"
	"DROP INDEX tasks_open;"
	"CREATE INDEX tasks_open ON tasks(house, state, due_ms) WHERE state <> 3 AND state < 9;"
	"DROP INDEX tasks_deadline;"
	"CREATE INDEX tasks_deadline ON tasks(house, deadline_ms) WHERE deadline_ms IS NOT NULL AND state < 9;"
	"CREATE TABLE seen (n INTEGER PRIMARY KEY, house TEXT NOT NULL, sender TEXT NOT NULL, line BLOB NOT NULL,"
	" reply TEXT, correlation BLOB);"
	"CREATE TABLE reports (n INTEGER PRIMARY KEY, house TEXT NOT NULL, id BLOB NOT NULL, attempt INTEGER NOT NULL,"
	" line TEXT NOT NULL);",
	/* What the sovereign signed: kind and id say which, n which is newer (of a decision: until when it holds). */
	"ALTER TABLE tasks ADD COLUMN approval TEXT;"
	"CREATE TABLE signed (kind TEXT, id TEXT, n INTEGER NOT NULL, envelope TEXT NOT NULL, PRIMARY KEY (kind, id))"
	" WITHOUT ROWID;"
	"CREATE TABLE uses (grant_id TEXT, task BLOB, PRIMARY KEY (grant_id, task)) WITHOUT ROWID;",
	/* The audit chain, a page a commit; bytes counts all that were ever written. */
	"CREATE TABLE audit (page INTEGER PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL,"
	" at_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, hash BLOB NOT NULL, records BLOB, seal TEXT NOT NULL);"
	"CREATE TABLE audit_own (n INTEGER PRIMARY KEY, envelope TEXT NOT NULL);"
	"CREATE TABLE audit_keys (n INTEGER PRIMARY KEY, binding TEXT NOT NULL);",
	/* Who waits for whom: while a row is here its dep is not forgotten. */
	"CREATE TABLE waits (dep BLOB, task INTEGER, PRIMARY KEY (dep, task)) WITHOUT ROWID;"
	"CREATE INDEX waits_task ON waits(task);",
	/* A bare state < 9 would be taken for the range to go through, before any state = that is asked for. */
	("DROP INDEX tasks_open;"
	"CREATE INDEX tasks_open ON tasks(house, state, due_ms) WHERE state <> 3 AND +state < 9;"),
	/* What became of attempts, and that a stop was asked for. NULL: nothing, and it was not. */
	("ALTER TABLE tasks ADD COLUMN failures INTEGER;"
	"ALTER TABLE tasks ADD COLUMN cancelled INTEGER;"
	"ALTER TABLE tasks ADD COLUMN history TEXT;"),
	/* What attempts came to, packed, a page a commit: see past.h. */
	"CREATE TABLE patterns (page INTEGER PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL,"
	" at_ms INTEGER NOT NULL, records BLOB NOT NULL);",
	/* Under which term the attempt that runs was given. */
	"ALTER TABLE tasks ADD COLUMN given TEXT;",
	/* What tools wrote that ran here: the last of it, from the offset `first` on. */
	("CREATE TABLE output (n INTEGER PRIMARY KEY, house TEXT NOT NULL, id BLOB NOT NULL, attempt INTEGER NOT NULL,"
	" first INTEGER NOT NULL, at_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, text BLOB NOT NULL);"
	"CREATE INDEX output_id ON output(id, house);"),
	/* A house's queue is one of lanes. */
	("DROP INDEX tasks_queued;"
	"CREATE INDEX tasks_queued ON tasks(house, priority, sender, tool, seq) WHERE state = 3;"),
	/* What is open, and what is held by it until it is let go of. */
	("CREATE TABLE breakers (house TEXT, agent TEXT, tool TEXT, target TEXT, row TEXT NOT NULL,"
	" PRIMARY KEY (house, agent, tool, target)) WITHOUT ROWID;"
	"ALTER TABLE tasks ADD COLUMN held INTEGER;"
	"CREATE INDEX tasks_held ON tasks(house, held, seq) WHERE held IS NOT NULL;"),
	/* Schedules that were added by command. */
	"CREATE TABLE schedules (house TEXT, name TEXT, row TEXT NOT NULL, PRIMARY KEY (house, name)) WITHOUT ROWID;",
	/* There are stores for whose program the fifth step was what is the sixth now. */
	("CREATE TABLE IF NOT EXISTS waits (dep BLOB, task INTEGER, PRIMARY KEY (dep, task)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS waits_task ON waits(task);"),
};

#define COMING_MS 60000
#define USES_KEPT_MS 86400000
#define OUTPUT_TIDY_MAX 256

enum query {
	Q_META_GET, Q_META_SET, Q_INSERT, Q_UPDATE, Q_BY_ID, Q_KEY_GET, Q_KEY_PUT, Q_QUEUED, Q_LANE, Q_LAST_SEQ,
	Q_HOUSES, Q_COUNT_QUEUED, Q_COUNT_OPEN, Q_BY_SEQ, Q_IN_STATE, Q_ALL_QUEUED, Q_DUE, Q_NEXT_DUE, Q_DEADLINE, Q_NEXT_DEADLINE,
	Q_OUT_PUT, Q_OUT_NEXT, Q_OUT_DROP, Q_OUT_LAST, Q_OUT_BYTES, Q_STREAM_PUT, Q_STREAM_GET, Q_STREAM_PRUNED,
	Q_MARK, Q_SWEEP_MARKED,
	Q_TERM_PUT, Q_TERMS, Q_TERMS_CLEAR, Q_ROWS, Q_ROWS_SINCE, Q_SEEN_PUT, Q_SEEN_ALL, Q_SEEN_DROP,
	Q_REPORT_PUT, Q_REPORT_ALL, Q_REPORT_DROP, Q_SIGNED_PUT, Q_SIGNED_ALL, Q_SIGNED_GET, Q_SIGNED_TIDY, Q_SIGNED_DROP,
	Q_USE_PUT, Q_USE_COUNT, Q_USE_HAS, Q_USE_ALL, Q_USE_DROP,
	Q_IN_PUT, Q_IN_ALL, Q_IN_CLEAR, Q_SWEEP, Q_PRUNE, Q_PRUNE_KEYS, Q_REJECT, Q_REJECT_TRIM, Q_LIST,
	Q_WAITS_PUT, Q_WAITS_DROP, Q_WAITS_SWEEP, Q_WAITS_ANY, Q_WAITS_HAS, Q_WAITING, Q_WAITING_ALL,
	Q_OUTPUT_PUT, Q_OUTPUT_OF, Q_OUTPUT_BYTES, Q_OUTPUT_OLDEST, Q_OUTPUT_DROP,
	Q_BREAKER_PUT, Q_BREAKER_DROP, Q_BREAKERS, Q_HELD, Q_NEXT_HELD, Q_ROUTINE_PUT, Q_ROUTINE_DROP, Q_ROUTINES, Q_COUNT
};

#define TASK_COLUMNS "seq, id, house, state, priority, tool, sender, body, attempt, crashes, accepted_ms, due_ms," \
	" deadline_ms, finished_ms, reply, correlation, key, outcome, forward, version, approval, failures, cancelled, history," \
	" given, held"
#define SELECT_TASK "SELECT " TASK_COLUMNS " FROM tasks "
/* Word for word the condition of the index tasks_open, or SQLite does not use it; and not as a list of states, for
 * which each INSERT and UPDATE would build a table. */
#define IS_OPEN "state <> 3 AND +state < 9"
#define IN_STATE IS_OPEN " AND house = ?4 AND state = ?3"

static const char *const sql[Q_COUNT] = {
	[Q_META_GET] = "SELECT value FROM meta WHERE name = ?1",
	[Q_META_SET] = "INSERT OR REPLACE INTO meta VALUES (?1, ?2)",
	[Q_INSERT] = "INSERT INTO tasks (" TASK_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
	    " ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)",
	[Q_UPDATE] = "UPDATE tasks SET state = ?4, attempt = ?9, crashes = ?10, due_ms = ?12, finished_ms = ?14,"
	    " reply = ?15, correlation = ?16, outcome = ?18, forward = ?19, version = ?20, approval = ?21,"
	    " failures = ?22, cancelled = ?23, history = ?24, given = ?25, held = ?26 WHERE seq = ?1",
	[Q_BY_ID] = SELECT_TASK "WHERE id = ?1 AND house = ?2",
	[Q_KEY_GET] = "SELECT id FROM keys WHERE house = ?1 AND sender = ?2 AND key = ?3 AND at_ms > ?4",
	[Q_KEY_PUT] = "INSERT OR REPLACE INTO keys VALUES (?1, ?2, ?3, ?4, ?5)",
	[Q_QUEUED] = SELECT_TASK "WHERE house = ?1 AND state = 3 AND priority = ?2 AND sender = ?3 AND tool = ?4 AND seq > ?5"
	    " ORDER BY seq",
	[Q_LANE] = "SELECT priority, sender, tool FROM tasks WHERE house = ?1 AND state = 3"
	    " AND (priority, sender, tool) > (?2, ?3, ?4) ORDER BY priority, sender, tool LIMIT 1",
	[Q_LAST_SEQ] = "SELECT max(seq) FROM tasks",
	[Q_HOUSES] = "SELECT DISTINCT house FROM tasks WHERE state = 3 UNION SELECT DISTINCT house FROM tasks WHERE " IS_OPEN,
	[Q_COUNT_QUEUED] = "SELECT count(*) FROM tasks WHERE state = 3 AND house = ?1",
	[Q_COUNT_OPEN] = "SELECT count(*) FROM tasks WHERE " IS_OPEN
	    " AND (forward IS NULL OR finished_ms IS NULL) AND house = ?1",
	[Q_BY_SEQ] = SELECT_TASK "WHERE seq = ?1",
	[Q_IN_STATE] = "SELECT seq FROM tasks WHERE " IN_STATE,
	[Q_ALL_QUEUED] = "SELECT seq FROM tasks WHERE state = 3 AND house = ?4",
	[Q_DUE] = SELECT_TASK "WHERE " IN_STATE " AND due_ms <= ?1 ORDER BY due_ms LIMIT ?2",
	[Q_NEXT_DUE] = "SELECT due_ms FROM tasks WHERE " IN_STATE " AND due_ms > 0 ORDER BY due_ms LIMIT 1",
	[Q_DEADLINE] = SELECT_TASK "WHERE house = ?4 AND deadline_ms <= ?1 AND deadline_ms IS NOT NULL AND state < 9"
	    " AND state NOT IN (4, 5, 7, 8) LIMIT ?2",
	[Q_NEXT_DEADLINE] = "SELECT min(deadline_ms) FROM tasks WHERE house = ?1 AND deadline_ms IS NOT NULL AND state < 9"
	    " AND state NOT IN (4, 5, 7, 8)",
	[Q_OUT_PUT] = "INSERT INTO outbox VALUES (?1, ?2, ?3, ?4, ?5)",
	[Q_OUT_NEXT] = "SELECT seq, topic, payload, response, correlation FROM outbox WHERE seq > ?1 ORDER BY seq",
	[Q_OUT_DROP] = "DELETE FROM outbox WHERE seq = ?1",
	[Q_OUT_LAST] = "SELECT max(seq) FROM outbox",
	[Q_OUT_BYTES] = "SELECT sum(length(payload)) FROM outbox",
	[Q_STREAM_PUT] = "INSERT OR REPLACE INTO streams VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[Q_STREAM_GET] = "SELECT head, log, term, doubt_ms, pruned FROM streams WHERE house = ?1",
	[Q_STREAM_PRUNED] = "UPDATE streams SET pruned = ?2 WHERE house = ?1",
	[Q_MARK] = "UPDATE tasks SET version = -1 WHERE house = ?1",
	[Q_SWEEP_MARKED] = "DELETE FROM tasks WHERE house = ?1 AND version = -1 AND version IS NOT NULL",
	[Q_TERM_PUT] = "INSERT OR REPLACE INTO terms VALUES (?1, ?2, ?3, ?4)",
	[Q_TERMS] = "SELECT term, base FROM terms WHERE house = ?1 ORDER BY n",
	[Q_TERMS_CLEAR] = "DELETE FROM terms WHERE house = ?1",
	[Q_ROWS] = "SELECT " TASK_COLUMNS " FROM tasks WHERE house = ?1 AND seq > ?2 ORDER BY seq",
	[Q_ROWS_SINCE] = "SELECT " TASK_COLUMNS " FROM tasks WHERE house = ?1 AND version > ?2 AND version IS NOT NULL"
	    " ORDER BY version",
	[Q_SEEN_PUT] = "INSERT OR REPLACE INTO seen VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[Q_SEEN_ALL] = "SELECT n, house, sender, line, reply, correlation FROM seen ORDER BY n",
	[Q_SEEN_DROP] = "DELETE FROM seen WHERE n = ?1",
	[Q_REPORT_PUT] = "INSERT OR REPLACE INTO reports VALUES (?1, ?2, ?3, ?4, ?5)",
	[Q_REPORT_ALL] = "SELECT n, house, id, attempt, line FROM reports ORDER BY n",
	[Q_REPORT_DROP] = "DELETE FROM reports WHERE n = ?1",
	[Q_SIGNED_PUT] = "INSERT OR REPLACE INTO signed VALUES (?1, ?2, ?3, ?4)",
	[Q_SIGNED_ALL] = "SELECT kind, envelope FROM signed WHERE kind <> 'decision' ORDER BY n",
	[Q_SIGNED_GET] = "SELECT envelope FROM signed WHERE kind = ?1 AND id = ?2",
	[Q_SIGNED_TIDY] = "DELETE FROM signed WHERE kind = 'decision' AND n < ?1",
	[Q_SIGNED_DROP] = "DELETE FROM signed WHERE kind = ?1 AND id = ?2",
	[Q_USE_PUT] = "INSERT OR IGNORE INTO uses VALUES (?1, ?2)",
	[Q_USE_COUNT] = "SELECT count(*) FROM uses WHERE grant_id = ?1 AND task <> ?2",
	[Q_USE_ALL] = "SELECT task FROM uses WHERE grant_id = ?1 ORDER BY task DESC LIMIT ?2",
	[Q_USE_DROP] = "DELETE FROM uses WHERE grant_id = ?1",
	[Q_USE_HAS] = "SELECT 1 FROM uses WHERE grant_id = ?1 AND task = ?2",
	[Q_IN_PUT] = "INSERT OR REPLACE INTO inbound VALUES (?1, ?2)",
	[Q_IN_ALL] = "SELECT mid, hash FROM inbound",
	[Q_IN_CLEAR] = "DELETE FROM inbound",
	[Q_SWEEP] = "SELECT seq, accepted_ms, finished_ms, id, house, version FROM tasks WHERE seq > ?1 ORDER BY seq"
	    " LIMIT ?2",
	[Q_PRUNE] = "DELETE FROM tasks WHERE seq = ?1",
	[Q_PRUNE_KEYS] = "DELETE FROM keys WHERE (house, sender, key) IN"
	    " (SELECT house, sender, key FROM keys WHERE at_ms < ?1 LIMIT ?2)",
	[Q_REJECT] = "INSERT INTO rejected (at_ms, house, sender, id, payload, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[Q_REJECT_TRIM] = "DELETE FROM rejected WHERE n <= (SELECT max(n) FROM rejected) - ?1",
	[Q_LIST] = SELECT_TASK "WHERE seq < ?1 AND (?2 IS NULL OR house = ?2) AND (?3 < 0 OR state = ?3)"
	    " AND (?4 IS NULL OR tool = ?4) AND (?5 IS NULL OR sender = ?5) AND seq >= ?7"
	    " AND (?8 IS NULL OR (instr(body, ?8) > 0 AND json_extract(body, '$.parent') = ?8)) ORDER BY seq DESC LIMIT ?6",
	[Q_WAITS_PUT] = "INSERT OR IGNORE INTO waits VALUES (?1, ?2)",
	[Q_WAITS_DROP] = "DELETE FROM waits WHERE task = ?1",
	[Q_WAITS_SWEEP] = "DELETE FROM waits WHERE task NOT IN (SELECT seq FROM tasks)",
	[Q_WAITS_ANY] = "SELECT 1 FROM waits LIMIT 1",
	[Q_WAITS_HAS] = "SELECT 1 FROM waits WHERE dep = ?1 LIMIT 1",
	[Q_WAITING] = "SELECT " TASK_COLUMNS " FROM waits CROSS JOIN tasks ON seq = task WHERE dep = ?1 AND task > ?2"
	    " AND house = ?3 ORDER BY task LIMIT ?4",
	[Q_WAITING_ALL] = "SELECT " TASK_COLUMNS " FROM (SELECT DISTINCT task FROM waits WHERE task > ?2 ORDER BY task)"
	    " CROSS JOIN tasks ON seq = task WHERE house = ?3 LIMIT ?4",
	[Q_OUTPUT_PUT] = "INSERT INTO output (house, id, attempt, first, at_ms, bytes, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[Q_OUTPUT_OF] = "SELECT attempt, first, text FROM output WHERE id = ?1 AND house = ?2 ORDER BY attempt, n",
	[Q_OUTPUT_BYTES] = "SELECT sum(bytes) FROM output",
	[Q_OUTPUT_OLDEST] = "SELECT n, at_ms, bytes FROM output ORDER BY n LIMIT ?1",
	[Q_OUTPUT_DROP] = "DELETE FROM output WHERE n = ?1",
	[Q_BREAKER_PUT] = "INSERT OR REPLACE INTO breakers VALUES (?1, ?2, ?3, ?4, ?5)",
	[Q_BREAKER_DROP] = "DELETE FROM breakers WHERE house = ?1 AND agent = ?2 AND tool = ?3 AND target = ?4",
	[Q_BREAKERS] = "SELECT row FROM breakers WHERE house = ?1",
	[Q_ROUTINE_PUT] = "INSERT OR REPLACE INTO schedules VALUES (?1, ?2, ?3)",
	[Q_ROUTINE_DROP] = "DELETE FROM schedules WHERE house = ?1 AND name = ?2",
	[Q_ROUTINES] = "SELECT row FROM schedules WHERE house = ?1 ORDER BY name",
	[Q_HELD] = SELECT_TASK "WHERE house = ?1 AND held = ?2 AND seq > ?3 AND held IS NOT NULL ORDER BY seq LIMIT ?4",
	[Q_NEXT_HELD] = "SELECT held FROM tasks WHERE house = ?1 AND held > ?2 AND held IS NOT NULL ORDER BY held LIMIT 1",
};

static int
set_meta(struct core *c, const char *name, const char *value, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_META_SET);

	db_text(s, 1, name);
	db_text(s, 2, value);
	return db_run(&c->db, s, e);
}

/* Streams are numbered per (store id, topic): a new database begins new streams. */
/* What a store is given once: kept if it is there, otherwise put there. */
static int
load_meta(struct core *c, const char *name, char *value, size_t size, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_META_GET);
	int rc;

	db_text(s, 1, name);
	if ((rc = db_step(&c->db, s, e)) == 1)
		snprintf(value, size, "%s", (const char *)sqlite3_column_text(s, 0));
	sqlite3_reset(s);
	if (rc)
		return rc < 0 ? -1 : 0;
	return set_meta(c, name, value, e);
}

static int
load_ids(struct core *c, struct err *e)
{
	snprintf(c->store_id, sizeof c->store_id, "%08x", (unsigned)(core_random(c) & 0xffffffff));
	snprintf(c->client_id, sizeof c->client_id, "uw-%s-%.32s", c->o.agent, c->o.secret);
	return load_meta(c, "store", c->store_id, sizeof c->store_id, e) ||
	    load_meta(c, "client_id", c->client_id, sizeof c->client_id, e) ? -1 : 0;
}

static int
load_pruned(struct core *c, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_META_GET);
	int rc;

	db_text(s, 1, "pruned_id_ms");
	if ((rc = db_step(&c->db, s, e)) == 1)
		c->pruned_id_ms = c->stored_pruned_id_ms = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return rc < 0 ? -1 : 0;
}

/* Put there with a copy of former days: see agent/cli/restore_store.c. */
static int
load_restored(struct core *c, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_META_GET);
	int rc;

	db_text(s, 1, STORE_RESTORED);
	rc = db_step(&c->db, s, e);
	c->restored = rc == 1;
	sqlite3_reset(s);
	return rc < 0 ? -1 : 0;
}

static int
write_restored(struct core *c, struct err *e)
{
	return c->restored ? db_exec(&c->db, "DELETE FROM meta WHERE name = '" STORE_RESTORED "'", e) : 0;
}

static int
single(struct core *c, enum query q, int64_t *out, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, q);
	int rc = db_step(&c->db, s, e);

	*out = rc == 1 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return rc < 0 ? -1 : 0;
}

static char *
column_dup(sqlite3_stmt *s, int i)
{
	const char *text = (const char *)sqlite3_column_text(s, i);

	return text ? xstrndup(text, (size_t)sqlite3_column_bytes(s, i)) : NULL;
}

/* Tasks of a house of which this agent is no candidate any more were accepted here, and are carried to their
 * end here. */
static int
load_old_houses(struct core *c, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_HOUSES);
	int rc;

	while ((rc = db_step(&c->db, s, e)) == 1) {
		const char *name = (const char *)sqlite3_column_text(s, 0);
		struct house *h = house_find(c, name);

		if (h)
			continue;
		h = house_add(c, name);
		log_warnx("store: open tasks of house %s, which is no longer this agent's: %s", name,
		    h ? "they are finished here" : "too many houses, they stay as they are");
	}
	return rc;
}

static int64_t
count_of(struct core *c, enum query q, const struct house *h)
{
	sqlite3_stmt *s = db_use(&c->db, q);
	int64_t n;

	db_text(s, 1, h->name);
	n = db_step(&c->db, s, NULL) == 1 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return n;
}

void
store_count(struct core *c, struct house *h)
{
	h->queued = count_of(c, Q_COUNT_QUEUED, h);
	h->open = h->queued + count_of(c, Q_COUNT_OPEN, h);
}

static int
load_inbound(struct core *c, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_IN_ALL);
	int rc;

	while ((rc = db_step(&c->db, s, e)) == 1) {
		int mid = sqlite3_column_int(s, 0);

		if (mid == INBOUND_BROKER)
			c->inbound_broker = c->inbound_broker_stored = sqlite3_column_int(s, 1);
		else if (mid == 0)
			c->inbound_last = c->inbound_stored = sqlite3_column_int(s, 1);
		else if (mid > 0 && mid <= UINT16_MAX)
			c->inbound[mid] = (uint64_t)sqlite3_column_int64(s, 1);
	}
	return rc;
}

static void
read_term(sqlite3_stmt *s, int column, struct term *t)
{
	term_parse((const char *)sqlite3_column_text(s, column), t);
}

static int
load_stream(struct core *c, struct house *h, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_STREAM_GET);
	int rc;

	db_text(s, 1, h->name);
	if ((rc = db_step(&c->db, s, e)) == 1) {
		h->head = h->stored_head = sqlite3_column_int64(s, 0);
		read_term(s, 1, &h->log);
		read_term(s, 2, &h->term);
		h->stored_log = h->log;
		h->stored_term = h->term;
		h->doubt_ms = h->stored_doubt_ms = sqlite3_column_int64(s, 3);
		h->pruned = sqlite3_column_int64(s, 4);
	}
	sqlite3_reset(s);
	return rc < 0 ? -1 : 0;
}

static int
load_terms(struct core *c, struct house *h, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_TERMS);
	int rc;

	db_text(s, 1, h->name);
	while ((rc = db_step(&c->db, s, e)) == 1) {
		struct term t;

		read_term(s, 0, &t);
		stream_add_term(h, &t, sqlite3_column_int64(s, 1));
	}
	h->terms_changed = false;
	return rc < 0 ? -1 : 0;
}

static int
load_breakers(struct core *c, struct house *h, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_BREAKERS);
	int rc;

	db_text(s, 1, h->name);
	while ((rc = db_step(&c->db, s, e)) == 1)
		breaker_load(c, h, (const char *)sqlite3_column_text(s, 0));
	return rc < 0 ? -1 : 0;
}

static int
load_routines(struct core *c, struct house *h, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_ROUTINES);
	int rc;

	db_text(s, 1, h->name);
	while ((rc = db_step(&c->db, s, e)) == 1)
		routine_load(h, (const char *)sqlite3_column_text(s, 0));
	return rc < 0 ? -1 : 0;
}

static int
load_streams(struct core *c, struct err *e)
{
	for (int i = 0; i < c->nhouses; i++)
		if (load_stream(c, &c->houses[i], e) || load_terms(c, &c->houses[i], e) ||
		    load_breakers(c, &c->houses[i], e) || load_routines(c, &c->houses[i], e))
			return -1;
	return 0;
}

static int
load_seen(struct core *c, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_SEEN_ALL);
	int rc;

	while ((rc = db_step(&c->db, s, e)) == 1) {
		struct house *h = house_find(c, (const char *)sqlite3_column_text(s, 1));
		struct mqtt_msg m = { .response_topic = (const char *)sqlite3_column_text(s, 4),
			.correlation = sqlite3_column_blob(s, 5), .correlation_len = (size_t)sqlite3_column_bytes(s, 5) };
		struct seen *x = h ? seen_add(c, h, (const char *)sqlite3_column_text(s, 2), sqlite3_column_blob(s, 3),
		    (size_t)sqlite3_column_bytes(s, 3), &m) : NULL;

		c->last_seen = sqlite3_column_int64(s, 0);
		if (x) {
			x->n = c->last_seen;
			x->stored = true;
		}
	}
	return rc;
}

static int
load_reports(struct core *c, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_REPORT_ALL);
	int rc;

	while ((rc = db_step(&c->db, s, e)) == 1) {
		struct house *h = house_find(c, (const char *)sqlite3_column_text(s, 1));
		struct report *r;

		c->last_report = sqlite3_column_int64(s, 0);
		if (!h || sqlite3_column_bytes(s, 2) != sizeof r->id)
			continue;
		r = work_add_report(c, h, sqlite3_column_blob(s, 2), sqlite3_column_int(s, 3), column_dup(s, 4));
		r->n = c->last_report;
		r->stored = true;
	}
	return rc;
}

static int
load_signed(struct core *c, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_SIGNED_ALL);
	int rc;

	while ((rc = db_step(&c->db, s, e)) == 1)
		for (int k = 0; k < SIGNED_NUMBERED; k++)
			if (strcmp(sovereign_kind_name((enum sovereign_kind)k), (const char *)sqlite3_column_text(s, 0)) == 0)
				signed_load(c, (enum sovereign_kind)k, (const char *)sqlite3_column_text(s, 1),
				    (size_t)sqlite3_column_bytes(s, 1));
	signed_open(c);
	return rc;
}

static bool
has_waits(struct core *c)
{
	int64_t n;

	return single(c, Q_WAITS_ANY, &n, NULL) || n;
}

int
core_store_version(void)
{
	return (int)(sizeof migrations / sizeof *migrations);
}

int
store_open(struct core *c, struct err *e)
{
	if (db_open(&c->db, c->o.store_path, DB_OWN, c->o.vfs, migrations, core_store_version(), sql, Q_COUNT, e))
		return -1;
	if (IS_MUTANT(MUTANT_NO_FSYNC))
		db_exec(&c->db, "PRAGMA synchronous=OFF", NULL);
	if (load_ids(c, e) || load_restored(c, e) || load_pruned(c, e) || single(c, Q_LAST_SEQ, &c->last_seq, e) ||
	    single(c, Q_OUT_LAST, &c->box_last, e) || single(c, Q_OUT_BYTES, &c->box_total_bytes, e) ||
	    single(c, Q_OUTPUT_BYTES, &c->output_bytes, e) ||
	    load_old_houses(c, e) || load_inbound(c, e) || load_streams(c, e) || load_seen(c, e) || load_reports(c, e) ||
	    load_signed(c, e))
		return err_wrap(e, "%s", c->o.store_path);
	c->has_waits = has_waits(c);
	c->box_spilled = c->box_last > 0;
	return 0;
}

static void
read_row(struct core *c, sqlite3_stmt *s, struct task *t)
{
	const void *id = sqlite3_column_blob(s, 1), *correlation = sqlite3_column_blob(s, 15);

	t->seq = sqlite3_column_int64(s, 0);
	if (id && sqlite3_column_bytes(s, 1) == sizeof t->id)
		memcpy(&t->id, id, sizeof t->id);
	t->house = house_find(c, (const char *)sqlite3_column_text(s, 2));
	t->state = (enum task_state)sqlite3_column_int(s, 3);
	t->priority = (unsigned char)sqlite3_column_int(s, 4);
	snprintf(t->tool_name, sizeof t->tool_name, "%s", (const char *)sqlite3_column_text(s, 5));
	snprintf(t->sender, sizeof t->sender, "%s", (const char *)sqlite3_column_text(s, 6));
	t->body = column_dup(s, 7);
	t->body_len = (size_t)sqlite3_column_bytes(s, 7);
	t->attempt = (short)sqlite3_column_int(s, 8);
	t->crashes = (short)sqlite3_column_int(s, 9);
	t->accepted_ms = sqlite3_column_int64(s, 10);
	t->due_ms = sqlite3_column_int64(s, 11);
	t->deadline_ms = sqlite3_column_int64(s, 12);
	t->finished_ms = sqlite3_column_int64(s, 13);
	t->reply_topic = column_dup(s, 14);
	t->correlation_len = (size_t)sqlite3_column_bytes(s, 15);
	t->correlation = correlation ? xstrndup(correlation, t->correlation_len) : NULL;
	t->key = column_dup(s, 16);
	t->outcome = column_dup(s, 17);
	t->forward = column_dup(s, 18);
	t->version = sqlite3_column_int64(s, 19);
	approval_set(t, column_dup(s, 20));
	t->failures = (short)sqlite3_column_int(s, 21);
	t->cancelled = sqlite3_column_int(s, 22);
	t->history = column_dup(s, 23);
	term_parse((const char *)sqlite3_column_text(s, 24), &t->term);
	t->held = sqlite3_column_int64(s, 25);
	t->stored = true;
	task_read_body(c, t);
}

/* The row as a task: the one in memory if there is one, for it is newer. */
static struct task *
take_row(struct core *c, sqlite3_stmt *s)
{
	struct task *t = task_by_seq(c, sqlite3_column_int64(s, 0));

	if (t)
		return t;
	t = task_new(c, NULL);
	read_row(c, s, t);
	task_track(c, t);
	return t;
}

static struct task *
find_one(struct core *c, sqlite3_stmt *s)
{
	struct task *t = db_step(&c->db, s, NULL) == 1 ? take_row(c, s) : NULL;

	sqlite3_reset(s);
	return t;
}

struct task *
store_find(struct core *c, const struct house *h, const struct ulid *id)
{
	sqlite3_stmt *s = db_use(&c->db, Q_BY_ID);

	db_blob(s, 1, id, sizeof *id);
	db_text(s, 2, h->name);
	return find_one(c, s);
}

bool
store_find_key(struct core *c, const char *house, const char *sender, const char *key, struct ulid *id)
{
	sqlite3_stmt *s = db_use(&c->db, Q_KEY_GET);
	bool found;

	db_text(s, 1, house);
	db_text(s, 2, sender);
	db_text(s, 3, key);
	db_int(s, 4, c->now.wall_ms - c->o.config->keep_keys_s * 1000);
	found = db_step(&c->db, s, NULL) == 1 && sqlite3_column_bytes(s, 0) == sizeof *id;
	if (found)
		memcpy(id, sqlite3_column_blob(s, 0), sizeof *id);
	sqlite3_reset(s);
	return found;
}

/* One step in the index for each. */
void
store_lanes(struct core *c, struct house *h)
{
	char sender[NAME_MAX_LEN + 1] = "", tool[sizeof ((struct lane *)0)->tool] = "";
	int priority = -1;

	for (;;) {
		sqlite3_stmt *s = db_use(&c->db, Q_LANE);
		int rc;

		db_text(s, 1, h->name);
		db_int(s, 2, priority);
		db_text(s, 3, sender);
		db_text(s, 4, tool);
		if ((rc = db_step(&c->db, s, NULL)) == 1) {
			priority = sqlite3_column_int(s, 0);
			snprintf(sender, sizeof sender, "%s", (const char *)sqlite3_column_text(s, 1));
			snprintf(tool, sizeof tool, "%s", (const char *)sqlite3_column_text(s, 2));
		}
		sqlite3_reset(s);
		if (rc != 1)
			return;
		lane_found(c, h, priority, sender, tool);
	}
}

bool
store_refill(struct core *c, struct lane *l, int64_t max, int64_t max_bytes)
{
	sqlite3_stmt *s = db_use(&c->db, Q_QUEUED);
	int64_t before = l->bytes;
	int rc = 1;

	db_text(s, 1, l->house->name);
	db_int(s, 2, l->priority);
	db_text(s, 3, l->of->sender);
	db_text(s, 4, l->tool);
	db_int(s, 5, l->last_seq + IS_MUTANT(MUTANT_REFILL_SKIPS));
	while (max-- > 0 && l->bytes - before <= max_bytes && (rc = db_step(&c->db, s, NULL)) == 1) {
		struct task *t = take_row(c, s);

		l->last_seq = t->seq;
		if (!t->lane && t->state == TASK_QUEUED)
			lane_take_in(l, t);
	}
	sqlite3_reset(s);
	return rc != 0;
}

/* Rows of a query become tasks first, since what is done with them may use the same statement. */
static void
each(struct core *c, enum query q, const struct house *h, int64_t bound, enum task_state state, task_fn *f)
{
	sqlite3_stmt *s = db_use(&c->db, q);
	struct task *found[STORE_BATCH];
	int n = 0;

	db_int(s, 1, bound);
	db_int(s, 2, STORE_BATCH);
	db_int(s, 3, state);
	db_text(s, 4, h->name);
	while (n < STORE_BATCH && db_step(&c->db, s, NULL) == 1)
		found[n++] = take_row(c, s);
	sqlite3_reset(s);
	for (int i = 0; i < n; i++)
		f(c, found[i]);
}

static struct task *
by_seq(struct core *c, int64_t seq)
{
	sqlite3_stmt *s = db_use(&c->db, Q_BY_SEQ);

	db_int(s, 1, seq);
	return find_one(c, s);
}

static int
compare_seqs(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void
store_in_state(struct core *c, const struct house *h, enum task_state state, task_fn *f)
{
	sqlite3_stmt *s = db_use(&c->db, state == TASK_QUEUED ? Q_ALL_QUEUED : Q_IN_STATE);
	int64_t *seqs = NULL;
	size_t n = 0, cap = 0;

	db_int(s, 3, state);
	db_text(s, 4, h->name);
	while (db_step(&c->db, s, NULL) == 1) {
		if (n == cap)
			seqs = xrealloc(seqs, (cap = cap ? 2 * cap : 64) * sizeof *seqs);
		seqs[n++] = sqlite3_column_int64(s, 0);
	}
	sqlite3_reset(s);
	if (n)
		qsort(seqs, n, sizeof *seqs, compare_seqs);
	for (size_t i = 0; i < n; i++) {
		struct task *t = by_seq(c, seqs[i]);

		if (t && t->state == state)
			f(c, t);
	}
	free(seqs);
}

void
store_due(struct core *c, const struct house *h, enum task_state state, task_fn *f)
{
	each(c, Q_DUE, h, c->now.wall_ms, state, f);
}

void
store_deadlines(struct core *c, const struct house *h, task_fn *f)
{
	each(c, Q_DEADLINE, h, c->now.wall_ms, TASK_NSTATES, f);
}

int64_t
store_waiting(struct core *c, const struct house *h, const struct ulid *id, int64_t after, task_fn *f)
{
	sqlite3_stmt *s = db_use(&c->db, id ? Q_WAITING : Q_WAITING_ALL);
	struct task *found[STORE_BATCH];
	int n = 0;

	if (id)
		db_blob(s, 1, id, sizeof *id);
	db_int(s, 2, after);
	db_text(s, 3, h->name);
	db_int(s, 4, STORE_BATCH);
	while (n < STORE_BATCH && db_step(&c->db, s, NULL) == 1)
		found[n++] = take_row(c, s);
	sqlite3_reset(s);
	after = n == STORE_BATCH ? found[n - 1]->seq : 0;
	for (int i = 0; i < n; i++)
		f(c, found[i]);
	return after;
}

int64_t
store_held(struct core *c, const struct house *h, int64_t key, int64_t after, int max, task_fn *f)
{
	sqlite3_stmt *s = db_use(&c->db, Q_HELD);
	struct task *found[STORE_BATCH];
	int n = 0;

	if (!max || max > STORE_BATCH)
		max = STORE_BATCH;
	db_text(s, 1, h->name);
	db_int(s, 2, key);
	db_int(s, 3, after);
	db_int(s, 4, max);
	while (n < max && db_step(&c->db, s, NULL) == 1)
		found[n++] = take_row(c, s);
	sqlite3_reset(s);
	after = n == max ? found[n - 1]->seq : 0;
	for (int i = 0; i < n; i++)
		f(c, found[i]);
	return after;
}

int64_t
store_next_held(struct core *c, const struct house *h, int64_t after)
{
	sqlite3_stmt *s = db_use(&c->db, Q_NEXT_HELD);
	int64_t key;

	db_text(s, 1, h->name);
	db_int(s, 2, after);
	key = db_step(&c->db, s, NULL) == 1 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return key;
}

static int64_t
next_in_state(struct core *c, const struct house *h, enum task_state state)
{
	sqlite3_stmt *s = db_use(&c->db, Q_NEXT_DUE);
	int64_t at;

	db_int(s, 3, state);
	db_text(s, 4, h->name);
	at = db_step(&c->db, s, NULL) == 1 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return at;
}

int64_t
store_next_due(struct core *c, const struct house *h, bool forwards)
{
	int64_t at[] = { next_in_state(c, h, TASK_SCHEDULED), next_in_state(c, h, TASK_RETRYING),
		next_in_state(c, h, TASK_WAITING), forwards ? next_in_state(c, h, TASK_FORWARDED) : 0, count_of(c, Q_NEXT_DEADLINE, h) }, next = 0;

	for (size_t i = 0; i < sizeof at / sizeof *at; i++)
		if (at[i] && (!next || at[i] < next))
			next = at[i];
	return next;
}

/* An id as old as one that was forgotten can no longer be told from a repeat. */
static void
note_pruned(struct core *c, int64_t id_ms)
{
	if (id_ms > c->pruned_id_ms)
		c->pruned_id_ms = id_ms;
}

static void
note_coming(struct core *c, int64_t id_ms)
{
	int64_t slot = c->now.mono_ms / COMING_MS, none = c->now.wall_ms;

	if (slot != c->coming_slot) {
		c->coming_ms[1] = slot == c->coming_slot + 1 ? c->coming_ms[0] : none;
		c->coming_ms[0] = none;
		c->coming_slot = slot;
	}
	if (id_ms < c->coming_ms[0])
		c->coming_ms[0] = id_ms;
}

/* Do ids as old as this one still come, out of a long queue? Forgetting it would make them stale. */
static bool
is_still_coming(struct core *c, int64_t id_ms)
{
	note_coming(c, c->now.wall_ms);
	return id_ms >= c->coming_ms[0] || id_ms >= c->coming_ms[1];
}

/* Whoever has a row up to that version may have one that is no more. */
static void
note_version(struct house *h, int64_t version)
{
	if (!h || version <= h->pruned)
		return;
	h->pruned = version;
	h->pruned_changed = true;
}

void
store_note_forgotten(struct core *c, int64_t id_ms)
{
	note_pruned(c, id_ms);
	c->urgent = true;
}

static int
write_pruned_id(struct core *c, struct err *e)
{
	char text[24];

	if (c->pruned_id_ms == c->stored_pruned_id_ms)
		return 0;
	snprintf(text, sizeof text, "%lld", (long long)c->pruned_id_ms);
	return set_meta(c, "pruned_id_ms", text, e);
}

static int
write_look(struct core *c, struct err *e)
{
	char text[24];

	if (!c->look_ms)
		return 0;
	snprintf(text, sizeof text, "%lld", (long long)c->look_ms);
	return set_meta(c, "looked_ms", text, e);
}

static void
write_pruned(struct core *c)
{
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];
		sqlite3_stmt *s;

		if (!h->pruned_changed)
			continue;
		h->pruned_changed = false;
		s = db_use(&c->db, Q_STREAM_PRUNED);
		db_text(s, 1, h->name);
		db_int(s, 2, h->pruned);
		db_run(&c->db, s, NULL);
	}
}

static bool
is_waited_for(struct core *c, sqlite3_stmt *row)
{
	sqlite3_stmt *s = c->has_waits ? db_use(&c->db, Q_WAITS_HAS) : NULL;
	bool found;

	if (!s)
		return false;
	db_blob(s, 1, sqlite3_column_blob(row, 3), (size_t)sqlite3_column_bytes(row, 3));
	found = db_step(&c->db, s, NULL) == 1;
	sqlite3_reset(s);
	return found;
}

/* One row of the walk: 1: to be deleted, 0: stays, -1: it and all behind it are too young. A task whose id is
 * of the future stays until that time has come, and one made while a long queue comes in until that is over: if it were
 * forgotten, everybody's older ids would be taken for stale. */
static int
judge_row(struct core *c, sqlite3_stmt *s)
{
	int64_t old = c->now.wall_ms - c->o.config->keep_finished_s * 1000;
	int64_t seq = sqlite3_column_int64(s, 0), finished = sqlite3_column_int64(s, 2), id_ms = 0;
	int64_t over = c->last_seq - c->o.config->keep_finished - seq;
	bool excess = over >= 0;

	if (!excess && sqlite3_column_int64(s, 1) >= old)
		return -1;
	if (sqlite3_column_bytes(s, 3) == sizeof(struct ulid))
		id_ms = ulid_time_ms(sqlite3_column_blob(s, 3));
	if (!finished || id_ms > c->now.wall_ms || task_by_seq(c, seq) || is_waited_for(c, s))
		return 0;
	if (finished >= old && !excess)
		return 0;
	if (finished >= old && over < c->o.config->keep_finished && is_still_coming(c, id_ms))
		return -1;
	note_pruned(c, id_ms);
	note_version(house_find(c, (const char *)sqlite3_column_text(s, 4)), sqlite3_column_int64(s, 5));
	return 1;
}

/* Walks on through the oldest tasks and deletes those that are past their time or their number. */
static void
prune(struct core *c, int max)
{
	sqlite3_stmt *s = db_use(&c->db, Q_SWEEP);
	int64_t gone[PRUNE_MAX];
	int n = 0, more, verdict = 0;

	db_int(s, 1, c->prune_seq);
	db_int(s, 2, max);
	while ((more = db_step(&c->db, s, NULL)) == 1 && (verdict = judge_row(c, s)) >= 0) {
		c->prune_seq = sqlite3_column_int64(s, 0);
		if (verdict)
			gone[n++] = c->prune_seq;
		max--;
	}
	sqlite3_reset(s);
	for (int i = 0; i < n; i++) {
		s = db_use(&c->db, Q_PRUNE);
		db_int(s, 1, gone[i]);
		db_run(&c->db, s, NULL);
	}
	if (verdict < 0 || max > 0)
		c->prune_seq = 0;
	write_pruned_id(c, NULL);
}

/* Fills memory from the outbox's rows, behind what is there. */
void
store_load_outbox(struct core *c, size_t max_bytes)
{
	sqlite3_stmt *s = db_use(&c->db, Q_OUT_NEXT);
	size_t bytes = 0;
	int more;

	db_int(s, 1, c->box_tail ? c->box_tail->seq : c->box_loaded);
	while ((more = db_step(&c->db, s, NULL)) == 1 && bytes < max_bytes) {
		size_t len = (size_t)sqlite3_column_bytes(s, 2);
		struct out *o = xcalloc(1, sizeof *o);
		const void *correlation = sqlite3_column_blob(s, 4);

		o->seq = sqlite3_column_int64(s, 0);
		o->topic = column_dup(s, 1);
		buf_add(&o->body, sqlite3_column_blob(s, 2), len);
		o->response_topic = column_dup(s, 3);
		o->correlation_len = (size_t)sqlite3_column_bytes(s, 4);
		o->correlation = correlation ? xstrndup(correlation, o->correlation_len) : NULL;
		bytes += len;
		c->box_loaded = o->seq;
		out_append(c, o);
	}
	sqlite3_reset(s);
	c->box_spilled = more != 0;
}

static void
bind_task(sqlite3_stmt *s, const struct task *t, char given[TERM_TEXT])
{
	db_int(s, 1, t->seq);
	db_text(s, 3, t->house ? t->house->name : NULL);
	db_int(s, 4, t->state);
	db_int(s, 9, t->attempt);
	db_int(s, 10, t->crashes);
	if (t->due_ms)
		db_int(s, 12, t->due_ms);
	if (t->finished_ms)
		db_int(s, 14, t->finished_ms);
	db_text(s, 15, t->reply_topic);
	db_blob(s, 16, t->correlation, t->correlation_len);
	db_text(s, 18, t->outcome);
	db_text(s, 19, t->forward);
	if (t->version)
		db_int(s, 20, t->version);
	db_text(s, 21, t->approval);
	if (t->failures)
		db_int(s, 22, t->failures);
	if (t->cancelled && !IS_MUTANT(MUTANT_CANCEL_FORGOTTEN))
		db_int(s, 23, true);
	db_text(s, 24, t->history);
	if (t->held)
		db_int(s, 26, t->held);
	if (!task_has_begun(t->state) || !t->term.n)
		return;
	term_format(&t->term, given);
	db_text(s, 25, given);
}

/* As long as it has not passed those that it waits for; afterwards it never looks at them again. */
static int
write_waits(struct core *c, const struct task *t, struct err *e)
{
	bool waits = t->state == TASK_WAITING || (t->state == TASK_SCHEDULED && !t->held);
	sqlite3_stmt *s = db_use(&c->db, Q_WAITS_DROP);
	struct task_msg m;
	const cJSON *v;
	cJSON *tree;
	int rc;

	db_int(s, 1, t->seq);
	if (!waits)
		return db_run(&c->db, s, e);
	tree = json_parse(t->body, t->body_len, NULL);
	rc = tree ? task_msg_read(tree, &m, e) : err_set(e, ERR_STORE, "the task's body is damaged");
	if (rc)
		m.after = NULL;
	cJSON_ArrayForEach(v, m.after) {
		struct ulid id;

		ulid_parse(v->valuestring, &id);
		s = db_use(&c->db, Q_WAITS_PUT);
		db_blob(s, 1, &id, sizeof id);
		db_int(s, 2, t->seq);
		rc |= db_run(&c->db, s, e);
	}
	cJSON_Delete(tree);
	c->has_waits = true;
	return rc;
}

static int
write_task(struct core *c, struct task *t, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, t->stored ? Q_UPDATE : Q_INSERT);
	char given[TERM_TEXT];

	bind_task(s, t, given);
	if (!t->stored) {
		db_blob(s, 2, &t->id, sizeof t->id);
		db_int(s, 5, t->priority);
		db_text(s, 6, t->tool_name);
		db_text(s, 7, t->sender);
		db_textn(s, 8, t->body, t->body_len);
		db_int(s, 11, t->accepted_ms);
		if (t->deadline_ms)
			db_int(s, 13, t->deadline_ms);
		db_text(s, 17, t->key);
	}
	if (!t->stored)
		note_coming(c, ulid_time_ms(&t->id));
	if (db_run(&c->db, s, e) || (t->nafter && write_waits(c, t, e)))
		return -1;
	if (t->stored || !t->key)
		return 0;
	s = db_use(&c->db, Q_KEY_PUT);
	db_text(s, 1, t->house->name);
	db_text(s, 2, t->sender);
	db_text(s, 3, t->key);
	db_blob(s, 4, &t->id, sizeof t->id);
	db_int(s, 5, t->accepted_ms);
	return db_run(&c->db, s, e);
}

static int
write_out(struct core *c, const struct out *o, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_OUT_PUT);

	db_int(s, 1, o->seq);
	db_text(s, 2, o->topic);
	db_blob(s, 3, o->body.data, o->body.len);
	db_text(s, 4, o->response_topic);
	db_blob(s, 5, o->correlation, o->correlation_len);
	return db_run(&c->db, s, e);
}

static int
write_outbox(struct core *c, struct err *e)
{
	for (const struct out *o = c->gather; o; o = o->next)
		if (o->kept && write_out(c, o, e))
			return -1;
	for (size_t i = 0; i < c->nacked; i++) {
		sqlite3_stmt *s = db_use(&c->db, Q_OUT_DROP);

		db_int(s, 1, c->acked[i]);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return 0;
}

static int
write_stream(struct core *c, const struct house *h, struct err *e)
{
	char log[TERM_TEXT], term[TERM_TEXT];
	sqlite3_stmt *s;

	if ((h->head == h->stored_head && term_equal(&h->log, &h->stored_log) && term_equal(&h->term, &h->stored_term) &&
	    h->doubt_ms == h->stored_doubt_ms) ||
	    IS_MUTANT(MUTANT_EVENT_NUMBERS))
		return 0;
	s = db_use(&c->db, Q_STREAM_PUT);
	db_text(s, 1, h->name);
	db_int(s, 2, h->head);
	term_format(&h->log, log);
	db_text(s, 3, log);
	term_format(&h->term, term);
	db_text(s, 4, term);
	db_int(s, 5, h->doubt_ms);
	db_int(s, 6, h->pruned);
	return db_run(&c->db, s, e);
}

static int
write_terms(struct core *c, const struct house *h, struct err *e)
{
	sqlite3_stmt *s;

	if (!h->terms_changed)
		return 0;
	s = db_use(&c->db, Q_TERMS_CLEAR);
	db_text(s, 1, h->name);
	if (db_run(&c->db, s, e))
		return -1;
	for (int i = 0; i < h->nterms; i++) {
		char term[TERM_TEXT];

		s = db_use(&c->db, Q_TERM_PUT);
		term_format(&h->terms[i].term, term);
		db_text(s, 1, h->name);
		db_int(s, 2, i);
		db_text(s, 3, term);
		db_int(s, 4, h->terms[i].base);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return 0;
}

static int
on_house(struct core *c, enum query q, const struct house *h, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, q);

	db_text(s, 1, h->name);
	return db_run(&c->db, s, e);
}

/* Before and after all rows of a house come from its owner: those that did not come are no more. */
static int
mark_or_sweep(struct core *c, bool sweep, struct err *e)
{
	for (int i = 0; i < c->nhouses; i++) {
		const struct house *h = &c->houses[i];

		if ((sweep ? h->sweep_rows : h->mark_rows) && on_house(c, sweep ? Q_SWEEP_MARKED : Q_MARK, h, e))
			return -1;
		if (sweep && h->sweep_rows && db_run(&c->db, db_use(&c->db, Q_WAITS_SWEEP), e))
			return -1;
	}
	return 0;
}

static int
write_streams(struct core *c, struct err *e)
{
	for (int i = 0; i < c->nhouses; i++)
		if (write_stream(c, &c->houses[i], e) || write_terms(c, &c->houses[i], e))
			return -1;
	return 0;
}

static int
drop_rows(struct core *c, enum query q, const int64_t *rows, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		sqlite3_stmt *s = db_use(&c->db, q);

		db_int(s, 1, rows[i]);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return 0;
}

static int
write_seen(struct core *c, struct err *e)
{
	for (const struct seen *x = c->seen; x; x = x->next) {
		sqlite3_stmt *s;

		if (x->stored || !seen_is_old(c, x))
			continue;
		s = db_use(&c->db, Q_SEEN_PUT);
		db_int(s, 1, x->n);
		db_text(s, 2, x->house->name);
		db_text(s, 3, x->sender);
		db_blob(s, 4, x->line, x->len);
		db_text(s, 5, x->reply);
		db_blob(s, 6, x->correlation, x->correlation_len);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return drop_rows(c, Q_SEEN_DROP, c->seen_done, c->nseen_done, e);
}

static int
write_reports(struct core *c, struct err *e)
{
	for (const struct report *r = c->reports; r; r = r->next) {
		sqlite3_stmt *s;

		if (r->stored)
			continue;
		s = db_use(&c->db, Q_REPORT_PUT);
		db_int(s, 1, r->n);
		db_text(s, 2, r->house->name);
		db_blob(s, 3, &r->id, sizeof r->id);
		db_int(s, 4, r->attempt);
		db_text(s, 5, r->line);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return drop_rows(c, Q_REPORT_DROP, c->reports_done, c->nreports_done, e);
}

void
store_signed(struct core *c, enum sovereign_kind kind, const char *id, int64_t n, const char *envelope)
{
	struct signed_row *r = xcalloc(1, sizeof *r), **end = &c->signed_rows;

	r->kind = kind;
	snprintf(r->id, sizeof r->id, "%s", id);
	r->n = n;
	r->envelope = envelope ? xstrdup(envelope) : NULL;
	while (*end)
		end = &(*end)->next;
	*end = r;
	c->urgent = true;
}

/* One of this turn has no row yet. */
char *
store_find_signed(struct core *c, enum sovereign_kind kind, const char *id)
{
	sqlite3_stmt *s;
	char *found = NULL;

	for (const struct signed_row *r = c->signed_rows; r; r = r->next)
		if (r->kind == kind && r->envelope && strcmp(r->id, id) == 0)
			return xstrdup(r->envelope);
	s = db_use(&c->db, Q_SIGNED_GET);
	db_text(s, 1, sovereign_kind_name(kind));
	db_text(s, 2, id);
	if (db_step(&c->db, s, NULL) == 1)
		found = column_dup(s, 0);
	sqlite3_reset(s);
	return found;
}

void
store_breaker(struct core *c, const struct house *h, const struct breaker *x, const char *row)
{
	struct breaker_row *r = xcalloc(1, sizeof *r);

	r->house = h;
	memcpy(r->agent, x->agent, sizeof r->agent);
	memcpy(r->tool, x->tool, sizeof r->tool);
	memcpy(r->target, x->target, sizeof r->target);
	r->row = row ? xstrdup(row) : NULL;
	if (c->breaker_rows)
		c->breaker_rows_tail->next = r;
	else
		c->breaker_rows = r;
	c->breaker_rows_tail = r;
	c->urgent = true;
}

static int
write_breakers(struct core *c, struct err *e)
{
	for (const struct breaker_row *r = c->breaker_rows; r; r = r->next) {
		sqlite3_stmt *s = db_use(&c->db, r->row ? Q_BREAKER_PUT : Q_BREAKER_DROP);

		db_text(s, 1, r->house->name);
		db_text(s, 2, r->agent);
		db_text(s, 3, r->tool);
		db_text(s, 4, r->target);
		if (r->row)
			db_text(s, 5, r->row);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return 0;
}

void
store_routine(struct core *c, const struct house *h, const char *name, const char *row)
{
	struct routine_row *r = xcalloc(1, sizeof *r);

	r->house = h;
	snprintf(r->name, sizeof r->name, "%s", name);
	r->row = row ? xstrdup(row) : NULL;
	if (c->routine_rows)
		c->routine_rows_tail->next = r;
	else
		c->routine_rows = r;
	c->routine_rows_tail = r;
	c->urgent = true;
}

static int
write_routines(struct core *c, struct err *e)
{
	for (const struct routine_row *r = c->routine_rows; r; r = r->next) {
		sqlite3_stmt *s = db_use(&c->db, r->row ? Q_ROUTINE_PUT : Q_ROUTINE_DROP);

		db_text(s, 1, r->house->name);
		db_text(s, 2, r->name);
		if (r->row)
			db_text(s, 3, r->row);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return 0;
}

bool
store_has_use(struct core *c, const char *grant, const struct ulid *task)
{
	sqlite3_stmt *s;
	bool found;

	for (const struct use_row *r = c->use_rows; r; r = r->next)
		if (strcmp(r->grant, grant) == 0 && ulid_equal(&r->task, task))
			return true;
	s = db_use(&c->db, Q_USE_HAS);
	db_text(s, 1, grant);
	db_blob(s, 2, task, sizeof *task);
	found = db_step(&c->db, s, NULL) == 1;
	sqlite3_reset(s);
	return found;
}

void
store_use(struct core *c, const char *grant, const struct ulid *task)
{
	struct use_row *r;

	if (store_has_use(c, grant, task))
		return;
	r = xcalloc(1, sizeof *r);
	snprintf(r->grant, sizeof r->grant, "%.32s", grant);
	r->task = *task;
	r->next = c->use_rows;
	c->use_rows = r;
	c->urgent = true;
}

/* Those on disk, the newest of them. */
void
store_each_use(struct core *c, const char *grant, int max, void (*f)(void *arg, const struct ulid *task), void *arg)
{
	sqlite3_stmt *s = db_use(&c->db, Q_USE_ALL);
	struct ulid task;

	db_text(s, 1, grant);
	db_int(s, 2, max);
	while (db_step(&c->db, s, NULL) == 1)
		if (sqlite3_column_bytes(s, 0) == (int)sizeof task) {
			memcpy(&task, sqlite3_column_blob(s, 0), sizeof task);
			f(arg, &task);
		}
	sqlite3_reset(s);
}

int64_t
store_uses(struct core *c, const char *grant, const struct ulid *except)
{
	sqlite3_stmt *s = db_use(&c->db, Q_USE_COUNT);
	int64_t n;

	if (IS_MUTANT(MUTANT_GRANT_ANY_COUNT))
		return 0;
	db_text(s, 1, grant);
	db_blob(s, 2, except, sizeof *except);
	n = db_step(&c->db, s, NULL) == 1 ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	for (const struct use_row *r = c->use_rows; r; r = r->next)
		n += strcmp(r->grant, grant) == 0 && !ulid_equal(&r->task, except);
	return n;
}

static int
write_signed_row(struct core *c, const struct signed_row *r, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, r->envelope ? Q_SIGNED_PUT : Q_SIGNED_DROP);

	db_text(s, 1, sovereign_kind_name(r->kind));
	db_text(s, 2, r->id);
	if (r->envelope) {
		db_int(s, 3, r->n);
		db_text(s, 4, r->envelope);
	}
	return db_run(&c->db, s, e);
}

static int
write_signed(struct core *c, struct err *e)
{
	for (const struct signed_row *r = c->signed_rows; r; r = r->next)
		if (write_signed_row(c, r, e))
			return -1;
	for (const struct use_row *r = c->use_rows; r; r = r->next) {
		sqlite3_stmt *s = db_use(&c->db, Q_USE_PUT);

		db_text(s, 1, r->grant);
		db_blob(s, 2, &r->task, sizeof r->task);
		if (db_run(&c->db, s, e))
			return -1;
	}
	return 0;
}

void
store_release(struct core *c)
{
	for (struct signed_row *r = c->signed_rows, *next; r; r = next) {
		next = r->next;
		free(r->envelope);
		free(r);
	}
	for (struct use_row *r = c->use_rows, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	for (struct breaker_row *r = c->breaker_rows, *next; r; r = next) {
		next = r->next;
		free(r->row);
		free(r);
	}
	for (struct routine_row *r = c->routine_rows, *next; r; r = next) {
		next = r->next;
		free(r->row);
		free(r);
	}
	c->signed_rows = NULL;
	c->use_rows = NULL;
	c->breaker_rows = NULL;
	c->routine_rows = NULL;
}

static int
put_inbound(struct core *c, int mid, int64_t hash, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_IN_PUT);

	db_int(s, 1, mid);
	db_int(s, 2, hash);
	return db_run(&c->db, s, e);
}

static int
write_inbound(struct core *c, struct err *e)
{
	if (c->inbound_cleared) {
		sqlite3_stmt *s = db_use(&c->db, Q_IN_CLEAR);

		if (db_run(&c->db, s, e))
			return -1;
	}
	for (size_t i = 0; i < c->ninbound; i++) {
		int mid = c->inbound_new[i];

		if (put_inbound(c, mid, (int64_t)c->inbound[mid], e))
			return -1;
	}
	if ((c->inbound_cleared || c->inbound_broker != c->inbound_broker_stored) &&
	    put_inbound(c, INBOUND_BROKER, c->inbound_broker, e))
		return -1;
	if (c->inbound_cleared || c->inbound_last != c->inbound_stored)
		return put_inbound(c, 0, c->inbound_last, e);
	return 0;
}

static int
write_rejects(struct core *c, struct err *e)
{
	sqlite3_stmt *s;

	for (const struct reject *r = c->rejects; r; r = r->next) {
		s = db_use(&c->db, Q_REJECT);
		db_int(s, 1, c->now.wall_ms);
		db_text(s, 2, r->house);
		db_text(s, 3, r->sender);
		db_text(s, 4, r->id[0] ? r->id : NULL);
		db_blob(s, 5, r->payload.data, r->payload.len);
		db_text(s, 6, r->error.data);
		if (db_run(&c->db, s, e))
			return -1;
	}
	if (!c->rejects)
		return 0;
	s = db_use(&c->db, Q_REJECT_TRIM);
	db_int(s, 1, c->o.config->keep_rejected);
	return db_run(&c->db, s, e);
}

static int
write_tasks(struct core *c, struct err *e)
{
	for (struct task *t = c->dirty; t; t = t->next_dirty)
		if (!(IS_MUTANT(MUTANT_FORGET_DIRTY) && t != c->dirty && !t->next_dirty) && write_task(c, t, e))
			return -1;
	return 0;
}

static void
is_stored(struct core *c)
{
	c->stored_pruned_id_ms = c->pruned_id_ms;
	c->restored = false;
	c->look_ms = 0;
	for (struct task *t = c->dirty; t; t = t->next_dirty) {
		t->stored = true;
		t->dirty = false;
	}
	c->dirty = NULL;
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		h->stored_head = h->head;
		h->stored_log = h->log;
		h->stored_term = h->term;
		h->stored_doubt_ms = h->doubt_ms;
		h->terms_changed = h->mark_rows = h->sweep_rows = false;
	}
	for (struct seen *x = c->seen; x; x = x->next)
		x->stored |= seen_is_old(c, x);
	for (struct report *r = c->reports; r; r = r->next)
		r->stored = true;
	store_release(c);
	c->nseen_done = c->nreports_done = 0;
	c->nacked = 0;
	c->ninbound = 0;
	c->inbound_stored = c->inbound_last;
	c->inbound_broker_stored = c->inbound_broker;
	c->inbound_cleared = false;
	output_is_stored(c);
	audit_is_stored(c);
	learn_is_stored(c);
}

int
store_commit(struct core *c, struct err *e)
{
	if (db_exec(&c->db, "BEGIN IMMEDIATE", e))
		return -1;
	if (mark_or_sweep(c, false, e) || write_tasks(c, e) || mark_or_sweep(c, true, e) || write_outbox(c, e) ||
	    write_streams(c, e) || write_inbound(c, e) || write_seen(c, e) || write_reports(c, e) || write_signed(c, e) ||
	    write_breakers(c, e) || write_routines(c, e) || write_rejects(c, e) || output_write(c, e) || write_pruned_id(c, e) || write_look(c, e) ||
	    write_restored(c, e) || audit_write(c, e) || learn_write(c, e) || db_exec(&c->db, "COMMIT", e)) {
		sqlite3_exec(c->db.h, "ROLLBACK", NULL, NULL, NULL);
		db_shrink(&c->db);
		return -1;
	}
	is_stored(c);
	return 0;
}

bool
store_rows(struct core *c, const struct house *h, bool all, int64_t *after, int max, row_fn *f, void *arg)
{
	sqlite3_stmt *s = db_use(&c->db, all ? Q_ROWS : Q_ROWS_SINCE);
	bool more = false;

	db_text(s, 1, h->name);
	db_int(s, 2, *after);
	while (max-- > 0 && (more = db_step(&c->db, s, NULL) == 1)) {
		struct task *t = task_new(c, NULL);

		read_row(c, s, t);
		*after = all ? t->seq : t->version;
		max -= (int)(t->body_len / 1024);
		f(arg, t);
		task_free(t);
	}
	sqlite3_reset(s);
	return more;
}

/* Of grants that ended so long ago that no clock takes them for valid. */
static void
tidy_uses(struct core *c)
{
	for (size_t i = 0; i < c->ngrants; i++) {
		const struct grant *g = &c->grants[i].s.u.grant;
		sqlite3_stmt *s;

		if (g->expires_ms >= c->now.wall_ms - USES_KEPT_MS)
			continue;
		s = db_use(&c->db, Q_USE_DROP);
		db_text(s, 1, g->id);
		db_run(&c->db, s, NULL);
	}
}

int
store_put_output(struct core *c, const char *house, const struct ulid *id, int attempt, int64_t first, const char *text,
    size_t len, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, Q_OUTPUT_PUT);

	db_text(s, 1, house);
	db_blob(s, 2, id, sizeof *id);
	db_int(s, 3, attempt);
	db_int(s, 4, first);
	db_int(s, 5, c->now.wall_ms);
	db_int(s, 6, (int64_t)len);
	db_blob(s, 7, text, len);
	return db_run(&c->db, s, e);
}

void
store_each_output(struct core *c, const char *house, const struct ulid *id,
    void (*f)(void *arg, int attempt, int64_t first, const char *text, size_t len), void *arg)
{
	sqlite3_stmt *s = db_use(&c->db, Q_OUTPUT_OF);

	db_blob(s, 1, id, sizeof *id);
	db_text(s, 2, house);
	while (db_step(&c->db, s, NULL) == 1)
		f(arg, sqlite3_column_int(s, 0), sqlite3_column_int64(s, 1), sqlite3_column_blob(s, 2),
		    (size_t)sqlite3_column_bytes(s, 2));
	sqlite3_reset(s);
}

/* The oldest go: those of tasks that are forgotten too, and what is too much. */
static int64_t
tidy_output(struct core *c)
{
	int64_t old = c->now.wall_ms - c->o.config->keep_finished_s * 1000, gone[OUTPUT_TIDY_MAX], left = c->output_bytes;
	sqlite3_stmt *s = db_use(&c->db, Q_OUTPUT_OLDEST);
	int n = 0;

	db_int(s, 1, OUTPUT_TIDY_MAX);
	while (db_step(&c->db, s, NULL) == 1 && (left > c->o.config->keep_output_bytes || sqlite3_column_int64(s, 1) < old)) {
		gone[n++] = sqlite3_column_int64(s, 0);
		left -= sqlite3_column_int64(s, 2);
	}
	sqlite3_reset(s);
	return drop_rows(c, Q_OUTPUT_DROP, gone, (size_t)n, NULL) ? c->output_bytes : left;
}

/* Between turns, beside their transactions: what is lost here is only done again. */
void
store_tidy(struct core *c)
{
	sqlite3_stmt *s;
	int64_t output;

	if (db_exec(&c->db, "BEGIN IMMEDIATE", NULL))
		return;
	prune(c, PRUNE_MAX);
	write_pruned(c);
	s = db_use(&c->db, Q_PRUNE_KEYS);
	db_int(s, 1, c->now.wall_ms - c->o.config->keep_keys_s * 1000);
	db_int(s, 2, PRUNE_MAX);
	db_run(&c->db, s, NULL);
	s = db_use(&c->db, Q_SIGNED_TIDY);
	db_int(s, 1, c->now.wall_ms);
	db_run(&c->db, s, NULL);
	tidy_uses(c);
	output = c->output_bytes ? tidy_output(c) : 0;
	if (audit_prune(c) || learn_prune(c) || db_exec(&c->db, "COMMIT", NULL)) {
		sqlite3_exec(c->db.h, "ROLLBACK", NULL, NULL, NULL);
	} else {
		c->stored_pruned_id_ms = c->pruned_id_ms;
		c->output_bytes = output;
	}
	c->has_waits = c->has_waits && has_waits(c);
}

int64_t
store_list(struct core *c, const struct store_filter *f, void (*row)(void *arg, struct task *t), void *arg)
{
	sqlite3_stmt *s = db_use(&c->db, Q_LIST);
	struct task *found[TASK_LIST_MAX];
	int64_t before = f->before && f->before <= c->last_seq ? f->before : c->last_seq + 1;
	int64_t scan = f->scan ? f->scan : LIST_SCAN_MAX, from = before > scan ? before - scan : 1;
	int n = 0;

	db_int(s, 1, before);
	db_text(s, 2, f->house);
	db_int(s, 3, f->state);
	db_text(s, 4, f->tool);
	db_text(s, 5, f->sender);
	db_int(s, 6, f->limit);
	db_int(s, 7, from);
	db_text(s, 8, f->parent);
	while (n < TASK_LIST_MAX && db_step(&c->db, s, NULL) == 1)
		found[n++] = take_row(c, s);
	sqlite3_reset(s);
	for (int i = 0; i < n; i++)
		row(arg, found[i]);
	return from;
}
