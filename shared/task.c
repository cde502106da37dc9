#include "task.h"

#include <string.h>

#include "clock.h"
#include "err.h"
#include "json.h"

#define BIT(s) (1u << (s))
#define CANCELLABLE (BIT(TASK_CANCELLED) | BIT(TASK_EXPIRED))

static const struct {
	const char *name;
	bool terminal;
} states[TASK_NSTATES] = {
#define X(sym, name, terminal) [sym] = { name, terminal },
	TASK_STATES(X)
#undef X
};

static const char *const modes[TASK_NMODES] = {
#define X(sym, name) [sym] = name,
	TASK_MODES(X)
#undef X
};

/* STARTING, once committed, never goes back to a queue by itself: the tool may have had its effect.
 * It ends by a report or as UNCERTAIN. The one report that leads back is "this never began". */
static const unsigned may_enter[TASK_NSTATES] = {
	[TASK_ACCEPTED] = BIT(TASK_WAITING) | BIT(TASK_SCHEDULED) | BIT(TASK_QUEUED) | BIT(TASK_FORWARDED) |
	    CANCELLABLE,
	/* Failed: it cannot even be said what it would do. */
	[TASK_WAITING] = BIT(TASK_SCHEDULED) | BIT(TASK_QUEUED) | BIT(TASK_DENIED) | BIT(TASK_FAILED) |
	    BIT(TASK_UNCERTAIN) | CANCELLABLE,
	/* Uncertain too: its house was taken over by somebody who may have missed that it ran. */
	[TASK_SCHEDULED] = BIT(TASK_QUEUED) | BIT(TASK_UNCERTAIN) | CANCELLABLE,
	/* What policy says is asked again before each start. Scheduled: a breaker holds it. */
	[TASK_QUEUED] = BIT(TASK_SCHEDULED) | BIT(TASK_STARTING) | BIT(TASK_RUNNING) | BIT(TASK_UNCERTAIN) | BIT(TASK_WAITING) |
	    BIT(TASK_DENIED) | CANCELLABLE,
	[TASK_STARTING] = BIT(TASK_RUNNING) | BIT(TASK_QUEUED) | BIT(TASK_UNCERTAIN) | CANCELLABLE,
	/* Waiting, denied: its worker was told to look before it acts, and did not act. */
	[TASK_RUNNING] = BIT(TASK_SUCCEEDED) | BIT(TASK_FAILED) | BIT(TASK_RETRYING) | BIT(TASK_QUEUED) |
	    BIT(TASK_WAITING) | BIT(TASK_DENIED) | BIT(TASK_UNCERTAIN) | BIT(TASK_DEAD) | CANCELLABLE,
	[TASK_RETRYING] = BIT(TASK_QUEUED) | BIT(TASK_DEAD) | BIT(TASK_UNCERTAIN) | CANCELLABLE,
	[TASK_UNCERTAIN] = BIT(TASK_QUEUED) | BIT(TASK_SUCCEEDED) | BIT(TASK_FAILED) | BIT(TASK_DEAD) |
	    BIT(TASK_CANCELLED),
	[TASK_FORWARDED] = BIT(TASK_SUCCEEDED) | BIT(TASK_FAILED) | BIT(TASK_DEAD) | BIT(TASK_CANCELLED) |
	    BIT(TASK_EXPIRED) | BIT(TASK_DENIED) | BIT(TASK_UNCERTAIN),
};

const char *
task_state_name(enum task_state s)
{
	return s < TASK_NSTATES ? states[s].name : "?";
}

int
task_state_parse(const char *name, enum task_state *out)
{
	for (int i = 0; i < TASK_NSTATES; i++)
		if (strcmp(states[i].name, name) == 0) {
			*out = (enum task_state)i;
			return 0;
		}
	return -1;
}

bool
task_state_is_terminal(enum task_state s)
{
	return states[s].terminal;
}

bool
task_may_enter(enum task_state from, enum task_state to)
{
	return may_enter[from] & BIT(to);
}

const char *
task_mode_name(enum task_mode m)
{
	return modes[m];
}

/* A time is RFC 3339 text or milliseconds since 1970. */
static int
read_time(const cJSON *obj, const char *name, int64_t *out, struct err *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, name);
	char got[64];

	if (!v || cJSON_IsNull(v))
		return 0;
	if (cJSON_IsString(v) && clock_parse(v->valuestring, out, NULL) == 0)
		return 0;
	if (json_int(v, out) && *out > 0)
		return 0;
	return err_field(e, ERR_INVALID, name, json_brief(v, got, sizeof got),
	    "a time in RFC 3339 (2026-11-24T15:04:05Z) or milliseconds since 1970");
}

static int
read_id(const cJSON *obj, struct task_msg *m, struct err *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, "id");
	char got[64];

	if (!v || cJSON_IsNull(v))
		return 0;
	if (!cJSON_IsString(v) || !ulid_parse(v->valuestring, &m->id))
		return err_field(e, ERR_INVALID, "id", json_brief(v, got, sizeof got),
		    "a ULID (26 characters); for a name of your own use \"key\"");
	m->has_id = true;
	return 0;
}

static int
read_mode(const cJSON *obj, struct task_msg *m, struct err *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, "mode");
	char got[64];

	if (!v || cJSON_IsNull(v))
		return 0;
	for (int i = 0; cJSON_IsString(v) && i < TASK_NMODES; i++)
		if (strcmp(v->valuestring, modes[i]) == 0) {
			m->mode = (enum task_mode)i;
			return 0;
		}
	return err_field(e, ERR_INVALID, "mode", json_brief(v, got, sizeof got), "simple, intelligent or sovereign");
}

