/*
 * mutant.h - bugs that can be planted in the core, to see whether the simulator finds them. Without
 * UW_MUTATIONS, which only the simulator's own build defines, none of this is in the program.
 */
#ifndef UW_CORE_MUTANT_H
#define UW_CORE_MUTANT_H

/*        symbol                  name                 seeds  what is done wrong */
#define MUTANTS(X)                                                                                             \
	X(MUTANT_NONE,            "none",              0,     "nothing")                                       \
	X(MUTANT_NO_DEDUPE,       "no-dedupe",         10,    "an id that comes again is not looked up")       \
	X(MUTANT_NO_KEYS,         "no-keys",           20,    "a key that comes again is not looked up")       \
	X(MUTANT_NO_REDELIVERY,   "no-redelivery",     400,   "a message that comes again is taken for new")   \
	X(MUTANT_NO_FSYNC,        "no-fsync",          20,    "what is acknowledged is not synced")            \
	X(MUTANT_FAILED_COMMIT,   "failed-commit",     20,    "a commit that failed is taken for done")        \
	X(MUTANT_ACK_EARLY,       "ack-early",         400,   "messages are acknowledged before the commit")   \
	X(MUTANT_REPEAT_LOST,     "repeat-lost",       20,    "exclusive work runs again after its agent died") \
	X(MUTANT_REPEAT_FAILED,   "repeat-failed",     20,    "exclusive work that failed half-way is retried") \
	X(MUTANT_EARLY_START,     "early-start",       40,    "exclusive work starts before it is on disk")    \
	X(MUTANT_NO_RECOVERY,     "no-recovery",       20,    "what ran when the agent died is left running")  \
	X(MUTANT_DROP_OUTBOX,     "drop-outbox",       10,    "the outbox is emptied at a reconnect")          \
	X(MUTANT_KEEP_OUTBOX,     "keep-outbox",       10,    "what was sent stays in the outbox's rows")      \
	X(MUTANT_NO_RESEND,       "no-resend",         40,    "a forward that got lost is not sent again")     \
	X(MUTANT_FORGET_DIRTY,    "forget-dirty",      10,    "the last of a turn's tasks is not written")     \
	X(MUTANT_REFILL_SKIPS,    "refill-skips",      40,    "a refill of the window skips a task")           \
	X(MUTANT_CRASH_BUDGET,    "crash-budget",      20,    "crashes are not counted")                       \
	X(MUTANT_RETRY_BUDGET,    "retry-budget",      20,    "failures are not counted")                      \
	X(MUTANT_REPEAT_HOPELESS, "repeat-hopeless",   20,    "what failed for good is tried again")           \
	X(MUTANT_CANCEL_FORGOTTEN, "cancel-forgotten", 60,    "the next owner does not know of a cancel")      \
	X(MUTANT_GIVEN_UNKNOWN,   "given-unknown",     40,    "followers do not note who gave an attempt away")  \
	X(MUTANT_HISTORY_UNTOLD,  "history-untold",    20,    "followers do not hear what became of attempts") \
	X(MUTANT_EVENT_NUMBERS,   "event-numbers",     10,    "the numbers of events are not on disk")         \
	X(MUTANT_OPEN_COUNT,      "open-count",        40,    "expired tasks stay counted as open")            \
	X(MUTANT_NO_STALE,        "no-stale",          60,    "an id that was forgotten is taken for new")       \
	X(MUTANT_STALE_HEALTH,    "stale-health",      40,    "retained health is taken for a sign of life")     \
	X(MUTANT_KEEP_LEASE,      "keep-lease",        40,    "an owner goes on when its pulse does not come back") \
	X(MUTANT_CLAIM_ANYHOW,    "claim-anyhow",      40,    "one that is not in step claims as if it were")    \
	X(MUTANT_NO_COPIES,       "no-copies",         40,    "answers do not wait for copies")                  \
	X(MUTANT_EARLY_GO,        "early-go",          40,    "exclusive work begins before others know it")     \
	X(MUTANT_NO_FENCE,        "no-fence",          80,    "events of former terms are followed")             \
	X(MUTANT_ADOPT_FORGETS,   "adopt-forgets",     40,    "what a former owner had alone is not taken in")   \
	X(MUTANT_SEEN_FORGOTTEN,  "seen-forgotten",    40,    "a new owner does not look at what nobody answered") \
	X(MUTANT_SYNC_SKIPS,      "sync-skips",        40,    "some rows are skipped while getting in step")     \
	X(MUTANT_EQUAL_TERMS,     "equal-terms",       20,    "a claim has no higher number than the last")      \
	X(MUTANT_NO_DOUBT,        "no-doubt",          40,    "an unclean owner doubts nothing")                 \
	X(MUTANT_MINORITY,        "minority",          20,    "a house is held without a majority")              \
	X(MUTANT_PRUNE_UNTOLD,    "prune-untold",      100,   "what was forgotten is not told to who gets in step") \
	X(MUTANT_AUDIT_SKIPS,     "audit-skips",       20,    "some outcomes are not recorded")                  \
	X(MUTANT_AUDIT_ANEW,      "audit-anew",        20,    "the audit chain begins anew with each life")       \
	X(MUTANT_ANY_HASH,        "any-hash",          10,    "a decision is not compared with what is decided") \
	X(MUTANT_FORGET_HALT,     "forget-halt",       10,    "a halt is forgotten when its agent ends")       \
	X(MUTANT_START_BEHIND,    "start-behind",      10,    "what others are known to hold is not waited for") \
	X(MUTANT_GRANT_ANY_COUNT, "grant-any-count",   20,    "grants are used more often than they allow")    \
	X(MUTANT_OLD_NUMBER,      "old-number",        10,    "an object with a lower number is taken")        \
	X(MUTANT_DROP_DECISION,   "drop-decision",     20,    "a decision is not kept for the next owner")     \
	X(MUTANT_AFTER_FIRST,     "after-first",       20,    "a task waits for one of several only")          \
	X(MUTANT_AFTER_FORGOTTEN, "after-forgotten",   40,    "a new owner does not look at what waits for others") \
	X(MUTANT_SCHEDULE_ANY_ID, "schedule-any-id",   20,    "a run of a schedule has another id with each owner") \
	X(MUTANT_SCHEDULE_SKIPS,  "schedule-skips",    40,    "a new owner of a house does not look at what was missed") \
	X(MUTANT_ROUTINE_UNTOLD,  "routine-untold",    20,    "followers do not hear of schedules that were added") \
	X(MUTANT_ROUTINE_AGAIN,   "routine-again",     20,    "a new owner makes the runs of schedules that were added anew") \
	X(MUTANT_OUTPUT_OFFSET,   "output-offset",     10,    "what is cut off the front of an output is not counted whole") \
	X(MUTANT_ADAPT_ALL,       "adapt-all",         20,    "what was learned changes how every task is run") \
	X(MUTANT_NO_TURNS,        "no-turns",          40,    "a sender goes on for as long as he has tasks") \
	X(MUTANT_NO_AGE,          "no-age",            80,    "low priority waits for as long as there is higher") \
	X(MUTANT_FLOW_FORGOTTEN,  "flow-forgotten",    40,    "a new owner does not count what runs already") \
	X(MUTANT_FLOW_FULL,       "flow-full",         40,    "a new owner begins with all tokens that may be saved up") \
	X(MUTANT_BREAKER_PROBES,  "breaker-probes",    40,    "a breaker that is half-open lets everybody try") \
	X(MUTANT_BREAKER_UNTOLD,  "breaker-untold",    40,    "followers do not hear of breakers") \
	X(MUTANT_ALERT_ALL,       "alert-all",         40,    "everybody says who is gone") \
	X(MUTANT_STRESS_ALL,      "stress-all",        40,    "under stress every priority is refused") \
	X(MUTANT_STRESS_STAYS,    "stress-stays",      20,    "stress is never over") \
	X(MUTANT_TRACE_LOST,      "trace-lost",        20,    "an attempt on another agent is in no trace") \
	X(MUTANT_KEEP_LACKING,    "keep-lacking",      40,    "an owner keeps a house though others have what it needs and it has not")

enum mutant {
#define X(sym, name, seeds, what) sym,
	MUTANTS(X)
#undef X
	MUTANT_COUNT
};

#ifdef UW_MUTATIONS
struct mutant_def {
	const char *name;
	int seeds;                      /* that find it */
	const char *what;
};

extern enum mutant core_mutant;
extern const struct mutant_def mutants[MUTANT_COUNT];

#define IS_MUTANT(m) (core_mutant == (m))
#else
#define IS_MUTANT(m) false
#endif

#endif
