/*
 * inside.c - the checker's look inside the cores: bounds after each turn; rows and counters at the end. With audit.c and breakers.c
 * alone among all code outside of the core this file knows its data structures.
 */
#include "check.h"

#include "json.h"
#include "state.h"

#define TURNS_PER_SECOND_MAX 4000
#define OWN_HOUSE "~"                   /* what an agent hands on for its own users */

/* ---- bounds, after each turn ---- */

static void
check_speed(struct check *k, struct host *h, int i)
{
	if (k->sim->now_us - k->turns_from_us[i] >= SECOND) {
		k->turns_from_us[i] = k->sim->now_us;
		k->turns[i] = 0;
	}
	if (++k->turns[i] > TURNS_PER_SECOND_MAX)
		sim_fail(k->sim, host_name(h), "%s spins: %lld turns in a second", host_name(h),
		    (long long)k->turns[i]);
}

/* Those that somebody waits for on the host's socket. */
static int64_t
awaited(const struct core *c)
{
	int64_t n = 0;

	for (int i = 0; i < TASK_BUCKETS; i++)
		for (const struct task *t = c->by_seq[i]; t; t = t->next_seq)
			n += t->conn != 0;
	return n;
}

/* Who goes on in step takes what the owner has said, and nobody else's. */
static void
check_followed(struct check *k, const struct core *c, const struct house *h, struct followed *was)
{
	struct followed is = { 0, h->head };
	char term[TERM_TEXT], log[TERM_TEXT];

	term_format(&h->term, term);
	term_format(&h->log, log);
	if (h->live)
		is.term = check_hash(term, strlen(term));
	if (is.term && is.term == was->term && is.head > was->head &&
	    (strcmp(term, log) != 0 || is.head > streams_head(k->streams, h->name, term)))
		sim_fail(k->sim, c->o.agent, "%s follows term %s of house %s to event %lld of term %s, which is not its owner's",
		    c->o.agent, term, h->name, (long long)is.head, log);
	*was = is;
}

void
inside_turn(struct check *k, struct host *h)
{
	const struct core *c = host_core(h);
	int64_t held = c->running + (int64_t)c->ntouched + TASK_LIST_MAX;
	int host = check_host(k, host_name(h));

	check_speed(k, h, host);
	for (int i = 0; i < c->nhouses; i++)
		if (c->houses[i].place >= 0)
			check_followed(k, c, &c->houses[i], &k->followed[host][i]);
	for (int i = 0; i < c->nhouses; i++) {
		held += c->houses[i].window;
		if (c->houses[i].window > WINDOW_MAX && c->houses[i].window > c->houses[i].nlanes)
			sim_fail(k->sim, host_name(h), "%lld tasks in the window", (long long)c->houses[i].window);
		if (c->houses[i].open < 0 || c->houses[i].queued < 0 || c->houses[i].running < 0)
			sim_fail(k->sim, host_name(h), "a counter of house %s is negative", c->houses[i].name);
		if (c->houses[i].open > c->o.config->max_queued + 64)
			sim_fail(k->sim, host_name(h), "%lld open tasks", (long long)c->houses[i].open);
	}
	if (c->in_flight > OUTBOX_IN_FLIGHT)
		sim_fail(k->sim, host_name(h), "%d publishes in flight", c->in_flight);
	if (c->live > held && c->live > held + awaited(c))
		sim_fail(k->sim, host_name(h), "%lld tasks in memory, %lld are in use", (long long)c->live,
		    (long long)held);
	if (c->box_total_bytes > c->o.config->max_outbox_bytes + (1 << 20))
		sim_fail(k->sim, host_name(h), "an outbox of %lld bytes", (long long)c->box_total_bytes);
}

int64_t
inside_term(const struct check *k, const char *house, unsigned hosts)
{
	int64_t n = 0;

	for (int i = 0; i < k->sim->nhosts; i++) {
		struct core *c = hosts >> i & 1 ? host_core(k->sim->hosts[i]) : NULL;
		const struct house *h = c ? house_find(c, house) : NULL;

		if (h && h->owned && h->term.n > n)
			n = h->term.n;
	}
	return n;
}

