/* What is JSON here and what is not, and that what is written can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json.h"

struct text {
	const char *p;
	size_t len;
};
#define T(s) { s, sizeof(s) - 1 }

static const struct text good[] = {
	T("{}"), T("[]"), T("null"), T(" true "), T("false"), T("0"), T("-0"), T("-1.5e+3"), T("1E9"), T("9007199254740991"),
	T("-9007199254740991"), T("1e300"), T("123456789.123456789"), T("\"\""), T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\""),
	T("\"\\ud83d\\ude00\""), T("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""), T("\"\x7f\""), T("{\"\":{\"\":[]}}"),
	T("\t{\r\n\"a\" : [ 1 , 2 ] }\n"), T("\"\xf4\x8f\xbf\xbf\""), T("\"\xef\xbf\xbf\""),
};

static const struct text bad[] = {
	T(""), T(" "), T("{"), T("}"), T("[1,]"), T("[,1]"), T("{\"a\":1,}"), T("{\"a\"}"), T("{\"a\":}"), T("{a:1}"), T("{'a':1}"),
	T("{1:1}"), T("nul"), T("nulll"), T("True"), T("NaN"), T("Infinity"), T("-"), T("+1"), T("01"), T("1."), T(".5"), T("1e"),
	T("1e+"), T("0x1"), T("--1"), T("1 2"), T("{} {}"), T("[] ,"), T("\"a"), T("\"\\\""), T("\"\\x\""), T("\"\\u12\""),
	T("\"\\u12g4\""), T("\"\\u0000\""), T("\"\\ud83d\""), T("\"\\ud83d\\u0041\""), T("\"\\ude00\""), T("\"\\ud83dx\""),
	T("\"a\nb\""), T("\"a\tb\""), T("\"\x00\""), T("\"\x1f\""), T("{}\0"), T("\0"), T("\"\x80\""), T("\"\xc3\""), T("\"\xc0\xaf\""),
	T("\"\xe0\x80\xaf\""), T("\"\xed\xa0\x80\""), T("\"\xf4\x90\x80\x80\""), T("\"\xff\""), T("\"\xf0\x9f\x98\""), T("9007199254740992"),
	T("-9007199254740992"), T("12345678901234567890"), T("1e999"), T("-1e999"), T("\xef\xbb\xbf{}"), T("/**/1"), T("[1 2]"),
	T("{\"a\" 1}"), T("{\"a\":1 \"b\":2}"), T("[\"a\":1]"), T("\v1"), T("1\f"), T("\xc2\xa0" "1"),
	T("0.000000000000000000000000000000000000000000000000000000000000000001"),
};

static void
good_texts_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct err e = { 0 };
		cJSON *v = json_parse(good[i].p, good[i].len, &e);

		if (!v)
			fail_msg("%s: %s", good[i].p, e.msg);
		cJSON_Delete(v);
	}
}

static void
bad_texts_are_refused_with_the_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err e = { 0 };
		/* Exactly as large as the text, so that a byte read too many is seen. */
		char *p = malloc(bad[i].len ? bad[i].len : 1);

		memcpy(p, bad[i].p, bad[i].len);
		if (json_check(p, bad[i].len, &e) == 0)
			fail_msg("%s was taken", bad[i].p);
		assert_int_equal(e.code, ERR_PARSE);
		assert_non_null(strstr(e.msg, "at byte "));
		assert_null(json_parse(p, bad[i].len, NULL));
		free(p);
	}
}

static void
each_prefix_of_a_text_is_refused(void **state)
{
	static const char text[] = "{\"a\":[1,-2.5e3,true,false,null,\"\\u00e9\\ud83d\\ude00\xe2\x82\xac\"],\"b\":{}}";

	(void)state;
	for (size_t n = 0; n + 1 < sizeof text; n++)
		assert_int_equal(json_check(text, n, NULL), n + 1 == sizeof text ? 0 : -1);
	assert_int_equal(json_check(text, sizeof text - 1, NULL), 0);
}

static void
member_names_are_unique_in_each_object(void **state)
{
	struct buf b = { 0 };
	struct err e;

	(void)state;
	assert_null(json_parse("{\"a\":1,\"a\":1}", 13, &e));
	assert_string_equal(e.field, "a");
	assert_null(json_parse("[{\"b\":{\"a\":1,\"\\u0061\":1}}]", 26, &e));
	assert_string_equal(e.field, "a");
	for (int n = 2; n <= 40; n++)
		for (int same = 0; same < 2; same++) {
			cJSON *v;

			buf_clear(&b);
			json_put_open(&b, '{');
			for (int i = 0; i < n; i++) {
				char key[16];

				snprintf(key, sizeof key, "k%d", same && i == n - 1 ? n / 2 - 1 : i);
				json_kv_int(&b, key, i);
			}
			json_put_close(&b, '}');
			v = json_parse(b.data, b.len, NULL);
			assert_true((v == NULL) == same);
			cJSON_Delete(v);
		}
	buf_free(&b);
}

