/*
 * top_glance.c - the cluster at a glance: what needs a look, houses, agents, tasks. Each part gets the lines that it
 * needs while there are enough; then agents become one line, and of the rest those are shown that are not well.
 */
#include <stdlib.h>
#include <string.h>

#include "alert.h"
#include "beat.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "policy.h"
#include "top.h"

#define TASK_LINES 6                    /* tasks get so many, with their head, before agents get a line each */
#define MANY 64                         /* lines of tasks where there is no end of lines */

static const char *
age(int64_t ms)
{
	static char text[16];

	age_text(text, sizeof text, ms);
	return text;
}

const char *
top_key_name(const char *key, const char *kind)
{
	size_t n = strlen(kind);

	return strncmp(key, kind, n) == 0 && key[n] == ':' ? key + n + 1 : NULL;
}

static void
key_line(struct page *p, const char *kind, const char *name)
{
	char key[PAGE_KEY_MAX];

	snprintf(key, sizeof key, "%s:%s", kind, name);
	page_line(p, key);
}

static void
head(struct page *p, bool gap)
{
	if (gap)
		page_line(p, NULL);
	page_line(p, NULL);
}

/* ---- the bar ---- */

static void
clock_only(int64_t wall_ms, char out[16])
{
	char time[32];

	clock_format(wall_ms, time, sizeof time);
	snprintf(out, 16, "%.8sZ", time + 11);
}

static void
as_of(const struct top *t, struct buf *b)
{
	char when[16];

	if (!t->heard_wall_ms)
		return;
	clock_only(t->heard_wall_ms, when);
	buf_addf(b, ", as of %s", when);
}

/* True if what is seen is so. */
static bool
status(const struct top *t, int64_t now_ms, struct buf *b)
{
	char time[16];

	if (!t->up && !t->heard_ms && now_ms - t->changed_ms < TOP_STALE_MS) {
		buf_addf(b, "connecting");
		return true;
	}
	if (!t->up) {
		buf_addf(b, "DISCONNECTED for %s", age(now_ms - t->changed_ms));
		as_of(t, b);
		buf_addf(b, ": %s", t->why_down[0] ? t->why_down : "no answer");
		return false;
	}
	if (now_ms - t->heard_ms >= TOP_STALE_MS && now_ms - t->changed_ms >= TOP_STALE_MS) {
		buf_addf(b, "STALE: no agent heard for %s", age(now_ms - (t->heard_ms > t->changed_ms ? t->heard_ms : t->changed_ms)));
		as_of(t, b);
		return false;
	}
	clock_only(clock_wall_ms(), time);
	buf_addf(b, "%s  %s", now_ms - t->heard_ms < TOP_STALE_MS ? "live" : "connected", time);
	return true;
}

void
top_put_bar(struct page *p, const struct top *t, int64_t now_ms)
{
	struct buf b = { .max = 512 };
	enum style s = status(t, now_ms, &b) ? STYLE_BAR : STYLE_ALARM;
	int gap;

	page_line(p, NULL);
	page_put(p, s, " %s%s ", s == STYLE_ALARM ? "" : "uni-wizard ", t->config->cluster);
	if (t->house)
		page_put(p, s, " only %s ", t->house->name);
	gap = p->width - p->lines[p->nlines - 1].cols - (int)b.len - 1;
	page_put(p, s, "%*s%s", s == STYLE_BAR && gap > 0 ? gap : 1, "", buf_str(&b));
	page_fill(p, s);
	buf_free(&b);
}

/* ---- what needs a look ---- */

static bool
is_asked_here(const struct top *t, const struct known_request *r)
{
	return !t->house || strcmp(r->house, t->house->name) == 0;
}

static size_t
count_alerts(const struct top *t, int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < t->board.nalerts; i++)
		n += board_is_raised(&t->board.alerts[i], now) && !board_mute(&t->board, &t->board.alerts[i], now);
	return n;
}

static size_t
count_requests(const struct top *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->known.nrequests; i++)
		n += is_asked_here(t, &t->known.requests[i]);
	return n;
}

static size_t
count_halts(const struct top *t)
{
	return t->known.halt.line ? t->known.halt.s.u.halt.nhalts : 0;
}

