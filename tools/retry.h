/*
 * retry.h - which failures of a tool are worth another try, as data: of an error its code, of what the tool itself
 * reports the number that came with it (a program's exit code, an HTTP status).
 *
 * Another try is one that the task asked for; what may be run twice at all is a matter of effects. What was asked
 * for wrongly, is not allowed or is not there ends the same way each time.
 */
#ifndef UW_RETRY_H
#define UW_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct buf;
struct tool;

#define RETRY_NUMBERS_MAX 32

struct retry_rule {
	uint32_t codes;                         /* bits of enum err_code; 0: the usual ones */
	short on[RETRY_NUMBERS_MAX];            /* worth it, ended by 0; none: all */
	short not[RETRY_NUMBERS_MAX];           /* not worth it */
};

/* number 0: none came with it. */
bool retry_is_worth(const struct tool *t, const struct err *e, int number);

/* {"errors":[...],"on":[...],"not":[...]}, the lists as far as there are any. */
void retry_put(struct buf *b, const struct tool *t);

#endif
