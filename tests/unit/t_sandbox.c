/*
 * What a worker and its programs may still do. A sandbox is for good, so each test enters it in a child of
 * its own, which says what is wrong and ends with 1.
 */
#include "tooltest.h"

#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "proc.h"
#include "sandbox.h"
#include "scratch.h"

#define CHECK(condition) do {                                                                          \
	if (!(condition)) {                                                                            \
		fprintf(stderr, "t_sandbox.c:%d: %s (errno %d)\n", __LINE__, #condition, errno);       \
		_exit(1);                                                                              \
	}                                                                                              \
} while (0)

static struct scratch pool_scratch;
static struct proc_end end;
static struct err e;
static int walls;
static const char *more_writes[] = { NULL, NULL };

static void
enter(void)
{
	static struct sandbox s;
	static char temp[SCRATCH_PATH + 16];

	snprintf(temp, sizeof temp, "%s/0", pool_scratch.path);
	CHECK(scratch_begin(temp, fx.config.temp_bytes, &e) == 0);
	s = (struct sandbox){ .config = &fx.config, .roots = &fx.env.roots, .temp = temp, .writes = more_writes };
	walls = sandbox_enter(&s, &e);
	if (walls < 0)
		fprintf(stderr, "%s\n", e.msg);
	CHECK(walls >= 0);
}

static void
in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		enter();
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int
setup(void **state)
{
	fx_setup(state);
	fx.config.state_dir = xstrdup(fx_path("state"));
	fx.config.pki_dir = xstrdup(fx_path("pki"));
	fx.config.temp_bytes = 1 << 20;
	for (const char *const *d = (const char *const[]){ "state", "pki", "temp", NULL }; *d; d++)
		assert_int_equal(mkdir(fx_path("%s", *d), 0711), 0);
	fx_put("state/db", "canary");
	fx_put("pki/key", "canary");
	fx_put("ro/file", "text");
	fx_put("outside/file", "text");
	assert_int_equal(scratch_open(&pool_scratch, fx_path("temp"), "t-1", &e), 0);
	return 0;
}

static int
teardown(void **state)
{
	scratch_close(&pool_scratch);
	free(fx.config.state_dir);
	free(fx.config.pki_dir);
	return fx_teardown(state);
}

static int
sh_as(struct sandbox_program p, const char *script)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	struct proc q = { .argv = argv, .deadline_ms = clock_mono_ms() + 20000, .grace_ms = 500, .max_out = 65536,
		.max_err = 4096, .walls = p };
	int rc;

	proc_end_release(&end);
	e = (struct err){ 0 };
	rc = proc_run(&q, &end, &e);
	return rc ? -1 : end.signal ? 128 + end.signal : end.status;
}

