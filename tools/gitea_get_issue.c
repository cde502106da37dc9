#include "gitea_tool.h"
#include "param.h"

#define ROOM 1024               /* of the result, for what is no text */

struct thread {
	struct tool_run *r;
	struct buf *b;
	bool full;
};

/* What does not fit is left out from there on. */
static bool
on_comment(void *arg, const cJSON *item)
{
	struct thread *t = arg;
	size_t before = t->b->len, taken = before + ROOM;
	struct gitea_comment c;

	if (gitea_comment_read(item, &c, NULL))
		return true;
	json_put_open(t->b, '{');
	json_kv_int(t->b, "id", c.id);
	json_kv_str(t->b, "author", c.author);
	json_kv_str(t->b, "created_at", c.created_at);
	json_kv_str(t->b, "updated_at", c.updated_at);
	gitea_put_body(t->b, c.body, t->r->max_output > taken ? t->r->max_output - taken : 0);
	json_put_close(t->b, '}');
	t->full = t->b->len + ROOM / 2 > t->r->max_output;
	if (t->full)
		buf_cut(t->b, before);
	return !t->full;
}

static int
put(struct gitea_run *t, const cJSON *o, struct buf *result, struct err *e)
{
	struct thread thread = { .r = t->r, .b = result };
	struct gitea_issue i;
	int rc = 0;

	if (gitea_issue_read(o, &i, e))
		return -1;
	json_put_open(result, '{');
	json_kv_str(result, "repository", t->repo);
	gitea_put_issue(result, &i, t->r->max_output / 2);
	if (param_bool(t->r, "thread")) {
		json_put_key(result, "thread");
		json_put_open(result, '[');
		rc = gitea_comments(t->g, t->repo, i.number, NULL, on_comment, &thread, e);
		json_put_close(result, ']');
		json_kv_bool(result, "truncated", thread.full);
	}
	json_put_close(result, '}');
	return rc;
}

static int
gitea_get_issue_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct gitea_run t;
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = gitea_issue_get(t.g, t.repo, param_int(r, "number"), &o, e);
	if (rc == 0)
		rc = put(&t, o, result, e);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

const struct tool tool_gitea_get_issue = {
	.name = "gitea_get_issue",
	.summary = "Reads an issue or pull request, with its comments",
	.schema = "{\"type\":\"object\",\"required\":[\"repository\",\"number\"],\"properties\":{" GITEA_PARAM_REPOSITORY ","
	    GITEA_PARAM_NUMBER ",\"thread\":{\"type\":\"boolean\",\"default\":true,"
	    "\"description\":\"With its comments; truncated says that not all fit.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = gitea_get_issue_run,
	.target = &gitea_target,
};
