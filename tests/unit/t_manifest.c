#include "tooltest.h"

#include <dirent.h>

#include "manifest.h"

#define GOOD "'name':'my_tool','summary':'Does it','exec':'run','parameters':{'type':'object'}," \
    "'effect':'read'"

static struct tool *
parse(const char *text)
{
	char *json = strdup(text);
	struct tool *t;

	for (char *p = json; *p; p++)
		if (*p == '\'')
			*p = '"';
	fx.e = (struct err){ 0 };
	t = manifest_parse(json, strlen(json), "/opt/tools.d", "/opt/tools.d/x.json", &fx.e);
	free(json);
	return t;
}

static void
refused(const char *text, const char *field)
{
	if (parse(text))
		fail_msg("%s was taken", text);
	if (strcmp(fx.e.field, field) != 0)
		fail_msg("%s: field \"%s\", expected \"%s\": %s", text, fx.e.field, field, fx.e.msg);
}

static void
a_manifest_becomes_a_tool(void **state)
{
	struct tool *t = parse("{" GOOD ",'timeout_s':7,'limits':{'memory_bytes':1000000}}");
	struct buf b = { 0 };

	(void)state;
	assert_non_null(t);
	assert_string_equal(t->name, "my_tool");
	assert_int_equal(t->effect, TOOL_READ);
	assert_int_equal(t->timeout_s, 7);
	tool_put(&b, t);
	assert_int_equal(json_check(b.data, b.len, &fx.e), 0);
	assert_non_null(strstr(b.data, "\"exec\":\"/opt/tools.d/run\""));
	assert_non_null(strstr(b.data, "\"memory_bytes\":1000000"));
	assert_non_null(strstr(b.data, "\"parameters\":{\"type\":\"object\"}"));
	buf_free(&b);
	manifest_free(t);
}

static void
a_wrong_manifest_names_its_field(void **state)
{
	(void)state;
	refused("", "");
	refused("[]", "");
	refused("{" GOOD ",'name':'twice'}", "name");
	refused("{}", "name");
	refused("{" GOOD ",'efect':'read'}", "efect");
	refused("{" GOOD ",'timeout_s':0}", "timeout_s");
	refused("{" GOOD ",'timeout_s':'5'}", "timeout_s");
	refused("{" GOOD ",'progress':'two words'}", "progress");
	refused("{" GOOD ",'progress':''}", "progress");
	refused("{" GOOD ",'no_effect':[0]}", "no_effect.0");
	refused("{" GOOD ",'no_effect':[256]}", "no_effect.0");
	refused("{" GOOD ",'retry':{'on':[0]}}", "retry.on.0");
	refused("{" GOOD ",'retry':{'not':[256]}}", "retry.not.0");
	refused("{" GOOD ",'retry':{'always':[1]}}", "retry.always");
	refused("{" GOOD ",'secrets':['lower']}", "secrets.0");
	refused("{" GOOD ",'env':{'A':1}}", "env.A");
	refused("{" GOOD ",'env':{'UW_ROOTS':'/'}}", "env.UW_ROOTS");
	refused("{" GOOD ",'env':{'A=B':'/'}}", "env.A=B");
	refused("{" GOOD ",'paths':{'p':'read'}}", "paths.p");
	refused("{" GOOD ",'limits':{'memory':1}}", "limits.memory");
	refused("{'name':'Bad','summary':'s','exec':'x','parameters':{'type':'object'},'effect':'read'}",
	    "name");
	refused("{'name':'a','summary':'s','exec':'x','parameters':{'type':'object'},'effect':'maybe'}",
	    "effect");
	refused("{'name':'a','summary':'s','exec':'','parameters':{'type':'object'},'effect':'read'}",
	    "exec");
	refused("{'name':'a','summary':'s','exec':'x','parameters':{'type':'string'},'effect':'read'}",
	    "parameters.type");
	refused("{'name':'a','summary':'s','exec':'x','parameters':{},'effect':'read'}", "parameters.type");
	refused("{'name':'a','summary':'s','exec':'x','parameters':{'type':'object',"
	    "'properties':{'p':{'typo':1}}},"
	    "'effect':'read'}", "parameters.properties.p.typo");
}

