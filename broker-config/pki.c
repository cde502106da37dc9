#include "pki.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "pki_impl.h"
#include "save.h"
#include "topic.h"

static const char *const use_names[PKI_NUSES] = {
#define X(sym, name) [sym] = name,
	PKI_USES(X)
#undef X
};

const char *
pki_use_name(enum pki_use use)
{
	return use_names[use];
}

int
pki_ssl_failed(struct err *e, enum err_code code, const char *what)
{
	unsigned long n = ERR_peek_last_error();
	const char *why = n ? ERR_reason_error_string(n) : NULL;

	ERR_clear_error();
	return err_set(e, code, "%s: %s", what, why ? why : "failed");
}

char *
pki_path(const char *dir, const char *name, const char *suffix)
{
	struct buf b = { 0 };

	buf_addf(&b, "%s/%s%s", dir, name, suffix);
	return buf_take(&b);
}

/* Reading */

/* Every private key in a PEM file; returns how many, -1 with e if there is none. */
static int
keys_parse(const struct buf *pem, const char *path, EVP_PKEY **out, int max, struct err *e)
{
	BIO *in = BIO_new_mem_buf(buf_str(pem), (int)pem->len);
	int n = 0;

	while (n < max && (out[n] = PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"")))
		n++;
	BIO_free(in);
	if (n == 0) {
		pki_ssl_failed(e, ERR_PARSE, "not a private key");
		return err_wrap(e, "%s", path);
	}
	ERR_clear_error();      /* the end of the file is one */
	return n;
}

static int
keys_read(const char *dir, const char *name, EVP_PKEY **out, int max, struct err *e)
{
	char *path = pki_path(dir, name, ".key");
	struct buf pem = { .max = FILE_MAX_BYTES };
	struct stat st;
	int n = -1;

	if (save_read(path, &pem, e))
		goto out;
	if (stat(path, &st) == 0 && (st.st_mode & 077)) {
		err_set(e, ERR_DENIED, "%s has mode %03o, others can read it; chmod 600", path,
		    (unsigned)st.st_mode & 0777);
		goto out;
	}
	n = keys_parse(&pem, path, out, max, e);
out:
	if (pem.data)
		OPENSSL_cleanse(pem.data, pem.len);
	buf_free(&pem);
	free(path);
	return n;
}

static EVP_PKEY *
key_read(const char *dir, const char *name, struct err *e)
{
	EVP_PKEY *key = NULL;

	return keys_read(dir, name, &key, 1, e) < 0 ? NULL : key;
}

