/*
 * lag.c - how late it is known elsewhere what happens at a worker: until a following agent has it on its disk, and until
 * a page that is open at that agent has it.
 *
 * lag -l HOUSE -f FOLLOWER -u URL -t TOKEN -H PREFIX [-r EVENTS-A-SECOND] [-s SECONDS] [-p TELLERS]
 *     [-b HOUSE] [-S SOCKET] [-n EVENTS] [-o OUTAGE-SECONDS] [-c PID-OF-CUT] [-q QUIET-SECONDS]
 *
 * Gives no-ops to HOUSE, evenly; each makes two events, accepted and outcome, and carries the time at which it was given
 * (so the lag holds the way to the worker too). With -p as many tasks of the tool `teller` run beside them, which tell
 * their progress and the time of it. What is known where:
 *   FOLLOWER's disk: it publishes after each commit up to which event it has (`have`), so one hop more is in it
 *   the page: a reader of GET URL/v1/events, as the dashboard is one
 * Microseconds go to PREFIX.store, PREFIX.page and PREFIX.progress (hist.h), and to PREFIX.wire those until a plain
 * subscriber of the broker has it. Progress is measured there too.
 *
 * With -c there is an outage then: the relay tests/bench/cut.c is told to cut, -q seconds later EVENTS are made within
 * OUTAGE-SECONDS, by no-ops for the house of -b, or, given to its agent over that one's SOCKET, by such as it runs for
 * itself while it has no broker; the relay is told to mend, and all of them have to come. What the events of the live
 * house need that come about between the first of these and a second after the last goes to PREFIX.back_store and
 * PREFIX.back_page.
 *
 * Prints figures, "name value" a line. Ends with 1 if something does not come.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "hist.h"
#include "json.h"
#include "local.h"
#include "log.h"
#include "topic.h"
#include "ulid.h"
#include "wire.h"

#define SEQS (1u << 20)                 /* events of a house, the latest */
#define STALL_US 60000000               /* nothing of what is awaited came */
#define LINE_MAX_BYTES (4u << 20)
#define HEARD 3                         /* subscriptions */
#define AFTER_US 1000000                /* the live house is looked at for so long after the last of the backlog */

/* The events of one house, or those that an agent makes for no house. */
struct stream {
	const char *house;
	int64_t sent, want;             /* tasks */
	int64_t accepted, outcomes;     /* heard of at the page */
	int64_t seq;                    /* the last one at the page */
	int64_t events, missing, repeated;
	int64_t have;                   /* at the follower */
	int64_t first_us, last_us;      /* at the page, since the mend */
	int64_t due_us, every_us;
};

struct lag {
	struct wire wire;
	struct mqtt *mqtt;
	int subscribed;
	int64_t tick_us;

	const char *url, *token, *follower, *prefix, *socket_path, *back_house;
	int page;
	struct buf in, text;
	int64_t page_ends;

	struct local *local;
	int cut;

	struct stream live, back;
	int64_t *at_us;                 /* of the live one's events, when their task was given, by number; 0: not one of ours */
	long rate, seconds, tellers, back_events, outage_s, quiet_s;

	bool measures;
	int64_t mended_us;
	struct hist wire_lag, store, at_page, progress, back_store, back_page;
	int64_t heard_us;
};

/* ---- what is heard ---- */

static bool
is_back(const struct lag *l, int64_t at_us)
{
	return l->back.first_us && at_us >= l->back.first_us &&
	    (l->back.outcomes < l->back.want || at_us < l->back.last_us + AFTER_US);
}

static void
note_lag(struct lag *l, struct hist *calm, struct hist *back, int64_t at_us, int64_t now_us)
{
	if (!at_us)
		return;
	if (is_back(l, at_us))
		hist_add(back, (uint64_t)(now_us - at_us));
	else if (l->measures)
		hist_add(calm, (uint64_t)(now_us - at_us));
}

static struct stream *
stream_of(struct lag *l, const char *house)
{
	if (l->back.house && strcmp(house, l->back.house) == 0)
		return &l->back;
	return strcmp(house, l->live.house) == 0 ? &l->live : NULL;
}

