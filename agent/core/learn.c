/*
 * learn.c - what attempts came to, and what is to be expected of the next one: see learner.h.
 *
 * Learned is what ran here, what others ran for our houses, and what the owners of houses that we follow say of theirs:
 * each attempt once. It goes to the disk with the turn that it ended in, packed, a page a commit; when the agent begins, the
 * newest pages are learned again in their order. What was said of an attempt before it began is kept with how it ended.
 */
#include "learner.h"

#include <string.h>

#include "json.h"
#include "log.h"
#include "shape.h"
#include "state.h"

#define REPLAY_MAX 50000                /* attempts learned anew at the start: about 100 ms */
#define PATTERNS_MAX 10000000           /* that the sovereign's own house keeps */
#define PRUNE_PAGES 512                 /* looked at in one go */
#define SHOWN_MAX 32                    /* latest adaptations that are told */

/* What may be adapted, and how far. */
#define TIMED_MIN 30                    /* attempts of the tool whose durations are known, before its limit is learned */
#define TIMEOUT_TIMES 3                 /* the limit is so many times the p95, */
#define TIMEOUT_FLOOR_S 10              /* not less than this, */
#define TIMEOUT_RAISE 2                 /* nor more than so many times the usual one */
#define BREAKER_TIMES 10                /* a breaker waits for so many times the failures that are configured, at most */
#define HOPELESS 0.1                    /* a chance that is surely below is not worth another try */

enum { L_PUT, L_LAST, L_NEWEST, L_FROM, L_OLDEST, L_DROP, L_CLEAR, L_META_GET, L_META_SET, L_IMPORT_GET, L_IMPORT_SET, L_COUNT };

static const char *const sql[L_COUNT] = {
	[L_PUT] = "INSERT INTO patterns VALUES (?1, ?2, ?3, ?4, ?5)",
	[L_LAST] = "SELECT page, first + count - 1 FROM patterns ORDER BY page DESC LIMIT 1",
	[L_NEWEST] = "SELECT page, first FROM patterns ORDER BY page DESC",
	[L_FROM] = "SELECT records FROM patterns WHERE page >= ?1 ORDER BY page",
	[L_OLDEST] = "SELECT page, first + count - 1 FROM patterns ORDER BY page LIMIT ?1",
	[L_DROP] = "DELETE FROM patterns WHERE page <= ?1",
	[L_CLEAR] = "DELETE FROM patterns",
	[L_META_GET] = "SELECT value FROM meta WHERE name = 'frozen'",
	[L_IMPORT_GET] = "SELECT value FROM meta WHERE name = 'import:' || ?1",
	[L_IMPORT_SET] = "INSERT OR REPLACE INTO meta VALUES ('import:' || ?1, ?2)",
	[L_META_SET] = "INSERT OR REPLACE INTO meta VALUES ('frozen', ?1)",
};

struct learn {
	int queries;                    /* first statement */
	struct learner *learner;
	struct past_pack pack;          /* the open page */
	int64_t count, at_ms;           /* its attempts; when the last of them ended */
	int64_t page, n;                /* on disk: the last page; the last attempt */
	int64_t max;
	bool reset;                     /* with the next commit */
	bool frozen, stored_frozen;     /* nothing is adapted */
	struct past shown[SHOWN_MAX];   /* the latest that were adapted, in a ring */
	int64_t nadapted;               /* ever, as far as they were learned here */
	char source[IMPORT_SOURCE_MAX]; /* what was imported in this turn; "": nothing */
	int64_t upto;                   /* to there */
};

static sqlite3_stmt *
use(struct core *c, int q)
{
	return db_use(&c->db, c->learn->queries + q);
}

/* ---- learning ---- */

/* What an error says of the attempt. Those that are left out say nothing of it: it did not run, or nobody knows. */
static const struct {
	enum err_code code;
	enum failure why;
} failures[] = {
	{ ERR_TOOL, FAILURE_ERROR }, { ERR_IO, FAILURE_ERROR }, { ERR_UNPROVEN, FAILURE_ERROR },
	{ ERR_TIMEOUT, FAILURE_TIMEOUT },
	{ ERR_CRASH, FAILURE_CRASH },
	{ ERR_NETWORK, FAILURE_NETWORK },
	{ ERR_BUSY, FAILURE_BUSY },
	{ ERR_DENIED, FAILURE_DENIED },
	{ ERR_INVALID, FAILURE_INPUT }, { ERR_PARSE, FAILURE_INPUT }, { ERR_MISSING, FAILURE_INPUT },
	{ ERR_TOO_BIG, FAILURE_INPUT }, { ERR_PATH, FAILURE_INPUT }, { ERR_NOT_FOUND, FAILURE_INPUT },
	{ ERR_CONFLICT, FAILURE_INPUT },
	{ ERR_NONE, FAILURE_OTHER }, { ERR_INTERNAL, FAILURE_OTHER }, { ERR_CONFIG, FAILURE_OTHER },
};

