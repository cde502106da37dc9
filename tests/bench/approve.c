/*
 * approve.c - how long it takes from the publish of a decision until the task that it releases begins.
 *
 * approve NAME RUNS HOUSE submits one no-op of mode sovereign after the other, approves each as its request comes, and
 * prints "NAME milliseconds": until it is heard that the task starts, which the agent tells when that is on its disk and
 * its worker goes. NAME_outcome is until its outcome is heard.
 */
#include <string.h>

#include "clock.h"
#include "err.h"
#include "json.h"
#include "log.h"
#include "sovereign.h"
#include "topic.h"
#include "ulid.h"
#include "wire.h"

#define LIMIT_US 30000000

struct bench {
	struct mqtt *operator, *timmy;
	struct sign_key *key;
	const char *house;
	char id[ULID_TEXT], hash[CANONICAL_HASH];
	int subscribed;
	int64_t asked_us, decided_us, started_us, ended_us;
};

static void
on_down(void *arg, const char *why)
{
	(void)arg;
	fatalx("approve: the connection ended: %s", why);
}

static void
on_subscribed(void *arg, int mid, int granted)
{
	struct bench *b = arg;

	(void)mid;
	if (granted >= 0x80)
		fatalx("approve: the broker does not let us listen");
	b->subscribed++;
}

static void
on_sent(void *arg, int mid, int reason)
{
	(void)arg;
	(void)mid;
	if (reason >= 0x80)
		fatalx("approve: the broker refuses a publish");
}

static void
up_operator(void *arg, bool session)
{
	(void)arg;
	(void)session;
}

static void
up_timmy(void *arg, bool session)
{
	static const enum topic_kind kinds[] = { TOPIC_REQUEST, TOPIC_EVENT };
	struct bench *b = arg;
	char topic[TOPIC_MAX];
	struct err e;

	(void)session;
	for (int i = 0; i < 2; i++) {
		topic_format(topic, "home", kinds[i], b->house, "+");
		if (mqtt_subscribe(b->timmy, topic, 1, &e) < 0)
			fatalx("approve: %s", e.msg);
	}
}

static void
take_event(struct bench *b, const cJSON *o)
{
	const char *type = json_text(o, "type");

	if (strcmp(json_text(o, "id"), b->id) != 0)
		return;
	if (strcmp(type, "starting") == 0)
		b->started_us = clock_mono_us();
	else if (strcmp(type, "outcome") == 0)
		b->ended_us = clock_mono_us();
	if (strcmp(type, "outcome") == 0 && strcmp(json_text(o, "state"), "succeeded") != 0)
		fatalx("approve: the task is %s", json_text(o, "state"));
}

static void
take_line(struct bench *b, const char *p, size_t len)
{
	cJSON *o = json_parse_object(p, len, NULL);

	if (o && strcmp(json_text(o, "task"), b->id) == 0) {
		snprintf(b->hash, sizeof b->hash, "%.64s", json_text(o, "hash"));
		b->asked_us = clock_mono_us();
	} else if (o) {
		take_event(b, o);
	}
	cJSON_Delete(o);
}

static void
on_message(void *arg, const struct mqtt_msg *m)
{
	const char *p = m->payload, *end = p + m->len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);

		take_line(arg, p, len);
		p += len + 1;
	}
}

static void
wait_for(struct bench *b, const int64_t *what, const char *name)
{
	int64_t limit_us = clock_mono_us() + LIMIT_US;

	while (!*what) {
		mqtt_write(b->operator);
		mqtt_write(b->timmy);
		wire_read(b->operator, 0);
		wire_read(b->timmy, clock_mono_us() + 20000);
		mqtt_tick(b->operator);
		mqtt_tick(b->timmy);
		if (clock_mono_us() > limit_us)
			fatalx("approve: no %s within %d s", name, LIMIT_US / 1000000);
	}
}

