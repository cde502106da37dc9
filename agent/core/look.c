/*
 * look.c - what shows whether this agent can do its work: its store, its pulse, its clock.
 */
#include <stdlib.h>
#include <string.h>

#include "state.h"

#define HEARD_MS 5000
#define LOOK_WHOLE_BYTES (2 << 20)      /* a store up to this size is checked whole, which takes some 5 ms */

/* One number or text; out may be NULL. */
static int
ask(struct core *c, const char *q, int64_t bound, int64_t *n, char *text, size_t size, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(c->db.h, q, -1, &s, NULL);

	if (rc == SQLITE_OK) {
		if (sqlite3_bind_parameter_count(s))
			db_int(s, 1, bound);
		rc = sqlite3_step(s);
	}
	if (rc == SQLITE_ROW && n)
		*n = sqlite3_column_int64(s, 0);
	if (rc == SQLITE_ROW && text)
		snprintf(text, size, "%s", (const char *)sqlite3_column_text(s, 0));
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : err_set(e, ERR_STORE, "database: %s", sqlite3_errmsg(c->db.h));
}

static int
look_whole(struct core *c, struct err *e)
{
	char said[200] = "";

	if (ask(c, "PRAGMA quick_check(1)", 0, NULL, said, sizeof said, e))
		return -1;
	return strcmp(said, "ok") == 0 ? 0 : err_set(e, ERR_STORE, "database: %s", said);
}

/* The ends of the tables that grow, and of the tasks a piece more each time. */
static int
look_piece(struct core *c, struct err *e)
{
	static const char *const ends[] = {
		"SELECT count(*) FROM sqlite_schema",
		"SELECT count(*) FROM (SELECT * FROM tasks NOT INDEXED ORDER BY seq DESC LIMIT 50)",
		"SELECT count(*) FROM (SELECT id FROM tasks ORDER BY id DESC LIMIT 50)",
		"SELECT count(*) FROM (SELECT * FROM outbox ORDER BY seq DESC LIMIT 50)",
		"SELECT count(*) FROM (SELECT * FROM audit ORDER BY page DESC LIMIT 50)",
		"SELECT count(*) FROM (SELECT * FROM meta)",
		"SELECT count(*) FROM (SELECT * FROM streams)",
	};

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (ask(c, ends[i], 0, NULL, NULL, 0, e))
			return -1;
	return ask(c, "SELECT coalesce(max(seq), 0) FROM (SELECT seq, length(outcome) FROM tasks NOT INDEXED WHERE seq > ?1"
	    " ORDER BY seq LIMIT 500)", c->looked_seq, &c->looked_seq, NULL, 0, e);
}

int
core_look(struct core *c, struct err *e)
{
	int64_t pages = 0, size = 0;

	/* What is in memory may be better than what the disk has now. */
	sqlite3_db_release_memory(c->db.h);
	if (ask(c, "PRAGMA page_count", 0, &pages, NULL, 0, e) || ask(c, "PRAGMA page_size", 0, &size, NULL, 0, e) ||
	    (pages * size <= LOOK_WHOLE_BYTES ? look_whole(c, e) : look_piece(c, e)))
		return -1;
	c->look_ms = c->now.wall_ms;
	c->urgent = true;
	return 0;
}

int64_t
core_pulse_made_ms(const struct core *c)
{
	if (!c->up)
		return 0;
	return c->pulse_ms > c->up_mono_ms ? c->pulse_ms : c->up_mono_ms;
}

static int
by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int
core_clock_skew(const struct core *c, int64_t *ms)
{
	int64_t all[64];
	int n = 0;

	for (int i = 0; i < c->npeers && n < 64; i++)
		if (peer_is_alive(c, &c->peers[i], HEARD_MS))
			all[n++] = c->peers[i].skew_ms;
	if (!n)
		return 0;
	qsort(all, (size_t)n, sizeof *all, by_size);
	/* With two of them the better. */
	*ms = all[n / 2];
	if (n % 2 == 0 && llabs(all[n / 2 - 1]) < llabs(*ms))
		*ms = all[n / 2 - 1];
	return n;
}

const struct histogram *
core_task_times(const struct core *c)
{
	return &c->task_times;
}
