#include "tooltest.h"

#include <pwd.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "host.h"
#include "mount.h"
#include "process.h"

static void
system_info_tells_what_the_system_tells(void **state)
{
	struct utsname u;

	(void)state;
	assert_int_equal(uname(&u), 0);
	fx_ok(fx_run("system_info", "{}"));
	assert_string_equal(fx_str("kernel.release"), u.release);
	assert_string_equal(fx_str("host"), u.nodename);
	assert_string_equal(fx_str("architecture"), u.machine);
	assert_int_equal(fx_int("cpu.count"), sysconf(_SC_NPROCESSORS_ONLN));
	assert_true(fx_int("memory.total_bytes") > 1 << 24);
	assert_true(fx_int("memory.available_bytes") <= fx_int("memory.total_bytes"));
	assert_int_equal(cJSON_GetArraySize(fx_at("load")), 3);
	assert_true(fx_str("os.name")[0]);
}

static void
boot_time_and_uptime_agree(void **state)
{
	int64_t booted;

	(void)state;
	fx_ok(fx_run("system_info", "{}"));
	assert_int_equal(clock_parse(fx_str("booted"), &booted, NULL), 0);
	assert_true(llabs(clock_wall_ms() - booted - fx_int("uptime_s") * 1000) < 5000);
}

static void
system_info_takes_no_parameters(void **state)
{
	(void)state;
	fx_failed(fx_run("system_info", "{'x':1}"), ERR_INVALID, "params.x");
}

static void
meminfo_and_os_release_are_parsed(void **state)
{
	struct host_memory m;
	struct host_system s = { .id = "linux" };

	(void)state;
	assert_true(host_meminfo_parse("MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n", &m));
	assert_int_equal(m.total, 2097152);
	assert_int_equal(m.available, 1048576);
	assert_int_equal(m.swap_total, 0);
	assert_false(host_meminfo_parse("", &m));
	assert_false(host_meminfo_parse("NotMemTotal: 3 kB\nMemTotal", &m));
	host_os_release_parse("PRETTY_NAME=\"A \\\"B\\\" C\"\nVERSION_ID=12\nID='debian'\nXID=no", &s);
	assert_string_equal(s.id, "debian");
	assert_string_equal(s.version, "12");
	assert_string_equal(s.name, "A \\\"B\\\" C");
}

static pid_t
tail_child(const char *argument)
{
	int ready[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(fcntl(ready[1], F_SETFD, FD_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(null, 2);
		alarm(30);
		execlp("tail", "tail", "-f", "/dev/null", "--", argument, NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], (char[1]){ 0 }, 1), 0);         /* it has become tail */
	close(ready[0]);
	return pid;
}

static void
end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static const cJSON *
listed(pid_t pid)
{
	const cJSON *p;
	int64_t n;

	cJSON_ArrayForEach(p, fx_at("processes"))
		if (json_int(cJSON_GetObjectItemCaseSensitive(p, "pid"), &n) && n == pid)
			return p;
	return NULL;
}

static const char *
text_of(const cJSON *p, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, name));
}

static void
a_process_is_listed_with_its_facts(void **state)
{
	pid_t pid = tail_child("/dev/null");
	struct passwd *pw = getpwuid(geteuid());
	const cJSON *p;
	int64_t n, began;

	(void)state;
	fx_ok(fx_run("process_list", "{'name':'tail','sort':'start','limit':5000}"));
	p = listed(pid);
	assert_non_null(p);
	assert_string_equal(text_of(p, "name"), "tail");
	assert_string_equal(text_of(p, "user"), pw ? pw->pw_name : "0");
	assert_true(json_int(cJSON_GetObjectItemCaseSensitive(p, "ppid"), &n) && n == getpid());
	assert_int_equal(clock_parse(text_of(p, "started"), &began, NULL), 0);
	assert_true(llabs(clock_wall_ms() - began) < 10000);
	end_child(pid);
}

static void
command_lines_are_shown_only_when_asked_for_and_without_secrets(void **state)
{
	pid_t pid = tail_child("--password=s3cr3t-t0ken-value");

	(void)state;
	fx.config.nsecrets = 1;
	fx.config.secrets[0] = (struct config_secret){ .name = "API_TOKEN", .value = "s3cr3t-t0ken-value" };
	fx_ok(fx_run("process_list", "{'name':'tail','limit':5000}"));
	assert_null(text_of(listed(pid), "args"));
	fx_ok(fx_run("process_list", "{'name':'tail','limit':5000,'args':true}"));
	assert_string_equal(text_of(listed(pid), "args"),
	    "tail -f /dev/null -- --password=[secret API_TOKEN]");
	fx.config.nsecrets = 0;
	end_child(pid);
}

