#include "tooltest.h"

#include "server.h"

static struct server plain, tls, second;
static SSL_CTX *ctx;
static struct buf ca;
static char origin[64];

#define TOKEN "s3cr3t-t0ken-value"

static int
setup(void **state)
{
	fx_setup(state);
	ctx = make_tls(30, &ca);
	server_start(&second, NULL, 0);
	server_start(&plain, NULL, second.port);
	server_start(&tls, ctx, second.port);
	snprintf(origin, sizeof origin, "HTTP://127.0.0.1:%d/", plain.port);
	fx.config.nsecrets = 2;
	fx.config.secrets[0] = (struct config_secret){ .name = "API_TOKEN", .value = TOKEN,
		.origin = origin };
	fx.config.secrets[1] = (struct config_secret){ .name = "OTHER", .value = "no-origin-value" };
	fx_put("root/ca.pem", buf_str(&ca));
	return 0;
}

static int
teardown(void **state)
{
	server_stop(&plain);
	server_stop(&tls);
	server_stop(&second);
	SSL_CTX_free(ctx);
	buf_free(&ca);
	return fx_teardown(state);
}

static int
get(const char *path, const char *more)
{
	return fx_run("http_get", "{'url':'http://127.0.0.1:%d%s'%s}", plain.port, path, more);
}

static int
tls_get(const char *path, const char *more)
{
	return fx_run("http_get", "{'url':'https://localhost:%d%s'%s}", tls.port, path, more);
}

static int
post(const char *path, const char *more)
{
	return fx_run("http_post", "{'url':'http://127.0.0.1:%d%s'%s}", plain.port, path, more);
}

static void
a_page_comes_back_with_status_headers_and_text(void **state)
{
	(void)state;
	fx_ok(get("/text", ""));
	assert_int_equal(fx_int("status"), 200);
	assert_string_equal(fx_str("content"), "hello\n");
	assert_string_equal(fx_str("encoding"), "utf-8");
	assert_string_equal(fx_str("content_type"), "text/plain");
	assert_string_equal(fx_str("headers.x-twice"), "a, b");
	assert_string_equal(fx_str("address"), "127.0.0.1");
	assert_int_equal(fx_int("content_length"), 6);
	assert_false(fx_true("truncated"));
}

static void
json_is_parsed(void **state)
{
	(void)state;
	fx_ok(get("/json", ""));
	assert_string_equal(fx_str("json.a.2.b"), "c");
	assert_null(fx_at("content"));
}

static void
what_only_claims_to_be_json_comes_as_text(void **state)
{
	(void)state;
	fx_ok(get("/bad-json", ""));
	assert_string_equal(fx_str("content"), "{\"a\":1,\"a\":2}");
	fx_ok(get("/deep-json", ""));
	assert_null(fx_at("json"));
	assert_int_equal(strlen(fx_str("content")), 62);
}

static void
bytes_that_are_no_text_come_as_base64(void **state)
{
	(void)state;
	fx_ok(get("/binary", ""));
	assert_string_equal(fx_str("encoding"), "base64");
	assert_string_equal(fx_str("content"), "iVBORwD/");
}

static void
a_chunked_body_is_put_together(void **state)
{
	(void)state;
	fx_ok(get("/chunked", ""));
	assert_string_equal(fx_str("content"), "hello, world");
}

static void
an_endless_body_ends_at_max_bytes(void **state)
{
	(void)state;
	fx_ok(get("/endless", ",'max_bytes':1000"));
	assert_int_equal(strlen(fx_str("content")), 1000);
	assert_true(fx_true("truncated"));
	fx_ok(get("/endless", ",'max_bytes':4194304"));
	assert_true(fx_true("truncated"));
	assert_true(fx_int("bytes") > 200000);
}

