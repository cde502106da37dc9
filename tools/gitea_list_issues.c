#include "gitea_tool.h"
#include "param.h"

#define ROOM 512                /* of the result, for what is no issue */
#define BODY 4000               /* bytes of a text */

#define TIME \
	"\"type\":\"string\",\"maxLength\":40," \
	"\"pattern\":\"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$\""

struct list {
	struct tool_run *r;
	struct buf *b;
	int64_t n, most;
	bool bodies, full;
	struct err *e;
	bool bad;
};

static bool
on_issue(void *arg, const cJSON *item)
{
	struct list *l = arg;
	struct gitea_issue i;
	size_t before = l->b->len;

	if (gitea_issue_read(item, &i, l->e)) {
		l->bad = true;
		return false;
	}
	l->full = l->n == l->most;
	if (l->full)
		return false;
	json_put_open(l->b, '{');
	gitea_put_issue(l->b, &i, l->bodies ? BODY : 0);
	json_put_close(l->b, '}');
	l->full = l->b->len + ROOM > l->r->max_output;
	if (l->full)
		buf_cut(l->b, before);
	else
		l->n++;
	return !l->full;
}

static void
join(const struct tool_run *r, const char *param, struct buf *out)
{
	const char *v[GITEA_NAMES_MAX];
	size_t n = gitea_tool_texts(r, param, v);

	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s", i ? "," : "", v[i]);
}

static int
list(struct gitea_run *t, struct buf *result, struct err *e)
{
	struct tool_run *r = t->r;
	struct buf labels = { .max = 16384 };
	struct list l = { .r = r, .b = result, .most = param_int(r, "max"), .bodies = param_bool(r, "bodies"), .e = e };
	struct gitea_issue_query q = {
		.state = param_str(r, "state"), .type = param_str(r, "type"), .since = param_str(r, "since"),
		.before = param_str(r, "before"), .text = param_str(r, "text"), .author = param_str(r, "author"),
		.assignee = param_str(r, "assignee"), .per_page = l.most,
	};
	int64_t ids[GITEA_NAMES_MAX];
	size_t n;
	int rc = gitea_tool_labels(t, "labels", ids, &n, e);

	join(r, "labels", &labels);
	q.labels = labels.len ? buf_str(&labels) : NULL;
	json_put_open(result, '{');
	json_kv_str(result, "repository", t->repo);
	json_put_key(result, "issues");
	json_put_open(result, '[');
	if (rc == 0)
		rc = gitea_issues(t->g, t->repo, &q, on_issue, &l, e);
	json_put_close(result, ']');
	json_kv_int(result, "count", l.n);
	json_kv_bool(result, "truncated", l.full);
	json_put_close(result, '}');
	buf_free(&labels);
	return rc || l.bad ? -1 : 0;
}

static int
gitea_list_issues_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct gitea_run t;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = list(&t, result, e);
	return gitea_tool_close(&t, rc);
}

/* Gitea leaves out labels that it does not know, and filters by none if it knows none: so they are looked up first. */
const struct tool tool_gitea_list_issues = {
	.name = "gitea_list_issues",
	.summary = "Lists issues and pull requests of a repository, newest first",
	.schema = "{\"type\":\"object\",\"required\":[\"repository\"],\"properties\":{" GITEA_PARAM_REPOSITORY ","
	    "\"state\":{\"type\":\"string\",\"enum\":[\"open\",\"closed\",\"all\"],\"default\":\"open\",\"description\":\"Of which state.\"},"
	    "\"type\":{\"type\":\"string\",\"enum\":[\"issues\",\"pulls\"],\"description\":\"One kind alone; without it both.\"},"
	    GITEA_NAMES("labels", "20", "Those that have all of these.") ","
	    "\"since\":{" TIME ",\"description\":\"Changed at that time or later.\"},"
	    "\"before\":{" TIME ",\"description\":\"Changed at that time or earlier.\"},"
	    "\"author\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,\"description\":\"Opened by that user.\"},"
	    "\"assignee\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,\"description\":\"Assigned to that user.\"},"
	    "\"text\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,"
	    "\"description\":\"In title or text, by an index that may lag.\"},"
	    "\"bodies\":{\"type\":\"boolean\",\"default\":false,\"description\":\"With their texts, cut to 4,000 bytes.\"},"
	    "\"max\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":100,"
	    "\"description\":\"How many at most; truncated says that there are more.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 120,
	.run = gitea_list_issues_run,
	.target = &gitea_target,
};
