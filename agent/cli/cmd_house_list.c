#include <stdlib.h>
#include <string.h>

#include "beat.h"
#include "clock.h"
#include "json.h"
#include "remote.h"

/* Heartbeats come each second; who is not heard for this long is silent. */
#define LISTEN_MS 2500
#define FIND_MS 6000                    /* and with several brokers, the one where they are is to be found first */

struct beat {
	cJSON *o;                       /* the newest heartbeat; NULL: none */
	bool live;                      /* more than the one that the broker kept */
};

struct houses {
	struct remote r;
	config_name *agents;            /* of houses */
	struct beat *beats;             /* of each of them */
	size_t n;
	bool done;
};

/* One house as the heartbeats show it. */
struct view {
	const char *house, *role, *copies;
	const struct config_names *candidates;
	const char *owner;              /* NULL: none */
	const struct beat *beat;        /* the owner's; else NULL */
	const cJSON *part;              /* what it says of this house */
};

static bool
number(const cJSON *o, const char *name, int64_t *n)
{
	return json_int(cJSON_GetObjectItemCaseSensitive(o, name), n);
}

static int64_t
number_of(const cJSON *o, const char *name)
{
	int64_t n = 0;

	number(o, name, &n);
	return n;
}

/* ---- hearing ---- */

static bool
is_away(const struct beat *b)
{
	return !b->o || strcmp(beat_text(b->o, "state"), "offline") == 0;
}

static struct beat *
beat_find(const struct houses *h, const char *agent)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->agents[i], agent) == 0)
			return &h->beats[i];
	return NULL;
}

static bool
all_heard(const struct houses *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (!h->beats[i].o || !(h->beats[i].live || is_away(&h->beats[i])))
			return false;
	return true;
}

static bool
any_heard(const struct houses *h)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->beats[i].live)
			return true;
	return false;
}

/* The broker gives what it kept, which may be of a life that has ended; the agent itself says more. */
static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct houses *h = arg;
	struct topic t;
	struct beat *b = topic_parse(topic, h->r.config.cluster, &t, NULL) ? NULL : beat_find(h, t.name);
	cJSON *o = b ? json_parse_object(payload, len, NULL) : NULL;

	if (!o)
		return;
	b->live = b->o && (number_of(b->o, "seq") != number_of(o, "seq") ||
	    strcmp(beat_text(b->o, "boot"), beat_text(o, "boot")) != 0);
	cJSON_Delete(b->o);
	b->o = o;
	h->done = all_heard(h);
}

/* ---- what it means ---- */

/* Two may say so for a moment, or one who is silent says it still: the higher term counts. */
static bool
is_better(const struct view *v, const char *agent, const struct beat *b, const cJSON *part)
{
	int64_t ours = beat_term(v->part), its = beat_term(part);

	if (!v->owner || ours != its)
		return !v->owner || its > ours;
	return b->live != v->beat->live ? b->live : strcmp(agent, v->owner) > 0;
}

static struct view
view_of(const struct houses *h, const struct config_house *house)
{
	struct view v = { .house = "_", .role = "router", .copies = "all", .candidates = &h->r.config.router };

	if (house)
		v = (struct view){ .house = house->name, .role = house->role, .copies = house->copies,
			.candidates = &house->candidates };
	for (size_t i = 0; i < h->n; i++) {
		const cJSON *part = beat_house(h->beats[i].o, v.house);

		if (beat_owns(part) && is_better(&v, h->agents[i], &h->beats[i], part)) {
			v.owner = h->agents[i];
			v.beat = &h->beats[i];
			v.part = part;
		}
	}
	return v;
}

static const char *
owner_state(const struct view *v)
{
	return !v->owner ? "no owner" : !v->beat->live ? "silent" : beat_text(v->beat->o, "state");
}

/* The first thing that the house is under, or its owner as a whole; NULL: nothing. */
static const cJSON *
stress_of(const struct view *v)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(v->beat ? v->beat->o : NULL, "stress"), *x;

	cJSON_ArrayForEach(x, list) {
		const char *house = json_text(x, "house");

		if (!*house || strcmp(house, v->house) == 0)
			return x;
	}
	return NULL;
}

static bool
is_held(const struct view *v)
{
	return v->owner && v->beat->live;
}

static bool
is_in_step(const struct view *v, const char *agent)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(v->part, "in_step"))
		if (cJSON_IsString(p) && strcmp(p->valuestring, agent) == 0)
			return true;
	return false;
}

