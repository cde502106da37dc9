/*
 * cmd_top.c - top: the cluster on one screen, live, and keys to look closer, decide and cancel.
 */
#include <locale.h>
#include <stdarg.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "approvals.h"
#include "clock.h"
#include "edict.h"
#include "json.h"
#include "passphrase.h"
#include "remote.h"
#include "screen.h"
#include "top.h"

#define WAIT_MS 50                      /* for messages; then keys are looked at */
#define DRAW_MS 250
#define ASK_MS 1000                     /* the task that is looked at */
#define QUIET_MS 30000                  /* nothing was heard of an open task: is it still there? */
#define CHECK_MS 10000                  /* so often that is looked at ... */
#define CHECK_TASKS 16                  /* ... and for so many asked */
#define NOTE_MS 8000
#define RATE_S 10
#define LIST_LIMIT "100"
#define ONCE_MS 3000
#define ONCE_WIDTH 100
#define WIDTH_MIN 20
#define WIDTH_MAX 1000

static const struct cmd_opt opts[] = {
	{ .name = "house", .letter = 'H', .kind = OPT_TEXT, .arg = "H",
	  .help = "begin with only this house's tasks", .complete = "houses" },
	{ .name = "once", .kind = OPT_FLAG, .help = "print one screen as text and end" },
	EDICT_PASSPHRASE,
	EDICT_WITHIN,
	{ .name = NULL },
};

struct screen {
	const struct cmd_args *a;
	struct remote r;
	struct top top;
	struct page page;

	char key[PAGE_KEY_MAX];         /* the line that is chosen */
	int scroll, rows, cols;
	bool help;
	char cancel[ULID_TEXT];         /* whether to cancel this is asked; "": nothing is */
	char cancelled[ULID_TEXT];      /* was asked to be */
	char note[256];
	enum style note_style;
	int64_t note_ms;

	int asked, answered;            /* lists, by houses */
	bool done;                      /* for --once */
	int64_t checked_ms, asked_ms, drawn_ms;
	bool refused;                   /* the broker does not let us ask */
	int after_end;                  /* questions since the task that is looked at has ended */
	int64_t ended[RATE_S], second;
	bool quit;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

/* Without SA_RESTART: what waits for a line ends, too. */
static void
catch_signals(void)
{
	struct sigaction s = { .sa_handler = on_signal };

	sigaction(SIGINT, &s, NULL);
	sigaction(SIGTERM, &s, NULL);
	sigaction(SIGHUP, &s, NULL);
}

static void note(struct screen *s, enum style style, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
note(struct screen *s, enum style style, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->note, sizeof s->note, fmt, ap);
	va_end(ap);
	s->note_style = style;
	s->note_ms = clock_mono_ms();
}

/* ---- hearing ---- */

static const char *
open_task(const struct screen *s)
{
	const char *id = top_key_name(s->top.open, "task");

	return id ? id : "";
}

static void
take_events(struct screen *s, const struct topic *t, const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		cJSON *o = n ? json_parse_object(p, n, NULL) : NULL;

		if (o) {
			recent_take_event(&s->top.recent, t->name, o, clock_mono_ms());
			if (strcmp(json_text(o, "id"), open_task(s)) == 0)
				s->asked_ms = s->after_end = 0;
		}
		cJSON_Delete(o);
		p += n + 1;
	}
}

static void
look_done(struct screen *s)
{
	s->done = houses_heard_all(&s->top.houses) && (s->refused || (s->asked && s->answered >= s->asked));
}

static void
take_beat(struct screen *s, const char *topic, const char *payload, size_t len)
{
	struct top *t = &s->top;
	int64_t now = clock_mono_ms();

	houses_take(&t->houses, topic, payload, len, now);
	for (size_t i = 0; i < t->houses.n; i++)
		if (t->houses.beats[i].heard_ms == now) {
			t->heard_ms = now;
			t->heard_wall_ms = clock_wall_ms();
		}
	look_done(s);
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct screen *s = arg;
	struct topic t;

	if (topic_parse(topic, s->r.config.cluster, &t, NULL))
		return;
	switch (t.kind) {
	case TOPIC_EVENT:
		take_events(s, &t, payload, len);
		break;
	case TOPIC_HEALTH:
		take_beat(s, topic, payload, len);
		break;
	case TOPIC_ALERT:
	case TOPIC_MUTE:
		board_take(&s->top.board, s->r.config.cluster, topic, payload, len, clock_wall_ms());
		break;
	default:
		known_take(&s->top.known, topic, payload, len);
	}
}

