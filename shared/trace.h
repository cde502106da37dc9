/*
 * trace.h - W3C Trace Context: a task's `traceparent` says to which trace it belongs, and which span of that gave it.
 *
 * "00-<trace id, 32 hexadecimal digits>-<span id, 16>-<flags, 2>"; later versions may have more behind another "-".
 */
#ifndef UW_TRACE_H
#define UW_TRACE_H

#include <stdbool.h>

#define TRACE_MAX 64            /* with the NUL; of version 00: 56 */

bool trace_is_valid(const char *text);

/* The beginning of a new trace, from the system's random source. */
void trace_make(char out[TRACE_MAX]);

#endif
