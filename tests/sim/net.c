/*
 * net.c - connections between nodes and the broker. Each direction keeps its order, as TCP does; what is
 * sent into a cut waits until it is mended or the connection is given up; what is on its way arrives.
 */
#include "sim.h"

#include "buf.h"

struct arrival {
	struct conn *conn;
	int way;
	struct packet *packet;
};

struct msg *
msg_new(const char *topic, const void *payload, size_t len, int qos)
{
	struct msg *m = xcalloc(1, sizeof *m);

	m->refs = 1;
	m->topic = xstrdup(topic);
	m->payload = xstrndup(payload ? payload : "", len);
	m->len = len;
	m->qos = qos;
	return m;
}

struct msg *
msg_ref(struct msg *m)
{
	if (m)
		m->refs++;
	return m;
}

void
msg_unref(struct msg *m)
{
	if (!m || --m->refs)
		return;
	free(m->topic);
	free(m->payload);
	free(m->response_topic);
	free(m->correlation);
	free(m);
}

static struct packet *
packet_new(enum packet_type type, int mid, int reason, struct msg *m)
{
	struct packet *p = xcalloc(1, sizeof *p);

	p->type = type;
	p->mid = mid;
	p->reason = reason;
	p->msg = msg_ref(m);
	return p;
}

void
packet_free(struct packet *p)
{
	if (!p)
		return;
	msg_unref(p->msg);
	free(p);
}

static bool
is_cut(const struct conn *c, int way)
{
	return c->owner->cut[broker_index(c->broker)][way];
}

static void
hold(struct conn *c, int way, struct packet *p)
{
	p->next = NULL;
	if (c->held[way])
		c->held_tail[way]->next = p;
	else
		c->held[way] = p;
	c->held_tail[way] = p;
}

static void
arrive_at_node(struct conn *c, struct packet *p)
{
	struct node *n = c->node;

	if (!n) {
		packet_free(p);
		return;
	}
	if (p->type == PACKET_CLOSED) {
		c->node = NULL;
		n->conn = NULL;
	}
	n->on_packet(n, p);
}

/* Who writes to a connection that the broker has given up learns it so, if there is a machine to say it. */
static void
arrive_at_broker(struct conn *c, struct packet *p)
{
	struct broker *b = c->broker;

	if (broker_is_silent(b)) {
		packet_free(p);
		return;
	}
	if (!c->broker_open && (p->type != PACKET_CONNECT || !broker_is_up(b))) {
		packet_free(p);
		net_reply(c, PACKET_CLOSED, 0, 0, NULL);
		return;
	}
	if (p->type == PACKET_CONNECT)
		c->broker_open = true;
	c->heard_us = c->sim->now_us;
	broker_packet(b, c, p);
	packet_free(p);
}

static void
arrive(void *arg, uint64_t x)
{
	struct arrival *a = arg;
	struct conn *c = a->conn;
	struct packet *p = a->packet;
	int way = a->way;

	(void)x;
	free(a);
	if (way == UP)
		arrive_at_broker(c, p);
	else
		arrive_at_node(c, p);
}

static void
travel(struct conn *c, int way, struct packet *p)
{
	struct sim *s = c->sim;
	struct arrival *a = xcalloc(1, sizeof *a);
	int64_t at = s->now_us + rng_between(&s->rng[RNG_NET], 50, s->plan.delay_max_us) + c->owner->lag_us;

	if (at < c->last_us[way])
		at = c->last_us[way];
	c->last_us[way] = at;
	*a = (struct arrival){ c, way, p };
	sim_at(s, at, arrive, a, 0);
}

static void
put(struct conn *c, int way, struct packet *p)
{
	if (is_cut(c, way) || c->held[way])
		hold(c, way, p);
	else
		travel(c, way, p);
}

void
net_connect(struct node *n, int broker, struct msg *will)
{
	struct conn *c = xcalloc(1, sizeof *c);

	c->sim = n->sim;
	c->node = c->owner = n;
	c->heard_us = n->sim->now_us;
	c->broker = n->sim->brokers[broker];
	n->conn = c;
	broker_add_conn(c->broker, c);
	put(c, UP, packet_new(PACKET_CONNECT, 0, 0, will));
}

/* A process that died has its kernel say so. What a cut still holds then is lost with the connection. */
void
net_close(struct node *n, bool polite)
{
	struct conn *c = n->conn;

	if (!c)
		return;
	put(c, UP, packet_new(polite ? PACKET_DISCONNECT : PACKET_CLOSED, 0, 0, NULL));
	n->conn = NULL;
	c->node = NULL;
}

void
net_send(struct node *n, enum packet_type type, int mid, int reason, struct msg *m)
{
	if (n->conn)
		put(n->conn, UP, packet_new(type, mid, reason, m));
}

void
net_reply(struct conn *c, enum packet_type type, int mid, int reason, struct msg *m)
{
	put(c, DOWN, packet_new(type, mid, reason, m));
}

void
net_deliver(struct conn *c, int mid, struct msg *m, bool retained)
{
	struct packet *p = packet_new(PACKET_PUBLISH, mid, 0, m);

	p->retained = retained;
	put(c, DOWN, p);
}

void
net_drop(struct conn *c)
{
	c->broker_open = false;
	net_reply(c, PACKET_CLOSED, 0, 0, NULL);
}

static void
flush(struct conn *c, int way)
{
	struct packet *p = c->held[way];

	c->held[way] = NULL;
	while (p) {
		struct packet *next = p->next;

		travel(c, way, p);
		p = next;
	}
}

static void
cut_one(struct node *n, int broker, bool up, bool down)
{
	bool concerned = n->conn && broker_index(n->conn->broker) == broker;

	n->cut[broker][UP] = up;
	n->cut[broker][DOWN] = down;
	if (concerned && !up)
		flush(n->conn, UP);
	if (concerned && !down)
		flush(n->conn, DOWN);
}

void
net_cut(struct node *n, int broker, bool up, bool down)
{
	for (int i = 0; i < n->sim->nbrokers; i++)
		if (broker == ALL_BROKERS || broker == i)
			cut_one(n, i, up, down);
}

static void
free_held(struct packet *p)
{
	while (p) {
		struct packet *next = p->next;

		packet_free(p);
		p = next;
	}
}

static void
free_packets(struct sim *s)
{
	for (size_t i = 0; i < s->nheap; i++)
		if (s->heap[i].f == arrive) {
			struct arrival *a = s->heap[i].arg;

			packet_free(a->packet);
			free(a);
		}
	s->nheap = 0;
}

/* Connections are small and live until the run ends: packets on their way point to them. */
void
net_release(struct sim *s, struct conn *conns)
{
	struct conn *next;

	free_packets(s);
	for (struct conn *c = conns; c; c = next) {
		next = c->next;
		free_held(c->held[UP]);
		free_held(c->held[DOWN]);
		free(c);
	}
}
