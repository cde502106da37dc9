/*
 * answer.c - the bridge's side towards the houses: giving tasks, and what comes back.
 *
 * A task is given under an id and a key that follow from the issue, in the name of one identity whoever owns the house:
 * so that it can be given again, by anybody, and stays one.
 */
#include <string.h>

#include "bridge.h"
#include "buf.h"
#include "clock.h"
#include "comment.h"
#include "err.h"
#include "json.h"
#include "log.h"

#define ASK_MANY 10                     /* tasks that are asked for each second */
#define OUTCOME_MAX 16384               /* bytes of an outcome that are kept */
#define SETTLE_MS 500                   /* before a state is told that may soon be another */

static int
submit_step(struct bridge *b, const struct matter *x, const struct config_triage *rule, size_t step, struct err *e)
{
	char key[EVENT_KEY_MAX], text[ULID_TEXT], before[ULID_TEXT], *line;
	struct ulid id;
	int rc;

	event_task_key(key, x->repo, x->number, x->round);
	rule_step_id(text, x->first, step);
	if (step)
		rule_step_id(before, x->first, step - 1);
	line = rule_task(rule, step, x->facts, key, step ? before : NULL);
	ulid_parse(text, &id);
	rc = client_submit(b->client, *x->house ? x->house : "_", line, strlen(line), &id, true, e);
	free(line);
	/* On its way already. */
	return rc && e->code == ERR_CONFLICT ? 0 : rc;
}

int
answer_submit(struct bridge *b, const struct matter *x, const struct config_triage *rule, struct err *e)
{
	for (size_t i = x->step; i < rule_steps(rule); i++)
		if (submit_step(b, x, rule, i, e))
			return -1;
	return 0;
}

/* What a comment can show of it. */
static void
keep_outcome(struct matter *x, const cJSON *o)
{
	static const char *const members[] = { "attempt", "run_ms", "agent", "tool", "error", "result" };
	struct buf b = { .max = OUTCOME_MAX };
	cJSON *kept = cJSON_CreateObject();

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, members[i]);

		if (v)
			cJSON_AddItemToObject(kept, members[i], cJSON_Duplicate(v, true));
	}
	json_put_tree(&b, kept);
	if (!buf_ok(&b)) {
		cJSON_DeleteItemFromObjectCaseSensitive(kept, "result");
		buf_clear(&b);
		b.full = false;
		json_put_tree(&b, kept);
	}
	cJSON_Delete(kept);
	free(x->outcome);
	x->outcome = buf_take(&b);
}

static void
keep_past(struct matter *x)
{
	cJSON *past = x->past ? cJSON_Parse(x->past) : cJSON_CreateArray(), *o = cJSON_Parse(x->outcome);
	struct buf b = { 0 };

	if (!comment_pull(o))
		cJSON_DeleteItemFromObjectCaseSensitive(o, "result");
	cJSON_AddItemToArray(past, o);
	json_put_tree(&b, past);
	cJSON_Delete(past);
	free(x->past);
	x->past = buf_take(&b);
}

/* The next task of the chain goes on now. The house that knows the first by another id has the others of that one. */
static void
advance(struct matter *x)
{
	keep_past(x);
	if (x->step == 0 && *x->known)
		memcpy(x->first, x->known, sizeof x->first);
	x->step++;
	rule_step_id(x->task, x->first, x->step);
	x->known[0] = x->shown[0] = '\0';
	snprintf(x->state, sizeof x->state, "given");
	free(x->outcome);
	x->outcome = NULL;
}

static void
count_pull(struct bridge *b, const struct matter *x, struct err *e)
{
	cJSON *o = cJSON_Parse(x->outcome);

	if (comment_pull(o) && matters_count_up(&b->m, "pulls_opened", 1, e))
		b->failed = true;
	cJSON_Delete(o);
}

static void
enter(struct bridge *b, struct matter *x, const char *state, const cJSON *o)
{
	const struct config_triage *rule = rule_named(b->c, x->rule);
	bool succeeded = strcmp(state, "succeeded") == 0, goes_on = succeeded && x->step + 1 < rule_steps(rule);
	struct err e = { 0 };

	if (x->stage != MATTER_OUT || strcmp(x->state, state) == 0 || comment_is_final(x->state))
		return;
	snprintf(x->state, sizeof x->state, "%s", state);
	keep_outcome(x, o);
	if (succeeded)
		count_pull(b, x, &e);
	if (goes_on)
		advance(x);
	x->next_ms = comment_is_final(x->state) ? 0 : clock_wall_ms() + SETTLE_MS;
	/* Given again, for it may have been refused before the one before it was there, or have ended unheard. */
	if (matters_save(&b->m, x, &e) || (goes_on && answer_submit(b, x, rule, &e)))
		b->failed = true;
	if (b->failed)
		log_warnx("bridge: %s", e.msg);
}

/* Another sender's, or another text, under the id that we made: it was given once, and that counts. */
static bool
is_there(const cJSON *error)
{
	return strcmp(json_text(error, "code"), err_code_name(ERR_CONFLICT)) == 0;
}

static const char *
state_told(const struct client_reply *r)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(r->obj, "error");

	if (strcmp(r->type, "rejected") == 0)
		return is_there(error) ? "accepted" : "rejected";
	/* Of what has ended already the outcome comes next. */
	if (strcmp(r->type, "accepted") == 0)
		return comment_is_final(json_text(r->obj, "state")) ? "" : json_text(r->obj, "state");
	if (strcmp(r->type, "outcome") == 0 || strcmp(r->type, "task") == 0)
		return json_text(r->obj, "state");
	return "";
}

void
answer_take(void *arg, const struct client_reply *r)
{
	const char *state = state_told(r), *known = json_text(r->obj, "id"), *house = json_text(r->obj, "house");
	struct bridge *b = arg;
	char id[ULID_TEXT];
	struct matter x;
	struct err e = { 0 };

	ulid_format(&r->id, id);
	if (!*state || client_reply_busy_s(r) || matters_by_task(&b->m, id, &x, &e) != 1)
		return;
	if (*known && strcmp(known, x.task) != 0)
		snprintf(x.known, sizeof x.known, "%s", known);
	if (!*x.house && name_ok(house))
		snprintf(x.house, sizeof x.house, "%s", house);
	enter(b, &x, state, r->obj);
	matter_release(&x);
}

void
answer_ask(struct bridge *b)
{
	struct err e = { 0 };
	struct matter x;

	for (int i = 0; i < ASK_MANY; i++) {
		struct buf q = { 0 };

		if (matters_next_out(&b->m, b->asked_row, &x, &e) != 1) {
			b->asked_row = 0;
			return;
		}
		b->asked_row = x.row;
		json_put_open(&q, '{');
		json_kv_str(&q, "id", *x.known ? x.known : x.task);
		json_put_close(&q, '}');
		if (!comment_is_final(x.state))
			client_request(b->client, TOPIC_QUERY, *x.house ? x.house : "_", buf_str(&q), NULL);
		buf_free(&q);
		matter_release(&x);
	}
}
