#include <string.h>

#include "clock.h"
#include "json.h"
#include "remote.h"

#define NEXT_MAX 100
#define ROWS_MAX 4096

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "only this house's", .complete = "houses" },
	{ .name = "next", .letter = 'n', .kind = OPT_INT, .arg = "N", .min = 1, .max = NEXT_MAX,
	  .help = "the next N times (default 1; of `schedule show` 5)" },
	{ .name = NULL },
};

static const struct cmd_opt next_opts[] = {
	{ .name = "cron", .letter = 'c', .kind = OPT_TEXT, .arg = "WHEN",
	  .help = "five fields as in crontab, or @daily and the like (required)" },
	{ .name = "zone", .letter = 'z', .kind = OPT_TEXT, .arg = "Z",
	  .help = "the time zone that it is meant in (default UTC)" },
	{ .name = "next", .letter = 'n', .kind = OPT_INT, .arg = "N", .min = 1, .max = NEXT_MAX,
	  .help = "the next N times (default 5)" },
	{ .name = NULL },
};

/* What houses answer, and what the configuration says of those that do not. */
struct schedules {
	const struct cmd_args *a;
	struct remote r;
	const char *name;               /* only that one; NULL: all */
	int64_t next;                   /* so many times */
	cJSON *rows[ROWS_MAX];
	int n, asked, answered;
	bool answers[CONFIG_MAX_HOUSES];
	bool done;
	int rc;
};

static const char *
cell(const cJSON *row, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, name));

	return text ? text : "";
}

static const char *
error_text(const cJSON *o, const char *name)
{
	return cell(cJSON_GetObjectItemCaseSensitive(o, "error"), name);
}

static void
add_times(cJSON *list, const struct cron *cron, const struct zone *zone, int64_t n)
{
	int64_t at = clock_wall_ms();

	for (int64_t i = 0; i < n && (at = cron_next(cron, zone, at)); i++) {
		char text[32];

		clock_format(at, text, sizeof text);
		cJSON_AddItemToArray(list, cJSON_CreateString(text));
	}
}

/* In place of the next time alone: as many as were asked for. */
static void
set_next(cJSON *row, int64_t n)
{
	struct zone *zone = zone_open(cell(row, "zone"), NULL);
	cJSON *list = cJSON_CreateArray();
	struct cron cron;

	if (zone && !json_is_true(row, "paused") && cron_parse(cell(row, "cron"), &cron, NULL) == 0)
		add_times(list, &cron, zone, n);
	zone_free(zone);
	cJSON_DeleteItemFromObjectCaseSensitive(row, "next");
	cJSON_AddItemToObject(row, "next", list);
}

static void
add_row(struct schedules *l, cJSON *row)
{
	if (l->n == ROWS_MAX || (l->name && strcmp(cell(row, "name"), l->name) != 0)) {
		cJSON_Delete(row);
		return;
	}
	for (const char *const *p = (const char *const[]){ "type", "born", "after", NULL }; *p; p++)
		cJSON_DeleteItemFromObjectCaseSensitive(row, *p);
	set_next(row, l->next);
	l->rows[l->n++] = row;
}

static void
has_answered(struct schedules *l, const char *house)
{
	const struct config *c = &l->r.config;

	for (size_t i = 0; i < c->nhouses; i++)
		l->answers[i] |= strcmp(c->houses[i].name, house) == 0;
	l->done = ++l->answered >= l->asked;
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct schedules *l = arg;

	if (strcmp(r->type, "schedule") == 0) {
		add_row(l, cJSON_Duplicate(r->obj, true));
	} else if (strcmp(r->type, "end") == 0) {
		has_answered(l, json_text(r->obj, "house"));
	} else if (strcmp(r->type, "error") == 0) {
		if (!l->rc)
			l->rc = cmd_fail(EXIT_USAGE, "%s: %s", error_text(r->obj, "code"), error_text(r->obj, "message"));
		has_answered(l, "");
	}
}

static cJSON *
row_of(const struct config_schedule *s)
{
	cJSON *row = cJSON_CreateObject();

	cJSON_AddStringToObject(row, "house", s->house);
	cJSON_AddStringToObject(row, "from", "configuration");
	cJSON_AddStringToObject(row, "name", s->name);
	cJSON_AddStringToObject(row, "cron", s->cron_text);
	cJSON_AddStringToObject(row, "zone", s->zone_name);
	cJSON_AddStringToObject(row, "missed", s->missed);
	cJSON_AddItemToObject(row, "task", cJSON_Parse(s->task));
	return row;
}

