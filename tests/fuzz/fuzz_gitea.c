/* What a Gitea answers, or who stands in its place: headers and objects. */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "gitea.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
length(const char *text)
{
	return text ? strlen(text) : (abort(), 0);
}

/* Every text is one, and every list is an array, whether it could be read or not. */
static void
read_as_all(const cJSON *o)
{
	struct err e = { 0 };
	struct gitea_issue i;
	struct gitea_comment c;
	struct gitea_label l;
	struct gitea_pull p;
	struct gitea_status s;
	struct gitea_review v;
	struct gitea_hook h;

	if (gitea_issue_read(o, &i, &e) == 0 && (length(i.title) + length(i.body) + length(i.author) + length(i.updated_at) > 65536 ||
	    (i.labels && !cJSON_IsArray(i.labels)) || (i.merged && !i.is_pull)))
		abort();
	if (gitea_comment_read(o, &c, &e) == 0 && gitea_is_marked(c.body, "A") && !gitea_has_marker(c.body))
		abort();
	if (gitea_pull_read(o, &p, &e) == 0 && length(p.head) + length(p.head_sha) + length(p.head_repo) + length(p.base) > 65536)
		abort();
	if (gitea_label_read(o, &l, &e) == 0)
		length(l.color);
	if (gitea_status_read(o, &s, &e) == 0)
		length(s.target_url);
	if (gitea_review_read(o, &v, &e) == 0)
		length(v.commit);
	if (gitea_hook_read(o, &h, &e) == 0 && h.events && !cJSON_IsArray(h.events))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size < 65536 ? size : 65536);
	cJSON *v = json_parse(text, strlen(text), NULL);
	const cJSON *item;

	if (gitea_link_next(text) < 0)
		abort();
	read_as_all(v);
	cJSON_ArrayForEach(item, v)
		read_as_all(item);
	cJSON_Delete(v);
	free(text);
	return 0;
}
