#include "gitea.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "config.h"
#include "err.h"
#include "http.h"
#include "json.h"

#define TIMEOUT_MS 30000
#define CONNECT_MS 10000
#define CA_MAX (1u << 20)
#define STEP_MS 100
#define LISTINGS 3              /* a listing begins so often */

struct gitea {
	char *base;                     /* with /api/v1 at its end */
	struct config_secret token;
	struct buf ca;
	int64_t each_us, burst;
	int64_t timeout_ms, deadline_ms;
	bool (*stop)(void *arg);
	void (*on_write)(void *arg);
	void *arg;
	void *line;                     /* of http.h */
	int64_t credit_us;              /* saved up: each_us of it is a request */
	int64_t counted_us;             /* clock_mono_us() up to which it was */
	int64_t not_before_ms;          /* by Retry-After */
	char login[GITEA_LOGIN_MAX];    /* "": not asked yet */
	struct gitea_failure failure;
};

/* One request. */
struct ask {
	const char *method;
	const struct buf *path;         /* and query, beneath base */
	const struct buf *body;         /* JSON; NULL: none */
	int64_t next_page, total;       /* of a listing: 0, -1 if nothing was said of it */
};

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
	g->credit_us = g->each_us * g->burst;
	g->counted_us = clock_mono_us();
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
	all.token = NULL;
	for (size_t i = 0; i < c->nsecrets; i++)
		if (strcmp(c->secrets[i].name, c->gitea.token) == 0)
			all.token = c->secrets[i].value;
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

static int
failed(struct gitea *g, enum gitea_kind kind, struct err *e, const char *what)
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

/* Waits for its turn, and takes it. */
static int
take_turn(struct gitea *g, struct err *e)
{
	int64_t wait_ms = g->not_before_ms - clock_mono_ms();

	if (wait_ms > 0) {
		g->failure.retry_after_s = (wait_ms + 999) / 1000;
		return failed(g, GITEA_LIMITED, e, "Gitea asked us to come again later");
	}
	for (;;) {
		int64_t now_us = clock_mono_us();

		if (is_over(g))
			return failed(g, GITEA_STOPPED, e, "no time is left for a request to Gitea");
		g->credit_us += now_us - g->counted_us;
		g->counted_us = now_us;
		if (g->credit_us > g->each_us * g->burst)
			g->credit_us = g->each_us * g->burst;
		if (g->credit_us >= g->each_us)
			break;
		wait_ms = (g->each_us - g->credit_us + 999) / 1000;
		wait_ms = wait_ms < STEP_MS ? wait_ms : STEP_MS;
		nanosleep(&(struct timespec){ .tv_nsec = wait_ms * 1000000 }, NULL);
	}
	g->credit_us -= g->each_us;
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
brief(const struct ask *q, char *out, size_t size)
{
	const char *path = buf_str(q->path);

	snprintf(out, size, "Gitea, %s %.*s", q->method, (int)strcspn(path, "?"), path);
}

static int
status_failed(struct gitea *g, const struct ask *q, const struct http_answer *a, struct err *e)
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
		g->not_before_ms = clock_mono_ms() + g->failure.retry_after_s * 1000;
	}
	return failed(g, kind, e, what);
}

static int
transport_failed(struct gitea *g, const struct ask *q, struct err *e)
{
	char request[256];

	brief(q, request, sizeof request);
	g->failure.kind = is_over(g) ? GITEA_STOPPED : e->code == ERR_INVALID || e->code == ERR_TOOL ? GITEA_STRANGE :
	    GITEA_UNREACHABLE;
	return err_wrap(e, "%s", request);
}

static int
strange(struct gitea *g, const struct ask *q, struct err *e, const char *why)
{
	char what[768], request[256];

	brief(q, request, sizeof request);
	snprintf(what, sizeof what, "%s: %s", request, why);
	return failed(g, GITEA_STRANGE, e, what);
}

static int
take_answer(struct gitea *g, struct ask *q, const struct http_answer *a, cJSON **out, struct err *e)
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
		return strange(g, q, e, "the answer is larger than 8 MiB");
	tree = json_parse(buf_str(&a->body), a->body.len, &why);
	if (!tree)
		return strange(g, q, e, why.msg);
	*out = tree;
	return 0;
}

