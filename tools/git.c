#include "git.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <sys/stat.h>

#include "clock.h"
#include "param.h"
#include "tool.h"

#define MAX_CONFIG (1u << 20)
#define MAX_ALTERNATES 5        /* as deep as git itself follows them */
#define MAX_STDERR 8192
#define GRACE_MS 2000

/* The repository leads where it must not. */
#define REFUSE(e, g, ...) err_field(e, ERR_PATH, "params.repo_path", (g)->repo, __VA_ARGS__)

const struct target_rule git_target = { .params = { "repo_path", "remote" } };

/* Where `to`, found in directory `dir`, leads. */
static char *
join(const char *dir, const char *to)
{
	struct buf b = { 0 };

	if (to[0] != '/')
		buf_addf(&b, "%s/", dir);
	buf_adds(&b, to);
	return buf_take(&b);
}

/* The directory must lie beneath the roots. Returns its descriptor or -1. */
static int
open_dir(const struct git *g, const char *path, const char *what, struct err *e)
{
	int fd = path_open(&g->r->env->roots, "repo_path", path, O_RDONLY | O_DIRECTORY, 0, e);

	if (fd < 0 && e->code == ERR_PATH)
		REFUSE(e, g, "a repository whose %s lies beneath the roots too", what);
	return fd;
}

/* A small file of a repository, NULL if there is none. The caller frees. */
static char *
read_small(int dir, const char *name)
{
	char text[PATH_MAX + 16];
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	return n < 0 ? NULL : xstrndup(text, (size_t)n);
}

static char *
trim(char *text)
{
	size_t n = text ? strlen(text) : 0;

	while (n && strchr(" \t\r\n", text[n - 1]))
		text[--n] = '\0';
	return text;
}

/* Symbolic links in a git directory may not lead out of the roots. Takes nothing. */
static int
check_links(const struct git *g, int dir, const char *path, struct err *e)
{
	DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	int rc = 0;

	while (d && rc == 0 && (entry = readdir(d))) {
		struct stat st;
		char *to;
		int fd;

		if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISLNK(st.st_mode))
			continue;
		to = join(path, entry->d_name);
		fd = path_open(&g->r->env->roots, "repo_path", to, O_RDONLY, 0, e);
		if (fd >= 0)
			close(fd);
		else if (e->code == ERR_PATH)
			rc = REFUSE(e, g, "a repository whose %s is no link out of the roots", entry->d_name);
		free(to);
	}
	if (d)
		closedir(d);
	return rc;
}

static int
check_alternates(const struct git *g, int objects, const char *path, int depth, struct err *e)
{
	char *text = read_small(objects, "info/alternates"), *rest = text, *line;
	int rc = 0;

	while (rc == 0 && rest && (line = strtok_r(rest, "\n", &rest))) {
		char *to = line[0] == '#' ? NULL : join(path, line);
		int fd = to ? open_dir(g, to, "alternate object store", e) : -1;

		if (to && (fd < 0 || depth >= MAX_ALTERNATES || check_alternates(g, fd, to, depth + 1, e)))
			rc = e->code == ERR_PATH ? -1 : REFUSE(e, g, "a repository whose alternate %s exists",
			    to);
		if (fd >= 0)
			close(fd);
		free(to);
	}
	free(text);
	return rc;
}

/* The directory that holds objects, refs and config. */
static int
check_common(const struct git *g, int dir, const char *path, struct err *e)
{
	char *objects_path = join(path, "objects");
	int objects = open_dir(g, objects_path, "object store", e);
	int rc = -1;

	if (objects < 0)
		err_wrap(e, "%s is not a usable git repository", g->repo);
	else
		rc = check_links(g, dir, path, e) || check_links(g, objects, objects_path, e) ||
		    check_alternates(g, objects, objects_path, 0, e) ? -1 : 0;
	if (objects >= 0)
		close(objects);
	free(objects_path);
	return rc;
}

