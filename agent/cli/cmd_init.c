/*
 * cmd_init.c - init: what a new cluster begins with, on the machine of whoever it obeys: authority, the sovereign's key, certificates
 * of people, houses.yaml, the first policy. What is there stays as it is; what is missing is made.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cluster_impl.h"
#include "edict.h"
#include "json.h"
#include "passphrase.h"
#include "pki.h"
#include "save.h"

#define ANSWER_MAX 512

struct init {
	const struct cmd_args *a;
	char *dir, *file, *pki;         /* absolute; houses.yaml; certificates */
	struct buf cluster, houses, broker, agent;      /* answers */
	struct config *config;          /* once houses.yaml is there */
	struct sign_key *key;           /* the sovereign's, when it was made here or is not locked */
	struct buf made;                /* JSON: names of what was made */
};

/* Questions */

/* The option, else the answer on the terminal, else with --yes or an empty line what is usual. */
static int
ask(const struct init *x, const char *option, const char *question, const char *usual, struct buf *out)
{
	const char *given = cmd_text(x->a, option, NULL);
	struct buf prompt = { 0 };
	int rc = 0;

	out->max = ANSWER_MAX;
	if (!given && !cmd_flag(x->a, "yes")) {
		buf_addf(&prompt, *usual ? "%s [%s]: " : "%s: ", question, usual);
		rc = ask_line(out, prompt.data);
		if (rc)
			cmd_fail(EXIT_USAGE, "no terminal to ask on: --yes takes what is usual, and options say the rest");
	}
	if (given || !out->len)
		buf_adds(out, given ? given : usual);
	buf_free(&prompt);
	return rc;
}

static int
ask_all(struct init *x)
{
	if (!cmd_flag(x->a, "yes"))
		printf("A new cluster, in %s. An empty line takes what stands in brackets.\n", x->dir);
	return ask(x, "cluster", "Name of the cluster", "home", &x->cluster) ||
	    ask(x, "houses", "Houses", CLUSTER_HOUSES, &x->houses) ||
	    ask(x, "broker", "Host that will have the broker, such as h1.example.org (empty: the first that is added with --broker)", "",
	    &x->broker) ||
	    ask(x, "agent", "Agent that runs on this machine, such as timmy-1 (empty: none)", "", &x->agent) ? EXIT_USAGE : 0;
}

/* houses.yaml */

static const char head[] =
    "# The cluster: one file for all of it, and it is yours. Change what you like; then `uni-wizard config check` reads it, and\n"
    "# `uni-wizard host add NAME` brings it to every host. All keys: `uni-wizard config keys`.\n"
    "\n"
    "# Every topic begins with uw/<cluster>/, so two clusters may share a broker.\n";

static const char people[] =
    "\n"
    "# Who may give tasks, and who may only look. Each needs a certificate: `uni-wizard pki issue NAME`.\n"
    "operators: [operator]\n"
    "watchers: [watcher]\n"
    "\n"
    "# Of this machine alone; hosts have places of their own for these.\n"
    "pki: pki\n"
    "state: state\n"
    "run: run\n"
    "\n"
    "# What tools may touch on every host; without this, those that work on files refuse.\n"
    "# tools: {roots: [/srv/work], read_roots: [/srv/site]}\n"
    "\n"
    "# A house is a queue of work with a role. `agents` are at home there (left out: <house>-1); others stand in.\n"
    "houses:\n";

static const char tail[] =
    "\n"
    "# Machines: `uni-wizard host add NAME --house H --ssh root@host` writes here.\n"
    "hosts:\n";

static int
put_houses(struct buf *b, const char *list, struct err *e)
{
	char *copy = xstrdup(list), *save;
	int n = 0, rc = 0;

	for (char *name = strtok_r(copy, ", ", &save); name && rc == 0; name = strtok_r(NULL, ", ", &save), n++) {
		if (!name_ok(name))
			rc = err_field(e, ERR_INVALID, "houses", name, "names of houses ([a-z0-9-], at most %d)", NAME_MAX_LEN);
		buf_addf(b, "  %s:\n", name);
		cluster_file_put_role(b, name);
	}
	free(copy);
	return rc || n ? rc : err_field(e, ERR_INVALID, "houses", list, "at least one house");
}

