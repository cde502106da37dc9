/*
 * cmd_alerts_deliver.c - alerts deliver: brings alerts to the sinks of houses.yaml, until it is stopped.
 */
#include <signal.h>
#include <string.h>

#include "board.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "remote.h"
#include "sink.h"

#define LOOK_MS 500
#define END_MS 3000

struct deliver {
	struct remote r;
	struct board board;
	struct sink sinks[CONFIG_MAX_SINKS];
	size_t nsinks;
	bool never;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct deliver *d = arg;

	board_take(&d->board, d->r.config.cluster, topic, payload, len, clock_wall_ms());
}

static void
put(struct deliver *d, const struct board_alert *a, int64_t now)
{
	bool critical = strcmp(alert_rules[a->kind].severity, "critical") == 0;
	struct buf line = { 0 };
	char id[128];

	/* The same for each try, so that a receiver may tell a repeat. */
	snprintf(id, sizeof id, "%s/%s/%lld/%s", a->agent, a->name, (long long)a->since_ms,
	    board_is_raised(a, now) ? "raised" : "cleared");
	json_put_open(&line, '{');
	json_kv_str(&line, "id", id);
	json_kv_str(&line, "cluster", d->r.config.cluster);
	board_put(&line, &d->board, a, now);
	json_put_close(&line, '}');
	buf_addc(&line, '\n');
	for (size_t i = 0; i < d->nsinks; i++)
		if (critical || strcmp(d->sinks[i].c->severity, "warning") == 0)
			sink_put(&d->sinks[i], line.data, line.len);
	buf_free(&line);
}

/* What is raised and nobody muted is told once, and its end if its beginning was; both by how it is now, so what a mute
 * held back is told when that ends. */
static void
look(struct deliver *d)
{
	int64_t now = clock_wall_ms();

	for (size_t i = 0; i < d->nsinks; i++)
		sink_put(&d->sinks[i], "", 0);
	for (size_t i = 0; i < d->board.nalerts; i++) {
		struct board_alert *a = &d->board.alerts[i];
		bool raised = board_is_raised(a, now);

		if (!a->o || (raised ? a->told_ms == a->since_ms || board_mute(&d->board, a, now) : !a->told_ms))
			continue;
		put(d, a, now);
		a->told_ms = raised ? a->since_ms : 0;
	}
}

static int
listen_to(struct deliver *d, enum topic_kind kind)
{
	char filter[TOPIC_MAX];
	struct err e;

	topic_format(filter, d->r.config.cluster, kind, "+", "+");
	return client_subscribe(d->r.client, filter, &e) ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg) : 0;
}

/* Before the connection, of which they are to know nothing. */
static int
open_sinks(struct deliver *d)
{
	const struct config *c = &d->r.config;
	struct err e;

	if (!c->nsinks)
		return cmd_fail(EXIT_USAGE, "%s: sinks: expected one at least, got none", c->path);
	for (size_t i = 0; i < c->nsinks; i++, d->nsinks++)
		if (sink_open(&d->sinks[i], c, &c->sinks[i], d->sinks, d->nsinks, &e))
			return cmd_fail(EXIT_USAGE, "%s", e.msg);
	return 0;
}

static int
run(struct deliver *d)
{
	bool was_up = false;
	int rc;

	if ((rc = listen_to(d, TOPIC_MUTE)) || (rc = listen_to(d, TOPIC_ALERT)))
		return rc;
	for (rc = EXIT_NO_ANSWER; rc == EXIT_NO_ANSWER && !interrupted;) {
		rc = remote_wait(&d->r, &d->never, LOOK_MS);
		if (client_is_up(d->r.client) != was_up) {
			was_up = !was_up;
			log_info("deliver: %s%s", was_up ? "connected" : "connection lost: ", was_up ? "" : client_why_down(d->r.client));
		}
		look(d);
	}
	return rc == EXIT_NO_ANSWER ? EXIT_OK : rc;
}

static int
deliver_run(const struct cmd_args *a)
{
	struct deliver *d = xcalloc(1, sizeof *d);
	bool opened = false;
	int rc = cmd_config(a, &d->r.config);

	if (rc) {
		free(d);
		return rc;
	}
	log_init("deliver", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	rc = open_sinks(d);
	if (rc)
		config_release(&d->r.config);
	else
		rc = remote_connect(&d->r, a, NULL, on_message, d);
	opened = !rc;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (opened)
		rc = run(d);
	for (size_t i = 0; i < d->nsinks; i++)
		sink_close(&d->sinks[i], END_MS);
	if (opened)
		remote_close(&d->r);
	board_release(&d->board);
	free(d);
	return rc;
}

const struct cmd cmd_alerts_deliver = {
	.name = "alerts deliver",
	.help = "Bring alerts to the `sinks` of houses.yaml, until it is stopped",
	.more = "A service for one host; of two, each delivers. Each sink has a process of its own and a queue of 64 KiB; what does\n"
	    "not fit is dropped. A delivery is tried 8 times within some minutes. After a start what is raised is told again,\n"
	    "under the same id.",
	.run = deliver_run,
};
