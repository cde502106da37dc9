#include "tooltest.h"

#include "place.h"
#include "service.h"

/* `systemctl show` of systemd 252, in the order in which it came. */
static const char running[] =
    "Type=notify\nMainPID=20\nStatusText=Processing requests...\nResult=success\nNRestarts=0\n"
    "ExecMainStatus=0\nMemoryCurrent=[not set]\nCPUUsageNSec=18360000\nTasksCurrent=18446744073709551615\n"
    "Id=systemd-journald.service\nDescription=Journal Service\nLoadState=loaded\nActiveState=active\n"
    "SubState=running\nUnitFileState=static\nActiveEnterTimestampMonotonic=3630176456\n"
    "InvocationID=88d362f1ccab430a8c17fb4d871f58c4\n";
static const char unknown_unit[] =
    "Type=\nMainPID=0\nResult=success\nId=nonsense.service\nLoadState=not-found\nActiveState=inactive\n"
    "SubState=dead\nUnitFileState=\n";

static void
systemctl_show_is_parsed(void **state)
{
	struct service s;

	(void)state;
	assert_true(service_systemd_parse(running, &s));
	assert_string_equal(s.id, "systemd-journald.service");
	assert_string_equal(s.active, "active");
	assert_string_equal(s.status_text, "Processing requests...");
	assert_int_equal(s.main_pid, 20);
	assert_int_equal(s.memory, -1);
	assert_int_equal(s.tasks, -1);
	assert_int_equal(s.cpu_ns, 18360000);
	assert_int_equal(s.active_since_us, 3630176456);
	assert_true(service_is_fine(&s));
	assert_true(service_systemd_parse(unknown_unit, &s));
	assert_string_equal(s.load, "not-found");
	assert_string_equal(s.file_state, "");
}

/* A place in production may be marked by any of its names. */
static void
a_unit_is_touched_by_every_name_it_has(void **state)
{
	const struct touch *found;
	const char *place = "service:web", *which;
	struct service s;
	struct plan p;

	(void)state;
	assert_true(service_systemd_parse("Id=nginx.service\nNames=nginx.service web.service\nLoadState=loaded\n"
	    "ActiveState=active\n", &s));
	plan_init(&p, false);
	assert_int_equal(service_touch(&s, &p, PLAN_WRITES, &fx.e), 0);
	plan_sort(&p);
	assert_int_equal(p.n, 2);
	assert_int_equal(place_find(&place, 1, &p, &found, &which, &fx.e), 0);
#ifdef __linux__
	assert_string_equal(found->name, "web.service");
#endif
	plan_release(&p);
}

static void
what_is_no_answer_of_systemctl_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "=\n=x\n", "Id=a\nLoadState=loaded\n", "Id\nLoadState\nActiveState\n",
	};
	struct service s;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_false(service_systemd_parse(texts[i], &s));
}

static void
values_that_are_too_long_are_cut(void **state)
{
	struct buf b = { 0 };
	struct service s;

	(void)state;
	buf_adds(&b, "Id=");
	for (int i = 0; i < 1000; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "\nLoadState=loaded=really\nActiveState=active\nMainPID=99999999999999999999\n");
	assert_true(service_systemd_parse(buf_str(&b), &s));
	assert_int_equal(strlen(s.id), SERVICE_TEXT - 1);
	assert_string_equal(s.load, "loaded=really");
	assert_int_equal(s.main_pid, -1);
	buf_free(&b);
}

static void
launchctl_print_is_parsed(void **state)
{
	static const char text[] = "system/org.example.job = {\n\tactive count = 1\n\tpath = /x.plist\n"
	    "\tstate = running\n\n\tenvironment = {\n\t\tpid = 7\n\t\tS => x\n\t}\n\truns = 3\n\tpid = 812\n"
	    "\tlast exit code = (never exited)\n}\n";
	struct service s;

	(void)state;
	assert_true(service_launchd_parse(text, &s));
	assert_string_equal(s.id, "org.example.job");
	assert_string_equal(s.active, "active");
	assert_int_equal(s.main_pid, 812);
	assert_false(service_launchd_parse("", &s));
	assert_false(service_launchd_parse("Could not find service \"x\" in domain for system\n", &s));
	assert_false(service_launchd_parse("system/x = {\n", &s));
}

