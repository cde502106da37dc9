#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "group.h"
#include "save.h"

#define TICK_MS 10
#define LOG_MAX_BYTES (16 << 20)        /* beyond it a start begins a new one and keeps this as .1 */
#define TAIL_BYTES 4096
#define KILL_MS 5000

static char *
path_of(const char *dir, const char *kind, const char *name, const char *suffix)
{
	struct buf b = { 0 };

	buf_addf(&b, "%s/%s/%s%s", dir, kind, name, suffix);
	return buf_take(&b);
}

/* Start times count from the boot; the same number of another boot means nothing. */
static void
boot_id(char *out, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (!out[0])
		snprintf(out, size, "any");
	if (fd >= 0)
		close(fd);
}

/* Starting: in the child, until exec. */

static int
put_text(const char *dir, const char *name, const char *suffix, const char *text)
{
	char *path = path_of(dir, "run", name, suffix);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -1 : 0;

	if (fd >= 0 && close(fd))
		rc = -1;
	free(path);
	return rc;
}

/* Written by the process itself, so that there is none of which nothing is known; the pid comes last. */
static int
record(const char *dir, const char *name)
{
	char boot[64], text[160];

	boot_id(boot, sizeof boot);
	snprintf(text, sizeof text, "%s %lld\n", boot, (long long)group_start(getpid()));
	if (put_text(dir, name, ".start", text))
		return -1;
	snprintf(text, sizeof text, "%lld\n", (long long)getpid());
	return put_text(dir, name, ".pid", text);
}

static int
open_log(const char *dir, const char *name)
{
	char *path = path_of(dir, "log", name, ".log"), *old = path_of(dir, "log", name, ".log.1");
	struct stat st;
	int fd;

	if (stat(path, &st) == 0 && st.st_size > LOG_MAX_BYTES)
		rename(path, old);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	free(path);
	free(old);
	return fd;
}

/* A caller's pipe held open would keep whoever reads the command's output waiting for ever. */
static void
close_from(int first, int except)
{
	for (int fd = first; fd < except; fd++)
		close(fd);
	first = except + 1;
#if defined(__linux__) && defined(SYS_close_range)
	if (syscall(SYS_close_range, first, ~0u, 0) == 0)
		return;
#endif
	for (int fd = first; fd < 4096; fd++)
		close(fd);
}

static void
plain_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
}

/* A caller without standard descriptors would have these files take their place, to be closed by exec. */
static int
above_standard(int fd)
{
	int high = fd;

	if (fd >= 0 && fd < 3) {
		high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		close(fd);
	}
	return high;
}

