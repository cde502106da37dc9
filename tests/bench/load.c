/*
 * load.c - the one submitter of the benchmark: the client module, its outbox on disk, results back.
 *
 * load window   -n TASKS -w WINDOW        as many tasks a second as come back, WINDOW out at once
 * load pace     -n TASKS -r RATE -H HIST  RATE tasks a second; microseconds from submit to outcome go to HIST
 * load behind   -n TASKS -q QUEUED        how fast TASKS queued tasks are worked off, QUEUED more behind them
 * load flood    -n TASKS                  all of them at once; those refused as busy are counted
 * load usage    -s SECONDS                nothing is submitted: CPU share and memory of an idle agent
 * load memory                             the agent's memory as it is
 *
 * common: -i IDENTITY -h HOUSE -d OUTBOX -b BYTES (of a task) -I (in mode intelligent) -B BROKER-PIDS -A AGENT-PIDS; the cluster is
 * that of $UNI_WIZARD_CONFIG
 *
 * Prints figures, "name value" a line. Every task must end as succeeded (in a flood: or be refused as busy), else
 * the exit status is 1.
 */
#include <inttypes.h>
#include <poll.h>
#include <sys/resource.h>

#include "buf.h"
#include "client.h"
#include "clock.h"
#include "config.h"
#include "err.h"
#include "hist.h"
#include "json.h"
#include "log.h"
#include "procs.h"

#define STALL_US 20000000       /* nothing came back for this long: give up */
#define BLOCKERS 64             /* more than there are workers */
#define FLOOD_LOOK_US 200000    /* memory is read so often */
#define STEP 256                /* tasks submitted at once: as many as the client puts in a message */

struct load {
	struct config config;
	struct client *client;
	const char *identity, *house, *outbox;
	long tasks, window, rate, queued, seconds;
	int bytes;
	bool intelligent;
	const char *hist_path;
	struct procs broker, agent;

	char body[65536];               /* a task without its id */
	size_t body_len;
	uint8_t salt[6];                /* of this run's ids */
	long refill;                    /* tasks to keep out; 0: replies bring no new ones */
	long put, accepted, ended, failed, busy;
	bool may_be_busy;
	int64_t *put_us;                /* by number, when times are wanted */
	struct hist hist;
	int64_t last_reply_us;
	long mark;                      /* ended == mark: note the time */
	int64_t mark_us;
};

struct cpu {
	int64_t at_us, broker, agent, workers, own;
};

static void
note_failure(struct load *l, const char *line, size_t len)
{
	if (l->failed++ == 0)
		log_warnx("a task did not succeed: %.*s", (int)(len > 400 ? 400 : len), line);
}

static bool
succeeded(const char *line, size_t len)
{
	static const char want[] = "\"state\":\"succeeded\"";

	return memmem(line, len, want, sizeof want - 1) != NULL;
}

static bool
is_busy(const cJSON *reply)
{
	return strcmp(json_text(cJSON_GetObjectItemCaseSensitive(reply, "error"), "code"), "busy") == 0;
}

/* Counted tasks have their number in the last four bytes of their id, blockers have BLOCKER there. */
#define BLOCKER UINT32_MAX

static void
make_id(const struct load *l, uint32_t n, struct ulid *id)
{
	uint8_t random[10];

	memcpy(random, l->salt, sizeof l->salt);
	for (int i = 0; i < 4; i++)
		random[6 + i] = (uint8_t)(n >> (24 - 8 * i));
	ulid_make(id, clock_wall_ms(), random);
}

static uint32_t
number_of(const struct ulid *id)
{
	return (uint32_t)id->b[12] << 24 | (uint32_t)id->b[13] << 16 | (uint32_t)id->b[14] << 8 | id->b[15];
}

static void
put(struct load *l)
{
	struct ulid id;
	struct err e;

	make_id(l, (uint32_t)l->put, &id);
	if (l->put_us)
		l->put_us[l->put] = clock_mono_us();
	if (client_submit(l->client, l->house, l->body, l->body_len, &id, true, &e))
		fatalx("load: %s", e.msg);
	l->put++;
}

/* By whole messages: fewer and larger ones cost everybody less. */
static void
refill(struct load *l)
{
	long room = l->refill - (l->put - l->ended);

	if (room >= STEP || room == l->refill)
		for (; room > 0 && l->put < l->tasks; room--)
			put(l);
}

