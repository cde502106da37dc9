/* What shared/mqtt.c rests on, against a real broker over mutual TLS. */
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

#include "broker.h"
#include "buf.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "mqtt.h"
#include "pki.h"

#define TOPIC "uw/home/house/ezra/task/operator"

static char dir[64];
static int port;
static pid_t broker;

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
	    .port = port, .cafile = ca, .certfile = crt, .keyfile = key, .keepalive_s = 5, .clean = clean,
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

static int
start_broker(void **state)
{
	static const char yaml[] = "houses:\n  ezra:\n";
	const char *const sans[] = { "localhost", "127.0.0.1" };
	char pki[96], conf[128], log[128], *exe = broker_program();
	struct config *c = xcalloc(1, sizeof *c);
	struct err e = { 0 };
	bool changed;

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/t_mqtt.XXXXXX");
	if (!exe || !mkdtemp(dir))
		return -1;
	port = free_port();
	snprintf(pki, sizeof pki, "%s/pki", dir);
	snprintf(conf, sizeof conf, "%s/mosquitto.conf", dir);
	snprintf(log, sizeof log, "%s/log", dir);
	if (pki_init(pki, 0, &changed, &e) || pki_issue(pki, "broker", PKI_SERVER, sans, 2, 0, &e) ||
	    pki_issue(pki, "ezra-1", PKI_CLIENT, NULL, 0, 0, &e) ||
	    pki_issue(pki, "operator", PKI_CLIENT, NULL, 0, 0, &e) ||
	    config_parse(c, "houses.yaml", yaml, strlen(yaml), NULL, NULL, &e) ||
	    broker_write(c, &(struct broker){ .dir = dir, .bind = "127.0.0.1", .port = port, .pki_dir = pki,
	    .cert = "broker", .user = geteuid() == 0 ? "root" : NULL, .log = log }, &changed, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		return -1;
	}
	config_release(c);
	free(c);
	broker = fork();
	if (broker == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execl(exe, "mosquitto", "-c", conf, (char *)NULL);
		_exit(127);
	}
	free(exe);
	wait_for_broker();
	return 0;
}

static int
stop_broker(void **state)
{
	char *const argv[] = { "rm", "-rf", dir, NULL };
	pid_t pid;

	(void)state;
	kill(broker, SIGKILL);
	waitpid(broker, NULL, 0);
	pid = fork();
	if (pid == 0) {
		execvp("rm", argv);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_not_acknowledged_before_mqtt_write),
		cmocka_unit_test(a_message_is_acknowledged_by_mqtt_write),
		cmocka_unit_test(nothing_stays_unread_inside_the_library),
		cmocka_unit_test(a_certificate_for_another_host_is_refused),
		cmocka_unit_test(unreadable_certificates_are_an_error_that_names_the_file),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, start_broker, stop_broker);
}
