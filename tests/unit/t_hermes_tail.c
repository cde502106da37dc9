/*
 * What is heard of Hermes becomes one event each, whoever tells it: webhooks, the book, the database.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "clock.h"
#include "err.h"
#include "hermes_book.h"
#include "hermes_hook.h"
#include "hermes_state.h"
#include "json.h"
#include "mac.h"

#define KEY "s3cret"
#define NOW INT64_C(1795430223500)      /* half a second after the sample webhook */

static char dir[64];
static struct hermes_book book;
static struct err e;

static const char *
in_dir(const char *name)
{
	static char path[2][128];
	static int at;
	char *out = path[at++ % 2];

	snprintf(out, sizeof path[0], "%s/%s", dir, name);
	return out;
}

static void
open_book(enum hermes_share share, int64_t max)
{
	if (hermes_book_open(&book, in_dir("book.db"), "ezra-1", share, max, &e))
		fail_msg("%s", e.msg);
}

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/uw-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(mkdir(in_dir("home"), 0700), 0);
	open_book(SHARE_FACTS, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "home/state.db", "home/state.db-wal", "home/state.db-shm", "book.db", "book.db-wal", "book.db-shm",
		"book.db.lock" };

	(void)state;
	hermes_book_close(&book);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(in_dir(names[i]));
	rmdir(in_dir("home"));
	return rmdir(dir);
}

/* ---- webhooks ---- */

static struct buf
sample(void)
{
	struct buf b = { 0 };
	FILE *f = fopen("tests/hermes/hermes_outbound_webhook.json", "r");
	char text[4096];

	assert_non_null(f);
	buf_add(&b, text, fread(text, 1, sizeof text, f));
	fclose(f);
	return b;
}

static int
read_hook(const char *body, size_t len, const char *sign, int64_t now_ms, struct hermes_event *v)
{
	e = (struct err){ 0 };
	return hermes_hook_read(body, len, sign, KEY, now_ms, v, &e);
}

static int
read_signed(const char *body, struct hermes_event *v)
{
	char sign[DIGEST_HEX + 8] = "sha256=";

	mac_of(KEY, body, strlen(body), sign + 7);
	return read_hook(body, strlen(body), sign, NOW, v);
}

static void
a_webhook_of_hermes_is_an_event(void **state)
{
	static const char sign[] = "sha256=0f85ea78b67650242fef51f50de387e7c84186853930698235e594cb758982fe";
	struct buf b = sample(), line = { 0 };
	struct hermes_event v;

	(void)state;
	assert_int_equal(read_hook(b.data, b.len, sign, NOW, &v), 1);
	assert_string_equal(v.kind, "tool.completed");
	assert_string_equal(v.call, "call_1");
	assert_int_equal(v.ms, 137);
	assert_int_equal(v.ok, 1);
	assert_int_equal(v.at_ms, NOW);
	hermes_event_put(&line, &v, SHARE_FACTS, "ezra-1", "s", 7);
	assert_null(strstr(line.data, "README"));
	assert_null(strstr(line.data, "\"ls\""));
	buf_clear(&line);
	hermes_event_put(&line, &v, SHARE_PREVIEWS, "ezra-1", "s", 7);
	assert_null(strstr(line.data, "README"));
	assert_non_null(strstr(line.data, "ls"));
	buf_clear(&line);
	hermes_event_put(&line, &v, SHARE_TEXTS, "ezra-1", "s", 7);
	assert_non_null(strstr(line.data, "README"));
	hermes_event_release(&v);
	buf_free(&line);
	buf_free(&b);
}

