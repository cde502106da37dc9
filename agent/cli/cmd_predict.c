#include "ask.h"
#include "cmd.h"
#include "json.h"
#include "params.h"
#include "remote.h"
#include "tool.h"

static const struct cmd_opt opts[] = {
	{ .name = "tool", .kind = OPT_TEXT, .arg = "T", .complete = "tools", .help = "the tool that would run" },
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses", .help = "the house that would run it" },
	{ .name = "agent", .letter = 'a', .kind = OPT_TEXT, .arg = "A", .complete = "agents",
	  .help = "the agent that would run it (default: any of the house)" },
	{ .name = "ask", .kind = OPT_TEXT, .arg = "A", .complete = "agents",
	  .help = "whose experience counts (default: the first agent that runs here, of that house if there is one)" },
	{ .name = NULL },
};

static double
percent(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? v->valuedouble * 100 : 0;
}

static void
print_ms(double ms)
{
	if (ms < 1000)
		printf("%.*f ms", ms < 1 ? 2 : ms < 10 ? 1 : 0, ms);
	else
		printf("%.*f s", ms < 10000 ? 1 : 0, ms / 1000);
}

static void
print_duration(const cJSON *o)
{
	const cJSON *median = cJSON_GetObjectItemCaseSensitive(o, "median_ms"), *p95 = cJSON_GetObjectItemCaseSensitive(o, "p95_ms");

	if (!cJSON_IsNumber(median) || !cJSON_IsNumber(p95))
		return;
	fputs("  takes       half of them end within ", stdout);
	print_ms(median->valuedouble);
	fputs(", 95 of 100 within ", stdout);
	print_ms(p95->valuedouble);
	putchar('\n');
}

static void
print_levels(const cJSON *o)
{
	const cJSON *v;
	const char *head = "seen";

	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "levels")) {
		printf("  %-11s %s: %.0f %%, having seen %lld\n", head, json_text(v, "name"), percent(v, "success"),
		    (long long)json_number(v, "attempts", 0));
		head = "";
	}
}

static void
print_text(const cJSON *o, const char *who)
{
	const char *agent = json_text(o, "agent");

	printf("%s in house %s%s%s: %.0f of 100 succeed (%.0f to %.0f)\n", json_text(o, "tool"), json_text(o, "house"),
	    *agent ? ", by " : "", agent, percent(o, "success"), percent(o, "low"), percent(o, "high"));
	if (!json_number(o, "of_tool", 0))
		printf("  evidence    none: %s has not seen this tool yet, and says what tools come to as a rule\n", who);
	else
		printf("  evidence    what counts as %lld attempts, %lld of this tool, by what %s has seen\n",
		    (long long)json_number(o, "attempts", 0), (long long)json_number(o, "of_tool", 0), who);
	print_duration(o);
	if (*json_text(o, "fails_by"))
		printf("  if it fails %s, in %.0f of 100 cases\n", json_text(o, "fails_by"), percent(o, "fails_by_share"));
	print_levels(o);
}

static int
make_request(const struct cmd_args *a, const struct config *c, struct buf *b)
{
	struct registry *tools = registry_new(c, cmd_warn, NULL);
	const char *tool = cmd_text(a, "tool", NULL), *agent = cmd_text(a, "agent", NULL);
	const struct tool *t = registry_find(tools, tool);
	struct err e;
	cJSON *params = params_read(a->argc, a->argv, t ? t->schema : NULL, &e);

	if (params) {
		json_put_open(b, '{');
		json_kv_str(b, "op", "predict");
		json_kv_str(b, "tool", tool);
		json_kv_str(b, "house", cmd_text(a, "house", NULL));
		if (agent)
			json_kv_str(b, "agent", agent);
		json_put_key(b, "params");
		json_put_tree(b, params);
		json_put_close(b, '}');
	}
	registry_free(tools);
	cJSON_Delete(params);
	return params ? 0 : cmd_fail(EXIT_USAGE, "%s", e.msg);
}

static int
ask(const struct cmd_args *a, const struct config *c, const struct buf *request)
{
	const char *who = NULL;
	struct err e = { 0 };
	cJSON *o = ask_agent(c, cmd_text(a, "ask", NULL), cmd_text(a, "house", NULL), request, &who, &e);

	if (!o)
		return cmd_fail(e.code == ERR_NETWORK || e.code == ERR_TIMEOUT ? EXIT_NO_ANSWER : EXIT_USAGE, "%s", e.msg);
	if (a->json)
		print_pretty(o);
	else
		print_text(o, who);
	cJSON_Delete(o);
	return EXIT_OK;
}

static int
predict_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	struct buf request = { 0 };
	int rc = EXIT_USAGE;

	if (!cmd_text(a, "tool", NULL) || !cmd_text(a, "house", NULL))
		cmd_fail(rc, "--%s: expected it", cmd_text(a, "tool", NULL) ? "house" : "tool");
	else if (!(rc = cmd_config(a, c))) {
		rc = make_request(a, c, &request);
		if (!rc)
			rc = ask(a, c, &request);
		config_release(c);
	}
	buf_free(&request);
	free(c);
	return rc;
}

const struct cmd cmd_predict = {
	.name = "predict",
	.args = "[key=value...]",
	.help = "What would become of a task, by what an agent here has seen",
	.more = "Parameters as for `submit`: their names and sizes count, what they hold does not. The chance of success with an interval\n"
	        "that holds it in 95 of 100 cases, how long it takes, how it fails if it does, and step by step what that rests on:\n"
	        "each level corrects the one before it. docs/intelligence.md says how.",
	.opts = opts,
	.max_args = -1,
	.flags = CMD_JSON,
	.run = predict_run,
};
