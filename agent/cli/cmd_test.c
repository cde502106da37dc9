#include <uv.h>

#include "cmd.h"
#include "json.h"
#include "params.h"
#include "remote.h"
#include "tool.h"
#include "uni_wizard.h"

static const struct cmd_opt opts[] = {
	{ .name = "house",
	    .letter = 'H',
	    .kind = OPT_TEXT,
	    .arg = "H",
	    .complete = "houses",
	    .help = "the house whose policy counts" },
	{ .name = "tool",
	    .letter = 'T',
	    .kind = OPT_TEXT,
	    .arg = "T",
	    .complete = "tools",
	    .help = "the tool to run" },
	{ .name = "mode",
	    .letter = 'm',
	    .kind = OPT_TEXT,
	    .arg = "M",
	    .complete = "simple intelligent sovereign",
	    .help = "simple (default), intelligent or sovereign" },
	{ .name = "where",
	    .kind = OPT_TEXT,
	    .arg = "W",
	    .complete = "here agent anywhere",
	    .help = "here (default): without agent or broker; agent: at a local one; anywhere" },
	{ .name = "timeout",
	    .letter = 't',
	    .kind = OPT_INT,
	    .arg = "S",
	    .min = 1,
	    .max = 604800,
	    .help = "seconds that the tool may take (default: the tool's)" },
	{ .name = "within",
	    .kind = OPT_INT,
	    .arg = "S",
	    .min = 1,
	    .max = 604800,
	    .help = "wait at most so many seconds for the outcome" },
	{ .name = NULL },
};

static const char *const modes[] = {
	[UW_SIMPLE] = "simple", [UW_INTELLIGENT] = "intelligent", [UW_SOVEREIGN] = "sovereign", NULL,
};
static const char *const places[] = {
	[UW_ANYWHERE] = "anywhere", [UW_HERE] = "here", [UW_AGENT] = "agent", NULL,
};

/* Index of an option's word in a list ended by NULL, -1 after a message. */
static int
word_read(const struct cmd_args *a, const char *opt, const char *const *words, int fallback)
{
	const char *text = cmd_text(a, opt, words[fallback]);

	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	cmd_fail(0, "--%s: expected %s, %s or %s, got %.40s", opt, words[0], words[1], words[2], text);
	return -1;
}

/* `uni-wizard test --tool git_status` is about the repository that one stands in. */
static void
add_repository(cJSON *params, const struct tool *t)
{
	char here[4096];

	if (t && strstr(t->schema, "\"repo_path\"") && !cJSON_HasObjectItem(params, "repo_path") &&
	    getcwd(here, sizeof here))
		cJSON_AddStringToObject(params, "repo_path", here);
}

/* The parameters as JSON text that the caller frees; NULL after a message. */
static char *
params_text(const struct cmd_args *a, const struct config *c, const char *tool)
{
	struct registry *r = registry_new(c, cmd_warn, NULL);
	const struct tool *t = registry_find(r, tool);
	struct err e = { 0 };
	cJSON *params = params_read(a->argc, a->argv, t ? t->schema : NULL, &e);
	struct buf b = { 0 };

	if (params)
		add_repository(params, t);
	if (params)
		json_put_tree(&b, params);
	else
		cmd_fail(0, "%s", e.msg);
	cJSON_Delete(params);
	registry_free(r);
	return params ? buf_take(&b) : NULL;
}

static void
put_error(struct buf *b, const struct uw_error *e)
{
	json_put_key(b, "error");
	json_put_open(b, '{');
	json_kv_str(b, "code", e->code);
	if (e->field[0])
		json_kv_str(b, "field", e->field);
	json_kv_str(b, "message", e->message);
	json_put_close(b, '}');
}

