/*
 * remote.h - what commands that talk to the cluster share: configuration, client, waiting.
 */
#ifndef UW_REMOTE_H
#define UW_REMOTE_H

#include "client.h"
#include "cmd.h"

struct remote {
	struct config config;
	struct client *client;
	int64_t deadline_ms;            /* of the wait that goes on */
};

/* Loads the configuration, opens the outbox and sends what former commands had to leave in it. Returns 0
 * or an exit code, with the error printed. */
int remote_open(struct remote *r, const struct cmd_args *a,
    void (*on_reply)(void *arg, const struct client_reply *reply),
    void (*on_message)(void *arg, const char *topic, const char *payload, size_t len), void *arg);
/* The same with r->config loaded already; it is released on failure. */
int remote_connect(struct remote *r, const struct cmd_args *a,
    void (*on_reply)(void *arg, const struct client_reply *reply),
    void (*on_message)(void *arg, const char *topic, const char *payload, size_t len), void *arg);
void remote_close(struct remote *r);

/* Runs until *done or timeout_ms has passed. 0: done; otherwise an exit code: EXIT_NO_ANSWER when time is over,
 * nothing is printed then; EXIT_REJECTED when the broker does not let us. */
int remote_wait(struct remote *r, const bool *done, int64_t timeout_ms);

/* How long an answer to a request may take: with several brokers, agents may just be changing. */
int64_t remote_answer_ms(const struct remote *r);

/* 0, or EXIT_USAGE with the error printed when no such house is configured. NULL is fine. */
int remote_check_house(const struct remote *r, const char *house);

/* Sends one request to one house, or to every house and the router (house NULL). Returns how many. */
int remote_ask(struct remote *r, enum topic_kind kind, const char *house, const char *json);

/* A line for the person: "no connection to the broker: host:port: why". */
int remote_no_answer(const struct remote *r, const char *who);

/* -1 and an error printed unless text is a ULID. */
int remote_task_id(const char *text, struct ulid *id);

const char *reply_text(const struct client_reply *r, const char *name);

/* JSON for people: indented, on standard output. */
void print_pretty(const cJSON *v);

/* The exit code that goes with a task's state. */
int state_exit(const char *state);
const char *state_color(const char *state);

#endif
