/*
 * crl.c - certificates that are taken back: ca.crl has one list for each authority in ca.crt.
 *
 * A broker that is given lists lets nobody in whose authority has none, or an expired one. So there is a list
 * from the beginning, empty as it is, and each is signed anew long before its end.
 */
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "pki_impl.h"
#include "save.h"

/* Reading */

static int
crls_parse(const struct buf *pem, const char *path, struct crls *out, struct err *e)
{
	BIO *in = BIO_new_mem_buf(buf_str(pem), (int)pem->len);

	while (out->n < MAX_AUTHORITIES && (out->all[out->n] = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)))
		out->n++;
	BIO_free(in);
	if (out->n == 0) {
		pki_ssl_failed(e, ERR_PARSE, "not a list of revoked certificates");
		return err_wrap(e, "%s", path);
	}
	ERR_clear_error();      /* the end of the file is one */
	return 0;
}

static int
crls_read(const char *dir, struct crls *out, struct err *e)
{
	char *path = pki_path(dir, "ca", ".crl");
	struct buf pem = { .max = FILE_MAX_BYTES };
	int rc;

	*out = (struct crls){ .n = 0 };
	rc = save_read(path, &pem, e) ? -1 : crls_parse(&pem, path, out, e);
	buf_free(&pem);
	free(path);
	return rc;
}

int
pki_crls_read(const char *dir, struct crls *out, struct err *e)
{
	struct err why = { 0 };

	if (crls_read(dir, out, &why) == 0 || why.code == ERR_NOT_FOUND)
		return 0;
	return err_set(e, why.code, "%s", why.msg);
}

void
pki_crls_release(struct crls *c)
{
	while (c->n)
		X509_CRL_free(c->all[--c->n]);
}

static X509_CRL *
crl_of(const struct crls *c, X509 *authority)
{
	for (int i = 0; i < c->n; i++)
		if (X509_NAME_cmp(X509_CRL_get_issuer(c->all[i]), X509_get_subject_name(authority)) == 0 &&
		    X509_CRL_verify(c->all[i], X509_get0_pubkey(authority)) == 1)
			return c->all[i];
	ERR_clear_error();
	return NULL;
}

bool
pki_crls_have(const struct crls *c, X509 *x)
{
	X509_REVOKED *entry;

	for (int i = 0; i < c->n; i++)
		if (X509_NAME_cmp(X509_CRL_get_issuer(c->all[i]), X509_get_issuer_name(x)) == 0 &&
		    X509_CRL_get0_by_serial(c->all[i], &entry, X509_get_serialNumber(x)) == 1)
			return true;
	return false;
}

/* Writing */

/* Of two lists a running broker goes by the one that began later, and a second is all that tells them apart. */
static time_t
begin_of(const X509_CRL *old, time_t now)
{
	time_t from = now - BACKDATE_S, before = old ? (time_t)(pki_asn1_ms(X509_CRL_get0_lastUpdate(old)) / 1000) : 0;

	if (before >= from)
		from = before + 1;
	return from > now ? now : from;
}

static bool
set_times(X509_CRL *crl, const X509_CRL *old)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	ASN1_TIME *from = ASN1_TIME_set(NULL, begin_of(old, now));
	ASN1_TIME *until = ASN1_TIME_set(NULL, now + (time_t)PKI_CRL_DAYS * DAY_S);
	bool ok = from && until && X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, until) == 1;

	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	return ok;
}

static bool
set_number(X509_CRL *crl, X509_CRL *old)
{
	ASN1_INTEGER *n = old ? X509_CRL_get_ext_d2i(old, NID_crl_number, NULL, NULL) : NULL;
	int64_t last = 0;
	bool ok;

	if (n)
		ASN1_INTEGER_get_int64(&last, n);
	else
		n = ASN1_INTEGER_new();
	ok = n && ASN1_INTEGER_set_int64(n, last + 1) == 1 && X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;
	ASN1_INTEGER_free(n);
	return ok;
}

static bool
set_authority(X509_CRL *crl, X509 *authority)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, authority, NULL, NULL, crl, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	ok = ext && X509_CRL_add_ext(crl, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok && X509_CRL_set_issuer_name(crl, X509_get_subject_name(authority)) == 1;
}

/* Takes the entry. */
static bool
add_entry(X509_CRL *crl, X509_REVOKED *entry)
{
	if (entry && X509_CRL_add0_revoked(crl, entry) == 1)
		return true;
	X509_REVOKED_free(entry);
	return false;
}

