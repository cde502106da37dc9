#include "tool.h"

/*
 * The task is the message. Its agent has it on the disk, and on those of all in step, before it says accepted; the event
 * of that has the parameters in it, comes to whoever listens in the house's numbered stream, and waits in the outbox while
 * there is no broker. So there is nothing left to do here but to say how many they were.
 */
static int
telemetry_report_run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)e;
	json_put_open(result, '{');
	json_kv_int(result, "events", cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(r->params, "events")));
	json_put_close(result, '}');
	return 0;
}

const struct tool tool_telemetry_report = {
	.name = "telemetry_report",
	.summary = "Tells the cluster, Timmy first of all, what happened: safe, in order and once, for the task itself is the message",
	.schema = "{\"type\":\"object\",\"required\":[\"events\"],\"properties\":{"
	    "\"events\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":256,"
	    "\"items\":{\"type\":\"object\",\"required\":[\"type\"],\"additionalProperties\":true,\"properties\":{"
	    "\"type\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z][A-Za-z0-9._:-]*$\",\"maxLength\":64,"
	    "\"description\":\"What kind of event it is.\"}}},"
	    "\"description\":\"What happened, in its order; members beside `type` are free. All of it is in the `accepted` event of "
	    "the task, where everybody who may read the house's events sees it.\"}}}",
	.effect = TOOL_READ,
	.flags = TOOL_QUICK | TOOL_TOLD,
	.timeout_s = 10,
	.run = telemetry_report_run,
};
