#include "mcp_impl.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "trace.h"

#define UNSUPPORTED_VERSION (-32022)    /* this and the next as the specification numbers them */
#define BUSY (-32000)
#define META "io.modelcontextprotocol/"
#define UNKNOWN_STEP (1.0 / 1024)       /* progress has to grow, also while nobody knows how far it is */

/* Oldest first. */
static const struct mcp_version versions[] = {
	{ "2024-11-05", 0 },
	{ "2025-03-26", HAS_ANNOTATIONS | HAS_BATCHES },
	{ "2025-06-18", HAS_ANNOTATIONS | HAS_STRUCTURE },
	{ "2025-11-25", HAS_ANNOTATIONS | HAS_STRUCTURE },
	{ "2026-07-28", HAS_ANNOTATIONS | HAS_STRUCTURE | IS_STATELESS },
};
#define NVERSIONS (sizeof versions / sizeof *versions)

/* Versions */

static const struct mcp_version *
version_find(const char *name, unsigned era)
{
	for (size_t i = 0; i < NVERSIONS; i++)
		if (strcmp(versions[i].name, name) == 0 && (versions[i].has & IS_STATELESS) == era)
			return &versions[i];
	return NULL;
}

/* The one that is answered to who asks for one that is not known. */
static const struct mcp_version *
version_newest(unsigned era)
{
	size_t i = NVERSIONS - 1;

	while ((versions[i].has & IS_STATELESS) != era)
		i--;
	return &versions[i];
}

/* Results */

static void
put_info(struct buf *b)
{
	json_put_open(b, '{');
	json_kv_str(b, "name", "uni-wizard");
	json_kv_str(b, "version", UW_VERSION);
	json_put_close(b, '}');
}

/* After this come the members of the result itself. */
void
mcp_result_open(struct buf *b, const struct mcp_version *v)
{
	json_put_open(b, '{');
	if (!(v->has & IS_STATELESS))
		return;
	json_kv_str(b, "resultType", "complete");
	json_put_key(b, "_meta");
	json_put_open(b, '{');
	json_put_key(b, META "serverInfo");
	put_info(b);
	json_put_close(b, '}');
}

void
mcp_put_ttl(struct buf *b, const struct mcp_version *v)
{
	if (!(v->has & IS_STATELESS))
		return;
	json_kv_int(b, "ttlMs", 0);
	json_kv_str(b, "cacheScope", "private");
}

void
mcp_result_send(struct mcp *m, const struct rpc_call *rpc, struct buf *b)
{
	json_put_close(b, '}');
	if (buf_ok(b))
		rpc_result(&m->rpc, rpc, b->data, b->len);
	else
		rpc_error(&m->rpc, rpc, RPC_INTERNAL, NULL, "the result has more than %u bytes", BUF_MAX_DEFAULT);
	buf_free(b);
}

static void
put_capabilities(struct buf *b)
{
	static const char text[] = "{\"tools\":{},\"resources\":{}}";

	json_kv_raw(b, "capabilities", text, sizeof text - 1);
}

static void
put_instructions(struct buf *b, const struct mcp *m)
{
	struct buf text = { 0 };

	buf_addf(&text, "Each tool is run as a task by a house of a worker cluster. A result tells the task's id and state. pending: true "
	    "means that the task has not ended: look again with task_show and that id, and do not call the tool a second time. A task in "
	    "the state waiting_approval needs the word of %s, a person; nobody can give it here. Once it is approved the task runs by "
	    "itself. A failure has an error with code and message.", m->o.sovereign);
	json_kv_str(b, "instructions", buf_str(&text));
	buf_free(&text);
}

/* Beginning */

static void
take_client(char out[MCP_CLIENT_MAX + 1], const cJSON *info)
{
	snprintf(out, MCP_CLIENT_MAX + 1, "%s", json_text(info, "name"));
	/* Not in the middle of a character. */
	for (size_t n = strlen(out), i = 0; i < n;) {
		int len = json_utf8_len(out + i, n - i);

		if (!len)
			out[i] = '\0';
		i = len ? i + (size_t)len : n;
	}
}

static void
initialize(const struct mcp_request *r)
{
	const cJSON *asked = cJSON_GetObjectItemCaseSensitive(r->params, "protocolVersion");
	struct mcp *m = r->m;
	struct buf b = { 0 };

	if (m->version) {
		rpc_error(&m->rpc, r->rpc, RPC_INVALID_REQUEST, NULL, "initialize came already");
		return;
	}
	if (!cJSON_IsString(asked)) {
		rpc_error(&m->rpc, r->rpc, RPC_INVALID_PARAMS, NULL, "params.protocolVersion: expected a string such as \"%s\"",
		    version_newest(0)->name);
		return;
	}
	m->version = version_find(asked->valuestring, 0);
	if (!m->version)
		m->version = version_newest(0);
	m->rpc.batches = m->version->has & HAS_BATCHES;
	take_client(m->client, cJSON_GetObjectItemCaseSensitive(r->params, "clientInfo"));
	json_put_open(&b, '{');
	json_kv_str(&b, "protocolVersion", m->version->name);
	put_capabilities(&b);
	json_put_key(&b, "serverInfo");
	put_info(&b);
	put_instructions(&b, m);
	mcp_result_send(m, r->rpc, &b);
}

