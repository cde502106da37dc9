#include "comment.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "rule.h"
#include "said.h"
#include "task.h"

#define RECORD "<!-- uni-wizard-triage "
#define SAID "<!-- uni-wizard-said "
#define END " -->\n"
#define ROUNDS_MAX 1000000000

/*      state              what it says                                  commit */
#define STATES(X)                                                                            \
	X("given",            "is on its way to its house",                    "pending")    \
	X("accepted",         "is accepted, and waits for its turn",           "pending")    \
	X("queued",           "is accepted, and waits for its turn",           "pending")    \
	X("scheduled",        "waits for its time, or for other tasks",        "pending")    \
	X("forwarded",        "is on its way to its house",                    "pending")    \
	X("waiting_approval", "**waits for an approval**",                     "pending")    \
	X("starting",         "is running",                                    "pending")    \
	X("running",          "is running",                                    "pending")    \
	X("retrying",         "failed once, and is tried again",               "pending")    \
	X("uncertain",        "may have had its effect; a person decides",     "pending")    \
	X("succeeded",        "**succeeded**",                                 "success")    \
	X("failed",           "**failed**",                                    "failure")    \
	X("dead",             "**is given up**",                               "failure")    \
	X("cancelled",        "**was cancelled**",                             "error")      \
	X("expired",          "**was too late**",                              "error")      \
	X("denied",           "**was denied**",                                "error")      \
	X("rejected",         "**was refused by its house**",                  "error")

static const struct {
	const char *state, *text, *commit;
} states[] = {
#define X(state, text, commit) { state, text, commit },
	STATES(X)
#undef X
};
#define NSTATES (sizeof states / sizeof *states)

static size_t
find(const char *state)
{
	size_t i = 0;

	while (i < NSTATES && strcmp(states[i].state, state) != 0)
		i++;
	return i;
}

const char *
comment_commit_state(const struct matter *x)
{
	size_t i = find(x->state);

	return !*x->task ? "success" : i < NSTATES ? states[i].commit : "pending";
}

bool
comment_is_final(const char *state)
{
	size_t i = find(state);

	return i < NSTATES && strcmp(states[i].commit, "pending") != 0;
}

/* ---- writing ---- */

static const char *
or_dash(const char *s)
{
	return *s ? s : "-";
}

static void
put_id(struct buf *out, const char *id, const char *link)
{
	if (link)
		buf_addf(out, "[`%s`](%s%s) ", id, link, id);
	else
		buf_addf(out, "`%s` ", id);
}

static const char *
id_of(const struct matter *x)
{
	return *x->known ? x->known : x->task;
}

static const char *
words_of(const struct matter *x)
{
	size_t i = find(x->state);

	return i < NSTATES ? states[i].text : "is with its house";
}

