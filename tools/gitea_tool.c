#include "gitea_tool.h"

#include "clock.h"
#include "file.h"
#include "http.h"
#include "nearest.h"
#include "notes.h"
#include "param.h"
#include "ulid.h"

#define SPARE_MS 500
#define CLOCKS_MS (24 * 3600000LL)      /* by which the clocks of who made the task and of Gitea may differ */

const struct target_rule gitea_target = { .params = { "repository" }, .down = { 429, 500, 502, 503, 504 } };

static int
check_repository(const struct tool_run *r, struct err *e)
{
	const struct config_repositories *all = &r->env->config->gitea.repositories;
	struct nearest n = { .word = param_str(r, "repository") };
	const char *best;

	for (size_t i = 0; i < all->n; i++) {
		if (strcasecmp(all->v[i], n.word) == 0)
			return 0;
		nearest_try(&n, all->v[i]);
	}
	best = nearest_word(&n);
	return err_set(e, ERR_DENIED, "params.repository: %.201s is none of gitea.repositories of the configuration%s%s%s", n.word,
	    best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
}

static void
on_write(void *arg)
{
	tool_effect_begins(arg);
}

/* A key is told from an id, which somebody else's work has. No task writes before it was made; a key may be older. */
static void
set_id(struct gitea_run *t)
{
	const char *key = param_str(t->r, "key");
	struct ulid id;

	snprintf(t->id, sizeof t->id, "%s%s", key ? "key/" : "", key ? key : t->r->task_id);
	t->since[0] = '\0';
	if (!key && ulid_parse(t->id, &id) && ulid_time_ms(&id) > CLOCKS_MS)
		clock_format((ulid_time_ms(&id) - CLOCKS_MS) / 1000 * 1000, t->since, sizeof t->since);
}

int
gitea_tool_open(struct gitea_run *t, struct tool_run *r, struct err *e)
{
	static struct gitea_turn turn;  /* of all that this worker ever does */
	struct gitea_options o = { .turn = &turn, .on_write = on_write, .arg = r };

	*t = (struct gitea_run){ .r = r, .repo = param_str(r, "repository") };
	set_id(t);
	if (check_repository(r, e))
		return -1;
	t->g = gitea_open_configured(r->env->config, &o, e);
	if (t->g)
		gitea_deadline(t->g, run_deadline(r, SPARE_MS));
	return t->g ? 0 : -1;
}

int
gitea_tool_close(struct gitea_run *t, int rc)
{
	const struct gitea_failure *f = t->g ? gitea_failure(t->g) : NULL;

	if (rc && f && f->kind != GITEA_FINE)
		tool_failed_with(t->r, f->status, f->retry_after_s);
	gitea_close(t->g);
	return rc;
}

size_t
gitea_tool_texts(const struct tool_run *r, const char *param, const char *out[GITEA_NAMES_MAX])
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(r->params, param), *v;
	size_t n = 0;

	cJSON_ArrayForEach(v, list)
		if (n < GITEA_NAMES_MAX)
			out[n++] = v->valuestring;
	return n;
}

struct names {
	const char *v[GITEA_NAMES_MAX];
	int64_t *ids;
	size_t n;
	struct nearest near;            /* to the first that is not there */
};

static const char *
missing(const struct names *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->ids[i])
			return w->v[i];
	return NULL;
}

static bool
on_label(void *arg, const cJSON *item)
{
	struct names *w = arg;
	struct gitea_label l;

	if (gitea_label_read(item, &l, NULL))
		return true;
	for (size_t i = 0; i < w->n; i++)
		if (!w->ids[i] && strcmp(w->v[i], l.name) == 0)
			w->ids[i] = l.id;
	return missing(w) != NULL;
}

static bool
on_near(void *arg, const cJSON *item)
{
	struct names *w = arg;

	nearest_try(&w->near, json_text(item, "name"));
	return true;
}

int
gitea_tool_labels(struct gitea_run *t, const char *param, int64_t ids[GITEA_NAMES_MAX], size_t *n, struct err *e)
{
	struct names w = { .ids = ids };
	const char *best;
	char field[64];

	*n = w.n = gitea_tool_texts(t->r, param, w.v);
	memset(ids, 0, GITEA_NAMES_MAX * sizeof *ids);
	if (w.n && gitea_labels(t->g, t->repo, on_label, &w, e))
		return -1;
	if (!missing(&w))
		return 0;
	w.near.word = missing(&w);
	gitea_labels(t->g, t->repo, on_near, &w, NULL);
	snprintf(field, sizeof field, "params.%s", param);
	best = nearest_word(&w.near);
	return err_field(e, ERR_INVALID, field, w.near.word, "a label of %.80s%s%s", t->repo, best ? ", such as " : "",
	    best ? best : "");
}

