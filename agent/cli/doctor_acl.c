/*
 * doctor_acl.c - each line of the broker's access list that is the subject's, by trying it; and what it must not do.
 *
 * To write is tried in QoS 2, of which the broker says at once whether it takes it, and which it delivers to nobody
 * before a second packet that never comes. To read is tried with messages to a house and an agent that do not exist,
 * and with whatever passes by: one subscription to everything, of which the broker passes on what the list allows.
 */
#include "broker.h"
#include "buf.h"
#include "clock.h"
#include "doctor.h"
#include "doctor_wire.h"

#define NOBODY "doctor-asks"            /* no house, agent or person */
#define LINES_MAX 512
#define TELL_MAX 5                      /* of one kind of fault */
#define COME_MS 2000                    /* for what must come */
#define LISTEN_MS 1200                  /* to people for what must not: agents say something each second */
#define LISTEN_OWN_MS 300               /* an agent publishes itself what it must not read */
#define REFUSED 0x80

struct acl {
	struct doctor *d;
	struct {
		bool write;
		char filter[TOPIC_MAX];
		bool came;                      /* something that it lets us read */
	} lines[LINES_MAX];
	size_t n;
	struct wire *wire;
	int64_t window, open;           /* publishes that the broker holds for us */
	int narrow, wide, writes, refused;
};

static void
lines_read(struct acl *a, char *text)
{
	char *save = NULL, access[8];

	for (char *p = strtok_r(text, "\n", &save); p && a->n < LINES_MAX; p = strtok_r(NULL, "\n", &save)) {
		if (sscanf(p, "topic %7s %255s", access, a->lines[a->n].filter) == 2 && a->lines[a->n].filter[0] != '$') {
			a->lines[a->n].write = strcmp(access, "write") == 0;
			a->n++;
		}
	}
}

/* + is one level; # does not occur in our lists but for $SYS. */
static bool
matches(const char *filter, const char *topic)
{
	for (; *filter; filter++) {
		if (*filter == '+')
			topic += strcspn(topic, "/");
		else if (*filter == *topic)
			topic++;
		else
			return false;
	}
	return !*topic;
}

static bool
may(struct acl *a, bool write, const char *topic)
{
	bool found = false;

	for (size_t i = 0; i < a->n; i++)
		if (a->lines[i].write == write && matches(a->lines[i].filter, topic)) {
			a->lines[i].came |= !write;
			found = true;
		}
	return found;
}

static void
is_narrow(struct acl *a, const char *access, const char *filter, const char *how)
{
	if (++a->narrow <= TELL_MAX)
		doctor_wrong(a->d, FOUND_ACL_NARROW, a->d->subject, "topic %s %s: %s", access, filter, how);
}

static void
is_wide(struct acl *a, const char *access, const char *topic)
{
	if (++a->wide <= TELL_MAX)
		doctor_wrong(a->d, FOUND_ACL_WIDE, a->d->subject, "%s may %s %s", a->d->subject, access, topic);
}

/* ---- writing ---- */

/* The broker holds what we do not complete, and only so many at a time. */
static int
try(struct acl *a, const char *topic, struct err *e)
{
	enum wire_step step;
	int reason;

	if (a->window >= 0 && a->open + 1 >= a->window) {
		wire_close(a->wire);
		a->wire = doctor_connect_any(a->d, &step, e);
		a->open = 0;
		if (!a->wire)
			return -1;
	}
	reason = wire_try(a->wire, topic, e);
	a->open += reason >= 0 && reason < REFUSED;
	return reason;
}

static void
concrete(char *out, const char *filter)
{
	struct buf b = { .max = TOPIC_MAX - 1 };

	for (; *filter; filter++)
		if (*filter == '+')
			buf_adds(&b, NOBODY);
		else
			buf_addc(&b, *filter);
	snprintf(out, TOPIC_MAX, "%s", buf_str(&b));
	buf_free(&b);
}

