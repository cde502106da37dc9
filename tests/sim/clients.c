/*
 * clients.c - people and programs that send tasks: over the broker or on a host's own socket; with an id, a key
 * or neither; one by one or many in a message. Who gave a task an id or a key sends it again until he is
 * answered, then asks until he knows the outcome, and writes down all that he is told. Some cancel.
 */
#include "sim.h"

#include "buf.h"
#include "json.h"
#include "ulid.h"

#define BEAT_US (200 * MS)
#define SILENCE_US (10 * SECOND)
#define PATIENCE 3                      /* sendings without an answer until another broker is tried */
#define PATIENCE_US (12 * SECOND)       /* and nothing was heard for so long */
#define BATCH_MAX 12
#define AFTER_AMONG 30
#define FLOOD_MIN 30
#define FLOOD_MAX 120
#define OPERATOR "operator"

enum client_kind { SENDER, PLAIN, LOCAL };

struct sub {
	char id[ULID_TEXT];             /* own, or as the agent said */
	char house[NAME_MAX_LEN + 1];   /* where it is sent; "_": the router */
	char owner[NAME_MAX_LEN + 1];   /* house that answered */
	char *body;
	bool alone;                     /* by key: sent alone, told by its correlation */
	bool accepted, done, wants_cancel;
	bool taken;                     /* by its house, not only handed on */
	bool waits;                     /* for others */
	bool needed;                    /* others wait for it */
	bool uncertain;                 /* as was told last */
	int sendings;
	int64_t next_us;
};

#define REGULARS_MAX 3

enum regular_state { ADDING, THERE, PAUSING, PAUSED, RESUMING, REMOVING, GONE };

/* A schedule of a client's own. Its name is used once. */
struct regular {
	char name[NAME_MAX_LEN + 1], house[NAME_MAX_LEN + 1];
	char more[200];                 /* what it is added with */
	enum regular_state state;
	int sendings;                   /* of what it is asked for now */
	bool copies;                    /* some were sent that may come later */
	bool refused;
	int64_t next_us;
};

struct client {
	struct node node;
	struct sim *sim;
	enum client_kind kind;
	char name[NAME_MAX_LEN + 1];
	struct host *host;              /* LOCAL */
	uint64_t conn;
	bool ready;
	int broker;                     /* connected to, or to be tried */
	int subscribing, mid;
	int64_t heard_us, told_us, next_new_us, retry_us;       /* heard: anything; told: of its tasks */
	struct sub *subs;
	size_t n, cap, first;           /* before first, all are done */
	struct regular regulars[REGULARS_MAX];
	int nregulars;
	int64_t sent;
};

static int64_t
draw(struct client *c, int64_t min, int64_t max)
{
	return rng_between(&c->sim->rng[RNG_CLIENT], min, max);
}

static bool
chance(struct client *c, int permille)
{
	return rng_chance(&c->sim->rng[RNG_CLIENT], permille);
}

/* ---- making tasks ---- */

static const char *
draw_house(struct client *c)
{
	const struct config *f = &c->sim->config;

	return chance(c, 250) ? "_" : f->houses[draw(c, 0, (int64_t)f->nhouses - 1)].name;
}

static const char *const params[] = {
	"\"tool\":\"noop\",\"params\":{\"payload\":%lld}",
	"\"tool\":\"wait\",\"params\":{\"ms\":%lld}",
	"\"tool\":\"file_write\",\"params\":{\"path\":\"/srv/f\",\"content\":\"%lld\"}",
	"\"tool\":\"http_post\",\"params\":{\"url\":\"http://there/\",\"json\":%lld}",
};

static int64_t
wall_ms(const struct client *c)
{
	return WALL_BASE_MS + c->sim->now_us / MS;
}

/* What all tasks may have: priority, retries, times, mode. True if that is sovereign. What was learned may set the limit
 * where none is given. */
