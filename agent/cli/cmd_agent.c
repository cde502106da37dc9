#include <limits.h>
#include <string.h>

#include "agent.h"
#include "cmd.h"
#include "log.h"
#include "sandbox.h"

static const struct cmd_opt opts[] = {
	{ .name = "agent", .kind = OPT_TEXT, .arg = "ID",
	  .help = "which agent of the configuration to be, such as ezra-1",
	  .complete = "agents" },
	{ .name = NULL },
};

static enum log_level
level_of(const char *name)
{
	return strcmp(name, "debug") == 0 ? LOG_LEVEL_DEBUG : strcmp(name, "warn") == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
}

static int
agent_cmd_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	const char *id = cmd_text(a, "agent", NULL);
	char exe[PATH_MAX];
	size_t len = sizeof exe;
	struct err e;
	int rc;

	if (!id)
		rc = cmd_fail(EXIT_USAGE, "--agent: expected the agent's name, such as ezra-1");
	else if (uv_exepath(exe, &len))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "cannot find this program's own file");
	else if ((rc = cmd_config(a, c)) == 0) {
		log_init(NULL, level_of(c->log_level));
		sandbox_hide();
		if (agent_run(&(struct agent_opts){ .config = c, .id = id, .exe = exe }, &e))
			rc = cmd_fail(EXIT_NOT_SUCCEEDED, "agent %s: %s", id, e.msg);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_agent = {
	.name = "agent",
	.help = "Run an agent: take its house's tasks from the broker and run them",
	.more = "Runs in the foreground until SIGTERM or SIGINT; SIGHUP connects anew (certificates are read again).\n"
	        "Its database is <state>/<agent>.db, its local socket <run>/<agent>.sock.",
	.opts = opts,
	.run = agent_cmd_run,
};
