/* Where the router sends a task that names no house. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "err.h"
#include "json.h"
#include "triage.h"

static struct config config;

static int
setup(void **state)
{
	static const char text[] = "state: /nowhere\nhouses:\n  timmy: { role: judgement }\n  ezra: { role: archivist }\n"
	    "  bezalel: { role: artificer }\n  allegro: { role: tempo-and-dispatch }\n";

	(void)state;
	return config_parse(&config, "houses.yaml", text, sizeof text - 1, NULL, NULL, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	config_release(&config);
	return 0;
}

static const char *
choose(const char *tool, const char *params, uint64_t hash)
{
	cJSON *v = json_parse_object(params, strlen(params), NULL);
	const char *why = NULL;
	const struct config_house *h;

	assert_non_null(v);
	h = triage(&config, tool, v, &why);
	cJSON_Delete(v);
	if (h)
		assert_true(why && why[0]);
	else
		h = triage_evenly(&config, hash);
	assert_non_null(h);
	return h->name;
}

static void
a_path_names_the_house(void **state)
{
	(void)state;
	assert_string_equal(choose("git_status", "{\"repo_path\":\"/srv/bezalel/site\"}", 0), "bezalel");
	assert_string_equal(choose("noop", "{\"path\":\"/srv/timmy\"}", 0), "timmy");
	assert_string_equal(choose("noop", "{\"path\":\"/srv/timmy-old/x/timmy/y\"}", 0), "timmy");
	assert_string_equal(choose("git_log", "{\"repo_path\":\"/srv/bezalels/site\"}", 0), "ezra");
	assert_string_equal(choose("git_log", "{\"repo_path\":\"bezalel\"}", 0), "ezra");
	assert_string_equal(choose("git_log", "{\"repo_path\":5}", 0), "ezra");
}

static void
a_tool_speaks_for_a_role(void **state)
{
	(void)state;
	assert_string_equal(choose("git_log", "{}", 0), "ezra");
	assert_string_equal(choose("git_push", "{}", 0), "bezalel");
	assert_string_equal(choose("file_write", "{}", 0), "bezalel");
	assert_string_equal(choose("file_read", "{}", 0), "ezra");
	assert_string_equal(choose("deploy_site", "{}", 0), "bezalel");
	assert_string_equal(choose("http_get", "{}", 0), "allegro");
	assert_string_equal(choose("port_check", "{}", 0), "allegro");
}

static void
the_rest_is_spread_evenly_and_always_the_same_way(void **state)
{
	int n[4] = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 400; i++)
		for (int k = 0; k < 4; k++)
			n[k] += strcmp(choose("noop", "{}", i), config.houses[k].name) == 0;
	for (int k = 0; k < 4; k++)
		assert_int_equal(n[k], 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_names_the_house),
		cmocka_unit_test(a_tool_speaks_for_a_role),
		cmocka_unit_test(the_rest_is_spread_evenly_and_always_the_same_way),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
