/*
 * peer.c - what we know of the other agents: who is alive, what it holds and has.
 */
#include <string.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "state.h"

#define NOT_UNDERSTOOD_MS 5000  /* unheard for so long: gone */
#define LOST_SAID_MS 30000      /* for so long we say when we lost the broker before */

static void
add_peer(struct core *c, const char *name)
{
	struct peer *p;

	if (strcmp(name, c->o.agent) == 0 || peer_find(c, name))
		return;
	p = &c->peers[c->npeers++];
	snprintf(p->name, sizeof p->name, "%.32s", name);
	p->better_s = -1;
}

int
peer_init(struct core *c)
{
	static config_name voters[CONFIG_MAX_VOTERS];
	size_t n = config_voters(c->o.config, voters, sizeof voters / sizeof *voters);

	c->peers = xcalloc(n + 1, sizeof *c->peers);
	for (size_t i = 0; i < n; i++)
		add_peer(c, voters[i]);
	return 0;
}

struct peer *
peer_find(struct core *c, const char *name)
{
	for (int i = 0; i < c->npeers; i++)
		if (strcmp(c->peers[i].name, name) == 0)
			return &c->peers[i];
	return NULL;
}

struct copy *
house_copy(struct house *h, const struct peer *p)
{
	for (int i = 0; i < h->ncopies; i++)
		if (h->copies[i].peer == p)
			return &h->copies[i];
	return NULL;
}

bool
peer_is_alive(const struct core *c, const struct peer *p, int64_t ms)
{
	return !p->offline && p->heard_ms && c->now.mono_ms - p->heard_ms <= ms;
}

bool
peer_is_understood(const struct core *c, const struct peer *p)
{
	return !p->protocol || (p->protocol >= c->o.protocol - 1 && p->protocol <= c->o.protocol + 1);
}

/* Heartbeats and claims say it; those of the first version do not. */
void
peer_speaks(const struct core *c, struct peer *p, const cJSON *o)
{
	int protocol = (int)json_number(o, "protocol", 1);

	if (protocol == p->protocol)
		return;
	p->protocol = protocol;
	if (!peer_is_understood(c, p))
		log_warnx("agent %s speaks protocol %d, this one %d: they do not understand each other; bring the older one to a "
		    "version in between or to the same", p->name, p->protocol, c->o.protocol);
}

static bool
names_us(const struct core *c, const cJSON *list)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		if (cJSON_IsString(v) && strcmp(v->valuestring, c->o.agent) == 0)
			return true;
	return false;
}

/* The owner's heartbeat says who of us is in step with it. */
static void
hear_owner(struct core *c, struct house *h, const struct peer *p, const cJSON *part)
{
	bool in_step = h->live && h->stored_head >= json_number(part, "told", 0) &&
	    names_us(c, cJSON_GetObjectItemCaseSensitive(part, "in_step"));

	if (h->owned || strcmp(h->term.agent, p->name) != 0)
		return;
	/* Our numbers are the same as his only if we follow him. */
	if (h->live)
		h->heard_told = json_number(part, "told", 0);
	h->owner_head = json_number(part, "head", 0);
	if (in_step && !h->in_step_ms)
		h->in_step_ms = c->now.mono_ms;
	if (!in_step)
		h->in_step_ms = 0;
	h->was_in_step = in_step;
	cJSON_Delete(h->step_list);
	h->step_list = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(part, "in_step"), true);
}

static void
hear_house(struct core *c, struct peer *p, const cJSON *part)
{
	struct house *h = house_find(c, json_text(part, "house"));
	struct copy *k = h ? house_copy(h, p) : NULL;
	struct term t;

	if (!k || !term_parse(json_text(part, "term"), &t))
		return;
	lease_heard(c, h, &t);
	k->lacks = *json_text(part, "lacks");
	if (term_equal(&t, &h->term) && strcmp(t.agent, p->name) == 0 && strcmp(json_text(part, "role"), "follower") == 0)
		h->abandoned = true;
	if (!peer_is_understood(c, p))
		return;
	if (strcmp(json_text(part, "role"), "owner") == 0) {
		k->log = t;
		k->have = json_number(part, "head", 0);
		if (term_equal(&t, &h->term))
			hear_owner(c, h, p, part);
		return;
	}
	/* Older than what it has told us otherwise since: QoS 0 overtakes. */
	if (p->beat <= p->have_beat && term_equal(&k->term, &t))
		return;
	k->term = t;
	if (json_number(part, "head", 0) > k->have || !json_is_true(part, "live"))
		k->have = json_number(part, "head", 0);
	k->live = json_is_true(part, "live");
	term_parse(json_text(part, "log"), &k->log);
}

