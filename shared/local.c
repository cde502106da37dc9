#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "buf.h"
#include "clock.h"
#include "err.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0          /* SO_NOSIGPIPE is set instead */
#endif

#define CHUNK 65536

struct local {
	int fd;
	struct buf in;
	size_t at;              /* where the next line begins */
	size_t looked;          /* up to here there is no newline after at */
};

static int64_t
deadline(int64_t timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : clock_mono_ms() + timeout_ms;
}

/* 1: ready, 0: not before the deadline, -1: failed. */
static int
wait_for(int fd, short events, int64_t until_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int rc, ms = -1;

	do {
		if (until_ms != INT64_MAX) {
			int64_t left = until_ms - clock_mono_ms();

			ms = left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
		}
		rc = poll(&p, 1, ms);
	} while (rc < 0 && errno == EINTR);
	return rc;
}

static int
no_agent(const char *path, int error, struct err *e)
{
	return err_set(e, ERR_NETWORK, "no agent at %s: %s", path, strerror(error));
}

/* A listener whose queue is full says EAGAIN at once; it is asked again. */
static int
connect_until(int fd, const struct sockaddr_un *sa, int64_t until_ms)
{
	while (connect(fd, (const struct sockaddr *)sa, sizeof *sa)) {
		int error = 0;
		socklen_t size = sizeof error;

		if (errno == EISCONN)
			return 0;
		if (errno == EAGAIN && clock_mono_ms() < until_ms) {
			poll(NULL, 0, 5);
			continue;
		}
		if (errno != EINPROGRESS && errno != EINTR)
			return -1;
		if (wait_for(fd, POLLOUT, until_ms) == 0)
			error = ETIMEDOUT;
		else
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error) {
			errno = error;
			return -1;
		}
	}
	return 0;
}

static int
socket_new(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_NONBLOCK)) {
		close(fd);
		return -1;
	}
#ifdef SO_NOSIGPIPE
	setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &(int){ 1 }, sizeof(int));
#endif
	return fd;
}

int
local_open(struct local **out, const char *path, int64_t timeout_ms, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	*out = NULL;
	if (strlen(path) >= sizeof sa.sun_path)
		return err_set(e, ERR_CONFIG, "%s: too long for a socket, at most %zu bytes", path,
		    sizeof sa.sun_path - 1);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket_new();
	if (fd < 0)
		return no_agent(path, errno, e);
	if (connect_until(fd, &sa, deadline(timeout_ms))) {
		no_agent(path, errno, e);
		close(fd);
		return -1;
	}
	*out = xcalloc(1, sizeof **out);
	(*out)->fd = fd;
	(*out)->in.max = LOCAL_LINE_MAX + CHUNK;
	return 0;
}

void
local_close(struct local *l)
{
	if (!l)
		return;
	close(l->fd);
	buf_free(&l->in);
	free(l);
}

int
local_fd(const struct local *l)
{
	return l->fd;
}

static int
send_all(struct local *l, const char *p, size_t len, int64_t until_ms, struct err *e)
{
	while (len) {
		ssize_t n = send(l->fd, p, len, MSG_NOSIGNAL);

		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (wait_for(l->fd, POLLOUT, until_ms) == 0)
				return err_set(e, ERR_TIMEOUT, "the agent takes nothing");
		} else if (errno != EINTR) {
			return err_set(e, ERR_NETWORK, "the agent is gone: %s", strerror(errno));
		}
	}
	return 0;
}

int
local_send(struct local *l, const char *line, size_t len, int64_t timeout_ms, struct err *e)
{
	int64_t until_ms = deadline(timeout_ms);

	return send_all(l, line, len, until_ms, e) || send_all(l, "\n", 1, until_ms, e) ? -1 : 0;
}

static bool
next_line(struct local *l, char **line, size_t *len)
{
	char *from, *nl;

	if (!l->in.len)
		return false;
	from = l->in.data + l->at;
	nl = memchr(from + l->looked, '\n', l->in.len - l->at - l->looked);
	if (!nl) {
		l->looked = l->in.len - l->at;
		return false;
	}
	*nl = '\0';
	*line = from;
	*len = (size_t)(nl - from);
	l->at += *len + 1;
	l->looked = 0;
	return true;
}

/* 1: something came, 0: nothing there, -1: gone. */
static int
receive(struct local *l, struct err *e)
{
	ssize_t n;
	char *to;

	if (l->at) {
		memmove(l->in.data, l->in.data + l->at, l->in.len - l->at);
		buf_cut(&l->in, l->in.len - l->at);
		l->at = 0;
	}
	to = l->in.len > LOCAL_LINE_MAX ? NULL : buf_reserve(&l->in, CHUNK);
	if (!to)
		return err_set(e, ERR_TOO_BIG, "the agent sent a line of more than %u bytes", LOCAL_LINE_MAX);
	do
		n = recv(l->fd, to, CHUNK, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n <= 0)
		return err_set(e, ERR_NETWORK, "the agent is gone: %s", n ? strerror(errno) : "end of file");
	l->in.len += (size_t)n;
	return 1;
}

int
local_read(struct local *l, int64_t timeout_ms, char **line, size_t *len, struct err *e)
{
	int64_t until_ms = deadline(timeout_ms);
	int rc;

	while (!next_line(l, line, len)) {
		rc = receive(l, e);
		if (rc < 0)
			return -1;
		if (rc == 0 && wait_for(l->fd, POLLIN, until_ms) == 0)
			return 0;
	}
	return 1;
}
