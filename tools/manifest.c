#include "manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "clock.h"
#include "digest.h"
#include "live.h"
#include "manifest_impl.h"
#include "schema.h"
#include "secret.h"

#define MAX_MANIFEST 65536
#define MAX_PARAM 8192          /* bytes of a parameter that is also given as a variable */
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
#define MAX_STDERR 4096
#define GRACE_MS 2000
#define PROGRAM_HASH_MS 10000

const char manifest_schema[] =
    "{\"type\":\"object\",\"required\":[\"name\",\"summary\",\"exec\",\"parameters\",\"effect\"],"
    "\"properties\":{"
    "\"name\":{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9_]{0,47}$\","
    "\"description\":\"The tool's name.\"},"
    "\"summary\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200,\"description\":\"One line for "
    "lists.\"},"
    "\"exec\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024,"
    "\"description\":\"The program: absolute, or relative to the manifest's directory.\"},"
    "\"parameters\":{\"type\":\"object\",\"additionalProperties\":true,"
    "\"description\":\"JSON Schema of the parameters; its type is object.\"},"
    "\"effect\":{\"enum\":[\"read\",\"idempotent\",\"exclusive\"],\"description\":\"What a second run could "
    "do.\"},"
    "\"timeout_s\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":86400,\"default\":60,"
    "\"description\":\"Time a run may take unless its task says otherwise.\"},"
    "\"env\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"maxLength\":4096},"
    "\"default\":{},"
    "\"description\":\"Environment variables and their values.\"},"
    "\"secrets\":{\"type\":\"array\",\"maxItems\":16,\"default\":[],"
    "\"items\":{\"type\":\"string\",\"pattern\":\"^[A-Z][A-Z0-9_]{0,63}$\"},"
    "\"description\":\"Configured secrets that the program gets as environment variables.\"},"
    "\"writes\":{\"type\":\"array\",\"maxItems\":16,\"default\":[],"
    "\"items\":{\"type\":\"string\",\"pattern\":\"^/\",\"maxLength\":1024},"
    "\"description\":\"Directories and files that the program may write beside the roots; absolute.\"},"
    "\"paths\":{\"type\":\"object\",\"additionalProperties\":{\"enum\":[\"read\",\"write\"]},\"default\":{},"
    "\"description\":\"Parameters that are paths: each must lie beneath a root (write: a writable one).\"},"
    "\"touches\":{\"type\":\"array\",\"maxItems\":32,\"items\":{\"type\":\"object\",\"required\":[\"kind\",\"name\"],"
    "\"properties\":{\"kind\":{\"enum\":[\"path\",\"repo\",\"service\",\"url\"]},"
    "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024},"
    "\"access\":{\"enum\":[\"read\",\"write\"],\"default\":\"write\"}}},"
    "\"description\":\"All that a run touches; names may hold ${parameter}.\"},"
    "\"dry_run\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,"
    "\"items\":{\"type\":\"string\",\"maxLength\":1024},"
    "\"description\":\"Arguments with which the program shows what it would do, and does nothing.\"},"
    "\"proof\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"object\","
    "\"required\":[\"check\"],\"properties\":{"
    "\"check\":{\"enum\":[\"file_exists\",\"file_hash\",\"commit\",\"service_active\",\"exec\"]},"
    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024},"
    "\"sha256\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024},"
    "\"repo\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024},"
    "\"branch\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024},"
    "\"commit\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024},"
    "\"service\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024},"
    "\"args\":{\"type\":\"array\",\"maxItems\":16,\"items\":{\"type\":\"string\",\"maxLength\":1024}}}},"
    "\"description\":\"What has to hold after success; texts may hold ${parameter} and ${result.member}.\"},"
    "\"progress\":{\"type\":\"string\",\"pattern\":\"^[!-~]{1,32}$\","
    "\"description\":\"Word that begins lines of progress on standard error: WORD 40 copying.\"},"
    "\"no_effect\":{\"type\":\"array\",\"maxItems\":16,\"default\":[],"
    "\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":255},"
    "\"description\":\"Exit codes by which the program says that it changed nothing.\"},"
    "\"retry\":{\"type\":\"object\",\"default\":{},\"description\":\"Exit codes after which another try is worth it.\","
    "\"properties\":{\"on\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":31,"
    "\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":255}},"
    "\"not\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":31,"
    "\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":255}}}},"
    "\"target\":{\"type\":\"object\",\"required\":[\"param\"],\"properties\":{"
    "\"param\":{\"type\":\"string\"},\"url\":{\"type\":\"boolean\"},"
    "\"down\":{\"type\":\"array\",\"maxItems\":16,"
    "\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":255}}},"
    "\"description\":\"What it needs, by a parameter.\"},"
    "\"limits\":{\"type\":\"object\",\"default\":{},\"description\":\"Limits of one run; 0: none of its "
    "own.\","
    "\"properties\":{"
    "\"max_output_bytes\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":16777216,\"default\":0},"
    "\"memory_bytes\":{\"type\":\"integer\",\"minimum\":0,\"default\":0},"
    "\"cpu_s\":{\"type\":\"integer\",\"minimum\":0,\"default\":0},"
    "\"file_bytes\":{\"type\":\"integer\",\"minimum\":0,\"default\":0},"
    "\"open_files\":{\"type\":\"integer\",\"minimum\":0,\"default\":0}}}}}";

