#include "host_job.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker.h"
#include "pki.h"
#include "save.h"
#include "yaml_edit.h"

#define FILE_MAX_BYTES (1u << 20)

/* What is said of one machine: hosts have ways of their own. */
static const char *const own_keys[] = { "hosts", "identity", "pki", "state", "run", "sovereign_key" };

/* The file */

static int
make_bare(struct host_job *j, struct err *e)
{
	int rc = 0;

	buf_clear(&j->bare);
	buf_adds(&j->bare, "# From the machine that looks after this cluster: what is changed here is lost.\n");
	buf_add(&j->bare, buf_str(&j->text), j->text.len);
	for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys && rc == 0; i++)
		rc = yaml_remove(&j->bare, own_keys[i], e);
	return rc;
}

int
host_job_read(struct host_job *j, struct err *e)
{
	struct config *c = xcalloc(1, sizeof *c);

	if (config_parse(c, j->path, buf_str(&j->text), j->text.len, NULL, NULL, e) || make_bare(j, e)) {
		free(c);
		return err_wrap(e, "not written");
	}
	if (j->config) {
		config_release(j->config);
		free(j->config);
	}
	j->config = c;
	if (j->host)
		j->host = config_host_find(c, j->ssh.name);
	return 0;
}

int
host_job_open(struct host_job *j, const struct cmd_args *a)
{
	char real[PATH_MAX];
	struct err e = { 0 };
	struct config *c = xcalloc(1, sizeof *c);
	int rc = cmd_config(a, c);

	*j = (struct host_job){ .a = a, .before = { .max = FILE_MAX_BYTES }, .text = { .max = 2 * FILE_MAX_BYTES } };
	if (rc) {
		free(c);
		return rc;
	}
	j->path = xstrdup(realpath(c->path, real) ? real : c->path);
	config_release(c);
	free(c);
	if (save_read(j->path, &j->before, &e) == 0) {
		buf_add(&j->text, buf_str(&j->before), j->before.len);
		if (host_job_read(j, &e) == 0)
			return 0;
	}
	host_job_close(j);
	return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
}

void
host_job_close(struct host_job *j)
{
	ssh_close(&j->ssh);
	if (j->config)
		config_release(j->config);
	free(j->config);
	free(j->path);
	free(j->package);
	buf_free(&j->before);
	buf_free(&j->text);
	buf_free(&j->bare);
	*j = (struct host_job){ .a = NULL };
}

int
host_job_choose(struct host_job *j, const char *name, struct err *e)
{
	j->host = config_host_find(j->config, name);
	if (!j->host)
		return err_field(e, ERR_NOT_FOUND, "NAME", name, "one of `hosts` in %s (`uni-wizard host list`)", j->path);
	ssh_close(&j->ssh);
	ssh_init(&j->ssh, j->config, j->host);
	return 0;
}

bool
host_job_is_saved(const struct host_job *j)
{
	return j->before.len == j->text.len && memcmp(buf_str(&j->before), buf_str(&j->text), j->text.len) == 0;
}

int
host_job_save(struct host_job *j, struct err *e)
{
	struct buf now = { .max = FILE_MAX_BYTES };
	struct stat st;
	int rc = -1;

	if (save_read(j->path, &now, e))
		goto out;
	if (now.len != j->before.len || memcmp(buf_str(&now), buf_str(&j->before), now.len) != 0) {
		err_set(e, ERR_CONFLICT, "%s was changed by somebody else meanwhile: run this again", j->path);
		goto out;
	}
	if (stat(j->path, &st)) {
		err_set(e, ERR_IO, "%s: %s", j->path, strerror(errno));
		goto out;
	}
	rc = save_file(j->path, buf_str(&j->text), j->text.len, st.st_mode & 0777, e);
	if (rc == 0) {
		buf_clear(&j->before);
		buf_add(&j->before, buf_str(&j->text), j->text.len);
	}
out:
	buf_free(&now);
	return rc;
}

