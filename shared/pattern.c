#include "pattern.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#define MAX_SIZE 1024           /* nodes after unrolling */
#define MAX_NESTING 24

/* Reads a pattern only as far as its size goes: what regcomp() takes for wrong it says itself. */
struct sizing {
	const char *p;
	int depth;
	bool refers_back, too_deep;
};

static int64_t size_of_choice(struct sizing *s);

static int64_t
capped(int64_t n)
{
	return n > MAX_SIZE ? MAX_SIZE + 1 : n;
}

/* [...]: a ']' right at the beginning is a member, and so is one in [:alpha:], [.x.] or [=x=]. */
static void
skip_bracket(struct sizing *s)
{
	s->p += *s->p == '^';
	s->p += *s->p == ']';
	while (*s->p && *s->p != ']') {
		if (*s->p == '[' && s->p[1] && strchr(":.=", s->p[1])) {
			const char end[] = { s->p[1], ']', '\0' }, *at = strstr(s->p + 2, end);

			s->p = at ? at + 2 : s->p + strlen(s->p);
		} else {
			s->p++;
		}
	}
	s->p += *s->p == ']';
}

static int64_t
size_of_atom(struct sizing *s)
{
	char c = *s->p++;

	if (c == '[')
		skip_bracket(s);
	if (c == '\\' && *s->p) {
		s->refers_back |= *s->p >= '1' && *s->p <= '9';
		s->p++;
	}
	if (c != '(')
		return 1;
	if (++s->depth > MAX_NESTING) {
		s->too_deep = true;
		s->p += strlen(s->p);
		return 1;
	}
	int64_t n = size_of_choice(s) + 1;

	s->depth--;
	s->p += *s->p == ')';
	return n;
}

/* regcomp() makes x+ of xx*, and x{n,m} of m times x; so x++ doubles twice. */
static int64_t
size_with_repeats(struct sizing *s)
{
	int64_t n = size_of_atom(s);

	while (*s->p && strchr("*+?{", *s->p)) {
		char c = *s->p++;

		if (c == '+')
			n *= 2;
		n++;
		if (c == '{') {
			char *end;
			int64_t least = strtoll(s->p, &end, 10);
			int64_t most = *end == ',' ? strtoll(end + 1, &end, 10) : 0;

			least = least > most ? least : most;
			n *= least < 0 || least > MAX_SIZE ? MAX_SIZE + 1 : least + 1;
			s->p = *end == '}' ? end + 1 : s->p;
		}
		n = capped(n);
	}
	return n;
}

static int64_t
size_of_choice(struct sizing *s)
{
	int64_t n = 0;

	while (*s->p && !(*s->p == ')' && s->depth))
		n = capped(n + size_with_repeats(s));
	return n;
}

int
pattern_compile(regex_t *out, const char *text, int flags, struct err *e)
{
	struct sizing s = { .p = text };
	char why[128];
	int error;

	if (strlen(text) > PATTERN_MAX)
		return err_set(e, ERR_INVALID, "a pattern of at most %d bytes", PATTERN_MAX);
	if (size_of_choice(&s) > MAX_SIZE || s.too_deep)
		return err_set(e, ERR_INVALID,
		    "a pattern with less repetition and nesting (+ and {n,m} multiply)");
	if (s.refers_back)
		return err_set(e, ERR_INVALID, "a pattern without back references");
	error = regcomp(out, text, flags | REG_EXTENDED);
	if (!error)
		return 0;
	regerror(error, out, why, sizeof why);
	return err_set(e, ERR_INVALID, "a POSIX extended regular expression (%s)", why);
}
