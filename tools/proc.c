#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "clock.h"
#include "err.h"
#include "group.h"
#include "scratch.h"

#define DEFAULT_MS 60000        /* deadline of a caller that set none */
#define DRAIN_MS 250            /* what a program left behind may hold its output open after its end */
#define TICK_MS 20              /* how often its end is looked for where there is no pidfd */
#define MARK_MAX 160
#define TEMP_MAX 320
#define SCRATCH_LOOK_MS 1000    /* how often its temporary directory is looked at, at most ... */
#define SCRATCH_LOOK_SHARE 20   /* ... and how many times longer than a look this is */
#define MAX_TREE 256            /* descendants that are stopped one by one */

/* One running program. A descriptor that is closed is -1. */
struct child {
	const struct proc *p;
	struct proc_end *end;
	pid_t pid;
	int pidfd;
	int in, out, err;       /* our ends */
	int exec;               /* tells the errno of a failed exec */
	size_t written;
	bool gone;
	int64_t kill_ms;        /* when SIGTERM becomes SIGKILL; 0: not stopped yet */
	int64_t drain_ms;       /* until when output is awaited after the end */
	int64_t look_ms;        /* when its temporary directory is looked at next */
};

static void
shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int
pipe_cloexec(int fds[2])
{
#ifdef __linux__
	return pipe2(fds, O_CLOEXEC);
#else
	if (pipe(fds))
		return -1;
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	fcntl(fds[1], F_SETFD, FD_CLOEXEC);
	return 0;
#endif
}

/* The file to run: argv[0] itself when absolute, else the first in PROC_PATH. out has PATH_MAX bytes. */
static int
program_find(const char *name, char *out, struct err *e)
{
	static const char path[] = PROC_PATH;

	if (name[0] == '/') {
		snprintf(out, PATH_MAX, "%s", name);
		return 0;
	}
	for (const char *p = path; !strchr(name, '/') && *p;) {
		size_t n = strcspn(p, ":");
		struct stat st;

		snprintf(out, PATH_MAX, "%.*s/%s", (int)n, p, name);
		if (access(out, X_OK) == 0 && stat(out, &st) == 0 && S_ISREG(st.st_mode))
			return 0;
		p += n + (p[n] == ':');
	}
	return err_set(e, ERR_NOT_FOUND, "program %s is not installed (looked in %s)", name, path);
}

/* A script's interpreter opens /dev/fd/4 by name, so 4 stays open for it. */
static bool
is_script(int fd)
{
	char head[2];

	return pread(fd, head, 2, 0) == 2 && head[0] == '#' && head[1] == '!';
}

/* From here to exec only what POSIX allows between fork and exec. */

static void
close_from(int first)
{
	int max = (int)sysconf(_SC_OPEN_MAX);

#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
		return;
#endif
	if (max < 0 || max > 65536)
		max = 65536;
	for (int fd = first; fd < max; fd++)
		close(fd);
}

static void
limit(int what, int64_t value)
{
	struct rlimit r;

	if (value <= 0 || getrlimit(what, &r))
		return;
	if (r.rlim_max == RLIM_INFINITY || (rlim_t)value < r.rlim_max)
		r.rlim_max = (rlim_t)value;
	r.rlim_cur = r.rlim_max;
	setrlimit(what, &r);
}

static void
limits_apply(const struct proc_limits *l)
{
	limit(RLIMIT_AS, l->memory_bytes);
	limit(RLIMIT_CPU, l->cpu_s);
	limit(RLIMIT_FSIZE, l->file_bytes);
	limit(RLIMIT_NOFILE, l->open_files);
}

