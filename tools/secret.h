/*
 * secret.h - configured secrets: found by name for those who send them, masked in whatever comes back.
 */
#ifndef UW_SECRET_H
#define UW_SECRET_H

#include <stddef.h>

#define SECRET_MASK_MIN 6

struct buf;
struct config;
struct config_secret;
struct err;
struct tool_run;

/* The secret that the parameter names: NULL with e->code ERR_NONE when the parameter is absent, or NULL with
 * an error that names the parameter. */
const struct config_secret *secret_param(const struct tool_run *r, const char *param, struct err *e);

/* Every value of a configured secret, and every token of a house, becomes "[secret NAME]": servers echo what they
 * were sent, and programs are given secrets on their command lines. Values shorter than SECRET_MASK_MIN
 * stay: they would mask ordinary words. */
void secret_mask(const struct config *c, struct buf *b);

/* The same in all texts of a JSON value, however they are escaped. */
void secret_mask_json(const struct config *c, struct buf *b);

/* The same in a stream, of which parts come one by one: what may be the beginning of a secret stays in b. The length
 * of what may go out is returned; the caller cuts it off the front. */
size_t secret_mask_stream(const struct config *c, struct buf *b);

#endif
