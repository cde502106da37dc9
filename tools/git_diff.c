#include "git.h"
#include "notes.h"
#include "param.h"
#include "tool.h"

#define MAX_RAW (8u << 20)
#define MAX_FILES 5000
#define ROOM 2048
#define FILE_ROOM 256           /* of the result for a file, without its paths and patch */

/* One changed file. The texts stand in one of the two outputs that are kept. */
struct change {
	char status;
	const char *path, *from;
	int64_t insertions, deletions;  /* -1: binary */
	const char *patch;
	size_t patch_len;
};

struct diff {
	struct change v[MAX_FILES];
	size_t n, total;
	struct buf raw, patch;
	bool raw_cut, patch_cut;
	size_t patch_total;
	const char *range[2];           /* commits, "--cached" */
};

static int
run_diff(struct git *g, const struct diff *d, const char *const how[4], size_t max, struct err *e)
{
	const cJSON *paths = cJSON_GetObjectItemCaseSensitive(g->r->params, "paths"), *one;
	const char *args[160] = { "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames",
		"--ignore-submodules=dirty", "--src-prefix=a/", "--dst-prefix=b/" };
	int n = 8, code;

	for (int i = 0; i < 4 && how[i]; i++)
		args[n++] = how[i];
	for (int i = 0; i < 2 && d->range[i]; i++)
		args[n++] = d->range[i];
	args[n++] = "--";
	cJSON_ArrayForEach(one, paths)
		args[n++] = one->valuestring;
	code = git_exec(g, args, max, e);
	return code == 0 ? 0 : code < 0 ? -1 : git_failed(g, "cannot compare", e);
}

static void
take_output(struct git *g, struct buf *out)
{
	*out = g->end.out;
	g->end.out = (struct buf){ 0 };
}

/* ":mode mode oid oid S", path, for renames and copies the new path. A conflict in the working tree is
 * told twice, as a conflict and as a change against our side: that is one file. */
static void
read_change(struct diff *d, char status, struct git_tokens *t)
{
	const struct change *last = d->n ? &d->v[d->n - 1] : NULL;
	const char *path = git_token(t), *from = NULL;

	if (status == 'R' || status == 'C') {
		from = path;
		path = git_token(t);
	}
	if (!path || (last && last->status == 'U' && strcmp(last->path, path) == 0))
		return;
	d->total++;
	if (d->n < MAX_FILES)
		d->v[d->n++] = (struct change){ .status = status, .path = path, .from = from };
}

/* A line of numstat; the files come in the same order. */
static void
read_numbers(struct diff *d, const char *line, struct git_tokens *t, size_t *at)
{
	const char *tab = strchr(line, '\t'), *second = tab ? strchr(tab + 1, '\t') : NULL, *path;

	if (!second)
		return;
	path = second + 1;
	if (!*path) {
		git_token(t);
		path = git_token(t);
	}
	for (size_t i = *at; path && i < d->n; i++) {
		if (strcmp(d->v[i].path, path) != 0)
			continue;
		d->v[i].insertions = line[0] == '-' ? -1 : strtoll(line, NULL, 10);
		d->v[i].deletions = line[0] == '-' ? -1 : strtoll(tab + 1, NULL, 10);
		*at = i;
		return;
	}
}

static void
read_raw(struct diff *d)
{
	struct git_tokens t = { buf_str(&d->raw), buf_str(&d->raw) + d->raw.len };
	const char *line, *space;
	size_t at = 0;

	while ((line = git_token(&t))) {
		if (line[0] == ':' && (space = strrchr(line, ' ')))
			read_change(d, space[1], &t);
		else
			read_numbers(d, line, &t, &at);
	}
}

/* Where the next file's part begins: no line inside a part can begin so. */
static const char *
next_part(const char *at, const char *end)
{
	static const char *const heads[] = { "diff --git ", "diff --cc ", "* Unmerged path " };

	while (at && at < end) {
		for (size_t i = 0; i < 3; i++)
			if (strncmp(at, heads[i], strlen(heads[i])) == 0)
				return at;
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : NULL;
	}
	return end;
}

