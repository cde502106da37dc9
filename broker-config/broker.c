#include "broker.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "buf.h"
#include "config.h"
#include "err.h"
#include "save.h"
#include "topic.h"

/* In flight to one client: with the customary 20 only 20 messages could share one commit of the agent. */
#define INFLIGHT 1024

/* Messages waiting for one client. No house holds more tasks, so for those the bound in bytes comes first.
 * With 0 a reader of QoS 0 messages that no longer reads makes the broker grow until its keepalive ends. */
#define QUEUED 1000000

/* A message that is too large is refused with a reason if its packet is not. (mosquitto_pub says nothing at
 * all and exits with 0 when the packet would be.) */
#define PACKET_FACTOR 4

/* The access list */

struct grant {
	struct buf *out;
	const struct config *c;
	const char *identity;
	enum config_kind who;
	bool witness;                   /* an agent that owns nothing, executes nothing and answers nobody */
};

static void
allow(const struct grant *g, const char *access, enum topic_kind kind, const char *name, const char *id)
{
	char filter[TOPIC_MAX];

	topic_format(filter, g->c->cluster, kind, name, id);
	buf_addf(g->out, "topic %s %s\n", access, filter);
}

static void
allow_house(const struct grant *g, enum topic_kind kind, const char *house)
{
	enum topic_writer writer = topics[kind].writer;

	if (writer == WRITER_CANDIDATE_NAME)
		allow(g, "write", kind, g->identity, house);
	else
		allow(g, "write", kind, house, writer == WRITER_CANDIDATE_ID ? g->identity : "+");
}

static void
allow_candidate(const struct grant *g, enum topic_kind kind)
{
	for (size_t i = 0; i < g->c->nhouses; i++)
		if (config_names_has(&g->c->houses[i].candidates, g->identity))
			allow_house(g, kind, g->c->houses[i].name);
	if (config_names_has(&g->c->router, g->identity))
		allow_house(g, kind, "_");
}

static void
allow_write(const struct grant *g, enum topic_kind kind)
{
	bool agent = g->who == IDENTITY_AGENT, may = g->who != IDENTITY_WATCHER;

	switch (topics[kind].writer) {
	case WRITER_AGENT_ID:
		may = agent && !g->witness;
		/* fall through */
	case WRITER_ID:
		if (may)
			allow(g, "write", kind, "+", g->identity);
		break;
	case WRITER_SOVEREIGN:
		if (g->who == IDENTITY_SOVEREIGN)
			allow(g, "write", kind, g->identity, "+");
		break;
	case WRITER_PERSON:
		if (g->who == IDENTITY_SOVEREIGN || g->who == IDENTITY_OPERATOR)
			allow(g, "write", kind, g->identity, "+");
		break;
	case WRITER_AGENT_NAME:
		may = agent;
		/* fall through */
	case WRITER_NAME:
		if (may)
			allow(g, "write", kind, g->identity, "+");
		break;
	case WRITER_CANDIDATE:
	case WRITER_CANDIDATE_ID:
	case WRITER_CANDIDATE_NAME:
		allow_candidate(g, kind);
		break;
	case WRITER_AGENTS:
		if (agent && !g->witness)
			allow(g, "write", kind, "+", "+");
		break;
	}
}

static void
allow_read(const struct grant *g, enum topic_kind kind)
{
	switch (topics[kind].reader) {
	case READER_AGENTS:
		if (g->who != IDENTITY_WATCHER)
			allow(g, "read", kind, "+", "+");
		break;
	case READER_ALL:
		allow(g, "read", kind, "+", "+");
		break;
	case READER_NAME:
		allow(g, "read", kind, g->identity, "+");
		break;
	}
}

void
broker_acl_identity_put(struct buf *out, const struct config *c, const char *identity)
{
	struct grant g = { .out = out, .c = c, .identity = identity, .who = config_identity_kind(c, identity),
		.witness = config_names_has(&c->witnesses, identity) };

	buf_addf(out, "\nuser %s\n", identity);
	for (int k = 0; k < TOPIC_COUNT; k++) {
		allow_write(&g, (enum topic_kind)k);
		allow_read(&g, (enum topic_kind)k);
	}
	if (g.who != IDENTITY_AGENT)
		buf_adds(out, "topic read $SYS/#\n");
}

