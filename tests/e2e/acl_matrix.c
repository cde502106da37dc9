/*
 * acl_matrix.c - a client of the end-to-end tests that tries a great many topics over one connection.
 *
 *   acl_matrix topics                    every kind there is, from the program's own table: scope, kind
 *   acl_matrix read  PORT CA CERT KEY    subscribes to each line of standard input, and prints what comes:
 *                                        S filter code, R when all are answered, M topic payload; ends on SIGTERM
 *   acl_matrix write PORT CA CERT KEY VERSION QOS RETAIN PAYLOAD
 *                                        publishes to each line of standard input: topic code ("-": QoS 0)
 *   acl_matrix knock PORT CA CERT KEY    connects anew for each line of standard input, "publish TOPIC" or
 *                                        "subscribe TOPIC", does it, and prints the line with in or out
 *
 * CERT and KEY "-": none. Ends with 1 if the broker does not answer, or closes the connection.
 */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "topic.h"

#define IN_FLIGHT 200
#define SUBSCRIBED_AT_ONCE 100
#define SILENCE_S 60            /* of a broker that owes an answer */
#define LINES_MAX 65536

struct lines {
	char *v[LINES_MAX];
	int n;
};

struct trial {
	struct mosquitto *mosq;
	struct lines lines;
	int of_mid[65536];      /* which line a packet is about */
	int waiting;            /* for so many answers */
	bool answered;          /* what is published */
	bool connected, closed;
};

static volatile sig_atomic_t ending;

static void
on_signal(int sig)
{
	(void)sig;
	ending = 1;
}

static void
read_lines(struct lines *l)
{
	char line[512];

	while (l->n < LINES_MAX && fgets(line, sizeof line, stdin))
		l->v[l->n++] = xstrndup(line, strcspn(line, "\n"));
}

static int
topics_print(void)
{
	for (int i = 0; i < TOPIC_COUNT; i++)
		printf("%s %s\n", topics[i].scope, topics[i].kind);
	return 0;
}

/* Callbacks */

static void
on_connect(struct mosquitto *mosq, void *arg, int code, int flags, const mosquitto_property *props)
{
	struct trial *t = arg;

	(void)mosq;
	(void)flags;
	(void)props;
	t->connected = code == 0;
}

static void
on_disconnect(struct mosquitto *mosq, void *arg, int code, const mosquitto_property *props)
{
	struct trial *t = arg;

	(void)mosq;
	(void)code;
	(void)props;
	t->closed = true;
}

static void
on_publish(struct mosquitto *mosq, void *arg, int mid, int code, const mosquitto_property *props)
{
	struct trial *t = arg;

	(void)mosq;
	(void)props;
	if (!t->answered)
		return;
	printf("%s %d\n", t->lines.v[t->of_mid[mid & 0xffff]], code);
	t->waiting--;
}

static void
on_subscribe(struct mosquitto *mosq, void *arg, int mid, int n, const int *codes, const mosquitto_property *props)
{
	struct trial *t = arg;
	int first = t->of_mid[mid & 0xffff];

	(void)mosq;
	(void)props;
	for (int i = 0; i < n && first + i < t->lines.n; i++)
		printf("S %s %d\n", t->lines.v[first + i], codes[i]);
	t->waiting--;
}

static void
on_message(struct mosquitto *mosq, void *arg, const struct mosquitto_message *m, const mosquitto_property *props)
{
	(void)mosq;
	(void)arg;
	(void)props;
	printf("M %s %.*s\n", m->topic, m->payloadlen, (const char *)m->payload);
}

/* One connection */

static bool
turn(struct trial *t)
{
	return mosquitto_loop(t->mosq, 100, 1) == MOSQ_ERR_SUCCESS && !t->closed;
}

/* Until no more than so many answers are owed. */
static int
wait_for_answers(struct trial *t, int most)
{
	alarm(SILENCE_S);
	while (t->waiting > most)
		if (!turn(t))
			return -1;
	alarm(0);
	return 0;
}

static int
begin(struct trial *t, char **argv, int version)
{
	bool has_cert = strcmp(argv[2], "-") != 0;

	t->mosq = mosquitto_new(NULL, true, t);
	mosquitto_int_option(t->mosq, MOSQ_OPT_PROTOCOL_VERSION, version);
	mosquitto_int_option(t->mosq, MOSQ_OPT_SEND_MAXIMUM, IN_FLIGHT);
	mosquitto_connect_v5_callback_set(t->mosq, on_connect);
	mosquitto_disconnect_v5_callback_set(t->mosq, on_disconnect);
	mosquitto_publish_v5_callback_set(t->mosq, on_publish);
	mosquitto_subscribe_v5_callback_set(t->mosq, on_subscribe);
	mosquitto_message_v5_callback_set(t->mosq, on_message);
	if (mosquitto_tls_set(t->mosq, argv[1], NULL, has_cert ? argv[2] : NULL, has_cert ? argv[3] : NULL, NULL) ||
	    mosquitto_connect(t->mosq, "127.0.0.1", (int)strtol(argv[0], NULL, 10), 60))
		return -1;
	alarm(SILENCE_S);
	while (!t->connected)
		if (!turn(t))
			return -1;
	alarm(0);
	return 0;
}

