#include "http_cluster.h"

#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "clock.h"
#include "json.h"

#define ASK_MS 3500
#define BEAT_BYTES 32768                /* of a heartbeat; a larger one is left out */
#define REIGNS_MAX 16                   /* of one house */
#define REIGN_TEXT 96

struct beat {
	config_name agent;
	char *text;                     /* NULL: none came yet */
	size_t len;
	int64_t heard_ms;               /* when it lived last, on the mono clock; 0: only what the broker kept is known */
	char boot[32];
	int64_t seq;
};

/* An owner of a house. */
struct reign {
	char term[REIGN_TEXT];
	config_name agent;
	char since[40];
};

struct reigns {
	struct reign v[REIGNS_MAX];     /* oldest first */
	int n;
};

struct cluster {
	struct beat *beats;
	size_t n;
	struct reigns *houses;          /* as in the configuration, and the router's at the end */
};

void
heard_init(struct agent *a)
{
	struct cluster *k = a->cluster = xcalloc(1, sizeof *k);
	size_t n = config_voters(a->o.config, NULL, 0);
	config_name *names = xcalloc(n + 1, sizeof *names);

	k->n = config_voters(a->o.config, names, n);
	k->beats = xcalloc(n + 1, sizeof *k->beats);
	for (size_t i = 0; i < k->n; i++)
		memcpy(k->beats[i].agent, names[i], sizeof names[i]);
	k->houses = xcalloc(a->o.config->nhouses + 1, sizeof *k->houses);
	free(names);
}

void
heard_release(struct agent *a)
{
	struct cluster *k = a->cluster;

	for (size_t i = 0; i < k->n; i++)
		free(k->beats[i].text);
	free(k->beats);
	free(k->houses);
	free(k);
	a->cluster = NULL;
}

/* ---- what is heard ---- */

static struct reigns *
reigns_of(const struct agent *a, const char *house)
{
	const struct config_house *h = config_house_find(a->o.config, house);

	if (h)
		return &a->cluster->houses[h - a->o.config->houses];
	return strcmp(house, "_") == 0 ? &a->cluster->houses[a->o.config->nhouses] : NULL;
}

/* Terms begin with their number; an owner who was cut off goes on saying his old one for a moment. */
static void
hear_owner(struct reigns *r, const char *agent, const char *term, const char *since)
{
	const struct reign *last = r->n ? &r->v[r->n - 1] : NULL;

	if (last && (strcmp(last->term, term) == 0 || strtoll(term, NULL, 10) < strtoll(last->term, NULL, 10)))
		return;
	if (r->n == REIGNS_MAX)
		memmove(r->v, r->v + 1, (size_t)--r->n * sizeof *r->v);
	snprintf(r->v[r->n].term, sizeof r->v->term, "%s", term);
	snprintf(r->v[r->n].agent, sizeof r->v->agent, "%s", agent);
	snprintf(r->v[r->n].since, sizeof r->v->since, "%s", since);
	r->n++;
}

static void
hear_houses(const struct agent *a, const char *agent, const cJSON *o)
{
	const cJSON *part;

	cJSON_ArrayForEach(part, cJSON_GetObjectItemCaseSensitive(o, "houses")) {
		struct reigns *r = reigns_of(a, json_text(part, "house"));

		if (r && strcmp(json_text(part, "role"), "owner") == 0)
			hear_owner(r, agent, json_text(part, "term"), json_text(part, "since"));
	}
}

/* The first that comes of an agent may be what the broker kept of a life that has ended: another one shows that it lives. */
static void
hear(const struct agent *a, struct beat *b, bool ours, const char *payload, size_t len)
{
	cJSON *o = len <= BEAT_BYTES ? json_parse_object(payload, len, NULL) : NULL;
	bool known = b->text, lives = o && strcmp(json_text(o, "state"), "offline") != 0, new;

	if (!o)
		return;
	new = strcmp(b->boot, json_text(o, "boot")) != 0 || json_number(o, "seq", 0) > b->seq;
	if (lives && !new) {
		cJSON_Delete(o);
		return;
	}
	if (lives && (known || ours)) {
		b->heard_ms = clock_mono_ms();
		hear_houses(a, b->agent, o);
	}
	snprintf(b->boot, sizeof b->boot, "%s", json_text(o, "boot"));
	b->seq = lives ? json_number(o, "seq", 0) : b->seq;
	free(b->text);
	b->text = xcalloc(1, len + 1);
	memcpy(b->text, payload, len);
	b->len = len;
	while (b->len && strchr("\r\n ", b->text[b->len - 1]))
		b->len--;
	cJSON_Delete(o);
}

