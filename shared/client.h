/*
 * client.h - a person or program that gives tasks to houses: outbox, connection, replies.
 *
 * client_submit() puts a task in the outbox; client_commit() sends all of them, many to a message, and makes
 * them durable with one fsync meanwhile. A task stays in the outbox until its house said accepted; it is sent
 * again after a reconnect and every few seconds until then. One whose outcome the caller waits for is
 * sent again too, ever more rarely, for the reply may have been lost. The house knows a task by its id, so
 * that is harmless. With keep_busy, what a busy house refuses stays and is sent again when the house says.
 *
 * One thread, no loop of its own: client_run() waits and works. Several processes may share one outbox.
 */
#ifndef UW_CLIENT_H
#define UW_CLIENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "ulid.h"

struct err;
struct client;

struct client_reply {
	const char *type;               /* accepted rejected outcome task end error cancel ... */
	const cJSON *obj;               /* the whole line; borrowed for the call */
	const char *line;
	size_t len;
	struct ulid id;                 /* as it was submitted, even if its key stood for an older task, whose id
	                                 * is in obj; all zero when the reply names none */
};

struct client_opts {
	const struct config *config;
	const char *identity;           /* certificate and name; NULL: the configuration's */
	bool no_outbox;                 /* only requests, nothing to submit */
	const char *outbox_path;        /* NULL: <state>/outbox-<identity>.db */
	bool keep_busy;                 /* what a busy house refuses */
	void *arg;
	void (*on_reply)(void *arg, const struct client_reply *r);
	void (*on_message)(void *arg, const char *topic, const char *payload, size_t len);     /* of subscriptions */
};

/* In how many seconds to come again, if that is what it says; 0: it says something else. */
int64_t client_reply_busy_s(const struct client_reply *r);

/* Of the outbox's database. */
int client_store_version(void);

int client_open(struct client **out, const struct client_opts *o, struct err *e);
void client_close(struct client *c);

/* Puts a task in the outbox. task: a JSON object on one line, of which "id" is set here. wait: go on until its
 * outcome came, not only until accepted. id gets the task's id. */
int client_submit(struct client *c, const char *house, const char *task, size_t len, const struct ulid *id,
    bool wait, struct err *e);

/* Sends what was submitted if connected, and makes it durable. After an error a house may have it all the same. */
int client_commit(struct client *c, struct err *e);

/* Takes up tasks in the outbox that others left there some seconds ago: sends them too. Returns how many are new. */
int client_resume(struct client *c, struct err *e);

/* Sends a cancel or query request (one JSON object) to a house; answers come to on_reply. */
int client_request(struct client *c, enum topic_kind kind, const char *house, const char *json, struct err *e);

/* Gives the broker a message to keep (retained, QoS 1); sent again after a reconnect until the broker has it.
 * len 0 takes away what it keeps. */
void client_retain(struct client *c, const char *topic, const char *payload, size_t len);
bool client_has_retained(const struct client *c);       /* the broker has all of them */

/* Listens; remembered across reconnects. */
int client_subscribe(struct client *c, const char *filter, struct err *e);

/* Connects if need be, reads, sends, waits up to timeout_ms for something to happen. -1 with e only when the
 * store fails or the configuration is wrong: a broker that is away is waited for. */
int client_run(struct client *c, int timeout_ms, struct err *e);

/* client_run() waits for these too and sets their revents. Borrowed until the next call; at most CLIENT_WATCHED. */
#define CLIENT_WATCHED 4
struct pollfd;
void client_watch(struct client *c, struct pollfd *fds, size_t n);

bool client_is_up(const struct client *c);
/* The broker's access list does not let us publish tasks: no use in waiting. */
bool client_is_refused(const struct client *c);
void client_pardon(struct client *c);                   /* the list may be another one now: only what is refused from here on counts */
const char *client_why_down(const struct client *c);    /* why nothing could be sent the last time; may be "" */
int64_t client_pending(const struct client *c);         /* not accepted yet */

/* What is in the outbox, oldest first, at most 4,096. The caller frees with client_spooled_free(). */
struct client_spooled {
	char id[ULID_TEXT], house[NAME_MAX_LEN + 1];
	char *task;
	int64_t at_ms;
};
int client_spooled(struct client *c, struct client_spooled **out, size_t *n, struct err *e);
void client_spooled_free(struct client_spooled *s, size_t n);

/* It was submitted here and is not accepted, as far as is known. */
bool client_holds(struct client *c, const struct ulid *id);

/* Takes a task out of the outbox: somebody else has it now. */
int client_drop(struct client *c, const struct ulid *id, struct err *e);

#endif
