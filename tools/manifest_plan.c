/*
 * Plans and proofs of own tools: what their manifests say, with parameters put in where ${name} stands.
 *
 * A template may only name parameters that are always there, so that nothing is left open by leaving one out.
 * Files are looked at beneath the roots and where the manifest lets the program write, nowhere else: what a
 * parameter holds was written by somebody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "clock.h"
#include "digest.h"
#include "git.h"
#include "http.h"
#include "manifest_impl.h"
#include "notes.h"
#include "param.h"
#include "place.h"
#include "service.h"
#include "spot.h"

#define TREE_MAX 20000          /* files of a directory that is digested */
#define RESULT "result."

static const cJSON *
member(const cJSON *obj, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(obj, name);
}

/* The next ${name} in text: where it begins, and its name. NULL at the end; *bad if one is not closed. */
static const char *
next_name(const char *text, char *name, size_t size, bool *bad)
{
	const char *at = strstr(text, "${"), *end = at ? strchr(at, '}') : NULL;

	*bad = at && (!end || (size_t)(end - at - 2) >= size || end == at + 2);
	if (!at || *bad)
		return NULL;
	snprintf(name, size, "%.*s", (int)(end - at - 2), at + 2);
	return at;
}

static bool
is_always_there(const cJSON *parameters, const char *name)
{
	const cJSON *one, *p = member(member(parameters, "properties"), name);

	cJSON_ArrayForEach(one, member(parameters, "required"))
		if (cJSON_IsString(one) && strcmp(one->valuestring, name) == 0)
			return p != NULL;
	return p && member(p, "default");
}

static int
check_template(const cJSON *doc, const char *field, const char *text, bool result, struct err *e)
{
	char name[128];
	bool bad;

	for (const char *at = text; (at = next_name(at, name, sizeof name, &bad)); at += 2) {
		if (result && strncmp(name, RESULT, strlen(RESULT)) == 0)
			continue;
		if (!is_always_there(member(doc, "parameters"), name))
			return err_field(e, ERR_INVALID, field, text,
			    "${%s} to be a parameter that is required or has a default", name);
	}
	return bad ? err_field(e, ERR_INVALID, field, text, "each ${ to be followed by a name and }") : 0;
}

static int
check_templates(const cJSON *doc, const char *key, const cJSON *list, bool result, struct err *e)
{
	const cJSON *one;
	int i = 0;

	cJSON_ArrayForEach(one, list) {
		char field[64];

		snprintf(field, sizeof field, "%s.%d", key, i++);
		if (check_template(doc, field, one->valuestring, result, e))
			return -1;
	}
	return 0;
}

/* What each check needs, and nothing else. */
static const struct {
	const char *check;
	const char *needs[4];
} checks[] = {
	{ "file_exists", { "path" } },
	{ "file_hash", { "path", "sha256" } },
	{ "commit", { "repo", "branch", "commit" } },
	{ "service_active", { "service" } },
	{ "exec", { "args" } },
};

static const char *const *
needs_of(const char *check)
{
	size_t i = 0;

	while (strcmp(checks[i].check, check) != 0)
		i++;
	return checks[i].needs;
}

