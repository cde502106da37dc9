/*
 * service.h - services of the host: systemd's units, or launchd's jobs on macOS, in the same words.
 *
 * Read from `systemctl show`, whose "Name=value" lines are meant for programs; times are taken as
 * microseconds of the monotonic clock, so that neither locale nor time zone matters.
 */
#ifndef UW_SERVICE_H
#define UW_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"

struct buf;
struct err;
struct tool_run;

#define SERVICE_UNIT_PATTERN "^[A-Za-z0-9_][A-Za-z0-9:_.@\\\\\\\\-]*$"      /* within a JSON text within C */

#define SERVICE_TEXT 256

/* Texts are empty and numbers -1 where the system does not tell. */
struct service {
	char id[SERVICE_TEXT];                  /* "nginx.service", also when asked for as "nginx" */
	char names[1024];                       /* all it is called, separated by blanks */
	char description[SERVICE_TEXT];
	char load[32];                          /* loaded not-found masked error bad-setting */
	char active[32];                        /* active inactive failed activating deactivating reloading */
	char sub[32];                           /* running exited dead ... */
	char file_state[32];                    /* enabled disabled static masked ... */
	char type[32];                          /* simple oneshot notify ... */
	char can_reload[8];                     /* yes no */
	char result[32];                        /* success exit-code signal timeout ... */
	char status_text[SERVICE_TEXT];         /* what the service says of itself */
	char invocation[64];                    /* another one after each start */
	int64_t main_pid;
	int64_t exit_status;                    /* of the last end of the main process */
	int64_t restarts;                       /* made by systemd itself */
	int64_t memory, tasks;
	int64_t cpu_ns;
	int64_t active_since_us;                /* CLOCK_MONOTONIC; 0: never */
};

/* ERR_WRONG_STATE where no systemd (launchd) runs, ERR_NOT_FOUND for an unknown unit, ERR_TIMEOUT. */
int service_read(const char *unit, int64_t deadline_ms, struct service *s, struct err *e);

/* The text of `systemctl show`, and of `launchctl print`. False if there is no unit in it. */
bool service_systemd_parse(const char *text, struct service *s);
bool service_launchd_parse(const char *text, struct service *s);

/* As a JSON object. */
void service_put(const struct service *s, struct buf *out);

/* True if this is not worse than it should be: running, or a oneshot that ended well. */
bool service_is_fine(const struct service *s);

/* What may be done to a service. */
#define SERVICE_ACTIONS(X)             \
	X(SERVICE_START,   "start")    \
	X(SERVICE_STOP,    "stop")     \
	X(SERVICE_RESTART, "restart")  \
	X(SERVICE_RELOAD,  "reload")   \
	X(SERVICE_ENABLE,  "enable")   \
	X(SERVICE_DISABLE, "disable")

enum service_action {
#define X(sym, name) sym,
	SERVICE_ACTIONS(X)
#undef X
	SERVICE_NACTIONS
};

const char *service_action_name(enum service_action a);

/* Asks for it and waits until the system says that it is done. ERR_DENIED, ERR_TOOL, ERR_TIMEOUT. */
int service_ask(enum service_action a, const char *unit, int64_t deadline_ms, struct err *e);

/* True if it is as the action wants it, so that there is nothing to do (never for restart, reload). */
bool service_has(enum service_action a, const struct service *s);

/* True if `after` proves that the action, which the system said is done, had its effect. */
bool service_proves(enum service_action a, const struct service *before, const struct service *after);

/* By every name it has: a place may be marked by any. */
int service_touch(const struct service *s, struct plan *p, enum plan_access access, struct err *e);

/* Nothing that can be seen is different. */
bool service_same(const struct service *a, const struct service *b);

#endif
