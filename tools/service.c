#include "service.h"

#include <limits.h>
#include <stddef.h>
#include <time.h>

#include "clock.h"
#include "err.h"
#include "json.h"
#include "proc.h"

#define MAX_OUTPUT 65536
#define GRACE_MS 1000

/* systemd's properties and where they go. */
static const struct property {
	const char *name;
	size_t offset, size;            /* size 0: a number */
} properties[] = {
#define TEXT(name, member) { name, offsetof(struct service, member), sizeof(((struct service *)0)->member) }
#define NUMBER(name, member) { name, offsetof(struct service, member), 0 }
	TEXT("Id", id),
	TEXT("Names", names),
	TEXT("Description", description),
	TEXT("LoadState", load),
	TEXT("ActiveState", active),
	TEXT("SubState", sub),
	TEXT("UnitFileState", file_state),
	TEXT("Type", type),
	TEXT("CanReload", can_reload),
	TEXT("Result", result),
	TEXT("StatusText", status_text),
	TEXT("InvocationID", invocation),
	NUMBER("MainPID", main_pid),
	NUMBER("ExecMainStatus", exit_status),
	NUMBER("NRestarts", restarts),
	NUMBER("MemoryCurrent", memory),
	NUMBER("TasksCurrent", tasks),
	NUMBER("CPUUsageNSec", cpu_ns),
	NUMBER("ActiveEnterTimestampMonotonic", active_since_us),
};

#define PROPERTIES "--property=Id,Names,Description,LoadState,ActiveState,SubState,UnitFileState,Type,CanReload," \
	"Result,StatusText,InvocationID,MainPID,ExecMainStatus,NRestarts,MemoryCurrent,TasksCurrent," \
	"CPUUsageNSec,ActiveEnterTimestampMonotonic"

static const struct service unknown = {
	.main_pid = -1, .exit_status = -1, .restarts = -1, .memory = -1, .tasks = -1, .cpu_ns = -1,
};

static const char *const action_names[SERVICE_NACTIONS] = {
#define X(sym, name) [sym] = name,
	SERVICE_ACTIONS(X)
#undef X
};

const char *
service_action_name(enum service_action a)
{
	return action_names[a];
}

/* "[not set]" and 2^64 - 1 both mean: not known. */
static int64_t
number(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	return *text < '0' || *text > '9' || *end || n > JSON_INT_MAX ? -1 : (int64_t)n;
}

static void
property_set(struct service *s, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
		const struct property *p = &properties[i];
		char *place = (char *)s + p->offset;
		int64_t n = number(value);

		if (strcmp(p->name, name) != 0)
			continue;
		if (p->size)
			snprintf(place, p->size, "%s", value);
		else
			memcpy(place, &n, sizeof n);
		return;
	}
}

bool
service_systemd_parse(const char *text, struct service *s)
{
	char *copy = xstrdup(text), *rest = copy, *line, *value;

	*s = unknown;
	while ((line = strtok_r(rest, "\n", &rest)))
		if ((value = strchr(line, '='))) {
			*value = '\0';
			property_set(s, line, value + 1);
		}
	free(copy);
	if (s->active_since_us < 0)
		s->active_since_us = 0;
	return s->id[0] && s->load[0] && s->active[0];
}

/* "\tname = value" with exactly one tab; deeper ones belong to parts of the job. */
static void
launchd_line(struct service *s, const char *line)
{
	const char *value = strstr(line, " = ");
	char name[64];

	if (line[0] != '\t' || line[1] == '\t' || !value)
		return;
	snprintf(name, sizeof name, "%.*s", (int)(value - line - 1), line + 1);
	value += 3;
	if (strcmp(name, "state") == 0)
		snprintf(s->sub, sizeof s->sub, "%s", value);
	else if (strcmp(name, "pid") == 0)
		s->main_pid = number(value);
	else if (strcmp(name, "runs") == 0)
		s->restarts = number(value);
	else if (strcmp(name, "last exit code") == 0)
		s->exit_status = strtoll(value, NULL, 10);
}

/* "system/org.example.job = {" and then its lines. */
bool
service_launchd_parse(const char *text, struct service *s)
{
	char *copy = xstrdup(text), *rest = copy, *line = strtok_r(rest, "\n", &rest);
	const char *label = line ? strchr(line, '/') : NULL, *end = label ? strstr(label, " = {") : NULL;

	*s = unknown;
	if (end) {
		snprintf(s->id, sizeof s->id, "%.*s", (int)(end - label - 1), label + 1);
		snprintf(s->load, sizeof s->load, "loaded");
		while ((line = strtok_r(rest, "\n", &rest)))
			launchd_line(s, line);
		snprintf(s->active, sizeof s->active, strcmp(s->sub, "running") == 0 ? "active" : "inactive");
	}
	free(copy);
	return end && s->sub[0];
}