static void
keep_output(struct top_output *out, const char *text, int64_t offset)
{
	size_t len = strlen(text);

	if (offset > out->next)
		out->next = offset;
	if (offset + (int64_t)len <= out->next)
		return;
	text += out->next - offset;
	buf_adds(&out->text, text);
	out->next += (int64_t)strlen(text);
	if (out->text.len > 2 * TOP_OUTPUT_MAX) {
		struct buf end = { 0 };

		buf_adds(&end, out->text.data + out->text.len - TOP_OUTPUT_MAX);
		buf_free(&out->text);
		out->text = end;
	}
}

static void
take_output(struct screen *s, const cJSON *o)
{
	struct top_output *out = &s->top.output;
	int attempt = (int)json_number(o, "attempt", 0);

	if (strcmp(json_text(o, "id"), open_task(s)) != 0 || attempt < out->attempt)
		return;
	if (attempt > out->attempt) {
		buf_clear(&out->text);
		out->next = 0;
		out->attempt = attempt;
	}
	keep_output(out, json_text(o, "text"), json_number(o, "offset", 0));
}

static void
take_row(struct screen *s, const cJSON *o)
{
	struct top *t = &s->top;

	recent_take_row(&t->recent, o, clock_mono_ms());
	if (strcmp(json_text(o, "id"), open_task(s)) != 0 || !cJSON_HasObjectItem(o, "task") ||
	    strcmp(json_text(o, "state"), "forwarded") == 0)
		return;
	cJSON_Delete(t->task);
	t->task = cJSON_Duplicate(o, true);
}

static void
take_error(struct screen *s, const cJSON *o)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error");
	const char *id = json_text(o, "id");

	if (strcmp(json_text(e, "code"), "unknown_task") == 0)
		recent_forget(&s->top.recent, id);
	if (*id && strcmp(id, s->cancelled) == 0) {
		note(s, STYLE_BAD, "%s: %s", id, json_text(e, "message"));
		s->cancelled[0] = '\0';
	}
	s->answered += !*id;
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct screen *s = arg;

	if (strcmp(r->type, "task") == 0) {
		take_row(s, r->obj);
	} else if (strcmp(r->type, "end") == 0) {
		s->answered++;
	} else if (strcmp(r->type, "output") == 0) {
		take_output(s, r->obj);
	} else if (strcmp(r->type, "cancel") == 0) {
		note(s, STYLE_GOOD, "%s: %s", json_text(r->obj, "id"), json_text(r->obj, "state"));
		s->cancelled[0] = '\0';
	} else if (strcmp(r->type, "error") == 0) {
		take_error(s, r->obj);
	}
	look_done(s);
}

static int
listen_to(struct screen *s)
{
	static const struct {
		enum topic_kind kind;
		const char *id;
	} filters[] = {
		{ TOPIC_ALERT, "+" }, { TOPIC_MUTE, "+" }, { TOPIC_REQUEST, "+" }, { TOPIC_HALT, "+" }, { TOPIC_RELAY, "+" },
		{ TOPIC_EVENT, "+" }, { TOPIC_HEALTH, "state" },
	};
	char filter[TOPIC_MAX];
	struct err e;

	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
		topic_format(filter, s->r.config.cluster, filters[i].kind, "+", filters[i].id);
		if (client_subscribe(s->r.client, filter, &e))
			return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	}
	return 0;
}

/* ---- asking ---- */

/* What was before this began, or while it was not connected: the newest, and those that people look for. */
static void
ask_lists(struct screen *s)
{
	static const char *const states[] = { "running", "queued", "waiting_approval", "failed", "dead", "uncertain" };
	char request[96];

	s->answered = 0;
	s->asked = remote_ask(&s->r, TOPIC_QUERY, NULL, "{\"list\":{\"limit\":" LIST_LIMIT "}}");
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		snprintf(request, sizeof request, "{\"list\":{\"state\":\"%s\",\"limit\":" LIST_LIMIT "}}", states[i]);
		s->asked += remote_ask(&s->r, TOPIC_QUERY, NULL, request);
	}
}

static void
ask_id(struct screen *s, const char *house, const char *id)
{
	char request[64];

	snprintf(request, sizeof request, "{\"id\":\"%s\"}", id);
	remote_ask(&s->r, TOPIC_QUERY, *house ? house : NULL, request);
}

