/*
 * hermes_run by the command line of Hermes, of which a script takes the place. Over HTTP: tests/e2e/hermes.sh.
 */
#include "tooltest.h"

#define PROGRAM \
	"#!/bin/sh\n" \
	"for last; do :; done\n" \
	"echo \"$HERMES_HOME|$PWD|$*\" >\"$(dirname \"$0\")/args\"\n" \
	"case $last in\n" \
	"fail) echo 'Error: no credits' >&2; printf '\\nsession_id: s1\\n' >&2; exit 1 ;;\n" \
	"quiet) printf '\\nsession_id: s1\\n' >&2 ;;\n" \
	"slow) sleep 30 ;;\n" \
	"*) echo \"It says: $last\"; printf '\\nsession_id: 20261123_104200_ab12cd\\n' >&2 ;;\n" \
	"esac\n"

static char program[PATH_MAX];

static int
setup(void **state)
{
	fx_setup(state);
	fx_put("outside/hermes", PROGRAM);
	snprintf(program, sizeof program, "%s", fx_path("outside/hermes"));
	assert_int_equal(chmod(program, 0755), 0);
	fx.config.hermes_program = program;
	return 0;
}

static const char *
args(void)
{
	return fx_get("outside/args");
}

static void
its_answer_is_the_result(void **state)
{
	(void)state;
	fx_ok(fx_run("hermes_run", "{'prompt':'hello'}"));
	assert_string_equal(fx_str("output"), "It says: hello\n");
	assert_string_equal(fx_str("session"), "20261123_104200_ab12cd");
	assert_string_equal(fx_str("via"), "command line");
	assert_false(fx_true("truncated"));
	assert_true(fx.effect);
	/* Nothing of it approves by itself. */
	assert_null(strstr(args(), "--yolo"));
	assert_null(strstr(args(), "-z"));
	assert_non_null(strstr(args(), "|/|chat -Q --source tool -q hello\n"));
}

static void
what_is_asked_for_becomes_options(void **state)
{
	char want[3 * PATH_MAX];

	(void)state;
	fx.config.hermes_home = program;
	fx_ok(fx_run("hermes_run", "{'prompt':'-rf','model':'opus','provider':'p','toolsets':['a','b'],'session':'s-2','max_turns':7,'path':'%s'}",
	    fx_path("root")));
	snprintf(want, sizeof want, "%s|%s|chat -Q --source tool --model opus --provider p --toolsets a,b --resume s-2 --max-turns 7 -q  -rf\n",
	    program, fx_path("root"));
	assert_string_equal(args(), want);
}

static void
what_fails_has_failed(void **state)
{
	(void)state;
	fx_failed(fx_run("hermes_run", "{'prompt':'fail'}"), ERR_TOOL, NULL);
	assert_non_null(strstr(fx.e.msg, "exit code 1: Error: no credits"));
	assert_true(fx.effect);
	fx_failed(fx_run("hermes_run", "{'prompt':'quiet'}"), ERR_TOOL, NULL);
	assert_non_null(strstr(fx.e.msg, "without a text"));
	fx.timeout_ms = 1000;
	fx_failed(fx_run("hermes_run", "{'prompt':'slow'}"), ERR_TIMEOUT, NULL);
}

static void
what_cannot_be_is_refused_before_it_begins(void **state)
{
	char path[64];

	(void)state;
	fx_failed(fx_run("hermes_run", "{}"), ERR_MISSING, "params.prompt");
	fx_failed(fx_run("hermes_run", "{'prompt':'x','model':'--yolo'}"), ERR_INVALID, "params.model");
	fx_failed(fx_run("hermes_run", "{'prompt':'x','session':'a b'}"), ERR_INVALID, "params.session");
	fx_failed(fx_run("hermes_run", "{'prompt':'x','path':'/etc'}"), ERR_PATH, "params.path");
	fx_failed(fx_run("hermes_run", "{'prompt':'x','allow':['ls']}"), ERR_APPROVAL, "params.allow");
	fx.terms = "{\"approved\":true}";
	fx_failed(fx_run("hermes_run", "{'prompt':'x','allow':['ls']}"), ERR_INVALID, "params.allow");
	fx.terms = NULL;
	assert_false(fx.effect);
	snprintf(path, sizeof path, "/nowhere/hermes");
	fx.config.hermes_program = path;
	fx_failed(fx_run("hermes_run", "{'prompt':'x'}"), ERR_NOT_FOUND, NULL);
	assert_false(fx.effect);
	fx.config.hermes_program = NULL;
	fx_failed(fx_run("hermes_run", "{'prompt':'x'}"), ERR_CONFIG, NULL);
}

static void
what_may_end_otherwise_is_worth_another_try(void **state)
{
	const struct tool *t = registry_find(fx.registry, "hermes_run");
	static const struct {
		enum err_code code;
		int status;
		bool worth;
	} all[] = {
		{ ERR_NETWORK, 0, true },
		{ ERR_TOOL, 429, true },
		{ ERR_TOOL, 0, true },          /* a run that failed; whether it did something is another matter */
		{ ERR_TOOL, 400, false },
		{ ERR_TOOL, 401, false },
		{ ERR_TOOL, 404, false },
		{ ERR_APPROVAL, 0, false },
		{ ERR_INVALID, 0, false },
		{ ERR_CONFIG, 0, false },
	};
	char target[TARGET_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		assert_int_equal(retry_is_worth(t, &(struct err){ .code = all[i].code }, all[i].status), all[i].worth);
	assert_true(target_of(t, NULL, target));
	assert_string_equal(target, "hermes");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(its_answer_is_the_result, setup, fx_teardown),
		cmocka_unit_test_setup_teardown(what_is_asked_for_becomes_options, setup, fx_teardown),
		cmocka_unit_test_setup_teardown(what_fails_has_failed, setup, fx_teardown),
		cmocka_unit_test_setup_teardown(what_may_end_otherwise_is_worth_another_try, setup, fx_teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_before_it_begins, setup, fx_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
