/*
 * broker.c - a broker as Mosquitto is one: sessions that outlive connections, QoS 1 with packet ids handed out
 * in order and sent again in that order after a resume, QoS 0 that overtakes them, retained messages, wills,
 * expiry, bounded queues, who may publish what, and a state on disk that may be older than what it has
 * acknowledged.
 *
 * Not modelled: QoS 2, shared subscriptions, will delay, who may read.
 */
#include "sim.h"

#include "buf.h"

#define KEEPALIVE_US (7500 * MS)        /* one and a half times the agents' 5 s */
#define RETAINED_MAX 1024
#define SESSIONS_MAX 64
#define TOPIC_BUCKETS 1024
#define NOT_AUTHORIZED 0x87
#define NO_SUBSCRIBERS 0x10

/* One message for one session. */
struct delivery {
	int mid;                        /* 0: QoS 0 */
	bool sent;                      /* on this connection */
	bool retained;
	struct msg *msg;
	struct delivery *next;
};

struct filter {
	char *text;
	int qos;
};

struct session {
	char client_id[96];
	char name[NAME_MAX_LEN + 8];    /* of whoever has it */
	bool used, clean;
	int64_t expiry_us, left_us;     /* 0: connected */
	int receive_max, last_mid;
	struct conn *conn;
	struct filter *filters;
	int nfilters;
	struct delivery *first, *last;  /* not acknowledged, oldest first */
	int64_t waiting, bytes;
	int64_t next_expiry_us;         /* none of them expires before; 0: none does */
	int in_flight;
	struct msg *will;
};

struct state {
	struct session sessions[SESSIONS_MAX];
	struct msg *retained[RETAINED_MAX];
	int nretained;
};

/* Who subscribes to a topic: a bit for each session. Asked for each message, so it is remembered. */
struct readers {
	char *topic;
	uint64_t as_of;                 /* version of the subscriptions */
	uint64_t all, qos1;
	struct readers *next;
};

struct broker {
	struct sim *sim;
	int index;
	bool up, silent;
	struct state now, saved;
	struct conn *conns;
	uint64_t version;               /* of the subscriptions */
	struct readers *readers[TOPIC_BUCKETS];
};

/* ---- state, and copies of it ---- */

static void
clear_filters(struct session *s)
{
	for (int i = 0; i < s->nfilters; i++)
		free(s->filters[i].text);
	free(s->filters);
	s->filters = NULL;
	s->nfilters = 0;
}

static void
clear_session(struct session *s)
{
	for (struct delivery *d = s->first, *next; d; d = next) {
		next = d->next;
		msg_unref(d->msg);
		free(d);
	}
	clear_filters(s);
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
	int64_t expires_us = d->msg->expires_us;

	d->next = NULL;
	if (s->last)
		s->last->next = d;
	else
		s->first = d;
	s->last = d;
	s->waiting++;
	s->bytes += (int64_t)d->msg->len;
	if (expires_us && (!s->next_expiry_us || expires_us < s->next_expiry_us))
		s->next_expiry_us = expires_us;
}

static void
add_filter(struct session *s, const char *text, int qos)
{
	for (int i = 0; i < s->nfilters; i++)
		if (strcmp(s->filters[i].text, text) == 0) {
			s->filters[i].qos = qos;
			return;
		}
	if (s->nfilters % 16 == 0)
		s->filters = xrealloc(s->filters, (size_t)(s->nfilters + 16) * sizeof *s->filters);
	s->filters[s->nfilters++] = (struct filter){ xstrdup(text), qos };
}