/* Every certificate in a PEM file; returns how many, -1 with e if there is none. */
static int
certs_parse(const struct buf *pem, const char *path, X509 **out, int max, struct err *e)
{
	BIO *in = BIO_new_mem_buf(buf_str(pem), (int)pem->len);
	int n = 0;

	while (n < max && (out[n] = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		n++;
	BIO_free(in);
	if (n == 0) {
		pki_ssl_failed(e, ERR_PARSE, "not a certificate");
		return err_wrap(e, "%s", path);
	}
	ERR_clear_error();      /* the end of the file is one */
	return n;
}

int
pki_certs_read(const char *dir, const char *name, X509 **out, int max, struct err *e)
{
	char *path = pki_path(dir, name, ".crt");
	struct buf pem = { .max = FILE_MAX_BYTES };
	int n = save_read(path, &pem, e) ? -1 : certs_parse(&pem, path, out, max, e);

	buf_free(&pem);
	free(path);
	return n;
}

void
pki_ca_release(struct ca *ca)
{
	for (int i = 0; i < ca->n; i++) {
		X509_free(ca->all[i]);
		EVP_PKEY_free(ca->keys[i]);
	}
	if (ca->lock >= 0)
		close(ca->lock);
	*ca = (struct ca){ .lock = -1 };
}

/* Takes the key if a certificate is its own and has none yet; returns that one. */
static X509 *
ca_take_key(struct ca *ca, EVP_PKEY *key)
{
	for (int i = 0; i < ca->n; i++)
		if (!ca->keys[i] && X509_check_private_key(ca->all[i], key) == 1) {
			ca->keys[i] = key;
			return ca->all[i];
		}
	ERR_clear_error();
	EVP_PKEY_free(key);
	return NULL;
}

/* What is trusted here. */
static int
ca_read(const char *dir, struct ca *ca, struct err *e)
{
	int n;

	*ca = (struct ca){ .lock = -1 };
	n = pki_certs_read(dir, "ca", ca->all, MAX_AUTHORITIES, e);
	ca->n = n < 0 ? 0 : n;
	return n < 0 ? -1 : 0;
}

/* One signs at a time, lest a list be made from one that has just been replaced. */
static int
ca_lock(const char *dir, struct ca *ca, struct err *e)
{
	ca->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ca->lock >= 0 && flock(ca->lock, LOCK_EX) == 0)
		return 0;
	return err_set(e, ERR_IO, "cannot lock %s: %s", dir, strerror(errno));
}

int
pki_ca_open(const char *dir, struct ca *ca, struct err *e)
{
	EVP_PKEY *keys[MAX_AUTHORITIES];
	int n = ca_read(dir, ca, e) || ca_lock(dir, ca, e) ? -1 : keys_read(dir, "ca", keys, MAX_AUTHORITIES, e);

	for (int i = 0; i < n; i++) {
		X509 *cert = ca_take_key(ca, keys[i]);

		if (i > 0 || !cert)
			continue;
		ca->cert = cert;
		ca->key = keys[0];
	}
	if (ca->cert)
		return 0;
	if (n > 0)
		err_set(e, ERR_CONFIG, "%s: no certificate in ca.crt belongs to ca.key", dir);
	pki_ca_release(ca);
	return err_wrap(e, "the authority");
}

/* Making */

/* 128 random bits: no two certificates of a cluster share one. */
static int
set_serial(X509 *x)
{
	unsigned char raw[16];
	BIGNUM *n;
	int ok;

	if (RAND_bytes(raw, sizeof raw) != 1 || !(n = BN_bin2bn(raw, sizeof raw, NULL)))
		return -1;
	ok = BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return ok ? 0 : -1;
}

int64_t
pki_asn1_ms(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

/* A certificate does not outlive the authority that signed it. */
static int
set_validity(X509 *x, const X509 *issuer, int days)
{
	time_t now = (time_t)(clock_wall_ms() / 1000), end = now + (time_t)days * DAY_S;

	if (issuer && pki_asn1_ms(X509_get0_notAfter(issuer)) / 1000 < end)
		end = (time_t)(pki_asn1_ms(X509_get0_notAfter(issuer)) / 1000);
	return ASN1_TIME_set(X509_getm_notBefore(x), now - BACKDATE_S) && ASN1_TIME_set(X509_getm_notAfter(x), end)
	    ? 0 : -1;
}

static bool
add_name(X509_NAME *to, const char *field, const char *value)
{
	const unsigned char *bytes = (const unsigned char *)value;

	return X509_NAME_add_entry_by_txt(to, field, MBSTRING_UTF8, bytes, -1, -1, 0) == 1;
}

static int
set_name(X509_NAME *to, const char *cn)
{
	return add_name(to, "O", "Uni-Wizard") && add_name(to, "CN", cn) ? 0 : -1;
}

struct extension {
	int nid;
	const char *value;
};

static const struct extension ca_extensions[] = {
	{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ NID_subject_key_identifier, "hash" },
	{ 0, NULL },
};
static const struct extension server_extensions[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "serverAuth" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ 0, NULL },
};
static const struct extension client_extensions[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "clientAuth" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ 0, NULL },
};
static const struct extension *const extensions[PKI_NUSES] = {
	[PKI_CA] = ca_extensions,
	[PKI_SERVER] = server_extensions,
	[PKI_CLIENT] = client_extensions,
};

