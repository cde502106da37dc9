/*
 * cmd_cluster.c - cluster up, status, down, and what is done to one member: a cluster on this machine.
 */
#include "buf.h"
#include "clock.h"
#include "cluster.h"
#include "cmd.h"
#include "daemon.h"
#include "err.h"
#include "json.h"

#define DEFAULT_DIR "build/demo"
#define TAIL_LINES 20

#define OPT_DIR { .name = "dir", .kind = OPT_TEXT, .arg = "DIR", .complete = "files", \
	.help = "the cluster's directory (else that of $UNI_WIZARD_CONFIG, else ./" DEFAULT_DIR ")" }
#define OPT_END { .name = NULL }

/* Caller frees. */
static char *
dir_get(const struct cmd_args *a)
{
	const char *dir = cmd_text(a, "dir", NULL), *config = getenv("UNI_WIZARD_CONFIG");
	const char *slash = config ? strrchr(config, '/') : NULL;

	if (dir)
		return xstrdup(dir);
	return slash && slash > config ? xstrndup(config, (size_t)(slash - config)) : xstrdup(DEFAULT_DIR);
}

/* With the end of the log of whatever did not start. */
static int
fail(const struct cluster *c, const struct err *e)
{
	struct buf tail = { 0 };

	if (c->failed[0])
		daemon_log_tail(c->dir, c->failed, TAIL_LINES, &tail);
	cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e->msg);
	if (tail.len)
		fprintf(stderr, "The end of %s/log/%s.log:\n%s", c->dir, c->failed, tail.data);
	buf_free(&tail);
	return e->code == ERR_INVALID || e->code == ERR_CONFLICT || e->code == ERR_CONFIG ? EXIT_USAGE
	    : EXIT_NOT_SUCCEEDED;
}

/* Status */

static int64_t
uptime_s(const struct cluster_member *m)
{
	int64_t ms = clock_wall_ms() - m->since_ms;

	return m->pid && ms > 0 ? ms / 1000 : 0;
}

