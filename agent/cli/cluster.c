#include "cluster.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include "broker.h"
#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "daemon.h"
#include "group.h"
#include "json.h"
#include "pki.h"
#include "spool.h"
#include "save.h"
#include "ulid.h"

#define READY_MS 30000
#define BROKER_STOP_MS 10000
#define STOP_MS 15000                   /* an agent whose configuration cannot be read */
#define KILL_MS 5000                    /* from SIGKILL to gone */
#define SWEEP_MS 3000
#define LOCK_MS 60000
#define TICK_MS 10
#define PING_MS 500
#define RENEW_DAYS 30

/* Below the range that the system takes for outgoing connections, so that a port that the cluster keeps while
 * it is down is not lost to one of those. */
#define PORT_FIRST 20000
#define PORT_COUNT 12000
#define PORT_TRIES 200

static char *
path_of(const char *dir, const char *name)
{
	struct buf b = { 0 };

	buf_addf(&b, "%s/%s", dir, name);
	return buf_take(&b);
}

static char *
own_program(void)
{
	char path[PATH_MAX];
	size_t len = sizeof path;

	return uv_exepath(path, &len) ? NULL : xstrdup(path);
}

/* The lock goes with the process that holds it. */
static int
lock(struct cluster *c, struct err *e)
{
	char *path = path_of(c->dir, "run/lock");
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

/* Ports */

static bool
port_is_free(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	bool is_free;

	inet_pton(AF_INET, CLUSTER_HOST, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	is_free = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
	if (fd >= 0)
		close(fd);
	return is_free;
}

static int
port_choose(int except)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		uint16_t r;
		int port;

		if (getentropy(&r, sizeof r))
			break;
		port = PORT_FIRST + r % PORT_COUNT;
		if (port != except && port_is_free(port))
			return port;
	}
	return 0;
}

static bool
is_listed(const char *table, int port)
{
	FILE *f = fopen(table, "re");
	char line[256];
	unsigned local, state;
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f))
		found = sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", &local, &state) == 2 &&
		    local == (unsigned)port && state == 10;         /* TCP_LISTEN */
	if (f)
		fclose(f);
	return found;
}

static bool
port_connects(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool answers;

	inet_pton(AF_INET, CLUSTER_HOST, &a.sin_addr);
	answers = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
	if (fd >= 0)
		close(fd);
	return answers;
}

/* Somebody listens there. Where the system tells it is not tried, for the broker would note a failed client.
 * Mosquitto's listener for WebSockets is one of IPv6, whatever its address. */
static bool
port_answers(int port)
{
	if (access("/proc/net/tcp", R_OK))
		return port_connects(port);
	return is_listed("/proc/net/tcp", port) || is_listed("/proc/net/tcp6", port);
}

/* The listener for WebSockets is nobody's business but the broker's: its port is not in houses.yaml. */
static int
ws_port_keep(struct cluster *c, struct err *e)
{
	char *path = path_of(c->dir, "broker/ws-port"), line[16];
	struct buf text = { .max = 16 };
	int rc = 0;

	if (save_read(path, &text, NULL) == 0)
		c->ws_port = (int)strtol(text.data, NULL, 10);
	if (c->ws_port < 1 || c->ws_port > 65535) {
		c->ws_port = port_choose(c->port);
		snprintf(line, sizeof line, "%d\n", c->ws_port);
		rc = save_file(path, line, strlen(line), 0600, e);
	}
	buf_free(&text);
	free(path);
	return rc;
}

/* houses.yaml */

/* What the four houses of the founding document are for. */
static const struct {
	const char *house, *role, *priority;
} founding[] = {
	{ "timmy", "judgement", "critical" },
	{ "ezra", "archivist", NULL },
	{ "bezalel", "artificer", NULL },
	{ "allegro", "tempo-and-dispatch", NULL },
};

