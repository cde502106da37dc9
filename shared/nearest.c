#include "nearest.h"

#include <string.h>

#define WORD_MAX 64

static size_t
least(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits (insert, drop, change) that turn a into b. */
static size_t
edits(const char *a, size_t na, const char *b, size_t nb)
{
	size_t row[WORD_MAX + 1];

	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t change = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			row[j] = least(change, row[j] + 1, row[j - 1] + 1);
		}
	}
	return row[nb];
}

void
nearest_try(struct nearest *n, const char *known)
{
	size_t nw = strlen(n->word), nk = strlen(known), d;

	if (nw > WORD_MAX || nk > WORD_MAX)
		return;
	d = edits(n->word, nw, known, nk);
	/* What was only begun ("endp") is closer than its missing letters say. */
	if (nw >= 3 && d == nk - nw && strncmp(n->word, known, nw) == 0)
		d = 1;
	if (!n->best || d < n->distance) {
		n->best = known;
		n->distance = d;
	}
}

const char *
nearest_word(const struct nearest *n)
{
	size_t len = strlen(n->word), limit = len < 3 ? 1 : len < 8 ? 2 : 3;

	return n->best && n->distance <= limit ? n->best : NULL;
}
