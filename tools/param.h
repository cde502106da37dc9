/*
 * param.h - reading parameters that passed the tool's schema.
 */
#ifndef UW_PARAM_H
#define UW_PARAM_H

#include <stdbool.h>
#include <stdint.h>

struct tool_run;

const char *param_str(const struct tool_run *r, const char *name);      /* NULL when absent */
int64_t param_int(const struct tool_run *r, const char *name);          /* 0 when absent */
bool param_bool(const struct tool_run *r, const char *name);            /* false when absent */

/* When a tool has to be done (clock_mono_ms()), so that spare_ms are left to report before its worker is
 * stopped. An hour ahead if the task has no deadline. */
int64_t run_deadline(const struct tool_run *r, int64_t spare_ms);

#endif
