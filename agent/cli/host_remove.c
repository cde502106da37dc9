#include <string.h>

#include "host_add.h"
#include "pki.h"

#define STOP_MS 120000                  /* its agents end their work and hand their houses over */

static bool
is_there(const void *ctx)
{
	return !cmd_flag(((const struct host_job *)ctx)->a, "lost");
}

/* stop: whoever stops in order hands over before. Nothing else on the machine is touched. */
static const char stop[] =
    "for unit in health-daemon.service 'uni-wizard-*.timer' 'uni-wizard@*.service' timmy-router.service uni-wizard.service; do\n"
    "	systemctl stop \"$unit\" 2>/dev/null || :\n"
    "done\n"
    "for unit in $(systemctl list-unit-files --no-legend 'uni-wizard*' timmy-router.service health-daemon.service 2>/dev/null |\n"
    "	sed 's/ .*//') $(systemctl list-units --all --plain --no-legend 'uni-wizard@*.service' 2>/dev/null | sed 's/ .*//'); do\n"
    "	case $unit in *@.service) continue ;; esac\n"
    "	systemctl disable -q \"$unit\" 2>/dev/null || :\n"
    "	if systemctl is-active -q \"$unit\"; then echo \"$unit still runs\" >&2; exit 1; fi\n"
    "done\n"
    "if systemctl is-active -q uni-wizard.service; then echo 'uni-wizard.service still runs' >&2; exit 1; fi\n";

static int
stop_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	struct err why = { 0 };

	buf_adds(note, "its houses are handed over, its agents stopped");
	if (ssh_run(&j->ssh, &(struct ssh_script){ .text = stop, .deadline_ms = STOP_MS }, NULL, &why) == 0)
		return 0;
	return err_set(e, why.code, "%.400s; if the machine is gone or in other hands, --lost does without it", why.msg);
}

/* revoke: the last of the certificates may have been revoked by a former run already. */
static int
revoke_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	int n, total = 0;

	for (size_t i = 0; i < j->nagents; i++) {
		if (pki_revoke(j->config->pki_dir, j->agents[i], false, &n, e))
			return -1;
		total += n;
	}
	buf_addf(note, "%d certificate%s", total, total == 1 ? "" : "s");
	return 0;
}

static int
strike_done(void *ctx, struct buf *note, struct err *e)
{
	const struct host_job *j = ctx;

	(void)e;
	buf_addf(note, "%s", j->path);
	return host_job_is_saved(j);
}

static int
strike_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;

	buf_addf(note, "%s names its agents no more", j->path);
	return host_job_save(j, e);
}

static int
rights_act(void *ctx, struct buf *note, struct err *e)
{
	return host_tell_brokers(ctx, note, e);
}

static int
others_act(void *ctx, struct buf *note, struct err *e)
{
	return host_tell_others(ctx, note, e);
}

/* Only a broker that is ours: its unit has our configuration. */
static const char stop_broker[] =
    "drop=/etc/systemd/system/mosquitto.service.d/uni-wizard.conf\n"
    "test -e \"$drop\" || exit 0\n"
    "systemctl disable -q --now mosquitto\n"
    "rm -f \"$drop\"; rmdir /etc/systemd/system/mosquitto.service.d 2>/dev/null || :\n"
    "systemctl daemon-reload";

static int
stop_broker_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;

	buf_adds(note, "stopped and disabled, if there was one of ours");
	return ssh_run(&j->ssh, &(struct ssh_script){ .text = stop_broker }, NULL, e);
}

static bool
is_purged(const void *ctx)
{
	return is_there(ctx) && cmd_flag(((const struct host_job *)ctx)->a, "purge");
}

static const char purge[] =
    "apt-get -q -y -o DPkg::Lock::Timeout=300 purge uni-wizard >/dev/null\n"
    "rm -rf \"$1\" \"$2\" /var/lib/uni-wizard /run/uni-wizard /var/lib/systemd/timers/stamp-uni-wizard-*";

static int
purge_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;

	buf_adds(note, "package, configuration, keys and databases are gone there");
	return ssh_run(&j->ssh, &(struct ssh_script){ .text = purge, .args = (const char *const[]){ HOST_ETC, HOST_BROKER_DIR, NULL },
	    .deadline_ms = STOP_MS }, NULL, e);
}

static int
forget_act(void *ctx, struct buf *note, struct err *e)
{
	struct host_job *j = ctx;
	config_name name;

	memcpy(name, j->ssh.name, sizeof name);
	if (host_plan_forget(j, name, e))
		return -1;
	buf_addf(note, "%s knows no host %s", j->path, name);
	return host_job_save(j, e);
}

const struct step host_remove_steps[] = {
	{ "stop", "stop its agents, which hand their houses over, and disable them", "systemctl enable --now uni-wizard", is_there, NULL,
	    stop_act },
	{ "revoke", "revoke its agents' certificates", "not to be undone; `host add` issues new ones", NULL, NULL, revoke_act },
	{ "strike", "strike its agents from houses.yaml here", "uni-wizard host add NAME --house H", NULL, strike_done, strike_act },
	{ "rights", "give the brokers the new access list and the list of what is revoked", "uni-wizard host add NAME --house H", NULL, NULL,
	    rights_act },
	{ "others", "give every other host the new houses.yaml, agents take it up one after the other", "uni-wizard host add NAME --house H",
	    NULL, NULL, others_act },
	{ "broker", "stop the broker there", "uni-wizard host add NAME --broker", is_there, NULL, stop_broker_act },
	{ "purge", "remove package, configuration, keys and databases there", "not to be undone", is_purged, NULL, purge_act },
	{ "forget", "strike the host from houses.yaml here", "uni-wizard host add NAME --house H --ssh user@host", NULL, NULL, forget_act },
	{ .name = NULL },
};