/* Brokers */

bool
host_has_broker(const struct config_host *h)
{
	return strcmp(h->broker, "on") == 0;
}

int
host_broker_port(const struct config *c, const struct config_host *h)
{
	for (size_t i = 0; i < c->nbrokers; i++)
		if (strcmp(c->brokers[i].host, h->address) == 0)
			return c->brokers[i].port;
	return BROKER_PORT;
}

void
host_broker_name(const struct config_host *h, char *out)
{
	snprintf(out, sizeof(config_name), "broker-%.*s", HOST_BROKER_NAME_MAX, h->name);
}

/* What the reader puts where the file says nothing. */
static bool
brokers_are_default(const struct config *c)
{
	return c->nbrokers == 1 && strcmp(c->brokers[0].host, "localhost") == 0 && c->brokers[0].port == BROKER_PORT;
}

static bool
some_host_has_broker(const struct config *c)
{
	for (size_t i = 0; i < c->nhosts; i++)
		if (host_has_broker(&c->hosts[i]))
			return true;
	return false;
}

static int
plan_broker(struct host_job *j, const struct config_host *h, struct err *e)
{
	struct buf word = { 0 };
	int rc;

	for (size_t i = 0; i < j->config->nbrokers; i++)
		if (strcmp(j->config->brokers[i].host, h->address) == 0)
			return 0;
	buf_addf(&word, strchr(h->address, ':') ? "%s\"[%s]:%d\"%s" : "%s\"%s:%d\"%s", brokers_are_default(j->config) ? "[" : "",
	    h->address, BROKER_PORT, brokers_are_default(j->config) ? "]" : "");
	rc = brokers_are_default(j->config) ? yaml_put(&j->text, "brokers", word.data, e) : yaml_list_add(&j->text, "brokers", word.data, e);
	buf_free(&word);
	return rc || host_job_read(j, e) ? -1 : 0;
}

/* Agents */

struct former {
	const char *name;
	bool found;
};

static void
see_former(void *arg, const char *file, const struct pki_cert *c, const char *why)
{
	struct former *f = arg;

	(void)file;
	(void)why;
	f->found |= c && c->revoked && strcmp(c->name, f->name) == 0;
}

/* Whoever once had the name may still be connected under it, so it is not given to another until its certificates have expired. */
static bool
was_revoked(const struct config *c, const char *name)
{
	struct former f = { .name = name };

	pki_each(c->pki_dir, see_former, &f, NULL);
	return f.found;
}

/* One of which certificates are out was set up by other means. */
static bool
runs_elsewhere(const struct config *c, const char *name)
{
	struct pki_cert cert;

	return pki_read(c->pki_dir, name, &cert, NULL) == 0 || was_revoked(c, name);
}

static int
fresh_name(const struct config *c, const char *house, config_name out, struct err *e)
{
	char name[NAME_MAX_LEN + 16];

	for (int i = 1; i <= 999; i++) {
		snprintf(name, sizeof name, "%s-%d", house, i);
		if (!name_ok(name))
			break;
		if (config_identity_kind(c, name) != IDENTITY_UNKNOWN || was_revoked(c, name))
			continue;
		memcpy(out, name, strlen(name) + 1);
		return 0;
	}
	return err_field(e, ERR_INVALID, "agent", name, "a name of at most %d bytes: give one with --agent", NAME_MAX_LEN);
}

/* The whole list, since what the file does not say is a default that goes when it says something. */
static int
add_to_house(struct host_job *j, const char *house, const char *agent, struct err *e)
{
	const struct config_house *h = config_house_find(j->config, house);
	struct buf path = { 0 };
	int rc = 0;

	/* What changes nothing is not written: no agent would have to take it up. */
	if (h && config_names_has(&h->agents, agent))
		return 0;
	buf_addf(&path, "houses.%s.agents", house);
	for (size_t i = 0; h && i < h->agents.n && rc == 0; i++)
		rc = yaml_list_add(&j->text, path.data, h->agents.v[i], e);
	if (rc == 0)
		rc = yaml_list_add(&j->text, path.data, agent, e);
	buf_free(&path);
	return rc || host_job_read(j, e) ? -1 : 0;
}

