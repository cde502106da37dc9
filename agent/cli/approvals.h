/*
 * approvals.h - the sovereign's word on one task, asked for on the terminal.
 */
#ifndef UW_APPROVALS_H
#define UW_APPROVALS_H

#include "cmd.h"

struct known_request;

/* Shows the request as it is now, asks whether it shall be approved, or why it is denied, and signs exactly that, as
 * `uni-wizard approve` and `deny` do. The row of a has EDICT_PASSPHRASE and EDICT_WITHIN. Returns an exit code, everything is
 * printed; EXIT_OK too when the person thinks better of it. */
int approvals_ask(const struct cmd_args *a, const char *task, bool approve);

/* All of a request, on standard output; hash is the one that would be signed. */
void approvals_print(const struct known_request *r, const char *hash);

#endif