static const struct core *
owner_of(const struct check *k, const char *house)
{
	int64_t n = inside_term(k, house, ~0u);

	for (int i = 0; n && i < k->sim->nhosts; i++) {
		struct core *c = host_core(k->sim->hosts[i]);
		const struct house *h = c ? house_find(c, house) : NULL;

		if (h && h->owned && h->term.n == n)
			return c;
	}
	return NULL;
}

static bool
inside_knows(const struct core *c, const char *house, const struct ulid *id)
{
	sqlite3_stmt *s = NULL;
	bool found = false;

	if (sqlite3_prepare_v2(c->db.h, "SELECT 1 FROM tasks WHERE id = ?1 AND house = ?2", -1, &s, NULL) == SQLITE_OK) {
		sqlite3_bind_blob(s, 1, id, sizeof *id, SQLITE_STATIC);
		sqlite3_bind_text(s, 2, house, -1, SQLITE_STATIC);
		found = sqlite3_step(s) == SQLITE_ROW;
	}
	sqlite3_finalize(s);
	return found;
}

/* The next one, too. */
static int64_t
inside_runs(const struct core *c, const struct config_schedule *x)
{
	sqlite3_stmt *s = NULL;
	int64_t n = 0;

	if (sqlite3_prepare_v2(c->db.h, "SELECT count(*) FROM tasks WHERE sender = ?1 AND house = ?2", -1, &s, NULL) == SQLITE_OK) {
		sqlite3_bind_text(s, 1, SCHEDULE_SENDER, -1, SQLITE_STATIC);
		sqlite3_bind_text(s, 2, x->house, -1, SQLITE_STATIC);
		n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	}
	sqlite3_finalize(s);
	return n;
}

static const struct task *
find_in_memory(const struct core *c, const char *house, const struct ulid *id)
{
	for (int i = 0; i < TASK_BUCKETS; i++)
		for (const struct task *t = c->by_id[i]; t; t = t->next_id)
			if (t->house && strcmp(t->house->name, house) == 0 && ulid_equal(&t->id, id))
				return t;
	return NULL;
}

/* Who has heard all that the owner has said of it knows under which term it was given: he may be asked to believe its stop. */
static void
check_given_known(struct check *k, const struct record *r, const struct ulid *id, const struct task *t)
{
	for (int i = 0; i < k->sim->nhosts; i++) {
		struct core *c = host_core(k->sim->hosts[i]);
		const struct house *h = c ? house_find(c, r->house) : NULL;
		const struct task *x = h && h->live ? find_in_memory(c, r->house, id) : NULL;

		if (x && x->version == t->version && task_has_begun(x->state) && !x->term.n)
			sim_fail(k->sim, r->id, "%s does not know under which term attempt %d was given", c->o.agent, x->attempt);
	}
}

void
inside_given(struct check *k, const struct record *r, const struct host *at)
{
	const struct core *c = owner_of(k, r->house), *runner = host_core((struct host *)(uintptr_t)at);
	const struct task *t;
	struct ulid id;

	if (!c || !runner || !ulid_parse(r->id, &id) || !(t = find_in_memory(c, r->house, &id)) || !task_has_begun(t->state))
		return;
	check_given_known(k, r, &id, t);
	for (const struct work *w = runner->works; w; w = w->next)
		if (ulid_equal(&w->id, &id) && w->attempt == t->attempt && strcmp(w->house->name, r->house) == 0 &&
		    t->at && strcmp(t->at->name, host_name(at)) == 0 && !term_equal(&w->term, &t->term))
			sim_fail(k->sim, r->id, "%s ends an attempt given under term %lld of %s, its owner takes it for one of term %lld of %s",
			    host_name(at), (long long)w->term.n, w->term.agent, (long long)t->term.n, t->term.agent);
}

bool
inside_is_adapted(const struct check *k, const char *house, const char *text)
{
	const struct core *c = owner_of(k, house);
	const struct task *t;
	struct ulid id;

	return c && ulid_parse(text, &id) && (t = find_in_memory(c, house, &id)) && (t->instead || t->learned_timeout_s || t->given_up);
}

