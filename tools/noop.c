#include "tool.h"

static int
noop_run(struct tool_run *r, struct buf *result, struct err *e)
{
	const cJSON *payload = cJSON_GetObjectItemCaseSensitive(r->params, "payload");
	size_t before = result->len;

	json_put_open(result, '{');
	if (payload) {
		json_put_key(result, "payload");
		json_put_tree(result, payload);
	}
	json_put_close(result, '}');
	if (result->len - before > r->max_output)
		return err_set(e, ERR_TOO_BIG, "the result would have %zu bytes, the limit is %zu",
		    result->len - before, r->max_output);
	return 0;
}

const struct tool tool_noop = {
	.name = "noop",
	.summary = "Does nothing and gives its payload back: for tests and benchmarks",
	.schema = "{\"type\":\"object\",\"properties\":{"
	    "\"payload\":{\"description\":\"Any JSON value; comes back unchanged in the result.\"}}}",
	.effect = TOOL_READ,
	.flags = TOOL_QUICK,
	.timeout_s = 10,
	.run = noop_run,
};