static void
note_end(struct load *l, uint32_t n)
{
	if (l->put_us && n < (uint32_t)l->tasks)
		hist_add(&l->hist, (uint64_t)(l->last_reply_us - l->put_us[n]));
	if (++l->ended == l->mark)
		l->mark_us = l->last_reply_us;
	/* Here, so that what is new and what is done share the commit that follows. */
	if (l->refill)
		refill(l);
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct load *l = arg;
	uint32_t n = number_of(&r->id);
	bool rejected = strcmp(r->type, "rejected") == 0;

	if (memcmp(r->id.b + 6, l->salt, sizeof l->salt) != 0 || (n == BLOCKER && !rejected))
		return;
	l->last_reply_us = clock_mono_us();
	if (strcmp(r->type, "accepted") == 0)
		l->accepted++;
	else if (!rejected && strcmp(r->type, "outcome") != 0)
		return;
	else {
		if (rejected && l->may_be_busy && is_busy(r->obj))
			l->busy++;
		else if (rejected || !succeeded(r->line, r->len))
			note_failure(l, r->line, r->len);
		note_end(l, n);
	}
}

/* The link must not break: a broker that is away would be waited for in silence. */
static void
turn(struct load *l, int64_t deadline_us)
{
	int64_t left_us = deadline_us - clock_mono_us();
	struct err e;

	if (client_run(l->client, left_us > 0 ? (int)((left_us + 999) / 1000) : 0, &e))
		fatalx("load: %s", e.msg);
	if (!client_is_up(l->client))
		fatalx("load: the connection ended: %s", client_why_down(l->client));
	if (clock_mono_us() - l->last_reply_us > STALL_US)
		fatalx("load: no reply for %d s: %ld sent, %ld accepted, %ld ended", STALL_US / 1000000, l->put,
		    l->accepted, l->ended);
}

static void
commit(struct load *l)
{
	struct err e;

	if (client_commit(l->client, &e))
		fatalx("load: %s", e.msg);
}

static void
wait_turn(struct load *l)
{
	turn(l, clock_mono_us() + 1000000);
}

/* Of l->bytes bytes as it is sent: the id adds 26 characters and 8 of syntax. */
static void
make_body(struct load *l)
{
	static const char plain[] = "{\"tool\":\"noop\",\"params\":{\"payload\":\"", tail[] = "\"}}",
	    intelligent[] = "{\"tool\":\"noop\",\"mode\":\"intelligent\",\"params\":{\"payload\":\"";
	const char *head = l->intelligent ? intelligent : plain;
	int fill = l->bytes - 34 - (int)strlen(head) - (int)(sizeof tail - 1);

	if (fill < 0 || (size_t)l->bytes >= sizeof l->body)
		fatalx("load: a task has between 80 and %zu bytes", sizeof l->body);
	l->body_len = (size_t)snprintf(l->body, sizeof l->body, "%s%*s%s", head, fill, "", tail);
	memset(l->body + strlen(head), 'x', (size_t)fill);
}

static void
cpu_read(const struct load *l, struct cpu *c)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	c->own = (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
	c->broker = procs_cpu_us(&l->broker, true);
	c->agent = procs_cpu_us(&l->agent, false);
	c->workers = procs_cpu_us(&l->agent, true) - c->agent;
	c->at_us = clock_mono_us();
}

/* Of one task, in microseconds; the sum in seconds for 10,000. */
static void
cpu_print(const struct cpu *a, const struct cpu *b, long tasks)
{
	double n = (double)tasks, broker = (double)(b->broker - a->broker) / n,
	    agent = (double)(b->agent - a->agent) / n, workers = (double)(b->workers - a->workers) / n,
	    own = (double)(b->own - a->own) / n;

	printf("cpu_broker_us %.1f\ncpu_agent_us %.1f\n", broker, agent);
	printf("cpu_workers_us %.1f\ncpu_submitter_us %.1f\n", workers, own);
	printf("cpu_s_per_10k %.3f\n", (broker + agent + workers + own) / 100);
}

