#include "gitea_tool.h"
#include "notes.h"
#include "param.h"

static int
put(struct gitea_run *t, const cJSON *o, enum gitea_once what, struct buf *result, struct err *e)
{
	struct gitea_pull p;

	if (gitea_pull_read(o, &p, e))
		return -1;
	json_put_open(result, '{');
	json_kv_str(result, "repository", t->repo);
	gitea_put_pull(result, &p);
	json_kv_bool(result, "created", what == GITEA_CREATED);
	json_put_close(result, '}');
	gitea_tool_note(t, "pulls", p.title);
	return 0;
}

static int
gitea_create_pr_run(struct tool_run *r, struct buf *result, struct err *e)
{
	const char *assignees[GITEA_NAMES_MAX], *reviewers[GITEA_NAMES_MAX];
	int64_t labels[GITEA_NAMES_MAX];
	struct gitea_pull_new n = { .title = param_str(r, "title"), .body = param_str(r, "body"), .head = param_str(r, "head"),
		.base = param_str(r, "base"), .labels = labels, .assignees = assignees, .reviewers = reviewers,
		.nassignees = gitea_tool_texts(r, "assignees", assignees), .nreviewers = gitea_tool_texts(r, "reviewers", reviewers) };
	enum gitea_once what = GITEA_THERE;
	struct gitea_run t;
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = gitea_tool_labels(&t, "labels", labels, &n.nlabels, e);
	if (rc == 0)
		rc = gitea_pull_once(t.g, t.repo, t.id, t.since[0] ? t.since : NULL, &n, &what, &o, e);
	if (rc == 0)
		rc = put(&t, o, what, result, e);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

static int
gitea_create_pr_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	struct buf text = { 0 };
	int rc;

	buf_addf(&text, "%s <- %s\n\n# %s\n\n%s\n", param_str(r, "base"), param_str(r, "head"), param_str(r, "title"),
	    param_str(r, "body") ? param_str(r, "body") : "");
	rc = gitea_tool_plan(r, p, "a new pull request", "pulls", buf_str(&text), e);
	buf_free(&text);
	return rc;
}

static int
gitea_create_pr_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	struct gitea_run t;
	struct gitea_pull p = { .state = "" };
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = gitea_pull_get(t.g, t.repo, json_number(result, "number", 0), &o, e) || gitea_pull_read(o, &p, e) ? -1 : 0;
	if (rc == 0)
		rc = note_check(r, "gitea_pull", p.url, strcmp(p.base, param_str(r, "base")) == 0, p.base,
		    "a pull request to that branch", e);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

const struct tool tool_gitea_create_pr = {
	.name = "gitea_create_pr",
	.summary = "Opens a pull request, once however often it is tried; one that is open of the same branches will do",
	.schema = "{\"type\":\"object\",\"required\":[\"repository\",\"title\",\"head\"],\"properties\":{" GITEA_PARAM_REPOSITORY ","
	    "\"title\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,"
	    "\"description\":\"Title; `WIP:` in front makes it a draft.\"},"
	    GITEA_PARAM_BODY ","
	    "\"head\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200,\"pattern\":\"^[^-]\","
	    "\"description\":\"The branch that is offered, pushed already; owner:branch for one in a fork.\"},"
	    "\"base\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200,\"pattern\":\"^[^-]\",\"default\":\"main\","
	    "\"description\":\"The branch that it is for.\"},"
	    GITEA_NAMES("labels", "50", "Labels that the repository, or its organisation, has.") ","
	    GITEA_NAMES("assignees", "50", "Users.") "," GITEA_NAMES("reviewers", "50", "Users who are asked for a review.") ","
	    GITEA_PARAM_KEY "}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 120,
	.run = gitea_create_pr_run,
	.target = &gitea_target,
	.plan = gitea_create_pr_plan,
	.prove = gitea_create_pr_prove,
};
