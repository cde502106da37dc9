#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>

#include "git.h"
#include "guard.h"
#include "host.h"
#include "notes.h"
#include "place.h"
#include "scratch.h"
#include "spot.h"
#include "tool.h"

#ifdef __APPLE__
#define st_atim st_atimespec
#define st_mtim st_mtimespec
#endif

#define MAX_URLS 8
#define MAX_URL 4096
#define MAX_DEPTH 8             /* of directories beneath refs */
#define MAX_SEEN 20000          /* names looked at in a git directory */
#define MAX_INDEX (256ll << 20)

const char *
git_top_name(struct git *g, struct err *e)
{
	if (!g->top_name)
		g->top_name = spot_of_fd(g->top);
	if (!g->top_name)
		err_set(e, ERR_IO, "%s: the system does not tell where it is", g->repo);
	return g->top_name;
}

/* Beneath a directory, unless it is absolute; links followed. */
static char *
resolve(const char *dir, const char *path)
{
	struct buf b = { .max = 4 * PATH_MAX };
	char *out;

	if (path[0] != '/')
		buf_addf(&b, "%s/", dir);
	buf_adds(&b, path);
	out = spot_resolve(buf_str(&b));
	buf_free(&b);
	return out;
}

static char *
without_git(char *dir)
{
	size_t n = strlen(dir);

	if (n > 5 && strcmp(dir + n - 5, "/.git") == 0)
		dir[n - 5] = '\0';
	return dir;
}

const char *
git_place(struct git *g, struct err *e)
{
	char *common;

	if (g->place || !git_top_name(g, e))
		return g->place;
	if (GIT(g, e, "rev-parse", "--git-common-dir"))
		return NULL;
	common = resolve(g->top_name, git_line(g));
	if (common)
		g->place = without_git(common);
	else
		err_set(e, ERR_IO, "%s: where its refs are cannot be told", g->repo);
	return g->place;
}

/* Looking for links that lead elsewhere. */
struct links {
	struct plan *p;
	int seen;
};

static int
add_link(struct links *l, const char *path, struct err *e)
{
	char *to = spot_resolve(path);
	int rc = to ? plan_touch(l->p, PLAN_PATH, PLAN_WRITES, to, NULL, e) :
	    err_set(e, ERR_PATH, "%s leads nowhere that could be looked at", path);

	free(to);
	return rc;
}

static int
add_links(struct links *l, const char *dir, int depth, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int rc = 0;

	while (d && rc == 0 && (entry = readdir(d))) {
		char path[PATH_MAX];
		struct stat st;

		if (entry->d_name[0] == '.' || (size_t)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >=
		    sizeof path || lstat(path, &st))
			continue;
		if (++l->seen > MAX_SEEN)
			rc = err_set(e, ERR_TOO_BIG, "%s has more than %d names", dir, MAX_SEEN);
		else if (S_ISLNK(st.st_mode))
			rc = add_link(l, path, e);
		else if (S_ISDIR(st.st_mode) && depth > 0)
			rc = add_links(l, path, depth - 1, e);
	}
	if (d)
		closedir(d);
	return rc;
}

/* A ref may be a link, or lie in a directory that is one: then another repository's ref is moved. */
static int
touch_links_of(struct plan *p, const char *git_dir, struct err *e)
{
	static const struct { const char *name; int depth; } dirs[] = {
		{ "", 0 }, { "/refs", MAX_DEPTH }, { "/logs", MAX_DEPTH },
	};
	struct links l = { .p = p };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof dirs / sizeof *dirs; i++) {
		char path[PATH_MAX + 8];

		snprintf(path, sizeof path, "%s%s", git_dir, dirs[i].name);
		rc = add_links(&l, path, dirs[i].depth, e);
	}
	return rc;
}

static int
touch_links(struct git *g, struct plan *p, struct err *e)
{
	const char *const ways[] = { "--git-dir", "--git-common-dir" };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < 2; i++) {
		char *dir = GIT(g, e, "rev-parse", ways[i]) ? NULL : resolve(g->top_name, git_line(g));

		rc = dir ? touch_links_of(p, dir, e) :
		    err_set(e, ERR_IO, "%s: its git directory cannot be found", g->repo);
		free(dir);
	}
	return rc;
}

int
git_touch_tree(struct git *g, struct plan *p, const char *tree, struct err *e)
{
	return git_top_name(g, e) ? plan_touch(p, PLAN_REPO, PLAN_WRITES, g->top_name, tree, e) : -1;
}

int
git_touch_head(struct git *g, struct plan *p, const char *oid, struct err *e)
{
	if (!git_top_name(g, e) || touch_links(g, p, e))
		return -1;
	return plan_touch_ref(p, PLAN_WRITES, g->top_name, "HEAD", oid, e);
}

