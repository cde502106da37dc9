/*
 * Plans and proofs of own tools by what their manifests declare, and of http_post.
 */
#include "tooltest.h"

#include "file.h"
#include "manifest.h"
#include "server.h"

static char terms[8192], touches[FILE_HASH_HEX];

static int
run_under(const char *tool, const char *params, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	vsnprintf(terms, sizeof terms, fmt, ap);
	va_end(ap);
	for (char *p = terms; *p; p++)
		if (*p == '\'')
			*p = '"';
	fx.terms = terms;
	rc = fx_run(tool, "%s", params);
	fx.terms = NULL;
	return rc;
}

static int
plan(const char *tool, const char *params)
{
	struct buf b = { 0 };
	int rc;

	fx.plan = true;
	rc = fx_run(tool, "%s", params);
	fx.plan = false;
	if (rc)
		return -1;
	json_put_tree(&b, fx_at("touches"));
	file_hash_bytes(b.data, b.len, touches);
	buf_free(&b);
	return 0;
}

/* A tool with parameters f (required), n (default 4) and o (neither). */
static const char *
manifest(const char *more)
{
	static char text[8192];

	snprintf(text, sizeof text, "{'name':'own','summary':'s','exec':'run','effect':'exclusive','paths':{'f':'write'},"
	    "'parameters':{'type':'object','required':['f'],'properties':{'f':{'type':'string'},"
	    "'n':{'type':'integer','default':4},'o':{'type':'string'},'l':{'type':'array','default':[]}}}%s%s}",
	    more[0] ? "," : "", more);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	return text;
}

static void
make_tool(const char *script, const char *more)
{
	fx_put("tools.d/run", script);
	assert_int_equal(chmod(fx_path("tools.d/run"), 0755), 0);
	fx_put("tools.d/own.json", manifest(more));
	fx_reload();
	assert_non_null(registry_find(fx.registry, "own"));
}

static void
refused(const char *more, const char *field)
{
	const char *text = manifest(more);
	struct tool *t;

	fx.e = (struct err){ 0 };
	t = manifest_parse(text, strlen(text), "/opt", "/opt/own.json", &fx.e);
	manifest_free(t);
	if (t || strcmp(fx.e.field, field) != 0)
		fail_msg("%s: field \"%s\", expected \"%s\": %s", more, fx.e.field, field, fx.e.msg);
}

static void
a_manifest_that_leaves_something_open_is_refused(void **state)
{
	(void)state;
	refused("'touches':[{'kind':'path'}]", "touches.0.name");
	refused("'touches':[{'kind':'ref','name':'x'}]", "touches.0.kind");
	refused("'touches':[{'kind':'path','name':'${o}'}]", "touches.0.name");
	refused("'touches':[{'kind':'path','name':'${none}'}]", "touches.0.name");
	refused("'touches':[{'kind':'path','name':'${f'}]", "touches.0.name");
	refused("'touches':[{'kind':'path','name':'${}'}]", "touches.0.name");
	refused("'touches':[{'kind':'path','name':'${result.x}'}]", "touches.0.name");
	refused("'touches':[],'dry_run':['${o}']", "dry_run.0");
	refused("'dry_run':['-n']", "touches");
	refused("'dry_run':[]", "dry_run");
	refused("'proof':[]", "proof");
	refused("'proof':[{'check':'wish'}]", "proof.0.check");
	refused("'proof':[{'check':'file_hash','path':'${f}'}]", "proof.0.sha256");
	refused("'proof':[{'check':'file_exists','path':'${f}','sha256':'x'}]", "proof.0.sha256");
	refused("'proof':[{'check':'file_exists','path':'${o}'}]", "proof.0.path");
	refused("'proof':[{'check':'exec','args':['${o}']}]", "proof.0.args.0");
	refused("'proof':[{'check':'commit','repo':'${f}','branch':'main'}]", "proof.0.commit");
}

static void
what_a_manifest_declares_is_the_plan(void **state)
{
	char expected[1024];

	(void)state;
	make_tool("#!/bin/sh\n[ \"$1 $UW_DRY_RUN\" = '--show=4 1' ] && echo \"would write $UW_PARAM_f\"",
	    "'touches':[{'kind':'path','name':'${f}'},{'kind':'url','name':'https://X/${n}?q'},"
	    "{'kind':'service','name':'web-${n}'},{'kind':'repo','name':'${f}.git','access':'read'}],"
	    "'dry_run':['--show=${n}']");
	fx_put("root/f", "old");
	fx_ok(plan("own", "{'f':'f'}"));
	snprintf(expected, sizeof expected, "would write %s\n", fx_path("root/f"));
	assert_string_equal(fx_str("dry_run"), expected);
	assert_int_equal(cJSON_GetArraySize(fx_at("touches")), 4);
	assert_string_equal(fx_str("touches.0.name"), fx_path("root/f"));
	assert_string_equal(fx_str("touches.0.sha256"),
	    "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4");
	assert_string_equal(fx_str("touches.1.access"), "read");
	assert_string_equal(fx_str("touches.3.name"), "https://x/4");
	make_tool("#!/bin/sh\necho no >&2; exit 3", "'touches':[],'dry_run':['-n']");
	fx_failed(plan("own", "{'f':'f'}"), ERR_TOOL, NULL);
	assert_non_null(strstr(fx.e.msg, "no"));
}

