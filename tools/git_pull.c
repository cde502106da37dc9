#include "git.h"
#include "param.h"
#include "tool.h"

struct pull {
	struct git_state before;
	struct git_remote from;
	char target[GIT_OID], after[GIT_OID];
	struct git_numbers numbers;
	bool merged;
};

static int
ready(struct git *g, struct pull *p, struct err *e)
{
	const char *doing = git_in_progress(g);

	if (g->bare)
		return err_set(e, ERR_WRONG_STATE, "%s is a bare repository: it has no working tree",
		    g->repo);
	if (doing)
		return err_set(e, ERR_WRONG_STATE, "%s is in the middle of a %s: finish or abort it first",
		    g->repo, doing);
	if (git_state_read(g, "no", false, &p->before, NULL, NULL, e))
		return -1;
	if (!p->before.branch[0])
		return err_set(e, ERR_WRONG_STATE, "%s has a detached HEAD: check out a branch first",
		    g->repo);
	return 0;
}

/* From the parameters, else from the branch's upstream. */
static int
find_source(struct git *g, struct pull *p, struct err *e)
{
	const char *remote = param_str(g->r, "remote"), *branch = param_str(g->r, "branch");
	char merge[GIT_NAME + 16] = "";

	git_branch_config(g, p->before.branch, "remote", p->from.name, sizeof p->from.name);
	git_branch_config(g, p->before.branch, "merge", merge, sizeof merge);
	if (remote)
		snprintf(p->from.name, sizeof p->from.name, "%s", remote);
	if (branch)
		snprintf(p->from.branch, sizeof p->from.branch, "%s", branch);
	else if (strncmp(merge, "refs/heads/", 11) == 0 && !remote)
		snprintf(p->from.branch, sizeof p->from.branch, "%.*s", GIT_NAME - 1, merge + 11);
	else if (remote)
		snprintf(p->from.branch, sizeof p->from.branch, "%s", p->before.branch);
	if (!p->from.name[0] || !p->from.branch[0] || strcmp(p->from.name, ".") == 0)
		return err_set(e, ERR_WRONG_STATE,
		    "branch %s has no upstream: give remote and branch, or run "
		    "git branch --set-upstream-to", p->before.branch);
	return git_remote_check(g, &p->from, false, e);
}

static int
fetch(struct git *g, struct pull *p, struct err *e)
{
	char ref[GIT_NAME + 16];
	int code;

	snprintf(ref, sizeof ref, "refs/heads/%s", p->from.branch);
	code = GIT(g, e, "fetch", "--progress", "--no-recurse-submodules", "--no-auto-gc", "--", p->from.name,
	    ref);
	if (code)
		return code < 0 ? -1 : git_failed(g, "cannot fetch", e);
	return git_lookup(g, "FETCH_HEAD", p->target) ? 0 :
	    err_set(e, ERR_TOOL, "git fetch brought no commit of %s", p->from.branch);
}

static int
diverged(struct git *g, const struct pull *p, struct err *e)
{
	char range[2 * GIT_OID + 8];
	long ahead = 0, behind = 0;

	snprintf(range, sizeof range, "%s...%s", p->before.oid, p->target);
	if (GIT(g, e, "rev-list", "--left-right", "--count", range, "--") == 0)
		sscanf(git_line(g), "%ld %ld", &ahead, &behind);
	return err_set(e, ERR_WRONG_STATE,
	    "%s and %s/%s have diverged (%ld commits here, %ld there): pull with "
	    "strategy merge, or rebase by hand", p->before.branch, p->from.name, p->from.branch, ahead,
	    behind);
}

static void
list_conflict(void *arg, const struct git_entry *f)
{
	struct buf *b = arg;

	if (f->conflict && b->len < 200)
		buf_addf(b, "%s%s", b->len ? ", " : "", f->path);
}

