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
	static const char *const files[] = { "", "/ca.crt", "/ca.key", "/ezra-1.crt", "/ezra-1.key" };
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
	int certs, bad;
	char why[200];
};

static void
count(void *arg, const char *file, const struct pki_cert *c, const char *why)
{
	struct seen *s = arg;

	(void)file;
	s->certs += c != NULL;
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
	assert_non_null(strstr(e.msg, "a.crt"));
	assert_string_equal(cert_of("a").serial, before.serial);
	assert_true(cert_of("a").has_key);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
