#include <errno.h>
#include <fnmatch.h>
#include <pwd.h>

#include "clock.h"
#include "param.h"
#include "process.h"
#include "secret.h"
#include "tool.h"

#define MAX_ARGS 2048           /* bytes shown of one process */
#define MAX_USERS 64            /* names remembered */
#define ROOM 256                /* of the result, for everything but the list */

static int
more_first(int64_t a, int64_t b)
{
	return a == b ? 0 : a < b ? 1 : -1;
}

static int
by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int
by_memory(const void *a, const void *b)
{
	int c = more_first(((const struct process *)a)->rss, ((const struct process *)b)->rss);

	return c ? c : by_pid(a, b);
}

static int
by_cpu(const void *a, const void *b)
{
	int c = more_first(((const struct process *)a)->cpu_ms, ((const struct process *)b)->cpu_ms);

	return c ? c : by_pid(a, b);
}

static int
by_start(const void *a, const void *b)
{
	int c = more_first(((const struct process *)a)->began_ms, ((const struct process *)b)->began_ms);

	return c ? c : by_pid(a, b);
}

static int
by_name(const void *a, const void *b)
{
	int c = strcmp(((const struct process *)a)->name, ((const struct process *)b)->name);

	return c ? c : by_pid(a, b);
}

static const struct {
	const char *name;
	int (*compare)(const void *a, const void *b);
} sorts[] = {
	{ "cpu", by_cpu }, { "memory", by_memory }, { "name", by_name }, { "pid", by_pid },
	{ "start", by_start },
};

/* Looking a user up may ask a directory server: each one is asked for once. */
struct users {
	struct {
		uid_t uid;
		char name[64];
	} v[MAX_USERS];
	size_t n;
};

static const char *
user_name(struct users *u, uid_t uid)
{
	struct passwd pw, *found = NULL;
	char text[4096];
	size_t at;

	for (size_t i = 0; i < u->n; i++)
		if (u->v[i].uid == uid)
			return u->v[i].name;
	at = u->n < MAX_USERS ? u->n++ : MAX_USERS - 1;
	u->v[at].uid = uid;
	if (getpwuid_r(uid, &pw, text, sizeof text, &found) || !found)
		snprintf(u->v[at].name, sizeof u->v[at].name, "%u", (unsigned)uid);
	else
		snprintf(u->v[at].name, sizeof u->v[at].name, "%s", pw.pw_name);
	return u->v[at].name;
}

struct filter {
	const char *name;               /* glob or NULL */
	bool any_user, kernel;
	uid_t uid;
};

static int
read_filter(const struct tool_run *r, struct filter *f, struct err *e)
{
	const char *user = param_str(r, "user");
	struct passwd pw, *found = NULL;
	char text[4096], *end = NULL;

	*f = (struct filter){
		.name = param_str(r, "name"), .any_user = !user, .kernel = param_bool(r, "kernel") };
	if (!user)
		return 0;
	f->uid = (uid_t)strtoul(user, &end, 10);
	if (user[0] >= '0' && user[0] <= '9' && !*end)
		return 0;
	if (getpwnam_r(user, &pw, text, sizeof text, &found) || !found)
		return err_field(e, ERR_NOT_FOUND, "params.user", user, "a user of this host, or a user id");
	f->uid = pw.pw_uid;
	return 0;
}

static bool
matches(const struct filter *f, const struct process *p)
{
	return (!f->name || fnmatch(f->name, p->name, 0) == 0) && (f->any_user || f->uid == p->uid) &&
	    (f->kernel || !p->kernel);
}

/* Arguments may hold anything that somebody should not have put there. */
static void
put_args(const struct config *c, pid_t pid, struct buf *result)
{
	struct buf args = { 0 };
	bool ok = process_args(pid, MAX_ARGS, &args);

	secret_mask(c, &args);
	json_kv_str(result, "args", ok ? buf_str(&args) : NULL);
	buf_free(&args);
}

static void
put_process(const struct tool_run *r, struct users *users, const struct process *p, struct buf *result)
{
	int64_t age_ms = clock_wall_ms() - p->began_ms;

	json_put_open(result, '{');
	json_kv_int(result, "pid", p->pid);
	json_kv_int(result, "ppid", p->ppid);
	json_kv_str(result, "user", user_name(users, p->uid));
	json_kv_str(result, "name", p->name);
	json_kv_str(result, "state", (char[]){ p->state, '\0' });
	json_kv_int(result, "threads", p->threads);
	json_kv_int(result, "rss_bytes", p->rss);
	json_kv_num(result, "cpu_s", (double)p->cpu_ms / 1000);
	json_kv_num(result, "cpu_percent", age_ms > 0 ? (double)(p->cpu_ms * 1000 / age_ms) / 10 : 0);
	json_kv_time(result, "started", p->began_ms);
	if (param_bool(r, "args"))
		put_args(r->env->config, p->pid, result);
	json_put_close(result, '}');
}

/* As many as wanted and as fit. */
static int64_t
put_list(const struct tool_run *r, const struct processes *ps, struct buf *result)
{
	struct users users = { .n = 0 };
	int64_t limit = param_int(r, "limit"), i;

	json_put_key(result, "processes");
	json_put_open(result, '[');
	for (i = 0; i < limit && i < (int64_t)ps->n; i++) {
		size_t before = result->len;

		put_process(r, &users, &ps->v[i], result);
		if (result->len + ROOM > r->max_output) {
			buf_cut(result, before);
			break;
		}
	}
	json_put_close(result, ']');
	return i;
}

static void
sort(struct processes *ps, const char *by)
{
	for (size_t i = 0; i < sizeof sorts / sizeof *sorts; i++)
		if (ps->n && strcmp(sorts[i].name, by) == 0)
			qsort(ps->v, ps->n, sizeof *ps->v, sorts[i].compare);
}

static int
process_list_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct processes ps;
	struct filter f;
	size_t total, kept = 0;
	int64_t listed;

	if (read_filter(r, &f, e) || processes_read(&ps, e))
		return -1;
	total = ps.n;
	for (size_t i = 0; i < total; i++)
		if (matches(&f, &ps.v[i]))
			ps.v[kept++] = ps.v[i];
	ps.n = kept;
	sort(&ps, param_str(r, "sort"));
	json_put_open(result, '{');
	listed = put_list(r, &ps, result);
	json_kv_int(result, "listed", listed);
	json_kv_int(result, "matched", (int64_t)kept);
	json_kv_int(result, "total", (int64_t)total);
	json_kv_bool(result, "truncated", listed < (int64_t)kept);
	json_put_close(result, '}');
	processes_release(&ps);
	return 0;
}

const struct tool tool_process_list = {
	.name = "process_list",
	.summary = "What runs on the machine, with processor time and memory",
	.schema = "{\"type\":\"object\",\"properties\":{"
	    "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64,"
	    "\"description\":\"Only names that match this glob, such as mosq*.\"},"
	    "\"user\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64,"
	    "\"description\":\"Only those of this user, by name or number.\"},"
	    "\"kernel\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Threads of the kernel too.\"},"
	    "\"sort\":{\"enum\":[\"cpu\",\"memory\",\"name\",\"pid\",\"start\"],\"default\":\"cpu\","
	    "\"description\":\"What comes first: most processor time, most memory, latest start, ...\"},"
	    "\"limit\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":5000,\"default\":30,"
	    "\"description\":\"How many are listed; all are counted.\"},"
	    "\"args\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Command lines too. They may hold passwords typed there; only the "
	    "secrets of the configuration are masked.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 30,
	.run = process_list_run,
};
