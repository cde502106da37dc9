/*
 * cmd_health.c - health: how the agents of this host are; with --watch their watcher, a process of its own that tells the sinks
 * and ends an agent that is stuck.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "log.h"
#include "notify.h"
#include "patient.h"
#include "sink.h"
#include "vitals.h"

#define KILL_MS 3000                    /* from SIGABRT to SIGKILL */
#define SINK_MS 3000                    /* for what is queued, at the end */
#define SLICE_MS 1000                   /* a signal may come just before the wait begins */

static const struct cmd_opt opts[] = {
	{ .name = "watch", .letter = 'w', .kind = OPT_FLAG,
	  .help = "go on looking, until it is stopped: tell the sinks, end agents that are stuck" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 600, .help = "wait so long for an answer (10)" },
	{ .name = "every", .kind = OPT_INT, .arg = "S", .min = 1, .max = 3600, .help = "with --watch: look so often (5)" },
	{ .name = "hung", .kind = OPT_INT, .arg = "S", .min = 1, .max = 3600,
	  .help = "with --watch: end an agent that has not answered for so long (30)" },
	{ .name = NULL },
};

struct looked_at {
	config_name agent;
	struct vitals vitals;
	struct patient patient;
	int64_t raised_ms;              /* wall: since when that was so of which an alert is raised */
	bool said_enough;
};

struct health_look {
	const struct cmd_args *a;
	struct config config;
	struct looked_at *v;
	size_t n;
	struct sink sinks[CONFIG_MAX_SINKS];
	size_t nsinks;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

static bool
is_known(const struct health_look *h, const char *agent)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->v[i].agent, agent) == 0)
			return true;
	return false;
}

/* Those of houses.yaml that live here, in its order; for a watcher ever anew, since one may come later. */
static void
find_agents(struct health_look *h)
{
	size_t n = config_voters(&h->config, NULL, 0);
	config_name *names = xcalloc(n + 1, sizeof *names);

	config_voters(&h->config, names, n);
	for (size_t i = 0; i < n; i++) {
		if (is_known(h, names[i]) || !vitals_are_here(&h->config, names[i]))
			continue;
		h->v = xrealloc(h->v, (h->n + 1) * sizeof *h->v);
		h->v[h->n] = (struct looked_at){ .said_enough = false };
		memcpy(h->v[h->n].agent, names[i], sizeof names[i]);
		vitals_init(&h->v[h->n++].vitals);
	}
	free(names);
}

static void
look(struct health_look *h, struct looked_at *x)
{
	vitals_look(&x->vitals, &h->config, x->agent, cmd_int(h->a, "within", 10) * 1000);
}

/* ---- once ---- */

static void
put_one(struct buf *b, const struct looked_at *x)
{
	char *text = x->vitals.health ? cJSON_PrintUnformatted(x->vitals.health) : NULL;

	json_put_open(b, '{');
	json_kv_str(b, "agent", x->agent);
	json_kv_str(b, "state", vitals_name(x->vitals.state));
	if (x->vitals.pid)
		json_kv_int(b, "pid", x->vitals.pid);
	if (x->vitals.answer_ms >= 0)
		json_kv_int(b, "answer_ms", x->vitals.answer_ms);
	if (x->vitals.why[0])
		json_kv_str(b, "why", x->vitals.why);
	if (text)
		json_kv_raw(b, "health", text, strlen(text));
	json_put_close(b, '}');
	free(text);
}

static void
print_json(const struct health_look *h)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (size_t i = 0; i < h->n; i++)
		put_one(&b, &h->v[i]);
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
print_table(const struct health_look *h)
{
	static const char *const heads[] = { "AGENT", "STATE", "PID", "ANSWER", "WHY", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < h->n; i++) {
		const struct vitals *v = &h->v[i].vitals;

		table_cell(t, "%s", h->v[i].agent);
		table_cell(t, "%s", vitals_name(v->state));
		table_cell(t, v->pid ? "%lld" : "-", (long long)v->pid);
		table_cell(t, v->answer_ms >= 0 ? "%lld ms" : "-", (long long)v->answer_ms);
		table_cell(t, "%s", v->why);
	}
	table_print(t);
}

