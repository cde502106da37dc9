/*
 * trickle.c - the independent sender of the drills: gives a house small tasks all the time, through the client
 * library and its outbox on disk, and writes down what becomes of them.
 *
 * trickle pace HOUSE RATE OUTBOX      RATE tasks a second until SIGTERM, then until all have ended or for DRAIN_MS.
 *                                     A line for whatever happens, beginning with the time in milliseconds:
 *                                       put N | accepted N | rejected N | outcome N STATE DIGEST    (replies)
 *                                       event N STATE DIGEST AGENT TERM  an outcome as that agent published it
 *                                       up | down                        the connection
 * trickle plain HOUSE RATE OUTBOX     the same with tools alone that every agent has
 * trickle flood HOUSE WINDOW OUTBOX   keeps WINDOW tasks out at once until SIGTERM; prints figures at the end
 * trickle now                         the time on the clock of those lines
 * trickle ports N                     N free ports of 127.0.0.1
 *
 * Two outcomes of a task that differ have different digests. The cluster is that of $UNI_WIZARD_CONFIG, the
 * identity $UW_AS, or operator. Ends with 0 when every task has ended.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "buf.h"
#include "client.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "json.h"
#include "log.h"

#define DRAIN_MS 60000
#define FLOOD_DRAIN_MS 120000
#define TASKS_MAX (32 << 20)
#define STEP 256                /* tasks given at once: as many as the client puts in a message */
#define PORTS_MAX 16

enum { PUT = 1, ACCEPTED = 2, ENDED = 4, REJECTED = 8 };

struct trickle {
	struct config config;
	struct client *client;
	const char *house;
	bool quiet;                     /* no line for each thing, and no events listened to */
	bool plain;
	bool was_up;
	uint8_t salt[6];                /* of this run's ids */
	long put, accepted, ended, twice;
	uint8_t *state;                 /* by number: the bits above */
	uint32_t *digest;               /* of the outcome */
	int64_t last_end_ms, longest_gap_ms;
};

static volatile sig_atomic_t stopping;

static void
on_signal(int signo)
{
	(void)signo;
	stopping = 1;
}

static void say(const struct trickle *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(const struct trickle *t, const char *fmt, ...)
{
	va_list ap;

	if (t->quiet)
		return;
	printf("%" PRId64 " ", clock_wall_ms());
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* The number is in the last four bytes of the id, so that whatever is told leads back to it. */
static void
make_id(const struct trickle *t, uint32_t n, struct ulid *id)
{
	uint8_t random[10];

	memcpy(random, t->salt, sizeof t->salt);
	for (int i = 0; i < 4; i++)
		random[6 + i] = (uint8_t)(n >> (24 - 8 * i));
	ulid_make(id, clock_wall_ms(), random);
}

static bool
number_of(const struct trickle *t, const struct ulid *id, uint32_t *n)
{
	*n = (uint32_t)id->b[12] << 24 | (uint32_t)id->b[13] << 16 | (uint32_t)id->b[14] << 8 | id->b[15];
	return memcmp(id->b + 6, t->salt, sizeof t->salt) == 0 && *n < (uint32_t)t->put;
}

/* ---- what is told ---- */

static uint32_t
fold(uint32_t h, const char *text)
{
	for (; text && *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

static const char *
text_of(const cJSON *o, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
}

/* State, attempt, result: what may not differ between two who were told. */
static uint32_t
digest_of(const cJSON *o)
{
	static const char *const members[] = { "state", "attempt", "result" };
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, members[i]));

		h = fold(fold(h, text), " ");
		cJSON_free(text);
	}
	return h;
}

static void
note_end(struct trickle *t, uint32_t n, uint32_t digest)
{
	int64_t now = clock_wall_ms();

	if (t->state[n] & ENDED) {
		t->twice += t->digest[n] != digest;
		return;
	}
	t->state[n] |= ENDED;
	t->digest[n] = digest;
	t->ended++;
	if (t->last_end_ms && now - t->last_end_ms > t->longest_gap_ms)
		t->longest_gap_ms = now - t->last_end_ms;
	t->last_end_ms = now;
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct trickle *t = arg;
	uint32_t n;

	if (!number_of(t, &r->id, &n))
		return;
	if (strcmp(r->type, "accepted") == 0) {
		t->accepted += !(t->state[n] & ACCEPTED);
		t->state[n] |= ACCEPTED;
		say(t, "accepted %" PRIu32, n);
	} else if (strcmp(r->type, "outcome") == 0) {
		note_end(t, n, digest_of(r->obj));
		say(t, "outcome %" PRIu32 " %s %08" PRIx32, n, text_of(r->obj, "state"), digest_of(r->obj));
	} else if (strcmp(r->type, "rejected") == 0) {
		note_end(t, n, 0);
		say(t, "rejected %" PRIu32 " %.*s", n, (int)(r->len > 300 ? 300 : r->len), r->line);
	}
}

static void
take_event(const struct trickle *t, const char *agent, const char *line, size_t len)
{
	cJSON *o = json_parse_object(line, len, NULL);
	const char *type = text_of(o, "type"), *id_text = text_of(o, "id");
	struct ulid id;
	uint32_t n;

	if (type && strcmp(type, "outcome") == 0 && id_text && ulid_parse(id_text, &id) && number_of(t, &id, &n))
		say(t, "event %" PRIu32 " %s %08" PRIx32 " %s %s", n, text_of(o, "state"), digest_of(o), agent,
		    text_of(o, "term") ? text_of(o, "term") : "0");
	cJSON_Delete(o);
}

/* The last level of the topic is the agent. */
static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	const char *agent = strrchr(topic, '/'), *p = payload, *end = payload + len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);

		if (n)
			take_event(arg, agent + 1, p, n);
		p += n + 1;
	}
}

