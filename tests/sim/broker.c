/*
 * broker.c - a broker as Mosquitto is one: sessions that outlive connections, QoS 1 with packet ids handed out
 * in order and sent again in that order after a resume, retained messages, wills, expiry, bounded queues, and
 * a state on disk that may be older than what it has acknowledged.
 *
 * Not modelled: QoS 2, shared subscriptions, will delay, access rules.
 */
#include "sim.h"

#include "buf.h"

#define KEEPALIVE_US (7500 * MS)        /* one and a half times the agents' 5 s */
#define RETAINED_MAX 256
#define SESSIONS_MAX 64
#define FILTERS_MAX 64

/* One message for one session. */
struct delivery {
	int mid;                        /* 0: QoS 0 */
	bool sent;                      /* on this connection */
	struct msg *msg;
	struct delivery *next;
};

struct session {
	char name[NAME_MAX_LEN + 8];
	bool used, clean;
	int64_t expiry_us, left_us;     /* 0: connected */
	int receive_max, last_mid;
	struct conn *conn;
	char *filters[FILTERS_MAX];
	int nfilters;
	struct delivery *first, *last;  /* not acknowledged, oldest first */
	int64_t waiting;
	int in_flight;
	struct msg *will;
};

struct state {
	struct session sessions[SESSIONS_MAX];
	struct msg *retained[RETAINED_MAX];
	int nretained;
};

struct broker {
	struct sim *sim;
	bool up;
	struct state now, saved;
	struct conn *conns;
};

/* ---- state, and copies of it ---- */

static void
clear_session(struct session *s)
{
	for (struct delivery *d = s->first, *next; d; d = next) {
		next = d->next;
		msg_unref(d->msg);
		free(d);
	}
	for (int i = 0; i < s->nfilters; i++)
		free(s->filters[i]);
	msg_unref(s->will);
	if (s->conn)
		s->conn->session = NULL;
	*s = (struct session){ 0 };
}

static void
clear_state(struct state *st)
{
	for (int i = 0; i < SESSIONS_MAX; i++)
		clear_session(&st->sessions[i]);
	for (int i = 0; i < st->nretained; i++)
		msg_unref(st->retained[i]);
	st->nretained = 0;
}

static void
append(struct session *s, struct delivery *d)
{
	d->next = NULL;
	if (s->last)
		s->last->next = d;
	else
		s->first = d;
	s->last = d;
	s->waiting++;
}

/* Connections and wills are not on disk; a session without a connection has been left. */
static void
copy_session(struct session *to, const struct session *from, int64_t now_us)
{
	*to = *from;
	to->conn = NULL;
	to->will = NULL;
	to->first = to->last = NULL;
	to->waiting = to->in_flight = 0;
	if (!to->left_us)
		to->left_us = now_us;
	for (int i = 0; i < from->nfilters; i++)
		to->filters[i] = xstrdup(from->filters[i]);
	for (const struct delivery *d = from->first; d; d = d->next) {
		struct delivery *copy = xcalloc(1, sizeof *copy);

		copy->mid = d->mid;
		copy->msg = msg_ref(d->msg);
		append(to, copy);
	}
}

static void
copy_state(struct state *to, const struct state *from, int64_t now_us)
{
	clear_state(to);
	for (int i = 0; i < SESSIONS_MAX; i++)
		if (from->sessions[i].used && !from->sessions[i].clean)
			copy_session(&to->sessions[i], &from->sessions[i], now_us);
	for (int i = 0; i < from->nretained; i++)
		to->retained[to->nretained++] = msg_ref(from->retained[i]);
}

/* ---- delivering ---- */

static bool
matches(const char *filter, const char *topic)
{
	while (*filter && *topic) {
		if (*filter == '+') {
			topic += strcspn(topic, "/");
			filter++;
		} else if (*filter++ != *topic++) {
			return false;
		}
	}
	return !*filter && !*topic;
}

static bool
subscribes(const struct session *s, const char *topic)
{
	for (int i = 0; i < s->nfilters; i++)
		if (matches(s->filters[i], topic))
			return true;
	return false;
}

static bool
is_expired(const struct broker *b, const struct msg *m)
{
	return m->expires_us && m->expires_us <= b->sim->now_us;
}

/* As many as the client takes at a time, always the oldest first. */
static void
send_waiting(struct session *s)
{
	for (struct delivery *d = s->first; d && s->conn && s->in_flight < s->receive_max; d = d->next)
		if (!d->sent) {
			d->sent = true;
			s->in_flight++;
			net_reply(s->conn, PACKET_PUBLISH, d->mid, 0, d->msg);
		}
}