static const cJSON *
member(const cJSON *obj, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(obj, name);
}

static int64_t
number(const cJSON *obj, const char *name)
{
	int64_t n = 0;

	json_int(member(obj, name), &n);
	return n;
}

static void
manifest_release(struct manifest *m)
{
	cJSON_Delete(m->doc);
	free(m->source);
	free(m->exec);
	free(m->schema);
	free(m);
}

void
manifest_free(struct tool *t)
{
	if (t)
		manifest_release((struct manifest *)(uintptr_t)t->manifest);
}

static int
check_against(const char *schema, cJSON *doc, struct err *e)
{
	struct schema *s = schema_compile(schema, strlen(schema), e);
	int rc = s ? schema_check(s, doc, e) : -1;

	schema_free(s);
	return rc;
}

static int
check_parameters(const char *text, const cJSON *parameters, struct err *e)
{
	const cJSON *type = member(parameters, "type");
	struct schema *s = schema_compile(text, strlen(text), e);
	char got[64];

	if (!s) {
		err_in(e, "parameters");
		return e->field[0] ? -1 : err_wrap(e, "parameters");
	}
	schema_free(s);
	if (!cJSON_IsString(type) || strcmp(type->valuestring, "object") != 0)
		return err_field(e, ERR_INVALID, "parameters.type", json_brief(type, got, sizeof got),
		    "\"object\"");
	return 0;
}

/* Every name under "paths" is a parameter. */
static int
check_paths(const cJSON *doc, struct err *e)
{
	const cJSON *properties = member(member(doc, "parameters"), "properties"), *m;
	char field[96];

	cJSON_ArrayForEach(m, member(doc, "paths")) {
		if (member(properties, m->string))
			continue;
		snprintf(field, sizeof field, "paths.%s", m->string);
		return err_field(e, ERR_INVALID, field, m->string, "the name of a parameter");
	}
	return 0;
}

static int
check_target(const cJSON *doc, struct err *e)
{
	const cJSON *param = member(member(doc, "target"), "param");

	if (!param || member(member(member(doc, "parameters"), "properties"), param->valuestring))
		return 0;
	return err_field(e, ERR_INVALID, "target.param", param->valuestring, "the name of a parameter");
}

/* A name that the program's loader or our own variables use would be a trap. */
static int
check_env(const cJSON *doc, struct err *e)
{
	const cJSON *m;
	size_t n = 0;
	char field[96];

	cJSON_ArrayForEach(m, member(doc, "env")) {
		const char *k = m->string;

		snprintf(field, sizeof field, "env.%.64s", k);
		if (++n > 64)
			return err_field(e, ERR_INVALID, "env", "more", "at most 64 variables");
		if (!k[0] || strspn(k, NAME_CHARS) != strlen(k) ||
		    strncmp(k, "UW_", 3) == 0)
			return err_field(e, ERR_INVALID, field, k,
			    "a variable's name that does not begin with UW_");
	}
	return 0;
}

static enum tool_effect
effect_of(const char *name)
{
	int i = 0;

	while (strcmp(tool_effect_name((enum tool_effect)i), name) != 0)
		i++;
	return (enum tool_effect)i;
}

static int own_run(struct tool_run *r, struct buf *result, struct err *e);

