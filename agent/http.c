#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/socket.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "agent.h"
#include "clock.h"
#include "http_alert.h"
#include "http_cluster.h"
#include "json.h"
#include "log.h"
#include "mhd.h"

#define CONNECTIONS_MAX 32
#define SILENCE_S 10                    /* of a client */
#define LIFE_MS 30000                   /* of a connection, from the first byte to the last */
#define HEAD_BYTES 16384                /* request line and header lines */
#define STACK_BYTES (256u << 10)
#define BODY_SPARE 4096                 /* beyond the largest task: white space */
#define FILE_BYTES 65536                /* certificates */
#define STREAM_BYTES 32768              /* of a stream that are sent at once */
#define AGAIN_MS 10000                  /* to listen on a port that was taken */

struct http_call {
	struct http_call *next;
	http_call_fn *run;              /* NULL: a line for the core */
	char *line;
	const char *last;
	struct buf out;
	uint64_t conn;                  /* under which the core knows it; the loop's alone */
	bool taken;                     /* by the loop */
	bool done;
	bool left;                      /* nobody waits for it any more: the loop frees it */
};

/* Of one connection. The descriptor is a copy, so that its number is ours until we close it. */
struct life {
	struct life *next;
	int fd;
	int64_t since_ms;
	bool streams;
};

struct http {
	struct agent *a;
	const struct mhd_api *lib;
	struct MHD_Daemon *daemon;      /* NULL: nobody has connected yet */
	uv_poll_t first;                /* for the first connection */
	uv_async_t woken;
	uv_mutex_t lock;                /* over what follows, and what a call says */
	uv_cond_t change;
	struct http_call *calls;
	struct life *lives;
	struct histogram times;
	bool closing;

	int fd;                         /* that listens; -1: none */
	int64_t again_ms;               /* when to try to listen again; 0: not */
	bool told;
	bool tls;
	char address[64];
	int port;
	bool has_token;
	unsigned char token[SHA256_DIGEST_LENGTH];      /* its digest */
};

/* ---- routes ---- */

#define OPEN true

static const struct route {
	const char *method, *path;
	http_answer_fn *answer;
	bool open;                      /* without a token */
	const char *arguments;          /* of the query, words parted by spaces */
} routes[] = {
	{ "GET", "/health", health_get, OPEN, "" },
	{ "GET", "/ready", ready_get, OPEN, "" },
	{ "GET", "/metrics", metrics_get, !OPEN, "" },
	{ "POST", "/v1/tasks", task_post, !OPEN, "" },
	{ "GET", "/v1/tasks", task_list, !OPEN, "house state tool sender limit before" },
	{ "GET", "/v1/tasks/{id}", task_get, !OPEN, "" },
	{ "POST", "/v1/tasks/{id}/cancel", task_cancel, !OPEN, "" },
	{ "GET", "/v1/events", events_get, !OPEN, "house type" },
	{ "GET", "/v1/cluster", cluster_get, !OPEN, "" },
	{ "GET", "/v1/approvals", approval_list, !OPEN, "" },
	{ "GET", "/v1/alerts", alert_list, !OPEN, "" },
	{ "POST", "/v1/predict", predict_post, !OPEN, "" },
	{ "GET", "/", web_get, OPEN, "" },
	{ "GET", "/web/{id}", web_get, OPEN, "" },
};
#define NROUTES (sizeof routes / sizeof *routes)

/* One request, from its first line to the end of its answer. */
struct exchange {
	struct http_request r;
	const struct route *route;
	char id[64];
	bool begun;
	int64_t begun_us;
};

