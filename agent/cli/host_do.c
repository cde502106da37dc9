#include "host_job.h"

#include <openssl/crypto.h>
#include <string.h>

#include "clock.h"
#include "pki.h"
#include "save.h"

#define FILE_MAX (1u << 20)
#define RENEW_DAYS 30
#define RELOAD_MS 90000                 /* an agent may first end what it does */

/* What is new and not yet taken up has a mark beside it, which goes when agents have it: so it is not forgotten if something fails
 * in between. */
static const char put_houses[] =
    "install -d -m 750 -o root -g uni-wizard \"$1\" \"$1/pki\"\n"
    "test -e \"$1/env\" || install -m 640 -o root -g uni-wizard /dev/null \"$1/env\"\n"
    "new=$1/houses.yaml.uw-new; payload >\"$new\"; chown root:uni-wizard \"$new\"; chmod 640 \"$new\"\n"
    "if cmp -s \"$new\" \"$1/houses.yaml\"; then rm -f \"$new\"\n"
    "else : >\"$1/.reload\"; sync \"$new\"; mv -f \"$new\" \"$1/houses.yaml\"; fi\n"
    "test ! -e \"$1/.reload\" || echo changed";

int
host_put_houses(struct host_job *j, struct ssh *s, bool *changed, struct err *e)
{
	struct buf out = { 0 };
	int rc = ssh_run(s, &(struct ssh_script){ .text = put_houses, .args = (const char *const[]){ HOST_ETC, NULL },
	    .payload = j->bare.data, .payload_len = j->bare.len, .fix = "the package makes the user and group uni-wizard" }, &out, e);

	*changed = out.len > 0;
	buf_free(&out);
	return rc;
}

/* Certificates */

static bool
is_good(const struct host_job *j, const char *name, bool is_broker, const char *address)
{
	struct pki_cert c;

	return pki_read(j->config->pki_dir, name, &c, NULL) == 0 && c.trusted && c.has_key &&
	    c.use == (is_broker ? PKI_SERVER : PKI_CLIENT) && c.until_ms > clock_wall_ms() + RENEW_DAYS * INT64_C(86400000) &&
	    (!is_broker || pki_is_for(&c, address));
}

int
host_issue(struct host_job *j, const char *name, bool is_broker, bool *issued, struct err *e)
{
	const char *sans[] = { j->host->address, "localhost", "127.0.0.1" };

	*issued = !is_good(j, name, is_broker, j->host->address);
	if (!*issued)
		return 0;
	return pki_issue(j->config->pki_dir, name, is_broker ? PKI_SERVER : PKI_CLIENT, sans,
	    is_broker ? sizeof sans / sizeof *sans : 0, 0, e);
}

static int
put_file(struct host_job *j, struct ssh *s, const char *file, const char *dir, const char *mode, const char *owner, bool *changed,
    struct err *e)
{
	struct buf from = { 0 }, to = { 0 }, data = { .max = FILE_MAX };
	bool differs = false;
	int rc;

	buf_addf(&from, "%s/%s", j->config->pki_dir, file);
	buf_addf(&to, "%s/%s", dir, file);
	rc = save_read(from.data, &data, e) || ssh_put(s, to.data, mode, owner, buf_str(&data), data.len, &differs, e) ? -1 : 0;
	*changed |= differs;
	if (data.data)
		OPENSSL_cleanse(data.data, data.len);
	buf_free(&data);
	buf_free(&from);
	buf_free(&to);
	return rc;
}

/* The key first: a certificate that lacks its key is worse than one that is old. */
int
host_put_cert(struct host_job *j, struct ssh *s, const char *name, bool is_broker, bool *changed, struct err *e)
{
	const char *dir = is_broker ? HOST_BROKER_DIR : HOST_ETC "/pki", *owner = is_broker ? HOST_BROKER_USER : HOST_USER;
	char key[NAME_MAX_LEN + 8], crt[NAME_MAX_LEN + 8];

	*changed = false;
	snprintf(key, sizeof key, "%s.key", name);
	snprintf(crt, sizeof crt, "%s.crt", name);
	if (is_broker && ssh_run(s, &(struct ssh_script){ .text = "install -d -m 700 -o mosquitto -g mosquitto \"$1\"",
	    .args = (const char *const[]){ HOST_BROKER_DIR, NULL } }, NULL, e))
		return -1;
	return put_file(j, s, "ca.crt", dir, is_broker ? "600" : "644", owner, changed, e) ||
	    put_file(j, s, key, dir, "600", owner, changed, e) || put_file(j, s, crt, dir, is_broker ? "600" : "644", owner, changed, e)
	    ? -1 : 0;
}

/* Brokers */

/* A broker that runs with this configuration is told; one that runs with another (the package starts one) is started anew. What
 * stands in a listener's block, the certificate's name and the port, is read at the start alone. */
