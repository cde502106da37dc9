/*
 * figures.c - what the bridge measures: written every few seconds, shown by `uni-wizard allegro` and in /metrics.
 */
#include <string.h>

#include "bridge.h"
#include "buf.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "save.h"

#define WEEK_MS (7 * 86400000LL)
#define FRESH_MS 20000                  /* who has written nothing for so long does not run */

static void
file_of(const struct config *c, const char *agent, char *out, size_t size)
{
	snprintf(out, size, "%s/%s.bridge.json", c->state_dir, agent);
}

static void
put_gitea(struct bridge *b, struct buf *out)
{
	int64_t sum = matters_sum(&b->m, "seen_ms") + b->up.sum_ms, up = matters_sum(&b->m, "up_ms") + b->up.up_sum_ms;

	json_put_key(out, "gitea");
	json_put_open(out, '{');
	json_kv_bool(out, "reachable", b->up.seen_ms && !b->up.down_ms);
	json_kv_int(out, "down_ms", uplink_down_for(&b->up, clock_mono_ms()));
	json_kv_num(out, "availability", sum ? (double)up / (double)sum : 1);
	json_kv_int(out, "watched_ms", sum);
	json_kv_str(out, "login", b->login);
	json_put_close(out, '}');
}

static void
put_events(struct bridge *b, struct buf *out)
{
	json_put_key(out, "events");
	json_put_open(out, '{');
	for (int i = 0; i < MATTER_NSTAGES; i++)
		json_kv_int(out, matter_stage_name((enum matter_stage)i), matters_count(&b->m, (enum matter_stage)i));
	json_put_close(out, '}');
}

static void
put_latency(struct bridge *b, struct buf *out)
{
	static const char *const names[MATTER_NSOURCES] = { [MATTER_WEBHOOK] = "webhook", [MATTER_POLL] = "poll" };

	json_put_key(out, "triage");
	json_put_open(out, '{');
	for (int i = 0; i < MATTER_NSOURCES; i++) {
		int64_t n, p50 = matters_latency(&b->m, (enum matter_source)i, .5, &n);

		json_put_key(out, names[i]);
		json_put_open(out, '{');
		json_kv_int(out, "n", n);
		json_kv_int(out, "p50_ms", p50);
		json_kv_int(out, "p99_ms", matters_latency(&b->m, (enum matter_source)i, .99, &n));
		json_put_close(out, '}');
	}
	json_put_close(out, '}');
}

static void
put_sums(struct bridge *b, struct buf *out)
{
	static const char *const sums[] = { "issues", "pulls", "reopened", "adopted", "own", "tasks_succeeded", "tasks_not_succeeded",
		"pulls_opened" };

	json_put_key(out, "sums");
	json_put_open(out, '{');
	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
		json_kv_int(out, sums[i], matters_sum(&b->m, sums[i]));
	json_put_close(out, '}');
	json_put_key(out, "pulls_merged");
	json_put_open(out, '{');
	json_kv_int(out, "all", matters_merged_since(&b->m, 0));
	json_kv_int(out, "week", matters_merged_since(&b->m, clock_wall_ms() - WEEK_MS));
	json_put_close(out, '}');
}

static void
put_suggestions(struct bridge *b, struct buf *out)
{
	const struct score *scores = lessons_scores(&b->lessons);

	json_put_key(out, "suggestions");
	json_put_open(out, '{');
	json_kv_str(out, "mode", b->c->bridge.suggest);
	json_kv_int(out, "learned_from", lessons_count(&b->lessons));
	for (int k = 0; k < SUGGEST_NKINDS; k++) {
		json_put_key(out, suggest_kind_name((enum suggest_kind)k));
		json_put_open(out, '{');
		json_kv_int(out, "judged", (int64_t)scores[k].n);
		json_kv_int(out, "right", (int64_t)lessons_right(&scores[k]));
		json_kv_num(out, "brier", score_brier(&scores[k]));
		json_kv_num(out, "calibration_error", score_ece(&scores[k]));
		json_put_close(out, '}');
	}
	json_put_close(out, '}');
}

static void
put_webhooks(struct bridge *b, struct buf *out)
{
	struct hook_counts n = { 0 };

	if (b->hook)
		hook_count(b->hook, &n);
	json_put_key(out, "webhooks");
	json_put_open(out, '{');
	json_kv_bool(out, "on", b->hook != NULL);
	json_kv_int(out, "taken", (int64_t)n.taken);
	json_kv_int(out, "not_signed", (int64_t)n.unsigned_);
	json_kv_int(out, "repeated", (int64_t)n.repeated);
	json_kv_int(out, "too_big", (int64_t)n.too_big);
	json_kv_int(out, "strange", (int64_t)n.strange);
	json_kv_int(out, "no_room", (int64_t)n.full);
	json_put_close(out, '}');
}

static void
put_all(struct bridge *b, struct buf *out)
{
	json_put_open(out, '{');
	json_kv_str(out, "agent", b->agent);
	json_kv_str(out, "house", b->c->bridge.house);
	json_kv_time(out, "time", clock_wall_ms());
	json_kv_int(out, "up_ms", clock_mono_ms() - b->started_ms);
	put_gitea(b, out);
	put_events(b, out);
	put_latency(b, out);
	put_sums(b, out);
	put_suggestions(b, out);
	put_webhooks(b, out);
	json_put_close(out, '}');
	buf_addc(out, '\n');
}

void
figures_write(struct bridge *b)
{
	struct buf text = { 0 };
	struct err e = { 0 };
	char path[512];

	put_all(b, &text);
	file_of(b->c, b->agent, path, sizeof path);
	if (save_file(path, text.data, text.len, 0600, &e))
		log_warnx("bridge: %s", e.msg);
	buf_free(&text);
}

cJSON *
figures_read(const struct config *c, const char *agent)
{
	struct buf text = { .max = 65536 };
	char path[512];
	cJSON *o;

	file_of(c, agent, path, sizeof path);
	o = save_read(path, &text, NULL) ? NULL : json_parse_object(buf_str(&text), text.len, NULL);
	buf_free(&text);
	return o;
}

bool
figures_are_fresh(const cJSON *o)
{
	int64_t at;

	return o && clock_parse(json_text(o, "time"), &at, NULL) == 0 && clock_wall_ms() - at < FRESH_MS;
}
