/*
 * breaker.c - targets at which work fails: a house's owner gives an agent no work for one that has let it down.
 *
 * A breaker is one agent's for one tool and target (tools/target.h): one of them may not reach what others reach. It is
 * closed while failures are counted; open after so many in a row; and when its time is over it lets one task try, the
 * probe. If that gets an answer it is closed, otherwise open again, for twice as long. What nobody may run for now is
 * `scheduled` and held: it costs nothing, holds nobody up and uses no tries, and comes back when the breaker lets it, first
 * one of them, then all; or to be looked at, after HELD_MS, whatever went wrong.
 *
 * Where tasks let what was learned decide, a tool that often fails everywhere is given more failures: see opens_at().
 *
 * All but the count is in the house's stream and on disk, told before the probe begins. Breakers by hand are for
 * all agents, "*", until they are closed by hand.
 */
#include <string.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "state.h"

#define HELD_MS 600000
#define AGAIN_MS 1000                   /* a probe that came to nothing is followed by another */
#define NEXT_MS 5000                    /* so is one that does not begin */
#define FORGET_MS 3600000               /* open, may be tried, and nobody wants to */
#define HEALTH_MAX 8
#define EVERYBODY "*"

static const char *const states[] = { [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open",
	[BREAKER_HALF_OPEN] = "half_open" };

#define NSTATES (int)(sizeof states / sizeof *states)

/* FNV-1a, and a number that JSON can hold. */
static int64_t
key_of(const char *tool, const char *target)
{
	uint64_t h = 14695981039346656037u;

	for (const char *p = tool; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	h = (h ^ '\n') * 1099511628211u;
	for (const char *p = target; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	return (int64_t)(h >> 12) | 1;
}

/* Looked for once. 0: it has none. */
static int64_t
key_of_task(struct task *t)
{
	char target[TARGET_MAX];
	cJSON *tree;

	if (t->target_known || t->house->local)
		return t->target ? t->target_key : 0;
	t->target_known = true;
	if (!t->tool || !t->tool->target)
		return 0;
	tree = json_parse(t->body, t->body_len, NULL);
	if (target_of(t->tool, cJSON_GetObjectItemCaseSensitive(tree, "params"), target)) {
		t->target = xstrdup(target);
		t->target_key = key_of(t->tool_name, target);
	}
	cJSON_Delete(tree);
	return t->target ? t->target_key : 0;
}

static const char *
executor(const struct core *c, const struct task *t)
{
	return t->at ? t->at->name : t->here || t->works ? c->o.agent : "";
}

/* ---- as others hear it ---- */

static void
put_members(struct buf *b, const struct breaker *x)
{
	char probe[ULID_TEXT];

	json_kv_str(b, "agent", x->agent);
	json_kv_str(b, "tool", x->tool);
	json_kv_str(b, "target", x->target);
	json_kv_str(b, "state", states[x->state]);
	json_kv_time(b, "since", x->since_ms);
	if (x->until_ms && x->state == BREAKER_OPEN)
		json_kv_time(b, "until", x->until_ms);
	if (x->state == BREAKER_HALF_OPEN) {
		ulid_format(&x->probe, probe);
		json_kv_str(b, "probe", probe);
		json_kv_int(b, "attempt", x->attempt);
	}
	json_kv_int(b, "failures", x->failures);
	json_kv_int(b, "opened", x->opened);
	if (x->by[0])
		json_kv_str(b, "by", x->by);
	if (x->error[0])
		json_kv_str(b, "error", x->error);
}

static bool
read_members(const cJSON *o, struct breaker *x)
{
	*x = (struct breaker){ .state = NSTATES };
	snprintf(x->agent, sizeof x->agent, "%.32s", json_text(o, "agent"));
	snprintf(x->tool, sizeof x->tool, "%.47s", json_text(o, "tool"));
	snprintf(x->target, sizeof x->target, "%.255s", json_text(o, "target"));
	snprintf(x->by, sizeof x->by, "%.32s", json_text(o, "by"));
	snprintf(x->error, sizeof x->error, "%.120s", json_text(o, "error"));
	for (int i = 0; i < NSTATES; i++)
		if (strcmp(states[i], json_text(o, "state")) == 0)
			x->state = (enum breaker_state)i;
	clock_parse(json_text(o, "since"), &x->since_ms, NULL);
	clock_parse(json_text(o, "until"), &x->until_ms, NULL);
	x->failures = (int)json_number(o, "failures", 0);
	x->opened = (int)json_number(o, "opened", 0);
	x->attempt = (int)json_number(o, "attempt", 0);
	ulid_parse(json_text(o, "probe"), &x->probe);
	x->key = key_of(x->tool, x->target);
	return x->agent[0] && x->tool[0] && x->target[0] && (int)x->state < NSTATES;
}

static void
store(struct core *c, const struct house *h, const struct breaker *x)
{
	struct buf b = { 0 };

	if (x->state == BREAKER_CLOSED) {
		store_breaker(c, h, x, NULL);
		return;
	}
	json_put_open(&b, '{');
	put_members(&b, x);
	json_put_close(&b, '}');
	store_breaker(c, h, x, b.data);
	buf_free(&b);
}

/* It has another state now. */
static void
tell(struct core *c, struct house *h, struct breaker *x)
{
	struct buf *b = out_event(c, h, "breaker");

	put_members(b, x);
	out_end_line(b);
	store(c, h, x);
	c->due_changed = c->urgent = true;
	if (x->state != BREAKER_HALF_OPEN)
		log_info("house %s: %s at %s: breaker of %s is %s", h->name, x->tool, x->target, x->agent, states[x->state]);
}

/* ---- the table ---- */

static struct breaker *
find(const struct house *h, const char *agent, const char *tool, const char *target)
{
	int64_t key = h->nbreakers ? key_of(tool, target) : 0;

	for (int i = 0; i < h->nbreakers; i++) {
		struct breaker *x = &h->breakers[i];

		if (x->key == key && strcmp(x->agent, agent) == 0 && strcmp(x->tool, tool) == 0 && strcmp(x->target, target) == 0)
			return x;
	}
	return NULL;
}

static void
drop(struct house *h, struct breaker *x)
{
	*x = h->breakers[--h->nbreakers];
}

/* The least lately used of those that only count. */
static bool
make_room(struct house *h)
{
	struct breaker *oldest = NULL;

	if (h->nbreakers < BREAKERS_MAX)
		return true;
	for (int i = 0; i < h->nbreakers; i++) {
		struct breaker *x = &h->breakers[i];

		if (x->state == BREAKER_CLOSED && !x->waking && (!oldest || x->used < oldest->used))
			oldest = x;
	}
	if (oldest)
		drop(h, oldest);
	return oldest;
}

/* NULL: there are too many that are open. */
static struct breaker *
add(struct core *c, struct house *h, const struct breaker *like)
{
	struct breaker *x;

	if (!make_room(h))
		return NULL;
	if (!h->breakers)
		h->breakers = xcalloc(BREAKERS_MAX, sizeof *h->breakers);
	x = &h->breakers[h->nbreakers++];
	*x = *like;
	x->used = ++c->breaker_uses;
	return x;
}

static bool
is_of(const struct breaker *x, const struct task *t)
{
	return x->key == t->target_key && strcmp(x->tool, t->tool_name) == 0 && strcmp(x->target, t->target) == 0;
}

/* That the clock was set back does not make it longer. */
static bool
is_due(const struct core *c, const struct breaker *x)
{
	int64_t left = x->until_ms - c->now.wall_ms;

	return x->state == BREAKER_OPEN && x->until_ms && (left <= 0 || left > c->o.config->breaker_cap_s * 1000);
}

static bool
bars(const struct core *c, const struct breaker *x)
{
	if (x->state == BREAKER_HALF_OPEN)
		return !IS_MUTANT(MUTANT_BREAKER_PROBES);
	return x->state == BREAKER_OPEN && !is_due(c, x);
}

/* What it would touch may be asked of anybody. */
bool
breaker_bars(struct core *c, const struct house *h, struct task *t, const char *agent)
{
	if (!h->nbreakers || t->state != TASK_QUEUED || !key_of_task(t))
		return false;
	for (int i = 0; i < h->nbreakers; i++) {
		const struct breaker *x = &h->breakers[i];

		if (is_of(x, t) && bars(c, x) && (strcmp(x->agent, agent) == 0 || strcmp(x->agent, EVERYBODY) == 0))
			return true;
	}
	return false;
}

/* ---- what waits ---- */

static void
put_why(struct buf *b, const struct breaker *x)
{
	char until[32] = "it is closed by hand";

	if (x->state == BREAKER_OPEN && x->until_ms)
		clock_format(x->until_ms, until, sizeof until);
	if (x->state == BREAKER_HALF_OPEN)
		buf_addf(b, "%s at %s fails; one task tries it now", x->tool, x->target);
	else
		buf_addf(b, "the breaker of %s at %s is open until %s", x->tool, x->target, until);
	if (x->error[0])
		buf_addf(b, ": %s", x->error);
}

/* The one that lets go first. */
static const struct breaker *
that_holds(const struct house *h, int64_t key)
{
	const struct breaker *found = NULL;

	for (int i = 0; i < h->nbreakers; i++) {
		const struct breaker *x = &h->breakers[i];

		if (x->key != key || x->state == BREAKER_CLOSED)
			continue;
		if (strcmp(x->agent, EVERYBODY) == 0)
			return x;
		if (!found || (x->until_ms && x->until_ms < found->until_ms))
			found = x;
	}
	return found;
}

void
breaker_put_held(struct buf *b, const struct task *t)
{
	const struct breaker *x = t->held && t->house ? that_holds(t->house, t->held) : NULL;
	struct buf why = { 0 };

	if (!x)
		return;
	put_why(&why, x);
	json_kv_str(b, "held", why.data);
	buf_free(&why);
}

bool
breaker_holds(struct core *c, struct task *t)
{
	struct buf *b;

	if (!t->house->nbreakers || !key_of_task(t) || !work_is_barred(c, t))
		return false;
	lane_leave(c, t);
	task_enter(c, t, TASK_SCHEDULED);
	t->held = t->target_key;
	t->due_ms = c->now.wall_ms + HELD_MS;
	task_touch(c, t);
	b = out_task_event(c, t, "scheduled");
	json_kv_time(b, "not_before", t->due_ms);
	json_kv_int(b, "held_by", t->held);
	breaker_put_held(b, t);
	out_end_line(b);
	return true;
}

void
breaker_let_go(struct core *c, struct task *t)
{
	struct buf *b;

	if (!t->held || t->state != TASK_SCHEDULED)
		return;
	t->due_ms = 0;
	task_enter(c, t, TASK_QUEUED);
	lane_put(c, t);
	task_touch(c, t);
	if (!lease_is_shared(t->house))
		return;
	b = out_task_event(c, t, "requeued");
	json_kv_int(b, "attempt", t->attempt);
	out_end_line(b);
}

/* ---- states ---- */

static void
trip(struct core *c, struct house *h, struct breaker *x, int64_t ms)
{
	x->state = BREAKER_OPEN;
	x->since_ms = c->now.wall_ms;
	x->until_ms = ms ? c->now.wall_ms + ms : 0;
	x->look_ms = 0;
	x->waking = false;
	tell(c, h, x);
}

static int64_t
open_ms(const struct core *c, const struct breaker *x)
{
	int64_t ms = c->o.config->breaker_open_s * 1000, cap = c->o.config->breaker_cap_s * 1000;

	for (int i = 1; i < x->opened && ms < cap; i++)
		ms *= 2;
	return ms < cap ? ms : cap;
}

/* It is dropped when all that waited for it are awake. */
static void
mend(struct core *c, struct house *h, struct breaker *x)
{
	x->state = BREAKER_CLOSED;
	x->since_ms = c->now.wall_ms;
	x->until_ms = 0;
	x->failures = x->opened = 0;
	x->waking = true;
	x->woken = 0;
	tell(c, h, x);
}

static bool
is_probe(const struct breaker *x, const struct task *t)
{
	return x->state == BREAKER_HALF_OPEN && x->attempt == t->attempt && ulid_equal(&x->probe, &t->id);
}

static struct breaker *
of_attempt(struct core *c, const struct task *t)
{
	for (int i = 0; i < t->house->nbreakers; i++)
		if (is_probe(&t->house->breakers[i], t))
			return &t->house->breakers[i];
	return find(t->house, executor(c, t), t->tool_name, t->target);
}

/* Who runs it is chosen, and its attempt has its number. */
void
breaker_begins(struct core *c, struct task *t)
{
	struct house *h = t->house;
	struct breaker *x;

	t->probe = false;
	if (!h->nbreakers || !key_of_task(t) || !(x = find(h, executor(c, t), t->tool_name, t->target)) || !is_due(c, x))
		return;
	t->probe = true;
	x->state = BREAKER_HALF_OPEN;
	x->since_ms = c->now.wall_ms;
	x->probe = t->id;
	x->attempt = t->attempt;
	tell(c, h, x);
}

static void
answered(struct core *c, struct task *t, struct breaker *x)
{
	struct house *h = t->house;

	if (x && is_probe(x, t))
		mend(c, h, x);
	else if (x && x->state == BREAKER_CLOSED)
		x->failures = 0;
	/* Whoever it was, he may have the others' work. */
	for (int i = 0; i < h->nbreakers; i++)
		if (is_of(&h->breakers[i], t) && h->breakers[i].state != BREAKER_CLOSED && !h->breakers[i].waking) {
			h->breakers[i].waking = true;
			h->breakers[i].woken = 0;
		}
}

/* Whole characters of it. */
static void
set_error(struct breaker *x, const char *msg)
{
	size_t n = strnlen(msg, sizeof x->error);

	if (n == sizeof x->error)
		for (n--; n && ((unsigned char)msg[n] & 0xc0) == 0x80; n--)
			;
	memcpy(x->error, msg, n);
	x->error[n] = '\0';
}

/* The failures that open it: as configured, or more where so many in a row come by chance. What was known before them
 * counts, so an outage does not make itself usual. */
static int
opens_at(const struct core *c, const struct task *t, const struct breaker *x)
{
	int usual = (int)c->o.config->breaker_failures;

	return x->run > usual && learn_adapts(c, t) ? x->run : usual;
}

/* It has failed once more, and is not opened. */
static bool
stays_closed(struct core *c, struct task *t, const struct breaker *x)
{
	int at = opens_at(c, t, x);

	if (x->state != BREAKER_CLOSED || x->failures >= at)
		return false;
	if (x->failures == c->o.config->breaker_failures)
		learn_breaker_waits(c, t, x->agent, at);
	return true;
}

/* What began before it was opened says nothing new. */
static void
was_down(struct core *c, struct task *t, struct breaker *x, const struct err *e)
{
	struct house *h = t->house;
	struct breaker new = { .key = t->target_key };

	if (!x && executor(c, t)[0]) {
		snprintf(new.agent, sizeof new.agent, "%s", executor(c, t));
		snprintf(new.tool, sizeof new.tool, "%s", t->tool_name);
		snprintf(new.target, sizeof new.target, "%s", t->target);
		x = add(c, h, &new);
	}
	if (!x || (x->state != BREAKER_CLOSED && !is_probe(x, t)))
		return;
	if (x->state == BREAKER_CLOSED && c->now.wall_ms - x->since_ms > c->o.config->breaker_cap_s * 1000)
		x->failures = 0;
	if (x->state == BREAKER_CLOSED)
		x->since_ms = c->now.wall_ms;
	x->used = ++c->breaker_uses;
	if (!x->failures++)
		x->run = learn_run(c, t->tool_name);
	set_error(x, e->msg);
	if (stays_closed(c, t, x))
		return;
	x->opened++;
	trip(c, h, x, open_ms(c, x));
}

void
breaker_ended(struct core *c, struct task *t, const struct pool_end *p)
{
	bool down = p->how == POOL_TIMEOUT || (p->how == POOL_FAILED && p->down);
	bool answer = p->how == POOL_SUCCEEDED || (p->how == POOL_FAILED && !p->refused && p->err.code == ERR_TOOL);
	struct house *h = t->house;

	if (!h->owned || h->local || (!h->nbreakers && (!down || !c->o.config->breaker_failures)) || !key_of_task(t))
		return;
	if (down && c->o.config->breaker_failures)
		was_down(c, t, of_attempt(c, t), &p->err);
	else if (answer && !down)
		answered(c, t, of_attempt(c, t));
}

/* However it ended: if nothing was learned, another one tries. */
void
breaker_is_over(struct core *c, struct task *t)
{
	struct house *h = t->house;

	t->probe = false;
	for (int i = 0; h->owned && i < h->nbreakers; i++)
		if (is_probe(&h->breakers[i], t))
			trip(c, h, &h->breakers[i], AGAIN_MS);
}

int
breaker_order(struct core *c, struct house *h, const char *tool, const char *text, bool opens, const char *who,
    struct err *e)
{
	const struct tool *t = registry_find(c->o.tools, tool);
	struct breaker new = { .state = BREAKER_CLOSED, .agent = EVERYBODY }, *x;
	int n = 0;

	if (!t)
		return err_field(e, ERR_UNKNOWN_TOOL, "tool", tool, "the name of a tool; `uni-wizard tool list` shows them");
	if (!target_read(t, text, new.target))
		return err_field(e, ERR_INVALID, "target", text, t->target ? "a target of the tool" : "a tool that has targets");
	snprintf(new.tool, sizeof new.tool, "%s", t->name);
	snprintf(new.by, sizeof new.by, "%.32s", who);
	new.key = key_of(new.tool, new.target);
	if (opens && (x = find(h, EVERYBODY, new.tool, new.target)) && x->state == BREAKER_OPEN)
		return 0;
	if (opens && !x && !(x = add(c, h, &new)))
		return err_set(e, ERR_BUSY, "house %s has %d breakers that are open, its limit; close one", h->name, BREAKERS_MAX);
	if (opens) {
		memcpy(x->by, new.by, sizeof x->by);
		trip(c, h, x, 0);
		return 0;
	}
	for (int i = 0; i < h->nbreakers; i++) {
		x = &h->breakers[i];
		if (x->key != new.key || x->state == BREAKER_CLOSED)
			continue;
		mend(c, h, x);
		n++;
	}
	return n ? 0 : err_set(e, ERR_WRONG_STATE, "no breaker of %s at %s is open in house %s", new.tool, new.target, h->name);
}

/* ---- time ---- */

/* Some of those that wait; true if there are more. */
static bool
wake(struct core *c, struct house *h, struct breaker *x)
{
	x->woken = store_held(c, h, x->key, x->woken, 0, breaker_let_go);
	return x->woken > 0;
}

static bool
is_forgotten(const struct core *c, const struct breaker *x)
{
	int64_t ms = c->now.wall_ms - x->since_ms;

	if (x->state == BREAKER_CLOSED)
		return !x->failures || ms > c->o.config->breaker_cap_s * 1000;
	return is_due(c, x) && c->now.wall_ms - x->until_ms > FORGET_MS;
}

static void
look_at(struct core *c, struct house *h, struct breaker *x)
{
	if (x->waking) {
		x->waking = wake(c, h, x);
	} else if (is_forgotten(c, x) && x->state == BREAKER_CLOSED) {
		drop(h, x);
	} else if (is_forgotten(c, x)) {
		mend(c, h, x);
	} else if (is_due(c, x) && c->now.mono_ms >= x->look_ms) {
		store_held(c, h, x->key, 0, 1, breaker_let_go);
		x->look_ms = c->now.mono_ms + NEXT_MS;
	}
}

/* Of those whose breaker is not known any more, target by target: what is let go of is not found again. */
static void
look_at_held(struct core *c, struct house *h)
{
	int64_t key = store_next_held(c, h, h->looked_held);

	h->look_held = key > 0;
	if (key && (that_holds(h, key) || !store_held(c, h, key, 0, 0, breaker_let_go)))
		h->looked_held = key;
}

void
breaker_tick(struct core *c)
{
	for (int k = 0; k < c->nhouses; k++) {
		struct house *h = &c->houses[k];

		if (!h->owned)
			continue;
		for (int i = h->nbreakers; i-- > 0;)
			look_at(c, h, &h->breakers[i]);
		if (h->look_held)
			look_at_held(c, h);
	}
}

/* Whether there is more to do at once. */
bool
breaker_is_due(const struct core *c)
{
	for (int k = 0; k < c->nhouses; k++) {
		const struct house *h = &c->houses[k];

		if (h->owned && h->look_held)
			return true;
		for (int i = 0; h->owned && i < h->nbreakers; i++)
			if (h->breakers[i].waking)
				return true;
	}
	return false;
}

int64_t
breaker_next_due(const struct core *c, const struct house *h)
{
	int64_t next = 0;

	for (int i = 0; i < h->nbreakers; i++) {
		int64_t at = h->breakers[i].state == BREAKER_OPEN ? h->breakers[i].until_ms : 0;

		if (at > c->now.wall_ms && (!next || at < next))
			next = at;
	}
	return next;
}

/* ---- from owner to owner ---- */

/* A probe that never began, or whose end was not told. */
void
breaker_take_up(struct core *c, struct house *h)
{
	h->look_held = true;
	h->looked_held = 0;
	for (int i = 0; i < h->nbreakers; i++) {
		struct breaker *x = &h->breakers[i];
		const struct task *t = x->state == BREAKER_HALF_OPEN ? task_by_id(c, h, &x->probe) : NULL;

		x->waking = false;
		x->look_ms = 0;
		if (x->state == BREAKER_HALF_OPEN &&
		    !(t && (t->state == TASK_RUNNING || t->state == TASK_STARTING) && t->attempt == x->attempt))
			trip(c, h, x, AGAIN_MS);
	}
}

/* What only counts is not told. */
void
breaker_let_house_go(struct house *h)
{
	for (int i = h->nbreakers; i-- > 0;)
		if (h->breakers[i].state == BREAKER_CLOSED)
			drop(h, &h->breakers[i]);
}

void
breaker_follow(struct core *c, struct house *h, const cJSON *o)
{
	struct breaker new, *x;

	if (!read_members(o, &new) || IS_MUTANT(MUTANT_BREAKER_UNTOLD))
		return;
	store(c, h, &new);
	x = find(h, new.agent, new.tool, new.target);
	if (new.state == BREAKER_CLOSED) {
		if (x)
			drop(h, x);
	} else if (x) {
		*x = new;
	} else {
		add(c, h, &new);
	}
}

void
breaker_load(struct core *c, struct house *h, const char *row)
{
	cJSON *o = cJSON_Parse(row);
	struct breaker x;

	if (read_members(o, &x))
		add(c, h, &x);
	cJSON_Delete(o);
}

static void
put_list(struct buf *b, const struct house *h, int max)
{
	json_put_open(b, '[');
	for (int i = 0; i < h->nbreakers; i++) {
		if (h->breakers[i].state == BREAKER_CLOSED || !max--)
			continue;
		json_put_open(b, '{');
		put_members(b, &h->breakers[i]);
		json_put_close(b, '}');
		if (!max)
			break;
	}
	json_put_close(b, ']');
}

/* For who gets in step. */
void
breaker_put_all(struct buf *b, const struct house *h)
{
	json_put_key(b, "breakers");
	put_list(b, h, BREAKERS_MAX);
}

void
breaker_take_all(struct core *c, struct house *h, const cJSON *list)
{
	const cJSON *o;

	while (h->nbreakers) {
		h->breakers[0].state = BREAKER_CLOSED;
		store(c, h, &h->breakers[0]);
		drop(h, &h->breakers[0]);
	}
	cJSON_ArrayForEach(o, list)
		breaker_follow(c, h, o);
}

int
breaker_count_open(const struct house *h)
{
	int n = 0;

	for (int i = 0; i < h->nbreakers; i++)
		n += h->breakers[i].state != BREAKER_CLOSED;
	return n;
}

/* Open by themselves, and not yet to be tried again. */
int
breaker_count_down(const struct core *c, const struct house *h)
{
	int n = 0;

	for (int i = 0; i < h->nbreakers; i++)
		n += h->breakers[i].state == BREAKER_OPEN && h->breakers[i].until_ms && !is_due(c, &h->breakers[i]);
	return n;
}

void
breaker_put_health(struct buf *b, const struct house *h)
{
	int n = breaker_count_open(h);

	if (!n)
		return;
	json_kv_int(b, "breakers_open", n);
	json_put_key(b, "breakers");
	put_list(b, h, HEALTH_MAX);
}

void
breaker_put(struct buf *b, const struct house *h, int i)
{
	json_kv_str(b, "house", h->name);
	put_members(b, &h->breakers[i]);
}
