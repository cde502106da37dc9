/*
 * The library as a program uses it: with real worker processes (this program again), and with an agent
 * that is played by a child and can be told to drop connections.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "json.h"
#include "uni_wizard.h"
#include "worker.h"

static char dir[] = "/tmp/t_harness.XXXXXX";
static char config[128], program[4096];

static struct uw_options
options(enum uw_where where)
{
	struct uw_options o;

	uw_options_init(&o);
	o.where = where;
	o.config = config;
	o.program = program;
	return o;
}

static struct uw_harness *
opened(enum uw_mode mode, const struct uw_options *o)
{
	struct uw_harness *h;
	struct uw_error e;

	if (uw_harness_open_with("ezra", mode, o, &h, &e))
		fail_msg("%s", e.message);
	return h;
}

static void
a_tool_runs_here_without_any_agent(void **state)
{
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h = opened(UW_SIMPLE, &o);
	struct uw_result *r;
	struct uw_error e;

	(void)state;
	assert_string_equal(uw_harness_where(h), "here");
	assert_int_equal(uw_execute(h, "noop", "{\"payload\":[1,\"x\"]}", &r, &e), 0);
	assert_int_equal(uw_result_state(r), UW_SUCCEEDED);
	assert_string_equal(uw_result_json(r), "{\"payload\":[1,\"x\"]}");
	assert_null(uw_result_error(r));
	assert_int_equal(strlen(uw_result_id(r)), 26);
	uw_result_free(r);
	assert_int_equal(uw_execute(h, "noop", NULL, NULL, NULL), 0);
	assert_int_equal(uw_execute(h, "wait", "{\"ms\":5}", &r, NULL), 0);
	assert_true(uw_result_run_us(r) >= 5000);
	uw_harness_close(h);
	assert_string_equal(uw_result_state_name(r), "succeeded");
	uw_result_free(r);
}

static void
bad_input_is_named_before_anything_runs(void **state)
{
	static const struct { const char *tool, *params, *code, *field; } bad[] = {
		{ "nosuch", NULL, "unknown_tool", "tool" },
		{ "noop", "{", "parse", "" },
		{ "noop", "[]", "parse", "" },
		{ "noop", "{\"a\":1,\"a\":2}", "parse", "a" },
		{ "wait", "{\"ms\":\"x\"}", "invalid", "params.ms" },
		{ "wait", "{\"msec\":1}", "invalid", "params.msec" },
		{ NULL, NULL, "missing", "tool" },
	};
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h = opened(UW_SIMPLE, &o);
	struct uw_result *r;
	struct uw_error e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(uw_execute(h, bad[i].tool, bad[i].params, &r, &e), -1);
		assert_null(r);
		assert_string_equal(e.code, bad[i].code);
		assert_string_equal(e.field, bad[i].field);
		assert_true(e.message[0]);
	}
	assert_int_equal(uw_execute(h, "noop", NULL, NULL, &e), 0);
	uw_harness_close(h);
}

static void
opening_checks_what_it_is_given(void **state)
{
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h;
	struct uw_error e;

	(void)state;
	assert_int_equal(uw_harness_open_with("nobody", UW_SIMPLE, &o, &h, &e), -1);
	assert_string_equal(e.code, "unknown_house");
	assert_null(h);
	assert_int_equal(uw_harness_open_with(NULL, UW_SIMPLE, &o, &h, &e), -1);
	assert_int_equal(uw_harness_open_with("ezra", UW_SOVEREIGN, &o, &h, &e), -1);
	assert_string_equal(e.code, "denied");
	assert_int_equal(uw_harness_open_with("ezra", (enum uw_mode)9, &o, &h, &e), -1);
	assert_string_equal(e.field, "mode");
	assert_int_equal(uw_harness_open_with("_", UW_SIMPLE, &o, &h, &e), -1);
	o.workers = 0;
	assert_int_equal(uw_harness_open_with("ezra", UW_SIMPLE, &o, &h, &e), -1);
	assert_string_equal(e.field, "options.workers");
	o = options(UW_HERE);
	o.size = 1;
	assert_int_equal(uw_harness_open_with("ezra", UW_SIMPLE, &o, &h, &e), -1);
	o = options(UW_HERE);
	o.config = "/nonexistent/houses.yaml";
	assert_int_equal(uw_harness_open_with("ezra", UW_SIMPLE, &o, &h, &e), -1);
	assert_non_null(strstr(e.message, "/nonexistent/houses.yaml"));
	o = options(UW_HERE);
	o.program = "/nonexistent/uni-wizard";
	assert_int_equal(uw_harness_open_with("ezra", UW_SIMPLE, &o, &h, NULL), -1);
	o = options(UW_AGENT);
	assert_int_equal(uw_harness_open_with("ezra", UW_SIMPLE, &o, &h, &e), -1);
	assert_string_equal(e.code, "network");
	o = options(UW_ANYWHERE);
	assert_int_equal(uw_harness_open_with("ezra", UW_SOVEREIGN, &o, &h, &e), -1);
	assert_string_equal(e.code, "network");
	h = opened(UW_INTELLIGENT, &o);
	assert_string_equal(uw_harness_where(h), "here");
	uw_harness_close(h);
	uw_harness_close(NULL);
	uw_result_free(NULL);
}

static void
a_program_that_is_no_worker_fails_the_call(void **state)
{
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h;
	struct uw_error e;

	(void)state;
	o.program = "/bin/false";
	h = opened(UW_SIMPLE, &o);
	assert_int_equal(uw_execute(h, "noop", NULL, NULL, &e), -1);
	assert_string_equal(e.code, "crash");
	uw_harness_close(h);
}

static void
a_tool_can_be_given_less_time(void **state)
{
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h;
	struct uw_result *r;
	struct uw_error e;

	(void)state;
	o.timeout_s = 1;
	h = opened(UW_SIMPLE, &o);
	assert_int_equal(uw_execute(h, "wait", "{\"ms\":60000}", &r, &e), -1);
	assert_string_equal(e.code, "timeout");
	assert_int_equal(uw_result_state(r), UW_FAILED);
	uw_result_free(r);
	uw_harness_close(h);
	o.timeout_s = 0;
	o.wait_ms = 50;
	h = opened(UW_SIMPLE, &o);
	assert_int_equal(uw_execute(h, "wait", "{\"ms\":60000}", &r, &e), -1);
	assert_int_equal(uw_result_state(r), UW_CANCELLED);
	assert_string_equal(e.code, "timeout");
	uw_result_free(r);
	uw_harness_close(h);
}

struct tally {
	int ended[UW_NO_ANSWER + 1];
	int64_t last;
	struct uw_harness *again;       /* start as many again from the callback */
	int left;
};

