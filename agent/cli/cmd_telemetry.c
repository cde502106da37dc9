/*
 * cmd_telemetry.c - telemetry: whether what agents tell comes, how late, and whether something of it is missing.
 *
 * Heartbeats and events carry the time at which they were made, by their agent's clock. How far that clock is from ours shows in the
 * one that came quickest: only what is beyond a plausible way is taken for a difference of clocks.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "remote.h"

#define WAY_MS 100                      /* the quickest may have taken that long; more is the clock */
#define SAMPLES 16384                   /* of an agent, in one look: the first so many */
#define STREAMS 256                     /* of which gaps are looked for */

struct source {
	const char *name;
	cJSON *beat;                    /* the newest; NULL: none */
	int64_t first_seq;              /* of the one that the broker may have kept */
	char first_boot[32];
	bool live;
	int64_t *late;                  /* arrival less the time that it bears, in ms */
	size_t n, events;
	int64_t missing;                /* events, by their numbers, while we listened */
};

/* A house's events as one agent tells them. */
struct numbers {
	char topic[TOPIC_MAX], term[96];
	int64_t seq;
};

struct look {
	const struct cmd_args *a;
	struct remote r;
	config_name *agents;
	struct source *sources;         /* of each of them */
	size_t n;
	struct numbers streams[STREAMS];
	size_t nstreams;
	bool never;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

static struct source *
source_find(struct look *l, const char *agent)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->agents[i], agent) == 0)
			return &l->sources[i];
	return NULL;
}

/* ---- hearing ---- */

static void
note_late(struct source *s, const cJSON *o)
{
	int64_t made;

	if (s->n == SAMPLES || clock_parse(json_text(o, "time"), &made, NULL))
		return;
	if (!s->late)
		s->late = xcalloc(SAMPLES, sizeof *s->late);
	s->late[s->n++] = clock_wall_ms() - made;
}

/* The first may be what the broker kept, of any age. */
static void
take_beat(struct source *s, cJSON *o)
{
	const char *boot = json_text(o, "boot");
	int64_t seq = json_number(o, "seq", 0);

	if (!s->beat) {
		s->first_seq = seq;
		snprintf(s->first_boot, sizeof s->first_boot, "%s", boot);
	} else if (seq != s->first_seq || strcmp(boot, s->first_boot) != 0) {
		s->live = true;
		note_late(s, o);
	}
	cJSON_Delete(s->beat);
	s->beat = o;
}

static void
take_number(struct look *l, struct source *s, const char *topic, const cJSON *o)
{
	const char *term = json_text(o, cJSON_HasObjectItem(o, "term") ? "term" : "store");
	int64_t seq = json_number(o, "seq", 0);
	size_t i = 0;

	while (i < l->nstreams && strcmp(l->streams[i].topic, topic) != 0)
		i++;
	if (i == STREAMS)
		return;
	if (i == l->nstreams)
		snprintf(l->streams[l->nstreams++].topic, TOPIC_MAX, "%s", topic);
	if (strcmp(l->streams[i].term, term) == 0 && seq > l->streams[i].seq + 1)
		s->missing += seq - l->streams[i].seq - 1;
	if (strcmp(l->streams[i].term, term) != 0 || seq > l->streams[i].seq)
		l->streams[i].seq = seq;
	snprintf(l->streams[i].term, sizeof l->streams[i].term, "%s", term);
}

/* Lines without a number are between agents. */
static void
take_event(struct look *l, struct source *s, const char *topic, const cJSON *o)
{
	if (!json_number(o, "seq", 0))
		return;
	s->events++;
	note_late(s, o);
	take_number(l, s, topic, o);
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct look *l = arg;
	const char *end = payload + len;
	struct topic t;
	struct source *s;

	if (topic_parse(topic, l->r.config.cluster, &t, NULL) || !(s = source_find(l, t.kind == TOPIC_HEALTH ? t.name : t.id)))
		return;
	for (const char *p = payload, *nl; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		nl = nl ? nl : end;
		cJSON *o = json_parse_object(p, (size_t)(nl - p), NULL);

		if (o && t.kind == TOPIC_HEALTH) {
			take_beat(s, o);
			continue;
		}
		if (o)
			take_event(l, s, topic, o);
		cJSON_Delete(o);
	}
}