static void
a_value_that_is_no_text_is_not_put_into_a_name(void **state)
{
	(void)state;
	make_tool("#!/bin/sh\necho 1", "'touches':[{'kind':'url','name':'https://x/${l}'}]");
	fx_failed(plan("own", "{'f':'f'}"), ERR_INVALID, NULL);
	make_tool("#!/bin/sh\necho 1", "'touches':[{'kind':'url','name':'${f}'}]");
	fx_failed(plan("own", "{'f':'f'}"), ERR_INVALID, NULL);
}

static void
own_tools_are_under_the_same_terms(void **state)
{
	const char *script = "#!/bin/sh\necho new >\"$UW_PARAM_f\"; echo 1";

	(void)state;
	fx_put("root/f", "old");
	make_tool(script, "");
	fx_failed(run_under("own", "{'f':'f'}", "{'production':['path:/none']}"), ERR_APPROVAL, NULL);
	fx_failed(run_under("own", "{'f':'f'}", "{'reads':[]}"), ERR_DENIED, NULL);
	fx_failed(run_under("own", "{'f':'f'}", "{'touches':'%064d'}", 0), ERR_DENIED, NULL);
	fx_failed(run_under("own", "{'f':'f'}", "{'proof':true}"), ERR_UNPROVEN, NULL);
	assert_string_equal(fx_get("root/f"), "old");
	fx_ok(run_under("own", "{'f':'f'}", "{'production':['path:/none'],'approved':true}"));
	fx_put("root/f", "old");
	make_tool(script, "'touches':[{'kind':'path','name':'${f}'}]");
	fx_failed(run_under("own", "{'f':'f'}", "{'production':['path:%s']}", fx_path("root/f")), ERR_APPROVAL, NULL);
	fx_failed(run_under("own", "{'f':'f'}", "{'reads':[]}"), ERR_DENIED, NULL);
	assert_string_equal(fx_get("root/f"), "old");
	fx_ok(plan("own", "{'f':'f'}"));
	fx_put("root/f", "changed");
	fx_failed(run_under("own", "{'f':'f'}", "{'touches':'%s'}", touches), ERR_DENIED, NULL);
	fx_put("root/f", "old");
	fx_ok(run_under("own", "{'f':'f'}", "{'touches':'%s','production':['path:/none']}", touches));
}

/* Under terms: a program that was exchanged is not the tool that somebody decided about. */
static void
a_program_that_was_exchanged_does_not_run(void **state)
{
	char digest[65];

	(void)state;
	make_tool("#!/bin/sh\necho 1", "'touches':[{'kind':'path','name':'${f}'}]");
	fx_put("tools.d/run", "#!/bin/sh\necho evil >\"$UW_PARAM_f\"; echo 2");
	fx_failed(run_under("own", "{'f':'f'}", "{}"), ERR_DENIED, NULL);
	assert_false(fx.effect);
	fx_failed(run_under("own", "{'f':'f'}", "{'approved':true,'production':['path:/none']}"), ERR_DENIED, NULL);
	assert_int_equal(access(fx_path("root/f"), F_OK), -1);
	snprintf(digest, sizeof digest, "%s", registry_digest(fx.registry, registry_find(fx.registry, "own")));
	fx_reload();
	fx_failed(run_under("own", "{'f':'f'}", "{'tool':'%s'}", digest), ERR_DENIED, NULL);
	fx_ok(run_under("own", "{'f':'f'}", "{'tool':'%s'}", registry_digest(fx.registry, registry_find(fx.registry,
	    "own"))));
}

