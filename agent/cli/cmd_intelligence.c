/*
 * cmd_intelligence.c - intelligence report, show, freeze, reset: what an agent that runs here has learned, and how well it predicts.
 */

#include "ask.h"
#include "cmd.h"
#include "json.h"
#include "remote.h"

#define PLOT_WIDTH 50

#define OPT_AGENT { .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A", .complete = "agents", \
	.help = "which agent (default: the first that runs here)" }

static const struct cmd_opt opts[] = {
	OPT_AGENT,
	{ .name = NULL },
};

static const struct cmd_opt report_opts[] = {
	OPT_AGENT,
	{ .name = "html", .kind = OPT_FLAG, .help = "a page for a browser, on standard output" },
	{ .name = NULL },
};

static int
with_answer(const struct cmd_args *a, const char *what, void (*print)(const struct cmd_args *a, const cJSON *o))
{
	struct config *c = xcalloc(1, sizeof *c);
	struct buf request = { 0 };
	const char *who = NULL;
	struct err e = { 0 };
	int rc = cmd_config(a, c);
	cJSON *o;

	if (rc) {
		free(c);
		return rc;
	}
	json_put_open(&request, '{');
	json_kv_str(&request, "op", "intelligence");
	json_kv_str(&request, "do", what);
	json_put_close(&request, '}');
	o = ask_agent(c, cmd_text(a, "agent", NULL), NULL, &request, &who, &e);
	if (!o)
		rc = cmd_fail(e.code == ERR_NETWORK || e.code == ERR_TIMEOUT ? EXIT_NO_ANSWER : EXIT_USAGE, "%s", e.msg);
	else if (a->json)
		print_pretty(o);
	else
		print(a, o);
	cJSON_Delete(o);
	buf_free(&request);
	config_release(c);
	free(c);
	return rc;
}

static double
number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

/* ---- report ---- */

static const struct {
	const char *key, *name, *skill;
} rows[] = {
	{ "model", "the model", NULL },
	{ "tool", "rate of the tool", "skill_tool" },
	{ "all", "rate of all", "skill_all" },
};

static void
print_scores(const cJSON *o)
{
	static const char *const heads[] = { "", "BRIER", "LOG LOSS", "CALIBRATION ERROR", "MODEL IS BETTER BY", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const cJSON *s = cJSON_GetObjectItemCaseSensitive(o, rows[i].key);

		table_cell(t, "%s", rows[i].name);
		table_cell(t, "%.4f", number(s, "brier"));
		table_cell(t, "%.4f", number(s, "log_loss"));
		table_cell(t, "%.2f %%", 100 * number(s, "ece"));
		if (rows[i].skill)
			table_cell(t, "%.1f %%", 100 * number(o, rows[i].skill));
		else
			table_cell(t, "%s", "");
	}
	table_print(t);
}

/* A line a bin: o where it should have come, * where it came. */
static void
print_bin(const cJSON *v)
{
	int said = (int)(number(v, "said") * PLOT_WIDTH + 0.5), came = (int)(number(v, "came") * PLOT_WIDTH + 0.5);
	long long n = (long long)json_number(v, "predictions", 0);

	printf("%3.0f-%-3.0f |", 100 * number(v, "from"), 100 * number(v, "from") + 100.0 / 10);
	for (int i = 0; i <= PLOT_WIDTH; i++)
		putchar(!n ? ' ' : i == came ? '*' : i == said ? 'o' : ' ');
	if (n)
		printf("| %5.1f  %5.1f  %lld\n", 100 * number(v, "said"), 100 * number(v, "came"), n);
	else
		puts("|");
}

static void
print_text(const cJSON *o)
{
	const cJSON *v, *p95 = cJSON_GetObjectItemCaseSensitive(o, "p95");

	printf("%s has learned from %lld attempts%s%s; %lld of them were predicted before they began\n", json_text(o, "agent"),
	    (long long)json_number(o, "attempts", 0), *json_text(o, "since") ? " since " : "", json_text(o, "since"),
	    (long long)json_number(o, "predictions", 0));
	if (!json_number(o, "predictions", 0))
		return;
	putchar('\n');
	print_scores(o);
	printf("\nThe limit that 95 of 100 should keep to was kept to by %.1f of 100 (%lld attempts)\n", 100 * number(p95, "covered"),
	    (long long)json_number(p95, "predictions", 0));
	printf("\nWhat was said, and what came of it (o said, * came)\n%% said  0%*s100    said   came  predictions\n", PLOT_WIDTH - 1, "");
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "calibration"))
		print_bin(v);
}

