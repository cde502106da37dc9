/*
 * history.c - what became of a task's attempts, for whoever has to look when it is dead. Only those that came to nothing
 * are written down, the latest of them; it costs nothing where all goes well. Kept with the task and told with the
 * event that follows, so that it survives its owner.
 */
#include <string.h>

#include "json.h"
#include "state.h"

#define HISTORY_MAX 10          /* attempts; their numbers tell how many there were before */
#define MESSAGE_MAX 200

static const char *
executor(const struct core *c, const struct task *t)
{
	return t->at ? t->at->name : t->here || t->works ? c->o.agent : t->executor;
}

/* At a character's end. */
static size_t
message_len(const char *msg)
{
	size_t n = strnlen(msg, MESSAGE_MAX + 1);

	if (n <= MESSAGE_MAX)
		return n;
	for (n = MESSAGE_MAX; n && ((unsigned char)msg[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

void
history_put_why(struct buf *b, const char *code, const char *message)
{
	json_kv_str(b, "code", code);
	json_put_key(b, "message");
	json_put_strn(b, message, message_len(message));
}

static void
put_entry(struct core *c, struct buf *b, const struct task *t, const struct pool_end *p, const struct err *e)
{
	int64_t began = t->started_ms ? t->started_ms : p && p->ran_us ? c->now.wall_ms - p->ran_us / 1000 : 0;

	json_put_open(b, '{');
	json_kv_int(b, "attempt", t->attempt);
	if (executor(c, t))
		json_kv_str(b, "agent", executor(c, t));
	if (began)
		json_kv_time(b, "began", began);
	json_kv_time(b, "ended", c->now.wall_ms);
	json_kv_str(b, "how", p ? work_how(p->how) : "lost");
	if (e->code != ERR_NONE)
		history_put_why(b, err_code_name(e->code), e->msg);
	if (p && p->hopeless)
		json_kv_bool(b, "hopeless", true);
	if (p && p->retry_after_s)
		json_kv_int(b, "retry_after_s", p->retry_after_s);
	json_put_close(b, '}');
}

void
history_add(struct core *c, struct task *t, const struct pool_end *p, const struct err *e)
{
	cJSON *old = t->history ? cJSON_Parse(t->history) : NULL;
	int n = cJSON_GetArraySize(old);
	struct buf b = { 0 };
	const cJSON *v;

	json_put_open(&b, '[');
	cJSON_ArrayForEach(v, old) {
		if (n-- < HISTORY_MAX)
			json_put_tree(&b, v);
	}
	put_entry(c, &b, t, p, e);
	json_put_close(&b, ']');
	free(t->history);
	t->history = buf_take(&b);
	cJSON_Delete(old);
	task_dirty(c, t);
}

void
history_put(struct buf *b, const struct task *t)
{
	if (t->history && !IS_MUTANT(MUTANT_HISTORY_UNTOLD))
		json_kv_raw(b, "history", t->history, strlen(t->history));
}

void
history_follow(struct task *t, const cJSON *o)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "history");

	if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > HISTORY_MAX)
		return;
	free(t->history);
	t->history = cJSON_PrintUnformatted(v);
}
