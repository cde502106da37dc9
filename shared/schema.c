#include "schema.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "json.h"
#include "pattern.h"

#define MAX_TEXT 65536
#define MAX_DEPTH 12

/*        bit           name */
#define TYPES(X)                \
	X(T_NULL,    "null")    \
	X(T_BOOLEAN, "boolean") \
	X(T_INTEGER, "integer") \
	X(T_NUMBER,  "number")  \
	X(T_STRING,  "string")  \
	X(T_ARRAY,   "array")   \
	X(T_OBJECT,  "object")

enum type {
#define X(sym, name) sym,
	TYPES(X)
#undef X
	NTYPES
};

static const char *const type_names[NTYPES] = {
#define X(sym, name) [sym] = name,
	TYPES(X)
#undef X
};

struct property {
	char *name;
	struct schema *schema;
	bool required;
};

struct schema {
	unsigned types;                 /* bits of enum type; 0: any */
	struct property *props;
	size_t nprops;
	bool open;                      /* members without a schema are fine */
	struct schema *others;          /* additionalProperties: a schema */
	cJSON *choices;                 /* enum */
	cJSON *only;                    /* const */
	double minimum, maximum;
	int64_t min_length, max_length, min_items, max_items;
	regex_t pattern;
	char *pattern_text;             /* NULL: none */
	struct schema *items;
	cJSON *dflt;
};

/* Where we are: a list from the innermost name outwards, on the stack. */
struct place {
	const struct place *in;
	const char *name;               /* NULL: index */
	int index;
};

static void
place_put(const struct place *at, struct buf *b)
{
	if (!at)
		return;
	place_put(at->in, b);
	if (b->len)
		buf_addc(b, '.');
	if (at->name)
		buf_adds(b, at->name);
	else
		buf_addf(b, "%d", at->index);
}

/* A complaint about what stands at `at`. */
static int
bad_text(const struct place *at, enum err_code code, const char *got, const char *expected, struct err *e)
{
	struct buf field = { .max = 4096 };
	int rc;

	place_put(at, &field);
	if (field.len)
		rc = err_field(e, code, field.data, got, "%s", expected);
	else
		rc = err_set(e, code, "expected %s, got %s", expected, got);
	buf_free(&field);
	return rc;
}

static int
bad(const struct place *at, enum err_code code, const cJSON *v, const char *expected, struct err *e)
{
	char got[64];

	return bad_text(at, code, json_brief(v, got, sizeof got), expected, e);
}

static struct schema *
schema_new(void)
{
	struct schema *s = xcalloc(1, sizeof *s);

	s->minimum = -INFINITY;
	s->maximum = INFINITY;
	s->max_length = s->max_items = INT64_MAX;
	return s;
}

void
schema_free(struct schema *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nprops; i++) {
		free(s->props[i].name);
		schema_free(s->props[i].schema);
	}
	free(s->props);
	schema_free(s->others);
	schema_free(s->items);
	cJSON_Delete(s->choices);
	cJSON_Delete(s->only);
	cJSON_Delete(s->dflt);
	if (s->pattern_text)
		regfree(&s->pattern);
	free(s->pattern_text);
	free(s);
}

static struct schema *compile(const cJSON *v, const struct place *at, int depth, struct err *e);

/* What a keyword is compiled with. */
struct keyword {
	const char *name;
	int (*compile)(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e);
	size_t offset;                  /* of the number that it sets */
};

static int
type_bit(struct schema *s, const cJSON *v, const struct place *at, struct err *e)
{
	for (int i = 0; cJSON_IsString(v) && i < NTYPES; i++)
		if (strcmp(v->valuestring, type_names[i]) == 0) {
			s->types |= 1u << i;
			return 0;
		}
	return bad(at, ERR_INVALID, v, "null, boolean, integer, number, string, array or object", e);
}

static int
compile_type(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	const cJSON *one;

	(void)depth;
	if (!cJSON_IsArray(v))
		return type_bit(s, v, at, e);
	if (!v->child)
		return bad(at, ERR_INVALID, v, "at least one type", e);
	cJSON_ArrayForEach(one, v)
		if (type_bit(s, one, at, e))
			return -1;
	return 0;
}

static struct property *
property_find(const struct schema *s, const char *name)
{
	for (size_t i = 0; i < s->nprops; i++)
		if (strcmp(s->props[i].name, name) == 0)
			return &s->props[i];
	return NULL;
}

static struct property *
property_get(struct schema *s, const char *name)
{
	struct property *p = property_find(s, name);

	if (p)
		return p;
	s->props = xrealloc(s->props, (s->nprops + 1) * sizeof *s->props);
	s->props[s->nprops] = (struct property){ .name = xstrdup(name) };
	return &s->props[s->nprops++];
}

