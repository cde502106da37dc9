#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mcp *m;
static int open_calls;

static void
on_line(void *arg, const char *line, size_t len)
{
	(void)arg;
	if (!len || memchr(line, '\n', len) || json_check(line, len, NULL))
		abort();
}

/* One is cancelled before there is anything, one ends at once, the others wait. */
static void
on_begin(void *arg, struct mcp_call *c)
{
	static const char result[] = "{\"state\":\"succeeded\"}";

	(void)arg;
	open_calls++;
	mcp_progress(m, c, 7, "begun");
	if (open_calls % 3)
		return;
	open_calls--;
	mcp_end(m, c, result, sizeof result - 1, c->ask == MCP_CANCEL);
}

static void
on_stop(void *arg, struct mcp_call *c)
{
	(void)arg;
	(void)c;
	open_calls--;
}

/* What a client sends, in pieces of a size that the first byte says: each line that is sent is JSON, and calls are neither lost nor
 * counted twice. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct registry *tools;
	size_t piece;

	if (!tools)
		tools = registry_new(NULL, NULL, NULL);
	if (!size)
		return 0;
	piece = data[0] ? data[0] : size;
	open_calls = 0;
	m = mcp_new(&(struct mcp_opts){ .tools = tools, .sovereign = "timmy", .on_line = on_line, .on_begin = on_begin, .on_stop = on_stop });
	for (size_t at = 1; at < size; at += piece)
		mcp_feed(m, (const char *)data + at, size - at < piece ? size - at : piece);
	if (mcp_count(m) != (size_t)open_calls || mcp_count(m) > MCP_CALLS_MAX)
		abort();
	while (mcp_count(m))
		mcp_end(m, mcp_at(m, mcp_count(m) - 1), "{}", 2, false);
	mcp_free(m);
	return 0;
}