static void
end(struct trial *t)
{
	mosquitto_destroy(t->mosq);
	t->mosq = NULL;
	t->connected = t->closed = false;
	t->waiting = 0;
}

static int
subscribe(struct trial *t, int first, int n)
{
	int mid, rc = mosquitto_subscribe_multiple(t->mosq, &mid, n, &t->lines.v[first], 1, 0, NULL);

	t->of_mid[mid & 0xffff] = first;
	t->waiting++;
	return rc;
}

/* The answer to a subscription comes after everything that was sent before it. */
static int
round_trip(struct trial *t)
{
	char *nothing = (char *)"nothing";
	int mid, rc = mosquitto_subscribe_multiple(t->mosq, &mid, 1, &nothing, 0, 0, NULL);

	t->of_mid[mid & 0xffff] = t->lines.n;
	t->waiting++;
	return rc || wait_for_answers(t, 0);
}

/* Modes */

static int
read_all(struct trial *t, char **argv)
{
	signal(SIGTERM, on_signal);
	if (begin(t, argv, MQTT_PROTOCOL_V5))
		return 1;
	for (int i = 0; i < t->lines.n; i += SUBSCRIBED_AT_ONCE) {
		int n = t->lines.n - i < SUBSCRIBED_AT_ONCE ? t->lines.n - i : SUBSCRIBED_AT_ONCE;

		if (subscribe(t, i, n) || wait_for_answers(t, 0))
			return 1;
	}
	puts("R");
	fflush(stdout);
	while (!ending) {
		if (!turn(t))
			return 1;
		fflush(stdout);
	}
	return round_trip(t) ? 1 : 0;
}

static int
write_all(struct trial *t, char **argv)
{
	int qos = (int)strtol(argv[5], NULL, 10), mid;
	bool retain = strcmp(argv[6], "retain") == 0;
	const char *payload = argv[7];

	t->answered = qos > 0;
	if (begin(t, argv, strcmp(argv[4], "5") == 0 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311))
		return 1;
	for (int i = 0; i < t->lines.n; i++) {
		if (mosquitto_publish_v5(t->mosq, &mid, t->lines.v[i], (int)strlen(payload), payload, qos, retain, NULL))
			return 1;
		t->of_mid[mid & 0xffff] = i;
		if (!t->answered)
			printf("%s -\n", t->lines.v[i]);
		t->waiting += t->answered;
		if (wait_for_answers(t, IN_FLIGHT - 1))
			return 1;
	}
	return wait_for_answers(t, 0) || round_trip(t) ? 1 : 0;
}

/* In: the broker takes the connection, whatever it lets one do then. */
static bool
is_let_in(struct trial *t, char **argv, const char *topic, bool publishes)
{
	char *filter = (char *)topic;
	int mid;
	bool in = begin(t, argv, MQTT_PROTOCOL_V5) == 0;

	if (in && publishes)
		mosquitto_publish_v5(t->mosq, &mid, topic, 1, "x", 1, false, NULL);
	else if (in)
		mosquitto_subscribe_multiple(t->mosq, &mid, 1, &filter, 1, 0, NULL);
	if (in)
		turn(t);
	end(t);
	return in;
}

static int
knock_all(struct trial *t, char **argv)
{
	for (int i = 0; i < t->lines.n; i++) {
		const char *line = t->lines.v[i], *space = strchr(line, ' ');
		bool publishes = strncmp(line, "publish ", 8) == 0;

		if (!space)
			return 1;
		printf("%s %s\n", line, is_let_in(t, argv, space + 1, publishes) ? "in" : "out");
	}
	return 0;
}

static const struct {
	const char *name;
	int argc;
	int (*run)(struct trial *, char **);
} modes[] = {
	{ "read", 6, read_all },
	{ "write", 10, write_all },
	{ "knock", 6, knock_all },
};

int
main(int argc, char **argv)
{
	static struct trial t;

	if (argc == 2 && strcmp(argv[1], "topics") == 0)
		return topics_print();
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		int rc;

		if (argc != modes[i].argc || strcmp(argv[1], modes[i].name) != 0)
			continue;
		mosquitto_lib_init();
		read_lines(&t.lines);
		rc = modes[i].run(&t, argv + 2);
		end(&t);
		while (t.lines.n)
			free(t.lines.v[--t.lines.n]);
		mosquitto_lib_cleanup();
		return rc;
	}
	fprintf(stderr, "acl_matrix: see the first lines of acl_matrix.c\n");
	return 2;
}