/* The schema has looked at number and range. */
static void
read_codes(const cJSON *list, short *out)
{
	const cJSON *v;
	size_t n = 0;

	cJSON_ArrayForEach(v, list)
		out[n++] = (short)v->valueint;
}

static void
manifest_fill(struct manifest *m, const char *dir, const char *source)
{
	const cJSON *limits = member(m->doc, "limits");
	const char *exec = member(m->doc, "exec")->valuestring;
	const cJSON *one;
	struct buf b = { 0 };
	size_t n = 0;

	m->source = xstrdup(source);
	cJSON_ArrayForEach(one, member(m->doc, "writes"))
		m->writes[n++] = one->valuestring;
	if (exec[0] != '/')
		buf_addf(&b, "%s/", dir);
	buf_adds(&b, exec);
	m->exec = buf_take(&b);
	m->limits = (struct proc_limits){
		.memory_bytes = number(limits, "memory_bytes"),
		.cpu_s = number(limits, "cpu_s"),
		.file_bytes = number(limits, "file_bytes"),
		.open_files = number(limits, "open_files"),
	};
	m->max_output = number(limits, "max_output_bytes");
	read_codes(member(member(m->doc, "retry"), "on"), m->retry.on);
	read_codes(member(member(m->doc, "retry"), "not"), m->retry.not);
	read_codes(member(member(m->doc, "target"), "down"), m->target.down);
	m->target.params[0] = cJSON_GetStringValue(member(member(m->doc, "target"), "param"));
	m->target.url = cJSON_IsTrue(member(member(m->doc, "target"), "url"));
	m->tool = (struct tool){
		.name = member(m->doc, "name")->valuestring,
		.summary = member(m->doc, "summary")->valuestring,
		.schema = m->schema,
		.effect = effect_of(member(m->doc, "effect")->valuestring),
		.timeout_s = (int)number(m->doc, "timeout_s"),
		.run = own_run,
		.plan = member(m->doc, "touches") ? own_plan : NULL,
		.prove = member(m->doc, "proof") ? own_prove : NULL,
		.retry = &m->retry,
		.target = m->target.params[0] ? &m->target : NULL,
		.manifest = m,
	};
}

struct tool *
manifest_parse(const char *text, size_t len, const char *dir, const char *source, struct err *e)
{
	struct manifest *m = xcalloc(1, sizeof *m);
	struct buf b = { .max = MAX_MANIFEST };

	if (len > MAX_MANIFEST) {
		err_set(e, ERR_TOO_BIG, "%zu bytes; at most %d are allowed", len, MAX_MANIFEST);
		goto fail;
	}
	m->doc = json_parse_object(text, len, e);
	if (!m->doc || check_against(manifest_schema, m->doc, e))
		goto fail;
	json_put_tree(&b, member(m->doc, "parameters"));
	m->schema = buf_take(&b);
	if (check_parameters(m->schema, member(m->doc, "parameters"), e) || check_paths(m->doc, e) ||
	    check_target(m->doc, e) || check_env(m->doc, e) || own_check_plan(m->doc, e))
		goto fail;
	manifest_fill(m, dir, source);
	return &m->tool;
fail:
	manifest_release(m);
	return NULL;
}

static int
file_read(const char *path, struct buf *b, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -1;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0)
		return err_set(e, ERR_IO, "cannot be read: %s", strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		err_set(e, ERR_CONFIG, "not a regular file");
	} else if (st.st_mode & S_IWOTH) {
		err_set(e, ERR_CONFIG, "everybody may write it; run chmod o-w on it");
	} else if (st.st_size > MAX_MANIFEST) {
		err_set(e, ERR_TOO_BIG, "%lld bytes; at most %d are allowed", (long long)st.st_size,
		    MAX_MANIFEST);
	} else {
		while (n > 0 && buf_reserve(b, 8192))
			if ((n = read(fd, b->data + b->len, 8192)) > 0)
				b->len += (size_t)n;
		rc = n == 0 ? 0 : err_set(e, ERR_IO, "cannot be read: %s",
		    n < 0 ? strerror(errno) : "it grows");
	}
	close(fd);
	return rc;
}

static int
check_program(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st))
		return err_field(e, ERR_NOT_FOUND, "exec", path, "an executable file (%s)", strerror(errno));
	if (!S_ISREG(st.st_mode) || access(path, X_OK))
		return err_field(e, ERR_INVALID, "exec", path, "an executable file");
	if (st.st_mode & S_IWOTH)
		return err_field(e, ERR_INVALID, "exec", path,
		    "a program that not everybody may write (chmod o-w)");
	return 0;
}

