/* What a tool writes, on its way out of the worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "config.h"
#include "json.h"
#include "live.h"

static char name[] = "TOKEN", value[] = "s3cr3t-value";
static struct config c;
static struct live l;
static struct buf got;

static int
setup(void **state)
{
	(void)state;
	c.secrets[0] = (struct config_secret){ .name = name, .value = value };
	c.nsecrets = 1;
	live_begin(&l, &c, 1000);
	buf_clear(&got);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	live_release(&l);
	buf_free(&got);
	return 0;
}

static void
add(const char *text)
{
	live_add(&l, text, strlen(text));
}

/* All that may go at that time. */
static void
take(int64_t now_ms, bool last)
{
	const char *text;
	size_t n;

	while ((n = live_peek(&l, now_ms, last, &text)) > 0) {
		assert_true(n <= LIVE_PIECE);
		buf_add(&got, text, n);
		live_drop(&l, n);
	}
}

static void
text_passes_and_secrets_do_not(void **state)
{
	(void)state;
	add("one\ntwo s3cr");
	take(1000, false);
	assert_string_equal(buf_str(&got), "one\ntwo ");
	add("3t-value three");
	take(1000, false);
	assert_string_equal(got.data, "one\ntwo [secret TOKEN] three");
	add(" s3c");
	live_end(&l);
	take(1000, true);
	assert_string_equal(got.data, "one\ntwo [secret TOKEN] three s3c");
}

static void
what_is_no_character_becomes_one(void **state)
{
	(void)state;
	live_add(&l, "a\0b\xff\xc3", 5);
	take(1000, false);
	assert_string_equal(buf_str(&got), "a\xef\xbf\xbd" "b\xef\xbf\xbd");
	/* The rest of it comes. */
	add("\xa4 \xe2\x82");
	take(1000, false);
	assert_string_equal(got.data, "a\xef\xbf\xbd" "b\xef\xbf\xbd\xc3\xa4 ");
	live_end(&l);
	take(1000, true);
	assert_string_equal(got.data, "a\xef\xbf\xbd" "b\xef\xbf\xbd\xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd");
}

