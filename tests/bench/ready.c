/*
 * ready.c - how long a program takes from its start until its agent is online for everybody to see.
 *
 * ready NAME RUNS AGENT EMPTY PROGRAM ARGUMENT... starts the program RUNS times, each time waits for a fresh
 * (not retained) "online" on the agent's health topic, prints "NAME milliseconds", and stops it again.
 * EMPTY: a database that is removed before each start, "-" for none.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "clock.h"
#include "err.h"
#include "log.h"
#include "topic.h"
#include "wire.h"

#define LIMIT_US 30000000

struct watch {
	struct mqtt *mqtt;
	char topic[TOPIC_MAX];
	bool subscribed, waiting;
	int64_t online_us;
};

static void
on_up(void *arg, bool session)
{
	struct watch *w = arg;
	struct err e;

	(void)session;
	if (mqtt_subscribe(w->mqtt, w->topic, 1, &e) < 0)
		fatalx("ready: %s", e.msg);
}

static void
on_down(void *arg, const char *why)
{
	(void)arg;
	fatalx("ready: the connection ended: %s", why);
}

static void
on_subscribed(void *arg, int mid, int granted)
{
	struct watch *w = arg;

	(void)mid;
	if (granted >= 0x80)
		fatalx("ready: the broker does not let us hear %s", w->topic);
	w->subscribed = true;
}

static void
on_message(void *arg, const struct mqtt_msg *m)
{
	static const char online[] = "\"state\":\"online\"";
	struct watch *w = arg;

	if (w->waiting && !m->retained && memmem(m->payload, m->len, online, sizeof online - 1)) {
		w->online_us = clock_mono_us();
		w->waiting = false;
	}
}

static void
turn(struct watch *w)
{
	mqtt_write(w->mqtt);
	wire_read(w->mqtt, clock_mono_us() + 100000);
	mqtt_tick(w->mqtt);
}

static void
watch_open(struct watch *w, struct wire *wire, const char *agent)
{
	int64_t limit_us = clock_mono_us() + LIMIT_US;
	struct err e;

	topic_format(w->topic, "home", TOPIC_HEALTH, agent, "state");
	wire_init(wire, "operator");
	wire->opts.arg = w;
	wire->opts.on_up = on_up;
	wire->opts.on_down = on_down;
	wire->opts.on_message = on_message;
	wire->opts.on_subscribed = on_subscribed;
	w->mqtt = mqtt_connect(&wire->opts, &e);
	if (!w->mqtt)
		fatalx("ready: %s", e.msg);
	while (!w->subscribed) {
		turn(w);
		if (clock_mono_us() > limit_us)
			fatalx("ready: no connection to the broker");
	}
}

static void
remove_store(const char *path)
{
	char name[600];

	for (const char *const *end = (const char *const[]){ "", "-wal", "-shm", NULL }; *end; end++) {
		snprintf(name, sizeof name, "%s%s", path, *end);
		if (unlink(name) && errno != ENOENT)
			fatal("ready: %s", name);
	}
}

static pid_t
start(char **argv)
{
	pid_t pid = fork();

	if (pid < 0)
		fatal("ready: fork");
	if (pid > 0)
		return pid;
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execv(argv[0], argv);
	fatal("ready: %s", argv[0]);
}

static void
stop(struct watch *w, pid_t pid)
{
	int64_t limit_us = clock_mono_us() + LIMIT_US;
	int status;

	kill(pid, SIGTERM);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		turn(w);
		if (clock_mono_us() > limit_us) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			fatalx("ready: the agent did not stop within %d s", LIMIT_US / 1000000);
		}
	}
}

static double
measure(struct watch *w, char **argv)
{
	int64_t start_us = clock_mono_us();
	pid_t pid;
	int status;

	w->waiting = true;
	pid = start(argv);
	while (w->waiting) {
		turn(w);
		if (waitpid(pid, &status, WNOHANG) == pid)
			fatalx("ready: %s ended before it was online", argv[0]);
		if (clock_mono_us() - start_us > LIMIT_US) {
			kill(pid, SIGKILL);
			fatalx("ready: not online within %d s", LIMIT_US / 1000000);
		}
	}
	stop(w, pid);
	return (double)(w->online_us - start_us) / 1000;
}

int
main(int argc, char **argv)
{
	struct watch w = { 0 };
	struct wire wire;

	if (argc < 6)
		fatalx("usage: ready NAME RUNS AGENT EMPTY PROGRAM ARGUMENT...");
	watch_open(&w, &wire, argv[3]);
	for (long n = strtol(argv[2], NULL, 10); n > 0; n--) {
		if (strcmp(argv[4], "-") != 0)
			remove_store(argv[4]);
		printf("%s %.1f\n", argv[1], measure(&w, argv + 5));
	}
	mqtt_close(w.mqtt, true);
	return 0;
}
