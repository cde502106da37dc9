#include "gitea.h"

#include <string.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "json.h"

#define MARK "<!-- uni-wizard:"
#define MARK_END " -->"

bool
gitea_id_ok(const char *id)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-";
	size_t n = strlen(id);

	return n > 0 && n <= 100 && strspn(id, ok) == n && !strstr(id, "--");
}

void
gitea_marker(const char *id, char out[GITEA_MARKER_MAX])
{
	snprintf(out, GITEA_MARKER_MAX, "%s%.100s%s", MARK, id, MARK_END);
}

bool
gitea_is_marked(const char *text, const char *id)
{
	char marker[GITEA_MARKER_MAX];

	gitea_marker(id, marker);
	return strstr(text, marker) != NULL;
}

bool
gitea_has_marker(const char *text)
{
	return strstr(text, MARK) != NULL;
}

/* What is looked for, and what was found. */
struct search {
	const char *id, *login;
	int64_t since_ms;               /* what was last changed before it cannot be it */
	cJSON *found;                   /* the oldest that there is */
	int64_t found_id;
	const char *head, *base;        /* of pull requests: an open one of these branches will do */
};

/* Others can write the marker too, by quoting us: only what our own user wrote counts. */
static void
consider(struct search *s, const cJSON *item, int64_t id, const char *author, const char *text)
{
	if (strcmp(author, s->login) != 0 || !gitea_is_marked(text, s->id) || (s->found && s->found_id <= id))
		return;
	cJSON_Delete(s->found);
	s->found = cJSON_Duplicate(item, true);
	s->found_id = id;
}

static bool
on_comment(void *arg, const cJSON *item)
{
	struct gitea_comment c;

	if (gitea_comment_read(item, &c, NULL) == 0)
		consider(arg, item, c.id, c.author, c.body);
	return true;
}

static bool
on_issue(void *arg, const cJSON *item)
{
	struct gitea_issue i;

	if (gitea_issue_read(item, &i, NULL) == 0)
		consider(arg, item, i.id, i.author, i.body);
	return true;
}

/* Those last changed come first. */
static bool
on_pull(void *arg, const cJSON *item)
{
	struct search *s = arg;
	struct gitea_pull p;
	int64_t updated_ms;

	if (gitea_pull_read(item, &p, NULL))
		return true;
	if (clock_parse(p.updated_at, &updated_ms, NULL) == 0 && updated_ms < s->since_ms)
		return false;
	consider(s, item, p.id, p.author, p.body);
	return !s->found;
}

/* "branch", or "owner:branch" for one in a fork. */
static bool
is_head(const struct gitea_pull *p, const char *head)
{
	const char *colon = strchr(head, ':');
	size_t n = colon ? (size_t)(colon - head) : 0;

	if (!colon)
		return strcmp(p->head, head) == 0;
	return strcmp(p->head, colon + 1) == 0 && strncmp(p->head_repo, head, n) == 0 && p->head_repo[n] == '/';
}

static bool
on_open_pull(void *arg, const cJSON *item)
{
	struct search *s = arg;
	struct gitea_pull p;

	if (gitea_pull_read(item, &p, NULL) == 0 && is_head(&p, s->head) && strcmp(p.base, s->base) == 0)
		s->found = cJSON_Duplicate(item, true);
	return !s->found;
}

/* The text as it will stand there. The caller frees *out in any case. */
static int
marked(const char *id, const char *text, struct buf *out, struct err *e)
{
	char marker[GITEA_MARKER_MAX];

	out->max = GITEA_BODY_MAX;
	if (!gitea_id_ok(id))
		return err_field(e, ERR_INVALID, "id", id, "up to 100 of letters, digits and ._:/- without --");
	if (gitea_has_marker(text))
		return err_field(e, ERR_INVALID, "body", NULL, "a text without %s, by which we know our own", MARK);
	gitea_marker(id, marker);
	buf_addf(out, "%s\n\n%s\n", text, marker);
	if (!buf_ok(out))
		return err_field(e, ERR_TOO_BIG, "body", NULL, "at most %u bytes", GITEA_BODY_MAX - GITEA_MARKER_MAX);
	return 0;
}

/* Hands over what there is. */
static int
settle(cJSON *found, enum gitea_once how, enum gitea_once *what, cJSON **out)
{
	if (what)
		*what = how;
	if (out)
		*out = found;
	else
		cJSON_Delete(found);
	return 0;
}

