#include "gitea_impl.h"

#include <string.h>

/* A part of a path; "." and ".." would be steps in it, coded or not. */
static int
put_part(struct gitea *g, struct buf *path, const char *text, struct err *e)
{
	if (!*text || strspn(text, ".") == strlen(text))
		return gitea_fail(g, GITEA_REFUSED, e, "a name for Gitea is empty, or nothing but dots");
	buf_addc(path, '/');
	gitea_put_coded(path, text);
	return 0;
}

static int
begin(struct gitea *g, struct buf *path, const char *repo, struct err *e)
{
	path->max = 8192;
	if (config_repository_ok(repo)) {
		buf_addf(path, "/repos/%s", repo);
		return 0;
	}
	g->failure = (struct gitea_failure){ .kind = GITEA_REFUSED };
	return err_field(e, ERR_INVALID, "repository", repo, "owner/name");
}

static void
kv_some(struct buf *b, const char *key, const char *text)
{
	if (text)
		json_kv_str(b, key, text);
}

static void
kv_texts(struct buf *b, const char *key, const char *const *v, size_t n)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t i = 0; i < n; i++)
		json_put_str(b, v[i]);
	json_put_close(b, ']');
}

static void
kv_numbers(struct buf *b, const char *key, const int64_t *v, size_t n)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t i = 0; i < n; i++)
		json_put_int(b, v[i]);
	json_put_close(b, ']');
}

static int
get(struct gitea *g, struct buf *path, cJSON **out, struct err *e)
{
	struct gitea_ask q = { .method = "GET", .path = path };
	int rc = gitea_ask(g, &q, out, e);

	buf_free(path);
	return rc;
}

/* Closes the body, and frees it and the path. */
static int
change(struct gitea *g, const char *method, struct buf *path, struct buf *body, cJSON **out, struct err *e)
{
	struct gitea_ask q = { .method = method, .path = path, .body = body };
	int rc;

	json_put_close(body, '}');
	rc = gitea_ask(g, &q, out, e);
	buf_free(path);
	buf_free(body);
	return rc;
}

static void
body_open(struct buf *body)
{
	/* Escapes make a text six times as long at most. */
	*body = (struct buf){ .max = 6 * GITEA_BODY_MAX + 65536 };
	json_put_open(body, '{');
}

/* Frees the path. */
static int
list(struct gitea *g, struct buf *path, int64_t per_page, gitea_each *each, void *arg, struct err *e)
{
	struct gitea_listing l = { .each = each, .arg = arg };
	int rc = gitea_list(g, path, &l, per_page, e);

	free(l.seen);
	buf_free(path);
	return rc;
}

int
gitea_version(struct gitea *g, char out[64], struct err *e)
{
	struct buf path = { 0 };
	cJSON *o;

	buf_adds(&path, "/version");
	if (get(g, &path, &o, e))
		return -1;
	snprintf(out, 64, "%s", json_text(o, "version"));
	cJSON_Delete(o);
	return *out ? 0 : gitea_fail(g, GITEA_STRANGE, e, "Gitea, GET /version: expected a version");
}

int
gitea_whoami(struct gitea *g, char login[GITEA_LOGIN_MAX], struct err *e)
{
	struct buf path = { 0 };
	cJSON *o;

	if (!g->login[0]) {
		buf_adds(&path, "/user");
		if (get(g, &path, &o, e))
			return -1;
		snprintf(g->login, sizeof g->login, "%s", json_text(o, "login"));
		cJSON_Delete(o);
		if (!g->login[0])
			return gitea_fail(g, GITEA_STRANGE, e, "Gitea, GET /user: expected a login");
	}
	memcpy(login, g->login, GITEA_LOGIN_MAX);
	return 0;
}

int
gitea_issues(struct gitea *g, const char *repo, const struct gitea_issue_query *q, gitea_each *each, void *arg,
    struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/issues");
	gitea_put_query(&path, "state", q->state);
	gitea_put_query(&path, "type", q->type);
	gitea_put_query(&path, "labels", q->labels);
	gitea_put_query(&path, "q", q->text);
	gitea_put_query(&path, "since", q->since);
	gitea_put_query(&path, "before", q->before);
	gitea_put_query(&path, "created_by", q->author);
	gitea_put_query(&path, "assigned_by", q->assignee);
	return list(g, &path, q->per_page, each, arg, e);
}

static int
begin_number(struct gitea *g, struct buf *path, const char *repo, const char *noun, int64_t number, struct err *e)
{
	if (begin(g, path, repo, e))
		return -1;
	buf_addf(path, "/%s/%lld", noun, (long long)number);
	return 0;
}

