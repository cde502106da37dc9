/*
 * cut.c - a cable that can be cut: cut PORT relays what connects to it to that port of this machine.
 *
 * Prints the port that it has itself. SIGUSR1 cuts: connections end, and no others are taken; SIGUSR2 mends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

#define ENDS 64                 /* two of each connection, beside each other */
#define LOOK_MS 100             /* for signals, if one came right before poll() */

static volatile sig_atomic_t is_cut;

static void
on_signal(int signum)
{
	is_cut = signum == SIGUSR1;
}

static int
listen_at(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	socklen_t len = sizeof *at;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof *at) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)at, &len))
		fatal("cut: port %d", ntohs(at->sin_port));
	return fd;
}

static void
drop(struct pollfd *end)
{
	for (int i = 0; i < 2; i++) {
		if (end[i].fd >= 0)
			close(end[i].fd);
		end[i].fd = -1;
	}
}

static void
take(int listener, struct pollfd *ends, const struct sockaddr_in *to)
{
	int fd = accept(listener, NULL, NULL), other = socket(AF_INET, SOCK_STREAM, 0), on = 1, i = 0;

	while (i < ENDS && ends[i].fd >= 0)
		i += 2;
	if (fd < 0 || i >= ENDS || connect(other, (const struct sockaddr *)to, sizeof *to)) {
		close(fd);
		close(other);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(other, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	ends[i].fd = fd;
	ends[i + 1].fd = other;
}

/* Whoever does not read holds up the other way too, as little as agents and brokers do that. */
static bool
carry(int from, int to)
{
	char text[65536];
	ssize_t n = read(from, text, sizeof text);

	for (ssize_t at = 0, sent; at < n; at += sent)
		if ((sent = write(to, text + at, (size_t)(n - at))) <= 0)
			return false;
	return n > 0;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET }, to = at;
	struct pollfd fds[1 + ENDS], *ends = fds + 1;
	struct sigaction sa = { .sa_handler = on_signal };

	if (argc != 2)
		fatalx("usage: cut PORT");
	at.sin_addr.s_addr = to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)strtol(argv[1], NULL, 10));
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i <= ENDS; i++)
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	fds[0].fd = listen_at(&at);
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	for (;;) {
		if (is_cut && fds[0].fd >= 0) {
			close(fds[0].fd);
			fds[0].fd = -1;
			for (int i = 0; i < ENDS; i += 2)
				drop(ends + i);
		} else if (!is_cut && fds[0].fd < 0) {
			fds[0].fd = listen_at(&at);
		}
		if (poll(fds, 1 + ENDS, LOOK_MS) <= 0)
			continue;
		if (fds[0].revents)
			take(fds[0].fd, ends, &to);
		for (int i = 0; i < ENDS; i++)
			if (ends[i].fd >= 0 && ends[i].revents && !carry(ends[i].fd, ends[i ^ 1].fd))
				drop(ends + (i & ~1));
	}
}
