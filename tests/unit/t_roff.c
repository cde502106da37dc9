#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"
#include "roff.h"

static void
text_is(const char *text, const char *expected)
{
	struct buf b = { 0 };

	roff_text(&b, text);
	assert_string_equal(buf_str(&b), expected);
	buf_free(&b);
}

static void
t_roff_fills_and_begins_a_line_with_each_sentence(void **state)
{
	struct buf words = { 0 }, b = { 0 };
	size_t column = 0;

	(void)state;
	text_is("One two.\nThree (four.) Five", "One two.\nThree (four.)\nFive\n");
	text_is("One\n\n\nTwo", "One\n.PP\nTwo\n");
	text_is("", "");
	for (int i = 0; i < 100; i++)
		buf_adds(&words, "house's-word ");
	roff_text(&b, buf_str(&words));
	for (const char *p = buf_str(&b); *p; p++) {
		column = *p == '\n' ? 0 : column + 1;
		assert_true(column <= 80);
	}
	buf_free(&words);
	buf_free(&b);
}

static void
t_roff_takes_no_text_for_a_macro(void **state)
{
	struct buf b = { 0 };

	(void)state;
	text_is(".so /etc/passwd", "\\&.so \\%/etc/passwd\n");
	text_is("'so x", "\\&'so x\n");
	text_is("a \\fB \"q\" ~^", "a \\efB \\(dqq\\(dq \\(ti\\(ha\n");
	text_is("  .so x\n", ".RS 4\n.EX\n\\&.so x\n.EE\n.RE\n");
	roff_literal(&b, ".a'b`c-d\\");
	assert_string_equal(buf_str(&b), "\\&.a\\(aqb\\(gac\\-d\\e");
	buf_free(&b);
}

static void
t_roff_shows_options_and_code(void **state)
{
	struct buf b = { 0 };

	(void)state;
	text_is("with --not-before, (-f) or - it", "with \\fB\\-\\-not\\-before\\fP, (\\fB\\-f\\fP) or - it\n");
	text_is("a well-known `task show`.", "a well-known \\%\\fBtask\\fP \\%\\fBshow\\fP.\n");
	text_is("see [there](a.md#b) too", "see there too\n");
	roff_args(&b, "TOOL [KEY=VALUE...] | --batch FILE|x");
	assert_string_equal(buf_str(&b), "\\fITOOL\\fP [\\fIKEY\\fP=\\fIVALUE\\fP...] | \\fB\\-\\-batch\\fP \\fIFILE\\fP|x");
	buf_free(&b);
}

static void
t_roff_keeps_lines_that_are_indented(void **state)
{
	(void)state;
	text_is("Thus:\n  a --b 'c'\n    d\nand so", "Thus:\n.PP\n.RS 4\n.EX\na \\-\\-b \\(aqc\\(aq\n  d\n.EE\n.RE\n.PP\nand so\n");
	text_is("  LAG       how late.\n  LAST GAP  when\n",
	    ".RS 4\n.TP 10\n\\fBLAG\\fP\nhow late.\n.TP 10\n\\fBLAST GAP\\fP\nwhen\n.RE\n");
	text_is(" x\n ", ".RS 4\n.EX\nx\n\n.EE\n.RE\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_roff_fills_and_begins_a_line_with_each_sentence),
		cmocka_unit_test(t_roff_takes_no_text_for_a_macro),
		cmocka_unit_test(t_roff_shows_options_and_code),
		cmocka_unit_test(t_roff_keeps_lines_that_are_indented),
	};

	return cmocka_run_group_tests_name("roff", tests, NULL, NULL);
}
