/*
 * mcp_jobs.h - what calls of the MCP server do in the cluster: tasks are submitted, looked for, listed and cancelled, all in the
 * name of one identity.
 *
 * Nothing waits here: replies and messages of the client come in, and jobs_tick() does what is due. A call ends when its task has, when
 * it waits for approval, or when the time is over; the task goes on then.
 */
#ifndef UW_MCP_JOBS_H
#define UW_MCP_JOBS_H

#include "client.h"
#include "mcp.h"

struct jobs;

struct jobs_opts {
	const struct config *config;
	const char *identity;
	const char *house;              /* "_": the router chooses */
	const char *mode;               /* NULL: not said */
	int64_t wait_ms;                /* for the end of a task, at most */
};

struct jobs *jobs_new(const struct jobs_opts *o);
/* Both are used until jobs_free(). */
void jobs_connect(struct jobs *j, struct mcp *m, struct client *c);
void jobs_free(struct jobs *j);

/* Callbacks of struct mcp_opts and struct client_opts; arg is the jobs. */
void jobs_on_begin(void *arg, struct mcp_call *call);
void jobs_on_stop(void *arg, struct mcp_call *call);
void jobs_on_reply(void *arg, const struct client_reply *r);
void jobs_on_message(void *arg, const char *topic, const char *payload, size_t len);

/* Does what is due. Returns in how many ms it wants to be called again, at most 500. */
int jobs_tick(struct jobs *j, int64_t now_ms);

/* The client cannot work: all calls end with this. */
void jobs_fail(struct jobs *j, const struct err *e);

/* There is something left to do though nobody asked for it any more: a cancel that no house has taken yet. */
bool jobs_are_busy(const struct jobs *j);

#endif
