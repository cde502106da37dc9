#include "tooltest.h"

#ifdef __linux__
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "path.h"

static int
try_open(const char *path, int flags)
{
	int fd;

	fx.e = (struct err){ 0 };
	fd = path_open(&fx.env.roots, "path", path, flags, 0644, &fx.e);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -1;
}

static void
opens(const char *path, int flags)
{
	if (try_open(path, flags))
		fail_msg("%s: %s", path, fx.e.msg);
}

static void
refuses(const char *path, int flags, enum err_code code)
{
	if (try_open(path, flags) == 0)
		fail_msg("%s was opened", path);
	if (fx.e.code != code || !fx.e.msg[0])
		fail_msg("%s: %s: %s", path, err_code_name(fx.e.code), fx.e.msg);
}

static void
make_files(void)
{
	assert_int_equal(mkdir(fx_path("root/d"), 0755), 0);
	fx_put("root/d/f", "x");
	fx_put("outside/s", "secret");
	fx_put("ro/f", "x");
	assert_int_equal(symlink("../outside", fx_path("root/out")), 0);
	assert_int_equal(symlink("/", fx_path("root/slash")), 0);
	assert_int_equal(symlink("/proc/self/root", fx_path("root/magic")), 0);
	assert_int_equal(symlink("loop", fx_path("root/loop")), 0);
}

/* Both ways of resolving must agree on these. */
static void
check_all(void)
{
	char name[NAME_MAX + 1];
	int dir;

	opens(fx_path("root/d/f"), O_RDONLY);
	opens("d/f", O_RDONLY);
	opens(".", O_RDONLY | O_DIRECTORY);
	opens(fx_path("root"), O_RDONLY | O_DIRECTORY);
	opens(fx_path("root//d///f"), O_RDONLY);
	opens("./d/./f", O_RDONLY);
	opens("d/new", O_WRONLY | O_CREAT);
	opens(fx_path("ro/f"), O_RDONLY);
	refuses("", O_RDONLY, ERR_PATH);
	refuses("/", O_RDONLY, ERR_PATH);
	refuses("..", O_RDONLY, ERR_PATH);
	refuses("../outside/s", O_RDONLY, ERR_PATH);
	refuses("d/../../outside/s", O_RDONLY, ERR_PATH);
	refuses("out/s", O_RDONLY, ERR_PATH);
	refuses("slash/etc/passwd", O_RDONLY, ERR_PATH);
	refuses("magic/etc/passwd", O_RDONLY, ERR_PATH);
	refuses("loop", O_RDONLY, ERR_PATH);
	refuses(fx_path("outside/s"), O_RDONLY, ERR_PATH);
	refuses(fx_path("root/../outside/s"), O_RDONLY, ERR_PATH);
	refuses(fx_path("root2"), O_RDONLY, ERR_PATH);
	refuses("/proc/self/cwd", O_RDONLY, ERR_PATH);
	refuses(fx_path("ro/f"), O_WRONLY, ERR_PATH);
	refuses(fx_path("ro/new"), O_RDONLY | O_CREAT, ERR_PATH);
	refuses("none", O_RDONLY, ERR_NOT_FOUND);
	refuses("d/f/x", O_RDONLY, ERR_NOT_FOUND);
	dir = path_open_parent(&fx.env.roots, "path", "d/f", name, sizeof name, &fx.e);
	assert_true(dir >= 0);
	assert_string_equal(name, "f");
	close(dir);
	assert_int_equal(path_open_parent(&fx.env.roots, "path", "out/s", name, sizeof name, &fx.e), -1);
	assert_int_equal(fx.e.code, ERR_PATH);
	assert_int_equal(path_open_parent(&fx.env.roots, "path", "d/..", name, sizeof name, &fx.e), -1);
	assert_int_equal(path_open_parent(&fx.env.roots, "path", fx_path("ro/f"), name, sizeof name, &fx.e),
	    -1);
}

static void
paths_stay_beneath_their_roots(void **state)
{
	(void)state;
	make_files();
	check_all();
	/* Only the kernel's own resolving follows links that stay inside. */
	assert_int_equal(symlink("d/f", fx_path("root/in")), 0);
	opens("in", O_RDONLY);
}

#ifdef __linux__
/* As on a kernel without openat2. */
static void
forbid_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof code / sizeof *code, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(77);
	if (syscall(SYS_openat2, -1, "", NULL, 0) != -1 || errno != ENOSYS)
		_exit(78);
}

static void
paths_stay_beneath_their_roots_without_openat2(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	make_files();
	pid = fork();
	if (pid == 0) {
		forbid_openat2();
		check_all();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}
#endif

static void
a_root_may_be_named_through_a_link(void **state)
{
	struct path_roots roots = { .n = 0 };
	struct config c = { .nhouses = 0 };
	int fd;

	(void)state;
	fx_put("root/f", "x");
	assert_int_equal(symlink("root", fx_path("alias")), 0);
	c.roots.v[c.roots.n++] = fx_path("alias");
	path_roots_open(&roots, &c, fx_warn, NULL);
	fd = path_open(&roots, "path", fx_path("alias/f"), O_RDONLY, 0, &fx.e);
	assert_true(fd >= 0);
	close(fd);
	fd = path_open(&roots, "path", fx_path("root/f"), O_RDONLY, 0, &fx.e);
	assert_true(fd >= 0);
	close(fd);
	path_roots_close(&roots);
}

static int warnings;

static void
count(const char *msg, void *arg)
{
	(void)arg;
	assert_non_null(strstr(msg, "left out"));
	warnings++;
}

static void
a_root_that_is_missing_is_left_out_with_a_warning(void **state)
{
	struct path_roots roots = { .n = 0 };
	struct config c = { .nhouses = 0 };

	(void)state;
	fx_put("file", "x");
	c.roots.v[c.roots.n++] = fx_path("none");
	c.roots.v[c.roots.n++] = fx_path("file");
	warnings = 0;
	path_roots_open(&roots, &c, count, NULL);
	assert_int_equal(warnings, 2);
	assert_int_equal(roots.n, 0);
	assert_int_equal(path_open(&roots, "path", "x", O_RDONLY, 0, &fx.e), -1);
	assert_non_null(strstr(fx.e.msg, "none is configured"));
	path_roots_close(&roots);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(paths_stay_beneath_their_roots),
#ifdef __linux__
		T(paths_stay_beneath_their_roots_without_openat2),
#endif
		T(a_root_may_be_named_through_a_link),
		T(a_root_that_is_missing_is_left_out_with_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
