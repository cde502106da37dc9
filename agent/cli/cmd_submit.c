#include <string.h>

#include "batch.h"
#include "clock.h"
#include "json.h"
#include "params.h"
#include "remote.h"
#include "spool.h"
#include "tool.h"

#define ACCEPT_MS 5000
#define ACCEPT_OTHER_MS 15000           /* with several brokers: agents that have to change need some of that */

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
	  .help = "attempts altogether (default 1)" },
	{ .name = "not-before", .kind = OPT_TEXT, .arg = "TIME",
	  .help = "start it then at the earliest, RFC 3339" },
	{ .name = "after", .letter = 'a', .kind = OPT_TEXT, .arg = "ID,...",
	  .help = "start it when these tasks of its house have ended" },
	{ .name = "after-failed", .kind = OPT_TEXT, .arg = "W", .complete = "cancel run",
	  .help = "if one of them failed: cancel it (default) or run it all the same" },
	{ .name = "deadline", .kind = OPT_TEXT, .arg = "TIME", .help = "do not start it later, RFC 3339" },
	{ .name = "batch", .letter = 'b', .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
	  .help = "the tasks of this file, one JSON object a line, instead of TOOL" },
	{ .name = "window", .kind = OPT_INT, .arg = "N", .min = 1, .max = BATCH_WINDOW_MAX,
	  .help = "of a batch: so many tasks are out at a time (default 256)" },
	{ .name = NULL },
};

struct submit {
	const struct cmd_args *a;
	struct remote r;
	struct ulid id;
	char id_text[ULID_TEXT];
	bool wait;
	bool accepted, done;
	int rc;
};

static void
print_error(const cJSON *e)
{
	const char *code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "code"));
	const char *msg = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "message"));

	if (msg)
		fprintf(stderr, "uni-wizard: %s: %s\n", code ? code : "error", msg);
}

/* The router's word comes first, with state "forwarded"; whether the task waits for approval is the house's
 * to say. */
static bool
is_final(const struct submit *s, const char *state)
{
	const char *mode = cmd_text(s->a, "mode", "simple");

	return !state || strcmp(state, "forwarded") != 0 || strcmp(mode, "sovereign") != 0;
}

static void
tell_halted(const struct submit *s, const struct client_reply *r)
{
	if (!s->a->json && reply_text(r, "halted"))
		fprintf(stderr, "uni-wizard: it does not start for now: %s\n", reply_text(r, "halted"));
}

static void
show_accepted(struct submit *s, const struct client_reply *r)
{
	const char *state = reply_text(r, "state"), *house = reply_text(r, "house");
	bool waits = state && strcmp(state, "waiting_approval") == 0;

	s->accepted = true;
	tell_halted(s, r);
	if (!is_final(s, state) || (s->wait && !waits))
		return;
	s->done = true;
	s->rc = waits ? EXIT_WAITING : EXIT_OK;
	if (s->a->json)
		printf("%.*s\n", (int)r->len, r->line);
	else
		printf("%s %s by house %s%s\n", s->id_text, waits ? "waits for approval, accepted" : "accepted",
		    house ? house : "?", cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r->obj, "duplicate")) ?
		    " (it had it already)" : "");
}