/* An event may have been given up, or a task forgotten. */
static void
check_quiet(struct screen *s, int64_t now)
{
	int left = CHECK_TASKS;

	if (now - s->checked_ms < CHECK_MS)
		return;
	s->checked_ms = now;
	for (size_t i = 0; i < s->top.recent.n && left; i++) {
		struct recent_task *t = &s->top.recent.v[i];

		if (task_state_is_terminal(t->state) || now - t->heard_ms < QUIET_MS)
			continue;
		t->heard_ms = now;
		ask_id(s, t->house, t->id);
		left--;
	}
}

static void
ask_open(struct screen *s, int64_t now)
{
	const char *id = open_task(s);
	const struct recent_task *t = recent_find(&s->top.recent, id);
	bool ended = t && task_state_is_terminal(t->state);
	char request[160];

	if (!*id || now - s->asked_ms < ASK_MS || (ended && s->after_end >= 2))
		return;
	s->after_end += ended;
	s->asked_ms = now;
	ask_id(s, t ? t->house : "", id);
	snprintf(request, sizeof request, "{\"output\":{\"id\":\"%s\",\"attempt\":%d,\"from\":%lld}}", id, s->top.output.attempt,
	    (long long)s->top.output.next);
	remote_ask(&s->r, TOPIC_QUERY, t ? t->house : NULL, request);
}

static void
count_rate(struct screen *s, int64_t now)
{
	int64_t second = now / 1000;

	if (second == s->second)
		return;
	s->top.rate = (double)(s->top.recent.ended - s->ended[second % RATE_S]) / RATE_S;
	/* Where a second was left out, its place is filled with what is known now. */
	for (int64_t i = s->second && second - s->second < RATE_S ? s->second + 1 : second - RATE_S + 1; i <= second; i++)
		s->ended[i % RATE_S] = s->top.recent.ended;
	s->second = second;
}

/* A request that was looked at and is decided: from now on its task. */
static void
follow_decided(struct screen *s)
{
	const char *id = top_key_name(s->top.open, "approval");
	char task[ULID_TEXT];

	if (!id || known_request(&s->top.known, id) || !recent_find(&s->top.recent, id))
		return;
	snprintf(task, sizeof task, "%s", id);
	snprintf(s->top.open, sizeof s->top.open, "task:%s", task);
	s->asked_ms = s->after_end = 0;
}

/* What time brings. */
static void
tick(struct screen *s)
{
	struct top *t = &s->top;
	int64_t now = clock_mono_ms();
	bool up = client_is_up(s->r.client);

	snprintf(t->why_down, sizeof t->why_down, "%s", client_why_down(s->r.client));
	if (up != t->up) {
		t->up = up;
		t->changed_ms = now;
		s->drawn_ms = 0;
		if (up)
			ask_lists(s);
	}
	/* While nobody is heard at all, nobody is silent: the bar says it. */
	houses_fade(&t->houses, t->heard_ms - TOP_STALE_MS);
	count_rate(s, now);
	follow_decided(s);
	if (client_is_refused(s->r.client) && !s->refused) {
		s->refused = true;
		note(s, STYLE_WARN, "%s may not ask for tasks, nor cancel any: seen is what happens from now on", s->r.config.identity);
	}
	if (!up || s->refused)
		return;
	check_quiet(s, now);
	ask_open(s, now);
}

/* ---- drawing ---- */

static void
build(struct screen *s, int lines)
{
	page_clear(&s->page);
	s->page.width = s->cols;
	if (s->help)
		top_put_help(&s->page);
	else if (s->top.open[0])
		top_put_open(&s->page, &s->top);
	else
		top_put_glance(&s->page, &s->top, lines);
}

static int
line_of(const struct page *p, const char *key)
{
	for (size_t i = 0; *key && i < p->nlines; i++)
		if (strcmp(p->lines[i].key, key) == 0)
			return (int)i;
	return -1;
}

static bool
may_choose(const struct screen *s)
{
	return !s->help && !s->top.open[0];
}

static void
keep_in_sight(struct screen *s, int lines)
{
	int at = may_choose(s) ? line_of(&s->page, s->key) : -1, last = (int)s->page.nlines - lines;

	if (at >= 0 && at < s->scroll)
		s->scroll = at;
	if (at >= 0 && at >= s->scroll + lines)
		s->scroll = at - lines + 1;
	s->scroll = s->scroll > last ? last : s->scroll;
	s->scroll = s->scroll < 0 ? 0 : s->scroll;
}