void
heard_take(struct agent *a, bool ours, const char *topic, const char *payload, size_t len)
{
	struct cluster *k = a->cluster;
	struct topic t;

	if (!strstr(topic, "/health/") || topic_parse(topic, a->o.config->cluster, &t, NULL) || t.kind != TOPIC_HEALTH ||
	    ours != (strcmp(t.name, a->o.id) == 0))
		return;
	for (size_t i = 0; i < k->n; i++)
		if (strcmp(k->beats[i].agent, t.name) == 0)
			hear(a, &k->beats[i], ours, payload, len);
}

/* ---- the answer ---- */

static void
put_names(struct buf *b, const char *key, const struct config_names *names)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t i = 0; i < names->n; i++)
		json_put_str(b, names->v[i]);
	json_put_close(b, ']');
}

static void
put_house(const struct agent *a, struct buf *b, const char *name, const char *role)
{
	const struct config_names *candidates = config_candidates(a->o.config, name);
	const struct reigns *r = reigns_of(a, name);

	json_put_open(b, '{');
	json_kv_str(b, "house", name);
	json_kv_str(b, "role", role ? role : "");
	put_names(b, "candidates", candidates);
	json_kv_bool(b, "followed", config_names_has(candidates, a->o.id));
	json_put_key(b, "terms");
	core_put_terms(a->core, name, b);
	json_put_key(b, "owners");
	json_put_open(b, '[');
	for (int i = 0; i < r->n; i++) {
		json_put_open(b, '{');
		json_kv_str(b, "agent", r->v[i].agent);
		json_kv_str(b, "term", r->v[i].term);
		json_kv_str(b, "since", r->v[i].since);
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
	json_put_close(b, '}');
}

static void
put_agent(const struct agent *a, struct buf *b, const struct beat *k)
{
	const struct config_house *home = config_home(a->o.config, k->agent);

	json_put_open(b, '{');
	json_kv_str(b, "agent", k->agent);
	if (home)
		json_kv_str(b, "home", home->name);
	if (k->heard_ms)
		json_kv_int(b, "heard_ms", clock_mono_ms() - k->heard_ms);
	if (k->text)
		json_kv_raw(b, "health", k->text, k->len);
	json_put_close(b, '}');
}

static void
answer(struct agent *a, struct http_call *call)
{
	const struct config *f = a->o.config;
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_str(&b, "agent", a->o.id);
	json_kv_str(&b, "cluster", f->cluster);
	json_kv_str(&b, "version", UW_VERSION);
	json_kv_time(&b, "time", clock_wall_ms());
	json_kv_bool(&b, "connected", link_is_up(a));
	json_kv_str(&b, "sovereign", f->sovereign);
	json_put_key(&b, "houses");
	json_put_open(&b, '[');
	for (size_t i = 0; i < f->nhouses; i++)
		put_house(a, &b, f->houses[i].name, f->houses[i].role);
	put_house(a, &b, "_", "router");
	json_put_close(&b, ']');
	json_put_key(&b, "agents");
	json_put_open(&b, '[');
	for (size_t i = 0; i < a->cluster->n; i++)
		put_agent(a, &b, &a->cluster->beats[i]);
	json_put_close(&b, ']');
	json_put_close(&b, '}');
	buf_addc(&b, '\n');
	http_call_answer(a, call, b.data, b.len);
	buf_free(&b);
}

/* ---- in a connection's thread ---- */

void
cluster_get(const struct http_request *r, struct http_reply *w)
{
	struct err e = { 0 };

	if (http_call(r, answer, ASK_MS, &w->body, &e))
		http_fail(w, &e);
}
