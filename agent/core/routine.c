/*
 * routine.c - schedules that somebody has added to a house by command, beside those of the configuration (schedule.c).
 *
 * A routine is a row of the house: told in its stream, kept on disk, and part of what a follower gets that gets in step. When
 * a time of it has come the house's owner makes a task of it, in its sender's name, and moves the routine on; both are in
 * one commit, and told in one go. The task's id is made of the routine's and the time, so an owner who has not heard of
 * either makes the same task again, and there is one.
 *
 * An owner who comes back from a term of his own, with a routine that was added then, offers it as he does tasks. `born` is
 * the event that told it first: what was born before the last event in common and is not there was removed.
 */
#include <string.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "state.h"

#define MISSED_MAX 100
#define AGAIN_MS 5000                   /* after the house did not take one */
#define LATE_MS 60000                   /* later than that it is missed */
#define NEVER INT64_MAX

static const char *const missed_names[] = { [ROUTINE_NONE] = "none", [ROUTINE_LAST] = "last", [ROUTINE_ALL] = "all" };
static const char *const came_names[] = { [ROUTINE_MADE] = "made", [ROUTINE_REFUSED] = "refused", [ROUTINE_MISSED] = "missed" };

#define COUNT(a) (int)(sizeof (a) / sizeof *(a))

static int
word(const char *text, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (names[i] && strcmp(names[i], text) == 0)
			return i;
	return -1;
}

/* ---- the list ---- */

static void
clear(struct routine *r)
{
	free(r->cron_text);
	free(r->zone_name);
	free(r->task);
	zone_free(r->zone);
	*r = (struct routine){ 0 };
}

static struct routine *
find(const struct house *h, const char *name)
{
	for (int i = 0; i < h->nroutines; i++)
		if (strcmp(h->routines[i].name, name) == 0)
			return &h->routines[i];
	return NULL;
}

static struct routine *
find_id(const struct house *h, const struct ulid *id)
{
	for (int i = 0; i < h->nroutines; i++)
		if (ulid_equal(&h->routines[i].id, id))
			return &h->routines[i];
	return NULL;
}

/* In order of their age. */
static void
drop(struct house *h, struct routine *r)
{
	clear(r);
	memmove(r, r + 1, (size_t)(&h->routines[--h->nroutines] - r) * sizeof *r);
}

static struct routine *
add(struct house *h, const struct routine *like)
{
	h->routines = xrealloc(h->routines, (size_t)(h->nroutines + 1) * sizeof *h->routines);
	h->routines[h->nroutines] = *like;
	return &h->routines[h->nroutines++];
}

void
routine_release(struct house *h)
{
	while (h->nroutines)
		clear(&h->routines[--h->nroutines]);
	free(h->routines);
	h->routines = NULL;
	cJSON_Delete(h->routines_coming);
	h->routines_coming = NULL;
}

/* ---- as others hear it ---- */

static void
put_members(struct buf *b, const struct routine *r)
{
	char id[ULID_TEXT];

	ulid_format(&r->id, id);
	json_kv_str(b, "schedule", id);
	json_kv_str(b, "name", r->name);
	json_kv_str(b, "sender", r->sender);
	json_kv_str(b, "cron", r->cron_text);
	json_kv_str(b, "zone", r->zone_name);
	json_kv_str(b, "missed", missed_names[r->missed]);
	json_kv_raw(b, "task", r->task, strlen(r->task));
	if (r->paused)
		json_kv_bool(b, "paused", true);
	json_kv_time(b, "added", r->added_ms);
	json_kv_int(b, "after", r->after_ms);
	if (r->came)
		json_kv_time(b, "last", r->last_ms);
	if (r->came)
		json_kv_str(b, "came", came_names[r->came]);
	if (r->why[0])
		json_kv_str(b, "error", r->why);
	json_kv_int(b, "born", r->born);
}