static void
count(void *arg, const struct uw_result *r)
{
	struct tally *t = arg;
	struct uw_error e;

	t->ended[uw_result_state(r)]++;
	t->last = uw_result_call(r);
	if (t->again) {
		assert_int_equal(uw_execute(t->again, "noop", NULL, NULL, &e), -1);
		assert_string_equal(e.code, "state");
		if (t->left-- > 0)
			assert_true(uw_execute_async(t->again, "noop", NULL, count, t, NULL) > 0);
	}
}

static void
many_calls_fit_into_a_loop_of_ones_own(void **state)
{
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h = opened(UW_SIMPLE, &o);
	struct tally t = { .again = h, .left = 500 };
	int waits = 0;

	(void)state;
	for (int i = 0; i < 500; i++)
		assert_int_equal(uw_execute_async(h, "noop", NULL, count, &t, NULL), i + 1);
	assert_int_equal(uw_harness_pending(h), 500);
	while (uw_harness_pending(h)) {
		struct pollfd p = { .fd = uw_harness_fd(h), .events = POLLIN };

		assert_true(poll(&p, 1, uw_harness_timeout(h)) >= 0);
		uw_harness_run(h, 0);
		assert_true(++waits < 100000);
	}
	assert_int_equal(t.ended[UW_SUCCEEDED], 1000);
	assert_int_equal(uw_harness_run(h, -1), 0);
	uw_harness_close(h);
}

static void
slow_calls_queue_for_the_worker_and_can_be_cancelled(void **state)
{
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h = opened(UW_SIMPLE, &o);
	struct tally t = { 0 };
	int64_t first, last;

	(void)state;
	first = uw_execute_async(h, "wait", "{\"ms\":60000}", count, &t, NULL);
	for (int i = 0; i < 5; i++)
		uw_execute_async(h, "wait", "{\"ms\":1}", count, &t, NULL);
	last = uw_execute_async(h, "wait", "{\"ms\":60000}", count, &t, NULL);
	uw_harness_run(h, 20);
	assert_int_equal(uw_cancel(h, last), 0);
	assert_int_equal(t.ended[UW_CANCELLED], 0);
	assert_int_equal(uw_harness_timeout(h), 0);
	assert_int_equal(uw_harness_run(h, 0), 1);
	assert_int_equal(t.last, last);
	assert_int_equal(uw_cancel(h, first), 0);
	assert_int_equal(uw_cancel(h, 999), -1);
	while (uw_harness_pending(h))
		uw_harness_run(h, -1);
	assert_int_equal(t.ended[UW_CANCELLED], 2);
	assert_int_equal(t.ended[UW_SUCCEEDED], 5);
	uw_execute_async(h, "wait", "{\"ms\":60000}", count, &t, NULL);
	uw_harness_run(h, 20);
	uw_harness_close(h);
	assert_int_equal(t.ended[UW_CANCELLED], 2);
}

