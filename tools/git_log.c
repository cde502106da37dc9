#include "git.h"
#include "param.h"
#include "tool.h"

#define MAX_LOG (16u << 20)
#define MAX_BODY 4000           /* bytes of one message's body */
#define ROOM 1024
#define FIELDS 10

/* One commit, each field ended by a NUL. */
#define FORMAT "--format=tformat:%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%s%x00%b"

static void
put_person(struct buf *b, const char *key, const char *const *f)
{
	json_put_key(b, key);
	json_put_open(b, '{');
	json_kv_str(b, "name", f[0]);
	json_kv_str(b, "email", f[1]);
	json_kv_str(b, "date", f[2]);
	json_put_close(b, '}');
}

static void
put_words(struct buf *b, const char *key, const char *words)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t n; *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		json_put_strn(b, words, n);
	}
	json_put_close(b, ']');
}

static void
put_body(struct buf *b, const char *body)
{
	size_t n = strlen(body), cut = n;

	while (n && body[n - 1] == '\n')
		n--;
	if (n > MAX_BODY)
		for (n = MAX_BODY; n && ((unsigned char)body[n] & 0xc0) == 0x80;)
			n--;
	json_put_key(b, "body");
	json_put_strn(b, body, n);
	if (cut > MAX_BODY && n <= MAX_BODY)
		json_kv_bool(b, "body_truncated", true);
}

static void
put_commit(struct buf *b, const char *const f[FIELDS])
{
	json_put_open(b, '{');
	json_kv_str(b, "commit", f[0]);
	put_words(b, "parents", f[1]);
	put_person(b, "author", f + 2);
	put_person(b, "committer", f + 5);
	json_kv_str(b, "subject", f[8]);
	put_body(b, f[9]);
	json_put_close(b, '}');
}

static bool
next_commit(struct git_tokens *t, const char *f[FIELDS])
{
	for (int i = 0; i < FIELDS; i++)
		if (!(f[i] = git_token(t)))
			return false;
	return true;
}

/* Returns how many commits went in; *more: there are others. */
static int64_t
put_commits(struct git *g, struct buf *b, int64_t max, size_t room, bool *more)
{
	struct git_tokens t = { buf_str(&g->end.out), buf_str(&g->end.out) + g->end.out.len };
	const char *f[FIELDS];
	size_t start = b->len;
	int64_t n = 0;

	*more = g->end.out_total > MAX_LOG;
	while (next_commit(&t, f)) {
		size_t before = b->len;

		*more = true;
		if (n == max)
			return n;
		put_commit(b, f);
		if (b->len - start > room) {
			buf_cut(b, before);
			return n;
		}
		*more = g->end.out_total > MAX_LOG;
		n++;
	}
	return n;
}

static int
read_log(struct git *g, const char *oid, struct err *e)
{
	const struct tool_run *r = g->r;
	const char *args[16] = { "log", "-z", "--no-color", "--no-decorate", FORMAT };
	const char *author = param_str(r, "author"), *path = param_str(r, "path");
	const char *since = param_str(r, "since"), *until = param_str(r, "until");
	char count[48], skip[48], who[300], from[128], to[128];
	int n = 5, code;

	snprintf(count, sizeof count, "--max-count=%lld", (long long)param_int(r, "max_count") + 1);
	snprintf(skip, sizeof skip, "--skip=%lld", (long long)param_int(r, "skip"));
	snprintf(who, sizeof who, "--author=%s", author ? author : "");
	snprintf(from, sizeof from, "--since=%s", since ? since : "");
	snprintf(to, sizeof to, "--until=%s", until ? until : "");
	args[n++] = count;
	args[n++] = skip;
	if (author) {
		args[n++] = "--fixed-strings";
		args[n++] = who;
	}
	if (since)
		args[n++] = from;
	if (until)
		args[n++] = to;
	args[n++] = oid;
	args[n++] = "--";
	args[n++] = path;
	code = git_exec(g, args, MAX_LOG, e);
	return code == 0 ? 0 : code < 0 ? -1 : git_failed(g, "cannot read the log", e);
}

static void
put_log(struct git *g, const char *oid, struct buf *b)
{
	size_t taken = ROOM + 6 * strlen(g->repo), max = g->r->max_output;
	int64_t n;
	bool more;

	json_put_open(b, '{');
	json_kv_str(b, "repo_path", g->repo);
	json_kv_str(b, "from", oid);
	json_put_key(b, "commits");
	json_put_open(b, '[');
	n = put_commits(g, b, param_int(g->r, "max_count"), max > taken ? max - taken : 0, &more);
	json_put_close(b, ']');
	json_kv_int(b, "listed", n);
	json_kv_bool(b, "truncated", more);
	if (more)
		json_kv_int(b, "next_skip", param_int(g->r, "skip") + n);
	json_put_close(b, '}');
}

static int
git_log_run(struct tool_run *r, struct buf *result, struct err *e)
{
	const char *ref = param_str(r, "ref");
	char oid[GIT_OID];
	struct git g;
	int rc = git_open(&g, r, false, e);

	if (rc == 0 && strcmp(ref, "HEAD") == 0 && !git_lookup(&g, ref, oid))
		rc = err_set(e, ERR_NOT_FOUND, "%s has no commit yet", g.repo);
	else if (rc == 0)
		rc = git_resolve(&g, "ref", ref, oid, e);
	if (rc == 0)
		rc = read_log(&g, oid, e);
	if (rc == 0) {
		put_log(&g, oid, result);
		git_note_name(&g, ref, oid);
	}
	git_close(&g);
	return rc;
}

const struct tool tool_git_log = {
	.name = "git_log",
	.summary = "Commits that lead to a branch, tag or commit, newest first",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\"],\"properties\":{" GIT_PARAM_REPO ","
	    "\"ref\":{\"type\":\"string\",\"maxLength\":250,\"pattern\":\"^[^-]\",\"default\":\"HEAD\","
	    "\"description\":\"Branch, tag or commit to begin at.\"},"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"Only commits that changed this file or directory.\"},"
	    "\"author\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":250,"
	    "\"description\":\"Only commits whose author's name or address has this text in it.\"},"
	    "\"since\":{\"type\":\"string\",\"minLength\":4,\"maxLength\":100,"
	    "\"description\":\"Only newer commits: 2026-11-01, or as git understands it: 2 weeks ago.\"},"
	    "\"until\":{\"type\":\"string\",\"minLength\":4,\"maxLength\":100,"
	    "\"description\":\"Only older commits.\"},"
	    "\"max_count\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":20,"
	    "\"description\":\"How many commits at most.\"},"
	    "\"skip\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":10000000,\"default\":0,"
	    "\"description\":\"Leave out so many first: next_skip of a truncated result goes on.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = git_log_run,
};
