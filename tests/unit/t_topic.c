#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "err.h"
#include "topic.h"

static void
every_topic_is_read_back_as_it_was_written(void **state)
{
	char text[TOPIC_MAX], again[TOPIC_MAX];
	struct topic t;
	struct err e;

	(void)state;
	for (int k = 0; k < TOPIC_COUNT; k++) {
		topic_format(text, "home", (enum topic_kind)k, "ezra", "operator");
		assert_int_equal(topic_parse(text, "home", &t, &e), 0);
		assert_int_equal(t.kind, k);
		assert_string_equal(t.name, "ezra");
		assert_string_equal(t.id, "operator");
		topic_format(again, "home", t.kind, t.name, t.id);
		assert_string_equal(again, text);
	}
}

static void
topics_are_spelled_as_documented(void **state)
{
	static const struct {
		enum topic_kind kind;
		const char *name, *id, *text;
	} rows[] = {
		{ TOPIC_TASK, "_", "operator", "uw/home/house/_/task/operator" },
		{ TOPIC_EVENT, "ezra", "ezra-1", "uw/home/house/ezra/event/ezra-1" },
		{ TOPIC_HEALTH, "ezra-1", "state", "uw/home/agent/ezra-1/health/state" },
		{ TOPIC_ECHO, "ezra-1", "self", "uw/home/agent/ezra-1/echo/self" },
		{ TOPIC_RELAY, "ezra-1", "halt", "uw/home/agent/ezra-1/sovereign/halt" },
		{ TOPIC_POLICY, "timmy", "current", "uw/home/sovereign/timmy/policy/current" },
		{ TOPIC_REQUEST, "ezra", "t1", "uw/home/approval/ezra/request/t1" },
		{ TOPIC_REPLY, "operator", "x", "uw/home/client/operator/reply/x" },
	};
	char text[TOPIC_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		topic_format(text, "home", rows[i].kind, rows[i].name, rows[i].id);
		assert_string_equal(text, rows[i].text);
	}
}

static void
the_longest_names_fit(void **state)
{
	char text[TOPIC_MAX], cluster[NAME_MAX_LEN + 1], name[NAME_MAX_LEN + 1], id[64];
	struct topic t;
	struct err e;

	(void)state;
	memset(cluster, 'c', NAME_MAX_LEN);
	memset(name, 'n', NAME_MAX_LEN);
	memset(id, 'i', 63);
	cluster[NAME_MAX_LEN] = name[NAME_MAX_LEN] = id[63] = '\0';
	for (int k = 0; k < TOPIC_COUNT; k++) {
		topic_format(text, cluster, (enum topic_kind)k, name, id);
		assert_int_equal(topic_parse(text, cluster, &t, &e), 0);
		assert_string_equal(t.name, name);
		assert_string_equal(t.id, id);
	}
}

static void
what_is_not_ours_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"", "/", "uw", "uw/home", "uw/home/house/ezra/task", "uw/home/house/ezra/task/", "uw/home/house//task/x",
		"uw/home/house/ezra/task/x/y", "/uw/home/house/ezra/task/x", "uw/away/house/ezra/task/x",
		"UW/home/house/ezra/task/x", "uw/home/agent/ezra/task/x", "uw/home/house/ezra/tasks/x",
		"$SYS/broker/uptime",
		"uw/home/house/ezra-the-archivist-of-all-the-houses/task/x",
		"uw/home/house/ezra/task/0123456789012345678901234567890123456789012345678901234567890123",
	};
	struct topic t;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err e = { 0 };

		assert_int_equal(topic_parse(bad[i], "home", &t, &e), -1);
		assert_int_equal(e.code, ERR_PARSE);
		assert_true(strlen(e.msg) > 0);
	}
}

static void
a_name_is_small_letters_digits_and_dashes(void **state)
{
	static const char *const good[] = { "a", "ezra", "ezra-1", "7", "a--", "abcdefghijklmnopqrstuvwxyz012345" };
	static const char *const bad[] = { "", "-", "-a", "_", "Ezra", "e_a", "e a", "e/a", "e+", "#", "e.a",
		"\xc3\xa9", "abcdefghijklmnopqrstuvwxyz0123456" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(name_ok(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(name_ok(bad[i]));
}

static void
no_two_rows_of_the_table_are_one_topic(void **state)
{
	(void)state;
	for (int i = 0; i < TOPIC_COUNT; i++)
		for (int k = 0; k < i; k++)
			assert_false(strcmp(topics[i].scope, topics[k].scope) == 0 && strcmp(topics[i].kind, topics[k].kind) == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_topic_is_read_back_as_it_was_written),
		cmocka_unit_test(topics_are_spelled_as_documented),
		cmocka_unit_test(the_longest_names_fit),
		cmocka_unit_test(what_is_not_ours_is_refused_with_a_reason),
		cmocka_unit_test(a_name_is_small_letters_digits_and_dashes),
		cmocka_unit_test(no_two_rows_of_the_table_are_one_topic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
