/* Files of age: as others write them, and not one byte of them otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "age.h"
#include "buf.h"
#include "err.h"

#define SECRET "AGE-SECRET-KEY-18T3MG46Y8V8QR5T4MZWUFNUZKNMMRKF4Y363DZWL5EZE0V3J9PXQPGFSHV"
#define PUBLIC "age12nluj08kdxav9u97apjgvpz7q9qyudh8gyqq4v3n5al9yqwktevsdvrenh"

static struct err e;

static int
put(void *arg, const void *p, size_t len, struct err *x)
{
	(void)x;
	buf_add(arg, p, len);
	return 0;
}

struct bytes {
	const char *p;
	size_t left, most;              /* at once */
};

static ssize_t
get(void *arg, void *p, size_t max, struct err *x)
{
	struct bytes *b = arg;
	size_t n = b->left < max ? b->left : max;

	(void)x;
	if (b->most && n > b->most)
		n = b->most;
	memcpy(p, b->p, n);
	b->p += n;
	b->left -= n;
	return (ssize_t)n;
}

static void
seal(struct buf *out, const struct age_for *to, const char *text, size_t len, size_t piece)
{
	struct age_writer *w;

	assert_int_equal(age_writer_new(&w, to, (struct sink){ put, out }, &e), 0);
	for (size_t at = 0; at < len; at += piece)
		assert_int_equal(age_write(w, text + at, len - at < piece ? len - at : piece, &e), 0);
	assert_int_equal(age_writer_end(w, &e), 0);
	age_writer_free(w);
}

static int
unseal(struct buf *out, const struct age_for *by, const char *p, size_t len)
{
	struct bytes from = { p, len, 777 };
	struct age_reader *r = NULL;
	char piece[5000];
	ssize_t n = -1;

	e = (struct err){ 0 };
	buf_clear(out);
	if (age_reader_new(&r, by, (struct source){ get, &from }, &e) == 0)
		while ((n = age_read(r, piece, sizeof piece, &e)) > 0)
			buf_add(out, piece, (size_t)n);
	age_reader_free(r);
	return (int)n;
}

static void
read_key(const char *text, struct age_keys *k)
{
	k->n = 1;
	assert_int_equal(age_key_parse_secret(text, k->key[0], &e), 0);
}

/* A pair that age-keygen made. */
static void
keys_are_the_text_that_others_write(void **state)
{
	unsigned char secret[AGE_KEY], public[AGE_KEY], back[AGE_KEY];
	char text[AGE_TEXT];

	(void)state;
	assert_int_equal(age_key_parse_secret(SECRET, secret, &e), 0);
	age_key_format_secret(secret, text);
	assert_string_equal(text, SECRET);
	assert_int_equal(age_key_public(secret, public, &e), 0);
	age_key_format(public, text);
	assert_string_equal(text, PUBLIC);
	assert_int_equal(age_key_parse(PUBLIC, back, &e), 0);
	assert_memory_equal(public, back, AGE_KEY);
	for (size_t i = 0; i < strlen(PUBLIC); i++) {
		snprintf(text, sizeof text, "%s", PUBLIC);
		text[i] = text[i] == 'q' ? 'p' : 'q';
		assert_int_equal(age_key_parse(text, back, &e), -1);
	}
	assert_int_equal(age_key_parse_secret(PUBLIC, back, &e), -1);
	assert_int_equal(age_key_parse("", back, &e), -1);
	assert_int_equal(age_key_parse(SECRET, back, &e), -1);
	assert_null(strstr(e.msg, "SECRET"));
}

/* "hello\n", by age 1.1.1, for that key. */
static void
what_age_wrote_is_read(void **state)
{
	static const char for_key[] =
	    "age-encryption.org/v1\n"
	    "-> X25519 VATpBbbrudtECgUsvk4VJXP9e3YD1PZ5V7pnNOR97iE\n"
	    "GqYNhkD+QCzwCB39OuzTPs5/ma9pkLk5yy2Mh8ljRKE\n"
	    "--- 9loEtmqXNEueTiC2Vq+jHK0MhZPf1zviscMPm4FOaAQ\n"
	    "\x15\x45\x25\x09\xc3\x9e\xa6\x69\x5d\x5a\x37\xfa\xb4\x05\xc9\x5a"
	    "\x4a\x23\xe5\xfa\x4a\x4b\xe0\xbb\x31\x3e\xb1\x34\xec\x6e\xb2\x90"
	    "\xd6\x6b\xd4\xec\x72\xa1";
	struct age_keys k;
	struct buf out = { 0 };

	(void)state;
	read_key(SECRET, &k);
	assert_int_equal(unseal(&out, &(struct age_for){ .keys = &k }, for_key, sizeof for_key - 1), 0);
	assert_string_equal(buf_str(&out), "hello\n");
	buf_free(&out);
}