/* ---- what is given ---- */

/* Mostly nothing at all; some take a moment, so that some run whatever happens, and when; some leave a line in a
 * journal each time they run. */
static const char *
task_of(const struct trickle *t, long n)
{
	static const char noop[] = "{\"tool\":\"noop\"}", moment[] = "{\"tool\":\"wait\",\"params\":{\"ms\":20}}",
	    longer[] = "{\"tool\":\"wait\",\"params\":{\"ms\":250}}",
	    journal[] = "{\"tool\":\"journal\",\"params\":{}}", again[] = "{\"tool\":\"journal_again\",\"params\":{}}";
	static const char *const mix[] = { noop, longer, noop, journal, noop, moment, noop, again, noop, noop };
	const char *task = mix[n % (long)(sizeof mix / sizeof *mix)];

	return t->quiet || (t->plain && (task == journal || task == again)) ? noop : task;
}

static void
put(struct trickle *t)
{
	const char *task = task_of(t, t->put);
	struct ulid id;
	struct err e;

	if (t->put == TASKS_MAX)
		fatalx("trickle: more than %d tasks", TASKS_MAX);
	make_id(t, (uint32_t)t->put, &id);
	t->state[t->put] = PUT;
	say(t, "put %ld", t->put++);
	if (client_submit(t->client, t->house, task, strlen(task), &id, true, &e))
		fatalx("trickle: %s", e.msg);
}

static void
turn(struct trickle *t, int timeout_ms)
{
	struct err e;

	if (client_commit(t->client, &e) || client_run(t->client, timeout_ms, &e))
		fatalx("trickle: %s", e.msg);
	if (client_is_up(t->client) == t->was_up)
		return;
	t->was_up = !t->was_up;
	if (t->was_up)
		say(t, "up");
	else
		say(t, "down %s", client_why_down(t->client));
}

static void
drain(struct trickle *t, int64_t limit_ms)
{
	int64_t end_ms = clock_mono_ms() + limit_ms;

	while (t->ended < t->put && clock_mono_ms() < end_ms)
		turn(t, 50);
}

static void
run_pace(struct trickle *t, long rate)
{
	int64_t began_ms = clock_mono_ms();

	while (!stopping) {
		for (long due = (clock_mono_ms() - began_ms) * rate / 1000; t->put < due;)
			put(t);
		turn(t, (int)(1000 / rate) + 1);
	}
	drain(t, DRAIN_MS);
}

/* By whole messages: fewer and larger ones cost everybody less. */
static void
run_flood(struct trickle *t, long window)
{
	while (!stopping) {
		for (long room = window - (t->put - t->ended); room >= STEP; room -= STEP)
			for (int i = 0; i < STEP; i++)
				put(t);
		turn(t, 100);
	}
	drain(t, FLOOD_DRAIN_MS);
	printf("put %ld\naccepted %ld\nended %ld\ntwice %ld\nlongest_gap_ms %" PRId64 "\n", t->put, t->accepted,
	    t->ended, t->twice, t->longest_gap_ms);
}

static void
open_client(struct trickle *t, const char *outbox)
{
	const char *identity = getenv("UW_AS");
	char filter[TOPIC_MAX];
	struct ulid u;
	struct err e;

	if (config_load(&t->config, config_path(NULL), NULL, NULL, &e))
		fatalx("trickle: %s", e.msg);
	ulid_now(&u);
	memcpy(t->salt, u.b + 6, sizeof t->salt);
	topic_format(filter, t->config.cluster, TOPIC_EVENT, t->house, "+");
	if (client_open(&t->client, &(struct client_opts){ .config = &t->config,
	    .identity = identity ? identity : "operator", .outbox_path = outbox, .arg = t, .on_reply = on_reply,
	    .on_message = on_message }, &e) || (!t->quiet && client_subscribe(t->client, filter, &e)))
		fatalx("trickle: %s", e.msg);
}

static int
run(const char *mode, const char *house, long n, const char *outbox)
{
	static struct trickle t;

	t.house = house;
	t.quiet = strcmp(mode, "flood") == 0;
	t.plain = strcmp(mode, "plain") == 0;
	if (n < 1)
		fatalx("trickle: expected a number above 0");
	t.state = xcalloc(TASKS_MAX, sizeof *t.state);
	t.digest = xcalloc(TASKS_MAX, sizeof *t.digest);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	open_client(&t, outbox);
	(t.quiet ? run_flood : run_pace)(&t, n);
	client_close(t.client);
	return t.ended < t.put;
}

/* All of them are held until the last is known, so that none comes twice. */
static int
print_ports(long n)
{
	for (long i = 0; i < n && i < PORTS_MAX; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof a;
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) ||
		    getsockname(fd, (struct sockaddr *)&a, &len))
			fatal("trickle: no free port");
		printf("%d\n", ntohs(a.sin_port));
	}
	return 0;
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "now") == 0)
		return printf("%" PRId64 "\n", clock_wall_ms()) < 0;
	if (argc == 3 && strcmp(argv[1], "ports") == 0)
		return print_ports(strtol(argv[2], NULL, 10));
	if (argc == 5 && (strcmp(argv[1], "pace") == 0 || strcmp(argv[1], "plain") == 0 || strcmp(argv[1], "flood") == 0))
		return run(argv[1], argv[2], strtol(argv[3], NULL, 10), argv[4]);
	fatalx("usage: trickle pace|plain|flood HOUSE NUMBER OUTBOX | now | ports N");
}
