/*
 * check.c - watches the whole history and says which promise was not kept:
 *
 *   1  what was accepted ends in one state, and is still known at the end, even if as many disks were lost as
 *      there were copies, less one;
 *   2  all who are told an outcome are told the same, and the rows of all who may own the house say it too;
 *   3  one owner a term, and none without a lease (owners.c);
 *   4  an exclusive tool is not started again, anywhere, after an attempt that may have had its effect;
 *   5  what begins is allowed (orders.c);
 *   6  a house is not long without an owner (owners.c);
 *   7  events are numbered without a gap, a number never means two things (stream.c);
 *   8  queues stay within their bounds, and counters say what the rows say (inside.c).
 *
 * Events and replies are looked at when they reach a broker, for it may forget them afterwards.
 */
#include "check.h"

#include <stdarg.h>

#include "buf.h"
#include "json.h"

#define LATE_REPLY_US (90 * SECOND)
#define CLOCK_BORNE_MS 30000
#define LATE_STOP_US (10 * SECOND)      /* for the word to get to who runs it */
#define LATE_START_US (60 * SECOND)

uint64_t
check_hash(const char *p, size_t len)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * 1099511628211u;
	return h ? h : 1;
}

uint64_t
check_hash_json(const cJSON *v)
{
	char *text = v ? cJSON_PrintUnformatted(v) : NULL;
	uint64_t h = text ? check_hash(text, strlen(text)) : 0;

	cJSON_free(text);
	return h;
}

const char *
check_text(const cJSON *o, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return s ? s : "";
}

int
check_host(const struct check *k, const char *name)
{
	for (int i = 0; i < k->sim->nhosts; i++)
		if (strcmp(host_name(k->sim->hosts[i]), name) == 0)
			return i;
	return -1;
}

unsigned
check_bit(const struct check *k, const char *name)
{
	int i = check_host(k, name);

	return i < 0 ? 0 : 1u << i;
}

/* In order. */
const struct config_names *
check_candidates(const struct check *k, const char *house)
{
	static const struct config_names none;
	const struct config_house *h = config_house_find(&k->sim->config, house);

	return strcmp(house, "_") == 0 ? &k->sim->config.router : h ? &h->candidates : &none;
}

unsigned
check_candidate_bits(const struct check *k, const char *house)
{
	const struct config_names *names = check_candidates(k, house);
	unsigned bits = 0;

	for (size_t i = 0; i < names->n; i++)
		bits |= check_bit(k, names->v[i]);
	return bits;
}

struct record *
check_record(struct check *k, const char *id)
{
	struct record **p = &k->records[check_hash(id, strlen(id)) % BUCKETS], *r;

	for (r = *p; r; r = r->next)
		if (strcmp(r->id, id) == 0)
			return r;
	r = xcalloc(1, sizeof *r);
	snprintf(r->id, sizeof r->id, "%s", id);
	r->next = *p;
	*p = r;
	return r;
}

/* ---- attempts ---- */

/* The house of the task, or the router's if that handed it on, was taken over by somebody who had not heard all that
 * was said of it. */
bool
check_missed(const struct check *k, const struct record *r)
{
	bool missed = r->overflow;

	for (int i = 0; i < r->nsaid && !missed; i++)
		missed = streams_missed(k->streams, r->said[i].in, r->said[i].seq);
	return missed;
}

/* Who took a house over uncleanly knows by the clock what its former owner may have run. */
static bool
clocks_misled(const struct check *k, const struct record *r)
{
	return k->sim->plan.clock_error_ms > CLOCK_BORNE_MS && check_missed(k, r);
}

/* An executor may be late to hear that it need not run any more: only what may not be repeated matters then. */
static bool
is_too_late(const struct check *k, const struct record *r, const struct tool *tool, const char *host)
{
	bool once = tool->effect == TOOL_EXCLUSIVE && !clocks_misled(k, r);
	int at = check_host(k, host);

	if (!r->state[0] && !r->cancelled)
		return false;
	/* It has forgotten all, and its own user asks again. */
	if (!once && k->lost_us[at] > r->ended_us)
		return false;
	/* It was uncertain because of what that host was about to do. */
	if (r->doubted && host_overslept(k->sim->hosts[at], r->ended_us))
		return false;
	return once || (!check_missed(k, r) &&
	    (strcmp(r->state, "denied") == 0 || k->sim->now_us - r->ended_us > LATE_START_US));
}