static bool
put_options(struct client *c, struct buf *b, bool intelligent)
{
	bool sovereign = chance(c, 10) && c->sim->config.sovereign_keys.n;
	int64_t timeout_s = draw(c, 1, CLIENT_TIMEOUT_S);

	if (sovereign)
		buf_adds(b, ",\"mode\":\"sovereign\"");
	else if (intelligent)
		buf_adds(b, ",\"mode\":\"intelligent\"");
	if (sovereign || !intelligent)
		buf_addf(b, ",\"timeout_s\":%lld", (long long)timeout_s);
	if (chance(c, 300))
		buf_addf(b, ",\"priority\":%lld", (long long)draw(c, 0, 9));
	if (chance(c, 500))
		buf_addf(b, ",\"retry\":{\"max\":%lld,\"base_s\":1,\"cap_s\":8}", (long long)draw(c, 1, 5));
	if (chance(c, 60))
		buf_addf(b, ",\"not_before\":%lld", (long long)(wall_ms(c) + draw(c, 100, 30000)));
	if (chance(c, 40))
		buf_addf(b, ",\"deadline\":%lld", (long long)(wall_ms(c) + draw(c, 500, 60000)));
	return sovereign;
}

static void
make_id(struct client *c, char out[ULID_TEXT])
{
	uint64_t r[2] = { rng_next(&c->sim->rng[RNG_CLIENT]) << 3, rng_next(&c->sim->rng[RNG_CLIENT]) << 3 };
	struct ulid id;

	ulid_make(&id, wall_ms(c) + draw(c, -300, 300), (const uint8_t *)r + 1);
	ulid_format(&id, out);
}

static struct sub *
sub_new(struct client *c)
{
	struct sub *s;

	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->subs = xrealloc(c->subs, c->cap * sizeof *c->subs);
	}
	s = &c->subs[c->n++];
	*s = (struct sub){ .next_us = c->sim->now_us };
	return s;
}

static void
put_trace(struct buf *b, long long value)
{
	if (CLIENT_IS_TRACED(value))
		buf_addf(b, ",\"traceparent\":\"" CLIENT_TRACE "\"", value);
}

/* Whoever runs it sees by the value whether its mode is sovereign. */
static void
put_task(struct client *c, struct buf *b)
{
	const char *what = params[draw(c, 0, 3)];
	long long value = 2 * (long long)draw(c, 0, 100000);
	struct buf options = { 0 };
	bool sovereign = put_options(c, &options, value % CLIENT_INTELLIGENT == 0);

	/* Whose servers are away at times. */
	if (!sovereign && value % 4 == 0 && what != params[3])
		what = "\"tool\":\"http_get\",\"params\":{\"url\":\"http://t%lld.example/\"}";
	if (!sovereign && value % 4 == 0 && what != params[3])
		value = value / 4 % 2;
	buf_addf(b, what, value + sovereign);
	put_trace(b, value + sovereign);
	buf_add(b, options.data, options.len);
	buf_free(&options);
}

/* For some of the latest that its house has accepted. */
static void
put_after(struct client *c, struct sub *s, struct buf *b)
{
	size_t from = c->n > AFTER_AMONG ? c->n - AFTER_AMONG : 0, max = (size_t)draw(c, 1, 3), n = 0;

	for (size_t i = c->n - 1; i-- > from && n < max;) {
		struct sub *o = &c->subs[i];

		if (!o->accepted || o->alone || strcmp(o->house, s->house) != 0 || chance(c, 300))
			continue;
		buf_addf(b, "%s\"%s\"", n++ ? "," : "\"after\":[", o->id);
		o->needed = true;
		o->done &= !o->uncertain;
		c->first = o->done ? c->first : 0;
		check_follows(c->sim->check, s->id, o->id);
	}
	s->waits = n > 0;
	if (n)
		buf_adds(b, "],");
	if (n && chance(c, 500))
		buf_adds(b, "\"after_failed\":\"run\",");
}

static void
make_task(struct client *c)
{
	struct sub *s = sub_new(c);
	struct buf b = { 0 };

	snprintf(s->house, sizeof s->house, "%s", c->kind == LOCAL && chance(c, 500) ? "" : draw_house(c));
	s->alone = chance(c, 100) && c->kind == SENDER;
	buf_addc(&b, '{');
	if (s->alone) {
		buf_addf(&b, "\"key\":\"%s-%zu\",", c->name, c->n);
	} else {
		make_id(c, s->id);
		buf_addf(&b, "\"id\":\"%s\",", s->id);
		if (c->kind == SENDER && chance(c, 150))
			put_after(c, s, &b);
	}
	if (c->kind == LOCAL && s->house[0] && strcmp(s->house, "_") != 0)
		buf_addf(&b, "\"house\":\"%s\",", s->house);
	put_task(c, &b);
	buf_addc(&b, '}');
	s->body = buf_take(&b);
	s->wants_cancel = chance(c, 80);
	c->sent++;
}