static int
check_git_dir(struct git *g, const char *path, bool write, struct err *e)
{
	int dir = open_dir(g, path, "git directory", e), common = -1, rc = -1;
	char *to, *common_path = NULL;

	if (dir < 0)
		return -1;
	to = trim(read_small(dir, "commondir"));
	if (to) {
		common_path = join(path, to);
		common = open_dir(g, common_path, "common directory", e);
	}
	if (write && !(path_is_writable(&g->r->env->roots, path) &&
	    (!common_path || path_is_writable(&g->r->env->roots, common_path))))
		REFUSE(e, g, "a repository beneath a writable root");
	else if (!to)
		rc = check_common(g, dir, path, e);
	else if (common >= 0)
		rc = check_links(g, dir, path, e) || check_common(g, common, common_path, e) ? -1 : 0;
	if (common >= 0)
		close(common);
	close(dir);
	free(to);
	free(common_path);
	return rc;
}

static bool
is_bare(int dir)
{
	return faccessat(dir, "HEAD", F_OK, 0) == 0 && faccessat(dir, "objects", F_OK, 0) == 0 &&
	    faccessat(dir, "refs", F_OK, 0) == 0;
}

static int
no_repository(const struct git *g, struct err *e)
{
	return err_field(e, ERR_NOT_FOUND, "params.repo_path", g->repo,
	    "the top directory of a git repository (there is no .git in it)");
}

/* What GIT_DIR is: .git is a directory, a link to one, or a file that names one. */
static int
find_git_dir(struct git *g, struct err *e)
{
	struct stat st;
	char *text;

	if (fstatat(g->top, ".git", &st, AT_SYMLINK_NOFOLLOW)) {
		g->bare = is_bare(g->top);
		g->git_dir = xstrdup(".");
		return g->bare ? 0 : no_repository(g, e);
	}
	if (!S_ISREG(st.st_mode)) {
		g->git_dir = xstrdup(".git");
		return 0;
	}
	text = trim(read_small(g->top, ".git"));
	if (text && strncmp(text, "gitdir: ", 8) == 0 && text[8])
		g->git_dir = xstrdup(text + 8);
	free(text);
	return g->git_dir ? 0 : no_repository(g, e);
}

void
git_env(struct git *g, const char *name, const char *value)
{
	struct buf b = { 0 };

	if (g->nenv == GIT_MAX_ENV)
		abort();
	buf_addf(&b, "%s=%s", name, value);
	g->env[g->nenv++] = buf_take(&b);
}

static const char *const fixed_env[][2] = {
	{ "PATH", PROC_PATH },
	{ "LC_ALL", "C" },
	{ "GIT_CONFIG_NOSYSTEM", "1" },
	{ "GIT_TERMINAL_PROMPT", "0" },
	{ "GIT_ASKPASS", "" },                  /* empty: not even core.askPass */
	{ "SSH_ASKPASS", "/bin/false" },
	{ "SSH_ASKPASS_REQUIRE", "force" },     /* ssh asks that program, not a terminal */
	{ "GIT_SSH_COMMAND", "ssh" },           /* stronger than core.sshCommand; one word starts no shell */
	{ "GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file" },
	{ "GIT_EDITOR", ":" },
	{ "GIT_SEQUENCE_EDITOR", ":" },
	{ "GIT_PAGER", "cat" },
	{ "GIT_MERGE_AUTOEDIT", "no" },
	{ "GIT_ATTR_NOSYSTEM", "1" },
};

/* Stronger than any config file. */
static const char *const fixed_config[][2] = {
	{ "core.hooksPath", "/dev/null" },
	{ "core.fsmonitor", "false" },
	{ "core.pager", "cat" },
	{ "protocol.ext.allow", "never" },
	{ "safe.directory", "*" },              /* where it lies was checked by us */
	{ "submodule.recurse", "false" },
	{ "fetch.recurseSubmodules", "false" },
	{ "gc.auto", "0" },
	{ "maintenance.auto", "false" },
	{ "i18n.logOutputEncoding", "UTF-8" },
	{ "log.showSignature", "false" },
	{ "diff.orderFile", "/dev/null" },
	{ "color.ui", "false" },
	{ "advice.detachedHead", "false" },
};

