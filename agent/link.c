/*
 * link.c - the agent's connection to a broker: name, connect, subscribe, heartbeat, and again. Which broker
 * it is, the core says.
 */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "notify.h"

#define KEEPALIVE_S 5                   /* the least that libmosquitto takes */
#define SESSION_EXPIRY_S 86400
#define CONNECT_ONLY_MS 10000           /* with one broker, there is nothing better to do than to wait */
#define CONNECT_NEXT_MS 3000
#define LOOKUP_MS 1000                  /* then an address of before serves */
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 5000
#define GOODBYE_EXPIRY_S 20
#define READ_BUDGET 64
#define LARGE_BYTES 16384               /* of a message that count as one more */

static const struct config_broker *
broker(const struct agent *a)
{
	return &a->o.config->brokers[a->link.broker];
}

static struct address *
addresses(struct agent *a)
{
	return &a->link.addresses[a->link.broker];
}

static struct mqtt_known *
known(struct agent *a)
{
	return &a->link.known[a->link.broker];
}

static int64_t
connect_limit_ms(const struct agent *a)
{
	return a->o.config->nbrokers > 1 ? CONNECT_NEXT_MS : CONNECT_ONLY_MS;
}

bool
link_is_up(const struct agent *a)
{
	return mqtt_is_up(a->link.mqtt) && !a->link.lost;
}

/* ---- callbacks of the connection, all within a turn's read or write ---- */

static void
subscribe(struct agent *a, const char *topic, int qos)
{
	struct err e;

	if (mqtt_subscribe(a->link.mqtt, topic, qos, &e) < 0)
		log_warnx("link: %s", e.msg);
	else
		a->link.subscribing++;
}

static void
subscribe_all(struct agent *a)
{
	char topic[TOPIC_MAX];
	int qos;

	a->link.subscribing = 0;
	for (size_t i = 0; core_subscription(a->core, i, topic, &qos); i++)
		subscribe(a, topic, qos);
	for (size_t i = 0; http_subscription(a, i, topic); i++)
		subscribe(a, topic, 0);
}

/* Brokers that speak only MQTT 3.1.1 number anew what they send after a resume, so that by number and content a new
 * message could be taken for one that was had. There the session does not count as resumed. */
static void
on_up(void *arg, bool session)
{
	struct agent *a = arg;

	uv_timer_stop(&a->link.limit);
	a->link.up = true;
	a->link.failures = 0;
	a->link.twin_beats = 0;
	agent_input(a);
	core_link_up(a->core, a->link.broker, session && mqtt_is_v5(a->link.mqtt));
	http_link_up(a);
	subscribe_all(a);
	notify_status("connected to %s:%d", broker(a)->host, broker(a)->port);
	log_info("link: connected to %s:%d%s%s", broker(a)->host, broker(a)->port,
	    mqtt_is_v5(a->link.mqtt) ? "" : " in MQTT 3.1.1", session ? ", session resumed" : "");
}

static void
on_down(void *arg, const char *why)
{
	struct agent *a = arg;

	snprintf(a->link.why, sizeof a->link.why, "%.*s", (int)sizeof a->link.why - 1, why);
	a->link.lost = true;
	/* At once: the socket may be closed already, and its number soon another's. */
	link_pause(a);
	agent_input(a);
}

/* Another process under our name, with a store of its own: each would run the house's tasks. Two heartbeats tell
 * that it lives; then the younger of us ends. */
static void
look_for_twin(struct agent *a, const struct mqtt_msg *m)
{
	cJSON *o = m->retained ? NULL : json_parse_object(m->payload, m->len, NULL);
	const char *boot = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "boot"));
	const char *state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "state"));
	const char *host = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "host"));

	if (boot && state && strcmp(state, "online") == 0 && strcmp(boot, core_boot(a->core)) != 0 &&
	    ++a->link.twin_beats == 2) {
		log_warnx("another agent %s is connected, on host %s: two of one name would both run its tasks", a->o.id,
		    host ? host : "?");
		if (strcmp(boot, core_boot(a->core)) < 0)
			agent_give_way(a);
	}
	cJSON_Delete(o);
}