/* Every owner of the house knows of it by then. */
static bool
is_stopping(const struct check *k, const struct record *r)
{
	return r->stopping && k->sim->now_us - r->stopping_us > LATE_STOP_US && !check_missed(k, r);
}

/* One more may have been given up before it ended so. */
static void
check_budgets(struct check *k, const struct record *r)
{
	if (check_missed(k, r))
		return;
	if (r->crashes - r->crashes_allowed > k->sim->config.max_crashes)
		sim_fail(k->sim, r->id, "began again after it had killed %d workers", r->crashes);
	if (r->tries && r->failures - r->failures_allowed > r->tries)
		sim_fail(k->sim, r->id, "began again after %d failures, of %d that were asked for", r->failures, r->tries);
	if (r->hopeless - r->hopeless_allowed > 1)
		sim_fail(k->sim, r->id, "began again after it had failed for good %d times", r->hopeless);
}

/* It began under somebody who took its house over uncleanly, on one broker, while others go on without him on another. */
static bool
began_beside(const struct check *k, const struct record *r)
{
	bool beside = false;

	for (int i = 0; i < r->nsaid && !beside; i++)
		beside = streams_beside(k->streams, r->said[i].in, r->said[i].seq);
	return beside;
}

/* What is approved and not exclusive may begin once more under an owner who does not know that it has. */
static bool
is_repeated(const struct check *k, const struct record *r, const struct tool *tool)
{
	if (!r->blocked)
		return false;
	if (tool->effect == TOOL_EXCLUSIVE)
		return !clocks_misled(k, r);
	return r->approved && !check_missed(k, r) && !began_beside(k, r);
}

void
check_follows(struct check *k, const char *id, const char *other)
{
	struct record *r = check_record(k, id);

	r->others[r->nothers++] = check_record(k, other);
}

static bool
may_be_missed(const struct check *k, const struct record *r)
{
	return r->exempt || r->key_lost || r->refused || check_missed(k, r);
}

bool
check_may_miss_others(struct check *k, const char *id)
{
	const struct record *r = check_record(k, id);

	for (int i = 0; i < r->nothers; i++)
		if (may_be_missed(k, r->others[i]))
			return true;
	return r->exempt;
}

/* One that was told as ended and then forgotten may come back with a former owner, as uncertain. */
static bool
was_told_ended(const struct record *r)
{
	return r->cancelled || r->state[0];
}

/* All that it waits for have ended, as far as its house knows, and none of them begins again. */
static void
check_order(struct check *k, struct record *r)
{
	if (r->followed && !may_be_missed(k, r))
		sim_fail(k->sim, r->id, "began after a task that waits for it");
	for (int i = 0; i < r->nothers; i++) {
		struct record *d = r->others[i];

		d->followed = true;
		if (!may_be_missed(k, d) && !was_told_ended(d) && inside_is_open(k, r->house, d->id))
			sim_fail(k->sim, r->id, "began before %s ended, for which it waits", d->id);
	}
}

void
check_begun(struct check *k, const char *id, const struct tool *tool, const char *host)
{
	struct record *r = check_record(k, id);

	r->runners |= check_bit(k, host);
	r->exclusive = tool->effect == TOOL_EXCLUSIVE;
	if (r->exempt)
		return;
	check_order(k, r);
	if (is_repeated(k, r, tool))
		sim_fail(k->sim, id, "%s %s began again after an attempt that may have had its effect",
		    tool->effect == TOOL_EXCLUSIVE ? "exclusive" : "approved", tool->name);
	if (is_stopping(k, r))
		sim_fail(k->sim, id, "began after its sender was told that it is being cancelled");
	check_budgets(k, r);
	if (is_too_late(k, r, tool, host))
		sim_fail(k->sim, id, "began after it was %s", r->cancelled ? "cancelled" : r->state);
	r->blocked = tool->effect == TOOL_EXCLUSIVE || r->approved;
	r->approved_once |= r->approved;
}

