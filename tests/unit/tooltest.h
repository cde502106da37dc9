/*
 * tooltest.h - what the tests of tools share: a temporary directory as the only writable root, a
 * read-only root beside it, and tools run as a worker runs them: checked against the schema first.
 */
#ifndef UW_TOOLTEST_H
#define UW_TOOLTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "clock.h"
#include "guard.h"
#include "notes.h"
#include "tool.h"

#define UNUSED __attribute__((unused))

struct fixture {
	char top[64];                   /* holds root/, ro/ and outside/ */
	struct config config;
	struct tool_env env;
	struct registry *registry;
	struct err e;                   /* of the last run */
	bool effect;                    /* likewise: it had one, or may have */
	cJSON *result;                  /* likewise */
	size_t result_len;
	size_t max_output;
	int64_t timeout_ms;
	struct buf log;
	int percent;                    /* of the last progress that was told; -1: none, or not known */
	char note[256];
	const char *terms;              /* what the next runs are under; NULL: nothing */
	bool plan;                      /* the next runs are only planned */
	struct buf notes;               /* of the last run under terms */
};

static struct fixture fx;

static UNUSED void
fx_warn(const char *msg, void *arg)
{
	(void)arg;
	fprintf(stderr, "warning: %s\n", msg);
}

static UNUSED void
fx_log(void *arg, const char *text, size_t len)
{
	(void)arg;
	buf_add(&fx.log, text, len);
}

static UNUSED void
fx_progress(void *arg, int percent, const char *note)
{
	(void)arg;
	fx.percent = percent;
	snprintf(fx.note, sizeof fx.note, "%s", note ? note : "");
}

/* A path beneath the fixture's directory; four may be in use at once. */
static UNUSED char *
fx_path(const char *fmt, ...)
{
	static char text[4][PATH_MAX];
	static int at;
	char *out = text[at++ % 4];
	int n = snprintf(out, PATH_MAX, "%s/", fx.top);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + n, (size_t)(PATH_MAX - n), fmt, ap);
	va_end(ap);
	return out;
}

