#include "recent.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "json.h"

const char *const recent_groups[RECENT_NGROUPS] = { "running", "waiting", "ended badly", "done" };

void
recent_init(struct recent *r)
{
	*r = (struct recent){ .v = xcalloc(RECENT_MAX, sizeof *r->v) };
}

void
recent_release(struct recent *r)
{
	free(r->v);
	*r = (struct recent){ .v = NULL };
}

enum recent_group
recent_group_of(const struct recent_task *t)
{
	static const enum recent_group groups[TASK_NSTATES] = {
		[TASK_ACCEPTED] = RECENT_WAITING, [TASK_WAITING] = RECENT_WAITING, [TASK_SCHEDULED] = RECENT_WAITING,
		[TASK_QUEUED] = RECENT_WAITING, [TASK_RETRYING] = RECENT_WAITING, [TASK_FORWARDED] = RECENT_WAITING,
		[TASK_STARTING] = RECENT_RUNNING, [TASK_RUNNING] = RECENT_RUNNING,
		[TASK_UNCERTAIN] = RECENT_BAD, [TASK_FAILED] = RECENT_BAD, [TASK_DEAD] = RECENT_BAD, [TASK_EXPIRED] = RECENT_BAD,
		[TASK_DENIED] = RECENT_BAD,
		[TASK_SUCCEEDED] = RECENT_DONE, [TASK_CANCELLED] = RECENT_DONE,
	};

	return groups[t->state];
}

struct recent_task *
recent_find(const struct recent *r, const char *id)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->v[i].id, id) == 0)
			return &r->v[i];
	return NULL;
}

static void
drop(struct recent *r, struct recent_task *t)
{
	*t = r->v[--r->n];
}

static bool
has_ended(const struct recent_task *t)
{
	return task_state_is_terminal(t->state);
}

/* Ids sort by time. */
static void
make_room(struct recent *r)
{
	struct recent_task *worst = &r->v[0];

	for (size_t i = 1; i < r->n; i++) {
		struct recent_task *t = &r->v[i];

		if (has_ended(t) != has_ended(worst) ? has_ended(t) : strcmp(t->id, worst->id) < 0)
			worst = t;
	}
	drop(r, worst);
}

static struct recent_task *
get(struct recent *r, const char *id)
{
	struct recent_task *t = recent_find(r, id);

	if (t)
		return t;
	if (r->n == RECENT_MAX)
		make_room(r);
	t = &r->v[r->n++];
	*t = (struct recent_task){ .state = TASK_QUEUED };
	snprintf(t->id, sizeof t->id, "%.26s", id);
	return t;
}

void
recent_forget(struct recent *r, const char *id)
{
	struct recent_task *t = recent_find(r, id);

	if (t)
		drop(r, t);
}

static void
copy(char *out, size_t size, const char *text)
{
	if (*text)
		snprintf(out, size, "%.*s", (int)size - 1, text);
}

static int64_t
time_of(const cJSON *o, const char *name)
{
	int64_t ms = json_number(o, name, 0);

	if (!ms)
		clock_parse(json_text(o, name), &ms, NULL);
	return ms;
}

/* What an end says is final: an answer may have been on its way meanwhile. */
static void
enter(struct recent_task *t, enum task_state s, int64_t at_ms)
{
	if (has_ended(t) && !task_state_is_terminal(s))
		return;
	if (t->state != s || !t->since_ms) {
		t->since_ms = at_ms ? at_ms : clock_wall_ms();
		t->why[0] = '\0';
	}
	t->state = s;
	t->stopping &= !task_state_is_terminal(s);
}

static void
take_why(struct recent_task *t, const cJSON *o)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error");
	const char *held = json_text(o, "held"), *halted = json_text(o, "halted");
	const cJSON *approval = cJSON_GetObjectItemCaseSensitive(o, "approval");

	if (e && (t->state == TASK_CANCELLED || t->state == TASK_DENIED))
		copy(t->why, sizeof t->why, json_text(e, "message"));
	else if (e && t->state != TASK_SUCCEEDED)
		snprintf(t->why, sizeof t->why, "%.24s: %.130s", json_text(e, "code"), json_text(e, "message"));
	else if (*halted)
		snprintf(t->why, sizeof t->why, "halted: %.140s", halted);
	else if (*held)
		copy(t->why, sizeof t->why, held);
	else if (t->state == TASK_WAITING)
		copy(t->why, sizeof t->why, json_text(approval, "why"));
}

