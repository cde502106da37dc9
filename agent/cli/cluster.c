#include "cluster.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "cluster_impl.h"
#include "daemon.h"
#include "err.h"
#include "save.h"
#include "spool.h"

#define READY_MS 30000
#define OWNERS_MS 30000
#define BROKER_STOP_MS 10000
#define STOP_MS 15000                   /* an agent whose configuration cannot be read */
#define KILL_MS 5000
#define LOCK_MS 60000
#define TICK_MS 10

/* The lock goes with the process that holds it. */
static int
lock(struct cluster *c, struct err *e)
{
	char *path = cluster_path(c->dir, "run/lock");
	int64_t until = clock_mono_ms() + LOCK_MS;
	int rc;

	c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while ((rc = c->lock < 0 ? -1 : flock(c->lock, LOCK_EX | LOCK_NB)) && errno == EWOULDBLOCK) {
		if (clock_mono_ms() >= until)
			break;
		poll(NULL, 0, TICK_MS);
	}
	if (rc)
		err_set(e, errno == EWOULDBLOCK ? ERR_BUSY : ERR_IO, errno == EWOULDBLOCK
		    ? "%s: another command is changing this cluster" : "cannot lock %s", path);
	free(path);
	return rc;
}

static int
wait_ready(struct cluster *c, const char *name, int64_t until, struct err *e)
{
	while (!member_is_ready(c, name)) {
		snprintf(c->failed, sizeof c->failed, "%s", name);
		if (!daemon_pid(c->dir, name))
			return err_set(e, ERR_CRASH, "%s ended instead of starting", name);
		if (clock_mono_ms() >= until)
			return err_set(e, ERR_TIMEOUT, "%s is not ready after %d seconds", name, READY_MS / 1000);
		poll(NULL, 0, TICK_MS);
	}
	c->failed[0] = '\0';
	return 0;
}

/* Up */

static int
prepare(struct cluster *c, const struct cluster_up *o, bool *reload, struct err *e)
{
	bool pki = false;

	if (cluster_dir_make(c, e) || lock(c, e))
		return -1;
	if (!cluster_has(c->dir, "houses.yaml")) {
		member_end_strays(c->dir);
		if (cluster_file_write(o, c->dir, e))
			return -1;
	}
	if (cluster_file_load(c, e) || cluster_file_agrees(c, o, e) || cluster_dir_check_run(c, e) ||
	    member_keep_ws_ports(c, e) || cluster_dir_certs(c, &pki, e) || member_write_brokers(c, reload, e) ||
	    cluster_dir_env(c, e))
		return -1;
	*reload |= pki;
	return 0;
}

/* What was found alive may have been about to end: killed a moment ago, it only looked so. */
static int
wait_up(struct cluster *c, const char *name, int64_t until, struct err *e)
{
	if (wait_ready(c, name, until, e) == 0)
		return 0;
	if (e->code != ERR_CRASH || member_start(c, name, e))
		return -1;
	return wait_ready(c, name, until, e);
}

/* Agents wait for a broker by themselves, so all start at once; but the first connection should succeed. */
static int
start_missing(struct cluster *c, bool reload, struct err *e)
{
	size_t n = cluster_count(c);

	for (size_t i = 0; i < n; i++) {
		const char *name = member_name(c, i);

		daemon_signal(c->dir, name, SIGCONT);
		if (i < c->nbrokers && reload)
			daemon_signal(c->dir, name, SIGHUP);
		if (!daemon_pid(c->dir, name) && member_start(c, name, e))
			return -1;
		if (i < c->nbrokers && wait_up(c, name, clock_mono_ms() + READY_MS, e))
			return -1;
	}
	return 0;
}

