#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "rows.h"

static struct rows r;

static void
add(const char *id, const char *house, const char *state, const char *accepted)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "type", "task");
	cJSON_AddStringToObject(o, "id", id);
	cJSON_AddStringToObject(o, "house", house);
	cJSON_AddStringToObject(o, "state", state);
	cJSON_AddStringToObject(o, "accepted", accepted);
	rows_add(&r, o);
	cJSON_Delete(o);
}

static void
check(int i, const char *id, const char *house)
{
	assert_string_equal(json_text(r.v[i], "id"), id);
	assert_string_equal(json_text(r.v[i], "house"), house);
	assert_false(cJSON_HasObjectItem(r.v[i], "type"));
}

static int
end(void **state)
{
	(void)state;
	rows_clear(&r);
	return 0;
}

static void
test_the_newest_come_first_and_the_others_go(void **state)
{
	(void)state;
	rows_settle(&r, 10);
	assert_int_equal(r.n, 0);
	add("A", "ezra", "queued", "2026-11-30T10:00:00.000Z");
	add("C", "timmy", "queued", "2026-11-30T12:00:00.000Z");
	add("B", "ezra", "queued", "2026-11-30T11:00:00.000Z");
	add("D", "ezra", "queued", "2026-11-30T10:00:00.000Z");
	rows_settle(&r, 3);
	assert_int_equal(r.n, 3);
	check(0, "C", "timmy");
	check(1, "B", "ezra");
	check(2, "D", "ezra");
}

static void
test_the_house_is_believed_before_the_router(void **state)
{
	(void)state;
	add("A", "_", "forwarded", "2026-11-30T10:00:00.000Z");
	add("B", "_", "forwarded", "2026-11-30T09:00:00.000Z");
	add("A", "ezra", "running", "2026-11-30T10:00:00.001Z");
	rows_settle(&r, 10);
	assert_int_equal(r.n, 2);
	check(0, "A", "ezra");
	check(1, "B", "_");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_the_newest_come_first_and_the_others_go, end),
		cmocka_unit_test_teardown(test_the_house_is_believed_before_the_router, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
