/*
 * harness_agent.c - calls are tasks of an agent on this machine. When the connection breaks, it is made
 * anew for a while and every open task is given again: the agent knows it by its id.
 */
#include <limits.h>
#include <poll.h>

#include "buf.h"
#include "clock.h"
#include "harness.h"
#include "json.h"
#include "local.h"

#define CONNECT_MS 2000
#define SEND_MS 5000
#define RETRY_MS 200
#define LOST_MS 15000           /* then the open calls end without an answer */

struct agent_side {
	char path[PATH_MAX];
	struct local *link;             /* NULL: lost */
	int64_t lost_ms, retry_ms;      /* since when, and when to try again */
	struct err why;
};

static const char *const mode_names[] = {
	[UW_SIMPLE] = "simple", [UW_INTELLIGENT] = "intelligent", [UW_SOVEREIGN] = "sovereign",
};

static void
lose(struct agent_side *p, const struct err *e)
{
	local_close(p->link);
	p->link = NULL;
	p->why = *e;
	p->lost_ms = clock_mono_ms();
	p->retry_ms = p->lost_ms;
}

static int
send_line(struct agent_side *p, const char *line)
{
	struct err e;

	if (!p->link)
		return -1;
	if (local_send(p->link, line, strlen(line), SEND_MS, &e) == 0)
		return 0;
	lose(p, &e);
	return -1;
}

static void
send_cancel(struct agent_side *p, const struct call *c)
{
	char line[80];

	snprintf(line, sizeof line, "{\"op\":\"cancel\",\"id\":\"%s\"}", c->id);
	send_line(p, line);
}

static void
send_all(struct uw_harness *h)
{
	struct agent_side *p = h->place;

	for (struct call *c = h->first; c && p->link; c = c->next)
		if (send_line(p, c->line) == 0 && c->stopping)
			send_cancel(p, c);
}

static void
reconnect(struct uw_harness *h)
{
	struct agent_side *p = h->place;
	int64_t now_ms = clock_mono_ms();
	struct err e;

	if (p->link || now_ms < p->retry_ms)
		return;
	p->retry_ms = now_ms + RETRY_MS;
	if (local_open(&p->link, p->path, CONNECT_MS, &e) == 0)
		send_all(h);
	else
		p->why = e;
}

static void
end_all(struct uw_harness *h)
{
	struct agent_side *p = h->place;
	struct err e = p->why;

	for (int n = h->pending; n > 0; n--)
		call_fail(h, h->first, UW_NO_ANSWER, &e);
}

static void
put_task(struct buf *b, const struct uw_harness *h, const struct call *c, const char *tool,
    const cJSON *params)
{
	json_put_open(b, '{');
	json_kv_str(b, "op", "submit");
	json_put_key(b, "task");
	json_put_open(b, '{');
	json_kv_str(b, "id", c->id);
	if (strcmp(h->house, "_") != 0)
		json_kv_str(b, "house", h->house);
	json_kv_str(b, "tool", tool);
	json_put_key(b, "params");
	json_put_tree(b, params);
	json_kv_str(b, "mode", mode_names[h->mode]);
	if (h->timeout_s)
		json_kv_int(b, "timeout_s", h->timeout_s);
	json_put_close(b, '}');
	json_put_close(b, '}');
}

static int
agent_start(struct uw_harness *h, struct call *c, const char *tool, cJSON *params, struct err *e)
{
	struct agent_side *p = h->place;
	struct buf b = { 0 };

	put_task(&b, h, c, tool, params);
	cJSON_Delete(params);
	if ((int64_t)b.len > h->config.max_task_bytes) {
		buf_free(&b);
		return err_field(e, ERR_TOO_BIG, "params", NULL, "at most %lld bytes of task",
		    (long long)h->config.max_task_bytes);
	}
	c->line = buf_take(&b);
	if (!p->link && h->pending == 1) {
		p->lost_ms = clock_mono_ms();
		p->retry_ms = 0;
	}
	if (p->link)
		send_line(p, c->line);
	else
		reconnect(h);
	return 0;
}

static void
agent_cancel(struct uw_harness *h, struct call *c)
{
	send_cancel(h->place, c);
}

static void
read_text(const cJSON *obj, const char *name, char *out, size_t size)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(obj, name));

	snprintf(out, size, "%s", s ? s : "");
}

static void
read_err(const cJSON *reply, struct err *e)
{
	const cJSON *obj = cJSON_GetObjectItemCaseSensitive(reply, "error");
	char code[32];

	*e = (struct err){ .code = ERR_INTERNAL };
	read_text(obj, "code", code, sizeof code);
	for (int i = 1; i < ERR_NCODES; i++)
		if (strcmp(err_code_name((enum err_code)i), code) == 0)
			e->code = (enum err_code)i;
	read_text(obj, "field", e->field, sizeof e->field);
	read_text(obj, "expected", e->expected, sizeof e->expected);
	read_text(obj, "got", e->got, sizeof e->got);
	read_text(obj, "message", e->msg, sizeof e->msg);
	if (!e->msg[0])
		snprintf(e->msg, sizeof e->msg, "the agent gave no reason");
}

static void
take_accepted(struct uw_harness *h, struct call *c, const cJSON *reply)
{
	(void)h;
	(void)reply;
	c->accepted = true;
}

static void
take_rejected(struct uw_harness *h, struct call *c, const cJSON *reply)
{
	struct err e;

	read_err(reply, &e);
	call_fail(h, c, UW_REJECTED, &e);
}

/* Of a task that was never taken, or of a request about one that was, such as a late cancel. */
static void
take_error(struct uw_harness *h, struct call *c, const cJSON *reply)
{
	if (!c->accepted)
		take_rejected(h, c, reply);
}

