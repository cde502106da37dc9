/*
 * The pool with real worker processes: this program is its own worker when run as `t_pool worker`. What
 * is given as --config chooses how that worker behaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "clock.h"
#include "frame.h"
#include "group.h"
#include "guard.h"
#include "json.h"
#include "live.h"
#include "log.h"
#include "notes.h"
#include "plan.h"
#include "pool.h"
#include "tool.h"
#include "worker.h"

#define LIMIT_MS 20000

static char program[4096];
static char scratch[] = "/tmp/t_pool.XXXXXX";

/* Some tools here crash on purpose: a sanitizer shall not report that. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "handle_segv=0";
}

/* The worker's side. */

static int
echo_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)e;
	json_put_tree(result, r->params);
	return 0;
}

static int
segv_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)r;
	(void)result;
	(void)e;
	raise(SIGSEGV);
	return 0;
}

static int
abort_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)r;
	(void)result;
	(void)e;
	abort();
}

static int
exit_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)r;
	(void)result;
	(void)e;
	_exit(7);
}

/* Its live output tells that it has begun. */
static int
hang_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)result;
	(void)e;
	r->log(r->arg, "l", 1);
	while (pause())
		continue;
	return 0;
}

static int
deaf_run(struct tool_run *r, struct buf *result, struct err *e)
{
	signal(SIGTERM, SIG_IGN);
	return hang_run(r, result, e);
}

static void
note_pid(const char *file)
{
	char text[32];
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600), n;

	n = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (write(fd, text, (size_t)n) != n)
		abort();
	close(fd);
}

static const char *
param(const struct tool_run *r, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->params, name));
}

static int64_t
param_int(const struct tool_run *r, const char *name)
{
	int64_t n = 0;

	json_int(cJSON_GetObjectItemCaseSensitive(r->params, name), &n);
	return n;
}

/* Children, some in sessions of their own, whose parents end at once, deaf to SIGTERM. */
static void
litter(const char *file, int depth)
{
	for (int i = 0; i < 3; i++) {
		if (fork() != 0)
			continue;
		signal(SIGTERM, SIG_IGN);
		if (i)
			setsid();
		note_pid(file);
		if (depth)
			litter(file, depth - 1);
		for (int64_t end = clock_mono_ms() + 60000; (i || depth == 0) && clock_mono_ms() < end;)
			pause();
		_exit(0);
	}
}

static void
wait_for_lines(const char *file, int lines)
{
	char text[4096];
	int n = 0;

	while (n < lines) {
		int fd = open(file, O_RDONLY);
		ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text);

		if (fd >= 0)
			close(fd);
		n = 0;
		for (ssize_t i = 0; i < len; i++)
			n += text[i] == '\n';
		usleep(1000);
	}
}

static int
litter_run(struct tool_run *r, struct buf *result, struct err *e)
{
	litter(param(r, "file"), 1);
	wait_for_lines(param(r, "file"), 12);
	buf_adds(result, "{}");
	if (param_int(r, "hang"))
		return hang_run(r, result, e);
	if (param_int(r, "segv"))
		return segv_run(r, result, e);
	return param_int(r, "exit") ? exit_run(r, result, e) : 0;
}

static int
big_run(struct tool_run *r, struct buf *result, struct err *e)
{
	size_t n = (size_t)param_int(r, "bytes");

	(void)e;
	buf_addc(result, '"');
	for (size_t i = 0; i < n; i++)
		buf_addc(result, 'x');
	buf_addc(result, '"');
	return 0;
}

static int
fail_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)result;
	if (param_int(r, "effect"))
		tool_effect_begins(r);
	return err_field(e, ERR_NOT_FOUND, "params.path", "\"/nope\"", "a file");
}

static int
raw_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)e;
	buf_adds(result, param(r, "text"));
	return 0;
}

static int
log_run(struct tool_run *r, struct buf *result, struct err *e)
{
	static char text[20000];

	(void)e;
	memset(text, 'l', sizeof text);
	for (int64_t n = param_int(r, "times"); n > 0; n--)
		r->log(r->arg, text, sizeof text);
	buf_adds(result, "true");
	return 0;
}

static int
steps_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)e;
	for (int64_t i = 0, ms = param_int(r, "ms"); i <= ms; i += 10) {
		tool_progress(r, (int)(i * 100 / ms), "step");
		poll(NULL, 0, 10);
	}
	buf_adds(result, "true");
	return 0;
}

static int
environment_run(struct tool_run *r, struct buf *result, struct err *e)
{
	int open_fds = 0;

	(void)r;
	(void)e;
	for (int fd = 0; fd < 1024; fd++)
		open_fds += fcntl(fd, F_GETFD) >= 0;
	json_put_open(result, '{');
	json_kv_int(result, "fds", open_fds);
	json_kv_bool(result, "secret", getenv("T_POOL_SECRET") != NULL);
	json_kv_bool(result, "leader", getpgrp() == getpid() && getsid(0) == getpid());
	json_put_close(result, '}');
	return 0;
}

/* What a wild write could do: the page says that nothing has begun, and then the worker dies. */
static int
scribble_run(struct tool_run *r, struct buf *result, struct err *e)
{
	char line[256], path[64];
	unsigned long from = 0, to;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof line, f))
		if (strstr(line, "uni-wizard-worker") && sscanf(line, "%lx-%lx", &from, &to) == 2)
			break;
	(void)path;
	if (from)
		((struct worker_page *)from)->begun = 0;
	return exit_run(r, result, e);
}

/* Its parameters say what it touches, what it writes and whether its proof holds. */
static int
change_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	plan_target(p, "a change");
	plan_show(p, "+1\n", 3);
	return plan_touch(p, PLAN_PATH, PLAN_WRITES, param(r, "path"), param(r, "digest"), e);
}

static int
change_run(struct tool_run *r, struct buf *result, struct err *e)
{
	if (param_int(r, "times") == 0)
		tool_effect_begins(r);
	note_read(r, PLAN_REF, "/srv#main", "");
	for (int64_t n = param_int(r, "times"); n > 0; n--)
		note_write(r, PLAN_PATH, param(r, "path"), "00");
	buf_adds(result, "{\"changed\":true}");
	return touch_agreed(r, PLAN_PATH, param(r, "path"), param(r, "late"), e);
}

static int
change_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	bool holds = json_is_true(result, "changed") && param_int(r, "unproven") == 0;

	return note_check(r, "file_hash", param(r, "path"), holds, "11", "00", e);
}

