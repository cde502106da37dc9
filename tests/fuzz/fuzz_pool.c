/*
 * What a worker sends, to a pool that waits for a few answers: whatever it is, what comes out of it is whole.
 * The first byte says how many.
 */
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "pool_state.h"

static bool
is_whole(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void
on_end(void *arg, const struct pool_end *end)
{
	const struct err *e = &end->err;

	*(uint64_t *)arg += 1;
	if (end->handle != *(uint64_t *)arg || end->ran_us < 0)
		abort();
	if (end->how == POOL_SUCCEEDED &&
	    (json_check(end->result, end->result_len, NULL) || memchr(end->result, '\n', end->result_len)))
		abort();
	if (end->how == POOL_FAILED && (e->code == ERR_NONE || e->code >= ERR_NCODES || !is_whole(e->msg, sizeof e->msg) ||
	    !is_whole(e->field, sizeof e->field) || !is_whole(e->got, sizeof e->got)))
		abort();
}

static bool
is_text(const char *p, size_t len)
{
	for (int n; len; p += n, len -= (size_t)n)
		if (!*p || (n = json_utf8_len(p, len)) <= 0)
			return false;
	return true;
}

static void
on_log(void *arg, uint64_t handle, const char *text, size_t len)
{
	(void)arg;
	if (!handle || !len || !is_text(text, len))
		abort();
}

static void
on_progress(void *arg, uint64_t handle, int percent, const char *note, size_t len)
{
	(void)arg;
	if (!handle || percent < -1 || percent > 100 || !is_text(note, len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pool p;
	static struct worker w;
	static struct worker_page page;
	uint64_t last = 0;

	if (size < 1)
		return 0;
	p = (struct pool){ .o = { .arg = &last, .on_end = on_end, .on_log = on_log, .on_progress = on_progress, .max_output = 4096 },
		.max_frame = sizeof(struct frame) + FRAME_LOG_MAX };
	/* Killed already, so that a lie has no consequences. */
	w = (struct worker){ .pool = &p, .stage = KILLED, .l = { .pid = 1, .page = &page }, .head = 1,
		.tail = 1 + data[0] % POOL_QUICK_DEPTH };
	for (uint64_t i = w.head; i < w.tail; i++)
		*attempt_at(&w, i) = (struct attempt){ .handle = i, .stop_ms = i % 3 == 0 };
	if (worker_take(&p, &w, (const char *)data + 1, size - 1) > size - 1 || w.head > w.tail)
		abort();
	buf_free(&w.notes);
	return 0;
}
