#include <string.h>

#include "json.h"
#include "remote.h"
#include "task.h"

#define PAGE 200                /* tasks in an answer */
#define CHILDREN_MAX 10000

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "only this house's", .complete = "houses" },
	{ .name = NULL },
};

struct children {
	const struct cmd_args *a;
	struct remote r;
	cJSON *rows;                    /* by id: the same task is known to the router and to its house */
	int64_t next;                   /* the page after the last one; 0: there is none */
	int silent;                     /* houses that did not answer */
	bool full;
	bool done;
};

static const char *
state_of(const cJSON *row)
{
	return json_text(row, "state");
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct children *c = arg;
	const char *id = reply_text(r, "id");
	const cJSON *known = id ? cJSON_GetObjectItemCaseSensitive(c->rows, id) : NULL;

	if (strcmp(r->type, "end") == 0) {
		c->next = json_number(r->obj, "next", 0);
		c->done = true;
	} else if (strcmp(r->type, "error") == 0) {
		c->done = true;
	} else if (strcmp(r->type, "task") == 0 && id && (!known || strcmp(state_of(known), "forwarded") == 0)) {
		cJSON *row = cJSON_Duplicate(r->obj, true);

		cJSON_DeleteItemFromObjectCaseSensitive(row, "type");
		cJSON_DeleteItemFromObjectCaseSensitive(c->rows, id);
		cJSON_AddItemToObject(c->rows, id, row);
	}
}

/* A page after the other. */
static int
ask_house(struct children *c, const char *house)
{
	char request[200];
	int rc;

	c->next = 0;
	do {
		snprintf(request, sizeof request, "{\"list\":{\"parent\":\"%s\",\"limit\":%d", c->a->argv[0], PAGE);
		if (c->next)
			snprintf(request + strlen(request), sizeof request - strlen(request), ",\"before\":%lld", (long long)c->next);
		snprintf(request + strlen(request), sizeof request - strlen(request), "}}");
		c->done = false;
		c->next = 0;
		remote_ask(&c->r, TOPIC_QUERY, house, request);
		rc = remote_wait(&c->r, &c->done, remote_answer_ms(&c->r));
		if (rc == EXIT_NO_ANSWER)
			c->silent++;
		else if (rc)
			return rc;
		c->full = cJSON_GetArraySize(c->rows) >= CHILDREN_MAX;
	} while (c->next && !c->full);
	return 0;
}

static int
ask_all(struct children *c)
{
	const struct config *f = &c->r.config;
	const char *house = cmd_text(c->a, "house", NULL);
	int rc = house ? ask_house(c, house) : ask_house(c, "_");

	for (size_t i = 0; !house && !rc && i < f->nhouses; i++)
		rc = ask_house(c, f->houses[i].name);
	return rc;
}

/* In the order of the states' table, those that are there. */
static void
count_states(const struct children *c, void (*f)(void *arg, const char *state, int n), void *arg)
{
	for (int s = 0; s < TASK_NSTATES; s++) {
		const char *name = task_state_name((enum task_state)s);
		const cJSON *row;
		int n = 0;

		cJSON_ArrayForEach(row, c->rows)
			n += strcmp(state_of(row), name) == 0;
		if (n)
			f(arg, name, n);
	}
}

static void
put_count(void *arg, const char *state, int n)
{
	json_kv_int(arg, state, n);
}

static void
print_count(void *arg, const char *state, int n)
{
	bool *first = arg;

	fprintf(stderr, "%s%d %s", *first ? ": " : ", ", n, state);
	*first = false;
}

static void
print_json(const struct children *c)
{
	struct buf b = { 0 };
	const cJSON *row;

	json_put_open(&b, '{');
	json_kv_str(&b, "parent", c->a->argv[0]);
	json_kv_int(&b, "count", cJSON_GetArraySize(c->rows));
	json_put_key(&b, "states");
	json_put_open(&b, '{');
	count_states(c, put_count, &b);
	json_put_close(&b, '}');
	json_put_key(&b, "children");
	json_put_open(&b, '[');
	cJSON_ArrayForEach(row, c->rows)
		json_put_tree(&b, row);
	json_put_close(&b, ']');
	json_put_close(&b, '}');
	puts(b.data);
	buf_free(&b);
}

static void
print_text(const struct children *c)
{
	static const char *const heads[] = { "ID", "HOUSE", "TOOL", "STATE", "TRY", "SENDER", "ACCEPTED", NULL };
	struct table *t = table_new(heads);
	const cJSON *row;
	bool first = true;

	cJSON_ArrayForEach(row, c->rows) {
		table_cell(t, "%s", json_text(row, "id"));
		table_cell(t, "%s", json_text(row, "house"));
		table_cell(t, "%s", json_text(row, "tool"));
		table_cell(t, "%s", state_of(row));
		table_cell(t, "%d", (int)json_number(row, "attempt", 0));
		table_cell(t, "%s", json_text(row, "sender"));
		table_cell(t, "%s", json_text(row, "accepted"));
	}
	table_print(t);
	fprintf(stderr, "%d children", cJSON_GetArraySize(c->rows));
	count_states(c, print_count, &first);
	fputc('\n', stderr);
}

static int
children_run(const struct cmd_args *a)
{
	struct children c = { .a = a };
	struct ulid id;
	int rc;

	if (remote_task_id(a->argv[0], &id))
		return EXIT_USAGE;
	c.rows = cJSON_CreateObject();
	if ((rc = remote_open(&c.r, a, on_reply, NULL, &c)) == 0) {
		rc = remote_check_house(&c.r, cmd_text(a, "house", NULL));
		rc = rc ? rc : ask_all(&c);
		if (!rc && c.silent)
			fprintf(stderr, "uni-wizard: %d houses did not answer\n", c.silent);
		if (!rc && c.full)
			fprintf(stderr, "uni-wizard: there may be more than these %d\n", CHILDREN_MAX);
		if (!rc)
			(a->json ? print_json : print_text)(&c);
		rc = rc ? rc : c.silent ? EXIT_NO_ANSWER : EXIT_OK;
		remote_close(&c.r);
	}
	cJSON_Delete(c.rows);
	return rc;
}

const struct cmd cmd_task_children = {
	.name = "task children",
	.args = "ID",
	.help = "List the tasks that name this one as their parent, and how many are in which state",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = children_run,
};