/* "https://host/owner/name/where", as a page of it is named, which need not be how Gitea writes its own URLs. */
static int
place_of(const struct tool_run *r, const char *where, struct buf *place, struct err *e)
{
	const char *base = r->env->config->gitea.url;
	struct buf url = { .max = 16384 };
	int rc;

	if (!base)
		return err_set(e, ERR_CONFIG, "there is no gitea.url in the configuration");
	buf_adds(&url, base);
	while (url.len && url.data[url.len - 1] == '/')
		buf_cut(&url, url.len - 1);
	buf_addf(&url, "/%s/%s", param_str(r, "repository"), where);
	rc = http_place(buf_str(&url), place, e);
	buf_free(&url);
	return rc;
}

int
gitea_tool_plan(struct tool_run *r, struct plan *p, const char *verb, const char *where, const char *text, struct err *e)
{
	struct buf place = { .max = 16384 };
	int rc = check_repository(r, e) || place_of(r, where, &place, e) ||
	    plan_touch(p, PLAN_URL, PLAN_WRITES, buf_str(&place), NULL, e) ? -1 : 0;

	plan_target(p, "%s: %s", verb, buf_str(&place));
	if (p->wants_dry_run)
		plan_show(p, text, strlen(text));
	buf_free(&place);
	return rc;
}

void
gitea_tool_note(struct gitea_run *t, const char *where, const char *text)
{
	struct buf place = { .max = 16384 };
	char hex[FILE_HASH_HEX];

	if (!notes_wanted(t->r))
		return;
	file_hash_bytes(text, strlen(text), hex);
	if (place_of(t->r, where, &place, NULL) == 0)
		note_write(t->r, PLAN_URL, buf_str(&place), hex);
	buf_free(&place);
}

void
gitea_tool_where(const struct tool_run *r, char out[GITEA_WHERE_MAX])
{
	snprintf(out, GITEA_WHERE_MAX, "issues/%lld", (long long)param_int(r, "number"));
}

void
gitea_put_names(struct buf *b, const char *key, const cJSON *list, const char *member)
{
	const cJSON *v;

	json_put_key(b, key);
	json_put_open(b, '[');
	cJSON_ArrayForEach(v, list)
		json_put_str(b, json_text(v, member));
	json_put_close(b, ']');
}

/* Up to the marker, which is ours and means nothing to others. */
static size_t
text_len(const char *text)
{
	const char *mark = gitea_has_marker(text) ? strstr(text, "<!-- uni-wizard:") : NULL;
	size_t n = mark ? (size_t)(mark - text) : strlen(text);

	while (n && strchr(" \r\n\t", text[n - 1]))
		n--;
	return n;
}

void
gitea_put_body(struct buf *b, const char *text, size_t room)
{
	bool readable;
	size_t all = text_len(text), n = file_text_fits(text, all, room, &readable);

	json_put_key(b, "body");
	json_put_strn(b, text, n);
	if (n < all)
		json_kv_bool(b, "body_truncated", true);
}

void
gitea_put_pull(struct buf *b, const struct gitea_pull *p)
{
	json_kv_int(b, "number", p->number);
	json_kv_str(b, "title", p->title);
	json_kv_str(b, "state", p->state);
	json_kv_bool(b, "merged", p->merged);
	json_kv_str(b, "head", p->head);
	json_kv_str(b, "base", p->base);
	json_kv_str(b, "sha", p->head_sha);
	json_kv_str(b, "url", p->url);
}

void
gitea_put_issue(struct buf *b, const struct gitea_issue *i, size_t room)
{
	json_kv_int(b, "number", i->number);
	json_kv_str(b, "title", i->title);
	json_kv_str(b, "state", i->state);
	json_kv_bool(b, "is_pull", i->is_pull);
	json_kv_str(b, "author", i->author);
	gitea_put_names(b, "labels", i->labels, "name");
	gitea_put_names(b, "assignees", i->assignees, "login");
	json_kv_int(b, "comments", i->comments);
	json_kv_str(b, "created_at", i->created_at);
	json_kv_str(b, "updated_at", i->updated_at);
	json_kv_str(b, "url", i->url);
	if (room)
		gitea_put_body(b, i->body, room);
}
