/* The protocol without a cluster: calls are noted when they begin, and ended by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "json.h"
#include "mcp.h"

#define META "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{}" \
	",\"io.modelcontextprotocol/clientInfo\":{\"name\":\"modern\",\"version\":\"1\"}"

static struct registry *tools;
static struct mcp *m;
static struct buf out;
static int begun, stopped;

static void
on_line(void *arg, const char *line, size_t len)
{
	(void)arg;
	assert_int_equal(json_check(line, len, NULL), 0);
	assert_null(memchr(line, '\n', len));
	buf_add(&out, line, len);
	buf_addc(&out, '\n');
}

static void
on_begin(void *arg, struct mcp_call *c)
{
	(void)arg;
	(void)c;
	begun++;
}

static void
on_stop(void *arg, struct mcp_call *c)
{
	(void)arg;
	(void)c;
	stopped++;
}

static void
offer(const char *const *allow)
{
	mcp_free(m);
	m = mcp_new(&(struct mcp_opts){ .tools = tools, .allow = allow, .sovereign = "timmy", .on_line = on_line, .on_begin = on_begin,
	    .on_stop = on_stop });
}

static int
begin(void **state)
{
	(void)state;
	tools = registry_new(NULL, NULL, NULL);
	offer(NULL);
	begun = stopped = 0;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	mcp_free(m);
	m = NULL;
	registry_free(tools);
	buf_free(&out);
	return 0;
}

/* What a request is answered, as a tree; NULL: nothing. */
static cJSON *
ask(const char *text)
{
	cJSON *o;

	buf_clear(&out);
	mcp_feed(m, text, strlen(text));
	mcp_feed(m, "\n", 1);
	o = out.len ? cJSON_Parse(out.data) : NULL;
	return o;
}

/* The member at a path such as "result.tools.0.name". */
static const cJSON *
at(const cJSON *o, const char *path)
{
	char word[64];

	while (o && *path) {
		size_t n = strcspn(path, ".");

		snprintf(word, sizeof word, "%.*s", (int)n, path);
		o = cJSON_IsArray(o) ? cJSON_GetArrayItem(o, (int)strtol(word, NULL, 10)) : cJSON_GetObjectItemCaseSensitive(o, word);
		path += n + (path[n] == '.');
	}
	return o;
}

static const char *
text_at(const cJSON *o, const char *path)
{
	const char *text = cJSON_GetStringValue(at(o, path));

	return text ? text : "";
}

static void
check_text(cJSON *o, const char *path, const char *expected)
{
	if (strcmp(text_at(o, path), expected) != 0)
		fail_msg("%s is not \"%s\": %s", path, expected, buf_str(&out));
	cJSON_Delete(o);
}

static void
check_error(const char *request, int code)
{
	cJSON *o = ask(request);

	if (!o || (int)cJSON_GetNumberValue(at(o, "error.code")) != code)
		fail_msg("%s: %s", request, buf_str(&out));
	cJSON_Delete(o);
}

static void
initialize(const char *version)
{
	char text[300];

	snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"%s\","
	    "\"capabilities\":{},\"clientInfo\":{\"name\":\"old\",\"version\":\"1\"}}}", version);
	cJSON_Delete(ask(text));
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"));
}

static void
test_versions_are_negotiated(void **state)
{
	static const struct {
		const char *asked, *answered;
	} v[] = { { "2024-11-05", "2024-11-05" }, { "2025-03-26", "2025-03-26" }, { "2025-06-18", "2025-06-18" },
		{ "2025-11-25", "2025-11-25" }, { "2026-07-28", "2025-11-25" }, { "1999-01-01", "2025-11-25" }, { "", "2025-11-25" } };
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		offer(NULL);
		snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\","
		    "\"params\":{\"protocolVersion\":\"%s\"}}", v[i].asked);
		check_text(ask(text), "result.protocolVersion", v[i].answered);
		check_error(text, RPC_INVALID_REQUEST);
	}
	offer(NULL);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":7}}", RPC_INVALID_PARAMS);
}

