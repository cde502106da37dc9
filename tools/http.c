#include "http.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <strings.h>

#include "clock.h"
#include "config.h"
#include "curl.h"
#include "err.h"
#include "json.h"
#include "net.h"
#include "tool.h"
#include "place.h"

/* One request under way. */
struct transfer {
	const struct curl_api *curl;
	const struct http_request *q;
	struct http_answer *a;
	CURL *h;
	struct curl_slist *headers;
	char why[CURL_ERROR_SIZE];
	bool https;                     /* the URL asked for is */
	bool denied;                    /* a connection was not made, for where it led */
};

void
http_url_brief(const char *url, char *out, size_t size)
{
	const char *host = strstr(url, "://"), *at;
	size_t n = strcspn(url, "?#");

	host = host && host < url + n ? host + 3 : url;
	at = memchr(host, '@', (size_t)(url + n - host));
	if (at && !memchr(host, '/', (size_t)(at - host)))
		snprintf(out, size, "%.*s%.*s", (int)(host - url), url, (int)(url + n - at - 1), at + 1);
	else
		snprintf(out, size, "%.*s", (int)(n < 200 ? n : 200), url);
}

static int
bad_url(const struct http_request *q, struct err *e)
{
	char brief[96];

	http_url_brief(q->url, brief, sizeof brief);
	return err_field(e, ERR_INVALID, "params.url", brief, "an http or https URL without user name and "
	    "password");
}

