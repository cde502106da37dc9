/*
 * What shared/mqtt.c rests on, against real brokers over mutual TLS: Mosquitto in MQTT 5 and in 3.1.1, NATS, which
 * speaks only 3.1.1, if it is installed, and one of our own that only says which version it wants.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "broker.h"
#include "buf.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "mqtt.h"
#include "pki.h"
#include "save.h"

#define TOPIC "uw/home/house/ezra/task/operator"

static char dir[64];
static int port;
static pid_t broker;
static struct mqtt_known known;         /* of the broker that runs */

struct peer {
	struct mqtt *m;
	bool up, down, session;
	int subscribed, sent, received;
	char last[256];
	int last_mid;
};

static void
on_up(void *arg, bool session)
{
	struct peer *p = arg;

	p->up = true;
	p->session = session;
}

static void
on_down(void *arg, const char *why)
{
	struct peer *p = arg;

	(void)why;
	p->down = true;
}

static void
on_message(void *arg, const struct mqtt_msg *m)
{
	struct peer *p = arg;

	p->received++;
	p->last_mid = m->mid;
	snprintf(p->last, sizeof p->last, "%s", (const char *)m->payload);
}

static void
on_sent(void *arg, int mid, int reason)
{
	struct peer *p = arg;

	(void)mid;
	assert_true(reason < 0x80);
	p->sent++;
}

static void
on_subscribed(void *arg, int mid, int granted)
{
	struct peer *p = arg;

	(void)mid;
	assert_true(granted < 0x80);
	p->subscribed++;
}

static void
dial(struct peer *p, const char *identity, const char *client_id, bool clean)
{
	char ca[128], crt[128], key[128];
	struct err e;

	*p = (struct peer){ 0 };
	snprintf(ca, sizeof ca, "%s/pki/ca.crt", dir);
	snprintf(crt, sizeof crt, "%s/pki/%s.crt", dir, identity);
	snprintf(key, sizeof key, "%s/pki/%s.key", dir, identity);
	p->m = mqtt_connect(&(struct mqtt_opts){ .client_id = client_id, .host = "localhost", .address = "127.0.0.1",
	    .port = port, .known = &known, .cafile = ca, .certfile = crt, .keyfile = key, .keepalive_s = 5, .clean = clean,
	    .session_expiry_s = clean ? 0 : 600, .receive_max = 512, .max_packet = 1 << 20, .arg = p, .on_up = on_up,
	    .on_down = on_down, .on_message = on_message, .on_sent = on_sent, .on_subscribed = on_subscribed }, &e);
	if (!p->m)
		fail_msg("%s", e.msg);
}

/* Runs one side; write: PUBACKs and all else may leave. */
static void
step(struct peer *p, bool write)
{
	struct pollfd f = { .fd = mqtt_fd(p->m), .events = POLLIN };

	if (write && mqtt_want_write(p->m))
		f.events |= POLLOUT;
	poll(&f, f.fd >= 0, 20);
	mqtt_read(p->m, 64);
	if (write)
		mqtt_write(p->m);
}

#define RUN_UNTIL(p, write, cond)                                       \
	do {                                                            \
		int64_t end_ = clock_mono_ms() + 5000;                  \
		while (!(cond) && clock_mono_ms() < end_)               \
			step(p, write);                                 \
		assert_true(cond);                                      \
	} while (0)

static void
subscribe(struct peer *p)
{
	struct err e;

	RUN_UNTIL(p, true, p->up);
	assert_true(mqtt_subscribe(p->m, "uw/home/house/ezra/task/+", 1, &e) > 0);
	RUN_UNTIL(p, true, p->subscribed == 1);
}

static void
publish(struct peer *p, const char *text)
{
	struct err e;
	int before = p->sent;

	assert_true(mqtt_publish(p->m, TOPIC, text, strlen(text), 1, false, NULL, NULL, 0, 0, &e) > 0);
	RUN_UNTIL(p, true, p->sent == before + 1);
}

/* The promise that no task is lost: what was read but not committed when we die comes again. */
static void
a_message_is_not_acknowledged_before_mqtt_write(void **state)
{
	struct peer agent, sender;

	(void)state;
	dial(&agent, "ezra-1", "agent", false);
	subscribe(&agent);
	dial(&sender, "operator", "sender", true);
	RUN_UNTIL(&sender, true, sender.up);
	publish(&sender, "one");
	RUN_UNTIL(&agent, false, agent.received == 1);
	for (int i = 0; i < 5; i++)
		step(&agent, false);
	mqtt_close(agent.m, false);

	dial(&agent, "ezra-1", "agent", false);
	RUN_UNTIL(&agent, true, agent.up);
	assert_true(agent.session);
	RUN_UNTIL(&agent, true, agent.received == 1);
	assert_string_equal(agent.last, "one");
	mqtt_close(agent.m, true);
	mqtt_close(sender.m, true);
}