static int
write_allowed(struct acl *a, struct err *e)
{
	char topic[TOPIC_MAX], how[40];

	for (size_t i = 0; i < a->n; i++) {
		int reason;

		if (!a->lines[i].write)
			continue;
		concrete(topic, a->lines[i].filter);
		reason = try(a, topic, e);
		if (reason < 0)
			return -1;
		snprintf(how, sizeof how, "refused, reason 0x%02x", (unsigned)reason);
		if (reason >= REFUSED)
			is_narrow(a, "write", a->lines[i].filter, how);
		a->writes++;
	}
	return 0;
}

static int
write_denied(struct acl *a, const char *topic, struct err *e)
{
	int reason;

	if (may(a, true, topic))
		return 0;
	reason = try(a, topic, e);
	if (reason < 0)
		return -1;
	if (reason < REFUSED)
		is_wide(a, "write", topic);
	a->refused++;
	return 0;
}

struct others {
	const char *anybody, *agent, *house;
};

static struct others
others_of(const struct doctor *d)
{
	const struct config *c = d->config;
	struct others o = { .anybody = c->sovereign, .agent = NOBODY, .house = c->nhouses ? c->houses[0].name : "_" };

	if (strcmp(o.anybody, d->subject) == 0 && c->operators.n)
		o.anybody = c->operators.v[0];
	for (size_t i = 0; i < c->nhouses && strcmp(o.agent, NOBODY) == 0; i++)
		for (size_t k = 0; k < c->houses[i].agents.n; k++)
			if (strcmp(c->houses[i].agents.v[k], d->subject) != 0)
				o.agent = c->houses[i].agents.v[k];
	return o;
}

/* As somebody else would write it. */
static void
topic_of_other(const struct acl *a, enum topic_kind kind, char *out)
{
	struct others o = others_of(a->d);
	const char *name = o.house, *id = NOBODY;

	switch (topics[kind].writer) {
	case WRITER_ID:
		id = o.anybody;
		break;
	case WRITER_AGENT_ID:
	case WRITER_CANDIDATE_ID:
		id = o.agent;
		break;
	case WRITER_SOVEREIGN:
		name = a->d->config->sovereign;
		break;
	case WRITER_NAME:
	case WRITER_PERSON:
	case WRITER_AGENTS:
		name = o.anybody;
		break;
	case WRITER_AGENT_NAME:
		name = o.agent;
		break;
	case WRITER_CANDIDATE_NAME:
		name = o.agent;
		id = o.house;
		break;
	case WRITER_CANDIDATE:
		break;
	}
	topic_format(out, a->d->config->cluster, kind, name, id);
}

static int
write_all_denied(struct acl *a, struct err *e)
{
	char topic[TOPIC_MAX];

	for (int k = 0; k < TOPIC_COUNT; k++) {
		topic_of_other(a, (enum topic_kind)k, topic);
		if (write_denied(a, topic, e))
			return -1;
		topic_format(topic, a->d->config->cluster, (enum topic_kind)k, NOBODY, NOBODY);
		if (write_denied(a, topic, e))
			return -1;
	}
	return 0;
}

/* ---- reading ---- */

/* Kinds that may be published for real where a level names nobody: no agent listens there. */
static bool
is_harmless(enum topic_kind kind)
{
	static const enum topic_kind harmless[] = { TOPIC_TASK, TOPIC_CANCEL, TOPIC_QUERY, TOPIC_LOG, TOPIC_TELEMETRY,
		TOPIC_ECHO, TOPIC_WORK, TOPIC_REPLY };

	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (harmless[i] == kind)
			return true;
	return false;
}

/* Publishes what comes back to us if we may read it. Returns how much must come. */
static int
publish_own(struct acl *a, struct err *e)
{
	char topic[TOPIC_MAX];
	struct topic t;
	int n = 0;

	for (size_t i = 0; i < a->n; i++) {
		if (!a->lines[i].write)
			continue;
		concrete(topic, a->lines[i].filter);
		if (!strstr(topic, NOBODY) || topic_parse(topic, a->d->config->cluster, &t, e) || !is_harmless(t.kind))
			continue;
		if (wire_publish(a->wire, topic, "{}", e))
			return -1;
		for (size_t k = 0; k < a->n; k++)
			n += !a->lines[k].write && matches(a->lines[k].filter, topic);
	}
	return n;
}

