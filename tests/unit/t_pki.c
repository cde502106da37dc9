#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "pki.h"
#include "save.h"

#define DAY_MS INT64_C(86400000)

static char dir[32], pki[64];

static int
begin(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/t_pki.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(pki, sizeof pki, "%s/a b/pki", dir);
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int
end(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
init(void)
{
	struct err e = { 0 };
	bool created;

	assert_int_equal(pki_init(pki, 0, &created, &e), 0);
	assert_true(created);
}

static void
issue(const char *name)
{
	struct err e = { 0 };

	assert_int_equal(pki_issue(pki, name, PKI_CLIENT, NULL, 0, 0, &e), 0);
}

static struct pki_cert
cert_of(const char *name)
{
	struct pki_cert c;
	struct err e = { 0 };

	assert_int_equal(pki_read(pki, name, &c, &e), 0);
	return c;
}

static char *
content(const char *file)
{
	struct buf b = { 0 };
	char path[128];

	snprintf(path, sizeof path, "%s/%s", pki, file);
	assert_int_equal(save_read(path, &b, NULL), 0);
	return buf_take(&b);
}

static bool
same_content(const char *before, const char *file)
{
	char *now = content(file);
	bool same = strcmp(before, now) == 0;

	free(now);
	return same;
}

static void
an_authority_is_made_once_and_kept(void **state)
{
	struct err e = { 0 };
	bool created;
	char *key;

	(void)state;
	init();
	key = content("ca.key");
	assert_int_equal(pki_init(pki, 0, &created, &e), 0);
	assert_false(created);
	assert_true(same_content(key, "ca.key"));
	free(key);
	assert_int_equal(cert_of("ca").use, PKI_CA);
	assert_true(cert_of("ca").until_ms > clock_wall_ms() + 3649 * DAY_MS);
}

static void
only_the_owner_can_read_anything(void **state)
{
	static const char *const files[] = { "", "/ca.crt", "/ca.key", "/ca.crl", "/ezra-1.crt", "/ezra-1.key" };
	struct stat st;
	char path[128];

	(void)state;
	init();
	issue("ezra-1");
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s%s", pki, files[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, i ? 0600 : 0700);
	}
}

static X509 *
x509_of(const char *file)
{
	char *pem = content(file);
	BIO *in = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);

	BIO_free(in);
	free(pem);
	assert_non_null(x);
	return x;
}