static void
print_html_bin(const cJSON *v)
{
	double said = number(v, "said") * 300, came = number(v, "came") * 300;
	long long n = (long long)json_number(v, "predictions", 0);

	if (n)
		printf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\"><title>said %.1f %%, came %.1f %%, %lld predictions</title></circle>\n",
		    said, 300 - came, said / 3, came / 3, n);
}

static void
print_html(const cJSON *o)
{
	const cJSON *v, *p95 = cJSON_GetObjectItemCaseSensitive(o, "p95");

	printf("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Predictions of %s</title>\n"
	    "<style>body{font:16px sans-serif;margin:2em;max-width:45em}td,th{padding:.2em 1em;text-align:right}"
	    "svg{overflow:visible;margin:2em}circle{fill:#06c}line,rect{stroke:#999;fill:none}</style>\n"
	    "<h1>Predictions of %s</h1>\n<p>%lld attempts learned%s%s, %lld predicted before they began.</p>\n"
	    "<table><tr><th></th><th>Brier</th><th>log loss</th><th>calibration error</th><th>model is better by</th></tr>\n",
	    json_text(o, "agent"), json_text(o, "agent"), (long long)json_number(o, "attempts", 0),
	    *json_text(o, "since") ? " since " : "", json_text(o, "since"), (long long)json_number(o, "predictions", 0));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const cJSON *s = cJSON_GetObjectItemCaseSensitive(o, rows[i].key);

		printf("<tr><th>%s</th><td>%.4f</td><td>%.4f</td><td>%.2f %%</td><td>", rows[i].name, number(s, "brier"),
		    number(s, "log_loss"), 100 * number(s, "ece"));
		if (rows[i].skill)
			printf("%.1f %%", 100 * number(o, rows[i].skill));
		puts("</td></tr>");
	}
	printf("</table>\n<p>The limit that 95 of 100 should keep to was kept to by %.1f of 100 (%lld attempts).</p>\n"
	    "<svg width=\"300\" height=\"300\"><rect width=\"300\" height=\"300\"/><line x1=\"0\" y1=\"300\" x2=\"300\" y2=\"0\"/>\n",
	    100 * number(p95, "covered"), (long long)json_number(p95, "predictions", 0));
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "calibration"))
		print_html_bin(v);
	puts("<text x=\"150\" y=\"325\" text-anchor=\"middle\">said</text><text x=\"-30\" y=\"150\">came</text></svg></html>");
}

static void
print_report(const struct cmd_args *a, const cJSON *o)
{
	(cmd_flag(a, "html") ? print_html : print_text)(o);
}

static int
report_run(const struct cmd_args *a)
{
	return with_answer(a, "report", print_report);
}

const struct cmd cmd_intelligence_report = {
	.name = "intelligence report",
	.help = "How good an agent's predictions were, beside two simpler ones",
	.more = "Of all predictions that were made before an attempt began and whose attempt has ended: Brier score and log loss (less is\n"
	        "better), the calibration error, and a plot of it. They are compared with the rate of all tasks and with that of each\n"
	        "tool. Every agent predicts, and judges, what it gives out as the owner of a house.",
	.opts = report_opts,
	.flags = CMD_JSON,
	.run = report_run,
};

/* ---- show, freeze, reset ---- */

