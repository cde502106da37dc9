/*
 * alert.h - what an alert is about, in one table: names, thresholds, what to do. houses.yaml (`alerts`), the agents
 * that raise them, `uni-wizard alerts` and docs/TROUBLESHOOTING.md all read it.
 *
 * An alert is raised when its value was beyond the threshold for raise_s, and cleared when it was not for clear_s.
 */
#ifndef UW_ALERT_H
#define UW_ALERT_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct config;

enum alert_side { ALERT_ABOVE, ALERT_BELOW };   /* the threshold */

/*        symbol                  name                    severity    unit        side         limit raise clear what it says, what to do */
#define ALERTS(X)                                                                                                                  \
	X(ALERT_AGENT_GONE,       "agent-gone",           "critical", "s",        ALERT_ABOVE,     5,  10,  10,                    \
	  "an agent of houses.yaml is not heard",                                                                                  \
	  "`uni-wizard doctor --agent NAME` on its host; start its service, or take it out of houses.yaml")                        \
	X(ALERT_HOUSE_VACANT,     "house-vacant",         "critical", "s",        ALERT_ABOVE,     0,  15,  10,                    \
	  "a house has no owner: nothing of it starts",                                                                            \
	  "start an agent that may own NAME; `uni-wizard house list` shows who that is")                                           \
	X(ALERT_UNCLEAN_TAKEOVER, "unclean-takeover",     "critical", "",         ALERT_ABOVE,     0,   0,  60,                    \
	  "a house was taken over by an agent that may have missed the last tasks; exclusive ones are uncertain",                  \
	  "`uni-wizard task list --state uncertain --house NAME`; bring the former owner back: it tells what it had")              \
	X(ALERT_QUEUE_AGE,        "queue-age",            "warning",  "s",        ALERT_ABOVE,   600,  30,  60,                    \
	  "the oldest queued task of a house has waited for long",                                                                 \
	  "`uni-wizard house list`, `uni-wizard task list --house NAME`: more agents or workers, or fewer tasks")                  \
	X(ALERT_FAILURE_RATE,     "failure-rate",         "warning",  "%",        ALERT_ABOVE,    25,  30, 120,                    \
	  "of what ended in a house in the last minutes, much failed",                                                             \
	  "`uni-wizard task dead --house NAME` says why; `uni-wizard breaker list` what is down")                                  \
	X(ALERT_BREAKER_OPEN,     "breaker-open",         "warning",  "breakers", ALERT_ABOVE,     0,  30,  60,                    \
	  "a tool's target fails, and tasks for it are held",                                                                      \
	  "`uni-wizard breaker list --house NAME` names it; mend that, then `uni-wizard breaker close`")                           \
	X(ALERT_BUFFER_FILLING,   "buffer-filling",       "warning",  "%",        ALERT_ABOVE,    50,  10,  30,                    \
	  "what waits for the broker fills limits.outbox_bytes; then events are given up",                                         \
	  "bring the broker or the way to it back: `uni-wizard doctor` on the agent's host")                                       \
	X(ALERT_DISK_LOW,         "disk-low",             "critical", "MiB",      ALERT_BELOW,   256,  10,  60,                    \
	  "little is free where the agent's database is; below limits.min_free_bytes it refuses tasks",                            \
	  "make room there, or lower `retention`")                                                                                 \
	X(ALERT_CERT_EXPIRING,    "certificate-expiring", "warning",  "days",     ALERT_BELOW,    14,   0,   0,                    \
	  "the agent's certificate ends soon; after that the broker refuses it",                                                   \
	  "`uni-wizard pki renew` where ca.key is, and bring the file; nothing has to be restarted")                               \
	X(ALERT_CLOCK_SKEW,       "clock-skew",           "warning",  "ms",       ALERT_ABOVE,  5000,  30,  30,                    \
	  "the agent's clock differs from that of most others",                                                                    \
	  "set its clock by NTP: `timedatectl set-ntp true`")                                                                      \
	X(ALERT_TELEMETRY_LAG,    "telemetry-lag",        "warning",  "s",        ALERT_ABOVE,    30,  10,  30,                    \
	  "what the agent tells comes late: the broker has not taken it yet",                                                      \
	  "look at the broker's load and at the way to it: `uni-wizard doctor` on the agent's host")                               \
	X(ALERT_SYNC_FAULT,       "sync-fault",           "warning",  "devices",  ALERT_ABOVE,     0,  60,  30,                    \
	  "hosts that this one shares files with are not connected, a folder has a fault, or its own Syncthing is silent",         \
	  "`uni-wizard sync status` on the agent's host says which and why; `uni-wizard doctor` what to do")                       \
	X(ALERT_SYNC_BEHIND,      "sync-behind",          "warning",  "s",        ALERT_ABOVE,   900,   0,   0,                    \
	  "files of other hosts have been still to come for long",                                                                 \
	  "`uni-wizard sync status` on the agent's host: who has them, and how many; look at the way there, and at its disk")      \
	X(ALERT_APPROVALS,        "approvals-waiting",    "warning",  "s",        ALERT_ABOVE,   900,   0,   0,                    \
	  "a task has waited for the sovereign's decision for long",                                                               \
	  "`uni-wizard approvals` lists what waits")

enum alert_kind {
#define X(sym, ...) sym,
	ALERTS(X)
#undef X
	ALERT_COUNT
};

struct alert_rule {
	const char *name, *severity, *unit;
	enum alert_side side;
	int64_t limit, raise_s, clear_s;
	const char *what, *mend;
};

extern const struct alert_rule alert_rules[ALERT_COUNT];

enum alert_kind alert_kind_find(const char *name);      /* ALERT_COUNT: no such alert */
/* "agent-gone.ezra-1", as on its topic: what comes before the point. */
enum alert_kind alert_kind_of(const char *topic_id);

struct alert_state {
	bool raised;
	int64_t since_ms;       /* mono: it has been otherwise than that for so long; 0: it is not */
};

/* 1: raised just now, -1: cleared just now, 0: as it was. now_ms > 0. */
int alert_judge(struct alert_state *s, const struct alert_rule *r, int64_t value, int64_t now_ms);
bool alert_is_beyond(const struct alert_rule *r, int64_t value);

/* Every rule as a section of docs/TROUBLESHOOTING.md: its runbook. */
void alert_rules_markdown(struct buf *out);

#endif