int
gitea_issue_get(struct gitea *g, const char *repo, int64_t number, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	return begin_number(g, &path, repo, "issues", number, e) ? -1 : get(g, &path, out, e);
}

int
gitea_issue_create(struct gitea *g, const char *repo, const struct gitea_issue_new *n, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/issues");
	body_open(&body);
	json_kv_str(&body, "title", n->title);
	kv_some(&body, "body", n->body);
	if (n->nlabels)
		kv_numbers(&body, "labels", n->labels, n->nlabels);
	if (n->nassignees)
		kv_texts(&body, "assignees", n->assignees, n->nassignees);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_issue_edit(struct gitea *g, const char *repo, int64_t number, const struct gitea_issue_edit *d, cJSON **out,
    struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin_number(g, &path, repo, "issues", number, e))
		return -1;
	body_open(&body);
	kv_some(&body, "title", d->title);
	kv_some(&body, "body", d->body);
	kv_some(&body, "state", d->state);
	if (d->assignees)
		kv_texts(&body, "assignees", d->assignees, d->nassignees);
	return change(g, "PATCH", &path, &body, out, e);
}

int
gitea_comments(struct gitea *g, const char *repo, int64_t number, const char *since, gitea_each *each, void *arg,
    struct err *e)
{
	struct gitea_listing l = { .each = each, .arg = arg };
	struct buf path = { 0 };
	struct gitea_ask q = { .method = "GET", .path = &path };
	cJSON *items = NULL;
	int rc = begin_number(g, &path, repo, "issues", number, e);

	buf_adds(&path, "/comments");
	gitea_put_query(&path, "since", since);
	if (rc == 0)
		rc = gitea_ask(g, &q, &items, e);
	/* Of something else to say that it has no comments would be to write them again. */
	if (rc == 0 && !cJSON_IsArray(items))
		rc = gitea_strange(g, &q, e, "expected a list");
	if (rc == 0)
		gitea_show_page(&l, items);
	free(l.seen);
	cJSON_Delete(items);
	buf_free(&path);
	return rc;
}

static int
send_text(struct gitea *g, const char *method, struct buf *path, const char *text, cJSON **out, struct err *e)
{
	struct buf body;

	body_open(&body);
	json_kv_str(&body, "body", text);
	return change(g, method, path, &body, out, e);
}

int
gitea_comment_create(struct gitea *g, const char *repo, int64_t number, const char *body, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	if (begin_number(g, &path, repo, "issues", number, e))
		return -1;
	buf_adds(&path, "/comments");
	return send_text(g, "POST", &path, body, out, e);
}

int
gitea_comment_edit(struct gitea *g, const char *repo, int64_t id, const char *body, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	if (begin_number(g, &path, repo, "issues/comments", id, e))
		return -1;
	return send_text(g, "PATCH", &path, body, out, e);
}

/* An owner that is a person has none: not found, and nothing is amiss. */
static int
list_org_labels(struct gitea *g, const char *repo, struct gitea_listing *l, struct err *e)
{
	struct buf path = { .max = 8192 };
	struct err why = { 0 };
	int rc;

	buf_addf(&path, "/orgs/%.*s/labels", (int)strcspn(repo, "/"), repo);
	rc = gitea_list(g, &path, l, 0, &why);
	buf_free(&path);
	if (rc && (g->failure.kind == GITEA_NOT_FOUND || g->failure.kind == GITEA_FORBIDDEN)) {
		g->failure = (struct gitea_failure){ .kind = GITEA_FINE };
		rc = 0;
	}
	if (rc && e)
		*e = why;
	return rc;
}

int
gitea_labels(struct gitea *g, const char *repo, gitea_each *each, void *arg, struct err *e)
{
	struct gitea_listing l = { .each = each, .arg = arg };
	struct buf path = { 0 };
	int rc = begin(g, &path, repo, e);

	buf_adds(&path, "/labels");
	if (rc == 0)
		rc = gitea_list(g, &path, &l, 0, e);
	if (rc == 0 && !l.ended)
		rc = list_org_labels(g, repo, &l, e);
	free(l.seen);
	buf_free(&path);
	return rc;
}

