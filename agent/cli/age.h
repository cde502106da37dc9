/*
 * age.h - encrypted files in the format of age, version 1 (https://age-encryption.org/v1), so that age and rage open
 * them too: for a passphrase (scrypt), or for public keys (X25519), of which the secret ones are needed to read.
 *
 * The content goes in pieces of 64 KiB, each sealed by ChaCha20-Poly1305 under a key of this file alone; a piece's nonce
 * is its number and whether it is the last. So nothing is given out that was not checked, in bounded memory, and a file
 * that was cut, changed or put together anew is found.
 */
#ifndef UW_AGE_H
#define UW_AGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "age_key.h"
#include "bytes.h"

#define AGE_MAGIC "age-encryption.org/v1\n"
#define AGE_SCRYPT_LOG_N 17             /* 128 MiB and some tenths of a second */
#define AGE_SCRYPT_LOG_N_MAX 20         /* that is read: 1 GiB */
#define AGE_HEADER_MAX 16384

struct age_writer;
struct age_reader;

/* One of the two; borrowed for the call. */
struct age_for {
	const char *passphrase;
	const struct age_keys *keys;    /* to write: public ones; to read: secret ones */
};

/* The header goes out at once. */
int age_writer_new(struct age_writer **out, const struct age_for *to, struct sink to_file, struct err *e);
int age_write(void *writer, const void *p, size_t len, struct err *e);         /* as struct sink has it */
int age_writer_end(struct age_writer *w, struct err *e);                        /* the last piece */
void age_writer_free(struct age_writer *w);

/* Reads the header. ERR_DENIED: it is not for this passphrase or these keys. ERR_PARSE: it is none, or damaged. */
int age_reader_new(struct age_reader **out, const struct age_for *by, struct source from, struct err *e);
ssize_t age_read(void *reader, void *p, size_t max, struct err *e);             /* as struct source has it */
void age_reader_free(struct age_reader *r);

#endif
