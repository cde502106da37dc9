/*
 * http.h - the agent's HTTP interface.
 *
 * Each connection has a thread of libmicrohttpd's, and no thread touches the core: what a request wants of the agent is
 * a call, which the loop carries out while the thread waits for a bounded time. The listening socket is the loop's until
 * somebody connects for the first time; only then libmicrohttpd is loaded.
 *
 * http.c serves: socket, threads, routes and calls. health.c and the others answer.
 */
#ifndef UW_HTTP_H
#define UW_HTTP_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"

struct agent;
struct http_call;

/* ---- for the loop ---- */

void http_open(struct agent *a);        /* an agent that cannot listen does its work all the same */
void http_second(struct agent *a);      /* once a second: connections that take too long are ended */
void http_feed(struct agent *a);        /* in a turn: what was asked of the core */
/* Lines of the core for a call; false if conn is none of ours. */
bool http_take(struct agent *a, uint64_t conn, const char *text, size_t len);
struct histogram;
const struct histogram *http_times(struct agent *a);      /* of requests */
/* What the link published (ours) or heard: for those who listen. */
void http_heard(struct agent *a, bool ours, const char *topic, const char *payload, size_t len);
/* Filters that are listened to for the sake of HTTP alone, one after the other; false at the end. */
bool http_subscription(const struct agent *a, size_t i, char *topic);
/* What comes by them: true, and it is nothing for the core. */
bool http_alert(struct agent *a, const char *topic, const char *payload, size_t len);
/* Somebody has a stream of events open. */
bool http_is_watched(struct agent *a);
void http_link_up(struct agent *a);
void http_close(struct agent *a);       /* before the loop ends */
void http_free(struct agent *a);        /* after it */

/* What the thread of a call waits for. */
void http_call_answer(struct agent *a, struct http_call *call, const char *text, size_t len);

/* ---- for what answers a request, in its connection's thread ---- */

struct http_request {
	struct agent *a;                /* only what never changes: its options */
	void *connection;
	const char *id;                 /* what stands for {id} in the path */
	struct buf body;
};

struct http_reply {
	unsigned status;                /* 0: 200 */
	const char *type;               /* NULL: JSON */
	struct buf body;
	bool page;                      /* of the dashboard */
	char location[64];
	int retry_after_s;              /* 0: with 503 it is 5 */
	struct stream *stream;          /* instead of a body (http_event.h) */
};

const char *http_argument(const struct http_request *r, const char *name);      /* of the query; NULL: not given */
const char *http_header(const struct http_request *r, const char *name);
void http_fail(struct http_reply *w, const struct err *e);      /* with the status that belongs to the code */

/* Has the loop run f, at once or, with core, hand text to the core as a line of a local connection (f is NULL). Returns
 * when http_call_answer() was called, or a line came whose type is one of last (words parted by spaces). The caller frees
 * out. */
typedef void http_call_fn(struct agent *a, struct http_call *call);
int http_call(const struct http_request *r, http_call_fn *f, int64_t limit_ms, struct buf *out, struct err *e);
int http_call_core(const struct http_request *r, const char *line, const char *last, int64_t limit_ms, struct buf *out,
    struct err *e);

/* Asks the core and parses the last line, which is the answer; lines, if not NULL, gets all that came before it, otherwise
 * w the answer itself. NULL: w has the error. */
cJSON *http_ask(const struct http_request *r, const struct buf *line, const char *last, struct http_reply *w, struct buf *lines);

/* ---- the answers ---- */

typedef void http_answer_fn(const struct http_request *r, struct http_reply *w);
http_answer_fn health_get, ready_get, metrics_get, task_post, task_list, task_get, task_cancel, events_get, cluster_get, approval_list,
    alert_list, predict_post, web_get;

#endif
