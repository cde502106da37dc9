#include "tooltest.h"

#include "server.h"

static struct server plain, tls;
static SSL_CTX *ctx;

static int
setup(void **state)
{
	struct buf pem = { 0 };

	fx_setup(state);
	ctx = make_tls(30, &pem);
	fx_put("root/ca.pem", buf_str(&pem));
	buf_free(&pem);
	server_start(&plain, NULL, 0);
	server_start(&tls, ctx, 0);
	return 0;
}

static int
teardown(void **state)
{
	server_stop(&plain);
	server_stop(&tls);
	SSL_CTX_free(ctx);
	return fx_teardown(state);
}

static const cJSON *
check_named(const char *name)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, fx_at("checks"))
		if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "name")), name) == 0)
			return c;
	fail_msg("no check %s", name);
	return NULL;
}

static const char *
status_of(const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(check_named(name), "status"));
}

static void
the_host_is_checked_by_default(void **state)
{
	(void)state;
	fx_ok(fx_run("health_check", "{}"));
	assert_non_null(check_named("load"));
	assert_non_null(check_named("memory"));
	assert_non_null(check_named("clock"));
	assert_non_null(check_named("disk /"));
	assert_int_equal(fx_int("ok") + fx_int("warn") + fx_int("fail") + fx_int("unknown"),
	    cJSON_GetArraySize(fx_at("checks")));
	assert_int_equal(fx_int("warn") + fx_int("fail"), cJSON_GetArraySize(fx_at("reasons")));
}

static void
limits_decide_between_ok_warn_and_fail(void **state)
{
	(void)state;
	fx_ok(fx_run("health_check", "{'memory_warn':999,'memory_fail':1000}"));
	assert_string_equal(status_of("memory"), "ok");
	fx_ok(fx_run("health_check", "{'memory_warn':0.01,'memory_fail':1000}"));
	assert_string_equal(status_of("memory"), "warn");
	fx_ok(fx_run("health_check", "{'memory_fail':0.01,'disk_warn':0,'disk_fail':1000}"));
	assert_string_equal(status_of("memory"), "fail");
	assert_string_equal(status_of("disk /"), "warn");
	assert_string_equal(fx_str("status"), "fail");
}

static void
urls_and_ports_are_checked(void **state)
{
	char name[64];
	int closed, fd = reserve_port(&closed);

	(void)state;
	fx_ok(fx_run("health_check", "{'host':false,'urls':['http://127.0.0.1:%d/text'],"
	    "'ports':['localhost:%d']}", plain.port, plain.port));
	assert_string_equal(fx_str("status"), "ok");
	assert_int_equal(cJSON_GetArraySize(fx_at("reasons")), 0);
	fx_ok(fx_run("health_check", "{'host':false,'urls':['http://127.0.0.1:%d/busy?token=x'],"
	    "'ports':['127.0.0.1:%d','[::1]:%d']}", plain.port, plain.port, closed));
	assert_string_equal(fx_str("status"), "fail");
	assert_int_equal(fx_int("fail"), 2);
	assert_int_equal(fx_int("ok"), 1);
	snprintf(name, sizeof name, "http://127.0.0.1:%d/busy", plain.port);
	assert_string_equal(status_of(name), "fail");
	assert_non_null(strstr(fx_str("reasons.1"), "503"));
	close(fd);
}

static void
a_private_authority_can_be_trusted(void **state)
{
	(void)state;
	fx_ok(fx_run("health_check", "{'host':false,'urls':['https://localhost:%d/text']}", tls.port));
	assert_string_equal(fx_str("status"), "fail");
	fx_ok(fx_run("health_check", "{'host':false,'ca_file':'ca.pem','urls':['https://localhost:%d/text',"
	    "'https://localhost:%d/json']}", tls.port, tls.port));
	assert_string_equal(fx_str("status"), "ok");
}

/* Houses that are reached at the server, under this path. */
static void
fx_endpoint(const char *house, const char *path)
{
	struct config_house *h = &fx.config.houses[fx.config.nhouses++];
	char url[128];

	snprintf(url, sizeof url, "http://127.0.0.1:%d%s", plain.port, path);
	snprintf(h->name, sizeof h->name, "%s", house);
	snprintf(h->agents.v[0], sizeof h->agents.v[0], "ezra-1");
	h->agents.n = 1;
	h->auth_token = xstrdup("a-token-of-a-house");
	h->endpoint = path[0] ? xstrdup(url) : NULL;
}

