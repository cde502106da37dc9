#include "mcp_jobs_impl.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"

#define ANSWER_MS 3000                  /* with several brokers agents may just be changing */
#define ANSWER_OTHER_MS 10000
#define TELL_MS 5000                    /* so often progress is told, though nothing has changed */

struct jobs *
jobs_new(const struct jobs_opts *o)
{
	struct jobs *j = xcalloc(1, sizeof *j);

	j->o = *o;
	return j;
}

void
jobs_connect(struct jobs *j, struct mcp *m, struct client *c)
{
	j->mcp = m;
	j->client = c;
}

static void
job_free(struct jobs *j, struct job *b)
{
	struct job **at = &j->first;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	if (j->lister == b) {
		rows_clear(&j->rows);
		j->lister = NULL;
	}
	cJSON_Delete(b->seen);
	cJSON_Delete(b->list);
	free(b);
}

void
jobs_free(struct jobs *j)
{
	while (j && j->first)
		job_free(j, j->first);
	free(j);
}

bool
jobs_are_busy(const struct jobs *j)
{
	return j->first;
}

int64_t
jobs_answer_ms(const struct jobs *j)
{
	return j->o.config->nbrokers > 1 ? ANSWER_OTHER_MS : ANSWER_MS;
}

/* What is told of a task */

/* Of what is known of it, that for which an AI agent has use. */
static const char *const members[] = { "house", "tool", "state", "sender", "mode", "attempt", "run_ms", "accepted", "not_before",
	"finished", "waits_for", "held", "halted", "cancelling", "failures", "crashes", "agent", "result", "error" };
static const char *const asked_members[] = { "why", "target", "dry_run", "hash" };

static void
put_members(struct buf *b, const cJSON *o, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, names[i]);

		if (!v)
			continue;
		json_put_key(b, names[i]);
		json_put_tree(b, v);
	}
}

static void
put_approval(struct buf *b, const cJSON *o)
{
	const cJSON *touches = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "subject"), "touches");
	int64_t expires = json_number(o, "expires", 0);

	if (!o)
		return;
	json_put_key(b, "approval");
	json_put_open(b, '{');
	put_members(b, o, asked_members, sizeof asked_members / sizeof *asked_members);
	if (cJSON_IsArray(touches)) {
		json_put_key(b, "touches");
		json_put_tree(b, touches);
	}
	if (expires)
		json_kv_time(b, "denied_unless_approved_by", expires);
	json_put_close(b, '}');
}

bool
job_has_ended(const char *state)
{
	enum task_state s;

	return task_state_parse(state, &s) == 0 && task_state_is_terminal(s);
}

bool
job_is_waiting(const char *state)
{
	return strcmp(state, task_state_name(TASK_WAITING)) == 0;
}

static void
put_next(struct buf *b, const struct jobs *j, const char *state)
{
	struct buf text = { 0 };

	if (strcmp(state, "spooled") == 0)
		buf_adds(&text, "No house has taken it yet. It is kept on this host and sent as soon as one answers; task_cancel takes it back.");
	else if (job_is_waiting(state))
		buf_addf(&text, "%s has to approve it, which nobody can do here; then it runs by itself. task_show tells what became of it.",
		    j->o.config->sovereign);
	else if (strcmp(state, task_state_name(TASK_UNCERTAIN)) == 0)
		buf_addf(&text, "It may or may not have had its effect; %s has to look. Do not call the tool again before that.",
		    j->o.config->sovereign);
	else
		buf_adds(&text, "It goes on. task_show with this id tells how it ended, and with wait_s waits for that.");
	json_kv_str(b, "next", buf_str(&text));
	buf_free(&text);
}

/* o: a reply about the task; its state may be given otherwise. */
void
job_put_task(struct buf *b, const struct jobs *j, const char *id, const cJSON *o, const char *otherwise)
{
	const char *state = otherwise ? otherwise : json_text(o, "state");

	json_put_open(b, '{');
	json_kv_str(b, "task", id);
	if (otherwise)
		json_kv_str(b, "state", otherwise);
	else
		put_members(b, o, members, sizeof members / sizeof *members);
	if (!otherwise && job_is_waiting(state))
		put_approval(b, cJSON_GetObjectItemCaseSensitive(o, "approval"));
	json_kv_bool(b, "pending", !job_has_ended(state));
	if (!job_has_ended(state))
		put_next(b, j, state);
	json_put_close(b, '}');
}

