/*
 * doctor_broker.c - each broker of houses.yaml, step by step: name, TCP, TLS, MQTT; what the first of them says of
 * itself; and its files, if they lie on this host.
 */
#include <errno.h>

#include "broker.h"
#include "buf.h"
#include "doctor.h"
#include "doctor_wire.h"
#include "save.h"

#define LIMIT_MS 3000                   /* for each step */
#define KEEPALIVE_S 30
#define LONG_KEEPALIVE_S 3600           /* is to be refused */
#define LEAST_IN_FLIGHT 512
#define SYS_MS 1500

static struct wire *
connect_as(const struct doctor *d, const char *name, size_t i, int keepalive_s, enum wire_step *step, struct err *e)
{
	const struct config *c = d->config;
	char ca[600], crt[600], key[600];

	snprintf(ca, sizeof ca, "%.500s/ca.crt", c->pki_dir);
	snprintf(crt, sizeof crt, "%.500s/%s.crt", c->pki_dir, name ? name : "");
	snprintf(key, sizeof key, "%.500s/%s.key", c->pki_dir, name ? name : "");
	return wire_open(&(struct wire_opts){ .host = c->brokers[i].host, .port = c->brokers[i].port, .cafile = ca,
	    .certfile = name ? crt : NULL, .keyfile = key, .keepalive_s = keepalive_s, .limit_ms = LIMIT_MS }, step, e);
}

struct wire *
doctor_connect(const struct doctor *d, size_t i, int keepalive_s, enum wire_step *step, struct err *e)
{
	return connect_as(d, d->subject, i, keepalive_s, step, e);
}

struct wire *
doctor_connect_any(const struct doctor *d, enum wire_step *step, struct err *e)
{
	struct wire *w = NULL;

	for (size_t i = 0; !w && i < d->config->nbrokers; i++)
		w = doctor_connect(d, i, KEEPALIVE_S, step, e);
	return w;
}

/* ---- can it be reached ---- */

static void
not_reached(struct doctor *d, const struct config_broker *b, const char *at, enum wire_step step, const char *why)
{
	static const struct {
		enum doctor_finding finding;
		const char *what;
	} steps[] = {
		[WIRE_NAME] = { FOUND_BROKER_NAME, "name" }, [WIRE_TCP] = { FOUND_BROKER_PORT, "TCP" },
		[WIRE_TLS] = { FOUND_BROKER_TLS, "TLS" }, [WIRE_SAN] = { FOUND_BROKER_SAN, "TLS" },
		[WIRE_CLIENT] = { FOUND_BROKER_CLIENT, "TLS, the broker about our certificate" },
		[WIRE_MQTT] = { FOUND_BROKER_REFUSED, "MQTT" }, [WIRE_FILES] = { FOUND_CERT_UNREADABLE, "our certificate" },
	};
	bool about_host = step == WIRE_NAME || step == WIRE_SAN;

	if (step == WIRE_OLD)
		doctor_note(d, "%s speaks MQTT 3.1.1 only (%s): settings and rights cannot be asked", at, why);
	else
		doctor_wrong(d, steps[step].finding, about_host ? b->host : at, "%s: %s: %s", at, steps[step].what, why);
}

static bool
lets_strangers_in(struct doctor *d, size_t i)
{
	enum wire_step step;
	struct err e = { 0 };
	struct wire *w = connect_as(d, NULL, i, KEEPALIVE_S, &step, &e);

	wire_close(w);
	return w != NULL;
}