static void
a_message_is_acknowledged_by_mqtt_write(void **state)
{
	struct peer agent, sender;

	(void)state;
	dial(&agent, "ezra-1", "agent2", false);
	subscribe(&agent);
	dial(&sender, "operator", "sender", true);
	RUN_UNTIL(&sender, true, sender.up);
	publish(&sender, "two");
	RUN_UNTIL(&agent, true, agent.received == 1);
	mqtt_write(agent.m);
	/* The broker has the PUBACK for certain once it answers to what was sent after it. */
	assert_true(mqtt_subscribe(agent.m, "uw/home/house/ezra/cancel/+", 1, NULL) > 0);
	RUN_UNTIL(&agent, true, agent.subscribed == 2);
	mqtt_close(agent.m, false);

	dial(&agent, "ezra-1", "agent2", false);
	RUN_UNTIL(&agent, true, agent.up);
	publish(&sender, "three");
	RUN_UNTIL(&agent, true, agent.received >= 1);
	assert_int_equal(agent.received, 1);
	assert_string_equal(agent.last, "three");
	mqtt_close(agent.m, true);
	mqtt_close(sender.m, true);
}

static void
nothing_stays_unread_inside_the_library(void **state)
{
	enum { N = 2000 };
	struct peer agent, sender;
	struct err e;

	(void)state;
	dial(&agent, "ezra-1", "agent3", true);
	subscribe(&agent);
	dial(&sender, "operator", "sender", true);
	RUN_UNTIL(&sender, true, sender.up);
	for (int i = 0; i < N; i++)
		assert_true(mqtt_publish(sender.m, TOPIC, "x", 1, 1, false, NULL, NULL, 0, 0, &e) > 0);
	RUN_UNTIL(&sender, true, sender.sent == N);
	/* From here only what poll() announces is read. */
	RUN_UNTIL(&agent, true, agent.received == N);
	mqtt_close(agent.m, true);
	mqtt_close(sender.m, true);
}

static void
a_certificate_for_another_host_is_refused(void **state)
{
	char ca[128], crt[128], key[128];
	struct peer p = { 0 };
	struct err e;

	(void)state;
	snprintf(ca, sizeof ca, "%s/pki/ca.crt", dir);
	snprintf(crt, sizeof crt, "%s/pki/operator.crt", dir);
	snprintf(key, sizeof key, "%s/pki/operator.key", dir);
	p.m = mqtt_connect(&(struct mqtt_opts){ .client_id = "x", .host = "elsewhere.example", .address = "127.0.0.1",
	    .port = port, .cafile = ca, .certfile = crt, .keyfile = key, .keepalive_s = 5, .clean = true,
	    .receive_max = 512, .max_packet = 1 << 20, .arg = &p, .on_up = on_up, .on_down = on_down,
	    .on_message = on_message }, &e);
	/* On a quick machine the handshake is over within the call. */
	if (!p.m) {
		assert_int_equal(e.code, ERR_NETWORK);
		return;
	}
	RUN_UNTIL(&p, true, p.down);
	assert_false(p.up);
	mqtt_close(p.m, false);
}

static void
unreadable_certificates_are_an_error_that_names_the_file(void **state)
{
	struct peer p = { 0 };
	struct err e;

	(void)state;
	p.m = mqtt_connect(&(struct mqtt_opts){ .client_id = "x", .host = "localhost", .address = "127.0.0.1",
	    .port = port, .cafile = "/nonexistent/ca.crt", .certfile = "/x", .keyfile = "/x", .keepalive_s = 5,
	    .arg = &p, .on_up = on_up, .on_down = on_down, .on_message = on_message }, &e);
	assert_null(p.m);
	assert_int_equal(e.code, ERR_CONFIG);
	assert_non_null(strstr(e.msg, "/nonexistent/ca.crt"));
}

/* ---- the broker ---- */

static int
free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void
wait_for_broker(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port) };
	int64_t end = clock_mono_ms() + 5000;
	int fd, rc = -1;

	while (rc && clock_mono_ms() < end) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		rc = connect(fd, (struct sockaddr *)&a, sizeof a);
		close(fd);
		if (rc)
			poll(NULL, 0, 10);
	}
	assert_int_equal(rc, 0);
}

static void
must(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s", e->msg);
}