/* By the owner of the task's house. */
static bool
is_heard(struct check *k, const struct record *r, const struct host *at)
{
	const struct host *owner = check_owner(k, r->house);

	return owner == at || (owner && host_is_able(at) >= 0 && host_is_able(owner) == host_is_able(at) &&
	    !host_node((struct host *)(uintptr_t)at)->lag_us);
}

/* An end that its agent cannot tell in time is not counted: the attempt may be given up before. */
void
check_ended(struct check *k, const char *id, const struct pool_end *end, bool may_have_effect, struct host *at)
{
	struct record *r = check_record(k, id);
	enum pool_how how = end->how;
	bool heard = is_heard(k, r, at);

	if (!r->exempt && !check_missed(k, r))
		inside_given(k, r, at);
	r->blocked &= may_have_effect && !(r->approved && !r->exclusive && (how == POOL_FAILED || how == POOL_TIMEOUT));
	r->crashes += how == POOL_CRASHED && heard;
	r->failures += (how == POOL_FAILED || how == POOL_TIMEOUT) && heard;
	r->hopeless += how == POOL_FAILED && end->hopeless && heard;
}

static void
allow(int n, int *allowed)
{
	*allowed += n - *allowed > 2 ? 2 : n - *allowed;
}

static void
forgive_one(struct record *r)
{
	allow(r->crashes, &r->crashes_allowed);
	allow(r->failures, &r->failures_allowed);
	allow(r->hopeless, &r->hopeless_allowed);
}

/* What the agent had not yet counted is not held against it: an end that it did not commit, and one more of the
 * attempt that it began in the same turn. */
static void
forgive(struct check *k, unsigned bit)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = r->next)
			if ((r->hosts | r->runners) & bit)
				forgive_one(r);
}

void
check_new_term(struct check *k, const char *house)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = r->next)
			if (strcmp(r->house, house) == 0)
				forgive_one(r);
}

void
check_agent_died(struct check *k, const char *host, const struct core *c)
{
	int i = check_host(k, host);

	inside_died(k, i, c);
	orders_died(k->orders, i);
	k->turns[i] = 0;
	forgive(k, 1u << i);
}

/* As many copies as the sender was told of outlive one disk less. What was only handed on is where it was. */
static void
lose(struct check *k, struct record *r, unsigned bit)
{
	bool alone = r->house[0] && check_candidates(k, r->house)->n == 1;
	int64_t copies = r->copies ? r->copies : alone ? 1 : r->handed_copies;
	unsigned holders = r->hosts | (copies > 1 ? check_candidate_bits(k, r->house) : r->runners);

	/* One of the two may be who handed it on, the other the house's. */
	if (copies > 1 && !r->copies)
		holders |= check_candidate_bits(k, "_");
	if (holders & bit && ++r->losses >= copies)
		r->exempt = true;
	holders = r->hosts | (r->handed_copies > 1 ? check_candidate_bits(k, "_") : 0);
	if (r->handed_copies && holders & bit && ++r->handed_losses >= r->handed_copies) {
		r->key_lost = true;
		/* By its id it would go elsewhere. */
		r->exempt |= r->moved;
	}
}

void
check_disk_lost(struct check *k, const char *host)
{
	unsigned bit = check_bit(k, host);
	struct key *lost = xcalloc(1, sizeof *lost);
	int i = check_host(k, host);

	snprintf(lost->text, sizeof lost->text, "%s", k->store[i]);
	lost->next = k->lost;
	k->lost = lost;
	k->losses++;
	orders_disk_lost(k->orders, i);
	k->lost_us[i] = k->sim->now_us;
	k->unreliable |= bit;
	for (i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = r->next)
			lose(k, r, bit);
}