/* The file knows at least these. */
static void
add_unanswered(struct schedules *l)
{
	const struct config *c = &l->r.config;
	const char *house = cmd_text(l->a, "house", NULL);

	for (size_t i = 0; i < c->nschedules; i++) {
		const struct config_house *h = config_house_find(c, c->schedules[i].house);

		if (!l->answers[h - c->houses] && (!house || strcmp(house, h->name) == 0))
			add_row(l, row_of(&c->schedules[i]));
	}
}

static int
by_name(const void *a, const void *b)
{
	const cJSON *x = *(cJSON *const *)a, *y = *(cJSON *const *)b;
	int n = strcmp(cell(x, "house"), cell(y, "house"));

	return n ? n : strcmp(cell(x, "name"), cell(y, "name"));
}

/* 0; or who did not answer was said, and what is known is there all the same. */
static int
gather(struct schedules *l)
{
	const char *house = cmd_text(l->a, "house", NULL);
	int rc = remote_open(&l->r, l->a, on_reply, NULL, l);

	if (rc)
		return rc;
	if (!(rc = remote_check_house(&l->r, house))) {
		l->asked = remote_ask(&l->r, TOPIC_QUERY, house, "{\"schedules\":{}}");
		rc = remote_wait(&l->r, &l->done, remote_answer_ms(&l->r));
		add_unanswered(l);
		if (rc == EXIT_NO_ANSWER && l->answered)
			fprintf(stderr, "uni-wizard: only %d of %d houses answered\n", l->answered, l->asked);
		else if (rc == EXIT_NO_ANSWER)
			rc = remote_no_answer(&l->r, house ? "the owner of the house" : "any house");
		else if (!rc)
			rc = l->rc;
	}
	qsort(l->rows, (size_t)l->n, sizeof l->rows[0], by_name);
	remote_close(&l->r);
	return rc;
}

static const char *
whose(const cJSON *row)
{
	return strcmp(cell(row, "from"), "command") == 0 ? cell(row, "sender") : "configuration";
}

/* Of the last time that came. */
static const char *
outcome(const cJSON *row)
{
	return *cell(row, "state") ? cell(row, "state") : cell(row, "came");
}

static void
print_text(const struct schedules *l)
{
	static const char *const heads[] = { "NAME", "HOUSE", "WHEN", "ZONE", "MISSED", "FROM", "NEXT", "LAST", "WHAT CAME", NULL };
	struct table *t = table_new(heads);

	for (int i = 0; i < l->n; i++) {
		const cJSON *row = l->rows[i], *next = cJSON_GetObjectItemCaseSensitive(row, "next");
		int n = cJSON_GetArraySize(next);

		for (int k = 0; k < n || !k; k++) {
			const char *at = cJSON_GetStringValue(cJSON_GetArrayItem(next, k));

			table_cell(t, "%s", k ? "" : cell(row, "name"));
			table_cell(t, "%s", k ? "" : cell(row, "house"));
			table_cell(t, "%s", k ? "" : cell(row, "cron"));
			table_cell(t, "%s", k ? "" : cell(row, "zone"));
			table_cell(t, "%s", k ? "" : cell(row, "missed"));
			table_cell(t, "%s", k ? "" : whose(row));
			table_cell(t, "%s", at ? at : json_is_true(row, "paused") ? "paused" : "never");
			table_cell(t, "%s", k ? "" : cell(row, "last"));
			table_cell(t, "%s%s%s", k ? "" : outcome(row), !k && *cell(row, "error") ? ": " : "",
			    k ? "" : cell(row, "error"));
		}
	}
	table_print(t);
}

static void
print_json(const struct schedules *l)
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
release(struct schedules *l)
{
	for (int i = 0; i < l->n; i++)
		cJSON_Delete(l->rows[i]);
	free(l);
}

