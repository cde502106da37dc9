#include <stdlib.h>
#include <string.h>

#include "beat.h"
#include "houses.h"
#include "json.h"
#include "remote.h"

/* Heartbeats come each second; who is not heard for this long is silent. */
#define LISTEN_MS 2500
#define FIND_MS 6000                    /* and with several brokers, the one where they are is to be found first */

struct listing {
	struct remote r;
	struct houses houses;
	bool done;
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

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct listing *l = arg;

	if (houses_take(&l->houses, topic, payload, len, 0))
		l->done = houses_heard_all(&l->houses);
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
kv_number(struct buf *b, const struct house_view *v, const char *name)
{
	int64_t n = 0;
	bool known = number(v->part, name, &n);

	kv_known(b, name, known, n);
}

static void
kv_as_sent(struct buf *b, const struct house_view *v, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(v->part, name);

	json_put_key(b, name);
	if (value)
		json_put_tree(b, value);
	else
		json_put_str(b, NULL);
}

static void
put_candidates(struct buf *b, const struct houses *h, const struct house_view *v)
{
	json_put_key(b, "candidates");
	json_put_open(b, '[');
	for (size_t i = 0; i < v->candidates->n; i++) {
		const char *agent = v->candidates->v[i];
		int64_t lag = house_candidate_lag(h, v, agent);

		json_put_open(b, '{');
		json_kv_str(b, "agent", agent);
		json_kv_str(b, "state", house_candidate_state(h, v, agent));
		kv_known(b, "lag", lag >= 0, lag);
		if (*house_candidate_lacks(h, v, agent))
			json_kv_str(b, "lacks", house_candidate_lacks(h, v, agent));
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
}

static void
put_row(struct buf *b, const struct houses *h, const struct house_view *v)
{
	static const char *const counts[] = { "queued", "running", "open", "succeeded" };
	int64_t lag = house_worst_lag(h, v);

	json_put_open(b, '{');
	json_kv_str(b, "house", v->house);
	json_kv_str(b, "role", v->role);
	json_kv_str(b, "owner", v->owner);
	json_kv_str(b, "state", house_owner_state(v));
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
	json_kv_str(b, "stress", house_stress(v) ? json_text(house_stress(v), "name") : NULL);
	json_put_close(b, '}');
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
candidates_cell(struct table *t, const struct houses *h, const struct house_view *v)
{
	struct buf b = { .max = 4096 };

	for (size_t i = 0; i < v->candidates->n; i++) {
		const char *agent = v->candidates->v[i], *lacks = house_candidate_lacks(h, v, agent);

		buf_addf(&b, "%s%s (%s%s%s)", i ? ", " : "", agent, house_candidate_state(h, v, agent), *lacks ? ", lacks " : "", lacks);
	}
	table_cell(t, "%s", buf_str(&b));
	buf_free(&b);
}

static void
add_row(struct table *t, const struct houses *h, const struct house_view *v)
{
	int64_t lag = house_worst_lag(h, v);
	char since[16];

	house_age(v, since, sizeof since);
	table_cell(t, "%s", v->house);
	table_cell(t, "%s", v->role);
	table_cell(t, "%s", v->owner ? v->owner : "-");
	table_cell(t, "%s%s%s%s%s%s", house_is_held(v) ? "" : cmd_color(1, "red"), house_owner_state(v),
	    house_is_held(v) ? "" : cmd_color(1, "reset"), house_stress(v) ? " (" : "",
	    house_stress(v) ? json_text(house_stress(v), "name") : "", house_stress(v) ? ")" : "");
	known_cell(t, beat_term(v->part) > 0, beat_term(v->part));
	table_cell(t, "%s", since);
	known_cell(t, v->owner, number_of(v->part, "queued"));
	known_cell(t, v->owner, number_of(v->part, "running"));
	known_cell(t, lag >= 0, lag);
	candidates_cell(t, h, v);
}

static void
print_json(const struct houses *h, const struct house_view *v, size_t n)
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
print_text(const struct houses *h, const struct house_view *v, size_t n)
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
	const struct config *c = h->config;
	size_t n = c->nhouses + 1;
	struct house_view *v = xcalloc(n, sizeof *v);
	int rc = EXIT_OK;

	for (size_t i = 0; i < n; i++) {
		v[i] = houses_view(h, i < c->nhouses ? &c->houses[i] : NULL);
		if (!house_is_held(&v[i]))
			rc = EXIT_NOT_SUCCEEDED;
	}
	(json ? print_json : print_text)(h, v, n);
	free(v);
	return rc;
}

static int
hear(struct listing *l)
{
	char filter[TOPIC_MAX];
	struct err e;
	int rc;

	topic_format(filter, l->r.config.cluster, TOPIC_HEALTH, "+", "state");
	if (client_subscribe(l->r.client, filter, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	rc = remote_wait(&l->r, &l->done, LISTEN_MS);
	if (rc == EXIT_NO_ANSWER && l->r.config.nbrokers > 1 && !houses_heard_any(&l->houses))
		rc = remote_wait(&l->r, &l->done, FIND_MS);
	if (rc != EXIT_NO_ANSWER)
		return rc;
	/* An agent that is away is shown so. */
	return client_is_up(l->r.client) ? EXIT_OK : remote_no_answer(&l->r, "the broker");
}

static int
list_run(const struct cmd_args *a)
{
	struct listing l = { .done = false };
	int rc = remote_open(&l.r, a, NULL, on_message, &l);

	if (rc)
		return rc;
	houses_init(&l.houses, &l.r.config);
	rc = hear(&l);
	if (!rc)
		rc = show(&l.houses, a->json);
	houses_release(&l.houses);
	remote_close(&l.r);
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
