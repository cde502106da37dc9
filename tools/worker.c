#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#ifdef __APPLE__
#include <libproc.h>
#endif

#include "clock.h"
#include "frame.h"
#include "group.h"
#include "guard.h"
#include "live.h"
#include "log.h"
#include "notes.h"
#include "manifest.h"
#include "proc.h"
#include "sandbox.h"
#include "scratch.h"
#include "secret.h"
#include "tool.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0          /* SO_NOSIGPIPE is set instead */
#endif

#define OUT_GATHER 32768u               /* answers are written when so much has come together */
#define OUT_AGE_US 2000                 /* ... or the first of them is so old */
#define IN_CHUNK (256u << 10)
#define IN_MAX (64u << 20)
#define LEFTOVER_LIMIT_MS 2000
#define OOM_SCORE "500"                 /* of -1000..1000: a worker goes before the agent does */

#ifdef __APPLE__
#include <crt_externs.h>
#define environ (*_NSGetEnviron())      /* libraries have no other there */
#else
extern char **environ;
#endif

/* One process is one worker; signal handlers have to reach this too. */
static struct {
	struct worker_page *page;
	char children_path[64];
	const struct config *config;    /* whose secrets are masked; NULL: none */
	struct buf in, out;
	struct live live;               /* of the attempt that is running */
	size_t in_at;
	int64_t oldest_us;              /* when the first answer in out was ready */
	uint64_t seq;                   /* of the attempt that is running */
	bool quick;
	bool ran;                       /* the tool was called, not only its plan */
} self;

/*
 * Signals. What a worker has started ends with it. On Linux it is the reaper of all its descendants, so
 * even those that left its process group are its children once their parents are gone; elsewhere the
 * group is all there is. Handlers call only what POSIX allows in them.
 */

#ifdef __linux__
static void
signal_children(int sig)
{
	char text[4096];
	int fd = open(self.children_path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);
	pid_t pid = 0;

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			pid = pid * 10 + (text[i] - '0');
		} else {
			if (pid > 0)
				kill(pid, sig);
			pid = 0;
		}
	}
}
#elif defined(__APPLE__)
static void
signal_children(int sig)
{
	pid_t pids[512];
	int n = proc_listpgrppids(getpgrp(), pids, sizeof pids);

	for (int i = 0; i < n && i < 512; i++)
		if (pids[i] != getpid())
			kill(pids[i], sig);
}
#else
static void
signal_children(int sig)
{
	(void)sig;
}
#endif

static bool
has_children(void)
{
	pid_t pid;

	do
		pid = waitpid(-1, NULL, WNOHANG);
	while (pid > 0 || (pid < 0 && errno == EINTR));
#ifdef __APPLE__
	pid_t two[2];

	if (pid < 0)
		return proc_listpgrppids(getpgrp(), two, sizeof two) > 1;
#endif
	return pid == 0;
}

static bool
end_children(int64_t patience_ms)
{
	int64_t now_ms = clock_mono_ms(), kill_ms = now_ms + patience_ms;

	if (has_children() && patience_ms)
		signal_children(SIGTERM);
	while (has_children() && now_ms < kill_ms + LEFTOVER_LIMIT_MS) {
		if (now_ms >= kill_ms)
			signal_children(SIGKILL);
		poll(NULL, 0, 2);
		now_ms = clock_mono_ms();
	}
	return !has_children();
}

/* The group is ours alone; the pool made it. */
_Noreturn static void
end_group(void)
{
	end_children(0);
	if (getpgrp() == getpid())
		kill(0, SIGKILL);
	_exit(1);
}

_Noreturn static void
die_of(int sig)
{
	sigset_t set;

	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	kill(getpid(), sig);
	_exit(128 + sig);
}

/* Somewhat before the pool loses patience, so that what ignores SIGTERM is ended by us, who know it. */
static void
on_stop(int sig)
{
	end_children(self.page->grace_ms * 3 / 4);
	die_of(sig);
}

static void
on_fault(int sig)
{
	end_children(0);
	die_of(sig);
}

/* Also sent when only the thread that started us has ended. */
static void
on_parent_death(int sig)
{
	(void)sig;
	if (getppid() != self.page->parent)
		end_group();
}

static void
catch_signal(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags }, old;

	/* A sanitizer's own handler tells more than we would. */
	if (sigaction(sig, NULL, &old) || old.sa_handler != SIG_DFL)
		return;
	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