static bool
why_of(enum err_code code, enum failure *why)
{
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		if (failures[i].code == code) {
			*why = failures[i].why;
			return true;
		}
	return false;
}

/* False if it says nothing of the tool. */
static bool
read_end(const struct pool_end *p, struct past *x)
{
	x->ok = p->how == POOL_SUCCEEDED;
	x->us = p->ran_us < 0 ? -1 : p->ran_us;
	x->bytes = (int64_t)p->result_len;
	switch (p->how) {
	case POOL_SUCCEEDED:
		return true;
	case POOL_TIMEOUT:
		x->why = FAILURE_TIMEOUT;
		return true;
	case POOL_CRASHED:
		x->why = FAILURE_CRASH;
		return true;
	case POOL_FAILED:
		return !p->refused && why_of(p->err.code, &x->why);
	case POOL_STOPPED:
	case POOL_NOT_RUN:
		break;
	}
	return false;
}

static void
fill(struct past *x, const char *house, const char *host, const char *tool, uint64_t shape)
{
	snprintf(x->house, sizeof x->house, "%s", house);
	snprintf(x->host, sizeof x->host, "%s", host);
	snprintf(x->tool, sizeof x->tool, "%s", tool);
	x->shape = shape;
}

static void
note_adapted(struct learn *l, const struct past *x)
{
	if (x->timeout_s || x->gave_up || x->instead[0] || x->what != PAST_ATTEMPT)
		l->shown[l->nadapted++ % SHOWN_MAX] = *x;
}

static void
learn_one(struct learn *l, const struct past *x)
{
	past_pack_add(&l->pack, x);
	learner_learn(l->learner, x);
	note_adapted(l, x);
	l->count++;
	l->at_ms = x->at_ms;
}

static void
take(struct core *c, struct house *h, struct past *x)
{
	x->at_ms = c->now.wall_ms;
	snprintf(x->after, sizeof x->after, "%s", h->last_tool);
	snprintf(h->last_tool, sizeof h->last_tool, "%.47s", x->tool);
	learn_one(c->learn, x);
	c->lazy = true;
}

static void
about(const struct core *c, const char *house, const char *host, const char *tool, uint64_t shape, struct about *a)
{
	*a = (struct about){ .tool = shape_name(tool), .house = shape_name(house), .host = host ? shape_name(host) : 0,
		.shape = shape, .hour = past_hour(c->now.wall_ms) };
}

bool
learn_adapts(const struct core *c, const struct task *t)
{
	if (IS_MUTANT(MUTANT_ADAPT_ALL))
		return true;
	return t->mode == MODE_INTELLIGENT && t->stage == APPROVAL_NONE && !c->learn->frozen && !stress_of(c, t->house);
}

static void
expect_in(const struct core *c, const struct task *t, const char *house, const char *agent, struct said *s)
{
	struct about a;

	about(c, house, agent, t->tool_name, t->shape, &a);
	learner_expect(c->learn->learner, &a, c->now.wall_ms, s);
}

static void
expect(const struct core *c, const struct task *t, const char *agent, struct said *s)
{
	expect_in(c, t, task_house_name(t), agent, s);
}

/* Who asked for a limit gets it; what may not run twice is not stopped earlier than usual. */
static int
timeout_for(const struct core *c, const struct task *t, const struct forecast *f)
{
	int64_t usual = attempt_timeout_ms(t->house, t->tool, 0) / 1000, most = TIMEOUT_RAISE * usual, s;

	if (!learn_adapts(c, t) || (t->timeout_s && !IS_MUTANT(MUTANT_ADAPT_ALL)) || t->tool->effect == TOOL_EXCLUSIVE || f->timed < TIMED_MIN)
		return 0;
	s = f->p95_ms * TIMEOUT_TIMES < 1e9 ? (int64_t)(f->p95_ms * TIMEOUT_TIMES / 1000) + 1 : most;
	if (s < TIMEOUT_FLOOR_S)
		s = TIMEOUT_FLOOR_S;
	if (s > most)
		s = most;
	if (s > t->house->timeout_cap_s)
		s = t->house->timeout_cap_s;
	return s == usual ? 0 : (int)s;
}

