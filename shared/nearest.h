/*
 * nearest.h - "did you mean": the known word that is closest to a misspelt one.
 *
 * struct nearest n = { .word = "endpont" };  nearest_try(&n, "endpoint");  ...  nearest_word(&n)
 */
#ifndef UW_NEAREST_H
#define UW_NEAREST_H

#include <stddef.h>

struct nearest {
	const char *word;
	const char *best;       /* borrowed from nearest_try() */
	size_t distance;
};

void nearest_try(struct nearest *n, const char *known);

/* NULL if nothing is close enough to be worth saying. */
const char *nearest_word(const struct nearest *n);

#endif