/* ---- sending ---- */

static int
next_mid(struct client *c)
{
	c->mid = c->mid % UINT16_MAX + 1;
	return c->mid;
}

static void
reply_topic(const struct client *c, const char *last, char out[TOPIC_MAX])
{
	topic_format(out, c->sim->config.cluster, TOPIC_REPLY, c->name, last);
}

static void
publish(struct client *c, enum topic_kind kind, const char *house, const char *text, size_t len,
    const char *correlation)
{
	char topic[TOPIC_MAX], reply[TOPIC_MAX];
	struct msg *m;

	topic_format(topic, c->sim->config.cluster, kind, house, c->name);
	m = msg_new(topic, text, len, 1);
	if (correlation) {
		reply_topic(c, "here", reply);
		m->response_topic = xstrdup(reply);
		m->correlation = xstrdup(correlation);
		m->correlation_len = strlen(correlation);
	}
	net_send(&c->node, PACKET_PUBLISH, next_mid(c), 0, m);
	msg_unref(m);
}

static void
lost(struct client *c)
{
	c->ready = false;
	c->broker = (c->broker + 1) % c->sim->nbrokers;
	c->retry_us = c->sim->now_us + draw(c, 100 * MS, 3 * SECOND);
}

static bool
is_due(const struct client *c, const struct sub *s)
{
	return !s->done && s->next_us <= c->sim->now_us;
}

static void
send_alone(struct client *c, struct sub *s)
{
	char correlation[24];

	snprintf(correlation, sizeof correlation, "%zu", (size_t)(s - c->subs));
	publish(c, TOPIC_TASK, s->house, s->body, strlen(s->body), correlation);
	s->next_us = c->sim->now_us + draw(c, 3 * SECOND, 10 * SECOND);
	s->sendings++;
}

/* With others that are due for the same house. */
static void
send_batch(struct client *c, struct sub *s)
{
	struct buf b = { 0 };
	int n = 0, max = (int)draw(c, 1, BATCH_MAX);

	for (struct sub *o = s; o < c->subs + c->n && n < max; o++)
		if ((o == s || (is_due(c, o) && !o->accepted && !o->alone)) && strcmp(o->house, s->house) == 0) {
			buf_adds(&b, o->body);
			buf_addc(&b, '\n');
			o->next_us = c->sim->now_us + draw(c, 3 * SECOND, 10 * SECOND);
			o->sendings++;
			n++;
		}
	publish(c, TOPIC_TASK, s->house, b.data, b.len - (n == 1), "-");
	buf_free(&b);
}

static void
say_locally(struct client *c, const char *op, const char *member, const char *value)
{
	struct buf b = { 0 };

	buf_addf(&b, "{\"op\":\"%s\",\"%s\":%s}", op, member, value);
	host_local(c->host, c->conn, b.data);
	buf_free(&b);
}

static void
submit(struct client *c, struct sub *s)
{
	if (c->kind == LOCAL) {
		say_locally(c, "submit", "task", s->body);
		s->next_us = c->sim->now_us + draw(c, 3 * SECOND, 10 * SECOND);
	} else if (s->alone) {
		send_alone(c, s);
	} else {
		send_batch(c, s);
	}
}

static void
request(struct client *c, struct sub *s, enum topic_kind kind)
{
	char id[48];

	if (c->kind == LOCAL) {
		snprintf(id, sizeof id, "\"%s\"", s->id);
		say_locally(c, kind == TOPIC_CANCEL ? "cancel" : "query", "id", id);
	} else {
		snprintf(id, sizeof id, "{\"id\":\"%s\"}", s->id);
		publish(c, kind, s->owner[0] ? s->owner : s->house, id, strlen(id), "-");
	}
}

/* What its tool has written. */
static void
ask_output(struct client *c, const struct sub *s)
{
	char text[80];

	snprintf(text, sizeof text, "{\"output\":{\"id\":\"%s\"}}", s->id);
	publish(c, TOPIC_QUERY, s->owner[0] ? s->owner : s->house, text, strlen(text), "-");
}

