/*
 * request.h - one request that waits for the sovereign, and his word on it.
 *
 * What is signed is the hash of the request's subject, computed here from what is shown, never the one that the request
 * claims.
 */
#ifndef UW_REQUEST_H
#define UW_REQUEST_H

#include "canonical.h"
#include "edict.h"

#define REQUEST_FOR "1h"        /* a decision counts for so long, unless it says otherwise */

struct word {
	bool approve;
	int64_t for_ms;
	const char *note;       /* "": none */
};

const cJSON *request_subject(const struct known_request *r);
/* Milliseconds since the epoch, written so or as RFC 3339. 0: it does not say. */
int64_t request_time(const cJSON *o, const char *name);

/* Whether it is what it says it is; hash gets that of what would be shown. ERR_STALE: it has expired. */
int request_check(const struct edict *x, const struct known_request *r, char hash[CANONICAL_HASH], struct err *e);

/* Signs the word on exactly that hash, publishes it, and waits a while for the owner of the house to take it: then
 * known_request() knows the task no more. 0 or an exit code; e says why if the word was not even tried, otherwise its code is
 * ERR_NONE and the error is printed. */
int request_decide(struct edict *x, const struct known_request *r, const char *hash, const struct word *w, struct err *e);

#endif
