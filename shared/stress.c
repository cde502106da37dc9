#include "stress.h"

#include <string.h>

static const struct stress_rule rules[STRESS_COUNT] = {
#define X(sym, name_, unit_, side_, limit_, raise_, clear_, what_)                                                         \
	[sym] = { .name = name_, .unit = unit_, .side = side_, .limit = limit_, .raise_s = raise_, .clear_s = clear_, .what = what_ },
	STRESSES(X)
#undef X
};

enum stress_kind
stress_kind_find(const char *name)
{
	int k = 0;

	while (k < STRESS_COUNT && strcmp(rules[k].name, name) != 0)
		k++;
	return (enum stress_kind)k;
}

int64_t
stress_clear_of(enum alert_side side, int64_t limit)
{
	return side == ALERT_ABOVE ? limit / 2 : limit + limit / 2;
}

void
stress_rule(enum stress_kind kind, struct stress_rule *r)
{
	*r = rules[kind];
	r->clear = stress_clear_of(r->side, r->limit);
}

int
stress_judge(struct alert_state *s, const struct stress_rule *r, int64_t value, int64_t now_ms)
{
	const struct alert_rule one = { .side = r->side, .limit = s->raised ? r->clear : r->limit, .raise_s = r->raise_s,
		.clear_s = r->clear_s };

	return alert_judge(s, &one, value < 0 ? r->clear : value, now_ms);
}