static void
check_broker(struct doctor *d, size_t i)
{
	const struct config_broker *b = &d->config->brokers[i];
	char at[300];
	enum wire_step step;
	struct err e = { 0 };
	struct wire *w;

	snprintf(at, sizeof at, strchr(b->host, ':') ? "[%.255s]:%d" : "%.255s:%d", b->host, b->port);
	w = doctor_connect(d, i, KEEPALIVE_S, &step, &e);
	if (!w)
		not_reached(d, b, at, step, e.msg);
	else if (wire_cert_days(w) < DOCTOR_SOON_DAYS)
		doctor_wrong(d, FOUND_CERT_SOON, "broker", "the certificate of %s ends in %d days", at, wire_cert_days(w));
	else if (lets_strangers_in(d, i))
		doctor_wrong(d, FOUND_BROKER_OPEN, at, "%s lets in whoever has no certificate", at);
	else
		doctor_well(d, "%s lets %s in, and nobody without a certificate; its own is good for %d days", at, d->subject,
		    wire_cert_days(w));
	wire_close(w);
}

void
doctor_broker(struct doctor *d)
{
	for (size_t i = 0; i < d->config->nbrokers; i++)
		check_broker(d, i);
}

/* ---- what it says of itself ---- */

static bool
is_older(const char *version, int major, int minor, int patch)
{
	int v[3] = { 0 };

	if (sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2]) < 2)
		return false;
	if (v[0] != major)
		return v[0] < major;
	return v[1] != minor ? v[1] < minor : v[2] < patch;
}

/* Of versions that this cluster can work with. */
static const struct {
	int major, minor, patch;        /* not in this one any more */
	const char *what;
} faults[] = {
	{ 2, 0, 12, "its WebSocket listener does not read ca.crl at once, and can crash on SIGHUP: best `--ws-port 0`" },
	{ 2, 0, 19, "older than 2.0.19, so unless your system brought them in, fixes are missing (CVE-2023-28366, CVE-2024-8376)" },
	{ 2, 0, 20, "older than 2.0.20, it does not keep to max_inflight_messages: after a crash thousands of messages come again" },
};

static void
check_version(struct doctor *d, const char *text)
{
	const char *version = text + strcspn(text, "0123456789");

	if (strncmp(text, "mosquitto", 9) != 0) {
		doctor_note(d, "the broker is %.60s: nothing is known of its versions", text);
		return;
	}
	if (is_older(version, 2, 0, 11)) {
		doctor_wrong(d, FOUND_BROKER_VERSION, "mosquitto", "the broker is %.60s", text);
		return;
	}
	doctor_well(d, "%.60s", text);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (is_older(version, faults[i].major, faults[i].minor, faults[i].patch))
			doctor_note(d, "mosquitto %.20s: %s", version, faults[i].what);
}

static void
ask_version(struct doctor *d, struct wire *w)
{
	struct wire_message m;
	struct err e = { 0 };
	char text[80];

	if (d->is_agent) {
		doctor_note(d, "its version is told to people only: run this with --as operator");
		return;
	}
	if (wire_subscribe(w, "$SYS/broker/version", &e) < 0 || wire_read(w, SYS_MS, &m, &e) != 1) {
		doctor_note(d, "the broker does not tell its version: %s", e.msg[0] ? e.msg : "no $SYS/broker/version");
		return;
	}
	snprintf(text, sizeof text, "%.*s", (int)(m.len < 79 ? m.len : 79), m.payload);
	check_version(d, text);
}

static void
check_told(struct doctor *d, const struct wire_connack *k)
{
	int64_t size = broker_message_size(d->config);

	if (k->receive_max >= 0 && k->receive_max < LEAST_IN_FLIGHT)
		doctor_wrong(d, FOUND_BROKER_SETTING, "max_inflight_messages",
		    "the broker takes %lld messages at a time, so only so many share a commit; at least %d are wanted",
		    (long long)k->receive_max, LEAST_IN_FLIGHT);
	if (k->max_packet >= 0 && k->max_packet < size)
		doctor_wrong(d, FOUND_BROKER_SETTING, "max_packet_size",
		    "packets of more than %lld bytes are refused; agents may send %lld", (long long)k->max_packet, (long long)size);
	if (k->max_packet < 0)
		doctor_wrong(d, FOUND_BROKER_SETTING, "max_packet_size", "any client may have the broker allocate 256 MB");
	if (k->keepalive_s < 0)
		doctor_wrong(d, FOUND_BROKER_SETTING, "max_keepalive", "a client that vanished may be kept for %d s and more",
		    LONG_KEEPALIVE_S);
	if (k->max_qos >= 0 && k->max_qos < 1)
		doctor_wrong(d, FOUND_BROKER_SETTING, "max_qos", "the broker takes QoS 0 alone");
}