/* "/v1/tasks/{id}/cancel" against what came; id has room for 64. */
static bool
path_is(const char *pattern, const char *path, char *id)
{
	const char *hole = strstr(pattern, "{id}");
	size_t before, n;

	if (!hole)
		return strcmp(pattern, path) == 0;
	before = (size_t)(hole - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	n = strcspn(path + before, "/");
	if (n == 0 || n > 63 || strcmp(hole + 4, path + before + n) != 0)
		return false;
	memcpy(id, path + before, n);
	id[n] = '\0';
	return true;
}

static bool
has_word(const char *words, const char *word, size_t n)
{
	for (const char *p = words; p && *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == n && strncmp(p, word, n) == 0)
			return true;
	return false;
}

/* ---- answers ---- */

static const struct {
	enum err_code code;
	unsigned status;
} statuses[] = {
	{ ERR_PARSE, 400 },
	{ ERR_INVALID, 400 },
	{ ERR_MISSING, 400 },
	{ ERR_DENIED, 403 },
	{ ERR_NOT_FOUND, 404 },
	{ ERR_UNKNOWN_TASK, 404 },
	{ ERR_CONFLICT, 409 },
	{ ERR_STALE, 409 },
	{ ERR_WRONG_STATE, 409 },
	{ ERR_TOO_BIG, 413 },
	{ ERR_UNKNOWN_TOOL, 422 },
	{ ERR_UNKNOWN_HOUSE, 422 },
	{ ERR_ID_REQUIRED, 422 },
	{ ERR_PATH, 422 },
	{ ERR_BUSY, 503 },
	{ ERR_STORE, 503 },
	{ ERR_TIMEOUT, 504 },
};

void
http_fail(struct http_reply *w, const struct err *e)
{
	w->status = 500;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (statuses[i].code == e->code)
			w->status = statuses[i].status;
	w->retry_after_s = e->retry_after_s;
	buf_clear(&w->body);
	json_put_open(&w->body, '{');
	json_put_key(&w->body, "error");
	json_put_err(&w->body, e);
	json_put_close(&w->body, '}');
	buf_addc(&w->body, '\n');
}

static ssize_t
read_stream(void *arg, uint64_t at, char *to, size_t size)
{
	ssize_t n = stream_read(arg, to, size);

	(void)at;
	return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static void
free_stream(void *arg)
{
	stream_free(arg);
}

/* Takes the body, or the stream. */
static struct MHD_Response *
make_response(const struct http *h, struct http_reply *w)
{
	size_t len = w->body.len;
	struct MHD_Response *m;
	char *text;

	if (w->stream) {
		m = h->lib->create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BYTES, read_stream, w->stream, free_stream);
		if (!m)
			stream_free(w->stream);
		return m;
	}
	text = buf_take(&w->body);
	m = h->lib->create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!m)
		free(text);
	return m;
}

/* A page runs only what this agent serves, asks nobody else but a signer on the machine where it is shown (uni-wizard dashboard
 * --approve), and is put into no other page. */