static void
put_keys(struct page *p, const struct screen *s)
{
	static const char *const glance[] = { "Enter", "open", "a", "approve", "d", "deny", "c", "cancel", "h", "house", "s", "tasks",
		"?", "keys", "q", "quit", NULL };
	static const char *const open[] = { "Esc", "back", "Up/Down", "scroll", "a", "approve", "d", "deny", "c", "cancel", "q", "quit", NULL };
	static const char *const help[] = { "Esc", "back", "q", "quit", NULL };

	for (const char *const *k = s->help ? help : s->top.open[0] ? open : glance; *k; k += 2) {
		page_put(p, STYLE_BOLD, " %s", k[0]);
		page_put(p, STYLE_DIM, " %s ", k[1]);
	}
}

static void
put_foot(struct page *p, const struct screen *s)
{
	page_line(p, NULL);
	if (s->cancel[0]) {
		page_put(p, STYLE_ALARM, " Cancel %s? y: yes, any other key: no ", s->cancel);
	} else if (s->note[0] && clock_mono_ms() - s->note_ms < NOTE_MS) {
		page_put(p, s->note_style, " %s", s->note);
	} else {
		put_keys(p, s);
	}
}

static void
draw(struct screen *s)
{
	int lines;
	struct page frame = { 0 };

	screen_size(&s->rows, &s->cols);
	lines = s->rows > 2 ? s->rows - 2 : 1;
	build(s, lines);
	keep_in_sight(s, lines);
	frame.width = s->cols;
	top_put_bar(&frame, &s->top, clock_mono_ms());
	put_foot(&frame, s);
	screen_clear();
	screen_line(0, &frame, 0, false);
	for (int i = 0; i < lines && s->scroll + i < (int)s->page.nlines; i++) {
		size_t at = (size_t)(s->scroll + i);

		screen_line(i + 1, &s->page, at, may_choose(s) && s->key[0] && strcmp(s->page.lines[at].key, s->key) == 0);
	}
	if (s->rows > 2)
		screen_line(s->rows - 1, &frame, 1, false);
	screen_show();
	page_release(&frame);
	s->drawn_ms = clock_mono_ms();
}

/* ---- keys ---- */

static void
choose(struct screen *s, int from, int step)
{
	for (int i = from; i >= 0 && i < (int)s->page.nlines; i += step)
		if (s->page.lines[i].key[0]) {
			snprintf(s->key, sizeof s->key, "%s", s->page.lines[i].key);
			return;
		}
}

/* The first line of the part after the one where we are, or before. */
static void
choose_part(struct screen *s, int step)
{
	int at = line_of(&s->page, s->key), n = (int)s->page.nlines;

	if (at < 0) {
		choose(s, 0, 1);
		return;
	}
	if (step < 0)
		while (at >= 0 && s->page.lines[at].key[0])
			at--;
	while (at >= 0 && at < n && s->page.lines[at].key[0])
		at += step;
	while (at >= 0 && at < n && !s->page.lines[at].key[0])
		at += step;
	if (at < 0 || at >= n)
		at = step > 0 ? 0 : n - 1;
	while (at >= 0 && step < 0 && at > 0 && s->page.lines[at].key[0] && s->page.lines[at - 1].key[0])
		at--;
	choose(s, at, 1);
}

static void
move(struct screen *s, int by)
{
	int at = line_of(&s->page, s->key), n = (int)s->page.nlines, to;

	if (!may_choose(s)) {
		s->scroll += by;
		return;
	}
	if (at < 0) {
		choose(s, 0, 1);
		return;
	}
	to = at + by < 0 ? 0 : at + by >= n ? n - 1 : at + by;
	choose(s, to, by < 0 ? -1 : 1);
	if (line_of(&s->page, s->key) == at)
		choose(s, to, by < 0 ? 1 : -1);
}

static void
move_to_end(struct screen *s, bool last)
{
	if (!may_choose(s))
		s->scroll = last ? (int)s->page.nlines : 0;
	else
		choose(s, last ? (int)s->page.nlines - 1 : 0, last ? -1 : 1);
	if (may_choose(s) && !last)
		s->scroll = 0;
}

static void
forget_open(struct screen *s)
{
	cJSON_Delete(s->top.task);
	s->top.task = NULL;
	buf_free(&s->top.output.text);
	s->top.output = (struct top_output){ .next = 0 };
	s->top.open[0] = '\0';
	s->scroll = 0;
	s->asked_ms = s->after_end = 0;
}

static void
only_house(struct screen *s, const struct config_house *h)
{
	s->top.house = s->top.house == h ? NULL : h;
}