/* The core's own way to find it would keep it in memory. */
bool
inside_is_open(const struct check *k, const char *house, const char *text)
{
	const struct core *c = owner_of(k, house);
	const struct task *t;
	sqlite3_stmt *s = NULL;
	struct ulid id;
	bool open = false;

	if (!c || !ulid_parse(text, &id))
		return false;
	if ((t = find_in_memory(c, house, &id)))
		return !task_state_is_terminal(t->state);
	if (sqlite3_prepare_v2(c->db.h, "SELECT state < 9 FROM tasks WHERE id = ?1 AND house = ?2", -1, &s, NULL) == SQLITE_OK) {
		sqlite3_bind_blob(s, 1, &id, sizeof id, SQLITE_STATIC);
		sqlite3_bind_text(s, 2, house, -1, SQLITE_STATIC);
		open = sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int(s, 0);
	}
	sqlite3_finalize(s);
	return open;
}

/* From the first run on that there was, none is missing. What was forgotten is not looked for. */
static void
check_schedule(struct check *k, const struct config_schedule *s)
{
	const struct core *c = owner_of(k, s->house);
	int64_t at = WALL_BASE_MS - 1, end = WALL_BASE_MS + 86400000;
	bool began = false;

	while ((at = cron_next(&s->cron, s->zone, at)) && at < end && c) {
		char text[ULID_TEXT];
		struct ulid id;
		bool known;

		schedule_id(s, at, &id);
		ulid_format(&id, text);
		known = inside_knows(c, s->house, &id);
		if (began && !known && !check_record(k, text)->exempt && !check_record(k, text)->denied)
			sim_fail(k->sim, text, "schedule %s was not run at %lld", s->name, (long long)at);
		began |= known;
	}
	if (c && !began && !k->sim->timmy)
		sim_fail(k->sim, s->name, "schedule %s was never run", s->name);
	if (c && inside_runs(c, s) > 11)
		sim_fail(k->sim, s->name, "schedule %s was run %lld times", s->name, (long long)inside_runs(c, s));
}

void
inside_check_schedules(struct check *k)
{
	const struct config *f = &k->sim->config;

	for (size_t i = 0; i < f->nschedules && !k->losses && !k->sim->plan.short_memory; i++)
		check_schedule(k, &f->schedules[i]);
}

/* ---- rows ---- */

static int64_t
ask(struct core *c, const char *sql, const char *arg)
{
	sqlite3_stmt *s = NULL;
	int64_t n = -1;

	if (sqlite3_prepare_v2(c->db.h, sql, -1, &s, NULL) == SQLITE_OK) {
		if (arg)
			sqlite3_bind_text(s, 1, arg, -1, SQLITE_STATIC);
		if (sqlite3_step(s) == SQLITE_ROW)
			n = sqlite3_column_int64(s, 0);
	}
	sqlite3_finalize(s);
	return n;
}

/* The next run of a schedule is a year from now. */
#define FAR_OFF_MS 1810000000000
#define FAR_OFF_TEXT "1810000000000"
#define UNCERTAIN "7"
/* What waits for one that is uncertain waits for a person, and so does what waits for that. */
#define WITH_STUCK "WITH RECURSIVE stuck(seq) AS (SELECT w.task FROM waits w JOIN tasks d ON d.id = w.dep WHERE d.state = " UNCERTAIN \
	" UNION SELECT w.task FROM stuck JOIN tasks d USING (seq) JOIN waits w ON w.dep = d.id) "
#define UNSETTLED " FROM tasks WHERE (state IN (0, 1, 2, 3, 4, 5, 6) OR (state = 8 AND finished_ms IS NULL))" \
	" AND NOT (state = 2 AND (coalesce(due_ms, 0) > " FAR_OFF_TEXT " OR seq IN stuck))"