static int
schedule_list_run(const struct cmd_args *a)
{
	struct schedules *l = xcalloc(1, sizeof *l);
	int rc;

	l->a = a;
	l->next = cmd_int(a, "next", 1);
	rc = gather(l);
	if (l->n || l->answered)
		(a->json ? print_json : print_text)(l);
	release(l);
	return rc;
}

static void
show(const cJSON *row)
{
	const cJSON *next = cJSON_GetObjectItemCaseSensitive(row, "next"), *v;
	char *task = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(row, "task"));
	bool first = true;

	printf("house   %s\nfrom    %s\nwhen    %s in %s\n", cell(row, "house"), whose(row), cell(row, "cron"), cell(row, "zone"));
	printf("missed  %s\ntask    %s\n", cell(row, "missed"), task ? task : "");
	if (*cell(row, "last"))
		printf("last    %s %s%s%s%s%s\n", cell(row, "last"), outcome(row), *cell(row, "task_id") ? ", task " : "",
		    cell(row, "task_id"), *cell(row, "error") ? ": " : "", cell(row, "error"));
	if (json_is_true(row, "paused"))
		printf("next    paused\n");
	cJSON_ArrayForEach(v, next) {
		printf("%s    %s\n", first ? "next" : "    ", cJSON_GetStringValue(v));
		first = false;
	}
	free(task);
}

static int
schedule_show_run(const struct cmd_args *a)
{
	struct schedules *l = xcalloc(1, sizeof *l);
	int rc;

	l->a = a;
	l->next = cmd_int(a, "next", 5);
	l->name = a->argv[0];
	rc = gather(l);
	for (int i = 0; i < l->n; i++) {
		if (a->json) {
			struct buf b = { 0 };

			json_put_tree(&b, l->rows[i]);
			puts(buf_str(&b));
			buf_free(&b);
		} else {
			show(l->rows[i]);
		}
	}
	if (!l->n && !rc)
		rc = cmd_fail(EXIT_USAGE, "NAME: expected a schedule, got \"%s\"; `uni-wizard schedule list` shows them",
		    a->argv[0]);
	release(l);
	return rc;
}

static int
schedule_next_run(const struct cmd_args *a)
{
	const char *text = cmd_text(a, "cron", NULL);
	cJSON *list = cJSON_CreateArray(), *v;
	struct zone *zone = NULL;
	struct cron cron;
	struct err e;
	int rc = EXIT_OK;

	if (!text)
		rc = cmd_fail(EXIT_USAGE, "--cron: expected five fields (minute hour day month weekday), got nothing");
	else if (cron_parse(text, &cron, &e) || !(zone = zone_open(cmd_text(a, "zone", "UTC"), &e)))
		rc = cmd_fail(EXIT_USAGE, "--%s", e.msg);
	else
		add_times(list, &cron, zone, cmd_int(a, "next", 5));
	if (!rc && a->json) {
		struct buf b = { 0 };

		json_put_tree(&b, list);
		puts(buf_str(&b));
		buf_free(&b);
	} else if (!rc && !cJSON_GetArraySize(list)) {
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "--cron: \"%s\" does not come within five years", text);
	}
	if (!rc && !a->json)
		cJSON_ArrayForEach(v, list)
			puts(cJSON_GetStringValue(v));
	zone_free(zone);
	cJSON_Delete(list);
	return rc;
}

const struct cmd cmd_schedule_list = {
	.name = "schedule list",
	.help = "List the schedules, when each is due next, and what came of the last time",
	.more = "Schedules stand in the configuration under `schedules`, or were added by command; each house's owner runs its own.\n"
	        "FROM says whose a schedule is. Tasks of the configuration have the sender `schedule`, and the next is among them\n"
	        "already; the others have the sender of their schedule. Of a house that does not answer only those of the\n"
	        "configuration are shown.",
	.opts = opts,
	.flags = CMD_JSON,
	.run = schedule_list_run,
};

const struct cmd cmd_schedule_show = {
	.name = "schedule show",
	.args = "NAME",
	.help = "Show a schedule, when it is due next, and what came of the last time",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = schedule_show_run,
};

const struct cmd cmd_schedule_next = {
	.name = "schedule next",
	.help = "Print when something would be due, without a cluster",
	.more = "  uni-wizard schedule next --cron '30 8 * * mon-fri' --zone Europe/Berlin",
	.opts = next_opts,
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.run = schedule_next_run,
};