/* Nobody waits on the old connection any more. */
static void
hang_up(struct client *c)
{
	host_local(c->host, c->conn, NULL);
	c->conn++;
}

/* Accepted, but the outcome is not known: asks for it, one way or the other. */
static void
pursue(struct client *c, struct sub *s)
{
	if (c->kind == LOCAL && chance(c, 50))
		hang_up(c);
	s->next_us = c->sim->now_us + draw(c, 8 * SECOND, 25 * SECOND);
	s->sendings++;
	if (s->wants_cancel || (s->uncertain && chance(c, 500))) {
		request(c, s, TOPIC_CANCEL);
		s->wants_cancel = false;
	} else if (chance(c, 500)) {
		request(c, s, TOPIC_QUERY);
	} else if (c->kind != LOCAL && chance(c, 300)) {
		ask_output(c, s);
	} else {
		submit(c, s);
	}
}

static void
send_plain(struct client *c)
{
	struct buf b = { 0 };
	int n = chance(c, 200) ? (int)draw(c, 2, 5) : 1;
	const char *house = c->sim->config.houses[draw(c, 0, (int64_t)c->sim->config.nhouses - 1)].name;

	for (int i = 0; i < n; i++) {
		long long value = c->sim->plan.same_bodies ? 8 : (long long)++c->mid * 100 + 2 * i;

		buf_adds(&b, i ? "\n{" : "{");
		buf_addf(&b, params[draw(c, 0, 2)], value);
		put_trace(&b, value);
		buf_adds(&b, ",\"timeout_s\":3}");
		c->sent++;
	}
	publish(c, TOPIC_TASK, house, b.data, b.len, NULL);
	buf_free(&b);
}

/* Nobody answers here: perhaps the agents are elsewhere. */
static void
go_elsewhere(struct client *c, int *sendings)
{
	if (c->kind == LOCAL || c->sim->nbrokers < 2 || *sendings < PATIENCE || c->sim->now_us - c->told_us < PATIENCE_US)
		return;
	*sendings = 0;
	net_close(&c->node, true);
	lost(c);
}

/* ---- schedules of their own ---- */

static int64_t
draw_regular(struct client *c, int64_t min, int64_t max)
{
	return rng_between(&c->sim->rng[RNG_REGULAR], min, max);
}

/* In the first minutes, then not for a year, as those of the configuration. */
static void
new_regular(struct client *c)
{
	static const char *const tasks[] = { "{'tool':'wait','params':{'ms':2},'timeout_s':2}",
		"{'tool':'http_post','params':{'url':'http://there/','json':0}}" };
	static const char *const missed[] = { "none", "last", "all", "all" };
	const struct config *f = &c->sim->config;
	struct regular *r = &c->regulars[c->nregulars];

	snprintf(r->name, sizeof r->name, "%.20s-%d", c->name, c->nregulars++);
	snprintf(r->house, sizeof r->house, "%s", f->houses[draw_regular(c, 0, (int64_t)f->nhouses - 1)].name);
	snprintf(r->more, sizeof r->more, ",'cron':'0-9 8 15 1 *','missed':'%s','task':%s", missed[draw_regular(c, 0, 3)],
	    tasks[draw_regular(c, 0, 1)]);
	for (char *p = r->more; (p = strchr(p, '\''));)
		*p = '"';
	r->state = ADDING;
	r->next_us = c->sim->now_us;
}

static bool
asks_for(const struct regular *r)
{
	return r->state == ADDING || r->state == PAUSING || r->state == RESUMING || r->state == REMOVING;
}

static void
ask_regular(struct client *c, struct regular *r)
{
	static const char *const does[] = { [ADDING] = "add", [PAUSING] = "pause", [RESUMING] = "resume", [REMOVING] = "remove" };
	char text[400], correlation[8];

	snprintf(text, sizeof text, "{\"schedule\":{\"do\":\"%s\",\"name\":\"%s\"%s}}", does[r->state], r->name,
	    r->state == ADDING ? r->more : "");
	snprintf(correlation, sizeof correlation, "r%d", (int)(r - c->regulars));
	publish(c, TOPIC_QUERY, r->house, text, strlen(text), correlation);
	r->copies |= r->sendings++ > 0;
	r->next_us = c->sim->now_us + draw_regular(c, 4 * SECOND, 10 * SECOND);
}