static void
any_length_comes_out_as_it_went_in(void **state)
{
	static const size_t lens[] = { 0, 1, 65535, 65536, 65537, 131072, 200000 };
	struct age_keys secret, public = { .n = 2 };
	char *text = malloc(200000);

	(void)state;
	for (size_t i = 0; i < 200000; i++)
		text[i] = (char)(i * 31 >> 3);
	read_key(SECRET, &secret);
	assert_int_equal(age_key_make(public.key[0], &e), 0);
	assert_int_equal(age_key_parse(PUBLIC, public.key[1], &e), 0);
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		struct buf sealed = { 0 }, out = { 0 };

		seal(&sealed, &(struct age_for){ .keys = &public }, text, lens[i], 1000 + 7777 * i);
		assert_int_equal(unseal(&out, &(struct age_for){ .keys = &secret }, sealed.data, sealed.len), 0);
		assert_int_equal(out.len, lens[i]);
		if (lens[i])
			assert_memory_equal(out.data, text, lens[i]);
		/* Cut at a piece's end, and anywhere. */
		if (lens[i] > 65536)
			assert_int_equal(unseal(&out, &(struct age_for){ .keys = &secret }, sealed.data, sealed.len - (lens[i] - 65536) - 16), -1);
		assert_int_equal(unseal(&out, &(struct age_for){ .keys = &secret }, sealed.data, sealed.len - 1), -1);
		buf_free(&sealed);
		buf_free(&out);
	}
	free(text);
}

static void
every_byte_counts(void **state)
{
	struct age_keys secret, public = { .n = 1 };
	struct buf sealed = { 0 }, out = { 0 };

	(void)state;
	read_key(SECRET, &secret);
	assert_int_equal(age_key_parse(PUBLIC, public.key[0], &e), 0);
	seal(&sealed, &(struct age_for){ .keys = &public }, "hello", 5, 5);
	for (size_t i = 0; i < sealed.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			sealed.data[i] = (char)(sealed.data[i] ^ 1 << bit);
			assert_int_equal(unseal(&out, &(struct age_for){ .keys = &secret }, sealed.data, sealed.len), -1);
			assert_true(e.msg[0]);
			sealed.data[i] = (char)(sealed.data[i] ^ 1 << bit);
		}
	for (size_t n = 0; n < sealed.len; n++)
		assert_int_equal(unseal(&out, &(struct age_for){ .keys = &secret }, sealed.data, n), -1);
	buf_addc(&sealed, 'x');
	assert_int_equal(unseal(&out, &(struct age_for){ .keys = &secret }, sealed.data, sealed.len), -1);
	buf_free(&sealed);
	buf_free(&out);
}

static void
who_may_not_is_told_why(void **state)
{
	struct age_keys other = { .n = 1 }, public = { .n = 1 };
	struct buf of_key = { 0 }, of_pass = { 0 }, out = { 0 };

	(void)state;
	assert_int_equal(age_key_make(other.key[0], &e), 0);
	assert_int_equal(age_key_parse(PUBLIC, public.key[0], &e), 0);
	seal(&of_key, &(struct age_for){ .keys = &public }, "hello", 5, 5);
	seal(&of_pass, &(struct age_for){ .passphrase = "correct horse" }, "hello", 5, 5);
	assert_int_equal(unseal(&out, &(struct age_for){ .passphrase = "correct horse" }, of_pass.data, of_pass.len), 0);
	assert_string_equal(buf_str(&out), "hello");
	assert_int_equal(unseal(&out, &(struct age_for){ .passphrase = "correct house" }, of_pass.data, of_pass.len), -1);
	assert_int_equal(e.code, ERR_DENIED);
	assert_string_equal(e.msg, "the passphrase is wrong");
	assert_int_equal(unseal(&out, &(struct age_for){ .keys = &other }, of_key.data, of_key.len), -1);
	assert_string_equal(e.msg, "it is encrypted for another key");
	assert_int_equal(unseal(&out, &(struct age_for){ .keys = &other }, of_pass.data, of_pass.len), -1);
	assert_string_equal(e.msg, "it is encrypted with a passphrase: give that, not a key");
	assert_int_equal(unseal(&out, &(struct age_for){ .passphrase = "x" }, of_key.data, of_key.len), -1);
	assert_string_equal(e.msg, "it is encrypted for a key: give its file with --identity");
	buf_free(&of_key);
	buf_free(&of_pass);
	buf_free(&out);
}

/* A stranger's file must not take a gigabyte and minutes. */
static void
a_work_factor_is_bounded(void **state)
{
	static const char text[] = AGE_MAGIC "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 25\n"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(unseal(&out, &(struct age_for){ .passphrase = "x" }, text, sizeof text - 1), -1);
	assert_int_equal(e.code, ERR_TOO_BIG);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_the_text_that_others_write),
		cmocka_unit_test(what_age_wrote_is_read),
		cmocka_unit_test(any_length_comes_out_as_it_went_in),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(who_may_not_is_told_why),
		cmocka_unit_test(a_work_factor_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