/* Ends of jobs: each frees the job. */

void
job_end_with(struct jobs *j, struct job *b, const struct buf *json, bool is_error)
{
	if (b->call)
		mcp_end(j->mcp, b->call, json->data, json->len, is_error);
	job_free(j, b);
}

void
job_end_error(struct jobs *j, struct job *b, const char *state, const struct err *e)
{
	struct buf json = { 0 };

	json_put_open(&json, '{');
	if (b->id_text[0])
		json_kv_str(&json, "task", b->id_text);
	if (state)
		json_kv_str(&json, "state", state);
	json_put_key(&json, "error");
	json_put_err(&json, e);
	json_put_close(&json, '}');
	job_end_with(j, b, &json, true);
	buf_free(&json);
}

void
job_end_task(struct jobs *j, struct job *b, const cJSON *o, const char *otherwise, bool is_error)
{
	struct buf json = { 0 };

	job_put_task(&json, j, b->id_text, o, otherwise);
	job_end_with(j, b, &json, is_error);
	buf_free(&json);
}

void
job_end_no_answer(struct jobs *j, struct job *b)
{
	const char *why = client_why_down(j->client);
	struct err e;

	if (client_is_up(j->client))
		err_set(&e, ERR_TIMEOUT, "no house answered in time");
	else
		err_set(&e, ERR_NETWORK, "no connection to the broker: %s", why[0] ? why : "no answer");
	job_end_error(j, b, NULL, &e);
}

/* Asking */

void
job_ask_house(struct jobs *j, struct job *b, enum topic_kind kind, const char *house, const char *json)
{
	client_request(j->client, kind, house, json, NULL);
	b->asked++;
}

/* The house that has the task, or all of them. */
void
job_ask(struct jobs *j, struct job *b, enum topic_kind kind, const char *json)
{
	const struct config *c = j->o.config;

	b->asked = b->answered = 0;
	if (b->house[0]) {
		job_ask_house(j, b, kind, b->house, json);
		return;
	}
	job_ask_house(j, b, kind, "_", json);
	for (size_t i = 0; i < c->nhouses; i++)
		job_ask_house(j, b, kind, c->houses[i].name, json);
}

void
job_ask_for(struct jobs *j, struct job *b, enum topic_kind kind)
{
	char json[64];

	snprintf(json, sizeof json, "{\"id\":\"%s\"}", b->id_text);
	job_ask(j, b, kind, json);
}

void
job_look(struct jobs *j, struct job *b, int64_t now_ms)
{
	/* Nothing is heaped up for a broker that is away. */
	if (client_is_up(j->client))
		job_ask_for(j, b, TOPIC_QUERY);
	b->due_ms = now_ms + b->pause_ms;
	b->pause_ms = 2 * b->pause_ms > JOB_LOOK_MAX_MS ? JOB_LOOK_MAX_MS : 2 * b->pause_ms;
}

void
job_see(struct job *b, const cJSON *o)
{
	const char *state = json_text(o, "state"), *house = json_text(o, "house");

	/* The router's word counts only until a house has the task. */
	if (strcmp(state, "forwarded") == 0 && b->seen)
		return;
	cJSON_Delete(b->seen);
	b->seen = cJSON_Duplicate(o, true);
	if (strcmp(state, "forwarded") != 0)
		snprintf(b->house, sizeof b->house, "%.*s", (int)sizeof b->house - 1, house);
}

/* Progress */

void
jobs_listen(struct jobs *j)
{
	char filter[TOPIC_MAX];

	if (j->listens)
		return;
	topic_format(filter, j->o.config->cluster, TOPIC_LOG, "+", "+");
	j->listens = client_subscribe(j->client, filter, NULL) == 0;
}

void
job_tell(struct jobs *j, struct job *b, const char *state, const char *house, int64_t now_ms)
{
	char note[160];

	if (!b->call || (b->told_ms && now_ms - b->told_ms < TELL_MS && strcmp(b->told, state) == 0))
		return;
	b->told_ms = now_ms;
	snprintf(b->told, sizeof b->told, "%.*s", (int)sizeof b->told - 1, state);
	snprintf(note, sizeof note, "%s, house %s, %lld s", state, house, (long long)(now_ms - b->begun_ms) / 1000);
	mcp_progress(j->mcp, b->call, -1, note);
}

