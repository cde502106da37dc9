/*
 * The reader of event streams, in whatever pieces they come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sse.h"

static struct buf got;

static void
on_event(void *arg, const char *event, const char *data, size_t len)
{
	(void)arg;
	buf_addf(&got, "[%s|%.*s]", event, (int)len, data);
}

static const char *
feed(const char *text, size_t piece)
{
	struct sse s = { .on_event = on_event };
	size_t len = strlen(text);

	buf_clear(&got);
	for (size_t at = 0; at < len; at += piece)
		sse_add(&s, text + at, at + piece < len ? piece : len - at);
	sse_release(&s);
	return buf_str(&got);
}

static void
events_are_the_same_in_any_pieces(void **state)
{
	static const char text[] = ": keepalive\n\ndata: one\n\nevent: named\ndata: two\ndata:three\n\r\ndata: four\r\n\r\ndata: five\r\rdata: cut";

	(void)state;
	for (size_t piece = 1; piece < sizeof text; piece++)
		assert_string_equal(feed(text, piece), "[|one][named|two\nthree][|four][|five]");
}

static void
what_is_no_event_is_none(void **state)
{
	(void)state;
	assert_string_equal(feed("event: x\n\n", 100), "");
	assert_string_equal(feed("id: 1\nretry: 2\nnonsense\n\n", 100), "");
	assert_string_equal(feed("data\n\n", 100), "[|]");
	assert_string_equal(feed("event: x\n\ndata: y\n\n", 100), "[|y]");
}

static void
an_event_that_is_too_large_is_left_out_and_counted(void **state)
{
	struct sse s = { .on_event = on_event };
	char piece[4096];

	(void)state;
	buf_clear(&got);
	memset(piece, 'x', sizeof piece);
	sse_add(&s, "data: ", 6);
	for (size_t n = 0; n < SSE_EVENT_MAX + sizeof piece; n += sizeof piece)
		sse_add(&s, piece, sizeof piece);
	sse_add(&s, "\n\ndata: small\n\n", 15);
	assert_string_equal(buf_str(&got), "[|small]");
	for (int i = 0; i < 300; i++) {
		sse_add(&s, "data: ", 6);
		sse_add(&s, piece, sizeof piece);
		sse_add(&s, "\n", 1);
	}
	sse_add(&s, "\ndata: again\n\n", 14);
	assert_string_equal(buf_str(&got), "[|small][|again]");
	assert_int_equal(s.left_out, 2);
	sse_release(&s);
	buf_free(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_the_same_in_any_pieces),
		cmocka_unit_test(what_is_no_event_is_none),
		cmocka_unit_test(an_event_that_is_too_large_is_left_out_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