void
broker_acl_put(struct buf *out, const struct config *c)
{
	size_t max = CONFIG_MAX_IDENTITIES, n;
	const char **who = xcalloc(max, sizeof *who);

	n = config_identities(c, who, max);
	buf_adds(out, "# Written by `uni-wizard broker config` from houses.yaml: what is changed here is lost.\n"
	    "# Whoever is not listed may do nothing.\n");
	for (size_t i = 0; i < n; i++)
		broker_acl_identity_put(out, c, who[i]);
	free(who);
}

/* mosquitto.conf */

static void set(struct buf *out, const char *why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* why NULL: the line belongs to the one before it. */
static void
set(struct buf *out, const char *why, const char *fmt, ...)
{
	char line[2 * 4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (why)
		buf_addf(out, "\n# %s\n", why);
	buf_addf(out, "%s\n", line);
}

/* A message past the agents' limit must still reach them, for it is they who answer what is wrong with it;
 * and events hold a whole task together with its result. */
int64_t
broker_message_size(const struct config *c)
{
	int64_t max = c->max_payload_bytes;

	max = c->max_output_bytes > max ? c->max_output_bytes : max;
	return 4 * max;
}

static void
listener_put(struct buf *out, const struct broker *b, int port, const char *why)
{
	set(out, why, "listener %d%s%s", port, b->bind ? " " : "", b->bind ? b->bind : "");
	set(out, NULL, "tls_version tlsv1.2");
	set(out, NULL, "cafile %s/ca.crt", b->pki_dir);
	set(out, NULL, "crlfile %s/ca.crl", b->pki_dir);
	set(out, NULL, "certfile %s/%s.crt", b->pki_dir, b->cert);
	set(out, NULL, "keyfile %s/%s.key", b->pki_dir, b->cert);
	set(out, NULL, "require_certificate true");
	set(out, NULL, "use_identity_as_username true");
}

static void
limits_put(struct buf *out, const struct config *c)
{
	set(out, "Messages on their way to one client: as many as may share one commit of an agent.",
	    "max_inflight_messages %d", INFLIGHT);
	set(out, "What waits for one client is bounded by its size; the count is the only bound that QoS 0 has.",
	    "max_queued_bytes %lld", (long long)c->max_outbox_bytes);
	set(out, NULL, "max_queued_messages %d", QUEUED);
	set(out, "Larger than the agents' own limit, so that they see what is too large and say so.",
	    "message_size_limit %lld", (long long)broker_message_size(c));
	set(out, "Far above it: what is larger is not even read.",
	    "max_packet_size %lld", (long long)broker_message_size(c) * PACKET_FACTOR);
	set(out, "A client that vanished, or reads no more, is let go after one and a half times this.",
	    "max_keepalive 60");
	set(out, "Sessions of agents that do not come back.", "persistent_client_expiration 14d");
}

void
broker_conf_put(struct buf *out, const struct config *c, const struct broker *b)
{
	buf_adds(out, "# Written by `uni-wizard broker config` from houses.yaml: what is changed here is lost.\n");
	if (b->user)
		set(out, "The keys are readable by this user only.", "user %s", b->user);
	set(out, "Who a client is, its certificate says; what it may do, the access list.", "allow_anonymous false");
	set(out, NULL, "acl_file %s/acl", b->dir);
	set(out, "mosquitto_pub gives no client id; the broker then makes one up that nobody can guess.",
	    "allow_zero_length_clientid true");
	limits_put(out, c);
	set(out, "Answers are short and somebody waits for them.", "set_tcp_nodelay true");
	set(out, "Sessions survive a restart. The broker is not the truth, so it saves now and then, not always.",
	    "persistence true");
	set(out, NULL, "persistence_location %s/data/", b->dir);
	set(out, NULL, "autosave_interval 60");
	set(out, "Who came and went; not every message.", "connection_messages true");
	if (b->log)
		set(out, NULL, "log_dest file %s", b->log);
	else
		set(out, NULL, "log_dest stderr");
	set(out, NULL, "log_type error");
	set(out, NULL, "log_type warning");
	set(out, NULL, "log_type notice");
	set(out, NULL, "log_timestamp_format %%Y-%%m-%%dT%%H:%%M:%%S");
	listener_put(out, b, b->port, "Agents and people.");
	if (b->ws_port) {
		listener_put(out, b, b->ws_port,
		    "The dashboard. (Mosquitto 2.0 does not start with such listeners alone.)");
		set(out, NULL, "protocol websockets");
	}
}

/* Writing */

/* Mosquitto reads to the end of the line and knows no quotes. */
static int
check_path(const char *what, const char *path, struct err *e)
{
	if (path && (path[0] != '/' || strpbrk(path, "\n\r") || strlen(path) > 4000))
		return err_field(e, ERR_INVALID, what, path, "an absolute path without line ends");
	return 0;
}

static int
check_broker(const struct broker *b, struct err *e)
{
	char got[16];

	if (check_path("dir", b->dir, e) || check_path("pki", b->pki_dir, e) || check_path("log", b->log, e))
		return -1;
	if (b->bind && (!*b->bind || strpbrk(b->bind, " \t\r\n#\"'")))
		return err_field(e, ERR_INVALID, "bind", b->bind, "an address or a host name");
	if (b->port < 1 || b->port > 65535 || b->ws_port < 0 || b->ws_port > 65535 || b->port == b->ws_port) {
		snprintf(got, sizeof got, "%d, %d", b->port, b->ws_port);
		return err_field(e, ERR_INVALID, "port", got, "two different ports from 1 to 65535");
	}
	return 0;
}

struct owner {
	bool give;
	uid_t uid;
	gid_t gid;
};

static int
owner_find(const char *user, struct owner *o, struct err *e)
{
	struct passwd *p;

	*o = (struct owner){ .give = false };
	if (!user || geteuid() != 0)
		return 0;
	p = getpwnam(user);
	if (!p)
		return err_field(e, ERR_NOT_FOUND, "user", user, "a user of this system");
	*o = (struct owner){ .give = p->pw_uid != 0, .uid = p->pw_uid, .gid = p->pw_gid };
	return 0;
}

static int
owner_give(const struct owner *o, const char *path, struct err *e)
{
	if (!o->give || lchown(path, o->uid, o->gid) == 0)
		return 0;
	return err_set(e, ERR_IO, "cannot give %s to its user: %s", path, strerror(errno));
}

static int
put_dir(const struct owner *o, const char *dir, const char *name, struct err *e)
{
	struct buf path = { 0 };
	int rc;

	buf_addf(&path, "%s%s", dir, name);
	rc = save_dir(path.data, 0700, e) || owner_give(o, path.data, e) ? -1 : 0;
	buf_free(&path);
	return rc;
}

static int
put_file(const struct owner *o, const char *dir, const char *name, const struct buf *text, bool *changed,
    struct err *e)
{
	struct buf path = { 0 };
	bool differs = false;
	int rc;

	buf_addf(&path, "%s/%s", dir, name);
	rc = save_if_changed(path.data, buf_str(text), text->len, 0600, &differs, e) ||
	    owner_give(o, path.data, e) ? -1 : 0;
	*changed |= differs;
	buf_free(&path);
	return rc;
}

int
broker_write(const struct config *c, const struct broker *b, bool *changed, struct err *e)
{
	struct buf conf = { 0 }, acl = { 0 };
	struct owner o;
	int rc = -1;

	*changed = false;
	if (check_broker(b, e) || owner_find(b->user, &o, e))
		return -1;
	broker_conf_put(&conf, c, b);
	broker_acl_put(&acl, c);
	if (!buf_ok(&conf) || !buf_ok(&acl))
		err_set(e, ERR_TOO_BIG, "the broker's files would be too large");
	else if (put_dir(&o, b->dir, "", e) == 0 && put_dir(&o, b->dir, "/data", e) == 0 &&
	    put_file(&o, b->dir, "acl", &acl, changed, e) == 0)
		rc = put_file(&o, b->dir, "mosquitto.conf", &conf, changed, e);
	buf_free(&conf);
	buf_free(&acl);
	return rc;
}

/* The program */

static char *
find_in(const char *dirs, const char *name)
{
	for (const char *p = dirs; *p; p += *p == ':') {
		size_t n = strcspn(p, ":");
		struct buf path = { 0 };
		struct stat st;

		buf_addf(&path, "%.*s/%s", (int)n, p, name);
		if (n && stat(path.data, &st) == 0 && S_ISREG(st.st_mode) && access(path.data, X_OK) == 0)
			return buf_take(&path);
		buf_free(&path);
		p += n;
	}
	return NULL;
}

/* Packages put daemons where an ordinary user's PATH does not look. */
char *
broker_program(void)
{
	static const char packaged[] = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:"
	    "/opt/homebrew/opt/mosquitto/sbin:/usr/local/opt/mosquitto/sbin";
	const char *path = getenv("PATH");
	char *found = path ? find_in(path, "mosquitto") : NULL;

	return found ? found : find_in(packaged, "mosquitto");
}
