#include "git.h"
#include "param.h"
#include "tool.h"

/* What a person sees of the state of things goes with a refusal. */
static int
nothing_to_commit(const struct git_state *s, struct err *e)
{
	return err_set(e, ERR_WRONG_STATE,
	    "nothing to commit: 0 files are staged, %lld changed, %lld untracked; "
	    "name some in paths, or set all", (long long)s->changed, (long long)s->untracked);
}

static int
ready(struct git *g, struct git_state *s, struct err *e)
{
	const char *expected = param_str(g->r, "expected_head"), *doing;

	if (g->bare)
		return err_set(e, ERR_WRONG_STATE, "%s is a bare repository: it has no working tree",
		    g->repo);
	if (git_state_read(g, "normal", false, s, NULL, NULL, e))
		return -1;
	doing = git_in_progress(g);
	if (s->conflicts)
		return err_set(e, ERR_WRONG_STATE, "%lld files have conflicts: resolve them first",
		    (long long)s->conflicts);
	if (doing && strcmp(doing, "merge") != 0)
		return err_set(e, ERR_WRONG_STATE, "%s is in the middle of a %s: finish or abort it first",
		    g->repo, doing);
	if (expected && strcmp(expected, s->oid[0] ? s->oid : "none") != 0)
		return err_field(e, ERR_CONFLICT, "params.expected_head", s->oid[0] ? s->oid : "none",
		    "HEAD to be %s; somebody committed since", expected);
	return 0;
}

/* Only the index changes here; a second run would stage the same. */
static int
stage(struct git *g, struct err *e)
{
	const cJSON *paths = cJSON_GetObjectItemCaseSensitive(g->r->params, "paths"), *one;
	const char *args[110] = { "add", "--all", "--" };
	int n = 3, code = 0;

	cJSON_ArrayForEach(one, paths)
		args[n++] = one->valuestring;
	if (n > 3)
		code = git_exec(g, args, 65536, e);
	else if (param_bool(g->r, "all"))
		code = GIT(g, e, "add", "--update", ".");
	return code == 0 ? 0 : code < 0 ? -1 : git_failed(g, "cannot stage", e);
}

static void
set_author(struct git *g)
{
	const char *name = param_str(g->r, "author_name"), *email = param_str(g->r, "author_email");

	if (name)
		git_env(g, "GIT_AUTHOR_NAME", name);
	if (email)
		git_env(g, "GIT_AUTHOR_EMAIL", email);
}

/* The message comes on standard input, so it can be anything. Whether a commit that failed changed
 * nothing is not guessed from the text: HEAD tells. */
static int
commit(struct git *g, const struct git_state *before, char oid[GIT_OID], struct err *e)
{
	const char *message = param_str(g->r, "message");
	const char *const args[] = { "commit", "--quiet", "--no-verify", "--no-edit", "--cleanup=whitespace",
	    "--file=-",
		param_bool(g->r, "allow_empty") ? "--allow-empty" : NULL, NULL };
	char now[GIT_OID];
	int code;

	set_author(g);
	tool_effect_begins(g->r);
	code = git_exec_in(g, args, message, strlen(message), 65536, e);
	if (code > 0)
		git_failed(g, "cannot commit", e);
	if (code) {
		git_lookup(g, "HEAD", now);
		if (strcmp(now, before->oid) == 0)
			tool_effect_none(g->r);
		return -1;
	}
	return git_lookup(g, "HEAD", oid) ? 0 : err_set(e, ERR_INTERNAL,
	    "the commit was made but cannot be found");
}

static void
put_commit(const struct git *g, const struct git_state *s, const char *oid, const struct git_numbers *n,
    struct buf *b)
{
	const char *message = param_str(g->r, "message");

	json_put_open(b, '{');
	json_kv_str(b, "repo_path", g->repo);
	json_kv_str(b, "branch", s->branch[0] ? s->branch : NULL);
	json_kv_str(b, "commit", oid);
	json_kv_str(b, "parent", s->oid[0] ? s->oid : NULL);
	json_put_key(b, "subject");
	json_put_strn(b, message, strcspn(message, "\n"));
	git_numbers_put(b, n);
	json_put_close(b, '}');
}

static int
staged_tree(struct git *g, char tree[GIT_OID], struct err *e)
{
	int code = GIT(g, e, "write-tree");

	snprintf(tree, GIT_OID, "%s", code == 0 ? git_line(g) : "");
	return code == 0 ? 0 : code < 0 ? -1 : git_failed(g, "cannot write the tree", e);
}

/* After staging: what would be committed now is what was agreed. */
static int
agreed(struct git *g, const struct git_state *s, struct err *e)
{
	char tree[GIT_OID];

	if (!g->r->agreed)
		return 0;
	if (s->branch[0] ? git_ref_agreed(g, s->branch, s->oid, e) : git_head_agreed(g, s->oid, e))
		return -1;
	return staged_tree(g, tree, e) || git_tree_agreed(g, tree, e) ? -1 : 0;
}

