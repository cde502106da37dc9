#include "submit.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "meter.h"
#include "spool.h"
#include "trace.h"

#define OUTCOME_MS 3600000
#define ACCEPT_MS 5000
#define ACCEPT_OTHER_MS 15000           /* with several brokers: agents that have to change need some of that */

static void
print_error(const cJSON *e)
{
	const char *code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "code"));
	const char *msg = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "message"));

	if (msg)
		fprintf(stderr, "uni-wizard: %s: %s\n", code ? code : "error", msg);
}

/* The router's word comes first, with state "forwarded"; whether the task waits for approval is the house's
 * to say. */
static bool
is_final(const struct submit *s, const char *state)
{
	return !state || strcmp(state, "forwarded") != 0 || !s->sovereign;
}

static void
tell_halted(const struct submit *s, const struct client_reply *r)
{
	if (!s->a->json && reply_text(r, "halted"))
		fprintf(stderr, "uni-wizard: it does not start for now: %s\n", reply_text(r, "halted"));
}

static void
listen_to(struct submit *s, const char *house)
{
	char filter[TOPIC_MAX];

	if (!s->wait || s->listens || s->a->json || !meter_is_on() || !house || strcmp(house, "_") == 0)
		return;
	topic_format(filter, s->r.config.cluster, TOPIC_LOG, house, "+");
	s->listens = client_subscribe(s->r.client, filter, NULL) == 0;
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	const char *p = payload, *end = payload + len;
	struct submit *s = arg;

	(void)topic;
	while (p < end && !s->done) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		cJSON *o = memmem(p, n, s->id_text, strlen(s->id_text)) ? json_parse_object(p, n, NULL) : NULL;

		if (strcmp(json_text(o, "id"), s->id_text) == 0 && strcmp(json_text(o, "type"), "progress") == 0)
			meter_show(o);
		cJSON_Delete(o);
		p += n + 1;
	}
}

static void
show_accepted(struct submit *s, const struct client_reply *r)
{
	const char *state = reply_text(r, "state"), *house = reply_text(r, "house");
	bool waits = state && strcmp(state, "waiting_approval") == 0;

	s->accepted = true;
	tell_halted(s, r);
	listen_to(s, house);
	if (!is_final(s, state) || (s->wait && !waits))
		return;
	s->done = true;
	s->rc = waits ? EXIT_WAITING : EXIT_OK;
	if (s->a->json)
		printf("%.*s\n", (int)r->len, r->line);
	else
		printf("%s %s by house %s%s\n", s->id_text, waits ? "waits for approval, accepted" : "accepted",
		    house ? house : "?", cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r->obj, "duplicate")) ?
		    " (it had it already)" : "");
}

static void
show_end(struct submit *s, const struct client_reply *r)
{
	const char *state = reply_text(r, "state");
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(r->obj, "result");

	if (!state)
		state = r->type;
	s->accepted = s->done = true;   /* whatever was waited for */
	s->rc = state_exit(state);
	if (s->a->json) {
		printf("%.*s\n", (int)r->len, r->line);
		return;
	}
	meter_clear();
	fprintf(stderr, "%s %s%s%s\n", s->id_text, cmd_color(2, state_color(state)), state, cmd_color(2, "reset"));
	if (result)
		print_pretty(result);
	print_error(cJSON_GetObjectItemCaseSensitive(r->obj, "error"));
}

/* True if there is time to ask again, which the outbox does. A quarter more is how much later that may be. */
static bool
put_off(struct submit *s, const struct client_reply *r)
{
	int64_t busy_s = client_reply_busy_s(r);

	if (!busy_s || clock_mono_ms() + busy_s * 1250 > s->end_ms)
		return false;
	if (!s->put_off && !s->a->json)
		print_error(cJSON_GetObjectItemCaseSensitive(r->obj, "error"));
	return s->put_off = true;
}