static void
what_is_not_signed_so_or_too_old_is_refused(void **state)
{
	static const char *const signs[] = { NULL, "", "sha256=", "0f85ea78b67650242fef51f50de387e7c84186853930698235e594cb758982fe",
		"sha256=0f85ea78b67650242fef51f50de387e7c84186853930698235e594cb758982ff",
		"sha256=0F85EA78B67650242FEF51F50DE387E7C84186853930698235E594CB758982FE",
		"sha256=0f85ea78b67650242fef51f50de387e7c84186853930698235e594cb758982fe0" };
	struct buf b = sample();
	struct hermes_event v;

	(void)state;
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		assert_int_equal(read_hook(b.data, b.len, signs[i], NOW, &v), -1);
		assert_int_equal(e.code, ERR_DENIED);
	}
	assert_int_equal(read_hook(b.data, b.len - 1, "sha256=0f85ea78b67650242fef51f50de387e7c84186853930698235e594cb758982fe", NOW, &v), -1);
	for (int i = -1; i <= 1; i += 2) {
		assert_int_equal(read_hook(b.data, b.len, "sha256=0f85ea78b67650242fef51f50de387e7c84186853930698235e594cb758982fe",
		    NOW + i * INT64_C(301000), &v), -1);
		assert_int_equal(e.code, ERR_DENIED);
		assert_string_equal(e.field, "timestamp");
	}
	assert_int_equal(read_signed("{\"timestamp\":\"2026-11-23T10:37:03Z\",\"hook_event_name\":\"post_tool_call\"}", &v), -1);
	assert_string_equal(e.field, "delivery_id");
	assert_int_equal(read_signed("[]", &v), -1);
	assert_int_equal(read_signed("{\"timestamp\":\"2026-11-23T10:37:03Z\",\"delivery_id\":\"d\",\"hook_event_name\":\"pre_llm_call\"}", &v), 0);
	buf_free(&b);
}

/* ---- the book ---- */

/* One telling; 1 if it is an event. */
static int
tell(enum hermes_via via, const char *kind, const char *session, const char *tool, const char *call, const char *once, int64_t at_ms)
{
	struct hermes_event v;
	int rc;

	hermes_event_init(&v, kind, via, at_ms);
	snprintf(v.session, sizeof v.session, "%s", session);
	snprintf(v.tool, sizeof v.tool, "%s", tool);
	snprintf(v.call, sizeof v.call, "%s", call);
	snprintf(v.once, sizeof v.once, "%s", once);
	rc = hermes_book_take(&book, &v, &e);
	hermes_event_release(&v);
	return rc;
}

static int
named(enum hermes_via via, const char *call, int64_t at_ms)
{
	return tell(via, "tool.completed", "s", "terminal", call, via == VIA_WEBHOOK ? call : "", at_ms);
}

static int
nameless(const char *once, int64_t at_ms)
{
	return tell(VIA_RUN, "tool.completed", "s", "terminal", "", once, at_ms);
}

static void
the_same_call_from_two_tellers_is_one_event(void **state)
{
	(void)state;
	assert_int_equal(named(VIA_WEBHOOK, "c1", NOW), 1);
	assert_int_equal(named(VIA_DATABASE, "c1", NOW + 5), 0);
	assert_int_equal(named(VIA_DATABASE, "c2", NOW + 6), 1);
	assert_int_equal(named(VIA_WEBHOOK, "c2", NOW + 7), 0);
	assert_int_equal(tell(VIA_DATABASE, "tool.completed", "other", "terminal", "c1", "", NOW), 1);
	assert_int_equal(tell(VIA_DATABASE, "tool.started", "s", "terminal", "c1", "", NOW), 1);
	assert_int_equal(tell(VIA_WEBHOOK, "session.ended", "s", "", "", "x1", NOW), 1);
	assert_int_equal(tell(VIA_DATABASE, "session.ended", "s", "", "", "", NOW), 0);
	assert_int_equal(tell(VIA_WEBHOOK, "api.error", "s", "", "", "x2", NOW), 1);
	assert_int_equal(tell(VIA_WEBHOOK, "api.error", "s", "", "", "x2", NOW), 0);
	assert_int_equal(book.seq, 6);
}

