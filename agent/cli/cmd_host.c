/*
 * cmd_host.c - host add, remove, rotate-cert, list: the machines of the cluster.
 */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "host_add.h"
#include "json.h"
#include "pki.h"

#define LISTEN_MS 2500
#define SOON_DAYS 30
#define DAY_MS INT64_C(86400000)

#define OPT_DRY { .name = "dry-run", .kind = OPT_FLAG, .help = "look, and say what would be done; change nothing" }
#define OPT_NEW { .name = "accept-new", .kind = OPT_FLAG, \
	.help = "take the ssh key of a machine that was never seen (one that changed is still refused)" }
#define OPT_END { .name = NULL }

static int
exit_of(const struct err *e)
{
	switch (e->code) {
	case ERR_INVALID: case ERR_MISSING: case ERR_CONFLICT: case ERR_CONFIG: case ERR_NOT_FOUND:
		return EXIT_USAGE;
	case ERR_TIMEOUT:
		return EXIT_NO_ANSWER;
	default:
		return EXIT_NOT_SUCCEEDED;
	}
}

/* Runs the steps and says how it went; name is the host's, which the last step may have struck. */
static int
run_steps(struct host_job *j, const struct step *steps, const char *name, struct err *e)
{
	const struct cmd_args *a = j->a;
	bool dry = cmd_flag(a, "dry-run");
	struct buf list = { 0 }, b = { 0 };
	int rc;

	j->ssh.accept_new = cmd_flag(a, "accept-new");
	rc = steps_run(steps, j, &(struct steps_opts){ .dry_run = dry, .quiet = a->json }, a->json ? &list : NULL, e);
	if (a->json) {
		json_put_open(&b, '{');
		json_kv_str(&b, "host", name);
		json_kv_bool(&b, "ok", rc == 0);
		json_kv_bool(&b, "dry_run", dry);
		json_kv_raw(&b, "steps", list.data, list.len);
		if (rc) {
			json_put_key(&b, "error");
			json_put_err(&b, e);
		}
		json_put_close(&b, '}');
		puts(buf_str(&b));
	}
	buf_free(&list);
	buf_free(&b);
	return rc;
}

static int
failed(const struct err *e, bool begun)
{
	cmd_fail(0, "%s", e->msg);
	if (begun)
		fprintf(stderr, "Run the same command again to go on from there.\n");
	return begun ? EXIT_NOT_SUCCEEDED : exit_of(e);
}

/* What plan makes of houses.yaml, then the steps. */
static int
run(const struct cmd_args *a, int (*plan)(struct host_job *j, const char *name, struct err *e), const struct step *steps)
{
	struct host_job j;
	struct err e = { 0 };
	int rc = host_job_open(&j, a);
	bool begun;

	if (rc)
		return rc;
	begun = plan(&j, a->argv[0], &e) == 0;
	rc = begun ? run_steps(&j, steps, a->argv[0], &e) : -1;
	rc = rc ? failed(&e, begun && !cmd_flag(a, "dry-run")) : EXIT_OK;
	host_job_close(&j);
	return rc;
}

/* add */

static int
plan_add(struct host_job *j, const char *name, struct err *e)
{
	const struct cmd_args *a = j->a;

	return host_plan_add(j, name, &(struct host_plan){ .house = cmd_text(a, "house", NULL), .agent = cmd_text(a, "agent", NULL),
	    .ssh = cmd_flag(a, "local") ? "local" : cmd_text(a, "ssh", NULL), .address = cmd_text(a, "address", NULL),
	    .broker = cmd_flag(a, "broker"), .witness = cmd_flag(a, "witness") }, e) || host_job_choose(j, name, e) ? -1 : 0;
}

static int
add_run(const struct cmd_args *a)
{
	int rc = run(a, plan_add, host_add_steps);

	if (!rc && !a->json && !cmd_flag(a, "dry-run"))
		printf("%s is part of the cluster: uni-wizard host list\n", a->argv[0]);
	return rc;
}