static int
run(struct gitea *g, struct ask *q, cJSON **out, struct err *e)
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
		.stop = on_pause,
		.arg = g,
		.line = &g->line,
	};
	struct http_answer a;
	int rc;

	buf_adds(&url, g->base);
	buf_adds(&url, buf_str(q->path));
	h.url = buf_str(&url);
	rc = http_run(&h, &a, e);
	rc = rc ? transport_failed(g, q, e) : take_answer(g, q, &a, out, e);
	g->failure.unsure = g->failure.unsure && rc != 0;
	http_answer_release(&a);
	buf_free(&url);
	return rc;
}

static int
ask(struct gitea *g, struct ask *q, cJSON **out, struct err *e)
{
	struct err nobody_asks;

	e = e ? e : &nobody_asks;
	*e = (struct err){ 0 };
	g->failure = (struct gitea_failure){ .kind = GITEA_FINE };
	if (out)
		*out = NULL;
	if (!buf_ok(q->path) || (q->body && !buf_ok(q->body)))
		return failed(g, GITEA_REFUSED, e, "a request to Gitea would be too long");
	return take_turn(g, e) || run(g, q, out, e) ? -1 : 0;
}

/* Paths and bodies */

static void
put_coded(struct buf *b, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-._~", c))
			buf_addc(b, (char)c);
		else
			buf_addf(b, "%%%02X", c);
	}
}

/* A part of a path; "." and ".." would be steps in it, coded or not. */
static int
put_part(struct gitea *g, struct buf *path, const char *text, struct err *e)
{
	if (!*text || strspn(text, ".") == strlen(text))
		return failed(g, GITEA_REFUSED, e, "a name for Gitea is empty, or nothing but dots");
	buf_addc(path, '/');
	put_coded(path, text);
	return 0;
}

static void
put_query(struct buf *path, const char *name, const char *value)
{
	if (!value)
		return;
	buf_addf(path, "%c%s=", strchr(buf_str(path), '?') ? '&' : '?', name);
	put_coded(path, value);
}

static int
begin(struct gitea *g, struct buf *path, const char *repo, struct err *e)
{
	path->max = 8192;
	if (config_repository_ok(repo)) {
		buf_addf(path, "/repos/%s", repo);
		return 0;
	}
	g->failure = (struct gitea_failure){ .kind = GITEA_REFUSED };
	return err_field(e, ERR_INVALID, "repository", repo, "owner/name");
}

static void
kv_some(struct buf *b, const char *key, const char *text)
{
	if (text)
		json_kv_str(b, key, text);
}

static void
kv_texts(struct buf *b, const char *key, const char *const *v, size_t n)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t i = 0; i < n; i++)
		json_put_str(b, v[i]);
	json_put_close(b, ']');
}

static void
kv_numbers(struct buf *b, const char *key, const int64_t *v, size_t n)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t i = 0; i < n; i++)
		json_put_int(b, v[i]);
	json_put_close(b, ']');
}

static int
get(struct gitea *g, struct buf *path, cJSON **out, struct err *e)
{
	struct ask q = { .method = "GET", .path = path };
	int rc = ask(g, &q, out, e);

	buf_free(path);
	return rc;
}

/* Closes the body, and frees it and the path. */
static int
change(struct gitea *g, const char *method, struct buf *path, struct buf *body, cJSON **out, struct err *e)
{
	struct ask q = { .method = method, .path = path, .body = body };
	int rc;

	json_put_close(body, '}');
	rc = ask(g, &q, out, e);
	buf_free(path);
	buf_free(body);
	return rc;
}

static void
body_open(struct buf *body)
{
	/* Escapes make a text six times as long at most. */
	*body = (struct buf){ .max = 6 * GITEA_BODY_MAX + 65536 };
	json_put_open(body, '{');
}

/* Listings */

struct listing {
	gitea_each *each;
	void *arg;
	int64_t *seen;                  /* ids, sorted */
	size_t n;
	int64_t total;                  /* that there were, by the page before; -1: not said */
	bool ended;                     /* each() has had enough */
	bool shrunk;                    /* some have gone: what came after them has moved up, maybe to a page that was read */
};

static bool
is_new(struct listing *l, int64_t id)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->seen[mid] == id)
			return false;
		if (l->seen[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	l->seen = xrealloc(l->seen, (l->n + 1) * sizeof *l->seen);
	memmove(l->seen + lo + 1, l->seen + lo, (l->n - lo) * sizeof *l->seen);
	l->seen[lo] = id;
	l->n++;
	return true;
}

static void
show_page(struct listing *l, const cJSON *page)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, page) {
		int64_t id;

		if (json_int(cJSON_GetObjectItemCaseSensitive(item, "id"), &id) && !is_new(l, id))
			continue;
		if (!l->each(l->arg, item)) {
			l->ended = true;
			return;
		}
	}
}

