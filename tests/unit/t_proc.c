#include "tooltest.h"

#include <signal.h>

#include "proc.h"

static struct proc_end end;
static struct buf seen;

static void
see(void *arg, const char *text, size_t len)
{
	(void)arg;
	buf_add(&seen, text, len);
}

/* What differs from the usual is set by the test in p. */
static int
run(struct proc *p, const char *const argv[])
{
	proc_end_release(&end);
	buf_free(&seen);
	fx.e = (struct err){ 0 };
	p->argv = argv;
	if (!p->deadline_ms)
		p->deadline_ms = clock_mono_ms() + 10000;
	if (!p->max_out)
		p->max_out = p->max_err = 65536;
	return proc_run(p, &end, &fx.e);
}

#define RUN(p, ...) run(p, (const char *const[]){ __VA_ARGS__, NULL })
#define SH(p, script) RUN(p, "/bin/sh", "-c", script)

static void
output_and_exit_code_come_back(void **state)
{
	struct proc p = { .on_output = see };

	(void)state;
	assert_int_equal(SH(&p, "echo out; echo err >&2; exit 7"), 0);
	assert_int_equal(end.status, 7);
	assert_string_equal(buf_str(&end.out), "out\n");
	assert_string_equal(buf_str(&end.err), "err\n");
	assert_int_equal(seen.len, 8);
	p.live_err_only = true;
	assert_int_equal(SH(&p, "echo out; echo err >&2; kill -9 $$"), 0);
	assert_int_equal(end.signal, SIGKILL);
	assert_int_equal(end.status, -1);
	assert_string_equal(buf_str(&seen), "err\n");
}

static void
a_program_that_is_not_there_is_no_crash(void **state)
{
	struct proc p = { 0 };

	(void)state;
	assert_int_equal(RUN(&p, "uw-no-such-program"), -1);
	assert_int_equal(fx.e.code, ERR_NOT_FOUND);
	assert_int_equal(RUN(&p, "/nowhere/at/all"), -1);
	assert_int_equal(fx.e.code, ERR_NOT_FOUND);
	assert_int_equal(RUN(&p, "../bin/sh"), -1);
	fx_put("root/script", "#!/nowhere/interpreter\n");
	assert_int_equal(chmod(fx_path("root/script"), 0755), 0);
	assert_int_equal(RUN(&p, fx_path("root/script")), -1);
	assert_int_equal(RUN(&p, fx_path("root")), -1);
	assert_int_equal(fx.e.code, ERR_IO);
}

static void
large_input_and_output_do_not_block_each_other(void **state)
{
	size_t n = 3 << 20;
	char *text = xmalloc(n);
	struct proc p = { .in = text, .in_len = n, .max_out = n, .max_err = 10 };

	(void)state;
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i % 26);
	assert_int_equal(RUN(&p, "cat"), 0);
	assert_int_equal(end.out.len, n);
	assert_memory_equal(end.out.data, text, n);
	/* One that does not read its input at all. */
	assert_int_equal(RUN(&p, "true"), 0);
	assert_int_equal(end.status, 0);
	free(text);
}

static void
the_first_of_the_output_and_the_last_of_the_errors_are_kept(void **state)
{
	struct proc p = { .max_out = 10, .max_err = 10 };

	(void)state;
	assert_int_equal(SH(&p, "i=0; while [ $i -lt 5000 ]; do echo line $i; echo line $i >&2; i=$((i+1)); "
	    "done"), 0);
	assert_string_equal(buf_str(&end.out), "line 0\nlin");
	assert_non_null(strstr(buf_str(&end.err), "4999\n"));
	assert_int_equal(end.err.len, 10);
	assert_int_equal(end.out_total, 48890);
	assert_int_equal(end.err_total, 48890);
}

/* A zombie that its new parent has not collected yet is dead: it has no command line. */
static bool
is_alive(pid_t pid)
{
	char path[48], c;
	int fd;
	ssize_t n;

	if (kill(pid, 0))
		return false;
	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return access("/proc/self", F_OK) != 0;
	n = read(fd, &c, 1);
	close(fd);
	return n == 1;
}

/* Of the processes that wrote their ids into root/pids: how many did, how many live. */
static int
noted(bool alive_only)
{
	char *text = fx_get("root/pids"), *end_of;
	int n = 0;

	for (; text && *text; text = end_of) {
		long pid = strtol(text, &end_of, 10);

		if (end_of == text || *end_of != '\n')
			break;
		end_of++;
		n += !alive_only || is_alive((pid_t)pid);
	}
	return n;
}

static void
time_runs_out_for_a_whole_tree_that_ignores_sigterm(void **state)
{
	int root = open(fx_path("root"), O_RDONLY | O_DIRECTORY);
	struct proc p = { .deadline_ms = clock_mono_ms() + 500, .grace_ms = 200, .cwd_fd = root };
	int64_t began_ms = clock_mono_ms();

	(void)state;
	fx_put("root/child", "trap '' TERM; echo $$ >>pids; while :; do sleep 1; done");
	assert_int_equal(SH(&p, "trap '' TERM; echo $$ >>pids; sh child & sh child"), -1);
	assert_int_equal(fx.e.code, ERR_TIMEOUT);
	assert_true(end.timed_out);
	assert_true(clock_mono_ms() - began_ms < 5000);
	assert_int_equal(noted(false), 3);
	assert_int_equal(noted(true), 0);
	close(root);
}

