/*
 * out.c - what leaves the agent. Lines that one turn makes for one topic go out as one message: a
 * broker charges by the message.
 *
 * A turn's messages are gathered, written to the outbox with the turn, and stay there until the broker
 * has them; after a reconnect they are sent again, in order. At most OUTBOX_IN_MEMORY bytes are held in
 * memory, the rest waits in rows. Messages that are worth nothing later (live output, forwards, which have
 * their own resend) are sent once and not kept; a forward that waits for copies goes the way of an answer.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

/* A message larger than this is closed and another begun. One line may be larger: a whole task with its result. */
#define OUT_MESSAGE_MAX (256u << 10)
#define OUT_LINE_MAX (48u << 20)

#ifndef PACE
#define PACE 4096                       /* bytes of a backlog in a millisecond ... */
#endif
#define PACE_BURST (16 * PACE)          /* ... after so many at once */
#define PACE_MESSAGE 512                /* a message costs as much as these, beside its own */

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool
fits(const struct out *o, const char *topic, const char *response, const void *correlation, size_t len)
{
	return o->body.len < OUT_MESSAGE_MAX && !o->retain && o->correlation_len == len && strcmp(o->topic, topic) == 0 &&
	    (!len || memcmp(o->correlation, correlation, len) == 0) && same_text(o->response_topic, response);
}

/* Somebody waits for a reply; events come after. */
enum out_kind { OUT_REPLY, OUT_EVENT, OUT_ONCE };

static void
put_behind(struct core *c, struct out *o, struct out *before)
{
	struct out **p = before ? &before->next : &c->gather;

	o->next = *p;
	*p = o;
	if (!o->next)
		c->gather_tail = o;
}

static struct out *
gather(struct core *c, enum out_kind kind, struct house *gate, const char *topic, const char *response,
    const void *correlation, size_t len)
{
	bool kept = kind != OUT_ONCE && !gate;
	struct out *o;

	for (o = c->gather; o; o = o->next)
		if (o->gate == gate && o->kept == kept && fits(o, topic, response, correlation, len))
			return o;
	o = xcalloc(1, sizeof *o);
	o->topic = xstrdup(topic);
	o->response_topic = response ? xstrdup(response) : NULL;
	o->correlation = len ? xstrndup(correlation, len) : NULL;
	o->correlation_len = len;
	o->kept = kept;
	o->gate = gate;
	o->qos = 1;
	o->body.max = OUT_LINE_MAX;
	put_behind(c, o, kind == OUT_REPLY ? c->last_reply : c->gather_tail);
	if (kind == OUT_REPLY)
		c->last_reply = o;
	if (o->kept || gate)
		c->urgent = true;
	return o;
}

static void
out_free(struct out *o)
{
	free(o->topic);
	free(o->response_topic);
	free(o->correlation);
	buf_free(&o->body);
	free(o);
}

struct buf *
out_line(struct core *c, const char *topic, const char *response, const void *correlation, size_t len)
{
	return &gather(c, OUT_ONCE, NULL, topic, response, correlation, len)->body;
}

struct buf *
out_once(struct core *c, const char *topic)
{
	struct out *o = gather(c, OUT_ONCE, NULL, topic, NULL, NULL, 0);

	o->qos = 0;
	return &o->body;
}

struct buf *
out_now(struct core *c, const char *topic, int qos, bool retain, uint32_t expiry_s)
{
	struct out *o = xcalloc(1, sizeof *o);

	o->topic = xstrdup(topic);
	o->qos = qos;
	o->retain = retain;
	o->expiry_s = expiry_s;
	put_behind(c, o, c->gather_tail);
	return &o->body;
}

void
out_forget(struct core *c, const char *topic)
{
	struct out **p = &c->gather, *before = NULL;

	while (*p) {
		struct out *o = *p;

		if (o->kept || o->gate || strcmp(o->topic, topic) != 0) {
			before = o;
			p = &o->next;
			continue;
		}
		*p = o->next;
		if (c->gather_tail == o)
			c->gather_tail = before;
		out_free(o);
	}
}

/* Every event of a house is numbered, so that whoever listens can tell that one is missing. */
struct buf *
out_event(struct core *c, struct house *h, const char *type)
{
	char topic[TOPIC_MAX];
	struct buf *b;

	topic_format(topic, c->o.config->cluster, TOPIC_EVENT, h->local ? "_" : h->name, c->o.agent);
	b = &gather(c, OUT_EVENT, NULL, topic, NULL, NULL, 0)->body;
	json_put_open(b, '{');
	json_kv_str(b, "type", type);
	json_kv_int(b, "seq", ++h->head);
	if (h->local)
		json_kv_str(b, "store", c->store_id);
	else
		term_put(b, "term", &h->log);
	json_kv_str(b, "time", c->stamp);
	return b;
}