static void
a_body_of_exactly_max_bytes_is_not_truncated(void **state)
{
	(void)state;
	fx_ok(get("/text", ",'max_bytes':6"));
	assert_int_equal(fx.percent, 100);
	assert_string_equal(fx.note, "6 of 6 bytes received");
	assert_false(fx_true("truncated"));
	fx_ok(get("/text", ",'max_bytes':5"));
	assert_true(fx_true("truncated"));
	fx_ok(get("/text", ",'max_bytes':0"));
	assert_string_equal(fx_str("content"), "");
	assert_true(fx_true("truncated"));
}

static void
too_many_headers_are_cut_and_said_so(void **state)
{
	(void)state;
	fx_ok(get("/many-headers", ""));
	assert_true(fx_true("headers_truncated"));
	assert_true(cJSON_GetArraySize(fx_at("headers")) > 20);
}

static void
a_redirect_is_the_answer_unless_asked_otherwise(void **state)
{
	(void)state;
	fx_ok(get("/hop", ""));
	assert_int_equal(fx_int("status"), 302);
	assert_string_equal(fx_str("headers.location"), "/text");
	fx_ok(get("/hop", ",'max_redirects':3"));
	assert_int_equal(fx_int("status"), 200);
	assert_int_equal(fx_int("redirects"), 1);
	assert_non_null(strstr(fx_str("url"), "/text"));
	assert_null(fx_at("headers.location"));
	fx_failed(get("/loop", ",'max_redirects':3"), ERR_TOOL, NULL);
}

static void
no_redirect_leads_to_another_protocol(void **state)
{
	(void)state;
	fx_failed(get("/file", ",'max_redirects':3"), ERR_TOOL, NULL);
	/* from https not even to http */
	fx_failed(tls_get("/away", ",'ca_file':'ca.pem','max_redirects':3"), ERR_TOOL, NULL);
}

static void
metadata_addresses_are_refused_however_they_are_written(void **state)
{
	static const char *const urls[] = {
		"http://169.254.169.254/latest/meta-data/", "http://2852039166/", "http://0xa9fea9fe/",
		"http://[::ffff:169.254.169.254]/", "http://[64:ff9b::a9fe:a9fe]/", "http://169.254.170.2/",
		"http://100.100.100.200/", "http://[fd00:ec2::254]/", "http://[::169.254.169.254]/",
	};

	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
		fx_failed(fx_run("http_get", "{'url':'%s','timeout_s':5}", urls[i]), ERR_DENIED, NULL);
	fx_failed(get("/metadata", ",'max_redirects':1"), ERR_DENIED, NULL);
}

static void
a_status_from_400_on_is_a_failure_that_carries_it(void **state)
{
	(void)state;
	fx_failed(get("/missing", ""), ERR_TOOL, NULL);
	assert_string_equal(fx.e.got, "404");
	assert_non_null(strstr(fx.e.msg, "no such thing"));
	fx_failed(get("/busy", ""), ERR_TOOL, NULL);
	assert_string_equal(fx.e.got, "503");
	assert_non_null(strstr(fx.e.msg, "retry after 120 s"));
	assert_non_null(strstr(fx.e.msg, "come back later"));
}

static void
what_may_go_well_later_is_told_by_the_status(void **state)
{
	static const struct {
		int status;
		bool worth;
	} cases[] = { { 400, false }, { 401, false }, { 404, false }, { 408, true }, { 410, false }, { 429, true }, { 500, true },
		{ 501, false }, { 502, true }, { 503, true }, { 504, true }, { 0, true } };
	const struct tool *t = registry_find(fx.registry, "http_get");

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(retry_is_worth(t, &(struct err){ .code = ERR_TOOL }, cases[i].status), cases[i].worth);
	assert_true(retry_is_worth(t, &(struct err){ .code = ERR_NETWORK }, 0));
	assert_false(retry_is_worth(t, &(struct err){ .code = ERR_DENIED }, 0));
}

