#include "board.h"

#include <string.h>

#include "clock.h"
#include "err.h"
#include "json.h"

#define OLD_MS 3600000                  /* clocks do not differ so much: a broker kept it that does not know of expiry */

void
board_release(struct board *b)
{
	for (size_t i = 0; i < b->nalerts; i++)
		cJSON_Delete(b->alerts[i].o);
	for (size_t i = 0; i < b->nmutes; i++)
		cJSON_Delete(b->mutes[i].o);
	free(b->alerts);
	free(b->mutes);
	*b = (struct board){ 0 };
}

static int64_t
time_of(const cJSON *o, const char *name, int64_t otherwise)
{
	int64_t ms;

	return json_text(o, name)[0] && clock_parse(json_text(o, name), &ms, NULL) == 0 ? ms : otherwise;
}

enum alert_kind
board_name_kind(const char *name)
{
	const char *point = strchr(name, '.');

	if (point && (!name_ok(point + 1) && strcmp(point + 1, "_") != 0))
		return ALERT_COUNT;
	return alert_kind_of(name);
}

static struct board_alert *
alert_of(struct board *b, const struct topic *t)
{
	struct board_alert *a;

	for (size_t i = 0; i < b->nalerts; i++)
		if (strcmp(b->alerts[i].agent, t->name) == 0 && strcmp(b->alerts[i].name, t->id) == 0)
			return &b->alerts[i];
	if (b->nalerts == BOARD_ALERTS)
		return NULL;
	if (!b->alerts)
		b->alerts = xcalloc(BOARD_ALERTS, sizeof *b->alerts);
	a = &b->alerts[b->nalerts++];
	snprintf(a->agent, sizeof a->agent, "%s", t->name);
	snprintf(a->name, sizeof a->name, "%s", t->id);
	a->kind = board_name_kind(t->id);
	return a;
}

/* An empty message takes it back, too. */
static void
take_alert(struct board *b, const struct topic *t, cJSON *o, int64_t now_ms)
{
	struct board_alert *a = name_ok(t->name) && board_name_kind(t->id) < ALERT_COUNT ? alert_of(b, t) : NULL;

	if (!a) {
		cJSON_Delete(o);
		return;
	}
	a->raised = o && strcmp(json_text(o, "state"), "raised") == 0;
	if (o) {
		cJSON_Delete(a->o);
		a->o = o;
		a->since_ms = time_of(o, "since", 0);
		a->until_ms = time_of(o, "until", 0);
		if (a->until_ms > now_ms - OLD_MS)
			a->until_ms += now_ms - time_of(o, "time", now_ms);
	}
}

static void
take_mute(struct board *b, const struct topic *t, cJSON *o)
{
	size_t i = 0;

	while (i < b->nmutes && (strcmp(b->mutes[i].who, t->name) != 0 || strcmp(b->mutes[i].name, t->id) != 0))
		i++;
	if (i < b->nmutes) {
		cJSON_Delete(b->mutes[i].o);
		b->mutes[i] = b->mutes[--b->nmutes];
	}
	if (!o || b->nmutes == BOARD_MUTES || board_name_kind(t->id) == ALERT_COUNT) {
		cJSON_Delete(o);
		return;
	}
	if (!b->mutes)
		b->mutes = xcalloc(BOARD_MUTES, sizeof *b->mutes);
	i = b->nmutes++;
	b->mutes[i] = (struct board_mute){ .o = o, .ack = strcmp(json_text(o, "mute"), "ack") == 0,
		.at_ms = time_of(o, "time", 0), .until_ms = time_of(o, "until", 0) };
	snprintf(b->mutes[i].who, sizeof b->mutes[i].who, "%s", t->name);
	snprintf(b->mutes[i].name, sizeof b->mutes[i].name, "%s", t->id);
}

bool
board_take(struct board *b, const char *cluster, const char *topic, const char *payload, size_t len, int64_t now_ms)
{
	struct topic t;
	cJSON *o;

	if (topic_parse(topic, cluster, &t, NULL) || (t.kind != TOPIC_ALERT && t.kind != TOPIC_MUTE))
		return false;
	o = len ? json_parse_object(payload, len, NULL) : NULL;
	if (t.kind == TOPIC_ALERT)
		take_alert(b, &t, o, now_ms);
	else
		take_mute(b, &t, o);
	return true;
}

void
board_doubt(struct board *b, int64_t until_ms)
{
	for (size_t i = 0; i < b->nalerts; i++)
		b->alerts[i].until_ms = until_ms;
	while (b->nmutes)
		cJSON_Delete(b->mutes[--b->nmutes].o);
}

bool
board_is_raised(const struct board_alert *a, int64_t now_ms)
{
	return a->raised && now_ms < a->until_ms;
}

static bool
is_about(const struct board_mute *m, const struct board_alert *a)
{
	size_t n = strlen(m->name);

	return strncmp(m->name, a->name, n) == 0 && (a->name[n] == '\0' || a->name[n] == '.');
}

const struct board_mute *
board_mute(const struct board *b, const struct board_alert *a, int64_t now_ms)
{
	for (size_t i = 0; i < b->nmutes; i++) {
		const struct board_mute *m = &b->mutes[i];

		if (is_about(m, a) && now_ms < m->until_ms && (!m->ack || a->since_ms <= m->at_ms))
			return m;
	}
	return NULL;
}

void
board_put(struct buf *out, const struct board *b, const struct board_alert *a, int64_t now_ms)
{
	const struct board_mute *m = board_mute(b, a, now_ms);
	const struct alert_rule *r = &alert_rules[a->kind];
	char runbook[80];

	json_kv_str(out, "name", a->name);
	json_kv_str(out, "alert", r->name);
	json_kv_str(out, "agent", a->agent);
	json_kv_str(out, "state", board_is_raised(a, now_ms) ? "raised" : "cleared");
	json_kv_str(out, "severity", r->severity);
	json_kv_int(out, "value", json_number(a->o, "value", 0));
	json_kv_int(out, "limit", json_number(a->o, "limit", 0));
	json_kv_str(out, "unit", r->unit);
	json_kv_time(out, "since", a->since_ms);
	json_kv_str(out, "text", r->what);
	json_kv_str(out, "do", r->mend);
	snprintf(runbook, sizeof runbook, "docs/TROUBLESHOOTING.md#%s", r->name);
	json_kv_str(out, "runbook", runbook);
	if (m) {
		json_kv_str(out, m->ack ? "acknowledged_by" : "silenced_by", m->who);
		json_kv_time(out, "muted_until", m->until_ms);
	}
}
