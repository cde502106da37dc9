#include "host_add.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "clock.h"
#include "pki.h"
#include "save.h"

#define SKEW_MAX_S 30                   /* certificates and leases want clocks that agree */
#define INSTALL_MS 900000               /* over a slow line, with all that it depends on */
#define PACKAGE_MAX (128u << 20)

/* reach */

/* What the rest needs: apt, systemd, a clock. */
static const char look_around[] =
    "ID=? VERSION_ID=?\n"
    "test ! -r /etc/os-release || . /etc/os-release\n"
    "arch=$(dpkg --print-architecture 2>/dev/null || echo -)\n"
    "init=none; test ! -d /run/systemd/system || init=systemd\n"
    "echo \"$(uname -s) $ID $VERSION_ID $arch $init $(date +%s)\"";

static int
judge(struct host_job *j, const char *said, int64_t now_s, struct buf *note, struct err *e)
{
	char kernel[24], id[32], version[32], init[16];
	long long there_s, skew;

	if (sscanf(said, "%23s %31s %31s %23s %15s %lld", kernel, id, version, j->arch, init, &there_s) != 6)
		return err_set(e, ERR_PARSE, "host %s: expected what system it is, got: %.100s", j->ssh.name, said);
	if (strcmp(kernel, "Linux") != 0 || strcmp(j->arch, "-") == 0 || strcmp(init, "systemd") != 0)
		return err_set(e, ERR_INVALID, "host %s: expected Debian or one like it, with systemd; this is %s, %s %s, init: %s", j->ssh.name,
		    kernel, id, version, init);
	skew = there_s - now_s;
	if (skew < -SKEW_MAX_S || skew > SKEW_MAX_S)
		return err_set(e, ERR_INVALID, "host %s: its clock is %lld s %s of this one: `timedatectl set-ntp true` there, or here", j->ssh.name,
		    skew < 0 ? -skew : skew, skew < 0 ? "behind" : "ahead");
	buf_addf(note, "%s %s, %s", id, version, j->arch);
	return 0;
}

static int
reach_done(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	struct buf out = { 0 };
	int rc = ssh_run(&j->ssh, &(struct ssh_script){ .text = look_around }, &out, e);

	if (rc == 0)
		rc = judge(j, buf_str(&out), clock_wall_ms() / 1000, note, e);
	buf_free(&out);
	return rc ? -1 : 1;
}

/* houses */

static int
houses_done(void *ctx, struct buf *note, struct err *e)
{
	const struct host_job *j = ctx;

	(void)e;
	buf_addf(note, "%s", j->path);
	return host_job_is_saved(j);
}

static int
houses_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;

	buf_addf(note, "%s names it", j->path);
	return host_job_save(j, e);
}

/* package */

bool
host_package_name(const char *path, char *version, size_t vsize, char *arch, size_t asize)
{
	const char *slash = strrchr(path, '/'), *v, *a, *end;

	path = slash ? slash + 1 : path;
	if (strncmp(path, "uni-wizard_", 11) != 0)
		return false;
	v = path + 11;
	a = strchr(v, '_');
	end = a ? strstr(a, ".deb") : NULL;
	if (!end || end[4] || a == v || end == a + 1 || a - v >= (ptrdiff_t)vsize || end - a - 1 >= (ptrdiff_t)asize)
		return false;
	snprintf(version, vsize, "%.*s", (int)(a - v), v);
	snprintf(arch, asize, "%.*s", (int)(end - a - 1), a + 1);
	return true;
}

static char *
package_in(const char *dir, const char *arch)
{
	char version[64], its[24], *found = NULL;
	DIR *d = opendir(dir);
	struct dirent *f;

	while (d && (f = readdir(d))) {
		struct buf path = { 0 };

		/* Of one program's packages there are few, and the version of this program is the one that is meant. */
		if (!host_package_name(f->d_name, version, sizeof version, its, sizeof its) || strcmp(its, arch) != 0 ||
		    strncmp(version, UW_VERSION, strlen(UW_VERSION)) != 0)
			continue;
		buf_addf(&path, "%s/%s", dir, f->d_name);
		free(found);
		found = buf_take(&path);
	}
	if (d)
		closedir(d);
	return found;
}

