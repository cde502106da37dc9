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

int
answer_submit(struct bridge *b, const struct matter *x, const struct config_triage *rule, struct err *e)
{
	char key[EVENT_KEY_MAX], *line;
	struct ulid id;
	int rc;

	event_key(key, x->repo, x->number);
	line = rule_task(rule, x->facts, key);
	ulid_parse(x->task, &id);
	rc = client_submit(b->client, *x->house ? x->house : "_", line, strlen(line), &id, true, e);
	free(line);
	return rc;
}

/* What a comment can show of it. */
static void
keep_outcome(struct matter *x, const cJSON *o)
{
	static const char *const members[] = { "attempt", "run_ms", "agent", "error", "result" };
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
enter(struct bridge *b, struct matter *x, const char *state, const cJSON *o)
{
	struct err e = { 0 };

	if (x->stage != MATTER_OUT || strcmp(x->state, state) == 0 || comment_is_final(x->state))
		return;
	snprintf(x->state, sizeof x->state, "%s", state);
	keep_outcome(x, o);
	x->next_ms = comment_is_final(state) ? 0 : clock_wall_ms() + SETTLE_MS;
	if (matters_save(&b->m, x, &e)) {
		log_warnx("bridge: %s", e.msg);
		b->failed = true;
	}
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
	if (strcmp(r->type, "accepted") == 0 || strcmp(r->type, "outcome") == 0 || strcmp(r->type, "task") == 0)
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