/* One that may be run and not read has none. */
static void
hash_program(const struct manifest *m, char hex[FILE_HASH_HEX])
{
	int fd = open(m->exec, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int64_t total;
	struct err e;

	if (fd < 0 || file_hash(fd, "sha256", clock_mono_ms() + PROGRAM_HASH_MS, hex, &total, &e))
		hex[0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* What was decided was about a tool with this program; another one in its place is another tool. */
static int
check_same_program(struct tool_run *r, struct err *e)
{
	const struct manifest *m = r->tool->manifest;
	char now[FILE_HASH_HEX];

	if (!r->notes || !m->program[0] || r->tool->effect == TOOL_READ)
		return 0;
	hash_program(m, now);
	/* The worker's own user may be one who can run it and not read it. */
	if (strcmp(now, m->program) == 0 || (!now[0] && access(m->exec, R_OK)))
		return 0;
	r->refused = true;
	return err_set(e, ERR_DENIED, "%s was changed since this agent read its manifest: restart the agent, and ask "
	    "again", m->exec);
}

struct tool *
manifest_load(const char *path, struct err *e)
{
	struct buf b = { .max = MAX_MANIFEST + 16384 };
	const char *slash = strrchr(path, '/');
	char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	struct tool *t = NULL;

	if (file_read(path, &b, e) == 0)
		t = manifest_parse(buf_str(&b), b.len, dir, path, e);
	if (t && check_program(t->manifest->exec, e)) {
		manifest_free(t);
		t = NULL;
	}
	if (t)
		hash_program(t->manifest, ((struct manifest *)(uintptr_t)t->manifest)->program);
	free(dir);
	buf_free(&b);
	return t;
}

void
manifest_digest(const struct manifest *m, struct digest *d)
{
	char *text = cJSON_PrintUnformatted(m->doc);

	digest_add(d, text, strlen(text) + 1);
	digest_add(d, m->program, strlen(m->program) + 1);
	cJSON_free(text);
}

const char *const *
manifest_writes(const struct manifest *m)
{
	return m->writes;
}

void
manifest_put(struct buf *b, const struct manifest *m)
{
	static const char *const names[] = { "secrets", "paths", "writes", "progress", "no_effect", "limits", "touches",
		"dry_run", "proof" };

	json_kv_str(b, "source", m->source);
	json_kv_str(b, "exec", m->exec);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!member(m->doc, names[i]))
			continue;
		json_put_key(b, names[i]);
		json_put_tree(b, member(m->doc, names[i]));
	}
}

void
own_env(struct own *o, const char *name, const char *value)
{
	struct buf b = { 0 };

	if (o->nenv == MAX_ENV)
		return;
	buf_addf(&b, "%s=%s", name, value ? value : "");
	o->env[o->nenv++] = buf_take(&b);
}

static void
env_add_roots(struct own *o, const char *name, const struct path_roots *roots, bool writable)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < roots->n; i++)
		if (roots->v[i].writable == writable)
			buf_addf(&b, "%s%s", b.len ? ":" : "", roots->v[i].path);
	own_env(o, name, buf_str(&b));
	buf_free(&b);
}

static int
env_add_secrets(struct own *o, const struct manifest *m, const struct config *c, struct err *e)
{
	const cJSON *name;

	cJSON_ArrayForEach(name, member(m->doc, "secrets")) {
		const char *value = c ? config_secret_value(c, name->valuestring) : NULL;

		if (!value)
			return err_set(e, ERR_CONFIG,
			    "secret %s is not configured; %s needs it (see secrets in %s)",
			    name->valuestring, m->tool.name, c && c->path ? c->path : "the configuration");
		own_env(o, name->valuestring, value);
	}
	return 0;
}

/* Scripts have no JSON reader: plain values come as variables too. Long ones stay on standard input. */
static void
env_add_params(struct own *o)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, o->params) {
		char name[96], text[64];
		int n = snprintf(name, sizeof name, "UW_PARAM_%s", v->string);

		if (n >= (int)sizeof name || strspn(name, NAME_CHARS) != (size_t)n)
			continue;
		if (cJSON_IsString(v) && strlen(v->valuestring) <= MAX_PARAM)
			own_env(o, name, v->valuestring);
		else if (cJSON_IsBool(v) || cJSON_IsNumber(v))
			own_env(o, name, json_brief(v, text, sizeof text));
	}
}