static void
print_json(const char *house, const char *tool, const struct uw_result *r, const struct uw_error *e)
{
	const char *result = r ? uw_result_json(r) : NULL;
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "house", house);
	json_kv_str(&b, "tool", tool);
	json_kv_str(&b, "state", r ? uw_result_state_name(r) : "rejected");
	if (r) {
		json_kv_str(&b, "id", uw_result_id(r));
		json_kv_int(&b, "run_us", uw_result_run_us(r));
	}
	if (result)
		json_kv_raw(&b, "result", result, strlen(result));
	else
		put_error(&b, e);
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
print_text(const char *house, const char *tool, const struct uw_result *r, const struct uw_error *e)
{
	const char *result = r ? uw_result_json(r) : NULL;
	const char *state = r ? uw_result_state_name(r) : "rejected";
	cJSON *tree = result ? json_parse(result, strlen(result), NULL) : NULL;

	fprintf(stderr, "%s for %s: %s%s%s", tool, house, cmd_color(STDERR_FILENO, result ? "green" : "red"),
	    state, cmd_color(STDERR_FILENO, "reset"));
	if (r && uw_result_run_us(r))
		fprintf(stderr, " in %.1f ms", (double)uw_result_run_us(r) / 1000);
	fputc('\n', stderr);
	if (tree)
		print_pretty(tree);
	else if (!result)
		cmd_fail(0, "%s: %s", e->code, e->message);
	cJSON_Delete(tree);
}

static int
exit_code(const struct uw_result *r, const struct uw_error *e)
{
	static const struct {
		const char *code;
		int exit;
	} codes[] = {
		{ "config", EXIT_USAGE }, { "unknown_house", EXIT_USAGE },
		{ "network", EXIT_NO_ANSWER }, { "timeout", EXIT_NO_ANSWER },
	};

	if (r)
		return state_exit(uw_result_state_name(r));
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i].code, e->code) == 0)
			return codes[i].exit;
	return EXIT_REJECTED;
}

static int
execute(const struct cmd_args *a, const struct uw_options *o, enum uw_mode mode, const char *house,
    const char *params)
{
	const char *tool = cmd_text(a, "tool", NULL);
	struct uw_harness *h = NULL;
	struct uw_result *r = NULL;
	struct uw_error e = { .code = "none" };
	int rc;

	if (uw_harness_open_with(house, mode, o, &h, &e) == 0)
		uw_execute(h, tool, params, &r, &e);
	(a->json ? print_json : print_text)(house, tool, r, &e);
	rc = exit_code(r, &e);
	uw_result_free(r);
	uw_harness_close(h);
	return rc;
}

static int
test_run(const struct cmd_args *a)
{
	int mode = word_read(a, "mode", modes, UW_SIMPLE), where = word_read(a, "where", places, UW_HERE);
	struct config *c = xcalloc(1, sizeof *c);
	char exe[4096], *params;
	size_t size = sizeof exe;
	struct uw_options o;
	int rc = EXIT_USAGE;

	if (!cmd_text(a, "tool", NULL))
		cmd_fail(0, "test: --tool T is needed; uni-wizard tool list shows them");
	else if (mode >= 0 && where >= 0 && cmd_config(a, c) == 0) {
		uw_options_init(&o);
		o.where = (enum uw_where)where;
		o.config = c->path;
		o.program = uv_exepath(exe, &size) == 0 ? exe : NULL;
		o.timeout_s = (int)cmd_int(a, "timeout", o.timeout_s);
		if (cmd_int(a, "within", 0))
			o.wait_ms = (int)cmd_int(a, "within", 0) * 1000;
		params = params_text(a, c, cmd_text(a, "tool", NULL));
		if (params)
			rc = execute(
			    a, &o, (enum uw_mode)mode, cmd_text(a, "house", c->houses[0].name), params);
		free(params);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_test = {
	.name = "test",
	.args = "[KEY=VALUE...]",
	.help = "Run one tool here and now under the harness, without agent or broker",
	.more = "KEY=VALUE is read as the tool's schema says; KEY:=JSON takes any value, KEY=@FILE a file.\n"
	        "Without --house it is the first of the configuration.\n\n"
	        "  uni-wizard test --house timmy --tool git_status repo_path=/srv/site",
	.opts = opts,
	.max_args = -1,
	.flags = CMD_JSON,
	.complete = "parameters",
	.run = test_run,
};