static void
on_reply(void *arg, const struct client_reply *r)
{
	struct submit *s = arg;

	if (s->done || !ulid_equal(&r->id, &s->id) || put_off(s, r))
		return;
	if (reply_text(r, "id"))
		snprintf(s->id_text, sizeof s->id_text, "%s", reply_text(r, "id"));
	if (strcmp(r->type, "accepted") == 0)
		show_accepted(s, r);
	else if ((strcmp(r->type, "outcome") == 0 && s->wait) || strcmp(r->type, "rejected") == 0)
		show_end(s, r);
}

static int
spooled(struct submit *s)
{
	const char *why = !client_is_up(s->r.client) ? client_why_down(s->r.client) : s->put_off ? "its house is busy" :
	    "its house did not answer";
	struct err e;

	if (spool_start(&s->r.config, s->a->identity ? s->a->identity : s->r.config.identity, &e))
		cmd_warn(e.msg, NULL);
	if (s->a->json)
		printf("{\"type\":\"spooled\",\"id\":\"%s\"}\n", s->id_text);
	else
		printf("%s spooled: %s. It is in the local outbox and goes out by itself; `uni-wizard outbox list`.\n",
		    s->id_text, why[0] ? why : "the broker does not answer");
	return EXIT_SPOOLED;
}

static int
send_and_wait(struct submit *s)
{
	int64_t within = s->within_ms, begun = clock_mono_ms();
	int64_t accept = s->r.config.nbrokers > 1 ? ACCEPT_OTHER_MS : ACCEPT_MS;
	int rc;

	s->end_ms = begun + (within ? within : s->wait ? OUTCOME_MS : accept);
	rc = remote_wait(&s->r, s->wait ? &s->accepted : &s->done, within && within < accept ? within : accept);
	if (rc == EXIT_NO_ANSWER && s->put_off)
		rc = remote_wait(&s->r, s->wait ? &s->accepted : &s->done, s->end_ms - clock_mono_ms());
	if (s->done && s->rc == EXIT_REJECTED)
		client_drop(s->r.client, &s->id, NULL);
	if (s->done)
		return s->rc;
	if (rc == EXIT_NO_ANSWER && !s->accepted)
		return spooled(s);
	if (rc == EXIT_REJECTED)
		client_drop(s->r.client, &s->id, NULL);
	if (rc && !s->accepted)
		return rc;
	if (!s->wait) {
		printf("%s accepted by the router; its house has not answered yet\n", s->id_text);
		return EXIT_OK;
	}
	rc = remote_wait(&s->r, &s->done, s->end_ms - clock_mono_ms());
	if (rc == EXIT_NO_ANSWER)
		return cmd_fail(rc, "task %s was accepted but has no outcome yet; see `uni-wizard task show %s`",
		    s->id_text, s->id_text);
	return rc ? rc : s->rc;
}

void
submit_put_limits(struct buf *b, const struct cmd_args *a)
{
	if (cmd_int(a, "priority", -1) >= 0)
		json_kv_int(b, "priority", cmd_int(a, "priority", 0));
	if (cmd_int(a, "timeout", 0))
		json_kv_int(b, "timeout_s", cmd_int(a, "timeout", 0));
	if (cmd_int(a, "retries", 0)) {
		json_put_key(b, "retry");
		json_put_open(b, '{');
		json_kv_int(b, "max", cmd_int(a, "retries", 0));
		json_put_close(b, '}');
	}
}

void
submit_put_trace(struct buf *b, const char *given)
{
	const char *outer = getenv("TRACEPARENT");
	char made[TRACE_MAX];

	if (!given && outer && trace_is_valid(outer))
		given = outer;
	if (!given)
		trace_make(made);
	json_kv_str(b, "traceparent", given ? given : made);
}

int
submit_open(struct submit *s)
{
	return remote_open(&s->r, s->a, on_reply, on_message, s);
}

int
submit_give(struct submit *s, const char *house, const char *task, size_t len)
{
	struct err e;

	ulid_format(&s->id, s->id_text);
	if (client_submit(s->r.client, house, task, len, &s->id, s->wait, &e) || client_commit(s->r.client, &e))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	return send_and_wait(s);
}