static bool
is_listed(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static int
check_proof(const cJSON *doc, const cJSON *p, int i, struct err *e)
{
	const char *const *needs = needs_of(member(p, "check")->valuestring);
	char field[64];
	const cJSON *m;

	for (const char *const *n = needs; *n; n++) {
		snprintf(field, sizeof field, "proof.%d.%s", i, *n);
		if (!member(p, *n))
			return err_field(e, ERR_MISSING, field, "nothing", "a value, for %s",
			    member(p, "check")->valuestring);
	}
	cJSON_ArrayForEach(m, p) {
		snprintf(field, sizeof field, "proof.%d.%.32s", i, m->string);
		if (strcmp(m->string, "check") != 0 && !is_listed(needs, m->string))
			return err_field(e, ERR_INVALID, field, m->string, "no such member for %s",
			    member(p, "check")->valuestring);
		if (cJSON_IsArray(m) ? check_templates(doc, field, m, true, e) :
		    check_template(doc, field, m->valuestring, true, e))
			return -1;
	}
	return 0;
}

int
own_check_plan(const cJSON *doc, struct err *e)
{
	const cJSON *one, *touches = member(doc, "touches");
	int i = 0;

	if (member(doc, "dry_run") && !touches)
		return err_field(e, ERR_MISSING, "touches", "nothing", "a list (it may be empty), for dry_run");
	cJSON_ArrayForEach(one, touches) {
		char field[64];

		snprintf(field, sizeof field, "touches.%d.name", i++);
		if (check_template(doc, field, member(one, "name")->valuestring, false, e))
			return -1;
	}
	if (check_templates(doc, "dry_run", member(doc, "dry_run"), false, e))
		return -1;
	i = 0;
	cJSON_ArrayForEach(one, member(doc, "proof"))
		if (check_proof(doc, one, i++, e))
			return -1;
	return 0;
}

static int
put_value(struct buf *out, const char *name, const cJSON *v, struct err *e)
{
	if (cJSON_IsString(v))
		buf_adds(out, v->valuestring);
	else if (cJSON_IsNumber(v) || cJSON_IsBool(v))
		json_put_tree(out, v);
	else
		return err_set(e, ERR_INVALID, "${%s} is no text, number, true or false", name);
	return 0;
}

/* The text with its values; result may be NULL. The caller frees; NULL with e. */
static char *
expand(const char *text, const cJSON *params, const cJSON *result, struct err *e)
{
	struct buf out = { .max = 65536 };
	char name[128];
	const char *at;
	bool bad;

	while ((at = next_name(text, name, sizeof name, &bad))) {
		size_t n = strlen(RESULT);
		const cJSON *v = strncmp(name, RESULT, n) == 0 ? member(result, name + n) : member(params, name);
		size_t before;

		buf_add(&out, text, (size_t)(at - text));
		before = out.len;
		/* json_put_tree() works out commas by what stands before. */
		buf_addc(&out, ':');
		if (put_value(&out, name, v, e)) {
			buf_free(&out);
			return NULL;
		}
		memmove(out.data + before, out.data + before + 1, out.len - before - 1);
		buf_cut(&out, out.len - 1);
		text = strchr(at, '}') + 1;
	}
	buf_adds(&out, text);
	if (out.full) {
		buf_free(&out);
		err_set(e, ERR_TOO_BIG, "a parameter is too long for what the manifest puts it into");
		return NULL;
	}
	return buf_take(&out);
}

/* Beneath a root, or where the program may write. -1 if it is elsewhere or cannot be opened; errno is set for
 * what does not exist. */
static int
open_known(const struct tool_run *r, const char *path)
{
	struct err none = { 0 };
	const char *const *writes = r->tool->manifest->writes;
	int fd = path_open(&r->env->roots, "path", path, O_RDONLY, 0, &none);

	if (fd >= 0)
		return fd;
	errno = none.code == ERR_NOT_FOUND ? ENOENT : EACCES;
	for (; none.code == ERR_PATH && *writes; writes++) {
		char *real = spot_resolve(*writes);
		bool held = real && spot_holds(real, strlen(real), path, strlen(path));

		free(real);
		if (held)
			return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	return -1;
}

/* All that is beneath a directory: names, permissions to execute and contents. */
struct tree {
	struct digest *d;
	int64_t deadline_ms;
	struct err *e;
	int rc;
};

static int
add_entry(void *arg, const struct file_entry *f)
{
	struct tree *t = arg;
	char hex[FILE_HASH_HEX] = "", to[PATH_MAX];
	struct buf line = { 0 };
	ssize_t n;
	int fd;

	if (S_ISLNK(f->st.st_mode)) {
		n = readlinkat(f->dir, f->name, to, sizeof to);
		file_hash_bytes(to, n > 0 ? (size_t)n : 0, hex);
	} else if (S_ISREG(f->st.st_mode)) {
		fd = openat(f->dir, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		t->rc = fd < 0 ? err_set(t->e, ERR_IO, "%s cannot be read: %s", f->path, strerror(errno)) :
		    file_hash(fd, "sha256", t->deadline_ms, hex, NULL, t->e);
		if (fd >= 0)
			close(fd);
	}
	buf_addf(&line, "%s %d %s ", file_type(f->st.st_mode), (f->st.st_mode & 0100) != 0, hex);
	buf_adds(&line, f->path);
	digest_add(t->d, line.data, line.len + 1);
	buf_free(&line);
	return t->rc;
}

static int
hash_tree(const struct tool_run *r, int fd, const char *name, char hex[FILE_HASH_HEX], struct err *e)
{
	unsigned char md[DIGEST_SIZE];
	struct tree t = { .d = digest_new(), .deadline_ms = r->deadline_ms, .e = e };
	struct file_walk w = { .max_depth = 64, .max_seen = TREE_MAX, .deadline_ms = r->deadline_ms, .hidden = true,
		.visit = add_entry, .arg = &t };

	file_walk(&w, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	if (t.rc == 0 && (w.stopped_by || w.unreadable))
		t.rc = err_set(e, ERR_TOO_BIG, "%s cannot be digested as a whole: %s", name, w.stopped_by ?
		    "too many files or too little time" : "a directory in it cannot be read");
	digest_end(t.d, md);
	digest_format(md, hex);
	digest_free(t.d);
	return t.rc;
}

/* Of a file always, of a directory if it is what the effect is made of. */
static int
digest_path(const struct tool_run *r, const char *name, bool read, char hex[FILE_HASH_HEX], struct err *e)
{
	int fd = open_known(r, name), rc = 0;
	struct stat st;

	hex[0] = '\0';
	if (fd < 0)
		return !read || errno == ENOENT ? 0 : err_set(e, ERR_PATH, "%s is neither beneath a root nor among "
		    "what %s may write", name, r->tool->name);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		rc = file_hash(fd, "sha256", r->deadline_ms, hex, NULL, e);
	else if (read && S_ISDIR(st.st_mode))
		rc = hash_tree(r, fd, name, hex, e);
	close(fd);
	return rc;
}

static int
touch_path(const struct tool_run *r, struct plan *p, enum plan_kind kind, enum plan_access access,
    const char *name, struct err *e)
{
	char hex[FILE_HASH_HEX] = "", *real = spot_resolve(name);
	int rc = real ? 0 : err_set(e, ERR_PATH, "%s is no absolute path that could be looked at", name);

	if (rc == 0 && kind == PLAN_PATH)
		rc = digest_path(r, real, access == PLAN_READS, hex, e);
	if (rc == 0)
		rc = plan_touch(p, kind, access, real, hex, e);
	free(real);
	return rc;
}

/* By all its names where the system tells them. */
static int
touch_service(const struct tool_run *r, struct plan *p, enum plan_access access, const char *name, struct err *e)
{
	struct err none = { 0 };
	struct service s;
	char unit[300];

	if (service_read(name, run_deadline(r, 0), &s, &none) == 0)
		return service_touch(&s, p, access, e);
	place_unit(name, unit, sizeof unit);
	return plan_touch(p, PLAN_SERVICE, access, unit, NULL, e);
}

static int
touch_url(struct plan *p, enum plan_access access, const char *url, struct err *e)
{
	char *place = place_url(url);
	int rc = place ? plan_touch(p, PLAN_URL, access, place, NULL, e) :
	    err_set(e, ERR_INVALID, "%.100s is no URL", url);

	free(place);
	return rc;
}

static int
touch(const struct own *o, const cJSON *t, struct plan *p, struct err *e)
{
	enum plan_access access = strcmp(json_text(t, "access"), "read") == 0 ? PLAN_READS : PLAN_WRITES;
	char *name = expand(json_text(t, "name"), o->params, NULL, e);
	enum plan_kind kind;
	int rc = -1;

	if (!name || plan_kind_parse(json_text(t, "kind"), &kind)) {
		free(name);
		return -1;
	}
	switch (kind) {
	case PLAN_PATH: case PLAN_REPO: rc = touch_path(o->r, p, kind, access, name, e); break;
	case PLAN_SERVICE: rc = touch_service(o->r, p, access, name, e); break;
	case PLAN_URL: rc = touch_url(p, access, name, e); break;
	case PLAN_REF: case PLAN_NKINDS: break;
	}
	free(name);
	return rc;
}

/* Expanded arguments, NULL-ended; what was made of them so far is freed by args_free(). */
static int
args_expand(char *out[MAX_ARGS + 1], const cJSON *list, const cJSON *params, const cJSON *result, struct err *e)
{
	const cJSON *one;
	size_t n = 0;

	cJSON_ArrayForEach(one, list) {
		if (!(out[n] = expand(one->valuestring, params, result, e)))
			return -1;
		out[++n] = NULL;
	}
	return 0;
}

static void
args_free(char *args[MAX_ARGS + 1])
{
	for (size_t i = 0; args[i]; i++)
		free(args[i]);
}

/* A program that says no here would say so later. */
static int
show(struct own *o, struct plan *p, struct err *e)
{
	const struct manifest *m = o->r->tool->manifest;
	char *args[MAX_ARGS + 1] = { NULL };
	struct proc_end end = { 0 };
	int rc = args_expand(args, member(m->doc, "dry_run"), o->params, NULL, e);

	if (rc == 0) {
		own_env(o, "UW_DRY_RUN", "1");
		rc = own_program(o, (const char *const *)(uintptr_t)args, true, PLAN_DRY_RUN_MAX, &end, e);
	}
	if (rc == 0 && (end.signal || end.status))
		rc = own_failed(m, &end, e);
	if (rc == 0) {
		plan_show(p, buf_str(&end.out), end.out.len);
		p->left_out += end.out_total - end.out.len;
	}
	proc_end_release(&end);
	args_free(args);
	return rc;
}

static void
set_target(const struct own *o, struct plan *p)
{
	const struct touch *first = NULL;

	for (size_t i = 0; i < p->n && !first; i++)
		if (p->v[i].access == PLAN_WRITES)
			first = &p->v[i];
	plan_target(p, "%s%s%s", o->r->tool->name, first ? " " : "", first ? first->name : "");
}

int
own_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	const cJSON *doc = r->tool->manifest->doc, *t;
	struct own o;
	int rc = own_open(&o, r, e);

	cJSON_ArrayForEach(t, member(doc, "touches"))
		if (rc == 0)
			rc = touch(&o, t, p, e);
	if (rc == 0 && p->wants_dry_run && member(doc, "dry_run"))
		rc = show(&o, p, e);
	if (rc == 0)
		set_target(&o, p);
	own_close(&o);
	return rc;
}

/* One check, with its texts made. */
struct check {
	struct own *o;
	const cJSON *spec, *result;
	const char *name;
};

static char *
text_of(const struct check *c, const char *member_name, struct err *e)
{
	return expand(json_text(c->spec, member_name), c->o->params, c->result, e);
}

static int
check_file(const struct check *c, struct err *e)
{
	bool hash = strcmp(c->name, "file_hash") == 0;
	char *path = text_of(c, "path", e), *real = path ? spot_resolve(path) : NULL;
	char *expected = hash && path ? text_of(c, "sha256", e) : NULL, hex[FILE_HASH_HEX] = "";
	int fd = real ? open_known(c->o->r, real) : -1, rc = path && (expected || !hash) ? 0 : -1;

	if (rc == 0 && hash && fd >= 0)
		rc = file_hash(fd, "sha256", c->o->r->deadline_ms, hex, NULL, e);
	if (rc == 0 && hash)
		rc = note_check(c->o->r, c->name, path, strcmp(hex, expected) == 0, hex, expected, e);
	else if (rc == 0)
		rc = note_check(c->o->r, c->name, path, fd >= 0, fd >= 0 ? "there" : "", "that it is there", e);
	if (fd >= 0)
		close(fd);
	free(path);
	free(real);
	free(expected);
	return rc;
}

/* The git tools find their repository among the parameters. */
static int
check_commit(const struct check *c, struct err *e)
{
	char *repo = text_of(c, "repo", e), *branch = repo ? text_of(c, "branch", e) : NULL;
	char *commit = branch ? text_of(c, "commit", e) : NULL;
	cJSON *params = cJSON_CreateObject();
	struct tool_run r = *c->o->r;
	struct git g;
	int rc = -1;

	if (commit) {
		cJSON_AddStringToObject(params, "repo_path", repo);
		r.params = params;
		rc = git_open(&g, &r, false, e);
		if (rc == 0)
			rc = git_prove_ref(&g, branch, commit, e);
		git_close(&g);
	}
	cJSON_Delete(params);
	free(repo);
	free(branch);
	free(commit);
	return rc;
}

static int
check_service(const struct check *c, struct err *e)
{
	char *unit = text_of(c, "service", e);
	struct service s;
	int rc = unit ? service_read(unit, c->o->r->deadline_ms, &s, e) : -1;

	if (rc == 0)
		rc = note_check(c->o->r, c->name, s.id, strcmp(s.active, "active") == 0, s.active, "active", e);
	free(unit);
	return rc;
}

static int
check_exec(const struct check *c, struct err *e)
{
	char *args[MAX_ARGS + 1] = { NULL }, found[32];
	struct proc_end end = { 0 };
	int rc = args_expand(args, member(c->spec, "args"), c->o->params, c->result, e);

	if (rc == 0)
		rc = own_program(c->o, (const char *const *)(uintptr_t)args, true, 4096, &end, e);
	if (rc == 0) {
		snprintf(found, sizeof found, end.signal ? "signal %d" : "exit code %d",
		    end.signal ? end.signal : end.status);
		rc = note_check(c->o->r, c->name, c->o->r->tool->manifest->exec, !end.signal && end.status == 0, found,
		    "exit code 0", e);
	}
	proc_end_release(&end);
	args_free(args);
	return rc;
}

static int
check(const struct check *c, struct err *e)
{
	static const struct {
		const char *name;
		int (*run)(const struct check *c, struct err *e);
	} kinds[] = {
		{ "file_exists", check_file }, { "file_hash", check_file }, { "commit", check_commit },
		{ "service_active", check_service }, { "exec", check_exec },
	};
	size_t i = 0;

	while (strcmp(kinds[i].name, c->name) != 0)
		i++;
	return kinds[i].run(c, e);
}

int
own_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	const cJSON *spec;
	struct own o;
	int rc = own_open(&o, r, e);

	if (rc == 0)
		own_env(&o, "UW_PROOF", "1");
	cJSON_ArrayForEach(spec, member(r->tool->manifest->doc, "proof")) {
		struct check c = { .o = &o, .spec = spec, .result = result, .name = json_text(spec, "check") };

		if (rc == 0)
			rc = check(&c, e);
	}
	own_close(&o);
	return rc;
}
