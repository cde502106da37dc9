/* What a tool needs beside its agent, and which failures speak of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "target.h"
#include "tool.h"

static const struct target_rule url = { .params = { "url" }, .url = true, .down = { 502, 503 } };
static const struct target_rule repo = { .params = { "repo_path", "remote" } };
static const struct target_rule server = { .name = "hermes", .slow = true, .down = { 429 } };
static const struct tool own = { .name = "own", .target = &server };
static const struct tool http = { .name = "http", .target = &url }, git = { .name = "git", .target = &repo },
    plain = { .name = "plain" };

static const char *
target(const struct tool *t, const char *params)
{
	static char out[TARGET_MAX];
	cJSON *o = cJSON_Parse(params);
	bool has = target_of(t, o, out);

	cJSON_Delete(o);
	return has ? out : "";
}

static void
a_url_stands_for_its_host_and_port(void **state)
{
	static const struct {
		const char *url, *target;
	} all[] = {
		{ "http://example.org/a/b?c#d", "example.org" },
		{ "https://Example.ORG:443", "example.org" },
		{ "http://example.org:443/", "example.org:443" },
		{ "http://example.org:80?x=http://b", "example.org" },
		{ "HTTPS://me:secret@example.org:8443/@home", "example.org:8443" },
		{ "http://[::1]:8080/x", "[::1]:8080" },
		{ "example.org/x", "example.org" },
		{ "http:///x", "" },
		{ "", "" },
	};
	char out[TARGET_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		bool has = target_read(&http, all[i].url, out);

		assert_string_equal(has ? out : "", all[i].target);
	}
}

static void
other_parameters_are_taken_as_they_are(void **state)
{
	(void)state;
	assert_string_equal(target(&git, "{\"repo_path\":\"/srv/Site\",\"remote\":\"origin\"}"), "/srv/Site:origin");
	assert_string_equal(target(&git, "{\"repo_path\":\"/srv/Site\"}"), "/srv/Site");
	assert_string_equal(target(&git, "{\"remote\":\"origin\"}"), "");
	assert_string_equal(target(&git, "{\"repo_path\":7}"), "");
	assert_string_equal(target(&git, "[]"), "");
	assert_string_equal(target(&plain, "{\"url\":\"http://example.org/\"}"), "");
}

static void
a_server_of_its_own_is_the_same_for_all_tasks(void **state)
{
	char out[TARGET_MAX];

	(void)state;
	assert_string_equal(target(&own, "{\"url\":\"http://example.org/\"}"), "hermes");
	assert_string_equal(target(&own, "{}"), "hermes");
	assert_true(target_read(&own, "hermes", out));
	assert_false(target_read(&own, "example.org", out));
}

static void
of_a_long_one_the_end_counts(void **state)
{
	char text[TARGET_MAX + 100], out[TARGET_MAX];

	(void)state;
	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = '\0';
	text[sizeof text - 2] = 'z';
	assert_true(target_read(&git, text, out));
	assert_int_equal(strlen(out), TARGET_MAX - 1);
	assert_int_equal(out[TARGET_MAX - 2], 'z');
}

static bool
down(const struct tool *t, enum err_code code, int number, bool refused)
{
	struct tool_run r = { .tool = t, .failed_with = number, .refused = refused };
	struct err e = { .code = code };

	return target_was_down(&r, &e);
}

static void
network_errors_timeouts_and_its_numbers_speak_of_it(void **state)
{
	(void)state;
	assert_true(down(&http, ERR_NETWORK, 0, false));
	assert_true(down(&http, ERR_TIMEOUT, 0, false));
	assert_true(down(&http, ERR_TOOL, 503, false));
	assert_true(down(&own, ERR_NETWORK, 0, false));
	assert_false(down(&own, ERR_TIMEOUT, 0, false));
	assert_true(down(&own, ERR_TOOL, 429, false));
	assert_false(down(&http, ERR_TOOL, 404, false));
	assert_false(down(&http, ERR_TOOL, 0, false));
	assert_false(down(&http, ERR_NETWORK, 0, true));
	assert_false(down(&plain, ERR_NETWORK, 503, false));
	assert_false(down(NULL, ERR_NETWORK, 503, false));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_stands_for_its_host_and_port),
		cmocka_unit_test(other_parameters_are_taken_as_they_are),
		cmocka_unit_test(a_server_of_its_own_is_the_same_for_all_tasks),
		cmocka_unit_test(of_a_long_one_the_end_counts),
		cmocka_unit_test(network_errors_timeouts_and_its_numbers_speak_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