static bool
add_cert(X509_CRL *crl, X509 *x)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)(clock_wall_ms() / 1000));
	bool ok = entry && now && X509_REVOKED_set_revocationDate(entry, now) == 1 &&
	    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(x)) == 1;

	ASN1_TIME_free(now);
	if (ok)
		return add_entry(crl, entry);
	X509_REVOKED_free(entry);
	return false;
}

/* What was taken back stays so; of what is taken back now, this authority's. */
static bool
add_entries(X509_CRL *crl, X509_CRL *old, X509 *authority, const STACK_OF(X509) *more)
{
	STACK_OF(X509_REVOKED) *had = old ? X509_CRL_get_REVOKED(old) : NULL;
	bool ok = true;

	for (int i = 0; ok && had && i < sk_X509_REVOKED_num(had); i++)
		ok = add_entry(crl, X509_REVOKED_dup(sk_X509_REVOKED_value(had, i)));
	for (int i = 0; ok && more && i < sk_X509_num(more); i++)
		if (X509_check_issued(authority, sk_X509_value(more, i)) == X509_V_OK)
			ok = add_cert(crl, sk_X509_value(more, i));
	return ok;
}

static X509_CRL *
make_crl(X509 *authority, EVP_PKEY *key, X509_CRL *old, const STACK_OF(X509) *more, struct err *e)
{
	X509_CRL *crl = X509_CRL_new();

	if (crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 && set_times(crl, old) && set_number(crl, old) &&
	    set_authority(crl, authority) && add_entries(crl, old, authority, more) && X509_CRL_sort(crl) == 1 &&
	    X509_CRL_sign(crl, key, EVP_sha256()) > 0)
		return crl;
	X509_CRL_free(crl);
	pki_ssl_failed(e, ERR_INTERNAL, "making a list of revoked certificates");
	return NULL;
}

/* Of an authority whose key is not here the list stays as it is. */
static int
put_crl(BIO *out, const struct ca *ca, int i, X509_CRL *old, const STACK_OF(X509) *more, struct err *e)
{
	X509_CRL *crl = ca->keys[i] ? make_crl(ca->all[i], ca->keys[i], old, more, e) : old;
	int rc = 0;

	if (!crl)
		return ca->keys[i] ? -1 : 0;
	if (PEM_write_bio_X509_CRL(out, crl) != 1)
		rc = pki_ssl_failed(e, ERR_INTERNAL, "writing a list of revoked certificates");
	if (crl != old)
		X509_CRL_free(crl);
	return rc;
}

int
pki_crls_write(const char *dir, const struct ca *ca, const STACK_OF(X509) *more, struct err *e)
{
	BIO *out = BIO_new(BIO_s_mem());
	struct crls had;
	int rc = pki_crls_read(dir, &had, e);

	for (int i = 0; i < ca->n && rc == 0; i++)
		rc = put_crl(out, ca, i, crl_of(&had, ca->all[i]), more, e);
	if (rc == 0)
		rc = pki_bio_save(out, dir, "ca", ".crl", 0600, e);
	pki_crls_release(&had);
	BIO_free(out);
	return rc;
}

static bool
lasts(X509_CRL *crl, int days)
{
	return crl && pki_asn1_ms(X509_CRL_get0_nextUpdate(crl)) >= clock_wall_ms() + days * INT64_C(1000) * DAY_S;
}

int
pki_crls_keep(const char *dir, const struct ca *ca, bool *changed, struct err *e)
{
	struct crls had;

	*changed = false;
	if (pki_crls_read(dir, &had, e))
		return -1;
	for (int i = 0; i < ca->n; i++)
		*changed |= ca->keys[i] && !lasts(crl_of(&had, ca->all[i]), PKI_CRL_LEFT_DAYS);
	pki_crls_release(&had);
	return *changed ? pki_crls_write(dir, ca, NULL, e) : 0;
}

int
pki_crl_keep(const char *dir, bool *changed, struct err *e)
{
	char *key = pki_path(dir, "ca", ".key");
	bool signs = access(key, F_OK) == 0;
	struct pki_crl crl;
	struct ca ca;
	int rc;

	*changed = false;
	free(key);
	if (!signs)
		return pki_crl_read(dir, &crl, e);
	if (pki_ca_open(dir, &ca, e))
		return -1;
	rc = pki_crls_keep(dir, &ca, changed, e);
	pki_ca_release(&ca);
	return rc;
}

/* Showing */

static void
describe(X509_CRL *crl, struct pki_crl *out)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);
	int64_t until_ms = pki_asn1_ms(X509_CRL_get0_nextUpdate(crl));

	if (!out->until_ms || until_ms < out->until_ms)
		out->until_ms = until_ms;
	out->revoked += entries ? sk_X509_REVOKED_num(entries) : 0;
}

