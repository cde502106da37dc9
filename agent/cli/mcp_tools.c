#include "glob.h"
#include "json.h"
#include "mcp_impl.h"
#include "schema.h"
#include "task.h"

/* Tools of ours beside those of the cluster. */
struct own_tool {
	const char *name;
	enum mcp_ask ask;
	bool changes;
	const char *summary, *schema;
};

#define ID_SCHEMA "\"id\":{\"type\":\"string\",\"minLength\":26,\"maxLength\":26,\"description\":\"The task's id.\"}"
#define LIMIT_SCHEMA "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":200,\"default\":20,\"description\":\"The newest so many.\"}"
#define STATE_SCHEMA(sym, name, terminal) ",\"" name "\""

static const struct own_tool own_tools[] = {
	{ "approvals_list", MCP_LIST, false,
	  "Own tasks that wait for approval, and why. Read-only: nothing is approved or denied here.",
	  "{\"type\":\"object\",\"properties\":{" LIMIT_SCHEMA "},\"additionalProperties\":false}" },
	{ "task_cancel", MCP_CANCEL, true, "Cancel an own task; one that runs is stopped, its processes with it.",
	  "{\"type\":\"object\",\"properties\":{" ID_SCHEMA "},\"required\":[\"id\"],\"additionalProperties\":false}" },
	{ "task_list", MCP_LIST, false, "Own tasks, newest first.",
	  "{\"type\":\"object\",\"properties\":{"
	  "\"state\":{\"type\":\"string\",\"enum\":[\"any\"" TASK_STATES(STATE_SCHEMA) "],\"default\":\"any\"},"
	  "\"tool\":{\"type\":\"string\"}," LIMIT_SCHEMA "},\"additionalProperties\":false}" },
	{ "task_show", MCP_SHOW, false,
	  "A task: its state, result or error, and what it waits for. With wait_s it answers when the task has ended, or when that time is over.",
	  "{\"type\":\"object\",\"properties\":{" ID_SCHEMA ","
	  "\"wait_s\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":3600,\"default\":0,\"description\":\"Wait for its end so many seconds.\"}},"
	  "\"required\":[\"id\"],\"additionalProperties\":false}" },
};
#define NOWN (sizeof own_tools / sizeof *own_tools)

/* What results have, whatever was called: see docs/mcp.md. */
static const char output_schema[] = "{\"type\":\"object\",\"properties\":{"
	"\"task\":{\"type\":\"string\"},\"state\":{\"type\":\"string\"},\"pending\":{\"type\":\"boolean\"},"
	"\"house\":{\"type\":\"string\"},\"result\":{},\"error\":{\"type\":\"object\"},\"approval\":{\"type\":\"object\"},"
	"\"tasks\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"next\":{\"type\":\"string\"}}}";

static const struct own_tool *
own_find(const char *name)
{
	for (size_t i = 0; i < NOWN; i++)
		if (strcmp(own_tools[i].name, name) == 0)
			return &own_tools[i];
	return NULL;
}

static bool
is_offered(const struct mcp *m, const struct tool *t)
{
	if (own_find(t->name))
		return false;
	for (const char *const *p = m->o.allow; p; p++) {
		if (!*p)
			return false;
		if (glob_match(*p, t->name))
			return true;
	}
	return true;
}

/* Listing */

static void
put_annotations(struct buf *b, bool reads, bool repeats)
{
	json_put_key(b, "annotations");
	json_put_open(b, '{');
	json_kv_bool(b, "readOnlyHint", reads);
	/* What changes something may also overwrite something. */
	json_kv_bool(b, "destructiveHint", !reads);
	json_kv_bool(b, "idempotentHint", repeats);
	json_put_close(b, '}');
}

static void
put_tool(struct buf *b, const struct mcp_version *v, const char *name, const char *summary, const char *schema, bool reads, bool repeats)
{
	json_put_open(b, '{');
	json_kv_str(b, "name", name);
	json_kv_str(b, "description", summary);
	json_kv_raw(b, "inputSchema", schema, strlen(schema));
	if (v->has & HAS_STRUCTURE)
		json_kv_raw(b, "outputSchema", output_schema, sizeof output_schema - 1);
	if (v->has & HAS_ANNOTATIONS)
		put_annotations(b, reads, repeats);
	json_put_close(b, '}');
}

/* The first of the two lists whose name is greater than the cursor; false: there is none. */
static bool
put_next_tool(struct buf *b, const struct mcp_request *r, const char **cursor)
{
	const struct own_tool *own = NULL;
	const struct tool *t = NULL;

	for (size_t i = 0; i < NOWN && !own; i++)
		if (strcmp(own_tools[i].name, *cursor) > 0)
			own = &own_tools[i];
	for (size_t i = 0; i < registry_count(r->m->o.tools) && !t; i++)
		if (strcmp(registry_at(r->m->o.tools, i)->name, *cursor) > 0 && is_offered(r->m, registry_at(r->m->o.tools, i)))
			t = registry_at(r->m->o.tools, i);
	if (own && (!t || strcmp(own->name, t->name) < 0)) {
		*cursor = own->name;
		if (b)
			put_tool(b, r->version, own->name, own->summary, own->schema, !own->changes, true);
		return true;
	}
	if (!t)
		return false;
	*cursor = t->name;
	if (b)
		put_tool(b, r->version, t->name, t->summary, t->schema, t->effect == TOOL_READ, t->effect != TOOL_EXCLUSIVE);
	return true;
}

