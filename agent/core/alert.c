/*
 * alert.c - what people should look at: shared/alert.h has the rules, here are the values.
 *
 * Each agent speaks for itself and for the houses that it owns. For what has nobody to speak, one does: of a house
 * without owner the first candidate that lives; of other agents that are gone, and of houses none of whose candidates
 * lives, the owner of the house "_". Who ceases to be the one takes back what he raised, at once.
 *
 * What is raised is said again each minute and expires with the broker after three: an agent that dies leaves no alert
 * behind for ever. Nothing is on disk: whoever begins anew looks anew.
 */
#include <string.h>

#include "json.h"
#include "log.h"
#include "state.h"

#define LOOK_EVERY_MS 1000
#define SAY_EVERY_MS 60000
#define EXPIRY_S 180
#define ALIVE_MS 5000
#define RECENT_KEEP 0.9977              /* each second: half of it is of the last five minutes */
#define RECENT_LEAST 10.0               /* fewer say nothing */
#define DAY_MS INT64_C(86400000)

void
alert_link_up(struct core *c)
{
	for (int i = 0; i < c->nalerts; i++)
		c->alerts[i].said_ms = 0;
}

/* ---- saying it ---- */

static void
alert_topic(const struct core *c, const struct alert *a, char out[TOPIC_MAX])
{
	char id[64];

	snprintf(id, sizeof id, "%s%s%s", alert_rules[a->kind].name, a->subject[0] ? "." : "", a->subject);
	topic_format(out, c->o.config->cluster, TOPIC_ALERT, c->o.agent, id);
}

static void
say(struct core *c, struct alert *a, const struct alert_rule *r)
{
	char topic[TOPIC_MAX];
	struct buf *b;

	a->said_ms = c->now.mono_ms;
	a->said_raised = a->state.raised;
	alert_topic(c, a, topic);
	out_forget(c, topic);
	b = out_now(c, topic, 1, true, EXPIRY_S);
	json_put_open(b, '{');
	json_kv_str(b, "alert", r->name);
	if (a->subject[0])
		json_kv_str(b, "about", a->subject);
	json_kv_str(b, "agent", c->o.agent);
	json_kv_str(b, "state", a->state.raised ? "raised" : "cleared");
	json_kv_str(b, "severity", r->severity);
	json_kv_int(b, "value", a->value);
	json_kv_int(b, "limit", r->limit);
	json_kv_str(b, "unit", r->unit);
	json_kv_time(b, "since", a->raised_ms);
	json_kv_str(b, "time", c->stamp);
	json_kv_time(b, "until", c->now.wall_ms + 1000 * EXPIRY_S);
	json_kv_str(b, "text", r->what);
	json_put_close(b, '}');
	buf_addc(b, '\n');
}

static void
say_if_due(struct core *c, struct alert *a, const struct alert_rule *r)
{
	bool again = a->state.raised && (!a->said_ms || c->now.mono_ms - a->said_ms >= SAY_EVERY_MS);

	if (c->up && (again || a->state.raised != a->said_raised))
		say(c, a, r);
}

/* ---- judging it ---- */

static struct alert *
find(struct core *c, enum alert_kind kind, const char *subject)
{
	for (int i = 0; i < c->nalerts; i++)
		if (c->alerts[i].kind == kind && strcmp(c->alerts[i].subject, subject) == 0)
			return &c->alerts[i];
	return NULL;
}

static struct alert *
add(struct core *c, enum alert_kind kind, const char *subject)
{
	struct alert *a;

	if (c->nalerts == ALERTS_MAX) {
		if (!c->alerts_full)
			log_warnx("alerts: more than %d at once, the others are not raised", ALERTS_MAX);
		c->alerts_full = true;
		return NULL;
	}
	if (!c->alerts)
		c->alerts = xcalloc(ALERTS_MAX, sizeof *c->alerts);
	a = &c->alerts[c->nalerts++];
	*a = (struct alert){ .kind = kind };
	snprintf(a->subject, sizeof a->subject, "%.32s", subject);
	return a;
}