static void
put_stateless_versions(struct buf *b, const char *key)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t i = NVERSIONS; i-- > 0;)
		if (versions[i].has & IS_STATELESS)
			json_put_str(b, versions[i].name);
	json_put_close(b, ']');
}

static void
discover(const struct mcp_request *r)
{
	struct buf b = { 0 };

	mcp_result_open(&b, r->version);
	put_stateless_versions(&b, "supportedVersions");
	put_capabilities(&b);
	put_instructions(&b, r->m);
	mcp_put_ttl(&b, r->version);
	mcp_result_send(r->m, r->rpc, &b);
}

static void
ping(const struct mcp_request *r)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	mcp_result_send(r->m, r->rpc, &b);
}

/* Calls */

static struct mcp_call *
call_find(const struct mcp *m, const char *id)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->calls[i]->rpc.id, id) == 0)
			return m->calls[i];
	return NULL;
}

static void
call_forget(struct mcp *m, struct mcp_call *c)
{
	size_t i = 0;

	while (m->calls[i] != c)
		i++;
	m->calls[i] = m->calls[--m->n];
	cJSON_Delete(c->args);
	free(c);
}

static void
read_token(struct mcp_call *c, const cJSON *v)
{
	struct buf b = { .max = RPC_ID_MAX };

	if (cJSON_IsString(v) || cJSON_IsNumber(v))
		json_put_tree(&b, v);
	c->wants_progress = b.len && buf_ok(&b);
	snprintf(c->token, sizeof c->token, "%s", buf_str(&b));
	buf_free(&b);
}

struct mcp_call *
mcp_call_new(const struct mcp_request *r, enum mcp_ask ask, const struct tool *t, cJSON *args)
{
	const char *trace = json_text(r->meta, "traceparent");
	struct mcp *m = r->m;
	struct mcp_call *c;

	if (m->n == MCP_CALLS_MAX || call_find(m, r->rpc->id)) {
		if (m->n == MCP_CALLS_MAX)
			rpc_error(&m->rpc, r->rpc, BUSY, NULL, "busy: %d calls have no answer yet; call again when one has", MCP_CALLS_MAX);
		else
			rpc_error(&m->rpc, r->rpc, RPC_INVALID_REQUEST, NULL, "id: a request with this id has no answer yet");
		cJSON_Delete(args);
		return NULL;
	}
	c = xcalloc(1, sizeof *c);
	c->ask = ask;
	c->tool = t;
	c->args = args ? args : cJSON_CreateObject();
	c->rpc = *r->rpc;
	c->version = r->version;
	read_token(c, cJSON_GetObjectItemCaseSensitive(r->meta, "progressToken"));
	if (trace_is_valid(trace))
		snprintf(c->traceparent, sizeof c->traceparent, "%s", trace);
	snprintf(c->client, sizeof c->client, "%s", m->client);
	if (r->version->has & IS_STATELESS)
		take_client(c->client, cJSON_GetObjectItemCaseSensitive(r->meta, META "clientInfo"));
	m->calls[m->n++] = c;
	return c;
}

void
mcp_call_begin(struct mcp *m, struct mcp_call *c)
{
	if (c)
		m->o.on_begin(m->o.arg, c);
}

/* Methods */

#define BEFORE 1u               /* also before initialize */
#define WITH_STATE 2u           /* where initialize comes first */
#define WITHOUT_STATE 4u

static const struct method {
	const char *name;
	unsigned when;
	void (*answer)(const struct mcp_request *r);
} methods[] = {
	{ "initialize", WITH_STATE | BEFORE, initialize },
	{ "ping", WITH_STATE | BEFORE, ping },
	{ "server/discover", WITHOUT_STATE, discover },
	{ "tools/list", WITH_STATE | WITHOUT_STATE, mcp_tools_list },
	{ "tools/call", WITH_STATE | WITHOUT_STATE, mcp_tools_call },
	{ "resources/list", WITH_STATE | WITHOUT_STATE, mcp_resources_list },
	{ "resources/templates/list", WITH_STATE | WITHOUT_STATE, mcp_resources_templates },
	{ "resources/read", WITH_STATE | WITHOUT_STATE, mcp_resources_read },
};

static const struct method *
method_find(const char *name)
{
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

static void
refuse_version(const struct mcp_request *r, const char *asked)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	put_stateless_versions(&b, "supported");
	json_kv_str(&b, "requested", asked);
	json_put_close(&b, '}');
	rpc_error(&r->m->rpc, r->rpc, UNSUPPORTED_VERSION, b.data, "unsupported protocol version %.40s", asked);
	buf_free(&b);
}

