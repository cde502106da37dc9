#include "hook.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "digest.h"
#include "err.h"
#include "mhd.h"

#define PATH "/gitea"
#define CONNECTIONS_MAX 64
#define SILENCE_S 10

struct waiting {
	struct hook_delivery d;
	struct waiting *next;
};

struct hook {
	const struct mhd_api *lib;
	struct MHD_Daemon *daemon;
	struct sockaddr_storage address;
	char *key;

	pthread_mutex_t lock;           /* over what follows */
	struct waiting *first, **last;
	size_t n, bytes;
	char seen[HOOK_SEEN][HOOK_ID_MAX + 1];  /* a ring */
	unsigned next_seen;
	struct hook_counts counts;
};

bool
hook_is_signed(const char *key, const char *signature, const void *body, size_t len)
{
	unsigned char mac[DIGEST_SIZE], given[DIGEST_SIZE];
	unsigned n = sizeof mac;

	if (!key || !*key || !signature || digest_parse(signature, given))
		return false;
	return HMAC(EVP_sha256(), key, (int)strlen(key), body, len, mac, &n) && CRYPTO_memcmp(mac, given, sizeof mac) == 0;
}

/* ---- what waits; under the lock ---- */

static bool
is_known(const struct hook *h, const char *id)
{
	for (unsigned i = 0; i < HOOK_SEEN; i++)
		if (strcmp(h->seen[i], id) == 0)
			return true;
	return false;
}

static void
know(struct hook *h, const char *id)
{
	snprintf(h->seen[h->next_seen++ % HOOK_SEEN], HOOK_ID_MAX + 1, "%s", id);
}

/* Takes the body. The answer's status. */
static unsigned
put(struct hook *h, const char *id, const char *event, struct buf *body)
{
	struct waiting *w;

	if (is_known(h, id)) {
		h->counts.repeated++;
		return 409;
	}
	if (h->n == HOOK_QUEUE || h->bytes + body->len > HOOK_QUEUE_BYTES) {
		h->counts.full++;
		return 503;
	}
	know(h, id);
	w = xcalloc(1, sizeof *w);
	snprintf(w->d.id, sizeof w->d.id, "%s", id);
	snprintf(w->d.event, sizeof w->d.event, "%s", event);
	w->d.len = body->len;
	w->d.body = buf_take(body);
	w->d.at_ms = clock_wall_ms();
	*h->last = w;
	h->last = &w->next;
	h->n++;
	h->bytes += w->d.len;
	h->counts.taken++;
	return 202;
}

/* ---- a request, in libmicrohttpd's thread ---- */

static const struct {
	unsigned status;
	const char *text;
} answers[] = {
	{ 202, "taken\n" },
	{ 400, "X-Gitea-Event and X-Gitea-Delivery are missing, or are not Gitea's\n" },
	{ 401, "X-Gitea-Signature is not the HMAC-SHA256 of this body under the key of the webhook\n" },
	{ 404, "webhooks go to POST " PATH "\n" },
	{ 409, "this delivery has come before\n" },
	{ 413, "the body is larger than 1 MiB\n" },
	{ 503, "too many deliveries wait\n" },
};

static enum MHD_Result
reply(const struct hook *h, struct MHD_Connection *c, unsigned status)
{
	const char *text = "";
	struct MHD_Response *m;
	enum MHD_Result rc;

	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		if (answers[i].status == status)
			text = answers[i].text;
	m = h->lib->create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
	if (!m)
		return MHD_NO;
	h->lib->add_response_header(m, "Content-Type", "text/plain");
	if (status >= 400)
		h->lib->add_response_header(m, "Connection", "close");
	rc = h->lib->queue_response(c, status, m);
	h->lib->destroy_response(m);
	return rc;
}

static const char *
header(const struct hook *h, struct MHD_Connection *c, const char *name)
{
	const char *v = h->lib->lookup_connection_value(c, MHD_HEADER_KIND, name);

	return v ? v : "";
}

