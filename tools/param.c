#include "param.h"

#include "tool.h"

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