/* What is said of a disk that was lost meanwhile. */
static bool
is_lost(const struct check *k, const char *store)
{
	const struct key *x = k->lost;

	while (x && strcmp(x->text, store) != 0)
		x = x->next;
	return x != NULL;
}

/* At one of these hosts. */
static bool
is_recent(const struct check *k, const int64_t *at_us, unsigned hosts)
{
	for (int i = 0; i < k->sim->nhosts; i++)
		if (hosts >> i & 1 && at_us[i] && k->sim->now_us - at_us[i] < LATE_REPLY_US)
			return true;
	return false;
}

/* That host says it has it. If its disk was lost a moment ago, that was said before. */
static void
note_holder(struct check *k, struct record *r, unsigned bit)
{
	bool new = bit & ~r->hosts;

	r->hosts |= bit;
	if (new && is_recent(k, k->lost_us, bit))
		lose(k, r, bit);
}

bool
check_is_exempt(struct check *k, const char *id)
{
	return check_record(k, id)->exempt;
}

bool
check_was_missed(struct check *k, const char *id)
{
	return check_missed(k, check_record(k, id));
}

void
check_session_lost(struct check *k, const char *host)
{
	k->unreliable |= host ? check_bit(k, host) : ~0u;
}

/* ---- outcomes ---- */

static bool
is_final(const char *state)
{
	enum task_state s;

	return state[0] && task_state_parse(state, &s) == 0 && task_state_is_terminal(s);
}

/* Held against nobody if the house was taken over without all that its owner knew, which shows when that is
 * published. */
void
check_conflict(struct check *k, const char *id, const char *fmt, ...)
{
	struct record *r = check_record(k, id);
	va_list ap;

	if (r->conflict[0])
		return;
	va_start(ap, fmt);
	vsnprintf(r->conflict, sizeof r->conflict, fmt, ap);
	va_end(ap);
	sim_log(k->sim, "%s: %s", r->id, r->conflict);
}

void
check_one_key(struct check *k, const char *id, const char *other)
{
	struct record *r = check_record(k, id);

	if (!r->conflict[0])
		snprintf(r->other, sizeof r->other, "%s", other);
	check_record(k, other)->alias = true;
	check_conflict(k, id, "a key was accepted as %s, then as %s", id, other);
}

/* By the policy that a house's owner held when the task was handed to it; another owner may have held another by the
 * time a copy came to him. */
static bool
is_refusal(const char *state, const cJSON *what)
{
	return strcmp(state, "failed") == 0 && strcmp(check_text(what, "code"), "denied") == 0;
}

static void
note_outcome(struct check *k, struct record *r, const char *state, const cJSON *what, const char *who)
{
	uint64_t h = check_hash_json(what);

	r->refused |= is_refusal(state, what);
	r->doubted |= strcmp(state, "uncertain") == 0;
	if (r->exempt || r->refused || !is_final(state))
		return;
	/* Forgotten, and offered once more by one who had it: then it was uncertain, and cancelled for that. */
	if (r->state[0] && k->sim->plan.short_memory && strcmp(state, "cancelled") == 0)
		return;
	if (r->state[0] && (strcmp(r->state, state) != 0 || r->what != h))
		check_conflict(k, r->id, "two outcomes: %s, and to %s %s", r->state, who, state);
	if (r->cancelled && strcmp(state, "cancelled") != 0)
		check_conflict(k, r->id, "its sender was told that it is cancelled, but it is %s", state);
	if (r->state[0])
		return;
	r->ended_us = k->sim->now_us;
	snprintf(r->state, sizeof r->state, "%s", state);
	r->what = h;
}

void
check_outcome(struct check *k, const char *id, const char *state, const cJSON *what)
{
	note_outcome(k, check_record(k, id), state, what, "its sender");
}

void
check_accepted(struct check *k, const char *id, const char *house, const char *state, int64_t copies, const char *at)
{
	struct record *r = check_record(k, id);
	bool handed_on = strcmp(state, "forwarded") == 0;

	if (handed_on)
		r->handed_copies = copies;
	else
		r->copies = copies;
	if (at)
		note_holder(k, r, check_bit(k, at));
	if (!r->accepted_in)
		snprintf(r->house, sizeof r->house, "%s", house);
	r->told = true;
}

