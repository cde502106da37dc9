#include "metrics.h"

#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent.h"
#include "bridge.h"
#include "clock.h"
#include "json.h"

#define ASK_MS 3500
#define OPENMETRICS "application/openmetrics-text"

enum kind { GAUGE, COUNTER, INFO, HISTOGRAM };

/* Rows of one name follow each other. A path that begins with "house." is looked up in each house of the health message that
 * the agent may own; "own." in what is only told here, "bridge." in what its bridge told last, if it runs. */
static const struct metric {
	const char *name;               /* without _total */
	enum kind kind;
	const char *unit;               /* NULL: none */
	double scale;                   /* of the value in the path; 0: 1 */
	const char *path;
	const char *label, *value;      /* NULL: none, beside house="..." */
	const char *help;
} metrics[] = {
	{ "uw_agent", INFO, .path = "version", .help = "Name and version of the agent" },
	{ "uw_uptime_seconds", GAUGE, "seconds", .path = "up_s", .help = "Time since the agent began" },
	{ "uw_link_up", GAUGE, .path = "own.link_up", .help = "1 while it is connected to a broker" },
	{ "uw_pulse_age_seconds", GAUGE, "seconds", 0.001, "own.pulse_age_ms",
	    .help = "Age of the latest pulse that came back from the broker; an owner starts nothing after 3 s" },
	{ "uw_broker", GAUGE, .path = "broker", .help = "Number of the broker in the configuration, from 0" },
	{ "uw_clock_skew_seconds", GAUGE, "seconds", 0.001, "own.clock_skew_ms",
	    .help = "Median of how far the clocks of other agents are ahead" },
	{ "uw_store_stuck", GAUGE, .path = "own.stuck", .help = "1 while the store takes nothing" },
	{ "uw_disk_free_bytes", GAUGE, "bytes", .path = "own.disk_free_bytes", .help = "Free space where the databases are" },
	{ "uw_disk_low", GAUGE, .path = "disk_low", .help = "1 while new tasks are refused for want of space" },
	{ "uw_degraded", GAUGE, .path = "degraded",
	    .help = "1 while it is under stress: tasks of low priority are refused, and nothing that was learned is used" },

	{ "uw_tasks_accepted", COUNTER, .path = "accepted", .help = "Tasks taken" },
	{ "uw_tasks_rejected", COUNTER, .path = "rejected", .help = "Tasks refused" },
	{ "uw_tasks_duplicate", COUNTER, .path = "duplicates", .help = "Tasks that came again" },
	{ "uw_tasks_handed_on", GAUGE, .path = "handed_on", .help = "Tasks of this agent's users that are on their way to a house" },
	{ "uw_tasks_seen", GAUGE, .path = "seen", .help = "Tasks that the owner of a house has not answered yet" },
	{ "uw_tasks_seen_dropped", COUNTER, .path = "seen_dropped", .help = "Those given up for want of room" },
	{ "uw_reports", GAUGE, .path = "reports", .help = "Ends of attempts that no owner has acknowledged yet" },

	{ "uw_outbox_bytes", GAUGE, "bytes", .path = "outbox.bytes", .help = "Messages that wait for the broker" },
	{ "uw_outbox_in_flight", GAUGE, .path = "outbox.in_flight", .help = "Messages that the broker has not acknowledged" },
	{ "uw_outbox_dropped_events", COUNTER, .path = "outbox.dropped_events", .help = "Events given up at the outbox's bound" },
	{ "uw_outbox_refused", COUNTER, .path = "outbox.refused", .help = "Messages that the broker refused" },

	{ "uw_workers", GAUGE, .path = "pool.workers", .help = "Worker processes" },
	{ "uw_workers_ready", GAUGE, .path = "pool.ready", .help = "Workers that can take an attempt, or have one" },
	{ "uw_workers_busy", GAUGE, .path = "pool.busy", .help = "Workers that have an attempt" },
	{ "uw_worker_restarts", COUNTER, .path = "pool.restarts", .help = "Workers that were replaced" },
	{ "uw_worker_bad_starts", COUNTER, .path = "pool.bad_starts", .help = "Workers that did not get ready" },
	{ "uw_attempts_started", COUNTER, .path = "pool.started", .help = "Attempts given to workers, those of /health among them" },
	{ "uw_attempts_ended", COUNTER, NULL, 0, "pool.succeeded", "how", "succeeded", "Attempts by how they ended" },
	{ "uw_attempts_ended", COUNTER, NULL, 0, "pool.failed", "how", "failed", NULL },
	{ "uw_attempts_ended", COUNTER, NULL, 0, "pool.timed_out", "how", "timed_out", NULL },
	{ "uw_attempts_ended", COUNTER, NULL, 0, "pool.crashed", "how", "crashed", NULL },
	{ "uw_attempts_ended", COUNTER, NULL, 0, "pool.stopped", "how", "stopped", NULL },
	{ "uw_attempts_ended", COUNTER, NULL, 0, "pool.not_run", "how", "not_run", NULL },

	{ "uw_audit_records", COUNTER, .path = "audit.n", .help = "Records in the audit chain" },
	{ "uw_policy_number", GAUGE, .path = "sovereign.policy", .help = "Number of the policy that it holds" },
	{ "uw_halt_number", GAUGE, .path = "sovereign.halt", .help = "Number of the halt that it holds" },
	{ "uw_grant_number", GAUGE, .path = "sovereign.grants", .help = "Number of the latest grant that it holds" },
	{ "uw_sovereign_behind", GAUGE, .path = "sovereign.behind", .help = "1 while it starts nothing, for others hold more that was signed" },

	{ "uw_house_owned", GAUGE, .path = "house.owned", .help = "1 while the agent owns the house" },
	{ "uw_house_events", COUNTER, .path = "house.head", .help = "Number of the house's latest event, whoever owns it" },
	{ "uw_house_followers", GAUGE, .path = "house.followers", .help = "Candidates in step, at the owner" },
	{ "uw_house_lag_events", GAUGE, .path = "house.lag", .help = "How many events the last of those is behind" },
	{ "uw_house_held_bytes", GAUGE, "bytes", .path = "house.held_bytes", .help = "Answers that wait for copies" },
	{ "uw_house_tasks_open", GAUGE, .path = "house.open", .help = "Tasks that have not ended, at the owner" },
	{ "uw_house_tasks_queued", GAUGE, .path = "house.queued", .help = "Tasks that may start, at the owner" },
	{ "uw_house_tasks_running", GAUGE, .path = "house.running", .help = "Tasks that run, at the owner" },
	{ "uw_house_tasks_ended", COUNTER, NULL, 0, "house.succeeded", "state", "succeeded",
	    "Tasks by how they ended, since the agent began, at the owner" },
	{ "uw_house_tasks_ended", COUNTER, NULL, 0, "house.failed", "state", "failed", NULL },
	{ "uw_house_tasks_ended", COUNTER, NULL, 0, "house.dead", "state", "dead", NULL },
	{ "uw_house_tasks_ended", COUNTER, NULL, 0, "house.cancelled", "state", "cancelled", NULL },
	{ "uw_house_tasks_ended", COUNTER, NULL, 0, "house.expired", "state", "expired", NULL },
	{ "uw_house_tasks_ended", COUNTER, NULL, 0, "house.denied", "state", "denied", NULL },

	{ "uw_bridge_gitea_up", GAUGE, .path = "bridge.gitea.reachable", .help = "1 while Gitea answers, at the owner of the bridge's house" },
	{ "uw_bridge_gitea_availability", GAUGE, .path = "bridge.gitea.availability", .help = "Share of the time that it answered" },
	{ "uw_bridge_events", GAUGE, NULL, 0, "bridge.events.new", "stage", "new", "Issues and pull requests that are not done" },
	{ "uw_bridge_events", GAUGE, NULL, 0, "bridge.events.shown", "stage", "shown", NULL },
	{ "uw_bridge_events", GAUGE, NULL, 0, "bridge.events.out", "stage", "out", NULL },
	{ "uw_bridge_given_up", GAUGE, .path = "bridge.events.given_up", .help = "Those that Gitea kept refusing" },
	{ "uw_bridge_triaged", COUNTER, NULL, 0, "bridge.sums.issues", "kind", "issue", "Issues and pull requests triaged here" },
	{ "uw_bridge_triaged", COUNTER, NULL, 0, "bridge.sums.pulls", "kind", "pull", NULL },
	{ "uw_bridge_triage_p99_seconds", GAUGE, "seconds", 0.001, "bridge.triage.webhook.p99_ms", "source", "webhook",
	    "Time from the making of an issue to its triage, 99 % of the latest 10,000" },
	{ "uw_bridge_triage_p99_seconds", GAUGE, "seconds", 0.001, "bridge.triage.poll.p99_ms", "source", "poll", NULL },
	{ "uw_bridge_pulls_opened", COUNTER, .path = "bridge.sums.pulls_opened", .help = "Pull requests that its tasks opened" },
	{ "uw_bridge_pulls_merged", COUNTER, .path = "bridge.pulls_merged.all", .help = "Pull requests seen to be merged" },

	{ "uw_commit_seconds", HISTOGRAM, "seconds", .path = "commits", .help = "Time of a commit to the store" },
	{ "uw_turn_seconds", HISTOGRAM, "seconds", .path = "turns", .help = "Time of a turn of the agent's loop" },
	{ "uw_attempt_run_seconds", HISTOGRAM, "seconds", .path = "attempts", .help = "Time that attempts spent in the tool" },
	{ "uw_task_seconds", HISTOGRAM, "seconds", .path = "tasks", .help = "Time from a task's acceptance to its end, at the owner" },
	{ "uw_http_request_seconds", HISTOGRAM, "seconds", .path = "http", .help = "Time of a request, from its head to its answer" },
};
#define NMETRICS (sizeof metrics / sizeof *metrics)