void
learn_expect(struct core *c, struct task *t)
{
	struct said s;

	expect(c, t, t->at ? t->at->name : c->o.agent, &s);
	t->said.p = s.f.p;
	t->said.p_all = s.p_all;
	t->said.p_tool = s.p_tool;
	t->said.p95_ms = s.f.p95_ms;
	t->learned_timeout_s = timeout_for(c, t, &s.f);
	t->given_up = false;
}

static uint64_t
draw(void *core)
{
	return core_random(core);
}

double
learn_bid(struct core *c, const struct task *t, const char *agent, bool usual)
{
	struct said s;

	expect(c, t, agent, &s);
	return model_bid(&s.f, usual, draw, c);
}

/* It is no attempt, and is kept where those are. */
static void
decide(struct core *c, struct past *x, const struct said *s)
{
	x->at_ms = c->now.wall_ms;
	past_foretell(x, s->f.p, s->p_all, s->p_tool, s->f.p95_ms);
	learn_one(c->learn, x);
	c->lazy = true;
}

static bool
is_open_to(const struct core *c, const struct task *t, const struct config_house *h)
{
	return approval_may_move(c, t, h->name) && !signed_halt(c, h->name, t->tool_name);
}

/* Of those where the tool is known to run, and the one whose turn it is. What may not run twice stays where its id puts
 * it, and so does what would need an approval there, or is halted. */
const struct config_house *
learn_house(struct core *c, const struct task *t, const struct config_house *usual)
{
	const struct config *f = c->o.config;
	const struct config_house *best = usual;
	struct past x = { .what = PAST_HOUSE };
	struct said s;
	double most = -1;

	if (!learn_adapts(c, t) || t->tool->effect == TOOL_EXCLUSIVE || !is_open_to(c, t, usual))
		return usual;
	for (const struct config_house *h = f->houses; h < f->houses + f->nhouses; h++) {
		double bid;

		expect_in(c, t, h->name, NULL, &s);
		if (h != usual && (s.f.seen[MODEL_HOUSE] < 0.5 || !is_open_to(c, t, h)))
			continue;
		bid = model_bid(&s.f, h == usual, draw, c);
		if (bid > most) {
			most = bid;
			best = h;
		}
	}
	if (best == usual)
		return usual;
	fill(&x, best->name, "", t->tool_name, t->shape);
	snprintf(x.instead, sizeof x.instead, "%s", usual->name);
	expect_in(c, t, best->name, NULL, &s);
	decide(c, &x, &s);
	return best;
}

int
learn_run(const struct core *c, const char *tool)
{
	double base = learner_base(c->learn->learner, shape_name(tool));

	return base < 0 ? 0 : learner_run(base, BREAKER_TIMES * (int)c->o.config->breaker_failures);
}

void
learn_breaker_waits(struct core *c, const struct task *t, const char *agent, int run)
{
	struct past x = { .what = PAST_BREAKER, .failures = run };
	struct said s;

	expect(c, t, agent, &s);
	fill(&x, t->house->name, agent, t->tool_name, t->shape);
	decide(c, &x, &s);
}

/* A success is worth 1, a try HOPELESS: by the best that can be believed of the chance, the next is not worth it. It may
 * run on any agent. First tries go on, so it is noticed when that changes. */
static bool
is_hopeless(const struct core *c, const struct task *t, const struct pool_end *p)
{
	struct said s;

	if (!learn_adapts(c, t) || (p->how != POOL_FAILED && p->how != POOL_TIMEOUT) || p->hopeless || t->cancelled ||
	    !t->tool || t->tool->effect == TOOL_EXCLUSIVE || t->failures + 1 >= t->retry_max)
		return false;
	expect(c, t, NULL, &s);
	return s.f.high < HOPELESS;
}