/* One of those that have not ended, to look into. */
static void
name_unsettled(struct core *c, char *subject, size_t size)
{
	sqlite3_stmt *s = NULL;
	char id[ULID_TEXT];

	snprintf(subject, size, "%s", c->o.agent);
	if (sqlite3_prepare_v2(c->db.h, WITH_STUCK "SELECT id" UNSETTLED " LIMIT 1", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == sizeof(struct ulid)) {
		ulid_format(sqlite3_column_blob(s, 0), id);
		snprintf(subject, size, "%s", id);
	}
	sqlite3_finalize(s);
}

static bool
says(struct quiet *q, const char *subject, const char *why)
{
	snprintf(q->subject, sizeof q->subject, "%s", subject);
	snprintf(q->why, sizeof q->why, "%s %s", subject, why);
	return false;
}

static bool
is_in_step(struct core *c, struct quiet *q)
{
	for (int i = 0; i < c->nhouses; i++)
		if (c->houses[i].place >= 0 && !c->houses[i].owned && !c->houses[i].live)
			return says(q, c->o.agent, "is not in step");
	return true;
}

bool
inside_waiting(const struct core *c, int64_t *seq, char house[NAME_MAX_LEN + 1], char id[ULID_TEXT])
{
	sqlite3_stmt *s = NULL;
	bool found = false;

	if (sqlite3_prepare_v2(c->db.h, "SELECT seq, house, id FROM tasks WHERE state = 1 AND seq > ?1 ORDER BY seq LIMIT 1", -1,
	    &s, NULL) == SQLITE_OK && sqlite3_bind_int64(s, 1, *seq) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW &&
	    sqlite3_column_bytes(s, 2) == sizeof(struct ulid)) {
		*seq = sqlite3_column_int64(s, 0);
		snprintf(house, NAME_MAX_LEN + 1, "%s", (const char *)sqlite3_column_text(s, 1));
		ulid_format(sqlite3_column_blob(s, 2), id);
		found = true;
	}
	sqlite3_finalize(s);
	return found;
}

bool
inside_is_quiet(struct host *h, struct quiet *q)
{
	struct core *c = host_core(h);
	int64_t open, out;

	if (!c || !c->up || c->broker != 0)
		return says(q, host_name(h), "is not connected to the first broker");
	if (c->nseen || c->nreports)
		return says(q, host_name(h), "has tasks or reports that nobody took");
	open = ask(c, WITH_STUCK "SELECT count(*)" UNSETTLED, NULL);
	out = ask(c, "SELECT count(*) FROM outbox", NULL);
	if (!open && !out)
		return is_in_step(c, q);
	name_unsettled(c, q->subject, sizeof q->subject);
	snprintf(q->why, sizeof q->why, "%s has %lld tasks that have not ended and %lld messages that are not sent",
	    host_name(h), (long long)open, (long long)out);
	return false;
}

/* Where each agent stands, and what has not ended there: for a look at what went wrong. */
void
inside_show(struct check *k, struct host *h)
{
	struct core *c = host_core(h);
	sqlite3_stmt *s = NULL;
	char id[ULID_TEXT];

	if (!c)
		return;
	for (int i = 0; i < c->nhouses; i++)
		sim_trace(k->sim, "fault: %s: house %s: %s, term %lld.%s, head %lld%s", host_name(h), c->houses[i].name,
		    c->houses[i].owned ? "owner" : c->houses[i].place >= 0 ? "candidate" : "-", (long long)c->houses[i].term.n,
		    c->houses[i].term.agent, (long long)c->houses[i].head, c->houses[i].live ? ", in step" : "");
	if (sqlite3_prepare_v2(c->db.h, WITH_STUCK "SELECT id, house, state, attempt, version, forward, tool" UNSETTLED, -1, &s, NULL))
		return;
	while (sqlite3_step(s) == SQLITE_ROW) {
		ulid_format(sqlite3_column_blob(s, 0), id);
		sim_trace(k->sim, "fault: %s: has %s of house %s as %s, attempt %d, version %lld, %s, to %s", host_name(h), id,
		    (const char *)sqlite3_column_text(s, 1), task_state_name((enum task_state)sqlite3_column_int(s, 2)),
		    sqlite3_column_int(s, 3), (long long)sqlite3_column_int64(s, 4), (const char *)sqlite3_column_text(s, 6),
		    sqlite3_column_text(s, 5) ? (const char *)sqlite3_column_text(s, 5) : "nobody");
	}
	sqlite3_finalize(s);
}

static void
compare(struct check *k, const struct core *c, const struct house *h, const char *what, int64_t counter,
    const char *sql)
{
	int64_t rows = ask((struct core *)(uintptr_t)c, sql, h->name);

	if (rows != counter)
		sim_fail(k->sim, c->o.agent, "house %s of %s counts %lld %s, its rows are %lld", h->name,
		    c->o.agent, (long long)counter, what, (long long)rows);
}

#define SQL_OF_HOUSE "SELECT count(*) FROM tasks WHERE house = ?1 AND "

static void
check_counters(struct check *k, const struct core *c)
{
	for (int i = 0; i < c->nhouses; i++) {
		const struct house *h = &c->houses[i];

		if (!h->owned)
			continue;
		compare(k, c, h, "queued tasks", h->queued, SQL_OF_HOUSE "state = 3");
		compare(k, c, h, "running tasks", h->running, SQL_OF_HOUSE "state IN (4, 5)");
		compare(k, c, h, "open tasks", h->open,
		    SQL_OF_HOUSE "state < 9 AND (forward IS NULL OR finished_ms IS NULL)");
	}
}

/* Of what an agent hands on for its own users; a house's stream is looked at with its owners. */
static void
check_heads(struct check *k, struct core *c)
{
	const struct house *h = &c->houses[0];
	int64_t head = streams_head(k->streams, "_", c->store_id);

	if (h->head != head && !check_dropped(k, check_host(k, c->o.agent)))
		sim_fail(k->sim, c->o.agent, "what %s hands on is at event %lld, the broker saw %lld", c->o.agent,
		    (long long)h->head, (long long)head);
}

/* ---- the end ---- */

#define ROWS_MAX 8

/* A task in one house. */
struct row {
	char house[NAME_MAX_LEN + 1];
	bool elsewhere;                 /* handed on */
	enum task_state state;
	uint64_t what;
	uint64_t history;               /* of attempts that came to nothing; 0: none did */
	int failures;
	unsigned have;                  /* hosts */
};

static const char sql_rows[] = "SELECT house, state, outcome, forward, history, failures FROM tasks WHERE id = ?1";

/* s: sql_rows, of a host. */
static int
read_rows(sqlite3_stmt *s, const char *id, struct row out[ROWS_MAX])
{
	struct ulid u;
	int n = 0;

	if (!ulid_parse(id, &u))
		return 0;
	sqlite3_bind_blob(s, 1, &u, sizeof u, SQLITE_STATIC);
	while (n < ROWS_MAX && sqlite3_step(s) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 2);
		cJSON *o = text ? cJSON_Parse(text) : NULL;
		struct row *r = &out[n++];

		*r = (struct row){ .state = (enum task_state)sqlite3_column_int(s, 1),
			.what = check_hash_json(o ? o->child : NULL) };
		snprintf(r->house, sizeof r->house, "%s", (const char *)sqlite3_column_text(s, 0));
		r->elsewhere = sqlite3_column_type(s, 3) != SQLITE_NULL && !task_state_is_terminal(r->state);
		cJSON_Delete(o);
		text = (const char *)sqlite3_column_text(s, 4);
		r->history = text ? check_hash(text, strlen(text)) : 0;
		r->failures = sqlite3_column_int(s, 5);
	}
	sqlite3_reset(s);
	return n;
}

