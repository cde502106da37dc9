/*
 * echo.c - an HTTP server of the end-to-end tests that says back what it was sent: in the body, and the Authorization
 * header in a header.
 *
 *   echo [LOG [PORT]] >port
 *
 * Prints its port on the loopback, any that is free or the one that it is told, and serves one connection after the other until it is killed. What is asked of
 * /STATUS/AFTER/TIMES is answered with that status and, if not 0, that Retry-After, for the first times; then it is well.
 * A line is appended to LOG for each request: when in milliseconds, the status, the path.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
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

struct request {
	char path[256];
	int status, after_s;
};

static struct request
read_path(const struct buf *b)
{
	static int served;
	struct request r = { .status = 200 };
	int status, after_s, times;

	sscanf(buf_str(b), "%*s %255s", r.path);
	if (sscanf(r.path, "/%d/%d/%d", &status, &after_s, &times) == 3 && served++ < times) {
		r.status = status;
		r.after_s = after_s;
	}
	return r;
}

static void
note(const char *path, const struct request *r)
{
	FILE *f = path ? fopen(path, "a") : NULL;
	struct timespec t;

	if (!f)
		return;
	clock_gettime(CLOCK_REALTIME, &t);
	fprintf(f, "%lld %d %s\n", (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000, r->status, r->path);
	fclose(f);
}

static void
answer(int fd, const struct buf *request, const struct request *r)
{
	const char *auth = strstr(buf_str(request), "Authorization: ");
	struct buf b = { 0 };

	buf_addf(&b, "HTTP/1.1 %d Here\r\nContent-Type: text/plain\r\nConnection: close\r\n", r->status);
	if (r->after_s)
		buf_addf(&b, "Retry-After: %d\r\n", r->after_s);
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
main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	signal(SIGPIPE, SIG_IGN);
	if (argc > 2)
		a.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) || bind(fd, (struct sockaddr *)&a, sizeof a) ||
	    listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)&a, &len)) {
		fprintf(stderr, "echo: %s\n", strerror(errno));
		return 1;
	}
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	while ((one = accept(fd, NULL, NULL)) >= 0) {
		struct buf request = { 0 };

		struct request r;

		read_request(one, &request);
		r = read_path(&request);
		note(argc > 1 ? argv[1] : NULL, &r);
		answer(one, &request, &r);
		close(one);
		buf_free(&request);
	}
	return 1;
}
