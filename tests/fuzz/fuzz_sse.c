/* A stream of events, whole and in two pieces: the same events come out. */
#include <stddef.h>
#include <stdint.h>

#include "sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_event(void *arg, const char *event, const char *text, size_t len)
{
	struct buf *b = arg;

	if (text[len] || strlen(event) > 63)
		abort();
	buf_addf(b, "%s|%zu|", event, len);
	buf_add(b, text, len);
}

static void
read_in(struct buf *b, const char *p, size_t len, size_t first)
{
	struct sse s = { .on_event = on_event, .arg = b };

	sse_add(&s, p, first);
	sse_add(&s, p + first, len - first);
	sse_release(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, pieces = { 0 };

	read_in(&whole, (const char *)data, size, size);
	read_in(&pieces, (const char *)data, size, size ? data[0] % size : 0);
	if (whole.len != pieces.len || (whole.len && memcmp(whole.data, pieces.data, whole.len) != 0))
		abort();
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