static int
once(struct health_look *h)
{
	int rc = EXIT_OK;

	if (!h->n)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "no agent of %s lives here: there is no socket in %s, no database in %s",
		    h->config.path, h->config.run_dir, h->config.state_dir);
	for (size_t i = 0; i < h->n; i++) {
		look(h, &h->v[i]);
		rc = h->v[i].vitals.state == VITALS_WELL ? rc : EXIT_NOT_SUCCEEDED;
	}
	if (h->a->json)
		print_json(h);
	else
		print_table(h);
	return rc;
}

/* ---- the watcher ---- */

/* As agents' own alerts are told: the same members, and one id for each raising and one for its end. */
static void
tell(struct health_look *h, struct looked_at *x, enum vitals_state which, bool raised)
{
	const struct patient_alert *alert = &patient_alerts[which];
	int64_t lasts_ms = raised ? clock_mono_ms() - x->patient.since_ms : 0;
	bool critical = strcmp(alert->severity, "critical") == 0;
	struct buf line = { 0 };
	char text[160];

	if (raised)
		x->raised_ms = clock_wall_ms() - lasts_ms;
	json_put_open(&line, '{');
	snprintf(text, sizeof text, "%s/%s/%lld/%s", x->agent, alert->name, (long long)x->raised_ms, raised ? "raised" : "cleared");
	json_kv_str(&line, "id", text);
	json_kv_str(&line, "cluster", h->config.cluster);
	snprintf(text, sizeof text, "%s.%s", alert->name, x->agent);
	json_kv_str(&line, "name", text);
	json_kv_str(&line, "alert", alert->name);
	json_kv_str(&line, "agent", x->agent);
	json_kv_str(&line, "state", raised ? "raised" : "cleared");
	json_kv_str(&line, "severity", alert->severity);
	json_kv_int(&line, "value", lasts_ms / 1000);
	json_kv_int(&line, "limit", alert->raise_s);
	json_kv_str(&line, "unit", "s");
	json_kv_time(&line, "since", x->raised_ms);
	json_kv_str(&line, "text", alert->what);
	json_kv_str(&line, "do", alert->mend);
	snprintf(text, sizeof text, "docs/TROUBLESHOOTING.md#%s", alert->name);
	json_kv_str(&line, "runbook", text);
	json_put_close(&line, '}');
	buf_addc(&line, '\n');
	for (size_t i = 0; i < h->nsinks; i++)
		if (critical || strcmp(h->sinks[i].c->severity, "warning") == 0)
			sink_put(&h->sinks[i], line.data, line.len);
	buf_free(&line);
	log_info("agent %s: %s %s", x->agent, alert->name, raised ? "is raised" : "is over");
}

/* Ended so that whatever keeps it starts it again. One that is stopped does not take the first signal, and its end shows
 * with the next look. */
static void
end(const struct looked_at *x)
{
	log_warnx("agent %s: process %lld has not answered for %lld s: it is ended", x->agent, (long long)x->vitals.pid,
	    (long long)((clock_mono_ms() - x->patient.since_ms) / 1000));
	if (vitals_signal(&x->vitals, SIGABRT)) {
		log_warn("agent %s: process %lld", x->agent, (long long)x->vitals.pid);
		return;
	}
	for (int64_t until = clock_mono_ms() + KILL_MS; clock_mono_ms() < until && vitals_are_alive(&x->vitals);)
		poll(NULL, 0, 50);
	if (vitals_are_alive(&x->vitals))
		vitals_signal(&x->vitals, SIGKILL);
}