/* The config goes in as numbered variables; made once they are counted, in git_exec_in(). */
static void
fill_env(struct git *g)
{
	const char *home = getenv("HOME");
	char email[128];

	for (size_t i = 0; i < sizeof fixed_env / sizeof *fixed_env; i++)
		git_env(g, fixed_env[i][0], fixed_env[i][1]);
	git_env(g, "HOME", home ? home : "/");
	git_env(g, "GIT_DIR", g->git_dir);
	if (!g->bare)
		git_env(g, "GIT_WORK_TREE", ".");
	/* Only used where user.email is not set. */
	snprintf(email, sizeof email, "%s@%s.invalid", g->r->house ? g->r->house : "house",
	    g->r->env->config && g->r->env->config->cluster[0] ? g->r->env->config->cluster : "home");
	git_env(g, "EMAIL", email);
}

#define MAX_ARGS 256
#define NFIXED (sizeof fixed_config / sizeof *fixed_config)

/* "remote: Counting objects:  45% (9/20)": git ends such lines with CR until the last. */
static bool
is_progress(struct git *g, const char *line)
{
	char note[64], *end;

	for (const char *colon = line; (colon = strstr(colon, ": ")); colon++) {
		long percent = strtol(colon + 1, &end, 10);

		if (*end != '%' || percent < 0 || percent > 100)
			continue;
		snprintf(note, sizeof note, "%.*s", (int)(colon - line), line);
		tool_progress(g->r, (int)percent, note);
		return true;
	}
	return false;
}

static void
take_line(struct git *g, char end)
{
	if (g->line.len && !is_progress(g, g->line.data)) {
		buf_addc(&g->line, end);
		g->r->log(g->r->arg, g->line.data, g->line.len);
	}
	buf_clear(&g->line);
}

static void
on_output(void *git, const char *text, size_t len)
{
	struct git *g = git;

	if (!len)
		g->r->log(g->r->arg, text, 0);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n' || text[i] == '\r' || g->line.len >= MAX_STDERR)
			take_line(g, '\n');
		if (text[i] != '\n' && text[i] != '\r')
			buf_addc(&g->line, text[i]);
	}
}

int
git_exec_in(struct git *g, const char *const *args, const char *in, size_t in_len, size_t max_out,
    struct err *e)
{
	const char *argv[MAX_ARGS + 1] = { "git", "--no-pager", "--literal-pathspecs" };
	char config[NFIXED][80];
	size_t n = 3;
	struct proc p = {
		.argv = argv, .env = (const char *const *)(uintptr_t)g->env, .cwd_fd = g->top, .in = in,
		    .in_len = in_len,
		.deadline_ms = g->r->deadline_ms, .grace_ms = GRACE_MS, .max_out = max_out,
		    .max_err = MAX_STDERR,
		.on_output = g->r->log ? on_output : NULL, .live_err_only = true, .arg = g,
	};
	int rc;

	for (size_t i = 0; i < NFIXED; i++) {
		snprintf(config[i], sizeof config[i], "%s=%s", fixed_config[i][0], fixed_config[i][1]);
		argv[n++] = "-c";
		argv[n++] = config[i];
	}
	for (size_t i = 0; args[i]; i++) {
		if (n == MAX_ARGS)
			return err_set(e, ERR_TOO_BIG, "more than %d arguments for git", MAX_ARGS);
		argv[n++] = args[i];
	}
	argv[n] = NULL;
	proc_end_release(&g->end);
	rc = proc_run(&p, &g->end, e);
	if (g->line.len)
		take_line(g, '\n');
	return rc ? -1 : g->end.signal ? 128 + g->end.signal : g->end.status;
}

int
git_exec(struct git *g, const char *const *args, size_t max_out, struct err *e)
{
	return git_exec_in(g, args, NULL, 0, max_out, e);
}

