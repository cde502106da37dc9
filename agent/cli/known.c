#include "known.h"

#include "beat.h"
#include "json.h"
#include "policy.h"

#define CLAIM_MAX 10000         /* ahead of what was signed */

void
known_init(struct known *k, const struct config *c)
{
	*k = (struct known){ .config = c };
	k->nagents = config_voters(c, NULL, 0) - c->witnesses.n;
	k->names = xcalloc(k->nagents + 1, sizeof *k->names);
	k->agents = xcalloc(k->nagents + 1, sizeof *k->agents);
	k->grants = xcalloc(KNOWN_MAX_GRANTS, sizeof *k->grants);
	k->requests = xcalloc(KNOWN_MAX_REQUESTS, sizeof *k->requests);
	config_voters(c, k->names, k->nagents);
	for (size_t i = 0; i < k->nagents; i++)
		k->agents[i] = (struct known_agent){ .name = k->names[i], .away = true, .seq = -1, .holds = { -1, -1, -1, -1 } };
}

static void
object_clear(struct known_object *o)
{
	if (o->line)
		sovereign_release(&o->s);
	free(o->line);
	*o = (struct known_object){ .line = NULL };
}

void
known_release(struct known *k)
{
	object_clear(&k->policy);
	object_clear(&k->halt);
	for (size_t i = 0; i < k->ngrants; i++)
		object_clear(&k->grants[i]);
	for (size_t i = 0; i < k->nrequests; i++)
		cJSON_Delete(k->requests[i].o);
	free(k->grants);
	free(k->requests);
	free(k->agents);
	free(k->names);
	*k = (struct known){ .config = NULL };
}

/* Heartbeats */

static struct known_agent *
agent_find(struct known *k, const char *name)
{
	for (size_t i = 0; i < k->nagents; i++)
		if (strcmp(k->agents[i].name, name) == 0)
			return &k->agents[i];
	return NULL;
}

static void
take_beat(struct known *k, const char *name, const char *payload, size_t len)
{
	static const char *const names[] = { "policy", "halt", "grants" };
	struct known_agent *a = agent_find(k, name);
	cJSON *o = a ? json_parse_object(payload, len, NULL) : NULL;
	const cJSON *held = cJSON_GetObjectItemCaseSensitive(o, "sovereign");
	int64_t seq = json_number(o, "seq", 0);

	if (!o)
		return;
	/* The broker gives what it kept first, which may be of a life that has ended; the agent itself says more. */
	a->away = strcmp(beat_text(o, "state"), "offline") == 0;
	a->heard = !a->away && a->seq >= 0 && a->seq != seq;
	a->seq = seq;
	for (int i = 0; i < 3; i++)
		a->holds[i] = json_number(held, names[i], -1);
	cJSON_Delete(o);
}

bool
known_heard_all(const struct known *k)
{
	for (size_t i = 0; i < k->nagents; i++)
		if (!k->agents[i].heard && !(k->agents[i].away && k->agents[i].seq >= 0))
			return false;
	return true;
}

/* Signed objects */

static struct known_object *
grant_place(struct known *k, const char *id)
{
	for (size_t i = 0; i < k->ngrants; i++)
		if (strcmp(k->grants[i].s.u.grant.id, id) == 0)
			return &k->grants[i];
	return k->ngrants < KNOWN_MAX_GRANTS ? &k->grants[k->ngrants++] : NULL;
}

static void
take_object(struct known *k, enum sovereign_kind kind, const char *payload, size_t len)
{
	struct known_object *at;
	struct sovereign s;

	if (len == 0)
		return;
	if (sovereign_open(&s, kind, k->config->cluster, k->config->sovereign_keys.v, k->config->sovereign_keys.n, payload,
	    len, &k->why)) {
		k->refused++;
		return;
	}
	at = kind == SOVEREIGN_POLICY ? &k->policy : kind == SOVEREIGN_HALT ? &k->halt
	    : kind == SOVEREIGN_GRANT ? grant_place(k, s.u.grant.id) : NULL;
	if (!at || !sovereign_supersedes(&s, at->line ? &at->s : NULL)) {
		sovereign_release(&s);
		return;
	}
	object_clear(at);
	at->s = s;
	at->line = xstrndup(payload, len);
}

/* "policy", "halt", "grant-<id>" */
static void
take_relay(struct known *k, const char *id, const char *payload, size_t len)
{
	if (strcmp(id, "policy") == 0)
		take_object(k, SOVEREIGN_POLICY, payload, len);
	else if (strcmp(id, "halt") == 0)
		take_object(k, SOVEREIGN_HALT, payload, len);
	else if (strncmp(id, "grant-", 6) == 0)
		take_object(k, SOVEREIGN_GRANT, payload, len);
}

