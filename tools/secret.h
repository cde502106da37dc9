/*
 * secret.h - configured secrets: found by name for those who send them, masked in whatever comes back.
 */
#ifndef UW_SECRET_H
#define UW_SECRET_H

#include <stddef.h>

struct buf;
struct config;
struct config_secret;
struct err;
struct tool_run;

/* The secret that the parameter names: NULL with e->code ERR_NONE when the parameter is absent, or NULL with
 * an error that names the parameter. */
const struct config_secret *secret_param(const struct tool_run *r, const char *param, struct err *e);

/* Every value of a configured secret becomes "[secret NAME]": servers echo what they were sent, and
 * programs are given secrets on their command lines. */
void secret_mask(const struct config *c, struct buf *b);

#endif