static const struct tool test_tools[] = {
	{ .name = "change", .run = change_run, .plan = change_plan, .prove = change_prove,
	  .effect = TOOL_EXCLUSIVE },
	{ .name = "echo", .run = echo_run, .effect = TOOL_READ, .flags = TOOL_QUICK },
	{ .name = "segv", .run = segv_run, .effect = TOOL_EXCLUSIVE },
	{ .name = "abort", .run = abort_run, .effect = TOOL_EXCLUSIVE },
	{ .name = "exit", .run = exit_run, .effect = TOOL_EXCLUSIVE },
	{ .name = "hang", .run = hang_run, .effect = TOOL_READ },
	{ .name = "deaf", .run = deaf_run, .effect = TOOL_READ },
	{ .name = "litter", .run = litter_run, .effect = TOOL_EXCLUSIVE },
	{ .name = "big", .run = big_run, .effect = TOOL_READ },
	{ .name = "fail", .run = fail_run, .effect = TOOL_EXCLUSIVE },
	{ .name = "raw", .run = raw_run, .effect = TOOL_READ },
	{ .name = "log", .run = log_run, .effect = TOOL_READ },
	{ .name = "steps", .run = steps_run, .effect = TOOL_READ },
	{ .name = "environment", .run = environment_run, .effect = TOOL_READ },
	{ .name = "scribble", .run = scribble_run, .effect = TOOL_EXCLUSIVE },
};

static const struct tool *
find_test_tool(const void *arg, const char *name)
{
	(void)arg;
	for (size_t i = 0; i < sizeof test_tools / sizeof *test_tools; i++)
		if (strcmp(test_tools[i].name, name) == 0)
			return &test_tools[i];
	return NULL;
}

/* A worker that has been taken over: what it sends for its first request. */
struct lie {
	const char *name;
	struct frame f;
	const char *body;
	size_t body_len;
	uint32_t len;           /* 0: the true one */
	bool close;             /* only closes its socket, and stays */
};

#define BODY(s) .body = s, .body_len = sizeof s - 1

static const struct lie lies[] = {
	{ .name = "lie-seq", .f = { .kind = FRAME_RESULT, .seq = 99 }, BODY("{}\0") },
	{ .name = "lie-json", .f = { .kind = FRAME_RESULT, .seq = 1 }, BODY("{\0") },
	{ .name = "lie-two", .f = { .kind = FRAME_RESULT, .seq = 1 }, BODY("{}{}\0") },
	{ .name = "lie-newline", .f = { .kind = FRAME_RESULT, .seq = 1 }, BODY("{\n}\0") },
	{ .name = "lie-nul", .f = { .kind = FRAME_RESULT, .seq = 1 }, BODY("{}") },
	{ .name = "lie-empty", .f = { .kind = FRAME_RESULT, .seq = 1 }, BODY("\0") },
	{ .name = "lie-huge", .f = { .kind = FRAME_RESULT, .seq = 1 }, BODY("{}\0"), .len = 0xffffffff },
	{ .name = "lie-tiny", .f = { .kind = FRAME_RESULT, .seq = 1 }, BODY("{}\0"), .len = 3 },
	{ .name = "lie-kind", .f = { .kind = 77, .seq = 1 }, BODY("{}\0") },
	{ .name = "lie-request", .f = { .kind = FRAME_REQUEST, .seq = 1 }, BODY("{}\0") },
	{ .name = "lie-hello", .f = { .kind = FRAME_HELLO, .seq = FRAME_VERSION } },
	{ .name = "lie-skip", .f = { .kind = FRAME_SKIPPED, .seq = 1 } },
	{ .name = "lie-code", .f = { .kind = FRAME_FAILURE, .seq = 1 }, BODY("\xff\0\0\0\0\0\0\0\0\0\0\0") },
	{ .name = "lie-none", .f = { .kind = FRAME_FAILURE, .seq = 1 }, BODY("\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ .name = "lie-short", .f = { .kind = FRAME_FAILURE, .seq = 1 }, BODY("\1\0\0\0\0\0\0\0\0\0") },
	{ .name = "lie-rest", .f = { .kind = FRAME_FAILURE, .seq = 1 }, BODY("\1\0\0\0\0\0\0\0\0\0\0\0more") },
	{ .name = "lie-log", .f = { .kind = FRAME_LOG, .seq = 2 }, BODY("hello") },
	{ .name = "lie-text", .f = { .kind = FRAME_LOG, .seq = 1 }, BODY("l\xff") },
	{ .name = "lie-nul-text", .f = { .kind = FRAME_LOG, .seq = 1 }, BODY("l\0l") },
	{ .name = "lie-percent", .f = { .kind = FRAME_PROGRESS, .seq = 1, .time = 101 }, BODY("step") },
	{ .name = "lie-step", .f = { .kind = FRAME_PROGRESS, .seq = 1 }, BODY("step\xc3") },
	{ .name = "lie-progress", .f = { .kind = FRAME_PROGRESS, .seq = 2 }, BODY("step") },
	{ .name = "lie-notes", .f = { .kind = FRAME_NOTES, .seq = 1 }, BODY("[]\0") },
	{ .name = "lie-note", .f = { .kind = FRAME_NOTES, .seq = 1 }, BODY("{\"a\":}\0") },
	{ .name = "lie-notes-seq", .f = { .kind = FRAME_NOTES, .seq = 2 }, BODY("{}\0") },
	{ .name = "lie-notes-nul", .f = { .kind = FRAME_NOTES, .seq = 1 }, BODY("{}") },
	{ .name = "lie-close", .close = true },
};

static void
send_lie(const struct lie *l)
{
	struct frame f = l->f;

	if (l->close) {
		close(FRAME_SOCKET);
		return;
	}
	f.len = l->len ? l->len : (uint32_t)(sizeof f + l->body_len);
	if (send(FRAME_SOCKET, &f, sizeof f, 0) < 0 ||
	    (l->body_len && send(FRAME_SOCKET, l->body, l->body_len, 0) < 0))
		abort();
}

static void
hello(void)
{
	struct frame f = { .len = sizeof f, .kind = FRAME_HELLO, .seq = FRAME_VERSION };

	if (send(FRAME_SOCKET, &f, sizeof f, 0) < 0)
		abort();
}

static void
random_bytes_forever(void)
{
	unsigned char junk[4096];
	unsigned seed = (unsigned)getpid();

	for (;;) {
		for (size_t i = 0; i < sizeof junk; i++)
			junk[i] = (unsigned char)rand_r(&seed);
		if (send(FRAME_SOCKET, junk, sizeof junk, MSG_NOSIGNAL) < 0)
			pause();
	}
}

/* Says, for ever, that it has begun in the far future. */
static void
claim_the_future(void)
{
	struct worker_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, FRAME_PAGE, 0);

	page->begun_us = INT64_MAX;
	page->not_begun = ~(uint64_t)1;
	page->begun = 1;
	if (ftruncate(FRAME_PAGE, 0) == 0)
		abort();
}

static int
liar_main(const char *name)
{
	char request[4096];

	if (strcmp(name, "dies-at-start") == 0)
		return 3;
	if (strcmp(name, "random") == 0)
		random_bytes_forever();
	hello();
	if (recv(FRAME_SOCKET, request, sizeof request, 0) <= 0)
		return 1;
	if (strcmp(name, "future") == 0)
		claim_the_future();
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
		if (strcmp(lies[i].name, name) == 0)
			send_lie(&lies[i]);
	for (;;)
		pause();
}

static int
worker_side(const char *behaviour)
{
	static const struct tool_env env;

	if (behaviour[0] == '/')
		return worker_main(behaviour, "t-1");
	if (strcmp(behaviour, "honest") != 0)
		return liar_main(behaviour);
	if (worker_begin())
		return 2;
	environ = (char *[]){ NULL };
	worker_serve(&env, find_test_tool, NULL);
}

/* The agent's side. */

struct ended {
	struct pool_end end;
	char result[256];
	char notes[8192];       /* empty: none */
	int members;            /* living processes of the worker's group when on_end was called */
};

struct bench {
	uv_loop_t loop;
	struct pool *pool;
	char ledger[128], file[128];
	struct ended last[256];
	size_t n;
	size_t log_bytes;
	int percent, nprogress;
	uint64_t next;
	bool closed;
};

static void
on_end(void *arg, const struct pool_end *end)
{
	struct bench *b = arg;
	struct ended *to = &b->last[b->n++ % 256];

	to->end = *end;
	to->end.result = to->result;
	snprintf(to->result, sizeof to->result, "%.*s", (int)(end->result_len < 255 ? end->result_len : 255),
	    end->result ? end->result : "");
	snprintf(to->notes, sizeof to->notes, "%.*s", (int)end->notes_len, end->notes ? end->notes : "");
	assert_true(!end->notes || strlen(end->notes) == end->notes_len);
	to->end.notes = NULL;
	to->members = !group_is_gone(end->pid, true);
}

static void
on_log(void *arg, uint64_t handle, const char *text, size_t len)
{
	struct bench *b = arg;

	assert_true(handle > 0);
	assert_true(text[0] == 'l' || text[0] == '\n');
	b->log_bytes += len;
}

static void
on_progress(void *arg, uint64_t handle, int percent, const char *note, size_t len)
{
	struct bench *b = arg;

	assert_true(handle > 0 && percent >= b->percent);
	assert_memory_equal(note, "step", len);
	b->percent = percent;
	b->nprogress++;
}

static void
on_closed(void *arg)
{
	((struct bench *)arg)->closed = true;
}

static void
on_limit(uv_timer_t *t)
{
	(void)t;
	fprintf(stderr, "t_pool: nothing happened for %d ms\n", LIMIT_MS);
	abort();
}

/* Runs the loop while the condition does not hold; a test that waits for ever is aborted. */
#define RUN_UNTIL(b, condition) do {                                            \
	uv_timer_t limit_;                                                      \
	uv_timer_init(&(b)->loop, &limit_);                                     \
	uv_timer_start(&limit_, on_limit, LIMIT_MS, 0);                         \
	while (!(condition))                                                    \
		uv_run(&(b)->loop, UV_RUN_ONCE);                                \
	uv_close((uv_handle_t *)&limit_, NULL);                                 \
	uv_run(&(b)->loop, UV_RUN_NOWAIT);                                      \
} while (0)