/* An agent of the house that runs nowhere yet, or a further one. */
static int
choose_agent(struct host_job *j, const char *house, const char *wish, config_name out, struct err *e)
{
	const struct config_house *h = config_house_find(j->config, house);
	const struct config_host *on;

	if (wish) {
		on = config_host_of(j->config, wish);
		if (on)
			return err_set(e, ERR_CONFLICT, "agent: %s runs on %s already", wish, on->name);
		if (config_home(j->config, wish) && config_home(j->config, wish) != h)
			return err_set(e, ERR_CONFLICT, "agent: %s is at home in %s", wish, config_home(j->config, wish)->name);
		if (was_revoked(j->config, wish))
			return err_set(e, ERR_CONFLICT, "agent: certificates of %s were revoked, and who had them may still use the name: "
			    "choose another", wish);
		memcpy(out, wish, strlen(wish) + 1);
		return 0;
	}
	for (size_t i = 0; h && i < h->agents.n; i++)
		if (!config_host_of(j->config, h->agents.v[i]) && !runs_elsewhere(j->config, h->agents.v[i])) {
			memcpy(out, h->agents.v[i], sizeof(config_name));
			return 0;
		}
	return fresh_name(j->config, house, out, e);
}

static bool
has_agent_of(const struct config *c, const struct config_host *h, const char *house)
{
	for (size_t i = 0; i < h->agents.n; i++) {
		const struct config_house *home = config_home(c, h->agents.v[i]);

		if (home && strcmp(home->name, house) == 0)
			return true;
	}
	return false;
}

static int
plan_agent(struct host_job *j, const char *name, const char *agent, struct err *e)
{
	struct buf path = { 0 };
	int rc;

	buf_addf(&path, "hosts.%s.agents", name);
	rc = yaml_list_add(&j->text, path.data, agent, e);
	buf_free(&path);
	return rc || host_job_read(j, e) ? -1 : 0;
}

static int
plan_house(struct host_job *j, const char *name, const struct host_plan *p, struct err *e)
{
	const struct config_host *h = config_host_find(j->config, name);
	config_name agent;

	/* A slip must not make a house; and one that the policy does not name has no checks. */
	if (!config_house_find(j->config, p->house))
		return err_field(e, ERR_NOT_FOUND, "house", p->house, "a house of %s (write it there first)", j->path);
	if (p->agent ? config_names_has(&h->agents, p->agent) : has_agent_of(j->config, h, p->house))
		return 0;
	return choose_agent(j, p->house, p->agent, agent, e) || add_to_house(j, p->house, agent, e) || plan_agent(j, name, agent, e)
	    ? -1 : 0;
}

/* A witness is called as its host. */
static int
plan_witness(struct host_job *j, const char *name, struct err *e)
{
	const struct config_host *h = config_host_find(j->config, name);

	for (size_t i = 0; i < h->agents.n; i++)
		if (config_names_has(&j->config->witnesses, h->agents.v[i]))
			return 0;
	if (!config_names_has(&j->config->witnesses, name) && config_identity_kind(j->config, name) != IDENTITY_UNKNOWN)
		return err_set(e, ERR_CONFLICT, "a witness would be called %s as its host, and somebody is already", name);
	return yaml_list_add(&j->text, "witnesses", name, e) || host_job_read(j, e) || plan_agent(j, name, name, e) ? -1 : 0;
}