static const char *const kinds[] = {
	[GAUGE] = "gauge", [COUNTER] = "counter", [INFO] = "info", [HISTOGRAM] = "histogram",
};

/* ---- in the loop: the values ---- */

static void
put_own(struct buf *b, struct agent *a)
{
	int64_t made = core_pulse_made_ms(a->core), skew = 0;
	struct statvfs v;

	json_put_open(b, '{');
	json_kv_bool(b, "link_up", link_is_up(a));
	if (made)
		json_kv_int(b, "pulse_age_ms", clock_mono_ms() - made);
	if (core_clock_skew(a->core, &skew))
		json_kv_int(b, "clock_skew_ms", skew);
	json_kv_bool(b, "stuck", a->stuck);
	if (statvfs(a->o.config->state_dir, &v) == 0)
		json_kv_int(b, "disk_free_bytes", (int64_t)v.f_bavail * (int64_t)v.f_frsize);
	json_put_close(b, '}');
}

static void
put_times(struct buf *b, const char *name, const struct histogram *h)
{
	json_put_key(b, name);
	json_put_open(b, '[');
	json_put_int(b, (int64_t)h->sum_us);
	for (int i = 0; i <= HISTOGRAM_NENDS; i++)
		json_put_int(b, (int64_t)h->count[i]);
	json_put_close(b, ']');
}

