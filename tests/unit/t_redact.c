#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "config.h"
#include "err.h"
#include "redact.h"
#include "tar.h"

static struct config config;
static struct buf out;

static int
setup(void **state)
{
	(void)state;
	config = (struct config){ .nhouses = 2, .nsecrets = 3 };
	config.houses[0].auth_token = "house-token";
	config.secrets[0].value = "a \"quoted\" one\\";
	config.secrets[1].value = "first line\nsecond line";
	config.secrets[2].value = "xyz";
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

static const char *
without(const char *text, int expected)
{
	buf_clear(&out);
	assert_int_equal(redact(&config, text, strlen(text), &out), expected);
	return buf_str(&out);
}

static void
a_value_is_taken_out_wherever_it_stands(void **state)
{
	(void)state;
	assert_string_equal(without("house-tokenhouse-token, house-toke", 2), REDACTED REDACTED ", house-toke");
	assert_string_equal(without("nothing", 0), "nothing");
	assert_string_equal(without("", 0), "");
}

static void
so_is_it_as_json_has_it(void **state)
{
	(void)state;
	assert_string_equal(without("{\"k\":\"a \\\"quoted\\\" one\\\\\"}", 1), "{\"k\":\"" REDACTED "\"}");
	assert_string_equal(without("a \"quoted\" one\\", 1), REDACTED);
}

static void
so_is_each_line_of_several(void **state)
{
	(void)state;
	assert_string_equal(without("first line\nsecond line", 1), REDACTED);
	assert_string_equal(without("info: second line", 1), "info: " REDACTED);
	assert_string_equal(without("first line\\nsecond line", 1), REDACTED);
}

static void
what_is_in_every_text_stays(void **state)
{
	(void)state;
	assert_string_equal(without("xyz", 0), "xyz");
}

static void
private_keys_go_and_certificates_stay(void **state)
{
	static const char key[] = "a\n-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\nb";
	static const char cut[] = "a -----BEGIN PRIVATE KEY-----\nMHcC\n";
	static const char crt[] = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

	(void)state;
	assert_string_equal(without(key, 1), "a\n" REDACTED "\nb");
	assert_string_equal(without(cut, 1), "a " REDACTED);
	assert_string_equal(without(crt, 0), crt);
	assert_string_equal(without("-----BEGIN ", 0), "-----BEGIN ");
	assert_string_equal(without("-----BEGIN PRIVATE KEY", 0), "-----BEGIN PRIVATE KEY");
	assert_string_equal(without("-----BEGIN PRIVATE KEY-----x-----END ", 1), REDACTED);
}

static void
an_archive_has_whole_blocks_and_is_not_written_over(void **state)
{
	char path[] = "/tmp/t_redact.XXXXXX";
	struct err e = { 0 };
	struct tar *t;
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	assert_null(tar_open(path, "d", 0, &e));
	assert_int_equal(e.code, ERR_CONFLICT);
	unlink(path);
	t = tar_open(path, "d", 1000, &e);
	assert_non_null(t);
	tar_add(t, "empty", "", 0);
	tar_add(t, "full", "0123456789", 10);
	assert_int_equal(tar_close(t, &e), 0);
	fd = open(path, O_RDONLY);
	assert_int_equal(lseek(fd, 0, SEEK_END), 512 + 512 + 512 + 1024);
	close(fd);
	unlink(path);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_value_is_taken_out_wherever_it_stands),
		T(so_is_it_as_json_has_it),
		T(so_is_each_line_of_several),
		T(what_is_in_every_text_stays),
		T(private_keys_go_and_certificates_stay),
		T(an_archive_has_whole_blocks_and_is_not_written_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
