#include <string.h>

#include "batch.h"
#include "json.h"
#include "params.h"
#include "submit.h"
#include "tool.h"

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses",
	  .help = "the house to do it; default: the router chooses" },
	{ .name = "mode", .letter = 'm', .kind = OPT_TEXT, .arg = "M", .complete = "simple intelligent sovereign",
	  .help = "simple (default), intelligent or sovereign" },
	{ .name = "wait", .letter = 'w', .kind = OPT_FLAG,
	  .help = "wait for the outcome and print the result" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 604800,
	  .help = "wait at most so many seconds (default 5 for accepted, 3600 for the outcome)" },
	{ .name = "id", .kind = OPT_TEXT, .arg = "ULID",
	  .help = "the task's id, to submit the same one again safely" },
	{ .name = "key", .letter = 'k', .kind = OPT_TEXT, .arg = "K",
	  .help = "idempotency key: the same key is the same task for a day" },
	{ .name = "priority", .letter = 'p', .kind = OPT_INT, .arg = "N", .min = 0, .max = 9,
	  .help = "0 to 9, 9 first (default 4)" },
	{ .name = "timeout", .letter = 't', .kind = OPT_INT, .arg = "S", .min = 1, .max = 604800,
	  .help = "seconds that one attempt may take (default: the tool's)" },
	{ .name = "retries", .kind = OPT_INT, .arg = "N", .min = 1, .max = 100,
	  .help = "give it up when so many attempts have failed (default 1)" },
	{ .name = "not-before", .kind = OPT_TEXT, .arg = "TIME",
	  .help = "start it then at the earliest, RFC 3339" },
	{ .name = "after", .letter = 'a', .kind = OPT_TEXT, .arg = "ID,...",
	  .help = "start it when these tasks of its house have ended" },
	{ .name = "after-failed", .kind = OPT_TEXT, .arg = "W", .complete = "cancel run",
	  .help = "if one of them failed: cancel it (default) or run it all the same" },
	{ .name = "deadline", .kind = OPT_TEXT, .arg = "TIME", .help = "do not start it later, RFC 3339" },
	{ .name = "traceparent", .kind = OPT_TEXT, .arg = "T",
	  .help = "the W3C trace that it belongs to (default: $TRACEPARENT, else a new one)" },
	{ .name = "batch", .letter = 'b', .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
	  .help = "the tasks of this file, one JSON object a line, instead of TOOL" },
	{ .name = "window", .kind = OPT_INT, .arg = "N", .min = 1, .max = BATCH_WINDOW_MAX,
	  .help = "of a batch: so many tasks are out at a time (default 256)" },
	{ .name = NULL },
};

/* Between commas; whether they are ids is the agent's to say. */
static void
put_after(struct buf *b, const char *list)
{
	if (!list)
		return;
	json_put_key(b, "after");
	json_put_open(b, '[');
	while (*list) {
		size_t len = strcspn(list, ", ");

		if (len)
			json_put_strn(b, list, len);
		list += len + (list[len] != '\0');
	}
	json_put_close(b, ']');
}

static void
put_options(struct buf *b, const struct cmd_args *a)
{
	static const struct {
		const char *opt, *member;
	} texts[] = { { "mode", "mode" }, { "key", "key" }, { "not-before", "not_before" }, { "deadline", "deadline" },
		{ "after-failed", "after_failed" } };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (cmd_text(a, texts[i].opt, NULL))
			json_kv_str(b, texts[i].member, cmd_text(a, texts[i].opt, NULL));
	submit_put_trace(b, cmd_text(a, "traceparent", NULL));
	put_after(b, cmd_text(a, "after", NULL));
	submit_put_limits(b, a);
}

/* The tool's schema is used when this machine knows the tool; whether it all fits is the agent's to say. */
static int
make_task(struct submit *s, struct buf *b)
{
	const struct cmd_args *a = s->a;
	struct registry *tools = registry_new(&s->r.config, cmd_warn, NULL);
	const struct tool *t = registry_find(tools, a->argv[0]);
	struct err e;
	cJSON *params = params_read(a->argc - 1, a->argv + 1, t ? t->schema : NULL, &e);

	if (params) {
		json_put_open(b, '{');
		json_kv_str(b, "tool", a->argv[0]);
		json_put_key(b, "params");
		json_put_tree(b, params);
		put_options(b, a);
		json_put_close(b, '}');
	}
	registry_free(tools);
	cJSON_Delete(params);
	return params ? 0 : cmd_fail(EXIT_USAGE, "%s", e.msg);
}

static int
choose_id(struct submit *s)
{
	const char *text = cmd_text(s->a, "id", NULL);

	if (!text)
		ulid_now(&s->id);
	else if (!ulid_parse(text, &s->id))
		return cmd_fail(EXIT_USAGE, "--id: expected a ULID (26 characters), got \"%s\"; for a name of your own use --key", text);
	return 0;
}

static int
submit_in(struct submit *s, struct buf *b)
{
	const char *house = cmd_text(s->a, "house", "_");
	int rc;

	if ((rc = remote_check_house(&s->r, house)) || (rc = choose_id(s)) || (rc = make_task(s, b)))
		return rc;
	return submit_give(s, house, b->data, b->len);
}

static int
submit_run(const struct cmd_args *a)
{
	struct submit s = { .a = a, .wait = cmd_flag(a, "wait"), .within_ms = cmd_int(a, "within", 0) * 1000,
		.sovereign = strcmp(cmd_text(a, "mode", ""), "sovereign") == 0 };
	struct buf b = { 0 };
	int rc;

	if (cmd_text(a, "batch", NULL))
		return a->argc ? cmd_fail(EXIT_USAGE, "--batch: the tasks are in the file; expected no TOOL, got \"%s\"", a->argv[0]) :
		    batch_run(a, cmd_text(a, "batch", NULL));
	if (!a->argc)
		return cmd_fail(EXIT_USAGE, "submit: expected TOOL, or --batch FILE");
	if ((rc = submit_open(&s)))
		return rc;
	rc = submit_in(&s, &b);
	buf_free(&b);
	remote_close(&s.r);
	return rc;
}

const struct cmd cmd_submit = {
	.name = "submit",
	.args = "TOOL [KEY=VALUE...] | --batch FILE",
	.help = "Give a task to a house",
	.more = "Without --wait it returns once the house has the task on its disk (accepted). When no house answers in\n"
	        "time the task stays in the local outbox (exit code 4) and goes out later. A house that is busy says when\n"
	        "to ask again, and is asked if that is within the time (--within, with --wait an hour); else the task is\n"
	        "rejected (exit code 3).\n\n"
	        "  uni-wizard submit git_status repo_path=/srv/site --house ezra --wait\n"
	        "  uni-wizard submit file_write path=/srv/site/a.txt content=@a.txt --key a-1\n\n"
	        "With --batch FILE each line is a task such as {\"tool\":\"noop\",\"house\":\"ezra\"}. How far it is stands in\n"
	        "FILE.progress: the same command goes on where it was, and no task is given twice. --wait waits for all\n"
	        "outcomes, --within for so long without an answer.\n\n"
	        "  uni-wizard submit --batch tasks.jsonl --house ezra --wait",
	.opts = opts,
	.min_args = 0,
	.max_args = -1,
	.flags = CMD_JSON,
	.complete = "call",
	.run = submit_run,
};