static int
become(const char *dir, const char *name, char *const argv[], char *const env[], int report)
{
	int null = above_standard(open("/dev/null", O_RDWR | O_CLOEXEC)), log = above_standard(open_log(dir, name));

	if (setsid() < 0 || null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		return -1;
	close_from(3, report);
	plain_signals();
	umask(077);
	if (chdir(dir) || record(dir, name))
		return -1;
	if (env)
		execve(argv[0], argv, env);
	else
		execv(argv[0], argv);
	return -1;
}

static _Noreturn void
child(const char *dir, const char *name, char *const argv[], char *const env[], int report)
{
	int why;

	become(dir, name, argv, env, report);
	why = errno;
	daemon_forget(dir, name);
	if (write(report, &why, sizeof why) < 0)
		_exit(126);
	_exit(127);
}

/* End of file: exec closed the other end. */
static int
wait_exec(int fd, const char *program, struct err *e)
{
	int why = 0;
	ssize_t n;

	while ((n = read(fd, &why, sizeof why)) < 0 && errno == EINTR)
		;
	return n == 0 ? 0 : err_set(e, ERR_IO, "cannot run %s: %s", program, strerror(n < 0 ? errno : why));
}

static int
pipe_above_standard(int fds[2])
{
	if (pipe(fds))
		return -1;
	for (int i = 0; i < 2; i++) {
		fds[i] = above_standard(fds[i]);
		if (fds[i] >= 0)
			fcntl(fds[i], F_SETFD, FD_CLOEXEC);
	}
	return fds[0] < 0 || fds[1] < 0 ? -1 : 0;
}

int
daemon_start(const char *dir, const char *name, char *const argv[], char *const env[], struct err *e)
{
	int fds[2], rc;
	pid_t pid;

	if (pipe_above_standard(fds))
		return err_set(e, ERR_IO, "cannot make a pipe: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(dir, name, argv, env, fds[1]);
	rc = pid < 0 ? err_set(e, ERR_IO, "cannot start a process: %s", strerror(errno)) : 0;
	close(fds[1]);
	if (rc == 0)
		rc = wait_exec(fds[0], argv[0], e);
	close(fds[0]);
	return rc;
}

/* What is known */

static int
read_line(const char *dir, const char *name, const char *suffix, char *out, size_t size)
{
	char *path = path_of(dir, "run", name, suffix);
	struct buf text = { .max = size - 1 };
	int rc = save_read(path, &text, NULL);

	snprintf(out, size, "%s", buf_str(&text));
	out[strcspn(out, "\n")] = '\0';
	buf_free(&text);
	free(path);
	return rc;
}

/* Of what pid file and start file say, the process that is now there. */
static bool
is_same(const char *dir, const char *name, pid_t pid)
{
	char line[160], boot[64], then[64];
	long long start;

	if (read_line(dir, name, ".start", line, sizeof line) || sscanf(line, "%63s %lld", then, &start) != 2)
		return false;
	boot_id(boot, sizeof boot);
	return strcmp(boot, then) == 0 && start >= 0 && group_start(pid) == start;
}

pid_t
daemon_pid(const char *dir, const char *name)
{
	char line[32], *end;
	long pid;

	if (read_line(dir, name, ".pid", line, sizeof line))
		return 0;
	pid = strtol(line, &end, 10);
	return pid > 1 && pid <= INT_MAX && *end == '\0' && is_same(dir, name, (pid_t)pid) ? (pid_t)pid : 0;
}

/* The state follows the program's name, in which anything may be: behind the last parenthesis. */
bool
daemon_is_frozen(const char *dir, const char *name)
{
	char path[64], text[512], *end;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%lld/stat", (long long)daemon_pid(dir, name));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof text - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')');
	return end && strncmp(end, ") T", 3) == 0;
}

int64_t
daemon_since_ms(const char *dir, const char *name)
{
	char *path = path_of(dir, "run", name, ".pid");
	struct stat st;
	int64_t ms = stat(path, &st) ? 0 : (int64_t)st.st_mtime * 1000;

	free(path);
	return ms;
}

bool
daemon_known(const char *dir, const char *name)
{
	return daemon_since_ms(dir, name) != 0;
}

void
daemon_forget(const char *dir, const char *name)
{
	char *pid = path_of(dir, "run", name, ".pid"), *start = path_of(dir, "run", name, ".start");

	unlink(pid);
	unlink(start);
	free(pid);
	free(start);
}

bool
daemon_signal(const char *dir, const char *name, int signo)
{
	pid_t pid = daemon_pid(dir, name);

	return pid && kill(pid, signo) == 0;
}

bool
daemon_wait_end(const char *dir, const char *name, int64_t limit_ms)
{
	int64_t until = clock_mono_ms() + limit_ms;

	while (daemon_pid(dir, name)) {
		if (clock_mono_ms() >= until)
			return false;
		poll(NULL, 0, TICK_MS);
	}
	return true;
}

/* From the start of a line. */
static const char *
last_lines(const char *text, size_t len, int lines)
{
	const char *p = text + len;

	if (p > text && p[-1] == '\n')
		p--;
	for (; p > text; p--)
		if (p[-1] == '\n' && --lines == 0)
			break;
	return p;
}

void
daemon_log_tail(const char *dir, const char *name, int lines, struct buf *out)
{
	char *path = path_of(dir, "log", name, ".log"), text[TAIL_BYTES + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0 && (lseek(fd, -TAIL_BYTES, SEEK_END) >= 0 || lseek(fd, 0, SEEK_SET) == 0))
		n = read(fd, text, TAIL_BYTES);
	if (n > 0) {
		text[n] = '\0';
		buf_adds(out, last_lines(text, (size_t)n, lines));
	}
	if (fd >= 0)
		close(fd);
	free(path);
}

#ifdef __linux__

static bool
is_like(const char *pid, const char *args, size_t len)
{
	char path[300], line[8192];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, line, sizeof line);
		close(fd);
	}
	return n > 0 && memmem(line, (size_t)n, args, len);
}

/* A dying process has no command line any more while it still holds its ports and locks: wait for the end. */
static void
kill_and_wait(pid_t pid)
{
	int64_t until = clock_mono_ms() + KILL_MS;

	kill(pid, SIGKILL);
	while (group_start(pid) >= 0 && clock_mono_ms() < until)
		poll(NULL, 0, TICK_MS);
}

int
daemon_kill_like(const char *args, size_t len)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	int killed = 0;

	while (proc && (d = readdir(proc))) {
		long pid = strtol(d->d_name, NULL, 10);

		if (pid > 1 && pid <= INT_MAX && pid != getpid() && is_like(d->d_name, args, len)) {
			kill_and_wait((pid_t)pid);
			killed++;
		}
	}
	if (proc)
		closedir(proc);
	return killed;
}

#else

int
daemon_kill_like(const char *args, size_t len)
{
	(void)args;
	(void)len;
	return 0;
}

#endif