static int
put_broker(struct buf *b, const char *broker, struct err *e)
{
	struct config_ssh at;

	/* The first host with one writes itself. */
	if (!*broker)
		return 0;
	/* host, host:port or [address]:port, as ssh's destinations are without a user. */
	if (strchr(broker, '@') || !config_ssh(broker, &at) || at.local)
		return err_field(e, ERR_INVALID, "broker", broker, "host or host:port");
	buf_adds(b, "\n# Brokers, in order.\n");
	buf_addf(b, strchr(at.host, ':') ? "brokers: [\"[%s]:%d\"]\n" : "brokers: [\"%s:%d\"]\n", at.host, at.port ? at.port : 8883);
	return 0;
}

static int
load(struct init *x, struct err *e)
{
	x->config = xcalloc(1, sizeof *x->config);
	if (config_load(x->config, x->file, cmd_warn, NULL, e) == 0)
		return 0;
	free(x->config);
	x->config = NULL;
	return -1;
}

static int
compose(const struct init *x, const struct sign_public *p, struct buf *b, struct err *e)
{
	char text[SIGN_TEXT];

	/* Before it becomes YAML, in which it could be anything. */
	if (!name_ok(buf_str(&x->cluster)))
		return err_field(e, ERR_INVALID, "cluster", buf_str(&x->cluster), "a name ([a-z0-9-], at most %d)", NAME_MAX_LEN);
	sign_public_format(p, text);
	buf_adds(b, head);
	buf_addf(b, "cluster: %s\n", buf_str(&x->cluster));
	if (put_broker(b, buf_str(&x->broker), e))
		return -1;
	buf_addf(b, "\n# Whose word counts; the private half is pki/sovereign.key: `uni-wizard key show`.\nsovereign_keys: [\"%s\"]\n", text);
	buf_adds(b, people);
	if (put_houses(b, buf_str(&x->houses), e))
		return -1;
	buf_adds(b, tail);
	return 0;
}

/* With any key, before anything is made: a bad answer leaves nothing behind. */
static int
check_answers(const struct init *x, struct err *e)
{
	struct sign_key *any = sign_key_new();
	struct config *c = xcalloc(1, sizeof *c);
	struct buf b = { 0 };
	int rc = compose(x, sign_key_public(any), &b, e) || config_parse(c, x->file, buf_str(&b), b.len, NULL, NULL, e) ? -1 : 0;

	if (rc == 0 && x->agent.len && config_identity_kind(c, x->agent.data) != IDENTITY_AGENT)
		rc = err_field(e, ERR_INVALID, "agent", x->agent.data, "an agent of one of the houses, such as %s", c->houses[0].agents.v[0]);
	config_release(c);
	free(c);
	buf_free(&b);
	sign_key_free(any);
	return rc;
}

static int
write_file(struct init *x, const struct sign_public *p, struct err *e)
{
	struct buf b = { 0 };
	int rc = compose(x, p, &b, e) ? -1 : save_file(x->file, buf_str(&b), b.len, 0600, e);

	buf_free(&b);
	return rc;
}

/* Pieces */

static void
note_made(struct init *x, const char *what)
{
	json_put_str(&x->made, what);
	if (!x->a->json)
		printf("made  %s\n", what);
}

static int
make_dirs(struct init *x, struct err *e)
{
	static const char *const names[] = { "pki", "state", "run" };
	int rc = save_dir(x->dir, 0700, e);

	for (size_t i = 0; i < sizeof names / sizeof *names && rc == 0; i++) {
		char *path = cluster_path(x->dir, names[i]);

		rc = save_dir(path, 0700, e);
		free(path);
	}
	return rc;
}

/* 0 or an exit code, the error printed. The public half in *p. */
static int
make_key(struct init *x, struct sign_public *p)
{
	char *path = cluster_path(x->pki, "sovereign.key");
	int rc = 0;

	if (access(path, F_OK) != 0) {
		x->key = edict_key_make(x->a, path, &rc);
		if (x->key)
			note_made(x, "the sovereign's key: pki/sovereign.key");
	} else if (!sign_key_is_locked(path) || cmd_text(x->a, "passphrase-file", NULL)) {
		x->key = edict_key_load(x->a, path);
		rc = x->key ? 0 : EXIT_NOT_SUCCEEDED;
	} else {
		rc = cmd_fail(EXIT_USAGE, "%s is there and has a passphrase: --passphrase-file FILE gives it", path);
	}
	if (x->key)
		*p = *sign_key_public(x->key);
	free(path);
	return rc;
}

