/*
 * workers.c - a pool of workers as pool.h describes it: one attempt at a time each, or several quick ones one
 * after the other. How an attempt ends is drawn when it begins. Workers keep the terms they are given, as guard.h
 * says, and tell what a task would touch, which others change meanwhile.
 */
#include "timmy.h"

#include "buf.h"
#include "json.h"
#include "ulid.h"

#define WORKERS_MAX 8
#define GRACE_US (5 * SECOND)
#define DOOMED 20               /* of 1,000 tasks */

enum end { ENDS_WELL, ENDS_BADLY, ENDS_DOWN, ENDS_IN_CRASH, ENDS_LATE, ENDS_STOPPED };

struct attempt {
	char id[ULID_TEXT];
	const struct tool *tool;
	int64_t timeout_us;
	bool quick, begun, plan;
	char target[TARGET_MAX];        /* empty: it needs none */
	bool refused;                   /* before it begins */
	enum end will;
	int64_t begun_us, wrote;        /* bytes of output */
	struct pool_end end;
	bool may_have_effect;
	struct attempt *next;
};

struct worker {
	struct attempt *first;          /* at work; quick ones wait behind it */
	unsigned n;
	uint64_t timer;                 /* number of its latest; older ones are void */
	int64_t back_us;                /* being replaced until then */
};

struct workers {
	struct sim *sim;
	struct host *host;
	struct worker v[WORKERS_MAX];
	int n;
	struct attempt *ended, *ended_tail;
};

static void begin(struct workers *w, int i);

static int64_t
draw(struct workers *w, int64_t min, int64_t max)
{
	return rng_between(&w->sim->rng[RNG_WORK], min, max);
}

static bool
chance(struct workers *w, int permille)
{
	return rng_chance(&w->sim->rng[RNG_WORK], permille);
}

/* 0 to 999, always the same of a task. */
static int
fate(const struct attempt *a)
{
	unsigned h = 0;

	for (const char *p = a->id + 10; *p; p++)
		h = h * 31 + (unsigned char)*p;
	return (int)(h % 1000);
}

/* Some tasks kill whatever runs them, always. */
static bool
is_crashy(const struct workers *w, const struct attempt *a)
{
	return fate(a) < w->sim->plan.crashy;
}

/* Some can never go well, and say so. */
static bool
is_doomed(const struct workers *w, const struct attempt *a)
{
	return !is_crashy(w, a) && fate(a) >= 1000 - DOOMED;
}

/* Longer than that nobody waits for a cluster to become quiet. */
#define HANG_MAX_US (60 * SECOND)

/* Some of the servers that tasks ask are away for a while; one of them only for some hosts. */
static bool
is_down(const struct workers *w, const struct attempt *a)
{
	int64_t period_us = (20 + (int64_t)(w->sim->seed % 5) * 20) * SECOND;
	int n = a->target[0] == 't' && a->target[1] >= '0' && a->target[1] <= '9' ? a->target[1] - '0' : -1;

	if (n < 0 || w->sim->healed || (n == 1 && host_name(w->host)[strlen(host_name(w->host)) - 1] != '1'))
		return false;
	return (w->sim->now_us / period_us + n + (int64_t)(w->sim->seed / 5)) % 2;
}

static enum end
draw_end(struct workers *w, const struct attempt *a)
{
	const struct plan *p = &w->sim->plan;
	int at = (int)draw(w, 0, 999);

	if (is_crashy(w, a))
		return ENDS_IN_CRASH;
	if (is_down(w, a))
		return at < 200 ? ENDS_LATE : ENDS_DOWN;
	if (is_doomed(w, a))
		return ENDS_BADLY;
	if (w->sim->healed)
		return at < 20 ? ENDS_BADLY : ENDS_WELL;
	return at < p->fail ? ENDS_BADLY : at < p->fail + p->crash ? ENDS_IN_CRASH :
	    at < p->fail + p->crash + p->hang && a->timeout_us <= HANG_MAX_US ? ENDS_LATE : ENDS_WELL;
}

static int64_t
draw_duration_us(struct workers *w, const struct attempt *a)
{
	if (a->will == ENDS_LATE)
		return a->timeout_us;
	if (a->quick)
		return draw(w, 5, 60);
	if (chance(w, w->sim->plan.slow))
		return draw(w, 1 * SECOND, 8 * SECOND);
	return draw(w, 1 * MS, 300 * MS);
}

static struct attempt *
take_first(struct worker *k)
{
	struct attempt *a = k->first;

	k->first = a->next;
	k->n--;
	k->timer++;
	a->next = NULL;
	return a;
}

