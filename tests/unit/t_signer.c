/* The key of the audit chain, and what binds it to an agent. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "buf.h"
#include "config.h"
#include "dsse.h"
#include "err.h"
#include "pki.h"
#include "signer.h"

static char dir[64], other[64];
static struct config config;
static struct err e;

static int
setup(void **state)
{
	bool created;

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/uw-signer-XXXXXX");
	snprintf(other, sizeof other, "/tmp/uw-signer-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_non_null(mkdtemp(other));
	config = (struct config){ .pki_dir = dir, .state_dir = dir, .cluster = "home" };
	if (pki_init(dir, 0, &created, &e) || pki_init(other, 0, &created, &e) ||
	    pki_issue(dir, "ezra-1", PKI_CLIENT, NULL, 0, 0, &e) || pki_issue(dir, "timmy-1", PKI_CLIENT, NULL, 0, 0, &e) ||
	    pki_issue(other, "ezra-1", PKI_CLIENT, NULL, 0, 0, &e))
		fail_msg("%s", e.msg);
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
teardown(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) | nftw(other, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct signer *
open_one(const char *agent)
{
	struct signer *s;

	if (signer_open(&s, &config, agent, &e))
		fail_msg("%s", e.msg);
	return s;
}

static void
a_key_is_made_once_and_bound_to_the_certificate(void **state)
{
	struct signer *s = open_one("ezra-1");
	char path[128], *first = xstrdup(signer_binding(s));
	struct binding b;
	struct stat st;

	(void)state;
	snprintf(path, sizeof path, "%s/ezra-1.audit.key", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	if (binding_check(first, dir, &b, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(b.agent, "ezra-1");
	assert_string_equal(b.cluster, "home");
	signer_close(s);
	s = open_one("ezra-1");
	assert_string_equal(signer_binding(s), first);
	signer_close(s);
	free(first);
}

static void
what_it_signs_is_signed_by_the_bound_key(void **state)
{
	struct signer *s = open_one("ezra-1");
	struct dsse *d = calloc(1, sizeof *d);
	struct buf envelope = { 0 };
	struct binding b;

	(void)state;
	assert_int_equal(signer_sign(s, "text", "hello", 5, &envelope, &e), 0);
	assert_int_equal(binding_check(signer_binding(s), dir, &b, &e), 0);
	assert_int_equal(dsse_open(d, envelope.data, envelope.len, &e), 0);
	assert_ptr_equal(dsse_verify(d, &b.key, 1), &b.key);
	dsse_release(d);
	free(d);
	buf_free(&envelope);
	signer_close(s);
}

static void
another_authority_does_not_vouch_for_it(void **state)
{
	struct signer *s = open_one("ezra-1");
	struct binding b;

	(void)state;
	assert_int_equal(binding_check(signer_binding(s), other, &b, &e), -1);
	assert_non_null(strstr(e.msg, "its certificate"));
	signer_close(s);
}

static void
a_new_certificate_gets_a_new_binding_and_the_old_one_holds(void **state)
{
	struct signer *s = open_one("ezra-1");
	char *first = xstrdup(signer_binding(s));
	struct binding a, b;

	(void)state;
	signer_close(s);
	assert_int_equal(pki_renew(dir, "ezra-1", NULL, 0, 0, true, &e), 0);
	s = open_one("ezra-1");
	assert_string_not_equal(signer_binding(s), first);
	assert_int_equal(binding_check(first, dir, &a, &e), 0);
	assert_int_equal(binding_check(signer_binding(s), dir, &b, &e), 0);
	assert_true(sign_public_equal(&a.key, &b.key));
	signer_close(s);
	free(first);
}

static void
every_byte_of_a_binding_counts(void **state)
{
	struct signer *s = open_one("timmy-1");
	char *text = xstrdup(signer_binding(s));
	struct binding b;

	(void)state;
	for (size_t i = 0; text[i]; i++) {
		text[i] ^= 1;
		if (binding_check(text, dir, &b, &e) == 0)
			fail_msg("byte %zu: %.*s", i, 40, text + (i > 20 ? i - 20 : 0));
		text[i] ^= 1;
	}
	assert_int_equal(binding_check(text, dir, &b, &e), 0);
	signer_close(s);
	free(text);
}

static void
without_a_certificate_it_signs_and_is_not_bound(void **state)
{
	struct signer *s = open_one("bezalel-1");
	struct buf envelope = { 0 };

	(void)state;
	assert_null(signer_binding(s));
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(signer_sign(s, "text", "hello", 5, &envelope, &e), 0);
	buf_free(&envelope);
	signer_close(s);
}

static void
a_key_that_others_can_read_is_refused(void **state)
{
	struct signer *s = open_one("ezra-1");
	char path[128];

	(void)state;
	signer_close(s);
	snprintf(path, sizeof path, "%s/ezra-1.audit.key", dir);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(signer_open(&s, &config, "ezra-1", &e), -1);
	assert_int_equal(e.code, ERR_DENIED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_key_is_made_once_and_bound_to_the_certificate),
		T(what_it_signs_is_signed_by_the_bound_key),
		T(another_authority_does_not_vouch_for_it),
		T(a_new_certificate_gets_a_new_binding_and_the_old_one_holds),
		T(every_byte_of_a_binding_counts),
		T(without_a_certificate_it_signs_and_is_not_bound),
		T(a_key_that_others_can_read_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