static void
gather(struct agent *a, struct http_call *call)
{
	struct buf b = { 0 }, pool = { 0 };

	if (a->pool)
		pool_put(a->pool, &pool);
	json_put_open(&b, '{');
	json_put_key(&b, "health");
	core_health(a->core, "online", pool.len ? pool.data : NULL, &b);
	json_put_key(&b, "own");
	put_own(&b, a);
	json_put_key(&b, "times");
	json_put_open(&b, '{');
	put_times(&b, "commits", &a->metrics.commits);
	put_times(&b, "turns", &a->metrics.turns);
	put_times(&b, "attempts", &a->metrics.attempts);
	put_times(&b, "tasks", core_task_times(a->core));
	put_times(&b, "http", http_times(a));
	json_put_close(&b, '}');
	json_put_close(&b, '}');
	http_call_answer(a, call, b.data, b.len);
	buf_free(&b);
	buf_free(&pool);
}

/* ---- in a connection's thread: the text ---- */

struct writer {
	struct buf *b;
	bool open;                      /* OpenMetrics; else Prometheus' own text, whose counters are called _total */
	const cJSON *health, *own, *times, *bridge;
};

static void
put_head(struct writer *w, const struct metric *m)
{
	const char *end = !w->open && m->kind == COUNTER ? "_total" : !w->open && m->kind == INFO ? "_info" : "";

	buf_addf(w->b, "# TYPE %s%s %s\n", m->name, end, !w->open && m->kind == INFO ? "gauge" : kinds[m->kind]);
	if (w->open && m->unit)
		buf_addf(w->b, "# UNIT %s %s\n", m->name, m->unit);
	buf_addf(w->b, "# HELP %s%s %s\n", m->name, end, m->help);
}

static const cJSON *
look_up(const cJSON *o, const char *path)
{
	char name[48];
	size_t n;

	for (; o && *path; path += n + (path[n] == '.')) {
		n = strcspn(path, ".");
		snprintf(name, sizeof name, "%.*s", (int)n, path);
		o = cJSON_GetObjectItemCaseSensitive(o, name);
	}
	return o;
}