int
git_touch_ref(struct git *g, struct plan *p, enum plan_access access, const char *branch, const char *oid,
    struct err *e)
{
	if (!git_place(g, e) || (access == PLAN_WRITES && touch_links(g, p, e)))
		return -1;
	return plan_touch_ref(p, access, g->place, branch, oid, e);
}

static const char *
ref_name(struct buf *b, const char *place, const char *branch)
{
	buf_clear(b);
	buf_addf(b, "%s#%s", place, branch);
	return buf_str(b);
}

static int
ref_agreed(struct git *g, const char *place, const char *branch, const char *oid, struct err *e)
{
	struct buf name = { 0 };
	int rc = place ? touch_agreed(g->r, PLAN_REF, ref_name(&name, place, branch), oid, e) : -1;

	buf_free(&name);
	return rc;
}

int
git_tree_agreed(struct git *g, const char *tree, struct err *e)
{
	if (!g->r->agreed)
		return 0;
	return git_top_name(g, e) ? touch_agreed(g->r, PLAN_REPO, g->top_name, tree, e) : -1;
}

int
git_head_agreed(struct git *g, const char *oid, struct err *e)
{
	return g->r->agreed ? ref_agreed(g, git_top_name(g, e), "HEAD", oid, e) : 0;
}

int
git_ref_agreed(struct git *g, const char *branch, const char *oid, struct err *e)
{
	return g->r->agreed ? ref_agreed(g, git_place(g, e), branch, oid, e) : 0;
}

static void
note_ref(struct git *g, const char *place, const char *branch, const char *oid,
    void (*note)(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest))
{
	struct buf name = { 0 };

	if (place && oid[0])
		note(g->r, PLAN_REF, ref_name(&name, place, branch), oid);
	buf_free(&name);
}

static void
note_local(struct git *g, const char *branch, const char *oid,
    void (*note)(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest))
{
	struct err none = { 0 };

	if (!notes_wanted(g->r))
		return;
	if (branch[0])
		note_ref(g, git_place(g, &none), branch, oid, note);
	else
		note_ref(g, git_top_name(g, &none), "HEAD", oid, note);
}

void
git_note_read(struct git *g, const char *branch, const char *oid)
{
	note_local(g, branch, oid, note_read);
}

void
git_note_write(struct git *g, const char *branch, const char *oid)
{
	note_local(g, branch, oid, note_write);
}

/* The raw ones, as git will use them; they may hold a password, so they are not shown. */
struct urls {
	char v[MAX_URLS][MAX_URL];
	size_t n;
};

static int
read_urls(struct git *g, const char *remote, bool push, struct urls *u, struct err *e)
{
	const char *const args[] = { "remote", "get-url", "--all", push ? "--push" : "--", push ? "--" : remote,
		push ? remote : NULL, NULL };
	char *rest, *line;

	u->n = 0;
	if (git_exec(g, args, 65536, e))
		return err_field(e, ERR_NOT_FOUND, "params.remote", remote, "the name of a remote");
	for (rest = g->end.out.data; rest && (line = strtok_r(rest, "\n", &rest)); u->n++) {
		if (u->n == MAX_URLS || strlen(line) >= MAX_URL)
			return err_set(e, ERR_TOO_BIG, "remote %s has too many URLs, or one is too long", remote);
		snprintf(u->v[u->n], MAX_URL, "%s", line);
	}
	return u->n ? 0 : err_set(e, ERR_NOT_FOUND, "remote %s has no URL", remote);
}

static bool
is_local(const char *url)
{
	size_t colon = strcspn(url, ":"), slash = strcspn(url, "/");

	return !url[colon] || slash < colon;
}

/* Where the refs of a repository at a path are: itself, its .git, or what `commondir` in that says. */
static char *
local_git_dir(struct git *g, const char *path)
{
	char *at = resolve(g->top_name, path), *git = at ? resolve(at, ".git") : NULL, *common = NULL;
	struct stat st;
	struct buf text = { 0 };

	if (git && stat(git, &st) == 0 && S_ISDIR(st.st_mode)) {
		free(at);
		at = git;
		git = NULL;
	}
	free(git);
	git = at ? resolve(at, "commondir") : NULL;
	if (git && host_file(git, PATH_MAX, &text)) {
		text.data[strcspn(text.data, "\r\n")] = '\0';
		common = resolve(at, text.data);
		free(at);
		at = common;
	}
	buf_free(&text);
	free(git);
	return at;
}

static const char *
local_path(const char *url)
{
	if (strncmp(url, "file://", 7) == 0)
		return url + 7;
	return is_local(url) ? url : NULL;
}

