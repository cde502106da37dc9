/*
 * http_approval.c - GET /v1/approvals: what waits for the sovereign, as this agent's store has it.
 *
 * His word is not given here: that takes his key, which no agent has.
 */
#include <string.h>

#include "canonical.h"
#include "http.h"
#include "json.h"

#define SHOWN_MAX 50
#define COUNTED_MAX "200"

/* Whether what is shown is what would be signed. */
static bool
is_valid(const cJSON *approval)
{
	const cJSON *subject = cJSON_GetObjectItemCaseSensitive(approval, "subject");
	char hash[CANONICAL_HASH];
	struct err e;

	return cJSON_IsObject(subject) && canonical_hash(subject, hash, &e) == 0 && strcmp(hash, json_text(approval, "hash")) == 0;
}

/* One may be decided before it is looked at. */
static void
put_one(const struct http_request *r, struct buf *b, const char *id)
{
	struct buf line = { 0 };
	struct http_reply told = { 0 };
	const cJSON *approval;
	cJSON *o;

	json_put_open(&line, '{');
	json_kv_str(&line, "op", "query");
	json_kv_str(&line, "id", id);
	json_put_close(&line, '}');
	o = http_ask(r, &line, "task error", &told, NULL);
	approval = cJSON_GetObjectItemCaseSensitive(o, "approval");
	if (strcmp(json_text(o, "state"), "waiting_approval") == 0) {
		json_put_open(b, '{');
		json_kv_str(b, "task", id);
		json_kv_str(b, "house", json_text(o, "house"));
		json_kv_str(b, "tool", json_text(o, "tool"));
		json_kv_str(b, "sender", json_text(o, "sender"));
		json_kv_str(b, "accepted", json_text(o, "accepted"));
		json_kv_bool(b, "asked", cJSON_HasObjectItem(approval, "subject"));
		json_kv_bool(b, "valid", is_valid(approval));
		if (approval) {
			json_put_key(b, "approval");
			json_put_tree(b, approval);
		}
		json_put_close(b, '}');
	}
	cJSON_Delete(o);
	buf_free(&told.body);
	buf_free(&line);
}

void
approval_list(const struct http_request *r, struct http_reply *w)
{
	struct buf line = { 0 }, lines = { 0 };
	int64_t shown = 0;
	cJSON *end;

	buf_adds(&line, "{\"op\":\"query\",\"list\":{\"state\":\"waiting_approval\",\"limit\":" COUNTED_MAX "}}");
	end = http_ask(r, &line, "end error", w, &lines);
	if (end) {
		json_put_open(&w->body, '{');
		json_put_key(&w->body, "approvals");
		json_put_open(&w->body, '[');
		for (char *p = lines.data, *nl; shown < SHOWN_MAX && p && *p && (nl = strchr(p, '\n')); p = nl + 1, shown++) {
			cJSON *row = json_parse_object(p, (size_t)(nl - p), NULL);

			put_one(r, &w->body, json_text(row, "id"));
			cJSON_Delete(row);
		}
		json_put_close(&w->body, ']');
		json_kv_int(&w->body, "count", json_number(end, "count", 0));
		json_kv_bool(&w->body, "more", cJSON_HasObjectItem(end, "next"));
		json_put_close(&w->body, '}');
		buf_addc(&w->body, '\n');
	}
	cJSON_Delete(end);
	buf_free(&lines);
	buf_free(&line);
}
