#include "cmd.h"
#include "nearest.h"
#include "sandbox.h"
#include "tool.h"

static void
print_parameter(const cJSON *p, bool required)
{
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(p, "type");
	const cJSON *help = cJSON_GetObjectItemCaseSensitive(p, "description");
	const cJSON *def = cJSON_GetObjectItemCaseSensitive(p, "default");
	struct buf b = { 0 };

	if (def)
		json_put_tree(&b, def);
	printf("  %-16s %s%s%s%s%s%s\n", p->string, cJSON_IsString(type) ? type->valuestring : "any",
	    required ? ", required" : "", def ? ", default " : "", def ? buf_str(&b) : "",
	    cJSON_IsString(help) ? ": " : "", cJSON_IsString(help) ? help->valuestring : "");
	buf_free(&b);
}

static bool
is_required(const cJSON *schema, const char *name)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(schema, "required"))
		if (cJSON_IsString(v) && strcmp(v->valuestring, name) == 0)
			return true;
	return false;
}

/* What a worker would have around it on this host. */
static void
print_sandbox(const struct config *c)
{
	unsigned walls = sandbox_offers(c), landlock = walls >> SANDBOX_LANDLOCK & 255;

	printf("  sandbox: %s%s", walls & SANDBOX_NO_NEW_PRIVS ? "no new privileges, " : "",
	    walls & SANDBOX_SECCOMP ? "seccomp, " : "");
	if (landlock)
		printf("Landlock %u, ", landlock);
	else
		printf("no Landlock on this host, ");
	printf("user %s\n", walls & SANDBOX_USER ? c->worker_user : "of the agent");
}

static void
print_promises(const struct tool *t)
{
	if (t->effect == TOOL_READ)
		return;
	printf("  %s, %s\n", t->plan ? "says beforehand what it would touch" :
	    "does not say what it would touch: needs approval wherever anything is production",
	    t->prove ? "proves its success" : "has no proof");
}

static void
print_text(const struct tool *t, const struct config *c)
{
	cJSON *schema = json_parse(t->schema, strlen(t->schema), NULL);
	const cJSON *p, *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");

	printf("%s: %s\n  effect %s, timeout %ds\n", t->name, t->summary, tool_effect_name(t->effect),
	    t->timeout_s);
	print_promises(t);
	print_sandbox(c);
	if (cJSON_GetArraySize(properties))
		printf("\nParameters\n");
	cJSON_ArrayForEach(p, properties)
		print_parameter(p, is_required(schema, p->string));
	cJSON_Delete(schema);
}

static void
print_json(const struct tool *t, const struct config *c)
{
	struct buf b = { 0 };

	tool_put(&b, t);
	buf_cut(&b, b.len - 1);
	json_put_key(&b, "sandbox");
	sandbox_put(&b, sandbox_offers(c));
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

static int
fail_unknown(const struct registry *r, const char *name)
{
	struct nearest near = { .word = name };
	const char *best;

	for (size_t i = 0; i < registry_count(r); i++)
		nearest_try(&near, registry_at(r, i)->name);
	best = nearest_word(&near);
	return cmd_fail(EXIT_NOT_SUCCEEDED, "no such tool: %.60s%s%s%s", name, best ? "; did you mean " : "",
	    best ? best : "", best ? "?" : "");
}

static int
tool_show_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	int rc = cmd_config_or_default(a, c);

	if (!rc) {
		struct registry *r = registry_new(c, cmd_warn, NULL);
		const struct tool *t = registry_find(r, a->argv[0]);

		if (t)
			(a->json ? print_json : print_text)(t, c);
		else
			rc = fail_unknown(r, a->argv[0]);
		registry_free(r);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_tool_show = {
	.name = "tool show",
	.args = "TOOL",
	.help = "Show one tool: effect, timeout and parameters",
	.more = "With --json the parameters are a JSON Schema.",
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "tools",
	.run = tool_show_run,
};