static void
bench_open(struct bench *b, const char *behaviour, unsigned workers)
{
	struct pool_opts o = { .loop = &b->loop, .exe = program, .config_path = behaviour, .agent = "t-1",
		.ledger = b->ledger, .temp_dir = scratch, .workers = workers, .grace_ms = 200, .max_output = 65536, .arg = b,
		.on_end = on_end, .on_log = on_log, .on_progress = on_progress };
	struct err e = { 0 };
	static int serial;

	*b = (struct bench){ .next = 1 };
	snprintf(b->ledger, sizeof b->ledger, "%s/ledger%d", scratch, ++serial);
	snprintf(b->file, sizeof b->file, "%s/pids%d", scratch, serial);
	uv_loop_init(&b->loop);
	if (pool_new(&b->pool, &o, &e))
		fail_msg("%s", e.msg);
}

static struct bench *
bench_ready(const char *behaviour, unsigned workers)
{
	static struct bench b;

	bench_open(&b, behaviour, workers);
	RUN_UNTIL(&b, pool_free(b.pool) == workers);
	return &b;
}

static void
bench_close(struct bench *b)
{
	struct stat st;

	pool_close(b->pool, on_closed);
	RUN_UNTIL(b, b->closed);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	assert_int_equal(stat(b->ledger, &st), -1);
}

static uint64_t
start(struct bench *b, const char *tool, const char *params, int64_t timeout_ms)
{
	struct pool_start s = { .handle = b->next++, .tool = tool, .house = "ezra", .task_id = "T", .params = params,
		.params_len = strlen(params), .timeout_ms = timeout_ms, .quick = strcmp(tool, "echo") == 0 };

	pool_start(b->pool, &s);
	return s.handle;
}

static const struct ended *
last(const struct bench *b)
{
	return &b->last[(b->n - 1) % 256];
}

static const struct ended *
run(struct bench *b, const char *tool, const char *params, int64_t timeout_ms)
{
	size_t n = b->n;

	RUN_UNTIL(b, pool_free(b->pool) > 0);
	start(b, tool, params, timeout_ms);
	pool_flush(b->pool);
	RUN_UNTIL(b, b->n > n);
	return last(b);
}

/* Under these terms, or for its plan alone when there are none. */
static const struct ended *
run_under(struct bench *b, const char *tool, const char *params, const char *terms)
{
	size_t n = b->n;
	struct pool_start s = { .handle = b->next++, .tool = tool, .params = params, .params_len = strlen(params),
		.timeout_ms = 5000, .plan = !terms, .terms = terms, .terms_len = terms ? strlen(terms) : 0 };

	RUN_UNTIL(b, pool_free(b->pool) > 0);
	pool_start(b->pool, &s);
	pool_flush(b->pool);
	RUN_UNTIL(b, b->n > n);
	return last(b);
}

static void
run_shell(const char *command)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static const struct ended *
run_with_file(struct bench *b, const char *tool, const char *more, int64_t timeout_ms)
{
	char params[512];

	snprintf(params, sizeof params, "{\"file\":\"%s\"%s}", b->file, more);
	return run(b, tool, params, timeout_ms);
}

static int
living(const char *file)
{
	char line[64];
	FILE *f = fopen(file, "r");
	int n = 0;

	while (f && fgets(line, sizeof line, f))
		n += group_start((pid_t)strtol(line, NULL, 10)) >= 0;
	if (f)
		fclose(f);
	return n;
}

/* What was just killed may take a moment to go. */
static bool
all_gone(const char *file)
{
	for (int64_t end = clock_mono_ms() + 2000; clock_mono_ms() < end; usleep(2000))
		if (living(file) == 0)
			return true;
	return false;
}

