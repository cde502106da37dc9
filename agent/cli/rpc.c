#include "rpc.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define SMALL 8192                      /* an answer that fits into any batch */

/* Answered together, in the order in which they are ready. */
struct rpc_batch {
	int open;                       /* requests without an answer, and one while it is being read */
	struct buf out;
};

static const struct rpc_call nobody = { .id = "null" };

void
rpc_release(struct rpc *r)
{
	buf_free(&r->in);
}

/* Answers */

static void
batch_close_one(struct rpc *r, struct rpc_batch *b)
{
	if (--b->open)
		return;
	if (b->out.len) {
		buf_addc(&b->out, ']');
		r->on_line(r->arg, b->out.data, b->out.len);
	}
	buf_free(&b->out);
	free(b);
}

static void
batch_add(struct rpc_batch *b, const char *line, size_t len)
{
	buf_addc(&b->out, b->out.len ? ',' : '[');
	buf_add(&b->out, line, len);
}

static void
too_large(struct rpc *r, const struct rpc_call *c)
{
	rpc_error(r, c, RPC_INTERNAL, NULL, "the answers of this batch are more than %u bytes; send its requests one by one",
	    RPC_BATCH_MAX);
}

static void
answer(struct rpc *r, const struct rpc_call *c, const struct buf *line)
{
	if (!c->batch) {
		r->on_line(r->arg, line->data, line->len);
	} else if (c->batch->out.len + line->len > RPC_BATCH_MAX && line->len > SMALL) {
		too_large(r, c);
	} else {
		batch_add(c->batch, line->data, line->len);
		batch_close_one(r, c->batch);
	}
}

static void
put_head(struct buf *b, const struct rpc_call *c)
{
	json_put_open(b, '{');
	json_kv_str(b, "jsonrpc", "2.0");
	json_kv_raw(b, "id", c->id, strlen(c->id));
}

void
rpc_result(struct rpc *r, const struct rpc_call *c, const char *json, size_t len)
{
	struct buf b = { .max = len + RPC_ID_MAX + 64 };

	put_head(&b, c);
	json_kv_raw(&b, "result", json, len);
	json_put_close(&b, '}');
	answer(r, c, &b);
	buf_free(&b);
}

void
rpc_error(struct rpc *r, const struct rpc_call *c, int code, const char *data, const char *fmt, ...)
{
	struct buf b = { 0 };
	char msg[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	put_head(&b, c);
	json_put_key(&b, "error");
	json_put_open(&b, '{');
	json_kv_int(&b, "code", code);
	json_kv_str(&b, "message", msg);
	if (data)
		json_kv_raw(&b, "data", data, strlen(data));
	json_put_close(&b, '}');
	json_put_close(&b, '}');
	answer(r, c, &b);
	buf_free(&b);
}

void
rpc_drop(struct rpc *r, const struct rpc_call *c)
{
	if (c->batch)
		batch_close_one(r, c->batch);
}

void
rpc_notify(struct rpc *r, const char *method, const char *params, size_t len)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "jsonrpc", "2.0");
	json_kv_str(&b, "method", method);
	json_kv_raw(&b, "params", params, len);
	json_put_close(&b, '}');
	r->on_line(r->arg, b.data, b.len);
	buf_free(&b);
}

/* Messages */

/* A string or a number. */
static bool
read_id(const cJSON *v, struct rpc_call *c)
{
	struct buf b = { .max = RPC_ID_MAX };
	bool good = false;

	if (cJSON_IsString(v) || cJSON_IsNumber(v)) {
		json_put_tree(&b, v);
		good = buf_ok(&b);
	}
	snprintf(c->id, sizeof c->id, "%s", good ? buf_str(&b) : "null");
	buf_free(&b);
	return good;
}

static void
refuse(struct rpc *r, struct rpc_batch *batch, const char *id, const char *field, const cJSON *v, const char *expected)
{
	struct rpc_call c = { .batch = batch };
	char got[64];

	snprintf(c.id, sizeof c.id, "%s", id);
	if (batch)
		batch->open++;
	rpc_error(r, &c, RPC_INVALID_REQUEST, NULL, "%s: expected %s, got %s", field, expected,
	    v ? json_brief(v, got, sizeof got) : "nothing");
}

