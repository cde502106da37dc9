#include "hermes_out.h"

#include <string.h>

#include "clock.h"
#include "err.h"
#include "log.h"
#include "topic.h"

#define MESSAGE_MAX (128u << 10)
#define WAIT_MS 500             /* keepalive wants a look now and then */
#define REFUSED 0x80            /* reason codes of MQTT 5 from here on */

void
hermes_out_init(struct hermes_out *o, const struct config *c, const char *agent, struct hermes_book *book)
{
	char id[ULID_TEXT];
	struct ulid u;

	*o = (struct hermes_out){ .config = c, .agent = agent, .book = book, .sent = book->gone, .arrived = book->gone,
		.text.max = 2 * MESSAGE_MAX };
	dial_init(&o->dial, c);
	ulid_now(&u);
	ulid_format(&u, id);
	snprintf(o->client_id, sizeof o->client_id, "uw-%s-hermes-%s", agent, id + 10);
	topic_format(o->topic, c->cluster, TOPIC_TELEMETRY, agent, "hermes");
}

void
hermes_out_release(struct hermes_out *o)
{
	mqtt_close(o->mqtt, true);
	dial_release(&o->dial);
	buf_free(&o->text);
}

static void
on_up(void *arg, bool session_present)
{
	struct hermes_out *o = arg;

	(void)session_present;
	o->up = true;
	dial_succeeded(&o->dial);
	log_info("hermes: connected, %lld events wait", (long long)(o->book->seq - o->arrived));
}

static void
on_down(void *arg, const char *why)
{
	struct hermes_out *o = arg;

	if (o->lost)
		return;
	o->lost = true;
	snprintf(o->why, sizeof o->why, "%s", why);
}

/* In whatever order they are acknowledged, they leave in theirs. */
static void
on_sent(void *arg, int mid, int reason)
{
	struct hermes_out *o = arg;
	int n = 0;

	if (reason >= REFUSED) {
		on_down(o, "the broker refuses what is sent: may this agent write its telemetry topic?");
		return;
	}
	for (int i = 0; i < o->nflight; i++)
		o->flight[i].arrived |= o->flight[i].mid == mid;
	while (n < o->nflight && o->flight[n].arrived)
		o->arrived = o->flight[n++].upto;
	o->nflight -= n;
	memmove(o->flight, o->flight + n, (size_t)o->nflight * sizeof *o->flight);
}

static void
on_message(void *arg, const struct mqtt_msg *m)
{
	(void)arg;
	(void)m;
}

static void
on_subscribed(void *arg, int mid, int granted)
{
	(void)arg;
	(void)mid;
	(void)granted;
}

static int
connect_to(struct hermes_out *o, struct err *e)
{
	const struct config_broker *b = dial_broker(&o->dial);
	const char *address = dial_address(&o->dial, clock_mono_ms());
	char ca[512], crt[512], key[512];
	struct err why;

	if (!address)
		return 0;
	snprintf(ca, sizeof ca, "%s/ca.crt", o->config->pki_dir);
	snprintf(crt, sizeof crt, "%s/%s.crt", o->config->pki_dir, o->agent);
	snprintf(key, sizeof key, "%s/%s.key", o->config->pki_dir, o->agent);
	o->mqtt = mqtt_connect(&(struct mqtt_opts){ .client_id = o->client_id, .host = b->host, .address = address, .port = b->port,
	    .known = &o->known[o->dial.broker], .cafile = ca, .certfile = crt, .keyfile = key, .keepalive_s = 5, .clean = true,
	    .receive_max = 16, .max_packet = 1u << 20, .arg = o, .on_up = on_up, .on_down = on_down, .on_message = on_message,
	    .on_sent = on_sent, .on_subscribed = on_subscribed }, &why);
	if (o->mqtt)
		return 0;
	dial_failed(&o->dial, why.msg, clock_mono_ms());
	if (why.code != ERR_CONFIG)
		return 0;
	*e = why;
	return -1;
}

static void
take_down(struct hermes_out *o)
{
	int64_t now_ms = clock_mono_ms();

	mqtt_close(o->mqtt, false);
	o->mqtt = NULL;
	if (o->up)
		log_info("hermes: connection lost: %s", o->why);
	if (o->up)
		dial_lost(&o->dial, o->why, now_ms);
	else if (!o->known[o->dial.broker].again)
		dial_failed(&o->dial, o->why, now_ms);
	o->up = o->lost = false;
	o->nflight = 0;
	o->sent = o->arrived;
}

void
hermes_out_wants(const struct hermes_out *o, struct pollfd *p, int *timeout_ms)
{
	int64_t wait_ms = o->mqtt ? WAIT_MS : dial_wait_ms(&o->dial, clock_mono_ms());

	*p = (struct pollfd){ .fd = o->mqtt ? mqtt_fd(o->mqtt) : dial_fd(&o->dial), .events = POLLIN };
	if (o->mqtt && mqtt_want_write(o->mqtt))
		p->events |= POLLOUT;
	if (wait_ms < *timeout_ms)
		*timeout_ms = wait_ms > 0 ? (int)wait_ms : 0;
}

int
hermes_out_run(struct hermes_out *o, struct err *e)
{
	int64_t before = o->arrived;

	if (!o->mqtt && connect_to(o, e))
		return -1;
	if (o->mqtt) {
		while (mqtt_read(o->mqtt, 256))
			continue;
		mqtt_tick(o->mqtt);
		if (dial_is_late(&o->dial, clock_mono_ms()))
			on_down(o, "no answer to the connect");
	}
	if (o->lost)
		take_down(o);
	if (o->mqtt)
		mqtt_write(o->mqtt);
	return o->arrived > before ? hermes_book_drop(o->book, o->arrived, e) : 0;
}

int
hermes_out_send(struct hermes_out *o, struct err *e)
{
	int64_t last = 0;
	int n;

	while (o->up && !o->lost && o->nflight < HERMES_FLIGHT_MAX && o->sent < o->book->seq) {
		buf_clear(&o->text);
		n = hermes_book_read(o->book, o->sent, MESSAGE_MAX, &o->text, &last, e);
		if (n <= 0)
			return n;
		o->flight[o->nflight].mid = mqtt_publish(o->mqtt, o->topic, o->text.data, o->text.len, 1, false, NULL, NULL, 0, 0, e);
		if (o->flight[o->nflight].mid < 0) {
			on_down(o, e->msg);
			break;
		}
		o->flight[o->nflight].arrived = false;
		o->flight[o->nflight++].upto = last;
		o->sent = last;
	}
	if (o->mqtt && !o->lost)
		mqtt_write(o->mqtt);
	return 0;
}