/* One that was begun here for a former owner of the house was learned when it ended: see learn_work(). */
void
learn_ended(struct core *c, struct task *t, const struct pool_end *p)
{
	struct past x = { .us = -1 };
	double said = t->said.p;

	t->said.p = 0;
	if (t->works || !read_end(p, &x))
		return;
	fill(&x, task_house_name(t), t->at ? t->at->name : t->here ? c->o.agent : "", t->tool_name, t->shape);
	if (said > 0)
		past_foretell(&x, said, t->said.p_all, t->said.p_tool, t->said.p95_ms);
	x.timeout_s = t->learned_timeout_s;
	snprintf(x.instead, sizeof x.instead, "%s", t->instead ? t->instead : "");
	x.gave_up = t->given_up = is_hopeless(c, t, p);
	take(c, t->house, &x);
}

void
learn_work(struct core *c, const struct work *w, const struct pool_end *p)
{
	struct past x = { .us = -1 };

	if (!w->started || w->plan || !read_end(p, &x))
		return;
	fill(&x, w->house->name, c->o.agent, w->tool, w->shape);
	take(c, w->house, &x);
}

static bool
read_heard(const cJSON *o, const char *type, struct past *x)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error"), *ms = cJSON_GetObjectItemCaseSensitive(o, "run_ms");
	const char *state = json_text(o, "state");

	if (cJSON_IsNumber(ms) && ms->valuedouble >= 0 && ms->valuedouble < 1e12)
		x->us = (int64_t)(ms->valuedouble * 1000);
	x->ok = strcmp(state, "succeeded") == 0;
	x->heard = true;
	if (strcmp(type, "retrying") != 0 &&
	    (strcmp(type, "outcome") != 0 || (!x->ok && strcmp(state, "failed") != 0 && strcmp(state, "dead") != 0 &&
	    strcmp(state, "uncertain") != 0)))
		return false;
	return x->ok || (e && why_of(err_code_parse(json_text(e, "code")), &x->why));
}

/* From the owner of its house. What ran here is known already. */
void
learn_heard(struct core *c, const struct task *t, const cJSON *o, const char *type)
{
	const char *host = json_text(o, "agent");
	struct past x = { .us = -1 };

	if (!read_heard(o, type, &x) || t->attempt < 1)
		return;
	if (!*host)
		host = t->house->term.agent;
	if (strcmp(host, c->o.agent) == 0)
		return;
	fill(&x, t->house->name, host, t->tool_name, t->shape);
	take(c, t->house, &x);
}

/* ---- with a commit ---- */

static int
write_imported(struct core *c, struct err *e)
{
	const struct learn *l = c->learn;
	sqlite3_stmt *s;

	if (!*l->source)
		return 0;
	s = use(c, L_IMPORT_SET);
	db_text(s, 1, l->source);
	db_int(s, 2, l->upto);
	return db_run(&c->db, s, e);
}

static int
write_frozen(struct core *c, struct err *e)
{
	sqlite3_stmt *s;

	if (c->learn->frozen == c->learn->stored_frozen)
		return 0;
	s = use(c, L_META_SET);
	db_text(s, 1, c->learn->frozen ? "1" : "0");
	return db_run(&c->db, s, e);
}

int
learn_write(struct core *c, struct err *e)
{
	const struct learn *l = c->learn;
	sqlite3_stmt *s;

	if ((l->reset && db_run(&c->db, use(c, L_CLEAR), e)) || write_frozen(c, e) || write_imported(c, e))
		return -1;
	if (!l->count)
		return 0;
	s = use(c, L_PUT);
	db_int(s, 1, l->page + 1);
	db_int(s, 2, l->n + 1);
	db_int(s, 3, l->count);
	db_int(s, 4, l->at_ms);
	db_blob(s, 5, l->pack.out.data, l->pack.out.len);
	return db_run(&c->db, s, e);
}

void
learn_is_stored(struct core *c)
{
	struct learn *l = c->learn;

	l->reset = false;
	l->stored_frozen = l->frozen;
	l->source[0] = '\0';
	if (!l->count)
		return;
	l->page++;
	l->n += l->count;
	l->count = 0;
	past_pack_clear(&l->pack);
}

/* The oldest pages that are past their number. */
int
learn_prune(struct core *c)
{
	const struct learn *l = c->learn;
	sqlite3_stmt *s = use(c, L_OLDEST);
	int64_t page = 0;

	db_int(s, 1, PRUNE_PAGES);
	while (db_step(&c->db, s, NULL) == 1 && sqlite3_column_int64(s, 1) <= l->n - l->max)
		page = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	if (!page)
		return 0;
	s = use(c, L_DROP);
	db_int(s, 1, page);
	return db_run(&c->db, s, NULL);
}

