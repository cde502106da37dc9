#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "frame.h"
#include "group.h"

#ifdef __APPLE__
#include <crt_externs.h>
#define environ (*_NSGetEnviron())      /* libraries have no other there */
#else
extern char **environ;
#endif

/* Away from the low numbers, so that putting it on 3 or 4 in the child overwrites nothing. */
static int
move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 16);

	close(fd);
	return up;
}

static int
pair_open(int fds[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return err_set(e, ERR_IO, "worker: socketpair: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		fds[i] = move_up(fds[i]);
	if (fds[0] < 0 || fds[1] < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK))
		return err_set(e, ERR_IO, "worker: socketpair: %s", strerror(errno));
#ifdef SO_NOSIGPIPE
	setsockopt(fds[0], SOL_SOCKET, SO_NOSIGPIPE, &(int){ 1 }, sizeof(int));
	setsockopt(fds[1], SOL_SOCKET, SO_NOSIGPIPE, &(int){ 1 }, sizeof(int));
#endif
	return 0;
}

#ifdef MFD_ALLOW_SEALING
static int
memory_open(void)
{
	return memfd_create("uni-wizard-worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* A worker that cut the memory short would kill us at the next look. */
static int
memory_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}
#else
static int
memory_open(void)
{
	char name[32];
	int fd;

	snprintf(name, sizeof name, "/uw%d.%llx", (int)getpid(), (unsigned long long)clock_mono_us());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd >= 0)
		shm_unlink(name);
	return fd;
}

static int
memory_seal(int fd)
{
	(void)fd;       /* shared memory objects cannot be cut short there */
	return 0;
}
#endif

static int
page_open(const struct launch *l, struct worker_page **page, struct err *e)
{
	void *at = MAP_FAILED;
	int fd = memory_open();

	if (fd >= 0)
		fd = move_up(fd);
	if (fd >= 0 && ftruncate(fd, sizeof **page) == 0 && memory_seal(fd) == 0)
		at = mmap(NULL, sizeof **page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		err_set(e, ERR_IO, "worker: shared memory: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*page = at;
	(*page)->parent = (int32_t)getpid();
	(*page)->grace_ms = l->grace_ms;
	(*page)->max_output = l->max_output;
	snprintf((*page)->temp, sizeof (*page)->temp, "%s", l->temp);
	atomic_store(&(*page)->not_begun, ~(uint64_t)0);
	return fd;
}

/* All of the environment goes along, for the configuration may refer to it; the worker clears it
 * before it serves. */
static char **
environ_with(char *mark_var)
{
	size_t n = 0, at = 0;
	char **env;

	while (environ[n])
		n++;
	env = xcalloc(n + 2, sizeof *env);
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], GROUP_MARK "=", sizeof GROUP_MARK) != 0)
			env[at++] = environ[i];
	env[at] = mark_var;
	return env;
}

static int
set_attr(posix_spawnattr_t *attr)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t all, none;

#ifdef POSIX_SPAWN_SETSID
	flags |= POSIX_SPAWN_SETSID;
#else
	flags |= POSIX_SPAWN_SETPGROUP;
#endif
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	sigemptyset(&none);
	return posix_spawnattr_setsigdefault(attr, &all) || posix_spawnattr_setsigmask(attr, &none) ||
	    posix_spawnattr_setflags(attr, flags);
}

static int
set_files(posix_spawn_file_actions_t *files, int socket, int page)
{
	return posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0) ||
	    posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0) ||
	    posix_spawn_file_actions_adddup2(files, socket, FRAME_SOCKET) ||
	    posix_spawn_file_actions_adddup2(files, page, FRAME_PAGE);
}

static int
exec_worker(const struct launch *l, int socket, int page, char *const argv[], pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	char mark[160], **env = environ_with(mark);
	int rc;

	snprintf(mark, sizeof mark, GROUP_MARK "=%s", l->mark);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	rc = set_attr(&attr) || set_files(&files, socket, page) ? ENOMEM :
	    posix_spawn(pid, l->exe, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	free(env);
	return rc;
}

/* argv of exec functions is not const by history; nothing writes to it. */
static char *
arg(const char *s)
{
	return (char *)(uintptr_t)s;
}

static int
pidfd_open_of(pid_t pid)
{
#ifdef SYS_pidfd_open
	return (int)syscall(SYS_pidfd_open, pid, 0);
#else
	(void)pid;
	return -1;
#endif
}

int
launch_worker(const struct launch *l, struct launched *out, struct err *e)
{
	char *argv[] = { arg(l->exe), arg("worker"), arg("--config"), arg(l->config_path), arg("--agent"),
		arg(l->agent), NULL };
	int fds[2] = { -1, -1 }, page = -1, rc = -1;

	*out = (struct launched){ .fd = -1, .pidfd = -1 };
	if (pair_open(fds, e) || (page = page_open(l, &out->page, e)) < 0)
		goto out;
	rc = exec_worker(l, fds[1], page, argv, &out->pid);
	if (rc) {
		rc = err_set(e, ERR_IO, "worker: cannot run %s: %s", l->exe, strerror(rc));
		goto out;
	}
	out->pidfd = pidfd_open_of(out->pid);
	out->fd = fds[0];
	fds[0] = -1;
out:
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (page >= 0)
		close(page);
	if (rc)
		launched_release(out);
	return rc;
}

void
launched_release(struct launched *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->pidfd >= 0)
		close(l->pidfd);
	if (l->page)
		munmap(l->page, sizeof *l->page);
	*l = (struct launched){ .fd = -1, .pidfd = -1 };
}
