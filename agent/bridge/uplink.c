#include "uplink.h"

bool
uplink_may(const struct uplink *u, int64_t now_ms)
{
	return now_ms >= u->until_ms && now_ms >= u->asked_ms;
}

/* What was so at the latest sign counts until this one. */
static void
measure(struct uplink *u, int64_t now_ms)
{
	if (u->seen_ms && now_ms > u->seen_ms) {
		u->sum_ms += now_ms - u->seen_ms;
		if (!u->down_ms)
			u->up_sum_ms += now_ms - u->seen_ms;
	}
	u->seen_ms = now_ms;
}

void
uplink_works(struct uplink *u, int64_t now_ms)
{
	measure(u, now_ms);
	u->failures = 0;
	u->pause_ms = u->until_ms = u->asked_ms = u->down_ms = 0;
}

void
uplink_fails(struct uplink *u, int64_t retry_after_s, uint32_t random, int64_t now_ms)
{
	int64_t asked = retry_after_s < 0 ? 0 : retry_after_s > UPLINK_ASKED_MAX_MS / 1000 ? UPLINK_ASKED_MAX_MS : retry_after_s * 1000;

	measure(u, now_ms);
	if (!u->down_ms)
		u->down_ms = now_ms;
	if (++u->failures < UPLINK_FAILURES && !asked)
		return;
	u->pause_ms = u->pause_ms ? u->pause_ms * 2 : UPLINK_PAUSE_MS;
	if (u->pause_ms > UPLINK_PAUSE_MAX_MS)
		u->pause_ms = UPLINK_PAUSE_MAX_MS;
	/* From half of it to all of it. */
	u->until_ms = now_ms + u->pause_ms / 2 + random % (u->pause_ms / 2 + 1);
	u->asked_ms = now_ms + asked;
}

void
uplink_heard(struct uplink *u)
{
	u->until_ms = 0;
}

int64_t
uplink_down_for(const struct uplink *u, int64_t now_ms)
{
	return u->down_ms ? now_ms - u->down_ms : 0;
}

double
uplink_availability(const struct uplink *u)
{
	return u->sum_ms ? (double)u->up_sum_ms / (double)u->sum_ms : 1;
}
