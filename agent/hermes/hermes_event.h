/*
 * hermes_event.h - one thing that Hermes did, whoever told of it, and the line by which the cluster learns of it.
 *
 * Three tell: webhooks (hermes_hook.c), runs of our own over its API, which come the same way, and its database
 * (hermes_state.c). What they say of the same call of a tool is one event: hermes_book.c.
 */
#ifndef UW_HERMES_EVENT_H
#define UW_HERMES_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define HERMES_VIAS(X)                                                  \
	X(VIA_WEBHOOK,  "webhook")                                      \
	X(VIA_RUN,      "run")                                          \
	X(VIA_DATABASE, "database")

enum hermes_via {
#define X(sym, name) sym,
	HERMES_VIAS(X)
#undef X
};

/* What leaves this host, in the order of hermes.share. */
enum hermes_share { SHARE_FACTS, SHARE_PREVIEWS, SHARE_TEXTS };
enum hermes_share hermes_share_find(const char *name);

#define HERMES_ID_MAX 160
#define HERMES_PREVIEW_MAX 200          /* bytes of it that leave */
#define HERMES_TEXT_MAX 16384

struct hermes_event {
	char kind[40];                  /* tool.started tool.completed message session.started run.completed ... */
	enum hermes_via via;
	int64_t at_ms;                  /* when it happened, as the teller says */
	int64_t heard_ms;               /* when we heard of it */
	char session[HERMES_ID_MAX];
	char call[HERMES_ID_MAX];       /* of a tool; "": the teller does not say */
	char once[HERMES_ID_MAX];       /* the teller's name for just this telling; "": none */
	char tool[80], run[80], task[40], house[40];
	char status[64];                /* as it is called there: a role, a reason, a class of errors */
	char model[128];
	int ok;                         /* -1: not told */
	int64_t ms;                     /* -1: not told */
	int64_t bytes;                  /* of the text, shared or not; -1: not told */
	struct buf counts;              /* more members, as JSON with a comma before each; of sessions */
	struct buf preview;             /* what a tool was told, or a command was: leaves with previews */
	struct buf text;                /* of a message or a result: leaves with texts */
};

void hermes_event_init(struct hermes_event *v, const char *kind, enum hermes_via via, int64_t heard_ms);
void hermes_event_release(struct hermes_event *v);

/* As much of a text as there is room for. */
void hermes_event_fill(struct buf *b, const char *text, size_t len);

/* Tools have a beginning and an end that several tell of; whether v is one of these. */
bool hermes_event_is_call(const struct hermes_event *v);

/* One line, without a newline. stream and seq: see hermes_book.h. */
void hermes_event_put(struct buf *b, const struct hermes_event *v, enum hermes_share share, const char *agent, const char *stream,
    int64_t seq);

/* How a tool failed, by the text it gave back ("error" or "exit_code" in it); NULL: it did not. */
const char *hermes_failure(const char *result);

#endif