static int
put_member(struct host_job *j, const char *name, const char *key, const char *value, struct err *e)
{
	struct buf path = { 0 }, quoted = { 0 };
	int rc;

	buf_addf(&path, "hosts.%s.%s", name, key);
	buf_addf(&quoted, "\"%s\"", value);
	rc = yaml_put(&j->text, path.data, quoted.data, e);
	buf_free(&path);
	buf_free(&quoted);
	return rc;
}

static int
check_plan(const char *name, const struct host_plan *p, struct err *e)
{
	struct config_ssh ssh;

	if (!name_ok(name))
		return err_field(e, ERR_INVALID, "NAME", name, "a name ([a-z0-9-], at most %d)", NAME_MAX_LEN);
	if (p->broker && strlen(name) > HOST_BROKER_NAME_MAX)
		return err_field(e, ERR_INVALID, "NAME", name, "at most %d bytes, for a host with a broker", HOST_BROKER_NAME_MAX);
	if (p->ssh && !config_ssh(p->ssh, &ssh))
		return err_field(e, ERR_INVALID, "ssh", p->ssh, "user@host or user@host:port");
	if (p->address && !config_address_ok(p->address))
		return err_field(e, ERR_INVALID, "address", p->address, "a host name or an address");
	if (p->agent && !name_ok(p->agent))
		return err_field(e, ERR_INVALID, "agent", p->agent, "a name ([a-z0-9-], at most %d)", NAME_MAX_LEN);
	return 0;
}

static int
plan_host(struct host_job *j, const char *name, const struct host_plan *p, struct err *e)
{
	const struct config_host *h = config_host_find(j->config, name);
	struct buf path = { 0 }, value = { 0 };
	int rc = 0;

	if (!h && !p->ssh)
		return err_set(e, ERR_MISSING, "ssh: expected --ssh user@host, since %s has no host %s yet", j->path, name);
	if (!h) {
		buf_addf(&path, "hosts.%s", name);
		buf_addf(&value, "{ssh: \"%s\"}", p->ssh);
		rc = yaml_put(&j->text, path.data, value.data, e);
		buf_free(&path);
		buf_free(&value);
	} else if (p->ssh && strcmp(p->ssh, h->ssh) != 0) {
		rc = put_member(j, name, "ssh", p->ssh, e);
	}
	if (rc == 0 && p->address && !(h && strcmp(h->address, p->address) == 0))
		rc = put_member(j, name, "address", p->address, e);
	if (rc == 0 && p->broker && !(h && host_has_broker(h)))
		rc = put_member(j, name, "broker", "on", e);
	return rc || host_job_read(j, e) ? -1 : 0;
}

int
host_plan_add(struct host_job *j, const char *name, const struct host_plan *p, struct err *e)
{
	const struct config_host *h;

	if (check_plan(name, p, e) || plan_host(j, name, p, e) || (p->house && plan_house(j, name, p, e)) ||
	    (p->witness && plan_witness(j, name, e)))
		return -1;
	h = config_host_find(j->config, name);
	if (host_has_broker(h) && plan_broker(j, h, e))
		return -1;
	h = config_host_find(j->config, name);
	if (!h->agents.n && !host_has_broker(h))
		return err_set(e, ERR_MISSING, "nothing would run on %s: give --house, --broker or --witness", name);
	if (brokers_are_default(j->config) && !some_host_has_broker(j->config))
		return err_set(e, ERR_MISSING, "the cluster has no broker yet: give --broker with the host that shall have it");
	return 0;
}

/* Striking */

static int
strike_from(struct host_job *j, const char *path, const struct config_names *names, const char *agent, struct err *e)
{
	if (!config_names_has(names, agent))
		return 0;
	/* An empty list would be an error, and what is missing has its default. */
	return names->n == 1 ? yaml_remove(&j->text, path, e) : yaml_list_remove(&j->text, path, agent, e);
}

/* A house needs an agent. The name of the one that goes is not used again, so a further one takes its place, until a host is
 * added that runs it. */
