#include "git.h"
#include "param.h"
#include "tool.h"

struct push {
	struct git_remote to;
	char branch[GIT_NAME];          /* the local one */
	char oid[GIT_OID];
	char flag;                      /* of the ref in --porcelain: ' ' '+' '*' '=' '!', 0: none came */
	char reason[200];
};

static int
find_branch(struct git *g, struct push *p, struct err *e)
{
	const char *branch = param_str(g->r, "branch");

	if (branch)
		snprintf(p->branch, sizeof p->branch, "%s", branch);
	else if (GIT(g, e, "symbolic-ref", "--quiet", "--short", "HEAD") == 0)
		snprintf(p->branch, sizeof p->branch, "%s", git_line(g));
	else
		return err_set(e, ERR_WRONG_STATE, "%s has a detached HEAD: give branch", g->repo);
	if (git_lookup_branch(g, p->branch, p->oid))
		return 0;
	return err_field(e, ERR_NOT_FOUND, "params.branch", p->branch, "a local branch with a commit");
}

/* From the parameters, else from the branch's upstream, else the same name at origin. */
static int
find_target(struct git *g, struct push *p, struct err *e)
{
	const char *remote = param_str(g->r, "remote"), *there = param_str(g->r, "remote_branch");
	char merge[GIT_NAME + 16] = "", of[GIT_NAME] = "";

	git_branch_config(g, p->branch, "remote", of, sizeof of);
	git_branch_config(g, p->branch, "merge", merge, sizeof merge);
	if (!remote)
		remote = of[0] && strcmp(of, ".") != 0 ? of : "origin";
	snprintf(p->to.name, sizeof p->to.name, "%s", remote);
	if (there)
		snprintf(p->to.branch, sizeof p->to.branch, "%s", there);
	else if (strncmp(merge, "refs/heads/", 11) == 0 && strcmp(of, p->to.name) == 0)
		snprintf(p->to.branch, sizeof p->to.branch, "%.*s", GIT_NAME - 1, merge + 11);
	else
		snprintf(p->to.branch, sizeof p->to.branch, "%s", p->branch);
	return git_remote_check(g, &p->to, true, e);
}

/* "<flag>\t<from>:<to>\t<summary> (<reason>)" */
static void
read_porcelain(struct git *g, struct push *p)
{
	char *rest = g->end.out.data, *line;

	while (rest && (line = strtok_r(rest, "\n", &rest))) {
		char *tab = line[0] && line[1] == '\t' ? strchr(line + 2, '\t') : NULL;

		if (!tab)
			continue;
		p->flag = line[0];
		snprintf(p->reason, sizeof p->reason, "%s", tab + 1);
	}
}

/* A ref that was refused is as it was: that much is sure. */
static int
refused(struct git *g, const struct push *p, struct err *e)
{
	tool_effect_none(g->r);
	if (strstr(p->reason, "remote rejected"))
		return err_set(e, ERR_DENIED,
		    "%s refuses %s: %s; its rules (a protected branch, a hook) do not allow it",
		    p->to.name, p->to.branch, p->reason);
	if (strstr(p->reason, "stale info"))
		return err_set(e, ERR_CONFLICT,
		    "%s of %s is not what expected_remote says: fetch and decide anew",
		    p->to.branch, p->to.name);
	return err_set(e, ERR_WRONG_STATE, "%s of %s has commits that are not here: pull first", p->to.branch,
	    p->to.name);
}

/* These ends come before anything is sent. */
static bool
never_began(enum err_code code)
{
	return code == ERR_DENIED || code == ERR_NOT_FOUND || code == ERR_PATH || code == ERR_WRONG_STATE;
}

/* The connection ended badly: the remote may have it or not. Asking settles the good case; the bad one
 * stays open, for the remote may still be at it. */
static int
ask_remote(struct git *g, const struct push *p, struct err *e)
{
	char ref[GIT_NAME + 16];
	struct err none = { 0 };

	snprintf(ref, sizeof ref, "refs/heads/%s", p->to.branch);
	if (never_began(e->code)) {
		tool_effect_none(g->r);
		return -1;
	}
	if (GIT(g, &none, "ls-remote", "--quiet", "--", p->to.name, ref))
		return -1;
	return strncmp(buf_str(&g->end.out), p->oid, strlen(p->oid)) == 0 ? 0 : -1;
}

static int
push(struct git *g, struct push *p, struct err *e)
{
	const char *expected = param_str(g->r, "expected_remote");
	char spec[2 * GIT_NAME + 48], lease[GIT_NAME + GIT_OID + 64];
	const char *args[16] = { "push", "--porcelain", "--progress", "--no-verify", "--recurse-submodules=no",
	    "--no-follow-tags" };
	int n = 6, code;

	/* Elsewhere the program that receives is the server's own affair. */
	if (p->to.local)
		args[n++] = "--receive-pack=git -c core.hooksPath=/dev/null receive-pack";
	if (param_bool(g->r, "set_upstream"))
		args[n++] = "--set-upstream";
	snprintf(lease, sizeof lease, "--force-with-lease=refs/heads/%s:%s", p->to.branch,
	    expected && strcmp(expected, "absent") != 0 ? expected : "");
	if (expected)
		args[n++] = lease;
	/* What was agreed is that commit, wherever the branch may be by now. */
	if (g->r->agreed && !param_bool(g->r, "set_upstream"))
		snprintf(spec, sizeof spec, "%s:refs/heads/%s", p->oid, p->to.branch);
	else
		snprintf(spec, sizeof spec, "refs/heads/%s:refs/heads/%s", p->branch, p->to.branch);
	args[n++] = "--";
	args[n++] = p->to.name;
	args[n++] = spec;
	tool_effect_begins(g->r);
	code = git_exec(g, args, 65536, e);
	read_porcelain(g, p);
	if (p->flag == '!')
		return refused(g, p, e);
	if (code == 0)
		return 0;
	if (code > 0)
		git_failed(g, "cannot push", e);
	return ask_remote(g, p, e);
}