/* ---- history from elsewhere ---- */

int64_t
learn_imported(struct core *c, const char *source)
{
	const struct learn *l = c->learn;
	sqlite3_stmt *s;
	int64_t upto = 0;

	if (strcmp(l->source, source) == 0)
		return l->upto;
	s = use(c, L_IMPORT_GET);
	db_text(s, 1, source);
	if (db_step(&c->db, s, NULL) == 1)
		upto = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return upto;
}

static int
read_attempt(const struct core *c, const cJSON *o, const char *house, struct past *x, struct err *e)
{
	const cJSON *us = cJSON_GetObjectItemCaseSensitive(o, "us");
	const char *tool = json_text(o, "tool"), *why = json_text(o, "why");

	*x = (struct past){ .heard = true, .us = -1, .at_ms = json_number(o, "at", 0), .ok = !*why };
	if (!*tool || strlen(tool) >= sizeof ((struct task *)0)->tool_name)
		return err_field(e, ERR_INVALID, "attempts.tool", tool, "a name of at most 47 bytes");
	if (x->at_ms <= 0 || x->at_ms > c->now.wall_ms + 86400000)
		return err_field(e, ERR_INVALID, "attempts.at", NULL, "a time that has been, in milliseconds");
	if (*why && !failure_parse(why, &x->why))
		return err_field(e, ERR_INVALID, "attempts.why", why, "a class of failures such as error or timeout");
	if (cJSON_IsNumber(us) && us->valuedouble >= 0 && us->valuedouble < 1e15)
		x->us = (int64_t)us->valuedouble;
	fill(x, house, "", tool, strtoull(json_text(o, "shape"), NULL, 16));
	return 0;
}

/* In a turn there is one source. All or nothing. */
int
learn_import(struct core *c, const struct import *i, struct err *e)
{
	struct learn *l = c->learn;
	const cJSON *v;
	struct past x;

	if (strlen(i->source) >= sizeof l->source || !*i->source)
		return err_field(e, ERR_INVALID, "source", i->source, "a name of at most %d bytes", IMPORT_SOURCE_MAX - 1);
	if (*l->source && strcmp(l->source, i->source) != 0)
		return err_busy(e, 1, "another import is under way");
	if (i->after != learn_imported(c, i->source))
		return err_set(e, ERR_CONFLICT, "of %s all up to %lld is here already", i->source,
		    (long long)learn_imported(c, i->source));
	cJSON_ArrayForEach(v, i->attempts)
		if (read_attempt(c, v, i->house, &x, e))
			return -1;
	cJSON_ArrayForEach(v, i->attempts) {
		read_attempt(c, v, i->house, &x, e);
		learn_one(l, &x);
	}
	snprintf(l->source, sizeof l->source, "%s", i->source);
	l->upto = i->upto;
	c->urgent = true;
	return 0;
}

/* ---- what is asked of it ---- */

static void
put_share(struct buf *b, const char *key, double p)
{
	json_kv_num(b, key, (double)(int)(p * 1000 + 0.5) / 1000);
}

static void
put_ms(struct buf *b, const char *key, double ms)
{
	json_kv_num(b, key, ms < 10 ? (double)(int)(ms * 100 + 0.5) / 100 : (double)(int64_t)(ms + 0.5));
}

