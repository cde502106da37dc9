#include "git.h"
#include "param.h"
#include "tool.h"

#define ROOM 2048               /* of the result, for everything but path and entries */

struct status {
	struct buf entries;
	int64_t max_entries, listed, total;
};

static void
put_entry(struct buf *b, const struct git_entry *f)
{
	json_put_open(b, '{');
	json_kv_str(b, "path", f->path);
	if (f->from)
		json_kv_str(b, "from", f->from);
	if (f->conflict || f->index == '?' || f->index == '!') {
		json_kv_str(b, "state", f->conflict ? "conflict" : git_change_name(f->index));
	} else {
		json_kv_str(b, "staged", git_change_name(f->index));
		json_kv_str(b, "worktree", git_change_name(f->tree));
	}
	json_put_close(b, '}');
}

static void
add_entry(void *arg, const struct git_entry *f)
{
	struct status *s = arg;
	size_t before = s->entries.len;

	s->total++;
	if (s->listed + 1 < s->total || s->listed == s->max_entries)
		return;
	put_entry(&s->entries, f);
	if (buf_ok(&s->entries)) {
		s->listed++;
		return;
	}
	s->entries.full = false;
	buf_cut(&s->entries, before);
}

static void
put_branch(struct buf *b, const struct git_state *s)
{
	json_kv_str(b, "branch", s->branch[0] ? s->branch : NULL);
	json_kv_bool(b, "detached", !s->branch[0]);
	json_kv_str(b, "commit", s->oid[0] ? s->oid : NULL);
	json_kv_str(b, "upstream", s->upstream[0] ? s->upstream : NULL);
	if (s->has_counts) {
		json_kv_int(b, "ahead", s->ahead);
		json_kv_int(b, "behind", s->behind);
	}
	json_kv_int(b, "stashes", s->stash);
}

static void
put_status(const struct git *g, const struct git_state *state, const struct status *s, const char *doing,
    struct buf *b)
{
	json_put_open(b, '{');
	json_kv_str(b, "repo_path", g->repo);
	put_branch(b, state);
	json_kv_str(b, "in_progress", doing);
	json_kv_bool(b, "clean", !state->staged && !state->changed && !state->untracked && !state->conflicts);
	json_kv_int(b, "staged", state->staged);
	json_kv_int(b, "changed", state->changed);
	json_kv_int(b, "untracked", state->untracked);
	json_kv_int(b, "conflicts", state->conflicts);
	json_put_key(b, "entries");
	json_put_open(b, '[');
	if (s->entries.len)
		json_put_raw(b, s->entries.data, s->entries.len);
	json_put_close(b, ']');
	json_kv_int(b, "listed", s->listed);
	json_kv_int(b, "total", s->total);
	json_kv_bool(b, "truncated", s->listed < s->total || state->cut);
	json_put_close(b, '}');
}

static int
git_status_run(struct tool_run *r, struct buf *result, struct err *e)
{
	size_t taken = ROOM + 6 * strlen(param_str(r, "repo_path"));
	struct status s = {
		.entries.max = r->max_output > taken ? r->max_output - taken : 1,
		.max_entries = param_int(r, "max_entries"),
	};
	struct git_state state;
	struct git g;
	int rc = git_open(&g, r, false, e);

	if (rc == 0 && g.bare)
		rc = err_set(e, ERR_WRONG_STATE, "%s is a bare repository: it has no working tree", g.repo);
	if (rc == 0) {
		git_env(&g, "GIT_OPTIONAL_LOCKS", "0");
		rc = git_state_read(&g, param_str(r, "untracked"), param_bool(r, "ignored"), &state,
		    add_entry, &s, e);
	}
	if (rc == 0) {
		put_status(&g, &state, &s, git_in_progress(&g), result);
		git_note_name(&g, "HEAD", state.oid);
	}
	git_close(&g);
	buf_free(&s.entries);
	return rc;
}

const struct tool tool_git_status = {
	.name = "git_status",
	.summary = "Branch, upstream and changed files of a working tree",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\"],\"properties\":{" GIT_PARAM_REPO ","
	    "\"untracked\":{\"enum\":[\"no\",\"normal\",\"all\"],\"default\":\"normal\","
	    "\"description\":\"Files git does not know: none, whole new directories as one, or each.\"},"
	    "\"ignored\":{\"type\":\"boolean\",\"default\":false,\"description\":\"List ignored files "
	    "too.\"},"
	    "\"max_entries\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":10000,\"default\":1000,"
	    "\"description\":\"How many files are listed; all are counted.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = git_status_run,
};