int
pki_crl_read(const char *dir, struct pki_crl *out, struct err *e)
{
	X509 *all[MAX_AUTHORITIES];
	struct crls crls;
	int n, rc = 0;

	*out = (struct pki_crl){ 0 };
	if (crls_read(dir, &crls, e) || (n = pki_certs_read(dir, "ca", all, MAX_AUTHORITIES, e)) < 0) {
		pki_crls_release(&crls);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		X509_CRL *crl = crl_of(&crls, all[i]);

		if (crl)
			describe(crl, out);
		else
			rc = err_set(e, ERR_CONFIG, "%s/ca.crl has no list of an authority in ca.crt", dir);
		X509_free(all[i]);
	}
	pki_crls_release(&crls);
	return rc;
}

/* Taking back */

static int
is_cert_file(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot && strcmp(dot, ".crt") == 0 && d->d_name[0] != '.';
}

static bool
is_named(X509 *x, const char *name)
{
	char cn[65];

	return X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof cn) > 0 &&
	    strcmp(cn, name) == 0;
}

/* Every certificate of that name that is still good, but for the one to keep. */
static STACK_OF(X509) *
good_ones(const char *dir, const char *name, X509 *keep, const struct crls *had, struct err *e)
{
	STACK_OF(X509) *found = sk_X509_new_null();
	struct dirent **files = NULL;
	char *issued = pki_path(dir, ISSUED, "");
	int n = scandir(issued, &files, is_cert_file, alphasort);

	for (int i = 0; i < n; i++) {
		char *file = xstrndup(files[i]->d_name, strlen(files[i]->d_name) - strlen(".crt"));
		X509 *x = NULL;

		if (pki_certs_read(issued, file, &x, 1, NULL) == 1 && is_named(x, name) &&
		    X509_cmp_current_time(X509_get0_notAfter(x)) > 0 && !pki_crls_have(had, x) &&
		    (!keep || X509_cmp(x, keep) != 0) && sk_X509_push(found, x) > 0)
			x = NULL;
		X509_free(x);
		free(file);
		free(files[i]);
	}
	free(files);
	free(issued);
	if (sk_X509_num(found) > 0)
		return found;
	sk_X509_free(found);
	err_set(e, ERR_NOT_FOUND, "%s has no %scertificate that is good", name, keep ? "former " : "");
	return NULL;
}

static int
remove_file(const char *dir, const char *name, const char *suffix, struct err *e)
{
	char *path = pki_path(dir, name, suffix);
	int rc = 0;

	if (unlink(path) && errno != ENOENT)
		rc = err_set(e, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
	free(path);
	return rc;
}

static int
take_back(const char *dir, const char *name, X509 *keep, const struct ca *ca, int *n, struct err *e)
{
	STACK_OF(X509) *gone;
	struct crls had;
	int rc;

	if (pki_crls_read(dir, &had, e))
		return -1;
	gone = good_ones(dir, name, keep, &had, e);
	pki_crls_release(&had);
	if (!gone)
		return -1;
	*n = sk_X509_num(gone);
	rc = pki_crls_write(dir, ca, gone, e);
	sk_X509_pop_free(gone, X509_free);
	return rc;
}

/* The one beside its key may be older than the copies. */
static int
present_one(const char *dir, const char *name, X509 **out, struct err *e)
{
	if (pki_certs_read(dir, name, out, 1, NULL) < 0)
		return 0;
	if (pki_use_of(*out) == PKI_SERVER)
		return err_set(e, ERR_INVALID, "%s is a broker, and no client asks for a list: give the broker a new key "
		    "with `pki renew %s --new-key`, or change the authority", name, name);
	return pki_record(dir, *out, e);
}

int
pki_revoke(const char *dir, const char *name, bool former, int *n, struct err *e)
{
	X509 *present = NULL;
	struct ca ca;
	int rc = -1;

	*n = 0;
	if (pki_check_name(name, e) || pki_ca_open(dir, &ca, e))
		return -1;
	if (present_one(dir, name, &present, e))
		goto out;
	if (former && !present)
		err_set(e, ERR_NOT_FOUND, "%s has no certificate to keep", name);
	else
		rc = take_back(dir, name, former ? present : NULL, &ca, n, e);
	/* The key may be known to others: it is not to be used again. */
	if (rc == 0 && !former)
		rc = remove_file(dir, name, ".crt", e) || remove_file(dir, name, ".key", e) ? -1 : 0;
out:
	X509_free(present);
	pki_ca_release(&ca);
	return rc;
}
