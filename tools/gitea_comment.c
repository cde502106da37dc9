#include "gitea_tool.h"
#include "notes.h"
#include "param.h"

static int
put(struct gitea_run *t, const cJSON *o, enum gitea_once what, struct buf *result, struct err *e)
{
	char where[GITEA_WHERE_MAX];
	struct gitea_comment c;

	if (gitea_comment_read(o, &c, e))
		return -1;
	json_put_open(result, '{');
	json_kv_str(result, "repository", t->repo);
	json_kv_int(result, "number", param_int(t->r, "number"));
	json_kv_int(result, "comment", c.id);
	json_kv_str(result, "url", c.url);
	json_kv_bool(result, "created", what == GITEA_CREATED);
	json_kv_bool(result, "edited", what == GITEA_EDITED);
	json_put_close(result, '}');
	gitea_tool_where(t->r, where);
	gitea_tool_note(t, where, param_str(t->r, "body"));
	return 0;
}

static int
gitea_comment_run(struct tool_run *r, struct buf *result, struct err *e)
{
	enum gitea_once what = GITEA_THERE;
	struct gitea_run t;
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = gitea_comment_once(t.g, t.repo, param_int(r, "number"), t.id, param_str(r, "body"), &what, &o, e);
	if (rc == 0)
		rc = put(&t, o, what, result, e);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

static int
gitea_comment_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	char where[GITEA_WHERE_MAX];

	gitea_tool_where(r, where);
	return gitea_tool_plan(r, p, "a comment", where, param_str(r, "body"), e);
}

struct proof {
	int64_t id;
	const char *marker;
	bool found;
};

static bool
on_comment(void *arg, const cJSON *item)
{
	struct proof *p = arg;
	struct gitea_comment c;

	p->found = gitea_comment_read(item, &c, NULL) == 0 && c.id == p->id && gitea_is_marked(c.body, p->marker);
	return !p->found;
}

static int
gitea_comment_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	struct gitea_run t;
	struct proof p = { .id = json_number(result, "comment", 0) };
	int rc = gitea_tool_open(&t, r, e);

	p.marker = t.id;
	if (rc == 0)
		rc = gitea_comments(t.g, t.repo, param_int(r, "number"), NULL, on_comment, &p, e);
	if (rc == 0)
		rc = note_check(r, "gitea_comment", json_text(result, "url"), p.found, p.found ? "a comment" : NULL,
		    "the comment of this task", e);
	return gitea_tool_close(&t, rc);
}

const struct tool tool_gitea_comment = {
	.name = "gitea_comment",
	.summary = "Comments on an issue or pull request, once however often it is tried; with a key it edits what it wrote",
	.schema = "{\"type\":\"object\",\"required\":[\"repository\",\"number\",\"body\"],\"properties\":{" GITEA_PARAM_REPOSITORY ","
	    GITEA_PARAM_NUMBER ",\"body\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64800,\"description\":\"Markdown.\"},"
	    GITEA_PARAM_KEY "}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 120,
	.run = gitea_comment_run,
	.target = &gitea_target,
	.plan = gitea_comment_plan,
	.prove = gitea_comment_prove,
};