/* Settings of a repository that name a program which could run, beside those overridden above. */
static const char *const programs[] = {
	"filter.*.clean", "filter.*.smudge", "filter.*.process", "merge.*.driver", "remote.*.uploadpack",
	"remote.*.receivepack", "remote.*.vcs", "core.gitproxy", "credential.helper", "credential.*.helper",
	"gpg.program", "gpg.*.program", "gpg.ssh.defaultkeycommand", "core.alternaterefscommand",
	"trailer.*.command", "trailer.*.cmd", "uploadpack.packobjectshook", "submodule.*.update",
};

static int
check_include(const struct git *g, const char *dir, const char *value, struct err *e)
{
	char *to = join(dir, value);
	int fd = value[0] == '~' ? -1 : path_open(&g->r->env->roots, "repo_path", to, O_RDONLY, 0, e);

	free(to);
	if (fd >= 0)
		close(fd);
	else if (value[0] == '~' || e->code == ERR_PATH)
		return REFUSE(e, g, "a repository whose config includes no file outside of the roots (%s)",
		    value);
	return 0;
}

/* GIT_WORK_TREE would win over core.worktree, but what it says matters: work done elsewhere than asked. */
static int
check_worktree(const struct git *g, const char *dir, const char *value, struct err *e)
{
	char *to = join(dir, value);
	int fd = open_dir(g, to, "core.worktree", e);
	struct stat a, b;
	bool same = fd >= 0 && fstat(fd, &a) == 0 && fstat(g->top, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino;

	free(to);
	if (fd >= 0)
		close(fd);
	return same ? 0 : REFUSE(e, g, "a repository whose core.worktree (%s) is repo_path itself", value);
}

static int
check_setting(const struct git *g, const char *dir, const char *key, const char *value, struct err *e)
{
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
		if (fnmatch(programs[i], key, 0) == 0)
			return err_set(e, ERR_DENIED,
			    "the config of %s sets %s, which runs a program; remove it there, "
			    "or set it in the config of the agent's user", g->repo, key);
	if (strcmp(key, "include.path") == 0 || fnmatch("includeif.*.path", key, 0) == 0)
		return check_include(g, dir, value, e);
	if (strcmp(key, "core.worktree") == 0)
		return check_worktree(g, dir, value, e);
	return 0;
}

const char *
git_token(struct git_tokens *t)
{
	const char *at = t->at, *nul = at < t->end ? memchr(at, '\0', (size_t)(t->end - at)) : NULL;

	if (!nul)
		return NULL;
	t->at = nul + 1;
	return at;
}

/* Scope, then "key\nvalue". */
static int
check_config(struct git *g, const char *dir, struct err *e)
{
	int code = git_exec(g, (const char *const[]){ "config", "--includes", "--show-scope", "--list", "-z",
	    NULL },
	    MAX_CONFIG, e);
	struct git_tokens t = { buf_str(&g->end.out), buf_str(&g->end.out) + g->end.out.len };
	const char *scope, *setting;

	if (code)
		return code < 0 ? -1 : git_failed(g, "cannot read the config", e);
	if (g->end.out_total > MAX_CONFIG)
		return err_set(e, ERR_TOO_BIG, "the config of %s has more than %u bytes", g->repo,
		    MAX_CONFIG);
	while ((scope = git_token(&t)) && (setting = git_token(&t))) {
		const char *value = strchr(setting, '\n');
		char key[512];

		if (strcmp(scope, "local") != 0 && strcmp(scope, "worktree") != 0)
			continue;
		snprintf(key, sizeof key, "%.*s", (int)(value ? value - setting : (long)strlen(setting)),
		    setting);
		if (check_setting(g, dir, key, value ? value + 1 : "", e))
			return -1;
	}
	return 0;
}

int
git_open(struct git *g, struct tool_run *r, bool write, struct err *e)
{
	char *dir;
	int rc;

	*g = (struct git){ .r = r, .repo = param_str(r, "repo_path"), .top = -1 };
	if (write && !path_is_writable(&r->env->roots, g->repo))
		return REFUSE(e, g, "a path beneath a writable root");
	g->top = path_open(&r->env->roots, "repo_path", g->repo, O_RDONLY | O_DIRECTORY, 0, e);
	if (g->top < 0 || find_git_dir(g, e))
		return -1;
	dir = join(g->repo, g->git_dir);
	rc = check_git_dir(g, dir, write, e);
	if (rc == 0) {
		fill_env(g);
		rc = check_config(g, dir, e);
	}
	free(dir);
	return rc;
}

void
git_close(struct git *g)
{
	if (g->top >= 0)
		close(g->top);
	for (size_t i = 0; i < g->nenv; i++)
		free(g->env[i]);
	free(g->git_dir);
	free(g->top_name);
	free(g->place);
	proc_end_release(&g->end);
	buf_free(&g->line);
}

/* What git says, what it means to us, and what to do. The first that is found wins. */
static const struct {
	const char *says;
	enum err_code code;
	const char *advice;
} failures[] = {
	{ "not a git repository", ERR_NOT_FOUND, "repo_path must be the top directory of a repository" },
	{ "index.lock", ERR_BUSY, "another git works on it; if none does, a crash left the file: remove it" },
	{ "Unable to create", ERR_BUSY, "another git works on it, or the agent's user may not write there" },
	{ "could not read Username", ERR_DENIED,
	    "the remote wants a login: set up a credential helper or an ssh key for the agent's user" },
	{ "could not read Password", ERR_DENIED,
	    "the remote wants a login: set up a credential helper or an ssh key for the agent's user" },
	{ "Authentication failed", ERR_DENIED,
	    "the remote refuses the login of the agent's user: renew its credentials" },
	{ "Permission denied (", ERR_DENIED,
	    "the remote refuses the ssh key of the agent's user: add it there" },
	{ "Host key verification failed", ERR_DENIED,
	    "add the remote's host key to known_hosts of the agent's user" },
	{ "The requested URL returned error: 403", ERR_DENIED,
	    "the remote does not allow it for this login" },
	{ "transport '", ERR_DENIED, "only https, http, ssh, git and local remotes are used" },
	{ "Could not resolve host", ERR_NETWORK, "check the remote's URL and the network" },
	{ "onnection refused", ERR_NETWORK, "the remote is not reachable now: try again later" },
	{ "onnection timed out", ERR_NETWORK, "the remote is not reachable now: try again later" },
	{ "unable to access", ERR_NETWORK, "check the remote's URL and the network" },
	{ "the remote end hung up", ERR_NETWORK, "try again later" },
	{ "Could not read from remote repository", ERR_NETWORK,
	    "check the remote's URL and the access of the agent's user" },
	{ "couldn't find remote ref", ERR_NOT_FOUND, "the remote has no such branch" },
	{ "does not appear to be a git repository", ERR_NOT_FOUND,
	    "there is no such remote, or nothing at its URL" },
	{ "Please tell me who you are", ERR_WRONG_STATE,
	    "give author_name and author_email, or set user.name and user.email" },
	{ "empty ident name", ERR_WRONG_STATE,
	    "give author_name and author_email, or set user.name and user.email" },
	{ "disallowed characters", ERR_INVALID, "author_name must hold more than punctuation" },
	{ "would be overwritten", ERR_WRONG_STATE,
	    "the working tree has changes of its own there: commit or stash them first" },
	{ "you need to resolve your current index first", ERR_WRONG_STATE, "resolve the conflicts first" },
	{ "is already checked out at", ERR_WRONG_STATE, "another working tree has this branch checked out" },
	{ "is already used by worktree at", ERR_WRONG_STATE,
	    "another working tree has this branch checked out" },
	{ "already exists", ERR_CONFLICT, "choose another name" },
	{ "is not a valid branch name", ERR_INVALID, "choose a name that git allows for a branch" },
	{ "contains modified or untracked files", ERR_WRONG_STATE, "commit what is in it, or take it away" },
	{ "unrelated histories", ERR_WRONG_STATE, "the two have no commit in common" },
	{ "is outside repository", ERR_PATH, "paths are those in the repository" },
	{ "is beyond a symbolic link", ERR_PATH, "paths are those in the repository" },
	{ "did not match any file", ERR_NOT_FOUND, "no such file is known to git" },
	{ "ignored by one of your", ERR_INVALID, "it is ignored by .gitignore" },
	{ "unknown revision", ERR_NOT_FOUND, "no such commit, branch or tag" },
	{ "bad object", ERR_NOT_FOUND, "the repository lacks that object" },
	{ "No space left on device", ERR_IO, "make room on the disk" },
	{ "Permission denied", ERR_IO, "the agent's user may not read or write there" },
};

/* What stands between :// and @ becomes three stars. */
static void
hide_passwords(const char *text, char *out, size_t size)
{
	size_t n = 0;

	while (*text && n + 8 < size) {
		const char *at;

		if (strncmp(text, "://", 3) != 0) {
			out[n++] = (unsigned char)*text < ' ' ? ' ' : *text;
			text++;
			continue;
		}
		memcpy(out + n, "://", 3);
		n += 3;
		text += 3;
		at = text + strcspn(text, "@/ '\"\n");
		if (*at != '@')
			continue;
		memcpy(out + n, "***", 3);
		n += 3;
		text = at;
	}
	out[n] = '\0';
}

/* The lines that matter: from the first "fatal:" or "error:" on, else the last ones. */
static const char *
heart(const char *text)
{
	const char *at = strstr(text, "fatal: "), *other = strstr(text, "error: ");
	size_t n = strlen(text);

	if (other && (!at || other < at))
		at = other;
	return at ? at + 7 : n > 300 ? text + n - 300 : text;
}

int
git_failed(struct git *g, const char *doing, struct err *e)
{
	const char *text = trim(g->end.err.data) ? g->end.err.data : "git says nothing";
	char shown[240];

	hide_passwords(heart(text), shown, sizeof shown);
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		if (strstr(text, failures[i].says))
			return err_set(e, failures[i].code, "%s: %s; %s", doing, shown, failures[i].advice);
	return err_set(e, ERR_TOOL, "%s: %s (exit code %d)", doing, shown, g->end.status);
}

const char *
git_line(struct git *g)
{
	if (g->end.out.data)
		g->end.out.data[strcspn(g->end.out.data, "\n")] = '\0';
	return buf_str(&g->end.out);
}

bool
git_lookup(struct git *g, const char *name, char oid[GIT_OID])
{
	char spec[GIT_NAME + 16];
	struct err none = { 0 };

	oid[0] = '\0';
	if (name[0] == '-' || strlen(name) >= GIT_NAME)
		return false;
	snprintf(spec, sizeof spec, "%s^{commit}", name);
	if (GIT(g, &none, "rev-parse", "--verify", "--quiet", "--end-of-options", spec))
		return false;
	snprintf(oid, GIT_OID, "%s", git_line(g));
	return oid[0];
}

bool
git_lookup_branch(struct git *g, const char *branch, char oid[GIT_OID])
{
	char ref[GIT_NAME + 16];
	struct err none = { 0 };

	oid[0] = '\0';
	snprintf(ref, sizeof ref, "refs/heads/%s", branch);
	if (GIT(g, &none, "show-ref", "--verify", "--hash", "--", ref) == 0)
		snprintf(oid, GIT_OID, "%s", git_line(g));
	return oid[0];
}

int
git_resolve(struct git *g, const char *param, const char *name, char oid[GIT_OID], struct err *e)
{
	char field[64];

	if (git_lookup(g, name, oid))
		return 0;
	snprintf(field, sizeof field, "params.%s", param);
	return err_field(e, ERR_NOT_FOUND, field, name, "a commit, branch or tag of the repository");
}

bool
git_is_ancestor(struct git *g, const char *old, const char *new)
{
	struct err none = { 0 };

	return GIT(g, &none, "merge-base", "--is-ancestor", old, new) == 0;
}

/* As git itself tells them apart: scheme://, host:path (no slash before the colon), else a path. */
static const char *
local_path(const char *url)
{
	size_t colon = strcspn(url, ":"), slash = strcspn(url, "/");

	if (strncmp(url, "file://", 7) == 0)
		return url + 7;
	if (url[colon] && (slash > colon))
		return NULL;
	return url;
}

/* Receiving runs the hooks of the repository that receives: as our user, if it is a local one. */
static int
check_receive_hooks(const char *path, int git_dir, struct err *e)
{
	DIR *d = fdopendir(openat(git_dir, "hooks", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	int rc = 0;

	while (d && rc == 0 && (entry = readdir(d))) {
		size_t n = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || (n > 7 && strcmp(entry->d_name + n - 7, ".sample") == 0) ||
		    faccessat(git_dir, "hooks", X_OK, 0) || faccessat(dirfd(d), entry->d_name, X_OK, 0))
			continue;
		rc = err_set(e, ERR_DENIED,
		    "%s has the hook %s, which would run as the agent's user: give the remote "
		    "an ssh or https URL", path, entry->d_name);
	}
	if (d)
		closedir(d);
	return rc;
}

/* A repository beneath the roots, itself leading nowhere else. */
static int
check_local_remote(struct git *g, const char *path, bool push, struct err *e)
{
	int top = path_open(&g->r->env->roots, "remote", path, O_RDONLY | O_DIRECTORY, 0, e), dir = -1,
	    rc = -1;
	char *git_dir;

	if (top < 0)
		return -1;
	git_dir = is_bare(top) ? xstrdup(path) : join(path, ".git");
	if (push && !path_is_writable(&g->r->env->roots, path))
		err_field(e, ERR_PATH, "params.remote", path, "a remote beneath a writable root");
	else if ((dir = open_dir(g, git_dir, "remote", e)) >= 0)
		rc = check_git_dir(g, git_dir, push, e);
	if (rc == 0 && push)
		rc = check_receive_hooks(path, dir, e);
	if (dir >= 0)
		close(dir);
	close(top);
	free(git_dir);
	return rc;
}

static int
check_url(struct git *g, struct git_remote *r, const char *url, bool push, struct err *e)
{
	const char *path = local_path(url);
	bool first = !r->url[0];
	char *to;
	int rc;

	if (first) {
		hide_passwords(url, r->url, sizeof r->url);
		r->local = path;
	} else if (r->local != (path != NULL)) {
		return err_set(e, ERR_DENIED, "remote %s has local and other URLs: make two remotes of it",
		    r->name);
	}
	if (!path)
		return 0;
	to = join(g->repo, path);
	rc = check_local_remote(g, to, push, e);
	free(to);
	return rc;
}

int
git_remote_check(struct git *g, struct git_remote *r, bool push, struct err *e)
{
	const char *const args[] = { "remote", "get-url", "--all", push ? "--push" : "--", push ? "--" :
	    r->name,
		push ? r->name : NULL, NULL };
	char *text, *rest, *url;
	int code = git_exec(g, args, 65536, e), rc = 0;

	if (code)
		return code < 0 ? -1 : err_field(e, ERR_NOT_FOUND, "params.remote", r->name,
		    "the name of a remote of the repository (git remote lists them)");
	text = rest = xstrdup(buf_str(&g->end.out));
	r->url[0] = '\0';
	while (rc == 0 && (url = strtok_r(rest, "\n", &rest)))
		rc = check_url(g, r, url, push, e);
	free(text);
	return rc;
}

void
git_branch_config(struct git *g, const char *branch, const char *what, char *out, size_t size)
{
	char key[GIT_NAME + 32];
	struct err none = { 0 };

	snprintf(key, sizeof key, "branch.%s.%s", branch, what);
	snprintf(out, size, "%s", GIT(g, &none, "config", "--get", "--", key) == 0 ? git_line(g) : "");
}

const char *
git_in_progress(struct git *g)
{
	static const struct {
		const char *file, *what;
	} marks[] = {
		{ "MERGE_HEAD", "merge" }, { "rebase-merge", "rebase" }, { "rebase-apply", "rebase" },
		{ "CHERRY_PICK_HEAD", "cherry-pick" }, { "REVERT_HEAD", "revert" },
	};

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		char *path = join(g->git_dir, marks[i].file);
		bool there = faccessat(g->top, path, F_OK, 0) == 0;

		free(path);
		if (there)
			return marks[i].what;
	}
	return NULL;
}
