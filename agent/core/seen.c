/*
 * seen.c - tasks for a house that its owner has not answered yet, as far as a follower knows. A plain mosquitto_pub
 * sends once and nobody else would send it again: so if the owner dies before it accepts the task, its successor
 * takes it from here; and what the owner seems never to have got is sent to it.
 *
 * A copy is matched with the owner's answer by sender and content. It is in memory first, for nearly every one is
 * answered at once, and on disk after STORE_MS; at once if nobody owns the house.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define STORE_MS 1000
#define SEND_MS 5000            /* unanswered for so long: to the owner, by the first in step; others wait longer */
#define TRIES_MAX 5
#define SEEN_MAX 20000
#define SEEN_BYTES (16 << 20)

/* FNV-1a. Line ends count as spaces, as they do in the body that is kept. */
uint64_t
seen_hash(const char *line, size_t len)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)(line[i] == '\r' || line[i] == '\n' ? ' ' : line[i])) * 1099511628211u;
	return h;
}

static void
seen_free(struct seen *x)
{
	free(x->line);
	free(x->reply);
	free(x->correlation);
	free(x);
}

/* *p leaves the list. */
static void
drop(struct core *c, struct seen **p, struct seen *before)
{
	struct seen *x = *p;

	*p = x->next;
	if (c->seen_tail == x)
		c->seen_tail = before;
	c->nseen--;
	c->seen_bytes -= (int64_t)x->len;
	if (x->stored) {
		c->seen_done = xrealloc(c->seen_done, (c->nseen_done + 1) * sizeof *c->seen_done);
		c->seen_done[c->nseen_done++] = x->n;
		c->lazy = true;
	}
	seen_free(x);
}

struct seen *
seen_add(struct core *c, struct house *h, const char *sender, const char *line, size_t len, const struct mqtt_msg *m)
{
	struct seen *x = xcalloc(1, sizeof *x);

	x->n = ++c->last_seen;
	x->house = h;
	snprintf(x->sender, sizeof x->sender, "%s", sender);
	x->hash = seen_hash(line, len);
	x->line = xstrndup(line, len);
	x->len = len;
	x->reply = m->response_topic ? xstrdup(m->response_topic) : NULL;
	x->correlation = m->correlation_len ? xstrndup(m->correlation, m->correlation_len) : NULL;
	x->correlation_len = m->correlation_len;
	x->at_ms = c->now.mono_ms;
	x->unowned = !h->owned && (h->vacant_ms || h->lease == LEASE_CLAIMED || !lease_owner(c, h));
	if (x->unowned)
		c->urgent = true;
	if (c->seen_tail)
		c->seen_tail->next = x;
	else
		c->seen = x;
	c->seen_tail = x;
	c->nseen++;
	c->seen_bytes += (int64_t)len;
	while (c->nseen > SEEN_MAX || (c->seen_bytes > SEEN_BYTES && c->nseen > 1)) {
		c->seen_dropped++;
		drop(c, &c->seen, NULL);
	}
	return x;
}

/* The oldest such copy is answered. */
void
seen_match(struct core *c, struct house *h, const char *sender, uint64_t hash)
{
	struct seen *before = NULL;

	for (struct seen **p = &c->seen; *p; before = *p, p = &(*p)->next)
		if ((*p)->hash == hash && (*p)->house == h && strcmp((*p)->sender, sender) == 0) {
			drop(c, p, before);
			return;
		}
}

static void
submit(struct core *c, const struct seen *x)
{
	struct mqtt_msg m = { .response_topic = x->reply, .correlation = x->correlation,
		.correlation_len = x->correlation_len };

	intake_line(c, x->house, x->sender, x->line, x->len, 0, &m, 0);
}

void
seen_take(struct core *c, struct house *h)
{
	struct seen *before = NULL, **p = &c->seen;

	while (*p) {
		if ((*p)->house != h || IS_MUTANT(MUTANT_SEEN_FORGOTTEN)) {
			before = *p;
			p = &(*p)->next;
			continue;
		}
		submit(c, *p);
		drop(c, p, before);
	}
}

/* Is it certain that the owner's rows, which we have now, would show it? */
static bool
is_settled(struct core *c, const struct seen *x)
{
	cJSON *o = cJSON_ParseWithLength(x->line, x->len);
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "id"));
	struct ulid id;
	bool settled = !text || !ulid_parse(text, &id) || task_by_id(c, x->house, &id);

	cJSON_Delete(o);
	return settled;
}

/* What came while we were not in step may have been answered without our hearing it. With an id the rows tell; one
 * without might be run again and again, so it is left to the owner. */
void
seen_make_stale(struct core *c, const struct house *h)
{
	struct seen *before = NULL, **p = &c->seen;

	while (*p) {
		if ((*p)->house == h && !(*p)->unowned && is_settled(c, *p)) {
			drop(c, p, before);
			continue;
		}
		before = *p;
		p = &(*p)->next;
	}
}

/* 0 for the first of those in step. */
static int
our_rank(const struct core *c, const struct house *h)
{
	const cJSON *v;
	int n = 0;

	cJSON_ArrayForEach(v, h->step_list) {
		if (cJSON_IsString(v) && strcmp(v->valuestring, c->o.agent) == 0)
			return n;
		n++;
	}
	return n;
}

static void
send_on(struct core *c, struct seen *x)
{
	struct buf *b = work_line(c, x->house->term.agent, x->house, "seen");

	json_kv_str(b, "sender", x->sender);
	json_put_key(b, "line");
	json_put_strn(b, x->line, x->len);
	if (x->reply)
		json_kv_str(b, "reply", x->reply);
	if (x->correlation_len)
		stream_put_hex(b, "correlation", x->correlation, x->correlation_len);
	out_end_line(b);
	x->sent_ms = c->now.mono_ms;
	x->tries++;
}

static bool
is_due(const struct core *c, const struct seen *x)
{
	int64_t wait = (int64_t)SEND_MS * (1 + our_rank(c, x->house));

	return x->house->in_step_ms && c->now.mono_ms - x->at_ms > wait &&
	    (!x->sent_ms || c->now.mono_ms - x->sent_ms > SEND_MS);
}

bool
seen_is_old(const struct core *c, const struct seen *x)
{
	return x->unowned || c->now.mono_ms - x->at_ms > STORE_MS;
}

void
seen_tick(struct core *c)
{
	struct seen *before = NULL, **p = &c->seen;

	if (c->seen && !c->seen->stored && seen_is_old(c, c->seen))
		c->lazy = true;
	while (*p) {
		struct seen *x = *p;

		if (is_due(c, x) && x->tries == TRIES_MAX) {
			c->seen_dropped++;
			drop(c, p, before);
			continue;
		}
		if (is_due(c, x))
			send_on(c, x);
		before = x;
		p = &x->next;
	}
}

void
seen_release(struct core *c)
{
	while (c->seen)
		drop(c, &c->seen, NULL);
	free(c->seen_done);
}
