/*
 * needs.c - whether this host reaches what its houses need: a TCP connection to each, every few seconds. What answers on
 * it does not matter: a service that is ill is ill for all candidates of the house.
 *
 * One miss says nothing: it takes MISSES in a row to lack something, and HITS to have it again.
 */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "agent.h"
#include "clock.h"

#define EVERY_MS 5000
#define LIMIT_MS 3000           /* for the name and the connection */
#define MISSES 3
#define HITS 2

struct need {
	struct need *next;
	struct agent *agent;
	const char *house, *url;
	char host[256];
	int port;
	struct address address;
	int64_t since_ms;               /* the try that is out began; 0: none is */
	int64_t next_ms;
	uv_tcp_t *tcp;                  /* NULL: the name is looked up */
	int misses, hits;
	bool missing;
};

/* The configuration has checked that it is http or https, and that there is a host. */
static void
read_url(struct need *n)
{
	const char *host = strstr(n->url, "://") + 3, *end = host + strcspn(host, "/?#");
	const char *at = memchr(host, '@', (size_t)(end - host)), *port;
	size_t len;

	host = at ? at + 1 : host;
	len = *host == '[' ? strcspn(++host, "]") : strcspn(host, ":/?#");
	port = host + len + (host[len] == ']');
	snprintf(n->host, sizeof n->host, "%.*s", (int)len, host);
	n->port = *port == ':' ? (int)strtol(port + 1, NULL, 10) : strncmp(n->url, "https", 5) == 0 ? 443 : 80;
	n->address.host = n->host;
}

static void
free_handle(uv_handle_t *h)
{
	free(h);
}

static void
end(struct need *n, bool reached)
{
	if (n->tcp) {
		n->tcp->data = NULL;
		uv_close((uv_handle_t *)n->tcp, free_handle);
		n->tcp = NULL;
	}
	n->since_ms = 0;
	n->next_ms = clock_mono_ms() + EVERY_MS;
	n->hits = reached ? n->hits + 1 : 0;
	n->misses = reached ? 0 : n->misses + 1;
	if (n->misses >= MISSES)
		n->missing = true;
	if (n->hits >= HITS)
		n->missing = false;
}

static void
connected(uv_connect_t *c, int status)
{
	struct need *n = c->handle->data;

	free(c);
	if (!n)
		return;
	if (status)
		address_next(&n->address);
	end(n, status == 0);
}

static void
connect_now(struct need *n)
{
	uv_connect_t *c = xcalloc(1, sizeof *c);
	struct sockaddr_storage to;
	const char *text = address_text(&n->address);

	n->tcp = xcalloc(1, sizeof *n->tcp);
	uv_tcp_init(&n->agent->loop, n->tcp);
	n->tcp->data = n;
	if ((uv_ip4_addr(text, n->port, (struct sockaddr_in *)&to) && uv_ip6_addr(text, n->port, (struct sockaddr_in6 *)&to)) ||
	    uv_tcp_connect(c, n->tcp, (struct sockaddr *)&to, connected)) {
		free(c);
		end(n, false);
	}
}

static void
look(struct need *n, int64_t now)
{
	if (!n->since_ms && now < n->next_ms)
		return;
	if (!n->since_ms) {
		n->since_ms = now;
		address_look(&n->address);
	}
	address_read(&n->address);
	if (now - n->since_ms > LIMIT_MS || (!n->tcp && !n->address.looking && !n->address.n))
		end(n, false);
	else if (!n->tcp && !n->address.looking)
		connect_now(n);
}

static void
tell_core(struct agent *a, const struct config_house *house)
{
	const struct need *lost = NULL;

	for (const struct need *n = a->needs; n; n = n->next)
		if (n->missing && strcmp(n->house, house->name) == 0)
			lost = n;
	core_house_lacks(a->core, house->name, lost ? lost->url : NULL);
}

void
needs_look(struct agent *a)
{
	int64_t now = clock_mono_ms();

	for (struct need *n = a->needs; n; n = n->next)
		look(n, now);
	for (size_t i = 0; i < a->o.config->nhouses; i++)
		if (a->o.config->houses[i].needs.n)
			tell_core(a, &a->o.config->houses[i]);
}

void
needs_start(struct agent *a)
{
	for (size_t i = 0; i < a->o.config->nhouses; i++) {
		const struct config_house *h = &a->o.config->houses[i];

		for (size_t k = 0; k < h->needs.n && config_names_has(&h->candidates, a->o.id); k++) {
			struct need *n = xcalloc(1, sizeof *n);

			n->agent = a;
			n->house = h->name;
			n->url = h->needs.v[k];
			read_url(n);
			n->next = a->needs;
			a->needs = n;
		}
	}
}

void
needs_stop(struct agent *a)
{
	for (struct need *n = a->needs, *next; n; n = next) {
		next = n->next;
		if (n->tcp)
			end(n, false);
		address_release(&n->address);
		free(n);
	}
	a->needs = NULL;
}
