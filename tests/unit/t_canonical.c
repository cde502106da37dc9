/* Canonical JSON (RFC 8785, integers only), base64 in one way only, patterns with *. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base64.h"
#include "canonical.h"
#include "glob.h"
#include "json.h"

static char *
canonical(const char *text)
{
	struct err e = { 0 };
	struct buf b = { 0 };
	cJSON *v = json_parse(text, strlen(text), &e);

	if (!v)
		fail_msg("%s: %s", text, e.msg);
	if (canonical_put(&b, v, &e))
		fail_msg("%s: %s", text, e.msg);
	cJSON_Delete(v);
	return buf_take(&b);
}

static void
texts_become_what_the_standard_says(void **state)
{
	static const char *const pairs[][2] = {
		{ "{}", "{}" }, { " [ ] ", "[]" }, { "[true , false,null]", "[true,false,null]" }, { "-0", "0" }, { "1.0", "1" },
		{ "1e3", "1000" }, { "-9007199254740991", "-9007199254740991" }, { "{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}" },
		/* RFC 8785, 3.2.2: strings */
		{ "{\"string\":\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"}",
		    "{\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}" },
		/* RFC 8785, 3.2.3: sorting by UTF-16 code units, the emoji before U+FB33 */
		{ "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\","
		  "\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
		  "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
		    "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\",\"\xc3\xb6\":\"Latin Small Letter O "
		    "With Diaeresis\",\"\xe2\x82\xac\":\"Euro Sign\",\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
		    "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}" },
		{ "\"\\b\\f\\t\\r\\n\\u001f\\u007f\"", "\"\\b\\f\\t\\r\\n\\u001f\x7f\"" },
		{ "{\"a\":{\"z\":[{\"y\":1,\"x\":2}],\"\":0},\"A\":1}", "{\"A\":1,\"a\":{\"\":0,\"z\":[{\"x\":2,\"y\":1}]}}" },
		{ "{\"aa\":1,\"a\":2,\"\\ud7ff\":3,\"\\ue000\":4,\"\\udbff\\udfff\":5}",
		    "{\"a\":2,\"aa\":1,\"\xed\x9f\xbf\":3,\"\xf4\x8f\xbf\xbf\":5,\"\xee\x80\x80\":4}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		char *got = canonical(pairs[i][0]), *again = canonical(got);
		struct err e = { 0 };
		cJSON *v = canonical_parse(got, strlen(got), &e);

		assert_string_equal(got, pairs[i][1]);
		assert_string_equal(again, got);
		assert_non_null(v);
		cJSON_Delete(v);
		free(got);
		free(again);
	}
}

static void
what_is_not_canonical_is_refused(void **state)
{
	static const char *const bad[] = {
		" {}", "{} ", "{}\n", "{ }", "{\"a\": 1}", "{\"b\":1,\"a\":2}", "{\"a\":1,\"a\":1}", "1.0", "1e2", "-0", "0.5", "[1, 2]",
		"\"\\u0041\"", "\"\\/\"", "\"\\u000A\"", "\"\\u00e9\"", "\"\\u001F\"", "{\"a\":1.5}", "[9007199254740992]", "",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err e = { 0 };

		if (canonical_parse(bad[i], strlen(bad[i]), &e))
			fail_msg("%s was taken", bad[i]);
		assert_true(e.code == ERR_PARSE || e.code == ERR_INVALID);
	}
}

