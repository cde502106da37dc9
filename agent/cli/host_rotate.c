#include <string.h>

#include "host_add.h"
#include "pki.h"

/* Whom the certificates are of: its agents, then its broker. */
static size_t
owners(const struct host_job *j, config_name *out)
{
	size_t n = j->host->agents.n;

	memcpy(out, j->host->agents.v, n * sizeof *out);
	if (host_has_broker(j->host))
		host_broker_name(j->host, out[n++]);
	return n;
}

static bool
is_broker(const struct host_job *j, size_t i)
{
	return i >= j->host->agents.n;
}

static int
renew_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	config_name v[CONFIG_MAX_AGENTS + 1];
	size_t n = owners(j, v);

	for (size_t i = 0; i < n; i++) {
		if (pki_renew(j->config->pki_dir, v[i], NULL, 0, 0, cmd_flag(j->a, "new-key"), e))
			return -1;
		buf_addf(note, "%s%s", i ? ", " : "", v[i]);
	}
	return 0;
}

static int
bring_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	config_name v[CONFIG_MAX_AGENTS + 1];
	size_t n = owners(j, v);
	bool changed;

	buf_adds(note, "they are there");
	for (size_t i = 0; i < n; i++)
		if (host_put_cert(j, &j->ssh, v[i], is_broker(j, i), &changed, e))
			return -1;
	return 0;
}

static int
reload_agents(struct host_job *j, struct err *e)
{
	char unit[NAME_MAX_LEN + 32];

	for (size_t i = 0; i < j->host->agents.n; i++) {
		host_unit(j->host, i, unit, sizeof unit);
		if (ssh_run(&j->ssh, &(struct ssh_script){ .text = "systemctl reload \"$1\"", .args = (const char *const[]){ unit, NULL },
		    .fix = "journalctl -u uni-wizard there tells more" }, NULL, e))
			return -1;
	}
	return 0;
}

static int
use_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;

	buf_adds(note, "SIGHUP: connections are made with them from now on");
	if (host_has_broker(j->host) && host_set_broker(j, &j->ssh, j->host, e))
		return -1;
	return reload_agents(j, e) || host_hear_agents(j, j->host, e) ? -1 : 0;
}

static bool
has_agents(const void *ctx)
{
	return ((const struct host_job *)ctx)->host->agents.n > 0;
}

/* A broker's is checked by nobody against the list, so to revoke it would say nothing. */
static int
revoke_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	int n, total = 0;

	for (size_t i = 0; i < j->host->agents.n; i++) {
		if (pki_revoke(j->config->pki_dir, j->host->agents.v[i], true, &n, e))
			return -1;
		total += n;
	}
	if (host_has_broker(j->host) && host_set_broker(j, &j->ssh, j->host, e))
		return -1;
	if (host_tell_brokers(j, note, e))
		return -1;
	buf_clear(note);
	buf_addf(note, "%d former certificate%s", total, total == 1 ? "" : "s");
	return 0;
}

/* With the former ones revoked, who connects anew and is heard has the new one. */
static int
prove_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;

	buf_adds(note, "they connected anew, now that the former are worth nothing");
	return reload_agents(j, e) || host_hear_agents(j, j->host, e) ? -1 : 0;
}

const struct step host_rotate_steps[] = {
	{ "renew", "issue new certificates here", "nothing needs to be: the former ones are good until `revoke`", NULL, NULL, renew_act },
	{ "bring", "put them there", "uni-wizard host rotate-cert NAME again", NULL, NULL, bring_act },
	{ "use", "have agents and broker take them up (SIGHUP), and wait for heartbeats", NULL, NULL, NULL, use_act },
	{ "revoke", "revoke the former ones, and tell the brokers", "not to be undone", has_agents, NULL, revoke_act },
	{ "prove", "have the agents connect anew, and wait for heartbeats", NULL, has_agents, NULL, prove_act },
	{ .name = NULL },
};