/* The number behind a word, wherever that stands: in a payload or in a note. */
static int64_t
number_after(const char *p, const char *word)
{
	const char *at = strstr(p, word);

	if (!at)
		return 0;
	at += strlen(word);
	at += strcspn(at, "0123456789}");
	return strtoll(at, NULL, 10);
}

static void
note_event(struct lag *l, struct stream *s, const char *line, int64_t now_us)
{
	int64_t seq = number_after(line, "\"seq\":"), at_us = number_after(line, "at_us");

	if (!seq)
		return;
	s->events++;
	if (s->seq && seq > s->seq + 1)
		s->missing += seq - s->seq - 1;
	if (seq <= s->seq) {
		s->repeated++;
		return;
	}
	s->seq = seq;
	l->heard_us = s->last_us = now_us;
	if (s == &l->back && l->mended_us && !s->first_us)
		s->first_us = now_us;
	if (at_us) {
		s->accepted += strstr(line, "{\"type\":\"accepted\"") != NULL;
		s->outcomes += strstr(line, "{\"type\":\"outcome\"") != NULL;
	}
	if (s == &l->live)
		note_lag(l, &l->at_page, &l->back_page, at_us, now_us);
}

/* data: {"house":...,"agent":...,"event":<the line>} */
static void
page_line(struct lag *l, const char *line, int64_t now_us)
{
	static const char begin[] = "data: {\"house\":\"";
	char house[64];
	struct stream *s;

	if (strncmp(line, begin, sizeof begin - 1) != 0)
		return;
	line += sizeof begin - 1;
	snprintf(house, sizeof house, "%.*s", (int)strcspn(line, "\""), line);
	s = stream_of(l, house);
	/* In the router's house are those of the router, too. */
	if (!s || (l->socket_path && s == &l->back && !strstr(line, "\"store\":\"")))
		return;
	note_event(l, s, line, now_us);
}

/* Up to which event the follower has them. */
static void
note_have(struct lag *l, struct stream *s, int64_t have, int64_t now_us)
{
	for (int64_t n = s->have ? s->have + 1 : have; n <= have; n++)
		if (s == &l->live)
			note_lag(l, &l->store, &l->back_store, l->at_us[n % SEQS], now_us);
	if (have > s->have)
		l->heard_us = now_us;
	s->have = have > s->have ? have : s->have;
}

/* Subscribed as QoS 0, so that it comes before whoever has it on disk can say so. */
static void
wire_line(struct lag *l, const char *line, int64_t now_us)
{
	int64_t seq = number_after(line, "\"seq\":"), at_us = number_after(line, "at_us");

	if (at_us && seq)
		l->at_us[seq % SEQS] = at_us;
	if (!at_us || !l->measures)
		return;
	if (seq)
		hist_add(&l->wire_lag, (uint64_t)(now_us - at_us));
	else if (strstr(line, "{\"type\":\"progress\""))
		hist_add(&l->progress, (uint64_t)(now_us - at_us));
}

static void
on_message(void *arg, const struct mqtt_msg *m)
{
	struct lag *l = arg;
	int64_t now_us = clock_mono_us();
	struct topic t;
	struct stream *s;

	if (topic_parse(m->topic, "home", &t, NULL) || !(s = stream_of(l, t.kind == TOPIC_HAVE ? t.id : t.name)))
		return;
	if (t.kind == TOPIC_HAVE) {
		note_have(l, s, number_after(m->payload, "\"have\":"), now_us);
		return;
	}
	buf_clear(&l->text);
	buf_add(&l->text, m->payload, m->len);
	for (char *p = l->text.data, *nl; p && *p; p = nl ? nl + 1 : NULL) {
		nl = strchr(p, '\n');
		if (nl)
			*nl = '\0';
		wire_line(l, p, now_us);
	}
}