static int
compile_properties(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	const cJSON *m;

	if (!cJSON_IsObject(v))
		return bad(at, ERR_INVALID, v, "an object", e);
	cJSON_ArrayForEach(m, v) {
		struct place here = { .in = at, .name = m->string };
		struct schema *one = compile(m, &here, depth + 1, e);

		if (!one)
			return -1;
		property_get(s, m->string)->schema = one;
	}
	return 0;
}

/* A required name without a schema of its own stands for itself: any value. */
static int
compile_required(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	const cJSON *m;

	(void)depth;
	if (!cJSON_IsArray(v))
		return bad(at, ERR_INVALID, v, "an array of names", e);
	cJSON_ArrayForEach(m, v) {
		if (!cJSON_IsString(m))
			return bad(at, ERR_INVALID, m, "a name", e);
		property_get(s, m->valuestring)->required = true;
	}
	return 0;
}

static int
compile_additional(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	if (cJSON_IsBool(v)) {
		s->open = cJSON_IsTrue(v);
		return 0;
	}
	s->others = compile(v, at, depth + 1, e);
	return s->others ? 0 : -1;
}

static int
compile_items(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	s->items = compile(v, at, depth + 1, e);
	return s->items ? 0 : -1;
}

static cJSON *
copy(const cJSON *v)
{
	cJSON *c = cJSON_Duplicate(v, 1);

	if (!c)
		abort();
	return c;
}

static int
compile_enum(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	(void)depth;
	if (!cJSON_IsArray(v) || !v->child)
		return bad(at, ERR_INVALID, v, "an array with at least one value", e);
	s->choices = copy(v);
	return 0;
}

static int
compile_const(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	(void)at, (void)depth, (void)e;
	s->only = copy(v);
	return 0;
}

static int
compile_default(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	(void)at, (void)depth, (void)e;
	s->dflt = copy(v);
	return 0;
}

static int
compile_pattern(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	struct err why = { 0 };

	(void)depth;
	if (!cJSON_IsString(v))
		return bad(at, ERR_INVALID, v, "a regular expression", e);
	if (pattern_compile(&s->pattern, v->valuestring, REG_NOSUB, &why))
		return bad(at, ERR_INVALID, v, why.msg, e);
	s->pattern_text = xstrdup(v->valuestring);
	return 0;
}

static int
compile_note(struct schema *s, const cJSON *v, const struct place *at, int depth, struct err *e)
{
	(void)s, (void)v, (void)at, (void)depth, (void)e;
	return 0;
}

#define COUNT(member) .offset = offsetof(struct schema, member)

static const struct keyword keywords[] = {
	{ "type", compile_type, 0 },
	{ "properties", compile_properties, 0 },
	{ "required", compile_required, 0 },
	{ "additionalProperties", compile_additional, 0 },
	{ "items", compile_items, 0 },
	{ "enum", compile_enum, 0 },
	{ "const", compile_const, 0 },
	{ "default", compile_default, 0 },
	{ "pattern", compile_pattern, 0 },
	{ "minimum", NULL, offsetof(struct schema, minimum) },
	{ "maximum", NULL, offsetof(struct schema, maximum) },
	{ "minLength", NULL, offsetof(struct schema, min_length) },
	{ "maxLength", NULL, offsetof(struct schema, max_length) },
	{ "minItems", NULL, offsetof(struct schema, min_items) },
	{ "maxItems", NULL, offsetof(struct schema, max_items) },
	{ "title", compile_note, 0 },
	{ "description", compile_note, 0 },
	{ "examples", compile_note, 0 },
};

static int
compile_number(struct schema *s, const struct keyword *k, const cJSON *v, const struct place *at,
    struct err *e)
{
	void *place = (char *)s + k->offset;

	if (k->offset == offsetof(struct schema, minimum) || k->offset == offsetof(struct schema, maximum)) {
		if (!cJSON_IsNumber(v))
			return bad(at, ERR_INVALID, v, "a number", e);
		*(double *)place = v->valuedouble;
		return 0;
	}
	if (!json_int(v, place) || *(int64_t *)place < 0)
		return bad(at, ERR_INVALID, v, "a whole number, 0 or more", e);
	return 0;
}

static const struct keyword *
keyword_find(const char *name)
{
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
		if (strcmp(keywords[i].name, name) == 0)
			return &keywords[i];
	return NULL;
}

static int
compile_member(struct schema *s, const cJSON *m, const struct place *at, int depth, struct err *e)
{
	struct place here = { .in = at, .name = m->string };
	const struct keyword *k = keyword_find(m->string);

	if (!k)
		return bad(&here, ERR_INVALID, m, "a known keyword (this one would not be checked)", e);
	if (!k->compile)
		return compile_number(s, k, m, &here, e);
	return k->compile(s, m, &here, depth, e);
}