static void
put_levels(struct buf *b, const struct forecast *f)
{
	json_put_key(b, "levels");
	json_put_open(b, '[');
	for (int i = 0; i < MODEL_LEVELS; i++) {
		if (f->seen[i] < 0.5)
			continue;
		json_put_open(b, '{');
		json_kv_str(b, "name", model_level(i));
		put_share(b, "success", f->by[i]);
		json_kv_int(b, "attempts", (int64_t)(f->seen[i] + 0.5));
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
}

void
learn_put_prediction(const struct core *c, struct buf *b, const struct question *q)
{
	const struct config_house *h = config_house_find(c->o.config, q->house);
	const char *agent = q->agent ? q->agent : h && h->agents.n == 1 ? h->agents.v[0] : NULL;
	struct about a;
	struct said s;

	about(c, q->house, agent, q->tool, shape_of(q->params), &a);
	learner_expect(c->learn->learner, &a, c->now.wall_ms, &s);
	json_kv_str(b, "tool", q->tool);
	json_kv_str(b, "house", q->house);
	if (agent)
		json_kv_str(b, "agent", agent);
	put_share(b, "success", s.f.p);
	put_share(b, "low", s.f.low);
	put_share(b, "high", s.f.high);
	json_kv_int(b, "attempts", (int64_t)(s.f.evidence + 0.5));
	json_kv_int(b, "of_tool", (int64_t)(s.f.seen[MODEL_TOOL] + 0.5));
	if (s.f.timed > 0) {
		put_ms(b, "median_ms", s.f.median_ms);
		put_ms(b, "p95_ms", s.f.p95_ms);
	}
	if (s.f.why_p > 0) {
		json_kv_str(b, "fails_by", failure_name(s.f.why));
		put_share(b, "fails_by_share", s.f.why_p);
	}
	put_levels(b, &s.f);
}

/* Only if the tool was seen before. */
void
learn_put_predicted(struct core *c, struct buf *b, const struct task *t)
{
	struct said s;

	expect(c, t, NULL, &s);
	if (s.f.seen[MODEL_TOOL] < 0.5)
		return;
	json_put_key(b, "predicted");
	json_put_open(b, '{');
	put_share(b, "success", s.f.p);
	put_share(b, "low", s.f.low);
	put_share(b, "high", s.f.high);
	json_kv_int(b, "of", (int64_t)(s.f.evidence + 0.5));
	if (s.f.p95_ms > 0)
		put_ms(b, "p95_ms", s.f.p95_ms);
	json_put_close(b, '}');
}

static void
put_score(struct buf *b, const char *key, const struct score *s)
{
	json_put_key(b, key);
	json_put_open(b, '{');
	json_kv_num(b, "brier", score_brier(s));
	json_kv_num(b, "log_loss", score_loss(s));
	json_kv_num(b, "ece", score_ece(s));
	json_put_close(b, '}');
}

void
learn_put_report(const struct core *c, struct buf *b)
{
	const struct learner *l = c->learn->learner;

	json_kv_str(b, "agent", c->o.agent);
	json_kv_int(b, "attempts", l->n);
	if (l->n)
		json_kv_time(b, "since", l->since_ms);
	json_kv_int(b, "predictions", (int64_t)l->said.n);
	put_score(b, "model", &l->said);
	put_score(b, "all", &l->by_all);
	put_score(b, "tool", &l->by_tool);
	json_kv_num(b, "skill_all", score_skill(&l->said, &l->by_all));
	json_kv_num(b, "skill_tool", score_skill(&l->said, &l->by_tool));
	json_put_key(b, "p95");
	json_put_open(b, '{');
	json_kv_int(b, "predictions", (int64_t)l->said.timed);
	put_share(b, "covered", score_coverage(&l->said));
	json_put_close(b, '}');
	json_put_key(b, "calibration");
	json_put_open(b, '[');
	for (int i = 0; i < SCORE_BINS; i++) {
		const struct score_bin *x = &l->said.bins[i];

		json_put_open(b, '{');
		json_kv_num(b, "from", (double)i / SCORE_BINS);
		json_kv_int(b, "predictions", (int64_t)x->n);
		if (x->n) {
			put_share(b, "said", x->said / (double)x->n);
			put_share(b, "came", x->came / (double)x->n);
		}
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
}

static const char *const whats[PAST_COUNT] = { [PAST_ATTEMPT] = "attempt", [PAST_HOUSE] = "house", [PAST_BREAKER] = "breaker" };

/* The numbers are those by which it was decided. */
static void
put_adapted(struct buf *b, const struct past *x)
{
	json_put_open(b, '{');
	json_kv_time(b, "time", x->at_ms);
	json_kv_str(b, "what", whats[x->what]);
	json_kv_str(b, "tool", x->tool);
	json_kv_str(b, "house", x->house);
	if (x->host[0])
		json_kv_str(b, "agent", x->host);
	if (x->what == PAST_ATTEMPT)
		json_kv_bool(b, "succeeded", x->ok);
	put_share(b, "expected", x->p);
	put_ms(b, "p95_ms", x->p95_ms);
	if (x->timeout_s)
		json_kv_int(b, "timeout_s", x->timeout_s);
	if (x->instead[0])
		json_kv_str(b, "instead_of", x->instead);
	if (x->gave_up)
		json_kv_bool(b, "gave_up", true);
	if (x->failures)
		json_kv_int(b, "failures", x->failures);
	json_put_close(b, '}');
}

void
learn_put_state(const struct core *c, struct buf *b)
{
	const struct learn *l = c->learn;

	json_kv_str(b, "agent", c->o.agent);
	json_kv_int(b, "attempts", l->learner->n);
	if (l->learner->n)
		json_kv_time(b, "since", l->learner->since_ms);
	json_kv_int(b, "kept_at_most", l->max);
	json_kv_int(b, "cells", model_used(l->learner->model));
	json_kv_int(b, "cells_at_most", MODEL_CELLS);
	json_kv_bool(b, "frozen", l->frozen);
	json_kv_int(b, "adapted_count", l->nadapted);
	json_put_key(b, "adapted");
	json_put_open(b, '[');
	for (int64_t i = l->nadapted > SHOWN_MAX ? l->nadapted - SHOWN_MAX : 0; i < l->nadapted; i++)
		put_adapted(b, &l->shown[i % SHOWN_MAX]);
	json_put_close(b, ']');
}

/* All is forgotten, with the turn's commit. */
void
learn_reset(struct core *c)
{
	struct learn *l = c->learn;

	learner_clear(l->learner);
	past_pack_clear(&l->pack);
	l->count = 0;
	l->nadapted = 0;
	l->reset = true;
	c->urgent = true;
}

void
learn_freeze(struct core *c, bool frozen)
{
	c->learn->frozen = frozen;
	c->urgent = true;
}

/* ---- life ---- */

static void
replay(struct core *c, const unsigned char *p, size_t len)
{
	const unsigned char *end = p + len;
	struct past x = { 0 };

	while (p < end) {
		struct house *h;

		if (past_unpack(&p, end, &x)) {
			log_warnx("store: a page of patterns is damaged; the rest of it is left out");
			return;
		}
		learner_learn(c->learn->learner, &x);
		note_adapted(c->learn, &x);
		if (x.what == PAST_ATTEMPT && (h = house_find(c, x.house)))
			snprintf(h->last_tool, sizeof h->last_tool, "%.47s", x.tool);
	}
}

static int
load_frozen(struct core *c, struct err *e)
{
	sqlite3_stmt *s = use(c, L_META_GET);
	int rc = db_step(&c->db, s, e);

	c->learn->frozen = c->learn->stored_frozen = rc == 1 && sqlite3_column_int(s, 0);
	sqlite3_reset(s);
	return rc < 0 ? -1 : 0;
}

static int
load(struct core *c, struct err *e)
{
	struct learn *l = c->learn;
	sqlite3_stmt *s = use(c, L_LAST);
	int64_t from = 0;
	int rc = db_step(&c->db, s, e);

	if (rc == 1) {
		l->page = sqlite3_column_int64(s, 0);
		l->n = sqlite3_column_int64(s, 1);
	}
	sqlite3_reset(s);
	if (rc <= 0)
		return rc;
	s = use(c, L_NEWEST);
	while ((rc = db_step(&c->db, s, e)) == 1) {
		from = sqlite3_column_int64(s, 0);
		if (sqlite3_column_int64(s, 1) <= l->n - REPLAY_MAX)
			break;
	}
	sqlite3_reset(s);
	s = use(c, L_FROM);
	db_int(s, 1, from);
	while (rc >= 0 && (rc = db_step(&c->db, s, e)) == 1)
		replay(c, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
	return rc;
}

/* An agent at home in the sovereign's own house remembers all that it has heard. */
static bool
keeps_all(const struct core *c)
{
	const struct config_house *h = config_house_find(c->o.config, c->o.config->sovereign);

	return h && config_names_has(&h->agents, c->o.agent);
}

int
learn_open(struct core *c, struct err *e)
{
	struct learn *l = c->learn = xcalloc(1, sizeof *l);

	l->learner = learner_new();
	l->max = keeps_all(c) ? PATTERNS_MAX : c->o.config->keep_patterns;
	return db_more(&c->db, sql, L_COUNT, &l->queries, e) || load_frozen(c, e) || load(c, e) ? -1 : 0;
}

void
learn_release(struct core *c)
{
	if (!c->learn)
		return;
	past_pack_free(&c->learn->pack);
	learner_free(c->learn->learner);
	free(c->learn);
}
