#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "broker.h"
#include "buf.h"
#include "clock.h"
#include "cluster_impl.h"
#include "daemon.h"
#include "err.h"
#include "group.h"
#include "json.h"
#include "port.h"
#include "save.h"

#define PING_MS 500
#define KILL_MS 5000                    /* from SIGKILL to gone */
#define SWEEP_MS 3000
#define PORT_MS 2000

static char *
own_program(void)
{
	char path[PATH_MAX];
	size_t len = sizeof path;

	return uv_exepath(path, &len) ? NULL : xstrdup(path);
}

/* Strays */

static int
end_stray_agents(const char *dir, const char *agent)
{
	struct buf b = { 0 };
	int n;

	buf_add(&b, "\0agent\0--config\0", 16);
	buf_addf(&b, "%s/houses.yaml", dir);
	buf_add(&b, "\0--agent\0", 9);
	if (agent)
		buf_add(&b, agent, strlen(agent) + 1);
	n = daemon_kill_like(b.data, b.len);
	buf_free(&b);
	return n;
}

static int
end_stray_broker(const char *dir, const char *broker)
{
	struct buf b = { 0 };
	int n;

	buf_add(&b, "\0-c\0", 4);
	buf_addf(&b, "%s/%s/mosquitto.conf", dir, broker);
	buf_addc(&b, '\0');
	n = daemon_kill_like(b.data, b.len);
	buf_free(&b);
	return n;
}

int
member_end_strays(const char *dir)
{
	char broker[NAME_MAX_LEN + 1];
	int n = end_stray_agents(dir, NULL);

	for (size_t i = 0; i < CONFIG_MAX_BROKERS; i++) {
		member_broker_name(broker, sizeof broker, i);
		if (i == 0 || cluster_has(dir, broker))
			n += end_stray_broker(dir, broker);
	}
	return n;
}

/* Brokers */

void
member_broker_name(char *out, size_t size, size_t i)
{
	if (i == 0)
		snprintf(out, size, CLUSTER_BROKER);
	else
		snprintf(out, size, CLUSTER_BROKER "-%zu", i + 1);
}

bool
member_is_broker(const char *name)
{
	char broker[NAME_MAX_LEN + 1];

	for (size_t i = 0; i < CONFIG_MAX_BROKERS; i++) {
		member_broker_name(broker, sizeof broker, i);
		if (strcmp(broker, name) == 0)
			return true;
	}
	return false;
}

static const struct cluster_broker *
broker_find(const struct cluster *c, const char *name)
{
	for (size_t i = 0; i < c->nbrokers; i++)
		if (strcmp(c->brokers[i].name, name) == 0)
			return &c->brokers[i];
	return NULL;
}

static int
keep_ws_port(const struct cluster *c, struct cluster_broker *b, const int *taken, size_t n, struct err *e)
{
	char *dir = cluster_path(c->dir, b->name), *path = cluster_path(dir, "ws-port"), line[16];
	struct buf text = { .max = 16 };
	int rc = save_dir(dir, 0700, e);

	if (rc == 0 && save_read(path, &text, NULL) == 0)
		b->ws_port = (int)strtol(text.data, NULL, 10);
	if (rc == 0 && (b->ws_port < 1 || b->ws_port > 65535)) {
		b->ws_port = port_choose(taken, n);
		snprintf(line, sizeof line, "%d\n", b->ws_port);
		rc = save_file(path, line, strlen(line), 0600, e);
	}
	buf_free(&text);
	free(dir);
	free(path);
	return rc;
}

int
member_keep_ws_ports(struct cluster *c, struct err *e)
{
	int taken[2 * CONFIG_MAX_BROKERS], rc = 0;
	size_t n = 0;

	for (size_t i = 0; i < c->nbrokers; i++)
		taken[n++] = c->brokers[i].port;
	for (size_t i = 0; i < c->nbrokers && rc == 0; i++) {
		rc = keep_ws_port(c, &c->brokers[i], taken, n, e);
		taken[n++] = c->brokers[i].ws_port;
	}
	return rc;
}

