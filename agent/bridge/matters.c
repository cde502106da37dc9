#include "matters.h"

#include <string.h>

#include "buf.h"
#include "err.h"
#include "json.h"

static const char *const migrations[] = {
	"CREATE TABLE matter (row INTEGER PRIMARY KEY, repo TEXT NOT NULL, number INTEGER NOT NULL, stage INTEGER NOT NULL,"
	" source INTEGER NOT NULL, facts TEXT NOT NULL, created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL,"
	" triaged_ms INTEGER NOT NULL DEFAULT 0, adopted INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,"
	" next_ms INTEGER NOT NULL DEFAULT 0, comment INTEGER NOT NULL DEFAULT 0, rule TEXT NOT NULL DEFAULT '',"
	" house TEXT NOT NULL DEFAULT '', task TEXT NOT NULL DEFAULT '', known TEXT NOT NULL DEFAULT '',"
	" state TEXT NOT NULL DEFAULT '', shown TEXT NOT NULL DEFAULT '', outcome TEXT, UNIQUE (repo, number));"
	"CREATE INDEX matter_stage ON matter (stage, next_ms);"
	"CREATE INDEX matter_task ON matter (task) WHERE task <> '';"
	"CREATE INDEX matter_known ON matter (known) WHERE known <> '';"
	"CREATE TABLE merged (repo TEXT NOT NULL, number INTEGER NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (repo, number));"
	"CREATE TABLE cursor (repo TEXT PRIMARY KEY, since_ms INTEGER NOT NULL);"
	"CREATE TABLE delivery (n INTEGER PRIMARY KEY, id TEXT NOT NULL, at_ms INTEGER NOT NULL);"
	"CREATE TABLE sum (name TEXT PRIMARY KEY, n INTEGER NOT NULL)",
	"ALTER TABLE matter ADD COLUMN first TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE matter ADD COLUMN step INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE matter ADD COLUMN past TEXT;"
	"UPDATE matter SET first = task",
	/* See lesson.h. */
	"CREATE TABLE lesson (row INTEGER PRIMARY KEY, repo TEXT NOT NULL, number INTEGER NOT NULL, pull INTEGER NOT NULL,"
	" words BLOB NOT NULL, rule TEXT NOT NULL DEFAULT '', house TEXT NOT NULL DEFAULT '', said TEXT, truth TEXT,"
	" at_ms INTEGER NOT NULL DEFAULT 0, known INTEGER NOT NULL DEFAULT 0, UNIQUE (repo, number));"
	"CREATE INDEX lesson_truth ON lesson (at_ms) WHERE truth IS NOT NULL",
	"ALTER TABLE matter ADD COLUMN round INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE matter ADD COLUMN again INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE matter ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE matter ADD COLUMN updated_ms INTEGER NOT NULL DEFAULT 0",
};

enum {
	Q_ADD, Q_OPENED_WITH, Q_REOPEN, Q_OPENED, Q_CLOSED, Q_ROUND, Q_DUE, Q_BEHIND, Q_BY_TASK, Q_NEXT_OUT, Q_SAVE, Q_OPEN, Q_COUNT_STAGE, Q_MERGED, Q_MERGED_SINCE, Q_CURSOR,
	Q_SET_CURSOR, Q_DELIVER, Q_DELIVERIES, Q_DELIVER_PRUNE, Q_COUNT_UP, Q_SUM, Q_LATENCY_N, Q_LATENCY, Q_PRUNE,
	Q_MERGED_PRUNE, Q_COUNT
};

#define COLUMNS "row, repo, number, stage, source, facts, created_ms, seen_ms, triaged_ms, adopted, tries, next_ms, comment, rule," \
	" house, task, known, state, shown, outcome, first, step, past," \
	" (SELECT said FROM lesson l WHERE l.repo = matter.repo AND l.number = matter.number), round, again FROM matter "
#define LATEST "(SELECT triaged_ms - created_ms AS ms FROM matter WHERE source = ?1 AND triaged_ms > 0 AND adopted = 0" \
	" ORDER BY triaged_ms DESC LIMIT 10000)"

