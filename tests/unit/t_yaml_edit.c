/* t_yaml_edit.c - changes to houses.yaml that leave all else in it as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "yaml_edit.h"

enum what { PUT, REMOVE, ADD, DROP };

static const struct {
	const char *before;
	enum what what;
	const char *path, *value, *after;
} cases[] = {
	/* What is missing is made, in the style of where it is. */
	{ "", PUT, "a.b", "1", "a:\n  b: 1\n" },
	{ "# only this", PUT, "a", "1", "# only this\na: 1\n" },
	{ "houses:\n  ezra:\n", PUT, "hosts.h1", "{ssh: h}", "houses:\n  ezra:\nhosts:\n  h1: {ssh: h}\n" },
	{ "hosts:\n  h1: {a: 1}   # one\n\n# more\nx: 1\n", PUT, "hosts.h2", "{}", "hosts:\n  h1: {a: 1}   # one\n  h2: {}\n\n# more\nx: 1\n" },
	{ "hosts:   # none yet\nx: 1\n", PUT, "hosts.h2", "{}", "hosts:   # none yet\n  h2: {}\nx: 1\n" },
	{ "hosts: ~ # none\n", PUT, "hosts.h2", "{}", "hosts: {h2: {}} # none\n" },
	{ "hosts: {}\n", PUT, "hosts.h2", "{}", "hosts: {h2: {}}\n" },
	{ "hosts: {h1: {}}  # c\n", PUT, "hosts.h2", "{}", "hosts: {h1: {}, h2: {}}  # c\n" },
	{ "houses: {ezra: }\n", PUT, "houses.ezra.role", "archivist", "houses: {ezra:  {role: archivist}}\n" },
	{ "houses: {ezra: }\n", PUT, "houses.timmy", "", "houses: {ezra: , timmy: }\n" },
	{ "{a: {}}", PUT, "b.c", "1", "{a: {}, b: {c: 1}}" },
	{ "a:\n    b:\n        c: 1", PUT, "a.d", "2", "a:\n    b:\n        c: 1\n    d: 2\n" },
	{ "a:\n  t: |\n    two\n    lines\nb: 1\n", PUT, "a.u", "2", "a:\n  t: |\n    two\n    lines\n  u: 2\nb: 1\n" },
	/* What is there gives way. */
	{ "a: 1 # c\nb: 2\n", PUT, "a", "3", "a: 3 # c\nb: 2\n" },
	{ "a: 'it''s: #x' # c\n", PUT, "a", "3", "a: 3 # c\n" },
	{ "\xc3\xa9: 1\n'\xe2\x82\xac': {a: '\xc3\xa9\xc3\xa9', b: 1} # \xc3\xa9\n", PUT, "\xe2\x82\xac.b", "2",
	    "\xc3\xa9: 1\n'\xe2\x82\xac': {a: '\xc3\xa9\xc3\xa9', b: 2} # \xc3\xa9\n" },
	{ "l: # c\n  - a\n  - b\nx: 1\n", PUT, "l", "[c]", "l: [c] # c\nx: 1\n" },
	{ "a:\nb: 1\n", PUT, "a", "2", "a: 2\nb: 1\n" },
	/* Taken away. */
	{ "a: 1\nb: 2 # c\nc: 3\n", REMOVE, "b", NULL, "a: 1\nc: 3\n" },
	{ "hosts:\n  h1:\n    ssh: x\n    agents:\n      - a\n      # c\n      - b\n\n  h2: {}\n", REMOVE, "hosts.h1", NULL,
	    "hosts:\n\n  h2: {}\n" },
	{ "hosts: {h1: {a: 1}, h2: {b: 1}, h3: }\n", REMOVE, "hosts.h1", NULL, "hosts: {h2: {b: 1}, h3: }\n" },
	{ "hosts: {h1: {a: 1}, h2: {b: 1}, h3: }\n", REMOVE, "hosts.h2", NULL, "hosts: {h1: {a: 1}, h3: }\n" },
	{ "hosts: {h1: {a: 1}, h2: {b: 1}}\n", REMOVE, "hosts.h2", NULL, "hosts: {h1: {a: 1}}\n" },
	{ "hosts: {h1: {a: 1}}\n", REMOVE, "hosts.h1", NULL, "hosts: {}\n" },
	{ "a: 1\n", REMOVE, "b.c", NULL, "a: 1\n" },
	{ "a:\nb: 1", REMOVE, "b", NULL, "a:\n" },
	{ "a:\n\nb: 1", REMOVE, "a", NULL, "\nb: 1" },
	/* Lists. */
	{ "l: [a, b] # c\n", ADD, "l", "c", "l: [a, b, c] # c\n" },
	{ "l: [a, b,]\n", ADD, "l", "c", "l: [a, b, c,]\n" },
	{ "l: [a,   # first\n    b    # second\n   ]\n", ADD, "l", "c", "l: [a,   # first\n    b, c    # second\n   ]\n" },
	{ "l: []\n", ADD, "l", "c", "l: [c]\n" },
	{ "l: [c]\n", ADD, "l", "c", "l: [c]\n" },
	{ "l:\n", ADD, "l", "c", "l: [c]\n" },
	{ "x: 1\n", ADD, "l.m", "c", "x: 1\nl:\n  m: [c]\n" },
	{ "l:\n- a\n- b # two\n# end\nx: 1\n", ADD, "l", "c", "l:\n- a\n- b # two\n- c\n# end\nx: 1\n" },
	{ "l:\n    -   'a'\n", ADD, "l", "c", "l:\n    -   'a'\n    - c\n" },
	{ "l: [a, b, c]\n", DROP, "l", "a", "l: [b, c]\n" },
	{ "l: [a, b, c]\n", DROP, "l", "b", "l: [a, c]\n" },
	{ "l: [a, b, c]\n", DROP, "l", "c", "l: [a, b]\n" },
	{ "l: [a]\n", DROP, "l", "a", "l: []\n" },
	{ "l: [a]\n", DROP, "l", "x", "l: [a]\n" },
	{ "l:\n  - a # one\n  - b\n", DROP, "l", "a", "l:\n  - b\n" },
	{ "x: 1\n", DROP, "l", "a", "x: 1\n" },
	/* Line ends of another system stay. */
	{ "a: 1\r\nb: 2\r\n", PUT, "a", "3", "a: 3\r\nb: 2\r\n" },
};