static void
a_result_comes_back(void **state)
{
	struct bench *b = bench_ready("honest", 2);
	const struct ended *r = run(b, "echo", "{\"a\":[1,\"\xc3\xa4\"]}", 1000);

	(void)state;
	assert_int_equal(r->end.how, POOL_SUCCEEDED);
	assert_string_equal(r->result, "{\"a\":[1,\"\xc3\xa4\"]}");
	assert_int_equal(r->end.handle, 1);
	assert_true(r->end.ran_us >= 0 && r->end.ran_us < 1000000);
	bench_close(b);
}

static void
a_failure_keeps_code_field_and_sentence(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	const struct ended *r = run(b, "fail", "{}", 1000);

	(void)state;
	assert_int_equal(r->end.how, POOL_FAILED);
	assert_int_equal(r->end.err.code, ERR_NOT_FOUND);
	assert_string_equal(r->end.err.field, "params.path");
	assert_string_equal(r->end.err.expected, "a file");
	assert_string_equal(r->end.err.got, "\"/nope\"");
	assert_string_equal(r->end.err.msg, "params.path: expected a file, got \"/nope\"");
	assert_true(r->end.no_effect);
	r = run(b, "fail", "{\"effect\":1}", 1000);
	assert_false(r->end.no_effect);
	r = run(b, "echo", "{}", 1000);
	assert_int_equal(r->end.err.code, ERR_NONE);
	assert_string_equal(r->end.err.msg, "");
	bench_close(b);
}

static void
a_plan_is_asked_for_instead_of_the_effect(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	const struct ended *r = run_under(b, "change", "{\"path\":\"/tmp/x\",\"digest\":\"ab\"}", NULL);

	(void)state;
	assert_int_equal(r->end.how, POOL_SUCCEEDED);
	assert_string_equal(r->result, "{\"touches\":[{\"access\":\"write\",\"kind\":\"path\",\"name\":\"/tmp/x\","
	    "\"sha256\":\"ab\"}],\"target\":\"a change\",\"dry_run\":\"+1\\n\"}");
	assert_string_equal(r->notes, "");
	assert_string_equal(run_under(b, "abort", "{}", NULL)->result, "{\"touches\":null}");
	assert_string_equal(run_under(b, "big", "{}", NULL)->result,
	    "{\"touches\":[],\"target\":\"\",\"dry_run\":\"\"}");
	r = run_under(b, "change", "{\"path\":\"/tmp/\\u0001\"}", NULL);
	assert_int_equal(r->end.how, POOL_FAILED);
	assert_true(r->end.no_effect);
	bench_close(b);
}

static void
notes_come_with_the_end_when_there_are_terms(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	const struct ended *r = run_under(b, "change", "{\"path\":\"/tmp/x\",\"times\":1}", "{}");

	(void)state;
	assert_int_equal(r->end.how, POOL_SUCCEEDED);
	assert_string_equal(r->notes, "{\"reads\":[{\"kind\":\"ref\",\"name\":\"/srv#main\",\"sha256\":null}],"
	    "\"writes\":[{\"kind\":\"path\",\"name\":\"/tmp/x\",\"sha256\":\"00\"}]}");
	r = run(b, "change", "{\"path\":\"/tmp/x\",\"times\":1}", 1000);
	assert_int_equal(r->end.how, POOL_SUCCEEDED);
	assert_string_equal(r->notes, "");
	r = run_under(b, "change", "{\"path\":\"/tmp/x\",\"times\":70}", "{}");
	assert_non_null(strstr(r->notes, "\"left_out\":7}"));
	r = run_under(b, "fail", "{}", "{}");
	assert_int_equal(r->end.how, POOL_FAILED);
	assert_string_equal(r->notes, "{\"reads\":[],\"writes\":[]}");
	bench_close(b);
}

static void
terms_are_kept_or_nothing_runs(void **state)
{
	static const struct { const char *tool, *params, *terms; enum err_code code; bool no_effect; } cases[] = {
		{ "change", "{\"path\":\"/tmp/x\"}", "{\"production\":[\"path:/srv\"]}", ERR_NONE, false },
		{ "change", "{\"path\":\"/srv/x\"}", "{\"production\":[\"path:/srv\"]}", ERR_APPROVAL, true },
		{ "change", "{\"path\":\"/srv/x\"}", "{\"production\":[\"path:/srv\"],\"approved\":true}",
		  ERR_NONE, false },
		{ "exit", "{}", "{\"production\":[\"path:/srv\"]}", ERR_APPROVAL, true },
		{ "fail", "{\"effect\":1}", "{\"production\":[]}", ERR_NOT_FOUND, false },
		{ "change", "{\"path\":\"/tmp/x\"}", "{", ERR_DENIED, true },
		{ "echo", "{}", "{", ERR_DENIED, true },
		{ "change", "{\"path\":\"/tmp/x\",\"unproven\":1}", "{\"proof\":true}", ERR_UNPROVEN, false },
		{ "change", "{\"path\":\"/tmp/x\"}", "{\"proof\":true}", ERR_NONE, false },
		{ "exit", "{}", "{\"proof\":true}", ERR_UNPROVEN, true },
		{ "echo", "{}", "{\"proof\":true}", ERR_NONE, false },
		{ "change", "{\"path\":\"/tmp/x\",\"late\":\"ee\"}", "{\"production\":[\"path:/srv\"]}", ERR_DENIED,
		  true },
	};
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct ended *r = run_under(b, cases[i].tool, cases[i].params, cases[i].terms);

		if (r->end.err.code != cases[i].code || r->end.no_effect != cases[i].no_effect)
			fail_msg("case %zu: %s: %s", i, err_code_name(r->end.err.code), r->end.err.msg);
		assert_int_equal(r->end.how, cases[i].code == ERR_NONE ? POOL_SUCCEEDED : POOL_FAILED);
		assert_int_equal(r->end.refused, cases[i].no_effect);
	}
	bench_close(b);
}

static void
a_proof_that_does_not_hold_says_what_was_found(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	const struct ended *r = run_under(b, "change", "{\"path\":\"/tmp/x\",\"unproven\":1}", "{\"proof\":true}");

	(void)state;
	assert_string_equal(r->end.err.msg,
	    "done, but not proven: file_hash of /tmp/x: found 11, expected 00");
	assert_non_null(strstr(r->notes, "\"proof\":{\"ok\":false,\"checks\":[{\"check\":\"file_hash\","
	    "\"name\":\"/tmp/x\",\"ok\":false,\"found\":\"11\"}]}"));
	bench_close(b);
}

static void
an_unknown_tool_and_bad_parameters_are_failures(void **state)
{
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	assert_int_equal(run(b, "nosuch", "{}", 1000)->end.err.code, ERR_UNKNOWN_TOOL);
	assert_int_equal(run(b, "echo", "{\"a\":}", 1000)->end.err.code, ERR_PARSE);
	assert_int_equal(run(b, "echo", "[]", 1000)->end.how, POOL_FAILED);
	bench_close(b);
}