/* The agent learns it when it reads next. */
static void
finish(struct workers *w, struct attempt *a, enum pool_how how)
{
	a->end.how = how;
	if (a->begun && !a->plan && !a->refused)
		check_ended(w->sim->check, a->id, &a->end, a->may_have_effect, w->host);
	if (w->ended)
		w->ended_tail->next = a;
	else
		w->ended = a;
	w->ended_tail = a;
	host_input(w->host);
}

static void
back(void *arg, uint64_t x)
{
	struct workers *w = arg;

	(void)x;
	host_input(w->host);
}

/* A worker that died takes the attempt it was at with it; those behind never began. */
static void
lose_worker(struct workers *w, int i, struct attempt *a, enum pool_how how)
{
	struct worker *k = &w->v[i];

	a->may_have_effect = true;
	finish(w, a, how);
	while (k->first)
		finish(w, take_first(k), POOL_NOT_RUN);
	k->back_us = w->sim->now_us + draw(w, 5 * MS, 200 * MS);
	sim_at(w->sim, k->back_us, back, w, 0);
}

/* ---- what it touches, and the terms ---- */

/* The digest is that of what others have written there by now. */
static void
put_touches(const struct workers *w, const struct tool *tool, char *out, size_t size)
{
	const struct plan *p = &w->sim->plan;
	int64_t us = w->sim->now_us < p->heal_us ? w->sim->now_us : p->heal_us;

	if (strcmp(tool->name, "file_write") == 0)
		snprintf(out, size, "[{\"access\":\"write\",\"kind\":\"path\",\"name\":\"" PRODUCTION_PLACE
		    "\",\"sha256\":\"%064llx\"}]", (unsigned long long)(us / p->touched_us));
	else if (strcmp(tool->name, "http_post") == 0)
		snprintf(out, size, "[{\"access\":\"write\",\"kind\":\"url\",\"name\":\"http://there/\",\"sha256\":null}]");
	else
		snprintf(out, size, "[]");
}

static bool
is_still_so(const struct workers *w, const struct tool *tool, const char *digest)
{
	char touches[256], now[CANONICAL_HASH];
	struct err e;
	cJSON *v;
	int rc;

	put_touches(w, tool, touches, sizeof touches);
	v = cJSON_Parse(touches);
	rc = canonical_hash(v, now, &e);
	cJSON_Delete(v);
	return rc == 0 && strcmp(now, digest) == 0;
}

static bool
names_place(const cJSON *production)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, production)
		if (strcmp(v->valuestring, "path:" PRODUCTION_PLACE) == 0)
			return true;
	return false;
}

/* Right before it would begin. */
static void
look_at_terms(struct workers *w, struct attempt *a, const char *text, size_t len)
{
	cJSON *terms = cJSON_ParseWithLength(text, len);
	const char *touches = json_text(terms, "touches");
	bool writes = strcmp(a->tool->name, "file_write") == 0;

	a->refused = true;
	if (!terms)
		err_set(&a->end.err, ERR_DENIED, "its terms are no JSON");
	else if (writes && !json_is_true(terms, "approved") && names_place(cJSON_GetObjectItemCaseSensitive(terms, "production")))
		err_set(&a->end.err, ERR_APPROVAL, "changes production: path:" PRODUCTION_PLACE);
	else if (*touches && !is_still_so(w, a->tool, touches))
		err_set(&a->end.err, ERR_DENIED, "what it touches has changed since it was approved");
	else if (!w->sim->healed && chance(w, 10))
		err_set(&a->end.err, chance(w, 500) ? ERR_DENIED : ERR_APPROVAL, "it seems so to the guard");
	else
		a->refused = false;
	cJSON_Delete(terms);
}

static void
succeed(struct workers *w, struct attempt *a)
{
	char text[400], touches[256];

	put_touches(w, a->tool, touches, sizeof touches);
	if (a->plan)
		snprintf(text, sizeof text, "{\"touches\":%s,\"target\":\"there\",\"dry_run\":\"\"}", touches);
	else
		snprintf(text, sizeof text, "{\"by\":\"%s\",\"at\":%lld}", host_name(w->host), (long long)w->sim->now_us);
	a->end.result = xstrdup(text);
	a->end.result_len = strlen(text);
	a->may_have_effect = true;
	finish(w, a, POOL_SUCCEEDED);
}