/* The next run of a schedule. */
static bool
is_far_off(const char *text)
{
	struct ulid id;

	return ulid_parse(text, &id) && ulid_time_ms(&id) > FAR_OFF_MS;
}

/* Told as cancelled and forgotten at once, while somebody who did not hear of it goes on waiting with it for one that is uncertain. */
static bool
is_forgotten(const struct check *k, const struct record *r, const struct row *row)
{
	return k->sim->plan.short_memory && row->state == TASK_SCHEDULED && strcmp(r->state, "cancelled") == 0;
}

/* With what was told of it. */
static void
check_told(struct check *k, struct record *r, const struct row *row, const char *host)
{
	const char *state = task_state_name(row->state);

	if (!task_state_is_terminal(row->state) && row->state != TASK_UNCERTAIN && row->state != TASK_WAITING && !is_far_off(r->id) &&
	    !is_forgotten(k, r, row))
		sim_fail(k->sim, r->id, "still %s at %s", state, host);
	/* It was forgotten, came back from one who had not heard how it ended, and may have been cancelled for that. */
	if (check_missed(k, r) ||
	    (k->sim->plan.short_memory && (row->state == TASK_UNCERTAIN || row->state == TASK_CANCELLED)))
		return;
	if (r->state[0] && (strcmp(r->state, state) != 0 || r->what != row->what))
		sim_fail(k->sim, r->id, "told as %s, but %s has it as %s", r->state, host, state);
	if (row->state == TASK_DEAD && row->failures && !row->history)
		sim_fail(k->sim, r->id, "dead at %s, and nothing is known of its attempts", host);
	if (r->cancelled && row->state != TASK_CANCELLED)
		sim_fail(k->sim, r->id, "told as cancelled, but %s has it as %s", host, state);
}