/* A part of a URL, empty if it has none. */
static void
url_part(struct transfer *t, CURLU *u, CURLUPart part, char *out, size_t size)
{
	char *text = NULL;

	if (t->curl->url_get(u, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
		text = NULL;
	snprintf(out, size, "%s", text ? text : "");
	t->curl->free(text);
}

/* "https://host:443" of a URL, as libcurl itself understands it, so that both mean the same server. False
 * if it is not http or https, or has a user name in it. */
static bool
url_origin(struct transfer *t, const char *url, char *out, size_t size)
{
	CURLU *u = t->curl->url();
	char scheme[16], user[2], password[2], host[256], port[8];
	bool ok = u && t->curl->url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK;

	if (ok) {
		url_part(t, u, CURLUPART_SCHEME, scheme, sizeof scheme);
		url_part(t, u, CURLUPART_USER, user, sizeof user);
		url_part(t, u, CURLUPART_PASSWORD, password, sizeof password);
		url_part(t, u, CURLUPART_HOST, host, sizeof host);
		url_part(t, u, CURLUPART_PORT, port, sizeof port);
		ok = !user[0] && !password[0] && host[0] &&
		    (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);
		snprintf(out, size, "%s://%s:%s", scheme, host, port);
	}
	t->curl->url_cleanup(u);
	return ok;
}

int
http_place(const char *url, struct buf *place, struct err *e)
{
	struct http_request q = { .url = url };
	struct transfer t = { .curl = curl_load(e), .q = &q };
	char origin[320], *path = NULL, *normal;
	CURLU *u;

	if (!t.curl)
		return -1;
	if (!url_origin(&t, url, origin, sizeof origin))
		return bad_url(&q, e);
	u = t.curl->url();
	if (u && t.curl->url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
		t.curl->url_get(u, CURLUPART_PATH, &path, 0);
	buf_adds(place, origin);
	buf_adds(place, path ? path : "/");
	t.curl->free(path);
	t.curl->url_cleanup(u);
	normal = place_url(buf_str(place));
	buf_clear(place);
	if (!normal)
		return bad_url(&q, e);
	buf_adds(place, normal);
	free(normal);
	return 0;
}

/* A task names the secret and the URL; so who may send tasks could send every secret to himself, were it
 * not said in the configuration where each may go. */
static int
check_secret(struct transfer *t, const char *origin, struct err *e)
{
	const struct config_secret *s = t->q->secret;
	char allowed[320];

	if (!s)
		return 0;
	if (!s->origin)
		return err_set(e, ERR_DENIED,
		    "params.secret: %s has no origin in the configuration, so it is sent nowhere", s->name);
	if (url_origin(t, s->origin, allowed, sizeof allowed) && strcasecmp(allowed, origin) == 0)
		return 0;
	return err_set(e, ERR_DENIED, "params.secret: %s is for %s, not for %s", s->name, s->origin, origin);
}

static int
check_url(struct transfer *t, struct err *e)
{
	char origin[320];

	if (!url_origin(t, t->q->url, origin, sizeof origin))
		return bad_url(t->q, e);
	t->https = strncasecmp(origin, "https:", 6) == 0;
	return check_secret(t, origin, e);
}

/* What would break the framing of the request, or carry credentials in a task that everybody keeps. */
static const char *const not_yours[] = {
	"authorization", "proxy-authorization", "cookie", "host", "content-length", "transfer-encoding",
	"connection", "upgrade", "te", "trailer", "expect",
};

static bool
header_name_ok(const char *name)
{
	if (!name[0] || strlen(name) > 128)
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p))
			return false;
	for (size_t i = 0; i < sizeof not_yours / sizeof *not_yours; i++)
		if (strcasecmp(name, not_yours[i]) == 0)
			return false;
	return true;
}

static bool
header_value_ok(const char *value)
{
	for (const char *p = value; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return false;
	return true;
}

static void
header_put(struct transfer *t, const char *name, const char *value)
{
	struct buf line = { 0 };
	struct curl_slist *longer;

	/* libcurl takes "Name:" for "do not send it" and "Name;" for an empty value. */
	if (value[0])
		buf_addf(&line, "%s: %s", name, value);
	else
		buf_addf(&line, "%s;", name);
	longer = t->curl->slist_append(t->headers, buf_str(&line));
	if (!longer)
		abort();
	t->headers = longer;
	buf_free(&line);
}

static int
check_header(const cJSON *m, struct err *e)
{
	char field[80];

	snprintf(field, sizeof field, "params.headers.%.60s", m->string);
	if (!header_name_ok(m->string))
		return err_field(e, ERR_INVALID, field, m->string,
		    "the name of a header that may be set (credentials are given by secret)");
	if (!cJSON_IsString(m) || !header_value_ok(m->valuestring))
		return err_field(e, ERR_INVALID, field, NULL, "a text without control characters");
	return 0;
}

static int
put_headers(struct transfer *t, struct err *e)
{
	const struct http_request *q = t->q;
	bool typed = false;
	const cJSON *m;

	if (cJSON_GetArraySize(q->headers) > HTTP_MAX_HEADERS)
		return err_field(e, ERR_TOO_BIG, "params.headers", NULL, "at most %d headers",
		    HTTP_MAX_HEADERS);
	cJSON_ArrayForEach(m, q->headers) {
		if (check_header(m, e))
			return -1;
		typed |= strcasecmp(m->string, "content-type") == 0;
		header_put(t, m->string, m->valuestring);
	}
	if (q->post && !typed)
		header_put(t, "Content-Type", q->content_type);
	/* A large body would wait a second for "100 Continue", which many servers never say. */
	if (q->post)
		t->headers = t->curl->slist_append(t->headers, "Expect:");
	return 0;
}

/* Asked for each address, also after redirects: nothing goes where it may not. */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
	struct transfer *t = arg;
	int fd;

	(void)purpose;
	if (net_is_denied(&sa->addr)) {
		t->denied = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(sa->family, sa->socktype, sa->protocol);
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* Connected, and the request not sent yet. */
static int
on_ready(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct transfer *t = arg;

	(void)from, (void)to_port, (void)from_port;
	snprintf(t->a->address, sizeof t->a->address, "%s", to ? to : "");
	if (t->q->on_send)
		t->q->on_send(t->q->arg);
	return CURL_PREREQFUNC_OK;
}

static int
on_transfer(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	const struct transfer *t = arg;
	bool sends = up_total > 0 && up < up_total;
	curl_off_t total = sends ? up_total : down_total, now = sends ? up : down;
	char note[64];

	snprintf(note, sizeof note, "%lld of %lld bytes %s", (long long)now, (long long)total, sends ? "sent" : "received");
	if (total > 0 && t->q->run)
		tool_progress(t->q->run, (int)(100.0 * (double)now / (double)total), note);
	t->a->ended = t->q->is_over && t->q->is_over(t->q->arg);
	return t->a->ended;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n, room = t->q->max_body - t->a->body.len;

	if (t->q->on_body) {
		t->q->on_body(t->q->arg, p, len);
		return len;
	}
	if (len <= room) {
		buf_add(&t->a->body, p, len);
		return len;
	}
	buf_add(&t->a->body, p, room);
	t->a->cut = true;
	return 0;       /* ends the transfer */
}

static void
headers_clear(struct http_answer *a)
{
	for (size_t i = 0; i < a->nheaders; i++) {
		free(a->headers[i].name);
		free(a->headers[i].value);
	}
	a->nheaders = a->header_bytes = 0;
	a->headers_cut = false;
}

static void
header_keep(struct http_answer *a, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *end = line + len;
	struct http_header *h = &a->headers[a->nheaders];

	if (!colon)
		return;
	if (a->nheaders == HTTP_MAX_HEADERS || a->header_bytes + len > HTTP_MAX_HEADER_BYTES) {
		a->headers_cut = true;
		return;
	}
	h->name = xstrndup(line, (size_t)(colon - line));
	for (char *p = h->name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	for (colon++; colon < end && (*colon == ' ' || *colon == '\t'); colon++)
		continue;
	while (end > colon && strchr("\r\n\t ", end[-1]))
		end--;
	h->value = xstrndup(colon, (size_t)(end - colon));
	a->nheaders++;
	a->header_bytes += len;
}

/* Only those of the last answer count, after redirects and "100 Continue". */
static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (size * n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		headers_clear(t->a);
	else
		header_keep(t->a, p, size * n);
	return size * n;
}

#define SET(t, option, value) ((t)->curl->easy_setopt((t)->h, option, value) == CURLE_OK)

static bool
set_callbacks(struct transfer *t)
{
	return SET(t, CURLOPT_ERRORBUFFER, t->why) &&
	    SET(t, CURLOPT_OPENSOCKETFUNCTION, on_open) && SET(t, CURLOPT_OPENSOCKETDATA, t) &&
	    SET(t, CURLOPT_PREREQFUNCTION, on_ready) && SET(t, CURLOPT_PREREQDATA, t) &&
	    SET(t, CURLOPT_WRITEFUNCTION, on_body) && SET(t, CURLOPT_WRITEDATA, t) &&
	    SET(t, CURLOPT_HEADERFUNCTION, on_header) && SET(t, CURLOPT_HEADERDATA, t) &&
	    ((!t->q->run && !t->q->is_over) || (SET(t, CURLOPT_XFERINFOFUNCTION, on_transfer) && SET(t, CURLOPT_XFERINFODATA, t) &&
	    SET(t, CURLOPT_NOPROGRESS, 0L)));
}

/* The time limits must never be 0, which is libcurl's word for none. */
static bool
set_limits(struct transfer *t)
{
	const struct http_request *q = t->q;
	int64_t timeout_ms = q->timeout_ms > 0 ? q->timeout_ms : 1;
	int64_t connect_ms = q->connect_ms > 0 ? q->connect_ms : 1;

	return SET(t, CURLOPT_NOSIGNAL, 1L) &&
	    SET(t, CURLOPT_TIMEOUT_MS, (long)timeout_ms) &&
	    SET(t, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms) &&
	    (!q->silence_s || (SET(t, CURLOPT_LOW_SPEED_LIMIT, 1L) && SET(t, CURLOPT_LOW_SPEED_TIME, (long)q->silence_s))) &&
	    SET(t, CURLOPT_FOLLOWLOCATION, q->max_redirects ? 1L : 0L) &&
	    SET(t, CURLOPT_MAXREDIRS, (long)q->max_redirects) &&
	    SET(t, CURLOPT_PROTOCOLS_STR, "http,https") &&
	    SET(t, CURLOPT_REDIR_PROTOCOLS_STR, t->https ? "https" : "http,https") &&
	    SET(t, CURLOPT_PROXY, "");
}

static bool
set_secret(struct transfer *t)
{
	return !t->q->secret || (SET(t, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER) &&
	    SET(t, CURLOPT_XOAUTH2_BEARER, t->q->secret->value));
}

static bool
set_ca(struct transfer *t)
{
	struct curl_blob blob = { .data = t->q->ca.data, .len = t->q->ca.len, .flags = CURL_BLOB_COPY };

	return !t->q->ca.len || (SET(t, CURLOPT_CAINFO_BLOB, &blob) && SET(t, CURLOPT_CAPATH, NULL));
}

static const char *
method_of(const struct http_request *q)
{
	return q->method ? q->method : q->post ? "POST" : "GET";
}

static bool
set_request(struct transfer *t)
{
	const struct http_request *q = t->q;

	if (q->post && !(SET(t, CURLOPT_POST, 1L) && SET(t, CURLOPT_POSTFIELDS, q->post) &&
	    SET(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->post_len)))
		return false;
	if (q->method && !SET(t, CURLOPT_CUSTOMREQUEST, q->method))
		return false;
	/* When a connection that was kept breaks before an answer, libcurl asks again on another one, as if nothing could
	 * have happened yet. */
	if (strcmp(method_of(q), "GET") != 0 && !SET(t, CURLOPT_FRESH_CONNECT, 1L))
		return false;
	return SET(t, CURLOPT_URL, q->url) && SET(t, CURLOPT_HTTPHEADER, t->headers) &&
	    SET(t, CURLOPT_ACCEPT_ENCODING, "") && SET(t, CURLOPT_USERAGENT, "uni-wizard/" UW_VERSION);
}

static void
line_take(struct transfer *t)
{
	void **line = t->q->line;

	t->h = line && *line ? *line : t->curl->easy_init();
	if (line)
		*line = t->h;
}

/* What is kept knows nothing of this request any more: only connections stay. */
static void
line_leave(struct transfer *t)
{
	if (t->h && t->q->line)
		t->curl->easy_reset(t->h);
	else
		t->curl->easy_cleanup(t->h);
}

void
http_line_close(void **line)
{
	const struct curl_api *curl = *line ? curl_load(NULL) : NULL;

	if (curl)
		curl->easy_cleanup(*line);
	*line = NULL;
}

static int
transfer_setup(struct transfer *t, struct err *e)
{
	if (check_url(t, e) || put_headers(t, e))
		return -1;
	line_take(t);
	if (t->h && set_callbacks(t) && set_limits(t) && set_secret(t) && set_ca(t) && set_request(t))
		return 0;
	return err_set(e, ERR_INTERNAL, "libcurl refuses an option: %s", t->why);
}

static int64_t
info_us(const struct transfer *t, CURLINFO what)
{
	curl_off_t us = 0;

	t->curl->easy_getinfo(t->h, what, &us);
	return us;
}

static void
read_info(const struct transfer *t)
{
	struct http_answer *a = t->a;
	long status = 0, redirects = 0, version = 0;
	curl_off_t length = -1, after = 0;
	char *type = NULL, *url = NULL;

	t->curl->easy_getinfo(t->h, CURLINFO_RESPONSE_CODE, &status);
	t->curl->easy_getinfo(t->h, CURLINFO_REDIRECT_COUNT, &redirects);
	t->curl->easy_getinfo(t->h, CURLINFO_HTTP_VERSION, &version);
	t->curl->easy_getinfo(t->h, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	t->curl->easy_getinfo(t->h, CURLINFO_RETRY_AFTER, &after);
	t->curl->easy_getinfo(t->h, CURLINFO_CONTENT_TYPE, &type);
	t->curl->easy_getinfo(t->h, CURLINFO_EFFECTIVE_URL, &url);
	a->status = (int)status;
	a->redirects = redirects;
	a->version = version == CURL_HTTP_VERSION_1_0 ? 10 : version == CURL_HTTP_VERSION_1_1 ? 11 :
	    version == CURL_HTTP_VERSION_2_0 ? 20 : version == CURL_HTTP_VERSION_3 ? 30 : 0;
	a->length = length;
	a->retry_after_s = after;
	a->type = type ? xstrdup(type) : NULL;
	a->url = url ? xstrdup(url) : NULL;
	a->dns_us = info_us(t, CURLINFO_NAMELOOKUP_TIME_T);
	a->connect_us = info_us(t, CURLINFO_CONNECT_TIME_T);
	a->tls_us = info_us(t, CURLINFO_APPCONNECT_TIME_T);
	a->first_byte_us = info_us(t, CURLINFO_STARTTRANSFER_TIME_T);
	a->total_us = info_us(t, CURLINFO_TOTAL_TIME_T);
}

/* What libcurl's failures are to us; any other is ERR_NETWORK. */
static const struct {
	CURLcode curl;
	enum err_code code;
} failures[] = {
	{ CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT },
	{ CURLE_TOO_MANY_REDIRECTS, ERR_TOOL },
	{ CURLE_UNSUPPORTED_PROTOCOL, ERR_TOOL },
	{ CURLE_WEIRD_SERVER_REPLY, ERR_TOOL },
	{ CURLE_BAD_CONTENT_ENCODING, ERR_TOOL },
	{ CURLE_SSL_CACERT_BADFILE, ERR_INVALID },
	{ CURLE_OUT_OF_MEMORY, ERR_INTERNAL },
};

static int
transfer_failed(const struct transfer *t, CURLcode rc, struct err *e)
{
	enum err_code code = ERR_NETWORK;
	char brief[256];

	http_url_brief(t->q->url, brief, sizeof brief);
	if (t->denied)
		return err_set(e, ERR_DENIED, "%s: leads to a cloud metadata address, which no tool may use",
		    brief);
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		if (failures[i].curl == rc)
			code = failures[i].code;
	return err_set(e, code, "%s %s: %s", method_of(t->q), brief,
	    t->why[0] ? t->why : t->curl->easy_strerror(rc));
}

int
http_run(const struct http_request *q, struct http_answer *a, struct err *e)
{
	struct transfer t = { .q = q, .a = a };
	struct sigaction old;
	CURLcode code;
	int rc;

	*a = (struct http_answer){ .length = -1, .body.max = q->max_body + 1 };
	t.curl = curl_load(e);
	if (!t.curl)
		return -1;
	rc = transfer_setup(&t, e);
	if (rc == 0) {
		net_sigpipe_off(&old);
		code = t.curl->easy_perform(t.h);
		net_sigpipe_back(&old);
		read_info(&t);
		if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && a->cut) && !a->ended)
			rc = transfer_failed(&t, code, e);
	}
	line_leave(&t);
	t.curl->slist_free_all(t.headers);
	return rc;
}

void
http_answer_release(struct http_answer *a)
{
	headers_clear(a);
	buf_free(&a->body);
	free(a->type);
	free(a->url);
}

const char *
http_answer_header(const struct http_answer *a, const char *name)
{
	for (size_t i = 0; i < a->nheaders; i++)
		if (strcmp(a->headers[i].name, name) == 0)
			return a->headers[i].value;
	return NULL;
}