static void
a_server_that_is_slow_or_silent_ends_in_a_timeout(void **state)
{
	int64_t began = clock_mono_ms();

	(void)state;
	fx_failed(get("/slow", ",'timeout_s':1"), ERR_TIMEOUT, NULL);
	fx_failed(get("/silent", ",'timeout_s':1"), ERR_TIMEOUT, NULL);
	assert_true(clock_mono_ms() - began < 4000);
}

static void
the_deadline_of_the_task_shortens_the_timeout(void **state)
{
	int64_t began = clock_mono_ms();

	(void)state;
	fx.timeout_ms = 1000;
	fx_failed(get("/silent", ",'timeout_s':20"), ERR_TIMEOUT, NULL);
	fx.timeout_ms = 20000;
	assert_true(clock_mono_ms() - began < 1000);
}

static void
servers_that_break_off_or_speak_nonsense_are_failures(void **state)
{
	(void)state;
	fx_failed(get("/cut-short", ""), ERR_NETWORK, NULL);
	fx_failed(get("/hang-up", ""), ERR_NETWORK, NULL);
	assert_int_equal(get("/garbage", ""), -1);
	assert_true(fx.e.code == ERR_TOOL || fx.e.code == ERR_NETWORK);
}

static void
https_needs_a_certificate_that_is_trusted(void **state)
{
	(void)state;
	fx_failed(tls_get("/text", ""), ERR_NETWORK, NULL);
	assert_non_null(strstr(fx.e.msg, "certificate"));
	fx_ok(tls_get("/text", ",'ca_file':'ca.pem'"));
	assert_string_equal(fx_str("content"), "hello\n");
	fx_failed(tls_get("/text", ",'ca_file':'../outside/ca'"), ERR_PATH, "params.ca_file");
	fx_put("root/not.pem", "nothing");
	fx_failed(tls_get("/text", ",'ca_file':'not.pem'"), ERR_INVALID, "params.ca_file");
	/* plain HTTP to a TLS port and the other way round */
	assert_int_equal(fx_run("http_get", "{'url':'http://localhost:%d/','timeout_s':1}", tls.port), -1);
	assert_int_equal(fx_run("http_get", "{'url':'https://localhost:%d/','timeout_s':1}", plain.port), -1);
}

static void
a_url_is_http_without_credentials(void **state)
{
	static const char *const urls[] = {
		"file:///etc/passwd", "ftp://example.org/", "gopher://127.0.0.1/", "http://", "nonsense here",
		"http://user:pass@127.0.0.1/", "https://token@127.0.0.1/", "http://127.0.0.1:99999/", "/text",
		"http://127.0.0.1/a b",
	};

	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
		fx_failed(fx_run("http_get", "{'url':'%s'}", urls[i]), ERR_INVALID, "params.url");
	fx_failed(fx_run("http_get", "{'url':'http://user:hidden@127.0.0.1/'}"), ERR_INVALID, "params.url");
	assert_null(strstr(fx.e.msg, "hidden"));
}

static void
headers_are_sent_but_not_such_that_carry_credentials_or_break_framing(void **state)
{
	(void)state;
	fx_ok(get("/echo", ",'headers':{'X-Mine':'yes','Accept':'text/x','X-Empty':''}"));
	assert_non_null(strstr(fx_str("content"), "\r\nX-Mine: yes\r\n"));
	assert_non_null(strstr(fx_str("content"), "\r\nAccept: text/x\r\n"));
	assert_non_null(strstr(fx_str("content"), "\r\nX-Empty:\r\n"));
	fx_failed(get("/echo", ",'headers':{'Authorization':'Bearer x'}"), ERR_INVALID,
	    "params.headers.Authorization");
	fx_failed(get("/echo", ",'headers':{'content-length':'1'}"), ERR_INVALID,
	    "params.headers.content-length");
	fx_failed(get("/echo", ",'headers':{'A B':'1'}"), ERR_INVALID, "params.headers.A B");
	fx_failed(get("/echo", ",'headers':{'A':'1\\r\\nHost: evil'}"), ERR_INVALID, "params.headers.A");
	fx_failed(get("/echo", ",'headers':{'A':1}"), ERR_INVALID, "params.headers.A");
}

