/*
 * harness_allegro.c - Allegro's calls: tools by their own names, with parameters in C. What is missing or too much is found
 * where all parameters are checked, by the tool's schema.
 */
#include "harness.h"
#include "json.h"

/* An optional parameter. */
static void
put(struct buf *b, const char *name, const char *text)
{
	if (text)
		json_kv_str(b, name, text);
}

/* A list of one. */
static void
put_one(struct buf *b, const char *name, const char *text)
{
	json_put_key(b, name);
	json_put_open(b, '[');
	json_put_str(b, text);
	json_put_close(b, ']');
}

static int
run(struct uw_harness *h, const char *tool, struct buf *params, struct uw_result **result, struct uw_error *err)
{
	int rc;

	json_put_close(params, '}');
	rc = uw_execute(h, tool, buf_str(params), result, err);
	buf_free(params);
	return rc;
}

int
uw_get_gitea_issues(struct uw_harness *h, const char *repository, const char *assignee, struct uw_result **result,
    struct uw_error *err)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	put(&b, "repository", repository);
	put(&b, "assignee", assignee);
	json_kv_str(&b, "type", "issues");
	json_kv_int(&b, "max", 1000);
	return run(h, "gitea_list_issues", &b, result, err);
}

int
uw_create_pr(struct uw_harness *h, const char *repository, const char *branch, const char *title, const char *body,
    struct uw_result **result, struct uw_error *err)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	put(&b, "repository", repository);
	put(&b, "head", branch);
	put(&b, "title", title);
	put(&b, "body", body);
	return run(h, "gitea_create_pr", &b, result, err);
}

int
uw_run_with_hermes(struct uw_harness *h, const char *prompt, const char *model, struct uw_result **result, struct uw_error *err)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	put(&b, "prompt", prompt);
	put(&b, "model", model);
	return run(h, "hermes_run", &b, result, err);
}

int
uw_stream_telemetry(struct uw_harness *h, const char *events, struct uw_result **result, struct uw_error *err)
{
	struct buf b = { 0 };

	/* Raw: whatever is not one JSON value is refused with all of it, as bad JSON or as a parameter that there is not. */
	json_put_open(&b, '{');
	if (events)
		json_kv_raw(&b, "events", events, strlen(events));
	return run(h, "telemetry_report", &b, result, err);
}

/* "host:port", which no name of a house or agent can be. */
static const char *
kind_of(const char *target)
{
	return strstr(target, "://") ? "urls" : strchr(target, ':') ? "ports" : "houses";
}

int
uw_check_health(struct uw_harness *h, const char *target, const char *ca_file, struct uw_result **result,
    struct uw_error *err)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	if (target) {
		json_kv_bool(&b, "host", false);
		put_one(&b, kind_of(target), target);
	}
	put(&b, "ca_file", ca_file);
	return run(h, "health_check", &b, result, err);
}
