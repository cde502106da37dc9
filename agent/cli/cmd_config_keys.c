#include "buf.h"
#include "cmd.h"

static int
config_keys_run(const struct cmd_args *a)
{
	struct buf b = { 0 };

	(void)a;
	config_keys_markdown(&b);
	fputs(buf_str(&b), stdout);
	buf_free(&b);
	return EXIT_OK;
}

const struct cmd cmd_config_keys = {
	.name = "config keys",
	.help = "Print every key of houses.yaml as a Markdown table",
	.flags = CMD_NO_CONFIG,
	.run = config_keys_run,
};