static int
sh(const char *fmt, ...)
{
	char script[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(script, sizeof script, fmt, ap);
	va_end(ap);
	return sh_as((struct sandbox_program){ .writes = more_writes }, script);
}

static bool
can_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool
has_landlock(void)
{
	return sandbox_offers(&fx.config) >> SANDBOX_LANDLOCK;
}

#ifdef __linux__

static const struct { const char *name; long nr; int error; } refused[] = {
#ifndef SANITIZED
	{ "ptrace", SYS_ptrace, EPERM },
	{ "process_vm_readv", SYS_process_vm_readv, EPERM },
#endif
	{ "process_vm_writev", SYS_process_vm_writev, EPERM },
	{ "mount", SYS_mount, EPERM }, { "umount2", SYS_umount2, EPERM }, { "pivot_root", SYS_pivot_root, EPERM },
	{ "fsopen", 430, EPERM }, { "move_mount", 429, EPERM }, { "mount_setattr", 442, EPERM },
	{ "unshare", SYS_unshare, EPERM }, { "setns", SYS_setns, EPERM }, { "clone3", 435, ENOSYS },
	{ "init_module", SYS_init_module, EPERM }, { "finit_module", SYS_finit_module, EPERM },
	{ "delete_module", SYS_delete_module, EPERM }, { "kexec_load", SYS_kexec_load, EPERM },
	{ "kexec_file_load", SYS_kexec_file_load, EPERM }, { "reboot", SYS_reboot, EPERM },
	{ "swapon", SYS_swapon, EPERM }, { "swapoff", SYS_swapoff, EPERM },
	{ "settimeofday", SYS_settimeofday, EPERM }, { "clock_settime", SYS_clock_settime, EPERM },
	{ "bpf", SYS_bpf, EPERM }, { "perf_event_open", SYS_perf_event_open, EPERM },
	{ "userfaultfd", SYS_userfaultfd, EPERM }, { "add_key", SYS_add_key, ENOSYS },
	{ "request_key", SYS_request_key, ENOSYS }, { "keyctl", SYS_keyctl, ENOSYS },
	{ "io_uring_setup", 425, ENOSYS }, { "acct", SYS_acct, EPERM }, { "sethostname", SYS_sethostname, EPERM },
	{ "open_by_handle_at", SYS_open_by_handle_at, EPERM }, { "pidfd_getfd", 438, EPERM },
#ifdef __x86_64__
	{ "iopl", SYS_iopl, EPERM }, { "ioperm", SYS_ioperm, EPERM },
	{ "x32 getpid", 0x40000000 + SYS_getpid, ENOSYS },
#endif
};

static void
try_refused(void)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		errno = 0;
		if (syscall(refused[i].nr, -1L, -1L, -1L, -1L, -1L, -1L) != -1 || errno != refused[i].error) {
			fprintf(stderr, "%s: errno %d\n", refused[i].name, errno);
			_exit(1);
		}
	}
	CHECK(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) == -1 && errno == EPERM);
	CHECK(syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0) == -1 && errno == EPERM);
#ifdef __x86_64__
	long rc;

	/* The same kernel by its 32-bit door: 20 is getpid there. */
	__asm__ volatile ("int $0x80" : "=a"(rc) : "a"(20) : "memory");
	CHECK(rc == -ENOSYS);
#endif
}

static void
what_no_tool_needs_is_refused(void **state)
{
	(void)state;
	in_child(try_refused);
}

static void *
do_nothing(void *arg)
{
	return arg;
}

