/*
 * rule.h - triage: the rules of houses.yaml, made ready, and what they say of an issue or a pull request.
 */
#ifndef UW_RULE_H
#define UW_RULE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "config.h"
#include "ulid.h"

struct err;
struct rules;

/* The configuration outlives them. */
struct rules *rules_new(const struct config *c);
void rules_free(struct rules *r);       /* NULL is fine */

/* The first that fits; NULL: none does. paths: names of the files that a pull request changes, or NULL if nobody has
 * asked for them yet; then *wants_paths says that the answer depends on them. */
const struct config_triage *rules_find(const struct rules *r, const cJSON *facts, const cJSON *paths, bool *wants_paths);

/* The task of a rule that has one, as one line of JSON, which the caller frees. Facts only ever become part of texts. */
char *rule_task(const struct config_triage *t, const cJSON *facts, const char *key);

/* The id of that task: the same whoever makes it, as long as what it is about is younger than `young_ms`; what is older
 * gets a new one, because houses may have forgotten ids of its time. */
void rule_task_id(struct ulid *out, const char *key, int64_t created_ms, int64_t now_ms, int64_t young_ms);

#endif