static void
put_halts(struct page *p, const struct top *t, size_t max)
{
	const struct halt *h = &t->known.halt.s.u.halt;

	for (size_t i = 0; i < count_halts(t) && i < max; i++) {
		char text[SOVEREIGN_WHY * 2];

		halt_describe(&h->halts[i], h->why, text);
		page_line(p, NULL);
		page_cell(p, STYLE_BAD, 8, "halted");
		page_put(p, STYLE_PLAIN, "%s", text);
	}
}

static void
put_alert(struct page *p, const struct board_alert *a, int64_t now)
{
	const struct alert_rule *r = &alert_rules[a->kind];
	char name[NAME_MAX_LEN + ALERT_NAME_MAX + 2];

	snprintf(name, sizeof name, "%s/%s", a->agent, a->name);
	key_line(p, "alert", name);
	page_cell(p, strcmp(r->severity, "critical") == 0 ? STYLE_BAD : STYLE_WARN, 8, "%s", r->severity);
	page_cell(p, STYLE_PLAIN, -4, "%s", age(now - a->since_ms));
	page_cell(p, STYLE_BOLD, (int)strlen(a->name), "%s", a->name);
	page_put(p, STYLE_PLAIN, "%s", r->what);
}

/* Critical ones first: two rounds. */
static size_t
put_alerts(struct page *p, const struct top *t, size_t max, int64_t now)
{
	size_t n = 0;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < t->board.nalerts && n < max; i++) {
			const struct board_alert *a = &t->board.alerts[i];

			if (!board_is_raised(a, now) || board_mute(&t->board, a, now) ||
			    (strcmp(alert_rules[a->kind].severity, "critical") == 0) != (round == 0))
				continue;
			put_alert(p, a, now);
			n++;
		}
	}
	return n;
}

static void
put_request(struct page *p, const struct known_request *r, int64_t now)
{
	const cJSON *subject = cJSON_GetObjectItemCaseSensitive(r->o, "subject");
	int64_t asked = json_number(r->o, "time", 0);

	if (!asked)
		clock_parse(json_text(r->o, "time"), &asked, NULL);
	key_line(p, "approval", r->task);
	page_cell(p, STYLE_WARN, 8, "approval");
	page_cell(p, STYLE_PLAIN, -4, "%s", asked ? age(now - asked) : "");
	page_put(p, STYLE_BOLD, "%s", json_text(subject, "tool"));
	page_put(p, STYLE_PLAIN, " in %s, asked by %s: %s %s", r->house, json_text(subject, "sender"), json_text(r->o, "why"),
	    json_text(r->o, "target"));
}

static void
put_requests(struct page *p, const struct top *t, size_t max, int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < t->known.nrequests && n < max; i++) {
		if (!is_asked_here(t, &t->known.requests[i]))
			continue;
		put_request(p, &t->known.requests[i], now);
		n++;
	}
}

static void
put_look(struct page *p, const struct top *t, size_t max)
{
	int64_t now = clock_wall_ms();
	size_t halts = count_halts(t), alerts = count_alerts(t, now), requests = count_requests(t);
	size_t of_requests = requests < (max + 1) / 2 ? requests : (max + 1) / 2;

	head(p, false);
	if (!halts && !alerts && !requests) {
		page_put(p, STYLE_DIM, "No alert, and nothing waits for approval.");
		return;
	}
	page_put(p, STYLE_BOLD, "Needs a look: ");
	page_put(p, alerts ? STYLE_BAD : STYLE_PLAIN, "%zu alert%s", alerts, alerts == 1 ? "" : "s");
	page_put(p, STYLE_PLAIN, ", ");
	page_put(p, requests ? STYLE_WARN : STYLE_PLAIN, "%zu approval%s", requests, requests == 1 ? "" : "s");
	if (halts)
		page_put(p, STYLE_BAD, ", %zu halt%s", halts, halts == 1 ? "" : "s");
	halts = halts < max ? halts : max;
	put_halts(p, t, halts);
	max -= halts;
	alerts = put_alerts(p, t, max > of_requests ? max - of_requests : 0, now);
	put_requests(p, t, max - alerts, now);
}

/* ---- houses ---- */

static const struct config_house *
house_at(const struct top *t, size_t i)
{
	return i < t->config->nhouses ? &t->config->houses[i] : NULL;
}

static int
names_width(const struct top *t, bool agents)
{
	size_t width = agents ? 5 : 6;

	for (size_t i = 0; i < (agents ? t->houses.n : t->config->nhouses); i++) {
		size_t n = strlen(agents ? t->houses.agents[i] : t->config->houses[i].name);

		width = n > width ? n : width;
	}
	return (int)width;
}