static void
uptime_format(const struct cluster_member *m, char *out, size_t size)
{
	long long s = uptime_s(m);

	if (!m->pid)
		snprintf(out, size, "-");
	else if (s < 60)
		snprintf(out, size, "%llds", s);
	else if (s < 3600)
		snprintf(out, size, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, size, "%lldh%02lldm", s / 3600, s / 60 % 60);
	else
		snprintf(out, size, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

static void
put_member(struct buf *b, const struct cluster_member *m)
{
	json_put_open(b, '{');
	json_kv_str(b, "name", m->name);
	json_kv_str(b, "kind", m->kind);
	json_kv_str(b, "house", m->house);
	json_kv_str(b, "state", m->state);
	json_kv_bool(b, "ready", m->ready);
	json_put_key(b, "pid");
	if (m->pid)
		json_put_int(b, m->pid);
	else
		json_put_str(b, NULL);
	json_kv_int(b, "uptime_s", uptime_s(m));
	json_put_close(b, '}');
}

static void
row_member(struct table *t, const struct cluster_member *m)
{
	char uptime[32];

	uptime_format(m, uptime, sizeof uptime);
	table_cell(t, "%s", m->name);
	table_cell(t, "%s", m->kind);
	table_cell(t, "%s", m->house ? m->house : "-");
	if (m->pid)
		table_cell(t, "%lld", (long long)m->pid);
	else
		table_cell(t, "-");
	table_cell(t, "%s", m->state);
	table_cell(t, "%s", m->ready ? "yes" : "no");
	table_cell(t, "%s", uptime);
}

/* Port and ws_port are the first broker's. */
static void
put_brokers(struct buf *b, const struct cluster *c)
{
	json_kv_int(b, "port", c->brokers[0].port);
	json_kv_int(b, "ws_port", c->brokers[0].ws_port);
	json_put_key(b, "brokers");
	json_put_open(b, '[');
	for (size_t i = 0; i < c->nbrokers; i++) {
		json_put_open(b, '{');
		json_kv_str(b, "name", c->brokers[i].name);
		json_kv_int(b, "port", c->brokers[i].port);
		json_kv_int(b, "ws_port", c->brokers[i].ws_port);
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
}

static int
show_status(const struct cmd_args *a, const struct cluster *c)
{
	static const char *const heads[] = { "name", "kind", "house", "pid", "state", "ready", "uptime", NULL };
	struct table *t = a->json ? NULL : table_new(heads);
	struct buf b = { 0 };
	bool ready = true;
	size_t n = cluster_count(c);

	json_put_open(&b, '{');
	json_kv_str(&b, "dir", c->dir);
	json_kv_str(&b, "host", CLUSTER_HOST);
	put_brokers(&b, c);
	json_put_key(&b, "members");
	json_put_open(&b, '[');
	for (size_t i = 0; i < n; i++) {
		struct cluster_member m;

		cluster_member(c, i, &m);
		ready = ready && m.ready;
		put_member(&b, &m);
		if (t)
			row_member(t, &m);
	}
	json_put_close(&b, ']');
	json_kv_bool(&b, "ready", ready);
	json_put_close(&b, '}');
	if (t)
		table_print(t);
	else
		puts(buf_str(&b));
	buf_free(&b);
	return ready ? EXIT_OK : EXIT_NOT_SUCCEEDED;
}

static int
status_run(const struct cmd_args *a)
{
	char *dir = dir_get(a);
	struct cluster c;
	struct err e;
	int rc = cluster_open(&c, dir, &e);

	free(dir);
	if (rc)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	rc = show_status(a, &c);
	cluster_release(&c);
	return rc;
}

/* Up */

static void
print_quoted(const char *text)
{
	putchar('\'');
	for (const char *p = text; *p; p++)
		fputs(*p == '\'' ? "'\\''" : (char[]){ *p, '\0' }, stdout);
	putchar('\'');
}

static void
print_client(const struct cluster *c, const char *program, const char *identity)
{
	static const struct {
		const char *option, *suffix;
	} files[] = { { "--cert", ".crt" }, { "--key", ".key" } };
	struct buf path = { 0 };

	printf("  %s -V 5 -h " CLUSTER_HOST " -p %d", program, c->brokers[0].port);
	buf_addf(&path, "%s/ca.crt", c->config->pki_dir);
	printf(" --cafile ");
	print_quoted(path.data);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		buf_clear(&path);
		buf_addf(&path, "%s/%s%s", c->config->pki_dir, identity, files[i].suffix);
		printf(" \\\n    %s ", files[i].option);
		print_quoted(path.data);
	}
	printf(" \\\n    -q 1 ");
	buf_free(&path);
}

static void
print_hints(const struct cluster *c)
{
	const char *house = config_house_find(c->config, "ezra") ? "ezra" : c->config->houses[0].name;
	const char *watcher = c->config->watchers.n ? c->config->watchers.v[0] : c->config->sovereign;
	const char *sender = c->config->operators.n ? c->config->operators.v[0] : c->config->sovereign;
	char topic[TOPIC_MAX];

	printf("\nWatch what happens:\n");
	print_client(c, "mosquitto_sub", watcher);
	topic_format(topic, c->config->cluster, TOPIC_EVENT, "+", "+");
	printf("-t '%s'\n\nSend a task:\n", topic);
	print_client(c, "mosquitto_pub", sender);
	topic_format(topic, c->config->cluster, TOPIC_TASK, house, sender);
	printf("-t '%s' \\\n    -m '{\"tool\":\"system_info\"}'\n", topic);
	printf("\nOr with this program:\n  . ");
	print_quoted(c->dir);
	printf("/env\n  uni-wizard submit system_info --house %s --wait\n", house);
}

static void
print_brokers(const struct cluster *c)
{
	for (size_t i = 0; i < c->nbrokers; i++)
		printf("%sa broker on " CLUSTER_HOST ":%d (WebSockets: %d)", i ? ", " : "", c->brokers[i].port,
		    c->brokers[i].ws_port);
}

static void
print_up(const struct cluster *c)
{
	size_t n = cluster_count(c), agents = n - c->nbrokers;
	struct cluster_member m;

	printf("The cluster in %s is up: ", c->dir);
	print_brokers(c);
	printf(" and %zu agent%s\n ", agents, agents == 1 ? "" : "s");
	for (size_t i = c->nbrokers; i < n; i++) {
		cluster_member(c, i, &m);
		printf(" %s", m.name);
	}
	putchar('\n');
	print_hints(c);
}

static void
say_waiting(void *arg, const char *houses)
{
	(void)arg;
	fprintf(stderr, "Waiting for an owner of %s\n", houses);
}

static int
up_run(const struct cmd_args *a)
{
	char *dir = dir_get(a);
	struct cluster c;
	struct err e;
	int rc = cluster_up(&c, &(struct cluster_up){ .dir = dir, .houses = cmd_text(a, "houses", NULL),
	    .agents_per_house = (int)cmd_int(a, "agents-per-house", 0), .brokers = (int)cmd_int(a, "brokers", 0),
	    .on_wait = say_waiting }, &e);

	free(dir);
	if (rc)
		rc = fail(&c, &e);
	else if (a->json)
		rc = show_status(a, &c);
	else
		print_up(&c);
	cluster_release(&c);
	return rc;
}

/* Down */

static int
down_run(const struct cmd_args *a)
{
	char *dir = dir_get(a);
	int stopped, killed, rc;
	struct err e;

	rc = cluster_down(dir, &stopped, &killed, &e);
	if (rc)
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	else if (a->json)
		printf("{\"stopped\":%d,\"left_behind\":%d}\n", stopped, killed);
	else if (killed)
		printf("%d stopped; %d left behind by agents that had died, ended too\n", stopped, killed);
	else
		printf("%d stopped; nothing is left running\n", stopped);
	free(dir);
	return rc;
}

/* One member */

static const struct {
	enum cluster_verb verb;
	const char *name, *done;
	bool starts;
} verbs[] = {
	{ CLUSTER_START, "cluster start", "runs", true },
	{ CLUSTER_STOP, "cluster stop", "has stopped", false },
	{ CLUSTER_RESTART, "cluster restart", "runs again", true },
	{ CLUSTER_KILL, "cluster kill", "was killed", false },
	{ CLUSTER_FREEZE, "cluster freeze", "stands still", false },
	{ CLUSTER_THAW, "cluster thaw", "goes on", false },
};

static void
print_done(const struct cluster *c, size_t verb, const char *name)
{
	printf("%s %s", name, verbs[verb].done);
	if (verbs[verb].starts)
		printf(", process %lld%s", (long long)daemon_pid(c->dir, name), cluster_has_broker(c) ? "" :
		    "; no broker does: uni-wizard cluster start " CLUSTER_BROKER);
	putchar('\n');
}

static int
member_run(const struct cmd_args *a)
{
	char *dir = dir_get(a);
	struct cluster c;
	struct err e;
	size_t v = 0;
	int rc = cluster_open(&c, dir, &e);

	free(dir);
	if (rc)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	while (strcmp(verbs[v].name, a->cmd->name) != 0)
		v++;
	if (cluster_do(&c, verbs[v].verb, a->argv[0], &e))
		rc = fail(&c, &e);
	else
		print_done(&c, v, a->argv[0]);
	cluster_release(&c);
	return rc;
}

const struct cmd cmd_cluster_up = {
	.name = "cluster up",
	.help = "Start brokers and agents on this machine, with everything they need",
	.more = "Returns when every agent is ready and every house has an owner. Run again, it starts what is missing and keeps ports, "
	    "certificates and DIR/houses.yaml, which is yours to change. DIR/env has what shells and Mosquitto's "
	    "clients need.",
	.opts = (const struct cmd_opt[]){
		OPT_DIR,
		{ .name = "houses", .kind = OPT_TEXT, .arg = "A,B,...", .help = "of a new cluster (" CLUSTER_HOUSES ")" },
		{ .name = "agents-per-house", .kind = OPT_INT, .arg = "N", .min = 1, .max = CONFIG_MAX_AGENTS,
		  .help = "of a new cluster (1)" },
		{ .name = "brokers", .kind = OPT_INT, .arg = "N", .min = 1, .max = CONFIG_MAX_BROKERS,
		  .help = "of a new cluster (1); more than one need three agents, whose majority chooses" },
		OPT_END },
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.run = up_run,
};

const struct cmd cmd_cluster_status = {
	.name = "cluster status",
	.help = "Show the broker and the agents of a cluster on this machine",
	.more = "Exit code 1 unless all of them are ready.",
	.opts = (const struct cmd_opt[]){ OPT_DIR, OPT_END },
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.run = status_run,
};

const struct cmd cmd_cluster_down = {
	.name = "cluster down",
	.help = "Stop a cluster on this machine; its directory stays",
	.opts = (const struct cmd_opt[]){ OPT_DIR, OPT_END },
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.run = down_run,
};

#define MEMBER(verb, text, why)                                       \
	const struct cmd cmd_cluster_##verb = {                        \
		.name = "cluster " #verb,                              \
		.args = "NAME",                                        \
		.help = text,                                          \
		.more = why,                                           \
		.opts = (const struct cmd_opt[]){ OPT_DIR, OPT_END },  \
		.min_args = 1,                                         \
		.max_args = 1,                                         \
		.flags = CMD_NO_CONFIG,                                \
		.complete = "members",                                 \
		.run = member_run,                                     \
	}

MEMBER(start, "Start an agent or a broker that does not run", NULL);
MEMBER(stop, "Stop an agent or a broker: it may end its work, and is ended by force at last", NULL);
MEMBER(restart, "Start an agent or a broker again; stop it first if it runs", NULL);
MEMBER(kill, "End an agent or a broker without a word, as if it had died",
    "For drills. `uni-wizard cluster start`, or `up`, starts it again.");
MEMBER(freeze, "Have an agent or a broker stand still, with all its connections",
    "For drills: it is sent SIGSTOP. Workers of an agent go on with what they have. `uni-wizard cluster thaw` "
    "ends it.");
MEMBER(thaw, "Have an agent or a broker go on that was frozen", NULL);
