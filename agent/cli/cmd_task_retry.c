#include <string.h>

#include "edit.h"
#include "json.h"
#include "lookup.h"
#include "submit.h"
#include "task.h"

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "ask only this house for it", .complete = "houses" },
	{ .name = "edit", .letter = 'e', .kind = OPT_FLAG,
	  .help = "change it first, in $VISUAL or $EDITOR" },
	{ .name = "wait", .letter = 'w', .kind = OPT_FLAG,
	  .help = "wait for the outcome and print the result" },
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 604800,
	  .help = "wait at most so many seconds (default 5 for accepted, 3600 for the outcome)" },
	{ .name = NULL },
};

/* What belongs to the former submission: whose it was, and when it should have been. */
static const char *const left_out[] = { "id", "key", "not_before", "deadline", "after", "after_failed", "from", "reply" };

/* What was uncertain may have had its effect; whoever decides that says whether it is run again. */
static int
check_state(const cJSON *found, const char *id)
{
	const char *text = json_text(found, "state");
	enum task_state state = TASK_RUNNING;

	task_state_parse(text, &state);
	if (state == TASK_SUCCEEDED)
		return cmd_fail(EXIT_USAGE, "task %s succeeded; to have it done once more, submit it", id);
	if (!task_state_is_terminal(state))
		return cmd_fail(EXIT_USAGE, "task %s is %s; only what has ended is tried again", id, text);
	return 0;
}

static cJSON *
make_task(const cJSON *found, const char *id)
{
	cJSON *o = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(found, "task"), true);

	for (size_t i = 0; o && i < sizeof left_out / sizeof *left_out; i++)
		cJSON_DeleteItemFromObjectCaseSensitive(o, left_out[i]);
	if (!o)
		return NULL;
	cJSON_DeleteItemFromObjectCaseSensitive(o, "retry_of");
	cJSON_AddStringToObject(o, "retry_of", id);
	return o;
}

/* Where the task says so, or where it was. */
static int
give(const struct cmd_args *a, cJSON *task, const char *house)
{
	struct submit s = { .a = a, .wait = cmd_flag(a, "wait"), .within_ms = cmd_int(a, "within", 0) * 1000,
		.sovereign = strcmp(json_text(task, "mode"), "sovereign") == 0 };
	cJSON *own = cJSON_DetachItemFromObjectCaseSensitive(task, "house");
	struct buf b = { 0 };
	int rc;

	if (cJSON_IsString(own))
		house = own->valuestring;
	json_put_tree(&b, task);
	ulid_now(&s.id);
	if ((rc = submit_open(&s)) == 0) {
		if ((rc = remote_check_house(&s.r, house)) == 0)
			rc = submit_give(&s, house, b.data, b.len);
		remote_close(&s.r);
	}
	buf_free(&b);
	cJSON_Delete(own);
	return rc;
}

static int
retry_run(const struct cmd_args *a)
{
	const char *id = a->argv[0];
	cJSON *found, *task = NULL;
	struct err e;
	int rc = lookup_task(a, id, cmd_text(a, "house", NULL), &found);

	if (!rc && (rc = check_state(found, id)) == 0 && !(task = make_task(found, id)))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "house %s does not say what task %s was", json_text(found, "house"), id);
	if (!rc && cmd_flag(a, "edit") && edit_json(&task, &e))
		rc = cmd_fail(EXIT_USAGE, "nothing was submitted: %s", e.msg);
	if (!rc)
		rc = give(a, task, json_text(found, "house"));
	cJSON_Delete(task);
	cJSON_Delete(found);
	return rc;
}

const struct cmd cmd_task_retry = {
	.name = "task retry",
	.args = "ID",
	.help = "Submit a task that did not succeed again, as a new one",
	.more = "The new task has an id of its own, and names the old one in retry_of. It is judged like any other: what needed an\n"
	        "approval needs another. Left out are the old one's id and key, its times, and what it waited for.\n\n"
	        "  uni-wizard task dead\n"
	        "  uni-wizard task retry 01JDZ4T0V6GQ5W3BN6M2K8R7XA --edit",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = retry_run,
};
