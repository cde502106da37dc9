/*
 * event.h - what Gitea tells of an issue or a pull request, as facts: one small object, whatever they came from.
 *
 * {"repo","number","kind":"issue"|"pull","title","body","author","url","labels":[names],"assigned":bool,"assignees":[logins],"open":bool,
 *  "created","updated" (ms since 1970),"branch","sha","merged" (ms, or absent)}
 * Of one that was opened again also "opened_with":[names]: its labels when it was opened first, as far as that was seen. Rules go
 * by these: what somebody may write into an issue of his own after another has labelled it is not what that one has seen.
 *
 * Texts are cut to what rules and tasks may need, so that facts have a bound.
 */
#ifndef UW_EVENT_H
#define UW_EVENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define EVENT_TITLE_MAX 512
#define EVENT_BODY_MAX 8192
#define EVENT_LABELS_MAX 64
#define EVENT_ASSIGNEES_MAX 16
#define EVENT_KEY_MAX 101
#define EVENT_OPENED_WITH "opened_with"

/* Of an issue or pull request as the API, or a webhook, has it. The caller frees them; NULL with ERR_INVALID, which names the
 * member. */
cJSON *event_facts(const char *repo, const cJSON *o, struct err *e);

/* A webhook's body, with the name of its event. *out stays NULL if it is about something else. -1: it is not what Gitea
 * sends. */
int event_webhook(const char *name, const char *body, size_t len, cJSON **out, struct err *e);

/* The same for the same issue, whoever makes it: marker of its comment, and idempotency key of its task. */
void event_key(char out[EVENT_KEY_MAX], const char *repo, int64_t number);
/* Likewise, of the task that it gets when it is opened again for the round-th time; 0: the same. */
void event_task_key(char out[EVENT_KEY_MAX], const char *repo, int64_t number, int round);

#endif
