#include "shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static uint64_t
shape(const char *json)
{
	cJSON *o = cJSON_Parse(json);
	uint64_t h;

	assert_non_null(o);
	h = shape_of(o);
	cJSON_Delete(o);
	return h;
}

static void
values_do_not_show(void **state)
{
	(void)state;
	assert_true(shape("{\"path\":\"/etc/pass\",\"n\":12}") == shape("{\"path\":\"/srv/site\",\"n\":97}"));
	assert_true(shape("{\"secret\":true}") == shape("{\"secret\":false}"));
}

static void
order_does_not_matter(void **state)
{
	(void)state;
	assert_true(shape("{\"a\":1,\"b\":\"x\"}") == shape("{\"b\":\"x\",\"a\":1}"));
}

static void
names_types_and_sizes_do(void **state)
{
	static const char *const apart[] = { "{}", "{\"a\":1}", "{\"b\":1}", "{\"a\":-1}", "{\"a\":\"x\"}", "{\"a\":[]}", "{\"a\":{}}",
		"{\"a\":1000}", "{\"a\":true}", "{\"a\":null}", "{\"a\":[1,2,3,4,5]}", "{\"a\":\"as long as anything\"}", "{\"a\":1,\"b\":1}" };
	size_t n = sizeof apart / sizeof *apart;

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			assert_true(shape(apart[i]) != shape(apart[k]));
}

static void
nothing_is_a_shape_too(void **state)
{
	(void)state;
	assert_true(shape_of(NULL) != 0);
	assert_true(shape_of(NULL) == shape("{}"));
	assert_true(shape_name(NULL) == 0);
	assert_true(shape_name("") != 0);
	assert_true(shape_name("git_push") != shape_name("git_pull"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_do_not_show),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(names_types_and_sizes_do),
		cmocka_unit_test(nothing_is_a_shape_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