static void
look_at_regulars(struct client *c)
{
	bool heals = c->sim->now_us > c->sim->plan.heal_us;

	if (!heals && c->nregulars < REGULARS_MAX && draw_regular(c, 0, 299) == 0)
		new_regular(c);
	for (struct regular *r = c->regulars; r < c->regulars + c->nregulars && c->ready; r++) {
		if (r->next_us > c->sim->now_us)
			continue;
		if (asks_for(r)) {
			ask_regular(c, r);
			go_elsewhere(c, &r->sendings);
		} else if (r->state != GONE && !heals) {
			int64_t what = draw_regular(c, 0, 9);

			r->sendings = 0;
			r->next_us = c->sim->now_us + draw_regular(c, 10 * SECOND, 60 * SECOND);
			if (what < 3)
				r->state = r->state == PAUSED ? RESUMING : PAUSING;
			else if (what < 5)
				r->state = REMOVING;
		}
	}
}

static void
told_regular(struct client *c, int i, const char *type, const char *what, const char *code)
{
	static const struct {
		const char *what;
		enum regular_state from, to;
	} steps[] = { { "add", ADDING, THERE }, { "pause", PAUSING, PAUSED }, { "resume", RESUMING, THERE },
		{ "remove", REMOVING, GONE } };
	struct regular *r = i < c->nregulars ? &c->regulars[i] : NULL;

	if (!r)
		return;
	for (size_t k = 0; k < sizeof steps / sizeof *steps && strcmp(type, "schedule_set") == 0; k++)
		if (strcmp(steps[k].what, what) == 0 && r->state == steps[k].from)
			r->state = steps[k].to;
	if (strcmp(type, "error") != 0)
		return;
	/* Policy denies its task; it was removed, and the answer was lost; or its owner is away, who had it alone. */
	r->refused |= r->state != REMOVING;
	if (asks_for(r) && (strcmp(code, "denied") == 0 || strcmp(code, "not_found") == 0))
		r->state = GONE;
}

void
client_check_regulars(const struct client *c, struct check *k)
{
	for (int i = 0; i < c->nregulars; i++) {
		const struct regular *r = &c->regulars[i];

		/* A copy that comes late does what was asked for once more. */
		if (!r->copies && !r->refused && !asks_for(r))
			routines_told(k, r->house, r->name,
			    r->state == GONE ? ROUTINE_TOLD_GONE : r->state == PAUSED ? ROUTINE_TOLD_PAUSED : ROUTINE_TOLD_THERE);
	}
}

/* ---- what comes back ---- */

static const char *
text_of(const cJSON *o, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return s ? s : "";
}

static int64_t
number_of(const cJSON *o, const char *name)
{
	int64_t n = 0;

	json_int(cJSON_GetObjectItemCaseSensitive(o, name), &n);
	return n;
}

static struct sub *
sub_of(struct client *c, const cJSON *o, const char *correlation)
{
	const char *id = text_of(o, "id");

	if (correlation && correlation[0] >= '0' && correlation[0] <= '9') {
		size_t i = strtoul(correlation, NULL, 10);

		return i < c->n ? &c->subs[i] : NULL;
	}
	for (size_t i = c->n; id[0] && i-- > 0;)
		if (strcmp(c->subs[i].id, id) == 0)
			return &c->subs[i];
	return NULL;
}

static void
told_accepted(struct client *c, struct sub *s, const cJSON *o)
{
	/* Whoever gets in step when the task is forgotten does not hear of its key. */
	if (s->alone && s->id[0] && strcmp(s->id, text_of(o, "id")) != 0 && !c->sim->plan.short_memory && !check_is_exempt(c->sim->check, s->id) &&
	    !check_is_exempt(c->sim->check, text_of(o, "id")))
		check_one_key(c->sim->check, s->id, text_of(o, "id"));
	snprintf(s->id, sizeof s->id, "%s", text_of(o, "id"));
	snprintf(s->owner, sizeof s->owner, "%s", text_of(o, "house"));
	s->accepted = true;
	s->taken |= strcmp(text_of(o, "state"), "forwarded") != 0;
	s->sendings = 0;
	s->next_us = c->sim->now_us + (s->wants_cancel ? draw(c, 0, 1 * SECOND) : draw(c, 8 * SECOND, 25 * SECOND));
	if (c->kind == LOCAL)
		check_accepted(c->sim->check, s->id, s->owner, text_of(o, "state"), number_of(o, "copies"), host_name(c->host));
}

