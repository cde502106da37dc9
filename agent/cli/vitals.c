#include "vitals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#ifdef __linux__
#include <sys/syscall.h>
#else
#include <sys/un.h>
#endif
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "json.h"
#include "local.h"

#define CONNECT_MS 1000

static const char *const names[VITALS_COUNT] = {
#define X(sym, name) [sym] = name,
	VITALS(X)
#undef X
};

const char *
vitals_name(enum vitals_state s)
{
	return names[s];
}

void
vitals_init(struct vitals *v)
{
	*v = (struct vitals){ .state = VITALS_DOWN, .pidfd = -1, .answer_ms = -1 };
}

static void
forget_process(struct vitals *v)
{
	if (v->pidfd >= 0)
		close(v->pidfd);
	v->pidfd = -1;
	v->pid = 0;
}

void
vitals_release(struct vitals *v)
{
	forget_process(v);
	cJSON_Delete(v->health);
	v->health = NULL;
}

static void
path_of(const struct config *c, const char *agent, char *out, size_t size)
{
	snprintf(out, size, "%s/%s.sock", c->run_dir, agent);
}

bool
vitals_are_here(const struct config *c, const char *agent)
{
	char path[1024];

	path_of(c, agent, path, sizeof path);
	if (access(path, F_OK) == 0)
		return true;
	snprintf(path, sizeof path, "%s/%s.db", c->state_dir, agent);
	return access(path, F_OK) == 0;
}

/* Who listens at the other end. */
static pid_t
peer_of(int fd)
{
#ifdef __linux__
	struct ucred who = { 0 };
	socklen_t len = sizeof who;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) ? 0 : who.pid;
#else
	pid_t pid = 0;
	socklen_t len = sizeof pid;

	return getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &len) ? 0 : pid;
#endif
}

static void
note_process(struct vitals *v, pid_t pid)
{
	if (pid == v->pid || pid <= 0)
		return;
	forget_process(v);
	v->pid = pid;
#ifdef SYS_pidfd_open
	v->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
#endif
}

int
vitals_signal(const struct vitals *v, int signum)
{
#ifdef SYS_pidfd_send_signal
	if (v->pidfd >= 0)
		return (int)syscall(SYS_pidfd_send_signal, v->pidfd, signum, NULL, 0);
#endif
	if (v->pid <= 0) {
		errno = ESRCH;
		return -1;
	}
	return kill(v->pid, signum);
}

/* "link: not connected to a broker; disk: ..." */
static void
put_failing(struct vitals *v)
{
	const cJSON *check;
	size_t at = 0;

	v->why[0] = '\0';
	cJSON_ArrayForEach(check, cJSON_GetObjectItemCaseSensitive(v->health, "checks"))
		if (!json_is_true(check, "ok") && at < sizeof v->why)
			at += (size_t)snprintf(v->why + at, sizeof v->why - at, "%s%s: %s", at ? "; " : "", check->string,
			    json_text(check, "detail"));
}

static int
ask(struct vitals *v, struct local *l, int64_t limit_ms, struct err *e)
{
	static const char question[] = "{\"op\":\"vitals\"}";
	int64_t from = clock_mono_ms();
	char *line;
	size_t len;
	int rc = local_send(l, question, strlen(question), limit_ms, e);

	rc = rc ? -1 : local_read(l, limit_ms, &line, &len, e);
	if (rc != 1)
		return rc;
	v->answer_ms = clock_mono_ms() - from;
	v->health = json_parse_object(line, len, e);
	return v->health ? 1 : -1;
}

static void
judge(struct vitals *v, int answered, int64_t limit_ms, const struct err *e)
{
	if (answered == 1) {
		v->state = strcmp(json_text(v->health, "status"), "ok") == 0 ? VITALS_WELL : VITALS_FAILING;
		put_failing(v);
		if (v->state == VITALS_FAILING && !v->why[0])
			snprintf(v->why, sizeof v->why, "it does not say what");
		if (v->state == VITALS_WELL)
			v->why[0] = '\0';
	} else if (answered == 0) {
		v->state = VITALS_HUNG;
		snprintf(v->why, sizeof v->why, "no answer within %lld s", (long long)(limit_ms / 1000));
	} else {
		v->state = VITALS_DOWN;
		snprintf(v->why, sizeof v->why, "%.200s", e->msg);
	}
}

/* A pidfd can be read from once the process has ended, even if nobody has waited for it yet. */
bool
vitals_are_alive(const struct vitals *v)
{
	struct pollfd p = { .fd = v->pidfd, .events = POLLIN };

	return v->pidfd >= 0 ? poll(&p, 1, 0) == 0 : v->pid > 0 && kill(v->pid, 0) == 0;
}

void
vitals_look(struct vitals *v, const struct config *c, const char *agent, int64_t limit_ms)
{
	struct err e = { 0 };
	struct local *l = NULL;
	char path[1024];
	int answered = -1;

	cJSON_Delete(v->health);
	v->health = NULL;
	v->answer_ms = -1;
	path_of(c, agent, path, sizeof path);
	if (local_open(&l, path, CONNECT_MS, &e) == 0) {
		note_process(v, peer_of(local_fd(l)));
		answered = ask(v, l, limit_ms, &e);
	} else if (access(path, F_OK) == 0 && vitals_are_alive(v)) {
		answered = 0;           /* so many wait there that nobody else can */
	} else {
		forget_process(v);
	}
	local_close(l);
	judge(v, answered, limit_ms, &e);
}