/* The working tree goes back to what it was. */
static int
abort_merge(struct git *g, struct err *e)
{
	struct buf files = { .max = 65536 };
	struct git_state s;
	struct err why = *e, other = { 0 };

	if (git_state_read(g, "no", false, &s, list_conflict, &files, &other) || !s.conflicts) {
		if (git_in_progress(g))
			GIT(g, &other, "merge", "--abort");
		*e = why;
	} else if (GIT(g, &other, "merge", "--abort") == 0) {
		err_set(e, ERR_WRONG_STATE,
		    "merging has conflicts in %lld files (%.250s); the working tree is as it was. "
		    "Merge by hand", (long long)s.conflicts, buf_str(&files));
	} else {
		err_set(e, ERR_WRONG_STATE,
		    "merging has conflicts in %lld files (%.200s) and could not be taken back: "
		    "run git merge --abort", (long long)s.conflicts, buf_str(&files));
	}
	buf_free(&files);
	return -1;
}

static int
merge(struct git *g, struct pull *p, struct err *e)
{
	char message[2 * GIT_NAME + 32];
	int code;

	snprintf(message, sizeof message, "Merge branch '%s' of %s", p->from.branch, p->from.name);
	code = GIT(g, e, "merge", "--quiet", "--no-edit", "--no-verify", "--no-stat", "-m", message,
	    p->target);
	if (code == 0) {
		p->merged = true;
		return 0;
	}
	if (code > 0)
		git_failed(g, "cannot merge", e);
	return abort_merge(g, e);
}

static int
forward(struct git *g, struct pull *p, struct err *e)
{
	int code = GIT(g, e, "merge", "--quiet", "--ff-only", "--no-verify", "--no-stat", p->target);

	return code == 0 ? 0 : code < 0 ? -1 : git_failed(g, "cannot fast-forward", e);
}

static int
join(struct git *g, struct pull *p, struct err *e)
{
	if (!p->before.oid[0] || git_is_ancestor(g, p->before.oid, p->target))
		return forward(g, p, e);
	if (git_is_ancestor(g, p->target, p->before.oid))
		return 0;
	return strcmp(param_str(g->r, "strategy"), "merge") == 0 ? merge(g, p, e) : diverged(g, p, e);
}

static void
put_pull(const struct git *g, const struct pull *p, struct buf *b)
{
	bool updated = strcmp(p->before.oid, p->after) != 0;

	json_put_open(b, '{');
	json_kv_str(b, "repo_path", g->repo);
	json_kv_str(b, "branch", p->before.branch);
	json_kv_str(b, "remote", p->from.name);
	json_kv_str(b, "url", p->from.url);
	json_kv_str(b, "remote_branch", p->from.branch);
	json_kv_str(b, "before", p->before.oid[0] ? p->before.oid : NULL);
	json_kv_str(b, "after", p->after);
	json_kv_str(b, "fetched", p->target);
	json_kv_bool(b, "updated", updated);
	json_kv_bool(b, "fast_forward", updated && !p->merged);
	git_numbers_put(b, &p->numbers);
	json_put_close(b, '}');
}

static int
agreed(struct git *g, const struct pull *p, struct err *e)
{
	return git_ref_agreed(g, p->before.branch, p->before.oid, e) ||
	    git_remote_agreed(g, &p->from, p->target, e) ? -1 : 0;
}

static int
pull(struct git *g, struct pull *p, struct err *e)
{
	if (ready(g, p, e) || find_source(g, p, e) || fetch(g, p, e) || agreed(g, p, e) || join(g, p, e))
		return -1;
	if (!git_lookup(g, "HEAD", p->after))
		return err_set(e, ERR_INTERNAL, "HEAD is no commit after pulling");
	if (strcmp(p->before.oid, p->after) == 0)
		return 0;
	return git_numbers_read(g, p->before.oid, p->after, &p->numbers, e);
}

static int
git_pull_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct pull p = { 0 };
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = pull(&g, &p, e);
	if (rc == 0) {
		put_pull(&g, &p, result);
		git_note_remote(&g, p.from.name, p.from.branch, p.target);
		if (strcmp(p.before.oid, p.after) != 0)
			git_note_write(&g, p.before.branch, p.after);
	}
	git_close(&g);
	return rc;
}