/* An own tool whose program is this script. */
static void
make_tool(const char *script, const char *more)
{
	char text[4096];

	fx_put("tools.d/run", script);
	assert_int_equal(chmod(fx_path("tools.d/run"), 0755), 0);
	snprintf(text, sizeof text, "{'name':'own','summary':'s','exec':'run','effect':'exclusive',"
	    "'parameters':{'type':'object','properties':{'n':{'type':'integer','default':4},"
	    "'s':{'type':'string'},"
	    "'p':{'type':'string'},'w':{'type':'string'}}}%s}", more);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	fx_put("tools.d/own.json", text);
	fx_reload();
	assert_non_null(registry_find(fx.registry, "own"));
}

static void
parameters_go_in_as_json_and_the_result_comes_back(void **state)
{
	(void)state;
	make_tool("#!/bin/sh\necho working >&2\nprintf '{\"got\":\\n%s\\r\\n,\"n\":\"%s\",\"s\":\"%s\"}\\n' "
	    "\"$(cat)\" \"$UW_PARAM_n\" \"$UW_PARAM_s\"", "");
	fx_ok(fx_run("own", "{'s':'a b'}"));
	assert_int_equal(fx_int("got.n"), 4);
	assert_string_equal(fx_str("got.s"), "a b");
	assert_string_equal(fx_str("n"), "4");
	assert_string_equal(fx_str("s"), "a b");
	assert_string_equal(buf_str(&fx.log), "working\n");
	assert_true(fx.effect);
	fx_failed(fx_run("own", "{'x':1}"), ERR_INVALID, "params.x");
}

static void
a_result_that_is_not_one_value_is_a_clear_error(void **state)
{
	static const char *const wrong[][2] = {
		{ "", "it wrote nothing" }, { "echo", "it wrote nothing" },
		{ "echo hello", "not one JSON value" },
		{ "echo '{} {}'", "something follows" }, { "echo '{\"a\":1'", "expected ','" },
		{ "printf '\"\\377\"'", "invalid UTF-8" }, { "printf '1\\0'", "not one JSON value" },
		{ "head -c 300000 /dev/zero | tr '\\0' 1", "has 300000 bytes, the limit is 262144" },
		{ "printf '[%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25;"
		  "printf ']%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25",
		  "nested deeper than 24" },
	};
	char script[512];

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		snprintf(script, sizeof script, "#!/bin/sh\n%s\n", wrong[i][0]);
		make_tool(script, "");
		fx_failed(fx_run("own", "{}"), ERR_TOOL, NULL);
		if (!strstr(fx.e.msg, wrong[i][1]))
			fail_msg("%s: %s", wrong[i][0], fx.e.msg);
		assert_true(fx.effect);
	}
}

static void
a_failure_carries_the_end_of_standard_error(void **state)
{
	(void)state;
	make_tool("#!/bin/sh\ni=0; while [ $i -lt 2000 ]; do echo noise >&2; i=$((i+1)); done; "
	    "echo 'the reason' >&2; exit 9",
	    "");
	fx_failed(fx_run("own", "{}"), ERR_TOOL, NULL);
	assert_non_null(strstr(fx.e.msg, "own ended with exit code 9"));
	assert_string_equal(fx.e.msg + strlen(fx.e.msg) - 10, "the reason");
	assert_true(fx.effect);
	make_tool("#!/bin/sh\nkill -SEGV $$", "");
	fx_failed(fx_run("own", "{}"), ERR_TOOL, NULL);
	assert_non_null(strstr(fx.e.msg, "killed by signal 11"));
}

static void
declared_exit_codes_had_no_effect(void **state)
{
	(void)state;
	make_tool("#!/bin/sh\nexit $UW_PARAM_n", ",'no_effect':[3,5]");
	fx_failed(fx_run("own", "{'n':3}"), ERR_TOOL, NULL);
	assert_false(fx.effect);
	fx_failed(fx_run("own", "{'n':4}"), ERR_TOOL, NULL);
	assert_true(fx.effect);
	fx_put("tools.d/run", "#!/nowhere/interpreter\n");
	fx_failed(fx_run("own", "{}"), ERR_NOT_FOUND, NULL);
	assert_false(fx.effect);
	fx.timeout_ms = 200;
	make_tool("#!/bin/sh\nsleep 60", ",'no_effect':[3]");
	fx_failed(fx_run("own", "{}"), ERR_TIMEOUT, NULL);
	assert_true(fx.effect);
}

static bool
is_worth(const struct tool *t, enum err_code code, int number)
{
	return retry_is_worth(t, &(struct err){ .code = code }, number);
}