static void
note_stopping(const struct check *k, struct record *r)
{
	if (!r->stopping)
		r->stopping_us = k->sim->now_us;
	r->stopping = true;
}

/* Whoever owns the house from then on knows that it is being stopped. */
void
check_cancel_told(struct check *k, const char *id, bool cancelled)
{
	struct record *r = check_record(k, id);

	if (cancelled && !r->exempt && r->state[0] && !k->sim->plan.short_memory && strcmp(r->state, "cancelled") != 0)
		check_conflict(k, r->id, "told as cancelled after it was %s", r->state);
	if (cancelled && !r->cancelled)
		r->ended_us = k->sim->now_us;
	if (cancelled)
		r->cancelled = true;
	else
		note_stopping(k, r);
}

/* ---- what is published ---- */

int64_t
check_dropped(const struct check *k, int host)
{
	const struct core *c = host < 0 ? NULL : host_core(k->sim->hosts[host]);

	return host < 0 ? 0 : k->dropped[host] + (c ? inside_dropped(c) : 0);
}

static struct plain *
plain_of(struct check *k, const char *house, const char *sender)
{
	char name[sizeof((struct plain *)0)->name];
	struct plain *p;

	snprintf(name, sizeof name, "%s/%s", house, sender);
	for (p = k->plains; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	p = xcalloc(1, sizeof *p);
	memcpy(p->name, name, sizeof name);
	p->hosts = check_candidate_bits(k, house);
	p->next = k->plains;
	k->plains = p;
	return p;
}

static bool
is_plain(const char *sender)
{
	return strncmp(sender, "plain", 5) == 0;
}

static void
note_key(struct check *k, const struct record *r, const char *sender, const char *key)
{
	char text[sizeof((struct key *)0)->text];
	struct key *x;

	snprintf(text, sizeof text, "%s %s", sender, key);
	for (x = k->keys; x && strcmp(x->text, text) != 0; x = x->next)
		;
	if (x && strcmp(x->id, r->id) != 0 && !r->exempt && !check_record(k, x->id)->exempt)
		sim_fail(k->sim, r->id, "key %s became two tasks: %s and %s", key, x->id, r->id);
	if (!x) {
		x = xcalloc(1, sizeof *x);
		memcpy(x->text, text, sizeof text);
		x->next = k->keys;
		k->keys = x;
	}
	memcpy(x->id, r->id, sizeof x->id);
}

static void
note_said(struct record *r, const struct stream *in, int64_t seq)
{
	int i = 0;

	while (i < r->nsaid && r->said[i].in != in)
		i++;
	if (i == SAID_MAX)
		r->overflow = true;
	else
		r->said[i] = (struct said){ in, seq };
	if (i == r->nsaid && i < SAID_MAX)
		r->nsaid++;
}

/* A new owner may accept anew what nobody was told of; that is why keys are compared in one stream only. */
static void
event_accepted(struct check *k, const struct topic *t, const cJSON *o, const struct stream *from)
{
	struct record *r = check_record(k, check_text(o, "id"));
	const char *key = check_text(cJSON_GetObjectItemCaseSensitive(o, "task"), "key");

	note_holder(k, r, check_bit(k, t->id));
	r->exempt |= is_lost(k, check_text(o, "store"));
	r->tries = (int)json_number(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "task"), "retry"), "max", 1);
	/* Whoever lost his disk does not know what he had, and runs his own users' tasks while nobody can be reached. */
	if (!cJSON_HasObjectItem(o, "term") && r->losses)
		r->exempt = true;
	if (r->accepted_in == from && !r->exempt)
		sim_fail(k->sim, r->id, "accepted twice by %s", t->id);
	r->accepted_in = from;
	snprintf(r->house, sizeof r->house, "%s", t->name);
	if (key[0] && !cJSON_HasObjectItem(o, "term"))
		note_key(k, r, check_text(o, "sender"), key);
	if (is_plain(check_text(o, "sender")))
		plain_of(k, t->name, check_text(o, "sender"))->taken++;
}

