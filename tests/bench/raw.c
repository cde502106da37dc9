/*
 * raw.c - what the broker alone can do with libmosquitto: the ceiling that the agent is measured against.
 *
 * One message per task, QoS 1 both ways, mutual TLS, MQTT 5, two processes each with one libmosquitto client
 * in a poll() loop of its own, nothing stored. The far process either counts what it gets (hop) or
 * sends each message back (trip, pace). At most `window` publishes wait for their PUBACK.
 *
 * raw hop COUNT WINDOW SIZE        prints raw_hop_per_s
 * raw trip COUNT WINDOW SIZE       prints raw_trip_per_s
 * raw pace COUNT RATE SIZE HIST    RATE round trips a second; microseconds each are added to HIST
 *
 * UW_HOST, UW_PORT, UW_CAFILE and UW_PKI say where the broker is and where <identity>.crt and .key are.
 * The two ends are the people BENCH_NEAR (operator) and BENCH_FAR (timmy): everybody may send to any house,
 * and houses named bench-raw and bench-echo have no agents that would listen.
 */
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "clock.h"
#include "hist.h"
#include "log.h"

#define STALL_US 20000000       /* nothing for this long: give up */

struct end {
	struct mosquitto *mosq;
	const char *topic;              /* where it publishes */
	char hears[128];
	bool subscribed, echoes;
	long sent, acked, got, want;
	unsigned long events;           /* callbacks: tells whether a read brought anything */
	int64_t began_us, last_us, tick_us;
	struct hist *hist;              /* of times since the stamp in the payload */
};

static const char *
need(const char *name, const char *otherwise)
{
	const char *v = getenv(name);

	if (!v && !otherwise)
		fatalx("raw: %s is not set", name);
	return v ? v : otherwise;
}

static void
check(int rc, const char *what)
{
	if (rc)
		fatalx("raw: %s: %s", what, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
}

static void
publish(struct end *e, const void *payload, int size)
{
	check(mosquitto_publish_v5(e->mosq, NULL, e->topic, size, payload, 1, false, NULL), "publish");
	e->sent++;
}

static void
on_connect(struct mosquitto *m, void *arg, int rc, int flags, const mosquitto_property *props)
{
	struct end *e = arg;

	(void)flags;
	(void)props;
	if (rc)
		fatalx("raw: the broker refuses the connection: %s", mosquitto_reason_string(rc));
	check(mosquitto_subscribe_v5(m, NULL, e->hears, 1, 0, NULL), "subscribe");
}

static void
on_subscribe(struct mosquitto *m, void *arg, int mid, int n, const int *granted,
    const mosquitto_property *props)
{
	struct end *e = arg;

	(void)m;
	(void)mid;
	(void)props;
	if (n != 1 || granted[0] >= 0x80)
		fatalx("raw: the broker does not let us hear %s", e->hears);
	e->subscribed = true;
	e->events++;
}

static void
on_publish(struct mosquitto *m, void *arg, int mid, int reason, const mosquitto_property *props)
{
	struct end *e = arg;

	(void)m;
	(void)mid;
	(void)props;
	if (reason)
		fatalx("raw: publish to %s: %s", e->topic, mosquitto_reason_string(reason));
	e->acked++;
	e->events++;
}

static void
on_message(struct mosquitto *m, void *arg, const struct mosquitto_message *msg,
    const mosquitto_property *props)
{
	struct end *e = arg;
	int64_t stamp;

	(void)m;
	(void)props;
	e->got++;
	e->events++;
	e->last_us = clock_mono_us();
	if (e->hist && msg->payloadlen >= (int)sizeof stamp) {
		memcpy(&stamp, msg->payload, sizeof stamp);
		hist_add(e->hist, (uint64_t)(e->last_us - stamp));
	}
	if (e->echoes)
		publish(e, msg->payload, msg->payloadlen);
}

static void
configure(struct end *e, const char *identity)
{
	char crt[512], key[512];
	const char *pki = need("UW_PKI", NULL);

	snprintf(crt, sizeof crt, "%s/%s.crt", pki, identity);
	snprintf(key, sizeof key, "%s/%s.key", pki, identity);
	check(mosquitto_int_option(e->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5), "MQTT 5");
	check(mosquitto_int_option(e->mosq, MOSQ_OPT_TCP_NODELAY, 1), "no delay");
	check(mosquitto_int_option(e->mosq, MOSQ_OPT_RECEIVE_MAXIMUM, 1000), "receive maximum");
	check(mosquitto_int_option(e->mosq, MOSQ_OPT_SEND_MAXIMUM, 1000), "send maximum");
	check(mosquitto_tls_set(e->mosq, need("UW_CAFILE", NULL), NULL, crt, key, NULL), "certificates");
	mosquitto_connect_v5_callback_set(e->mosq, on_connect);
	mosquitto_subscribe_v5_callback_set(e->mosq, on_subscribe);
	mosquitto_publish_v5_callback_set(e->mosq, on_publish);
	mosquitto_message_v5_callback_set(e->mosq, on_message);
}

/* libmosquitto reads one packet and leaves the rest in OpenSSL, where poll() cannot see it. */
static void
turn(struct end *e, int timeout_ms)
{
	struct pollfd p = { .fd = mosquitto_socket(e->mosq), .events = POLLIN };
	int64_t now;

	if (mosquitto_want_write(e->mosq))
		p.events |= POLLOUT;
	if (poll(&p, 1, timeout_ms) < 0 && errno != EINTR)
		fatal("raw: poll");
	if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
		unsigned long before;

		do {
			before = e->events;
			check(mosquitto_loop_read(e->mosq, 1), "read");
		} while (e->events != before);
	}
	if (mosquitto_want_write(e->mosq))
		check(mosquitto_loop_write(e->mosq, 1), "write");
	now = clock_mono_us();
	if (now - e->tick_us > 1000000) {
		check(mosquitto_loop_misc(e->mosq), "keepalive");
		e->tick_us = now;
	}
}

