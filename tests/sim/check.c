/*
 * check.c - watches the whole history and says which promise was not kept:
 *
 *   1  what was accepted ends in one state, and is still known at the end;
 *   2  all who are told an outcome are told the same, and the rows say it too;
 *   4  an exclusive tool is not started again after an attempt that may have had its effect;
 *   7  the events of a stream are numbered without a gap, a number never means two things;
 *   8  queues stay within their bounds, and counters say what the rows say.
 *
 * Events are looked at when they reach the broker, for a broker may forget them afterwards. Alone among all
 * code outside of the core this file looks inside it.
 */
#include "sim.h"

#include "buf.h"
#include "json.h"
#include "state.h"

#define BUCKETS 4096
#define TURNS_PER_SECOND_MAX 4000
#define LATE_REPLY_US (20 * SECOND)

/* A task, by its id. */
struct record {
	char id[ULID_TEXT];
	char house[NAME_MAX_LEN + 1];   /* where it was accepted */
	unsigned hosts;                 /* that had to do with it */
	bool told, exempt;
	bool blocked;                   /* an attempt may have had the effect of an exclusive tool */
	int crashes, crashes_allowed;
	bool stopping, cancelled;       /* as told to who cancelled */
	char state[20];                 /* outcome, first one that is final */
	uint64_t what;
	uint64_t accepted_in;           /* stream that told of it */
	struct record *next;
};

/* Who used a key for what. */
struct key {
	char text[96], id[ULID_TEXT];
	struct key *next;
};

struct stream {
	char topic[TOPIC_MAX], store[12];
	int host;
	uint64_t *lines;                /* hash by number; 0: not seen */
	int64_t cap, head;
	int64_t gap;
	struct stream *next;
};

/* Lines of a plain publisher, which nobody sends again. */
struct plain {
	char name[2 * NAME_MAX_LEN + 4];        /* house/sender */
	int host;
	int64_t sent, taken;
	struct plain *next;
};

struct check {
	struct sim *sim;
	struct record *records[BUCKETS];
	struct key *keys;
	struct stream *streams;
	struct plain *plains;
	unsigned unreliable;            /* hosts whose sessions or disks lost something */
	int64_t dropped[HOSTS_MAX];     /* events, in former lives */
	int64_t turns[HOSTS_MAX], turns_from_us[HOSTS_MAX];
	int64_t died_us[HOSTS_MAX];     /* the agent, the last time */
	int64_t lost_us[HOSTS_MAX];     /* its disk */
	char store[HOSTS_MAX][12];      /* the last one it had */
	struct key *lost;               /* stores */
};

static uint64_t
hash(const char *p, size_t len)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * 1099511628211u;
	return h ? h : 1;
}

static uint64_t
hash_json(const cJSON *v)
{
	char *text = v ? cJSON_PrintUnformatted(v) : NULL;
	uint64_t h = text ? hash(text, strlen(text)) : 0;

	cJSON_free(text);
	return h;
}

static const char *
text_of(const cJSON *o, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return s ? s : "";
}

static int
host_index(const struct check *k, const char *name)
{
	for (int i = 0; i < k->sim->nhosts; i++)
		if (strcmp(host_name(k->sim->hosts[i]), name) == 0)
			return i;
	return -1;
}

static unsigned
host_bit(const struct check *k, const char *name)
{
	int i = host_index(k, name);

	return i < 0 ? 0 : 1u << i;
}

/* The agent that owns a house: the first of its own. */
static const char *
owner_of(const struct check *k, const char *house)
{
	const struct config_house *h = config_house_find(&k->sim->config, house);

	return strcmp(house, "_") == 0 ? k->sim->config.router.v[0] : h ? h->agents.v[0] : "";
}

