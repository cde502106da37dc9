#include "retry.h"

#include "json.h"
#include "tool.h"

#define BIT(code) (UINT32_C(1) << (code))

_Static_assert(ERR_NCODES <= 32, "a bit for each code");

/* What may be otherwise a moment later. */
#define USUAL (BIT(ERR_BUSY) | BIT(ERR_TIMEOUT) | BIT(ERR_NETWORK) | BIT(ERR_TOOL) | BIT(ERR_UNPROVEN) | BIT(ERR_CRASH) | \
	BIT(ERR_LOST) | BIT(ERR_IO) | BIT(ERR_STORE) | BIT(ERR_INTERNAL))

static uint32_t
codes_of(const struct tool *t)
{
	return t->retry && t->retry->codes ? t->retry->codes : USUAL;
}

static bool
has(const short *list, int number)
{
	for (size_t i = 0; i < RETRY_NUMBERS_MAX && list[i]; i++)
		if (list[i] == number)
			return true;
	return false;
}

bool
retry_is_worth(const struct tool *t, const struct err *e, int number)
{
	const struct retry_rule *r = t->retry;

	if (!(codes_of(t) & BIT(e->code)))
		return false;
	if (!r || !number)
		return true;
	return !has(r->not, number) && (!r->on[0] || has(r->on, number));
}

static void
put_numbers(struct buf *b, const char *key, const short *list)
{
	if (!list[0])
		return;
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t i = 0; i < RETRY_NUMBERS_MAX && list[i]; i++)
		json_put_int(b, list[i]);
	json_put_close(b, ']');
}

void
retry_put(struct buf *b, const struct tool *t)
{
	json_put_open(b, '{');
	json_put_key(b, "errors");
	json_put_open(b, '[');
	for (int i = 0; i < ERR_NCODES; i++)
		if (codes_of(t) & BIT(i))
			json_put_str(b, err_code_name((enum err_code)i));
	json_put_close(b, ']');
	if (t->retry) {
		put_numbers(b, "on", t->retry->on);
		put_numbers(b, "not", t->retry->not);
	}
	json_put_close(b, '}');
}
