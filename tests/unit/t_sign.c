/* Keys and signatures (RFC 8032), key files, and DSSE envelopes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "base64.h"
#include "buf.h"
#include "dsse.h"
#include "err.h"
#include "sign.h"

static char dir[] = "/tmp/uw-sign-XXXXXX";

static void
unhex(unsigned char *out, const char *hex, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)strtoul((char[]){ hex[2 * i], hex[2 * i + 1], '\0' }, NULL, 16);
}

/* RFC 8032, 7.1: tests 1, 2, 3 and SHA(abc) */
static const struct {
	const char *seed, *public, *message, *signature;
} vectors[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
	  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
	  "5141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
	  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb0"
	  "0d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
	  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc0"
	  "27beceea1ec40a" },
	{ "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
	  "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
	  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54c"
	  "a49f",
	  "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9"
	  "bef1177331a704" },
};

static void
signatures_are_those_of_the_standard(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		unsigned char seed[32], public[32], message[64], expected[SIGN_SIZE], got[SIGN_SIZE];
		size_t len = strlen(vectors[i].message) / 2;
		struct sign_key *k;

		unhex(seed, vectors[i].seed, 32);
		unhex(public, vectors[i].public, 32);
		unhex(message, vectors[i].message, len);
		unhex(expected, vectors[i].signature, SIGN_SIZE);
		k = sign_key_from_seed(seed);
		assert_memory_equal(sign_key_public(k)->bytes, public, 32);
		sign_make(k, message, len, got);
		assert_memory_equal(got, expected, SIGN_SIZE);
		assert_true(sign_check(sign_key_public(k), message, len, got));
		sign_key_free(k);
	}
}

/* One signature has one form: with the order of the group added to its second half it would hold too (RFC 8032, 8.4). */
static void
the_other_form_of_a_signature_is_refused(void **state)
{
	static const unsigned char order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde,
		0xf9, 0xde, 0x14, [31] = 0x10 };
	struct sign_key *k = sign_key_new();
	unsigned char s[SIGN_SIZE];
	unsigned carry = 0;

	(void)state;
	sign_make(k, "x", 1, s);
	for (int i = 0; i < 32; i++) {
		carry += (unsigned)s[32 + i] + order[i];
		s[32 + i] = (unsigned char)carry;
		carry >>= 8;
	}
	assert_false(sign_check(sign_key_public(k), "x", 1, s));
	sign_key_free(k);
}

