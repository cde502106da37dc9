#include "json.h"

#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

struct scan {
	const unsigned char *start, *p, *end;
	int max_depth;
	const unsigned char *key;       /* the member that is being read, its name in quotes; NULL: none yet */
	size_t key_len;
	struct err *e;
};

/* The member that had begun last: where a person will look. */
static int
in_member(const struct scan *s)
{
	if (s->e && s->key)
		snprintf(s->e->field, sizeof s->e->field, "%.*s", (int)(s->key_len > 60 ? 0 : s->key_len),
		    (const char *)s->key);
	return -1;
}

static int
fail(const struct scan *s, const char *what)
{
	return err_set(s->e, ERR_PARSE, "not valid JSON at byte %zu: %s", (size_t)(s->p - s->start), what);
}

/* A string or a number that is wrong in itself: where it stands is known. */
static int
fail_value(const struct scan *s, const char *what)
{
	fail(s, what);
	return in_member(s);
}

static void
skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static int
hex4(const unsigned char *p, const unsigned char *end)
{
	int n = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		unsigned char c = p[i];

		n <<= 4;
		if (is_digit(c))
			n |= c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			n |= (c | 0x20) - 'a' + 10;
		else
			return -1;
	}
	return n;
}

static int
scan_escape(struct scan *s)
{
	int hi, lo;

	if (++s->p >= s->end)
		return fail(s, "text ends inside a string");
	if (*s->p != 'u') {
		if (!strchr("\"\\/bfnrt", *s->p) || !*s->p)
			return fail_value(s, "unknown escape");
		s->p++;
		return 0;
	}
	if ((hi = hex4(s->p + 1, s->end)) < 0)
		return fail_value(s, "\\u needs four hexadecimal digits");
	if (hi == 0)
		return fail_value(s, "\\u0000 is not allowed");
	s->p += 5;
	if (hi < 0xd800 || hi > 0xdfff)
		return 0;
	if (hi > 0xdbff || s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
		return fail_value(s, "lone surrogate");
	lo = hex4(s->p + 2, s->end);
	if (lo < 0xdc00 || lo > 0xdfff)
		return fail_value(s, "lone surrogate");
	s->p += 6;
	return 0;
}

/* Length of the UTF-8 sequence at p, 0 if it is none (overlong, surrogate, beyond U+10FFFF). */
static int
utf8_len(const unsigned char *p, const unsigned char *end)
{
	unsigned char c = p[0], lo = 0x80, hi = 0xbf;
	int n;

	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		n = 2;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4;
	else
		return 0;
	if (c == 0xe0)
		lo = 0xa0;
	else if (c == 0xed)
		hi = 0x9f;
	else if (c == 0xf0)
		lo = 0x90;
	else if (c == 0xf4)
		hi = 0x8f;
	if (end - p < n || p[1] < lo || p[1] > hi)
		return 0;
	for (int i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

int
json_utf8_len(const char *p, size_t len)
{
	return utf8_len((const unsigned char *)p, (const unsigned char *)p + len);
}

/* Past the closing quote; *plain tells whether the text has no escapes. */
static int
scan_string(struct scan *s, bool *plain)
{
	*plain = true;
	for (s->p++; s->p < s->end;) {
		unsigned char c = *s->p;

		if (c == '"') {
			s->p++;
			return 0;
		}
		if (c == '\\') {
			*plain = false;
			if (scan_escape(s))
				return -1;
		} else if (c < 0x20) {
			return fail_value(s, "control character in a string");
		} else if (c < 0x80) {
			s->p++;
		} else {
			int n = utf8_len(s->p, s->end);

			if (!n)
				return fail_value(s, "invalid UTF-8");
			s->p += n;
		}
	}
	return fail(s, "text ends inside a string");
}

static void *
allocate(size_t size)
{
	void *p = cJSON_malloc(size);

	if (!p)
		abort();
	return p;
}

static char *
put_utf8(char *out, unsigned c)
{
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };       /* by length */
	int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (int i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(lead[n] | c);
	return out + n;
}

/* What stands between quotes and was found good. The caller's, from cJSON's allocator. */
static char *
text_of(const unsigned char *p, const unsigned char *end, bool plain)
{
	static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
	char *text = allocate((size_t)(end - p) + 1), *out = text;

	if (plain) {
		memcpy(text, p, (size_t)(end - p));
		text[end - p] = '\0';
		return text;
	}
	while (p < end) {
		const char *letter;
		unsigned c = *p++;

		if (c != '\\') {
			*out++ = (char)c;
		} else if ((c = *p++) == 'u') {
			c = (unsigned)hex4(p, end);
			p += 4;
			if (c >= 0xd800 && c <= 0xdbff) {
				c = 0x10000 + ((c - 0xd800) << 10) + ((unsigned)hex4(p + 2, end) - 0xdc00);
				p += 6;
			}
			out = put_utf8(out, c);
		} else {
			letter = strchr(letters, (int)c);
			*out++ = letter ? meant[letter - letters] : (char)c;
		}
	}
	*out = '\0';
	return text;
}

static void
skip_digits(struct scan *s)
{
	while (s->p < s->end && is_digit(*s->p))
		s->p++;
}

/* strtod() reads the point of the locale that a program around us may have set. */
static double
read_real(char *text)
{
	char *point = strchr(text, '.');

	if (point)
		*point = *localeconv()->decimal_point;
	return strtod(text, NULL);
}

/* Integers must survive a double, and reals must be finite. */
static int
read_number(struct scan *s, const unsigned char *from, bool real, double *v)
{
	char text[64];
	size_t len = (size_t)(s->p - from);

	if (!real && len <= 15) {
		int64_t n = 0;

		for (const unsigned char *p = from + (*from == '-'); p < s->p; p++)
			n = n * 10 + (*p - '0');
		*v = *from == '-' ? -(double)n : (double)n;
		return 0;
	}
	if (len >= sizeof text)
		return fail_value(s, "number too long");
	memcpy(text, from, len);
	text[len] = '\0';
	*v = read_real(text);
	if (!isfinite(*v))
		return fail_value(s, "number too large");
	/* cJSON writes a real below 1e17 that happens to be whole without point or exponent. */
	if ((!real || fabs(*v) < 1e17) && fabs(*v) > (double)JSON_INT_MAX)
		return fail_value(s, "integer beyond 2^53; send it as a string");
	return 0;
}

static int
scan_number(struct scan *s, cJSON *v)
{
	const unsigned char *from = s->p;
	bool real = false;
	double n;

	if (*s->p == '-')
		s->p++;
	if (s->p >= s->end || !is_digit(*s->p))
		return fail(s, "expected a digit");
	if (*s->p == '0')
		s->p++;
	else
		skip_digits(s);
	if (s->p < s->end && *s->p == '.') {
		real = true;
		s->p++;
		if (s->p >= s->end || !is_digit(*s->p))
			return fail(s, "expected a digit after the point");
		skip_digits(s);
	}
	if (s->p < s->end && (*s->p | 0x20) == 'e') {
		real = true;
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (s->p >= s->end || !is_digit(*s->p))
			return fail(s, "expected a digit in the exponent");
		skip_digits(s);
	}
	if (read_number(s, from, real, &n))
		return -1;
	if (v) {
		v->type = cJSON_Number;
		v->valuedouble = n;
		v->valueint = n >= INT_MAX ? INT_MAX : n <= INT_MIN ? INT_MIN : (int)n;
	}
	return 0;
}

static int
scan_word(struct scan *s, const char *word, int type, cJSON *v)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return fail(s, "expected a value");
	s->p += n;
	if (v) {
		v->type = type;
		v->valueint = type == cJSON_True;
	}
	return 0;
}

static int
scan_text(struct scan *s, cJSON *v)
{
	const unsigned char *from = s->p + 1;
	bool plain;

	if (scan_string(s, &plain))
		return -1;
	if (v) {
		v->type = cJSON_String;
		v->valuestring = text_of(from, s->p - 1, plain);
	}
	return 0;
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int
duplicate(const char *key, struct err *e)
{
	return err_field(e, ERR_PARSE, key, "a second one", "each member name once in an object");
}

/* Few members, the usual case: compare all pairs. Many: sort. */
static int
check_unique(const cJSON *obj, struct err *e)
{
	const char *keys[JSON_MAX_KEYS];
	const cJSON *m;
	size_t n = 0;

	cJSON_ArrayForEach(m, obj) {
		if (n < 16)
			for (size_t i = 0; i < n; i++)
				if (strcmp(keys[i], m->string) == 0)
					return duplicate(m->string, e);
		keys[n++] = m->string;
	}
	if (n > 16) {
		qsort(keys, n, sizeof *keys, compare_keys);
		for (size_t i = 1; i < n; i++)
			if (strcmp(keys[i - 1], keys[i]) == 0)
				return duplicate(keys[i], e);
	}
	return 0;
}

/* A set that may say yes to what is not in it: most objects need no look at their names side by side. */
struct names {
	uint64_t bits[16];
	int n;
	bool maybe_twice;
};

static int
note_name(struct names *names, const char *name, struct err *e)
{
	uint32_t h = 2166136261u;
	uint64_t bit;

	if (++names->n > JSON_MAX_KEYS)
		return err_set(e, ERR_TOO_BIG, "an object has more than %d members", JSON_MAX_KEYS);
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	h ^= h >> 15;
	bit = (uint64_t)1 << (h & 63);
	names->maybe_twice |= (names->bits[h >> 6 & 15] & bit) != 0;
	names->bits[h >> 6 & 15] |= bit;
	return 0;
}

static cJSON *
new_item(void)
{
	cJSON *v = allocate(sizeof *v);

	memset(v, 0, sizeof *v);
	return v;
}

static cJSON *
append(cJSON *to)
{
	cJSON *m = new_item(), *first = to->child;

	if (first) {
		m->prev = first->prev;
		first->prev->next = m;
		first->prev = m;
	} else {
		to->child = m->prev = m;
	}
	return m;
}

static int scan_value(struct scan *s, cJSON *v, int depth);

static int
scan_member(struct scan *s, cJSON *v, struct names *names, int depth)
{
	const unsigned char *from;
	bool plain;

	skip_space(s);
	if (s->p >= s->end || *s->p != '"')
		return fail(s, "expected a member name in quotes");
	from = s->p + 1;
	s->key = NULL;
	if (scan_string(s, &plain))
		return -1;
	s->key = from;
	s->key_len = (size_t)(s->p - 1 - from);
	if (v) {
		v->string = text_of(from, s->p - 1, plain);
		if (note_name(names, v->string, s->e))
			return -1;
	}
	skip_space(s);
	if (s->p >= s->end || *s->p != ':')
		return fail(s, "expected ':'");
	s->p++;
	return scan_value(s, v, depth);
}

static int
scan_container(struct scan *s, cJSON *v, int depth, char close)
{
	struct names names = { 0 };

	if (depth >= s->max_depth)
		return err_set(s->e, ERR_PARSE, "not valid JSON at byte %zu: nested deeper than %d",
		    (size_t)(s->p - s->start), s->max_depth);
	if (v)
		v->type = close == '}' ? cJSON_Object : cJSON_Array;
	s->p++;
	skip_space(s);
	if (s->p < s->end && *s->p == (unsigned char)close) {
		s->p++;
		return 0;
	}
	for (;;) {
		cJSON *m = v ? append(v) : NULL;

		if (close == '}' ? scan_member(s, m, &names, depth + 1) : scan_value(s, m, depth + 1))
			return -1;
		skip_space(s);
		if (s->p < s->end && *s->p == ',') {
			s->p++;
			continue;
		}
		if (s->p < s->end && *s->p == (unsigned char)close) {
			s->p++;
			return names.maybe_twice ? check_unique(v, s->e) : 0;
		}
		return fail(s, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
	}
}

/* v: an empty item to fill, or NULL if only the syntax is asked for. */
static int
scan_value(struct scan *s, cJSON *v, int depth)
{
	skip_space(s);
	if (s->p >= s->end)
		return fail(s, "text ends where a value is expected");
	switch (*s->p) {
	case '{': return scan_container(s, v, depth, '}');
	case '[': return scan_container(s, v, depth, ']');
	case '"': return scan_text(s, v);
	case 't': return scan_word(s, "true", cJSON_True, v);
	case 'f': return scan_word(s, "false", cJSON_False, v);
	case 'n': return scan_word(s, "null", cJSON_NULL, v);
	default:
		if (*s->p == '-' || is_digit(*s->p))
			return scan_number(s, v);
		return fail(s, "expected a value");
	}
}

static int
scan(const char *text, size_t len, cJSON *v, int max_depth, struct err *e)
{
	struct scan s = { .start = (const unsigned char *)text, .p = (const unsigned char *)text,
		.end = (const unsigned char *)text + len, .max_depth = max_depth, .e = e };

	if (scan_value(&s, v, 0))
		return -1;
	skip_space(&s);
	if (s.p != s.end)
		return fail(&s, "something follows the value");
	return 0;
}

int
json_check(const char *text, size_t len, struct err *e)
{
	return scan(text, len, NULL, JSON_MAX_DEPTH, e);
}

int
json_check_inner(const char *text, size_t len, struct err *e)
{
	return scan(text, len, NULL, JSON_INNER_DEPTH, e);
}

cJSON *
json_parse(const char *text, size_t len, struct err *e)
{
	cJSON *v = new_item();

	if (scan(text, len, v, JSON_MAX_DEPTH, e)) {
		cJSON_Delete(v);
		return NULL;
	}
	return v;
}

cJSON *
json_parse_object(const char *text, size_t len, struct err *e)
{
	cJSON *v = json_parse(text, len, e);
	char got[64];

	if (v && !cJSON_IsObject(v)) {
		err_set(e, ERR_PARSE, "expected a JSON object, got %s", json_brief(v, got, sizeof got));
		cJSON_Delete(v);
		v = NULL;
	}
	return v;
}

bool
json_int(const cJSON *v, int64_t *out)
{
	if (!cJSON_IsNumber(v) || v->valuedouble != floor(v->valuedouble) ||
	    fabs(v->valuedouble) > (double)JSON_INT_MAX)
		return false;
	*out = (int64_t)v->valuedouble;
	return true;
}

const char *
json_brief(const cJSON *v, char *out, size_t size)
{
	int64_t n;

	if (cJSON_IsString(v))
		snprintf(out, size, "\"%.40s\"%s", v->valuestring, strlen(v->valuestring) > 40 ? "..." : "");
	else if (json_int(v, &n))
		snprintf(out, size, "%lld", (long long)n);
	else if (cJSON_IsNumber(v))
		snprintf(out, size, "%.15g", v->valuedouble);
	else
		snprintf(out, size, "%s", cJSON_IsObject(v) ? "an object" : cJSON_IsArray(v) ? "an array" :
		    cJSON_IsTrue(v) ? "true" : cJSON_IsFalse(v) ? "false" : cJSON_IsNull(v) ? "null" : "nothing");
	return out;
}

static int
read_int(const struct json_field *f, const cJSON *v, int64_t *out, struct err *e)
{
	int64_t lo = f->min, hi = f->max, n;
	char got[64];

	if (!lo && !hi) {
		lo = -JSON_INT_MAX;
		hi = JSON_INT_MAX;
	}
	if (!json_int(v, &n) || n < lo || n > hi)
		return err_field(e, ERR_INVALID, f->name, json_brief(v, got, sizeof got),
		    "an integer from %lld to %lld", (long long)lo, (long long)hi);
	*out = n;
	return 0;
}

static int
read_text(const struct json_field *f, const cJSON *v, char *out, struct err *e)
{
	char got[64];
	size_t len;

	if (!cJSON_IsString(v))
		return err_field(e, ERR_INVALID, f->name, json_brief(v, got, sizeof got), "a string");
	len = strlen(v->valuestring);
	if (len >= f->size)
		return err_field(e, ERR_INVALID, f->name, json_brief(v, got, sizeof got),
		    "at most %zu bytes", f->size - 1);
	memcpy(out, v->valuestring, len + 1);
	return 0;
}

static int
read_field(const struct json_field *f, const cJSON *v, void *place, struct err *e)
{
	char got[64];

	switch (f->kind) {
	case JSON_TEXT:
		return read_text(f, v, place, e);
	case JSON_INT:
		return read_int(f, v, place, e);
	case JSON_BOOL:
		if (!cJSON_IsBool(v))
			return err_field(e, ERR_INVALID, f->name, json_brief(v, got, sizeof got), "true or false");
		*(bool *)place = cJSON_IsTrue(v);
		return 0;
	case JSON_OBJECT:
		if (!cJSON_IsObject(v))
			return err_field(e, ERR_INVALID, f->name, json_brief(v, got, sizeof got), "an object");
		*(const cJSON **)place = v;
		return 0;
	case JSON_ARRAY:
		if (!cJSON_IsArray(v))
			return err_field(e, ERR_INVALID, f->name, json_brief(v, got, sizeof got), "an array");
		*(const cJSON **)place = v;
		return 0;
	}
	return 0;
}

int
json_read(const cJSON *obj, const struct json_field *fields, void *out, struct err *e)
{
	for (const struct json_field *f = fields; f->name; f++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, f->name);

		if (!v || cJSON_IsNull(v)) {
			if (f->required)
				return err_field(e, ERR_MISSING, f->name, "nothing", "a value; it is required");
			continue;
		}
		if (read_field(f, v, (char *)out + f->offset, e))
			return -1;
	}
	return 0;
}

const char *
json_unknown(const cJSON *obj, const struct json_field *fields)
{
	const cJSON *m;

	cJSON_ArrayForEach(m, obj) {
		const struct json_field *f = fields;

		while (f->name && strcmp(f->name, m->string) != 0)
			f++;
		if (!f->name)
			return m->string;
	}
	return NULL;
}

static bool
wants_comma(const struct buf *b)
{
	switch (b->len ? b->data[b->len - 1] : '{') {
	case '{': case '[': case ':': case ',': case '\n':
		return false;
	default:
		return true;
	}
}

static void
comma(struct buf *b)
{
	if (wants_comma(b))
		buf_addc(b, ',');
}

static bool
is_plain(const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] >= 0x80 || p[i] == '"' || p[i] == '\\')
			return false;
	return true;
}

/* Most text has nothing to escape: [,]"text"[:] in one go. */
static bool
put_plain(struct buf *b, const char *s, size_t len, bool key)
{
	bool sep = wants_comma(b);
	char *to;

	if (!is_plain((const unsigned char *)s, len))
		return false;
	to = buf_reserve(b, len + 2 + sep + key);
	if (!to)
		return true;
	if (sep)
		*to++ = ',';
	*to++ = '"';
	memcpy(to, s, len);
	to += len;
	*to++ = '"';
	if (key)
		*to++ = ':';
	*to = '\0';
	b->len += len + 2 + sep + key;
	return true;
}

void
json_put_open(struct buf *b, char bracket)
{
	comma(b);
	buf_addc(b, bracket);
}

void
json_put_close(struct buf *b, char bracket)
{
	buf_addc(b, bracket);
}

/* Copies runs of plain bytes at once. */
static void
put_quoted(struct buf *b, const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + len, *run = p;

	buf_addc(b, '"');
	while (p < end) {
		int n = *p < 0x80 ? 1 : utf8_len(p, end);

		if (n && *p >= 0x20 && *p != '"' && *p != '\\') {
			p += n;
			continue;
		}
		buf_add(b, run, (size_t)(p - run));
		if (!n)
			buf_adds(b, "\xef\xbf\xbd");
		else if (*p == '"' || *p == '\\')
			buf_addf(b, "\\%c", *p);
		else if (*p == '\n')
			buf_adds(b, "\\n");
		else if (*p == '\t')
			buf_adds(b, "\\t");
		else if (*p == '\0')
			buf_adds(b, "\xef\xbf\xbd");
		else
			buf_addf(b, "\\u%04x", *p);
		run = ++p;
	}
	buf_add(b, run, (size_t)(p - run));
	buf_addc(b, '"');
}

void
json_put_key(struct buf *b, const char *key)
{
	size_t len = strlen(key);

	if (put_plain(b, key, len, true))
		return;
	comma(b);
	put_quoted(b, key, len);
	buf_addc(b, ':');
}

void
json_put_strn(struct buf *b, const char *s, size_t len)
{
	if (put_plain(b, s, len, false))
		return;
	comma(b);
	put_quoted(b, s, len);
}

void
json_put_str(struct buf *b, const char *s)
{
	if (s)
		json_put_strn(b, s, strlen(s));
	else
		json_put_raw(b, "null", 4);
}

void
json_put_int(struct buf *b, int64_t n)
{
	uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;
	char text[24], *end = text + sizeof text, *p = end;

	do
		*--p = (char)('0' + left % 10);
	while (left /= 10);
	if (n < 0)
		*--p = '-';
	if (n > JSON_INT_MAX || n < -JSON_INT_MAX)
		json_put_strn(b, p, (size_t)(end - p));
	else
		json_put_raw(b, p, (size_t)(end - p));
}

void
json_put_num(struct buf *b, double n)
{
	char text[32] = "null";

	for (int digits = 6; isfinite(n) && digits <= 17; digits += digits < 15 ? 9 : 2) {
		snprintf(text, sizeof text, "%.*g", digits, n);
		if (strtod(text, NULL) == n)
			break;
	}
	json_put_raw(b, text, strlen(text));
}

void
json_put_bool(struct buf *b, bool v)
{
	json_put_raw(b, v ? "true" : "false", v ? 4 : 5);
}

void
json_put_raw(struct buf *b, const char *json, size_t len)
{
	comma(b);
	buf_add(b, json, len);
}

void
json_put_tree(struct buf *b, const cJSON *v)
{
	char *text = cJSON_PrintUnformatted(v);

	if (!text)
		abort();
	json_put_raw(b, text, strlen(text));
	cJSON_free(text);
}

void
json_kv_str(struct buf *b, const char *key, const char *s)
{
	json_put_key(b, key);
	json_put_str(b, s);
}

void
json_kv_int(struct buf *b, const char *key, int64_t n)
{
	json_put_key(b, key);
	json_put_int(b, n);
}

void
json_kv_num(struct buf *b, const char *key, double n)
{
	json_put_key(b, key);
	json_put_num(b, n);
}

void
json_kv_bool(struct buf *b, const char *key, bool v)
{
	json_put_key(b, key);
	json_put_bool(b, v);
}

void
json_kv_raw(struct buf *b, const char *key, const char *json, size_t len)
{
	json_put_key(b, key);
	json_put_raw(b, json, len);
}

void
json_kv_time(struct buf *b, const char *key, int64_t wall_ms)
{
	char when[32];

	clock_format(wall_ms, when, sizeof when);
	json_kv_str(b, key, when);
}

void
json_put_err(struct buf *b, const struct err *e)
{
	json_put_open(b, '{');
	json_kv_str(b, "code", err_code_name(e->code));
	if (e->field[0])
		json_kv_str(b, "field", e->field);
	if (e->expected[0])
		json_kv_str(b, "expected", e->expected);
	if (e->got[0])
		json_kv_str(b, "got", e->got);
	if (e->retry_after_s)
		json_kv_int(b, "retry_after_s", e->retry_after_s);
	json_kv_str(b, "message", e->msg);
	json_put_close(b, '}');
}

const char *
json_text(const cJSON *o, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return text ? text : "";
}

int64_t
json_number(const cJSON *o, const char *name, int64_t otherwise)
{
	int64_t n = otherwise;

	json_int(cJSON_GetObjectItemCaseSensitive(o, name), &n);
	return n;
}

bool
json_is_true(const cJSON *o, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, name));
}