/* Connections and wills are not on disk; a session without a connection has been left. */
static void
copy_session(struct session *to, const struct session *from, int64_t now_us)
{
	*to = *from;
	to->conn = NULL;
	to->will = NULL;
	to->first = to->last = NULL;
	to->waiting = to->bytes = to->in_flight = 0;
	to->filters = NULL;
	to->nfilters = 0;
	if (!to->left_us)
		to->left_us = now_us;
	for (int i = 0; i < from->nfilters; i++)
		add_filter(to, from->filters[i].text, from->filters[i].qos);
	for (const struct delivery *d = from->first; d; d = d->next) {
		struct delivery *copy = xcalloc(1, sizeof *copy);

		copy->mid = d->mid;
		copy->retained = d->retained;
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

bool
topic_matches(const char *filter, const char *topic)
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

static void
find_readers(struct broker *b, struct readers *r)
{
	r->all = r->qos1 = 0;
	for (int i = 0; i < SESSIONS_MAX; i++) {
		const struct session *s = &b->now.sessions[i];

		for (int k = 0; s->used && k < s->nfilters; k++)
			if (topic_matches(s->filters[k].text, r->topic)) {
				r->all |= (uint64_t)1 << i;
				r->qos1 |= (uint64_t)(s->filters[k].qos > 0) << i;
			}
	}
	r->as_of = b->version;
}

static const struct readers *
readers_of(struct broker *b, const char *topic)
{
	struct readers **p, *r;
	unsigned h = 5381;

	for (const char *c = topic; *c; c++)
		h = h * 33 ^ (unsigned char)*c;
	for (p = &b->readers[h % TOPIC_BUCKETS]; (r = *p); p = &r->next)
		if (strcmp(r->topic, topic) == 0)
			break;
	if (!r) {
		r = *p = xcalloc(1, sizeof *r);
		r->topic = xstrdup(topic);
		r->as_of = b->version - 1;
	}
	if (r->as_of != b->version)
		find_readers(b, r);
	return r;
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
			net_deliver(s->conn, d->mid, d->msg, d->retained);
		}
}

static bool
is_full(const struct session *s, const struct plan *p)
{
	return s->waiting >= p->queue_max || (s->waiting > s->receive_max && s->bytes >= p->queue_bytes);
}

static void
deliver(struct broker *b, struct session *s, struct msg *m, int qos, bool retained)
{
	struct delivery *d;

	if (m->qos == 0 || qos == 0) {
		if (s->conn)
			net_deliver(s->conn, 0, m, retained);
		return;
	}
	if (is_full(s, &b->sim->plan)) {
		check_session_lost(b->sim->check, s->name);
		return;
	}
	d = xcalloc(1, sizeof *d);
	s->last_mid = s->last_mid % UINT16_MAX + 1;
	d->mid = s->last_mid;
	d->msg = msg_ref(m);
	d->retained = retained;
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
	for (i = 0; st->nretained == RETAINED_MAX && i < st->nretained; i++)
		if (is_expired(b, st->retained[i])) {
			msg_unref(st->retained[i]);
			st->retained[i] = st->retained[--st->nretained];
		}
	if (m->len && st->nretained < RETAINED_MAX)
		st->retained[st->nretained++] = msg_ref(m);
}

/* False: nobody subscribes. */
static bool
publish(struct broker *b, struct msg *m)
{
	const struct readers *r = readers_of(b, m->topic);
	uint64_t all = r->all, qos1 = r->qos1;

	if (m->retain)
		retain(b, m);
	for (int i = 0; all >> i && i < SESSIONS_MAX; i++)
		if (all >> i & 1)
			deliver(b, &b->now.sessions[i], m, qos1 >> i & 1, false);
	return all != 0;
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
	s->bytes -= (int64_t)d->msg->len;
	s->in_flight -= d->sent;
	msg_unref(d->msg);
	free(d);
	send_waiting(s);
}

/* ---- connections ---- */

static void
forget_session(struct broker *b, struct session *s)
{
	clear_session(s);
	b->version++;
}

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
		forget_session(b, s);
	if (will)
		publish(b, will);
	msg_unref(will);
}

static void
expire(struct broker *b, struct session *s)
{
	sim_log(b->sim, "broker %d: the session of %s has expired", b->index, s->name);
	check_session_lost(b->sim->check, s->name);
	forget_session(b, s);
}

/* That one, or an empty one; there is one for as many as are connected, but hosts whose disks were lost leave some behind. */
static struct session *
session_find(struct broker *b, const char *client_id)
{
	struct session *empty = NULL, *oldest = NULL;

	for (int i = 0; i < SESSIONS_MAX; i++) {
		struct session *s = &b->now.sessions[i];

		if (s->used && strcmp(s->client_id, client_id) == 0)
			return s;
		if (!s->used && !empty)
			empty = s;
		if (!s->conn && (!oldest || s->left_us < oldest->left_us))
			oldest = s;
	}
	if (!empty && !oldest) {
		fprintf(stderr, "sim: more than %d connections\n", SESSIONS_MAX);
		abort();
	}
	if (!empty)
		expire(b, oldest);
	return empty ? empty : oldest;
}

/* Packet ids begin near the end of the circle, so that every run goes around it. */
static void
session_new(struct broker *b, struct session *s, const struct node *n)
{
	*s = (struct session){ .used = true };
	b->version++;
	snprintf(s->client_id, sizeof s->client_id, "%s", n->client_id);
	snprintf(s->name, sizeof s->name, "%s", n->name);
	s->last_mid = (int)rng_between(&b->sim->rng[RNG_BROKER], 65000, UINT16_MAX - 1);
}

static void
connect_node(struct broker *b, struct conn *c, struct packet *p)
{
	struct node *n = c->owner;
	struct session *s = session_find(b, n->client_id);
	bool present;

	if (s->conn) {
		net_drop(s->conn);
		leave(b, s, false);
		s = session_find(b, n->client_id);
	}
	if (s->used && n->clean)
		forget_session(b, s);
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
	add_filter(s, p->msg->topic, p->msg->qos);
	b->version++;
	net_reply(s->conn, PACKET_SUBACK, p->mid, 1, NULL);
	for (int i = 0; i < b->now.nretained; i++)
		if (topic_matches(p->msg->topic, b->now.retained[i]->topic) && !is_expired(b, b->now.retained[i]))
			deliver(b, s, b->now.retained[i], p->msg->qos, true);
}