/* The patch's parts come in the order of the files; a change of type is two parts. */
static void
share_patch(struct diff *d)
{
	const char *at = buf_str(&d->patch), *end = at + d->patch.len;

	at = next_part(at, end);
	for (size_t i = 0; i < d->n && at < end; i++) {
		d->v[i].patch = at;
		for (int parts = d->v[i].status == 'T' ? 2 : 1; parts && at < end; parts--)
			at = next_part(at + 1, end);
		d->v[i].patch_len = (size_t)(at - d->v[i].patch);
	}
}

static void
put_change(struct buf *b, const struct change *c)
{
	json_put_open(b, '{');
	json_kv_str(b, "path", c->path);
	if (c->from)
		json_kv_str(b, "from", c->from);
	json_kv_str(b, "change", git_change_name(c->status));
	if (c->insertions < 0) {
		json_kv_bool(b, "binary", true);
	} else {
		json_kv_int(b, "insertions", c->insertions);
		json_kv_int(b, "deletions", c->deletions);
	}
}

/* As much of the patch as fits; returns true if all of it did. */
static bool
put_patch(struct buf *b, const struct change *c, size_t room)
{
	size_t n = 0, used = 0;

	if (!c->patch)
		return true;
	/* Whole lines, counted as if every byte had to be escaped as bytes mostly are not: two. */
	while (n < c->patch_len) {
		const char *nl = memchr(c->patch + n, '\n', c->patch_len - n);
		size_t len = nl ? (size_t)(nl - c->patch) + 1 - n : c->patch_len - n, cost = 0;

		for (size_t i = n; i < n + len; i++)
			cost += (unsigned char)c->patch[i] < 0x20 && !strchr("\n\t", c->patch[i]) ? 6 :
			    (unsigned char)c->patch[i] >= 0x80 ? 3 : strchr("\n\t\"\\", c->patch[i]) ? 2 : 1;
		if (used + cost > room)
			break;
		used += cost;
		n += len;
	}
	json_put_key(b, "patch");
	json_put_strn(b, c->patch, n);
	if (n < c->patch_len)
		json_kv_bool(b, "patch_truncated", true);
	return n == c->patch_len;
}

static size_t
put_changes(const struct diff *d, struct buf *b, size_t room, bool *whole)
{
	size_t start = b->len, i;

	for (i = 0; i < d->n; i++) {
		const struct change *c = &d->v[i];
		size_t names = strlen(c->path) + (c->from ? strlen(c->from) : 0);
		size_t before = b->len, need = FILE_ROOM + 6 * names, used;

		if (b->len - start + need > room)
			break;
		put_change(b, c);
		used = b->len - start + FILE_ROOM;
		*whole &= put_patch(b, c, used < room ? room - used : 0);
		json_put_close(b, '}');
		if (b->len - start > room) {
			buf_cut(b, before);
			break;
		}
	}
	return i;
}

static void
put_sums(const struct diff *d, struct buf *b)
{
	struct git_numbers sum = { .files = (int64_t)d->total };

	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].insertions >= 0) {
			sum.insertions += d->v[i].insertions;
			sum.deletions += d->v[i].deletions;
		}
	git_numbers_put(b, &sum);
}

static void
put_diff(const struct git *g, const struct diff *d, struct buf *b)
{
	size_t taken = ROOM + 6 * strlen(g->repo), max = g->r->max_output, listed;
	bool whole = !d->patch_cut;

	json_put_open(b, '{');
	json_kv_str(b, "repo_path", g->repo);
	put_sums(d, b);
	json_put_key(b, "files");
	json_put_open(b, '[');
	listed = put_changes(d, b, max > taken ? max - taken : 0, &whole);
	json_put_close(b, ']');
	json_kv_int(b, "listed", (int64_t)listed);
	json_kv_int(b, "patch_bytes", (int64_t)d->patch_total);
	json_kv_bool(b, "truncated", listed < d->total || d->raw_cut || !whole);
	json_put_close(b, '}');
}

