#include "page.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define PUT_MAX 4096                    /* bytes of one piece */

void
page_clear(struct page *p)
{
	buf_clear(&p->text);
	p->nspans = p->nlines = 0;
}

void
page_release(struct page *p)
{
	buf_free(&p->text);
	free(p->spans);
	free(p->lines);
	*p = (struct page){ 0 };
}

bool
page_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* One character: how many bytes and columns it has. columns 0: not to be shown. */
static size_t
next_char(const char *text, size_t len, int *cols)
{
	unsigned char c = (unsigned char)*text;
	mbstate_t state = { 0 };
	wchar_t w;
	size_t n;

	*cols = c >= ' ' && c < 0x7f;
	if (c < 0x80)
		return 1;
	for (n = 1; n < len && n < 4 && ((unsigned char)text[n] & 0xc0) == 0x80; n++)
		;
	if (page_is_utf8() && mbrtowc(&w, text, len, &state) == n)
		*cols = wcwidth(w) > 0 ? wcwidth(w) : 0;
	return n;
}

size_t
page_fit(const char *text, size_t len, int max, int *cols)
{
	size_t at = 0;

	*cols = 0;
	while (at < len) {
		int wide;
		size_t n = next_char(text + at, len - at, &wide);

		if (*cols + wide > max)
			break;
		*cols += wide;
		at += n;
	}
	return at;
}

/* Without what must not reach a terminal. */
static void
clean(struct buf *out, const char *text, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		int cols;

		n = next_char(text + at, len - at, &cols);
		if (cols)
			buf_add(out, text + at, n);
		else
			buf_addc(out, strchr("\n\t\r", text[at]) ? ' ' : '?');
	}
}

void
page_line(struct page *p, const char *key)
{
	struct page_line *l;

	if (p->nlines == p->lines_cap) {
		p->lines_cap = p->lines_cap ? 2 * p->lines_cap : 64;
		p->lines = xrealloc(p->lines, p->lines_cap * sizeof *p->lines);
	}
	l = &p->lines[p->nlines++];
	*l = (struct page_line){ .first = p->nspans };
	snprintf(l->key, sizeof l->key, "%s", key ? key : "");
}

static void
add_span(struct page *p, enum style s, const char *text, size_t len, int cols)
{
	struct page_line *l = &p->lines[p->nlines - 1];

	if (p->nspans == p->spans_cap) {
		p->spans_cap = p->spans_cap ? 2 * p->spans_cap : 256;
		p->spans = xrealloc(p->spans, p->spans_cap * sizeof *p->spans);
	}
	p->spans[p->nspans++] = (struct page_span){ .style = s, .off = p->text.len, .len = len };
	buf_add(&p->text, text, len);
	l->n++;
	l->cols += cols;
}

/* At most so many columns, with a mark where it was cut. */
static void
add_cut(struct page *p, enum style s, const char *text, size_t len, int max)
{
	int cols, all;

	if (max <= 0)
		return;
	if (page_fit(text, len, max, &all) == len) {
		add_span(p, s, text, len, all);
		return;
	}
	len = page_fit(text, len, max - 1, &cols);
	add_span(p, s, text, len, cols);
	add_span(p, s, page_is_utf8() ? "\xe2\x80\xa6" : "~", page_is_utf8() ? 3 : 1, 1);
}

static int
room(const struct page *p)
{
	return p->width ? p->width - p->lines[p->nlines - 1].cols : INT32_MAX;
}

static void
blanks(struct page *p, enum style s, int n)
{
	static const char some[] = "                                ";

	for (n = n < room(p) ? n : room(p); n > 0; n -= (int)sizeof some - 1)
		add_span(p, s, some, n < (int)sizeof some ? (size_t)n : sizeof some - 1, n < (int)sizeof some ? n : (int)sizeof some - 1);
}

void
page_fill(struct page *p, enum style s)
{
	blanks(p, s, p->width ? room(p) : 0);
}

static void
format(struct buf *out, const char *fmt, va_list ap)
{
	char text[PUT_MAX];

	vsnprintf(text, sizeof text, fmt, ap);
	clean(out, text, strlen(text));
}

void
page_put(struct page *p, enum style s, const char *fmt, ...)
{
	struct buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	format(&b, fmt, ap);
	va_end(ap);
	add_cut(p, s, buf_str(&b), b.len, room(p));
	buf_free(&b);
}

void
page_cell(struct page *p, enum style s, int cols, const char *fmt, ...)
{
	int wanted = abs(cols), used;
	struct buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	format(&b, fmt, ap);
	va_end(ap);
	page_fit(buf_str(&b), b.len, wanted, &used);
	if (cols < 0)
		blanks(p, STYLE_PLAIN, wanted - used);
	add_cut(p, s, buf_str(&b), b.len, wanted < room(p) ? wanted : room(p));
	blanks(p, s == STYLE_BAR || s == STYLE_ALARM ? s : STYLE_PLAIN, cols < 0 ? 2 : wanted - used + 2);
	buf_free(&b);
}

/* Back to the last blank of a line that goes on, unless that leaves it short. */
static size_t
at_word(const char *text, size_t n)
{
	for (size_t i = n; i > n / 2; i--)
		if (text[i - 1] == ' ')
			return i;
	return n;
}

static void
fold(struct page *p, enum style s, const char *indent, const char *text, size_t len)
{
	int max = p->width ? p->width - (int)strlen(indent) : INT32_MAX, cols;
	struct buf b = { 0 };
	size_t at = 0;

	clean(&b, text, len);
	do {
		size_t n = page_fit(buf_str(&b) + at, b.len - at, max > 1 ? max : 2, &cols);

		if (at + n < b.len) {
			n = at_word(b.data + at, n);
			page_fit(b.data + at, n, max, &cols);
		}
		page_line(p, NULL);
		page_put(p, STYLE_PLAIN, "%s", indent);
		add_span(p, s, buf_str(&b) + at, n, cols);
		at += n;
	} while (at < b.len);
	buf_free(&b);
}

void
page_text(struct page *p, enum style s, const char *indent, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		fold(p, s, indent, text, n);
		text += n + (text[n] == '\n');
	}
}

void
page_print(const struct page *p, FILE *f)
{
	for (size_t i = 0; i < p->nlines; i++) {
		const struct page_line *l = &p->lines[i];
		struct buf b = { 0 };

		for (size_t j = 0; j < l->n; j++)
			buf_add(&b, p->text.data + p->spans[l->first + j].off, p->spans[l->first + j].len);
		while (b.len && b.data[b.len - 1] == ' ')
			buf_cut(&b, b.len - 1);
		fprintf(f, "%s\n", buf_str(&b));
		buf_free(&b);
	}
}
