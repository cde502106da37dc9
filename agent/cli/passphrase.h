/*
 * passphrase.h - asking for what protects a key: on the terminal, without showing it, or from a file.
 */
#ifndef UW_PASSPHRASE_H
#define UW_PASSPHRASE_H

#include <stdbool.h>

struct buf;
struct err;

#define PASSPHRASE_MAX 256      /* bytes */
#define PASSPHRASE_MIN 8        /* of a new one */

/* From the file, its first line; NULL: asks on the terminal, twice for a new one. ERR_INVALID when there is no
 * terminal to ask on. Wipe it with passphrase_wipe(). */
int passphrase_get(struct buf *out, const char *file, const char *prompt, bool is_new, struct err *e);
void passphrase_wipe(struct buf *b);

/* Asks a question that is answered by one of the letters in `allowed`, the first of which is what an empty line
 * means. Returns the letter; 0 when there is no terminal or it was closed. */
char ask_letter(const char *question, const char *allowed);

/* A line of text from the terminal; -1 when there is none. */
int ask_line(struct buf *out, const char *question);

#endif