/* A service in a few words: active, invocation, main process, file state, type, result. */
static struct service
make(const char *active, const char *invocation, int64_t pid, const char *file_state, const char *type,
    const char *result)
{
	struct service s = { .main_pid = pid };

	snprintf(s.active, sizeof s.active, "%s", active);
	snprintf(s.invocation, sizeof s.invocation, "%s", invocation);
	snprintf(s.file_state, sizeof s.file_state, "%s", file_state);
	snprintf(s.type, sizeof s.type, "%s", type);
	snprintf(s.result, sizeof s.result, "%s", result);
	return s;
}

static void
only_a_new_invocation_proves_a_restart(void **state)
{
	struct service old = make("active", "a", 1, "enabled", "simple", "success");
	struct service new = make("active", "b", 2, "enabled", "simple", "success");
	struct service failed = make("failed", "b", 0, "enabled", "simple", "exit-code");

	(void)state;
	assert_true(service_proves(SERVICE_RESTART, &old, &new));
	assert_false(service_proves(SERVICE_RESTART, &old, &old));
	assert_false(service_proves(SERVICE_RESTART, &old, &failed));
	assert_true(service_proves(SERVICE_STOP, &old, &failed));
	assert_false(service_proves(SERVICE_STOP, &old, &new));
	assert_true(service_same(&old, &old));
	assert_false(service_same(&old, &new));
}

static void
a_oneshot_that_is_over_has_started(void **state)
{
	struct service before = make("inactive", "a", 0, "static", "oneshot", "success");
	struct service failed = make("failed", "b", 0, "static", "oneshot", "exit-code");

	(void)state;
	assert_true(service_proves(SERVICE_START, &before, &before));
	assert_false(service_proves(SERVICE_START, &before, &failed));
	assert_true(service_is_fine(&before));
	assert_false(service_is_fine(&failed));
}

static void
what_is_so_already_needs_no_doing_but_restart_and_reload_always_do(void **state)
{
	struct service up = make("active", "a", 1, "enabled", "simple", "success");
	struct service down = make("inactive", "", 0, "disabled", "simple", "success");

	(void)state;
	assert_true(service_has(SERVICE_START, &up) && !service_has(SERVICE_START, &down));
	assert_true(service_has(SERVICE_STOP, &down) && !service_has(SERVICE_STOP, &up));
	assert_true(service_has(SERVICE_ENABLE, &up) && !service_has(SERVICE_ENABLE, &down));
	assert_true(service_has(SERVICE_DISABLE, &down) && !service_has(SERVICE_DISABLE, &up));
	assert_false(service_has(SERVICE_RESTART, &up) || service_has(SERVICE_RELOAD, &up));
}

static void
unit_names_are_checked(void **state)
{
	static const char *const good[] = { "nginx", "a@b.service", "a\\\\x2db.swap", "org.example_1:x" };
	static const char *const bad[] = { "", "-nginx", "--now", "a b", "a;b", "*", "a/b", "a\\n", "$(x)" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		fx_failed(fx_run("service_status", "{'unit':'%s'}", bad[i]), ERR_INVALID, "params.unit");
		fx_failed(fx_run("service_control", "{'unit':'%s','action':'stop'}", bad[i]), ERR_INVALID,
		    "params.unit");
	}
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		int rc = fx_run("service_status", "{'unit':'%s'}", good[i]);

		assert_true(rc == 0 || fx.e.code != ERR_INVALID);
	}
	fx_failed(fx_run("service_control", "{'unit':'x','action':'kill'}"), ERR_INVALID, "params.action");
	fx_failed(fx_run("service_control", "{'unit':'x'}"), ERR_MISSING, "params.action");
}

static bool
systemd_runs(void)
{
	return access("/run/systemd/system", F_OK) == 0;
}

static void
without_systemd_the_error_says_so(void **state)
{
	(void)state;
	fx_failed(fx_run("service_status", "{'unit':'cron'}"), ERR_WRONG_STATE, NULL);
	assert_non_null(strstr(fx.e.msg, "systemd does not run"));
	fx_failed(fx_run("service_control", "{'unit':'cron','action':'start'}"), ERR_WRONG_STATE, NULL);
	assert_false(fx.effect);
}

