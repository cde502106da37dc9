#include <string.h>

#include "json.h"
#include "remote.h"

#define ROWS_MAX 4096

static const struct cmd_opt list_opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "only this house's", .complete = "houses" },
	{ .name = NULL },
};

static const struct cmd_opt set_opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "the house (required)", .complete = "houses" },
	{ .name = NULL },
};

struct breakers {
	const struct cmd_args *a;
	struct remote r;
	cJSON *rows[ROWS_MAX];
	int n, asked, answered;
	bool done;
	int rc;
};

static const char *
cell(const cJSON *row, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, name));

	return text ? text : "";
}

static int
refused(const struct client_reply *r)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(r->obj, "error");
	const char *code = cell(e, "code"), *msg = cell(e, "message");

	return cmd_fail(strcmp(code, "denied") == 0 ? EXIT_REJECTED : strcmp(code, "state") == 0 ? EXIT_NOT_SUCCEEDED : EXIT_USAGE,
	    "%s: %s", code, *msg ? msg : "no reason given");
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct breakers *l = arg;

	if (strcmp(r->type, "breaker") == 0 && l->n < ROWS_MAX) {
		l->rows[l->n] = cJSON_Duplicate(r->obj, true);
		cJSON_DeleteItemFromObjectCaseSensitive(l->rows[l->n++], "type");
	} else if (strcmp(r->type, "end") == 0) {
		l->answered++;
	} else if (strcmp(r->type, "error") == 0) {
		l->answered++;
		if (!l->rc)
			l->rc = refused(r);
	} else if (strcmp(r->type, "breaker_set") == 0) {
		l->answered++;
		if (l->a->json)
			printf("%.*s\n", (int)r->len, r->line);
		else
			printf("%s: %s at %s is %s\n", cell(r->obj, "house"), cell(r->obj, "tool"), cell(r->obj, "target"),
			    cell(r->obj, "state"));
	}
	l->done = l->answered >= l->asked;
}

static int
by_name(const void *a, const void *b)
{
	static const char *const order[] = { "house", "tool", "target", "agent", NULL };
	const cJSON *x = *(cJSON *const *)a, *y = *(cJSON *const *)b;
	int n = 0;

	for (const char *const *p = order; *p && !n; p++)
		n = strcmp(cell(x, *p), cell(y, *p));
	return n;
}

static void
print_text(struct breakers *l)
{
	static const char *const heads[] = { "HOUSE", "TOOL", "TARGET", "AGENT", "STATE", "FAILURES", "UNTIL", "WHY", NULL };
	struct table *t = table_new(heads);

	for (int i = 0; i < l->n; i++) {
		const cJSON *row = l->rows[i];
		bool by_hand = *cell(row, "by");

		table_cell(t, "%s", cell(row, "house"));
		table_cell(t, "%s", cell(row, "tool"));
		table_cell(t, "%s", cell(row, "target"));
		table_cell(t, "%s", cell(row, "agent"));
		table_cell(t, "%s", cell(row, "state"));
		table_cell(t, "%d", (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(row, "failures")));
		table_cell(t, "%s", by_hand ? "closed by hand" : cell(row, "until"));
		table_cell(t, "%s%s", by_hand ? "opened by " : "", by_hand ? cell(row, "by") : cell(row, "error"));
	}
	table_print(t);
}

static void
print_json(struct breakers *l)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (int i = 0; i < l->n; i++)
		json_put_tree(&b, l->rows[i]);
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

/* 0: all were answered, or some of several. */
static int
ask(struct breakers *l, const char *request)
{
	const char *house = cmd_text(l->a, "house", NULL);
	int rc = remote_open(&l->r, l->a, on_reply, NULL, l);

	if (rc)
		return rc;
	if (!(rc = remote_check_house(&l->r, house))) {
		l->asked = remote_ask(&l->r, TOPIC_QUERY, house, request);
		rc = remote_wait(&l->r, &l->done, remote_answer_ms(&l->r));
		if (rc == EXIT_NO_ANSWER && l->answered)
			fprintf(stderr, "uni-wizard: only %d of %d houses answered\n", l->answered, l->asked);
		else if (rc == EXIT_NO_ANSWER)
			rc = remote_no_answer(&l->r, house ? "the owner of the house" : "any house");
		else if (!rc)
			rc = l->rc;
	}
	remote_close(&l->r);
	return rc;
}

static int
list_run(const struct cmd_args *a)
{
	struct breakers *l = xcalloc(1, sizeof *l);
	int rc;

	l->a = a;
	rc = ask(l, "{\"breakers\":{}}");
	if (l->answered && !l->rc) {
		qsort(l->rows, (size_t)l->n, sizeof l->rows[0], by_name);
		(a->json ? print_json : print_text)(l);
	}
	for (int i = 0; i < l->n; i++)
		cJSON_Delete(l->rows[i]);
	free(l);
	return rc;
}

static int
set(const struct cmd_args *a, const char *what)
{
	struct breakers *l = xcalloc(1, sizeof *l);
	struct buf b = { 0 };
	int rc;

	l->a = a;
	json_put_open(&b, '{');
	json_put_key(&b, "breaker");
	json_put_open(&b, '{');
	json_kv_str(&b, "do", what);
	json_kv_str(&b, "tool", a->argv[0]);
	json_kv_str(&b, "target", a->argv[1]);
	json_put_close(&b, '}');
	json_put_close(&b, '}');
	rc = cmd_text(a, "house", NULL) ? ask(l, buf_str(&b)) : cmd_fail(EXIT_USAGE, "--house: expected the house whose breaker it is");
	buf_free(&b);
	free(l);
	return rc;
}

static int
open_run(const struct cmd_args *a)
{
	return set(a, "open");
}

static int
close_run(const struct cmd_args *a)
{
	return set(a, "close");
}

const struct cmd cmd_breaker_list = {
	.name = "breaker list",
	.help = "List the targets at which work fails, and who is given none for them",
	.more = "A breaker is one agent's for one tool and target: the host of a URL, a repository. It is open after `breakers.failures`\n"
	        "in a row; then, half_open, one task tries again. Tasks that nobody may run meanwhile are `scheduled`, and `task show`\n"
	        "says by what they are held. One that is closed has only counted failures. Agent * is everybody: opened by hand.",
	.opts = list_opts,
	.flags = CMD_JSON,
	.run = list_run,
};

const struct cmd cmd_breaker_open = {
	.name = "breaker open",
	.args = "TOOL TARGET",
	.help = "Let no task of a house begin at a target, until it is closed",
	.more = "TARGET is as `breaker list` shows it; a URL stands for its host. Tasks for it wait and use no tries. For operators and\n"
	        "the sovereign.",
	.opts = set_opts,
	.min_args = 2,
	.max_args = 2,
	.flags = CMD_JSON,
	.complete = "tools",
	.run = open_run,
};

const struct cmd cmd_breaker_close = {
	.name = "breaker close",
	.args = "TOOL TARGET",
	.help = "Let tasks begin at a target again, whoever or whatever opened the breaker",
	.more = "All agents' breakers of the house for that tool and target are closed, and what waited for them is queued. Exit code 1\n"
	        "if none is open. For operators and the sovereign.",
	.opts = set_opts,
	.min_args = 2,
	.max_args = 2,
	.flags = CMD_JSON,
	.complete = "tools",
	.run = close_run,
};