static int
stage_and_commit(struct git *g, struct buf *result, struct err *e)
{
	struct git_numbers n = { 0 };
	struct git_state s, staged;
	char oid[GIT_OID];

	if (ready(g, &s, e) || stage(g, e) || git_state_read(g, "normal", false, &staged, NULL, NULL, e))
		return -1;
	if (!staged.staged && !param_bool(g->r, "allow_empty") && !git_in_progress(g))
		return nothing_to_commit(&staged, e);
	if (agreed(g, &s, e) || commit(g, &s, oid, e))
		return -1;
	git_note_write(g, s.branch, oid);
	/* The commit stands: a failure to count it does not make it a failure. */
	if (git_numbers_read(g, s.oid, oid, &n, e))
		n = (struct git_numbers){ 0 };
	put_commit(g, &s, oid, &n, result);
	return 0;
}

static int
check_message(const struct tool_run *r, struct err *e)
{
	const char *message = param_str(r, "message");

	return message[strspn(message, " \t\r\n")] ? 0 :
	    err_field(e, ERR_INVALID, "params.message", "only blanks", "a message");
}

static int
git_commit_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct git g;
	int rc;

	if (check_message(r, e))
		return -1;
	rc = git_open(&g, r, true, e);
	if (rc == 0)
		rc = stage_and_commit(&g, result, e);
	git_close(&g);
	return rc;
}

/* A merge's other parents go into the commit too. */
static int
touch_merge(struct git *g, struct plan *p, struct err *e)
{
	char oid[GIT_OID];

	if (!git_lookup(g, "MERGE_HEAD", oid))
		return 0;
	return git_touch_ref(g, p, PLAN_READS, "MERGE_HEAD", oid, e);
}

static void
show_commit(struct git *g, const struct git_state *s, struct plan *p)
{
	const char *message = param_str(g->r, "message");

	plan_target(p, "%s of %s: %.*s", s->branch[0] ? s->branch : "HEAD", g->top_name,
	    (int)strcspn(message, "\n") < 200 ? (int)strcspn(message, "\n") : 200, message);
	GIT_SHOW(g, p, "diff", "--cached", "--no-color", "--no-ext-diff", "--no-textconv", "--stat=100");
	GIT_SHOW(g, p, "diff", "--cached", "--no-color", "--no-ext-diff", "--no-textconv");
}

/* Staged for trial, beside the index and the objects that are there. */
static int
plan_commit(struct git *g, struct plan *p, struct err *e)
{
	struct git_state s, staged;
	char tree[GIT_OID];

	if (ready(g, &s, e) || stage(g, e) || git_state_read(g, "normal", false, &staged, NULL, NULL, e))
		return -1;
	if (!staged.staged && !param_bool(g->r, "allow_empty") && !git_in_progress(g))
		return nothing_to_commit(&staged, e);
	if (staged_tree(g, tree, e) || git_touch_tree(g, p, tree, e) || touch_merge(g, p, e) ||
	    (s.branch[0] ? git_touch_ref(g, p, PLAN_WRITES, s.branch, s.oid, e) : git_touch_head(g, p, s.oid, e)))
		return -1;
	show_commit(g, &s, p);
	return 0;
}

static int
git_commit_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	char trial[GIT_TRY] = "";
	struct git g;
	int rc;

	if (check_message(r, e))
		return -1;
	rc = git_open(&g, r, true, e);
	if (rc == 0 && g.bare)
		rc = err_set(e, ERR_WRONG_STATE, "%s is a bare repository: it has no working tree", g.repo);
	if (rc == 0)
		rc = git_try(&g, trial, e);
	if (rc == 0)
		rc = plan_commit(&g, p, e);
	git_untry(trial);
	git_close(&g);
	return rc;
}

static int
git_commit_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = git_prove_ref(&g, json_text(result, "branch"), json_text(result, "commit"), e);
	git_close(&g);
	return rc;
}

const struct tool tool_git_commit = {
	.name = "git_commit",
	.summary = "Commits what is staged, on request after staging paths or all tracked files",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\",\"message\"],"
	    "\"properties\":{" GIT_PARAM_REPO ","
	    "\"message\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":65536,"
	    "\"description\":\"The commit's message; its first line is the subject.\"},"
	    "\"paths\":{\"type\":\"array\",\"maxItems\":100,\"default\":[],"
	    "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096},"
	    "\"description\":\"Stage these files and directories first (new, changed and removed ones).\"},"
	    "\"all\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Stage every tracked file that was changed or removed first. Not with "
	    "paths.\"},"
	    "\"author_name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200,"
	    "\"description\":\"Author, if not the one in git's config. The committer is always the "
	    "agent's.\"},"
	    "\"author_email\":{\"type\":\"string\",\"minLength\":3,\"maxLength\":200,"
	    "\"description\":\"The author's address.\"},"
	    "\"allow_empty\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Commit even if nothing is staged.\"},"
	    "\"expected_head\":{\"type\":\"string\",\"pattern\":\"^([0-9a-f]{40}|[0-9a-f]{64}|none)$\","
	    "\"description\":\"Commit only if HEAD is this commit (none: there is no commit yet).\"}}}",
	.effect = TOOL_EXCLUSIVE,
	.timeout_s = 120,
	.run = git_commit_run,
	.plan = git_commit_plan,
	.prove = git_commit_prove,
};