/* One page; *page becomes the next, 0 at the end. */
static int
list_page(struct gitea *g, const struct buf *path, struct listing *l, int64_t *page, int64_t per_page, struct err *e)
{
	struct buf one = { .max = path->max };
	struct ask q = { .method = "GET", .path = &one };
	char number[24];
	cJSON *items = NULL;
	int rc;

	buf_adds(&one, buf_str(path));
	snprintf(number, sizeof number, "%lld", (long long)*page);
	put_query(&one, "page", number);
	snprintf(number, sizeof number, "%lld", (long long)(per_page > 0 && per_page < GITEA_PAGE ? per_page : GITEA_PAGE));
	put_query(&one, "limit", number);
	rc = ask(g, &q, &items, e);
	if (rc == 0 && !cJSON_IsArray(items))
		rc = strange(g, &q, e, "expected a list");
	if (rc == 0 && q.next_page && (q.next_page <= *page || q.next_page > GITEA_PAGES_MAX))
		rc = strange(g, &q, e, q.next_page > *page ? "the list has too many pages" : "the page after this is none that follows");
	if (rc == 0) {
		show_page(l, items);
		l->shrunk = l->shrunk || (l->total >= 0 && q.total >= 0 && q.total < l->total);
		l->total = q.total;
		*page = q.next_page;
	}
	cJSON_Delete(items);
	buf_free(&one);
	return rc;
}

static int
list_pages(struct gitea *g, const struct buf *path, struct listing *l, int64_t per_page, struct err *e)
{
	int rc = 0;

	for (int round = 0; rc == 0 && round < LISTINGS; round++) {
		l->shrunk = false;
		l->total = -1;
		for (int64_t page = 1; rc == 0 && page && !l->ended;)
			rc = list_page(g, path, l, &page, per_page, e);
		if (!l->shrunk || l->ended)
			break;
	}
	return rc;
}

/* Frees the path. */
static int
list(struct gitea *g, struct buf *path, int64_t per_page, gitea_each *each, void *arg, struct err *e)
{
	struct listing l = { .each = each, .arg = arg };
	int rc = list_pages(g, path, &l, per_page, e);

	free(l.seen);
	buf_free(path);
	return rc;
}

/* Calls, in the order of gitea.h */

int
gitea_version(struct gitea *g, char out[64], struct err *e)
{
	struct buf path = { 0 };
	cJSON *o;

	buf_adds(&path, "/version");
	if (get(g, &path, &o, e))
		return -1;
	snprintf(out, 64, "%s", json_text(o, "version"));
	cJSON_Delete(o);
	return *out ? 0 : failed(g, GITEA_STRANGE, e, "Gitea, GET /version: expected a version");
}

int
gitea_whoami(struct gitea *g, char login[GITEA_LOGIN_MAX], struct err *e)
{
	struct buf path = { 0 };
	cJSON *o;

	if (!g->login[0]) {
		buf_adds(&path, "/user");
		if (get(g, &path, &o, e))
			return -1;
		snprintf(g->login, sizeof g->login, "%s", json_text(o, "login"));
		cJSON_Delete(o);
		if (!g->login[0])
			return failed(g, GITEA_STRANGE, e, "Gitea, GET /user: expected a login");
	}
	memcpy(login, g->login, GITEA_LOGIN_MAX);
	return 0;
}

int
gitea_issues(struct gitea *g, const char *repo, const struct gitea_issue_query *q, gitea_each *each, void *arg,
    struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/issues");
	put_query(&path, "state", q->state);
	put_query(&path, "type", q->type);
	put_query(&path, "labels", q->labels);
	put_query(&path, "q", q->text);
	put_query(&path, "since", q->since);
	put_query(&path, "before", q->before);
	put_query(&path, "created_by", q->author);
	put_query(&path, "assigned_by", q->assignee);
	return list(g, &path, q->per_page, each, arg, e);
}

static int
begin_number(struct gitea *g, struct buf *path, const char *repo, const char *noun, int64_t number, struct err *e)
{
	if (begin(g, path, repo, e))
		return -1;
	buf_addf(path, "/%s/%lld", noun, (long long)number);
	return 0;
}

