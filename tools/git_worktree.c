#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "git.h"
#include "guard.h"
#include "notes.h"
#include "param.h"
#include "path.h"
#include "spot.h"
#include "tool.h"

#define MAX_LIST (1u << 20)

struct tree {
	char *path;                     /* absolute, links followed */
	bool there;                     /* whatever it is */
	bool linked;                    /* to this repository, as it says */
	bool half;                      /* but git was killed while it made it, or somebody has taken it away */
	bool is_main;                   /* the repository's own */
	char branch[GIT_NAME];          /* of a linked one; empty: detached */
	char oid[GIT_OID];
};

static void
tree_release(struct tree *t)
{
	free(t->path);
}

/* What has no name yet cannot be resolved, so its directory is. */
static int
tree_place(const struct tool_run *r, struct tree *t, struct err *e)
{
	const char *path = param_str(r, "path");
	char name[NAME_MAX + 1], *dir;
	struct buf b = { 0 };
	struct stat st;
	int fd = path_open_parent(&r->env->roots, "path", path, name, sizeof name, e);

	if (fd < 0)
		return -1;
	t->there = fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	dir = spot_of_fd(fd);
	close(fd);
	if (!dir)
		return err_set(e, ERR_IO, "%s: the system does not tell where it is", path);
	buf_addf(&b, "%s/%s", dir, name);
	free(dir);
	t->path = buf_take(&b);
	return strchr(t->path, '\n') ? err_field(e, ERR_PATH, "params.path", NULL, "a path without line breaks") : 0;
}

/* One line of what git lists of the working tree at our path. */
static void
take_line(struct tree *t, const char *line)
{
	if (strncmp(line, "HEAD ", 5) == 0)
		snprintf(t->oid, sizeof t->oid, "%.64s", line + 5);
	else if (strncmp(line, "branch refs/heads/", 18) == 0)
		snprintf(t->branch, sizeof t->branch, "%.255s", line + 18);
	else if (strcmp(line, "locked initializing") == 0 || strncmp(line, "prunable", 8) == 0)
		t->half = true;
}

static int
tree_find(struct git *g, struct tree *t, struct err *e)
{
	const char *const args[] = { "worktree", "list", "--porcelain", NULL };
	bool ours = false, first = true;
	int code;

	if (tree_place(g->r, t, e))
		return -1;
	code = git_exec(g, args, MAX_LIST, e);
	if (code)
		return code < 0 ? -1 : git_failed(g, "cannot list the working trees", e);
	for (char *rest = g->end.out.data, *line; rest && (line = strsep(&rest, "\n"));) {
		if (strncmp(line, "worktree ", 9) == 0) {
			ours = strcmp(line + 9, t->path) == 0;
			t->linked |= ours;
			t->is_main |= ours && first;
			first = false;
		} else if (ours) {
			take_line(t, line);
		}
	}
	return 0;
}

static int
check(const struct tool_run *r, const struct tree *t, struct err *e)
{
	const char *path = param_str(r, "path"), *ref = param_str(r, "ref");

	if (t->is_main)
		return err_field(e, ERR_CONFLICT, "params.path", path, "a path beside the repository's own working tree");
	if (t->there && !t->linked)
		return err_field(e, ERR_CONFLICT, "params.path", path, "a path where nothing is, or a working tree of this repository");
	if (param_bool(r, "remove"))
		return 0;
	if (!ref)
		return err_field(e, ERR_MISSING, "params.ref", NULL, "a branch");
	if (t->linked && !t->half && strcmp(t->branch, ref) != 0)
		return err_field(e, ERR_CONFLICT, "params.path", path, "another path: there is a working tree of %s",
		    t->branch[0] ? t->branch : "no branch");
	return 0;
}

/* What the branch is, or would begin at. */
static int
find_commit(struct git *g, bool *is_new, char oid[GIT_OID], struct err *e)
{
	const char *ref = param_str(g->r, "ref"), *start = param_str(g->r, "start");

	*is_new = !git_lookup_branch(g, ref, oid);
	if (!*is_new)
		return 0;
	return start ? git_resolve(g, "start", start, oid, e) :
	    err_field(e, ERR_NOT_FOUND, "params.ref", ref, "a branch of the repository, or start for a new one");
}

static int
agreed(struct git *g, const struct tree *t, struct err *e)
{
	char oid[GIT_OID];
	bool is_new;

	if (!g->r->agreed)
		return 0;
	if (touch_agreed(g->r, PLAN_REPO, t->path, "", e))
		return -1;
	if (param_bool(g->r, "remove"))
		return 0;
	if (find_commit(g, &is_new, oid, e) || git_ref_agreed(g, param_str(g->r, "ref"), is_new ? "" : oid, e))
		return -1;
	return is_new ? git_ref_agreed(g, param_str(g->r, "start"), oid, e) : 0;
}

static int
drop(struct git *g, const struct tree *t, struct err *e)
{
	/* Of what is only half there nothing can be lost; git itself looks whether there is anything in a whole one. */
	int code = t->half ? GIT(g, e, "worktree", "remove", "--force", "--force", "--", t->path) :
	    GIT(g, e, "worktree", "remove", "--", t->path);

	return code == 0 ? 0 : code < 0 ? -1 : git_failed(g, "cannot remove the working tree", e);
}

