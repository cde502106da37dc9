#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"

/* What the thread sends, whole or not at all. */
struct answer {
	size_t n;
	char text[ADDRESS_MAX][INET6_ADDRSTRLEN];
	char why[80];
};

/* The thread's alone. */
struct lookup {
	char *host;
	int fd;
};

static void
put_address(struct answer *a, const struct addrinfo *p)
{
	const void *ip = p->ai_family == AF_INET6 ? (const void *)&((struct sockaddr_in6 *)(void *)p->ai_addr)->sin6_addr
	    : (const void *)&((struct sockaddr_in *)(void *)p->ai_addr)->sin_addr;

	if (inet_ntop(p->ai_family, ip, a->text[a->n], INET6_ADDRSTRLEN))
		a->n++;
}

static void *
look(void *arg)
{
	struct lookup *l = arg;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC }, *list = NULL;
	struct answer a = { .n = 0 };
	int rc = getaddrinfo(l->host, NULL, &hints, &list);

	snprintf(a.why, sizeof a.why, "%s", rc ? gai_strerror(rc) : "");
	for (const struct addrinfo *p = list; p && a.n < ADDRESS_MAX; p = p->ai_next)
		put_address(&a, p);
	if (list)
		freeaddrinfo(list);
	/* Nobody may want to know any more. */
	if (send(l->fd, &a, sizeof a, MSG_NOSIGNAL) < 0)
		a.n = 0;
	close(l->fd);
	free(l->host);
	free(l);
	return NULL;
}

/* The process's signals are not this thread's business. */
static int
start_thread(struct lookup *l)
{
	pthread_t thread;
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, look, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		pthread_detach(thread);
	return rc;
}

static void
fail(struct address *d, int code)
{
	snprintf(d->why, sizeof d->why, "cannot look the name up: %s", strerror(code));
}

static void
start_lookup(struct address *d)
{
	struct lookup *l;
	int fds[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) {
		fail(d, errno);
		return;
	}
	for (int i = 0; i < 2; i++)
		fcntl(fds[i], F_SETFD, FD_CLOEXEC);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	l = xcalloc(1, sizeof *l);
	*l = (struct lookup){ .host = xstrdup(d->host), .fd = fds[1] };
	rc = start_thread(l);
	if (rc == 0) {
		d->fd = fds[0];
		d->looking = true;
		return;
	}
	fail(d, rc);
	close(fds[0]);
	close(fds[1]);
	free(l->host);
	free(l);
}

static bool
is_numeric(const char *host)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

void
address_look(struct address *d)
{
	if (d->looking)
		return;
	if (!is_numeric(d->host)) {
		start_lookup(d);
		return;
	}
	snprintf(d->text[0], sizeof d->text[0], "%s", d->host);
	d->n = 1;
}

void
address_read(struct address *d)
{
	struct answer a;
	ssize_t n = d->looking ? recv(d->fd, &a, sizeof a, 0) : -1;

	if (n < 0)
		return;
	address_release(d);
	if (n != sizeof a)
		a = (struct answer){ .why = "no answer" };
	memcpy(d->why, a.why, sizeof d->why);
	if (a.n == 0)
		return;
	memcpy(d->text, a.text, sizeof d->text);
	d->n = a.n;
}

void
address_release(struct address *d)
{
	if (d->looking)
		close(d->fd);
	d->looking = false;
}

const char *
address_text(const struct address *d)
{
	return d->text[d->at % d->n];
}

void
address_next(struct address *d)
{
	d->at++;
}