static void
results_that_are_not_one_line_of_json_are_mended_or_failures(void **state)
{
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	assert_string_equal(run(b, "raw", "{\"text\":\"{\\n\\\"a\\\":\\t1}\"}", 1000)->result, "{\"a\":1}");
	assert_string_equal(run(b, "raw", "{\"text\":\"\"}", 1000)->result, "null");
	assert_int_equal(run(b, "raw", "{\"text\":\"{\"}", 1000)->end.how, POOL_FAILED);
	assert_int_equal(run(b, "raw", "{\"text\":\"1 2\"}", 1000)->end.how, POOL_FAILED);
	bench_close(b);
}

static void
ten_megabytes_of_output_are_too_big_and_harm_nobody(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	const struct ended *r = run(b, "big", "{\"bytes\":10000000}", 5000);

	(void)state;
	assert_int_equal(r->end.how, POOL_FAILED);
	assert_int_equal(r->end.err.code, ERR_TOO_BIG);
	r = run(b, "big", "{\"bytes\":65534}", 5000);
	assert_int_equal(r->end.how, POOL_SUCCEEDED);
	assert_int_equal(r->end.result_len, 65536);
	assert_int_equal(run(b, "big", "{\"bytes\":65535}", 5000)->end.err.code, ERR_TOO_BIG);
	bench_close(b);
}

static void
live_output_arrives_whole(void **state)
{
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	assert_int_equal(run(b, "log", "{\"times\":3}", 5000)->end.how, POOL_SUCCEEDED);
	assert_int_equal(b->log_bytes, 3 * 20000);
	bench_close(b);
}

static void
a_flood_of_output_is_thinned(void **state)
{
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	assert_int_equal(run(b, "log", "{\"times\":400}", 5000)->end.how, POOL_SUCCEEDED);
	assert_true(b->log_bytes >= LIVE_BURST && b->log_bytes < 400 * 20000 / 2);
	bench_close(b);
}

static void
progress_arrives_of_what_lasts(void **state)
{
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	assert_int_equal(run(b, "steps", "{\"ms\":50}", 5000)->end.how, POOL_SUCCEEDED);
	assert_int_equal(b->nprogress, 0);
	assert_int_equal(run(b, "steps", "{\"ms\":900}", 5000)->end.how, POOL_SUCCEEDED);
	assert_true(b->nprogress > 1 && b->nprogress < 10);
	assert_true(b->percent >= 80);
	bench_close(b);
}

static void
a_worker_has_only_its_own_descriptors_and_no_secrets(void **state)
{
	struct bench *b;
	int leak = open("/dev/null", O_RDONLY);

	(void)state;
	setenv("T_POOL_SECRET", "x", 1);
	b = bench_ready("honest", 1);
	assert_string_equal(run(b, "environment", "{}", 1000)->result, "{\"fds\":4,\"secret\":false,\"leader\":true}");
	bench_close(b);
	close(leak);
}

static void
a_crash_is_charged_to_the_attempt_and_the_worker_replaced(void **state)
{
	static const struct { const char *tool, *why; } crashes[] = {
		{ "segv", "killed by signal 11" }, { "abort", "killed by signal 6" }, { "exit", "exit code 7" },
	};
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct ended *r = run(b, crashes[i].tool, "{}", 1000);

		assert_int_equal(r->end.how, POOL_CRASHED);
		assert_int_equal(r->end.err.code, ERR_CRASH);
		assert_non_null(strstr(r->end.err.msg, crashes[i].why));
		assert_int_equal(r->members, 0);
		assert_int_equal(run(b, "echo", "{}", 1000)->end.how, POOL_SUCCEEDED);
	}
	bench_close(b);
}

static void
a_page_that_was_written_over_does_not_hide_that_an_attempt_began(void **state)
{
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	assert_int_equal(run(b, "scribble", "{}", 1000)->end.how, POOL_CRASHED);
	bench_close(b);
}

/* Quick attempts behind one that crashes did not run; those before it may have, and lost their answer. */
static void
a_crash_among_quick_attempts_is_charged_to_the_right_one(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	struct pool_start bad = { .handle = 1000, .tool = "segv", .params = "{}", .params_len = 2, .timeout_ms = 1000,
		.quick = true };
	int crashed = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		start(b, "echo", "{}", 1000);
	pool_start(b->pool, &bad);
	for (int i = 0; i < 20; i++)
		start(b, "echo", "{}", 1000);
	pool_flush(b->pool);
	RUN_UNTIL(b, b->n == 41);
	for (size_t i = 0; i < 41; i++) {
		enum pool_how how = b->last[i].end.how;

		crashed += how == POOL_CRASHED;
		if (i == 20)
			assert_int_equal(how, POOL_CRASHED);
		if (i > 20)
			assert_int_equal(how, POOL_NOT_RUN);
		assert_int_equal(b->last[i].end.handle, i < 20 ? i + 1 : i == 20 ? 1000 : i);
	}
	assert_int_equal(crashed, 1);
	bench_close(b);
}

static void
a_deadline_stops_a_tool_that_hangs(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	int64_t began_ms = clock_mono_ms();
	const struct ended *r = run(b, "hang", "{}", 100);
	int64_t took_ms = clock_mono_ms() - began_ms;

	(void)state;
	assert_int_equal(r->end.how, POOL_TIMEOUT);
	assert_int_equal(r->end.err.code, ERR_TIMEOUT);
	assert_int_equal(r->members, 0);
	assert_true(took_ms >= 100 && took_ms < 1500);
	began_ms = clock_mono_ms();
	r = run(b, "deaf", "{}", 100);
	took_ms = clock_mono_ms() - began_ms;
	assert_int_equal(r->end.how, POOL_TIMEOUT);
	assert_int_equal(r->members, 0);
	assert_true(took_ms >= 300 && took_ms < 1500);
	bench_close(b);
}

static void
a_deadline_holds_for_a_worker_that_lies_about_when_it_began(void **state)
{
	struct bench *b = bench_ready("future", 1);

	(void)state;
	assert_int_equal(run(b, "echo", "{}", 100)->end.how, POOL_TIMEOUT);
	bench_close(b);
}

static void
an_attempt_can_be_stopped_while_it_runs(void **state)
{
	struct bench *b = bench_ready("honest", 2);
	uint64_t h = start(b, "hang", "{}", 60000);

	(void)state;
	start(b, "hang", "{}", 500);
	pool_flush(b->pool);
	assert_int_equal(pool_free(b->pool), 0);
	RUN_UNTIL(b, b->log_bytes == 2);
	pool_stop(b->pool, h);
	pool_stop(b->pool, h);
	pool_stop(b->pool, 12345);
	RUN_UNTIL(b, b->n == 2);
	assert_int_equal(b->last[0].end.handle, h);
	assert_int_equal(b->last[0].end.how, POOL_STOPPED);
	assert_int_equal(b->last[0].members, 0);
	assert_int_equal(b->last[1].end.how, POOL_TIMEOUT);
	bench_close(b);
}