static int
make_file(struct init *x)
{
	struct sign_public p;
	struct err e = { 0 };
	int rc;

	if (access(x->file, F_OK) == 0)
		return load(x, &e) ? cmd_fail(EXIT_USAGE, "%s", e.msg) : 0;
	if ((rc = make_key(x, &p)))
		return rc;
	if (write_file(x, &p, &e) || load(x, &e))
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	note_made(x, "houses.yaml");
	return 0;
}

static int
make_cert(struct init *x, const char *name, struct err *e)
{
	struct pki_cert c;
	struct buf what = { 0 };

	if (pki_read(x->config->pki_dir, name, &c, NULL) == 0)
		return 0;
	if (pki_issue(x->config->pki_dir, name, PKI_CLIENT, NULL, 0, 0, e))
		return -1;
	buf_addf(&what, "certificate of %s: pki/%s.crt", name, name);
	note_made(x, what.data);
	buf_free(&what);
	return 0;
}

/* People's; agents' are issued with their hosts, but for the one here. */
static int
make_certs(struct init *x, struct err *e)
{
	const struct config *c = x->config;
	const char *agent = x->agent.len ? x->agent.data : cmd_text(x->a, "agent", NULL);
	int rc = make_cert(x, c->sovereign, e);

	for (size_t i = 0; i < c->operators.n && rc == 0; i++)
		rc = make_cert(x, c->operators.v[i], e);
	for (size_t i = 0; i < c->watchers.n && rc == 0; i++)
		rc = make_cert(x, c->watchers.v[i], e);
	if (rc == 0 && agent && *agent) {
		if (config_identity_kind(c, agent) != IDENTITY_AGENT)
			return err_field(e, ERR_INVALID, "agent", agent, "an agent of a house in %s", x->file);
		rc = make_cert(x, agent, e);
	}
	return rc;
}

/* Brought to the cluster when its first host is there. */
static int
make_policy(struct init *x, struct err *e)
{
	char *path = cluster_path(x->config->pki_dir, "policy.json");
	cJSON *members = edict_first_policy(x->config);
	struct buf line = { 0 };
	int rc = 0;

	if (!x->key && x->config->sovereign_keys.n && !sign_key_is_locked(x->config->sovereign_key))
		x->key = sign_key_load(x->config->sovereign_key, NULL, NULL);
	if (x->key && access(path, F_OK) != 0) {
		cJSON_AddNumberToObject(members, "n", 1);
		cJSON_AddNumberToObject(members, "time", (double)clock_wall_ms());
		rc = sovereign_seal(&line, SOVEREIGN_POLICY, x->config->cluster, members, x->key, e);
		if (rc == 0)
			rc = save_file(path, line.data, line.len, 0600, e);
		if (rc == 0)
			note_made(x, "the first policy, signed: pki/policy.json");
	}
	cJSON_Delete(members);
	buf_free(&line);
	free(path);
	return rc;
}

