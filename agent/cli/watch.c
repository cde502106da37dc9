#include "watch.h"

#include <string.h>

#include "beat.h"
#include "clock.h"
#include "err.h"
#include "json.h"

#define SLICE_MS 100
#define SILENT_MS 4000                  /* heartbeats come each second */

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	houses_take(&((struct watch *)arg)->houses, topic, payload, len, clock_mono_ms());
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(r->obj, "error");
	struct watch *w = arg;

	if (strcmp(r->type, "error") != 0 || cJSON_HasObjectItem(r->obj, "id"))
		return;
	w->refused = true;
	snprintf(w->why, sizeof w->why, "%s", beat_text(e, "message"));
}

int
watch_open(struct watch *w, const struct cmd_args *a)
{
	char filter[TOPIC_MAX];
	struct err e = { 0 };
	const char *who;
	int rc;

	*w = (struct watch){ .refused = false };
	if ((rc = remote_open(&w->r, a, on_reply, on_message, w)) != 0)
		return rc;
	houses_init(&w->houses, &w->r.config);
	who = a->identity ? a->identity : w->r.config.identity;
	topic_format(filter, w->r.config.cluster, TOPIC_HEALTH, "+", "state");
	if (config_identity_kind(&w->r.config, who) != IDENTITY_OPERATOR && config_identity_kind(&w->r.config, who) != IDENTITY_SOVEREIGN)
		rc = cmd_fail(EXIT_REJECTED, "denied: %s may not move houses, operators and %s may; --as names another identity", who,
		    w->r.config.sovereign);
	else if (client_subscribe(w->r.client, filter, &e))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	if (rc)
		watch_close(w);
	return rc;
}

void
watch_close(struct watch *w)
{
	houses_release(&w->houses);
	remote_close(&w->r);
}

int
watch_until(struct watch *w, bool (*holds)(struct watch *w, void *arg), void *arg, int64_t ms, struct err *e)
{
	int64_t end = clock_mono_ms() + ms;
	const bool never = false;
	int rc;

	do {
		rc = remote_wait(&w->r, &never, SLICE_MS);
		if (rc != EXIT_NO_ANSWER)
			return err_set(e, ERR_NETWORK, "the broker does not let us listen");
		houses_fade(&w->houses, clock_mono_ms() - SILENT_MS);
		if (holds && holds(w, arg))
			return 1;
	} while (clock_mono_ms() < end);
	return 0;
}

int
watch_for(struct watch *w, int64_t ms, struct err *e)
{
	return watch_until(w, NULL, NULL, ms, e) < 0 ? -1 : 0;
}

bool
watch_house(struct watch *w, size_t i, struct house_view *v)
{
	const struct config *c = &w->r.config;

	if (i > c->nhouses)
		return false;
	*v = houses_view(&w->houses, i < c->nhouses ? &c->houses[i] : NULL);
	return true;
}

struct move {
	const char *house, *to;
};

static bool
has_moved(struct watch *w, void *arg)
{
	const struct move *m = arg;
	struct house_view v;

	for (size_t i = 0; watch_house(w, i, &v); i++)
		if (strcmp(v.house, m->house) == 0)
			return w->refused || (house_is_held(&v) && strcmp(v.owner, m->to) == 0);
	return true;
}

int
watch_move(struct watch *w, const char *house, const char *to, int64_t ms, struct err *e)
{
	struct move m = { house, to };
	char request[128];
	int rc;

	w->refused = false;
	snprintf(request, sizeof request, "{\"move\":{\"to\":\"%s\",\"pin\":false}}", to);
	if (client_request(w->r.client, TOPIC_QUERY, house, request, e))
		return -1;
	rc = watch_until(w, has_moved, &m, ms, e);
	if (rc < 0)
		return -1;
	if (w->refused)
		return err_set(e, ERR_WRONG_STATE, "house %s does not go to %s: %s", house, to, w->why);
	return rc ? 0 : err_set(e, ERR_TIMEOUT, "house %s did not go to %s within %lld s; `uni-wizard house list` shows whose it is", house, to,
	    (long long)ms / 1000);
}