static void
deliver(struct broker *b, struct session *s, struct msg *m)
{
	struct delivery *d;

	if (m->qos == 0) {
		if (s->conn)
			net_reply(s->conn, PACKET_PUBLISH, 0, 0, m);
		return;
	}
	if (s->waiting >= b->sim->plan.queue_max) {
		check_session_lost(b->sim->check, s->name);
		return;
	}
	d = xcalloc(1, sizeof *d);
	s->last_mid = s->last_mid % UINT16_MAX + 1;
	d->mid = s->last_mid;
	d->msg = msg_ref(m);
	append(s, d);
	send_waiting(s);
}

static void
retain(struct broker *b, struct msg *m)
{
	struct state *st = &b->now;
	int i = 0;

	while (i < st->nretained && strcmp(st->retained[i]->topic, m->topic) != 0)
		i++;
	if (i < st->nretained) {
		msg_unref(st->retained[i]);
		st->retained[i] = st->retained[--st->nretained];
	}
	if (m->len && st->nretained < RETAINED_MAX)
		st->retained[st->nretained++] = msg_ref(m);
}

static void
publish(struct broker *b, struct msg *m)
{
	if (m->retain)
		retain(b, m);
	for (int i = 0; i < SESSIONS_MAX; i++)
		if (b->now.sessions[i].used && subscribes(&b->now.sessions[i], m->topic))
			deliver(b, &b->now.sessions[i], m);
}

static void
acknowledged(struct session *s, int mid)
{
	struct delivery **p = &s->first, *before = NULL, *d;

	while (*p && (*p)->mid != mid) {
		before = *p;
		p = &(*p)->next;
	}
	if (!(d = *p))
		return;
	*p = d->next;
	if (s->last == d)
		s->last = before;
	s->waiting--;
	s->in_flight -= d->sent;
	msg_unref(d->msg);
	free(d);
	send_waiting(s);
}

/* ---- connections ---- */

/* The connection is over; the session lives on unless it was a clean one. */
static void
leave(struct broker *b, struct session *s, bool polite)
{
	struct msg *will = polite ? NULL : msg_ref(s->will);

	s->conn->session = NULL;
	s->conn = NULL;
	s->left_us = b->sim->now_us;
	s->in_flight = 0;
	for (struct delivery *d = s->first; d; d = d->next)
		d->sent = false;
	if (s->clean)
		clear_session(s);
	if (will)
		publish(b, will);
	msg_unref(will);
}

static struct session *
session_find(struct broker *b, const char *name)
{
	struct session *empty = NULL;

	for (int i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &b->now.sessions[i];

		if (s->used && strcmp(s->name, name) == 0)
			return s;
		if (!s->used && !empty)
			empty = s;
	}
	return empty;
}

/* Packet ids begin near the end of the circle, so that every run goes around it. */
static void
session_new(struct broker *b, struct session *s, const struct node *n)
{
	*s = (struct session){ .used = true };
	snprintf(s->name, sizeof s->name, "%s", n->name);
	s->last_mid = (int)rng_between(&b->sim->rng[RNG_BROKER], 65000, UINT16_MAX - 1);
}

static void
connect_node(struct broker *b, struct conn *c, struct packet *p)
{
	struct node *n = c->owner;
	struct session *s = session_find(b, n->name);
	bool present;

	if (s->conn) {
		net_drop(s->conn);
		leave(b, s, false);
		s = session_find(b, n->name);
	}
	if (s->used && n->clean)
		clear_session(s);
	present = s->used;
	if (!present)
		session_new(b, s, n);
	s->clean = n->clean;
	s->receive_max = n->receive_max;
	s->expiry_us = n->session_expiry_us;
	s->left_us = 0;
	s->conn = c;
	c->session = s;
	msg_unref(s->will);
	s->will = msg_ref(p->msg);
	net_reply(c, PACKET_CONNACK, 0, present, NULL);
	send_waiting(s);
}

static void
subscribe(struct broker *b, struct session *s, struct packet *p)
{
	bool known = false;

	for (int i = 0; i < s->nfilters; i++)
		known |= strcmp(s->filters[i], p->msg->topic) == 0;
	if (!known && s->nfilters < FILTERS_MAX)
		s->filters[s->nfilters++] = xstrdup(p->msg->topic);
	net_reply(s->conn, PACKET_SUBACK, p->mid, 1, NULL);
	for (int i = 0; i < b->now.nretained; i++)
		if (matches(p->msg->topic, b->now.retained[i]->topic) && !is_expired(b, b->now.retained[i]))
			deliver(b, s, b->now.retained[i]);
}

