#include <fnmatch.h>
#include <inttypes.h>

#include "git.h"
#include "notes.h"
#include "param.h"
#include "tool.h"

#define MAX_LIST (16u << 20)
#define ROOM 1024

enum field { REF, OID, HEAD, SYMREF, UPSTREAM, TRACK, DATE, SUBJECT, FIELDS };

#define FORMAT "--format=%(refname)%00%(objectname)%00%(HEAD)%00%(symref)%00%(upstream:short)%00" \
	"%(upstream:track,nobracket)%00%(committerdate:iso-strict)%00%(contents:subject)%00"

/* Each record is ended by a line end after its last NUL. */
static bool
next_branch(struct git_tokens *t, const char *f[FIELDS])
{
	for (int i = 0; i < FIELDS; i++)
		if (!(f[i] = git_token(t)))
			return false;
	f[REF] += f[REF][0] == '\n';
	return true;
}

/* "ahead 2, behind 1", "gone" or nothing. */
static void
put_track(struct buf *b, const char *track)
{
	const char *ahead = strstr(track, "ahead "), *behind = strstr(track, "behind ");

	json_kv_bool(b, "upstream_gone", strcmp(track, "gone") == 0);
	json_kv_int(b, "ahead", ahead ? strtoll(ahead + 6, NULL, 10) : 0);
	json_kv_int(b, "behind", behind ? strtoll(behind + 7, NULL, 10) : 0);
}

static void
put_branch(struct buf *b, const char *const f[FIELDS])
{
	bool remote = strncmp(f[REF], "refs/remotes/", 13) == 0;

	json_put_open(b, '{');
	json_kv_str(b, "name", f[REF] + (remote ? 13 : 11));
	json_kv_bool(b, "remote", remote);
	json_kv_bool(b, "current", f[HEAD][0] == '*');
	json_kv_str(b, "commit", f[OID]);
	json_kv_str(b, "date", f[DATE]);
	json_kv_str(b, "subject", f[SUBJECT]);
	if (f[UPSTREAM][0]) {
		json_kv_str(b, "upstream", f[UPSTREAM]);
		put_track(b, f[TRACK]);
	}
	json_put_close(b, '}');
}

struct listing {
	int64_t listed, total;
	bool cut;
};

static void
put_branches(struct git *g, struct buf *b, size_t room, struct listing *l)
{
	struct git_tokens t = { buf_str(&g->end.out), buf_str(&g->end.out) + g->end.out.len };
	const char *match = param_str(g->r, "match"), *f[FIELDS];
	int64_t max = param_int(g->r, "max_branches");
	size_t start = b->len;

	while (next_branch(&t, f)) {
		const char *name = strchr(f[REF] + 5, '/');
		size_t before = b->len;

		/* origin/HEAD only says which branch is the remote's first. */
		if (f[SYMREF][0] || !name || (match && fnmatch(match, name + 1, 0) != 0))
			continue;
		l->total++;
		if (l->cut || (l->cut = l->listed == max))
			continue;
		put_branch(b, f);
		if ((l->cut = b->len - start > room))
			buf_cut(b, before);
		else
			l->listed++;
	}
	l->cut |= g->end.out_total > MAX_LIST;
}

static void
put_list(struct git *g, struct buf *b)
{
	size_t taken = ROOM + 6 * strlen(g->repo), max = g->r->max_output;
	struct listing l = { 0 };

	json_put_open(b, '{');
	json_kv_str(b, "repo_path", g->repo);
	json_put_key(b, "branches");
	json_put_open(b, '[');
	put_branches(g, b, max > taken ? max - taken : 0, &l);
	json_put_close(b, ']');
	json_kv_int(b, "listed", l.listed);
	json_kv_int(b, "total", l.total);
	json_kv_bool(b, "truncated", l.cut);
	json_put_close(b, '}');
}

/* The list is taken away first: git runs again to tell where remotes lead. */
static void
note_branches(struct git *g)
{
	size_t len = g->end.out.len;
	char *text;
	struct git_tokens t;
	const char *f[FIELDS];

	if (!notes_wanted(g->r) || !len)
		return;
	text = buf_take(&g->end.out);
	t = (struct git_tokens){ text, text + len };
	for (int n = 0; n < NOTES_MAX && next_branch(&t, f); n++)
		if (!f[SYMREF][0])
			git_note_name(g, f[REF], f[OID]);
	free(text);
}

static int
git_branch_list_run(struct tool_run *r, struct buf *result, struct err *e)
{
	const char *const args[] = { "for-each-ref", FORMAT, "--sort=-committerdate", "--sort=-HEAD",
	    "refs/heads",
		param_bool(r, "remotes") ? "refs/remotes" : NULL, NULL };
	struct git g;
	int rc = git_open(&g, r, false, e), code;

	if (rc == 0) {
		code = git_exec(&g, args, MAX_LIST, e);
		rc = code == 0 ? 0 : code < 0 ? -1 : git_failed(&g, "cannot list branches", e);
	}
	if (rc == 0) {
		put_list(&g, result);
		note_branches(&g);
	}
	git_close(&g);
	return rc;
}

const struct tool tool_git_branch_list = {
	.name = "git_branch_list",
	.summary = "Branches with their last commit and how far they are from their upstream",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\"],\"properties\":{" GIT_PARAM_REPO ","
	    "\"remotes\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"The branches of remotes, as last fetched, too.\"},"
	    "\"match\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":250,"
	    "\"description\":\"Only names that match this glob, such as release-*.\"},"
	    "\"max_branches\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5000,\"default\":500,"
	    "\"description\":\"How many are listed (current first, then newest first); all are counted.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = git_branch_list_run,
};