static struct record *
record_of(struct check *k, const char *id)
{
	struct record **p = &k->records[hash(id, strlen(id)) % BUCKETS], *r;

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

void
check_begun(struct check *k, const char *id, const struct tool *tool, const char *host)
{
	struct record *r = record_of(k, id);

	r->hosts |= host_bit(k, host);
	if (r->exempt)
		return;
	if (tool->effect == TOOL_EXCLUSIVE && r->blocked)
		sim_fail(k->sim, id, "exclusive %s began again after an attempt that may have had its effect",
		    tool->name);
	if (r->stopping || r->cancelled)
		sim_fail(k->sim, id, "began after its sender was told that it is cancelled");
	if (r->crashes - r->crashes_allowed >= k->sim->config.max_crashes)
		sim_fail(k->sim, id, "began again after it had killed %d workers", r->crashes);
	if (r->state[0])
		sim_fail(k->sim, id, "began after it was %s", r->state);
	r->blocked = tool->effect == TOOL_EXCLUSIVE;
}

void
check_ended(struct check *k, const char *id, enum pool_how how, bool may_have_effect)
{
	struct record *r = record_of(k, id);

	r->blocked &= may_have_effect;
	r->crashes += how == POOL_CRASHED;
}

/* What the agent had not yet counted or stopped is not held against it: a crash that it did not commit, and one
 * more of the attempt that it began in the same turn. */
static void
forgive(struct check *k, unsigned bit)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = r->next)
			if (r->hosts & bit) {
				int more = r->crashes - r->crashes_allowed;

				r->crashes_allowed += more > 2 ? 2 : more;
				r->stopping = false;
			}
}

void
check_agent_died(struct check *k, const char *host, const struct core *c)
{
	int i = host_index(k, host);

	k->dropped[i] += c->dropped_events;
	k->turns[i] = 0;
	k->died_us[i] = k->sim->now_us;
	memcpy(k->store[i], c->store_id, sizeof k->store[i]);
	forgive(k, 1u << i);
}

