#include "past.h"

#include <math.h>
#include <string.h>

#include "shape.h"

enum { HAS_HOUSE = 1, HAS_HOST = 2, HAS_TOOL = 4, HAS_AFTER = 8, HAS_SHAPE = 16, HAS_SAID = 32, HAS_ADAPTED = 64, HAS_HEARD = 128 };

#define PART 65535.0            /* probabilities are told apart so finely */
#define NO_ATTEMPT 255          /* how it ended is less; 255 less what it is */

static uint64_t
fold(int64_t n)
{
	return (uint64_t)n << 1 ^ (n < 0 ? UINT64_MAX : 0);
}

static int64_t
unfold(uint64_t n)
{
	return (int64_t)(n >> 1 ^ (n & 1 ? UINT64_MAX : 0));
}

/* Seven bits a byte, the lowest first. */
static void
put_number(struct buf *b, uint64_t n)
{
	for (; n > 127; n >>= 7)
		buf_addc(b, (char)(n | 128));
	buf_addc(b, (char)n);
}

static void
put_text(struct buf *b, const char *text)
{
	size_t len = strlen(text);

	put_number(b, len);
	buf_add(b, text, len);
}

static void
put_part(struct buf *b, double p)
{
	put_number(b, (uint64_t)(p * PART + 0.5));
}

static void
put_said(struct buf *b, const struct past *x)
{
	put_part(b, x->p);
	put_part(b, x->p_all);
	put_part(b, x->p_tool);
	put_number(b, (uint64_t)(x->p95_ms * 1000 + 0.5));
}

void
past_pack_add(struct past_pack *p, const struct past *x)
{
	static const struct past none;
	const struct past *last = p->out.len ? &p->last : &none;
	struct buf *b = &p->out;
	unsigned has = 0;

	has |= strcmp(x->house, last->house) != 0 ? HAS_HOUSE : 0;
	has |= strcmp(x->host, last->host) != 0 ? HAS_HOST : 0;
	has |= strcmp(x->tool, last->tool) != 0 ? HAS_TOOL : 0;
	has |= strcmp(x->after, last->after) != 0 ? HAS_AFTER : 0;
	has |= x->shape != last->shape ? HAS_SHAPE : 0;
	has |= x->foretold ? HAS_SAID : 0;
	has |= x->timeout_s || x->gave_up || x->instead[0] ? HAS_ADAPTED : 0;
	has |= x->heard ? HAS_HEARD : 0;
	buf_addc(b, (char)has);
	if (has & HAS_HOUSE)
		put_text(b, x->house);
	if (has & HAS_HOST)
		put_text(b, x->host);
	if (has & HAS_TOOL)
		put_text(b, x->tool);
	if (has & HAS_AFTER)
		put_text(b, x->after);
	if (has & HAS_SHAPE)
		buf_add(b, &x->shape, sizeof x->shape);
	buf_addc(b, (char)(x->what ? NO_ATTEMPT - (int)x->what : x->ok ? 0 : 1 + (int)x->why));
	put_number(b, fold(x->at_ms - last->at_ms));
	if (x->what == PAST_ATTEMPT) {
		put_number(b, (uint64_t)(x->us + 1));
		put_number(b, (uint64_t)x->bytes);
	}
	if (x->what == PAST_BREAKER)
		put_number(b, (uint64_t)x->failures);
	if (has & HAS_SAID)
		put_said(b, x);
	if (has & HAS_ADAPTED) {
		put_number(b, (uint64_t)x->timeout_s << 1 | x->gave_up);
		put_text(b, x->instead);
	}
	p->last = *x;
}

void
past_pack_clear(struct past_pack *p)
{
	buf_clear(&p->out);
}

void
past_pack_free(struct past_pack *p)
{
	buf_free(&p->out);
}

/* What is left of a page; NULL after an error. */
struct left {
	const unsigned char *p, *end;
};

static unsigned
get_byte(struct left *l)
{
	if (l->p && l->p < l->end)
		return *l->p++;
	l->p = NULL;
	return 0;
}

static uint64_t
get_number(struct left *l)
{
	uint64_t n = 0;
	unsigned c;

	for (int shift = 0; shift < 64; shift += 7) {
		c = get_byte(l);
		n |= (uint64_t)(c & 127) << shift;
		if (!(c & 128))
			return n;
	}
	l->p = NULL;
	return 0;
}

