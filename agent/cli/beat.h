/*
 * beat.h - what an agent's heartbeat says of a house.
 */
#ifndef UW_BEAT_H
#define UW_BEAT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* "" when it is not there. */
const char *beat_text(const cJSON *o, const char *name);

/* The entry of "houses"; NULL if the agent is offline or has nothing to do with the house. */
const cJSON *beat_house(const cJSON *beat, const char *house);

/* An entry without role is the owner's: an agent of that kind tells of no houses but its own. */
bool beat_owns(const cJSON *entry);

/* The number of "8.ezra-1"; 0 if there is none. */
int64_t beat_term(const cJSON *entry);

#endif