static int
listen(struct acl *a, int expected, struct err *e)
{
	int64_t begun = clock_mono_ms(), now = begun, least = a->d->is_agent ? LISTEN_OWN_MS : LISTEN_MS;
	struct wire_message m;
	int rc = 0;

	while (rc >= 0 && now - begun < (expected > 0 ? COME_MS : least)) {
		rc = wire_read(a->wire, 100, &m, e);
		now = clock_mono_ms();
		if (rc == 1 && !may(a, false, m.topic))
			is_wide(a, "read", m.topic);
		else if (rc == 1 && strstr(m.topic, NOBODY))
			expected--;
	}
	return rc < 0 ? -1 : 0;
}

static void
tell_unread(struct acl *a)
{
	char topic[TOPIC_MAX];
	struct topic t;

	for (size_t i = 0; i < a->n; i++) {
		if (a->lines[i].write || a->lines[i].came)
			continue;
		for (size_t k = 0; k < a->n; k++) {
			concrete(topic, a->lines[k].filter);
			if (a->lines[k].write && strstr(topic, NOBODY) && matches(a->lines[i].filter, topic) &&
			    topic_parse(topic, a->d->config->cluster, &t, NULL) == 0 && is_harmless(t.kind)) {
				is_narrow(a, "read", a->lines[i].filter, "what was published does not come");
				break;
			}
		}
	}
}

static int
read_lines(struct acl *a, struct err *e)
{
	char filter[TOPIC_MAX];
	int expected;

	snprintf(filter, sizeof filter, "uw/%s/#", a->d->config->cluster);
	if (wire_subscribe(a->wire, filter, e) < 0 || (expected = publish_own(a, e)) < 0 || listen(a, expected, e))
		return -1;
	tell_unread(a);
	return 0;
}

/* ---- both ---- */

static void
tell(struct acl *a)
{
	int reads = 0, came = 0;

	for (size_t i = 0; i < a->n; i++) {
		reads += !a->lines[i].write;
		came += !a->lines[i].write && a->lines[i].came;
	}
	if (a->narrow > TELL_MAX || a->wide > TELL_MAX)
		doctor_note(a->d, "%d more like these", (a->narrow > TELL_MAX ? a->narrow - TELL_MAX : 0) +
		    (a->wide > TELL_MAX ? a->wide - TELL_MAX : 0));
	if (!a->narrow && !a->wide)
		doctor_well(a->d, "%d lines to write and %d of %d to read hold (nothing passed by on the others); "
		    "%d other topics are refused", a->writes, came, reads, a->refused);
}

void
doctor_acl(struct doctor *d)
{
	struct acl *a = xcalloc(1, sizeof *a);
	struct buf text = { 0 };
	enum wire_step step;
	struct err e = { 0 };

	a->d = d;
	broker_acl_identity_put(&text, d->config, d->subject);
	lines_read(a, text.data);
	a->wire = doctor_connect_any(d, &step, &e);
	if (!a->wire) {
		doctor_skip(d, step == WIRE_OLD ? "the broker speaks no MQTT 5, in which it would say what it refuses"
		    : "no connection to a broker");
	} else if (wire_connack(a->wire)->max_qos >= 0 && wire_connack(a->wire)->max_qos < 2) {
		doctor_skip(d, "the broker has no QoS 2, with which this is tried");
	} else {
		a->window = wire_connack(a->wire)->receive_max;
		if (write_allowed(a, &e) || write_all_denied(a, &e) || read_lines(a, &e))
			doctor_wrong(d, FOUND_BROKER_REFUSED, d->config->brokers[0].host, "while rights were tried: %s", e.msg);
		else
			tell(a);
	}
	wire_close(a->wire);
	buf_free(&text);
	free(a);
}