/* ---- what it means ---- */

static int
by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* After this late[] is sorted, and without the clock. Returns how far the agent's clock is ahead of ours. */
static int64_t
settle(struct source *s)
{
	int64_t quickest;

	if (!s->n)
		return 0;
	qsort(s->late, s->n, sizeof *s->late, by_size);
	quickest = s->late[0];
	if (quickest >= 0 && quickest <= WAY_MS)
		return 0;
	for (size_t i = 0; i < s->n; i++)
		s->late[i] -= quickest;
	return -quickest;
}

static int64_t
at(const struct source *s, int percent)
{
	return s->late[(s->n - 1) * (size_t)percent / 100];
}

static const char *
state_of(const struct source *s)
{
	const char *state = json_text(s->beat, "state");

	return strcmp(state, "offline") == 0 ? "offline" : !s->live ? "not heard" : state;
}

static void
put_row(struct buf *b, struct source *s, int64_t clock)
{
	const cJSON *box = cJSON_GetObjectItemCaseSensitive(s->beat, "outbox");
	int64_t skew;

	json_put_open(b, '{');
	json_kv_str(b, "agent", s->name);
	json_kv_str(b, "state", state_of(s));
	json_kv_int(b, "messages", (int64_t)s->n);
	json_kv_int(b, "events", (int64_t)s->events);
	if (s->n) {
		json_kv_int(b, "lag_p50_ms", at(s, 50));
		json_kv_int(b, "lag_p99_ms", at(s, 99));
		json_kv_int(b, "lag_max_ms", at(s, 100));
		json_kv_int(b, "clock_ahead_of_here_ms", clock);
	}
	if (json_int(cJSON_GetObjectItemCaseSensitive(s->beat, "clock_skew_ms"), &skew))
		json_kv_int(b, "clock_behind_others_ms", skew);
	json_kv_int(b, "buffered_bytes", json_number(box, "bytes", 0));
	json_kv_int(b, "in_flight", json_number(box, "in_flight", 0));
	json_kv_int(b, "dropped_events", json_number(box, "dropped_events", 0));
	json_kv_str(b, "last_gap", *json_text(box, "gap") ? json_text(box, "gap") : NULL);
	json_kv_int(b, "missing_events", s->missing);
	json_put_close(b, '}');
}

static void
add_row(struct table *t, struct source *s, int64_t clock)
{
	const cJSON *box = cJSON_GetObjectItemCaseSensitive(s->beat, "outbox");
	const char *gap = json_text(box, "gap");
	int64_t skew;

	table_cell(t, "%s", s->name);
	table_cell(t, "%s", state_of(s));
	if (s->n) {
		table_cell(t, "%lld ms", (long long)at(s, 50));
		table_cell(t, "%lld ms", (long long)at(s, 99));
	} else {
		table_cell(t, "-");
		table_cell(t, "-");
	}
	table_cell(t, "%zu", s->events);
	table_cell(t, "%lld", (long long)json_number(box, "bytes", 0));
	table_cell(t, "%lld", (long long)json_number(box, "dropped_events", 0));
	if (s->missing)
		table_cell(t, "now: %lld", (long long)s->missing);
	else
		table_cell(t, "%s", *gap ? gap : "-");
	if (json_int(cJSON_GetObjectItemCaseSensitive(s->beat, "clock_skew_ms"), &skew))
		table_cell(t, "%+lld ms", (long long)-skew);
	else
		table_cell(t, "-");
	if (s->n)
		table_cell(t, "%+lld ms", (long long)clock);
	else
		table_cell(t, "-");
}