static void
there_is_a_limit_to_calls_under_way(void **state)
{
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h = opened(UW_SIMPLE, &o);
	struct tally t = { 0 };
	struct uw_error e;
	int n = 0;

	(void)state;
	while (n <= 20000 && uw_execute_async(h, "noop", NULL, count, &t, &e) > 0)
		n++;
	assert_int_equal(uw_harness_pending(h), 10000);
	assert_string_equal(e.code, "busy");
	uw_harness_close(h);
}

static void
every_code_has_a_text(void **state)
{
	(void)state;
	assert_string_equal(uw_strerror("timeout"), "took longer than allowed");
	assert_string_equal(uw_strerror("nonsense"), "unknown error");
	assert_string_equal(uw_strerror(NULL), "unknown error");
	assert_string_equal(uw_version(), UW_VERSION);
}

/* An agent, played by a child. It answers by the tool's name, and closes every connection after `lines`
 * requests. */

static void
reply(int fd, const char *id, const char *fmt)
{
	char line[512];
	int n = snprintf(line, sizeof line, fmt, id, id);

	send(fd, line, (size_t)n, MSG_NOSIGNAL);
}

/* Tools with a name of two words: what came is the result. */
static void
echo(int fd, const char *id, const cJSON *task)
{
	struct buf b = { 0 };

	buf_addf(&b, "{\"type\":\"accepted\",\"id\":\"%s\"}\n{\"type\":\"outcome\",\"id\":\"%s\",\"state\":\"succeeded\",\"run_ms\":1,"
	    "\"result\":{\"%s\":", id, id, json_text(task, "tool"));
	json_put_tree(&b, cJSON_GetObjectItemCaseSensitive(task, "params"));
	buf_adds(&b, "}}\n");
	send(fd, buf_str(&b), b.len, MSG_NOSIGNAL);
	buf_free(&b);
}

static void
play(int fd, const cJSON *req)
{
	const cJSON *task = cJSON_GetObjectItemCaseSensitive(req, "task");
	const char *tool = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(task, "tool"));
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tool ? task : req, "id"));

	if (!tool)
		reply(fd, id, "{\"type\":\"cancel\",\"id\":\"%s\",\"state\":\"cancelled\"}\n"
		    "{\"type\":\"outcome\",\"id\":\"%s\",\"state\":\"cancelled\",\"error\":{\"code\":\"denied\","
		    "\"message\":\"cancelled by local\"}}\n");
	else if (strcmp(tool, "good") == 0)
		reply(fd, id, "{\"type\":\"accepted\",\"id\":\"%s\"}\n{\"type\":\"outcome\",\"id\":\"%s\",\"state\":"
		    "\"succeeded\",\"run_ms\":1.5,\"result\":{\"ok\":true}}\n");
	else if (strcmp(tool, "bad") == 0)
		reply(fd, id, "{\"type\":\"accepted\",\"id\":\"%s\"}\n{\"type\":\"outcome\",\"id\":\"%s\",\"state\":"
		    "\"dead\",\"error\":{\"code\":\"crash\",\"message\":\"three times\"}}\n");
	else if (strcmp(tool, "refused") == 0)
		reply(fd, id, "not json\n\n{\"type\":\"what\"}\n{\"type\":\"rejected\",\"id\":\"%s\",\"error\":{\"code\":"
		    "\"invalid\",\"field\":\"params.x\",\"expected\":\"an x\",\"got\":\"a y\",\"message\":\"%s\"}}\n");
	else if (strchr(tool, '_'))
		echo(fd, id, task);
	else if (strcmp(tool, "anonymous") == 0)
		reply(fd, id, "{\"type\":\"error\",\"error\":{\"code\":\"parse\",\"message\":\"eh?\"}}\n");
	else
		reply(fd, id, "{\"type\":\"accepted\",\"id\":\"%s\"}\n");
}

