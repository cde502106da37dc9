/*
 * copy.c - a copy of the agent's database while it works, for a backup: {"op":"copy"} on the local socket.
 *
 * The agent has its database to itself, so it is the one that copies, a few pages between turns, by a timer. What it
 * commits meanwhile goes into the copy as well. The file, <state>/<agent>.copy, is whoever's who asked for it; it is
 * removed when that connection goes, and when room or the agent's own writes run short.
 */
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent.h"
#include "clock.h"
#include "json.h"
#include "log.h"

#define EVERY_MS 5
#define STEP_US 1000                    /* about so long a step should take: a fifth of the loop's time, and less */
#define PAGES_FIRST 64
#define PAGES_MIN 8
#define PAGES_MAX 512
#define COPY_MAX_MS 3600000

static void
answer(struct agent *a, uint64_t conn, const struct err *e)
{
	struct buf b = { 0 };
	struct stat st;

	json_put_open(&b, '{');
	json_kv_str(&b, "type", e ? "error" : "copied");
	if (e) {
		json_put_key(&b, "error");
		json_put_err(&b, e);
	} else {
		json_kv_str(&b, "path", a->copy.path);
		json_kv_int(&b, "bytes", stat(a->copy.path, &st) ? 0 : (int64_t)st.st_size);
		json_kv_int(&b, "ms", clock_mono_ms() - a->copy.began_ms);
	}
	json_put_close(&b, '}');
	buf_addc(&b, '\n');
	socket_answer(a, conn, b.data, b.len);
	buf_free(&b);
}

static void
end(struct agent *a)
{
	uv_timer_stop(&a->copy.next);
	db_copy_end(a->copy.db);
	a->copy.db = NULL;
}

static void
fail(struct agent *a, const struct err *e)
{
	log_warnx("backup: %s", e->msg);
	end(a);
	answer(a, a->copy.conn, e);
}

/* Of the disk that the copy fills: at least min_free_bytes must be left when all of it has come. */
static int
check_room(const struct agent *a, int64_t bytes, struct err *e)
{
	const struct config *f = a->o.config;
	struct statvfs v;

	if (statvfs(f->state_dir, &v))
		return err_set(e, ERR_IO, "%s cannot be asked how much room it has", f->state_dir);
	if ((int64_t)v.f_bavail * (int64_t)v.f_frsize - bytes >= f->min_free_bytes)
		return 0;
	return err_set(e, ERR_TOO_BIG, "%s has no room for a copy of the database: %lld MB more, and limits.min_free_bytes stay free",
	    f->state_dir, (long long)(bytes >> 20));
}

static void
step(struct agent *a)
{
	struct copy *c = &a->copy;
	int64_t from = clock_mono_us(), us;
	struct err e = { 0 };
	int rc = 1;

	if (!sqlite3_get_autocommit(core_store(a->core)))
		return;
	if (clock_mono_ms() - c->began_ms > COPY_MAX_MS)
		rc = err_set(&e, ERR_TIMEOUT, "the copy took more than an hour");
	else if (check_room(a, db_copy_left(c->db), &e) || (rc = db_copy_step(c->db, c->pages, &e)) < 0)
		rc = -1;
	us = clock_mono_us() - from;
	if (us > 2 * STEP_US && c->pages > PAGES_MIN)
		c->pages /= 2;
	else if (us < STEP_US / 2 && c->pages < PAGES_MAX)
		c->pages *= 2;
	if (rc < 0) {
		fail(a, &e);
	} else if (rc == 0) {
		end(a);
		answer(a, c->conn, NULL);
	}
}

static void
next_callback(uv_timer_t *t)
{
	step(t->data);
}

static int
begin(struct agent *a, struct err *e)
{
	struct copy *c = &a->copy;
	struct stat st;
	char db[512];

	snprintf(db, sizeof db, "%s/%s.db", a->o.config->state_dir, a->o.id);
	if (check_room(a, stat(db, &st) ? 0 : (int64_t)st.st_size, e))
		return -1;
	unlink(c->path);
	return db_copy_begin(&c->db, core_store(a->core), c->path, e);
}

void
copy_begin(struct agent *a, uint64_t conn)
{
	struct copy *c = &a->copy;
	struct err e = { 0 };

	if (c->db) {
		err_busy(&e, 10, "another copy of this agent's database is being made");
		answer(a, conn, &e);
		return;
	}
	c->conn = conn;
	c->began_ms = clock_mono_ms();
	c->pages = PAGES_FIRST;
	if (a->stuck || a->phase != AGENT_RUNS)
		err_set(&e, ERR_WRONG_STATE, "the agent %s", a->stuck ? "cannot write its own database" : "stops");
	if (e.code || begin(a, &e))
		fail(a, &e);
	else
		uv_timer_start(&c->next, next_callback, 0, EVERY_MS);
}

void
copy_left(struct agent *a, uint64_t conn)
{
	if (a->copy.db && a->copy.conn == conn)
		end(a);
}

void
copy_stop(struct agent *a, const char *why)
{
	struct err e;

	if (!a->copy.db)
		return;
	err_set(&e, ERR_WRONG_STATE, "%s", why);
	fail(a, &e);
}

/* Whoever was killed left his behind. */
void
copy_init(struct agent *a)
{
	snprintf(a->copy.path, sizeof a->copy.path, "%s/%s.copy", a->o.config->state_dir, a->o.id);
	unlink(a->copy.path);
	uv_timer_init(&a->loop, &a->copy.next);
	a->copy.next.data = a;
}