static const char *
candidate_state(const struct houses *h, const struct view *v, const char *agent)
{
	const struct beat *b = beat_find(h, agent);

	if (!b || is_away(b))
		return "away";
	if (v->owner && strcmp(v->owner, agent) == 0)
		return "owner";
	if (!b->live)
		return "silent";
	if (!beat_house(b->o, v->house))
		return "not following";
	return is_in_step(v, agent) ? "in step" : v->owner ? "behind" : "waiting";
}

/* How many of the owner's events a follower has not; -1: not known. */
static int64_t
candidate_lag(const struct houses *h, const struct view *v, const char *agent)
{
	const struct beat *b = beat_find(h, agent);
	const cJSON *part = b ? beat_house(b->o, v->house) : NULL;
	int64_t head, have;

	if (!v->owner || strcmp(v->owner, agent) == 0 || !number(v->part, "head", &head) ||
	    !(number(part, "have", &have) || number(part, "head", &have)))
		return -1;
	return have < head ? head - have : 0;
}

static int64_t
worst_lag(const struct houses *h, const struct view *v)
{
	int64_t worst = -1, lag;

	for (size_t i = 0; i < v->candidates->n; i++)
		if ((lag = candidate_lag(h, v, v->candidates->v[i])) > worst)
			worst = lag;
	return worst;
}

/* ---- showing ---- */

static void
kv_known(struct buf *b, const char *key, bool known, int64_t n)
{
	if (known)
		json_kv_int(b, key, n);
	else
		json_kv_str(b, key, NULL);
}

static void
kv_number(struct buf *b, const struct view *v, const char *name)
{
	int64_t n = 0;
	bool known = number(v->part, name, &n);

	kv_known(b, name, known, n);
}

static void
kv_as_sent(struct buf *b, const struct view *v, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(v->part, name);

	json_put_key(b, name);
	if (value)
		json_put_tree(b, value);
	else
		json_put_str(b, NULL);
}

