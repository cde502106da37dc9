#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "base64.h"
#include "clock.h"
#include "file.h"
#include "http.h"
#include "param.h"
#include "secret.h"
#include "tool.h"

#define MAX_CA 1048576
#define SPARE_MS 500            /* to report a timeout before the worker is stopped */
#define ROOM 1024               /* of the result, for what is neither header, URL nor body */

const struct retry_rule http_retry = { .on = { 408, 425, 429, 500, 502, 503, 504 } };
const struct target_rule http_target = { .params = { "url" }, .url = true, .down = { 429, 500, 502, 503, 504 } };

int
http_ca_read(const struct tool_run *r, struct buf *ca, struct err *e)
{
	struct stat st;
	int fd = param_str(r, "ca_file") ? file_open(r, "ca_file", &st, e) : -1;
	ssize_t n = 1;

	if (fd < 0)
		return param_str(r, "ca_file") ? -1 : 0;
	ca->max = MAX_CA;
	while (n > 0 && buf_ok(ca)) {
		char *to = buf_reserve(ca, 16384);

		n = to ? read(fd, to, 16384) : 0;
		ca->len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (n < 0)
		return err_set(e, ERR_IO, "params.ca_file: %s", strerror(errno));
	if (!buf_ok(ca) || !ca->len || !memmem(ca->data, ca->len, "-----BEGIN", 10))
		return err_field(e, ERR_INVALID, "params.ca_file", param_str(r, "ca_file"),
		    "certificates in PEM, at most 1 MiB");
	return 0;
}

/* The shorter of what was asked for and what the task has left. */
static int64_t
time_for(const struct tool_run *r, int64_t seconds)
{
	int64_t left = run_deadline(r, SPARE_MS) - clock_mono_ms();

	return seconds * 1000 < left ? seconds * 1000 : left;
}

int
http_request_read(const struct tool_run *r, struct http_request *q, struct err *e)
{
	*q = (struct http_request){
		.run = r,
		.url = param_str(r, "url"),
		.headers = cJSON_GetObjectItemCaseSensitive(r->params, "headers"),
		.max_redirects = param_int(r, "max_redirects"),
		.timeout_ms = time_for(r, param_int(r, "timeout_s")),
		.connect_ms = time_for(r, param_int(r, "connect_timeout_s")),
		.max_body = (size_t)param_int(r, "max_bytes"),
	};
	q->secret = secret_param(r, "secret", e);
	if (!q->secret && e->code != ERR_NONE)
		return -1;
	return http_ca_read(r, &q->ca, e);
}

void
http_request_release(struct http_request *q)
{
	buf_free(&q->ca);
}

/* A status from 400 on: what the server says about it is for the person who reads the error. */
static int
status_failure(const struct http_request *q, struct http_answer *a, struct err *e)
{
	char brief[200], after[48] = "", text[161];
	bool readable;
	size_t n = file_text_fits(buf_str(&a->body), a->body.len, sizeof text - 1, &readable);

	http_url_brief(q->url, brief, sizeof brief);
	if (a->retry_after_s > 0)
		snprintf(after, sizeof after, ", retry after %lld s", (long long)a->retry_after_s);
	snprintf(text, sizeof text, "%.*s", readable ? (int)n : 0, buf_str(&a->body));
	for (char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	err_set(e, ERR_TOOL, "%s %s: status %d%s%s%s", q->post ? "POST" : "GET", brief, a->status, after,
	    text[0] ? ": " : "", text);
	snprintf(e->expected, sizeof e->expected, "a status below 400");
	snprintf(e->got, sizeof e->got, "%d", a->status);
	return -1;
}

/* One member per name: repeated ones are joined as RFC 9110 allows. */
static void
put_joined(struct buf *result, const struct http_answer *a, size_t first)
{
	const char *name = a->headers[first].name;
	struct buf value = { 0 };

	buf_adds(&value, a->headers[first].value);
	for (size_t i = first + 1; i < a->nheaders; i++)
		if (strcmp(a->headers[i].name, name) == 0)
			buf_addf(&value, ", %s", a->headers[i].value);
	json_kv_str(result, name, buf_str(&value));
	buf_free(&value);
}

static bool
seen_before(const struct http_answer *a, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(a->headers[i].name, a->headers[at].name) == 0)
			return true;
	return false;
}

static void
put_headers(const struct config *c, const struct http_answer *a, struct buf *result)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	for (size_t i = 0; i < a->nheaders; i++)
		if (!seen_before(a, i))
			put_joined(&b, a, i);
	json_put_close(&b, '}');
	secret_mask(c, &b);
	json_kv_raw(result, "headers", buf_str(&b), b.len);
	if (a->headers_cut)
		json_kv_bool(result, "headers_truncated", true);
	buf_free(&b);
}