static void
depth_and_members_are_bounded(void **state)
{
	char text[200];
	struct buf b = { 0 };
	struct err e;

	(void)state;
	for (int n = 30; n <= 34; n++) {
		memset(text, '[', (size_t)n);
		memset(text + n, ']', (size_t)n);
		assert_int_equal(json_check(text, 2 * (size_t)n, NULL), n <= JSON_MAX_DEPTH ? 0 : -1);
	}
	json_put_open(&b, '{');
	for (int i = 0; i <= JSON_MAX_KEYS; i++) {
		char key[16];

		snprintf(key, sizeof key, "%d", i);
		json_kv_int(&b, key, 1);
	}
	json_put_close(&b, '}');
	assert_null(json_parse(b.data, b.len, &e));
	assert_int_equal(e.code, ERR_TOO_BIG);
	buf_free(&b);
	/* Unclosed and very deep: no recursion beyond the bound. */
	b.max = 1u << 20;
	for (int i = 0; i < 1000000; i++)
		buf_addc(&b, i % 2 ? '[' : ' ');
	assert_int_equal(json_check(b.data, b.len, NULL), -1);
	buf_free(&b);
}

static void
only_an_object_will_do(void **state)
{
	static const char *const others[] = { "[]", "1", "\"x\"", "null", "true" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_null(json_parse_object(others[i], strlen(others[i]), &e));
		assert_int_equal(e.code, ERR_PARSE);
		assert_non_null(strstr(e.msg, "expected a JSON object"));
	}
}

struct row {
	char name[8];
	int64_t n, any;
	bool yes;
	const cJSON *obj, *list;
};

static const struct json_field fields[] = {
	JSON_FIELD(struct row, name, JSON_TEXT, true),
	JSON_FIELD_INT(struct row, n, 1, 9, false),
	JSON_FIELD_INT(struct row, any, 0, 0, false),
	JSON_FIELD(struct row, yes, JSON_BOOL, false),
	JSON_FIELD(struct row, obj, JSON_OBJECT, false),
	JSON_FIELD(struct row, list, JSON_ARRAY, false),
	JSON_END
};

static int
read_row(const char *text, struct row *r, struct err *e)
{
	cJSON *v = json_parse_object(text, strlen(text), e);
	int rc;

	assert_non_null(v);
	*r = (struct row){ .n = 5, .any = 7 };
	rc = json_read(v, fields, r, e);
	if (json_unknown(v, fields))
		assert_string_equal(json_unknown(v, fields), "odd");
	cJSON_Delete(v);
	return rc;
}

static void
a_table_of_fields_reads_an_object(void **state)
{
	struct row r;
	struct err e;

	(void)state;
	assert_int_equal(read_row("{\"name\":\"1234567\",\"n\":9,\"any\":-5,\"yes\":true,\"obj\":{},\"list\":[],\"odd\":1}", &r, &e), 0);
	assert_string_equal(r.name, "1234567");
	assert_int_equal(r.n, 9);
	assert_int_equal(r.any, -5);
	assert_true(r.yes);
	assert_non_null(r.obj);
	assert_non_null(r.list);
	assert_int_equal(read_row("{\"name\":\"\",\"n\":null,\"obj\":null}", &r, &e), 0);
	assert_int_equal(r.n, 5);
	assert_null(r.obj);
}

