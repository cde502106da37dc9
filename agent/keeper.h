/*
 * keeper.h - starts the bridge (agent/bridge) while this agent owns its house, and ends it with that: at once, for it may be
 * killed at any moment. One that dies by itself is started again, with waits that grow.
 *
 * Once a second it writes a byte to the bridge's standard input, as long as the house is ours: a bridge that hears
 * nothing does nothing, and one that comes to the end ends. So one of an agent that is frozen or gone does no harm.
 */
#ifndef UW_KEEPER_H
#define UW_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct agent;

struct keeper {
	uv_process_t process;
	uv_pipe_t pipe;
	bool runs;                      /* until both handles are closed */
	bool killed;                    /* by us */
	int open;                       /* handles */
	int64_t since_ms, again_ms;     /* mono: when it was started, and when it may be again */
	int64_t wait_ms;                /* the latest */
};

void keeper_look(struct agent *a);      /* after each turn */
void keeper_second(struct agent *a);    /* once a second */
void keeper_stop(struct agent *a);

#endif