static struct mqtt *
connect_as(struct wire *w, const char *identity, struct bench *b, void (*up)(void *arg, bool session))
{
	struct mqtt *m;
	struct err e;

	wire_init(w, identity);
	w->opts.arg = b;
	w->opts.on_up = up;
	w->opts.on_down = on_down;
	w->opts.on_message = on_message;
	w->opts.on_sent = on_sent;
	w->opts.on_subscribed = on_subscribed;
	m = mqtt_connect(&w->opts, &e);
	if (!m)
		fatalx("approve: %s", e.msg);
	return m;
}

static void
publish(struct mqtt *m, enum topic_kind kind, const char *name, const char *id, const char *text, bool retain)
{
	char topic[TOPIC_MAX];
	struct err e;

	topic_format(topic, "home", kind, name, id);
	if (mqtt_publish(m, topic, text, strlen(text), 1, retain, NULL, NULL, 0, 0, &e) < 0)
		fatalx("approve: %s", e.msg);
	mqtt_write(m);
}

static void
decide(struct bench *b)
{
	cJSON *o = cJSON_CreateObject();
	struct buf line = { 0 };
	struct err e;

	cJSON_AddStringToObject(o, "task", b->id);
	cJSON_AddStringToObject(o, "hash", b->hash);
	cJSON_AddStringToObject(o, "decision", "approve");
	cJSON_AddNumberToObject(o, "time", (double)clock_wall_ms());
	cJSON_AddNumberToObject(o, "expires", (double)clock_wall_ms() + 60000);
	if (sovereign_seal(&line, SOVEREIGN_DECISION, "home", o, b->key, &e))
		fatalx("approve: %s", e.msg);
	b->decided_us = clock_mono_us();
	publish(b->timmy, TOPIC_DECISION, "timmy", b->id, line.data, true);
	cJSON_Delete(o);
	buf_free(&line);
}

static void
run_one(struct bench *b, const char *name)
{
	char task[200];
	struct ulid id;

	ulid_now(&id);
	ulid_format(&id, b->id);
	b->asked_us = b->started_us = b->ended_us = 0;
	snprintf(task, sizeof task, "{\"id\":\"%s\",\"tool\":\"noop\",\"mode\":\"sovereign\"}", b->id);
	publish(b->operator, TOPIC_TASK, b->house, "operator", task, false);
	wait_for(b, &b->asked_us, "request");
	decide(b);
	wait_for(b, &b->ended_us, "outcome");
	printf("%s %.2f\n", name, (double)(b->started_us - b->decided_us) / 1000);
	printf("%s_outcome %.2f\n", name, (double)(b->ended_us - b->decided_us) / 1000);
	/* What was decided is kept for agents that come later: not here. */
	publish(b->timmy, TOPIC_DECISION, "timmy", b->id, "", true);
}

int
main(int argc, char **argv)
{
	struct wire operator, timmy;
	struct bench b = { 0 };
	char path[512];
	struct err e;

	if (argc != 4)
		fatalx("usage: approve NAME RUNS HOUSE");
	b.house = argv[3];
	b.operator = connect_as(&operator, "operator", &b, up_operator);
	b.timmy = connect_as(&timmy, "timmy", &b, up_timmy);
	snprintf(path, sizeof path, "%s/sovereign.key", getenv("UW_PKI"));
	b.key = sign_key_load(path, NULL, &e);
	if (!b.key)
		fatalx("approve: %s", e.msg);
	while (b.subscribed < 2 || !mqtt_is_up(b.operator)) {
		int64_t soon = clock_mono_us() + 50000;

		mqtt_write(b.operator);
		mqtt_write(b.timmy);
		wire_read(b.operator, soon);
		wire_read(b.timmy, soon);
	}
	for (long n = strtol(argv[2], NULL, 10); n > 0; n--)
		run_one(&b, argv[1]);
	mqtt_close(b.operator, true);
	mqtt_close(b.timmy, true);
	sign_key_free(b.key);
	return 0;
}