int
cluster_up(struct cluster *c, const struct cluster_up *o, struct err *e)
{
	int64_t until = clock_mono_ms() + READY_MS;
	bool reload;
	size_t n;

	*c = (struct cluster){ .dir = save_absolute(o->dir), .lock = -1 };
	if (prepare(c, o, &reload, e) || start_missing(c, reload, e)) {
		cluster_dir_not_told(c);
		return -1;
	}
	n = cluster_count(c);
	for (size_t i = c->nbrokers; i < n; i++)
		if (wait_up(c, member_name(c, i), until, e))
			return -1;
	return cluster_policy_begin(c, e) || owners_wait(c->config, OWNERS_MS, o, e) ? -1 : 0;
}

int
cluster_open(struct cluster *c, const char *dir, struct err *e)
{
	*c = (struct cluster){ .dir = save_absolute(dir), .lock = -1 };
	if (!cluster_has(c->dir, "houses.yaml") || !cluster_has(c->dir, "run"))
		err_set(e, ERR_NOT_FOUND, "%s has no cluster: uni-wizard cluster up --dir ...", c->dir);
	else if (cluster_file_load(c, e) == 0 && member_keep_ws_ports(c, e) == 0)
		return 0;
	cluster_release(c);
	return -1;
}

void
cluster_release(struct cluster *c)
{
	if (c->config)
		config_release(c->config);
	free(c->config);
	free(c->dir);
	if (c->lock >= 0)
		close(c->lock);
	*c = (struct cluster){ .lock = -1 };
}

/* Down */

static int
is_pid_file(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot && dot > d->d_name && strcmp(dot, ".pid") == 0;
}

/* Whatever was started, also under a configuration that has changed since. */
static int
list_started(const char *dir, char ***names)
{
	char *run = cluster_path(dir, "run");
	struct dirent **files = NULL;
	int n = scandir(run, &files, is_pid_file, alphasort);

	*names = xcalloc(n > 0 ? (size_t)n : 1, sizeof **names);
	for (int i = 0; i < n; i++) {
		(*names)[i] = xstrndup(files[i]->d_name, strlen(files[i]->d_name) - strlen(".pid"));
		free(files[i]);
	}
	free(files);
	free(run);
	return n > 0 ? n : 0;
}

static int64_t
agent_until(const struct cluster *c)
{
	return clock_mono_ms() + (c->config ? c->config->stop_grace_ms : 0) + STOP_MS;
}

/* Either the brokers or the others, all at once. */
static int
end_kind(const struct cluster *c, char **names, int n, bool brokers, int *killed, struct err *e)
{
	int64_t until = brokers ? clock_mono_ms() + BROKER_STOP_MS : agent_until(c);
	int rc = 0;

	for (int i = 0; i < n; i++)
		if (member_is_broker(names[i]) == brokers)
			member_ask_to_end(c, names[i]);
	for (int i = 0; i < n; i++) {
		if (member_is_broker(names[i]) != brokers)
			continue;
		rc |= member_wait_end(c, names[i], until, e);
		if (!brokers)
			*killed += member_sweep(c, names[i]);
	}
	return rc;
}

/* Sockets of agents that were killed; and their directory, if it is not among the others. */
static void
remove_sockets(const struct cluster *c)
{
	size_t n = c->config ? cluster_count(c) : 0;
	struct buf path = { 0 };

	for (size_t i = c->nbrokers; i < n; i++) {
		buf_clear(&path);
		buf_addf(&path, "%s/%s.sock", c->config->run_dir, member_name(c, i));
		unlink(path.data);
	}
	buf_clear(&path);
	buf_addf(&path, "%s/run", c->dir);
	if (c->config && strcmp(path.data, c->config->run_dir) != 0)
		rmdir(c->config->run_dir);
	buf_free(&path);
}

/* Commands may have left senders of their outboxes behind. */
static void
stop_senders(const struct cluster *c)
{
	if (!c->config)
		return;
	spool_stop(c->config, c->config->sovereign);
	for (size_t i = 0; i < c->config->operators.n; i++)
		spool_stop(c->config, c->config->operators.v[i]);
	for (size_t i = 0; i < c->config->watchers.n; i++)
		spool_stop(c->config, c->config->watchers.v[i]);
}