static int
add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok ? 0 : -1;
}

struct request {
	const char *cn;
	enum pki_use use;
	const char *sans;       /* in OpenSSL's notation, "DNS:a,IP:1.2.3.4"; "": none */
	int days;
	EVP_PKEY *key;
};

/* ca NULL: signed by itself. */
static int
fill_cert(X509 *x, const struct request *r, const struct ca *ca)
{
	X509 *issuer = ca ? ca->cert : x;

	if (X509_set_version(x, X509_VERSION_3) != 1 || set_serial(x) ||
	    set_validity(x, ca ? issuer : NULL, r->days) || set_name(X509_get_subject_name(x), r->cn) ||
	    X509_set_pubkey(x, r->key) != 1 || X509_set_issuer_name(x, X509_get_subject_name(issuer)) != 1)
		return -1;
	for (const struct extension *ext = extensions[r->use]; ext->value; ext++)
		if (add_extension(x, issuer, ext->nid, ext->value))
			return -1;
	if (r->sans[0] && add_extension(x, issuer, NID_subject_alt_name, r->sans))
		return -1;
	return X509_sign(x, ca ? ca->key : r->key, EVP_sha256()) > 0 ? 0 : -1;
}

static X509 *
make_cert(const struct request *r, const struct ca *ca, struct err *e)
{
	X509 *x = X509_new();

	if (x && fill_cert(x, r, ca) == 0)
		return x;
	X509_free(x);
	pki_ssl_failed(e, ERR_INTERNAL, "making a certificate");
	return NULL;
}

static EVP_PKEY *
make_key(struct err *e)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (!key)
		pki_ssl_failed(e, ERR_INTERNAL, "making a key");
	return key;
}

/* Writing */

int
pki_bio_save(BIO *out, const char *dir, const char *name, const char *suffix, mode_t mode, struct err *e)
{
	char *path = pki_path(dir, name, suffix), *text;
	long len = BIO_get_mem_data(out, &text);
	int rc = save_file(path, text, (size_t)len, mode, e);

	free(path);
	return rc;
}

static int
keys_write(const char *dir, const char *name, EVP_PKEY *const *keys, int n, struct err *e)
{
	BIO *out = BIO_new(BIO_s_secmem());
	int rc = 0;

	for (int i = 0; i < n && rc == 0; i++)
		if (keys[i] && PEM_write_bio_PKCS8PrivateKey(out, keys[i], NULL, NULL, 0, NULL, NULL) != 1)
			rc = pki_ssl_failed(e, ERR_INTERNAL, "writing a key");
	if (rc == 0)
		rc = pki_bio_save(out, dir, name, ".key", 0600, e);
	BIO_free(out);
	return rc;
}

static int
key_write(const char *dir, const char *name, EVP_PKEY *key, struct err *e)
{
	return keys_write(dir, name, &key, 1, e);
}

static int
certs_write(const char *dir, const char *name, X509 *const *certs, int n, struct err *e)
{
	BIO *out = BIO_new(BIO_s_mem());
	int rc = 0;

	for (int i = 0; i < n && rc == 0; i++)
		if (PEM_write_bio_X509(out, certs[i]) != 1)
			rc = pki_ssl_failed(e, ERR_INTERNAL, "writing a certificate");
	if (rc == 0)
		rc = pki_bio_save(out, dir, name, ".crt", 0600, e);
	BIO_free(out);
	return rc;
}

/* Names and addresses */

static bool
dns_name_ok(const char *s)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
	const char *rest = strncmp(s, "*.", 2) == 0 ? s + 2 : s;

	return *rest && strlen(s) <= 253 && rest[strspn(rest, set)] == '\0' && *rest != '.' && *rest != '-';
}

static bool
address_ok(const char *s)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1;
}