static void
take_progress(struct jobs *j, const cJSON *o)
{
	for (struct job *b = j->first; b; b = b->next)
		if (b->call && strcmp(b->id_text, json_text(o, "id")) == 0 && strcmp(json_text(o, "type"), "progress") == 0) {
			b->told_ms = clock_mono_ms();
			mcp_progress(j->mcp, b->call, (int)json_number(o, "percent", -1), json_text(o, "note"));
		}
}

void
jobs_on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	const char *p = payload, *end = payload + len;
	struct jobs *j = arg;

	(void)topic;
	while (p < end && j->first) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		cJSON *o = memmem(p, n, "\"progress\"", 10) ? json_parse_object(p, n, NULL) : NULL;

		if (o)
			take_progress(j, o);
		cJSON_Delete(o);
		p += n + 1;
	}
}

/* All of them */

static const struct {
	void (*begin)(struct jobs *j, struct job *b);
	void (*reply)(struct jobs *j, struct job *b, const struct client_reply *r, int64_t now_ms);
	void (*tick)(struct jobs *j, struct job *b, int64_t now_ms);
	bool by_id;                     /* only replies about its task */
} asks[MCP_NASKS] = {
	[MCP_RUN] = { job_run_begin, job_run_reply, job_run_tick, true },
	[MCP_SHOW] = { job_find_begin, job_look_reply, job_look_tick, true },
	[MCP_CANCEL] = { job_find_begin, job_look_reply, job_look_tick, true },
	[MCP_LIST] = { job_list_begin, job_list_reply, job_list_tick, false },
};

void
jobs_on_begin(void *arg, struct mcp_call *call)
{
	struct jobs *j = arg;
	struct job *b = xcalloc(1, sizeof *b);

	b->call = call;
	b->ask = call->ask;
	b->begun_ms = clock_mono_ms();
	b->pause_ms = JOB_LOOK_MS;
	b->next = j->first;
	j->first = call->job = b;
	asks[b->ask].begin(j, b);
}

void
jobs_on_stop(void *arg, struct mcp_call *call)
{
	struct jobs *j = arg;
	struct job *b = call->job;

	b->call = NULL;
	if (b->ask == MCP_RUN)
		job_run_stop(j, b);
	else if (b->ask != MCP_CANCEL)
		job_free(j, b);
}

/* Of a task that nobody waits for any more: it was in the outbox when its call ended. */
static void
let_go(struct jobs *j, const struct client_reply *r)
{
	if (strcmp(r->type, "accepted") == 0)
		client_drop(j->client, &r->id, NULL);
}

void
jobs_on_reply(void *arg, const struct client_reply *r)
{
	int64_t now_ms = clock_mono_ms();
	struct jobs *j = arg;
	bool known = false;

	for (struct job *next, *b = j->first; b; b = next) {
		bool is_his = ulid_equal(&r->id, &b->id);

		next = b->next;
		known |= is_his && b->ask == MCP_RUN;
		if (is_his || !asks[b->ask].by_id)
			asks[b->ask].reply(j, b, r, now_ms);
	}
	if (!known)
		let_go(j, r);
}

/* Whatever was accepted goes on. */
static void
fail(struct jobs *j, struct job *b, const struct err *e)
{
	const char *state = NULL;

	if (b->ask == MCP_RUN && b->seen) {
		job_end_task(j, b, b->seen, NULL, false);
		return;
	}
	if (b->ask == MCP_RUN)
		state = client_drop(j->client, &b->id, NULL) ? task_state_name(TASK_UNCERTAIN) : "rejected";
	job_end_error(j, b, state, e);
}

void
jobs_fail(struct jobs *j, const struct err *e)
{
	while (j->first)
		fail(j, j->first, e);
}

static void
fail_unanswered(struct jobs *j, const struct err *e)
{
	for (struct job *next, *b = j->first; b; b = next) {
		next = b->next;
		if (!b->seen && !b->answered)
			fail(j, b, e);
	}
}

int
jobs_tick(struct jobs *j, int64_t now_ms)
{
	struct err e;

	if (client_is_refused(j->client)) {
		client_pardon(j->client);
		err_set(&e, ERR_DENIED, "the broker does not let %s send that: the lists in %s say who may what", j->o.identity,
		    j->o.config->path);
		fail_unanswered(j, &e);
	}
	for (struct job *next, *b = j->first; b; b = next) {
		next = b->next;
		asks[b->ask].tick(j, b, now_ms);
	}
	return j->first ? 50 : 500;
}