static char *
url_place(struct git *g, const char *url, struct err *e)
{
	char *place = NULL;

	if (!git_top_name(g, e))
		return NULL;
	place = local_path(url) ? local_git_dir(g, local_path(url)) : place_url(url);
	if (place && local_path(url))
		place = without_git(place);
	if (!place)
		err_set(e, ERR_DENIED, "where the remote is cannot be told");
	return place;
}

/* "<commit>\trefs/heads/<branch>" */
static int
read_tip(struct git *g, const char *url, const char *branch, char tip[GIT_OID], struct err *e)
{
	char ref[GIT_NAME + 16];
	int code;

	snprintf(ref, sizeof ref, "refs/heads/%s", branch);
	code = GIT(g, e, "ls-remote", "--quiet", "--", url, ref);
	tip[0] = '\0';
	if (code)
		return code < 0 ? -1 : git_failed(g, "cannot ask the remote", e);
	for (char *rest = g->end.out.data, *line; rest && (line = strtok_r(rest, "\n", &rest));) {
		size_t n = strcspn(line, "\t");

		if (line[n] && n < GIT_OID && strcmp(line + n + 1, ref) == 0)
			snprintf(tip, GIT_OID, "%.*s", (int)n, line);
	}
	return 0;
}

static int
touch_remote_links(struct git *g, const char *url, struct plan *p, struct err *e)
{
	char *dir = local_git_dir(g, local_path(url));
	int rc = dir ? touch_links_of(p, dir, e) : err_set(e, ERR_IO, "where the remote is cannot be told");

	free(dir);
	return rc;
}

int
git_touch_remote(struct git *g, const struct git_remote *r, bool push, struct plan *p,
    enum plan_access access, char tip[GIT_OID], struct err *e)
{
	struct urls *u = xcalloc(1, sizeof *u);
	int rc = read_urls(g, r->name, push, u, e);

	for (size_t i = 0; rc == 0 && i < u->n; i++) {
		char there[GIT_OID], *place = url_place(g, u->v[i], e);

		rc = place ? read_tip(g, u->v[i], r->branch, there, e) : -1;
		if (rc == 0)
			rc = plan_touch_ref(p, access, place, r->branch, there, e);
		if (rc == 0 && access == PLAN_WRITES && local_path(u->v[i]))
			rc = touch_remote_links(g, u->v[i], p, e);
		if (rc == 0 && i == 0)
			memcpy(tip, there, GIT_OID);
		free(place);
		if (!push)
			break;  /* a fetch asks only the first one */
	}
	free(u);
	return rc;
}

int
git_remote_agreed(struct git *g, const struct git_remote *r, const char *oid, struct err *e)
{
	struct urls *u;
	char *place = NULL;
	int rc;

	if (!g->r->agreed)
		return 0;
	u = xcalloc(1, sizeof *u);
	rc = read_urls(g, r->name, false, u, e);
	if (rc == 0)
		place = url_place(g, u->v[0], e);
	rc = place ? ref_agreed(g, place, r->branch, oid, e) : -1;
	free(place);
	free(u);
	return rc;
}

int
git_prove_remote(struct git *g, const struct git_remote *r, const char *oid, struct err *e)
{
	struct urls *u = xcalloc(1, sizeof *u);
	int rc = read_urls(g, r->name, true, u, e);

	for (size_t i = 0; rc == 0 && i < u->n; i++) {
		char there[GIT_OID], *place = url_place(g, u->v[i], e);
		struct buf name = { 0 };

		rc = place ? read_tip(g, u->v[i], r->branch, there, e) : -1;
		if (rc == 0)
			rc = note_check(g->r, "remote_ref", ref_name(&name, place, r->branch),
			    strcmp(there, oid) == 0, there, oid, e);
		buf_free(&name);
		free(place);
	}
	free(u);
	return rc;
}

static void
note_urls(struct git *g, const char *remote, bool push, const char *branch, const char *oid,
    void (*note)(struct tool_run *r, enum plan_kind kind, const char *name, const char *digest))
{
	struct urls *u;
	struct err none = { 0 };

	if (!notes_wanted(g->r))
		return;
	u = xcalloc(1, sizeof *u);
	if (read_urls(g, remote, push, u, &none) == 0)
		for (size_t i = 0; i < (push ? u->n : 1); i++) {
			char *place = url_place(g, u->v[i], &none);

			note_ref(g, place, branch, oid, note);
			free(place);
		}
	free(u);
}

void
git_note_remote(struct git *g, const char *remote, const char *branch, const char *oid)
{
	note_urls(g, remote, false, branch, oid, note_read);
}