static void
test_nothing_but_ping_before_initialize(void **state)
{
	(void)state;
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", RPC_INVALID_REQUEST);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no/such\"}", RPC_INVALID_REQUEST);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}", RPC_INVALID_REQUEST);
	cJSON_Delete(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"));
	assert_string_equal(buf_str(&out), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
	initialize("2025-11-25");
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no/such\"}", RPC_NO_METHOD);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\"}", RPC_NO_METHOD);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/list\"}", RPC_NO_METHOD);
	assert_int_equal(begun, 0);
}

static void
test_requests_may_say_their_version_instead(void **state)
{
	cJSON *o = ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\",\"params\":{" META "}}}");

	(void)state;
	assert_string_equal(text_at(o, "result.supportedVersions.0"), "2026-07-28");
	assert_string_equal(text_at(o, "result.resultType"), "complete");
	assert_true(cJSON_IsNumber(at(o, "result.ttlMs")));
	cJSON_Delete(o);
	o = ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" META "}}}");
	assert_true(cJSON_GetArraySize(at(o, "result.tools")) > 20);
	assert_string_equal(text_at(o, "result.resultType"), "complete");
	cJSON_Delete(o);
	o = ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
	    "\"io.modelcontextprotocol/protocolVersion\":\"2030-01-01\"}}}");
	assert_int_equal((int)cJSON_GetNumberValue(at(o, "error.code")), -32022);
	assert_string_equal(text_at(o, "error.data.supported.0"), "2026-07-28");
	assert_string_equal(text_at(o, "error.data.requested"), "2030-01-01");
	cJSON_Delete(o);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
	    "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":7}}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\"}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{" META "}}}", RPC_NO_METHOD);
}

static const cJSON *
find(const cJSON *list, const char *name)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (strcmp(json_text(v, "name"), name) == 0)
			return v;
	return NULL;
}

static void
test_tools_say_what_they_do(void **state)
{
	const cJSON *list, *read, *write, *push;
	cJSON *o;

	(void)state;
	initialize("2025-11-25");
	o = ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	list = at(o, "result.tools");
	read = find(list, "file_read");
	write = find(list, "file_write");
	push = find(list, "http_post");
	assert_true(json_is_true(at(read, "annotations"), "readOnlyHint") && !json_is_true(at(read, "annotations"), "destructiveHint"));
	assert_true(json_is_true(at(write, "annotations"), "destructiveHint") && json_is_true(at(write, "annotations"), "idempotentHint"));
	assert_false(json_is_true(at(push, "annotations"), "idempotentHint") || json_is_true(at(push, "annotations"), "readOnlyHint"));
	assert_string_equal(text_at(read, "inputSchema.type"), "object");
	assert_non_null(find(list, "task_show"));
	assert_null(find(list, "approve"));
	cJSON_Delete(o);
}

static void
test_older_versions_get_what_they_know(void **state)
{
	cJSON *o;

	(void)state;
	initialize("2024-11-05");
	o = ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	assert_null(at(o, "result.tools.0.annotations"));
	assert_null(at(o, "result.tools.0.outputSchema"));
	cJSON_Delete(o);
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}"));
	mcp_end(m, mcp_at(m, 0), "{\"a\":1}", 7, false);
	o = cJSON_Parse(buf_str(&out));
	assert_string_equal(text_at(o, "result.content.0.text"), "{\"a\":1}");
	assert_null(at(o, "result.structuredContent"));
	cJSON_Delete(o);
}

static void
tool_path(char path[128], const char *dir, int n)
{
	snprintf(path, 128, "%s/own%03d.json", dir, n);
}