static bool
is_plain(const char *s, size_t max)
{
	size_t n = strlen(s);

	return n > 0 && n <= max && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] == '\0';
}

static unsigned
judge(struct hook *h, struct MHD_Connection *c, struct buf *body)
{
	const char *id = header(h, c, "X-Gitea-Delivery"), *event = header(h, c, "X-Gitea-Event");
	bool is_signed = buf_ok(body) && hook_is_signed(h->key, header(h, c, "X-Gitea-Signature"), buf_str(body), body->len);
	unsigned status = 0;

	pthread_mutex_lock(&h->lock);
	if (!buf_ok(body)) {
		h->counts.too_big++;
		status = 413;
	} else if (!is_signed) {
		h->counts.unsigned_++;
		status = 401;
	} else if (!is_plain(id, HOOK_ID_MAX) || !is_plain(event, sizeof((struct hook_delivery *)0)->event - 1)) {
		h->counts.strange++;
		status = 400;
	} else {
		status = put(h, id, event, body);
	}
	pthread_mutex_unlock(&h->lock);
	return status;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data,
    size_t *len, void **context)
{
	struct hook *h = arg;
	struct buf *body = *context;

	(void)version;
	if (!body) {
		*context = body = xcalloc(1, sizeof *body);
		body->max = HOOK_BODY_MAX;
		if (strcmp(path, PATH) != 0 || strcmp(method, "POST") != 0)
			return reply(h, c, 404);
		return MHD_YES;
	}
	if (*len) {
		buf_add(body, data, *len);
		*len = 0;
		return MHD_YES;
	}
	return reply(h, c, judge(h, c, body));
}

static void
on_completed(void *arg, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
	(void)arg;
	(void)c;
	(void)why;
	if (*context)
		buf_free(*context);
	free(*context);
	*context = NULL;
}

/* ---- for the loop ---- */

static void
read_address(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
	struct sockaddr_in *four = (struct sockaddr_in *)out;
	char host[64];
	int port;

	memset(out, 0, sizeof *out);
	config_listen(text, host, sizeof host, &port);
	if (strchr(host, ':')) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, host, &six->sin6_addr);
	} else {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, host, &four->sin_addr);
	}
}

struct hook *
hook_open(const char *listen, const char *key)
{
	struct hook *h = xcalloc(1, sizeof *h);

	read_address(listen, &h->address);
	h->key = xstrdup(key);
	h->last = &h->first;
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

bool
hook_listen(struct hook *h, struct err *e)
{
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO;

	if (h->daemon)
		return true;
	if (!h->lib && !(h->lib = mhd_load(e)))
		return false;
	if (h->address.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	errno = 0;
	h->daemon = h->lib->start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&h->address,
	    MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	if (!h->daemon)
		err_set(e, ERR_IO, "cannot listen for webhooks: %s", errno ? strerror(errno) : "libmicrohttpd does not say why");
	return h->daemon != NULL;
}

void
hook_close(struct hook *h)
{
	struct hook_delivery d;

	if (!h)
		return;
	if (h->daemon)
		h->lib->stop_daemon(h->daemon);
	while (hook_take(h, &d))
		free(d.body);
	pthread_mutex_destroy(&h->lock);
	free(h->key);
	free(h);
}

void
hook_know(struct hook *h, const char *id)
{
	pthread_mutex_lock(&h->lock);
	know(h, id);
	pthread_mutex_unlock(&h->lock);
}

bool
hook_take(struct hook *h, struct hook_delivery *out)
{
	struct waiting *w;

	pthread_mutex_lock(&h->lock);
	w = h->first;
	if (w) {
		h->first = w->next;
		if (!h->first)
			h->last = &h->first;
		h->n--;
		h->bytes -= w->d.len;
		*out = w->d;
	}
	pthread_mutex_unlock(&h->lock);
	free(w);
	return w != NULL;
}

void
hook_count(struct hook *h, struct hook_counts *out)
{
	pthread_mutex_lock(&h->lock);
	*out = h->counts;
	pthread_mutex_unlock(&h->lock);
}
