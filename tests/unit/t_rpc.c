#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "rpc.h"

static struct rpc r;
static struct buf out, seen;            /* lines that were sent; what came through */
static struct rpc_call calls[8];
static int ncalls;
static bool answers;                    /* at once */

static void
on_request(void *arg, const struct rpc_call *c, const char *method, const cJSON *params)
{
	(void)arg;
	buf_addf(&seen, "%s %s%s;", c->id, method, params ? " with params" : "");
	if (answers)
		rpc_result(&r, c, "{}", 2);
	else
		calls[ncalls++] = *c;
}

static void
on_notification(void *arg, const char *method, const cJSON *params)
{
	(void)arg;
	(void)params;
	buf_addf(&seen, "%s;", method);
}

static void
on_line(void *arg, const char *line, size_t len)
{
	(void)arg;
	assert_null(memchr(line, '\n', len));
	assert_int_equal(json_check(line, len, NULL), 0);
	buf_add(&out, line, len);
	buf_addc(&out, '\n');
}

static int
begin(void **state)
{
	(void)state;
	r = (struct rpc){ .on_request = on_request, .on_notification = on_notification, .on_line = on_line };
	buf_clear(&out);
	buf_clear(&seen);
	ncalls = 0;
	answers = true;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	rpc_release(&r);
	buf_free(&out);
	buf_free(&seen);
	return 0;
}

static void
feed(const char *text)
{
	rpc_feed(&r, text, strlen(text));
}

/* What one line is answered; "" if it is not. */
static const char *
answer(const char *line)
{
	buf_clear(&out);
	feed(line);
	feed("\n");
	return buf_str(&out);
}

static void
refused(const char *line, const char *id, int code)
{
	cJSON *o = cJSON_Parse(answer(line));
	char *got = cJSON_PrintUnformatted(cJSON_GetObjectItem(o, "id"));

	if (!o || json_number(cJSON_GetObjectItem(o, "error"), "code", 0) != code || strcmp(got, id) != 0)
		fail_msg("%s: %s", line, buf_str(&out));
	cJSON_free(got);
	cJSON_Delete(o);
}

static void
test_ids_come_back_as_they_came(void **state)
{
	(void)state;
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"a\"}"), "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n");
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"method\":\"a\"}"), "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":{}}\n");
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":\"a\"}"), "{\"jsonrpc\":\"2.0\",\"id\":\"\",\"result\":{}}\n");
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"id\":-0.5,\"method\":\"a\"}"), "{\"jsonrpc\":\"2.0\",\"id\":-0.5,\"result\":{}}\n");
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"id\":\"\\\"\\u0001\",\"method\":\"a\"}"),
	    "{\"jsonrpc\":\"2.0\",\"id\":\"\\\"\\u0001\",\"result\":{}}\n");
}

static void
test_what_is_no_request_is_refused(void **state)
{
	char line[600], id[400];

	(void)state;
	refused("nonsense", "null", RPC_PARSE_ERROR);
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"", "null", RPC_PARSE_ERROR);
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"a\"}", "null", RPC_PARSE_ERROR);
	refused("\xff", "null", RPC_PARSE_ERROR);
	refused("7", "null", RPC_INVALID_REQUEST);
	refused("\"text\"", "null", RPC_INVALID_REQUEST);
	refused("{}", "null", RPC_INVALID_REQUEST);
	refused("{\"id\":1,\"method\":\"a\"}", "1", RPC_INVALID_REQUEST);
	refused("{\"jsonrpc\":2.0,\"id\":1,\"method\":\"a\"}", "1", RPC_INVALID_REQUEST);
	refused("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"a\"}", "1", RPC_INVALID_REQUEST);
	refused("{\"jsonrpc\":\"2.0\",\"id\":1}", "1", RPC_INVALID_REQUEST);
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", "1", RPC_INVALID_REQUEST);
	refused("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"a\"}", "null", RPC_INVALID_REQUEST);
	refused("{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"a\"}", "null", RPC_INVALID_REQUEST);
	refused("{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"a\"}", "null", RPC_INVALID_REQUEST);
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":[1]}", "1", RPC_INVALID_PARAMS);
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":null}", "1", RPC_INVALID_PARAMS);
	memset(id, 'x', 300);
	id[300] = '\0';
	snprintf(line, sizeof line, "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"a\"}", id);
	refused(line, "null", RPC_INVALID_REQUEST);
	assert_string_equal(buf_str(&seen), "");
}