static void
on_message(void *arg, const struct mqtt_msg *m)
{
	struct agent *a = arg;

	agent_input(a);
	a->messages += 1 + (int)(m->len / LARGE_BYTES);
	if (strcmp(m->topic, core_health_topic(a->core)) == 0)
		look_for_twin(a, m);
	if (http_alert(a, m->topic, m->payload, m->len))
		return;
	http_heard(a, false, m->topic, m->payload, m->len);
	core_message(a->core, m);
}

static void
on_sent(void *arg, int mid, int reason)
{
	struct agent *a = arg;

	agent_input(a);
	core_sent(a->core, mid, reason);
}

static void
on_subscribed(void *arg, int mid, int granted)
{
	struct agent *a = arg;

	(void)mid;
	if (granted >= 0x80)
		log_warnx("link: a subscription was refused, reason 0x%02x: check the broker's ACL", (unsigned)granted);
	/* Not the heartbeat itself: libmosquitto's keepalive must not be looked after within a callback. */
	if (--a->link.subscribing == 0)
		a->link.beat = true;
}

/* ---- connecting ---- */

/* A renewed file is another file: its number and size differ, however quickly it came. */
static uint64_t
certs_version(const struct agent *a)
{
	const char *const files[][2] = { { "ca", "crt" }, { a->o.id, "crt" }, { a->o.id, "key" } };
	uint64_t v = 0;
	char path[512];
	struct stat st;

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		agent_cert_path(a, path, sizeof path, files[i][0], files[i][1]);
		if (stat(path, &st) == 0)
			v = v * 1000003 + (uint64_t)st.st_mtime * 31 + (uint64_t)st.st_ino * 7 + (uint64_t)st.st_size;
	}
	return v;
}

/* When our own certificate ends; 0 if the file says nothing. */
static int64_t
cert_until_ms(const struct agent *a)
{
	char path[512];
	X509 *x = NULL;
	struct tm tm = { 0 };
	int64_t ms = 0;
	FILE *f;

	agent_cert_path(a, path, sizeof path, a->o.id, "crt");
	f = fopen(path, "r");
	if (f)
		x = PEM_read_X509(f, NULL, NULL, NULL);
	if (x && ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1)
		ms = 1000 * (int64_t)timegm(&tm);
	X509_free(x);
	if (f)
		fclose(f);
	return ms;
}

int64_t
link_cert_until_ms(const struct agent *a)
{
	return a->link.cert_until_ms;
}

static void retry_callback(uv_timer_t *t);

static void
try_in(struct agent *a, uint64_t ms)
{
	uv_update_time(&a->loop);
	uv_timer_start(&a->link.retry, retry_callback, ms, 0);
}

/* Each reason once, and now and then again while it lasts. */
static void
complain(struct agent *a, const char *why)
{
	char *told = a->link.told[a->link.broker];

	if (a->link.failures % 20 && strncmp(told, why, sizeof a->link.why - 1) == 0)
		return;
	snprintf(told, sizeof a->link.why, "%.*s", (int)sizeof a->link.why - 1, why);
	notify_status("not connected to %s:%d: %s", broker(a)->host, broker(a)->port, why);
	log_info("link: %s:%d: %s; trying again", broker(a)->host, broker(a)->port, why);
}

/* Each broker soon, then doubling, with full jitter: one that comes back is not met by everybody at once. */
static void
retry_later(struct agent *a)
{
	int rounds = a->link.failures / (int)a->o.config->nbrokers;
	int64_t limit = RETRY_MIN_MS << (rounds > 6 ? 6 : rounds);

	if (limit > RETRY_MAX_MS)
		limit = RETRY_MAX_MS;
	a->link.failures++;
	a->link.left = 0;
	uv_timer_stop(&a->link.limit);
	try_in(a, (uint64_t)(RETRY_MIN_MS / 2 + clock_mono_us() % limit));
}

