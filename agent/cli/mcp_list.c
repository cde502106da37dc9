#include "mcp_jobs_impl.h"

#include <string.h>

#include "clock.h"
#include "json.h"

#define LIST_LIMIT 20

void
job_list_begin(struct jobs *j, struct job *b)
{
	static const char *const texts[] = { "state", "tool" };
	const cJSON *args = b->call->args;
	struct buf json = { 0 };

	if (j->lister && j->lister != b) {
		b->stage = STAGE_QUEUED;
		return;
	}
	j->lister = b;
	b->stage = STAGE_LIST;
	b->end_ms = clock_mono_ms() + jobs_answer_ms(j);
	json_put_open(&json, '{');
	json_put_key(&json, "list");
	json_put_open(&json, '{');
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (*json_text(args, texts[i]))
			json_kv_str(&json, texts[i], json_text(args, texts[i]));
	json_kv_str(&json, "sender", j->o.identity);
	json_kv_int(&json, "limit", json_number(args, "limit", LIST_LIMIT));
	json_put_close(&json, '}');
	json_put_close(&json, '}');
	job_ask(j, b, TOPIC_QUERY, json.data);
	buf_free(&json);
}

static void
list_end(struct jobs *j, struct job *b)
{
	struct buf json = { 0 };
	const cJSON *row;

	json_put_open(&json, '{');
	json_put_key(&json, "tasks");
	json_put_open(&json, '[');
	cJSON_ArrayForEach(row, b->list)
		job_put_task(&json, j, json_text(row, "id"), row, NULL);
	json_put_close(&json, ']');
	if (b->why[0])
		json_kv_str(&json, "incomplete", b->why);
	json_put_close(&json, '}');
	job_end_with(j, b, &json, false);
	buf_free(&json);
}

/* Of what waits for approval a list does not say why. */
static void
list_details(struct jobs *j, struct job *b, int64_t now_ms)
{
	const cJSON *row;
	char json[64];

	b->stage = STAGE_DETAILS;
	b->end_ms = now_ms + jobs_answer_ms(j);
	b->asked = b->answered = 0;
	cJSON_ArrayForEach(row, b->list)
		if (job_is_waiting(json_text(row, "state"))) {
			snprintf(json, sizeof json, "{\"id\":\"%.26s\"}", json_text(row, "id"));
			job_ask_house(j, b, TOPIC_QUERY, json_text(row, "house"), json);
		}
	if (!b->asked)
		list_end(j, b);
}

static void
list_settle(struct jobs *j, struct job *b, int64_t now_ms)
{
	if (!b->answered) {
		job_end_no_answer(j, b);
		return;
	}
	if (b->answered < b->asked)
		snprintf(b->why, sizeof b->why, "only %d of %d houses answered", b->answered, b->asked);
	rows_settle(&j->rows, (int)json_number(b->call->args, "limit", LIST_LIMIT));
	b->list = cJSON_CreateArray();
	for (int i = 0; i < j->rows.n; i++)
		cJSON_AddItemToArray(b->list, j->rows.v[i]);
	j->rows.n = 0;
	j->lister = NULL;
	list_details(j, b, now_ms);
}

static bool
is_wanted(const struct jobs *j, const struct job *b, const cJSON *row)
{
	const char *state = json_text(b->call->args, "state"), *tool = json_text(b->call->args, "tool");

	return strcmp(json_text(row, "sender"), j->o.identity) == 0 && (!*state || strcmp(json_text(row, "state"), state) == 0) &&
	    (!*tool || strcmp(json_text(row, "tool"), tool) == 0);
}

static void
take_detail(struct job *b, const cJSON *o)
{
	cJSON *row;

	cJSON_ArrayForEach(row, b->list)
		if (strcmp(json_text(row, "id"), json_text(o, "id")) == 0) {
			cJSON_ReplaceItemViaPointer(b->list, row, cJSON_Duplicate(o, true));
			b->answered++;
			return;
		}
}

/* Rows of a list do not have the task itself; what somebody asked for by its id does. */
void
job_list_reply(struct jobs *j, struct job *b, const struct client_reply *r, int64_t now_ms)
{
	bool is_row = strcmp(r->type, "task") == 0 && !cJSON_HasObjectItem(r->obj, "task");

	if (b->stage == STAGE_DETAILS && strcmp(r->type, "task") == 0) {
		take_detail(b, r->obj);
		if (b->answered >= b->asked)
			list_end(j, b);
		return;
	}
	if (b->stage != STAGE_LIST)
		return;
	if (is_row && is_wanted(j, b, r->obj))
		rows_add(&j->rows, r->obj);
	if (strcmp(r->type, "end") != 0 && !(strcmp(r->type, "error") == 0 && !*json_text(r->obj, "id")))
		return;
	if (++b->answered >= b->asked)
		list_settle(j, b, now_ms);
}

void
job_list_tick(struct jobs *j, struct job *b, int64_t now_ms)
{
	if (b->stage == STAGE_QUEUED)
		job_list_begin(j, b);
	else if (now_ms >= b->end_ms && b->stage == STAGE_LIST)
		list_settle(j, b, now_ms);
	else if (now_ms >= b->end_ms)
		list_end(j, b);
}
