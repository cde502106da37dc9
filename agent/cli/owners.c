/*
 * owners.c - whether every house has an owner, as heartbeats say. Agents may be on any of the brokers, so all
 * are listened to.
 */
#include <string.h>

#include "beat.h"
#include "buf.h"
#include "client.h"
#include "clock.h"
#include "cluster_impl.h"
#include "err.h"
#include "json.h"

#define TURN_MS 50
#define QUIET_MS 1000                   /* it usually takes less: then nothing is said */
#define SAY_EVERY_MS 5000

struct owners {
	const struct config *config;
	struct config *each[CONFIG_MAX_BROKERS];        /* with one broker */
	struct client *clients[CONFIG_MAX_BROKERS];
	config_name owner[CONFIG_MAX_HOUSES + 1];       /* in the file's order, then of "_" */
};

static const char *
house_name(const struct owners *o, size_t i)
{
	return i < o->config->nhouses ? o->config->houses[i].name : "_";
}

static void
take_beat(struct owners *o, const char *agent, const cJSON *beat)
{
	for (size_t i = 0; i <= o->config->nhouses; i++) {
		char *owner = o->owner[i];

		if (beat_owns(beat_house(beat, house_name(o, i))))
			snprintf(owner, sizeof o->owner[i], "%s", agent);
		else if (strcmp(owner, agent) == 0)
			owner[0] = '\0';
	}
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct owners *o = arg;
	struct topic t;
	bool known = topic_parse(topic, o->config->cluster, &t, NULL) == 0;
	cJSON *beat = known ? json_parse_object(payload, len, NULL) : NULL;

	if (beat)
		take_beat(o, t.name, beat);
	cJSON_Delete(beat);
}

static int
listen_to(struct owners *o, size_t i, struct err *e)
{
	char filter[TOPIC_MAX];

	o->each[i] = xcalloc(1, sizeof *o->each[i]);
	*o->each[i] = *o->config;
	o->each[i]->brokers[0] = o->config->brokers[i];
	o->each[i]->nbrokers = 1;
	topic_format(filter, o->config->cluster, TOPIC_HEALTH, "+", "state");
	return client_open(&o->clients[i], &(struct client_opts){ .config = o->each[i],
	    .identity = o->config->sovereign, .no_outbox = true, .arg = o, .on_message = on_message }, e) ||
	    client_subscribe(o->clients[i], filter, e) ? -1 : 0;
}

static void
release(struct owners *o)
{
	for (size_t i = 0; i < o->config->nbrokers; i++) {
		client_close(o->clients[i]);
		free(o->each[i]);
	}
	free(o);
}

/* Names of houses without one; the router is a house too. */
static bool
list_missing(const struct owners *o, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i <= o->config->nhouses; i++)
		if (!o->owner[i][0])
			buf_addf(out, "%s%s", out->len ? ", " : "", i < o->config->nhouses ? house_name(o, i) : "the router");
	return out->len > 0;
}

static int
run(struct owners *o, struct err *e)
{
	for (size_t i = 0; i < o->config->nbrokers; i++)
		if (client_run(o->clients[i], TURN_MS / (int)o->config->nbrokers, e))
			return -1;
	return 0;
}

static int
wait_for(struct owners *o, int64_t limit_ms, const struct cluster_up *up, struct buf *missing, struct err *e)
{
	int64_t begun = clock_mono_ms(), say_ms = begun + QUIET_MS, now;

	while (list_missing(o, missing)) {
		now = clock_mono_ms();
		if (now - begun > limit_ms)
			return err_set(e, ERR_TIMEOUT, "without an owner after %lld seconds: %s", (long long)limit_ms / 1000,
			    missing->data);
		if (up->on_wait && now >= say_ms) {
			up->on_wait(up->arg, missing->data);
			say_ms = now + SAY_EVERY_MS;
		}
		if (run(o, e))
			return -1;
	}
	return 0;
}

int
owners_wait(const struct config *c, int64_t limit_ms, const struct cluster_up *up, struct err *e)
{
	struct owners *o = xcalloc(1, sizeof *o);
	struct buf missing = { .max = 8192 };
	int rc = 0;

	o->config = c;
	for (size_t i = 0; i < c->nbrokers && rc == 0; i++)
		rc = listen_to(o, i, e);
	if (rc == 0)
		rc = wait_for(o, limit_ms, up, &missing, e);
	release(o);
	buf_free(&missing);
	return rc;
}