static UNUSED void
fx_put(const char *name, const char *text)
{
	FILE *f = fopen(fx_path("%s", name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static UNUSED char *
fx_get(const char *name)
{
	static char text[65536];
	FILE *f = fopen(fx_path("%s", name), "r");
	size_t n;

	if (!f)
		return NULL;
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

/* Runs a program and insists on its exit code. */
static UNUSED void
fx_exec(int code, const char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!getenv("TOOLTEST_VERBOSE")) {
			int null = open("/dev/null", O_WRONLY);

			dup2(null, 1);
			dup2(null, 2);
		}
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

#define EXEC(...) fx_exec(0, (const char *const[]){ __VA_ARGS__, NULL })

static UNUSED int
fx_setup(void **state)
{
	static const char *const dirs[] = { "root", "ro", "outside", "tools.d" };

	(void)state;
	fx = (struct fixture){ .top = "/tmp/uw-test-XXXXXX", .max_output = 262144, .timeout_ms = 20000 };
	assert_non_null(mkdtemp(fx.top));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(mkdir(fx_path("%s", dirs[i]), 0755), 0);
	fx.config.roots.v[fx.config.roots.n++] = strdup(fx_path("root"));
	fx.config.read_roots.v[fx.config.read_roots.n++] = strdup(fx_path("ro"));
	fx.env.config = &fx.config;
	path_roots_open(&fx.env.roots, &fx.config, fx_warn, NULL);
	assert_int_equal(fx.env.roots.n, 2);
	fx.env.registry = fx.registry = registry_new(&fx.config, fx_warn, NULL);
	return 0;
}

static UNUSED int
fx_teardown(void **state)
{
	(void)state;
	cJSON_Delete(fx.result);
	registry_free(fx.registry);
	path_roots_close(&fx.env.roots);
	free(fx.config.roots.v[0]);
	free(fx.config.read_roots.v[0]);
	buf_free(&fx.log);
	buf_free(&fx.notes);
	EXEC("rm", "-rf", fx.top);
	return 0;
}

/* Reads own tools in tools.d anew. */
static UNUSED void
fx_reload(void)
{
	registry_free(fx.registry);
	fx.config.tool_dirs.v[0] = fx_path("tools.d");
	fx.config.tool_dirs.n = 1;
	fx.env.registry = fx.registry = registry_new(&fx.config, fx_warn, NULL);
	fx.config.tool_dirs.n = 0;
}

static UNUSED int
fx_under_terms(struct tool_run *r, struct buf *result)
{
	struct notes notes = { 0 };
	int rc;

	r->notes = &notes;
	rc = guard_run(r, fx.terms, strlen(fx.terms), r->tool->run, result, &fx.e);
	notes_put(&fx.notes, &notes);
	notes_release(&notes);
	return rc;
}

static UNUSED int
fx_call(const struct tool *t, cJSON *params, struct buf *result)
{
	struct tool_run r = {
		.env = &fx.env,
		.tool = t,
		.params = params,
		.house = "ezra",
		.task_id = "01JDTESTTESTTESTTESTTESTTE",
		.deadline_ms = clock_mono_ms() + fx.timeout_ms,
		.max_output = fx.max_output,
		.log = fx_log,
		.progress = fx_progress,
	};
	int rc;

	if (registry_check(fx.registry, t, params, &fx.e))
		return -1;
	buf_clear(&fx.notes);
	if (fx.plan)
		rc = guard_plan(&r, result, &fx.e);
	else
		rc = fx.terms ? fx_under_terms(&r, result) : t->run(&r, result, &fx.e);
	fx.effect = r.effect_begun;
	return rc;
}

/* Runs a tool; params is a JSON text with ' for ". The result must be one JSON value within the limit. */
static UNUSED int
fx_run(const char *tool, const char *params_fmt, ...)
{
	const struct tool *t = registry_find(fx.registry, tool);
	struct buf params = { 0 }, result = { 0 };
	char text[16384];
	cJSON *tree;
	va_list ap;
	int rc;

	assert_non_null(t);
	va_start(ap, params_fmt);
	vsnprintf(text, sizeof text, params_fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	cJSON_Delete(fx.result);
	fx.result = NULL;
	fx.effect = false;
	fx.e = (struct err){ 0 };
	buf_clear(&fx.log);
	fx.percent = -1;
	fx.note[0] = '\0';
	tree = json_parse_object(text, strlen(text), &fx.e);
	if (!tree)
		fail_msg("bad parameters in the test: %s", fx.e.msg);
	rc = fx_call(t, tree, &result);
	fx.result_len = result.len;
	if (rc == 0) {
		assert_true(result.len <= fx.max_output);
		fx.result = json_parse(buf_str(&result), result.len, &fx.e);
		if (!fx.result)
			fail_msg("the result is not JSON: %s: %.200s", fx.e.msg, buf_str(&result));
	} else {
		assert_int_not_equal(fx.e.code, ERR_NONE);
		assert_true(fx.e.msg[0]);
	}
	cJSON_Delete(tree);
	buf_free(&params);
	buf_free(&result);
	return rc;
}

static UNUSED void
fx_ok(int rc)
{
	if (rc)
		fail_msg("the tool failed: %s", fx.e.msg);
}

/* The last run failed with this code and, if not NULL, this field. */
static UNUSED void
fx_failed(int rc, enum err_code code, const char *field)
{
	if (rc == 0)
		fail_msg("the tool succeeded");
	if (fx.e.code != code || (field && strcmp(fx.e.field, field) != 0))
		fail_msg("got %s, field \"%s\": %s", err_code_name(fx.e.code), fx.e.field, fx.e.msg);
}

/* "a.0.b" in the result. */
static UNUSED const cJSON *
fx_at(const char *path)
{
	const cJSON *v = fx.result;
	char text[256], *p = text, *name;

	snprintf(text, sizeof text, "%s", path);
	while (v && (name = strtok_r(p, ".", &p)))
		v = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, (int)strtol(name, NULL, 10)) :
		    cJSON_GetObjectItemCaseSensitive(v, name);
	return v;
}

static UNUSED const char *
fx_str(const char *path)
{
	const char *s = cJSON_GetStringValue(fx_at(path));

	if (!s) {
		char *text = cJSON_Print(fx.result);

		fail_msg("no text %s in %s", path, text);
	}
	return s;
}

static UNUSED int64_t
fx_int(const char *path)
{
	int64_t n = 0;

	if (!json_int(fx_at(path), &n)) {
		char *text = cJSON_Print(fx.result);

		fail_msg("no number %s in %s", path, text);
	}
	return n;
}

static UNUSED bool
fx_true(const char *path)
{
	if (!cJSON_IsBool(fx_at(path)))
		fail_msg("no true or false %s", path);
	return cJSON_IsTrue(fx_at(path));
}

#endif
