#include "cmd.h"
#include "worker.h"

static int
worker_run(const struct cmd_args *a)
{
	return worker_main(config_path(a->config), cmd_text(a, "agent", ""));
}

static const struct cmd_opt opts[] = {
	{ .name = "agent", .kind = OPT_TEXT, .arg = "ID", .help = "the agent it works for" },
	{ .name = NULL },
};

const struct cmd cmd_worker = {
	.name = "worker",
	.help = "Run tools for an agent, over descriptor 3",
	.opts = opts,
	.flags = CMD_HIDDEN,
	.run = worker_run,
};
