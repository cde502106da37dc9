#include "comment.h"

#include <string.h>

#include "json.h"
#include "task.h"

#define RECORD "<!-- uni-wizard-triage "

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
put_task(struct buf *out, const struct matter *x, const char *link)
{
	const char *id = *x->known ? x->known : x->task;
	size_t i = find(x->state);

	if (link)
		buf_addf(out, "Task [`%s`](%s%s) ", id, link, id);
	else
		buf_addf(out, "Task `%s` ", id);
	buf_addf(out, "%s.", i < NSTATES ? states[i].text : "is with its house");
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

/* An error's message and a result may have in them what only the house should know. */
static void
put_outcome(struct buf *out, const struct matter *x, bool whole)
{
	cJSON *o = x->outcome ? cJSON_Parse(x->outcome) : NULL;
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(o, "error"), *result = cJSON_GetObjectItemCaseSensitive(o, "result");
	const char *agent = json_text(o, "agent"), *code = json_text(error, "code");
	char *text = NULL;

	if (json_number(o, "attempt", 0) > 0)
		buf_addf(out, " Attempt %lld, %lld ms.", (long long)json_number(o, "attempt", 0), (long long)json_number(o, "run_ms", 0));
	if (name_ok(agent))
		buf_addf(out, " Run by `%s`.", agent);
	if (*code && err_code_parse(code) != ERR_INTERNAL)
		buf_addf(out, " Error: `%s`.", code);
	if (whole && *json_text(error, "message"))
		put_fenced(out, json_text(error, "message"));
	if (whole && result && (text = cJSON_IsString(result) ? xstrdup(result->valuestring) : cJSON_Print(result)))
		put_fenced(out, text);
	free(text);
	cJSON_Delete(o);
}

void
comment_put(struct buf *out, const struct matter *x, const struct config_triage *rule, const char *link, const char *key)
{
	char marker[GITEA_MARKER_MAX];

	buf_addf(out, RECORD "rule=%s house=%s task=%s state=%s -->\n", or_dash(x->rule), or_dash(x->house), or_dash(x->task),
	    or_dash(x->state));
	if (!rule && !*x->rule)
		buf_adds(out, "**Triage**: no rule speaks for this; a person looks at it.");
	else
		buf_addf(out, "**Triage**: %s (rule `%s`%s%s%s).", rule && rule->category ? rule->category : "seen", x->rule,
		    *x->house ? ", house `" : "", x->house, *x->house ? "`" : "");
	if (*x->task) {
		buf_adds(out, "\n\n");
		put_task(out, x, link);
		put_outcome(out, x, rule && strcmp(rule->report, "result") == 0);
	}
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

bool
comment_read(const char *text, struct matter *x)
{
	const char *p = text + strlen(RECORD);
	struct matter r = { 0 };
	struct ulid id;

	if (strncmp(text, RECORD, strlen(RECORD)) != 0 || !read_member(&p, "rule=", r.rule, sizeof r.rule) ||
	    !read_member(&p, "house=", r.house, sizeof r.house) || !read_member(&p, "task=", r.task, sizeof r.task) ||
	    !read_member(&p, "state=", r.state, sizeof r.state) || strncmp(p, "-->", 3) != 0)
		return false;
	if ((*r.rule && !name_ok(r.rule)) || (*r.house && !name_ok(r.house)) || (*r.task && !ulid_parse(r.task, &id)))
		return false;
	memcpy(x->rule, r.rule, sizeof x->rule);
	memcpy(x->house, r.house, sizeof x->house);
	memcpy(x->task, r.task, sizeof x->task);
	memcpy(x->state, r.state, sizeof x->state);
	memcpy(x->shown, r.state, sizeof x->shown);
	return true;
}
