#include "shape.h"

#include <math.h>

/* FNV-1a (Fowler, Noll, Vo), 64 bits. */
#define START 0xcbf29ce484222325u

static uint64_t
add(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h;
}

static uint64_t
stir(uint64_t h)
{
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
	h = (h ^ h >> 27) * 0x94d049bb133111ebu;
	return h ^ h >> 31;
}

/* In powers of four. */
static unsigned
size_class(size_t n)
{
	unsigned c = 0;

	for (; n; n >>= 2)
		c++;
	return c;
}

static size_t
members(const cJSON *v)
{
	size_t n = 0;

	for (const cJSON *i = v->child; i; i = i->next)
		n++;
	return n;
}

static uint64_t
value(const cJSON *v)
{
	if (cJSON_IsString(v))
		return 100 + size_class(strlen(v->valuestring));
	if (cJSON_IsArray(v))
		return 200 + size_class(members(v));
	if (cJSON_IsObject(v))
		return 300 + size_class(members(v));
	if (cJSON_IsNumber(v)) {
		double x = fabs(v->valuedouble);

		return 400 + (v->valuedouble < 0 ? 50u : 0u) + (x >= 1 ? (unsigned)fmin(log10(x), 40) + 1 : 0);
	}
	return cJSON_IsBool(v) ? 500 : 600;
}

uint64_t
shape_of(const cJSON *params)
{
	uint64_t h = 1;

	/* A sum: the order of the members does not matter. */
	for (const cJSON *v = params ? params->child : NULL; v; v = v->next)
		h += stir(add(START, v->string ? v->string : "") ^ value(v) << 40);
	h = stir(h);
	return h ? h : 1;
}

uint64_t
shape_name(const char *name)
{
	uint64_t h = name ? stir(add(START, name)) : 0;

	return name && !h ? 1 : h;
}
