/* Databases of earlier versions, as their programs left them (tests/unit/stores/), opened with this program: every row is
 * still there. Whatever interrupts that leaves the former one whole, and one of a later program is not touched. */
#include "coretest.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "db.h"
#include "hermes_book.h"
#include "keep.h"
#include "log.h"
#include "matters.h"

/* The fifth step became the sixth once: "13-of-5" went through that. */
static const struct {
	const char *name;
	int version;
} agents[] = {
	{ "agent-1", 1 }, { "agent-2", 2 }, { "agent-4", 4 }, { "agent-5", 5 }, { "agent-13", 13 }, { "agent-13-of-5", 13 },
};

#define EACH(i) for (size_t i = 0; i < sizeof agents / sizeof *agents; i++)

/* ---- a store from its text, and what is in one ---- */

static char *
slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;
	size_t cap = 0, n = 0;

	if (!f)
		return NULL;
	do {
		cap += 65536;
		text = xrealloc(text, cap + 1);
		n += fread(text + n, 1, cap - n, f);
	} while (n == cap);
	fclose(f);
	text[n] = '\0';
	*len = n;
	return text;
}

static void
make_store(const char *path, const char *name)
{
	char from[128], log[160], *sql, *said = NULL;
	sqlite3 *h;
	size_t len;

	snprintf(from, sizeof from, "tests/unit/stores/%s.sql", name);
	sql = slurp(from, &len);
	if (!sql)
		fail_msg("%s is missing", from);
	/* A log beside it would be taken for its own. */
	snprintf(log, sizeof log, "%s-wal", path);
	unlink(log);
	unlink(path);
	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	if (sqlite3_exec(h, sql, NULL, NULL, &said) || sqlite3_exec(h, "PRAGMA journal_mode=WAL", NULL, NULL, &said))
		fail_msg("%s: %s", from, said);
	sqlite3_close(h);
	free(sql);
}

static char *
text_of(const char *path, const char *sql)
{
	sqlite3_stmt *s = NULL;
	char *text = NULL;
	sqlite3 *h;

	assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
	if (sqlite3_prepare_v2(h, sql, -1, &s, NULL) || sqlite3_step(s) != SQLITE_ROW)
		fail_msg("%s: %s", path, sqlite3_errmsg(h));
	text = xstrdup(sqlite3_column_text(s, 0) ? (const char *)sqlite3_column_text(s, 0) : "");
	sqlite3_finalize(s);
	sqlite3_close(h);
	return text;
}

static int64_t
number_of(const char *path, const char *sql)
{
	char *text = text_of(path, sql);
	int64_t n = strtoll(text, NULL, 10);

	free(text);
	return n;
}

/* What must be the same before and after, by columns that each version has. */
#define TASKS "SELECT group_concat(hex(id) || house || state || tool || sender || body || attempt || ifnull(key, '') ||" \
	" ifnull(outcome, '') || ifnull(due_ms, ''), '|') FROM (SELECT * FROM tasks ORDER BY seq)"
#define REST "SELECT (SELECT group_concat(house || key || hex(id)) FROM (SELECT * FROM keys ORDER BY house, key)) || '|' ||" \
	" (SELECT group_concat(house || head) FROM (SELECT * FROM streams ORDER BY house))"
#define STORE "SELECT value FROM meta WHERE name = 'store'"
#define SCHEMA "SELECT group_concat(sql, x'0a') FROM (SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name)"

struct content {
	char *tasks, *rest;
};

static struct content
content_of(const char *path)
{
	return (struct content){ text_of(path, TASKS), text_of(path, REST) };
}

static void
assert_same(const char *path, struct content *was)
{
	struct content is = content_of(path);

	assert_true(strlen(was->tasks) > 100);
	assert_string_equal(is.tasks, was->tasks);
	assert_string_equal(is.rest, was->rest);
	free(is.tasks);
	free(is.rest);
}

