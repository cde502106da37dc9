#include "json.h"
#include "mcp_impl.h"
#include "task.h"

static const char resources[] = "\"resources\":["
	"{\"uri\":\"" MCP_URI "tasks\",\"name\":\"tasks\",\"description\":\"Own tasks, newest first.\",\"mimeType\":\"application/json\"},"
	"{\"uri\":\"" MCP_URI "approvals\",\"name\":\"approvals\",\"description\":\"Own tasks that wait for approval.\","
	"\"mimeType\":\"application/json\"}]";
static const char templates[] = "\"resourceTemplates\":["
	"{\"uriTemplate\":\"" MCP_URI "task/{id}\",\"name\":\"task\",\"description\":\"A task: its state, result or error.\","
	"\"mimeType\":\"application/json\"}]";

static void
list_fixed(const struct mcp_request *r, const char *member)
{
	struct buf b = { 0 };

	mcp_result_open(&b, r->version);
	mcp_put_ttl(&b, r->version);
	buf_adds(&b, b.data[b.len - 1] == '{' ? "" : ",");
	buf_adds(&b, member);
	mcp_result_send(r->m, r->rpc, &b);
}

void
mcp_resources_list(const struct mcp_request *r)
{
	list_fixed(r, resources);
}

void
mcp_resources_templates(const struct mcp_request *r)
{
	list_fixed(r, templates);
}

static cJSON *
args_with(const char *name, const char *value)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, name, value);
	return o;
}

void
mcp_resources_read(const struct mcp_request *r)
{
	const cJSON *uri = cJSON_GetObjectItemCaseSensitive(r->params, "uri");
	const char *text = cJSON_IsString(uri) ? uri->valuestring : "";
	struct mcp_call *c = NULL;
	struct ulid id;

	if (strcmp(text, MCP_URI "tasks") == 0) {
		c = mcp_call_new(r, MCP_LIST, NULL, NULL);
	} else if (strcmp(text, MCP_URI "approvals") == 0) {
		c = mcp_call_new(r, MCP_LIST, NULL, args_with("state", task_state_name(TASK_WAITING)));
	} else if (strncmp(text, MCP_URI "task/", strlen(MCP_URI "task/")) == 0 && ulid_parse(text + strlen(MCP_URI "task/"), &id)) {
		c = mcp_call_new(r, MCP_SHOW, NULL, args_with("id", text + strlen(MCP_URI "task/")));
	} else {
		rpc_error(&r->m->rpc, r->rpc, cJSON_IsString(uri) && !(r->version->has & IS_STATELESS) ? MCP_NO_RESOURCE : RPC_INVALID_PARAMS,
		    NULL, "params.uri: expected " MCP_URI "tasks, " MCP_URI "approvals or " MCP_URI "task/ID");
		return;
	}
	if (c) {
		c->resource = true;
		snprintf(c->uri, sizeof c->uri, "%s", text);
	}
	mcp_call_begin(r->m, c);
}

void
mcp_put_resource_result(struct buf *b, const struct mcp_call *c, const char *json, size_t len)
{
	mcp_result_open(b, c->version);
	mcp_put_ttl(b, c->version);
	json_put_key(b, "contents");
	json_put_open(b, '[');
	json_put_open(b, '{');
	json_kv_str(b, "uri", c->uri);
	json_kv_str(b, "mimeType", "application/json");
	json_put_key(b, "text");
	json_put_strn(b, json, len);
	json_put_close(b, '}');
	json_put_close(b, ']');
}

/* What was looked for and not found; else it has no resource to show. */
void
mcp_send_resource_error(struct mcp *m, const struct mcp_call *c, const char *json, size_t len)
{
	cJSON *o = json_parse_object(json, len, NULL);
	const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error");
	bool unknown = strcmp(json_text(e, "code"), err_code_name(ERR_UNKNOWN_TASK)) == 0;

	rpc_error(&m->rpc, &c->rpc, !unknown ? RPC_INTERNAL : c->version->has & IS_STATELESS ? RPC_INVALID_PARAMS : MCP_NO_RESOURCE, NULL,
	    "%s", json_text(e, "message"));
	cJSON_Delete(o);
}