static void
try_usual(void)
{
	pthread_t t;
	int fds[2];
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
	CHECK(pthread_create(&t, NULL, do_nothing, NULL) == 0 && pthread_join(t, NULL) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	CHECK(sh("echo a | cat >/dev/null; (exit 3)") == 3);
	CHECK(sh("sleep 0.01 & wait; kill -0 $PPID") == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(walls & SANDBOX_SECCOMP);
}

static void
what_tools_need_works(void **state)
{
	(void)state;
	in_child(try_usual);
}

static void
try_writing(void)
{
	CHECK(can_write(fx_path("root/a")));
	CHECK(!can_write(fx_path("ro/b")) && errno == EACCES);
	CHECK(!can_write(fx_path("outside/b")) && errno == EACCES);
	CHECK(!can_write(fx_path("outside/file")) && errno == EACCES);
	CHECK(!can_write(fx_path("state/b")) && errno == EACCES);
	CHECK(!can_write("/tmp/uw-t-sandbox") && errno == EACCES);
	CHECK(can_write("/dev/null"));
	CHECK(mkdir(fx_path("root/dir"), 0700) == 0);
	CHECK(rename(fx_path("root/a"), fx_path("root/dir/a")) == 0);
	CHECK(link(fx_path("root/dir/a"), fx_path("root/b")) == 0);
	CHECK(truncate(fx_path("root/b"), 10) == 0);
	CHECK(symlink("../outside", fx_path("root/out")) == 0);
	CHECK(!can_write(fx_path("root/out/b")) && errno == EACCES);
	CHECK(rename(fx_path("root/dir/a"), fx_path("outside/a")) == -1);
	CHECK(link(fx_path("outside/file"), fx_path("root/stolen")) == -1);
	CHECK(unlink(fx_path("outside/file")) == -1 && errno == EACCES);
	CHECK(truncate(fx_path("outside/file"), 0) == -1);
	CHECK(mkdir(fx_path("outside/dir"), 0700) == -1 && errno == EACCES);
	CHECK(mknod(fx_path("root/dev"), S_IFCHR | 0600, 0x103) == -1);
	CHECK(sh("echo x >%s", fx_path("outside/c")) != 0);
	CHECK(sh("echo x >%s", fx_path("root/c")) == 0);
	CHECK(sh("rm -rf %s", fx_path("outside")) != 0);
}

static void
nothing_is_written_but_beneath_the_roots(void **state)
{
	(void)state;
	if (!has_landlock())
		skip();
	in_child(try_writing);
	assert_string_equal(fx_get("outside/file"), "text");
}

static void
try_more_writes(void)
{
	CHECK(sh("echo x >%s", fx_path("outside/c")) == 0);
	more_writes[0] = NULL;
	CHECK(sh("echo x >%s", fx_path("outside/d")) != 0);
}

/* What the manifest of one tool allows is for that tool alone. */
static void
a_manifest_may_allow_more(void **state)
{
	char *dir = xstrdup(fx_path("outside"));

	(void)state;
	if (!has_landlock())
		skip();
	more_writes[0] = dir;
	in_child(try_more_writes);
	more_writes[0] = NULL;
	free(dir);
}

static void
try_reading_only(void)
{
	struct sandbox_program p = { .read_only = true };
	char script[1024];

	snprintf(script, sizeof script, "echo x >%s", fx_path("root/no"));
	CHECK(sh_as(p, script) != 0);
	snprintf(script, sizeof script, "cat %s >/dev/null && echo x >$TMPDIR/x && cat $TMPDIR/x", fx_path("ro/file"));
	CHECK(sh_as(p, script) == 0);
	CHECK(can_write(fx_path("root/yes")));
}

static void
a_program_that_only_reads_cannot_write(void **state)
{
	(void)state;
	if (!has_landlock())
		skip();
	in_child(try_reading_only);
}

static void
try_hidden(void)
{
	FILE *f;

	CHECK(sh("cat %s", fx_path("pki/key")) != 0);
	CHECK(sh("cat %s", fx_path("state/db")) != 0);
	CHECK(sh("cp -r %s %s", fx_path("pki"), fx_path("root/copy")) != 0);
	CHECK(sh("ln %s %s && cat %s", fx_path("pki/key"), fx_path("root/key"), fx_path("root/key")) != 0);
	CHECK(sh("cat %s", fx_path("root/link")) != 0);
	CHECK(sh("cat %s", fx_path("houses.yaml")) != 0);
	CHECK(sh("cat %s", fx_path("secret")) != 0);
	CHECK(sh("cat %s", fx_path("outside/file")) == 0);
	CHECK(sh("cat %s", fx_path("replaced")) == 0);
	CHECK(sh("cat /etc/passwd /proc/self/status") == 0);
	/* As editors do it, after the sandbox was entered; here its tests come from outside of it. */
	kill(getppid(), SIGUSR1);
	while (!(f = fopen(fx_path("root/go"), "r")))
		usleep(1000);
	CHECK(sh("cat %s", fx_path("replaced")) == 0);
	CHECK(strcmp(buf_str(&end.out), "new") == 0);
}

static void
replace(int sig)
{
	(void)sig;
	fx_put("replaced.new", "new");
	if (rename(fx_path("replaced.new"), fx_path("replaced")) == 0)
		fx_put("root/go", "");
}

static void
what_is_the_agents_is_not_read_by_programs(void **state)
{
	struct config_secret *s = &fx.config.secrets[fx.config.nsecrets++];

	(void)state;
	if (!has_landlock())
		skip();
	*s = (struct config_secret){ .name = "S", .value = "canary", .file = xstrdup(fx_path("secret")) };
	fx.config.path = xstrdup(fx_path("houses.yaml"));
	fx_put("houses.yaml", "canary");
	fx_put("secret", "canary");
	fx_put("replaced", "old");
	assert_int_equal(chmod(fx_path("houses.yaml"), 0600) | chmod(fx_path("secret"), 0600), 0);
	assert_int_equal(symlink("../pki/key", fx_path("root/link")), 0);
	signal(SIGUSR1, replace);
	in_child(try_hidden);
	signal(SIGUSR1, SIG_DFL);
	free(s->file);
	free(fx.config.path);
}

static void
try_to_look_in(void)
{
	CHECK(sh("cat /proc/$PPID/environ") != 0);
	CHECK(sh("head -c 1 /proc/$PPID/mem") != 0);
	CHECK(sh("readlink /proc/$PPID/fd/0") != 0);
	CHECK(sh("readlink /proc/%d/cwd", (int)getppid()) != 0);
	CHECK(sh("cat /proc/self/environ >/dev/null && readlink /proc/self/fd/0") == 0);
	CHECK(sh("cat /proc/%d/environ", (int)getppid()) != 0);
	CHECK(sh("cat /proc/$PPID/stat /proc/$PPID/cmdline") == 0);
}

static void
programs_cannot_look_into_the_worker_or_the_agent(void **state)
{
	(void)state;
	if (!has_landlock())
		skip();
	in_child(try_to_look_in);
}

#endif

static bool
limit_is(int what, rlim_t n)
{
	struct rlimit r;

	return getrlimit(what, &r) == 0 && r.rlim_max == n && r.rlim_cur == n;
}

static void
try_limits(void)
{
	CHECK(limit_is(RLIMIT_NOFILE, 200));
	CHECK(limit_is(RLIMIT_FSIZE, 65536));
	CHECK(limit_is(RLIMIT_NPROC, 4000));
	signal(SIGXFSZ, SIG_IGN);
	CHECK(sh("ulimit -n; head -c 100000 /dev/zero >$TMPDIR/big") != 0);
	CHECK(strncmp(buf_str(&end.out), "200\n", 4) == 0);
}

static void
limits_hold_for_workers_and_programs(void **state)
{
	(void)state;
	fx.config.worker_open_files = 200;
	fx.config.worker_file_bytes = 65536;
	fx.config.worker_processes = 4000;
	in_child(try_limits);
}

static void
try_temporary(void)
{
	char first[512];
	struct stat st;

	CHECK(sh("echo x >$TMPDIR/x; echo $TMPDIR; umask 0; mkdir -m 0 $TMPDIR/closed; mkdir $TMPDIR/d; "
	    "ln -s %s $TMPDIR/d/out; mkfifo $TMPDIR/d/p; touch $TMPDIR/d/-f; chmod 500 $TMPDIR/d",
	    fx_path("root")) == 0);
	snprintf(first, sizeof first, "%.*s", (int)strcspn(end.out.data, "\n"), end.out.data);
	CHECK(stat(first, &st) == 0 && (st.st_mode & 0777) == 0700);
	/* Programs of one attempt share it. */
	CHECK(sh("cat $TMPDIR/x") == 0);
	CHECK(sh("cd $TMPDIR; i=0; while [ $i -lt 300 ]; do mkdir d$i && cd -P d$i || exit; i=$((i+1)); done; echo x >f")
	    == 0);
	CHECK(sh("chmod 0 $TMPDIR") == 0);
	scratch_end();
	/* The next attempt finds an empty one. */
	CHECK(stat(first, &st) == 0 && (st.st_mode & 0777) == 0700);
	CHECK(sh("ls -A $TMPDIR") == 0 && end.out.len == 0);
	scratch_end();
	CHECK(sh("test -d %s", fx_path("root")) == 0);
}

static void
each_attempt_has_a_temporary_directory_of_its_own(void **state)
{
	(void)state;
	in_child(try_temporary);
	assert_int_equal(rmdir(fx_path("temp%s/0", strrchr(pool_scratch.path, '/'))), 0);
}

static void
try_overfull(void)
{
	int64_t began_ms = clock_mono_ms();

	CHECK(sh("head -c 3000000 /dev/zero >$TMPDIR/big; exec sleep 30") == -1);
	CHECK(clock_mono_ms() - began_ms < 10000);
	CHECK(end.overfull && e.code == ERR_TOO_BIG && strstr(e.msg, "1048576 bytes"));
	scratch_end();
	CHECK(sh("head -c 300000 /dev/zero >$TMPDIR/big; sleep 1.3") == 0);
	scratch_end();
}

static void
who_fills_it_is_stopped(void **state)
{
	(void)state;
	in_child(try_overfull);
}

/* The lock tells whose process is gone. */
static void
what_a_dead_pool_left_is_removed(void **state)
{
	char left[SCRATCH_PATH], living[SCRATCH_PATH];
	struct scratch third;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct scratch mine;

		CHECK(scratch_open(&mine, fx_path("temp"), "t-2", &e) == 0);
		CHECK(mkdir(fx_path("temp/%s/0", strrchr(mine.path, '/')), 0700) == 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	snprintf(left, sizeof left, "%s", pool_scratch.path);
	assert_int_equal(scratch_open(&third, fx_path("temp"), "t-3", &e), 0);
	snprintf(living, sizeof living, "%s", third.path);
	assert_int_equal(access(left, F_OK) | access(living, F_OK), 0);
	scratch_close(&third);
	assert_int_equal(access(living, F_OK), -1);
	scratch_close(&pool_scratch);
	assert_int_equal(rmdir(fx_path("temp")), 0);
	assert_int_equal(scratch_open(&third, fx_path("temp"), "t-3", &e), -1);
	assert_non_null(strstr(e.msg, "workers.temp_dir"));
}

static uid_t nobody;

static void
try_user(void)
{
	struct stat st;

	CHECK(walls & SANDBOX_USER);
	CHECK(getuid() == nobody && geteuid() == nobody && setuid(0) == -1);
	CHECK(open("/etc/shadow", O_RDONLY) < 0);
	/* What holds the roots it may pass through and not list. */
	CHECK(open(fx.top, O_RDONLY) < 0 && sh("cat %s", fx_path("ro/file")) == 0);
	CHECK(sh("cat %s", fx_path("state/db")) != 0 || !has_landlock());
	CHECK(sh("id -u; echo x >$TMPDIR/x") == 0);
	CHECK(strtol(end.out.data, NULL, 10) == (long)nobody);
	CHECK(stat(scratch_dir(), &st) == 0 && st.st_uid == nobody);
	scratch_end();
}

static void
an_agent_that_is_root_runs_tools_as_another_user(void **state)
{
	struct passwd *pw = getpwnam("nobody");

	(void)state;
	if (geteuid() != 0 || !pw)
		skip();
	nobody = pw->pw_uid;
	fx.config.worker_user = xstrdup("nobody");
	assert_int_equal(chmod(fx.top, 0711) | chmod(fx_path("temp"), 0711), 0);
	assert_int_equal(sandbox_check(&fx.config, &e), 0);
	in_child(try_user);
	free(fx.config.worker_user);
	fx.config.worker_user = xstrdup("no-such-user");
	assert_int_equal(sandbox_check(&fx.config, &e), -1);
	assert_non_null(strstr(e.msg, "no user no-such-user"));
	free(fx.config.worker_user);
	fx.config.worker_user = NULL;
}

static void
only_root_can_do_that(void **state)
{
	struct passwd *pw = getpwnam("nobody");
	int status;
	pid_t pid;

	(void)state;
	if (!pw)
		skip();
	fx.config.worker_user = xstrdup("root");
	pid = fork();
	if (pid == 0) {
		CHECK(geteuid() != 0 || setuid(pw->pw_uid) == 0);
		CHECK(sandbox_check(&fx.config, &e) == -1);
		CHECK(strstr(e.msg, "only an agent that runs as root"));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	free(fx.config.worker_user);
	fx.config.worker_user = NULL;
}

static void
works(const char *tool, const char *params, const char *path)
{
	char text[1024];

	snprintf(text, sizeof text, params, path);
	if (fx_run(tool, "%s", text))
		fprintf(stderr, "%s: %s\n", tool, fx.e.msg);
	CHECK(fx.e.code == ERR_NONE);
}

static void
try_tools(void)
{
	fx_put("root/repo/new", "text");
	works("git_status", "{'repo_path':'%s'}", fx_path("root/repo"));
	works("git_commit", "{'repo_path':'%s','message':'m','paths':['new']}", fx_path("root/repo"));
	works("git_push", "{'repo_path':'%s'}", fx_path("root/repo"));
	works("git_log", "{'repo_path':'%s'}", fx_path("root/repo"));
	works("git_checkout", "{'repo_path':'%s','ref':'other','create':true}", fx_path("root/repo"));
	works("git_worktree", "{'repo_path':'%s','path':'tree','ref':'tree','start':'other'}", fx_path("root/repo"));
	works("file_write", "{'path':'%s','content':'x'}", fx_path("root/w"));
	works("disk_usage", "{%s}", "");
	works("process_list", "{%s}", "");
	works("system_info", "{%s}", "");
	works("deploy", "{'source':'repo/new','target':'%s'}", fx_path("root/to"));
	CHECK(sh("type curl || exit 0; curl -s file:///etc/passwd -o $TMPDIR/x && test -s $TMPDIR/x") == 0);
	CHECK(sh("type systemctl || exit 0; systemctl --version") == 0);
	scratch_end();
}

static void
tools_work_inside(void **state)
{
	(void)state;
	if (access("/usr/bin/git", X_OK))
		skip();
	EXEC("git", "init", "-q", "--bare", "-b", "main", fx_path("root/far.git"));
	EXEC("git", "clone", "-q", fx_path("root/far.git"), fx_path("root/repo"));
	EXEC("git", "-C", fx_path("root/repo"), "checkout", "-q", "-b", "main");
	EXEC("git", "-C", fx_path("root/repo"), "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q",
	    "--allow-empty", "-m", "first");
	EXEC("git", "-C", fx_path("root/repo"), "push", "-q", "-u", "origin", "main");
	EXEC("cp", "tools/tools.d/deploy", "tools/tools.d/deploy.json", fx_path("tools.d"));
	fx_reload();
	in_child(try_tools);
}

static double
us_each(int n)
{
	int64_t began_us = clock_mono_us();

	for (int i = 0; i < n; i++)
		if (sh("exit 0"))
			return -1;
	return (double)(clock_mono_us() - began_us) / n;
}

static void
time_inside(void)
{
	printf("# a program, inside of the sandbox: %.0f us\n", us_each(200));
	fflush(stdout);
	scratch_end();
}

static void
what_it_costs_to_start_a_program(void **state)
{
	(void)state;
	printf("# a program, without a sandbox: %.0f us\n", us_each(200));
	in_child(time_inside);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef __linux__
		TEST(what_no_tool_needs_is_refused),
		TEST(what_tools_need_works),
		TEST(nothing_is_written_but_beneath_the_roots),
		TEST(a_manifest_may_allow_more),
		TEST(a_program_that_only_reads_cannot_write),
		TEST(what_is_the_agents_is_not_read_by_programs),
		TEST(programs_cannot_look_into_the_worker_or_the_agent),
#endif
		TEST(limits_hold_for_workers_and_programs),
		TEST(each_attempt_has_a_temporary_directory_of_its_own),
		TEST(who_fills_it_is_stopped),
		TEST(what_a_dead_pool_left_is_removed),
		TEST(an_agent_that_is_root_runs_tools_as_another_user),
		TEST(only_root_can_do_that),
		TEST(tools_work_inside),
		TEST(what_it_costs_to_start_a_program),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
