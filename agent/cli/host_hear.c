#include "host_job.h"

#include <stdlib.h>
#include <string.h>

#include "beat.h"
#include "clock.h"
#include "edict.h"
#include "houses.h"
#include "json.h"
#include "save.h"

#define SLICE_MS 200
#define LISTEN_MS 3000                  /* for what is held already */
#define POLICY_MS 15000                 /* until broker and agents hold the policy */
#define POLICY_MAX (256u << 10)

struct ear {
	struct host_job *j;
	struct host_heard *v;
	size_t n;
	struct client *client;
};

static void
take_beat(struct host_heard *h, const cJSON *o)
{
	int64_t seq = json_number(o, "seq", -1);
	const char *boot = beat_text(o, "boot");

	/* The broker gives first what it kept, which may be of a life that has ended. */
	if (h->beats && (seq != h->seq || strcmp(boot, h->boot) != 0))
		h->live = true;
	h->beats++;
	h->seq = seq;
	h->up_s = json_number(o, "up_s", 0);
	snprintf(h->boot, sizeof h->boot, "%s", boot);
	snprintf(h->state, sizeof h->state, "%s", beat_text(o, "state"));
	snprintf(h->version, sizeof h->version, "%s", beat_text(o, "version"));
	h->online = h->live && strcmp(h->state, "online") == 0;
}

static void
on_beat(void *arg, const char *topic, const char *payload, size_t len)
{
	struct ear *ear = arg;
	struct topic t;
	cJSON *o;

	if (topic_parse(topic, ear->j->config->cluster, &t, NULL) || t.kind != TOPIC_HEALTH)
		return;
	for (size_t i = 0; i < ear->n; i++)
		if (strcmp(ear->v[i].agent, t.name) == 0 && (o = json_parse_object(payload, len, NULL))) {
			take_beat(&ear->v[i], o);
			cJSON_Delete(o);
		}
}

static bool
all_online(const struct ear *ear)
{
	for (size_t i = 0; i < ear->n; i++)
		if (!ear->v[i].online)
			return false;
	return true;
}

static int
not_online(const struct ear *ear, struct err *e)
{
	const char *why = client_why_down(ear->client);

	if (!client_is_up(ear->client))
		return err_set(e, ERR_NETWORK, "no connection to the broker: %s; its port must be reachable from here and from every host",
		    *why ? why : "no answer");
	for (size_t i = 0; i < ear->n; i++)
		if (!ear->v[i].online)
			return err_set(e, ERR_TIMEOUT, "%s is %s; `journalctl -u uni-wizard` and `uni-wizard doctor --agent %s` on its host tell why",
			    ear->v[i].agent, ear->v[i].live ? ear->v[i].state : "not heard", ear->v[i].agent);
	return 0;
}

static int
listen_to(struct ear *ear, const char *identity, struct err *e)
{
	struct config *c = ear->j->config;
	char filter[TOPIC_MAX];

	topic_format(filter, c->cluster, TOPIC_HEALTH, "+", "state");
	if (client_open(&ear->client, &(struct client_opts){ .config = c, .identity = identity, .no_outbox = true, .arg = ear,
	    .on_message = on_beat }, e))
		return -1;
	return client_subscribe(ear->client, filter, e);
}

int
host_hear(struct host_job *j, struct host_heard *v, size_t n, int64_t limit_ms, bool must, struct err *e)
{
	struct ear ear = { .j = j, .v = v, .n = n };
	int64_t until = clock_mono_ms() + limit_ms;
	int rc = n ? listen_to(&ear, j->a->identity, e) : 0;

	while (n && rc == 0 && !all_online(&ear) && clock_mono_ms() < until)
		rc = client_run(ear.client, SLICE_MS, e);
	if (n && rc == 0 && must)
		rc = not_online(&ear, e);
	client_close(ear.client);
	return rc;
}

int
host_hear_agents(struct host_job *j, const struct config_host *h, struct err *e)
{
	struct host_heard v[CONFIG_MAX_AGENTS] = { { .agent = NULL } };

	for (size_t i = 0; i < h->agents.n; i++)
		v[i].agent = h->agents.v[i];
	return host_hear(j, v, h->agents.n, HOST_HEALTH_MS, true, e);
}

/* In step */

struct follow {
	struct houses houses;
	const char *agent;
	struct client *client;
};

static void
on_house(void *arg, const char *topic, const char *payload, size_t len)
{
	houses_take(&((struct follow *)arg)->houses, topic, payload, len, clock_mono_ms());
}

