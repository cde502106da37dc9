/*
 * triage.h - which house a task that names none should go to.
 *
 * By the tool and its parameters. Rules as data; the first that matches wins. What none speaks for is spread evenly, or as
 * was learned: see agent/core/learn.c.
 */
#ifndef UW_TRIAGE_H
#define UW_TRIAGE_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "config.h"

/* Returns a house of the configuration, and in *why a short reason for the record. NULL: no rule speaks for one. */
const struct config_house *triage(const struct config *c, const char *tool, const cJSON *params, const char **why);

/* Never NULL while the configuration has a house. The same hash goes the same way. */
const struct config_house *triage_evenly(const struct config *c, uint64_t hash);

#endif