static int check(const struct schema *s, cJSON *v, const struct place *at, struct err *e);

static int
check_default(const struct schema *s, const struct place *at, struct err *e)
{
	struct place here = { .in = at, .name = "default" };

	return s->dflt && check(s, s->dflt, &here, e) ? -1 : 0;
}

static struct schema *
anything(void)
{
	struct schema *s = schema_new();

	s->open = true;
	return s;
}

static struct schema *
compile(const cJSON *v, const struct place *at, int depth, struct err *e)
{
	struct schema *s;
	const cJSON *m;

	if (!cJSON_IsObject(v)) {
		bad(at, ERR_INVALID, v, "a schema, which is an object", e);
		return NULL;
	}
	if (depth > MAX_DEPTH) {
		bad(at, ERR_TOO_BIG, v, "less nesting", e);
		return NULL;
	}
	s = schema_new();
	cJSON_ArrayForEach(m, v)
		if (compile_member(s, m, at, depth, e))
			goto fail;
	for (size_t i = 0; i < s->nprops; i++)
		if (!s->props[i].schema)
			s->props[i].schema = anything();
	if (!s->types && !s->nprops && !cJSON_HasObjectItem(v, "additionalProperties"))
		s->open = true;
	if (check_default(s, at, e))
		goto fail;
	return s;
fail:
	schema_free(s);
	return NULL;
}

struct schema *
schema_compile(const char *text, size_t len, struct err *e)
{
	struct schema *s = NULL;
	cJSON *v;

	if (len > MAX_TEXT) {
		err_set(e, ERR_TOO_BIG, "the schema has %zu bytes, at most %d are allowed", len, MAX_TEXT);
		return NULL;
	}
	v = json_parse(text, len, e);
	if (v)
		s = compile(v, NULL, 0, e);
	cJSON_Delete(v);
	return s;
}

static bool
is_type(const cJSON *v, unsigned types)
{
	int64_t n;

	return (types & 1u << T_NULL && cJSON_IsNull(v)) || (types & 1u << T_BOOLEAN && cJSON_IsBool(v)) ||
	    (types & 1u << T_NUMBER && cJSON_IsNumber(v)) || (types & 1u << T_INTEGER && json_int(v, &n)) ||
	    (types & 1u << T_STRING && cJSON_IsString(v)) || (types & 1u << T_ARRAY && cJSON_IsArray(v)) ||
	    (types & 1u << T_OBJECT && cJSON_IsObject(v));
}

/* "a string or null" */
static void
types_put(unsigned types, struct buf *b)
{
	for (int i = 0; i < NTYPES; i++) {
		const char *name = type_names[i];

		if (!(types & 1u << i))
			continue;
		if (b->len)
			buf_adds(b, " or ");
		if (i != T_NULL)
			buf_adds(b, strchr("aio", name[0]) ? "an " : "a ");
		buf_adds(b, i == T_BOOLEAN ? "boolean (true or false)" : name);
	}
	if (!b->len)
		buf_adds(b, "a value");
}

static int
bad_type(const struct schema *s, const cJSON *v, const struct place *at, struct err *e)
{
	struct buf b = { .max = 256 };

	types_put(s->types, &b);
	bad(at, ERR_INVALID, v, buf_str(&b), e);
	buf_free(&b);
	return -1;
}

static int
bad_choice(const char *before, const cJSON *choice, const cJSON *v, const struct place *at, struct err *e)
{
	char *text = cJSON_PrintUnformatted(choice);
	struct buf b = { .max = 4096 };

	buf_addf(&b, "%s%s", before, text ? text : "another value");
	bad(at, ERR_INVALID, v, buf_str(&b), e);
	buf_free(&b);
	cJSON_free(text);
	return -1;
}

static int
check_choice(const struct schema *s, const cJSON *v, const struct place *at, struct err *e)
{
	const cJSON *one;

	if (s->only && !cJSON_Compare(s->only, v, true))
		return bad_choice("", s->only, v, at, e);
	if (!s->choices)
		return 0;
	cJSON_ArrayForEach(one, s->choices)
		if (cJSON_Compare(one, v, true))
			return 0;
	return bad_choice("one of ", s->choices, v, at, e);
}

