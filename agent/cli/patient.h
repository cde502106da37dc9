/*
 * patient.h - what the watcher of a host does about one agent, by how it was found: alerts, and the end of one that is
 * stuck. Time is an argument.
 */
#ifndef UW_PATIENT_H
#define UW_PATIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "vitals.h"

#define PATIENT_ENDS 3                  /* within an hour: what does not help three times does not help */
#define PATIENT_HOUR_MS 3600000

struct patient {
	enum vitals_state state;
	int64_t since_ms;               /* mono: it has been in that state; 0: never looked at */
	enum vitals_state raised;       /* what an alert tells; VITALS_WELL: nothing */
	int64_t ended_ms[PATIENT_ENDS]; /* mono: when it was ended, the oldest first */
	int nended;
};

struct patient_alert {
	const char *name, *severity;
	int64_t raise_s;                /* it has been so for this long */
	const char *what, *mend;
};

/* By state; that of VITALS_WELL is empty. */
extern const struct patient_alert patient_alerts[VITALS_COUNT];

struct patient_verdict {
	enum vitals_state clear, raise; /* VITALS_WELL: nothing */
	bool end;                       /* its process is to be ended: noted as done */
	bool enough;                    /* it would be, but was too often */
};

/* Each as a section of docs/TROUBLESHOOTING.md. */
struct buf;
void patient_alerts_markdown(struct buf *out);

/* hung_ms: how long it may be without an answer. now_ms > 0. */
struct patient_verdict patient_judge(struct patient *p, enum vitals_state state, int64_t hung_ms, int64_t now_ms);

#endif
