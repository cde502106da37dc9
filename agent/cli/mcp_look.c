#include "mcp_jobs_impl.h"

#include <string.h>

#include "json.h"

#define CANCEL_MS 500                   /* between tries of a cancel */

/* Answers that there is no such task do not say whose question they are of: one asks at a time, the others wait for it. */
static bool
is_asked_for(const struct jobs *j, const struct job *b)
{
	for (const struct job *o = j->first; o; o = o->next)
		if (o != b && o->ask != MCP_RUN && o->asked && !o->seen && ulid_equal(&o->id, &b->id))
			return true;
	return false;
}

static void
find_ask(struct jobs *j, struct job *b, int64_t now_ms)
{
	for (const struct job *o = j->first; o; o = o->next)
		if (o != b && o->seen && ulid_equal(&o->id, &b->id))
			job_see(b, o->seen);
	if (!b->house[0] && is_asked_for(j, b))
		return;
	b->accept_ms = now_ms + jobs_answer_ms(j);
	job_ask_for(j, b, TOPIC_QUERY);
}

void
job_find_begin(struct jobs *j, struct job *b)
{
	const char *id = json_text(b->call->args, "id");
	int64_t wait_ms = json_number(b->call->args, "wait_s", 0) * 1000;
	struct err e;

	if (!ulid_parse(id, &b->id)) {
		err_field(&e, ERR_INVALID, "arguments.id", id, "a task's ULID (26 characters)");
		job_end_error(j, b, NULL, &e);
		return;
	}
	ulid_format(&b->id, b->id_text);
	b->accept_ms = b->begun_ms + jobs_answer_ms(j);
	b->end_ms = b->ask == MCP_CANCEL ? b->begun_ms + JOB_CANCEL_MAX_MS :
	    b->begun_ms + (wait_ms > j->o.wait_ms ? j->o.wait_ms : wait_ms);
	if (b->call->wants_progress && wait_ms)
		jobs_listen(j);
	find_ask(j, b, b->begun_ms);
}

static void
find_nothing(struct jobs *j, struct job *b)
{
	struct err e;

	if (client_holds(j->client, &b->id) && b->ask == MCP_CANCEL) {
		/* Some house may have it all the same, and hears of this as soon as it can. */
		client_drop(j->client, &b->id, NULL);
		job_ask_for(j, b, TOPIC_CANCEL);
		job_end_task(j, b, NULL, "cancelled", false);
	} else if (client_holds(j->client, &b->id)) {
		job_end_task(j, b, NULL, "spooled", false);
	} else {
		err_set(&e, ERR_UNKNOWN_TASK, "no house knows a task %s (%d of %d answered)", b->id_text, b->answered, b->asked);
		job_end_error(j, b, NULL, &e);
	}
}

static void
cancel_check(struct jobs *j, struct job *b, int64_t now_ms)
{
	const char *state = json_text(b->seen, "state"), *sender = json_text(b->seen, "sender");
	struct err e = { 0 };

	if (strcmp(sender, j->o.identity) != 0)
		err_set(&e, ERR_DENIED, "it is a task of %s; only own tasks, those of %s, can be cancelled here", sender, j->o.identity);
	else if (job_has_ended(state))
		err_set(&e, ERR_WRONG_STATE, "it is %s already", state);
	if (e.code) {
		job_end_error(j, b, NULL, &e);
		return;
	}
	b->stage = STAGE_CANCEL;
	b->due_ms = now_ms;
}

/* All have answered, or the one that matters has. */
static void
found(struct jobs *j, struct job *b, int64_t now_ms)
{
	const char *state = json_text(b->seen, "state");

	if (!b->seen) {
		find_nothing(j, b);
	} else if (b->ask == MCP_CANCEL) {
		cancel_check(j, b, now_ms);
	} else if (job_has_ended(state) || now_ms >= b->end_ms) {
		job_end_task(j, b, b->seen, NULL, false);
	} else {
		if (b->stage == STAGE_FIND)
			b->due_ms = now_ms + b->pause_ms;
		b->stage = STAGE_FOLLOW;
		job_tell(j, b, state, json_text(b->seen, "house"), now_ms);
	}
}

static void
find_reply(struct jobs *j, struct job *b, const struct client_reply *r, int64_t now_ms)
{
	bool is_task = strcmp(r->type, "task") == 0;

	/* Where it is known who has it, others were asked by somebody else. */
	if (!is_task && (strcmp(r->type, "error") != 0 || !b->asked || b->house[0]))
		return;
	b->answered++;
	if (is_task)
		job_see(b, r->obj);
	if ((is_task && strcmp(json_text(r->obj, "state"), "forwarded") != 0) || b->answered >= b->asked)
		found(j, b, now_ms);
}

/* What was handed on, or has just moved, is looked for again. */
static void
cancel_reply(struct jobs *j, struct job *b, const struct client_reply *r)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(r->obj, "error");
	enum err_code code = err_code_parse(json_text(error, "code"));
	struct err e;

	if (strcmp(r->type, "cancel") == 0) {
		job_end_task(j, b, r->obj, NULL, false);
	} else if (strcmp(r->type, "error") != 0 || code == ERR_UNKNOWN_TASK) {
		return;
	} else if (code == ERR_WRONG_STATE) {
		b->house[0] = '\0';
	} else {
		err_set(&e, code, "%s", json_text(error, "message"));
		job_end_error(j, b, NULL, &e);
	}
}

void
job_look_reply(struct jobs *j, struct job *b, const struct client_reply *r, int64_t now_ms)
{
	if (b->stage == STAGE_CANCEL && (strcmp(r->type, "task") == 0 || strcmp(r->type, "outcome") == 0)) {
		job_see(b, r->obj);
		if (job_has_ended(json_text(b->seen, "state")))
			job_end_task(j, b, b->seen, NULL, false);
	} else if (b->stage == STAGE_CANCEL) {
		cancel_reply(j, b, r);
	} else {
		find_reply(j, b, r, now_ms);
	}
}

/* It may have ended meanwhile. */
static void
cancel_try(struct jobs *j, struct job *b, int64_t now_ms)
{
	b->due_ms = now_ms + CANCEL_MS;
	if (!client_is_up(j->client))
		return;
	job_ask_for(j, b, TOPIC_QUERY);
	job_ask_for(j, b, TOPIC_CANCEL);
}

/* Nobody waits for the broker any longer; the request does. */
static void
cancel_late(struct jobs *j, struct job *b)
{
	if (!client_is_up(j->client))
		job_ask_for(j, b, TOPIC_CANCEL);
	job_end_no_answer(j, b);
}

void
job_look_tick(struct jobs *j, struct job *b, int64_t now_ms)
{
	if (b->stage == STAGE_FIND && now_ms >= b->accept_ms) {
		if (b->seen || b->answered || client_holds(j->client, &b->id))
			found(j, b, now_ms);
		else
			job_end_no_answer(j, b);
	} else if (b->stage == STAGE_FIND && !b->asked) {
		find_ask(j, b, now_ms);
	} else if (b->stage == STAGE_CANCEL && now_ms >= b->end_ms) {
		cancel_late(j, b);
	} else if (b->stage == STAGE_FOLLOW && now_ms >= b->end_ms) {
		job_end_task(j, b, b->seen, NULL, false);
	} else if (b->stage == STAGE_FOLLOW && now_ms >= b->due_ms) {
		job_look(j, b, now_ms);
	} else if (b->stage == STAGE_CANCEL && now_ms >= b->due_ms) {
		cancel_try(j, b, now_ms);
	}
}
