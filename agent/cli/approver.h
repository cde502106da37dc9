/*
 * approver.h - the sovereign's key on his own machine, for the buttons of the dashboard: as ssh-agent, it signs and shows nobody
 * the key.
 *
 * It listens on 127.0.0.1 alone and answers one page: requests must name it as Host, come from the page's origin, and bring a
 * token that is drawn when it begins. What it signs is the request as it finds it with the broker at that moment, if its hash is
 * the one that was shown. The key is in memory that is neither swapped nor dumped, and goes when it ends.
 */
#ifndef UW_APPROVER_H
#define UW_APPROVER_H

#include "canonical.h"
#include "cmd.h"
#include "digest.h"
#include "sovereign.h"
#include "ulid.h"

#define APPROVER_ORIGIN 200

/* ---- what it lets in ---- */

struct approver_gate {
	char host[32];                          /* "127.0.0.1:8650" */
	char origin[APPROVER_ORIGIN];           /* of the page */
	unsigned char token[DIGEST_SIZE];       /* the digest of it */
};

/* Headers, NULL where there is none. 0, or the HTTP status of the refusal. A preflight brings no token. */
unsigned approver_admits(const struct approver_gate *g, const char *host, const char *origin, const char *authorization,
    bool preflight, struct err *e);

struct approver_ask {
	char task[ULID_TEXT], hash[CANONICAL_HASH];
	bool approve;
	char reason[SOVEREIGN_WHY];
};

/* The body of a request to decide. */
int approver_parse(struct approver_ask *out, const char *body, size_t len, struct err *e);

/* The origin of a page at the address, as browsers write it. Over HTTPS, or over HTTP from this machine: elsewhere anybody on the
 * way could put another page in its place. */
int approver_origin(char out[APPROVER_ORIGIN], const char *address, struct err *e);

/* ---- one session ---- */

struct approver;

/* Asks for the passphrase and listens; port 0: any. The row of a has EDICT_PASSPHRASE. 0 or an exit code, the error printed. */
int approver_open(struct approver **out, const struct cmd_args *a, const char *origin, int port, int64_t session_ms);
/* What the page has to know: "8650:<token>". */
void approver_put(const struct approver *s, struct buf *b);
int64_t approver_until_ms(const struct approver *s);
const char *approver_key_id(const struct approver *s);
const char *approver_name(const struct approver *s);    /* as whom it signs */

/* Until it is told to end (SIGINT, SIGTERM, SIGHUP), or its time is over. */
void approver_run(struct approver *s);
void approver_close(struct approver *s);

#endif