static void
run_window(struct load *l)
{
	struct cpu before, after;
	int64_t start_us;

	cpu_read(l, &before);
	start_us = clock_mono_us();
	l->refill = l->window;
	refill(l);
	commit(l);
	while (l->ended < l->tasks)
		wait_turn(l);
	cpu_read(l, &after);
	printf("tasks_per_s %.0f\n", (double)l->tasks * 1e6 / (double)(l->last_reply_us - start_us));
	cpu_print(&before, &after, l->tasks);
}

static void
run_pace(struct load *l)
{
	int64_t start_us = clock_mono_us();

	l->put_us = xcalloc((size_t)l->tasks, sizeof *l->put_us);
	for (long i = 0; i < l->tasks; i++) {
		int64_t due_us = start_us + i * 1000000 / l->rate;

		while (clock_mono_us() < due_us)
			turn(l, due_us);
		put(l);
		commit(l);
	}
	while (l->ended < l->tasks)
		wait_turn(l);
	if (hist_save(&l->hist, l->hist_path))
		fatal("load: %s", l->hist_path);
}

static void
block_workers(struct load *l, struct ulid ids[BLOCKERS])
{
	static const char wait[] = "{\"tool\":\"wait\",\"priority\":9,\"params\":{\"ms\":600000}}";
	int64_t now_ms = clock_wall_ms();
	uint8_t random[10];
	struct err e;

	/* They differ by their time alone. */
	for (int i = 0; i < BLOCKERS; i++) {
		make_id(l, BLOCKER, &ids[i]);
		memcpy(random, ids[i].b + 6, sizeof random);
		ulid_make(&ids[i], now_ms - i, random);
		if (client_submit(l->client, l->house, wait, sizeof wait - 1, &ids[i], false, &e))
			fatalx("load: %s", e.msg);
	}
	commit(l);
}

/* Nothing is worked off meanwhile: the workers are all taken. */
static void
queue_up(struct load *l, long count)
{
	while (l->accepted < count) {
		while (l->put < count && l->put - l->accepted < 32 * STEP)
			put(l);
		commit(l);
		wait_turn(l);
		if (l->ended)
			fatalx("load: tasks ran although every worker waits");
	}
}

static void
release_workers(struct load *l, const struct ulid ids[BLOCKERS])
{
	char id[ULID_TEXT], request[64];
	struct err e;

	for (int i = 0; i < BLOCKERS; i++) {
		ulid_format(&ids[i], id);
		snprintf(request, sizeof request, "{\"id\":\"%s\"}", id);
		if (client_request(l->client, TOPIC_CANCEL, l->house, request, &e))
			fatalx("load: %s", e.msg);
	}
}

static void
wait_ended(struct load *l, long count)
{
	l->mark = count;
	while (l->ended < count)
		wait_turn(l);
}

/* The first tenth is left out: the workers are only coming back then. */
static void
run_behind(struct load *l)
{
	struct ulid ids[BLOCKERS];
	int64_t from_us;
	long skip = l->tasks / 10;

	block_workers(l, ids);
	queue_up(l, l->tasks + l->queued);
	if (l->queued)
		printf("rss_queued_bytes %" PRId64 "\n", procs_rss_bytes(&l->agent));
	release_workers(l, ids);
	wait_ended(l, skip);
	from_us = l->mark_us;
	wait_ended(l, l->tasks);
	printf("dispatch_%s_per_s %.0f\n", l->queued ? "deep" : "empty",
	    (double)(l->tasks - skip) * 1e6 / (double)(l->mark_us - from_us));
	wait_ended(l, l->tasks + l->queued);
}

/* Faster than any house takes them: the outbox holds what is not accepted. The last one put is the last accepted. */
static void
run_flood(struct load *l)
{
	int64_t start_us = clock_mono_us(), rss, most = 0, look_us = 0;

	l->may_be_busy = true;
	while (l->ended < l->tasks) {
		for (int i = 0; i < 8 * STEP && l->put < l->tasks; i++)
			put(l);
		commit(l);
		turn(l, clock_mono_us() + (l->put < l->tasks ? 0 : 1000000));
		if (clock_mono_us() < look_us)
			continue;
		look_us = clock_mono_us() + FLOOD_LOOK_US;
		rss = procs_rss_bytes(&l->agent);
		most = rss > most ? rss : most;
	}
	printf("flood_accepted %ld\nflood_busy %ld\nflood_rss_bytes %" PRId64 "\n", l->accepted, l->busy, most);
	printf("flood_tasks_per_s %.0f\n", (double)l->tasks * 1e6 / (double)(l->last_reply_us - start_us));
}

