#include "tool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>

#include "digest.h"
#include "log.h"
#include "manifest.h"
#include "schema.h"

/* Every built-in tool, each in its own file. */
#define BUILT_IN_TOOLS(X)     \
	X(artifact_get)       \
	X(artifact_put)       \
	X(disk_usage)         \
	X(file_hash)          \
	X(file_list)          \
	X(file_read)          \
	X(file_search)        \
	X(file_write)         \
	X(git_branch_list)    \
	X(git_checkout)       \
	X(git_commit)         \
	X(git_diff)           \
	X(git_log)            \
	X(git_pull)           \
	X(git_push)           \
	X(git_status)         \
	X(git_worktree)       \
	X(gitea_comment)      \
	X(gitea_create_issue) \
	X(gitea_create_pr)    \
	X(gitea_get_issue)    \
	X(gitea_label)        \
	X(gitea_list_issues)  \
	X(gitea_pr_status)    \
	X(health_check)       \
	X(hermes_run)         \
	X(http_get)           \
	X(http_post)          \
	X(noop)               \
	X(port_check)         \
	X(process_list)       \
	X(service_control)    \
	X(service_status)     \
	X(sync_status)        \
	X(system_info)        \
	X(telemetry_report)   \
	X(wait)

#define X(name) extern const struct tool tool_##name;
BUILT_IN_TOOLS(X)
#undef X

static const struct tool *const built_in[] = {
#define X(name) &tool_##name,
	BUILT_IN_TOOLS(X)
#undef X
};

static const char *const effect_names[TOOL_NEFFECTS] = {
#define X(sym, name) [sym] = name,
	TOOL_EFFECTS(X)
#undef X
};

#define MAX_OWN_TOOLS 1000

struct entry {
	const struct tool *tool;
	struct schema *schema;
	struct tool *own;               /* the same, ours to free; NULL for a built-in */
	char digest[DIGEST_HEX];
};

struct registry {
	struct entry *v;                /* sorted by name */
	size_t n;
	struct digest *digest;
	void (*warn)(const char *msg, void *arg);
	void *arg;
};

const char *
tool_effect_name(enum tool_effect effect)
{
	return effect_names[effect];
}

void
tool_effect_begins(struct tool_run *r)
{
	r->effect_begun = true;
}

void
tool_effect_none(struct tool_run *r)
{
	r->effect_begun = false;
}

void
tool_failed_with(struct tool_run *r, int number, int64_t retry_after_s)
{
	r->failed_with = number;
	r->retry_after_s = retry_after_s;
}

void
tool_progress(const struct tool_run *r, int percent, const char *note)
{
	if (r->progress)
		r->progress(r->arg, percent, note);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->tool->name, ((const struct entry *)b)->tool->name);
}

static struct entry *
entry_find(const struct registry *r, const char *name)
{
	const struct tool wanted = { .name = name };
	const struct entry key = { .tool = &wanted };

	return r->n ? bsearch(&key, r->v, r->n, sizeof *r->v, compare) : NULL;
}

static void
set_digest(struct registry *r, struct entry *x)
{
	const struct tool *t = x->tool;
	const char *parts[] = { t->name, tool_effect_name(t->effect), t->schema, x->own ? "own" : UW_VERSION };
	unsigned char sum[DIGEST_SIZE];

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		digest_add(r->digest, parts[i], strlen(parts[i]) + 1);
	if (t->manifest)
		manifest_digest(t->manifest, r->digest);
	digest_end(r->digest, sum);
	digest_format(sum, x->digest);
}

/* Keeps the order, so that the next one can be looked up; takes own. */
static void
entry_add(struct registry *r, const struct tool *t, struct schema *schema, struct tool *own)
{
	r->v = xrealloc(r->v, (r->n + 1) * sizeof *r->v);
	r->v[r->n] = (struct entry){ .tool = t, .schema = schema, .own = own };
	set_digest(r, &r->v[r->n++]);
	qsort(r->v, r->n, sizeof *r->v, compare);
}

static void
add_built_in(struct registry *r)
{
	for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
		struct err e = { 0 };
		struct schema *s = schema_compile(built_in[i]->schema, strlen(built_in[i]->schema), &e);

		if (!s)
			fatalx("tool %s: its schema is wrong: %s", built_in[i]->name, e.msg);
		assert(!entry_find(r, built_in[i]->name));
		entry_add(r, built_in[i], s, NULL);
	}
}