static void
a_call_without_a_name_is_that_of_the_same_tool(void **state)
{
	(void)state;
	/* Two of the stream, then the database has both. */
	assert_int_equal(nameless("r1", NOW), 1);
	assert_int_equal(nameless("r2", NOW + 1), 1);
	assert_int_equal(named(VIA_DATABASE, "c1", NOW + 10), 0);
	assert_int_equal(named(VIA_DATABASE, "c2", NOW + 10), 0);
	assert_int_equal(named(VIA_WEBHOOK, "c2", NOW + 11), 0);
	/* The other way round. */
	assert_int_equal(named(VIA_DATABASE, "c3", NOW + 20), 1);
	assert_int_equal(nameless("r3", NOW + 21), 0);
	assert_int_equal(nameless("r4", NOW + 22), 1);
	/* Another tool, another session, and long ago. */
	assert_int_equal(tell(VIA_DATABASE, "tool.completed", "s", "web", "c5", "", NOW + 23), 1);
	assert_int_equal(tell(VIA_DATABASE, "tool.completed", "t", "terminal", "c5", "", NOW + 23), 1);
	assert_int_equal(named(VIA_DATABASE, "c6", NOW + 120000), 1);
}

static struct buf waiting;

static int
read_from(int64_t after)
{
	int64_t last = 0;
	int n;

	buf_clear(&waiting);
	n = hermes_book_read(&book, after, 1 << 20, &waiting, &last, &e);
	assert_true(n >= 0);
	return n;
}

static void
what_was_committed_is_there_again_with_its_number(void **state)
{
	char stream[ULID_TEXT];

	(void)state;
	assert_int_equal(named(VIA_DATABASE, "c1", NOW), 1);
	assert_int_equal(named(VIA_DATABASE, "c2", NOW), 1);
	assert_int_equal(hermes_book_commit(&book, NOW, &e), 0);
	assert_int_equal(named(VIA_DATABASE, "c3", NOW), 1);
	snprintf(stream, sizeof stream, "%s", book.stream);
	hermes_book_close(&book);
	open_book(SHARE_FACTS, 1 << 20);
	assert_string_equal(book.stream, stream);
	assert_int_equal(book.seq, 2);
	assert_int_equal(read_from(0), 2);
	assert_non_null(strstr(waiting.data, "\"seq\":1"));
	assert_int_equal(named(VIA_DATABASE, "c2", NOW), 0);
	assert_int_equal(named(VIA_DATABASE, "c3", NOW), 1);
	assert_int_equal(hermes_book_drop(&book, 2, &e), 0);
	assert_int_equal(hermes_book_commit(&book, NOW, &e), 0);
	hermes_book_close(&book);
	open_book(SHARE_FACTS, 1 << 20);
	assert_int_equal(book.gone, 2);
	assert_int_equal(book.seq, 3);
	assert_int_equal(read_from(book.gone), 1);
	assert_int_equal(hermes_book_drop(&book, 3, &e), 0);
	assert_int_equal(hermes_book_commit(&book, NOW, &e), 0);
	assert_int_equal(book.bytes, 0);
	hermes_book_close(&book);
	open_book(SHARE_FACTS, 1 << 20);
	assert_int_equal(book.gone, 3);
	buf_free(&waiting);
}

static void
there_is_one_who_writes_it(void **state)
{
	struct hermes_book other;

	(void)state;
	assert_int_equal(hermes_book_open(&other, in_dir("book.db"), "ezra-1", SHARE_FACTS, 1 << 20, &e), -1);
	assert_int_equal(e.code, ERR_BUSY);
	/* Its log is written back beside that. */
	for (int i = 0; i < 2000; i++) {
		char call[16];

		snprintf(call, sizeof call, "c%d", i);
		assert_int_equal(named(VIA_DATABASE, call, NOW), 1);
		assert_int_equal(hermes_book_drop(&book, book.seq - 1, &e), 0);
		assert_int_equal(hermes_book_commit(&book, NOW, &e), 0);
		hermes_book_sweep(&book);
	}
	assert_int_equal(book.seq, 2000);
	assert_true(book.commits < 2000);
}