static bool
result_has(const char *text)
{
	char *all = cJSON_PrintUnformatted(fx.result);
	bool has = strstr(all, text) != NULL;

	free(all);
	return has;
}

static void
a_secret_is_sent_as_bearer_token_and_never_shown(void **state)
{
	(void)state;
	fx_ok(get("/echo", ",'secret':'API_TOKEN'"));
	assert_non_null(strstr(fx_str("content"), "Authorization: Bearer [secret API_TOKEN]"));
	assert_false(result_has(TOKEN));
	fx_failed(get("/leak", ",'secret':'API_TOKEN'"), ERR_TOOL, NULL);
	assert_null(strstr(fx.e.msg, TOKEN));
	fx_failed(get("/echo", ",'secret':'NO_SUCH'"), ERR_INVALID, "params.secret");
}

static void
a_secret_does_not_follow_a_redirect_to_another_server(void **state)
{
	(void)state;
	fx_ok(get("/away", ",'secret':'API_TOKEN','max_redirects':1"));
	assert_non_null(strstr(fx_str("content"), "GET /echo"));
	assert_null(strstr(fx_str("content"), "Authorization"));
}

static void
a_secret_is_sent_to_its_origin_only(void **state)
{
	int before = atomic_load(second.requests) + atomic_load(tls.requests);

	(void)state;
	fx_failed(fx_run("http_get", "{'url':'http://127.0.0.1:%d/echo','secret':'API_TOKEN'}", second.port),
	    ERR_DENIED, NULL);
	fx_failed(fx_run("http_post", "{'url':'http://localhost:%d/echo','secret':'API_TOKEN'}", plain.port),
	    ERR_DENIED, NULL);
	fx_failed(tls_get("/echo", ",'ca_file':'ca.pem','secret':'API_TOKEN'"), ERR_DENIED, NULL);
	fx_failed(fx_run("http_get", "{'url':'http://127.0.0.1:%d@localhost:%d/','secret':'API_TOKEN'}",
	    plain.port, second.port), ERR_INVALID, "params.url");
	fx_failed(get("/echo", ",'secret':'OTHER'"), ERR_DENIED, NULL);
	assert_int_equal(atomic_load(second.requests) + atomic_load(tls.requests), before);
}

static void
nobody_listening_is_a_network_failure(void **state)
{
	int port, fd = reserve_port(&port);

	(void)state;
	fx_failed(fx_run("http_get", "{'url':'http://127.0.0.1:%d/'}", port), ERR_NETWORK, NULL);
	fx_failed(fx_run("http_post", "{'url':'http://127.0.0.1:%d/'}", port), ERR_NETWORK, NULL);
	assert_false(fx.effect);
	fx_failed(fx_run("http_post", "{'url':'http://no-such-host.invalid/'}"), ERR_NETWORK, NULL);
	assert_false(fx.effect);
	close(fd);
}

static void
a_post_carries_its_body(void **state)
{
	(void)state;
	fx_ok(post("/echo", ",'json':{'n':[1,'x']}"));
	assert_true(fx.effect);
	assert_non_null(strstr(fx_str("content"), "POST /echo"));
	assert_non_null(strstr(fx_str("content"), "Content-Type: application/json\r\n"));
	assert_non_null(strstr(fx_str("content"), "\r\n\r\n{\"n\":[1,\"x\"]}"));
	fx_ok(post("/echo", ",'body':'plain text','content_type':'text/x'"));
	assert_non_null(strstr(fx_str("content"), "Content-Type: text/x\r\n"));
	assert_non_null(strstr(fx_str("content"), "\r\n\r\nplain text"));
	fx_ok(post("/echo", ",'body_base64':'YWJj'"));
	assert_non_null(strstr(fx_str("content"), "\r\n\r\nabc"));
	fx_ok(post("/echo", ""));
	assert_non_null(strstr(fx_str("content"), "Content-Length: 0\r\n"));
	fx_failed(post("/echo", ",'body':'a','json':1"), ERR_INVALID, "params.body");
	fx_failed(post("/echo", ",'body_base64':'a'"), ERR_INVALID, "params.body_base64");
	assert_false(fx.effect);
}