/* What a task is made of: one byte of it, a name or a permission makes it another one. */
static void
a_directory_that_is_read_counts_with_all_that_is_in_it(void **state)
{
	char first[FILE_HASH_HEX];

	(void)state;
	EXEC("mkdir", "-p", fx_path("root/d/sub"));
	fx_put("root/d/sub/.f", "one");
	make_tool("#!/bin/sh\necho 1", "'touches':[{'kind':'path','name':'${f}','access':'read'}]");
	fx_ok(plan("own", "{'f':'d'}"));
	memcpy(first, touches, sizeof first);
	for (int i = 0; i < 5; i++) {
		switch (i) {
		case 0: fx_put("root/d/sub/.f", "onE"); break;
		case 1: EXEC("mv", fx_path("root/d/sub/.f"), fx_path("root/d/sub/.g")); break;
		case 2: EXEC("chmod", "755", fx_path("root/d/sub/.f")); break;
		case 3: EXEC("ln", "-s", "x", fx_path("root/d/l")); break;
		case 4: EXEC("mkdir", fx_path("root/d/empty")); break;
		}
		fx_ok(plan("own", "{'f':'d'}"));
		assert_string_not_equal(touches, first);
		EXEC("rm", "-rf", fx_path("root/d"));
		EXEC("mkdir", "-p", fx_path("root/d/sub"));
		fx_put("root/d/sub/.f", "one");
	}
	fx_ok(plan("own", "{'f':'d'}"));
	assert_string_equal(touches, first);
}