static int
read_key(const cJSON *obj, struct task_msg *m, struct err *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, "key");
	char got[64];

	if (!v || cJSON_IsNull(v))
		return 0;
	if (!cJSON_IsString(v) || !v->valuestring[0] || strlen(v->valuestring) > TASK_KEY_MAX)
		return err_field(e, ERR_INVALID, "key", json_brief(v, got, sizeof got), "a string of 1 to %d bytes",
		    TASK_KEY_MAX);
	m->key = v->valuestring;
	return 0;
}

/* Whether they are tasks that may be waited for is for their house to say. */
static int
read_after(const cJSON *list, struct task_msg *m, struct err *e)
{
	struct ulid seen[TASK_AFTER_MAX];
	const cJSON *v;
	char got[64];
	int n = 0;

	cJSON_ArrayForEach(v, list) {
		if (n == TASK_AFTER_MAX)
			return err_field(e, ERR_TOO_BIG, "after", NULL, "at most %d tasks", TASK_AFTER_MAX);
		if (!cJSON_IsString(v) || !ulid_parse(v->valuestring, &seen[n]))
			return err_field(e, ERR_INVALID, "after", json_brief(v, got, sizeof got), "ids of tasks (26 characters each)");
		if (m->has_id && ulid_equal(&seen[n], &m->id))
			return err_field(e, ERR_INVALID, "after", v->valuestring, "other tasks: none can wait for itself");
		for (int i = 0; i < n; i++)
			if (ulid_equal(&seen[i], &seen[n]))
				return err_field(e, ERR_INVALID, "after", v->valuestring, "each task once");
		n++;
	}
	m->after = n ? list : NULL;
	m->nafter = n;
	return 0;
}

static int
read_after_failed(const char *text, struct task_msg *m, struct err *e)
{
	m->after_any = strcmp(text, "run") == 0;
	if (!*text || m->after_any || strcmp(text, "cancel") == 0)
		return 0;
	return err_field(e, ERR_INVALID, "after_failed", text, "cancel (default) or run");
}

struct retry {
	int64_t max, base_s, cap_s;
};

static const struct json_field retry_fields[] = {
	JSON_FIELD_INT(struct retry, max, 1, 100, false),
	JSON_FIELD_INT(struct retry, base_s, 1, 86400, false),
	JSON_FIELD_INT(struct retry, cap_s, 1, 86400, false),
	JSON_END
};

static int
read_retry(const cJSON *obj, struct task_msg *m, struct err *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, "retry");
	struct retry r = { .max = 5, .base_s = 2, .cap_s = 300 };
	const char *unknown;
	char got[64];

	if (!v || cJSON_IsNull(v))
		return 0;
	if (!cJSON_IsObject(v))
		return err_field(e, ERR_INVALID, "retry", json_brief(v, got, sizeof got),
		    "an object such as {\"max\":5,\"base_s\":2,\"cap_s\":300}");
	if (json_read(v, retry_fields, &r, e))
		return err_in(e, "retry");
	if ((unknown = json_unknown(v, retry_fields))) {
		err_field(e, ERR_INVALID, unknown, "an unknown member", "max, base_s or cap_s");
		return err_in(e, "retry");
	}
	m->retry_max = r.max;
	m->retry_base_s = r.base_s;
	m->retry_cap_s = r.cap_s;
	return 0;
}

struct plain {
	char tool[48], from[NAME_MAX_LEN + 1], traceparent[TRACE_MAX], parent[64], retry_of[64], after_failed[16];
	int64_t priority, timeout_s;
	const cJSON *params, *labels, *after, *reply;
};

static const struct json_field plain_fields[] = {
	JSON_FIELD(struct plain, tool, JSON_TEXT, true),
	JSON_FIELD(struct plain, params, JSON_OBJECT, false),
	JSON_FIELD_INT(struct plain, priority, 0, TASK_PRIORITIES - 1, false),
	JSON_FIELD_INT(struct plain, timeout_s, 1, 604800, false),
	JSON_FIELD(struct plain, labels, JSON_OBJECT, false),
	JSON_FIELD(struct plain, after, JSON_ARRAY, false),
	JSON_FIELD(struct plain, after_failed, JSON_TEXT, false),
	JSON_FIELD(struct plain, parent, JSON_TEXT, false),
	JSON_FIELD(struct plain, retry_of, JSON_TEXT, false),
	JSON_FIELD(struct plain, traceparent, JSON_TEXT, false),
	JSON_FIELD(struct plain, from, JSON_TEXT, false),
	JSON_FIELD(struct plain, reply, JSON_OBJECT, false),
	JSON_END
};

static const char *
member_text(const cJSON *obj, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(obj, name));
}

int
task_msg_read(const cJSON *obj, struct task_msg *m, struct err *e)
{
	struct plain p = { .priority = TASK_PRIORITY_DEFAULT };

	*m = (struct task_msg){ 0 };
	if (read_id(obj, m, e) || json_read(obj, plain_fields, &p, e) || read_mode(obj, m, e) ||
	    read_time(obj, "not_before", &m->not_before_ms, e) ||
	    read_time(obj, "deadline", &m->deadline_ms, e) || read_key(obj, m, e) || read_retry(obj, m, e))
		return -1;
	if (read_after(p.after, m, e) || read_after_failed(p.after_failed, m, e))
		return -1;
	memcpy(m->tool, p.tool, sizeof m->tool);
	memcpy(m->from, p.from, sizeof m->from);
	memcpy(m->traceparent, p.traceparent, sizeof m->traceparent);
	m->params = (cJSON *)p.params;
	m->labels = p.labels;
	m->priority = p.priority;
	m->timeout_s = p.timeout_s;
	m->reply_topic = member_text(p.reply, "topic");
	m->reply_correlation = member_text(p.reply, "correlation");
	return 0;
}