static int
make(struct git *g, struct tree *t, struct err *e)
{
	const char *ref = param_str(g->r, "ref");
	char oid[GIT_OID];
	bool is_new;
	int code;

	if (find_commit(g, &is_new, oid, e) || (t->linked && drop(g, t, e)))
		return -1;
	code = is_new ? GIT(g, e, "worktree", "add", "--quiet", "--no-track", "-b", ref, "--", t->path, oid) :
	    GIT(g, e, "worktree", "add", "--quiet", "--", t->path, ref);
	if (code)
		return code < 0 ? -1 : git_failed(g, "cannot make the working tree", e);
	snprintf(t->branch, sizeof t->branch, "%s", ref);
	snprintf(t->oid, sizeof t->oid, "%s", oid);
	git_note_write(g, ref, oid);
	return 0;
}

static int
bring_about(struct git *g, struct tree *t, bool *changed, struct err *e)
{
	bool remove = param_bool(g->r, "remove");

	if (tree_find(g, t, e) || check(g->r, t, e) || agreed(g, t, e))
		return -1;
	*changed = remove ? t->linked : !t->linked || t->half;
	return !*changed ? 0 : remove ? drop(g, t, e) : make(g, t, e);
}

static int
git_worktree_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct tree t = { 0 };
	struct git g;
	bool changed;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = bring_about(&g, &t, &changed, e);
	if (rc == 0) {
		json_put_open(result, '{');
		json_kv_str(result, "repo_path", g.repo);
		json_kv_str(result, "path", t.path);
		json_kv_str(result, "branch", t.branch[0] ? t.branch : NULL);
		json_kv_str(result, "commit", t.oid[0] ? t.oid : NULL);
		json_kv_bool(result, "changed", changed);
		json_put_close(result, '}');
	}
	tree_release(&t);
	git_close(&g);
	return rc;
}

static int
plan_worktree(struct git *g, struct tree *t, struct plan *p, struct err *e)
{
	const char *ref = param_str(g->r, "ref"), *start = param_str(g->r, "start");
	char oid[GIT_OID];
	bool is_new;

	if (tree_find(g, t, e) || check(g->r, t, e) || plan_touch(p, PLAN_REPO, PLAN_WRITES, t->path, NULL, e))
		return -1;
	if (param_bool(g->r, "remove")) {
		plan_target(p, "%s, a working tree of %s", t->path, g->repo);
		plan_showf(p, "%s\n", t->linked ? "it is removed, unless it has changes that are not committed" : "nothing to do");
		return 0;
	}
	if (find_commit(g, &is_new, oid, e) || git_touch_ref(g, p, PLAN_WRITES, ref, is_new ? NULL : oid, e) ||
	    (is_new && git_touch_ref(g, p, PLAN_READS, start, oid, e)))
		return -1;
	plan_target(p, "%s of %s at %s", ref, g->repo, t->path);
	plan_showf(p, "%s%s %s\n", is_new ? "new branch " : "", ref, oid);
	return 0;
}

static int
git_worktree_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	struct tree t = { 0 };
	struct git g;
	int rc = git_open(&g, r, true, e);

	if (rc == 0)
		rc = plan_worktree(&g, &t, p, e);
	tree_release(&t);
	git_close(&g);
	return rc;
}

static int
git_worktree_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	const char *ref = param_bool(r, "remove") ? "" : param_str(r, "ref");
	struct tree t = { 0 };
	struct git g;
	int rc = git_open(&g, r, true, e);

	(void)result;
	if (rc == 0)
		rc = tree_find(&g, &t, e);
	if (rc == 0)
		rc = note_check(r, "worktree", t.path, t.linked == (*ref != '\0') && !t.half && strcmp(t.branch, ref) == 0,
		    t.branch, ref, e);
	tree_release(&t);
	git_close(&g);
	return rc;
}

/* Idempotent: what is there already is left as it is, what is gone already is gone. */
const struct tool tool_git_worktree = {
	.name = "git_worktree",
	.summary = "Gives a branch a working tree of its own, so that work on several does not meet; or takes it away",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\",\"path\"],"
	    "\"properties\":{" GIT_PARAM_REPO ","
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"Where the working tree is to be, in a directory that exists beneath a writable root.\"},"
	    "\"ref\":{" GIT_SCHEMA_BRANCH ","
	    "\"description\":\"The branch that it has; made if it does not exist. Needed unless it is removed.\"},"
	    "\"start\":{\"type\":\"string\",\"maxLength\":200,\"pattern\":\"^[^-]\","
	    "\"description\":\"Where a branch that does not exist yet begins.\"},"
	    "\"remove\":{\"type\":\"boolean\",\"default\":false,\"description\":\"Removes the working tree, files that are ignored "
	    "too, and leaves the branch; refused while something in it is not committed.\"}}}",
	.effect = TOOL_IDEMPOTENT,
	.timeout_s = 300,
	.run = git_worktree_run,
	.plan = git_worktree_plan,
	.prove = git_worktree_prove,
};
