#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "buf.h"
#include "err.h"
#include "json.h"
#include "params.h"

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"path\":{\"type\":\"string\"},\"count\":{\"type\":\"integer\"},\"ratio\":{\"type\":\"number\"},"
    "\"force\":{\"type\":\"boolean\"},\"names\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
    "\"ports\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}},\"any\":{},"
    "\"maybe\":{\"type\":[\"string\",\"null\",\"integer\"]},\"headers\":{\"type\":\"object\"}}}";

/* Arguments end by NULL. */
static void
expect(const char *with_schema, const char *json, char *const *argv)
{
	struct err e = { 0 };
	struct buf b = { 0 };
	int argc = 0;
	cJSON *v;

	while (argv[argc])
		argc++;
	v = params_read(argc, argv, with_schema, &e);
	if (v)
		json_put_tree(&b, v);
	assert_string_equal(v ? buf_str(&b) : e.msg, json);
	cJSON_Delete(v);
	buf_free(&b);
}

#define EXPECT(json, ...) expect(schema, json, (char *[]){ __VA_ARGS__, NULL })
#define EXPECT_WITHOUT(json, ...) expect(NULL, json, (char *[]){ __VA_ARGS__, NULL })

static void
values_become_what_the_schema_says(void **state)
{
	(void)state;
	EXPECT("{\"path\":\"5\",\"count\":5,\"ratio\":0.5,\"force\":true}", "path=5", "count=5", "ratio=0.5",
	    "force=true");
	EXPECT("{\"path\":\"\"}", "path=");
	EXPECT("{\"path\":\"a=b\"}", "path=a=b");
	EXPECT("{\"headers\":{\"A\":\"b\"}}", "headers={\"A\":\"b\"}");
}

static void
a_type_list_takes_the_first_that_is_no_text(void **state)
{
	(void)state;
	EXPECT("{\"maybe\":null}", "maybe=null");
	EXPECT("{\"maybe\":7}", "maybe=7");
	EXPECT("{\"maybe\":\"x\"}", "maybe=x");
	EXPECT("{\"maybe\":\"true\"}", "maybe=true");
}

static void
a_repeated_key_makes_a_list(void **state)
{
	(void)state;
	EXPECT("{\"names\":[\"a\",\"1\"]}", "names=a", "names=1");
	EXPECT("{\"names\":[\"a\"]}", "names=a");
	EXPECT("{\"ports\":[80,443]}", "ports=80", "ports=443");
	EXPECT("{\"ports\":[80,443]}", "ports=[80,443]");
	EXPECT("{\"ports\":[1]}", "ports:=[1]");
}

static void
raw_json_passes_as_it_is(void **state)
{
	(void)state;
	EXPECT("{\"any\":{\"a\":[1,null]}}", "any:={\"a\":[1,null]}");
	EXPECT("{\"path\":7}", "path:=7");
	EXPECT("params.any: not valid JSON at byte 1: expected a member name in quotes", "any:={");
}

static void
without_a_schema_a_value_is_text(void **state)
{
	(void)state;
	EXPECT_WITHOUT("{\"a\":\"5\",\"b\":\"true\",\"c\":[1]}", "a=5", "b=true", "c:=[1]");
	EXPECT_WITHOUT("params.a: given twice", "a=1", "a=2");
}

static void
a_misspelt_parameter_is_answered_with_the_nearest(void **state)
{
	(void)state;
	EXPECT("params.cuont: no such parameter; did you mean count?", "cuont=1");
	EXPECT("params.zzzzzz: no such parameter", "zzzzzz=1");
}

static void
a_wrong_type_names_what_was_expected(void **state)
{
	(void)state;
	EXPECT("params.count: expected integer, got many", "count=many");
	EXPECT("params.force: expected boolean, got yes", "force=yes");
	EXPECT("params.ports: expected integer, got x", "ports=80", "ports=x");
}

static void
what_is_no_pair_is_refused(void **state)
{
	(void)state;
	EXPECT("params: expected key=value, key:=json or key=@file, got path", "path");
	EXPECT("params: expected key=value, key:=json or key=@file, got =5", "=5");
	EXPECT("params: expected key=value, key:=json or key=@file", "");
	EXPECT("params: expected key=value, key:=json or key=@file, got a b=5", "a b=5");
}

static void
write_file(const char *path, const void *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && write(fd, p, len) == (ssize_t)len);
	close(fd);
}

static void
a_file_is_read_verbatim(void **state)
{
	char dir[] = "/tmp/uw-params-XXXXXX", path[64], arg[96];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/f", dir);
	write_file(path, "one\ntwo\n", 8);
	snprintf(arg, sizeof arg, "path=@%s", path);
	EXPECT("{\"path\":\"one\\ntwo\\n\"}", arg);
	write_file(path, "[1]", 3);
	snprintf(arg, sizeof arg, "any:=@%s", path);
	EXPECT("{\"any\":[1]}", arg);
	write_file(path, "a\0b", 3);
	snprintf(arg, sizeof arg, "path=@%s", path);
	EXPECT("params.path: expected text in UTF-8 without NUL, got other bytes", arg);
	write_file(path, "\xff", 1);
	EXPECT("params.path: expected text in UTF-8 without NUL, got other bytes", arg);
	unlink(path);
	rmdir(dir);
	EXPECT("params.path: /nonexistent/x: No such file or directory", "path=@/nonexistent/x");
	EXPECT("{\"path\":\"@home\"}", "path=@@home");
	EXPECT("params.path: /dev/zero has more than 1048576 bytes", "path=@/dev/zero");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_become_what_the_schema_says),
		cmocka_unit_test(a_type_list_takes_the_first_that_is_no_text),
		cmocka_unit_test(a_repeated_key_makes_a_list),
		cmocka_unit_test(raw_json_passes_as_it_is),
		cmocka_unit_test(without_a_schema_a_value_is_text),
		cmocka_unit_test(a_misspelt_parameter_is_answered_with_the_nearest),
		cmocka_unit_test(a_wrong_type_names_what_was_expected),
		cmocka_unit_test(what_is_no_pair_is_refused),
		cmocka_unit_test(a_file_is_read_verbatim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
