#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd.h"

/* A program of its own: what the frame does is seen by what the commands get. */

static struct cmd_args seen;
static int runs;

static int
note(const struct cmd_args *a)
{
	seen = *a;
	runs++;
	return EXIT_NO_ANSWER;
}

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .help = "a house" },
	{ .name = "count",
	    .letter = 'n',
	    .kind = OPT_INT,
	    .arg = "N",
	    .help = "a number",
	    .min = -5,
	    .max = 10 },
	{ .name = "wait", .letter = 'w', .kind = OPT_FLAG, .help = "wait" },
	{ .name = NULL },
};
static const struct cmd heading = { .name = "", .help = "Things" };
static const struct cmd task_list = {
	.name = "task list",
	.args = "[HOUSE]",
	.help = "List tasks",
	.opts = opts,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = note,
};
static const struct cmd task = { .name = "task", .help = "All of it", .max_args = -1, .run = note };
static const struct cmd need = {
	.name = "need",
	.args = "A B",
	.help = "Needs two",
	.min_args = 2,
	.max_args = 2,
	.flags = CMD_NO_CONFIG,
	.run = note,
};
static const struct cmd raw = {
	.name = "raw", .help = "Raw", .max_args = -1, .flags = CMD_RAW | CMD_HIDDEN, .run = note
};
const struct cmd *const commands[] = { &heading, &task_list, &task, &need, &raw, NULL };

#define RUN(...) run_words((char *[]){ "uni-wizard", __VA_ARGS__, NULL })

static int
run_words(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	seen = (struct cmd_args){ 0 };
	runs = 0;
	return cmd_main(argc, argv);
}

/* Standard output and error of what follows go to a file that is read back by caught(). */
static int keep_out, keep_err;
static char *caught_text;

static void
catch_output(void)
{
	FILE *f = tmpfile();

	fflush(stdout);
	keep_out = dup(STDOUT_FILENO);
	keep_err = dup(STDERR_FILENO);
	dup2(fileno(f), STDOUT_FILENO);
	dup2(fileno(f), STDERR_FILENO);
	fclose(f);
}

static const char *
caught(void)
{
	static char text[8192];
	ssize_t n;

	fflush(stdout);
	lseek(STDOUT_FILENO, 0, SEEK_SET);
	n = read(STDOUT_FILENO, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	dup2(keep_out, STDOUT_FILENO);
	dup2(keep_err, STDERR_FILENO);
	close(keep_out);
	close(keep_err);
	caught_text = text;
	return text;
}

#define SAYS(code, text, ...) do {                      \
	int rc_;                                        \
	catch_output();                                 \
	rc_ = RUN(__VA_ARGS__);                         \
	if (!strstr(caught(), text))                    \
		fail_msg("said: %s", caught_text);      \
	assert_int_equal(rc_, code);                    \
	assert_int_equal(runs, 0);                      \
} while (0)

static void
the_longest_name_wins(void **state)
{
	(void)state;
	assert_int_equal(RUN("task", "list"), EXIT_NO_ANSWER);
	assert_ptr_equal(seen.cmd, &task_list);
	assert_int_equal(RUN("task", "other"), EXIT_NO_ANSWER);
	assert_ptr_equal(seen.cmd, &task);
	assert_int_equal(seen.argc, 1);
}

static void
options_may_stand_anywhere_and_in_every_form(void **state)
{
	(void)state;
	RUN("task", "list", "--house", "ezra", "x", "--count=7", "-w", "--json");
	assert_string_equal(cmd_text(&seen, "house", "none"), "ezra");
	assert_int_equal(cmd_int(&seen, "count", 1), 7);
	assert_true(cmd_flag(&seen, "wait"));
	assert_true(seen.json);
	assert_int_equal(seen.argc, 1);
	assert_string_equal(seen.argv[0], "x");

	RUN("task", "list", "-wn3", "-Hezra");
	assert_true(cmd_flag(&seen, "wait"));
	assert_int_equal(cmd_int(&seen, "count", 1), 3);
	assert_string_equal(cmd_text(&seen, "house", "none"), "ezra");

	RUN("task", "list", "--house=", "-n", "-5");
	assert_string_equal(cmd_text(&seen, "house", "none"), "");
	assert_int_equal(cmd_int(&seen, "count", 1), -5);

	RUN("--config", "F", "--as=me", "task", "list");
	assert_string_equal(seen.config, "F");
	assert_string_equal(seen.identity, "me");
	RUN("task", "list");
	assert_string_equal(cmd_text(&seen, "house", "none"), "none");
	assert_int_equal(cmd_int(&seen, "count", 1), 1);
	assert_false(cmd_flag(&seen, "wait"));
}