static void
signals_reset(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
die_with_parent(pid_t parent)
{
#ifdef __linux__
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
#else
	(void)parent;
#endif
}

/* Descriptors as the program shall see them: 0, 1, 2, the exec pipe as 3, its own file as 4. All
 * are first moved out of the way, for they may be any of these numbers. */
static void
arrange(int in, int out, int err, int exec, int exe_fd)
{
	int want[] = { in, out, err, exec, exe_fd };

	for (int i = 0; i < 5; i++)
		if (want[i] >= 0)
			want[i] = fcntl(want[i], F_DUPFD, 16);
	for (int i = 0; i < 5; i++)
		if (want[i] >= 0)
			dup2(want[i], i);
	close_from(exe_fd >= 0 ? 5 : 4);
	fcntl(3, F_SETFD, FD_CLOEXEC);
}

_Noreturn static void
give_up(int exec)
{
	int error = errno;

	_exit(write(exec, &error, sizeof error) < 0 ? 126 : 127);
}

_Noreturn static void
exec_child(const struct proc *p, const char *file, char *const *env, bool script)
{
	char *const *argv = (char *const *)(uintptr_t)p->argv;

	if (!script)
		fcntl(4, F_SETFD, FD_CLOEXEC);
#ifdef SYS_execveat
	if (p->exe_fd > 0)
		syscall(SYS_execveat, 4, "", argv, env, 0x1000 /* AT_EMPTY_PATH */);
	else
#endif
		execve(file, argv, env);
	give_up(3);
}

static const char *const default_env[] = {
	"PATH=" PROC_PATH, "HOME=/", "LANG=C.UTF-8", NULL
};

static const char *const *
env_of(const struct proc *p, char home[PATH_MAX + 8], const char *dflt[4])
{
	const char *h = getenv("HOME");

	if (p->env)
		return p->env;
	memcpy(dflt, default_env, sizeof default_env);
	if (h && snprintf(home, PATH_MAX + 8, "HOME=%s", h) < PATH_MAX + 8)
		dflt[1] = home;
	return dflt;
}

static bool
env_has(const char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return true;
	return false;
}

/* With the worker's own mark, by which the agent finds what outlived the worker, and the attempt's temporary
 * directory. The caller frees. */
static char **
env_complete(const char *const *env, char mark[MARK_MAX], char temp[TEMP_MAX])
{
	const char *value = getenv(GROUP_MARK), *dir = env_has(env, "TMPDIR") ? NULL : scratch_dir();
	size_t n = 0;
	char **out;

	while (env[n])
		n++;
	out = xcalloc(n + 3, sizeof *out);
	memcpy(out, env, n * sizeof *env);
	if (value && snprintf(mark, MARK_MAX, GROUP_MARK "=%s", value) < MARK_MAX)
		out[n++] = mark;
	if (dir && snprintf(temp, TEMP_MAX, "TMPDIR=%s", dir) < TEMP_MAX)
		out[n++] = temp;
	return out;
}

static int
pidfd_of(pid_t pid)
{
#ifdef SYS_pidfd_open
	return (int)syscall(SYS_pidfd_open, pid, 0);
#else
	(void)pid;
	return -1;
#endif
}

/* pipes: [0] in, [1] out, [2] err, [3] exec; the program's end comes first in [0] only. */
static int
child_fork(struct child *c, int pipes[4][2], const char *file, struct err *e)
{
	const struct proc *p = c->p;
	char home[PATH_MAX + 8], mark[MARK_MAX], temp[TEMP_MAX];
	const char *dflt[4];
	char **env = env_complete(env_of(p, home, dflt), mark, temp);
	bool script = p->exe_fd > 0 && is_script(p->exe_fd);
	pid_t parent = getpid();
	int walls = sandbox_program(&p->walls, e);

	c->pid = walls == -2 ? -1 : fork();
	if (c->pid) {
		free(env);
		if (walls == -2)
			return -1;
		if (c->pid < 0)
			return err_set(e, ERR_IO, "%s: cannot start a process: %s", p->argv[0], strerror(errno));
		c->pidfd = pidfd_of(c->pid);
		return 0;
	}
	die_with_parent(parent);
	if (p->cwd_fd > 0 ? fchdir(p->cwd_fd) : chdir("/"))
		give_up(pipes[3][1]);
	if (sandbox_program_enter(walls))
		give_up(pipes[3][1]);
	arrange(pipes[0][0], pipes[1][1], pipes[2][1], pipes[3][1], p->exe_fd > 0 ? p->exe_fd : -1);
	signals_reset();
	limits_apply(&p->limits);
	exec_child(p, file, env, script);
}

static int
open_pipes(const struct proc *p, int pipes[4][2], struct err *e)
{
	for (int i = 0; i < 4; i++)
		pipes[i][0] = pipes[i][1] = -1;
	if (p->in_len ? pipe_cloexec(pipes[0]) : (pipes[0][0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		return err_set(e, ERR_IO, "%s: no standard input: %s", p->argv[0], strerror(errno));
	for (int i = 1; i < 4; i++)
		if (pipe_cloexec(pipes[i]))
			return err_set(e, ERR_IO, "%s: no pipe: %s", p->argv[0], strerror(errno));
	return 0;
}

static int
exec_result(struct child *c, const char *file, struct err *e)
{
	int error = 0;
	ssize_t n;

	while ((n = read(c->exec, &error, sizeof error)) < 0 && errno == EINTR)
		continue;
	shut(&c->exec);
	if (n != (ssize_t)sizeof error)
		return 0;
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	c->gone = true;
	return err_set(e, error == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot run %s: %s%s", file,
	    strerror(error),
	    error == ENOENT ? " (the file or the interpreter its first line names)" : "");
}

static int
child_start(struct child *c, struct err *e)
{
	int pipes[4][2], rc = -1;
	char file[PATH_MAX];

	if (program_find(c->p->argv[0], file, e))
		return -1;
	if (open_pipes(c->p, pipes, e) == 0 && child_fork(c, pipes, file, e) == 0) {
		c->in = pipes[0][1];
		c->out = pipes[1][0];
		c->err = pipes[2][0];
		c->exec = pipes[3][0];
		pipes[0][1] = pipes[1][0] = pipes[2][0] = pipes[3][0] = -1;
		rc = 0;
	}
	for (int i = 0; i < 4; i++) {
		shut(&pipes[i][0]);
		shut(&pipes[i][1]);
	}
	if (rc || exec_result(c, file, e))
		return -1;
	for (int i = 0, fds[] = { c->in, c->out, c->err }; i < 3; i++)
		if (fds[i] >= 0)
			fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
	return 0;
}

/* The parent of a process, from /proc/<pid>/stat; 0 if it cannot be told. */
static pid_t
parent_of(pid_t pid)
{
	char path[48], text[512], *p;
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	p = strrchr(text, ')');
	return p && strlen(p) > 4 ? (pid_t)strtol(p + 4, NULL, 10) : 0;
}

static bool
among(const pid_t *v, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == pid)
			return true;
	return false;
}

/* The program and what it started. The worker's group is stopped as a whole elsewhere; this
 * is for a program that ran out of its own, shorter time while the worker goes on. */
static size_t
tree_of(pid_t top, pid_t v[MAX_TREE])
{
	size_t n = 1, before = 0;

	v[0] = top;
	while (before != n) {
		DIR *d = opendir("/proc");
		struct dirent *entry;

		before = n;
		while (d && (entry = readdir(d)) && n < MAX_TREE) {
			pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

			if (pid > 0 && !among(v, n, pid) && among(v, n, parent_of(pid)))
				v[n++] = pid;
		}
		if (d)
			closedir(d);
	}
	return n;
}

static void
stop_tree(pid_t top, int sig)
{
	pid_t v[MAX_TREE];
	size_t n = tree_of(top, v);

	while (n--)
		kill(v[n], sig);
}

static void
check_deadline(struct child *c, int64_t now_ms)
{
	int64_t deadline_ms = c->p->deadline_ms;

	if (c->gone)
		return;
	if (!c->kill_ms && now_ms >= deadline_ms) {
		c->end->timed_out = true;
		c->kill_ms = now_ms + c->p->grace_ms;
		stop_tree(c->pid, SIGTERM);
	}
	if (c->kill_ms && now_ms >= c->kill_ms) {
		stop_tree(c->pid, SIGKILL);
		c->kill_ms = now_ms + 1000;
	}
}

static void
check_scratch(struct child *c, int64_t now_ms)
{
	int64_t took_ms;

	if (c->gone || c->kill_ms || now_ms < c->look_ms)
		return;
	c->end->overfull = scratch_is_over();
	took_ms = clock_mono_ms() - now_ms;
	c->look_ms = now_ms + SCRATCH_LOOK_MS + SCRATCH_LOOK_SHARE * took_ms;
	if (c->end->overfull) {
		c->kill_ms = now_ms + c->p->grace_ms;
		stop_tree(c->pid, SIGTERM);
	}
}

static void
check_end(struct child *c, int64_t now_ms)
{
	int status;

	if (c->gone || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	c->gone = true;
	c->drain_ms = now_ms + DRAIN_MS;
	c->end->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	c->end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
keep_first(struct buf *b, size_t max, const char *text, size_t len)
{
	size_t room = b->len < max ? max - b->len : 0;

	buf_add(b, text, len < room ? len : room);
}

static void
keep_last(struct buf *b, size_t max, const char *text, size_t len)
{
	if (len >= max) {
		buf_clear(b);
		buf_add(b, text + len - max, max);
		return;
	}
	if (b->len + len > max) {
		size_t cut = b->len + len - max;

		memmove(b->data, b->data + cut, b->len - cut);
		buf_cut(b, b->len - cut);
	}
	buf_add(b, text, len);
}

static void
take_output(struct child *c, int *fd)
{
	bool err = fd == &c->err;
	struct proc_end *end = c->end;
	char text[16384];
	ssize_t n = read(*fd, text, sizeof text);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		shut(fd);
		return;
	}
	if (err) {
		end->err_total += (size_t)n;
		keep_last(&end->err, c->p->max_err, text, (size_t)n);
	} else {
		end->out_total += (size_t)n;
		keep_first(&end->out, c->p->max_out, text, (size_t)n);
	}
	if (c->p->on_output && (err || !c->p->live_err_only))
		c->p->on_output(c->p->arg, text, (size_t)n);
}

/* A program that does not read what it is given may end all the same. */
static void
give_input(struct child *c)
{
	ssize_t n = write(c->in, c->p->in + c->written, c->p->in_len - c->written);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->written += (size_t)n;
	if (n < 0 || c->written == c->p->in_len)
		shut(&c->in);
}

static int
wait_ms(const struct child *c, int64_t now_ms)
{
	int64_t until = c->gone ? c->drain_ms : c->kill_ms ? c->kill_ms : c->p->deadline_ms;
	int64_t ms = until > now_ms ? until - now_ms : 0;

	if (!c->gone && c->pidfd < 0 && ms > TICK_MS)
		ms = TICK_MS;
	if (!c->gone && c->look_ms > now_ms && ms > c->look_ms - now_ms)
		ms = c->look_ms - now_ms;
	return ms > 60000 ? 60000 : (int)ms;
}

static void
child_turn(struct child *c)
{
	struct pollfd fds[] = {
		{ .fd = c->out, .events = POLLIN },
		{ .fd = c->err, .events = POLLIN },
		{ .fd = c->in, .events = POLLOUT },
		{ .fd = c->gone ? -1 : c->pidfd, .events = POLLIN },
	};

	if (poll(fds, 4, wait_ms(c, clock_mono_ms())) < 0)
		return;
	if (c->p->on_output && !fds[0].revents && !fds[1].revents)
		c->p->on_output(c->p->arg, "", 0);
	if (fds[0].revents)
		take_output(c, &c->out);
	if (fds[1].revents)
		take_output(c, &c->err);
	if (fds[2].revents)
		give_input(c);
}

static bool
child_done(const struct child *c, int64_t now_ms)
{
	return c->gone && ((c->out < 0 && c->err < 0) || now_ms >= c->drain_ms);
}

static void
child_run(struct child *c)
{
	int64_t now_ms = clock_mono_ms();

	while (!child_done(c, now_ms)) {
		child_turn(c);
		now_ms = clock_mono_ms();
		check_end(c, now_ms);
		check_deadline(c, now_ms);
		check_scratch(c, now_ms);
	}
}

int
proc_run(const struct proc *p, struct proc_end *end, struct err *e)
{
	struct proc timed = *p;
	int64_t began_ms = clock_mono_ms();
	struct child c = { .p = &timed, .end = end, .pidfd = -1, .in = -1, .out = -1, .err = -1, .exec = -1,
		.look_ms = began_ms + SCRATCH_LOOK_MS };
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	int rc;

	*end = (struct proc_end){ .status = -1, .out.max = p->max_out + 1, .err.max = p->max_err + 1 };
	if (!timed.deadline_ms)
		timed.deadline_ms = began_ms + DEFAULT_MS;
	sigaction(SIGPIPE, &ignore, &old);
	rc = child_start(&c, e);
	if (rc == 0)
		child_run(&c);
	sigaction(SIGPIPE, &old, NULL);
	end->ms = clock_mono_ms() - began_ms;
	shut(&c.in);
	shut(&c.out);
	shut(&c.err);
	shut(&c.exec);
	shut(&c.pidfd);
	if (rc == 0 && end->timed_out)
		return err_set(e, ERR_TIMEOUT, "%s was stopped after %lld ms", p->argv[0],
		    (long long)end->ms);
	if (rc == 0 && end->overfull)
		return err_set(e, ERR_TOO_BIG, "%s was stopped: its temporary directory holds more than %lld bytes "
		    "(workers.temp_bytes)", p->argv[0], (long long)scratch_max());
	return rc;
}

void
proc_end_release(struct proc_end *end)
{
	buf_free(&end->out);
	buf_free(&end->err);
}