static void
on_up(void *arg, bool session)
{
	struct lag *l = arg;
	const struct { enum topic_kind kind; const char *name; } heard[HEARD] = {
		{ TOPIC_HAVE, l->follower }, { TOPIC_EVENT, l->live.house }, { TOPIC_LOG, l->live.house },
	};
	char topic[TOPIC_MAX];
	struct err e;

	(void)session;
	for (int i = 0; i < HEARD; i++) {
		topic_format(topic, "home", heard[i].kind, heard[i].name, "+");
		if (mqtt_subscribe(l->mqtt, topic, 0, &e) < 0)
			fatalx("lag: %s", e.msg);
	}
}

static void
on_down(void *arg, const char *why)
{
	(void)arg;
	fatalx("lag: the connection ended: %s", why);
}

static void
on_sent(void *arg, int mid, int reason)
{
	(void)arg;
	(void)mid;
	if (reason >= 0x80)
		fatalx("lag: the broker refuses a publish");
}

static void
on_subscribed(void *arg, int mid, int granted)
{
	struct lag *l = arg;

	(void)mid;
	if (granted >= 0x80)
		fatalx("lag: the broker does not let us listen");
	l->subscribed++;
}

/* ---- the page ---- */

/* In HTTP/1.0, so that lines come as they are, not in chunks. */
static void
open_page(struct lag *l)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	char host[64], port[16], request[512];
	int n;

	if (sscanf(l->url, "http://%63[^:]:%15[0-9]", host, port) != 2)
		fatalx("lag: -u: expected http://host:port, got \"%s\"", l->url);
	if (getaddrinfo(host, port, &hints, &found))
		fatalx("lag: %s has no address", host);
	l->page = socket(found->ai_family, SOCK_STREAM, 0);
	if (l->page < 0 || connect(l->page, found->ai_addr, found->ai_addrlen))
		fatal("lag: %s", l->url);
	freeaddrinfo(found);
	n = snprintf(request, sizeof request, "GET /v1/events HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n", l->token);
	if (send(l->page, request, (size_t)n, 0) != n)
		fatal("lag: %s", l->url);
	buf_clear(&l->in);
}