/* What makes no sense is left out. Times may be another's, from whose zones ours differ: then none comes while it is ours. */
static bool
read_members(const cJSON *o, struct routine *r)
{
	const cJSON *task = cJSON_GetObjectItemCaseSensitive(o, "task");
	int missed = word(json_text(o, "missed"), missed_names, COUNT(missed_names)),
	    came = word(json_text(o, "came"), came_names, COUNT(came_names));

	*r = (struct routine){ 0 };
	if (!ulid_parse(json_text(o, "schedule"), &r->id) || !name_ok(json_text(o, "name")) || !*json_text(o, "sender") ||
	    missed < 0 || !cJSON_IsObject(task) || cron_parse(json_text(o, "cron"), &r->cron, NULL))
		return false;
	snprintf(r->name, sizeof r->name, "%s", json_text(o, "name"));
	snprintf(r->sender, sizeof r->sender, "%.32s", json_text(o, "sender"));
	snprintf(r->why, sizeof r->why, "%.160s", json_text(o, "error"));
	r->cron_text = xstrdup(json_text(o, "cron"));
	r->zone_name = xstrdup(json_text(o, "zone"));
	r->zone = zone_open(r->zone_name, NULL);
	r->missed = (enum routine_missed)missed;
	r->came = came < 0 ? 0 : (enum routine_came)came;
	r->task = cJSON_PrintUnformatted(task);
	r->paused = json_is_true(o, "paused");
	r->after_ms = json_number(o, "after", 0);
	r->born = json_number(o, "born", 0);
	clock_parse(json_text(o, "added"), &r->added_ms, NULL);
	clock_parse(json_text(o, "last"), &r->last_ms, NULL);
	return true;
}

static void
store(struct core *c, const struct house *h, const struct routine *r)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	put_members(&b, r);
	json_put_close(&b, '}');
	store_routine(c, h, r->name, b.data);
	buf_free(&b);
}

static void
tell(struct core *c, struct house *h, struct routine *r)
{
	struct buf *b = out_event(c, h, "schedule");

	if (!r->born)
		r->born = h->head;
	put_members(b, r);
	out_end_line(b);
	store(c, h, r);
	c->due_changed = c->urgent = true;
}

static void
take_away(struct core *c, struct house *h, struct routine *r)
{
	store_routine(c, h, r->name, NULL);
	drop(h, r);
	c->due_changed = c->urgent = true;
}

/* ---- a time of it has come ---- */

void
routine_task_id(const struct routine *r, int64_t at_ms, struct ulid *id)
{
	uint64_t h[2];

	/* Its own was drawn: nobody knew it beforehand. */
	h[0] = seen_hash((const char *)&r->id, sizeof r->id);
	h[1] = h[0] * 0x9e3779b97f4a7c15u ^ h[0] >> 29;
	ulid_make(id, at_ms, (const uint8_t *)h);
}

/* Who is nobody any more, or may only look on, submits nothing. */
static bool
may_submit(const struct core *c, const char *who)
{
	enum config_kind kind = config_identity_kind(c->o.config, who);

	return kind != IDENTITY_UNKNOWN && kind != IDENTITY_WATCHER;
}

/* Whole characters of it. */
static void
set_why(struct routine *r, const char *msg)
{
	size_t n = strnlen(msg, sizeof r->why);

	if (n == sizeof r->why)
		for (n--; n && ((unsigned char)msg[n] & 0xc0) == 0x80; n--)
			;
	memcpy(r->why, msg, n);
	r->why[n] = '\0';
}

static void
find_next(struct routine *r)
{
	r->next_ms = r->zone ? cron_next(&r->cron, r->zone, r->after_ms) : 0;
	if (!r->next_ms)
		r->next_ms = NEVER;
}

static void
moves_on(struct core *c, struct house *h, struct routine *r, int64_t at_ms, enum routine_came came, const struct err *e)
{
	r->after_ms = r->last_ms = at_ms;
	find_next(r);
	r->came = came;
	set_why(r, e ? e->msg : "");
	tell(c, h, r);
}

