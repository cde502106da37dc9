/*
 * mcp.h - the Model Context Protocol, as a server offers it over one line in and one line out: which version is spoken, what
 * tools there are, calls of them and their cancelling.
 *
 * It knows nothing of the cluster: who runs the calls is told of each when it begins and when it is to stop, and tells its
 * progress and its end.
 *
 * Clients of two kinds are served, also at once: those that begin with `initialize` (versions up to 2025-11-25), and those
 * that say with each request which version it is of (from 2026-07-28).
 */
#ifndef UW_MCP_H
#define UW_MCP_H

#include "rpc.h"
#include "tool.h"

#define MCP_CALLS_MAX 64                /* that have no answer yet */
#define MCP_PAGE 100                    /* tools in one answer */
#define MCP_WAIT_MAX 3600               /* seconds that a call may wait for an end */
#define MCP_CLIENT_MAX 64

struct mcp;
struct mcp_version;

/* What is asked: a tool of the cluster, or a look at tasks. */
enum mcp_ask { MCP_RUN, MCP_SHOW, MCP_LIST, MCP_CANCEL, MCP_NASKS };

struct mcp_call {
	enum mcp_ask ask;
	const struct tool *tool;        /* MCP_RUN */
	cJSON *args;                    /* an object; checked, but for those of a tool of the cluster */
	bool resource;                  /* it is read as one, not called */
	bool wants_progress;
	char traceparent[64];           /* "": none came */
	char client[MCP_CLIENT_MAX + 1];        /* who it says it is; "": it does not */
	void *job;                      /* whoever runs it may keep something here */

	/* Its own. */
	struct rpc_call rpc;
	const struct mcp_version *version;
	char uri[80];
	char token[RPC_ID_MAX + 1];     /* of its progress, as JSON */
	double progress;                /* told last */
};

struct mcp_opts {
	const struct registry *tools;
	const char *const *allow;       /* patterns of the tools that are offered, ended by NULL; NULL: all */
	const char *sovereign;          /* who approves, as it is told to clients */
	void *line_arg;
	void (*on_line)(void *line_arg, const char *line, size_t len);
	void *arg;
	void (*on_begin)(void *arg, struct mcp_call *c);        /* may end it at once */
	void (*on_stop)(void *arg, struct mcp_call *c);         /* nobody waits any more; it is gone after this */
	void (*warn)(const char *msg, void *arg);               /* NULL: nobody is told */
};

struct mcp *mcp_new(const struct mcp_opts *o);
void mcp_free(struct mcp *m);           /* calls are forgotten without a word */

/* What the client sent. */
void mcp_feed(struct mcp *m, const char *data, size_t len);

/* Calls without an answer. */
size_t mcp_count(const struct mcp *m);
struct mcp_call *mcp_at(const struct mcp *m, size_t i);

/* Ends a call, which is gone after this. json: an object on one line. */
void mcp_end(struct mcp *m, struct mcp_call *c, const char *json, size_t len, bool is_error);

/* How far it is: percent -1 if that is not known. note NULL: nothing to say. */
void mcp_progress(struct mcp *m, struct mcp_call *c, int percent, const char *note);

#endif
