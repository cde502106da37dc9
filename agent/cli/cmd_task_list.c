#include <string.h>

#include "json.h"
#include "remote.h"
#include "rows.h"

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "only this house's", .complete = "houses" },
	{ .name = "state", .letter = 's', .kind = OPT_TEXT, .arg = "STATE",
	  .help = "only those in this state",
	  .complete = "queued running scheduled retrying waiting_approval uncertain succeeded failed dead cancelled expired" },
	{ .name = "tool", .letter = 't', .kind = OPT_TEXT, .arg = "TOOL",
	  .help = "only those of this tool", .complete = "tools" },
	{ .name = "sender", .kind = OPT_TEXT, .arg = "NAME", .help = "only those of this sender" },
	{ .name = "limit", .letter = 'n', .kind = OPT_INT, .arg = "N", .min = 1, .max = 200,
	  .help = "the newest N (default 50)" },
	{ .name = NULL },
};

static const struct cmd_opt dead_opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "only this house's", .complete = "houses" },
	{ .name = "tool", .letter = 't', .kind = OPT_TEXT, .arg = "TOOL",
	  .help = "only those of this tool", .complete = "tools" },
	{ .name = "sender", .kind = OPT_TEXT, .arg = "NAME", .help = "only those of this sender" },
	{ .name = "limit", .letter = 'n', .kind = OPT_INT, .arg = "N", .min = 1, .max = 200,
	  .help = "the newest N (default 50)" },
	{ .name = NULL },
};

#define WHY_MAX 100

struct listing {
	const struct cmd_args *a;
	struct remote r;
	struct rows rows;
	int asked, answered;
	bool done;
	int rc;
};

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct listing *l = arg;

	if (strcmp(r->type, "task") == 0) {
		rows_add(&l->rows, r->obj);
	} else if (strcmp(r->type, "end") == 0) {
		l->answered++;
	} else if (strcmp(r->type, "error") == 0) {
		l->answered++;
		if (!l->rc)
			l->rc = cmd_fail(EXIT_USAGE, "%s", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
			    cJSON_GetObjectItemCaseSensitive(r->obj, "error"), "message")));
	}
	l->done = l->answered >= l->asked;
}

static void
print_text(struct listing *l)
{
	static const char *const heads[] = { "ID", "HOUSE", "TOOL", "STATE", "TRY", "SENDER", "ACCEPTED", NULL };
	struct table *t = table_new(heads);

	for (int i = 0; i < l->rows.n; i++) {
		const cJSON *row = l->rows.v[i];

		table_cell(t, "%s", json_text(row, "id"));
		table_cell(t, "%s", json_text(row, "house"));
		table_cell(t, "%s", json_text(row, "tool"));
		table_cell(t, "%s", json_text(row, "state"));
		table_cell(t, "%d", (int)json_number(row, "attempt", 0));
		table_cell(t, "%s", json_text(row, "sender"));
		table_cell(t, "%s", json_text(row, "accepted"));
	}
	table_print(t);
}

/* Its first line, cut at a character's end. */
static int
why_len(const char *text)
{
	size_t n = strcspn(text, "\n");

	for (n = n > WHY_MAX ? WHY_MAX : n; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
		;
	return (int)n;
}

static void
print_dead(struct listing *l)
{
	static const char *const heads[] = { "ID", "HOUSE", "TOOL", "TRY", "SENDER", "ENDED", "WHY", NULL };
	struct table *t = table_new(heads);

	for (int i = 0; i < l->rows.n; i++) {
		const cJSON *row = l->rows.v[i], *e = cJSON_GetObjectItemCaseSensitive(row, "error");

		table_cell(t, "%s", json_text(row, "id"));
		table_cell(t, "%s", json_text(row, "house"));
		table_cell(t, "%s", json_text(row, "tool"));
		table_cell(t, "%d", (int)json_number(row, "attempt", 0));
		table_cell(t, "%s", json_text(row, "sender"));
		table_cell(t, "%s", json_text(row, "finished"));
		table_cell(t, "%s: %.*s", json_text(e, "code"), why_len(json_text(e, "message")), json_text(e, "message"));
	}
	table_print(t);
}

static void
print_json(struct listing *l)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (int i = 0; i < l->rows.n; i++)
		json_put_tree(&b, l->rows.v[i]);
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
put_request(struct buf *b, const struct cmd_args *a, const char *state)
{
	static const char *const texts[] = { "tool", "sender", NULL };

	json_put_open(b, '{');
	json_put_key(b, "list");
	json_put_open(b, '{');
	if (state)
		json_kv_str(b, "state", state);
	for (const char *const *p = texts; *p; p++)
		if (cmd_text(a, *p, NULL))
			json_kv_str(b, *p, cmd_text(a, *p, NULL));
	json_kv_int(b, "limit", cmd_int(a, "limit", 50));
	json_put_close(b, '}');
	json_put_close(b, '}');
}

static int
list_tasks(const struct cmd_args *a, const char *state, void (*print)(struct listing *l))
{
	struct listing *l = xcalloc(1, sizeof *l);
	struct buf b = { 0 };
	int rc = remote_open(&l->r, a, on_reply, NULL, l);

	l->a = a;
	if (!rc && (rc = remote_check_house(&l->r, cmd_text(a, "house", NULL))))
		remote_close(&l->r);
	if (!rc) {
		put_request(&b, a, state);
		l->asked = remote_ask(&l->r, TOPIC_QUERY, cmd_text(a, "house", NULL), b.data);
		rc = remote_wait(&l->r, &l->done, remote_answer_ms(&l->r));
		if (rc == EXIT_NO_ANSWER && l->answered) {
			fprintf(stderr, "uni-wizard: only %d of %d houses answered\n", l->answered, l->asked);
		} else if (rc == EXIT_NO_ANSWER) {
			rc = remote_no_answer(&l->r, "any house");
		} else {
			rc = l->rc;
		}
		if (l->answered && !l->rc) {
			rows_settle(&l->rows, (int)cmd_int(a, "limit", 50));
			(a->json ? print_json : print)(l);
		}
		remote_close(&l->r);
	}
	rows_clear(&l->rows);
	buf_free(&b);
	free(l);
	return rc;
}

static int
list_run(const struct cmd_args *a)
{
	return list_tasks(a, cmd_text(a, "state", NULL), print_text);
}

static int
dead_run(const struct cmd_args *a)
{
	return list_tasks(a, "dead", print_dead);
}

const struct cmd cmd_task_list = {
	.name = "task list",
	.help = "List tasks, newest first",
	.opts = opts,
	.flags = CMD_JSON,
	.run = list_run,
};

const struct cmd cmd_task_dead = {
	.name = "task dead",
	.help = "List tasks that were given up, newest first, and why",
	.more = "A task is dead when it has used up its tries, failed in a way that another try would not mend though it had\n"
	        "tries left, or killed its workers too often. `task show` has what became of its attempts, `task retry` gives\n"
	        "it again.",
	.opts = dead_opts,
	.flags = CMD_JSON,
	.run = dead_run,
};