static void
trees_without_a_canonical_form_are_refused_and_leave_nothing(void **state)
{
	cJSON *bad[4] = { cJSON_CreateNumber(0.5), cJSON_CreateString("\xff"), cJSON_CreateObject(), cJSON_CreateArray() };
	struct buf b = { 0 }, small = { .max = 3 };
	struct err e;
	cJSON *deep = bad[3];

	(void)state;
	cJSON_AddNumberToObject(bad[2], "a", 1);
	cJSON_AddNumberToObject(bad[2], "a", 1);
	for (int i = 0; i < JSON_MAX_DEPTH + 1; i++) {
		cJSON_AddItemToArray(deep, cJSON_CreateArray());
		deep = deep->child;
	}
	buf_adds(&b, "x");
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(canonical_put(&b, bad[i], &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
		assert_string_equal(b.data, "x");
		cJSON_Delete(bad[i]);
	}
	bad[0] = cJSON_CreateString("long");
	assert_int_equal(canonical_put(&small, bad[0], &e), -1);
	assert_int_equal(e.code, ERR_TOO_BIG);
	cJSON_Delete(bad[0]);
	buf_free(&b);
	buf_free(&small);
}

static void
a_digest_is_that_of_the_canonical_text(void **state)
{
	cJSON *v = json_parse("{\"b\":1,\"a\":[]}", 14, NULL);
	char of_tree[CANONICAL_HASH], of_text[CANONICAL_HASH];

	(void)state;
	assert_int_equal(canonical_hash(v, of_tree, NULL), 0);
	hash_hex("{\"a\":[],\"b\":1}", 14, of_text);
	assert_string_equal(of_tree, of_text);
	hash_hex("abc", 3, of_text);
	assert_string_equal(of_text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	cJSON_Delete(v);
}

static void
base64_has_one_text_for_each_run_of_bytes(void **state)
{
	/* RFC 4648, 10 */
	static const char *const vectors[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm8", "====", "=", "Zg==Zg==", "Zm9v ",
		" Zm9v", "Zm9v\n", "Zm-_", "Zg=v", "Zm9vY===" };

	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct buf to = { 0 }, back = { 0 };

		base64_put(&to, vectors[i][0], strlen(vectors[i][0]));
		assert_string_equal(buf_str(&to), vectors[i][1]);
		assert_int_equal(base64_decode(&back, vectors[i][1], strlen(vectors[i][1]), NULL), 0);
		assert_string_equal(buf_str(&back), vectors[i][0]);
		buf_free(&to);
		buf_free(&back);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct buf out = { 0 };

		buf_adds(&out, "x");
		if (base64_decode(&out, bad[i], strlen(bad[i]), NULL) == 0)
			fail_msg("%s was taken", bad[i]);
		assert_string_equal(out.data, "x");
		buf_free(&out);
	}
}

/* Four characters are three bytes at most: of all texts of two of them and padding, only 256 mean something. */
static void
no_two_texts_mean_the_same_byte(void **state)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	int taken = 0;

	(void)state;
	for (const char *a = set; *a; a++)
		for (const char *b = set; *b; b++) {
			char text[] = { *a, *b, '=', '=', '\0' };
			unsigned char byte;

			taken += base64_decode_exactly(&byte, 1, text, NULL) == 0;
		}
	assert_int_equal(taken, 256);
}

static void
a_star_is_any_run_and_nothing_else_is_special(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} cases[] = {
		{ "", "", true }, { "", "a", false }, { "*", "", true }, { "*", "abc", true }, { "a*", "a", true }, { "a*", "ba", false },
		{ "*a", "ba", true }, { "*a", "ab", false }, { "git_*", "git_push", true }, { "git_*", "git", false },
		{ "a*b*c", "aXbXbc", true }, { "a*b*c", "aXcXb", false }, { "**", "x", true }, { "a?c", "abc", false },
		{ "a?c", "a?c", true }, { "[ab]", "a", false }, { "\\*", "\\x", true }, { "a**b", "ab", true }, { "*ab", "aab", true },
		{ "/srv/*", "/srv/a/b", true }, { "a", "A", false }, { "abc", "ab", false }, { "*aaab", "aaaaaaaaaaaaaaaab", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (glob_match(cases[i].pattern, cases[i].text) != cases[i].match)
			fail_msg("%s and %s", cases[i].pattern, cases[i].text);
}

#define T cmocka_unit_test

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(texts_become_what_the_standard_says),
		T(what_is_not_canonical_is_refused),
		T(trees_without_a_canonical_form_are_refused_and_leave_nothing),
		T(a_digest_is_that_of_the_canonical_text),
		T(base64_has_one_text_for_each_run_of_bytes),
		T(no_two_texts_mean_the_same_byte),
		T(a_star_is_any_run_and_nothing_else_is_special),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
