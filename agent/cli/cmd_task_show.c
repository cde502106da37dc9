#include "lookup.h"
#include "remote.h"

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "ask only this house", .complete = "houses" },
	{ .name = NULL },
};

static int
show_run(const struct cmd_args *a)
{
	cJSON *found;
	int rc = lookup_task(a, a->argv[0], cmd_text(a, "house", NULL), &found);
	char *text;

	if (rc)
		return rc;
	if (a->json) {
		text = cJSON_PrintUnformatted(found);
		puts(text);
		cJSON_free(text);
	} else {
		cJSON_DeleteItemFromObjectCaseSensitive(found, "type");
		print_pretty(found);
	}
	cJSON_Delete(found);
	return EXIT_OK;
}

const struct cmd cmd_task_show = {
	.name = "task show",
	.args = "ID",
	.help = "Show a task: state, times, result or error",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = show_run,
};