static void
what_follows_two_dashes_is_no_option(void **state)
{
	(void)state;
	RUN("need", "--", "--house", "-x");
	assert_int_equal(seen.argc, 2);
	assert_string_equal(seen.argv[0], "--house");
	RUN("need", "-", "-5");
	assert_string_equal(seen.argv[0], "-");
	assert_string_equal(seen.argv[1], "-5");
	RUN("raw", "--help", "--");
	assert_int_equal(seen.argc, 2);
}

static void
wrong_usage_is_told_and_nothing_runs(void **state)
{
	(void)state;
	SAYS(EXIT_USAGE, "no such option: --huose; did you mean --house?", "task", "list", "--huose", "x");
	SAYS(EXIT_USAGE, "no such option: -q", "task", "list", "-q");
	SAYS(EXIT_USAGE, "--count: expected a whole number from -5 to 10, got 11", "task", "list", "-n11");
	SAYS(EXIT_USAGE, "--count: expected a whole number from -5 to 10, got 5x", "task", "list",
	    "--count=5x");
	SAYS(EXIT_USAGE, "--count: expected a whole number from -5 to 10, got ", "task", "list", "--count=");
	SAYS(EXIT_USAGE, "got 99999999999999999999", "task", "list", "-n99999999999999999999");
	SAYS(EXIT_USAGE, "--house needs a value: H", "task", "list", "--house");
	SAYS(EXIT_USAGE, "--wait takes no value", "task", "list", "--wait=yes");
	SAYS(EXIT_USAGE, "need: expected A B", "need", "a");
	SAYS(EXIT_USAGE, "need: unexpected argument c", "need", "a", "b", "c");
	SAYS(EXIT_USAGE, "no such option: --config", "need", "a", "b", "--config", "x");
	SAYS(EXIT_USAGE, "no such option: --json", "need", "a", "b", "--json");
	SAYS(EXIT_USAGE, "no such command: tsak list; did you mean task list?", "tsak", "list");
	SAYS(EXIT_USAGE, "no such command: list; did you mean task list?", "list");
	SAYS(EXIT_USAGE, "no such command: ned; did you mean need?", "ned");
	SAYS(EXIT_USAGE, "no such command: zzzzzz; see", "zzzzzz");
	SAYS(EXIT_USAGE, "no such command: ; see", "");
}

static void
help_shows_rows_and_hides_hidden_ones(void **state)
{
	(void)state;
	SAYS(EXIT_OK, "Things\n  task list [HOUSE]", "--help");
	assert_null(strstr(caught_text, "raw"));
	SAYS(EXIT_OK, "-n, --count N", "task", "list", "--help");
	assert_non_null(strstr(caught_text, "--json"));
	SAYS(EXIT_OK, "usage: uni-wizard need [options] A B", "need", "-h");
	assert_null(strstr(caught_text, "--config"));
	SAYS(EXIT_OK, "uni-wizard 4", "--version");
}

static void
columns_fit_what_is_in_them(void **state)
{
	static const char *const heads[] = { "A", "LONG", "LAST", NULL };
	struct table *t = table_new(heads);

	(void)state;
	table_cell(t, "wider");
	table_cell(t, "\033[31mred\033[0m");
	table_cell(t, "x");
	table_cell(t, "h\xc3\xa9");
	table_cell(t, "a\033]0;title\007b\nc");
	table_cell(t, "%d", 5);
	catch_output();
	table_print(t);
	assert_string_equal(caught(),
	    "A      LONG            LAST\n"
	    "wider  \033[31mred\033[0m             x\n"
	    "h\xc3\xa9     a ]0;title b c  5\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_name_wins),
		cmocka_unit_test(options_may_stand_anywhere_and_in_every_form),
		cmocka_unit_test(what_follows_two_dashes_is_no_option),
		cmocka_unit_test(wrong_usage_is_told_and_nothing_runs),
		cmocka_unit_test(help_shows_rows_and_hides_hidden_ones),
		cmocka_unit_test(columns_fit_what_is_in_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
