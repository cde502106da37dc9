#include "hermes_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "err.h"
#include "hermes_hook.h"
#include "log.h"
#include "mhd.h"

#define SILENCE_S 10u
#define HEAD_BYTES ((size_t)16384)

struct hermes_listen {
	const struct mhd_api *lib;
	struct MHD_Daemon *daemon;
	const char *key;
	int socket, wake[2];
	pthread_mutex_t lock;           /* of what follows */
	struct hermes_event queue[HERMES_QUEUE_MAX];
	size_t first, n;
	int64_t refused, full;
};

struct delivery {
	struct buf body;
	bool too_big;
};

static enum MHD_Result
answer(struct hermes_listen *l, struct MHD_Connection *c, unsigned status, const char *text)
{
	struct MHD_Response *r = l->lib->create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc = r ? l->lib->queue_response(c, status, r) : MHD_NO;

	if (r)
		l->lib->destroy_response(r);
	return rc;
}

/* False: there is no room. */
static bool
push(struct hermes_listen *l, const struct hermes_event *v)
{
	bool room;

	pthread_mutex_lock(&l->lock);
	room = l->n < HERMES_QUEUE_MAX;
	if (room)
		l->queue[(l->first + l->n++) % HERMES_QUEUE_MAX] = *v;
	else
		l->full++;
	pthread_mutex_unlock(&l->lock);
	/* Full already: then it will be woken anyway. */
	if (room && write(l->wake[1], "", 1) < 0 && errno != EAGAIN)
		log_warn("hermes: cannot wake the loop");
	return room;
}

static enum MHD_Result
take(struct hermes_listen *l, struct MHD_Connection *c, const struct delivery *d)
{
	const char *signature = l->lib->lookup_connection_value(c, MHD_HEADER_KIND, "X-Hermes-Signature-256");
	struct hermes_event v;
	struct err e = { 0 };
	int rc;

	if (d->too_big)
		return answer(l, c, MHD_HTTP_CONTENT_TOO_LARGE, "larger than 4 MiB\n");
	rc = hermes_hook_read(buf_str(&d->body), d->body.len, signature, l->key, clock_wall_ms(), &v, &e);
	if (rc < 0) {
		pthread_mutex_lock(&l->lock);
		l->refused++;
		pthread_mutex_unlock(&l->lock);
		log_debug("hermes: a webhook was refused: %s", e.msg);
		return answer(l, c, e.code == ERR_DENIED ? MHD_HTTP_UNAUTHORIZED : MHD_HTTP_BAD_REQUEST, e.msg);
	}
	if (rc && !push(l, &v)) {
		hermes_event_release(&v);
		return answer(l, c, MHD_HTTP_SERVICE_UNAVAILABLE, "busy\n");
	}
	return answer(l, c, MHD_HTTP_NO_CONTENT, "");
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method, const char *version, const char *data,
    size_t *size, void **state)
{
	struct hermes_listen *l = arg;
	struct delivery *d = *state;

	(void)version;
	if (!d) {
		*state = xcalloc(1, sizeof *d);
		((struct delivery *)*state)->body.max = HERMES_HOOK_MAX;
		return MHD_YES;
	}
	if (*size) {
		buf_add(&d->body, data, d->too_big ? 0 : *size);
		d->too_big |= !buf_ok(&d->body);
		*size = 0;
		return MHD_YES;
	}
	if (strcmp(url, "/hermes") != 0)
		return answer(l, c, MHD_HTTP_NOT_FOUND, "expected /hermes\n");
	if (strcmp(method, "POST") != 0)
		return answer(l, c, MHD_HTTP_METHOD_NOT_ALLOWED, "expected POST\n");
	return take(l, c, d);
}

static void
on_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
	struct delivery *d = *state;

	(void)arg;
	(void)c;
	(void)why;
	if (d)
		buf_free(&d->body);
	free(d);
	*state = NULL;
}

static void
on_log(void *arg, const char *fmt, va_list ap)
{
	char text[256];

	(void)arg;
	vsnprintf(text, sizeof text, fmt, ap);
	text[strcspn(text, "\r\n")] = '\0';
	log_debug("hermes: %s", text);
}