static void
take_message(struct rpc *r, struct rpc_batch *batch, const cJSON *m)
{
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(m, "jsonrpc"), *method, *id, *params;
	struct rpc_call c = { .batch = batch };
	bool has_id;

	if (!cJSON_IsObject(m)) {
		refuse(r, batch, "null", "message", m, "an object");
		return;
	}
	method = cJSON_GetObjectItemCaseSensitive(m, "method");
	id = cJSON_GetObjectItemCaseSensitive(m, "id");
	params = cJSON_GetObjectItemCaseSensitive(m, "params");
	/* Nothing is asked of clients, so an answer is to nothing of ours. */
	if (!method && (cJSON_HasObjectItem(m, "result") || cJSON_HasObjectItem(m, "error")))
		return;
	has_id = read_id(id, &c);
	if (strcmp(json_text(m, "jsonrpc"), "2.0") != 0) {
		refuse(r, batch, c.id, "jsonrpc", version, "\"2.0\"");
	} else if (!cJSON_IsString(method)) {
		refuse(r, batch, c.id, "method", method, "a string");
	} else if (id && !has_id) {
		refuse(r, batch, "null", "id", id, "a number, or a string that is not too long");
	} else if (!id) {
		if (!params || cJSON_IsObject(params))
			r->on_notification(r->arg, method->valuestring, params);
	} else if (params && !cJSON_IsObject(params)) {
		if (batch)
			batch->open++;
		rpc_error(r, &c, RPC_INVALID_PARAMS, NULL, "params: expected an object");
	} else {
		if (batch)
			batch->open++;
		r->on_request(r->arg, &c, method->valuestring, params);
	}
}

static void
take_batch(struct rpc *r, const cJSON *list)
{
	struct rpc_batch *b;
	const cJSON *m;

	if (!r->batches || !list->child || cJSON_GetArraySize(list) > RPC_BATCH_MESSAGES) {
		rpc_error(r, &nobody, RPC_INVALID_REQUEST, NULL, !r->batches ?
		    "message: expected an object, got an array; batches are of protocol version 2025-03-26 only" :
		    "message: expected an object, or an array of 1 to %d", RPC_BATCH_MESSAGES);
		return;
	}
	b = xcalloc(1, sizeof *b);
	b->out.max = RPC_BATCH_MAX + RPC_BATCH_MESSAGES * SMALL;
	b->open = 1;
	cJSON_ArrayForEach(m, list)
		take_message(r, b, m);
	batch_close_one(r, b);
}

static void
take_line(struct rpc *r, const char *line, size_t len)
{
	struct err e = { 0 };
	cJSON *m;

	if (strspn(line, " \t\r") == len)
		return;
	m = json_parse(line, len, &e);
	if (!m)
		rpc_error(r, &nobody, RPC_PARSE_ERROR, NULL, "%s", e.msg);
	else if (cJSON_IsArray(m))
		take_batch(r, m);
	else
		take_message(r, NULL, m);
	cJSON_Delete(m);
}

/* Part of a line. Only its beginning is kept when it is too long. */
static void
take_part(struct rpc *r, const char *p, size_t len)
{
	if (r->skips)
		return;
	if (r->in.len + len > RPC_LINE_MAX) {
		r->skips = true;
		buf_clear(&r->in);
		return;
	}
	r->in.max = RPC_LINE_MAX + 1;
	buf_add(&r->in, p, len);
}

static void
end_line(struct rpc *r)
{
	if (r->skips)
		rpc_error(r, &nobody, RPC_INVALID_REQUEST, NULL, "message: a line of more than %u bytes", RPC_LINE_MAX);
	else if (r->in.len)
		take_line(r, r->in.data, r->in.len);
	r->skips = false;
	buf_clear(&r->in);
}

void
rpc_feed(struct rpc *r, const char *data, size_t len)
{
	const char *end = data + len, *nl;

	for (; (nl = memchr(data, '\n', (size_t)(end - data))); data = nl + 1) {
		take_part(r, data, (size_t)(nl - data));
		end_line(r);
	}
	take_part(r, data, (size_t)(end - data));
}