/* The house is busy: later. */
static bool
make(struct core *c, struct house *h, struct routine *r, int64_t at_ms)
{
	cJSON *o, *labels;
	struct buf b = { 0 };
	char text[ULID_TEXT];
	struct ulid id;
	struct err e = { 0 };
	int rc;

	if (intake_room(c, h, NULL))
		return false;
	routine_task_id(r, at_ms, &id);
	if (task_by_id(c, h, &id)) {
		moves_on(c, h, r, at_ms, ROUTINE_MADE, NULL);
		return true;
	}
	if (!may_submit(c, r->sender)) {
		err_set(&e, ERR_DENIED, "its sender %s may not submit tasks any more", r->sender);
		moves_on(c, h, r, at_ms, ROUTINE_REFUSED, &e);
		return true;
	}
	if (IS_MUTANT(MUTANT_ROUTINE_AGAIN))
		core_new_id(c, &id);
	ulid_format(&id, text);
	o = cJSON_Parse(r->task);
	labels = cJSON_GetObjectItemCaseSensitive(o, "labels");
	if (!labels)
		labels = cJSON_AddObjectToObject(o, "labels");
	cJSON_DeleteItemFromObjectCaseSensitive(labels, "schedule");
	cJSON_AddStringToObject(labels, "schedule", r->name);
	cJSON_AddStringToObject(o, "id", text);
	if (r->missed == ROUTINE_NONE)
		cJSON_AddNumberToObject(o, "deadline", (double)(at_ms + LATE_MS));
	json_put_tree(&b, o);
	rc = intake_own(c, h, r->sender, b.data, b.len, &e);
	moves_on(c, h, r, at_ms, rc ? ROUTINE_REFUSED : ROUTINE_MADE, rc ? &e : NULL);
	cJSON_Delete(o);
	buf_free(&b);
	return true;
}

/* All that were missed, oldest first, at most MISSED_MAX. */
static bool
make_all(struct core *c, struct house *h, struct routine *r, int64_t last)
{
	int64_t at[MISSED_MAX];
	int n = 0;

	for (; n < MISSED_MAX && last > r->after_ms; last = cron_prev(&r->cron, r->zone, last))
		at[n++] = last;
	while (n > 0)
		if (!make(c, h, r, at[--n]))
			return false;
	return true;
}

static void
look_at(struct core *c, struct house *h, struct routine *r)
{
	int64_t now = c->now.wall_ms, last;
	bool done = true;

	last = cron_prev(&r->cron, r->zone, now + 1);
	if (r->missed == ROUTINE_ALL)
		done = make_all(c, h, r, last);
	else if (r->missed == ROUTINE_NONE && now - last >= LATE_MS)
		moves_on(c, h, r, last, ROUTINE_MISSED, NULL);
	else
		done = make(c, h, r, last);
	if (!done)
		r->again_ms = c->now.mono_ms + AGAIN_MS;
}

void
routine_tick(struct core *c)
{
	for (int k = 0; k < c->nhouses; k++) {
		struct house *h = &c->houses[k];

		for (int i = 0; i < h->nroutines && h->owned && !h->heir && lease_may_start(c, h); i++) {
			struct routine *r = &h->routines[i];

			if (!r->paused && r->next_ms <= c->now.wall_ms && r->again_ms <= c->now.mono_ms)
				look_at(c, h, r);
		}
	}
}

int64_t
routine_next_due(const struct core *c, const struct house *h)
{
	int64_t next = 0;

	for (int i = 0; i < h->nroutines; i++) {
		const struct routine *r = &h->routines[i];

		if (!r->paused && r->next_ms > c->now.wall_ms && r->next_ms < NEVER && (!next || r->next_ms < next))
			next = r->next_ms;
	}
	return next;
}

/* ---- by command ---- */