static void
serve(int fd, int lines)
{
	FILE *in = fdopen(fd, "r");
	char line[4096];

	while (lines-- && fgets(line, sizeof line, in)) {
		cJSON *req = cJSON_Parse(line);

		play(fd, req);
		cJSON_Delete(req);
	}
	fclose(in);
}

static pid_t
agent_start(const char *name, int lines)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t pid;

	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/run/%s.sock", dir, name);
	unlink(sa.sun_path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa) || listen(fd, 8))
		fail_msg("%s: %s", sa.sun_path, strerror(errno));
	pid = fork();
	if (pid == 0) {
		alarm(60);
		for (int conn; (conn = accept(fd, NULL, NULL)) >= 0;)
			serve(conn, lines);
		_exit(0);
	}
	close(fd);
	return pid;
}

static void
agent_stop(const char *name, pid_t pid)
{
	char path[256];

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof path, "%s/run/%s.sock", dir, name);
	unlink(path);
}

static void
an_agent_takes_the_task_and_tells_the_outcome(void **state)
{
	struct uw_options o = options(UW_ANYWHERE);
	pid_t agent = agent_start("ezra-1", -1);
	struct uw_harness *h = opened(UW_INTELLIGENT, &o);
	struct uw_result *r;
	struct uw_error e;

	(void)state;
	assert_string_equal(uw_harness_where(h), "agent");
	assert_int_equal(uw_execute(h, "good", "{}", &r, &e), 0);
	assert_string_equal(uw_result_json(r), "{\"ok\":true}");
	assert_int_equal(uw_result_run_us(r), 1500);
	uw_result_free(r);
	assert_int_equal(uw_execute(h, "bad", "{}", &r, &e), -1);
	assert_int_equal(uw_result_state(r), UW_DEAD);
	assert_string_equal(e.code, "crash");
	assert_string_equal(e.message, "three times");
	uw_result_free(r);
	assert_int_equal(uw_execute(h, "refused", "{}", &r, &e), -1);
	assert_int_equal(uw_result_state(r), UW_REJECTED);
	assert_string_equal(e.field, "params.x");
	uw_result_free(r);
	assert_int_equal(uw_execute(h, "anonymous", "{}", &r, &e), -1);
	assert_int_equal(uw_result_state(r), UW_REJECTED);
	assert_string_equal(e.message, "eh?");
	uw_result_free(r);
	uw_harness_close(h);
	agent_stop("ezra-1", agent);
}

static void
an_agent_of_another_house_will_do(void **state)
{
	struct uw_options o = options(UW_AGENT);
	pid_t agent = agent_start("timmy-1", -1);
	struct uw_harness *h = opened(UW_SOVEREIGN, &o);

	(void)state;
	assert_int_equal(uw_execute(h, "good", NULL, NULL, NULL), 0);
	uw_harness_close(h);
	agent_stop("timmy-1", agent);
}

static void
waiting_for_an_agent_ends_and_a_task_there_can_be_cancelled(void **state)
{
	struct uw_options o = options(UW_AGENT);
	pid_t agent = agent_start("ezra-1", -1);
	struct uw_harness *h;
	struct tally t = { 0 };
	struct uw_result *r;
	struct uw_error e;

	(void)state;
	o.wait_ms = 50;
	h = opened(UW_SIMPLE, &o);
	assert_int_equal(uw_execute(h, "never", NULL, &r, &e), -1);
	assert_int_equal(uw_result_state(r), UW_NO_ANSWER);
	assert_non_null(strstr(e.message, "goes on at the agent"));
	assert_non_null(strstr(e.message, uw_result_id(r)));
	uw_result_free(r);
	uw_harness_close(h);
	o.wait_ms = -1;
	h = opened(UW_SIMPLE, &o);
	uw_cancel(h, uw_execute_async(h, "never", NULL, count, &t, NULL));
	assert_int_equal(uw_harness_run(h, 5000), 1);
	assert_int_equal(t.ended[UW_CANCELLED], 1);
	uw_harness_close(h);
	agent_stop("ezra-1", agent);
}