/* With terms an outcome is one when senders may hear of it, not when it stands in the log of somebody who may
 * have lost the house. */
static void
event_outcome(struct check *k, const cJSON *o)
{
	if (!cJSON_HasObjectItem(o, "term"))
		note_outcome(k, check_record(k, check_text(o, "id")), check_text(o, "state"),
		    cJSON_GetObjectItemCaseSensitive(o, cJSON_HasObjectItem(o, "result") ? "result" : "error"),
		    "the stream");
}

static void
event_approved(struct check *k, const cJSON *o)
{
	struct record *r = check_record(k, check_text(o, "id"));

	snprintf(r->grant, sizeof r->grant, "%.32s", check_text(cJSON_GetObjectItemCaseSensitive(o, "approval"), "grant"));
}

/* The router sends elsewhere, by what was learned, only what may run twice and asks for it. */
static void
event_forwarded(struct check *k, const cJSON *o)
{
	const cJSON *task = cJSON_GetObjectItemCaseSensitive(o, "task");
	const struct tool *tool = registry_find(k->sim->tools, check_text(task, "tool"));
	const char *instead = check_text(o, "instead_of");
	struct record *r = check_record(k, check_text(o, "id"));

	/* Its house may have it under another id. */
	if (cJSON_HasObjectItem(task, "key"))
		r->alias = true;
	if (!*instead)
		return;
	r->moved = true;
	/* It had sent it by its id before, and does not know that any more. */
	r->exempt |= r->key_lost;
	if (strcmp(check_text(task, "mode"), "intelligent") != 0 || !tool || tool->effect == TOOL_EXCLUSIVE ||
	    strcmp(instead, check_text(o, "to")) == 0)
		sim_fail(k->sim, check_text(o, "id"), "%s goes to house %s instead of %s by what was learned", check_text(task, "tool"),
		    check_text(o, "to"), instead);
}

/* It is kept as a task is, by its name; denied: it was paused once; cancelled: removed once. */
static void
event_schedule(struct check *k, const cJSON *o, const struct stream *from, int64_t seq)
{
	struct record *r = check_record(k, check_text(o, "name"));

	note_said(r, from, seq);
	r->denied |= json_is_true(o, "paused");
	r->cancelled |= json_is_true(o, "removed");
}

static void
event_line(struct check *k, const struct topic *t, const char *line, size_t len, const cJSON *o)
{
	const char *type = check_text(o, "type"), *id = check_text(o, "id");
	int64_t seq;
	const struct stream *from = streams_take(k->streams, t, o, line, len, &seq);

	if (!from)
		return;
	if (id[0])
		note_said(check_record(k, id), from, seq);
	if (strcmp(type, "schedule") == 0)
		event_schedule(k, o, from, seq);
	if (strcmp(type, "forwarded") == 0)
		event_forwarded(k, o);
	if (strcmp(type, "accepted") == 0)
		event_accepted(k, t, o, from);
	else if (strcmp(type, "rejected") == 0 && is_plain(check_text(o, "sender")))
		plain_of(k, t->name, check_text(o, "sender"))->taken++;
	else if (strcmp(type, "rejected") == 0 && id[0])
		check_record(k, id)->denied = true;
	else if (strcmp(type, "approved") == 0)
		event_approved(k, o);
	else if (strcmp(type, "outcome") == 0)
		event_outcome(k, o);
}

/* ---- what tools write ---- */

void
check_wrote(struct check *k, const char *id, int64_t bytes)
{
	struct record *r = check_record(k, id);

	r->wrote[r->nwrote++ % WROTE_MAX] = bytes;
}

