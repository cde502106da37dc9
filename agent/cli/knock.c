#include "knock.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "port.h"

#define WAIT_S 2

static const char request[] =
    "GET /mqtt HTTP/1.1\r\nHost: " PORT_HOST "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dW5pLXdpemFyZC1rbm9jaw==\r\n\r\n";

static int
connect_to(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval limit = { .tv_sec = WAIT_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	inet_pton(AF_INET, PORT_HOST, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

static SSL_CTX *
make_ctx(const char *pki_dir, const char *identity)
{
	struct buf ca = { 0 }, crt = { 0 }, key = { 0 };
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	bool ok;

	buf_addf(&ca, "%s/ca.crt", pki_dir);
	buf_addf(&crt, "%s/%s.crt", pki_dir, identity);
	buf_addf(&key, "%s/%s.key", pki_dir, identity);
	ok = c && SSL_CTX_load_verify_locations(c, ca.data, NULL) == 1 &&
	    SSL_CTX_use_certificate_chain_file(c, crt.data) == 1 &&
	    SSL_CTX_use_PrivateKey_file(c, key.data, SSL_FILETYPE_PEM) == 1;
	if (ok)
		SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	buf_free(&ca);
	buf_free(&crt);
	buf_free(&key);
	if (ok)
		return c;
	SSL_CTX_free(c);
	return NULL;
}

/* It is connected when the broker has said yes to WebSockets. */
static bool
is_let_in(SSL *ssl, int fd)
{
	char answer[64];

	return SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1 && SSL_write(ssl, request, sizeof request - 1) > 0 &&
	    SSL_read(ssl, answer, sizeof answer) > 12 && strncmp(answer, "HTTP/1.1 101", 12) == 0;
}

bool
knock(int port, const char *pki_dir, const char *identity)
{
	SSL_CTX *ctx = make_ctx(pki_dir, identity);
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;
	int fd = ssl ? connect_to(port) : -1;
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	bool in;

	/* A broker that turns us away closes the connection while we write. */
	sigaction(SIGPIPE, &ignore, &old);
	in = fd >= 0 && is_let_in(ssl, fd);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	if (fd >= 0)
		close(fd);
	sigaction(SIGPIPE, &old, NULL);
	ERR_clear_error();
	return in;
}
