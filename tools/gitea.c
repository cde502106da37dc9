#include "gitea_impl.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "http.h"

#define TIMEOUT_MS 30000
#define CONNECT_MS 10000
#define CA_MAX (1u << 20)
#define STEP_MS 100

static const struct {
	const char *name;
	enum err_code code;
} kinds[GITEA_NKINDS] = {
#define X(sym, name, code, text) [sym] = { name, code },
	GITEA_FAILURES(X)
#undef X
};

/* What a status means, the first that fits. */
static const struct {
	int from, to;
	enum gitea_kind kind;
} statuses[] = {
	{ 200, 299, GITEA_FINE },     { 300, 399, GITEA_NOT_FOUND }, { 401, 401, GITEA_FORBIDDEN }, { 403, 403, GITEA_FORBIDDEN },
	{ 404, 404, GITEA_NOT_FOUND }, { 410, 410, GITEA_NOT_FOUND }, { 405, 405, GITEA_CONFLICT }, { 409, 409, GITEA_CONFLICT },
	{ 412, 412, GITEA_CONFLICT }, { 423, 423, GITEA_LOCKED }, { 408, 408, GITEA_UNAVAILABLE },
	{ 424, 425, GITEA_UNAVAILABLE }, { 429, 429, GITEA_LIMITED }, { 400, 499, GITEA_REFUSED },
	{ 500, 599, GITEA_UNAVAILABLE },
};

const char *
gitea_kind_name(enum gitea_kind k)
{
	return kinds[k].name;
}

static enum gitea_kind
kind_of(int status)
{
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (status >= statuses[i].from && status <= statuses[i].to)
			return statuses[i].kind;
	return GITEA_STRANGE;
}

static bool
token_ok(const char *token)
{
	if (!token || !*token || strlen(token) > 1024)
		return false;
	for (; *token; token++)
		if (*token <= ' ' || *token > '~')
			return false;
	return true;
}

static bool
url_ok(const char *url)
{
	return url && (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) && !strpbrk(url, "?#@ ");
}

struct gitea *
gitea_open(const struct gitea_options *o, struct err *e)
{
	struct buf base = { .max = 4096 };
	struct gitea *g;

	if (!url_ok(o->url) || strlen(o->url) > 2048) {
		err_field(e, ERR_INVALID, "gitea.url", NULL, "http(s)://host[:port][/path], without user name");
		return NULL;
	}
	if (!token_ok(o->token)) {
		err_field(e, ERR_INVALID, "gitea.token", NULL, "a token of printable characters without spaces");
		return NULL;
	}
	g = xcalloc(1, sizeof *g);
	buf_adds(&base, o->url);
	while (base.data[base.len - 1] == '/')
		buf_cut(&base, base.len - 1);
	g->token = (struct config_secret){ .name = xstrdup("gitea.token"), .value = xstrdup(o->token), .origin = xstrdup(o->url) };
	buf_adds(&base, "/api/v1");
	g->base = buf_take(&base);
	if (o->ca)
		buf_adds(&g->ca, o->ca);
	g->each_us = o->each_us;
	g->burst = o->burst > 0 ? o->burst : 1;
	g->turn = o->turn ? o->turn : &g->own;
	g->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : TIMEOUT_MS;
	g->stop = o->stop;
	g->on_write = o->on_write;
	g->arg = o->arg;
	return g;
}

static int
read_ca(const char *path, struct buf *b, struct err *e)
{
	FILE *f = fopen(path, "re");
	char part[4096];
	size_t n;

	b->max = CA_MAX;
	while (f && (n = fread(part, 1, sizeof part, f)))
		buf_add(b, part, n);
	if (f)
		fclose(f);
	if (!f || !buf_ok(b) || !strstr(buf_str(b), "-----BEGIN"))
		return err_set(e, ERR_CONFIG, "gitea.ca: %.200s: expected certificates in PEM, at most 1 MiB", path);
	return 0;
}

struct gitea *
gitea_open_configured(const struct config *c, const struct gitea_options *o, struct err *e)
{
	struct gitea_options all = *o;
	struct buf ca = { 0 };
	struct gitea *g = NULL;

	if (!c->gitea.url) {
		err_set(e, ERR_CONFIG, "there is no gitea.url in the configuration");
		return NULL;
	}
	all.url = c->gitea.url;
	all.token = config_secret_value(c, c->gitea.token);
	all.each_us = c->gitea.each_us;
	all.burst = c->gitea.burst;
	all.timeout_ms = c->gitea.timeout_s * 1000;
	if (!all.token)
		err_set(e, ERR_CONFIG, "gitea.token: there is no secret %.64s here", c->gitea.token);
	else if (!c->gitea.ca || read_ca(c->gitea.ca, &ca, e) == 0) {
		all.ca = ca.len ? buf_str(&ca) : NULL;
		g = gitea_open(&all, e);
	}
	buf_free(&ca);
	return g;
}

