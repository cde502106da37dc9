#include "cmd.h"
#include "tool.h"

static void
print_json(const struct registry *r)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (size_t i = 0; i < registry_count(r); i++)
		tool_put(&b, registry_at(r, i));
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
print_text(const struct registry *r)
{
	static const char *const heads[] = { "TOOL", "EFFECT", "TIMEOUT", "WHAT IT DOES", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < registry_count(r); i++) {
		const struct tool *tool = registry_at(r, i);

		table_cell(t, "%s", tool->name);
		table_cell(t, "%s", tool_effect_name(tool->effect));
		table_cell(t, "%ds", tool->timeout_s);
		table_cell(t, "%s", tool->summary);
	}
	table_print(t);
}

static int
tool_list_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	int rc = cmd_config_or_default(a, c);

	if (!rc) {
		struct registry *r = registry_new(c, cmd_warn, NULL);

		(a->json ? print_json : print_text)(r);
		registry_free(r);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_tool_list = {
	.name = "tool list",
	.help = "List the tools: built in, and own ones from the configured directories",
	.more =
	    "The effect says what is repeated after a crash: `read` and `idempotent` tools are, `exclusive`\n"
	    "ones are never started twice without being asked.",
	.flags = CMD_JSON,
	.run = tool_list_run,
};