static void
content_free(struct content *c)
{
	free(c->tasks);
	free(c->rest);
}

/* ---- the agent's ---- */

static struct coretest t;
static char former[128], other[128];

static int
setup(void **state)
{
	(void)state;
	ct_setup(&t, NULL);
	snprintf(former, sizeof former, "%s/former.db", t.dir);
	snprintf(other, sizeof other, "%s/other.db", t.dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ct_teardown(&t);
	return 0;
}

/* The core is of this store from here on. */
static void
begin_with(const char *name)
{
	core_close(t.core);
	make_store(ct_store(&t), name);
	ct_open(&t);
}

static void
each_store_of_before_is_brought_to_now_with_all_it_had(void **state)
{
	char *schema;

	(void)state;
	core_close(t.core);
	schema = text_of(ct_store(&t), SCHEMA);
	EACH(i) {
		struct content was;
		char *now;

		make_store(ct_store(&t), agents[i].name);
		was = content_of(ct_store(&t));
		ct_open(&t);
		core_close(t.core);
		assert_same(ct_store(&t), &was);
		assert_int_equal(number_of(ct_store(&t), "PRAGMA user_version"), core_store_version());
		now = text_of(ct_store(&t), SCHEMA);
		assert_string_equal(now, schema);
		free(now);
		content_free(&was);
	}
	free(schema);
	ct_open(&t);
}

static void
a_house_goes_on_with_a_store_of_before(void **state)
{
	(void)state;
	EACH(i) {
		char old[ULID_TEXT], *tasks;
		struct ulid u;
		char *hex;

		make_store(former, agents[i].name);
		hex = text_of(former, "SELECT hex(id) FROM tasks WHERE house = 'ezra' AND state = 9");
		for (int k = 0; k < 16; k++)
			sscanf(hex + 2 * k, "%2hhx", &u.b[k]);
		ulid_format(&u, old);
		free(hex);
		begin_with(agents[i].name);
		t.idle = 4;
		t.quick = 64;
		ct_up(&t, false);
		assert_int_equal(ct_turn(&t), 0);
		assert_string_equal(ct_state(&t, old), "succeeded");
		/* One that waits for a task of before needs what was added last. */
		ct_taskf(&t, "ezra", "me", "{'tool':'noop','id':'%s','after':['%s']}", ct_id(1), old);
		ct_turn(&t);
		ct_turn(&t);
		ct_end_all(&t);
		ct_turn(&t);
		assert_string_equal(ct_state(&t, ct_id(1)), "succeeded");
		tasks = text_of(former, "SELECT count(*) FROM tasks");
		assert_int_equal(ct_sql(&t, "SELECT count(*) FROM tasks"), strtoll(tasks, NULL, 10) + 1);
		free(tasks);
		ct_forget(&t);
	}
}

/* ---- newer ---- */

static int
open_core(struct err *e)
{
	struct core *c = NULL;
	int rc = core_open(&c, &(struct core_opts){ .config = &t.config, .tools = t.tools, .agent = t.agent, .store_path = former,
	    .seed = 1, .secret = "s", .version = "4", .host = "here" }, t.now, e);

	core_close(c);
	return rc;
}

/* Its log holds what its program wrote last, as after a crash: that is in the copy, and nobody has it open. */
static void
make_newer(void)
{
	char text[64], log[160], *bytes;
	sqlite3 *h;
	size_t len;

	make_store(other, "agent-13");
	assert_int_equal(sqlite3_open(other, &h), SQLITE_OK);
	snprintf(text, sizeof text, "PRAGMA user_version = %d", core_store_version() + 1);
	assert_int_equal(sqlite3_exec(h, text, NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < 2; i++) {
		FILE *f;

		snprintf(log, sizeof log, "%s%s", other, i ? "-wal" : "");
		bytes = slurp(log, &len);
		assert_non_null(bytes);
		assert_true(len > 0);
		snprintf(log, sizeof log, "%s%s", former, i ? "-wal" : "");
		f = fopen(log, "wb");
		assert_int_equal(fwrite(bytes, 1, len, f), len);
		fclose(f);
		free(bytes);
	}
	sqlite3_close(h);
}

static void
a_newer_store_is_refused_and_stays_as_it_is_byte_for_byte(void **state)
{
	size_t len[2], now_len;
	char log[160], *bytes[2], *now;
	struct err e;

	(void)state;
	make_newer();
	snprintf(log, sizeof log, "%s-wal", former);
	bytes[0] = slurp(former, &len[0]);
	bytes[1] = slurp(log, &len[1]);
	for (int i = 0; i < 2; i++) {
		char version[64];

		assert_int_equal(keep_before(former, core_store_version(), t.now.wall_ms, &e), 0);
		assert_int_equal(open_core(&e), -1);
		assert_int_equal(e.code, ERR_STORE);
		snprintf(version, sizeof version, "has version %d, ", core_store_version() + 1);
		assert_non_null(strstr(e.msg, version));
		snprintf(version, sizeof version, "knows up to %d", core_store_version());
		assert_non_null(strstr(e.msg, version));
		assert_non_null(strstr(e.msg, former));
		assert_non_null(strstr(e.msg, "use the newer program"));
	}
	now = slurp(former, &now_len);
	assert_int_equal(now_len, len[0]);
	assert_memory_equal(now, bytes[0], now_len);
	free(now);
	now = slurp(log, &now_len);
	assert_non_null(now);
	assert_int_equal(now_len, len[1]);
	assert_memory_equal(now, bytes[1], now_len);
	free(now);
	free(bytes[0]);
	free(bytes[1]);
	snprintf(log, sizeof log, "%s.before", former);
	assert_int_equal(access(log, F_OK), -1);
}

/* ---- interrupted ---- */

static int steps_left, pages_max;

static int
die(void *arg)
{
	(void)arg;
	if (steps_left-- == 0)
		raise(SIGKILL);
	return 0;
}

/* For each connection that is opened. */
static int
spoil(sqlite3 *h, char **said, const struct sqlite3_api_routines *api)
{
	char sql[64];

	(void)said;
	(void)api;
	snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", pages_max);
	if (pages_max)
		sqlite3_exec(h, sql, NULL, NULL, NULL);
	if (steps_left >= 0)
		sqlite3_progress_handler(h, 1, die, NULL);
	return SQLITE_OK;
}

static void
spoiling(bool on)
{
	if (on)
		sqlite3_auto_extension((void (*)(void))spoil);
	else
		sqlite3_cancel_auto_extension((void (*)(void))spoil);
}

/* True if it came to its end. */
static bool
dies_after(int steps)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err e;

		steps_left = steps;
		spoiling(true);
		_exit(open_core(&e) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return !WIFSIGNALED(status);
}

/* Killed anywhere in it, it is of the former version or of ours, never between; and then it goes on. */
static void
no_point_of_death_leaves_a_store_between_versions(void **state)
{
	int deaths = 0;

	(void)state;
	EACH(i) {
		bool over = false;

		for (int steps = 0; !over; steps += 1 + steps / 2) {
			struct content was;
			int64_t version;

			make_store(former, agents[i].name);
			was = content_of(former);
			over = dies_after(steps);
			deaths += !over;
			version = number_of(former, "PRAGMA user_version");
			assert_true(version == agents[i].version || version == core_store_version());
			assert_same(former, &was);
			assert_int_equal(open_core(&t.e), 0);
			assert_same(former, &was);
			content_free(&was);
		}
	}
	assert_true(deaths > 60);
}

static void
a_full_disk_leaves_the_former_store(void **state)
{
	struct content was;
	struct err e;
	char *schema;

	(void)state;
	make_store(former, "agent-1");
	was = content_of(former);
	schema = text_of(former, SCHEMA);
	steps_left = -1;
	for (int more = 0; more < 6; more++) {
		char *now;

		pages_max = (int)number_of(former, "PRAGMA page_count") + more;
		spoiling(true);
		assert_int_equal(open_core(&e), -1);
		spoiling(false);
		assert_non_null(strstr(e.msg, "bringing it from version 1 to "));
		assert_non_null(strstr(e.msg, "full"));
		assert_int_equal(number_of(former, "PRAGMA user_version"), 1);
		now = text_of(former, SCHEMA);
		assert_string_equal(now, schema);
		free(now);
		assert_same(former, &was);
	}
	pages_max = 0;
	assert_int_equal(open_core(&e), 0);
	assert_same(former, &was);
	content_free(&was);
	free(schema);
}

/* ---- what is kept ---- */

static void
what_was_is_kept_with_another_life(void **state)
{
	char before[160], log[160];
	struct err e;

	(void)state;
	snprintf(before, sizeof before, "%s.before", former);
	snprintf(log, sizeof log, "%s-wal", former);
	EACH(i) {
		struct content was;
		char *store[2];

		make_store(former, agents[i].name);
		was = content_of(former);
		assert_int_equal(keep_before(former, core_store_version(), t.now.wall_ms, &e), 0);
		assert_same(former, &was);
		assert_same(before, &was);
		assert_int_equal(number_of(before, "PRAGMA user_version"), agents[i].version);
		store[0] = text_of(former, STORE);
		store[1] = text_of(before, STORE);
		assert_string_not_equal(store[0], store[1]);
		free(store[0]);
		free(store[1]);
		if (agents[i].version >= 4) {
			assert_int_equal(number_of(before, "SELECT count(*) FROM audit"), 0);
			assert_true(number_of(former, "SELECT count(*) FROM audit") > 0);
		}
		/* It is a store like any other. */
		unlink(log);
		assert_int_equal(rename(before, former), 0);
		assert_int_equal(open_core(&e), 0);
		assert_same(former, &was);
		content_free(&was);
	}
}

static void
nothing_is_kept_of_a_store_of_now_or_none(void **state)
{
	char before[160];
	struct err e;

	(void)state;
	snprintf(before, sizeof before, "%s.before", former);
	assert_int_equal(keep_before(former, core_store_version(), t.now.wall_ms, &e), 0);
	make_store(former, "agent-13");
	assert_int_equal(keep_before(former, 13, t.now.wall_ms, &e), 0);
	assert_int_equal(access(before, F_OK), -1);
}

static void
without_room_for_a_copy_nothing_is_changed(void **state)
{
	struct rlimit was_limit, limit;
	char path[160];
	struct err e;
	struct content was;

	(void)state;
	make_store(former, "agent-13");
	was = content_of(former);
	getrlimit(RLIMIT_FSIZE, &was_limit);
	limit = (struct rlimit){ .rlim_cur = 16384, .rlim_max = was_limit.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(keep_before(former, core_store_version(), t.now.wall_ms, &e), -1);
	setrlimit(RLIMIT_FSIZE, &was_limit);
	assert_non_null(strstr(e.msg, "room"));
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s.before%s", former, i ? "-new" : "");
		assert_int_equal(access(path, F_OK), -1);
	}
	assert_int_equal(number_of(former, "PRAGMA user_version"), 13);
	assert_same(former, &was);
	content_free(&was);
}

static void
what_was_kept_long_ago_goes(void **state)
{
	char before[160];
	struct err e;
	struct stat st;
	int64_t day = 24 * 3600 * INT64_C(1000), made;

	(void)state;
	snprintf(before, sizeof before, "%s.before", former);
	make_store(former, "agent-5");
	assert_int_equal(keep_before(former, core_store_version(), t.now.wall_ms, &e), 0);
	assert_int_equal(stat(before, &st), 0);
	made = (int64_t)st.st_mtime * 1000;
	assert_int_equal(open_core(&e), 0);
	assert_int_equal(keep_before(former, core_store_version(), made + (KEEP_DAYS - 1) * day, &e), 0);
	assert_int_equal(access(before, F_OK), 0);
	assert_int_equal(keep_before(former, core_store_version(), made + (KEEP_DAYS + 1) * day, &e), 0);
	assert_int_equal(access(before, F_OK), -1);
}

/* ---- the others ---- */

static void
outboxes_of_before_still_hold_their_tasks(void **state)
{
	struct client_spooled *s = NULL;
	struct client *c = NULL;
	struct err e;
	size_t n = 0;

	(void)state;
	make_store(former, "outbox-1");
	if (client_open(&c, &(struct client_opts){ .config = &t.config, .identity = "me", .outbox_path = former }, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(client_spooled(c, &s, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_string_equal(s[0].id, "01M8Q5783NTHMCBY68EE1BADHM");
	client_spooled_free(s, n);
	client_close(c);
}

static void
what_the_bridge_had_open_is_still_open(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct matters m;
		struct matter x;
		struct err e;

		make_store(former, i ? "bridge-2" : "bridge-1");
		if (matters_open(&m, former, &e))
			fail_msg("%s", e.msg);
		assert_int_equal(matters_by_task(&m, "01M8Q5783NTHMCBY68EE1BADHM", &x, &e), 1);
		assert_string_equal(x.repo, "timmy/site");
		assert_int_equal(x.number, 7);
		assert_string_equal(x.first, i ? "" : x.task);
		assert_true(matters_cursor(&m, "timmy/site") == 1796073562000);
		matter_release(&x);
		matters_close(&m);
	}
}

static void
what_was_heard_of_hermes_still_waits(void **state)
{
	struct hermes_book b;
	struct err e;

	(void)state;
	make_store(former, "hermes-1");
	if (hermes_book_open(&b, former, "ezra-1", SHARE_FACTS, 1 << 20, &e))
		fail_msg("%s", e.msg);
	assert_int_equal(b.seq, 1);
	assert_true(b.bytes > 0);
	hermes_book_close(&b);
}

static void
newer_ones_of_all_are_refused(void **state)
{
	const char *const names[] = { "outbox-1", "bridge-2", "hermes-1" };
	const int versions[] = { client_store_version(), matters_store_version(), hermes_book_store_version() };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct hermes_book b;
		struct client *c;
		struct matters m;
		struct err e;
		sqlite3 *h;
		char sql[64];
		int rc;

		make_store(former, names[i]);
		snprintf(sql, sizeof sql, "PRAGMA user_version = %d", versions[i] + 1);
		assert_int_equal(sqlite3_open(former, &h), SQLITE_OK);
		assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(h);
		rc = i == 0 ? client_open(&c, &(struct client_opts){ .config = &t.config, .identity = "me", .outbox_path = former }, &e) :
		    i == 1 ? matters_open(&m, former, &e) :
		    hermes_book_open(&b, former, "ezra-1", SHARE_FACTS, 1 << 20, &e);
		assert_int_equal(rc, -1);
		assert_non_null(strstr(e.msg, former));
		assert_non_null(strstr(e.msg, "knows up to"));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_store_of_before_is_brought_to_now_with_all_it_had),
		TEST(a_house_goes_on_with_a_store_of_before),
		TEST(a_newer_store_is_refused_and_stays_as_it_is_byte_for_byte),
		TEST(no_point_of_death_leaves_a_store_between_versions),
		TEST(a_full_disk_leaves_the_former_store),
		TEST(what_was_is_kept_with_another_life),
		TEST(nothing_is_kept_of_a_store_of_now_or_none),
		TEST(without_room_for_a_copy_nothing_is_changed),
		TEST(what_was_kept_long_ago_goes),
		TEST(outboxes_of_before_still_hold_their_tasks),
		TEST(what_the_bridge_had_open_is_still_open),
		TEST(what_was_heard_of_hermes_still_waits),
		TEST(newer_ones_of_all_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