static void
a_program_that_floods_is_stopped_in_time(void **state)
{
	struct proc p = { .deadline_ms = clock_mono_ms() + 200, .grace_ms = 100, .max_out = 100,
	    .max_err = 10 };

	(void)state;
	assert_int_equal(RUN(&p, "yes"), -1);
	assert_int_equal(fx.e.code, ERR_TIMEOUT);
	assert_int_equal(end.out.len, 100);
	assert_true(end.out_total > 100);
}

static void
what_a_program_leaves_behind_does_not_hold_us(void **state)
{
	struct proc p = { 0 };
	int64_t began_ms = clock_mono_ms();

	(void)state;
	assert_int_equal(SH(&p, "sleep 3 & echo done"), 0);
	assert_string_equal(buf_str(&end.out), "done\n");
	assert_true(clock_mono_ms() - began_ms < 2000);
}

static void
closing_its_output_early_does_not_end_a_program(void **state)
{
	struct proc p = { 0 };

	(void)state;
	assert_int_equal(SH(&p, "exec >&- 2>&-; sleep 0.2; exit 5"), 0);
	assert_int_equal(end.status, 5);
}

static void
nothing_is_inherited(void **state)
{
	const char *const env[] = { "A=1", NULL };
	struct proc p = { .env = env };
	int fds[8];

	(void)state;
	setenv("UW_SECRET", "x", 1);
	for (int i = 0; i < 8; i++)
		fds[i] = dup(0);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(RUN(&p, "env"), 0);
	assert_string_equal(buf_str(&end.out), "A=1\n");
#ifdef __linux__
	assert_int_equal(SH(&p, "i=0; while [ $i -lt 64 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); "
	    "done; grep -Ec 'SigIgn:.(0{16}|0{7}180000000)' /proc/$$/status; pwd"), 0);
	/* Signals 32 and 33 are glibc's own: its posix_spawn, and so make, leaves them ignored for good. */
	assert_string_equal(buf_str(&end.out), "0\n1\n2\n1\n/\n");
#endif
	p.env = NULL;
	assert_int_equal(RUN(&p, "env"), 0);
	assert_null(strstr(buf_str(&end.out), "UW_SECRET"));
	assert_non_null(strstr(buf_str(&end.out), "PATH=/usr/local/sbin"));
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	signal(SIGPIPE, SIG_DFL);
}

static void
an_open_file_is_run_whatever_its_name_became(void **state)
{
	struct proc p = { 0 };
	char *path = fx_path("root/tool");

	(void)state;
	fx_put("root/tool", "#!/bin/sh\necho checked $1\n");
	assert_int_equal(chmod(path, 0755), 0);
	p.exe_fd = open(path, O_RDONLY | O_CLOEXEC);
#ifdef __linux__
	fx_put("root/other", "#!/bin/sh\necho swapped\n");
	assert_int_equal(rename(fx_path("root/other"), path), 0);
#endif
	assert_int_equal(RUN(&p, path, "arg"), 0);
	assert_string_equal(buf_str(&end.out), "checked arg\n");
	close(p.exe_fd);
	p.exe_fd = open("/bin/echo", O_RDONLY | O_CLOEXEC);
	p.cwd_fd = open(fx_path("root"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(RUN(&p, "/bin/echo", "binary"), 0);
	assert_string_equal(buf_str(&end.out), "binary\n");
	close(p.exe_fd);
	p.exe_fd = 0;
	assert_int_equal(RUN(&p, "ls"), 0);
	assert_string_equal(buf_str(&end.out), "tool\n");
	close(p.cwd_fd);
}

static void
limits_are_those_of_the_program_alone(void **state)
{
	struct proc p = { .limits = { .file_bytes = 1024, .open_files = 16, .cpu_s = 1 } };

	(void)state;
	assert_int_equal(SH(&p, "ulimit -n; ulimit -t"), 0);
	assert_string_equal(buf_str(&end.out), "16\n1\n");
	assert_int_equal(SH(&p, "while :; do :; done"), 0);
	assert_true(end.signal == SIGXCPU || end.signal == SIGKILL);
	fx_put("root/big", "");
	p.cwd_fd = open(fx_path("root"), O_RDONLY | O_DIRECTORY);
	assert_int_equal(SH(&p, "head -c 5000 /dev/zero >big"), 0);
	assert_true(end.signal == SIGXFSZ || end.status != 0);
	close(p.cwd_fd);
}

#ifdef __linux__
static void
a_program_dies_with_whoever_ran_it(void **state)
{
	struct proc p = { .cwd_fd = open(fx_path("root"), O_RDONLY | O_DIRECTORY) };
	int64_t until_ms = clock_mono_ms() + 5000;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		SH(&p, "echo $$ >>pids; exec sleep 86398");
		_exit(0);
	}
	while (noted(true) == 0)
		assert_true(clock_mono_ms() < until_ms);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (noted(true) != 0)
		assert_true(clock_mono_ms() < until_ms);
	close(p.cwd_fd);
}
#endif

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(output_and_exit_code_come_back),
		T(a_program_that_is_not_there_is_no_crash),
		T(large_input_and_output_do_not_block_each_other),
		T(the_first_of_the_output_and_the_last_of_the_errors_are_kept),
		T(time_runs_out_for_a_whole_tree_that_ignores_sigterm),
		T(a_program_that_floods_is_stopped_in_time),
		T(what_a_program_leaves_behind_does_not_hold_us),
		T(closing_its_output_early_does_not_end_a_program),
		T(nothing_is_inherited),
		T(an_open_file_is_run_whatever_its_name_became),
		T(limits_are_those_of_the_program_alone),
#ifdef __linux__
		T(a_program_dies_with_whoever_ran_it),
#endif
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	proc_end_release(&end);
	buf_free(&seen);
	return failed;
}
