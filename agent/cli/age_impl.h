/* age_impl.h - what writer and reader of age.h have in common: only for age*.c. */
#ifndef UW_AGE_IMPL_H
#define UW_AGE_IMPL_H

#include "age.h"

#define AGE_FILE_KEY 16
#define AGE_NONCE 16
#define AGE_SALT 16
#define AGE_TAG 16
#define AGE_PIECE 65536
#define AGE_WRAPPED (AGE_FILE_KEY + AGE_TAG)
#define AGE_MAC 32

struct evp_cipher_ctx_st;

/* Seals or opens (seal false: out has len - AGE_TAG bytes) under key and nonce. False: it does not fit the key. */
bool age_box(struct evp_cipher_ctx_st *ctx, bool seal, const unsigned char key[AGE_KEY], const unsigned char nonce[12],
    const unsigned char *in, size_t len, unsigned char *out);

bool age_hkdf(const void *secret, size_t len, const void *salt, size_t salt_len, const char *info, unsigned char out[AGE_KEY]);
bool age_mac(const unsigned char file_key[AGE_FILE_KEY], const char *header, size_t len, unsigned char out[AGE_MAC]);

/* The key that wraps the file's. share: the public half that stands in the header, to: the recipient's. */
bool age_wrap_key_of(const unsigned char secret[AGE_KEY], const unsigned char other[AGE_KEY], const unsigned char share[AGE_KEY],
    const unsigned char to[AGE_KEY], unsigned char out[AGE_KEY]);
bool age_scrypt(const char *passphrase, const unsigned char salt[AGE_SALT], int log_n, unsigned char out[AGE_KEY]);

void age_nonce(unsigned char nonce[12], uint64_t piece, bool last);

struct buf;
/* Without "=" at the end. */
void age_put_base64(struct buf *b, const void *p, size_t len);
int age_get_base64(void *out, size_t size, const char *text, size_t len);

#endif