/* Each connection serves two requests and breaks; everything that is open is given again. */
static void
a_connection_that_breaks_loses_nothing(void **state)
{
	struct uw_options o = options(UW_AGENT);
	pid_t agent = agent_start("ezra-1", 2);
	struct uw_harness *h = opened(UW_SIMPLE, &o);
	struct tally t = { 0 };

	(void)state;
	for (int i = 0; i < 9; i++)
		assert_true(uw_execute_async(h, "good", NULL, count, &t, NULL) > 0);
	while (uw_harness_pending(h))
		uw_harness_run(h, -1);
	assert_int_equal(t.ended[UW_SUCCEEDED], 9);
	uw_harness_close(h);
	agent_stop("ezra-1", agent);
}

/* Ends r. */
static void
asked_for(int rc, struct uw_result *r, const char *expected)
{
	assert_int_equal(rc, 0);
	assert_string_equal(uw_result_json(r), expected);
	uw_result_free(r);
}

static void
allegros_calls_are_tools_with_their_parameters(void **state)
{
	struct uw_options o = options(UW_AGENT);
	pid_t agent = agent_start("ezra-1", 1000);
	struct uw_harness *h = opened(UW_SIMPLE, &o);
	struct uw_result *r = NULL;
	struct uw_error e;
	int rc;

	(void)state;
	rc = uw_get_gitea_issues(h, "timmy/work", NULL, &r, &e);
	asked_for(rc, r, "{\"gitea_list_issues\":{\"repository\":\"timmy/work\",\"type\":\"issues\",\"max\":1000}}");
	rc = uw_get_gitea_issues(h, "timmy/work", "ezra", &r, NULL);
	asked_for(rc, r, "{\"gitea_list_issues\":{\"repository\":\"timmy/work\",\"assignee\":\"ezra\",\"type\":\"issues\",\"max\":1000}}");
	rc = uw_create_pr(h, "timmy/work", "fix/a", "Say \"hi\"", "One\n\tTwo \\ \xc3\xa9\",\"base\":\"x", &r, &e);
	asked_for(rc, r, "{\"gitea_create_pr\":{\"repository\":\"timmy/work\",\"head\":\"fix/a\",\"title\":\"Say \\\"hi\\\"\","
	    "\"body\":\"One\\n\\tTwo \\\\ \xc3\xa9\\\",\\\"base\\\":\\\"x\"}}");
	rc = uw_create_pr(h, "timmy/work", "fix/a", "t", NULL, &r, &e);
	asked_for(rc, r, "{\"gitea_create_pr\":{\"repository\":\"timmy/work\",\"head\":\"fix/a\",\"title\":\"t\"}}");
	rc = uw_run_with_hermes(h, "Do it", "opus", &r, &e);
	asked_for(rc, r, "{\"hermes_run\":{\"prompt\":\"Do it\",\"model\":\"opus\"}}");
	rc = uw_run_with_hermes(h, "Do it", NULL, &r, &e);
	asked_for(rc, r, "{\"hermes_run\":{\"prompt\":\"Do it\"}}");
	rc = uw_stream_telemetry(h, " [{\"type\":\"a\",\"n\":1}] ", &r, &e);
	asked_for(rc, r, "{\"telemetry_report\":{\"events\":[{\"type\":\"a\",\"n\":1}]}}");
	rc = uw_check_health(h, NULL, NULL, &r, &e);
	asked_for(rc, r, "{\"health_check\":{}}");
	rc = uw_check_health(h, "bezalel-1", NULL, &r, &e);
	asked_for(rc, r, "{\"health_check\":{\"host\":false,\"houses\":[\"bezalel-1\"]}}");
	rc = uw_check_health(h, "https://x:1/y", "ca.crt", &r, &e);
	asked_for(rc, r, "{\"health_check\":{\"host\":false,\"urls\":[\"https://x:1/y\"],\"ca_file\":\"ca.crt\"}}");
	rc = uw_check_health(h, "[::1]:22", NULL, &r, &e);
	asked_for(rc, r, "{\"health_check\":{\"host\":false,\"ports\":[\"[::1]:22\"]}}");
	uw_harness_close(h);
	agent_stop("ezra-1", agent);
}