static void
judge(struct core *c, enum alert_kind kind, const char *subject, int64_t value)
{
	struct alert *a = find(c, kind, subject);
	struct alert_rule r;
	int turned;

	if (!config_alert(c->o.config, kind, &r) || (!a && !alert_is_beyond(&r, value)) || (!a && !(a = add(c, kind, subject))))
		return;
	a->looked_at = true;
	a->value = value;
	turned = alert_judge(&a->state, &r, value, c->now.mono_ms);
	if (turned > 0)
		a->raised_ms = c->now.wall_ms;
	if (turned)
		log_warnx("alert %s%s%s: %s, %lld %s", r.name, subject[0] ? " " : "", subject, turned > 0 ? "raised" : "cleared",
		    (long long)value, r.unit);
	say_if_due(c, a, &r);
}

/* ---- who speaks ---- */

/* An agent that we would hear if it lived. */
static bool
lives(const struct core *c, const char *agent)
{
	const struct peer *p = peer_find((struct core *)c, agent);

	return strcmp(agent, c->o.agent) == 0 || (p && peer_is_alive(c, p, ALIVE_MS));
}

static const char *
first_alive(const struct core *c, const struct config_names *names)
{
	for (size_t i = 0; names && i < names->n; i++)
		if (lives(c, names->v[i]))
			return names->v[i];
	return NULL;
}

/* Connected for long enough to have heard whoever lives. */
static bool
hears(const struct core *c)
{
	return c->up && c->greeted && c->now.mono_ms - c->up_mono_ms > ALIVE_MS;
}

static bool
speaks_for_all(const struct core *c)
{
	const struct house *h = house_find((struct core *)c, "_");
	const char *first = first_alive(c, &c->o.config->router);

	if (!h || !hears(c))
		return false;
	if (h->owned || IS_MUTANT(MUTANT_ALERT_ALL))
		return true;
	return h->place >= 0 && h->vacant_ms && first && strcmp(first, c->o.agent) == 0;
}

/* ---- values ---- */

static void
look_at_ourselves(struct core *c)
{
	int64_t skew = 0, lag;

	if (c->measured.disk_free_bytes >= 0 || c->disk_low)
		judge(c, ALERT_DISK_LOW, c->o.agent, c->measured.disk_free_bytes >= 0 ? c->measured.disk_free_bytes >> 20 : 0);
	if (c->measured.cert_until_ms)
		judge(c, ALERT_CERT_EXPIRING, c->o.agent, (c->measured.cert_until_ms - c->now.wall_ms) / DAY_MS);
	/* One other alone may be the one that is wrong. */
	if (core_clock_skew(c, &skew) >= 2)
		judge(c, ALERT_CLOCK_SKEW, c->o.agent, skew < 0 ? -skew : skew);
	judge(c, ALERT_BUFFER_FILLING, c->o.agent, c->box_total_bytes * 100 / c->o.config->max_outbox_bytes);
	if (c->measured.shares) {
		judge(c, ALERT_SYNC_FAULT, c->o.agent, c->measured.sync_faults);
		judge(c, ALERT_SYNC_BEHIND, c->o.agent, c->measured.sync_behind_s);
	}

	/* The oldest that waits, and since when: what was last then is still not with the broker. */
	if (c->mark_ms && (!c->box || c->box->seq > c->mark_seq))
		c->mark_ms = 0;
	if (!c->mark_ms && c->box) {
		c->mark_seq = c->box_last;
		c->mark_ms = c->now.mono_ms;
	}
	lag = c->mark_ms ? (c->now.mono_ms - c->mark_ms) / 1000 : 0;
	judge(c, ALERT_TELEMETRY_LAG, c->o.agent, lag);
}

/* In percent, of what ended lately. */
static int64_t
failed_lately(struct house *h)
{
	int64_t failed = h->done[TASK_FAILED] + h->done[TASK_DEAD], all = failed + h->done[TASK_SUCCEEDED];

	h->recent = h->recent * RECENT_KEEP + (double)(all - h->counted_done);
	h->recent_failed = h->recent_failed * RECENT_KEEP + (double)(failed - h->counted_failed);
	h->counted_done = all;
	h->counted_failed = failed;
	return h->recent < RECENT_LEAST ? 0 : (int64_t)(100 * h->recent_failed / h->recent);
}