/* Half of the failures of exclusive tools come before anything was changed. */
static void
fail(struct workers *w, struct attempt *a)
{
	a->end.refused = a->refused;
	a->end.no_effect = a->refused || a->tool->effect != TOOL_EXCLUSIVE || chance(w, 500);
	a->may_have_effect = !a->end.no_effect;
	a->end.down = a->will == ENDS_DOWN;
	if (a->end.down)
		err_set(&a->end.err, ERR_NETWORK, "nobody answers there");
	else if (!a->refused)
		err_set(&a->end.err, ERR_TOOL, "it did not work");
	a->end.hopeless = !a->refused && !a->end.down && is_doomed(w, a);
	a->end.retry_after_s = !a->refused && chance(w, 100) ? draw(w, 1, 20) : 0;
	finish(w, a, POOL_FAILED);
}

static void
over(void *arg, uint64_t x)
{
	struct workers *w = arg;
	int i = (int)(x & 0xff);
	struct attempt *a;

	if (w->v[i].timer != x >> 8 || !w->v[i].first)
		return;
	a = take_first(&w->v[i]);
	switch (a->will) {
	case ENDS_WELL:
		succeed(w, a);
		break;
	case ENDS_BADLY:
	case ENDS_DOWN:
		fail(w, a);
		break;
	case ENDS_IN_CRASH:
		err_set(&a->end.err, ERR_CRASH, "killed by signal 11");
		lose_worker(w, i, a, POOL_CRASHED);
		break;
	case ENDS_LATE:
		err_set(&a->end.err, ERR_TIMEOUT, "stopped after %lld s", (long long)(a->timeout_us / SECOND));
		lose_worker(w, i, a, POOL_TIMEOUT);
		break;
	case ENDS_STOPPED:
		lose_worker(w, i, a, POOL_STOPPED);
		break;
	}
	begin(w, i);
}

static void
set_timer(struct workers *w, int i, int64_t us)
{
	uint64_t n = ++w->v[i].timer;

	sim_in(w->sim, us, over, w, n << 8 | (uint64_t)i);
}

static void
begin(struct workers *w, int i)
{
	struct attempt *a = w->v[i].first;

	if (!a || a->begun)
		return;
	a->begun = true;
	a->begun_us = w->sim->now_us;
	if (a->plan || a->refused) {
		a->will = a->refused ? ENDS_BADLY : ENDS_WELL;
		set_timer(w, i, draw(w, 100, 5 * MS));
		return;
	}
	a->will = draw_end(w, a);
	a->end.ran_us = draw_duration_us(w, a);
	sim_log(w->sim, "%s: begins %s %s", host_name(w->host), a->tool->name, a->id);
	check_begun(w->sim->check, a->id, a->tool, host_name(w->host));
	set_timer(w, i, a->end.ran_us);
}

/* ---- what the shell does with it ---- */

struct workers *
workers_new(struct sim *s, struct host *h, int n)
{
	struct workers *w = xcalloc(1, sizeof *w);

	w->sim = s;
	w->host = h;
	w->n = n;
	return w;
}

static void
attempt_free(struct attempt *a)
{
	free((char *)(uintptr_t)a->end.result);
	free(a);
}

static void
free_list(struct attempt *a)
{
	while (a) {
		struct attempt *next = a->next;

		attempt_free(a);
		a = next;
	}
}

void
workers_die(struct workers *w)
{
	for (int i = 0; i < w->n; i++) {
		free_list(w->v[i].first);
		w->v[i].first = NULL;
		w->v[i].n = 0;
		w->v[i].timer++;
	}
	free_list(w->ended);
	w->ended = w->ended_tail = NULL;
}

void
workers_free(struct workers *w)
{
	workers_die(w);
	free(w);
}

static bool
is_ready(const struct workers *w, int i)
{
	return w->v[i].back_us <= w->sim->now_us;
}

unsigned
workers_idle(const struct workers *w)
{
	unsigned n = 0;

	for (int i = 0; i < w->n; i++)
		n += is_ready(w, i) && !w->v[i].first;
	return n;
}

static bool
takes_quick(const struct workers *w, int i)
{
	return is_ready(w, i) && (!w->v[i].first || (w->v[i].first->quick && w->v[i].n < POOL_QUICK_DEPTH));
}

unsigned
workers_quick(const struct workers *w)
{
	unsigned n = 0;

	for (int i = 0; i < w->n; i++)
		if (takes_quick(w, i))
			n += POOL_QUICK_DEPTH - w->v[i].n;
	return n;
}

static int
choose_worker(const struct workers *w, bool quick)
{
	for (int i = 0; i < w->n; i++)
		if (quick ? takes_quick(w, i) : is_ready(w, i) && !w->v[i].first)
			return i;
	return -1;
}

static void
read_target(struct attempt *a, const struct pool_start *s)
{
	cJSON *params = a->tool->target ? cJSON_ParseWithLength(s->params, s->params_len) : NULL;

	if (params)
		target_of(a->tool, params, a->target);
	cJSON_Delete(params);
}

