#include "base64.h"
#include "file.h"
#include "http.h"
#include "notes.h"
#include "param.h"
#include "place.h"
#include "tool.h"

#define MAX_BODY (4u << 20)

/* The body in b, from whichever of the parameters is there. */
static int
read_body(const struct tool_run *r, struct buf *b, struct err *e)
{
	const cJSON *json = cJSON_GetObjectItemCaseSensitive(r->params, "json");
	const char *text = param_str(r, "body"), *coded = param_str(r, "body_base64");

	b->max = MAX_BODY;
	if ((json != NULL) + (text != NULL) + (coded != NULL) > 1)
		return err_field(e, ERR_INVALID, "params.body", NULL, "one of json, body and body_base64");
	if (json)
		json_put_tree(b, json);
	else if (text)
		buf_adds(b, text);
	else if (coded && base64_decode(b, coded, strlen(coded), e))
		return err_field(e, ERR_INVALID, "params.body_base64", NULL, "base64 (%s)", e->msg);
	return buf_ok(b) ? 0 : err_field(e, ERR_TOO_BIG, "params.body", NULL, "at most %u bytes", MAX_BODY);
}

static const char *
type_of_body(const struct tool_run *r)
{
	const char *given = param_str(r, "content_type");

	if (given)
		return given;
	if (cJSON_GetObjectItemCaseSensitive(r->params, "json"))
		return "application/json";
	return param_str(r, "body") ? "text/plain; charset=utf-8" : "application/octet-stream";
}

static void
on_send(void *arg)
{
	tool_effect_begins(arg);
}

/* What was sent, and where to. */
static void
note_posted(struct tool_run *r, const struct buf *body)
{
	struct buf place = { .max = 16384 };
	struct err none = { 0 };
	char hex[FILE_HASH_HEX];

	file_hash_bytes(buf_str(body), body->len, hex);
	if (http_place(param_str(r, "url"), &place, &none) == 0)
		note_write(r, PLAN_URL, buf_str(&place), hex);
	buf_free(&place);
}

/* Until the request is on its way nothing can have happened. After that only a refusal by the very
 * server that was asked says so: after a redirect it may be a later request that is refused. */
static int
http_post_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct buf body = { 0 };
	struct http_answer a = { 0 };
	struct http_request q;
	int rc = http_request_read(r, &q, e);

	if (rc == 0)
		rc = read_body(r, &body, e);
	if (rc == 0) {
		q.post = buf_str(&body);
		q.post_len = body.len;
		q.content_type = type_of_body(r);
		q.on_send = on_send;
		q.arg = r;
		rc = http_run(&q, &a, e);
	}
	if (rc == 0 && a.status >= 400 && a.status < 500 && !a.redirects)
		tool_effect_none(r);
	if (rc == 0)
		rc = http_answer_put(r, &q, &a, result, e);
	if (rc == 0 && r->notes)
		note_posted(r, &body);
	http_answer_release(&a);
	http_request_release(&q);
	buf_free(&body);
	return rc;
}

static int
touch_url(struct tool_run *r, struct plan *p, struct err *e)
{
	struct buf place = { .max = 16384 };
	int rc = http_place(param_str(r, "url"), &place, e);

	if (rc == 0)
		rc = plan_touch(p, PLAN_URL, PLAN_WRITES, buf_str(&place), NULL, e);
	if (rc == 0 && param_int(r, "max_redirects") > 0)
		rc = plan_touch(p, PLAN_URL, PLAN_WRITES, PLACE_ANY_URL, NULL, e);
	plan_target(p, "POST %s", buf_str(&place));
	buf_free(&place);
	return rc;
}

static void
show_request(const struct tool_run *r, const struct buf *body, struct plan *p)
{
	char hex[FILE_HASH_HEX], brief[512];
	bool text;

	http_url_brief(param_str(r, "url"), brief, sizeof brief);
	file_hash_bytes(buf_str(body), body->len, hex);
	plan_showf(p, "POST %s\n%s, %zu bytes, sha256 %s\n", brief, type_of_body(r), body->len, hex);
	if (param_int(r, "max_redirects") > 0)
		plan_showf(p, "follows up to %lld redirects, to wherever they lead\n",
		    (long long)param_int(r, "max_redirects"));
	if (file_text_fits(buf_str(body), body->len, SIZE_MAX, &text) == body->len && text)
		plan_show(p, buf_str(body), body->len);
}

static int
http_post_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	struct buf body = { 0 };
	int rc = read_body(r, &body, e) || touch_url(r, p, e) ? -1 : 0;

	if (rc == 0 && p->wants_dry_run)
		show_request(r, &body, p);
	buf_free(&body);
	return rc;
}

static int
http_post_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	int64_t status = json_number(result, "status", 0);
	char found[24];

	snprintf(found, sizeof found, "%lld", (long long)status);
	return note_check(r, "http_status", json_text(result, "url"), status >= 200 && status < 300, found, "2xx",
	    e);
}

const struct tool tool_http_post = {
	.name = "http_post",
	.summary = "Posts to a URL: status, headers and body, parsed if it is JSON",
	.schema = "{\"type\":\"object\",\"required\":[\"url\"],\"properties\":{" HTTP_SCHEMA ","
	    "\"json\":{\"description\":\"The body as any JSON value.\"},"
	    "\"body\":{\"type\":\"string\",\"description\":\"The body as text.\"},"
	    "\"body_base64\":{\"type\":\"string\",\"description\":\"The body as bytes.\"},"
	    "\"content_type\":{\"type\":\"string\",\"pattern\":\"^[!-~][ -~]*$\",\"maxLength\":200,"
	    "\"description\":\"Default: application/json, text/plain or application/octet-stream.\"}}}",
	/* A server may do again what it is asked again. */
	.effect = TOOL_EXCLUSIVE,
	.timeout_s = 60,
	.run = http_post_run,
	.target = &http_target,
	.plan = http_post_plan,
	.prove = http_post_prove,
	.retry = &http_retry,
};
