#include "remote.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "task.h"

#define ANSWER_MS 3000
#define ANSWER_OTHER_MS 10000

int
remote_open(struct remote *r, const struct cmd_args *a,
    void (*on_reply)(void *arg, const struct client_reply *reply),
    void (*on_message)(void *arg, const char *topic, const char *payload, size_t len), void *arg)
{
	int rc = cmd_config(a, &r->config);

	return rc ? rc : remote_connect(r, a, on_reply, on_message, arg);
}

int
remote_connect(struct remote *r, const struct cmd_args *a,
    void (*on_reply)(void *arg, const struct client_reply *reply),
    void (*on_message)(void *arg, const char *topic, const char *payload, size_t len), void *arg)
{
	struct err e;

	if (client_open(&r->client, &(struct client_opts){ .config = &r->config, .identity = a->identity, .arg = arg,
	    .keep_busy = true, .on_reply = on_reply, .on_message = on_message }, &e) || client_resume(r->client, &e) < 0) {
		config_release(&r->config);
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	}
	return 0;
}

void
remote_close(struct remote *r)
{
	client_close(r->client);
	config_release(&r->config);
}

int
remote_wait(struct remote *r, const bool *done, int64_t timeout_ms)
{
	int64_t now, end = clock_mono_ms() + timeout_ms;
	struct err e;

	while (!*done && (now = clock_mono_ms()) < end) {
		if (client_run(r->client, (int)(end - now > 500 ? 500 : end - now), &e))
			return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
		if (client_is_refused(r->client))
			return cmd_fail(EXIT_REJECTED, "denied: the broker does not let this identity send that; "
			    "--as names another, the lists in %s say who may what", r->config.path);
	}
	return *done ? 0 : EXIT_NO_ANSWER;
}

int64_t
remote_answer_ms(const struct remote *r)
{
	return r->config.nbrokers > 1 ? ANSWER_OTHER_MS : ANSWER_MS;
}

int
remote_check_house(const struct remote *r, const char *house)
{
	if (!house || strcmp(house, "_") == 0 || config_house_find(&r->config, house))
		return 0;
	return cmd_fail(EXIT_USAGE, "--house: expected a house of %s, got \"%s\"", r->config.path, house);
}

int
remote_ask(struct remote *r, enum topic_kind kind, const char *house, const char *json)
{
	const struct config *c = &r->config;

	if (house) {
		client_request(r->client, kind, house, json, NULL);
		return 1;
	}
	client_request(r->client, kind, "_", json, NULL);
	for (size_t i = 0; i < c->nhouses; i++)
		client_request(r->client, kind, c->houses[i].name, json, NULL);
	return (int)c->nhouses + 1;
}

int
remote_no_answer(const struct remote *r, const char *who)
{
	const char *why = client_why_down(r->client);

	if (client_is_up(r->client))
		return cmd_fail(EXIT_NO_ANSWER, "no answer from %s within the time; `uni-wizard house list` shows who is there",
		    who);
	return cmd_fail(EXIT_NO_ANSWER, "no connection to %s: %s", r->config.nbrokers > 1 ? "any broker" : "the broker",
	    why[0] ? why : "no answer");
}

int
remote_task_id(const char *text, struct ulid *id)
{
	if (ulid_parse(text, id))
		return 0;
	cmd_fail(EXIT_USAGE, "ID: expected a task's ULID (26 characters), got \"%s\"", text);
	return -1;
}

const char *
reply_text(const struct client_reply *r, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->obj, name));
}

void
print_pretty(const cJSON *v)
{
	char *text = cJSON_Print(v);

	puts(text ? text : "null");
	cJSON_free(text);
}

static const struct {
	const char *state;
	int exit;
	const char *color;
} states[] = {
	{ "succeeded", EXIT_OK, "green" },
	{ "uncertain", EXIT_UNCERTAIN, "yellow" },
	{ "waiting_approval", EXIT_WAITING, "yellow" },
	{ "failed", EXIT_NOT_SUCCEEDED, "red" },
	{ "dead", EXIT_NOT_SUCCEEDED, "red" },
	{ "rejected", EXIT_REJECTED, "red" },
	{ "expired", EXIT_NOT_SUCCEEDED, "red" },
	{ "denied", EXIT_NOT_SUCCEEDED, "red" },
	{ "cancelled", EXIT_NOT_SUCCEEDED, "yellow" },
};

int
state_exit(const char *state)
{
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(states[i].state, state) == 0)
			return states[i].exit;
	return EXIT_NOT_SUCCEEDED;
}

const char *
state_color(const char *state)
{
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(states[i].state, state) == 0)
			return states[i].color;
	return "dim";
}