static int
check_number(const struct schema *s, const cJSON *v, const struct place *at, struct err *e)
{
	char expected[96];

	if (v->valuedouble >= s->minimum && v->valuedouble <= s->maximum)
		return 0;
	if (isinf(s->maximum))
		snprintf(expected, sizeof expected, "a number of at least %.15g", s->minimum);
	else if (isinf(s->minimum))
		snprintf(expected, sizeof expected, "a number of at most %.15g", s->maximum);
	else
		snprintf(expected, sizeof expected, "a number from %.15g to %.15g", s->minimum, s->maximum);
	return bad(at, ERR_INVALID, v, expected, e);
}

static int64_t
characters(const char *s)
{
	int64_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* "at least 1 and at most 64 characters" */
static int
bad_count(int64_t min, int64_t max, const char *what, const cJSON *v, const struct place *at, struct err *e)
{
	char expected[96];

	if (max == INT64_MAX)
		snprintf(expected, sizeof expected, "at least %lld %s", (long long)min, what);
	else if (min == 0)
		snprintf(expected, sizeof expected, "at most %lld %s", (long long)max, what);
	else
		snprintf(expected, sizeof expected, "%lld to %lld %s", (long long)min, (long long)max, what);
	return bad(at, ERR_INVALID, v, expected, e);
}

static int
check_string(const struct schema *s, const cJSON *v, const struct place *at, struct err *e)
{
	int64_t n = characters(v->valuestring);
	char expected[PATTERN_MAX + 32];

	if (n < s->min_length || n > s->max_length)
		return bad_count(s->min_length, s->max_length, "characters", v, at, e);
	if (!s->pattern_text || regexec(&s->pattern, v->valuestring, 0, NULL, 0) == 0)
		return 0;
	snprintf(expected, sizeof expected, "text that matches %s", s->pattern_text);
	return bad(at, ERR_INVALID, v, expected, e);
}

static int
check_array(const struct schema *s, cJSON *v, const struct place *at, struct err *e)
{
	struct place here = { .in = at };
	int64_t n = cJSON_GetArraySize(v);
	cJSON *m;

	if (n < s->min_items || n > s->max_items)
		return bad_count(s->min_items, s->max_items, "items", v, at, e);
	if (!s->items)
		return 0;
	cJSON_ArrayForEach(m, v) {
		if (check(s->items, m, &here, e))
			return -1;
		here.index++;
	}
	return 0;
}

static int
unknown_member(const struct schema *s, const cJSON *m, const struct place *here, struct err *e)
{
	struct buf b = { .max = 4096 };

	for (size_t i = 0; i < s->nprops; i++)
		buf_addf(&b, "%s%s", i ? ", " : "a known name: ", s->props[i].name);
	bad_text(here, ERR_INVALID, m->string, b.len ? b.data : "no members here", e);
	buf_free(&b);
	return -1;
}

static int
check_member(const struct schema *s, cJSON *m, const struct place *at, struct err *e)
{
	struct place here = { .in = at, .name = m->string };
	const struct property *p = property_find(s, m->string);

	if (p)
		return check(p->schema, m, &here, e);
	if (s->others)
		return check(s->others, m, &here, e);
	return s->open ? 0 : unknown_member(s, m, &here, e);
}

static int
missing(const struct property *p, const struct place *at, struct err *e)
{
	struct place here = { .in = at, .name = p->name };
	struct buf b = { .max = 256 };

	types_put(p->schema->types, &b);
	buf_adds(&b, "; it is required");
	bad(&here, ERR_MISSING, NULL, buf_str(&b), e);
	buf_free(&b);
	return -1;
}

static int
check_object(const struct schema *s, cJSON *v, const struct place *at, struct err *e)
{
	cJSON *m;

	cJSON_ArrayForEach(m, v)
		if (check_member(s, m, at, e))
			return -1;
	for (size_t i = 0; i < s->nprops; i++) {
		const struct property *p = &s->props[i];

		if (cJSON_GetObjectItemCaseSensitive(v, p->name))
			continue;
		if (p->schema->dflt)
			cJSON_AddItemToObject(v, p->name, copy(p->schema->dflt));
		else if (p->required)
			return missing(p, at, e);
	}
	return 0;
}

static int
check(const struct schema *s, cJSON *v, const struct place *at, struct err *e)
{
	if (s->types && !is_type(v, s->types))
		return bad_type(s, v, at, e);
	if ((s->only || s->choices) && check_choice(s, v, at, e))
		return -1;
	if (cJSON_IsNumber(v))
		return check_number(s, v, at, e);
	if (cJSON_IsString(v))
		return check_string(s, v, at, e);
	if (cJSON_IsArray(v))
		return check_array(s, v, at, e);
	if (cJSON_IsObject(v))
		return check_object(s, v, at, e);
	return 0;
}

int
schema_check(const struct schema *s, cJSON *v, struct err *e)
{
	return check(s, v, NULL, e);
}