struct buf *
out_task_event(struct core *c, struct task *t, const char *type)
{
	struct buf *b = out_event(c, t->house, type);
	char id[ULID_TEXT];

	out_version(c, t);
	ulid_format(&t->id, id);
	json_kv_str(b, "id", id);
	if (*t->traceparent)
		json_kv_str(b, "traceparent", t->traceparent);
	return b;
}

/* It is as its house's last event says. */
void
out_version(struct core *c, struct task *t)
{
	if (!lease_is_shared(t->house))
		return;
	t->version = t->house->head;
	task_dirty(c, t);
}

/* Behind replies that wait for copies others wait too: they might say what these will. */
static struct house *
gate_of(struct house *h)
{
	return h && (copies_wait(h) || h->held || h->held_local) ? h : NULL;
}

struct buf *
out_local(struct core *c, struct house *h, uint64_t conn)
{
	struct local_out *l, **end = &c->local, *own = NULL;
	struct house *gate = gate_of(h);

	for (; (l = *end); end = &l->next)
		if (l->conn == conn)
			own = l;
	if (own && own->gate == gate && own->body.len < OUT_MESSAGE_MAX)
		return &own->body;
	l = xcalloc(1, sizeof *l);
	l->conn = conn;
	l->gate = gate;
	if (gate)
		c->urgent = true;
	l->body.max = OUT_LINE_MAX;
	*end = l;
	return &l->body;
}

struct buf *
out_reply(struct core *c, struct house *h, const char *topic, const void *correlation, size_t len)
{
	return &gather(c, OUT_REPLY, gate_of(h), topic, NULL, correlation, len)->body;
}

bool
out_is_gated(struct house *h)
{
	return gate_of(h) != NULL;
}

struct buf *
out_gated_line(struct core *c, struct house *h, const char *topic, const char *response)
{
	return &gather(c, OUT_ONCE, gate_of(h), topic, response, NULL, 0)->body;
}

void
out_end_line(struct buf *b)
{
	json_put_close(b, '}');
	buf_addc(b, '\n');
}

/* Replies go to the asker and nobody else: uw/<cluster>/client/<sender>/reply/<any>. */
bool
out_reply_allowed(const struct core *c, const char *topic, const char *sender)
{
	struct topic t;

	return topic_parse(topic, c->o.config->cluster, &t, NULL) == 0 && t.kind == TOPIC_REPLY &&
	    strcmp(t.name, sender) == 0 && !strpbrk(topic, "+#");
}

void
out_append(struct core *c, struct out *o)
{
	o->next = NULL;
	o->kept = true;
	o->qos = 1;
	if (c->box_tail)
		c->box_tail->next = o;
	else
		c->box = o;
	c->box_tail = o;
	if (!c->box_next)
		c->box_next = o;
	c->box_bytes += o->body.len;
	if (o->seq > c->box_loaded)
		c->box_loaded = o->seq;
}

/* Before the commit: numbers for the rows. */
void
out_number(struct core *c)
{
	for (struct out *o = c->gather; o; o = o->next)
		if (o->kept && !o->seq) {
			o->seq = ++c->box_last;
			c->box_total_bytes += (int64_t)o->body.len;
		}
}

/* ---- answers that wait for copies ---- */

static void
hold(struct house *h, struct out *o)
{
	o->gate_seq = h->head;
	if (h->held_tail)
		h->held_tail->next = o;
	else
		h->held = o;
	h->held_tail = o;
	h->held_bytes += o->body.len;
}

static void
hold_local(struct core *c)
{
	struct local_out **end = &c->local, *l;

	while ((l = *end)) {
		struct house *h = l->gate;

		if (!h) {
			end = &l->next;
			continue;
		}
		*end = l->next;
		l->next = NULL;
		if (!h->owned) {
			buf_free(&l->body);
			free(l);
			continue;
		}
		l->gate_seq = h->head;
		if (h->held_local_tail)
			h->held_local_tail->next = l;
		else
			h->held_local = l;
		h->held_local_tail = l;
	}
}

static void
open_local_gate(struct core *c, struct house *h, int64_t seq)
{
	struct local_out **end = &c->local, *l;

	while (*end)
		end = &(*end)->next;
	while ((l = h->held_local) && l->gate_seq <= seq) {
		h->held_local = l->next;
		l->next = NULL;
		l->gate = NULL;
		*end = l;
		end = &l->next;
	}
	if (!h->held_local)
		h->held_local_tail = NULL;
}

