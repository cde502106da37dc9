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

/* NULL: there is none of that name, any more. */
const struct config_triage *rule_named(const struct config *c, const char *name);

/* Its tasks are a chain of so many, mostly none or one. t: NULL is fine. */
size_t rule_steps(const struct config_triage *t);
/* The name of the tool of one of them, which the caller frees. */
char *rule_tool(const struct config_triage *t, size_t step);

/* One of them, as one line of JSON, which the caller frees. Facts only ever become part of texts. key: of the first; after: the
 * id of the one before it, NULL for the first. */
char *rule_task(const struct config_triage *t, size_t step, const cJSON *facts, const char *key, const char *after);

/* The id of the first: the same whoever makes it, as long as what it is about is younger than `young_ms`; what is older
 * gets a new one, because houses may have forgotten ids of its time. */
void rule_task_id(struct ulid *out, const char *key, int64_t created_ms, int64_t now_ms, int64_t young_ms);
/* The id of another, which follows from that of the first as its house knows it; of step 0 that one itself. */
void rule_step_id(char out[ULID_TEXT], const char *first, size_t step);

#endif
