#include "gitea_tool.h"
#include "param.h"

#define LIST_MAX 100            /* statuses, reviews */

struct list {
	struct buf *b;
	int n, left_out;
	int approved, rejected;
};

static bool
is_room(struct list *l)
{
	if (l->n == LIST_MAX)
		l->left_out++;
	else
		l->n++;
	return !l->left_out;
}

static void
put_check(struct list *l, const cJSON *item)
{
	struct gitea_status s;

	if (gitea_status_read(item, &s, NULL) || !is_room(l))
		return;
	json_put_open(l->b, '{');
	json_kv_str(l->b, "context", s.context);
	json_kv_str(l->b, "state", s.state);
	json_kv_str(l->b, "description", s.description);
	json_kv_str(l->b, "url", s.target_url);
	json_put_close(l->b, '}');
}

static int
put_checks(struct gitea_run *t, const struct gitea_pull *p, struct buf *b, struct err *e)
{
	struct list l = { .b = b };
	const cJSON *item;
	cJSON *o;

	if (gitea_status_combined(t->g, t->repo, p->head_sha, &o, e))
		return -1;
	json_kv_str(b, "checks", json_text(o, "state"));
	json_put_key(b, "statuses");
	json_put_open(b, '[');
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(o, "statuses"))
		put_check(&l, item);
	json_put_close(b, ']');
	if (l.left_out)
		json_kv_int(b, "statuses_left_out", l.left_out);
	cJSON_Delete(o);
	return 0;
}

/* Of an earlier commit, or taken back: it is shown, and counts for nothing. */
static bool
on_review(void *arg, const cJSON *item)
{
	struct list *l = arg;
	struct gitea_review v;

	if (gitea_review_read(item, &v, NULL))
		return true;
	l->approved += strcmp(v.state, "APPROVED") == 0 && !v.stale && !v.dismissed;
	l->rejected += strcmp(v.state, "REQUEST_CHANGES") == 0 && !v.dismissed;
	if (!is_room(l))
		return true;
	json_put_open(l->b, '{');
	json_kv_str(l->b, "author", v.author);
	json_kv_str(l->b, "state", v.state);
	json_kv_bool(l->b, "stale", v.stale);
	json_kv_bool(l->b, "dismissed", v.dismissed);
	json_kv_str(l->b, "submitted_at", v.submitted_at);
	json_put_close(l->b, '}');
	return true;
}

static int
put_reviews(struct gitea_run *t, const struct gitea_pull *p, struct buf *b, struct err *e)
{
	struct list l = { .b = b };

	json_put_key(b, "reviews");
	json_put_open(b, '[');
	if (gitea_reviews(t->g, t->repo, p->number, on_review, &l, e))
		return -1;
	json_put_close(b, ']');
	if (l.left_out)
		json_kv_int(b, "reviews_left_out", l.left_out);
	json_kv_int(b, "approvals", l.approved);
	json_kv_int(b, "rejections", l.rejected);
	return 0;
}

static int
put(struct gitea_run *t, const cJSON *o, struct buf *b, struct err *e)
{
	struct gitea_pull p;

	if (gitea_pull_read(o, &p, e))
		return -1;
	json_put_open(b, '{');
	json_kv_str(b, "repository", t->repo);
	gitea_put_pull(b, &p);
	json_kv_bool(b, "draft", p.draft);
	json_kv_bool(b, "mergeable", p.mergeable);
	json_kv_str(b, "author", p.author);
	if (p.merged) {
		json_kv_str(b, "merged_at", p.merged_at);
		json_kv_str(b, "merge_sha", p.merge_sha);
	}
	if (put_checks(t, &p, b, e) || put_reviews(t, &p, b, e))
		return -1;
	json_put_close(b, '}');
	return b->len <= t->r->max_output ? 0 : err_set(e, ERR_TOO_BIG, "the answer is larger than workers.output_bytes");
}

static int
gitea_pr_status_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct gitea_run t;
	cJSON *o = NULL;
	int rc = gitea_tool_open(&t, r, e);

	if (rc == 0)
		rc = gitea_pull_get(t.g, t.repo, param_int(r, "number"), &o, e);
	if (rc == 0)
		rc = put(&t, o, result, e);
	cJSON_Delete(o);
	return gitea_tool_close(&t, rc);
}

const struct tool tool_gitea_pr_status = {
	.name = "gitea_pr_status",
	.summary = "Tells how a pull request stands: state, checks of its last commit, reviews",
	.schema = "{\"type\":\"object\",\"required\":[\"repository\",\"number\"],\"properties\":{" GITEA_PARAM_REPOSITORY ","
	    GITEA_PARAM_NUMBER "}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = gitea_pr_status_run,
	.target = &gitea_target,
};