static const char set_broker[] =
    "d=$1 cert=$2 port=$3\n"
    "drop=/etc/systemd/system/mosquitto.service.d/uni-wizard.conf\n"
    "if ! cmp -s /usr/share/uni-wizard/mosquitto.service.d/uni-wizard.conf $drop; then\n"
    "	install -D -m 644 /usr/share/uni-wizard/mosquitto.service.d/uni-wizard.conf $drop\n"
    "	systemctl daemon-reload\n"
    "	new=1\n"
    "fi\n"
    "before=$(grep -A9 '^listener' \"$d/mosquitto.conf\" 2>/dev/null || :)\n"
    "uni-wizard broker config --config \"$d/houses.yaml\" --dir \"$d\" --pki \"$d\" --cert \"$cert\" --port \"$port\" \\\n"
    "	--ws-port 0 --user mosquitto >&2\n"
    "after=$(grep -A9 '^listener' \"$d/mosquitto.conf\")\n"
    "systemctl is-enabled -q mosquitto || systemctl enable -q mosquitto\n"
    "pid=$(systemctl show -p MainPID --value mosquitto)\n"
    "if test -z \"${new:-}\" && test \"$before\" = \"$after\" && test \"${pid:-0}\" != 0 && kill -0 \"$pid\" 2>/dev/null; then\n"
    "	systemctl kill -s HUP mosquitto\n"
    "	echo told\n"
    "else\n"
    "	systemctl restart mosquitto\n"
    "	echo started\n"
    "fi\n";

int
host_set_broker(struct host_job *j, struct ssh *s, const struct config_host *h, struct err *e)
{
	char name[NAME_MAX_LEN + 1], port[16];
	bool changed = false;

	host_broker_name(h, name);
	snprintf(port, sizeof port, "%d", host_broker_port(j->config, h));
	if (put_file(j, s, "ca.crl", HOST_BROKER_DIR, "600", HOST_BROKER_USER, &changed, e) ||
	    ssh_put(s, HOST_BROKER_DIR "/houses.yaml", "600", HOST_BROKER_USER, buf_str(&j->bare), j->bare.len, NULL, e))
		return -1;
	return ssh_run(s, &(struct ssh_script){ .text = set_broker, .args = (const char *const[]){ HOST_BROKER_DIR, name, port,
	    NULL }, .fix = "journalctl -u mosquitto there tells more" }, NULL, e);
}

int
host_tell_brokers(struct host_job *j, struct buf *note, struct err *e)
{
	int n = 0, failed = 0;
	struct err one;

	/* One that is away must not keep the others from learning who is locked out. */
	for (size_t i = 0; i < j->config->nhosts; i++) {
		const struct config_host *h = &j->config->hosts[i];
		struct ssh s;

		if (h == j->host || !host_has_broker(h))
			continue;
		one = (struct err){ .code = ERR_NONE };
		ssh_init(&s, j->config, h);
		if (host_set_broker(j, &s, h, &one) && failed++ == 0 && e)
			*e = one;
		ssh_close(&s);
		n++;
	}
	buf_addf(note, "%d other broker%s", n, n == 1 ? "" : "s");
	return failed ? -1 : 0;
}

/* Other hosts */

void
host_unit(const struct config_host *h, size_t i, char *out, size_t size)
{
	if (i == 0)
		snprintf(out, size, "uni-wizard.service");
	else
		snprintf(out, size, "uni-wizard@%s.service", h->agents.v[i]);
}

/* One after the other, so that whoever takes a house over is there. */
static int
take_up(struct host_job *j, const struct config_host *h, struct ssh *s, struct err *e)
{
	char unit[NAME_MAX_LEN + 32];
	int rc = 0;

	for (size_t i = 0; i < h->agents.n && rc == 0; i++) {
		host_unit(h, i, unit, sizeof unit);
		rc = ssh_run(s, &(struct ssh_script){ .text = "systemctl reload-or-restart \"$1\"", .args = (const char *const[]){ unit, NULL },
		    .deadline_ms = RELOAD_MS, .fix = "journalctl -u uni-wizard there tells more" }, NULL, e) || host_settle(j, h->agents.v[i], e)
		    ? -1 : 0;
	}
	return rc ? rc : ssh_run(s, &(struct ssh_script){ .text =
	    "systemctl try-restart health-daemon.service 2>/dev/null || :; rm -f \"$1/.reload\"",
	    .args = (const char *const[]){ HOST_ETC, NULL } }, NULL, e);
}

static int
tell(struct host_job *j, const struct config_host *h, bool *told, struct err *e)
{
	struct ssh s;
	int rc;

	ssh_init(&s, j->config, h);
	rc = host_put_houses(j, &s, told, e);
	if (rc == 0 && *told)
		rc = take_up(j, h, &s, e);
	ssh_close(&s);
	return rc;
}

/* One that is away is no reason to leave the others without: it is named at the end. */
int
host_tell_others(struct host_job *j, struct buf *note, struct err *e)
{
	int told = 0, failed = 0;
	struct err one;

	for (size_t i = 0; i < j->config->nhosts; i++) {
		const struct config_host *h = &j->config->hosts[i];
		bool new = false;

		if (h == j->host || (!h->agents.n && !host_has_broker(h)))
			continue;
		one = (struct err){ .code = ERR_NONE };
		if (tell(j, h, &new, &one) == 0) {
			told += new;
			continue;
		}
		if (failed++ == 0 && e)
			*e = one;
	}
	buf_addf(note, "%d other host%s took it up", told, told == 1 ? "" : "s");
	if (!failed)
		return 0;
	return err_wrap(e, failed == 1 ? "one host has not taken houses.yaml up; run this again when it is back"
	    : "%d hosts have not taken houses.yaml up; run this again when they are back; the first", failed);
}