/* Stopped before it was even sent: it never begins, and its worker lives on. */
static void
an_attempt_can_be_stopped_before_it_begins(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	uint64_t h;

	(void)state;
	for (int i = 0; i < 10; i++)
		start(b, "echo", "{}", 1000);
	h = start(b, "echo", "{}", 1000);
	start(b, "echo", "{}", 1000);
	pool_stop(b->pool, h);
	pool_flush(b->pool);
	RUN_UNTIL(b, b->n == 12);
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(b->last[i].end.how, b->last[i].end.handle == h ? POOL_STOPPED : POOL_SUCCEEDED);
	assert_int_equal(b->last[0].end.pid, b->last[11].end.pid);
	bench_close(b);
}

static void
what_a_tool_leaves_behind_is_gone_when_it_ends(void **state)
{
	struct bench *b = bench_ready("honest", 1);

	(void)state;
	assert_int_equal(run_with_file(b, "litter", "", 5000)->end.how, POOL_SUCCEEDED);
	assert_int_equal(living(b->file), 0);
	bench_close(b);
}

static void
what_a_tool_started_is_gone_after_timeout_crash_and_kill(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	struct ended r = *run_with_file(b, "litter", ",\"hang\":1", 300);

	(void)state;
	assert_int_equal(r.end.how, POOL_TIMEOUT);
	assert_true(all_gone(b->file));
	unlink(b->file);
	r = *run_with_file(b, "litter", ",\"segv\":1", 3000);
	assert_int_equal(r.end.how, POOL_CRASHED);
	assert_int_equal(r.members, 0);
	assert_true(all_gone(b->file));
	unlink(b->file);
	r = *run_with_file(b, "litter", ",\"exit\":1", 3000);
	assert_int_equal(r.end.how, POOL_CRASHED);
	assert_true(all_gone(b->file));
	unlink(b->file);
	bench_close(b);
}

static int
file_has(const char *file, int lines)
{
	char text[4096];
	int fd = open(file, O_RDONLY), n = 0;
	ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text);

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n >= lines;
}

/* Nobody in the worker can do anything about SIGKILL, so strays are found by the mark they carry. */
static void
strays_of_a_worker_that_was_killed_outright_are_found(void **state)
{
	struct bench *b = bench_ready("honest", 1);
	char params[512];
	pid_t pid;

	(void)state;
	pid = (pid_t)run(b, "echo", "{}", 1000)->end.pid;
	snprintf(params, sizeof params, "{\"file\":\"%s\",\"hang\":1}", b->file);
	start(b, "litter", params, 60000);
	pool_flush(b->pool);
	RUN_UNTIL(b, (usleep(1000), uv_run(&b->loop, UV_RUN_NOWAIT), file_has(b->file, 12)));
	kill(pid, SIGKILL);
	RUN_UNTIL(b, b->n == 2);
	assert_int_equal(last(b)->end.how, POOL_CRASHED);
	assert_non_null(strstr(last(b)->end.err.msg, "signal 9"));
	assert_true(all_gone(b->file));
	bench_close(b);
}

static bool
health_says(const struct bench *b, struct buf *text, const char *what)
{
	buf_clear(text);
	pool_put(b->pool, text);
	return strstr(text->data, what) != NULL;
}

static void
put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Behind the walls of a real worker: temporary index and objects, mounts, links, proofs. */
static void
a_real_worker_plans_and_proves(void **state)
{
	char path[128], root[128], command[1024], params[512], terms[256];
	const struct ended *r;
	struct bench *b;

	(void)state;
	snprintf(path, sizeof path, "%s/plan.yaml", scratch);
	snprintf(root, sizeof root, "%s/root", scratch);
	snprintf(command, sizeof command, "houses:\n  t:\n    agents: [t-1]\ntools:\n  roots: [%s]\n", root);
	put_file(path, command);
	chmod(path, 0600);
	snprintf(command, sizeof command, "mkdir %s && cd %s && git init -q -b main r && cd r && echo one >a && git add a && "
	    "git -c user.name=A -c user.email=a@example.org commit -q -m one && echo two >a", root, root);
	run_shell(command);
	b = bench_ready(path, 1);
	r = run_under(b, "git_commit", "{\"repo_path\":\"r\",\"message\":\"two\",\"all\":true}", NULL);
	if (r->end.how != POOL_SUCCEEDED)
		fail_msg("%s", r->end.err.msg);
	assert_non_null(strstr(r->result, "\"kind\":\"ref\""));
	snprintf(terms, sizeof terms, "{\"production\":[\"repo:%s/r\"],\"proof\":true}", root);
	r = run_under(b, "git_commit", "{\"repo_path\":\"r\",\"message\":\"two\",\"all\":true}", terms);
	assert_int_equal(r->end.err.code, ERR_APPROVAL);
	assert_true(r->end.refused);
	snprintf(params, sizeof params, "{\"path\":\"%s/f\",\"content\":\"x\",\"encoding\":\"utf-8\"}", root);
	r = run_under(b, "file_write", params, terms);
	if (r->end.how != POOL_SUCCEEDED)
		fail_msg("%s", r->end.err.msg);
	assert_non_null(strstr(r->notes, "\"proof\":{\"ok\":true"));
	r = run_under(b, "git_commit", "{\"repo_path\":\"r\",\"message\":\"two\",\"all\":true}", "{\"proof\":true}");
	if (r->end.how != POOL_SUCCEEDED)
		fail_msg("%s", r->end.err.msg);
	assert_non_null(strstr(r->notes, "\"check\":\"commit\""));
	bench_close(b);
}

/* The worker as the program itself runs it, with its configuration. */
static void
a_worker_has_the_limits_of_the_configuration(void **state)
{
	static const char *const limits[] = { "Max core file size        0 ", "Max open files            1024 ",
		"Max address space         1073741824 " };
	char path[128], text[4096] = "";
	const struct ended *r;
	struct bench *b;
	FILE *f;

	(void)state;
	snprintf(path, sizeof path, "%s/houses.yaml", scratch);
	put_file(path, "houses:\n  t:\n    agents: [t-1]\nworkers:\n  memory_bytes: 1GiB\n");
	chmod(path, 0600);
	b = bench_ready(path, 1);
	r = run(b, "noop", "{\"payload\":[true]}", 1000);
	assert_string_equal(r->result, "{\"payload\":[true]}");
	snprintf(path, sizeof path, "/proc/%d/limits", r->end.pid);
	f = fopen(path, "r");
	if (f) {
		text[fread(text, 1, sizeof text - 1, f)] = '\0';
		fclose(f);
	}
#ifdef __SANITIZE_ADDRESS__
	size_t n = 2;   /* needs terabytes of addresses */
#else
	size_t n = 3;
#endif
	for (size_t i = 0; f && i < n; i++)
		if (!strstr(text, limits[i]))
			fail_msg("no '%s' in\n%s", limits[i], text);
	bench_close(b);
}

