/*
 * server.h - a small HTTP server for tests: a process of its own on a free loopback port, one child per
 * connection, behaving well or badly as the path says. With TLS if there is a certificate.
 */
#ifndef UW_SERVER_H
#define UW_SERVER_H

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "buf.h"

#define SERVER_LIFE_S 30        /* no test takes longer; then what is left ends by itself */

struct server {
	pid_t pid;
	int port;
	int other_port;         /* where /away redirects to */
	SSL_CTX *tls;           /* NULL: plain */
	atomic_int *requests;   /* how many were read to their end; shared with the test */
};

struct conn {
	struct server *s;
	int fd;
	SSL *ssl;
	char head[16384];       /* request line and headers */
	size_t head_len;
	struct buf body;
};

static void
conn_write(struct conn *c, const void *p, size_t len)
{
	while (len) {
		ssize_t n = c->ssl ? SSL_write(c->ssl, p, (int)len) : write(c->fd, p, len);

		if (n <= 0)
			_exit(0);       /* the client has gone */
		p = (const char *)p + n;
		len -= (size_t)n;
	}
}

static void
conn_puts(struct conn *c, const char *text)
{
	conn_write(c, text, strlen(text));
}

static ssize_t
conn_read(struct conn *c, void *p, size_t len)
{
	return c->ssl ? SSL_read(c->ssl, p, (int)len) : read(c->fd, p, len);
}

static void
conn_read_request(struct conn *c)
{
	char *end = NULL, *length;
	size_t want, have;

	while (!end) {
		ssize_t n = conn_read(c, c->head + c->head_len, sizeof c->head - 1 - c->head_len);

		if (n <= 0)
			_exit(0);
		c->head_len += (size_t)n;
		c->head[c->head_len] = '\0';
		end = strstr(c->head, "\r\n\r\n");
	}
	end += 4;
	have = c->head_len - (size_t)(end - c->head);
	buf_add(&c->body, end, have);
	*end = '\0';
	length = strcasestr(c->head, "\r\ncontent-length:");
	want = length ? (size_t)strtoll(length + 17, NULL, 10) : 0;
	while (c->body.len < want) {
		char part[4096];
		ssize_t n = conn_read(c, part, sizeof part);

		if (n <= 0)
			_exit(0);
		buf_add(&c->body, part, (size_t)n);
	}
	atomic_fetch_add(c->s->requests, 1);
}

static void
answer(struct conn *c, const char *status, const char *headers, const char *body, size_t len)
{
	struct buf b = { 0 };

	buf_addf(&b, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n", status, headers,
	    len);
	buf_add(&b, body, len);
	conn_write(c, b.data, b.len);
	buf_free(&b);
}

static void
at_text(struct conn *c)
{
	answer(c, "200 OK", "Content-Type: text/plain\r\nX-Twice: a\r\nX-Twice: b\r\n", "hello\n", 6);
}

static void
at_json(struct conn *c)
{
	static const char body[] = "{\"a\": [1, 2, {\"b\": \"c\"}]}";

	answer(c, "200 OK", "Content-Type: application/json; charset=utf-8\r\n", body, strlen(body));
}

static void
at_bad_json(struct conn *c)
{
	answer(c, "200 OK", "Content-Type: application/json\r\n", "{\"a\":1,\"a\":2}", 13);
}

static void
at_deep_json(struct conn *c)
{
	struct buf b = { 0 };

	for (int i = 0; i < 31; i++)
		buf_addc(&b, '[');
	for (int i = 0; i < 31; i++)
		buf_addc(&b, ']');
	answer(c, "200 OK", "Content-Type: application/json\r\n", b.data, b.len);
}

static void
at_binary(struct conn *c)
{
	answer(c, "200 OK", "Content-Type: image/png\r\n", "\x89PNG\0\xff", 6);
}

/* What came, as text. */
static void
at_echo(struct conn *c)
{
	struct buf b = { 0 };

	buf_adds(&b, c->head);
	buf_add(&b, c->body.data, c->body.len);
	answer(c, "200 OK", "Content-Type: text/plain\r\n", b.data, b.len);
}

