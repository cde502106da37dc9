#include "gitea_impl.h"

#include <ctype.h>
#include <string.h>

#define LISTINGS 3              /* a listing begins so often */

void
gitea_put_coded(struct buf *b, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-._~", c))
			buf_addc(b, (char)c);
		else
			buf_addf(b, "%%%02X", c);
	}
}

void
gitea_put_query(struct buf *path, const char *name, const char *value)
{
	if (!value)
		return;
	buf_addf(path, "%c%s=", strchr(buf_str(path), '?') ? '&' : '?', name);
	gitea_put_coded(path, value);
}

static bool
is_new(struct gitea_listing *l, int64_t id)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->seen[mid] == id)
			return false;
		if (l->seen[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	l->seen = xrealloc(l->seen, (l->n + 1) * sizeof *l->seen);
	memmove(l->seen + lo + 1, l->seen + lo, (l->n - lo) * sizeof *l->seen);
	l->seen[lo] = id;
	l->n++;
	return true;
}

void
gitea_show_page(struct gitea_listing *l, const cJSON *page)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, page) {
		int64_t id;

		if (json_int(cJSON_GetObjectItemCaseSensitive(item, "id"), &id) && !is_new(l, id))
			continue;
		if (!l->each(l->arg, item)) {
			l->ended = true;
			return;
		}
	}
}

/* One page; *page becomes the next, 0 at the end. */
static int
list_page(struct gitea *g, const struct buf *path, struct gitea_listing *l, int64_t *page, int64_t per_page, struct err *e)
{
	struct buf one = { .max = path->max };
	struct gitea_ask q = { .method = "GET", .path = &one };
	char number[24];
	cJSON *items = NULL;
	int rc;

	buf_adds(&one, buf_str(path));
	snprintf(number, sizeof number, "%lld", (long long)*page);
	gitea_put_query(&one, "page", number);
	snprintf(number, sizeof number, "%lld", (long long)(per_page > 0 && per_page < GITEA_PAGE ? per_page : GITEA_PAGE));
	gitea_put_query(&one, "limit", number);
	rc = gitea_ask(g, &q, &items, e);
	if (rc == 0 && !cJSON_IsArray(items))
		rc = gitea_strange(g, &q, e, "expected a list");
	if (rc == 0 && q.next_page && (q.next_page <= *page || q.next_page > GITEA_PAGES_MAX))
		rc = gitea_strange(g, &q, e, q.next_page > *page ? "the list has too many pages" : "the page after this is none that follows");
	if (rc == 0) {
		gitea_show_page(l, items);
		l->shrunk = l->shrunk || (l->total >= 0 && q.total >= 0 && q.total < l->total);
		l->total = q.total;
		*page = q.next_page;
	}
	cJSON_Delete(items);
	buf_free(&one);
	return rc;
}

int
gitea_list(struct gitea *g, const struct buf *path, struct gitea_listing *l, int64_t per_page, struct err *e)
{
	int rc = 0;

	for (int round = 0; rc == 0 && round < LISTINGS; round++) {
		l->shrunk = false;
		l->total = -1;
		for (int64_t page = 1; rc == 0 && page && !l->ended;)
			rc = list_page(g, path, l, &page, per_page, e);
		if (!l->shrunk || l->ended)
			break;
	}
	return rc;
}
