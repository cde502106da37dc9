/*
 * address.h - the numeric addresses of a host's name.
 *
 * Looking a name up may hang for as long as the resolver likes, and cannot be called off. So a thread of its own
 * does it, one for a name at a time; nobody has to wait for it, and what was found before stays good meanwhile.
 */
#ifndef UW_ADDRESS_H
#define UW_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_MAX 8

/* All zero but for the host in the beginning. */
struct address {
	const char *host;
	char text[ADDRESS_MAX][INET6_ADDRSTRLEN];
	size_t n, at;                   /* at: the one in use */
	bool looking;
	int fd;                         /* while looking: becomes readable with the answer */
	char why[80];                   /* the latest lookup failed, or empty */
};

/* Gives up a lookup that is out. */
void address_release(struct address *d);

/* Starts a lookup unless one is out, or the host is a numeric address. */
void address_look(struct address *d);

/* Takes the answer, if it came. */
void address_read(struct address *d);

/* The one in use, and another one from now on. */
const char *address_text(const struct address *d);
void address_next(struct address *d);

#endif
