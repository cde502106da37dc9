#include "mcp_jobs_impl.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "submit.h"

#define ACCEPT_MS 5000                  /* as `submit` waits; with several brokers agents may just be changing */
#define ACCEPT_OTHER_MS 15000
#define PLAN_MS 2000                    /* what a task would touch is known after so long, or not told */

static void
put_labels(struct buf *b, const struct mcp_call *call)
{
	json_put_key(b, "labels");
	json_put_open(b, '{');
	json_kv_str(b, "via", "mcp");
	if (call->client[0])
		json_kv_str(b, "client", call->client);
	json_put_close(b, '}');
}

static void
put_body(struct buf *b, const struct jobs *j, const struct mcp_call *call)
{
	json_put_open(b, '{');
	json_kv_str(b, "tool", call->tool->name);
	json_put_key(b, "params");
	json_put_tree(b, call->args);
	if (j->o.mode)
		json_kv_str(b, "mode", j->o.mode);
	submit_put_trace(b, call->traceparent[0] ? call->traceparent : NULL);
	put_labels(b, call);
	json_put_close(b, '}');
}

void
job_run_begin(struct jobs *j, struct job *b)
{
	struct buf body = { 0 };
	const char *failed = NULL;
	struct err e = { 0 };

	ulid_now(&b->id);
	ulid_format(&b->id, b->id_text);
	put_body(&body, j, b->call);
	if (client_submit(j->client, j->o.house, buf_str(&body), body.len, &b->id, true, &e))
		failed = "rejected";
	else if (client_commit(j->client, &e))
		failed = task_state_name(TASK_UNCERTAIN);       /* it may be on its way */
	buf_free(&body);
	if (failed) {
		job_end_error(j, b, failed, &e);
		return;
	}
	b->end_ms = b->begun_ms + j->o.wait_ms;
	b->accept_ms = b->begun_ms + (j->o.config->nbrokers > 1 ? ACCEPT_OTHER_MS : ACCEPT_MS);
	if (b->call->wants_progress)
		jobs_listen(j);
}

/* Who has it is told how it ends by task_show; the client does not go on asking. */
static void
run_end(struct jobs *j, struct job *b, const cJSON *o)
{
	const char *state = json_text(o, "state");

	if (b->accepted || b->handed_on || job_has_ended(state))
		client_drop(j->client, &b->id, NULL);
	job_end_task(j, b, o, NULL, (job_has_ended(state) && strcmp(state, "succeeded") != 0) ||
	    strcmp(state, task_state_name(TASK_UNCERTAIN)) == 0);
}

static void
run_accepted(struct jobs *j, struct job *b, const cJSON *o, int64_t now_ms)
{
	const char *state = json_text(o, "state");

	job_see(b, o);
	if (strcmp(state, "forwarded") == 0) {
		b->handed_on = true;
		return;
	}
	if (!b->accepted)
		b->due_ms = now_ms + (job_is_waiting(state) ? 0 : JOB_LOOK_MS);
	b->accepted = true;
	if (job_is_waiting(state) && !b->waits_ms)
		b->waits_ms = now_ms;
	job_tell(j, b, state, b->house, now_ms);
}

/* True if there is time to ask again, which the outbox does. A quarter more is how much later that may be. */
static bool
run_put_off(struct job *b, const struct client_reply *r, int64_t now_ms)
{
	int64_t busy_s = client_reply_busy_s(r);

	if (!busy_s || now_ms + busy_s * 1250 > b->end_ms)
		return false;
	return b->put_off = true;
}

static void
run_rejected(struct jobs *j, struct job *b, const struct client_reply *r)
{
	struct buf json = { 0 };
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(r->obj, "error");

	client_drop(j->client, &b->id, NULL);
	json_put_open(&json, '{');
	json_kv_str(&json, "task", b->id_text);
	json_kv_str(&json, "state", "rejected");
	if (error) {
		json_put_key(&json, "error");
		json_put_tree(&json, error);
	}
	json_put_close(&json, '}');
	job_end_with(j, b, &json, true);
	buf_free(&json);
}

static void
run_seen(struct jobs *j, struct job *b, const cJSON *o, int64_t now_ms)
{
	const char *state = json_text(o, "state");
	const cJSON *approval = cJSON_GetObjectItemCaseSensitive(o, "approval");

	if (strcmp(state, "forwarded") == 0)
		return;
	job_see(b, o);
	if (!job_is_waiting(state)) {
		b->waits_ms = 0;
		if (job_has_ended(state) || strcmp(state, task_state_name(TASK_UNCERTAIN)) == 0)
			run_end(j, b, o);
		else
			job_tell(j, b, state, b->house, now_ms);
		return;
	}
	if (!b->waits_ms)
		b->waits_ms = now_ms;
	if (*json_text(approval, "hash") || now_ms - b->waits_ms >= PLAN_MS)
		run_end(j, b, o);
	else
		b->due_ms = now_ms + JOB_LOOK_MS;
}

void
job_run_reply(struct jobs *j, struct job *b, const struct client_reply *r, int64_t now_ms)
{
	if (strcmp(r->type, "accepted") == 0)
		run_accepted(j, b, r->obj, now_ms);
	else if (strcmp(r->type, "outcome") == 0)
		run_end(j, b, r->obj);
	else if (strcmp(r->type, "rejected") == 0 && !run_put_off(b, r, now_ms))
		run_rejected(j, b, r);
	else if (strcmp(r->type, "task") == 0)
		run_seen(j, b, r->obj, now_ms);
}

void
job_run_tick(struct jobs *j, struct job *b, int64_t now_ms)
{
	bool over = now_ms >= b->end_ms || (!b->accepted && !b->put_off && now_ms >= b->accept_ms) ||
	    (b->waits_ms && now_ms - b->waits_ms >= PLAN_MS);

	if (over && (b->accepted || b->handed_on))
		run_end(j, b, b->seen);
	else if (over)
		job_end_task(j, b, NULL, "spooled", false);
	else if (b->accepted && now_ms >= b->due_ms)
		job_look(j, b, now_ms);
}

void
job_run_stop(struct jobs *j, struct job *b)
{
	client_drop(j->client, &b->id, NULL);
	b->ask = MCP_CANCEL;
	b->stage = STAGE_CANCEL;
	b->end_ms = clock_mono_ms() + JOB_CANCEL_MAX_MS;
	b->due_ms = 0;
}