static int
sans_format(struct buf *out, const char *const *sans, size_t n, struct err *e)
{
	if (n > PKI_MAX_SANS)
		return err_set(e, ERR_TOO_BIG, "san: expected at most %d names, got %zu", PKI_MAX_SANS, n);
	for (size_t i = 0; i < n; i++) {
		if (!address_ok(sans[i]) && !dns_name_ok(sans[i]))
			return err_field(e, ERR_INVALID, "san", sans[i], "a host name or an address");
		buf_addf(out, "%s%s%s", i ? "," : "", address_ok(sans[i]) ? "IP:" : "DNS:", sans[i]);
	}
	return 0;
}

static int
check_days(int days, struct err *e)
{
	char got[16];

	if (days >= 1 && days <= PKI_MAX_DAYS)
		return 0;
	snprintf(got, sizeof got, "%d", days);
	return err_field(e, ERR_INVALID, "days", got, "a whole number from 1 to %d", PKI_MAX_DAYS);
}

/* "ca" would take the authority's place, and a file name must stay one. */
int
pki_check_name(const char *name, struct err *e)
{
	if (name_ok(name) && strcmp(name, "ca") != 0)
		return 0;
	return err_field(e, ERR_INVALID, "name", name, "a name ([a-z0-9-], at most %d, not ca)", NAME_MAX_LEN);
}

/* The authority */

static X509 *
make_authority(EVP_PKEY *key, int days, struct err *e)
{
	struct request r = { .use = PKI_CA, .sans = "", .days = days, .key = key };
	unsigned char mark[4];
	char cn[40];

	/* Two authorities of a cluster have two names, so that a person can tell them apart. */
	RAND_bytes(mark, sizeof mark);
	snprintf(cn, sizeof cn, "Uni-Wizard CA %02x%02x%02x%02x", mark[0], mark[1], mark[2], mark[3]);
	r.cn = cn;
	return make_cert(&r, NULL, e);
}

/* At every moment what is in ca.key belongs to something in ca.crt, or there is no ca.crt yet: a
 * first authority's key is written before its certificate, a following one's after. The list goes before the
 * certificate, since one too many does no harm. */
static int
authority_write(const char *dir, const struct ca *former, EVP_PKEY *key, int days, struct err *e)
{
	struct ca ca = { .n = 1, .keys = { key } };
	int rc = -1;

	ca.all[0] = make_authority(key, days, e);
	for (int i = 0; former && i < former->n; i++, ca.n++) {
		ca.all[ca.n] = former->all[i];
		ca.keys[ca.n] = former->keys[i];
	}
	if (!ca.all[0])
		return -1;
	if ((former || key_write(dir, "ca", key, e) == 0) && pki_crls_write(dir, &ca, NULL, e) == 0)
		rc = certs_write(dir, "ca", ca.all, ca.n, e);
	/* A former key signs its own list as long as its certificates are good. */
	if (rc == 0 && former)
		rc = keys_write(dir, "ca", ca.keys, ca.n, e);
	X509_free(ca.all[0]);
	return rc;
}