/* Without ever having been up: the next of its addresses, while there is time, or the next broker. */
static void
connect_failed(struct agent *a, const char *why)
{
	complain(a, why);
	address_next(addresses(a));
	if (a->link.left > 1) {
		a->link.left--;
		try_in(a, 0);
		return;
	}
	agent_input(a);
	core_link_down(a->core);
	retry_later(a);
}

/* After an error libuv watches the socket no more. What came before it is still read. */
static void
poll_callback(uv_poll_t *p, int status, int events)
{
	struct agent *a = p->data;

	(void)events;
	if (status < 0)
		a->link.broken = true;
	agent_input(a);
}

static void
connect_now(struct agent *a)
{
	char ca[512], crt[512], key[512];
	struct buf will = { 0 };
	struct err e;

	agent_cert_path(a, ca, sizeof ca, "ca", "crt");
	agent_cert_path(a, crt, sizeof crt, a->o.id, "crt");
	agent_cert_path(a, key, sizeof key, a->o.id, "key");
	core_will(a->core, &will);
	a->link.certs = certs_version(a);
	a->link.cert_until_ms = cert_until_ms(a);
	a->link.mqtt = mqtt_connect(&(struct mqtt_opts){ .client_id = core_client_id(a->core),
	    .host = broker(a)->host, .address = address_text(addresses(a)), .port = broker(a)->port,
	    .known = known(a),
	    .cafile = ca, .certfile = crt, .keyfile = key, .keepalive_s = KEEPALIVE_S,
	    .session_expiry_s = SESSION_EXPIRY_S, .receive_max = 1024,
	    .max_packet = (uint32_t)a->o.config->max_payload_bytes * 4 + 65536,
	    .will_topic = core_health_topic(a->core), .will = will.data, .will_len = will.len, .arg = a,
	    .on_up = on_up, .on_down = on_down, .on_message = on_message, .on_sent = on_sent,
	    .on_subscribed = on_subscribed }, &e);
	buf_free(&will);
	if (!a->link.mqtt) {
		connect_failed(a, e.msg);
		return;
	}
	agent_input(a);
}

static void
use_addresses(struct agent *a)
{
	a->link.waiting = false;
	a->link.left = addresses(a)->n;
	if (a->link.left)
		connect_now(a);
	else
		connect_failed(a, addresses(a)->why);
}

static void
free_handle(uv_handle_t *h)
{
	free(h);
}

static void
unwatch_lookup(struct agent *a, int broker_no)
{
	if (a->link.lookups[broker_no])
		uv_close((uv_handle_t *)a->link.lookups[broker_no], free_handle);
	a->link.lookups[broker_no] = NULL;
}

static void
lookup_callback(uv_poll_t *p, int status, int events)
{
	struct agent *a = p->data;

	(void)status;
	(void)events;
	for (int i = 0; i < (int)a->o.config->nbrokers; i++)
		if (a->link.lookups[i] == p) {
			unwatch_lookup(a, i);
			address_read(&a->link.addresses[i]);
		}
	if (a->link.waiting && !addresses(a)->looking)
		use_addresses(a);
	probe_resolved(a);
}

void
link_look(struct agent *a, int broker_no)
{
	struct address *d = &a->link.addresses[broker_no];
	uv_poll_t *p;

	address_look(d);
	if (!d->looking || a->link.lookups[broker_no])
		return;
	a->link.lookups[broker_no] = p = xcalloc(1, sizeof *p);
	p->data = a;
	uv_poll_init(&a->loop, p, d->fd);
	uv_poll_start(p, UV_READABLE, lookup_callback);
}

static void
limit_callback(uv_timer_t *t)
{
	struct agent *a = t->data;
	char why[80];

	if (a->link.waiting && addresses(a)->n) {
		uv_timer_start(t, limit_callback, (uint64_t)(connect_limit_ms(a) - LOOKUP_MS), 0);
		use_addresses(a);
		return;
	}
	snprintf(why, sizeof why, a->link.waiting ? "its name was not resolved within %lld s"
	    : "no answer to the connect within %lld s", (long long)connect_limit_ms(a) / 1000);
	a->link.left = 0;
	if (a->link.waiting) {
		a->link.waiting = false;
		connect_failed(a, why);
	} else if (a->link.mqtt) {
		on_down(a, why);
	}
}