static int
priority_of(const struct sub *s)
{
	const char *p = strstr(s->body, "\"priority\":");

	return p ? (int)strtol(p + strlen("\"priority\":"), NULL, 10) : TASK_PRIORITY_DEFAULT;
}

static void
told_rejected(struct client *c, struct sub *s, const cJSON *o)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error");
	const char *code = text_of(e, "code");

	if (strcmp(code, "busy") == 0) {
		if (stress_refused(text_of(e, "message"), priority_of(s)))
			sim_fail(c->sim, s->id, "%s", stress_refused(text_of(e, "message"), priority_of(s)));
		s->next_us = c->sim->now_us + draw(c, 2 * SECOND, 8 * SECOND);
		return;
	}
	/* By policy, which may have changed since an owner that is lost accepted it alone; or before it was accepted, when it was
	 * sent for the first time, for nobody remembers what is refused. */
	if (strcmp(code, "denied") == 0 && c->sim->timmy &&
	    (!s->taken || !cJSON_HasObjectItem(o, "id") || check_was_missed(c->sim->check, s->id))) {
		s->done = true;
		return;
	}
	/* Those that it waits for are forgotten, or were lost on the way. */
	if (s->waits && strcmp(code, "unknown_task") == 0 &&
	    (c->sim->plan.short_memory || check_may_miss_others(c->sim->check, s->id))) {
		s->done = true;
		return;
	}
	/* Of a task that was accepted before: forgotten by now. */
	if (strcmp(code, "stale") != 0 && strcmp(code, "invalid") != 0 && !check_is_exempt(c->sim->check, s->id))
		sim_fail(c->sim, s->id, "refused as %s: %s", code, text_of(e, "message"));
	s->done = true;
}

static void
told_outcome(struct client *c, struct sub *s, const cJSON *o)
{
	const cJSON *what = cJSON_GetObjectItemCaseSensitive(o, "result");

	if (!what)
		what = cJSON_GetObjectItemCaseSensitive(o, "error");
	check_outcome(c->sim->check, text_of(o, "id"), text_of(o, "state"), what);
	s->uncertain = strcmp(text_of(o, "state"), "uncertain") == 0;
	/* What nobody decides holds up what waits for it. */
	s->done = !(s->uncertain && s->needed);
	c->first = s->done ? c->first : 0;
	/* Many decide at once not to find out. */
	if (s->uncertain && chance(c, 700))
		request(c, s, TOPIC_CANCEL);
	if (c->kind != LOCAL && chance(c, 200))
		ask_output(c, s);
}

/* Some have returned after they were forgotten, or their end was lost with a disk, and their sender does not know. */
static void
decide_others(struct client *c, const struct sub *s, const cJSON *o)
{
	const cJSON *v;

	if (!c->sim->plan.short_memory && !check_may_miss_others(c->sim->check, s->id))
		return;
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(o, "waits_for"))
		for (size_t i = 0; i < c->n; i++)
			if (c->subs[i].done && strcmp(c->subs[i].id, cJSON_GetStringValue(v)) == 0)
				request(c, &c->subs[i], TOPIC_CANCEL);
}

static void
told_task(struct client *c, struct sub *s, const cJSON *o)
{
	enum task_state state;

	if (task_state_parse(text_of(o, "state"), &state) == 0 &&
	    (task_state_is_terminal(state) || state == TASK_UNCERTAIN))
		told_outcome(c, s, o);
	decide_others(c, s, o);
}

static void
told_cancel(struct client *c, struct sub *s, const cJSON *o)
{
	check_cancel_told(c->sim->check, s->id, strcmp(text_of(o, "state"), "cancelled") == 0);
}

static void
told_error(struct client *c, struct sub *s, const cJSON *o)
{
	const char *code = text_of(cJSON_GetObjectItemCaseSensitive(o, "error"), "code");

	if (strcmp(code, "unknown_task") != 0)
		return;
	/* How it ended got lost on the way, and it is too late to ask. */
	if (s->accepted && c->sim->plan.short_memory)
		s->done = true;
	else
		s->next_us = c->sim->now_us + draw(c, 1 * SECOND, 4 * SECOND);
}