static void
key_open(struct screen *s)
{
	const char *house = top_key_name(s->key, "house");

	if (!may_choose(s))
		return;
	if (line_of(&s->page, s->key) < 0) {
		choose(s, 0, 1);
	} else if (house) {
		if (config_house_find(&s->r.config, house))
			only_house(s, config_house_find(&s->r.config, house));
	} else {
		forget_open(s);
		snprintf(s->top.open, sizeof s->top.open, "%s", s->key);
	}
}

static void
key_back(struct screen *s)
{
	if (s->help)
		s->help = false;
	else if (s->top.open[0])
		forget_open(s);
	else if (s->top.group >= 0)
		s->top.group = -1;
	else
		s->top.house = NULL;
	s->scroll = 0;
}

static void
key_house(struct screen *s)
{
	const struct config *c = &s->r.config;
	size_t i = s->top.house ? (size_t)(s->top.house - c->houses) + 1 : 0;

	s->top.house = i < c->nhouses ? &c->houses[i] : NULL;
}

static void
key_group(struct screen *s)
{
	if (may_choose(s))
		s->top.group = s->top.group + 1 < RECENT_NGROUPS ? s->top.group + 1 : -1;
	s->scroll = 0;
}

/* The task that is chosen or looked at, also by its request; NULL: none. */
static const char *
task_at(const struct screen *s)
{
	const char *key = s->top.open[0] ? s->top.open : line_of(&s->page, s->key) >= 0 ? s->key : "";
	const char *id = top_key_name(key, "task");

	return id ? id : top_key_name(key, "approval");
}

static void
key_cancel(struct screen *s)
{
	const char *id = task_at(s);
	const struct recent_task *t = id ? recent_find(&s->top.recent, id) : NULL;

	if (!id)
		note(s, STYLE_WARN, "choose a task to be cancelled");
	else if (t && task_state_is_terminal(t->state))
		note(s, STYLE_WARN, "%s is %s already", id, task_state_name(t->state));
	else if (!s->top.up)
		note(s, STYLE_WARN, "not connected: nothing can be cancelled now");
	else
		snprintf(s->cancel, sizeof s->cancel, "%s", id);
}

static void
cancel(struct screen *s, bool yes)
{
	const struct recent_task *t = recent_find(&s->top.recent, s->cancel);
	char request[64];

	if (yes) {
		snprintf(request, sizeof request, "{\"id\":\"%s\"}", s->cancel);
		remote_ask(&s->r, TOPIC_CANCEL, t ? t->house : NULL, request);
		snprintf(s->cancelled, sizeof s->cancelled, "%s", s->cancel);
		note(s, STYLE_WARN, "%s: asked to be cancelled", s->cancel);
	}
	s->cancel[0] = '\0';
}

/* On the plain terminal, with the same questions as the commands of that name. Meanwhile the connection may be lost; it comes
 * again, and what was missed is asked for. */
static void
key_decide(struct screen *s, bool approve)
{
	const char *id = task_at(s);
	struct buf line = { .max = 80 };
	struct err e;

	if (!id || !known_request(&s->top.known, id)) {
		note(s, STYLE_WARN, "choose what waits for approval, to %s it", approve ? "approve" : "deny");
		return;
	}
	screen_leave();
	printf("\n");
	approvals_ask(s->a, id, approve);
	fflush(stdout);
	ask_line(&line, "\nEnter: back to the screen ");
	buf_free(&line);
	interrupted = 0;
	if (screen_open(&e))
		s->quit = true;
}

static void
key(struct screen *s, int k)
{
	int page = s->rows > 4 ? s->rows - 4 : 1;

	if (s->cancel[0] && k != SCREEN_RESIZED) {
		cancel(s, k == 'y');
		return;
	}
	switch (k) {
	case SCREEN_UP: move(s, -1); break;
	case SCREEN_DOWN: move(s, 1); break;
	case SCREEN_PAGE_UP: move(s, -page); break;
	case SCREEN_PAGE_DOWN: move(s, page); break;
	case SCREEN_HOME: move_to_end(s, false); break;
	case SCREEN_END: move_to_end(s, true); break;
	case SCREEN_TAB: choose_part(s, 1); break;
	case SCREEN_BACK_TAB: choose_part(s, -1); break;
	case SCREEN_ENTER: key_open(s); break;
	case SCREEN_BACK: key_back(s); break;
	case 'a': key_decide(s, true); break;
	case 'd': key_decide(s, false); break;
	case 'c': key_cancel(s); break;
	case 'h': key_house(s); break;
	case 's': key_group(s); break;
	case 'r': ask_lists(s); note(s, STYLE_PLAIN, "asked"); break;
	case '?': s->help = !s->help; s->scroll = 0; break;
	case 'q': s->quit = true; break;
	case SCREEN_RESIZED: break;
	default: note(s, STYLE_PLAIN, "? shows the keys");
	}
}