static void
a_manifest_says_after_which_exit_codes_another_try_is_worth_it(void **state)
{
	struct tool *t = parse("{" GOOD "}");
	struct buf b = { 0 };

	(void)state;
	assert_true(is_worth(t, ERR_TOOL, 1));
	assert_true(is_worth(t, ERR_TIMEOUT, 0));
	assert_true(is_worth(t, ERR_NETWORK, 0));
	assert_false(is_worth(t, ERR_INVALID, 0));
	assert_false(is_worth(t, ERR_DENIED, 0));
	assert_false(is_worth(t, ERR_NOT_FOUND, 0));
	manifest_free(t);
	t = parse("{" GOOD ",'retry':{'on':[75,76]}}");
	assert_true(is_worth(t, ERR_TOOL, 75));
	assert_true(is_worth(t, ERR_TOOL, 0));          /* killed by a signal, no result */
	assert_false(is_worth(t, ERR_TOOL, 1));
	manifest_free(t);
	t = parse("{" GOOD ",'retry':{'not':[2,64]}}");
	assert_true(is_worth(t, ERR_TOOL, 1));
	assert_false(is_worth(t, ERR_TOOL, 64));
	tool_put(&b, t);
	assert_non_null(strstr(b.data, "\"not\":[2,64]"));
	buf_free(&b);
	manifest_free(t);
}

static void
lines_with_its_word_are_progress(void **state)
{
	(void)state;
	make_tool("#!/bin/sh\necho one >&2\necho '@at 40 copying' >&2\necho two >&2\necho 1", ",'progress':'@at'");
	fx_ok(fx_run("own", "{}"));
	assert_string_equal(buf_str(&fx.log), "one\ntwo\n");
	assert_int_equal(fx.percent, 40);
	assert_string_equal(fx.note, "copying");
	make_tool("#!/bin/sh\necho '@at 40 copying' >&2\necho 1", "");
	fx_ok(fx_run("own", "{}"));
	assert_string_equal(buf_str(&fx.log), "@at 40 copying\n");
}

static void
only_named_secrets_are_given(void **state)
{
	static char a[] = "TOKEN_A", b[] = "TOKEN_B", va[] = "aaa", vb[] = "bbb";

	(void)state;
	fx.config.secrets[0] = (struct config_secret){ .name = a, .value = va };
	fx.config.secrets[1] = (struct config_secret){ .name = b, .value = vb };
	fx.config.nsecrets = 2;
	make_tool("#!/bin/sh\necho \"[\\\"$TOKEN_A\\\",\\\"$TOKEN_B\\\",\\\"$MODE\\\"]\"",
	    ",'secrets':['TOKEN_A'],'env':{'MODE':'fast'}");
	fx_ok(fx_run("own", "{}"));
	assert_string_equal(fx_str("0"), "aaa");
	assert_string_equal(fx_str("1"), "");
	assert_string_equal(fx_str("2"), "fast");
	make_tool("#!/bin/sh\necho 1", ",'secrets':['TOKEN_C']");
	fx_failed(fx_run("own", "{}"), ERR_CONFIG, NULL);
	assert_false(fx.effect);
	fx.config.nsecrets = 0;
}

static void
path_parameters_stay_beneath_the_roots(void **state)
{
	(void)state;
	fx_put("root/f", "x");
	fx_put("outside/s", "x");
	make_tool("#!/bin/sh\necho \"\\\"$UW_PARAM_p$UW_PARAM_w\\\"\"", ",'paths':{'p':'read','w':'write'}");
	fx_ok(fx_run("own", "{'p':'f'}"));
	assert_string_equal(cJSON_GetStringValue(fx.result), fx_path("root/f"));
	fx_ok(fx_run("own", "{'w':'%s'}", fx_path("root/new")));
	fx_failed(fx_run("own", "{'p':'%s'}", fx_path("outside/s")), ERR_PATH, "params.p");
	fx_failed(fx_run("own", "{'p':'../outside/s'}"), ERR_PATH, "params.p");
	fx_failed(fx_run("own", "{'w':'%s'}", fx_path("ro/new")), ERR_PATH, "params.w");
	assert_int_equal(symlink(fx_path("outside/new"), fx_path("root/link")), 0);
	fx_failed(fx_run("own", "{'w':'link'}"), ERR_PATH, "params.w");
	assert_false(fx.effect);
}

static int warnings;
static char warned[4096];

