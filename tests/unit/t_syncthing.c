/*
 * t_syncthing.c - a Syncthing that answers badly, or not at all. tests/e2e/syncthing.sh has real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "err.h"
#include "nearest.h"
#include "server.h"
#include "syncthing.h"

static struct server server;
static struct config conf;
static char api[80], dir[] = "/x", key[] = "KEY", value[] = "sesame", id[] = "ID";
static struct err e;

/* The path of the server that answers; what is asked for becomes its query. */
static void
answered_by(const char *path, int64_t limit_ms)
{
	struct syncthing s;
	cJSON *o;

	snprintf(api, sizeof api, "http://127.0.0.1:%d%s?", server.port, path);
	e = (struct err){ 0 };
	assert_int_equal(syncthing_open(&s, &conf, limit_ms, &e), 0);
	o = syncthing_get(&s, "/rest/system/status", &e);
	assert_true(!o == (e.code != ERR_NONE));
	cJSON_Delete(o);
	syncthing_close(&s);
}

static void
each_bad_answer_is_an_error_of_its_own(void **state)
{
	static const struct {
		const char *path;
		enum err_code code;
		const char *says;
	} answers[] = {
		{ "/bad-json", ERR_PARSE, "Syncthing's answer to /rest/system/status: " },
		{ "/text", ERR_PARSE, "Syncthing's answer to /rest/system/status: " },
		{ "/deep-json", ERR_NONE, "" },
		{ "/leak", ERR_DENIED, "does not take the key KEY" },
		{ "/missing", ERR_NOT_FOUND, "answers 404 to /rest/system/status: no such thing" },
		{ "/busy", ERR_NETWORK, "answers 503 to /rest/system/status: come" },
		{ "/endless", ERR_TOO_BIG, "answers more than 4194304 bytes" },
		{ "/cut-short", ERR_NETWORK, "does not answer: " },
		{ "/garbage", ERR_NETWORK, "does not answer: " },
		{ "/hang-up", ERR_NETWORK, "does not answer: " },
		{ "/hop", ERR_NETWORK, "answers 302 to /rest/system/status" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		answered_by(answers[i].path, 5000);
		assert_int_equal(e.code, answers[i].code);
		if (!strstr(e.msg, answers[i].says))
			fail_msg("%s: %s", answers[i].path, e.msg);
		assert_null(strstr(e.msg, value));
	}
}

static void
it_ends_in_time(void **state)
{
	int64_t begun = clock_mono_ms();

	(void)state;
	answered_by("/silent", 300);
	assert_int_equal(e.code, ERR_TIMEOUT);
	answered_by("/slow", 300);
	assert_int_equal(e.code, ERR_TIMEOUT);
	assert_true(clock_mono_ms() - begun < 5000);
	answered_by("/text", 0);
	assert_int_equal(e.code, ERR_TIMEOUT);
}

static void
one_that_is_not_there_is_named(void **state)
{
	struct syncthing s;
	int port, fd = reserve_port(&port);

	(void)state;
	snprintf(api, sizeof api, "http://127.0.0.1:%d", port);
	assert_int_equal(syncthing_open(&s, &conf, 2000, &e), 0);
	assert_null(syncthing_self(&s, &e));
	assert_int_equal(e.code, ERR_NETWORK);
	assert_non_null(strstr(e.msg, api));
	syncthing_close(&s);
	close(fd);
}

static void
who_is_not_in_houses_yaml_is_told_his_id(void **state)
{
	struct syncthing s;

	(void)state;
	snprintf(api, sizeof api, "http://127.0.0.1:%d/json?", server.port);
	assert_int_equal(syncthing_open(&s, &conf, 2000, &e), 0);
	assert_null(syncthing_self(&s, &e));
	assert_int_equal(e.code, ERR_CONFIG);
	syncthing_close(&s);
}

static void
without_what_it_needs_it_does_not_begin(void **state)
{
	struct config bare = conf;
	struct syncthing s;

	(void)state;
	bare.nsecrets = 0;
	assert_int_equal(syncthing_open(&s, &bare, 1000, &e), -1);
	assert_non_null(strstr(e.msg, "this host has no secret KEY"));
	bare.share_key = NULL;
	assert_int_equal(syncthing_open(&s, &bare, 1000, &e), -1);
	assert_non_null(strstr(e.msg, "syncthing.api_key: expected"));
	bare.share_dir = NULL;
	assert_int_equal(syncthing_open(&s, &bare, 1000, &e), -1);
	assert_int_equal(e.code, ERR_CONFIG);
}

static void
all_that_leads_outside_is_off_unless_it_is_named(void **state)
{
	struct nearest n = { .word = "relay" };

	(void)state;
	for (const struct syncthing_option *o = syncthing_options; o->member; o++) {
		assert_non_null(o->off);
		assert_true(!o->word == !o->on);
	}
	assert_true(syncthing_outside("upgrades", &n));
	assert_false(syncthing_outside("relay", &n));
	assert_string_equal(nearest_word(&n), "relays");
}

static int
begin(void **state)
{
	(void)state;
	server_start(&server, NULL, 0);
	conf = (struct config){ .share_dir = dir, .share_api = api, .share_key = key, .ndevices = 1, .nsecrets = 1,
		.devices = { { .name = "ezra", .id = id } }, .secrets = { { .name = key, .value = value } } };
	return 0;
}

static int
end(void **state)
{
	(void)state;
	server_stop(&server);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bad_answer_is_an_error_of_its_own),
		cmocka_unit_test(it_ends_in_time),
		cmocka_unit_test(one_that_is_not_there_is_named),
		cmocka_unit_test(who_is_not_in_houses_yaml_is_told_his_id),
		cmocka_unit_test(without_what_it_needs_it_does_not_begin),
		cmocka_unit_test(all_that_leads_outside_is_off_unless_it_is_named),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
