#include "gitea.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "json.h"

enum kind { TEXT, NUMBER, FLAG, LIST };

static const char *const expected[] = {
	[TEXT] = "a text", [NUMBER] = "a whole number", [FLAG] = "true or false", [LIST] = "a list",
};

struct member {
	const char *path;               /* "user.login" */
	enum kind kind;
	bool required;
	size_t offset;
};

#define AT(type, path_, kind_, name) { .path = path_, .kind = kind_, .offset = offsetof(struct type, name) }
#define NEEDS(type, path_, kind_, name) \
	{ .path = path_, .kind = kind_, .required = true, .offset = offsetof(struct type, name) }

static const struct member issue_members[] = {
	NEEDS(gitea_issue, "id", NUMBER, id), NEEDS(gitea_issue, "number", NUMBER, number),
	AT(gitea_issue, "comments", NUMBER, comments), NEEDS(gitea_issue, "title", TEXT, title),
	AT(gitea_issue, "body", TEXT, body), NEEDS(gitea_issue, "state", TEXT, state),
	AT(gitea_issue, "html_url", TEXT, url), AT(gitea_issue, "user.login", TEXT, author),
	AT(gitea_issue, "created_at", TEXT, created_at), AT(gitea_issue, "updated_at", TEXT, updated_at),
	AT(gitea_issue, "labels", LIST, labels), AT(gitea_issue, "assignees", LIST, assignees),
	AT(gitea_issue, "pull_request.merged", FLAG, merged), { .path = NULL },
};

static const struct member comment_members[] = {
	NEEDS(gitea_comment, "id", NUMBER, id), NEEDS(gitea_comment, "body", TEXT, body),
	AT(gitea_comment, "user.login", TEXT, author), AT(gitea_comment, "html_url", TEXT, url),
	AT(gitea_comment, "created_at", TEXT, created_at), AT(gitea_comment, "updated_at", TEXT, updated_at),
	{ .path = NULL },
};

static const struct member label_members[] = {
	NEEDS(gitea_label, "id", NUMBER, id), NEEDS(gitea_label, "name", TEXT, name), AT(gitea_label, "color", TEXT, color),
	AT(gitea_label, "description", TEXT, description), AT(gitea_label, "exclusive", FLAG, exclusive), { .path = NULL },
};

static const struct member pull_members[] = {
	NEEDS(gitea_pull, "id", NUMBER, id), NEEDS(gitea_pull, "number", NUMBER, number),
	AT(gitea_pull, "comments", NUMBER, comments), NEEDS(gitea_pull, "title", TEXT, title),
	AT(gitea_pull, "body", TEXT, body), NEEDS(gitea_pull, "state", TEXT, state), AT(gitea_pull, "html_url", TEXT, url),
	AT(gitea_pull, "user.login", TEXT, author), AT(gitea_pull, "created_at", TEXT, created_at),
	AT(gitea_pull, "updated_at", TEXT, updated_at), AT(gitea_pull, "merged_at", TEXT, merged_at),
	AT(gitea_pull, "head.ref", TEXT, head), AT(gitea_pull, "head.sha", TEXT, head_sha),
	AT(gitea_pull, "head.repo.full_name", TEXT, head_repo), AT(gitea_pull, "base.ref", TEXT, base),
	AT(gitea_pull, "merge_commit_sha", TEXT, merge_sha), AT(gitea_pull, "labels", LIST, labels),
	AT(gitea_pull, "assignees", LIST, assignees), AT(gitea_pull, "draft", FLAG, draft),
	AT(gitea_pull, "merged", FLAG, merged), AT(gitea_pull, "mergeable", FLAG, mergeable), { .path = NULL },
};

/* What is asked for as state is answered as status. */
static const struct member status_members[] = {
	NEEDS(gitea_status, "id", NUMBER, id), NEEDS(gitea_status, "status", TEXT, state),
	AT(gitea_status, "context", TEXT, context), AT(gitea_status, "description", TEXT, description),
	AT(gitea_status, "target_url", TEXT, target_url), AT(gitea_status, "creator.login", TEXT, author),
	AT(gitea_status, "updated_at", TEXT, updated_at), { .path = NULL },
};

static const struct member review_members[] = {
	NEEDS(gitea_review, "id", NUMBER, id), NEEDS(gitea_review, "state", TEXT, state),
	AT(gitea_review, "user.login", TEXT, author), AT(gitea_review, "body", TEXT, body),
	AT(gitea_review, "commit_id", TEXT, commit), AT(gitea_review, "submitted_at", TEXT, submitted_at),
	AT(gitea_review, "stale", FLAG, stale), AT(gitea_review, "dismissed", FLAG, dismissed),
	AT(gitea_review, "official", FLAG, official), { .path = NULL },
};

