/*
 * frame.h - what pool.c and worker.c say to each other: length-prefixed binary frames on a
 * socketpair, and a page of shared memory.
 *
 * Both ends are the same program on the same machine, so numbers are as the machine has them. A
 * frame is a header and a body; frames are not aligned, so headers are copied out.
 *
 *   request    body: struct frame_request, then tool, house, task id, traceparent, parameters, terms, each ended by NUL
 *   hello      body: empty; seq is FRAME_VERSION
 *   broken     body: why the worker cannot serve, ended by NUL; it ends after that
 *   result     body: one JSON value, ended by NUL
 *   failure    body: the code and when to come again in seconds (uint32_t each), then field, expected, got and message,
 *              each ended by NUL
 *   skipped    body: empty; the attempt was called off before it began
 *   log        body: live output of the tool, valid UTF-8 without NUL, not ended
 *   progress   body: what it says of itself, likewise; time: percent, -1 if it does not know
 *   notes      body: one JSON object, ended by NUL; goes before the result or failure that it belongs to
 *
 * The worker answers requests in their order, so seq of an answer is always the oldest one out.
 */
#ifndef UW_FRAME_H
#define UW_FRAME_H

#include <stdatomic.h>
#include <stdint.h>

#include "pool.h"

#define FRAME_VERSION 4
#define FRAME_SOCKET 3          /* descriptors of the worker */
#define FRAME_PAGE 4
#define FRAME_LOG_MAX 8192u     /* body of one log frame */
#define FRAME_ERR_MAX 2048u     /* body of a failure */
#define FRAME_NOTES_MAX 65536u  /* body of notes */
#define FRAME_TEMP_MAX 288u

enum frame_kind { FRAME_REQUEST, FRAME_HELLO, FRAME_BROKEN, FRAME_RESULT, FRAME_FAILURE, FRAME_SKIPPED,
	FRAME_LOG, FRAME_NOTES, FRAME_PROGRESS, FRAME_NKINDS };

#define FRAME_QUICK 1u          /* request: the tool is TOOL_QUICK */
#define FRAME_NO_EFFECT 2u      /* failure: nothing was changed */
#define FRAME_PLAN 4u           /* request: only the plan is asked for */
#define FRAME_TERMS 8u          /* request: it has terms */
#define FRAME_REFUSED 16u       /* failure: these kept it from running */
#define FRAME_HOPELESS 32u      /* failure: another try would end like this one */
#define FRAME_DOWN 64u          /* failure: it speaks of the target */

struct frame {
	uint32_t len;           /* of the whole frame, this header included */
	uint16_t kind;
	uint16_t flags;
	uint64_t seq;           /* counts the requests of one worker from 1 */
	int64_t time;           /* request: timeout in ms; answer: microseconds in the tool */
};

struct frame_request {
	uint32_t tool_len, house_len, task_len, trace_len, params_len, terms_len;  /* without the NULs */
};

/* The worker writes `begun` before it does anything for an attempt, so what it says survives its
 * death. The complement guards against a stray write of a broken tool: if the two do not fit,
 * the attempt counts as begun. */
struct worker_page {
	int32_t parent;                         /* written by the pool, before the worker starts */
	_Atomic uint32_t walls;                 /* by the worker, before it says hello: see sandbox.h */
	int64_t grace_ms;
	uint64_t max_output;
	char temp[FRAME_TEMP_MAX];              /* a directory that it makes and has for itself; "": none */
	_Atomic uint64_t skip[POOL_QUICK_DEPTH];        /* by seq: do not begin this one */

	_Atomic uint64_t begun, not_begun;      /* written by the worker: seq and ~seq */
	_Atomic int64_t begun_us;
};

#endif