void
workers_start(struct workers *w, const struct pool_start *s)
{
	int i = choose_worker(w, s->quick);
	struct attempt *a = xcalloc(1, sizeof *a), **p;

	snprintf(a->id, sizeof a->id, "%s", s->task_id);
	a->tool = registry_find(w->sim->tools, s->tool);
	a->quick = s->quick;
	a->timeout_us = s->timeout_ms * MS;
	a->end.handle = s->handle;
	a->plan = s->plan;
	read_target(a, s);
	if (s->terms && !s->plan && a->tool->effect != TOOL_READ)
		look_at_terms(w, a, s->terms, s->terms_len);
	check_started(w->sim->check, w->host, s, a->refused);
	if (i < 0) {
		sim_fail(w->sim, a->id, "%s started an attempt without a free worker", host_name(w->host));
		free(a);
		return;
	}
	for (p = &w->v[i].first; *p; p = &(*p)->next)
		;
	*p = a;
	w->v[i].n++;
	begin(w, i);
}

/* Waiting behind others it never begins; running, it is stopped within the grace, if it does not end before. */
void
workers_stop(struct workers *w, uint64_t handle)
{
	for (int i = 0; i < w->n; i++)
		for (struct attempt **p = &w->v[i].first, *a; (a = *p); p = &a->next) {
			if (a->end.handle != handle)
				continue;
			if (a->begun && chance(w, 300)) {
				sim_log(w->sim, "%s: %s ends before it is stopped", host_name(w->host), a->id);
			} else if (a->begun) {
				a->will = ENDS_STOPPED;
				set_timer(w, i, draw(w, 1 * MS, GRACE_US));
			} else {
				*p = a->next;
				a->next = NULL;
				w->v[i].n--;
				finish(w, a, POOL_STOPPED);
			}
			return;
		}
}

bool
workers_are_read(const struct workers *w)
{
	return !w->ended;
}

bool
workers_are_idle(const struct workers *w)
{
	for (int i = 0; i < w->n; i++)
		if (w->v[i].first)
			return false;
	return !w->ended;
}

void
workers_stop_all(struct workers *w)
{
	for (int i = 0; i < w->n; i++)
		while (w->v[i].first) {
			struct attempt *a = take_first(&w->v[i]);

			a->may_have_effect = a->begun;
			finish(w, a, POOL_STOPPED);
		}
}

void
workers_kill_one(struct workers *w)
{
	int i = (int)draw(w, 0, w->n - 1);
	struct attempt *a;

	if (!w->v[i].first)
		return;
	a = take_first(&w->v[i]);
	err_set(&a->end.err, ERR_CRASH, "killed by signal 9");
	lose_worker(w, i, a, POOL_CRASHED);
}

/* ---- what they write while they run ---- */

#define LINE_EVERY_US (20 * MS)

void
output_line(const char *id, int64_t n, char line[OUTPUT_LINE + 1])
{
	snprintf(line, OUTPUT_LINE + 1, "%.6s%09u\n", id + 20, (unsigned)n % 1000000000u);
}

/* One task in four writes a line now and then. Each says which it is, so that any part shows where it is from. */
static void
write_output(struct core *c, struct attempt *a, int64_t ran_us)
{
	int64_t lines = ran_us / LINE_EVERY_US;
	char line[OUTPUT_LINE + 1];

	if (a->quick || a->plan || a->refused || !a->begun || a->id[25] % 4)
		return;
	for (; a->wrote < lines * OUTPUT_LINE; a->wrote += OUTPUT_LINE) {
		output_line(a->id, a->wrote / OUTPUT_LINE, line);
		core_attempt_log(c, a->end.handle, line, OUTPUT_LINE);
	}
	if (a->wrote)
		core_attempt_progress(c, a->end.handle, (int)(a->wrote / OUTPUT_LINE % 101), "so far", 6);
}

int
workers_read(struct workers *w, struct core *c)
{
	struct attempt *a = w->ended;
	int n = 0;

	for (int i = 0; i < w->n; i++)
		if (w->v[i].first)
			write_output(c, w->v[i].first, w->sim->now_us - w->v[i].first->begun_us);
	w->ended = w->ended_tail = NULL;
	for (struct attempt *next; a; a = next, n++) {
		next = a->next;
		sim_log(w->sim, "%s: %s ended, %d", host_name(w->host), a->id, (int)a->end.how);
		write_output(c, a, a->end.ran_us);
		if (a->wrote)
			check_wrote(w->sim->check, a->id, a->wrote);
		core_attempt_end(c, &a->end);
		attempt_free(a);
	}
	return n;
}