static void
put_count(struct page *p, bool known, int64_t n, int cols)
{
	if (known)
		page_cell(p, n ? STYLE_BOLD : STYLE_PLAIN, -cols, "%lld", (long long)n);
	else
		page_cell(p, STYLE_DIM, -cols, "-");
}

static void
put_candidates(struct page *p, const struct top *t, const struct house_view *v)
{
	bool first = true;

	for (size_t i = 0; i < v->candidates->n; i++) {
		const char *agent = v->candidates->v[i], *state = house_candidate_state(&t->houses, v, agent);

		if (strcmp(state, "owner") == 0)
			continue;
		page_put(p, STYLE_PLAIN, "%s%s", first ? "" : ", ", agent);
		if (strcmp(state, "in step") != 0)
			page_put(p, STYLE_WARN, " (%s)", state);
		first = false;
	}
	if (first)
		page_put(p, STYLE_DIM, "none");
}

static void
put_house(struct page *p, const struct top *t, const struct house_view *v)
{
	int64_t lag = house_worst_lag(&t->houses, v), term = beat_term(v->part);
	const char *state = house_owner_state(v);
	char since[16];

	house_age(v, since, sizeof since);
	key_line(p, "house", v->house);
	page_cell(p, t->house && strcmp(t->house->name, v->house) == 0 ? STYLE_BOLD : STYLE_PLAIN, names_width(t, false), "%s", v->house);
	page_cell(p, STYLE_PLAIN, names_width(t, true), "%s", v->owner ? v->owner : "-");
	page_cell(p, !house_is_held(v) ? STYLE_BAD : strcmp(state, "online") == 0 ? STYLE_GOOD : STYLE_WARN, 8, "%s", state);
	page_cell(p, STYLE_PLAIN, -4, term > 0 ? "%lld" : "-", (long long)term);
	page_cell(p, STYLE_PLAIN, -4, "%s", since);
	put_count(p, v->owner, json_number(v->part, "queued", 0), 5);
	put_count(p, v->owner, json_number(v->part, "running", 0), 4);
	put_count(p, lag >= 0, lag, 4);
	put_candidates(p, t, v);
}

/* Those without an owner first, if there is not room for all. */
static void
put_houses(struct page *p, const struct top *t, size_t max, bool gap)
{
	size_t all = t->config->nhouses + 1, n = 0;

	head(p, gap);
	if (all > max)
		page_cell(p, STYLE_WARN, names_width(t, false), "%zu of %zu", max, all);
	else
		page_cell(p, STYLE_DIM, names_width(t, false), "HOUSE");
	page_cell(p, STYLE_DIM, names_width(t, true), "OWNER");
	page_cell(p, STYLE_DIM, 8, "STATE");
	page_cell(p, STYLE_DIM, -4, "TERM");
	page_cell(p, STYLE_DIM, -4, "HELD");
	page_cell(p, STYLE_DIM, -5, "QUEUE");
	page_cell(p, STYLE_DIM, -4, "RUNS");
	page_cell(p, STYLE_DIM, -4, "LAG");
	page_put(p, STYLE_DIM, "CANDIDATES");
	for (int round = all > max ? 0 : 2; round < 3; round++) {
		for (size_t i = 0; i < all && n < max; i++) {
			struct house_view v = houses_view(&t->houses, house_at(t, i));

			if (round == 2 ? all <= max : house_is_held(&v) == (round == 1)) {
				put_house(p, t, &v);
				n++;
			}
		}
	}
}

/* ---- agents ---- */

static bool
is_well(const struct beat *b)
{
	return b->live && strcmp(beat_text(b->o, "state"), "online") == 0 && !json_is_true(b->o, "disk_low");
}

static const char *
agent_state(const struct beat *b)
{
	if (!b->o)
		return "not heard";
	if (beat_is_away(b))
		return "away";
	if (!b->live)
		return "silent";
	return json_is_true(b->o, "disk_low") ? "disk low" : beat_text(b->o, "state");
}

static void
put_owned(struct page *p, const struct beat *b)
{
	const cJSON *h;
	bool first = true;

	if (!b->live)
		return;
	cJSON_ArrayForEach(h, cJSON_GetObjectItemCaseSensitive(b->o, "houses"))
		if (beat_owns(h)) {
			page_put(p, STYLE_PLAIN, "%s%s", first ? "" : ", ", beat_text(h, "house"));
			first = false;
		}
}