static void
count(const char *msg, void *arg)
{
	(void)arg;
	warnings++;
	snprintf(warned + strlen(warned), sizeof warned - strlen(warned), "%s\n", msg);
}

static void
one_bad_manifest_does_not_stop_the_others(void **state)
{
	struct config c = { .nhouses = 0 };
	struct registry *r;

	(void)state;
	make_tool("#!/bin/sh\necho 1", "");
	fx_put("tools.d/a-bad.json", "{");
	fx_put("tools.d/b-none.json", "{\"name\":\"b\",\"summary\":\"s\",\"exec\":\"none\",\"effect\":"
	    "\"read\","
	    "\"parameters\":{\"type\":\"object\"}}");
	fx_put("tools.d/c-taken.json", "{\"name\":\"noop\",\"summary\":\"s\",\"exec\":\"run\",\"effect\":"
	    "\"read\","
	    "\"parameters\":{\"type\":\"object\"}}");
	fx_put("tools.d/z-open.json", fx_get("tools.d/own.json"));
	assert_int_equal(chmod(fx_path("tools.d/z-open.json"), 0666), 0);
	fx_put("tools.d/readme.txt", "no manifest");
	assert_int_equal(mkdir(fx_path("tools.d/d.json"), 0755), 0);
	assert_int_equal(mkfifo(fx_path("tools.d/f.json"), 0600), 0);
	c.tool_dirs.v[c.tool_dirs.n++] = fx_path("tools.d");
	c.tool_dirs.v[c.tool_dirs.n++] = fx_path("none");
	warnings = 0;
	warned[0] = '\0';
	r = registry_new(&c, count, NULL);
	assert_non_null(registry_find(r, "own"));
	assert_null(registry_find(r, "noop")->manifest);
	assert_int_equal(warnings, 7);
	assert_non_null(strstr(warned, "exec: expected an executable file"));
	assert_non_null(strstr(warned, "there is a tool noop already"));
	assert_non_null(strstr(warned, "everybody may write it"));
	registry_free(r);
}

static void
every_tool_documents_itself(void **state)
{
	(void)state;
	for (size_t i = 0; i < registry_count(fx.registry); i++) {
		const struct tool *t = registry_at(fx.registry, i);
		struct buf b = { 0 };
		cJSON *tree;
		const cJSON *p;

		tool_put(&b, t);
		tree = json_parse_object(buf_str(&b), b.len, &fx.e);
		if (!tree)
			fail_msg("%s: %s", t->name, fx.e.msg);
		p = cJSON_GetObjectItemCaseSensitive(tree, "parameters");
		cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(p, "properties"))
			if (!cJSON_HasObjectItem(p, "description"))
				fail_msg("%s: parameter %s has no description", t->name, p->string);
		assert_true(t->summary[0] && t->timeout_s > 0 && t->run);
		assert_true(!(t->flags & TOOL_QUICK) || t->effect == TOOL_READ);
		assert_true(i == 0 || strcmp(registry_at(fx.registry, i - 1)->name, t->name) < 0);
		cJSON_Delete(tree);
		buf_free(&b);
	}
}

static void
noop_echoes_and_wait_waits(void **state)
{
	(void)state;
	fx_ok(fx_run("noop", "{}"));
	fx_ok(fx_run("noop", "{'payload':{'a':[1,{'b':null}]}}"));
	assert_true(cJSON_IsNull(fx_at("payload.a.1.b")));
	fx_ok(fx_run("wait", "{'ms':30}"));
	assert_true(fx_int("waited_ms") >= 30);
	fx.timeout_ms = 100;
	fx_failed(fx_run("wait", "{'ms':60000}"), ERR_TIMEOUT, NULL);
	fx_failed(fx_run("wait", "{'ms':3600001}"), ERR_INVALID, "params.ms");
	fx.max_output = 10;
	fx_failed(fx_run("noop", "{'payload':'0123456789'}"), ERR_TOO_BIG, NULL);
}

