#include "nearest.h"

#include <string.h>

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
	size_t row[NEAREST_MAX + 1];

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
nearest_tryn(struct nearest *n, const char *known, size_t len)
{
	size_t nw = strlen(n->word), d;

	if (nw > NEAREST_MAX || len == 0 || len > NEAREST_MAX)
		return;
	d = edits(n->word, nw, known, len);
	/* What was only begun ("endp") is closer than its missing letters say. */
	if (nw >= 3 && nw < len && memcmp(n->word, known, nw) == 0)
		d = 1;
	if (n->best[0] && d >= n->distance)
		return;
	memcpy(n->best, known, len);
	n->best[len] = '\0';
	n->distance = d;
}

void
nearest_try(struct nearest *n, const char *known)
{
	nearest_tryn(n, known, strlen(known));
}

const char *
nearest_word(const struct nearest *n)
{
	size_t len = strlen(n->word), limit = len < 3 ? 1 : len < 8 ? 2 : 3;

	return n->best[0] && n->distance <= limit ? n->best : NULL;
}
