/*
 * http_task.c - /v1/tasks: what the local socket's submit, query, list and cancel are, over HTTP.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "json.h"

#define ANSWER_MS 10000                 /* of which an owner waits 5 s for followers that fell silent */

/* The error that the core told, with its status. */
static void
fail_as_told(struct http_reply *w, const cJSON *line)
{
	const cJSON *told = cJSON_GetObjectItemCaseSensitive(line, "error");
	struct err e = { .code = err_code_parse(json_text(told, "code")),
		.retry_after_s = (int)json_number(told, "retry_after_s", 0) };

	snprintf(e.field, sizeof e.field, "%s", json_text(told, "field"));
	snprintf(e.expected, sizeof e.expected, "%s", json_text(told, "expected"));
	snprintf(e.got, sizeof e.got, "%s", json_text(told, "got"));
	snprintf(e.msg, sizeof e.msg, "%s", json_text(told, "message"));
	http_fail(w, &e);
}

cJSON *
http_ask(const struct http_request *r, const struct buf *line, const char *last, struct http_reply *w, struct buf *lines)
{
	struct buf out = { 0 };
	struct err e = { 0 };
	cJSON *tree = NULL;
	char *from;

	if (http_call_core(r, buf_str(line), last, ANSWER_MS, &out, &e)) {
		http_fail(w, &e);
		goto out;
	}
	while (out.len && out.data[out.len - 1] == '\n')
		buf_cut(&out, out.len - 1);
	from = strrchr(out.data, '\n');
	from = from ? from + 1 : out.data;
	tree = json_parse_object(from, strlen(from), &e);
	if (!tree) {
		http_fail(w, &e);
	} else if (cJSON_GetObjectItemCaseSensitive(tree, "error") && strcmp(json_text(tree, "type"), "task") != 0) {
		fail_as_told(w, tree);
		cJSON_Delete(tree);
		tree = NULL;
	} else if (lines) {
		buf_cut(&out, (size_t)(from - out.data));
		*lines = out;
		out = (struct buf){ 0 };
	} else {
		buf_adds(&w->body, from);
		buf_addc(&w->body, '\n');
	}
out:
	buf_free(&out);
	return tree;
}

static void
open_line(struct buf *b, const char *op)
{
	json_put_open(b, '{');
	json_kv_str(b, "op", op);
}

void
task_post(const struct http_request *r, struct http_reply *w)
{
	const char *key = http_header(r, "Idempotency-Key");
	struct buf line = { 0 };
	cJSON *task, *told = NULL;
	struct err e;

	task = json_parse_object(buf_str(&r->body), r->body.len, &e);
	if (!task) {
		http_fail(w, &e);
		return;
	}
	if (key && !cJSON_HasObjectItem(task, "key"))
		cJSON_AddStringToObject(task, "key", key);
	open_line(&line, "submit");
	json_put_key(&line, "task");
	json_put_tree(&line, task);
	json_put_close(&line, '}');
	told = http_ask(r, &line, "accepted rejected error", w, NULL);
	if (told) {
		w->status = json_is_true(told, "duplicate") ? 200 : 201;
		snprintf(w->location, sizeof w->location, "/v1/tasks/%.26s", json_text(told, "id"));
	}
	cJSON_Delete(told);
	cJSON_Delete(task);
	buf_free(&line);
}

void
task_get(const struct http_request *r, struct http_reply *w)
{
	struct buf line = { 0 };

	open_line(&line, "query");
	json_kv_str(&line, "id", r->id);
	json_put_close(&line, '}');
	cJSON_Delete(http_ask(r, &line, "task error", w, NULL));
	buf_free(&line);
}

void
task_cancel(const struct http_request *r, struct http_reply *w)
{
	struct buf line = { 0 };
	cJSON *told;

	open_line(&line, "cancel");
	json_kv_str(&line, "id", r->id);
	json_put_close(&line, '}');
	told = http_ask(r, &line, "cancel error", w, NULL);
	if (told)
		w->status = 202;
	cJSON_Delete(told);
	buf_free(&line);
}

static int
put_filter(const struct http_request *r, struct buf *line, struct err *e)
{
	static const struct {
		const char *name;
		bool number;
	} filters[] = {
		{ "house", false }, { "state", false }, { "tool", false }, { "sender", false }, { "limit", true }, { "before", true },
	};

	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
		const char *v = http_argument(r, filters[i].name);
		char *end;
		long long n;

		if (!v)
			continue;
		errno = 0;
		n = filters[i].number ? strtoll(v, &end, 10) : 0;
		if (filters[i].number && (errno || end == v || *end))
			return err_field(e, ERR_INVALID, filters[i].name, v, "a whole number");
		if (filters[i].number)
			json_kv_int(line, filters[i].name, n);
		else
			json_kv_str(line, filters[i].name, v);
	}
	return 0;
}

/* Lines of tasks become a list. */
static void
put_page(struct http_reply *w, struct buf *lines, const cJSON *end)
{
	json_put_open(&w->body, '{');
	json_put_key(&w->body, "tasks");
	json_put_open(&w->body, '[');
	for (char *p = lines->data, *nl; p && *p && (nl = strchr(p, '\n')); p = nl + 1)
		json_put_raw(&w->body, p, (size_t)(nl - p));
	json_put_close(&w->body, ']');
	json_kv_int(&w->body, "count", json_number(end, "count", 0));
	if (json_number(end, "next", 0))
		json_kv_int(&w->body, "next", json_number(end, "next", 0));
	json_put_close(&w->body, '}');
	buf_addc(&w->body, '\n');
}

void
task_list(const struct http_request *r, struct http_reply *w)
{
	struct buf line = { 0 }, lines = { 0 };
	cJSON *end = NULL;
	struct err e;

	open_line(&line, "query");
	json_put_key(&line, "list");
	json_put_open(&line, '{');
	if (put_filter(r, &line, &e)) {
		http_fail(w, &e);
		goto out;
	}
	json_put_close(&line, '}');
	json_put_close(&line, '}');
	end = http_ask(r, &line, "end error", w, &lines);
	if (end)
		put_page(w, &lines, end);
out:
	cJSON_Delete(end);
	buf_free(&lines);
	buf_free(&line);
}

/* What is to be expected of such a task, by what was learned. */
void
predict_post(const struct http_request *r, struct http_reply *w)
{
	struct buf line = { 0 };
	cJSON *question;
	struct err e;

	question = json_parse_object(buf_str(&r->body), r->body.len, &e);
	if (!question) {
		http_fail(w, &e);
		return;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(question, "op");
	cJSON_AddStringToObject(question, "op", "predict");
	json_put_tree(&line, question);
	cJSON_Delete(http_ask(r, &line, "prediction error", w, NULL));
	cJSON_Delete(question);
	buf_free(&line);
}
