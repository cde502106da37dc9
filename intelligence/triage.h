/*
 * triage.h - which house a task that names none should go to.
 *
 * First version: by the tool and its parameters. Rules as data; the first that matches wins.
 */
#ifndef UW_TRIAGE_H
#define UW_TRIAGE_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "config.h"

/* Returns a house of the configuration, and in *why a short reason for the record. Never NULL while
 * the configuration has a house. hash picks among equals, so that the same task goes the same way. */
const struct config_house *triage(const struct config *c, const char *tool, const cJSON *params,
    uint64_t hash, const char **why);

#endif