static void
is_alive(struct core *c, struct peer *p, const cJSON *o)
{
	const char *boot = json_text(o, "boot");
	const cJSON *part;

	if (p->boot[0] && strcmp(p->boot, boot) != 0) {
		work_peer_lost(c, p);
		p->have_beat = 0;
	}
	snprintf(p->boot, sizeof p->boot, "%.26s", boot);
	p->offline = false;
	peer_speaks(c, p, o);
	p->heard_ms = p->beat_ms = c->now.mono_ms;
	p->beat = json_number(o, "seq", 0);
	p->skew_ms = clock_parse(json_text(o, "time"), &p->skew_ms, NULL) ? 0 : p->skew_ms - c->now.wall_ms;
	p->lost_ms = json_number(o, "lost_ms", 0) > 0 ? c->now.mono_ms - json_number(o, "lost_ms", 0) : 0;
	p->broker = (int)json_number(o, "broker", 0);
	p->slots = peer_is_understood(c, p) ? (unsigned)json_number(o, "slots", 0) : 0;
	p->better_s = json_number(o, "better_s", -1);
	p->stopping = strcmp(json_text(o, "state"), "stopping") == 0;
	signed_heard(c, p, o);
	audit_heard(c, p, o);
	cJSON_ArrayForEach(part, cJSON_GetObjectItemCaseSensitive(o, "houses"))
		hear_house(c, p, part);
}

/* A retained message may be of yesterday: it can show that somebody has left, never that he lives. */
static void
hear_peer(struct core *c, struct peer *p, const struct mqtt_msg *m, const cJSON *o)
{
	bool offline = strcmp(json_text(o, "state"), "offline") == 0;

	if (m->retained && !offline && !IS_MUTANT(MUTANT_STALE_HEALTH))
		return;
	if (!offline) {
		is_alive(c, p, o);
		return;
	}
	/* Of a former life: it is back already. */
	if (p->boot[0] && p->heard_ms && strcmp(p->boot, json_text(o, "boot")) != 0)
		return;
	if (p->heard_ms && !p->offline)
		work_peer_lost(c, p);
	p->offline = true;
}

void
peer_health(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	struct peer *p = peer_find(c, t->name);
	/* Of our own, which all come back, only the will of a former connection says anything. */
	bool ours = strcmp(t->name, c->o.agent) == 0 && strstr(m->payload, "\"offline\"");
	cJSON *o = p || ours ? json_parse_object(m->payload, m->len, NULL) : NULL;

	if (o && p)
		hear_peer(c, p, m, o);
	else if (o && strcmp(json_text(o, "state"), "offline") == 0)
		c->unsaid = true;
	cJSON_Delete(o);
}

void
peer_have(struct core *c, const struct topic *t, const struct mqtt_msg *m)
{
	struct peer *p = peer_find(c, t->name);
	struct house *h = house_find(c, t->id);
	struct copy *k = p && h && peer_is_understood(c, p) ? house_copy(h, p) : NULL;
	cJSON *o = k ? json_parse_object(m->payload, m->len, NULL) : NULL;
	struct term term;

	if (o && !m->retained && term_parse(json_text(o, "term"), &term) && term_equal(&term, &h->term)) {
		k->term = term;
		k->live = true;
		k->have = json_number(o, "have", 0);
		p->have_beat = json_number(o, "beat", 0);
		p->heard_ms = c->now.mono_ms;
		p->offline = false;
	}
	cJSON_Delete(o);
}