static void
write_tool(const char *dir, int n)
{
	char path[128];
	FILE *f;

	tool_path(path, dir, n);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "{\"name\":\"own_%03d\",\n\"summary\":\"A test tool\",\"exec\":\"/bin/true\",\"effect\":\"read\",\n"
	    "\"parameters\":{\n\"type\":\"object\"}}", n);
	fclose(f);
}

static void
test_tools_come_in_pages(void **state)
{
	char dir[] = "/tmp/uw-mcp-XXXXXX", text[200], path[128];
	struct config c;
	struct err e;
	int n = 0, pages = 0;
	cJSON *o;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < 2 * MCP_PAGE; i++)
		write_tool(dir, i);
	snprintf(text, sizeof text, "houses: {ezra: {}}\ntools: {dirs: [\"%s\"]}\n", dir);
	assert_int_equal(config_parse(&c, "houses.yaml", text, strlen(text), NULL, NULL, &e), 0);
	registry_free(tools);
	tools = registry_new(&c, NULL, NULL);
	offer((const char *const[]){ "own_*", NULL });
	initialize("2025-11-25");
	snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	do {
		o = ask(text);
		n += cJSON_GetArraySize(at(o, "result.tools"));
		pages++;
		snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"%s\"}}",
		    text_at(o, "result.nextCursor"));
		if (!*text_at(o, "result.nextCursor"))
			text[0] = '\0';
		cJSON_Delete(o);
	} while (text[0]);
	assert_int_equal(n, 2 * MCP_PAGE + 4);
	assert_int_equal(pages, 3);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"nothing\"}}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":7}}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"noop\"}}", RPC_INVALID_PARAMS);
	for (int i = 0; i < 2 * MCP_PAGE; i++) {
		tool_path(path, dir, i);
		unlink(path);
	}
	rmdir(dir);
	config_release(&c);
}

static void
test_calls_are_checked_before_they_begin(void **state)
{
	(void)state;
	initialize("2025-11-25");
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":7}}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"nothing\"}}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\",\"arguments\":[]}}", RPC_INVALID_PARAMS);
	check_text(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"file_read\"}}"),
	    "result.structuredContent.error.field", "params.path");
	check_text(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
	    "\"params\":{\"name\":\"task_show\",\"arguments\":{\"id\":7}}}"),
	    "result.structuredContent.error.field", "arguments.id");
	check_text(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\","
	    "\"params\":{\"name\":\"task_list\",\"arguments\":{\"state\":\"royal\"}}}"),
	    "result.structuredContent.error.field", "arguments.state");
	offer((const char *const[]){ "file_*", NULL });
	initialize("2025-11-25");
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}", RPC_INVALID_PARAMS);
	assert_int_equal(begun, 0);
}

static void
test_a_call_ends_once(void **state)
{
	cJSON *o;

	(void)state;
	initialize("2025-11-25");
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}"));
	assert_int_equal(mcp_at(m, 0)->ask, MCP_RUN);
	assert_string_equal(mcp_at(m, 0)->client, "old");
	check_error("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}", RPC_INVALID_REQUEST);
	buf_clear(&out);
	mcp_end(m, mcp_at(m, 0), "{\"state\":\"failed\"}", 18, true);
	o = cJSON_Parse(buf_str(&out));
	assert_true(json_is_true(at(o, "result"), "isError"));
	assert_string_equal(text_at(o, "result.structuredContent.state"), "failed");
	assert_string_equal(text_at(o, "result.content.0.text"), "{\"state\":\"failed\"}");
	cJSON_Delete(o);
	assert_int_equal(mcp_count(m), 0);
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"a\"}}"));
	assert_int_equal(stopped, 0);
}

static void
test_a_cancelled_call_is_not_answered(void **state)
{
	(void)state;
	initialize("2025-11-25");
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}"));
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"7\"}}"));
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":null}}"));
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}"));
	assert_int_equal(stopped, 0);
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":7,\"reason\":\"\"}}"));
	assert_int_equal(stopped, 1);
	assert_int_equal(mcp_count(m), 0);
}