static void
end_open(struct end *e, const char *identity, const char *hears, const char *speaks)
{
	mosquitto_property *props = NULL;
	char id[64];
	int64_t deadline = clock_mono_us() + STALL_US;

	snprintf(id, sizeof id, "bench-raw-%s-%d", identity, (int)getpid());
	snprintf(e->hears, sizeof e->hears, "%s", hears);
	e->topic = speaks;
	mosquitto_lib_init();
	e->mosq = mosquitto_new(id, true, e);
	if (!e->mosq)
		fatal("raw: mosquitto_new");
	configure(e, identity);
	check(mosquitto_property_add_int16(&props, MQTT_PROP_RECEIVE_MAXIMUM, 1000), "properties");
	check(mosquitto_connect_bind_v5(e->mosq, need("UW_HOST", NULL),
	    (int)strtol(need("UW_PORT", NULL), NULL, 10), 60, NULL, props), "connect");
	mosquitto_property_free_all(&props);
	while (!e->subscribed && clock_mono_us() < deadline)
		turn(e, 100);
	if (!e->subscribed)
		fatalx("raw: no connection to the broker within %d s", STALL_US / 1000000);
}

static void
end_close(struct end *e)
{
	mosquitto_disconnect(e->mosq);
	mosquitto_destroy(e->mosq);
	mosquitto_lib_cleanup();
}

static bool
stalled(const struct end *e)
{
	int64_t latest = e->last_us > e->began_us ? e->last_us : e->began_us;

	return clock_mono_us() - latest > STALL_US;
}

/* The far end: ready when it has subscribed, done when it has got all and everything it sent is
 * acknowledged; then it says when the last message came. */