static void
processes_are_filtered_sorted_and_cut(void **state)
{
	int64_t last = INT64_MAX, n;
	const cJSON *p;

	(void)state;
	fx_ok(fx_run("process_list", "{'sort':'memory','limit':5000}"));
	cJSON_ArrayForEach(p, fx_at("processes")) {
		assert_true(json_int(cJSON_GetObjectItemCaseSensitive(p, "rss_bytes"), &n) && n <= last);
		last = n;
	}
	assert_int_equal(fx_int("listed"), fx_int("matched"));
	/* the kernel counts in batches per processor: a process that has just begun may have none yet */
	assert_true(json_int(cJSON_GetObjectItemCaseSensitive(listed(getpid()), "rss_bytes"), &n) && n > 0);
	fx_ok(fx_run("process_list", "{'limit':1}"));
	assert_int_equal(cJSON_GetArraySize(fx_at("processes")), 1);
	assert_true(fx_true("truncated"));
	fx_ok(fx_run("process_list", "{'user':'%u','limit':5000}", (unsigned)geteuid()));
	assert_non_null(listed(getpid()));
	fx_ok(fx_run("process_list", "{'user':'4294967294','limit':5000}"));
	assert_int_equal(fx_int("matched"), 0);
	fx_failed(fx_run("process_list", "{'user':'no-such-user'}"), ERR_NOT_FOUND, "params.user");
	fx_failed(fx_run("process_list", "{'sort':'luck'}"), ERR_INVALID, "params.sort");
}

static void
a_small_limit_on_results_cuts_the_list(void **state)
{
	(void)state;
	fx.max_output = 1000;
	fx_ok(fx_run("process_list", "{'limit':5000}"));
	fx.max_output = 262144;
	assert_true(fx_true("truncated"));
}

/* The parser has to find its way through names with parentheses, blanks and line ends. */
static void
stat_lines_with_odd_names_are_parsed(void **state)
{
	static const char line[] = "42 (a) R 1 (x\n) S 7 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 200 "
	    "1000 25 18446744073709551615 0 0";
	struct process p;

	(void)state;
	assert_true(process_stat_parse(line, 1000, 100, 4096, &p));
	assert_int_equal(p.pid, 42);
	assert_string_equal(p.name, "a) R 1 (x\n");
	assert_int_equal(p.state, 'S');
	assert_int_equal(p.ppid, 7);
	assert_int_equal(p.cpu_ms, 2000);
	assert_int_equal(p.threads, 3);
	assert_int_equal(p.began_ms, 3000);
	assert_int_equal(p.rss, 25 * 4096);
	assert_false(p.kernel);
	assert_false(process_stat_parse("", 0, 100, 4096, &p));
	assert_false(process_stat_parse("42 )( S", 0, 100, 4096, &p));
	assert_false(process_stat_parse("42 (name) S 1", 0, 100, 4096, &p));
}

static void
arguments_are_kept_apart(void **state)
{
	struct buf b = { 0 };

	(void)state;
	process_args_format("sh\0-c\0two words\0\0x", 18, &b);
	assert_string_equal(buf_str(&b), "sh -c 'two words' '' x");
	buf_free(&b);
}

static void
file_systems_are_as_full_as_statvfs_says(void **state)
{
	struct statvfs st;
	const cJSON *m;
	bool found = false;
	int64_t n;

	(void)state;
	assert_int_equal(statvfs("/", &st), 0);
	fx_ok(fx_run("disk_usage", "{}"));
	cJSON_ArrayForEach(m, fx_at("mounts"))
		if (strcmp(text_of(m, "mount"), "/") == 0) {
			found = true;
			assert_true(json_int(cJSON_GetObjectItemCaseSensitive(m, "size_bytes"), &n));
			assert_int_equal(n, (int64_t)st.f_blocks * (int64_t)st.f_frsize);
		}
	assert_true(found);
	cJSON_ArrayForEach(m, fx_at("mounts"))
		assert_string_not_equal(text_of(m, "type"), "proc");
}

