#include "address.h"

#include <string.h>

static void
keep(struct address *d, const struct addrinfo *list)
{
	size_t n = 0;

	for (const struct addrinfo *p = list; p && n < ADDRESS_MAX; p = p->ai_next)
		if (p->ai_family == AF_INET6)
			uv_ip6_name((struct sockaddr_in6 *)(void *)p->ai_addr, d->text[n++], INET6_ADDRSTRLEN);
		else if (p->ai_family == AF_INET)
			uv_ip4_name((struct sockaddr_in *)(void *)p->ai_addr, d->text[n++], INET6_ADDRSTRLEN);
	if (n)
		d->n = n;
}

static void
done(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct address *d = req->data;

	d->looking = false;
	snprintf(d->why, sizeof d->why, "%s", status ? uv_strerror(status) : "");
	if (status == 0)
		keep(d, list);
	uv_freeaddrinfo(list);
	if (status != UV_ECANCELED)
		d->on_done(d->arg);
}

static bool
is_numeric(const char *host)
{
	unsigned char bytes[16];

	return uv_inet_pton(AF_INET, host, bytes) == 0 || uv_inet_pton(AF_INET6, host, bytes) == 0;
}

void
address_look(struct address *d, uv_loop_t *loop)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
	int rc;

	if (d->looking)
		return;
	if (is_numeric(d->host)) {
		snprintf(d->text[0], sizeof d->text[0], "%s", d->host);
		d->n = 1;
		return;
	}
	d->req.data = d;
	rc = uv_getaddrinfo(loop, &d->req, done, d->host, NULL, &hints);
	d->looking = rc == 0;
	snprintf(d->why, sizeof d->why, "%s", rc ? uv_strerror(rc) : "");
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

bool
address_cancel(struct address *d)
{
	return !d->looking || uv_cancel((uv_req_t *)&d->req) == 0;
}
