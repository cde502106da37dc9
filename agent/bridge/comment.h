/*
 * comment.h - our one comment on an issue or pull request: what it says, and the record in it that a successor goes on from.
 *
 * The record is the first line, "<!-- uni-wizard-triage rule=R house=H task=ID state=S -->", which nobody sees; "-" stands for
 * none. Where it was opened again N times, " round=N" follows the state. Of a chain the id is the first one's, from which the
 * others follow, and the state that of the one that goes on. What was suggested follows in a line like it, as in said.h. The
 * marker is the last. Nothing that strangers wrote stands between but a tool's result, in a fence that it cannot end.
 */
#ifndef UW_COMMENT_H
#define UW_COMMENT_H

#include <stdbool.h>

#include "buf.h"
#include "config.h"
#include "matters.h"

#define COMMENT_RESULT_MAX 2000         /* bytes of a result that are shown */

/* rule: NULL if none fits. link: before the task's id; NULL: no link. */
void comment_put(struct buf *out, const struct matter *x, const struct config_triage *rule, const char *link, const char *key);

/* What the record of such a comment says, into rule, house, first, task, state, shown, round and said. False: it has none. */
bool comment_read(const char *text, struct matter *x);

/* The pull request that a task opened, as its outcome says: an object with number and url. NULL: none. */
const cJSON *comment_pull(const cJSON *outcome);

/* The state of a commit that goes with that of a task: pending, success, failure or error. */
const char *comment_commit_state(const struct matter *x);

/* Of a task, or of none: no more will come. */
bool comment_is_final(const char *state);

#endif
