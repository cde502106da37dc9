#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What an own tool wrote: refused with a reason, or one JSON value on one line that fits inside an event. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf result = { 0 }, event = { 0 };
	struct err e = { 0 };

	if (manifest_result((const char *)data, size, size, 65536, &result, &e)) {
		if (e.code != ERR_TOOL || !e.msg[0] || result.len)
			abort();
		return 0;
	}
	json_put_open(&event, '{');
	json_kv_raw(&event, "result", result.data, result.len);
	json_put_close(&event, '}');
	if (result.len > size || memchr(result.data, '\n', result.len) ||
	    json_check(event.data, event.len, &e))
		abort();
	buf_free(&result);
	buf_free(&event);
	return 0;
}