/* Which version the request is of; -1: none that it may be, which was answered. */
static int
read_version(struct mcp_request *r, const struct method *method)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->meta, META "protocolVersion");
	const cJSON *able = cJSON_GetObjectItemCaseSensitive(r->meta, META "clientCapabilities");

	if (cJSON_IsString(v) && (!method || method->answer != initialize)) {
		r->version = version_find(v->valuestring, IS_STATELESS);
		if (!r->version) {
			refuse_version(r, v->valuestring);
			return -1;
		}
		if (cJSON_IsObject(able))
			return 0;
		rpc_error(&r->m->rpc, r->rpc, RPC_INVALID_PARAMS, NULL, "params._meta: expected \"" META "clientCapabilities\", an object");
		return -1;
	}
	r->version = r->m->version;
	if (r->version || (method && method->when & BEFORE))
		return 0;
	if (method && !(method->when & WITH_STATE))
		rpc_error(&r->m->rpc, r->rpc, RPC_INVALID_PARAMS, NULL, "params._meta: expected \"" META "protocolVersion\", a string");
	else
		rpc_error(&r->m->rpc, r->rpc, RPC_INVALID_REQUEST, NULL, "initialize first, or say with each request which version it is of");
	return -1;
}

static void
on_request(void *arg, const struct rpc_call *rpc, const char *name, const cJSON *params)
{
	struct mcp *m = arg;
	const struct method *method = method_find(name);
	struct mcp_request r = { .m = m, .rpc = rpc, .params = params, .meta = cJSON_GetObjectItemCaseSensitive(params, "_meta") };
	unsigned when;

	if (r.meta && !cJSON_IsObject(r.meta)) {
		rpc_error(&m->rpc, rpc, RPC_INVALID_PARAMS, NULL, "params._meta: expected an object");
		return;
	}
	if (read_version(&r, method))
		return;
	when = r.version && r.version->has & IS_STATELESS ? WITHOUT_STATE : WITH_STATE;
	if (method && method->when & when)
		method->answer(&r);
	else
		rpc_error(&m->rpc, rpc, RPC_NO_METHOD, NULL, "no such method: %.60s", name);
}

static void
cancelled(struct mcp *m, const cJSON *params)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(params, "requestId");
	struct buf id = { .max = RPC_ID_MAX };
	struct mcp_call *c = NULL;

	if (cJSON_IsString(v) || cJSON_IsNumber(v))
		json_put_tree(&id, v);
	if (id.len && buf_ok(&id))
		c = call_find(m, id.data);
	if (c) {
		m->o.on_stop(m->o.arg, c);
		rpc_drop(&m->rpc, &c->rpc);
		call_forget(m, c);
	}
	buf_free(&id);
}

static void
on_notification(void *arg, const char *method, const cJSON *params)
{
	if (strcmp(method, "notifications/cancelled") == 0)
		cancelled(arg, params);
}

static void
on_line(void *arg, const char *line, size_t len)
{
	struct mcp *m = arg;

	m->o.on_line(m->o.line_arg, line, len);
}

/* Outside */

struct mcp *
mcp_new(const struct mcp_opts *o)
{
	struct mcp *m = xcalloc(1, sizeof *m);

	m->o = *o;
	m->rpc = (struct rpc){ .arg = m, .on_request = on_request, .on_notification = on_notification, .on_line = on_line };
	mcp_warn_of_twins(m);
	return m;
}

void
mcp_free(struct mcp *m)
{
	if (!m)
		return;
	while (m->n) {
		rpc_drop(&m->rpc, &m->calls[0]->rpc);
		call_forget(m, m->calls[0]);
	}
	rpc_release(&m->rpc);
	free(m);
}

void
mcp_feed(struct mcp *m, const char *data, size_t len)
{
	rpc_feed(&m->rpc, data, len);
}

size_t
mcp_count(const struct mcp *m)
{
	return m->n;
}

struct mcp_call *
mcp_at(const struct mcp *m, size_t i)
{
	return m->calls[i];
}

void
mcp_end(struct mcp *m, struct mcp_call *c, const char *json, size_t len, bool is_error)
{
	struct buf b = { 0 };

	if (c->resource && is_error) {
		mcp_send_resource_error(m, c, json, len);
	} else {
		if (c->resource)
			mcp_put_resource_result(&b, c, json, len);
		else
			mcp_put_tool_result(&b, c->version, json, len, is_error);
		mcp_result_send(m, &c->rpc, &b);
	}
	call_forget(m, c);
}

void
mcp_progress(struct mcp *m, struct mcp_call *c, int percent, const char *note)
{
	struct buf b = { 0 };

	if (!c->wants_progress)
		return;
	c->progress = percent > c->progress ? percent : c->progress + UNKNOWN_STEP;
	json_put_open(&b, '{');
	json_kv_raw(&b, "progressToken", c->token, strlen(c->token));
	json_kv_num(&b, "progress", c->progress);
	if (percent >= 0)
		json_kv_int(&b, "total", 100);
	if (note && *note)
		json_kv_str(&b, "message", note);
	json_put_close(&b, '}');
	rpc_notify(&m->rpc, "notifications/progress", b.data, b.len);
	buf_free(&b);
}
