/*
 * diff.h - what is different between two texts, line by line, as a unified diff.
 *
 * Right but not always the shortest: what is different and too large to compare line by line is shown as
 * taken out and put in as a whole.
 */
#ifndef UW_DIFF_H
#define UW_DIFF_H

#include <stddef.h>

#define DIFF_MAX (1u << 20)     /* bytes of each text; more is the caller's to refuse */

/* line() gets the diff piece by piece: `mark` and then the text. It stops when that returns non-zero. Nothing comes
 * if they are equal. */
void diff_texts(const char *a, size_t alen, const char *b, size_t blen,
    int (*line)(void *arg, char mark, const char *text, size_t len), void *arg);

#endif
