#include "bridge.h"
#include "buf.h"
#include "cmd.h"
#include "log.h"
#include "sandbox.h"

static int
run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	const char *id = cmd_text(a, "agent", NULL);
	int rc;

	if (!id) {
		rc = cmd_fail(EXIT_USAGE, "--agent: expected the name of the agent that keeps it");
	} else if ((rc = cmd_config(a, c)) == 0) {
		log_init(NULL, (enum log_level)log_level_find(c->log_level));
		log_as_json(strcmp(c->log_format, "json") == 0);
		sandbox_hide();
		rc = c->bridge.repos.n ? bridge_run(c, id) : cmd_fail(EXIT_USAGE, "%s: bridge.repos: expected repositories, got none", c->path);
		config_release(c);
	}
	free(c);
	return rc;
}

static const struct cmd_opt opts[] = {
	{ .name = "agent", .kind = OPT_TEXT, .arg = "ID", .help = "the agent that keeps it" },
	{ .name = NULL },
};

const struct cmd cmd_bridge = {
	.name = "bridge",
	.help = "Watch Gitea for the agent that owns the house; ends with its standard input",
	.opts = opts,
	.flags = CMD_HIDDEN,
	.run = run,
};
