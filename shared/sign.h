/*
 * sign.h - Ed25519 keys and signatures (RFC 8032), through OpenSSL.
 *
 * A public key is 32 bytes and, as text, "ed25519:<base64>"; its id is the beginning of its SHA-256. A private
 * key lies on disk as PEM (PKCS#8), with a passphrase or plain, and only its owner may be able to read it.
 * Signing needs no random source: the same key and bytes give the same signature.
 */
#ifndef UW_SIGN_H
#define UW_SIGN_H

#include <stdbool.h>
#include <stddef.h>

struct err;

#define SIGN_KEY_SIZE 32
#define SIGN_SIZE 64
#define SIGN_ID 17              /* 16 hexadecimal digits and the NUL */
#define SIGN_TEXT 53            /* "ed25519:", 44 characters of base64 and the NUL */

struct sign_public {
	unsigned char bytes[SIGN_KEY_SIZE];
	char id[SIGN_ID];
};

int sign_public_parse(struct sign_public *out, const char *text, struct err *e);
void sign_public_format(const struct sign_public *p, char out[SIGN_TEXT]);
bool sign_public_equal(const struct sign_public *a, const struct sign_public *b);

struct sign_key;                /* a private key; wiped when it is freed */

/* From the system's random source. Never NULL. */
struct sign_key *sign_key_new(void);
struct sign_key *sign_key_from_seed(const unsigned char seed[SIGN_KEY_SIZE]);
void sign_key_free(struct sign_key *k);
const struct sign_public *sign_key_public(const struct sign_key *k);

/* Writes a file of mode 0600 that must not be there yet (ERR_CONFLICT). passphrase NULL: plain. */
int sign_key_save(const struct sign_key *k, const char *path, const char *passphrase, struct err *e);

/* NULL with ERR_NOT_FOUND if there is none; ERR_DENIED if others can read it, the passphrase is wrong, or one is
 * needed and passphrase is NULL. */
struct sign_key *sign_key_load(const char *path, const char *passphrase, struct err *e);

/* Whether the file holds a key that needs a passphrase; false too if it cannot be read. */
bool sign_key_is_locked(const char *path);

void sign_make(const struct sign_key *k, const void *p, size_t len, unsigned char out[SIGN_SIZE]);
bool sign_check(const struct sign_public *by, const void *p, size_t len, const unsigned char signature[SIGN_SIZE]);

#endif
