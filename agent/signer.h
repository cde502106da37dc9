/*
 * signer.h - the key by which an agent signs its audit chain, and how others know that it is this agent's.
 *
 * An Ed25519 key of the agent's own lies beside its database, <state>/<agent>.audit.key. What binds it to the agent
 * is signed with the key of its certificate, and holds that certificate: whoever has ca.crt needs nothing else. It
 * is an envelope like those of dsse.h, but the signature is ECDSA. A binding holds for as long as the certificate was
 * valid when it was made: what was signed then does not become false when a certificate expires.
 */
#ifndef UW_SIGNER_H
#define UW_SIGNER_H

#include <stddef.h>
#include <stdint.h>

#include "sign.h"

struct buf;
struct config;
struct err;
struct signer;

/* Makes the key if there is none. Without a certificate, what is signed cannot be bound to the agent yet:
 * signer_binding() is NULL then, and e says why. -1: there is no key. */
int signer_open(struct signer **out, const struct config *f, const char *agent, struct err *e);
void signer_close(struct signer *s);            /* NULL is fine */
const char *signer_binding(const struct signer *s);

/* For struct core_opts. */
int signer_sign(void *signer, const char *type, const void *payload, size_t len, struct buf *envelope, struct err *e);

struct binding {
	char agent[64], cluster[64];
	int64_t time;                           /* when it was made */
	struct sign_public key;
};

/* Believes nothing that the authorities in <pki_dir>/ca.crt do not vouch for. */
int binding_check(const char *text, const char *pki_dir, struct binding *out, struct err *e);

#endif