/* The exit code: whether all are heard, and nothing is missing. */
static int
show(struct look *l)
{
	static const char *const heads[] = { "AGENT", "STATE", "LAG P50", "P99", "EVENTS", "BUFFERED", "DROPPED", "LAST GAP",
		"CLOCK", "HERE", NULL };
	struct table *t = l->a->json ? NULL : table_new(heads);
	struct buf b = { 0 };
	int rc = EXIT_OK;

	json_put_open(&b, '[');
	for (size_t i = 0; i < l->n; i++) {
		struct source *s = &l->sources[i];
		int64_t clock = settle(s);

		if (t)
			add_row(t, s, clock);
		else
			put_row(&b, s, clock);
		if (!s->live || s->missing)
			rc = EXIT_NOT_SUCCEEDED;
		s->n = s->events = 0;
		s->missing = 0;
		s->live = false;
	}
	json_put_close(&b, ']');
	if (t)
		table_print(t);
	else
		puts(buf_str(&b));
	fflush(stdout);
	buf_free(&b);
	return rc;
}

static int
listen_to(struct look *l, enum topic_kind kind, const char *name, const char *id)
{
	char filter[TOPIC_MAX];
	struct err e;

	topic_format(filter, l->r.config.cluster, kind, name, id);
	return client_subscribe(l->r.client, filter, &e) ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg) : EXIT_OK;
}

static int
look(struct look *l)
{
	int64_t end = clock_mono_ms() + cmd_int(l->a, "within", 4) * 1000;
	int rc = EXIT_NO_ANSWER;

	while (rc == EXIT_NO_ANSWER && !interrupted && clock_mono_ms() < end)
		rc = remote_wait(&l->r, &l->never, 250);
	if (rc != EXIT_NO_ANSWER)
		return rc;
	return client_is_up(l->r.client) ? show(l) : remote_no_answer(&l->r, "the broker");
}

static void
sources_init(struct look *l)
{
	const struct config *c = &l->r.config;

	l->n = config_voters(c, NULL, 0) - c->witnesses.n;
	l->agents = xcalloc(l->n, sizeof *l->agents);
	l->sources = xcalloc(l->n, sizeof *l->sources);
	config_voters(c, l->agents, l->n);
	for (size_t i = 0; i < l->n; i++)
		l->sources[i].name = l->agents[i];
}

static void
sources_release(struct look *l)
{
	for (size_t i = 0; i < l->n; i++) {
		cJSON_Delete(l->sources[i].beat);
		free(l->sources[i].late);
	}
	free(l->sources);
	free(l->agents);
}

static int
telemetry_run(const struct cmd_args *a)
{
	struct look *l = xcalloc(1, sizeof *l);
	int rc;

	l->a = a;
	if ((rc = remote_open(&l->r, a, NULL, on_message, l))) {
		free(l);
		return rc;
	}
	sources_init(l);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	rc = listen_to(l, TOPIC_HEALTH, "+", "state");
	rc = rc ? rc : listen_to(l, TOPIC_EVENT, "+", "+");
	if (!rc)
		do
			rc = look(l);
		while (!cmd_flag(a, "status") && !interrupted && rc <= EXIT_NOT_SUCCEEDED);
	remote_close(&l->r);
	sources_release(l);
	free(l);
	return rc;
}

static const struct cmd_opt opts[] = {
	{ .name = "status", .letter = 's', .kind = OPT_FLAG, .help = "look once, and end" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 2, .max = 3600, .help = "listen for S seconds each time (default 4)" },
	{ .name = NULL },
};

const struct cmd cmd_telemetry = {
	.name = "telemetry",
	.help = "Show of each agent how late what it tells comes, and whether something is missing",
	.more = "Listens to heartbeats and events, and prints a row for each agent, again and again:\n"
	        "  LAG       from when it was made to when it came here, half and 99 of 100 of them: without the difference of clocks\n"
	        "  BUFFERED  bytes that wait at the agent for the broker; DROPPED: events that it gave up at limits.outbox_bytes\n"
	        "  LAST GAP  when it did so last; `now`: numbers that were missing while this listened\n"
	        "  CLOCK     how far the agent's clock is ahead of those of most other agents, as they find by their heartbeats\n"
	        "  HERE      how far it is ahead of this machine's, if that is more than a message may take (100 ms)\n\n"
	        "Exit code 1: an agent is not heard, or events were missing.",
	.opts = opts,
	.flags = CMD_JSON,
	.run = telemetry_run,
};