/* ---- what the others hear of us ---- */

static void
put_in_step(struct buf *b, const struct core *c, const struct house *h)
{
	int64_t behind = 0;

	json_put_key(b, "in_step");
	json_put_open(b, '[');
	for (int i = 0; i < h->ncopies; i++)
		if (h->copies[i].in_step) {
			json_put_str(b, h->copies[i].peer->name);
			if (h->stored_head - h->copies[i].have > behind)
				behind = h->stored_head - h->copies[i].have;
		}
	json_put_close(b, ']');
	json_kv_int(b, "told", h->told);
	json_kv_int(b, "lag", behind);
	json_kv_int(b, "held_bytes", (int64_t)h->held_bytes);
	json_kv_bool(b, "pinned", h->pinned);
	(void)c;
}

static void
put_owned(struct buf *b, const struct core *c, const struct house *h)
{
	if (lease_is_shared(h))
		put_in_step(b, c, h);
	json_kv_int(b, "queued", h->queued);
	json_kv_int(b, "running", h->running);
	json_kv_int(b, "open", h->open);
	breaker_put_health(b, h);
	if (h->drilled_ms) {
		json_put_key(b, "drill");
		json_put_open(b, '{');
		json_kv_time(b, "at", h->drilled_ms);
		json_kv_int(b, "recovery_ms", h->drill_ms);
		json_put_close(b, '}');
	}
	for (int s = 0; s < TASK_NSTATES; s++)
		if (h->done[s] && task_state_is_terminal((enum task_state)s))
			json_kv_int(b, task_state_name((enum task_state)s), h->done[s]);
}

static void
put_house(struct buf *b, const struct core *c, const struct house *h)
{
	json_put_open(b, '{');
	json_kv_str(b, "house", h->name);
	json_kv_str(b, "role", h->owned ? "owner" : h->lease == LEASE_CLAIMED ? "claiming" : "follower");
	term_put(b, "term", &h->term);
	json_kv_int(b, "head", h->stored_head);
	if (h->lacks[0])
		json_kv_str(b, "lacks", h->lacks);
	if (h->since_ms)
		json_kv_time(b, "since", h->since_ms);
	if (h->owned) {
		put_owned(b, c, h);
	} else {
		term_put(b, "log", &h->stored_log);
		json_kv_bool(b, "live", h->live);
	}
	json_put_close(b, '}');
}

static void
put_not_understood(struct buf *b, const struct core *c)
{
	bool any = false;

	for (int i = 0; i < c->npeers; i++) {
		if (peer_is_understood(c, &c->peers[i]) || !peer_is_alive(c, &c->peers[i], NOT_UNDERSTOOD_MS))
			continue;
		if (!any) {
			json_put_key(b, "not_understood");
			json_put_open(b, '[');
		}
		json_put_str(b, c->peers[i].name);
		any = true;
	}
	if (any)
		json_put_close(b, ']');
}

void
peer_put_health(struct core *c, struct buf *b)
{
	json_kv_int(b, "protocol", c->o.protocol);
	put_not_understood(b, c);
	json_kv_int(b, "broker", c->broker);
	json_kv_int(b, "better_s", brokers_better_s(c));
	if (c->former_pulse_ms && c->up && c->now.mono_ms - c->up_mono_ms < LOST_SAID_MS)
		json_kv_int(b, "lost_ms", c->now.mono_ms - c->former_pulse_ms);
	json_kv_int(b, "slots", c->slots);
	json_put_key(b, "houses");
	json_put_open(b, '[');
	for (int i = 0; i < c->nhouses; i++)
		if (!c->houses[i].local && (c->houses[i].owned || c->houses[i].place >= 0))
			put_house(b, c, &c->houses[i]);
	json_put_close(b, ']');
	json_kv_int(b, "handed_on", c->houses[0].open);
	json_kv_int(b, "seen", c->nseen);
	json_kv_int(b, "seen_dropped", c->seen_dropped);
	json_kv_int(b, "reports", c->nreports);
}