/* Gitea gives texts back with the line ends that browsers send, and may take blanks off the end. */
static bool
same_text(const char *a, const char *b)
{
	for (;;) {
		while (*a == '\r')
			a++;
		while (*b == '\r')
			b++;
		if (*a != *b)
			return a[strspn(a, " \r\n\t")] == '\0' && b[strspn(b, " \r\n\t")] == '\0';
		if (!*a)
			return true;
		a++;
		b++;
	}
}

int
gitea_comment_once(struct gitea *g, const char *repo, int64_t number, const char *id, const char *body,
    enum gitea_once *what, cJSON **out, struct err *e)
{
	char login[GITEA_LOGIN_MAX];
	struct search s = { .id = id, .login = login };
	struct buf text = { 0 };
	int rc = -1;

	if (marked(id, body, &text, e) || gitea_whoami(g, login, e) || gitea_comments(g, repo, number, NULL, on_comment, &s, e))
		goto out;
	if (s.found && same_text(json_text(s.found, "body"), buf_str(&text))) {
		rc = settle(s.found, GITEA_THERE, what, out);
		s.found = NULL;
		goto out;
	}
	if (what)
		*what = s.found ? GITEA_EDITED : GITEA_CREATED;
	rc = s.found ? gitea_comment_edit(g, repo, s.found_id, buf_str(&text), out, e) :
	    gitea_comment_create(g, repo, number, buf_str(&text), out, e);
out:
	cJSON_Delete(s.found);
	buf_free(&text);
	return rc;
}

int
gitea_issue_once(struct gitea *g, const char *repo, const char *id, const char *since, const struct gitea_issue_new *n,
    enum gitea_once *what, cJSON **out, struct err *e)
{
	char login[GITEA_LOGIN_MAX];
	struct search s = { .id = id, .login = login };
	struct gitea_issue_query q = { .state = "all", .type = "issues", .since = since, .author = login };
	struct gitea_issue_new one = *n;
	struct buf text = { 0 };
	int rc = -1;

	if (marked(id, n->body ? n->body : "", &text, e) || gitea_whoami(g, login, e) ||
	    gitea_issues(g, repo, &q, on_issue, &s, e))
		goto out;
	if (s.found) {
		rc = settle(s.found, GITEA_THERE, what, out);
		s.found = NULL;
		goto out;
	}
	one.body = buf_str(&text);
	rc = gitea_issue_create(g, repo, &one, out, e);
	if (what)
		*what = GITEA_CREATED;
out:
	cJSON_Delete(s.found);
	buf_free(&text);
	return rc;
}

/* Only one may be open of the same branches: what Gitea refuses for that is there, or was a moment ago. */
static int
create_or_find(struct gitea *g, const char *repo, struct search *s, const struct gitea_pull_new *n, cJSON **out,
    struct err *e)
{
	struct gitea_pull_query q = { .state = "open", .base = n->base };

	if (gitea_pull_create(g, repo, n, out, e) == 0)
		return 0;
	if (gitea_failure(g)->kind != GITEA_CONFLICT || gitea_pulls(g, repo, &q, on_open_pull, s, e))
		return -1;
	return s->found ? 0 : gitea_pull_create(g, repo, n, out, e);
}

int
gitea_pull_once(struct gitea *g, const char *repo, const char *id, const char *since, const struct gitea_pull_new *n,
    enum gitea_once *what, cJSON **out, struct err *e)
{
	char login[GITEA_LOGIN_MAX];
	struct search s = { .id = id, .login = login, .head = n->head, .base = n->base };
	struct gitea_pull_query q = { .state = "all", .sort = "recentupdate", .base = n->base, .author = login };
	struct gitea_pull_new one = *n;
	struct buf text = { 0 };
	int rc = -1;

	if (since && clock_parse(since, &s.since_ms, e))
		return -1;
	if (marked(id, n->body ? n->body : "", &text, e) || gitea_whoami(g, login, e) ||
	    gitea_pulls(g, repo, &q, on_pull, &s, e))
		goto out;
	one.body = buf_str(&text);
	if (what)
		*what = GITEA_CREATED;
	rc = s.found ? 0 : create_or_find(g, repo, &s, &one, out, e);
	if (rc == 0 && s.found) {
		rc = settle(s.found, GITEA_THERE, what, out);
		s.found = NULL;
	}
out:
	cJSON_Delete(s.found);
	buf_free(&text);
	return rc;
}
