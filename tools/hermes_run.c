/*
 * hermes_run.c - hermes_run: gives Hermes something to do, and ends when it has.
 *
 * Whoever runs a tool cannot approve anything in its place. So a command about which Hermes asks is refused, the run is
 * stopped, and the failure says word for word what it wanted; live output has the task by which Timmy can allow it. That task
 * names the command in `allow` and is of mode sovereign: then, and only when he has approved it, the same command is allowed
 * once.
 */
#include <signal.h>

#include "clock.h"
#include "file.h"
#include "hermes.h"
#include "notes.h"
#include "param.h"
#include "tool.h"

#define ROOM 4096               /* of the result, for what is not the text */

static volatile sig_atomic_t stopped;
static struct sigaction before;

static void
on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

void
hermes_catch(void)
{
	struct sigaction sa = { .sa_handler = on_stop };

	stopped = 0;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, &before);
}

bool
hermes_is_stopped(void)
{
	return stopped;
}

void
hermes_release(void)
{
	sigaction(SIGTERM, &before, NULL);
	if (stopped)
		raise(SIGTERM);
}

bool
hermes_may(const struct hermes *h, const char *command)
{
	const cJSON *one, *allow = cJSON_GetObjectItemCaseSensitive(h->r->params, "allow");

	if (!h->r->approved || strlen(command) >= HERMES_ASKED_MAX)
		return false;
	cJSON_ArrayForEach(one, allow)
		if (cJSON_IsString(one) && strcmp(one->valuestring, command) == 0)
			return true;
	return false;
}

/* A task like this one, with one command more that is allowed, in the same session. */
static void
put_follower(const struct hermes *h, struct buf *b)
{
	const struct tool_run *r = h->r;
	cJSON *params = cJSON_Duplicate(r->params, true), *allow = cJSON_GetObjectItemCaseSensitive(params, "allow");

	if (!allow)
		allow = cJSON_AddArrayToObject(params, "allow");
	cJSON_AddItemToArray(allow, cJSON_CreateString(h->asked));
	if (*h->session && !cJSON_GetObjectItemCaseSensitive(params, "session"))
		cJSON_AddStringToObject(params, "session", h->session);
	json_put_open(b, '{');
	json_kv_str(b, "tool", "hermes_run");
	json_kv_str(b, "mode", "sovereign");
	json_kv_str(b, "parent", r->task_id);
	json_put_key(b, "params");
	json_put_tree(b, params);
	json_put_close(b, '}');
	cJSON_Delete(params);
}

static int
needs_approval(const struct hermes *h, struct err *e)
{
	struct buf task = { 0 }, text = { 0 };

	put_follower(h, &task);
	buf_addf(&text, "\nHermes may not go on without this approval: %s\n", buf_str(&task));
	if (h->r->log)
		h->r->log(h->r->arg, buf_str(&text), text.len);
	buf_free(&task);
	buf_free(&text);
	err_set(e, ERR_APPROVAL, "Hermes asked to run what needs approval, and was refused: %.300s; it is allowed by a task of mode "
	    "sovereign with exactly this in params.allow", h->asked);
	snprintf(e->field, sizeof e->field, "params.allow");
	snprintf(e->expected, sizeof e->expected, "the command, in an approved task");
	snprintf(e->got, sizeof e->got, "%.90s", h->asked);
	return -1;
}

static void
put_text(const struct tool_run *r, const struct buf *text, struct buf *result)
{
	size_t room = r->max_output > ROOM + result->len ? r->max_output - ROOM - result->len : 0;
	bool is_text;
	size_t n = file_text_fits(buf_str(text), text->len, room, &is_text);

	json_put_key(result, "output");
	json_put_strn(result, buf_str(text), n);
	json_kv_int(result, "bytes", (int64_t)text->len);
	json_kv_bool(result, "truncated", n < text->len || !buf_ok(text));
}

static void
put_result(const struct hermes *h, struct buf *result)
{
	json_put_open(result, '{');
	json_kv_str(result, "via", *h->id ? "api" : "command line");
	if (*h->id)
		json_kv_str(result, "run_id", h->id);
	if (*h->session)
		json_kv_str(result, "session", h->session);
	if (*h->id) {
		json_kv_int(result, "tools", h->tools);
		json_kv_int(result, "tools_failed", h->tools_failed);
		json_kv_bool(result, "events_cut", h->blind);
	}
	if (h->usage) {
		json_put_key(result, "usage");
		json_put_tree(result, h->usage);
	}
	put_text(h->r, &h->output, result);
	json_put_close(result, '}');
}