static void
a_flood_is_thinned_and_its_end_is_kept(void **state)
{
	struct buf line = { 0 };
	size_t sent = 0;
	char *gap;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		buf_clear(&line);
		buf_addf(&line, "line %d \xc3\xa4\n", i);
		add(line.data);
		sent += line.len;
		take(1000 + i / 1000, false);
	}
	assert_true(got.len >= LIVE_BURST - LIVE_PIECE && got.len <= LIVE_BURST + LIVE_RATE);
	live_end(&l);
	take(1200, true);
	assert_true(got.len < LIVE_BURST + LIVE_RATE + 2 * LIVE_KEEP);
	assert_string_equal(got.data + got.len - line.len, line.data);
	assert_int_equal(json_check("0", 1, NULL), 0);
	for (size_t at = 0; at < got.len;) {
		int n = json_utf8_len(got.data + at, got.len - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
	gap = strstr(got.data, " bytes of output left out]\n");
	assert_non_null(gap);
	buf_free(&line);
	assert_true(sent > 2 * got.len);
}

static void
what_had_to_wait_goes_when_its_time_has_come(void **state)
{
	char block[4096];
	size_t before;

	(void)state;
	memset(block, 'x', sizeof block);
	for (int i = 0; i < 140; i++) {
		live_add(&l, block, sizeof block);
		take(1000, false);
	}
	before = got.len;
	assert_true(before <= LIVE_BURST);
	take(1010, false);
	assert_int_equal(got.len, before);
	take(1500, false);
	assert_int_equal(got.len, 140 * sizeof block);
}

static void
progress_is_told_now_and_then(void **state)
{
	(void)state;
	live_progress(&l, 10, "early");
	assert_false(live_has_news(&l, 1000));
	assert_true(live_has_news(&l, 1000 + LIVE_QUIET_MS));
	assert_string_equal(l.note, "early");
	assert_false(live_has_news(&l, 5000));
	live_progress(&l, 20, NULL);
	live_progress(&l, 130, "more s3cr3t-value\n\x1b[31m");
	assert_true(live_has_news(&l, 5000));
	assert_int_equal(l.percent, 100);
	assert_string_equal(l.note, "more [secret TOKEN]  [31m");
	live_progress(&l, -5, NULL);
	assert_false(live_has_news(&l, 5000 + LIVE_TELL_MS - 1));
	assert_true(live_has_news(&l, 5000 + LIVE_TELL_MS));
	assert_int_equal(l.percent, -1);
	assert_string_equal(l.note, "");
}

static void
a_long_note_is_cut_at_a_character(void **state)
{
	char text[2 * LIVE_NOTE + 2] = "x";

	(void)state;
	for (size_t i = 0; i < LIVE_NOTE; i++)
		memcpy(text + 1 + 2 * (i % LIVE_NOTE), "\xc3\xa4", 2);
	text[sizeof text - 1] = '\0';
	live_progress(&l, 1, text);
	assert_int_equal(strlen(l.note), LIVE_NOTE - 1);
}

/* ---- lines ---- */

static void
on_text(void *arg, const char *text, size_t len)
{
	(void)arg;
	buf_add(&got, text, len);
}

static void
on_progress(void *arg, int percent, const char *note)
{
	(void)arg;
	buf_addf(&got, "<%d %s>", percent, note);
}

static void
lines(const char *in, const char *out)
{
	/* However it is cut into pieces. */
	for (size_t step = 1; step < 12; step++) {
		struct live_lines x = { .word = "@at", .text = on_text, .progress = on_progress };

		buf_clear(&got);
		for (size_t i = 0; i < strlen(in); i += step)
			live_lines_add(&x, in + i, strlen(in) - i < step ? strlen(in) - i : step);
		live_lines_end(&x);
		assert_string_equal(buf_str(&got), out);
	}
}

static void
lines_of_progress_are_taken_out(void **state)
{
	(void)state;
	lines("a\n@at 40 copying\nb\n", "a\n<40 copying>b\n");
	lines("@at 40\n@at 12.7%\r@at 100 % done\n", "<40 ><12 ><100 done>");
	lines("@at: looking around\n@at\n", "<-1 looking around><-1 >");
	lines("@at 140 x\n@at nan\n@at 3rd\n", "<-1 140 x><-1 nan><-1 3rd>");
	lines("not @at 40\n @at 40\n@a", "not @at 40\n @at 40\n@a");
	lines("@at 40 the end", "<40 the end>");
	lines("\n\n@@at 1\n@att 5\n", "\n\n@@at 1\n<-1 t 5>");
}

static void
on_piece(void *arg, const char *text, size_t len)
{
	(void)arg;
	buf_addf(&got, "[%.*s]", (int)len, text);
}

static void
a_line_goes_in_one_piece(void **state)
{
	struct live_lines x = { .word = "@at", .text = on_piece, .progress = on_progress };

	(void)state;
	buf_clear(&got);
	live_lines_add(&x, "one\n@attack\n@b", 15);
	live_lines_add(&x, "c", 1);
	live_lines_add(&x, "d\n", 2);
	live_lines_end(&x);
	assert_string_equal(buf_str(&got), "[one\n]<-1 tack>[@b][c][d\n]");
}

static void
a_line_of_progress_has_a_bound(void **state)
{
	struct live_lines x = { .word = "@at", .text = on_text, .progress = on_progress };

	(void)state;
	live_lines_add(&x, "@at 5 ", 6);
	for (int i = 0; i < 10000; i++)
		live_lines_add(&x, "0123456789", 10);
	assert_true(x.line.len < 1024);
	live_lines_add(&x, "\nnext\n", 6);
	live_lines_end(&x);
	assert_true(got.len < 1024);
	assert_memory_equal(got.data, "<5 0123", 7);
	assert_string_equal(got.data + got.len - 5, "next\n");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(text_passes_and_secrets_do_not),
		T(what_is_no_character_becomes_one),
		T(a_flood_is_thinned_and_its_end_is_kept),
		T(what_had_to_wait_goes_when_its_time_has_come),
		T(progress_is_told_now_and_then),
		T(a_long_note_is_cut_at_a_character),
		T(lines_of_progress_are_taken_out),
		T(a_line_goes_in_one_piece),
		T(a_line_of_progress_has_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
