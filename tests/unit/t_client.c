/* A sender without any broker that works: what is in its outbox's file, and where it turns to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#ifdef __linux__
#include <dlfcn.h>
#include <netdb.h>
#endif
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client.h"
#include "clock.h"
#include "err.h"
#include "pki.h"

static struct config config;
static char dir[64], path[128];
static struct client *c;
static struct err e;

static int
setup(void **state)
{
	static const char text[] = "state: /nowhere/none\nhouses:\n  ezra: {}\nlimits: { task_bytes: 2KiB }\n";

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/uw-client-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/outbox.db", dir);
	assert_int_equal(config_parse(&config, "houses.yaml", text, sizeof text - 1, NULL, NULL, &e), 0);
	return 0;
}

static int
teardown(void **state)
{
	static const char *const ext[] = { "", "-wal", "-shm" };
	char name[160];

	(void)state;
	client_close(c);
	c = NULL;
	config_release(&config);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%s%s", path, ext[i]);
		unlink(name);
	}
	rmdir(dir);
	return 0;
}

static void
open_client(void)
{
	if (client_open(&c, &(struct client_opts){ .config = &config, .identity = "me", .outbox_path = path }, &e))
		fail_msg("%s", e.msg);
}

static void
reopen(void)
{
	client_close(c);
	open_client();
}

static struct ulid
make_id(int n)
{
	uint8_t random[10] = { 0 };
	struct ulid id;

	memcpy(random, &n, sizeof n);
	ulid_make(&id, 1764000000000, random);
	return id;
}

static int
submit(int n, const char *task)
{
	struct ulid id = make_id(n);

	return client_submit(c, "ezra", task, strlen(task), &id, false, &e);
}

static int64_t
rows(const char *what, char *text, size_t size)
{
	sqlite3 *db;
	sqlite3_stmt *s;
	int64_t n = -1;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, what, -1, &s, NULL), SQLITE_OK);
	if (sqlite3_step(s) == SQLITE_ROW) {
		n = sqlite3_column_int64(s, 0);
		if (text)
			snprintf(text, size, "%s", (const char *)sqlite3_column_text(s, 0));
	}
	sqlite3_finalize(s);
	sqlite3_close(db);
	return n;
}

/* As if it had been there for a while: what is young is left to its own process. */
static void
age(void)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE outbox SET at_ms = at_ms - 60000", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int64_t
count(void)
{
	return rows("SELECT count(*) FROM outbox", NULL, 0);
}

static void
what_is_committed_is_there_in_the_next_run(void **state)
{
	(void)state;
	open_client();
	for (int i = 0; i < 100; i++)
		assert_int_equal(submit(i, "{\"tool\":\"noop\"}"), 0);
	assert_int_equal(client_pending(c), 100);
	assert_int_equal(count(), 0);
	assert_int_equal(client_commit(c, &e), 0);
	assert_int_equal(count(), 100);
	reopen();
	assert_int_equal(client_pending(c), 0);
	assert_int_equal(client_resume(c, &e), 0);
	age();
	assert_int_equal(client_resume(c, &e), 100);
	assert_int_equal(client_pending(c), 100);
	assert_int_equal(client_resume(c, &e), 0);
	assert_int_equal(client_pending(c), 100);
}

static void
the_id_is_put_in_and_nothing_else_changed(void **state)
{
	static const char *const tasks[][2] = {
		{ "{\"tool\":\"noop\"}", "{\"id\":\"01KAV9FT000400000000000000\",\"tool\":\"noop\"}" },
		{ " \t{ \t\"tool\":\"noop\" } ", "{\"id\":\"01KAV9FT000400000000000000\",\"tool\":\"noop\" } " },
		{ "{}", "{\"id\":\"01KAV9FT000400000000000000\"}" },
		{ "{ }", "{\"id\":\"01KAV9FT000400000000000000\"}" },
	};
	char text[100];

	(void)state;
	open_client();
	for (size_t i = 0; i < 4; i++) {
		struct ulid id = make_id(1);
		char id_text[ULID_TEXT];

		assert_int_equal(submit(1, tasks[i][0]), 0);
		assert_int_equal(client_commit(c, &e), 0);
		rows("SELECT body FROM outbox", text, sizeof text);
		ulid_format(&id, id_text);
		assert_memory_equal(text, "{\"id\":\"", 7);
		assert_memory_equal(text + 7, id_text, 26);
		assert_string_equal(text + 33, tasks[i][1] + 33);
		assert_int_equal(client_drop(c, &id, &e), 0);
		assert_int_equal(count(), 0);
	}
}