static const char *const sql[Q_COUNT] = {
	[Q_ADD] = "INSERT OR IGNORE INTO matter (repo, number, source, facts, created_ms, seen_ms, updated_ms, stage, closed, adopted, round)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, -?9)",
	[Q_ROUND] = "UPDATE matter SET round = ?3 WHERE repo = ?1 AND number = ?2 AND round < 0",
	[Q_OPENED_WITH] = "SELECT facts, round FROM matter"
	    " WHERE repo = ?1 AND number = ?2 AND closed AND stage >= 3 AND updated_ms <= ?3",
	[Q_REOPEN] = "UPDATE matter SET stage = 0, again = 1, closed = 0, facts = ?3, updated_ms = ?4, tries = 0, next_ms = 0"
	    " WHERE repo = ?1 AND number = ?2",
	[Q_OPENED] = "UPDATE matter SET closed = 0, updated_ms = ?3 WHERE repo = ?1 AND number = ?2 AND updated_ms < ?3",
	[Q_CLOSED] = "UPDATE matter SET closed = 1, updated_ms = ?3 WHERE repo = ?1 AND number = ?2 AND updated_ms <= ?3 AND NOT (closed AND updated_ms = ?3)",
	[Q_DUE] = "SELECT " COLUMNS "WHERE stage = ?1 AND next_ms <= ?2 ORDER BY next_ms, row LIMIT 1",
	[Q_BEHIND] = "SELECT " COLUMNS "WHERE stage = 2 AND next_ms <= ?1 AND state <> shown ORDER BY next_ms, row LIMIT 1",
	[Q_BY_TASK] = "SELECT " COLUMNS "WHERE (task = ?1 AND task <> '') OR (known = ?1 AND known <> '') LIMIT 1",
	[Q_NEXT_OUT] = "SELECT " COLUMNS "WHERE stage = 2 AND row > ?1 ORDER BY row LIMIT 1",
	[Q_SAVE] = "UPDATE matter SET stage = ?2, triaged_ms = ?3, adopted = ?4, tries = ?5, next_ms = ?6, comment = ?7, rule = ?8,"
	    " house = ?9, task = ?10, known = ?11, state = ?12, shown = ?13, outcome = ?14, facts = ?15, first = ?16,"
	    " step = ?17, past = ?18, round = ?19, again = ?20 WHERE row = ?1",
	[Q_OPEN] = "SELECT count(*) FROM matter WHERE stage IN (0, 1, 2)",
	[Q_COUNT_STAGE] = "SELECT count(*) FROM matter WHERE stage = ?1",
	[Q_MERGED] = "INSERT OR IGNORE INTO merged VALUES (?1, ?2, ?3)",
	[Q_MERGED_SINCE] = "SELECT count(*) FROM merged WHERE at_ms >= ?1",
	[Q_CURSOR] = "SELECT since_ms FROM cursor WHERE repo = ?1",
	[Q_SET_CURSOR] = "INSERT OR REPLACE INTO cursor VALUES (?1, ?2)",
	[Q_DELIVER] = "INSERT INTO delivery (id, at_ms) VALUES (?1, ?2)",
	[Q_DELIVERIES] = "SELECT id FROM delivery ORDER BY n",
	[Q_DELIVER_PRUNE] = "DELETE FROM delivery WHERE n <= (SELECT max(n) FROM delivery) - ?1",
	[Q_COUNT_UP] = "INSERT INTO sum VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET n = n + ?2",
	[Q_SUM] = "SELECT n FROM sum WHERE name = ?1",
	[Q_LATENCY_N] = "SELECT count(*) FROM " LATEST,
	[Q_LATENCY] = "SELECT ms FROM " LATEST " ORDER BY ms LIMIT 1 OFFSET ?2",
	[Q_PRUNE] = "DELETE FROM matter WHERE row IN (SELECT row FROM matter WHERE stage >= 3 ORDER BY row DESC LIMIT -1 OFFSET ?1)",
	[Q_MERGED_PRUNE] = "DELETE FROM merged WHERE rowid IN (SELECT rowid FROM merged ORDER BY at_ms DESC LIMIT -1 OFFSET ?1)",
};

static const char *const stages[MATTER_NSTAGES] = {
#define X(sym, name) [sym] = name,
	MATTER_STAGES(X)
#undef X
};

const char *
matter_stage_name(enum matter_stage s)
{
	return stages[s];
}

int
matters_store_version(void)
{
	return (int)(sizeof migrations / sizeof *migrations);
}