static void
make_dir(char pki[96])
{
	const char *const sans[] = { "localhost", "127.0.0.1" };
	struct err e = { 0 };
	bool changed;

	snprintf(dir, sizeof dir, "/tmp/t_mqtt.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(pki, 96, "%s/pki", dir);
	must(pki_init(pki, 0, &changed, &e), &e);
	must(pki_issue(pki, "broker", PKI_SERVER, sans, 2, 0, &e), &e);
	must(pki_issue(pki, "ezra-1", PKI_CLIENT, NULL, 0, 0, &e), &e);
	must(pki_issue(pki, "operator", PKI_CLIENT, NULL, 0, 0, &e), &e);
	port = free_port();
	known = (struct mqtt_known){ 0 };
}

static void
run_broker(const char *exe, const char *conf)
{
	broker = fork();
	if (broker == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execlp(exe, exe, "-c", conf, (char *)NULL);
		_exit(127);
	}
	wait_for_broker();
}

static int
start_mosquitto(void **state)
{
	static const char yaml[] = "houses:\n  ezra:\n";
	char pki[96], conf[128], log[128], *exe = broker_program();
	struct config *c = xcalloc(1, sizeof *c);
	struct err e = { 0 };
	bool changed;

	(void)state;
	assert_non_null(exe);
	make_dir(pki);
	snprintf(conf, sizeof conf, "%s/mosquitto.conf", dir);
	snprintf(log, sizeof log, "%s/log", dir);
	must(config_parse(c, "houses.yaml", yaml, strlen(yaml), NULL, NULL, &e), &e);
	must(broker_write(c, &(struct broker){ .dir = dir, .bind = "127.0.0.1", .port = port, .pki_dir = pki,
	    .cert = "broker", .user = geteuid() == 0 ? "root" : NULL, .log = log }, &changed, &e), &e);
	config_release(c);
	free(c);
	run_broker(exe, conf);
	free(exe);
	return 0;
}

static int
start_mosquitto_in_311(void **state)
{
	start_mosquitto(state);
	known.old = true;
	return 0;
}

/* True if it is up, false if it went down. */
static bool
try(bool clean)
{
	struct peer p;
	bool up;

	dial(&p, "ezra-1", "agent", clean);
	RUN_UNTIL(&p, true, p.up || p.down);
	up = p.up;
	assert_int_equal(mqtt_is_v5(p.m), !up);
	mqtt_close(p.m, false);
	return up;
}

/* It sends again what was not acknowledged for ack_wait. */
static int
start_nats(void **state)
{
	char pki[96], conf[128];
	struct buf b = { 0 };
	struct err e;

	(void)state;
	make_dir(pki);
	snprintf(conf, sizeof conf, "%s/nats.conf", dir);
	buf_addf(&b, "server_name: t\nhost: 127.0.0.1\nport: -1\njetstream { store_dir: \"%s/js\" }\n", dir);
	buf_addf(&b, "mqtt { host: 127.0.0.1\nport: %d\nack_wait: \"2s\"\nmax_ack_pending: 5000\n", port);
	buf_addf(&b, "tls { cert_file: \"%s/broker.crt\"\nkey_file: \"%s/broker.key\"\n", pki, pki);
	buf_addf(&b, "ca_file: \"%s/ca.crt\"\nverify: true } }\n", pki);
	must(save_file(conf, b.data, b.len, 0600, &e), &e);
	buf_free(&b);
	run_broker("nats-server", conf);
	assert_false(try(true));
	assert_true(known.old);
	return 0;
}

static int
stop_broker(void **state)
{
	char *const argv[] = { "rm", "-rf", dir, NULL };
	pid_t pid;

	(void)state;
	if (broker) {
		kill(broker, SIGKILL);
		waitpid(broker, NULL, 0);
	}
	broker = 0;
	pid = fork();
	if (pid == 0) {
		execvp("rm", argv);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

/* ---- which version ---- */

/* Takes `n` connections one after the other and reads their CONNECT. What it wants is MQTT 3.1.1: to others it says
 * so, or closes without a word. The child ends with the versions that came, as a number: 5, 4 are 54. */
static int
old_broker(int listener, int n, bool says_so)
{
	char crt[96], key[96];
	unsigned char in[256];
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	int versions = 0;

	snprintf(crt, sizeof crt, "%s/pki/broker.crt", dir);
	snprintf(key, sizeof key, "%s/pki/broker.key", dir);
	SSL_CTX_use_certificate_file(c, crt, SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM);
	while (n--) {
		SSL *ssl = SSL_new(c);
		int fd = accept(listener, NULL, NULL), version;

		SSL_set_fd(ssl, fd);
		/* 0x10, one byte of length, "MQTT" with its length, and then the version */
		version = SSL_accept(ssl) == 1 && SSL_read(ssl, in, sizeof in) > 8 ? in[8] : 0;
		versions = versions * 10 + version;
		if (version == 4 || says_so)
			SSL_write(ssl, version == 4 ? "\x20\x02\0\0" : "\x20\x02\0\1", 4);
		if (version == 4)
			while (SSL_read(ssl, in, sizeof in) > 0)
				;
		SSL_free(ssl);
		close(fd);
	}
	return versions;
}

static void
start_old_broker(int n, bool says_so)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(listen(fd, 8), 0);
	port = ntohs(a.sin_port);
	known = (struct mqtt_known){ 0 };
	broker = fork();
	if (broker == 0)
		_exit(old_broker(fd, n, says_so));
	close(fd);
}

static int
versions_that_came(void)
{
	int status;

	assert_int_equal(waitpid(broker, &status, 0), broker);
	broker = 0;
	return WEXITSTATUS(status);
}

static void
a_broker_that_refuses_mqtt_5_is_spoken_to_in_311(void **state)
{
	(void)state;
	start_old_broker(3, true);
	assert_false(try(false));
	assert_true(known.again);
	assert_true(try(false));
	assert_false(known.again);
	assert_true(try(false));
	assert_int_equal(versions_that_came(), 544 & 0xff);
}

static void
one_that_closes_without_a_word_is_asked_three_times(void **state)
{
	(void)state;
	start_old_broker(5, false);
	for (int i = 0; i < 3; i++) {
		assert_false(known.again);
		assert_false(try(false));
	}
	assert_true(known.again);
	assert_true(try(false));
	/* And once more in MQTT 5, for it was only guessed. */
	assert_false(try(false));
	assert_true(known.again);
	assert_int_equal(versions_that_came(), 55545 & 0xff);
}

static void
one_try_is_enough_where_no_session_is_kept(void **state)
{
	(void)state;
	start_old_broker(2, false);
	assert_false(try(true));
	assert_true(known.again);
	assert_true(try(true));
	assert_int_equal(versions_that_came(), 54);
}

static void
a_broker_that_is_not_there_tells_nothing_of_its_version(void **state)
{
	struct err e;

	(void)state;
	known = (struct mqtt_known){ 0 };
	port = free_port();
	for (int i = 0; i < 3; i++) {
		struct peer p = { 0 };

		p.m = mqtt_connect(&(struct mqtt_opts){ .client_id = "x", .host = "localhost",
		    .address = "127.0.0.1", .port = port, .known = &known, .keepalive_s = 5, .clean = true, .arg = &p, .on_up = on_up, .on_down = on_down }, &e);
		assert_null(p.m);
	}
	assert_int_equal(known.closed, 0);
}

static int
only_pki(void **state)
{
	char pki[96];

	(void)state;
	make_dir(pki);
	return 0;
}

static bool
is_installed(const char *program)
{
	struct buf path = { 0 };
	char *list = xstrdup(getenv("PATH")), *save;
	bool found = false;

	for (char *d = strtok_r(list, ":", &save); d && !found; d = strtok_r(NULL, ":", &save)) {
		buf_clear(&path);
		buf_addf(&path, "%s/%s", d, program);
		found = access(buf_str(&path), X_OK) == 0;
	}
	buf_free(&path);
	free(list);
	return found;
}

int
main(void)
{
	const struct CMUnitTest messages[] = {
		cmocka_unit_test(a_message_is_not_acknowledged_before_mqtt_write),
		cmocka_unit_test(a_message_is_acknowledged_by_mqtt_write),
		cmocka_unit_test(nothing_stays_unread_inside_the_library),
	};
	const struct CMUnitTest tls[] = {
		cmocka_unit_test(a_certificate_for_another_host_is_refused),
		cmocka_unit_test(unreadable_certificates_are_an_error_that_names_the_file),
	};
	const struct CMUnitTest versions[] = {
		cmocka_unit_test(a_broker_that_refuses_mqtt_5_is_spoken_to_in_311),
		cmocka_unit_test(one_that_closes_without_a_word_is_asked_three_times),
		cmocka_unit_test(one_try_is_enough_where_no_session_is_kept),
		cmocka_unit_test(a_broker_that_is_not_there_tells_nothing_of_its_version),
	};
	struct buf path = { 0 };
	int failed;

	buf_addf(&path, "%s:/usr/sbin:/usr/local/sbin", getenv("PATH"));
	setenv("PATH", path.data, 1);
	buf_free(&path);
	signal(SIGPIPE, SIG_IGN);
	failed = cmocka_run_group_tests_name("Mosquitto, MQTT 5", messages, start_mosquitto, stop_broker);
	failed += cmocka_run_group_tests_name("TLS", tls, start_mosquitto, stop_broker);
	failed += cmocka_run_group_tests_name("Mosquitto, MQTT 3.1.1", messages, start_mosquitto_in_311, stop_broker);
	failed += cmocka_run_group_tests_name("versions", versions, only_pki, stop_broker);
	if (is_installed("nats-server"))
		failed += cmocka_run_group_tests_name("NATS", messages, start_nats, stop_broker);
	else
		puts("without nats-server: not tested against NATS");
	return failed;
}