/* A cursor is the name of the last tool of the page before. */
static int
read_cursor(const struct mcp_request *r, const char **cursor)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->params, "cursor");
	const struct tool *t;

	*cursor = "";
	if (!v)
		return 0;
	*cursor = cJSON_IsString(v) ? v->valuestring : "";
	t = registry_find(r->m->o.tools, *cursor);
	if (own_find(*cursor) || (t && is_offered(r->m, t)))
		return 0;
	rpc_error(&r->m->rpc, r->rpc, RPC_INVALID_PARAMS, NULL, "params.cursor: expected a nextCursor that came from here");
	return -1;
}

void
mcp_tools_list(const struct mcp_request *r)
{
	const char *cursor, *end;
	struct buf b = { 0 };
	int n = 0;

	if (read_cursor(r, &cursor))
		return;
	mcp_result_open(&b, r->version);
	mcp_put_ttl(&b, r->version);
	json_put_key(&b, "tools");
	json_put_open(&b, '[');
	while (n < MCP_PAGE && put_next_tool(&b, r, &cursor))
		n++;
	json_put_close(&b, ']');
	end = cursor;
	if (n == MCP_PAGE && put_next_tool(NULL, r, &end))
		json_kv_str(&b, "nextCursor", cursor);
	mcp_result_send(r->m, r->rpc, &b);
}

/* Calling */

static void
put_text(struct buf *b, const char *json, size_t len)
{
	json_put_key(b, "content");
	json_put_open(b, '[');
	json_put_open(b, '{');
	json_kv_str(b, "type", "text");
	json_put_key(b, "text");
	json_put_strn(b, json, len);
	json_put_close(b, '}');
	json_put_close(b, ']');
}

void
mcp_put_tool_result(struct buf *b, const struct mcp_version *v, const char *json, size_t len, bool is_error)
{
	mcp_result_open(b, v);
	put_text(b, json, len);
	if (v->has & HAS_STRUCTURE)
		json_kv_raw(b, "structuredContent", json, len);
	json_kv_bool(b, "isError", is_error);
}

/* The model that called shall see what is wrong with its words, so this is the tool's answer and no error of the protocol. */
static void
refuse_args(const struct mcp_request *r, const struct err *e)
{
	struct buf b = { 0 }, json = { 0 };

	json_put_open(&json, '{');
	json_kv_str(&json, "state", "rejected");
	json_put_key(&json, "error");
	json_put_err(&json, e);
	json_put_close(&json, '}');
	mcp_put_tool_result(&b, r->version, json.data, json.len, true);
	mcp_result_send(r->m, r->rpc, &b);
	buf_free(&json);
}

static int
check_own(const struct own_tool *own, cJSON *args, struct err *e)
{
	struct schema *s = schema_compile(own->schema, strlen(own->schema), e);
	int rc = s ? schema_check(s, args, e) : -1;

	schema_free(s);
	return rc;
}

static void
call_own(const struct mcp_request *r, const struct own_tool *own, cJSON *args)
{
	struct err e = { 0 };

	if (!args)
		args = cJSON_CreateObject();
	if (check_own(own, args, &e)) {
		err_in(&e, "arguments");
		refuse_args(r, &e);
		cJSON_Delete(args);
		return;
	}
	if (strcmp(json_text(args, "state"), "any") == 0)
		cJSON_DeleteItemFromObjectCaseSensitive(args, "state");
	if (strcmp(own->name, "approvals_list") == 0)
		cJSON_AddStringToObject(args, "state", task_state_name(TASK_WAITING));
	mcp_call_begin(r->m, mcp_call_new(r, own->ask, NULL, args));
}

static void
call_tool(const struct mcp_request *r, const struct tool *t, cJSON *args)
{
	cJSON *with_defaults = args ? cJSON_Duplicate(args, true) : NULL;
	struct err e = { 0 };

	if (registry_check(r->m->o.tools, t, with_defaults, &e)) {
		refuse_args(r, &e);
		cJSON_Delete(args);
	} else {
		mcp_call_begin(r->m, mcp_call_new(r, MCP_RUN, t, args));
	}
	cJSON_Delete(with_defaults);
}

void
mcp_tools_call(const struct mcp_request *r)
{
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(r->params, "name");
	const cJSON *args = cJSON_GetObjectItemCaseSensitive(r->params, "arguments");
	const struct own_tool *own = cJSON_IsString(name) ? own_find(name->valuestring) : NULL;
	const struct tool *t = cJSON_IsString(name) && !own ? registry_find(r->m->o.tools, name->valuestring) : NULL;

	if (t && !is_offered(r->m, t))
		t = NULL;
	if (!cJSON_IsString(name))
		rpc_error(&r->m->rpc, r->rpc, RPC_INVALID_PARAMS, NULL, "params.name: expected a string");
	else if (!own && !t)
		rpc_error(&r->m->rpc, r->rpc, RPC_INVALID_PARAMS, NULL, "unknown tool: %.60s", name->valuestring);
	else if (args && !cJSON_IsObject(args))
		rpc_error(&r->m->rpc, r->rpc, RPC_INVALID_PARAMS, NULL, "params.arguments: expected an object");
	else if (own)
		call_own(r, own, args ? cJSON_Duplicate(args, true) : NULL);
	else
		call_tool(r, t, args ? cJSON_Duplicate(args, true) : NULL);
}

void
mcp_warn_of_twins(const struct mcp *m)
{
	char msg[160];

	for (size_t i = 0; i < NOWN && m->o.warn; i++)
		if (registry_find(m->o.tools, own_tools[i].name)) {
			snprintf(msg, sizeof msg, "the tool %s is not offered: a tool of this server has that name", own_tools[i].name);
			m->o.warn(msg, m->o.arg);
		}
}