static int64_t
monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
put_text(struct buf *out, const char *key, const char *value)
{
	if (value[0])
		json_kv_str(out, key, value);
}

static void
put_number(struct buf *out, const char *key, int64_t n)
{
	if (n >= 0)
		json_kv_int(out, key, n);
}

void
service_put(const struct service *s, struct buf *out)
{
	json_put_open(out, '{');
	json_kv_str(out, "unit", s->id);
	put_text(out, "description", s->description);
	json_kv_str(out, "load", s->load);
	json_kv_str(out, "active", s->active);
	json_kv_str(out, "sub", s->sub);
	put_text(out, "enabled", s->file_state);
	put_text(out, "type", s->type);
	put_text(out, "result", s->result);
	put_text(out, "status", s->status_text);
	put_text(out, "invocation", s->invocation);
	if (s->main_pid > 0)
		json_kv_int(out, "main_pid", s->main_pid);
	put_number(out, "exit_status", s->exit_status);
	put_number(out, "restarts", s->restarts);
	put_number(out, "memory_bytes", s->memory);
	put_number(out, "tasks", s->tasks);
	if (s->cpu_ns >= 0)
		json_kv_num(out, "cpu_s", (double)(s->cpu_ns / 1000000) / 1000);
	if (s->active_since_us && strcmp(s->active, "active") == 0)
		json_kv_time(out, "since", clock_wall_ms() - (monotonic_us() - s->active_since_us) / 1000);
	json_kv_bool(out, "fine", service_is_fine(s));
	json_put_close(out, '}');
}

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool
service_is_fine(const struct service *s)
{
	if (is(s->type, "oneshot") && is(s->active, "inactive"))
		return is(s->result, "success");
	return is(s->active, "active") || is(s->active, "reloading");
}

static bool
is_enabled(const struct service *s)
{
	return is(s->file_state, "enabled") || is(s->file_state, "enabled-runtime") ||
	    is(s->file_state, "alias");
}

/* "failed" is stopped too. */
static bool
is_stopped(const struct service *s)
{
	return is(s->active, "inactive") || is(s->active, "failed");
}

bool
service_has(enum service_action a, const struct service *s)
{
	switch (a) {
	case SERVICE_START: return is(s->active, "active");
	case SERVICE_STOP: return is_stopped(s);
	case SERVICE_ENABLE: return is_enabled(s);
	case SERVICE_DISABLE: return is(s->file_state, "disabled");
	case SERVICE_RESTART: case SERVICE_RELOAD: case SERVICE_NACTIONS: break;
	}
	return false;
}

bool
service_same(const struct service *a, const struct service *b)
{
	return is(a->active, b->active) && is(a->sub, b->sub) && is(a->file_state, b->file_state) &&
	    is(a->invocation, b->invocation) && a->main_pid == b->main_pid && a->restarts == b->restarts;
}

/* systemd may have forgotten about a oneshot that is over, so its invocation says nothing. */
static bool
is_started(const struct service *before, const struct service *after)
{
	if (is(after->type, "oneshot") && is(after->active, "inactive"))
		return is(after->result, "success");
	return is(after->active, "active") && (!after->invocation[0] ||
	    !is(after->invocation, before->invocation) || after->main_pid != before->main_pid);
}

bool
service_proves(enum service_action a, const struct service *before, const struct service *after)
{
	switch (a) {
	case SERVICE_START: return service_has(a, after) || is_started(before, after);
	case SERVICE_RESTART: return is_started(before, after);
	case SERVICE_RELOAD: return is(after->active, "active");
	case SERVICE_STOP: case SERVICE_ENABLE: case SERVICE_DISABLE: return service_has(a, after);
	case SERVICE_NACTIONS: break;
	}
	return false;
}

static int
run(const char *const argv[], int64_t deadline_ms, struct proc_end *end, struct err *e)
{
	struct proc p = {
		.argv = argv,
		.deadline_ms = deadline_ms - GRACE_MS,
		.grace_ms = GRACE_MS,
		.max_out = MAX_OUTPUT,
		.max_err = 400,
	};

	return proc_run(&p, end, e);
}

/* The first line of what a program complains about. */
static void
complaint(const struct proc_end *end, char out[200])
{
	const char *text = buf_str(&end->err);

	snprintf(out, 200, "%.*s", (int)strcspn(text, "\n"), text);
}

#ifdef __APPLE__

/* Jobs of the system; those of a person are named "gui/501/label". */
static void
target_of(const char *unit, char *out, size_t size)
{
	snprintf(out, size, "system/%s", unit);
}

