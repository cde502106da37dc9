#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "buf.h"
#include "config.h"
#include "json.h"
#include "secret.h"

static char name[] = "TOKEN", value[] = "s3cr3t\"\\1", digits_name[] = "PIN", digits[] = "123456", brief_name[] = "BRIEF",
    brief[] = "abc", house_token[] = "house-token";
static struct config c;

static int
setup(void **state)
{
	(void)state;
	c.secrets[0] = (struct config_secret){ .name = name, .value = value };
	c.secrets[1] = (struct config_secret){ .name = digits_name, .value = digits };
	c.secrets[2] = (struct config_secret){ .name = brief_name, .value = brief };
	c.nsecrets = 3;
	snprintf(c.houses[0].name, sizeof c.houses[0].name, "ezra");
	c.houses[0].auth_token = house_token;
	c.nhouses = 2;
	return 0;
}

static void
a_text_shows_names_for_values(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_addf(&b, "a %s b%s%s abc house-token", value, value, digits);
	secret_mask(&c, &b);
	assert_string_equal(b.data, "a [secret TOKEN] b[secret TOKEN][secret PIN] abc [secret ezra]");
	secret_mask(NULL, &b);
	buf_free(&b);
}

static void
json(const char *from, const char *to)
{
	struct buf b = { 0 };

	buf_adds(&b, from);
	secret_mask_json(&c, &b);
	assert_string_equal(b.data, to);
	buf_free(&b);
}

static void
json_stays_json(void **state)
{
	(void)state;
	json("{\"a\":\"x s3cr3t\\\"\\\\1 y\"}", "{\"a\":\"x [secret TOKEN] y\"}");
	json("[123456,\"123456\",{\"123456\":[\"-123456\"]}]", "[123456,\"[secret PIN]\",{\"[secret PIN]\":[\"-[secret PIN]\"]}]");
	json("\"house-token\"", "\"[secret ezra]\"");
	json("{ \"nothing\" : 1 }", "{ \"nothing\" : 1 }");
	json("{\"broken\":\"123456", "{\"broken\":\"123456");
}

/* Whatever the pieces are, no part of a secret goes out, and nothing else is lost. */
static void
a_stream_is_masked_across_its_pieces(void **state)
{
	static const char text[] = "begin house-token house-house-token house-tok 123456";

	(void)state;
	for (size_t piece = 1; piece < sizeof text; piece++) {
		struct buf b = { 0 }, out = { 0 };

		for (size_t at = 0; at < sizeof text - 1; at += piece) {
			size_t left = sizeof text - 1 - at, n;

			buf_add(&b, text + at, left < piece ? left : piece);
			n = secret_mask_stream(&c, &b);
			buf_add(&out, b.data, n);
			memmove(b.data, b.data + n, b.len - n);
			buf_cut(&b, b.len - n);
		}
		buf_add(&out, buf_str(&b), b.len);
		assert_string_equal(out.data, "begin [secret ezra] house-[secret ezra] house-tok [secret PIN]");
		buf_free(&b);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_shows_names_for_values),
		cmocka_unit_test(json_stays_json),
		cmocka_unit_test(a_stream_is_masked_across_its_pieces),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