static void
put_candidates(struct buf *b, const struct houses *h, const struct view *v)
{
	json_put_key(b, "candidates");
	json_put_open(b, '[');
	for (size_t i = 0; i < v->candidates->n; i++) {
		const char *agent = v->candidates->v[i];
		int64_t lag = candidate_lag(h, v, agent);

		json_put_open(b, '{');
		json_kv_str(b, "agent", agent);
		json_kv_str(b, "state", candidate_state(h, v, agent));
		kv_known(b, "lag", lag >= 0, lag);
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
}

static void
put_row(struct buf *b, const struct houses *h, const struct view *v)
{
	static const char *const counts[] = { "queued", "running", "open", "succeeded" };
	int64_t lag = worst_lag(h, v);

	json_put_open(b, '{');
	json_kv_str(b, "house", v->house);
	json_kv_str(b, "role", v->role);
	json_kv_str(b, "owner", v->owner);
	json_kv_str(b, "state", owner_state(v));
	kv_as_sent(b, v, "term");
	kv_as_sent(b, v, "since");
	kv_known(b, "up_s", v->owner, v->owner ? number_of(v->beat->o, "up_s") : 0);
	kv_number(b, v, "head");
	kv_number(b, v, "told");
	kv_known(b, "lag", lag >= 0, lag);
	json_kv_str(b, "copies", v->copies);
	put_candidates(b, h, v);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		kv_known(b, counts[i], v->owner, number_of(v->part, counts[i]));
	kv_known(b, "failed", v->owner, number_of(v->part, "failed") + number_of(v->part, "dead"));
	json_kv_str(b, "stress", stress_of(v) ? json_text(stress_of(v), "name") : NULL);
	json_put_close(b, '}');
}

/* "12s" "5m" "3h" "2d" ago; "-" when not said. */
static void
since_cell(struct table *t, const struct view *v)
{
	static const struct {
		int64_t s;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	int64_t at, age;
	size_t i = 0;

	if (clock_parse(beat_text(v->part, "since"), &at, NULL) && !number(v->part, "since", &at)) {
		table_cell(t, "-");
		return;
	}
	age = (clock_wall_ms() - at) / 1000;
	age = age < 0 ? 0 : age;
	while (age < units[i].s && units[i].s > 1)
		i++;
	table_cell(t, "%lld%c", (long long)(age / units[i].s), units[i].unit);
}

static void
known_cell(struct table *t, bool known, int64_t n)
{
	if (known)
		table_cell(t, "%lld", (long long)n);
	else
		table_cell(t, "-");
}

static void
candidates_cell(struct table *t, const struct houses *h, const struct view *v)
{
	struct buf b = { .max = 4096 };

	for (size_t i = 0; i < v->candidates->n; i++)
		buf_addf(&b, "%s%s (%s)", i ? ", " : "", v->candidates->v[i],
		    candidate_state(h, v, v->candidates->v[i]));
	table_cell(t, "%s", buf_str(&b));
	buf_free(&b);
}

static void
add_row(struct table *t, const struct houses *h, const struct view *v)
{
	int64_t lag = worst_lag(h, v);

	table_cell(t, "%s", v->house);
	table_cell(t, "%s", v->role);
	table_cell(t, "%s", v->owner ? v->owner : "-");
	table_cell(t, "%s%s%s%s%s%s", is_held(v) ? "" : cmd_color(1, "red"), owner_state(v), is_held(v) ? "" : cmd_color(1, "reset"),
	    stress_of(v) ? " (" : "", stress_of(v) ? json_text(stress_of(v), "name") : "", stress_of(v) ? ")" : "");
	known_cell(t, beat_term(v->part) > 0, beat_term(v->part));
	since_cell(t, v);
	known_cell(t, v->owner, number_of(v->part, "queued"));
	known_cell(t, v->owner, number_of(v->part, "running"));
	known_cell(t, lag >= 0, lag);
	candidates_cell(t, h, v);
}

static void
print_json(const struct houses *h, const struct view *v, size_t n)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (size_t i = 0; i < n; i++)
		put_row(&b, h, &v[i]);
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
print_text(const struct houses *h, const struct view *v, size_t n)
{
	static const char *const heads[] = { "HOUSE", "ROLE", "OWNER", "STATE", "TERM", "SINCE", "QUEUED", "RUNNING",
		"LAG", "CANDIDATES", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < n; i++)
		add_row(t, h, &v[i]);
	table_print(t);
}

/* The exit code: whether every house is held. */
static int
show(const struct houses *h, bool json)
{
	const struct config *c = &h->r.config;
	size_t n = c->nhouses + 1;
	struct view *v = xcalloc(n, sizeof *v);
	int rc = EXIT_OK;

	for (size_t i = 0; i < n; i++) {
		v[i] = view_of(h, i < c->nhouses ? &c->houses[i] : NULL);
		if (!is_held(&v[i]))
			rc = EXIT_NOT_SUCCEEDED;
	}
	(json ? print_json : print_text)(h, v, n);
	free(v);
	return rc;
}

/* Who listens, and who may be heard. */
static void
agents_init(struct houses *h)
{
	const struct config *c = &h->r.config;

	h->n = config_voters(c, NULL, 0) - c->witnesses.n;
	h->agents = xcalloc(h->n, sizeof *h->agents);
	h->beats = xcalloc(h->n, sizeof *h->beats);
	config_voters(c, h->agents, h->n);
}

static void
agents_release(struct houses *h)
{
	for (size_t i = 0; i < h->n; i++)
		cJSON_Delete(h->beats[i].o);
	free(h->beats);
	free(h->agents);
}

static int
hear(struct houses *h)
{
	char filter[TOPIC_MAX];
	struct err e;
	int rc;

	topic_format(filter, h->r.config.cluster, TOPIC_HEALTH, "+", "state");
	if (client_subscribe(h->r.client, filter, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	rc = remote_wait(&h->r, &h->done, LISTEN_MS);
	if (rc == EXIT_NO_ANSWER && h->r.config.nbrokers > 1 && !any_heard(h))
		rc = remote_wait(&h->r, &h->done, FIND_MS);
	if (rc != EXIT_NO_ANSWER)
		return rc;
	/* An agent that is away is shown so. */
	return client_is_up(h->r.client) ? EXIT_OK : remote_no_answer(&h->r, "the broker");
}

static int
list_run(const struct cmd_args *a)
{
	struct houses h = { .n = 0 };
	int rc = remote_open(&h.r, a, NULL, on_message, &h);

	if (rc)
		return rc;
	agents_init(&h);
	rc = hear(&h);
	if (!rc)
		rc = show(&h, a->json);
	agents_release(&h);
	remote_close(&h.r);
	return rc;
}

const struct cmd cmd_house_list = {
	.name = "house list",
	.help = "List the houses: who owns each, since when, and who could take over",
	.more = "Listens to the agents' heartbeats for two seconds or less. LAG is how many of the owner's events the worst\n"
	        "candidate that is heard has not yet. A candidate is the owner, in step (may take over at once), behind,\n"
	        "waiting (no owner), not following, silent (its last heartbeat is old) or away. Beside the owner's state stands\n"
	        "what it or the house is under, if tasks of low priority are refused for that. Exit code 1 if a house has\n"
	        "no owner, or one that is silent.",
	.flags = CMD_JSON,
	.run = list_run,
};