static int
env_fill(struct own *o, struct err *e)
{
	const struct tool_run *r = o->r;
	const struct manifest *m = r->tool->manifest;
	const char *home = getenv("HOME");
	const cJSON *one;

	own_env(o, "PATH", PROC_PATH);
	own_env(o, "HOME", home ? home : "/");
	own_env(o, "LANG", "C.UTF-8");
	own_env(o, "UW_TOOL", m->tool.name);
	own_env(o, "UW_HOUSE", r->house);
	own_env(o, "UW_TASK_ID", r->task_id);
	if (r->traceparent && *r->traceparent)
		own_env(o, "TRACEPARENT", r->traceparent);
	env_add_roots(o, "UW_ROOTS", &r->env->roots, true);
	env_add_roots(o, "UW_READ_ROOTS", &r->env->roots, false);
	cJSON_ArrayForEach(one, member(m->doc, "env"))
		own_env(o, one->string, one->valuestring);
	if (env_add_secrets(o, m, r->env->config, e))
		return -1;
	env_add_params(o);
	return 0;
}

/* A path that will be written may not exist yet, but its directory must, and it may not be a link. */
static int
check_write(const struct path_roots *roots, const char *param, const char *path, struct err *e)
{
	char name[NAME_MAX + 1], field[96];
	int dir = path_open_parent(roots, param, path, name, sizeof name, e);
	struct stat st;
	bool link;

	if (dir < 0)
		return -1;
	link = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
	close(dir);
	if (!link)
		return 0;
	snprintf(field, sizeof field, "params.%s", param);
	return err_field(e, ERR_PATH, field, path, "a path that is no symbolic link");
}