static void
get_bytes(struct left *l, void *to, size_t len)
{
	if (!l->p || (size_t)(l->end - l->p) < len) {
		l->p = NULL;
		return;
	}
	memcpy(to, l->p, len);
	l->p += len;
}

static void
get_text(struct left *l, char to[PAST_NAME])
{
	uint64_t len = get_number(l);

	if (len >= PAST_NAME) {
		l->p = NULL;
		return;
	}
	get_bytes(l, to, (size_t)len);
	to[len] = '\0';
}

static double
get_part(struct left *l)
{
	uint64_t n = get_number(l);

	if (n > (uint64_t)PART)
		l->p = NULL;
	return (double)n / PART;
}

/* Not below 0, whatever the bytes are. */
static int64_t
get_amount(struct left *l)
{
	uint64_t n = get_number(l);

	if (n > INT64_MAX)
		l->p = NULL;
	return (int64_t)(n & INT64_MAX);
}

static int
get_count(struct left *l)
{
	uint64_t n = get_number(l);

	if (n > INT32_MAX)
		l->p = NULL;
	return (int)(n & INT32_MAX);
}

static void
get_said(struct left *l, struct past *x)
{
	x->foretold = true;
	x->p = get_part(l);
	x->p_all = get_part(l);
	x->p_tool = get_part(l);
	x->p95_ms = (double)get_amount(l) / 1000;
}

static void
get_adapted(struct left *l, struct past *x)
{
	uint64_t n = get_number(l);

	if (n >> 1 > INT32_MAX)
		l->p = NULL;
	x->timeout_s = (int)(n >> 1 & INT32_MAX);
	x->gave_up = n & 1;
	get_text(l, x->instead);
}

int
past_unpack(const unsigned char **p, const unsigned char *end, struct past *x)
{
	struct left l = { *p, end };
	unsigned has = get_byte(&l), how;

	if (has & HAS_HOUSE)
		get_text(&l, x->house);
	if (has & HAS_HOST)
		get_text(&l, x->host);
	if (has & HAS_TOOL)
		get_text(&l, x->tool);
	if (has & HAS_AFTER)
		get_text(&l, x->after);
	if (has & HAS_SHAPE)
		get_bytes(&l, &x->shape, sizeof x->shape);
	how = get_byte(&l);
	x->what = how < NO_ATTEMPT && how > NO_ATTEMPT - PAST_COUNT ? (enum past_what)(NO_ATTEMPT - how) : PAST_ATTEMPT;
	x->ok = how == 0;
	x->why = how > 0 && how <= FAILURE_COUNT ? (enum failure)(how - 1) : FAILURE_OTHER;
	x->heard = has & HAS_HEARD;
	x->at_ms = (int64_t)((uint64_t)x->at_ms + (uint64_t)unfold(get_number(&l)));
	x->us = x->bytes = x->failures = 0;
	if (x->what == PAST_ATTEMPT) {
		x->us = get_amount(&l) - 1;
		x->bytes = get_amount(&l);
	}
	if (x->what == PAST_BREAKER)
		x->failures = get_count(&l);
	x->foretold = x->gave_up = false;
	x->p = x->p_all = x->p_tool = x->p95_ms = 0;
	x->timeout_s = 0;
	x->instead[0] = '\0';
	if (has & HAS_SAID)
		get_said(&l, x);
	if (has & HAS_ADAPTED)
		get_adapted(&l, x);
	if (!l.p || (how > FAILURE_COUNT && x->what == PAST_ATTEMPT))
		return -1;
	*p = l.p;
	return 0;
}

static double
rounded(double p)
{
	return (double)(int)(p * PART + 0.5) / PART;
}

void
past_foretell(struct past *x, double p, double p_all, double p_tool, double p95_ms)
{
	x->foretold = true;
	x->p = rounded(p);
	x->p_all = rounded(p_all);
	x->p_tool = rounded(p_tool);
	x->p95_ms = (double)(int64_t)(fmin(p95_ms, 1e12) * 1000) / 1000;
}

int
past_hour(int64_t ms)
{
	return (int)(ms / 3600000 % 24 + 24) % 24;
}

void
past_about(const struct past *x, struct about *a)
{
	*a = (struct about){ .tool = shape_name(x->tool), .house = shape_name(x->house),
		.host = *x->host ? shape_name(x->host) : 0, .shape = x->shape, .hour = past_hour(x->at_ms) };
}
