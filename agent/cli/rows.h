/*
 * rows.h - what several houses answer to one question for a list of tasks, put together.
 */
#ifndef UW_ROWS_H
#define UW_ROWS_H

#include <cjson/cJSON.h>

#define ROWS_MAX 16384

struct rows {
	cJSON *v[ROWS_MAX];
	int n;
};

/* A copy of a `task` reply, without its type. */
void rows_add(struct rows *r, const cJSON *task);

/* Newest first, at most limit. A task that was handed on is known to the router and to its house: the house's word
 * counts. */
void rows_settle(struct rows *r, int limit);

void rows_clear(struct rows *r);

#endif
