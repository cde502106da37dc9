/*
 * probe.c - tries a broker beside the one in use: a connection that listens to nothing, says nothing and ends
 * with the broker's answer. When and which, the core says.
 */
#include "agent.h"

#define PROBE_MS 3000
#define KEEPALIVE_S 5

static const struct config_broker *
broker(const struct agent *a)
{
	return &a->o.config->brokers[a->probe.broker];
}

static struct address *
addresses(struct agent *a)
{
	return &a->link.addresses[a->probe.broker];
}

static void
free_handle(uv_handle_t *h)
{
	free(h);
}

static void
unwatch(struct probe *p)
{
	if (p->poll)
		uv_close((uv_handle_t *)p->poll, free_handle);
	p->poll = NULL;
	p->poll_events = 0;
}

/* Not within a callback of the connection. */
static void
finish(struct agent *a)
{
	struct probe *p = &a->probe;

	unwatch(p);
	uv_timer_stop(&p->limit);
	mqtt_close(p->mqtt, false);
	p->mqtt = NULL;
	p->waiting = false;
	p->ended = true;
	if (!p->answered && addresses(a)->n)
		address_next(addresses(a));
	agent_input(a);
}

static void
on_up(void *arg, bool session)
{
	struct probe *p = arg;

	(void)session;
	p->answered = p->ended = true;
}

/* The socket may be closed already, and its number soon another's. */
static void
on_down(void *arg, const char *why)
{
	struct probe *p = arg;

	(void)why;
	p->ended = true;
	unwatch(p);
}

static void
on_message(void *arg, const struct mqtt_msg *m)
{
	(void)arg;
	(void)m;
}

static void drive(struct agent *a);

static void
poll_callback(uv_poll_t *poll, int status, int events)
{
	struct agent *a = poll->data;

	(void)events;
	if (status < 0)
		finish(a);
	else
		drive(a);
}

static void
watch(struct agent *a)
{
	struct probe *p = &a->probe;
	int events = UV_READABLE | (mqtt_want_write(p->mqtt) ? UV_WRITABLE : 0);

	if (!p->poll) {
		p->poll = xcalloc(1, sizeof *p->poll);
		p->poll->data = a;
		uv_poll_init(&a->loop, p->poll, mqtt_fd(p->mqtt));
	}
	if (events != p->poll_events)
		uv_poll_start(p->poll, events, poll_callback);
	p->poll_events = events;
}

static void
drive(struct agent *a)
{
	mqtt_read(a->probe.mqtt, 1);
	if (!a->probe.ended)
		mqtt_write(a->probe.mqtt);
	if (a->probe.ended || mqtt_fd(a->probe.mqtt) < 0)
		finish(a);
	else
		watch(a);
}

static void
connect_now(struct agent *a)
{
	struct probe *p = &a->probe;
	char ca[512], crt[512], key[512], id[128];

	agent_cert_path(a, ca, sizeof ca, "ca", "crt");
	agent_cert_path(a, crt, sizeof crt, a->o.id, "crt");
	agent_cert_path(a, key, sizeof key, a->o.id, "key");
	snprintf(id, sizeof id, "%s-probe", core_client_id(a->core));
	p->waiting = false;
	p->mqtt = mqtt_connect(&(struct mqtt_opts){ .client_id = id, .host = broker(a)->host,
	    .address = address_text(addresses(a)), .port = broker(a)->port, .known = &p->known[p->broker],
	    .cafile = ca, .certfile = crt, .keyfile = key, .keepalive_s = KEEPALIVE_S, .clean = true,
	    .receive_max = 1, .max_packet = 65536, .arg = p, .on_up = on_up, .on_down = on_down,
	    .on_message = on_message }, &(struct err){ 0 });
	if (p->mqtt)
		drive(a);
	else
		finish(a);
}

static void
limit_callback(uv_timer_t *t)
{
	finish(t->data);
}

void
probe_resolved(struct agent *a)
{
	if (!a->probe.waiting || addresses(a)->looking)
		return;
	if (addresses(a)->n)
		connect_now(a);
	else
		finish(a);
}

void
probe_begin(struct agent *a)
{
	int broker_no = a->probe.out ? -1 : core_probe(a->core);

	if (broker_no < 0)
		return;
	a->probe.broker = broker_no;
	a->probe.out = a->probe.waiting = true;
	a->probe.ended = a->probe.answered = false;
	uv_update_time(&a->loop);
	uv_timer_start(&a->probe.limit, limit_callback, PROBE_MS, 0);
	link_look(a, broker_no);
	probe_resolved(a);
}

void
probe_result(struct agent *a)
{
	if (!a->probe.out || !a->probe.ended)
		return;
	a->probe.out = false;
	core_probed(a->core, a->probe.broker, a->probe.answered);
}

void
probe_init(struct agent *a)
{
	uv_timer_init(&a->loop, &a->probe.limit);
	a->probe.limit.data = a;
}

void
probe_stop(struct agent *a)
{
	if (!a->probe.out || a->probe.ended)
		return;
	unwatch(&a->probe);
	uv_timer_stop(&a->probe.limit);
	mqtt_close(a->probe.mqtt, false);
	a->probe.mqtt = NULL;
}