static void
put_times(const struct http_answer *a, struct buf *result)
{
	json_put_key(result, "times_ms");
	json_put_open(result, '{');
	json_kv_num(result, "name", (double)a->dns_us / 1000);
	json_kv_num(result, "connect", (double)a->connect_us / 1000);
	if (a->tls_us)
		json_kv_num(result, "tls", (double)a->tls_us / 1000);
	json_kv_num(result, "first_byte", (double)a->first_byte_us / 1000);
	json_kv_num(result, "total", (double)a->total_us / 1000);
	json_put_close(result, '}');
}

static bool
is_json_type(const char *type)
{
	size_t n = type ? strcspn(type, "; \t") : 0;

	return (n == 16 && strncasecmp(type, "application/json", n) == 0) ||
	    (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0);
}

/* Adds the body as a tree; false, and nothing added, if it is none that fits. */
static bool
put_json_body(const struct http_answer *a, size_t room, struct buf *result)
{
	size_t before = result->len;
	bool json = is_json_type(a->type) && !a->cut && json_check_inner(buf_str(&a->body), a->body.len, NULL) == 0;
	cJSON *v = json ? json_parse(buf_str(&a->body), a->body.len, NULL) : NULL;
	bool fits = v != NULL;

	if (fits) {
		json_put_key(result, "json");
		json_put_tree(result, v);
		fits = result->len - before <= room;
	}
	if (!fits)
		buf_cut(result, before);
	cJSON_Delete(v);
	return fits;
}

static void
put_bytes_body(const struct http_answer *a, size_t room, struct buf *result)
{
	bool text;
	size_t n = file_text_fits(buf_str(&a->body), a->body.len, room, &text);

	/* The half of a character at the end is the cut's doing, or it is not text. */
	if (text && n < a->body.len && !a->cut && !json_utf8_len(a->body.data + n, a->body.len - n))
		text = false;
	if (!text)
		n = a->body.len < room / 4 * 3 ? a->body.len : room / 4 * 3;
	json_kv_str(result, "encoding", text ? "utf-8" : "base64");
	json_put_key(result, "content");
	if (text) {
		json_put_strn(result, buf_str(&a->body), n);
	} else {
		buf_addc(result, '"');
		base64_put(result, buf_str(&a->body), n);
		buf_addc(result, '"');
	}
	json_kv_int(result, "bytes", (int64_t)n);
	json_kv_bool(result, "truncated", a->cut || n < a->body.len);
}

static void
put_body(const struct tool_run *r, const struct http_answer *a, struct buf *result)
{
	size_t taken = result->len + ROOM;
	size_t room = r->max_output > taken ? r->max_output - taken : 0;

	if (put_json_body(a, room, result)) {
		json_kv_int(result, "bytes", (int64_t)a->body.len);
		json_kv_bool(result, "truncated", false);
		return;
	}
	put_bytes_body(a, room, result);
}

static void
put_url(const struct tool_run *r, const struct http_answer *a, struct buf *result)
{
	struct buf url = { 0 };

	buf_adds(&url, a->url ? a->url : "");
	secret_mask(r->env->config, &url);
	json_kv_str(result, "url", buf_str(&url));
	buf_free(&url);
}

int
http_answer_put(struct tool_run *r, const struct http_request *q, struct http_answer *a,
    struct buf *result, struct err *e)
{
	secret_mask(r->env->config, &a->body);
	if (a->status >= 400) {
		tool_failed_with(r, a->status, a->retry_after_s);
		return status_failure(q, a, e);
	}
	json_put_open(result, '{');
	put_url(r, a, result);
	json_kv_int(result, "status", a->status);
	put_headers(r->env->config, a, result);
	json_kv_str(result, "content_type", a->type);
	json_kv_str(result, "address", a->address);
	if (a->version)
		json_kv_num(result, "http_version", (double)a->version / 10);
	json_kv_int(result, "redirects", a->redirects);
	if (a->length >= 0)
		json_kv_int(result, "content_length", a->length);
	if (a->retry_after_s > 0)
		json_kv_int(result, "retry_after_s", a->retry_after_s);
	put_times(a, result);
	put_body(r, a, result);
	json_put_close(result, '}');
	return 0;
}
