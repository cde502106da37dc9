/*
 * schedule.c - tasks that come again, by the configuration; those by command are in routine.c.
 *
 * A house's owner always makes the next run of each schedule ahead, as a task with that time as not_before; when the time has
 * come, the next one. So a run is a task like any other: it is kept, handed to the next owner, and shown. Its id is made
 * of the schedule's name and the time, so whoever makes it makes the same task, and there is one. There is nothing else to
 * remember: which runs were made is asked of the tasks.
 */
#include <string.h>

#include "clock.h"
#include "json.h"
#include "state.h"

#define MISSED_MAX 100
#define AGAIN_MS 5000                   /* after the house did not take one */
#define LATE_MS 60000                   /* later than that it is missed */

/* FNV-1a: it need only differ, for nobody else may use the sender's name. */
static uint64_t
hash(uint64_t h, const char *p)
{
	do
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	while (*p++);
	return h;
}

void
schedule_id(const struct config_schedule *s, int64_t at_ms, struct ulid *id)
{
	uint64_t h[2];

	h[0] = hash(hash(14695981039346656037u, s->house), s->name);
	h[1] = h[0] * 0x9e3779b97f4a7c15u ^ h[0] >> 29;
	ulid_make(id, at_ms, (const uint8_t *)h);
}

static bool
is_made(struct core *c, const struct house *h, const struct config_schedule *s, int64_t at_ms)
{
	struct ulid id;

	schedule_id(s, at_ms, &id);
	return task_by_id(c, h, &id) != NULL;
}

/* When the house is busy it is made later. What it refuses, by policy or for its tool, it refuses as from anybody: an event says
 * so, and that run is over. */
static bool
make(struct core *c, struct house *h, const struct config_schedule *s, int64_t at_ms)
{
	cJSON *o, *labels;
	struct buf b = { 0 };
	char id_text[ULID_TEXT];
	struct ulid id;

	if (is_made(c, h, s, at_ms) || at_ms <= c->pruned_id_ms)
		return true;
	if (intake_room(c, h, NULL))
		return false;
	schedule_id(s, at_ms, &id);
	if (IS_MUTANT(MUTANT_SCHEDULE_ANY_ID))
		core_new_id(c, &id);
	ulid_format(&id, id_text);
	o = cJSON_Parse(s->task);
	labels = cJSON_GetObjectItemCaseSensitive(o, "labels");
	if (!labels)
		labels = cJSON_AddObjectToObject(o, "labels");
	cJSON_DeleteItemFromObjectCaseSensitive(labels, "schedule");
	cJSON_AddStringToObject(labels, "schedule", s->name);
	cJSON_AddStringToObject(o, "id", id_text);
	cJSON_AddNumberToObject(o, "not_before", (double)at_ms);
	if (strcmp(s->missed, "none") == 0)
		cJSON_AddNumberToObject(o, "deadline", (double)(at_ms + LATE_MS));
	json_put_tree(&b, o);
	intake_line(c, h, SCHEDULE_SENDER, b.data, b.len, 0, NULL, 0);
	cJSON_Delete(o);
	buf_free(&b);
	return true;
}

/* The last that was made, as far as that is looked for; 0: none, so the schedule is new. */
static int64_t
last_made(struct core *c, const struct house *h, const struct config_schedule *s, int64_t before_ms)
{
	int64_t at = before_ms;

	for (int i = 0; i < MISSED_MAX && (at = cron_prev(&s->cron, s->zone, at)); i++)
		if (is_made(c, h, s, at) || at <= c->pruned_id_ms)
			return at;
	return 0;
}

/* Those between the last one and now. */
static bool
make_missed(struct core *c, struct house *h, const struct config_schedule *s, int64_t last)
{
	int64_t now = c->now.wall_ms;
	bool all = true;

	for (int i = 0; all && i < MISSED_MAX && (last = cron_next(&s->cron, s->zone, last)) && last <= now; i++)
		all = make(c, h, s, last);
	return all;
}

static void
look(struct core *c, struct house *h, int i)
{
	const struct config_schedule *s = &c->o.config->schedules[i];
	int64_t now = c->now.wall_ms, last = c->schedule_ms[i], next = cron_next(&s->cron, s->zone, now);
	bool done = true;

	if (strcmp(s->missed, "all") == 0) {
		if (!last && !IS_MUTANT(MUTANT_SCHEDULE_SKIPS))
			last = last_made(c, h, s, now + 1);
		done = !last || make_missed(c, h, s, last);
	}
	done = done && (!next || make(c, h, s, next));
	c->schedule_again_ms[i] = c->now.mono_ms + AGAIN_MS;
	/* None within five years: it is looked for once a day. */
	if (done)
		c->schedule_ms[i] = next ? next : now + 86400000;
}

void
schedule_take_up(struct core *c, const struct house *h)
{
	for (size_t i = 0; i < c->o.config->nschedules; i++)
		if (strcmp(c->o.config->schedules[i].house, h->name) == 0)
			c->schedule_ms[i] = c->schedule_again_ms[i] = 0;
}

void
schedule_tick(struct core *c)
{
	for (size_t i = 0; i < c->o.config->nschedules; i++) {
		struct house *h = c->schedule_ms[i] > c->now.wall_ms || c->schedule_again_ms[i] > c->now.mono_ms ? NULL :
		    house_find(c, c->o.config->schedules[i].house);

		if (h && h->owned && !h->heir && lease_may_start(c, h))
			look(c, h, (int)i);
	}
}
