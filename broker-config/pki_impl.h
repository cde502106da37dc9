/*
 * pki_impl.h - what pki.c and crl.c share.
 */
#ifndef UW_PKI_IMPL_H
#define UW_PKI_IMPL_H

#include <openssl/x509.h>
#include <sys/types.h>

#include "err.h"
#include "pki.h"

#define FILE_MAX_BYTES (4u << 20)
#define MAX_AUTHORITIES 8

/* Hosts' clocks differ: what was issued this moment is valid everywhere. */
#define BACKDATE_S 300
#define DAY_S 86400

/* A copy of every certificate that was issued: <serial>.crt */
#define ISSUED "issued"

struct ca {
	X509 *all[MAX_AUTHORITIES];             /* as they stand in ca.crt */
	EVP_PKEY *keys[MAX_AUTHORITIES];        /* theirs; NULL: not in ca.key */
	int n;
	X509 *cert;                             /* the one of them that signs, NULL: none */
	EVP_PKEY *key;
	int lock;                               /* -1: none */
};

/* The authorities and the key that signs: the first in ca.key. Nobody else has them open until they are released. */
int pki_ca_open(const char *dir, struct ca *ca, struct err *e);
void pki_ca_release(struct ca *ca);

/* Every certificate in <name>.crt; returns how many, -1 with e if there is none. */
int pki_certs_read(const char *dir, const char *name, X509 **out, int max, struct err *e);

/* Keeps a copy of what is issued. */
int pki_record(const char *dir, X509 *x, struct err *e);

/* Which certificates are taken back, as far as this directory knows. */
struct crls {
	X509_CRL *all[MAX_AUTHORITIES];
	int n;
};

/* No file is no list, and no error. */
int pki_crls_read(const char *dir, struct crls *out, struct err *e);
void pki_crls_release(struct crls *c);
bool pki_crls_have(const struct crls *c, X509 *x);

/* One list per authority, with what the present ones have; more is what is taken back now. */
int pki_crls_write(const char *dir, const struct ca *ca, const STACK_OF(X509) *more, struct err *e);

/* ... unless the present ones are good for long enough. */
int pki_crls_keep(const char *dir, const struct ca *ca, bool *changed, struct err *e);

int pki_ssl_failed(struct err *e, enum err_code code, const char *what);
char *pki_path(const char *dir, const char *name, const char *suffix);
int pki_bio_save(BIO *out, const char *dir, const char *name, const char *suffix, mode_t mode, struct err *e);
int64_t pki_asn1_ms(const ASN1_TIME *t);
int pki_check_name(const char *name, struct err *e);
enum pki_use pki_use_of(X509 *x);

#endif