static bool
file_exists(const char *dir, const char *name, const char *suffix)
{
	char *path = pki_path(dir, name, suffix);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

int
pki_init(const char *dir, int days, bool *created, struct err *e)
{
	bool crt, has_key, changed;
	EVP_PKEY *key;
	int rc;

	*created = false;
	days = days ? days : PKI_CA_DAYS;
	if (check_days(days, e) || save_dir(dir, 0700, e))
		return -1;
	crt = file_exists(dir, "ca", ".crt");
	has_key = file_exists(dir, "ca", ".key");
	if (crt && !has_key)
		return err_set(e, ERR_CONFIG, "%s has ca.crt but no ca.key: certificates are issued where the key is", dir);
	if (crt)
		return pki_crl_keep(dir, &changed, e);
	key = has_key ? key_read(dir, "ca", e) : make_key(e);
	*created = true;
	rc = key ? authority_write(dir, NULL, key, days, e) : -1;
	EVP_PKEY_free(key);
	return rc;
}

int
pki_init_next(const char *dir, int days, struct err *e)
{
	EVP_PKEY *key = NULL;
	struct ca ca;
	int rc = -1;

	days = days ? days : PKI_CA_DAYS;
	if (check_days(days, e) || pki_ca_open(dir, &ca, e))
		return -1;
	if (ca.n == MAX_AUTHORITIES)
		err_set(e, ERR_TOO_BIG, "ca.crt holds %d authorities already; forget the former ones first", ca.n);
	else if ((key = make_key(e)))
		rc = authority_write(dir, &ca, key, days, e);
	EVP_PKEY_free(key);
	pki_ca_release(&ca);
	return rc;
}

int
pki_forget_former(const char *dir, struct err *e)
{
	struct ca ca, alone;
	int rc = -1;

	if (pki_ca_open(dir, &ca, e))
		return -1;
	alone = (struct ca){ .all = { ca.cert }, .keys = { ca.key }, .n = 1 };
	if (certs_write(dir, "ca", alone.all, 1, e) == 0 && keys_write(dir, "ca", alone.keys, 1, e) == 0)
		rc = pki_crls_write(dir, &alone, NULL, e);
	pki_ca_release(&ca);
	return rc;
}

/* Issuing */

static void
serial_format(const X509 *x, char *out, size_t size)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = n ? BN_bn2hex(n) : NULL;

	snprintf(out, size, "%s", hex ? hex : "");
	OPENSSL_free(hex);
	BN_free(n);
}

int
pki_record(const char *dir, X509 *x, struct err *e)
{
	char *issued = pki_path(dir, ISSUED, ""), serial[65];
	int rc;

	serial_format(x, serial, sizeof serial);
	rc = save_dir(issued, 0700, e) || certs_write(issued, serial, &x, 1, e) ? -1 : 0;
	free(issued);
	return rc;
}

/* Nothing is out that could not be taken back, so the copy comes first. */
static int
issue(const char *dir, const struct request *r, bool write_key, struct err *e)
{
	bool changed;
	struct ca ca;
	X509 *x;
	int rc = -1;

	if (pki_ca_open(dir, &ca, e))
		return -1;
	x = make_cert(r, &ca, e);
	if (x && pki_crls_keep(dir, &ca, &changed, e) == 0 && pki_record(dir, x, e) == 0 &&
	    (!write_key || key_write(dir, r->cn, r->key, e) == 0))
		rc = certs_write(dir, r->cn, &x, 1, e);
	X509_free(x);
	pki_ca_release(&ca);
	return rc;
}

int
pki_issue(const char *dir, const char *name, enum pki_use use, const char *const *sans, size_t nsans,
    int days, struct err *e)
{
	struct request r = { .cn = name, .use = use, .days = days ? days : PKI_DAYS };
	struct buf text = { 0 };
	int rc = -1;

	if (pki_check_name(name, e) || check_days(r.days, e) || sans_format(&text, sans, nsans, e))
		goto out;
	r.sans = buf_str(&text);
	r.key = make_key(e);
	if (r.key)
		rc = issue(dir, &r, true, e);
out:
	EVP_PKEY_free(r.key);
	buf_free(&text);
	return rc;
}

/* Of an address the one way of writing it that certificates are read with. */
static void
canonical(const char *name, char *out, size_t size)
{
	unsigned char raw[16];
	int family = strchr(name, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, name, raw) != 1 || !inet_ntop(family, raw, out, (socklen_t)size))
		snprintf(out, size, "%s", name);
}

bool
pki_is_for(const struct pki_cert *c, const char *name)
{
	char want[256];
	size_t n;

	canonical(name, want, sizeof want);
	for (const char *s = c->sans; *s; s += n + strspn(s + n, ", ")) {
		n = strcspn(s, ",");
		if (n == strlen(want) && strncasecmp(s, want, n) == 0)
			return true;
	}
	return false;
}

