/*
 * vitals.h - how an agent that runs on this machine is, as somebody finds who is not the agent: it is asked over its
 * socket, and one that is stuck is known by that its process took the connection and says nothing.
 */
#ifndef UW_VITALS_H
#define UW_VITALS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

/*        symbol           as it is told */
#define VITALS(X)                      \
	X(VITALS_WELL,    "well")      \
	X(VITALS_FAILING, "failing")   /* it says itself what is wrong */ \
	X(VITALS_HUNG,    "hung")      /* it lives, and does not answer */ \
	X(VITALS_DOWN,    "down")      /* there is none */

enum vitals_state {
#define X(sym, name) sym,
	VITALS(X)
#undef X
	VITALS_COUNT
};

struct vitals {
	enum vitals_state state;
	pid_t pid;                      /* 0: not known */
	int pidfd;                      /* of it; -1: none. Kept over looks, as long as the process is the same */
	int64_t answer_ms;              /* what it took; -1: there was none */
	cJSON *health;                  /* its answer; NULL: none */
	char why[256];                  /* for people; "" if it is well */
};

const char *vitals_name(enum vitals_state s);

void vitals_init(struct vitals *v);
void vitals_release(struct vitals *v);

/* Whether it lives here, or did: it has a socket or a database. */
bool vitals_are_here(const struct config *c, const char *agent);

/* Asks it, and waits for limit_ms. */
void vitals_look(struct vitals *v, const struct config *c, const char *agent, int64_t limit_ms);

bool vitals_are_alive(const struct vitals *v);  /* its process, as far as that is known */

/* Sends its process a signal; -1 with errno. No other process ever gets it where there are pidfds. */
int vitals_signal(const struct vitals *v, int signum);

#endif