static void
allegros_calls_name_what_is_wrong(void **state)
{
	static const struct { const char *events, *code, *field; } bad[] = {
		{ NULL, "missing", "params.events" },
		{ "", "parse", "" },
		{ "[{\"type\":\"a\"}", "parse", "" },
		{ "{\"type\":\"a\"}", "invalid", "params.events" },
		{ "[]", "invalid", "params.events" },
		{ "[7]", "invalid", "params.events.0" },
		{ "[{\"type\":\"a\"},{\"event\":\"b\"}]", "missing", "params.events.1.type" },
		{ "[{\"type\":\"a b\"}]", "invalid", "params.events.0.type" },
		{ "[{\"type\":\"a\"}],\"more\":1", "invalid", "params.more" },
		{ "[{\"type\":\"a\"}],\"events\":[]", "parse", "events" },
		{ "[{\"type\":\"a\"}]}", "parse", "" },
		{ "[{\"type\":\"a\",\"free\":{\"x\":[1,2]}}]", "denied", "" },
	};
	struct uw_options o = options(UW_HERE);
	struct uw_harness *h = opened(UW_SIMPLE, &o);
	struct buf many = { 0 };
	struct uw_result *r;
	struct uw_error e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(uw_stream_telemetry(h, bad[i].events, &r, &e), -1);
		assert_null(r);
		if (strcmp(e.code, bad[i].code) != 0 || strcmp(e.field, bad[i].field) != 0)
			fail_msg("%s: %s %s: %s", bad[i].events, e.code, e.field, e.message);
	}
	buf_adds(&many, "[{\"type\":\"a\"}");
	for (int i = 0; i < 256; i++)
		buf_adds(&many, ",{\"type\":\"a\"}");
	buf_adds(&many, "]");
	assert_int_equal(uw_stream_telemetry(h, buf_str(&many), NULL, &e), -1);
	assert_string_equal(e.field, "params.events");
	buf_free(&many);

	assert_int_equal(uw_get_gitea_issues(h, NULL, NULL, NULL, &e), -1);
	assert_string_equal(e.field, "params.repository");
	assert_int_equal(uw_create_pr(h, "timmy/work", NULL, "t", NULL, NULL, &e), -1);
	assert_string_equal(e.field, "params.head");
	assert_int_equal(uw_create_pr(h, "timmy/work", "-b", "t", NULL, NULL, &e), -1);
	assert_string_equal(e.field, "params.head");
	assert_int_equal(uw_run_with_hermes(h, "", NULL, NULL, &e), -1);
	assert_string_equal(e.field, "params.prompt");
	assert_int_equal(uw_run_with_hermes(h, "x", NULL, NULL, &e), -1);
	assert_string_equal(e.code, "config");
	assert_int_equal(uw_check_health(h, "nobody", NULL, NULL, &e), -1);
	assert_string_equal(e.code, "unknown_house");
	assert_int_equal(uw_check_health(h, NULL, NULL, &r, &e), 0);
	assert_non_null(strstr(uw_result_json(r), "\"memory\""));
	uw_result_free(r);
	uw_harness_close(h);
}

static void
write_config(void)
{
	FILE *f = fopen(config, "w");

	assert_non_null(f);
	fprintf(f, "houses:\n  ezra: {}\n  timmy: {}\nstate: %s/state\nrun: %s/run\nworkers:\n"
	    "  grace_ms: 500\n", dir, dir);
	fclose(f);
	chmod(config, 0600);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tool_runs_here_without_any_agent),
		cmocka_unit_test(bad_input_is_named_before_anything_runs),
		cmocka_unit_test(opening_checks_what_it_is_given),
		cmocka_unit_test(a_program_that_is_no_worker_fails_the_call),
		cmocka_unit_test(a_tool_can_be_given_less_time),
		cmocka_unit_test(many_calls_fit_into_a_loop_of_ones_own),
		cmocka_unit_test(slow_calls_queue_for_the_worker_and_can_be_cancelled),
		cmocka_unit_test(there_is_a_limit_to_calls_under_way),
		cmocka_unit_test(every_code_has_a_text),
		cmocka_unit_test(an_agent_takes_the_task_and_tells_the_outcome),
		cmocka_unit_test(an_agent_of_another_house_will_do),
		cmocka_unit_test(waiting_for_an_agent_ends_and_a_task_there_can_be_cancelled),
		cmocka_unit_test(a_connection_that_breaks_loses_nothing),
		cmocka_unit_test(allegros_calls_are_tools_with_their_parameters),
		cmocka_unit_test(allegros_calls_name_what_is_wrong),
	};
	char path[256];
	int rc;

	if (argc > 5 && strcmp(argv[1], "worker") == 0)
		return worker_main(argv[3], argv[5]);
	if (!realpath(argv[0], program) || !mkdtemp(dir))
		return 1;
	snprintf(config, sizeof config, "%s/houses.yaml", dir);
	snprintf(path, sizeof path, "%s/run", dir);
	mkdir(path, 0700);
	write_config();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(path);
	unlink(config);
	rmdir(dir);
	return rc;
}