/* No longer run of backticks is in the text. */
static void
put_fenced(struct buf *out, const char *text)
{
	size_t longest = 2, run = 0, n = strlen(text), cut = n;

	if (n > COMMENT_RESULT_MAX)
		for (cut = COMMENT_RESULT_MAX; cut && ((unsigned char)text[cut] & 0xc0) == 0x80; cut--)
			;
	for (size_t i = 0; i < cut; i++) {
		run = text[i] == '`' ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	buf_adds(out, "\n\n");
	for (size_t i = 0; i <= longest; i++)
		buf_addc(out, '`');
	buf_addc(out, '\n');
	buf_add(out, text, cut);
	buf_adds(out, cut < n ? "\n...\n" : "\n");
	for (size_t i = 0; i <= longest; i++)
		buf_addc(out, '`');
}

const cJSON *
comment_pull(const cJSON *outcome)
{
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(outcome, "result");

	return strcmp(json_text(outcome, "tool"), "gitea_create_pr") == 0 && json_number(result, "number", 0) > 0 ? result : NULL;
}

/* Nothing in it can end a link. */
static bool
is_plain_url(const char *url)
{
	return (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0) &&
	    url[strspn(url, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#&=%+")] == '\0';
}

static void
put_pull(struct buf *out, const cJSON *pull)
{
	long long number = (long long)json_number(pull, "number", 0);

	if (pull && is_plain_url(json_text(pull, "url")))
		buf_addf(out, " Opened [#%lld](%s).", number, json_text(pull, "url"));
	else if (pull)
		buf_addf(out, " Opened #%lld.", number);
}

/* How long it took is not known any more by a house that is asked later. */
static void
put_attempt(struct buf *out, const cJSON *o)
{
	const cJSON *ms = cJSON_GetObjectItemCaseSensitive(o, "run_ms");
	long long attempt = json_number(o, "attempt", 0);

	if (attempt <= 0)
		return;
	buf_addf(out, " Attempt %lld", attempt);
	if (cJSON_IsNumber(ms))
		buf_addf(out, ", %.0f ms", ms->valuedouble);
	buf_addc(out, '.');
}

static void
put_outcome(struct buf *out, const cJSON *o)
{
	const char *agent = json_text(o, "agent"), *code = json_text(cJSON_GetObjectItemCaseSensitive(o, "error"), "code");

	put_attempt(out, o);
	if (name_ok(agent))
		buf_addf(out, " Run by `%s`.", agent);
	if (*code && err_code_parse(code) != ERR_INTERNAL)
		buf_addf(out, " Error: `%s`.", code);
	put_pull(out, comment_pull(o));
}

/* These may have in them what only the house should know. */
static void
put_words(struct buf *out, const cJSON *o)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(o, "error"), *result = cJSON_GetObjectItemCaseSensitive(o, "result");
	char *text = NULL;

	if (*json_text(error, "message"))
		put_fenced(out, json_text(error, "message"));
	if (result && (text = cJSON_IsString(result) ? xstrdup(result->valuestring) : cJSON_Print(result)))
		put_fenced(out, text);
	free(text);
}

static void
put_step(struct buf *out, const struct matter *x, size_t i, const char *link, const cJSON *outcome)
{
	char id[ULID_TEXT];

	rule_step_id(id, x->first, i);
	put_id(out, i == x->step ? id_of(x) : id, link);
	if (i == x->step)
		buf_addf(out, "%s.", words_of(x));
	else if (i < x->step)
		buf_adds(out, "succeeded.");
	else
		buf_adds(out, comment_is_final(x->state) ? "is not run." : "waits for the one before it.");
	put_outcome(out, outcome);
}

static void
put_chain(struct buf *out, const struct matter *x, const struct config_triage *rule, const char *link, const cJSON *outcome)
{
	cJSON *past = x->past ? cJSON_Parse(x->past) : NULL;
	size_t n = rule_steps(rule);

	for (size_t i = 0; i < n; i++) {
		char *tool = rule_tool(rule, i);

		buf_addf(out, "%s%zu. `%s` ", i ? "\n" : "", i + 1, tool);
		put_step(out, x, i, link, i == x->step ? outcome : cJSON_GetArrayItem(past, (int)i));
		free(tool);
	}
	cJSON_Delete(past);
	if (strcmp(x->state, "succeeded") == 0)
		buf_adds(out, "\n\nAll of it **succeeded**. `uni-wizard audit show ID` says of each who asked for it, approved it and ran it.");
	else if (comment_is_final(x->state))
		buf_addf(out, "\n\nIt ended with task %zu of %zu, which %s.", x->step + 1, n, words_of(x));
}

static void
put_tasks(struct buf *out, const struct matter *x, const struct config_triage *rule, const char *link)
{
	cJSON *o = x->outcome ? cJSON_Parse(x->outcome) : NULL;
	size_t n = rule_steps(rule);

	buf_adds(out, "\n\n");
	if (n > 1 && x->step < n) {
		put_chain(out, x, rule, link, o);
	} else {
		buf_adds(out, "Task ");
		put_id(out, id_of(x), link);
		buf_addf(out, "%s.", words_of(x));
		put_outcome(out, o);
	}
	if (rule && strcmp(rule->report, "result") == 0)
		put_words(out, o);
	cJSON_Delete(o);
}

static void
put_record(struct buf *out, const struct matter *x)
{
	buf_addf(out, RECORD "rule=%s house=%s task=%s state=%s", or_dash(x->rule), or_dash(x->house), or_dash(x->first),
	    or_dash(x->state));
	if (x->round > 0)
		buf_addf(out, " round=%d", x->round);
	buf_adds(out, END);
	if (x->said)
		buf_addf(out, SAID "%s" END, x->said);
}

static void
put_said(struct buf *out, const struct matter *x)
{
	cJSON *list = x->said ? said_read(x->said, strlen(x->said)) : NULL;

	if (list) {
		buf_adds(out, "\n\n");
		said_put(out, list);
	}
	cJSON_Delete(list);
}

void
comment_put(struct buf *out, const struct matter *x, const struct config_triage *rule, const char *link, const char *key)
{
	const char *again = x->round > 0 ? ", as it was opened again" : "";
	char marker[GITEA_MARKER_MAX];

	put_record(out, x);
	if (!rule && !*x->rule)
		buf_addf(out, "**Triage**%s: no rule speaks for this; a person looks at it.", again);
	else
		buf_addf(out, "**Triage**%s: %s (rule `%s`%s%s%s).", again, rule && rule->category ? rule->category : "seen", x->rule,
		    *x->house ? ", house `" : "", x->house, *x->house ? "`" : "");
	put_said(out, x);
	if (*x->task)
		put_tasks(out, x, rule, link);
	gitea_marker(key, marker);
	buf_addf(out, "\n\n%s", marker);
}

/* ---- reading ---- */

static bool
read_member(const char **p, const char *name, char *out, size_t size)
{
	size_t n = strlen(name), len;

	if (strncmp(*p, name, n) != 0)
		return false;
	*p += n;
	len = strcspn(*p, " ");
	if (len == 0 || len >= size)
		return false;
	snprintf(out, size, "%.*s", (int)len, *p);
	if (strcmp(out, "-") == 0)
		out[0] = '\0';
	*p += len;
	*p += strspn(*p, " ");
	return true;
}

/* 0 where there is none. */
static bool
read_round(const char **p, int *round)
{
	char text[16], *end;
	long n;

	*round = 0;
	if (strncmp(*p, "round=", 6) != 0)
		return true;
	if (!read_member(p, "round=", text, sizeof text))
		return false;
	n = strtol(text, &end, 10);
	*round = (int)n;
	return n > 0 && n < ROUNDS_MAX && !*end;
}

/* What was suggested, in the line after the record. The caller frees it; NULL: nothing. */
static char *
read_said(const char *text)
{
	const char *p = strstr(text, END), *end;
	struct buf b = { 0 };
	cJSON *list;

	if (!p || strncmp(p + strlen(END), SAID, strlen(SAID)) != 0)
		return NULL;
	p += strlen(END) + strlen(SAID);
	end = strstr(p, END);
	list = end ? said_read(p, (size_t)(end - p)) : NULL;
	if (list)
		json_put_tree(&b, list);
	cJSON_Delete(list);
	return b.len ? buf_take(&b) : NULL;
}

bool
comment_read(const char *text, struct matter *x)
{
	const char *p = text + strlen(RECORD);
	struct matter r = { 0 };
	struct ulid id;

	if (strncmp(text, RECORD, strlen(RECORD)) != 0 || !read_member(&p, "rule=", r.rule, sizeof r.rule) ||
	    !read_member(&p, "house=", r.house, sizeof r.house) || !read_member(&p, "task=", r.task, sizeof r.task) ||
	    !read_member(&p, "state=", r.state, sizeof r.state) || !read_round(&p, &r.round) || strncmp(p, "-->", 3) != 0)
		return false;
	if ((*r.rule && !name_ok(r.rule)) || (*r.house && !name_ok(r.house)) || (*r.task && !ulid_parse(r.task, &id)))
		return false;
	memcpy(x->rule, r.rule, sizeof x->rule);
	memcpy(x->house, r.house, sizeof x->house);
	memcpy(x->first, r.task, sizeof x->first);
	memcpy(x->task, r.task, sizeof x->task);
	memcpy(x->state, r.state, sizeof x->state);
	memcpy(x->shown, r.state, sizeof x->shown);
	x->round = r.round;
	free(x->said);
	x->said = read_said(text);
	return true;
}
