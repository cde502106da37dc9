#include "diff.h"

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

#define CONTEXT 3
#define MAX_CELLS (4u << 20)    /* of the table for what is neither beginning nor end in common */
#define MAX_SIDE 65535u

struct line {
	const char *p;
	size_t len;             /* with its '\n', which the last one may lack */
};

struct lines {
	struct line *v;
	size_t n;
};

struct diff {
	struct lines a, b;
	size_t head, tail;      /* lines in common at the beginning and at the end */
	char *script;           /* ' ', '-' and '+' for each line of the result */
	size_t n;
};

static struct lines
split(const char *p, size_t len)
{
	struct lines ls = { .v = NULL };
	size_t cap = 0;

	while (len) {
		const char *nl = memchr(p, '\n', len);
		size_t n = nl ? (size_t)(nl - p) + 1 : len;

		if (ls.n == cap)
			ls.v = xrealloc(ls.v, (cap = cap ? 2 * cap : 64) * sizeof *ls.v);
		ls.v[ls.n++] = (struct line){ p, n };
		p += n;
		len -= n;
	}
	return ls;
}

static bool
same(const struct line *a, const struct line *b)
{
	return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

static void
find_ends(struct diff *d)
{
	size_t n = d->a.n < d->b.n ? d->a.n : d->b.n;

	while (d->head < n && same(&d->a.v[d->head], &d->b.v[d->head]))
		d->head++;
	while (d->tail < n - d->head && same(&d->a.v[d->a.n - 1 - d->tail], &d->b.v[d->b.n - 1 - d->tail]))
		d->tail++;
}

static void
put(struct diff *d, char mark, size_t times)
{
	memset(d->script + d->n, mark, times);
	d->n += times;
}

/* cell[i][j] is how many lines a[i..] and b[j..] have in common, in order. */
static void
compare_middle(struct diff *d, size_t an, size_t bn)
{
	const struct line *a = d->a.n ? d->a.v + d->head : NULL, *b = d->b.n ? d->b.v + d->head : NULL;
	uint16_t *cells = xcalloc((an + 1) * (bn + 1), sizeof *cells);
	size_t w = bn + 1, i, j;

	for (i = an; i-- > 0;)
		for (j = bn; j-- > 0;) {
			uint16_t down = cells[(i + 1) * w + j], right = cells[i * w + j + 1];

			if (same(&a[i], &b[j]))
				cells[i * w + j] = (uint16_t)(cells[(i + 1) * w + j + 1] + 1);
			else
				cells[i * w + j] = down > right ? down : right;
		}
	for (i = j = 0; i < an || j < bn;) {
		if (i < an && j < bn && same(&a[i], &b[j])) {
			put(d, ' ', 1);
			i++, j++;
		} else if (j == bn || (i < an && cells[(i + 1) * w + j] >= cells[i * w + j + 1])) {
			put(d, '-', 1);
			i++;
		} else {
			put(d, '+', 1);
			j++;
		}
	}
	free(cells);
}

static void
make_script(struct diff *d)
{
	size_t an, bn;

	find_ends(d);
	an = d->a.n - d->head - d->tail;
	bn = d->b.n - d->head - d->tail;
	d->script = xmalloc(d->a.n + d->b.n + 1);
	put(d, ' ', d->head);
	if (an <= MAX_SIDE && bn <= MAX_SIDE && (an + 1) * (bn + 1) <= MAX_CELLS) {
		compare_middle(d, an, bn);
	} else {
		put(d, '-', an);
		put(d, '+', bn);
	}
	put(d, ' ', d->tail);
}

/* Where in the script, and in both texts, we are. */
struct at {
	size_t i, a, b;
};

static void
advance(struct at *at, char mark)
{
	at->i++;
	at->a += mark != '+';
	at->b += mark != '-';
}

/* A hunk ends where more than twice the context is unchanged. */
static size_t
hunk_end(const struct diff *d, size_t i)
{
	size_t end = i, quiet = 0;

	for (; i < d->n && quiet <= 2 * CONTEXT; i++) {
		quiet = d->script[i] == ' ' ? quiet + 1 : 0;
		if (!quiet)
			end = i + 1;
	}
	return end + CONTEXT < d->n ? end + CONTEXT : d->n;
}

static int
put_header(const struct diff *d, const struct at *at, size_t end,
    int (*line)(void *arg, char mark, const char *text, size_t len), void *arg)
{
	struct at to = *at;
	char text[128];
	int n;

	while (to.i < end)
		advance(&to, d->script[to.i]);
	n = snprintf(text, sizeof text, "@ -%zu,%zu +%zu,%zu @@\n", at->a + (to.a > at->a), to.a - at->a,
	    at->b + (to.b > at->b), to.b - at->b);
	return line(arg, '@', text, (size_t)n);
}

static const char no_end[] = "\\ no line end at the end of the file\n";

static int
put_hunk(const struct diff *d, struct at *at, size_t end,
    int (*line)(void *arg, char mark, const char *text, size_t len), void *arg)
{
	int rc = put_header(d, at, end, line, arg);

	while (rc == 0 && at->i < end) {
		char mark = d->script[at->i];
		const struct line *l = mark == '+' ? &d->b.v[at->b] : &d->a.v[at->a];

		rc = line(arg, mark, l->p, l->len);
		if (rc == 0 && l->p[l->len - 1] != '\n')
			rc = line(arg, '\n', no_end, sizeof no_end - 1);
		advance(at, mark);
	}
	return rc;
}

void
diff_texts(const char *a, size_t alen, const char *b, size_t blen,
    int (*line)(void *arg, char mark, const char *text, size_t len), void *arg)
{
	struct diff d = { .a = split(a, alen), .b = split(b, blen) };
	struct at at = { 0 };
	size_t change;

	make_script(&d);
	for (;;) {
		for (change = at.i; change < d.n && d.script[change] == ' ';)
			change++;
		if (change == d.n)
			break;
		while (at.i + CONTEXT < change)
			advance(&at, ' ');
		if (put_hunk(&d, &at, hunk_end(&d, change), line, arg))
			break;
	}
	free(d.script);
	free(d.a.v);
	free(d.b.v);
}