/* What the worker cannot start with is told in words. */
static void
a_configuration_that_is_wrong_is_named(void **state)
{
	struct bench b;
	struct buf health = { 0 };
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s/houses.yaml", scratch);
	put_file(path, "houses:\n  t: {}\nhoses: {}\n");
	chmod(path, 0600);
	bench_open(&b, path, 1);
	RUN_UNTIL(&b, health_says(&b, &health, "houses.yaml:3: hoses: "));
	unlink(path);
	bench_close(&b);
	buf_free(&health);
}

static void
lies_of_a_worker_cost_it_its_life_and_nobody_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct bench *b = bench_ready(lies[i].name, 1);
		const struct ended *r = run(b, "echo", "{}", 3000);

		if (r->end.how != (lies[i].close ? POOL_NOT_RUN : POOL_CRASHED) || r->members)
			fail_msg("%s: %d %s", lies[i].name, r->end.how, r->end.err.msg);
		bench_close(b);
	}
}

static void
noise_instead_of_hello_is_a_bad_start(void **state)
{
	struct bench b;
	struct buf health = { 0 };

	(void)state;
	bench_open(&b, "random", 2);
	RUN_UNTIL(&b, health_says(&b, &health, "\"last_bad_start\":\"bad reply"));
	assert_int_equal(pool_free(b.pool), 0);
	assert_int_equal(json_check(health.data, health.len, NULL), 0);
	bench_close(&b);
	buf_free(&health);
}

static void
workers_that_die_at_start_are_not_restarted_in_a_rush(void **state)
{
	struct bench b;
	struct buf health = { 0 };
	int64_t began_ms = clock_mono_ms();

	(void)state;
	bench_open(&b, "dies-at-start", 1);
	RUN_UNTIL(&b, health_says(&b, &health, "\"bad_starts\":5"));
	assert_true(clock_mono_ms() - began_ms >= 50 + 100 + 200 + 400);
	assert_non_null(strstr(health.data, "exit code 3"));
	bench_close(&b);
	buf_free(&health);
}

static void
a_program_that_is_not_there_is_an_error(void **state)
{
	uv_loop_t loop;
	struct pool_opts o = { .loop = &loop, .exe = "/nonexistent/uni-wizard", .config_path = "x", .agent = "a",
		.workers = 1, .on_end = on_end };
	struct pool *p;
	struct err e = { 0 };

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(pool_new(&p, &o, &e), -1);
	assert_non_null(strstr(e.msg, "/nonexistent/uni-wizard"));
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void
closing_ends_what_runs(void **state)
{
	struct bench *b = bench_ready("honest", 2);

	(void)state;
	start(b, "hang", "{}", 60000);
	start(b, "deaf", "{}", 60000);
	pool_flush(b->pool);
	RUN_UNTIL(b, b->log_bytes == 2);
	bench_close(b);
	assert_int_equal(b->n, 2);
	assert_int_equal(b->last[0].end.how, POOL_STOPPED);
	assert_int_equal(b->last[1].end.how, POOL_STOPPED);
	assert_int_equal(b->last[0].members + b->last[1].members, 0);
}

/* An agent in a process of its own, to be killed. It runs `litter` in two workers. */
_Noreturn static void
victim(const char *ledger, const char *file)
{
	struct bench *b = bench_ready("honest", 2);
	char params[512];

	snprintf(params, sizeof params, "{\"file\":\"%s\",\"hang\":1}", file);
	if (rename(b->ledger, ledger))
		_exit(1);
	start(b, "litter", params, 60000);
	start(b, "hang", "{}", 60000);
	pool_flush(b->pool);
	for (;;)
		uv_run(&b->loop, UV_RUN_ONCE);
}

static bool
wait_for_file(const char *file, int lines)
{
	for (int64_t end = clock_mono_ms() + LIMIT_MS; clock_mono_ms() < end; usleep(1000))
		if (file_has(file, lines))
			return true;
	return false;
}

static int
led_groups_alive(const char *ledger)
{
	char line[256];
	FILE *f = fopen(ledger, "r");
	int n = 0, pid;

	while (f && fgets(line, sizeof line, f))
		n += sscanf(line, "worker %d", &pid) == 1 && !group_is_gone(pid, true);
	if (f)
		fclose(f);
	return n;
}

static void
killing_the_agent_leaves_nothing(void **state)
{
	char ledger[128], file[128];
	pid_t pid;
	int64_t end;

	(void)state;
	snprintf(ledger, sizeof ledger, "%s/victim-ledger", scratch);
	snprintf(file, sizeof file, "%s/victim-pids", scratch);
	pid = fork();
	if (pid == 0)
		victim(ledger, file);
	assert_true(wait_for_file(file, 12));
	assert_int_equal(led_groups_alive(ledger), 2);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (end = clock_mono_ms() + 3000; led_groups_alive(ledger) && clock_mono_ms() < end;)
		usleep(1000);
	assert_int_equal(led_groups_alive(ledger), 0);
	assert_true(all_gone(file));
	assert_int_equal(pool_sweep(ledger), 0);
}

/* Stopped processes cannot end themselves, so here it is the ledger's turn. */
static void
a_sweep_kills_what_a_former_agent_left(void **state)
{
	char ledger[128], file[128], line[256];
	int pid, stopped = 0;
	pid_t agent;
	FILE *f;

	(void)state;
	snprintf(ledger, sizeof ledger, "%s/sweep-ledger", scratch);
	snprintf(file, sizeof file, "%s/sweep-pids", scratch);
	agent = fork();
	if (agent == 0)
		victim(ledger, file);
	assert_true(wait_for_file(file, 12));
	f = fopen(ledger, "r");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "worker %d", &pid) == 1 && kill(pid, SIGSTOP) == 0)
			stopped++;
	if (f)
		fclose(f);
	assert_int_equal(stopped, 2);
	kill(agent, SIGKILL);
	waitpid(agent, NULL, 0);
	usleep(20000);
	assert_int_equal(led_groups_alive(ledger), 2);
	assert_int_equal(pool_sweep(ledger), 2);
	assert_int_equal(access(ledger, F_OK), -1);
	assert_true(all_gone(file));
	assert_int_equal(pool_sweep(ledger), 0);
}

