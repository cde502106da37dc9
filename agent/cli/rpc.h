/*
 * rpc.h - the server's side of JSON-RPC 2.0, one message a line.
 *
 * Bytes go in with rpc_feed(); requests and notifications come out through callbacks, whenever a line is whole. Each request is
 * answered once, at once or later, by rpc_result() or rpc_error(); what is no request is answered here. A line that is too long is
 * passed over to its end and answered like any other that cannot be read: nothing that comes after it is lost.
 */
#ifndef UW_RPC_H
#define UW_RPC_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "buf.h"

#define RPC_LINE_MAX (1u << 20)         /* a task has 256 KiB at most */
#define RPC_ID_MAX 256                  /* of an id, as JSON */
#define RPC_BATCH_MESSAGES 256
#define RPC_BATCH_MAX (64u << 20)       /* answers of one batch together */

#define RPC_PARSE_ERROR (-32700)
#define RPC_INVALID_REQUEST (-32600)
#define RPC_NO_METHOD (-32601)
#define RPC_INVALID_PARAMS (-32602)
#define RPC_INTERNAL (-32603)

struct rpc_batch;

/* Whom an answer is for: plain memory, to be kept until it is given. */
struct rpc_call {
	char id[RPC_ID_MAX + 1];        /* as JSON: 7, "a" */
	struct rpc_batch *batch;        /* NULL: it came alone */
};

struct rpc {
	void *arg;
	/* params: an object or NULL; like method, borrowed for the call. */
	void (*on_request)(void *arg, const struct rpc_call *c, const char *method, const cJSON *params);
	void (*on_notification)(void *arg, const char *method, const cJSON *params);
	/* A line to send, without its newline, borrowed for the call. */
	void (*on_line)(void *arg, const char *line, size_t len);
	bool batches;                   /* arrays of messages are taken */

	/* Its own. */
	struct buf in;
	bool skips;                     /* the rest of a line that is too long */
};

void rpc_release(struct rpc *r);

void rpc_feed(struct rpc *r, const char *data, size_t len);

/* The answer to a request: json is the result; or an error, data being JSON or NULL. */
void rpc_result(struct rpc *r, const struct rpc_call *c, const char *json, size_t len);
void rpc_error(struct rpc *r, const struct rpc_call *c, int code, const char *data, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* One answer of a batch is not going to be given. */
void rpc_drop(struct rpc *r, const struct rpc_call *c);

void rpc_notify(struct rpc *r, const char *method, const char *params, size_t len);

#endif