static void
a_certificate_is_for_one_purpose_on_p256(void **state)
{
	static const char *const sans[] = { "localhost", "*.example.org", "127.0.0.1", "::1" };
	struct err e = { 0 };
	char group[32];
	X509 *server, *client, *ca;

	(void)state;
	init();
	issue("ezra-1");
	assert_int_equal(pki_issue(pki, "broker", PKI_SERVER, sans, 4, 0, &e), 0);
	server = x509_of("broker.crt");
	client = x509_of("ezra-1.crt");
	ca = x509_of("ca.crt");
	assert_int_equal(X509_check_purpose(server, X509_PURPOSE_SSL_SERVER, 0), 1);
	assert_int_equal(X509_check_purpose(server, X509_PURPOSE_SSL_CLIENT, 0), 0);
	assert_int_equal(X509_check_purpose(client, X509_PURPOSE_SSL_CLIENT, 0), 1);
	assert_int_equal(X509_check_purpose(client, X509_PURPOSE_SSL_SERVER, 0), 0);
	assert_int_equal(X509_check_ca(ca), 1);
	assert_int_equal(X509_check_ca(client), 0);
	assert_int_equal(X509_get_pathlen(ca), 0);
	assert_int_equal(X509_check_host(server, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(server, "a.example.org", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(server, "example.com", 0, 0, NULL), 0);
	assert_int_equal(X509_check_ip_asc(server, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(server, "::1", 0), 1);
	assert_int_equal(EVP_PKEY_get_group_name(X509_get0_pubkey(client), group, sizeof group, NULL), 1);
	assert_string_equal(group, "prime256v1");
	X509_free(server);
	X509_free(client);
	X509_free(ca);
}

static void
lifetimes_are_a_year_and_begin_a_little_back(void **state)
{
	struct pki_cert c;

	(void)state;
	init();
	issue("ezra-1");
	c = cert_of("ezra-1");
	assert_string_equal(c.name, "ezra-1");
	assert_true(c.trusted && c.has_key);
	assert_true(c.from_ms < clock_wall_ms() - 60000 && c.from_ms > clock_wall_ms() - 3600000);
	assert_true(c.until_ms > clock_wall_ms() + 364 * DAY_MS && c.until_ms < clock_wall_ms() + 366 * DAY_MS);
}

static void
a_certificate_does_not_outlive_its_authority(void **state)
{
	struct err e = { 0 };
	bool created;

	(void)state;
	assert_int_equal(pki_init(pki, 10, &created, &e), 0);
	issue("ezra-1");
	assert_true(cert_of("ezra-1").until_ms == cert_of("ca").until_ms);
}

static void
serial_numbers_are_long_and_differ(void **state)
{
	struct pki_cert a, b;

	(void)state;
	init();
	issue("a");
	issue("b");
	a = cert_of("a");
	b = cert_of("b");
	assert_true(strlen(a.serial) > 24 && strlen(b.serial) > 24);
	assert_string_not_equal(a.serial, b.serial);
}

static void
renewal_keeps_key_and_names_unless_asked(void **state)
{
	static const char *const sans[] = { "localhost", "10.0.0.1" }, *const more[] = { "broker.example.org" };
	struct err e = { 0 };
	char *key;
	struct pki_cert before;

	(void)state;
	init();
	assert_int_equal(pki_issue(pki, "broker", PKI_SERVER, sans, 2, 0, &e), 0);
	before = cert_of("broker");
	key = content("broker.key");
	assert_int_equal(pki_renew(pki, "broker", NULL, 0, 30, false, &e), 0);
	assert_true(same_content(key, "broker.key"));
	assert_string_not_equal(cert_of("broker").serial, before.serial);
	assert_string_equal(cert_of("broker").sans, "localhost, 10.0.0.1");
	assert_int_equal(cert_of("broker").use, PKI_SERVER);
	assert_true(cert_of("broker").until_ms < clock_wall_ms() + 31 * DAY_MS);
	assert_int_equal(pki_renew(pki, "broker", more, 1, 0, true, &e), 0);
	assert_false(same_content(key, "broker.key"));
	assert_string_equal(cert_of("broker").sans, "broker.example.org");
	assert_true(cert_of("broker").has_key && cert_of("broker").trusted);
	free(key);
}

static void
a_second_authority_is_trusted_beside_the_first(void **state)
{
	struct err e = { 0 };

	(void)state;
	init();
	issue("old");
	issue("renewed");
	assert_int_equal(pki_init_next(pki, 0, &e), 0);
	assert_true(cert_of("old").trusted);
	assert_int_equal(pki_renew(pki, "renewed", NULL, 0, 0, false, &e), 0);
	issue("new");
	assert_true(cert_of("renewed").trusted && cert_of("new").trusted && cert_of("old").trusted);
	assert_int_equal(pki_forget_former(pki, &e), 0);
	assert_true(cert_of("renewed").trusted && cert_of("new").trusted);
	assert_false(cert_of("old").trusted);
}

static void
names_that_would_leave_the_directory_or_lie_are_refused(void **state)
{
	static const char *const bad[] = { "", "ca", "../x", "a/b", ".x", "A", "a b", "a\n", "_", "-a",
		"a-name-that-is-much-too-long-for-anybody" };
	struct err e;

	(void)state;
	init();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		e = (struct err){ 0 };
		assert_int_equal(pki_issue(pki, bad[i], PKI_CLIENT, NULL, 0, 0, &e), -1);
		assert_string_equal(e.field, "name");
	}
}

static void
host_names_cannot_smuggle_in_others(void **state)
{
	static const char *const bad[] = { "", "a,DNS:timmy", "IP:1.2.3.4", "a b", "-a", ".a", "a\n", "email:x",
		"@section" };
	struct err e;

	(void)state;
	init();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		e = (struct err){ 0 };
		assert_int_equal(pki_issue(pki, "broker", PKI_SERVER, &bad[i], 1, 0, &e), -1);
		assert_string_equal(e.field, "san");
	}
	assert_int_equal(pki_issue(pki, "a", PKI_CLIENT, NULL, 0, PKI_MAX_DAYS + 1, &e), -1);
	assert_string_equal(e.field, "days");
}

static void
a_key_that_others_can_read_is_not_used(void **state)
{
	struct err e = { 0 };
	char path[128];

	(void)state;
	init();
	snprintf(path, sizeof path, "%s/ca.key", pki);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(pki_issue(pki, "a", PKI_CLIENT, NULL, 0, 0, &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_non_null(strstr(e.msg, "chmod 600"));
}

struct seen {
	int certs, revoked, bad;
	char why[200];
};

static void
count(void *arg, const char *file, const struct pki_cert *c, const char *why)
{
	struct seen *s = arg;

	(void)file;
	s->certs += c != NULL;
	s->revoked += c && c->revoked;
	s->bad += c == NULL;
	if (!c)
		snprintf(s->why, sizeof s->why, "%s", why);
}

static void
garbage_is_named_and_the_rest_is_shown(void **state)
{
	struct seen seen = { 0 };
	struct err e = { 0 };
	char path[128];

	(void)state;
	init();
	issue("a");
	issue("b");
	snprintf(path, sizeof path, "%s/b.crt", pki);
	assert_int_equal(save_file(path, "-----BEGIN CERTIFICATE-----\nAAAA\n", 33, 0600, &e), 0);
	assert_int_equal(pki_each(pki, count, &seen, &e), 0);
	assert_int_equal(seen.certs, 2);
	assert_int_equal(seen.bad, 1);
	assert_non_null(strstr(seen.why, "b.crt"));
	assert_int_equal(pki_each("/nonexistent", count, &seen, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void
a_key_of_another_certificate_is_noticed(void **state)
{
	struct err e = { 0 };
	char path[128], *other;

	(void)state;
	init();
	issue("a");
	issue("b");
	other = content("b.key");
	snprintf(path, sizeof path, "%s/a.key", pki);
	assert_int_equal(save_file(path, other, strlen(other), 0600, &e), 0);
	free(other);
	assert_false(cert_of("a").has_key);
}

static void
a_set_up_cut_short_is_finished_by_the_next(void **state)
{
	struct err e = { 0 };
	char path[128], *key;
	bool created;

	(void)state;
	init();
	key = content("ca.key");
	snprintf(path, sizeof path, "%s/ca.crt", pki);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pki_init(pki, 0, &created, &e), 0);
	assert_true(same_content(key, "ca.key"));
	free(key);
	issue("a");
	assert_true(cert_of("a").trusted);
}

static void
a_host_that_only_trusts_cannot_issue(void **state)
{
	struct err e = { 0 };
	char path[128], *crt;
	bool created;

	(void)state;
	init();
	crt = content("ca.crt");
	snprintf(path, sizeof path, "%s/ca.key", pki);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pki_init(pki, 0, &created, &e), -1);
	assert_int_equal(pki_issue(pki, "a", PKI_CLIENT, NULL, 0, 0, &e), -1);
	assert_true(same_content(crt, "ca.crt"));
	free(crt);
}

/* A limit on file sizes is as good as a full disk. */
static void
a_full_disk_leaves_the_old_certificate(void **state)
{
	struct rlimit none = { 0, RLIM_INFINITY }, old;
	struct err e = { 0 };
	struct pki_cert before;

	(void)state;
	init();
	issue("a");
	before = cert_of("a");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(pki_renew(pki, "a", NULL, 0, 0, false, &e), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(e.code, ERR_IO);
	assert_non_null(strstr(e.msg, ".crt"));
	assert_string_equal(cert_of("a").serial, before.serial);
	assert_true(cert_of("a").has_key);
}

/* Taking back */

/* What a broker does that is given ca.crt and ca.crl. */
static bool
lets_in(const char *file)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	char ca[128], crl[128];
	X509 *x = x509_of(file);
	bool ok;

	snprintf(ca, sizeof ca, "%s/ca.crt", pki);
	snprintf(crl, sizeof crl, "%s/ca.crl", pki);
	assert_int_equal(X509_STORE_load_file(store, ca), 1);
	assert_true(X509_load_crl_file(X509_STORE_add_lookup(store, X509_LOOKUP_file()), crl, X509_FILETYPE_PEM) > 0);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, x, NULL), 1);
	ok = X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(x);
	return ok;
}

/* A thief's copy of a certificate. */
static void
steal(const char *name, const char *as)
{
	struct err e = { 0 };
	char path[128], file[80], *text;

	snprintf(file, sizeof file, "%s.crt", name);
	text = content(file);
	snprintf(path, sizeof path, "%s/%s.crt", pki, as);
	assert_int_equal(save_file(path, text, strlen(text), 0600, &e), 0);
	free(text);
}

static int
take_back(const char *name, bool former)
{
	struct err e = { 0 };
	int n;

	assert_int_equal(pki_revoke(pki, name, former, &n, &e), 0);
	return n;
}

static struct pki_crl
crl(void)
{
	struct err e = { 0 };
	struct pki_crl c;

	assert_int_equal(pki_crl_read(pki, &c, &e), 0);
	return c;
}

static X509_CRL *
x509_crl(void)
{
	char *pem = content("ca.crl");
	BIO *in = BIO_new_mem_buf(pem, -1);
	X509_CRL *list = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL);

	BIO_free(in);
	free(pem);
	assert_non_null(list);
	return list;
}

static void
a_new_authority_has_an_empty_list(void **state)
{
	(void)state;
	init();
	issue("a");
	assert_int_equal(crl().revoked, 0);
	assert_true(crl().until_ms > clock_wall_ms() + 399 * DAY_MS && crl().until_ms < clock_wall_ms() + 401 * DAY_MS);
	assert_true(crl().until_ms > cert_of("a").until_ms);
	assert_true(lets_in("a.crt"));
}

static void
what_is_revoked_is_let_in_no_more(void **state)
{
	(void)state;
	init();
	issue("a");
	issue("b");
	steal("a", "thief");
	assert_int_equal(take_back("a", false), 1);
	assert_false(lets_in("thief.crt"));
	assert_true(cert_of("thief").revoked);
	assert_false(cert_of("thief").trusted);
	assert_true(lets_in("b.crt"));
	assert_int_equal(crl().revoked, 1);
}

static void
every_certificate_of_the_name_is_meant(void **state)
{
	struct err e = { 0 };

	(void)state;
	init();
	issue("a");
	steal("a", "first");
	assert_int_equal(pki_renew(pki, "a", NULL, 0, 0, false, &e), 0);
	steal("a", "second");
	assert_int_equal(pki_init_next(pki, 0, &e), 0);
	assert_int_equal(pki_renew(pki, "a", NULL, 0, 0, true, &e), 0);
	steal("a", "third");
	assert_true(lets_in("first.crt") && lets_in("second.crt") && lets_in("third.crt"));
	assert_int_equal(take_back("a", false), 3);
	assert_false(lets_in("first.crt") || lets_in("second.crt") || lets_in("third.crt"));
}

static void
the_name_is_free_for_a_new_one(void **state)
{
	struct err e = { 0 };
	char path[128], *key;

	(void)state;
	init();
	issue("a");
	key = content("a.key");
	steal("a", "thief");
	take_back("a", false);
	snprintf(path, sizeof path, "%s/a.key", pki);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(pki_renew(pki, "a", NULL, 0, 0, false, &e), -1);
	issue("a");
	assert_true(lets_in("a.crt"));
	assert_false(lets_in("thief.crt"));
	assert_false(same_content(key, "a.key"));
	free(key);
}

static void
former_ones_can_go_while_the_present_one_stays(void **state)
{
	struct err e = { 0 };
	int n;

	(void)state;
	init();
	issue("a");
	assert_int_equal(pki_revoke(pki, "a", true, &n, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	steal("a", "thief");
	assert_int_equal(pki_renew(pki, "a", NULL, 0, 0, true, &e), 0);
	assert_int_equal(take_back("a", true), 1);
	assert_false(lets_in("thief.crt"));
	assert_true(lets_in("a.crt") && cert_of("a").has_key);
}

static void
what_was_revoked_stays_so(void **state)
{
	char name[16];

	(void)state;
	init();
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "a-%d", i);
		issue(name);
		if (i == 0)
			steal(name, "thief");
		assert_int_equal(take_back(name, false), 1);
	}
	assert_int_equal(crl().revoked, 20);
	assert_false(lets_in("thief.crt"));
}

/* OpenSSL goes by the list that began last, and knows seconds. */
static void
a_later_list_begins_later_but_never_in_the_future(void **state)
{
	X509_CRL *before, *after;

	(void)state;
	init();
	issue("a");
	issue("b");
	before = x509_crl();
	take_back("a", false);
	after = x509_crl();
	assert_int_equal(ASN1_TIME_compare(X509_CRL_get0_lastUpdate(before), X509_CRL_get0_lastUpdate(after)), -1);
	assert_true(X509_cmp_current_time(X509_CRL_get0_lastUpdate(after)) < 0);
	X509_CRL_free(before);
	X509_CRL_free(after);
}

/* Signed by ca.key, as this program does it but for the end. */
static void
end_list_in(int seconds)
{
	char path[128], *pem = content("ca.key");
	BIO *in = BIO_new_mem_buf(pem, -1), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	X509_CRL *list = x509_crl();
	ASN1_TIME *end_at = ASN1_TIME_set(NULL, time(NULL) + seconds);
	struct err e = { 0 };
	char *text;
	long len;

	X509_CRL_set1_nextUpdate(list, end_at);
	assert_true(X509_CRL_sign(list, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509_CRL(out, list), 1);
	len = BIO_get_mem_data(out, &text);
	snprintf(path, sizeof path, "%s/ca.crl", pki);
	assert_int_equal(save_file(path, text, (size_t)len, 0600, &e), 0);
	ASN1_TIME_free(end_at);
	X509_CRL_free(list);
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(out);
	free(pem);
}

static void
a_list_near_its_end_is_signed_anew(void **state)
{
	struct err e = { 0 };
	bool changed;

	(void)state;
	init();
	issue("a");
	issue("b");
	steal("b", "thief");
	take_back("b", false);
	assert_int_equal(pki_crl_keep(pki, &changed, &e), 0);
	assert_false(changed);
	end_list_in(-1);
	assert_false(lets_in("a.crt"));
	assert_int_equal(pki_crl_keep(pki, &changed, &e), 0);
	assert_true(changed);
	assert_true(lets_in("a.crt"));
	assert_false(lets_in("thief.crt"));
	end_list_in(369 * 86400);
	assert_int_equal(pki_renew(pki, "a", NULL, 0, 0, false, &e), 0);
	assert_true(crl().until_ms > clock_wall_ms() + 399 * DAY_MS);
	assert_int_equal(crl().revoked, 1);
}

static void
a_directory_from_before_gets_its_list(void **state)
{
	struct err e = { 0 };
	char path[192];
	bool created;

	(void)state;
	init();
	issue("a");
	snprintf(path, sizeof path, "%s/ca.crl", pki);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pki_init(pki, 0, &created, &e), 0);
	assert_true(lets_in("a.crt"));
	snprintf(path, sizeof path, "%s/issued/%s.crt", pki, cert_of("a").serial);
	assert_int_equal(unlink(path), 0);
	steal("a", "thief");
	assert_int_equal(take_back("a", false), 1);
	assert_false(lets_in("thief.crt"));
}

static void
a_host_that_only_trusts_must_be_brought_the_list(void **state)
{
	struct pki_crl c;
	struct err e = { 0 };
	char path[128];
	bool changed;

	(void)state;
	init();
	snprintf(path, sizeof path, "%s/ca.key", pki);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pki_crl_keep(pki, &changed, &e), 0);
	snprintf(path, sizeof path, "%s/ca.crl", pki);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pki_crl_keep(pki, &changed, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(save_file(path, "garbage", 7, 0600, &e), 0);
	assert_int_equal(pki_crl_read(pki, &c, &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
}

static void
each_authority_has_its_list_until_it_is_forgotten(void **state)
{
	struct err e = { 0 };

	(void)state;
	init();
	issue("old");
	issue("b");
	steal("b", "thief");
	take_back("b", false);
	assert_int_equal(pki_init_next(pki, 0, &e), 0);
	issue("new");
	assert_true(lets_in("old.crt") && lets_in("new.crt"));
	assert_false(lets_in("thief.crt"));
	steal("old", "old-thief");
	assert_int_equal(take_back("old", false), 1);
	assert_false(lets_in("old-thief.crt"));
	assert_int_equal(pki_forget_former(pki, &e), 0);
	assert_true(lets_in("new.crt"));
	assert_int_equal(crl().revoked, 0);
}

static void
a_broken_list_is_not_taken_for_an_empty_one(void **state)
{
	struct err e = { 0 };
	struct seen seen = { 0 };
	char path[128];
	int n;

	(void)state;
	init();
	issue("a");
	snprintf(path, sizeof path, "%s/ca.crl", pki);
	assert_int_equal(save_file(path, "garbage", 7, 0600, &e), 0);
	assert_int_equal(pki_revoke(pki, "a", false, &n, &e), -1);
	assert_int_equal(e.code, ERR_PARSE);
	assert_true(cert_of("a").has_key);
	assert_int_equal(pki_each(pki, count, &seen, &e), 0);
	assert_int_equal(seen.bad, 1);
	assert_non_null(strstr(seen.why, "ca.crl"));
}

static void
who_cannot_be_revoked_is_said(void **state)
{
	static const char *const sans[] = { "localhost" };
	struct err e = { 0 };
	int n;

	(void)state;
	init();
	assert_int_equal(pki_revoke(pki, "nobody", false, &n, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(pki_revoke(pki, "ca", false, &n, &e), -1);
	assert_string_equal(e.field, "name");
	assert_int_equal(pki_issue(pki, "broker", PKI_SERVER, sans, 1, 0, &e), 0);
	assert_int_equal(pki_revoke(pki, "broker", false, &n, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_true(cert_of("broker").trusted);
}

static void
revoked_ones_are_shown_until_they_expire(void **state)
{
	struct seen seen = { 0 };
	struct err e = { 0 };

	(void)state;
	init();
	issue("a");
	issue("b");
	take_back("a", false);
	issue("a");
	assert_int_equal(pki_each(pki, count, &seen, &e), 0);
	assert_int_equal(seen.certs, 4);
	assert_int_equal(seen.revoked, 1);
	assert_int_equal(seen.bad, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_authority_is_made_once_and_kept),
		TEST(only_the_owner_can_read_anything),
		TEST(a_certificate_is_for_one_purpose_on_p256),
		TEST(lifetimes_are_a_year_and_begin_a_little_back),
		TEST(a_certificate_does_not_outlive_its_authority),
		TEST(serial_numbers_are_long_and_differ),
		TEST(renewal_keeps_key_and_names_unless_asked),
		TEST(a_second_authority_is_trusted_beside_the_first),
		TEST(names_that_would_leave_the_directory_or_lie_are_refused),
		TEST(host_names_cannot_smuggle_in_others),
		TEST(a_key_that_others_can_read_is_not_used),
		TEST(garbage_is_named_and_the_rest_is_shown),
		TEST(a_key_of_another_certificate_is_noticed),
		TEST(a_set_up_cut_short_is_finished_by_the_next),
		TEST(a_host_that_only_trusts_cannot_issue),
		TEST(a_full_disk_leaves_the_old_certificate),
		TEST(a_new_authority_has_an_empty_list),
		TEST(what_is_revoked_is_let_in_no_more),
		TEST(every_certificate_of_the_name_is_meant),
		TEST(the_name_is_free_for_a_new_one),
		TEST(former_ones_can_go_while_the_present_one_stays),
		TEST(what_was_revoked_stays_so),
		TEST(a_later_list_begins_later_but_never_in_the_future),
		TEST(a_list_near_its_end_is_signed_anew),
		TEST(a_directory_from_before_gets_its_list),
		TEST(a_host_that_only_trusts_must_be_brought_the_list),
		TEST(each_authority_has_its_list_until_it_is_forgotten),
		TEST(a_broken_list_is_not_taken_for_an_empty_one),
		TEST(who_cannot_be_revoked_is_said),
		TEST(revoked_ones_are_shown_until_they_expire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
