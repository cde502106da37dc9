/*
 * err.h - why something failed: a code for the program, a sentence for the
 * person, and, for bad input, the field with what was expected and what came.
 *
 * The function that knows the cause fills the struct in; every level that knows
 * more may add a few words with err_wrap(); one place decides what to do.
 * A struct err is plain memory: zero it, copy it, let it go out of scope.
 */
#ifndef UW_ERR_H
#define UW_ERR_H

/*       symbol             on the wire              meaning */
#define ERR_CODES(X)                                                                  \
	X(ERR_NONE,          "none",          "no error")                             \
	X(ERR_PARSE,         "parse",         "not well-formed")                      \
	X(ERR_INVALID,       "invalid",       "a field has a wrong type or value")    \
	X(ERR_MISSING,       "missing",       "a required field is missing")          \
	X(ERR_TOO_BIG,       "too_big",       "larger than the limit")                \
	X(ERR_UNKNOWN_TOOL,  "unknown_tool",  "no such tool")                         \
	X(ERR_UNKNOWN_HOUSE, "unknown_house", "no such house")                        \
	X(ERR_UNKNOWN_TASK,  "unknown_task",  "no such task")                         \
	X(ERR_ID_REQUIRED,   "id_required",   "an exclusive task needs id or key")    \
	X(ERR_CONFLICT,      "conflict",      "same id or key, other content")        \
	X(ERR_STALE,         "stale",         "older than what is still remembered")  \
	X(ERR_WRONG_STATE,   "state",         "not possible in this state")           \
	X(ERR_BUSY,          "busy",          "a limit is reached, try again later")  \
	X(ERR_DENIED,        "denied",        "not allowed")                          \
	X(ERR_APPROVAL,      "approval",      "needs the sovereign's approval")       \
	X(ERR_UNPROVEN,      "unproven",      "done, but its proof does not hold")    \
	X(ERR_PATH,          "path",          "outside of the configured roots")      \
	X(ERR_NOT_FOUND,     "not_found",     "the thing asked for does not exist")   \
	X(ERR_TIMEOUT,       "timeout",       "took longer than allowed")             \
	X(ERR_NETWORK,       "network",       "the network or a peer failed")         \
	X(ERR_TOOL,          "tool",          "the tool ran and reports a failure")   \
	X(ERR_CRASH,         "crash",         "the worker died")                      \
	X(ERR_LOST,          "lost",          "the agent that ran it is gone")        \
	X(ERR_IO,            "io",            "the operating system refused")         \
	X(ERR_STORE,         "store",         "the database failed")                  \
	X(ERR_CONFIG,        "config",        "the configuration is wrong")           \
	X(ERR_INTERNAL,      "internal",      "a fault of this program")

enum err_code {
#define X(sym, name, text) sym,
	ERR_CODES(X)
#undef X
	ERR_NCODES
};

struct err {
	enum err_code code;
	int retry_after_s;      /* busy: not before that; 0: nothing is said of it */
	char field[80];         /* "params.path"; empty when no field is at fault */
	char expected[160];
	char got[96];
	char msg[480];          /* the whole sentence, field and values included */
};

/* Each returns -1, so a failure is reported and returned in one line. e may be NULL. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Bad input: msg becomes "field: expected X, got Y". got is cut to a readable length. */
int err_field(struct err *e, enum err_code code, const char *field, const char *got,
    const char *expected_fmt, ...) __attribute__((format(printf, 5, 6)));

/* ERR_BUSY; the sentence ends with "; retry after N s". */
int err_busy(struct err *e, int retry_after_s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts context in front of the sentence: "context: sentence". Keeps code and field. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts a prefix in front of the field's path: "x" becomes "params.x". */
int err_in(struct err *e, const char *parent);

const char *err_code_name(enum err_code code);
enum err_code err_code_parse(const char *name);        /* ERR_INTERNAL if there is none */

#endif