static int
read_once(const char *unit, int64_t deadline_ms, struct proc_end *end, struct err *e)
{
	char target[SERVICE_TEXT + 16];

	target_of(unit, target, sizeof target);
	return run((const char *const[]){ "/bin/launchctl", "print", target, NULL }, deadline_ms, end, e);
}

static bool
parse(const char *text, struct service *s)
{
	return service_launchd_parse(text, s);
}

static int
act(enum service_action a, const char *unit, int64_t deadline_ms, struct proc_end *end, struct err *e)
{
	static const char *const verbs[SERVICE_NACTIONS][2] = {
		[SERVICE_START] = { "kickstart", NULL },
		[SERVICE_STOP] = { "kill", "SIGTERM" },
		[SERVICE_RESTART] = { "kickstart", "-k" },
		[SERVICE_ENABLE] = { "enable", NULL },
		[SERVICE_DISABLE] = { "disable", NULL },
	};
	char target[SERVICE_TEXT + 16];
	const char *argv[] = { "/bin/launchctl", verbs[a][0], verbs[a][1], target, NULL };

	target_of(unit, target, sizeof target);
	if (!argv[1])
		return err_set(e, ERR_WRONG_STATE, "launchd has no %s", service_action_name(a));
	if (!argv[2]) {
		argv[2] = target;
		argv[3] = NULL;
	}
	return run(argv, deadline_ms, end, e);
}

static int
check_manager(struct err *e)
{
	(void)e;
	return 0;
}

#else

static int
read_once(const char *unit, int64_t deadline_ms, struct proc_end *end, struct err *e)
{
	return run((const char *const[]){ "systemctl", "show", "--no-pager", PROPERTIES, "--", unit, NULL },
	    deadline_ms, end, e);
}

static bool
parse(const char *text, struct service *s)
{
	return service_systemd_parse(text, s);
}

/* --no-ask-password: there is nobody to type one. */
static int
act(enum service_action a, const char *unit, int64_t deadline_ms, struct proc_end *end, struct err *e)
{
	return run((const char *const[]){ "systemctl", "--no-ask-password", "--no-pager", "--quiet",
	    service_action_name(a), "--", unit, NULL }, deadline_ms, end, e);
}

/* As sd_booted(3) finds out. */
static int
check_manager(struct err *e)
{
	if (access("/run/systemd/system", F_OK) == 0)
		return 0;
	return err_set(e, ERR_WRONG_STATE,
	    "systemd does not run on this host (there is no /run/systemd/system): no services to ask about");
}

#endif

int
service_read(const char *unit, int64_t deadline_ms, struct service *s, struct err *e)
{
	struct proc_end end = { 0 };
	char why[200];
	int rc = check_manager(e);

	if (rc)
		return -1;
	rc = read_once(unit, deadline_ms, &end, e);
	complaint(&end, why);
	if (rc == 0 && (end.status || !parse(buf_str(&end.out), s)))
		rc = why[0] || end.status ? err_set(e, ERR_TOOL, "unit %s cannot be read: %s", unit, why) :
		    err_set(e, ERR_TOOL, "unit %s cannot be read", unit);
	if (rc == 0 && is(s->load, "not-found"))
		rc = err_field(e, ERR_NOT_FOUND, "params.unit", unit, "a unit of this host");
	proc_end_release(&end);
	return rc;
}

int
service_ask(enum service_action a, const char *unit, int64_t deadline_ms, struct err *e)
{
	struct proc_end end = { 0 };
	char why[200];
	int rc = check_manager(e);

	if (rc)
		return -1;
	rc = act(a, unit, deadline_ms, &end, e);
	complaint(&end, why);
	if (rc == 0 && end.status) {
		bool denied = strstr(why, "authentication required") || strstr(why, "ccess denied") ||
		    strstr(why, "ermitted");

		rc = err_set(e, denied ? ERR_DENIED : ERR_TOOL, "%s %s: %s", service_action_name(a), unit,
		    why[0] ? why : "refused");
	}
	proc_end_release(&end);
	return rc;
}

int
service_touch(const struct service *s, struct plan *p, enum plan_access access, struct err *e)
{
	char names[sizeof s->names], *rest = names, *name;
	int rc = plan_touch(p, PLAN_SERVICE, access, s->id, NULL, e);

	snprintf(names, sizeof names, "%s", s->names);
	if (strlen(names) + 1 == sizeof names)
		return err_set(e, ERR_TOO_BIG, "%s has too many names", s->id);
	while (rc == 0 && (name = strtok_r(rest, " ", &rest)))
		rc = plan_touch(p, PLAN_SERVICE, access, name, NULL, e);
	return rc;
}