char *
host_package_find(const char *arch)
{
	char exe[PATH_MAX], *slash, *found = NULL;
	size_t len = sizeof exe;

	if (uv_exepath(exe, &len) == 0 && (slash = strrchr(exe, '/'))) {
		*slash = '\0';
		found = package_in(exe, arch);
	}
	return found ? found : package_in(UW_SHAREDIR, arch);
}

/* "4.0.0-1", or "none". */
static int
installed_version(struct host_job *j, struct buf *out, struct err *e)
{
	return ssh_run(&j->ssh, &(struct ssh_script){ .text =
	    "v=$(dpkg-query -W -f '${db:Status-Status} ${Version}' uni-wizard 2>/dev/null || :)\n"
	    "case $v in 'installed '*) echo \"${v#installed }\" ;; *) echo none ;; esac\n"
	    "test \"$1\" = off || command -v mosquitto >/dev/null || echo 'no broker'",
	    .args = (const char *const[]){ j->host->broker, NULL } }, out, e);
}

static int
choose_package(struct host_job *j, struct err *e)
{
	const char *given = cmd_text(j->a, "package", NULL);
	char version[64], arch[24];

	if (!j->package)
		j->package = given ? xstrdup(given) : host_package_find(j->arch);
	if (j->package && given && !host_package_name(given, version, sizeof version, arch, sizeof arch))
		return err_field(e, ERR_INVALID, "package", given, "a file called uni-wizard_VERSION_ARCH.deb");
	if (j->package && given && strcmp(arch, j->arch) != 0 && strcmp(arch, "all") != 0)
		return err_set(e, ERR_INVALID, "host %s: expected a package for %s, got %s", j->ssh.name, j->arch, given);
	return 0;
}

/* Of a file the version must be its own, of apt any will do that is not older than this program's. */
static int
package_done(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	char version[64] = "", arch[24];
	struct buf out = { 0 };
	int rc = choose_package(j, e) || installed_version(j, &out, e) ? -1 : 0;

	if (rc == 0 && j->package)
		host_package_name(j->package, version, sizeof version, arch, sizeof arch);
	if (rc == 0)
		rc = *version ? strcmp(buf_str(&out), version) == 0 : strncmp(buf_str(&out), UW_VERSION, strlen(UW_VERSION)) == 0 &&
		    !strchr(buf_str(&out), '\n');
	if (rc >= 0)
		buf_addf(note, "%s%s", rc ? "" : "it has ", rc ? buf_str(&out) : strncmp(buf_str(&out), "none", 4) == 0 ? "none" : buf_str(&out));
	buf_free(&out);
	return rc;
}

/* Lists of packages may be old or empty on a fresh machine. What the host has of Mosquitto's configuration stays. */
static const char install[] =
    "dir=$(mktemp -d /var/tmp/uni-wizard.XXXXXX); trap 'rm -rf \"$dir\"' EXIT; chmod 755 \"$dir\"\n"
    "what=uni-wizard\n"
    "test \"$2\" = apt || { payload >\"$dir/$2\"; chmod 644 \"$dir/$2\"; what=$dir/$2; }\n"
    "test \"$1\" = off || what=\"$what mosquitto\"\n"
    "get() { apt-get -q -y -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 install --no-install-recommends $what; }\n"
    "get >\"$dir/log\" 2>&1 || { apt-get -q -o DPkg::Lock::Timeout=300 update >\"$dir/log\" 2>&1 && get >\"$dir/log\" 2>&1; } ||\n"
    "	{ tail -n 5 \"$dir/log\" >&2; exit 1; }\n";