static void
a_full_book_takes_only_what_cannot_be_read_later(void **state)
{
	char once[16];
	int n = 0;

	(void)state;
	hermes_book_close(&book);
	open_book(SHARE_FACTS, 2000);
	do
		snprintf(once, sizeof once, "w%d", n++);
	while (tell(VIA_WEBHOOK, "api.error", "s", "", "", once, NOW) == 1 && n < 1000);
	assert_in_range(n, 5, 20);
	assert_true(hermes_book_is_full(&book));
	assert_int_equal(book.dropped, 1);
	assert_int_equal(named(VIA_DATABASE, "c1", NOW), 1);
}

/* ---- the database ---- */

static sqlite3 *hermes;

static void
run_sql(const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(hermes, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

static void
make_database(const char *columns)
{
	char sql[512];

	assert_int_equal(sqlite3_open(in_dir("home/state.db"), &hermes), SQLITE_OK);
	snprintf(sql, sizeof sql, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE schema_version (version INTEGER); INSERT INTO schema_version VALUES (17);"
	    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT, role TEXT, content TEXT, timestamp REAL%s)", columns);
	run_sql(sql);
}

static void
add_rows(int n)
{
	while (n--)
		run_sql("INSERT INTO messages (session_id, role, content, timestamp) VALUES ('s', 'user', 'a text', 1795430223.1)");
}

static int64_t
read_all(struct hermes_state *s)
{
	int64_t before = book.seq, now_ms = clock_mono_ms() + 1000;

	do
		assert_int_equal(hermes_state_read(s, true, now_ms += 1000, &e), 0);
	while (s->more);
	assert_int_equal(hermes_book_commit(&book, NOW, &e), 0);
	return book.seq - before;
}

static void
messages_are_read_once_whatever_columns_there_are(void **state)
{
	struct hermes_state s;

	(void)state;
	make_database("");
	add_rows(3);
	hermes_state_init(&s, in_dir("home"), &book, true);
	assert_int_equal(read_all(&s), 3);
	assert_int_equal(read_all(&s), 0);
	run_sql("ALTER TABLE messages ADD COLUMN something_new TEXT");
	add_rows(1200);
	assert_int_equal(read_all(&s), 1200);
	hermes_state_release(&s);
	/* Who comes later goes on; a prune in between is no new database. */
	add_rows(2);
	run_sql("DELETE FROM messages WHERE id <= 1203");
	hermes_state_init(&s, in_dir("home"), &book, false);
	assert_int_equal(read_all(&s), 2);
	assert_int_equal(s.place.generation, 1);
	run_sql("PRAGMA wal_checkpoint(TRUNCATE)");
	add_rows(1);
	assert_int_equal(read_all(&s), 1);
	hermes_state_release(&s);
	/* As Hermes has it on file systems without shared memory. */
	run_sql("PRAGMA journal_mode=DELETE");
	hermes_state_init(&s, in_dir("home"), &book, false);
	add_rows(2);
	assert_int_equal(read_all(&s), 2);
	add_rows(1);
	assert_int_equal(read_all(&s), 1);
	hermes_state_release(&s);
	sqlite3_close(hermes);
}

static void
what_cannot_be_read_for_a_while_is_read_later(void **state)
{
	struct hermes_state s;

	(void)state;
	make_database("");
	run_sql("PRAGMA journal_mode=DELETE");
	add_rows(1);
	hermes_state_init(&s, in_dir("home"), &book, true);
	assert_int_equal(read_all(&s), 1);
	run_sql("BEGIN EXCLUSIVE");
	add_rows(1);
	assert_int_equal(read_all(&s), 0);
	assert_in_range(hermes_state_wait_ms(&s, clock_mono_ms()), 0, 300);
	run_sql("COMMIT");
	assert_int_equal(read_all(&s), 1);
	hermes_state_release(&s);
	sqlite3_close(hermes);
}

static void
a_database_that_was_never_followed_begins_with_what_comes_next(void **state)
{
	struct hermes_state s;

	(void)state;
	make_database(", tool_calls TEXT");
	add_rows(5);
	hermes_state_init(&s, in_dir("home"), &book, false);
	assert_int_equal(read_all(&s), 0);
	run_sql("INSERT INTO messages (session_id, role, content, timestamp, tool_calls) VALUES ('s', 'assistant', '', 1, 'not json'),"
	    "('s', 'assistant', NULL, 1, '[{\"id\":\"c1\",\"function\":{\"name\":\"a\"}},{\"id\":\"c2\"},7]')");
	assert_int_equal(read_all(&s), 1 + 2 + 1);
	hermes_state_release(&s);
	sqlite3_close(hermes);
}

static void
another_database_in_its_place_is_read_from_its_beginning(void **state)
{
	struct hermes_state s;
	char source[512], want[200];

	(void)state;
	make_database("");
	add_rows(4);
	hermes_state_init(&s, in_dir("home"), &book, true);
	assert_int_equal(read_all(&s), 4);
	/* What the old one got last is not lost. */
	add_rows(2);
	unlink(in_dir("home/state.db"));
	unlink(in_dir("home/state.db-wal"));
	unlink(in_dir("home/state.db-shm"));
	sqlite3_close(hermes);
	make_database("");
	add_rows(1);
	assert_int_equal(read_all(&s), 2);
	assert_int_equal(read_all(&s), 1);
	assert_int_equal(s.place.generation, 2);
	hermes_state_source(&s, source, sizeof source);
	snprintf(want, sizeof want, "%s#2", in_dir("home/state.db"));
	assert_string_equal(source, want);
	hermes_state_release(&s);
	sqlite3_close(hermes);
	/* While nobody looked, with the same inode or another one, and more messages than the cursor. */
	unlink(in_dir("home/state.db"));
	unlink(in_dir("home/state.db-wal"));
	unlink(in_dir("home/state.db-shm"));
	make_database("");
	run_sql("INSERT INTO messages (session_id, role, timestamp) VALUES ('s', 'user', 5), ('s', 'user', 6)");
	hermes_state_init(&s, in_dir("home"), &book, false);
	assert_int_equal(read_all(&s), 2);
	assert_int_equal(s.place.generation, 3);
	hermes_state_release(&s);
	sqlite3_close(hermes);
}

static void
while_the_book_is_full_the_database_waits(void **state)
{
	struct hermes_state s;
	int64_t first;

	(void)state;
	make_database("");
	add_rows(50);
	hermes_book_close(&book);
	open_book(SHARE_FACTS, 2000);
	hermes_state_init(&s, in_dir("home"), &book, true);
	assert_int_equal(hermes_state_read(&s, true, clock_mono_ms() + 1000, &e), 0);
	first = book.seq;
	assert_in_range(first, 5, 20);
	assert_int_equal(hermes_state_read(&s, true, clock_mono_ms() + 2000, &e), 0);
	assert_int_equal(book.seq, first);
	assert_int_equal(hermes_book_drop(&book, first, &e), 0);
	book.max_bytes = 1 << 20;
	assert_int_equal(read_all(&s), 50 - first);
	hermes_state_release(&s);
	sqlite3_close(hermes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_webhook_of_hermes_is_an_event, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_signed_so_or_too_old_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_call_from_two_tellers_is_one_event, setup, teardown),
		cmocka_unit_test_setup_teardown(a_call_without_a_name_is_that_of_the_same_tool, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_committed_is_there_again_with_its_number, setup, teardown),
		cmocka_unit_test_setup_teardown(there_is_one_who_writes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_book_takes_only_what_cannot_be_read_later, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_are_read_once_whatever_columns_there_are, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_for_a_while_is_read_later, setup, teardown),
		cmocka_unit_test_setup_teardown(a_database_that_was_never_followed_begins_with_what_comes_next, setup, teardown),
		cmocka_unit_test_setup_teardown(another_database_in_its_place_is_read_from_its_beginning, setup, teardown),
		cmocka_unit_test_setup_teardown(while_the_book_is_full_the_database_waits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
