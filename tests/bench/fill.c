/*
 * fill.c - fills an agent's store with finished tasks, by copying those that it has under new ids.
 *
 * fill STORE COUNT: until STORE holds COUNT finished tasks. The agent must not run. Only the columns seq, id
 * and finished_ms are known here; the rest of a row is copied as it is.
 */
#include <sqlite3.h>

#include "log.h"

static sqlite3 *db;

static void
run(const char *sql)
{
	char *why;

	if (sqlite3_exec(db, sql, NULL, NULL, &why))
		fatalx("fill: %s: %s", sql, why);
}

static long long
number(const char *sql)
{
	sqlite3_stmt *s;
	long long n;

	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) || sqlite3_step(s) != SQLITE_ROW)
		fatalx("fill: %s: %s", sql, sqlite3_errmsg(db));
	n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

int
main(int argc, char **argv)
{
	static const char finished[] = "SELECT count(*) FROM tasks WHERE finished_ms IS NOT NULL";
	long long want, have;
	char sql[256];

	if (argc != 3)
		fatalx("usage: fill STORE COUNT");
	if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL))
		fatalx("fill: %s: %s", argv[1], sqlite3_errmsg(db));
	want = strtoll(argv[2], NULL, 10);
	run("PRAGMA synchronous=OFF; PRAGMA cache_size=-1000000; PRAGMA temp_store=MEMORY;"
	    "PRAGMA wal_autocheckpoint=100000; BEGIN IMMEDIATE;"
	    "CREATE TEMP TABLE sample AS SELECT * FROM tasks WHERE finished_ms IS NOT NULL LIMIT 50000");
	have = number(finished);
	if (have == 0)
		fatalx("fill: %s has no finished task to copy", argv[1]);
	while (have < want) {
		/* The first six bytes of an id are its time. */
		run("UPDATE sample SET seq = (SELECT max(seq) FROM tasks) + sample.rowid,"
		    " id = substr(id, 1, 6) || randomblob(10)");
		snprintf(sql, sizeof sql, "INSERT INTO tasks SELECT * FROM sample LIMIT %lld", want - have);
		run(sql);
		have = number(finished);
	}
	run("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
	sqlite3_close(db);
	return 0;
}
