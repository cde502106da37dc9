/*
 * socket.c - the agent's local socket: one JSON object a line in, JSON lines out. Who may connect is
 * decided by the file's mode: the agent's own user.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"
#include "json.h"
#include "log.h"

#define CONNS_MAX 64
#define SHORT_LINE 200                  /* a request that is not the core's has no more */
#define LINE_MAX_BYTES (2u << 20)
#define WRITE_MAX_BYTES (8u << 20)      /* waiting for a reader who does not read */

struct socket_conn {
	uv_pipe_t pipe;
	struct agent *agent;
	uint64_t id;
	struct buf in;
	bool closing;
	struct socket_conn *next;
};

static void
conn_closed(uv_handle_t *h)
{
	struct socket_conn *s = h->data;
	struct socket_conn **p = &s->agent->conns;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	s->agent->nconns--;
	buf_free(&s->in);
	free(s);
}

static void
drop(struct socket_conn *s)
{
	if (s->closing)
		return;
	s->closing = true;
	copy_left(s->agent, s->id);
	if (s->agent->phase != AGENT_ENDS) {
		agent_input(s->agent);
		core_local_gone(s->agent->core, s->id);
	}
	uv_close((uv_handle_t *)&s->pipe, conn_closed);
}

static void
give_room(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	struct socket_conn *s = h->data;
	char *p = buf_reserve(&s->in, 16384);

	(void)hint;
	*out = uv_buf_init(p, p ? 16384 : 0);
}

/* {"op":"vitals"} alone: asked of the loop, not of the core, for it is to be answered though no turn comes to its end. */
static bool
is_vitals(struct socket_conn *s)
{
	size_t len = s->in.len;
	cJSON *req = len && len <= SHORT_LINE && s->in.data[len - 1] == '\n' && memmem(s->in.data, len, "vitals", 6)
	    ? json_parse_object(s->in.data, len, NULL) : NULL;
	bool is = strcmp(json_text(req, "op"), "vitals") == 0;

	cJSON_Delete(req);
	if (!is)
		return false;
	buf_clear(&s->in);
	health_ask(s->agent, s->id);
	return true;
}

static void
has_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *got)
{
	struct socket_conn *s = stream->data;

	(void)got;
	if (n == UV_ENOBUFS)
		log_warnx("local: a line of more than %u bytes; connection closed", LINE_MAX_BYTES);
	if (n < 0) {
		drop(s);
		return;
	}
	s->in.len += (size_t)n;
	if (n > 0 && !is_vitals(s))
		agent_input(s->agent);
}

static void
accept_one(uv_stream_t *listener, int status)
{
	struct agent *a = listener->data;
	struct socket_conn *s = xcalloc(1, sizeof *s);

	s->agent = a;
	s->id = ++a->last_conn;
	s->in.max = LINE_MAX_BYTES;
	s->pipe.data = s;
	s->next = a->conns;
	a->conns = s;
	a->nconns++;
	uv_pipe_init(&a->loop, &s->pipe, 0);
	if (status || uv_accept(listener, (uv_stream_t *)&s->pipe) || a->nconns > CONNS_MAX ||
	    uv_read_start((uv_stream_t *)&s->pipe, give_room, has_read))
		drop(s);
}

static void send_text(struct socket_conn *s, const char *text, size_t len);

static void
answer_log_level(struct socket_conn *s, const cJSON *req)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(req, "level");
	enum log_level was = log_get_level();
	int level = cJSON_IsString(v) ? log_level_find(v->valuestring) : v ? -1 : (int)was;
	struct buf b = { 0 };
	struct err e;
	char got[80];

	json_put_open(&b, '{');
	json_kv_str(&b, "type", level < 0 ? "error" : "log_level");
	if (level < 0) {
		err_field(&e, ERR_INVALID, "level", json_brief(v, got, sizeof got), "one of " LOG_LEVELS);
		json_put_key(&b, "error");
		json_put_err(&b, &e);
	} else {
		json_kv_str(&b, "level", log_level_name((enum log_level)level));
		json_kv_str(&b, "was", log_level_name(was));
	}
	json_put_close(&b, '}');
	buf_addc(&b, '\n');
	if (level >= 0 && level != (int)was) {
		log_set_level(LOG_LEVEL_INFO);  /* that it changes is told in any case */
		log_info("agent %s: logs %s now, it was %s", s->agent->o.id, log_level_name((enum log_level)level), log_level_name(was));
		log_set_level((enum log_level)level);
	}
	send_text(s, b.data, b.len);
	buf_free(&b);
}