int
gitea_issue_get(struct gitea *g, const char *repo, int64_t number, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	return begin_number(g, &path, repo, "issues", number, e) ? -1 : get(g, &path, out, e);
}

int
gitea_issue_create(struct gitea *g, const char *repo, const struct gitea_issue_new *n, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/issues");
	body_open(&body);
	json_kv_str(&body, "title", n->title);
	kv_some(&body, "body", n->body);
	if (n->nlabels)
		kv_numbers(&body, "labels", n->labels, n->nlabels);
	if (n->nassignees)
		kv_texts(&body, "assignees", n->assignees, n->nassignees);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_issue_edit(struct gitea *g, const char *repo, int64_t number, const struct gitea_issue_edit *d, cJSON **out,
    struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin_number(g, &path, repo, "issues", number, e))
		return -1;
	body_open(&body);
	kv_some(&body, "title", d->title);
	kv_some(&body, "body", d->body);
	kv_some(&body, "state", d->state);
	if (d->assignees)
		kv_texts(&body, "assignees", d->assignees, d->nassignees);
	return change(g, "PATCH", &path, &body, out, e);
}

int
gitea_comments(struct gitea *g, const char *repo, int64_t number, const char *since, gitea_each *each, void *arg,
    struct err *e)
{
	struct listing l = { .each = each, .arg = arg };
	struct buf path = { 0 };
	cJSON *items;

	if (begin_number(g, &path, repo, "issues", number, e))
		return -1;
	buf_adds(&path, "/comments");
	put_query(&path, "since", since);
	if (get(g, &path, &items, e))
		return -1;
	if (cJSON_IsArray(items))
		show_page(&l, items);
	free(l.seen);
	cJSON_Delete(items);
	return 0;
}

static int
send_text(struct gitea *g, const char *method, struct buf *path, const char *text, cJSON **out, struct err *e)
{
	struct buf body;

	body_open(&body);
	json_kv_str(&body, "body", text);
	return change(g, method, path, &body, out, e);
}

int
gitea_comment_create(struct gitea *g, const char *repo, int64_t number, const char *body, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	if (begin_number(g, &path, repo, "issues", number, e))
		return -1;
	buf_adds(&path, "/comments");
	return send_text(g, "POST", &path, body, out, e);
}

int
gitea_comment_edit(struct gitea *g, const char *repo, int64_t id, const char *body, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	if (begin_number(g, &path, repo, "issues/comments", id, e))
		return -1;
	return send_text(g, "PATCH", &path, body, out, e);
}

/* An owner that is a person has none: not found, and nothing is amiss. */
static int
list_org_labels(struct gitea *g, const char *repo, struct listing *l, struct err *e)
{
	struct buf path = { .max = 8192 };
	struct err why = { 0 };
	int rc;

	buf_addf(&path, "/orgs/%.*s/labels", (int)strcspn(repo, "/"), repo);
	rc = list_pages(g, &path, l, 0, &why);
	buf_free(&path);
	if (rc && (g->failure.kind == GITEA_NOT_FOUND || g->failure.kind == GITEA_FORBIDDEN)) {
		g->failure = (struct gitea_failure){ .kind = GITEA_FINE };
		rc = 0;
	}
	if (rc && e)
		*e = why;
	return rc;
}

int
gitea_labels(struct gitea *g, const char *repo, gitea_each *each, void *arg, struct err *e)
{
	struct listing l = { .each = each, .arg = arg };
	struct buf path = { 0 };
	int rc = begin(g, &path, repo, e);

	buf_adds(&path, "/labels");
	if (rc == 0)
		rc = list_pages(g, &path, &l, 0, e);
	if (rc == 0 && !l.ended)
		rc = list_org_labels(g, repo, &l, e);
	free(l.seen);
	buf_free(&path);
	return rc;
}