static void
sans_read(const X509 *x, struct buf *out, bool notation)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	char text[INET6_ADDRSTRLEN];

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s = g->type == GEN_DNS ? g->d.dNSName : g->type == GEN_IPADD ? g->d.iPAddress : NULL;
		const char *sep = out->len == 0 ? "" : notation ? "," : ", ";

		if (!s)
			continue;
		if (g->type == GEN_DNS)
			buf_addf(out, "%s%s%.*s", sep, notation ? "DNS:" : "", ASN1_STRING_length(s),
			    (const char *)ASN1_STRING_get0_data(s));
		else if (inet_ntop(ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text,
		    sizeof text))
			buf_addf(out, "%s%s%s", sep, notation ? "IP:" : "", text);
	}
	GENERAL_NAMES_free(names);
}

enum pki_use
pki_use_of(X509 *x)
{
	if (X509_check_ca(x))
		return PKI_CA;
	return X509_get_extended_key_usage(x) & XKU_SSL_SERVER ? PKI_SERVER : PKI_CLIENT;
}

int
pki_renew(const char *dir, const char *name, const char *const *sans, size_t nsans, int days,
    bool new_key, struct err *e)
{
	struct request r = { .cn = name, .days = days ? days : PKI_DAYS };
	struct buf text = { 0 };
	X509 *old = NULL;
	int rc = -1;

	if (pki_check_name(name, e) || check_days(r.days, e) || pki_certs_read(dir, name, &old, 1, e) < 0)
		goto out;
	r.use = pki_use_of(old);
	if (!sans)
		sans_read(old, &text, true);
	else if (sans_format(&text, sans, nsans, e))
		goto out;
	r.sans = buf_str(&text);
	r.key = new_key ? make_key(e) : key_read(dir, name, e);
	if (r.key)
		rc = issue(dir, &r, new_key, e);
out:
	X509_free(old);
	EVP_PKEY_free(r.key);
	buf_free(&text);
	return rc;
}

/* Showing */

/* What is trusted here, and what is not any more. */
struct known {
	struct ca ca;
	struct crls crls;
};

static int
known_read(const char *dir, struct known *k, struct err *e)
{
	k->crls = (struct crls){ .n = 0 };
	return ca_read(dir, &k->ca, e) || pki_crls_read(dir, &k->crls, e) ? -1 : 0;
}

static void
known_release(struct known *k)
{
	pki_ca_release(&k->ca);
	pki_crls_release(&k->crls);
}

static bool
is_trusted(X509 *x, const struct ca *ca)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = false;

	for (int i = 0; i < ca->n; i++)
		X509_STORE_add_cert(store, ca->all[i]);
	if (X509_STORE_CTX_init(ctx, store, x, NULL) == 1)
		ok = X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

static void
describe(X509 *x, const struct known *k, struct pki_cert *out)
{
	struct buf sans = { .max = sizeof out->sans - 1 };

	*out = (struct pki_cert){ .use = pki_use_of(x), .from_ms = pki_asn1_ms(X509_get0_notBefore(x)),
		.until_ms = pki_asn1_ms(X509_get0_notAfter(x)), .revoked = pki_crls_have(&k->crls, x) };
	out->trusted = !out->revoked && is_trusted(x, &k->ca);
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out->name, sizeof out->name);
	serial_format(x, out->serial, sizeof out->serial);
	sans_read(x, &sans, false);
	snprintf(out->sans, sizeof out->sans, "%s", buf_str(&sans));
	buf_free(&sans);
}

static bool
key_belongs(const char *dir, const char *name, X509 *x)
{
	EVP_PKEY *keys[MAX_AUTHORITIES];
	int n = keys_read(dir, name, keys, MAX_AUTHORITIES, NULL);
	bool ok = false;

	for (int i = 0; i < n; i++) {
		ok |= X509_check_private_key(x, keys[i]) == 1;
		EVP_PKEY_free(keys[i]);
	}
	ERR_clear_error();
	return ok;
}