static void
a_public_key_goes_to_text_and_back_and_has_an_id(void **state)
{
	static const char *const bad[] = { "", "ed25519:", "ed25519:AAAA", "ED25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo", "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=",
		"ed25519: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" };
	struct sign_public p, again;
	struct err e;
	char text[SIGN_TEXT];

	(void)state;
	assert_int_equal(sign_public_parse(&p, "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", &e), 0);
	assert_string_equal(p.id, "21fe31dfa154a261");
	sign_public_format(&p, text);
	assert_int_equal(sign_public_parse(&again, text, &e), 0);
	assert_true(sign_public_equal(&p, &again));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(sign_public_parse(&p, bad[i], &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
}

static const char *
path_in_dir(const char *name)
{
	static char path[200];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void
a_key_is_saved_and_loaded(void **state)
{
	static const char *const passphrases[] = { NULL, "open sesame", "\xc3\xa9" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct sign_key *k = sign_key_new(), *back;
		const char *path = path_in_dir((char[]){ 'k', (char)('0' + i), '\0' });
		struct err e = { 0 };
		struct stat st;

		assert_int_equal(sign_key_save(k, path, passphrases[i], &e), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(sign_key_is_locked(path), passphrases[i] != NULL);
		back = sign_key_load(path, passphrases[i], &e);
		if (!back)
			fail_msg("%s", e.msg);
		assert_true(sign_public_equal(sign_key_public(k), sign_key_public(back)));
		/* What is there is never overwritten: it may be the only copy. */
		assert_int_equal(sign_key_save(k, path, NULL, &e), -1);
		assert_int_equal(e.code, ERR_CONFLICT);
		sign_key_free(k);
		sign_key_free(back);
	}
	sign_key_free(NULL);
}

static void
load_fails(const char *path, const char *passphrase, enum err_code code, const char *word)
{
	struct err e = { 0 };

	assert_null(sign_key_load(path, passphrase, &e));
	assert_int_equal(e.code, code);
	if (!strstr(e.msg, word))
		fail_msg("%s", e.msg);
}

static void
a_key_is_refused_with_the_reason(void **state)
{
	struct sign_key *k = sign_key_new();
	const char *path = path_in_dir("locked");
	FILE *f;

	(void)state;
	assert_int_equal(sign_key_save(k, path, "right", NULL), 0);
	sign_key_free(k);
	load_fails(path, NULL, ERR_DENIED, "needs its passphrase");
	load_fails(path, "", ERR_DENIED, "wrong passphrase");
	load_fails(path, "wrong", ERR_DENIED, "wrong passphrase");
	for (mode_t mode = 0; mode < 0100; mode++) {
		if (!mode)
			continue;
		chmod(path, 0600 | mode);
		load_fails(path, "right", ERR_DENIED, "chmod 600");
	}
	load_fails(path_in_dir("none"), NULL, ERR_NOT_FOUND, "No such file");
	load_fails(dir, NULL, ERR_INVALID, "regular file");
	f = fopen(path_in_dir("junk"), "w");
	fputs("-----BEGIN PRIVATE KEY-----\nMC4CAQA=\n-----END PRIVATE KEY-----\n", f);
	fclose(f);
	chmod(path_in_dir("junk"), 0600);
	load_fails(path_in_dir("junk"), NULL, ERR_INVALID, "no Ed25519 key");
}

/* The example of the DSSE specification. */
static void
what_is_signed_is_type_and_payload(void **state)
{
	struct buf b = { 0 };

	(void)state;
	dsse_encode(&b, "http://example.com/HelloWorld", "hello world", 11);
	assert_string_equal(b.data, "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
	buf_free(&b);
}

static void
an_envelope_opens_and_verifies(void **state)
{
	struct sign_key *ours = sign_key_new(), *strangers = sign_key_new();
	struct sign_public keys[2] = { *sign_key_public(strangers), *sign_key_public(ours) };
	struct buf b = { 0 };
	struct dsse d;
	struct err e = { 0 };

	(void)state;
	dsse_make(&b, "application/x", "pay\0load", 8, ours);
	if (dsse_open(&d, b.data, b.len, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(d.type, "application/x");
	assert_int_equal(d.payload.len, 8);
	assert_memory_equal(d.payload.data, "pay\0load", 8);
	assert_int_equal(d.nsignatures, 1);
	assert_ptr_equal(dsse_verify(&d, keys, 2), &keys[1]);
	assert_null(dsse_verify(&d, keys, 1));
	assert_null(dsse_verify(&d, keys, 0));
	d.type[0] = 'b';
	assert_null(dsse_verify(&d, keys, 2));
	dsse_release(&d);
	buf_free(&b);
	sign_key_free(ours);
	sign_key_free(strangers);
}

static void
other_forms_of_an_envelope_are_refused(void **state)
{
#define SIG "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define ONE "{\"keyid\":\"0123456789abcdef\",\"sig\":\"" SIG "\"}"
#define ALL(payload, type, rest) "{\"payload\":" payload ",\"payloadType\":" type ",\"signatures\":" rest "}"
	static const char *const bad[] = {
		"", "{}", "[]", "null", ALL("\"YQ==\"", "\"t\"", "[]"), ALL("\"YR==\"", "\"t\"", "[" ONE "]"),
		ALL("\"YQ\"", "\"t\"", "[" ONE "]"), ALL("1", "\"t\"", "[" ONE "]"), ALL("null", "\"t\"", "[" ONE "]"),
		ALL("\"YQ==\"", "1", "[" ONE "]"), ALL("\"YQ==\"", "\"t\"", ONE), ALL("\"YQ==\"", "\"t\"", "[1]"),
		ALL("\"YQ==\"", "\"t\"", "[{\"sig\":\"" SIG "\"}]"), ALL("\"YQ==\"", "\"t\"", "[{\"keyid\":\"x\",\"sig\":\"YQ==\"}]"),
		ALL("\"YQ==\"", "\"t\"", "[{\"keyid\":\"x\",\"sig\":\"" SIG "\",\"x\":1}]"),
		ALL("\"YQ==\"", "\"t\"", "[" ONE "," ONE "," ONE "," ONE "," ONE "," ONE "," ONE "," ONE "," ONE "]"),
		ALL("\"YQ==\"", "\"t\"", "[" ONE "],\"x\":1"), "{\"a\":1,\"payload\":\"YQ==\",\"payloadType\":\"t\",\"signatures\":[" ONE "]}",
		ALL("\"YQ==\"", "\"t\"", "[" ONE "]") "\n", " " ALL("\"YQ==\"", "\"t\"", "[" ONE "]"),
		"{\"payloadType\":\"t\",\"payload\":\"YQ==\",\"signatures\":[" ONE "]}", "{\"payload\":\"YQ==\",\"signatures\":[" ONE "]}",
		ALL("\"YQ==\"", "\"t\"", "[" ONE ",null]"),
	};
	static const char good[] = ALL("\"YQ==\"", "\"t\"", "[" ONE "," ONE "]");
	struct dsse d;

	(void)state;
	assert_int_equal(dsse_open(&d, good, sizeof good - 1, NULL), 0);
	dsse_release(&d);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (dsse_open(&d, bad[i], strlen(bad[i]), NULL) == 0)
			fail_msg("%s was taken", bad[i]);
}

static void
an_envelope_that_is_too_large_is_refused(void **state)
{
	struct sign_key *k = sign_key_new();
	char *payload = calloc(1, DSSE_MAX);
	struct buf b = { 0 };
	struct dsse d;
	struct err e;

	(void)state;
	dsse_make(&b, "t", payload, DSSE_MAX, k);
	assert_int_equal(dsse_open(&d, b.data, b.len, &e), -1);
	assert_int_equal(e.code, ERR_TOO_BIG);
	buf_clear(&b);
	dsse_make(&b, "t", payload, DSSE_MAX / 2, k);
	assert_int_equal(dsse_open(&d, b.data, b.len, &e), 0);
	dsse_release(&d);
	buf_free(&b);
	free(payload);
	sign_key_free(k);
}

static int
set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "k0", "k1", "k2", "locked", "junk" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(path_in_dir(names[i]));
	return rmdir(dir);
}

#define T cmocka_unit_test

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(signatures_are_those_of_the_standard),
		T(the_other_form_of_a_signature_is_refused),
		T(a_public_key_goes_to_text_and_back_and_has_an_id),
		T(a_key_is_saved_and_loaded),
		T(a_key_is_refused_with_the_reason),
		T(what_is_signed_is_type_and_payload),
		T(an_envelope_opens_and_verifies),
		T(other_forms_of_an_envelope_are_refused),
		T(an_envelope_that_is_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