static void
add_page_headers(const struct http *h, struct MHD_Response *m)
{
	static const char *const headers[][2] = {
		{ "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
		    "connect-src 'self' http://127.0.0.1:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
	};

	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
		h->lib->add_response_header(m, headers[i][0], headers[i][1]);
}

static enum MHD_Result
send_reply(const struct http *h, struct MHD_Connection *c, struct http_reply *w, const char *extra, const char *value)
{
	struct MHD_Response *m = make_response(h, w);
	enum MHD_Result rc;
	char after[16];

	if (!m)
		return MHD_NO;
	h->lib->add_response_header(m, "Content-Type", w->type ? w->type : "application/json");
	h->lib->add_response_header(m, "Cache-Control", "no-store");
	h->lib->add_response_header(m, "Connection", "close");
	if (w->page)
		add_page_headers(h, m);
	if (w->location[0])
		h->lib->add_response_header(m, "Location", w->location);
	snprintf(after, sizeof after, "%d", w->retry_after_s ? w->retry_after_s : 5);
	if (w->status == 503)
		h->lib->add_response_header(m, "Retry-After", after);
	if (extra)
		h->lib->add_response_header(m, extra, value);
	rc = h->lib->queue_response(c, w->status ? w->status : 200, m);
	h->lib->destroy_response(m);
	return rc;
}

static enum MHD_Result
refuse(const struct http *h, struct MHD_Connection *c, unsigned status, const struct err *e, const char *extra,
    const char *value)
{
	struct http_reply w = { 0 };

	http_fail(&w, e);
	if (status)
		w.status = status;
	return send_reply(h, c, &w, extra, value);
}

const char *
http_argument(const struct http_request *r, const char *name)
{
	return r->a->http->lib->lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *
http_header(const struct http_request *r, const char *name)
{
	return r->a->http->lib->lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

/* ---- a request, in its connection's thread ---- */

/* -1: refused, with the answer queued. */
static enum MHD_Result
find_route(const struct http *h, struct exchange *x, const char *method, const char *path, bool *refused)
{
	char allowed[64] = "", got[80];
	struct err e;

	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < NROUTES; i++) {
		size_t n = strlen(allowed);

		if (!path_is(routes[i].path, path, x->id))
			continue;
		if (strcmp(routes[i].method, method) == 0) {
			x->route = &routes[i];
			return MHD_YES;
		}
		snprintf(allowed + n, sizeof allowed - n, "%s%s", n ? ", " : "", routes[i].method);
	}
	*refused = true;
	snprintf(got, sizeof got, "%.20s %.50s", method, path);
	if (allowed[0]) {
		err_field(&e, ERR_INVALID, "method", method, "%s", allowed);
		return refuse(h, x->r.connection, 405, &e, "Allow", allowed);
	}
	err_field(&e, ERR_NOT_FOUND, "path", path, "one of the API's: see docs/http.md; the dashboard is /");
	return refuse(h, x->r.connection, 404, &e, NULL, NULL);
}

static enum MHD_Result
check_token(const struct http *h, struct exchange *x, bool *refused)
{
	const char *given = http_header(&x->r, "Authorization");
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct err e;

	if (x->route->open)
		return MHD_YES;
	*refused = true;
	if (!h->has_token) {
		err_set(&e, ERR_DENIED, "this agent's house has no auth_token in the configuration, so only /health and /ready are "
		    "answered");
		return refuse(h, x->r.connection, 403, &e, NULL, NULL);
	}
	if (!given || strncmp(given, "Bearer ", 7) != 0) {
		err_field(&e, ERR_DENIED, "Authorization", given ? "something else" : NULL, "Bearer and the auth_token of the house");
		return refuse(h, x->r.connection, 401, &e, "WWW-Authenticate", "Bearer");
	}
	SHA256((const unsigned char *)given + 7, strlen(given + 7), digest);
	if (CRYPTO_memcmp(digest, h->token, sizeof digest) != 0) {
		err_field(&e, ERR_DENIED, "Authorization", "another token", "the auth_token of the house");
		return refuse(h, x->r.connection, 401, &e, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
	}
	*refused = false;
	return MHD_YES;
}

struct unknown {
	const char *allowed;
	char name[64];
};

static enum MHD_Result
look_at_argument(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct unknown *u = arg;

	(void)kind;
	(void)value;
	if (has_word(u->allowed, name, strlen(name)))
		return MHD_YES;
	snprintf(u->name, sizeof u->name, "%s", *name ? name : "?");
	return MHD_NO;
}

static enum MHD_Result
check_arguments(const struct http *h, struct exchange *x, bool *refused)
{
	struct unknown u = { .allowed = x->route->arguments };
	struct err e;

	h->lib->get_connection_values(x->r.connection, MHD_GET_ARGUMENT_KIND, look_at_argument, &u);
	if (!u.name[0])
		return MHD_YES;
	*refused = true;
	err_field(&e, ERR_INVALID, "query", u.name, "%s", *u.allowed ? u.allowed : "nothing after the path");
	return refuse(h, x->r.connection, 400, &e, NULL, NULL);
}

static enum MHD_Result
begin(const struct http *h, struct exchange *x, const char *method, const char *path, bool *refused)
{
	enum MHD_Result rc = find_route(h, x, method, path, refused);

	if (!*refused)
		rc = check_token(h, x, refused);
	if (!*refused)
		rc = check_arguments(h, x, refused);
	return rc;
}

/* A stream has no end of its own. */
static void
live_on(struct http *h, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i = h->lib->get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	uv_mutex_lock(&h->lock);
	if (i && i->socket_context)
		((struct life *)i->socket_context)->streams = true;
	uv_mutex_unlock(&h->lock);
}

static enum MHD_Result
answer(struct http *h, struct exchange *x)
{
	struct http_reply w = { 0 };
	struct err e;

	if (!buf_ok(&x->r.body)) {
		err_set(&e, ERR_TOO_BIG, "the body is larger than %lld bytes (limits.task_bytes)",
		    (long long)h->a->o.config->max_task_bytes);
		return refuse(h, x->r.connection, 413, &e, NULL, NULL);
	}
	x->r.id = x->id;
	x->route->answer(&x->r, &w);
	if (w.stream)
		live_on(h, x->r.connection);
	return send_reply(h, x->r.connection, &w, NULL, NULL);
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data,
    size_t *len, void **context)
{
	struct http *h = arg;
	struct exchange *x = *context;
	enum MHD_Result rc;
	bool refused = false;

	(void)version;
	if (!x) {
		x = *context = xcalloc(1, sizeof *x);
		x->r.a = h->a;
		x->begun_us = clock_mono_us();
		x->r.connection = c;
		x->r.body.max = (size_t)h->a->o.config->max_task_bytes + BODY_SPARE;
	}
	if (!x->begun) {
		rc = begin(h, x, method, path, &refused);
		x->begun = true;
		return rc;
	}
	if (*len) {
		buf_add(&x->r.body, data, *len);
		*len = 0;
		return MHD_YES;
	}
	return answer(h, x);
}

static void
on_completed(void *arg, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *context;
	struct http *h = arg;

	(void)c;
	(void)why;
	if (x) {
		uv_mutex_lock(&h->lock);
		histogram_add(&h->times, clock_mono_us() - x->begun_us);
		uv_mutex_unlock(&h->lock);
		buf_free(&x->r.body);
	}
	free(x);
	*context = NULL;
}

static void
on_connection(void *arg, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
	struct http *h = arg;
	struct life *l = *context, **p = &h->lives;

	uv_mutex_lock(&h->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = l = xcalloc(1, sizeof *l);
		l->fd = fcntl(h->lib->get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, F_DUPFD_CLOEXEC, 0);
		l->since_ms = clock_mono_ms();
		l->next = h->lives;
		h->lives = l;
	} else if (l) {
		while (*p != l)
			p = &(*p)->next;
		*p = l->next;
		if (l->fd >= 0)
			close(l->fd);
		free(l);
		*context = NULL;
	}
	uv_mutex_unlock(&h->lock);
}

/* ---- calls, in a connection's thread ---- */

static int
wait_for(struct http *h, struct http_call *c, int64_t limit_ms, struct buf *out, struct err *e)
{
	int64_t until = clock_mono_ms() + limit_ms, left;
	int rc = -1;

	uv_mutex_lock(&h->lock);
	c->next = h->calls;
	h->calls = c;
	uv_async_send(&h->woken);
	while (!c->done && !h->closing && (left = until - clock_mono_ms()) > 0)
		uv_cond_timedwait(&h->change, &h->lock, (uint64_t)left * 1000000);
	*out = c->out;
	c->out = (struct buf){ 0 };
	if (c->done && buf_ok(out))
		rc = 0;
	else if (c->done)
		err_set(e, ERR_TOO_BIG, "the answer is larger than %u bytes", BUF_MAX_DEFAULT);
	else if (h->closing)
		err_set(e, ERR_BUSY, "the agent is stopping");
	else if (!c->taken)
		err_set(e, ERR_BUSY, "the agent took nothing in for %lld ms", (long long)limit_ms);
	else
		err_set(e, ERR_TIMEOUT, "no answer within %lld ms", (long long)limit_ms);
	c->left = true;
	if (!h->closing)
		uv_async_send(&h->woken);
	uv_mutex_unlock(&h->lock);
	return rc;
}

int
http_call(const struct http_request *r, http_call_fn *f, int64_t limit_ms, struct buf *out, struct err *e)
{
	struct http_call *c = xcalloc(1, sizeof *c);

	c->run = f;
	return wait_for(r->a->http, c, limit_ms, out, e);
}

int
http_call_core(const struct http_request *r, const char *line, const char *last, int64_t limit_ms, struct buf *out,
    struct err *e)
{
	struct http_call *c = xcalloc(1, sizeof *c);

	c->line = xstrdup(line);
	c->last = last;
	return wait_for(r->a->http, c, limit_ms, out, e);
}

/* ---- calls, in the loop ---- */

static void
free_call(struct http_call *c)
{
	buf_free(&c->out);
	free(c->line);
	free(c);
}

/* The oldest that nobody has taken. */
static struct http_call *
next_call(struct http *h, bool core)
{
	struct http_call *found = NULL;

	uv_mutex_lock(&h->lock);
	for (struct http_call *c = h->calls; c; c = c->next)
		if (!c->taken && !c->left && !c->run == core)
			found = c;
	if (found)
		found->taken = true;
	uv_mutex_unlock(&h->lock);
	return found;
}

static bool
any_for_core(struct http *h)
{
	bool any = false;

	uv_mutex_lock(&h->lock);
	for (struct http_call *c = h->calls; c && !any; c = c->next)
		any = !c->taken && !c->left && !c->run;
	uv_mutex_unlock(&h->lock);
	return any;
}

static void
reap(struct http *h)
{
	struct http_call **p = &h->calls, *gone = NULL, *c;

	uv_mutex_lock(&h->lock);
	while ((c = *p)) {
		if (!c->left) {
			p = &c->next;
			continue;
		}
		*p = c->next;
		c->next = gone;
		gone = c;
	}
	uv_mutex_unlock(&h->lock);
	while ((c = gone)) {
		gone = c->next;
		if (c->conn && h->a->phase != AGENT_ENDS) {
			agent_input(h->a);
			core_local_gone(h->a->core, c->conn);
		}
		free_call(c);
	}
}

static void
woken_callback(uv_async_t *async)
{
	struct http *h = async->data;
	struct http_call *c;

	reap(h);
	while ((c = next_call(h, false)))
		c->run(h->a, c);
	if (any_for_core(h))
		agent_input(h->a);
}

void
http_feed(struct agent *a)
{
	struct http *h = a->http;
	struct http_call *c;

	if (!h || !h->daemon)
		return;
	reap(h);
	while ((c = next_call(h, true))) {
		c->conn = ++a->last_conn;
		core_local(a->core, c->conn, c->line, strlen(c->line), "http");
	}
}

void
http_call_answer(struct agent *a, struct http_call *c, const char *text, size_t len)
{
	uv_mutex_lock(&a->http->lock);
	buf_add(&c->out, text, len);
	c->done = true;
	uv_cond_broadcast(&a->http->change);
	uv_mutex_unlock(&a->http->lock);
}

/* How far it is to the end of the line that is waited for, 0: it is not there. More may follow, as an outcome follows
 * accepted. The core writes the type first. */
static size_t
to_last(const struct http_call *c, const char *text, size_t len)
{
	static const char begin_text[] = "{\"type\":\"";
	const char *end = text + len;

	for (const char *p = text; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p)), *type = p + sizeof begin_text - 1;
		size_t n = (size_t)((nl ? nl : end) - p);

		if (n > sizeof begin_text && strncmp(p, begin_text, sizeof begin_text - 1) == 0 &&
		    has_word(c->last, type, strcspn(type, "\"")))
			return (size_t)(p - text) + n;
		p += n + 1;
	}
	return 0;
}

bool
http_take(struct agent *a, uint64_t conn, const char *text, size_t len)
{
	struct http *h = a->http;
	struct http_call *c;
	size_t n;

	if (!h || !h->daemon)
		return false;
	uv_mutex_lock(&h->lock);
	for (c = h->calls; c && c->conn != conn;)
		c = c->next;
	if (c && !c->done && !c->left) {
		n = to_last(c, text, len);
		buf_add(&c->out, text, n ? n : len);
		c->done = !buf_ok(&c->out) || n;
		if (c->done)
			uv_cond_broadcast(&h->change);
	}
	uv_mutex_unlock(&h->lock);
	return c != NULL;
}

/* A copy, for the loop alone. */
const struct histogram *
http_times(struct agent *a)
{
	static struct histogram copy;

	uv_mutex_lock(&a->http->lock);
	copy = a->http->times;
	uv_mutex_unlock(&a->http->lock);
	return &copy;
}

void
http_heard(struct agent *a, bool ours, const char *topic, const char *payload, size_t len)
{
	if (a->http)
		heard_take(a, ours, topic, payload, len);
	if (a->http && a->http->daemon)
		events_take(a, ours, topic, payload, len);
}

bool
http_subscription(const struct agent *a, size_t i, char *topic)
{
	static const enum topic_kind kinds[] = { TOPIC_ALERT, TOPIC_MUTE };

	if (!a->http || i >= sizeof kinds / sizeof *kinds)
		return false;
	topic_format(topic, a->o.config->cluster, kinds[i], "+", "+");
	return true;
}

bool
http_alert(struct agent *a, const char *topic, const char *payload, size_t len)
{
	return a->http && alerts_take(a, topic, payload, len);
}

bool
http_is_watched(struct agent *a)
{
	return a->http && a->http->daemon && events_are_watched(a);
}

void
http_link_up(struct agent *a)
{
	if (a->http)
		alerts_link_up(a);
}

void
http_second(struct agent *a)
{
	struct http *h = a->http;
	int64_t now = clock_mono_ms();

	if (h)
		alerts_second(a);
	if (h && h->again_ms && now >= h->again_ms)
		http_open(a);
	if (!h || !h->daemon)
		return;
	uv_mutex_lock(&h->lock);
	for (struct life *l = h->lives; l; l = l->next)
		if (now - l->since_ms > LIFE_MS && !l->streams && l->fd >= 0)
			shutdown(l->fd, SHUT_RDWR);
	uv_mutex_unlock(&h->lock);
}

/* ---- listening ---- */

static void
on_log(void *arg, const char *fmt, va_list ap)
{
	char line[256];

	(void)arg;
	vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("http: %s", line);
}

static char *
read_pem(const char *path, struct err *e)
{
	struct buf b = { .max = FILE_BYTES };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	char *p;

	while (fd >= 0 && (p = buf_reserve(&b, 4096)) && (n = read(fd, p, 4096)) > 0)
		b.len += (size_t)n;
	if (n)
		err_set(e, ERR_IO, "%s: %s", path, n > 0 ? "too large" : strerror(errno));
	if (fd >= 0)
		close(fd);
	if (n == 0)
		return buf_take(&b);
	buf_free(&b);
	return NULL;
}

/* Threads inherit the mask of who starts them: signals are the loop's. */
static struct MHD_Daemon *
start_daemon(struct http *h, struct MHD_OptionItem *more)
{
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC |
	    MHD_USE_ERROR_LOG | (h->tls ? MHD_USE_TLS : 0);
	struct MHD_Daemon *d;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	d = h->lib->start_daemon(flags, 0, NULL, NULL, on_request, h,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, h->fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
	    MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
	    MHD_OPTION_ARRAY, more,
	    MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return d;
}

static int
serve(struct http *h, struct err *e)
{
	const struct config *f = h->a->o.config;
	struct MHD_OptionItem more[3] = { { MHD_OPTION_END, 0, NULL }, { MHD_OPTION_END, 0, NULL }, { MHD_OPTION_END, 0, NULL } };
	char *certificate = NULL, *key = NULL;
	int rc = -1;

	h->lib = mhd_load(e);
	if (!h->lib)
		goto out;
	if (h->tls && h->lib->is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
		err_set(e, ERR_NOT_FOUND, "this libmicrohttpd has no TLS");
		goto out;
	}
	if (h->tls && (!(certificate = read_pem(f->http_certificate, e)) || !(key = read_pem(f->http_key, e))))
		goto out;
	if (h->tls) {
		more[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, certificate };
		more[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, key };
	}
#ifdef __GLIBC__
	/* Or each thread's first allocation takes a piece of memory of its own. */
	mallopt(M_ARENA_MAX, 1);
#endif
	h->daemon = start_daemon(h, more);
	rc = h->daemon ? 0 : err_set(e, ERR_IO, "libmicrohttpd does not start%s", h->tls ? ": are http.certificate and http.key "
	    "right?" : "");
out:
	if (key)
		OPENSSL_cleanse(key, strlen(key));
	free(key);
	free(certificate);
	return rc;
}

static void
stop_listening(struct http *h)
{
	uv_poll_stop(&h->first);
	uv_close((uv_handle_t *)&h->first, NULL);
	close(h->fd);
	h->fd = -1;
}

/* It stays with libmicrohttpd from here, or nobody listens. */
static void
first_callback(uv_poll_t *p, int status, int events)
{
	struct http *h = p->data;
	struct err e;

	(void)status;
	(void)events;
	if (serve(h, &e)) {
		log_warnx("http: %s; not answered any more", e.msg);
		stop_listening(h);
		return;
	}
	uv_poll_stop(p);
	uv_close((uv_handle_t *)p, NULL);
}

/* The address, for those who want to call; and so that port 0 means the same one in the next life. */
static void
port_path(const struct agent *a, char *path, size_t size)
{
	snprintf(path, size, "%s/%s.http", a->o.config->state_dir, a->o.id);
}

static int
former_port(const struct agent *a)
{
	char path[512], text[128] = "";
	FILE *f;
	int port = 0;

	port_path(a, path, sizeof path);
	f = fopen(path, "re");
	if (f && fgets(text, sizeof text, f) && strrchr(text, ':'))
		port = (int)strtol(strrchr(text, ':') + 1, NULL, 10);
	if (f)
		fclose(f);
	return port > 0 && port < 65536 ? port : 0;
}

static void
tell_port(struct http *h)
{
	bool six = strchr(h->address, ':') != NULL;
	char path[512];
	FILE *f;

	port_path(h->a, path, sizeof path);
	f = fopen(path, "we");
	if (f)
		fprintf(f, "http%s://%s%s%s:%d\n", h->tls ? "s" : "", six ? "[" : "", h->address, six ? "]" : "", h->port);
	if (!f || fclose(f))
		log_warn("http: %s", path);
}

static int
bind_to(struct http *h, int port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	bool is_six = inet_pton(AF_INET6, h->address, &six.sin6_addr) == 1;
	struct sockaddr *to = is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four;
	socklen_t len = is_six ? sizeof six : sizeof four;
	int fd = socket(to->sa_family, SOCK_STREAM, 0), saved;

	inet_pton(AF_INET, h->address, &four.sin_addr);
	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, to, len) || listen(fd, CONNECTIONS_MAX) || getsockname(fd, to, &len)) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	h->port = ntohs(is_six ? six.sin6_port : four.sin_port);
	return fd;
}