static void
begin_copy(struct socket_conn *s, const cJSON *req)
{
	(void)req;
	copy_begin(s->agent, s->id);
}

/* What the core knows nothing of. {"op":"log_level"}, with "level" to change it; {"op":"copy"}, see copy.c. */
static const struct {
	const char *op;
	void (*run)(struct socket_conn *s, const cJSON *req);
} ops[] = {
	{ "log_level", answer_log_level },
	{ "copy", begin_copy },
};

/* False: it is the core's. */
static bool
is_ours(struct socket_conn *s, const char *line, size_t len)
{
	cJSON *req = NULL;
	bool is = false;

	for (size_t i = 0; !is && len <= SHORT_LINE && i < sizeof ops / sizeof *ops; i++) {
		if (!memmem(line, len, ops[i].op, strlen(ops[i].op)) || (!req && !(req = json_parse_object(line, len, NULL))))
			continue;
		is = strcmp(json_text(req, "op"), ops[i].op) == 0;
		if (is)
			ops[i].run(s, req);
	}
	cJSON_Delete(req);
	return is;
}

static void
feed(struct socket_conn *s)
{
	char *p = s->in.data, *end = p + s->in.len, *nl;

	while (p < end && (nl = memchr(p, '\n', (size_t)(end - p)))) {
		if (nl > p && !is_ours(s, p, (size_t)(nl - p)))
			core_local(s->agent->core, s->id, p, (size_t)(nl - p), "local");
		p = nl + 1;
	}
	memmove(s->in.data, p, (size_t)(end - p));
	s->in.len = (size_t)(end - p);
}

void
socket_feed(struct agent *a)
{
	for (struct socket_conn *s = a->conns; s; s = s->next)
		if (!s->closing && s->in.len)
			feed(s);
}

struct outgoing {
	uv_write_t req;
	char *text;
};

static void
written(uv_write_t *req, int status)
{
	struct outgoing *o = req->data;
	struct socket_conn *s = req->handle->data;

	free(o->text);
	free(o);
	if (status)
		drop(s);
}

static void
send_text(struct socket_conn *s, const char *text, size_t len)
{
	struct outgoing *o = xcalloc(1, sizeof *o);
	uv_buf_t b;

	o->req.data = o;
	o->text = xstrndup(text, len);
	b = uv_buf_init(o->text, (unsigned)len);
	if (uv_stream_get_write_queue_size((uv_stream_t *)&s->pipe) > WRITE_MAX_BYTES ||
	    uv_write(&o->req, (uv_stream_t *)&s->pipe, &b, 1, written)) {
		free(o->text);
		free(o);
		drop(s);
	}
}

void
socket_answer(struct agent *a, uint64_t conn, const char *text, size_t len)
{
	for (struct socket_conn *s = a->conns; s; s = s->next)
		if (s->id == conn && !s->closing)
			send_text(s, text, len);
}

void
socket_effects(struct agent *a)
{
	const char *text;
	uint64_t conn;
	size_t len;

	while (core_next_local(a->core, &conn, &text, &len))
		if (!http_take(a, conn, text, len))
			socket_answer(a, conn, text, len);
}

int
socket_open(struct agent *a, struct err *e)
{
	char path[512];
	int rc;

	snprintf(path, sizeof path, "%s/%s.sock", a->o.config->run_dir, a->o.id);
	unlink(path);
	uv_pipe_init(&a->loop, &a->listener, 0);
	a->listener.data = a;
	rc = uv_pipe_bind(&a->listener, path);
	if (rc == 0 && chmod(path, 0600))
		rc = -errno;
	if (rc == 0)
		rc = uv_listen((uv_stream_t *)&a->listener, 16, accept_one);
	a->listening = rc == 0;
	return rc ? err_set(e, ERR_IO, "local socket %s: %s", path, uv_strerror(rc)) : 0;
}

void
socket_close(struct agent *a)
{
	char path[512];

	if (!a->listening)
		return;
	snprintf(path, sizeof path, "%s/%s.sock", a->o.config->run_dir, a->o.id);
	unlink(path);
	for (struct socket_conn *s = a->conns; s; s = s->next)
		drop(s);
}