static int
write_broker(const struct cluster *c, const struct cluster_broker *b, bool *changed, struct err *e)
{
	char *dir = cluster_path(c->dir, b->name);
	struct buf log = { 0 };
	struct broker files = { .dir = dir, .bind = CLUSTER_HOST, .port = b->port, .ws_port = b->ws_port,
		.pki_dir = c->config->pki_dir, .cert = CLUSTER_BROKER,
		/* As root it would become another user, who cannot read the keys. */
		.user = geteuid() == 0 ? "root" : NULL };
	int rc;

	buf_addf(&log, "%s/log/%s.log", c->dir, b->name);
	files.log = log.data;
	rc = broker_write(c->config, &files, changed, e);
	buf_free(&log);
	free(dir);
	return rc;
}

int
member_write_brokers(const struct cluster *c, bool *changed, struct err *e)
{
	*changed = false;
	for (size_t i = 0; i < c->nbrokers; i++) {
		bool one;

		if (write_broker(c, &c->brokers[i], &one, e))
			return -1;
		*changed |= one;
	}
	return 0;
}

#define PLAIN 7

/* Agents are given secrets in variables; a broker needs none of them. */
static void
plain_environment(char *env[PLAIN + 1])
{
	static const char *const names[PLAIN] = { "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH" };
	size_t n = 0;

	for (size_t i = 0; i < PLAIN; i++) {
		struct buf b = { 0 };

		if (!getenv(names[i]))
			continue;
		buf_addf(&b, "%s=%s", names[i], getenv(names[i]));
		env[n++] = buf_take(&b);
	}
	env[n] = NULL;
}

static int
start_broker(struct cluster *c, const struct cluster_broker *b, struct err *e)
{
	char *program = broker_program(), *dir = cluster_path(c->dir, b->name);
	char *conf = cluster_path(dir, "mosquitto.conf"), *argv[] = { program, "-c", conf, NULL };
	char *env[PLAIN + 1];
	int rc;

	plain_environment(env);
	end_stray_broker(c->dir, b->name);
	if (!program)
		rc = err_set(e, ERR_NOT_FOUND, "no mosquitto in PATH or where packages put it: install mosquitto");
	else if (!port_gets_free(b->port, PORT_MS) || !port_gets_free(b->ws_port, PORT_MS))
		rc = err_set(e, ERR_NETWORK, "port %d of %s is in use by another program",
		    port_is_free(b->port) ? b->ws_port : b->port, CLUSTER_HOST);
	else
		rc = daemon_start(c->dir, b->name, argv, env, e);
	for (char **v = env; *v; v++)
		free(*v);
	free(program);
	free(dir);
	free(conf);
	return rc;
}

/* Agents and witnesses */

static int
start_agent(struct cluster *c, const char *agent, struct err *e)
{
	char *program = own_program(), *config = cluster_path(c->dir, "houses.yaml"), *name = xstrdup(agent);
	char *argv[] = { program, "agent", "--config", config, "--agent", name, NULL };
	int rc;

	end_stray_agents(c->dir, agent);
	rc = program ? daemon_start(c->dir, agent, argv, NULL, e)
	    : err_set(e, ERR_IO, "cannot find this program's own file");
	free(program);
	free(config);
	free(name);
	return rc;
}

static int
socket_connect(const struct cluster *c, const char *agent)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_usec = PING_MS * 1000 };
	int fd;

	if (snprintf(a.sun_path, sizeof a.sun_path, "%s/%s.sock", c->config->run_dir, agent) >= (int)sizeof a.sun_path)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool
says_ready(const char *text, size_t len)
{
	cJSON *answer = json_parse_object(text, len, NULL);
	bool ready = answer && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "ready"));

	cJSON_Delete(answer);
	return ready;
}

/* Connected to the broker and subscribed: what is published from now on reaches it. */
static bool
agent_is_ready(const struct cluster *c, const char *agent)
{
	static const char ping[] = "{\"op\":\"ping\"}\n";
	char answer[1024];
	size_t len = 0;
	ssize_t n = -1;
	int fd = socket_connect(c, agent);

	if (fd >= 0 && send(fd, ping, strlen(ping), MSG_NOSIGNAL) == (ssize_t)strlen(ping))
		while (len < sizeof answer && !memchr(answer, '\n', len) &&
		    (n = recv(fd, answer + len, sizeof answer - len, 0)) > 0)
			len += (size_t)n;
	if (fd >= 0)
		close(fd);
	return n > 0 && says_ready(answer, len);
}

