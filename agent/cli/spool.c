#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <uv.h>

#include "err.h"

/* BSDs declare it nowhere. */
extern char **environ;

static void
lock_path(const struct config *c, const char *identity, char *out, size_t size)
{
	snprintf(out, size, "%s/outbox-%s.lock", c->state_dir, identity);
}

int
spool_lock(const struct config *c, const char *identity, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	lock_path(c, identity, path, sizeof path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return err_set(e, ERR_BUSY, "another process sends this outbox already");
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		close(fd);
		return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	}
	return fd;
}

/* The pid in the file counts only while somebody holds the lock. */
void
spool_stop(const struct config *c, const char *identity)
{
	char path[PATH_MAX], text[24] = "";
	long pid;
	int fd;

	lock_path(c, identity, path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) && read(fd, text, sizeof text - 1) > 0 &&
	    (pid = strtol(text, NULL, 10)) > 1)
		kill((pid_t)pid, SIGTERM);
	for (int i = 0; i < 200 && flock(fd, LOCK_EX | LOCK_NB); i++)
		poll(NULL, 0, 10);
	close(fd);
}

/* Twice removed, so that nobody has to wait for it. */
static int
spawn_detached(char *const argv[], const char *exe)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		if (setsid() < 0 || fork() != 0)
			_exit(0);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		for (int fd = 3; fd < 256; fd++)
			close(fd);
		execve(exe, argv, environ);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

int
spool_start(const struct config *c, const char *identity, struct err *e)
{
	char exe[PATH_MAX];
	size_t len = sizeof exe;
	char *argv[] = { "uni-wizard", "outbox", "send", "--within", "86400", "--config", c->path, "--as",
		(char *)identity, NULL };

	if (uv_exepath(exe, &len) || spawn_detached(argv, exe))
		return err_set(e, ERR_IO, "cannot start the outbox's sender: %s", strerror(errno));
	return 0;
}