static void
test_calls_at_once_are_bounded(void **state)
{
	char text[120];

	(void)state;
	initialize("2025-03-26");
	for (int i = 0; i < MCP_CALLS_MAX; i++) {
		snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}", i);
		assert_null(ask(text));
	}
	check_error("{\"jsonrpc\":\"2.0\",\"id\":900,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}", -32000);
	cJSON_Delete(ask("[{\"jsonrpc\":\"2.0\",\"id\":901,\"method\":\"ping\"}]"));
	assert_string_equal(buf_str(&out), "[{\"jsonrpc\":\"2.0\",\"id\":901,\"result\":{}}]\n");
	mcp_end(m, mcp_at(m, 5), "{}", 2, false);
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"id\":902,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}"));
	assert_int_equal(mcp_count(m), MCP_CALLS_MAX);
}

static void
progress(int percent, const char *note, const char *expected)
{
	buf_clear(&out);
	mcp_progress(m, mcp_at(m, 0), percent, note);
	assert_string_equal(buf_str(&out), expected);
}

#define TOLD(rest) "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"t\"," rest "}}\n"

static void
test_progress_is_told_to_who_asked_and_only_grows(void **state)
{
	(void)state;
	initialize("2025-11-25");
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\"}}"));
	progress(7, "x", "");
	mcp_end(m, mcp_at(m, 0), "{}", 2, false);
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"noop\","
	    "\"_meta\":{\"progressToken\":\"t\"}}}"));
	progress(-1, NULL, TOLD("\"progress\":0.0009765625"));
	progress(50, "half", TOLD("\"progress\":50,\"total\":100,\"message\":\"half\""));
	progress(10, "again", TOLD("\"progress\":50.0009765625,\"total\":100,\"message\":\"again\""));
	progress(-1, "", TOLD("\"progress\":50.001953125"));
}

static void
test_resources_are_looked_for(void **state)
{
	(void)state;
	initialize("2025-06-18");
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"file:///etc/passwd\"}}", -32002);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"uni-wizard://task/x\"}}", -32002);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\"}", RPC_INVALID_PARAMS);
	check_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"x\"," META "}}}", RPC_INVALID_PARAMS);
	check_text(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/list\"}"), "result.resources.0.uri", "uni-wizard://tasks");
	check_text(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/templates/list\",\"params\":{" META "}}}"),
	    "result.resourceTemplates.0.uriTemplate", "uni-wizard://task/{id}");
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\","
	    "\"params\":{\"uri\":\"uni-wizard://task/01ARZ3NDEKTSV4RRFFQ69G5FAV\"}}"));
	assert_int_equal(mcp_at(m, 0)->ask, MCP_SHOW);
	assert_string_equal(json_text(mcp_at(m, 0)->args, "id"), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
	mcp_end(m, mcp_at(m, 0), "{\"a\":1}", 7, false);
	check_text(cJSON_Parse(buf_str(&out)), "result.contents.0.text", "{\"a\":1}");
	assert_null(ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":\"uni-wizard://approvals\"}}"));
	assert_string_equal(json_text(mcp_at(m, 0)->args, "state"), "waiting_approval");
	mcp_end(m, mcp_at(m, 0), "{\"error\":{\"code\":\"network\",\"message\":\"away\"}}", 45, true);
	check_text(cJSON_Parse(buf_str(&out)), "error.message", "away");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(test_versions_are_negotiated),
		T(test_nothing_but_ping_before_initialize),
		T(test_requests_may_say_their_version_instead),
		T(test_tools_say_what_they_do),
		T(test_older_versions_get_what_they_know),
		T(test_tools_come_in_pages),
		T(test_calls_are_checked_before_they_begin),
		T(test_a_call_ends_once),
		T(test_a_cancelled_call_is_not_answered),
		T(test_calls_at_once_are_bounded),
		T(test_progress_is_told_to_who_asked_and_only_grows),
		T(test_resources_are_looked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
