#include "http.h"
#include "tool.h"

static int
http_get_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct http_answer a = { 0 };
	struct http_request q;
	int rc = http_request_read(r, &q, e);

	if (rc == 0)
		rc = http_run(&q, &a, e);
	if (rc == 0)
		rc = http_answer_put(r, &q, &a, result, e);
	http_answer_release(&a);
	http_request_release(&q);
	return rc;
}

const struct tool tool_http_get = {
	.name = "http_get",
	.summary = "Gets a URL: status, headers and body, parsed if it is JSON",
	.schema = "{\"type\":\"object\",\"required\":[\"url\"],\"properties\":{" HTTP_SCHEMA "}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = http_get_run,
	.retry = &http_retry,
	.target = &http_target,
};
