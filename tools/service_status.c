#include "param.h"
#include "service.h"
#include "tool.h"

static int
service_status_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct service s;

	if (service_read(param_str(r, "unit"), run_deadline(r, 500), &s, e))
		return -1;
	service_put(&s, result);
	return 0;
}

const struct tool tool_service_status = {
	.name = "service_status",
	.summary = "The state of a service of the host (systemd; launchd on macOS)",
	.schema = "{\"type\":\"object\",\"required\":[\"unit\"],\"properties\":{"
	    "\"unit\":{\"type\":\"string\",\"pattern\":\"" SERVICE_UNIT_PATTERN "\",\"maxLength\":255,"
	    "\"description\":\"Such as nginx, nginx.service, backup.timer, or a label of launchd.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 20,
	.run = service_status_run,
};
