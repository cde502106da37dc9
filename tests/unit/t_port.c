#include "tooltest.h"

#include "net.h"
#include "server.h"

static struct server plain, tls, expired, mutual;
static SSL_CTX *good_ctx, *expired_ctx, *mutual_ctx;

static int
setup(void **state)
{
	struct buf pem = { 0 };

	fx_setup(state);
	good_ctx = make_tls(30, &pem);
	fx_put("root/ca.pem", buf_str(&pem));
	expired_ctx = make_tls(-3, &pem);
	mutual_ctx = make_tls(30, &pem);
	SSL_CTX_set_max_proto_version(mutual_ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(mutual_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	buf_free(&pem);
	server_start(&mutual, mutual_ctx, 0);
	server_start(&plain, NULL, 0);
	server_start(&tls, good_ctx, 0);
	server_start(&expired, expired_ctx, 0);
	return 0;
}

static int
teardown(void **state)
{
	server_stop(&plain);
	server_stop(&tls);
	server_stop(&expired);
	server_stop(&mutual);
	SSL_CTX_free(good_ctx);
	SSL_CTX_free(expired_ctx);
	SSL_CTX_free(mutual_ctx);
	return fx_teardown(state);
}

static void
open_and_closed_ports_are_told_apart(void **state)
{
	int closed, fd = reserve_port(&closed);

	(void)state;
	fx_ok(fx_run("port_check", "{'host':'127.0.0.1','ports':[%d,%d,%d]}", plain.port, closed,
	    plain.port));
	assert_int_equal(fx_int("open"), 1);
	assert_int_equal(fx_int("closed"), 1);
	assert_int_equal(cJSON_GetArraySize(fx_at("ports")), 2);
	assert_int_equal(fx_int("ports.0.port"), plain.port);
	assert_string_equal(fx_str("ports.0.state"), "open");
	assert_string_equal(fx_str("ports.1.state"), "closed");
	assert_string_equal(fx_str("ports.1.address"), "127.0.0.1");
	close(fd);
}

static void
a_name_with_several_addresses_is_open_if_one_of_them_is(void **state)
{
	(void)state;
	fx_ok(fx_run("port_check", "{'host':'localhost','port':%d}", plain.port));
	assert_string_equal(fx_str("ports.0.state"), "open");
	assert_string_equal(fx_str("ports.0.address"), "127.0.0.1");
}

static void
an_expectation_that_is_not_met_fails_the_task(void **state)
{
	int closed, fd = reserve_port(&closed);

	(void)state;
	fx_ok(fx_run("port_check", "{'host':'127.0.0.1','port':%d,'expect':'open'}", plain.port));
	fx_ok(fx_run("port_check", "{'host':'127.0.0.1','port':%d,'expect':'closed'}", closed));
	fx_failed(fx_run("port_check", "{'host':'127.0.0.1','ports':[%d,%d],'expect':'open'}", plain.port,
	    closed), ERR_TOOL, NULL);
	fx_failed(fx_run("port_check", "{'host':'127.0.0.1','port':%d,'expect':'closed'}", plain.port),
	    ERR_TOOL, NULL);
	close(fd);
}

static void
tls_shows_the_certificate(void **state)
{
	(void)state;
	fx_ok(fx_run("port_check", "{'host':'localhost','port':%d,'tls':true}", tls.port));
	assert_string_equal(fx_str("ports.0.tls.subject"), "CN=test server");
	assert_string_equal(fx_str("ports.0.tls.names.0"), "localhost");
	assert_string_equal(fx_str("ports.0.tls.names.1"), "127.0.0.1");
	assert_int_equal(fx_int("ports.0.tls.days_left"), 29);
	assert_false(fx_true("ports.0.tls.expired"));
	assert_false(fx_true("ports.0.tls.trusted"));
	assert_non_null(strstr(fx_str("ports.0.tls.why"), "self"));
	assert_int_equal(strlen(fx_str("ports.0.tls.sha256")), 64);
}

static void
a_private_authority_can_be_trusted(void **state)
{
	(void)state;
	fx_ok(fx_run("port_check", "{'host':'localhost','port':%d,'tls':true,'ca_file':'ca.pem'}", tls.port));
	assert_true(fx_true("ports.0.tls.trusted"));
	fx_ok(fx_run("port_check", "{'host':'localhost','port':%d,'tls':true,'ca_file':'ca.pem'}",
	    expired.port));
	assert_false(fx_true("ports.0.tls.trusted"));
	fx_failed(fx_run("port_check", "{'host':'localhost','port':%d,'tls':true,'ca_file':'/etc/passwd'}",
	    tls.port), ERR_PATH, "params.ca_file");
}

static void
a_server_that_asks_for_our_certificate_shows_its_own_all_the_same(void **state)
{
	(void)state;
	fx_ok(fx_run("port_check", "{'host':'localhost','port':%d,'tls':true}", mutual.port));
	assert_string_equal(fx_str("ports.0.tls.subject"), "CN=test server");
	assert_non_null(strstr(fx_str("ports.0.tls.refused"), "handshake failure"));
}

static void
an_expired_certificate_is_shown_too(void **state)
{
	(void)state;
	fx_ok(fx_run("port_check", "{'host':'127.0.0.1','port':%d,'tls':true}", expired.port));
	assert_true(fx_true("ports.0.tls.expired"));
	assert_int_equal(fx_int("ports.0.tls.days_left"), -4);
}

static void
a_port_that_speaks_no_tls_is_said_so(void **state)
{
	int64_t began = clock_mono_ms();

	(void)state;
	fx_ok(fx_run("port_check", "{'host':'127.0.0.1','port':%d,'tls':true,'timeout_ms':200}", plain.port));
	assert_non_null(strstr(fx_str("ports.0.tls_error"), "TLS"));
	assert_true(clock_mono_ms() - began < 2000);
}

/* A server that says something at once, and nothing more. */
static pid_t
talker(const char *text, size_t len, int *port)
{
	int fd = listen_free(port);
	pid_t pid = fork();

	if (pid == 0) {
		int client = accept(fd, NULL, NULL);

		alarm(SERVER_LIFE_S);
		if (write(client, text, len) < 0)
			_exit(1);
		while (read(client, (char[1]){ 0 }, 1) > 0)
			continue;
		_exit(0);
	}
	close(fd);
	return pid;
}

static void
banner(const char *text, size_t len, const char *member, const char *expected)
{
	int port;
	pid_t pid = talker(text, len, &port);

	fx_ok(fx_run("port_check", "{'host':'127.0.0.1','port':%d,'banner':true}", port));
	assert_string_equal(fx_str(member), expected);
	waitpid(pid, NULL, 0);
}

static void
a_banner_is_read(void **state)
{
	(void)state;
	banner("SSH-2.0-test\r\n", 14, "ports.0.banner", "SSH-2.0-test\r\n");
	banner("\xff\x00\x01", 3, "ports.0.banner_base64", "/wAB");
	fx_ok(fx_run("port_check", "{'host':'127.0.0.1','port':%d,'banner':true,'timeout_ms':99}",
	    plain.port));
	assert_true(cJSON_IsNull(fx_at("ports.0.banner")));
}

/* A full accept queue: the kernel drops what more comes, which is what a firewall does. */
static void
silence_is_filtered_and_takes_no_longer_than_said(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int port, fd = reserve_port(&port), filler[8];
	int64_t began;

	(void)state;
	assert_int_equal(listen(fd, 0), 0);
	sa.sin_port = htons((uint16_t)port);
	for (size_t i = 0; i < 8; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM, 0);
		fcntl(filler[i], F_SETFL, O_NONBLOCK);
		connect(filler[i], (struct sockaddr *)&sa, sizeof sa);
	}
	began = clock_mono_ms();
	fx_ok(fx_run("port_check", "{'host':'127.0.0.1','ports':[%d,%d],'timeout_ms':300}", port,
	    plain.port));
	assert_true(clock_mono_ms() - began < 1500);
	assert_string_equal(fx_str("ports.0.state"), "filtered");
	assert_string_equal(fx_str("ports.1.state"), "open");
	for (size_t i = 0; i < 8; i++)
		close(filler[i]);
	close(fd);
}

static void
bad_parameters_are_named(void **state)
{
	(void)state;
	fx_failed(fx_run("port_check", "{'host':'127.0.0.1'}"), ERR_MISSING, "params.port");
	fx_failed(fx_run("port_check", "{'port':1}"), ERR_MISSING, "params.host");
	fx_failed(fx_run("port_check", "{'host':'127.0.0.1','port':0}"), ERR_INVALID, "params.port");
	fx_failed(fx_run("port_check", "{'host':'127.0.0.1','port':1,'ports':[2]}"), ERR_INVALID,
	    "params.port");
	fx_failed(fx_run("port_check", "{'host':'127.0.0.1','ports':[65536]}"), ERR_INVALID,
	    "params.ports.0");
	fx_failed(fx_run("port_check", "{'host':'a b','port':1}"), ERR_INVALID, "params.host");
	fx_failed(fx_run("port_check", "{'host':'no-such-host.invalid','port':1}"), ERR_NETWORK, NULL);
	fx_failed(fx_run("port_check", "{'host':'169.254.169.254','port':80}"), ERR_DENIED, NULL);
}

static void
descriptors_are_all_closed_again(void **state)
{
	int before = open("/dev/null", O_RDONLY), after;

	(void)state;
	close(before);
	for (int i = 0; i < 3; i++)
		fx_ok(fx_run("port_check",
		    "{'host':'localhost','ports':[%d,%d,1,2,3],'tls':true,'timeout_ms':200}", tls.port,
		    plain.port));
	after = open("/dev/null", O_RDONLY);
	close(after);
	assert_int_equal(before, after);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_and_closed_ports_are_told_apart),
		cmocka_unit_test(a_name_with_several_addresses_is_open_if_one_of_them_is),
		cmocka_unit_test(an_expectation_that_is_not_met_fails_the_task),
		cmocka_unit_test(tls_shows_the_certificate),
		cmocka_unit_test(a_private_authority_can_be_trusted),
		cmocka_unit_test(a_server_that_asks_for_our_certificate_shows_its_own_all_the_same),
		cmocka_unit_test(an_expired_certificate_is_shown_too),
		cmocka_unit_test(a_port_that_speaks_no_tls_is_said_so),
		cmocka_unit_test(a_banner_is_read),
		cmocka_unit_test(silence_is_filtered_and_takes_no_longer_than_said),
		cmocka_unit_test(bad_parameters_are_named),
		cmocka_unit_test(descriptors_are_all_closed_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