/* What it should not have, in few words. */
static void
put_troubles(struct page *p, const struct beat *b)
{
	const cJSON *outbox = cJSON_GetObjectItemCaseSensitive(b->o, "outbox");
	int64_t bytes = json_number(outbox, "bytes", 0), dropped = json_number(outbox, "dropped_events", 0);

	if (bytes >= 1024)
		page_put(p, STYLE_WARN, "  %lld KiB wait for the broker", (long long)(bytes / 1024));
	if (dropped)
		page_put(p, STYLE_BAD, "  %lld events dropped", (long long)dropped);
	if (json_is_true(cJSON_GetObjectItemCaseSensitive(b->o, "sovereign"), "behind"))
		page_put(p, STYLE_WARN, "  behind: starts nothing");
}

static void
put_agent(struct page *p, const struct top *t, size_t i)
{
	const struct beat *b = &t->houses.beats[i];
	const cJSON *pool = cJSON_GetObjectItemCaseSensitive(b->o, "pool");
	bool here = b->live && !beat_is_away(b);

	key_line(p, "agent", t->houses.agents[i]);
	page_cell(p, STYLE_PLAIN, names_width(t, true), "%s", t->houses.agents[i]);
	page_cell(p, is_well(b) ? STYLE_GOOD : b->live && !beat_is_away(b) ? STYLE_WARN : STYLE_BAD, 9, "%s", agent_state(b));
	page_cell(p, STYLE_PLAIN, -4, "%s", here ? age(1000 * json_number(b->o, "up_s", 0)) : "-");
	if (here)
		page_cell(p, STYLE_PLAIN, -7, "%lld/%lld", (long long)json_number(pool, "busy", 0), (long long)json_number(pool, "workers", 0));
	else
		page_cell(p, STYLE_DIM, -7, "-");
	put_owned(p, b);
	put_troubles(p, b);
}

static void
put_agents(struct page *p, const struct top *t, bool gap)
{
	head(p, gap);
	page_cell(p, STYLE_DIM, names_width(t, true), "AGENT");
	page_cell(p, STYLE_DIM, 9, "STATE");
	page_cell(p, STYLE_DIM, -4, "UP");
	page_cell(p, STYLE_DIM, -7, "WORKERS");
	page_put(p, STYLE_DIM, "OWNS");
	for (size_t i = 0; i < t->houses.n; i++)
		put_agent(p, t, i);
}

static void
put_agents_short(struct page *p, const struct top *t)
{
	size_t well = 0;

	head(p, false);
	for (size_t i = 0; i < t->houses.n; i++)
		well += is_well(&t->houses.beats[i]);
	page_put(p, STYLE_DIM, "AGENTS  ");
	page_put(p, well == t->houses.n ? STYLE_GOOD : STYLE_PLAIN, "%zu of %zu online", well, t->houses.n);
	for (size_t i = 0; i < t->houses.n; i++)
		if (!is_well(&t->houses.beats[i]))
			page_put(p, STYLE_BAD, "  %s %s", t->houses.agents[i], agent_state(&t->houses.beats[i]));
}

/* ---- tasks ---- */

static enum style
task_style(const struct recent_task *t)
{
	static const enum style styles[RECENT_NGROUPS] = { STYLE_BOLD, STYLE_WARN, STYLE_BAD, STYLE_GOOD };

	return t->state == TASK_CANCELLED ? STYLE_DIM : styles[recent_group_of(t)];
}

/* Rows of lists do not say what the sovereign is asked for; his request does. */
static const char *
why_of(const struct top *t, const struct recent_task *x)
{
	const struct known_request *r = x->state == TASK_WAITING && !x->why[0] ? known_request(&t->known, x->id) : NULL;

	return r ? json_text(r->o, "why") : x->why;
}