static void
catch_signals(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	static char stack[64 << 10];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof stack };

	sigaltstack(&ss, NULL);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		catch_signal(faults[i], on_fault, SA_ONSTACK | SA_NODEFER);
	catch_signal(SIGTERM, on_stop, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

#ifdef __linux__
static void
die_with_parent(void)
{
	catch_signal(SIGUSR1, on_parent_death, 0);
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (getppid() != self.page->parent)
		end_group();
}
#else
/* While a tool runs nobody reads the socket, so a thread watches for its other end to go. */
static void *
watch_parent(void *arg)
{
	struct pollfd fd = { .fd = FRAME_SOCKET };

	(void)arg;
	while (poll(&fd, 1, -1) <= 0 || !(fd.revents & (POLLHUP | POLLERR)))
		continue;
	end_group();
}

static void
die_with_parent(void)
{
	pthread_t thread;
	sigset_t all, old;

	(void)on_parent_death;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pthread_create(&thread, NULL, watch_parent, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}
#endif

static void
close_from(int first)
{
	int max = (int)sysconf(_SC_OPEN_MAX);

#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
		return;
#endif
	for (int fd = first; fd < (max < 0 || max > 65536 ? 65536 : max); fd++)
		close(fd);
}

static void
offer_to_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, OOM_SCORE, strlen(OOM_SCORE)) < 0)
		log_debug("worker: cannot set oom_score_adj");
	close(fd);
}

/* Writing. Answers may wait, for the pool always reads; live output may not. */