static int
change(struct buf *b, enum what what, const char *path, const char *value, struct err *e)
{
	switch (what) {
	case PUT: return yaml_put(b, path, value, e);
	case REMOVE: return yaml_remove(b, path, e);
	case ADD: return yaml_list_add(b, path, value, e);
	default: return yaml_list_remove(b, path, value, e);
	}
}

static void
all_else_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b = { 0 };
		struct err e = { 0 };

		buf_adds(&b, cases[i].before);
		if (change(&b, cases[i].what, cases[i].path, cases[i].value, &e))
			fail_msg("%s: %s", cases[i].before, e.msg);
		if (strcmp(buf_str(&b), cases[i].after) != 0)
			fail_msg("%s of:\n%s\nexpected:\n%s\ngot:\n%s", cases[i].path, cases[i].before, cases[i].after, buf_str(&b));
		buf_free(&b);
	}
}

static void
what_cannot_be_changed_stays(void **state)
{
	static const struct {
		const char *text;
		enum what what;
		const char *path, *says;
	} bad[] = {
		{ "a: [", PUT, "a", "not valid YAML" },
		{ "a: 1\n", PUT, "a.b", "line 1: expected a mapping, for a.b" },
		{ "x: 1\na: 1\n", ADD, "a", "line 2: expected a list, for a" },
		{ "a: 1\rb: 2\n", PUT, "b", "expected lines that end in \\n" },
		{ "a: '\xe2\x80\xa8'\n", PUT, "b", "expected lines that end in \\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct buf b = { 0 };
		struct err e = { 0 };

		buf_adds(&b, bad[i].text);
		assert_int_equal(change(&b, bad[i].what, bad[i].path, "v", &e), -1);
		assert_non_null(strstr(e.msg, bad[i].says));
		assert_string_equal(b.data, bad[i].text);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_else_stays),
		cmocka_unit_test(what_cannot_be_changed_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