static int
package_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	const char *slash = j->package ? strrchr(j->package, '/') : NULL;
	const char *args[] = { j->host->broker, j->package ? slash ? slash + 1 : j->package : "apt", NULL };
	struct buf data = { .max = PACKAGE_MAX };
	int rc = j->package ? save_read(j->package, &data, e) : 0;

	if (rc == 0)
		rc = ssh_run(&j->ssh, &(struct ssh_script){ .text = install, .args = args, .payload = j->package ? data.data : NULL,
		    .payload_len = data.len, .deadline_ms = INSTALL_MS, .fix = j->package ? "apt-get could not install the package" :
		    "apt there knows no package uni-wizard: give its file with --package (`make deb` makes one)" }, NULL, e);
	buf_addf(note, "%s", args[1]);
	buf_free(&data);
	j->changed = true;
	return rc;
}

/* certificates */

static int
certificates_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	char broker[NAME_MAX_LEN + 1];
	bool issued, changed;
	int rc = 0;

	for (size_t i = 0; i < j->host->agents.n && rc == 0; i++) {
		const char *name = j->host->agents.v[i];

		rc = host_issue(j, name, false, &issued, e) || ssh_run(&j->ssh, &(struct ssh_script){ .text =
		    "install -d -m 750 -o root -g uni-wizard \"$1\" \"$1/pki\"", .args = (const char *const[]){ HOST_ETC, NULL } }, NULL, e) ||
		    host_put_cert(j, &j->ssh, name, false, &changed, e) ? -1 : 0;
		j->changed |= rc == 0 && changed;
		buf_addf(note, "%s%s", note->len ? ", " : "", name);
	}
	if (rc == 0 && host_has_broker(j->host)) {
		host_broker_name(j->host, broker);
		rc = host_issue(j, broker, true, &issued, e) || host_put_cert(j, &j->ssh, broker, true, &changed, e) ? -1 : 0;
		buf_addf(note, "%s%s", note->len ? ", " : "", broker);
	}
	return rc;
}

/* configuration: also which of the agents is the unit's own */

static int
configuration_act(void *ctx, struct buf *note, struct err *e)
{
	static const char env[] =
	    "new=$1/env.uw-new\n"
	    "{ grep -v '^UNI_WIZARD_AGENT=' \"$1/env\" || :; echo \"UNI_WIZARD_AGENT=$2\"; } >\"$new\"\n"
	    "chown root:uni-wizard \"$new\"; chmod 640 \"$new\"\n"
	    "if cmp -s \"$new\" \"$1/env\"; then rm -f \"$new\"; else : >\"$1/.reload\"; mv -f \"$new\" \"$1/env\"; echo changed; fi";
	struct host_job *j = ctx;
	struct buf out = { 0 };
	bool changed = false;
	int rc = host_put_houses(j, &j->ssh, &changed, e);

	if (rc == 0 && j->host->agents.n)
		rc = ssh_run(&j->ssh, &(struct ssh_script){ .text = env,
		    .args = (const char *const[]){ HOST_ETC, j->host->agents.v[0], NULL } }, &out, e);
	j->anew = out.len > 0;
	changed |= j->anew;
	j->changed |= changed;
	buf_addf(note, "%s/houses.yaml%s", HOST_ETC, changed ? "" : " as it was");
	buf_free(&out);
	return rc;
}

/* broker */

static bool
has_broker(const void *ctx)
{
	return host_has_broker(((const struct host_job *)ctx)->host);
}

static int
broker_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;

	buf_addf(note, "listens on port %d: let the other hosts and this machine reach it", host_broker_port(j->config, j->host));
	return host_set_broker(j, &j->ssh, j->host, e);
}

static bool
others_have_brokers(const void *ctx)
{
	const struct host_job *j = ctx;

	for (size_t i = 0; i < j->config->nhosts; i++)
		if (&j->config->hosts[i] != j->host && host_has_broker(&j->config->hosts[i]))
			return true;
	return false;
}

static int
rights_act(void *ctx, struct buf *note, struct err *e)
{
	return host_tell_brokers(ctx, note, e);
}

/* start */

static bool
has_agents(const void *ctx)
{
	return ((const struct host_job *)ctx)->host->agents.n > 0;
}

/* What watches the agents and keeps their stores in order comes with them, where the package has it. The watcher reads
 * houses.yaml when it starts. */