static int
read_diff(struct git *g, struct diff *d, struct err *e)
{
	static const char *const raw[4] = { "--raw", "--numstat", "-z", "--abbrev=40" };
	char context[32];
	const char *const patch[4] = { "--patch", context };
	size_t max = (size_t)param_int(g->r, "max_patch_bytes");

	if (run_diff(g, d, raw, MAX_RAW, e))
		return -1;
	d->raw_cut = g->end.out_total > MAX_RAW;
	take_output(g, &d->raw);
	read_raw(d);
	if (!max)
		return 0;
	snprintf(context, sizeof context, "--unified=%d", (int)param_int(g->r, "context"));
	if (run_diff(g, d, patch, max, e))
		return -1;
	d->patch_total = g->end.out_total;
	d->patch_cut = g->end.out_total > max;
	take_output(g, &d->patch);
	share_patch(d);
	return 0;
}

/* What is compared: nothing given, the working tree with the index; staged, the index with HEAD; from,
 * the working tree (or, staged, the index) with a commit; from and to, two commits. */
static int
find_range(struct git *g, struct diff *d, char oids[2][GIT_OID], struct err *e)
{
	const char *from = param_str(g->r, "from"), *to = param_str(g->r, "to");
	bool staged = param_bool(g->r, "staged");
	int n = 0;

	if (to && (!from || staged))
		return err_field(e, ERR_INVALID, "params.to", to,
		    "to only together with from, and without staged");
	if (!to && g->bare)
		return err_field(e, ERR_MISSING, "params.to", "nothing",
		    "from and to, for a bare repository");
	if (from && git_resolve(g, "from", from, oids[0], e))
		return -1;
	if (to && git_resolve(g, "to", to, oids[1], e))
		return -1;
	if (staged)
		d->range[n++] = "--cached";
	if (from)
		d->range[n++] = oids[0];
	if (to)
		d->range[n++] = oids[1];
	return 0;
}

static void
note_ends(struct git *g, char oids[2][GIT_OID])
{
	static const char *const params[] = { "from", "to" };
	char head[GIT_OID];

	for (int i = 0; i < 2; i++)
		if (param_str(g->r, params[i]))
			git_note_name(g, param_str(g->r, params[i]), oids[i]);
	if (!param_str(g->r, "from") && param_bool(g->r, "staged") && notes_wanted(g->r) &&
	    git_lookup(g, "HEAD", head))
		git_note_name(g, "HEAD", head);
}

static int
git_diff_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct diff *d = xcalloc(1, sizeof *d);
	char oids[2][GIT_OID];
	struct git g;
	int rc = git_open(&g, r, false, e);

	if (rc == 0) {
		git_env(&g, "GIT_OPTIONAL_LOCKS", "0");
		rc = find_range(&g, d, oids, e);
	}
	if (rc == 0)
		rc = read_diff(&g, d, e);
	if (rc == 0) {
		put_diff(&g, d, result);
		note_ends(&g, oids);
	}
	git_close(&g);
	buf_free(&d->raw);
	buf_free(&d->patch);
	free(d);
	return rc;
}

const struct tool tool_git_diff = {
	.name = "git_diff",
	.summary = "Changed files with their lines: of the working tree, the index, or between two commits",
	.schema = "{\"type\":\"object\",\"required\":[\"repo_path\"],\"properties\":{" GIT_PARAM_REPO ","
	    "\"from\":{\"type\":\"string\",\"maxLength\":250,\"pattern\":\"^[^-]\","
	    "\"description\":\"Commit, branch or tag to compare with; without it the index (staged: "
	    "HEAD).\"},"
	    "\"to\":{\"type\":\"string\",\"maxLength\":250,\"pattern\":\"^[^-]\","
	    "\"description\":\"A second commit; without it the working tree is compared.\"},"
	    "\"staged\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Compare what is staged in the index instead of the working tree.\"},"
	    "\"paths\":{\"type\":\"array\",\"maxItems\":100,\"default\":[],"
	    "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096},"
	    "\"description\":\"Only these files and directories, as their paths in the repository.\"},"
	    "\"context\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,\"default\":3,"
	    "\"description\":\"Unchanged lines around each change.\"},"
	    "\"max_patch_bytes\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":8388608,\"default\":131072,"
	    "\"description\":\"How much patch text at most; 0: only the list of files.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = git_diff_run,
};
