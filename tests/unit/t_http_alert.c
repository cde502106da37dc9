/* What of all that an agent hears is about alerts; the rest is for the core. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent.h"
#include "clock.h"
#include "http_alert.h"

static struct config config = { .cluster = "home" };
static struct agent a;

static int
open_one(void **state)
{
	(void)state;
	a = (struct agent){ .o = { .config = &config, .id = "timmy-1" } };
	events_init(&a);
	alerts_init(&a);
	return 0;
}

static int
close_one(void **state)
{
	(void)state;
	alerts_release(&a);
	events_release(&a);
	return 0;
}

static bool
takes(const char *topic, size_t len)
{
	static char large[8192];
	char now[32], until[32];

	clock_format(clock_wall_ms(), now, sizeof now);
	clock_format(clock_wall_ms() + 60000, until, sizeof until);
	snprintf(large, sizeof large, "{\"state\":\"raised\",\"since\":\"%s\",\"time\":\"%s\",\"until\":\"%s\",\"value\":7}%*s", now, now, until,
	    (int)sizeof large - 400, "");
	return alerts_take(&a, topic, large, len ? len : strlen(large));
}

static void
alerts_and_mutes_are_taken(void **state)
{
	(void)state;
	assert_true(takes("uw/home/agent/ezra-1/alert/disk-low.ezra-1", 200));
	assert_true(takes("uw/home/client/operator/mute/disk-low", 200));
	/* Left out, but still nothing for the core. */
	assert_true(takes("uw/home/agent/ezra-1/alert/queue-age.ezra", 0));
}

static void
what_only_is_called_so_is_not(void **state)
{
	(void)state;
	for (size_t len = 0; len < 400; len += 200) {
		assert_false(takes("uw/home/house/alert/task/operator", len));
		assert_false(takes("uw/home/house/mute/event/mute-1", len));
		assert_false(takes("uw/home/house/ezra/task/alert", len));
		assert_false(takes("uw/away/agent/ezra-1/alert/disk-low", len));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(alerts_and_mutes_are_taken, open_one, close_one),
		cmocka_unit_test_setup_teardown(what_only_is_called_so_is_not, open_one, close_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
