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

#define LIMIT_MS 10000

static void
wait_answer(struct address *d)
{
	struct pollfd p = { .fd = d->fd, .events = POLLIN };

	assert_true(d->looking);
	address_read(d);
	if (d->looking) {
		assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
		address_read(d);
	}
	assert_false(d->looking);
}

static void
a_numeric_address_is_there_at_once(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "::1", "192.168.7.20" };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		struct address d = { .host = hosts[i] };

		address_look(&d);
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
	struct address d = { .host = "localhost" };
	char first[INET6_ADDRSTRLEN];

	(void)state;
	address_look(&d);
	assert_true(d.looking);
	wait_answer(&d);
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
	struct address d = { .host = "localhost" };

	(void)state;
	address_look(&d);
	wait_answer(&d);
	assert_string_equal(d.why, "");
	d.host = "no-such-host.invalid";
	address_look(&d);
	wait_answer(&d);
	assert_true(d.why[0]);
	assert_true(d.n > 0);
}

static void
a_name_that_nobody_knows_has_a_reason_and_no_address(void **state)
{
	struct address d = { .host = "no-such-host.invalid" };

	(void)state;
	address_look(&d);
	wait_answer(&d);
	assert_int_equal(d.n, 0);
	assert_true(d.why[0]);
}

#ifdef __linux__
static atomic_int asked, answers;

/* In the place of the C library's. */
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
	struct address d = { .host = "hangs" }, other = { .host = "localhost" };

	(void)state;
	address_look(&d);
	while (!asked)
		poll(NULL, 0, 1);
	address_look(&d);
	address_look(&other);
	wait_answer(&other);
	address_read(&d);
	assert_true(d.looking);
	answers = 1;
	wait_answer(&d);
	assert_int_equal(asked, 1);
	assert_string_equal(address_text(&d), "127.0.0.1");
}

static void
a_lookup_that_is_given_up_ends_quietly(void **state)
{
	struct address d = { .host = "hangs" };
	int before = asked;

	(void)state;
	answers = 0;
	address_look(&d);
	while (asked == before)
		poll(NULL, 0, 1);
	address_release(&d);
	assert_false(d.looking);
	answers = 1;
	/* Its thread writes to nobody; another lookup does not notice. */
	d.host = "localhost";
	address_look(&d);
	wait_answer(&d);
	assert_true(d.n > 0);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_numeric_address_is_there_at_once),
		cmocka_unit_test(a_name_is_found_and_its_addresses_follow_one_another),
		cmocka_unit_test(what_is_known_outlives_a_lookup_that_fails),
		cmocka_unit_test(a_name_that_nobody_knows_has_a_reason_and_no_address),
#ifdef __linux__
		cmocka_unit_test(a_lookup_that_hangs_is_one_and_holds_nothing_up),
		cmocka_unit_test(a_lookup_that_is_given_up_ends_quietly),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