static const struct {
	const char *type;
	void (*f)(struct client *c, struct sub *s, const cJSON *o);
} told[] = {
	{ "accepted", told_accepted }, { "rejected", told_rejected }, { "outcome", told_outcome },
	{ "task", told_task }, { "cancel", told_cancel }, { "error", told_error },
};

static void
take_line(struct client *c, const char *line, size_t len, const char *correlation)
{
	cJSON *o = cJSON_ParseWithLength(line, len);
	struct sub *s = o ? sub_of(c, o, correlation) : NULL;

	if (o && correlation && correlation[0] == 'r')
		told_regular(c, (int)strtol(correlation + 1, NULL, 10), text_of(o, "type"), text_of(o, "do"),
		    text_of(cJSON_GetObjectItemCaseSensitive(o, "error"), "code"));

	for (size_t i = 0; s && i < sizeof told / sizeof *told; i++)
		if (strcmp(told[i].type, text_of(o, "type")) == 0) {
			sim_log(c->sim, "%s is told: %.*s", c->name, (int)len, line);
			told[i].f(c, s, o);
		}
	cJSON_Delete(o);
}

static void
take_lines(struct client *c, const char *text, size_t len, const char *correlation)
{
	const char *end = text + len;

	c->told_us = c->sim->now_us;
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((nl ? nl : end) - text);

		if (n)
			take_line(c, text, n, correlation);
		text += n + 1;
	}
}

/* ---- the connection ---- */

static void
connect_client(struct client *c)
{
	if (c->node.conn || c->sim->now_us < c->retry_us)
		return;
	c->heard_us = c->sim->now_us;
	net_connect(&c->node, c->broker, NULL);
}

static void
subscribe(struct client *c)
{
	char topic[TOPIC_MAX];
	struct msg *m;

	reply_topic(c, "+", topic);
	m = msg_new(topic, NULL, 0, 1);
	net_send(&c->node, PACKET_SUBSCRIBE, 1, 0, m);
	msg_unref(m);
}

static void
on_packet(struct node *n, struct packet *p)
{
	struct client *c = (struct client *)n;

	c->heard_us = c->sim->now_us;
	if (p->type == PACKET_CONNACK) {
		subscribe(c);
	} else if (p->type == PACKET_SUBACK) {
		c->ready = true;
		c->told_us = c->sim->now_us;
	} else if (p->type == PACKET_CLOSED) {
		lost(c);
	} else if (p->type == PACKET_PUBLISH) {
		if (p->mid)
			net_send(n, PACKET_PUBACK, p->mid, 0, NULL);
		take_lines(c, p->msg->payload, p->msg->len, p->msg->correlation);
	}
	packet_free(p);
}

static void
keep_connected(struct client *c)
{
	connect_client(c);
	if (c->node.conn && c->sim->now_us - c->heard_us > SILENCE_US) {
		net_close(&c->node, false);
		lost(c);
	}
	if (c->ready)
		net_send(&c->node, PACKET_PING, 0, 0, NULL);
}

/* ---- life ---- */

/* Many at once that take little time, for one house and of one priority. */
static void
flood(struct client *c)
{
	int n = (int)draw(c, FLOOD_MIN, FLOOD_MAX), priority = (int)draw(c, 4, 9);
	const char *house = c->sim->config.houses[draw(c, 0, (int64_t)c->sim->config.nhouses - 1)].name;

	while (n-- > 0) {
		struct sub *s = sub_new(c);
		struct buf b = { 0 };

		snprintf(s->house, sizeof s->house, "%s", house);
		make_id(c, s->id);
		buf_addf(&b, "{\"id\":\"%s\",\"tool\":\"wait\",\"params\":{\"ms\":2},\"timeout_s\":2,\"priority\":%d}", s->id, priority);
		s->body = buf_take(&b);
		c->sent++;
	}
}