static void
at_leak(struct conn *c)
{
	const char *auth = strcasestr(c->head, "\r\nauthorization: ");
	char headers[512];

	auth = auth ? auth + 17 : "";
	snprintf(headers, sizeof headers, "X-Echo: %.*s\r\n", (int)strcspn(auth, "\r"), auth);
	answer(c, "403 Forbidden", headers, c->head, strlen(c->head));
}

static void
at_hop(struct conn *c)
{
	answer(c, "302 Found", "Location: /text\r\n", "moved", 5);
}

static void
at_loop(struct conn *c)
{
	answer(c, "302 Found", "Location: /loop\r\n", "", 0);
}

static void
at_file(struct conn *c)
{
	answer(c, "302 Found", "Location: file:///etc/passwd\r\n", "", 0);
}

static void
at_metadata(struct conn *c)
{
	answer(c, "302 Found", "Location: http://169.254.169.254/latest/\r\n", "", 0);
}

static void
at_away(struct conn *c)
{
	char headers[128];

	snprintf(headers, sizeof headers, "Location: http://127.0.0.1:%d/echo\r\n", c->s->other_port);
	answer(c, "302 Found", headers, "", 0);
}

static void
at_busy(struct conn *c)
{
	answer(c, "503 Service Unavailable", "Retry-After: 120\r\n", "come\nback later", 15);
}

/* What an agent says of its health. */
static void
say_health(struct conn *c, const char *status, const char *body)
{
	answer(c, status, "Content-Type: application/json\r\n", body, strlen(body));
}

static void
at_well(struct conn *c)
{
	say_health(c, "200 OK", "{\"status\":\"ok\",\"agent\":\"ezra-1\",\"checks\":{\"link\":{\"ok\":true,\"detail\":\"up\"},"
	    "\"sync\":{\"ok\":false,\"detail\":\"away\"}},\"degraded\":false}\n");
}

static void
at_stressed(struct conn *c)
{
	say_health(c, "200 OK", "{\"status\":\"ok\",\"agent\":\"ezra-1\",\"checks\":{},\"degraded\":true,\"stress\":[]}\n");
}

static void
at_failing(struct conn *c)
{
	say_health(c, "503 Service Unavailable", "{\"status\":\"failing\",\"agent\":\"ezra-1\",\"checks\":{"
	    "\"link\":{\"ok\":false,\"detail\":\"no pulse\"},\"store\":{\"ok\":true,\"detail\":\"fine\"},\"odd\":7}}\n");
}

static void
at_missing(struct conn *c)
{
	answer(c, "404 Not Found", "", "no such thing", 13);
}

static void
at_see_missing(struct conn *c)
{
	answer(c, "303 See Other", "Location: /missing\r\n", "", 0);
}