static const struct config_schedule *
configured(const struct core *c, const struct house *h, const char *name)
{
	for (size_t i = 0; i < c->o.config->nschedules; i++) {
		const struct config_schedule *s = &c->o.config->schedules[i];

		if (strcmp(s->house, h->name) == 0 && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static int
check_task(struct core *c, struct house *h, const char *who, const cJSON *task, struct err *e)
{
	static const char *const ours[] = { "id", "key", "not_before", "deadline", "from", "reply", "house", "after" };
	char got[64];

	if (!cJSON_IsObject(task))
		return err_field(e, ERR_INVALID, "task", json_brief(task, got, sizeof got), "a task such as {\"tool\":\"noop\"}");
	for (int i = 0; i < COUNT(ours); i++)
		if (cJSON_HasObjectItem(task, ours[i])) {
			err_field(e, ERR_INVALID, ours[i],
			    json_brief(cJSON_GetObjectItemCaseSensitive(task, ours[i]), got, sizeof got),
			    "a task without it, for it is made again each time");
			return err_in(e, "task");
		}
	return intake_check(c, h, who, task, e);
}

/* Room for what each event, row and message about it is made of. */
static int
read_order(struct core *c, struct house *h, const char *who, const cJSON *o, struct routine *r, struct err *e)
{
	const char *cron = json_text(o, "cron"), *zone = json_text(o, "zone"), *missed = json_text(o, "missed");
	const cJSON *task = cJSON_GetObjectItemCaseSensitive(o, "task");
	int m = word(*missed ? missed : "last", missed_names, COUNT(missed_names));
	char got[24];

	*r = (struct routine){ 0 };
	if (!*cron)
		return err_field(e, ERR_MISSING, "cron", "nothing",
		    "five fields (minute hour day month weekday) or @daily and the like");
	if (strlen(cron) > ROUTINE_TEXT_MAX)
		return err_field(e, ERR_TOO_BIG, "cron", NULL, "at most %d bytes", ROUTINE_TEXT_MAX);
	if (strlen(zone) > ROUTINE_TEXT_MAX)
		return err_field(e, ERR_TOO_BIG, "zone", NULL, "at most %d bytes", ROUTINE_TEXT_MAX);
	if (m < 0)
		return err_field(e, ERR_INVALID, "missed", missed, "none, last or all");
	if (cron_parse(cron, &r->cron, e) || !(r->zone = zone_open(*zone ? zone : "UTC", e)) || check_task(c, h, who, task, e))
		return -1;
	if (!(r->next_ms = cron_next(&r->cron, r->zone, c->now.wall_ms)))
		return err_field(e, ERR_INVALID, "cron", cron, "a time that comes within five years");
	r->task = cJSON_PrintUnformatted(task);
	if (strlen(r->task) > ROUTINE_TASK_MAX) {
		snprintf(got, sizeof got, "%zu", strlen(r->task));
		return err_field(e, ERR_TOO_BIG, "task", got, "at most %d bytes", ROUTINE_TASK_MAX);
	}
	r->missed = (enum routine_missed)m;
	r->cron_text = xstrdup(cron);
	r->zone_name = xstrdup(*zone ? zone : "UTC");
	return 0;
}

static bool
same(const struct routine *a, const struct routine *b)
{
	return strcmp(a->sender, b->sender) == 0 && strcmp(a->cron_text, b->cron_text) == 0 &&
	    strcmp(a->zone_name, b->zone_name) == 0 && a->missed == b->missed && strcmp(a->task, b->task) == 0;
}

/* Again: a message may come twice. */
static int
order_add(struct core *c, struct house *h, const char *who, const char *name, const cJSON *o, struct err *e)
{
	const struct routine *old = find(h, name);
	struct routine r;

	if (read_order(c, h, who, o, &r, e)) {
		clear(&r);
		return -1;
	}
	snprintf(r.name, sizeof r.name, "%s", name);
	snprintf(r.sender, sizeof r.sender, "%.32s", who);
	if (old && same(old, &r)) {
		clear(&r);
		return 0;
	}
	if (old)
		err_field(e, ERR_CONFLICT, "name", name, "a name that is free: house %s has another schedule under it, of %s",
		    h->name, old->sender);
	else if (configured(c, h, name))
		err_field(e, ERR_CONFLICT, "name", name, "a name that is free: the configuration has a schedule of that name");
	else if (h->nroutines >= c->o.config->max_schedules)
		err_busy(e, 60, "house %s has %d schedules, its limit (limits.schedules); remove one", h->name, h->nroutines);
	else
		e->code = ERR_NONE;
	if (e->code) {
		clear(&r);
		return -1;
	}
	core_new_id(c, &r.id);
	r.added_ms = r.after_ms = c->now.wall_ms;
	tell(c, h, add(h, &r));
	log_info("house %s: schedule %s of %s is added", h->name, r.name, r.sender);
	return 0;
}

/* What the clock of another owner has seen already is over. */
static void
order_pause(struct core *c, struct house *h, struct routine *r, bool pauses)
{
	if (r->paused == pauses)
		return;
	r->paused = pauses;
	if (!pauses && r->after_ms < c->now.wall_ms)
		r->after_ms = c->now.wall_ms;
	find_next(r);
	tell(c, h, r);
}

static void
order_remove(struct core *c, struct house *h, struct routine *r)
{
	struct buf *b = out_event(c, h, "schedule");

	json_kv_str(b, "name", r->name);
	json_kv_bool(b, "removed", true);
	out_end_line(b);
	log_info("house %s: schedule %s of %s is removed", h->name, r->name, r->sender);
	take_away(c, h, r);
}

static int
order_change(struct core *c, struct house *h, const char *who, const char *what, const char *name, struct err *e)
{
	struct routine *r = find(h, name);

	if (!r && configured(c, h, name))
		return err_field(e, ERR_WRONG_STATE, "name", name,
		    "a schedule that was added by command: this one stands in the configuration");
	if (!r)
		return err_field(e, ERR_NOT_FOUND, "name", name, "a schedule of house %s; `uni-wizard schedule list` shows them",
		    h->name);
	if (strcmp(r->sender, who) != 0 && config_identity_kind(c->o.config, who) != IDENTITY_SOVEREIGN)
		return err_set(e, ERR_DENIED, "only %s, whose schedule it is, and %s may %s it", r->sender,
		    c->o.config->sovereign, what);
	if (strcmp(what, "remove") == 0)
		order_remove(c, h, r);
	else
		order_pause(c, h, r, strcmp(what, "pause") == 0);
	return 0;
}

int
routine_order(struct core *c, struct house *h, const char *who, const cJSON *o, struct err *e)
{
	static const char *const does[] = { "add", "remove", "pause", "resume" };
	const char *what = json_text(o, "do"), *name = json_text(o, "name");

	if (word(what, does, COUNT(does)) < 0)
		return err_field(e, ERR_INVALID, "do", what, "add, remove, pause or resume");
	if (!name_ok(name))
		return err_field(e, ERR_INVALID, "name", name, "a name ([a-z0-9-], at most 32)");
	if (!may_submit(c, who))
		return err_set(e, ERR_DENIED, "who may not submit tasks has no schedules");
	if (strcmp(what, "add") == 0)
		return order_add(c, h, who, name, o, e);
	return order_change(c, h, who, what, name, e);
}

/* ---- what is said of it ---- */

static void
put_run(struct core *c, struct buf *b, const struct house *h, const struct ulid *id)
{
	const struct task *t = task_by_id(c, h, id);
	char text[ULID_TEXT];

	ulid_format(id, text);
	json_kv_str(b, "task_id", text);
	json_kv_str(b, "state", t ? task_state_name(t->state) : "forgotten");
}

void
routine_put_next(const struct core *c, struct buf *b, const struct routine *r)
{
	int64_t from = r->after_ms < c->now.wall_ms ? c->now.wall_ms : r->after_ms,
	    next = r->paused || !r->zone ? 0 : cron_next(&r->cron, r->zone, from);

	if (next)
		json_kv_time(b, "next", next);
}

void
routine_put(struct core *c, struct buf *b, const struct house *h, int i)
{
	const struct routine *r = &h->routines[i];
	struct ulid id;

	json_kv_str(b, "house", h->name);
	json_kv_str(b, "from", "command");
	put_members(b, r);
	routine_put_next(c, b, r);
	if (r->came != ROUTINE_MADE)
		return;
	routine_task_id(r, r->last_ms, &id);
	put_run(c, b, h, &id);
}

/* The last run that is known: those of the configuration are found by their ids. */
void
routine_put_configured(struct core *c, struct buf *b, const struct house *h, const struct config_schedule *s)
{
	int64_t next = cron_next(&s->cron, s->zone, c->now.wall_ms), last = cron_prev(&s->cron, s->zone, c->now.wall_ms + 1);
	struct ulid id;

	json_kv_str(b, "house", h->name);
	json_kv_str(b, "from", "configuration");
	json_kv_str(b, "name", s->name);
	json_kv_str(b, "sender", SCHEDULE_SENDER);
	json_kv_str(b, "cron", s->cron_text);
	json_kv_str(b, "zone", s->zone_name);
	json_kv_str(b, "missed", s->missed);
	json_kv_raw(b, "task", s->task, strlen(s->task));
	if (next)
		json_kv_time(b, "next", next);
	if (!last)
		return;
	schedule_id(s, last, &id);
	if (!task_by_id(c, h, &id))
		return;
	json_kv_time(b, "last", last);
	json_kv_str(b, "came", came_names[ROUTINE_MADE]);
	put_run(c, b, h, &id);
}

/* ---- from owner to owner ---- */

void
routine_take_up(struct house *h)
{
	for (int i = 0; i < h->nroutines; i++) {
		h->routines[i].again_ms = 0;
		if (IS_MUTANT(MUTANT_ROUTINE_AGAIN))
			h->routines[i].after_ms = h->routines[i].added_ms;
		find_next(&h->routines[i]);
	}
}

void
routine_follow(struct core *c, struct house *h, const cJSON *o)
{
	struct routine *old = find(h, json_text(o, "name")), new;

	if (json_is_true(o, "removed")) {
		if (old)
			take_away(c, h, old);
		return;
	}
	if (IS_MUTANT(MUTANT_ROUTINE_UNTOLD) || !read_members(o, &new))
		return;
	if (old) {
		clear(old);
		*old = new;
	} else {
		add(h, &new);
	}
	store(c, h, &new);
}

void
routine_load(struct house *h, const char *row)
{
	cJSON *o = cJSON_Parse(row);
	struct routine r;

	if (read_members(o, &r))
		add(h, &r);
	cJSON_Delete(o);
}

/* A line each: together they may be larger than a broker passes on. */
int
routine_send_all(struct core *c, const struct house *h, const char *to)
{
	for (int i = 0; i < h->nroutines; i++) {
		struct buf *b = work_line(c, to, h, "schedule");

		put_members(b, &h->routines[i]);
		out_end_line(b);
	}
	return h->nroutines;
}

/* When all are there they are what the house has. */
void
routine_comes(struct house *h, const cJSON *o)
{
	if (!h->routines_coming)
		h->routines_coming = cJSON_CreateArray();
	cJSON_AddItemToArray(h->routines_coming, cJSON_Duplicate(o, true));
}

void
routine_forget_coming(struct house *h)
{
	cJSON_Delete(h->routines_coming);
	h->routines_coming = NULL;
}

void
routine_take_all(struct core *c, struct house *h)
{
	const cJSON *o;

	while (h->nroutines)
		take_away(c, h, &h->routines[h->nroutines - 1]);
	cJSON_ArrayForEach(o, h->routines_coming)
		routine_follow(c, h, o);
	routine_forget_coming(h);
}

void
routine_offer(struct core *c, const struct house *h)
{
	for (int i = 0; i < h->nroutines; i++) {
		struct buf *b;

		if (h->routines[i].born <= h->common)
			continue;
		b = work_line(c, h->term.agent, h, "offer_schedule");
		put_members(b, &h->routines[i]);
		out_end_line(b);
	}
}

/* Of a former term, that it had alone. Whoever has its name meanwhile keeps it. */
void
routine_adopt(struct core *c, struct house *h, const cJSON *o)
{
	struct routine r;

	if (!read_members(o, &r))
		return;
	if (find_id(h, &r.id) || find(h, r.name) || h->nroutines >= ROUTINES_MAX) {
		clear(&r);
		return;
	}
	r.born = 0;
	find_next(&r);
	log_info("house %s: schedule %s of a former term is taken in", h->name, r.name);
	tell(c, h, add(h, &r));
}