/* Types that mean a state; others have none, or a member that says it. */
static int
state_of_event(const cJSON *o)
{
	static const struct {
		const char *type;
		enum task_state state;
	} types[] = {
		{ "accepted", TASK_QUEUED }, { "scheduled", TASK_SCHEDULED }, { "waiting_approval", TASK_WAITING },
		{ "approved", TASK_QUEUED }, { "starting", TASK_STARTING }, { "started", TASK_RUNNING },
		{ "retrying", TASK_RETRYING }, { "requeued", TASK_QUEUED },
	};
	enum task_state s;

	if (*json_text(o, "state"))
		return task_state_parse(json_text(o, "state"), &s) ? -1 : (int)s;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(types[i].type, json_text(o, "type")) == 0)
			return (int)types[i].state;
	return -1;
}

/* The router's word counts only until a house has the task. */
static bool
is_news(const struct recent_task *t, const char *house)
{
	return !t || strcmp(house, "_") != 0 || strcmp(t->house, "_") == 0;
}

static void
take_handed_on(struct recent *r, const char *house, const char *id)
{
	struct recent_task *t = recent_find(r, id);

	if (t && strcmp(t->house, house) == 0)
		drop(r, t);
}

static void
fill(struct recent_task *t, const char *house, const cJSON *o, int64_t now_ms)
{
	copy(t->house, sizeof t->house, house);
	copy(t->tool, sizeof t->tool, json_text(o, "tool"));
	copy(t->sender, sizeof t->sender, json_text(o, "sender"));
	copy(t->agent, sizeof t->agent, json_text(o, "agent"));
	t->attempt = (int)json_number(o, "attempt", t->attempt);
	t->heard_ms = now_ms;
}

void
recent_take_event(struct recent *r, const char *house, const cJSON *o, int64_t now_ms)
{
	const char *id = json_text(o, "id"), *type = json_text(o, "type");
	int s = state_of_event(o);
	struct recent_task *t;

	if (strlen(id) != ULID_TEXT - 1)
		return;
	if (strcmp(type, "forwarded") == 0 || strcmp(type, "handed_over") == 0) {
		take_handed_on(r, house, id);
		return;
	}
	t = recent_find(r, id);
	if (strcmp(type, "cancelling") == 0 && t)
		t->stopping = true;
	if (s < 0 || s == TASK_FORWARDED || !is_news(t, house))
		return;
	t = get(r, id);
	fill(t, house, o, now_ms);
	copy(t->tool, sizeof t->tool, json_text(cJSON_GetObjectItemCaseSensitive(o, "task"), "tool"));
	r->ended += !has_ended(t) && task_state_is_terminal((enum task_state)s);
	enter(t, (enum task_state)s, time_of(o, "time"));
	take_why(t, o);
}

void
recent_take_row(struct recent *r, const cJSON *o, int64_t now_ms)
{
	const char *id = json_text(o, "id"), *house = json_text(o, "house");
	enum task_state s;
	struct recent_task *t;

	if (strlen(id) != ULID_TEXT - 1 || task_state_parse(json_text(o, "state"), &s) || s == TASK_FORWARDED ||
	    !is_news(recent_find(r, id), house))
		return;
	t = get(r, id);
	fill(t, house, o, now_ms);
	t->stopping = json_is_true(o, "cancelling");
	enter(t, s, time_of(o, *json_text(o, "finished") ? "finished" : *json_text(o, "started") && s == TASK_RUNNING ? "started"
	    : "accepted"));
	take_why(t, o);
}

static int
newest_first(const void *a, const void *b)
{
	const struct recent_task *x = *(struct recent_task *const *)a, *y = *(struct recent_task *const *)b;

	if (x->since_ms != y->since_ms)
		return x->since_ms < y->since_ms ? 1 : -1;
	return strcmp(y->id, x->id);
}

size_t
recent_list(const struct recent *r, enum recent_group g, const char *house, const struct recent_task **out, size_t max)
{
	static const struct recent_task *found[RECENT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (recent_group_of(&r->v[i]) == g && (!house || strcmp(r->v[i].house, house) == 0))
			found[n++] = &r->v[i];
	qsort(found, n, sizeof *found, newest_first);
	for (size_t i = 0; i < n && i < max; i++)
		out[i] = found[i];
	return n;
}