int
matters_open(struct matters *m, const char *path, struct err *e)
{
	return db_open(&m->db, path, DB_OWN, NULL, migrations, matters_store_version(), sql, Q_COUNT, e);
}

void
matters_close(struct matters *m)
{
	db_close(&m->db);
}

int
matters_begin(struct matters *m, struct err *e)
{
	return db_exec(&m->db, "BEGIN IMMEDIATE", e);
}

int
matters_commit(struct matters *m, struct err *e)
{
	return db_exec(&m->db, "COMMIT", e);
}

/* How many rows that changed. */
static int
run(struct matters *m, sqlite3_stmt *s, struct err *e)
{
	return db_run(&m->db, s, e) ? -1 : sqlite3_changes(m->db.h);
}

static sqlite3_stmt *
use_for(struct matters *m, int q, const cJSON *facts)
{
	sqlite3_stmt *s = db_use(&m->db, q);

	db_text(s, 1, json_text(facts, "repo"));
	db_int(s, 2, json_number(facts, "number", 0));
	return s;
}

/* 0: it is there already. */
static int
insert(struct matters *m, const cJSON *facts, enum matter_source source, bool closed, int64_t now_ms, struct err *e)
{
	sqlite3_stmt *s = use_for(m, Q_ADD, facts);
	struct buf text = { 0 };
	int rc;

	json_put_tree(&text, facts);
	db_int(s, 3, source);
	db_textn(s, 4, text.data, text.len);
	db_int(s, 5, json_number(facts, "created", 0));
	db_int(s, 6, now_ms);
	db_int(s, 7, json_number(facts, "updated", 0));
	db_int(s, 8, closed ? MATTER_DONE : MATTER_NEW);
	db_int(s, 9, closed);
	rc = run(m, s, e);
	buf_free(&text);
	return rc;
}

/* Its labels when it was opened first, as far as that was seen; the caller frees them. 1: it was done, and closed. */
static int
opened_with(struct matters *m, const cJSON *facts, cJSON **labels, struct err *e)
{
	sqlite3_stmt *s = use_for(m, Q_OPENED_WITH, facts);
	cJSON *old;
	int rc;

	db_int(s, 3, json_number(facts, "updated", 0));
	if ((rc = db_step(&m->db, s, e)) == 1) {
		old = cJSON_Parse((const char *)sqlite3_column_text(s, 0));
		*labels = cJSON_DetachItemFromObjectCaseSensitive(old, EVENT_OPENED_WITH);
		if (!*labels && sqlite3_column_int(s, 1) >= 0)
			*labels = cJSON_DetachItemFromObjectCaseSensitive(old, "labels");
		if (!*labels)
			*labels = cJSON_CreateArray();
		cJSON_Delete(old);
	}
	sqlite3_reset(s);
	return rc;
}

/* 1: it is opened again. */
static int
reopen(struct matters *m, const cJSON *facts, struct err *e)
{
	struct buf text = { 0 };
	cJSON *labels, *now;
	sqlite3_stmt *s;
	int rc = opened_with(m, facts, &labels, e);

	if (rc != 1) {
		s = use_for(m, Q_OPENED, facts);
		db_int(s, 3, json_number(facts, "updated", 0));
		return rc < 0 || db_run(&m->db, s, e) ? -1 : 0;
	}
	now = cJSON_Duplicate(facts, true);
	cJSON_AddItemToObject(now, EVENT_OPENED_WITH, labels);
	json_put_tree(&text, now);
	cJSON_Delete(now);
	s = use_for(m, Q_REOPEN, facts);
	db_textn(s, 3, text.data, text.len);
	db_int(s, 4, json_number(facts, "updated", 0));
	rc = run(m, s, e);
	buf_free(&text);
	return rc;
}

int
matters_add(struct matters *m, const cJSON *facts, enum matter_source source, bool young, int64_t now_ms, struct err *e)
{
	int rc = young ? insert(m, facts, source, false, now_ms, e) : 0;

	return rc ? rc : reopen(m, facts, e);
}

int
matters_closed(struct matters *m, const cJSON *facts, enum matter_source source, bool young, int64_t now_ms, struct err *e)
{
	sqlite3_stmt *s = use_for(m, Q_CLOSED, facts);
	int rc;

	db_int(s, 3, json_number(facts, "updated", 0));
	rc = run(m, s, e);
	if (rc == 0 && young)
		rc = insert(m, facts, source, true, now_ms, e);
	return rc < 0 ? -1 : 0;
}