static void
complain(const struct registry *r, const char *path, const char *why)
{
	char msg[PATH_MAX + 600];

	snprintf(msg, sizeof msg, "tool manifest %s is left out: %s", path, why);
	if (r->warn)
		r->warn(msg, r->arg);
}

static void
add_own(struct registry *r, const char *path)
{
	struct err e = { 0 };
	struct tool *t = manifest_load(path, &e);
	struct schema *s;

	if (!t) {
		complain(r, path, e.msg);
		return;
	}
	if (entry_find(r, t->name)) {
		err_set(&e, ERR_CONFLICT, "there is a tool %s already", t->name);
		complain(r, path, e.msg);
		manifest_free(t);
		return;
	}
	s = schema_compile(t->schema, strlen(t->schema), &e);
	assert(s);      /* manifest_load() has tried */
	entry_add(r, t, s, t);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
is_manifest(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".json") == 0;
}

/* In order of file names, so that of two tools of one name always the same one wins. */
static void
add_directory(struct registry *r, const char *dir)
{
	DIR *d = opendir(dir);
	char *names[MAX_OWN_TOOLS], path[PATH_MAX];
	struct dirent *entry;
	size_t n = 0;

	if (!d) {
		complain(r, dir, strerror(errno));
		return;
	}
	while (n < MAX_OWN_TOOLS && (entry = readdir(d)))
		if (is_manifest(entry->d_name))
			names[n++] = xstrdup(entry->d_name);
	closedir(d);
	qsort(names, n, sizeof *names, by_name);
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		add_own(r, path);
		free(names[i]);
	}
}

struct registry *
registry_new(const struct config *c, void (*warn)(const char *msg, void *arg), void *arg)
{
	struct registry *r = xcalloc(1, sizeof *r);

	r->warn = warn;
	r->arg = arg;
	r->digest = digest_new();
	add_built_in(r);
	for (size_t i = 0; c && i < c->tool_dirs.n; i++)
		add_directory(r, c->tool_dirs.v[i]);
	return r;
}

void
registry_free(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++) {
		schema_free(r->v[i].schema);
		manifest_free(r->v[i].own);
	}
	digest_free(r->digest);
	free(r->v);
	free(r);
}

const struct tool *
registry_find(const struct registry *r, const char *name)
{
	const struct entry *found = entry_find(r, name);

	return found ? found->tool : NULL;
}

size_t
registry_count(const struct registry *r)
{
	return r->n;
}

const struct tool *
registry_at(const struct registry *r, size_t i)
{
	assert(i < r->n);
	return r->v[i].tool;
}

const char *
registry_digest(const struct registry *r, const struct tool *t)
{
	const struct entry *found = entry_find(r, t->name);

	return found ? found->digest : "";
}

int
registry_check(const struct registry *r, const struct tool *t, cJSON *params, struct err *e)
{
	const struct entry *found = entry_find(r, t->name);
	cJSON *none = params ? NULL : cJSON_CreateObject(), *v = params ? params : none;
	char got[64];
	int rc;

	assert(found && found->tool == t);
	if (!cJSON_IsObject(v))
		return err_field(e, ERR_INVALID, "params", json_brief(v, got, sizeof got), "an object");
	rc = schema_check(found->schema, v, e);
	if (rc)
		err_in(e, "params");
	cJSON_Delete(none);
	return rc;
}

void
tool_put(struct buf *b, const struct tool *t)
{
	json_put_open(b, '{');
	json_kv_str(b, "name", t->name);
	json_kv_str(b, "summary", t->summary);
	json_kv_str(b, "effect", tool_effect_name(t->effect));
	json_kv_bool(b, "quick", t->flags & TOOL_QUICK);
	json_kv_int(b, "timeout_s", t->timeout_s);
	json_put_key(b, "retry");
	retry_put(b, t);
	json_put_key(b, "target");
	target_put(b, t);
	json_kv_bool(b, "plans", t->plan || t->effect == TOOL_READ);
	json_kv_bool(b, "proves", t->prove);
	if (t->manifest)
		manifest_put(b, t->manifest);
	else
		json_kv_str(b, "source", "built-in");
	json_kv_raw(b, "parameters", t->schema, strlen(t->schema));
	json_put_close(b, '}');
}