/* With one copy each, a lost disk excuses all that was on it. */
void
check_disk_lost(struct check *k, const char *host)
{
	unsigned bit = host_bit(k, host);
	struct key *lost = xcalloc(1, sizeof *lost);
	int i = host_index(k, host);

	snprintf(lost->text, sizeof lost->text, "%s", k->store[i]);
	lost->next = k->lost;
	k->lost = lost;
	k->lost_us[i] = k->sim->now_us;
	k->unreliable |= bit;
	for (i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = r->next)
			if (r->hosts & bit)
				r->exempt = true;
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

bool
check_is_exempt(struct check *k, const char *id)
{
	return record_of(k, id)->exempt;
}

void
check_session_lost(struct check *k, const char *host)
{
	k->unreliable |= host ? host_bit(k, host) : ~0u;
}

/* ---- outcomes ---- */

static bool
is_final(const char *state)
{
	enum task_state s;

	return state[0] && task_state_parse(state, &s) == 0 && task_state_is_terminal(s);
}

static void
note_outcome(struct check *k, struct record *r, const char *state, const cJSON *what, const char *who)
{
	uint64_t h = hash_json(what);

	if (r->exempt || !is_final(state))
		return;
	if (r->state[0] && (strcmp(r->state, state) != 0 || r->what != h))
		sim_fail(k->sim, r->id, "two outcomes: %s, and to %s %s", r->state, who, state);
	if (r->cancelled && strcmp(state, "cancelled") != 0)
		sim_fail(k->sim, r->id, "its sender was told that it is cancelled, but it is %s", state);
	snprintf(r->state, sizeof r->state, "%s", state);
	r->what = h;
}

void
check_outcome(struct check *k, const char *id, const char *state, const cJSON *what)
{
	note_outcome(k, record_of(k, id), state, what, "its sender");
}

void
check_accepted(struct check *k, const char *id, const char *house, const struct host *at)
{
	struct record *r = record_of(k, id);

	r->hosts |= host_bit(k, at ? host_name(at) : owner_of(k, house)) | host_bit(k, owner_of(k, "_"));
	r->exempt |= is_recent(k, k->lost_us, r->hosts);
	if (!r->accepted_in)
		snprintf(r->house, sizeof r->house, "%s", house);
	r->told = true;
}

/* That it is being stopped holds for the life of the agent; what a former life said may still be on its way. */
void
check_cancel_told(struct check *k, const char *id, bool cancelled)
{
	struct record *r = record_of(k, id);

	if (cancelled && !r->exempt && r->state[0] && strcmp(r->state, "cancelled") != 0)
		sim_fail(k->sim, id, "told as cancelled after it was %s", r->state);
	if (cancelled)
		r->cancelled = true;
	else if (!is_recent(k, k->died_us, r->hosts))
		r->stopping = true;
}

/* ---- streams ---- */

static struct stream *
stream_of(struct check *k, const char *topic, const char *store, const char *agent)
{
	struct stream *s;

	for (s = k->streams; s; s = s->next)
		if (strcmp(s->topic, topic) == 0 && strcmp(s->store, store) == 0)
			return s;
	s = xcalloc(1, sizeof *s);
	snprintf(s->topic, sizeof s->topic, "%s", topic);
	snprintf(s->store, sizeof s->store, "%s", store);
	s->host = host_index(k, agent);
	s->next = k->streams;
	k->streams = s;
	return s;
}

static int64_t
dropped_by(const struct check *k, int host)
{
	const struct core *c = host < 0 ? NULL : host_core(k->sim->hosts[host]);

	return host < 0 ? 0 : k->dropped[host] + (c ? c->dropped_events : 0);
}

/* False: it was here before. */
static bool
note_number(struct check *k, struct stream *s, int64_t n, uint64_t h)
{
	if (n >= s->cap) {
		int64_t cap = s->cap ? 2 * s->cap : 256;

		while (cap <= n)
			cap *= 2;
		s->lines = xrealloc(s->lines, (size_t)cap * sizeof *s->lines);
		memset(s->lines + s->cap, 0, (size_t)(cap - s->cap) * sizeof *s->lines);
		s->cap = cap;
	}
	if (s->lines[n]) {
		if (s->lines[n] != h)
			sim_fail(k->sim, s->topic, "event %lld of %s says two things", (long long)n, s->topic);
		return false;
	}
	s->lines[n] = h;
	if (n < s->head)
		sim_fail(k->sim, s->topic, "event %lld of %s comes after %lld", (long long)n, s->topic,
		    (long long)s->head);
	s->gap += n - s->head - 1;
	s->head = n;
	if (s->gap > dropped_by(k, s->host))
		sim_fail(k->sim, s->topic, "%lld events before %lld of %s are missing", (long long)s->gap,
		    (long long)n, s->topic);
	return true;
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
	p->host = host_index(k, owner_of(k, house));
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
	if (x && strcmp(x->id, r->id) != 0 && !r->exempt && !record_of(k, x->id)->exempt)
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
event_accepted(struct check *k, const struct topic *t, const struct stream *s, const cJSON *o)
{
	struct record *r = record_of(k, text_of(o, "id"));
	const char *key = text_of(cJSON_GetObjectItemCaseSensitive(o, "task"), "key");
	uint64_t from = hash(s->topic, strlen(s->topic)) ^ hash(s->store, strlen(s->store));

	r->hosts |= host_bit(k, t->id);
	r->exempt |= is_lost(k, s->store);
	if (r->accepted_in == from && !r->exempt)
		sim_fail(k->sim, r->id, "accepted twice by %s", t->id);
	r->accepted_in = from;
	snprintf(r->house, sizeof r->house, "%s", t->name);
	if (key[0])
		note_key(k, r, text_of(o, "sender"), key);
	if (is_plain(text_of(o, "sender")))
		plain_of(k, t->name, text_of(o, "sender"))->taken++;
}

static void
event_line(struct check *k, const struct topic *t, const struct msg *m, const char *line, size_t len)
{
	cJSON *o = cJSON_ParseWithLength(line, len);
	const char *type = text_of(o, "type"), *id = text_of(o, "id");
	struct stream *s = stream_of(k, m->topic, text_of(o, "store"), t->id);
	int64_t n = 0;

	if (!json_int(cJSON_GetObjectItemCaseSensitive(o, "seq"), &n) || n < 1)
		sim_fail(k->sim, m->topic, "an event without a number: %.*s", (int)len, line);
	else if (!note_number(k, s, n, hash(line, len)))
		;
	else if (strcmp(type, "accepted") == 0)
		event_accepted(k, t, s, o);
	else if (strcmp(type, "rejected") == 0 && is_plain(text_of(o, "sender")))
		plain_of(k, t->name, text_of(o, "sender"))->taken++;
	else if (strcmp(type, "outcome") == 0)
		note_outcome(k, record_of(k, id), text_of(o, "state"), cJSON_GetObjectItemCaseSensitive(o,
		    cJSON_HasObjectItem(o, "result") ? "result" : "error"), "the stream");
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
	while (t.kind == TOPIC_EVENT && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);

		if (len)
			event_line(k, &t, m, p, len);
		p += len + 1;
	}
}

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

void
check_turn(struct check *k, struct host *h)
{
	const struct core *c = host_core(h);
	int64_t held = c->running + (int64_t)c->ntouched + TASK_LIST_MAX;

	check_speed(k, h, host_index(k, host_name(h)));
	for (int i = 0; i < c->nhouses; i++) {
		held += c->houses[i].window;
		if (c->houses[i].window > WINDOW_MAX)
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

#define UNSETTLED " FROM tasks WHERE state IN (0, 2, 3, 4, 5, 6) OR (state = 8 AND finished_ms IS NULL)"

/* One of those that have not ended, to look into. */
static void
name_unsettled(struct core *c, char *subject, size_t size)
{
	sqlite3_stmt *s = NULL;
	char id[ULID_TEXT];

	snprintf(subject, size, "%s", c->o.agent);
	if (sqlite3_prepare_v2(c->db.h, "SELECT id" UNSETTLED " LIMIT 1", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == sizeof(struct ulid)) {
		ulid_format(sqlite3_column_blob(s, 0), id);
		snprintf(subject, size, "%s", id);
	}
	sqlite3_finalize(s);
}

static bool
host_is_quiet(struct host *h, struct quiet *q)
{
	struct core *c = host_core(h);
	int64_t open, out;

	if (!c || !c->up) {
		snprintf(q->why, sizeof q->why, "%s is not connected", host_name(h));
		snprintf(q->subject, sizeof q->subject, "%s", host_name(h));
		return false;
	}
	open = ask(c, "SELECT count(*)" UNSETTLED, NULL);
	out = ask(c, "SELECT count(*) FROM outbox", NULL);
	if (!open && !out)
		return true;
	name_unsettled(c, q->subject, sizeof q->subject);
	snprintf(q->why, sizeof q->why, "%s has %lld tasks that have not ended and %lld messages that are not sent",
	    host_name(h), (long long)open, (long long)out);
	return false;
}

bool
check_is_quiet(struct check *k, struct quiet *q)
{
	for (int i = 0; i < k->sim->nhosts; i++)
		if (!host_is_quiet(k->sim->hosts[i], q))
			return false;
	for (int i = 0; i < k->sim->nclients; i++)
		if (!client_is_done(k->sim->clients[i], q))
			return false;
	return true;
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

		compare(k, c, h, "queued tasks", h->queued, SQL_OF_HOUSE "state = 3");
		compare(k, c, h, "running tasks", h->running, SQL_OF_HOUSE "state IN (4, 5)");
		compare(k, c, h, "open tasks", h->open,
		    SQL_OF_HOUSE "state < 9 AND (forward IS NULL OR finished_ms IS NULL)");
	}
}

static void
check_heads(struct check *k, struct core *c)
{
	char topic[TOPIC_MAX];

	for (int i = 0; i < c->nhouses; i++) {
		struct stream *s;

		topic_format(topic, c->o.config->cluster, TOPIC_EVENT, c->houses[i].name, c->o.agent);
		s = stream_of(k, topic, c->store_id, c->o.agent);
		if (c->stream_head[i] != s->head && !dropped_by(k, s->host))
			sim_fail(k->sim, topic, "%s is at event %lld, the broker saw %lld", topic,
			    (long long)c->stream_head[i], (long long)s->head);
	}
}

/* ---- the end ---- */

struct row {
	bool found, elsewhere;          /* handed on */
	enum task_state state;
	uint64_t what;
};

static void
read_row(struct core *c, const char *id, struct row *out)
{
	sqlite3_stmt *s = NULL;
	struct ulid u;

	*out = (struct row){ 0 };
	if (!ulid_parse(id, &u) ||
	    sqlite3_prepare_v2(c->db.h, "SELECT state, outcome, forward FROM tasks WHERE id = ?1", -1, &s, NULL))
		return;
	sqlite3_bind_blob(s, 1, &u, sizeof u, SQLITE_STATIC);
	if (sqlite3_step(s) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 1);
		cJSON *o = text ? cJSON_Parse(text) : NULL;

		*out = (struct row){ .found = true, .state = (enum task_state)sqlite3_column_int(s, 0),
			.what = hash_json(o ? o->child : NULL) };
		out->elsewhere = sqlite3_column_type(s, 2) != SQLITE_NULL && !task_state_is_terminal(out->state);
		cJSON_Delete(o);
	}
	sqlite3_finalize(s);
}

static void
check_row(struct check *k, struct record *r, const struct row *row, const char *host)
{
	const char *state = task_state_name(row->state);

	if (!task_state_is_terminal(row->state) && row->state != TASK_UNCERTAIN && row->state != TASK_WAITING)
		sim_fail(k->sim, r->id, "still %s at %s", state, host);
	if (r->state[0] && (strcmp(r->state, state) != 0 || r->what != row->what))
		sim_fail(k->sim, r->id, "told as %s, but %s has it as %s", r->state, host, state);
	if (r->cancelled && row->state != TASK_CANCELLED)
		sim_fail(k->sim, r->id, "told as cancelled, but %s has it as %s", host, state);
	if (task_state_is_terminal(row->state)) {
		snprintf(r->state, sizeof r->state, "%s", state);
		r->what = row->what;
	}
}

/* Whoever has it and did not hand it on. */
static void
check_record(struct check *k, struct record *r)
{
	struct row row;
	int found = 0, handed_on = 0;

	if (r->exempt || !(r->told || r->accepted_in))
		return;
	for (int i = 0; i < k->sim->nhosts; i++) {
		read_row(host_core(k->sim->hosts[i]), r->id, &row);
		handed_on += row.elsewhere;
		if (!row.found || row.elsewhere)
			continue;
		check_row(k, r, &row, host_name(k->sim->hosts[i]));
		found++;
	}
	/* After a disk was lost, a key may have been given a second id for a task that a house has under the first. */
	if (!found && !k->sim->plan.short_memory && !(handed_on && k->lost))
		sim_fail(k->sim, r->id, "accepted for house %s, but nobody knows it any more", r->house);
}

static void
check_plains(struct check *k)
{
	for (const struct plain *p = k->plains; p; p = p->next)
		if (p->sent != p->taken && !(k->unreliable >> p->host & 1) && !dropped_by(k, p->host))
			sim_fail(k->sim, p->name, "%s sent %lld tasks without ids, %lld were taken", p->name,
			    (long long)p->sent, (long long)p->taken);
}

void
check_end(struct check *k)
{
	for (int i = 0; i < k->sim->nhosts; i++) {
		check_counters(k, host_core(k->sim->hosts[i]));
		check_heads(k, host_core(k->sim->hosts[i]));
	}
	for (int i = 0; i < BUCKETS; i++)
		for (struct record *r = k->records[i]; r; r = r->next)
			check_record(k, r);
	check_plains(k);
}

struct check *
check_new(struct sim *s)
{
	struct check *k = xcalloc(1, sizeof *k);

	k->sim = s;
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
	for (struct stream *s = k->streams; s; s = next) {
		next = s->next;
		free(s->lines);
		free(s);
	}
	for (struct plain *p = k->plains; p; p = next) {
		next = p->next;
		free(p);
	}
	free(k);
}
