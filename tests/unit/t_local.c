/*
 * The client's side of the local socket, against a peer that behaves as badly as it can.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "local.h"

static char dir[] = "/tmp/t_local.XXXXXX";
static char path[64];
static int listener, peer;

static int
setup(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	(void)state;
	peer = -1;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	return bind(listener, (struct sockaddr *)&sa, sizeof sa) || listen(listener, 1);
}

static int
teardown(void **state)
{
	(void)state;
	close(listener);
	if (peer >= 0)
		close(peer);
	return unlink(path);
}

static struct local *
connected(void)
{
	struct local *l;
	struct err e;

	if (local_open(&l, path, 1000, &e))
		fail_msg("%s", e.msg);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	return l;
}

static void
say(const char *text, size_t len)
{
	assert_int_equal(send(peer, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void
lines_come_one_by_one_however_they_were_cut(void **state)
{
	struct local *l = connected();
	struct err e;
	char *line;
	size_t len;

	(void)state;
	assert_int_equal(local_read(l, 0, &line, &len, &e), 0);
	say("{\"a\":", 5);
	assert_int_equal(local_read(l, 10, &line, &len, &e), 0);
	say("1}\n\n{}\nrest", 11);
	assert_int_equal(local_read(l, 1000, &line, &len, &e), 1);
	assert_string_equal(line, "{\"a\":1}");
	assert_int_equal(len, 7);
	assert_int_equal(local_read(l, 0, &line, &len, &e), 1);
	assert_int_equal(len, 0);
	assert_int_equal(local_read(l, 0, &line, &len, &e), 1);
	assert_string_equal(line, "{}");
	assert_int_equal(local_read(l, 0, &line, &len, &e), 0);
	close(peer);
	peer = -1;
	assert_int_equal(local_read(l, 1000, &line, &len, &e), -1);
	assert_int_equal(e.code, ERR_NETWORK);
	local_close(l);
}

static void
what_is_sent_is_one_line(void **state)
{
	struct local *l = connected();
	struct err e;
	char text[64];

	(void)state;
	assert_int_equal(local_send(l, "{\"op\":\"ping\"}", 13, 1000, &e), 0);
	assert_int_equal(recv(peer, text, sizeof text, 0), 14);
	assert_memory_equal(text, "{\"op\":\"ping\"}\n", 14);
	local_close(l);
}

static void
a_silent_agent_costs_no_more_than_the_time_given(void **state)
{
	struct local *l = connected();
	int64_t began_ms = clock_mono_ms();
	struct err e;
	char *line;
	size_t len;

	(void)state;
	assert_int_equal(local_read(l, 50, &line, &len, &e), 0);
	assert_true(clock_mono_ms() - began_ms >= 50 && clock_mono_ms() - began_ms < 1000);
	local_close(l);
}

static void
an_agent_that_does_not_read_is_an_error_in_time(void **state)
{
	struct local *l = connected();
	char *big = xcalloc(1, 4 << 20);
	struct err e;

	(void)state;
	memset(big, 'x', 4 << 20);
	assert_int_equal(local_send(l, big, 4 << 20, 50, &e), -1);
	assert_int_equal(e.code, ERR_TIMEOUT);
	free(big);
	local_close(l);
}

static void *
flood(void *arg)
{
	static char junk[65536];
	int fd = *(int *)arg;

	memset(junk, 'x', sizeof junk);
	while (send(fd, junk, sizeof junk, MSG_NOSIGNAL) > 0)
		continue;
	return NULL;
}

static void
a_line_without_end_is_an_error(void **state)
{
	struct local *l = connected();
	pthread_t thread;
	struct err e;
	char *line;
	size_t len;

	(void)state;
	pthread_create(&thread, NULL, flood, &peer);
	assert_int_equal(local_read(l, 10000, &line, &len, &e), -1);
	assert_int_equal(e.code, ERR_TOO_BIG);
	local_close(l);
	pthread_join(thread, NULL);
}

static void
a_peer_that_went_away_is_no_signal(void **state)
{
	struct local *l = connected();
	struct err e;
	int rc = 0;

	(void)state;
	close(peer);
	peer = -1;
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = local_send(l, "{}", 2, 100, &e);
	assert_int_equal(rc, -1);
	assert_int_equal(e.code, ERR_NETWORK);
	local_close(l);
}

static void
nobody_there_is_an_error_that_names_the_socket(void **state)
{
	struct local *l;
	char name[200];
	struct err e;

	(void)state;
	assert_int_equal(local_open(&l, "/nonexistent/ezra-1.sock", 100, &e), -1);
	assert_int_equal(e.code, ERR_NETWORK);
	assert_non_null(strstr(e.msg, "/nonexistent/ezra-1.sock"));
	assert_null(l);
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(local_open(&l, name, 100, &e), -1);
	assert_non_null(strstr(e.msg, "too long"));
}

static void
a_full_queue_of_connections_is_waited_for_in_time(void **state)
{
	struct local *l[8];
	struct err e;
	int n = 0;

	(void)state;
	while (n < 8 && local_open(&l[n], path, 30, &e) == 0)
		n++;
	assert_true(n > 0 && n < 8);
	assert_int_equal(e.code, ERR_NETWORK);
	while (n > 0)
		local_close(l[--n]);
}

#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IT(lines_come_one_by_one_however_they_were_cut),
		IT(what_is_sent_is_one_line),
		IT(a_silent_agent_costs_no_more_than_the_time_given),
		IT(an_agent_that_does_not_read_is_an_error_in_time),
		IT(a_line_without_end_is_an_error),
		IT(a_peer_that_went_away_is_no_signal),
		IT(nobody_there_is_an_error_that_names_the_socket),
		IT(a_full_queue_of_connections_is_waited_for_in_time),
	};
	int rc;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof path, "%s/agent.sock", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
