#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "page.h"

static struct page p;

static int
utf8(void **state)
{
	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	p.width = 0;
	return 0;
}

static int
ascii(void **state)
{
	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C"));
	p.width = 0;
	return 0;
}

static int
release(void **state)
{
	(void)state;
	page_release(&p);
	return 0;
}

/* All lines as page_print() gives them. */
static const char *
printed(void)
{
	static char text[4096];
	FILE *f = fmemopen(text, sizeof text, "w");

	page_print(&p, f);
	fclose(f);
	return text;
}

static void
test_what_drives_a_terminal_is_shown(void **state)
{
	(void)state;
	page_line(&p, NULL);
	page_put(&p, STYLE_PLAIN, "%s", "a\033[2Jb\x07" "c\x7f" "d\xc2\x9b" "e\tf\ng");
	assert_string_equal(printed(), "a?[2Jb?c?d?e f g\n");
}

static void
test_marks_that_turn_text_are_shown(void **state)
{
	(void)state;
	page_line(&p, NULL);
	page_put(&p, STYLE_PLAIN, "%s", "a\xe2\x80\xae" "b\xe2\x80\x8b" "c");
	assert_string_equal(printed(), "a?b?c\n");
}

static void
test_what_is_no_utf8_is_shown(void **state)
{
	(void)state;
	page_line(&p, NULL);
	page_put(&p, STYLE_PLAIN, "%s", "a\xff" "b\xc3");
	assert_string_equal(printed(), "a?b?\n");
}

static void
test_characters_count_as_a_terminal_counts_them(void **state)
{
	(void)state;
	p.width = 6;
	page_line(&p, NULL);
	page_put(&p, STYLE_PLAIN, "%s", "\xc3\xa4\xe6\xbc\xa2\xe5\xad\x97\xc3\xb6");
	assert_int_equal(p.lines[0].cols, 6);
	page_line(&p, NULL);
	page_put(&p, STYLE_PLAIN, "%s", "ab\xe6\xbc\xa2\xe5\xad\x97\xc3\xb6");
	assert_string_equal(printed(), "\xc3\xa4\xe6\xbc\xa2\xe5\xad\x97\xc3\xb6\nab\xe6\xbc\xa2\xe2\x80\xa6\n");
}

static void
test_without_utf8_all_is_ascii(void **state)
{
	(void)state;
	p.width = 6;
	page_line(&p, NULL);
	page_put(&p, STYLE_PLAIN, "%s", "\xc3\xa4\xe6\xbc\xa2" "bcdefgh");
	assert_string_equal(printed(), "??bcd~\n");
}

static void
test_cells(void **state)
{
	(void)state;
	page_line(&p, NULL);
	page_cell(&p, STYLE_PLAIN, 4, "ab");
	page_cell(&p, STYLE_PLAIN, -4, "1");
	page_cell(&p, STYLE_PLAIN, 3, "abcdef");
	page_put(&p, STYLE_PLAIN, "|");
	assert_string_equal(printed(), "ab       1  ab~  |\n");
}

static void
test_a_line_ends_at_the_width(void **state)
{
	(void)state;
	p.width = 10;
	page_line(&p, NULL);
	page_cell(&p, STYLE_PLAIN, 4, "ab");
	page_cell(&p, STYLE_PLAIN, 8, "abcdefgh");
	page_cell(&p, STYLE_PLAIN, 4, "more");
	page_fill(&p, STYLE_BAR);
	assert_int_equal(p.lines[0].cols, 10);
	assert_string_equal(printed(), "ab    abc~\n");
}

static void
test_text_is_folded_at_words(void **state)
{
	(void)state;
	p.width = 12;
	page_text(&p, STYLE_PLAIN, "  ", "one two three\n\nabcdefghijklmnop");
	assert_string_equal(printed(), "  one two\n  three\n\n  abcdefghij\n  klmnop\n");
}

static void
test_a_page_may_be_used_again(void **state)
{
	(void)state;
	page_line(&p, "task:1");
	page_put(&p, STYLE_BAD, "gone");
	page_clear(&p);
	page_line(&p, "task:2");
	page_put(&p, STYLE_BAD, "new");
	assert_string_equal(p.lines[0].key, "task:2");
	assert_string_equal(printed(), "new\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_drives_a_terminal_is_shown, utf8, release),
		cmocka_unit_test_setup_teardown(test_marks_that_turn_text_are_shown, utf8, release),
		cmocka_unit_test_setup_teardown(test_what_is_no_utf8_is_shown, utf8, release),
		cmocka_unit_test_setup_teardown(test_characters_count_as_a_terminal_counts_them, utf8, release),
		cmocka_unit_test_setup_teardown(test_without_utf8_all_is_ascii, ascii, release),
		cmocka_unit_test_setup_teardown(test_cells, ascii, release),
		cmocka_unit_test_setup_teardown(test_a_line_ends_at_the_width, ascii, release),
		cmocka_unit_test_setup_teardown(test_text_is_folded_at_words, ascii, release),
		cmocka_unit_test_setup_teardown(test_a_page_may_be_used_again, ascii, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
