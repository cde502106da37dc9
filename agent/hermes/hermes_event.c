#include "hermes_event.h"

#include <string.h>

#include "json.h"
#include "model.h"

static const char *const vias[] = {
#define X(sym, name) [sym] = name,
	HERMES_VIAS(X)
#undef X
};

enum hermes_share
hermes_share_find(const char *name)
{
	return strcmp(name, "texts") == 0 ? SHARE_TEXTS : strcmp(name, "previews") == 0 ? SHARE_PREVIEWS : SHARE_FACTS;
}

void
hermes_event_init(struct hermes_event *v, const char *kind, enum hermes_via via, int64_t heard_ms)
{
	*v = (struct hermes_event){ .via = via, .heard_ms = heard_ms, .at_ms = heard_ms, .ok = -1, .ms = -1, .bytes = -1 };
	snprintf(v->kind, sizeof v->kind, "%s", kind);
	v->counts.max = v->preview.max = v->text.max = HERMES_TEXT_MAX;
}

void
hermes_event_release(struct hermes_event *v)
{
	buf_free(&v->counts);
	buf_free(&v->preview);
	buf_free(&v->text);
}

void
hermes_event_fill(struct buf *b, const char *text, size_t len)
{
	size_t room = b->max - b->len;

	buf_add(b, text, len < room ? len : room);
}

bool
hermes_event_is_call(const struct hermes_event *v)
{
	return strcmp(v->kind, "tool.started") == 0 || strcmp(v->kind, "tool.completed") == 0;
}

/* Whole characters only. */
static void
put_cut(struct buf *b, const char *key, const struct buf *text, size_t max)
{
	size_t n = text->len < max ? text->len : max;

	if (!text->len)
		return;
	while (n < text->len && n > 0 && ((unsigned char)text->data[n] & 0xc0) == 0x80)
		n--;
	json_put_key(b, key);
	json_put_strn(b, text->data, n);
}

void
hermes_event_put(struct buf *b, const struct hermes_event *v, enum hermes_share share, const char *agent, const char *stream,
    int64_t seq)
{
	const struct { const char *key, *value; } texts[] = {
		{ "session", v->session }, { "call", v->call }, { "tool", v->tool }, { "run", v->run }, { "task", v->task },
		{ "house", v->house }, { "status", v->status }, { "model", v->model },
	};

	json_put_open(b, '{');
	json_kv_str(b, "type", "hermes");
	json_kv_str(b, "event", v->kind);
	json_kv_str(b, "agent", agent);
	json_kv_str(b, "stream", stream);
	json_kv_int(b, "seq", seq);
	json_kv_str(b, "via", vias[v->via]);
	json_kv_time(b, "at", v->at_ms);
	json_kv_int(b, "lag_ms", v->heard_ms - v->at_ms);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (*texts[i].value)
			json_kv_str(b, texts[i].key, texts[i].value);
	if (v->ok >= 0)
		json_kv_bool(b, "ok", v->ok);
	if (v->ms >= 0)
		json_kv_int(b, "ms", v->ms);
	if (v->bytes >= 0)
		json_kv_int(b, "bytes", v->bytes);
	buf_add(b, buf_str(&v->counts), v->counts.len);
	if (share >= SHARE_PREVIEWS)
		put_cut(b, "preview", &v->preview, HERMES_PREVIEW_MAX);
	if (share >= SHARE_TEXTS)
		put_cut(b, "text", &v->text, HERMES_TEXT_MAX);
	json_put_close(b, '}');
}

static bool
says_timeout(const char *error)
{
	return strstr(error, "timed out") || strstr(error, "timeout") || strstr(error, "Timeout");
}

const char *
hermes_failure(const char *result)
{
	cJSON *o = cJSON_Parse(result);
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error"), *code = cJSON_GetObjectItemCaseSensitive(o, "exit_code");
	bool failed = (cJSON_IsString(e) && *e->valuestring) || cJSON_IsObject(e) || cJSON_IsTrue(e) ||
	    (cJSON_IsNumber(code) && code->valuedouble != 0);
	const char *why = !failed ? NULL : cJSON_IsString(e) && says_timeout(e->valuestring) ? failure_name(FAILURE_TIMEOUT) :
	    failure_name(FAILURE_ERROR);

	cJSON_Delete(o);
	return why;
}