int
gitea_label_create(struct gitea *g, const char *repo, const char *name, const char *color, const char *description,
    bool exclusive, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/labels");
	body_open(&body);
	json_kv_str(&body, "name", name);
	json_kv_str(&body, "color", color);
	kv_some(&body, "description", description);
	json_kv_bool(&body, "exclusive", exclusive);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_issue_label_add(struct gitea *g, const char *repo, int64_t number, const int64_t *ids, size_t n, cJSON **out,
    struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin_number(g, &path, repo, "issues", number, e))
		return -1;
	buf_adds(&path, "/labels");
	body_open(&body);
	kv_numbers(&body, "labels", ids, n < GITEA_IDS_MAX ? n : GITEA_IDS_MAX);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_issue_label_remove(struct gitea *g, const char *repo, int64_t number, int64_t id, struct err *e)
{
	struct buf path = { 0 };
	struct gitea_ask q = { .method = "DELETE", .path = &path };
	int rc = begin_number(g, &path, repo, "issues", number, e);

	if (rc == 0) {
		buf_addf(&path, "/labels/%lld", (long long)id);
		rc = gitea_ask(g, &q, NULL, e);
	}
	buf_free(&path);
	return rc;
}

int
gitea_pulls(struct gitea *g, const char *repo, const struct gitea_pull_query *q, gitea_each *each, void *arg,
    struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/pulls");
	gitea_put_query(&path, "state", q->state);
	gitea_put_query(&path, "sort", q->sort);
	gitea_put_query(&path, "base_branch", q->base);
	gitea_put_query(&path, "poster", q->author);
	return list(g, &path, q->per_page, each, arg, e);
}

int
gitea_pull_get(struct gitea *g, const char *repo, int64_t number, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	return begin_number(g, &path, repo, "pulls", number, e) ? -1 : get(g, &path, out, e);
}

int
gitea_pull_files(struct gitea *g, const char *repo, int64_t number, gitea_each *each, void *arg, struct err *e)
{
	struct buf path = { 0 };

	if (begin_number(g, &path, repo, "pulls", number, e))
		return -1;
	buf_adds(&path, "/files");
	return list(g, &path, 0, each, arg, e);
}

int
gitea_pull_create(struct gitea *g, const char *repo, const struct gitea_pull_new *n, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/pulls");
	body_open(&body);
	json_kv_str(&body, "title", n->title);
	json_kv_str(&body, "head", n->head);
	json_kv_str(&body, "base", n->base);
	kv_some(&body, "body", n->body);
	if (n->nlabels)
		kv_numbers(&body, "labels", n->labels, n->nlabels);
	if (n->nassignees)
		kv_texts(&body, "assignees", n->assignees, n->nassignees);
	if (n->nreviewers)
		kv_texts(&body, "reviewers", n->reviewers, n->nreviewers);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_reviews(struct gitea *g, const char *repo, int64_t number, gitea_each *each, void *arg, struct err *e)
{
	struct buf path = { 0 };

	if (begin_number(g, &path, repo, "pulls", number, e))
		return -1;
	buf_adds(&path, "/reviews");
	return list(g, &path, 0, each, arg, e);
}

int
gitea_statuses(struct gitea *g, const char *repo, const char *sha, gitea_each *each, void *arg, struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/statuses");
	if (put_part(g, &path, sha, e)) {
		buf_free(&path);
		return -1;
	}
	gitea_put_query(&path, "sort", "recentupdate");
	return list(g, &path, 0, each, arg, e);
}

int
gitea_status_combined(struct gitea *g, const char *repo, const char *ref, cJSON **out, struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/commits");
	if (put_part(g, &path, ref, e)) {
		buf_free(&path);
		return -1;
	}
	buf_adds(&path, "/status");
	return get(g, &path, out, e);
}

int
gitea_status_create(struct gitea *g, const char *repo, const char *sha, const char *state, const char *context,
    const char *description, const char *target_url, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/statuses");
	if (put_part(g, &path, sha, e)) {
		buf_free(&path);
		return -1;
	}
	body_open(&body);
	json_kv_str(&body, "state", state);
	json_kv_str(&body, "context", context);
	kv_some(&body, "description", description);
	kv_some(&body, "target_url", target_url);
	return change(g, "POST", &path, &body, out, e);
}

int
gitea_hooks(struct gitea *g, const char *repo, gitea_each *each, void *arg, struct err *e)
{
	struct buf path = { 0 };

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/hooks");
	return list(g, &path, 0, each, arg, e);
}

/* Without "active" it would be made and never called. */
int
gitea_hook_create(struct gitea *g, const char *repo, const char *url, const char *secret, const char *const *events,
    size_t nevents, cJSON **out, struct err *e)
{
	struct buf path = { 0 }, body;

	if (begin(g, &path, repo, e))
		return -1;
	buf_adds(&path, "/hooks");
	body_open(&body);
	json_kv_str(&body, "type", "gitea");
	json_kv_bool(&body, "active", true);
	kv_texts(&body, "events", events, nevents);
	json_put_key(&body, "config");
	json_put_open(&body, '{');
	json_kv_str(&body, "url", url);
	json_kv_str(&body, "content_type", "json");
	json_kv_str(&body, "secret", secret);
	json_put_close(&body, '}');
	return change(g, "POST", &path, &body, out, e);
}
