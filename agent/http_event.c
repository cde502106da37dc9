#include "http_event.h"

#include <string.h>

#include "agent.h"
#include "json.h"

#define STREAMS_MAX 8
#define HELD_BYTES (1u << 20)           /* for a client that does not read */
#define QUIET_MS 5000                   /* then a comment goes, which shows whether the client is there */

struct stream {
	struct stream *next;
	struct events *events;
	char house[NAME_MAX_LEN + 1], type[32];         /* empty: all */
	struct buf out;
	bool dropped;
};

/* ---- in the loop ---- */

void
events_init(struct agent *a)
{
	uv_mutex_init(&a->events.lock);
	uv_cond_init(&a->events.change);
}

/* house NULL: it is about none. */
static void
put(struct stream *s, const char *house, const char *agent, const char *type, const char *line, size_t len)
{
	if (s->dropped || (s->house[0] && (!house || strcmp(s->house, house) != 0)) || (s->type[0] && strcmp(s->type, type) != 0))
		return;
	buf_addf(&s->out, "event: %s\ndata: {", type);
	if (house)
		json_kv_str(&s->out, "house", house);
	json_kv_str(&s->out, "agent", agent);
	json_kv_raw(&s->out, "event", line, len);
	json_put_close(&s->out, '}');
	buf_adds(&s->out, "\n\n");
	s->dropped = !buf_ok(&s->out);
}

/* Events begin with their type. */
static void
type_of(enum topic_kind kind, const char *line, size_t len, char *out, size_t size)
{
	static const char begin[] = "{\"type\":\"";
	size_t n = sizeof begin - 1;

	snprintf(out, size, kind == TOPIC_HEALTH ? "health" : "log");
	if (kind != TOPIC_EVENT)
		return;
	snprintf(out, size, "event");
	if (len > n && memcmp(line, begin, n) == 0)
		snprintf(out, size, "%.*s", (int)strcspn(line + n, "\""), line + n);
}

static void
put_lines(struct events *v, const struct topic *t, const char *payload, size_t len)
{
	bool health = t->kind == TOPIC_HEALTH;
	const char *end = payload + len;
	char type[32];

	for (const char *p = payload, *nl; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		nl = nl ? nl : end;
		if (nl == p || json_check(p, (size_t)(nl - p), NULL))
			continue;
		type_of(t->kind, p, (size_t)(nl - p), type, sizeof type);
		for (struct stream *s = v->streams; s; s = s->next)
			put(s, health ? NULL : t->name, health ? t->name : t->id, type, p, (size_t)(nl - p));
	}
}

/* Of ours come back some, by what we are subscribed to: all of them go by once as they leave. */
void
events_take(struct agent *a, bool ours, const char *topic, const char *payload, size_t len)
{
	struct events *v = &a->events;
	struct topic t;
	bool wanted;

	uv_mutex_lock(&v->lock);
	wanted = v->n && topic_parse(topic, a->o.config->cluster, &t, NULL) == 0 &&
	    (t.kind == TOPIC_EVENT || t.kind == TOPIC_LOG || t.kind == TOPIC_HEALTH) &&
	    ours == (strcmp(t.kind == TOPIC_HEALTH ? t.name : t.id, a->o.id) == 0);
	if (wanted) {
		put_lines(v, &t, payload, len);
		uv_cond_broadcast(&v->change);
	}
	uv_mutex_unlock(&v->lock);
}

void
events_tell(struct agent *a, const char *type, const char *agent, const struct buf *line)
{
	struct events *v = &a->events;

	uv_mutex_lock(&v->lock);
	for (struct stream *s = v->streams; s; s = s->next)
		put(s, NULL, agent, type, line->data, line->len);
	if (v->n)
		uv_cond_broadcast(&v->change);
	uv_mutex_unlock(&v->lock);
}

bool
events_are_watched(struct agent *a)
{
	bool watched;

	uv_mutex_lock(&a->events.lock);
	watched = a->events.n > 0;
	uv_mutex_unlock(&a->events.lock);
	return watched;
}

void
events_close(struct agent *a)
{
	uv_mutex_lock(&a->events.lock);
	a->events.closing = true;
	uv_cond_broadcast(&a->events.change);
	uv_mutex_unlock(&a->events.lock);
}

void
events_release(struct agent *a)
{
	uv_cond_destroy(&a->events.change);
	uv_mutex_destroy(&a->events.lock);
}

/* ---- in a connection's thread ---- */

ssize_t
stream_read(struct stream *s, char *to, size_t size)
{
	struct events *v = s->events;
	ssize_t n = -1;

	uv_mutex_lock(&v->lock);
	if (!s->out.len && !s->dropped && !v->closing && uv_cond_timedwait(&v->change, &v->lock, QUIET_MS * 1000000ull) &&
	    !s->out.len)
		buf_adds(&s->out, ":\n\n");
	if (!s->dropped && !v->closing) {
		n = (ssize_t)(s->out.len < size ? s->out.len : size);
		if (n)
			memcpy(to, s->out.data, (size_t)n);
		memmove(s->out.data, s->out.data + n, s->out.len - (size_t)n);
		buf_cut(&s->out, s->out.len - (size_t)n);
	}
	uv_mutex_unlock(&v->lock);
	return n;
}

void
stream_free(struct stream *s)
{
	struct stream **p = &s->events->streams;

	uv_mutex_lock(&s->events->lock);
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	s->events->n--;
	uv_mutex_unlock(&s->events->lock);
	buf_free(&s->out);
	free(s);
}

/* The first thing that is sent says that the stream is there. */
void
events_get(const struct http_request *r, struct http_reply *w)
{
	const char *house = http_argument(r, "house"), *type = http_argument(r, "type");
	struct events *v = &r->a->events;
	struct stream *s;
	struct err e;

	if (house && !config_house_find(r->a->o.config, house) && strcmp(house, "_") != 0) {
		err_field(&e, ERR_UNKNOWN_HOUSE, "house", house, "a house of the configuration");
		http_fail(w, &e);
		return;
	}
	s = xcalloc(1, sizeof *s);
	s->events = v;
	s->out.max = HELD_BYTES;
	snprintf(s->house, sizeof s->house, "%s", house ? house : "");
	snprintf(s->type, sizeof s->type, "%s", type ? type : "");
	buf_adds(&s->out, ": live\n\n");
	uv_mutex_lock(&v->lock);
	if (v->n < STREAMS_MAX) {
		v->n++;
		s->next = v->streams;
		v->streams = s;
		w->stream = s;
	}
	uv_mutex_unlock(&v->lock);
	w->type = "text/event-stream";
	if (w->stream)
		return;
	buf_free(&s->out);
	free(s);
	err_set(&e, ERR_BUSY, "%d streams are open already", STREAMS_MAX);
	w->type = NULL;
	http_fail(w, &e);
}