/* The same process id with another start time is somebody else. */
static void
a_sweep_spares_a_process_that_only_has_the_same_id(void **state)
{
	char ledger[128], text[256];
	struct group g;
	struct err e = { 0 };
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		setsid();
		for (;;)
			pause();
	}
	snprintf(ledger, sizeof ledger, "%s/spare-ledger", scratch);
	g = (struct group){ pid, group_start(pid) + 1 };
	assert_int_equal(ledger_write(ledger, "t-1:abc", &g, 1, &e), 0);
	assert_int_equal(pool_sweep(ledger), 0);
	snprintf(text, sizeof text, "boot another\nmark t-1:abc\nworker %d %lld\n", (int)pid,
	    (long long)group_start(pid));
	put_file(ledger, text);
	assert_int_equal(pool_sweep(ledger), 0);
	put_file(ledger, "\xff garbage\nworker\nworker 1 1\nworker -1 0\nworker 99999999999999999999 5\nboot\n\n");
	assert_int_equal(pool_sweep(ledger), 0);
	assert_int_equal(kill(pid, 0), 0);
	while (group_start(pid) >= 0 && getpgid(pid) != pid)
		usleep(1000);
	g.start = group_start(pid);
	assert_int_equal(ledger_write(ledger, "t-1:abc", &g, 1, &e), 0);
	assert_int_equal(pool_sweep(ledger), 1);
	waitpid(pid, NULL, 0);
}

static void
a_ledger_that_cannot_be_written_is_an_error(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ledger_write("/nonexistent/dir/ledger", "m", NULL, 0, &e), -1);
	assert_non_null(strstr(e.msg, "/nonexistent/dir/ledger"));
}

static uint64_t flood_ends;

static void
count_end(void *arg, const struct pool_end *end)
{
	(void)arg;
	flood_ends += end->how == POOL_SUCCEEDED;
}

static double
cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
turn(void *arg)
{
	(void)arg;      /* the test reads by itself, as an agent's turn does */
}

static void
quick_attempts_are_quick(void **state)
{
	enum { TOTAL = 100000 };
	static const char params[] = "{\"repo_path\":\"/srv/site\",\"depth\":3}";
	struct bench b = { 0 };
	struct pool_opts o = { .loop = &b.loop, .exe = program, .config_path = "honest", .agent = "t-1", .workers = 2,
		.grace_ms = 200, .max_output = 65536, .arg = &b, .on_end = count_end, .on_ready = turn };
	struct pool_start s = { .tool = "echo", .house = "ezra", .task_id = "01JD0000000000000000000000",
		.params = params, .params_len = sizeof params - 1, .timeout_ms = 30000, .quick = true };
	struct err e = { 0 };
	uint64_t started = 0;
	int64_t began_us;
	double cpu;

	(void)state;
	uv_loop_init(&b.loop);
	assert_int_equal(pool_new(&b.pool, &o, &e), 0);
	RUN_UNTIL(&b, (pool_read(b.pool), pool_free(b.pool) == 2));
	flood_ends = 0;
	began_us = clock_mono_us();
	cpu = cpu_s();
	while (flood_ends < TOTAL) {
		for (unsigned n = pool_free_quick(b.pool); n && started < TOTAL; n--) {
			s.handle = ++started;
			pool_start(b.pool, &s);
		}
		pool_flush(b.pool);
		pool_wait(b.pool, 1000);
		pool_read(b.pool);
	}
	cpu = cpu_s() - cpu;
	began_us = clock_mono_us() - began_us;
	printf("# %d quick attempts, 2 workers: %.0f per second, %.2f us of the agent's CPU each\n", TOTAL,
	    TOTAL / ((double)began_us / 1e6), cpu / TOTAL * 1e6);
	assert_int_equal(flood_ends, TOTAL);
	pool_close(b.pool, on_closed);
	RUN_UNTIL(&b, b.closed);
	assert_int_equal(uv_loop_close(&b.loop), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_result_comes_back),
		cmocka_unit_test(a_failure_keeps_code_field_and_sentence),
		cmocka_unit_test(a_plan_is_asked_for_instead_of_the_effect),
		cmocka_unit_test(notes_come_with_the_end_when_there_are_terms),
		cmocka_unit_test(terms_are_kept_or_nothing_runs),
		cmocka_unit_test(a_proof_that_does_not_hold_says_what_was_found),
		cmocka_unit_test(an_unknown_tool_and_bad_parameters_are_failures),
		cmocka_unit_test(results_that_are_not_one_line_of_json_are_mended_or_failures),
		cmocka_unit_test(ten_megabytes_of_output_are_too_big_and_harm_nobody),
		cmocka_unit_test(live_output_arrives_whole),
		cmocka_unit_test(a_flood_of_output_is_thinned),
		cmocka_unit_test(progress_arrives_of_what_lasts),
		cmocka_unit_test(a_worker_has_only_its_own_descriptors_and_no_secrets),
		cmocka_unit_test(a_crash_is_charged_to_the_attempt_and_the_worker_replaced),
		cmocka_unit_test(a_page_that_was_written_over_does_not_hide_that_an_attempt_began),
		cmocka_unit_test(a_crash_among_quick_attempts_is_charged_to_the_right_one),
		cmocka_unit_test(a_deadline_stops_a_tool_that_hangs),
		cmocka_unit_test(a_deadline_holds_for_a_worker_that_lies_about_when_it_began),
		cmocka_unit_test(an_attempt_can_be_stopped_while_it_runs),
		cmocka_unit_test(an_attempt_can_be_stopped_before_it_begins),
		cmocka_unit_test(what_a_tool_leaves_behind_is_gone_when_it_ends),
		cmocka_unit_test(what_a_tool_started_is_gone_after_timeout_crash_and_kill),
		cmocka_unit_test(strays_of_a_worker_that_was_killed_outright_are_found),
		cmocka_unit_test(a_real_worker_plans_and_proves),
		cmocka_unit_test(a_worker_has_the_limits_of_the_configuration),
		cmocka_unit_test(a_configuration_that_is_wrong_is_named),
		cmocka_unit_test(lies_of_a_worker_cost_it_its_life_and_nobody_else),
		cmocka_unit_test(noise_instead_of_hello_is_a_bad_start),
		cmocka_unit_test(workers_that_die_at_start_are_not_restarted_in_a_rush),
		cmocka_unit_test(a_program_that_is_not_there_is_an_error),
		cmocka_unit_test(closing_ends_what_runs),
		cmocka_unit_test(killing_the_agent_leaves_nothing),
		cmocka_unit_test(a_sweep_kills_what_a_former_agent_left),
		cmocka_unit_test(a_sweep_spares_a_process_that_only_has_the_same_id),
		cmocka_unit_test(a_ledger_that_cannot_be_written_is_an_error),
		cmocka_unit_test(quick_attempts_are_quick),
	};
	int rc;

	if (argc > 3 && strcmp(argv[1], "worker") == 0)
		return worker_side(argv[3]);
	if (!realpath(argv[0], program) || !mkdtemp(scratch))
		return 1;
	log_init(NULL, LOG_LEVEL_WARN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	for (const char *const *f = (const char *const[]){ "victim-pids", "sweep-pids", NULL }; *f; f++) {
		char path[256];

		snprintf(path, sizeof path, "%s/%s", scratch, *f);
		unlink(path);
	}
	for (int i = 0; i < 100; i++) {
		char path[256];

		snprintf(path, sizeof path, "%s/pids%d", scratch, i);
		unlink(path);
	}
	rmdir(scratch);
	return rc;
}
