/*
 * nearest.h - "did you mean": the known word that is closest to a misspelt one.
 *
 * struct nearest n = { .word = "endpont" };  nearest_try(&n, "endpoint");  ...  nearest_word(&n)
 */
#ifndef UW_NEAREST_H
#define UW_NEAREST_H

#include <stddef.h>

#define NEAREST_MAX 64          /* longer words are near to nothing */

struct nearest {
	const char *word;
	char best[NEAREST_MAX + 1];     /* empty: none yet */
	size_t distance;
};

void nearest_try(struct nearest *n, const char *known);
void nearest_tryn(struct nearest *n, const char *known, size_t len);

/* NULL if nothing is close enough to be worth saying. */
const char *nearest_word(const struct nearest *n);

#endif