static void
put_house(struct buf *b, const char *name, int agents)
{
	buf_addf(b, "  %s:\n", name);
	for (size_t i = 0; i < sizeof founding / sizeof *founding; i++) {
		if (strcmp(founding[i].house, name) != 0)
			continue;
		buf_addf(b, "    role: %s\n", founding[i].role);
		if (founding[i].priority)
			buf_addf(b, "    priority: %s\n", founding[i].priority);
	}
	buf_adds(b, "    agents: [");
	for (int i = 1; i <= agents; i++)
		buf_addf(b, "%s%s-%d", i > 1 ? ", " : "", name, i);
	buf_adds(b, "]\n");
}

static int
put_houses(struct buf *b, const char *list, int agents, struct err *e)
{
	char *copy = xstrdup(list), *save;
	int n = 0, rc = 0;

	for (char *name = strtok_r(copy, ", ", &save); name && rc == 0; name = strtok_r(NULL, ", ", &save), n++) {
		if (name_ok(name))
			put_house(b, name, agents);
		else
			rc = err_field(e, ERR_INVALID, "houses", name, "names of houses ([a-z0-9-], at most %d)", NAME_MAX_LEN);
	}
	if (rc == 0 && n == 0)
		rc = err_field(e, ERR_INVALID, "houses", list, "at least one house");
	free(copy);
	return rc;
}

/* A socket's path has little room. The longest name is that of the longest house's last agent. */
static bool
sockets_fit(const char *dir)
{
	return strlen(dir) + strlen("/run/.sock") + NAME_MAX_LEN < sizeof((struct sockaddr_un *)0)->sun_path;
}

/* Under a long path the sockets are put elsewhere; everything else stays. */
static int
put_run_dir(struct buf *b, const char *dir, struct err *e)
{
	char elsewhere[] = "/tmp/uw-XXXXXX";

	if (sockets_fit(dir)) {
		buf_adds(b, "run: run\n");
		return 0;
	}
	if (!mkdtemp(elsewhere))
		return err_set(e, ERR_IO, "cannot make a directory for sockets in /tmp: %s", strerror(errno));
	buf_addf(b, "# This directory's path is too long for a socket.\nrun: %s\n", elsewhere);
	return 0;
}

/* Checked before it is written, so that a bad name leaves nothing behind. */
static int
houses_save(const char *path, const struct buf *text, struct err *e)
{
	struct config *c = xcalloc(1, sizeof *c);
	int rc = config_parse(c, path, buf_str(text), text->len, NULL, NULL, e);

	if (rc == 0) {
		config_release(c);
		rc = save_file(path, buf_str(text), text->len, 0600, e);
	}
	free(c);
	return rc;
}

static int
houses_write(const char *dir, const char *path, const char *houses, int agents, struct err *e)
{
	struct buf b = { 0 };
	int port = port_choose(0), rc = -1;

	buf_adds(&b, "# A cluster on this machine. Change what you like, then: uni-wizard cluster down; uni-wizard cluster up\n");
	buf_addf(&b, "brokers: [\"%s:%d\"]\npki: pki\nstate: state\n", CLUSTER_HOST, port);
	if (port == 0) {
		err_set(e, ERR_NETWORK, "no free port on %s", CLUSTER_HOST);
	} else if (put_run_dir(&b, dir, e) == 0) {
		buf_adds(&b, "tools:\n  roots: [work]\n  dirs: [tools.d]\nhouses:\n");
		rc = put_houses(&b, houses ? houses : CLUSTER_HOUSES, agents ? agents : 1, e);
		if (rc == 0)
			rc = houses_save(path, &b, e);
	}
	buf_free(&b);
	return rc;
}

static bool
list_is(const struct config *c, const char *list)
{
	char *copy = xstrdup(list), *save;
	size_t n = 0;
	bool same = true;

	for (char *name = strtok_r(copy, ", ", &save); name; name = strtok_r(NULL, ", ", &save), n++)
		same = same && config_house_find(c, name);
	free(copy);
	return same && n == c->nhouses;
}