static void
run_usage(struct load *l)
{
	int64_t start_us = clock_mono_us(), broker = procs_cpu_us(&l->broker, true);
	int64_t agent = procs_cpu_us(&l->agent, true);
	double us;

	poll(NULL, 0, (int)l->seconds * 1000);
	us = (double)(clock_mono_us() - start_us);
	printf("idle_agent_percent %.3f\n", (double)(procs_cpu_us(&l->agent, true) - agent) * 100 / us);
	printf("idle_broker_percent %.3f\n", (double)(procs_cpu_us(&l->broker, true) - broker) * 100 / us);
	printf("rss_idle_bytes %" PRId64 "\n", procs_rss_bytes(&l->agent));
}

static void
run_memory(struct load *l)
{
	printf("rss_after_bytes %" PRId64 "\n", procs_rss_bytes(&l->agent));
}

static const struct {
	const char *name;
	void (*run)(struct load *l);
	bool submits;
} modes[] = {
	{ "window", run_window, true },
	{ "pace", run_pace, true },
	{ "behind", run_behind, true },
	{ "flood", run_flood, true },
	{ "usage", run_usage, false },
	{ "memory", run_memory, false },
};

static void
read_options(struct load *l, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "In:w:r:q:s:H:i:h:d:b:B:A:")) != -1) {
		long n = optarg ? strtol(optarg, NULL, 10) : 0;

		switch (c) {
		case 'I': l->intelligent = true; break;
		case 'n': l->tasks = n; break;
		case 'w': l->window = n; break;
		case 'r': l->rate = n; break;
		case 'q': l->queued = n; break;
		case 's': l->seconds = n; break;
		case 'H': l->hist_path = optarg; break;
		case 'i': l->identity = optarg; break;
		case 'h': l->house = optarg; break;
		case 'd': l->outbox = optarg; break;
		case 'b': l->bytes = (int)n; break;
		case 'B':
			if (procs_parse(&l->broker, optarg))
				fatalx("load: -B: expected process ids with commas between, got \"%s\"", optarg);
			break;
		case 'A':
			if (procs_parse(&l->agent, optarg))
				fatalx("load: -A: expected process ids with commas between, got \"%s\"", optarg);
			break;
		default:
			fatalx("load: see the head of tests/bench/load.c for what it takes");
		}
	}
}

static void
open_client(struct load *l)
{
	struct ulid u;
	struct err e;

	if (config_load(&l->config, config_path(NULL), NULL, NULL, &e))
		fatalx("load: %s", e.msg);
	ulid_now(&u);
	memcpy(l->salt, u.b + 6, sizeof l->salt);
	make_body(l);
	if (client_open(&l->client, &(struct client_opts){ .config = &l->config, .identity = l->identity,
	    .outbox_path = l->outbox, .arg = l, .on_reply = on_reply }, &e))
		fatalx("load: %s", e.msg);
	for (int64_t limit = clock_mono_us() + STALL_US; !client_is_up(l->client);)
		if (client_run(l->client, 100, &e) || clock_mono_us() > limit)
			fatalx("load: no connection to the broker: %s", client_why_down(l->client));
	l->last_reply_us = clock_mono_us();
}

int
main(int argc, char **argv)
{
	static struct load l = {
		.identity = "operator", .house = "bench",
		.tasks = 20000, .window = 2000, .rate = 100, .seconds = 30, .bytes = 200, .hist_path = "latency.hist",
	};
	size_t i = 0, n = sizeof modes / sizeof *modes;

	while (i < n && (argc < 2 || strcmp(argv[1], modes[i].name) != 0))
		i++;
	if (i == n)
		fatalx("usage: load window|pace|behind|flood|usage|memory options");
	read_options(&l, argc - 1, argv + 1);
	if (modes[i].submits)
		open_client(&l);
	modes[i].run(&l);
	client_close(l.client);
	free(l.put_us);
	if (l.failed)
		log_warnx("%ld of %ld tasks did not succeed", l.failed, l.put);
	return l.failed > 0;
}
