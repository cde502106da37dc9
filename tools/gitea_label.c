#include "gitea_tool.h"
#include "notes.h"
#include "param.h"

static const char *
color_of(const struct tool_run *r)
{
	const char *color = param_str(r, "color");

	return color ? color : "#00aabb";
}

static bool
is_it(void *arg, const cJSON *item)
{
	const char **name = arg;

	if (strcmp(json_text(item, "name"), *name) == 0)
		*name = NULL;
	return *name != NULL;
}

/* Gitea would take a second one of the same name. */
static int
make_missing(struct gitea_run *t, struct err *e)
{
	const char *v[GITEA_NAMES_MAX];
	size_t n = param_bool(t->r, "create") ? gitea_tool_texts(t->r, "add", v) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *name = v[i];

		if (gitea_labels(t->g, t->repo, is_it, &name, e))
			return -1;
		if (name && gitea_label_create(t->g, t->repo, name, color_of(t->r), NULL, strchr(name, '/') != NULL, NULL, e))
			return -1;
	}
	return 0;
}

static bool
has_label(const struct gitea_issue *i, int64_t id)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, i->labels)
		if (json_number(v, "id", 0) == id)
			return true;
	return false;
}

static int
read_issue(struct gitea_run *t, cJSON **o, struct gitea_issue *i, struct err *e)
{
	cJSON_Delete(*o);
	*o = NULL;
	return gitea_issue_get(t->g, t->repo, param_int(t->r, "number"), o, e) || gitea_issue_read(*o, i, e) ? -1 : 0;
}

/* Only what is not so yet: a change that changes nothing tells everybody who watches all the same. */
static int
change(struct gitea_run *t, const struct gitea_issue *i, struct err *e)
{
	int64_t add[GITEA_NAMES_MAX], ids[GITEA_NAMES_MAX];
	size_t n, wanted = 0;

	if (gitea_tool_labels(t, "remove", ids, &n, e))
		return -1;
	for (size_t k = 0; k < n; k++)
		if (has_label(i, ids[k]) && gitea_issue_label_remove(t->g, t->repo, i->number, ids[k], e))
			return -1;
	if (make_missing(t, e) || gitea_tool_labels(t, "add", ids, &n, e))
		return -1;
	for (size_t k = 0; k < n; k++)
		if (!has_label(i, ids[k]))
			add[wanted++] = ids[k];
	return wanted ? gitea_issue_label_add(t->g, t->repo, i->number, add, wanted, NULL, e) : 0;
}

static void
put(struct gitea_run *t, const struct gitea_issue *i, struct buf *result)
{
	char where[GITEA_WHERE_MAX];

	json_put_open(result, '{');
	json_kv_str(result, "repository", t->repo);
	json_kv_int(result, "number", i->number);
	json_kv_str(result, "url", i->url);
	gitea_put_names(result, "labels", i->labels, "name");
	json_put_close(result, '}');
	gitea_tool_where(t->r, where);
	gitea_tool_note(t, where, buf_str(result));
}

static int
gitea_label_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct gitea_run t;
	struct gitea_issue i;
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = read_issue(&t, &o, &i, e) || change(&t, &i, e) || read_issue(&t, &o, &i, e) ? -1 : 0;
	if (rc == 0)
		put(&t, &i, result);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

static void
show(const struct tool_run *r, const char *param, char sign, struct buf *out)
{
	const char *v[GITEA_NAMES_MAX];
	size_t n = gitea_tool_texts(r, param, v);

	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%c%s\n", sign, v[i]);
}

static int
gitea_label_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	char where[GITEA_WHERE_MAX];
	struct buf text = { 0 };
	int rc;

	show(r, "remove", '-', &text);
	show(r, "add", '+', &text);
	gitea_tool_where(r, where);
	rc = gitea_tool_plan(r, p, "labels", where, buf_str(&text), e);
	buf_free(&text);
	return rc;
}

static bool
is_named(const struct gitea_issue *i, const char *name)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, i->labels)
		if (strcmp(json_text(v, "name"), name) == 0)
			return true;
	return false;
}

static int
gitea_label_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	const char *add[GITEA_NAMES_MAX], *remove[GITEA_NAMES_MAX];
	size_t nadd = gitea_tool_texts(r, "add", add), nremove = gitea_tool_texts(r, "remove", remove);
	struct gitea_issue i = { .id = 0 };
	struct gitea_run t;
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);
	bool holds;

	if (rc == 0)
		rc = read_issue(&t, &o, &i, e);
	holds = rc == 0;
	for (size_t k = 0; holds && k < nadd; k++)
		holds = is_named(&i, add[k]);
	for (size_t k = 0; holds && k < nremove; k++)
		holds = !is_named(&i, remove[k]);
	if (rc == 0)
		rc = note_check(r, "gitea_labels", json_text(result, "url"), holds, holds ? "as asked for" : "others",
		    "what was added, and nothing that was removed", e);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

const struct tool tool_gitea_label = {
	.name = "gitea_label",
	.summary = "Adds labels to an issue or pull request and takes labels off it",
	.schema = "{\"type\":\"object\",\"required\":[\"repository\",\"number\"],\"properties\":{" GITEA_PARAM_REPOSITORY ","
	    GITEA_PARAM_NUMBER "," GITEA_NAMES("add", "50", "Labels that it is to have; an exclusive one (a/b) replaces its like.") ","
	    GITEA_NAMES("remove", "50", "Labels that it is not to have.") ","
	    "\"create\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Make those of add that the repository does not have; one with a slash is exclusive.\"},"
	    "\"color\":{\"type\":\"string\",\"pattern\":\"^#[0-9a-fA-F]{6}$\",\"description\":\"Of those it makes.\"}}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 120,
	.run = gitea_label_run,
	.target = &gitea_target,
	.plan = gitea_label_plan,
	.prove = gitea_label_prove,
};