void
git_note_name(struct git *g, const char *name, const char *oid)
{
	struct err none = { 0 };
	char full[2 * GIT_NAME], *branch;

	if (!notes_wanted(g->r) || GIT(g, &none, "rev-parse", "--symbolic-full-name", "--end-of-options", name))
		return;
	/* Some versions print the option itself first. */
	branch = g->end.out.data ? strstr(g->end.out.data, "refs/") : NULL;
	snprintf(full, sizeof full, "%.*s", branch ? (int)strcspn(branch, "\n") : 0, branch ? branch : "");
	if (strcmp(name, "HEAD") == 0)
		git_note_read(g, "", oid);
	if (strncmp(full, "refs/heads/", 11) == 0)
		git_note_read(g, full + 11, oid);
	if (strncmp(full, "refs/remotes/", 13) == 0 && (branch = strchr(full + 13, '/'))) {
		*branch = '\0';
		git_note_remote(g, full + 13, branch + 1, oid);
	}
}

void
git_note_pushed(struct git *g, const struct git_remote *r, const char *oid)
{
	note_urls(g, r->name, true, r->branch, oid, note_write);
}

int
git_prove_ref(struct git *g, const char *branch, const char *oid, struct err *e)
{
	const char *place = branch[0] ? git_place(g, e) : git_top_name(g, e);
	struct buf name = { 0 };
	char now[GIT_OID] = "";
	bool holds;
	int rc;

	if (!place)
		return -1;
	holds = oid[0] && (branch[0] ? git_lookup_branch(g, branch, now) : git_lookup(g, "HEAD", now));
	holds = holds && (strcmp(now, oid) == 0 || git_is_ancestor(g, oid, now));
	rc = note_check(g->r, "commit", ref_name(&name, place, branch[0] ? branch : "HEAD"), holds, now, oid, e);
	buf_free(&name);
	return rc;
}

void
git_show(struct git *g, struct plan *p, const char *const *args)
{
	struct err e = { 0 };

	if (!p->wants_dry_run)
		return;
	if (git_exec(g, args, PLAN_DRY_RUN_MAX, &e) == 0) {
		plan_show(p, buf_str(&g->end.out), g->end.out.len);
		p->left_out += g->end.out_total - g->end.out.len;
	} else {
		git_failed(g, "cannot be shown", &e);
		plan_showf(p, "(%s)\n", e.msg);
	}
}

/* With its time: by that git knows which files may have changed since without a trace in the index. */
static int
copy_index(const char *from, const char *to, struct err *e)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	char *block = xmalloc(65536);
	struct stat st;
	int64_t total = 0;
	ssize_t n = in < 0 ? 0 : 1;
	int rc = in < 0 && errno == ENOENT ? 0 : in < 0 || out < 0 ? -1 : 0;

	while (rc == 0 && n > 0 && total <= MAX_INDEX) {
		n = read(in, block, 65536);
		if (n < 0 || (n > 0 && write(out, block, (size_t)n) != n))
			rc = -1;
		total += n;
	}
	if (rc == 0 && in >= 0 && (fstat(in, &st) || futimens(out, (struct timespec[]){ st.st_atim, st.st_mtim })))
		rc = -1;
	if (rc || total > MAX_INDEX)
		rc = err_set(e, ERR_IO, "cannot copy the index: %s", total > MAX_INDEX ? "too large" : strerror(errno));
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	free(block);
	return rc;
}

/* One path of the repository, asked of git, absolute. */
static char *
git_path(struct git *g, const char *name, struct err *e)
{
	char *path = NULL;

	if (git_top_name(g, e) && GIT(g, e, "rev-parse", "--git-path", name) == 0)
		path = resolve(g->top_name, git_line(g));
	if (!path)
		err_set(e, ERR_IO, "%s: its %s cannot be found", g->repo, name);
	return path;
}

int
git_try(struct git *g, char dir[GIT_TRY], struct err *e)
{
	char *index = git_path(g, "index", e), *objects = index ? git_path(g, "objects", e) : NULL;
	const char *temp = scratch_dir();
	char copy[GIT_TRY + 16], store[GIT_TRY + 16];
	int rc = -1;

	snprintf(dir, GIT_TRY, "%s/uw-plan-XXXXXX", temp ? temp : "/tmp");
	if (!objects || !mkdtemp(dir)) {
		dir[0] = '\0';
		if (objects)
			err_set(e, ERR_IO, "cannot make a temporary directory: %s", strerror(errno));
	} else {
		snprintf(copy, sizeof copy, "%s/index", dir);
		snprintf(store, sizeof store, "%s/objects", dir);
		rc = mkdir(store, 0700) ? err_set(e, ERR_IO, "%s: %s", store, strerror(errno)) :
		    copy_index(index, copy, e);
	}
	if (rc == 0) {
		git_env(g, "GIT_INDEX_FILE", copy);
		git_env(g, "GIT_OBJECT_DIRECTORY", store);
		git_env(g, "GIT_ALTERNATE_OBJECT_DIRECTORIES", objects);
	}
	free(index);
	free(objects);
	return rc;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

void
git_untry(const char *dir)
{
	if (dir[0])
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