/* The brokers last: what agents say when they leave still reaches whoever listens. */
static int
end_all(const struct cluster *c, char **names, int n, int *killed, struct err *e)
{
	int rc = end_kind(c, names, n, false, killed, e);

	return rc | end_kind(c, names, n, true, killed, e);
}

int
cluster_down(const char *dir, int *stopped, int *killed, struct err *e)
{
	struct cluster c = { .dir = save_absolute(dir), .lock = -1 };
	char **names = NULL;
	int n = 0, rc = -1;

	*stopped = *killed = 0;
	if (!cluster_has(c.dir, "run") || !cluster_has(c.dir, "log")) {
		err_set(e, ERR_NOT_FOUND, "%s has no cluster", c.dir);
		goto out;
	}
	if (lock(&c, e))
		goto out;
	/* A configuration that was broken meanwhile must not keep the cluster alive. */
	cluster_file_load(&c, NULL);
	n = list_started(c.dir, &names);
	for (int i = 0; i < n; i++)
		*stopped += daemon_pid(c.dir, names[i]) != 0;
	rc = end_all(&c, names, n, killed, e) ? -1 : 0;
	*killed += member_end_strays(c.dir);
	stop_senders(&c);
	remove_sockets(&c);
out:
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	cluster_release(&c);
	return rc;
}

/* One member */

static int
start_one(struct cluster *c, const char *name, struct err *e)
{
	if (!daemon_pid(c->dir, name) && member_start(c, name, e))
		return -1;
	/* An agent is ready when it is connected: without a broker it runs, and that is all it can do. */
	if (!cluster_has_broker(c))
		return 0;
	return wait_ready(c, name, clock_mono_ms() + READY_MS, e);
}

static int
stop_one(struct cluster *c, const char *name, struct err *e)
{
	member_ask_to_end(c, name);
	return member_wait_end(c, name, agent_until(c), e);
}

static int
restart_one(struct cluster *c, const char *name, struct err *e)
{
	return stop_one(c, name, e) || start_one(c, name, e) ? -1 : 0;
}

static int
signal_one(const struct cluster *c, const char *name, int signo, struct err *e)
{
	return daemon_signal(c->dir, name, signo) ? 0 : err_set(e, ERR_NOT_FOUND, "%s does not run", name);
}

static int
kill_one(struct cluster *c, const char *name, struct err *e)
{
	if (signal_one(c, name, SIGKILL, e))
		return -1;
	return daemon_wait_end(c->dir, name, KILL_MS) ? 0 : err_set(e, ERR_TIMEOUT, "%s cannot be ended", name);
}

static int
freeze_one(struct cluster *c, const char *name, struct err *e)
{
	return signal_one(c, name, SIGSTOP, e);
}

static int
thaw_one(struct cluster *c, const char *name, struct err *e)
{
	return signal_one(c, name, SIGCONT, e);
}

static int (*const verbs[])(struct cluster *c, const char *name, struct err *e) = {
	[CLUSTER_START] = start_one,
	[CLUSTER_STOP] = stop_one,
	[CLUSTER_RESTART] = restart_one,
	[CLUSTER_KILL] = kill_one,
	[CLUSTER_FREEZE] = freeze_one,
	[CLUSTER_THAW] = thaw_one,
};

static bool
is_member(const struct cluster *c, const char *name)
{
	size_t n = cluster_count(c);

	for (size_t i = 0; i < n; i++)
		if (strcmp(member_name(c, i), name) == 0)
			return true;
	return false;
}

int
cluster_do(struct cluster *c, enum cluster_verb verb, const char *name, struct err *e)
{
	if (strcmp(name, CLUSTER_BROKER "-1") == 0 && !is_member(c, name))
		name = CLUSTER_BROKER;
	if (!is_member(c, name))
		return err_field(e, ERR_NOT_FOUND, "name", name, CLUSTER_BROKER "%s or an agent of %s/houses.yaml",
		    c->nbrokers > 1 ? "-1, " CLUSTER_BROKER "-2" : "", c->dir);
	return lock(c, e) ? -1 : verbs[verb](c, name, e);
}