/* Whoever tells or answers it: what is said to be at an offset was written there. */
static void
output_line_heard(struct check *k, const char *from, const cJSON *o)
{
	const char *id = check_text(o, "id"), *text = check_text(o, "text");
	char line[OUTPUT_LINE + 1];
	int64_t at = -1;

	json_int(cJSON_GetObjectItemCaseSensitive(o, "offset"), &at);
	for (const char *p = text; *p && at >= 0; p++, at++) {
		output_line(id, at / OUTPUT_LINE, line);
		if (*p != line[at % OUTPUT_LINE]) {
			sim_fail(k->sim, id, "%s tells output of it that was never written at %lld", from, (long long)at);
			return;
		}
	}
	if (at < 0)
		sim_fail(k->sim, id, "%s tells output of it without an offset", from);
}

/* Of an attempt that is over its end is known. */
static void
output_end_heard(struct check *k, const char *from, const cJSON *o)
{
	struct record *r = check_record(k, check_text(o, "id"));
	int64_t end = -1;

	json_int(cJSON_GetObjectItemCaseSensitive(o, "end"), &end);
	if (!json_is_true(o, "over") || r->nwrote > WROTE_MAX)
		return;
	for (int i = 0; i < r->nwrote; i++)
		if (r->wrote[i] == end)
			return;
	sim_fail(k->sim, r->id, "%s has output of it up to %lld, which is no end of it", from, (long long)end);
}

/* What somebody is told counts from here on, whether or not he hears it. */
static void
reply_line(struct check *k, const char *from, const cJSON *o)
{
	const char *type = check_text(o, "type"), *id = check_text(o, "id");
	int64_t copies = 1;

	if (strcmp(type, "accepted") == 0) {
		json_int(cJSON_GetObjectItemCaseSensitive(o, "copies"), &copies);
		check_accepted(k, id, check_text(o, "house"), check_text(o, "state"), copies, from);
		if (check_text(o, "sent_id")[0])
			check_record(k, check_text(o, "sent_id"))->alias = true;
	} else if (strcmp(type, "outcome") == 0) {
		check_outcome(k, id, check_text(o, "state"), cJSON_GetObjectItemCaseSensitive(o,
		    cJSON_HasObjectItem(o, "result") ? "result" : "error"));
	} else if (strcmp(type, "output") == 0) {
		output_line_heard(k, from, o);
	} else if (strcmp(type, "output_end") == 0) {
		output_end_heard(k, from, o);
	}
}

static void
take_line(struct check *k, const struct topic *t, const char *from, const char *line, size_t len)
{
	cJSON *o = json_parse(line, len, NULL);

	if (t->kind == TOPIC_EVENT)
		event_line(k, t, line, len, o);
	else
		reply_line(k, from, o);
	cJSON_Delete(o);
}

static int64_t
count_lines(const struct msg *m)
{
	int64_t n = m->len > 0;

	for (size_t i = 0; i + 1 < m->len; i++)
		n += m->payload[i] == '\n';
	return n;
}

void
check_published(struct check *k, const char *from, const struct msg *m)
{
	const char *p = m->payload, *end = p + m->len;
	struct topic t;

	if (topic_parse(m->topic, k->sim->config.cluster, &t, NULL))
		return;
	if (t.kind == TOPIC_TASK && is_plain(from))
		plain_of(k, t.name, from)->sent += count_lines(m);
	if (t.kind == TOPIC_HEALTH && check_host(k, from) >= 0)
		owners_arrived(k->owners, check_host(k, from));
	if (t.kind == TOPIC_CLAIM)
		owners_claim(k->owners, &t, m);
	while ((t.kind == TOPIC_EVENT || t.kind == TOPIC_REPLY || t.kind == TOPIC_LOG) && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);

		if (len)
			take_line(k, &t, from, p, len);
		p += len + 1;
	}
}

static bool
is_wrong(const struct check *k, const struct plain *p)
{
	char house[NAME_MAX_LEN + 1];

	snprintf(house, sizeof house, "%.*s", (int)strcspn(p->name, "/"), p->name);
	return p->taken < p->sent || (p->taken > p->sent && check_candidates(k, house)->n == 1);
}