static int
far_end(struct end *e, int say, const char *hears, const char *speaks)
{
	end_open(e, need("BENCH_FAR", "timmy"), hears, speaks);
	if (write(say, "r", 1) != 1)
		return 1;
	e->began_us = clock_mono_us();
	while ((e->got < e->want || e->acked < e->sent) && !stalled(e))
		turn(e, 1000);
	if (write(say, &e->last_us, sizeof e->last_us) != sizeof e->last_us)
		return 1;
	end_close(e);
	return e->got < e->want;
}

static void
send_all(struct end *e, long count, long window, char *payload, int size)
{
	while (e->acked < count) {
		while (e->sent < count && e->sent - e->acked < window)
			publish(e, payload, size);
		turn(e, 1000);
		if (e->acked == 0 && stalled(e))
			fatalx("raw: the broker acknowledges nothing");
	}
}

static void
send_paced(struct end *e, long count, long rate, char *payload, int size)
{
	for (long i = 0; i < count; i++) {
		int64_t due = e->began_us + i * 1000000 / rate, left;

		while ((left = due - clock_mono_us()) > 0)
			turn(e, (int)((left + 999) / 1000));
		left = clock_mono_us();
		memcpy(payload, &left, sizeof left);
		publish(e, payload, size);
	}
}

static void
near_end(struct end *e, int hear, bool paced, long count, long limit, int size)
{
	char *payload = calloc(1, (size_t)size), ready;
	int64_t far_last;

	if (!payload || read(hear, &ready, 1) != 1)
		fatalx("raw: the far end did not get ready");
	e->began_us = clock_mono_us();
	if (paced)
		send_paced(e, count, limit, payload, size);
	else
		send_all(e, count, limit, payload, size);
	while (e->got < e->want && !stalled(e))
		turn(e, 1000);
	if (e->got < e->want)
		fatalx("raw: %ld of %ld messages came back", e->got, e->want);
	/* What was not yet acknowledged to the far end must not wait for us. */
	if (read(hear, &far_last, sizeof far_last) != sizeof far_last)
		fatalx("raw: the far end failed");
	if (!e->want)
		e->last_us = far_last;
	free(payload);
}

static void
usage(void)
{
	fatalx("usage: raw hop|trip COUNT WINDOW SIZE | raw pace COUNT RATE SIZE HIST");
}

int
main(int argc, char **argv)
{
	static const char there[] = "uw/home/house/bench-raw/task/", back[] = "uw/home/house/bench-echo/task/";
	struct end e = { 0 };
	static struct hist hist;
	char task[128], reply[128];
	bool hop, paced;
	long count;
	int pipefd[2], status;
	pid_t pid;

	if (argc < 5)
		usage();
	hop = strcmp(argv[1], "hop") == 0;
	paced = strcmp(argv[1], "pace") == 0;
	count = strtol(argv[2], NULL, 10);
	if (!(hop || paced || strcmp(argv[1], "trip") == 0) || argc != (paced ? 6 : 5) ||
	    strtol(argv[4], NULL, 10) < 16)
		usage();
	snprintf(task, sizeof task, "%s%s", there, need("BENCH_NEAR", "operator"));
	snprintf(reply, sizeof reply, "%s%s", back, need("BENCH_FAR", "timmy"));
	if (pipe(pipefd) || (pid = fork()) < 0)
		fatal("raw: fork");
	if (pid == 0) {
		e.want = count;
		e.echoes = !hop;
		return far_end(&e, pipefd[1], task, reply);
	}
	close(pipefd[1]);
	e.want = hop ? 0 : count;
	e.hist = paced ? &hist : NULL;
	end_open(&e, need("BENCH_NEAR", "operator"), reply, task);
	near_end(&e, pipefd[0], paced, count, strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
	end_close(&e);
	if (waitpid(pid, &status, 0) != pid || status)
		fatalx("raw: the far end failed");
	if (paced && hist_save(&hist, argv[5]))
		fatal("raw: %s", argv[5]);
	if (!paced)
		printf("raw_%s_per_s %.0f\n", argv[1], (double)count * 1e6 / (double)(e.last_us - e.began_us));
	return 0;
}
