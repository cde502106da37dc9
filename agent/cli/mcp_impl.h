/*
 * mcp_impl.h - what the parts of mcp.c know of each other: requests, tools, resources.
 */
#ifndef UW_MCP_IMPL_H
#define UW_MCP_IMPL_H

#include "mcp.h"

#define MCP_URI "uni-wizard://"
#define MCP_NO_RESOURCE (-32002)        /* up to 2025-11-25; invalid parameters since */

#define HAS_ANNOTATIONS 1u
#define HAS_BATCHES 2u
#define HAS_STRUCTURE 4u
#define IS_STATELESS 8u                 /* each request says its version; no initialize */

struct mcp_version {
	const char *name;
	unsigned has;
};

struct mcp {
	struct mcp_opts o;
	struct rpc rpc;
	const struct mcp_version *version;      /* of initialize; NULL: that has not come */
	char client[MCP_CLIENT_MAX + 1];
	struct mcp_call *calls[MCP_CALLS_MAX];
	size_t n;
};

/* One request on its way through here. */
struct mcp_request {
	struct mcp *m;
	const struct rpc_call *rpc;
	const struct mcp_version *version;
	const cJSON *params, *meta;
};

/* A result: its own members come between the two. The second sends and frees it. */
void mcp_result_open(struct buf *b, const struct mcp_version *v);
void mcp_result_send(struct mcp *m, const struct rpc_call *rpc, struct buf *b);
/* What is listed may be another one the next time. */
void mcp_put_ttl(struct buf *b, const struct mcp_version *v);

/* A call that is to begin; NULL: it was refused. Takes args, NULL: none. */
struct mcp_call *mcp_call_new(const struct mcp_request *r, enum mcp_ask ask, const struct tool *t, cJSON *args);
/* NULL is fine. */
void mcp_call_begin(struct mcp *m, struct mcp_call *c);

void mcp_tools_list(const struct mcp_request *r);
void mcp_tools_call(const struct mcp_request *r);
void mcp_put_tool_result(struct buf *b, const struct mcp_version *v, const char *json, size_t len, bool is_error);
/* The tools of the cluster that have the names of the server's own, and are not offered. */
void mcp_warn_of_twins(const struct mcp *m);

void mcp_resources_list(const struct mcp_request *r);
void mcp_resources_templates(const struct mcp_request *r);
void mcp_resources_read(const struct mcp_request *r);
void mcp_put_resource_result(struct buf *b, const struct mcp_call *c, const char *json, size_t len);
void mcp_send_resource_error(struct mcp *m, const struct mcp_call *c, const char *json, size_t len);

#endif