static int
make_rest(struct init *x)
{
	struct err e = { 0 };
	bool created;

	if (pki_init(x->config->pki_dir, 0, &created, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	if (created)
		note_made(x, "the certificate authority: pki/ca.crt, pki/ca.key");
	if (make_certs(x, &e) || make_policy(x, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	return 0;
}

/* Telling */

static void
print_next(const struct init *x)
{
	const char *used = config_path(x->a->config);
	char real[PATH_MAX];
	bool found = realpath(used, real) && strcmp(real, x->file) == 0;

	printf("\n%s is ready. Keep pki/ca.key and pki/sovereign.key safe: whoever has them has the cluster. Next:\n", x->dir);
	if (!found)
		printf("  export UNI_WIZARD_CONFIG=%s\n", x->file);
	for (size_t i = 0; i < x->config->nhouses && i < 3; i++)
		printf("  uni-wizard host add h%zu --house %s --ssh root@h%zu.example.org%s\n", i + 1,
		    x->config->houses[(i + 1) % x->config->nhouses].name, i + 1, i == 0 ? " --broker" : "");
	printf("  uni-wizard host list\n");
}

static void
print_json(struct init *x)
{
	struct buf b = { 0 };

	json_put_close(&x->made, ']');
	json_put_open(&b, '{');
	json_kv_str(&b, "dir", x->dir);
	json_kv_str(&b, "config", x->file);
	json_kv_str(&b, "cluster", x->config->cluster);
	json_kv_raw(&b, "made", x->made.data, x->made.len);
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

/* The directory that was named, else that of a configuration that was, else the usual place in the home directory. */
static char *
dir_choose(const struct cmd_args *a)
{
	char user[PATH_MAX];
	const char *env = getenv("UNI_WIZARD_CONFIG"), *file = env && *env ? env : NULL, *slash = file ? strrchr(file, '/') : NULL;

	if (a->argc)
		return save_absolute(a->argv[0]);
	if (slash && strcmp(slash, "/houses.yaml") == 0 && slash > file)
		return xstrndup(file, (size_t)(slash - file));
	return config_user_dir(user, sizeof user) ? xstrdup(user) : NULL;
}

static void
release(struct init *x)
{
	if (x->config)
		config_release(x->config);
	free(x->config);
	sign_key_free(x->key);
	free(x->dir);
	free(x->file);
	free(x->pki);
	buf_free(&x->cluster);
	buf_free(&x->houses);
	buf_free(&x->broker);
	buf_free(&x->agent);
	buf_free(&x->made);
}

static int
init_run(const struct cmd_args *a)
{
	struct init x = { .a = a, .dir = dir_choose(a) };
	struct err e = { 0 };
	int rc = 0;

	if (!x.dir)
		return cmd_fail(EXIT_USAGE, "DIR: expected one, since HOME is not set");
	x.file = cluster_path(x.dir, "houses.yaml");
	x.pki = cluster_path(x.dir, "pki");
	json_put_open(&x.made, '[');
	if (access(x.file, F_OK) != 0 && !(rc = ask_all(&x)) && check_answers(&x, &e))
		rc = cmd_fail(EXIT_USAGE, "%s", e.msg);
	if (!rc && make_dirs(&x, &e))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	if (!rc && !(rc = make_file(&x)) && !(rc = make_rest(&x))) {
		if (a->json)
			print_json(&x);
		else
			print_next(&x);
	}
	release(&x);
	return rc;
}

const struct cmd cmd_init = {
	.name = "init",
	.args = "[DIR]",
	.help = "Begin a cluster: authority, the sovereign's key, certificates of people, houses.yaml, the first policy",
	.more = "On the machine of whoever the cluster shall obey; DIR is ~/.config/uni-wizard unless it is given or $UNI_WIZARD_CONFIG\n"
	        "names a houses.yaml. Asks on the terminal what options do not say. Overwrites nothing: run again, it makes what is\n"
	        "missing. Then `uni-wizard host add` makes machines into hosts.",
	.opts = (const struct cmd_opt[]){
		{ .name = "yes", .letter = 'y', .kind = OPT_FLAG, .help = "ask nothing: what options do not say is as usual" },
		{ .name = "cluster", .kind = OPT_TEXT, .arg = "NAME", .help = "name of the cluster (home)" },
		{ .name = "houses", .kind = OPT_TEXT, .arg = "A,B,...", .help = "its houses (" CLUSTER_HOUSES ")" },
		{ .name = "broker", .kind = OPT_TEXT, .arg = "HOST", .help = "host that will have the broker; :PORT may follow (8883)" },
		{ .name = "agent", .kind = OPT_TEXT, .arg = "A", .help = "an agent runs on this machine too: issue its certificate" },
		EDICT_PASSPHRASE,
		EDICT_NO_PASSPHRASE,
		{ .name = NULL } },
	.max_args = 1,
	.flags = CMD_JSON | CMD_NO_CONFIG,
	.complete = "files",
	.run = init_run,
};