/* The commits are fetched for trial, into an object store that is thrown away. */
static void
show_commits(struct git *g, const struct pull *p, const char *tip, struct plan *plan)
{
	char trial[GIT_TRY] = "", range[2 * GIT_OID + 8], ref[GIT_NAME + 16];
	struct err none = { 0 };

	snprintf(ref, sizeof ref, "refs/heads/%s", p->from.branch);
	snprintf(range, sizeof range, "%s..%s", p->before.oid, tip);
	if (git_try(g, trial, &none) == 0 && GIT(g, &none, "fetch", "--quiet", "--no-recurse-submodules",
	    "--no-auto-gc", "--no-tags", "--no-write-fetch-head", "--refmap=", "--", p->from.name, ref) == 0) {
		GIT_SHOW(g, plan, "log", "--no-color", "--oneline", p->before.oid[0] ? range : tip, "--");
		if (p->before.oid[0])
			GIT_SHOW(g, plan, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--stat=100",
			    p->before.oid, tip);
	} else {
		plan_showf(plan, "(its commits cannot be shown: they could not be fetched)\n");
	}
	git_untry(trial);
}

static void
show_pull(struct git *g, const struct pull *p, const char *tip, struct plan *plan)
{
	plan_target(plan, "%s of %s from %s of %s (%s)", p->before.branch, g->top_name, p->from.branch, p->from.name,
	    p->from.url);
	if (!plan->wants_dry_run)
		return;
	plan_showf(plan, "%s -> %s%s\n", p->before.oid[0] ? p->before.oid : "(no commit)", tip,
	    strcmp(p->before.oid, tip) == 0 ? ", nothing to do" : "");
	if (strcmp(p->before.oid, tip) != 0)
		show_commits(g, p, tip, plan);
}

static int
plan_pull(struct git *g, struct plan *plan, struct err *e)
{
	struct pull p = { 0 };
	char tip[GIT_OID] = "";

	if (ready(g, &p, e) || find_source(g, &p, e) || git_touch_tree(g, plan, NULL, e) ||
	    git_touch_ref(g, plan, PLAN_WRITES, p.before.branch, p.before.oid, e) ||
	    git_touch_remote(g, &p.from, false, plan, PLAN_READS, tip, e))
		return -1;
	if (!tip[0])
		return err_set(e, ERR_NOT_FOUND, "%s has no branch %s", p.from.name, p.from.branch);
	show_pull(g, &p, tip, plan);
	return 0;
}

static int
git_pull_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = plan_pull(&g, p, e);
	git_close(&g);
	return rc;
}

static int
git_pull_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	const char *branch = json_text(result, "branch");
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = git_prove_ref(&g, branch, json_text(result, "after"), e) ||
		    git_prove_ref(&g, branch, json_text(result, "fetched"), e) ? -1 : 0;
	git_close(&g);
	return rc;
}

/* Idempotent: once more finds nothing to do, or what is new since; a merge is not made twice. */
const struct tool tool_git_pull = {
	.name = "git_pull",
	.summary = "Fetches a branch and brings the current one up to date, by fast-forward unless asked to "
	    "merge",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\"],\"properties\":{" GIT_PARAM_REPO ","
	    "\"remote\":{" GIT_SCHEMA_REMOTE ","
	    "\"description\":\"Name of the remote; without it the upstream's.\"},"
	    "\"branch\":{" GIT_SCHEMA_BRANCH ","
	    "\"description\":\"The remote's branch; without it the upstream's, or the one of the same "
	    "name.\"},"
	    "\"strategy\":{\"enum\":[\"ff-only\",\"merge\"],\"default\":\"ff-only\","
	    "\"description\":\"What to do if both sides have commits of their own: fail, or merge (with "
	    "conflicts: "
	    "fail, leaving everything as it was).\"}}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 300,
	.run = git_pull_run,
	.target = &git_target,
	.plan = git_pull_plan,
	.prove = git_pull_prove,
};
