/*
 * gitea_tool.h - what the tools gitea_* share.
 *
 * They speak to the Gitea of houses.yaml, about its repositories and no others. Those that change something are idempotent:
 * what they write carries the id of the task, or the key that it gives, and is looked for first (gitea.h).
 */
#ifndef UW_GITEA_TOOL_H
#define UW_GITEA_TOOL_H

#include "gitea.h"
#include "plan.h"
#include "tool.h"

#define GITEA_PARAM_REPOSITORY \
	"\"repository\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$\",\"maxLength\":201," \
	"\"description\":\"owner/name; one of the configuration's.\"}"
#define GITEA_PARAM_NUMBER \
	"\"number\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9007199254740991," \
	"\"description\":\"Of the issue or pull request.\"}"
#define GITEA_PARAM_KEY \
	"\"key\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9._:/]+(-[A-Za-z0-9._:/]+)*$\",\"maxLength\":90," \
	"\"description\":\"What has it is written once, whichever task asks; without it once for this task.\"}"
#define GITEA_NAMES(name, most, text) \
	"\"" name "\":{\"type\":\"array\",\"maxItems\":" most ",\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}," \
	"\"description\":\"" text "\"}"
#define GITEA_PARAM_BODY "\"body\":{\"type\":\"string\",\"maxLength\":64800,\"description\":\"Markdown.\"}"

#define GITEA_NAMES_MAX 50

extern const struct target_rule gitea_target;

/* One run of a tool. */
struct gitea_run {
	struct tool_run *r;
	struct gitea *g;
	const char *repo;
	char id[101];                   /* of what is written: the task's, or "key/" and params.key */
	char since[32];                 /* "", or when the task was made at the earliest: nothing of it is older */
};

/* gitea_tool_close() in any case, with what came of it, which it returns. */
int gitea_tool_open(struct gitea_run *t, struct tool_run *r, struct err *e);
int gitea_tool_close(struct gitea_run *t, int rc);

/* The texts of a parameter that is an array; returns how many, at most GITEA_NAMES_MAX. */
size_t gitea_tool_texts(const struct tool_run *r, const char *param, const char *out[GITEA_NAMES_MAX]);

/* Ids of the labels that the parameter names; ERR_INVALID for one that the repository does not have, with what it may
 * have been. */
int gitea_tool_labels(struct gitea_run *t, const char *param, int64_t ids[GITEA_NAMES_MAX], size_t *n, struct err *e);

#define GITEA_WHERE_MAX 48

/* "issues/N" by params.number. */
void gitea_tool_where(const struct tool_run *r, char out[GITEA_WHERE_MAX]);

/* It will write to "URL/owner/name/where"; verb and text tell who approves what. */
int gitea_tool_plan(struct tool_run *r, struct plan *p, const char *verb, const char *where, const char *text,
    struct err *e);

/* It has written there. */
void gitea_tool_note(struct gitea_run *t, const char *where, const char *text);

/* "number","title","state",... of an issue; its text is cut to fit into room bytes, 0: none. */
void gitea_put_issue(struct buf *b, const struct gitea_issue *i, size_t room);
/* "number","title","state","merged","head","base","sha","url" of a pull request. */
void gitea_put_pull(struct buf *b, const struct gitea_pull *p);
/* key: ["name",...] of a list of objects with `member`. */
void gitea_put_names(struct buf *b, const char *key, const cJSON *list, const char *member);
/* "body" without the marker, cut to fit, and "body_truncated" if it is. */
void gitea_put_body(struct buf *b, const char *text, size_t room);

#endif