static void
begin(struct agent *a)
{
	struct link *l = &a->link;
	struct address *d;

	if (!l->stay)
		l->broker = core_broker(a->core);
	l->stay = false;
	d = addresses(a);
	l->waiting = true;
	link_look(a, l->broker);
	uv_update_time(&a->loop);
	uv_timer_start(&l->limit, limit_callback,
	    (uint64_t)(d->looking && d->n ? LOOKUP_MS : connect_limit_ms(a)), 0);
	if (!d->looking)
		use_addresses(a);
}

static void
retry_callback(uv_timer_t *t)
{
	struct agent *a = t->data;

	if (a->phase == AGENT_ENDS || a->link.mqtt || a->link.waiting)
		return;
	if (a->link.left)
		connect_now(a);
	else
		begin(a);
}

void
link_start(struct agent *a)
{
	for (size_t i = 0; i < a->o.config->nbrokers; i++)
		a->link.addresses[i].host = a->o.config->brokers[i].host;
	uv_timer_init(&a->loop, &a->link.retry);
	uv_timer_init(&a->loop, &a->link.limit);
	a->link.retry.data = a->link.limit.data = a;
	probe_init(a);
	begin(a);
}

void
link_pause(struct agent *a)
{
	if (!a->link.poll)
		return;
	uv_close((uv_handle_t *)a->link.poll, free_handle);
	a->link.poll = NULL;
	a->link.poll_events = 0;
}

static void
take_down(struct agent *a)
{
	bool was_up = a->link.up;

	link_pause(a);
	mqtt_close(a->link.mqtt, false);
	a->link.mqtt = NULL;
	a->link.up = a->link.lost = a->link.broken = a->link.beat = a->link.more = a->link.follows = false;
	if (was_up) {
		a->link.told[a->link.broker][0] = '\0';
		a->link.left = 0;
		complain(a, a->link.why);
		core_link_down(a->core);
		retry_later(a);
	} else if (known(a)->again && a->link.left) {
		try_in(a, 0);
	} else {
		connect_failed(a, a->link.why);
	}
}

/* Nothing is wrong with the broker: an agent that left it alone would lose its houses. */
static void
connect_anew(struct agent *a, const char *why)
{
	if (!a->link.mqtt || a->link.lost)
		return;
	a->link.stay = a->link.up;
	on_down(a, why);
}

void
link_reload(struct agent *a)
{
	connect_anew(a, "reload");
}

/* ---- what a turn does ---- */

bool
link_read(struct agent *a)
{
	int before = a->messages;

	probe_result(a);
	if (a->link.lost)
		take_down(a);
	if (!a->link.mqtt)
		return false;
	a->link.more = mqtt_read(a->link.mqtt, READ_BUDGET);
	if (a->link.broken && !a->link.more && !a->link.lost)
		on_down(a, "the connection failed");
	if (a->link.lost)
		take_down(a);
	if (a->link.beat) {
		a->link.beat = false;
		link_beat(a);
		agent_is_ready(a);
	}
	return a->messages > before || a->link.more;
}

/* What becomes of tasks, a line for each event, for who looks for a fault. */
static void
log_events(struct agent *a, const struct core_publish *p)
{
	const char *end = p->payload + p->len;
	struct topic t;

	if (log_get_level() < LOG_LEVEL_DEBUG || topic_parse(p->topic, a->o.config->cluster, &t, NULL) || t.kind != TOPIC_EVENT)
		return;
	for (const char *line = p->payload, *nl; line < end; line = nl + 1) {
		nl = memchr(line, '\n', (size_t)(end - line));
		nl = nl ? nl : end;
		cJSON *o = json_parse_object(line, (size_t)(nl - line), NULL);

		if (*json_text(o, "id"))
			log_task(json_text(o, "id"));
		log_debug("house %s: %s%s%s", t.name, json_text(o, "type"), *json_text(o, "state") ? " " : "", json_text(o, "state"));
		log_task(NULL);
		cJSON_Delete(o);
	}
}

