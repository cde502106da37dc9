/*
 * host_cloud.c - host cloud-init: the same scripts that `host add` runs over ssh, as one that a new machine runs when it first starts.
 */
#include <string.h>

#include "digest.h"
#include "host_add.h"
#include "save.h"

#define USER_DATA_MAX (256u << 20)
#define USER_DATA_USUAL 16384           /* what providers take at least */
#define PACKAGE_MAX (128u << 20)

/* These act on the machine alone; the others need it to be there. */
static const char *const there[] = { "package", "certificates", "configuration", "broker", "start" };

static const char fetch[] =
    "command -v curl >/dev/null || { apt-get -q update; apt-get -q -y install --no-install-recommends curl ca-certificates; }\n"
    "dir=$(mktemp -d /var/tmp/uni-wizard.XXXXXX); trap 'rm -rf \"$dir\"' EXIT; chmod 755 \"$dir\"\n"
    "curl -fsSL --retry 5 -o \"$dir/uni-wizard.deb\" -- \"$1\"\n"
    "test -z \"$2\" || echo \"$2  $dir/uni-wizard.deb\" | sha256sum -c -\n"
    "apt-get -q update\n"
    "test \"$3\" = off || apt-get -q -y install --no-install-recommends mosquitto\n"
    "apt-get -q -y install --no-install-recommends \"$dir/uni-wizard.deb\"\n";

static int
put_fetch(struct host_job *j, const char *url, struct err *e)
{
	unsigned char raw[DIGEST_SIZE];
	char sum[DIGEST_HEX] = "";
	struct buf data = { .max = PACKAGE_MAX };
	int rc = j->package ? save_read(j->package, &data, e) : 0;

	if (rc == 0 && j->package) {
		struct digest *d = digest_new();

		digest_of(d, buf_str(&data), data.len, raw);
		digest_format(raw, sum);
		digest_free(d);
	}
	if (rc == 0)
		rc = ssh_run(&j->ssh, &(struct ssh_script){ .text = fetch,
		    .args = (const char *const[]){ url, sum, j->host->broker, NULL } }, NULL, e);
	buf_free(&data);
	return rc;
}

static bool
is_there(const struct step *s)
{
	for (size_t i = 0; i < sizeof there / sizeof *there; i++)
		if (strcmp(there[i], s->name) == 0)
			return true;
	return false;
}

static int
put_steps(struct host_job *j, const char *url, struct err *e)
{
	struct buf note = { 0 };
	int rc = 0;

	for (const struct step *s = host_add_steps; s->name && rc == 0; s++) {
		if (!is_there(s) || (s->wanted && !s->wanted(j)))
			continue;
		buf_addf(j->ssh.record, "\n# %s: %s\n", s->name, s->what);
		rc = strcmp(s->name, "package") == 0 && url ? put_fetch(j, url, e) : s->act(j, &note, e);
	}
	buf_free(&note);
	return rc;
}

/* What is installed as root comes from whom it should, or is what it should be. */
static int
check_url(const char *url, bool is_known, struct err *e)
{
	if (!url || (strncmp(url, "https://", 8) == 0 && !strpbrk(url, " \n\r\t")))
		return 0;
	if (strncmp(url, "http://", 7) == 0 && !strpbrk(url, " \n\r\t"))
		return is_known ? 0 : err_field(e, ERR_INVALID, "package-url", url, "https://..., or --package FILE that it is checked against");
	return err_field(e, ERR_INVALID, "package-url", url, "https://...");
}

static int
make(struct host_job *j, const char *name, struct buf *out, struct err *e)
{
	const struct cmd_args *a = j->a;
	const char *url = cmd_text(a, "package-url", NULL), *file = cmd_text(a, "package", NULL);

	if (check_url(url, file, e) || host_plan_add(j, name, &(struct host_plan){ .house = cmd_text(a, "house", NULL),
	    .agent = cmd_text(a, "agent", NULL), .ssh = cmd_text(a, "ssh", NULL), .address = cmd_text(a, "address", NULL),
	    .broker = cmd_flag(a, "broker"), .witness = cmd_flag(a, "witness") }, e) || host_job_choose(j, name, e) || host_job_save(j, e))
		return -1;
	j->package = file ? xstrdup(file) : NULL;
	j->ssh.record = out;
	buf_addf(out, "#!/bin/sh\n"
	    "# User data that makes a new machine %s, a host of the cluster %s. Private keys are in it: whoever reads it can speak\n"
	    "# as its agents. Providers show user data to every process of the machine, and in their consoles.\n", name, j->config->cluster);
	return put_steps(j, url, e);
}

static int
cloud_run(const struct cmd_args *a)
{
	struct buf out = { .max = USER_DATA_MAX };
	struct host_job j;
	struct err e = { 0 };
	int rc = host_job_open(&j, a);

	if (rc)
		return rc;
	if (make(&j, a->argv[0], &out, &e)) {
		rc = cmd_fail(EXIT_USAGE, "%s", e.msg);
	} else {
		fputs(buf_str(&out), stdout);
		if (out.len > USER_DATA_USUAL)
			fprintf(stderr, "uni-wizard: warning: %zu bytes; many providers take %d: %s\n", out.len, USER_DATA_USUAL,
			    j.package && !cmd_text(a, "package-url", NULL) ? "leave the package out (--package-url)"
			    : "`| gzip -9` makes it smaller, and cloud-init reads it so");
		fprintf(stderr, "When the machine is up: uni-wizard host add %s\n", a->argv[0]);
	}
	buf_free(&out);
	host_job_close(&j);
	return rc;
}

const struct cmd cmd_host_cloud_init = {
	.name = "host cloud-init",
	.args = "NAME",
	.help = "Print user data with which a new machine makes itself a host of the cluster",
	.more = "For those who would rather give a provider a script than a machine an ssh key: it does at the first start what `host add` does\n"
	        "on the machine. Names the host in houses.yaml and issues its certificates here. The private keys are in what is printed:\n"
	        "see docs/provisioning.md. Once the machine is up, `uni-wizard host add NAME` tells the brokers and the other hosts; until\n"
	        "then its agents may not connect.",
	.opts = (const struct cmd_opt[]){
		{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H", .complete = "houses", .help = "an agent of this house runs there" },
		{ .name = "agent", .kind = OPT_TEXT, .arg = "A", .help = "which one, instead of the first that runs nowhere" },
		{ .name = "ssh", .kind = OPT_TEXT, .arg = "USER@HOST", .help = "how to log in later" },
		{ .name = "address", .kind = OPT_TEXT, .arg = "HOST", .help = "where other hosts reach it (else the host of --ssh)" },
		{ .name = "broker", .kind = OPT_FLAG, .help = "a broker runs there, too" },
		{ .name = "witness", .kind = OPT_FLAG, .help = "an agent that only votes on the broker runs there, called NAME" },
		{ .name = "package-url", .kind = OPT_TEXT, .arg = "URL", .help = "where it gets the package (else from apt, or within)" },
		{ .name = "package", .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
		  .help = "the package itself: put within, or with --package-url checked against (SHA-256)" },
		{ .name = NULL } },
	.min_args = 1,
	.max_args = 1,
	.complete = "hosts",
	.run = cloud_run,
};
