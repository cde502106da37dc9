/*
 * inbound.c - messages whose tasks carry no id are told from their redeliveries by packet id.
 *
 * A broker numbers what it sends on one session one after the other, and after a resume sends again, in the
 * old order and with the old numbers, what was not acknowledged. So a message is a repeat if the session was
 * resumed, nothing new has come yet, its number is not after the latest that was committed, and its
 * content is what was committed under that number. Numbers wrap at 65,535: "after" is meant in the
 * circle, which leaves 32,767 messages in flight.
 *
 * A broker that was restarted from an older state has gone back in its numbers, so that new messages come under
 * old ones. Other content under a number, or our own pulse of this connection, ends the search for repeats.
 */
#include <string.h>

#include "state.h"

/* FNV-1a over topic and payload: against accidents, not against an enemy, who would only drop his own. */
static uint64_t
hash_message(const struct mqtt_msg *m)
{
	uint64_t h = 1469598103934665603u;
	const unsigned char *p = m->payload;

	for (const char *s = m->topic; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	for (size_t i = 0; i < m->len; i++)
		h = (h ^ p[i]) * 1099511628211u;
	return h;
}

static bool
is_after(int mid, int last)
{
	int ahead = (mid - last + UINT16_MAX) % UINT16_MAX;

	return last == 0 || (ahead > 0 && ahead <= UINT16_MAX / 2);
}

bool
inbound_is_repeat(struct core *c, const struct mqtt_msg *m)
{
	if (!c->resumed || !m->mid || IS_MUTANT(MUTANT_NO_REDELIVERY))
		return false;
	if (is_after(m->mid, c->inbound_last)) {
		c->resumed = false;
		return false;
	}
	c->resumed = c->inbound[m->mid] == hash_message(m);
	return c->resumed;
}

/* Every new QoS 1 message moves the number on; those with tasks leave their hash. One that was delivered again
 * must not move it back. */
void
inbound_note(struct core *c, const struct mqtt_msg *m, bool has_tasks)
{
	if (!m->mid || (c->resumed && !is_after(m->mid, c->inbound_last)))
		return;
	c->resumed = false;
	c->inbound_last = m->mid;
	if ((m->mid - c->inbound_stored + UINT16_MAX) % UINT16_MAX > UINT16_MAX / 8)
		c->lazy = true;
	if (!has_tasks)
		return;
	c->inbound[m->mid] = hash_message(m);
	if (c->ninbound == c->inbound_cap) {
		c->inbound_cap = c->inbound_cap ? 2 * c->inbound_cap : 64;
		c->inbound_new = xrealloc(c->inbound_new, c->inbound_cap * sizeof *c->inbound_new);
	}
	c->inbound_new[c->ninbound++] = m->mid;
}

/* The broker forgot the session: its numbers begin anew. */
void
inbound_forget(struct core *c)
{
	/* New memory is zero and, untouched, costs nothing; half a megabyte set to zero would. */
	free(c->inbound);
	c->inbound = xcalloc(UINT16_MAX + 1, sizeof *c->inbound);
	c->inbound_last = 0;
	c->ninbound = 0;
	c->inbound_cleared = true;
	c->lazy = true;
}