static void
at_chunked(struct conn *c)
{
	conn_puts(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
	conn_puts(c, "5\r\nhello\r\n");
	conn_puts(c, "7;ext=1\r\n, world\r\n0\r\n\r\n");
}

static void
at_cut_short(struct conn *c)
{
	conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
}

static void
at_garbage(struct conn *c)
{
	conn_puts(c, "SSH-2.0-OpenSSH_9.2\r\n\x01\x02\x03");
}

static void
at_endless(struct conn *c)
{
	char part[4096];

	memset(part, 'x', sizeof part);
	conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
	for (;;)
		conn_write(c, part, sizeof part);
}

static void
at_many_headers(struct conn *c)
{
	char line[512];

	conn_puts(c, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 300; i++) {
		snprintf(line, sizeof line, "X-H%d: %0300d\r\n", i, i);
		conn_puts(c, line);
	}
	conn_puts(c, "Content-Length: 0\r\n\r\n");
}

/* A byte now and then, for ever. */
static void
at_slow(struct conn *c)
{
	struct pollfd none = { .fd = -1 };

	conn_puts(c, "HTTP/1.1 200 OK\r\n\r\n");
	for (;;) {
		conn_puts(c, "x");
		poll(&none, 0, 50);
	}
}

static void
at_silent(struct conn *c)
{
	char byte;

	while (conn_read(c, &byte, 1) > 0)
		continue;
}

static void
at_hang_up(struct conn *c)
{
	(void)c;
}

static const struct {
	const char *path;
	void (*answer)(struct conn *c);
} paths[] = {
	{ "/text", at_text }, { "/json", at_json }, { "/bad-json", at_bad_json },
	{ "/deep-json", at_deep_json }, { "/binary", at_binary }, { "/echo", at_echo }, { "/leak", at_leak },
	{ "/hop", at_hop }, { "/loop", at_loop }, { "/file", at_file }, { "/metadata", at_metadata },
	{ "/away", at_away }, { "/busy", at_busy }, { "/missing", at_missing },
	{ "/see-missing", at_see_missing }, { "/chunked", at_chunked }, { "/cut-short", at_cut_short },
	{ "/health", at_well }, { "/stressed/health", at_stressed }, { "/failing/health", at_failing }, { "/text/health", at_text },
	{ "/json/health", at_json }, { "/endless/health", at_endless }, { "/missing/health", at_missing },
	{ "/garbage", at_garbage }, { "/endless", at_endless }, { "/many-headers", at_many_headers },
	{ "/slow", at_slow }, { "/silent", at_silent }, { "/hang-up", at_hang_up },
};

static void
conn_serve(struct conn *c)
{
	char path[128] = "";

	if (c->s->tls) {
		c->ssl = SSL_new(c->s->tls);
		SSL_set_fd(c->ssl, c->fd);
		if (SSL_accept(c->ssl) != 1)
			_exit(0);
	}
	conn_read_request(c);
	sscanf(c->head, "%*s %127[^ ?]", path);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (strcmp(paths[i].path, path) == 0)
			paths[i].answer(c);
	if (c->ssl)
		SSL_shutdown(c->ssl);
}

static void
server_loop(struct server *s, int fd)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client >= 0 && fork() == 0) {
			static struct conn c;

			alarm(SERVER_LIFE_S);
			c = (struct conn){ .s = s, .fd = client };
			conn_serve(&c);
			_exit(0);
		}
		close(client);
	}
}

static int
listen_free(int *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len))
		abort();
	*port = ntohs(sa.sin_port);
	return fd;
}

/* A port of which nobody listens: bound, so that nobody else gets it meanwhile. */
static int __attribute__((unused))
reserve_port(int *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len))
		abort();
	*port = ntohs(sa.sin_port);
	return fd;
}

static void
server_start(struct server *s, SSL_CTX *tls, int other_port)
{
	int fd = listen_free(&s->port);

	s->tls = tls;
	s->other_port = other_port;
	s->requests = mmap(NULL, sizeof *s->requests, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	    0);
	if (s->requests == MAP_FAILED)
		abort();
	fflush(NULL);
	s->pid = fork();
	if (s->pid == 0) {
		alarm(10 * SERVER_LIFE_S);
		server_loop(s, fd);
	}
	close(fd);
}

static void
server_stop(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	munmap(s->requests, sizeof *s->requests);
}

/* A self-signed certificate for localhost and 127.0.0.1, valid from now for so many days (negative: it has
 * ended). pem gets its text. */
static __attribute__((unused)) SSL_CTX *
make_tls(int days, struct buf *pem)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509V3_CTX v3;
	X509_EXTENSION *ext;
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1 + days);
	X509_gmtime_adj(X509_getm_notBefore(cert), days < 0 ? (days - 1) * 86400L : -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400L);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	    (const unsigned char *)"test server", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509V3_set_ctx(&v3, cert, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	if (!X509_sign(cert, key, EVP_sha256()) || SSL_CTX_use_certificate(ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1)
		abort();
	PEM_write_bio_X509(bio, cert);
	len = BIO_get_mem_data(bio, &text);
	buf_add(pem, text, (size_t)len);
	BIO_free(bio);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

#endif
