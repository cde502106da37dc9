#include "http_alert.h"

#include <string.h>

#include "agent.h"
#include "board.h"
#include "clock.h"
#include "json.h"

#define ASK_MS 3500
#define LINE_BYTES 4096                 /* of one that is heard; a larger one is left out */
#define SHOWN_MAX 200
#define CLEARED_MAX 100
#define DOUBT_MS 5000                   /* after connecting, until what the broker keeps has come */

struct cleared {
	char agent[NAME_MAX_LEN + 1], name[ALERT_NAME_MAX];
	enum alert_kind kind;
	int64_t value, since_ms, cleared_ms;
};

struct alerts {
	struct board board;
	struct cleared cleared[CLEARED_MAX];    /* a ring */
	size_t ncleared;                        /* ever */
};

void
alerts_init(struct agent *a)
{
	a->alerts = xcalloc(1, sizeof *a->alerts);
}

void
alerts_release(struct agent *a)
{
	board_release(&a->alerts->board);
	free(a->alerts);
	a->alerts = NULL;
}

/* ---- what changes ---- */

static void
keep_cleared(struct alerts *k, const struct board_alert *b, int64_t now)
{
	struct cleared *c = &k->cleared[k->ncleared++ % CLEARED_MAX];

	*c = (struct cleared){ .kind = b->kind, .value = json_number(b->o, "value", 0), .since_ms = b->told_ms, .cleared_ms = now };
	memcpy(c->agent, b->agent, sizeof c->agent);
	memcpy(c->name, b->name, sizeof c->name);
}

static void
tell(struct agent *a, const struct board_alert *b, int64_t now)
{
	struct buf line = { 0 };

	json_put_open(&line, '{');
	board_put(&line, &a->alerts->board, b, now);
	json_put_close(&line, '}');
	events_tell(a, "alert", b->agent, &line);
	buf_free(&line);
}

/* told_ms is the raising that was told, as in uni-wizard alerts --watch. */
static void
look(struct agent *a)
{
	struct board *board = &a->alerts->board;
	int64_t now = clock_wall_ms();

	for (size_t i = 0; i < board->nalerts; i++) {
		struct board_alert *b = &board->alerts[i];
		int64_t since = board_is_raised(b, now) ? b->since_ms : 0;
		const struct board_mute *m = since ? board_mute(board, b, now) : NULL;
		int64_t muted = m ? m->until_ms : 0;

		b->raised = since != 0;
		if (since == b->told_ms && muted == b->told_mute_ms)
			continue;
		if (b->told_ms && since != b->told_ms)
			keep_cleared(a->alerts, b, now);
		b->told_ms = since;
		b->told_mute_ms = muted;
		tell(a, b, now);
	}
}

bool
alerts_take(struct agent *a, const char *topic, const char *payload, size_t len)
{
	const char *cluster = a->o.config->cluster;
	struct topic t;

	/* A house or a person may be called so, too. */
	if ((!strstr(topic, "/alert/") && !strstr(topic, "/mute/")) || topic_parse(topic, cluster, &t, NULL) ||
	    (t.kind != TOPIC_ALERT && t.kind != TOPIC_MUTE))
		return false;
	if (len <= LINE_BYTES && board_take(&a->alerts->board, cluster, topic, payload, len, clock_wall_ms()))
		look(a);
	return true;
}

void
alerts_link_up(struct agent *a)
{
	board_doubt(&a->alerts->board, clock_wall_ms() + DOUBT_MS);
}

/* Who hears nobody does not know that it is over. */
void
alerts_second(struct agent *a)
{
	if (link_is_up(a))
		look(a);
}

/* ---- the answer ---- */

/* Critical ones first, as many as there is room for. Returns how many are raised. */
static size_t
put_raised(struct buf *out, const struct board *board, int64_t now)
{
	size_t n = 0;

	for (int critical = 1; critical >= 0; critical--)
		for (size_t i = 0; i < board->nalerts; i++) {
			const struct board_alert *b = &board->alerts[i];

			if (!board_is_raised(b, now) || (strcmp(alert_rules[b->kind].severity, "critical") == 0) != critical)
				continue;
			if (++n > SHOWN_MAX)
				continue;
			json_put_open(out, '{');
			board_put(out, board, b, now);
			json_put_close(out, '}');
		}
	return n;
}

static void
put_cleared(struct buf *out, const struct cleared *c)
{
	const struct alert_rule *r = &alert_rules[c->kind];

	json_put_open(out, '{');
	json_kv_str(out, "name", c->name);
	json_kv_str(out, "alert", r->name);
	json_kv_str(out, "agent", c->agent);
	json_kv_str(out, "severity", r->severity);
	json_kv_int(out, "value", c->value);
	json_kv_str(out, "unit", r->unit);
	json_kv_str(out, "text", r->what);
	json_kv_time(out, "since", c->since_ms);
	json_kv_time(out, "cleared", c->cleared_ms);
	json_put_close(out, '}');
}

static void
put_rule(struct buf *out, const struct config *f, enum alert_kind kind)
{
	struct alert_rule r;
	bool on = config_alert(f, kind, &r);

	json_put_open(out, '{');
	json_kv_str(out, "alert", r.name);
	json_kv_bool(out, "on", on);
	json_kv_str(out, "severity", r.severity);
	json_kv_str(out, "side", r.side == ALERT_ABOVE ? "above" : "below");
	json_kv_int(out, "limit", r.limit);
	json_kv_str(out, "unit", r.unit);
	json_kv_int(out, "raise_s", r.raise_s);
	json_kv_int(out, "clear_s", r.clear_s);
	json_kv_str(out, "text", r.what);
	json_kv_str(out, "do", r.mend);
	json_put_close(out, '}');
}

static void
answer(struct agent *a, struct http_call *call)
{
	const struct alerts *k = a->alerts;
	struct buf b = { 0 };
	size_t n;

	json_put_open(&b, '{');
	json_put_key(&b, "alerts");
	json_put_open(&b, '[');
	n = put_raised(&b, &k->board, clock_wall_ms());
	json_put_close(&b, ']');
	json_kv_int(&b, "count", (int64_t)n);
	json_put_key(&b, "cleared");
	json_put_open(&b, '[');
	for (size_t i = 0; i < k->ncleared && i < CLEARED_MAX; i++)
		put_cleared(&b, &k->cleared[(k->ncleared - 1 - i) % CLEARED_MAX]);
	json_put_close(&b, ']');
	json_put_key(&b, "rules");
	json_put_open(&b, '[');
	for (int i = 0; i < ALERT_COUNT; i++)
		put_rule(&b, a->o.config, (enum alert_kind)i);
	json_put_close(&b, ']');
	json_put_close(&b, '}');
	buf_addc(&b, '\n');
	http_call_answer(a, call, b.data, b.len);
	buf_free(&b);
}

/* ---- in a connection's thread ---- */

void
alert_list(const struct http_request *r, struct http_reply *w)
{
	struct err e = { 0 };

	if (http_call(r, answer, ASK_MS, &w->body, &e))
		http_fail(w, &e);
}
