#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

void
rows_add(struct rows *r, const cJSON *task)
{
	if (r->n == ROWS_MAX)
		return;
	r->v[r->n] = cJSON_Duplicate(task, true);
	cJSON_DeleteItemFromObjectCaseSensitive(r->v[r->n++], "type");
}

/* By when they were accepted. */
static int
newest_first(const void *a, const void *b)
{
	const cJSON *x = *(cJSON *const *)a, *y = *(cJSON *const *)b;
	int order = strcmp(json_text(y, "accepted"), json_text(x, "accepted"));

	return order ? order : strcmp(json_text(y, "id"), json_text(x, "id"));
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(json_text(*(cJSON *const *)b, "id"), json_text(*(cJSON *const *)a, "id"));
}

static bool
is_same(const struct rows *r, int i, int k)
{
	return i >= 0 && k < r->n && strcmp(json_text(r->v[i], "id"), json_text(r->v[k], "id")) == 0;
}

/* Twins stand next to each other; those that go are marked first, and looked at to the end. */
static void
drop_handed_on(struct rows *r)
{
	bool *drop = xcalloc((size_t)r->n + 1, sizeof *drop);
	int n = 0;

	for (int i = 0; i < r->n; i++)
		drop[i] = (is_same(r, i - 1, i) || is_same(r, i, i + 1)) && strcmp(json_text(r->v[i], "state"), "forwarded") == 0;
	for (int i = 0; i < r->n; i++) {
		if (drop[i])
			cJSON_Delete(r->v[i]);
		else
			r->v[n++] = r->v[i];
	}
	r->n = n;
	free(drop);
}

void
rows_settle(struct rows *r, int limit)
{
	qsort(r->v, (size_t)r->n, sizeof r->v[0], by_id);
	drop_handed_on(r);
	qsort(r->v, (size_t)r->n, sizeof r->v[0], newest_first);
	while (r->n > limit)
		cJSON_Delete(r->v[--r->n]);
}

void
rows_clear(struct rows *r)
{
	while (r->n)
		cJSON_Delete(r->v[--r->n]);
}