static const struct member hook_members[] = {
	NEEDS(gitea_hook, "id", NUMBER, id), AT(gitea_hook, "config.url", TEXT, url), AT(gitea_hook, "events", LIST, events),
	AT(gitea_hook, "active", FLAG, active), { .path = NULL },
};

static const cJSON *
find(const cJSON *o, const char *path)
{
	char name[32];
	size_t n;

	for (; o; path += n + 1) {
		n = strcspn(path, ".");
		snprintf(name, sizeof name, "%.*s", (int)n, path);
		o = cJSON_GetObjectItemCaseSensitive(o, name);
		if (!path[n])
			break;
	}
	return cJSON_IsNull(o) ? NULL : o;
}

static bool
put(const struct member *m, const cJSON *v, void *at)
{
	const char *text = cJSON_GetStringValue(v);

	switch (m->kind) {
	case TEXT:
		*(const char **)at = text ? text : "";
		return text;
	case NUMBER:
		return json_int(v, at);
	case FLAG:
		*(bool *)at = cJSON_IsTrue(v);
		return cJSON_IsBool(v);
	case LIST:
		*(const cJSON **)at = v;
		return cJSON_IsArray(v);
	}
	return false;
}

static int
read_object(const cJSON *o, const struct member *members, void *out, struct err *e)
{
	char got[64];

	for (const struct member *m = members; m->path; m++) {
		const cJSON *v = find(o, m->path);
		void *at = (char *)out + m->offset;

		if (v ? put(m, v, at) : !m->required) {
			if (!v && m->kind == TEXT)
				*(const char **)at = "";
			continue;
		}
		return err_field(e, v ? ERR_INVALID : ERR_MISSING, m->path, v ? json_brief(v, got, sizeof got) : "nothing", "%s",
		    expected[m->kind]);
	}
	return 0;
}

#define READER(noun)                                                                             \
	int gitea_##noun##_read(const cJSON *o, struct gitea_##noun *out, struct err *e)         \
	{                                                                                        \
		*out = (struct gitea_##noun){ .id = 0 };                                         \
		return read_object(o, noun##_members, out, e);                                   \
	}

READER(comment)
READER(label)
READER(pull)
READER(status)
READER(review)
READER(hook)

int
gitea_issue_read(const cJSON *o, struct gitea_issue *out, struct err *e)
{
	*out = (struct gitea_issue){ .id = 0 };
	out->is_pull = find(o, "pull_request") != NULL;
	return read_object(o, issue_members, out, e);
}

/* Of "<URL>; rel=next; title=x": what the parameter says, its quotes off. */
static bool
is_next(const char *params, size_t len)
{
	const char *end = params + len;

	while (params < end) {
		const char *stop = memchr(params, ';', (size_t)(end - params));
		const char *p = params;
		size_t n;

		stop = stop ? stop : end;
		while (p < stop && (*p == ' ' || *p == '\t'))
			p++;
		n = (size_t)(stop - p);
		while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
			n--;
		if ((n == 10 && strncasecmp(p, "rel=\"next\"", n) == 0) || (n == 8 && strncasecmp(p, "rel=next", n) == 0))
			return true;
		params = stop + 1;
	}
	return false;
}

static int64_t
page_of(const char *url, size_t len)
{
	const char *end = url + len, *p = memchr(url, '?', len);

	while (p && ++p < end) {
		int64_t n = 0;

		if (end - p > 5 && memcmp(p, "page=", 5) == 0) {
			for (p += 5; p < end && *p >= '0' && *p <= '9' && n < INT_MAX; p++)
				n = n * 10 + (*p - '0');
			return (p == end || *p == '&' || *p == '#') && n < INT_MAX ? n : 0;
		}
		p = memchr(p, '&', (size_t)(end - p));
	}
	return 0;
}

int64_t
gitea_link_next(const char *link)
{
	const char *open, *close, *end;

	while ((open = strchr(link, '<')) && (close = strchr(open, '>'))) {
		/* A comma in a quoted parameter would end it early: Gitea has none there, and what is cut off is no URL. */
		end = close + strcspn(close, ",");
		if (is_next(close + 1, (size_t)(end - close - 1)))
			return page_of(open + 1, (size_t)(close - open - 1));
		link = end;
	}
	return 0;
}