static bool
is_in_step(const struct follow *f, const struct config_house *house)
{
	struct house_view v = houses_view(&f->houses, house);
	const char *state;

	if (!config_names_has(v.candidates, f->agent))
		return true;
	state = house_candidate_state(&f->houses, &v, f->agent);
	return strcmp(state, "owner") == 0 || strcmp(state, "in step") == 0;
}

static bool
is_in_step_everywhere(const struct follow *f)
{
	const struct config *c = f->houses.config;

	for (size_t i = 0; i < c->nhouses; i++)
		if (!is_in_step(f, &c->houses[i]))
			return false;
	return is_in_step(f, NULL);
}

int
host_settle(struct host_job *j, const char *agent, struct err *e)
{
	struct host_heard heard = { .agent = agent };
	struct follow f = { .agent = agent };
	int64_t until;
	char filter[TOPIC_MAX];
	int rc = host_hear(j, &heard, 1, HOST_HEALTH_MS, true, e);

	if (rc || !config_home(j->config, agent))
		return rc;
	houses_init(&f.houses, j->config);
	topic_format(filter, j->config->cluster, TOPIC_HEALTH, "+", "state");
	rc = client_open(&f.client, &(struct client_opts){ .config = j->config, .identity = j->a->identity, .no_outbox = true, .arg = &f,
	    .on_message = on_house }, e) || client_subscribe(f.client, filter, e) ? -1 : 0;
	until = clock_mono_ms() + HOST_STEP_MS;
	while (rc == 0 && !is_in_step_everywhere(&f) && clock_mono_ms() < until)
		rc = client_run(f.client, SLICE_MS, e);
	client_close(f.client);
	houses_release(&f.houses);
	return rc;
}

/* The first policy */

struct bearer {
	struct known known;
	struct client *client;
};

static void
on_known(void *arg, const char *topic, const char *payload, size_t len)
{
	known_take(&((struct bearer *)arg)->known, topic, payload, len);
}

static int
bearer_wait(struct bearer *b, bool (*is_done)(const struct bearer *b), int64_t limit_ms, struct err *e)
{
	int64_t until = clock_mono_ms() + limit_ms;
	int rc = 0;

	while (rc == 0 && !is_done(b) && clock_mono_ms() < until)
		rc = client_run(b->client, SLICE_MS, e);
	return rc;
}

static bool
heard_enough(const struct bearer *b)
{
	return client_is_up(b->client) && (known_highest(&b->known, SOVEREIGN_POLICY) > 0 || known_heard_all(&b->known));
}

static bool
has_all(const struct bearer *b)
{
	return client_has_retained(b->client);
}

/* With nobody that holds one it is the first; 1: published. */
static int
bring(struct bearer *b, const struct config *c, const struct buf *line, struct err *e)
{
	static const enum topic_kind kinds[] = { TOPIC_POLICY, TOPIC_RELAY, TOPIC_HEALTH };
	char topic[TOPIC_MAX];

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		topic_format(topic, c->cluster, kinds[i], "+", "+");
		if (client_subscribe(b->client, topic, e))
			return -1;
	}
	if (bearer_wait(b, heard_enough, LISTEN_MS, e))
		return -1;
	if (!client_is_up(b->client))
		return err_set(e, ERR_NETWORK, "no connection to the broker: %s", client_why_down(b->client));
	if (known_highest(&b->known, SOVEREIGN_POLICY) > 0)
		return 0;
	topic_format(topic, c->cluster, TOPIC_POLICY, c->sovereign, "current");
	client_retain(b->client, topic, line->data, line->len);
	if (bearer_wait(b, has_all, POLICY_MS, e))
		return -1;
	return client_has_retained(b->client) ? 1 : err_set(e, ERR_TIMEOUT, "the broker did not take the first policy");
}

int
host_first_policy(struct host_job *j, struct err *e)
{
	struct bearer b = { .client = NULL };
	struct buf path = { 0 }, line = { .max = POLICY_MAX };
	int rc = 0;

	buf_addf(&path, "%s/policy.json", j->config->pki_dir);
	if (!j->config->sovereign_keys.n || save_read(path.data, &line, NULL))
		goto out;
	while (line.len && line.data[line.len - 1] == '\n')
		buf_cut(&line, line.len - 1);
	known_init(&b.known, j->config);
	rc = client_open(&b.client, &(struct client_opts){ .config = j->config, .identity = j->config->sovereign, .no_outbox = true,
	    .arg = &b, .on_message = on_known }, e);
	if (rc == 0)
		rc = bring(&b, j->config, &line, e);
	client_close(b.client);
	known_release(&b.known);
out:
	buf_free(&path);
	buf_free(&line);
	return rc;
}