static void
take_publish(struct broker *b, struct conn *c, const struct packet *p)
{
	int reason = 0;

	if (c->owner->agent && !acl_may_publish(b->sim->acl, c->owner->name, p->msg->topic)) {
		sim_fail(b->sim, c->owner->name, "%s may not publish %s", c->owner->name, p->msg->topic);
		reason = NOT_AUTHORIZED;
	} else {
		sim_trace(b->sim, "%d: %s -> %s: %s", b->index, c->owner->name, p->msg->topic, p->msg->payload);
		check_published(b->sim->check, c->owner->name, p->msg);
		reason = publish(b, p->msg) ? 0 : NO_SUBSCRIBERS;
	}
	if (p->msg->qos)
		net_reply(c, PACKET_PUBACK, p->mid, reason, NULL);
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
		take_publish(b, c, p);
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
	for (int i = 0; b->up && i < SESSIONS_MAX; i++) {
		struct session *s = &b->now.sessions[i];

		if (!s->used || !s->conn || strcmp(s->name, name) != 0)
			continue;
		net_drop(s->conn);
		leave(b, s, false);
	}
}

/* Everybody has what is for him, if he is there. */
bool
broker_is_quiet(const struct broker *b, struct quiet *q)
{
	for (int i = 0; i < SESSIONS_MAX; i++) {
		const struct session *s = &b->now.sessions[i];

		if (!s->used || !s->conn || !s->waiting)
			continue;
		snprintf(q->why, sizeof q->why, "broker %d has %lld messages for %s", b->index, (long long)s->waiting, s->name);
		snprintf(q->subject, sizeof q->subject, "%s", s->name);
		return false;
	}
	return true;
}

int64_t
broker_rounds(const struct broker *b, const char *name)
{
	int64_t n = 0;

	for (int i = 0; i < SESSIONS_MAX; i++) {
		const struct session *s = &b->now.sessions[i];

		if (s->used && s->conn && strcmp(s->name, name) == 0 && s->waiting / s->receive_max > n)
			n = s->waiting / s->receive_max;
	}
	return n;
}

/* ---- once a second ---- */

static void
drop_expired(struct broker *b, struct session *s)
{
	struct delivery *d = s->first, *next;

	if (!s->next_expiry_us || s->next_expiry_us > b->sim->now_us)
		return;
	s->next_expiry_us = 0;
	for (; d; d = next) {
		int64_t at = d->msg->expires_us;

		next = d->next;
		if (!d->sent && is_expired(b, d->msg))
			acknowledged(s, d->mid);
		else if (at && (!s->next_expiry_us || at < s->next_expiry_us))
			s->next_expiry_us = at;
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
	if (s->used && !s->conn && now - s->left_us > s->expiry_us)
		expire(b, s);
	drop_expired(b, s);
}

static void
beat(void *arg, uint64_t n)
{
	struct broker *b = arg;

	for (int i = 0; b->up && i < SESSIONS_MAX; i++)
		if (b->now.sessions[i].used)
			look_after(b, &b->now.sessions[i]);
	if (b->up && b->sim->plan.ages && n % (uint64_t)(b->sim->plan.autosave_us / SECOND) == 0)
		copy_state(&b->saved, &b->now, b->sim->now_us);
	sim_in(b->sim, SECOND, beat, b, n + 1);
}

/* ---- life ---- */

struct broker *
broker_new(struct sim *s, int index)
{
	struct broker *b = xcalloc(1, sizeof *b);

	b->sim = s;
	b->index = index;
	b->up = true;
	sim_in(s, SECOND, beat, b, 1);
	return b;
}

void
broker_free(struct broker *b)
{
	clear_state(&b->now);
	clear_state(&b->saved);
	for (int i = 0; i < TOPIC_BUCKETS; i++)
		for (struct readers *r = b->readers[i], *next; r; r = next) {
			next = r->next;
			free(r->topic);
			free(r);
		}
	free(b);
}

int
broker_index(const struct broker *b)
{
	return b->index;
}

bool
broker_is_silent(const struct broker *b)
{
	return b->silent;
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

static void
end_connections(struct broker *b)
{
	for (int i = 0; i < SESSIONS_MAX; i++) {
		struct conn *c = b->now.sessions[i].conn;

		if (c && b->silent)
			c->broker_open = false;
		else if (c)
			net_drop(c);
	}
}

/* Everybody's connection ends with the process. Wills do not survive it. */
void
broker_kill(struct broker *b, enum broker_loss loss, bool silent)
{
	struct state kept = { 0 };

	if (!b->up)
		return;
	b->up = false;
	b->silent = silent;
	b->version++;
	end_connections(b);
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
	b->silent = false;
}

void
broker_heal(struct broker *b)
{
	if (!b->up)
		broker_start(b);
}
