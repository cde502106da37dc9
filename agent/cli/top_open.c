/*
 * top_open.c - one thing looked at closely: a task, a request for approval, an alert, an agent.
 */
#include <string.h>

#include "beat.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "remote.h"
#include "top.h"

static void
title(struct page *p, const char *text)
{
	page_line(p, NULL);
	page_line(p, NULL);
	page_put(p, STYLE_BOLD, "%s", text);
}

static void
field(struct page *p, enum style s, const char *name, const char *text)
{
	if (!*text)
		return;
	page_line(p, NULL);
	page_cell(p, STYLE_DIM, 10, "%s", name);
	page_put(p, s, "%s", text);
}

static void
field_int(struct page *p, const char *name, int64_t n)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)n);
	field(p, STYLE_PLAIN, name, text);
}

static const cJSON *
get(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

/* A text as it is, anything else as JSON. */
static void
put_value(struct page *p, const cJSON *v)
{
	char *text = cJSON_IsString(v) ? NULL : cJSON_Print(v);

	for (char *c = text; c && *c; c++)
		if (*c == '\t')
			*c = ' ';
	page_text(p, STYLE_PLAIN, "  ", text ? text : cJSON_IsString(v) ? v->valuestring : "");
	cJSON_free(text);
}

static void
put_section(struct page *p, const char *name, const cJSON *v)
{
	if (!v || cJSON_IsNull(v))
		return;
	title(p, name);
	put_value(p, v);
}

/* ---- a task ---- */

static enum style
state_style(const char *state)
{
	const char *colour = state_color(state);

	return strcmp(colour, "green") == 0 ? STYLE_GOOD : strcmp(colour, "red") == 0 ? STYLE_BAD :
	    strcmp(colour, "yellow") == 0 ? STYLE_WARN : STYLE_BOLD;
}

static void
moment(struct page *p, const char *time)
{
	page_line(p, NULL);
	page_put(p, STYLE_PLAIN, "  ");
	page_cell(p, STYLE_DIM, 23, "%.10s %.12s", time, strlen(time) > 22 ? time + 11 : "");
}

static void
put_attempt(struct page *p, const cJSON *h)
{
	moment(p, json_text(h, "ended"));
	page_put(p, STYLE_BAD, "%s", json_text(h, "how"));
	page_put(p, STYLE_PLAIN, ", attempt %lld on %s", (long long)json_number(h, "attempt", 0), json_text(h, "agent"));
	if (*json_text(h, "message"))
		page_put(p, STYLE_PLAIN, ": %s: %s", json_text(h, "code"), json_text(h, "message"));
}

static void
put_timeline(struct page *p, const cJSON *o, const struct recent_task *r)
{
	const char *state = json_text(o, "state");
	const cJSON *h;
	char time[32];

	title(p, "Timeline (UTC)");
	moment(p, json_text(o, "accepted"));
	page_put(p, STYLE_PLAIN, "accepted from %s", json_text(o, "sender"));
	cJSON_ArrayForEach(h, get(o, "history"))
		put_attempt(p, h);
	if (*json_text(o, "not_before")) {
		moment(p, json_text(o, "not_before"));
		page_put(p, STYLE_PLAIN, "not before this");
	}
	if (*json_text(o, "finished")) {
		moment(p, json_text(o, "finished"));
		page_put(p, state_style(state), "%s", state);
		if (get(o, "run_ms"))
			page_put(p, STYLE_PLAIN, " after %.1f ms", get(o, "run_ms")->valuedouble);
	} else if (r && r->since_ms) {
		clock_format(r->since_ms, time, sizeof time);
		moment(p, time);
		page_put(p, state_style(state), "%s", state);
		if (r->agent[0])
			page_put(p, STYLE_PLAIN, " on %s", r->agent);
	}
	if (*json_text(o, "deadline")) {
		moment(p, json_text(o, "deadline"));
		page_put(p, STYLE_PLAIN, "deadline");
	}
}

static void
put_error(struct page *p, const cJSON *e)
{
	if (!e)
		return;
	title(p, "Error");
	page_line(p, NULL);
	page_put(p, STYLE_BAD, "  %s", json_text(e, "code"));
	page_text(p, STYLE_PLAIN, "  ", json_text(e, "message"));
}

static void
put_known_only(struct page *p, const struct recent_task *r)
{
	if (!r) {
		field(p, STYLE_WARN, "", "no answer of its house yet");
		return;
	}
	field(p, state_style(task_state_name(r->state)), "state", task_state_name(r->state));
	field(p, STYLE_PLAIN, "house", r->house);
	field(p, STYLE_PLAIN, "tool", r->tool);
	field(p, STYLE_PLAIN, "asked by", r->sender);
	field(p, STYLE_PLAIN, "why", r->why);
}

static void
put_task(struct page *p, const struct top *t, const char *id)
{
	const struct recent_task *r = recent_find(&t->recent, id);
	const cJSON *o = t->task, *body = get(o, "task"), *v;
	char state[64];

	page_line(p, NULL);
	page_put(p, STYLE_BOLD, "Task %s", id);
	if (!o) {
		put_known_only(p, r);
		return;
	}
	snprintf(state, sizeof state, "%.20s%s", json_text(o, "state"), json_is_true(o, "cancelling") ? ", being stopped" : "");
	field(p, state_style(json_text(o, "state")), "state", state);
	field(p, STYLE_PLAIN, "house", json_text(o, "house"));
	field(p, STYLE_BOLD, "tool", json_text(o, "tool"));
	field(p, STYLE_PLAIN, "asked by", json_text(o, "sender"));
	field(p, STYLE_PLAIN, "mode", json_text(o, "mode"));
	field_int(p, "priority", json_number(o, "priority", 0));
	if (json_number(o, "attempt", 0))
		field_int(p, "attempt", json_number(o, "attempt", 0));
	field(p, STYLE_WARN, "halted", json_text(o, "halted"));
	field(p, STYLE_WARN, "held", json_text(o, "held"));
	field(p, STYLE_WARN, "approval", json_text(get(o, "approval"), "why"));
	cJSON_ArrayForEach(v, get(o, "waits_for"))
		field(p, STYLE_PLAIN, "waits for", cJSON_IsString(v) ? v->valuestring : "");
	put_timeline(p, o, r);
	put_error(p, get(o, "error"));
	if (t->output.text.len) {
		title(p, t->output.next > (int64_t)t->output.text.len ? "Output, its end" : "Output");
		page_text(p, STYLE_PLAIN, "  ", buf_str(&t->output.text));
	}
	put_section(p, "Result", get(o, "result"));
	put_section(p, "Parameters", get(body, "params"));
}

/* ---- a request ---- */

static void
put_touches(struct page *p, const cJSON *touches)
{
	const cJSON *v;

	title(p, "Touches");
	if (!cJSON_IsArray(touches) || !touches->child) {
		page_line(p, NULL);
		page_put(p, STYLE_PLAIN, cJSON_IsArray(touches) ? "  nothing" : "  it cannot say what");
	}
	cJSON_ArrayForEach(v, touches) {
		page_line(p, NULL);
		page_put(p, STYLE_PLAIN, "  %s %s %s%s", *json_text(v, "access") ? json_text(v, "access") : "write", json_text(v, "kind"),
		    json_text(v, "name"), cJSON_IsNull(get(v, "sha256")) ? "  (not there yet)" : "");
	}
}

static void
put_hash(struct page *p, const cJSON *request)
{
	char hash[CANONICAL_HASH] = "";
	struct err e = { 0 };

	if (canonical_hash(get(request, "subject"), hash, &e))
		field(p, STYLE_BAD, "hash", e.msg);
	else if (strcmp(hash, json_text(request, "hash")) != 0)
		field(p, STYLE_BAD, "hash", "it is not that of what is shown here: somebody changed it. It cannot be approved");
	else
		field(p, STYLE_PLAIN, "hash", hash);
}

static void
put_request(struct page *p, const struct top *t, const char *id)
{
	const struct known_request *r = known_request(&t->known, id);
	const cJSON *subject = r ? get(r->o, "subject") : NULL, *rate = r ? get(get(r->o, "predicted"), "success") : NULL;
	char text[64];

	page_line(p, NULL);
	page_put(p, STYLE_BOLD, "Approval of task %s", id);
	if (!r) {
		field(p, STYLE_WARN, "", "it waits no more: it was decided, cancelled, or its time is over");
		return;
	}
	field(p, STYLE_PLAIN, "house", r->house);
	field(p, STYLE_BOLD, "tool", json_text(subject, "tool"));
	field(p, STYLE_PLAIN, "effect", json_text(subject, "effect"));
	field(p, STYLE_PLAIN, "asked by", json_text(subject, "sender"));
	field(p, STYLE_PLAIN, "mode", json_text(subject, "mode"));
	field(p, STYLE_WARN, "why", json_text(r->o, "why"));
	field(p, STYLE_PLAIN, "target", json_text(r->o, "target"));
	field(p, STYLE_PLAIN, "told by", json_text(r->o, "by"));
	put_hash(p, r->o);
	if (cJSON_IsNumber(rate)) {
		snprintf(text, sizeof text, "%.0f of 100 like it succeed", 100 * rate->valuedouble);
		field(p, STYLE_PLAIN, "predicted", text);
	}
	put_touches(p, get(subject, "touches"));
	put_section(p, "What it would do", get(r->o, "dry_run"));
	put_section(p, "Parameters", get(subject, "params"));
}

/* ---- an alert ---- */

static const struct board_alert *
alert_find(const struct top *t, const char *name)
{
	const char *slash = strchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;

	for (size_t i = 0; i < t->board.nalerts; i++) {
		const struct board_alert *a = &t->board.alerts[i];

		if (slash && strlen(a->agent) == n && memcmp(a->agent, name, n) == 0 && strcmp(a->name, slash + 1) == 0)
			return a;
	}
	return NULL;
}

static void
put_alert(struct page *p, const struct top *t, const char *name)
{
	const struct board_alert *a = alert_find(t, name);
	const struct alert_rule *r = a ? &alert_rules[a->kind] : NULL;
	int64_t now = clock_wall_ms();
	const struct board_mute *m = a ? board_mute(&t->board, a, now) : NULL;
	char text[64];

	page_line(p, NULL);
	page_put(p, STYLE_BOLD, "Alert %s", a ? a->name : name);
	if (!a) {
		field(p, STYLE_WARN, "", "it is not known any more");
		return;
	}
	field(p, board_is_raised(a, now) ? STYLE_BAD : STYLE_GOOD, "state", board_is_raised(a, now) ? "raised" : "cleared");
	field(p, STYLE_PLAIN, "severity", r->severity);
	field(p, STYLE_PLAIN, "said by", a->agent);
	snprintf(text, sizeof text, "%lld %.12s, the threshold is %lld", (long long)json_number(a->o, "value", 0), r->unit,
	    (long long)json_number(a->o, "limit", 0));
	field(p, STYLE_PLAIN, "value", text);
	field(p, STYLE_PLAIN, "since", json_text(a->o, "since"));
	if (m)
		field(p, STYLE_PLAIN, m->ack ? "seen by" : "silent by", m->who);
	title(p, "What it is");
	page_text(p, STYLE_PLAIN, "  ", r->what);
	title(p, "What to do");
	page_text(p, STYLE_PLAIN, "  ", r->mend);
	page_line(p, NULL);
	page_put(p, STYLE_PLAIN, "  docs/TROUBLESHOOTING.md#%s", r->name);
	page_line(p, NULL);
	page_put(p, STYLE_PLAIN, "  uni-wizard alerts ack %s, when you look after it", a->name);
}

/* ---- an agent ---- */

static void
put_agent_houses(struct page *p, const cJSON *o)
{
	const cJSON *h;

	title(p, "Houses");
	cJSON_ArrayForEach(h, get(o, "houses")) {
		page_line(p, NULL);
		page_put(p, STYLE_PLAIN, "  ");
		page_cell(p, STYLE_PLAIN, 12, "%s", json_text(h, "house"));
		page_cell(p, beat_owns(h) ? STYLE_BOLD : STYLE_PLAIN, 8, "%s", *json_text(h, "role") ? json_text(h, "role") : "owner");
		page_cell(p, STYLE_PLAIN, 14, "term %lld", (long long)beat_term(h));
		page_put(p, STYLE_PLAIN, "up to event %lld", (long long)json_number(h, "have", json_number(h, "head", 0)));
	}
}

static void
put_agent(struct page *p, const struct top *t, const char *name)
{
	const struct beat *b = houses_beat(&t->houses, name);
	const cJSON *o = b ? b->o : NULL, *pool = get(o, "pool"), *outbox = get(o, "outbox");
	char up[16], text[96];

	page_line(p, NULL);
	page_put(p, STYLE_BOLD, "Agent %s", name);
	if (!o || beat_is_away(b)) {
		field(p, STYLE_BAD, "state", o ? "away" : "not heard");
		return;
	}
	field(p, b->live ? STYLE_GOOD : STYLE_BAD, "state", b->live ? json_text(o, "state") : "silent; this is what it said last");
	field(p, STYLE_PLAIN, "host", json_text(o, "host"));
	field(p, STYLE_PLAIN, "version", json_text(o, "version"));
	age_text(up, sizeof up, 1000 * json_number(o, "up_s", 0));
	field(p, STYLE_PLAIN, "up", up);
	field(p, STYLE_PLAIN, "said at", json_text(o, "time"));
	snprintf(text, sizeof text, "%lld, %lld busy; %lld started again after a crash", (long long)json_number(pool, "workers", 0),
	    (long long)json_number(pool, "busy", 0), (long long)json_number(pool, "restarts", 0));
	field(p, STYLE_PLAIN, "workers", text);
	snprintf(text, sizeof text, "%lld succeeded, %lld failed, %lld ran out of time, %lld crashed", (long long)json_number(pool, "succeeded", 0),
	    (long long)json_number(pool, "failed", 0), (long long)json_number(pool, "timed_out", 0), (long long)json_number(pool, "crashed", 0));
	field(p, STYLE_PLAIN, "attempts", text);
	snprintf(text, sizeof text, "%lld bytes wait, %lld events dropped", (long long)json_number(outbox, "bytes", 0),
	    (long long)json_number(outbox, "dropped_events", 0));
	field(p, STYLE_PLAIN, "outbox", text);
	field(p, STYLE_BAD, "disk", json_is_true(o, "disk_low") ? "low: it refuses tasks" : "");
	put_agent_houses(p, o);
}

void
top_put_open(struct page *p, const struct top *t)
{
	static const struct {
		const char *kind;
		void (*put)(struct page *p, const struct top *t, const char *name);
	} kinds[] = {
		{ "task", put_task }, { "approval", put_request }, { "alert", put_alert }, { "agent", put_agent },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const char *name = top_key_name(t->open, kinds[i].kind);

		if (name)
			kinds[i].put(p, t, name);
	}
}

void
top_put_help(struct page *p)
{
	static const char *const lines[][2] = {
		{ "Up, Down", "choose a line; in what is open: scroll. Also j and k" },
		{ "Tab", "go on to the next part of the screen" },
		{ "Enter", "look closer; on a house: only its tasks, and all again" },
		{ "Esc, Left", "back" },
		{ "a", "approve what is chosen and waits for that" },
		{ "d", "deny it, with a reason" },
		{ "c", "cancel the task that is chosen" },
		{ "h", "only the tasks of one house: the next one" },
		{ "s", "only tasks that run; wait; ended badly; are done; all" },
		{ "r", "ask the houses for their tasks again" },
		{ "q", "quit" },
	};

	page_line(p, NULL);
	page_put(p, STYLE_BOLD, "Keys");
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		page_line(p, NULL);
		page_put(p, STYLE_PLAIN, "  ");
		page_cell(p, STYLE_BOLD, 10, "%s", lines[i][0]);
		page_put(p, STYLE_PLAIN, "%s", lines[i][1]);
	}
	title(p, "What is shown");
	page_text(p, STYLE_PLAIN, "  ",
	    "LAG is how many of the owner's events the worst candidate has not yet. A candidate that is named alone may take over at once; "
	    "of others it is said what they are.\n"
	    "Tasks are those that were heard of since this began and the newest that each house knew then, of each kind some.\n"
	    "The first line says when what is seen may not be so any more.");
}