static void
read_page(struct lag *l)
{
	char text[65536], *p, *nl;
	ssize_t n;

	while ((n = recv(l->page, text, sizeof text, MSG_DONTWAIT)) > 0) {
		int64_t now_us = clock_mono_us();

		buf_add(&l->in, text, (size_t)n);
		for (p = l->in.data; (nl = memchr(p, '\n', l->in.len - (size_t)(p - l->in.data))); p = nl + 1) {
			*nl = '\0';
			page_line(l, p, now_us);
		}
		n = p - l->in.data;
		memmove(l->in.data, p, l->in.len - (size_t)n);
		buf_cut(&l->in, l->in.len - (size_t)n);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* As a browser does. */
	close(l->page);
	l->page_ends++;
	open_page(l);
}

/* ---- what is given ---- */

static void
give(struct lag *l, struct stream *s)
{
	char topic[TOPIC_MAX], id[ULID_TEXT], task[256];
	struct ulid u;
	struct err e;
	int n;

	ulid_now(&u);
	ulid_format(&u, id);
	n = snprintf(task, sizeof task, "{\"tool\":\"noop\",\"id\":\"%s\",\"house\":\"%s\",\"params\":{\"payload\":{\"at_us\":%lld}}}",
	    id, s == &l->back ? l->back_house : s->house, (long long)clock_mono_us());
	s->sent++;
	if (s == &l->back && l->local) {
		char line[320];

		n = snprintf(line, sizeof line, "{\"op\":\"submit\",\"task\":%s}", task);
		if (local_send(l->local, line, (size_t)n, 10000, &e))
			fatalx("lag: %s", e.msg);
		return;
	}
	topic_format(topic, "home", TOPIC_TASK, s->house, "operator");
	if (mqtt_publish(l->mqtt, topic, task, (size_t)n, 1, false, NULL, NULL, 0, 0, &e) < 0)
		fatalx("lag: %s", e.msg);
}

static void
give_tellers(struct lag *l)
{
	char topic[TOPIC_MAX], task[128];
	struct err e;
	int n = snprintf(task, sizeof task, "{\"tool\":\"teller\",\"params\":{\"s\":%ld}}", l->seconds);

	topic_format(topic, "home", TOPIC_TASK, l->live.house, "operator");
	for (long i = 0; i < l->tellers; i++)
		if (mqtt_publish(l->mqtt, topic, task, (size_t)n, 1, false, NULL, NULL, 0, 0, &e) < 0)
			fatalx("lag: %s", e.msg);
}

static int64_t
give_due(struct lag *l, struct stream *s, int64_t now_us)
{
	while (s->sent < s->want && s->due_us <= now_us) {
		give(l, s);
		s->due_us += s->every_us;
	}
	return s->sent < s->want ? s->due_us : INT64_MAX;
}

static void
begin(struct stream *s, int64_t want, double per_s)
{
	s->want = want;
	s->every_us = (int64_t)(1e6 / per_s);
	s->due_us = clock_mono_us();
}

/* ---- the loop ---- */

static void
turn(struct lag *l, int64_t until_us)
{
	int64_t now_us = clock_mono_us(), due_us = give_due(l, &l->live, now_us), back_us = give_due(l, &l->back, now_us);
	struct pollfd p[] = { { .fd = mqtt_fd(l->mqtt), .events = POLLIN }, { .fd = l->page, .events = POLLIN },
		{ .fd = l->local ? local_fd(l->local) : -1, .events = POLLIN } };
	struct err e;
	char *line;
	size_t len;

	mqtt_write(l->mqtt);
	if (mqtt_want_write(l->mqtt))
		p[0].events |= POLLOUT;
	until_us = due_us < until_us ? due_us : until_us;
	until_us = back_us < until_us ? back_us : until_us;
	now_us = clock_mono_us();
	if (poll(p, 3, until_us > now_us ? (int)((until_us - now_us + 999) / 1000) : 0) < 0 && errno != EINTR)
		fatal("poll");
	if (p[1].revents)
		read_page(l);
	if (p[0].revents & ~POLLOUT)
		while (mqtt_read(l->mqtt, 4096))
			continue;
	if (p[2].revents)
		while (local_read(l->local, 0, &line, &len, &e) > 0)
			continue;
	if (now_us >= l->tick_us) {
		mqtt_tick(l->mqtt);
		l->tick_us = now_us + 1000000;
	}
}

static void
run_for(struct lag *l, int64_t us)
{
	for (int64_t end_us = clock_mono_us() + us; clock_mono_us() < end_us;)
		turn(l, end_us);
}

static bool
is_all_in(const struct lag *l, const struct stream *s)
{
	return s->outcomes >= s->sent && s->accepted >= s->sent && (s->have >= s->seq || (s == &l->back && l->socket_path));
}

static void
wait_all(struct lag *l, struct stream *s)
{
	l->heard_us = clock_mono_us();
	while (s->sent < s->want || !is_all_in(l, s)) {
		turn(l, clock_mono_us() + 100000);
		if (clock_mono_us() - l->heard_us > STALL_US)
			fatalx("lag: house %s: nothing came for %d s: of %lld tasks the page has %lld accepted and %lld outcomes; "
			    "the page has event %lld, the follower %lld", s->house, STALL_US / 1000000, (long long)s->sent,
			    (long long)s->accepted, (long long)s->outcomes, (long long)s->seq, (long long)s->have);
	}
}

/* ---- what is measured ---- */

static void
outage(struct lag *l)
{
	struct err e;

	l->measures = false;
	kill(l->cut, SIGUSR1);
	run_for(l, l->quiet_s * 1000000);
	if (l->socket_path && local_open(&l->local, l->socket_path, 5000, &e))
		fatalx("lag: %s", e.msg);
	begin(&l->back, l->back_events / 2, (double)l->back_events / 2 / (double)l->outage_s);
	while (l->back.sent < l->back.want)
		turn(l, clock_mono_us() + 100000);
	run_for(l, 1000000);
	l->mended_us = clock_mono_us();
	kill(l->cut, SIGUSR2);
	wait_all(l, &l->back);
	run_for(l, AFTER_US);
	printf("back_events %lld\nback_missing %lld\nback_repeated %lld\n", (long long)l->back.events,
	    (long long)l->back.missing, (long long)l->back.repeated);
	printf("back_first_s %.3f\nback_drain_s %.3f\n", (double)(l->back.first_us - l->mended_us) / 1e6,
	    (double)(l->back.last_us - l->back.first_us) / 1e6);
}

static void
save(const struct lag *l, const struct hist *h, const char *suffix)
{
	char path[512];

	snprintf(path, sizeof path, "%s.%s", l->prefix, suffix);
	if (h->total && hist_save(h, path))
		fatal("lag: %s", path);
}

static void
measure(struct lag *l)
{
	int64_t from_us, before;

	begin(&l->live, INT64_MAX, (double)l->rate / 2);
	give_tellers(l);
	run_for(l, 2000000);
	l->measures = true;
	from_us = clock_mono_us();
	before = l->live.events;
	run_for(l, l->seconds * 1000000);
	printf("events_per_s %.0f\n", (double)(l->live.events - before) * 1e6 / (double)(clock_mono_us() - from_us));
	if (l->cut)
		outage(l);
	l->live.want = l->live.sent;
	wait_all(l, &l->live);
	printf("missing %lld\nrepeated %lld\npage_ends %lld\n", (long long)l->live.missing, (long long)l->live.repeated,
	    (long long)l->page_ends);
	save(l, &l->wire_lag, "wire");
	save(l, &l->store, "store");
	save(l, &l->at_page, "page");
	save(l, &l->progress, "progress");
	save(l, &l->back_store, "back_store");
	save(l, &l->back_page, "back_page");
}

static void
read_options(struct lag *l, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "l:f:u:t:H:r:s:p:b:S:n:o:c:q:")) != -1) {
		long n = strtol(optarg, NULL, 10);

		switch (c) {
		case 'l': l->live.house = optarg; break;
		case 'f': l->follower = optarg; break;
		case 'u': l->url = optarg; break;
		case 't': l->token = optarg; break;
		case 'H': l->prefix = optarg; break;
		case 'r': l->rate = n; break;
		case 's': l->seconds = n; break;
		case 'p': l->tellers = n; break;
		case 'b': l->back_house = optarg; break;
		case 'S': l->socket_path = optarg; break;
		case 'n': l->back_events = n; break;
		case 'o': l->outage_s = n; break;
		case 'c': l->cut = (int)n; break;
		case 'q': l->quiet_s = n; break;
		default: fatalx("lag: see the head of tests/bench/lag.c for what it takes");
		}
	}
	if (!l->live.house || !l->follower || !l->url || !l->token || !l->prefix || (l->cut && !l->back_house))
		fatalx("lag: see the head of tests/bench/lag.c for what it takes");
	/* What an agent runs for nobody else shows there. */
	l->back.house = l->socket_path ? "_" : l->back_house;
}

int
main(int argc, char **argv)
{
	static struct lag l = { .rate = 1000, .seconds = 10, .back_events = 100000, .outage_s = 300 };
	struct err e;

	read_options(&l, argc, argv);
	l.in.max = LINE_MAX_BYTES;
	l.at_us = xcalloc(SEQS, sizeof *l.at_us);
	open_page(&l);
	wire_init(&l.wire, "operator");
	l.wire.opts.arg = &l;
	l.wire.opts.on_up = on_up;
	l.wire.opts.on_down = on_down;
	l.wire.opts.on_message = on_message;
	l.wire.opts.on_sent = on_sent;
	l.wire.opts.on_subscribed = on_subscribed;
	l.mqtt = mqtt_connect(&l.wire.opts, &e);
	if (!l.mqtt)
		fatalx("lag: %s", e.msg);
	for (int64_t limit_us = clock_mono_us() + STALL_US; l.subscribed < HEARD;) {
		turn(&l, clock_mono_us() + 20000);
		if (clock_mono_us() > limit_us)
			fatalx("lag: no connection to the broker");
	}
	measure(&l);
	mqtt_close(l.mqtt, true);
	local_close(l.local);
	return 0;
}
