#include "wire.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include "clock.h"
#include "log.h"

#define READ_BUDGET 4096

static const char *
need(const char *name)
{
	const char *v = getenv(name);

	if (!v || !*v)
		fatalx("%s is not set", name);
	return v;
}

static void
resolve(const char *host, char *out, size_t size)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found;
	int rc = getaddrinfo(host, NULL, &hints, &found);

	if (!rc)
		rc = getnameinfo(found->ai_addr, found->ai_addrlen, out, (socklen_t)size, NULL, 0, NI_NUMERICHOST);
	if (rc)
		fatalx("%s: %s", host, gai_strerror(rc));
	freeaddrinfo(found);
}

void
wire_init(struct wire *w, const char *identity)
{
	const char *pki = need("UW_PKI");

	*w = (struct wire){ 0 };
	resolve(need("UW_HOST"), w->address, sizeof w->address);
	snprintf(w->client_id, sizeof w->client_id, "bench-%s-%d", identity, (int)getpid());
	snprintf(w->crt, sizeof w->crt, "%s/%s.crt", pki, identity);
	snprintf(w->key, sizeof w->key, "%s/%s.key", pki, identity);
	w->opts = (struct mqtt_opts){
		.client_id = w->client_id, .host = need("UW_HOST"), .address = w->address,
		.port = (int)strtol(need("UW_PORT"), NULL, 10), .cafile = need("UW_CAFILE"), .certfile = w->crt,
		.keyfile = w->key, .keepalive_s = 30, .clean = true, .receive_max = 1000, .max_packet = 4u << 20,
	};
}

void
wire_read(struct mqtt *m, int64_t deadline_us)
{
	struct pollfd p = { .fd = mqtt_fd(m), .events = POLLIN };
	int64_t left_us = deadline_us - clock_mono_us();
	int ms = left_us > 0 ? (int)((left_us + 999) / 1000) : 0;

	if (mqtt_want_write(m))
		p.events |= POLLOUT;
	if (poll(&p, 1, ms) < 0 && errno != EINTR)
		fatal("poll");
	if (p.revents & ~POLLOUT)
		mqtt_read(m, READ_BUDGET);
}
