/*
 * target.h - what a tool needs beside its agent: the host of a URL, a repository, whatever its declaration names. When
 * that is down all tasks that need it fail, so an owner keeps them back for a while: agent/core/breaker.c.
 *
 * Tools that look whether something is there have none: to fail is their work.
 */
#ifndef UW_TARGET_H
#define UW_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "json.h"

#define TARGET_MAX 256          /* of a longer one the end counts */
#define TARGET_CODES_MAX 17

struct tool;
struct tool_run;

struct target_rule {
	const char *name;               /* always this one, whatever the parameters: a server that each agent has of its own */
	const char *params[3];          /* their values, joined by ':', are its name; the first has to be there */
	bool url;                       /* the first is a URL: its host counts, and its port */
	bool slow;                      /* how long it takes is up to the task: a timeout says nothing of it */
	short down[TARGET_CODES_MAX];   /* exit codes or statuses that say that it is down, ended by 0 */
};

/* False if the tool, or a task with these parameters, has none. */
bool target_of(const struct tool *t, const cJSON *params, char out[TARGET_MAX]);

/* As a person writes it: a URL stands for its host. False if the tool has none, or not that one. */
bool target_read(const struct tool *t, const char *text, char out[TARGET_MAX]);

/* Whether a failure speaks of it, not of the task: network errors do, timeouts unless it is slow, and those numbers
 * (tool_failed_with()). */
bool target_was_down(const struct tool_run *r, const struct err *e);

/* {"params":[...],"url":true,"down":[...]}, {"name":...} or null. */
void target_put(struct buf *b, const struct tool *t);

#endif