static void
take_outcome(struct uw_harness *h, struct call *c, const cJSON *reply)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "state"));
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(reply, "result");
	const cJSON *run_ms = cJSON_GetObjectItemCaseSensitive(reply, "run_ms");
	struct call_result r = { 0 };
	struct buf text = { 0 };
	struct err e;

	if (!name || harness_state_parse(name, &r.state)) {
		err_set(&e, ERR_INTERNAL, "the agent ended it in a state that is not known here: %s",
		    name ? name : "none");
		call_fail(h, c, UW_NO_ANSWER, &e);
		return;
	}
	read_err(reply, &e);
	r.err = &e;
	r.run_us = cJSON_IsNumber(run_ms) ? (int64_t)(run_ms->valuedouble * 1000) : 0;
	if (result)
		json_put_tree(&text, result);
	r.json = text.len ? text.data : NULL;
	r.json_len = text.len;
	call_end(h, c, &r);
	buf_free(&text);
}

static const struct {
	const char *type;
	void (*take)(struct uw_harness *h, struct call *c, const cJSON *reply);
} replies[] = {
	{ "accepted", take_accepted },
	{ "rejected", take_rejected },
	{ "outcome", take_outcome },
	{ "error", take_error },
};

/* Answers come nearly in the order of the questions, so the search is short. One without an id is about
 * something that could not even be read: the oldest that has not been accepted. */
static struct call *
call_of(const struct uw_harness *h, const cJSON *reply)
{
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "id"));
	struct call *c = h->first;

	while (c && (id ? strcmp(c->id, id) != 0 : c->accepted))
		c = c->next;
	return c;
}

/* What is of no call of ours, or of a kind that we do not know, is passed over. */
static void
take_line(struct uw_harness *h, const char *line, size_t len)
{
	cJSON *reply = json_parse_object(line, len, NULL);
	const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "type"));
	struct call *c = call_of(h, reply);

	for (size_t i = 0; c && type && i < sizeof replies / sizeof *replies; i++)
		if (strcmp(replies[i].type, type) == 0) {
			replies[i].take(h, c, reply);
			break;
		}
	cJSON_Delete(reply);
}

static void
wait_to_retry(struct uw_harness *h, int timeout_ms)
{
	struct agent_side *p = h->place;
	int64_t ms = p->retry_ms - clock_mono_ms();

	if (clock_mono_ms() - p->lost_ms >= LOST_MS) {
		end_all(h);
		return;
	}
	if (timeout_ms >= 0 && timeout_ms < ms)
		ms = timeout_ms;
	if (ms > 0)
		poll(NULL, 0, (int)ms);
}

static void
agent_work(struct uw_harness *h, int timeout_ms)
{
	struct agent_side *p = h->place;
	struct err e;
	char *line;
	size_t len;
	int rc;

	reconnect(h);
	if (!p->link) {
		wait_to_retry(h, timeout_ms);
		return;
	}
	while (p->link && h->pending) {
		rc = local_read(p->link, timeout_ms, &line, &len, &e);
		if (rc < 0)
			lose(p, &e);
		if (rc <= 0)
			return;
		take_line(h, line, len);
		timeout_ms = 0;
	}
}

static int
agent_fd(const struct uw_harness *h)
{
	const struct agent_side *p = h->place;

	return p->link ? local_fd(p->link) : -1;
}

static int
agent_timeout(const struct uw_harness *h)
{
	const struct agent_side *p = h->place;
	int64_t ms = p->retry_ms - clock_mono_ms();

	if (p->link || !h->pending)
		return -1;
	return ms < 0 ? 0 : (int)ms;
}

static void
agent_close(struct uw_harness *h)
{
	struct agent_side *p = h->place;

	local_close(p->link);
	free(p);
}

static int
try_agent(struct uw_harness *h, struct agent_side *p, const char *agent, struct err *e)
{
	if (snprintf(p->path, sizeof p->path, "%s/%s.sock", h->config.run_dir, agent) >= (int)sizeof p->path)
		return err_set(e, ERR_CONFIG, "run_dir is too long");
	return local_open(&p->link, p->path, CONNECT_MS, e);
}

static int
try_names(struct uw_harness *h, struct agent_side *p, const struct config_names *names)
{
	struct err e;

	for (size_t i = 0; i < names->n; i++)
		if (try_agent(h, p, names->v[i], &e) == 0)
			return 0;
	return -1;
}

/* The house's own agents first; any other passes the task on. */
static int
find_agent(struct uw_harness *h, struct agent_side *p, struct err *e)
{
	const struct config_house *house = config_house_find(&h->config, h->house);

	if (h->agent)
		return try_agent(h, p, h->agent, e);
	if (house && try_names(h, p, &house->agents) == 0)
		return 0;
	for (size_t i = 0; i < h->config.nhouses; i++)
		if (try_names(h, p, &h->config.houses[i].agents) == 0)
			return 0;
	if (try_names(h, p, &h->config.routers) == 0)
		return 0;
	return err_set(e, ERR_NETWORK, "no agent answers on this machine (looked in %s)", h->config.run_dir);
}

int
agent_side_open(struct uw_harness *h, struct err *e)
{
	struct agent_side *p = xcalloc(1, sizeof *p);

	if (find_agent(h, p, e)) {
		free(p);
		return -1;
	}
	h->backend = &backend_agent;
	h->place = p;
	return 0;
}

const struct backend backend_agent = {
	.name = "agent",
	.start = agent_start,
	.cancel = agent_cancel,
	.work = agent_work,
	.fd = agent_fd,
	.timeout = agent_timeout,
	.close = agent_close,
};