/* A run is stopped somewhat before its worker is, so that this can be told. */
static int64_t
end_of(const struct tool_run *r)
{
	int64_t left = r->deadline_ms ? r->deadline_ms - clock_mono_ms() : 0;

	return run_deadline(r, left / 4 < 6000 ? left / 4 : 6000);
}

static void
join_toolsets(const struct tool_run *r, struct buf *b)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(r->params, "toolsets"))
		buf_addf(b, "%s%s", b->len ? "," : "", one->valuestring);
}

static int
hermes_run_run(struct tool_run *r, struct buf *result, struct err *e)
{
	const struct config *c = r->env->config;
	struct buf toolsets = { 0 };
	struct hermes h = { .r = r, .prompt = param_str(r, "prompt"), .model = param_str(r, "model"),
		.provider = param_str(r, "provider"), .path = param_str(r, "path"), .max_turns = param_int(r, "max_turns"),
		.until_ms = end_of(r), .output = { .max = 4u << 20 } };
	int rc = -1;

	join_toolsets(r, &toolsets);
	h.toolsets = buf_str(&toolsets);
	if (param_str(r, "session"))
		snprintf(h.session, sizeof h.session, "%s", param_str(r, "session"));
	if (cJSON_GetObjectItemCaseSensitive(r->params, "allow") && !r->approved)
		err_field(e, ERR_APPROVAL, "params.allow", NULL, "a task that the sovereign has approved: submit it with mode sovereign");
	else if (c->hermes_url)
		rc = hermes_api(&h, e);
	else if (c->hermes_program)
		rc = hermes_cli(&h, e);
	else
		err_set(e, ERR_CONFIG, "hermes.url and hermes.program: expected one of them, got neither: houses.yaml of this agent does not "
		    "say where Hermes is");
	if (rc && *h.asked)
		rc = needs_approval(&h, e);
	if (rc == 0)
		put_result(&h, result);
	cJSON_Delete(h.usage);
	buf_free(&h.output);
	buf_free(&toolsets);
	return rc;
}

/* That the run has completed, as Hermes says when it is asked again; not that what it did is good. */
static int
hermes_run_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	const char *id = json_text(result, "run_id");
	char status[40];

	if (!*id)
		return note_check(r, "hermes_run", "hermes", false, NULL, "a run over its API, of which one can ask", e);
	if (hermes_api_status(r, id, status, sizeof status, e))
		return -1;
	return note_check(r, "hermes_run", id, strcmp(status, "completed") == 0, status, "completed", e);
}

#define WORD "\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$\",\"maxLength\":128"

/* Worth another try, where nothing was done: it was full, was not reached, or ended before it called a tool. */
static const struct retry_rule retry = { .on = { 429 } };

/* Each agent has its own, and its breakers are its own. */
static const struct target_rule target = { .name = "hermes", .slow = true, .down = { 429, 500, 502, 503, 504 } };

const struct tool tool_hermes_run = {
	.name = "hermes_run",
	.summary = "Gives Hermes, an AI agent, something to do: its answer and what it used",
	.schema = "{\"type\":\"object\",\"required\":[\"prompt\"],\"properties\":{"
	    "\"prompt\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200000,\"description\":\"What it is to do.\"},"
	    "\"session\":{" WORD ",\"description\":\"Goes on in this session; default: a new one.\"},"
	    "\"model\":{" WORD ",\"description\":\"By its name, or over HTTP that of one of its model_routes.\"},"
	    "\"provider\":{" WORD ",\"description\":\"Of the model; command line only.\"},"
	    "\"toolsets\":{\"type\":\"array\",\"maxItems\":32,\"items\":{" WORD "},"
	    "\"description\":\"What it may use; command line only.\"},"
	    "\"max_turns\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,"
	    "\"description\":\"Stops it after so many turns; over HTTP, after so many calls of tools.\"},"
	    "\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"Directory beneath a writable root in which it works.\"},"
	    "\"allow\":{\"type\":\"array\",\"maxItems\":20,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4095},"
	    "\"description\":\"Commands, to the letter, that it may run although it has to ask; in approved tasks only.\"}}}",
	.effect = TOOL_EXCLUSIVE,
	.timeout_s = 1800,
	.run = hermes_run_run,
	.prove = hermes_run_prove,
	.retry = &retry,
	.target = &target,
};