void
gitea_close(struct gitea *g)
{
	if (!g)
		return;
	http_line_close(&g->line);
	OPENSSL_cleanse(g->token.value, strlen(g->token.value));
	free(g->token.name);
	free(g->token.value);
	free(g->token.origin);
	free(g->base);
	buf_free(&g->ca);
	free(g);
}

void
gitea_deadline(struct gitea *g, int64_t mono_ms)
{
	g->deadline_ms = mono_ms;
}

const struct gitea_failure *
gitea_failure(const struct gitea *g)
{
	return &g->failure;
}

int
gitea_fail(struct gitea *g, enum gitea_kind kind, struct err *e, const char *what)
{
	g->failure.kind = kind;
	if (kind == GITEA_LIMITED && g->failure.retry_after_s > 0)
		return err_busy(e, (int)g->failure.retry_after_s, "%s", what);
	return err_set(e, kinds[kind].code, "%s", what);
}

static int64_t
time_left(const struct gitea *g)
{
	return g->deadline_ms ? g->deadline_ms - clock_mono_ms() : INT64_MAX;
}

static bool
is_over(const struct gitea *g)
{
	return time_left(g) <= 0 || (g->stop && g->stop(g->arg));
}

/* Saves up what the time since the last look is worth; at first all that can be. */
static void
count_credit(struct gitea *g)
{
	struct gitea_turn *t = g->turn;
	int64_t now_us = clock_mono_us(), most_us = g->each_us * g->burst;

	t->credit_us = t->counted_us ? t->credit_us + now_us - t->counted_us : most_us;
	t->credit_us = t->credit_us < most_us ? t->credit_us : most_us;
	t->counted_us = now_us;
}

/* Waits for its turn, and takes it. */
static int
take_turn(struct gitea *g, struct err *e)
{
	struct gitea_turn *t = g->turn;
	int64_t wait_ms = t->not_before_ms - clock_mono_ms();

	if (wait_ms > 0) {
		g->failure.retry_after_s = (wait_ms + 999) / 1000;
		return gitea_fail(g, GITEA_LIMITED, e, "Gitea asked us to come again later");
	}
	for (;;) {
		if (is_over(g))
			return gitea_fail(g, GITEA_STOPPED, e, "no time is left for a request to Gitea");
		count_credit(g);
		if (t->credit_us >= g->each_us)
			break;
		wait_ms = (g->each_us - t->credit_us + 999) / 1000;
		wait_ms = wait_ms < STEP_MS ? wait_ms : STEP_MS;
		nanosleep(&(struct timespec){ .tv_nsec = wait_ms * 1000000 }, NULL);
	}
	t->credit_us -= g->each_us;
	return 0;
}

static void
on_send(void *arg)
{
	struct gitea *g = arg;

	g->failure.unsure = true;
	if (g->on_write)
		g->on_write(g->arg);
}

static bool
on_pause(void *arg)
{
	return is_over(arg);
}

