#include <string.h>

#include "json.h"
#include "params.h"
#include "remote.h"
#include "submit.h"
#include "tool.h"

static const struct cmd_opt add_opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses",
	  .help = "the house to do it (required)" },
	{ .name = "cron", .letter = 'c', .kind = OPT_TEXT, .arg = "WHEN",
	  .help = "when: five fields as in crontab, or @daily and the like (required)" },
	{ .name = "zone", .letter = 'z', .kind = OPT_TEXT, .arg = "Z",
	  .help = "the time zone that this is meant in, such as Europe/Berlin (default UTC)" },
	{ .name = "missed", .kind = OPT_TEXT, .arg = "W", .complete = "none last all",
	  .help = "when nobody could run it in time: none, last (default) or all, at most 100" },
	{ .name = "mode", .letter = 'm', .kind = OPT_TEXT, .arg = "M", .complete = "simple intelligent sovereign",
	  .help = "simple (default), intelligent or sovereign" },
	{ .name = "priority", .letter = 'p', .kind = OPT_INT, .arg = "N", .min = 0, .max = 9,
	  .help = "0 to 9, 9 first (default 4)" },
	{ .name = "timeout", .letter = 't', .kind = OPT_INT, .arg = "S", .min = 1, .max = 604800,
	  .help = "seconds that one attempt may take (default: the tool's)" },
	{ .name = "retries", .kind = OPT_INT, .arg = "N", .min = 1, .max = 100,
	  .help = "give it up when so many attempts have failed (default 1)" },
	{ .name = NULL },
};

static const struct cmd_opt set_opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses",
	  .help = "the house whose schedule it is (required)" },
	{ .name = NULL },
};

struct order {
	const struct cmd_args *a;
	struct remote r;
	bool done;
	int rc;
};

static int
exit_of(const char *code)
{
	static const struct {
		const char *code;
		enum cmd_exit exit;
	} exits[] = { { "denied", EXIT_REJECTED }, { "busy", EXIT_REJECTED }, { "state", EXIT_NOT_SUCCEEDED },
		{ "not_found", EXIT_NOT_SUCCEEDED }, { "conflict", EXIT_NOT_SUCCEEDED } };

	for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
		if (strcmp(exits[i].code, code) == 0)
			return (int)exits[i].exit;
	return EXIT_USAGE;
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct order *o = arg;
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(r->obj, "error");

	if (strcmp(r->type, "error") == 0) {
		o->rc = cmd_fail(exit_of(json_text(e, "code")), "%s: %s", json_text(e, "code"), json_text(e, "message"));
		o->done = true;
	} else if (strcmp(r->type, "schedule_set") == 0) {
		if (o->a->json)
			printf("%.*s\n", (int)r->len, r->line);
		else if (*json_text(r->obj, "next"))
			printf("%s: due next %s\n", json_text(r->obj, "name"), json_text(r->obj, "next"));
		else
			printf("%s: %sd\n", json_text(r->obj, "name"), json_text(r->obj, "do"));
		o->done = true;
	}
}

/* As `submit` makes it: with the tool's schema where this machine knows the tool. */
static int
put_task(const struct order *o, struct buf *b)
{
	const struct cmd_args *a = o->a;
	struct registry *tools = registry_new(&o->r.config, cmd_warn, NULL);
	const struct tool *t = registry_find(tools, a->argv[1]);
	struct err e;
	cJSON *params = params_read(a->argc - 2, a->argv + 2, t ? t->schema : NULL, &e);

	registry_free(tools);
	if (!params)
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	json_put_key(b, "task");
	json_put_open(b, '{');
	json_kv_str(b, "tool", a->argv[1]);
	json_put_key(b, "params");
	json_put_tree(b, params);
	if (cmd_text(a, "mode", NULL))
		json_kv_str(b, "mode", cmd_text(a, "mode", NULL));
	submit_put_limits(b, a);
	json_put_close(b, '}');
	cJSON_Delete(params);
	return 0;
}

