/*
 * meter.h - one line at the bottom of a terminal that says how far something is.
 */
#ifndef UW_METER_H
#define UW_METER_H

#include <stdbool.h>
#include <cjson/cJSON.h>

/* On standard error, and only if that is a terminal. */
bool meter_is_on(void);

/* What a tool says of itself: percent and note of a line of type progress. */
void meter_show(const cJSON *progress);
void meter_clear(void);         /* before anything else is written there */

#endif
