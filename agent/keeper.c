#include "keeper.h"

#include <signal.h>
#include <string.h>

#include "agent.h"
#include "clock.h"
#include "log.h"

#define WAIT_MS 500
#define WAIT_MAX_MS 60000
#define LIVED_MS 2000                   /* who lived so long did something: it may begin anew */

static void
closed(uv_handle_t *h)
{
	struct agent *a = h->data;
	struct keeper *k = &a->keeper;

	if (--k->open == 0)
		k->runs = false;
}

static void
ended(uv_process_t *p, int64_t code, int signum)
{
	struct agent *a = p->data;
	struct keeper *k = &a->keeper;
	int64_t now = clock_mono_ms();

	if (!k->killed) {
		k->wait_ms = now - k->since_ms > LIVED_MS || !k->wait_ms ? WAIT_MS : k->wait_ms * 2;
		k->wait_ms = k->wait_ms < WAIT_MAX_MS ? k->wait_ms : WAIT_MAX_MS;
		k->again_ms = now + k->wait_ms;
		log_warnx("agent %s: the bridge ended (%s %lld); again in %lld ms", a->o.id, signum ? "signal" : "exit code",
		    (long long)(signum ? signum : code), (long long)k->wait_ms);
	}
	uv_close((uv_handle_t *)&k->process, closed);
	uv_close((uv_handle_t *)&k->pipe, closed);
}

static void
start(struct agent *a)
{
	struct keeper *k = &a->keeper;
	char *argv[] = { "uni-wizard", "bridge", "--agent", (char *)a->o.id, "--config", a->o.config->path, NULL };
	uv_stdio_container_t files[3] = {
		{ .flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&k->pipe },
		{ .flags = UV_INHERIT_FD, .data.fd = 1 },
		{ .flags = UV_INHERIT_FD, .data.fd = 2 },
	};
	uv_process_options_t o = { .file = a->o.exe, .args = argv, .exit_cb = ended, .stdio_count = 3, .stdio = files };
	int rc;

	uv_pipe_init(&a->loop, &k->pipe, 0);
	k->pipe.data = k->process.data = a;
	k->since_ms = clock_mono_ms();
	k->killed = false;
	k->runs = true;
	k->open = 2;
	rc = uv_spawn(&a->loop, &k->process, &o);
	if (rc == 0) {
		log_info("agent %s: owns %s, and starts its bridge", a->o.id, a->o.config->bridge.house);
		return;
	}
	log_warnx("agent %s: the bridge cannot be started: %s", a->o.id, uv_strerror(rc));
	k->again_ms = k->since_ms + WAIT_MAX_MS;
	uv_close((uv_handle_t *)&k->process, closed);
	uv_close((uv_handle_t *)&k->pipe, closed);
}

static bool
is_wanted(const struct agent *a)
{
	return a->o.config->bridge.repos.n && a->phase == AGENT_RUNS && !a->stuck && core_owns(a->core, a->o.config->bridge.house);
}

void
keeper_look(struct agent *a)
{
	struct keeper *k = &a->keeper;

	if (k->runs && !k->killed && !is_wanted(a))
		keeper_stop(a);
	else if (!k->runs && is_wanted(a) && clock_mono_ms() >= k->again_ms)
		start(a);
}

void
keeper_second(struct agent *a)
{
	struct keeper *k = &a->keeper;
	uv_buf_t b = uv_buf_init(".", 1);

	keeper_look(a);
	if (k->runs && !k->killed)
		uv_try_write((uv_stream_t *)&k->pipe, &b, 1);
}

void
keeper_stop(struct agent *a)
{
	struct keeper *k = &a->keeper;

	if (!k->runs || k->killed)
		return;
	k->killed = true;
	log_info("agent %s: ends its bridge", a->o.id);
	uv_process_kill(&k->process, SIGKILL);
}
