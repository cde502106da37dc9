#include <string.h>

#include "json.h"
#include "remote.h"

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

#define ROWS_MAX 16384
#define WHY_MAX 100

struct listing {
	const struct cmd_args *a;
	struct remote r;
	cJSON *rows[ROWS_MAX];
	bool drop[ROWS_MAX];
	int n, asked, answered;
	bool done;
	int rc;
};

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct listing *l = arg;

	if (strcmp(r->type, "task") == 0 && l->n < ROWS_MAX) {
		l->rows[l->n] = cJSON_Duplicate(r->obj, true);
		cJSON_DeleteItemFromObjectCaseSensitive(l->rows[l->n++], "type");
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

static const char *
cell(const cJSON *row, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, name));

	return text ? text : "";
}

/* By when they were accepted. */
static int
newest_first(const void *a, const void *b)
{
	const cJSON *x = *(cJSON *const *)a, *y = *(cJSON *const *)b;
	int order = strcmp(cell(y, "accepted"), cell(x, "accepted"));

	return order ? order : strcmp(cell(y, "id"), cell(x, "id"));
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(cell(*(cJSON *const *)b, "id"), cell(*(cJSON *const *)a, "id"));
}

/* A task that was handed on is known to the router and to its house: the house's word counts. Twins stand next
 * to each other. */
static void
drop_handed_on(struct listing *l)
{
	int n = 0;

	for (int i = 0; i < l->n; i++) {
		bool twin = (i && strcmp(cell(l->rows[i - 1], "id"), cell(l->rows[i], "id")) == 0) ||
		    (i + 1 < l->n && strcmp(cell(l->rows[i + 1], "id"), cell(l->rows[i], "id")) == 0);

		l->drop[i] = twin && strcmp(cell(l->rows[i], "state"), "forwarded") == 0;
	}
	for (int i = 0; i < l->n; i++) {
		if (l->drop[i])
			cJSON_Delete(l->rows[i]);
		else
			l->rows[n++] = l->rows[i];
	}
	l->n = n;
}

static void
keep_newest(struct listing *l, int limit)
{
	while (l->n > limit)
		cJSON_Delete(l->rows[--l->n]);
}

static void
print_text(struct listing *l)
{
	static const char *const heads[] = { "ID", "HOUSE", "TOOL", "STATE", "TRY", "SENDER", "ACCEPTED", NULL };
	struct table *t = table_new(heads);

	for (int i = 0; i < l->n; i++) {
		const cJSON *row = l->rows[i];

		table_cell(t, "%s", cell(row, "id"));
		table_cell(t, "%s", cell(row, "house"));
		table_cell(t, "%s", cell(row, "tool"));
		table_cell(t, "%s", cell(row, "state"));
		table_cell(t, "%d", (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(row, "attempt")));
		table_cell(t, "%s", cell(row, "sender"));
		table_cell(t, "%s", cell(row, "accepted"));
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

	for (int i = 0; i < l->n; i++) {
		const cJSON *row = l->rows[i], *e = cJSON_GetObjectItemCaseSensitive(row, "error");

		table_cell(t, "%s", cell(row, "id"));
		table_cell(t, "%s", cell(row, "house"));
		table_cell(t, "%s", cell(row, "tool"));
		table_cell(t, "%d", (int)json_number(row, "attempt", 0));
		table_cell(t, "%s", cell(row, "sender"));
		table_cell(t, "%s", cell(row, "finished"));
		table_cell(t, "%s: %.*s", cell(e, "code"), why_len(cell(e, "message")), cell(e, "message"));
	}
	table_print(t);
}

static void
print_json(struct listing *l)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (int i = 0; i < l->n; i++)
		json_put_tree(&b, l->rows[i]);
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
			qsort(l->rows, (size_t)l->n, sizeof l->rows[0], by_id);
			drop_handed_on(l);
			qsort(l->rows, (size_t)l->n, sizeof l->rows[0], newest_first);
			keep_newest(l, (int)cmd_int(a, "limit", 50));
			(a->json ? print_json : print)(l);
		}
		remote_close(&l->r);
	}
	for (int i = 0; i < l->n; i++)
		cJSON_Delete(l->rows[i]);
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