static void
test_notifications_and_answers_are_not_answered(void **state)
{
	(void)state;
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"method\":\"n\"}"), "");
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"method\":\"n\",\"params\":[]}"), "");
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"), "");
	assert_string_equal(answer("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"\"}}"), "");
	assert_string_equal(answer(""), "");
	assert_string_equal(answer("  \r"), "");
	assert_string_equal(buf_str(&seen), "n;");
}

static void
test_lines_come_in_any_pieces(void **state)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}\r\n\n{\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n";

	(void)state;
	for (const char *p = text; *p; p++)
		rpc_feed(&r, p, 1);
	feed(text);
	rpc_feed(&r, "", 0);
	feed("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"half\"}");
	assert_string_equal(buf_str(&seen), "1 a;n;1 a;n;");
}

static void
test_a_line_that_is_too_long_is_passed_over(void **state)
{
	char *text = malloc(RPC_LINE_MAX + 1);

	(void)state;
	memset(text, ' ', RPC_LINE_MAX);
	rpc_feed(&r, text, RPC_LINE_MAX);       /* just fits */
	feed("\n");
	assert_string_equal(buf_str(&out), "");
	for (int i = 0; i < 3; i++)
		rpc_feed(&r, text, RPC_LINE_MAX);
	assert_true(r.in.cap <= 4 * RPC_LINE_MAX);
	feed("\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}\n");
	assert_non_null(strstr(buf_str(&out), "\"id\":null,\"error\":{\"code\":-32600,\"message\":\"message: a line of more than"));
	assert_string_equal(buf_str(&seen), "1 a;");
	free(text);
}

static void
test_a_batch_is_answered_as_one_when_all_are(void **state)
{
	(void)state;
	r.batches = true;
	answers = false;
	assert_string_equal(answer("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"},{\"jsonrpc\":\"2.0\",\"method\":\"n\"},7,"
	    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"b\"},{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"c\"}]"), "");
	rpc_result(&r, &calls[1], "{\"b\":1}", 7);
	rpc_drop(&r, &calls[2]);
	assert_string_equal(buf_str(&out), "");
	rpc_error(&r, &calls[0], RPC_INTERNAL, "[1]", "no %d", 7);
	assert_string_equal(buf_str(&out),
	    "[{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"message: expected an object, got 7\"}},"
	    "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"b\":1}},"
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":\"no 7\",\"data\":[1]}}]\n");
	assert_string_equal(answer("[{\"jsonrpc\":\"2.0\",\"method\":\"n\"}]"), "");
	refused("[]", "null", RPC_INVALID_REQUEST);
	r.batches = false;
	refused("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}]", "null", RPC_INVALID_REQUEST);
}

static void
test_answers_of_a_batch_are_bounded(void **state)
{
	size_t size = 20u << 20;
	char *big = malloc(size);

	(void)state;
	r.batches = true;
	answers = false;
	feed("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"},{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"a\"},"
	     "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"a\"},{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"a\"}]\n");
	memset(big, 'x', size);
	big[0] = big[size - 1] = '"';
	out.max = 100u << 20;
	for (int i = 0; i < 4; i++)
		rpc_result(&r, &calls[i], big, size);
	assert_true(out.len > 3 * size && out.len < 4 * size);
	assert_non_null(memmem(out.data + 3 * size, out.len - 3 * size, "\"id\":4,\"error\"", 14));
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
		T(test_ids_come_back_as_they_came),
		T(test_what_is_no_request_is_refused),
		T(test_notifications_and_answers_are_not_answered),
		T(test_lines_come_in_any_pieces),
		T(test_a_line_that_is_too_long_is_passed_over),
		T(test_a_batch_is_answered_as_one_when_all_are),
		T(test_answers_of_a_batch_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