static void
put_push(const struct git *g, const struct push *p, struct buf *b)
{
	json_put_open(b, '{');
	json_kv_str(b, "repo_path", g->repo);
	json_kv_str(b, "remote", p->to.name);
	json_kv_str(b, "url", p->to.url);
	json_kv_str(b, "branch", p->branch);
	json_kv_str(b, "remote_branch", p->to.branch);
	json_kv_str(b, "commit", p->oid);
	json_kv_bool(b, "pushed", p->flag != '=');
	json_kv_bool(b, "created", p->flag == '*');
	json_kv_bool(b, "forced", p->flag == '+');
	json_put_close(b, '}');
}

static int
git_push_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct push p = { 0 };
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = find_branch(&g, &p, e) || find_target(&g, &p, e) ||
		    git_ref_agreed(&g, p.branch, p.oid, e) || push(&g, &p, e) ? -1 : 0;
	if (rc == 0) {
		put_push(&g, &p, result);
		git_note_pushed(&g, &p.to, p.oid);
	}
	git_close(&g);
	return rc;
}

static void
show_push(struct git *g, const struct push *p, const char *tip, struct plan *plan)
{
	char range[2 * GIT_OID + 8], known[GIT_OID];

	plan_target(plan, "%s of %s to %s of %s (%s)", p->branch, g->repo, p->to.branch, p->to.name, p->to.url);
	if (!plan->wants_dry_run)
		return;
	if (!tip[0]) {
		plan_showf(plan, "a new branch at %s\n", p->oid);
		GIT_SHOW(g, plan, "log", "--no-color", "--oneline", "--max-count=100", p->oid, "--");
	} else if (strcmp(tip, p->oid) == 0) {
		plan_showf(plan, "nothing to push: it is at %s\n", tip);
	} else if (!git_lookup(g, tip, known)) {
		plan_showf(plan, "%s -> %s, which has commits that are not here\n", tip, p->oid);
	} else {
		snprintf(range, sizeof range, "%s..%s", tip, p->oid);
		plan_showf(plan, "%s -> %s%s\n", tip, p->oid, git_is_ancestor(g, tip, p->oid) ? "" :
		    ", over commits of others");
		GIT_SHOW(g, plan, "log", "--no-color", "--oneline", range, "--");
		GIT_SHOW(g, plan, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--stat=100", tip, p->oid);
	}
}

/* set_upstream changes the config here. */
static int
git_push_plan(struct tool_run *r, struct plan *plan, struct err *e)
{
	struct push p = { 0 };
	char tip[GIT_OID] = "";
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = find_branch(&g, &p, e) || find_target(&g, &p, e) ||
		    git_touch_ref(&g, plan, PLAN_READS, p.branch, p.oid, e) ||
		    git_touch_remote(&g, &p.to, true, plan, PLAN_WRITES, tip, e) ? -1 : 0;
	if (rc == 0 && param_bool(r, "set_upstream"))
		rc = git_touch_tree(&g, plan, NULL, e);
	if (rc == 0)
		show_push(&g, &p, tip, plan);
	git_close(&g);
	return rc;
}

static int
git_push_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	struct git_remote to = { .url = "" };
	struct git g;
	int rc = git_open(&g, r, true, e);

	snprintf(to.name, sizeof to.name, "%s", json_text(result, "remote"));
	snprintf(to.branch, sizeof to.branch, "%s", json_text(result, "remote_branch"));
	if (rc == 0)
		rc = git_prove_remote(&g, &to, json_text(result, "commit"), e);
	git_close(&g);
	return rc;
}

const struct tool tool_git_push = {
	.name = "git_push",
	.summary = "Pushes one branch; never over commits of others unless their last one is named",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\"],\"properties\":{" GIT_PARAM_REPO ","
	    "\"remote\":{" GIT_SCHEMA_REMOTE ","
	    "\"description\":\"Name of the remote; without it the upstream's, else origin.\"},"
	    "\"branch\":{" GIT_SCHEMA_BRANCH ","
	    "\"description\":\"The local branch; without it the current one.\"},"
	    "\"remote_branch\":{" GIT_SCHEMA_BRANCH ","
	    "\"description\":\"Its name there; without it the upstream's, else the same.\"},"
	    "\"set_upstream\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Make it the upstream of the local branch.\"},"
	    "\"expected_remote\":{\"type\":\"string\",\"pattern\":\"^([0-9a-f]{40}|[0-9a-f]{64}|absent)$\","
	    "\"description\":\"Replace the remote's branch even if commits are lost, but only if it is this "
	    "commit.\"}}}",
	.effect = TOOL_EXCLUSIVE,
	.timeout_s = 300,
	.run = git_push_run,
	.target = &git_target,
	.plan = git_push_plan,
	.prove = git_push_prove,
};
