#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

#include "clock.h"
#include "err.h"

/* Prefixes of the addresses at which clouds serve credentials, as IPv6. */
static const struct denied {
	const char *what;
	unsigned char prefix[16];
	int bits;
} denied[] = {
	{ "169.254.0.0/16", { [10] = 0xff, 0xff, 169, 254 }, 96 + 16 },         /* AWS, GCP, Azure, ... */
	{ "100.100.100.200", { [10] = 0xff, 0xff, 100, 100, 100, 200 }, 128 },  /* Alibaba */
	{ "fd00:ec2::254", { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54 }, 128 },        /* AWS */
	{ "fd20:ce::254", { 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54 }, 128 },         /* GCP */
};

static const char *const state_names[] = {
#define X(sym, name) [sym] = name,
	NET_STATES(X)
#undef X
};

const char *
net_state_name(enum net_state s)
{
	return state_names[s];
}

/* Every address as IPv6: v4 mapped; v4 within NAT64 and within the deprecated ::a.b.c.d too. */
static bool
as_ipv6(const struct sockaddr *sa, unsigned char out[16])
{
	static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	static const unsigned char mapped[12] = { [10] = 0xff, 0xff };
	static const unsigned char compatible[12];

	if (sa->sa_family == AF_INET) {
		memcpy(out, mapped, 12);
		memcpy(out + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		return true;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(out, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	if (memcmp(out, nat64, 12) == 0 || memcmp(out, compatible, 12) == 0)
		memcpy(out, mapped, 12);
	return true;
}

static bool
has_prefix(const unsigned char *a, const unsigned char *prefix, int bits)
{
	int bytes = bits / 8, rest = bits % 8;

	return memcmp(a, prefix, (size_t)bytes) == 0 &&
	    (!rest || (a[bytes] ^ prefix[bytes]) >> (8 - rest) == 0);
}

bool
net_is_denied(const struct sockaddr *sa)
{
	unsigned char a[16];

	if (!as_ipv6(sa, a))
		return true;
	for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
		if (has_prefix(a, denied[i].prefix, denied[i].bits))
			return true;
	return false;
}

void
net_format(const struct sockaddr *sa, char out[NET_ADDR_TEXT])
{
	socklen_t len = sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	if (getnameinfo(sa, len, out, NET_ADDR_TEXT, NULL, 0, NI_NUMERICHOST))
		snprintf(out, NET_ADDR_TEXT, "?");
}

/* Keeps what may be connected to; false if something was left out. */
static bool
keep_allowed(const struct addrinfo *found, struct net_addrs *out)
{
	bool all = true;

	out->n = 0;
	for (const struct addrinfo *a = found; a && out->n < NET_MAX_ADDRS; a = a->ai_next) {
		if (net_is_denied(a->ai_addr)) {
			all = false;
			continue;
		}
		memset(&out->v[out->n], 0, sizeof out->v[out->n]);
		memcpy(&out->v[out->n++], a->ai_addr, a->ai_addrlen);
	}
	return all;
}

int
net_resolve(const char *host, struct net_addrs *out, struct err *e)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found = NULL;
	int rc = getaddrinfo(host, NULL, &hints, &found);
	bool all;

	if (rc)
		return err_set(e, ERR_NETWORK, "%s: %s", host,
		    rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
	all = keep_allowed(found, out);
	freeaddrinfo(found);
	if (out->n)
		return 0;
	return all ? err_set(e, ERR_NETWORK, "%s has no address", host) :
	    err_set(e, ERR_DENIED, "%s is a cloud metadata address, which tools may not use", host);
}

bool
net_wait(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left;

	while ((left = deadline_ms - clock_mono_ms()) >= 0) {
		int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		if (n == 0 && left == 0)
			return false;
	}
	return false;
}

void
net_sigpipe_off(struct sigaction *old)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ignore, old);
}

void
net_sigpipe_back(const struct sigaction *old)
{
	sigaction(SIGPIPE, old, NULL);
}

static enum net_state
state_of(int error)
{
	switch (error) {
	case 0: return NET_OPEN;
	case ECONNREFUSED: return NET_CLOSED;
	case ECONNRESET: return NET_CLOSED;
	case ETIMEDOUT: return NET_FILTERED;
	default: return NET_UNREACHABLE;
	}
}

static int
socket_for(int family)
{
	int fd = socket(family, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

/* The current address has given its answer: better than what is known, or not. */
static void
dial_note(struct net_dial *d, int error)
{
	enum net_state s = state_of(error);

	if (d->at == 0 || s > d->state) {
		d->state = s;
		d->error = error;
		d->us = clock_mono_us() - d->began_us;
		net_format((const struct sockaddr *)&d->addrs->v[d->at], d->address);
	}
	if (s != NET_OPEN && d->fd >= 0) {
		close(d->fd);
		d->fd = -1;
	}
	d->at = s == NET_OPEN ? d->addrs->n : d->at + 1;
}

static int
dial_connect(struct net_dial *d)
{
	struct sockaddr_storage sa = d->addrs->v[d->at];
	bool v4 = sa.ss_family == AF_INET;
	socklen_t len = v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	if (v4)
		((struct sockaddr_in *)(void *)&sa)->sin_port = htons((uint16_t)d->port);
	else
		((struct sockaddr_in6 *)(void *)&sa)->sin6_port = htons((uint16_t)d->port);
	d->fd = socket_for(sa.ss_family);
	if (d->fd < 0)
		return errno;
	return connect(d->fd, (struct sockaddr *)&sa, len) ? errno : 0;
}

static bool
dial_done(const struct net_dial *d)
{
	return d->at >= d->addrs->n;
}

/* Tries addresses until one needs waiting for; each gets its share of the time that is left. */
static void
dial_next(struct net_dial *d, int64_t deadline_ms)
{
	while (!dial_done(d)) {
		int64_t now_ms = clock_mono_ms();
		int error = dial_connect(d);

		d->until_ms = now_ms + (deadline_ms - now_ms) / (int64_t)(d->addrs->n - d->at);
		if (error == EINPROGRESS || error == EINTR)
			return;
		dial_note(d, error);
	}
}

static void
dial_check(struct net_dial *d, bool ready, int64_t deadline_ms)
{
	int error = ETIMEDOUT;
	socklen_t len = sizeof error;

	if (!ready && clock_mono_ms() < d->until_ms)
		return;
	if (ready && getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	dial_note(d, error);
	dial_next(d, deadline_ms);
}

/* When the first of those under way has to have its answer; -1: none is. */
static int64_t
next_until(const struct net_dial *v, size_t n)
{
	int64_t first = -1;

	for (size_t i = 0; i < n; i++)
		if (!dial_done(&v[i]) && (first < 0 || v[i].until_ms < first))
			first = v[i].until_ms;
	return first;
}

static void
dial_turn(struct net_dial *v, size_t n, int64_t until_ms, int64_t deadline_ms)
{
	struct pollfd fds[NET_MAX_DIALS];
	int64_t left = until_ms - clock_mono_ms();

	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = dial_done(&v[i]) ? -1 : v[i].fd, .events = POLLOUT };
	if (poll(fds, (nfds_t)n, left < 0 ? 0 : left > 60000 ? 60000 : (int)left) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (!dial_done(&v[i]))
			dial_check(&v[i], fds[i].revents != 0, deadline_ms);
}

void
net_dial(struct net_dial *v, size_t n, int64_t deadline_ms)
{
	int64_t until_ms;

	for (size_t i = 0; i < n; i++) {
		v[i].fd = -1;
		v[i].at = 0;
		v[i].began_us = clock_mono_us();
		dial_next(&v[i], deadline_ms);
	}
	while ((until_ms = next_until(v, n)) >= 0)
		dial_turn(v, n, until_ms, deadline_ms);
}