const struct cmd cmd_host_add = {
	.name = "host add",
	.args = "NAME",
	.help = "Make a machine a host of the cluster, over ssh: package, certificates, configuration, services",
	.more = "NAME is what houses.yaml calls it. It takes the first agent of the house that runs nowhere yet, or a further one. Each step is\n"
	        "looked at first: run again, it does what is missing, so after a failure, or when houses.yaml or a certificate has\n"
	        "changed, the same command goes on. The machine needs Debian or one like it, systemd, and a login as root or with\n"
	        "`sudo -n`. No firewall is changed: the broker's port (8883) must be reachable from every host and from here; hosts\n"
	        "without a broker need only sshd's. ssh_config beside houses.yaml, if there is one, is read instead of the user's own.\n"
	        "See docs/provisioning.md for what each step does and how it is undone.",
	.opts = (const struct cmd_opt[]){
		{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses", .help = "an agent of this house runs there" },
		{ .name = "agent", .kind = OPT_TEXT, .arg = "A", .complete = "agents", .help = "which one, instead of the first that runs nowhere" },
		{ .name = "ssh", .kind = OPT_TEXT, .arg = "USER@HOST", .help = "how to log in; :PORT may follow. Needed once" },
		{ .name = "local", .kind = OPT_FLAG, .help = "it is this machine: no ssh" },
		{ .name = "address", .kind = OPT_TEXT, .arg = "HOST", .help = "where other hosts reach it (else the host of --ssh)" },
		{ .name = "broker", .kind = OPT_FLAG, .help = "a broker runs there, too" },
		{ .name = "witness", .kind = OPT_FLAG, .help = "an agent that only votes on the broker runs there, called NAME" },
		{ .name = "package", .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
		  .help = "uni-wizard_VERSION_ARCH.deb (else the one beside this program or in " UW_SHAREDIR ", else what apt there has)" },
		OPT_NEW,
		OPT_DRY,
		OPT_END },
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "hosts",
	.run = add_run,
};

/* remove */

static int
plan_remove(struct host_job *j, const char *name, struct err *e)
{
	if (cmd_flag(j->a, "lost") && cmd_flag(j->a, "purge"))
		return err_set(e, ERR_INVALID, "--purge: not together with --lost, which does not speak to the machine");
	return host_job_choose(j, name, e) || host_plan_strike(j, e) ? -1 : 0;
}

static int
remove_run(const struct cmd_args *a)
{
	return run(a, plan_remove, host_remove_steps);
}

const struct cmd cmd_host_remove = {
	.name = "host remove",
	.args = "NAME",
	.help = "Take a machine out of the cluster: houses handed over, certificates revoked, rights gone at once",
	.more = "The brokers get the list of what is revoked and an access list without its agents, both by SIGHUP: who is connected can say\n"
	        "and hear nothing more, who is not cannot connect. A house that it alone was at home to stays, with the name of an agent\n"
	        "that `host add NAME --house H` brings to life; until then others stand in.",
	.opts = (const struct cmd_opt[]){
		{ .name = "lost", .kind = OPT_FLAG, .help = "the machine is gone or in other hands: do not speak to it" },
		{ .name = "purge", .kind = OPT_FLAG, .help = "remove package, configuration, keys and databases there as well" },
		OPT_NEW,
		OPT_DRY,
		OPT_END },
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "hosts",
	.run = remove_run,
};

/* rotate-cert */

static int
rotate_run(const struct cmd_args *a)
{
	return run(a, host_job_choose, host_rotate_steps);
}

const struct cmd cmd_host_rotate_cert = {
	.name = "host rotate-cert",
	.args = "NAME",
	.help = "Renew the certificates of a host's agents and broker, without a restart; the former ones are revoked",
	.opts = (const struct cmd_opt[]){
		{ .name = "new-key", .kind = OPT_FLAG, .help = "new keys as well" },
		OPT_NEW,
		OPT_DRY,
		OPT_END },
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "hosts",
	.run = rotate_run,
};

/* list */

struct row {
	const struct config_host *host;
	const char *agent;              /* NULL: it has none */
	struct host_heard heard;
	struct pki_cert cert;
	bool has_cert;
};

static size_t
rows_make(const struct host_job *j, struct row *v)
{
	size_t n = 0;

	for (size_t i = 0; i < j->config->nhosts; i++) {
		const struct config_host *h = &j->config->hosts[i];

		for (size_t k = 0; k < h->agents.n || k == 0; k++) {
			struct row *r = &v[n++];

			*r = (struct row){ .host = h, .agent = k < h->agents.n ? h->agents.v[k] : NULL };
			r->has_cert = r->agent && pki_read(j->config->pki_dir, r->agent, &r->cert, NULL) == 0;
		}
	}
	return n;
}

static int
hear_rows(struct host_job *j, struct row *v, size_t n, struct err *e)
{
	struct host_heard *heard = xcalloc(n + 1, sizeof *heard);
	size_t many = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		if (v[i].agent)
			heard[many++].agent = v[i].agent;
	rc = host_hear(j, heard, many, LISTEN_MS, false, e);
	many = 0;
	for (size_t i = 0; i < n; i++)
		if (v[i].agent)
			v[i].heard = heard[many++];
	free(heard);
	return rc;
}

static const char *
health_of(const struct row *r)
{
	if (!r->agent)
		return "-";
	if (r->heard.live)
		return r->heard.state;
	return strcmp(r->heard.state, "offline") == 0 ? "away" : "silent";
}

static void
put_row(struct buf *b, const struct row *r)
{
	json_put_open(b, '{');
	json_kv_str(b, "host", r->host->name);
	json_kv_str(b, "ssh", r->host->ssh);
	json_kv_str(b, "address", r->host->address);
	json_kv_bool(b, "broker", host_has_broker(r->host));
	json_kv_str(b, "agent", r->agent);
	json_kv_str(b, "health", r->agent ? health_of(r) : NULL);
	json_kv_str(b, "version", r->heard.version[0] ? r->heard.version : NULL);
	if (r->has_cert)
		json_kv_time(b, "certificate_until", r->cert.until_ms);
	else
		json_kv_str(b, "certificate_until", NULL);
	json_put_close(b, '}');
}

static void
table_row(struct table *t, const struct row *r)
{
	char until[32] = "-", up[16] = "-";
	bool good = !r->agent || r->heard.online;

	if (r->has_cert)
		clock_format(r->cert.until_ms, until, sizeof until);
	if (r->heard.live)
		age_text(up, sizeof up, r->heard.up_s * 1000);
	table_cell(t, "%s", r->host->name);
	table_cell(t, "%s", r->host->ssh);
	table_cell(t, "%s", host_has_broker(r->host) ? "yes" : "-");
	table_cell(t, "%s", r->agent ? r->agent : "-");
	table_cell(t, "%s%s%s", good ? "" : cmd_color(1, "red"), health_of(r), good ? "" : cmd_color(1, "reset"));
	table_cell(t, "%s", up);
	table_cell(t, "%s", r->heard.version[0] ? r->heard.version : "-");
	table_cell(t, "%.10s%s", until, r->has_cert && r->cert.until_ms < clock_wall_ms() + SOON_DAYS * DAY_MS ? " (soon)" : "");
}

static void
show_rows(const struct row *v, size_t n, bool json)
{
	static const char *const heads[] = { "HOST", "SSH", "BROKER", "AGENT", "HEALTH", "UP", "VERSION", "CERTIFICATE UNTIL", NULL };
	struct table *t = json ? NULL : table_new(heads);
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (size_t i = 0; i < n; i++) {
		put_row(&b, &v[i]);
		if (t)
			table_row(t, &v[i]);
	}
	json_put_close(&b, ']');
	if (t)
		table_print(t);
	else
		puts(buf_str(&b));
	if (t && !n)
		puts("No hosts yet: uni-wizard host add NAME --house H --ssh user@host");
	buf_free(&b);
}

static int
list_run(const struct cmd_args *a)
{
	struct row *v = xcalloc(CONFIG_MAX_VOTERS + CONFIG_MAX_HOSTS, sizeof *v);
	struct host_job j;
	struct err e = { 0 };
	int rc = host_job_open(&j, a);
	size_t n;

	if (rc) {
		free(v);
		return rc;
	}
	n = rows_make(&j, v);
	if (hear_rows(&j, v, n, &e))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	for (size_t i = 0; i < n && !rc; i++)
		rc = v[i].agent && !v[i].heard.online ? EXIT_NOT_SUCCEEDED : EXIT_OK;
	if (!e.code)
		show_rows(v, n, a->json);
	host_job_close(&j);
	free(v);
	return rc;
}

const struct cmd cmd_host_list = {
	.name = "host list",
	.help = "List the machines of houses.yaml: agents, health, version, until when their certificates are good",
	.more = "Listens to heartbeats for two seconds or less; nothing is asked over ssh. An agent is online, stopping, away by its own word,\n"
	        "or silent. Exit code 1 unless all are online.",
	.flags = CMD_JSON,
	.run = list_run,
};
