/*
 * cross.h - audit chains of several agents held against each other.
 *
 * Under one term of its house a task has one outcome, whoever tells it; one that succeeded elsewhere was told there as
 * an attempt, with the same outcome; and what an agent has heard of another one's chain is in that chain.
 */
#ifndef UW_CROSS_H
#define UW_CROSS_H

#include "audit_check.h"

struct cross;

struct cross *cross_new(void (*problem)(void *arg, const char *name, const char *text), void *arg);
void cross_free(struct cross *x);

/* While the chain is read; the chain must live until cross_end(). */
void cross_record(struct cross *x, const struct audit_check *k, const struct audit_record *r);
void cross_page(struct cross *x, const struct audit_check *k, const struct audit_seal *s);

/* When all have been read: k, n of them. Returns how many problems there were. */
int64_t cross_end(struct cross *x, struct audit_check *const *k, size_t n);

/* Tasks of which two chains know, and heads that were compared. */
void cross_counts(const struct cross *x, int64_t *tasks, int64_t *heads);

#endif