static void
put_task(struct page *p, const struct top *t, const struct recent_task *x, int64_t now)
{
	key_line(p, "task", x->id);
	page_cell(p, task_style(x), 9, "%s", x->stopping ? "stopping" : x->state == TASK_WAITING ? "approval?" : task_state_name(x->state));
	page_cell(p, STYLE_PLAIN, -4, "%s", age(now - x->since_ms));
	page_cell(p, STYLE_PLAIN, names_width(t, false), "%s", x->house);
	page_cell(p, STYLE_PLAIN, 14, "%s", x->tool);
	page_cell(p, STYLE_PLAIN, 8, "%s", x->sender);
	if (p->width == 0 || p->width >= 110)
		page_cell(p, STYLE_DIM, 26, "%s", x->id);
	if (x->attempt > 1)
		page_put(p, STYLE_PLAIN, "try %d ", x->attempt);
	if (recent_group_of(x) == RECENT_RUNNING && x->agent[0])
		page_put(p, STYLE_PLAIN, "on %s", x->agent);
	else
		page_put(p, STYLE_PLAIN, "%s", why_of(t, x));
}

static void
put_tasks_head(struct page *p, const struct top *t, bool gap)
{
	int64_t running = 0, queued = 0, open = 0;

	for (size_t i = 0; i <= t->config->nhouses; i++) {
		struct house_view v = houses_view(&t->houses, house_at(t, i));

		if (t->house && t->house != house_at(t, i))
			continue;
		running += json_number(v.part, "running", 0);
		queued += json_number(v.part, "queued", 0);
		open += json_number(v.part, "open", 0);
	}
	head(p, gap);
	page_cell(p, STYLE_DIM, 9, "TASKS");
	if (t->group >= 0)
		page_put(p, STYLE_WARN, "only %s  ", recent_groups[t->group]);
	page_put(p, STYLE_DIM, "%lld running, %lld queued, %lld open, %.1f end per second", (long long)running, (long long)queued,
	    (long long)open, t->rate);
}

/* Each group gets a quarter if it needs that, and then what is left. */
static void
share(const size_t have[RECENT_NGROUPS], size_t lines, size_t out[RECENT_NGROUPS])
{
	size_t quarter = lines / RECENT_NGROUPS;

	for (int g = 0; g < RECENT_NGROUPS; g++) {
		out[g] = have[g] < quarter ? have[g] : quarter;
		lines -= out[g];
	}
	for (int g = 0; g < RECENT_NGROUPS; g++) {
		size_t more = have[g] - out[g] < lines ? have[g] - out[g] : lines;

		out[g] += more;
		lines -= more;
	}
}

static void
put_tasks(struct page *p, const struct top *t, size_t lines, bool gap)
{
	static const struct recent_task *found[RECENT_NGROUPS][RECENT_MAX];
	size_t have[RECENT_NGROUPS], shown[RECENT_NGROUPS], all = 0;
	int64_t now = clock_wall_ms();

	put_tasks_head(p, t, gap);
	for (int g = 0; g < RECENT_NGROUPS; g++) {
		have[g] = t->group >= 0 && t->group != g ? 0 :
		    recent_list(&t->recent, (enum recent_group)g, t->house ? t->house->name : NULL, found[g], RECENT_MAX);
		all += have[g];
	}
	share(have, lines, shown);
	for (int g = 0; g < RECENT_NGROUPS; g++)
		for (size_t i = 0; i < shown[g]; i++)
			put_task(p, t, found[g][i], now);
	if (!all) {
		page_line(p, NULL);
		page_put(p, STYLE_DIM, "None.");
	}
}

void
top_put_glance(struct page *p, const struct top *t, int lines)
{
	size_t look = count_halts(t) + count_alerts(t, clock_wall_ms()) + count_requests(t), houses = t->config->nhouses + 1;
	size_t most, left;
	bool gap, wide;

	if (t->group >= 0) {
		put_tasks(p, t, RECENT_MAX, false);
		return;
	}
	lines = lines ? lines : MANY + (int)(look + houses + t->houses.n);
	most = lines < 10 ? 1 : lines < 20 ? 2 : (size_t)lines / 5;
	look = look < most ? look : most;
	most = lines < 12 ? 2 : (size_t)lines / 3;
	houses = houses < most ? houses : most;
	left = (size_t)lines > look + houses + 2 ? (size_t)lines - look - houses - 2 : 0;
	wide = left >= 1 + t->houses.n + TASK_LINES;
	left -= wide ? 1 + t->houses.n : left > 0;
	gap = left >= TASK_LINES + 3;
	left -= gap ? 3 : 0;
	put_look(p, t, look);
	put_houses(p, t, houses, gap);
	if (wide)
		put_agents(p, t, gap);
	else
		put_agents_short(p, t);
	put_tasks(p, t, left > 1 ? left - 1 : 0, gap);
}