/* A numeric loopback address, as config_check() has seen to. */
static int
open_socket(struct hermes_listen *l, const char *where, struct err *e)
{
	char address[64];
	struct sockaddr_storage sa = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
	int port, one = 1;

	config_listen(where, address, sizeof address, &port);
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
	} else {
		inet_pton(AF_INET6, address, &in6->sin6_addr);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
	}
	l->socket = socket(sa.ss_family, SOCK_STREAM, 0);
	if (l->socket < 0 || fcntl(l->socket, F_SETFD, FD_CLOEXEC) || fcntl(l->socket, F_SETFL, O_NONBLOCK) ||
	    setsockopt(l->socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
	    bind(l->socket, (struct sockaddr *)&sa, sa.ss_family == AF_INET ? sizeof *in : sizeof *in6) || listen(l->socket, 128))
		return err_set(e, ERR_IO, "hermes.listen: %s: %s", where, strerror(errno));
	return 0;
}

static int
start(struct hermes_listen *l, struct err *e)
{
	sigset_t all, before;

	l->lib = mhd_load(e);
	if (!l->lib)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	l->daemon = l->lib->start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL,
	    on_request, l,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, l->socket,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)HERMES_CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_BYTES,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, l,
	    MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return l->daemon ? 0 : err_set(e, ERR_IO, "libmicrohttpd does not start");
}

int
hermes_listen_open(struct hermes_listen **out, const struct config *c, struct err *e)
{
	struct hermes_listen *l;

	*out = NULL;
	if (strcmp(c->hermes_listen, "off") == 0)
		return 0;
	l = xcalloc(1, sizeof *l);
	l->key = config_secret_find(c, c->hermes_webhook_secret)->value;
	l->socket = l->wake[0] = l->wake[1] = -1;
	pthread_mutex_init(&l->lock, NULL);
	if (pipe(l->wake) || fcntl(l->wake[0], F_SETFL, O_NONBLOCK) || fcntl(l->wake[1], F_SETFL, O_NONBLOCK) ||
	    fcntl(l->wake[0], F_SETFD, FD_CLOEXEC) || fcntl(l->wake[1], F_SETFD, FD_CLOEXEC)) {
		err_set(e, ERR_IO, "pipe: %s", strerror(errno));
		hermes_listen_close(l);
		return -1;
	}
	if (open_socket(l, c->hermes_listen, e) || start(l, e)) {
		hermes_listen_close(l);
		return -1;
	}
	*out = l;
	return 0;
}

void
hermes_listen_close(struct hermes_listen *l)
{
	if (!l)
		return;
	if (l->daemon)
		l->lib->stop_daemon(l->daemon);
	else if (l->socket >= 0)
		close(l->socket);
	for (; l->n; l->n--, l->first++)
		hermes_event_release(&l->queue[l->first % HERMES_QUEUE_MAX]);
	for (int i = 0; i < 2; i++)
		if (l->wake[i] >= 0)
			close(l->wake[i]);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

int
hermes_listen_fd(const struct hermes_listen *l)
{
	return l ? l->wake[0] : -1;
}

bool
hermes_listen_next(struct hermes_listen *l, struct hermes_event *v)
{
	char bytes[256];
	bool any;

	if (!l)
		return false;
	pthread_mutex_lock(&l->lock);
	any = l->n > 0;
	if (any) {
		*v = l->queue[l->first];
		l->first = (l->first + 1) % HERMES_QUEUE_MAX;
		l->n--;
	} else {
		/* Emptied under the lock: what is pushed from here on wakes again. */
		while (read(l->wake[0], bytes, sizeof bytes) > 0)
			continue;
	}
	pthread_mutex_unlock(&l->lock);
	return any;
}

void
hermes_listen_counts(struct hermes_listen *l, int64_t *refused, int64_t *full)
{
	*refused = *full = 0;
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	*refused = l->refused;
	*full = l->full;
	pthread_mutex_unlock(&l->lock);
}
