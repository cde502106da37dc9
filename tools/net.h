/*
 * net.h - names, addresses and TCP connections, all with a deadline.
 *
 * Addresses that hand out a cloud machine's credentials to whoever asks (169.254.169.254 and its
 * like) are never connected to, whatever name or spelling leads there.
 */
#ifndef UW_NET_H
#define UW_NET_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct err;

#define NET_MAX_ADDRS 8
#define NET_ADDR_TEXT 64

struct net_addrs {
	struct sockaddr_storage v[NET_MAX_ADDRS];
	size_t n;
};

/* Link-local metadata services, also when written as IPv4 in IPv6. */
bool net_is_denied(const struct sockaddr *sa);

/* host is a name or a numeric address. ERR_NETWORK; ERR_DENIED when nothing else is left. The
 * resolver's own limits apply (resolv.conf), not a deadline. */
int net_resolve(const char *host, struct net_addrs *out, struct err *e);

void net_format(const struct sockaddr *sa, char out[NET_ADDR_TEXT]);    /* without the port */

/* What a port is found to be. Of several addresses the one that says most counts. */
#define NET_STATES(X)                                                                \
	X(NET_UNREACHABLE, "unreachable") /* no way there */                         \
	X(NET_FILTERED,    "filtered")    /* no answer in time */                    \
	X(NET_CLOSED,      "closed")      /* refused */                              \
	X(NET_OPEN,        "open")

enum net_state {
#define X(sym, name) sym,
	NET_STATES(X)
#undef X
};

const char *net_state_name(enum net_state s);

/* One port to connect to. */
struct net_dial {
	const struct net_addrs *addrs;
	int port;
	enum net_state state;
	int fd;                         /* NET_OPEN: non-blocking, the caller's to close; else -1 */
	int error;                      /* errno of what state tells */
	char address[NET_ADDR_TEXT];    /* the one that state is about */
	int64_t us;                     /* until that was known */

	size_t at;                      /* address being tried */
	int64_t began_us, until_ms;
};

#define NET_MAX_DIALS 64

/* Connects to all of them side by side; every one has its answer after deadline_ms. */
void net_dial(struct net_dial *v, size_t n, int64_t deadline_ms);

/* poll(2) of one descriptor: true if it has one of events (or an error) before the deadline. */
bool net_wait(int fd, short events, int64_t deadline_ms);

/* Libraries write to sockets that the peer may have closed: no SIGPIPE meanwhile. */
void net_sigpipe_off(struct sigaction *old);
void net_sigpipe_back(const struct sigaction *old);

#endif