static const char start[] =
    "how=$1 etc=$2; shift 2\n"
    "systemctl daemon-reload\n"
    "for unit; do\n"
    "	systemctl is-enabled -q \"$unit\" 2>/dev/null || systemctl enable -q \"$unit\"\n"
    "	systemctl reset-failed \"$unit\" 2>/dev/null || :\n"
    "	if ! systemctl is-active -q \"$unit\"; then systemctl start \"$unit\"\n"
    "	elif test \"$how\" != none; then systemctl \"$how\" \"$unit\"; fi\n"
    "done\n"
    "test \"$how\" = none || systemctl try-restart health-daemon.service 2>/dev/null || :\n"
    "rm -f \"$etc/.reload\"\n"
    "for unit in health-daemon.service uni-wizard-maintenance.timer; do\n"
    "	systemctl cat \"$unit\" >/dev/null 2>&1 || continue\n"
    "	systemctl enable -q --now \"$unit\"\n"
    "done\n";

static int
start_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	char units[CONFIG_MAX_AGENTS][NAME_MAX_LEN + 32];
	const char *args[CONFIG_MAX_AGENTS + 3] = { j->anew ? "restart" : j->changed ? "reload-or-restart" : "none", HOST_ETC };

	for (size_t i = 0; i < j->host->agents.n && i < CONFIG_MAX_AGENTS; i++) {
		host_unit(j->host, i, units[i], sizeof units[i]);
		args[i + 2] = units[i];
		buf_addf(note, "%s%s", i ? ", " : "", units[i]);
	}
	return ssh_run(&j->ssh, &(struct ssh_script){ .text = start, .args = args, .deadline_ms = 2 * SSH_DEADLINE_MS,
	    .fix = "journalctl -u uni-wizard there tells more" }, NULL, e);
}

/* health, policy, others */

static int
health_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;

	buf_adds(note, "its heartbeats come");
	return host_hear_agents(j, j->host, e);
}

static bool
has_sovereign(const void *ctx)
{
	return ((const struct host_job *)ctx)->config->sovereign_keys.n > 0;
}

static int
policy_act(void *ctx, struct buf *note, struct err *e)
{
	int rc = host_first_policy(ctx, e);

	buf_adds(note, rc == 1 ? "the first one is out" : "agents hold one");
	return rc < 0 ? -1 : 0;
}

static bool
has_others(const void *ctx)
{
	const struct host_job *j = ctx;

	return j->config->nhosts > 1;
}

static int
others_act(void *ctx, struct buf *note, struct err *e)
{
	return host_tell_others(ctx, note, e);
}

const struct step host_add_steps[] = {
	{ "reach", "log in as root, look at system and clock", NULL, NULL, reach_done, NULL },
	{ "houses", "name the host and its agents in houses.yaml here", "uni-wizard host remove NAME", NULL, houses_done, houses_act },
	{ "package", "install the package there, with what it depends on", "apt-get purge uni-wizard", NULL, package_done, package_act },
	{ "certificates", "issue certificates here, and put them there with their keys", "uni-wizard pki revoke AGENT", NULL, NULL,
	    certificates_act },
	{ "configuration", "put houses.yaml and env into " HOST_ETC " there", "rm " HOST_ETC "/houses.yaml " HOST_ETC "/env", NULL, NULL,
	    configuration_act },
	{ "rights", "give the other brokers the new access list", "uni-wizard host remove NAME", others_have_brokers, NULL, rights_act },
	{ "broker", "configure Mosquitto there and start it",
	    "rm -r " HOST_BROKER_DIR " /etc/systemd/system/mosquitto.service.d/uni-wizard.conf", has_broker, NULL, broker_act },
	{ "start", "enable and start its agents", "systemctl disable --now uni-wizard", has_agents, NULL, start_act },
	{ "health", "wait for its agents' heartbeats", NULL, has_agents, NULL, health_act },
	{ "policy", "publish the first policy, if there is none", NULL, has_sovereign, NULL, policy_act },
	{ "others", "give every other host the new houses.yaml, agents take it up one after the other", "uni-wizard host remove NAME",
	    has_others, NULL, others_act },
	{ .name = NULL },
};
