#include "patient.h"

#include <string.h>

#include "buf.h"

const struct patient_alert patient_alerts[VITALS_COUNT] = {
	[VITALS_FAILING] = { "agent-failing", "warning", 60, "an agent of this host says that it cannot do its work",
	    "`uni-wizard health` there says what; `uni-wizard doctor --agent NAME` how to mend it" },
	[VITALS_HUNG] = { "agent-hung", "critical", 30, "an agent of this host lives and answers nobody; it is ended, so that it is started again",
	    "its log says what it did last; if it comes again, look at the disk: `uni-wizard doctor --agent NAME`" },
	[VITALS_DOWN] = { "agent-down", "critical", 30, "an agent of this host does not run",
	    "`systemctl status uni-wizard` and its log there; start it, or remove its database if it is to be gone" },
};

void
patient_alerts_markdown(struct buf *out)
{
	for (int s = 0; s < VITALS_COUNT; s++) {
		const struct patient_alert *a = &patient_alerts[s];

		if (a->name)
			buf_addf(out, "### %s\n\n%c%s. %s; raised when it lasts for %lld s, by the host's watcher (`uni-wizard health "
			    "--watch`), and by no agent.\n\nWhat to do: %s.\n\n", a->name, a->what[0] - 'a' + 'A', a->what + 1,
			    strcmp(a->severity, "critical") == 0 ? "Critical" : "Warning", (long long)a->raise_s, a->mend);
	}
}

/* Those that are no longer within the hour are forgotten. */
static void
forget_old(struct patient *p, int64_t now_ms)
{
	int old = 0;

	while (old < p->nended && now_ms - p->ended_ms[old] >= PATIENT_HOUR_MS)
		old++;
	p->nended -= old;
	memmove(p->ended_ms, p->ended_ms + old, (size_t)p->nended * sizeof *p->ended_ms);
}

/* Each time it gets as long to answer as the first time. */
static void
judge_end(struct patient *p, struct patient_verdict *v, int64_t hung_ms, int64_t now_ms)
{
	int64_t last = p->nended ? p->ended_ms[p->nended - 1] : 0;

	forget_old(p, now_ms);
	if (p->state != VITALS_HUNG || now_ms - p->since_ms < hung_ms || (last && now_ms - last < hung_ms))
		return;
	v->enough = p->nended == PATIENT_ENDS;
	v->end = !v->enough;
	if (v->end)
		p->ended_ms[p->nended++] = now_ms;
}

struct patient_verdict
patient_judge(struct patient *p, enum vitals_state state, int64_t hung_ms, int64_t now_ms)
{
	struct patient_verdict v = { .clear = VITALS_WELL, .raise = VITALS_WELL };

	if (!p->since_ms || state != p->state) {
		p->state = state;
		p->since_ms = now_ms;
	}
	if (p->raised != VITALS_WELL && p->raised != state) {
		v.clear = p->raised;
		p->raised = VITALS_WELL;
	}
	if (p->raised == VITALS_WELL && state != VITALS_WELL && now_ms - p->since_ms >= patient_alerts[state].raise_s * 1000) {
		v.raise = state;
		p->raised = state;
	}
	judge_end(p, &v, hung_ms, now_ms);
	/* Told with the first end, though that may come sooner. */
	if (v.end && p->raised == VITALS_WELL)
		v.raise = p->raised = VITALS_HUNG;
	return v;
}