/* In bursts, with pauses between. */
static void
new_tasks(struct client *c)
{
	int64_t every = 60 * SECOND / c->sim->plan.tasks_per_minute;
	int n = chance(c, 150) ? (int)draw(c, 1, 20) : 1;

	if (c->sim->now_us < c->next_new_us || c->sim->now_us > c->sim->plan.heal_us)
		return;
	c->next_new_us = c->sim->now_us + draw(c, every / 2, n * every * 3 / 2);
	if (c->kind == SENDER && chance(c, c->sim->plan.floods))
		flood(c);
	for (int i = 0; i < n; i++) {
		if (c->kind != PLAIN)
			make_task(c);
		else if (c->ready)
			send_plain(c);
	}
}

static void
work(struct client *c)
{
	while (c->first < c->n && c->subs[c->first].done)
		c->first++;
	for (size_t i = c->first; i < c->n && (c->ready || c->kind == LOCAL); i++)
		if (is_due(c, &c->subs[i])) {
			if (c->subs[i].accepted)
				pursue(c, &c->subs[i]);
			else
				submit(c, &c->subs[i]);
			go_elsewhere(c, &c->subs[i].sendings);
		}
}

static void
beat(void *arg, uint64_t n)
{
	struct client *c = arg;
	bool able = c->ready;

	if (c->kind == LOCAL)
		able = host_is_up(c->host);
	else if (n % 5 == 0)
		keep_connected(c);
	new_tasks(c);
	if (able)
		work(c);
	if (able && c->kind == SENDER)
		look_at_regulars(c);
	sim_in(c->sim, BEAT_US, beat, c, n + 1);
}

struct client *
client_new(struct sim *s, int i)
{
	static const char *const kinds[] = { [SENDER] = "sender", [PLAIN] = "plain", [LOCAL] = "local" };
	struct client *c = xcalloc(1, sizeof *c);

	c->sim = s;
	c->kind = i % 4 == 1 ? PLAIN : i % 4 == 3 ? LOCAL : SENDER;
	snprintf(c->name, sizeof c->name, "%s%d", kinds[c->kind], i);
	c->node = (struct node){ .sim = s, .receive_max = 20, .session_expiry_us = 60 * SECOND,
		.clean = chance(c, 300), .on_packet = on_packet };
	snprintf(c->node.name, sizeof c->node.name, "%s", c->name);
	snprintf(c->node.client_id, sizeof c->node.client_id, "%s", c->name);
	c->broker = (int)draw(c, 0, s->nbrokers - 1);
	if (c->kind == LOCAL)
		c->host = s->hosts[i / 4 % s->plan.nagents];
	c->conn = (uint64_t)(i + 1) << 32;
	c->next_new_us = 6 * SECOND;
	sim_in(s, draw(c, 4 * SECOND, 5 * SECOND), beat, c, 0);
	return c;
}

void
client_free(struct client *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->subs[i].body);
	free(c->subs);
	free(c);
}

void
client_local_line(struct sim *s, const char *host, uint64_t conn, const char *text, size_t len)
{
	for (int i = 0; i < s->nclients; i++)
		if (s->clients[i]->kind == LOCAL && s->clients[i]->conn == conn &&
		    strcmp(host_name(s->clients[i]->host), host) == 0)
			take_lines(s->clients[i], text, len, NULL);
}

void
client_local_lost(struct sim *s, const char *host)
{
	for (int i = 0; i < s->nclients; i++)
		if (s->clients[i]->kind == LOCAL && strcmp(host_name(s->clients[i]->host), host) == 0)
			s->clients[i]->conn++;
}

struct node *
client_node(struct client *c)
{
	return &c->node;
}

bool
client_is_done(const struct client *c, struct quiet *q)
{
	for (size_t i = c->first; i < c->n; i++) {
		const struct sub *s = &c->subs[i];

		if (s->done || check_is_exempt(c->sim->check, s->id))
			continue;
		snprintf(q->subject, sizeof q->subject, "%s", s->id[0] ? s->id : c->name);
		snprintf(q->why, sizeof q->why, "%s does not know how %s ends", c->name, s->id[0] ? s->id : s->body);
		return false;
	}
	for (const struct regular *r = c->regulars; r < c->regulars + c->nregulars; r++)
		if (asks_for(r)) {
			snprintf(q->subject, sizeof q->subject, "%s", r->name);
			snprintf(q->why, sizeof q->why, "%s does not know what became of its schedule %s", c->name, r->name);
			return false;
		}
	return true;
}

int64_t
client_sent(const struct client *c)
{
	return c->sent;
}
