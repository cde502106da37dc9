#include "git.h"
#include "param.h"
#include "tool.h"

/* What a name is, in the order in which git's own switch takes it. */
struct target {
	enum { BRANCH, REMOTE_BRANCH, COMMIT, NEW_BRANCH } kind;
	char oid[GIT_OID];
	char remote[GIT_NAME + 16];     /* "origin/topic" */
};

static int
find_remote_branch(struct git *g, const char *name, struct target *t, struct err *e)
{
	char pattern[GIT_NAME + 24], *rest, *line;
	const char *const args[] = { "for-each-ref", "--format=%(refname)", pattern, NULL };
	int found = 0;

	snprintf(pattern, sizeof pattern, "refs/remotes/*/%s", name);
	if (git_exec(g, args, 65536, e))
		return 0;
	rest = g->end.out.data;
	while (rest && (line = strtok_r(rest, "\n", &rest)))
		if (found++ == 0)
			snprintf(t->remote, sizeof t->remote, "%.*s", GIT_NAME,
			    line + strlen("refs/remotes/"));
	if (found > 1)
		return err_field(e, ERR_INVALID, "params.ref", name,
		    "a name that only one remote has; give <remote>/%s or create the branch with start",
		    name);
	return found;
}

static int
find_target(struct git *g, const char *name, struct target *t, struct err *e)
{
	int found;

	t->kind = BRANCH;
	if (git_lookup_branch(g, name, t->oid))
		return 0;
	t->kind = REMOTE_BRANCH;
	found = strpbrk(name, "*?[") ? 0 : find_remote_branch(g, name, t, e);
	if (found < 0)
		return -1;
	if (found)
		return git_resolve(g, "ref", t->remote, t->oid, e);
	t->kind = COMMIT;
	return git_resolve(g, "ref", name, t->oid, e);
}

static int
create(struct git *g, const char *name, const struct target *t, struct err *e)
{
	int code = GIT(g, e, "switch", "--quiet", "--no-track", "--create", name, "--", t->oid);

	return code == 0 ? 0 : code < 0 ? -1 : git_failed(g, "cannot create the branch", e);
}

static int
switch_to(struct git *g, const char *name, const struct target *t, struct err *e)
{
	static const char doing[] = "cannot check out";
	int code;

	if (t->kind == NEW_BRANCH)
		return create(g, name, t, e);
	if (t->kind == BRANCH)
		code = GIT(g, e, "switch", "--quiet", "--no-guess", "--", name);
	else if (t->kind == REMOTE_BRANCH)
		code = GIT(g, e, "switch", "--quiet", "--create", name, "--track", "--", t->remote);
	else
		code = GIT(g, e, "switch", "--quiet", "--detach", "--", t->oid);
	return code == 0 ? 0 : code < 0 ? -1 : git_failed(g, doing, e);
}

static int
check_branch_name(struct git *g, const char *name, struct err *e)
{
	int code = GIT(g, e, "check-ref-format", "--branch", name);

	return code == 0 ? 0 : code < 0 ? -1 : err_field(e, ERR_INVALID, "params.ref", name,
	    "a name that git allows for a branch");
}

/* A second run finds the branch that the first one made: the same start, so it is the same request. */
static int
find_new(struct git *g, const char *name, const char *start, struct target *t, struct err *e)
{
	char there[GIT_OID];

	if (check_branch_name(g, name, e) || git_resolve(g, "start", start, t->oid, e))
		return -1;
	t->kind = NEW_BRANCH;
	if (!git_lookup_branch(g, name, there))
		return 0;
	t->kind = BRANCH;
	return strcmp(there, t->oid) == 0 ? 0 : err_field(e, ERR_CONFLICT, "params.ref", name,
	    "a new name: the branch exists at %.12s; check it out without create", there);
}

static int
ready(struct git *g, struct git_state *s, struct err *e)
{
	const char *doing;

	if (g->bare)
		return err_set(e, ERR_WRONG_STATE, "%s is a bare repository: it has no working tree",
		    g->repo);
	doing = git_in_progress(g);
	if (doing)
		return err_set(e, ERR_WRONG_STATE, "%s is in the middle of a %s: finish or abort it first",
		    g->repo, doing);
	return git_state_read(g, "no", false, s, NULL, NULL, e);
}

static int
find(struct git *g, struct git_state *before, struct target *t, struct err *e)
{
	const char *name = param_str(g->r, "ref"), *start = param_str(g->r, "start");

	if (ready(g, before, e))
		return -1;
	if (start && !param_bool(g->r, "create"))
		return err_field(e, ERR_INVALID, "params.start", start, "start only together with create");
	return param_bool(g->r, "create") ? find_new(g, name, start ? start : "HEAD", t, e) :
	    find_target(g, name, t, e);
}

/* What the target is called among what was agreed: a commit is no ref, but what is read all the same. */
static const char *
target_name(const struct git *g, const struct target *t)
{
	return t->kind == REMOTE_BRANCH ? t->remote : param_str(g->r, t->kind == NEW_BRANCH &&
	    param_str(g->r, "start") ? "start" : "ref");
}