static void
put_value(struct writer *w, const struct metric *m, const cJSON *v, const char *house)
{
	const char *comma = house && m->label ? "," : "";

	if (!cJSON_IsNumber(v) && !cJSON_IsBool(v))
		return;
	buf_addf(w->b, "%s%s", m->name, m->kind == COUNTER ? "_total" : "");
	if (house || m->label)
		buf_addc(w->b, '{');
	if (house)
		buf_addf(w->b, "house=\"%s\"", house);
	if (m->label)
		buf_addf(w->b, "%s%s=\"%s\"", comma, m->label, m->value);
	if (house || m->label)
		buf_addc(w->b, '}');
	buf_addf(w->b, " %.15g\n", cJSON_IsBool(v) ? cJSON_IsTrue(v) : v->valuedouble * (m->scale > 0 ? m->scale : 1));
}

/* What an owner says in words or as a list, as a number. */
static void
put_house(struct writer *w, const struct metric *m, const cJSON *house)
{
	const char *name = json_text(house, "house"), *what = m->path + strlen("house.");
	bool owned = strcmp(json_text(house, "role"), "owner") == 0;
	cJSON number = { .type = cJSON_Number };
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(house, what), *list;

	if (strcmp(what, "owned") == 0) {
		number.valuedouble = owned;
		v = &number;
	} else if (strcmp(what, "followers") == 0) {
		list = cJSON_GetObjectItemCaseSensitive(house, "in_step");
		number.valuedouble = cJSON_GetArraySize(list);
		v = list ? &number : NULL;
	} else if (!v && owned && m->kind == COUNTER) {
		v = &number;
	}
	put_value(w, m, v, name);
}

static void
put_histogram(struct writer *w, const struct metric *m)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(w->times, m->path), *v = list ? list->child : NULL;
	double sum = v ? v->valuedouble / 1e6 : 0, n = 0;

	for (int i = 0; v && i <= HISTOGRAM_NENDS; i++) {
		v = v->next;
		n += v ? v->valuedouble : 0;
		if (i < HISTOGRAM_NENDS)
			buf_addf(w->b, "%s_bucket{le=\"%g\"} %.15g\n", m->name, (double)histogram_end_us(i) / 1e6, n);
		else
			buf_addf(w->b, "%s_bucket{le=\"+Inf\"} %.15g\n", m->name, n);
	}
	buf_addf(w->b, "%s_sum %.15g\n%s_count %.15g\n", m->name, sum, m->name, n);
}

static void
put_metric(struct writer *w, const struct metric *m)
{
	const cJSON *h;

	if (m->kind == INFO)
		buf_addf(w->b, "%s_info{agent=\"%s\",version=\"%s\"} 1\n", m->name, json_text(w->health, "agent"),
		    json_text(w->health, "version"));
	else if (m->kind == HISTOGRAM)
		put_histogram(w, m);
	else if (strncmp(m->path, "house.", 6) == 0)
		cJSON_ArrayForEach(h, cJSON_GetObjectItemCaseSensitive(w->health, "houses"))
			put_house(w, m, h);
	else if (strncmp(m->path, "own.", 4) == 0)
		put_value(w, m, look_up(w->own, m->path + 4), NULL);
	else if (strncmp(m->path, "bridge.", 7) == 0)
		put_value(w, m, look_up(w->bridge, m->path + 7), NULL);
	else
		put_value(w, m, look_up(w->health, m->path), NULL);
}

static void
put_all(struct writer *w)
{
	for (size_t i = 0; i < NMETRICS; i++) {
		if (metrics[i].help)
			put_head(w, &metrics[i]);
		put_metric(w, &metrics[i]);
	}
	if (w->open)
		buf_adds(w->b, "# EOF\n");
}

void
metrics_get(const struct http_request *r, struct http_reply *w)
{
	const char *accept = http_header(r, "Accept");
	struct writer x = { .b = &w->body, .open = accept && strstr(accept, OPENMETRICS) };
	struct buf values = { 0 };
	struct err e = { 0 };
	cJSON *tree = NULL, *bridge = NULL;

	if (http_call(r, gather, ASK_MS, &values, &e) || !(tree = json_parse_object(values.data, values.len, &e))) {
		http_fail(w, &e);
		goto out;
	}
	x.health = cJSON_GetObjectItemCaseSensitive(tree, "health");
	x.own = cJSON_GetObjectItemCaseSensitive(tree, "own");
	x.times = cJSON_GetObjectItemCaseSensitive(tree, "times");
	bridge = figures_read(r->a->o.config, r->a->o.id);
	x.bridge = figures_are_fresh(bridge) ? bridge : NULL;
	put_all(&x);
	w->type = x.open ? OPENMETRICS "; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8";
out:
	cJSON_Delete(bridge);
	cJSON_Delete(tree);
	buf_free(&values);
}