static void
a_running_unit_is_read_from_systemd(void **state)
{
	(void)state;
	fx_ok(fx_run("service_status", "{'unit':'systemd-journald'}"));
	assert_string_equal(fx_str("unit"), "systemd-journald.service");
	assert_string_equal(fx_str("active"), "active");
	assert_true(fx_int("main_pid") > 1);
	assert_true(fx_true("fine"));
	fx_failed(fx_run("service_status", "{'unit':'no-such-unit-at-all'}"), ERR_NOT_FOUND, "params.unit");
}

/* Units of its own are started and stopped where that is allowed: UW_TEST_UNITS=1, as root. */

static void
unit(const char *name, const char *body)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "/run/systemd/system/uw-test-%s.service", name);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "[Service]\n%s\n[Install]\nWantedBy=multi-user.target\n", body);
	fclose(f);
	EXEC("systemctl", "daemon-reload");
}

static int
control(const char *name, const char *action)
{
	return fx_run("service_control", "{'unit':'uw-test-%s','action':'%s','settle_ms':400}", name, action);
}

static void
a_service_is_started_restarted_and_stopped(void **state)
{
	int64_t pid;

	(void)state;
	unit("up", "ExecStart=/bin/sleep 1000");
	fx_ok(control("up", "start"));
	assert_true(fx.effect && fx_true("changed"));
	assert_string_equal(fx_str("after.active"), "active");
	pid = fx_int("after.main_pid");
	fx_ok(control("up", "start"));
	assert_false(fx.effect || fx_true("changed"));
	fx_ok(control("up", "restart"));
	assert_int_equal(fx_int("before.main_pid"), pid);
	assert_int_not_equal(fx_int("after.main_pid"), pid);
	fx_ok(control("up", "stop"));
	assert_string_equal(fx_str("after.active"), "inactive");
	fx_ok(control("up", "stop"));
	assert_false(fx_true("changed"));
}

static void
a_service_is_planned_approved_and_proven(void **state)
{
	(void)state;
	unit("planned", "ExecStart=/bin/sleep 1000");
	fx.plan = true;
	fx_ok(control("planned", "start"));
	fx.plan = false;
	assert_string_equal(fx_str("touches.0.name"), "uw-test-planned.service");
	assert_non_null(strstr(fx_str("dry_run"), "is inactive"));
	fx.terms = "{\"production\":[\"service:uw-test-planned\"]}";
	fx_failed(control("planned", "start"), ERR_APPROVAL, NULL);
	fx.terms = "{\"production\":[\"service:uw-test-planned\"],\"approved\":true,\"proof\":true}";
	fx_ok(control("planned", "start"));
	assert_non_null(strstr(fx.notes.data, "\"check\":\"service_state\""));
	fx.terms = NULL;
	fx_ok(control("planned", "stop"));
}

static void
a_service_that_does_not_stay_up_is_not_started(void **state)
{
	(void)state;
	unit("down", "ExecStart=/bin/sh -c 'sleep 0.1; exit 3'");
	fx_failed(control("down", "start"), ERR_TOOL, NULL);
	assert_true(fx.effect);
	unit("loop", "ExecStart=/bin/sh -c 'sleep 0.1; exit 3'\nRestart=always\nRestartSec=0");
	fx_failed(control("loop", "start"), ERR_TOOL, NULL);
	fx_ok(control("loop", "stop"));
	unit("never", "ExecStart=/no/such/program");
	assert_int_equal(control("never", "start"), -1);
	assert_int_equal(fx.e.code, ERR_TOOL);
}

static void
a_oneshot_is_run(void **state)
{
	(void)state;
	unit("once", "Type=oneshot\nExecStart=/bin/true");
	fx_ok(control("once", "start"));
	unit("bad-once", "Type=oneshot\nExecStart=/bin/false");
	fx_failed(control("bad-once", "start"), ERR_TOOL, NULL);
	assert_true(fx.effect);
}

static void
a_service_is_enabled_and_disabled(void **state)
{
	(void)state;
	unit("up", "ExecStart=/bin/sleep 1000");
	fx_ok(control("up", "enable"));
	assert_true(fx_true("changed"));
	assert_string_equal(fx_str("after.enabled"), "enabled");
	fx_ok(control("up", "enable"));
	assert_false(fx_true("changed"));
	fx_ok(control("up", "disable"));
	assert_string_equal(fx_str("after.enabled"), "disabled");
}

