#include "roff.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "buf.h"

#define LINE_MAX_BYTES 76               /* of source; mandoc -T lint asks for 80 */
#define TERM_MAX 12

static void
add_byte(struct buf *out, char c, bool literal)
{
	static const struct {
		char c;
		bool in_prose;          /* elsewhere it may be set as typesetters like it */
		const char *escape;
	} escapes[] = {
		{ '\\', true, "\\e" }, { '-', false, "\\-" }, { '\'', false, "\\(aq" }, { '`', true, "\\(ga" },
		{ '^', true, "\\(ha" }, { '~', true, "\\(ti" }, { '"', true, "\\(dq" },
	};

	for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
		if (escapes[i].c == c && (literal || escapes[i].in_prose)) {
			buf_adds(out, escapes[i].escape);
			return;
		}
	buf_addc(out, c);
}

/* A period or an apostrophe that begins a line would be a macro. */
static void
guard(struct buf *out, char first)
{
	bool begins = out->len == 0 || out->data[out->len - 1] == '\n';

	if (begins && (first == '.' || first == '\''))
		buf_adds(out, "\\&");
}

void
roff_literal(struct buf *out, const char *s)
{
	guard(out, *s);
	for (; *s; s++)
		add_byte(out, *s, true);
}

static size_t
option_length(const char *s)
{
	size_t n = strspn(s, "-");

	if (n < 1 || n > 2 || !isalpha((unsigned char)s[n]))
		return 0;
	while (isalnum((unsigned char)s[n]) || (s[n] == '-' && isalnum((unsigned char)s[n + 1])))
		n++;
	return n;
}

static void
add_in_font(struct buf *out, char font, const char *s, size_t n)
{
	buf_addf(out, "\\f%c", font);
	for (size_t i = 0; i < n; i++)
		add_byte(out, s[i], true);
	buf_adds(out, "\\fP");
}

void
roff_args(struct buf *out, const char *args)
{
	while (*args) {
		size_t n = strspn(args, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), option = option_length(args);

		if (n) {
			add_in_font(out, 'I', args, n);
		} else if ((n = option)) {
			add_in_font(out, 'B', args, n);
		} else {
			add_byte(out, *args, true);
			n = 1;
		}
		args += n;
	}
}

/* What goes on: the column, and whether `code` does. */
struct fill {
	struct buf *out;
	size_t column;
	bool code;
};

static void
word_part(struct buf *out, bool code, const char *s, size_t n)
{
	size_t bold = code ? n : option_length(s);

	if (bold && bold <= n)
		add_in_font(out, 'B', s, bold);
	else
		bold = 0;
	for (size_t i = bold; i < n; i++)
		add_byte(out, s[i], false);
}

/* A word of n bytes, with fonts; opening brackets do not hide an option. */
static void
word_text(struct fill *f, struct buf *word, const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t part = strcspn(s + i, "`");

		if (part > n - i)
			part = n - i;
		if (!f->code && part > 1 && (s[i] == '(' || s[i] == '[')) {
			add_byte(word, s[i++], false);
			part--;
		}
		word_part(word, f->code, s + i, part);
		i += part;
		if (i < n) {
			f->code = !f->code;
			i++;
		}
	}
}

static bool
ends_sentence(const char *s, size_t n)
{
	while (n && strchr(")\"'`", s[n - 1]))
		n--;
	return n && strchr(".!?", s[n - 1]);
}

/* [text](where) of Markdown: the text, for there is nothing to click on. */
static const char *
without_link(const char *s, size_t *n)
{
	const char *middle = *s == '[' ? strstr(s, "](") : NULL;

	if (!middle || middle >= s + *n)
		return s;
	*n = (size_t)(middle - s) - 1;
	return s + 1;
}

static void
fill_word(struct fill *f, const char *s, size_t n)
{
	struct buf word = { 0 };

	s = without_link(s, &n);
	/* Names and paths are not to be hyphenated. */
	if (f->code || memchr(s, '`', n) || memchr(s, '/', n) || memchr(s, '_', n))
		buf_adds(&word, "\\%");
	word_text(f, &word, s, n);
	if (f->column && f->column + 1 + word.len > LINE_MAX_BYTES) {
		buf_addc(f->out, '\n');
		f->column = 0;
	} else if (f->column) {
		buf_addc(f->out, ' ');
		f->column++;
	}
	guard(f->out, *buf_str(&word));
	buf_adds(f->out, buf_str(&word));
	f->column += word.len;
	/* A new sentence begins a new line: it is parted from the last one as it should be. */
	if (ends_sentence(s, n)) {
		buf_addc(f->out, '\n');
		f->column = 0;
	}
	buf_free(&word);
}

static void
fill_text(struct buf *out, const char *s, size_t len)
{
	struct fill f = { .out = out };

	for (size_t i = 0, n; i < len; i += n) {
		i += strspn(s + i, " \n");
		n = strcspn(s + i, " \n");
		if (i < len && n)
			fill_word(&f, s + i, n < len - i ? n : len - i);
	}
	if (f.column)
		buf_addc(out, '\n');
}

/* "TERM  what it is": the length of the term. */
static size_t
term_length(const char *line)
{
	const char *gap = strstr(line, "  "), *end = strchr(line, '\n');
	size_t n = gap && (!end || gap < end) ? (size_t)(gap - line) : 0;

	return n <= TERM_MAX ? n : 0;
}

/* Of the lines at s those that begin with a space, each ended by a newline or the end of the text. */
static size_t
indented_length(const char *s)
{
	size_t len = 0;

	while (s[len] == ' ') {
		len += strcspn(s + len, "\n");
		len += s[len] == '\n';
	}
	return len;
}

static void
indented(struct buf *out, const char *s, size_t len)
{
	bool list = term_length(s + strspn(s, " ")) > 0;
	const char *end = s + len;

	buf_adds(out, list ? ".RS 4\n" : ".RS 4\n.EX\n");
	while (s < end) {
		size_t n = strcspn(s, "\n"), blanks = strspn(s, " "), skip = list || blanks < 2 ? blanks : 2;
		size_t term = list ? term_length(s + skip) : 0;
		char *line;

		if (term) {
			buf_adds(out, ".TP 10\n");
			add_in_font(out, 'B', s + skip, term);
			buf_addc(out, '\n');
			skip += term;
		}
		line = xstrndup(s + skip, n - skip);
		if (list) {
			fill_text(out, line, strlen(line));
		} else {
			roff_literal(out, line);
			buf_addc(out, '\n');
		}
		free(line);
		s += n + (s[n] == '\n');
	}
	buf_adds(out, list ? ".RE\n" : ".EE\n.RE\n");
}

/* Of a paragraph: up to a line that begins with a space, an empty line, or the end. */
static size_t
prose_length(const char *s)
{
	size_t len = 0;

	while (s[len] && s[len] != ' ' && s[len] != '\n') {
		len += strcspn(s + len, "\n");
		len += s[len] == '\n';
	}
	return len;
}

void
roff_text(struct buf *out, const char *text)
{
	for (bool first = true; *text; first = false) {
		size_t n = prose_length(text);

		if (!first && *text != '\n')
			buf_adds(out, ".PP\n");
		if (n) {
			fill_text(out, text, n);
		} else if (*text == ' ') {
			n = indented_length(text);
			indented(out, text, n);
		} else {
			n = strspn(text, "\n");
		}
		text += n;
	}
}