static void
success_is_proven_or_no_success(void **state)
{
	static const struct { const char *script, *proof; bool holds; } cases[] = {
		{ "echo new >\"$UW_PARAM_f\"; echo 1", "{'check':'file_exists','path':'${f}'}", true },
		{ "echo 1", "{'check':'file_exists','path':'${f}'}", false },
		{ "printf new >\"$UW_PARAM_f\"; echo 1", "{'check':'file_hash','path':'${f}','sha256':"
		  "'11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437'}", true },
		{ "printf old >\"$UW_PARAM_f\"; echo 1", "{'check':'file_hash','path':'${f}','sha256':"
		  "'11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437'}", false },
		{ "printf new >\"$UW_PARAM_f\"; echo '{\"hash\":\"11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437\"}'",
		  "{'check':'file_hash','path':'${f}','sha256':'${result.hash}'}", true },
		{ "printf new >\"$UW_PARAM_f\"; echo '{}'",
		  "{'check':'file_hash','path':'${f}','sha256':'${result.hash}'}", false },
		{ "[ \"$1\" != --prove ] || exec [ \"$UW_PROOF$2\" = 1ok ]; echo '{\"a\":\"ok\"}'",
		  "{'check':'exec','args':['--prove','${result.a}']}", true },
		{ "[ \"$1\" != --prove ] || exit 1; echo 1", "{'check':'exec','args':['--prove']}", false },
		{ "[ \"$1\" != --prove ] || kill -9 $$; echo 1", "{'check':'exec','args':['--prove']}", false },
		{ "echo 1", "{'check':'exec','args':[]},{'check':'file_exists','path':'${f}'}", false },
		{ "echo 1", "{'check':'file_exists','path':'/etc/passwd'}", false },
		{ "echo 1", "{'check':'file_exists','path':'${f}/../../../../../etc/passwd'}", false },
		{ "echo 1", "{'check':'service_active','service':'no-such-unit'}", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char script[1024], more[1024];
		int rc;

		snprintf(script, sizeof script, "#!/bin/sh\n%s\n", cases[i].script);
		snprintf(more, sizeof more, "'proof':[%s]", cases[i].proof);
		unlink(fx_path("root/new"));
		make_tool(script, more);
		rc = run_under("own", "{'f':'new'}", "{'proof':true}");
		if ((rc == 0) != cases[i].holds)
			fail_msg("case %zu: %s", i, fx.e.msg);
		if (rc)
			assert_int_equal(fx.e.code, ERR_UNPROVEN);
		assert_non_null(strstr(fx.notes.data, cases[i].holds ? "\"ok\":true" : "\"ok\":false"));
		assert_true(fx.effect);
	}
}

static void
a_commit_is_looked_for_in_its_repository(void **state)
{
	const char *proof = "'proof':[{'check':'commit','repo':'${f}','branch':'main','commit':'${result.c}'}]";

	(void)state;
	setenv("HOME", fx_path("outside"), 1);
	EXEC("git", "init", "-q", "-b", "main", fx_path("root/r"));
	make_tool("#!/bin/sh\ncd \"$UW_PARAM_f\" && git -c user.name=A -c user.email=a@example.org commit -q --allow-empty "
	    "-m x && printf '{\"c\":\"%s\"}' \"$(git rev-parse HEAD)\"", proof);
	fx_ok(run_under("own", "{'f':'r'}", "{'proof':true}"));
	assert_non_null(strstr(fx.notes.data, fx_path("root/r#main")));
	make_tool("#!/bin/sh\nprintf '{\"c\":\"%040d\"}' 0", proof);
	fx_failed(run_under("own", "{'f':'r'}", "{'proof':true}"), ERR_UNPROVEN, NULL);
}

/* The example that is shipped. */
static void
deploy_is_planned_shown_and_proven(void **state)
{
	const char *params = "{'source':'src','target':'site'}";

	(void)state;
	EXEC("cp", "tools/tools.d/deploy.json", "tools/tools.d/deploy", fx_path("tools.d"));
	fx_reload();
	EXEC("mkdir", "-p", fx_path("root/src"));
	fx_put("root/src/index.html", "one\n");
	fx_ok(plan("deploy", params));
	assert_int_equal(access(fx_path("root/site"), F_OK), -1);
	fx_failed(run_under("deploy", params, "{'production':['path:%s']}", fx_path("root/site")), ERR_APPROVAL, NULL);
	fx_ok(run_under("deploy", params, "{'production':['path:%s'],'approved':true,'touches':'%s','proof':true}",
	    fx_path("root/site"), touches));
	assert_non_null(strstr(fx.notes.data, "\"check\":\"exec\""));
	fx_put("root/src/index.html", "two\n");
	fx_ok(plan("deploy", params));
	assert_non_null(strstr(fx_str("dry_run"), "-one\n+two\n"));
	fx_put("root/src/index.html", "evil\n");
	fx_failed(run_under("deploy", params, "{'approved':true,'touches':'%s'}", touches), ERR_DENIED, NULL);
	assert_string_equal(fx_get("root/site/current/index.html"), "one\n");
	fx.plan = true;
	fx_failed(fx_run("deploy", "{'source':'src','target':'site','expected_current':'x'}"), ERR_TOOL, NULL);
}

static void
a_post_is_planned_without_sending_it(void **state)
{
	char params[512];
	struct server s = { 0 };

	(void)state;
	server_start(&s, NULL, 0);
	snprintf(params, sizeof params, "{'url':'http://127.0.0.1:%d/a/../echo?x=1','body':'hello'}", s.port);
	fx_ok(plan("http_post", params));
	assert_string_equal(fx_str("touches.0.kind"), "url");
	assert_non_null(strstr(fx_str("touches.0.name"), "/echo"));
	assert_null(strchr(fx_str("touches.0.name"), '?'));
	assert_non_null(strstr(fx_str("dry_run"), "5 bytes, sha256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"));
	fx_failed(run_under("http_post", params, "{'production':['url:https://127.0.0.1:%d/echo/']}", s.port), ERR_APPROVAL,
	    NULL);
	snprintf(params, sizeof params, "{'url':'http://127.0.0.1:%d/text','max_redirects':1}", s.port);
	fx_failed(run_under("http_post", params, "{'production':['url:https://elsewhere/']}"), ERR_APPROVAL, NULL);
	assert_int_equal(atomic_load(s.requests), 0);
	snprintf(params, sizeof params, "{'url':'http://127.0.0.1:%d/echo','body':'hello'}", s.port);
	fx_ok(run_under("http_post", params, "{'production':['url:https://elsewhere/'],'touches':'%s','proof':true}", touches));
	assert_non_null(strstr(fx.notes.data, "\"check\":\"http_status\""));
	snprintf(params, sizeof params, "{'url':'http://127.0.0.1:%d/away'}", s.port);
	fx_failed(run_under("http_post", params, "{'proof':true}"), ERR_UNPROVEN, NULL);
	server_stop(&s);
}

static void
tools_say_what_they_promise(void **state)
{
	/* What an AI agent would touch, nobody knows. */
	static const char *const promise[] = { "artifact_put", "file_write", "git_checkout", "git_commit", "git_pull", "git_push",
		"git_worktree", "gitea_comment", "gitea_create_issue", "gitea_create_pr", "gitea_label", "hermes_run", "http_post", "service_control" };
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < registry_count(fx.registry); i++) {
		const struct tool *t = registry_at(fx.registry, i);
		struct buf b = { 0 };

		if (t->effect == TOOL_READ)
			continue;
		assert_string_equal(t->name, promise[n++]);
		tool_put(&b, t);
		assert_non_null(strstr(b.data, strcmp(t->name, "hermes_run") == 0 ? "\"plans\":false,\"proves\":true" :
		    "\"plans\":true,\"proves\":true"));
		buf_free(&b);
	}
	assert_int_equal(n, sizeof promise / sizeof *promise);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_manifest_that_leaves_something_open_is_refused),
		T(what_a_manifest_declares_is_the_plan),
		T(a_value_that_is_no_text_is_not_put_into_a_name),
		T(own_tools_are_under_the_same_terms),
		T(a_program_that_was_exchanged_does_not_run),
		T(a_directory_that_is_read_counts_with_all_that_is_in_it),
		T(success_is_proven_or_no_success),
		T(a_commit_is_looked_for_in_its_repository),
		T(deploy_is_planned_shown_and_proven),
		T(a_post_is_planned_without_sending_it),
		T(tools_say_what_they_promise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