/* The file is the user's by now, so options that say otherwise are an error and not an order. */
static int
houses_agree(const struct cluster *c, const char *houses, int agents, struct err *e)
{
	bool same = !houses || list_is(c->config, houses);

	for (size_t i = 0; i < c->config->nhouses && agents; i++)
		same = same && c->config->houses[i].agents.n == (size_t)agents;
	return same ? 0 : err_set(e, ERR_CONFLICT, "%s has a cluster with other houses or agents: change %s/houses.yaml, "
	    "or choose another --dir", c->dir, c->dir);
}

static int
houses_load(struct cluster *c, struct err *e)
{
	char *path = path_of(c->dir, "houses.yaml");
	struct config *config = xcalloc(1, sizeof *config);
	int rc = config_load(config, path, cmd_warn, NULL, e);

	free(path);
	if (rc) {
		free(config);
		return -1;
	}
	c->config = config;
	c->port = config->brokers[0].port;
	return 0;
}

static bool
exists(const char *dir, const char *name)
{
	char *path = path_of(dir, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

/* The directory */

static int
make_dirs(const struct cluster *c, struct err *e)
{
	static const char *const names[] = { "run", "log", "broker", "state", "work", "tools.d" };
	int rc = save_dir(c->dir, 0700, e);

	for (size_t i = 0; i < sizeof names / sizeof *names && rc == 0; i++) {
		char *path = path_of(c->dir, names[i]);

		rc = save_dir(path, 0700, e);
		free(path);
	}
	return rc;
}

/* /tmp is everybody's: a directory that somebody else put in the place of ours is not used. */
static int
check_run_dir(const struct cluster *c, struct err *e)
{
	const char *dir = c->config->run_dir;
	struct stat st;

	if (save_dir(dir, 0700, e))
		return -1;
	if (lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(e, ERR_DENIED, "%s: expected a directory that only this user can write", dir);
	return 0;
}

static bool
cert_is_good(const char *dir, const char *name, enum pki_use use)
{
	struct pki_cert cert;

	return pki_read(dir, name, &cert, NULL) == 0 && cert.trusted && cert.has_key && cert.use == use &&
	    cert.until_ms > clock_wall_ms() + RENEW_DAYS * INT64_C(86400000);
}

static int
make_certs(const struct cluster *c, bool *broker_changed, struct err *e)
{
	static const char *const sans[] = { "localhost", CLUSTER_HOST, "::1" };
	size_t max = CONFIG_MAX_IDENTITIES, n;
	const char **who = xcalloc(max, sizeof *who), *dir = c->config->pki_dir;
	bool created;
	int rc = pki_init(dir, 0, &created, e);

	*broker_changed = !cert_is_good(dir, CLUSTER_BROKER, PKI_SERVER);
	if (rc == 0 && *broker_changed)
		rc = pki_issue(dir, CLUSTER_BROKER, PKI_SERVER, sans, sizeof sans / sizeof *sans, 0, e);
	n = config_identities(c->config, who, max);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (!cert_is_good(dir, who[i], PKI_CLIENT))
			rc = pki_issue(dir, who[i], PKI_CLIENT, NULL, 0, 0, e);
	free(who);
	return rc;
}

/* In single quotes nothing is special but the quote itself. */
static void
put_var(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, "export %s='", name);
	for (const char *p = value; *p; p++)
		if (*p == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *p);
	buf_adds(b, "'\n");
}

static void
put_number(struct buf *b, const char *name, int value)
{
	buf_addf(b, "export %s=%d\n", name, value);
}

/* This program, behind whatever is found already; once, however often the file is read. */
static void
put_path(struct buf *b)
{
	char *exe = own_program(), *slash = exe ? strrchr(exe, '/') : NULL;

	if (!slash)
		return;
	*slash = '\0';
	put_var(b, "UW_BIN", exe);
	buf_adds(b, "case :$PATH: in *:\"$UW_BIN\":*) ;; *) PATH=$PATH:$UW_BIN; export PATH ;; esac\n");
	free(exe);
}

static int
write_env(const struct cluster *c, struct err *e)
{
	char *config = path_of(c->dir, "houses.yaml"), *ca = path_of(c->config->pki_dir, "ca.crt");
	char *path = path_of(c->dir, "env");
	struct buf b = { 0 };
	bool changed;
	int rc;

	buf_adds(&b, "# To be read by a shell:  . this-file\n");
	put_var(&b, "UNI_WIZARD_CONFIG", config);
	put_var(&b, "UW_DIR", c->dir);
	put_var(&b, "UW_HOST", CLUSTER_HOST);
	put_number(&b, "UW_PORT", c->port);
	put_number(&b, "UW_WS_PORT", c->ws_port);
	put_var(&b, "UW_CAFILE", ca);
	put_path(&b);
	rc = save_if_changed(path, b.data, b.len, 0600, &changed, e);
	buf_free(&b);
	free(config);
	free(ca);
	free(path);
	return rc;
}

/* Processes of this directory whose record was deleted would hold its ports and databases. */

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
end_stray_broker(const char *dir)
{
	struct buf b = { 0 };
	int n;

	buf_add(&b, "\0-c\0", 4);
	buf_addf(&b, "%s/broker/mosquitto.conf", dir);
	buf_addc(&b, '\0');
	n = daemon_kill_like(b.data, b.len);
	buf_free(&b);
	return n;
}

/* The broker */

static int
write_broker(const struct cluster *c, bool *changed, struct err *e)
{
	char *dir = path_of(c->dir, "broker"), *log = path_of(c->dir, "log/" CLUSTER_BROKER ".log");
	struct broker b = { .dir = dir, .bind = CLUSTER_HOST, .port = c->port, .ws_port = c->ws_port,
		.pki_dir = c->config->pki_dir, .cert = CLUSTER_BROKER, .log = log,
		/* As root it would become another user, who cannot read the keys. */
		.user = geteuid() == 0 ? "root" : NULL };
	int rc = broker_write(c->config, &b, changed, e);

	free(dir);
	free(log);
	return rc;
}

static int
broker_start(struct cluster *c, struct err *e)
{
	char *program = broker_program(), *conf = path_of(c->dir, "broker/mosquitto.conf");
	char *argv[] = { program, "-c", conf, NULL };
	int rc;

	snprintf(c->failed, sizeof c->failed, CLUSTER_BROKER);
	end_stray_broker(c->dir);
	if (!program)
		rc = err_set(e, ERR_NOT_FOUND, "no mosquitto in PATH or where packages put it: install mosquitto");
	else if (!port_is_free(c->port) || !port_is_free(c->ws_port))
		rc = err_set(e, ERR_NETWORK, "port %d of %s is in use by another program",
		    port_is_free(c->port) ? c->ws_port : c->port, CLUSTER_HOST);
	else
		rc = daemon_start(c->dir, CLUSTER_BROKER, argv, e);
	free(program);
	free(conf);
	return rc;
}

/* The agents */

static int
agent_start(struct cluster *c, const char *agent, struct err *e)
{
	char *program = own_program(), *config = path_of(c->dir, "houses.yaml"), *name = xstrdup(agent);
	char *argv[] = { program, "agent", "--config", config, "--agent", name, NULL };
	int rc;

	snprintf(c->failed, sizeof c->failed, "%s", agent);
	end_stray_agents(c->dir, agent);
	rc = program ? daemon_start(c->dir, agent, argv, e) : err_set(e, ERR_IO, "cannot find this program's own file");
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

/* Members: the broker first, then the agents */

size_t
cluster_count(const struct cluster *c)
{
	size_t n = 1;

	for (size_t i = 0; i < c->config->nhouses; i++)
		n += c->config->houses[i].agents.n;
	return n;
}

static const char *
member_name(const struct cluster *c, size_t i, const char **house)
{
	const struct config_house *h = c->config->houses;

	*house = NULL;
	if (i-- == 0)
		return CLUSTER_BROKER;
	while (i >= h->agents.n)
		i -= h++->agents.n;
	*house = h->name;
	return h->agents.v[i];
}

static bool
member_is_ready(const struct cluster *c, const char *name)
{
	if (strcmp(name, CLUSTER_BROKER) == 0)
		return port_answers(c->port) && port_answers(c->ws_port);
	return agent_is_ready(c, name);
}

static int
member_start(struct cluster *c, const char *name, struct err *e)
{
	return strcmp(name, CLUSTER_BROKER) == 0 ? broker_start(c, e) : agent_start(c, name, e);
}

void
cluster_member(const struct cluster *c, size_t i, struct cluster_member *out)
{
	const char *name;

	*out = (struct cluster_member){ .since_ms = 0 };
	name = member_name(c, i, &out->house);
	snprintf(out->name, sizeof out->name, "%s", name);
	out->pid = daemon_pid(c->dir, name);
	out->since_ms = out->pid ? daemon_since_ms(c->dir, name) : 0;
	out->state = out->pid ? "running" : daemon_known(c->dir, name) ? "died" : "stopped";
	out->ready = out->pid && member_is_ready(c, name);
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
prepare(struct cluster *c, const char *houses, int agents, bool *reload, struct err *e)
{
	char *path = path_of(c->dir, "houses.yaml");
	bool fresh, cert = false;
	int rc = -1;

	if (make_dirs(c, e) || lock(c, e))
		goto out;
	fresh = !exists(c->dir, "houses.yaml");
	if (fresh) {
		end_stray_agents(c->dir, NULL);
		end_stray_broker(c->dir);
		if (houses_write(c->dir, path, houses, agents, e))
			goto out;
	}
	if (houses_load(c, e) || houses_agree(c, houses, agents, e) || check_run_dir(c, e) || ws_port_keep(c, e) ||
	    make_certs(c, &cert, e) || write_broker(c, reload, e) || write_env(c, e))
		goto out;
	*reload |= cert;
	rc = 0;
out:
	free(path);
	return rc;
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
	const char *house;

	if (daemon_pid(c->dir, CLUSTER_BROKER) && reload)
		daemon_signal(c->dir, CLUSTER_BROKER, SIGHUP);
	for (size_t i = 0; i < n; i++) {
		const char *name = member_name(c, i, &house);

		if (!daemon_pid(c->dir, name) && member_start(c, name, e))
			return -1;
		if (i == 0 && wait_up(c, name, clock_mono_ms() + READY_MS, e))
			return -1;
	}
	return 0;
}

int
cluster_up(struct cluster *c, const char *dir, const char *houses, int agents_per_house, struct err *e)
{
	int64_t until = clock_mono_ms() + READY_MS;
	const char *house;
	bool reload;
	size_t n;

	*c = (struct cluster){ .dir = save_absolute(dir), .lock = -1 };
	if (prepare(c, houses, agents_per_house, &reload, e) || start_missing(c, reload, e))
		return -1;
	n = cluster_count(c);
	for (size_t i = 1; i < n; i++)
		if (wait_up(c, member_name(c, i, &house), until, e))
			return -1;
	return 0;
}

int
cluster_open(struct cluster *c, const char *dir, struct err *e)
{
	*c = (struct cluster){ .dir = save_absolute(dir), .lock = -1 };
	if (!exists(c->dir, "houses.yaml") || !exists(c->dir, "run"))
		err_set(e, ERR_NOT_FOUND, "%s has no cluster: uni-wizard cluster up --dir ...", c->dir);
	else if (houses_load(c, e) == 0 && ws_port_keep(c, e) == 0)
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
	char *run = path_of(dir, "run");
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

/* Has been sent SIGTERM, if it lives. */
static int
end_one(const char *dir, const char *name, int64_t until, struct err *e)
{
	int64_t left = until - clock_mono_ms();

	if (!daemon_wait_end(dir, name, left > 0 ? left : 0)) {
		daemon_signal(dir, name, SIGKILL);
		if (!daemon_wait_end(dir, name, KILL_MS))
			return err_set(e, ERR_TIMEOUT, "%s (process %lld) cannot be ended", name, (long long)daemon_pid(dir, name));
	}
	daemon_forget(dir, name);
	return 0;
}

/* Workers of an agent that was killed end by themselves; this proves it. */
static int
sweep(const struct cluster *c, const char *agent)
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

static int
end_all(const struct cluster *c, char **names, int n, int *killed, struct err *e)
{
	int64_t until = clock_mono_ms() + (c->config ? c->config->stop_grace_ms : 0) + STOP_MS;
	int rc = 0;

	for (int i = 0; i < n; i++)
		if (strcmp(names[i], CLUSTER_BROKER) != 0)
			daemon_signal(c->dir, names[i], SIGTERM);
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], CLUSTER_BROKER) != 0) {
			rc |= end_one(c->dir, names[i], until, e);
			*killed += sweep(c, names[i]);
		}
	/* The broker last: what agents say when they leave still reaches whoever listens. */
	daemon_signal(c->dir, CLUSTER_BROKER, SIGTERM);
	return rc | end_one(c->dir, CLUSTER_BROKER, clock_mono_ms() + BROKER_STOP_MS, e);
}

/* Sockets of agents that were killed; and their directory, if it is not among the others. */
static void
remove_sockets(const struct cluster *c)
{
	size_t n = c->config ? cluster_count(c) : 0;
	const char *house;
	struct buf path = { 0 };

	for (size_t i = 1; i < n; i++) {
		buf_clear(&path);
		buf_addf(&path, "%s/%s.sock", c->config->run_dir, member_name(c, i, &house));
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

int
cluster_down(const char *dir, int *stopped, int *killed, struct err *e)
{
	struct cluster c = { .dir = save_absolute(dir), .lock = -1 };
	char **names = NULL;
	int n = 0, rc = -1;

	*stopped = *killed = 0;
	if (!exists(c.dir, "run") || !exists(c.dir, "log")) {
		err_set(e, ERR_NOT_FOUND, "%s has no cluster", c.dir);
		goto out;
	}
	if (lock(&c, e))
		goto out;
	/* A configuration that was broken meanwhile must not keep the cluster alive. */
	houses_load(&c, NULL);
	n = list_started(c.dir, &names);
	for (int i = 0; i < n; i++)
		*stopped += daemon_pid(c.dir, names[i]) != 0;
	rc = end_all(&c, names, n, killed, e) ? -1 : 0;
	*killed += end_stray_agents(c.dir, NULL) + end_stray_broker(c.dir);
	stop_senders(&c);
	remove_sockets(&c);
out:
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	cluster_release(&c);
	return rc;
}

/* Restart */

static bool
is_member(const struct cluster *c, const char *name)
{
	size_t n = cluster_count(c);
	const char *house;

	for (size_t i = 0; i < n; i++)
		if (strcmp(member_name(c, i, &house), name) == 0)
			return true;
	return false;
}

int
cluster_restart(struct cluster *c, const char *name, struct err *e)
{
	int64_t limit = c->config->stop_grace_ms + STOP_MS;

	if (!is_member(c, name))
		return err_field(e, ERR_NOT_FOUND, "name", name, CLUSTER_BROKER " or an agent of %s/houses.yaml", c->dir);
	if (lock(c, e))
		return -1;
	daemon_signal(c->dir, name, SIGTERM);
	if (end_one(c->dir, name, clock_mono_ms() + limit, e) || member_start(c, name, e))
		return -1;
	/* An agent is ready when it is connected: without a broker it runs, and that is all it can do. */
	if (!daemon_pid(c->dir, CLUSTER_BROKER))
		return 0;
	return wait_ready(c, name, clock_mono_ms() + READY_MS, e);
}
