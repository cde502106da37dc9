/*
 * said.h - what was suggested for an issue, as it is kept with it and in our comment:
 *
 * [{"kind":"label","name":"bug","p":0.87,"like":42,"set":true}, ...]   set: we gave it the label
 */
#ifndef UW_SAID_H
#define UW_SAID_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "suggest.h"

#define SAID_MAX 8                      /* suggestions for one issue */
#define SAID_BYTES 2048

/* Can stand in a comment, between backticks and in what nobody sees. */
bool said_is_plain(const char *name);

/* Such a list, which the caller frees; NULL for anything else. */
cJSON *said_read(const char *text, size_t len);
void said_add(cJSON *list, const struct suggest_said *x, bool set);

bool said_kind(const cJSON *item, enum suggest_kind *kind);
bool said_has_set(const cJSON *list, const char *label);

/* As a sentence. */
void said_put(struct buf *out, const cJSON *list);

#endif