static void
a_wrong_field_is_named_with_what_came(void **state)
{
	static const struct {
		const char *text, *field, *expected, *got;
		enum err_code code;
	} rows[] = {
		{ "{}", "name", "a value; it is required", "nothing", ERR_MISSING },
		{ "{\"name\":null}", "name", "a value; it is required", "nothing", ERR_MISSING },
		{ "{\"name\":1}", "name", "a string", "1", ERR_INVALID },
		{ "{\"name\":\"12345678\"}", "name", "at most 7 bytes", "\"12345678\"", ERR_INVALID },
		{ "{\"name\":\"\",\"n\":0}", "n", "an integer from 1 to 9", "0", ERR_INVALID },
		{ "{\"name\":\"\",\"n\":1.5}", "n", "an integer from 1 to 9", "1.5", ERR_INVALID },
		{ "{\"name\":\"\",\"n\":\"1\"}", "n", "an integer from 1 to 9", "\"1\"", ERR_INVALID },
		{ "{\"name\":\"\",\"any\":1e300}", "any", "an integer from -9007199254740991 to 9007199254740991", "1e+300", ERR_INVALID },
		{ "{\"name\":\"\",\"yes\":1}", "yes", "true or false", "1", ERR_INVALID },
		{ "{\"name\":\"\",\"obj\":[]}", "obj", "an object", "an array", ERR_INVALID },
		{ "{\"name\":\"\",\"list\":{}}", "list", "an array", "an object", ERR_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct row r;
		struct err e;

		assert_int_equal(read_row(rows[i].text, &r, &e), -1);
		assert_string_equal(e.field, rows[i].field);
		assert_string_equal(e.expected, rows[i].expected);
		assert_string_equal(e.got, rows[i].got);
		assert_int_equal(e.code, rows[i].code);
	}
}

static void
strings_are_written_so_that_they_read_back(void **state)
{
	static const struct text texts[] = { T(""), T("plain"), T("\"\\/\b\f\n\r\t\x01\x1f\x7f"), T("\xc3\xa9\xf0\x9f\x98\x80") };
	static const struct text broken[] = { T("\xff"), T("a\xc3"), T("\xed\xa0\x80"), T("a\0b") };
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		const struct text *t = i < 4 ? &texts[i] : &broken[i - 4];
		cJSON *v;

		buf_clear(&b);
		json_put_strn(&b, t->p, t->len);
		v = json_parse(b.data, b.len, NULL);
		assert_non_null(v);
		if (i < 4)
			assert_string_equal(v->valuestring, t->p);
		else
			assert_non_null(strstr(v->valuestring, "\xef\xbf\xbd"));
		cJSON_Delete(v);
	}
	buf_free(&b);
}

static void
numbers_are_written_so_that_they_read_back(void **state)
{
	static const double numbers[] = { 0, -1, 0.1, 1.5, 1e21, 1e-7, 123456789.123456789, 9007199254740991., 1.7976931348623157e308, 5e-324 };
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		buf_clear(&b);
		json_put_num(&b, numbers[i]);
		assert_int_equal(json_check(b.data, b.len, NULL), 0);
		assert_true(strtod(b.data, NULL) == numbers[i]);
	}
	buf_clear(&b);
	json_put_num(&b, 1.0 / 0.0);
	assert_string_equal(b.data, "null");
	buf_free(&b);
}

static void
commas_come_by_themselves(void **state)
{
	struct buf b = { 0 };

	(void)state;
	json_put_open(&b, '{');
	json_kv_str(&b, "a", NULL);
	json_kv_bool(&b, "b", true);
	json_put_key(&b, "c");
	json_put_open(&b, '[');
	json_put_int(&b, 1);
	json_put_open(&b, '{');
	json_put_close(&b, '}');
	json_put_str(&b, "{[:,");
	json_put_str(&b, "x");
	json_put_close(&b, ']');
	json_kv_raw(&b, "d", "[]", 2);
	json_kv_time(&b, "e", 0);
	json_put_close(&b, '}');
	assert_string_equal(b.data, "{\"a\":null,\"b\":true,\"c\":[1,{},\"{[:,\",\"x\"],\"d\":[],\"e\":\"1970-01-01T00:00:00.000Z\"}");
	buf_free(&b);
}

static void
an_integer_that_readers_would_round_is_text(void **state)
{
	struct buf b = { 0 };

	(void)state;
	json_put_open(&b, '[');
	json_put_int(&b, JSON_INT_MAX);
	json_put_int(&b, -JSON_INT_MAX);
	json_put_int(&b, JSON_INT_MAX + 1);
	json_put_int(&b, INT64_MIN);
	json_put_close(&b, ']');
	assert_string_equal(b.data, "[9007199254740991,-9007199254740991,\"9007199254740992\",\"-9223372036854775808\"]");
	assert_int_equal(json_check(b.data, b.len, NULL), 0);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts_are_taken),
		cmocka_unit_test(bad_texts_are_refused_with_the_place),
		cmocka_unit_test(each_prefix_of_a_text_is_refused),
		cmocka_unit_test(member_names_are_unique_in_each_object),
		cmocka_unit_test(depth_and_members_are_bounded),
		cmocka_unit_test(only_an_object_will_do),
		cmocka_unit_test(a_table_of_fields_reads_an_object),
		cmocka_unit_test(a_wrong_field_is_named_with_what_came),
		cmocka_unit_test(strings_are_written_so_that_they_read_back),
		cmocka_unit_test(numbers_are_written_so_that_they_read_back),
		cmocka_unit_test(commas_come_by_themselves),
		cmocka_unit_test(an_integer_that_readers_would_round_is_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
