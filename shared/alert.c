#include "alert.h"

#include <string.h>

#include "buf.h"

const struct alert_rule alert_rules[ALERT_COUNT] = {
#define X(sym, name_, severity_, unit_, side_, limit_, raise_, clear_, what_, mend_)                                       \
	[sym] = { .name = name_, .severity = severity_, .unit = unit_, .side = side_, .limit = limit_, .raise_s = raise_,  \
		.clear_s = clear_, .what = what_, .mend = mend_ },
	ALERTS(X)
#undef X
};

static enum alert_kind
find(const char *name, size_t len)
{
	int k = 0;

	while (k < ALERT_COUNT && (strlen(alert_rules[k].name) != len || memcmp(alert_rules[k].name, name, len) != 0))
		k++;
	return (enum alert_kind)k;
}

enum alert_kind
alert_kind_find(const char *name)
{
	return find(name, strlen(name));
}

enum alert_kind
alert_kind_of(const char *topic_id)
{
	return find(topic_id, strcspn(topic_id, "."));
}

bool
alert_is_beyond(const struct alert_rule *r, int64_t value)
{
	return r->side == ALERT_ABOVE ? value > r->limit : value < r->limit;
}

int
alert_judge(struct alert_state *s, const struct alert_rule *r, int64_t value, int64_t now_ms)
{
	if (alert_is_beyond(r, value) == s->raised) {
		s->since_ms = 0;
		return 0;
	}
	if (!s->since_ms)
		s->since_ms = now_ms;
	if (now_ms - s->since_ms < 1000 * (s->raised ? r->clear_s : r->raise_s))
		return 0;
	s->since_ms = 0;
	s->raised = !s->raised;
	return s->raised ? 1 : -1;
}

void
alert_rules_markdown(struct buf *out)
{
	for (const struct alert_rule *r = alert_rules; r < alert_rules + ALERT_COUNT; r++)
		buf_addf(out, "### %s\n\n%c%s. %s; raised %s %lld%s%s for %lld s, cleared after %lld s without.\n\n"
		    "What to do: %s.\n\n", r->name, r->what[0] - 'a' + 'A', r->what + 1,
		    strcmp(r->severity, "critical") == 0 ? "Critical" : "Warning", r->side == ALERT_ABOVE ? "above" : "below",
		    (long long)r->limit, r->unit[0] ? " " : "", r->unit, (long long)r->raise_s, (long long)r->clear_s, r->mend);
}
