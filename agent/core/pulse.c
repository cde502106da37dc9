/*
 * pulse.c - heartbeats for others, and a pulse for ourselves: a message that goes to the broker and back. It
 * alone shows that we are heard and can hear. It is QoS 0, so that no backlog holds it up. With the first of a
 * connection goes a greeting in QoS 1, which comes back after all that the broker had to deliver.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "state.h"

#define RETAIN_EVERY 5                  /* beats */
#define GREET_EVERY 5                   /* while the first has not come back */
#define HEALTH_EXPIRY_S 20
#define BREAK_MS 4000
#define SILENCE_MS 6000                 /* no pulse of our own: the connection is dead */

/* One that tells from all before it when all before it has come. */
static void
new_greeting(struct core *c)
{
	snprintf(c->echo_text, sizeof c->echo_text, "%s.%u", c->boot, ++c->greetings);
	c->greeted = false;
	c->greet = true;
}

void
pulse_link_up(struct core *c)
{
	c->former_beat = (int64_t)c->health_seq;
	new_greeting(c);
	c->broke = false;
	c->up_mono_ms = c->now.mono_ms;
	c->subscribed = false;
	c->unsaid = true;
}

static void
send_pulse(struct core *c)
{
	if (!c->greeted && (c->greet || c->beats % GREET_EVERY == 0))
		buf_addf(out_now(c, c->echo_topic, 1, false, 0), "%s\n", c->echo_text);
	c->subscribed = true;
	c->greet = false;
	c->pulse_made_ms[++c->pulses % PULSES] = c->now.mono_ms;
	buf_addf(out_now(c, c->echo_topic, 0, false, 0), "%s.%lld\n", c->echo_text, (long long)c->pulses);
}

static void
send_health(struct core *c, const char *pool)
{
	bool retain = c->unsaid || c->beats % RETAIN_EVERY == 0;
	struct buf *b = out_now(c, c->health_topic, retain, retain, retain ? HEALTH_EXPIRY_S : 0);

	core_health(c, c->draining ? "stopping" : "online", pool, b);
	buf_addc(b, '\n');
	c->beat_made_ms[c->health_seq % PULSES] = c->now.mono_ms;
	c->unsaid = false;
	c->beats++;
}

void
core_beat(struct core *c, const char *pool)
{
	if (!c->up)
		return;
	send_health(c, pool);
	send_pulse(c);
}

static int64_t
last_pulse(const struct core *c)
{
	return c->pulse_ms > c->up_mono_ms ? c->pulse_ms : c->up_mono_ms;
}

static void
nowhere_in_step(struct core *c)
{
	for (int i = 0; i < c->nhouses; i++)
		c->houses[i].in_step_ms = 0;
}

/* We heard nothing for long, or were frozen: what comes now is old, until a greeting sent now has come back. */
static void
came_back(struct core *c, int64_t made_ms)
{
	if (c->greeted && c->now.mono_ms - last_pulse(c) > BREAK_MS) {
		log_info("our pulse was away for %lld ms", (long long)(c->now.mono_ms - last_pulse(c)));
		nowhere_in_step(c);
		new_greeting(c);
		c->broke = true;
	}
	c->pulse_ms = made_ms;
}

static void
all_has_come(struct core *c)
{
	c->greeted = true;
	if (c->broke)
		nowhere_in_step(c);
	c->broke = false;
}

bool
pulse_take(struct core *c, const struct mqtt_msg *m)
{
	size_t n = strlen(c->echo_text);
	char text[24] = "";
	int64_t pulse;

	if (m->len < n || memcmp(m->payload, c->echo_text, n) != 0)
		return false;
	if (m->len == n) {
		all_has_come(c);
		return true;
	}
	if (((const char *)m->payload)[n] != '.' || m->len - n >= sizeof text)
		return false;
	memcpy(text, (const char *)m->payload + n + 1, m->len - n - 1);
	pulse = strtoll(text, NULL, 10);
	if (pulse > c->pulses - PULSES && pulse <= c->pulses && c->pulse_made_ms[pulse % PULSES] > c->pulse_ms)
		came_back(c, c->pulse_made_ms[pulse % PULSES]);
	return false;
}

void
pulse_check(struct core *c)
{
	if (c->up && !c->reconnect && c->now.mono_ms - last_pulse(c) > SILENCE_MS)
		c->reconnect = "our own pulse did not come back for 6 s";
}
