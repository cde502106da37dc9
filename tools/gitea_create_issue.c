#include "gitea_tool.h"
#include "notes.h"
#include "param.h"

static bool
has_login(const cJSON *list, const char *login)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (strcasecmp(json_text(v, "login"), login) == 0)
			return true;
	return false;
}

/* Whom Gitea left out, for the token's user may not assign there. */
static void
put_unassigned(const struct tool_run *r, const struct gitea_issue *i, struct buf *b)
{
	const char *wanted[GITEA_NAMES_MAX];
	size_t n = gitea_tool_texts(r, "assignees", wanted), left = 0;

	for (size_t k = 0; k < n; k++)
		left += !has_login(i->assignees, wanted[k]);
	if (!left)
		return;
	json_put_key(b, "unassigned");
	json_put_open(b, '[');
	for (size_t k = 0; k < n; k++)
		if (!has_login(i->assignees, wanted[k]))
			json_put_str(b, wanted[k]);
	json_put_close(b, ']');
}

static int
put(struct gitea_run *t, const cJSON *o, enum gitea_once what, struct buf *result, struct err *e)
{
	struct gitea_issue i;

	if (gitea_issue_read(o, &i, e))
		return -1;
	json_put_open(result, '{');
	json_kv_str(result, "repository", t->repo);
	gitea_put_issue(result, &i, 0);
	json_kv_bool(result, "created", what == GITEA_CREATED);
	put_unassigned(t->r, &i, result);
	json_put_close(result, '}');
	gitea_tool_note(t, "issues", i.title);
	return 0;
}

static int
gitea_create_issue_run(struct tool_run *r, struct buf *result, struct err *e)
{
	const char *assignees[GITEA_NAMES_MAX];
	int64_t labels[GITEA_NAMES_MAX];
	struct gitea_issue_new n = { .title = param_str(r, "title"), .body = param_str(r, "body"), .labels = labels,
		.assignees = assignees, .nassignees = gitea_tool_texts(r, "assignees", assignees) };
	enum gitea_once what = GITEA_THERE;
	struct gitea_run t;
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = gitea_tool_labels(&t, "labels", labels, &n.nlabels, e);
	if (rc == 0)
		rc = gitea_issue_once(t.g, t.repo, t.id, t.since[0] ? t.since : NULL, &n, &what, &o, e);
	if (rc == 0)
		rc = put(&t, o, what, result, e);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

static int
gitea_create_issue_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	struct buf text = { 0 };
	int rc;

	buf_addf(&text, "# %s\n\n%s\n", param_str(r, "title"), param_str(r, "body") ? param_str(r, "body") : "");
	rc = gitea_tool_plan(r, p, "a new issue", "issues", buf_str(&text), e);
	buf_free(&text);
	return rc;
}

static int
gitea_create_issue_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	struct gitea_run t;
	struct gitea_issue i = { .title = "" };
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = gitea_issue_get(t.g, t.repo, json_number(result, "number", 0), &o, e) || gitea_issue_read(o, &i, e) ? -1 : 0;
	if (rc == 0)
		rc = note_check(r, "gitea_issue", i.url, gitea_is_marked(i.body, t.id), i.title, "an issue of this task", e);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

const struct tool tool_gitea_create_issue = {
	.name = "gitea_create_issue",
	.summary = "Opens an issue, once however often it is tried",
	.schema = "{\"type\":\"object\",\"required\":[\"repository\",\"title\"],\"properties\":{" GITEA_PARAM_REPOSITORY ","
	    "\"title\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,\"description\":\"Title.\"},"
	    GITEA_PARAM_BODY "," GITEA_NAMES("labels", "50", "Labels that the repository, or its organisation, has.") ","
	    GITEA_NAMES("assignees", "50", "Users; those that Gitea leaves out come back as unassigned.") "," GITEA_PARAM_KEY "}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 120,
	.run = gitea_create_issue_run,
	.target = &gitea_target,
	.plan = gitea_create_issue_plan,
	.prove = gitea_create_issue_prove,
};