static int
strike_from_home(struct host_job *j, const struct config_house *home, const char *agent, struct err *e)
{
	struct buf path = { 0 };
	config_name next, house;
	int rc = 0;

	memcpy(house, home->name, sizeof house);
	if (home->agents.n == 1)
		rc = fresh_name(j->config, house, next, e) || add_to_house(j, house, next, e) ? -1 : 0;
	buf_addf(&path, "houses.%s.agents", house);
	if (rc == 0)
		rc = yaml_list_remove(&j->text, path.data, agent, e);
	buf_free(&path);
	return rc;
}

/* Candidates that were made up by the reader are not in the file, and to take away what is not there does nothing. */
static int
strike_from_candidates(struct host_job *j, const char *agent, struct err *e)
{
	struct buf path = { 0 };
	int rc = 0;

	for (size_t i = 0; i < j->config->nhouses && rc == 0; i++) {
		buf_clear(&path);
		buf_addf(&path, "houses.%s.candidates", j->config->houses[i].name);
		rc = strike_from(j, path.data, &j->config->houses[i].candidates, agent, e);
	}
	buf_free(&path);
	return rc ? rc : strike_from(j, "router", &j->config->router, agent, e);
}

static int
strike_agent(struct host_job *j, const char *agent, struct err *e)
{
	char home[NAME_MAX_LEN + 1] = "";
	struct buf path = { 0 };
	int rc;

	if (config_home(j->config, agent))
		memcpy(home, config_home(j->config, agent)->name, sizeof home);
	buf_addf(&path, "hosts.%s.agents", j->host->name);
	rc = yaml_list_remove(&j->text, path.data, agent, e);
	buf_free(&path);
	if (rc || host_job_read(j, e) || strike_from_candidates(j, agent, e))
		return -1;
	if (*home ? strike_from_home(j, config_house_find(j->config, home), agent, e)
	    : strike_from(j, "witnesses", &j->config->witnesses, agent, e))
		return -1;
	return host_job_read(j, e);
}

static int
strike_broker(struct host_job *j, struct err *e)
{
	char word[300];

	for (size_t i = 0; i < j->config->nbrokers; i++) {
		const struct config_broker *b = &j->config->brokers[i];

		if (strcmp(b->host, j->host->address) != 0)
			continue;
		if (j->config->nbrokers == 1 && j->config->nhosts > 1)
			return err_set(e, ERR_WRONG_STATE, "%s has the only broker: give another host one first (host add ... --broker)",
			    j->host->name);
		if (j->config->nbrokers == 1)
			return yaml_remove(&j->text, "brokers", e);
		/* As a person may have written it. */
		for (int form = 0; form < 4; form++) {
			snprintf(word, sizeof word, form & 1 ? "%s%s" : "%s%s:%d", form & 2 ? "mqtts://" : "", b->host, b->port);
			if (yaml_list_remove(&j->text, "brokers", word, e))
				return -1;
		}
		snprintf(word, sizeof word, "[%s]:%d", b->host, b->port);
		return yaml_list_remove(&j->text, "brokers", word, e);
	}
	return 0;
}

int
host_plan_strike(struct host_job *j, struct err *e)
{
	j->nagents = j->host->agents.n;
	memcpy(j->agents, j->host->agents.v, j->nagents * sizeof *j->agents);
	/* Before its agents, since several brokers need many who vote. */
	if (host_has_broker(j->host) && (strike_broker(j, e) || put_member(j, j->host->name, "broker", "off", e) || host_job_read(j, e)))
		return -1;
	for (size_t i = 0; i < j->nagents; i++)
		if (strike_agent(j, j->agents[i], e))
			return -1;
	return 0;
}

int
host_plan_forget(struct host_job *j, const char *name, struct err *e)
{
	struct buf path = { 0 };
	int rc;

	buf_addf(&path, "hosts.%s", name);
	rc = yaml_remove(&j->text, path.data, e);
	buf_free(&path);
	return rc || host_job_read(j, e) ? -1 : 0;
}