static int
entries(const char *dir)
{
	DIR *d = opendir(fx_path("%s", dir));
	struct dirent *entry;
	int n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

/* The example that is shipped. */
static void
deploy_switches_releases(void **state)
{
	char first[80], hash[80];

	(void)state;
	fx_put("tools.d/deploy.json", "");
	EXEC("cp", "tools/tools.d/deploy.json", "tools/tools.d/deploy", fx_path("tools.d"));
	fx_reload();
	EXEC("mkdir", "-p", fx_path("root/src/sub dir"));
	fx_put("root/src/index.html", "one");
	fx_put("root/src/sub dir/f", "x");
	fx_ok(fx_run("deploy", "{'source':'src','target':'%s'}", fx_path("root/site")));
	snprintf(first, sizeof first, "%s", fx_str("release"));
	snprintf(hash, sizeof hash, "%s", fx_str("sha256"));
	assert_int_equal(fx_int("files"), 2);
	assert_true(fx_true("changed"));
	assert_string_equal(fx_get("root/site/current/index.html"), "one");
	fx_ok(fx_run("deploy", "{'source':'src','target':'site','sha256':'%s'}", hash));
	assert_false(fx_true("changed"));
	fx_put("root/src/index.html", "two");
	fx_failed(fx_run("deploy", "{'source':'src','target':'site','sha256':'%s'}", hash), ERR_TOOL, NULL);
	assert_false(fx.effect);
	fx_failed(fx_run("deploy", "{'source':'src','target':'site','release':'%s'}", first), ERR_TOOL, NULL);
	fx_failed(fx_run("deploy", "{'source':'src','target':'site','expected_current':'x'}"), ERR_TOOL,
	    NULL);
	assert_string_equal(fx_get("root/site/current/index.html"), "one");
	for (int i = 0; i < 4; i++) {
		fx_put("root/src/index.html", i == 0 ? "a" : i == 1 ? "b" : i == 2 ? "c" : "d");
		fx_ok(fx_run("deploy", "{'source':'src','target':'site','release':'r%d','keep':2}", i));
	}
	assert_string_equal(fx_str("previous"), "r2");
	assert_string_equal(fx_get("root/site/current/index.html"), "d");
	assert_int_equal(entries("root/site/releases"), 2);
	assert_int_equal(symlink("/etc/passwd", fx_path("root/src/link")), 0);
	fx_failed(fx_run("deploy", "{'source':'src','target':'site'}"), ERR_TOOL, NULL);
	assert_non_null(strstr(fx.e.msg, "links"));
	fx_failed(fx_run("deploy", "{'source':'%s','target':'site'}", fx_path("outside")), ERR_PATH,
	    "params.source");
	fx_failed(fx_run("deploy", "{'source':'src','target':'%s'}", fx_path("outside/x")), ERR_PATH,
	    "params.target");
	assert_int_equal(entries("root/site/releases"), 2);
	assert_int_equal(access(fx_path("root/site/.deploy.lock"), F_OK), -1);
}

static void
a_digest_is_of_manifest_and_program(void **state)
{
	static const char *const scripts[] = { "cat", "cat ", "cat" }, *const more[] = { "", "", ",'timeout_s':9" };
	char sum[3][65], again[65];

	(void)state;
	for (int i = 0; i < 3; i++) {
		make_tool(scripts[i], more[i]);
		snprintf(sum[i], sizeof sum[i], "%s", registry_digest(fx.registry, registry_find(fx.registry, "own")));
		assert_int_equal(strlen(sum[i]), 64);
	}
	make_tool(scripts[0], more[0]);
	snprintf(again, sizeof again, "%s", registry_digest(fx.registry, registry_find(fx.registry, "own")));
	assert_string_equal(sum[0], again);
	assert_string_not_equal(sum[0], sum[1]);
	assert_string_not_equal(sum[0], sum[2]);
	assert_string_not_equal(registry_digest(fx.registry, registry_find(fx.registry, "noop")),
	    registry_digest(fx.registry, registry_find(fx.registry, "wait")));
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_manifest_becomes_a_tool),
		T(a_wrong_manifest_names_its_field),
		T(parameters_go_in_as_json_and_the_result_comes_back),
		T(a_result_that_is_not_one_value_is_a_clear_error),
		T(a_failure_carries_the_end_of_standard_error),
		T(declared_exit_codes_had_no_effect),
		T(a_manifest_says_after_which_exit_codes_another_try_is_worth_it),
		T(lines_with_its_word_are_progress),
		T(only_named_secrets_are_given),
		T(path_parameters_stay_beneath_the_roots),
		T(one_bad_manifest_does_not_stop_the_others),
		T(every_tool_documents_itself),
		T(a_digest_is_of_manifest_and_program),
		T(noop_echoes_and_wait_waits),
		T(deploy_switches_releases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