void
broker_packet(struct broker *b, struct conn *c, struct packet *p)
{
	struct session *s = c->session;

	if (p->type == PACKET_CONNECT) {
		connect_node(b, c, p);
		return;
	}
	if (!s)
		return;
	switch (p->type) {
	case PACKET_SUBSCRIBE:
		subscribe(b, s, p);
		break;
	case PACKET_PUBLISH:
		sim_trace(b->sim, "%s -> %s: %s", s->name, p->msg->topic, p->msg->payload);
		check_published(b->sim->check, s->name, p->msg);
		publish(b, p->msg);
		if (p->msg->qos)
			net_reply(c, PACKET_PUBACK, p->mid, 0, NULL);
		break;
	case PACKET_PUBACK:
		acknowledged(s, p->mid);
		break;
	case PACKET_PING:
		net_reply(c, PACKET_PING, 0, 0, NULL);
		break;
	case PACKET_DISCONNECT:
	case PACKET_CLOSED:
		c->broker_open = false;
		leave(b, s, p->type == PACKET_DISCONNECT);
		break;
	default:
		break;
	}
}

void
broker_kick(struct broker *b, const char *name)
{
	struct session *s = session_find(b, name);

	if (!b->up || !s || !s->conn)
		return;
	net_drop(s->conn);
	leave(b, s, false);
}

/* ---- once a second ---- */

static void
drop_expired(struct broker *b, struct session *s)
{
	struct delivery *d = s->first, *next;

	for (; d; d = next) {
		next = d->next;
		if (!d->sent && is_expired(b, d->msg))
			acknowledged(s, d->mid);
	}
}

static void
look_after(struct broker *b, struct session *s)
{
	int64_t now = b->sim->now_us;

	if (s->conn && now - s->conn->heard_us > KEEPALIVE_US) {
		net_drop(s->conn);
		leave(b, s, false);
	}
	if (s->used && !s->conn && now - s->left_us > s->expiry_us) {
		sim_log(b->sim, "broker: the session of %s has expired", s->name);
		check_session_lost(b->sim->check, s->name);
		clear_session(s);
	}
	drop_expired(b, s);
}

static void
beat(void *arg, uint64_t n)
{
	struct broker *b = arg;

	for (int i = 0; b->up && i < SESSIONS_MAX; i++)
		if (b->now.sessions[i].used)
			look_after(b, &b->now.sessions[i]);
	if (b->up && n % (uint64_t)(b->sim->plan.autosave_us / SECOND) == 0)
		copy_state(&b->saved, &b->now, b->sim->now_us);
	sim_in(b->sim, SECOND, beat, b, n + 1);
}

/* ---- life ---- */

struct broker *
broker_new(struct sim *s)
{
	struct broker *b = xcalloc(1, sizeof *b);

	b->sim = s;
	b->up = true;
	sim_in(s, SECOND, beat, b, 1);
	return b;
}

void
broker_free(struct broker *b)
{
	clear_state(&b->now);
	clear_state(&b->saved);
	free(b);
}

bool
broker_is_up(const struct broker *b)
{
	return b->up;
}

struct conn *
broker_conns(struct broker *b)
{
	return b->conns;
}

void
broker_add_conn(struct broker *b, struct conn *c)
{
	c->next = b->conns;
	b->conns = c;
}

/* Everybody's connection ends with the process. Wills do not survive it. */
void
broker_kill(struct broker *b, enum broker_loss loss)
{
	struct state kept = { 0 };

	if (!b->up)
		return;
	b->up = false;
	for (int i = 0; i < SESSIONS_MAX; i++)
		if (b->now.sessions[i].conn)
			net_drop(b->now.sessions[i].conn);
	if (loss != LOSS_ALL)
		copy_state(&kept, loss == LOSS_NONE ? &b->now : &b->saved, b->sim->now_us);
	if (loss != LOSS_NONE)
		check_session_lost(b->sim->check, NULL);
	clear_state(&b->now);
	b->now = kept;
	if (loss == LOSS_ALL)
		clear_state(&b->saved);
}

void
broker_start(struct broker *b)
{
	b->up = true;
}

void
broker_heal(struct broker *b)
{
	if (!b->up)
		broker_start(b);
}
