/*
 * hermes_hook.h - what arrives at hermes.listen: Hermes's outbound webhooks, and events of our own runs, signed alike.
 *
 * X-Hermes-Signature-256 has to be `sha256=` and the HMAC of the body. Its timestamp has to be of the last five minutes (or the
 * next ones), so that a body somebody kept is of no use later; the same delivery within that time is one.
 */
#ifndef UW_HERMES_HOOK_H
#define UW_HERMES_HOOK_H

#include <stdint.h>

#include "hermes_event.h"

struct err;

#define HERMES_HOOK_MAX (4u << 20)      /* of a body */
#define HERMES_HOOK_WINDOW_MS 300000

/* 1: there is an event, which the caller releases; 0: it is about something else; -1: it is not to be believed (ERR_DENIED) or
 * not well-formed. signature may be NULL. */
int hermes_hook_read(const char *body, size_t len, const char *signature, const char *key, int64_t now_ms,
    struct hermes_event *v, struct err *e);

#endif