static void
print_attempt(const cJSON *v)
{
	printf("%s in %s, at %s: ", json_text(v, "tool"), json_text(v, "house"), json_text(v, "agent"));
	if (json_number(v, "timeout_s", 0))
		printf("a limit of %lld s, for 95 of 100 were expected to end within %.1f s; ", (long long)json_number(v, "timeout_s", 0),
		    number(v, "p95_ms") / 1000);
	if (*json_text(v, "instead_of"))
		printf("not at %s, which would have had it, by a draw of the chances; ", json_text(v, "instead_of"));
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(v, "gave_up")))
		printf("not tried again, for that would fail as well; ");
	printf("%.0f of 100 were expected to succeed, it has%s\n", 100 * number(v, "expected"),
	    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(v, "succeeded")) ? "" : " not");
}

static void
print_house(const cJSON *v)
{
	printf("%s to house %s, not to %s, which would have had it, by a draw of the chances; %.0f of 100 were expected to succeed there\n",
	    json_text(v, "tool"), json_text(v, "house"), json_text(v, "instead_of"), 100 * number(v, "expected"));
}

static void
print_breaker(const cJSON *v)
{
	printf("%s in %s, at %s: its breaker waits for %lld failures in a row, for fewer come by chance\n", json_text(v, "tool"),
	    json_text(v, "house"), json_text(v, "agent"), (long long)json_number(v, "failures", 0));
}

static void
print_adapted(const cJSON *v)
{
	printf("  %s  ", json_text(v, "time"));
	if (strcmp(json_text(v, "what"), "house") == 0)
		print_house(v);
	else if (strcmp(json_text(v, "what"), "breaker") == 0)
		print_breaker(v);
	else
		print_attempt(v);
}

static void
print_state(const struct cmd_args *a, const cJSON *o)
{
	bool frozen = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "frozen"));
	const cJSON *v;

	(void)a;
	printf("%s has learned from %lld attempts%s%s\n", json_text(o, "agent"), (long long)json_number(o, "attempts", 0),
	    *json_text(o, "since") ? " since " : "", json_text(o, "since"));
	printf("  remembers   at most %lld attempts\n", (long long)json_number(o, "kept_at_most", 0));
	printf("  model       %lld of %lld cells are in use\n", (long long)json_number(o, "cells", 0),
	    (long long)json_number(o, "cells_at_most", 0));
	printf("  adapts      %s\n", frozen ? "nothing: it is frozen" : "tasks in mode intelligent");
	printf("  has adapted %lld times%s\n", (long long)json_number(o, "adapted_count", 0),
	    json_number(o, "adapted_count", 0) ? ", these last:" : "");
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "adapted"))
		print_adapted(v);
}

static int
show_run(const struct cmd_args *a)
{
	return with_answer(a, "show", print_state);
}

static void
print_reset(const struct cmd_args *a, const cJSON *o)
{
	(void)a;
	printf("%s has forgotten what it had learned\n", json_text(o, "agent"));
}

static int
reset_run(const struct cmd_args *a)
{
	return with_answer(a, "reset", print_reset);
}

static int
freeze_run(const struct cmd_args *a)
{
	return with_answer(a, "freeze", print_state);
}

static int
thaw_run(const struct cmd_args *a)
{
	return with_answer(a, "thaw", print_state);
}

const struct cmd cmd_intelligence_freeze = {
	.name = "intelligence freeze",
	.help = "Let an agent adapt nothing for now",
	.more = "Tasks in mode intelligent run as simple ones do, until `intelligence thaw`, also after a restart. The agent goes on learning and\n"
	        "predicting. What counts is the agent that owns the house.",
	.opts = opts,
	.flags = CMD_JSON,
	.run = freeze_run,
};

const struct cmd cmd_intelligence_thaw = {
	.name = "intelligence thaw",
	.help = "Let an agent adapt again",
	.opts = opts,
	.flags = CMD_JSON,
	.run = thaw_run,
};

const struct cmd cmd_intelligence_show = {
	.name = "intelligence show",
	.help = "What an agent has learned, and what it has adapted by that and why",
	.opts = opts,
	.flags = CMD_JSON,
	.run = show_run,
};

const struct cmd cmd_intelligence_reset = {
	.name = "intelligence reset",
	.help = "Let an agent forget what it has learned",
	.more = "Its pattern database is emptied and its model begins anew. Other agents keep what they have learned.",
	.opts = opts,
	.flags = CMD_JSON,
	.run = reset_run,
};
