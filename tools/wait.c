#include "tool.h"

#include <errno.h>
#include <time.h>

#include "clock.h"

#define STEP_MS 50

static void
pause_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* In steps, against the clock that counts sleep: a machine that was suspended does not wait again. */
static int
wait_run(struct tool_run *r, struct buf *result, struct err *e)
{
	int64_t began_ms = clock_mono_ms(), now_ms = began_ms, ms = 0;

	json_int(cJSON_GetObjectItemCaseSensitive(r->params, "ms"), &ms);
	for (; now_ms < began_ms + ms; now_ms = clock_mono_ms()) {
		int64_t left_ms = began_ms + ms - now_ms;

		if (r->deadline_ms && now_ms >= r->deadline_ms)
			return err_set(e, ERR_TIMEOUT, "stopped after %lld of %lld ms",
			    (long long)(now_ms - began_ms), (long long)ms);
		tool_progress(r, (int)((now_ms - began_ms) * 100 / ms), "waiting");
		pause_ms(left_ms < STEP_MS ? left_ms : STEP_MS);
	}
	json_put_open(result, '{');
	json_kv_int(result, "waited_ms", now_ms - began_ms);
	json_put_close(result, '}');
	return 0;
}

const struct tool tool_wait = {
	.name = "wait",
	.summary = "Waits: for drills and tests of timeouts, cancelling and load",
	.schema = "{\"type\":\"object\",\"properties\":{"
	    "\"ms\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":3600000,\"default\":1000,"
	    "\"description\":\"How long, in milliseconds.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 3660,
	.run = wait_run,
};
