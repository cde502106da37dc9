#include "event.h"

#include <string.h>

#include "clock.h"
#include "config.h"
#include "digest.h"
#include "gitea.h"
#include "json.h"

#define LOGIN_MAX 128
#define URL_MAX 1024
#define REF_MAX 255
#define SHA_MAX 64

static void
add_cut(cJSON *to, const char *name, const char *text, size_t max)
{
	size_t n = strlen(text);
	char *cut;

	if (n > max)
		for (n = max; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	cut = xstrndup(text, n);
	cJSON_AddStringToObject(to, name, cut);
	free(cut);
}

/* 0: there is no such time; -1: it is none. */
static int
time_of(const cJSON *o, const char *name, int64_t *ms, struct err *e)
{
	const char *text = json_text(o, name);

	*ms = 0;
	if (!*text || clock_parse(text, ms, e) == 0)
		return 0;
	return err_field(e, ERR_INVALID, name, text, "a time as in RFC 3339");
}

/* Of each object in a list one text. */
static void
add_names(cJSON *to, const char *member, const cJSON *list, const char *name, int max)
{
	cJSON *out = cJSON_AddArrayToObject(to, member);
	const cJSON *v;
	int n = 0;

	cJSON_ArrayForEach(v, list)
		if (*json_text(v, name) && n++ < max)
			cJSON_AddItemToArray(out, cJSON_CreateString(json_text(v, name)));
}

/* An issue that is a pull request has the member; a pull request itself has the branches. */
static bool
is_pull(const cJSON *o)
{
	return cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(o, "pull_request")) ||
	    cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(o, "head"));
}

static int
merged_at(const cJSON *o, int64_t *ms, struct err *e)
{
	const cJSON *inner = cJSON_GetObjectItemCaseSensitive(o, "pull_request");

	return time_of(cJSON_IsObject(inner) ? inner : o, "merged_at", ms, e);
}

cJSON *
event_facts(const char *repo, const cJSON *o, struct err *e)
{
	const cJSON *head = cJSON_GetObjectItemCaseSensitive(o, "head");
	const cJSON *assignees = cJSON_GetObjectItemCaseSensitive(o, "assignees");
	int64_t number = json_number(o, "number", 0), created, updated, merged;
	cJSON *f;

	if (!config_repository_ok(repo)) {
		err_field(e, ERR_INVALID, "repository.full_name", repo, "owner/name");
		return NULL;
	}
	if (number <= 0) {
		err_field(e, ERR_INVALID, "number", "something else", "a whole number from 1");
		return NULL;
	}
	if (time_of(o, "created_at", &created, e) || time_of(o, "updated_at", &updated, e) || merged_at(o, &merged, e))
		return NULL;
	f = cJSON_CreateObject();
	cJSON_AddStringToObject(f, "repo", repo);
	cJSON_AddNumberToObject(f, "number", (double)number);
	cJSON_AddStringToObject(f, "kind", is_pull(o) ? "pull" : "issue");
	add_cut(f, "title", json_text(o, "title"), EVENT_TITLE_MAX);
	add_cut(f, "body", json_text(o, "body"), EVENT_BODY_MAX);
	add_cut(f, "author", json_text(cJSON_GetObjectItemCaseSensitive(o, "user"), "login"), LOGIN_MAX);
	add_cut(f, "url", json_text(o, "html_url"), URL_MAX);
	add_names(f, "labels", cJSON_GetObjectItemCaseSensitive(o, "labels"), "name", EVENT_LABELS_MAX);
	add_names(f, "assignees", assignees, "login", EVENT_ASSIGNEES_MAX);
	cJSON_AddBoolToObject(f, "assigned", cJSON_GetArraySize(assignees) > 0 ||
	    cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(o, "assignee")));
	cJSON_AddBoolToObject(f, "open", strcmp(json_text(o, "state"), "open") == 0);
	cJSON_AddNumberToObject(f, "created", (double)created);
	cJSON_AddNumberToObject(f, "updated", (double)updated);
	add_cut(f, "branch", json_text(head, "ref"), REF_MAX);
	add_cut(f, "sha", json_text(head, "sha"), SHA_MAX);
	if (merged)
		cJSON_AddNumberToObject(f, "merged", (double)merged);
	return f;
}

static const struct {
	const char *name, *member;
} webhooks[] = {
	{ "issues", "issue" },
	{ "pull_request", "pull_request" },
};

int
event_webhook(const char *name, const char *body, size_t len, cJSON **out, struct err *e)
{
	cJSON *tree = json_parse_object(body, len, e);
	const cJSON *repo = cJSON_GetObjectItemCaseSensitive(tree, "repository");
	int rc = tree ? 0 : -1;

	*out = NULL;
	for (size_t i = 0; tree && i < sizeof webhooks / sizeof *webhooks; i++) {
		const cJSON *o = cJSON_GetObjectItemCaseSensitive(tree, webhooks[i].member);

		if (strcmp(webhooks[i].name, name) != 0 || strcmp(json_text(tree, "action"), "deleted") == 0)
			continue;
		if (!cJSON_IsObject(o)) {
			rc = err_field(e, ERR_MISSING, webhooks[i].member, "nothing", "an object");
			break;
		}
		*out = event_facts(json_text(repo, "full_name"), o, e);
		rc = *out ? 0 : -1;
		break;
	}
	cJSON_Delete(tree);
	return rc;
}

/* A name too long for a marker is there by its digest. */
static void
make_key(char out[EVENT_KEY_MAX], const char *repo, int64_t number, const char *what)
{
	unsigned char sum[DIGEST_SIZE];
	char hex[DIGEST_HEX];
	struct digest *d;

	if (snprintf(out, EVENT_KEY_MAX, "gitea:%s/%lld:%s", repo, (long long)number, what) < EVENT_KEY_MAX && gitea_id_ok(out))
		return;
	d = digest_new();
	digest_of(d, repo, strlen(repo), sum);
	digest_free(d);
	digest_format(sum, hex);
	snprintf(out, EVENT_KEY_MAX, "gitea:%s/%lld:%s", hex, (long long)number, what);
}

void
event_key(char out[EVENT_KEY_MAX], const char *repo, int64_t number)
{
	make_key(out, repo, number, "opened");
}

void
event_task_key(char out[EVENT_KEY_MAX], const char *repo, int64_t number, int round)
{
	char what[24];

	if (round <= 0) {
		event_key(out, repo, number);
		return;
	}
	snprintf(what, sizeof what, "r%d", round);
	make_key(out, repo, number, what);
}
