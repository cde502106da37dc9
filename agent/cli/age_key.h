/*
 * age_key.h - keys of age (https://age-encryption.org/v1): the public one is text that begins with "age1", the secret
 * one with "AGE-SECRET-KEY-1", both in Bech32.
 */
#ifndef UW_AGE_KEY_H
#define UW_AGE_KEY_H

#include <stddef.h>

struct buf;
struct err;

#define AGE_KEY 32              /* bytes */
#define AGE_KEYS_MAX 8          /* of one file */
#define AGE_TEXT 80             /* of either, and the NUL */

struct age_keys {
	unsigned char key[AGE_KEYS_MAX][AGE_KEY];
	size_t n;
};

int age_key_make(unsigned char secret[AGE_KEY], struct err *e);
int age_key_public(const unsigned char secret[AGE_KEY], unsigned char out[AGE_KEY], struct err *e);

void age_key_format(const unsigned char key[AGE_KEY], char out[AGE_TEXT]);              /* of the public one */
void age_key_format_secret(const unsigned char key[AGE_KEY], char out[AGE_TEXT]);
int age_key_parse(const char *text, unsigned char out[AGE_KEY], struct err *e);
int age_key_parse_secret(const char *text, unsigned char out[AGE_KEY], struct err *e);

/* Public ones: one as text, or a file of them, a line each; "#" begins a comment. */
int age_key_recipients(const char *text, struct age_keys *out, struct err *e);

/* Secret ones of a file as age-keygen writes it, that nobody else can read. Wipe them. */
int age_key_identities(const char *path, struct age_keys *out, struct err *e);

#endif
