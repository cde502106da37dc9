/*
 * address.h - the numeric addresses of a host's name.
 *
 * Looking a name up may hang for as long as the resolver likes, and cannot be called off. So there is one
 * lookup of a name at a time, nobody has to wait for it, and what was found before stays good meanwhile.
 */
#ifndef UW_ADDRESS_H
#define UW_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define ADDRESS_MAX 8

struct address {
	const char *host;
	char text[ADDRESS_MAX][INET6_ADDRSTRLEN];
	size_t n, at;                   /* at: the one in use */
	bool looking;
	char why[80];                   /* the latest lookup failed, or empty */
	uv_getaddrinfo_t req;
	void *arg;
	void (*on_done)(void *arg);     /* a lookup ended, well or not */
};

/* Starts a lookup unless one is out, or the host is a numeric address. */
void address_look(struct address *d, uv_loop_t *loop);

/* The one in use, and another one from now on. */
const char *address_text(const struct address *d);
void address_next(struct address *d);

/* Calls a lookup off. False if it is out all the same. */
bool address_cancel(struct address *d);

#endif