void
out_open_gate(struct core *c, struct house *h, int64_t seq)
{
	struct out *o;

	open_local_gate(c, h, seq);
	while ((o = h->held) && o->gate_seq <= seq) {
		h->held = o->next;
		h->held_bytes -= o->body.len;
		if (h->told < o->gate_seq)
			h->told = o->gate_seq;
		o->gate = NULL;
		o->kept = c->urgent = true;
		put_behind(c, o, c->last_reply);
		c->last_reply = o;
	}
	if (h->held)
		return;
	h->held_tail = NULL;
	if (h->told < (h->stored_head < seq ? h->stored_head : seq))
		h->told = h->stored_head < seq ? h->stored_head : seq;
}

/* Whoever waits asks again, and hears from the new owner. */
void
out_drop_held(struct core *c, struct house *h)
{
	(void)c;
	for (struct out *o = h->held, *next; o; o = next) {
		next = o->next;
		out_free(o);
	}
	for (struct local_out *l = h->held_local, *next; l; l = next) {
		next = l->next;
		buf_free(&l->body);
		free(l);
	}
	h->held = h->held_tail = NULL;
	h->held_local = h->held_local_tail = NULL;
	h->held_bytes = 0;
}

static void
correct(struct buf *body, int n)
{
	static const char key[] = "\"copies\":";
	char *p = body->data, *digits;

	while (p && (p = strstr(p, key))) {
		digits = p + sizeof key - 1;
		p = digits + strspn(digits, " 0123456789");
		if (strtol(digits, NULL, 10) > n) {
			memset(digits, ' ', (size_t)(p - digits));
			p[-1] = (char)('0' + n % 10);
			if (n > 9)
				p[-2] = (char)('0' + n / 10);
		}
	}
}

void
out_correct_copies(struct core *c, struct house *h, int n)
{
	/* What wants a response is a task, and no answer. */
	for (struct out *o = h->held; o; o = o->next)
		if (!o->response_topic)
			correct(&o->body, n);
	for (struct local_out *l = h->held_local; l; l = l->next)
		correct(&l->body, n);
	/* And this turn's, which will wait. */
	for (struct out *o = c->gather; o; o = o->next)
		if (o->gate == h && !o->response_topic)
			correct(&o->body, n);
	for (struct local_out *l = c->local; l; l = l->next)
		if (l->gate == h)
			correct(&l->body, n);
}

/* After the commit: the turn's messages join the queue, or stay on disk when memory has enough. */
void
out_promote(struct core *c)
{
	struct out *o = c->gather, *next;

	hold_local(c);

	c->gather = c->gather_tail = c->last_reply = NULL;
	c->pace_ms = 0;
	for (; o; o = next) {
		next = o->next;
		o->next = NULL;
		if (o->gate && !o->gate->owned) {
			out_free(o);
		} else if (o->gate) {
			hold(o->gate, o);
		} else if (!o->kept && !c->up) {
			out_free(o);
		} else if (!o->kept) {
			if (c->once_tail)
				c->once_tail->next = o;
			else
				c->once = o;
			c->once_tail = o;
		} else if (c->box_spilled || c->box_bytes > OUTBOX_IN_MEMORY) {
			c->box_spilled = true;
			out_free(o);
		} else {
			out_append(c, o);
		}
	}
}

static void
drop_once(struct core *c)
{
	while (c->once) {
		struct out *o = c->once;

		c->once = o->next;
		out_free(o);
	}
	c->once_tail = NULL;
}

static void
describe(const struct out *o, struct core_publish *p)
{
	*p = (struct core_publish){ .seq = o->seq, .topic = o->topic, .payload = o->body.data,
		.len = o->body.len ? o->body.len - 1 : 0, .qos = o->qos, .retain = o->retain, .expiry_s = o->expiry_s,
		.response_topic = o->response_topic, .correlation = o->correlation,
		.correlation_len = o->correlation_len };
}

static bool
is_backlog(struct core *c, const struct out *o)
{
	if (!c->box_live)
		c->box_live = c->box_last + 1;
	return o->seq < c->box_live;
}

static bool
must_wait(struct core *c)
{
	int64_t now_ms = c->now.mono_ms;

	if (!is_backlog(c, c->box_next))
		return false;
	c->pace_left += (now_ms - c->pace_at_ms) * PACE;
	if (c->pace_left > PACE_BURST)
		c->pace_left = PACE_BURST;
	c->pace_at_ms = now_ms;
	if (c->pace_left > 0)
		return false;
	c->pace_ms = now_ms + 1 - c->pace_left / PACE;
	return true;
}

