/*
 * echo.c - an HTTP server of the end-to-end tests that says back what it was sent: in the body, and the Authorization
 * header in a header.
 *
 *   echo >port
 *
 * Prints its port on the loopback, and serves one connection after the other until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"

#define REQUEST_MAX 65536

/* Up to the empty line; a body that follows is not waited for. */
static void
read_request(int fd, struct buf *b)
{
	ssize_t n = 1;

	while (n > 0 && b->len < REQUEST_MAX && !strstr(buf_str(b), "\r\n\r\n")) {
		char *to = buf_reserve(b, 4096);

		n = recv(fd, to, 4095, 0);
		if (n > 0) {
			b->len += (size_t)n;
			b->data[b->len] = '\0';
		}
	}
}

static void
answer(int fd, const struct buf *request)
{
	const char *auth = strstr(buf_str(request), "Authorization: ");
	struct buf b = { 0 };

	buf_addf(&b, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n");
	if (auth)
		buf_addf(&b, "X-Echo: %.*s\r\n", (int)strcspn(auth, "\r\n"), auth);
	buf_addf(&b, "Content-Length: %zu\r\n\r\n", request->len);
	buf_add(&b, buf_str(request), request->len);
	for (size_t at = 0; at < b.len;) {
		ssize_t n = send(fd, b.data + at, b.len - at, 0);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	shutdown(fd, SHUT_WR);
	while (recv(fd, b.data, b.len, 0) > 0)
		continue;
	buf_free(&b);
}

int
main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), one;

	signal(SIGPIPE, SIG_IGN);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)&a, &len)) {
		fprintf(stderr, "echo: %s\n", strerror(errno));
		return 1;
	}
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	while ((one = accept(fd, NULL, NULL)) >= 0) {
		struct buf request = { 0 };

		read_request(one, &request);
		answer(one, &request);
		close(one);
		buf_free(&request);
	}
	return 1;
}
