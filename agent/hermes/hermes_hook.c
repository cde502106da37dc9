#include "hermes_hook.h"

#include <string.h>

#include "clock.h"
#include "err.h"
#include "json.h"
#include "mac.h"

/* Their hooks, and what we call them. What is not here is of no use to others, or holds whole conversations. */
static const struct {
	const char *hook, *kind;
} hooks[] = {
	{ "pre_tool_call", "tool.started" },
	{ "post_tool_call", "tool.completed" },
	{ "on_session_start", "session.started" },
	{ "on_session_end", "session.ended" },
	{ "subagent_start", "subagent.started" },
	{ "subagent_stop", "subagent.ended" },
	{ "api_request_error", "api.error" },
	{ "pre_approval_request", "approval.request" },
	{ "post_approval_response", "approval.responded" },
};

static int
check(const char *body, size_t len, const char *signature, const char *key, struct err *e)
{
	static const char scheme[] = "sha256=";

	if (!signature || strncmp(signature, scheme, sizeof scheme - 1) != 0)
		return err_set(e, ERR_DENIED, "X-Hermes-Signature-256: expected sha256=..., got %.40s", signature ? signature : "nothing");
	if (!mac_is(key, body, len, signature + sizeof scheme - 1))
		return err_set(e, ERR_DENIED, "X-Hermes-Signature-256: not by hermes.webhook_secret over this body");
	return 0;
}

static int
check_time(const cJSON *o, int64_t now_ms, int64_t *at_ms, struct err *e)
{
	if (clock_parse(json_text(o, "timestamp"), at_ms, e))
		return err_in(e, "timestamp");
	if (*at_ms > now_ms + HERMES_HOOK_WINDOW_MS || *at_ms < now_ms - HERMES_HOOK_WINDOW_MS)
		return err_field(e, ERR_DENIED, "timestamp", json_text(o, "timestamp"), "a time within five minutes of now");
	return 0;
}

static void
copy(char *out, size_t size, const cJSON *o, const char *name)
{
	snprintf(out, size, "%s", json_text(o, name));
}

static void
put_tree(struct buf *b, const cJSON *v)
{
	struct buf whole = { .max = HERMES_HOOK_MAX };

	if (cJSON_IsString(v)) {
		hermes_event_fill(b, v->valuestring, strlen(v->valuestring));
	} else if (v && !cJSON_IsNull(v)) {
		json_put_tree(&whole, v);
		hermes_event_fill(b, buf_str(&whole), whole.len);
		buf_free(&whole);
	}
}

static void
take_hook(struct hermes_event *v, const cJSON *o)
{
	const cJSON *extra = cJSON_GetObjectItemCaseSensitive(o, "extra"), *result = cJSON_GetObjectItemCaseSensitive(extra, "result");
	const char *status = json_text(extra, "status");

	copy(v->session, sizeof v->session, o, "session_id");
	copy(v->tool, sizeof v->tool, o, "tool_name");
	copy(v->call, sizeof v->call, extra, "tool_call_id");
	copy(v->model, sizeof v->model, extra, "model");
	copy(v->status, sizeof v->status, extra, *json_text(extra, "error_type") ? "error_type" : *status ? "status" : "reason");
	v->ms = json_number(extra, "duration_ms", -1);
	if (*status)
		v->ok = strcmp(status, "ok") == 0 || strcmp(status, "success") == 0;
	else if (cJSON_IsString(result))
		v->ok = hermes_failure(result->valuestring) == NULL;
	if (cJSON_IsString(result))
		v->bytes = (int64_t)strlen(result->valuestring);
	put_tree(&v->preview, cJSON_GetObjectItemCaseSensitive(o, "tool_input"));
	put_tree(&v->text, result);
}

/* An event of a run as its API gives it, inside what hermes_tell() adds. Its time is exact. */
static void
take_run(struct hermes_event *v, const cJSON *o)
{
	const cJSON *run = cJSON_GetObjectItemCaseSensitive(o, "run"), *at = cJSON_GetObjectItemCaseSensitive(run, "timestamp");
	const cJSON *duration = cJSON_GetObjectItemCaseSensitive(run, "duration"), *error = cJSON_GetObjectItemCaseSensitive(run, "error");

	v->via = VIA_RUN;
	copy(v->kind, sizeof v->kind, run, "event");
	copy(v->run, sizeof v->run, run, "run_id");
	copy(v->tool, sizeof v->tool, run, "tool");
	copy(v->status, sizeof v->status, run, "choice");
	copy(v->session, sizeof v->session, o, "session_id");
	copy(v->task, sizeof v->task, o, "task");
	copy(v->house, sizeof v->house, o, "house");
	if (cJSON_IsNumber(at) && at->valuedouble > 0 && at->valuedouble < 1e11)
		v->at_ms = (int64_t)(at->valuedouble * 1000);
	if (cJSON_IsNumber(duration) && duration->valuedouble >= 0 && duration->valuedouble < 1e9)
		v->ms = (int64_t)(duration->valuedouble * 1000 + 0.5);
	if (strcmp(v->kind, "run.completed") == 0 || cJSON_IsFalse(error))
		v->ok = 1;
	else if (strcmp(v->kind, "run.failed") == 0 || cJSON_IsTrue(error))
		v->ok = 0;
	put_tree(&v->preview, cJSON_GetObjectItemCaseSensitive(run, *json_text(run, "command") ? "command" : "preview"));
	put_tree(&v->text, cJSON_GetObjectItemCaseSensitive(run, *json_text(run, "output") ? "output" : "error"));
}

static int
take(struct hermes_event *v, const cJSON *o, int64_t at_ms)
{
	const char *hook = json_text(o, "hook_event_name");

	if (strcmp(hook, "run") == 0) {
		take_run(v, o);
		return *v->kind != '\0';
	}
	for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
		if (strcmp(hooks[i].hook, hook) != 0)
			continue;
		snprintf(v->kind, sizeof v->kind, "%s", hooks[i].kind);
		/* Whole seconds: what came within one of them came now. */
		v->at_ms = v->heard_ms - at_ms < 1000 && at_ms <= v->heard_ms ? v->heard_ms : at_ms;
		take_hook(v, o);
		return 1;
	}
	return 0;
}

int
hermes_hook_read(const char *body, size_t len, const char *signature, const char *key, int64_t now_ms,
    struct hermes_event *v, struct err *e)
{
	cJSON *o = NULL;
	int64_t at_ms;
	int rc = -1;

	hermes_event_init(v, "", VIA_WEBHOOK, now_ms);
	if (check(body, len, signature, key, e) || !(o = json_parse_object(body, len, e)) || check_time(o, now_ms, &at_ms, e))
		goto out;
	copy(v->once, sizeof v->once, o, "delivery_id");
	if (!*v->once) {
		err_field(e, ERR_MISSING, "delivery_id", NULL, "a text");
		goto out;
	}
	rc = take(v, o, at_ms);
out:
	if (rc <= 0)
		hermes_event_release(v);
	cJSON_Delete(o);
	return rc;
}
