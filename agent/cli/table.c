#include "cmd.h"

#include <stdarg.h>

#include "buf.h"

#define COLUMNS_MAX 16
#define CELL_MAX 4096

struct table {
	const char *const *heads;
	size_t columns;
	char **cells;                   /* row by row */
	size_t n, cap;
};

struct table *
table_new(const char *const *heads)
{
	struct table *t = xcalloc(1, sizeof *t);

	t->heads = heads;
	while (heads[t->columns] && t->columns < COLUMNS_MAX)
		t->columns++;
	return t;
}

/* Length of a colour sequence at s, 0 if there is none. */
static size_t
color_len(const char *s)
{
	size_t n;

	if (s[0] != '\033' || s[1] != '[')
		return 0;
	n = 2 + strspn(s + 2, "0123456789;");
	return s[n] == 'm' ? n + 1 : 0;
}

/* What came from outside must not drive the terminal: only colours pass. */
static void
make_printable(char *s)
{
	while (*s) {
		size_t n = color_len(s);

		if (n) {
			s += n;
			continue;
		}
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
		s++;
	}
}

/* Characters, not bytes. */
static size_t
width(const char *s)
{
	size_t n = 0;

	while (*s) {
		size_t color = color_len(s);

		if (color) {
			s += color;
			continue;
		}
		n += ((unsigned char)*s & 0xc0) != 0x80;
		s++;
	}
	return n;
}

void
table_cell(struct table *t, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	make_printable(text);
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->cells = xrealloc(t->cells, t->cap * sizeof *t->cells);
	}
	t->cells[t->n++] = xstrdup(text);
}

static void
print_row(const char *const *cells, size_t n, const size_t *widths)
{
	for (size_t i = 0; i < n; i++) {
		fputs(cells[i], stdout);
		if (i + 1 < n)
			printf("%*s", (int)(widths[i] - width(cells[i]) + 2), "");
	}
	putchar('\n');
}

void
table_print(struct table *t)
{
	size_t widths[COLUMNS_MAX];

	for (size_t i = 0; i < t->columns; i++)
		widths[i] = width(t->heads[i]);
	for (size_t i = 0; i < t->n; i++)
		if (width(t->cells[i]) > widths[i % t->columns])
			widths[i % t->columns] = width(t->cells[i]);
	fputs(cmd_color(STDOUT_FILENO, "dim"), stdout);
	print_row(t->heads, t->columns, widths);
	fputs(cmd_color(STDOUT_FILENO, "reset"), stdout);
	for (size_t i = 0; i < t->n; i += t->columns)
		print_row(
		    (const char *const *)t->cells + i, t->n - i < t->columns ? t->n - i : t->columns, widths);
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void
age_text(char *out, size_t size, int64_t ms)
{
	static const struct {
		int64_t s;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	int64_t age = ms < 0 ? 0 : ms / 1000;
	size_t i = 0;

	while (age < units[i].s && units[i].s > 1)
		i++;
	snprintf(out, size, "%lld%c", (long long)(age / units[i].s), units[i].unit);
}