static void
listen_now(struct http *h)
{
	int wanted = h->port;

	h->again_ms = 0;
	h->fd = bind_to(h, wanted ? wanted : former_port(h->a));
	if (h->fd < 0 && !wanted)
		h->fd = bind_to(h, 0);
	if (h->fd < 0) {
		if (!h->told)
			log_warnx("http: %s port %d: %s; trying again every %d s", h->address, wanted, strerror(errno), AGAIN_MS / 1000);
		h->told = true;
		h->again_ms = clock_mono_ms() + AGAIN_MS;
		return;
	}
	uv_poll_init(&h->a->loop, &h->first, h->fd);
	h->first.data = h;
	uv_poll_start(&h->first, UV_READABLE, first_callback);
	tell_port(h);
	log_info("http: %s port %d%s", h->address, h->port, h->tls ? ", with TLS" : "");
}

static void
init(struct http *h, struct agent *a)
{
	const struct config_house *home = config_home(a->o.config, a->o.id);

	h->a = a;
	uv_mutex_init(&h->lock);
	uv_cond_init(&h->change);
	uv_async_init(&a->loop, &h->woken, woken_callback);
	h->woken.data = h;
	events_init(a);
	heard_init(a);
	alerts_init(a);
	h->has_token = home && home->auth_token && home->auth_token[0];
	if (h->has_token)
		SHA256((const unsigned char *)home->auth_token, strlen(home->auth_token), h->token);
}