static void
attend(struct health_look *h, struct looked_at *x)
{
	enum vitals_state before = x->patient.since_ms ? x->patient.state : VITALS_COUNT;
	struct patient_verdict v;

	look(h, x);
	notify("WATCHDOG=1");
	if (x->vitals.state != before)
		log_info("agent %s: %s%s%s", x->agent, vitals_name(x->vitals.state), x->vitals.why[0] ? ": " : "", x->vitals.why);
	v = patient_judge(&x->patient, x->vitals.state, cmd_int(h->a, "hung", 30) * 1000, clock_mono_ms());
	if (v.clear != VITALS_WELL)
		tell(h, x, v.clear, false);
	if (v.raise != VITALS_WELL)
		tell(h, x, v.raise, true);
	if (v.end)
		end(x);
	if (v.enough && !x->said_enough)
		log_warnx("agent %s: was ended %d times within an hour, and is left alone now", x->agent, PATIENT_ENDS);
	x->said_enough = v.enough;
}

/* A watcher that cannot tell still watches. */
static void
open_sinks(struct health_look *h)
{
	const struct config *c = &h->config;
	struct err e;

	for (size_t i = 0; i < c->nsinks; i++)
		if (sink_open(&h->sinks[h->nsinks], c, &c->sinks[i], h->sinks, h->nsinks, &e))
			log_warnx("%s", e.msg);
		else
			h->nsinks++;
}

/* However long it is, the watcher lives. */
static void
wait_for_next(int64_t ms)
{
	for (int64_t until = clock_mono_ms() + ms, left = ms; left > 0 && !interrupted; left = until - clock_mono_ms()) {
		notify("WATCHDOG=1");
		poll(NULL, 0, left < SLICE_MS ? (int)left : SLICE_MS);
	}
}

static int
watch(struct health_look *h)
{
	log_init(NULL, LOG_LEVEL_INFO);
	log_as_json(strcmp(h->config.log_format, "json") == 0);
	signal(SIGPIPE, SIG_IGN);
	open_sinks(h);
	/* Not SA_RESTART: the wait between two looks is to end. */
	sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	log_info("watching the agents of this host, %zu of them now; %zu sinks", h->n, h->nsinks);
	notify("READY=1");
	while (!interrupted) {
		find_agents(h);
		for (size_t i = 0; i < h->n && !interrupted; i++)
			attend(h, &h->v[i]);
		for (size_t i = 0; i < h->nsinks; i++)
			sink_put(&h->sinks[i], "", 0);
		wait_for_next(cmd_int(h->a, "every", 5) * 1000);
	}
	notify("STOPPING=1");
	for (size_t i = 0; i < h->nsinks; i++)
		sink_close(&h->sinks[i], SINK_MS);
	return EXIT_OK;
}

static int
health_run(const struct cmd_args *a)
{
	struct health_look *h = xcalloc(1, sizeof *h);
	int rc = cmd_config(a, &h->config);

	if (rc == 0) {
		h->a = a;
		find_agents(h);
		rc = cmd_flag(a, "watch") ? watch(h) : once(h);
		for (size_t i = 0; i < h->n; i++)
			vitals_release(&h->v[i].vitals);
		free(h->v);
		config_release(&h->config);
	}
	free(h);
	return rc;
}

const struct cmd cmd_health = {
	.name = "health",
	.help = "Show how the agents of this host are, or watch over them",
	.more = "An agent lives here if it has a socket or a database here. It is well, failing (it says what), hung (its process\n"
	    "does not answer) or down. Exit code 0: all are well; 1: not all.\n"
	    "With --watch, as health-daemon.service runs it: what lasts is told to the `sinks` of houses.yaml, past broker and\n"
	    "agents, and an agent that is hung is ended (SIGABRT, then SIGKILL) so that its service starts it again, three\n"
	    "times an hour at most.",
	.opts = opts,
	.flags = CMD_JSON,
	.run = health_run,
};