static void
houses_and_agents_are_asked_at_their_endpoint(void **state)
{
	static const struct { const char *house, *path, *status, *says; } houses[] = {
		{ "well", "/", "ok", "ezra-1 is well" },
		{ "stressed", "/stressed", "warn", "under stress" },
		{ "failing", "/failing/", "fail", "ezra-1: link (no pulse)" },
		{ "text", "/text", "fail", "not what an agent says" },
		{ "other", "/json", "fail", "not what an agent says" },
		{ "endless", "/endless", "fail", "not what an agent says" },
		{ "missing", "/missing", "fail", "not what an agent says" },
	};
	struct config_house *h;
	char name[64];

	(void)state;
	for (size_t i = 0; i < sizeof houses / sizeof *houses; i++) {
		fx_endpoint(houses[i].house, houses[i].path);
		fx_ok(fx_run("health_check", "{'host':false,'houses':['%s']}", houses[i].house));
		snprintf(name, sizeof name, "house %s", houses[i].house);
		assert_string_equal(status_of(name), houses[i].status);
		if (!strstr(fx_str("checks.0.detail"), houses[i].says))
			fail_msg("%s: %s", houses[i].house, fx_str("checks.0.detail"));
	}
	fx_ok(fx_run("health_check", "{'host':false,'houses':['ezra-1']}"));
	assert_string_equal(status_of("agent ezra-1"), "ok");

	h = &fx.config.houses[0];
	snprintf(h->agents.v[0], sizeof h->agents.v[0], "well-1");
	fx_ok(fx_run("health_check", "{'host':false,'houses':['well','well-1']}"));
	assert_int_equal(fx_int("fail"), 2);
	assert_string_equal(fx_str("checks.1.detail"), "it is ezra-1 that answers");

	fx_endpoint("silent", "");
	fx_failed(fx_run("health_check", "{'host':false,'houses':['well','silent']}"), ERR_CONFIG, "params.houses.1");
	fx_failed(fx_run("health_check", "{'host':false,'houses':['nobody']}"), ERR_UNKNOWN_HOUSE, "params.houses.0");
	fx_failed(fx_run("health_check", "{'host':false,'houses':['Example.org']}"), ERR_INVALID, "params.houses.0");
}

static void
the_task_fails_only_when_told_to(void **state)
{
	(void)state;
	fx_ok(fx_run("health_check", "{'memory_fail':0.01}"));
	fx_failed(fx_run("health_check", "{'memory_fail':0.01,'fail_on':'fail'}"), ERR_TOOL, NULL);
	assert_non_null(strstr(fx.e.msg, "memory"));
	fx_failed(fx_run("health_check", "{'host':false,'urls':['http://127.0.0.1:%d/missing'],"
	    "'fail_on':'warn'}", plain.port), ERR_TOOL, NULL);
	fx_ok(fx_run("health_check", "{'host':false,'urls':['http://127.0.0.1:%d/text'],'fail_on':'warn'}",
	    plain.port));
}

static void
what_there_is_no_time_for_is_said_so(void **state)
{
	(void)state;
	fx.timeout_ms = 2000;
	fx_ok(fx_run("health_check", "{'host':false,'urls':['http://127.0.0.1:%d/silent',"
	    "'http://127.0.0.1:%d/text']}", plain.port, plain.port));
	fx.timeout_ms = 20000;
	assert_int_equal(fx_int("fail"), 1);
	assert_int_equal(fx_int("warn"), 1);
	assert_non_null(strstr(fx_str("reasons.1"), "no time left"));
}

static void
services_without_a_service_manager_are_a_failure_that_says_why(void **state)
{
	(void)state;
	fx_ok(fx_run("health_check", "{'host':false,'services':['no-such-unit-at-all']}"));
	assert_string_equal(fx_str("status"), "fail");
}

static void
bad_parameters_are_named(void **state)
{
	(void)state;
	fx_failed(fx_run("health_check", "{'host':false}"), ERR_MISSING, "params.host");
	fx_failed(fx_run("health_check", "{'ports':['x']}"), ERR_INVALID, "params.ports.0");
	fx_failed(fx_run("health_check", "{'ports':['x:1','x:99999']}"), ERR_INVALID, "params.ports.1");
	fx_failed(fx_run("health_check", "{'services':['-x']}"), ERR_INVALID, "params.services.0");
	fx_ok(fx_run("health_check", "{'host':false,'urls':['file:///etc/passwd']}"));
	assert_string_equal(fx_str("status"), "fail");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_host_is_checked_by_default),
		cmocka_unit_test(limits_decide_between_ok_warn_and_fail),
		cmocka_unit_test(urls_and_ports_are_checked),
		cmocka_unit_test(a_private_authority_can_be_trusted),
		cmocka_unit_test(houses_and_agents_are_asked_at_their_endpoint),
		cmocka_unit_test(the_task_fails_only_when_told_to),
		cmocka_unit_test(what_there_is_no_time_for_is_said_so),
		cmocka_unit_test(services_without_a_service_manager_are_a_failure_that_says_why),
		cmocka_unit_test(bad_parameters_are_named),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
