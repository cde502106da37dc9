#include "param.h"

#include "clock.h"
#include "tool.h"

#define NO_DEADLINE_MS 3600000

static const cJSON *
find(const struct tool_run *r, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(r->params, name);
}

const char *
param_str(const struct tool_run *r, const char *name)
{
	return cJSON_GetStringValue(find(r, name));
}

int64_t
param_int(const struct tool_run *r, const char *name)
{
	int64_t n = 0;

	json_int(find(r, name), &n);
	return n;
}

bool
param_bool(const struct tool_run *r, const char *name)
{
	return cJSON_IsTrue(find(r, name));
}

int64_t
run_deadline(const struct tool_run *r, int64_t spare_ms)
{
	return (r->deadline_ms ? r->deadline_ms : clock_mono_ms() + NO_DEADLINE_MS) - spare_ms;
}
