/*
 * pki.h - the cluster's own certificate authority and the certificates it issues.
 *
 * A directory holds ca.crt, ca.key and, for each identity, <name>.crt and <name>.key (PEM, EC P-256).
 * The common name is the identity: the broker takes it as user name, so a certificate is the right
 * to speak under that name. Only the host that issues needs ca.key, and issued/ beside it: a copy of
 * every certificate that is out, so that each of a name can be taken back.
 *
 * ca.crt may hold several certificates: after a change of authority the new one comes first and the
 * former ones follow, so that both are trusted until all certificates are renewed. ca.key has their keys, in
 * this order.
 *
 * ca.crl is for brokers: which certificates are taken back, one list for each authority.
 */
#ifndef UW_PKI_H
#define UW_PKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define PKI_MAX_SANS 32
#define PKI_CA_DAYS 3650
#define PKI_DAYS 365
#define PKI_MAX_DAYS 36500

/* Issuing and renewing sign a list anew that has fewer days left than that: so a certificate of the usual
 * lifetime, the broker's own above all, never outlives the list that came with it. */
#define PKI_CRL_DAYS 400
#define PKI_CRL_LEFT_DAYS (PKI_DAYS + 5)

/* A certificate serves one purpose: a broker's cannot be used by a client and the other way round. */
#define PKI_USES(X)                    \
	X(PKI_CA,     "authority")     \
	X(PKI_SERVER, "server")        \
	X(PKI_CLIENT, "client")

enum pki_use {
#define X(sym, name) sym,
	PKI_USES(X)
#undef X
	PKI_NUSES
};

struct pki_cert {
	char name[65];                  /* common name */
	enum pki_use use;
	char serial[65];                /* hexadecimal */
	char sans[1024];                /* "localhost, 127.0.0.1" */
	int64_t from_ms, until_ms;      /* valid; since 1970 UTC */
	bool has_key;                   /* the key beside it is readable and is the right one */
	bool trusted;                   /* by this directory's ca.crt, now, and not taken back */
	bool revoked;                   /* taken back */
};

/* Whether it is for that host name or address, as TLS has it. */
bool pki_is_for(const struct pki_cert *c, const char *name);

/* Creates the authority if there is none; *created says so. days 0: PKI_CA_DAYS. */
int pki_init(const char *dir, int days, bool *created, struct err *e);

/* A new authority in front of the present ones: ca.crt then trusts all of them, new certificates
 * are signed by the new one. */
int pki_init_next(const char *dir, int days, struct err *e);

/* Leaves only the authority that signs in ca.crt. */
int pki_forget_former(const char *dir, struct err *e);

/* sans: names and addresses, nsans 0 for a client. Overwrites <name>.crt and <name>.key. days 0: PKI_DAYS. */
int pki_issue(const char *dir, const char *name, enum pki_use use, const char *const *sans, size_t nsans,
    int days, struct err *e);

/* The same certificate with a new validity, signed by the present authority; new_key: a new key too. sans
 * NULL: those it had. */
int pki_renew(const char *dir, const char *name, const char *const *sans, size_t nsans, int days,
    bool new_key, struct err *e);

/* Takes back every certificate of that name that is still good, *n of them, and removes <name>.crt and
 * <name>.key; former: all but the present one, which stays. Brokers know it when they have read ca.crl. */
int pki_revoke(const char *dir, const char *name, bool former, int *n, struct err *e);

struct pki_crl {
	int64_t until_ms;               /* the first of the lists ends */
	int revoked;
};

/* ERR_NOT_FOUND: there is no ca.crl. ERR_CONFIG: an authority is without a list. */
int pki_crl_read(const char *dir, struct pki_crl *out, struct err *e);

/* Signs the lists anew if they are missing or their end is near. Where ca.key is not, they have to be there. */
int pki_crl_keep(const char *dir, bool *changed, struct err *e);

/* The certificate <name>.crt ("ca": the authority that signs). */
int pki_read(const char *dir, const char *name, struct pki_cert *out, struct err *e);

/* Calls each with every certificate in the directory, the authorities first, then by name; then those that were
 * taken back and have not expired. A file that is no certificate is passed with why and c NULL. Returns -1 if the directory cannot be read. */
typedef void pki_visit(void *arg, const char *file, const struct pki_cert *c, const char *why);
int pki_each(const char *dir, pki_visit *each, void *arg, struct err *e);

const char *pki_use_name(enum pki_use use);

#endif
