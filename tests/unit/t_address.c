/* Names of brokers: looking one up may hang, and nobody is held up by that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#ifdef __linux__
#include <dlfcn.h>
#endif
#include <netdb.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "address.h"

static uv_loop_t loop;
static int done;

static void
count(void *arg)
{
	(void)arg;
	done++;
}

static struct address
make(const char *host)
{
	return (struct address){ .host = host, .on_done = count };
}

static int
setup(void **state)
{
	(void)state;
	done = 0;
	return uv_loop_init(&loop);
}

static int
teardown(void **state)
{
	(void)state;
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static void
a_numeric_address_is_there_at_once(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "::1", "192.168.7.20" };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		struct address d = make(hosts[i]);

		address_look(&d, &loop);
		assert_false(d.looking);
		assert_int_equal(d.n, 1);
		assert_string_equal(address_text(&d), hosts[i]);
		address_next(&d);
		assert_string_equal(address_text(&d), hosts[i]);
	}
}

static void
a_name_is_found_and_its_addresses_follow_one_another(void **state)
{
	struct address d = make("localhost");
	char first[INET6_ADDRSTRLEN];

	(void)state;
	address_look(&d, &loop);
	assert_true(d.looking);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_false(d.looking);
	assert_int_equal(done, 1);
	assert_true(d.n > 0);
	snprintf(first, sizeof first, "%s", address_text(&d));
	assert_true(strcmp(first, "127.0.0.1") == 0 || strcmp(first, "::1") == 0);
	for (size_t i = 0; i < d.n; i++)
		address_next(&d);
	assert_string_equal(address_text(&d), first);
}

static void
what_is_known_outlives_a_lookup_that_fails(void **state)
{
	struct address d = make("localhost");

	(void)state;
	address_look(&d, &loop);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_string_equal(d.why, "");
	d.host = "no-such-host.invalid";
	address_look(&d, &loop);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(done, 2);
	assert_true(d.why[0]);
	assert_true(d.n > 0);
}

static void
a_name_that_nobody_knows_has_a_reason_and_no_address(void **state)
{
	struct address d = make("no-such-host.invalid");

	(void)state;
	address_look(&d, &loop);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(d.n, 0);
	assert_true(d.why[0]);
}

#ifdef __linux__
static atomic_int asked, answers;

/* In the place of the C library's, for libuv too. */
int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (strcmp(host, "hangs") == 0) {
		asked++;
		while (!answers)
			poll(NULL, 0, 1);
		host = "127.0.0.1";
	}
	return real(host, service, hints, list);
}

static void
a_lookup_that_hangs_is_one_and_holds_nothing_up(void **state)
{
	struct address d = make("hangs"), other = make("localhost");

	(void)state;
	address_look(&d, &loop);
	while (!asked)
		poll(NULL, 0, 1);
	address_look(&d, &loop);
	address_look(&other, &loop);
	while (other.looking)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_true(d.looking);
	assert_false(address_cancel(&d));
	assert_int_equal(done, 1);
	answers = 1;
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(done, 2);
	assert_int_equal(asked, 1);
	assert_string_equal(address_text(&d), "127.0.0.1");
	assert_true(address_cancel(&d));
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_numeric_address_is_there_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_is_found_and_its_addresses_follow_one_another, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_known_outlives_a_lookup_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_that_nobody_knows_has_a_reason_and_no_address, setup, teardown),
#ifdef __linux__
		cmocka_unit_test_setup_teardown(a_lookup_that_hangs_is_one_and_holds_nothing_up, setup, teardown),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