/* All who may own a house have the same of it. */
static void
check_same(struct check *k, const struct record *r, struct row *first, const struct row *row, int host)
{
	if (row->state != first->state || row->what != first->what)
		sim_fail(k->sim, r->id, "house %s: %s has it as %s%s, others as %s", row->house,
		    host_name(k->sim->hosts[host]), task_state_name(row->state), row->state == first->state ? " too, but otherwise" : "",
		    task_state_name(first->state));
	else if (row->history != first->history || row->failures != first->failures)
		sim_fail(k->sim, r->id, "house %s: %s has another history of it than others", row->house,
		    host_name(k->sim->hosts[host]));
	first->have |= 1u << host;
}

static void
take_row(struct check *k, struct record *r, struct row all[ROWS_MAX], int *n, const struct row *row, int host)
{
	int i = 0;

	if (!row->elsewhere)
		check_told(k, r, row, host_name(k->sim->hosts[host]));
	if (strcmp(row->house, OWN_HOUSE) == 0)
		return;
	while (i < *n && strcmp(all[i].house, row->house) != 0)
		i++;
	if (i == ROWS_MAX)
		return;
	if (i == *n)
		all[(*n)++] = *row;
	check_same(k, r, &all[i], row, host);
}

static void
check_missing(struct check *k, const struct record *r, const struct row *row)
{
	unsigned missing = check_candidate_bits(k, row->house) & ~row->have;

	for (int i = 0; i < k->sim->nhosts && !k->sim->plan.short_memory; i++)
		if (missing >> i & 1)
			sim_fail(k->sim, r->id, "%s may own house %s, but does not have it", host_name(k->sim->hosts[i]),
			    row->house);
}

static void
check_rows(struct check *k, struct record *r, sqlite3_stmt *const stmts[HOSTS_MAX])
{
	struct row all[ROWS_MAX], rows[ROWS_MAX];
	int n = 0, kept = 0, handed_on = 0;

	if (r->exempt || r->refused || !(r->told || r->accepted_in))
		return;
	for (int i = 0; i < k->sim->nhosts; i++) {
		int found = read_rows(stmts[i], r->id, rows);

		for (int j = 0; j < found; j++) {
			handed_on += rows[j].elsewhere;
			kept += !rows[j].elsewhere;
			take_row(k, r, all, &n, &rows[j], i);
		}
	}
	for (int i = 0; i < n; i++)
		check_missing(k, r, &all[i]);
	if (!kept && r->told && !k->sim->plan.short_memory && !(handed_on && r->alias))
		sim_fail(k->sim, r->id, "accepted for house %s, but nobody knows it any more", r->house);
}

void
inside_check(struct check *k)
{
	sqlite3_stmt *stmts[HOSTS_MAX] = { NULL };

	for (int i = 0; i < k->sim->nhosts; i++) {
		check_counters(k, host_core(k->sim->hosts[i]));
		check_heads(k, host_core(k->sim->hosts[i]));
		sqlite3_prepare_v2(host_core(k->sim->hosts[i])->db.h, sql_rows, -1, &stmts[i], NULL);
	}
	for (int i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = r->next)
			check_rows(k, r, stmts);
	for (int i = 0; i < k->sim->nhosts; i++)
		sqlite3_finalize(stmts[i]);
}

void
inside_died(struct check *k, int host, const struct core *c)
{
	breakers_died(k, host);
	k->dropped[host] += c->dropped_events;
	memset(k->followed[host], 0, sizeof k->followed[host]);
	memcpy(k->store[host], c->store_id, sizeof k->store[host]);
}

int64_t
inside_signed(const struct core *c, int kind)
{
	return c->signed_n[kind];
}

int64_t
inside_dropped(const struct core *c)
{
	return c->dropped_events;
}
