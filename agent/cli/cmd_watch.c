#include <signal.h>
#include <string.h>

#include "json.h"
#include "remote.h"

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "only this house's events", .complete = "houses" },
	{ .name = "task", .kind = OPT_TEXT, .arg = "ID", .help = "only this task's; ends when it ends" },
	{ .name = "agent", .kind = OPT_TEXT, .arg = "A", .help = "only what this agent tells", .complete = "agents" },
	{ .name = "type", .kind = OPT_TEXT, .arg = "T,...", .help = "only these types of events, such as outcome or accepted,started" },
	{ .name = "count", .letter = 'n', .kind = OPT_INT, .arg = "N", .min = 1, .max = INT32_MAX,
	  .help = "end after N events" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 604800,
	  .help = "end after S seconds" },
	{ .name = NULL },
};

struct watch {
	const struct cmd_args *a;
	struct remote r;
	const char *task, *types;       /* NULL: all */
	int64_t left;
	bool done;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

/* What is worth a look in one line: state and why, or what is asked for. */
static void
print_details(const cJSON *o)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error"), *task = cJSON_GetObjectItemCaseSensitive(o, "task");
	const cJSON *ms = cJSON_GetObjectItemCaseSensitive(o, "run_ms");
	const char *tool = json_text(task ? task : o, "tool"), *state = json_text(o, "state");

	if (tool[0])
		printf(" %s", tool);
	if (task && cJSON_GetObjectItemCaseSensitive(task, "params")) {
		char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(task, "params"));

		printf(" %.100s%s", text, strlen(text) > 100 ? "..." : "");
		cJSON_free(text);
	}
	if (state[0])
		printf(" %s%s%s", cmd_color(1, state_color(state)), state, cmd_color(1, "reset"));
	if (ms)
		printf(" in %.1f ms", ms->valuedouble);
	if (cJSON_HasObjectItem(o, "percent"))
		printf(" %d %%", (int)json_number(o, "percent", 0));
	if (json_text(o, "note")[0])
		printf(" %s", json_text(o, "note"));
	if (json_text(o, "to")[0])
		printf(" to %s (%s)", json_text(o, "to"), json_text(o, "why"));
	if (e)
		printf(": %s", json_text(e, "message"));
}

static void
print_event(const char *house, const cJSON *o)
{
	const char *time = json_text(o, "time");

	printf("%s%.*s%s %-8s %-9s %s", cmd_color(1, "dim"), (int)(strlen(time) > 11 ? 12 : 0),
	    strlen(time) > 11 ? time + 11 : "", cmd_color(1, "reset"), house, json_text(o, "type"), json_text(o, "id"));
	print_details(o);
	putchar('\n');
}

/* Whether it stands in the list, between commas. */
static bool
is_wanted(const char *types, const char *type)
{
	size_t n = strlen(type);

	for (const char *p = types; p && *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
		if (strcspn(p, ",") == n && memcmp(p, type, n) == 0)
			return true;
	return !types;
}

static void
show_event(struct watch *w, const struct topic *t, const cJSON *o, const char *line, size_t len)
{
	if (w->a->json && cJSON_HasObjectItem(o, "house"))
		printf("%.*s\n", (int)len, line);
	else if (w->a->json)
		printf("{\"house\":\"%s\",%.*s\n", t->name, (int)len - 1, line + 1);
	else
		print_event(t->name, o);
	fflush(stdout);
	if (t->kind == TOPIC_EVENT && w->left && --w->left == 0)
		w->done = true;
}

static void
take_event(struct watch *w, const struct topic *t, const char *line, size_t len)
{
	cJSON *o = json_parse_object(line, len, NULL);

	/* Output is what `logs` prints. */
	if (t->kind == TOPIC_LOG && strcmp(json_text(o, "type"), "progress") != 0) {
		cJSON_Delete(o);
		return;
	}

	if (o && (!w->task || strcmp(json_text(o, "id"), w->task) == 0)) {
		if (is_wanted(w->types, json_text(o, "type")))
			show_event(w, t, o, line, len);
		if (w->task && strcmp(json_text(o, "type"), "outcome") == 0)
			w->done = true;
	}
	cJSON_Delete(o);
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct watch *w = arg;
	const char *p = payload, *end = payload + len;
	struct topic t;

	if (topic_parse(topic, w->r.config.cluster, &t, NULL))
		return;
	while (p < end && !w->done) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);

		if (n)
			take_event(w, &t, p, n);
		p += n + 1;
	}
}

static int
follow(struct watch *w)
{
	int64_t within = cmd_int(w->a, "within", 0);
	bool was_up = false;
	int rc = EXIT_NO_ANSWER;

	for (int64_t ms = 0; rc == EXIT_NO_ANSWER && !interrupted && (!within || ms < within * 1000); ms += 250) {
		rc = remote_wait(&w->r, &w->done, 250);
		if (client_is_up(w->r.client) != was_up) {
			was_up = !was_up;
			fprintf(stderr, "uni-wizard: %s%s\n", was_up ? "connected; waiting for events" : "connection lost: ",
			    was_up ? "" : client_why_down(w->r.client));
		}
	}
	return rc == EXIT_NO_ANSWER ? EXIT_OK : rc;
}

static int
watch_run(const struct cmd_args *a)
{
	struct watch w = { .a = a, .task = cmd_text(a, "task", NULL), .types = cmd_text(a, "type", NULL),
		.left = cmd_int(a, "count", 0) };
	static const enum topic_kind kinds[] = { TOPIC_EVENT, TOPIC_LOG };
	char filter[TOPIC_MAX];
	struct err e;
	int rc = remote_open(&w.r, a, NULL, on_message, &w);

	if (rc)
		return rc;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	for (int i = 0; i < 2 && !rc; i++) {
		topic_format(filter, w.r.config.cluster, kinds[i], cmd_text(a, "house", "+"), cmd_text(a, "agent", "+"));
		rc = client_subscribe(w.r.client, filter, &e) ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg) : 0;
	}
	rc = rc ? rc : follow(&w);
	remote_close(&w.r);
	return rc;
}

const struct cmd cmd_watch = {
	.name = "watch",
	.help = "Print what happens, one line each, as it happens",
	.opts = opts,
	.flags = CMD_JSON,
	.run = watch_run,
};