static int
put_add(const struct order *o, struct buf *b)
{
	static const char *const texts[] = { "cron", "zone", "missed", NULL };

	if (!cmd_text(o->a, "cron", NULL))
		return cmd_fail(EXIT_USAGE, "--cron: expected five fields (minute hour day month weekday), got nothing");
	for (const char *const *p = texts; *p; p++)
		if (cmd_text(o->a, *p, NULL))
			json_kv_str(b, *p, cmd_text(o->a, *p, NULL));
	return put_task(o, b);
}

static int
ask(struct order *o, const char *what, int (*more)(const struct order *o, struct buf *b))
{
	const char *house = cmd_text(o->a, "house", NULL);
	struct buf b = { 0 };
	int rc = remote_check_house(&o->r, house);

	json_put_open(&b, '{');
	json_put_key(&b, "schedule");
	json_put_open(&b, '{');
	json_kv_str(&b, "do", what);
	json_kv_str(&b, "name", o->a->argv[0]);
	if (!rc && more)
		rc = more(o, &b);
	json_put_close(&b, '}');
	json_put_close(&b, '}');
	if (!rc) {
		remote_ask(&o->r, TOPIC_QUERY, house, buf_str(&b));
		rc = remote_wait(&o->r, &o->done, remote_answer_ms(&o->r));
		if (rc == EXIT_NO_ANSWER)
			rc = remote_no_answer(&o->r, "the owner of the house");
		else if (!rc)
			rc = o->rc;
	}
	buf_free(&b);
	return rc;
}

static int
order(const struct cmd_args *a, const char *what, int (*more)(const struct order *o, struct buf *b))
{
	struct order *o;
	int rc;

	if (!cmd_text(a, "house", NULL))
		return cmd_fail(EXIT_USAGE, "--house: expected the house whose schedule it is");
	o = xcalloc(1, sizeof *o);
	o->a = a;
	if (!(rc = remote_open(&o->r, a, on_reply, NULL, o))) {
		rc = ask(o, what, more);
		remote_close(&o->r);
	}
	free(o);
	return rc;
}

static int
add_run(const struct cmd_args *a)
{
	return order(a, "add", put_add);
}

static int
remove_run(const struct cmd_args *a)
{
	return order(a, "remove", NULL);
}

static int
pause_run(const struct cmd_args *a)
{
	return order(a, "pause", NULL);
}

static int
resume_run(const struct cmd_args *a)
{
	return order(a, "resume", NULL);
}

const struct cmd cmd_schedule_add = {
	.name = "schedule add",
	.args = "NAME TOOL [KEY=VALUE...]",
	.help = "Let a house do a task again and again",
	.more = "Each time is a task that you submit: what you may not do it may not, and what needs an approval waits for it. Exit\n"
	        "code 0 once it is on the house's disks; the same again is no second one. No answer (5): ask again, it is safe.\n\n"
	        "  uni-wizard schedule add pull-site git_pull repo_path=/srv/site --house ezra \\\n"
	        "      --cron '30 8 * * mon-fri' --zone Europe/Berlin --missed none",
	.opts = add_opts,
	.min_args = 2,
	.max_args = -1,
	.flags = CMD_JSON,
	.complete = "scheduled",
	.run = add_run,
};

const struct cmd cmd_schedule_remove = {
	.name = "schedule remove",
	.args = "NAME",
	.help = "Remove a schedule that was added by command",
	.more = "For whoever added it, and the sovereign. Tasks that it has made already are not touched.",
	.opts = set_opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = remove_run,
};

const struct cmd cmd_schedule_pause = {
	.name = "schedule pause",
	.args = "NAME",
	.help = "Let a schedule make no tasks until it is resumed",
	.more = "For whoever added it, and the sovereign. Times that pass meanwhile are not made up for, whatever --missed says.",
	.opts = set_opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = pause_run,
};

const struct cmd cmd_schedule_resume = {
	.name = "schedule resume",
	.args = "NAME",
	.help = "Let a schedule make tasks again that was paused",
	.opts = set_opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = resume_run,
};