/* What Gitea says of it, in a few words without control characters; nothing if it says what only we should know. */
static void
reason_of(const struct gitea *g, const struct http_answer *a, char *out, size_t size)
{
	cJSON *o = json_parse_object(buf_str(&a->body), a->body.len, NULL);
	const char *text = json_text(o, "message");

	snprintf(out, size, "%s%.160s", *text ? ": " : "", strstr(text, g->token.value) ? "" : text);
	for (char *p = out; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	cJSON_Delete(o);
}

/* The request in short: method and path, without the query. */
static void
brief(const struct gitea_ask *q, char *out, size_t size)
{
	const char *path = buf_str(q->path);

	snprintf(out, size, "Gitea, %s %.*s", q->method, (int)strcspn(path, "?"), path);
}

static int
status_failed(struct gitea *g, const struct gitea_ask *q, const struct http_answer *a, struct err *e)
{
	static const char *const hints[GITEA_NKINDS] = {
		[GITEA_NOT_FOUND] = "; what the token may not see is not found either",
		[GITEA_FORBIDDEN] = "; the token is not valid, or lacks a scope (write:issue, write:repository, read:user)",
		[GITEA_LOCKED] = "; the repository is archived",
	};
	enum gitea_kind kind = kind_of(a->status);
	char what[600], reason[200], request[256];

	brief(q, request, sizeof request);
	reason_of(g, a, reason, sizeof reason);
	snprintf(what, sizeof what, "%s: status %d%s%s", request, a->status, reason, hints[kind] ? hints[kind] : "");
	/* What it refuses it has not done; of a failure of its own it does not know that. */
	g->failure.unsure = g->failure.unsure && a->status >= 500;
	if (a->retry_after_s > 0) {
		g->failure.retry_after_s = a->retry_after_s < INT32_MAX / 1000 ? a->retry_after_s : INT32_MAX / 1000;
		g->turn->not_before_ms = clock_mono_ms() + g->failure.retry_after_s * 1000;
	}
	return gitea_fail(g, kind, e, what);
}

static int
transport_failed(struct gitea *g, struct err *e)
{
	g->failure.kind = is_over(g) ? GITEA_STOPPED : e->code == ERR_INVALID || e->code == ERR_TOOL ? GITEA_STRANGE :
	    GITEA_UNREACHABLE;
	return err_wrap(e, "Gitea");
}

int
gitea_strange(struct gitea *g, const struct gitea_ask *q, struct err *e, const char *why)
{
	char what[768], request[256];

	brief(q, request, sizeof request);
	snprintf(what, sizeof what, "%s: %s", request, why);
	return gitea_fail(g, GITEA_STRANGE, e, what);
}

static int
take_answer(struct gitea *g, struct gitea_ask *q, const struct http_answer *a, cJSON **out, struct err *e)
{
	const char *link = http_answer_header(a, "link"), *total = http_answer_header(a, "x-total-count");
	struct err why = { 0 };
	cJSON *tree;

	if (kind_of(a->status) != GITEA_FINE)
		return status_failed(g, q, a, e);
	q->next_page = link ? gitea_link_next(link) : 0;
	q->total = total && isdigit((unsigned char)*total) ? strtoll(total, NULL, 10) : -1;
	if (!out)
		return 0;
	if (a->cut)
		return gitea_strange(g, q, e, "the answer is larger than 8 MiB");
	tree = json_parse(buf_str(&a->body), a->body.len, &why);
	if (!tree)
		return gitea_strange(g, q, e, why.msg);
	*out = tree;
	return 0;
}

static int
run(struct gitea *g, struct gitea_ask *q, cJSON **out, struct err *e)
{
	int64_t left = time_left(g), timeout_ms = left < g->timeout_ms ? left : g->timeout_ms;
	bool changes = strcmp(q->method, "GET") != 0;
	struct buf url = { .max = 16384 };
	struct http_request h = {
		.method = q->method,
		.post = q->body ? buf_str(q->body) : NULL,
		.post_len = q->body ? q->body->len : 0,
		.content_type = q->body ? "application/json" : NULL,
		.secret = &g->token,
		.ca = g->ca,
		.timeout_ms = timeout_ms,
		.connect_ms = timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS,
		.max_body = GITEA_ANSWER_MAX,
		.on_send = changes ? on_send : NULL,
		.is_over = on_pause,
		.arg = g,
		.line = &g->line,
	};
	struct http_answer a;
	int rc;

	buf_adds(&url, g->base);
	buf_adds(&url, buf_str(q->path));
	h.url = buf_str(&url);
	rc = http_run(&h, &a, e);
	if (!rc && a.ended)
		rc = err_set(e, ERR_TIMEOUT, "%s: stopped", q->method ? q->method : "GET");
	g->failure.status = a.status;
	rc = rc ? transport_failed(g, e) : take_answer(g, q, &a, out, e);
	g->failure.unsure = g->failure.unsure && rc != 0;
	http_answer_release(&a);
	buf_free(&url);
	return rc;
}

int
gitea_ask(struct gitea *g, struct gitea_ask *q, cJSON **out, struct err *e)
{
	struct err nobody_asks;

	e = e ? e : &nobody_asks;
	*e = (struct err){ 0 };
	g->failure = (struct gitea_failure){ .kind = GITEA_FINE };
	if (out)
		*out = NULL;
	if (!buf_ok(q->path) || (q->body && !buf_ok(q->body)))
		return gitea_fail(g, GITEA_REFUSED, e, "a request to Gitea would be too long");
	return take_turn(g, e) || run(g, q, out, e) ? -1 : 0;
}
