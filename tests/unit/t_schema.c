#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "err.h"
#include "json.h"
#include "schema.h"

static struct err e;

/* ' for " */
static char *
quoted(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static struct schema *
compile(const char *text)
{
	char *json = quoted(text);
	struct schema *s;

	e = (struct err){ 0 };
	s = schema_compile(json, strlen(json), &e);
	free(json);
	return s;
}

static void
refused(const char *schema, const char *field)
{
	struct schema *s = compile(schema);

	if (s)
		fail_msg("%s was taken", schema);
	if (strcmp(e.field, field) != 0)
		fail_msg("%s: field \"%s\", expected \"%s\" (%s)", schema, e.field, field, e.msg);
	assert_true(e.msg[0]);
}

/* The value as it is after the check; NULL if it did not pass. The caller frees. */
static char *
check(const char *schema, const char *value)
{
	struct schema *s = compile(schema);
	char *json = quoted(value), *out = NULL;
	cJSON *v;

	if (!s)
		fail_msg("%s: %s", schema, e.msg);
	v = json_parse(json, strlen(json), &e);
	assert_non_null(v);
	if (schema_check(s, v, &e) == 0)
		out = cJSON_PrintUnformatted(v);
	cJSON_Delete(v);
	schema_free(s);
	free(json);
	return out;
}

static void
passes(const char *schema, const char *value, const char *after)
{
	char *out = check(schema, value), *want = quoted(after);

	if (!out)
		fail_msg("%s did not pass %s: %s", value, schema, e.msg);
	assert_string_equal(out, want);
	free(out);
	free(want);
}

static void
fails(const char *schema, const char *value, enum err_code code, const char *field)
{
	char *out = check(schema, value);

	if (out)
		fail_msg("%s passed %s", value, schema);
	if (e.code != code || strcmp(e.field, field) != 0)
		fail_msg("%s: %s, field \"%s\": %s", value, err_code_name(e.code), e.field, e.msg);
}

static void
each_type_takes_its_own_values(void **state)
{
	static const char *const values[] = { "null", "true", "3", "2.5", "'x'", "[]", "{}" };
	static const char *const names[] = { "null", "boolean", "integer", "number", "string", "array",
	    "object" };
	char schema[64];

	(void)state;
	for (size_t i = 0; i < 7; i++)
		for (size_t k = 0; k < 7; k++) {
			bool good = i == k || (i == 3 && k == 2);

			snprintf(schema, sizeof schema, "{'type':'%s'}", names[i]);
			if (good)
				passes(schema, values[k], values[k]);
			else
				fails(schema, values[k], ERR_INVALID, "");
		}
	passes("{'type':['string','null']}", "null", "null");
	passes("{'type':'integer'}", "3.0", "3");
}

static void
defaults_are_filled_in(void **state)
{
	(void)state;
	passes("{'type':'object','properties':{'a':{'type':'integer','default':5},'b':{}}}", "{}", "{'a':5}");
	passes("{'type':'object','properties':{'a':{'default':{'x':[1]}}}}", "{}", "{'a':{'x':[1]}}");
	passes("{'type':'object','required':['a'],'properties':{'a':{'default':1}}}", "{}", "{'a':1}");
	passes("{'type':'object','properties':{'o':{'type':'object','properties':{'x':{'default':1}}}}}",
	    "{'o':{}}", "{'o':{'x':1}}");
	refused("{'type':'object','properties':{'a':{'type':'integer','default':'x'}}}",
	    "properties.a.default");
}

static void
a_fault_names_its_place(void **state)
{
	static const char nested[] = "{'type':'object','properties':{'files':{'type':'array',"
	    "'items':{'type':'object',"
	    "'required':['name'],'properties':{'name':{'type':'string','maxLength':3}}}}}}";

	(void)state;
	fails(nested, "{'files':[{'name':'ok'},{'name':'long'}]}", ERR_INVALID, "files.1.name");
	fails(nested, "{'files':[{}]}", ERR_MISSING, "files.0.name");
	fails(nested, "{'files':[{'name':'a','nam':1}]}", ERR_INVALID, "files.0.nam");
	assert_non_null(strstr(e.msg, "a known name: name"));
	fails(nested, "{'file':1}", ERR_INVALID, "file");
	fails(nested, "[]", ERR_INVALID, "");
}

static void
bounds_hold_on_both_sides(void **state)
{
	(void)state;
	passes("{'minimum':1,'maximum':3}", "1", "1");
	passes("{'minimum':1,'maximum':3}", "3", "3");
	fails("{'minimum':1,'maximum':3}", "0.999", ERR_INVALID, "");
	fails("{'minimum':1,'maximum':3}", "4", ERR_INVALID, "");
	fails("{'minimum':1}", "0", ERR_INVALID, "");
	passes("{'minLength':2,'maxLength':2}", "'\xc3\xa4\xe2\x82\xac'", "'\xc3\xa4\xe2\x82\xac'");
	fails("{'maxLength':2}", "'abc'", ERR_INVALID, "");
	fails("{'minItems':1}", "[]", ERR_INVALID, "");
	fails("{'maxItems':1}", "[1,2]", ERR_INVALID, "");
	fails("{'enum':['a',1,null]}", "'b'", ERR_INVALID, "");
	assert_non_null(strstr(e.msg, "one of [\"a\",1,null]"));
	passes("{'enum':['a',1,null]}", "null", "null");
	fails("{'const':{'x':1}}", "{'x':2}", ERR_INVALID, "");
	fails("{'pattern':'^[a-z]+$'}", "'aB'", ERR_INVALID, "");
	passes("{'pattern':'^[a-z]+$'}", "'ab'", "'ab'");
}

static void
unknown_members_are_errors_unless_allowed(void **state)
{
	(void)state;
	fails("{'type':'object'}", "{'a':1}", ERR_INVALID, "a");
	passes("{'type':'object','additionalProperties':true}", "{'a':1}", "{'a':1}");
	passes("{'type':'object','additionalProperties':{'type':'string'}}", "{'a':'x'}", "{'a':'x'}");
	fails("{'type':'object','additionalProperties':{'type':'string'}}", "{'a':1}", ERR_INVALID, "a");
	passes("{}", "{'a':{'b':1}}", "{'a':{'b':1}}");
	passes("{'type':'object','required':['a']}", "{'a':{'b':1}}", "{'a':{'b':1}}");
	fails("{'type':'object','required':['a']}", "{}", ERR_MISSING, "a");
}

static void
a_schema_that_would_not_be_checked_is_refused(void **state)
{
	(void)state;
	refused("{'type':'strin'}", "type");
	refused("{'type':[]}", "type");
	refused("{'format':'date'}", "format");
	refused("{'properties':{'a':{'allOf':[]}}}", "properties.a.allOf");
	refused("{'minimum':'1'}", "minimum");
	refused("{'minLength':-1}", "minLength");
	refused("{'maxItems':1.5}", "maxItems");
	refused("{'enum':[]}", "enum");
	refused("{'required':'a'}", "required");
	refused("{'required':[1]}", "required");
	refused("{'items':[]}", "items");
	refused("{'pattern':'('}", "pattern");
	refused("{'pattern':'(a)\\\\1'}", "pattern");
	refused("{'pattern':'((a{1,99}){1,99}){1,99}'}", "pattern");
	refused("[]", "");
	refused("{'type':'object','type':'object'}", "type");
	refused("{'x", "");
}

static void
nesting_is_bounded(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (int i = 0; i < 14; i++)
		buf_adds(&b, "{\"items\":");
	buf_adds(&b, "{}");
	for (int i = 0; i < 14; i++)
		buf_adds(&b, "}");
	e = (struct err){ 0 };
	assert_null(schema_compile(b.data, b.len, &e));
	assert_int_equal(e.code, ERR_TOO_BIG);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_takes_its_own_values),
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(a_fault_names_its_place),
		cmocka_unit_test(bounds_hold_on_both_sides),
		cmocka_unit_test(unknown_members_are_errors_unless_allowed),
		cmocka_unit_test(a_schema_that_would_not_be_checked_is_refused),
		cmocka_unit_test(nesting_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
