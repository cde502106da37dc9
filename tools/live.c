#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "secret.h"

#define LINE_MAX_BYTES 512u             /* of a line of progress */
#define NO_TEXT "\xef\xbf\xbd"          /* U+FFFD, for what is no character */

void
live_begin(struct live *l, const struct config *c, int64_t now_ms)
{
	l->config = c;
	buf_clear(&l->said);
	buf_clear(&l->text);
	l->left_out = 0;
	l->tokens = LIVE_BURST;
	l->at_ms = l->begun_ms = now_ms;
	l->told_ms = 0;
	l->percent = -1;
	l->note[0] = '\0';
	l->news = false;
}

void
live_release(struct live *l)
{
	buf_free(&l->said);
	buf_free(&l->text);
}

/* ---- output ---- */

static bool
is_inside_char(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* So many bytes at the front, or some more: a character stays whole. */
static size_t
at_char(const struct buf *b, size_t n)
{
	while (n < b->len && is_inside_char(b->data[n]))
		n++;
	return n;
}

static void
cut_front(struct buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	buf_cut(b, b->len - n);
}

/* The beginning of a character of which the rest may come. */
static bool
is_begun(const char *p, size_t len)
{
	unsigned char c = (unsigned char)*p;
	size_t need = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < len; i++)
		if (!is_inside_char(p[i]))
			return false;
	return len < need;
}

/* Of these bytes; returns how many were taken. */
static size_t
put_text(struct buf *out, const char *p, size_t len, bool last)
{
	size_t at = 0, from = 0;

	while (at < len) {
		int n = p[at] ? json_utf8_len(p + at, len - at) : 0;

		if (n > 0) {
			at += (size_t)n;
			continue;
		}
		if (!last && p[at] && is_begun(p + at, len - at))
			break;
		buf_add(out, p + from, at - from);
		buf_adds(out, NO_TEXT);
		from = ++at;
	}
	buf_add(out, p + from, at - from);
	return at;
}

static void
bound(struct live *l)
{
	size_t n;

	if (l->text.len <= LIVE_KEEP + LIVE_PIECE)
		return;
	n = at_char(&l->text, l->text.len - LIVE_KEEP);
	l->left_out += n;
	cut_front(&l->text, n);
}

void
live_add(struct live *l, const char *text, size_t len)
{
	while (len) {
		size_t n = len < LIVE_KEEP ? len : LIVE_KEEP;

		buf_add(&l->said, text, n);
		cut_front(&l->said, put_text(&l->text, l->said.data, secret_mask_stream(l->config, &l->said), false));
		bound(l);
		text += n;
		len -= n;
	}
}

void
live_end(struct live *l)
{
	if (!l->said.len)
		return;
	put_text(&l->text, l->said.data, l->said.len, true);
	buf_clear(&l->said);
	bound(l);
}

/* A line of its own where something is missing. */
static void
tell_left_out(struct live *l)
{
	struct buf b = { 0 };

	buf_addf(&b, "\n[%zu bytes of output left out]\n", l->left_out);
	buf_add(&b, l->text.data, l->text.len);
	buf_free(&l->text);
	l->text = b;
	l->left_out = 0;
}

size_t
live_peek(struct live *l, int64_t now_ms, bool last, const char **text)
{
	size_t n;

	l->tokens += (now_ms - l->at_ms) * LIVE_RATE / 1000;
	if (l->tokens > LIVE_BURST)
		l->tokens = LIVE_BURST;
	l->at_ms = now_ms;
	n = l->text.len < LIVE_PIECE ? l->text.len : LIVE_PIECE;
	if (!n || (!last && l->tokens < (int64_t)n))
		return 0;
	if (l->left_out)
		tell_left_out(l);
	n = l->text.len < LIVE_PIECE ? l->text.len : LIVE_PIECE;
	while (n < l->text.len && is_inside_char(l->text.data[n]))
		n--;
	*text = l->text.data;
	return n;
}

void
live_drop(struct live *l, size_t len)
{
	l->tokens -= (int64_t)len;
	cut_front(&l->text, len);
}

/* ---- progress ---- */

void
live_progress(struct live *l, int percent, const char *note)
{
	struct buf raw = { 0 }, b = { 0 };
	size_t n;

	buf_adds(&raw, note ? note : "");
	secret_mask(l->config, &raw);
	put_text(&b, buf_str(&raw), raw.len, true);
	n = b.len;
	if (n > LIVE_NOTE)
		for (n = LIVE_NOTE; is_inside_char(b.data[n]); n--)
			continue;
	for (size_t i = 0; i < n; i++)
		l->note[i] = (unsigned char)b.data[i] < ' ' || b.data[i] == 0x7f ? ' ' : b.data[i];
	l->note[n] = '\0';
	l->percent = percent < 0 ? -1 : percent > 100 ? 100 : percent;
	l->news = true;
	buf_free(&raw);
	buf_free(&b);
}

bool
live_has_news(struct live *l, int64_t now_ms)
{
	if (!l->news || now_ms - l->begun_ms < LIVE_QUIET_MS || (l->told_ms && now_ms - l->told_ms < LIVE_TELL_MS))
		return false;
	l->told_ms = now_ms;
	l->news = false;
	return true;
}

/* ---- progress as lines of output ---- */

static void
tell_line(struct live_lines *l)
{
	const char *p = buf_str(&l->line) + strlen(l->word);
	double n;
	char *end;

	p += strspn(p, " \t:");
	n = strtod(p, &end);
	if (end == p || !(n >= 0 && n <= 100) || !strchr("% \t", *end)) {
		l->progress(l->arg, -1, p);
		return;
	}
	p = end + strspn(end, "% \t");
	l->progress(l->arg, (int)n, p);
}

static bool
may_be_word(const struct live_lines *l)
{
	size_t n = strlen(l->word);

	return strncmp(l->line.data, l->word, l->line.len < n ? l->line.len : n) == 0;
}

static bool
is_progress(const struct live_lines *l)
{
	return l->line.len >= strlen(l->word) && may_be_word(l);
}

static void
give_back(struct live_lines *l)
{
	if (l->line.len)
		l->text(l->arg, l->line.data, l->line.len);
	buf_clear(&l->line);
}

/* A byte of a line's beginning. */
static void
add_byte(struct live_lines *l, char c)
{
	bool ends = c == '\n' || c == '\r';

	if (ends && l->line.len && is_progress(l)) {
		tell_line(l);
		buf_clear(&l->line);
		return;
	}
	if (l->line.len < LINE_MAX_BYTES || ends)
		buf_addc(&l->line, c);
	if (ends || !c || !may_be_word(l)) {
		l->inside = !ends;
		if (ends)
			give_back(l);
	}
}

void
live_lines_add(struct live_lines *l, const char *text, size_t len)
{
	const char *end = text + len;

	if (!len)
		l->text(l->arg, text, 0);
	while (text < end) {
		const char *p = text;

		if (!l->inside) {
			add_byte(l, *text++);
			continue;
		}
		while (p < end && *p != '\n' && *p != '\r')
			p++;
		l->inside = p == end;
		p += p < end;
		/* With its beginning in one piece, lest half a line is told long before the other half. */
		if (l->line.len) {
			buf_add(&l->line, text, (size_t)(p - text));
			give_back(l);
		} else {
			l->text(l->arg, text, (size_t)(p - text));
		}
		text = p;
	}
	if (l->inside)
		give_back(l);
}

void
live_lines_end(struct live_lines *l)
{
	if (l->line.len && is_progress(l))
		tell_line(l);
	else
		give_back(l);
	buf_free(&l->line);
}