static void
show_end(struct submit *s, const struct client_reply *r)
{
	const char *state = reply_text(r, "state");
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(r->obj, "result");

	if (!state)
		state = r->type;
	s->accepted = s->done = true;   /* whatever was waited for */
	s->rc = state_exit(state);
	if (s->a->json) {
		printf("%.*s\n", (int)r->len, r->line);
		return;
	}
	fprintf(stderr, "%s %s%s%s\n", s->id_text, cmd_color(2, state_color(state)), state, cmd_color(2, "reset"));
	if (result)
		print_pretty(result);
	print_error(cJSON_GetObjectItemCaseSensitive(r->obj, "error"));
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct submit *s = arg;

	if (s->done || !ulid_equal(&r->id, &s->id))
		return;
	if (reply_text(r, "id"))
		snprintf(s->id_text, sizeof s->id_text, "%s", reply_text(r, "id"));
	if (strcmp(r->type, "accepted") == 0)
		show_accepted(s, r);
	else if ((strcmp(r->type, "outcome") == 0 && s->wait) || strcmp(r->type, "rejected") == 0)
		show_end(s, r);
}

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
	put_after(b, cmd_text(a, "after", NULL));
	if (cmd_int(a, "priority", -1) >= 0)
		json_kv_int(b, "priority", cmd_int(a, "priority", 0));
	if (cmd_int(a, "timeout", 0))
		json_kv_int(b, "timeout_s", cmd_int(a, "timeout", 0));
	if (cmd_int(a, "retries", 0)) {
		json_put_key(b, "retry");
		json_put_open(b, '{');
		json_kv_int(b, "max", cmd_int(a, "retries", 0));
		json_put_close(b, '}');
	}
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
	ulid_format(&s->id, s->id_text);
	return 0;
}

static int
spooled(struct submit *s)
{
	const char *why = client_is_up(s->r.client) ? "its house did not answer" : client_why_down(s->r.client);
	struct err e;

	if (spool_start(&s->r.config, s->a->identity ? s->a->identity : s->r.config.identity, &e))
		cmd_warn(e.msg, NULL);
	if (s->a->json)
		printf("{\"type\":\"spooled\",\"id\":\"%s\"}\n", s->id_text);
	else
		printf("%s spooled: %s. It is in the local outbox and goes out by itself; `uni-wizard outbox list`.\n",
		    s->id_text, why[0] ? why : "the broker does not answer");
	return EXIT_SPOOLED;
}

static int
send_and_wait(struct submit *s)
{
	int64_t within = cmd_int(s->a, "within", 0) * 1000, begun = clock_mono_ms();
	int64_t accept = s->r.config.nbrokers > 1 ? ACCEPT_OTHER_MS : ACCEPT_MS;
	int rc;

	rc = remote_wait(&s->r, s->wait ? &s->accepted : &s->done, within && within < accept ? within : accept);
	if (s->done)
		return s->rc;
	if (rc == EXIT_NO_ANSWER && !s->accepted)
		return spooled(s);
	if (rc == EXIT_REJECTED)
		client_drop(s->r.client, &s->id, NULL);
	if (rc && !s->accepted)
		return rc;
	if (!s->wait) {
		printf("%s accepted by the router; its house has not answered yet\n", s->id_text);
		return EXIT_OK;
	}
	within = (within ? within : 3600000) - (clock_mono_ms() - begun);
	rc = remote_wait(&s->r, &s->done, within);
	if (rc == EXIT_NO_ANSWER)
		return cmd_fail(rc, "task %s was accepted but has no outcome yet; see `uni-wizard task show %s`",
		    s->id_text, s->id_text);
	return rc ? rc : s->rc;
}

static int
submit_in(struct submit *s, struct buf *b)
{
	const char *house = cmd_text(s->a, "house", "_");
	struct err e;
	int rc;

	if ((rc = remote_check_house(&s->r, house)) || (rc = choose_id(s)) || (rc = make_task(s, b)))
		return rc;
	if (client_submit(s->r.client, house, b->data, b->len, &s->id, s->wait, &e) ||
	    client_commit(s->r.client, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	return send_and_wait(s);
}

static int
submit_run(const struct cmd_args *a)
{
	struct submit s = { .a = a, .wait = cmd_flag(a, "wait") };
	struct buf b = { 0 };
	int rc;

	if (cmd_text(a, "batch", NULL))
		return a->argc ? cmd_fail(EXIT_USAGE, "--batch: the tasks are in the file; expected no TOOL, got \"%s\"", a->argv[0]) :
		    batch_run(a, cmd_text(a, "batch", NULL));
	if (!a->argc)
		return cmd_fail(EXIT_USAGE, "submit: expected TOOL, or --batch FILE");
	rc = remote_open(&s.r, a, on_reply, NULL, &s);
	if (rc)
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
	        "time the task stays in the local outbox (exit code 4) and goes out later.\n\n"
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
