/* Where a client connects next: order of brokers, waits and limits, on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dial.h"
#include "err.h"

static struct config config;
static struct dial d;

static void
with_brokers(int n)
{
	char text[256], list[128] = "";
	struct err e;
	int len;

	for (int i = 0; i < n; i++)
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s\"127.0.0.1:%d\"", i ? ", " : "", 1001 + i);
	len = snprintf(text, sizeof text, "brokers: [%s]\nhouses:\n  ezra: {agents: [a, b, c]}\n", list);
	assert_int_equal(config_parse(&config, "houses.yaml", text, (size_t)len, NULL, NULL, &e), 0);
	dial_init(&d, &config);
}

static int
teardown(void **state)
{
	(void)state;
	dial_release(&d);
	config_release(&config);
	return 0;
}

/* The port of the broker whose turn it is; 0: none's yet. */
static int
port_at(int64_t ms)
{
	return dial_address(&d, ms) ? dial_broker(&d)->port : 0;
}

static void
each_broker_has_its_turn_soon_and_then_the_waits_double(void **state)
{
	static const struct {
		int64_t wait_ms;
		int port;
	} tries[] = { { 100, 1002 }, { 100, 1003 }, { 100, 1001 }, { 200, 1002 }, { 200, 1003 }, { 200, 1001 }, { 400, 1002 } };
	int64_t now = 1000;

	(void)state;
	with_brokers(3);
	assert_int_equal(port_at(now), 1001);
	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
		dial_failed(&d, "refused", now);
		assert_int_equal(dial_wait_ms(&d, now), tries[i].wait_ms);
		assert_int_equal(port_at(now + tries[i].wait_ms - 1), 0);
		now += tries[i].wait_ms;
		assert_int_equal(port_at(now), tries[i].port);
	}
}

static void
the_waits_have_an_end(void **state)
{
	int64_t now = 1000;

	(void)state;
	with_brokers(1);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(port_at(now), 1001);
		dial_failed(&d, "refused", now);
		assert_in_range(dial_wait_ms(&d, now), 100, 2000);
		now += dial_wait_ms(&d, now);
	}
	assert_int_equal(dial_wait_ms(&d, now - 2000), 2000);
}

static void
success_forgets_the_failures(void **state)
{
	char why[200];

	(void)state;
	with_brokers(2);
	for (int64_t now = 1000; now < 9000; now += 1000)
		if (port_at(now))
			dial_failed(&d, "refused", now);
	assert_true(port_at(20000));
	dial_succeeded(&d);
	dial_why(&d, why, sizeof why);
	assert_string_equal(why, "");
	dial_lost(&d, "it went", 30000);
	assert_int_equal(dial_wait_ms(&d, 30000), 100);
}

static void
a_lost_broker_is_followed_by_the_next(void **state)
{
	(void)state;
	with_brokers(2);
	assert_int_equal(port_at(1000), 1001);
	dial_succeeded(&d);
	dial_lost(&d, "it went", 5000);
	assert_int_equal(port_at(5100), 1002);
	dial_succeeded(&d);
	dial_lost(&d, "it went", 9000);
	assert_int_equal(port_at(9100), 1001);
}

static void
with_another_broker_patience_is_shorter(void **state)
{
	(void)state;
	with_brokers(2);
	assert_false(dial_is_late(&d, 99000));
	assert_int_equal(port_at(1000), 1001);
	assert_false(dial_is_late(&d, 4000));
	assert_true(dial_is_late(&d, 4001));
	dial_succeeded(&d);
	assert_false(dial_is_late(&d, 99000));
	teardown(state);
	with_brokers(1);
	assert_int_equal(port_at(1000), 1001);
	assert_false(dial_is_late(&d, 11000));
	assert_true(dial_is_late(&d, 11001));
}

static void
the_reasons_name_their_brokers(void **state)
{
	char why[200];

	(void)state;
	with_brokers(2);
	port_at(1000);
	dial_failed(&d, "refused", 1000);
	port_at(2000);
	dial_failed(&d, "silent", 2000);
	dial_why(&d, why, sizeof why);
	assert_string_equal(why, "127.0.0.1:1001: refused; 127.0.0.1:1002: silent");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_broker_has_its_turn_soon_and_then_the_waits_double, teardown),
		cmocka_unit_test_teardown(the_waits_have_an_end, teardown),
		cmocka_unit_test_teardown(success_forgets_the_failures, teardown),
		cmocka_unit_test_teardown(a_lost_broker_is_followed_by_the_next, teardown),
		cmocka_unit_test_teardown(with_another_broker_patience_is_shorter, teardown),
		cmocka_unit_test_teardown(the_reasons_name_their_brokers, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
