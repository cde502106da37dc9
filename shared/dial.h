/*
 * dial.h - where a client connects next: which broker of the list, at which of its addresses, and when.
 *
 * The brokers are tried in order, each at all its addresses while there is time, soon after one another; once all
 * of them failed, the waits double. Nothing here blocks: a name that is still looked up has no address yet.
 */
#ifndef UW_DIAL_H
#define UW_DIAL_H

#include <stdint.h>

#include "address.h"
#include "config.h"

struct dial {
	const struct config *config;
	size_t broker;
	int failures;                   /* brokers in a row */
	int64_t retry_ms;               /* when to begin with this one */
	int64_t begun_ms;               /* 0: not yet */
	size_t left;                    /* addresses to try, the present one among them */
	struct address addresses[CONFIG_MAX_BROKERS];
	char why[CONFIG_MAX_BROKERS][160];      /* each failed the last time */
};

void dial_init(struct dial *d, const struct config *c);
void dial_release(struct dial *d);

const struct config_broker *dial_broker(const struct dial *d);

/* The address to connect to now; NULL: none, wait. */
const char *dial_address(struct dial *d, int64_t now_ms);

/* How long that wait may take, and what may end it earlier: a descriptor to read from, or -1. */
int64_t dial_wait_ms(const struct dial *d, int64_t now_ms);
int dial_fd(const struct dial *d);

/* Connecting takes too long: it is not to be waited for. */
bool dial_is_late(const struct dial *d, int64_t now_ms);

void dial_succeeded(struct dial *d);
void dial_failed(struct dial *d, const char *why, int64_t now_ms);
void dial_lost(struct dial *d, const char *why, int64_t now_ms);        /* after it succeeded */

/* "host:port: reason" of each broker that failed. */
void dial_why(const struct dial *d, char *out, size_t size);

#endif
