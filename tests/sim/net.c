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
	return way == UP ? c->owner->cut_up : c->owner->cut_down;
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

/* Who writes to a connection that the broker has given up learns it so. */
static void
arrive_at_broker(struct conn *c, struct packet *p)
{
	struct broker *b = c->sim->broker;

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
net_connect(struct node *n, struct msg *will)
{
	struct conn *c = xcalloc(1, sizeof *c);

	c->sim = n->sim;
	c->node = c->owner = n;
	c->heard_us = n->sim->now_us;
	n->conn = c;
	broker_add_conn(n->sim->broker, c);
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

void
net_cut(struct node *n, bool up, bool down)
{
	n->cut_up = up;
	n->cut_down = down;
	if (n->conn && !up)
		flush(n->conn, UP);
	if (n->conn && !down)
		flush(n->conn, DOWN);
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

/* Connections are small and live until the run ends: packets on their way point to them. */
void
net_release(struct sim *s, struct conn *conns)
{
	struct conn *next;

	for (size_t i = 0; i < s->nheap; i++)
		if (s->heap[i].f == arrive) {
			struct arrival *a = s->heap[i].arg;

			packet_free(a->packet);
			free(a);
		}
	for (struct conn *c = conns; c; c = next) {
		next = c->next;
		free_held(c->held[UP]);
		free_held(c->held[DOWN]);
		free(c);
	}
}