/* Between one owner and the next such a task may be taken twice. With several brokers it may wait where nobody is. */
void
check_plains(struct check *k)
{
	for (const struct plain *p = k->plains; p; p = p->next) {
		bool dropped = false;

		for (int i = 0; i < k->sim->nhosts; i++)
			dropped |= p->hosts >> i & 1 && check_dropped(k, i);
		if (is_wrong(k, p) && k->sim->nbrokers == 1 && !(k->unreliable & p->hosts) && !dropped)
			sim_fail(k->sim, p->name, "%s sent %lld tasks without ids, %lld were taken", p->name,
			    (long long)p->sent, (long long)p->taken);
	}
}

/* ---- turns, and the end ---- */

void
check_turn(struct check *k, struct host *h)
{
	inside_turn(k, h);
	breakers_turn(k, h);
	alerts_turn(k, h);
	orders_turn(k->orders, check_host(k, host_name(h)));
	turns_look(k->waiting, check_host(k, host_name(h)), host_core(h));
}

bool
check_is_quiet(struct check *k, struct quiet *q)
{
	for (int i = 0; i < k->sim->nbrokers; i++)
		if (!broker_is_quiet(k->sim->brokers[i], q))
			return false;
	for (int i = 0; i < k->sim->nhosts; i++)
		if (!host_is_quiet(k->sim->hosts[i], q) || !inside_is_quiet(k->sim->hosts[i], q) || !stress_is_quiet(k->sim->hosts[i], q))
			return false;
	for (int i = 0; i < k->sim->nclients; i++)
		if (!client_is_done(k->sim->clients[i], q))
			return false;
	return owners_are_quiet(k->owners, q) && orders_are_quiet(k->orders, q);
}

void
check_show(struct check *k)
{
	for (int i = 0; i < k->sim->nhosts; i++)
		inside_show(k, k->sim->hosts[i]);
}

/* A cancel wins, unless all had gone well before, or an effect would have to be told. */
static void
check_stopped(struct check *k, const struct record *r)
{
	if (!r->stopping || r->exempt || r->exclusive || r->approved || check_missed(k, r) || k->sim->plan.short_memory)
		return;
	if (strcmp(r->state, "failed") == 0 || strcmp(r->state, "dead") == 0 || strcmp(r->state, "expired") == 0)
		sim_fail(k->sim, r->id, "its sender was told that it is being cancelled, but it is %s", r->state);
}

static void
check_conflicts(struct check *k)
{
	for (int i = 0; i < BUCKETS; i++)
		for (const struct record *r = k->records[i]; r; r = r->next)
			check_stopped(k, r);
	for (int i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = r->next)
			if (r->conflict[0] && !r->exempt && !check_missed(k, r) &&
			    !(r->other[0] && (r->key_lost || check_missed(k, check_record(k, r->other)))))
				sim_fail(k->sim, r->id, "%s", r->conflict);
}

void
check_end(struct check *k)
{
	check_conflicts(k);
	inside_check(k);
	inside_check_schedules(k);
	audits_check(k);
	breakers_check(k);
	routines_check(k);
	alerts_check(k);
	owners_check(k->owners);
	orders_check(k->orders);
	check_plains(k);
}

struct check *
check_new(struct sim *s)
{
	struct check *k = xcalloc(1, sizeof *k);

	k->sim = s;
	k->streams = streams_new(k);
	k->owners = owners_new(k);
	k->orders = orders_new(k);
	k->waiting = turns_new(k);
	return k;
}

void
check_free(struct check *k)
{
	void *next;

	for (int i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = next) {
			next = r->next;
			free(r);
		}
	for (struct key *x = k->keys; x; x = next) {
		next = x->next;
		free(x);
	}
	for (struct key *x = k->lost; x; x = next) {
		next = x->next;
		free(x);
	}
	for (struct plain *p = k->plains; p; p = next) {
		next = p->next;
		free(p);
	}
	for (int i = 0; i < HOSTS_MAX; i++)
		breakers_died(k, i);
	streams_free(k->streams);
	owners_free(k->owners);
	orders_free(k->orders);
	turns_free(k->waiting);
	free(k);
}
