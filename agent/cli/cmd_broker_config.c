#include "broker.h"
#include "buf.h"
#include "cmd.h"
#include "pki.h"
#include "save.h"

static int
write_files(const struct cmd_args *a, const struct config *c, char *dir, char *pki, char *log)
{
	struct broker b = {
		.dir = dir,
		.bind = cmd_text(a, "bind", NULL),
		.port = (int)cmd_int(a, "port", BROKER_PORT),
		.ws_port = (int)cmd_int(a, "ws-port", BROKER_WS_PORT),
		.pki_dir = pki,
		.cert = cmd_text(a, "cert", "broker"),
		.user = cmd_text(a, "user", NULL),
		.log = log,
	};
	struct err e = { 0 };
	bool changed, anew;

	/* Without it Mosquitto would not start. */
	if (pki_crl_keep(pki, &anew, &e)) {
		err_wrap(&e, "the list of revoked certificates, which belongs beside ca.crt");
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	}
	if (broker_write(c, &b, &changed, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	printf("%s/mosquitto.conf: %s\n", dir, changed ? "written" : "unchanged");
	return EXIT_OK;
}

static int
broker_config_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	const char *log = cmd_text(a, "log", NULL);
	char *dir, *pki, *log_path;
	int rc = cmd_config(a, c);

	if (rc == 0) {
		/* The broker reads its files from wherever it is started. */
		dir = save_absolute(cmd_text(a, "dir", "."));
		pki = save_absolute(cmd_text(a, "pki", c->pki_dir));
		log_path = log ? save_absolute(log) : NULL;
		rc = write_files(a, c, dir, pki, log_path);
		free(dir);
		free(pki);
		free(log_path);
		config_release(c);
	}
	free(c);
	return rc;
}

const struct cmd cmd_broker_config = {
	.name = "broker config",
	.help = "Write mosquitto.conf and the access list for a broker of this cluster",
	.more = "To be run again, followed by SIGHUP to the broker, when houses.yaml changes. "
	    "Start it with: mosquitto -c DIR/mosquitto.conf",
	.opts = (const struct cmd_opt[]){
		{ .name = "dir", .kind = OPT_TEXT, .arg = "DIR", .complete = "files",
		  .help = "where mosquitto.conf, acl and data/ go (else here)" },
		{ .name = "bind", .kind = OPT_TEXT, .arg = "ADDRESS", .help = "listen on this address (else on all)" },
		{ .name = "port", .kind = OPT_INT, .arg = "N", .min = 1, .max = 65535, .help = "MQTT over TLS (8883)" },
		{ .name = "ws-port", .kind = OPT_INT, .arg = "N", .min = 0, .max = 65535,
		  .help = "WebSockets over TLS (8884); 0: none" },
		{ .name = "pki", .kind = OPT_TEXT, .arg = "DIR", .complete = "files",
		  .help = "directory of ca.crt, ca.crl and the broker's certificate (else `pki` of the configuration)" },
		{ .name = "cert", .kind = OPT_TEXT, .arg = "NAME", .help = "the broker's certificate there (broker)" },
		{ .name = "user", .kind = OPT_TEXT, .arg = "NAME",
		  .help = "the user the broker runs as; as root, the files become this user's" },
		{ .name = "log", .kind = OPT_TEXT, .arg = "FILE", .complete = "files",
		  .help = "write the broker's log there (else to standard error)" },
		{ .name = NULL } },
	.run = broker_config_run,
};