int
matters_merged(struct matters *m, const char *repo, int64_t number, int64_t merged_ms, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_MERGED);

	db_text(s, 1, repo);
	db_int(s, 2, number);
	db_int(s, 3, merged_ms);
	return db_run(&m->db, s, e) ? -1 : sqlite3_changes(m->db.h) > 0;
}

int
matters_round(struct matters *m, const char *repo, int64_t number, int round, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_ROUND);

	db_text(s, 1, repo);
	db_int(s, 2, number);
	db_int(s, 3, round);
	return db_run(&m->db, s, e);
}

int
matters_doubt(struct matters *m, struct err *e)
{
	return db_exec(&m->db, "UPDATE matter SET closed = 0 WHERE round < 0", e);
}

static void
get_text(sqlite3_stmt *s, int i, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(s, i);

	snprintf(out, size, "%s", text ? text : "");
}

static char *
take_text(sqlite3_stmt *s, int i)
{
	const char *text = (const char *)sqlite3_column_text(s, i);

	return text ? xstrdup(text) : NULL;
}

static int
read_row(struct matters *m, sqlite3_stmt *s, struct matter *x, struct err *e)
{
	int rc = db_step(&m->db, s, e);

	*x = (struct matter){ 0 };
	if (rc != 1)
		return rc;
	x->row = sqlite3_column_int64(s, 0);
	get_text(s, 1, x->repo, sizeof x->repo);
	x->number = sqlite3_column_int64(s, 2);
	x->stage = (enum matter_stage)sqlite3_column_int(s, 3);
	x->source = (enum matter_source)sqlite3_column_int(s, 4);
	x->facts = cJSON_Parse((const char *)sqlite3_column_text(s, 5));
	x->created_ms = sqlite3_column_int64(s, 6);
	x->seen_ms = sqlite3_column_int64(s, 7);
	x->triaged_ms = sqlite3_column_int64(s, 8);
	x->adopted = sqlite3_column_int(s, 9) != 0;
	x->tries = sqlite3_column_int(s, 10);
	x->next_ms = sqlite3_column_int64(s, 11);
	x->comment = sqlite3_column_int64(s, 12);
	get_text(s, 13, x->rule, sizeof x->rule);
	get_text(s, 14, x->house, sizeof x->house);
	get_text(s, 15, x->task, sizeof x->task);
	get_text(s, 16, x->known, sizeof x->known);
	get_text(s, 17, x->state, sizeof x->state);
	get_text(s, 18, x->shown, sizeof x->shown);
	x->outcome = take_text(s, 19);
	get_text(s, 20, x->first, sizeof x->first);
	x->step = (size_t)sqlite3_column_int(s, 21);
	x->past = take_text(s, 22);
	x->said = take_text(s, 23);
	x->round = sqlite3_column_int(s, 24);
	x->again = sqlite3_column_int(s, 25);
	sqlite3_reset(s);
	return 1;
}

int
matters_due(struct matters *m, enum matter_stage stage, int64_t now_ms, struct matter *out, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_DUE);

	db_int(s, 1, stage);
	db_int(s, 2, now_ms);
	return read_row(m, s, out, e);
}

int
matters_behind(struct matters *m, int64_t now_ms, struct matter *out, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_BEHIND);

	db_int(s, 1, now_ms);
	return read_row(m, s, out, e);
}

int
matters_by_task(struct matters *m, const char *task, struct matter *out, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_BY_TASK);

	db_text(s, 1, task);
	return read_row(m, s, out, e);
}

int
matters_next_out(struct matters *m, int64_t after_row, struct matter *out, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_NEXT_OUT);

	db_int(s, 1, after_row);
	return read_row(m, s, out, e);
}