void
known_take_held(struct known *k, const char *agent, const char *envelope, size_t len)
{
	struct known_agent *a = agent_find(k, agent);
	enum sovereign_kind kind;
	int64_t n;

	if (!a)
		return;
	a->heard = true;
	a->away = false;
	for (int i = 0; i < 3; i++)
		a->holds[i] = a->holds[i] < 0 ? 0 : a->holds[i];
	if (len == 0 || sovereign_peek(envelope, len, &kind, &n))
		return;
	if (n > a->holds[kind])
		a->holds[kind] = n;
	take_object(k, kind, envelope, len);
}

/* Requests */

static struct known_request *
request_place(struct known *k, const char *task)
{
	for (size_t i = 0; i < k->nrequests; i++)
		if (strcmp(k->requests[i].task, task) == 0)
			return &k->requests[i];
	return NULL;
}

static void
take_request(struct known *k, const struct topic *t, const char *payload, size_t len)
{
	struct known_request *at = request_place(k, t->id);
	cJSON *o = len ? json_parse_object(payload, len, NULL) : NULL;

	if (!o) {
		if (at) {
			cJSON_Delete(at->o);
			*at = k->requests[--k->nrequests];
			k->requests[k->nrequests] = (struct known_request){ .o = NULL };
		}
		return;
	}
	if (!at && (k->nrequests == KNOWN_MAX_REQUESTS || strlen(t->id) >= sizeof at->task)) {
		cJSON_Delete(o);
		return;
	}
	at = at ? at : &k->requests[k->nrequests++];
	cJSON_Delete(at->o);
	*at = (struct known_request){ .o = o };
	snprintf(at->house, sizeof at->house, "%s", t->name);
	snprintf(at->task, sizeof at->task, "%.26s", t->id);
}

void
known_take(struct known *k, const char *topic, const char *payload, size_t len)
{
	struct topic t;

	if (topic_parse(topic, k->config->cluster, &t, NULL))
		return;
	while (len && strchr(" \t\r\n", payload[len - 1]))
		len--;
	switch (t.kind) {
	case TOPIC_HEALTH: take_beat(k, t.name, payload, len); break;
	case TOPIC_POLICY: take_object(k, SOVEREIGN_POLICY, payload, len); break;
	case TOPIC_HALT: take_object(k, SOVEREIGN_HALT, payload, len); break;
	case TOPIC_GRANT: take_object(k, SOVEREIGN_GRANT, payload, len); break;
	case TOPIC_RELAY: take_relay(k, t.id, payload, len); break;
	case TOPIC_REQUEST: take_request(k, &t, payload, len); break;
	default: break;
	}
}

/* Questions */

const struct known_object *
known_grant(const struct known *k, const char *id)
{
	for (size_t i = 0; i < k->ngrants; i++)
		if (strcmp(k->grants[i].s.u.grant.id, id) == 0)
			return &k->grants[i];
	return NULL;
}

const struct known_object *
known_newest_grant(const struct known *k)
{
	const struct known_object *newest = NULL;

	for (size_t i = 0; i < k->ngrants; i++)
		if (!newest || k->grants[i].s.n > newest->s.n)
			newest = &k->grants[i];
	return newest;
}

bool
known_grant_in_force(const struct known *k, const struct grant *g, int64_t n, int64_t now_ms)
{
	const struct known_object *newest = known_newest_grant(k);

	return newest && !g->revoked && now_ms < g->expires_ms && grant_is_live(&newest->s.u.grant, g->id, n);
}

static int64_t
signed_number(const struct known *k, enum sovereign_kind kind)
{
	const struct known_object *o = kind == SOVEREIGN_POLICY ? &k->policy : kind == SOVEREIGN_HALT ? &k->halt
	    : known_newest_grant(k);

	return o && o->line ? o->s.n : 0;
}

int64_t
known_highest(const struct known *k, enum sovereign_kind kind)
{
	int64_t from = signed_number(k, kind), n = from;

	for (size_t i = 0; i < k->nagents; i++)
		if (k->agents[i].holds[kind] > n && k->agents[i].holds[kind] <= from + CLAIM_MAX)
			n = k->agents[i].holds[kind];
	return n;
}

const struct known_request *
known_request(const struct known *k, const char *task)
{
	for (size_t i = 0; i < k->nrequests; i++)
		if (strcmp(k->requests[i].task, task) == 0)
			return &k->requests[i];
	return NULL;
}