void
link_effects(struct agent *a)
{
	struct core_publish p;
	struct err e;
	int mid;

	while (mqtt_is_up(a->link.mqtt) && core_next_publish(a->core, &p)) {
		mid = mqtt_publish(a->link.mqtt, p.topic, p.payload, p.len, p.qos, p.retain, p.response_topic,
		    p.correlation, p.correlation_len, p.expiry_s, &e);
		if (mid < 0)
			log_warnx("link: %s", e.msg);
		else
			http_heard(a, true, p.topic, p.payload, p.len);
		if (mid >= 0)
			log_events(a, &p);
		if (mid < 0 && e.code != ERR_INVALID) {
			on_down(a, e.msg);
			break;
		}
		core_publish_sent(a->core, &p, mid);
	}
	if (a->link.mqtt)
		mqtt_write(a->link.mqtt);
}

void
link_watch(struct agent *a)
{
	int events = UV_READABLE, fd = a->link.mqtt ? mqtt_fd(a->link.mqtt) : -1;

	if (link_is_up(a) && core_must_reconnect(a->core))
		on_down(a, core_must_reconnect(a->core));
	if (a->link.more)
		agent_input(a);
	if (fd < 0 || a->link.lost) {
		link_pause(a);
		return;
	}
	if (mqtt_want_write(a->link.mqtt))
		events |= UV_WRITABLE;
	if (!a->link.poll) {
		a->link.poll = xcalloc(1, sizeof *a->link.poll);
		a->link.poll->data = a;
		uv_poll_init(&a->loop, a->link.poll, fd);
	}
	if (events != a->link.poll_events)
		uv_poll_start(a->link.poll, events, poll_callback);
	a->link.poll_events = events;
}

/* What the tools of other agents write is of use here only while somebody watches through this one. */
static void
follow_output(struct agent *a)
{
	bool follow = http_is_watched(a);
	char topic[TOPIC_MAX];

	if (follow == a->link.follows)
		return;
	topic_format(topic, a->o.config->cluster, TOPIC_LOG, "+", "+");
	if (follow)
		subscribe(a, topic, 0);
	else
		mqtt_unsubscribe(a->link.mqtt, topic);
	a->link.follows = follow;
}

void
link_beat(struct agent *a)
{
	struct buf pool = { 0 };

	if (!a->link.mqtt)
		return;
	mqtt_tick(a->link.mqtt);
	if (link_is_up(a) && a->beats % 5 == 0 && certs_version(a) != a->link.certs)
		connect_anew(a, "certificates were renewed");
	if (!link_is_up(a))
		return;
	follow_output(a);
	probe_begin(a);
	/* The topic is the other's now. */
	if (a->gave_way)
		return;
	if (a->pool)
		pool_put(a->pool, &pool);
	core_beat(a->core, pool.len ? pool.data : NULL);
	buf_free(&pool);
}

static void
say_goodbye(struct agent *a)
{
	struct buf b = { 0 };

	core_health(a->core, "offline", NULL, &b);
	if (mqtt_publish(a->link.mqtt, core_health_topic(a->core), b.data, b.len, 1, true, NULL, NULL, 0, GOODBYE_EXPIRY_S,
	    &(struct err){ 0 }) >= 0)
		mqtt_write(a->link.mqtt);
	buf_free(&b);
}

/* Whoever gave way has nothing to say for the other one, who has the name now. */
void
link_stop(struct agent *a)
{
	if (mqtt_is_up(a->link.mqtt) && !a->gave_way)
		say_goodbye(a);
	link_pause(a);
	mqtt_close(a->link.mqtt, true);
	a->link.mqtt = NULL;
	uv_timer_stop(&a->link.retry);
	uv_timer_stop(&a->link.limit);
	for (int i = 0; i < (int)a->o.config->nbrokers; i++) {
		unwatch_lookup(a, i);
		address_release(&a->link.addresses[i]);
	}
	probe_stop(a);
}