int
matters_save(struct matters *m, const struct matter *x, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_SAVE);
	struct buf facts = { 0 };
	int rc;

	json_put_tree(&facts, x->facts);
	db_int(s, 1, x->row);
	db_int(s, 2, x->stage);
	db_int(s, 3, x->triaged_ms);
	db_int(s, 4, x->adopted);
	db_int(s, 5, x->tries);
	db_int(s, 6, x->next_ms);
	db_int(s, 7, x->comment);
	db_text(s, 8, x->rule);
	db_text(s, 9, x->house);
	db_text(s, 10, x->task);
	db_text(s, 11, x->known);
	db_text(s, 12, x->state);
	db_text(s, 13, x->shown);
	db_text(s, 14, x->outcome);
	db_textn(s, 15, facts.data, facts.len);
	db_text(s, 16, x->first);
	db_int(s, 17, (int64_t)x->step);
	db_text(s, 18, x->past);
	db_int(s, 19, x->round);
	db_int(s, 20, x->again);
	rc = db_run(&m->db, s, e);
	buf_free(&facts);
	return rc;
}

void
matter_release(struct matter *x)
{
	cJSON_Delete(x->facts);
	free(x->outcome);
	free(x->past);
	free(x->said);
	*x = (struct matter){ 0 };
}

/* The first column of the only row; 0 if there is none. */
static int64_t
one_number(struct matters *m, sqlite3_stmt *s)
{
	int64_t n = db_step(&m->db, s, NULL) == 1 ? sqlite3_column_int64(s, 0) : 0;

	sqlite3_reset(s);
	return n;
}

int64_t
matters_open_count(struct matters *m)
{
	return one_number(m, db_use(&m->db, Q_OPEN));
}

int64_t
matters_count(struct matters *m, enum matter_stage stage)
{
	sqlite3_stmt *s = db_use(&m->db, Q_COUNT_STAGE);

	db_int(s, 1, stage);
	return one_number(m, s);
}

int64_t
matters_cursor(struct matters *m, const char *repo)
{
	sqlite3_stmt *s = db_use(&m->db, Q_CURSOR);

	db_text(s, 1, repo);
	return one_number(m, s);
}

int
matters_set_cursor(struct matters *m, const char *repo, int64_t since_ms, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_SET_CURSOR);

	db_text(s, 1, repo);
	db_int(s, 2, since_ms);
	return db_run(&m->db, s, e);
}

int
matters_deliver(struct matters *m, const char *id, int64_t now_ms, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_DELIVER);

	db_text(s, 1, id);
	db_int(s, 2, now_ms);
	return db_run(&m->db, s, e);
}

void
matters_deliveries(struct matters *m, void (*each)(void *arg, const char *id), void *arg)
{
	sqlite3_stmt *s = db_use(&m->db, Q_DELIVERIES);

	while (db_step(&m->db, s, NULL) == 1)
		each(arg, (const char *)sqlite3_column_text(s, 0));
}

int
matters_count_up(struct matters *m, const char *name, int64_t by, struct err *e)
{
	sqlite3_stmt *s = db_use(&m->db, Q_COUNT_UP);

	db_text(s, 1, name);
	db_int(s, 2, by);
	return db_run(&m->db, s, e);
}

int64_t
matters_sum(struct matters *m, const char *name)
{
	sqlite3_stmt *s = db_use(&m->db, Q_SUM);

	db_text(s, 1, name);
	return one_number(m, s);
}

int64_t
matters_latency(struct matters *m, enum matter_source source, double share, int64_t *n)
{
	sqlite3_stmt *s = db_use(&m->db, Q_LATENCY_N);
	int64_t at;

	db_int(s, 1, source);
	*n = one_number(m, s);
	at = (int64_t)(share * (double)*n);
	s = db_use(&m->db, Q_LATENCY);
	db_int(s, 1, source);
	db_int(s, 2, at < *n ? at : *n - 1);
	return *n ? one_number(m, s) : 0;
}

int64_t
matters_merged_since(struct matters *m, int64_t since_ms)
{
	sqlite3_stmt *s = db_use(&m->db, Q_MERGED_SINCE);

	db_int(s, 1, since_ms);
	return one_number(m, s);
}

int
matters_prune(struct matters *m, struct err *e)
{
	static const struct {
		int q;
		int64_t most;
	} bounds[] = {
		{ Q_PRUNE, MATTERS_DONE_MAX },
		{ Q_MERGED_PRUNE, MATTERS_DONE_MAX },
		{ Q_DELIVER_PRUNE, MATTERS_DELIVERIES_MAX },
	};

	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		sqlite3_stmt *s = db_use(&m->db, bounds[i].q);

		db_int(s, 1, bounds[i].most);
		if (db_run(&m->db, s, e))
			return -1;
	}
	return 0;
}
