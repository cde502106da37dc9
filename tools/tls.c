#include "tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <time.h>

#include "clock.h"
#include "err.h"
#include "json.h"
#include "net.h"

#define MAX_NAMES 50
#define DAY_MS 86400000

static bool
is_address(const char *host)
{
	unsigned char a[16];

	return inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1;
}

static void
expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

	if (is_address(host)) {
		X509_VERIFY_PARAM_set1_ip_asc(p, host);
		return;
	}
	X509_VERIFY_PARAM_set1_host(p, host, 0);
	SSL_set_tlsext_host_name(ssl, host);
}

static const char *
last_reason(void)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	return why ? why : "the peer closed the connection";
}

static int
shake_hands(SSL *ssl, int fd, int64_t deadline_ms, struct err *e)
{
	int rc;

	ERR_clear_error();
	while ((rc = SSL_connect(ssl)) != 1) {
		int want = SSL_get_error(ssl, rc);

		if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
			return err_set(e, ERR_NETWORK, "no TLS: %s", last_reason());
		if (!net_wait(fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_ms))
			return err_set(e, ERR_TIMEOUT, "no TLS handshake in time");
	}
	return 0;
}

static void
put_name(struct buf *out, const char *key, const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	n = BIO_get_mem_data(bio, &text);
	json_put_key(out, key);
	json_put_strn(out, text, n < 1024 ? (size_t)n : 1024);
	BIO_free(bio);
}

static void
put_alt_name(struct buf *out, const GENERAL_NAME *g)
{
	char text[NET_ADDR_TEXT];

	if (g->type == GEN_DNS) {
		const char *name = (const char *)ASN1_STRING_get0_data(g->d.dNSName);

		/* A NUL within is an old trick; what stands before it is enough to see. */
		json_put_strn(out, name, strnlen(name, (size_t)ASN1_STRING_length(g->d.dNSName)));
	} else if (g->type == GEN_IPADD) {
		int n = ASN1_STRING_length(g->d.iPAddress);

		if ((n == 4 || n == 16) && inet_ntop(n == 4 ? AF_INET : AF_INET6,
		    ASN1_STRING_get0_data(g->d.iPAddress), text, sizeof text))
			json_put_str(out, text);
	}
}

static void
put_alt_names(struct buf *out, X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int n = names ? sk_GENERAL_NAME_num(names) : 0;

	json_put_key(out, "names");
	json_put_open(out, '[');
	for (int i = 0; i < n && i < MAX_NAMES; i++)
		put_alt_name(out, sk_GENERAL_NAME_value(names, i));
	json_put_close(out, ']');
	if (n > MAX_NAMES)
		json_kv_int(out, "names_total", n);
	GENERAL_NAMES_free(names);
}

static bool
time_of(const ASN1_TIME *t, int64_t *ms)
{
	struct tm tm;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*ms = (int64_t)timegm(&tm) * 1000;
	return true;
}

static void
put_validity(struct buf *out, X509 *cert)
{
	int64_t from, to, now = clock_wall_ms();

	if (time_of(X509_get0_notBefore(cert), &from))
		json_kv_time(out, "not_before", from);
	if (time_of(X509_get0_notAfter(cert), &to)) {
		json_kv_time(out, "not_after", to);
		json_kv_int(out, "days_left", to > now ? (to - now) / DAY_MS : -((now - to) / DAY_MS) - 1);
		json_kv_bool(out, "expired", to <= now);
	}
}

static void
put_fingerprint(struct buf *out, X509 *cert)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n = 0;

	if (X509_digest(cert, EVP_sha256(), md, &n) != 1)
		return;
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
	json_kv_str(out, "sha256", hex);
}

static void
put_peer(struct buf *out, SSL *ssl, const char *refused)
{
	X509 *cert = SSL_get1_peer_certificate(ssl);
	long verdict = SSL_get_verify_result(ssl);
	bool trusted = cert && verdict == X509_V_OK;

	json_put_open(out, '{');
	json_kv_str(out, "protocol", SSL_get_version(ssl));
	json_kv_str(out, "cipher", SSL_get_cipher_name(ssl));
	json_kv_bool(out, "trusted", trusted);
	if (!trusted)
		json_kv_str(out, "why", cert ? X509_verify_cert_error_string(verdict) : "no certificate");
	if (refused)
		json_kv_str(out, "refused", refused);
	if (cert) {
		put_name(out, "subject", X509_get_subject_name(cert));
		put_name(out, "issuer", X509_get_issuer_name(cert));
		put_alt_names(out, cert);
		put_validity(out, cert);
		put_fingerprint(out, cert);
	}
	json_put_close(out, '}');
	X509_free(cert);
}

/* Every certificate in the PEM text. */
static int
trust(SSL_CTX *ctx, const struct buf *ca, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(ca->data, (int)ca->len);
	X509 *cert;
	int n = 0;

	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert);
		X509_free(cert);
		n++;
	}
	BIO_free(bio);
	return n ? 0 : err_field(e, ERR_INVALID, "params.ca_file", NULL, "certificates in PEM");
}

/* SSL_VERIFY_NONE: an expired certificate is what one wants to look at; the verdict is kept anyway. */
static SSL_CTX *
context(const struct buf *ca, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int rc = 0;

	if (!ctx) {
		err_set(e, ERR_INTERNAL, "OpenSSL does not start");
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	if (ca->len)
		rc = trust(ctx, ca, e);
	else
		SSL_CTX_set_default_verify_paths(ctx);
	if (rc) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static int
inspect(SSL *ssl, int fd, int64_t deadline_ms, struct buf *out, struct err *e)
{
	int rc = shake_hands(ssl, fd, deadline_ms, e);

	if (rc == 0 || (e->code == ERR_NETWORK && SSL_get0_peer_certificate(ssl))) {
		put_peer(out, ssl, rc ? e->msg : NULL);
		*e = (struct err){ 0 };
		rc = 0;
	}
	return rc;
}

int
tls_inspect(int fd, const char *host, const struct buf *ca, int64_t deadline_ms, struct buf *out,
    struct err *e)
{
	SSL_CTX *ctx = context(ca, e);
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;
	struct sigaction old;
	int rc = -1;

	net_sigpipe_off(&old);
	if (ssl && SSL_set_fd(ssl, fd) == 1) {
		expect_host(ssl, host);
		rc = inspect(ssl, fd, deadline_ms, out, e);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	net_sigpipe_back(&old);
	return rc;
}
