/*
 * right.h - whether what a record tells had the sovereign's word, where it needed that.
 */
#ifndef UW_RIGHT_H
#define UW_RIGHT_H

#include "audit.h"
#include "config.h"

enum right { RIGHT_NOT_NEEDED, RIGHT_GOOD, RIGHT_UNKNOWN, RIGHT_WRONG };

/* A sovereign task that succeeded has a decision in its record, for that task and hash, in time, by a key that this
 * configuration pins. RIGHT_UNKNOWN: by another one, which may have been pinned then. RIGHT_WRONG: e says why. */
enum right right_check(const struct config *c, const struct audit_record *r, struct err *e);

#endif