static int
read_cert(const char *dir, const char *name, const struct known *k, struct pki_cert *out, struct err *e)
{
	X509 *x;

	if (pki_certs_read(dir, name, &x, 1, e) < 0)
		return -1;
	describe(x, k, out);
	out->has_key = key_belongs(dir, name, x);
	X509_free(x);
	return 0;
}

static int
read_authority(const char *dir, struct pki_cert *out, struct err *e)
{
	struct known k = { .crls = { .n = 0 } };

	if (pki_ca_open(dir, &k.ca, e))
		return -1;
	describe(k.ca.cert, &k, out);
	out->has_key = true;
	pki_ca_release(&k.ca);
	return 0;
}

int
pki_read(const char *dir, const char *name, struct pki_cert *out, struct err *e)
{
	struct known k;
	int rc;

	if (strcmp(name, "ca") == 0)
		return read_authority(dir, out, e);
	/* Without ca.crt there is still a certificate to look at, only nobody to trust. */
	known_read(dir, &k, NULL);
	rc = pki_check_name(name, e) || read_cert(dir, name, &k, out, e) ? -1 : 0;
	known_release(&k);
	return rc;
}

static int
is_cert_file(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot && strcmp(dot, ".crt") == 0 && strcmp(d->d_name, "ca.crt") != 0 && d->d_name[0] != '.';
}

struct visit {
	const char *dir, *prefix;       /* where, and what goes before the name of a file */
	bool revoked;                   /* only those, until they expire */
	struct known known;
	pki_visit *each;
	void *arg;
};

static void
visit_file(const struct visit *v, const char *file)
{
	char *name = xstrndup(file, strlen(file) - strlen(".crt")), *shown = pki_path(v->prefix, file, "");
	struct pki_cert c = { .revoked = true };
	struct err e;
	int rc = read_cert(v->dir, name, &v->known, &c, &e);

	if (rc == 0 && (!v->revoked || (c.revoked && c.until_ms > clock_wall_ms())))
		v->each(v->arg, *v->prefix ? shown : file, &c, NULL);
	else if (rc)
		v->each(v->arg, *v->prefix ? shown : file, NULL, e.msg);
	free(name);
	free(shown);
}

static int
visit_files(const struct visit *v, struct err *e)
{
	struct dirent **files = NULL;
	int n = scandir(v->dir, &files, is_cert_file, alphasort);

	if (n < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read directory %s: %s", v->dir,
		    strerror(errno));
	for (int i = 0; i < n; i++) {
		visit_file(v, files[i]->d_name);
		free(files[i]);
	}
	free(files);
	return 0;
}

static void
visit_authorities(const struct visit *v)
{
	struct pki_cert c;

	for (int i = 0; i < v->known.ca.n; i++) {
		describe(v->known.ca.all[i], &v->known, &c);
		c.has_key = key_belongs(v->dir, "ca", v->known.ca.all[i]);
		v->each(v->arg, "ca.crt", &c, NULL);
	}
}

int
pki_each(const char *dir, pki_visit *each, void *arg, struct err *e)
{
	struct visit v = { .dir = dir, .prefix = "", .each = each, .arg = arg }, gone;
	char *issued = pki_path(dir, ISSUED, "");
	struct err why;
	int rc;

	if (known_read(dir, &v.known, &why) && access(dir, F_OK) == 0)
		each(arg, v.known.ca.n ? "ca.crl" : "ca.crt", NULL, why.msg);
	visit_authorities(&v);
	rc = visit_files(&v, e);
	gone = v;
	gone.dir = issued;
	gone.prefix = ISSUED;
	gone.revoked = true;
	if (rc == 0 && access(issued, F_OK) == 0)
		rc = visit_files(&gone, e);
	known_release(&v.known);
	free(issued);
	return rc;
}
