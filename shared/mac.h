/*
 * mac.h - HMAC-SHA256 in hexadecimal: how webhooks are signed.
 */
#ifndef UW_MAC_H
#define UW_MAC_H

#include <stdbool.h>
#include <stddef.h>

#include "digest.h"

void mac_of(const char *key, const void *p, size_t len, char hex[DIGEST_HEX]);

/* Whether hex is what mac_of() makes of it; takes as long whatever hex holds. hex may be NULL. */
bool mac_is(const char *key, const void *p, size_t len, const char *hex);

#endif