bool
core_next_publish(struct core *c, struct core_publish *p)
{
	if (!c->up)
		return false;
	if (c->once) {
		describe(c->once, p);
		return true;
	}
	if (c->in_flight >= OUTBOX_IN_FLIGHT)
		return false;
	if (!c->box_next && c->box_spilled)
		store_load_outbox(c, OUTBOX_IN_MEMORY / 2);
	if (!c->box_next || must_wait(c))
		return false;
	describe(c->box_next, p);
	return true;
}

static void
forget_row(struct core *c, const struct out *o)
{
	if (c->nacked == c->acked_cap) {
		c->acked_cap = c->acked_cap ? 2 * c->acked_cap : 64;
		c->acked = xrealloc(c->acked, c->acked_cap * sizeof *c->acked);
	}
	c->acked[c->nacked++] = o->seq;
	c->box_total_bytes -= (int64_t)o->body.len;
	c->nacked -= IS_MUTANT(MUTANT_KEEP_OUTBOX);
	c->lazy = true;
}

static void
unlink_out(struct core *c, struct out *o, struct out *before)
{
	if (before)
		before->next = o->next;
	else
		c->box = o->next;
	if (c->box_tail == o)
		c->box_tail = before;
	c->box_bytes -= o->body.len;
}

/* The next one can never be sent: behind it others wait. */
static void
refused(struct core *c)
{
	struct out *o = c->box_next, *before = NULL;

	for (struct out *p = c->box; p != o; p = p->next)
		before = p;
	c->refused_publishes++;
	c->box_next = o->next;
	unlink_out(c, o, before);
	forget_row(c, o);
	out_free(o);
}

void
core_publish_sent(struct core *c, const struct core_publish *p, int mid)
{
	if (!p->seq) {
		struct out *o = c->once;

		c->once = o->next;
		if (!c->once)
			c->once_tail = NULL;
		out_free(o);
		return;
	}
	if (mid < 0) {
		refused(c);
		return;
	}
	if (is_backlog(c, c->box_next))
		c->pace_left -= (int64_t)p->len + PACE_MESSAGE;
	c->box_next->mid = mid;
	c->box_next = c->box_next->next;
	c->in_flight++;
}

/* Acknowledgements come nearly always in the order of sending: the first of the list. */
void
core_sent(struct core *c, int mid, int reason)
{
	struct out *before = NULL;

	for (struct out *o = c->box; o && o != c->box_next; before = o, o = o->next) {
		if (o->mid != mid)
			continue;
		if (reason >= 0x80) {
			c->refused_publishes++;
			log_warnx("publish to %s was refused by the broker, reason 0x%02x: check its ACL", o->topic,
			    (unsigned)reason);
		}
		unlink_out(c, o, before);
		forget_row(c, o);
		out_free(o);
		c->in_flight--;
		return;
	}
}

void
out_link_down(struct core *c)
{
	while (IS_MUTANT(MUTANT_DROP_OUTBOX) && c->box) {
		struct out *o = c->box;

		unlink_out(c, o, NULL);
		forget_row(c, o);
		out_free(o);
	}
	for (struct out *o = c->box; o && o != c->box_next; o = o->next)
		o->mid = 0;
	c->box_next = c->box;
	c->in_flight = 0;
	c->box_live = 0;
	drop_once(c);
}

/* At the bound the oldest goes: it is a copy of what the tasks' rows still hold, and the gap in the numbers
 * shows; how many is counted in health. */
void
out_bound(struct core *c)
{
	while (c->box_total_bytes > c->o.config->max_outbox_bytes) {
		struct out *o = c->box;

		if (!o && c->box_spilled)
			store_load_outbox(c, OUTBOX_IN_MEMORY / 2);
		o = c->box;
		if (!o || o != c->box_next)
			return;
		c->box_next = o->next;
		unlink_out(c, o, NULL);
		forget_row(c, o);
		for (size_t i = 0; i < o->body.len; i++)
			c->dropped_events += o->body.data[i] == '\n';
		c->dropped_ms = c->now.wall_ms;
		out_free(o);
	}
}

void
out_release(struct core *c)
{
	for (int i = 0; i < c->nhouses; i++)
		out_drop_held(c, &c->houses[i]);
	drop_once(c);
	for (struct out *o = c->box, *next; o; o = next) {
		next = o->next;
		out_free(o);
	}
	for (struct out *o = c->gather, *next; o; o = next) {
		next = o->next;
		out_free(o);
	}
}
