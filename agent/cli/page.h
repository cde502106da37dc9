/*
 * page.h - lines of text with a style here and there: what a full-screen command shows, and prints where there is no screen.
 *
 * What comes from outside is made harmless on its way in: what would drive a terminal, turn text or not be printable in
 * this locale is shown as '?'. Columns are counted as a terminal does.
 */
#ifndef UW_PAGE_H
#define UW_PAGE_H

#include <stdbool.h>
#include <stdio.h>

#include "buf.h"

enum style { STYLE_PLAIN, STYLE_DIM, STYLE_BOLD, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_BAR, STYLE_ALARM, NSTYLES };

#define PAGE_KEY_MAX 128

struct page_span {
	enum style style;
	size_t off, len;
};

struct page_line {
	size_t first, n;                /* spans */
	int cols;
	char key[PAGE_KEY_MAX];         /* what stands there, for whoever chooses it; "": nothing to choose */
};

struct page {
	int width;                      /* columns; 0: no end */
	struct buf text;
	struct page_span *spans;
	struct page_line *lines;
	size_t nspans, nlines, spans_cap, lines_cap;
};

void page_clear(struct page *p);        /* keeps memory and width */
void page_release(struct page *p);

/* Begins a line. */
void page_line(struct page *p, const char *key);
/* Adds to the last line. A line's end in the text is shown as a blank. */
void page_put(struct page *p, enum style s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same in so many columns, cut or filled up, and a gap of two after it; negative: set to the right. */
void page_cell(struct page *p, enum style s, int cols, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Blanks up to the width. */
void page_fill(struct page *p, enum style s);
/* Text of many lines, each line by itself and folded at the width. */
void page_text(struct page *p, enum style s, const char *indent, const char *text);

/* Whether characters beyond ASCII may be shown. Asks the locale, which setlocale() must have set. */
bool page_is_utf8(void);
/* Bytes of text that fit into so many columns; *cols is how many they take. */
size_t page_fit(const char *text, size_t len, int max, int *cols);

void page_print(const struct page *p, FILE *f);

#endif