static void
a_refused_post_had_no_effect_and_one_without_answer_may_have(void **state)
{
	(void)state;
	fx_failed(post("/missing", ""), ERR_TOOL, NULL);
	assert_false(fx.effect);
	fx_failed(post("/busy", ""), ERR_TOOL, NULL);
	assert_true(fx.effect);
	fx_failed(post("/silent", ",'timeout_s':1"), ERR_TIMEOUT, NULL);
	assert_true(fx.effect);
	fx_failed(post("/hang-up", ""), ERR_NETWORK, NULL);
	assert_true(fx.effect);
	/* accepted, and then what it points to is missing */
	fx_failed(post("/see-missing", ",'max_redirects':1"), ERR_TOOL, NULL);
	assert_true(fx.effect);
}

static void
a_post_is_sent_once(void **state)
{
	int before = atomic_load(plain.requests);

	(void)state;
	fx_failed(post("/hang-up", ""), ERR_NETWORK, NULL);
	fx_failed(post("/busy", ""), ERR_TOOL, NULL);
	assert_int_equal(atomic_load(plain.requests) - before, 2);
}

static void
a_tls_handshake_that_fails_has_no_effect(void **state)
{
	(void)state;
	fx_failed(fx_run("http_post", "{'url':'https://localhost:%d/text'}", tls.port), ERR_NETWORK, NULL);
	assert_false(fx.effect);
}

static void
the_environment_has_no_say(void **state)
{
	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	fx_ok(get("/text", ""));
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_comes_back_with_status_headers_and_text),
		cmocka_unit_test(json_is_parsed),
		cmocka_unit_test(what_only_claims_to_be_json_comes_as_text),
		cmocka_unit_test(bytes_that_are_no_text_come_as_base64),
		cmocka_unit_test(a_chunked_body_is_put_together),
		cmocka_unit_test(an_endless_body_ends_at_max_bytes),
		cmocka_unit_test(a_body_of_exactly_max_bytes_is_not_truncated),
		cmocka_unit_test(too_many_headers_are_cut_and_said_so),
		cmocka_unit_test(a_redirect_is_the_answer_unless_asked_otherwise),
		cmocka_unit_test(no_redirect_leads_to_another_protocol),
		cmocka_unit_test(metadata_addresses_are_refused_however_they_are_written),
		cmocka_unit_test(a_status_from_400_on_is_a_failure_that_carries_it),
		cmocka_unit_test(what_may_go_well_later_is_told_by_the_status),
		cmocka_unit_test(a_server_that_is_slow_or_silent_ends_in_a_timeout),
		cmocka_unit_test(the_deadline_of_the_task_shortens_the_timeout),
		cmocka_unit_test(servers_that_break_off_or_speak_nonsense_are_failures),
		cmocka_unit_test(https_needs_a_certificate_that_is_trusted),
		cmocka_unit_test(a_url_is_http_without_credentials),
		cmocka_unit_test(headers_are_sent_but_not_such_that_carry_credentials_or_break_framing),
		cmocka_unit_test(a_secret_is_sent_as_bearer_token_and_never_shown),
		cmocka_unit_test(a_secret_does_not_follow_a_redirect_to_another_server),
		cmocka_unit_test(a_secret_is_sent_to_its_origin_only),
		cmocka_unit_test(nobody_listening_is_a_network_failure),
		cmocka_unit_test(a_post_carries_its_body),
		cmocka_unit_test(a_refused_post_had_no_effect_and_one_without_answer_may_have),
		cmocka_unit_test(a_post_is_sent_once),
		cmocka_unit_test(a_tls_handshake_that_fails_has_no_effect),
		cmocka_unit_test(the_environment_has_no_say),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
