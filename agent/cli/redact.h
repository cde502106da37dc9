/*
 * redact.h - takes secrets out of text that leaves this host: the values that houses.yaml knows, as they are and as
 * JSON writes them, and whatever looks like a private key.
 */
#ifndef UW_REDACT_H
#define UW_REDACT_H

#include <stddef.h>

struct buf;
struct config;

#define REDACTED "[redacted]"

/* Appends text without them. Returns how many were taken out. c NULL: private keys alone. */
int redact(const struct config *c, const char *text, size_t len, struct buf *out);

#endif