static int
run_screen(struct screen *s)
{
	struct err e = { 0 };
	int rc = 0;

	if (screen_open(&e))
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	while (!interrupted && !s->quit && !rc) {
		int k;

		rc = client_run(s->r.client, WAIT_MS, &e);
		tick(s);
		while (!s->quit && (k = screen_key()) != SCREEN_NONE) {
			key(s, k);
			s->drawn_ms = 0;
		}
		if (!s->quit && clock_mono_ms() - s->drawn_ms >= DRAW_MS)
			draw(s);
	}
	screen_leave();
	return rc ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg) : EXIT_OK;
}

/* ---- one screen as text ---- */

static int
text_width(void)
{
	const char *text = getenv("COLUMNS");
	struct winsize w;
	long n = text ? strtol(text, NULL, 10) : 0;

	if (n < WIDTH_MIN || n > WIDTH_MAX)
		n = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= WIDTH_MIN ? w.ws_col : ONCE_WIDTH;
	return (int)n;
}

static int
print_once(struct screen *s)
{
	int64_t end = clock_mono_ms() + (s->r.config.nbrokers > 1 ? remote_answer_ms(&s->r) : ONCE_MS);
	struct err e = { 0 };

	while (!s->done && !interrupted && clock_mono_ms() < end) {
		if (client_run(s->r.client, WAIT_MS, &e))
			return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
		tick(s);
		look_done(s);
	}
	if (!s->top.up)
		return remote_no_answer(&s->r, "the broker");
	if (s->refused)
		fprintf(stderr, "uni-wizard: warning: %s\n", s->note);
	s->cols = s->page.width = text_width();
	page_clear(&s->page);
	top_put_bar(&s->page, &s->top, clock_mono_ms());
	top_put_glance(&s->page, &s->top, 0);
	page_print(&s->page, stdout);
	return EXIT_OK;
}

static int
check_terminal(const struct cmd_args *a)
{
	if (cmd_flag(a, "once") || (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
		return 0;
	return cmd_fail(EXIT_USAGE, "top: expected a terminal on standard %s; --once prints one screen as text",
	    isatty(STDOUT_FILENO) ? "input" : "output");
}

static void
release(struct screen *s)
{
	forget_open(s);
	houses_release(&s->top.houses);
	known_release(&s->top.known);
	board_release(&s->top.board);
	recent_release(&s->top.recent);
	page_release(&s->page);
}

static int
top_run(const struct cmd_args *a)
{
	struct screen *s = xcalloc(1, sizeof *s);
	const char *house = cmd_text(a, "house", NULL);
	int rc;

	s->a = a;
	setlocale(LC_CTYPE, "");
	if ((rc = check_terminal(a)) || (rc = remote_open(&s->r, a, on_reply, on_message, s))) {
		free(s);
		return rc;
	}
	s->top = (struct top){ .config = &s->r.config, .group = -1, .changed_ms = clock_mono_ms() };
	houses_init(&s->top.houses, &s->r.config);
	known_init(&s->top.known, &s->r.config);
	recent_init(&s->top.recent);
	catch_signals();
	rc = remote_check_house(&s->r, house);
	s->top.house = house && !rc ? config_house_find(&s->r.config, house) : NULL;
	rc = rc ? rc : listen_to(s);
	rc = rc ? rc : cmd_flag(a, "once") ? print_once(s) : run_screen(s);
	release(s);
	remote_close(&s->r);
	free(s);
	return rc;
}

const struct cmd cmd_top = {
	.name = "top",
	.help = "Show the cluster on one screen, live: houses, agents, tasks, alerts, approvals",
	.more = "Keys: arrows choose, Enter looks closer, a approves, d denies, c cancels, h shows one house, s some tasks, ? all keys,\n"
	        "q ends. The first line says when there is no connection, or no agent is heard, and of when the rest is. To approve\n"
	        "or deny it leaves the screen, shows the request and asks, as `uni-wizard approve` and `deny` do. Without a terminal:\n"
	        "--once. Colours only where the terminal has them and NO_COLOR is not set.",
	.opts = opts,
	.run = top_run,
};