static void
write_out(int flags)
{
	size_t at = 0;

	while (at < self.out.len) {
		ssize_t n = send(FRAME_SOCKET, self.out.data + at, self.out.len - at, MSG_NOSIGNAL | flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && flags && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			end_group();
		at += (size_t)n;
	}
	memmove(self.out.data, self.out.data + at, self.out.len - at);
	buf_cut(&self.out, self.out.len - at);
}

static void
flush(void)
{
	if (self.out.len)
		write_out(0);
}

static void
put_frame(enum frame_kind kind, unsigned flags, uint64_t seq, int64_t time_us, size_t body)
{
	struct frame f = { .len = (uint32_t)(sizeof f + body), .kind = (uint16_t)kind,
		.flags = (uint16_t)flags, .seq = seq, .time = time_us };

	buf_add(&self.out, &f, sizeof f);
}

static void
mask_text(char *text, size_t size)
{
	struct buf b = { 0 };

	buf_adds(&b, text);
	secret_mask(self.config, &b);
	snprintf(text, size, "%s", buf_str(&b));
	buf_free(&b);
}

static void
mask_err(struct err *e)
{
	mask_text(e->field, sizeof e->field);
	mask_text(e->expected, sizeof e->expected);
	mask_text(e->got, sizeof e->got);
	mask_text(e->msg, sizeof e->msg);
}

static void
put_failure(const struct err *e, unsigned flags, int64_t retry_after_s, int64_t ran_us)
{
	const char *texts[] = { e->field, e->expected, e->got, e->msg };
	uint32_t head[2] = { e->code, retry_after_s > UINT32_MAX ? UINT32_MAX : retry_after_s < 0 ? 0 : (uint32_t)retry_after_s };
	size_t body = sizeof head;

	for (int i = 0; i < 4; i++)
		body += strlen(texts[i]) + 1;
	put_frame(FRAME_FAILURE, flags, self.seq, ran_us, body);
	buf_add(&self.out, head, sizeof head);
	for (int i = 0; i < 4; i++)
		buf_add(&self.out, texts[i], strlen(texts[i]) + 1);
}

static void
put_result(const struct buf *result, int64_t ran_us)
{
	put_frame(FRAME_RESULT, 0, self.seq, ran_us, result->len + 1);
	buf_add(&self.out, result->data, result->len + 1);
}

static void
put_progress(void)
{
	size_t len = strlen(self.live.note);

	put_frame(FRAME_PROGRESS, 0, self.seq, self.live.percent, len);
	buf_add(&self.out, self.live.note, len);
}

/* While the pool does not read, it waits here, and is bounded here. */
static void
put_live(bool last)
{
	const char *text;
	int64_t now_ms;
	size_t n;

	if (last && !self.live.text.len)
		return;
	now_ms = clock_mono_ms();
	while ((last || self.out.len < OUT_GATHER) && (n = live_peek(&self.live, now_ms, last, &text)) > 0) {
		put_frame(FRAME_LOG, 0, self.seq, 0, n);
		buf_add(&self.out, text, n);
		live_drop(&self.live, n);
	}
	if (!last && self.out.len < OUT_GATHER && live_has_news(&self.live, now_ms))
		put_progress();
	if (!last && self.out.len)
		write_out(MSG_DONTWAIT);
}

static void
on_log(void *arg, const char *text, size_t len)
{
	(void)arg;
	live_add(&self.live, text, len);
	put_live(false);
}

static void
on_progress(void *arg, int percent, const char *note)
{
	(void)arg;
	live_progress(&self.live, percent, note);
	put_live(false);
}

/* Running a tool. */

struct request {
	struct frame f;
	struct frame_request r;
	const char *tool, *house, *task, *trace, *params;
	const char *terms;              /* NULL: none */
};

/* The result must be one line of JSON. Quick tools are ours and are taken at their word; the pool
 * checks again. */
static int
check_result(struct buf *result, size_t max_output, struct err *e)
{
	cJSON *v;

	if (!self.quick)
		secret_mask_json(self.config, result);
	if (result->full || result->len > max_output)
		return err_set(e, ERR_TOO_BIG, "the result is larger than the limit of %zu bytes",
		    max_output);
	if (!result->len)
		buf_adds(result, "null");
	if (self.quick)
		return 0;
	if (json_check_inner(result->data, result->len, e))
		return err_wrap(e, "the tool's result");
	if (!strpbrk(result->data, "\r\n"))
		return 0;
	v = json_parse(result->data, result->len, e);
	if (!v)
		return err_wrap(e, "the tool's result");
	buf_clear(result);
	json_put_tree(result, v);
	cJSON_Delete(v);
	return 0;
}

/* A tool that reports a failure knows whether it came before its effect; one that only reads has none, nor
 * has one that was kept from running. */
static bool
had_no_effect(const struct tool_run *run)
{
	const struct tool *t = run->tool;

	return !self.ran || run->refused || t->effect == TOOL_READ || (t->effect == TOOL_EXCLUSIVE && !run->effect_begun);
}

static int
call_tool(struct tool_run *run, struct buf *result, struct err *e)
{
	self.ran = true;
	return run->tool->run(run, result, e) ? -1 : check_result(result, run->max_output, e);
}

static void
put_notes(const struct notes *n)
{
	struct buf b = { .max = FRAME_NOTES_MAX - 1 };

	notes_put(&b, n);
	secret_mask_json(self.config, &b);
	if (!self.out.len)
		self.oldest_us = clock_mono_us();
	put_frame(FRAME_NOTES, 0, self.seq, 0, b.len + 1);
	buf_add(&self.out, b.data, b.len + 1);
	buf_free(&b);
}

static int
run_under_terms(struct tool_run *run, const struct request *q, struct buf *result, struct err *e)
{
	struct notes notes = { 0 };
	int rc;

	run->notes = &notes;
	rc = guard_run(run, q->terms, q->r.terms_len, call_tool, result, e);
	put_notes(&notes);
	notes_release(&notes);
	return rc;
}

static int
run_tool(struct tool_run *run, const struct request *q, struct buf *result, struct err *e)
{
	cJSON *params = json_parse_object(q->params, q->r.params_len, e);
	int rc;

	self.ran = false;
	if (!params)
		return err_in(e, "params");
	run->params = params;
	if (q->f.flags & FRAME_PLAN)
		rc = guard_plan(run, result, e) || check_result(result, run->max_output, e) ? -1 : 0;
	else
		rc = q->terms ? run_under_terms(run, q, result, e) : call_tool(run, result, e);
	cJSON_Delete(params);
	return rc;
}

static void
answer(const struct tool_env *env, const struct tool *t, const struct request *q, int64_t began_us)
{
	static struct buf result;
	struct err e = { 0 };
	struct tool_run run = { .env = env, .tool = t, .house = q->house, .task_id = q->task, .traceparent = q->trace,
		.deadline_ms = began_us / 1000 + q->f.time, .max_output = self.page->max_output,
		.log = on_log, .progress = on_progress };
	int64_t now_us;
	bool clean;
	int rc;

	buf_clear(&result);
	result.max = run.max_output + 1;
	live_begin(&self.live, self.config, began_us / 1000);
	log_task(q->task);
	if (t)
		rc = run_tool(&run, q, &result, &e);
	else
		rc = err_set(&e, ERR_UNKNOWN_TOOL, "no tool %.64s", q->tool);
	clean = self.quick || end_children(0);
	log_task(NULL);
	scratch_end();
	now_us = clock_mono_us();
	if (!self.out.len)
		self.oldest_us = now_us;
	if (rc && e.code == ERR_NONE)
		e.code = ERR_TOOL;
	live_end(&self.live);
	put_live(true);
	if (rc)
		mask_err(&e);
	if (rc)
		put_failure(&e, (!t || had_no_effect(&run) ? FRAME_NO_EFFECT : 0) | (run.refused ? FRAME_REFUSED : 0) |
		    (!t || !retry_is_worth(t, &e, run.failed_with) ? FRAME_HOPELESS : 0) |
		    (target_was_down(&run, &e) ? FRAME_DOWN : 0), run.retry_after_s, now_us - began_us);
	else
		put_result(&result, now_us - began_us);
	if (self.out.len >= OUT_GATHER || now_us - self.oldest_us >= OUT_AGE_US || !clean)
		flush();
	if (!clean)
		end_group();    /* what it left behind goes with us; the pool makes a new worker */
}

/* `begun` is stored before `skip` is read, and the pool does it the other way round: an attempt that it
 * sees not begun after calling it off never begins. */
static bool
begin(uint64_t seq, int64_t now_us)
{
	struct worker_page *page = self.page;

	atomic_store_explicit(&page->begun_us, now_us, memory_order_relaxed);
	atomic_store_explicit(&page->not_begun, ~seq, memory_order_relaxed);
	atomic_store(&page->begun, seq);
	return atomic_load(&page->skip[seq % POOL_QUICK_DEPTH]) != seq;
}

static void
serve_one(const struct tool_env *env, worker_find *find, const void *arg, const struct request *q)
{
	int64_t now_us = clock_mono_us();

	self.seq = q->f.seq;
	self.quick = q->f.flags & FRAME_QUICK;
	if (begin(q->f.seq, now_us))
		answer(env, find(arg, q->tool), q, now_us);
	else
		put_frame(FRAME_SKIPPED, 0, q->f.seq, 0, 0);
}

/* The pool is trusted: it is what started us. Lengths are checked all the same. */
static bool
next_request(struct request *q)
{
	size_t have = self.in.len - self.in_at, texts;
	const char *p = self.in.data + self.in_at;

	if (have < sizeof q->f)
		return false;
	memcpy(&q->f, p, sizeof q->f);
	if (q->f.kind != FRAME_REQUEST || q->f.len > IN_MAX / 2 || q->f.len < sizeof q->f + sizeof q->r)
		end_group();
	if (have < q->f.len)
		return false;
	memcpy(&q->r, p + sizeof q->f, sizeof q->r);
	texts = (size_t)q->r.tool_len + q->r.house_len + q->r.task_len + q->r.trace_len + q->r.params_len + q->r.terms_len + 6;
	if (texts != q->f.len - sizeof q->f - sizeof q->r)
		end_group();
	q->tool = p + sizeof q->f + sizeof q->r;
	q->house = q->tool + q->r.tool_len + 1;
	q->task = q->house + q->r.house_len + 1;
	q->trace = q->task + q->r.task_len + 1;
	q->params = q->trace + q->r.trace_len + 1;
	q->terms = q->f.flags & FRAME_TERMS ? q->params + q->r.params_len + 1 : NULL;
	self.in_at += q->f.len;
	return true;
}

/* False if nothing has come and we do not wait. */
static bool
read_more(bool wait)
{
	ssize_t n;
	char *to;

	memmove(self.in.data, self.in.data + self.in_at, self.in.len - self.in_at);
	buf_cut(&self.in, self.in.len - self.in_at);
	self.in_at = 0;
	to = buf_reserve(&self.in, IN_CHUNK);
	if (!to)
		end_group();
	do
		n = recv(FRAME_SOCKET, to, IN_CHUNK, wait ? 0 : MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (n <= 0)
		end_group();
	self.in.len += (size_t)n;
	return true;
}

void
worker_serve(const struct tool_env *env, worker_find *find, const void *arg)
{
	struct request q;

	self.config = env->config;
	put_frame(FRAME_HELLO, 0, FRAME_VERSION, 0, 0);
	flush();
	for (;;) {
		while (next_request(&q))
			serve_one(env, find, arg, &q);
		if (!read_more(false)) {
			flush();
			read_more(true);
		}
	}
}

/* Refuses to run where it was not started by a pool: it would end the caller's process group. */
int
worker_begin(void)
{
	struct stat st;
	void *page;

	if (fstat(FRAME_SOCKET, &st) || !S_ISSOCK(st.st_mode) || getpgrp() != getpid())
		return -1;
	page = mmap(NULL, sizeof *self.page, PROT_READ | PROT_WRITE, MAP_SHARED, FRAME_PAGE, 0);
	if (page == MAP_FAILED)
		return -1;
	self.page = page;
	self.in.max = self.out.max = IN_MAX;
	buf_reserve(&self.in, IN_CHUNK);
	snprintf(self.children_path, sizeof self.children_path, "/proc/%d/task/%d/children", (int)getpid(),
	    (int)getpid());
	close_from(FRAME_PAGE);
	fcntl(FRAME_SOCKET, F_SETFD, FD_CLOEXEC);
	if (fcntl(2, F_GETFD) < 0)
		open("/dev/null", O_WRONLY);
	catch_signals();
	die_with_parent();
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	offer_to_oom_killer();
	return 0;
}

/* Where others look for it (/proc/<pid>/environ) is what exec put there. The mark is to be found. */
static void
wipe_environment(void)
{
	for (char **v = environ; *v; v++)
		if (strncmp(*v, GROUP_MARK "=", sizeof GROUP_MARK) != 0)
			memset(*v, 0, strlen(*v));
}

/* Tools get nothing of the agent's environment, in which there may be secrets. */
static void
clean_environment(void)
{
	static const char *const kept[] = { "HOME", "TZ", GROUP_MARK };
	static char *none[] = { NULL };
	char *values[sizeof kept / sizeof *kept];
	size_t n = sizeof kept / sizeof *kept;

	for (size_t i = 0; i < n; i++)
		values[i] = getenv(kept[i]) ? xstrdup(getenv(kept[i])) : NULL;
	wipe_environment();
	environ = none;
	setenv("PATH", PROC_PATH, 1);
	setenv("LANG", "C.UTF-8", 1);
	for (size_t i = 0; i < n; i++) {
		if (values[i])
			setenv(kept[i], values[i], 1);
		free(values[i]);
	}
}

static int
cannot_serve(const struct err *e)
{
	put_frame(FRAME_BROKEN, 0, 0, 0, strlen(e->msg) + 1);
	buf_add(&self.out, e->msg, strlen(e->msg) + 1);
	flush();
	return 1;
}

static void
warn(const char *msg, void *arg)
{
	(void)arg;
	log_debug("%s", msg);   /* the agent has said it at its own start */
}

/* What manifests allow beside the roots. Never freed. */
static const char *const *
writes_of(const struct registry *r)
{
	const char **v = xcalloc(1, sizeof *v);
	size_t n = 0;

	for (size_t i = 0; i < registry_count(r); i++) {
		const struct tool *t = registry_at(r, i);
		const char *const *w = t->manifest ? manifest_writes(t->manifest) : NULL;

		for (; w && *w; w++) {
			v = xrealloc(v, (n + 2) * sizeof *v);
			v[n++] = *w;
			v[n] = NULL;
		}
	}
	return v;
}

static int
wall_in(const struct tool_env *env, const struct registry *r, struct err *e)
{
	static struct sandbox s;
	int walls;

	s = (struct sandbox){ .config = env->config, .roots = &env->roots, .writes = writes_of(r) };
	if (self.page->temp[0]) {
		if (scratch_begin(self.page->temp, env->config->temp_bytes, e))
			return -1;
		s.temp = xstrdup(self.page->temp);
	}
	walls = sandbox_enter(&s, e);
	if (walls < 0)
		return -1;
	if (getppid() != self.page->parent)
		end_group();    /* it died while we were changing the user */
	atomic_store(&self.page->walls, (uint32_t)walls);
	return 0;
}

static const struct tool *
find_in_registry(const void *registry, const char *name)
{
	return registry_find(registry, name);
}

int
worker_main(const char *config_path, const char *agent)
{
	static struct config config;
	static struct tool_env env = { .config = &config };
	struct registry *registry;
	struct err e;

	if (worker_begin()) {
		fprintf(stderr, "uni-wizard worker: started by an agent only\n");
		return 2;
	}
	log_init(agent, LOG_LEVEL_INFO);
	if (config_load(&config, config_path, warn, NULL, &e))
		return cannot_serve(&e);
	log_as_json(strcmp(config.log_format, "json") == 0);
	clean_environment();
	if (chdir("/"))
		log_warn("worker: cannot change to /");
	path_roots_open(&env.roots, &config, warn, NULL);
	env.registry = registry = registry_new(&config, warn, NULL);
	if (wall_in(&env, registry, &e))
		return cannot_serve(&e);
	worker_serve(&env, find_in_registry, registry);
}