/* ---- its files ---- */

/* The rest of the line that begins with that word; NULL: there is none. The last one counts. */
static const char *
setting(const char *text, const char *word, char *out, size_t size)
{
	size_t n = strlen(word);
	const char *found = NULL;

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL) {
		p += strspn(p, " \t");
		if (strncmp(p, word, n) == 0 && (p[n] == ' ' || p[n] == '\t'))
			found = p + n + 1;
	}
	if (!found)
		return NULL;
	snprintf(out, size, "%.*s", (int)strcspn(found, "\r\n"), found);
	return out;
}

/* What cannot be seen from outside. Where a path is meant, that it is there is enough. */
static const struct {
	const char *word;
	bool is_path;
} in_file[] = {
	{ "acl_file", true }, { "crlfile", true }, { "message_size_limit", false }, { "max_queued_messages", false },
	{ "max_queued_bytes", false }, { "persistence", false }, { "persistent_client_expiration", false },
};

static void
check_conf(struct doctor *d, const char *conf)
{
	struct broker b = { .dir = d->broker_dir, .port = 1, .pki_dir = "", .cert = "" };
	struct buf wanted = { 0 };
	char ours[200], its[200];

	broker_conf_put(&wanted, d->config, &b);
	for (size_t i = 0; i < sizeof in_file / sizeof *in_file; i++) {
		const char *want = setting(buf_str(&wanted), in_file[i].word, ours, sizeof ours);
		const char *got = setting(conf, in_file[i].word, its, sizeof its);

		if (!got || (!in_file[i].is_path && want && strcmp(got, want) != 0))
			doctor_wrong(d, FOUND_BROKER_SETTING, in_file[i].word, "%s/mosquitto.conf: %s is %s, not %s", d->broker_dir,
			    in_file[i].word, got ? got : "not set", want ? want : "a path");
	}
	buf_free(&wanted);
}

static void
check_files(struct doctor *d)
{
	struct buf conf = { 0 }, acl = { 0 }, wanted = { 0 };
	char path[600];
	struct err e = { 0 };

	snprintf(path, sizeof path, "%.500s/mosquitto.conf", d->broker_dir);
	if (save_read(path, &conf, &e))
		doctor_note(d, "%s", e.msg);
	else
		check_conf(d, buf_str(&conf));
	snprintf(path, sizeof path, "%.500s/acl", d->broker_dir);
	broker_acl_put(&wanted, d->config);
	if (save_read(path, &acl, &e))
		doctor_note(d, "%s", e.msg);
	else if (acl.len != wanted.len || memcmp(acl.data, wanted.data, acl.len) != 0)
		doctor_wrong(d, FOUND_BROKER_ACL, path, "%s is not what %s gives", path, d->config_path);
	else
		doctor_well(d, "%s is what %s gives", path, d->config_path);
	buf_free(&conf);
	buf_free(&acl);
	buf_free(&wanted);
}

void
doctor_settings(struct doctor *d)
{
	enum wire_step step;
	struct err e = { 0 };
	struct wire *w = doctor_connect(d, 0, LONG_KEEPALIVE_S, &step, &e);

	if (!w && step == WIRE_OLD)
		doctor_skip(d, "the broker speaks no MQTT 5, in which it would say what it is set to");
	else if (!w)
		doctor_skip(d, "no connection: %s", e.msg);
	if (w) {
		ask_version(d, w);
		check_told(d, wire_connack(w));
	}
	wire_close(w);
	if (d->broker_dir)
		check_files(d);
	else
		doctor_skip(d, "the broker's files are not here, or --broker does not say where");
}