int
gitea_label_create(struct gitea *g, const char *repo, const char *name, const char *color, const char *description,
    bool exclusive, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/labels");
	body_open(&body);
	json_kv_str(&body, "name", name);
	json_kv_str(&body, "color", color);
	kv_some(&body, "description", description);
	json_kv_bool(&body, "exclusive", exclusive);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_issue_label_add(struct gitea *g, const char *repo, int64_t number, const int64_t *ids, size_t n, cJSON **out,
    struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin_number(g, &path, repo, "issues", number, e))
		return -1;
	buf_adds(&path, "/labels");
	body_open(&body);
	kv_numbers(&body, "labels", ids, n < GITEA_IDS_MAX ? n : GITEA_IDS_MAX);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_issue_label_remove(struct gitea *g, const char *repo, int64_t number, int64_t id, struct err *e)
{
	struct buf path = { 0 };
	struct ask q = { .method = "DELETE", .path = &path };
	int rc = begin_number(g, &path, repo, "issues", number, e);

	if (rc == 0) {
		buf_addf(&path, "/labels/%lld", (long long)id);
		rc = ask(g, &q, NULL, e);
	}
	buf_free(&path);
	return rc;
}

int
gitea_pulls(struct gitea *g, const char *repo, const struct gitea_pull_query *q, gitea_each *each, void *arg,
    struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/pulls");
	put_query(&path, "state", q->state);
	put_query(&path, "sort", q->sort);
	put_query(&path, "base_branch", q->base);
	put_query(&path, "poster", q->author);
	return list(g, &path, q->per_page, each, arg, e);
}

int
gitea_pull_get(struct gitea *g, const char *repo, int64_t number, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	return begin_number(g, &path, repo, "pulls", number, e) ? -1 : get(g, &path, out, e);
}

int
gitea_pull_files(struct gitea *g, const char *repo, int64_t number, gitea_each *each, void *arg, struct err *e)
{
	struct buf path = { 0 };

	if (begin_number(g, &path, repo, "pulls", number, e))
		return -1;
	buf_adds(&path, "/files");
	return list(g, &path, 0, each, arg, e);
}

int
gitea_pull_create(struct gitea *g, const char *repo, const struct gitea_pull_new *n, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/pulls");
	body_open(&body);
	json_kv_str(&body, "title", n->title);
	json_kv_str(&body, "head", n->head);
	json_kv_str(&body, "base", n->base);
	kv_some(&body, "body", n->body);
	if (n->nlabels)
		kv_numbers(&body, "labels", n->labels, n->nlabels);
	if (n->nassignees)
		kv_texts(&body, "assignees", n->assignees, n->nassignees);
	if (n->nreviewers)
		kv_texts(&body, "reviewers", n->reviewers, n->nreviewers);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_reviews(struct gitea *g, const char *repo, int64_t number, gitea_each *each, void *arg, struct err *e)
{
	struct buf path = { 0 };

	if (begin_number(g, &path, repo, "pulls", number, e))
		return -1;
	buf_adds(&path, "/reviews");
	return list(g, &path, 0, each, arg, e);
}

int
gitea_statuses(struct gitea *g, const char *repo, const char *sha, gitea_each *each, void *arg, struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/statuses");
	if (put_part(g, &path, sha, e)) {
		buf_free(&path);
		return -1;
	}
	put_query(&path, "sort", "recentupdate");
	return list(g, &path, 0, each, arg, e);
}

int
gitea_status_combined(struct gitea *g, const char *repo, const char *ref, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/commits");
	if (put_part(g, &path, ref, e)) {
		buf_free(&path);
		return -1;
	}
	buf_adds(&path, "/status");
	return get(g, &path, out, e);
}

int
gitea_status_create(struct gitea *g, const char *repo, const char *sha, const char *state, const char *context,
    const char *description, const char *target_url, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/statuses");
	if (put_part(g, &path, sha, e)) {
		buf_free(&path);
		return -1;
	}
	body_open(&body);
	json_kv_str(&body, "state", state);
	json_kv_str(&body, "context", context);
	kv_some(&body, "description", description);
	kv_some(&body, "target_url", target_url);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_hooks(struct gitea *g, const char *repo, gitea_each *each, void *arg, struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/hooks");
	return list(g, &path, 0, each, arg, e);
}

/* Without "active" it would be made and never called. */
int
gitea_hook_create(struct gitea *g, const char *repo, const char *url, const char *secret, const char *const *events,
    size_t nevents, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/hooks");
	body_open(&body);
	json_kv_str(&body, "type", "gitea");
	json_kv_bool(&body, "active", true);
	kv_texts(&body, "events", events, nevents);
	json_put_key(&body, "config");
	json_put_open(&body, '{');
	json_kv_str(&body, "url", url);
	json_kv_str(&body, "content_type", "json");
	json_kv_str(&body, "secret", secret);
	json_put_close(&body, '}');
	return change(g, "POST", &path, &body, out, e);
}