void
http_open(struct agent *a)
{
	const struct config *f = a->o.config;
	char address[64];
	bool loopback;
	int port;

	if (!config_http(f, a->o.id, address, sizeof address, &port, &loopback))
		return;
	if (!loopback && (access(f->http_certificate, R_OK) || access(f->http_key, R_OK))) {
		log_warnx("http: %s port %d is for others too, and needs a certificate: %s and %s cannot be read (uni-wizard pki "
		    "issue http --san NAME)", address, port, f->http_certificate, f->http_key);
		return;
	}
	if (!a->http) {
		a->http = xcalloc(1, sizeof *a->http);
		init(a->http, a);
	}
	a->http->tls = !loopback;
	a->http->port = port;
	memcpy(a->http->address, address, sizeof address);
	listen_now(a->http);
}

/* Threads that wait for the loop are let go first, for it waits for them here. */
void
http_close(struct agent *a)
{
	struct http *h = a->http;

	if (!h)
		return;
	uv_mutex_lock(&h->lock);
	h->closing = true;
	uv_cond_broadcast(&h->change);
	uv_mutex_unlock(&h->lock);
	events_close(a);
	if (h->daemon)
		h->lib->stop_daemon(h->daemon);
	else if (h->fd >= 0)
		stop_listening(h);
	uv_close((uv_handle_t *)&h->woken, NULL);
	for (struct http_call *c = h->calls, *next; c; c = next) {
		next = c->next;
		free_call(c);
	}
	h->calls = NULL;
}

void
http_free(struct agent *a)
{
	if (!a->http)
		return;
	events_release(a);
	heard_release(a);
	alerts_release(a);
	uv_cond_destroy(&a->http->change);
	uv_mutex_destroy(&a->http->lock);
	free(a->http);
	a->http = NULL;
}