/* All of them */

size_t
cluster_count(const struct cluster *c)
{
	size_t n = c->nbrokers + c->config->routers.n + c->config->witnesses.n;

	for (size_t i = 0; i < c->config->nhouses; i++)
		n += c->config->houses[i].agents.n;
	return n;
}

/* Its name, what it is, and an agent's house. */
static const char *
look_up(const struct cluster *c, size_t i, const char **kind, const char **house)
{
	const struct config *f = c->config;

	*house = NULL;
	*kind = "broker";
	if (i < c->nbrokers)
		return c->brokers[i].name;
	i -= c->nbrokers;
	*kind = "agent";
	for (const struct config_house *h = f->houses; h < f->houses + f->nhouses; h++) {
		if (i < h->agents.n) {
			*house = h->name;
			return h->agents.v[i];
		}
		i -= h->agents.n;
	}
	if (i < f->routers.n)
		return f->routers.v[i];
	*kind = "witness";
	return f->witnesses.v[i - f->routers.n];
}

const char *
member_name(const struct cluster *c, size_t i)
{
	const char *kind, *house;

	return look_up(c, i, &kind, &house);
}

bool
member_is_ready(const struct cluster *c, const char *name)
{
	const struct cluster_broker *b = broker_find(c, name);

	return b ? port_answers(b->port) && port_answers(b->ws_port) : agent_is_ready(c, name);
}

int
member_start(struct cluster *c, const char *name, struct err *e)
{
	const struct cluster_broker *b = broker_find(c, name);

	snprintf(c->failed, sizeof c->failed, "%s", name);
	return b ? start_broker(c, b, e) : start_agent(c, name, e);
}

void
cluster_member(const struct cluster *c, size_t i, struct cluster_member *out)
{
	const char *name;
	bool frozen;

	*out = (struct cluster_member){ .since_ms = 0 };
	name = look_up(c, i, &out->kind, &out->house);
	snprintf(out->name, sizeof out->name, "%s", name);
	out->pid = daemon_pid(c->dir, name);
	out->since_ms = out->pid ? daemon_since_ms(c->dir, name) : 0;
	frozen = out->pid && daemon_is_frozen(c->dir, name);
	out->state = frozen ? "frozen" : out->pid ? "running" : daemon_known(c->dir, name) ? "died" : "stopped";
	out->ready = out->pid && !frozen && member_is_ready(c, name);
}

bool
cluster_has_broker(const struct cluster *c)
{
	for (size_t i = 0; i < c->nbrokers; i++)
		if (daemon_pid(c->dir, c->brokers[i].name) && !daemon_is_frozen(c->dir, c->brokers[i].name))
			return true;
	return false;
}

/* The end */

/* One that is frozen would not hear it. */
void
member_ask_to_end(const struct cluster *c, const char *name)
{
	daemon_signal(c->dir, name, SIGTERM);
	daemon_signal(c->dir, name, SIGCONT);
}

int
member_wait_end(const struct cluster *c, const char *name, int64_t until, struct err *e)
{
	int64_t left = until - clock_mono_ms();

	if (!daemon_wait_end(c->dir, name, left > 0 ? left : 0)) {
		daemon_signal(c->dir, name, SIGKILL);
		if (!daemon_wait_end(c->dir, name, KILL_MS))
			return err_set(e, ERR_TIMEOUT, "%s (process %lld) cannot be ended", name,
			    (long long)daemon_pid(c->dir, name));
	}
	daemon_forget(c->dir, name);
	return 0;
}

int
member_sweep(const struct cluster *c, const char *agent)
{
	struct buf path = { 0 };
	int n;

	if (c->config)
		buf_addf(&path, "%s/%s.workers", c->config->state_dir, agent);
	else
		buf_addf(&path, "%s/state/%s.workers", c->dir, agent);
	n = ledger_sweep(path.data, SWEEP_MS);
	buf_free(&path);
	return n;
}
