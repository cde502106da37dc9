#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "buf.h"
#include "cluster_impl.h"
#include "cmd.h"
#include "port.h"
#include "save.h"

#define TOKEN_BYTES 16

/* What the four houses of the founding document are for. */
static const struct {
	const char *house, *role, *priority;
} founding[] = {
	{ "timmy", "judgement", "critical" },
	{ "ezra", "archivist", NULL },
	{ "bezalel", "artificer", NULL },
	{ "allegro", "tempo-and-dispatch", NULL },
};

void
cluster_file_put_role(struct buf *b, const char *house)
{
	for (size_t i = 0; i < sizeof founding / sizeof *founding; i++) {
		if (strcmp(founding[i].house, house) != 0)
			continue;
		buf_addf(b, "    role: %s\n", founding[i].role);
		if (founding[i].priority)
			buf_addf(b, "    priority: %s\n", founding[i].priority);
	}
}

/* The file is ours alone, so the token of its HTTP may stand in it. */
static int
put_house(struct buf *b, const char *name, int agents, struct err *e)
{
	unsigned char token[TOKEN_BYTES];

	if (RAND_bytes(token, sizeof token) != 1)
		return err_set(e, ERR_INTERNAL, "no random numbers for the token of house %s", name);
	buf_addf(b, "  %s:\n", name);
	cluster_file_put_role(b, name);
	buf_adds(b, "    agents: [");
	for (int i = 1; i <= agents; i++)
		buf_addf(b, "%s%s-%d", i > 1 ? ", " : "", name, i);
	buf_adds(b, "]\n    auth_token: \"");
	for (size_t i = 0; i < sizeof token; i++)
		buf_addf(b, "%02x", token[i]);
	buf_adds(b, "\"\n");
	return 0;
}

static int
check_name(const char *house, int agents, struct err *e)
{
	struct buf agent = { 0 };
	int rc = name_ok(house) ? 0 : err_field(e, ERR_INVALID, "houses", house,
	    "names of houses ([a-z0-9-], at most %d)", NAME_MAX_LEN);

	for (int i = 1; i <= agents && rc == 0; i++) {
		buf_clear(&agent);
		buf_addf(&agent, "%s-%d", house, i);
		if (member_is_broker(agent.data))
			rc = err_field(e, ERR_INVALID, "houses", house, "another name: a broker here is called %s", agent.data);
	}
	buf_free(&agent);
	return rc;
}

static int
put_houses(struct buf *b, const char *list, int agents, struct err *e)
{
	char *copy = xstrdup(list), *save;
	int n = 0, rc = 0;

	for (char *name = strtok_r(copy, ", ", &save); name && rc == 0; name = strtok_r(NULL, ", ", &save), n++) {
		rc = check_name(name, agents, e);
		if (rc == 0)
			rc = put_house(b, name, agents, e);
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

static void
put_brokers(struct buf *b, const int *ports, size_t n)
{
	buf_adds(b, "brokers: [");
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s\"%s:%d\"", i ? ", " : "", CLUSTER_HOST, ports[i]);
	buf_adds(b, "]\n");
}

static int
choose_ports(int *ports, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		ports[i] = port_choose(ports, i);
		if (!ports[i])
			return err_set(e, ERR_NETWORK, "no free port on %s", CLUSTER_HOST);
	}
	return 0;
}

static int
count_agents(const struct cluster_up *o)
{
	char *copy = xstrdup(o->houses ? o->houses : CLUSTER_HOUSES), *save;
	int n = 0;

	for (char *name = strtok_r(copy, ", ", &save); name; name = strtok_r(NULL, ", ", &save))
		n++;
	free(copy);
	return n * (o->agents_per_house ? o->agents_per_house : 1);
}

/* An even number of voters can be divided into halves, neither of which is a majority. */
static int
put_voters(struct buf *b, const struct cluster_up *o, struct err *e)
{
	int agents = count_agents(o);

	if (o->brokers < 2)
		return 0;
	if (agents < 3)
		return err_set(e, ERR_INVALID, "--brokers: %d brokers need at least three agents, for a majority of "
		    "them says which broker is the one in use; there %s %d", o->brokers,
		    agents == 1 ? "is" : "are", agents);
	if (agents % 2 == 0)
		buf_adds(b, "# Owns nothing, and votes on the broker: an odd number of votes has a majority.\n"
		    "witnesses: [witness]\n");
	return 0;
}

int
cluster_file_write(const struct cluster_up *o, const char *dir, struct err *e)
{
	struct buf b = { 0 };
	size_t n = o->brokers ? (size_t)o->brokers : 1;
	int ports[CONFIG_MAX_BROKERS], rc = choose_ports(ports, n, e);
	char *path = cluster_path(dir, "houses.yaml");

	buf_adds(&b, "# A cluster on this machine. Change what you like, then: uni-wizard cluster down; "
	    "uni-wizard cluster up\n");
	put_brokers(&b, ports, rc == 0 ? n : 0);
	buf_adds(&b, "pki: pki\nstate: state\n# Each agent has a port of its own: state/<agent>.http says which.\n"
	    "http: {listen: \"127.0.0.1:0\"}\n");
	if (rc == 0)
		rc = cluster_key_make(dir, &b, e);
	if (rc == 0 && (rc = put_voters(&b, o, e)) == 0 && (rc = put_run_dir(&b, dir, e)) == 0) {
		buf_adds(&b, "tools:\n  roots: [work]\n  dirs: [tools.d]\nhouses:\n");
		rc = put_houses(&b, o->houses ? o->houses : CLUSTER_HOUSES,
		    o->agents_per_house ? o->agents_per_house : 1, e);
		if (rc == 0)
			rc = houses_save(path, &b, e);
	}
	buf_free(&b);
	free(path);
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

int
cluster_file_agrees(const struct cluster *c, const struct cluster_up *o, struct err *e)
{
	bool same = !o->houses || list_is(c->config, o->houses);

	for (size_t i = 0; i < c->config->nhouses && o->agents_per_house; i++)
		same = same && c->config->houses[i].agents.n == (size_t)o->agents_per_house;
	if (o->brokers && c->nbrokers != (size_t)o->brokers)
		return err_set(e, ERR_CONFLICT, "%s has a cluster with %zu broker%s: change %s/houses.yaml, or choose "
		    "another --dir", c->dir, c->nbrokers, c->nbrokers == 1 ? "" : "s", c->dir);
	return same ? 0 : err_set(e, ERR_CONFLICT, "%s has a cluster with other houses or agents: change "
	    "%s/houses.yaml, or choose another --dir", c->dir, c->dir);
}

/* Its files would be the broker's. */
static int
check_names(const struct cluster *c, struct err *e)
{
	size_t n = cluster_count(c);

	for (size_t i = c->nbrokers; i < n; i++)
		if (member_is_broker(member_name(c, i)))
			return err_field(e, ERR_CONFLICT, "agents", member_name(c, i), "a name that no broker here has");
	return 0;
}

int
cluster_file_load(struct cluster *c, struct err *e)
{
	char *path = cluster_path(c->dir, "houses.yaml");
	struct config *config = xcalloc(1, sizeof *config);
	int rc = config_load(config, path, cmd_warn, NULL, e);

	free(path);
	if (rc) {
		free(config);
		return -1;
	}
	c->config = config;
	c->nbrokers = config->nbrokers;
	for (size_t i = 0; i < c->nbrokers; i++) {
		member_broker_name(c->brokers[i].name, sizeof c->brokers[i].name, i);
		c->brokers[i].port = config->brokers[i].port;
	}
	return check_names(c, e);
}