static int64_t
oldest_request_s(const struct core *c, const struct house *h)
{
	int64_t oldest = c->now.mono_ms;

	for (const struct request *r = c->requests; r; r = r->next)
		if (r->house == h && r->at_ms < oldest)
			oldest = r->at_ms;
	return (c->now.mono_ms - oldest) / 1000;
}

static void
look_at_house(struct core *c, struct house *h)
{
	judge(c, ALERT_QUEUE_AGE, h->name, lane_oldest_s(c, h, 0));
	judge(c, ALERT_FAILURE_RATE, h->name, failed_lately(h));
	judge(c, ALERT_BREAKER_OPEN, h->name, breaker_count_open(h));
	judge(c, ALERT_APPROVALS, h->name, oldest_request_s(c, h));
	if (h->doubt_ms || find(c, ALERT_UNCLEAN_TAKEOVER, h->name))
		judge(c, ALERT_UNCLEAN_TAKEOVER, h->name, h->doubt_ms != 0);
}

static int64_t
silent_s(const struct core *c, const struct peer *p)
{
	int64_t from = p->heard_ms > c->started_mono_ms ? p->heard_ms : c->started_mono_ms;

	if (peer_is_alive(c, p, ALIVE_MS))
		return 0;
	from = (c->now.mono_ms - from) / 1000;
	/* Its will came: no need to wait for its silence. */
	return p->offline && from <= alert_rules[ALERT_AGENT_GONE].limit ? alert_rules[ALERT_AGENT_GONE].limit + 1 : from;
}

static void
look_at_others(struct core *c)
{
	const struct config *f = c->o.config;

	for (int i = 0; i < c->npeers; i++)
		judge(c, ALERT_AGENT_GONE, c->peers[i].name, silent_s(c, &c->peers[i]));
	for (size_t i = 0; i < f->nhouses; i++) {
		const struct house *h = house_find(c, f->houses[i].name);

		if (!first_alive(c, &f->houses[i].candidates) && !(h && h->owned))
			judge(c, ALERT_HOUSE_VACANT, f->houses[i].name, (c->now.mono_ms - c->up_mono_ms) / 1000);
	}
}

static void
look_at_vacancy(struct core *c, const struct house *h)
{
	const struct config_names *names = config_candidates(c->o.config, h->name);
	const char *first = first_alive(c, names);

	if (h->place >= 0 && hears(c) && first && strcmp(first, c->o.agent) == 0)
		judge(c, ALERT_HOUSE_VACANT, h->name, h->vacant_ms && !h->owned ? (c->now.mono_ms - h->vacant_ms) / 1000 : 0);
}

/* While we hear nobody, what we said of others stands; but not beside somebody whose word it is now. */
static bool
stands(struct core *c, enum alert_kind kind)
{
	const struct house *h = house_find(c, "_");
	const struct peer *owner = h ? lease_owner(c, h) : NULL;

	if (kind != ALERT_AGENT_GONE && kind != ALERT_HOUSE_VACANT)
		return false;
	return !hears(c) && !(c->up && owner && peer_is_alive(c, owner, ALIVE_MS));
}

/* What is not ours to say any more, and what is over. */
static void
sweep(struct core *c)
{
	int kept = 0;

	for (int i = 0; i < c->nalerts; i++) {
		struct alert *a = &c->alerts[i];

		if (!a->looked_at && !stands(c, a->kind)) {
			a->state = (struct alert_state){ 0 };
			say_if_due(c, a, &alert_rules[a->kind]);
		}
		a->looked_at = false;
		if (a->state.raised || a->state.since_ms || a->said_raised)
			c->alerts[kept++] = *a;
	}
	c->nalerts = kept;
	c->alerts_full = c->alerts_full && kept == ALERTS_MAX;
}

/* Once a second. */
void
alert_tick(struct core *c)
{
	if (c->alerts_ms && c->now.mono_ms - c->alerts_ms < LOOK_EVERY_MS)
		return;
	c->alerts_ms = c->now.mono_ms;
	look_at_ourselves(c);
	for (int i = 0; i < c->nhouses; i++) {
		struct house *h = &c->houses[i];

		if (h->local)
			continue;
		if (h->owned)
			look_at_house(c, h);
		look_at_vacancy(c, h);
	}
	if (speaks_for_all(c))
		look_at_others(c);
	sweep(c);
}
