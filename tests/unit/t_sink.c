#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"
#include "sink.h"

static struct config conf;

static void
one_that_takes_nothing_holds_nobody_up_and_its_queue_has_an_end(void **state)
{
	struct config_sink c = { .name = "x", .kind = (char[]){ "command" }, .command = (char[]){ "/bin/false" } };
	int64_t begun = clock_mono_ms();
	struct sink s;
	struct err e;
	char line[1024];

	(void)state;
	memset(line, ' ', sizeof line);
	memcpy(line, "{}", 2);
	line[sizeof line - 1] = '\n';
	assert_int_equal(sink_open(&s, &conf, &c, NULL, 0, &e), 0);
	for (int i = 0; i < 1000; i++)
		sink_put(&s, line, sizeof line);
	/* 64 KiB here, as much in the pipe, and what its reader has taken. */
	assert_in_range(s.dropped, 700, 940);
	sink_close(&s, 100);
	assert_true(clock_mono_ms() - begun < 5000);
}

/* From a line that a full queue cut in two nothing is made. */
static void
lines_come_whole_and_in_order(void **state)
{
	char dir[] = "/tmp/uw-sink-XXXXXX", script[64], out[64], line[64];
	struct config_sink c = { .name = "x", .kind = (char[]){ "command" }, .command = script };
	struct sink s;
	struct err e;
	FILE *f;
	int n = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(script, sizeof script, "%s/take", dir);
	snprintf(out, sizeof out, "%s/out", dir);
	f = fopen(script, "w");
	fprintf(f, "#!/bin/sh\ncat >>%s\n", out);
	fchmod(fileno(f), 0755);
	fclose(f);
	assert_int_equal(sink_open(&s, &conf, &c, NULL, 0, &e), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(line, sizeof line, "{\"n\":%d}\n", i);
		sink_put(&s, line, strlen(line));
	}
	sink_put(&s, "{\"n\":", 5);
	sink_close(&s, 20000);
	f = fopen(out, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		char expected[64];

		snprintf(expected, sizeof expected, "{\"n\":%d}\n", n++);
		assert_string_equal(line, expected);
	}
	fclose(f);
	assert_int_equal(n, 20);
	unlink(out);
	unlink(script);
	rmdir(dir);
}

static void
what_lacks_its_secret_or_program_does_not_begin(void **state)
{
	struct config_sink hook = { .name = "x", .kind = (char[]){ "webhook" }, .url = (char[]){ "http://x/" }, .secret = (char[]){ "KEY" } };
	struct config_sink program = { .name = "y", .kind = (char[]){ "command" }, .command = (char[]){ "/nonexistent" } };
	struct sink s;
	struct err e;

	(void)state;
	assert_int_equal(sink_open(&s, &conf, &hook, NULL, 0, &e), -1);
	assert_string_equal(e.msg, "sinks.x.secret: this host has no secret KEY");
	assert_int_equal(sink_open(&s, &conf, &program, NULL, 0, &e), -1);
	assert_non_null(strstr(e.msg, "sinks.y.command: /nonexistent cannot be run"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_takes_nothing_holds_nobody_up_and_its_queue_has_an_end),
		cmocka_unit_test(lines_come_whole_and_in_order),
		cmocka_unit_test(what_lacks_its_secret_or_program_does_not_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