static void
what_is_no_task_is_refused_at_once(void **state)
{
	static const char *const bads[] = { "", "x", "[]", "\"{}\"", "{\"tool\":\n\"noop\"}", "\n{}" };
	char big[4096];

	(void)state;
	open_client();
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
		assert_int_equal(submit(1, bads[i]), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	/* The house would refuse it for ever. */
	snprintf(big, sizeof big, "{\"tool\":\"%02048d\"}", 1);
	assert_int_equal(submit(1, big), -1);
	assert_int_equal(e.code, ERR_TOO_BIG);
	assert_int_equal(client_pending(c), 0);
	assert_int_equal(submit(1, "{\"tool\":\"noop\"}"), 0);
	assert_int_equal(submit(1, "{\"tool\":\"noop\"}"), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_int_equal(client_pending(c), 1);
}

static void
a_dropped_task_is_gone(void **state)
{
	struct ulid id = make_id(1), other = make_id(2);

	(void)state;
	open_client();
	submit(1, "{}");
	submit(2, "{}");
	assert_int_equal(client_drop(c, &id, &e), 0);   /* never committed */
	assert_int_equal(client_pending(c), 1);
	assert_int_equal(client_drop(c, &id, &e), 0);
	assert_int_equal(client_pending(c), 1);
	assert_true(client_holds(c, &other) && !client_holds(c, &id));
	assert_int_equal(client_commit(c, &e), 0);
	assert_int_equal(count(), 1);
	assert_int_equal(client_drop(c, &other, &e), 0);
	assert_int_equal(count(), 0);
	assert_int_equal(client_pending(c), 0);
	reopen();
	assert_int_equal(client_resume(c, &e), 0);
}

static void
the_order_of_submission_is_kept_in_the_file(void **state)
{
	(void)state;
	open_client();
	for (int i = 0; i < 500; i++) {
		char task[64];

		snprintf(task, sizeof task, "{\"n\":%d}", i);
		submit(i * 7919 % 500, task);
	}
	assert_int_equal(client_commit(c, &e), 0);
	assert_int_equal(rows("SELECT count(*) FROM (SELECT CAST(substr(body, 40) AS INTEGER) AS n,"
	    " row_number() OVER (ORDER BY at_ms, rowid) AS place FROM outbox) WHERE n <> place - 1", NULL, 0), 0);
}

static void
several_processes_share_it(void **state)
{
	pid_t pid[4];

	(void)state;
	for (int k = 0; k < 4; k++)
		if ((pid[k] = fork()) == 0) {
			int bad = 0;

			open_client();
			for (int i = 0; i < 50; i++)
				bad |= submit(k * 1000 + i, "{}") || client_commit(c, &e);
			client_close(c);
			_exit(bad != 0);
		}
	for (int k = 0; k < 4; k++) {
		int status = -1;

		waitpid(pid[k], &status, 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(count(), 200);
}

static void
more_than_is_taken_up_at_once_stays_for_later(void **state)
{
	struct ulid id;

	(void)state;
	open_client();
	for (int i = 0; i < 5000; i++)
		submit(i, "{}");
	assert_int_equal(client_commit(c, &e), 0);
	reopen();
	age();
	assert_int_equal(client_resume(c, &e), 4096);
	for (int i = 0; i < 5000; i++) {
		id = make_id(i);
		if (i < 4096)
			client_drop(c, &id, &e);
		if (i == 1000)
			break;
	}
	assert_int_equal(client_resume(c, &e), 904);
	assert_int_equal(client_pending(c), 4096 - 1001 + 904);
}

static void
without_certificates_it_says_so_and_keeps_everything(void **state)
{
	int rc = 0;

	(void)state;
	open_client();
	submit(1, "{}");
	assert_int_equal(client_commit(c, &e), 0);
	/* The broker's name is looked up first. */
	for (int i = 0; i < 100 && rc == 0; i++)
		rc = client_run(c, 50, &e);
	assert_int_equal(rc, -1);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_non_null(strstr(client_why_down(c), "ca.crt"));
	assert_false(client_is_up(c));
	assert_int_equal(client_pending(c), 1);
	assert_int_equal(count(), 1);
}

static void
a_file_that_is_no_database_is_an_error(void **state)
{
	FILE *f = fopen(path, "w");

	(void)state;
	for (int i = 0; i < 1000; i++)
		fputs("this is not a database\n", f);
	fclose(f);
	assert_int_equal(client_open(&c, &(struct client_opts){ .config = &config, .identity = "me", .outbox_path = path }, &e),
	    -1);
	assert_int_equal(e.code, ERR_STORE);
	c = NULL;
}

static void
without_an_outbox_there_is_no_file(void **state)
{
	(void)state;
	assert_int_equal(client_open(&c, &(struct client_opts){ .config = &config, .identity = "me", .no_outbox = true,
	    .outbox_path = path }, &e), 0);
	assert_int_equal(client_resume(c, &e), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(client_request(c, TOPIC_QUERY, "ezra", "{\n}", &e), -1);
	assert_int_equal(client_request(c, TOPIC_QUERY, "ezra", "{}", &e), 0);
}

/* ---- several brokers, none of which works ---- */

static int sockets[2], ports[2];

/* A port of its own: whoever connects is refused, or taken by the system and never answered. */
static int
open_port(bool silent, int *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	if (silent)
		assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	*port = ntohs(sa.sin_port);
	return fd;
}

static void
remove_pki(void)
{
	static const char *const files[] = { "ca.crt", "ca.key", "me.crt", "me.key", "" };
	char name[160];

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(name, sizeof name, "%s/pki/%s", dir, files[i]);
		if (files[i][0])
			unlink(name);
		else
			rmdir(name);
	}
}

static void
two_brokers(bool first_is_silent, const char *host)
{
	char text[512], pki[128];
	bool created;
	int n;

	sockets[0] = open_port(first_is_silent, &ports[0]);
	sockets[1] = open_port(true, &ports[1]);
	config_release(&config);
	snprintf(pki, sizeof pki, "%s/pki", dir);
	n = snprintf(text, sizeof text, "brokers: [\"%s:%d\", \"127.0.0.1:%d\"]\nstate: /nowhere\npki: %s\n"
	    "houses:\n  ezra: {agents: [a, b, c]}\n", host, ports[0], ports[1], pki);
	assert_int_equal(config_parse(&config, "houses.yaml", text, (size_t)n, NULL, NULL, &e), 0);
	assert_int_equal(pki_init(pki, 0, &created, &e), 0);
	assert_int_equal(pki_issue(pki, "me", PKI_CLIENT, NULL, 0, 0, &e), 0);
	open_client();
	submit(1, "{}");
	assert_int_equal(client_commit(c, &e), 0);
}

static void
no_brokers(void)
{
	for (int i = 0; i < 2; i++)
		close(sockets[i]);
	remove_pki();
}

static void
what_the_caller_waits_for_is_waited_for_too(void **state)
{
	struct pollfd watched[2];
	int fds[2];

	(void)state;
	two_brokers(true, "127.0.0.1");
	assert_int_equal(pipe(fds), 0);
	watched[0] = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	watched[1] = (struct pollfd){ .fd = -1, .events = POLLIN };
	client_watch(c, watched, 2);
	assert_int_equal(client_run(c, 20, &e), 0);
	assert_int_equal(watched[0].revents, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(client_run(c, 400, &e), 0);
	assert_int_equal(watched[0].revents, POLLIN);
	assert_int_equal(watched[1].revents, 0);
	client_watch(c, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	no_brokers();
}

/* Milliseconds until somebody connects to a broker; -1: nobody within the limit. */
static int64_t
runs_until_connected(int broker, int64_t limit_ms)
{
	int64_t begun = clock_mono_ms();

	while (clock_mono_ms() - begun < limit_ms) {
		struct pollfd p = { .fd = sockets[broker], .events = POLLIN };

		assert_int_equal(client_run(c, 20, &e), 0);
		if (poll(&p, 1, 0) > 0)
			return clock_mono_ms() - begun;
	}
	return -1;
}

static void
a_dead_broker_is_followed_by_the_next_at_once(void **state)
{
	int64_t ms;

	(void)state;
	two_brokers(false, "127.0.0.1");
	ms = runs_until_connected(1, 5000);
	assert_in_range(ms, 0, 1000);
	assert_non_null(strstr(client_why_down(c), "refused"));
	assert_int_equal(client_pending(c), 1);
	assert_int_equal(count(), 1);
	no_brokers();
}

static void
a_silent_broker_is_followed_by_the_next_after_three_seconds(void **state)
{
	char first[40];
	int64_t ms;

	(void)state;
	two_brokers(true, "127.0.0.1");
	assert_in_range(runs_until_connected(0, 1000), 0, 1000);
	ms = runs_until_connected(1, 6000);
	assert_in_range(ms, 2000, 4000);
	snprintf(first, sizeof first, "127.0.0.1:%d: no answer", ports[0]);
	assert_non_null(strstr(client_why_down(c), first));
	assert_int_equal(client_pending(c), 1);
	assert_int_equal(count(), 1);
	no_brokers();
}

#ifdef __linux__
/* In the place of the C library's: one name for two addresses, on the first of which nobody listens. */
int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	int rc;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (strcmp(host, "two.test") != 0)
		return real(host, service, hints, list);
	rc = real("127.0.0.2", service, hints, list);
	return rc ? rc : real("127.0.0.1", service, hints, &(*list)->ai_next);
}

static void
all_addresses_of_a_broker_are_tried_before_the_next(void **state)
{
	int64_t ms;

	(void)state;
	two_brokers(true, "two.test");
	ms = runs_until_connected(0, 2500);
	assert_in_range(ms, 0, 2500);
	assert_int_equal(poll(&(struct pollfd){ .fd = sockets[1], .events = POLLIN }, 1, 0), 0);
	no_brokers();
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_committed_is_there_in_the_next_run, setup, teardown),
		cmocka_unit_test_setup_teardown(the_id_is_put_in_and_nothing_else_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_task_is_refused_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dropped_task_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(the_order_of_submission_is_kept_in_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(several_processes_share_it, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_is_taken_up_at_once_stays_for_later, setup, teardown),
		cmocka_unit_test_setup_teardown(without_certificates_it_says_so_and_keeps_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_no_database_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(without_an_outbox_there_is_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dead_broker_is_followed_by_the_next_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_broker_is_followed_by_the_next_after_three_seconds, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_caller_waits_for_is_waited_for_too, setup, teardown),
#ifdef __linux__
		cmocka_unit_test_setup_teardown(all_addresses_of_a_broker_are_tried_before_the_next, setup, teardown),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