static int
check_path(const struct path_roots *roots, const cJSON *rule, const char *path, struct err *e)
{
	int fd;

	if (strcmp(rule->valuestring, "write") == 0)
		return check_write(roots, rule->string, path, e);
	fd = path_open(roots, rule->string, path, O_RDONLY, 0, e);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

/* Checks params in place and makes its paths absolute. */
static int
fix_paths(const struct tool_run *r, cJSON *params, struct err *e)
{
	const struct path_roots *roots = &r->env->roots;
	const cJSON *rule;

	cJSON_ArrayForEach(rule, member(r->tool->manifest->doc, "paths")) {
		cJSON *value = cJSON_GetObjectItemCaseSensitive(params, rule->string);
		struct buf b = { 0 };

		if (!cJSON_IsString(value))
			continue;
		if (check_path(roots, rule, value->valuestring, e))
			return -1;
		if (value->valuestring[0] == '/')
			continue;
		buf_addf(&b, "%s/%s", roots->v[0].path, value->valuestring);
		cJSON_SetValuestring(value, buf_str(&b));
		buf_free(&b);
	}
	return 0;
}

static bool
is_no_effect(const struct manifest *m, int status)
{
	const cJSON *code;

	cJSON_ArrayForEach(code, member(m->doc, "no_effect"))
		if (code->valueint == status)
			return true;
	return false;
}

/* The end of standard error in a few readable words. */
static void
reason(const struct proc_end *end, char *out, size_t size)
{
	const char *text = buf_str(&end->err);
	size_t n = end->err.len, from;

	while (n && (unsigned char)text[n - 1] <= ' ')
		n--;
	from = n >= size ? n - size + 1 : 0;
	while (from < n && ((unsigned char)text[from] & 0xc0) == 0x80)
		from++;
	for (size_t i = from; i < n; i++)
		*out++ = (unsigned char)text[i] < ' ' ? ' ' : text[i];
	*out = '\0';
}

int
own_failed(const struct manifest *m, const struct proc_end *end, struct err *e)
{
	char why[301];

	reason(end, why, sizeof why);
	if (end->signal)
		return err_set(e, ERR_TOOL, "%s was killed by signal %d (%s)%s%s", m->tool.name, end->signal,
		    strsignal(end->signal), why[0] ? ": " : "", why);
	return err_set(e, ERR_TOOL, "%s ended with exit code %d%s%s", m->tool.name, end->status,
	    why[0] ? ": " : ", and said nothing on standard error", why);
}

int
manifest_result(const char *text, size_t len, size_t total, size_t max, struct buf *result, struct err *e)
{
	struct err why = { 0 };

	while (len && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
		len--;
	if (total > max)
		return err_set(e, ERR_TOOL, "its result has %zu bytes, the limit is %zu", total, max);
	if (!len)
		return err_set(e, ERR_TOOL, "it wrote nothing; expected one JSON value on standard output");
	if (json_check_inner(text, len, &why))
		return err_set(e, ERR_TOOL, "its standard output is not one JSON value: %s", why.msg);
	/* A raw line end can only stand between tokens. */
	for (size_t n; len; text += n, len -= n) {
		n = 1;
		if (*text == '\n' || *text == '\r')
			continue;
		while (n < len && text[n] != '\n' && text[n] != '\r')
			n++;
		buf_add(result, text, n);
	}
	return 0;
}

static int
own_end(struct tool_run *r, const struct proc_end *end, size_t max, struct buf *result, struct err *e)
{
	const struct manifest *m = r->tool->manifest;

	if (end->signal || end->status != 0) {
		tool_failed_with(r, end->status > 0 ? end->status : 0, 0);
		if (is_no_effect(m, end->status))
			tool_effect_none(r);
		return own_failed(m, end, e);
	}
	if (manifest_result(buf_str(&end->out), end->out.len, end->out_total, max, result, e))
		return err_wrap(e, "%s", m->tool.name);
	return 0;
}

static void
on_output(void *lines, const char *text, size_t len)
{
	live_lines_add(lines, text, len);
}

int
own_program(const struct own *o, const char *const *args, bool read_only, size_t max_out, struct proc_end *end,
    struct err *e)
{
	struct tool_run *r = o->r;
	const struct manifest *m = r->tool->manifest;
	const char *argv[MAX_ARGS + 2] = { m->exec };
	struct live_lines lines = { .word = cJSON_GetStringValue(member(m->doc, "progress")), .text = r->log,
		.progress = r->progress, .arg = r->arg };
	struct buf in = { 0 };
	struct proc p = {
		.argv = argv,
		.env = (const char *const *)(uintptr_t)o->env,
		.deadline_ms = r->deadline_ms,
		.grace_ms = GRACE_MS,
		.max_out = max_out,
		.max_err = MAX_STDERR,
		.limits = m->limits,
		.walls = { .read_only = read_only, .writes = m->writes },
		.on_output = r->log,
		.live_err_only = true,
		.arg = r->arg,
	};
	int rc;

	for (size_t i = 0; args && args[i] && i < MAX_ARGS; i++)
		argv[i + 1] = args[i];
	json_put_tree(&in, o->params);
	p.in = in.data;
	p.in_len = in.len;
	if (lines.word && lines.text && lines.progress) {
		p.on_output = on_output;
		p.arg = &lines;
	}
	rc = proc_run(&p, end, e);
	if (p.arg == &lines)
		live_lines_end(&lines);
	secret_mask(r->env->config, &end->err); /* before it is cut to a reason */
	buf_free(&in);
	return rc;
}

int
own_open(struct own *o, struct tool_run *r, struct err *e)
{
	*o = (struct own){ .r = r, .params = cJSON_Duplicate(r->params, 1) };
	if (!o->params)
		abort();
	return check_same_program(r, e) || fix_paths(r, o->params, e) || env_fill(o, e) ? -1 : 0;
}

void
own_close(struct own *o)
{
	for (size_t i = 0; i < o->nenv; i++)
		free(o->env[i]);
	cJSON_Delete(o->params);
}

static int
own_exec(struct own *o, struct buf *result, struct err *e)
{
	struct tool_run *r = o->r;
	size_t own = (size_t)r->tool->manifest->max_output, max = own && own < r->max_output ? own : r->max_output;
	struct proc_end end;
	int rc;

	tool_effect_begins(r);
	rc = own_program(o, NULL, r->tool->effect == TOOL_READ, max, &end, e);
	if (rc && !end.timed_out && !end.overfull)
		tool_effect_none(r);
	if (rc == 0)
		rc = own_end(r, &end, max, result, e);
	proc_end_release(&end);
	return rc;
}

static int
own_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct own o;
	int rc = own_open(&o, r, e) || own_exec(&o, result, e) ? -1 : 0;

	own_close(&o);
	return rc;
}