static void
lines_of_mountinfo_are_parsed(void **state)
{
	char good[] = "36 35 98:2 /a /mnt/with\\040blank\\134 rw,noatime shared:1 master:2 - ext4 "
	    "/dev/sda\\0401 rw";
	char cut[] = "36 35 98:0 /a - ext4 /dev/sda1 rw", none[] = "nonsense";
	char number[] = "1 2 x:y /a /b rw - t d o";
	struct mount m;

	(void)state;
	assert_true(mount_parse(good, &m));
	assert_string_equal(m.path, "/mnt/with blank\\");
	assert_string_equal(m.type, "ext4");
	assert_string_equal(m.device, "/dev/sda 1");
	assert_int_equal(m.id, (uint64_t)98 << 32 | 2);
	assert_false(mount_parse(cut, &m));
	assert_false(mount_parse(none, &m));
	assert_false(mount_parse(number, &m));
}

static void
percentages_are_rounded_up(void **state)
{
	struct mount m = { .used = 1, .available = 999999 }, full = { .used = 10 }, none = { 0 };

	(void)state;
	assert_true(mount_used_percent(&m) > 0.05 && mount_used_percent(&m) < 0.15);
	assert_true(mount_used_percent(&full) == 100);
	assert_true(mount_used_percent(&none) == 0);
}

/* As du(1) adds it up. */
static int64_t
du(const char *path)
{
	int fds[2];
	char text[256] = "";
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execlp("du", "du", "-s", "-k", "-x", path, NULL);
		_exit(127);
	}
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof text - 1) > 0);
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return strtoll(text, NULL, 10) * 1024;
}

static void
a_directory_is_added_up_as_du_does(void **state)
{
	char big[50001];
	struct stat st;

	(void)state;
	memset(big, 'x', 50000);
	big[50000] = '\0';
	assert_int_equal(mkdir(fx_path("root/d"), 0755), 0);
	assert_int_equal(mkdir(fx_path("root/d/sub"), 0755), 0);
	fx_put("root/d/sub/big", big);
	fx_put("root/d/small", "x");
	assert_int_equal(link(fx_path("root/d/sub/big"), fx_path("root/d/zz-same")), 0);
	assert_int_equal(symlink("/", fx_path("root/d/link")), 0);
	fx_ok(fx_run("disk_usage", "{'path':'d'}"));
	assert_int_equal(stat(fx_path("root/d"), &st), 0);
	assert_int_equal(fx_int("bytes") + (int64_t)st.st_blocks * 512, du(fx_path("root/d")));
	assert_int_equal(fx_int("apparent_bytes"), 50001);
	assert_int_equal(fx_int("files"), 4);
	assert_int_equal(fx_int("dirs"), 1);
	assert_string_equal(fx_str("largest.0.name"), "sub");
	assert_int_equal(fx_int("largest.0.files"), 1);
	assert_true(fx_true("complete"));
	fx_ok(fx_run("disk_usage", "{'path':'d','limit':1}"));
	assert_int_equal(fx_int("total"), 4);
	assert_true(fx_true("truncated"));
}

static void
a_directory_outside_of_the_roots_is_refused(void **state)
{
	(void)state;
	fx_failed(fx_run("disk_usage", "{'path':'/etc'}"), ERR_PATH, "params.path");
	fx_failed(fx_run("disk_usage", "{'path':'../outside'}"), ERR_PATH, "params.path");
	assert_int_equal(symlink(fx_path("outside"), fx_path("root/way-out")), 0);
	fx_failed(fx_run("disk_usage", "{'path':'way-out'}"), ERR_PATH, "params.path");
	fx_failed(fx_run("disk_usage", "{'path':'none'}"), ERR_NOT_FOUND, "params.path");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_info_tells_what_the_system_tells),
		cmocka_unit_test(boot_time_and_uptime_agree),
		cmocka_unit_test(system_info_takes_no_parameters),
		cmocka_unit_test(meminfo_and_os_release_are_parsed),
		cmocka_unit_test(a_process_is_listed_with_its_facts),
		cmocka_unit_test(command_lines_are_shown_only_when_asked_for_and_without_secrets),
		cmocka_unit_test(processes_are_filtered_sorted_and_cut),
		cmocka_unit_test(a_small_limit_on_results_cuts_the_list),
		cmocka_unit_test(stat_lines_with_odd_names_are_parsed),
		cmocka_unit_test(arguments_are_kept_apart),
		cmocka_unit_test(file_systems_are_as_full_as_statvfs_says),
		cmocka_unit_test(lines_of_mountinfo_are_parsed),
		cmocka_unit_test(percentages_are_rounded_up),
		cmocka_unit_test(a_directory_is_added_up_as_du_does),
		cmocka_unit_test(a_directory_outside_of_the_roots_is_refused),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