static void
what_cannot_be_done_changes_nothing(void **state)
{
	(void)state;
	unit("up", "ExecStart=/bin/sleep 1000");
	fx_failed(control("missing", "start"), ERR_NOT_FOUND, "params.unit");
	assert_false(fx.effect);
	fx_failed(control("up", "reload"), ERR_WRONG_STATE, NULL);
	assert_false(fx.effect);
	fx_failed(fx_run("service_control",
	    "{'unit':'systemd-journald','action':'enable','settle_ms':0}"), ERR_TOOL, NULL);
	assert_false(fx.effect);
	EXEC("systemctl", "mask", "--runtime", "uw-test-masked.service");
	fx_failed(control("masked", "start"), ERR_WRONG_STATE, NULL);
	assert_false(fx.effect);
	EXEC("systemctl", "unmask", "--runtime", "uw-test-masked.service");
}

static void
a_reload_needs_a_service_that_can(void **state)
{
	(void)state;
	unit("able", "ExecStart=/bin/sleep 1000\nExecReload=/bin/true");
	fx_ok(control("able", "start"));
	fx_ok(control("able", "reload"));
	assert_string_equal(fx_str("before.invocation"), fx_str("after.invocation"));
	fx_ok(control("able", "stop"));
	unit("unable", "ExecStart=/bin/sleep 1000\nExecReload=/bin/false");
	fx_ok(control("unable", "start"));
	fx_failed(control("unable", "reload"), ERR_TOOL, NULL);
	assert_true(fx.effect);
	fx_ok(control("unable", "stop"));
}

static void
a_start_that_takes_too_long_ends_in_time_and_is_uncertain(void **state)
{
	int64_t began = clock_mono_ms();

	(void)state;
	unit("slow", "Type=oneshot\nExecStart=/bin/sleep 60");
	fx.timeout_ms = 5000;
	fx_failed(control("slow", "start"), ERR_TIMEOUT, NULL);
	fx.timeout_ms = 20000;
	assert_true(clock_mono_ms() - began < 5000);
	assert_true(fx.effect);
	EXEC("systemctl", "stop", "uw-test-slow");
}

/* What can be tried depends on the host; what cannot is left out. */
int
main(void)
{
	const struct CMUnitTest always[] = {
		cmocka_unit_test(systemctl_show_is_parsed),
		cmocka_unit_test(a_unit_is_touched_by_every_name_it_has),
		cmocka_unit_test(what_is_no_answer_of_systemctl_is_refused),
		cmocka_unit_test(values_that_are_too_long_are_cut),
		cmocka_unit_test(launchctl_print_is_parsed),
		cmocka_unit_test(only_a_new_invocation_proves_a_restart),
		cmocka_unit_test(a_oneshot_that_is_over_has_started),
		cmocka_unit_test(what_is_so_already_needs_no_doing_but_restart_and_reload_always_do),
		cmocka_unit_test(unit_names_are_checked),
	};
	const struct CMUnitTest without[] = {
		cmocka_unit_test(without_systemd_the_error_says_so),
	};
	const struct CMUnitTest with[] = {
		cmocka_unit_test(a_running_unit_is_read_from_systemd),
	};
	const struct CMUnitTest units[] = {
		cmocka_unit_test(a_service_is_started_restarted_and_stopped),
		cmocka_unit_test(a_service_is_planned_approved_and_proven),
		cmocka_unit_test(a_service_that_does_not_stay_up_is_not_started),
		cmocka_unit_test(a_oneshot_is_run),
		cmocka_unit_test(a_service_is_enabled_and_disabled),
		cmocka_unit_test(what_cannot_be_done_changes_nothing),
		cmocka_unit_test(a_reload_needs_a_service_that_can),
		cmocka_unit_test(a_start_that_takes_too_long_ends_in_time_and_is_uncertain),
	};
	int failed = cmocka_run_group_tests(always, fx_setup, fx_teardown);

#ifdef __linux__
	failed += systemd_runs() ? cmocka_run_group_tests(with, fx_setup, fx_teardown) :
	    cmocka_run_group_tests(without, fx_setup, fx_teardown);
	if (systemd_runs() && getenv("UW_TEST_UNITS"))
		failed += cmocka_run_group_tests(units, fx_setup, fx_teardown);
#else
	(void)with, (void)without, (void)units;
#endif
	return failed;
}