static int
agreed(struct git *g, const struct git_state *before, const struct target *t, struct err *e)
{
	if (git_head_agreed(g, before->oid, e))
		return -1;
	return t->kind == NEW_BRANCH ? git_ref_agreed(g, param_str(g->r, "ref"), "", e) :
	    git_ref_agreed(g, target_name(g, t), t->oid, e);
}

static int
check_out(struct git *g, struct git_state *before, struct git_state *after, struct err *e)
{
	struct target t = { .kind = BRANCH };

	if (find(g, before, &t, e) || agreed(g, before, &t, e) || switch_to(g, param_str(g->r, "ref"), &t, e) ||
	    git_state_read(g, "no", false, after, NULL, NULL, e))
		return -1;
	git_note_write(g, "", after->oid);
	if (t.kind == NEW_BRANCH || t.kind == REMOTE_BRANCH)
		git_note_write(g, after->branch, after->oid);
	return 0;
}

static void
put_checkout(const struct git *g, const struct git_state *before, const struct git_state *after,
    struct buf *b)
{
	json_put_open(b, '{');
	json_kv_str(b, "repo_path", g->repo);
	json_kv_str(b, "branch", after->branch[0] ? after->branch : NULL);
	json_kv_bool(b, "detached", !after->branch[0]);
	json_kv_str(b, "commit", after->oid[0] ? after->oid : NULL);
	json_kv_str(b, "upstream", after->upstream[0] ? after->upstream : NULL);
	json_kv_str(b, "previous_branch", before->branch[0] ? before->branch : NULL);
	json_kv_str(b, "previous_commit", before->oid[0] ? before->oid : NULL);
	json_kv_bool(b, "changed", strcmp(before->branch, after->branch) != 0 || strcmp(before->oid,
	    after->oid) != 0);
	json_kv_int(b, "local_changes", after->staged + after->changed);
	json_put_close(b, '}');
}

static int
git_checkout_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct git_state before, after;
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = check_out(&g, &before, &after, e);
	if (rc == 0)
		put_checkout(&g, &before, &after, result);
	git_close(&g);
	return rc;
}

static void
show_checkout(struct git *g, const struct git_state *before, const struct target *t, struct plan *p)
{
	plan_target(p, "%s of %s", param_str(g->r, "ref"), g->top_name);
	plan_showf(p, "%s %s -> %s%s %s\n", before->branch[0] ? before->branch : "HEAD",
	    before->oid[0] ? before->oid : "(no commit)", t->kind == NEW_BRANCH ? "new branch " : "",
	    param_str(g->r, "ref"), t->oid);
	if (before->staged + before->changed)
		plan_showf(p, "%lld files have local changes, which are kept, or it is refused\n",
		    (long long)(before->staged + before->changed));
	if (before->oid[0])
		GIT_SHOW(g, p, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--stat=100", before->oid,
		    t->oid);
}

/* HEAD, the working tree, and a branch that it makes. */
static int
plan_checkout(struct git *g, struct plan *p, struct err *e)
{
	struct target t = { .kind = BRANCH };
	struct git_state before;

	if (find(g, &before, &t, e) || git_touch_tree(g, p, NULL, e) || git_touch_head(g, p, before.oid, e))
		return -1;
	if (t.kind == NEW_BRANCH || t.kind == REMOTE_BRANCH)
		if (git_touch_ref(g, p, PLAN_WRITES, param_str(g->r, "ref"), NULL, e))
			return -1;
	if (git_touch_ref(g, p, PLAN_READS, target_name(g, &t), t.oid, e))
		return -1;
	show_checkout(g, &before, &t, p);
	return 0;
}

static int
git_checkout_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = plan_checkout(&g, p, e);
	git_close(&g);
	return rc;
}

static int
git_checkout_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = git_prove_ref(&g, "", json_text(result, "commit"), e);
	git_close(&g);
	return rc;
}

/* Idempotent: the same name again finds itself there. Local changes are kept, or it is refused. */
const struct tool tool_git_checkout = {
	.name = "git_checkout",
	.summary = "Checks out a branch or commit; local changes are never overwritten",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\",\"ref\"],"
	    "\"properties\":{" GIT_PARAM_REPO ","
	    "\"ref\":{\"type\":\"string\",\"maxLength\":200,\"pattern\":\"^[^-]\","
	    "\"description\":\"A branch; a branch that one remote has (a tracking branch is made); a tag or "
	    "commit "
	    "(HEAD is detached then); or the name of the branch to create.\"},"
	    "\"create\":{\"type\":\"boolean\",\"default\":false,\"description\":\"Make a new branch ref.\"},"
	    "\"start\":{\"type\":\"string\",\"maxLength\":200,\"pattern\":\"^[^-]\","
	    "\"description\":\"With create: where it begins; without it at the current commit.\"}}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 120,
	.run = git_checkout_run,
	.plan = git_checkout_plan,
	.prove = git_checkout_prove,
};
